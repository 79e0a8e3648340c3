"""How far a run is, how fast it goes, when it ends, and whether it is alive. `now` is an argument.

Everything is measured inside the newest session, so a restart neither stretches the speed nor the time left, and with
medians, so a pause of hours does not either.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from monitor.analysis.series import Best, Visible, last_session, metric_of, session_starts
from monitor.growing import Tally
from monitor.schema import Configuration, Floats, Metric, Points, Progress, Roles, RoleTag, RunState, Scalars, Steps
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
    """A planned number and where it comes from, such as ``config.yaml: training.max_epoch``."""

    count: int
    source: str


def _count(total: _Total | None) -> int | None:
    return None if total is None else total.count


def _sources(*totals: _Total | None) -> str | None:
    return "; ".join(total.source for total in totals if total is not None) or None


def _totals(configuration: Configuration, settings: Settings) -> tuple[_Total | None, _Total | None]:
    """Return the planned steps and the planned epochs, None where nobody says.

    The settings win over the configuration. Of several keys the usual name and the shorter path win; keys of a
    scheduler, an evaluation or a warm-up are passed over, and so are the inner epochs of reinforcement learning.
    Numbers may be written as text (``"1e6"``); values that are not positive mean "no limit" and count as unknown.

    Source: the options of Hugging Face TrainingArguments, Lightning's Trainer, Stable-Baselines3 and its zoo,
    Ultralytics, detectron2, OpenPCDet, ML-Agents and LeRobot.
    """
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


# --- what is remembered --------------------------------------------------------------------------------------------


class _DistinctSteps(Tally):
    """How many different steps the visible points of a series have."""

    def clear(self) -> None:
        self.count = 0

    def add(self, points: Points, seen: int) -> None:
        if not seen:
            self.count = 1
        self.count += int(np.count_nonzero(np.diff(points.step[max(seen - 1, 0) :])))


class _Epochs(Tally):
    """What an epoch series holds.

    Attributes:
        count: Finite values.
        offsets: Smallest and largest distance of a finite value from its step.
        lowest: Smallest finite value that is not negative.
        newest: The last one; None without one.
        fractional: Whether any of them lies between two epochs.
    """

    def clear(self) -> None:
        self.count = 0
        self.offsets = (math.inf, -math.inf)
        self.lowest = math.inf
        self.newest: float | None = None
        self.fractional = False

    def add(self, points: Points, seen: int) -> None:
        finite = np.isfinite(points.value[seen:])
        values = points.value[seen:][finite]
        offsets = values - points.step[seen:][finite]
        self.count += len(values)
        self.offsets = (
            float(offsets.min(initial=self.offsets[0])),
            float(offsets.max(initial=self.offsets[1])),
        )
        epochs = values[values >= 0]
        if len(epochs):
            self.lowest = float(epochs.min(initial=self.lowest))
            self.newest = float(epochs[-1])
            self.fractional = self.fractional or bool((epochs != np.floor(epochs)).any())

    @property
    def equals_step(self) -> bool:
        """Whether every value is its step, or its step and one."""
        return self.count > 1 and self.offsets in ((0.0, 0.0), (1.0, 1.0))


class _Changes(Tally):
    """When a count last changed within one session: the newest `recent` + 1 changes and their times.

    Args:
        recent: Intervals between changes to keep.
        of_steps: Whether the steps are counted, or the values.
    """

    def __init__(self, recent: int, of_steps: bool) -> None:
        self._recent = recent
        self._of_steps = of_steps
        super().__init__()

    def clear(self) -> None:
        self._counts: Floats = np.empty(0)
        self._times: Floats = np.empty(0)

    def add(self, points: Points, seen: int) -> None:
        counts = (points.step if self._of_steps else points.value)[seen:].astype(np.float64)
        finite = np.isfinite(counts)
        counts, times = counts[finite], points.wall_time[seen:][finite]
        before = self._counts[-1:] if len(self._counts) else np.array([np.nan])
        changed = counts != np.concatenate((before, counts[:-1]))
        self._counts = np.concatenate((self._counts, counts[changed]))[-self._recent - 1 :]
        self._times = np.concatenate((self._times, times[changed]))[-self._recent - 1 :]

    @property
    def seconds_per_unit(self) -> float | None:
        """The median time per unit between the last changes, None without two."""
        units, seconds = np.diff(self._counts), np.diff(self._times)
        forward = (units > 0) & (seconds > 0)
        return float(np.median(seconds[forward] / units[forward])) if forward.any() else None


class SeriesMemory:
    """What was found out of the series of one run, so that a refresh looks at new points only.

    Whatever is asked, the answer is that of a memory which begins now. Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._visible: dict[str, Visible] = {}
        self._steps: dict[str, _DistinctSteps] = {}
        self._epochs: dict[str, _Epochs] = {}
        self._changes: dict[tuple[str, int, bool], _Changes] = {}
        self._best: dict[RoleTag, Best] = {}

    def visible(self, tag: str, points: Points) -> Points:
        """Return the visible points of a series, as `series.visible` does."""
        tally = self._visible.setdefault(tag, Visible())
        tally.follow(points)
        return tally.points

    def metric(self, shown: Points, role: RoleTag) -> Metric | None:
        """Return the figures of visible points, as `series.metric_of` does."""
        return metric_of(shown, role, self._best.setdefault(role, Best(role)))

    def distinct_steps(self, tag: str, shown: Points) -> int:
        """Return how many different steps visible points have."""
        tally = self._steps.setdefault(tag, _DistinctSteps())
        tally.follow(shown)
        return tally.count

    def epochs(self, tag: str, shown: Points) -> _Epochs:
        """Return what the visible points of an epoch series hold."""
        tally = self._epochs.setdefault(tag, _Epochs())
        tally.follow(shown)
        return tally

    def seconds_per_unit(self, tag: str, session: Points, recent: int, *, of_steps: bool) -> float | None:
        """Return the median time per unit between the last `recent` changes of a count, None without one."""
        tally = self._changes.setdefault((tag, recent, of_steps), _Changes(recent, of_steps))
        tally.follow(session)
        return tally.seconds_per_unit


