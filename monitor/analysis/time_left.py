"""How long a run will still take, as a range: from how much its recent steps differ in length."""

from dataclasses import dataclass

import numpy as np

from monitor.analysis.series import last_of_each_step, last_session
from monitor.schema import Points, Progress

RECENT_INTERVALS = 20
FEWEST_INTERVALS = 4
QUARTILES = (25.0, 50.0, 75.0)


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The time left of a run.

    Args:
        seconds: At the usual pace, as in `Progress.eta_seconds`.
        low_seconds: At the pace of the quicker intervals; equal to `seconds` where nothing tells a range.
        high_seconds: At the pace of the slower ones.
        n_intervals: Number of recent intervals the range comes from, 0 without a range.
    """

    seconds: float
    low_seconds: float
    high_seconds: float
    n_intervals: int


def time_left(progress: Progress, points: Points) -> TimeLeft | None:
    """Return the time left with its range; None where the total or the pace is unknown.

    The range is what would be left if all the rest went at the lower or at the upper quartile of the recent times per
    step of the newest session. Breaks between epochs, for validation or saving, make it wider.

    Args:
        progress: As `progress_of` returns it.
        points: A series that is written regularly, e.g. the visible points of the loss.

    Source: quartiles by linear interpolation, Hyndman & Fan 1996, definition 7.
    """
    if progress.eta_seconds is None:
        return None
    eta = progress.eta_seconds
    pace = _recent_pace(points)
    if len(pace) < FEWEST_INTERVALS:
        return TimeLeft(eta, eta, eta, 0)
    low, usual, high = (float(value) for value in np.percentile(pace, QUARTILES))
    return TimeLeft(eta, eta * low / usual, eta * high / usual, len(pace))


def _recent_pace(points: Points) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the seconds per step of the newest intervals, shape ``(n_intervals,)``; bursts and leaps left out."""
    recent = last_of_each_step(last_session(points.take(slice(-8 * RECENT_INTERVALS, None))))
    steps = np.diff(recent.step)
    seconds = np.diff(recent.wall_time)
    usable = (steps > 0) & (seconds > 0)
    return (seconds[usable] / steps[usable])[-RECENT_INTERVALS:]
