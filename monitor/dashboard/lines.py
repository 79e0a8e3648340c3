"""Lines of a terminal, measured in its cells: what fits into a width or into a number of lines.

What is cut ends in ``…``; of lines that have no room the least important ones are left out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, chop_cells
from rich.text import Text

from monitor.figures import Foreign
from monitor.text import format_percent, plain, shorten_middle

MORE: Final = " …"  # ends a line behind which others have no room
LABEL_CELLS: Final = 13  # that the longest label of our own takes
# Joiners, variation selectors, skin tones and the letters of flags: terminals do not agree on how wide they make text.
_UNMEASURED: Final = {
    0x200D: None,
    **dict.fromkeys(range(0xFE00, 0xFE10)),
    **dict.fromkeys(range(0x1F3FB, 0x1F400)),
    **{0x1F1E6 + place: letter for place, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")},
}
STYLES: Final = {
    "info": "dim",
    "notice": "blue",
    "warning": "yellow",
    "error": "red",
    "critical": "bold red",
    "excellent": "green",
    "normal": "blue",
    "problems": "yellow",
    "abnormal": "bold red",
    "better": "green",
    "worse": "yellow",
    "falling": "green",
    "converged": "green",
    "rising": "red",
    "oscillating": "yellow",
    "stuck": "yellow",
    "running": "green",
    "stalled": "yellow",
}


# --- what fits in a panel ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of a panel; where there is no room for all, blocks of the smallest rank stay."""

    rank: int
    lines: list[Text]


def that_fit(blocks: Sequence[Block], room: int) -> list[Text]:
    """Return the lines of the blocks that have room, in the order given; the last one may be cut."""
    kept: dict[int, list[Text]] = {}
    for place in sorted(range(len(blocks)), key=lambda place: blocks[place].rank):
        kept[place] = first_lines(blocks[place].lines, room)
        room -= len(kept[place])
    return [line for place in sorted(kept) for line in kept[place]]


def first_lines(lines: list[Text], room: int) -> list[Text]:
    """Return as many of the lines as have room; when some have not, the last one ends in ``…``."""
    if len(lines) <= room:
        return lines
    kept = lines[:room]
    return [*kept[:-1], Text.assemble(kept[-1], MORE)] if kept else []


def fit(lines: Sequence[Text], width: int, height: int) -> list[Text]:
    """Return exactly `height` lines of exactly `width` cells."""
    filled = [*lines[:height], *[Text()] * (height - len(lines))]
    return [clipped(line, width, pad=True) for line in filled]


def clipped(line: Text, width: int, *, pad: bool = False, mark: str = "…") -> Text:
    """Return the line in at most `width` cells; what is cut off is replaced by the mark.

    A line that says already that more would follow is cut between words.
    """
    fitting = _between_words(line, width) if line.plain.endswith(MORE) else line.copy()
    fitting.truncate(max(width, 0), overflow="ellipsis" if mark else "crop", pad=pad)
    return fitting


def _between_words(line: Text, width: int) -> Text:
    """Return a line that ends in `MORE` with so many words less that it has room, as far as that goes."""
    shorter = line[: -len(MORE)]
    while cell_len(shorter.plain) + len(MORE) > width and " " in shorter.plain.strip():
        shorter.rstrip()
        shorter = shorter[: shorter.plain.rindex(" ")]
    shorter.rstrip()
    return Text.assemble(shorter, MORE)


def harmless(foreign: str) -> str:
    """Return text from a file as a line that every terminal takes for equally wide."""
    return plain(foreign).translate(_UNMEASURED)


def without_middle(name: str, width: int) -> str:
    """Return a name without its middle, so that it has at most `width` cells."""
    sizes = range(max(width, 1), 0, -1)
    return next((short for size in sizes if cell_len(short := shorten_middle(name, size)) <= width), "…")


def naming(build: Callable[[Foreign], str], width: int) -> str:
    """Return a text about something with a foreign name; the name loses its middle where the text is too long."""
    text = build(harmless)
    too_much = cell_len(text) - width
    if too_much <= 0:
        return text
    return build(lambda name: without_middle(harmless(name), max(cell_len(harmless(name)) - too_much, 8)))


def fitting(forms: Sequence[str], width: int) -> str:
    """Return the first form that has room, else the last one."""
    return next((form for form in forms if cell_len(form) <= width), forms[-1])


def wrapped(text: str, width: int) -> list[str]:
    """Return the text as lines of at most `width` cells, broken between words where they are not too long."""
    lines = [""]
    for word in text.split():
        for part in chop_cells(word, max(width, 2)):
            joined = f"{lines[-1]} {part}" if lines[-1] else part
            if cell_len(joined) <= width or not lines[-1]:
                lines[-1] = joined
            else:
                lines.append(part)
    return lines


def style_of(word: str) -> str:
    """Return the colour of a tone: of a severity, a band, a verdict, a state; empty for any other word."""
    return STYLES.get(word, "")


# --- lines with a label --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled value.

    Args:
        rank: As that of a block.
        label: What it is; harmless.
        value: Room in cells → the value.
    """

    rank: int
    label: str
    value: Callable[[int], Text]


def row(rank: int, label: str, *forms: str, tone: str = "") -> Row:
    """Return a row that shows the longest of its forms that has room, longest first."""
    return Row(rank, label, lambda room: Text(fitting(forms, room), style_of(tone)))


def blocks_of(rows: Sequence[Row], width: int) -> list[Block]:
    """Return the rows with their values in one column."""
    longest = max((cell_len(row.label) for row in rows), default=0)
    labels = min(longest, max(LABEL_CELLS, width // 3))
    blocks = []
    for row in rows:
        label = without_middle(row.label, labels)
        start = f"{label}{' ' * (labels - cell_len(label) + 2)}"
        blocks.append(Block(row.rank, [Text.assemble((start, "dim"), row.value(width - labels - 2))]))
    return blocks


def gauge(share: float | None, width: int) -> Text:
    """Return a bar with its track: how much of it is filled is seen without colours too."""
    filled = round(min(max(share, 0.0), 1.0) * width) if share is not None and math.isfinite(share) else 0
    return Text.assemble(("━" * filled, "cyan"), ("─" * (width - filled), "dim"))


def gauge_row(rank: int, label: str, percent: float | None, *forms: str) -> Row:
    """Return a row with a bar, the percentage beside it, and the longest form that has room behind."""

    def value(room: int) -> Text:
        width = min(max(room // 4, 4), 24)
        text = fitting(forms, room - width - 8)
        share = None if percent is None else percent / 100
        return Text.assemble(gauge(share, width), f" {format_percent(percent):>5}", f"  {text}" if text else "")

    return Row(rank, label, value)
