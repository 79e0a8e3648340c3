"""The list of all runs on the comparison page: found, sorted, and chosen by their rows."""

import time
from collections.abc import Mapping, Sequence
from zlib import crc32

import streamlit as st

from monitor.comparison import Arrangement, RunComparison, arrange
from monitor.comparison_tables import Table, diverged_note, run_list
from monitor.markdown import prose
from monitor.schema import RunList
from monitor.status import RunGlance
from monitor.tag_search import find_tags
from monitor.text import format_step
from monitor.ui import cache, frame, tables
from monitor.watch import LogWatch

LIST_HEIGHT = 300


def draw_list(
    watch: LogWatch,
    runs: RunList,
    chosen: Sequence[str],
    tag: str | None = None,
    found: RunComparison | None = None,
    group_pattern: str | None = None,
) -> bool:
    """Draw the list of all runs below a fold, where a click on a row chooses the run, and return whether it is open.

    Args:
        watch: Tells where each run stands.
        runs: All runs, newest first.
        chosen: Names of those chosen.
        tag: The series whose values are told.
        found: The comparison of those chosen; None while nothing is compared.
        group_pattern: Finds the name of a group in that of a run; None to group by configuration and seed.

    Raises:
        UsageInvalid: The pattern cannot be used.
    """
    count = len(runs.runs)
    fold = st.expander(
        "The one run" if count == 1 else f"All {format_step(count)} runs",
        expanded=True,
        icon=":material/table_rows:",
        key="list",
        on_change="rerun",
        bind="query-params",
    )
    if not fold.open:
        return False
    with fold:
        wanted = frame.pick_filter()
        found_names = find_tags([run.name for run in runs.runs], wanted)
        if found_names.note:
            st.caption(found_names.note)
        if not found_names.tags:
            st.caption("No run has such a name.")
            return True
        with st.spinner("Looking at the ends of all runs"):  # shows itself only where it takes a moment
            glances = {glance.run.name: glance for glance in watch.overview(time.time())}
            arranged = _arranged(watch, group_pattern)
        unread = frame.read_for_list(watch)
        listed = [glances[name] for name in found_names.tags if name in glances]
        _draw_rows(listed, chosen, run_list(listed, tag, found, arranged, watch.digests()))
        note = diverged_note(found.comparison) if found else ""
        st.caption(" ".join(part for part in (_counted(listed), _unread_words(unread), prose(note)) if part))
    return True


def _arranged(watch: LogWatch, group_pattern: str | None) -> Arrangement:
    """Return how all runs belong together, found out once for all browser sessions."""
    configured = watch.configurations(time.time())
    made_of = repr(("all runs", watch.directories, configured.version, group_pattern))
    return cache.compared(made_of, lambda: arrange(configured.configurations, group_pattern))


def _draw_rows(glances: Sequence[RunGlance], chosen: Sequence[str], table: Table) -> None:
    names = tuple(glance.run.name for glance in glances)
    # The rows of a selection are numbers: another list of names is another table.
    key = f"rows {crc32(repr(names).encode())}"
    frame.mark_rows(key, names, chosen)
    tables.draw_table(
        table,
        key,
        pinned="run",
        zone=frame.time_zone(),
        height=min(LIST_HEIGHT, 38 + 35 * len(names)),
        on_select=lambda: frame.take_rows(key, names),
        selection_mode="multi-row",
    )


def _counted(glances: Sequence[RunGlance]) -> str:
    states: Mapping[str, int] = {
        state: sum(glance.state.state == state for glance in glances)
        for state in ("running", "stalled", "waiting", "finished")
    }
    listed = ", ".join(f"{format_step(count)} {state}" for state, count in states.items() if count)
    return f"Listed: {listed}. Choose by the boxes at the left; click a title to sort."


def _unread_words(count: int) -> str:
    if not count:
        return ""
    return "One more is being read." if count == 1 else f"{format_step(count)} more are being read."
