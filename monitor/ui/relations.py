"""What goes with the result on the comparison page: in words, as a scatter of one key, as parallel coordinates."""

from collections.abc import Sequence

import streamlit as st

from monitor.comparison import RunComparison
from monitor.comparison_relations import parallel_of, scatter_of
from monitor.markdown import prose
from monitor.ui import cache
from monitor.ui.comparison_pickers import pick_key

MOST_TOLD = 8


def draw_relations(found: RunComparison) -> None:
    """Draw, below a fold, which settings go with the result; nothing where no setting differs or nothing is ranked."""
    if not found.difference.settings or found.comparison.direction is None:
        return
    fold = st.expander(
        "Which settings go with the result",
        icon=":material/scatter_plot:",
        key="relations",
        on_change="rerun",
        bind="query-params",
    )
    if fold.open:
        with fold:
            _draw_words(found)
            _draw_scatter(found)
            _draw_parallel(found)


def _draw_words(found: RunComparison) -> None:
    told = [f"- {prose(item.sentence)}" for item in found.associations[:MOST_TOLD]]
    if told:
        st.markdown("\n".join(told))
        st.caption("The strongest first. What goes together need not be cause and effect.")
    else:
        st.caption("It takes three configurations with a result to say what goes with it.")


def _draw_scatter(found: RunComparison) -> None:
    key = pick_key(_keys(found))
    drawn = scatter_of(found, key)
    if drawn is None:
        st.caption("Fewer than two runs have both this key and a finite result.")
        return
    scatter, points = drawn
    with st.container(border=True, key="scatter"):
        st.vega_lite_chart({**cache.relation_spec(scatter), "datasets": {"points": points}}, key=f"scatter of {key}")


def _draw_parallel(found: RunComparison) -> None:
    drawn = parallel_of(found)
    if drawn is None:
        return
    parallel, datasets = drawn
    with st.container(border=True, key="parallel"):
        st.caption(
            "One line per configuration, through its settings to its result at the right; blue over grey to orange, "
            "from the smallest result to the largest."
        )
        st.vega_lite_chart({**cache.relation_spec(parallel), "datasets": datasets}, key="parallel coordinates")


def _keys(found: RunComparison) -> Sequence[str]:
    """Return the keys that differ, those that go with the result most first."""
    strongest = [key for item in found.associations for key in item.keys]
    return list(dict.fromkeys([*strongest, *found.difference.settings]))
