"""Which of several runs is better: one series over each other, results with a verdict, and what differs."""

import streamlit as st

from monitor.ui import frame, panels
from monitor.watch import LogWatch


def draw_comparison(watch: LogWatch, names: list[str]) -> None:
    """Draw the comparison of the chosen runs."""
    statuses = frame.read_all(watch, names)
    tags = panels.common_tags(statuses)
    if not tags:
        st.info("The chosen runs have no series in common. Choose other runs.", icon=":material/join_inner:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        tag = frame.pick_tag(tags, panels.usual_tag(statuses, tags))
        by = frame.pick_by()
        with st.popover("Charts", icon=":material/tune:"):
            view = frame.pick_chart_view()
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
