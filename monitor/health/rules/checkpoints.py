"""What is saved of the run: nothing, nothing for long, not where it was best, or a file that cannot be whole."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.health.episodes import Change, Episode, Place
from monitor.health.rules.rule import AtOnce, Rule, Text, present
from monitor.health.scene import Scene
from monitor.health.track import Track
from monitor.schema import SEVERITIES, Checkpoint, Severity
from monitor.text import format_age, format_bytes, format_duration, format_step, plain

LEAST_SECONDS = 600.0
LEAST_SHARE = 0.1
LEAST_EVALUATIONS = 4
UNPLANNED_SECONDS = 3600.0
"""A run that is longer than all of these should have saved something: ten minutes, a tenth of its plan, three
intervals between evaluations; an hour where neither plan nor evaluations are known."""

LEAST_NUMBERED = 4
LATEST_NUMBERED = 10
UNEVEN = 1.5

LEAST_BEST_EVALUATIONS = 5

LOST = ("non_finite", "divergence", "rising")
"""Findings after which one goes back to a checkpoint; a slow run, or one that learns nothing, needs none."""

SETTLED_SECONDS = 600.0
"""A file that was changed later than this ago may still be being written."""
LEAST_ALIKE = 4


# --- missing -------------------------------------------------------------------------------------------------------


def _find_missing(scene: Scene) -> list[Episode]:
    if not scene.evidence.checkpoints.saved:
        return _none_saved(scene)
    return [*_overdue(scene), *_best_unsaved(scene)]


def _none_saved(scene: Scene) -> list[Episode]:
    """Return that a running run has saved nothing beside its events by now.

    Many trainers save elsewhere, so this is a notice, unless the loss is in serious trouble: then there is nothing to
    return to.
    """
    due = _due_time(scene)
    if not _trains(scene) or scene.evidence.state.state != "running" or due is None or due > _latest(scene):
        return []
    changes = [Change(due, "notice", True)]
    trouble = _trouble_time(scene)
    if trouble is not None:
        changes.append(Change(max(due, trouble), "error", True))
    place = Place(None, due)
    return [
        Episode("checkpoint_missing", None, place, place, changes, facts={"waited": _latest(scene) - _start(scene)})
    ]


def _trains(scene: Scene) -> bool:
    """Tell whether this is a training: an evaluation that is logged in a directory of its own saves nothing."""
    return scene.loss is not None or scene.reward is not None


def _start(scene: Scene) -> float:
    return float(scene.clock.arrival[0]) if scene.clock is not None else math.inf


def _latest(scene: Scene) -> float:
    return float(scene.clock.arrival[-1]) if scene.clock is not None else -math.inf


def _due_time(scene: Scene) -> float | None:
    """Return when a first checkpoint could be expected, None where that has not come."""
    clock, fraction = scene.clock, scene.evidence.progress.fraction
    if clock is None:
        return None
    evaluated = [float(track.time[LEAST_EVALUATIONS - 1]) for track in _evaluations(scene)]
    others = min([*evaluated, _start(scene) + UNPLANNED_SECONDS])
    if not fraction:
        return max(others, _start(scene) + LEAST_SECONDS)
    share = int(np.searchsorted(clock.step, LEAST_SHARE / fraction * int(clock.step[-1]))) if len(clock) else 0
    if share >= len(clock):
        return None
    planned = float(clock.time[share])
    return max(planned, _start(scene) + LEAST_SECONDS, min(evaluated, default=planned))


def _evaluations(scene: Scene) -> Sequence[Track]:
    return [track for track in (*scene.validations, *scene.scores) if len(track) >= LEAST_EVALUATIONS]


def _trouble_time(scene: Scene) -> float | None:
    """Return since when what was learned is being lost, None where it is not; asks the rules replayed before."""
    tags = {track.tag for track in present(scene.loss, scene.judged)}
    grave = [one for one in scene.episodes if one.kind in LOST and one.tag in tags and _is_grave(one)]
    times = (next(change.time for change in one.changes if _rank(change.severity) >= _rank("error")) for one in grave)
    return min(times, default=None)


def _is_grave(episode: Episode) -> bool:
    return episode.now.open and _rank(episode.now.severity) >= _rank("error")


def _rank(severity: Severity) -> int:
    return SEVERITIES.index(severity)


@dataclass(frozen=True, slots=True)
class _Numbered:
    """The checkpoints whose names tell where they were saved, in one unit, oldest first.

    Args:
        unit: ``epoch``, as people count it, or ``step``.
        saved: The checkpoints.
        numbers: Their epochs or steps, ascending.
    """

    unit: str
    saved: tuple[Checkpoint, ...]
    numbers: tuple[int, ...]

    @property
    def interval(self) -> float:
        """The usual distance of two; 0 while there are not two."""
        return float(np.median(np.diff(self.numbers))) if len(self.numbers) > 1 else 0.0

    @property
    def is_regular(self) -> bool:
        """Whether there are enough of them, at equal distances: those kept because they were good are not."""
        return len(self.numbers) >= LEAST_NUMBERED and bool(np.diff(self.numbers).max() <= UNEVEN * self.interval)

    @property
    def interval_seconds(self) -> float:
        """The usual time between two."""
        return float(np.median(np.abs(np.diff([one.modified for one in self.saved]))))


def _numbered(scene: Scene) -> _Numbered:
    """Return the newest checkpoints with numbers, in the unit that most of them tell."""
    saved = scene.evidence.checkpoints.saved
    epochs = {one.epoch: one for one in reversed(saved) if one.epoch is not None}
    steps = {one.step: one for one in reversed(saved) if one.step is not None}
    unit, chosen = ("epoch", epochs) if len(epochs) >= len(steps) else ("step", steps)
    numbers = tuple(sorted(chosen))[-LATEST_NUMBERED:]
    return _Numbered(unit, tuple(chosen[number] for number in numbers), numbers)


def _overdue(scene: Scene) -> Iterator[Episode]:
    """Yield that no checkpoint was saved for several of its usual intervals, in its own unit and in time.

    A warning; a notice where the newest one was saved at the best evaluation, since it may be that only better ones
    are saved.
    """
    found, newest, progress = _numbered(scene), scene.evidence.checkpoints.newest, scene.evidence.progress
    position = progress.epoch if found.unit == "epoch" else progress.step
    if scene.evidence.state.state != "running" or not found.is_regular or position is None or newest is None:
        return
    behind, intervals = position - found.numbers[-1], scene.settings.health.checkpoint_overdue_factor
    due = newest.modified + max(intervals * found.interval_seconds, LEAST_SECONDS)
    if behind < intervals * found.interval or due > _latest(scene):
        return
    severity: Severity = "notice" if _is_best(scene, found) else "warning"
    facts = {"age": _latest(scene) - newest.modified, "behind": float(behind), "interval": found.interval}
    place = Place(_step(scene, found, found.numbers[-1]), due)
    yield Episode(
        "checkpoint_missing", None, place, place, [Change(due, severity, True)], facts=facts, part=f"every {found.unit}"
    )


def _step(scene: Scene, found: _Numbered, number: int) -> int | None:
    """Return the logged step of a checkpoint's number, None where its epoch cannot be told as a step."""
    if found.unit == "step":
        return number
    first = scene.evidence.first_epoch_step
    return None if first is None else number - 1 + first


