"""What every page begins with: its frame, the pickers with their keys in the address bar, and calm errors.

A page may be opened by a deep link on a server that has not yet run `streamlit_app.py`; so nothing a page needs is
set up there, and the links between the pages are drawn here.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from monitor import charts
from monitor.charts import Style
from monitor.errors import DemoNotStarted, MonitorError, RunNotFound, UsageInvalid
from monitor.live_figures import is_busy, what_is_framed, what_is_shown
from monitor.markdown import prose
from monitor.run_charts import Axis, ChartView
from monitor.schema import Role, RunList
from monitor.settings import log_directories
from monitor.status import RunStatus, is_judged
from monitor.tag_search import find_tags, groups_of
from monitor.text import code_span
from monitor.ui import cache
from monitor.watch import LogWatch

ICON: Final = Path(__file__).parents[2] / ".streamlit" / "icon.png"
PAGES: Final = (
    ("pages/live_run.py", "Live run", ":material/monitoring:"),
    ("pages/run_comparison.py", "Run comparison", ":material/stacked_line_chart:"),
    ("pages/report.py", "Report", ":material/description:"),
)
NEWEST: Final = "newest run"
AUTOMATIC: Final = "chosen automatically"
EVERY_GROUP: Final = "every group"
AXES: Final[dict[Axis, str]] = {
    "automatic": "Epoch where steps are epochs, else step",
    "step": "Step",
    "epoch": "Epoch",
    "relative": "Time since the start",
    "wall": "Time of day",
}
# Digits of equal width: figures do not jump when they change. The cards of charts are as high as their row, although
# each lies in a part of the page that is drawn by itself. What stands below a figure is never cut off.
STYLE: Final = """<style>
.stApp { font-variant-numeric: tabular-nums; }
.st-key-run-charts > [data-testid=stGridCell] { align-self: stretch; }
.st-key-run-charts [data-testid=stLayoutWrapper]:has([class*="st-key-chart-"]),
.st-key-run-charts [data-testid=stVerticalBlock]:has([class*="st-key-chart-"]),
.st-key-run-charts [class*="st-key-chart-"] { flex: 1; }
[class*="st-key-chart-"] { position: relative; }
[class*="st-key-chart-"] > [class*="st-key-save"] {
    position: absolute; top: 0.4rem; right: 0.5rem; z-index: 1; width: auto;
}
[data-testid=stMetric] div:has(> [data-testid=stMetricDeltaDescription]) { flex-wrap: wrap; row-gap: 0; }
[data-testid=stMetricDeltaDescription], [data-testid=stMetricDeltaDescription] * {
    white-space: normal !important; overflow: visible !important;
}
</style>"""
MIN_REFRESH_SECONDS = 1
MAX_REFRESH_SECONDS = 60
CURVE_SECONDS = 5.0  # least time between two drawings of the curves; the figures follow at every refresh
MACHINE_SECONDS = 10.0  # the same while the run is silent: only the load of the machine moves
PRESELECTED_RUNS = 5
MAX_COMPARED_RUNS = 100
COMPARED: Final = "runs"
FINDING_KEY: Final = "finding"
DEMO_DIRECTORY: Final = "monitor-demo"
JUDGING_SECONDS = 2.0  # of a comparison, before what is there already is drawn
LISTING_SECONDS = 0.5  # of the runs that are not compared, likewise
FURTHER_LISTING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """Which series of a run the reader wants to see.

    Args:
        tags: In the order to draw them.
        together: True to draw those of a page in one chart.
        note: What is to be said about the search; "" for nothing.
    """

    tags: tuple[str, ...]
    together: bool
    note: str


@dataclass(frozen=True, slots=True)
class LiveView:
    """What the live page shows.

    Args:
        run: Name of the run; None to follow the newest one.
        refresh_seconds: Time between two looks; None while paused.
        status: The run as the whole page was drawn from it.
        read_at: When that was handed out, seconds UTC.
        is_busy: True where nearly every look finds something new: then the figures are drawn at each of them, and
            the curves at their own pace. Else a look sends a few lines, and something new draws the whole page.
    """

    run: str | None
    refresh_seconds: float | None
    status: RunStatus
    read_at: float
    is_busy: bool


@dataclass(frozen=True, slots=True)
class Places:
    """Where the moving parts of the live page stand, from top to bottom."""

    figures: DeltaGenerator
    findings: DeltaGenerator
    curves: DeltaGenerator
    machine: DeltaGenerator
    history: DeltaGenerator
    tables: DeltaGenerator


# --- the frame -----------------------------------------------------------------------------------------------------


def open_page(title: str) -> None:
    """Begin a page: its title in the browser and the links to the other pages."""
    st.set_page_config(page_title=f"{title} · Training monitor", page_icon=str(ICON), layout="wide")
    st.html(STYLE)
    with st.container(horizontal=True, gap="small", key="pages"):
        for path, label, icon in PAGES:
            st.page_link(path, label=label, icon=icon, disabled=label == title)


@contextmanager
def reporting_errors(*, again: bool = False) -> Iterator[None]:
    """Show an error that a person can do something about, and go on with what comes after the block.

    Args:
        again: True where another block of the page asks for the same and has shown the error already.
    """
    try:
        yield
    except MonitorError as error:
        if again:
            return
        st.error(f"{prose(error.message)}\n\n{prose(error.hint)}", icon=":material/error:")


def time_zone() -> tzinfo:
    """Return the reader's time zone as the browser tells it, UTC where it does not."""
    name = st.context.timezone
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):  # the browser may send anything
        return UTC


