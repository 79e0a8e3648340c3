"""The blocks that two or more pages draw: no runs yet, and what could not be read."""

import time
from collections.abc import Sequence

import streamlit as st

from monitor.markdown import prose
from monitor.schema import ReadProblem
from monitor.text import code_span, format_step, format_time, plain
from monitor.ui import frame
from monitor.watch import LogWatch

LOOK_FOR_RUNS_SECONDS = 3.0
MOST_PROBLEMS = 50


def draw_no_runs(watch: LogWatch) -> None:
    """Say which directories were searched, wait for the first run, and offer the demo."""
    st.subheader("No runs yet")
    st.write("No TensorBoard event file was found below this directory. The page goes on looking.")
    st.code("\n".join(plain(str(directory)) for directory in watch.directories), language=None)
    st.write("Start a training that writes event files there, or start the page with another directory:")
    st.code("streamlit run streamlit_app.py -- --logdir DIR", language=None)
    st.write("To look around first, let it make small demo runs: some finished ones, and one that trains on.")
    if st.button("Make demo runs", type="primary", icon=":material/science:", key="demo"):
        with frame.reporting_errors():
            frame.start_demo(watch.directories[0])
            st.info("The demo is being written; its runs appear here in some seconds.", icon=":material/hourglass_top:")
    st.fragment(_wait_for_runs, run_every=LOOK_FOR_RUNS_SECONDS)(watch)


def _wait_for_runs(watch: LogWatch) -> None:
    with frame.reporting_errors():
        found = watch.find_runs(time.time())
        draw_problems(found.problems)
        if found.runs:
            st.rerun()
        st.caption(f"Looked at {format_time(time.time(), frame.time_zone())}.")


def draw_problems(problems: Sequence[ReadProblem]) -> None:
    """List what could not be read, with the place and what to do; nothing without problems."""
    if not problems:
        return
    count = len(problems)
    title = "One file could not be read in full" if count == 1 else f"{count} places could not be read in full"
    with st.expander(title, icon=":material/report:", key="problems"):
        for problem in problems[:MOST_PROBLEMS]:
            place = "" if problem.offset is None else f" at byte {format_step(problem.offset)}"
            st.markdown(f"{code_span(problem.path)}{place}: {prose(problem.detail)}")
        if count > MOST_PROBLEMS:
            st.caption(f"And {format_step(count - MOST_PROBLEMS)} more.")