@dataclass(frozen=True, slots=True)
class _Best:
    """The best evaluation: its row, and the usual steps between two evaluations."""

    track: Track
    row: int
    interval: float


def _best(track: Track) -> _Best | None:
    """Return the best evaluation of a series, None with too few."""
    if len(track) < LEAST_BEST_EVALUATIONS:
        return None
    return _Best(track, int(track.value.argmin()), float(np.median(np.diff(track.step))))


def _is_best(scene: Scene, found: _Numbered) -> bool:
    """Tell whether the newest checkpoint was saved at the best evaluation of any series."""
    step = _step(scene, found, found.numbers[-1])
    bests = [_best(track) for track in (*scene.validations, *scene.scores, *present(scene.reward))]
    return step is not None and any(
        abs(step - int(best.track.step[best.row])) <= best.interval for best in bests if best is not None
    )


def _best_unsaved(scene: Scene) -> Iterator[Episode]:
    """Yield that no checkpoint is left from near the best evaluation: as near as one saves, or evaluates."""
    track, found = next(iter((*scene.validations, *scene.scores)), None), _numbered(scene)
    best = _best(track) if track is not None else None
    kept = any(one.kind == "best" for one in scene.evidence.checkpoints.saved)
    steps = [_step(scene, found, number) for number in found.numbers]
    if best is None or kept or not steps or best.row >= len(best.track) - 1:
        return
    place = scene.place(best.track, best.row)
    distances = [abs(step - (place.step or 0)) for step in steps if step is not None]
    if not distances or min(distances) <= max(best.interval, found.interval):
        return
    value = best.track.shown(float(best.track.value[best.row]))
    known = scene.place(best.track, best.row + 1)
    changes = [Change(known.time, "notice", True)]
    yield Episode(
        "checkpoint_missing", best.track.tag, place, known, changes, value=value, facts={"best": value}, part="best"
    )


def _missing_text(episode: Episode, scene: Scene) -> Text:
    facts = episode.facts
    if "best" in facts:
        return Text(
            f'No checkpoint is left from near {scene.named(episode.onset.step)}, where "{plain(episode.tag or "")}" '
            f"was best.",
            "Save the best model by that metric, or keep more checkpoints.",
        )
    if "behind" in facts:
        newest = scene.evidence.checkpoints.newest
        return Text(
            f'The newest checkpoint, "{plain(newest.name if newest else "")}", was saved {format_age(facts["age"])}; '
            f"{format_step(int(facts['behind']))} {_numbered(scene).unit}s have passed since, and usually one is saved "
            f"every {format_step(round(facts['interval']))}.",
            "Look whether saving fails: a full disk, missing permission, or an error in the job's own log.",
        )
    return Text(
        f"After {format_duration(facts['waited'])} of training no checkpoint lies beside the run.",
        _advice_none_saved(episode),
    )