@dataclass(frozen=True, slots=True)
class _Known:
    """The series of a run that hold points, and what is remembered of them."""

    series: Mapping[str, Points]
    memory: SeriesMemory

    def points(self, tag: str | None) -> Points:
        return Points.empty() if tag is None else self.series[tag]

    def visible(self, tag: str | None) -> Points:
        return Points.empty() if tag is None else self.memory.visible(tag, self.series[tag])

    def epochs(self, tag: str) -> _Epochs:
        return self.memory.epochs(tag, self.visible(tag))

    def distinct_steps(self, tag: str) -> int:
        return self.memory.distinct_steps(tag, self.visible(tag))

    def seconds_per_unit(self, tag: str, recent: int, *, of_steps: bool) -> float | None:
        return self.memory.seconds_per_unit(tag, last_session(self.visible(tag)), recent, of_steps=of_steps)


# --- what a step is ------------------------------------------------------------------------------------------------


def _steps_are_epochs(known: _Known, roles: Roles, total_steps: _Total | None, total_epochs: _Total | None) -> bool:
    """Return whether one step of the run's loss is one epoch.

    True on evidence only: an epoch series that equals the step, tags that say so (Keras ``epoch_loss``), a framework
    that always counts so (YOLO), an epoch duration written at every single step, or a loss at every single step of
    a run whose planned epochs reach beyond its last step while nothing speaks of planned steps. Otherwise False.
    """
    tag = _clock(known.series, roles)
    clock = known.visible(tag)
    if tag is None or clock.step[0] < 0:
        return False
    if roles.epoch is not None:
        return known.epochs(roles.epoch.tag).equals_step
    if roles.framework == "YOLO":
        return True
    if not _at_every_step(known, tag):
        return False
    if roles.loss is not None and roles.loss.tag.rpartition("/")[2].startswith("epoch_"):
        return True
    if roles.duration is not None and _same_steps(known, roles.duration.tag, tag):
        return True
    planned = total_epochs is not None and total_epochs.count >= clock.step[-1]
    return len(clock) > 1 and planned and total_steps is None and roles.framework is None


