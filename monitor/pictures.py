"""Charts as PNG and SVG, drawn without a browser and without a network: the only door to vl-convert.

The specification is that of the page without what only a pointer needs, with a title, the caption below it, and
colours for a light or a dark ground. vl-convert brings Vega-Lite and a sans-serif font with it; a script that this
font lacks is taken from the fonts of the machine. The same charts give the same bytes.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import pyarrow as pa

from monitor.charts import Drawing, Layout
from monitor.number_style import SEPARATORS, NumberStyle, number_writer
from monitor.run_charts import RunChart
from monitor.text import plain, shorten_middle

VEGA_LITE_VERSION: Final = "6.4"
WIDTH_PIXELS = 440
COLUMNS = 2
TITLE_CHARACTERS = 56
CAPTION_CHARACTERS = 86
FONT: Final = "sans-serif"


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart to draw.

    Args:
        title: Says what is seen; text from a file may be given as it is.
        layout: The layout of the chart.
        drawing: Its rows and its caption; None where there is nothing to draw.
        note: What stands below the title besides the caption; why it is empty, where it is.
        numbers: How the numbers along the axes and below the title are written.
    """

    title: str
    layout: Layout
    drawing: Drawing | None
    note: str = ""
    numbers: NumberStyle = "en"


def run_pictures(charts: Sequence[RunChart], zone: tzinfo = UTC) -> list[Picture]:
    """Return the charts of a run as pictures, those without a point as the sentence that says why."""
    return [
        Picture(chart.title, chart.layout, None, chart.empty)
        if chart.is_empty
        else Picture(chart.title, chart.layout, chart.draw(zone=zone), chart.note)
        for chart in charts
    ]


def render_png(pictures: Sequence[Picture], *, dark: bool = False, scale: float = 2.0, zone: tzinfo = UTC) -> bytes:
    """Return one or several charts, two beside each other, as one PNG.

    Args:
        pictures: The charts, in reading order.
        dark: True for a dark ground.
        scale: Pixels of the picture per pixel of the layout.
        zone: Time zone of an axis that shows the time of day.
    """
    import vl_convert  # with a JavaScript engine: a quarter of a gigabyte that only pictures need

    png: bytes = vl_convert.vegalite_to_png(
        _spec(pictures, dark, zone), vl_version=VEGA_LITE_VERSION, scale=scale, format_locale=_number_locale(pictures)
    )
    return png


