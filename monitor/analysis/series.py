"""What is done to one series before it is shown: hide, smooth, thin, place on an axis, summarise.

Pure NumPy. Every function takes points sorted as the reader delivers them, by session and then by step.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from monitor.growing import GrowingPoints, Tally
from monitor.schema import Floats, Metric, Points, RoleTag, Steps, TrendBar

Axis = Literal["step", "epoch", "relative", "wall"]
Rows = npt.NDArray[np.intp]

SMALLEST_POWER: Final = 1e-30
LONGEST_BLOCK: Final = 512
LARGEST_VALUE: Final = 1e250
"""Powers of a weight that one block of a smoothed series may span; its length; a value they leave finite."""


def visible(points: Points) -> Points:
    """Return the points that still count: those that no later session of the series has overwritten.

    A point is superseded when its step is at or beyond the first step of a later session. Repeated steps within one
    session stay. The steps of the result never decrease.

    Source: the purge rule of TensorBoard's event accumulator (orphaned events after a restart).
    """
    starts = session_starts(points)
    if len(starts) < 2:
        return points
    ends = np.append(starts[1:], len(points))
    kept_ends = _kept_ends(points.step, starts, ends)
    if np.array_equal(kept_ends, ends):
        return points
    return _joined([points.take(slice(start, end)) for start, end in zip(starts, kept_ends, strict=True)])


def _kept_ends(steps: Steps, starts: Rows, ends: Rows) -> Rows:
    """Return the row behind the last that still counts of each session: steps ascend, so the rest is superseded."""
    later_first = np.minimum.accumulate(steps[starts[:0:-1]])[::-1]
    sessions = zip(starts[:-1], ends[:-1], later_first, strict=True)
    kept = [start + np.searchsorted(steps[start:end], first) for start, end, first in sessions]
    return np.append(np.array(kept, np.intp), ends[-1])


def _joined(parts: Sequence[Points]) -> Points:
    return Points(
        np.concatenate([part.step for part in parts]),
        np.concatenate([part.wall_time for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.session for part in parts]),
    )


class Visible(Tally):
    """The visible points of a series that grows: as `visible` returns them, but only what is new is looked at.

    Args:
        points: The visible points; the series itself, uncopied, as long as none of them is superseded.
    """

    def clear(self) -> None:
        """Forget all points."""
        self.points = Points.empty()
        self._own: GrowingPoints | None = None

    def add(self, points: Points, seen: int) -> None:
        """Take in the points behind the first `seen`: those of another session may supersede earlier ones."""
        if not seen or points.session[-1] != points.session[seen - 1]:
            self.points, self._own = visible(points), None
        elif self._own is None and len(self.points) == seen:
            self.points = points
        else:
            self.points = self._appended(points.take(slice(seen, None)))

    def _appended(self, new: Points) -> Points:
        if self._own is None:
            self._own = GrowingPoints()
            self._own.append(self.points)
        self._own.append(new)
        return self._own.view


def session_starts(points: Points) -> Rows:
    """Return the rows at which a session begins, shape ``(n_sessions,)``; empty without points."""
    if not len(points):
        return np.empty(0, np.intp)
    first, last = int(points.session[0]), int(points.session[-1])
    if first == last:
        return np.zeros(1, np.intp)
    # Keys of the same type: others would have the whole column converted.
    rows = np.searchsorted(points.session, np.arange(first, last + 1, dtype=points.session.dtype))
    return np.unique(rows)


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
    if finite.all():
        return _exponential_mean(values, weight)
    smoothed = values.copy()
    smoothed[finite] = _exponential_mean(values[finite], weight)
    return smoothed


def _exponential_mean(values: Floats, weight: float) -> Floats:
    """Return the debiased mean of finite values.

    It is divided by the total of the weights so far, which is 1 to the last bit once weightᵏ has vanished beside it.
    """
    peak = max(float(values.max()), -float(values.min()))
    if peak > LARGEST_VALUE:
        return peak * _exponential_mean(values / peak, weight)
    mean = _decayed_sums(values, weight)
    mean *= 1 - weight
    young = min(len(mean), math.ceil(math.log(np.finfo(np.float64).eps / 4) / math.log(weight)))
    mean[:young] /= -np.expm1(np.arange(1, young + 1) * np.log(weight))
    return mean


def _decayed_sums(values: Floats, weight: float) -> Floats:
    """Return sᵢ = weight · sᵢ₋₁ + xᵢ without a step per value: what the blocks hand on first, then within each.

    Within a block sᵢ / weightⁱ is the running total of xⱼ / weightʲ; a block is so short that these stay finite. What
    the blocks hand on is a recurrence of the same kind, of one value per block.
    Source: blocked prefix sums (Blelloch, "Prefix Sums and Their Applications", 1990), for a first-order recurrence.
    """
    if weight < SMALLEST_POWER:
        return values + weight * np.concatenate([[0.0], values[:-1]])
    size = int(np.clip(math.log(SMALLEST_POWER) / math.log(weight), 2, LONGEST_BLOCK))
    powers = weight ** np.arange(size, dtype=np.float64)
    sums = np.zeros((-(-len(values) // size), size))
    sums.ravel()[: len(values)] = values
    if len(sums) > 1:
        # Not "@": the library behind it would wake up every core for a sum this small.
        handed_on = np.einsum("ij,j->i", sums, powers[::-1])
        sums[1:, 0] += weight * _decayed_sums(handed_on, weight**size)[:-1]
    sums /= powers
    np.cumsum(sums, axis=1, out=sums)
    sums *= powers
    return sums.ravel()[: len(values)]


def smooth_sessions(points: Points, weight: float) -> Floats:
    """Return the values smoothed as `smooth` does, beginning anew at every session; shape ``(n_points,)``."""
    starts = session_starts(points)
    if len(starts) < 2:
        return smooth(points.value, weight)
    return np.concatenate([smooth(part, weight) for part in np.split(points.value, starts[1:])])


# --- thinning ------------------------------------------------------------------------------------------------------


def thin(x: npt.NDArray[np.float64] | npt.NDArray[np.int64], values: Floats, n: int) -> Rows:
    """Return at most `n` rows that keep the shape of a series: first, last and every bucket's smallest and largest.

    Rows are chosen, never averaged, so every extreme of the series is among them. Buckets hold equally many rows, and
    mostly the same ones while a series grows: a curve that is drawn again changes at its end alone.
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
    placed = np.isfinite(x)
    if not placed.all():
        rows = np.flatnonzero(placed)
        return rows[thin(x[rows], values[rows], n)]
    if len(x) <= n:
        return np.arange(len(x))
    chosen: Rows = np.concatenate(([0], 1 + _extreme_rows(values[1:-1], (n - 2) // 2), [len(x) - 1]))
    return np.unique(chosen)


def _extreme_rows(values: Floats, n_buckets: int) -> Rows:
    """Return the rows of the smallest and the largest finite value of every bucket, in no order."""
    finite = np.isfinite(values)
    if not finite.all():
        rows: Rows = np.flatnonzero(finite)
        return rows[_extreme_rows(values[rows], n_buckets)]
    size = _round_up(-(-len(values) // n_buckets))
    whole = len(values) - len(values) % size
    buckets, rest = values[:whole].reshape(-1, size), values[whole:]
    offsets = np.arange(0, whole, size)
    found = [offsets + buckets.argmin(axis=1), offsets + buckets.argmax(axis=1)]
    if len(rest):
        found.append(np.array([whole + rest.argmin(), whole + rest.argmax()]))
    return np.concatenate(found)


def _round_up(count: int) -> int:
    """Return the next power of two, or three quarters of it: a size that stays for long while a count grows."""
    power: int = 1 << max(count - 1, 0).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= max(count, 2) else power


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


class Best(Tally):
    """The best finite value of a series that grows, in the unit of its role.

    Args:
        role: Its direction tells what is better; without one nothing is the best.
        value: None without a direction or a finite value.
        step: Step of the first point with this value.
    """

    def __init__(self, role: RoleTag) -> None:
        self._role = role
        super().__init__()

    def clear(self) -> None:
        """Forget all points."""
        self.value: float | None = None
        self.step: int | None = None

    def add(self, points: Points, seen: int) -> None:
        """Take in the points behind the first `seen`."""
        values = points.value[seen:] * self._role.scale
        row = best_row(values, self._role.direction)
        if row is not None and self._is_better(float(values[row])):
            self.value, self.step = float(values[row]), int(points.step[seen + row])

    def _is_better(self, value: float) -> bool:
        if self.value is None:
            return True
        return value < self.value if self._role.direction == "min" else value > self.value


def metric_of(points: Points, role: RoleTag, best: Best | None = None) -> Metric | None:
    """Return the figures of one series over its visible points, in the unit of the role; None without points.

    `previous` is the last value of the step before, so that a trainer which writes a value twice per step does not
    always show a change of nothing; where all points share one step it is the point before.

    Args:
        points: The series.
        role: What it means.
        best: What is known of the best value of its visible points; brought up to date.
    """
    shown = visible(points)
    if not len(shown):
        return None
    known = Best(role) if best is None else best
    known.follow(shown)
    earlier = int(np.searchsorted(shown.step, shown.step[-1])) or len(shown) - 1
    previous = float(shown.value[earlier - 1] * role.scale) if earlier else None
    value = float(shown.value[-1] * role.scale)
    return Metric(
        tag=role.tag,
        label=role.label,
        direction=role.direction,
        step=int(shown.step[-1]),
        value=value,
        previous=previous,
        change_percent=change_percent(value, previous),
        best=known.value,
        best_step=known.step,
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
    shown = visible(points)
    recent = shown.take(_last_rows_of_steps(shown.step, count))
    bars = zip(recent.step, recent.value, _shares(recent.value), strict=True)
    return tuple(TrendBar(int(step), float(value), float(share)) for step, value, share in bars)


def _last_rows_of_steps(steps: Steps, count: int) -> Rows:
    """Return the last row of each of the last `count` steps of a series, ascending."""
    rows: list[int] = []
    end = len(steps)
    while end and len(rows) < count:
        rows.append(end - 1)
        end = int(np.searchsorted(steps, steps[end - 1]))
    return np.array(rows[::-1], np.intp)


def _shares(values: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    low = min(float(finite.min()), 0.0) if len(finite) else 0.0
    span = float(finite.max()) - low if len(finite) else 0.0
    shares = (values - low) / span if span > 0 else np.where(np.isfinite(values), 0.0, values)
    shares[np.isnan(shares)] = 0.0
    clipped: Floats = np.clip(shares, 0.0, 1.0)
    return clipped
