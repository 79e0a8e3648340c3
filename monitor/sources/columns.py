"""Records of one layout → columns, and columns that grow.

Records that differ in nothing but their figures are read together: the bytes they share are compared with those of one
of them, eight at a time, and the figures are gathered as strided views over the buffer. Nothing is made per scalar.
The checksum of every payload is verified on the way. A CRC is linear, so that of a record is the one of its model,
corrected by a table look-up for each byte that differs from it. Source: Ross N. Williams, "A painless guide to CRC
error detection algorithms" (1993), on which the polynomial's linearity is explained.
"""

import functools
import math
from dataclasses import dataclass

import google_crc32c
import numpy as np
import numpy.typing as npt

from monitor.schema import MAX_SESSION, Floats, Sessions, Steps
from monitor.sources.framing import HEADER_BYTES, Bytes, Offsets, unmasked
from monitor.sources.wire import Layout, Slot

_CRC32C_POLYNOMIAL = 0x82F63B78  # reflected; source: RFC 3720, appendix B.4
_EFFECT_ROWS = 128  # tables are made for payloads of this many bytes, or a multiple
_FOLD = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits spread evenly: 2^64 divided by the golden ratio
_FEW_ROWS = 2048  # below, one operation on a table is faster than many on its columns
_LONG_COLUMN = 10_000
_GROWTH = 8  # a growing column keeps an eighth of its length to spare

Mask = npt.NDArray[np.bool_]
Crcs = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Rows:
    """Records of one size at equal distances in a buffer.

    Args:
        buffer: The bytes.
        start: Offset of the first payload.
        stride: Bytes from one payload to the next.
        count: Number of records.
        size: Bytes of one payload.
        offsets: Where each record begins in its file, shape ``(count,)``.
    """

    buffer: Bytes
    start: int
    stride: int
    count: int
    size: int
    offsets: Offsets

    def field(self, at: int, dtype: str) -> npt.NDArray[np.generic]:
        """Return the field at byte `at` of each payload as a strided view, shape ``(count,)``."""
        return np.ndarray((self.count,), dtype, self.buffer, self.start + at, (self.stride,))

    @property
    def table(self) -> Bytes:
        """The payloads as a strided view, shape ``(count, size)``."""
        return np.ndarray((self.count, self.size), np.uint8, self.buffer, self.start, (self.stride, 1))

    def payload(self, row: int) -> bytes:
        """Return one payload."""
        begin = self.start + row * self.stride
        return self.buffer[begin : begin + self.size].tobytes()

    def checksum(self, row: int) -> int:
        """Return the masked checksum stored behind one payload."""
        begin = self.start + row * self.stride + self.size
        return int.from_bytes(self.buffer[begin : begin + 4].tobytes(), "little")

    def chosen(self, mask: Mask) -> "Rows":
        """Return the rows where `mask` is true, copied together with their checksums."""
        if mask.all():
            return self
        width = self.size + 4
        table = np.ndarray((self.count, width), np.uint8, self.buffer, self.start, (self.stride, 1))[mask]
        return Rows(table.reshape(-1), 0, width, len(table), self.size, self.offsets[mask])


def gather(array: Bytes, starts: Offsets, size: int, base: int) -> Rows:
    """Return records of one size that lie anywhere as rows of equal distance.

    Args:
        array: The buffer.
        starts: Offsets of their headers in it, shape ``(count,)``.
        size: Bytes of one payload.
        base: Offset of the buffer in its file.
    """
    width = size + 4
    windows: Bytes = np.ndarray((len(array) - width + 1, width), np.uint8, array, 0, (1, 1))
    table = windows[starts + HEADER_BYTES]
    return Rows(table.reshape(-1), 0, width, len(starts), size, starts + base)


