"""Records of one size → points by tag, damage, and the records that hold something else than scalars."""

from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from monitor.sources.columns import Model, Piece, Rows, changed_bits, checksums_right, decode, fixed_bits, matching
from monitor.sources.framing import FRAME_BYTES, HEADER_BYTES, Bytes, Stretch, masked_crc, unpack_crc, unpack_header
from monitor.sources.periods import Period, decode_period
from monitor.sources.wire import Layout, WireError, read_layout, read_step, read_value, read_wall_time

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


Single = tuple[int, int, float, float]


@dataclass(slots=True)
class Decoded:
    """What the records of one block hold.

    Args:
        pieces: Tag → its points, in pieces each of which is in the order of the file.
        singles: Tag → points that were decoded one by one: offset, step, wall time, value.
        damaged: Offset and payload size of the records whose content is damaged.
        kept: The records with text or hyper-parameters.
        doubtful: Offset and payload of records that wait for another one to say whether they are scalars.
        first_event: Time of the earliest event, inf without one.
        last_event: Time of the latest event, -inf without one.
    """

    pieces: dict[bytes, list[Piece]] = field(default_factory=dict)
    singles: dict[bytes, list[Single]] = field(default_factory=dict)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    doubtful: list[tuple[int, bytes]] = field(default_factory=list)
    first_event: float = np.inf
    last_event: float = -np.inf

    def add(self, pieces: list[Piece]) -> None:
        """Add points and the times of their events."""
        for piece in pieces:
            if len(piece.step):
                self.pieces.setdefault(piece.tag, []).append(piece)
                self.add_times(float(np.fmin.reduce(piece.wall_time)), float(np.fmax.reduce(piece.wall_time)))

    def add_times(self, earliest: float, latest: float) -> None:
        """Widen the range of event times."""
        self.first_event = min(self.first_event, earliest)
        self.last_event = max(self.last_event, latest)

    def by_tag(self) -> dict[str, Piece]:
        """Return the points of each tag in the order of the file; bytes that are no UTF-8 are spelled out."""
        for tag, singles in self.singles.items():
            self.pieces.setdefault(tag, []).append(_piece(tag, singles))
        self.singles.clear()
        return {tag.decode("utf-8", "backslashreplace"): _joined(pieces) for tag, pieces in self.pieces.items()}


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
        pieces, damaged = decoded
        into.add(pieces)
        sizes = dict(zip((base + stretch.starts).tolist(), stretch.sizes.tolist(), strict=True))
        into.damaged += [(offset, sizes[_in_first(offset, base, stretch)]) for offset in damaged.tolist()]
        return True

    def _period(self, array: Bytes, stretch: Stretch) -> Period | None:
        """Return what the first repeat of a stretch holds; None when it is more than plain scalars."""
        models = []
        for start, size in zip(stretch.starts.tolist(), stretch.sizes.tolist(), strict=True):
            begin = start + HEADER_BYTES
            payload = array[begin : begin + size].tobytes()
            layout = self._layout(payload, unpack_crc(array.data, begin + size)[0])
            if layout is None or not layout.repeats:
                return None
            models.append(Model.of(payload, layout))
        return Period.of(tuple(models), stretch)

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
        known = self._layouts.setdefault(len(payload), [])
        bits = int.from_bytes(payload, "little")
        for one in known:
            if bits & one.fixed == one.model:
                return one.layout
        try:
            layout = read_layout(payload, self._scalar_tags)
        except WireError:  # the checksum is right: it was never an event
            return None
        if layout.repeats and len(known) < _MOST_LAYOUTS:
            fixed = fixed_bits(layout, len(payload))
            known.append(_Known(layout, fixed, bits & fixed))
        return layout

    def _decode_alike(self, rows: Rows, model: Model, changed: Bytes, into: Decoded) -> None:
        right = checksums_right(rows, model, changed)
        into.damaged += [(offset, rows.size) for offset in rows.offsets[~right].tolist()]
        into.add(decode(rows.chosen(right), model.layout))

    def _decode_one(self, payload: bytes, checksum: int, offset: int, into: Decoded) -> None:
        layout = self._layout(payload, checksum)
        if layout is None:
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
            into.singles.setdefault(tag, []).append((offset, step, wall_time, read_value(payload, slot)))


def _in_first(offset: int, base: int, stretch: Stretch) -> int:
    """Return where the record of the first repeat begins that stands for the one at `offset`."""
    first = base + int(stretch.starts[0])
    return first + (offset - first) % stretch.stride


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


def _piece(tag: bytes, singles: list[Single]) -> Piece:
    """Return points that were decoded one by one as columns, in the order of the file."""
    singles.sort(key=itemgetter(0))
    offset, step, wall_time, value = zip(*singles, strict=True)
    return Piece(
        tag,
        np.array(offset, np.int64),
        np.array(step, np.int64),
        np.array(wall_time, np.float64),
        np.array(value, np.float64),
    )


def _joined(pieces: list[Piece]) -> Piece:
    """Return the pieces of one tag as one, in the order of the file."""
    if len(pieces) == 1:
        return pieces[0]
    offsets = np.concatenate([piece.offsets for piece in pieces])
    order = slice(None) if bool((np.diff(offsets) >= 0).all()) else np.argsort(offsets, kind="stable")
    return Piece(
        pieces[0].tag,
        offsets[order],
        np.concatenate([piece.step for piece in pieces])[order],
        np.concatenate([piece.wall_time for piece in pieces])[order],
        np.concatenate([piece.value for piece in pieces])[order],
    )
