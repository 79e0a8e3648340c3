"""Event files byte by byte, and labelled series, as inputs of tests.

The writer encodes the few protobuf fields by hand, so that a test of the reader does not lean on the library that the
reader is compared with. Everything returns bytes, or writes the bytes it is given: a test can cut, flip and append.

Source: tensorflow/tensorboard ``compat/proto/{event,summary,tensor,types}.proto`` for the field numbers, and
``summary/writer/record_writer.py`` for the framing.
"""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import google_crc32c
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Row = tuple[str, int, float] | tuple[str, int, float, float]

START_SECOND = 1_700_000_000
HEADER_LENGTH = 12  # uint64 length and its checksum, before the payload of every record
FOOTER_LENGTH = 4  # checksum of the payload

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# name → number in types.proto, NumPy type of the content, field of the typed list, how the list is packed
_TENSOR_TYPES: dict[str, tuple[int, str, int, str]] = {
    "float32": (1, "<f4", 5, "<f4"),
    "float64": (2, "<f8", 6, "<f8"),
    "int32": (3, "<i4", 7, "varint"),
    "uint8": (4, "<u1", 7, "varint"),
    "int16": (5, "<i2", 7, "varint"),
    "int8": (6, "<i1", 7, "varint"),
    "int64": (9, "<i8", 10, "varint"),
    "bool": (10, "?", 11, "varint"),
    "bfloat16": (14, "bfloat16", 13, "half"),
    "float16": (19, "<f2", 13, "half"),
    "uint32": (22, "<u4", 16, "varint"),
    "uint64": (23, "<u8", 17, "varint"),
}
_STRING_TYPE = 7


# --- records -------------------------------------------------------------------------------------------------------


def masked_crc32c(content: bytes) -> int:
    """Return the checksum of a record: CRC-32C rotated right by 15 bits plus a constant, so that it differs from
    the checksum of data that holds checksums.
    """
    crc = google_crc32c.value(content)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def record(payload: bytes) -> bytes:
    """Return the payload framed as one record: length, checksum of the length, payload, checksum of the payload."""
    length = struct.pack("<Q", len(payload))
    return length + struct.pack("<I", masked_crc32c(length)) + payload + struct.pack("<I", masked_crc32c(payload))


def event(
    wall_time: float,
    step: int | None = None,
    values: Iterable[bytes] = (),
    file_version: str | None = None,
    session_start: bool = False,
) -> bytes:
    """Return an encoded ``Event``, not framed.

    Args:
        wall_time: Seconds since the epoch.
        step: None leaves the field out, as writers do for step 0.
        values: Encoded ``Summary.Value`` messages: `simple_value`, `tensor_value`, `text_value`.
        file_version: ``brain.Event:2`` in the first record of a file.
        session_start: True adds ``SessionLog(status=START)``, with which TF1 and TF2 mark a restart.
    """
    summary = b"".join(_field_bytes(1, value) for value in values)
    return b"".join(
        (
            _key(1, _FIXED64) + struct.pack("<d", wall_time),
            b"" if step is None else _key(2, _VARINT) + _varint(step),
            b"" if file_version is None else _field_bytes(3, file_version.encode()),
            _field_bytes(5, summary) if summary else b"",
            _field_bytes(7, _key(1, _VARINT) + _varint(1)) if session_start else b"",
        )
    )


def file_header(wall_time: float = START_SECOND) -> bytes:
    """Return the framed first record of every event file, which names the version of the format."""
    return record(event(wall_time, file_version="brain.Event:2"))


def scalar(tag: str, step: int, value: float, wall_time: float) -> bytes:
    """Return one framed record that holds one scalar as ``simple_value``."""
    return record(event(wall_time, step, [simple_value(tag, value)]))


# --- values --------------------------------------------------------------------------------------------------------


