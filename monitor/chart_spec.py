"""A layout → its Vega-Lite specification, built with Altair once and then fed with data by `charts`.

Altair lives here alone: it takes a third of a second to import, and a page shows its figures without it.
"""

from typing import Any, Final, Literal

import altair as alt

from monitor.charts import Layout
from monitor.charts.styles import ALARM_COLOR, BAND_COLOR, CHECKPOINT_COLOR, LINE_WIDTH, RESTART_COLOR
from monitor.pick_spec import front_param, front_units, let_hide, place_units

RAW_OPACITY = 0.2
AREA_OPACITY = 0.16
# A solid line among dashed ones: the scale needs a list for every series. One of short strokes without gaps would be
# cut into them: a hundred such lines take the browser a tenth of a second.
SOLID: Final[list[int]] = []


def build_spec(layout: Layout, *, interactive: bool = True) -> dict[str, Any]:
    """Return the Vega-Lite specification of a layout, without data; it expects the data sets of `draw`.

    Args:
        layout: What it depends on.
        interactive: False for a picture: nothing to zoom, to point at or to choose.

    Source: measurements of Streamlit 1.67 with Vega 6. A named interval parameter keeps its zoom over refreshes;
    ``parse: null`` avoids a derived data set that grows with each refresh; a wide table under the pointer costs the
    same whatever the lines hold; descriptions and tooltips per point cost more than the drawing itself.
    """
    units = [_unit(name, chart) for name, chart in _layers(layout, interactive).items()]
    lines = next(unit for unit in units if unit["name"] == "lines")
    if interactive and len(layout.labels) > 1:
        let_hide(units, lines)
    if interactive and layout.picks_out:
        units += front_units(layout)
    if interactive:
        units += place_units(layout, lines)
    # Streamlit looks for parameters at the top only; `views` says where each of them lives.
    params = [param | {"views": [unit["name"]]} for unit in units for param in unit.pop("params", [])]
    if interactive and layout.picks_out:
        params.append(front_param())
    return {
        "$schema": alt.SCHEMA_URL,
        "layer": units,
        "params": params,
        "height": layout.height,
        "background": "transparent",
        "padding": {"left": 0, "right": 6, "top": 4, "bottom": 0},
        "config": CONFIG,
        # Errors only: a data set without rows, which is the usual case for alarms, is a warning at every refresh.
        "usermeta": {"embedOptions": {"renderer": "canvas", "actions": False, "logLevel": 1}},
    }


