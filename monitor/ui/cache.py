"""The only caches of the page: one reader of the log directories for all browser sessions, and chart specifications."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

from monitor.charts import Drawing, Layout, StyleBook
from monitor.charts.relations import Parallel, Scatter
from monitor.report_files import ReportShelf
from monitor.run_charts import RunChart
from monitor.settings import Settings, read_settings
from monitor.status import RunStatus
from monitor.watch import CHECK_KINDS, LogWatch, ResourceSampler, start_sampler

Made = TypeVar("Made")

SHARED_SECONDS = 0.25  # a quarter of the shortest refresh


@st.cache_resource(max_entries=4, show_spinner=False)
def log_watch(directories: tuple[Path, ...], run_directory: Path | None, settings_file: Path | None) -> LogWatch:
    """Return the reader of some log directories: every browser session shares what one of them has read.

    Raises:
        SettingInvalid: The settings file is missing or wrong.
    """
    chosen = settings(settings_file)
    return LogWatch(directories, chosen, run_directory=run_directory, sampler=_sampler(settings_file))


@st.cache_resource(max_entries=1, show_spinner=False, on_release=ResourceSampler.stop)
def _sampler(settings_file: Path | None) -> ResourceSampler:
    """Return the one sampler of the machine for all readers; it begins when the first page opens."""
    return start_sampler(settings(settings_file))


@st.cache_resource(max_entries=4, show_spinner=False)
def settings(settings_file: Path | None) -> Settings:
    """Return the settings, read once per start of the page.

    Raises:
        SettingInvalid: The settings file is missing or wrong.
    """
    return read_settings(settings_file, kinds=CHECK_KINDS)


@st.cache_resource(max_entries=64, ttl=SHARED_SECONDS, show_spinner=False, hash_funcs={LogWatch: id})
def run_status(watch: LogWatch, run: str, roles: tuple[tuple[str, str], ...]) -> RunStatus:
    """Return the status of a run: browser sessions that ask at almost the same time share one.

    Raises:
        RunNotFound: There is no run of that name.
        NotReadable: Its directory may not be read.
    """
    return watch.status(run, time.time(), dict(roles))


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs={Layout: repr})
def chart_spec(layout: Layout) -> dict[str, Any]:
    """Return the specification of a chart: building it takes a hundred times as long as feeding it."""
    from monitor.chart_spec import build_spec  # with Altair: the figures are on the page before it is there

    return build_spec(layout)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={Scatter: repr, Parallel: repr})
def relation_spec(relation: Scatter | Parallel) -> dict[str, Any]:
    """Return the specification of a chart of settings and results."""
    from monitor.relation_spec import build_parallel, build_scatter

    return build_scatter(relation) if isinstance(relation, Scatter) else build_parallel(relation)


@st.cache_resource(max_entries=4, show_spinner=False)
def style_book(directories: tuple[Path, ...]) -> StyleBook:
    """Return which colour each run below some log directories has, for all browser sessions."""
    return StyleBook()


@dataclass(frozen=True, slots=True, eq=False)
class DrawnChart:
    """A chart with the rows that show all of it; None where there is no point."""

    chart: RunChart
    drawing: Drawing | None


@st.cache_resource(max_entries=8, ttl=30, show_spinner=False)
def drawn_charts(made_of: str, _zone: tzinfo, _make: Callable[[], Sequence[RunChart]]) -> tuple[DrawnChart, ...]:
    """Return charts with their rows, made once for all browser sessions that show the same.

    Args:
        made_of: Everything the charts depend on, in words; equal words give the same charts.
        _zone: Time zone of the texts under the pointer.
        _make: Makes the charts.
    """
    return tuple(DrawnChart(chart, None if chart.is_empty else chart.draw(zone=_zone)) for chart in _make())


@st.cache_resource(max_entries=1, show_spinner=False)
def report_shelf() -> ReportShelf:
    """Return the reports made last, for all browser sessions."""
    return ReportShelf()


@st.cache_resource(max_entries=16, ttl=600, show_spinner=False)
def compared(made_of: str, _make: Callable[[], Made]) -> Made:
    """Return a comparison, made once for all browser sessions that ask the same of the same points.

    Args:
        made_of: Everything it depends on, in words; equal words give the same comparison.
        _make: Makes it.
    """
    return _make()