# --- what is watched -----------------------------------------------------------------------------------------------


def open_watch() -> LogWatch:
    """Return the shared reader of the directories the page was started with.

    Raises:
        LogDirectoryNotFound: A directory named does not exist.
        NotReadable: A directory named may not be listed.
        SettingInvalid: The settings file is wrong.
        UsageInvalid: An option after ``--`` lacks its value.
    """
    options = _options(sys.argv[1:])
    directories = () if options.run_dir and not options.logdir else log_directories(options.logdir)
    return cache.log_watch(directories, options.run_dir, options.settings)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    # Whatever else stands in the command line belongs to the server; the page never exits over it.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--logdir", action="append", default=[])
    parser.add_argument("--run-dir", type=lambda text: Path(text).expanduser())
    parser.add_argument("--settings", type=lambda text: Path(text).expanduser())
    try:
        options, _ = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise UsageInvalid(
            f"The page was started with an option that lacks its value: {error.argument_name}.",
            hint="Start it as: streamlit run streamlit_app.py -- --logdir DIR",
        ) from error
    return options


def find_runs(watch: LogWatch) -> RunList:
    """Return the runs that are there, newest first; nothing of their events is read."""
    return watch.find_runs(time.time())


def read_status(watch: LogWatch, run: str | None) -> RunStatus:
    """Return the status of a run with the roles the reader has chosen; without a name of the newest run.

    Raises:
        RunNotFound: There is no run of that name, or none at all any more.
        NotReadable: Its directory may not be read.
    """
    runs = find_runs(watch).runs
    if run is None and not runs:
        raise RunNotFound(
            "The run that was shown is gone and no other lies below the log directory.",
            hint="Start a training, or reload the page once there is a run.",
        )
    return cache.run_status(watch, runs[0].name if run is None else run, tuple(sorted(_chosen_roles().items())))


def read_all(watch: LogWatch, names: Sequence[str]) -> list[RunStatus]:
    """Return the statuses of some runs and say which is being read; one that has gone is named and left out."""
    statuses = []
    for number, name in enumerate(names, 1):
        # The spinner shows itself only where the reading takes a moment.
        with reporting_errors(), st.spinner(f"Reading run {number} of {len(names)}: {code_span(name)}"):
            statuses.append(watch.status(name, time.time()))
    return statuses


def read_to_compare(watch: LogWatch, names: Sequence[str]) -> list[RunStatus]:
    """Return the statuses of some runs as `read_all` does, but judge new ones for a moment only.

    The health of those left over is open, and `judge_the_rest` sees to it once the comparison stands.
    """
    statuses = []
    until = time.monotonic() + JUDGING_SECONDS
    for number, name in enumerate(names, 1):
        with reporting_errors(), st.spinner(f"Reading run {number} of {len(names)}: {code_span(name)}"):
            statuses.append(watch.status(name, time.time(), begin_judging=time.monotonic() < until))
    return statuses


def judge_the_rest(watch: LogWatch, statuses: Sequence[RunStatus]) -> None:
    """Judge the health of the runs that were not, and draw the page anew where that told something."""
    rest = [status.run.name for status in statuses if not is_judged(status)]
    judged = []
    for number, name in enumerate(rest, 1):
        with reporting_errors(), st.spinner(f"Judging the health of run {number} of {len(rest)}: {code_span(name)}"):
            judged.append(watch.status(name, time.time()))
    if any(map(is_judged, judged)):
        st.rerun()


