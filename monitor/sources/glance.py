"""The ends of a run's event files → its newest points: enough for a list of many runs.

A run of hours has files of many megabytes, and a list shows where each run stands, not how it got there. A few
kilobytes at the end of a file hold the last logging steps; reading begins at the first place behind the cut where both
checksums of a record are right, so that no chance bytes are taken for one.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from monitor.schema import Points, Run, RunFile, Scalars
from monitor.sources.columns import Piece
from monitor.sources.framing import Bytes, Framer, find_next_header
from monitor.sources.records import Decoded, Decoder

HEAD_BYTES = 64  # hold the first event, which only names the version of the file
TAIL_BYTES = 4096
LONGER_TAIL_BYTES = 65_536  # where the shorter one holds too few points
FEWEST_POINTS = 6  # of the series written most often: five gaps tell the rhythm
MOST_FILES = 8  # of each directory of a run, the newest first, until one holds a scalar


@dataclass(slots=True)
class _End:
    """What the ends of a run's files hold, as far as they were looked at."""

    series: dict[str, Points] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    bytes_read: int = 0


class Glancer:
    """Looks at the ends of runs; a run that has not changed since is not looked at again.

    Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._framer = Framer()
        self._seen: dict[str, tuple[Run, Scalars]] = {}

    def glance(self, run: Run) -> Scalars:
        """Return the newest points of a run.

        Returns:
            Of each series the points at the end of its newest file, all in one session; series that were not written
            lately are missing. Nothing where no file can be read. `first_event` is that of the oldest file.
        """
        known = self._seen.get(run.path)
        if known is None or known[0] != run:
            known = self._seen[run.path] = (run, self._look(run))
        return known[1]

    def keep_only(self, paths: Collection[str]) -> None:
        """Forget the runs that lie elsewhere: they were deleted."""
        self._seen = {path: seen for path, seen in self._seen.items() if path in paths}

    def _look(self, run: Run) -> Scalars:
        end = _End()
        tries: dict[str, int] = {}
        for file in run.event_files:
            tries[file.prefix] = tries.get(file.prefix, 0) + 1
            if tries[file.prefix] <= MOST_FILES and self._read_end(file, end):
                tries[file.prefix] = MOST_FILES
        for file in run.event_files[-1:]:
            self._read_begin(file, end)
        return Scalars(
            series=end.series,
            first_event=min(end.times, default=None),
            last_event=max(end.times, default=None),
            bytes_read=end.bytes_read,
            size_bytes=run.size_bytes,
            version=1,
        )

    def _read_end(self, file: RunFile, into: _End) -> bool:
        """Add the newest points of one file; return whether it has any."""
        try:
            descriptor = os.open(file.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError:  # gone or not allowed: who opens the run is told
            return False
        try:
            size = os.fstat(descriptor).st_size
            points = self._tail(descriptor, size, TAIL_BYTES, into)
            if size > TAIL_BYTES and max(map(len, points.values()), default=0) < FEWEST_POINTS:
                points = self._tail(descriptor, size, LONGER_TAIL_BYTES, into)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        into.series.update((file.prefix + tag, series) for tag, series in points.items())
        return bool(points)

    def _read_begin(self, file: RunFile, into: _End) -> None:
        """Add the time of the first event of a file."""
        try:
            with open(file.path, "rb", buffering=0) as opened:  # noqa: PTH123 (1,000 of these: no Path in between)
                head = opened.read(HEAD_BYTES)
        except OSError:
            return
        into.bytes_read += len(head)
        decoded = Decoded()
        self._decode(Decoder(), np.frombuffer(head, np.uint8), 0, decoded)
        into.times += [time for time in (decoded.first_event,) if np.isfinite(time)]

    def _tail(self, descriptor: int, size: int, wanted: int, into: _End) -> dict[str, Points]:
        """Return the points among the last bytes of a file, by tag."""
        begin = max(size - wanted, 0)
        block = np.frombuffer(os.pread(descriptor, wanted, begin), np.uint8)
        into.bytes_read += len(block)
        decoder, decoded = Decoder(), Decoded()
        self._decode(decoder, block, begin, decoded)
        if decoded.doubtful:  # only the first event of such a tag says that it is a scalar
            head = np.frombuffer(os.pread(descriptor, LONGER_TAIL_BYTES, 0), np.uint8)
            into.bytes_read += len(head)
            self._decode(decoder, head, 0, Decoded())
            decoder.settle(decoded)
        into.times += [time for time in (decoded.first_event, decoded.last_event) if np.isfinite(time)]
        return {tag: _points(piece) for tag, piece in decoded.by_tag().items()}

    def _decode(self, decoder: Decoder, block: Bytes, base: int, into: Decoded) -> None:
        """Decode the whole records of a block that begins at `base` in its file, damage passed over."""
        at: int | None = 0 if base == 0 else self._next(block, 0)
        while at is not None:
            starts, stop, _, damaged = self._framer.follow(block.data, at, len(block))
            decoder.decode_singly(block.data, starts, base, into)
            at = self._next(block, stop + 1) if damaged else None

    def _next(self, block: Bytes, start: int) -> int | None:
        """Return where the next whole record begins, None without one."""
        found = find_next_header(self._framer, block, start, len(block))
        return found[0] if found is not None and found[1] else None


def _points(piece: Piece) -> Points:
    return Points(piece.step, piece.wall_time, piece.value, np.zeros(len(piece.step), np.int16))
