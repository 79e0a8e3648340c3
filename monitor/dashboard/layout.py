"""The screen of ``watch``: where the panels stand in a terminal of any size, and how many lines each of them gets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from monitor.dashboard.lines import clipped, fit, harmless, style_of, without_middle
from monitor.dashboard.panels import (
    ENOUGH,
    checkpoints,
    curves,
    health,
    health_and_checks,
    metrics,
    metrics_and_curve,
    metrics_and_other_curve,
    resources,
)
from monitor.dashboard.screen import Size
from monitor.status import RunStatus
from monitor.text import format_age, format_time

TWO_COLUMNS_FROM: Final = 76  # cells of a terminal; below, the panels stand one below the other
BOXES_FROM: Final = 14  # lines below the head; with fewer, frames would take most of them
CURVES_FROM: Final = 140  # from this width on a column of curves stands between the panels
# Lines that a panel gets before another one gets more.
LEAST_LINES: Final = {"metrics": 4, "health": 8, "resources": 2, "checkpoints": 1}

Panel = Callable[[RunStatus, int, int], list[Text]]
"""Status, width and lines at most → the lines of a panel."""


def head_lines(status: RunStatus, size: Size, elapsed: float = 0.0) -> list[Text]:
    """Return the top of the screen: the run, its state, the age of its last event, and how its state is known.

    Args:
        status: The run.
        size: Columns and lines of the terminal.
        elapsed: Seconds since `RunStatus.now`, by which the last event has aged.
    """
    lines = [_title_line(status, size[0], elapsed), _reason_line(status, size[0])]
    return lines[: _head_height(size)]


def _head_height(size: Size) -> int:
    return 2 if size[1] >= 14 else 1


def _title_line(status: RunStatus, columns: int, elapsed: float) -> Text:
    last = status.scalars.last_event
    age = "no event yet" if last is None else f"last event {format_age(status.now + elapsed - last)}"
    leave = "Ctrl+C leaves"
    state = status.state.state
    name = harmless(status.run.name if status.run.name != "." else status.run.path)
    room = columns - len(state) - len(age) - 4
    with_leave = cell_len(name) + len(leave) + 2 <= room
    name = without_middle(name, max(room, 8))
    gap = " " * (room - cell_len(name) - len(leave))
    parts = ((name, "bold"), "  ", (state, style_of(state)), f"  {age}", (f"{gap}{leave}" if with_leave else "", "dim"))
    return clipped(Text.assemble(*parts), columns)


def _reason_line(status: RunStatus, columns: int) -> Text:
    reason = harmless(status.state.reason)
    dated = f"At {format_time(status.now)[-8:]} UTC: {reason}"
    met = f"Problems met while reading: {len(status.problems)}" if status.problems else ""
    problems = (f"{met}; `status` lists them. ", f"{met}. ") if met else ("",)
    forms = [(problem, words) for words in (dated, reason) for problem in problems]
    fits = (form for form in forms if cell_len("".join(form)) <= columns)
    problem, words = next(fits, forms[-1])
    return clipped(Text.assemble((problem, "yellow"), (words, "dim")), columns)


def panel_lines(status: RunStatus, size: Size) -> list[Text]:
    """Return the screen below the head: the four panels as the size allows, each line at most as wide as the terminal.

    Args:
        status: The run.
        size: Columns and lines of the terminal.
    """
    columns, lines = size[0], size[1] - _head_height(size)
    if columns < TWO_COLUMNS_FROM or lines < BOXES_FROM:
        return _stacked(status, columns, lines)
    if columns < CURVES_FROM:
        left = columns // 2
        beside = {"health": health_and_checks, "resources": resources, "checkpoints": checkpoints}
        return _beside(
            _boxes(status, {"metrics": metrics_and_curve}, left, lines), _boxes(status, beside, columns - left, lines)
        )
    side = min(columns // 3, 64)
    return _beside(
        _boxes(status, {"metrics": metrics_and_other_curve, "resources": resources}, side, lines),
        _framed("curves", status, curves, columns - 2 * side, lines - 2),
        _boxes(status, {"health": health_and_checks, "checkpoints": checkpoints}, side, lines),
    )


def _stacked(status: RunStatus, columns: int, lines: int) -> list[Text]:
    """Return the panels one below the other, each under a line with its title."""
    panels = {"metrics": metrics, "health": health, "resources": resources, "checkpoints": checkpoints}
    heights = _heights(status, panels, columns, lines - len(panels))
    screen = []
    for (title, panel), height in zip(panels.items(), heights, strict=True):
        screen.append(clipped(Text(f"── {title} {'─' * columns}", "dim"), columns, mark=""))
        screen.extend(fit(panel(status, columns, height), columns, height))
    return screen[: max(lines, 0)]


def _boxes(status: RunStatus, panels: Mapping[str, Panel], columns: int, lines: int) -> list[Text]:
    """Return the panels one below the other in frames that fill the column."""
    heights = _heights(status, panels, columns - 4, lines - 2 * len(panels))
    heights[0] += max(lines - 2 * len(panels) - sum(heights), 0)
    boxes = zip(panels.items(), heights, strict=True)
    return [line for (title, panel), height in boxes for line in _framed(title, status, panel, columns, height)]


def _framed(title: str, status: RunStatus, panel: Panel, columns: int, height: int) -> list[Text]:
    """Return a panel of that many lines with its frame around it."""
    top = Text.assemble(("╭─ ", "dim"), (title, "bold"), (f" {'─' * (columns - len(title) - 5)}╮", "dim"))
    lines = fit(panel(status, columns - 4, height), columns - 4, height)
    inner = [Text.assemble(("│ ", "dim"), line, (" │", "dim")) for line in lines]
    return [top, *inner, Text.assemble((f"╰{'─' * (columns - 2)}╯", "dim"))]


def _beside(*columns: Sequence[Text]) -> list[Text]:
    return [Text.assemble(*parts) for parts in zip(*columns, strict=True)]


def _heights(status: RunStatus, panels: Mapping[str, Panel], width: int, lines: int) -> list[int]:
    wanted = [len(panel(status, width, ENOUGH)) for panel in panels.values()]
    return shares([LEAST_LINES[title] for title in panels], wanted, lines)


def shares(least: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """Return how many lines each panel gets: first its least, in order, then one after the other up to what it wants.

    Args:
        least: Lines of each panel that come before more lines of another one.
        wanted: Lines each panel has to show.
        room: Lines for all of them.
    """
    heights = [0] * len(wanted)
    for limits in (least, wanted):
        growing = True
        while growing and sum(heights) < room:
            growing = False
            for place, limit in enumerate(limits):
                if heights[place] < min(limit, wanted[place]) and sum(heights) < room:
                    heights[place] += 1
                    growing = True
    return heights