def simple_value(tag: str, value: float) -> bytes:
    """Return a ``Summary.Value`` with a float32 scalar, as PyTorch and TF1 write it."""
    return _field_bytes(1, tag.encode()) + _key(2, _FIXED32) + struct.pack("<f", value)


def tensor_value(
    tag: str,
    value: float | Sequence[float],
    dtype: str = "float32",
    shape: Sequence[int] = (),
    encoding: str = "content",
    plugin: str | None = "scalars",
) -> bytes:
    """Return a ``Summary.Value`` with a tensor, as TF2 writes scalars.

    Args:
        tag: Name of the series.
        value: The element or elements.
        dtype: One of float16, bfloat16, float32, float64, int8 … int64, uint8, uint32, uint64, bool.
        shape: Empty for a scalar; ``(n,)`` for a vector, which is no scalar.
        encoding: ``content`` for the raw bytes, ``typed`` for the list of that type.
        plugin: Name in the metadata; None leaves the metadata out, as TF2 does after the first value of a tag.
    """
    number, content_type, list_field, packing = _TENSOR_TYPES[dtype]
    elements = np.atleast_1d(np.asarray(value))
    if encoding == "content":
        body = _field_bytes(4, _content(elements, content_type))
    elif encoding == "typed":
        body = _field_bytes(list_field, _packed(elements, content_type, packing))
    else:
        raise ValueError(f'encoding is "content" or "typed", not "{encoding}"')
    tensor = _key(1, _VARINT) + _varint(number) + _field_bytes(2, _shape(shape)) + body
    return _field_bytes(1, tag.encode()) + _field_bytes(8, tensor) + _metadata(plugin, data_class=1)


def text_value(tag: str, text: str) -> bytes:
    """Return a ``Summary.Value`` with one text as ``SummaryWriter.add_text`` writes it: strings of shape ``(1,)``."""
    tensor = _key(1, _VARINT) + _varint(_STRING_TYPE) + _field_bytes(2, _shape([1])) + _field_bytes(8, text.encode())
    return _field_bytes(1, tag.encode()) + _field_bytes(8, tensor) + _metadata("text", data_class=2)


def _metadata(plugin: str | None, data_class: int) -> bytes:
    if plugin is None:
        return b""
    plugin_name = _field_bytes(1, _field_bytes(1, plugin.encode()))
    return _field_bytes(9, plugin_name + _key(4, _VARINT) + _varint(data_class))


def _shape(sizes: Sequence[int]) -> bytes:
    return b"".join(_field_bytes(2, _key(1, _VARINT) + _varint(size)) for size in sizes)


def _content(elements: npt.NDArray[np.generic], content_type: str) -> bytes:
    if content_type == "bfloat16":  # the upper half of a float32
        return (elements.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return elements.astype(content_type).tobytes()


def _packed(elements: npt.NDArray[np.generic], content_type: str, packing: str) -> bytes:
    if packing == "varint":
        return b"".join(_varint(int(element)) for element in elements)
    if packing == "half":  # 16-bit floats travel as the integers of their bits
        return b"".join(_varint(int(bits)) for bits in np.frombuffer(_content(elements, content_type), "<u2"))
    return elements.astype(packing).tobytes()


def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _field_bytes(number: int, content: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Return seven bits a byte, low ones first; negative numbers as their 64-bit two's complement: ten bytes."""
    rest = value & 0xFFFFFFFFFFFFFFFF
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*encoded, rest])


# --- files ---------------------------------------------------------------------------------------------------------


def event_file_name(second: int = START_SECOND, index: int = 0) -> str:
    """Return a name as trainers give it: ``events.out.tfevents.<second>.<host>.<process>.<index>``."""
    return f"events.out.tfevents.{second:010d}.host.4242.{index}"


