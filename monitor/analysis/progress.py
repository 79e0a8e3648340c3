"""How far a run is, how fast it goes, when it ends, and whether it is alive. `now` is an argument.

Everything is measured inside the newest session, so a restart neither stretches the speed nor the time left, and with
medians, so a pause of hours does not either.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.analysis.series import last_of_each_step, last_session, visible
from monitor.schema import Configuration, Floats, Points, Progress, Roles, RunState, Scalars
from monitor.settings import ProgressSettings, Settings
from monitor.text import format_age, format_duration, format_step

_RECENT_GAPS = 200
_FEWEST_GAPS = 5
_CLOCK_TOLERANCE_SECONDS = 5.0

# --- totals --------------------------------------------------------------------------------------------------------

# Last parts of configuration keys that hold a total, the most usual first; "n_steps" and "num_steps" are not among
# them: they are lengths of rollouts and of diffusion processes.
_EPOCH_KEYS = (
    "max_epochs max_epoch num_train_epochs num_epochs n_epochs epochs total_epochs nb_epochs num_epoch max_num_epochs "
    "train_epochs training_epochs nepochs"
)
_STEP_KEYS = (
    "max_steps max_train_steps total_timesteps n_timesteps num_timesteps total_steps num_training_steps train_steps "
    "num_train_steps training_steps max_iter max_iters total_iters total_iterations max_iterations num_iterations "
    "iterations offline_steps steps"
)
_OTHER_SCOPE = re.compile(r"warm_?up|sched|eval|val|test|stopp|pretrain|diffusion|noise|data|swa|ema|env|sampl|infer")
_REINFORCEMENT_KEY = re.compile(r"(?:total|n|num)_timesteps|gae_lambda|trainer_type|clip_range")
_INNER_EPOCH_KEYS = ("n_epochs", "num_epochs", "num_epoch", "epochs")


@dataclass(frozen=True, slots=True)
class _Total:
    """A planned number and where it comes from."""

    count: int
    source: str


def find_totals(
    configuration: Configuration, settings: Settings | None = None
) -> tuple[int | None, int | None, str | None]:
    """Return the planned steps, the planned epochs and where they come from; None where nobody says.

    The settings win over the configuration. Of several keys the usual name and the shorter path win; keys of a
    scheduler, an evaluation or a warm-up are passed over, and so are the inner epochs of reinforcement learning.
    Numbers may be written as text (``"1e6"``); values that are not positive mean "no limit" and count as unknown.

    Returns:
        Steps, epochs, and a source such as ``config.yaml: training.max_epoch``, joined by ``; `` where both are
        known.

    Source: the options of Hugging Face TrainingArguments, Lightning's Trainer, Stable-Baselines3 and its zoo,
    Ultralytics, detectron2, OpenPCDet, ML-Agents and LeRobot.
    """
    steps, epochs = _totals(configuration, settings or Settings())
    sources = "; ".join(total.source for total in (steps, epochs) if total)
    return steps and steps.count, epochs and epochs.count, sources or None


def _totals(configuration: Configuration, settings: Settings) -> tuple[_Total | None, _Total | None]:
    steps = _find_total(configuration, _STEP_KEYS.split())
    inner = any(_REINFORCEMENT_KEY.fullmatch(_name_of(key)) for key in configuration.values)
    epoch_keys = [name for name in _EPOCH_KEYS.split() if not (inner and name in _INNER_EPOCH_KEYS)]
    epochs = _find_total(configuration, epoch_keys)
    if settings.total_steps is not None:
        steps = _Total(settings.total_steps, "settings: total_steps")
    if settings.total_epochs is not None:
        epochs = _Total(settings.total_epochs, "settings: total_epochs")
    return steps, epochs


def _find_total(configuration: Configuration, names: list[str]) -> _Total | None:
    found: list[tuple[int, int, str, int]] = []
    for key, value in configuration.values.items():
        name = _name_of(key)
        if name not in names or _OTHER_SCOPE.search(key[: -len(name)].lower()):
            continue
        count = _positive_count(value)
        if count is not None:
            found.append((names.index(name), key.count("."), key, count))
    if not found:
        return None
    *_, key, count = min(found)
    file = configuration.sources.get(key)
    return _Total(count, f"{file}: {key}" if file else key)


def _name_of(key: str) -> str:
    """Return the last part of a flattened key in lower case."""
    return key.rpartition(".")[2].lower()


def _positive_count(value: object) -> int | None:
    """Return a whole number above 0 from a number or its text, rounded up; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # "auto", an integer beyond every float
        return None
    return math.ceil(number) if math.isfinite(number) and number > 0 else None


# --- what a step is ------------------------------------------------------------------------------------------------


