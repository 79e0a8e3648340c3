"""Damaged event files by the thousand: ``python -m tests.fuzz [CASES] [--seed N]`` for a long run.

A case builds a valid file, damages it with knowledge of its structure, and holds the reader to what may be expected:
no exception; every point read stands in a record of the damaged file whose checksum is right; every whole record
before the damage is kept, and every one behind it too, unless it lies within a record that claims to be longer; reading
in pieces gives the same; memory stays in proportion to the file.
"""

import argparse
import random
import struct
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event

from monitor.sources.eventfile import BLOCK_BYTES, EventFile
from tests import builders

Point = tuple[str, int, bytes]
START = 1_700_000_000.0
HEADER = 12


@dataclass
class Case:
    """A damaged file.

    Args:
        seed: It is built from.
        content: The bytes.
        damage: Names of what was done to it.
    """

    seed: int
    content: bytearray
    damage: list[str]


def build_case(seed: int) -> Case:
    """Return the case of a seed: a file of up to 300 records with one to three damages."""
    chance = random.Random(seed)
    tags = chance.sample(["loss", "lr", "val/acc", "损失", "a" * 90, "x"], chance.randint(1, 4))
    records = [builders.file_header(START)]
    for step in range(chance.randint(1, 80)):
        records += [_valid_record(chance, tag, step) for tag in tags]
    case = Case(seed, bytearray(b"".join(records)), [])
    for _ in range(chance.randint(1, 3)):
        damage = chance.choice(DAMAGES)
        damage(chance, case.content)
        case.damage.append(damage.__name__)
    return case


def _valid_record(chance: random.Random, tag: str, step: int) -> bytes:
    value = chance.choice([chance.uniform(-5, 5), float("nan"), float("inf"), 0.0])
    values = [builders.simple_value(tag, value)]
    if chance.random() < 0.1:
        values = [builders.tensor_value(tag, chance.uniform(-5, 5), chance.choice(["float32", "float64"]))]
    if chance.random() < 0.05:
        values.append(builders.text_value("note", "x" * chance.randint(0, 300)))
    return builders.record(builders.event(START + step, step * chance.choice([1, 1, 1000]), values))


# --- damages -------------------------------------------------------------------------------------------------------


def flip_bytes(chance: random.Random, content: bytearray) -> None:
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] ^= chance.randint(1, 255)


def cut_range(chance: random.Random, content: bytearray) -> None:
    start = chance.randrange(len(content))
    del content[start : start + chance.randint(1, 400)]
    content += b"" if content else b"\0"


def cut_tail(chance: random.Random, content: bytearray) -> None:
    del content[chance.randint(1, len(content)) :]


def duplicate_range(chance: random.Random, content: bytearray) -> None:
    start = chance.randrange(len(content))
    piece = bytes(content[start : start + chance.randint(1, 400)])
    content[start:start] = piece


def insert_noise(chance: random.Random, content: bytearray) -> None:
    at = chance.randrange(len(content))
    content[at:at] = chance.randbytes(chance.randint(1, 200))


def blank_range(chance: random.Random, content: bytearray) -> None:
    start = chance.randrange(len(content))
    length = min(chance.randint(1, 400), len(content) - start)
    content[start : start + length] = bytes(length)


def forge_length(chance: random.Random, content: bytearray) -> None:
    """Write a header whose own checksum is right, with a size no record has, or one that overruns the file."""
    size = chance.choice([1 << 63, (1 << 64) - 1, 1 << 31, 1 << 40, 0, 1, len(content), (1 << 31) - 1])
    header = struct.pack("<Q", size)
    at = chance.randrange(len(content))
    content[at : at + HEADER] = header + struct.pack("<I", builders.masked_crc32c(header))


def forge_payload(chance: random.Random, content: bytearray) -> None:
    """Insert a record whose checksums are right and whose payload is hostile."""
    payload = chance.choice(
        [
            b"\x10" + b"\xff" * 30,  # a varint without an end
            b"\x2a\xff\xff\xff\xff\x0f",  # a summary longer than the record
            b"\x2a\x05\x0a\xff\xff\xff\x7f",  # a value longer than its summary
            b"\x09" + b"\0" * 3,  # a time cut short
            b"\x2a\x07\x0a\x05\x0a\x90\xff\xff\x7f",  # a tag longer than its value
            b"\x0b\x0c" * 20,  # groups, which protobuf gave up
            chance.randbytes(chance.randint(1, 60)),
            b"",
            builders.event(START, 1, [builders.tensor_value("t", [1.0, 2.0], shape=(2,))]),
            builders.event(START, 1, [b"\x0a\x01t\x42\x08\x08\x01\x12\x00\x2a\x02\0\0"]),  # half a float
        ]
    )
    at = chance.choice(_boundaries(bytes(content)))
    content[at:at] = builders.record(payload) * chance.randint(1, 12)


DAMAGES: list[Callable[[random.Random, bytearray], None]] = [
    flip_bytes,
    cut_range,
    cut_tail,
    duplicate_range,
    insert_noise,
    blank_range,
    forge_length,
    forge_payload,
]


