"""A judged series, and its course up to a tick: blocks, noise and progress.

Rules never measure in percent of a level. They measure in *noise* (a robust deviation of differences, which carry no
trend) and in *progress* (how much of the improvement so far was lost), so negative losses, rewards and losses of
1e-6 need no special case. A positive series that spans more than `LOG_SPAN` is judged in decades.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

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

SHORT = 30
"""Below this many points every point is a block of its own; the noise, estimated from few, is taken for larger."""

MOST_BLOCKS = 40
DENSEST = 4096
"""Most points a course works on; a longer series is first condensed to medians of neighbours, 2, 4, 8 … at a time."""

LEVEL_FLOOR = 1e-3
"""Noise is never taken for less than this share of the level, on a linear scale."""

DENSE_TICKS = 100
TICK_GROWTH = 1.02


def tick_counts(total: int, after: int = 0) -> list[int]:
    """Return the numbers of points at which a series is judged, above `after` and up to `total`.

    Every point up to 100, then each time the number has grown by 2 %: 565 ticks for a million points. Ticks depend on
    the points alone, never on a refresh interval, so watching live and reading later see the same history.
    """
    ticks = list(range(after + 1, min(total, DENSE_TICKS) + 1))
    count = DENSE_TICKS
    while (count := math.ceil(count * TICK_GROWTH)) <= total:
        if count > after:
            ticks.append(count)
    return ticks


def last_tick(count: int) -> int:
    """Return the last number of points up to `count` at which a series is judged."""
    return tick_counts(count)[-1]


@dataclass(frozen=True, slots=True)
class Course:
    """Where a series stands after its first `points` finite points, on its judged scale (smaller is better).

    Args:
        points: Number of points judged.
        log: True when the levels below are decimal logarithms.
        blocks: Block medians, shape ``(n_blocks,)``, at most 40.
        block_points: Points in a block.
        best_block: Index of the lowest block median.
        noise: Deviation of one block median, slow wander included.
        start: Level of the first points.
        current: Level of the last points.
    """

    points: int
    log: bool
    blocks: Floats
    block_points: int
    best_block: int
    noise: float
    start: float
    current: float

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


class Track:
    """One series to be judged: finite points only, signed so that smaller is better.

    Args:
        tag: Name of the series.
        points: Its visible points, in order.
        direction: ``max`` turns the sign; None is a free quantity, whose level means nothing.
    """

    def __init__(self, tag: str, points: Points, direction: Direction | None = "min") -> None:
        points = _without_duplicates(points)
        self.tag = tag
        self.direction = direction
        self.points = points
        self.arrival: Floats = np.maximum.accumulate(np.nan_to_num(points.wall_time))
        self.finite: npt.NDArray[np.bool_] = np.isfinite(points.value)
        self.sign = -1.0 if direction == "max" else 1.0
        self.value: Floats = self.sign * points.value[self.finite]
        self.step: Steps = points.step[self.finite]
        self.session: Sessions = points.session[self.finite]
        self.time: Floats = self.arrival[self.finite]
        self._condensed: dict[tuple[bool, int], Floats] = {}
        self._courses: dict[int, Course] = {}

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

    def level_at(self, count: int) -> float:
        """Return the median of the newest of the first `count` points: 5 % of them, at most 50."""
        return median(self.value[max(count - recent_points(count), 0) : count])

    def is_positive(self, count: int) -> bool:
        """Tell whether the first `count` points are all above 0."""
        return count <= self._positive_until

    def progress_at(self, count: int) -> float:
        """Return the progress at the last tick up to `count` points, in the units of the series; at least four."""
        return self.course(last_tick(count)).linear_progress

    @cached_property
    def repeats(self) -> npt.NDArray[np.int64]:
        """For each point, how many identical values end there."""
        return run_lengths(self.value)

    @cached_property
    def medians_of_three(self) -> Floats:
        """Running medians of three, shape ``(n_points − 2,)``: entry i is that of points i to i + 2."""
        first, second, third = self.value[:-2], self.value[1:-1], self.value[2:]
        low, high = np.minimum(first, second), np.maximum(first, second)
        return np.maximum(low, np.minimum(high, third))

    def _course(self, count: int) -> Course:
        log = self._log_from <= count and self.is_positive(count)
        scaled = self._logarithm if log else self.value
        width = 1 << max(math.ceil(math.log2(count / DENSEST)), 0)
        condensed = self._condense(log, width)[: count // width]
        blocks = block_medians(condensed, _block_count(count))
        block_points = len(condensed) // len(blocks) * width
        differences = scaled[1:count:width] - scaled[: count - 1 : width]
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
            noise=noise * max(math.sqrt(SHORT / count), 1.0),
            start=median(scaled[: max(3, block_points)][:count]),
            current=median(scaled[max(count - recent_points(count), 0) : count]),
        )

    def _condense(self, log: bool, width: int) -> Floats:
        key = (log, width)
        if key not in self._condensed:
            scaled = self._logarithm if log else self.value
            whole = len(scaled) // width
            rows = scaled[: whole * width].reshape(whole, width)
            self._condensed[key] = scaled if width == 1 else row_medians(rows)
        return self._condensed[key]

    @cached_property
    def _logarithm(self) -> Floats:
        return np.log10(self.value[: self._positive_until])

    @cached_property
    def _positive_until(self) -> int:
        """Number of points before the first that is not positive; one more than there are when all are."""
        wrong = np.flatnonzero(self.value <= 0)
        return int(wrong[0]) if len(wrong) else len(self.value) + 1

    @cached_property
    def _log_from(self) -> int:
        """Number of points from which on the levels span more than `LOG_SPAN`: once so, for good."""
        positive = self.value[: self._positive_until]
        whole = len(positive) // 5
        if not whole:
            return len(self.value) + 1
        levels = row_medians(positive[: whole * 5].reshape(whole, 5))
        wide = np.flatnonzero(np.maximum.accumulate(levels) > LOG_SPAN * np.minimum.accumulate(levels))
        return (int(wide[0]) + 1) * 5 if len(wide) else len(self.value) + 1


def recent_points(count: int) -> int:
    """Return how many newest points make the present level: 5 % of them, at least 3, and 5 once there are 30."""
    return min(max(count // 20, 3 if count < SHORT else 5), 50)


def _block_count(count: int) -> int:
    return count if count < SHORT else min(max(count // 5, 4), MOST_BLOCKS)


def _without_duplicates(points: Points) -> Points:
    """Drop a point that repeats step, value and session of the one before: it was logged twice."""
    if len(points) < 2:
        return points
    same = (np.diff(points.step) == 0) & (points.value[1:] == points.value[:-1]) & (np.diff(points.session) == 0)
    return points.take(np.concatenate(([True], ~same))) if same.any() else points
