"""Layer B: small real trainings, recorded as event files: ``python -m tests.scorecard.trainings DIR [--part PART]``.

Every figure comes from a training that took place; only the clock is made up, because the load of the machine would
otherwise look like a slow-down. A fault is labelled by its *effect*, which the healthy twin with the same seed tells:
an injection that changed nothing a person would notice is dropped, and so is a healthy recipe that did not learn well.

The recipes are split by task and kind of fault. Rules are developed against the open part; the other one is kept
apart for a last look. The same seed and the same NumPy give the same bytes.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from tests.scorecard import effects
from tests.scorecard.networks import Optimizer, Schedule, rate_factor
from tests.scorecard.runs import MEANINGS, Part
from tests.scorecard.trainers import Forger, Supervised, Trainer, Walker

RECORDINGS = Path(__file__).parent / "recordings"
LABELS = "labels.json"
START = 1_700_000_000.0
SEED = 11
EVALUATION_SECONDS = 6.0
RESUME_SECONDS = 90.0
SAVE_EVERY = 50

Style = Literal["pytorch", "huggingface", "lightning", "bare", "stable_baselines", "gan"]

TAGS: Mapping[Style, Mapping[str, str]] = {
    "pytorch": {
        "loss": "train/loss",
        "rate": "train/lr",
        "grad_norm": "train/grad_norm",
        "val_loss": "val/loss",
        "val_accuracy": "val/accuracy",
    },
    "huggingface": {
        "loss": "train/loss",
        "rate": "train/learning_rate",
        "grad_norm": "train/grad_norm",
        "val_loss": "eval/loss",
        "val_accuracy": "eval/accuracy",
    },
    "lightning": {"loss": "train_loss", "rate": "lr-SGD", "val_loss": "val_loss", "val_accuracy": "val_acc"},
    "bare": {"loss": "loss"},
    "stable_baselines": {
        "reward": "rollout/ep_rew_mean",
        "policy_loss": "train/policy_gradient_loss",
        "value_loss": "train/value_loss",
        "rate": "train/learning_rate",
    },
    "gan": {"g_loss": "loss/g_loss", "d_loss": "loss/d_loss"},
}


@dataclass(frozen=True)
class Injection:
    """What goes wrong, when, and how much.

    Args:
        fault: A key of `trainers.INJECTIONS`, or what the loop itself does wrong: ``rate``, ``no_rate``, ``slow``,
            ``silent``, ``resume``, ``resume_forgets``, ``resume_old``, ``reversed`` (a reward), ``broken`` (a player).
        at: Share of the run that is done before.
        size: How much, in the unit of the fault.
        kind: The fault in the words of the health module; None for what a healthy run does as well.
    """

    fault: str
    at: float
    kind: str | None
    size: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """One training.

    Args:
        part: Open, or kept apart.
        task: A key of `tasks.TASKS`, or ``walker`` or ``forger``.
        optimizer: How it descends.
        rate: Peak of the learning rate.
        schedule: Course of the learning rate.
        batch: Samples in a batch, 0 for all.
        steps: Batches.
        every: Batches between two logged points; losses are averaged over them.
        style: Which tags are used.
        evaluations: How often the held-out samples are looked at.
        injection: What goes wrong; None for a run that is left alone.
        seconds: Seconds a batch takes.
    """

    part: Part
    task: str
    optimizer: Optimizer
    rate: float
    schedule: Schedule
    batch: int
    steps: int
    every: int
    style: Style
    evaluations: int = 16
    injection: Injection | None = None
    seconds: float = 0.5

    @property
    def name(self) -> str:
        """What the recording is called."""
        what = f"{self.injection.fault}-{self.injection.kind or 'well'}" if self.injection else "well"
        parts = (self.task, what, self.optimizer, self.schedule, f"{self.rate:g}", f"{self.batch}", self.style)
        return "-".join(parts).replace(".", "p")

    @property
    def onset(self) -> int | None:
        """First batch that goes wrong; None when none does."""
        return int(self.steps * self.injection.at) if self.injection else None


@dataclass
class Recorded:
    """What a training logged, event by event, and the same as series.

    Args:
        files: Events of each event file: wall time, step, tag → value.
        series: Tag → steps and values, in the order of logging.
        silence_seconds: Time between the last event and the last look.
    """

    files: list[list[tuple[float, int, dict[str, float]]]] = field(default_factory=lambda: [[]])
    series: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    silence_seconds: float = 1.0

    def log(self, time: float, step: int, figures: Mapping[str, float]) -> None:
        """Log one event."""
        self.files[-1].append((time, step, dict(figures)))
        for tag, value in figures.items():
            self.series[tag].append((step, value))


# --- one training ---------------------------------------------------------------------------------------------------


class Training:
    """Runs one recipe with a clock that is made up."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self._recipe = recipe
        self._trainer = _trainer(recipe, seed)
        self._clock_random = np.random.default_rng([seed, 8])
        self._time = START
        self._recorded = Recorded()
        self._window: list[Mapping[str, float]] = []
        self._saved: list[tuple[int, object]] = []
        self._rate_times = 1.0
        self._seconds_times = 1.0
        self._shift = 0

    def run(self) -> Recorded:
        """Train, and return what was logged."""
        recipe = self._recipe
        with np.errstate(all="ignore"):  # an overflow is what some recipes are there to show
            for batch in range(recipe.steps):
                if batch == recipe.onset and not self._goes_wrong():
                    break
                self._train(batch)
        return self._recorded

    def _train(self, batch: int) -> None:
        recipe = self._recipe
        rate = recipe.rate * rate_factor(recipe.schedule, batch / recipe.steps) * self._rate_times
        self._time += recipe.seconds * self._seconds_times * float(np.exp(self._clock_random.normal(0, 0.04)))
        self._window.append(self._trainer.step(rate))
        step = batch + 1 - self._shift
        if (batch + 1) % recipe.every == 0:
            self._recorded.log(self._time, step, self._named({**_means(self._window), "rate": rate}))
            self._window = []
        if (batch + 1) % max(recipe.steps // recipe.evaluations, 1) == 0:
            self._evaluate(step)
        if isinstance(self._trainer, Supervised) and (batch + 1) % SAVE_EVERY == 0:
            self._saved.append((batch + 1, self._trainer.saved()))

    def _evaluate(self, step: int) -> None:
        figures = self._named(self._trainer.evaluate())
        if figures:
            self._time += EVALUATION_SECONDS
            self._recorded.log(self._time, step, figures)

    def _named(self, figures: Mapping[str, float]) -> dict[str, float]:
        tags = TAGS[self._recipe.style]
        return {tags[name]: value for name, value in figures.items() if name in tags}

    def _goes_wrong(self) -> bool:
        """Begin the injection; tell whether the training goes on."""
        injection = self._recipe.injection
        if injection is None:
            return True
        if injection.fault == "silent":
            self._recorded.silence_seconds = injection.size
            return False
        if injection.fault in ("rate", "no_rate"):
            self._rate_times = injection.size if injection.fault == "rate" else 0.0
        elif injection.fault == "slow":
            self._seconds_times = injection.size
        elif injection.fault.startswith("resume"):
            self._resume(injection)
        else:
            self._trainer.inject(injection.fault, injection.size)
        return True

    def _resume(self, injection: Injection) -> None:
        """Go on in a new event file, from the newest checkpoint, an old one, or none at all."""
        trainer = self._trainer
        if not isinstance(trainer, Supervised):
            raise TypeError("only a supervised training is resumed")
        done, newest = self._saved[-1]
        self._shift = (self._recipe.onset or 0) - done
        trainer.restore(self._saved[0][1] if injection.fault == "resume_old" else newest)  # type: ignore[arg-type]
        if injection.fault == "resume_forgets":
            trainer.forget()
        self._window = []
        self._time += RESUME_SECONDS
        self._recorded.files.append([])


def _trainer(recipe: Recipe, seed: int) -> Trainer:
    if recipe.task == "walker":
        return Walker(seed)
    return Forger(seed) if recipe.task == "forger" else Supervised(recipe.task, recipe.optimizer, recipe.batch, seed)


def _means(window: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in window])) for name in window[0]}


