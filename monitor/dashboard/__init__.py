"""The terminal in colour: the dashboard of ``watch`` and the sections of ``status``. The only door to rich.

Imported late from there: a terminal without colours, a pipe and a page start without it. A screen is a list of lines
that are measured in the cells of a terminal, so that nothing is wider than it: `lines` makes them fit, `panels` says
what stands in each panel, `layout` places the panels, `screen` owns the terminal.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.dashboard.layout import head_lines, panel_lines
from monitor.dashboard.lines import style_of
from monitor.dashboard.screen import open_screen
from monitor.figures import Figure, status_sections
from monitor.status import RunStatus

TICK_SECONDS: Final = 1.0  # the age of the last event is told anew this often


@contextmanager
def live_dashboard() -> Iterator[Callable[[RunStatus, float], None]]:
    """Yield the function that shows one status for that many seconds; the terminal is restored at the end.

    Meanwhile the screen follows the terminal's size, and the age of the last event ticks.
    """
    console = _console()
    with open_screen(sys.stdout) as screen:
        screen.draw(["Reading the event files. Ctrl+C leaves."], screen.size())

        def show(status: RunStatus, seconds: float) -> None:
            began = time.monotonic()
            size = screen.size()
            panels = _coloured(console, panel_lines(status, size))
            while True:
                elapsed = time.monotonic() - began
                screen.draw([*_coloured(console, head_lines(status, size, elapsed)), *panels], size)
                if elapsed >= seconds:
                    return
                screen.wait(min(TICK_SECONDS, seconds - elapsed))
                if screen.size() != size:
                    size = screen.size()
                    panels = _coloured(console, panel_lines(status, size))

        yield show


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _coloured(console: Console, lines: Sequence[Text]) -> list[str]:
    """Return the lines as the terminal understands them."""
    with console.capture() as capture:
        for line in lines:
            console.print(line, soft_wrap=True)
    return capture.get().split("\n")[:-1]


def print_coloured(status: RunStatus) -> None:
    """Print the sections of a status in colour."""
    console = _console()
    for section in status_sections(status):
        console.print(section.title, style="bold")
        console.print(_grid(section.figures))
        console.print()


def _grid(figures: Sequence[Figure]) -> Table:
    """Return the figures as two columns; a long value goes on below, between words where it can."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    labels = max((len(figure.label) for figure in figures), default=0)
    grid.add_column(style="dim", no_wrap=True, min_width=labels + 2)
    grid.add_column(overflow="fold")
    for figure in figures:
        grid.add_row(Text(f"  {figure.label}"), Text(figure.value, style=style_of(figure.tone)))
    return grid
