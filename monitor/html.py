"""Document → one HTML file that needs nothing else: charts inside, light and dark, no script, no request.

Everything that is not a tag of ours is escaped; the charts are SVG in which names are text. The policy in the head
forbids every script and every request, whatever else the file might hold.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, tzinfo
from html import escape
from typing import Final

from monitor.document import (
    Block,
    Chart,
    Charts,
    Document,
    Facts,
    Items,
    Listing,
    Note,
    Paragraph,
    Section,
    Table,
    Text,
    key_of,
    pieces,
    spoken,
)
from monitor.figures import Figure
from monitor.html_style import CSS
from monitor.pictures import render_svg

GENERATOR: Final = "training monitor report"
_CLIP: Final = re.compile(r'(?<=<clipPath id=")clip\d+|(?<=clip-path="url\(#)clip\d+')
_SIZE: Final = re.compile(r'^<svg ([^>]*?) width="[\d.]+" height="[\d.]+"')

Drawn = Callable[[Chart], None]


def render_html(document: Document, *, zone: tzinfo = UTC, drawn: Drawn | None = None) -> str:
    """Return a document as HTML.

    Args:
        document: What to write.
        zone: Time zone of an axis that shows the time of day.
        drawn: Called with every chart as soon as it is drawn, twice (light and dark) in one go.
    """
    title = escape(spoken(document.title))
    body = [
        f"<header><h1>{_inline(document.title)}</h1>{_blocks(document.lead, zone, drawn)}</header>",
        _contents(document.sections),
        "<main>",
        *(_section(section, zone, drawn) for section in document.sections),
        "</main>",
        f"<footer>{_blocks(document.close, zone, drawn)}</footer>",
    ]
    return "\n".join(["<!DOCTYPE html>", '<html lang="en">', _head(title), "<body>", *body, "</body>", "</html>", ""])


def _head(title: str) -> str:
    """Return the head. Source of the policy: Content Security Policy Level 3, ``style-src`` with the style's hash."""
    style_hash = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"
    lines = (
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f'<meta name="generator" content="{GENERATOR}">',
        f"<title>{title}</title>",
        f"<style>{CSS}</style>",
        "</head>",
    )
    return "\n".join(lines)


def _contents(sections: Sequence[Section]) -> str:
    """Return the links to all sections; those of the single runs of a comparison share one."""
    shown = [section for section in sections if section.key == key_of(section) or section.key.endswith("-1")]
    links = "".join(f'<a href="#{section.key}">{escape(_link(section))}</a>' for section in shown)
    return f'<nav aria-label="Contents">{links}</nav>'


def _link(section: Section) -> str:
    return spoken(section.title) if section.key == key_of(section) else "Each run in short"


def _section(section: Section, zone: tzinfo, drawn: Drawn | None) -> str:
    blocks = _blocks(section.blocks, zone, drawn)
    return f'<section id="{section.key}"><h2>{_inline(section.title)}</h2>\n{blocks}</section>'


def _blocks(blocks: Iterable[Block], zone: tzinfo, drawn: Drawn | None) -> str:
    return "".join(f"{_block(block, zone, drawn)}\n" for block in blocks)


def _block(block: Block, zone: tzinfo, drawn: Drawn | None) -> str:
    match block:
        case Paragraph():
            return f"<p{' class=quiet' if block.quiet else ''}>{_inline(block.text)}</p>"
        case Items():
            name = "ol" if block.numbered else "ul"
            return f"<{name}>{''.join(f'<li>{_inline(text)}</li>' for text in block.texts)}</{name}>"
        case Facts():
            return _cards(block.figures) if block.prominent else _facts(block.figures)
        case Table():
            return _table(block)
        case Listing():
            return f"<pre>{escape(chr(10).join(block.lines))}</pre>"
        case Note():
            return _note(block, zone, drawn)
        case Charts():
            return f'<div class="charts">{"".join(_chart(chart, zone, drawn) for chart in block.charts)}</div>'


def _cards(figures: Iterable[Figure]) -> str:
    return f'<dl class="cards">{"".join(f"<div>{_fact(figure)}</div>" for figure in figures)}</dl>'


def _facts(figures: Iterable[Figure]) -> str:
    return f'<dl class="facts">{"".join(_fact(figure) for figure in figures)}</dl>'


def _fact(figure: Figure) -> str:
    tone = f' class="{escape(figure.tone)}"' if figure.tone else ""
    return f"<dt>{_inline(figure.label)}</dt><dd{tone}>{_inline(figure.value)}</dd>"


def _table(table: Table) -> str:
    n_columns = len(table.align)
    wide = ' class="wide many"' if n_columns > 8 else ' class="wide"' if n_columns > 3 else ""
    head = _row("th", table.header, table.align)
    rows = "".join(_row("td", row, table.align) for row in table.rows)
    return f'<div class="scroll" tabindex="0"><table{wide}><thead>{head}</thead><tbody>\n{rows}</tbody></table></div>'


def _row(tag: str, cells: Iterable[Text], align: str) -> str:
    written = "".join(
        f"<{tag}{' class=r' if letter == 'r' else ''}>{_inline(cell)}</{tag}>"
        for cell, letter in zip(cells, align, strict=True)
    )
    return f"<tr>{written}</tr>\n"


def _note(note: Note, zone: tzinfo, drawn: Drawn | None) -> str:
    title = f"<h3><b>{escape(note.tone)}</b> · {_inline(note.title)}</h3>"
    return f'<article class="note {escape(note.tone)}">{title}\n{_blocks(note.blocks, zone, drawn)}</article>'


def _chart(chart: Chart, zone: tzinfo, drawn: Drawn | None) -> str:
    both = "".join(_svg(chart, ground, zone) for ground in ("light", "dark"))
    if drawn is not None:
        drawn(chart)
    return f"<figure>{both}</figure>\n"


def _svg(chart: Chart, ground: str, zone: tzinfo) -> str:
    """Return one chart as a part of a document: it takes the width it gets."""
    svg = _with_own_clips(render_svg([chart.picture], dark=ground == "dark", zone=zone), f"{chart.key}-{ground}")
    words = escape(chart.words)
    return _SIZE.sub(
        lambda found: f'<svg {found[1]} role="img" aria-label="{words}"'.replace('class="marks"', f'class="{ground}"'),
        svg,
        count=1,
    )


def _with_own_clips(svg: str, name: str) -> str:
    """Return a chart whose clips are called by its name: Vega counts them over all charts of a process."""
    numbers: dict[str, int] = {}
    return _CLIP.sub(lambda found: f"{name}-{numbers.setdefault(found[0], len(numbers))}", svg)


def _inline(text: Text) -> str:
    return "".join(
        f"<code>{escape(part)}</code>" if is_foreign else escape(part, quote=False) for part, is_foreign in pieces(text)
    )
