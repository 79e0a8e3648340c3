"""A period of records, as a trainer writes it at every step, read as if it were one long record.

In a short file each tag has few points, so that taking the records tag by tag costs more in calls than in work. Here
the repeats of a period are the rows of one table: one comparison, one look-up of checksums and one gathering of each
kind of figure serve all tags together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import google_crc32c
import numpy as np
import numpy.typing as npt

from monitor.schema import Floats, Steps
from monitor.sources.columns import Piece, effects_of
from monitor.sources.framing import HEADER_BYTES, Bytes, Offsets, Stretch, unmasked
from monitor.sources.wire import Layout, Slot

WIDEST_PERIOD = 1 << 16  # bytes; a longer one has so many tags that calls do not matter
_VALUE = "<f4"

Places = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Period:
    """The records of one repeat, all of them plain scalars whose steps take equally many bytes.

    Positions count from the first byte of the repeat.

    Args:
        payloads: Content of each record of the first repeat.
        slots: Record and place of each scalar.
        begins: Where each payload begins, shape ``(n_records,)``.
        ends: The byte behind each payload.
        walls: Bytes of the wall times, shape ``(n_records × 8,)``.
        steps: Bytes of the steps, shape ``(n_records × step_size,)``; empty where they are left out, for step 0.
        values: Bytes of the values, shape ``(n_slots × 4,)``.
    """

    payloads: Sequence[bytes]
    slots: Sequence[tuple[int, Slot]]
    begins: Places
    ends: Places
    walls: Places
    steps: Places
    values: Places

    @staticmethod
    def of(payloads: Sequence[bytes], layouts: Sequence[Layout], stretch: Stretch) -> "Period | None":
        """Return the period that the first records of a stretch form; None when it is not of that kind."""
        slots = [(number, slot) for number, layout in enumerate(layouts) for slot in layout.slots]
        sizes = {layout.step_size for layout in layouts}
        plain = {slot.dtype for _, slot in slots} == {_VALUE} and all(layout.wall_start for layout in layouts)
        if not plain or len(sizes) != 1 or stretch.stride > WIDEST_PERIOD:
            return None
        begins = stretch.starts - stretch.starts[0] + HEADER_BYTES
        return Period(
            payloads,
            slots,
            begins,
            begins + stretch.sizes,
            _bytes_at(begins + np.array([layout.wall_start or 0 for layout in layouts]), 8),
            _bytes_at(begins + np.array([layout.step_start or 0 for layout in layouts]), sizes.pop()),
            _bytes_at(np.array([begins[number] + slot.value_start for number, slot in slots]), 4),
        )

    @property
    def checksums(self) -> Places:
        """Bytes of the stored checksums, shape ``(n_records × 4,)``."""
        return _bytes_at(self.ends, 4)

    def fixed_bits(self, stride: int) -> Bytes:
        """Return the bits that are the same in every repeat, its tags among them, shape ``(stride,)``."""
        fixed = np.full(stride, 0xFF, np.uint8)
        fixed[self.walls] = fixed[self.values] = fixed[self.checksums] = 0
        fixed[self.steps] = 0x80  # the continuation bits are layout
        return fixed


@dataclass(frozen=True, slots=True, eq=False)
class PeriodPoints:
    """What the repeats of a period hold.

    Args:
        pieces: The points by tag.
        wall_time: The times of all undamaged events.
        damaged: Offset in the file and payload size of the damaged records.
    """

    pieces: list[Piece]
    wall_time: Floats
    damaged: list[tuple[int, int]]


def decode_period(array: Bytes, stretch: Stretch, base: int, period: Period) -> PeriodPoints | None:
    """Return the points of a stretch.

    Args:
        array: The block.
        stretch: The repeats of the period in it.
        base: Offset of the block in the file.
        period: What the first repeat holds.

    Returns:
        None when a repeat differs in more than its figures: then the records have to be told apart one by one.
    """
    shape = (stretch.repeats, stretch.stride)
    table: Bytes = np.ndarray(shape, np.uint8, array, int(stretch.starts[0]), (stretch.stride, 1))
    changes = table ^ table[0]
    changed = np.bitwise_or.reduce(changes, axis=0)
    if (changed & period.fixed_bits(stretch.stride)).any():
        return None
    right = _checksums_right(period, table, changes, changed)
    offsets = base + stretch.starts + np.arange(stretch.repeats, dtype=np.int64)[:, None] * stretch.stride
    wall_time: Floats = np.ascontiguousarray(table[:, period.walls]).view("<f8")
    pieces = _pieces(period, table, offsets, wall_time, None if right.all() else right)
    repeats, records = np.nonzero(~right)
    damaged = zip(offsets[repeats, records].tolist(), stretch.sizes[records].tolist(), strict=True)
    return PeriodPoints(pieces, wall_time[right], list(damaged))


def _bytes_at(begins: npt.NDArray[np.integer], width: int) -> Places:
    """Return the positions of fields of `width` bytes that begin at these, shape ``(n_fields × width,)``."""
    found: Places = (begins[:, None] + np.arange(width)).reshape(-1)
    return found


def _checksums_right(period: Period, table: Bytes, changes: Bytes, changed: Bytes) -> Mask:
    """Return which records have the right payload checksum, shape ``(n_repeats, n_records)``."""
    varying = changed != 0
    varying[period.checksums] = False
    varying[period.ends - 1] = True  # of every record at least one byte, so that none of the sums below is over nothing
    columns = np.flatnonzero(varying)
    records = np.searchsorted(period.ends, columns, side="right")
    effects = effects_of(max(map(len, period.payloads)))[period.ends[records] - 1 - columns]
    looked_up = effects[np.arange(len(columns)), changes[:, columns]]
    first = np.array([google_crc32c.value(payload) for payload in period.payloads], np.uint32)
    crc = first ^ np.bitwise_xor.reduceat(looked_up, np.searchsorted(columns, period.begins), axis=1)
    right: Mask = unmasked(np.ascontiguousarray(table[:, period.checksums]).view("<u4")) == crc
    return right


def _pieces(period: Period, table: Bytes, offsets: Offsets, wall_time: Floats, right: Mask | None) -> list[Piece]:
    """Return the points by tag; those of records that are not `right` are left out."""
    step = _steps(period, table)
    value: Floats = np.ascontiguousarray(table[:, period.values]).view(_VALUE).astype(np.float64)
    pieces = []
    for column, (number, slot) in enumerate(period.slots):
        rows = slice(None) if right is None else right[:, number]
        tag = period.payloads[number][slot.tag_start : slot.tag_end]
        pieces.append(
            Piece(tag, offsets[rows, number], step[rows, number], wall_time[rows, number], value[rows, column])
        )
    return pieces


def _steps(period: Period, table: Bytes) -> Steps:
    """Return the steps, shape ``(n_repeats, n_records)``; a varint is little-endian in groups of seven bits."""
    groups = table[:, period.steps].reshape(len(table), len(period.payloads), -1).astype(np.uint64) & np.uint64(0x7F)
    step = np.zeros(groups.shape[:2], np.uint64)
    for index in range(groups.shape[2]):
        step |= groups[:, :, index] << np.uint64(7 * index)
    return step.view(np.int64)
