"""A period of records, as a trainer writes it at every step, read as if it were one long record.

In a short file each tag has few points, so that taking the records tag by tag costs more in calls than in work. Here
the repeats of a period are the rows of one table: one comparison, one look-up of checksums and one gathering of each
kind of figure serve all tags together.
"""

from dataclasses import dataclass

import google_crc32c
import numpy as np
import numpy.typing as npt

from monitor.schema import Floats, Steps
from monitor.sources.columns import Model, Piece, effects_of
from monitor.sources.framing import HEADER_BYTES, Bytes, Offsets, Stretch, unmasked

WIDEST_PERIOD = 1 << 16  # bytes; a longer one has so many tags that calls do not matter
_VALUE = "<f4"

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Period:
    """The records of one repeat, all of them plain scalars whose steps take equally many bytes.

    Args:
        models: One per record.
        starts: Where the payload of each begins in the period, shape ``(n_records,)``.
        step_size: Bytes of the steps.
    """

    models: tuple[Model, ...]
    starts: Places
    step_size: int

    @staticmethod
    def of(models: tuple[Model, ...], stretch: Stretch) -> "Period | None":
        """Return the period that these records of a stretch form; None when it is not of that kind."""
        layouts = [model.layout for model in models]
        sizes = {layout.step_size for layout in layouts}
        plain = all(
            layout.wall_start is not None and all(slot.dtype == _VALUE for slot in layout.slots) for layout in layouts
        )
        if not plain or len(sizes) != 1 or stretch.stride > WIDEST_PERIOD:
            return None
        return Period(models, stretch.starts - stretch.starts[0] + HEADER_BYTES, sizes.pop())

    def places(self, offsets: list[int | None], width: int) -> Places:
        """Return where a field of `width` bytes of each record lies in the period, shape ``(n_records × width,)``."""
        begins = self.starts + np.array([offset or 0 for offset in offsets])
        found: Places = (begins[:, None] + np.arange(width)).reshape(-1)
        return found


def decode_period(array: Bytes, stretch: Stretch, base: int, period: Period) -> tuple[list[Piece], Offsets] | None:
    """Return the points of a stretch by tag, and where its damaged records begin in the file.

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
    if (changed & _fixed(period, stretch.stride)).any():
        return None
    right = _checksums(period, table, changes, changed)
    offsets = base + stretch.starts + np.arange(stretch.repeats, dtype=np.int64)[:, None] * stretch.stride
    return _pieces(period, table, offsets, right), offsets[~right]


def _fixed(period: Period, stride: int) -> Bytes:
    """Return the bits of a period that are the same in every repeat, its tags among them, shape ``(stride,)``."""
    fixed = np.zeros(stride, np.uint8)  # headers were compared by the framing
    for model, start in zip(period.models, period.starts.tolist(), strict=True):
        fixed[start : start + len(model.payload)] = model.fixed
        for slot in model.layout.slots:
            fixed[start + slot.tag_start : start + slot.tag_end] = 0xFF
    return fixed


def _checksums(period: Period, table: Bytes, changes: Bytes, changed: Bytes) -> npt.NDArray[np.bool_]:
    """Return which records have the right payload checksum, shape ``(n_repeats, n_records)``."""
    sizes = np.array([len(model.payload) for model in period.models])
    # At least one byte of every record is looked up, so that none of the sums below is over nothing.
    varying = [
        np.union1d(np.flatnonzero(changed[start : start + size]), [size - 1])
        for start, size in zip(period.starts.tolist(), sizes.tolist(), strict=True)
    ]
    counts = [len(places) for places in varying]
    from_end = np.concatenate([size - 1 - places for size, places in zip(sizes.tolist(), varying, strict=True)])
    columns = np.concatenate([start + places for start, places in zip(period.starts, varying, strict=True)])
    effects = effects_of(int(sizes.max()))[from_end]
    looked_up = effects[np.arange(len(columns)), changes[:, columns]]
    first = np.array([int(google_crc32c.value(model.payload)) for model in period.models], np.uint32)
    crc = first ^ np.bitwise_xor.reduceat(looked_up, np.cumsum([0, *counts[:-1]]), axis=1)
    behind = ((period.starts + sizes)[:, None] + np.arange(4)).reshape(-1)
    right: npt.NDArray[np.bool_] = unmasked(np.ascontiguousarray(table[:, behind]).view("<u4")) == crc
    return right


def _pieces(period: Period, table: Bytes, offsets: Offsets, right: npt.NDArray[np.bool_]) -> list[Piece]:
    walls = period.places([model.layout.wall_start for model in period.models], 8)
    wall_time: Floats = np.ascontiguousarray(table[:, walls]).view("<f8")
    step = _steps(period, table)
    slots = [(number, slot) for number, model in enumerate(period.models) for slot in model.layout.slots]
    begins = np.array([period.starts[number] + slot.value_start for number, slot in slots])
    places = (begins[:, None] + np.arange(4)).reshape(-1)
    value: Floats = np.ascontiguousarray(table[:, places]).view(_VALUE).astype(np.float64)
    whole = bool(right.all())
    pieces = []
    for column, (number, slot) in enumerate(slots):
        rows = slice(None) if whole else right[:, number]
        tag = period.models[number].payload[slot.tag_start : slot.tag_end]
        pieces.append(
            Piece(tag, offsets[rows, number], step[rows, number], wall_time[rows, number], value[rows, column])
        )
    return pieces


def _steps(period: Period, table: Bytes) -> Steps:
    """Return the steps, shape ``(n_repeats, n_records)``; a varint is little-endian in groups of seven bits."""
    step = np.zeros((len(table), len(period.models)), np.uint64)
    if period.step_size:
        places = period.places([model.layout.step_start for model in period.models], period.step_size)
        groups = table[:, places].reshape(*step.shape, period.step_size).astype(np.uint64) & np.uint64(0x7F)
        for index in range(period.step_size):
            step |= groups[:, :, index] << np.uint64(7 * index)
    return step.view(np.int64)
