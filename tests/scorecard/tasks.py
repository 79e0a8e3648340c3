"""What the small trainings learn: data drawn from a seed, and the network that suits them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tests.scorecard.networks import Activation, Floats, Head

Targets = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Samples:
    """Inputs ``(n, inputs)`` and their targets."""

    inputs: Floats
    targets: Targets

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> "Samples":
        """Return the chosen samples."""
        return Samples(self.inputs[rows], self.targets[rows])

    def shuffled(self, random: np.random.Generator) -> "Samples":
        """Return the samples with targets that have nothing to do with their inputs."""
        return replace(self, targets=random.permutation(self.targets))


@dataclass(frozen=True)
class Task:
    """Something to learn: samples to train and to validate on, and the shape of the network."""

    training: Samples
    validation: Samples
    sizes: tuple[int, ...]
    activation: Activation
    head: Head


def _split(inputs: Floats, targets: Targets, held_out: int) -> tuple[Samples, Samples]:
    every = Samples(inputs, targets)
    return every.take(slice(held_out, None)), every.take(slice(0, held_out))


def spirals(random: np.random.Generator) -> Task:
    """Return three arms of a spiral in the plane, to be told apart."""
    n = 2400
    arm, radius = random.integers(0, 3, n), np.sqrt(random.uniform(0.01, 1, n))
    angle = 2 * np.pi * arm / 3 + 4 * radius
    plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + random.normal(0, 0.08, (n, 2))
    training, validation = _split(plane * 2, arm, 600)
    return Task(training, validation, (2, 32, 32, 3), "tanh", "classes")


def waves(random: np.random.Generator) -> Task:
    """Return a noisy wave over two coordinates, to be traced."""
    n = 2400
    place = random.uniform(-2, 2, (n, 2))
    height = np.sin(2 * place[:, :1]) * np.cos(place[:, 1:]) + random.normal(0, 0.15, (n, 1))
    training, validation = _split(place, height, 600)
    return Task(training, validation, (2, 40, 1), "tanh", "squares")


def characters(random: np.random.Generator) -> Task:
    """Return a text written by chance with habits; the next character is to be told from the two before."""
    letters, n = 12, 6000
    habits = random.dirichlet(np.full(letters, 0.15), (letters, letters))
    text = [0, 1]
    for _ in range(n):
        text.append(int(random.choice(letters, p=habits[text[-2], text[-1]])))
    place = np.array(text)
    inputs = np.hstack([np.eye(letters)[place[:-2]], np.eye(letters)[place[1:-1]]])
    training, validation = _split(inputs, place[2:], 1500)
    return Task(training, validation, (2 * letters, 48, letters), "relu", "classes")


def faces(random: np.random.Generator) -> Task:
    """Return pictures of 6 × 6 made of five patterns, to be squeezed through five units and drawn again."""
    n = 2400
    pictures = random.normal(0, 1, (n, 5)) @ random.normal(0, 0.5, (5, 36)) + random.normal(0, 0.1, (n, 36))
    training, validation = _split(pictures, pictures, 600)
    return Task(training, validation, (36, 5, 36), "tanh", "squares")


def clusters(random: np.random.Generator) -> Task:
    """Return ten overlapping clouds in twenty dimensions, to be told apart by a linear model."""
    n = 3000
    label = random.integers(0, 10, n)
    points = random.normal(0, 0.7, (10, 20))[label] + random.normal(0, 1, (n, 20))
    training, validation = _split(points, label, 800)
    return Task(training, validation, (20, 10), "tanh", "classes")


def noisy_curve(random: np.random.Generator) -> Task:
    """Return a curve whose noise differs from place to place, to be told with its uncertainty."""
    n = 2400
    place = random.uniform(-2, 2, (n, 1))
    height = 0.3 * np.sin(3 * place) + random.normal(0, 1, (n, 1)) * (0.02 + 0.03 * np.abs(place))
    training, validation = _split(place, height, 600)
    return Task(training, validation, (1, 32, 32, 2), "tanh", "likelihood")


def digits(random: np.random.Generator) -> Task:
    """Return ten pictures of 8 × 8 with much noise, to be recognised."""
    n = 2600
    label = random.integers(0, 10, n)
    pictures = (random.uniform(0, 1, (10, 64)) > 0.5)[label] + random.normal(0, 1.1, (n, 64))
    training, validation = _split(pictures - 0.5, label, 700)
    return Task(training, validation, (64, 24, 10), "relu", "classes")


TASKS: Mapping[str, Callable[[np.random.Generator], Task]] = {
    make.__name__: make for make in (spirals, waves, characters, faces, clusters, noisy_curve, digits)
}
