"""A layout → its Vega-Lite specification, built with Altair once and then fed with data by `charts`.

Altair lives here alone: it takes a third of a second to import, and a page shows its figures without it.
"""

from typing import Any, Final, Literal

import altair as alt

from monitor.charts import ALARM_COLOR, ONSET_COLOR, RAW_OPACITY, RESTART_COLOR, Layout


def build_spec(layout: Layout) -> dict[str, Any]:
    """Return the Vega-Lite specification of a layout, without data; it expects the data sets of `draw`.

    Source: measurements of Streamlit 1.67 with Vega 6. A named interval parameter keeps its zoom over refreshes;
    ``parse: null`` avoids a derived data set that grows with each refresh; a wide table under the pointer costs the
    same whatever the lines hold; descriptions and tooltips per point cost more than the drawing itself.
    """
    # Drawn from the back to the front.
    layers = {
        "restarts": _rules(layout, "restarts", RESTART_COLOR),
        "onsets": _rules(layout, "onsets", ONSET_COLOR),
        "raw": _faint_lines(layout),
        "lines": _lines(layout),
        "dots": _dots(layout),
        "alarms": _alarms(layout),
        "hover": _pointer(layout),
    }
    units = [_unit(name, chart) for name, chart in layers.items()]
    # Streamlit looks for parameters at the top only; `views` says where each of them lives.
    params = [param | {"views": [unit["name"]]} for unit in units for param in unit.pop("params", [])]
    return {
        "$schema": alt.SCHEMA_URL,
        "layer": units,
        "params": params,
        "height": layout.height,
        "background": "transparent",
        "padding": {"left": 0, "right": 6, "top": 4, "bottom": 0},
        "config": _CONFIG,
        # Errors only: a data set without rows, which is the usual case for alarms, is a warning at every refresh.
        "usermeta": {"embedOptions": {"renderer": "canvas", "actions": False, "logLevel": 1}},
    }


_CONFIG: Final[dict[str, Any]] = {
    "mark": {"aria": False},
    "view": {"strokeOpacity": 0},
    "legend": {
        "orient": "top",
        "direction": "horizontal",
        "labelLimit": 460,
        "title": None,
        "symbolType": "stroke",
        "symbolOpacity": 1,
        "symbolStrokeWidth": 2,
        "padding": 0,
    },
}


def _unit(name: str, chart: alt.Chart) -> dict[str, Any]:
    """Return one layer as a dict. The tests validate it; here that would take ten times as long as building it."""
    unit: dict[str, Any] = chart.to_dict(validate=False)
    for key in ("$schema", "config"):
        unit.pop(key, None)
    if unit["mark"]["type"] == "line":
        # The rows come sorted; without this Vega sorts them again at each refresh. Altair has no word for it.
        unit["encoding"]["order"] = {"value": None}
    return unit | {"name": name}


def _table(name: str) -> alt.NamedData:
    return alt.NamedData(name=name, format=alt.JsonDataFormat(parse=None))


def _x(layout: Layout) -> alt.X:
    whole = layout.x_kind in ("step", "epoch")
    axis = alt.Axis(
        title=layout.x_title,
        grid=False,
        tickCount=6,
        tickMinStep=1 if whole else alt.Undefined,
        labelOverlap=True,
    )
    scale = alt.Scale(nice=False, zero=alt.Undefined if layout.x_kind == "wall" else False, padding=6)
    return alt.X("x", type="temporal" if layout.x_kind == "wall" else "quantitative", axis=axis, scale=scale)


def _y(layout: Layout) -> alt.Y:
    # On a linear axis the step between the ticks tells how many digits are needed; no format knows better.
    number_format = (".0e" if layout.y_kind == "learning_rate" else "~g") if layout.log_y else alt.Undefined
    domain = list(layout.y_domain) if layout.y_domain else alt.Undefined
    scale = alt.Scale(
        type="log" if layout.log_y else "linear",
        zero=alt.Undefined if layout.log_y else False,
        nice=True,
        domain=domain,
    )
    axis = alt.Axis(title=layout.y_title or None, format=number_format, tickCount=5, gridOpacity=0.35, domain=False)
    return alt.Y("value", type="quantitative", axis=axis, scale=scale)


