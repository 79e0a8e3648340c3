"""How the numbers of a finished text are written: ``1,234.5``, ``1.234,5`` or ``1 234,5``.

Sentences come with their numbers from many places, all written by `text`; here they are written anew in what was made
of them. What is no number of ours keeps its form: names in quotes, dates and times, versions, paths, words with digits.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

NumberStyle = Literal["en", "de", "fr"]


@dataclass(frozen=True, slots=True)
class Separators:
    """What stands between thousands, and before the decimals."""

    thousands: str
    decimal: str


# Source: Unicode CLDR, symbols/group and symbols/decimal of these languages. French has U+202F since CLDR 34; the
# no-break space that others with this style have is in more fonts and looks the same.
SEPARATORS: Final[dict[NumberStyle, Separators]] = {
    "en": Separators(",", "."),
    "de": Separators(".", ","),
    "fr": Separators("\u00a0", ","),
}
_MARKED: Final = "\x02[^\x02\x03]*\x03"  # text from a file within that of a document
_QUOTED: Final = '"[^"\n]*"|“[^”\n]*”'
# A number that `text` wrote, of those that look different in another style; around it nothing that makes it a part of a
# name, a path, an assignment, a version or a date.
_NUMBER: Final = (
    r"(?<![\w.,:/\\=@#_-])(?<!version )"
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+(?:e[+-]?\d+)?)"
    r"(?![\w/\\=@#-]|[.,:]\w)"
)


def example_of(style: NumberStyle) -> str:
    """Return a number as it is written in a style: ``1.234,5``."""
    return number_writer(style)("1,234.5")


def number_writer(style: NumberStyle, names: Iterable[str] = ()) -> Callable[[str], str]:
    """Return the function that writes the numbers of a text of ours in a style.

    Everything else stays, and so does the length of the text: what stood below each other still does.

    Args:
        style: The style; a text in ``en`` is returned as it is.
        names: Names from files that may stand in a text without marks or quotes.
    """
    if style == "en":
        return lambda text: text
    separators = SEPARATORS[style]
    exchanged = str.maketrans({",": separators.thousands, ".": separators.decimal})
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    kept = [rf"(?<![\w.,]){re.escape(name)}(?!\w|[.,]\d)" for name in longest_first]
    pattern = re.compile("|".join((_MARKED, _QUOTED, *kept, _NUMBER)))
    return lambda text: pattern.sub(lambda found: (found["number"] or "").translate(exchanged) or found[0], text)
