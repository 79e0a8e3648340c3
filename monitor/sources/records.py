"""Records of one size → points by tag, damage, and the records that hold something else than scalars."""

from dataclasses import dataclass, field

import numpy as np

from monitor.sources.columns import Piece, Rows, checksums_right, decode, matching
from monitor.sources.framing import FRAME_BYTES, masked_crc
from monitor.sources.wire import Layout, WireError, read_layout, read_step, read_value, read_wall_time

KEPT_PLUGINS = ("text", "hparams")  # what `extras` reads

_FEWEST_ROWS = 8  # below, records are decoded one by one
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


@dataclass(slots=True)
class Decoded:
    """What the records of one block hold.

    Args:
        pieces: Tag → its points, in pieces each of which is in the order of the file.
        damaged: Offset and payload size of the records whose content is damaged.
        kept: The records with text or hyper-parameters.
        first_event: Time of the earliest event, inf without one.
        last_event: Time of the latest event, -inf without one.
    """

    pieces: dict[bytes, list[Piece]] = field(default_factory=dict)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    doubtful: list[tuple[int, bytes]] = field(default_factory=list)
    first_event: float = np.inf
    last_event: float = -np.inf

    def add(self, pieces: list[Piece]) -> None:
        """Add points and the times of their events."""
        for piece in pieces:
            self.pieces.setdefault(piece.tag, []).append(piece)
        if pieces:
            self.add_times(float(np.nanmin(pieces[0].wall_time)), float(np.nanmax(pieces[0].wall_time)))

    def add_times(self, earliest: float, latest: float) -> None:
        """Widen the range of event times."""
        self.first_event = min(self.first_event, earliest)
        self.last_event = max(self.last_event, latest)

    def by_tag(self) -> dict[str, Piece]:
        """Return the points of each tag in the order of the file; empty ones are left out."""
        joined = {tag: _joined(pieces) for tag, pieces in self.pieces.items()}
        return {tag.decode("utf-8", "replace"): piece for tag, piece in joined.items() if len(piece.step)}


class Decoder:
    """Decodes the records of one file; remembers which tags were said to be scalars."""

    def __init__(self) -> None:
        self._scalar_tags: set[bytes] = set()

    def decode(self, rows: Rows, into: Decoded) -> None:
        """Add what rows of one size hold, whatever their layouts."""
        for _ in range(_MOST_LAYOUTS):
            if rows.count < _FEWEST_ROWS or rows.size > _WIDEST_ROW:
                break
            payload = rows.payload(0)
            layout = self._layout(payload, rows.checksum(0))
            if layout is None or not layout.repeats:
                self._decode_one(rows, 0, into)
                rest = np.arange(rows.count) > 0
            else:
                alike = matching(rows, payload, layout)
                self._decode_alike(rows.chosen(alike), payload, layout, into)
                rest = ~alike
            if not rest.any():
                return
            rows = rows.chosen(rest)
        for row in range(rows.count):
            self._decode_one(rows, row, into)

    def _layout(self, payload: bytes, checksum: int) -> Layout | None:
        """Return where the figures of a payload lie, None when it is damaged."""
        if masked_crc(payload) != checksum:
            return None
        try:
            return read_layout(payload, self._scalar_tags)
        except WireError:  # the checksum is right: it was never an event
            return None

    def _decode_alike(self, rows: Rows, payload: bytes, layout: Layout, into: Decoded) -> None:
        right = checksums_right(rows, payload)
        into.damaged += [(offset, rows.size) for offset in rows.offsets[~right].tolist()]
        into.add(decode(rows.chosen(right), layout))

    def settle(self, into: Decoded) -> None:
        """Decode the records that waited; to be called when all records of a block were seen."""
        for offset, payload in sorted(into.doubtful):
            self._add(payload, offset, read_layout(payload, self._scalar_tags), into)
        into.doubtful.clear()

    def _decode_one(self, rows: Rows, row: int, into: Decoded) -> None:
        payload, offset = rows.payload(row), int(rows.offsets[row])
        layout = self._layout(payload, rows.checksum(row))
        if layout is None:
            into.damaged.append((offset, rows.size))
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
            piece = Piece(
                tag,
                np.array([offset], np.int64),
                np.array([step], np.int64),
                np.array([wall_time], np.float64),
                np.array([read_value(payload, slot)], np.float64),
            )
            into.pieces.setdefault(tag, []).append(piece)


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
