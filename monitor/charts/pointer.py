"""The texts under the pointer: one row per position, one text per series, and what happened there."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from monitor.charts.curves import Curve
from monitor.charts.layouts import Layout, XKind, YKind
from monitor.charts.lines import Line
from monitor.schema import Floats
from monitor.text import UNKNOWN, format_duration, format_learning_rate, format_number, format_step, format_time

HOVER_ROWS = 120
MAX_NAMED_AT_ONCE = 3
MAX_PLACES = 500
TEXTS_KEPT = 16_384


def hover_table(layout: Layout, lines: Sequence[Line], zone: tzinfo) -> pa.Table:
    """Return the wide table under the pointer: one row per position."""
    positions, reach = hover_positions(lines)
    columns: dict[str, pa.Array] = {
        "x": pa.array(positions * layout.x_scale, pa.float64()),
        "position": pa.array(position_texts(layout, positions, lines, zone), pa.string()),
    }
    for line in lines:
        label = layout.labels[line.number]
        texts = _texts_at(layout, line.curve, positions, reach)
        columns[f"s{line.number}"] = pa.array([f"{text}  {label}" for text in texts], pa.string())
    return pa.table(columns)


def hover_positions(lines: Sequence[Line]) -> tuple[Floats, float]:
    """Return where the pointer finds something, and how far a point may lie from there.

    Where something happened, the usual positions close by are left out: the pointer need not hit it to the pixel.
    """
    usual = _thinned_out(joined([line.curve.x[line.rows] for line in lines]))
    alarms = joined([line.curve.x[line.alarms] for line in lines])[:HOVER_ROWS]
    marked = joined([alarms, np.array(sorted(_what_happened(lines)), np.float64)])
    reach = float(usual[-1] - usual[0]) / HOVER_ROWS if len(usual) else 0.0
    return joined([_far_from(usual, marked, reach), marked]), reach


def joined(parts: Sequence[Floats | None]) -> Floats:
    """Return the different positions of several curves, sorted."""
    found: Floats = np.unique(np.concatenate([np.empty(0), *(part for part in parts if part is not None)]))
    return found


def spread(positions: Floats, count: int) -> Floats:
    """Return at most `count` of some sorted positions, evenly chosen, first and last among them."""
    if len(positions) <= count:
        return positions
    return positions[np.linspace(0, len(positions) - 1, count).round().astype(np.intp)]


def _thinned_out(positions: Floats) -> Floats:
    """Return every second position, or every fourth, … and the last: mostly the same ones while a run goes on."""
    stride = 1
    while len(positions) > stride * HOVER_ROWS:
        stride *= 2
    return np.unique(np.concatenate([positions[::stride], positions[-1:]]))


def _what_happened(lines: Sequence[Line]) -> dict[float, list[str]]:
    """Return position → what happened there, each thing once."""
    found: dict[float, list[str]] = {}
    for x in spread(joined([line.curve.restarts for line in lines]), MAX_PLACES):
        found.setdefault(float(x), []).append("restarted")
    marks = [mark for line in lines for mark in line.curve.marks]
    for mark in marks[:MAX_PLACES]:
        words = found.setdefault(mark.x, [])
        if mark.words not in words:
            words.append(mark.words)
    return found


def _far_from(positions: Floats, marked: Floats, reach: float) -> Floats:
    if not len(marked):
        return positions
    right = np.clip(np.searchsorted(marked, positions), 0, len(marked) - 1)
    left = np.clip(right - 1, 0, None)
    distance = np.minimum(np.abs(marked[left] - positions), np.abs(marked[right] - positions))
    return positions[distance > 1.5 * reach]


def position_texts(layout: Layout, positions: Floats, lines: Sequence[Line], zone: tzinfo) -> list[str]:
    """Return each position in words, with what happened there."""
    happened = _what_happened(lines)
    return [_position_text(layout, x, zone, happened) for x in positions.tolist()]


def _position_text(layout: Layout, x: float, zone: tzinfo, happened: Mapping[float, Sequence[str]]) -> str:
    words = happened.get(x, ())
    more = len(words) - MAX_NAMED_AT_ONCE
    named = [*words[:MAX_NAMED_AT_ONCE], *([f"{more} more"] if more > 0 else [])]
    place = _place_text(layout.x_kind, x, zone)
    return " · ".join([place, *named]) if named else place


# Most places and values under the pointer were there at the refresh before: looked up, not written again.
@lru_cache(maxsize=TEXTS_KEPT)
def _place_text(x_kind: XKind, x: float, zone: tzinfo) -> str:
    if x_kind == "wall":
        return format_time(x, zone)
    if x_kind == "relative":
        return f"{format_duration(x)} after the start"
    return f"{x_kind} {format_step(round(x))}"


def _texts_at(layout: Layout, curve: Curve, positions: Floats, reach: float) -> list[str]:
    """Return the value of a curve at each position, as logged; unknown where no point lies within `reach`."""
    rows, known = rows_near(layout, curve, positions, reach)
    texts = iter(value_texts(layout, curve, rows[known]))
    return [next(texts) if ok else UNKNOWN for ok in known]


def rows_near(
    layout: Layout, curve: Curve, positions: Floats, reach: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return which row of a curve lies nearest to each position, and whether within `reach`."""
    if not len(curve.x):
        return np.zeros(len(positions), np.intp), np.zeros(len(positions), np.bool_)
    right = np.clip(np.searchsorted(curve.x, positions), 0, len(curve.x) - 1)
    left = np.clip(right - 1, 0, None)
    nearest = np.where(np.abs(curve.x[left] - positions) < np.abs(curve.x[right] - positions), left, right)
    if layout.steps:  # a held value counts until the next one
        nearest = np.where(curve.x[nearest] > positions, left, nearest)
        reach = math.inf
    return nearest, np.abs(curve.x[nearest] - positions) <= reach


def value_texts(layout: Layout, curve: Curve, rows: npt.NDArray[np.intp]) -> list[str]:
    """Return the values of some rows, as logged."""
    return [
        f"{_value_text(layout.y_kind, value)}{_interval_text(layout, curve, row)}"
        for row, value in zip(rows.tolist(), curve.value[rows].tolist(), strict=True)
    ]


def _interval_text(layout: Layout, curve: Curve, row: int) -> str:
    if curve.low is None or curve.high is None or not np.isfinite(curve.low[row]):
        return ""
    low, high = (_value_text(layout.y_kind, float(edge[row])) for edge in (curve.low, curve.high))
    return f" ({low} to {high})"


@lru_cache(maxsize=TEXTS_KEPT)
def _value_text(y_kind: YKind, value: float) -> str:
    texts: dict[YKind, Callable[[float], str]] = {
        "number": format_number,
        "learning_rate": format_learning_rate,
        "seconds": format_duration,
        "percent": lambda value: f"{value:.0f} %",
        "score": lambda value: f"{value:.0f}",
        "celsius": lambda value: f"{value:.0f} °C",
        "watts": lambda value: f"{value:.0f} W",
        "megabytes_per_second": lambda value: f"{format_number(value, 3)} MB/s",
    }
    return texts[y_kind](value)
