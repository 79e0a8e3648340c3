"""The files of a run: sessions, parts, growth, and what stands in the way."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tbparse import SummaryReader

from monitor import RunReader
from monitor.schema import SCALAR_DTYPES, Scalars
from tests import builders
from tests.builders import START_SECOND, event_file_name, file_header, rows, scalar


def write_session(run: Path, second: int, *series: list[builders.Row], parts: str = "") -> Path:
    """Write one event file of a run, named by its start."""
    path = run / parts / event_file_name(START_SECOND + second)
    return builders.write_scalars(path, [row for each in series for row in each], start=START_SECOND + second)


def sessions_of(scalars: Scalars, tag: str) -> list[tuple[int, int]]:
    points = scalars.points(tag)
    return list(zip(points.session.tolist(), points.step.tolist(), strict=True))


# --- the frame -----------------------------------------------------------------------------------------------------


def test_the_frame_has_the_columns_of_the_contract_sorted_by_tag_session_step(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("b", range(10)), rows("a", range(10)))
    write_session(tmp_path, 100, rows("b", range(3), first_step=5))
    frame = RunReader(tmp_path).refresh().frame
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(SCALAR_DTYPES)
    assert frame["tag"].astype(str).tolist() == ["a"] * 10 + ["b"] * 13
    assert frame["session"].tolist() == [0] * 20 + [1] * 3


def test_a_directory_without_event_files_gives_the_empty_frame(tmp_path: Path) -> None:
    frame = RunReader(tmp_path).refresh().frame
    assert len(frame) == 0
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(SCALAR_DTYPES)


def test_scalars_equal_tbparse(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("loss", np.linspace(1, 0.1, 50)), rows("val/acc", np.linspace(0, 1, 20)))
    ours = RunReader(tmp_path).refresh().frame
    theirs = SummaryReader(str(tmp_path)).scalars.sort_values(["tag", "step"], kind="stable")
    assert ours["tag"].astype(str).tolist() == theirs["tag"].tolist()
    assert ours["step"].tolist() == theirs["step"].tolist()
    assert ours["value"].tolist() == theirs["value"].tolist()


# --- sessions ------------------------------------------------------------------------------------------------------


def test_a_clean_resume_in_a_new_file_stays_one_session(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("loss", range(10)))
    write_session(tmp_path, 100, rows("loss", range(10), first_step=10))
    scalars = RunReader(tmp_path).refresh()
    assert [session.number for session in scalars.sessions] == [0]
    assert scalars.points("loss").step.tolist() == list(range(20))


def test_a_restart_that_rewrites_steps_starts_a_session_for_every_series(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("loss", range(10)), rows("val", [1.0], first_step=3))
    write_session(tmp_path, 100, rows("val", [0.5], first_step=8), rows("loss", range(5), first_step=7))
    scalars = RunReader(tmp_path).refresh()
    assert sessions_of(scalars, "loss") == [(0, step) for step in range(10)] + [(1, step) for step in range(7, 12)]
    assert sessions_of(scalars, "val") == [(0, 3), (1, 8)]
    assert [(session.number, session.first_step) for session in scalars.sessions] == [(0, 0), (1, 7)]
    assert scalars.sessions[1].wall_time == START_SECOND + 100


def test_a_point_that_repeats_the_last_step_in_a_new_file_starts_a_session(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("epoch", range(5)))
    write_session(tmp_path, 100, rows("epoch", [9.0], first_step=4))
    assert sessions_of(RunReader(tmp_path).refresh(), "epoch")[-1] == (1, 4)


def test_a_step_that_goes_back_within_a_file_starts_one_session(tmp_path: Path) -> None:
    first = [row for step in range(10) for row in (("loss", step, 1.0), ("lr", step, 0.1))]
    second = [row for step in range(4, 8) for row in (("loss", step, 1.0), ("lr", step, 0.1))]
    builders.write_scalars(tmp_path / event_file_name(), [*first, *second])
    scalars = RunReader(tmp_path).refresh()
    assert len(scalars.sessions) == 2
    for tag in ("loss", "lr"):
        assert sessions_of(scalars, tag)[9:11] == [(0, 9), (1, 4)]


def test_repeated_steps_within_a_file_are_no_restart(tmp_path: Path) -> None:
    write_session(tmp_path, 0, [("loss", step // 34, float(step)) for step in range(200)])
    scalars = RunReader(tmp_path).refresh()
    assert len(scalars.sessions) == 1
    assert len(scalars.points("loss")) == 200


def test_five_complete_runs_in_one_directory_are_five_sessions(tmp_path: Path) -> None:
    for second in range(5):
        write_session(tmp_path, second * 1000, rows("loss", range(20)))
    scalars = RunReader(tmp_path).refresh()
    assert np.unique(scalars.points("loss").session).tolist() == [0, 1, 2, 3, 4]


def test_sessions_do_not_depend_on_when_the_points_arrived(tmp_path: Path) -> None:
    growing, whole = tmp_path / "growing", tmp_path / "whole"
    late = RunReader(growing)
    for run in (growing, whole):
        write_session(run, 0, rows("loss", range(10)))
        path = write_session(run, 100, rows("clean", range(3)))
        late.refresh()
        for step in range(5, 9):
            builders.append(path, scalar("loss", step, 0.5, START_SECOND + 200))
            late.refresh()
    assert late.refresh().frame.equals(RunReader(whole).refresh().frame)
    assert np.unique(late.refresh().points("clean").session).tolist() == [1]


# --- parts ---------------------------------------------------------------------------------------------------------


def test_keras_train_and_validation_are_one_run_with_the_directory_in_the_tag(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("epoch_loss", range(5)), parts="train")
    write_session(tmp_path, 2, rows("epoch_loss", range(5)), parts="validation")
    assert RunReader(tmp_path).refresh().tags == ("train/epoch_loss", "validation/epoch_loss")


def test_an_eval_directory_that_appears_later_joins_the_run(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("loss", range(5)))
    reader = RunReader(tmp_path)
    reader.refresh()
    write_session(tmp_path, 10, rows("loss", range(2)), parts="eval")
    assert reader.refresh().tags == ("eval/loss", "loss")


def test_directories_of_add_scalars_join_the_run_and_other_runs_do_not(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("loss", range(5)))
    write_session(tmp_path, 0, rows("group/loss", range(5)), parts="group_loss_a")
    write_session(tmp_path, 0, rows("loss", range(5)), parts="other_run")
    assert RunReader(tmp_path).refresh().tags == ("group_loss_a/group/loss", "loss")


def test_a_restart_of_train_and_validation_together_is_one_new_session(tmp_path: Path) -> None:
    for second in (0, 100):
        write_session(tmp_path, second, rows("loss", range(5)), parts="train")
        write_session(tmp_path, second + 3, rows("loss", range(5)), parts="validation")
    scalars = RunReader(tmp_path).refresh()
    assert [session.number for session in scalars.sessions] == [0, 1]
    assert set(sessions_of(scalars, "validation/loss")) == {(n, step) for n in (0, 1) for step in range(5)}


# --- growth and trouble --------------------------------------------------------------------------------------------


def test_each_refresh_reads_only_what_is_new(tmp_path: Path) -> None:
    path = write_session(tmp_path, 0, rows("loss", range(100)))
    reader = RunReader(tmp_path)
    assert reader.refresh().bytes_read == path.stat().st_size
    new = scalar("loss", 100, 1.0, START_SECOND)
    builders.append(path, new)
    assert reader.refresh().bytes_read == len(new)
    assert reader.refresh().bytes_read == 0


def test_the_version_grows_with_news_only(tmp_path: Path) -> None:
    path = write_session(tmp_path, 0, rows("loss", range(3)))
    reader = RunReader(tmp_path)
    first = reader.refresh().version
    assert reader.refresh().version == first
    builders.append(path, scalar("loss", 3, 1.0, START_SECOND))
    assert reader.refresh().version == first + 1


def test_snapshots_handed_out_never_change(tmp_path: Path) -> None:
    path = write_session(tmp_path, 0, rows("loss", range(50)))
    reader = RunReader(tmp_path)
    snapshot = reader.refresh()
    before = snapshot.frame.copy()
    for step in range(50, 80):
        builders.append(path, scalar("loss", step, 9.0, START_SECOND))
        reader.refresh()
    assert snapshot.points("loss").value.tolist() == list(range(50))
    assert snapshot.frame.equals(before)


def test_headers_sidecars_and_pointers_do_not_hide_the_scalars_beside_them(tmp_path: Path) -> None:
    write_session(tmp_path, 0, rows("loss", range(5)))
    (tmp_path / event_file_name(START_SECOND - 9)).write_bytes(file_header())
    (tmp_path / f"{event_file_name()}.meta").write_text("guid: 1")
    (tmp_path / event_file_name(START_SECOND + 9)).write_text("version https://git-lfs.github.com/spec/v1\noid 1\n")
    scalars = RunReader(tmp_path).refresh()
    assert len(scalars.points("loss")) == 5
    assert [problem.kind for problem in scalars.problems] == ["not_event_file"]


def test_a_run_deleted_while_watched_is_told_and_still_shown(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_session(run, 0, rows("loss", range(5)))
    reader = RunReader(run)
    reader.refresh()
    shutil.rmtree(run)
    scalars = reader.refresh()
    assert len(scalars.points("loss")) == 5
    assert {problem.kind for problem in scalars.problems} == {"deleted"}


def test_a_run_directory_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    reader = RunReader(tmp_path / "later")
    assert reader.refresh().count == 0
    assert not reader.refresh().problems
    write_session(tmp_path / "later", 0, rows("loss", range(5)))
    assert reader.refresh().count == 5


def test_a_directory_without_permission_is_told_with_the_way_out(tmp_path: Path, as_ordinary_user: None) -> None:
    run = tmp_path / "run"
    write_session(run, 0, rows("loss", range(5)))
    run.chmod(0)
    scalars = RunReader(run).refresh()
    run.chmod(0o700)
    assert [problem.kind for problem in scalars.problems] == ["no_permission"]
    assert "chmod" in scalars.problems[0].detail


@pytest.mark.parametrize("name", ["a b|c", "`x`", "<script>", "名", "x" * 200])
def test_hostile_directory_names_are_read_like_any(tmp_path: Path, name: str) -> None:
    write_session(tmp_path / name, 0, rows("loss", range(5)))
    assert RunReader(tmp_path / name).refresh().count == 5


def test_points_added_to_a_resumed_run_are_copied_alone(tmp_path: Path) -> None:
    builders.write_scalars(tmp_path / event_file_name(START_SECOND), rows("loss", range(100)))
    path = builders.write_scalars(
        tmp_path / event_file_name(START_SECOND + 500), rows("loss", range(100), first_step=100)
    )
    reader = RunReader(tmp_path)
    before = reader.refresh().series["loss"]
    builders.append(path, scalar("loss", 200, 0.5, START_SECOND + 900))
    after = reader.refresh().series["loss"]
    assert np.shares_memory(before.value, after.value)
    assert after.step.tolist() == list(range(201))
    assert before.step.tolist() == list(range(200))


def test_a_point_added_to_an_earlier_file_keeps_its_place(tmp_path: Path) -> None:
    first = builders.write_scalars(tmp_path / event_file_name(START_SECOND), rows("loss", range(10)))
    builders.write_scalars(tmp_path / event_file_name(START_SECOND + 500), rows("loss", range(10), first_step=20))
    reader = RunReader(tmp_path)
    reader.refresh()
    builders.append(first, scalar("loss", 10, 0.5, START_SECOND + 11))
    assert reader.refresh().series["loss"].step.tolist() == [*range(11), *range(20, 30)]
    assert reader.refresh().frame.equals(RunReader(tmp_path).refresh().frame)
