"""What grows at its end and is never looked at from the start again: arrays, series, and summaries of series.

Layer 0. A refresh brings a few points to a history of millions. What is kept here from one refresh to the next costs
what is new, not what is there: a buffer with room to spare, a selection of the points of a series, and a tally that is
told how much of a series it has seen.
"""

from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from monitor.schema import Points

Item = TypeVar("Item", bound=np.generic)

SPARE_SHARE = 8  # a growing array keeps an eighth of its length to spare
FEWEST = 16


class GrowingArray(Generic[Item]):
    """A one-dimensional array that grows at its end.

    Views handed out stay as they are: what is appended lies behind them, or in a new array.

    Args:
        dtype: Of its items.
    """

    __slots__ = ("_array", "_count")

    def __init__(self, dtype: type[Item]) -> None:
        self._array: npt.NDArray[Item] = np.empty(0, dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def view(self) -> npt.NDArray[Item]:
        """All items so far, shape ``(n_items,)``."""
        return self._array[: self._count]

    def append(self, items: npt.NDArray[Item]) -> None:
        """Add items at the end."""
        total = self._count + len(items)
        if total > len(self._array):
            grown = np.empty(total + max(total // SPARE_SHARE, FEWEST), self._array.dtype)
            grown[: self._count] = self.view
            self._array = grown
        self._array[self._count : total] = items
        self._count = total


class GrowingPoints:
    """The points of one series in columns of its own, which grow at their end."""

    __slots__ = ("_session", "_step", "_value", "_wall_time")

    def __init__(self) -> None:
        self._step, self._session = GrowingArray(np.int64), GrowingArray(np.int16)
        self._wall_time, self._value = GrowingArray(np.float64), GrowingArray(np.float64)

    @property
    def view(self) -> Points:
        """All points so far."""
        return Points(self._step.view, self._wall_time.view, self._value.view, self._session.view)

    def append(self, points: Points) -> None:
        """Add points at the end."""
        self._step.append(points.step)
        self._wall_time.append(points.wall_time)
        self._value.append(points.value)
        self._session.append(points.session)


class Sifted:
    """The points of a growing series that pass a test: the series itself, uncopied, as long as all of them do."""

    __slots__ = ("_own", "points")

    def __init__(self) -> None:
        self.points = Points.empty()
        self._own: GrowingPoints | None = None

    def extend(self, source: Points, kept: npt.NDArray[np.bool_]) -> None:
        """Take in the points that are new.

        Args:
            source: The whole series.
            kept: Which of its newest points pass, shape ``(n_new,)``.
        """
        seen = len(source) - len(kept)
        if self._own is None and not kept.all():
            self._own = GrowingPoints()
            self._own.append(source.take(slice(seen)))
        if self._own is None:
            self.points = source
            return
        self._own.append(source.take(slice(seen, None)).take(kept))
        self.points = self._own.view


class Tally:
    """A summary of a series that looks at every point once, for as long as the series only grows at its end."""

    def __init__(self) -> None:
        self._seen = Points.empty()
        self.clear()

    def follow(self, points: Points) -> None:
        """Bring the summary up to date; anything but growth at the end starts it anew."""
        if not points.begins_with(self._seen):
            self._seen = Points.empty()
            self.clear()
        seen = len(self._seen)
        self._seen = points
        if len(points) > seen:
            self.add(points, seen)

    def clear(self) -> None:
        """Forget all points."""
        raise NotImplementedError

    def add(self, points: Points, seen: int) -> None:
        """Take in the points behind the first `seen`."""
        raise NotImplementedError
