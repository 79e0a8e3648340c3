"""The figures of one metric in one run, and which of its values is compared with other runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from monitor.analysis.series import best_row, last_of_each_step, session_starts, visible
from monitor.schema import Direction, Points
from monitor.text import format_percent, format_step, plain

By = Literal["best", "last", "final", "step"]

FINAL_SHARE = 0.05  # of the steps of a run


# --- what is compared ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Selection:
    """Another series that decides at which step the metric is read: chosen by best validation, reported on test.

    Args:
        tag: Name of the series.
        direction: Which way it is better.
        points_by_run: Name of the run → its points.
    """

    tag: str
    direction: Direction
    points_by_run: Mapping[str, Points]


@dataclass(frozen=True, slots=True)
class Reading:
    """Which value of a run is compared.

    Args:
        by: ``best``, ``last``, ``final`` (the mean over the last 5 % of its steps) or ``step`` (at `step`).
        step: The step of ``step``: the last value at or before it, of runs that have reached it.
        selection: With ``best``: the metric is read where this series is best. None: where it is best itself.
    """

    by: By = "best"
    step: int | None = None
    selection: Selection | None = None

    def phrase(self, tag: str) -> str:
        """Return what is compared in words: ``best val/loss``, ``test/acc where val/acc is best``."""
        if self.by == "step":
            return f"{plain(tag)} at step {format_step(self.step)}"
        if self.by == "final":
            return f"{plain(tag)} over the last {format_percent(100 * FINAL_SHARE)} of the steps"
        if self.by == "best" and self.selection is not None:
            return f"{plain(tag)} where {plain(self.selection.tag)} is best"
        return f"{self.by} {plain(tag)}"

    def value_phrase(self, tag: str) -> str:
        """Return what a run may lack: ``best value of val/loss``."""
        plainly = self.by in ("best", "last") and self.selection is None
        return f"{self.by} value of {plain(tag)}" if plainly else f"value of {self.phrase(tag)}"


@dataclass(frozen=True, slots=True)
class RunRow:
    """The figures of one metric in one run; unknown is None.

    Args:
        run: Name of the run.
        best: Best finite value of the visible points.
        best_step: Its step.
        last: Newest value, NaN and infinities included.
        last_step: Its step.
        n_points: Number of visible points.
        duration_seconds: Time between the first and the last point, summed over the sessions: pauses between two
            sessions do not count, work that was done again does.
        value: The value that is compared, as the reading says; None where it is not finite.
        value_step: Step at which it was read; for a mean the last of its steps.
        final: Mean over the last 5 % of the steps; NaN where a value there is.
        area: Area under the curve over the steps that all runs share, divided by their number: the mean value there.
        steps_to_target: First step at which the metric is as good as the best of the baseline.
        seconds_to_target: Time until then, counted as `duration_seconds` is.
        health: Score of the run, 0 to 100.
    """

    run: str
    best: float | None
    best_step: int | None
    last: float | None
    last_step: int | None
    n_points: int
    duration_seconds: float | None
    value: float | None = None
    value_step: int | None = None
    final: float | None = None
    area: float | None = None
    steps_to_target: int | None = None
    seconds_to_target: float | None = None
    health: int | None = None


# --- one run -------------------------------------------------------------------------------------------------------


def run_row(
    run: str,
    points: Points,
    shown: Points,
    direction: Direction | None,
    reading: Reading,
    shared: tuple[int, int] | None,
    health: int | None = None,
) -> RunRow:
    """Return the figures of one run, but for what depends on the baseline (`with_target` adds that).

    Args:
        run: Its name.
        points: The metric, superseded points included.
        shown: Its visible points.
        direction: Which way is better.
        reading: Which value is compared.
        shared: Steps that all runs share, for the area.
        health: Score of the run.
    """
    best = best_row(shown.value, direction)
    newest = len(shown) - 1 if len(shown) else None
    value, value_step = _read(run, shown, best, reading)
    return RunRow(
        run=run,
        best=None if best is None else float(shown.value[best]),
        best_step=None if best is None else int(shown.step[best]),
        last=None if newest is None else float(shown.value[newest]),
        last_step=None if newest is None else int(shown.step[newest]),
        n_points=len(shown),
        duration_seconds=_duration_seconds(points),
        value=value,
        value_step=value_step,
        final=_final(shown),
        area=_area(shown, shared),
        health=health,
    )


def _duration_seconds(points: Points) -> float | None:
    if not len(points):
        return None
    starts = session_starts(points)
    return float((np.maximum.reduceat(points.wall_time, starts) - np.minimum.reduceat(points.wall_time, starts)).sum())


def _read(run: str, shown: Points, best: int | None, reading: Reading) -> tuple[float | None, int | None]:
    """Return the value to compare and its step; None where there is none or it is not finite."""
    row = _row_read(run, shown, best, reading)
    if row is None:
        return None, None
    value = _final(shown) if reading.by == "final" else float(shown.value[row])
    return (value, int(shown.step[row])) if value is not None and math.isfinite(value) else (None, None)


def _row_read(run: str, shown: Points, best: int | None, reading: Reading) -> int | None:
    if not len(shown):
        return None
    if reading.by == "step":
        return _row_at(shown, reading.step)
    if reading.by != "best":
        return len(shown) - 1
    if reading.selection is None:
        return best
    chooser = visible(reading.selection.points_by_run.get(run, Points.empty()))
    chosen = best_row(chooser.value, reading.selection.direction)
    if chosen is None:
        return None
    # What is measured once, after the training, belongs to the model that was chosen before.
    return len(shown) - 1 if len(shown) == 1 else _row_at(shown, int(chooser.step[chosen]))


def _row_at(shown: Points, step: int | None) -> int | None:
    """Return the last row at or before a step, None where the run begins after it or has not reached it."""
    if step is None or not shown.step[0] <= step <= shown.step[-1]:
        return None
    return int(np.searchsorted(shown.step, step, side="right")) - 1


def _final(shown: Points) -> float | None:
    """Return the mean of the values in the last 5 % of the steps, the last point at least."""
    if not len(shown):
        return None
    begin = shown.step[-1] - FINAL_SHARE * (shown.step[-1] - shown.step[0])
    with np.errstate(invalid="ignore"):  # the mean of ∞ and −∞ is NaN
        return float(shown.value[shown.step >= begin].mean())


def shared_steps(series: Iterable[Points]) -> tuple[int, int] | None:
    """Return first and last step that lie within all series which have points; None without any."""
    spans = [(int(points.step[0]), int(points.step[-1])) for points in series if len(points)]
    if not spans:
        return None
    first, last = max(first for first, _ in spans), min(last for _, last in spans)
    return (first, last) if first < last else None


def _area(shown: Points, shared: tuple[int, int] | None) -> float | None:
    """Return the area under the finite points over the shared steps, divided by their number.

    Source: trapezoidal rule; the value at either end is interpolated between the points around it.
    """
    kept = last_of_each_step(shown.take(np.isfinite(shown.value)))
    if shared is None or not len(kept) or kept.step[0] > shared[0] or kept.step[-1] < shared[1]:
        return None
    inside = (kept.step > shared[0]) & (kept.step < shared[1])
    steps = np.concatenate(([shared[0]], kept.step[inside], [shared[1]])).astype(np.float64)
    values = np.interp(steps, kept.step.astype(np.float64), kept.value)
    return float(np.trapezoid(values, steps)) / (shared[1] - shared[0])


def with_target(
    rows: Mapping[str, RunRow],
    points_by_run: Mapping[str, Points],
    baseline: Sequence[str],
    direction: Direction | None,
) -> dict[str, RunRow]:
    """Return the rows with steps and time to the baseline's best: the mean of the best values of its runs."""
    bests = [best for run in baseline if (best := rows[run].best) is not None]
    if direction is None or not bests:
        return dict(rows)
    target = float(np.mean(bests))
    return {run: _reached(row, points_by_run[run], target, direction) for run, row in rows.items()}


def _reached(row: RunRow, points: Points, target: float, direction: Direction) -> RunRow:
    shown = visible(points)
    good = np.isfinite(shown.value) & (shown.value <= target if direction == "min" else shown.value >= target)
    if not good.any():
        return row
    first = int(good.argmax())
    step, moment = int(shown.step[first]), float(shown.wall_time[first])
    return replace(
        row, steps_to_target=step, seconds_to_target=_seconds_until(points, int(shown.session[first]), moment)
    )


def _seconds_until(points: Points, session: int, moment: float) -> float:
    """Return the time spent in earlier sessions and, of this one, until a moment."""
    earlier = points.take(points.session < session)
    now = points.wall_time[points.session == session]
    return (_duration_seconds(earlier) or 0.0) + moment - float(now.min())
