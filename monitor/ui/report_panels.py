"""The blocks of the report page: what goes in, in which format, the file that is made of it, and its preview."""

import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st

from monitor.comparison_report import COMPARISON_SECTIONS, report_of
from monitor.document import Document
from monitor.live_figures import what_is_shown
from monitor.number_style import SEPARATORS, NumberStyle, example_of
from monitor.report import RUN_SECTIONS, ReportContext
from monitor.report_files import Format, ReportFile, make_report
from monitor.status import RunStatus
from monitor.text import file_name
from monitor.ui import cache, frame
from monitor.watch import LogWatch

FORMATS: Final[dict[Format, tuple[str, str]]] = {
    "html": ("HTML", "One page with its charts"),
    "md": ("Markdown", "Text, curves in characters"),
    "zip": ("ZIP", "Markdown, charts, every scalar as CSV"),
}
MIMES: Final[dict[Format, str]] = {"html": "text/html", "md": "text/markdown", "zip": "application/zip"}
PREVIEW_PIXELS = 900
MOST_PREVIEWED = 200_000  # characters of Markdown; a browser takes long over more
# A table wider than the screen scrolls by itself.
PREVIEW_STYLE: Final = "<style>.st-key-preview table { display: block; overflow-x: auto; }</style>"
_PICTURE: Final = re.compile(r"^!\[[^\]]*\]\((charts/[a-z0-9-]+\.png)\)$", re.MULTILINE)


# --- what goes in --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choices:
    """What a reader chose.

    Args:
        form: The format.
        sections: Keys of the sections, in the order of reading; none for the whole report.
        numbers: How numbers are written.
    """

    form: Format
    sections: tuple[str, ...]
    numbers: NumberStyle


def pick_choices(n_runs: int) -> Choices:
    """Draw the choices a report is made by."""
    return Choices(_pick_format(), _pick_sections(n_runs), _pick_numbers())


def _pick_format() -> Format:
    """Draw the choice of the format."""
    chosen: Format = st.radio(
        "Format",
        list(FORMATS),
        format_func=lambda form: FORMATS[form][0],
        captions=[words for _, words in FORMATS.values()],
        key="format",
        bind="query-params",
        help="Each holds the same words and figures and needs nothing else to be read.",
    )
    return chosen


def _pick_sections(n_runs: int) -> tuple[str, ...]:
    """Draw the choice of sections; none chosen means the whole report."""
    known = RUN_SECTIONS if n_runs == 1 else COMPARISON_SECTIONS
    chosen = st.multiselect(
        "Sections",
        list(known),
        format_func=lambda key: known[key],
        key="sections" if n_runs == 1 else "comparison-sections",
        bind="query-params",
        select_all=False,
        placeholder="The whole report",
        help="While some are chosen, only they are in the report.",
    )
    return tuple(key for key in known if key in set(chosen))


def _pick_numbers() -> NumberStyle:
    """Draw the choice of how numbers are written."""
    chosen: NumberStyle = st.radio(
        "Numbers",
        list(SEPARATORS),
        format_func=example_of,
        key="numbers",
        bind="query-params",
        horizontal=True,
        help="What stands between thousands and before decimals. The CSV in a ZIP always has 1234.5, for programs.",
    )
    return chosen


# --- the file ------------------------------------------------------------------------------------------------------


def build_report(watch: LogWatch, statuses: Sequence[RunStatus], choices: Choices) -> ReportFile:
    """Return the report of one run or, for several, of their comparison, and show how far making it is.

    As long as the runs have nothing new it is not made again.
    """
    made_of = repr((choices, [what_is_shown(status) for status in statuses]))
    return cache.report_shelf().take(made_of, lambda: _make(watch, statuses, choices))


def _make(watch: LogWatch, statuses: Sequence[RunStatus], choices: Choices) -> ReportFile:
    bar = st.empty()

    def tell(done: int, total: int, words: str) -> None:
        bar.progress(done / total, text=f"Making the report: {words}")

    document = _document(watch, statuses, _command(watch, statuses, choices))
    shown = document.only(frozenset(choices.sections)) if choices.sections else document
    file = make_report(shown.with_numbers(choices.numbers), choices.form, statuses, tell)
    bar.empty()
    return file


def _document(watch: LogWatch, statuses: Sequence[RunStatus], command: str) -> Document:
    now = time.time()
    context = ReportContext(now, command, watch.settings.health, watch.samples())
    hparams = {status.run.name: watch.extras(status.run.name, now).hparams for status in statuses}
    return report_of(statuses, hparams, context, frame.run_styles(watch))


def _command(watch: LogWatch, statuses: Sequence[RunStatus], choices: Choices) -> str:
    """Return the command that makes the same report in a terminal."""
    places = ("--run-dir", str(watch.run_directory)) if watch.run_directory else ()
    words = [
        *("python", "-m", "monitor", "report"),
        *(() if places else (status.run.name for status in statuses)),
        *(word for directory in watch.directories for word in ("--logdir", str(directory))),
        *places,
        *(("--sections", ",".join(choices.sections)) if choices.sections else ()),
        *(("--numbers", choices.numbers) if choices.numbers != "en" else ()),
        *("-o", _file_name(statuses, choices.form)),
    ]
    return shlex.join(words)


def _file_name(statuses: Sequence[RunStatus], form: Format) -> str:
    name = file_name(statuses[0].run.name) if len(statuses) == 1 else f"comparison-of-{len(statuses)}-runs"
    return f"{name}.{form}"


# --- what is seen of it --------------------------------------------------------------------------------------------


def offer_download(file: ReportFile, statuses: Sequence[RunStatus]) -> None:
    """Draw the button that saves a report to the reader's own machine."""
    st.download_button(
        f"Download {FORMATS[file.form][0]}",
        data=file.content,
        file_name=_file_name(statuses, file.form),
        mime=MIMES[file.form],
        on_click="ignore",
        type="primary",
        icon=":material/download:",
        key="download",
    )


def draw_preview(file: ReportFile) -> None:
    """Draw a report as it will look."""
    if file.form == "html":
        # The page's own policy forbids scripts and requests inside the frame too.
        with st.container(border=True, key="preview"):
            st.iframe(file.text, height=PREVIEW_PIXELS, alt="Preview of the report")
        return
    st.html(PREVIEW_STYLE)
    with st.container(border=True, key="preview"):
        _draw_markdown(file)


def _draw_markdown(file: ReportFile) -> None:
    """Draw Markdown with the pictures that will lie beside it in their places."""
    for number, part in enumerate(_PICTURE.split(file.text[:MOST_PREVIEWED])):
        if number % 2:
            st.image(file.pictures[part], width=620)
        elif part.strip():
            st.markdown(part)
    if len(file.text) > MOST_PREVIEWED:
        st.caption("The rest is in the file: it is too long to be shown here.")
