"""What can be taken away from the comparison page: its tables, all its scalars, and a report of the same runs."""

from collections.abc import Callable, Sequence
from typing import Final

import streamlit as st

from monitor.comparison_export import render_scalars_csv, render_scalars_parquet
from monitor.comparison_tables import render_csv, render_latex, render_markdown, results
from monitor.status import RunStatus
from monitor.text import file_name
from monitor.ui.comparison import Answer

REPORT_PAGE: Final = "pages/report.py"
File = tuple[str, str, str, Callable[[], str | bytes]]


def draw_take_away(given: Answer, statuses: Sequence[RunStatus]) -> None:
    """Draw the buttons; nothing of a file is made before it is asked for.

    Args:
        given: The comparison.
        statuses: The runs as they were read, not cut.
    """
    table = results(given.found)
    name = file_name(f"comparison {given.question.tag}")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="take-away"):
        _offer(
            "Table",
            name,
            [
                ("CSV, raw numbers", "csv", "text/csv", lambda: render_csv(table)),
                ("Markdown", "md", "text/markdown", lambda: render_markdown(table)),
                ("LaTeX", "tex", "application/x-tex", lambda: render_latex(table)),
            ],
        )
        _offer(
            "All scalars",
            "scalars",
            [
                ("CSV, every point", "csv", "text/csv", lambda: render_scalars_csv(statuses)),
                (
                    "Parquet, every point",
                    "parquet",
                    "application/octet-stream",
                    lambda: render_scalars_parquet(statuses),
                ),
            ],
        )
        st.page_link(
            REPORT_PAGE,
            label="Make a report of this",
            icon=":material/description:",
            query_params={"report": [status.run.name for status in statuses]},
        )


def _offer(title: str, name: str, files: Sequence[File]) -> None:
    choice = st.popover(title, icon=":material/download:", key=f"save {title}", on_change="rerun")
    if not choice.open:
        return
    with choice:
        for words, ending, mime, make in files:
            st.download_button(
                words,
                data=make,
                file_name=f"{name}.{ending}",
                mime=mime,
                on_click="ignore",
                type="tertiary",
                key=f"{title} {ending}",
            )
