"""The record of the readings: what comes back after a restart, and what stands in the way."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.schema import GpuSample, Sample
from monitor.sources.resources.record import Record

NOW = 1_700_000_000.0
HOURS = 7_200.0
GPU = GpuSample(0, "NVIDIA H200", 87.0, 3 * 1024**3, 8 * 1024**3, 61.0, 412.5, 700.0, 92.0)
READING = Sample(
    wall_time=NOW,
    cpu_percent=43.25,
    memory_used_bytes=10**9,
    memory_total_bytes=4 * 10**9,
    disk_free_bytes=10**11,
    disk_total_bytes=4 * 10**11,
    swap_used_bytes=0,
    disk_read_bytes_per_second=12.5,
    disk_write_bytes_per_second=0.0,
    gpus=(GPU,),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record.jsonl"


def record_of(path: Path, *readings: Sample, keep: int = 3_600) -> Record:
    """Return a record that was read, with readings added to it."""
    record = Record(path, keep)
    record.read(NOW, HOURS)
    for reading in readings:
        record.append(reading)
    return record


def at(*seconds: float) -> list[Sample]:
    return [Sample(NOW + second, 10.0) for second in seconds]


def read_again(path: Path, now: float = NOW, keep: int = 3_600) -> list[float]:
    return [reading.wall_time - NOW for reading in Record(path, keep).read(now, HOURS)]


@contextmanager
def file_size_limit(limit_bytes: int) -> Iterator[None]:
    """Have the system refuse to let files grow: it takes what fits, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_reading_comes_back_as_it_was(path):
    record_of(path, READING)
    assert Record(path, 10).read(NOW, HOURS) == (READING,)


def test_what_is_not_told_comes_back_as_not_told(path):
    reading = Sample(NOW, gpus=(GpuSample(1, "lost", None, None, None, None),))
    record_of(path, reading)
    assert Record(path, 10).read(NOW, HOURS) == (reading,)


def test_there_is_no_history_and_no_complaint_before_the_first_reading(path):
    record = Record(path, 10)
    assert (record.read(NOW, HOURS), record.note) == ((), None)


def test_readings_older_than_the_history_or_of_the_future_are_left_out(path):
    record_of(path, *at(-HOURS - 1, -HOURS, 0, 1))
    assert read_again(path) == [-HOURS, 0]


def test_only_the_newest_come_back(path):
    record_of(path, *at(-3, -2, -1))
    assert read_again(path, keep=2) == [-2, -1]


def test_readings_of_another_host_are_left_out_and_are_no_damage(path):
    record_of(path, *at(-2, -1))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(lines[0]) | {"host": "another"}), lines[1]]) + "\n")
    record = Record(path, 10)
    assert [reading.wall_time for reading in record.read(NOW, HOURS)] == [NOW - 1]
    assert record.note is None


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\x00\xfe",
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"host":"h","wall_time":"now","gpus":[]}',
        b'{"host":"h","wall_time":NaN,"gpus":[]}',
        b'{"host":"h","wall_time":1e999,"gpus":[]}',
        b'{"host":"h","wall_time":1' + b"0" * 400 + b',"gpus":[]}',
        b'{"host":"h","wall_time":true,"gpus":[]}',
        b'{"host":"h","gpus":[]}',
        b'{"host":"h","wall_time":1.0}',
        b'{"host":"h","wall_time":1.0,"gpus":[{"index":0}]}',
        b'{"host":"h","wall_time":1.0,"gpus":[{"index":0,"name":"n","power_watts":"much"}]}',
    ],
)
def test_damaged_line_is_left_out_and_counted(path, damage):
    record_of(path, *at(-2, -1))
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damage + b"\n" + second)
    record = Record(path, 10)
    assert [reading.wall_time - NOW for reading in record.read(NOW, HOURS)] == [-2, -1]
    assert record.note is not None
    assert ", 1 cannot be read" in record.note


def test_line_torn_by_the_end_of_the_monitor_spoils_no_other(path):
    record_of(path, *at(-3, -2))
    path.write_bytes(path.read_bytes()[:-20])
    record = Record(path, 10)
    assert [reading.wall_time - NOW for reading in record.read(NOW, HOURS)] == [-3]
    assert record.note is None
    record.append(at(-1)[0])
    assert read_again(path) == [-3, -1]


@pytest.mark.parametrize("content", [b"My notes.\n", b"\x89PNG\r\n\x1a\n", b'{"steps": 3}\n'])
def test_file_of_another_is_left_as_it_is(path, content):
    path.write_bytes(content)
    record = record_of(path, READING)
    assert path.read_bytes() == content
    assert record.note is not None
    assert "holds no record of readings" in record.note


def test_file_holds_at_most_twice_the_history(path):
    record = record_of(path, keep=5)
    most = 0
    for reading in at(*range(-40, 0)):
        record.append(reading)
        most = max(most, len(path.read_bytes().splitlines()))
    assert most == 10
    assert read_again(path, keep=5) == [-5, -4, -3, -2, -1]


def test_cutting_leaves_no_other_file_behind(path):
    record_of(path, *at(*range(-40, 0)), keep=5)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_file_that_grew_over_several_restarts_is_cut_as_well(path):
    for second in range(-12, 0):
        record_of(path, *at(second), keep=5)
    assert len(path.read_bytes().splitlines()) <= 10


def test_link_stays_a_link_when_the_file_is_cut(path):
    target = path.with_name("elsewhere.jsonl")
    path.symlink_to(target)
    record_of(path, *at(*range(-12, 0)), keep=5)
    assert path.is_symlink()
    assert len(target.read_bytes().splitlines()) <= 10


def test_missing_directory_is_said_and_the_record_goes_on_once_it_is_there(tmp_path):
    path = tmp_path / "later" / "record.jsonl"
    record = record_of(path, *at(-2))
    assert record.note is not None
    assert os.strerror(errno.ENOENT) in record.note
    path.parent.mkdir()
    record.append(at(-1)[0])
    assert (read_again(path), record.note) == ([-1], None)


def test_directory_in_the_place_of_the_file_is_said(tmp_path):
    record = record_of(tmp_path, READING)
    assert record.note is not None
    assert "it is no file" in record.note


def test_pipe_in_the_place_of_the_file_is_said_and_not_waited_for(path):
    os.mkfifo(path)
    record = record_of(path, READING)
    assert record.note is not None
    assert "it is no file" in record.note


def test_name_that_no_file_can_have_is_said(tmp_path):
    record = record_of(tmp_path / "a\0b", READING)
    assert record.note is not None


def test_full_disk_is_said_and_spoils_no_line_once_there_is_room_again(path):
    record = record_of(path, *at(-4, -3))
    with file_size_limit(path.stat().st_size + 20):
        record.append(at(-2)[0])
        note = record.note
    record.append(at(-1)[0])
    assert note is not None
    assert "are not recorded" in note
    assert (read_again(path), record.note) == ([-4, -3, -1], None)


def test_two_monitors_may_write_to_one_file(path):
    first, second = record_of(path), record_of(path)
    for reading in at(-4, -3):
        first.append(reading)
        second.append(replace(reading, wall_time=reading.wall_time + 0.5))
    assert read_again(path) == [-4, -3.5, -3, -2.5]
