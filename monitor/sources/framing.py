"""Where the records lie in a stretch of an event file, and whether their checksums are right.

A record is framed as in TensorFlow's record files (source: tensorflow/core/lib/io/record_writer.h)::

    | size: uint64 | masked CRC-32C of size: uint32 | payload: size bytes | masked CRC-32C of payload: uint32 |

all little-endian. Trainers write the same few tags step after step, so the sizes of the records repeat with a short
period. The scan follows the sizes one by one until it sees the period, predicts where all the following headers must
lie, and checks the predicted headers in bulk; it falls back to one by one where the prediction ends.
"""

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import google_crc32c
import numpy as np
import numpy.typing as npt

HEADER_BYTES = 12
FRAME_BYTES = 16  # what a record takes beside its payload
MAX_RECORD_BYTES = (1 << 31) - 1  # protobuf's own limit: a larger size can only be damage
LARGEST_RECORD_BYTES = 256 << 20  # a larger one holds media or a graph; it is passed over unread

_FIRST_LOOK = 32  # records followed one by one before a period is looked for
_LAST_LOOK = 8192
_WORTHWHILE = 1024  # records that a prediction has to save from being followed one by one
_FEWEST_REPEATS = 4
_MOST_PERIODS = 16  # candidates that are compared in one look
_FIRST_CHUNK = 128  # repeats verified at first, together; grows, so that a period that ends at once costs little

unpack_header = struct.Struct("<QI").unpack_from
unpack_crc = struct.Struct("<I").unpack_from

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring records with one rule for where they lie.

    Args:
        starts: Offsets of the records' headers in the buffer, shape ``(n_records,)`` for records followed one by
            one, ``(period,)`` for the first repeat of a period.
        sizes: Payload sizes of the same.
        stride: Bytes from one repeat to the next.
        repeats: How often the period occurs; 1 for records followed one by one.
    """

    starts: Offsets
    sizes: Offsets
    stride: int = 0
    repeats: int = 1


@dataclass(slots=True)
class Scan:
    """What a scan found: the stretches, where it stopped, and whether it stopped at damage."""

    stretches: list[Stretch] = field(default_factory=list)
    stop: int = 0
    damaged: bool = False


def masked_crc(content: bytes) -> int:
    """Return the masked CRC-32C of a record file.

    Source: tensorflow/core/lib/hash/crc32c.h: rotate right by 15 bits and add a constant.
    """
    crc = int(google_crc32c.value(content))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFF_FFFF


def unmasked(masked: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return the plain CRC-32C of masked ones, shape ``(n,)``."""
    rotated = masked - np.uint32(0xA282EAD8)
    return (rotated >> np.uint32(17)) | (rotated << np.uint32(15))


def payload_is_right(buffer: memoryview, start: int, size: int) -> bool:
    """Return whether the checksum of one whole record's payload is right."""
    begin = start + HEADER_BYTES
    (stored,) = unpack_crc(buffer, begin + size)
    return masked_crc(bytes(buffer[begin : begin + size])) == int(stored)


