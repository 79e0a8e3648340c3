"""Log directories → runs."""

import os
from pathlib import Path

import pytest

from monitor.sources.runs import RunFinder
from tests import builders
from tests.builders import START_SECOND, event_file_name, rows


def write_run(path: Path, age_seconds: float = 0) -> Path:
    """Write one run whose event file was last touched `age_seconds` before a fixed moment."""
    event_file = builders.write_scalars(path / event_file_name(), rows("loss", range(3)))
    os.utime(event_file, (START_SECOND - age_seconds, START_SECOND - age_seconds))
    return path


def names(*directories: Path) -> list[str]:
    return [run.name for run in RunFinder(directories).find().runs]


def test_runs_are_named_below_the_log_directory_newest_first(tmp_path: Path) -> None:
    write_run(tmp_path / "task" / "act" / "run_1", age_seconds=30)
    write_run(tmp_path / "task" / "act" / "run_2", age_seconds=10)
    write_run(tmp_path / "other", age_seconds=20)
    assert names(tmp_path) == ["task/act/run_2", "other", "task/act/run_1"]


def test_the_log_directory_itself_may_be_a_run(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert names(tmp_path) == ["."]


def test_an_empty_log_directory_has_no_runs(tmp_path: Path) -> None:
    assert names(tmp_path) == []


def test_sub_directories_that_belong_to_a_run_are_no_runs(tmp_path: Path) -> None:
    for part in ("keras/train", "keras/validation", "estimator", "estimator/eval", "hparams", "hparams/1712345678.1"):
        write_run(tmp_path / part)
    builders.write_scalars(tmp_path / "scalars" / event_file_name(), rows("loss", range(3)))
    builders.write_scalars(tmp_path / "scalars" / "a_b_x" / event_file_name(), rows("a/b", range(3)))
    assert sorted(names(tmp_path)) == ["estimator", "hparams", "keras", "scalars"]


def test_a_directory_called_test_beside_other_runs_is_a_run(tmp_path: Path) -> None:
    write_run(tmp_path / "test")
    write_run(tmp_path / "baseline")
    assert sorted(names(tmp_path)) == ["baseline", "test"]


def test_train_beside_a_directory_with_other_events_still_joins_validation(tmp_path: Path) -> None:
    for part in ("train", "validation", "images"):
        write_run(tmp_path / "run" / part)
    assert sorted(names(tmp_path)) == ["run", "run/images"]


def test_several_log_directories_stand_in_front_of_the_names(tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "run_1")
    write_run(tmp_path / "b")
    assert sorted(names(tmp_path / "a", tmp_path / "b")) == ["a/run_1", "b"]


def test_new_runs_and_new_points_are_seen_by_the_next_search(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", age_seconds=20)
    finder = RunFinder([tmp_path])
    finder.find()
    write_run(tmp_path / "second", age_seconds=10)
    assert [run.name for run in finder.find().runs] == ["second", "first"]
    os.utime(first / event_file_name(), (START_SECOND, START_SECOND))
    assert [run.name for run in finder.find().runs] == ["first", "second"]


def test_a_deleted_run_is_gone_from_the_next_search(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    finder = RunFinder([tmp_path])
    finder.find()
    (run / event_file_name()).unlink()
    assert finder.find().runs == ()


def test_links_out_of_the_log_directory_are_not_followed(tmp_path: Path) -> None:
    write_run(tmp_path / "secret" / "run")
    logs = tmp_path / "logs"
    write_run(logs / "mine")
    (logs / "link").symlink_to(tmp_path / "secret")
    assert names(logs) == ["mine"]


def test_a_link_that_loops_does_not_hang_the_search(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["run"]


def test_a_directory_without_permission_is_told_and_the_others_are_found(
    tmp_path: Path, as_ordinary_user: None
) -> None:
    write_run(tmp_path / "open")
    closed = write_run(tmp_path / "closed")
    closed.chmod(0)
    found = RunFinder([tmp_path]).find()
    closed.chmod(0o700)
    assert [run.name for run in found.runs] == ["open"]
    assert [(problem.kind, problem.path) for problem in found.problems] == [("no_permission", str(closed))]


@pytest.mark.parametrize("name", ["a b|c", "`x`", "<b>", "名", "x" * 200, "-rf"])
def test_hostile_names_are_kept_as_they_are(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / name)
    assert names(tmp_path) == [name]
