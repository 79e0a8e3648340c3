from pathlib import Path

import pytest

from monitor import RunReader
from monitor.schema import Scalars
from monitor.sources.glance import LONGER_TAIL_BYTES, TAIL_BYTES, Glancer
from monitor.sources.runs import RunFinder
from tests import builders
from tests.builders import START_SECOND, append, event_file_name, file_header, record, rows, write_scalars


def glance(log_directory: Path, glancer: Glancer | None = None) -> Scalars:
    (run,) = RunFinder([log_directory]).find().runs
    return (glancer or Glancer()).glance(run)


def test_the_newest_points_equal_those_of_a_whole_read(tmp_path: Path) -> None:
    write_scalars(tmp_path / "a" / event_file_name(), [row for n in range(9) for row in rows(f"m{n}", range(500))])
    whole, seen = RunReader(tmp_path / "a").refresh(), glance(tmp_path)
    assert seen.last_event == whole.last_event
    assert seen.first_event == whole.first_event
    for tag, points in seen.series.items():
        count = len(points)
        assert points.step.tolist() == whole.series[tag].step[-count:].tolist()
        assert points.value.tolist() == whole.series[tag].value[-count:].tolist()


def test_only_the_end_of_a_long_file_is_read(tmp_path: Path) -> None:
    path = write_scalars(tmp_path / "a" / event_file_name(), rows("loss", range(20_000)))
    assert path.stat().st_size > 10 * LONGER_TAIL_BYTES
    seen = glance(tmp_path)
    assert seen.bytes_read < 2 * TAIL_BYTES
    assert seen.series["loss"].step[-1] == 19_999


def test_a_run_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    path = write_scalars(tmp_path / "a" / event_file_name(), rows("loss", range(10)))
    glancer = Glancer()
    first = glance(tmp_path, glancer)
    assert glance(tmp_path, glancer) is first
    append(path, builders.scalar("loss", 10, 0.5, START_SECOND + 10))
    assert glance(tmp_path, glancer).series["loss"].step[-1] == 10


def test_a_run_that_was_deleted_is_forgotten(tmp_path: Path) -> None:
    write_scalars(tmp_path / "a" / event_file_name(), rows("loss", range(10)))
    glancer = Glancer()
    first = glance(tmp_path, glancer)
    glancer.keep_only(())
    assert glance(tmp_path, glancer) is not first


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_a_record_that_is_still_being_written_is_left_out(tmp_path: Path, cut: int) -> None:
    path = write_scalars(tmp_path / "a" / event_file_name(), rows("loss", range(1000)))
    builders.truncate(path, path.stat().st_size - cut)
    assert glance(tmp_path).series["loss"].step[-1] == 998


def test_damage_at_the_end_is_passed_over(tmp_path: Path) -> None:
    path = write_scalars(tmp_path / "a" / event_file_name(), rows("loss", range(1000)))
    size = path.stat().st_size
    builders.corrupt(path, size - 200)
    assert glance(tmp_path).series["loss"].step[-1] == 999


def test_tensors_whose_plugin_is_named_at_the_head_only_are_scalars(tmp_path: Path) -> None:
    values = [builders.tensor_value("loss", float(n), plugin=None if n else "scalars") for n in range(1000)]
    path = tmp_path / "a" / event_file_name()
    path.parent.mkdir()
    records = (record(builders.event(START_SECOND + n, n, [value])) for n, value in enumerate(values))
    path.write_bytes(file_header() + b"".join(records))
    assert glance(tmp_path).series["loss"].value[-1] == 999


def test_the_newest_file_with_scalars_counts_in_each_directory(tmp_path: Path) -> None:
    for index, part in enumerate(("train", "validation")):
        write_scalars(tmp_path / "a" / part / event_file_name(index=index), rows("loss", range(10 + index)))
    (tmp_path / "a" / "train" / event_file_name(START_SECOND + 9)).write_bytes(file_header(START_SECOND + 9))
    seen = glance(tmp_path)
    assert {tag: int(points.step[-1]) for tag, points in seen.series.items()} == {
        "train/loss": 9,
        "validation/loss": 10,
    }


def test_a_file_that_cannot_be_opened_gives_nothing(tmp_path: Path) -> None:
    path = write_scalars(tmp_path / "a" / event_file_name(), rows("loss", range(10)))
    (run,) = RunFinder([tmp_path]).find().runs
    path.unlink()
    seen = Glancer().glance(run)
    assert not seen.series
    assert seen.last_event is None
