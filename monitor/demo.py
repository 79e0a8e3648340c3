"""Small real trainings that write real event files, so that there is something to look at before the first own run.

A network learns to steer a planar arm with two joints from demonstrations of two tasks. Everything is computed: the
demonstrations, gradients by hand, Adam or momentum, checkpoints that a restart is really resumed from. What goes wrong
in a run goes wrong because of its configuration, not because a curve was drawn. The layout on disk::

    DIR/arm_demo/<recipe>/run_<YYYYmmdd_HHMMSS>/
        events.out.tfevents.<second>.demo.<session>.0     one per session; steps are epochs counted from 0
        config.yaml
        epoch<N>/weights.npz, training_state.npz          every ten epochs, N counted from 1
        best/weights.npz                                  smallest mean validation loss so far

Past runs are computed in a moment, on a clock of their own that ends shortly before now.
"""

import errno
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from monitor.errors import DemoNotStarted, UsageInvalid

F32 = npt.NDArray[np.float32]
Clock = Callable[[], float]
Sleep = Callable[[float], object]
Announce = Callable[[Path], object]

TASK = "arm_demo"
SAVE_EVERY_EPOCHS = 10
HOURS_BETWEEN_RUNS = 2.5
SECONDS_SINCE_NEWEST_RUN = 60.0
SECONDS_BETWEEN_SESSIONS = 1260.0

VALIDATION_SAMPLES = 256
INPUTS, OUTPUTS = 8, 2
SUCCESS_DISTANCE = 0.25
MOMENTUM = 0.9
LOWEST_LEARNING_RATE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Recipe:
    """The configuration of one training.

    Args:
        name: What the run shows; the third part of its directory.
        optimizer: Adam, or gradient descent with momentum.
        learning_rate: Peak, reached at the end of the warm-up.
        warmup_epochs: Epochs over which the learning rate grows linearly from 0.
        cosine: Whether the learning rate falls to 1 % of its peak after the warm-up, or stays.
        batch_size: Demonstrations per step.
        hidden_units: Width of the network.
        training_samples: Number of demonstrations to learn from.
        label_noise: Standard deviation of the demonstrator's tremor; the actions themselves have about 1.
        max_epoch: Planned epochs.
        sessions: Epochs, counted from 0, that each session really trains; a later session resumes from the
            checkpoint of the epochs before it.
        epoch_seconds: Time an epoch is said to take on the clock of a past run.
    """

    name: str
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    warmup_epochs: int = 3
    cosine: bool = True
    batch_size: int = 16
    hidden_units: int = 96
    training_samples: int = 1024
    label_noise: float = 0.15
    max_epoch: int = 80
    sessions: tuple[range, ...] = (range(80),)
    epoch_seconds: float = 24.0


HEALTHY = Recipe("healthy")
# More than a hundred times the healthy one: near the bottom every step overshoots, and nothing lets it settle.
LEARNING_RATE_TOO_HIGH = Recipe(
    "learning_rate_too_high", learning_rate=0.12, cosine=False, max_epoch=60, sessions=(range(60),), epoch_seconds=18.0
)
# Few and shaky demonstrations, each seen over and over: past epoch 20 or so the network learns the tremor by heart.
OVERFITTING = Recipe(
    "overfitting",
    learning_rate=8e-3,
    cosine=False,
    batch_size=4,
    training_samples=128,
    label_noise=0.7,
    max_epoch=100,
    sessions=(range(100),),
    epoch_seconds=12.0,
)
# The warm-up of momentum climbs past the edge of stability; float32 overflows, and someone stops the run.
NOT_A_NUMBER = Recipe(
    "nan",
    optimizer="sgd",
    learning_rate=0.7,
    warmup_epochs=60,
    sessions=(range(44),),
    epoch_seconds=21.0,
)
# Killed in epoch 38, resumed from the checkpoint of epoch 30: epochs 31 to 37 are trained and logged twice.
RESUMED = Recipe(
    "resumed",
    learning_rate=6e-4,
    hidden_units=128,
    sessions=(range(37), range(30, 80)),
    epoch_seconds=32.0,
)

