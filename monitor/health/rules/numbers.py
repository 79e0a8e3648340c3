"""Values that are no numbers, and values that no longer change."""

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from monitor.health.episodes import OFF, Change, Episode, Place, Reading
from monitor.health.rules.rule import AtOnce, Rule, SeriesReplay, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.stats import median
from monitor.health.track import Track
from monitor.schema import Checkpoint, Severity
from monitor.text import format_learning_rate, format_number, format_step, plain

RECOVERY_POINTS = 10
"""Finite values in a row after which a non-finite one counts as isolated and over."""

MOST_EPISODES = 20
"""A series that turns non-finite again and again is one finding from here on."""

ZEROS = 5
IDENTICAL = 20
NEAR_ZERO_SHARE = 0.1
"""Below this share of its start a loss may reach exactly 0, or a rounded constant, by learning."""

SCALER_SHARE = 0.05
"""Share of infinite gradient norms that the loss scaling of half precision makes in normal use."""

SEVERITY_NAMES: tuple[Severity, ...] = get_args(Severity)
INFO, NOTICE, WARNING, ERROR, CRITICAL = range(5)


# --- non_finite ----------------------------------------------------------------------------------------------------


def _number_tracks(scene: Scene) -> Sequence[Track]:
    return present(scene.loss, *scene.validations, scene.gradient_norm)


def _find_non_finite(scene: Scene) -> list[Episode]:
    return [
        _non_finite_episode(scene, track, first, last)
        for track in _number_tracks(scene)
        for first, last in _spells(np.flatnonzero(~track.finite))
    ]