class Framer:
    """Finds the records of successive stretches of one file; remembers the checksums of the sizes it has met."""

    def __init__(self) -> None:
        self._size_crc: dict[int, int] = {}

    def scan(self, array: Bytes, start: int, end: int) -> Scan:
        """Return the whole records in ``array[start:end]``; stops at the first that is incomplete or damaged."""
        found = Scan(stop=start)
        look = _FIRST_LOOK
        while True:
            starts, stop, ended, damaged = self.follow(array.data, found.stop, end, look)
            offsets = np.array(starts, np.int64)
            sizes = np.array([*starts[1:], stop], np.int64) - offsets - FRAME_BYTES if starts else offsets
            if starts:
                found.stretches.append(Stretch(offsets, sizes))
            found.stop, found.damaged = stop, damaged
            if ended:
                return found
            period = _period(sizes)
            repeated = self._continue_period(array, found.stretches[-1], period, end) if period else None
            if repeated is not None:
                found.stop = int(repeated.starts[0]) + repeated.stride * repeated.repeats
                followed = int(np.searchsorted(offsets, repeated.starts[0]))
                found.stretches[-1:] = (
                    [Stretch(offsets[:followed], sizes[:followed]), repeated] if followed else [repeated]
                )
            pays = repeated is not None and repeated.repeats * period >= _WORTHWHILE
            look = max(_FIRST_LOOK, 2 * period + 2) if pays else min(look * 2, _LAST_LOOK)

    def header_is_right(self, size: int, crc: int) -> bool:
        """Return whether a header's checksum belongs to its size and the size is possible at all."""
        known = self._size_crc.get(size)
        if known is None:
            known = masked_crc(struct.pack("<Q", size))
            if known == crc and len(self._size_crc) < 100_000:
                self._size_crc[size] = known
        return known == crc and size <= MAX_RECORD_BYTES

    def follow(
        self, view: memoryview, at: int, end: int, limit: int = sys.maxsize
    ) -> tuple[list[int], int, bool, bool]:
        """Follow up to `limit` records one by one.

        Returns:
            Offsets of their headers, offset behind the last, whether nothing more can be followed, and whether that
            is because of damage.
        """
        starts: list[int] = []
        known = self._size_crc
        while len(starts) < limit:
            if at + HEADER_BYTES > end:
                return starts, at, True, False
            size, crc = unpack_header(view, at)
            if known.get(size) != crc and not self.header_is_right(size, crc):
                return starts, at, True, True
            behind = at + FRAME_BYTES + size
            if behind > end:
                return starts, at, True, False
            starts.append(at)
            at = behind
        return starts, at, False, False

    def _continue_period(self, array: Bytes, followed: Stretch, period: int, end: int) -> Stretch | None:
        """Return the repeats of a period: those that were followed one by one and those that lie behind them.

        The first repeat begins with the first of the followed records that fits, so that a trainer's logging steps
        are taken whole.

        Returns:
            None when too few follow.
        """
        first = len(followed.starts) - _periodic(followed.sizes, period)
        known = (len(followed.starts) - first) // period
        offsets, sizes = followed.starts[first : first + period], followed.sizes[first : first + period]
        stride = int(sizes.sum()) + period * FRAME_BYTES
        more = self._predict(array, offsets + known * stride, end, sizes, stride)
        return Stretch(offsets, sizes, stride, known + more) if more >= _FEWEST_REPEATS else None

    def _predict(self, array: Bytes, offsets: Offsets, end: int, sizes: Offsets, stride: int) -> int:
        """Return how often records of these sizes follow each other, the first time at these offsets."""
        possible = (end - int(offsets[0])) // stride
        checked, chunk = 0, _FIRST_CHUNK
        while checked < possible:
            count = min(chunk, possible - checked)
            right = self._count_right(array, offsets + checked * stride, sizes, stride, count)
            checked += right
            if right < count:
                break
            chunk *= 8
        return checked

    def _count_right(self, array: Bytes, offsets: Offsets, sizes: Offsets, stride: int, count: int) -> int:
        """Return how many of the next `count` repeats have all their headers as predicted."""
        if count <= _FIRST_CHUNK:
            return _count_like_first(array, offsets - stride, stride, count)
        for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True):
            header = np.ndarray((count,), np.uint64, array, offset, (stride,))
            crc = np.ndarray((count,), np.uint32, array, offset + 8, (stride,))
            wrong = (header != np.uint64(size)) | (crc != np.uint32(self._size_crc[size]))
            first = int(wrong.argmax()) if wrong.size else 0
            if wrong.size and wrong[first]:
                count = first
            if not count:
                break
        return count


def find_next_header(framer: Framer, array: Bytes, start: int, end: int) -> tuple[int, bool] | None:
    """Return where the framing can be found again behind damage.

    A place counts when its header's checksum is right and its payload's too. One whose payload is not complete yet
    may count: the search stops there until more is known.

    Returns:
        Offset of the first such place at or behind `start` and whether its payload is there; None without one in
        ``array[start:end]``.
    """
    view = array.data
    for at, size in _candidates(framer, array, start, end):
        complete = at + FRAME_BYTES + size <= end
        if (not complete and size <= LARGEST_RECORD_BYTES) or (complete and payload_is_right(view, at, size)):
            return at, complete
    return None


def _candidates(framer: Framer, array: Bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield offset and size of every place whose header checksum is right, in order.

    A size below 2^32 leaves four zero bytes, which few places have; only those are looked at.
    """
    count = end - start - HEADER_BYTES + 1
    if count <= 0:
        return
    high = np.ndarray((count,), np.uint32, array, start + 4, (1,))
    places = np.flatnonzero(high == 0)
    sizes = np.ndarray((count,), np.uint32, array, start, (1,))[places]
    crcs = np.ndarray((count,), np.uint32, array, start + 8, (1,))[places]
    for place, size, crc in zip(places.tolist(), sizes.tolist(), crcs.tolist(), strict=True):
        if size and framer.header_is_right(size, crc):
            yield start + place, size


def _count_like_first(array: Bytes, offsets: Offsets, stride: int, count: int) -> int:
    """Return how many of `count` repeats have the headers of the one before them, which lies at these offsets."""
    places = ((offsets - offsets[0])[:, None] + np.arange(HEADER_BYTES)).reshape(-1)
    rows: Bytes = np.ndarray((count + 1, stride), np.uint8, array, int(offsets[0]), (stride, 1))
    headers = rows[:, places]
    wrong = (headers[1:] != headers[0]).any(axis=1)
    return int(wrong.argmax()) if wrong.any() else count


def _periodic(sizes: Offsets, period: int) -> int:
    """Return how many of the newest records' sizes repeat with a period, its first time included."""
    unlike = np.flatnonzero(sizes[period:] != sizes[:-period])
    return len(sizes) - (int(unlike[-1]) + 1 if len(unlike) else 0)


def _period(sizes: Offsets) -> int:
    """Return the shortest period of the newest records' sizes, 0 without one."""
    candidates = len(sizes) - 1 - np.flatnonzero(sizes[:-1] == sizes[-1])[::-1]
    for period in candidates[:_MOST_PERIODS].tolist():
        if 2 * period <= len(sizes) and np.array_equal(sizes[-period:], sizes[-2 * period : -period]):
            return int(period)
    return 0
