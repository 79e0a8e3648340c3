"""The norm of the gradient far above or far below what is usual in the run.

Norms are compared in decades. They are noisy and heavy-tailed, grow with some losses and fall with others; so a change
must exceed both the noise of single norms and the spread of the level so far, and what the loss does decides whether
it matters. While a finding is open, the norm is compared with what was usual before it began.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.health.episodes import HOLD, OFF, Episode, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
from monitor.health.rules.several import Several
from monitor.health.scene import Scene
from monitor.health.stats import MEDIAN_EFFICIENCY, difference_sigma, median, robust_sigma, row_medians
from monitor.health.track import Course, Track, last_tick
from monitor.schema import Floats, Severity
from monitor.text import format_number, format_percent, plain

LEAST = 40
START_SHARE = 0.05
"""The first norms, of an untrained model, are no reference."""

SAMPLES = 40
SAMPLE_POINTS = 25
"""The reference is taken from at most so many stretches of so many points, so that it costs the same in any run."""

GONE_UP = 0.7
"""Share of the decades that open a finding which keeps it open: five times the usual norm where ten times opens it."""

GRAVE = 2.0
"""Decades above the usual norm that are an error: a hundred times."""

SPREADS = 3.0
NOISES = 6.0
ABRUPT = 0.5
ABRUPT_SHARE = 0.1
"""A norm that grew by less than half a decade within a tenth of the run grows gradually."""

BURST, BURST_SHARE = 0.4, 0.25
"""A loss that made the first share of its progress in the last quarter has just begun to learn; norms grow then."""

LOSS_NOISES = 3.0

STILL_GONE = 2 / 3
"""The same for norms that vanish: a hundredth of the usual norm where a thousandth opens a finding."""

NOTHING = 1e-7
"""A norm below this share of the loss at its start (of 1 where the loss is not positive) moves nothing."""

RECENTLY = (0.6, 0.8)
SETTLED_SHARE = 0.05
"""The norm has fallen when it was usual in the first, shares of the run, and has stayed down for the second."""

IMPROVED = 0.2
STOPPED = 1 / 3
LOW_LEVEL = 0.1
RATE_DECAYED = 0.1
ZERO_SHARE = 0.2
RECENT = 50
CLIP_WIDTH = 0.005


def _tracks(scene: Scene) -> Sequence[Track]:
    return present(scene.gradient_norm)


@dataclass(frozen=True, slots=True)
class _Usual:
    """What is usual in a run, in decades.

    Args:
        level: Median of the norms.
        spread: Deviation of their level, slow changes included.
        noise: Deviation of a single norm.
    """

    level: float
    spread: float
    noise: float


def _window(count: int) -> int:
    """Return how many newest norms make the present one: 2 % of the run, at least 5, at most 50."""
    return min(max(count // 50, 5), 50)


def _decades(norms: Floats) -> Floats:
    """Return the decimal logarithms of the norms above 0: those between accumulated gradients say nothing."""
    logarithms: Floats = np.log10(norms[norms > 0])
    return logarithms


def _usual(track: Track, first: int, end: int) -> _Usual | None:
    """Return what is usual from position `first` to `end`, from stretches spread over them; None if all are 0."""
    length = min(SAMPLE_POINTS, max((end - first) // 4, 1))
    starts = np.unique(np.linspace(first, end - length, min((end - first) // length, SAMPLES)).astype(np.intp))
    norms = track.value[starts[:, None] + np.arange(length)]
    if (norms > 0).all():
        logarithms = np.log10(norms)
        levels, differences = row_medians(logarithms), np.diff(logarithms, axis=1).ravel()
    else:
        rows = [row for row in map(_decades, norms) if len(row)]
        levels = np.array([median(row) for row in rows])
        differences = np.concatenate([np.zeros(0), *(np.diff(row) for row in rows)])
    return _Usual(median(levels), robust_sigma(levels), difference_sigma(differences)) if len(levels) else None


def _present(track: Track, count: int) -> float | None:
    """Return the median of the newest norms, in decades; None where all of them are 0."""
    newest = _decades(track.value[count - _window(count) : count])
    return median(newest) if len(newest) else None


def _course(scene: Scene, time: float) -> Course | None:
    """Return where the judged series stood at its last tick up to `time`; None with fewer than ten points."""
    track = scene.judged
    known = track.known_at(time) if track is not None else 0
    return track.course(last_tick(known)) if track is not None and known >= 10 else None


# --- gradient_explosion --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Explosion:
    """Compares the newest norms with those before; keeps the comparison while the norm stays up."""

    kept: _Usual | None = None

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        usual = self.kept or _usual(track, int(START_SHARE * count), count - _window(count))
        present = _present(track, count)
        if usual is None or present is None:
            return HOLD
        growth = present - usual.level
        exploded = math.log10(scene.settings.health.gradient_explosion_factor)
        needed = _needed(usual, _window(count), exploded)
        if growth < GONE_UP * exploded:
            self.kept = None
            return OFF
        if growth < needed or _has_begun_to_learn(scene, track, count):
            return HOLD
        self.kept = usual
        onset = _onset(track, count, usual.level + needed / 2)
        facts = {"growth": 10**growth}
        severity = _explosion_severity(scene, growth, _is_abrupt(track, count))
        return Reading("on", severity, scene.place(track, onset), 10 ** (usual.level + growth), 10**usual.level, facts)


def _needed(usual: _Usual, window: int, exploded: float) -> float:
    """Return by how many decades, at least `exploded`, a window's median has grown by no chance and no usual change."""
    chance = NOISES * MEDIAN_EFFICIENCY * usual.noise / math.sqrt(window)
    return max(exploded, SPREADS * usual.spread, chance)


