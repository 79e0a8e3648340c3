"""RunWatch and LogWatch: what is new is read, judged and handed out; nothing outside the log directories is opened."""

import os
import threading
from pathlib import Path

import pytest

from monitor import RunWatch
from monitor.errors import NotAllowed, NotReadable, RunNotFound
from monitor.settings import Settings
from monitor.status import status_json
from monitor.watch import SEARCH_SECONDS, LogWatch
from tests import builders
from tests.builders import START_SECOND, event_file_name, rows, scalar

NOW = START_SECOND + 200.0


def write_run(path: Path, n_points: int = 50) -> Path:
    """Write a run with a falling loss, one point a second."""
    return builders.write_scalars(path / event_file_name(), rows("train/loss", builders.healthy_loss(n_points)))


def test_the_status_of_a_run_holds_its_figures(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    status = RunWatch(tmp_path / "run").refresh(START_SECOND + 50)
    assert status.run.name == "run"
    assert status.state.state == "running"
    assert status.loss is not None
    assert (status.loss.tag, status.loss.step) == ("train/loss", 49)
    assert (status.health.score, status.health.findings) == (100, ())


def test_a_new_point_is_in_the_next_status(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    watch = RunWatch(tmp_path)
    watch.refresh(NOW)
    builders.append(path, scalar("train/loss", 50, 0.125, START_SECOND + 50))
    status = watch.refresh(NOW)
    assert status.loss is not None
    assert (status.loss.step, status.loss.value) == (50, 0.125)


def test_watching_live_gives_the_same_status_as_looking_once(tmp_path: Path) -> None:
    path = write_run(tmp_path, n_points=200)
    content = path.read_bytes()
    path.write_bytes(b"")
    watch = RunWatch(tmp_path)
    for start in range(0, len(content), 700):
        builders.append(path, content[start : start + 700])
        live = watch.refresh(NOW)
    once = RunWatch(tmp_path).refresh(NOW)
    assert {**status_json(live), "resources": None} == {**status_json(once), "resources": None}
    assert live.health_history == once.health_history


def test_a_role_named_by_the_caller_wins_over_the_settings_and_the_automatic_choice(tmp_path: Path) -> None:
    builders.write_scalars(tmp_path / event_file_name(), [*rows("loss", [1, 2]), *rows("mine", [3]), *rows("b", [4])])
    watch = RunWatch(tmp_path, Settings(roles={"loss": "mine"}))
    by_settings, by_caller = watch.refresh(NOW).loss, watch.refresh(NOW, {"loss": "b"}).loss
    assert by_settings is not None
    assert by_caller is not None
    assert (by_settings.tag, by_caller.tag) == ("mine", "b")


def test_a_record_still_being_written_is_no_problem_while_the_run_is_running(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    builders.append(path, scalar("train/loss", 50, 1.0, START_SECOND + 50)[:20])
    watch = RunWatch(tmp_path)
    assert watch.refresh(START_SECOND + 51).problems == ()
    assert [problem.kind for problem in watch.refresh(START_SECOND + 90_000).problems] == ["incomplete_record"]


def test_a_run_directory_that_does_not_exist_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="no-such-run") as caught:
        RunWatch(tmp_path / "no-such-run").refresh(NOW)
    assert "--run-dir" in caught.value.hint


def test_a_file_in_place_of_the_run_directory_is_an_error(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    with pytest.raises(RunNotFound):
        RunWatch(path).refresh(NOW)


def test_a_run_directory_without_permission_is_an_error_with_a_way_out(tmp_path: Path, as_ordinary_user: None) -> None:
    run = tmp_path / "run"
    write_run(run)
    run.chmod(0)
    try:
        with pytest.raises(NotReadable) as caught:
            RunWatch(run).refresh(NOW)
    finally:
        run.chmod(0o700)
    assert "chmod" in caught.value.hint


def test_a_run_deleted_while_watched_keeps_its_figures(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    watch = RunWatch(tmp_path / "run")
    watch.refresh(NOW)
    path.unlink()
    path.parent.rmdir()
    status = watch.refresh(NOW)
    assert status.loss is not None
    assert {problem.kind for problem in status.problems} == {"deleted"}


# --- LogWatch ------------------------------------------------------------------------------------------------------


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """``logs/first`` (older) and ``logs/second`` (newer)."""
    for age, name in ((100, "first"), (50, "second")):
        path = write_run(tmp_path / "logs" / name)
        os.utime(path, (NOW - age, NOW - age))
    return tmp_path / "logs"


def test_choosing_a_run_reads_that_run_only(logs: Path) -> None:
    watch = LogWatch([logs])
    status = watch.status("second", NOW)
    size = (logs / "second" / event_file_name()).stat().st_size
    assert status.scalars.bytes_read == size
    assert list(watch._watches) == ["second"]


def test_choosing_another_run_and_coming_back_reads_nothing_again(logs: Path) -> None:
    watch = LogWatch([logs])
    watch.status("second", NOW)
    watch.status("first", NOW)
    assert watch.status("second", NOW).scalars.bytes_read == 0


def test_a_run_that_appears_is_found_within_the_search_interval(logs: Path) -> None:
    watch = LogWatch([logs])
    assert len(watch.find_runs(NOW).runs) == 2
    write_run(logs / "third")
    assert len(watch.find_runs(NOW + SEARCH_SECONDS).runs) == 3


@pytest.mark.parametrize("name", ["no such run", "../logs/first", "/etc", "", "first/..", "first\0"])
def test_names_that_are_no_run_are_refused(logs: Path, name: str) -> None:
    with pytest.raises(RunNotFound):
        LogWatch([logs]).status(name, NOW)


def test_a_run_directory_swapped_for_a_link_out_of_the_log_directory_is_refused(logs: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "secret")
    watch = LogWatch([logs])
    watch.find_runs(NOW)
    (logs / "first").rename(tmp_path / "moved")
    (logs / "first").symlink_to(tmp_path / "secret")
    with pytest.raises(NotAllowed):
        watch.status("first", NOW)


def test_a_named_run_directory_is_the_only_run(logs: Path) -> None:
    watch = LogWatch([logs], run_directory=logs / "first")
    assert [run.name for run in watch.find_runs(NOW).runs] == ["first"]
    assert watch.status("first", NOW).loss is not None


def test_many_sessions_that_ask_at_once_get_every_point_once(logs: Path) -> None:
    path = logs / "second" / event_file_name()
    watch = LogWatch([logs])
    counts: list[list[int]] = [[] for _ in range(8)]
    stop = threading.Event()

    def ask(seen: list[int]) -> None:
        while not stop.is_set():
            points = watch.scalars("second", NOW).points("train/loss")
            assert points.step.tolist() == list(range(len(points)))
            seen.append(len(points))

    threads = [threading.Thread(target=ask, args=(seen,)) for seen in counts]
    for thread in threads:
        thread.start()
    for step in range(50, 250):
        builders.append(path, scalar("train/loss", step, 1.0, START_SECOND + step))
    stop.set()
    for thread in threads:
        thread.join()
    assert len(watch.scalars("second", NOW).points("train/loss")) == 250
    assert all(seen == sorted(seen) for seen in counts)
