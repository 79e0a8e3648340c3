"""A document as data: sections of text, tables, notes and charts, before it is Markdown or HTML.

Layer 3, pure. A text is one `str` in which everything that comes from files stands between two marks (`foreign`);
the writers (`markdown`, `html`) make both parts harmless, each for its format. `text.plain` removes the marks from
whatever a file holds, so that no name can forge one.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from monitor.figures import Figure
from monitor.number_style import NumberStyle, number_writer
from monitor.pictures import Picture
from monitor.text import plain

Text = str

_OPEN: Final = "\x02"
_CLOSE: Final = "\x03"
_FOREIGN: Final = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")


def foreign(words: str) -> Text:
    """Return text from a file as a part of a document's text: one harmless line between marks."""
    return f"{_OPEN}{plain(words)}{_CLOSE}"


def pieces(text: Text) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text in order, each with whether it comes from a file; empty parts of ours are left out."""
    for number, part in enumerate(_FOREIGN.split(text)):
        if number % 2:
            yield part, True
        elif part:
            yield part.replace(_OPEN, "").replace(_CLOSE, ""), False


# --- what stands in a section --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences; quiet where they only explain what stands above."""

    text: Text
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """Sentences in a list; with numbers where the order means something."""

    texts: tuple[Text, ...]
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Figures with their names; prominent for the few that a busy person reads."""

    figures: tuple[Figure, ...]
    prominent: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells.

    Args:
        header: Names of the columns.
        rows: As many cells each.
        align: One letter per column: ``l`` for words, ``r`` for figures.
    """

    header: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]
    align: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines whose characters stand below each other."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """One line of a chart in characters: where no picture can stand."""

    label: Text
    line: str
    first: str
    last: str
    lowest: str
    highest: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Args:
        key: Names its file; ``a-z`` and ``-`` only, different for every chart of a document.
        title: Says what is seen.
        words: The same for whoever cannot see it; no text from a file.
        picture: To be drawn.
        courses: Its lines in characters.
    """

    key: str
    title: Text
    words: str
    picture: Picture
    courses: tuple[Course, ...]


@dataclass(frozen=True, slots=True)
class Charts:
    """Some charts beside each other."""

    charts: tuple[Chart, ...]


Simple = Paragraph | Items | Facts | Table | Listing | Charts


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know, apart from the text around it.

    Args:
        tone: A severity.
        title: What it is.
        blocks: The rest.
    """

    tone: str
    title: Text
    blocks: tuple[Simple, ...]


Block = Simple | Note


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document that a reader may leave out; `key` names it, ``a-z`` and ``-`` only."""

    key: str
    title: Text
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report.

    Args:
        title: What it is about.
        lead: What stands below the title.
        sections: In the order of reading.
        close: What stands at the end.
    """

    title: Text
    lead: tuple[Block, ...]
    sections: tuple[Section, ...]
    close: tuple[Block, ...] = ()

    def only(self, keys: frozenset[str]) -> "Document":
        """Return the document with the sections named; ``runs`` names ``runs-1``, ``runs-2`` and so on."""
        return replace(self, sections=tuple(section for section in self.sections if key_of(section) in keys))

    def with_numbers(self, style: NumberStyle) -> "Document":
        """Return the document with its own numbers written in a style; what comes from files stays as it is."""
        if style == "en":
            return self
        restyling = _Restyling(style, _names_in(self))
        sections = tuple(replace(section, blocks=restyling.blocks(section.blocks)) for section in self.sections)
        lead, close = restyling.blocks(self.lead), restyling.blocks(self.close)
        return replace(self, lead=lead, sections=sections, close=close)

    @property
    def keys(self) -> tuple[str, ...]:
        """What `only` can name, in the order of reading."""
        return tuple(dict.fromkeys(key_of(section) for section in self.sections))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All charts, in the order of reading."""
        blocks = (block for section in self.sections for block in section.blocks)
        return tuple(chart for block in blocks if isinstance(block, Charts) for chart in block.charts)


def key_of(section: Section) -> str:
    """Return what a section is chosen by: ``runs`` for ``runs-1``."""
    return section.key.rstrip("-0123456789")


def spoken(text: Text) -> str:
    """Return a text without its marks, as a title that stands in no document."""
    return "".join(part for part, _ in pieces(text))


# --- the style of the numbers --------------------------------------------------------------------------------------


def _names_in(document: Document) -> set[str]:
    """Return what titles and lists call things by: sentences made elsewhere name the same without marks."""
    blocks = [block for section in document.sections for block in section.blocks]
    texts = [document.title, *(section.title for section in document.sections)]
    texts += [text for block in blocks if isinstance(block, Items) for text in block.texts]
    return {part for text in texts for part, is_foreign in pieces(text) if is_foreign}


class _Restyling:
    """Writes the numbers of blocks in a style.

    In sentences the names given stay as they are; in figures, tables and lines, where names are marked, a number that
    looks like one of them is a number.
    """

    def __init__(self, style: NumberStyle, names: Iterable[str]) -> None:
        self._style = style
        self._prose = number_writer(style, names)
        self._figure = number_writer(style)

    def blocks(self, blocks: Iterable[Block]) -> tuple[Block, ...]:
        return tuple(self._note(block) if isinstance(block, Note) else self._simple(block) for block in blocks)

    def _note(self, note: Note) -> Note:
        return replace(note, title=self._prose(note.title), blocks=tuple(self._simple(block) for block in note.blocks))

    def _simple(self, block: Simple) -> Simple:
        match block:
            case Paragraph():
                return replace(block, text=self._prose(block.text))
            case Items():
                return replace(block, texts=tuple(self._prose(text) for text in block.texts))
            case Facts():
                return replace(block, figures=tuple(self._named(figure) for figure in block.figures))
            case Table():
                return replace(block, header=self._cells(block.header), rows=tuple(map(self._cells, block.rows)))
            case Listing():
                return Listing(self._cells(block.lines))
            case Charts():
                return Charts(tuple(self._chart(chart) for chart in block.charts))

    def _named(self, figure: Figure) -> Figure:
        return replace(figure, label=self._figure(figure.label), value=self._figure(figure.value))

    def _cells(self, texts: Iterable[Text]) -> tuple[Text, ...]:
        return tuple(self._figure(text) for text in texts)

    def _chart(self, chart: Chart) -> Chart:
        picture = replace(chart.picture, numbers=self._style)
        courses = tuple(self._course(course) for course in chart.courses)
        return replace(chart, title=self._figure(chart.title), picture=picture, courses=courses)

    def _course(self, course: Course) -> Course:
        first, last, lowest, highest = self._cells((course.first, course.last, course.lowest, course.highest))
        return replace(course, first=first, last=last, lowest=lowest, highest=highest)