def _clock(series: Mapping[str, Points], roles: Roles) -> str | None:
    """Return the tag whose steps stand for the run: the loss, in reinforcement learning the reward; None without one.

    In a run trained on a reward the loss may count updates where everything else counts steps of the environment.
    """
    chosen: tuple[RoleTag | None, ...] = (roles.loss, *roles.scores, *roles.validation)
    if roles.loss is not None and roles.loss.direction is None and roles.scores:
        chosen = (roles.scores[0], roles.loss)
    found = next((role.tag for role in chosen if role is not None and role.tag in series), None)
    return found if found is not None else max(series, key=lambda tag: len(series[tag]), default=None)


def _at_every_step(known: _Known, tag: str) -> bool:
    """Return whether no step between the first and the last was left out."""
    steps = known.visible(tag).step
    return known.distinct_steps(tag) == int(steps[-1]) - int(steps[0]) + 1


def _same_steps(known: _Known, tag: str, clock: str) -> bool:
    """Return whether a series holds the same steps as one that left none out, but for one that may be being written."""
    steps, clock_steps = known.visible(tag).step, known.visible(clock).step
    first, last = int(clock_steps[0]), int(clock_steps[-1])
    before, after = steps[: np.searchsorted(steps, first)], steps[np.searchsorted(steps, last, "right") :]
    outside = _distinct(before) + _distinct(after)
    if outside > 1:
        return False
    missing = last - first + 1 - (known.distinct_steps(tag) - outside)
    return outside + missing <= 1


def _distinct(steps: Steps) -> int:
    """Return how many different steps an ascending series has; 2 stands for more."""
    return int(len(steps) > 0) + int(len(steps) > 0 and steps[0] != steps[-1])


def _first_epoch_step(known: _Known, roles: Roles) -> int:
    """Return the step that stands for the first epoch where steps are epochs: 1 for trainers that count from 1."""
    points = known.points(_clock(known.series, roles))
    first_steps = points.step[session_starts(points)]
    return 1 if len(first_steps) and int(first_steps.min()) == 1 else 0


# --- progress ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is planned, and in which unit the run counts."""

    steps: _Total | None
    epochs: _Total | None
    first_epoch_step: int | None

    @property
    def by_epoch(self) -> bool:
        """Whether one step is one epoch."""
        return self.first_epoch_step is not None


@dataclass(frozen=True, slots=True)
class _Remainder:
    """What of the plan is done and left, in the unit that tells most.

    Args:
        fraction: Share done, 0–1.
        left: Steps or epochs that remain; 0 when the plan is fulfilled.
        unit_seconds: Typical recent time of one of them.
    """

    fraction: float | None = None
    left: float | None = None
    unit_seconds: float | None = None


def progress_of(
    scalars: Scalars,
    roles: Roles,
    configuration: Configuration,
    settings: Settings,
    now: float,
    memory: SeriesMemory | None = None,
) -> Progress:
    """Return how far the run is and how fast it goes.

    Speed and epoch time are medians over the last `ProgressSettings.recent_points` points of the newest session. The
    time left is what remains times the typical recent time, less the part of it that has passed since the last point:
    in epochs where the run counts epochs, else in steps. It is None when the plan is fulfilled, or a total or the
    speed is unknown.

    Args:
        scalars: What was read.
        roles: Which tag means what.
        configuration: Where the totals come from.
        settings: Totals of the user, number of recent points.
        now: The moment, seconds UTC.
        memory: What an earlier call found out of the run; brought up to date.
    """
    series = {tag: points for tag, points in scalars.series.items() if len(points)}
    roles = _present(roles, series)
    known = _Known(series, memory or SeriesMemory())
    plan = _plan(known, roles, configuration, settings)
    tag = _clock(series, roles)
    if tag is None:
        return _progress(plan)
    clock = known.visible(tag)
    speed = _speed(known, tag, settings.progress.recent_points)
    epoch_seconds = _epoch_seconds(known, roles, plan, speed, settings.progress.recent_points)
    done, epoch = _epoch_position(known, roles, plan)
    rest = _remainder(plan, int(clock.step[-1]), speed, done, epoch_seconds)
    return _progress(
        plan,
        step=int(clock.step[-1]),
        epoch=epoch,
        steps_per_second=speed,
        epoch_seconds=epoch_seconds,
        eta_seconds=_eta(rest, last_session(clock), now),
        fraction=rest.fraction,
    )


