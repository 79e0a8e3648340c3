"""A judged series, and its course up to a tick: blocks, noise and progress.

Rules never measure in percent of a level. They measure in *noise* (a robust deviation of differences, which carry no
trend) and in *progress* (how much of the improvement so far was lost), so negative losses, rewards and losses of
1e-6 need no special case. A positive series that spans more than `LOG_SPAN` is judged in decades.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.growing import GrowingArray, Sifted
from monitor.health.stats import (
    MEDIAN_EFFICIENCY,
    block_medians,
    curvature_sigma,
    difference_sigma,
    median,
    row_medians,
    run_lengths,
)
from monitor.schema import Direction, Floats, Points, Sessions, Steps

LOG_SPAN = 30.0
"""Ratio of the largest to the smallest level from which on a positive series is judged in decades."""

LEVEL_POINTS = 5
"""Points whose median is a level in that comparison."""

SHORT = 30
"""Below this many points every point is a block of its own; the noise, estimated from few, is taken for larger."""

MOST_BLOCKS = 40
DENSEST = 4096
"""Most points a course works on; a longer series is first condensed to medians of neighbours, 2, 4, 8 … at a time."""

LEVEL_FLOOR = 1e-3
"""Noise is never taken for less than this share of the level, on a linear scale."""

DENSE_TICKS = 100
TICK_GROWTH = 1.02

RECENT_POINTS = 20_000
"""Newest points of a long series that are judged by themselves as well: a second scale."""

RECENT_TICK = RECENT_POINTS // 10
LONG = 100_000
"""Points from which on a series is long: ticks that grow by 2 % would be further apart than `RECENT_TICK`."""


LARGEST = 1 << 40
"""More points than a series ever has."""


def _ticks() -> tuple[int, ...]:
    counts = list(range(1, DENSE_TICKS + 1))
    while counts[-1] <= LARGEST:
        counts.append(math.ceil(counts[-1] * TICK_GROWTH))
    return tuple(counts)


TICKS = _ticks()


def tick_counts(total: int, after: int = 0) -> list[int]:
    """Return the numbers of points at which a series is judged, above `after` and up to `total`.

    Every point up to 100, then each time the number has grown by 2 %: 565 ticks for a million points. Ticks depend on
    the points alone, never on a refresh interval, so watching live and reading later see the same history.
    """
    return list(TICKS[bisect_right(TICKS, after) : bisect_right(TICKS, total)])


def last_tick(count: int) -> int:
    """Return the last number of points up to `count`, at least one, at which a series is judged."""
    return TICKS[bisect_right(TICKS, count) - 1]


def both_tick_counts(total: int, after: int = 0) -> list[int]:
    """Return the ticks at which a series is judged on both scales: as `tick_counts`, but never far apart.

    A long series is judged every 2,000 points, so that what begins late in it is found as soon as early in it.
    """
    first = max(after, LONG - 1) // RECENT_TICK + 1
    return tick_counts(min(total, LONG), after) + list(range(first * RECENT_TICK, total + 1, RECENT_TICK))


@dataclass(frozen=True, slots=True)
class Course:
    """Where a series stands after its first `points` finite points, on its judged scale (smaller is better).

    Args:
        points: Number of points so far.
        log: True when the levels below are decimal logarithms.
        blocks: Block medians, shape ``(n_blocks,)``, at most 40.
        block_points: Points in a block.
        best_block: Index of the lowest block median.
        noise: Deviation of one block median, slow wander included.
        start: Level of the first points of the series.
        current: Level of the last points.
        first: Points left out at the beginning; blocks, best and noise are those of the points behind them.
    """

    points: int
    log: bool
    blocks: Floats
    block_points: int
    best_block: int
    noise: float
    start: float
    current: float
    first: int = 0

    @property
    def length(self) -> int:
        """Number of points judged."""
        return self.points - self.first

    @property
    def best(self) -> float:
        """The lowest block median."""
        return float(self.blocks[self.best_block])

    @property
    def best_end(self) -> int:
        """Number of points up to the end of the best block."""
        return self.points - (len(self.blocks) - 1 - self.best_block) * self.block_points

    @property
    def points_after_best(self) -> int:
        """Points since the end of the best block."""
        return self.points - self.best_end

    @property
    def progress(self) -> float:
        """How much lower the best level is than the start; 0 when it never improved."""
        return max(self.start - self.best, 0.0)

    @property
    def rise(self) -> float:
        """How far the present level is above the best one."""
        return self.current - self.best

    @property
    def lost(self) -> float:
        """Share of the progress that was lost again: 0 at the best level, 1 when all is gone."""
        return self.rise / max(self.progress, 8 * self.noise, np.finfo(np.float64).tiny)

    def level(self, value: float) -> float:
        """Return a level of this course in the units of the series."""
        return float(10.0**value) if self.log else value

    @property
    def linear_progress(self) -> float:
        """The progress in the units of the series."""
        return max(self.level(self.start) - self.level(self.best), 0.0)


class _Arrival:
    """When points had arrived: the largest wall time so far; the wall times themselves, uncopied, while they ascend."""

    def __init__(self) -> None:
        self.times: Floats = np.empty(0)
        self._own: GrowingArray[np.float64] | None = None

    def extend(self, wall_time: Floats) -> None:
        """Take in the wall times, of which those behind the known ones are new; NaN is no later than any."""
        seen = len(self.times)
        latest = self.times[-1] if seen else -np.inf
        new = np.maximum(np.maximum.accumulate(np.nan_to_num(wall_time[seen:])), latest)
        if self._own is None and not np.array_equal(new, wall_time[seen:]):
            self._own = GrowingArray(np.float64)
            self._own.append(self.times)
        if self._own is None:
            self.times = wall_time
            return
        self._own.append(new)
        self.times = self._own.view


class _Scale:
    """Finds out, as a series grows, from where on it is judged in decades."""

    def __init__(self) -> None:
        self._checked = 0
        self._levels = 0
        self._lowest, self._highest = np.inf, -np.inf
        self._first_not_positive: int | None = None
        self._wide_from: int | None = None

    def extend(self, values: Floats) -> None:
        """Take in the values, of which those behind the known ones are new."""
        if self._first_not_positive is None:
            wrong = np.flatnonzero(values[self._checked :] <= 0)
            self._first_not_positive = self._checked + int(wrong[0]) if len(wrong) else None
            self._checked = len(values)
        if self._wide_from is None:
            self._compare_levels(values[: self._first_not_positive])

    def positive(self, values: Floats) -> Floats:
        """Return the values before the first that is not positive."""
        return values[: self._first_not_positive]

    def is_positive(self, count: int) -> bool:
        """Tell whether the first `count` values are all above 0."""
        return self._first_not_positive is None or count <= self._first_not_positive

    def is_wide(self, count: int) -> bool:
        """Tell whether the levels of the first `count` values span more than `LOG_SPAN`: once so, for good."""
        return self._wide_from is not None and self._wide_from <= count

    def _compare_levels(self, positive: Floats) -> None:
        """Look at the new levels, medians of five values each."""
        whole = len(positive) // LEVEL_POINTS
        if whole == self._levels:
            return
        rows = positive[self._levels * LEVEL_POINTS : whole * LEVEL_POINTS].reshape(-1, LEVEL_POINTS)
        levels = row_medians(rows)
        highest = np.maximum(np.maximum.accumulate(levels), self._highest)
        lowest = np.minimum(np.minimum.accumulate(levels), self._lowest)
        wide = np.flatnonzero(highest > LOG_SPAN * lowest)
        if len(wide):
            self._wide_from = (self._levels + int(wide[0]) + 1) * LEVEL_POINTS
        self._levels, self._lowest, self._highest = whole, float(lowest[-1]), float(highest[-1])


class Track:
    """One series to be judged: finite points only, signed so that smaller is better.

    A series that grows is taken in with `extend`, which costs what is new. Columns are the ones of the series,
    uncopied, wherever nothing had to be left out of them or put right.

    Args:
        tag: Name of the series.
        points: Its visible points, in order.
        direction: ``max`` turns the sign; None is a free quantity, whose level means nothing.

    Attributes:
        points: The points, those logged twice in a row once only; the next three belong to them.
        arrival: Largest wall time so far, shape ``(n_points,)``.
        finite: Whether the value is a number, shape ``(n_points,)``.
        non_finite: Rows of the others, ascending.
        sign: Factor between logged and judged values.
        value: The judged values, shape ``(n_finite,)``, as those below.
        step: Their steps.
        session: Their sessions.
        time: Their arrivals.
    """

    points: Points
    arrival: Floats
    finite: npt.NDArray[np.bool_]
    non_finite: npt.NDArray[np.intp]
    value: Floats
    step: Steps
    session: Sessions
    time: Floats

    def __init__(self, tag: str, points: Points, direction: Direction | None = "min") -> None:
        self.tag = tag
        self.direction = direction
        self.sign = -1.0 if direction == "max" else 1.0
        self._source = Points.empty()
        self._once, self._judged, self._arrived, self._scale = Sifted(), Sifted(), _Arrival(), _Scale()
        self._finite, self._non_finite = GrowingArray(np.bool_), GrowingArray(np.intp)
        self._turned, self._logarithms = GrowingArray(np.float64), GrowingArray(np.float64)
        self._repeats, self._medians_of_three = GrowingArray(np.int64), GrowingArray(np.float64)
        self._condensed: dict[tuple[bool, int], GrowingArray[np.float64]] = {}
        self._courses: dict[int, Course] = {}
        self._recent_courses: dict[int, Course] = {}
        self.extend(points)

    def continues_with(self, points: Points) -> bool:
        """Tell whether these are the points known so far, with others behind them."""
        return points.begins_with(self._source)

    def extend(self, points: Points) -> None:
        """Take in a series that continues this one."""
        self._once.extend(points, _is_new(points, len(self._source)))
        self._source, self.points = points, self._once.points
        seen = len(self._finite)
        self._arrived.extend(self.points.wall_time)
        self.arrival = self._arrived.times
        finite = np.isfinite(self.points.value[seen:])
        self._finite.append(finite)
        self._non_finite.append(np.flatnonzero(~finite) + seen)
        self.finite, self.non_finite = self._finite.view, self._non_finite.view
        self._judge(finite)

    def _judge(self, finite: npt.NDArray[np.bool_]) -> None:
        """Take in which of the new points are numbers."""
        points = self.points
        self._judged.extend(Points(points.step, self.arrival, points.value, points.session), finite)
        judged = self._judged.points
        self.step, self.time, self.session, self.value = judged.step, judged.wall_time, judged.session, judged.value
        if self.sign < 0:
            self._turned.append(-judged.value[len(self._turned) :])
            self.value = self._turned.view
        self._scale.extend(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def known_at(self, time: float) -> int:
        """Return how many finite points had arrived at `time`."""
        return int(np.searchsorted(self.time, time, side="right"))

    def shown(self, value: float) -> float:
        """Return a judged value as it was logged: the sign of maximised metrics is turned back."""
        return self.sign * value

    def course(self, count: int) -> Course:
        """Return the course of the first `count` finite points; at least four."""
        if count not in self._courses:
            self._courses[count] = self._course(count)
        return self._courses[count]

    def recent_course(self, count: int) -> Course | None:
        """Return the course of the newest 20,000 of the first `count` points; None unless the series is long by then.

        It starts where the series started, so progress is that of the whole series, and a level that wanders slowly
        all along is noise here too.
        """
        if count < LONG:
            return None
        if count not in self._recent_courses:
            whole, recent = self.course(count), self._course(count, count - RECENT_POINTS)
            noise = max(whole.noise, recent.noise)
            self._recent_courses[count] = replace(recent, start=whole.start, noise=noise)
        return self._recent_courses[count]

    def level_at(self, count: int) -> float:
        """Return the median of the newest of the first `count` points: 5 % of them, at most 50."""
        return median(self.value[max(count - recent_points(count), 0) : count])

    def is_positive(self, count: int) -> bool:
        """Tell whether the first `count` points are all above 0."""
        return self._scale.is_positive(count)

    def progress_at(self, count: int) -> float:
        """Return the progress at the last tick up to `count` points, in the units of the series; at least four."""
        return self.course(last_tick(count)).linear_progress

    @property
    def repeats(self) -> npt.NDArray[np.int64]:
        """For each point, how many identical values end there."""
        known = len(self._repeats)
        if known < len(self.value):
            before = int(self._repeats.view[-1]) if known else 0
            lengths = run_lengths(self.value[max(known - 1, 0) :])
            unbroken = lengths > np.arange(len(lengths))  # the run of the last known point goes on
            lengths[unbroken] += max(before - 1, 0)
            self._repeats.append(lengths[min(known, 1) :])
        return self._repeats.view

    @property
    def medians_of_three(self) -> Floats:
        """Running medians of three, shape ``(n_points − 2,)``: entry i is that of points i to i + 2."""
        values = self.value[len(self._medians_of_three) :]
        if len(values) > 2:
            first, second, third = values[:-2], values[1:-1], values[2:]
            low, high = np.minimum(first, second), np.maximum(first, second)
            self._medians_of_three.append(np.maximum(low, np.minimum(high, third)))
        return self._medians_of_three.view

    def _course(self, count: int, first: int = 0) -> Course:
        log = self._scale.is_wide(count) and self._scale.is_positive(count)
        scaled, length = self._logarithm if log else self.value, count - first
        width = 1 << max(math.ceil(math.log2(length / DENSEST)), 0)
        condensed = self._condense(log, width)[first // width : count // width]
        blocks = block_medians(condensed, _block_count(length))
        block_points = len(condensed) // len(blocks) * width
        differences = scaled[first + 1 : count : width] - scaled[first : count - 1 : width]
        noise = max(
            curvature_sigma(blocks),
            MEDIAN_EFFICIENCY * difference_sigma(differences) / math.sqrt(block_points),
            0.0 if log else LEVEL_FLOOR * abs(median(blocks)),
        )
        return Course(
            points=count,
            log=log,
            blocks=blocks,
            block_points=block_points,
            best_block=int(blocks.argmin()),
            noise=noise * max(math.sqrt(SHORT / length), 1.0),
            start=median(scaled[first : first + max(3, block_points)][:length]),
            current=median(scaled[max(count - recent_points(count), 0) : count]),
            first=first,
        )

    def _condense(self, log: bool, width: int) -> Floats:
        """Return the judged values, or the medians of `width` neighbours."""
        scaled = self._logarithm if log else self.value
        if width == 1:
            return scaled
        condensed = self._condensed.setdefault((log, width), GrowingArray(np.float64))
        known, whole = len(condensed), len(scaled) // width
        if known < whole:
            condensed.append(row_medians(scaled[known * width : whole * width].reshape(-1, width)))
        return condensed.view

    @property
    def _logarithm(self) -> Floats:
        """Decimal logarithms of the values before the first that is not positive."""
        positive = self._scale.positive(self.value)
        self._logarithms.append(np.log10(positive[len(self._logarithms) :]))
        return self._logarithms.view


class Tracks:
    """The judged series of one run, kept from one judgement to the next: a series that grew is extended."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, Direction | None], Track] = {}

    def track(self, use: str, tag: str, points: Points, direction: Direction | None) -> Track:
        """Return the track of a series.

        Args:
            use: What it is judged as: a series with two roles has two tracks.
            tag: Name of the series.
            points: Its visible points, in order.
            direction: Which way is better.
        """
        track = self._held.get((use, tag, direction))
        if track is None or not track.continues_with(points):
            track = self._held[use, tag, direction] = Track(tag, points, direction)
        else:
            track.extend(points)
        return track


def recent_points(count: int) -> int:
    """Return how many newest points make the present level: 5 % of them, at least 3, and 5 once there are 30."""
    return min(max(count // 20, 3 if count < SHORT else 5), 50)


def _block_count(count: int) -> int:
    return count if count < SHORT else min(max(count // 5, 4), MOST_BLOCKS)


def _is_new(points: Points, seen: int) -> npt.NDArray[np.bool_]:
    """Tell of each point behind the first `seen` whether it is no repetition of the one before, logged twice."""
    since = max(seen - 1, 0)
    step, value, session = points.step[since:], points.value[since:], points.session[since:]
    new = (step[1:] != step[:-1]) | (value[1:] != value[:-1]) | (session[1:] != session[:-1])
    return new if seen or not len(points) else np.concatenate(([True], new))
