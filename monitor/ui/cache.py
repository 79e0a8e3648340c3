"""The only caches of the page: one reader of the log directories for all browser sessions, and chart specifications."""

from pathlib import Path
from typing import Any

import streamlit as st

from monitor.charts import Layout, StyleBook
from monitor.settings import Settings, read_settings
from monitor.watch import LogWatch


@st.cache_resource(max_entries=4, show_spinner=False)
def log_watch(directories: tuple[Path, ...], run_directory: Path | None, settings_file: Path | None) -> LogWatch:
    """Return the reader of some log directories: every browser session shares what one of them has read.

    Raises:
        SettingInvalid: The settings file is missing or wrong.
    """
    return LogWatch(directories, settings(settings_file), run_directory=run_directory)


@st.cache_resource(max_entries=4, show_spinner=False)
def settings(settings_file: Path | None) -> Settings:
    """Return the settings, read once per start of the page.

    Raises:
        SettingInvalid: The settings file is missing or wrong.
    """
    return read_settings(settings_file)


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs={Layout: repr})
def chart_spec(layout: Layout) -> dict[str, Any]:
    """Return the specification of a chart: building it takes a hundred times as long as feeding it."""
    from monitor.chart_spec import build_spec  # with Altair: the figures are on the page before it is there

    return build_spec(layout)


@st.cache_resource(max_entries=4, show_spinner=False)
def style_book(directories: tuple[Path, ...]) -> StyleBook:
    """Return which colour each run below some log directories has, for all browser sessions."""
    return StyleBook()
