"""Charts on a page: the six of a run, one around a finding, the series a reader chooses, and any other."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import streamlit as st

from monitor import charts
from monitor.live_figures import finding_label, onset_window, what_is_charted
from monitor.markdown import prose
from monitor.pictures import Picture, render_png, render_svg
from monitor.run_charts import (
    NO_EPOCHS,
    ChartView,
    RunChart,
    machine_chart,
    run_charts,
    series_chart,
    series_curve,
    x_kind_of,
)
from monitor.schema import RoleTag
from monitor.status import RunStatus
from monitor.text import code_span, file_name, format_step, plain, shorten_middle
from monitor.ui import cache, frame
from monitor.ui.cache import DrawnChart
from monitor.watch import LogWatch

CHART_WIDTH = 400
TITLE_CHARACTERS = 44
SERIES_PER_PAGE = 6
Zoom = tuple[float, float]
TOGETHER: Final = "together"


# --- the charts of a run -------------------------------------------------------------------------------------------


def draw_run_charts(watch: LogWatch, status: RunStatus, view: ChartView) -> None:
    """Draw the six charts of a run."""
    style = frame.run_style(watch, status)
    drawn = cache.drawn_charts(
        repr((what_is_charted(status), view, style)),
        view.zone,
        lambda: run_charts(status, (), watch.settings.health, view, style),
    )
    with st.grid("auto", min_column_width=CHART_WIDTH, gap="small", key="run-charts"):
        for one in drawn:
            if one.chart.key == "machine":
                _machine_chart(watch, status, view)
            else:
                _draw_own(one, status, view)


def _draw_own(one: DrawnChart, status: RunStatus, view: ChartView) -> None:
    # Another run or axis is another chart: a zoom does not fit there.
    key = f"{one.chart.key} {one.chart.layout.x_kind} {status.run.name}"
    draw_chart(one, key, view, file_name=status.run.name)


def _machine_chart(watch: LogWatch, status: RunStatus, view: ChartView) -> None:
    samples = watch.samples()
    (one,) = cache.drawn_charts(
        repr(("machine", view, samples[-1:])),
        view.zone,
        lambda: [machine_chart(status, samples, watch.settings.health, view)],
    )
    draw_chart(one, "machine", view, file_name="machine")


# --- one chart -----------------------------------------------------------------------------------------------------


def undrawn(chart: RunChart) -> DrawnChart:
    """Return a chart whose rows are made when it is drawn."""
    return DrawnChart(chart, None)


def draw_chart(
    one: DrawnChart,
    key: str,
    view: ChartView,
    *,
    title: str | None = None,
    file_name: str = "chart",
    start: Zoom | None = None,
) -> None:
    """Draw a chart in a card: title, what was done to the data, curves, and a way to save them.

    Args:
        one: What to draw.
        key: Identity in the browser: as long as it stays, so do zoom and hidden lines.
        view: How the reader wants to see it.
        title: Markdown instead of the title of the chart.
        file_name: What a saved file begins with; a name from a file may be given as it is.
        start: Limits of the horizontal axis at first; None for all.
    """
    chart = one.chart
    with st.container(border=True, height="stretch", gap="xsmall", key=f"chart-{chart.key}"):
        if chart.is_empty:
            st.markdown(f"**{title or chart.title}**  \n:small[:gray[{prose(chart.empty)}]]")
            return
        zoom = frame.zoom_of(key) or start
        drawing = chart.draw(zoom, view.zone) if zoom or one.drawing is None else one.drawing
        done = " · ".join(prose(part) for part in (drawing.caption, chart.note) if part)
        st.markdown(f"**{title or chart.title}**  \n:small[:gray[{done}]]")
        _offer_files(chart, key, view, file_name)
        spec = cache.chart_spec(chart.layout)
        if start is not None:
            spec = {**spec, "params": [_started(param, start) for param in spec["params"]]}
        st.vega_lite_chart(
            {**spec, "datasets": dict(drawing.datasets)}, key=key, on_select="rerun", selection_mode="zoom"
        )


def _started(param: dict[str, Any], start: Zoom) -> dict[str, Any]:
    return param | {"value": {"x": list(start)}} if param["name"] == "zoom" else param


# --- saving --------------------------------------------------------------------------------------------------------


def _offer_files(chart: RunChart, key: str, view: ChartView, name: str) -> None:
    """Draw the button that opens the choice of files; nothing of a file is made before it is asked for."""
    choice = st.popover("Save", icon=":material/download:", type="tertiary", key=f"save {key}", on_change="rerun")
    if not choice.open:
        return
    dark = frame.is_dark()
    files: dict[str, tuple[str, Callable[[], str | bytes]]] = {
        "png": ("image/png", lambda: render_png([_picture(chart, view)], dark=dark, zone=view.zone)),
        "svg": ("image/svg+xml", lambda: render_svg([_picture(chart, view)], dark=dark, zone=view.zone)),
        "csv": ("text/csv", lambda: charts.render_curves_csv(chart.curves, chart.layout.x_kind)),
    }
    words = {"png": "PNG, a picture", "svg": "SVG, a picture to scale", "csv": "CSV, every point"}
    with choice:
        for ending, (mime, make) in files.items():
            st.download_button(
                words[ending],
                data=make,
                file_name=f"{file_name(f'{name} {chart.title}')}.{ending}",
                mime=mime,
                on_click="ignore",
                type="tertiary",
                key=f"{ending} {key}",
            )


def _picture(chart: RunChart, view: ChartView) -> Picture:
    return Picture(chart.title, chart.layout, chart.draw(zone=view.zone), chart.note)


# --- around a finding ----------------------------------------------------------------------------------------------


def draw_shown_finding(watch: LogWatch, status: RunStatus, view: ChartView) -> None:
    """Draw the series of the finding the reader asked for, zoomed to where it begins; nothing without one."""
    finding = next((item for item in status.health.findings if item.id == frame.shown_finding()), None)
    window = None if finding is None else onset_window(status, finding, view)
    if finding is None or window is None:
        return
    tag = window.tag
    chart = series_chart(status, tag, watch.settings.health, view, frame.run_style(watch, status), "finding")
    scale = chart.layout.x_scale
    draw_chart(
        undrawn(chart),
        f"finding {finding.id} {chart.layout.x_kind} {status.run.name}",
        view,
        title=f"{finding_label(finding)} in {_series_title(tag)}",
        file_name=status.run.name,
        start=(window.low * scale, window.high * scale),
    )
    st.button(
        "Close this chart",
        icon=":material/close:",
        type="tertiary",
        key="close-finding",
        on_click=frame.show_finding,
        args=(None,),
    )


# --- all series ----------------------------------------------------------------------------------------------------


def draw_all_series(watch: LogWatch, status: RunStatus, view: ChartView) -> None:
    """Draw, below a fold, the series the reader searches and chooses, some to a page."""
    count = len(status.scalars.series)
    fold = st.expander(
        f"All {format_step(count)} series" if count != 1 else "The one series of this run",
        icon=":material/show_chart:",
        key="metrics",
        on_change="rerun",
        bind="query-params",
    )
    if not fold.open:
        return
    with fold:
        choice = frame.pick_series(status.scalars.tags)
        if choice.note:
            st.caption(choice.note)
        if not choice.tags:
            st.caption("No series has such a name.")
            return
        first = SERIES_PER_PAGE * frame.pick_page(len(choice.tags), SERIES_PER_PAGE, "page")
        tags = choice.tags[first : first + SERIES_PER_PAGE]
        if choice.together:
            _draw_together(status, tags, view)
        else:
            _draw_each(watch, status, tags, view)


def _draw_each(watch: LogWatch, status: RunStatus, tags: Sequence[str], view: ChartView) -> None:
    style = frame.run_style(watch, status)
    with st.grid("auto", min_column_width=CHART_WIDTH, gap="small"):
        for number, tag in enumerate(tags):
            chart = series_chart(status, tag, watch.settings.health, view, style, f"series-{number}")
            key = f"series {tag} {chart.layout.x_kind} {status.run.name}"
            draw_chart(undrawn(chart), key, view, title=_series_title(tag), file_name=status.run.name)


def _draw_together(status: RunStatus, tags: Sequence[str], view: ChartView) -> None:
    axis = x_kind_of([status], view)
    curves = [
        series_curve(status, RoleTag(tag, tag, None), tag, charts.palette_style(number), view, axis)
        for number, tag in enumerate(tags)
    ]
    layout = charts.layout_of(
        curves,
        axis,
        log_y=view.log_y,
        log_x=view.log_x,
        clip_outliers=view.clip_outliers,
        height=320,
        width_characters=100,
        max_points=charts.MAX_POINTS_OVERLAY,
    )
    empty = NO_EPOCHS if view.axis == "epoch" else "These series have no points."
    chart = RunChart(TOGETHER, "Several series", layout, tuple(curves), empty, smoothing=view.smoothing)
    draw_chart(undrawn(chart), f"{TOGETHER} {axis} {status.run.name}", view, file_name=status.run.name)


def _series_title(tag: str) -> str:
    return code_span(shorten_middle(plain(tag), TITLE_CHARACTERS))
