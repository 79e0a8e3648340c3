"""One record of an event file → where its figures lie.

The wire format of protocol buffers, as far as a scalar needs it. An ``Event`` is::

    09 <wall_time: float64>   10 <step: varint>   2a <size> <Summary>         (step 0 and time 0 are left out)

a ``Summary`` is a list of ``0a <size> <Value>``, and a ``Value`` holds its tag and either a float32 or a tensor::

    0a <size> <tag>   15 <simple_value: float32>   42 <size> <TensorProto>   4a <size> <SummaryMetadata>

Source: tensorboard/compat/proto/{event,summary,tensor,types}.proto; protobuf encoding guide. A tensor counts as a
scalar when its plugin is ``scalars`` and it has one element, as in TensorBoard's scalar dashboard.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

MAX_TAG_BYTES = 65_536
_MAX_VARINT_BYTES = 10
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# DataType of types.proto → layout of one element in `tensor_content`.
_CONTENT_DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?",
    17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
_BFLOAT16 = 14
# Field of TensorProto that lists the elements → how one element is encoded there.
_FIXED_FIELDS = {5: "<f4", 6: "<f8"}
_VARINT_FIELDS = (7, 10, 11, 13, 16, 17)
_TENSOR_DTYPE, _TENSOR_SHAPE, _TENSOR_CONTENT, _HALF_FIELD = 1, 2, 4, 13


_PLAIN_EVENT = re.compile(
    rb"""
    \x09 .{8}                                        # wall time
    (?: \x10 ([\x80-\xff]{0,9} [\x00-\x7f]) )?        # step
    \x2a ([\x80-\xff]? [\x00-\x7f])                   # size of the summary
    \x0a ([\x80-\xff]? [\x00-\x7f])                   # size of its one value
    \x0a ([\x80-\xff]? [\x00-\x7f])                   # size of the tag
    (.*) \x15 .{4}                                    # tag and simple value
    """,
    re.DOTALL | re.VERBOSE,
)

_unpack_double = struct.Struct("<d").unpack_from
_unpack_float = struct.Struct("<f").unpack_from


class WireError(ValueError):
    """The bytes are no protocol buffer of the expected kind."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one scalar lies in a record.

    Args:
        tag_start: First byte of the tag.
        tag_end: Byte behind the tag.
        value_start: First byte of the value; meaningless when `value` is given.
        dtype: NumPy name of the value's layout, e.g. ``<f4``.
        value: The value itself where its encoding has no fixed width.
    """

    tag_start: int
    tag_end: int
    value_start: int
    dtype: str
    value: float | None = None


@dataclass(slots=True)
class Layout:
    """Where the figures of one event lie; positions count from the start of the payload.

    Args:
        wall_start: First byte of the wall time; None when it is left out (time 0).
        step_start: First byte of the step's varint; None when it is left out (step 0).
        step_size: Bytes of that varint.
        slots: The scalars.
        plugins: Names of the plugins of the values that are no scalars; ``""`` where none is named.
        names_scalars: Whether the event says of the tags in it that they are scalars.
        doubtful: Whether there is a tensor without a plugin whose tag is not known yet.
    """

    wall_start: int | None = None
    step_start: int | None = None
    step_size: int = 0
    slots: list[Slot] = field(default_factory=list)
    plugins: set[str] = field(default_factory=set)
    names_scalars: bool = False
    doubtful: bool = False

    @property
    def repeats(self) -> bool:
        """True when other records of the same bytes, but for the figures, can be read by this layout."""
        return bool(self.slots) and not self.plugins and all(slot.value is None for slot in self.slots)


def read_varint(payload: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned varint and the position behind it.

    Raises:
        WireError: The payload ends inside it or it is longer than ten bytes.
    """
    value = 0
    for index, byte in enumerate(payload[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    raise WireError("varint without an end")


def _short_varint(encoded: bytes) -> int:
    """Return a varint of one or two bytes."""
    return encoded[0] if len(encoded) == 1 else encoded[0] & 0x7F | encoded[1] << 7


def signed(value: int) -> int:
    """Return the int64 whose two's complement is `value`."""
    return value - (1 << 64) if value >> 63 else value


def read_layout(payload: bytes, scalar_tags: set[bytes]) -> Layout:
    """Return where the scalars of one event lie.

    Args:
        payload: The serialised ``Event``.
        scalar_tags: Tags whose plugin was already seen to be ``scalars``; only the first event of a tag has to say
            so. The tags found here are added.

    Raises:
        WireError: The payload is no event.
    """
    layout = Layout()
    for number, kind, start, end in read_fields(payload, 0, len(payload)):
        if number == 1 and kind == FIXED64:
            layout.wall_start = start
        elif number == 2 and kind == VARINT:
            layout.step_start, layout.step_size = start, end - start
        elif number == 5 and kind == BYTES:
            for value_number, value_kind, value_start, value_end in read_fields(payload, start, end):
                if value_number == 1 and value_kind == BYTES:
                    _add_value(payload, value_start, value_end, layout, scalar_tags)
    return layout


def plain_layout(payload: bytes) -> Layout | None:
    """Return what `read_layout` does for an event as most are written: time, step, and one simple value.

    Returns:
        None for every other event.
    """
    found = _plain(payload)
    if found is None:
        return None
    step, (tag_start, tag_end) = found[1], found.span(5)
    slot = Slot(tag_start, tag_end, tag_end + 1, "<f4")
    return Layout(1, None, 0, [slot]) if step is None else Layout(1, found.start(1), len(step), [slot])


def read_plain(payload: bytes) -> tuple[bytes, int, float, float] | None:
    """Return tag, step, wall time in seconds UTC, and value of an event of the kind `plain_layout` knows."""
    found = _plain(payload)
    if found is None:
        return None
    step = 0 if found[1] is None else signed(read_varint(found[1], 0)[0])
    (wall_time,), (value,) = _unpack_double(payload, 1), _unpack_float(payload, found.end(5) + 1)
    return found[5], step, wall_time, value


def _plain(payload: bytes) -> re.Match[bytes] | None:
    """Return where the parts of a plain event lie; None when a size in it is not that of what follows."""
    found = _PLAIN_EVENT.fullmatch(payload)
    if found is None:
        return None
    _, summary, value, size, tag = found.groups()
    end = len(payload)
    claimed = (_short_varint(summary), _short_varint(value), _short_varint(size))
    return found if claimed == (end - found.end(2), end - found.end(3), len(tag)) else None


def read_step(payload: bytes, layout: Layout) -> int:
    """Return the step of an event."""
    return 0 if layout.step_start is None else signed(read_varint(payload, layout.step_start)[0])


def read_wall_time(payload: bytes, layout: Layout) -> float:
    """Return the wall time of an event in seconds UTC."""
    if layout.wall_start is None:
        return 0.0
    return float(_unpack_double(payload, layout.wall_start)[0])


def read_value(payload: bytes, slot: Slot) -> float:
    """Return the value of one scalar."""
    if slot.value is not None:
        return slot.value
    return float(np.frombuffer(payload, slot.dtype, 1, slot.value_start)[0])


def read_fields(payload: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, start and end of the content of each field of the message in ``payload[at:end]``."""
    while at < end:
        key = payload[at]
        if key < 0x80:
            start = at + 1
        else:
            key, start = read_varint(payload, at)
        kind = key & 7
        if kind == BYTES:
            size, start = read_varint(payload, start)
            at = start + size
        elif kind == VARINT:
            _, at = read_varint(payload, start)
        elif kind == FIXED64:
            at = start + 8
        elif kind == FIXED32:
            at = start + 4
        else:
            raise WireError("unknown wire type")
        if at > end:
            raise WireError("field beyond the end of its message")
        yield key >> 3, kind, start, at


def _add_value(payload: bytes, at: int, end: int, layout: Layout, scalar_tags: set[bytes]) -> None:
    """Add the scalar in one ``Summary.Value``, or the plugin of what it holds instead."""
    tag = (at, at)
    simple: int | None = None
    tensor: tuple[int, int] | None = None
    plugin: str | None = None
    for number, kind, start, stop in read_fields(payload, at, end):
        if number == 1 and kind == BYTES:
            tag = (start, stop)
        elif number == 2 and kind == FIXED32:
            simple, tensor = start, None  # value is a oneof: the last one written counts
        elif number == 8 and kind == BYTES:
            tensor, simple = (start, stop), None
        elif number == 9 and kind == BYTES:
            plugin = _plugin(payload, start, stop)
    if tag[1] - tag[0] > MAX_TAG_BYTES:
        raise WireError("tag longer than any name")
    slot = None
    name = payload[slice(*tag)]
    if simple is not None:
        slot = Slot(*tag, simple, "<f4")
    elif tensor is not None and (plugin == "scalars" or (not plugin and name in scalar_tags)):
        slot = _tensor_slot(payload, *tensor, tag)
        scalar_tags.add(name)
        layout.names_scalars |= bool(plugin)
    if slot is not None:
        layout.slots.append(slot)
    else:
        layout.plugins.add(plugin or "")
    if tensor is not None and not plugin:
        # It is understood only through `scalar_tags`, so no other record may be read by this layout.
        layout.plugins.add("")
        layout.doubtful |= name not in scalar_tags


def _plugin(payload: bytes, at: int, end: int) -> str:
    """Return ``SummaryMetadata.plugin_data.plugin_name``."""
    for number, kind, start, stop in read_fields(payload, at, end):
        if number == 1 and kind == BYTES:
            for inner, inner_kind, inner_start, inner_stop in read_fields(payload, start, stop):
                if inner == 1 and inner_kind == BYTES:
                    return payload[inner_start:inner_stop].decode("utf-8", "replace")
    return ""


def _tensor_slot(payload: bytes, at: int, end: int, tag: tuple[int, int]) -> Slot | None:
    """Return the one element of a tensor, or None when it has another number of elements or is not numeric."""
    dtype, elements = 0, 1
    where: tuple[int, str] | None = None
    value: float | None = None
    for number, kind, start, stop in read_fields(payload, at, end):
        if number == _TENSOR_DTYPE and kind == VARINT:
            dtype = read_varint(payload, start)[0]
        elif number == _TENSOR_SHAPE and kind == BYTES:
            elements = _elements(payload, start, stop)
        elif number == _TENSOR_CONTENT and kind == BYTES and stop > start:
            if dtype == _BFLOAT16 and stop - start == 2:
                value = _bfloat16(int.from_bytes(payload[start:stop], "little"))
            elif dtype in _CONTENT_DTYPES and stop - start == np.dtype(_CONTENT_DTYPES[dtype]).itemsize:
                where = (start, _CONTENT_DTYPES[dtype])
        elif number in _FIXED_FIELDS and kind != VARINT and stop - start == np.dtype(_FIXED_FIELDS[number]).itemsize:
            where = (start, _FIXED_FIELDS[number])
        elif number in _VARINT_FIELDS and kind in (VARINT, BYTES) and stop > start:
            value = _element(read_varint(payload, start)[0], number, dtype)
    if elements != 1 or (where is None and value is None):
        return None
    return Slot(*tag, 0, "", value) if where is None else Slot(*tag, *where)


def _elements(payload: bytes, at: int, end: int) -> int:
    """Return the number of elements of a ``TensorShapeProto``; 1 for the shape ``()``."""
    elements = 1
    for number, kind, start, stop in read_fields(payload, at, end):
        if number == 2 and kind == BYTES:
            sizes = [
                signed(read_varint(payload, inner_start)[0])
                for inner, inner_kind, inner_start, _ in read_fields(payload, start, stop)
                if inner == 1 and inner_kind == VARINT
            ]
            elements *= sizes[-1] if sizes else 0
    return elements


def _element(value: int, number: int, dtype: int) -> float:
    """Return an element that is written as a varint in one of the typed fields."""
    if number == _HALF_FIELD:
        half = value & 0xFFFF
        return _bfloat16(half) if dtype == _BFLOAT16 else float(np.uint16(half).view(np.float16))
    return float(value if number in (16, 17) else signed(value))


def _bfloat16(half: int) -> float:
    """Return a bfloat16, which is the upper half of a float32."""
    return float(np.uint32(half << 16).view(np.float32))