def steps_are_epochs(
    series: Mapping[str, Points], roles: Roles, configuration: Configuration, settings: Settings | None = None
) -> bool:
    """Return whether one step of the run's loss is one epoch.

    True on evidence only: an epoch series that equals the step, tags that say so (Keras ``epoch_loss``), a framework
    that always counts so (YOLO), an epoch duration written at every single step, or a loss at every single step of
    a run whose planned epochs reach beyond its last step while nothing speaks of planned steps. Otherwise False.
    """
    totals = _totals(configuration, settings or Settings())
    return _steps_are_epochs(series, roles, *totals)


def _steps_are_epochs(
    series: Mapping[str, Points], roles: Roles, total_steps: _Total | None, total_epochs: _Total | None
) -> bool:
    clock = visible(_clock(series, roles))
    if not len(clock) or clock.step[0] < 0:
        return False
    if roles.epoch is not None:
        return _epoch_equals_step(visible(series[roles.epoch.tag]))
    if roles.framework == "YOLO" or (roles.loss and roles.loss.tag.rpartition("/")[2].startswith("epoch_")):
        return True
    if not _at_every_step(clock):
        return False
    if roles.duration is not None and _same_steps(visible(series[roles.duration.tag]), clock):
        return True
    planned = total_epochs is not None and total_epochs.count >= clock.step[-1]
    return planned and total_steps is None and roles.framework is None


def _clock(series: Mapping[str, Points], roles: Roles) -> Points:
    """Return the series whose steps stand for the run: the loss, in reinforcement learning the reward.

    In a run trained on a reward the loss may count updates where everything else counts steps of the environment.
    """
    chosen = (roles.loss, *roles.scores, *roles.validation)
    if roles.loss is not None and roles.loss.direction is None and roles.scores:
        chosen = (roles.scores[0], roles.loss)
    found = next((series[role.tag] for role in chosen if role is not None and len(series[role.tag])), None)
    return found if found is not None else max(series.values(), key=len, default=Points.empty())


def _epoch_equals_step(epochs: Points) -> bool:
    offsets = epochs.value - epochs.step
    offsets = offsets[np.isfinite(offsets)]
    return len(offsets) > 1 and bool((offsets == offsets[0]).all()) and offsets[0] in (0, 1)


def _at_every_step(points: Points) -> bool:
    """Return whether there are at least two points and no step between them was left out."""
    gaps = np.diff(last_of_each_step(points).step)
    return len(gaps) > 0 and bool((gaps == 1).all())


def _same_steps(durations: Points, clock: Points) -> bool:
    """Return whether both series hold the same steps, but for one that may just be being written."""
    first, second = set(durations.step.tolist()), set(clock.step.tolist())
    return len(first ^ second) <= 1


def first_epoch_step(series: Mapping[str, Points], roles: Roles) -> int:
    """Return the step that stands for the first epoch where steps are epochs: 1 for trainers that count from 1."""
    steps = _clock(series, roles).step
    return 1 if len(steps) and int(steps.min()) == 1 else 0


# --- progress ------------------------------------------------------------------------------------------------------


def progress_of(
    scalars: Scalars, roles: Roles, configuration: Configuration, settings: Settings, now: float
) -> Progress:
    """Return how far the run is and how fast it goes.

    Speed and epoch time are medians over the last `ProgressSettings.recent_points` points of the newest session. The
    time left is what remains times the typical recent time: in epochs where the run counts epochs, else in steps. It
    is None when the run is complete or a total or the speed is unknown.

    Args:
        scalars: What was read.
        roles: Which tag means what.
        configuration: Where the totals come from.
        settings: Totals of the user, number of recent points.
        now: The moment, seconds UTC; a run cannot have an age before it.
    """
    series = {tag: points for tag, points in scalars.series.items() if len(points)}
    clock = visible(_clock(series, roles))
    total_steps, total_epochs = _totals(configuration, settings)
    if not len(clock):
        return _planned(total_steps, total_epochs)
    by_epoch = _steps_are_epochs(series, roles, total_steps, total_epochs)
    if by_epoch:
        total_steps, total_epochs = None, total_epochs or _user_steps(total_steps, settings)
    recent = settings.progress.recent_points
    step = int(clock.step[-1])
    speed = _speed(last_session(clock), recent)
    done = step - first_epoch_step(series, roles) + 1.0 if by_epoch else _epochs_done(series, roles)
    epoch_seconds = _epoch_seconds(series, roles, speed if by_epoch else None, recent)
    if epoch_seconds is None and speed and total_steps and total_epochs and not by_epoch:
        epoch_seconds = total_steps.count / total_epochs.count / speed
    epoch = None if done is None else int(done) if by_epoch else _epoch_in_work(series, roles, done, total_epochs)
    fraction, eta = _outlook(step, total_steps, speed, done, total_epochs, epoch_seconds)
    return Progress(
        step=step,
        epoch=epoch,
        total_steps=total_steps and total_steps.count,
        total_epochs=total_epochs and total_epochs.count,
        total_source="; ".join(total.source for total in (total_steps, total_epochs) if total) or None,
        steps_per_second=speed,
        epoch_seconds=epoch_seconds,
        eta_seconds=eta,
        steps_are_epochs=by_epoch,
        fraction=fraction,
    )