def _is_abrupt(track: Track, count: int) -> bool:
    before, now = _present(track, max(count - int(ABRUPT_SHARE * count), _window(count))), _present(track, count)
    return before is None or now is None or now - before >= ABRUPT


def _has_begun_to_learn(scene: Scene, track: Track, count: int) -> bool:
    """Tell whether the loss has just made much of its progress: at the end of an early plateau norms grow as well."""
    loss = scene.judged
    before = _course(scene, float(track.time[count - 1 - int(BURST_SHARE * count)]))
    if loss is None or before is None:
        return False
    known = loss.known_at(float(track.time[count - 1]))
    newest = median(loss.value[max(known - _window(known), 0) : known])
    start, then = before.level(before.start), before.level(before.current)
    noise = difference_sigma(np.diff(loss.value[max(known - 2 * RECENT, 0) : known]))
    chance = LOSS_NOISES * MEDIAN_EFFICIENCY * noise / math.sqrt(_window(known))
    return then - newest > max(BURST * (start - newest), chance)


def _onset(track: Track, count: int, level: float) -> int:
    """Return the first position of the stretch at the end whose norms, by medians of three, are above `level`."""
    recent = track.medians_of_three[max(count - 4 * _window(count), 0) : count - 2]
    below = np.flatnonzero(recent <= 10**level)
    first = count - 2 - len(recent)
    return first + (int(below[-1]) + 2 if len(below) else 0)


def _explosion_severity(scene: Scene, growth: float, abrupt: bool) -> Severity:
    """Return how bad it is: a norm that grew gradually, or with a loss whose level means nothing, is worth a word."""
    if not abrupt or (scene.loss is not None and scene.loss.direction is None):
        return "notice"
    return "error" if growth >= GRAVE else "warning"


def _read_clipped(scene: Scene, track: Track, count: int) -> Reading:
    """Read whether nearly all of the newest norms are cut off at one value."""
    recent = track.value[count - RECENT : count]
    limit = float(recent.max())
    share = float((recent >= (1 - CLIP_WIDTH) * limit).mean()) if limit > 0 else 0.0
    nearly_all = scene.settings.health.gradient_clipped_percent / 100
    if share < nearly_all:
        return HOLD if share >= nearly_all / 2 else OFF
    return Reading("on", "notice", scene.place(track, count - RECENT), limit, None, {"clipped": share})