def _present(roles: Roles, series: Mapping[str, Points]) -> Roles:
    """Return the roles without tags that have no point."""

    def kept(role: RoleTag | None) -> RoleTag | None:
        return role if role is not None and role.tag in series else None

    return replace(
        roles,
        loss=kept(roles.loss),
        epoch=kept(roles.epoch),
        duration=kept(roles.duration),
        validation=tuple(role for role in roles.validation if role.tag in series),
        scores=tuple(role for role in roles.scores if role.tag in series),
    )


def _plan(known: _Known, roles: Roles, configuration: Configuration, settings: Settings) -> _Plan:
    """Return the totals in the unit the run counts in: planned iterations say nothing where steps are epochs."""
    steps, epochs = _totals(configuration, settings)
    if not _steps_are_epochs(known, roles, steps, epochs):
        return _Plan(steps, epochs, None)
    from_user = steps if settings.total_steps is not None else None
    return _Plan(None, epochs or from_user, _first_epoch_step(known, roles))


def _progress(
    plan: _Plan,
    step: int | None = None,
    epoch: int | None = None,
    steps_per_second: float | None = None,
    epoch_seconds: float | None = None,
    eta_seconds: float | None = None,
    fraction: float | None = None,
) -> Progress:
    return Progress(
        step=step,
        epoch=epoch,
        total_steps=_count(plan.steps),
        total_epochs=_count(plan.epochs),
        total_source=_sources(plan.steps, plan.epochs),
        steps_per_second=steps_per_second,
        epoch_seconds=epoch_seconds,
        eta_seconds=eta_seconds,
        first_epoch_step=plan.first_epoch_step,
        fraction=fraction,
    )


def _speed(known: _Known, clock: str, recent: int) -> float | None:
    """Return the recent steps per second of one session, None with fewer than two distinct (step, time) pairs.

    Source: the window of rich's `Task.speed`, with the median of the intervals in place of their mean.
    """
    seconds = known.seconds_per_unit(clock, recent, of_steps=True)
    return None if seconds is None else 1 / seconds


def _epoch_seconds(known: _Known, roles: Roles, plan: _Plan, speed: float | None, recent: int) -> float | None:
    """Return the typical recent time of one epoch: as logged, else as timed, else from the planned steps per epoch."""
    if roles.duration is not None:
        durations = last_session(known.visible(roles.duration.tag)).value[-recent:] * roles.duration.scale
        durations = durations[np.isfinite(durations) & (durations > 0)]
        if len(durations):
            return float(np.median(durations))
    if plan.by_epoch:
        return None if speed is None else 1 / speed
    if roles.epoch is not None:
        timed = known.seconds_per_unit(roles.epoch.tag, recent, of_steps=False)
        if timed is not None:
            return timed
    if speed is None or plan.steps is None or plan.epochs is None:
        return None
    return plan.steps.count / plan.epochs.count / speed


def _epoch_position(known: _Known, roles: Roles, plan: _Plan) -> tuple[float | None, int | None]:
    """Return the epochs done and the number of the epoch in work, counted from 1; None where nobody says.

    Where steps are epochs the point of an epoch is written at its end, so the epoch of the newest point is done. An
    epoch series either grows in fractions (Hugging Face) or names the epoch in work, from 0 or from 1.
    """
    if plan.first_epoch_step is not None:
        done = int(known.visible(_clock(known.series, roles)).step[-1]) - plan.first_epoch_step + 1
        return float(done), done
    epochs = known.epochs(roles.epoch.tag) if roles.epoch is not None else None
    if epochs is None or epochs.newest is None:
        return None, None
    limit = plan.epochs.count if plan.epochs else math.inf
    if epochs.fractional:
        return epochs.newest, int(max(min(math.ceil(epochs.newest), limit), 1))
    from_zero = roles.framework == "Lightning" or epochs.lowest == 0
    in_work = int(min(epochs.newest + from_zero, limit))
    return float(in_work - 1), in_work


