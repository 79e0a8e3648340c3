"""Small real trainings with a known truth: three configurations × five seeds, one truly better, two truly equal.

A network with one hidden layer learns a noisy function by stochastic gradient descent. ``momentum`` makes one of the
configurations better; the other two differ in a limit for the gradient that neither ever reaches, so that nothing but
chance can tell them apart.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.builders import event_file_name, rows, write_scalars

SEEDS = 5
EPOCHS = 40
BATCH = 32
SAMPLES = 512
WIDTH = 24
LEARNING_RATE = 0.02


@dataclass(frozen=True)
class Recipe:
    """One configuration of the sweep."""

    momentum: float
    clip: float


RECIPES = {"plain": Recipe(0.0, 1e3), "momentum": Recipe(0.9, 1e3), "clipped": Recipe(0.0, 1e4)}


def train(recipe: Recipe, seed: int) -> tuple[list[float], list[float]]:
    """Train once; return the training and the validation loss of every epoch."""
    random = np.random.default_rng(seed)
    (x, y), (x_new, y_new) = _data(random), _data(random)
    weights = [random.normal(0, 0.5, (2, WIDTH)), np.zeros(WIDTH), random.normal(0, 0.3, WIDTH), np.zeros(1)]
    speeds = [np.zeros_like(weight) for weight in weights]
    training, validation = [], []
    for _ in range(EPOCHS):
        order = random.permutation(SAMPLES)
        losses = []
        for start in range(0, SAMPLES, BATCH):
            batch = order[start : start + BATCH]
            loss, gradients = _gradients(weights, x[batch], y[batch])
            losses.append(loss)
            size = np.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
            scale = min(1.0, recipe.clip / size)
            for weight, speed, gradient in zip(weights, speeds, gradients, strict=True):
                speed *= recipe.momentum
                speed -= LEARNING_RATE * scale * gradient
                weight += speed
        training.append(float(np.mean(losses)))
        validation.append(_gradients(weights, x_new, y_new)[0])
    return training, validation


def _data(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = random.uniform(-2, 2, (SAMPLES, 2))
    return x, np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] + random.normal(0, 0.2, SAMPLES)


def _gradients(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """Return the mean squared error of a batch and its derivatives."""
    first, first_bias, second, second_bias = weights
    hidden = np.tanh(x @ first + first_bias)
    error = hidden @ second + second_bias - y
    slope = 2 * error / len(y)
    into_hidden = np.outer(slope, second) * (1 - hidden**2)
    return float((error**2).mean()), [x.T @ into_hidden, into_hidden.sum(0), hidden.T @ slope, slope.sum(keepdims=True)]


def write_sweep(log_directory: Path) -> list[str]:
    """Write the fifteen runs with their configurations; return their names.

    <log_directory>/<configuration>/run_<seed>/   event file, config.yaml
    """
    names = []
    for place, (name, recipe) in enumerate(RECIPES.items()):
        for number in range(SEEDS):
            seed = SEEDS * place + number
            training, validation = train(recipe, seed)
            directory = log_directory / name / f"run_{number}"
            points = rows("train/loss", training) + rows("validation/loss", validation)
            write_scalars(directory / event_file_name(1_700_000_000 + seed), points, seconds_per_step=2.0)
            (directory / "config.yaml").write_text(
                f"optimizer:\n  momentum: {recipe.momentum}\n  clip: {recipe.clip}\nlr: {LEARNING_RATE}\nseed: {seed}\n"
                f"output_dir: out/{name}_{number}\n"
            )
            names.append(f"{name}/run_{number}")
    return names