def _explosion_text(episode: Episode, scene: Scene) -> Text:
    tag, where = plain(episode.tag or ""), scene.named(episode.onset.step)
    if "clipped" in episode.facts:
        return Text(
            f'{format_percent(100 * episode.facts["clipped"])} of the last {RECENT} values of "{tag}" are at '
            f"{format_number(episode.value)}: nearly every gradient is clipped there, since {where} or earlier.",
            "Normal early in training and with normalized gradients; if the loss falls slowly, raise the limit of the "
            "clipping or lower the learning rate, and log the norm before clipping.",
        )
    return Text(
        f'"{tag}" is at {format_number(episode.value)} since {where}, '
        f"{format_number(episode.facts['growth'], 3)} times the {format_number(episode.reference)} that was usual.",
        f"Clip gradients to about {format_number(3 * (episode.reference or 0.0), 2)} and divide the learning rate by 3 "
        f"to 10; if the loss has suffered, go back to the checkpoint before {where} and look at the batches there.",
    )


# --- gradient_vanishing --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Vanishing:
    """Compares the newest norms with the first, and with those of a while ago; keeps what it was compared with."""

    kept: float | None = None

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        now = _present(track, count)
        if now is None:
            return HOLD  # exactly 0: a dead value
        if self.kept is not None:
            return self._go_on(scene, track, count, now)
        usual = _vanished_from(scene, track, count, now)
        if usual is None:
            return OFF
        self.kept = usual
        return _vanished(scene, track, count, now, usual)

    def _go_on(self, scene: Scene, track: Track, count: int, now: float) -> Reading:
        usual = self.kept if self.kept is not None else now
        if now < usual - _vanished_decades(scene) or _is_nothing(scene, now):
            return _vanished(scene, track, count, now, usual)
        if now < usual - STILL_GONE * _vanished_decades(scene):
            return HOLD
        self.kept = None
        return OFF


def _vanished_decades(scene: Scene) -> float:
    """Return by how many decades a norm has vanished."""
    return math.log10(scene.settings.health.gradient_vanishing_factor)


def _vanished(scene: Scene, track: Track, count: int, now: float, usual: float) -> Reading:
    severity: Severity = "info" if scene.loss is not None and scene.loss.direction is None else "error"
    onset = scene.place(track, _fall(scene, track, count, usual))
    return Reading("on", severity, onset, 10**now, 10**usual, {"shrunk": 10 ** (usual - now)})


def _vanished_from(scene: Scene, track: Track, count: int, now: float) -> float | None:
    """Return the usual norm, in decades, that the present one has vanished from; None where it has not.

    A norm that falls because the loss was learned, or with the learning rate, is as it should be. So either the loss
    never got anywhere, or the norm fell of late and the loss, far from nothing, has not fallen since.
    """
    vanished = _vanished_decades(scene)
    early = _usual(track, 0, max(20, int(START_SHARE * count)))
    if early is not None and (now <= early.level - vanished or _is_nothing(scene, now)):
        learned = _learned(scene, track, count)
        if learned is not None and learned < IMPROVED:
            return early.level
    recent = _usual(track, int(RECENTLY[0] * count), int(RECENTLY[1] * count))
    if recent is None or now > recent.level - vanished:
        return None
    return recent.level if _has_stopped(scene, track, count, recent.level) else None


def _learned(scene: Scene, track: Track, count: int) -> float | None:
    """Return the share of its start that the loss has lost; None where it is unknown or the learning rate decayed."""
    time = float(track.time[count - 1])
    course = _course(scene, time)
    return None if course is None or _rate_has_decayed(scene, time) else _gain(course)


def _is_nothing(scene: Scene, now: float) -> bool:
    track = scene.judged
    start = median(track.value[:3]) if track is not None and len(track) >= 3 else 1.0
    return now < math.log10(NOTHING * (start if start > 0 else 1.0))


def _gain(course: Course) -> float:
    """Return the improvement since the start, as a share of a positive start; else enough or nothing, by its noise."""
    start, now = course.level(course.start), course.level(course.current)
    if start > 0 and now > 0:
        return (start - now) / start
    return IMPROVED if course.start - course.current > 8 * course.noise else 0.0


