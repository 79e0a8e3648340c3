"""Files of every kind are read as TensorBoard's loader reads them, and one reader serves many threads."""

import itertools
import math
import random
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from monitor import RunReader
from monitor.schema import Scalars
from monitor.sources import eventfile
from monitor.sources.eventfile import EventFile, read_scalars
from monitor.watch import LogWatch
from tests import builders
from tests.builders import START_SECOND, event_file_name, file_header, record, scalar
from tests.test_eventfile import table, tensorboard_table

NOW = START_SECOND + 1000.0
LIMITS = {  # values at the ends of each type, and those a careless conversion loses
    "float16": (0.0, -0.0, 65504.0, -65504.0, 6e-8, math.nan, math.inf, -math.inf),
    "bfloat16": (0.0, -0.0, 1.5, -3.375, 2.0**120, math.inf, -math.inf),
    "float32": (0.0, -0.0, 1e-45, 3.4028235e38, -1e-30, math.nan, math.inf, -math.inf),
    "float64": (0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, math.nan, math.inf, -math.inf),
    "int8": (0, 1, -1, 127, -128),
    "int16": (0, -1, 32767, -32768),
    "int32": (0, -1, 2**31 - 1, -(2**31)),
    "int64": (0, -1, 2**53, -(2**53), 2**63 - 1, -(2**63)),
    "uint8": (0, 1, 127, 128, 255),
    "uint32": (0, 127, 128, 2**32 - 1),
    "uint64": (0, 2**53, 2**64 - 1),
    "bool": (False, True),
}
# TensorBoard's own conversion gives up on these without TensorFlow, so they are held against what was written.
BEYOND_TENSORBOARD = {("bfloat16", "content"), ("bfloat16", "typed"), ("uint32", "typed"), ("uint64", "typed")}
KINDS = sorted(set(itertools.product(LIMITS, ["content", "typed"])) - BEYOND_TENSORBOARD)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """``tmp_path/events.out.tfevents.…``, not written yet."""
    return tmp_path / event_file_name()


def write(path: Path, records: Iterable[bytes]) -> Path:
    """Write records behind a file header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file_header() + b"".join(records))
    return path


def events(values: Iterable[bytes]) -> list[bytes]:
    """Return one record for each value, one step and one second apart."""
    return [record(builders.event(START_SECOND + step, step, [value])) for step, value in enumerate(values)]


def assert_equals_tensorboard(path: Path, n_points: int) -> None:
    """Compare with TensorBoard's loader, which must have found so many points: two empty answers are equal too."""
    expected = tensorboard_table(path)
    assert sum(map(len, expected.values())) == n_points
    assert table(read_scalars(str(path))) == expected


# --- tags ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [1, 37], ids=["of one length", "of many lengths"])
def test_ten_thousand_tags_in_one_file(path: Path, lengths: int) -> None:
    tags = [f"layer/{'x' * (number % lengths)}{number:05d}" for number in range(10_000)]
    first, second = enumerate(tags), enumerate(tags[:1000])
    write(
        path,
        (scalar(tag, step, step + number, NOW) for step, order in enumerate((first, second)) for number, tag in order),
    )
    assert_equals_tensorboard(path, n_points=11_000)


def test_tags_of_every_length_and_alphabet(path: Path) -> None:
    alphabets = ("a", "é", "损", "🙂", " /|%<&", "\n\t")
    tags = [alphabet * length for alphabet in alphabets for length in (1, 2, 31, 32, 127, 128, 1000, 4200)]
    write(path, (scalar(tag, step, step * 0.5, NOW + step) for step in range(10) for tag in tags))
    assert_equals_tensorboard(path, n_points=10 * len(tags))


def test_tags_of_one_length_that_differ_in_one_character(path: Path) -> None:
    base = "a/rather/long/name/of/a/metric"
    tags = [base[:place] + "#" + base[place + 1 :] for place in range(len(base))]
    write(path, (scalar(tag, step, step + place, NOW) for step in range(100) for place, tag in enumerate(tags)))
    assert_equals_tensorboard(path, n_points=100 * len(base))


