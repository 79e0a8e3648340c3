"""Trainers that go one batch further at a time, and the ways in which a training goes wrong."""

import copy
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from tests.scorecard.networks import Descent, Floats, Network, Optimizer
from tests.scorecard.tasks import TASKS, Samples

Figures = Mapping[str, float]


class Trainer(Protocol):
    """Something that is trained batch by batch."""

    def step(self, rate: float) -> Figures:
        """Train one batch and return its figures."""

    def evaluate(self) -> Figures:
        """Return the figures of held-out samples; none where there are none."""

    def inject(self, fault: str, size: float) -> None:
        """Let something go wrong from now on."""


class Supervised:
    """A network that learns a task from batches.

    Args:
        task: Name of the task.
        optimizer: How it descends.
        batch: Samples in a batch; all of them with 0.
        seed: Of data, weights and order.
    """

    def __init__(self, task: str, optimizer: Optimizer, batch: int, seed: int) -> None:
        made = TASKS[task](np.random.default_rng([seed, 1]))
        self.network = Network(made.sizes, made.activation, made.head, np.random.default_rng([seed, 2]))
        self.training, self.validation = made.training, made.validation
        self.descent = Descent.of(optimizer, self.network)
        self.gradient_factor = 1.0
        self.frozen = False
        self.in_order = False
        self.bad_batches = 0
        self._seed, self._optimizer, self._batch = seed, optimizer, batch
        self._classified = made.head == "classes"
        self._order = np.random.default_rng([seed, 3])
        self._waiting = np.empty(0, np.intp)

    def step(self, rate: float) -> Figures:
        """Train one batch."""
        batch = self._next_batch()
        loss, gradient, _ = self.network.gradient(batch.inputs, batch.targets)
        gradient = gradient * self.gradient_factor
        if not self.frozen:
            self.network.parameters = self.network.parameters - rate * self.descent.direction(gradient)
        return {"loss": loss, "grad_norm": float(np.linalg.norm(gradient))}

    def evaluate(self) -> Figures:
        """Return loss, and accuracy of a classifier, on the held-out samples."""
        figures = {"val_loss": self.network.loss(self.validation.inputs, self.validation.targets)}
        if self._classified:
            guesses = self.network.outputs(self.validation.inputs).argmax(axis=1)
            figures["val_accuracy"] = float(np.mean(guesses == self.validation.targets))
        return figures

    def inject(self, fault: str, size: float) -> None:
        """Let something go wrong from now on."""
        INJECTIONS[fault](self, size)

    def saved(self) -> tuple[Floats, Descent]:
        """Return what a checkpoint holds."""
        return self.network.parameters.copy(), copy.deepcopy(self.descent)

    def restore(self, saved: tuple[Floats, Descent]) -> None:
        """Go on from a checkpoint."""
        self.network.parameters, self.descent = saved[0].copy(), copy.deepcopy(saved[1])

    def forget(self) -> None:
        """Begin with new weights, as a resume does that found no checkpoint."""
        random = np.random.default_rng([self._seed, 4])
        self.network.parameters = random.permutation(self.network.parameters)
        self.descent = Descent.of(self._optimizer, self.network)

    def random(self, purpose: int) -> np.random.Generator:
        """Return chance for one purpose."""
        return np.random.default_rng([self._seed, 5, purpose])

    def _next_batch(self) -> Samples:
        if not self._batch:
            return self.training
        if len(self._waiting) < self._batch:
            shuffled = self._order.permutation(len(self.training))
            self._waiting = np.argsort(self.training.targets, kind="stable") if self.in_order else shuffled
        rows, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
        batch = self.training.take(rows)
        if self.bad_batches:
            self.bad_batches -= 1
            return Samples(batch.inputs * 6, batch.shuffled(self._order).targets)
        return batch


def _shuffle_labels(trainer: Supervised, size: float) -> None:
    trainer.training = trainer.training.shuffled(trainer.random(0))


def _unscale_inputs(trainer: Supervised, size: float) -> None:
    trainer.training = Samples(trainer.training.inputs * size, trainer.training.targets)


def _shuffle_validation(trainer: Supervised, size: float) -> None:
    trainer.validation = trainer.validation.shuffled(trainer.random(1))


def _keep_few_samples(trainer: Supervised, size: float) -> None:
    trainer.training = trainer.training.take(slice(0, int(size)))


def _bad_shard(trainer: Supervised, size: float) -> None:
    trainer.bad_batches = int(size)


def _freeze(trainer: Supervised, size: float) -> None:
    trainer.frozen = True


def _sort_labels(trainer: Supervised, size: float) -> None:
    trainer.in_order = True


def _scale_gradient(trainer: Supervised, size: float) -> None:
    trainer.gradient_factor = size


