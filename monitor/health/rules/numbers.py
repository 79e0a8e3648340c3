"""Values that are no numbers, and values that no longer change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import numpy.typing as npt

from monitor.health.episodes import OFF, Change, Episode, Place, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
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
NEAR_ZERO_SHARE = 0.1
"""Below this share of its start a loss may reach exactly 0, or a rounded constant, by learning."""

SCALER_SHARE = 0.05
"""Share of infinite gradient norms that the loss scaling of half precision makes in normal use."""

SCALER_POINTS = 200
"""Points of which that share is taken; where a loss scale is logged from the start, when it still seeks its level."""

SEVERITY_NAMES: tuple[Severity, ...] = get_args(Severity)
INFO, NOTICE, WARNING, ERROR, CRITICAL = range(5)


# --- non_finite ----------------------------------------------------------------------------------------------------


def _number_tracks(scene: Scene) -> Sequence[Track]:
    return present(scene.loss, *scene.validations, scene.gradient_norm)


@dataclass(slots=True)
class _Spell:
    """Values of one series that are not finite and close to each other.

    Args:
        first: Row of the first.
        last: Row of the last.
        judged: Rows before this one are judged.
        severity: How bad it was at the last of them.
        changes: When that changed.
    """

    first: int
    last: int
    judged: int
    severity: int = -1
    changes: list[Change] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Row at which the spell is over, unless another value that is not finite comes first."""
        return self.last + RECOVERY_POINTS

    def judge(self, scene: Scene, track: Track) -> None:
        """Take in the rows that are new."""
        rows = np.arange(self.judged, min(self.end, len(track.points)))
        if len(rows):
            severities = _severities(scene, track, rows)
            for turn in np.flatnonzero(np.diff(severities, prepend=self.severity)):
                self.changes.append(Change(float(track.arrival[rows[turn]]), SEVERITY_NAMES[severities[turn]], True))
            self.judged, self.severity = int(rows[-1]) + 1, int(severities[-1])


@dataclass(slots=True)
class NonFiniteReplay:
    """Follows the spells of every series; costs what is new."""

    spells: dict[str, list[_Spell]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def advance(self, scene: Scene) -> Sequence[Episode]:
        """Judge the points that are new."""
        return [
            _non_finite_episode(scene, track, spell)
            for track in _number_tracks(scene)
            for spell in self._follow(scene, track)
        ]

    def _follow(self, scene: Scene, track: Track) -> Sequence[_Spell]:
        """Bring the spells of a series up to date."""
        spells = self.spells.setdefault(track.tag, [])
        _add_spells(spells, track.non_finite[self.seen.get(track.tag, 0) :])
        self.seen[track.tag] = len(track.non_finite)
        for spell in spells:
            spell.judge(scene, track)
        return spells


def _add_spells(spells: list[_Spell], wrong: npt.NDArray[np.intp]) -> None:
    """Take in rows that are not finite: each lengthens the last spell or, far enough from it, begins another."""
    if not len(wrong):
        return
    before = spells[-1].last if spells else int(wrong[0])
    if not spells:
        spells.append(_Spell(before, before, before))
    breaks = np.flatnonzero(np.diff(wrong, prepend=before) > RECOVERY_POINTS)[: MOST_EPISODES - len(spells)]
    for number, rows in enumerate(np.split(wrong, breaks)):
        if number:
            spells.append(_Spell(int(rows[0]), int(rows[-1]), int(rows[0])))
        elif len(rows):
            spells[-1].last = int(rows[-1])


def _non_finite_episode(scene: Scene, track: Track, spell: _Spell) -> Episode:
    onset, points = _place_of(track, spell.first), track.points
    good = spell.first - 1  # always a number: spells lie further apart
    facts = {
        "count": float(_among_last(track, np.array([spell.last]), spell.last + 1 - spell.first)[0]),
        "last_step": float(points.step[spell.last]),
        "good_value": float(points.value[good]) if good >= 0 else math.nan,
        "good_step": float(points.step[good]) if good >= 0 else math.nan,
        "position": float(spell.first),
        "gradient_growth": _gradient_growth(scene, onset.time),
    }
    value = float(points.value[spell.first])
    episode = Episode("non_finite", track.tag, onset, onset, list(spell.changes), None, value, None, facts)
    if spell.end < len(points):
        episode.close(_place_of(track, spell.end))
    return episode


def _place_of(track: Track, row: int) -> Place:
    """Return where a point was logged, non-finite ones counted."""
    return Place(int(track.points.step[row]), float(track.arrival[row]), int(track.points.session[row]))


def _severities(scene: Scene, track: Track, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return how bad it is at each row of a spell; the one rule whose severity may fall again while it is open.

    A loss that is no number is critical at once, without waiting; when numbers follow, the point was isolated.
    """
    if track is scene.loss:
        grave = ~track.finite[rows] | (_among_last(track, rows, 10) >= 3)
        return np.where(grave, CRITICAL, WARNING)
    if track is scene.gradient_norm:
        known = rows + 1 if scene.loss_scale is None else np.full(len(rows), SCALER_POINTS)
        rare = _among_last(track, rows, SCALER_POINTS) < SCALER_SHARE * np.minimum(known, SCALER_POINTS)
        return np.where(_among_last(track, rows, 10) >= 10, ERROR, np.where(rare, INFO, WARNING))
    never = _among_last(track, rows, len(track.points)) > rows
    return np.where(never, NOTICE, np.where(_among_last(track, rows, 3) >= 3, ERROR, WARNING))


def _among_last(track: Track, rows: npt.NDArray[np.intp], width: int) -> npt.NDArray[np.intp]:
    """Return how many of the `width` points up to each row are non-finite."""
    wrong = track.non_finite
    counts: npt.NDArray[np.intp] = np.searchsorted(wrong, rows, "right") - np.searchsorted(wrong, rows - width, "right")
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
    if track is scene.gradient_norm and value != 0:
        return OFF  # clipped to one value; the rules of the gradient say so
    run = min(int(track.repeats[count - 1]), count)
    first = count - run
    if run < (ZEROS if value == 0 else scene.settings.health.dead_repeats) or (
        value == 0 and not (track.value[:first] > 0).any()
    ):
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
        replay=NonFiniteReplay,
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
