"""Curves → the data of charts, fed as Arrow to a specification that stays.

A `Layout` says everything the specification depends on; `chart_spec.build_spec` turns it into a dict. `draw` makes
the data sets for it: at most `MAX_POINTS_PER_CHART` points, every extreme kept, with the part the reader has zoomed
into at full density. As long as the layout stays, a refresh replaces rows only, and the browser keeps its view, its
zoom and the highlighted series.

Names of runs and tags are data throughout: they stand in the rows and in the list of the legend, never inside an
expression of Vega. Colours are fit for a light and a dark page alike, and the background is left to the page.
"""

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from monitor.analysis.series import non_finite_rows, session_starts, smooth_sessions, thin
from monitor.health import HealthPoint
from monitor.schema import Floats, Points, Sample
from monitor.text import UNKNOWN, format_duration, format_learning_rate, format_number, format_step, format_time, plain

XKind = Literal["step", "epoch", "relative", "wall"]
YKind = Literal["number", "learning_rate", "seconds", "percent", "score"]
Rows = npt.NDArray[np.intp]

# The hues of Okabe and Ito, with the lightness of the bright ones lowered until every line has a contrast of at least
# 3 : 1 against a white and a near-black page. Source: Okabe & Ito, Color Universal Design, 2008; WCAG 2.2, 1.4.11.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#B8659A", "#B07A00", "#2C92CF", "#8A8200", "#7A7A7A")
DASHES: Final = ((), (7, 3), (2, 3), (9, 3, 2, 3))
VALIDATION_DASH: Final = (6, 4)
ALARM_COLOR: Final = "#D13438"
ONSET_COLOR: Final = "#C27400"
RESTART_COLOR: Final = "#8A8A8A"

MAX_POINTS_PER_CHART = 1_000
MAX_POINTS_OVERLAY = 4_000
MAX_POINTS_PER_SERIES = 500
HOVER_ROWS = 120
SPARSE_POINTS = 20
RAW_OPACITY = 0.2
LABEL_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Style:
    """Colour and dash of one line; no dash is a solid line."""

    color: str
    dash: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One line to draw; the arrays have shape ``(n_points,)`` and are sorted by `x`.

    Args:
        label: Name in the legend; text from a file may be given as it is.
        x: Position on the axis; wall times in seconds UTC, relative times in seconds.
        value: Values as logged, NaN and infinities included.
        style: How it is drawn.
        smoothed: Smoothed values, drawn in front of the faint raw ones; None to draw the values themselves.
        restarts: Positions at which the run was started again.
        onsets: Positions at which a finding begins.
    """

    label: str
    x: Floats
    value: Floats
    style: Style
    smoothed: Floats | None = None
    restarts: Floats | None = None
    onsets: Floats | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything a specification depends on; two equal layouts share one specification.

    Args:
        labels: Names of the lines, all different.
        styles: Colour and dash of each.
        x_kind: What the x axis shows.
        x_title: Its title, with the unit.
        x_scale: Factor from the values of a curve to those on the axis.
        y_title: Title of the y axis, with the unit.
        y_kind: What the y axis shows, for its number format and the texts under the pointer.
        log_y: True for a logarithmic y axis.
        y_domain: Fixed limits, None to follow the data.
        steps: True to hold each value until the next point instead of joining them.
        height: Of the chart, in pixels.
        width_characters: About how many characters fit beside each other; the legend is laid out by it.
        max_points: Upper limit for all lines together.
    """

    labels: tuple[str, ...]
    styles: tuple[Style, ...]
    x_kind: XKind
    x_title: str
    x_scale: float = 1.0
    y_title: str = ""
    y_kind: YKind = "number"
    log_y: bool = False
    y_domain: tuple[float, float] | None = None
    steps: bool = False
    height: int = 230
    width_characters: int = 44
    max_points: int = MAX_POINTS_PER_CHART


