"""One event file → scalar columns, resumably: every refresh reads the bytes that are new and nothing else.

The file is read in blocks. `framing` finds the records of a block, `columns` decodes those of one layout together, and
the few that are alone in their layout are decoded one by one through `wire`. A record that is not complete yet waits
for its rest. A damaged one becomes a problem; what lies before it is kept, and reading goes on at the next place where
a header's checksum is right.

Files are opened for reading only and never mapped into memory: a mapped file that shrinks ends the process.
"""

import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from monitor.schema import Points, ReadProblem
from monitor.sources.columns import Column, Rows, gather
from monitor.sources.framing import (
    FRAME_BYTES,
    HEADER_BYTES,
    LARGEST_RECORD_BYTES,
    Bytes,
    Framer,
    Offsets,
    Stretch,
    find_next_header,
)
from monitor.sources.records import Decoded, Decoder, Kept
from monitor.sources.sessions import Restart, Restarts, mark_sessions

BLOCK_BYTES = 8 << 20
HEAD_BYTES = 4096  # what a cheap look at a file reads
IDENTITY_BYTES = 48  # the head of a file that tells whether it is still the same one
LONG_PERIOD = 1024  # repeats from which on the records of a period are read where they lie
SHORT_PERIOD = 8  # repeats from which on a period is read as one record
LARGE_GROUP = 40  # records of one size from which on they are decoded together
MOST_PROBLEMS = 100  # listed per file; further damage is counted in the last one


@dataclass(slots=True)
class _Seen:
    """Everything read from one file; thrown away as a whole when the file is replaced.

    Args:
        columns: Tag with prefix → points.
        position: Offset behind the last byte read.
        tail: Bytes read behind the last whole record.
        damaged_since: Offset of damage behind which the framing has not been found yet; None when all is well.
        blank: Whether all bytes since that damage are zero.
        more_damage: Problems beyond those listed.
    """

    columns: dict[str, Column] = field(default_factory=dict)
    restarts: Restarts = field(default_factory=Restarts)
    decoder: Decoder = field(default_factory=Decoder)
    problems: list[ReadProblem] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    first_steps: dict[str, int] = field(default_factory=dict)
    first_event: float = np.inf
    last_event: float = -np.inf
    position: int = 0
    tail: bytes = b""
    damaged_since: int | None = None
    blank: bool = False
    more_damage: int = 0


@dataclass(frozen=True, slots=True)
class _Identity:
    """What tells that a path still names the same, growing file."""

    size: int = -1
    modified_ns: int = -1
    head: bytes = b""


