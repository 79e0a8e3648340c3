"""The pickers of the comparison page: which runs, how they are compared, and how their curves are laid over each other.

Everything chosen here stands in the address, so that a link opens exactly this view.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st

from monitor.analysis.budget import Budget
from monitor.analysis.configurations import merged
from monitor.analysis.group_curves import Band, Centre
from monitor.analysis.groups import find_groups
from monitor.analysis.roles import direction_of
from monitor.analysis.run_figures import By
from monitor.comparison import RunComparison, usual_tag
from monitor.comparison_charts import BY_GROUP, BY_RUN, CENTRE_WORDS, OverlayView, Show, color_keys
from monitor.schema import ConfigValue, Direction
from monitor.status import RunStatus
from monitor.text import plain
from monitor.ui import frame

BEST_GROUP: Final = "the best"
MOST_CHARTS = 6  # besides the overlay
BY_WORDS: Final[Mapping[By, str]] = {
    "best": "best",
    "last": "last",
    "final": "mean of the last 5 %",
    "step": "at a step",
}
BUDGET_WORDS: Final[Mapping[Budget, str]] = {"all": "all there is", "steps": "the same steps", "time": "the same time"}
DIRECTION_WORDS: Final[Mapping[str, Direction | None]] = {
    frame.AUTOMATIC: None,
    "smaller is better": "min",
    "larger is better": "max",
}
SHOW_WORDS: Final[Mapping[Show, str]] = {"groups": "groups", "runs": "every run"}
BAND_NAMES: Final[Mapping[Band, str]] = {
    "std": "standard deviation",
    "range": "smallest to largest",
    "bootstrap": "95 % bootstrap interval",
}
HParams = Mapping[str, Mapping[str, ConfigValue]]


@dataclass(frozen=True, slots=True)
class Question:
    """What the reader asks of the chosen runs.

    Args:
        tag: The series to compare.
        by: Which value of a run counts.
        step: The step, where the value at a step does.
        chosen_by: The series that decides where the value is read; None for the usual one.
        direction: Which way is better; None to go by the roles and the name.
        group_pattern: Finds the name of a group in that of a run; None to group by configuration and seed.
        baseline: Group or run to compare with; None for the best.
        budget: Where the runs are cut before they are compared.
    """

    tag: str
    by: By = "best"
    step: int | None = None
    chosen_by: str | None = None
    direction: Direction | None = None
    group_pattern: str | None = None
    baseline: str | None = None
    budget: Budget = "all"


# --- what is asked -------------------------------------------------------------------------------------------------


def pick_question(statuses: Sequence[RunStatus], tags: Sequence[str], hparams: HParams) -> Question:
    """Draw the controls of the comparison and return what the reader asks.

    Raises:
        UsageInvalid: The pattern of the groups cannot be used.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="question"):
        tag = _pick_tag(tags, usual_tag(statuses) or tags[0])
        by = _pick_by()
        step = _pick_step(statuses, tag) if by == "step" else None
        budget = _pick_budget()
        more = st.popover("Groups and direction", icon=":material/tune:", key="how")
    with more:
        pattern = _pick_pattern()
        baseline = _pick_baseline(statuses, hparams, pattern)
        direction = _pick_direction()
        chosen_by = _pick_chosen_by(tags, tag) if by == "best" else None
    return Question(tag, by, step, chosen_by, direction, pattern, baseline, budget)


def _pick_tag(tags: Sequence[str], usual: str) -> str:
    return st.selectbox(
        "Metric",
        tags,
        index=tags.index(usual),
        key="tag",
        bind="query-params",
        width=320,
        help="The series of the chosen runs; those that most of them have come first.",
    )


def _pick_by() -> By:
    return st.selectbox(
        "Rank by",
        list(BY_WORDS),
        format_func=lambda by: BY_WORDS[by],
        key="by",
        bind="query-params",
        width=190,
        help="Which value of a run counts. The best of a series on test data is read where validation is best, if all "
        "runs have such a series.",
    )


def _pick_step(statuses: Sequence[RunStatus], tag: str) -> int:
    ends = [int(points.step.max()) for status in statuses if len(points := status.scalars.points(tag))]
    return st.number_input(
        "Step",
        value=min(ends, default=0),
        step=1,
        key="at",
        bind="query-params",
        width=150,
        help="The last value at or before it, of runs that have reached it. At first the last step that all have.",
    )


def _pick_budget() -> Budget:
    return st.selectbox(
        "Budget",
        list(BUDGET_WORDS),
        format_func=lambda budget: BUDGET_WORDS[budget],
        key="budget",
        bind="query-params",
        width=170,
        help="Cuts all runs where the shortest ends, in steps or in time since its start, before anything is compared.",
    )


