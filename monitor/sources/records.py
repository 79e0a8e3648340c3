"""Records of one size → points by tag, damage, and the records that hold something else than scalars."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from monitor.schema import Floats
from monitor.sources.columns import Model, Piece, Rows, changed_bits, checksums_right, decode, fixed_bits, matching
from monitor.sources.framing import FRAME_BYTES, HEADER_BYTES, Bytes, Stretch, masked_crc, unpack_crc, unpack_header
from monitor.sources.periods import Period, decode_period
from monitor.sources.wire import (
    Layout,
    WireError,
    plain_layout,
    read_layout,
    read_plain,
    read_step,
    read_value,
    read_wall_time,
)

KEPT_PLUGINS = ("text", "hparams")  # what `extras` reads

_FEWEST_ROWS = 40  # below, one by one is faster
_MOST_LAYOUTS = 32  # tried on the records of one size before the rest is decoded one by one
_WIDEST_ROW = 4096  # bytes; larger payloads are decoded one by one


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that holds text or hyper-parameters.

    Args:
        offset: Where it begins in the file.
        size_bytes: Its size with framing.
        plugin: Whose it is: one of `KEPT_PLUGINS`.
    """

    offset: int
    size_bytes: int
    plugin: str


Single = tuple[bytes, int, int, float, float]
"""Tag, offset, step, wall time and value of a point that was decoded by itself."""


@dataclass(slots=True)
class Decoded:
    """What the records of one block hold.

    Args:
        pieces: Tag → its points, in pieces each of which is in the order of the file.
        singles: The points that were decoded one by one.
        damaged: Offset and payload size of the records whose content is damaged.
        kept: The records with text or hyper-parameters.
        doubtful: Offset and payload of records that wait for another one to say whether they are scalars.
        first_event: Time of the earliest event, inf without one.
        last_event: Time of the latest event, -inf without one.
    """

    pieces: dict[bytes, list[Piece]] = field(default_factory=dict)
    singles: list[Single] = field(default_factory=list)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    doubtful: list[tuple[int, bytes]] = field(default_factory=list)
    first_event: float = np.inf
    last_event: float = -np.inf

    def add(self, pieces: list[Piece], wall_time: Floats) -> None:
        """Add points and the times of their events, which may have any shape."""
        if not wall_time.size:
            return
        for piece in pieces:
            if len(piece.step):
                self.pieces.setdefault(piece.tag, []).append(piece)
        self.add_times(float(np.fmin.reduce(wall_time, axis=None)), float(np.fmax.reduce(wall_time, axis=None)))

    def add_times(self, earliest: float, latest: float) -> None:
        """Widen the range of event times."""
        self.first_event = min(self.first_event, earliest)
        self.last_event = max(self.last_event, latest)

    def by_tag(self) -> dict[str, Piece]:
        """Return the points of each tag in the order of the file; bytes that are no UTF-8 are spelled out."""
        pieces = dict(self.pieces)
        for single in _pieces(self.singles):
            pieces[single.tag] = [*pieces.get(single.tag, ()), single]
        several = [parts for parts in pieces.values() if len(parts) > 1]
        found = {tag: parts[0] for tag, parts in pieces.items() if len(parts) == 1}
        found.update((piece.tag, piece) for piece in _joined(several))
        return {tag.decode("utf-8", "backslashreplace"): piece for tag, piece in found.items()}