RECIPES = (HEALTHY, LEARNING_RATE_TOO_HIGH, OVERFITTING, NOT_A_NUMBER, RESUMED)


def write_demo(
    directory: Path,
    runs: int | None = None,
    seed: int = 0,
    *,
    clock: Clock = time.time,
    announce: Announce = lambda run: None,
) -> tuple[Path, ...]:
    """Train and write finished runs; the first is the newest and ended a minute ago, the others hours before it.

    The same seed and clock give the same bytes. Runs that are there already are left alone.

    Args:
        directory: Log directory, made where there is none.
        runs: Number of runs; the recipes are taken in turn, each time round with another seed. None for one of each.
        seed: Of the first round.
        clock: Seconds since the epoch.
        announce: Called with each run directory once it is complete.

    Returns:
        The run directories, newest first.

    Raises:
        DemoNotStarted: The directory cannot be written.
        UsageInvalid: `runs` is below 1.
    """
    if runs is not None and runs < 1:
        raise UsageInvalid(f'The demo cannot write "{runs}" runs.', hint="Ask for one run or more with --runs N.")
    newest_end = clock() - SECONDS_SINCE_NEWEST_RUN
    written: list[Path] = []
    for number in range(len(RECIPES) if runs is None else runs):
        recipe = RECIPES[number % len(RECIPES)]
        end = newest_end - number * HOURS_BETWEEN_RUNS * 3600
        with _writing_into(directory):
            written.append(_write_past_run(directory, recipe, seed + number // len(RECIPES), end))
        announce(written[-1])
    return tuple(written)


def write_live_demo(
    directory: Path,
    *,
    epochs: int = 150,
    seconds_per_epoch: float = 2.0,
    seed: int = 0,
    sleep: Sleep = time.sleep,
    clock: Clock = time.time,
    announce: Announce = lambda run: None,
) -> Path:
    """Train a healthy run at a human pace: one point of every series per epoch, on disk as soon as the epoch ends.

    An interrupt (Ctrl+C) ends it early; what was written stays a whole, readable run.

    Args:
        directory: Log directory, made where there is none.
        epochs: Epochs to train, 1 or more.
        seconds_per_epoch: Time from one point to the next.
        seed: Of weights, demonstrations and their order.
        sleep: Waits the seconds it is given.
        clock: Seconds since the epoch.
        announce: Called with the run directory before the first epoch.

    Returns:
        The run directory.

    Raises:
        DemoNotStarted: The directory cannot be written, or no longer.
    """
    recipe = replace(HEALTHY, name="live", max_epoch=epochs, sessions=(range(epochs),), epoch_seconds=seconds_per_epoch)
    with _writing_into(directory):
        run = _new_run_directory(directory / TASK / recipe.name, clock())
        _write_configuration(run, recipe, seed, clock())
    announce(run)
    # Ctrl+C is the usual way to leave; the event file is closed on the way here.
    with suppress(KeyboardInterrupt), _writing_into(directory):
        _train_session(run, recipe, seed, 0, [seconds_per_epoch] * epochs, clock, sleep)
    return run


# --- where and when ------------------------------------------------------------------------------------------------


@contextmanager
def _writing_into(directory: Path) -> Iterator[None]:
    """Translate the refusals of the file system.

    Raises:
        DemoNotStarted: With what is in the way and what to do.
    """
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise DemoNotStarted(
            f'The demo cannot write into "{directory}": "{error.filename}" is a file, not a directory.',
            hint="Name a new or an empty directory.",
        ) from error
    except PermissionError as error:
        raise DemoNotStarted(
            f'The demo may not write into "{directory}": no permission for "{error.filename}".',
            hint=f'Name a directory of your own, or allow it with: chmod u+rwx "{directory}" (as its owner).',
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DemoNotStarted(
            f'The demo cannot write into "{directory}": {error.strerror}.',
            hint="Free some space there or name a directory on another disk." if full else "Name another directory.",
        ) from error


class _PastClock:
    """A clock that stands still unless somebody sleeps on it."""

    def __init__(self, now: float) -> None:
        self._now = now

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self._now += seconds


def _write_past_run(directory: Path, recipe: Recipe, seed: int, end: float) -> Path:
    """Train every session of one run on a clock that reaches `end` with its last epoch; return its directory."""
    jitter = np.random.default_rng([seed, 4])
    paces = [list(recipe.epoch_seconds * jitter.normal(1, 0.04, len(epochs)).clip(0.8)) for epochs in recipe.sessions]
    pauses = SECONDS_BETWEEN_SESSIONS * (len(paces) - 1)
    clock = _PastClock(end - sum(map(sum, paces)) - pauses)
    run = _new_run_directory(directory / TASK / recipe.name, clock.time())
    _write_configuration(run, recipe, seed, clock.time())
    for number, pace in enumerate(paces):
        if number:
            clock.sleep(SECONDS_BETWEEN_SESSIONS)
        _train_session(run, recipe, seed, number, pace, clock.time, clock.sleep)
    _set_time(run, clock.time())
    return run


def _new_run_directory(parent: Path, start: float) -> Path:
    """Make and return ``run_<YYYYmmdd_HHMMSS>`` of the start, or of the first second after it that is still free."""
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        run = parent / datetime.fromtimestamp(start).strftime("run_%Y%m%d_%H%M%S")
        try:
            run.mkdir()
        except FileExistsError:
            start += 1
        else:
            return run


def _set_time(path: Path, when: float) -> None:
    """Make a file or directory as old as the run says."""
    os.utime(path, (when, when))


# --- one session ---------------------------------------------------------------------------------------------------


def _train_session(
    run: Path, recipe: Recipe, seed: int, number: int, pace: Sequence[float], clock: Clock, sleep: Sleep
) -> None:
    """Train and log the epochs of one session of a run.

    Args:
        run: The run directory.
        recipe: Its configuration.
        seed: Of the run.
        number: Session, counted from 0; one after the first resumes from its checkpoint.
        pace: Seconds of each epoch, training included.
        clock: Seconds since the epoch.
        sleep: Waits for the rest of an epoch.
    """
    epochs = recipe.sessions[number]
    training = _Training(recipe, seed, number)
    if number:
        training.restore(_checkpoint_directory(run, epochs.start))
    with _EventFile(run, number, clock) as events:
        for epoch, seconds in zip(epochs, pace, strict=True):
            began = clock()
            figures = training.train_epoch(epoch)
            sleep(max(seconds - (clock() - began), 0.0))
            events.write(epoch, {**figures, "train/epoch_duration_minutes": (clock() - began) / 60})
            training.save(run, epoch, figures, clock())


class _EventFile(AbstractContextManager["_EventFile"]):
    """An event file that carries the time of the given clock in its name, its events and its modification time."""

    def __init__(self, run: Path, session: int, clock: Clock) -> None:
        self._clock = clock
        self._path = run / f"events.out.tfevents.{int(clock()):010d}.demo.{session + 1}.0"
        self._file: IO[bytes] = self._path.open("xb")
        self._records = RecordWriter(self._file)
        self._records.write(Event(wall_time=clock(), file_version="brain.Event:2").SerializeToString())
        self._flush()

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Write one event per figure and hand them to the operating system together."""
        for tag, value in figures.items():
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            self._records.write(Event(wall_time=self._clock(), step=step, summary=summary).SerializeToString())
        self._flush()

    def _flush(self) -> None:
        self._file.flush()
        _set_time(self._path, self._clock())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _write_configuration(run: Path, recipe: Recipe, seed: int, when: float) -> None:
    """Write what the run was configured with as ``config.yaml``."""
    configuration: dict[str, object] = {
        "task": TASK,
        "method": recipe.name,
        "seed": seed,
        "model": {"type": "mlp", "hidden_units": recipe.hidden_units, "activation": "tanh"},
        "dataset": {
            "training_samples": recipe.training_samples,
            "validation_samples_per_task": VALIDATION_SAMPLES,
            "label_noise": recipe.label_noise,
        },
        "training": {
            "max_epoch": recipe.max_epoch,
            "batch_size": recipe.batch_size,
            "optimizer": recipe.optimizer,
            "learning_rate": recipe.learning_rate,
            "schedule": "cosine" if recipe.cosine else "constant",
            "warmup_epochs": recipe.warmup_epochs,
            "save_every_epochs": SAVE_EVERY_EPOCHS,
        },
    }
    path = run / "config.yaml"
    path.write_text("\n".join(_yaml_lines(configuration)) + "\n", encoding="utf-8")
    _set_time(path, when)


def _yaml_lines(configuration: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """Yield nested mappings of plain words and numbers as block YAML, two spaces a level."""
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml_lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {value}"


# --- demonstrations ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Demonstrations:
    """What an expert does: states of shape ``(n, 8)``, actions with and without tremor of shape ``(n, 2)``."""

    states: F32
    actions: F32
    steady: F32

    def __len__(self) -> int:
        return len(self.states)

    def take(self, rows: npt.NDArray[np.int64]) -> "_Demonstrations":
        """Return the chosen demonstrations."""
        return _Demonstrations(self.states[rows], self.actions[rows], self.steady[rows])


def _demonstrate(tasks: npt.NDArray[np.int64], noise: float, rng: np.random.Generator) -> _Demonstrations:
    """Return one demonstration per entry of `tasks`: 0 moves the hand to the target, 1 circles around it.

    The state is (sin, cos of both joints; target; task one-hot), the action the velocity of both joints, scaled to a
    standard deviation near 1. Both links are 1 long.

    Source: control by the transposed Jacobian, Siciliano et al., Robotics (2009), section 3.7.2.
    """
    n = len(tasks)
    joints = rng.uniform(-1.2, 1.2, (n, 2))
    target = rng.uniform(-1, 1, (n, 2))
    shoulder, reach = joints[:, 0], joints.sum(axis=1)
    hand = np.stack([np.cos(shoulder) + np.cos(reach), np.sin(shoulder) + np.sin(reach)], axis=1)
    elbow_to_hand = np.stack([np.cos(reach), np.sin(reach)], axis=1)
    way = target - hand
    way = np.where(tasks[:, None] == 0, way, np.stack([-way[:, 1], way[:, 0]], axis=1))
    steady = np.stack([_cross(hand, way), _cross(elbow_to_hand, way)], axis=1) / 1.5
    states = np.concatenate([np.sin(joints), np.cos(joints), target, np.eye(2)[tasks]], axis=1)
    actions = steady + rng.normal(0, noise, steady.shape)
    return _Demonstrations(states.astype(np.float32), actions.astype(np.float32), steady.astype(np.float32))


def _cross(lever: npt.NDArray[np.float64], way: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the turning effect of `way` at the end of `lever`: the third component of their cross product."""
    return lever[:, 0] * way[:, 1] - lever[:, 1] * way[:, 0]


# --- network -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layers:
    """The weights of the network as views of one flat vector, so that an optimiser needs no loop over layers."""

    hidden_weights: F32
    hidden_biases: F32
    output_weights: F32
    output_biases: F32

    @staticmethod
    def of(flat: F32, units: int) -> "_Layers":
        """Return the views; `flat` has the length that `size` tells."""
        ends = np.cumsum([INPUTS * units, units, units * OUTPUTS])
        first, second, third, fourth = np.split(flat, ends)
        return _Layers(first.reshape(INPUTS, units), second, third.reshape(units, OUTPUTS), fourth)

    @staticmethod
    def size(units: int) -> int:
        """Return the number of weights and biases of a network with that many hidden units."""
        return (INPUTS + 1) * units + (units + 1) * OUTPUTS


def _initial_weights(units: int, rng: np.random.Generator) -> F32:
    """Return weights with deviation 1/√(inputs of the layer), and zero biases.

    Source: LeCun et al., Efficient BackProp (1998), section 4.6.
    """
    flat = np.zeros(_Layers.size(units), np.float32)
    layers = _Layers.of(flat, units)
    layers.hidden_weights[:] = rng.normal(0, 1 / math.sqrt(INPUTS), layers.hidden_weights.shape)
    layers.output_weights[:] = rng.normal(0, 1 / math.sqrt(units), layers.output_weights.shape)
    return flat


def _predict(layers: _Layers, states: F32) -> tuple[F32, F32]:
    """Return the hidden activations ``(n, units)`` and the actions ``(n, 2)``."""
    hidden = np.tanh(states @ layers.hidden_weights + layers.hidden_biases)
    return hidden, hidden @ layers.output_weights + layers.output_biases


def _loss_and_gradient(flat: F32, units: int, batch: _Demonstrations) -> tuple[float, F32]:
    """Return the mean squared error of a batch and its gradient, as long as `flat`, by back-propagation."""
    layers, gradient = _Layers.of(flat, units), np.empty_like(flat)
    slopes = _Layers.of(gradient, units)
    hidden, actions = _predict(layers, batch.states)
    error = actions - batch.actions
    at_output = error * np.float32(2 / error.size)
    at_hidden = (at_output @ layers.output_weights.T) * (1 - hidden * hidden)
    slopes.output_weights[:], slopes.output_biases[:] = hidden.T @ at_output, at_output.sum(axis=0)
    slopes.hidden_weights[:], slopes.hidden_biases[:] = batch.states.T @ at_hidden, at_hidden.sum(axis=0)
    return float(np.mean(error * error)), gradient


# --- training ------------------------------------------------------------------------------------------------------


class _Training:
    """The state of one session: weights, optimiser, best validation loss."""

    def __init__(self, recipe: Recipe, seed: int, session: int) -> None:
        self._recipe = recipe
        self._order = np.random.default_rng([seed, 1, session])  # a restart shuffles anew, as most trainers do
        made = np.random.default_rng([seed, 2])
        self._training = _demonstrate(np.arange(recipe.training_samples) % 2, recipe.label_noise, made)
        self._validation = [
            _demonstrate(np.full(VALIDATION_SAMPLES, task), recipe.label_noise, made) for task in range(2)
        ]
        self._weights = _initial_weights(recipe.hidden_units, np.random.default_rng([seed, 3]))
        self._mean = np.zeros_like(self._weights)
        self._square = np.zeros_like(self._weights)
        self._steps = 0
        self._best = math.inf

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train one epoch, counted from 0, and validate; return tag → value."""
        batches = np.array_split(self._order.permutation(len(self._training)), self._batches_per_epoch)
        # An overflow is what some recipes are there to show; it arrives in the figures as inf and NaN.
        with np.errstate(over="ignore", invalid="ignore"):
            losses, norms = zip(*[self._train_batch(rows) for rows in batches], strict=True)
            return {
                "train/loss": float(np.mean(losses)),
                "train/learning_rate": self._learning_rate(),
                "train/grad_norm": float(np.mean(norms)),
                **self._validate(),
            }

    @property
    def _batches_per_epoch(self) -> int:
        return math.ceil(self._recipe.training_samples / self._recipe.batch_size)

    def _train_batch(self, rows: npt.NDArray[np.int64]) -> tuple[float, float]:
        loss, gradient = _loss_and_gradient(self._weights, self._recipe.hidden_units, self._training.take(rows))
        self._steps += 1
        self._weights -= np.float32(self._learning_rate()) * self._direction(gradient)
        return loss, float(np.linalg.norm(gradient))

    def _direction(self, gradient: F32) -> F32:
        """Return the step of the optimiser for a learning rate of 1.

        Source: Kingma and Ba (2015), algorithm 1, with its default decays; momentum as in Sutskever et al. (2013),
        equation 1.
        """
        if self._recipe.optimizer == "sgd":
            self._mean = np.float32(MOMENTUM) * self._mean + gradient
            return self._mean
        self._mean += np.float32(1 - 0.9) * (gradient - self._mean)
        self._square += np.float32(1 - 0.999) * (gradient * gradient - self._square)
        mean = self._mean / np.float32(1 - 0.9**self._steps)
        square = self._square / np.float32(1 - 0.999**self._steps)
        direction: F32 = mean / (np.sqrt(square) + np.float32(1e-8))
        return direction

    def _learning_rate(self) -> float:
        """Return the learning rate of the newest step: linear warm-up, then constant or a half cosine down to 1 %.

        Source: Loshchilov and Hutter (2017), equation 5, without restarts.
        """
        recipe = self._recipe
        epochs = self._steps / self._batches_per_epoch
        if epochs < recipe.warmup_epochs:
            return recipe.learning_rate * epochs / recipe.warmup_epochs
        if not recipe.cosine:
            return recipe.learning_rate
        done = (epochs - recipe.warmup_epochs) / max(recipe.max_epoch - recipe.warmup_epochs, 1)
        lowest = recipe.learning_rate * LOWEST_LEARNING_RATE_SHARE
        return lowest + (recipe.learning_rate - lowest) * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    def _validate(self) -> dict[str, float]:
        """Return the loss of each task, and the share of actions that come close to what the expert meant to do."""
        layers = _Layers.of(self._weights, self._recipe.hidden_units)
        figures, close = {}, []
        for number, task in enumerate(self._validation, 1):
            _, actions = _predict(layers, task.states)
            figures[f"validation/task{number}_loss"] = float(np.mean((actions - task.actions) ** 2))
            close.append(np.linalg.norm(actions - task.steady, axis=1) < SUCCESS_DISTANCE)
        return {**figures, "validation/success_rate": float(np.mean(close))}

    def save(self, run: Path, epoch: int, figures: Mapping[str, float], when: float) -> None:
        """Save the best weights, when they are, and every few epochs everything a restart needs.

        Args:
            run: The run directory.
            epoch: The epoch that was just trained, counted from 0.
            figures: What `train_epoch` returned for it.
            when: Modification time of what is saved.
        """
        loss = (figures["validation/task1_loss"] + figures["validation/task2_loss"]) / 2
        if loss < self._best:
            self._best = loss
            self._save_weights(run / "best", when)
        if (epoch + 1) % SAVE_EVERY_EPOCHS == 0 or epoch + 1 == self._recipe.max_epoch:
            directory = _checkpoint_directory(run, epoch + 1)
            self._save_weights(directory, when)
            state: dict[str, npt.ArrayLike] = {
                "mean": self._mean,
                "square": self._square,
                "steps": self._steps,
                "best": self._best,
            }
            _save_arrays(directory / "training_state.npz", state, when)

    def _save_weights(self, directory: Path, when: float) -> None:
        layers = _Layers.of(self._weights, self._recipe.hidden_units)
        arrays = {name: getattr(layers, name) for name in _Layers.__slots__}
        directory.mkdir(exist_ok=True)
        _save_arrays(directory / "weights.npz", arrays, when)

    def restore(self, directory: Path) -> None:
        """Continue from a checkpoint: weights, optimiser, place in the learning-rate schedule, best loss so far."""
        with np.load(directory / "weights.npz") as weights, np.load(directory / "training_state.npz") as state:
            self._weights = np.concatenate([weights[name].ravel() for name in _Layers.__slots__])
            self._mean, self._square = state["mean"], state["square"]
            self._steps, self._best = int(state["steps"]), float(state["best"])


def _checkpoint_directory(run: Path, epochs_done: int) -> Path:
    return run / f"epoch{epochs_done}"


def _save_arrays(path: Path, arrays: Mapping[str, npt.ArrayLike], when: float) -> None:
    """Write arrays so that the file of that name is whole at any moment: beside it first, then in its place."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, **{name: np.asarray(value) for name, value in arrays.items()})  # type: ignore[arg-type]
    unfinished.replace(path)
    _set_time(path, when)
    _set_time(path.parent, when)
