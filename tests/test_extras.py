"""Text and hyper-parameters of a run."""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2

from monitor import RunReader
from monitor.sources.extras import MOST_RECORDS, Extras, read_extras
from tests import builders
from tests.builders import START_SECOND, event, event_file_name, file_header, record, scalar, text_value


def extras_of(run: Path) -> Extras:
    reader = RunReader(run)
    reader.refresh()
    return read_extras(reader.kept())


def write(run: Path, *payloads: bytes) -> None:
    (run / event_file_name()).write_bytes(file_header() + b"".join(map(record, payloads)))


def test_logged_text_is_read_with_its_step(tmp_path: Path) -> None:
    write(tmp_path, event(START_SECOND, 7, [text_value("notes/text_summary", "**hello** | 世界")]))
    (text,) = extras_of(tmp_path).texts
    assert (text.tag, text.step, text.text) == ("notes", 7, "**hello** | 世界")


def test_hyper_parameters_are_read(tmp_path: Path) -> None:
    start = summary_v2.hparams_pb({"lr": 0.1, "optimizer": "adam"})
    write(tmp_path, Event(wall_time=START_SECOND, summary=Summary(value=start.value)).SerializeToString())
    assert extras_of(tmp_path).hparams == {"lr": 0.1, "optimizer": "adam"}


def test_a_run_with_scalars_only_has_none(tmp_path: Path) -> None:
    (tmp_path / event_file_name()).write_bytes(file_header() + scalar("loss", 1, 0.5, START_SECOND))
    assert extras_of(tmp_path) == Extras()


def test_of_very_much_text_the_newest_is_read(tmp_path: Path) -> None:
    texts = [event(START_SECOND, step, [text_value("t", str(step))]) for step in range(MOST_RECORDS + 20)]
    write(tmp_path, *texts)
    steps = [text.step for text in extras_of(tmp_path).texts]
    assert steps == list(range(20, MOST_RECORDS + 20))


def test_a_file_deleted_meanwhile_gives_none(tmp_path: Path) -> None:
    write(tmp_path, event(START_SECOND, 7, [text_value("t", "x")]))
    reader = RunReader(tmp_path)
    reader.refresh()
    (tmp_path / event_file_name()).unlink()
    assert read_extras(reader.kept()) == Extras()


def test_text_in_a_sub_directory_carries_its_name(tmp_path: Path) -> None:
    builders.write_scalars(tmp_path / event_file_name(), builders.rows("loss", range(3)))
    (tmp_path / "eval").mkdir()
    write(tmp_path / "eval", event(START_SECOND, 7, [text_value("t", "x")]))
    assert [text.tag for text in extras_of(tmp_path).texts] == ["eval/t"]