def read_for_list(watch: LogWatch) -> int:
    """Read for a moment the runs that the list of all runs tells too little of, and return how many are left."""
    _digest(watch, LISTING_SECONDS)
    return sum(len(watch.undigested(time.time(), judged=judged)) for judged in (False, True))


def read_rest_for_list(watch: LogWatch) -> None:
    """Go on reading for the list of all runs, and draw the page anew as more is known of them."""
    if _digest(watch, FURTHER_LISTING_SECONDS):
        st.rerun()


def _digest(watch: LogWatch, seconds: float) -> bool:
    """Read runs for the list, and then judge them, for some seconds; return whether there was one to look at."""
    until = time.monotonic() + seconds
    has_any = False
    for judged in (False, True):
        rest = watch.undigested(time.time(), judged=judged)
        has_any = has_any or bool(rest)
        for number, name in enumerate(rest, 1):
            # It shows itself only where a run is large; with every run a choice of the reader is answered.
            with st.spinner(f"Reading run {number} of {len(rest)} for the list: {code_span(name)}"):
                watch.digest(name, time.time(), judged=judged)
            if time.monotonic() > until:
                return True
    return has_any


def run_styles(watch: LogWatch) -> dict[str, Style]:
    """Return colour and dash of every run, the same on all pages."""
    return cache.style_book(watch.directories).styles([run.name for run in find_runs(watch).runs])


def run_style(watch: LogWatch, status: RunStatus) -> Style:
    """Return the colour of one run, drawn solid: on a page of its own nothing else has its colour."""
    return Style(run_styles(watch).get(status.run.name, charts.palette_style(0)).color)


# --- pickers -------------------------------------------------------------------------------------------------------


