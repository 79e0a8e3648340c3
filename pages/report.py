"""What to tell the others: a report of one run or of several, to read here and to download."""

import streamlit as st

from monitor.ui import frame, panels
from monitor.watch import LogWatch


def draw_report(watch: LogWatch, names: list[str]) -> None:
    """Draw the download button and, under it, the report as it will be."""
    statuses = frame.read_all(watch, names)
    if not statuses:
        return
    text = panels.build_report(watch, statuses)
    frame.offer_download(text, names)
    panels.draw_preview(text)


frame.open_page("Report")
with frame.reporting_errors():
    watch = frame.open_watch()
    runs = frame.find_runs(watch)
    if not runs.runs:
        panels.draw_no_runs(watch)
    elif names := frame.pick_report_runs(runs):
        draw_report(watch, names)
    else:
        st.info("Choose the run to report on above.", icon=":material/arrow_upward:")
