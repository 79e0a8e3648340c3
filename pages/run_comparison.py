"""Which of several runs is better, and is it noise: verdict, results, curves, and what differs."""

import streamlit as st

from monitor.schema import RunList
from monitor.ui import comparison, comparison_pickers, frame, panels, relations, run_list, take_away
from monitor.watch import LogWatch


def draw_comparison(watch: LogWatch, runs: RunList, names: list[str]) -> bool:
    """Draw the list of all runs and, under it, the comparison of the chosen ones; return whether the list is open."""
    listed = st.container()
    statuses = frame.read_to_compare(watch, names)
    tags = comparison.shared_tags(statuses)
    if not tags:
        with listed:
            is_listed = run_list.draw_list(watch, runs, names)
        st.info("The chosen runs hold no scalar yet. Choose other runs, or wait.", icon=":material/hourglass_empty:")
        return is_listed
    hparams = comparison.read_hparams(watch, statuses)
    question = comparison_pickers.pick_question(statuses, tags, hparams)
    given = comparison.answer(statuses, question, hparams)
    with listed:
        is_listed = run_list.draw_list(watch, runs, names, question.tag, given.found, question.group_pattern)
    comparison.draw_verdict(given)
    comparison.draw_results(given)
    take_away.draw_take_away(given, statuses)
    with st.popover("Curves", icon=":material/tune:", key="curves"):
        view = comparison_pickers.pick_overlay(given.found)
    comparison.draw_curves(watch, given, view, tags)
    comparison.draw_differences(given.found)
    relations.draw_relations(given.found)
    panels.draw_problems([problem for status in statuses for problem in status.problems])
    frame.judge_the_rest(watch, statuses)
    return is_listed


def draw_choice(watch: LogWatch, runs: RunList) -> bool:
    """Draw the list of all runs and ask for a choice; return whether the list is open."""
    is_listed = run_list.draw_list(watch, runs, ())
    st.info("Choose one or more runs above.", icon=":material/arrow_upward:")
    return is_listed


frame.open_page("Run comparison")
with frame.reporting_errors():
    watch = frame.open_watch()
    runs = frame.find_runs(watch)
    if not runs.runs:
        panels.draw_no_runs(watch)
    else:
        names = frame.pick_runs(runs)
        if draw_comparison(watch, runs, names) if names else draw_choice(watch, runs):
            frame.read_rest_for_list(watch)
