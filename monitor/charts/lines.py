"""Which rows of a curve are sent: few enough to be quick, every extreme among them, the zoomed part in full."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.analysis.series import non_finite_rows, thin
from monitor.charts.curves import Curve
from monitor.charts.layouts import Layout
from monitor.schema import Floats

Rows = npt.NDArray[np.intp]
Zoom = tuple[float, float]

MAX_POINTS_PER_SERIES = 500
MAX_GAPS_PER_SERIES = 120
SPARSE_POINTS = 20
# The y axis of a clipped chart shows this part of the values and a tenth of their span to either side.
# Source: the axis of TensorBoard's scalar charts with "ignore outliers", which takes the 5th to the 95th percentile;
# here the beginning of a falling loss should stay on the chart too.
CLIP_PERCENTILES = (2.0, 98.0)
CLIP_MARGIN = 0.1
CLIP_PADDING = 0.02  # between a value that is not beyond and the end of the axis


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A curve made ready: the rows that are sent, and the values as the y axis can show them.

    Args:
        number: Its place among the labels of the layout.
        curve: What it was made of.
        drawable: The curve's values with NaN where the y axis has no place for them.
        rows: Rows to send, ascending; one such NaN per gap is among them, so that the line breaks there.
        alarms: Rows with a value that is no number.
        n_drawable: How many values the y axis can show.
    """

    number: int
    curve: Curve
    drawable: Floats
    rows: Rows
    alarms: Rows
    n_drawable: int

    @property
    def is_sparse(self) -> bool:
        """Whether the line has so few points that each is drawn as a dot."""
        return 0 < self.n_drawable <= SPARSE_POINTS


def prepare_lines(layout: Layout, curves: Sequence[Curve], zoom: Zoom | None) -> list[Line]:
    """Return the lines of a chart; `zoom` gives the limits on the axis of the curves that are sent in full."""
    limit = min(MAX_POINTS_PER_SERIES, max(layout.max_points // max(len(curves), 1), 4))
    return [_prepare(layout, number, curve, limit, zoom) for number, curve in enumerate(curves)]


def _prepare(layout: Layout, number: int, curve: Curve, limit: int, zoom: Zoom | None) -> Line:
    drawable = drawable_values(layout, curve.value)
    finite = np.isfinite(drawable)
    rows = _thinned(curve, finite, limit)
    if zoom is not None:
        margin = zoom[1] - zoom[0]
        near = (curve.x >= zoom[0] - margin) & (curve.x <= zoom[1] + margin)
        rows = np.union1d(rows, _thinned(curve, finite & near, limit))
    if finite.all():
        return Line(number, curve, drawable, rows, np.empty(0, np.intp), len(curve.value))
    gaps = np.flatnonzero(~finite & np.concatenate([[True], finite[:-1]]))[:MAX_GAPS_PER_SERIES]
    alarms = non_finite_rows(curve.value)
    return Line(number, curve, drawable, np.union1d(rows, gaps), alarms, int(np.count_nonzero(finite)))


def drawable_values(layout: Layout, value: Floats) -> Floats:
    """Return values with NaN where they have no place on the y axis of a layout."""
    possible = np.isfinite(value) & (value > 0) if layout.log_y else np.isfinite(value)
    return value if bool(possible.all()) else np.where(possible, value, np.nan)


def shown_values(layout: Layout, line: Line, rows: Rows) -> Floats:
    """Return the values of some rows as the line in front shows them: smoothed where it is."""
    if line.curve.smoothed is None:
        return line.drawable[rows]
    front = drawable_values(layout, line.curve.smoothed[rows])
    return np.where(np.isfinite(line.drawable[rows]), front, np.nan)


def placed_on(layout: Layout, curve: Curve) -> Curve:
    """Return the part of a curve that has a place on the x axis: on a logarithmic one what lies above 0."""
    if not layout.log_x:
        return curve
    placed = _part(curve, slice(int(np.searchsorted(curve.x, 0.0, side="right")), None))
    return replace(
        placed,
        restarts=None if curve.restarts is None else curve.restarts[curve.restarts > 0],
        marks=tuple(mark for mark in curve.marks if mark.x > 0),
    )


def _part(curve: Curve, rows: Rows | slice) -> Curve:
    """Return some rows of a curve; what happened along it stays."""
    return replace(
        curve,
        x=curve.x[rows],
        value=curve.value[rows],
        smoothed=None if curve.smoothed is None else curve.smoothed[rows],
        low=None if curve.low is None else curve.low[rows],
        high=None if curve.high is None else curve.high[rows],
    )


def _thinned(curve: Curve, shown: npt.NDArray[np.bool_], limit: int) -> Rows:
    """Return at most `limit` of the rows that are shown, the extremes of the values and of their area among them."""
    if not shown.all():
        rows = np.flatnonzero(shown)
        return rows[_thinned(_part(curve, rows), np.ones(len(rows), np.bool_), limit)]
    if len(shown) <= limit:
        return np.arange(len(shown))
    seen = [values for values in (curve.value, curve.low, curve.high) if values is not None]
    share = max(limit // len(seen), 4)
    chosen: Rows = np.unique(np.concatenate([thin(curve.x, values, share) for values in seen]))
    return chosen


@dataclass(frozen=True, slots=True)
class Clip:
    """Where the y axis of a clipped chart ends, and how many values lie beyond."""

    low: float
    high: float
    n_below: int
    n_above: int


def clip_of(layout: Layout, lines: Sequence[Line]) -> Clip | None:
    """Return where the y axis ends so that almost all values fill it; None where nothing lies beyond, or none is asked.

    Measured on what the axis can show, on a logarithmic axis in powers of ten.
    """
    if not layout.clip_outliers:
        return None
    values = np.concatenate([np.empty(0), *(line.drawable[np.isfinite(line.drawable)] for line in lines)])
    if not len(values):
        return None
    low, high = _clip_limits(np.log10(values) if layout.log_y else values)
    if layout.log_y:
        low, high = 10**low, 10**high
    n_below, n_above = int(np.count_nonzero(values < low)), int(np.count_nonzero(values > high))
    return Clip(low, high, n_below, n_above) if n_below + n_above else None


def _clip_limits(values: Floats) -> tuple[float, float]:
    low, high = (float(limit) for limit in np.percentile(values, CLIP_PERCENTILES))
    margin, padding = CLIP_MARGIN * (high - low), CLIP_PADDING * (high - low)
    return max(low - margin, float(values.min()) - padding), min(high + margin, float(values.max()) + padding)
