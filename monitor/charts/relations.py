"""How results go with settings: the rows of a scatter of one key and of parallel coordinates over several.

What the specification depends on is a `Scatter` or a `Parallel`; the rows are Arrow tables. Names and values from
files stand in the rows and in titles, never inside an expression of Vega.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from monitor.text import format_number, plain, shorten_middle

LOG_SPAN = 50.0  # largest over smallest number, from which on equal ratios are drawn equally far apart
MOST_AXES = 8
MOST_LEVELS = 12  # named along one axis
TITLE_CHARACTERS = 26
LEVEL_CHARACTERS = 14

Level = float | str


@dataclass(frozen=True, slots=True)
class Setting:
    """One key over some configurations.

    Args:
        key: Its name; text from a file may be given as it is.
        levels: Its value in each; all numbers, or all words.
    """

    key: str
    levels: tuple[Level, ...]

    @property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return all(not isinstance(level, str) for level in self.levels)

    @property
    def is_log(self) -> bool:
        """Whether the numbers are positive and span so much that their ratios count."""
        numbers = [level for level in self.levels if not isinstance(level, str)]
        return self.is_number and min(numbers, default=0.0) > 0 and max(numbers) / min(numbers) >= LOG_SPAN


@dataclass(frozen=True, slots=True)
class Scatter:
    """What the specification of a scatter depends on.

    Args:
        x_title: The key.
        y_title: What was measured.
        is_number: Whether the horizontal axis is one of numbers.
        is_log: Whether it is logarithmic.
        names: Of the groups, in the order of their colours.
        colors: One per group.
    """

    x_title: str
    y_title: str
    is_number: bool
    is_log: bool
    names: tuple[str, ...]
    colors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """What the specification of parallel coordinates depends on: the titles of its axes, the result last."""

    axes: tuple[str, ...]


def scatter_rows(setting: Setting, results: Sequence[float], groups: Sequence[str], runs: Sequence[str]) -> pa.Table:
    """Return one row per run: value of the key, result, group, and the text under the pointer.

    Args:
        setting: The key, its levels one per run.
        results: Finite, one per run.
        groups: Name of the group of each run, as in `Scatter.names`.
        runs: Name of each run.
    """
    levels = [level if isinstance(level, str) else float(level) for level in setting.levels]
    words = [shorten_middle(plain(str(level)), TITLE_CHARACTERS) for level in levels]
    texts = [
        f"{plain(run)}: {format_number(result)} at {level_text(level)}"
        for run, result, level in zip(runs, results, levels, strict=True)
    ]
    x = pa.array(levels, pa.float64()) if setting.is_number else pa.array(words, pa.string())
    return pa.table({"x": x, "y": pa.array(results, pa.float64()), "group": list(groups), "text": texts})


def parallel_tables(
    settings: Sequence[Setting], results: Sequence[float], names: Sequence[str], axes: Sequence[str]
) -> dict[str, pa.Table]:
    """Return the lines and the marks along the axes of parallel coordinates.

    Args:
        settings: At most `MOST_AXES` keys, their levels one per configuration.
        results: Finite, one per configuration.
        names: Of the configurations.
        axes: As `axis_titles` returns them: one per key and one for the result.

    Returns:
        ``lines`` with axis, place (0 to 1), line, result and text; ``levels`` with axis, place and text.
    """
    every = [*settings, Setting("", tuple(results))]
    scales = [_places(setting) for setting in every]
    texts = [f"{plain(name)}: {format_number(result)}" for name, result in zip(names, results, strict=True)]
    rows = [
        (axis, scale[level], number, results[number], texts[number])
        for axis, setting, scale in zip(axes, every, scales, strict=True)
        for number, level in enumerate(setting.levels)
    ]
    marks = [
        (axis, place, level_text(level))
        for axis, scale in zip(axes, scales, strict=True)
        for level, place in _named(scale)
    ]
    return {
        "lines": _table(("axis", "place", "line", "result", "text"), rows),
        "levels": _table(("axis", "place", "text"), marks),
    }


def axis_titles(keys: Sequence[str], result: str) -> tuple[str, ...]:
    """Return the titles of parallel axes, short and all different: the last parts of dotted keys, then the result."""
    titles: list[str] = []
    for key in (*keys, result):
        tail = key if key == result else plain(key).rsplit(".", 1)[-1]
        title = shorten_middle(plain(tail), TITLE_CHARACTERS)
        number = 2
        while title in titles:
            title, number = f"{shorten_middle(plain(tail), TITLE_CHARACTERS - 4)} ({number})", number + 1
        titles.append(title)
    return tuple(titles)


def level_text(level: Level) -> str:
    """Return a value as it stands beside an axis."""
    if isinstance(level, str):
        return shorten_middle(plain(level), LEVEL_CHARACTERS)
    return format_number(level, 4)


def _places(setting: Setting) -> dict[Level, float]:
    """Return where each level lies on its axis, 0 to 1: numbers by size or ratio, words evenly, in their order."""
    if setting.is_number:
        numbers = sorted({float(level) for level in setting.levels})
        scaled = [math.log(number) if setting.is_log else number for number in numbers]
        span = scaled[-1] - scaled[0]
        return {n: (s - scaled[0]) / span if span else 0.5 for n, s in zip(numbers, scaled, strict=True)}
    words = sorted({str(level) for level in setting.levels})
    return {word: number / (len(words) - 1) if len(words) > 1 else 0.5 for number, word in enumerate(words)}


def _named(scale: Mapping[Level, float]) -> list[tuple[Level, float]]:
    """Return the levels to name along an axis: those that stand far enough apart, both ends among them."""
    ordered = sorted(scale.items(), key=lambda item: item[1])
    kept = ordered[:1]
    for item in ordered[1:]:
        if item[1] - kept[-1][1] >= 1 / MOST_LEVELS:
            kept.append(item)
        elif item is ordered[-1] and len(kept) > 1:
            kept[-1] = item
    return kept


def _table(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> pa.Table:
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
