"""Curves → the rows of a chart, as Arrow tables, and the caption that says what was done to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

import numpy as np
import pyarrow as pa

from monitor.charts.curves import Curve, Mark, MarkKind
from monitor.charts.layouts import Layout
from monitor.charts.lines import (
    MAX_POINTS_PER_SERIES,
    Clip,
    Line,
    Zoom,
    clip_of,
    placed_on,
    prepare_lines,
    shown_values,
)
from monitor.charts.nearest import nearest_table, with_parts
from monitor.charts.pointer import hover_table, joined, spread
from monitor.charts.styles import SEVERITY_COLORS
from monitor.schema import Floats
from monitor.text import format_step

RECOVERED_OPACITY = 0.35
SINGLE_LARGEST, SINGLE_SMALLEST = 1e37, 1e-30
SINGLE_DIGITS = 1e4
"""Limits of single precision on a chart: of the values, of their span, and of what they are beside their span."""
MOST_WITH_RAW = 24  # lines; behind more, nobody can tell whose values lie there, and they double all that is drawn


@dataclass(frozen=True, slots=True)
class Drawing:
    """The data of one chart, and what was done to it.

    Args:
        datasets: Name in the specification → rows.
        caption: What was done to the data, for a person: "smoothed 0.6 · 1,992 of 200,000 points".
    """

    datasets: Mapping[str, pa.Table]
    caption: str


def draw(
    layout: Layout,
    curves: Sequence[Curve],
    *,
    smoothing: float = 0.0,
    zoom: Zoom | None = None,
    zone: tzinfo = UTC,
) -> Drawing:
    """Return the rows of a chart and its caption.

    Args:
        layout: The layout the specification was built from.
        curves: The lines, in the order of the layout's labels.
        smoothing: Weight used for `Curve.smoothed`, for the caption only.
        zoom: Limits of the x axis as the browser reports them; these rows are sent at full density.
        zone: Time zone of the texts under the pointer.
    """
    axis_zoom = None if zoom is None else (zoom[0] / layout.x_scale, zoom[1] / layout.x_scale)
    placed = [placed_on(layout, curve) for curve in curves]
    n_unplaced = sum(len(curve.x) for curve in curves) - sum(len(curve.x) for curve in placed)
    lines = prepare_lines(layout, placed, axis_zoom)
    clip = clip_of(layout, lines)
    datasets = {
        "lines": with_parts(layout, _lines_table(layout, lines)),
        "dots": _dots_table(layout, [line for line in lines if line.is_sparse]),
        "alarms": _places_table(layout, [line.curve.x[line.alarms] for line in lines]),
        "restarts": _places_table(layout, [curve.restarts for curve in placed]),
        "onsets": _onsets_table(layout, _marks(placed, "finding")),
        "checkpoints": _places_table(layout, [np.array([mark.x for mark in _marks(placed, "checkpoint")])]),
        "hover": (nearest_table if layout.picks_out else hover_table)(layout, lines, zone),
        **_optional_tables(layout, lines, clip),
    }
    return Drawing(datasets, _caption(layout, lines, smoothing, clip, n_unplaced))


def _with_raw(lines: Sequence[Line]) -> bool:
    """Return whether the values as logged are drawn behind the smoothed ones: on a chart with few lines."""
    return len(lines) <= MOST_WITH_RAW and any(line.curve.smoothed is not None for line in lines)


def _optional_tables(layout: Layout, lines: Sequence[Line], clip: Clip | None) -> dict[str, pa.Table]:
    """Return the data sets that only some layouts have a place for."""
    tables = {}
    if layout.bands:
        tables["bands"] = _bands_table(layout)
    if layout.has_areas:
        tables["areas"] = _areas_table(layout, [line for line in lines if line.curve.low is not None])
    if layout.clip_outliers:
        tables["limits"] = _limits_table(clip)
    return tables


def _marks(curves: Sequence[Curve], kind: MarkKind) -> list[Mark]:
    """Return the marks of a kind over all curves, each once, in the order of the axis."""
    found = dict.fromkeys(mark for curve in curves for mark in curve.marks if mark.kind == kind)
    return sorted(found, key=lambda mark: mark.x)[:MAX_POINTS_PER_SERIES]


# --- tables --------------------------------------------------------------------------------------------------------


def _lines_table(layout: Layout, lines: Sequence[Line]) -> pa.Table:
    """Return the rows of the lines, one line under the other: position, value, raw, series.

    `value` is null in a gap; `raw` is what the smoothed values were made of, null where nothing was smoothed, and
    on a chart with many lines.
    """
    with_raw = _with_raw(lines)
    values = {"value": [shown_values(layout, line, line.rows) for line in lines]}
    if with_raw:
        values["raw"] = [_raw_values(line) for line in lines]
    columns = _columns(layout, lines, values)
    return pa.table(columns if with_raw else columns | {"raw": pa.nulls(len(columns["x"]))})


def _dots_table(layout: Layout, lines: Sequence[Line]) -> pa.Table:
    return pa.table(_columns(layout, lines, {"value": [shown_values(layout, line, line.rows) for line in lines]}))


def _areas_table(layout: Layout, lines: Sequence[Line]) -> pa.Table:
    """Return the edges of the areas around some lines: position, low, high (null without an area), series."""
    edges = [_edges(layout, line) for line in lines]
    return pa.table(_columns(layout, lines, {"low": [low for low, _ in edges], "high": [high for _, high in edges]}))


def _columns(layout: Layout, lines: Sequence[Line], parts: Mapping[str, Sequence[Floats]]) -> dict[str, pa.Array]:
    placed = [_with_gaps(line, line.curve.x[line.rows], line.curve.gaps) for line in lines]
    codes = np.repeat(np.array([line.number for line in lines]), [len(x) for x in placed])
    x = np.concatenate([np.empty(0), *placed])
    values = {
        name: _value_array(
            np.concatenate([np.empty(0), *(_with_gaps(*pair, np.nan) for pair in zip(lines, part, strict=True))])
        )
        for name, part in parts.items()
    }
    code_type = pa.int8() if len(layout.labels) <= 2**7 else pa.int32()
    return {
        "x": _x_array(layout, x),
        **values,
        "series": pa.DictionaryArray.from_arrays(pa.array(codes, code_type), pa.array(layout.labels, pa.string())),
    }


def _value_array(values: Floats) -> pa.Array:
    """Return values, null where there is none; in half the bytes where a screen could not show the difference."""
    known = np.isfinite(values)
    largest = float(np.abs(values, where=known, out=np.zeros(len(values))).max(initial=0.0))
    finest = float(np.ptp(values[known])) if known.any() else 0.0
    fits = finest > SINGLE_SMALLEST and largest < min(SINGLE_LARGEST, SINGLE_DIGITS * finest)
    return pa.array(values.astype(np.float32) if fits else values, mask=~known)


def _with_gaps(line: Line, values: Floats, filler: Floats | float | None) -> Floats:
    """Return a column of the rows of a line with one more row for each of its gaps."""
    gaps = line.curve.gaps
    if gaps is None or filler is None or not len(gaps):
        return values
    return np.insert(values, np.searchsorted(line.curve.x[line.rows], gaps), filler)


def _x_array(layout: Layout, x: Floats) -> pa.Array:
    """Return places in the unit of the axis, in half the bytes where they are steps: each row travels at a refresh."""
    if layout.x_kind == "step" and bool((np.abs(x) < 2**31).all()):
        return pa.array(x.astype(np.int32))
    return pa.array(x * layout.x_scale, pa.float64())


def _raw_values(line: Line) -> Floats:
    return line.drawable[line.rows] if line.curve.smoothed is not None else np.full(len(line.rows), np.nan)


def _edges(layout: Layout, line: Line) -> tuple[Floats, Floats]:
    """Return the edges of the area around a line, shape ``(n_rows,)``; NaN where the line has none.

    On a logarithmic axis an area that reaches 0 or below is drawn down to the smallest value of the line.
    """
    low, high = line.curve.low, line.curve.high
    if low is None or high is None:
        return np.empty(0), np.empty(0)
    low, high = low[line.rows], high[line.rows]
    known = np.isfinite(line.drawable[line.rows]) & np.isfinite(low) & np.isfinite(high)
    if layout.log_y and known.any():
        low = np.where(low > 0, low, np.minimum(line.drawable[line.rows], float(np.nanmin(line.drawable))))
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def _places_table(layout: Layout, parts: Sequence[Floats | None]) -> pa.Table:
    positions = spread(joined(parts), MAX_POINTS_PER_SERIES) * layout.x_scale
    return pa.table({"x": pa.array(positions, pa.float64())})


def _onsets_table(layout: Layout, marks: Sequence[Mark]) -> pa.Table:
    return pa.table(
        {
            "x": pa.array([mark.x * layout.x_scale for mark in marks], pa.float64()),
            "color": pa.array([SEVERITY_COLORS[mark.severity] for mark in marks], pa.string()),
            "opacity": pa.array([1.0 if mark.is_open else RECOVERED_OPACITY for mark in marks], pa.float64()),
        }
    )


def _bands_table(layout: Layout) -> pa.Table:
    return pa.table(
        {
            "low": pa.array([band.low for band in layout.bands], pa.float64()),
            "high": pa.array([band.high for band in layout.bands], pa.float64()),
        }
    )


def _limits_table(clip: Clip | None) -> pa.Table:
    """Return the ends of a clipped axis, a row for each beyond which values lie; without a row it follows the data."""
    edges = [] if clip is None else [edge for edge, n in ((clip.low, clip.n_below), (clip.high, clip.n_above)) if n]
    return pa.table(
        {
            "edge": pa.array(edges, pa.float64()),
            "low": pa.array([clip.low for _ in edges] if clip else [], pa.float64()),
            "high": pa.array([clip.high for _ in edges] if clip else [], pa.float64()),
        }
    )


# --- the caption ---------------------------------------------------------------------------------------------------


def _caption(layout: Layout, lines: Sequence[Line], smoothing: float, clip: Clip | None, n_unplaced: int) -> str:
    """Return what was done to the data, a part per deed."""
    parts = [
        _smoothing_text(lines, smoothing),
        *_count_texts(lines, n_unplaced),
        *_mark_texts([line.curve for line in lines]),
        _clip_text(clip),
        *(band.words for band in layout.bands),
    ]
    return " · ".join(part for part in parts if part)


def _smoothing_text(lines: Sequence[Line], smoothing: float) -> str:
    if smoothing <= 0 or all(line.curve.smoothed is None for line in lines):
        return ""
    return f"smoothed {smoothing:g}" if _with_raw(lines) else f"smoothed {smoothing:g}, without the values as logged"


def _count_texts(lines: Sequence[Line], n_unplaced: int) -> list[str]:
    total = sum(len(line.curve.value) for line in lines)
    drawn = sum(int(np.count_nonzero(np.isfinite(line.drawable[line.rows]))) for line in lines)
    drawable = sum(line.n_drawable for line in lines)
    alarms = sum(len(line.alarms) for line in lines)
    hidden = total - drawable - alarms + n_unplaced
    return [
        _count_text(drawn, drawable),
        f"{format_step(alarms)} NaN or infinite, marked at the top" if alarms else "",
        f"{format_step(hidden)} at or below 0 have no place on a logarithmic axis" if hidden else "",
    ]


def _count_text(drawn: int, drawable: int) -> str:
    if drawn == drawable:
        return "1 point" if drawn == 1 else f"{format_step(drawn)} points"
    return f"{format_step(drawn)} of {format_step(drawable)} points"


def _mark_texts(curves: Sequence[Curve]) -> list[str]:
    restarts = len(joined([curve.restarts for curve in curves]))
    findings = len(_marks(curves, "finding"))
    checkpoints = len(_marks(curves, "checkpoint"))
    return [
        _counted(restarts, "restarted at the grey line", "restarted {count} times, at the grey lines"),
        _counted(findings, "a finding begins at the coloured line", "{count} findings begin at the coloured lines"),
        _counted(checkpoints, "a checkpoint at the triangle", "{count} checkpoints at the triangles"),
    ]


def _counted(count: int, one: str, several: str) -> str:
    if not count:
        return ""
    return one if count == 1 else several.format(count=format_step(count))


def _clip_text(clip: Clip | None) -> str:
    if clip is None:
        return ""
    parts = [
        f"{format_step(count)} {where}" for count, where in ((clip.n_above, "above"), (clip.n_below, "below")) if count
    ]
    return f"outliers beyond the axis: {', '.join(parts)}"
