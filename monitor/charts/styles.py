"""Colours, dashes and widths: of the lines, and of the marks that say what happened."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from monitor.schema import Severity

# The hues of Okabe and Ito, with the lightness of the bright ones lowered until every line has a contrast of at least
# 3 : 1 against a white and a near-black page. Source: Okabe & Ito, Color Universal Design, 2008; WCAG 2.2, 1.4.11.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#B8659A", "#B07A00", "#2C92CF", "#8A8200", "#7A7A7A")
DASHES: Final = ((), (7, 3), (2, 3), (9, 3, 2, 3))
MOST_STYLES: Final = len(PALETTE) * len(DASHES)  # that differ in colour or dash
VALIDATION_DASH: Final = (6, 4)
# Of equal contrast on both pages; the word stands in the text under the pointer.
SEVERITY_COLORS: Final[Mapping[Severity, str]] = {
    "info": "#7A7A7A",
    "notice": "#2C92CF",
    "warning": "#C27400",
    "error": "#E0393E",
    "critical": "#C2185B",
}
ALARM_COLOR: Final = "#D13438"
RESTART_COLOR: Final = "#8A8A8A"
CHECKPOINT_COLOR: Final = "#8A8A8A"
BAND_COLOR: Final = "#8A8A8A"
LINE_WIDTH = 1.8
EMPHASISED_WIDTH = 3.4


@dataclass(frozen=True, slots=True)
class Style:
    """Colour, dash and width of one line; no dash is a solid line."""

    color: str
    dash: tuple[int, ...] = ()
    width: float = LINE_WIDTH


def palette_style(number: int) -> Style:
    """Return the style of the line `number`, counted from 0; past eight colours dashes join them."""
    return Style(PALETTE[number % len(PALETTE)], DASHES[number // len(PALETTE) % len(DASHES)])


def emphasised(style: Style) -> Style:
    """Return the style drawn thicker: for the run that others are measured against."""
    return replace(style, width=EMPHASISED_WIDTH)


def beside(style: Style, count: int) -> tuple[Style, ...]:
    """Return `count` styles for the validation lines of a run: dashed, in the colours that follow its own."""
    first = PALETTE.index(style.color) + 1 if style.color in PALETTE else 0
    return tuple(Style(PALETTE[(first + number) % len(PALETTE)], VALIDATION_DASH) for number in range(count))


class StyleBook:
    """Which style each run has: given once, kept while other runs come and go. Safe to share between sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}

    def styles(self, names: Iterable[str]) -> dict[str, Style]:
        """Return the style of every run named; those not met before get the next ones, in the order of their names.

        Give the names of all known runs, not only of those on a chart: then a run looks the same everywhere, whatever
        it stands beside.
        """
        with self._lock:
            for name in sorted(set(names) - self._numbers.keys()):
                self._numbers[name] = len(self._numbers)
            return {name: palette_style(self._numbers[name]) for name in names}
