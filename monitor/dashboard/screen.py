"""The terminal while a dashboard fills it: its own screen, no echo of keys, drawn where something changed.

However the dashboard ends, the terminal is as it was before: text, cursor, modes. Resizing wakes whoever waits;
Ctrl+Z leaves the screen and coming back enters it again. POSIX terminals only.

Source of the sequences: ECMA-48 (CUP, ED, EL, SGR); xterm's control sequences for the private modes 7, 25 and 1049.
"""

import os
import select
import shutil
import signal
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TextIO

# Other screen, no cursor, and no going on in the next line: a character the terminal takes for wider than we do
# must not move the lines below.
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE: Final = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_CLEAR: Final = "\x1b[0m\x1b[H\x1b[2J"
_LOCAL_MODES: Final = 3  # place of the local modes in the attributes of a terminal

Size = tuple[int, int]
Handler = Callable[[int, FrameType | None], Any] | int | None


class Screen:
    """A terminal as lines; made by `open_screen`."""

    def __init__(self, output: TextIO, wakes: int) -> None:
        self._output = output
        self._terminal = output.fileno()
        self._wakes = wakes
        self._modes = termios.tcgetattr(self._terminal)
        self._shown: list[str] = []
        self._shown_size: Size | None = None

    def size(self) -> Size:
        """Return columns and lines as they are now; those of the environment where the terminal does not tell."""
        size = os.get_terminal_size(self._terminal)
        columns, lines = size if size.columns and size.lines else shutil.get_terminal_size()
        return columns, lines

    def draw(self, lines: Sequence[str], size: Size) -> None:
        """Show the lines, from the top; only those that changed since the last time are written.

        Args:
            lines: With their colours as escape sequences, each for one line of a terminal of that size.
            size: Columns and lines; after a change everything is written.
        """
        if size != self._shown_size:
            self._shown, self._shown_size = [], size
            self._output.write(_CLEAR)
        before = [*self._shown, *[""] * (len(lines) - len(self._shown))]
        rows = enumerate(zip(lines, before, strict=False), 1)
        # Erased first: at the end of a full line the cursor stands on its last character.
        self._output.write("".join(f"\x1b[{row};1H\x1b[2K{line}\x1b[0m" for row, (line, old) in rows if line != old))
        if len(lines) < len(before):
            self._output.write(f"\x1b[{len(lines) + 1};1H\x1b[J")
        self._output.flush()
        self._shown = list(lines)

    def wait(self, seconds: float) -> None:
        """Return after that time, or at once when the terminal was resized or the process was continued."""
        ready, _, _ = select.select([self._wakes], [], [], max(seconds, 0.0))
        if not ready:
            return
        arrived = os.read(self._wakes, 4096)
        if signal.SIGTSTP in arrived:
            self.leave()
            os.kill(os.getpid(), signal.SIGSTOP)
        if signal.SIGTSTP in arrived or signal.SIGCONT in arrived:
            self.enter()

    def enter(self) -> None:
        """Take the terminal; what it showed before is kept by it for later."""
        quiet = list(self._modes)
        quiet[_LOCAL_MODES] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(self._terminal, termios.TCSANOW, quiet)
        self._shown_size = None
        self._output.write(_ENTER)
        self._output.flush()

    def leave(self) -> None:
        """Give the terminal back as it was; keys pressed meanwhile go nowhere."""
        self._output.write(_LEAVE)
        self._output.flush()
        termios.tcsetattr(self._terminal, termios.TCSAFLUSH, self._modes)


@contextmanager
def open_screen(output: TextIO) -> Iterator[Screen]:
    """Yield the whole screen of a terminal; it is restored at the end, also at Ctrl+C and when told to terminate."""
    wakes, waker = os.pipe()
    os.set_blocking(waker, False)
    screen = Screen(output, wakes)
    waker_before = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    before = _handle({signal.SIGWINCH: _wake, signal.SIGTSTP: _wake, signal.SIGCONT: _wake, signal.SIGTERM: _terminate})
    try:
        screen.enter()
        yield screen
    finally:
        # A second Ctrl+C of an impatient person must not interrupt the way back.
        ending = _handle({signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_IGN})
        screen.leave()
        signal.set_wakeup_fd(waker_before)
        _handle({**ending, **before})
        os.close(waker)
        os.close(wakes)


def _handle(handlers: Mapping[int, Handler]) -> dict[int, Handler]:
    """Set what is done at each signal and return what was done before."""
    return {number: signal.signal(number, handler) for number, handler in handlers.items()}


def _wake(number: int, frame: FrameType | None) -> None:
    """Let Python write the signal's number to the descriptor that `Screen.wait` listens to."""


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