def render_svg(pictures: Sequence[Picture], *, dark: bool = False, zone: tzinfo = UTC) -> str:
    """Return one or several charts, two beside each other, as one SVG; arguments as those of `render_png`."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(
        _spec(pictures, dark, zone), vl_version=VEGA_LITE_VERSION, format_locale=_number_locale(pictures)
    )
    return svg


def _number_locale(pictures: Sequence[Picture]) -> dict[str, Any] | None:
    """Return how the axes write their numbers: one drawing has one style. Source: formatLocale of d3-format."""
    style = pictures[0].numbers if pictures else "en"
    if style == "en":  # what Vega does by itself
        return None
    separators = SEPARATORS[style]
    return {
        "thousands": separators.thousands,
        "decimal": separators.decimal,
        "grouping": [3],
        "currency": ["", ""],
    }


# --- the specification ---------------------------------------------------------------------------------------------


def _spec(pictures: Sequence[Picture], dark: bool, zone: tzinfo) -> dict[str, Any]:
    ground = _DARK if dark else _LIGHT
    datasets: dict[str, list[dict[str, Any]]] = {}
    for number, picture in enumerate(pictures):
        datasets |= _datasets(number, picture, zone)
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE_VERSION}.json",
        "concat": [_unit(number, picture, ground) for number, picture in enumerate(pictures)],
        "columns": min(COLUMNS, max(len(pictures), 1)),
        "spacing": {"row": 30, "column": 40},
        "resolve": {"scale": dict.fromkeys(("color", "strokeDash", "strokeWidth"), "independent")},
        "datasets": datasets,
        "background": ground.background,
        "padding": 16,
        "config": _config(ground),
    }


def _own(number: int, name: str) -> str:
    """Return the name of a data set of one chart: those of several charts stand in one specification."""
    return f"chart{number}_{name}"


def _unit(number: int, picture: Picture, ground: "_Ground") -> dict[str, Any]:
    frame = {"title": _title(picture), "width": WIDTH_PIXELS, "height": picture.layout.height}
    if picture.drawing is None:
        return frame | _message(picture.note, ground)
    from monitor.chart_spec import build_spec  # with Altair: a third of a second that only pictures need

    layers = build_spec(picture.layout, interactive=False)["layer"]
    for layer in layers:
        _rename(layer, number)
        if picture.layout.x_kind == "wall" and "x" in layer["encoding"]:
            layer["encoding"]["x"]["scale"]["type"] = "utc"  # the rows hold the clock of the zone, see `_datasets`
    return frame | {"layer": layers}


def _rename(layer: dict[str, Any], number: int) -> None:
    """Have a layer read the data sets of its own chart, the ends of a clipped axis among them."""
    layer["name"], layer["data"]["name"] = _own(number, layer["name"]), _own(number, layer["data"]["name"])
    scale = layer["encoding"].get("y", {}).get("scale", {})
    for end in ("domainMin", "domainMax"):
        if end in scale:
            scale[end] = {"expr": scale[end]["expr"].replace("'limits'", f"'{_own(number, 'limits')}'")}


def _title(picture: Picture) -> dict[str, Any]:
    write = number_writer(picture.numbers)
    words = [write(picture.drawing.caption), write(picture.note)] if picture.drawing is not None else []
    # The blank before a dot does not break: no line begins with one.
    lines = textwrap.wrap(
        "\u00a0· ".join(part.replace(" · ", "\u00a0· ") for part in words if part), CAPTION_CHARACTERS
    )
    return {"text": shorten_middle(plain(picture.title), TITLE_CHARACTERS), "subtitle": lines}


def _message(words: str, ground: "_Ground") -> dict[str, Any]:
    """Return what stands in the place of a chart without points."""
    lines = textwrap.wrap(words, CAPTION_CHARACTERS - 20)
    return {
        "data": {"values": [{}]},
        "mark": {"type": "text", "text": lines, "color": ground.quiet_text, "fontSize": 12, "baseline": "middle"},
    }


def _datasets(number: int, picture: Picture, zone: tzinfo) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of one chart. A time of day is moved to the clock of the zone, as nobody tells Vega the zone."""
    if picture.drawing is None:
        return {}
    shift = _zone_shift(picture.drawing.datasets["lines"], zone) if picture.layout.x_kind == "wall" else 0.0
    return {
        _own(number, name): [_moved(row, shift) for row in table.to_pylist()]
        for name, table in picture.drawing.datasets.items()
        if name != "hover"
    }


def _moved(row: dict[str, Any], shift: float) -> dict[str, Any]:
    return row | {"x": row["x"] + shift} if shift and row.get("x") is not None else row


def _zone_shift(lines: pa.Table, zone: tzinfo) -> float:
    """Return the milliseconds by which the clock of a zone was ahead of UTC at the last point."""
    last = max(lines.column("x").to_pylist(), default=0.0)
    offset = datetime.fromtimestamp(last / 1000, zone).utcoffset()
    return 0.0 if offset is None else 1000 * offset.total_seconds()


# --- the look ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ground:
    """The colours around the lines; text has a contrast of at least 4.5 : 1. Source: WCAG 2.2, 1.4.3."""

    background: str
    text: str
    quiet_text: str
    rule: str


_LIGHT: Final = _Ground("#FFFFFF", "#17202B", "#4E5A68", "#8C97A4")
_DARK: Final = _Ground("#0F141A", "#E8EDF3", "#A9B4C0", "#66727F")


def _config(ground: _Ground) -> dict[str, Any]:
    from monitor.chart_spec import CONFIG

    label = {"labelFont": FONT, "labelColor": ground.quiet_text, "labelFontSize": 11}
    title = {"titleFont": FONT, "titleColor": ground.quiet_text, "titleFontSize": 11, "titleFontWeight": "normal"}
    ticks = {"domainColor": ground.rule, "tickColor": ground.rule, "gridColor": ground.rule}
    return {
        **CONFIG,
        "font": FONT,
        "axis": {**label, **title, **ticks},
        "legend": {**CONFIG["legend"], "labelFont": FONT, "labelColor": ground.text, "labelFontSize": 11},
        "title": {
            "font": FONT,
            "anchor": "start",
            "color": ground.text,
            "fontSize": 14,
            "fontWeight": "bold",
            "subtitleFont": FONT,
            "subtitleColor": ground.quiet_text,
            "subtitleFontSize": 11,
            "subtitlePadding": 4,
            "offset": 10,
            "frame": "group",
        },
    }
