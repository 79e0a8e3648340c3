"""The line nearest to the pointer: the points that it may be nearest to, each with the texts to show there."""

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np
import pyarrow as pa

from monitor.charts.layouts import Layout
from monitor.charts.lines import Line, Rows, shown_values
from monitor.charts.pointer import hover_positions, hover_table, position_texts, rows_near, value_texts
from monitor.schema import Floats

MOST_POINTS = 1_200  # of all lines together: the browser divides the chart among them
MOST_LISTED = 8  # lines whose values are listed under the pointer; of more only the nearest is told


def lists_all(layout: Layout) -> bool:
    """Return whether the text under the pointer tells the values of all lines, not of the nearest alone."""
    return len(layout.labels) <= MOST_LISTED


def nearest_table(layout: Layout, lines: Sequence[Line], zone: tzinfo) -> pa.Table:
    """Return the points that the pointer may be nearest to: place, value as drawn, series, and texts.

    Few lines have theirs at common positions, where the text lists the values of all of them; of many lines every
    point is one of their own. A value that is no number has its place at the upper edge, where its cross is.
    """
    return _common_points(layout, lines, zone) if lists_all(layout) else _own_points(layout, lines, zone)


def _common_points(layout: Layout, lines: Sequence[Line], zone: tzinfo) -> pa.Table:
    texts = hover_table(layout, lines, zone)
    positions, reach = hover_positions(lines)
    found = [rows_near(layout, line.curve, positions, reach) for line in lines]
    values = [_placed(lines, _values_at(layout, line, rows)) for line, (rows, _) in zip(lines, found, strict=True)]
    chosen = [np.flatnonzero(known & np.isfinite(value)) for (_, known), value in zip(found, values, strict=True)]
    rows = pa.array(np.concatenate([np.empty(0, np.intp), *chosen]))
    columns = {
        # Each text stands in several rows: numbered, it is sent once.
        name: texts[name].combine_chunks().take(rows) if name == "x" else texts[name].dictionary_encode().take(rows)
        for name in texts.column_names
    }
    values = [value[rows] for value, rows in zip(values, chosen, strict=True)]
    return pa.table({**columns, **_placed_columns(layout, lines, values)})


def _own_points(layout: Layout, lines: Sequence[Line], zone: tzinfo) -> pa.Table:
    share = max(MOST_POINTS // max(len(lines), 1), 4)
    chosen = [_some_of(line, share) for line in lines]
    values = [_placed(lines, _values_at(layout, line, rows)) for line, rows in zip(lines, chosen, strict=True)]
    chosen = [rows[np.isfinite(value)] for rows, value in zip(chosen, values, strict=True)]
    x = np.concatenate([np.empty(0), *(line.curve.x[rows] for line, rows in zip(lines, chosen, strict=True))])
    texts = [
        f"{text}  {layout.labels[line.number]}"
        for line, rows in zip(lines, chosen, strict=True)
        for text in value_texts(layout, line.curve, rows)
    ]
    return pa.table(
        {
            "x": pa.array(x * layout.x_scale, pa.float64()),
            "position": pa.array(position_texts(layout, x, lines, zone), pa.string()).dictionary_encode(),
            "own": pa.array(texts, pa.string()),
            **_placed_columns(layout, lines, [value[np.isfinite(value)] for value in values]),
        }
    )


def _some_of(line: Line, count: int) -> Rows:
    """Return some rows of a line, evenly chosen, those with a value that is no number among them."""
    drawn = line.rows[np.isfinite(line.drawable[line.rows])]
    return np.union1d(_evenly(drawn, count), _evenly(line.alarms, count))


def _evenly(rows: Rows, count: int) -> Rows:
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.intp)]


def _values_at(layout: Layout, line: Line, rows: Rows) -> Floats:
    """Return the values that rows are drawn at; infinite where a value is no number, NaN where it has no place."""
    if not len(line.curve.x):
        return np.full(len(rows), np.nan)
    values = shown_values(layout, line, rows)
    return np.where(np.isfinite(line.curve.value[rows]), values, np.inf)


def _placed(lines: Sequence[Line], values: Floats) -> Floats:
    """Return values with the largest of all that are drawn in place of infinity; NaN where nothing is drawn."""
    tops = [float(np.nanmax(line.drawable)) for line in lines if np.isfinite(line.drawable).any()]
    return np.where(np.isinf(values), max(tops, default=np.nan), values)


def _placed_columns(layout: Layout, lines: Sequence[Line], values: Sequence[Floats]) -> dict[str, pa.Array]:
    numbers = np.repeat(np.array([line.number for line in lines], np.int32), [len(part) for part in values])
    return {
        "value": pa.array(np.concatenate([np.empty(0), *values]), pa.float64()),
        "series": pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(layout.labels, pa.string())),
    }


def with_parts(layout: Layout, rows: pa.Table) -> pa.Table:
    """Return the rows of the lines with the number of the part that each belongs to, where the nearest is picked out.

    A line that comes to the front is drawn part by part, so that a gap in it stays one.
    """
    if not layout.picks_out:
        return rows
    parts = np.cumsum(rows["value"].is_null().to_numpy())
    return rows.append_column("part", pa.array(parts.astype(np.int32)))