def pick_live_view(watch: LogWatch, runs: RunList) -> LiveView:
    """Draw the header of the live page and return what the reader chose, with the run as it is now.

    Raises:
        RunNotFound: The run is gone.
        NotReadable: Its directory may not be read.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="live-header"):
        run = pick_run(runs, follow=True)
        seconds = _pick_refresh(watch)
        paused = st.toggle(
            "Pause", key="pause", bind="query-params", help="Stops the refresh; the page stays as it is."
        )
    status = read_status(watch, run)
    pace = None if paused else seconds
    return LiveView(run, pace, status, time.time(), is_busy(status, pace))


def look_again(watch: LogWatch, view: LiveView) -> RunStatus:
    """Return the run that the page follows as it is now; has what is drawn changed, the whole page is drawn anew.

    Raises:
        RunNotFound: The run is gone.
        NotReadable: Its directory may not be read.
    """
    status = newest_status(watch, view)
    compared = what_is_framed if view.is_busy else what_is_shown
    if compared(status) != compared(view.status) or is_busy(status, view.refresh_seconds) != view.is_busy:
        st.rerun()
    return status


def newest_status(watch: LogWatch, view: LiveView) -> RunStatus:
    """Return the run that the page follows as it is now, or as it was when the page was drawn a moment ago.

    Raises:
        RunNotFound: The run is gone.
        NotReadable: Its directory may not be read.
    """
    if view.refresh_seconds is None or time.time() - view.read_at < view.refresh_seconds / 2:
        return view.status
    return read_status(watch, view.run)


def curve_pace(view: LiveView) -> float | None:
    """Return the seconds between two drawings of the curves; None while paused."""
    if view.refresh_seconds is None:
        return None
    return max(view.refresh_seconds, CURVE_SECONDS if view.is_busy else MACHINE_SECONDS)


def lay_out_run() -> tuple[Places, ChartView]:
    """Draw the controls of the curves between the places of the moving parts, and return both."""
    figures, findings = st.container(), st.container()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="chart-controls"):
        view = pick_chart_view()
    curves, machine, history, tables = (st.container() for _ in range(4))
    return Places(figures, findings, curves, machine, history, tables), view


def pick_run(runs: RunList, *, follow: bool = False) -> str | None:
    """Draw the run picker, newest first.

    Args:
        runs: What was found.
        follow: True to offer following the newest run, and to do so until the reader picks one.

    Returns:
        The name; None to follow the newest run.
    """
    names = [run.name for run in runs.runs]
    _say_unknown("run", [NEWEST, *names])
    options = [NEWEST, *names] if follow else names
    chosen = st.selectbox(
        "Run",
        options,
        key="run",
        bind="query-params",
        persist_state="session",
        width=460,
        help="Newest first. Type to search. The newest run is followed until another one is picked.",
    )
    return None if chosen == NEWEST else chosen


def _say_unknown(key: str, known: Sequence[str], instead: str = "the newest run is shown instead") -> None:
    # The widget falls back to its default without a word; the reader of a shared link has to know.
    for asked in st.query_params.get_all(key):
        if asked and asked not in known:
            st.warning(
                f"There is no run {code_span(asked)} below the log directory; {instead}.",
                icon=":material/search_off:",
            )


def _pick_refresh(watch: LogWatch) -> float:
    usual = round(watch.settings.refresh.interval_seconds)
    return st.number_input(
        "Refresh every (s)",
        min_value=MIN_REFRESH_SECONDS,
        max_value=MAX_REFRESH_SECONDS,
        value=min(max(usual, MIN_REFRESH_SECONDS), MAX_REFRESH_SECONDS),
        step=1,
        key="refresh",
        bind="query-params",
        persist_state="session",
        width=150,
        help="Seconds between two looks at the files.",
    )


def pick_chart_view() -> ChartView:
    """Draw the controls of the curves, one below the other or side by side, and return what the reader chose."""
    smoothing = st.slider(
        "Smoothing",
        0.0,
        0.99,
        0.6,
        0.01,
        key="smoothing",
        bind="query-params",
        persist_state="session",
        width=220,
        help="Weight of the exponential mean, corrected for its start as in TensorBoard. 0 shows the values as logged.",
    )
    axis = st.selectbox(
        "Horizontal axis",
        list(AXES),
        format_func=lambda name: AXES[name],
        key="axis",
        bind="query-params",
        persist_state="session",
        width=300,
        help="On a chart, Ctrl and the wheel zoom, dragging moves, and a double click shows everything again.",
    )
    log_y = _pick_switch("Log values", "log", "A logarithmic vertical axis. Values at or below 0 have no place on it.")
    log_x = _pick_switch("Log axis", "logx", "A logarithmic horizontal axis; without effect on the time of day.")
    clip = _pick_switch(
        "Cut outliers",
        "clip",
        "The vertical axis ends where almost all values do. The caption says how many points lie beyond.",
    )
    return ChartView(axis, smoothing, log_y, time_zone(), log_x, clip)


def _pick_switch(label: str, key: str, help_text: str) -> bool:
    return st.toggle(label, key=key, bind="query-params", persist_state="session", help=help_text)


def zoom_of(key: str) -> tuple[float, float] | None:
    """Return the limits that the reader has zoomed a chart to, None when it shows everything."""
    limits = st.session_state.get(key, {}).get("selection", {}).get("zoom", {}).get("x", ())
    if len(limits) != 2 or not all(isinstance(limit, int | float) for limit in limits):
        return None
    return float(min(limits)), float(max(limits))


def show_finding(finding: str | None) -> None:
    """Remember which finding is shown on a chart, None for none; for the callback of a button.

    The address alone would not do: a refresh that the browser sent a moment before still carries the old one.
    """
    st.session_state[FINDING_KEY] = finding
    if finding is None:
        st.query_params.pop(FINDING_KEY, None)
    else:
        st.query_params[FINDING_KEY] = finding


def shown_finding() -> str | None:
    """Return the id of the finding to show on a chart, at first the one of the address; None for none."""
    chosen: str | None = st.session_state.get(FINDING_KEY, st.query_params.get(FINDING_KEY))
    return chosen


def is_dark() -> bool:
    """Return whether the reader's page is dark."""
    return bool(st.context.theme.type == "dark")


def pick_runs(runs: RunList) -> list[str]:
    """Draw the picker of the runs to compare, the newest few chosen at first; returns names, newest first.

    The first choice is put into the address too: the newest runs of tomorrow are others.
    """
    if COMPARED not in st.session_state and COMPARED not in st.query_params:
        newest = [run.name for run in runs.runs[:PRESELECTED_RUNS]]
        st.session_state[COMPARED] = st.query_params[COMPARED] = newest
    return _pick_several(runs, COMPARED, 0, "it is left out")


def pick_report_runs(runs: RunList) -> list[str]:
    """Draw the picker of the runs to report on, the newest chosen at first; returns names, newest first."""
    return _pick_several(runs, "report", 1, "the newest run is shown instead")


def _pick_several(runs: RunList, key: str, preselected: int, instead: str) -> list[str]:
    names = [run.name for run in runs.runs]
    _say_unknown(key, names, instead)
    chosen = st.multiselect(
        "Runs",
        names,
        default=names[:preselected] or None,
        max_selections=MAX_COMPARED_RUNS,
        select_all=False,
        key=key,
        bind="query-params",
        persist_state="session",
        placeholder="Choose runs",
        help="Newest first. Type to search.",
    )
    return [name for name in names if name in set(chosen)]


