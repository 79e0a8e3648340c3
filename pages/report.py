"""What to tell the others: a report of one run or of several, to read here and to download."""

import streamlit as st

from monitor.ui import frame, panels, report_panels
from monitor.watch import LogWatch


def draw_report(watch: LogWatch, names: list[str]) -> None:
    """Draw the choices on the left; on the right the report as it will be, with its button."""
    statuses = frame.read_all(watch, names)
    if not statuses:
        return
    left, right = st.columns((1, 3), gap="large")
    with left:
        choices = report_panels.pick_choices(len(statuses))
    with right, frame.reporting_errors():
        file = report_panels.build_report(watch, statuses, choices)
        report_panels.offer_download(file, statuses)
        report_panels.draw_preview(file)


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
