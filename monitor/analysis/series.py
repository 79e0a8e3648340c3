"""What is done to one series before it is shown: hide, smooth, thin, place on an axis, summarise.

Pure NumPy. Every function takes points sorted as the reader delivers them, by session and then by step.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from monitor.schema import Floats, Metric, Points, RoleTag, TrendBar

Axis = Literal["step", "epoch", "relative", "wall"]
Rows = npt.NDArray[np.intp]


def visible(points: Points) -> Points:
    """Return the points that still count: those that no later session of the series has overwritten.

    A point is superseded when its step is at or beyond the first step of a later session. Repeated steps within one
    session stay. The steps of the result never decrease.

    Source: the purge rule of TensorBoard's event accumulator (orphaned events after a restart).
    """
    starts = session_starts(points)
    if len(starts) < 2:
        return points
    first_steps = points.step[starts]
    later_first = np.append(np.minimum.accumulate(first_steps[::-1])[::-1][1:], np.iinfo(np.int64).max)
    lengths = np.diff(np.append(starts, len(points)))
    kept = points.step < np.repeat(later_first, lengths)
    return points if kept.all() else points.take(kept)


def session_starts(points: Points) -> Rows:
    """Return the rows at which a session begins, shape ``(n_sessions,)``; empty without points."""
    if not len(points):
        return np.empty(0, np.intp)
    return np.append(0, np.flatnonzero(np.diff(points.session)) + 1).astype(np.intp)


def last_session(points: Points) -> Points:
    """Return the points of the newest session of the series."""
    starts = session_starts(points)
    return points.take(slice(int(starts[-1]), None)) if len(starts) else points


def non_finite_rows(values: Floats) -> Rows:
    """Return the rows that hold NaN or an infinity, ascending."""
    return np.flatnonzero(~np.isfinite(values))


# --- smoothing -----------------------------------------------------------------------------------------------------


def smooth(values: Floats, weight: float) -> Floats:
    """Return the debiased exponential mean of the values, as TensorBoard's page draws it.

    Values that are not finite are passed through and leave the mean as it is; a constant series is returned
    unchanged. The mean m follows m ← weight · m + (1 − weight) · x from 0 and is divided by 1 − weightᵏ, where k
    counts the finite values so far.

    Args:
        values: Shape ``(n_points,)``.
        weight: In [0, 1); 0 returns the values themselves.

    Raises:
        ValueError: `weight` is outside [0, 1).

    Source: `resmoothDataset` of TensorBoard's vz_line_chart2, and tensorboard#786 for constant series.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"weight must be at least 0 and below 1, not {weight}")
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    if weight == 0 or not finite.any() or bool((values == values[0]).all()):
        return values.copy()
    smoothed = values.copy()
    smoothed[finite] = _exponential_mean(values[finite], weight)
    return smoothed


def _exponential_mean(values: Floats, weight: float) -> Floats:
    """Return the debiased mean of finite values, in ⌈log₂ n⌉ passes over the array instead of n steps.

    After a pass with the shift s every row holds the weighted sum of its last 2s values, so doubling s reaches all.
    Source: prefix sums by recursive doubling (Hillis and Steele, 1986), applied to a first-order recurrence.
    """
    sums = (1 - weight) * values
    shift, factor = 1, weight
    while shift < len(sums) and factor > 1e-300:  # below, the oldest values no longer reach a float64
        sums[shift:] += factor * sums[:-shift]
        shift, factor = 2 * shift, factor * factor
    counts = np.arange(1, len(sums) + 1, dtype=np.float64)
    mean: Floats = sums / -np.expm1(counts * np.log(weight))
    return mean


def smooth_sessions(points: Points, weight: float) -> Floats:
    """Return the values smoothed as `smooth` does, beginning anew at every session; shape ``(n_points,)``."""
    starts = session_starts(points)
    if not len(starts):
        return points.value.copy()
    return np.concatenate([smooth(part, weight) for part in np.split(points.value, starts[1:])])


# --- thinning ------------------------------------------------------------------------------------------------------