# --- recording ------------------------------------------------------------------------------------------------------


def write_recording(directory: Path, recorded: Recorded) -> None:
    """Write the event files of one run: one event for all figures of a moment, float32 values, as TensorBoard does."""
    directory.mkdir(parents=True)
    for number, events in enumerate(file for file in recorded.files if file):
        begin = events[0][0]
        path = directory / f"events.out.tfevents.{int(begin):010d}.host.{number + 1}.0"
        with path.open("wb") as file:
            records = RecordWriter(file)
            records.write(Event(wall_time=begin - 0.01, file_version="brain.Event:2").SerializeToString())
            for time, step, figures in events:
                values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
                records.write(Event(wall_time=time, step=step, summary=Summary(value=values)).SerializeToString())


def record(recipe: Recipe, directory: Path) -> dict[str, object] | None:
    """Train a recipe and its healthy twin, record it, and return its label; None when it was dropped."""
    recorded = Training(recipe, SEED).run()
    label: dict[str, object] = {"part": recipe.part, "silence_seconds": recorded.silence_seconds, "faults": []}
    series = {name: recorded.series.get(tag, []) for name, tag in TAGS[recipe.style].items()}
    kind = recipe.injection.kind if recipe.injection else None
    if kind is None:
        if not effects.learned_well(series):
            return None
    else:
        twin = Training(replace(recipe, injection=None), SEED).run()
        twin_series = {name: twin.series.get(tag, []) for name, tag in TAGS[recipe.style].items()}
        effect = effects.EFFECTS[kind](series, twin_series, recipe.onset or 0)
        if effect is None or not effects.learned_well(twin_series):
            return None
        label["faults"] = [{"kind": kind, "onset_step": effect.onset_step, "effect": effect.words}]
    write_recording(directory / recipe.part / recipe.name, recorded)
    return label