class EventFile:
    """The scalars of one event file, kept up to date by `refresh`.

    Not safe to share between threads; `reader.RunReader` holds the lock.

    Args:
        path: The file.
        prefix: Put in front of every tag: the sub-directory of the run it lies in, with a slash, or "".
    """

    def __init__(self, path: str, prefix: str = "") -> None:
        self.path = path
        self._file = Path(path)
        self.prefix = prefix
        self.bytes_read = 0
        self._seen = _Seen()
        self._framer = Framer()
        self._identity = _Identity()
        self._trouble: ReadProblem | None = None
        self._changed_tags: set[str] = set()

    @property
    def columns(self) -> dict[str, Column]:
        """Tag (with prefix) → its points, in the order of the file."""
        return self._seen.columns

    @property
    def restarts(self) -> list[Restart]:
        """Where a step went back: the starts of the second, third … session within the file."""
        return self._seen.restarts.found

    @property
    def kept(self) -> list[Kept]:
        """The records with text and hyper-parameters."""
        return self._seen.kept

    @property
    def first_event(self) -> float | None:
        """Time of the earliest event."""
        return None if np.isinf(self._seen.first_event) else self._seen.first_event

    @property
    def last_event(self) -> float | None:
        """Time of the latest event."""
        return None if np.isinf(self._seen.last_event) else self._seen.last_event

    @property
    def first_steps(self) -> dict[str, int]:
        """Tag → step of its first point in the file."""
        return self._seen.first_steps

    @property
    def size_bytes(self) -> int:
        """Size of the file when it was last looked at."""
        return max(self._identity.size, 0)

    @property
    def problems(self) -> tuple[ReadProblem, ...]:
        """What could not be read so far; an incomplete last record and damage without an end included."""
        seen = self._seen
        found = list(seen.problems)
        if seen.more_damage:
            found.append(self._problem(None, "damaged_record", f"{seen.more_damage:,} more records are damaged."))
        if seen.damaged_since is not None:
            found.append(self._damage(seen.damaged_since, seen.position))
        elif seen.blank:
            detail = "From here on the file is blank, as after a full disk or a crash; it is read when it is written."
            found.append(self._problem(seen.position, "incomplete_record", detail))
        elif seen.tail:
            found.append(self._incomplete(seen.position - len(seen.tail), seen.tail))
        return (*found, self._trouble) if self._trouble else tuple(found)

    def refresh(self) -> bool:
        """Read what is new in the file.

        Returns:
            Whether anything this object tells has changed.
        """
        try:
            status = self._file.stat()
            if (status.st_size, status.st_mtime_ns) == (self._identity.size, self._identity.modified_ns):
                return False
            if not stat.S_ISREG(status.st_mode):
                return self._note("unreadable", "It is not a regular file and was left alone.")
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            return self._note_failure(error)
        try:
            return self._read_new(descriptor, status)
        except OSError as error:
            return self._note_failure(error)
        finally:
            os.close(descriptor)

    def take_changed_tags(self) -> set[str]:
        """Return the tags that got points, or lost them with a replaced file, since the last call."""
        changed, self._changed_tags = self._changed_tags, set()
        return changed

    def _note_failure(self, error: OSError) -> bool:
        self._identity = replace(self._identity, modified_ns=-1)  # look again at the next refresh
        if isinstance(error, FileNotFoundError):
            return self._note("deleted", "The file was deleted or moved; what was read of it before is still shown.")
        if isinstance(error, PermissionError):
            return self._note(
                "no_permission",
                f'This user may not read the file; allow it with: chmod u+r "{self.path}" (as its owner). '
                "It is read as soon as that is done.",
            )
        return self._note("unreadable", f"The system could not read the file: {error.strerror}.")

    def _note(self, kind: str | None, detail: str = "") -> bool:
        """Remember the trouble of this refresh; return whether it is news."""
        trouble = ReadProblem(self.path, None, kind, detail) if kind else None
        changed = trouble != self._trouble
        self._trouble = trouble
        return changed

    def _read_new(self, descriptor: int, status: os.stat_result) -> bool:
        changed = self._note(None)
        changed |= self._start_over_if_other(descriptor, status)
        self._identity = replace(self._identity, size=status.st_size, modified_ns=status.st_mtime_ns)
        if not self._identity.head:
            head = os.pread(descriptor, IDENTITY_BYTES, 0)
            if self._seen.position == 0 and self._is_foreign(head):
                return True
            if len(head) == IDENTITY_BYTES:
                self._identity = replace(self._identity, head=head)
        before = self._seen.position
        while self._seen.position < status.st_size and self._read_block(descriptor, status.st_size):
            pass
        self._wait_where_blank()
        return changed or self._seen.position != before

    def _start_over_if_other(self, descriptor: int, status: os.stat_result) -> bool:
        """Forget everything when the path no longer names the file that was read, and say so."""
        position, head = self._seen.position, self._identity.head
        if status.st_size < position:
            kind, what = "shrunk", f"The file shrank from {position:,} to {status.st_size:,} bytes"
        elif head and os.pread(descriptor, len(head), 0) != head:
            kind, what = "replaced", "The file was replaced by another one"
        else:
            return False
        self._changed_tags |= set(self._seen.columns)
        self._seen = _Seen()
        self._identity = _Identity()
        detail = f"{what} while it was watched; it was read again from its start."
        self._seen.problems.append(self._problem(None, kind, detail))
        return True

    def _is_foreign(self, head: bytes) -> bool:
        """Check the head of a file that nothing was read of; one that never was an event file becomes a problem."""
        size, crc = int.from_bytes(head[:8], "little"), int.from_bytes(head[8:12], "little")
        if len(head) < HEADER_BYTES or self._framer.header_is_right(size, crc):
            return False
        if head.startswith(b"version https://git-lfs"):
            self._note(
                "not_event_file", "It is a Git LFS pointer in place of the events; fetch them with: git lfs pull."
            )
            return True
        if all(byte in b"\t\n\r" or byte >= 0x20 for byte in head):  # a size below 2^56 has a zero byte
            self._note("not_event_file", "It is no event file in spite of its name; it was left alone.")
            return True
        return False

    def _read_block(self, descriptor: int, size: int) -> bool:
        """Read and decode up to one block; return False when there was nothing to read."""
        seen = self._seen
        carried = len(seen.tail)
        wanted = min(size - seen.position, max(BLOCK_BYTES, _missing(seen.tail)))
        buffer = np.empty(carried + wanted, np.uint8)
        buffer[:carried] = np.frombuffer(seen.tail, np.uint8)
        count = os.preadv(descriptor, [buffer.data[carried:]], seen.position)
        base, end = seen.position - carried, carried + count
        self.bytes_read += count
        seen.position += count
        stop = self._consume(buffer, end, base)
        seen.tail = buffer[stop:end].tobytes()
        self._pass_over_oversized(size)
        return count > 0

    def _consume(self, array: Bytes, end: int, base: int) -> int:
        """Decode the whole records of a block; return the offset in it behind what is done with."""
        seen = self._seen
        at = 0
        while True:
            if seen.damaged_since is not None:
                seen.blank = seen.blank and not array[at:end].any()
                found = find_next_header(self._framer, array, at, end)
                if found is None:
                    return max(at, end - HEADER_BYTES + 1)
                at, complete = found
                if not complete:
                    return at
                self._add_problem(self._damage(seen.damaged_since, base + at))
                seen.damaged_since, seen.blank = None, False
            scan = self._framer.scan(array, at, end)
            self._keep(array, scan.stretches, base, (base + scan.stop) / max(self._identity.size, base + scan.stop))
            if not scan.damaged:
                return scan.stop
            seen.damaged_since, at = base + scan.stop, scan.stop + 1
            seen.blank = array[scan.stop] == 0

    def _wait_where_blank(self) -> None:
        """Go back to where a file goes on with nothing but zeros: space that is reserved, and may yet be written."""
        seen = self._seen
        if seen.damaged_since is not None and seen.blank:
            seen.position, seen.tail, seen.damaged_since = seen.damaged_since, b"", None

    def _pass_over_oversized(self, size: int) -> None:
        """Skip the record the tail begins, without reading it, when it is too large to be worth its memory."""
        seen = self._seen
        missing = _missing(seen.tail)
        if seen.damaged_since is not None or missing <= LARGEST_RECORD_BYTES or seen.position + missing > size:
            return
        total = missing + len(seen.tail)
        detail = f"A record of {total:,} bytes was passed over; one of that size holds no scalars."
        self._add_problem(self._problem(seen.position - len(seen.tail), "oversized_record", detail))
        seen.position, seen.tail = seen.position + missing, b""

    def _keep(self, array: Bytes, stretches: list[Stretch], base: int, read_share: float) -> None:
        """Decode stretches of records and append their points to the columns."""
        seen, decoded = self._seen, Decoded()
        _decode(seen.decoder, array, stretches, base, decoded)
        for offset, size in sorted(decoded.damaged):
            detail = f"The checksum of a record of {size:,} bytes is wrong; it was left out."
            self._add_problem(self._problem(offset, "damaged_record", detail))
        seen.kept += decoded.kept
        seen.first_event = min(seen.first_event, decoded.first_event)
        seen.last_event = max(seen.last_event, decoded.last_event)
        arrived = {self.prefix + tag: piece for tag, piece in decoded.by_tag().items()}
        seen.restarts.feed(arrived)
        for tag, piece in arrived.items():
            column = seen.columns.setdefault(tag, Column())
            seen.first_steps.setdefault(tag, int(piece.step[0]))
            mark_sessions(column, piece.offsets, seen.restarts)
            column.extend(piece, read_share)
            self._changed_tags.add(tag)

    def _problem(self, offset: int | None, kind: str, detail: str) -> ReadProblem:
        return ReadProblem(self.path, offset, kind, detail)

    def _add_problem(self, problem: ReadProblem) -> None:
        if len(self._seen.problems) < MOST_PROBLEMS:
            self._seen.problems.append(problem)
        else:
            self._seen.more_damage += 1

    def _damage(self, start: int, end: int) -> ReadProblem:
        detail = f"{end - start:,} bytes are damaged and were left out; everything before and behind was read."
        return self._problem(start, "damaged_length", detail)

    def _incomplete(self, offset: int, tail: bytes) -> ReadProblem:
        detail = (
            f"The last record has {len(tail):,} bytes, {_missing(tail):,} are missing; it is read when they arrive."
        )
        return self._problem(offset, "incomplete_record", detail)


