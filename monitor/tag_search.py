"""Finding series among hundreds: by text or regular expression, and by the first word of their names. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class FoundTags:
    """The tags a search found.

    Args:
        tags: In the order given.
        note: What the reader has to know about the search; "" for nothing.
    """

    tags: tuple[str, ...]
    note: str = ""


def groups_of(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the words before the first slash of the tags that have one, sorted."""
    return tuple(sorted({tag.split("/", 1)[0] for tag in tags if "/" in tag}))


def find_tags(tags: Sequence[str], wanted: str, group: str | None = None) -> FoundTags:
    """Return the tags that contain a text or match a regular expression, whatever the case.

    Args:
        tags: All tags.
        wanted: The text or expression; empty to find all. A text that is no valid expression is searched as it is.
        group: The word before the first slash; None for any.

    Source: RE2 through Arrow, whose time grows with the length of the text only: no expression can hang the page.
    """
    members = [tag for tag in tags if group is None or (tag.split("/", 1)[0] == group and "/" in tag)]
    if not wanted.strip():
        return FoundTags(tuple(members))
    texts = pa.array(members, pa.string())
    try:
        matches, note = pc.match_substring_regex(texts, wanted.strip(), ignore_case=True), ""
    except pa.ArrowInvalid:  # a lone bracket is what a person types as a text
        note = "This is no regular expression, so it was searched for as a text."
        matches = pc.match_substring(texts, wanted.strip(), ignore_case=True)
    return FoundTags(tuple(tag for tag, hit in zip(members, matches.to_pylist(), strict=True) if hit), note)
