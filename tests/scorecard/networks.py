"""A small network with hand-written gradients, its optimisers and its schedules: enough to train for real, on a CPU."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Head = Literal["squares", "classes", "likelihood", "logistic"]
Activation = Literal["tanh", "relu", "sigmoid"]
Optimizer = Literal["sgd", "momentum", "adam"]
Schedule = Literal["constant", "cosine", "one_cycle", "steps", "warm_up", "restarts"]


class Network:
    """Fully connected layers over one flat vector of parameters.

    Args:
        sizes: Units of the input, the hidden layers and the output.
        activation: Of the hidden layers.
        head: What the outputs mean: values (mean squared error), logits of classes (cross-entropy), mean and log
            variance (Gaussian likelihood), or one logit (binary cross-entropy).
        random: Draws the initial weights.
        spread: Factor on the usual deviation of the weights, 1/√inputs.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Activation,
        head: Head,
        random: np.random.Generator,
        spread: float = 1.0,
    ) -> None:
        self._shapes = list(itertools.pairwise(sizes))
        self._activation = activation
        self._head = head
        parts = [random.normal(0, spread / math.sqrt(rows), (rows + 1, columns)) for rows, columns in self._shapes]
        for part in parts:
            part[-1] = 0.0
        self.parameters = np.concatenate([part.ravel() for part in parts])

    def outputs(self, inputs: Floats) -> Floats:
        """Return the outputs, shape ``(n, outputs)``."""
        return self._forward(inputs)[-1]

    def loss(self, inputs: Floats, targets: npt.NDArray[np.generic]) -> float:
        """Return the mean loss."""
        return self._head_loss(self.outputs(inputs), targets)[0]

    def gradient(self, inputs: Floats, targets: npt.NDArray[np.generic]) -> tuple[float, Floats, Floats]:
        """Return the mean loss, its gradient by the parameters, and that by the inputs."""
        levels = self._forward(inputs)
        loss, error = self._head_loss(levels[-1], targets)
        slopes, layers = [], self._layers()
        for number in reversed(range(len(layers))):
            slopes.append(np.vstack([levels[number].T @ error, error.sum(axis=0)]).ravel())
            error = error @ layers[number][:-1].T
            if number:
                error = error * self._slope(levels[number])
        return loss, np.concatenate(slopes[::-1]), error

    def _layers(self) -> list[Floats]:
        ends = np.cumsum([(rows + 1) * columns for rows, columns in self._shapes])[:-1]
        parts = np.split(self.parameters, ends)
        return [part.reshape(rows + 1, columns) for part, (rows, columns) in zip(parts, self._shapes, strict=True)]

    def _forward(self, inputs: Floats) -> list[Floats]:
        levels, layers = [inputs], self._layers()
        for number, layer in enumerate(layers):
            sums = levels[-1] @ layer[:-1] + layer[-1]
            levels.append(sums if number == len(layers) - 1 else self._activate(sums))
        return levels

    def _activate(self, sums: Floats) -> Floats:
        if self._activation == "tanh":
            return np.tanh(sums)
        return np.maximum(sums, 0.0) if self._activation == "relu" else 1 / (1 + np.exp(-sums))

    def _slope(self, activated: Floats) -> Floats:
        if self._activation == "tanh":
            return 1 - activated * activated
        return (activated > 0).astype(np.float64) if self._activation == "relu" else activated * (1 - activated)

    def _head_loss(self, outputs: Floats, targets: npt.NDArray[np.generic]) -> tuple[float, Floats]:
        return {
            "squares": _squares,
            "classes": _cross_entropy,
            "likelihood": _gaussian_likelihood,
            "logistic": _binary_cross_entropy,
        }[self._head](outputs, targets)


def _squares(outputs: Floats, targets: Floats) -> tuple[float, Floats]:
    error = outputs - targets
    return float(np.mean(error * error)), 2 * error / error.size


def _cross_entropy(outputs: Floats, targets: npt.NDArray[np.int64]) -> tuple[float, Floats]:
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    chances = np.exp(shifted)
    chances /= chances.sum(axis=1, keepdims=True)
    rows = np.arange(len(targets))
    loss = float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, targets]))
    chances[rows, targets] -= 1
    return loss, chances / len(targets)


def _gaussian_likelihood(outputs: Floats, targets: Floats) -> tuple[float, Floats]:
    """Return the mean negative logarithm of a normal density.

    Source: Nix and Weigend (1994), "Estimating the mean and variance of the target probability distribution".
    """
    mean, log_variance = outputs[:, :1], outputs[:, 1:]
    error, precision = mean - targets, np.exp(-log_variance)
    loss = float(np.mean(0.5 * (log_variance + error * error * precision + math.log(2 * math.pi))))
    slopes = np.hstack([error * precision, 0.5 * (1 - error * error * precision)])
    return loss, slopes / len(targets)


def _binary_cross_entropy(outputs: Floats, targets: Floats) -> tuple[float, Floats]:
    loss = float(np.mean(np.logaddexp(0, outputs) - targets * outputs))
    return loss, (1 / (1 + np.exp(-outputs)) - targets) / len(targets)


@dataclass
class Descent:
    """An optimiser with its memory.

    Source: Sutskever et al. (2013), equation 1, for momentum; Kingma and Ba (2015), algorithm 1, for Adam.
    """

    kind: Optimizer
    mean: Floats
    square: Floats
    steps: int = 0

    @staticmethod
    def of(kind: Optimizer, network: Network) -> "Descent":
        """Return an optimiser without a past."""
        return Descent(kind, np.zeros_like(network.parameters), np.zeros_like(network.parameters))

    def direction(self, gradient: Floats) -> Floats:
        """Return the step for a learning rate of 1."""
        if self.kind == "sgd":
            return gradient
        if self.kind == "momentum":
            self.mean = 0.9 * self.mean + gradient
            return self.mean
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient * gradient
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        return mean / (np.sqrt(square) + 1e-8)


def rate_factor(schedule: Schedule, done: float) -> float:
    """Return the learning rate as a share of its peak, when `done` of the plan (0–1) is done.

    Source: Loshchilov and Hutter (2017), equation 5, for the cosine and its restarts; Smith and Topin (2018) for one
    cycle.
    """
    done = min(done, 1.0)
    if schedule == "cosine":
        return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2
    if schedule == "restarts":
        return 0.01 + 0.99 * (1 + math.cos(math.pi * (done * 3 % 1))) / 2
    if schedule == "one_cycle":
        return float(np.interp(done, [0, 0.3, 1], [0.04, 1, 0.001]))
    if schedule == "steps":
        return 0.1 ** ((done >= 0.5) + (done >= 0.8))
    return min(done / 0.08 + 0.002, 1.0) if schedule == "warm_up" else 1.0
