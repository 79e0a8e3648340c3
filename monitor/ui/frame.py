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
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from monitor import charts
from monitor.charts import Style
from monitor.errors import DemoNotStarted, MonitorError, RunNotFound, UsageInvalid
from monitor.report import prose
from monitor.schema import Role, RunList
from monitor.settings import log_directories
from monitor.status import RunStatus
from monitor.text import code_span, file_name
from monitor.ui import cache
from monitor.watch import LogWatch

Axis = Literal["automatic", "step", "epoch", "relative", "wall"]

ICON: Final = Path(__file__).parents[2] / ".streamlit" / "icon.png"
PAGES: Final = (
    ("pages/live_run.py", "Live run", ":material/monitoring:"),
    ("pages/run_comparison.py", "Run comparison", ":material/stacked_line_chart:"),
    ("pages/report.py", "Report", ":material/description:"),
)
NEWEST: Final = "newest run"
AUTOMATIC: Final = "chosen automatically"
AXES: Final[dict[Axis, str]] = {
    "automatic": "Epoch where steps are epochs, else step",
    "step": "Step",
    "epoch": "Epoch",
    "relative": "Time since the start",
    "wall": "Time of day",
}
MIN_REFRESH_SECONDS = 1
MAX_REFRESH_SECONDS = 60
PRESELECTED_RUNS = 5
MAX_COMPARED_RUNS = 32
DEMO_DIRECTORY: Final = "monitor-demo"


@dataclass(frozen=True, slots=True)
class ChartView:
    """How the reader wants to see curves: axis, smoothing weight, logarithmic values, time zone."""

    axis: Axis
    smoothing: float
    log_y: bool
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class LiveView:
    """What the live page shows.

    Args:
        run: Name of the run; None to follow the newest one.
        refresh_seconds: Time between two looks; None while paused.
        chart: How curves are drawn.
        drawn: Name of the run and number of its series when the whole page was drawn.
    """

    run: str | None
    refresh_seconds: float | None
    chart: ChartView
    drawn: tuple[str, int]


# --- the frame -----------------------------------------------------------------------------------------------------


def open_page(title: str) -> None:
    """Begin a page: its title in the browser and the links to the other pages."""
    st.set_page_config(page_title=f"{title} · Training monitor", page_icon=str(ICON), layout="wide")
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
    return watch.status(runs[0].name if run is None else run, time.time(), _chosen_roles())


def read_all(watch: LogWatch, names: Sequence[str]) -> list[RunStatus]:
    """Return the statuses of some runs and say which is being read; one that has gone is named and left out."""
    statuses = []
    for number, name in enumerate(names, 1):
        # The spinner shows itself only where the reading takes a moment.
        with reporting_errors(), st.spinner(f"Reading run {number} of {len(names)}: {code_span(name)}"):
            statuses.append(watch.status(name, time.time()))
    return statuses


def run_styles(watch: LogWatch) -> dict[str, Style]:
    """Return colour and dash of every run, the same on all pages."""
    return cache.style_book(watch.directories).styles([run.name for run in find_runs(watch).runs])


def run_style(watch: LogWatch, status: RunStatus) -> Style:
    """Return the colour of one run, drawn solid: on a page of its own nothing else has its colour."""
    return Style(run_styles(watch).get(status.run.name, charts.palette_style(0)).color)


# --- pickers -------------------------------------------------------------------------------------------------------


