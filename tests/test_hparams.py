"""The hyper-parameters at the beginning of event files, held against what tbparse finds in them."""

from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2

from monitor import RunReader
from monitor.sources.extras import read_extras
from monitor.sources.hparams import BEGIN_BYTES, read_first_hparams
from tests import builders
from tests.builders import START_SECOND, event_file_name, file_header, record, scalar

HPARAMS = {"lr": 0.1, "layers": 3.0, "optimizer": "adam 世界", "amp": True}


def start(values: dict[str, object]) -> bytes:
    pb = summary_v2.hparams_pb(values)
    return record(Event(wall_time=START_SECOND, summary=Summary(value=pb.value)).SerializeToString())


def write(path: Path, *records: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file_header() + b"".join(records))
    return str(path)


def scalars(count: int) -> bytes:
    return b"".join(scalar("loss", step, 0.5, START_SECOND + step) for step in range(count))


def test_they_equal_those_of_tbparse(tmp_path: Path) -> None:
    path = write(tmp_path / event_file_name(), scalars(3), start(HPARAMS), scalars(3))
    reader = RunReader(tmp_path)
    reader.refresh()
    assert read_first_hparams([path]) == read_extras(reader.kept()).hparams == HPARAMS


def test_a_file_without_any_gives_none(tmp_path: Path) -> None:
    assert read_first_hparams([write(tmp_path / event_file_name(), scalars(50))]) == {}


def test_what_stands_far_behind_the_beginning_is_not_looked_for(tmp_path: Path) -> None:
    path = write(tmp_path / event_file_name(), scalars(2 * BEGIN_BYTES // 40), start(HPARAMS))
    assert read_first_hparams([path]) == {}


def test_of_a_name_in_several_files_the_last_value_counts(tmp_path: Path) -> None:
    paths = [write(tmp_path / str(n) / event_file_name(), start({"lr": float(n), f"k{n}": "x"})) for n in range(2)]
    assert read_first_hparams(paths) == {"lr": 1.0, "k0": "x", "k1": "x"}


def test_a_damaged_record_is_left_out(tmp_path: Path) -> None:
    path = Path(write(tmp_path / event_file_name(), start(HPARAMS)))
    builders.corrupt(path, path.stat().st_size - 30)
    assert read_first_hparams([str(path)]) == {}


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_record_that_is_still_being_written_is_left_out(tmp_path: Path, cut: int) -> None:
    path = Path(write(tmp_path / event_file_name(), start(HPARAMS)))
    builders.truncate(path, -cut)
    assert read_first_hparams([str(path)]) == {}


def test_a_file_that_is_gone_gives_none(tmp_path: Path) -> None:
    assert read_first_hparams([str(tmp_path / "gone")]) == {}