def write_scalars(
    path: Path, rows: Iterable[Row], *, start: float = START_SECOND, seconds_per_step: float = 1.0
) -> Path:
    """Write a whole event file, header first and one record per row; missing directories are made.

    Args:
        path: The event file.
        rows: ``(tag, step, value)`` or ``(tag, step, value, wall_time)``, in the order of writing.
        start: Wall time of the header.
        seconds_per_step: Where a row has no wall time, its time is ``start + step × seconds_per_step``.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [file_header(start)]
    for tag, step, value, *times in rows:
        records.append(scalar(tag, step, value, times[0] if times else start + step * seconds_per_step))
    path.write_bytes(b"".join(records))
    return path


def rows(tag: str, values: Iterable[float], first_step: int = 0) -> list[Row]:
    """Return one series as rows for `write_scalars`, its steps counted up from `first_step`."""
    return [(tag, step, float(value)) for step, value in enumerate(values, first_step)]


def append(path: Path, content: bytes) -> None:
    """Write bytes to the end of a file, as a training that goes on does; the file is made where there is none."""
    with path.open("ab") as file:
        file.write(content)


def truncate(path: Path, n: int) -> None:
    """Keep the first `n` bytes of a file; a negative `n` cuts that many bytes off its end."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(n if n >= 0 else max(size + n, 0))


def corrupt(path: Path, offset: int, mask: int = 0xFF) -> None:
    """Flip the bits of `mask` in the byte at `offset`; a negative offset counts from the end."""
    content = bytearray(path.read_bytes())
    content[offset] ^= mask
    path.write_bytes(content)


# --- labelled series -----------------------------------------------------------------------------------------------


def healthy_loss(n_points: int = 100, seed: int = 0, noise: float = 0.03) -> Floats:
    """Return a loss that falls exponentially from about 2 to about 0.2, shape ``(n_points,)``.

    `noise` is the standard deviation of each point relative to its level; 0 gives the bare curve.
    """
    progress = np.arange(n_points) / max(n_points, 1)
    return _noisy(0.2 + 1.8 * np.exp(-5 * progress), noise, seed)


def diverging_loss(n_points: int = 100, onset: int = 60, seed: int = 0, noise: float = 0.03) -> Floats:
    """Return a healthy loss that grows by 15 % a point from index `onset` on."""
    values = healthy_loss(n_points, seed, noise)
    steps_after = np.maximum(np.arange(n_points) - onset + 1, 0)
    return values * 1.15**steps_after


def nan_at(values: Floats, index: int, count: int | None = None) -> Floats:
    """Return a copy of `values` that is NaN from `index` on, for `count` points or to the end."""
    spoiled = values.copy()
    spoiled[index : None if count is None else index + count] = np.nan
    return spoiled


def overfitting_losses(
    n_points: int = 100, minimum_at: int = 40, seed: int = 0, noise: float = 0.03
) -> tuple[Floats, Floats]:
    """Return (training, validation): training falls to the end, validation rises from index `minimum_at` on.

    The last validation points lie about 0.8 above the lowest, which is about 0.45 with the defaults.
    """
    training = healthy_loss(n_points, seed, noise)
    bare = healthy_loss(n_points, noise=0) * 1.1
    frozen = np.where(np.arange(n_points) < minimum_at, bare, bare[minimum_at])
    rise = np.maximum(np.arange(n_points) - minimum_at, 0) / max(n_points - minimum_at, 1)
    return training, _noisy(frozen + 0.8 * rise, noise, seed + 1)


def oscillating_loss(
    n_points: int = 100, onset: int = 0, amplitude: float = 0.4, period: int = 4, seed: int = 0, noise: float = 0.03
) -> Floats:
    """Return a healthy loss that from index `onset` on swings by ± `amplitude` × its level, `period` points a swing."""
    index = np.arange(n_points)
    swing = np.where(index >= onset, amplitude * np.sin(2 * np.pi * (index - onset + 0.5) / period), 0.0)
    return healthy_loss(n_points, seed, noise) * (1 + swing)


def _noisy(values: Floats, noise: float, seed: int) -> Floats:
    return values * (1 + noise * np.random.default_rng(seed).standard_normal(len(values)))