def _has_stopped(scene: Scene, track: Track, count: int, usual: float) -> bool:
    """Tell whether the loss, still far from nothing, has all but stopped falling since the norm fell.

    That is, it gained less than its noise, or less than a third of what it had gained in as many points before.
    """
    learned, fall = _learned(scene, track, count), _fall(scene, track, count, usual)
    if learned is None or learned > 1 - LOW_LEVEL or count - fall < SETTLED_SHARE * count:
        return False
    courses = [_course(scene, float(track.time[place])) for place in (max(2 * fall - count, 0), fall, count - 1)]
    levels = [course.level(course.current) for course in courses if course is not None]
    now = courses[-1]
    if now is None or len(levels) < len(courses):
        return False
    noise = now.level(now.current + now.noise) - now.level(now.current)
    return levels[1] - levels[2] < max(2 * noise, STOPPED * (levels[0] - levels[1]))


def _rate_has_decayed(scene: Scene, time: float) -> bool:
    """Tell whether the learning rate is below a tenth of what it was, where one is logged."""
    rates = scene.learning_rate
    known = rates.known_at(time) if rates is not None else 0
    return rates is not None and known > 0 and rates.value[known - 1] < RATE_DECAYED * rates.value[:known].max()


def _fall(scene: Scene, track: Track, count: int, usual: float) -> int:
    """Return the position after the last norm that was nearer to the usual one than to nothing."""
    recent = track.value[count // 2 : count]
    above = np.flatnonzero(recent > 10 ** (usual - _vanished_decades(scene) / 2))
    return min(count // 2 + (int(above[-1]) + 1 if len(above) else 0), count - 1)


def _read_zeros(scene: Scene, track: Track, count: int) -> Reading:
    """Read whether many of the newest norms are exactly zero, and not at every so-manieth point by design."""
    recent = track.value[count - RECENT : count] == 0
    share = float(recent.mean())
    if share < ZERO_SHARE or recent.all():
        return HOLD if ZERO_SHARE / 2 <= share < 1 else OFF
    if _is_regular(recent):
        return OFF
    free = scene.loss is not None and scene.loss.direction is None
    first = scene.place(track, count - RECENT + int(np.argmax(recent)))
    return Reading("on", "info" if free else "warning", first, share, None, {"zeros": share})


def _is_regular(zero: np.ndarray) -> bool:
    """Tell whether the norms come at equal distances with zeros between, as when gradients are accumulated."""
    distances = np.diff(np.flatnonzero(~zero))
    return len(distances) > 1 and bool((distances == distances[0]).all())


def _vanishing_text(episode: Episode, scene: Scene) -> Text:
    tag, where = plain(episode.tag or ""), scene.named(episode.onset.step)
    if "zeros" in episode.facts:
        return Text(
            f'{format_percent(100 * episode.facts["zeros"])} of the last {RECENT} values of "{tag}" are exactly 0, '
            f"since {where}.",
            "Batches without a gradient teach nothing: look for masked labels, empty batches, skipped steps and dead "
            "units.",
        )
    return Text(
        f'"{tag}" is at {format_number(episode.value)} since {where}; {format_number(episode.reference)} was usual. '
        f"The loss has not improved since.",
        "The gradient does not reach the weights: look for saturated or dead units, detached or frozen layers and a "
        "missing normalization; go back to a checkpoint from before if there is one.",
    )


def _coverage(scene: Scene) -> str | None:
    return covered(_tracks(scene), LEAST, "The run logs no gradient norm.")


RULES = (
    Rule(
        kind="gradient_explosion",
        group="stability",
        label="gradient norm high",
        coverage=_coverage,
        text=_explosion_text,
        replay=lambda: Several(
            (
                SeriesReplay("gradient_explosion", _tracks, LEAST, _Explosion().read, confirm=3),
                SeriesReplay("gradient_explosion", _tracks, RECENT, _read_clipped, confirm=3),
            )
        ),
        causes=("non_finite", "lr_schedule", "divergence", "level_shift"),
    ),
    Rule(
        kind="gradient_vanishing",
        group="learning",
        label="gradient vanishing",
        coverage=_coverage,
        text=_vanishing_text,
        replay=lambda: Several(
            (
                SeriesReplay("gradient_vanishing", _tracks, LEAST, _Vanishing().read, confirm=3),
                SeriesReplay("gradient_vanishing", _tracks, RECENT, _read_zeros, confirm=3),
            )
        ),
        causes=("non_finite", "dead_value", "lr_low"),
    ),
)
