"""Where a run was started again: sessions within one event file, and across the files of a run.

A restart is known by a step that does not go on: within a file one that goes back, in a new file one that does not
exceed the last of its series. It concerns the run, not the series: from there on everything belongs to the next
session. A series that goes back later, but for the first time since the restart, tells nothing new.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from monitor.sources.columns import Column, Piece


@dataclass(frozen=True, slots=True)
class Restart:
    """The start of a session within a file.

    Args:
        offset: Where its first record begins in the file.
        wall_time: Time of that record.
        step: The step that went back.
    """

    offset: int
    wall_time: float
    step: int


@dataclass(slots=True)
class Restarts:
    """The restarts within one file, found as its points arrive.

    Args:
        found: In the order of the file.
    """

    found: list[Restart] = field(default_factory=list)
    _newest: dict[str, tuple[int, int]] = field(default_factory=dict)  # tag → step and offset of its newest point

    def feed(self, arrived: Mapping[str, Piece]) -> None:
        """Look through the points of one block, by tag."""
        back: list[tuple[int, int, Restart]] = []
        for tag, piece in arrived.items():
            back += self._steps_back(tag, piece)
            self._newest[tag] = (int(piece.step[-1]), int(piece.offsets[-1]))
        start = self.found[-1].offset if self.found else 0
        for offset, offset_before, restart in sorted(back, key=lambda item: item[:2]):
            if offset_before >= start:  # both points lie in the session so far
                self.found.append(restart)
                start = offset

    def sessions(self, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Return the session within the file of records at these offsets, shape ``(n_points,)``."""
        return np.searchsorted([restart.offset for restart in self.found], offsets, side="right")

    def _steps_back(self, tag: str, piece: Piece) -> Iterable[tuple[int, int, Restart]]:
        """Yield offset, offset of the point before, and the restart, for each step of one series that goes back."""
        first = int(piece.step[0])
        step, offset = self._newest.get(tag, (first, -1))
        if first >= step and not (piece.step[1:] < piece.step[:-1]).any():
            return  # the usual case, quickly
        before = np.concatenate(([step], piece.step[:-1]))
        rows = np.flatnonzero(piece.step < before)
        for row in rows.tolist():
            here = int(piece.offsets[row])
            previous = offset if row == 0 else int(piece.offsets[row - 1])
            yield here, previous, Restart(here, float(piece.wall_time[row]), int(piece.step[row]))


def mark_sessions(column: Column, offsets: npt.NDArray[np.int64], restarts: Restarts) -> None:
    """Note in a column at which of the points about to be appended a session of the file begins."""
    if not restarts.found:
        return
    sessions = restarts.sessions(offsets)
    before = np.concatenate(([column.newest_session], sessions[:-1]))
    for row in np.flatnonzero(sessions != before).tolist():
        column.session_rows.append((len(column) + row, int(sessions[row])))


def begins_session(first_steps: Mapping[str, int], newest_steps: Mapping[str, int]) -> bool:
    """Return whether a file begins a new session of its run.

    Args:
        first_steps: Tag → step of its first point in the file.
        newest_steps: Tag → step of its last point in the files before.
    """
    return any(tag in newest_steps and step <= newest_steps[tag] for tag, step in first_steps.items())
