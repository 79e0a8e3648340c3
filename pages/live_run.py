"""How one training is going right now: state, progress, health with its evidence, and its curves."""

import streamlit as st

from monitor.run_charts import ChartView
from monitor.ui import chart_panels, frame, live, panels, resource_panels
from monitor.ui.frame import LiveView, Places
from monitor.watch import LogWatch


def follow(watch: LogWatch, view: LiveView, places: Places) -> None:
    """Draw what moves by itself, and the figures of a run that moves as often; called at every refresh."""
    with frame.reporting_errors():
        status = frame.look_again(watch, view)
        live.draw_state(status, view)
        live.draw_progress(status)
        with places.machine:
            resource_panels.draw_resources(status.sample)
        if view.is_busy:
            with places.figures:
                live.draw_cards(status)


def draw_curves(watch: LogWatch, view: LiveView, curves: ChartView, places: Places) -> None:
    """Draw findings, curves and tables; called again at a slower pace."""
    with frame.reporting_errors(again=True):
        status = frame.newest_status(watch, view)
        with places.findings:
            live.draw_findings(status)
        chart_panels.draw_shown_finding(watch, status, curves)
        chart_panels.draw_run_charts(watch, status, curves)
        with places.history:
            resource_panels.draw_history(watch, curves)
        with places.tables:
            live.draw_tables(status)


def draw_run(watch: LogWatch, view: LiveView) -> None:
    """Draw the page of a run: the answer first, the evidence under it, everything else below."""
    now, alarms = st.container(), st.container()
    places, curves = frame.lay_out_run()
    with now:
        st.fragment(follow, run_every=view.refresh_seconds)(watch, view, places)
    with alarms:
        live.draw_alarms(view.status.problems)
    if not view.is_busy:
        with places.figures:
            live.draw_cards(view.status)
    with places.curves:
        st.fragment(draw_curves, run_every=frame.curve_pace(view))(watch, view, curves, places)
    st.fragment(chart_panels.draw_all_series)(watch, view.status, curves)
    st.fragment(live.draw_texts)(watch, view.status)
    live.draw_roles_and_configuration(view.status)
    panels.draw_problems(view.status.problems)


frame.open_page("Live run")
with frame.reporting_errors():
    watch = frame.open_watch()
    runs = frame.find_runs(watch)
    if runs.runs:
        draw_run(watch, frame.pick_live_view(watch, runs))
    else:
        panels.draw_no_runs(watch)