CONFIG: Final[dict[str, Any]] = {
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


def _layers(layout: Layout, interactive: bool) -> dict[str, alt.Chart]:
    """Return the layers by name, from the back to the front; but for the raw lines that of their data set."""
    layers = {
        "bands": _bands(layout) if layout.bands else None,
        "limits": _limits(layout) if layout.clip_outliers else None,
        "areas": _areas(layout) if layout.has_areas else None,
        "restarts": _rules(layout, "restarts", RESTART_COLOR),
        "onsets": _onsets(layout),
        "raw": _faint_lines(layout),
        "lines": _lines(layout, interactive),
        "dots": _dots(layout),
        "checkpoints": _checkpoints(layout),
        "alarms": _alarms(layout),
    }
    return {name: chart for name, chart in layers.items() if chart is not None}


def _unit(name: str, chart: alt.Chart) -> dict[str, Any]:
    """Return one layer as a dict. The tests validate it; here that would take ten times as long as building it."""
    unit: dict[str, Any] = chart.to_dict(validate=False)
    for key in ("$schema", "config"):
        unit.pop(key, None)
    if unit["mark"]["type"] in ("line", "area"):
        # The rows come sorted; without this Vega sorts them again at each refresh. Altair has no word for it.
        unit["encoding"]["order"] = {"value": None}
    return unit | {"name": name}


def _table(name: str) -> alt.NamedData:
    return alt.NamedData(name=name, format=alt.JsonDataFormat(parse=None))


# --- axes and scales -----------------------------------------------------------------------------------------------


def _x(layout: Layout) -> alt.X:
    whole = layout.x_kind in ("step", "epoch")
    axis = alt.Axis(
        title=layout.x_title,
        grid=False,
        tickCount=6,
        tickMinStep=1 if whole and not layout.log_x else alt.Undefined,
        format="~s" if layout.log_x else alt.Undefined,
        labelOverlap=True,
    )
    scale = alt.Scale(
        type="log" if layout.log_x else alt.Undefined,
        nice=False,
        zero=alt.Undefined if layout.x_kind == "wall" or layout.log_x else False,
        padding=6,
    )
    return alt.X("x", type="temporal" if layout.x_kind == "wall" else "quantitative", axis=axis, scale=scale)


def _y(layout: Layout, field: str = "value") -> alt.Y:
    # On a linear axis the step between the ticks tells how many digits are needed; no format knows better.
    number_format = (".0e" if layout.y_kind == "learning_rate" else "~g") if layout.log_y else alt.Undefined
    axis = alt.Axis(
        title=layout.y_title or None, format=number_format, tickCount=5, gridOpacity=_grid_opacity(layout), domain=False
    )
    return alt.Y(field, type="quantitative", axis=axis, scale=_y_scale(layout))


def _grid_opacity(layout: Layout) -> Any:  # noqa: ANN401 (a number, or one that depends on the tick)
    """Return how strong the lines of the grid are; on a logarithmic axis those between the labels are left out."""
    if not layout.log_y:
        return 0.35
    return {"condition": {"test": "datum.label != ''", "value": 0.35}, "value": 0}


def _y_scale(layout: Layout) -> alt.Scale:
    scale = alt.Scale(
        type="log" if layout.log_y else "linear",
        zero=alt.Undefined if layout.log_y else False,
        # An axis with limits ends exactly there: the caption counts what lies beyond.
        nice=not layout.clip_outliers and layout.y_domain is None,
        domain=list(layout.y_domain) if layout.y_domain else alt.Undefined,
    )
    if layout.clip_outliers:
        # From the data, so that the specification stays while the limits move; without a row they are undefined.
        scale.domainMin = alt.ExprRef("pluck(data('limits'), 'low')[0]")
        scale.domainMax = alt.ExprRef("pluck(data('limits'), 'high')[0]")
    return scale


def _legend(layout: Layout) -> alt.Legend | None:
    return alt.Legend(columns=_legend_columns(layout)) if len(layout.labels) > 1 else None


def _legend_columns(layout: Layout) -> int:
    """Return how many names stand in one row, so that the legend of a narrow chart keeps its width."""
    widest = max(len(label) for label in layout.labels)
    return max(1, min(4, layout.width_characters // (widest + 4)))


def _color(layout: Layout) -> alt.Color:
    scale = alt.Scale(domain=list(layout.labels), range=[style.color for style in layout.styles])
    return alt.Color("series", type="nominal", scale=scale, legend=_legend(layout))


def _dash(layout: Layout) -> alt.StrokeDash:
    dashes = [list(style.dash) or SOLID for style in layout.styles]
    scale = alt.Scale(domain=list(layout.labels), range=dashes)
    return alt.StrokeDash("series", type="nominal", scale=scale, legend=_legend(layout))


def _width(layout: Layout) -> alt.StrokeWidth:
    scale = alt.Scale(type="ordinal", domain=list(layout.labels), range=[style.width for style in layout.styles])
    return alt.StrokeWidth("series", type="nominal", scale=scale, legend=_legend(layout))


# --- lines ---------------------------------------------------------------------------------------------------------


def _line_mark(layout: Layout, field: str, width: float | None) -> alt.Chart:
    interpolate: Literal["step-after", "linear"] = "step-after" if layout.steps else "linear"
    chart = alt.Chart(_table("lines")).mark_line(
        clip=True,
        tooltip=None,
        strokeWidth=alt.Undefined if width is None else width,
        interpolate=interpolate,
        strokeJoin="round",
    )
    drawn: alt.Chart = chart.encode(x=_x(layout), y=_y(layout, field), color=_color(layout), strokeDash=_dash(layout))
    return drawn


def _faint_lines(layout: Layout) -> alt.Chart:
    faint: alt.Chart = _line_mark(layout, "raw", 1.2).encode(opacity=alt.value(RAW_OPACITY))
    return faint


def _lines(layout: Layout, interactive: bool) -> alt.Chart:
    one_width = len({style.width for style in layout.styles}) == 1
    # A width of the mark would win over those of the series.
    mark = _line_mark(layout, "value", LINE_WIDTH if one_width else None)
    chart = mark if one_width else mark.encode(strokeWidth=_width(layout))
    if interactive:
        # Ctrl (or a pinch) zooms: a bare wheel has to scroll the page even with the pointer over a chart.
        chart = chart.add_params(
            alt.selection_interval(
                name="zoom", bind="scales", encodings=["x"], zoom="wheel![event.ctrlKey || event.metaKey]"
            )
        )
    return chart


def _areas(layout: Layout) -> alt.Chart:
    """Return the areas around lines: the interval of a mean, in the colour of its line."""
    interpolate: Literal["step-after", "linear"] = "step-after" if layout.steps else "linear"
    mark = alt.Chart(_table("areas")).mark_area(clip=True, tooltip=None, interpolate=interpolate, strokeWidth=0)
    areas: alt.Chart = mark.encode(
        x=_x(layout),
        y=_y(layout, "low"),
        y2=alt.Y2("high"),
        color=_color(layout),
        opacity=alt.value(AREA_OPACITY),
    )
    return areas


def _dots(layout: Layout) -> alt.Chart:
    mark = alt.Chart(_table("dots")).mark_point(clip=True, tooltip=None, filled=True, size=22, opacity=1)
    dots: alt.Chart = mark.encode(x=_x(layout), y=_y(layout), color=_color(layout))
    return dots


# --- behind and beside the lines -----------------------------------------------------------------------------------


def _bands(layout: Layout) -> alt.Chart:
    """Return the stretches of the y axis that mean something: areas, and rules where both limits are equal."""
    mark = alt.Chart(_table("bands")).mark_rect(
        clip=True, tooltip=None, color=BAND_COLOR, fillOpacity=0.13, stroke=BAND_COLOR, strokeOpacity=0.7
    )
    bands: alt.Chart = mark.encode(y=_y(layout, "low"), y2=alt.Y2("high"))
    return bands


def _limits(layout: Layout) -> alt.Chart:
    """Return the edges of a clipped axis: a dotted rule where something lies beyond."""
    mark = alt.Chart(_table("limits")).mark_rule(tooltip=None, color=BAND_COLOR, strokeDash=[2, 4])
    limits: alt.Chart = mark.encode(y=_y(layout, "edge"))
    return limits


def _rules(layout: Layout, name: str, color: str) -> alt.Chart:
    mark = alt.Chart(_table(name)).mark_rule(clip=True, tooltip=None, color=color, strokeDash=[3, 3], strokeWidth=1.2)
    rules: alt.Chart = mark.encode(x=_x(layout))
    return rules


def _onsets(layout: Layout) -> alt.Chart:
    """Return where findings begin, in the colour of their severity, which stands in the rows."""
    mark = alt.Chart(_table("onsets")).mark_rule(clip=True, tooltip=None, strokeDash=[3, 3], strokeWidth=1.4)
    onsets: alt.Chart = mark.encode(
        x=_x(layout),
        stroke=alt.Stroke("color", type="nominal", scale=None),
        strokeOpacity=alt.StrokeOpacity("opacity", type="quantitative", scale=None),
    )
    return onsets


def _checkpoints(layout: Layout) -> alt.Chart:
    """Return the triangles along the lower edge: one per checkpoint, named in the text under the pointer."""
    mark = alt.Chart(_table("checkpoints")).mark_point(
        clip=True,
        tooltip=None,
        shape="triangle-up",
        filled=True,
        size=34,
        opacity=1,
        color=CHECKPOINT_COLOR,
        yOffset=-4,
    )
    triangles: alt.Chart = mark.encode(x=_x(layout), y=alt.value("height"))
    return triangles


def _alarms(layout: Layout) -> alt.Chart:
    """Return the crosses along the upper edge: one per step with a value that is no number."""
    mark = alt.Chart(_table("alarms")).mark_point(
        clip=True, tooltip=None, shape="cross", angle=45, filled=True, size=70, opacity=1, color=ALARM_COLOR
    )
    crosses: alt.Chart = mark.encode(x=_x(layout), y=alt.value(7))
    return crosses
