"""Tables with raw values → Streamlit's tables: sorted by number, shown as people read them."""

from datetime import UTC, datetime, tzinfo
from typing import Any

import pandas as pd
import streamlit as st

from monitor.comparison_tables import Column, Kind, Table, Value, cell_text
from monitor.text import UNKNOWN

CHARACTER_WIDTH, CELL_PADDING = 7.2, 24  # pixels
WIDEST_NAME = 380  # pixels; a name of 200 characters would push every figure off the screen

_DTYPES: dict[Kind, str] = {"number": "float64", "seconds": "float64", "count": "float64"}


def styled(table: Table, zone: tzinfo = UTC) -> Any:  # noqa: ANN401 (pandas' Styler)
    """Return a table as pandas styles it: numbers to sort by, texts to read."""
    values = {
        column.name: _column(column.kind, [row[place] for row in table.rows], zone)
        for place, column in enumerate(table.columns)
    }
    formats = {column.name: _formatter(column.kind) for column in table.columns if column.kind in _DTYPES}
    return pd.DataFrame(values).style.format(formats, na_rep=UNKNOWN)


def _column(kind: Kind, values: list[Value], zone: tzinfo) -> "pd.Series[Any]":
    if kind == "time":
        moments = [datetime.fromtimestamp(v, zone) if isinstance(v, int | float) else None for v in values]
        return pd.Series(moments, dtype=pd.DatetimeTZDtype("us", zone))
    if kind == "curve":
        return pd.Series([list(v) if isinstance(v, tuple) else None for v in values], dtype="object")
    return pd.Series(values, dtype=_DTYPES.get(kind, "str"))


def _formatter(kind: Kind) -> Any:  # noqa: ANN401 (a function of one value)
    return lambda value: cell_text(kind, value)


def column_config(table: Table, *, pinned: str | None = None) -> dict[str, Any]:
    """Return how Streamlit shows the columns: explained, those of one kind alike."""
    return {
        column.name: _config(column, _name_width(table, place) if column.name == pinned else None)
        for place, column in enumerate(table.columns)
    }


def _name_width(table: Table, place: int) -> int:
    longest = max((len(str(row[place])) for row in table.rows), default=0)
    return min(round(CHARACTER_WIDTH * longest) + CELL_PADDING, WIDEST_NAME)


def _config(column: Column, width: int | None) -> Any:  # noqa: ANN401 (Streamlit's column)
    explained = column.help or None
    if column.kind == "curve":
        return st.column_config.LineChartColumn(help=explained, width="small")
    if column.kind == "time":
        return st.column_config.DatetimeColumn(help=explained, format="YYYY-MM-DD HH:mm")
    return st.column_config.Column(help=explained, pinned=width is not None, width=width)


def draw_table(table: Table, key: str, *, pinned: str | None = None, zone: tzinfo = UTC, **options: Any) -> Any:  # noqa: ANN401
    """Draw a table that can be sorted; further options go to Streamlit."""
    return st.dataframe(
        styled(table, zone),
        hide_index=True,
        key=key,
        column_config=column_config(table, pinned=pinned),
        placeholder=UNKNOWN,
        **options,
    )
