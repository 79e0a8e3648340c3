"""Document → the bytes of one file: Markdown alone, one HTML file, or a ZIP of Markdown, pictures and every scalar.

The same document gives the same bytes: the time of making stands in the document, entries of a ZIP have no time of
their own.
"""

import io
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from monitor.document import Chart, Document
from monitor.html import GENERATOR, render_html
from monitor.markdown import render_markdown
from monitor.pictures import render_png
from monitor.schema import Points
from monitor.status import RunStatus
from monitor.text import plain

Format = Literal["md", "html", "zip"]

FORMATS: Final[tuple[Format, ...]] = ("md", "html", "zip")
SUFFIXES: Final[dict[str, Format]] = {
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
    ".zip": "zip",
}
REPORT_NAME: Final = "report.md"
SCALARS_NAME: Final = "scalars.csv"
MARKDOWN_SIGN: Final = "Written by the training monitor, version "  # begins the last line of every report
_SIGNS: Final = (MARKDOWN_SIGN.encode(), f'content="{GENERATOR}"'.encode(), GENERATOR.encode())
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP can hold
_COLUMNS: Final = ("run", "tag", "step", "wall_time", "value", "session")

Tell = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report as it is saved.

    Args:
        form: Its format.
        content: The bytes of the file.
        text: What a reader reads: Markdown, or HTML.
        pictures: Path of a picture in the text → PNG; empty where the text holds its charts itself.
    """

    form: Format
    content: bytes
    text: str
    pictures: dict[str, bytes]


def make_report(
    document: Document, form: Format, statuses: Sequence[RunStatus], tell: Tell | None = None
) -> ReportFile:
    """Return a report as a file.

    Args:
        document: What it says.
        form: The format.
        statuses: The runs whose scalars go into a ZIP.
        tell: Called before every step that takes a while: how many are done, of how many, and which comes.
    """
    progress = _Progress(len(document.charts), tell)
    if form == "md":
        text = render_markdown(document)
        return ReportFile(form, _encoded(text), text, {})
    if form == "html":
        progress.say("drawing the charts")
        text = render_html(document, drawn=progress.chart_drawn)
        return ReportFile(form, _encoded(text), text, {})
    return _archive(document, statuses, progress)


class ReportShelf:
    """Keeps the reports made last, so that one that would be the same is not made again. Safe to share."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._files: OrderedDict[str, ReportFile] = OrderedDict()

    def take(self, made_of: str, make: Callable[[], ReportFile]) -> ReportFile:
        """Return a report, made only where it is not there.

        Args:
            made_of: Everything it depends on, in words, but the moment it is made.
            make: Makes it.
        """
        with self._lock:
            file = self._files.pop(made_of, None)
        file = make() if file is None else file  # outside the lock: nobody waits for the report of another
        with self._lock:
            self._files[made_of] = file
            while len(self._files) > self._most:
                self._files.popitem(last=False)
        return file


def is_report(edges: bytes) -> bool:
    """Tell from the first and last bytes of a file whether it is a report that the monitor wrote."""
    return any(sign in edges for sign in _SIGNS)


def render_scalars_csv(statuses: Sequence[RunStatus]) -> bytes:
    """Return every scalar of some runs as CSV in UTF-8: run, tag, step, wall_time, value, session.

    Nothing is thinned or left out. NaN and infinities stand as ``NaN``, ``inf`` and ``-inf``; wall times are seconds
    UTC. Source: RFC 4180; lines end with LF.
    """
    into = io.BytesIO()
    into.write(f"{','.join(_COLUMNS)}\n".encode())
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    for status in statuses:
        for tag in status.scalars.tags:
            front = f"{_cell(status.run.name)},{_cell(tag)},".encode()
            rows = io.BytesIO()
            csv.write_csv(_numbers(status.scalars.points(tag)), rows, options)
            into.write(b"".join(front + line for line in rows.getvalue().splitlines(keepends=True)))
    return into.getvalue()


def _numbers(points: Points) -> pa.Table:
    value = pa.array(points.value)
    text = pc.if_else(pc.is_nan(value), "NaN", value.cast(pa.string()))
    return pa.table(
        {
            "step": pa.array(points.step),
            "wall_time": pa.array(points.wall_time),
            "value": text,
            "session": pa.array(np.ascontiguousarray(points.session)),
        }
    )


def _cell(foreign: str) -> str:
    """Return text from a file as one cell."""
    text = plain(foreign)
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if set(text) & set(',"') else text


# --- the archive ---------------------------------------------------------------------------------------------------


def _archive(document: Document, statuses: Sequence[RunStatus], progress: "_Progress") -> ReportFile:
    pictures: dict[str, bytes] = {}
    for number, chart in enumerate(document.charts, 1):
        progress.say(f"drawing chart {number} of {len(document.charts)}")
        pictures[f"charts/{number:02d}-{chart.key}.png"] = render_png([chart.picture])
        progress.chart_drawn(chart)
    paths = dict(zip((chart.key for chart in document.charts), pictures, strict=True))
    text = render_markdown(document, paths)
    progress.say("writing every scalar")
    files = {REPORT_NAME: _encoded(text), **pictures, SCALARS_NAME: render_scalars_csv(statuses)}
    return ReportFile("zip", _zipped(files), text, pictures)


def _zipped(files: dict[str, bytes]) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.comment = GENERATOR.encode()
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # the same on every system
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return into.getvalue()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")  # a name of a file need not be valid text


class _Progress:
    """Counts the steps of making a file."""

    def __init__(self, n_charts: int, tell: Tell | None) -> None:
        self._done, self._total, self._tell = 0, n_charts + 1, tell

    def say(self, words: str) -> None:
        if self._tell is not None:
            self._tell(self._done, self._total, words)

    def chart_drawn(self, chart: Chart) -> None:
        self._done += 1
        self.say(f"{chart.words} is drawn")
