"""The training getting slower than it was at the start of its session."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from monitor.health.episodes import HOLD, OFF, Episode, Place, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.stats import median, robust_sigma
from monitor.health.track import Track
from monitor.schema import Floats, Severity
from monitor.text import format_duration, format_number, plain

LEAST = 12
FIRST_POINTS = 2
"""Points of a session that do not count: what is compiled, cached and allocated at first takes its time."""

BASE_SHARE, BASE_POINTS, BASE_SECONDS = 0.2, (5, 200), 60.0
RECENT_SHARE, RECENT_POINTS, RECENT_SECONDS = 0.1, (5, 100), 120.0
"""The share, number and time of the intervals that make the first and the present pace.

The present pace is that of two minutes at least, two thirds of which must be slow to make it high.
"""

PAUSE_FACTOR = 10.0
"""An interval this many times as long as usual is a pause, and counts for no more than this."""

MILD_EXCESS, GRAVE_FACTOR = 0.6, 2.0
"""Share of the excess of a warning that is a notice, and how many times a warning is an error: 1.3, 1.5 and 3."""

KEEP = 0.5
"""A finding is kept down to this share of the mildest excess: at 1.15 times the first pace."""
SIGMAS = 4.0
CONFIRM = 3

MOST_POINTS, STRETCHES = 2000, 10
"""Points that are looked at; they lie together, so that a pattern of the steps is met as often as it occurs."""

ONSET_BLOCKS = 40
ONSET_POINTS = 25


@dataclass(frozen=True, slots=True)
class _Intervals:
    """Neighbouring points of a series with different steps.

    Args:
        seconds: Wall time between them, shape ``(n_intervals,)``.
        pace: Seconds per step, or the durations as logged, same shape.
        weight: How many intervals each stands for.
    """

    seconds: Floats
    pace: Floats
    weight: float = 1.0

    def elapsed(self, longest: float) -> float:
        """Return the seconds of all intervals, each counted as `longest` at most: a sleeping machine does not train."""
        return self.weight * float(np.minimum(self.seconds, longest).sum())

    @property
    def typical(self) -> tuple[float, float]:
        """The pace that a third of the intervals do not exceed, and the mean without the outermost tenths."""
        ordered, cut = np.sort(self.pace), len(self.pace) // 10
        return float(ordered[(len(ordered) - 1) // 3]), float(ordered[cut : len(ordered) - cut].mean())


@dataclass(frozen=True, slots=True)
class _Base:
    """The pace at the start of a session.

    Args:
        end: Row behind its points.
        paces: Its lower third and its mean, as seconds per step or as logged.
        noise: Deviation of a single interval.
        longest: Seconds of an interval beyond which it is a pause.
    """

    end: int
    paces: tuple[float, float]
    noise: float
    longest: float

    def compared(self, now: _Intervals) -> tuple[float, float]:
        """Return the present pace and this one: the lower thirds or the means, whichever differ less.

        Where long and short intervals take turns a quantile jumps from one kind to the other and the mean does not;
        where some hold a pause or an evaluation it is the other way round, and a lower quantile than the median stays
        the same even when most of a few do.
        """
        return min(zip(now.typical, self.paces, strict=True), key=lambda pair: pair[0] / pair[1])


def _tracks(scene: Scene) -> Sequence[Track]:
    """Return the series that tells the time of an epoch or step; else the one whose points stand for the run."""
    return present(scene.duration if scene.duration is not None else scene.clock)


def _is_logged(scene: Scene, track: Track) -> bool:
    return scene.duration is not None and track.tag == scene.duration.tag


def _intervals(scene: Scene, track: Track, first: int, end: int) -> _Intervals:
    """Return the intervals that end in rows `first` to `end`; of very many those of ten stretches stand for all."""
    if end - first <= MOST_POINTS:
        return _neighbours(scene, track, first, end)
    length = MOST_POINTS // STRETCHES
    begins = np.linspace(first, end - length, STRETCHES).astype(np.int64).tolist()
    parts = [_neighbours(scene, track, begin, begin + length) for begin in begins]
    seconds, pace = np.concatenate([part.seconds for part in parts]), np.concatenate([part.pace for part in parts])
    return _Intervals(seconds, pace, (end - first) / MOST_POINTS)


def _neighbours(scene: Scene, track: Track, first: int, end: int) -> _Intervals:
    """Return the intervals that end in rows `first` to `end`; rows that repeat the step before are passed over."""
    steps, times = track.step[first - 1 : end], track.time[first - 1 : end]
    begins = np.append(True, np.diff(steps) > 0)
    seconds, strides = np.diff(times[begins]), np.diff(steps[begins])
    if _is_logged(scene, track):
        role = scene.evidence.roles.duration
        return _Intervals(seconds, track.value[first - 1 : end][begins][1:] * (role.scale if role else 1.0))
    return _Intervals(seconds, seconds / strides)


def _base(scene: Scene, track: Track, first: int, count: int) -> _Base | None:
    """Return the first pace of a session that begins in row `first`; None while it has not lasted a minute."""
    begin = first + 1 + FIRST_POINTS
    size = int(np.clip(BASE_SHARE * (count - first), *BASE_POINTS))
    while begin + size < count:
        found = _intervals(scene, track, begin, begin + size)
        if len(found.pace) >= BASE_POINTS[0]:
            longest = PAUSE_FACTOR * median(found.seconds)
            if found.elapsed(longest) >= BASE_SECONDS and min(found.typical) > 0:
                return _Base(begin + size, found.typical, robust_sigma(found.pace), longest)
        size *= 2
    return None


def _recent(scene: Scene, track: Track, base: _Base, count: int) -> _Intervals | None:
    """Return the newest intervals since the first pace was taken; None while they do not last long enough."""
    size = int(np.clip(RECENT_SHARE * (count - base.end), *RECENT_POINTS))
    while True:
        begin = max(count - size, base.end)
        found = _intervals(scene, track, begin, count)
        if len(found.pace) >= RECENT_POINTS[0] and found.elapsed(base.longest) >= RECENT_SECONDS:
            return found
        if begin == base.end:
            return None
        size *= 2


def _read(scene: Scene, track: Track, count: int) -> Reading:
    """Judge the present pace by that at the start of the session.

    Source: first 20 % against last 10 % of the intervals; the gate of one minute keeps out what another process does
    for a moment.
    """
    first = int(np.searchsorted(track.session, track.session[count - 1]))
    base = _base(scene, track, first, count)
    recent = _recent(scene, track, base, count) if base is not None else None
    if base is None or recent is None:
        return OFF
    levels = _levels(scene)
    pace, before = base.compared(recent)
    if pace < (1 + KEEP * (levels[0][0] - 1)) * before:
        return OFF
    beyond = [severity for factor, severity in levels if pace >= factor * before]
    if not beyond or pace - before <= SIGMAS * base.noise:
        return HOLD
    return Reading("on", beyond[-1], _onset(scene, track, base.end, count, (pace + before) / 2), pace, before)


def _levels(scene: Scene) -> tuple[tuple[float, Severity], ...]:
    """Return how many times as long is how bad, mildest first.

    In reinforcement learning a step and an evaluation last longer when the agent survives longer, and that is success:
    the pace of healthy runs on simulated walkers doubles while they learn to stand.
    """
    health = scene.settings.health
    if scene.reward is not None:
        factor = health.slowdown_reinforced_factor
        return (factor / 2, "notice"), (factor, "warning")
    factor = health.slowdown_factor
    return (1 + MILD_EXCESS * (factor - 1), "notice"), (factor, "warning"), (GRAVE_FACTOR * factor, "error")


def _onset(scene: Scene, track: Track, first: int, count: int, half: float) -> Place:
    """Return where the pace last was below `half`: nearer to the first than to the present one.

    Looks at 40 places from row `first` until now, at 25 intervals each.
    """
    edges = np.linspace(first, count, min(ONSET_BLOCKS, (count - first) // RECENT_POINTS[0]) + 1).astype(np.int64)
    begin = first
    for here, end in pairwise(edges.tolist()):
        found = _intervals(scene, track, here, min(here + ONSET_POINTS, end))
        if len(found.pace) and median(found.pace) < half:
            begin = end
    return scene.place(track, min(begin, count - 1))


def _text(episode: Episode, scene: Scene) -> Text:
    ratio = format_number((episode.value or 0.0) / (episode.reference or 1.0), 2)
    now, then = format_duration(episode.value), format_duration(episode.reference)
    where = scene.named(episode.onset.step)
    return Text(
        f"{_what(episode, scene)} takes {now} since {where}, {ratio} times as long as the {then} at the start of the "
        f"session.",
        "Look at the data loading (processor busy, GPU idle), the disk, the temperature of the GPU and other processes "
        "on the machine.",
    )


def _what(episode: Episode, scene: Scene) -> str:
    if scene.duration is not None and episode.tag == scene.duration.tag:
        return f'By "{plain(episode.tag)}", one'
    return "A step" if scene.evidence.first_epoch_step is None else "An epoch"


def _coverage(scene: Scene) -> str | None:
    tracks = _tracks(scene)
    missing = covered(tracks, LEAST, "There is no training series.")
    if missing is not None:
        return missing
    (track,) = tracks
    first = int(np.searchsorted(track.session, track.session[-1]))
    base = _base(scene, track, first, len(track))
    if base is not None and _recent(scene, track, base, len(track)) is not None:
        return None
    return f"Needs {format_duration(BASE_SECONDS + RECENT_SECONDS)} of training since the last start."


RULES = (
    Rule(
        kind="slowdown",
        group="efficiency",
        label="training slower",
        coverage=_coverage,
        text=_text,
        replay=lambda: SeriesReplay("slowdown", _tracks, LEAST, _read, CONFIRM),
    ),
)
