"""One event file: resumable, exact, and steady under damage."""

import math
import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

from monitor.schema import Points
from monitor.sources import eventfile
from monitor.sources.eventfile import EventFile, read_scalars
from tests import builders
from tests.builders import START_SECOND, event_file_name, file_header, record, scalar


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """``tmp_path/events.out.tfevents.…``, not written yet."""
    return tmp_path / event_file_name()


def table(points: dict[str, Points]) -> dict[str, list[tuple[int, float, bytes]]]:
    """Return tag → (step, wall time, value bit for bit), so that NaN compares equal."""
    return {
        tag: [
            (step, wall_time, struct.pack("<d", value))
            for step, wall_time, value in zip(
                series.step.tolist(), series.wall_time.tolist(), series.value.tolist(), strict=True
            )
        ]
        for tag, series in points.items()
    }


def tensorboard_table(path: Path) -> dict[str, list[tuple[int, float, bytes]]]:
    """Return the same as TensorBoard's own loader reads it: values of the plugin ``scalars``."""
    found: dict[str, list[tuple[int, float, bytes]]] = {}
    plugins: dict[str, str] = {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            if plugin == "scalars":
                number = float(tensor_util.make_ndarray(value.tensor).item())
                found.setdefault(value.tag, []).append((event.step, event.wall_time, struct.pack("<d", number)))
    return found


def current(file: EventFile) -> dict[str, Points]:
    return {
        tag: Points(column.step, column.wall_time, column.value, column.sessions(0))
        for tag, column in file.columns.items()
    }


def kinds(file: EventFile) -> list[str]:
    return [problem.kind for problem in file.problems]


# --- content -------------------------------------------------------------------------------------------------------


def test_every_point_of_many_steps_is_kept_in_order(path: Path) -> None:
    rows = [(tag, step, step + index / 7) for step in range(20_000) for index, tag in enumerate(("a", "loss/b"))]
    builders.write_scalars(path, rows)
    found = read_scalars(str(path))
    assert found.keys() == {"a", "loss/b"}
    assert np.array_equal(found["a"].step, np.arange(20_000))
    assert np.array_equal(found["loss/b"].value, (np.arange(20_000) + 1 / 7).astype(np.float32).astype(float))
    assert np.array_equal(found["a"].wall_time, START_SECOND + np.arange(20_000.0))


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("one tag", [("loss", step, 1 / (step + 1)) for step in range(300)]),
        ("tags of one length", [(f"tag{step % 7}", step // 7, float(step)) for step in range(3000)]),
        ("irregular order", [(f"t{random.Random(step).randrange(9)}", step, float(step)) for step in range(3000)]),
        ("a validation now and then", [("val" if n % 50 == 49 else "loss", n, n * 0.5) for n in range(4000)]),
        ("the same tag many times at a step", [("loss", step // 34, float(step)) for step in range(2000)]),
        ("steps beyond 2^31", [("loss", 2**31 + step * 2**25, float(step)) for step in range(500)]),
        ("negative steps", [("loss", step - 250, float(step)) for step in range(500)]),
        ("backward steps", [("loss", 500 - step, float(step)) for step in range(500)]),
        ("non-finite values", [("loss", step, (math.nan, math.inf, -math.inf, 0.0)[step % 4]) for step in range(99)]),
        (
            "unicode and long tags",
            [(tag, step, 1.5) for step in range(40) for tag in ("损失/训练", "é" * 500, "a b,c|%")],
        ),
        ("one point", [("loss", 7, 0.25)]),
    ],
)
def test_scalars_equal_tensorboards_loader(path: Path, name: str, rows: list[builders.Row]) -> None:
    builders.write_scalars(path, rows)
    assert table(read_scalars(str(path))) == tensorboard_table(path)


@pytest.mark.parametrize("encoding", ["content", "typed"])
@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"])
def test_tensor_scalars_equal_tensorboards_loader(
    path: Path, dtype: str, shape: tuple[int, ...], encoding: str
) -> None:
    values = [builders.tensor_value("m", float(step % 2), dtype, shape, encoding) for step in range(40)]
    records = [record(builders.event(START_SECOND + step, step, [value])) for step, value in enumerate(values)]
    path.write_bytes(file_header() + b"".join(records))
    expected = tensorboard_table(path)
    assert len(expected["m"]) == 40
    assert table(read_scalars(str(path))) == expected


def test_a_tensor_whose_plugin_was_named_only_at_first_is_a_scalar(path: Path) -> None:
    named = [builders.tensor_value("m", 1.0)] + [builders.tensor_value("m", float(n), plugin=None) for n in range(30)]
    records = [record(builders.event(START_SECOND + n, n, [value])) for n, value in enumerate(named)]
    path.write_bytes(file_header() + b"".join(records))
    assert len(read_scalars(str(path))["m"]) == 31


def test_two_tags_of_one_length_whose_plugin_was_named_only_at_first_are_scalars(path: Path) -> None:
    records = [
        record(
            builders.event(START_SECOND + n, n, [builders.tensor_value(tag, n, plugin=None if n > 1 else "scalars")])
        )
        for n in range(1, 60)
        for tag in ("loss_a", "loss_b")
    ]
    path.write_bytes(file_header() + b"".join(records))
    assert {tag: len(points) for tag, points in read_scalars(str(path)).items()} == {"loss_a": 59, "loss_b": 59}


def test_many_values_in_one_record_are_all_read(path: Path) -> None:
    records = [
        record(builders.event(START_SECOND + step, step, [builders.simple_value(f"m{n}", step + n) for n in range(30)]))
        for step in range(200)
    ]
    path.write_bytes(file_header() + b"".join(records))
    found = read_scalars(str(path))
    assert table(found) == tensorboard_table(path)
    assert sum(map(len, found.values())) == 6000


def test_vectors_texts_and_other_plugins_are_no_scalars(path: Path) -> None:
    values = [
        builders.tensor_value("vector", [1.0, 2.0], shape=(2,)),
        builders.tensor_value("_hparams_/session_start_info", 0.0, shape=(1,), plugin="hparams"),
        builders.text_value("note", "hello"),
    ]
    path.write_bytes(file_header() + record(builders.event(START_SECOND, 1, values)))
    file = EventFile(str(path))
    file.refresh()
    assert not file.columns
    assert {kept.plugin for kept in file.kept} == {"text", "hparams"}


@pytest.mark.parametrize("n_steps", [1, 12, 300, 3000])
@pytest.mark.parametrize("tags", [["loss"], ["a", "bb", "ccc"], ["tag1", "tag2", "tag3"]], ids=len)
def test_the_times_of_the_first_and_the_last_event_are_those_of_all_tags(
    path: Path, tags: list[str], n_steps: int
) -> None:
    times = iter(range(1, len(tags) * n_steps + 1))
    rows = [(tag, step, 1.0, START_SECOND + next(times)) for step in range(n_steps) for tag in tags]
    builders.write_scalars(path, rows)
    file = EventFile(str(path))
    file.refresh()
    assert (file.first_event, file.last_event) == (START_SECOND, START_SECOND + len(tags) * n_steps)


def test_tags_that_are_no_text_are_kept_apart(path: Path) -> None:
    values = [b"\x0a\x01" + tag + b"\x15\0\0\x80\x3f" for tag in (b"\xfe", b"\xff")]
    path.write_bytes(file_header() + record(builders.event(START_SECOND, 1, values)))
    assert {tag: len(points) for tag, points in read_scalars(str(path)).items()} == {"\\xfe": 1, "\\xff": 1}


def test_files_larger_than_a_block_are_read_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builders.write_scalars(path, [(tag, step, step) for step in range(3000) for tag in ("a", "bb", "ccc")])
    expected = table(read_scalars(str(path)))
    monkeypatch.setattr(eventfile, "BLOCK_BYTES", 1000)
    assert table(read_scalars(str(path))) == expected


# --- growth --------------------------------------------------------------------------------------------------------


def test_every_byte_split_gives_the_same_columns(path: Path, tmp_path: Path) -> None:
    rows = [(tag, step, step / 3) for step in range(5) for tag in ("loss", "lr")]
    content = builders.write_scalars(path, rows).read_bytes()
    expected = table(read_scalars(str(path)))
    for split in range(len(content) + 1):
        growing = tmp_path / f"{split}.tfevents"
        growing.write_bytes(content[:split])
        file = EventFile(str(growing))
        file.refresh()
        builders.append(growing, content[split:])
        file.refresh()
        assert table(current(file)) == expected, f"split at byte {split}"
        assert file.bytes_read == len(content)
        assert not file.problems


def test_a_file_written_byte_by_byte_is_read_once(path: Path) -> None:
    content = file_header() + scalar("loss", 1, 0.5, START_SECOND) + scalar("loss", 2, 0.25, START_SECOND + 1)
    file = EventFile(str(path))
    for byte in content:
        builders.append(path, bytes([byte]))
        file.refresh()
    assert table(current(file)) == table(read_scalars(str(path)))
    assert file.bytes_read == len(content)


def test_a_refresh_reads_only_the_new_bytes(path: Path) -> None:
    builders.write_scalars(path, builders.rows("loss", range(1000)))
    file = EventFile(str(path))
    file.refresh()
    before, new = file.bytes_read, scalar("loss", 1000, 0.5, START_SECOND)
    builders.append(path, new)
    assert file.refresh()
    assert file.bytes_read - before == len(new)


def test_a_refresh_without_news_reads_nothing_and_says_so(path: Path) -> None:
    builders.write_scalars(path, builders.rows("loss", range(10)))
    file = EventFile(str(path))
    file.refresh()
    before = file.bytes_read
    assert not file.refresh()
    assert file.bytes_read == before


def test_columns_handed_out_stay_as_they_are_when_the_file_grows(path: Path) -> None:
    builders.write_scalars(path, builders.rows("loss", range(100)))
    file = EventFile(str(path))
    file.refresh()
    handed_out = file.columns["loss"].value
    for step in range(100, 200):
        builders.append(path, scalar("loss", step, -1.0, START_SECOND))
        file.refresh()
    assert np.array_equal(handed_out, np.arange(100.0))


def test_an_incomplete_record_is_waited_for_and_told(path: Path) -> None:
    whole = scalar("loss", 1, 0.5, START_SECOND)
    path.write_bytes(file_header() + scalar("loss", 0, 1.0, START_SECOND) + whole[:20])
    file = EventFile(str(path))
    file.refresh()
    assert kinds(file) == ["incomplete_record"]
    assert file.problems[0].offset == path.stat().st_size - 20
    builders.append(path, whole[20:])
    file.refresh()
    assert not file.problems
    assert file.columns["loss"].step.tolist() == [0, 1]


# --- damage --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hundred(path: Path) -> Path:
    """A hundred steps of a loss, all records of one size from step 1 on."""
    return builders.write_scalars(path, builders.rows("loss", range(100)))


def offset_of(path: Path, step: int) -> int:
    """Return where the record of a step begins in `hundred`."""
    at = len(file_header())
    return at + sum(len(scalar("loss", n, float(n), START_SECOND + n)) for n in range(step))


@pytest.mark.parametrize("byte", range(12, 53))
def test_a_flipped_byte_in_a_payload_costs_that_record_only(hundred: Path, byte: int) -> None:
    record_bytes = offset_of(hundred, 51) - offset_of(hundred, 50)
    if byte >= record_bytes:
        byte = record_bytes - 1
    builders.corrupt(hundred, offset_of(hundred, 50) + byte)
    file = EventFile(str(hundred))
    file.refresh()
    assert file.columns["loss"].step.tolist() == [step for step in range(100) if step != 50]
    assert [(problem.kind, problem.offset) for problem in file.problems] == [("damaged_record", offset_of(hundred, 50))]


@pytest.mark.parametrize("byte", range(12))
def test_behind_a_damaged_header_reading_goes_on_at_the_next_record(hundred: Path, byte: int) -> None:
    builders.corrupt(hundred, offset_of(hundred, 50) + byte)
    file = EventFile(str(hundred))
    file.refresh()
    assert file.columns["loss"].step.tolist() == [step for step in range(100) if step != 50]
    assert [(problem.kind, problem.offset) for problem in file.problems] == [("damaged_length", offset_of(hundred, 50))]


def test_the_first_record_of_many_alike_being_damaged_spoils_no_other(hundred: Path) -> None:
    builders.corrupt(hundred, offset_of(hundred, 1) + 20)
    assert read_scalars(str(hundred))["loss"].step.tolist() == [0, *range(2, 100)]


def test_bytes_cut_out_of_the_middle_cost_the_records_they_belong_to(hundred: Path) -> None:
    content = hundred.read_bytes()
    cut = offset_of(hundred, 50) + 5
    hundred.write_bytes(content[:cut] + content[cut + 60 :])
    steps = read_scalars(str(hundred))["loss"].step.tolist()
    assert steps == [step for step in range(100) if step not in (50, 51)]


def test_damage_at_the_end_is_left_behind_when_the_file_grows(hundred: Path) -> None:
    builders.append(hundred, b"\x99" * 70)
    file = EventFile(str(hundred))
    file.refresh()
    assert kinds(file) == ["damaged_length"]
    builders.append(hundred, scalar("loss", 100, 1.0, START_SECOND))
    file.refresh()
    assert file.columns["loss"].step.tolist() == list(range(101))
    assert [problem.offset for problem in file.problems] == [offset_of(hundred, 100)]


def test_space_that_was_reserved_is_read_once_it_is_written(hundred: Path) -> None:
    whole = hundred.stat().st_size
    os.truncate(hundred, whole + 4096)
    file = EventFile(str(hundred))
    file.refresh()
    assert kinds(file) == ["incomplete_record"]
    with hundred.open("r+b") as writer:
        writer.seek(whole)
        writer.write(scalar("loss", 100, 1.0, START_SECOND))
    file.refresh()
    assert file.columns["loss"].step.tolist() == list(range(101))


def test_a_size_beyond_any_record_is_damage_not_a_wait(hundred: Path) -> None:
    forged = struct.pack("<Q", 1 << 62)
    builders.append(hundred, forged + struct.pack("<I", builders.masked_crc32c(forged)))
    builders.append(hundred, scalar("loss", 100, 1.0, START_SECOND))
    assert read_scalars(str(hundred))["loss"].step.tolist() == list(range(101))


def test_much_damage_is_counted_not_listed(path: Path) -> None:
    builders.write_scalars(path, builders.rows("loss", range(500)))
    for step in range(0, 500, 2):
        builders.corrupt(path, offset_of(path, step) + 25)
    file = EventFile(str(path))
    file.refresh()
    assert len(file.columns["loss"]) == 250
    assert len(file.problems) == eventfile.MOST_PROBLEMS + 1
    assert file.problems[-1].detail.startswith("150 more")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n", ["not_event_file"]),
        (b"This is a text that somebody named like an event file.\n" * 3, ["not_event_file"]),
        (b"\0" * 5000, ["incomplete_record"]),
        (os.urandom(0) + bytes(range(1, 256)) * 20, ["damaged_length"]),
        (file_header(), []),
    ],
    ids=["empty", "lfs pointer", "text", "zeros", "noise", "header only"],
)
def test_a_file_without_scalars_is_told_apart(path: Path, content: bytes, expected: list[str]) -> None:
    path.write_bytes(content)
    file = EventFile(str(path))
    file.refresh()
    assert not file.columns
    assert kinds(file) == expected
    assert not file.refresh()
    assert kinds(file) == expected


# --- files that change under the reader ------------------------------------------------------------------------------


def test_a_file_that_shrinks_is_read_again_and_told(hundred: Path) -> None:
    file = EventFile(str(hundred))
    file.refresh()
    builders.truncate(hundred, offset_of(hundred, 10))
    assert file.refresh()
    assert file.columns["loss"].step.tolist() == list(range(10))
    assert kinds(file) == ["shrunk"]


@pytest.mark.parametrize("in_place", [True, False], ids=["same inode", "new inode"])
def test_a_replaced_file_is_read_again_and_told(hundred: Path, tmp_path: Path, in_place: bool) -> None:
    file = EventFile(str(hundred))
    file.refresh()
    other = builders.write_scalars(tmp_path / "other", builders.rows("acc", range(300)), start=START_SECOND + 5)
    if in_place:
        hundred.write_bytes(other.read_bytes())
    else:
        other.rename(hundred)
    assert file.refresh()
    assert file.columns.keys() == {"acc"}
    assert file.take_changed_tags() == {"loss", "acc"}
    assert kinds(file) == ["replaced"]


def test_a_longer_copy_of_the_same_file_under_a_new_inode_is_continued(hundred: Path, tmp_path: Path) -> None:
    file = EventFile(str(hundred))
    file.refresh()
    read, new = file.bytes_read, scalar("loss", 100, 1.0, START_SECOND)
    copy = tmp_path / "copy"
    copy.write_bytes(hundred.read_bytes() + new)
    copy.rename(hundred)
    file.refresh()
    assert file.bytes_read - read == len(new)
    assert not file.problems


def test_a_deleted_file_keeps_what_was_read_and_is_told(hundred: Path) -> None:
    file = EventFile(str(hundred))
    file.refresh()
    hundred.unlink()
    assert file.refresh()
    assert len(file.columns["loss"]) == 100
    assert kinds(file) == ["deleted"]
    assert not file.refresh()


def test_a_file_that_turns_unreadable_is_told_and_goes_on_when_allowed_again(
    hundred: Path, as_ordinary_user: None
) -> None:
    file = EventFile(str(hundred))
    file.refresh()
    builders.append(hundred, scalar("loss", 100, 1.0, START_SECOND))
    hundred.chmod(0)
    file.refresh()
    assert kinds(file) == ["no_permission"]
    assert "chmod" in file.problems[0].detail
    hundred.chmod(0o600)
    file.refresh()
    assert not file.problems
    assert len(file.columns["loss"]) == 101


def test_a_directory_named_like_an_event_file_is_told(path: Path) -> None:
    path.mkdir()
    file = EventFile(str(path))
    file.refresh()
    assert kinds(file) == ["unreadable"]


def test_event_files_are_never_written_to(hundred: Path) -> None:
    hundred.chmod(0o400)
    before = hundred.stat()
    file = EventFile(str(hundred))
    file.refresh()
    after = hundred.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert len(file.columns["loss"]) == 100