def pick_filter() -> str:
    """Draw the search in the list of all runs and return what is searched for."""
    return st.text_input(
        "Search",
        key="filter",
        bind="query-params",
        placeholder="text or regular expression",
        width=320,
        help="Runs whose names contain the text, whatever its case, or match it as a regular expression.",
    )


def mark_rows(key: str, names: Sequence[str], chosen: Sequence[str]) -> None:
    """Have a table of runs show which of them are chosen, wherever they were chosen.

    Args:
        key: Of the table, which is drawn afterwards.
        names: The run of each row.
        chosen: Names of the runs chosen.
    """
    wanted = [row for row, name in enumerate(names) if name in set(chosen)]
    if sorted(_marked_rows(key)) != wanted:
        st.session_state[key] = {"selection": {"rows": wanted, "columns": [], "cells": []}}


def take_rows(key: str, names: Sequence[str]) -> None:
    """Choose the runs whose rows are marked; what the table does not list stays chosen. For the callback of a table."""
    listed = set(names)
    kept = [name for name in st.session_state.get(COMPARED, []) if name not in listed]
    marked = [names[row] for row in sorted(_marked_rows(key)) if row < len(names)]
    st.session_state[COMPARED] = [*kept, *marked][:MAX_COMPARED_RUNS]


def _marked_rows(key: str) -> list[int]:
    rows: list[int] = st.session_state.get(key, {}).get("selection", {}).get("rows", [])
    return rows


def pick_series(tags: Sequence[str]) -> SeriesChoice:
    """Draw the search over all series and the choice of several; returns which of them to draw."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="series-search"):
        wanted = st.text_input(
            "Search",
            key="find",
            bind="query-params",
            placeholder="text or regular expression",
            width=260,
            help="Series whose names contain the text, whatever its case, or match it as a regular expression.",
        )
        group = st.selectbox(
            "Group",
            [EVERY_GROUP, *groups_of(tags)],
            key="group",
            bind="query-params",
            width=220,
            help="Series whose names begin with the same word before the first slash.",
        )
        chosen = st.multiselect(
            "Only these",
            tags,
            key="tags",
            bind="query-params",
            placeholder="Choose series",
            select_all=False,
            width=420,
            help="Type to search. While some are chosen, only they are drawn.",
        )
        together = st.toggle(
            "In one chart", key="together", bind="query-params", help="Draws the series of a page on one pair of axes."
        )
    found = find_tags(tags, wanted, None if group == EVERY_GROUP else group)
    return SeriesChoice(tuple(chosen) or found.tags, together, "" if chosen else found.note)


def pick_page(count: int, per_page: int, key: str) -> int:
    """Draw the choice of a page where there is more than one; returns its number from 0."""
    pages = -(-count // per_page)
    return st.pagination(pages, key=key, bind="query-params") - 1 if pages > 1 else 0


def pick_roles(tags: Sequence[str]) -> None:
    """Draw one picker per role; `read_status` uses what is chosen in them."""
    with st.grid(4, min_column_width=200):
        for role in Role:
            st.selectbox(
                role.value.replace("_", " ").capitalize(),
                [AUTOMATIC, *tags],
                key=_role_key(role),
                bind="query-params",
                persist_state="session",
            )


def has_chosen_roles() -> bool:
    """Return whether the address names a series for a role, or the reader has chosen one."""
    return bool(_chosen_roles()) or any(_role_key(role) in st.query_params for role in Role)


def _chosen_roles() -> dict[str, str]:
    chosen = {role.value: st.session_state.get(_role_key(role), AUTOMATIC) for role in Role}
    return {role: tag for role, tag in chosen.items() if tag != AUTOMATIC}


def _role_key(role: Role) -> str:
    return f"role_{role.value}"


# --- the demo ------------------------------------------------------------------------------------------------------


def start_demo(directory: Path) -> None:
    """Start the demo below a log directory: some finished runs, and one that goes on.

    Raises:
        DemoNotStarted: The directory may not be written.
    """
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DemoNotStarted(
            f'The demo cannot write below "{directory}".',
            hint="Start the page with --logdir and a directory that you may write to.",
        )
    target = str(directory / DEMO_DIRECTORY)
    for options in ((), ("--live",)):
        # They outlive the click: the live one trains on while the page shows it.
        subprocess.Popen(
            [sys.executable, "-m", "monitor", "demo", target, *options],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