@dataclass(frozen=True, slots=True)
class Drawing:
    """The data of one chart, and what was done to it.

    Args:
        datasets: Name in the specification → rows.
        caption: What was done to the data, for a person: "smoothed 0.6 · 1,992 of 200,000 points".
    """

    datasets: Mapping[str, pa.Table]
    caption: str


# --- colours and layouts -------------------------------------------------------------------------------------------


def palette_style(number: int) -> Style:
    """Return the style of the line `number`, counted from 0; past eight colours dashes join them."""
    return Style(PALETTE[number % len(PALETTE)], DASHES[number // len(PALETTE) % len(DASHES)])


class StyleBook:
    """Which style each run has: given once, kept while other runs come and go. Safe to share between sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}

    def styles(self, names: Iterable[str]) -> dict[str, Style]:
        """Return the style of every run named; those not met before get the next ones, in the order of their names.

        Give the names of all known runs, not only of those on a chart: then a run looks the same everywhere, whatever
        it stands beside.
        """
        with self._lock:
            for name in sorted(set(names) - self._numbers.keys()):
                self._numbers[name] = len(self._numbers)
            return {name: palette_style(self._numbers[name]) for name in names}


def beside(style: Style, count: int) -> tuple[Style, ...]:
    """Return `count` styles for the validation lines of a run: dashed, in the colours that follow its own."""
    first = PALETTE.index(style.color) + 1 if style.color in PALETTE else 0
    return tuple(Style(PALETTE[(first + number) % len(PALETTE)], VALIDATION_DASH) for number in range(count))


def layout_of(
    curves: Sequence[Curve],
    x_kind: XKind,
    *,
    y_title: str = "",
    y_kind: YKind = "number",
    log_y: bool = False,
    y_domain: tuple[float, float] | None = None,
    steps: bool = False,
    height: int = 230,
    width_characters: int = 44,
    max_points: int = MAX_POINTS_PER_CHART,
) -> Layout:
    """Return the layout for some curves; relative time gets the unit that suits its span."""
    title, scale = _x_title(curves, x_kind)
    return Layout(
        labels=_distinct_labels([curve.label for curve in curves]),
        styles=tuple(curve.style for curve in curves),
        x_kind=x_kind,
        x_title=title,
        x_scale=scale,
        y_title=y_title,
        y_kind=y_kind,
        log_y=log_y,
        y_domain=y_domain,
        steps=steps,
        height=height,
        width_characters=width_characters,
        max_points=max_points,
    )


def _x_title(curves: Sequence[Curve], x_kind: XKind) -> tuple[str, float]:
    if x_kind == "wall":
        return "time", 1000.0
    if x_kind != "relative":
        return x_kind, 1.0
    span = max((float(curve.x[-1]) for curve in curves if len(curve.x)), default=0.0)
    for unit, seconds in (("h", 3600.0), ("min", 60.0)):
        if span >= 2 * seconds:
            return f"time since the start ({unit})", 1 / seconds
    return "time since the start (s)", 1.0


def _distinct_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels as harmless single lines, those that would coincide numbered."""
    found: dict[str, None] = {}
    for label in labels:
        text = _short(plain(label)) or UNKNOWN
        number = 2
        candidate = text
        while candidate in found:
            candidate = f"{text} ({number})"
            number += 1
        found[candidate] = None
    return tuple(found)


def without_common_path(names: Sequence[str]) -> list[str]:
    """Return the names of runs without the directories that all of them share."""
    parts = [name.split("/") for name in names]
    depth = 0
    while all(len(path) > depth + 1 and path[depth] == parts[0][depth] for path in parts):
        depth += 1
    return ["/".join(path[depth:]) for path in parts]


def _short(label: str) -> str:
    # The end of a path names the run, its beginning the task: the middle goes.
    if len(label) <= LABEL_WIDTH:
        return label
    half = (LABEL_WIDTH - 1) // 2
    return f"{label[:half]}…{label[-half:]}"


# --- curves --------------------------------------------------------------------------------------------------------


def curve_of(
    points: Points,
    x: Floats,
    label: str,
    style: Style,
    *,
    scale: float = 1.0,
    weight: float = 0.0,
    onset_steps: Sequence[int] = (),
) -> Curve:
    """Return the curve of one series; points without a place on the axis are left out.

    Args:
        points: Visible points.
        x: Their places on the axis, shape ``(n_points,)``.
        label: Name in the legend.
        style: How it is drawn.
        scale: Factor to the unit of the y axis.
        weight: Smoothing, begun anew at every session; 0 draws the values themselves.
        onset_steps: Steps at which a finding about this series begins.
    """
    value = points.value * scale
    smoothed = smooth_sessions(points, weight) * scale if weight > 0 else None
    restarts = x[session_starts(points)[1:]]
    begins = np.searchsorted(points.step, np.asarray(onset_steps, np.int64))
    onsets = x[begins[begins < len(points)]]
    rows = np.flatnonzero(np.isfinite(x))
    # Clocks may jump back; on an axis of time the rows are drawn in the order of the axis.
    rows = rows[np.argsort(x[rows], kind="stable")]
    return Curve(
        label,
        x[rows],
        value[rows],
        style,
        None if smoothed is None else smoothed[rows],
        restarts[np.isfinite(restarts)],
        onsets[np.isfinite(onsets)],
    )


def gpu_curves(samples: Sequence[Sample]) -> list[Curve]:
    """Return the utilisation of each GPU over time, in percent."""
    indices = sorted({gpu.index for sample in samples for gpu in sample.gpus})
    return [
        _machine_curve(
            f"GPU {index}",
            [
                (sample.wall_time, gpu.utilization_percent)
                for sample in samples
                for gpu in sample.gpus
                if gpu.index == index
            ],
            number,
        )
        for number, index in enumerate(indices)
    ]


def host_curves(samples: Sequence[Sample]) -> list[Curve]:
    """Return processor and memory use over time, in percent."""
    memory = [
        (sample.wall_time, 100 * sample.memory_used_bytes / sample.memory_total_bytes)
        for sample in samples
        if sample.memory_used_bytes is not None and sample.memory_total_bytes
    ]
    processor = [(sample.wall_time, sample.cpu_percent) for sample in samples]
    return [_machine_curve("CPU", processor, 0), _machine_curve("memory", memory, 1)]


def _machine_curve(label: str, readings: Sequence[tuple[float, float | None]], number: int) -> Curve:
    known = np.array([(when, value) for when, value in readings if value is not None], np.float64).reshape(-1, 2)
    return Curve(label, known[:, 0], known[:, 1], palette_style(number))


def health_points(history: Sequence[HealthPoint]) -> Points:
    """Return the score over time as the points of a series."""
    return Points(
        np.array([point.step for point in history], np.int64),
        np.array([point.wall_time for point in history], np.float64),
        np.array([point.score for point in history], np.float64),
        np.zeros(len(history), np.int16),
    )


# --- the data ------------------------------------------------------------------------------------------------------


def draw(
    layout: Layout,
    curves: Sequence[Curve],
    *,
    smoothing: float = 0.0,
    zoom: tuple[float, float] | None = None,
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
    limit = min(MAX_POINTS_PER_SERIES, max(layout.max_points // max(len(curves), 1), 4))
    lines = [_prepare(layout, number, curve, limit, axis_zoom) for number, curve in enumerate(curves)]
    datasets = {
        "raw": _rows_table(layout, [line for line in lines if line.curve.smoothed is not None], smoothed=False),
        "lines": _rows_table(layout, lines, smoothed=True),
        "dots": _rows_table(layout, [line for line in lines if line.is_sparse], smoothed=True),
        "alarms": _positions(layout, [line.curve.x[line.alarms] for line in lines]),
        "restarts": _positions(layout, [curve.restarts for curve in curves]),
        "onsets": _positions(layout, [curve.onsets for curve in curves]),
        "hover": _hover(layout, lines, zone),
    }
    return Drawing(datasets, _caption(lines, smoothing))


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A curve made ready: the rows that are sent, and the values as the axis can show them.

    `drawable` is the curve's values with NaN where the axis has no place for them; `rows` are sorted and hold one
    such value per gap, so that the line breaks there; `alarms` are the rows with a value that is no number.
    """

    number: int
    curve: Curve
    drawable: Floats
    rows: Rows
    alarms: Rows

    @property
    def is_sparse(self) -> bool:
        return 0 < int(np.count_nonzero(np.isfinite(self.drawable))) <= SPARSE_POINTS


def _prepare(layout: Layout, number: int, curve: Curve, limit: int, zoom: tuple[float, float] | None) -> _Line:
    drawable = _drawable(layout, curve.value)
    finite = np.flatnonzero(np.isfinite(drawable))
    rows = _thinned(curve, finite, limit)
    if zoom is not None:
        margin = zoom[1] - zoom[0]
        near = (curve.x[finite] >= zoom[0] - margin) & (curve.x[finite] <= zoom[1] + margin)
        rows = np.union1d(rows, _thinned(curve, finite[near], limit))
    gone = ~np.isfinite(drawable)
    gaps = np.flatnonzero(gone & ~np.concatenate([[False], gone[:-1]]))
    alarms = np.asarray(non_finite_rows(curve.value), dtype=np.intp)
    return _Line(number, curve, drawable, np.union1d(rows, gaps[:HOVER_ROWS]).astype(np.intp), alarms)


def _drawable(layout: Layout, value: Floats) -> Floats:
    possible = np.isfinite(value) & (value > 0) if layout.log_y else np.isfinite(value)
    return np.where(possible, value, np.nan)


def _thinned(curve: Curve, rows: Rows, limit: int) -> Rows:
    if len(rows) <= limit:
        return rows
    chosen: Rows = rows[thin(curve.x[rows], curve.value[rows], limit)]
    return chosen


def _rows_table(layout: Layout, lines: Sequence[_Line], *, smoothed: bool) -> pa.Table:
    """Return the rows of some lines, one under the other: position, value (null in a gap), series."""
    parts = [_values(layout, line, smoothed) for line in lines]
    lengths = [len(part) for part in parts]
    codes = np.repeat(np.array([line.number for line in lines], dtype=np.int32), lengths)
    value = np.concatenate(parts) if parts else np.empty(0)
    x = np.concatenate([line.curve.x[line.rows] for line in lines]) if lines else np.empty(0)
    return pa.table(
        {
            "x": pa.array(x * layout.x_scale, pa.float64()),
            "value": pa.array(value, pa.float64(), mask=~np.isfinite(value)),
            "series": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(layout.labels, pa.string())),
        }
    )


def _values(layout: Layout, line: _Line, smoothed: bool) -> Floats:
    if not smoothed or line.curve.smoothed is None:
        return line.drawable[line.rows]
    front = _drawable(layout, line.curve.smoothed[line.rows])
    return np.where(np.isfinite(line.drawable[line.rows]), front, np.nan)


def _joined(parts: Sequence[Floats | None]) -> Floats:
    """Return the different positions of several curves, sorted."""
    found: Floats = np.unique(np.concatenate([np.empty(0), *(part for part in parts if part is not None)]))
    return found


def _positions(layout: Layout, parts: Sequence[Floats | None]) -> pa.Table:
    found = _joined(parts)
    return pa.table({"x": pa.array(_spread(found, MAX_POINTS_PER_SERIES) * layout.x_scale, pa.float64())})


def _spread(positions: Floats, count: int) -> Floats:
    """Return at most `count` of some sorted positions, evenly chosen, first and last among them."""
    if len(positions) <= count:
        return positions
    return positions[np.linspace(0, len(positions) - 1, count).round().astype(np.intp)]


# --- the texts under the pointer -----------------------------------------------------------------------------------


def _hover(layout: Layout, lines: Sequence[_Line], zone: tzinfo) -> pa.Table:
    """Return the wide table under the pointer: one row per position, one text per series."""
    alarms = _joined([line.curve.x[line.alarms] for line in lines])[:HOVER_ROWS]
    usual = _spread(_joined([line.curve.x[line.rows] for line in lines]), HOVER_ROWS)
    positions = _joined(
        [usual, alarms, *(line.curve.restarts for line in lines), *(line.curve.onsets for line in lines)]
    )
    reach = float(positions[-1] - positions[0]) / HOVER_ROWS if len(positions) else 0.0
    columns: dict[str, pa.Array] = {
        "x": pa.array(positions * layout.x_scale, pa.float64()),
        "position": pa.array([_position_text(layout, x, zone) for x in positions], pa.string()),
    }
    for line in lines:
        label = layout.labels[line.number]
        texts = _texts_at(layout, line.curve, positions, reach)
        columns[f"s{line.number}"] = pa.array([f"{text}  {label}" for text in texts], pa.string())
    return pa.table(columns)


def _position_text(layout: Layout, x: float, zone: tzinfo) -> str:
    if layout.x_kind == "wall":
        return format_time(float(x), zone)
    if layout.x_kind == "relative":
        return f"{format_duration(float(x))} after the start"
    return f"{layout.x_kind} {format_step(round(float(x)))}"


def _texts_at(layout: Layout, curve: Curve, positions: Floats, reach: float) -> list[str]:
    """Return the value of a curve at each position, as logged; unknown where no point lies within `reach`."""
    if not len(curve.x):
        return [UNKNOWN] * len(positions)
    right = np.clip(np.searchsorted(curve.x, positions), 0, len(curve.x) - 1)
    left = np.clip(right - 1, 0, None)
    nearest = np.where(np.abs(curve.x[left] - positions) < np.abs(curve.x[right] - positions), left, right)
    if layout.steps:  # a held value counts until the next one
        nearest = np.where(curve.x[nearest] > positions, left, nearest)
        reach = math.inf
    known = np.abs(curve.x[nearest] - positions) <= reach
    text = _value_text(layout)
    return [text(float(curve.value[row])) if ok else UNKNOWN for row, ok in zip(nearest, known, strict=True)]


def _value_text(layout: Layout) -> Callable[[float], str]:
    texts: dict[YKind, Callable[[float], str]] = {
        "number": format_number,
        "learning_rate": format_learning_rate,
        "seconds": format_duration,
        "percent": lambda value: f"{value:.0f} %",
        "score": lambda value: f"{value:.0f}",
    }
    return texts[layout.y_kind]


def _caption(lines: Sequence[_Line], smoothing: float) -> str:
    """Return what was done to the data, a part per deed."""
    total = sum(len(line.curve.value) for line in lines)
    drawn = sum(int(np.count_nonzero(np.isfinite(line.drawable[line.rows]))) for line in lines)
    drawable = sum(int(np.count_nonzero(np.isfinite(line.drawable))) for line in lines)
    alarms = sum(len(line.alarms) for line in lines)
    hidden = total - drawable - alarms
    restarts = len(_joined([line.curve.restarts for line in lines]))
    onsets = len(_joined([line.curve.onsets for line in lines]))
    is_smoothed = smoothing > 0 and any(line.curve.smoothed is not None for line in lines)
    parts = [
        f"smoothed {smoothing:g}" if is_smoothed else "",
        _count_text(drawn, drawable),
        f"{format_step(alarms)} NaN or infinite, marked at the top" if alarms else "",
        ("restarted at the grey line" if restarts == 1 else f"restarted {restarts} times, at the grey lines")
        if restarts
        else "",
        "a finding begins at the amber line" if onsets else "",
        f"{format_step(hidden)} at or below 0 have no place on a logarithmic axis" if hidden else "",
    ]
    return " · ".join(part for part in parts if part)


def _count_text(drawn: int, drawable: int) -> str:
    if drawn == drawable:
        return "1 point" if drawn == 1 else f"{format_step(drawn)} points"
    return f"{format_step(drawn)} of {format_step(drawable)} points"