def read_scalars(path: str) -> dict[str, Points]:
    """Return the scalars of one event file by tag, as far as they can be read."""
    file = EventFile(path)
    file.refresh()
    return {
        tag: Points(column.step, column.wall_time, column.value, column.sessions(0))
        for tag, column in file.columns.items()
    }


def first_tag(path: str) -> str | None:
    """Return the tag of the first scalar of an event file, read from its head; None without one there.

    A cheap look for discovery: at most `HEAD_BYTES` are read.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None
    array = np.frombuffer(head, np.uint8)
    decoded, decoder = Decoded(), Decoder()
    _decode(decoder, array, Framer().scan(array, 0, len(head)).stretches if head else [], 0, decoded)
    points = decoded.by_tag()
    return min(points, key=lambda tag: int(points[tag].offsets[0])) if points else None


def _missing(tail: bytes) -> int:
    """Return how many bytes at least are missing from the record that begins with `tail`."""
    if len(tail) < HEADER_BYTES:
        return HEADER_BYTES - len(tail) if tail else 0
    return int.from_bytes(tail[:8], "little") + FRAME_BYTES - len(tail)


def _decode(decoder: Decoder, array: Bytes, stretches: list[Stretch], base: int, into: Decoded) -> None:
    """Decode the records of a block.

    Those of a long period are read where they lie, tag by tag; a shorter one as if it were one record. All others are
    taken together, whatever stretch they belong to,
    and grouped by size: a few large groups are read much faster than many small ones.
    """
    long = [stretch for stretch in stretches if stretch.repeats >= LONG_PERIOD]
    for stretch in long:
        steps = np.arange(stretch.repeats, dtype=np.int64) * stretch.stride
        for start, size in zip(stretch.starts.tolist(), stretch.sizes.tolist(), strict=True):
            where = base + start + steps
            decoder.decode(Rows(array, start + HEADER_BYTES, stretch.stride, stretch.repeats, size, where), into)
    others = [
        stretch
        for stretch in stretches
        if stretch.repeats < LONG_PERIOD
        and not (stretch.repeats >= SHORT_PERIOD and decoder.decode_period(array, stretch, base, into))
    ]
    starts, sizes = _all_records(others)
    order = np.argsort(sizes, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1):
        if len(group) < LARGE_GROUP:
            decoder.decode_singly(array.data, starts[group].tolist(), base, into)
        else:
            decoder.decode(gather(array, starts[group], int(sizes[group[0]]), base), into)
    decoder.settle(into)


def _all_records(stretches: list[Stretch]) -> tuple[Offsets, Offsets]:
    """Return the starts and payload sizes of all records of some stretches, shapes ``(n_records,)``."""
    starts = [np.empty(0, np.int64)]
    sizes = [np.empty(0, np.int64)]
    for stretch in stretches:
        steps = np.arange(stretch.repeats, dtype=np.int64) * stretch.stride
        starts.append((steps[:, None] + stretch.starts).reshape(-1))
        sizes.append(np.tile(stretch.sizes, stretch.repeats))
    return np.concatenate(starts), np.concatenate(sizes)
