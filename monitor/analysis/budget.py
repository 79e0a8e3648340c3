"""Several runs at the same budget: all cut where the shortest of them ends, in steps or in time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from monitor.analysis.series import visible
from monitor.schema import Points

Budget = Literal["all", "steps", "time"]


@dataclass(frozen=True, slots=True)
class Limit:
    """Where several runs are cut.

    Args:
        budget: ``steps`` or ``time``.
        limit: Last step, or seconds after the first event of a run, that every run has reached.
        shortest: Which of the runs ends there, counted from 0.
    """

    budget: Budget
    limit: float
    shortest: int

    def cut(self, points: Points, start: float | None) -> Points:
        """Return the points of a run up to the limit, superseded ones included.

        Args:
            points: Of one series.
            start: Time of the first event of its run; None leaves the points as they are where time is the limit.
        """
        if self.budget == "steps":
            return points.take(points.step <= self.limit)
        return points if start is None else points.take(points.wall_time - start <= self.limit)


def common_limit(series: Sequence[Points], starts: Sequence[float | None], budget: Budget) -> Limit | None:
    """Return where the shortest of some runs ends; runs without points or without a start do not count.

    Args:
        series: The metric of each run.
        starts: Time of the first event of each run, seconds UTC.
        budget: What is to be the same.

    Returns:
        None where nothing is to be cut, or no run has a point.
    """
    if budget == "all":
        return None
    ends = [_end(points, start, budget) for points, start in zip(series, starts, strict=True)]
    known = [(end, number) for number, end in enumerate(ends) if end is not None]
    if not known:
        return None
    limit, shortest = min(known)
    return Limit(budget, limit, shortest)


def _end(points: Points, start: float | None, budget: Budget) -> float | None:
    shown = visible(points)
    if not len(shown):
        return None
    if budget == "steps":
        return float(shown.step.max())
    return None if start is None else float(shown.wall_time.max()) - start