def _divide_by_zero(trainer: Supervised, size: float) -> None:
    trainer.network.parameters[-1] = np.inf  # as log(0) leaves it in the last bias, and soon everywhere


INJECTIONS: Mapping[str, Callable[[Supervised, float], None]] = {
    "shuffled_labels": _shuffle_labels,
    "unscaled_inputs": _unscale_inputs,
    "shuffled_validation": _shuffle_validation,
    "few_samples": _keep_few_samples,
    "bad_shard": _bad_shard,
    "frozen_weights": _freeze,
    "sorted_labels": _sort_labels,
    "scaled_gradient": _scale_gradient,
    "division_by_zero": _divide_by_zero,
}


class Walker:
    """A policy that learns by its reward to walk to the corner of a grid, one episode after another.

    Source: Williams (1992), REINFORCE with a baseline, here a table of values.
    """

    SIDE = 5
    LONGEST = 40

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng([seed, 6])
        self._preferences = np.zeros((self.SIDE**2, 4))
        self._values = np.zeros(self.SIDE**2)
        self._sign = 1.0

    def step(self, rate: float) -> Figures:
        """Learn from eight episodes."""
        figures = [self._episode(rate) for _ in range(8)]
        return {name: float(np.mean([one[name] for one in figures])) for name in figures[0]}

    def evaluate(self) -> Figures:
        """Return nothing: the reward of training is what counts."""
        return {}

    def inject(self, fault: str, size: float) -> None:
        """Turn the sign of what is learned from."""
        self._sign = -1.0

    def _episode(self, rate: float) -> dict[str, float]:
        states, actions = self._walk()
        steps = np.arange(len(states), 0, -1)
        reached = len(states) < self.LONGEST
        returns = -0.05 * steps + float(reached)
        policy_loss = value_loss = 0.0
        for state, action, gain in zip(states, actions, returns, strict=True):
            chances = self._chances(state)
            advantage = self._sign * (gain - self._values[state])
            policy_loss -= advantage * float(np.log(chances[action])) / len(states)
            value_loss += (gain - self._values[state]) ** 2 / len(states)
            self._values[state] += 0.1 * (gain - self._values[state])
            self._preferences[state] += rate * advantage * (np.eye(4)[action] - chances)
        return {"reward": float(returns[0]), "policy_loss": policy_loss, "value_loss": value_loss}

    def _walk(self) -> tuple[list[int], list[int]]:
        place, states, actions = 0, [], []
        while place != self.SIDE**2 - 1 and len(states) < self.LONGEST:
            states.append(place)
            actions.append(int(self._random.choice(4, p=self._chances(place))))
            place = self._moved(place, actions[-1])
        return states, actions

    def _chances(self, state: int) -> Floats:
        weights = np.exp(self._preferences[state] - self._preferences[state].max())
        chances: Floats = weights / weights.sum()
        return chances

    def _moved(self, place: int, action: int) -> int:
        row, column = divmod(place, self.SIDE)
        row = min(max(row + (action == 0) - (action == 1), 0), self.SIDE - 1)
        column = min(max(column + (action == 2) - (action == 3), 0), self.SIDE - 1)
        return row * self.SIDE + column


class Forger:
    """Two networks that play against each other over a mixture of two normal densities on a line.

    Source: Goodfellow et al. (2014), algorithm 1, with the generator's loss that does not saturate.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng([seed, 7])
        self._forger = Network((4, 16, 1), "tanh", "squares", self._random)
        self._judge = Network((1, 16, 1), "tanh", "logistic", self._random)
        self._descents = Descent.of("adam", self._forger), Descent.of("adam", self._judge)

    def step(self, rate: float) -> Figures:
        """Let each of the two learn from a batch."""
        n = 64
        real = np.where(self._random.random((n, 1)) < 0.5, -1.5, 1.5) + self._random.normal(0, 0.3, (n, 1))
        noise = self._random.normal(0, 1, (n, 4))
        forged = self._forger.outputs(noise)
        shown, truth = np.vstack([real, forged]), np.repeat([[1.0], [0.0]], n, axis=0)
        judge_loss, gradient, _ = self._judge.gradient(shown, truth)
        self._judge.parameters = self._judge.parameters - rate * self._descents[1].direction(gradient)
        forger_loss, _, at_forged = self._judge.gradient(forged, np.ones((n, 1)))
        # The gradient of a squared error to a target half a gradient away is the gradient at the outputs.
        _, gradient, _ = self._forger.gradient(noise, forged - at_forged * n / 2)
        self._forger.parameters = self._forger.parameters - rate * self._descents[0].direction(gradient)
        return {"g_loss": forger_loss, "d_loss": judge_loss}

    def evaluate(self) -> Figures:
        """Return nothing: neither player has a held-out figure."""
        return {}

    def inject(self, fault: str, size: float) -> None:
        """Break the forger's weights."""
        self._forger.parameters[-1] = np.inf