def test_a_tag_met_for_the_first_time_in_the_middle_of_a_steady_order(path: Path) -> None:
    usual = [("loss", step, step / 3) for step in range(2000)] + [("lr", step, 0.1) for step in range(2000)]
    rare = [("grad", step, float(step)) for step in (700, 1400)]  # as long as no other
    rows = sorted([*usual, *rare], key=lambda row: row[1])
    write(path, (scalar(tag, step, value, NOW + step) for tag, step, value in rows))
    assert_equals_tensorboard(path, n_points=4002)


# --- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize(("dtype", "encoding"), KINDS)
def test_tensors_of_every_type_at_its_limits(path: Path, dtype: str, shape: tuple[int, ...], encoding: str) -> None:
    values = LIMITS[dtype] * 6
    write(path, events(builders.tensor_value("m", value, dtype, shape, encoding) for value in values))
    assert_equals_tensorboard(path, n_points=len(values))


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize(("dtype", "encoding"), sorted(BEYOND_TENSORBOARD))
def test_tensors_of_types_tensorboard_cannot_read(
    path: Path, dtype: str, shape: tuple[int, ...], encoding: str
) -> None:
    values = LIMITS[dtype] * 6
    write(path, events(builders.tensor_value("m", value, dtype, shape, encoding) for value in values))
    found = read_scalars(str(path))["m"].value
    assert found.tolist() == [float(value) for value in values]
    assert np.signbit(found).tolist() == [math.copysign(1.0, value) < 0 for value in values]


def test_tensors_of_all_types_and_plain_scalars_side_by_side(path: Path) -> None:
    values = [
        builders.tensor_value(f"{dtype}{shape}", LIMITS[dtype][step % len(LIMITS[dtype])], dtype, shape, encoding)
        for step in range(20)
        for (dtype, encoding), shape in itertools.product(KINDS, [(), (1,)])
    ]
    plain = [builders.simple_value("plain", value) for value in LIMITS["float32"] * 5]
    write(path, events([*values[:500], *plain, *values[500:]]))
    assert_equals_tensorboard(path, n_points=len(values) + len(plain))


@pytest.mark.parametrize("value", LIMITS["float32"])
def test_plain_values_keep_every_bit(path: Path, value: float) -> None:
    write(path, events([builders.simple_value("loss", value)] * 30))
    assert_equals_tensorboard(path, n_points=30)


# --- steps and times -----------------------------------------------------------------------------------------------


def test_steps_of_every_size_a_varint_can_have(path: Path) -> None:
    edges = [0, *(2 ** (7 * size) + offset for size in range(1, 9) for offset in (-1, 0))]
    steps = [*edges, 2**31, 2**32, 2**62, 2**63 - 1, -1, -(2**31), -(2**63)]
    values = [builders.simple_value("loss", 1.0)]
    write(path, (record(builders.event(NOW, step, values)) for step in steps * 10))
    assert_equals_tensorboard(path, n_points=10 * len(steps))


def test_steps_and_times_that_are_left_out(path: Path) -> None:
    without_time = builders.event(0.0, 3, [builders.simple_value("loss", 2.0)])[9:]
    without_step = builders.event(NOW, None, [builders.simple_value("loss", 1.0)])
    write(path, [record(without_time), record(without_step)] * 20)
    assert_equals_tensorboard(path, n_points=40)


def test_records_out_of_order_in_step_and_time(path: Path) -> None:
    order = list(range(3000))
    random.Random(1).shuffle(order)
    write(path, (scalar(("a", "bb", "ccc")[step % 3], step, float(step), NOW - step) for step in order))
    assert_equals_tensorboard(path, n_points=3000)


# --- records -------------------------------------------------------------------------------------------------------


def test_records_with_a_different_number_of_values_each(path: Path) -> None:
    chance = random.Random(2)
    records, count = [], 0
    for step in range(150):
        tags = chance.sample(range(60), chance.randint(0, 60))
        values = [builders.simple_value(f"m{tag}", step + tag) for tag in tags]
        records.append(record(builders.event(NOW + step, step, values)))
        count += len(values)
    write(path, records)
    assert_equals_tensorboard(path, n_points=count)