def _remainder(
    plan: _Plan, step: int, speed: float | None, epochs_done: float | None, epoch_seconds: float | None
) -> _Remainder:
    """Return what is left of the planned steps, or of the planned epochs where no steps are planned.

    The last of n steps counted from 0 is n − 1; reaching it fulfils the plan.
    """
    if plan.steps is not None:
        left = max(plan.steps.count - step, 0) if step < plan.steps.count - 1 else 0
        fraction = step / plan.steps.count if left else 1.0
        return _Remainder(max(fraction, 0.0), left, 1 / speed if speed else None)
    if plan.epochs is not None and epochs_done is not None:
        left_epochs = max(plan.epochs.count - epochs_done, 0.0)
        return _Remainder(min(epochs_done / plan.epochs.count, 1.0), left_epochs, epoch_seconds)
    return _Remainder()


def _eta(rest: _Remainder, session: Points, now: float) -> float | None:
    """Return the time left; what has passed since the last point counts, up to the usual distance of two points."""
    if not rest.left or rest.unit_seconds is None:
        return None
    recent = session.wall_time[-_RECENT_GAPS:]
    usual = float(np.median(np.diff(recent))) if len(recent) > 1 else 0.0
    passed = min(max(now - float(recent[-1]), 0.0), max(usual, 0.0))
    return max(rest.left * rest.unit_seconds - passed, 0.0)


