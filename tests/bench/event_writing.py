"""Event files for the benchmarks, written fast: about a million scalars in two seconds.

A record is a template made by `tests.builders`, split where its values go; per record only time, step, values and
checksum are filled in. `check_writing` compares the bytes with those of TensorBoard's own writer.
"""

import functools
import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from tests import builders

START = 1_700_000_000.0
TAGS = (
    "train/loss",
    "train/lr",
    "train/grad_norm",
    "train/accuracy",
    "train/epoch_duration",
    "perf/samples_per_second",
    "validation/loss",
    "validation/accuracy",
    "validation/task0_loss",
    "validation/task1_loss",
)
_PLACEHOLDER = b"{{{{"
_PLACEHOLDER_VALUE = struct.unpack("<f", _PLACEHOLDER)[0]
_TIME_FIELD_BYTES = 9
_SECONDS_PER_RECORD = 0.001

Template = list[bytes]


def plain(tag: str) -> Template:
    """Return the summary of a record that holds one ``simple_value``, as PyTorch writes it."""
    return together([tag])


def together(tags: Sequence[str]) -> Template:
    """Return the summary of a record that holds one ``simple_value`` for each tag."""
    return _split([builders.simple_value(tag, _PLACEHOLDER_VALUE) for tag in tags])


def tensor(tag: str) -> Template:
    """Return the summary of a record that holds one scalar as a tensor, as TF2 writes it."""
    return _split([builders.tensor_value(tag, _PLACEHOLDER_VALUE)])


def _split(values: Sequence[bytes]) -> Template:
    return builders.event(START, None, values)[_TIME_FIELD_BYTES:].split(_PLACEHOLDER)


def steps(templates: Sequence[Template], n_steps: int, first_step: int = 0, start: float = START) -> Iterator[bytes]:
    """Yield the framed records of steps in which every template is written once.

    The values of one record are alike: exp(−step / 10,000) plus the number of the template.
    """
    order = range(len(templates))
    for step in range(first_step, first_step + n_steps):
        yield from _step(templates, order, step, start)


def shuffled(templates: Sequence[Template], n_steps: int, seed: int = 0, start: float = START) -> Iterator[bytes]:
    """Yield as many records as `steps` does, the templates of each step drawn by chance."""
    draws = np.random.default_rng(seed).integers(0, len(templates), (n_steps, len(templates)))
    for step, order in enumerate(draws.tolist()):
        yield from _step(templates, order, step, start)


def _step(templates: Sequence[Template], order: Sequence[int], step: int, start: float) -> Iterator[bytes]:
    step_field = b"\x10" + _varint(step) if step else b""
    value = np.exp(-step / 1e4)
    for place, number in enumerate(order):
        time_field = struct.pack("<Bd", 0x09, start + step + place * _SECONDS_PER_RECORD)
        summary = struct.pack("<f", value + number).join(templates[number])
        yield _record(time_field + step_field + summary)


def _record(payload: bytes) -> bytes:
    return _header(len(payload)) + payload + struct.pack("<I", _masked(google_crc32c.value(payload)))


@functools.lru_cache(maxsize=4096)
def _header(size: int) -> bytes:
    length = struct.pack("<Q", size)
    return length + struct.pack("<I", _masked(google_crc32c.value(length)))


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def write(path: Path, records: Iterator[bytes], start: float = START) -> Path:
    """Write an event file, header first; missing directories are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(builders.file_header(start))
        file.writelines(records)
    return path


def check_writing() -> None:
    """Compare records with those that TensorBoard's writer makes of protobuf objects.

    Raises:
        SystemExit: They differ, so whatever would be measured is not what trainers write.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    written = io.BytesIO()
    writer = RecordWriter(written)
    for step in (0, 1, 127, 128, 16_383, 16_384, 99_999):
        for number, tag in enumerate(TAGS):
            value = Summary.Value(tag=tag, simple_value=float(np.exp(-step / 1e4)) + number)
            time = START + step + number * _SECONDS_PER_RECORD
            writer.write(Event(wall_time=time, step=step, summary=Summary(value=[value])).SerializeToString())
    templates = [plain(tag) for tag in TAGS]
    ours = b"".join(
        record for step in (0, 1, 127, 128, 16_383, 16_384, 99_999) for record in steps(templates, 1, first_step=step)
    )
    if ours != written.getvalue():
        raise SystemExit("The benchmark's files differ from those TensorBoard writes; nothing was measured.")