class Decoder:
    """Decodes the records of one file; remembers the layouts it has met and which tags were said to be scalars."""

    def __init__(self) -> None:
        self._scalar_tags: set[bytes] = set()
        self._layouts: dict[int, list[_Known]] = {}

    def decode(self, rows: Rows, into: Decoded) -> None:
        """Add what rows of one size hold, whatever their layouts."""
        for _ in range(_MOST_LAYOUTS):
            if rows.count < _FEWEST_ROWS or rows.size > _WIDEST_ROW:
                break
            payload = rows.payload(0)
            layout = self._layout(payload, rows.checksum(0))
            if layout is None or not layout.repeats:
                self._decode_one(payload, rows.checksum(0), int(rows.offsets[0]), into)
                rest = np.arange(rows.count) > 0
            else:
                model = Model.of(payload, layout)
                changed = changed_bits(rows, model)
                alike = matching(rows, model, changed)
                if alike is None:
                    self._decode_alike(rows, model, changed, into)
                    return
                self._decode_alike(rows.chosen(alike), model, changed, into)
                rest = ~alike
            rows = rows.chosen(rest)
        for row in range(rows.count):
            self._decode_one(rows.payload(row), rows.checksum(row), int(rows.offsets[row]), into)

    def decode_period(self, array: Bytes, stretch: Stretch, base: int, into: Decoded) -> bool:
        """Add what the repeats of a period hold; return False when they have to be told apart one by one."""
        period = self._period(array, stretch)
        decoded = decode_period(array, stretch, base, period) if period is not None else None
        if decoded is None:
            return False
        into.add(decoded.pieces, decoded.wall_time)
        into.damaged += decoded.damaged
        return True

    def _period(self, array: Bytes, stretch: Stretch) -> Period | None:
        """Return what the first repeat of a stretch holds; None when it is more than plain scalars."""
        payloads, layouts = [], []
        for start, size in zip(stretch.starts.tolist(), stretch.sizes.tolist(), strict=True):
            begin = start + HEADER_BYTES
            payload = array[begin : begin + size].tobytes()
            layout = self._layout(payload, unpack_crc(array.data, begin + size)[0])
            if layout is None or not layout.repeats:
                return None
            payloads.append(payload)
            layouts.append(layout)
        return Period.of(payloads, layouts, stretch)

    def decode_singly(self, buffer: memoryview, starts: list[int], base: int, into: Decoded) -> None:
        """Add what the records that begin at these places of a buffer hold, one by one."""
        for start in starts:
            size, _, begin = *unpack_header(buffer, start), start + HEADER_BYTES
            payload = bytes(buffer[begin : begin + size])
            self._decode_one(payload, unpack_crc(buffer, begin + size)[0], base + start, into)

    def settle(self, into: Decoded) -> None:
        """Decode the records that waited; to be called when all records of a block were seen."""
        for offset, payload in sorted(into.doubtful):
            self._add(payload, offset, read_layout(payload, self._scalar_tags), into)
        into.doubtful.clear()

    def _layout(self, payload: bytes, checksum: int) -> Layout | None:
        """Return where the figures of a payload lie, None when it is damaged."""
        if masked_crc(payload) != checksum:
            return None
        return plain_layout(payload) or self._other_layout(payload)

    def _other_layout(self, payload: bytes) -> Layout | None:
        """Return where the figures of an event lie that is not of the usual kind; None for what is no event."""
        known = self._layouts.setdefault(len(payload), [])
        bits = int.from_bytes(payload, "little")
        for one in known:
            if bits & one.fixed == one.model:
                self._learn_tags(one.layout, [payload[slot.tag_start : slot.tag_end] for slot in one.layout.slots])
                return one.layout
        try:
            layout = read_layout(payload, self._scalar_tags)
        except WireError:  # the checksum is right: it was never an event
            return None
        if layout.repeats and len(known) < _MOST_LAYOUTS:
            fixed = fixed_bits(layout, len(payload))
            known.append(_Known(layout, fixed, bits & fixed))
        return layout

    def _learn_tags(self, layout: Layout, tags: Iterable[bytes]) -> None:
        """Remember which tags an event has called scalars; later events of theirs need not say so."""
        if layout.names_scalars:
            self._scalar_tags.update(tags)

    def _decode_alike(self, rows: Rows, model: Model, changed: Bytes, into: Decoded) -> None:
        right = checksums_right(rows, model, changed)
        into.damaged += [(offset, rows.size) for offset in rows.offsets[~right].tolist()]
        pieces, wall_time = decode(rows.chosen(right), model.layout)
        self._learn_tags(model.layout, (piece.tag for piece in pieces))
        into.add(pieces, wall_time)

    def _decode_one(self, payload: bytes, checksum: int, offset: int, into: Decoded) -> None:
        if masked_crc(payload) != checksum:
            into.damaged.append((offset, len(payload)))
        elif (plain := read_plain(payload)) is not None:
            tag, step, wall_time, value = plain
            into.singles.append((tag, offset, step, wall_time, value))
            into.add_times(wall_time, wall_time)
        elif (layout := self._other_layout(payload)) is None:
            into.damaged.append((offset, len(payload)))
        elif layout.doubtful:
            into.doubtful.append((offset, payload))
        else:
            self._add(payload, offset, layout, into)

    def _add(self, payload: bytes, offset: int, layout: Layout, into: Decoded) -> None:
        """Add what one record holds."""
        wall_time, step = read_wall_time(payload, layout), read_step(payload, layout)
        into.add_times(wall_time, wall_time)
        for plugin in layout.plugins.intersection(KEPT_PLUGINS):
            into.kept.append(Kept(offset, len(payload) + FRAME_BYTES, plugin))
        for slot in layout.slots:
            tag = payload[slot.tag_start : slot.tag_end]
            into.singles.append((tag, offset, step, wall_time, read_value(payload, slot)))


@dataclass(frozen=True, slots=True)
class _Known:
    """A layout that other records may have.

    Args:
        layout: Where the figures lie.
        fixed: The bits of a payload, as one little-endian number, that belong to the layout.
        model: What they are.
    """

    layout: Layout
    fixed: int
    model: int


def _pieces(singles: list[Single]) -> Iterator[Piece]:
    """Yield points that were decoded one by one as columns, tag by tag, in the order of the file."""
    if not singles:
        return
    ordered = sorted(singles, key=itemgetter(0, 1))
    tag, offset, step, wall_time, value = zip(*ordered, strict=True)
    whole = Piece(
        b"",
        np.array(offset, np.int64),
        np.array(step, np.int64),
        np.array(wall_time, np.float64),
        np.array(value, np.float64),
    )
    first = 0
    for name, alike in itertools.groupby(tag):
        last = first + sum(1 for _ in alike)
        yield whole.part(name, first, last)
        first = last


def _joined(several: list[list[Piece]]) -> Iterator[Piece]:
    """Yield the pieces of each tag as one, in the order of the file; all tags together, as there may be many."""
    if not several:
        return
    pieces = [piece for parts in several for piece in sorted(parts, key=lambda part: int(part.offsets[0]))]
    lengths = [sum(len(part.step) for part in parts) for parts in several]
    ends = np.cumsum(lengths)
    whole = Piece(
        b"",
        np.concatenate([piece.offsets for piece in pieces]),
        np.concatenate([piece.step for piece in pieces]),
        np.concatenate([piece.wall_time for piece in pieces]),
        np.concatenate([piece.value for piece in pieces]),
    )
    back = np.diff(whole.offsets) < 0
    back[ends[:-1] - 1] = False
    if back.any():  # pieces of a tag lie among each other
        order = np.lexsort((whole.offsets, np.repeat(np.arange(len(ends)), lengths)))
        whole = whole.rows(order)
    for parts, first, last in zip(several, (ends - lengths).tolist(), ends.tolist(), strict=True):
        yield whole.part(parts[0].tag, first, last)
