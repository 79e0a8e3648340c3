"""The parts of a Vega-Lite specification that answer the pointer.

The place under the pointer is marked in every chart with the same axis, a name in the legend hides its line, and the
nearest line comes to the front.

Written as dictionaries: Altair has no words for some of it. What is asked of the browser at every movement is a few
rows: to give each line its opacity anew would take it several times as long as a picture may take.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from monitor.charts import Layout
from monitor.charts.nearest import lists_all
from monitor.charts.styles import RESTART_COLOR

PLACE: Final = "place"
HIDDEN: Final = "hidden"
NEAR: Final = "near"
FRONT: Final = "front"
FRONT_WIDTH: Final = 4.0
FADED: Final = 0.82  # share of the other lines that is taken away while one is in front
HIDDEN_NAME_OPACITY: Final = 0.3
Unit = dict[str, Any]

_WITHOUT_HIDDEN: Final = {"filter": {"not": {"param": HIDDEN, "empty": False}}}
_ONE_ROW: Final[Mapping[str, Any]] = {"values": [{}], "format": {"parse": None}}
_HOVER: Final[Mapping[str, Any]] = {"name": "hover", "format": {"parse": None}}
_FOUND: Final[dict[str, Any]] = {"type": "point", "on": "pointerover", "nearest": True, "clear": "pointerout"}


# --- the place -----------------------------------------------------------------------------------------------------


def place_units(layout: Layout, lines: Unit) -> list[Unit]:
    """Return the rule at the place under the pointer, and what the pointer finds: not to be seen, each with its texts.

    The rule asks the scale for its place instead of having a share in it: a place beyond the axis does not widen it.

    Args:
        layout: What is drawn.
        lines: The layer of the lines, for its axes.
    """
    place = f"{NEAR if layout.picks_out else PLACE}_x"
    mark = {"type": "rule", "clip": True, "tooltip": None, "color": RESTART_COLOR, "opacity": 0.7}
    size = {"strokeWidth": 1, "y": 0, "y2": {"expr": "height"}}
    x = {"value": {"expr": f"isValid({place}) ? scale('x', {place}) : -9"}}
    rule: Unit = {"name": PLACE, "data": _ONE_ROW, "mark": {**mark, **size}, "encoding": {"x": x}}
    return [rule, _points(layout, lines) if layout.picks_out else _places(layout, lines)]


def _places(layout: Layout, lines: Unit) -> Unit:
    """Return places along the axis, each with the values of all lines."""
    place = {"name": PLACE, "select": _FOUND | {"fields": ["x"]}, "bind": {"x": _shared_place(layout)}}
    return {
        "name": "hover",
        "params": [place],
        "data": _HOVER,
        "mark": {"type": "rule", "clip": True, "opacity": 0},
        "encoding": {"x": lines["encoding"]["x"], "tooltip": _texts(layout)},
    }


def _shared_place(layout: Layout) -> dict[str, str]:
    """Return what makes all charts of the page with this axis, in this unit, know the place under the pointer.

    Each chart is a view of its own. Vega ties a signal to an element of the page: it writes the value there, tells it
    by an event, and takes over what others wrote.

    Source: "bind" in https://vega.github.io/vega/docs/signals/
    """
    return {"element": "body", "event": f"place: {layout.x_title}"}


def _texts(layout: Layout) -> list[dict[str, Any]]:
    """Return the lines of text under the pointer.

    Their titles are expressions, so no name may stand there, and they must differ: the position has a fixed title and
    each series a blank one; its name follows the value in the text.
    """
    of_all = not layout.picks_out or lists_all(layout)
    values = [f"s{number}" for number in range(len(layout.labels))] if of_all else ["own"]
    return [
        {"field": field, "type": "nominal", "title": " " * number or "at"}
        for number, field in enumerate(["position", *values])
    ]


# --- names that hide -----------------------------------------------------------------------------------------------


def let_hide(units: Iterable[Unit], lines: Unit) -> None:
    """Have a click on a name hide its line, and a second click show it again.

    The rows go, not only their colour: the axes then fit what is left.

    Args:
        units: Layers that leave out what is hidden, if they have a series.
        lines: The one among them that owns the legend.
    """
    for unit in units:
        if unit["encoding"].get("color", {}).get("field") == "series":
            unit["transform"] = [_WITHOUT_HIDDEN]
    for channel in ("color", "strokeDash", "strokeWidth"):
        if channel in lines["encoding"]:
            lines["encoding"][channel]["legend"]["encoding"] = _faint_where_hidden()
    select = {"type": "point", "fields": ["series"], "toggle": "true"}
    lines["params"].append({"name": HIDDEN, "select": select, "bind": "legend"})


def _faint_where_hidden() -> dict[str, Any]:
    hidden = f"indexof({HIDDEN}.series || [], datum.value) >= 0"
    opacity = {"condition": {"test": hidden, "value": HIDDEN_NAME_OPACITY}, "value": 1}
    return {part: {"opacity": opacity} for part in ("labels", "symbols")}


# --- the nearest line ----------------------------------------------------------------------------------------------


def front_param() -> dict[str, Any]:
    """Return the parameter that names the line in front, null without one: short to ask for every row."""
    return {"name": FRONT, "expr": f"isValid({NEAR}_series) ? {NEAR}_series : null"}


def front_units(layout: Layout) -> list[Unit]:
    """Return the layers in front of all others while the pointer is near a line: a veil, and that line.

    The lines in front ask the scales for their places instead of having a share in them: the axes would be
    reckoned anew at every movement.
    """
    areas = [_front("areas", _mark(layout, "area", opacity=0.3), y2=_scaled("y", "high"))] if layout.has_areas else []
    line = _front("lines", _mark(layout, "line", strokeWidth=FRONT_WIDTH, strokeJoin="round"))
    dots = _front("dots", _mark(layout, "point", filled=True, size=60, opacity=1))
    return [_veil(), *areas, line, dots]


def _mark(layout: Layout, kind: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 (any property of a mark)
    if kind != "point":
        options["interpolate"] = "step-after" if layout.steps else "linear"
    return {"type": kind, "clip": True, "tooltip": None, **options}


def _veil() -> Unit:
    """Return a layer that takes away most of what was drawn before: the page, light or dark, shows through."""
    size = {"x": 0, "x2": {"expr": "width"}, "y": 0, "y2": {"expr": "height"}}
    mark = {"type": "rect", "tooltip": None, "color": "black", "blend": "destination-out", **size}
    opacity = {"value": {"expr": f"{FRONT} === null ? 0 : {FADED}"}}
    return {"name": "veil", "data": _ONE_ROW, "mark": mark, "encoding": {"opacity": opacity}}


def _front(rows: str, mark: dict[str, Any], **more: dict[str, Any]) -> Unit:
    """Return the nearest line alone, drawn from the rows of all lines."""
    value = "low" if rows == "areas" else "value"
    chosen = f"datum.series === {FRONT} && isValid(datum.{value})"
    encoding: dict[str, Any] = {
        "x": _scaled("x", "x"),
        "y": _scaled("y", value),
        **more,
        "color": {"value": {"expr": f"{FRONT} === null ? 'transparent' : scale('color', {FRONT})"}},
    }
    if rows == "lines":
        encoding["detail"] = {"field": "part"}
        encoding["strokeDash"] = {"value": {"expr": f"{FRONT} === null ? [] : scale('strokeDash', {FRONT})"}}
    if rows != "dots":
        encoding["order"] = {"value": None}
    return {
        "name": f"front {rows}",
        "data": {"name": rows, "format": {"parse": None}},
        "transform": [{"filter": chosen}],
        "mark": mark,
        "encoding": encoding,
    }


def _scaled(scale: str, field: str) -> dict[str, Any]:
    return {"value": {"expr": f"scale('{scale}', datum.{field})"}}


def _points(layout: Layout, lines: Unit) -> Unit:
    """Return the points that the pointer may be nearest to; those of a hidden line cannot be found."""
    shared = {"x": _shared_place(layout), "series": {"element": "html", "event": "line under the pointer"}}
    return {
        "name": "hover",
        "params": [{"name": NEAR, "select": _FOUND | {"fields": ["series", "x"]}, "bind": shared}],
        "data": _HOVER,
        "transform": [_WITHOUT_HIDDEN],
        "mark": {"type": "point", "clip": True, "opacity": 0, "size": 1},
        "encoding": {"x": lines["encoding"]["x"], "y": lines["encoding"]["y"], "tooltip": _texts(layout)},
    }