@dataclass(frozen=True, slots=True)
class Piece:
    """Points of one tag, in the order of the file; all columns have shape ``(n_points,)``.

    `offsets` tells where in the file each point's record begins.
    """

    tag: bytes
    offsets: Offsets
    step: Steps
    wall_time: Floats
    value: Floats

    def part(self, tag: bytes, first: int, last: int) -> "Piece":
        """Return some of the points under a name, as views."""
        cut = slice(first, last)
        return Piece(tag, self.offsets[cut], self.step[cut], self.wall_time[cut], self.value[cut])

    def rows(self, order: npt.NDArray[np.intp]) -> "Piece":
        """Return the points in another order."""
        return Piece(self.tag, self.offsets[order], self.step[order], self.wall_time[order], self.value[order])


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One record that others are compared with.

    Args:
        payload: Its content.
        layout: Where its figures lie.
        array: The content as bytes, shape ``(size,)``.
        fixed: The bits of it that are the same in all records of the layout, shape ``(size,)``.
    """

    payload: bytes
    layout: Layout
    array: Bytes
    fixed: Bytes

    @staticmethod
    def of(payload: bytes, layout: Layout) -> "Model":
        """Return the model that a payload makes."""
        return Model(payload, layout, np.frombuffer(payload, np.uint8), ~_free_bits(layout, len(payload)))


def changed_bits(rows: Rows, model: Model) -> Bytes:
    """Return in which bits any row differs from a model of the same size, shape ``(size,)``."""
    if rows.count < _FEW_ROWS:
        few: Bytes = np.bitwise_or.reduce(rows.table ^ model.array, axis=0)
        return few
    changed = np.zeros(rows.size, np.uint8)
    for at, width in _words(rows.size):
        words = rows.field(at, f"<u{width}") ^ model.array[at : at + width].view(f"<u{width}")[0]
        changed[at : at + width] |= np.frombuffer(np.bitwise_or.reduce(words).tobytes(), np.uint8)
    return changed


def matching(rows: Rows, model: Model, changed: Bytes) -> Mask | None:
    """Return which rows have the layout of a model, whatever their figures and tags, shape ``(count,)``.

    Returns:
        None when all do, which is the usual case and the quick one.
    """
    if not (changed & model.fixed).any():
        return None
    unlike = (rows.table ^ model.array) & model.fixed
    alike: Mask = np.bitwise_or.reduce(unlike, axis=1) == 0
    return alike


def checksums_right(rows: Rows, model: Model, changed: Bytes) -> Mask:
    """Return which rows, all of the layout of a model, have the right payload checksum, shape ``(count,)``.

    Only the bytes that differ from the model's anywhere are looked up: most do not, those of a tag, say.
    """
    varying = np.flatnonzero(changed)
    effects = effects_of(rows.size)[rows.size - 1 - varying]
    crc = np.full(rows.count, int(google_crc32c.value(model.payload)), np.uint32)
    if rows.count < _FEW_ROWS:
        changes = (rows.table ^ model.array)[:, varying]
        crc ^= np.bitwise_xor.reduce(effects[np.arange(len(varying)), changes], axis=1)
    else:
        for effect, at in zip(effects, varying.tolist(), strict=True):
            # An index of one byte cannot leave the table; "wrap" saves the check.
            crc ^= effect.take(rows.field(at, "u1") ^ model.array[at], mode="wrap")
    stored = rows.field(rows.size, "<u4").astype(np.uint32)
    right: Mask = unmasked(stored) == crc
    return right


def decode(rows: Rows, layout: Layout) -> tuple[list[Piece], Floats]:
    """Return the points of rows that have the given layout, by tag, and the time of each row, shape ``(count,)``."""
    wall_time = np.zeros(rows.count)
    if layout.wall_start is not None:
        wall_time[:] = rows.field(layout.wall_start, "<f8")
    step = _steps(rows, layout)
    pieces = []
    for slot in layout.slots:
        value = rows.field(slot.value_start, slot.dtype).astype(np.float64)
        pieces += _by_tag(rows, slot, step, wall_time, value)
    return pieces, wall_time


def fixed_bits(layout: Layout, size: int) -> int:
    """Return which bits of a payload, as one little-endian number, are the same in all records of a layout."""
    return int.from_bytes((~_free_bits(layout, size)).tobytes(), "little")


def _free_bits(layout: Layout, size: int) -> Bytes:
    """Return a mask over the payload that is 1 where records of this layout may differ, shape ``(size,)``."""
    free = np.zeros(size, np.uint8)
    if layout.wall_start is not None:
        free[layout.wall_start : layout.wall_start + 8] = 0xFF
    if layout.step_start is not None:
        free[layout.step_start : layout.step_start + layout.step_size] = 0x7F  # the continuation bits are layout
    for slot in layout.slots:
        free[slot.tag_start : slot.tag_end] = 0xFF
        free[slot.value_start : slot.value_start + np.dtype(slot.dtype).itemsize] = 0xFF
    return free


def _words(size: int) -> list[tuple[int, int]]:
    """Return offset and width of words that cover `size` bytes; the last may overlap the one before."""
    width = next(width for width in (8, 4, 2, 1) if width <= size)
    starts = range(0, size - width + 1, width)
    return [(at, width) for at in starts] + ([(size - width, width)] if size % width else [])


def effects_of(size: int) -> Crcs:
    """Return how a changed byte of a payload of at most `size` bytes changes its CRC, shape ``(≥ size, 256)``.

    Row 0 is for the last byte of a payload, row 1 for the one before it, and so on.
    """
    return _effects(-(-size // _EFFECT_ROWS) * _EFFECT_ROWS)


@functools.lru_cache(maxsize=32)  # as many as payloads up to the widest row can ask for
def _effects(length: int) -> Crcs:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(_CRC32C_POLYNOMIAL), np.uint32(0))
    effects = np.empty((length, 256), np.uint32)
    effects[0] = table
    for row in range(1, length):
        before = effects[row - 1]
        effects[row] = (before >> np.uint32(8)) ^ table[before & np.uint32(0xFF)]
    return effects


def _steps(rows: Rows, layout: Layout) -> Steps:
    """Return the steps, shape ``(count,)``; a varint is little-endian in groups of seven bits."""
    step = np.zeros(rows.count, np.uint64)
    if layout.step_start is not None:
        for index in range(layout.step_size):
            group = rows.field(layout.step_start + index, "u1").astype(np.uint64) & np.uint64(0x7F)
            step |= group << np.uint64(7 * index)
    return step.view(np.int64)


def _by_tag(rows: Rows, slot: Slot, step: Steps, wall_time: Floats, value: Floats) -> list[Piece]:
    """Split the points of one slot by the tag that each row names."""
    first = rows.payload(0)[slot.tag_start : slot.tag_end]
    places = _words(len(first)) if first else []
    words = [rows.field(slot.tag_start + at, f"<u{width}") for at, width in places]
    if all(bool((word == word[0]).all()) for word in words):
        return [Piece(first, rows.offsets, step, wall_time, value)]
    pieces = []
    for chosen in _groups(words):
        tag = rows.payload(int(chosen[0]))[slot.tag_start : slot.tag_end]
        pieces.append(Piece(tag, rows.offsets[chosen], step[chosen], wall_time[chosen], value[chosen]))
    return pieces


def _groups(words: list[npt.NDArray[np.generic]]) -> list[npt.NDArray[np.intp]]:
    """Return the rows of each distinct combination of `words`, rows in order.

    The words of a row are folded into one number, by which the rows are sorted; neighbours that differ in any word
    begin a new group, so that two combinations with the same number are still told apart as long as they do not
    alternate, and the odd one that does only makes one more group of the same tag.
    """
    folded = np.zeros(len(words[0]), np.uint64)
    for word in words:
        folded = (folded ^ word.astype(np.uint64)) * _FOLD
        folded ^= folded >> np.uint64(29)
    order = np.argsort(folded, kind="stable")
    begins = np.zeros(len(order), np.bool_)
    for word in words:
        ordered = word[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    return np.split(order, np.flatnonzero(begins))


class Column:
    """The points of one tag in one file; grows at its end.

    Views handed out stay as they are: what is appended lies behind them, or in a new array.
    """

    __slots__ = ("_arrays", "_count", "session_rows")

    def __init__(self) -> None:
        self._arrays: tuple[Steps, Floats, Floats] = (np.empty(0, np.int64), np.empty(0), np.empty(0))
        self._count = 0
        self.session_rows: list[tuple[int, int]] = []  # (first row, session within the file), from the first point on

    def __len__(self) -> int:
        return self._count

    @property
    def newest_session(self) -> int:
        """Session within the file of the newest point."""
        return self.session_rows[-1][1] if self.session_rows else 0

    @property
    def step(self) -> Steps:
        """The steps, shape ``(n_points,)``."""
        return self._arrays[0][: self._count]

    @property
    def wall_time(self) -> Floats:
        """The wall times in seconds UTC, shape ``(n_points,)``."""
        return self._arrays[1][: self._count]

    @property
    def value(self) -> Floats:
        """The values, shape ``(n_points,)``."""
        return self._arrays[2][: self._count]

    def sessions(self, first: int) -> Sessions:
        """Return the sessions of the points, shape ``(n_points,)``, when the file begins in session `first`."""
        if not self.session_rows and self._count > _LONG_COLUMN:  # costs the same whatever the length
            return np.broadcast_to(np.int16(min(first, MAX_SESSION)), self._count)
        sessions = np.full(self._count, min(first, MAX_SESSION), np.int16)
        for row, number in self.session_rows:
            sessions[row:] = min(first + number, MAX_SESSION)
        return sessions

    def extend(self, piece: Piece, read_share: float = 1.0) -> None:
        """Append points.

        Args:
            piece: The points.
            read_share: Share of the file that has been read with them; room is made for as many as it promises.
        """
        total = self._count + len(piece.step)
        if total > len(self._arrays[0]):
            self._grow(max(total + total // _GROWTH, math.ceil(total / read_share)))
        for array, added in zip(self._arrays, (piece.step, piece.wall_time, piece.value), strict=True):
            array[self._count : total] = added
        self._count = total

    def _grow(self, capacity: int) -> None:
        grown = (np.empty(capacity, np.int64), np.empty(capacity), np.empty(capacity))
        for new, old in zip(grown, self._arrays, strict=True):
            new[: self._count] = old[: self._count]
        self._arrays = grown