def _spells(wrong: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return (first, last) position of each spell of non-finite values that are close to each other."""
    if not len(wrong):
        return []
    breaks = np.flatnonzero(np.diff(wrong) > RECOVERY_POINTS)[: MOST_EPISODES - 1]
    firsts = np.concatenate((wrong[:1], wrong[breaks + 1]))
    lasts = np.concatenate((wrong[breaks], wrong[-1:]))
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


def _non_finite_episode(scene: Scene, track: Track, first: int, last: int) -> Episode:
    onset = _place_of(track, first)
    end = last + RECOVERY_POINTS
    rows = np.arange(first, min(end, len(track.points)))
    severities = _severities(scene, track, rows)
    turns = np.flatnonzero(np.diff(severities, prepend=-1))
    changes = [Change(float(track.arrival[rows[turn]]), SEVERITY_NAMES[severities[turn]], True) for turn in turns]
    before = np.flatnonzero(track.finite[:first])[-1:]
    spell = ~track.finite[first : last + 1]
    facts = {
        "count": float(spell.sum()),
        "last_step": float(track.points.step[last]),
        "good_value": float(track.points.value[before[0]]) if len(before) else math.nan,
        "good_step": float(track.points.step[before[0]]) if len(before) else math.nan,
        "position": float(first),
        "gradient_growth": _gradient_growth(scene, onset.time),
    }
    value = float(track.points.value[first])
    episode = Episode("non_finite", track.tag, onset, onset, changes, None, value, None, facts)
    if end < len(track.points):
        episode.close(_place_of(track, end))
    return episode


def _place_of(track: Track, row: int) -> Place:
    """Return where a point was logged, non-finite ones counted."""
    return Place(int(track.points.step[row]), float(track.arrival[row]), int(track.points.session[row]))


def _severities(scene: Scene, track: Track, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return how bad it is at each row of a spell; the one rule whose severity may fall again while it is open.

    A loss that is no number is critical at once, without waiting; when numbers follow, the point was isolated.
    """
    wrong = ~track.finite
    if track is scene.loss:
        grave = wrong[rows] | (_among_last(wrong, rows, 10) >= 3)
        return np.where(grave, CRITICAL, WARNING)
    if track is scene.gradient_norm:
        rare = _among_last(wrong, rows, 200) < SCALER_SHARE * np.minimum(rows + 1, 200)
        return np.where(_among_last(wrong, rows, 10) >= 10, ERROR, np.where(rare, INFO, WARNING))
    never = np.cumsum(track.finite)[rows] == 0
    return np.where(never, NOTICE, np.where(_among_last(wrong, rows, 3) >= 3, ERROR, WARNING))


def _among_last(wrong: npt.NDArray[np.bool_], rows: npt.NDArray[np.intp], width: int) -> npt.NDArray[np.intp]:
    """Return how many of the `width` points up to each row are non-finite."""
    total = np.concatenate(([0], np.cumsum(wrong)))
    counts: npt.NDArray[np.intp] = total[rows + 1] - total[np.maximum(rows + 1 - width, 0)]
    return counts


def _gradient_growth(scene: Scene, time: float) -> float:
    """Return the last gradient norms before `time` over those of the stretch before; NaN where unknown."""
    norms = scene.gradient_norm
    known = norms.known_at(time) if norms is not None else 0
    if norms is None or known < 15:
        return math.nan
    return median(norms.value[known - 5 : known]) / max(median(norms.value[max(known - 55, 0) : known - 5]), 1e-300)


def _non_finite_text(episode: Episode, scene: Scene) -> Text:
    facts = episode.facts
    where = scene.named(episode.onset.step)
    known = math.isfinite(facts["good_step"])
    last = (
        f" The last number before was {format_number(facts['good_value'])} at {scene.named(int(facts['good_step']))}."
        if known
        else " No number came before."
    )
    count = int(facts["count"])
    times = "one value is" if count == 1 else f"{format_step(count)} values are"
    rate = format_learning_rate(scene.learning_rate_at(episode.onset.time))
    schedule = "" if scene.learning_rate is None else f" The learning rate was {rate}."
    evidence = (
        f'"{plain(episode.tag or "")}" is {format_number(episode.value)} at {where}; since then {times} not a number.'
        f"{last}{schedule}"
    )
    return Text(evidence, _non_finite_advice(episode, scene))


def _non_finite_advice(episode: Episode, scene: Scene) -> str:
    saved = _checkpoint_before(scene, episode.onset)
    back = (
        f'Stop, and resume from the checkpoint "{plain(saved.name)}"'
        if saved
        else "Stop, and resume from a checkpoint before it"
    )
    return f"{back}; {_non_finite_cause(episode)}"


def _non_finite_cause(episode: Episode) -> str:
    if episode.facts["position"] < 3:
        return "it is there from the start, so check the inputs, the labels and the initialisation first."
    if episode.facts["gradient_growth"] >= 5:
        return "the gradient grew before it, so halve the learning rate and clip gradients to 1.0."
    return (
        "halve the learning rate, clip gradients to 1.0, look for log(0) and division by zero, "
        "and prefer bf16 over fp16."
    )


def _checkpoint_before(scene: Scene, onset: Place) -> Checkpoint | None:
    """Return the newest readable checkpoint from before `onset`, by its step, its epoch or its age."""
    return next(
        (one for one in scene.evidence.checkpoints.saved if one.readable and _is_before(scene, one, onset)), None
    )


def _is_before(scene: Scene, saved: Checkpoint, onset: Place) -> bool:
    if saved.step is not None and onset.step is not None:
        return saved.step < onset.step
    if saved.epoch is not None and onset.step is not None and scene.evidence.first_epoch_step is not None:
        return saved.epoch <= onset.step - scene.evidence.first_epoch_step
    return saved.modified < onset.time


# --- dead_value ----------------------------------------------------------------------------------------------------


def _dead_tracks(scene: Scene) -> Sequence[Track]:
    return present(scene.loss, scene.gradient_norm)


def _read_dead(scene: Scene, track: Track, count: int) -> Reading:
    value = float(track.value[count - 1])
    run = min(int(track.repeats[count - 1]), count)
    first = count - run
    if run < (ZEROS if value == 0 else IDENTICAL) or (value == 0 and not (track.value[:first] > 0).any()):
        return OFF
    start = abs(median(track.value[: min(3, count)]))
    before = abs(median(track.value[max(first - 5, 0) : first])) if first else start
    facts = {"count": float(run), "before": track.shown(before)}
    severity = _dead_severity(scene, track, before if value == 0 else abs(value), start)
    return Reading("on", severity, scene.place(track, first), track.shown(value), None, facts)


def _dead_severity(scene: Scene, track: Track, level: float, start: float) -> Severity:
    if scene.loss is not None and scene.loss.direction is None:
        return "notice"
    if track is scene.gradient_norm:
        return "error"
    return "critical" if level > NEAR_ZERO_SHARE * start else "notice"


def _dead_text(episode: Episode, scene: Scene) -> Text:
    tag, where = plain(episode.tag or ""), scene.named(episode.onset.step)
    count = format_step(int(episode.facts["count"]))
    if episode.value == 0:
        evidence = f'"{tag}" is exactly 0 for {count} points, since {where}; it was {{}} before.'
        evidence = evidence.format(format_number(episode.facts["before"]))
    else:
        evidence = f'"{tag}" is exactly {format_number(episode.value)} for {count} points, since {where}.'
    if episode.now.severity == "notice":
        return Text(
            evidence, "This can be a loss that has reached its floor or is rounded when logged; check that it is meant."
        )
    return Text(
        evidence,
        "Nothing is learned: check the label masks, filters that replace NaN by 0 when logging, and frozen or detached "
        "parameters.",
    )


_RESTS = "The run logs neither a loss nor a validation loss nor a gradient norm."

RULES = (
    Rule(
        kind="non_finite",
        group="stability",
        label="not a number",
        coverage=lambda scene: None if _number_tracks(scene) else _RESTS,
        text=_non_finite_text,
        replay=lambda: AtOnce(_find_non_finite),
        causes=("non_finite",),  # a loss that is not a number spoils what is computed from it
    ),
    Rule(
        kind="dead_value",
        group="learning",
        label="loss constant",
        coverage=lambda scene: covered(
            _dead_tracks(scene), ZEROS + 1, "The run logs neither a loss nor a gradient norm."
        ),
        text=_dead_text,
        replay=lambda: SeriesReplay("dead_value", _dead_tracks, ZEROS + 1, _read_dead, confirm=1),
        causes=("non_finite",),
    ),
)