def pick_live_view(watch: LogWatch, runs: RunList) -> LiveView:
    """Draw the header of the live page and return what the reader chose.

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
        with st.popover("Charts", icon=":material/tune:"):
            chart = pick_chart_view()
    return LiveView(run, None if paused else seconds, chart, _identity(read_status(watch, run)))


def redraw_when_changed(view: LiveView, status: RunStatus) -> None:
    """Draw the whole page anew once it follows another run, or the run has got series it did not have.

    Refreshes reach the live parts only; the pickers and folds below them belong to the run that was there first.
    """
    if _identity(status) != view.drawn:
        st.rerun()


def _identity(status: RunStatus) -> tuple[str, int]:
    return status.run.name, len(status.scalars.series)


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


def _say_unknown(key: str, known: Sequence[str]) -> None:
    # The widget falls back to its default without a word; the reader of a shared link has to know.
    for asked in st.query_params.get_all(key):
        if asked and asked not in known:
            st.warning(
                f"There is no run {code_span(asked)} below the log directory; the newest run is shown instead.",
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
    """Draw the controls of the curves and return what the reader chose."""
    axis = st.selectbox(
        "Horizontal axis",
        list(AXES),
        format_func=lambda name: AXES[name],
        key="axis",
        bind="query-params",
        persist_state="session",
    )
    smoothing = st.slider(
        "Smoothing",
        0.0,
        0.99,
        0.6,
        0.01,
        key="smoothing",
        bind="query-params",
        persist_state="session",
        help="Weight of the exponential mean, corrected for its start as in TensorBoard. 0 shows the values as logged.",
    )
    log_y = st.toggle("Logarithmic values", key="log", bind="query-params", persist_state="session")
    st.caption("On a chart: Ctrl and the wheel zoom, dragging moves, a double click shows everything again.")
    return ChartView(axis, smoothing, log_y, time_zone())


def zoom_of(key: str) -> tuple[float, float] | None:
    """Return the limits that the reader has zoomed a chart to, None when it shows everything."""
    limits = st.session_state.get(key, {}).get("selection", {}).get("zoom", {}).get("x", ())
    if len(limits) != 2 or not all(isinstance(limit, int | float) for limit in limits):
        return None
    return float(min(limits)), float(max(limits))


def pick_runs(runs: RunList) -> list[str]:
    """Draw the picker of the runs to compare, the newest few chosen at first; returns names, newest first."""
    return _pick_several(runs, "runs", PRESELECTED_RUNS)


def pick_report_runs(runs: RunList) -> list[str]:
    """Draw the picker of the runs to report on, the newest chosen at first; returns names, newest first."""
    return _pick_several(runs, "report", 1)


def _pick_several(runs: RunList, key: str, preselected: int) -> list[str]:
    names = [run.name for run in runs.runs]
    _say_unknown(key, names)
    chosen = st.multiselect(
        "Runs",
        names,
        default=names[:preselected],
        max_selections=MAX_COMPARED_RUNS,
        select_all=False,
        key=key,
        bind="query-params",
        persist_state="session",
        placeholder="Choose runs",
        help="Newest first. Type to search.",
    )
    return [name for name in names if name in set(chosen)]


def pick_tag(tags: Sequence[str], usual: str) -> str:
    """Draw the picker of the metric that runs are compared by."""
    return st.selectbox(
        "Metric",
        tags,
        index=tags.index(usual),
        key="tag",
        bind="query-params",
        help="The series of the chosen runs; those that most of them have come first.",
    )


def pick_by() -> Literal["best", "last"]:
    """Draw the choice between ranking by the best value and by the last one."""
    chosen: Literal["best", "last"] = st.radio(
        "Rank by", ["best", "last"], horizontal=True, key="by", bind="query-params"
    )
    return chosen


def pick_tags(tags: Sequence[str]) -> list[str]:
    """Draw the picker of further series to look at side by side."""
    return st.multiselect(
        "Series to draw",
        tags,
        key="tags",
        bind="query-params",
        placeholder="Choose series",
        max_selections=12,
        select_all=False,
    )


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


def _chosen_roles() -> dict[str, str]:
    chosen = {role.value: st.session_state.get(_role_key(role), AUTOMATIC) for role in Role}
    return {role: tag for role, tag in chosen.items() if tag != AUTOMATIC}


def _role_key(role: Role) -> str:
    return f"role_{role.value}"


def offer_download(report: str, names: Sequence[str]) -> None:
    """Draw the button that saves a report to the reader's own machine."""
    name = file_name(names[0]) if len(names) == 1 else f"comparison-of-{len(names)}-runs"
    st.download_button(
        "Download Markdown",
        data=lambda: report.encode(),
        file_name=f"{name}.md",
        mime="text/markdown",
        on_click="ignore",
        type="primary",
        icon=":material/download:",
        key="download",
    )


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