def _advice_none_saved(episode: Episode) -> str:
    if episode.now.severity == "error":
        return (
            "The loss is in trouble and there is nothing to return to here: look where the trainer saves, and save "
            "regularly from now on."
        )
    return "Nothing to do if the trainer saves elsewhere; otherwise save regularly, so that a crash costs little."


def _missing_coverage(scene: Scene) -> str | None:
    state = scene.evidence.state.state
    if scene.evidence.checkpoints.saved:
        return None
    if state != "running":
        return f"Does not apply: the run is {state} and there are no checkpoints beside it."
    if not _trains(scene):
        return "There is no training series."
    due = _due_time(scene)
    return None if due is not None and due <= _latest(scene) else "The run is too young to have saved a checkpoint."


# --- damaged -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Damaged:
    """A checkpoint that cannot be whole, and the usual size of its kind; None where it is simply empty."""

    checkpoint: Checkpoint
    usual_bytes: int | None


def _damaged(scene: Scene) -> list[_Damaged]:
    """Return the checkpoints that cannot be whole, newest first."""
    settled = [one for one in scene.evidence.checkpoints.saved if one.modified <= scene.now - SETTLED_SECONDS]
    empty = [_Damaged(one, None) for one in settled if not one.size_bytes and not _is_placeholder(one)]
    small = [one for one in _small(scene) if one.checkpoint in settled]
    return sorted([*empty, *small], key=lambda one: (-one.checkpoint.modified, one.checkpoint.name))


def _is_placeholder(checkpoint: Checkpoint) -> bool:
    """Tell whether this may be a directory made beforehand, for a best or last model that is yet to come."""
    return checkpoint.kind in ("best", "last") and "." not in checkpoint.name.rpartition("/")[2]


def _small(scene: Scene) -> Iterator[_Damaged]:
    """Yield those less than a share as large as is usual among their like, and as the one before and after.

    Their like have the same name but for its numbers: a model without its optimizer has a name of its own. A training
    that saves less from some point on saves several small ones in a row.
    """
    share = scene.settings.health.checkpoint_small_percent / 100
    alike: dict[str, list[Checkpoint]] = {}
    for checkpoint in sorted(scene.evidence.checkpoints.saved, key=lambda one: (one.modified, one.name)):
        if checkpoint.size_bytes:
            alike.setdefault(re.sub(r"\d+", "#", checkpoint.name), []).append(checkpoint)
    for group in alike.values():
        if len(group) >= LEAST_ALIKE:
            usual = int(np.median([one.size_bytes for one in group]))
            for before, one, after in zip(group, group[1:], [*group[2:], None], strict=False):
                limit = one.size_bytes / share
                if limit < min(usual, before.size_bytes) and (after is None or limit < after.size_bytes):
                    yield _Damaged(one, usual)


def _find_damaged(scene: Scene) -> list[Episode]:
    damaged = _damaged(scene)
    if not damaged:
        return []
    first = min(one.checkpoint.modified for one in damaged) + SETTLED_SECONDS
    newest = damaged[0]
    return [
        Episode(
            kind="checkpoint_damaged",
            tag=None,
            onset=Place(None, first),
            detected=Place(None, first),
            changes=[Change(first, "error", True)],
            value=float(newest.checkpoint.size_bytes),
            reference=None if newest.usual_bytes is None else float(newest.usual_bytes),
        )
    ]


def _damaged_text(episode: Episode, scene: Scene) -> Text:
    newest, *others = _damaged(scene)
    size = format_bytes(newest.checkpoint.size_bytes)
    usual = "" if newest.usual_bytes is None else f", others like it {format_bytes(newest.usual_bytes)}"
    more = f" The same holds for {format_step(len(others))} more." if others else ""
    return Text(
        f'The checkpoint "{plain(newest.checkpoint.name)}" holds {size}{usual}, and does not grow.{more}',
        "Do not resume from it: look for a full disk or a job that was ended while it saved, and save again.",
    )


def _damaged_coverage(scene: Scene) -> str | None:
    return None if scene.evidence.checkpoints.saved else "There are no checkpoints beside the run."


RULES = (
    Rule(
        kind="checkpoint_missing",
        group="log",
        label="checkpoint missing",
        coverage=_missing_coverage,
        text=_missing_text,
        replay=lambda: AtOnce(_find_missing),
        of_series=False,
    ),
    Rule(
        kind="checkpoint_damaged",
        group="log",
        label="checkpoint damaged",
        coverage=_damaged_coverage,
        text=_damaged_text,
        replay=lambda: AtOnce(_find_damaged),
        of_series=False,
    ),
)
