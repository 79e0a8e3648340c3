"""The blocks of the comparison page: verdict, results, curves over each other, and what differs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from monitor.charts import Style
from monitor.comparison import RunComparison, compare_statuses
from monitor.comparison_charts import (
    GRID_HEIGHT,
    OVERLAY_HEIGHT,
    OverlayView,
    at_equal_budget,
    overlay_chart,
    what_is_compared,
)
from monitor.comparison_tables import configuration_table, diverged_note, group_results, run_results, seed_table
from monitor.markdown import prose
from monitor.status import RunStatus
from monitor.text import code_span, format_step, plain
from monitor.ui import cache, chart_panels, frame, tables
from monitor.ui.comparison_pickers import HParams, Question, pick_more_tags
from monitor.watch import LogWatch

BETTER_WORDS: Mapping[str | None, str] = {
    "min": "smaller is better",
    "max": "larger is better",
    None: "neither direction is better",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question about some runs gave.

    Args:
        question: What was asked.
        found: The comparison; its runs are cut where the budget says so.
        note: Where they were cut; "" for nowhere.
        made_of: What it depends on, in words.
    """

    question: Question
    found: RunComparison
    note: str
    made_of: str


def shared_tags(statuses: Sequence[RunStatus]) -> list[str]:
    """Return the tags of some runs: those that most runs have first, then by name."""
    runs_with = Counter(tag for status in statuses for tag in status.scalars.series)
    return sorted(runs_with, key=lambda tag: (-runs_with[tag], tag))


def read_hparams(watch: LogWatch, statuses: Sequence[RunStatus]) -> HParams:
    """Return the hyper-parameters logged in the events of some runs."""
    return {status.run.name: watch.extras(status.run.name, status.now).hparams for status in statuses}


def answer(statuses: Sequence[RunStatus], question: Question, hparams: HParams) -> Answer:
    """Return the comparison that was asked for, made once for all who ask the same.

    Raises:
        UsageInvalid: The question cannot be answered as asked.
    """
    made_of = repr((what_is_compared(statuses), question))

    def make() -> Answer:
        cut, note = at_equal_budget(statuses, question.tag, question.budget)
        found = compare_statuses(
            cut,
            [question.tag if question.tag in status.scalars.series else None for status in cut],
            question.by,
            step=question.step,
            chosen_by=question.chosen_by,
            group_pattern=question.group_pattern,
            baseline=question.baseline,
            hparams=hparams,
            direction=question.direction,
        )
        return Answer(question, found, note, made_of)

    return cache.compared(made_of, make)


# --- verdict and results -------------------------------------------------------------------------------------------


def draw_verdict(given: Answer) -> None:
    """Draw what can be said, and what was compared and how."""
    comparison = given.found.comparison
    first, *others = comparison.sentences
    lines = [f"**{prose(first)}**", *(f"- {prose(sentence)}" for sentence in others)]
    st.info("\n".join([lines[0], "", *lines[1:]]), icon=":material/balance:")
    st.caption(" ".join(prose(sentence) for sentence in _how(given)))


def _how(given: Answer) -> list[str]:
    comparison = given.found.comparison
    sentences = [f"Compared: {comparison.reading}; {BETTER_WORDS[comparison.direction]}."]
    if comparison.baseline is not None and len(comparison.groups) > 1:
        why = "as you chose" if comparison.baseline_named else "the best by this figure"
        sentences.append(f"Baseline: {plain(comparison.baseline)}, {why}.")
    reasons = dict.fromkeys(row.group.reason for row in comparison.groups if len(row.group.runs) > 1)
    return [*sentences, *([f"Groups: {' '.join(reasons)}"] if reasons else []), *([given.note] if given.note else [])]


def draw_results(given: Answer) -> None:
    """Draw the tables of results: groups where runs share one, and every run."""
    comparison = given.found.comparison
    if comparison.is_grouped:
        tables.draw_table(group_results(comparison), "results", pinned="group")
        with st.expander("Every run", icon=":material/format_list_numbered:", key="every-run"):
            tables.draw_table(run_results(comparison), "run-results", pinned="run")
    else:
        tables.draw_table(run_results(comparison), "results", pinned="run")
    lacking = [status.run.name for status, tag in zip(given.found.statuses, given.found.tags, strict=True) if not tag]
    if lacking:
        st.caption(f"Without this series, and so left out: {', '.join(map(code_span, lacking))}.")
    if note := diverged_note(comparison):
        st.caption(prose(note))


# --- curves --------------------------------------------------------------------------------------------------------


def draw_curves(watch: LogWatch, given: Answer, view: OverlayView, tags: Sequence[str]) -> None:
    """Draw the metric of all runs over each other and, below it, the further series the reader chooses in a grid."""
    own = frame.run_styles(watch)
    _draw_overlay(given, given.question.tag, view, own, "overlay")
    with st.container(key="more-series"):
        more = pick_more_tags(tags, given.question.tag)
    if more:
        with st.grid("auto", min_column_width=chart_panels.CHART_WIDTH, gap="small"):
            for number, tag in enumerate(more):
                _draw_overlay(given, tag, view, own, f"overlay-{number}")


def _draw_overlay(given: Answer, tag: str, view: OverlayView, own: Mapping[str, Style], key: str) -> None:
    height = OVERLAY_HEIGHT if key == "overlay" else GRID_HEIGHT
    names = [status.run.name for status in given.found.statuses]
    looks = [(name, own.get(name)) for name in names]
    (one,) = cache.drawn_charts(
        repr((given.made_of, tag, view, looks, key)),
        view.curves.zone,
        lambda: [overlay_chart(given.found, tag, view, own, key=key, height=height)],
    )
    # Other runs, another axis or other lines are another chart: a zoom does not fit there.
    identity = f"{key} {one.chart.layout.x_kind} {view.show} {given.question.budget} {tag}"
    st.fragment(_draw_one)(one, identity, view, tag)
    if one.chart.layout.picks_out and key == "overlay":
        st.caption("Point at a line to bring it to the front. Click a name to hide its line, and again to show it.")


def _draw_one(one: cache.DrawnChart, identity: str, view: OverlayView, tag: str) -> None:
    chart_panels.draw_chart(one, identity, view.curves, title=code_span(tag), file_name="comparison")


# --- configuration -------------------------------------------------------------------------------------------------


def draw_differences(found: RunComparison) -> None:
    """Draw the keys of the configuration that differ; seeds and what carries no weight below a fold."""
    st.markdown("**What differs in the configuration**")
    difference = found.difference
    if difference.settings:
        tables.draw_table(configuration_table(found, difference.settings), "differences", pinned="key")
    elif any(configuration.values for configuration in found.configurations.values()):
        st.caption("No setting differs.")
    else:
        st.caption("No configuration lies beside the runs, and none is logged in their events.")
    folded = len(difference.seeds) + len(difference.noise)
    if folded:
        title = f"{format_step(folded)} more of no weight: seeds, places, times and names"
        with st.expander(title, icon=":material/unfold_more:", key="noise"):
            tables.draw_table(seed_table(found), "noise-table", pinned="key")