# --- state ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """How often events come in the newest session, and how many steps lie between two.

    Args:
        gaps: Seconds between the last events of the tag that is written most often, shape ``(n_gaps,)``.
        stride: Its usual distance in steps, 0 with fewer than two steps.
    """

    gaps: Floats
    stride: float

    @property
    def usual_seconds(self) -> float | None:
        """The typical gap; None with too few gaps, or for events written in bursts."""
        median = float(np.median(self.gaps)) if len(self.gaps) >= _FEWEST_GAPS else 0.0
        return median if median >= 1e-3 else None


def state_of(scalars: Scalars, progress: Progress, settings: Settings, now: float) -> RunState:
    """Return whether the run is waiting, running, stalled or finished, with the evidence.

    Finished is a run that fulfilled its plan, that fell silent within one logging interval of its end, or whose
    silence is older than `ProgressSettings.inactive_seconds`. Silence is measured against the run's own rhythm.

    Args:
        scalars: What was read.
        progress: As `progress_of` returned it for the same scalars.
        settings: When silence counts as a stall.
        now: The moment, seconds UTC; a last event after it is reported, not hidden.
    """
    if not scalars.count:
        return RunState("waiting", _waiting_reason(scalars, now))
    rhythm = _rhythm(scalars)
    silence = now - _last_event(scalars)
    limit = _silence_limit(rhythm, progress, settings.progress)
    fulfilled = progress.fraction == 1.0
    if fulfilled and (silence > limit or not _is_beyond(progress)):
        return RunState("finished", f"{_plan_done(progress)} The last event came {format_age(silence)}.")
    if silence > limit and _is_near_end(progress, rhythm):
        return RunState("finished", _near_end_reason(progress, silence))
    if silence > max(limit, settings.progress.inactive_seconds):
        age = format_duration(silence)
        reason = f"The last event is {age} old; nothing says the run ended, so it counts as finished."
        return RunState("finished", reason)
    if silence > limit:
        return RunState("stalled", _stalled_reason(rhythm, silence))
    return RunState("running", _running_reason(rhythm, progress, silence))


def _waiting_reason(scalars: Scalars, now: float) -> str:
    if scalars.last_event is None:
        return "No event has been written yet."
    return f"No scalar has been written yet; the last event came {format_age(now - scalars.last_event)}."


def _last_event(scalars: Scalars) -> float:
    newest = max(float(points.wall_time[-1]) for points in scalars.series.values() if len(points))
    return newest if scalars.last_event is None else scalars.last_event


def _rhythm(scalars: Scalars) -> _Rhythm:
    series = [points for points in scalars.series.values() if len(points)]
    newest = max(int(points.session[-1]) for points in series)
    fastest = last_session(max((points for points in series if points.session[-1] == newest), key=len))
    moments = np.unique(fastest.wall_time[-_RECENT_GAPS - 1 :])
    strides = np.diff(np.unique(fastest.step[-_RECENT_GAPS - 1 :]))
    return _Rhythm(np.diff(moments), float(np.median(strides)) if len(strides) else 0.0)


def _silence_limit(rhythm: _Rhythm, progress: Progress, settings: ProgressSettings) -> float:
    """Return how long the run may be silent before it counts as stalled.

    Pauses for evaluations and checkpoints lie inside the 99th percentile of the gaps. A single pause of days does not
    excuse the next one. An epoch time that is logged counts like a gap, so that a first slow epoch is no stall.
    """
    gaps = rhythm.gaps
    if len(gaps) < _FEWEST_GAPS:
        allowed = min(3 * float(gaps.max(initial=0.0)), settings.inactive_seconds)
        limit = max(settings.stalled_unknown_seconds, allowed)
    else:
        typical, long = np.percentile(gaps, (50, 99))
        allowed = min(3 * float(long), settings.inactive_seconds)
        limit = max(settings.stalled_seconds, settings.stalled_gap_factor * float(typical), allowed)
    if progress.steps_are_epochs and progress.epoch_seconds is not None:
        limit = max(limit, 3 * progress.epoch_seconds)
    return limit


def _is_beyond(progress: Progress) -> bool:
    """Return whether the run went past its plan, so that the plan no longer tells when it ends."""
    if progress.total_steps is not None:
        return (progress.step or 0) > progress.total_steps
    if progress.total_epochs is None or not progress.steps_are_epochs:
        return False
    return (progress.epoch or 0) > progress.total_epochs


def _is_near_end(progress: Progress, rhythm: _Rhythm) -> bool:
    """Return whether less than one logging interval, or only the epoch in work, was left of the plan."""
    if progress.total_steps is not None:
        return progress.step is not None and progress.total_steps - progress.step <= rhythm.stride
    if progress.total_epochs is None or progress.steps_are_epochs:
        return False
    return progress.epoch is not None and progress.epoch >= progress.total_epochs


def _plan_done(progress: Progress) -> str:
    if progress.total_steps is not None:
        total = format_step(progress.total_steps)
        return f"Step {total} of {total} is done."
    total = format_step(progress.total_epochs)
    return f"Epoch {total} of {total} is done."


def _near_end_reason(progress: Progress, silence: float) -> str:
    age = format_age(silence)
    if progress.total_steps is not None:
        step, total = format_step(progress.step), format_step(progress.total_steps)
        return f"The last event came {age}, at step {step} of {total}: less than one logging interval before the end."
    return f"The last event came {age}, in epoch {format_step(progress.epoch)}, the last one planned."


def _stalled_reason(rhythm: _Rhythm, silence: float) -> str:
    age = format_age(silence)
    if rhythm.usual_seconds is None:
        return f"The last event came {age}, and nothing says the run ended."
    return f"The last event came {age}; usually one comes every {format_duration(rhythm.usual_seconds)}."


def _running_reason(rhythm: _Rhythm, progress: Progress, silence: float) -> str:
    if silence < -_CLOCK_TOLERANCE_SECONDS:
        lead = format_duration(-silence)
        return f"The last event lies {lead} in the future: the clock it was written by is ahead of this one."
    age = format_age(silence)
    if _is_beyond(progress):
        return f"{_plan_done(progress)} Events still come, the last one {age}."
    if rhythm.usual_seconds is None:
        return f"The last event came {age}."
    return f"The last event came {age}; usually one comes every {format_duration(rhythm.usual_seconds)}."