# --- recipes --------------------------------------------------------------------------------------------------------

O: Part = "open"  # noqa: E741 (the tables below are read by columns)
A: Part = "apart"

_WELL = (
    Recipe(O, "spirals", "adam", 1e-3, "constant", 64, 1200, 10, "pytorch"),
    Recipe(O, "spirals", "momentum", 0.05, "one_cycle", 64, 1200, 10, "pytorch"),
    Recipe(O, "spirals", "sgd", 0.3, "restarts", 128, 1500, 10, "huggingface"),
    Recipe(O, "spirals", "adam", 2e-3, "cosine", 8, 1500, 15, "lightning"),
    Recipe(O, "waves", "adam", 3e-3, "warm_up", 64, 1200, 10, "huggingface"),
    Recipe(O, "waves", "sgd", 0.1, "steps", 32, 1500, 10, "pytorch"),
    Recipe(O, "waves", "momentum", 0.02, "cosine", 256, 900, 5, "lightning"),
    Recipe(O, "waves", "adam", 2e-3, "constant", 4, 1500, 10, "bare"),
    Recipe(O, "characters", "adam", 2e-3, "cosine", 64, 900, 10, "huggingface"),
    Recipe(O, "characters", "sgd", 0.5, "constant", 64, 1200, 10, "bare"),
    Recipe(O, "characters", "momentum", 0.05, "steps", 128, 900, 15, "pytorch", evaluations=60),
    Recipe(O, "faces", "adam", 3e-3, "one_cycle", 64, 1000, 10, "pytorch"),
    Recipe(O, "faces", "momentum", 0.02, "constant", 64, 1000, 10, "lightning"),
    Recipe(O, "faces", "adam", 2e-3, "warm_up", 0, 400, 2, "huggingface"),
    Recipe(O, "walker", "sgd", 0.3, "constant", 8, 400, 2, "stable_baselines", seconds=20),
    Recipe(O, "forger", "adam", 1e-3, "constant", 64, 2000, 10, "gan"),
    Recipe(O, "faces", "adam", 2e-3, "constant", 64, 1000, 10, "pytorch", injection=Injection("resume", 0.55, None)),
    Recipe(O, "waves", "momentum", 0.03, "cosine", 64, 1000, 10, "bare", injection=Injection("resume", 0.33, None)),
    Recipe(A, "clusters", "momentum", 0.005, "constant", 64, 1200, 10, "pytorch"),
    Recipe(A, "clusters", "adam", 5e-3, "restarts", 128, 1200, 10, "lightning"),
    Recipe(A, "clusters", "sgd", 0.2, "one_cycle", 16, 1500, 15, "huggingface"),
    Recipe(A, "noisy_curve", "adam", 2e-3, "cosine", 64, 1500, 10, "pytorch"),
    Recipe(A, "noisy_curve", "adam", 3e-3, "steps", 128, 1200, 10, "bare"),
    Recipe(A, "digits", "adam", 1e-3, "warm_up", 64, 700, 5, "huggingface"),
    Recipe(A, "digits", "momentum", 0.02, "cosine", 128, 500, 5, "lightning"),
    Recipe(A, "walker", "sgd", 0.1, "cosine", 8, 500, 4, "stable_baselines", seconds=45),
    Recipe(A, "forger", "adam", 5e-4, "warm_up", 64, 2500, 20, "gan"),
    Recipe(A, "clusters", "adam", 3e-3, "cosine", 64, 1000, 10, "bare", injection=Injection("resume", 0.7, None)),
)
_OPEN = {
    ("spirals", "adam", 1e-3, "constant", 64, 1200, 10, "pytorch"): (
        Injection("rate", 0.5, "divergence", 1000),
        Injection("division_by_zero", 0.6, "non_finite"),
        Injection("shuffled_labels", 0.55, "level_shift"),
        Injection("slow", 0.6, "slowdown", 3),
        Injection("resume_forgets", 0.55, "restart"),
    ),
    ("spirals", "momentum", 0.05, "cosine", 64, 1200, 10, "huggingface"): (
        Injection("rate", 0.35, "lr_schedule", 20),
        Injection("shuffled_validation", 0.0, "train_val_gap"),
        Injection("scaled_gradient", 0.3, "gradient_vanishing", 1 / 65536),
        Injection("no_rate", 0.3, "lr_low"),
        Injection("bad_shard", 0.5, "spike", 40),
    ),
    ("spirals", "sgd", 0.3, "constant", 64, 600, 4, "lightning"): (Injection("sorted_labels", 0.4, "oscillation"),),
    ("characters", "momentum", 0.05, "constant", 128, 400, 2, "pytorch"): (
        Injection("sorted_labels", 0.3, "level_shift"),
        Injection("shuffled_validation", 0.0, "train_val_gap"),
    ),
    ("waves", "adam", 3e-3, "cosine", 64, 1200, 10, "pytorch"): (
        Injection("scaled_gradient", 0.6, "gradient_explosion", 64),
        Injection("unscaled_inputs", 0.5, "level_shift", 4),
        Injection("few_samples", 0.0, "overfitting", 40),
        Injection("shuffled_validation", 0.0, "overfitting"),
        Injection("silent", 0.7, "stalled", 4000),
    ),
    ("waves", "sgd", 0.04, "constant", 64, 1200, 10, "bare"): (
        Injection("rate", 0.6, "divergence", 12),
        Injection("bad_shard", 0.6, "spike", 40),
        Injection("slow", 0.45, "slowdown", 2.2),
    ),
    ("waves", "sgd", 0.04, "constant", 0, 240, 1, "pytorch"): (Injection("frozen_weights", 0.45, "dead_value"),),
    ("characters", "adam", 2e-3, "constant", 64, 1200, 10, "huggingface"): (
        Injection("resume_old", 0.7, "restart"),
        Injection("division_by_zero", 0.35, "non_finite"),
        Injection("bad_shard", 0.55, "spike", 8),
    ),
    ("characters", "sgd", 0.5, "constant", 64, 1200, 10, "bare"): (
        Injection("shuffled_labels", 0.4, "level_shift"),
        Injection("scaled_gradient", 0.5, "divergence", -0.02),
        Injection("scaled_gradient", 0.4, "rising", -0.006),
    ),
    ("characters", "adam", 2e-3, "cosine", 128, 900, 3, "huggingface"): (Injection("frozen_weights", 0.0, "stuck"),),
    ("characters", "sgd", 0.5, "constant", 64, 1000, 4, "bare"): (Injection("no_rate", 0.0, "stuck"),),
    ("faces", "momentum", 0.02, "constant", 64, 1000, 5, "pytorch"): (
        Injection("rate", 0.5, "lr_schedule", 200),
        Injection("scaled_gradient", 0.5, "gradient_vanishing", 1 / 65536),
        Injection("scaled_gradient", 0.6, "divergence", -0.01),
        Injection("no_rate", 0.06, "lr_low"),
        Injection("resume_forgets", 0.78, "restart"),
    ),
    ("walker", "sgd", 0.3, "constant", 8, 400, 2, "stable_baselines"): (Injection("reversed", 0.5, "divergence"),),
    ("forger", "adam", 1e-3, "constant", 64, 2000, 10, "gan"): (Injection("broken", 0.5, "non_finite"),),
}
_APART = {
    ("clusters", "momentum", 0.005, "cosine", 64, 1500, 10, "pytorch"): (
        Injection("division_by_zero", 0.45, "non_finite"),
        Injection("rate", 0.4, "lr_schedule", 30),
        Injection("shuffled_labels", 0.35, "level_shift"),
        Injection("slow", 0.3, "slowdown", 4),
        Injection("no_rate", 0.15, "lr_low"),
        Injection("scaled_gradient", 0.35, "gradient_explosion", 200),
    ),
    ("clusters", "sgd", 0.05, "constant", 64, 1500, 10, "bare"): (
        Injection("scaled_gradient", 0.4, "rising", -0.5),
        Injection("bad_shard", 0.4, "spike", 60),
        Injection("silent", 0.5, "stalled", 9000),
    ),
    ("noisy_curve", "adam", 2e-3, "constant", 64, 1500, 10, "pytorch"): (
        Injection("resume_forgets", 0.6, "restart"),
        Injection("shuffled_labels", 0.45, "level_shift"),
        Injection("rate", 0.7, "divergence", 500),
    ),
    ("digits", "momentum", 0.003, "constant", 64, 700, 5, "huggingface"): (
        Injection("shuffled_validation", 0.0, "train_val_gap"),
        Injection("scaled_gradient", 0.15, "gradient_vanishing", 1 / 65536),
        Injection("rate", 0.55, "divergence", 200),
        Injection("bad_shard", 0.6, "spike", 6),
    ),
    ("digits", "momentum", 0.003, "constant", 64, 700, 2, "huggingface"): (Injection("frozen_weights", 0.0, "stuck"),),
    ("digits", "sgd", 0.1, "constant", 0, 200, 1, "pytorch"): (Injection("frozen_weights", 0.6, "dead_value"),),
    ("noisy_curve", "adam", 1e-3, "cosine", 16, 2000, 10, "pytorch"): (
        Injection("few_samples", 0.0, "overfitting", 25),
    ),
    ("clusters", "sgd", 0.2, "constant", 100, 600, 4, "lightning"): (Injection("sorted_labels", 0.5, "oscillation"),),
    ("walker", "sgd", 0.2, "constant", 8, 900, 6, "stable_baselines"): (Injection("reversed", 0.3, "divergence"),),
}


def _variants(part: Part, table: Mapping[tuple[object, ...], Sequence[Injection]]) -> Iterator[Recipe]:
    for columns, injections in table.items():
        for injection in injections:
            yield Recipe(part, *columns, injection=injection)  # type: ignore[arg-type]


RECIPES = (*_WELL, *_variants(O, _OPEN), *_variants(A, _APART))


def main(arguments: Sequence[str]) -> int:
    """Record every recipe of a part into a directory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--part", choices=["open", "apart", "all"], default="open")
    chosen = parser.parse_args(arguments)
    labels = {}
    for recipe in RECIPES:
        if chosen.part not in (recipe.part, "all"):
            continue
        label = record(recipe, chosen.directory)
        if label is None:
            print(f"dropped, no such effect: {recipe.part} {recipe.name}")
        else:
            labels[f"{recipe.part}/{recipe.name}"] = label
    target = chosen.directory / LABELS
    target.write_text(json.dumps(labels, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    unknown = {recipe.injection.kind for recipe in RECIPES if recipe.injection} - {None, *MEANINGS}
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
