"""RunStatus → its digest: what a list of many runs tells of one, in a few hundred numbers instead of all points.

Pure: no files, no clock, no Streamlit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.analysis.series import thin, visible
from monitor.schema import Direction, Points, Run
from monitor.status import RunStatus

COURSE_POINTS = 40
MOST_SERIES = 256  # a run may log one per layer; of further ones nothing is told


@dataclass(frozen=True, slots=True)
class SeriesDigest:
    """One series in short, over the points that still count.

    Args:
        smallest: Smallest finite value, None without one.
        largest: Largest finite value.
        last: Newest value, NaN and infinities included.
        course: Some finite values in their order, the extremes among them, for a small curve.
    """

    smallest: float | None
    largest: float | None
    last: float
    course: tuple[float, ...]

    def best(self, direction: Direction | None) -> float | None:
        """Return the best finite value; None where nothing says what is better."""
        return {"min": self.smallest, "max": self.largest, None: None}[direction]


@dataclass(frozen=True, slots=True)
class RunDigest:
    """One run in short.

    Args:
        run: The run as it was found when it was read.
        made_at: When that was, seconds UTC.
        epoch: The epoch in work.
        health: Its score, 0 to 100.
        is_judged: Whether its health was looked at; there may be none to tell.
        series: Tag → the series in short; nothing of a run that could not be read.
    """

    run: Run
    made_at: float
    epoch: int | None
    health: int | None
    is_judged: bool
    series: Mapping[str, SeriesDigest]


def digest_of(run: Run, status: RunStatus, *, is_judged: bool) -> RunDigest:
    """Return what a list tells of a run.

    Args:
        run: As it was found.
        status: What was read of it.
        is_judged: Whether its health was looked at.
    """
    tags = list(status.scalars.series)[:MOST_SERIES]
    series = {tag: digest_series(status.scalars.points(tag)) for tag in tags}
    found = {tag: digest for tag, digest in series.items() if digest is not None}
    return RunDigest(run, status.now, status.progress.epoch, status.health.score, is_judged, found)


def unreadable(run: Run, now: float) -> RunDigest:
    """Return the digest of a run that cannot be read: nothing is known of it, and nothing is left to be done."""
    return RunDigest(run, now, epoch=None, health=None, is_judged=True, series={})


def digest_series(points: Points) -> SeriesDigest | None:
    """Return a series in short; None without points."""
    shown = visible(points)
    if not len(shown):
        return None
    finite = shown.value[np.isfinite(shown.value)]
    return SeriesDigest(
        smallest=float(finite.min()) if len(finite) else None,
        largest=float(finite.max()) if len(finite) else None,
        last=float(shown.value[-1]),
        course=course_of(points),
    )


def course_of(points: Points) -> tuple[float, ...]:
    """Return some finite values of a series in their order, the extremes among them, for a small curve."""
    shown = visible(points)
    shown = shown.take(np.isfinite(shown.value))
    rows = thin(shown.step.astype(np.float64), shown.value, COURSE_POINTS)
    return tuple(shown.value[rows].tolist())