def test_scalars_among_texts_and_vectors_in_one_record(path: Path) -> None:
    def values(step: int) -> list[bytes]:
        return [
            builders.simple_value("plain", step),
            builders.text_value("note", "x" * (step % 5)),
            builders.tensor_value("tensor", step, "float64"),
            builders.tensor_value("vector", [1.0, 2.0], shape=(2,), plugin="histograms"),
            builders.simple_value("plain", -step),
        ]

    write(path, (record(builders.event(NOW + step, step, values(step))) for step in range(100)))
    assert_equals_tensorboard(path, n_points=300)


def test_records_that_hold_no_event_values(path: Path) -> None:
    empty = [record(b""), record(builders.event(NOW, 5)), record(builders.event(NOW, 0, session_start=True))]
    write(path, [*empty, *events([builders.simple_value("loss", 1.0)] * 20), *empty])
    assert_equals_tensorboard(path, n_points=20)


@pytest.mark.parametrize("seed", range(8))
def test_mixtures_drawn_by_chance(path: Path, seed: int) -> None:
    chance = random.Random(seed)

    def value(number: int) -> bytes:
        if number % 3:
            return builders.simple_value(f"plain/{'y' * (number % 11)}{number}", chance.gauss(0, 1))
        dtype, encoding = KINDS[number % len(KINDS)]
        return builders.tensor_value(
            f"tensor/{number}", chance.choice(LIMITS[dtype]), dtype, ((), (1,))[number % 2], encoding
        )

    records, count, step = [], 0, 0
    for _ in range(chance.randint(5, 30)):
        together = [chance.sample(range(40), chance.choice([1, 1, 1, 2, 7])) for _ in range(chance.randint(1, 9))]
        stride = chance.choice([1, 1, 50, 2**20, -3])
        for _ in range(chance.randint(1, 30)):
            step += stride
            for numbers in together:
                records.append(record(builders.event(NOW + step, step, [value(number) for number in numbers])))
                count += len(numbers)
    write(path, records)
    assert_equals_tensorboard(path, n_points=count)


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_bytes", [1, 13, 64, 4096])
def test_blocks_smaller_than_the_records(path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    sizes = (3, 70, 900, 6000)
    write(path, (scalar("t" * size, step, step / 7, NOW) for step in range(12) for size in sizes))
    monkeypatch.setattr(eventfile, "BLOCK_BYTES", block_bytes)
    assert_equals_tensorboard(path, n_points=12 * len(sizes))


def test_a_record_larger_than_a_block_stands_between_scalars(path: Path) -> None:
    large = builders.text_value("note", "x" * (eventfile.BLOCK_BYTES + 1000))
    around = [builders.simple_value("loss", float(step)) for step in range(50)]
    write(path, events([*around, large, *around]))
    file = EventFile(str(path))
    file.refresh()
    assert file.columns["loss"].step.tolist() == [*range(50), *range(51, 101)]
    assert [(kept.plugin, kept.size_bytes > eventfile.BLOCK_BYTES) for kept in file.kept] == [("text", True)]
    assert not file.problems


def test_hundreds_of_files_in_one_directory(tmp_path: Path) -> None:
    n_files = 200
    for number in range(n_files):
        rows = [(tag, 3 * number + step, float(number)) for step in range(3) for tag in ("loss", "lr")]
        builders.write_scalars(tmp_path / event_file_name(START_SECOND + number), rows)
    expected: dict[str, list[tuple[int, float, bytes]]] = {}
    for file in sorted(tmp_path.iterdir()):
        for tag, points in tensorboard_table(file).items():
            expected.setdefault(tag, []).extend(points)
    scalars = RunReader(tmp_path).refresh()
    assert table(dict(scalars.series)) == expected
    assert scalars.count == n_files * 6


# --- many threads --------------------------------------------------------------------------------------------------

N_THREADS = 20
N_BURSTS = 200
STEPS_PER_BURST = 10
TAGS = ("first", "second/longer", "third")


def ask_reader(logs: Path) -> Callable[[], Scalars]:
    return RunReader(logs / "run").refresh


def ask_watch(logs: Path) -> Callable[[], Scalars]:
    watch = LogWatch([logs])
    return lambda: watch.scalars("run", NOW)


def assert_is_a_whole_prefix(scalars: Scalars) -> int:
    """Check that a snapshot holds what had been written at one moment, no more and no less; return its points."""
    lengths = [len(scalars.points(tag)) for tag in TAGS]
    assert lengths[0] >= lengths[1] >= lengths[2] >= lengths[0] - 1, "series written together are read together"
    for tag, length in zip(TAGS, lengths, strict=True):
        points = scalars.points(tag)
        sequence = np.arange(length)
        assert np.array_equal(points.step, sequence), f"{tag}: a point was lost, doubled or moved"
        assert np.array_equal(points.value, sequence)
        assert np.array_equal(points.wall_time, START_SECOND + sequence)
        assert not points.session.any()
    frame = scalars.frame
    assert frame["value"].tolist() == [step for length in lengths for step in range(length)]
    return sum(lengths)


@pytest.mark.parametrize("ask_of", [ask_reader, ask_watch], ids=["RunReader", "LogWatch"])
def test_twenty_threads_and_a_writer_at_full_speed_see_every_point_once(
    tmp_path: Path, ask_of: Callable[[Path], Callable[[], Scalars]]
) -> None:
    path = write(tmp_path / "run" / event_file_name(), [])
    ask = ask_of(tmp_path)
    written, looks = threading.Event(), threading.Semaphore(0)
    counts: list[list[int]] = [[] for _ in range(N_THREADS)]

    def watch(seen: list[int]) -> None:
        last_look = False
        while not last_look:
            last_look = written.is_set()
            seen.append(assert_is_a_whole_prefix(ask()))
            looks.release()

    threads = [threading.Thread(target=watch, args=(seen,)) for seen in counts]
    for thread in threads:
        thread.start()
    try:
        with path.open("ab", buffering=0) as file:
            for burst in range(N_BURSTS):
                for step in range(burst * STEPS_PER_BURST, (burst + 1) * STEPS_PER_BURST):
                    new = b"".join(scalar(tag, step, step, START_SECOND + step) for tag in TAGS)
                    cut = step % len(new)  # anywhere, so that looks find records that are not complete
                    file.write(new[:cut])
                    file.write(new[cut:])
                # Without waiting for looks, all would be written before the first.
                assert looks.acquire(timeout=30), "no thread looks any more"
    finally:
        written.set()
    for thread in threads:
        thread.join()
    n_points = len(TAGS) * N_BURSTS * STEPS_PER_BURST
    assert [seen[-1] for seen in counts] == [n_points] * N_THREADS, "a thread failed or missed points"
    assert all(seen == sorted(seen) for seen in counts)


def test_a_run_that_hangs_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hanging", "other"):
        write(tmp_path / name / event_file_name(), events([builders.simple_value("loss", 1.0)] * 10))
    watch = LogWatch([tmp_path])
    reading, go_on = threading.Event(), threading.Event()
    refresh = EventFile.refresh

    def refresh_when_allowed(file: EventFile) -> bool:
        if "hanging" in file.path:
            reading.set()
            assert go_on.wait(30)
        return refresh(file)

    monkeypatch.setattr(EventFile, "refresh", refresh_when_allowed)
    counts: dict[str, int] = {}

    def ask(name: str) -> None:
        counts[name] = watch.status(name, NOW).scalars.count

    hanging, other = (threading.Thread(target=ask, args=(name,)) for name in ("hanging", "other"))
    hanging.start()
    assert reading.wait(30)
    other.start()
    other.join(30)
    found_meanwhile = dict(counts)
    go_on.set()
    hanging.join()
    assert found_meanwhile == {"other": 10}
    assert counts["hanging"] == 10