def _boundaries(content: bytes) -> list[int]:
    """Return where the records of the sound head of a file begin."""
    at, found = 0, [0]
    while (size := _whole_record(content, at)) is not None:
        at += size + 16
        found.append(at)
    return found


# --- what may be expected ------------------------------------------------------------------------------------------


def _whole_record(content: bytes, at: int) -> int | None:
    """Return the payload size of the record at a place, None unless it is whole and both checksums are right."""
    if at + HEADER > len(content):
        return None
    size, crc = struct.unpack_from("<QI", content, at)
    if builders.masked_crc32c(content[at : at + 8]) != crc or at + size + 16 > len(content):
        return None
    (payload_crc,) = struct.unpack_from("<I", content, at + HEADER + size)
    payload = content[at + HEADER : at + HEADER + size]
    return size if builders.masked_crc32c(payload) == payload_crc else None


def possible_points(content: bytes) -> Counter[Point]:
    """Return the points of every sound record anywhere in the file, as protobuf itself decodes them."""
    found: Counter[Point] = Counter()
    for at in range(len(content)):
        size = _whole_record(content, at)
        if size is not None:
            found.update(_points(content[at + HEADER : at + HEADER + size]))
    return found


def sure_points(content: bytes) -> Counter[Point]:
    """Return the points that a reader must give: those of sound records up to a header that claims too much.

    Like the reader, the reference goes on behind damage at the next sound header.
    """
    found: Counter[Point] = Counter()
    at = 0
    while at + HEADER <= len(content):
        size, crc = struct.unpack_from("<QI", content, at)
        framed = builders.masked_crc32c(content[at : at + 8]) == crc and size < 1 << 31
        if not framed:
            at = _next_header(content, at + 1)
            continue
        if at + size + 16 > len(content):
            break
        if _whole_record(content, at) is not None:
            found.update(_points(content[at + HEADER : at + HEADER + size]))
        at += size + 16
    return found


def _next_header(content: bytes, at: int) -> int:
    """Return the next place with a sound header, whose payload is sound too where it is there."""
    for place in range(at, len(content) - HEADER + 1):
        size, crc = struct.unpack_from("<QI", content, place)
        if 0 < size < 1 << 31 and builders.masked_crc32c(content[place : place + 8]) == crc:
            beyond = place + size + 16 > len(content)
            if beyond or _whole_record(content, place) is not None:
                return place
    return len(content)


def _points(payload: bytes) -> list[Point]:
    try:
        event = Event.FromString(payload)
    except DecodeError:
        return []
    found = []
    for value in event.summary.value:
        if value.HasField("simple_value"):
            found.append((value.tag, event.step, struct.pack("<d", value.simple_value)))
        elif value.HasField("tensor") and value.metadata.plugin_data.plugin_name == "scalars":
            content, layout = value.tensor.tensor_content, {1: "<f", 2: "<d"}.get(value.tensor.dtype, "")
            if layout and len(content) == struct.calcsize(layout):
                found.append((value.tag, event.step, struct.pack("<d", struct.unpack(layout, content)[0])))
    return found


def points_read(file: EventFile) -> Counter[Point]:
    """Return what the reader gives."""
    return Counter(
        (tag, step, struct.pack("<d", value))
        for tag, column in file.columns.items()
        for step, value in zip(column.step.tolist(), column.value.tolist(), strict=True)
    )


def check_case(case: Case, directory: Path) -> None:
    """Raise AssertionError when the reader falls short of what may be expected."""
    content = bytes(case.content)
    whole = EventFile(str(directory / "whole"))
    (directory / "whole").write_bytes(content)
    tracemalloc.start()
    whole.refresh()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * len(content) + (2 << 20), f"{peak:,} bytes for a file of {len(content):,}"
    read = points_read(whole)
    invented = read - possible_points(content)
    missing = sure_points(content) - read
    assert not invented, f"never written: {list(invented)[:3]}"
    assert not missing, f"lost: {list(missing)[:3]}"
    in_pieces = points_read(_read_in_pieces(case.seed, content, directory / "pieces"))
    assert in_pieces == read, f"in pieces {in_pieces.total()} points, at once {read.total()}"


def _read_in_pieces(seed: int, content: bytes, path: Path) -> EventFile:
    chance = random.Random(seed)
    cuts = sorted(chance.randint(0, len(content)) for _ in range(4))
    path.write_bytes(b"")
    file = EventFile(str(path))
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        builders.append(path, content[start:end])
        file.refresh()
    return file


def main() -> None:
    """Run many cases and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=1_000_000, help="seed of the first case")
    options = parser.parse_args()
    damages: Counter[str] = Counter()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        for seed in range(options.seed, options.seed + options.cases):
            case = build_case(seed)
            damages.update(case.damage)
            try:
                check_case(case, Path(name))
            except AssertionError as error:
                failed += 1
                print(f"seed {seed} ({', '.join(case.damage)}): {error}")
    print(f"{options.cases:,} cases, {failed} failed; blocks of {BLOCK_BYTES:,} bytes; {dict(damages)}")


if __name__ == "__main__":
    main()
