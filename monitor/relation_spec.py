"""How results go with settings → Vega-Lite specifications, built with Altair and fed by `charts.relations`."""

from typing import Any, Final

import altair as alt

from monitor.chart_spec import CONFIG
from monitor.charts.relations import Parallel, Scatter

HEIGHT = 300
LEVEL_COLOR: Final = "#7A7A7A"
POINT_SIZE = 70
# Blue over grey to orange: no red against green, each at 3 : 1 on a white and a near-black page.
RESULT_RANGE: Final = ["#0072B2", "#7A7A7A", "#D55E00"]


def build_scatter(scatter: Scatter) -> dict[str, Any]:
    """Return the specification of one key against the result; it expects the data set ``points``."""
    scale = alt.Scale(type="log") if scatter.is_log else alt.Scale(zero=False, padding=12)
    axis = alt.Axis(title=scatter.x_title, grid=False, labelAngle=0, labelLimit=120, labelOverlap=True)
    x = (
        alt.X("x", type="quantitative", scale=scale, axis=axis)
        if scatter.is_number
        else alt.X("x", type="nominal", axis=axis, scale=alt.Scale(padding=0.5))
    )
    color = alt.Color(
        "group",
        type="nominal",
        scale=alt.Scale(domain=list(scatter.names), range=list(scatter.colors)),
        legend=alt.Legend(columns=2, symbolType="circle") if 1 < len(scatter.names) <= len(_FEW) else None,
    )
    chart = alt.Chart(_table("points")).mark_circle(size=POINT_SIZE, opacity=0.85)
    drawn = chart.encode(
        x=x,
        y=alt.Y("y", type="quantitative", scale=alt.Scale(zero=False), axis=alt.Axis(title=scatter.y_title)),
        color=color,
        tooltip=alt.Tooltip("text", type="nominal", title=" "),
    )
    return _framed(drawn)


_FEW: Final = range(12)  # groups that a legend has room for


def build_parallel(parallel: Parallel) -> dict[str, Any]:
    """Return the specification of parallel coordinates; it expects the data sets ``lines`` and ``levels``."""
    x = alt.X(
        "axis",
        type="nominal",
        sort=list(parallel.axes),
        scale=alt.Scale(type="point", padding=0.35, domain=list(parallel.axes)),
        axis=alt.Axis(title=None, orient="top", labelAngle=0, domain=False, ticks=False, grid=True, labelLimit=130),
    )
    y = alt.Y("place", type="quantitative", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    color = alt.Color("result", type="quantitative", scale=alt.Scale(range=RESULT_RANGE, zero=False), legend=None)
    lines = (
        alt.Chart(_table("lines"))
        .mark_line(strokeWidth=2, opacity=0.8, interpolate="monotone")
        .encode(
            x=x,
            y=y,
            color=color,
            detail=alt.Detail("line", type="nominal"),
            tooltip=alt.Tooltip("text", type="nominal", title=" "),
        )
    )
    levels = (
        alt.Chart(_table("levels"))
        .mark_text(align="left", dx=5, fontSize=11, color=LEVEL_COLOR)
        .encode(x=x, y=y, text=alt.Text("text", type="nominal"))
    )
    return _framed(alt.layer(lines, levels))


def _table(name: str) -> alt.NamedData:
    return alt.NamedData(name=name, format=alt.JsonDataFormat(parse=None))


def _framed(chart: alt.TopLevelMixin) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec | {
        "height": HEIGHT,
        "background": "transparent",
        "padding": {"left": 4, "right": 12, "top": 4, "bottom": 4},
        "config": CONFIG,
        "usermeta": {"embedOptions": {"renderer": "canvas", "actions": False, "logLevel": 1}},
    }