def thin(x: npt.NDArray[np.float64] | npt.NDArray[np.int64], values: Floats, n: int) -> Rows:
    """Return at most `n` rows that keep the shape of a series: first, last and every bucket's smallest and largest.

    Rows are chosen, never averaged, so every extreme of the series is among them. Buckets hold equally many rows.
    Rows without a place on the axis (NaN in `x`) are left out; a value that is not finite is chosen only as the first
    or last row, or when nothing needs thinning: `non_finite_rows` finds them all.

    Args:
        x: Place of every row on the axis, shape ``(n_points,)``.
        values: Shape ``(n_points,)``.
        n: At least 4.

    Returns:
        Row numbers, ascending, without repetition.

    Raises:
        ValueError: `n` is below 4.

    Source: min-max downsampling (Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", 2014).
    """
    if n < 4:
        raise ValueError(f"n must be at least 4, not {n}")
    rows = np.flatnonzero(np.isfinite(x))
    if len(rows) <= n:
        return rows
    inner = values[rows[1:-1]]
    chosen: Rows = np.concatenate(([0], 1 + _extreme_rows(inner, (n - 2) // 2), [len(rows) - 1]))
    thinned: Rows = rows[np.unique(chosen)]
    return thinned


def _extreme_rows(values: Floats, n_buckets: int) -> Rows:
    """Return the rows of the smallest and the largest finite value of every bucket, in no order."""
    size = -(-len(values) // n_buckets)
    padding = np.full(-len(values) % size, np.nan)
    buckets = np.concatenate((values, padding)).reshape(-1, size)
    finite = np.isfinite(buckets)
    offsets = np.arange(len(buckets)) * size
    lowest = offsets + np.where(finite, buckets, np.inf).argmin(axis=1)
    highest = offsets + np.where(finite, buckets, -np.inf).argmax(axis=1)
    found = finite.any(axis=1)
    rows: Rows = np.concatenate((lowest[found], highest[found]))
    return rows


# --- axes ----------------------------------------------------------------------------------------------------------


def axis_values(
    points: Points,
    axis: Axis,
    start_wall_time: float | None = None,
    epoch_points: Points | None = None,
    first_epoch_step: int | None = None,
) -> Floats:
    """Return the place of every point on an axis, shape ``(n_points,)``.

    Args:
        points: The series to place.
        axis: ``step``; ``epoch``, counted from 1 where steps are epochs and as logged where an epoch series tells;
            ``relative``, seconds since the run began; ``wall``, seconds UTC.
        start_wall_time: Begin of the run; None for the first point of the series.
        epoch_points: The run's epoch series; between two of its points the epoch is interpolated over the step.
        first_epoch_step: The step that stands for the first epoch, 0 or 1; None where one step is not one epoch.

    Returns:
        The places; all NaN on the epoch axis of a run whose epochs are unknown.
    """
    if axis == "step":
        return points.step.astype(np.float64)
    if axis == "wall":
        return points.wall_time.astype(np.float64)
    if axis == "relative":
        start = start_wall_time
        if start is None:
            start = float(points.wall_time.min()) if len(points) else 0.0
        return points.wall_time - start
    if first_epoch_step is not None:
        return (points.step - first_epoch_step + 1).astype(np.float64)
    return _epochs_at(points.step, epoch_points)


def _epochs_at(steps: npt.NDArray[np.int64], epoch_points: Points | None) -> Floats:
    known = visible(epoch_points) if epoch_points is not None else Points.empty()
    known = known.take(np.isfinite(known.value))
    if not len(known):
        return np.full(len(steps), np.nan)
    known = last_of_each_step(known)
    return np.interp(steps.astype(np.float64), known.step.astype(np.float64), known.value)


def last_of_each_step(points: Points) -> Points:
    """Return, of visible points, the last one of every step."""
    if not len(points):
        return points
    return points.take(np.append(points.step[1:] != points.step[:-1], True))


# --- summaries -----------------------------------------------------------------------------------------------------


def metric_of(points: Points, role: RoleTag) -> Metric | None:
    """Return the figures of one series over its visible points, in the unit of the role; None without points.

    `previous` is the last value of the step before, so that a trainer which writes a value twice per step does not
    always show a change of nothing; where all points share one step it is the point before.
    """
    shown = visible(points)
    if not len(shown):
        return None
    values = shown.value * role.scale
    earlier = int(np.searchsorted(shown.step, shown.step[-1])) or len(shown) - 1
    previous = float(values[earlier - 1]) if earlier else None
    best = best_row(values, role.direction)
    return Metric(
        tag=role.tag,
        label=role.label,
        direction=role.direction,
        step=int(shown.step[-1]),
        value=float(values[-1]),
        previous=previous,
        change_percent=change_percent(float(values[-1]), previous),
        best=None if best is None else float(values[best]),
        best_step=None if best is None else int(shown.step[best]),
    )


def change_percent(value: float, previous: float | None) -> float | None:
    """Return (value − previous) / |previous| × 100; None without a previous value, from 0, or where not finite."""
    if previous is None or previous == 0 or not (np.isfinite(value) and np.isfinite(previous)):
        return None
    change = (value - previous) / abs(previous) * 100
    return change if np.isfinite(change) else None


def best_row(values: Floats, direction: str | None) -> int | None:
    """Return the first row of the best finite value; None without a direction or a finite value."""
    if direction is None or not np.isfinite(values).any():
        return None
    worst = np.inf if direction == "min" else -np.inf
    filled = np.where(np.isfinite(values), values, worst)
    return int(filled.argmin() if direction == "min" else filled.argmax())


def loss_trend(points: Points, count: int) -> tuple[TrendBar, ...]:
    """Return the last `count` steps of a series as bars, oldest first; of a repeated step its last value.

    A bar's share is its value relative to the largest finite one. Where a value is negative the shares run from the
    smallest (0) to the largest (1). NaN and −∞ have no bar (share 0), +∞ a full one.
    """
    recent = last_of_each_step(visible(points))
    recent = recent.take(slice(max(len(recent) - count, 0), None))
    bars = zip(recent.step, recent.value, _shares(recent.value), strict=True)
    return tuple(TrendBar(int(step), float(value), float(share)) for step, value, share in bars)


def _shares(values: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    low = min(float(finite.min()), 0.0) if len(finite) else 0.0
    span = float(finite.max()) - low if len(finite) else 0.0
    shares = (values - low) / span if span > 0 else np.where(np.isfinite(values), 0.0, values)
    shares[np.isnan(shares)] = 0.0
    clipped: Floats = np.clip(shares, 0.0, 1.0)
    return clipped
