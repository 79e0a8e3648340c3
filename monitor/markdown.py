"""Document → GitHub-flavoured Markdown; and sentences made inert for every place that shows Markdown.

Text from files appears in code spans only, so that no viewer takes it for markup.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from monitor.document import Block, Chart, Charts, Document, Facts, Items, Listing, Note, Paragraph, Table, Text, pieces
from monitor.text import code_span, plain

_HARMLESS: Final = re.compile(r"[\w.,;%()'\"+/=≥≤×·?…–−°∞→“”’▁▂▃▄▅▆▇█-]*:?")
_TIME: Final = re.compile(r"\d\d:\d\d(?::\d\d)?[.,;)]?")
_COMPARED: Final = re.compile(r"\(?[<>]")
_EDGE_UNDERSCORE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # the only ones CommonMark may take for emphasis
_RULES: Final = {"l": "---", "r": "--:"}

Lines = list[str]


def prose(sentences: str) -> str:
    """Return sentences that may quote text from files as inert Markdown: every word that is not plain is a code span.

    Escaping with backslashes does not suffice: viewers turn addresses into links after the escapes are resolved.
    Source: CommonMark 0.31, sections 2.4 and 6.1; GitHub-flavoured Markdown 0.29, section 6.9 (autolinks).
    """
    return " ".join(_word(word, is_first=not number) for number, word in enumerate(plain(sentences).split()))


def _word(word: str, *, is_first: bool) -> str:
    harmless = _HARMLESS.fullmatch(word) and not _EDGE_UNDERSCORE.search(word) and "www." not in word.lower()
    told = _TIME.fullmatch(word) or (_COMPARED.fullmatch(word) and not is_first)  # a line that begins so is a quotation
    return word if harmless or told else code_span(word)


def render_markdown(document: Document, images: Mapping[str, str] | None = None) -> str:
    """Return a document as Markdown.

    Args:
        document: What to write.
        images: Key of a chart → path of its picture, relative to the document; None to tell every line of a chart in
            characters instead.
    """
    parts: list[Lines] = [[f"# {_inline(document.title)}"], *_blocks(document.lead, images)]
    for section in document.sections:
        parts += [[f"## {_inline(section.title)}"], *_blocks(section.blocks, images)]
    parts += [["---"], *_blocks(document.close, images)] if document.close else []
    return "".join(f"{line}\n" for part in _spaced(parts) for line in part)


def _spaced(parts: Sequence[Lines]) -> Iterable[Lines]:
    for number, part in enumerate(parts):
        yield ["", *part] if number else part


def _blocks(blocks: Iterable[Block], images: Mapping[str, str] | None) -> list[Lines]:
    return [lines for block in blocks for lines in _block(block, images) if lines]


def _block(block: Block, images: Mapping[str, str] | None) -> list[Lines]:
    match block:
        case Paragraph():
            return [[_inline(block.text)]]
        case Items():
            marks = (f"{number}." if block.numbered else "*" for number in range(1, len(block.texts) + 1))
            return [[f"{mark} {_inline(text)}" for mark, text in zip(marks, block.texts, strict=True)]]
        case Facts():
            rows = tuple((figure.label, figure.value) for figure in block.figures)
            return [_table(Table(("figure", "value"), rows, "ll"))]
        case Table():
            return [_table(block)]
        case Listing():
            return [["```text", *block.lines, "```"]]
        case Note():
            return [[f"### {block.tone}: {_inline(block.title)}"], *_blocks(block.blocks, images)]
        case Charts():
            return _charts(block.charts, images)


def _table(table: Table) -> Lines:
    return [
        _row(table.header),
        f"|{'|'.join(f' {_RULES[letter]} ' for letter in table.align)}|",
        *(_row(row) for row in table.rows),
    ]


def _row(cells: Iterable[Text]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: Text) -> str:
    # A pipe needs a backslash even inside a code span. Source: GitHub-flavoured Markdown 0.29, section 4.10.
    return _inline(text, begins_line=False).replace("|", "\\|")


def _charts(charts: Sequence[Chart], images: Mapping[str, str] | None) -> list[Lines]:
    if images is not None:
        return [
            lines
            for chart in charts
            for lines in ([f"### {_inline(chart.title)}"], [f"![{chart.words}]({images[chart.key]})"])
        ]
    rows = tuple(
        (chart.title, course.label, course.line, course.first, course.last, course.lowest, course.highest)
        for chart in charts
        for course in chart.courses
    )
    header = ("chart", "line", "course", "first", "last", "lowest", "highest")
    return [_table(Table(header, rows, "lllrrrr"))] if rows else []


def _inline(text: Text, *, begins_line: bool = True) -> str:
    written = ""
    for part, is_foreign in pieces(text):
        more = code_span(part) if is_foreign else _own(part, begins_line=begins_line and not written)
        # Two code spans that touch would be read as one.
        written += f" {more}" if written.endswith("`") and more.startswith("`") else more
    return written


def _own(part: str, *, begins_line: bool) -> str:
    """Return our own words inert: a sentence of a rule may quote a name."""
    return re.sub(
        r"\S+", lambda found: _word(found[0], is_first=begins_line and not part[: found.start()].strip()), part
    )
