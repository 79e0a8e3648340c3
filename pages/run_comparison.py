"""Which of several runs is better: one series over each other, results with a verdict, and what differs."""

import streamlit as st

from monitor.ui import frame, panels
from monitor.watch import LogWatch


def draw_comparison(watch: LogWatch, names: list[str]) -> None:
    """Draw the comparison of the chosen runs."""
    statuses = frame.read_all(watch, names)
    tags = panels.shared_tags(statuses)
    if not tags:
        st.info("The chosen runs hold no scalar yet. Choose other runs, or wait.", icon=":material/hourglass_empty:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        tag = frame.pick_tag(tags, panels.usual_tag(statuses, tags))
        by = frame.pick_by()
        with st.popover("Charts", icon=":material/tune:"):
            view = frame.pick_chart_view()
    statuses = panels.draw_lacking(statuses, tag)
    panels.draw_overlay(statuses, tag, view, frame.run_styles(watch))
    panels.draw_comparison(panels.compare(statuses, tag, by))
    panels.draw_differences(statuses)
    panels.draw_problems([problem for status in statuses for problem in status.problems])


frame.open_page("Run comparison")
with frame.reporting_errors():
    watch = frame.open_watch()
    runs = frame.find_runs(watch)
    if not runs.runs:
        panels.draw_no_runs(watch)
    elif names := frame.pick_runs(runs):
        draw_comparison(watch, names)
    else:
        st.info("Choose one or more runs above.", icon=":material/arrow_upward:")