def _pick_pattern() -> str | None:
    pattern = st.text_input(
        "Group by a pattern",
        key="groups",
        bind="query-params",
        placeholder=r"(.*)_seed\d+",
        help="A regular expression with one pair of parentheses that finds the name of a group in that of a run. Left "
        "empty, runs that differ only by their seed belong together.",
    )
    return pattern or None


def _pick_baseline(statuses: Sequence[RunStatus], hparams: HParams, pattern: str | None) -> str | None:
    runs = [status.run.name for status in statuses]
    configurations = {
        status.run.name: merged(status.configuration, hparams.get(status.run.name, {})) for status in statuses
    }
    groups = [group.name for group in find_groups(runs, configurations, pattern) if len(group.runs) > 1]
    chosen = st.selectbox(
        "Baseline",
        [BEST_GROUP, *dict.fromkeys([*groups, *runs])],
        key="baseline",
        bind="query-params",
        help="The group or run that the others are compared with. Chosen by yourself, only comparisons with it count "
        "against chance; left to the best, every pair does.",
    )
    return None if chosen == BEST_GROUP else chosen


def _pick_direction() -> Direction | None:
    chosen = st.selectbox(
        "Which way is better",
        list(DIRECTION_WORDS),
        key="better",
        bind="query-params",
        help="Goes by what the series means and by its name, unless you say otherwise.",
    )
    return DIRECTION_WORDS[chosen]


def _pick_chosen_by(tags: Sequence[str], tag: str) -> str | None:
    others = [other for other in tags if other != tag and direction_of(other) is not None]
    chosen = st.selectbox(
        "Read where this is best",
        [frame.AUTOMATIC, *others],
        key="chosen_by",
        bind="query-params",
        help="For example the test accuracy where the validation accuracy is best, so that nothing is chosen on test.",
    )
    return None if chosen == frame.AUTOMATIC else chosen


# --- how it is drawn -----------------------------------------------------------------------------------------------


def pick_overlay(found: RunComparison) -> OverlayView:
    """Draw the controls of the curves, one below the other, and return what the reader chose."""
    show = _pick_show(found.comparison.is_grouped)
    centre, band = _pick_group_line() if show == "groups" else ("mean", "std")
    color_by = _pick_color(found) if show == "runs" else BY_RUN
    together = show == "runs" and st.toggle(
        "Training and validation",
        key="together",
        bind="query-params",
        help="Draws the training loss solid and the validation loss dashed, where the metric is one of them.",
    )
    return OverlayView(frame.pick_chart_view(), show, centre, band, color_by, together)


def _pick_show(is_grouped: bool) -> Show:
    if not is_grouped:
        return "runs"
    return st.selectbox(
        "Lines",
        list(SHOW_WORDS),
        format_func=lambda show: SHOW_WORDS[show],
        key="show",
        bind="query-params",
        width=220,
        help="Every run by itself, or one line with its band for each group of runs that repeat a configuration.",
    )


def _pick_group_line() -> tuple[Centre, Band]:
    centre = st.selectbox(
        "Line of a group",
        list(CENTRE_WORDS),
        format_func=lambda centre: CENTRE_WORDS[centre],
        key="centre",
        bind="query-params",
        width=220,
    )
    band = st.selectbox(
        "Band of a group",
        list(BAND_NAMES),
        format_func=lambda band: BAND_NAMES[band],
        key="band",
        bind="query-params",
        width=220,
        help="Over the runs of the group, at every step that all of them have reached.",
    )
    return centre, band


def _pick_color(found: RunComparison) -> str:
    return st.selectbox(
        "Colour by",
        [BY_RUN, BY_GROUP, *color_keys(found)],
        format_func=plain,
        key="color",
        bind="query-params",
        width=260,
        help="By run, every run has the same colour on all pages. By a key of the configuration, numbers go from blue "
        "over grey to orange.",
    )


def pick_more_tags(tags: Sequence[str], tag: str) -> list[str]:
    """Draw the choice of further series to lay over each other, and return them."""
    return st.multiselect(
        "More series",
        [other for other in tags if other != tag],
        key="also",
        bind="query-params",
        max_selections=MOST_CHARTS,
        select_all=False,
        placeholder="Choose series to draw in a grid",
        width=520,
        help="Drawn below, each over all chosen runs.",
    )


def pick_key(keys: Sequence[str]) -> str:
    """Draw the choice of the key to hold against the result."""
    return st.selectbox(
        "Key", keys, format_func=plain, key="against", bind="query-params", width=320, help="The horizontal axis."
    )
