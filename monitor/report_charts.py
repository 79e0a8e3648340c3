"""RunStatus → the charts of a report: those of one run, and several runs over each other. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from monitor.analysis.group_curves import group_curve
from monitor.charts import (
    MAX_POINTS_OVERLAY,
    Curve,
    Layout,
    Style,
    XKind,
    YKind,
    group_line,
    layout_of,
    palette_style,
    without_common_path,
)
from monitor.comparison import RunComparison
from monitor.document import Chart, Course, Text, foreign
from monitor.pictures import Picture, run_pictures
from monitor.plots import spark_of
from monitor.run_charts import ChartView, RunChart, run_charts, series_curve, x_kind_of
from monitor.schema import Points, RoleTag, Sample
from monitor.settings import HealthSettings
from monitor.status import RunStatus
from monitor.text import format_duration, format_learning_rate, format_number, format_percent

VIEW: Final = ChartView(smoothing=0.6)  # that of the live page at first
COURSE_CHARACTERS: Final = 30
LEAST_SAMPLES: Final = 2  # a single reading of the machine is a figure, no course
SINGLE_READING: Final = (
    "A single reading has no course. The page records one while it is open, and reports made there show it."
)
OVERLAY_HEIGHT: Final = 300


def report_charts(
    status: RunStatus, samples: Sequence[Sample], settings: HealthSettings
) -> tuple[tuple[Chart, ...], tuple[Text, ...]]:
    """Return the charts of a run that have something to show, and why each of the others has not."""
    enough = samples if len(samples) >= LEAST_SAMPLES else ()
    found = run_charts(status, enough, settings, VIEW)
    drawn = [chart for chart in found if not chart.is_empty]
    charts = tuple(_chart(chart, picture) for chart, picture in zip(drawn, run_pictures(drawn), strict=True))
    absent = tuple(f"{chart.title}: {_why_absent(chart)}" for chart in found if chart.is_empty)
    return charts, absent


def _why_absent(chart: RunChart) -> str:
    return SINGLE_READING if chart.key == "machine" else chart.empty


def comparison_charts(found: RunComparison, styles: Mapping[str, Style] | None = None) -> tuple[Chart, ...]:
    """Return the compared series of all runs over each other, and that of the groups where there are any.

    Args:
        found: The comparison.
        styles: Run → its colour on the other pages; None to give colours in the order of the runs.
    """
    compared = [(status, tag) for status, tag in zip(found.statuses, found.tags, strict=True) if tag is not None]
    if not compared:
        return ()
    axis = x_kind_of((status for status, _ in compared), VIEW)
    names = [status.run.name for status, _ in compared]
    looks = [_look(name, number, styles) for number, name in enumerate(names)]
    curves = [
        series_curve(status, RoleTag(tag, tag), label, look, VIEW, axis)
        for (status, tag), label, look in zip(compared, without_common_path(names), looks, strict=True)
    ]
    charts = [_together("overlay", "", found, axis, curves)]
    if found.comparison.is_grouped:
        charts.append(
            _together("groups", "mean and one standard deviation", found, axis, _group_curves(found, names, curves))
        )
    return tuple(chart for chart in charts if chart is not None)


def _look(name: str, number: int, styles: Mapping[str, Style] | None) -> Style:
    return (styles or {}).get(name, palette_style(number))


def _group_curves(found: RunComparison, names: Sequence[str], curves: Sequence[Curve]) -> list[Curve]:
    """Return one line per group: the mean of its runs' values with one standard deviation to either side."""
    by_run = dict(zip(names, curves, strict=True))
    lines = []
    for number, row in enumerate(found.comparison.groups):
        members = [by_run[run] for run in row.group.runs if run in by_run]
        if members:
            course = group_curve([(curve.x, curve.value) for curve in members])
            lines.append(group_line(course, row.group.name, palette_style(number)))
    return lines


def _together(key: str, what: str, found: RunComparison, axis: XKind, curves: Sequence[Curve]) -> Chart | None:
    tag = found.comparison.tag
    layout = layout_of(curves, axis, height=OVERLAY_HEIGHT, max_points=MAX_POINTS_OVERLAY)
    smoothing = VIEW.smoothing if any(curve.smoothed is not None for curve in curves) else 0.0
    chart = RunChart(key, tag, layout, tuple(curves), "", note=what, smoothing=smoothing)
    if chart.is_empty:
        return None
    words = "Chart: the compared series of every run" if not what else f"Chart: the groups, {what}"
    picture = Picture(chart.title, chart.layout, chart.draw(), chart.note)
    return Chart(key, f"{foreign(tag)}, {what}" if what else foreign(tag), words, picture, _courses(curves, layout))


def _chart(chart: RunChart, picture: Picture) -> Chart:
    courses = _courses(chart.curves, chart.layout)
    return Chart(chart.key, chart.title, f"Chart: {chart.title}", picture, courses)


def _courses(curves: Sequence[Curve], layout: Layout) -> tuple[Course, ...]:
    return tuple(_course(curve, label, layout.y_kind) for curve, label in zip(curves, layout.labels, strict=True))


def _course(curve: Curve, label: str, kind: YKind) -> Course:
    values = curve.value
    finite = values[np.isfinite(values)]
    first, last = (float(values[0]), float(values[-1])) if len(values) else (None, None)
    lowest, highest = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    line = spark_of(_as_points(curve), COURSE_CHARACTERS)
    return Course(foreign(label), line, *(_value_text(value, kind) for value in (first, last, lowest, highest)))


def _as_points(curve: Curve) -> Points:
    n_points = len(curve.value)
    return Points(np.arange(n_points), curve.x, curve.value, np.zeros(n_points, np.int16))


def _value_text(value: float | None, kind: YKind) -> str:
    if kind == "learning_rate":
        return format_learning_rate(value)
    if kind == "seconds":
        return format_duration(value)
    if kind == "percent":
        return format_percent(value)
    return format_number(value)
