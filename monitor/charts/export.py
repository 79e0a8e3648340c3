"""Curves → CSV at full resolution, for a download."""

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from monitor.charts.curves import Curve
from monitor.charts.layouts import XKind
from monitor.schema import Floats, Steps
from monitor.text import plain

_NUMBER_TYPES: Final = {
    "epoch": pa.float64(),
    "relative_seconds": pa.float64(),
    "step": pa.int64(),
    "wall_time": pa.float64(),
    "value": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
}
_ALWAYS: Final = ("step", "wall_time", "value")
_PLACE_COLUMNS: Final[dict[XKind, str]] = {
    "step": "step",
    "epoch": "epoch",
    "relative": "relative_seconds",
    "wall": "wall_time",
}


def render_curves_csv(curves: Sequence[Curve], x_kind: XKind) -> bytes:
    """Return every point of some curves as CSV in UTF-8: series, step, wall_time, value.

    Nothing is thinned, smoothed or left out, and values are in the unit of the y axis. NaN and infinities stand as
    ``NaN``, ``inf`` and ``-inf``; what a curve does not know is empty. A curve that is no series of a run, e.g. that
    of a group, has its place on the axis instead, in ``step``, ``wall_time`` or a column for it, and the edges of its
    area in ``low`` and ``high``. Wall times are seconds UTC.

    Args:
        curves: The curves of one chart.
        x_kind: The axis they were placed on.

    Source: RFC 4180; lines end with LF.
    """
    tables = [_numbers(curve, x_kind) for curve in curves]
    present = {name for table in tables for name in table.column_names}
    names = [name for name in _NUMBER_TYPES if name in present or name in _ALWAYS]
    header = ",".join(("series", *names)).encode() + b"\n"
    parts = [_rows(_cell(curve.label), table, names) for curve, table in zip(curves, tables, strict=True)]
    return b"".join((header, *parts))


def _numbers(curve: Curve, x_kind: XKind) -> pa.Table:
    columns = _own_columns(curve, x_kind)
    return pa.table({name: pa.array(values, _NUMBER_TYPES[name]) for name, values in columns.items()})


def _own_columns(curve: Curve, x_kind: XKind) -> dict[str, Floats | Steps]:
    source = curve.source
    if source is not None:
        return {"step": source.step, "wall_time": source.wall_time, "value": source.value}
    place = curve.x.round().astype(np.int64) if x_kind == "step" else curve.x
    edges = {} if curve.low is None or curve.high is None else {"low": curve.low, "high": curve.high}
    return {_PLACE_COLUMNS[x_kind]: place, "value": curve.value, **edges}


def _rows(series: str, table: pa.Table, names: Sequence[str]) -> bytes:
    """Return the lines of one curve. Numbers are written in one go, then its name is put in front of every line."""
    present = table.column_names
    texts = {name: _text(table.column(name)) if name in present else pa.nulls(len(table)) for name in names}
    into = io.BytesIO()
    csv.write_csv(pa.table(texts), into, csv.WriteOptions(include_header=False, quoting_style="none"))
    front = series.encode() + b","
    lines = into.getvalue().removesuffix(b"\n")
    return front + lines.replace(b"\n", b"\n" + front) + b"\n" if lines else b""


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return floats as text with NaN spelled as the field does; other columns as they are."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), "NaN", column.cast(pa.string()))


def _cell(foreign: str) -> str:
    """Return text from a file as one cell."""
    text = plain(foreign)
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if set(text) & set(',"') else text
