"""How one training is going right now: state, progress, health with its evidence, and its curves."""

import streamlit as st

from monitor.ui import frame, panels
from monitor.ui.frame import LiveView
from monitor.watch import LogWatch


def draw_figures(watch: LogWatch, view: LiveView) -> None:
    """Draw state, progress, figures and findings; called again at every refresh."""
    with frame.reporting_errors():
        status = frame.read_status(watch, view.run)
        frame.redraw_when_changed(view, status)
        panels.draw_state(status, view)
        panels.draw_alarms(status.problems)
        panels.draw_progress(status)
        panels.draw_cards(status)
        panels.draw_findings(status)


def draw_curves(watch: LogWatch, view: LiveView) -> None:
    """Draw the charts, the tables beside them and the chosen series; called again at every refresh."""
    with frame.reporting_errors(again=True):
        status = frame.read_status(watch, view.run)
        style = frame.run_style(watch, status)
        panels.draw_run_charts(status, watch.samples(), view.chart, style)
        panels.draw_tables(status)
        panels.draw_all_series(status, view.chart, style)
        panels.draw_problems(status.problems)


frame.open_page("Live run")
with frame.reporting_errors():
    watch = frame.open_watch()
    runs = frame.find_runs(watch)
    if runs.runs:
        view = frame.pick_live_view(watch, runs)
        st.fragment(draw_figures, run_every=view.refresh_seconds)(watch, view)
        st.fragment(draw_curves, run_every=view.refresh_seconds)(watch, view)
        panels.draw_roles_and_configuration(frame.read_status(watch, view.run))
    else:
        panels.draw_no_runs(watch)