def _color(layout: Layout) -> alt.Color:
    scale = alt.Scale(domain=list(layout.labels), range=[style.color for style in layout.styles])
    shown = alt.Legend(columns=_legend_columns(layout)) if len(layout.labels) > 1 else None
    return alt.Color("series", type="nominal", scale=scale, legend=shown)


def _legend_columns(layout: Layout) -> int:
    """Return how many names stand in one row, so that the legend of a narrow chart keeps its width."""
    widest = max(len(label) for label in layout.labels)
    return max(1, min(4, layout.width_characters // (widest + 4)))


def _dash(layout: Layout) -> alt.StrokeDash:
    # A dash of one long stroke is a solid line: the scale needs a list for every series.
    dashes = [list(style.dash) or [1, 0] for style in layout.styles]
    shown = alt.Legend(columns=_legend_columns(layout)) if len(layout.labels) > 1 else None
    return alt.StrokeDash(
        "series", type="nominal", scale=alt.Scale(domain=list(layout.labels), range=dashes), legend=shown
    )


def _line_mark(layout: Layout, name: str, width: float) -> alt.Chart:
    interpolate: Literal["step-after", "linear"] = "step-after" if layout.steps else "linear"
    chart = alt.Chart(_table(name)).mark_line(
        clip=True, tooltip=None, strokeWidth=width, interpolate=interpolate, strokeJoin="round"
    )
    drawn: alt.Chart = chart.encode(x=_x(layout), y=_y(layout), color=_color(layout), strokeDash=_dash(layout))
    return drawn


def _faint_lines(layout: Layout) -> alt.Chart:
    faint: alt.Chart = _line_mark(layout, "raw", 1.2).encode(opacity=alt.value(RAW_OPACITY))
    return faint


def _lines(layout: Layout) -> alt.Chart:
    # Ctrl (or a pinch) zooms: a bare wheel has to scroll the page even with the pointer over a chart.
    zoom = alt.selection_interval(
        name="zoom", bind="scales", encodings=["x"], zoom="wheel![event.ctrlKey || event.metaKey]"
    )
    chart: alt.Chart = _line_mark(layout, "lines", 1.8).add_params(zoom)
    if len(layout.labels) > 1:
        chosen = alt.selection_point(name="chosen", fields=["series"], bind="legend")
        opacity = alt.condition(chosen, alt.value(1.0), alt.value(RAW_OPACITY))
        chart = chart.encode(opacity=opacity).add_params(chosen)
    return chart


def _dots(layout: Layout) -> alt.Chart:
    mark = alt.Chart(_table("dots")).mark_point(clip=True, tooltip=None, filled=True, size=22, opacity=1)
    dots: alt.Chart = mark.encode(x=_x(layout), y=_y(layout), color=_color(layout))
    return dots


def _alarms(layout: Layout) -> alt.Chart:
    """Return the crosses along the upper edge: one per step with a value that is no number."""
    mark = alt.Chart(_table("alarms")).mark_point(
        clip=True, tooltip=None, shape="cross", angle=45, filled=True, size=70, opacity=1, color=ALARM_COLOR
    )
    crosses: alt.Chart = mark.encode(x=_x(layout), y=alt.value(7))
    return crosses


def _rules(layout: Layout, name: str, color: str) -> alt.Chart:
    mark = alt.Chart(_table(name)).mark_rule(clip=True, tooltip=None, color=color, strokeDash=[3, 3], strokeWidth=1.2)
    rules: alt.Chart = mark.encode(x=_x(layout))
    return rules


def _pointer(layout: Layout) -> alt.Chart:
    """Return the line under the pointer with the values beside it.

    The titles of the tooltip are expressions, so no name may stand there: the position has a fixed title and each
    series a blank one (they must differ), and the name follows the value in the text.
    """
    over = alt.selection_point(
        name="pointer", on="pointerover", nearest=True, fields=["x"], clear="pointerout", empty=False
    )
    position = alt.Tooltip("position", type="nominal", title="at")
    texts = [alt.Tooltip(f"s{i}", type="nominal", title=" " * (i + 1)) for i in range(len(layout.labels))]
    mark = alt.Chart(_table("hover")).mark_rule(clip=True, color=RESTART_COLOR, strokeWidth=1)
    opacity = alt.condition(over, alt.value(0.7), alt.value(0.0))
    rule: alt.Chart = mark.encode(x=_x(layout), opacity=opacity, tooltip=[position, *texts]).add_params(over)
    return rule
