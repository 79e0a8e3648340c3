"""RunWatch and LogWatch: what is new is read, judged and handed out; nothing outside the log directories is opened."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from monitor import RunWatch
from monitor.errors import NotAllowed, NotReadable, RunNotFound
from monitor.schema import Configuration, Sample
from monitor.settings import RefreshSettings, Settings
from monitor.sources.resources import ResourceSampler
from monitor.status import is_judged, status_json
from monitor.watch import CONFIGURATION_SECONDS, DIGEST_SECONDS, SEARCH_SECONDS, LogWatch, start_sampler
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


def test_a_run_restarted_twice_while_watched_has_the_status_of_one_looked_at_once(tmp_path: Path) -> None:
    # <run>/first.tfevents: steps 0–119, then 60–159; second.tfevents: steps 40–199
    sampler, random = ResourceSampler(interval_seconds=1e9), np.random.default_rng(0)
    watch = RunWatch(tmp_path, sampler=sampler)
    stretches = ((0, 0, 120), (0, 60, 160), (1, 40, 200))
    second = START_SECOND
    for file, first_step, end in stretches:
        path = tmp_path / event_file_name(START_SECOND + file)
        for step in range(first_step, end):
            second += 1
            values = {"train/loss": 2.0 ** (-step / 40), "val/loss": 3 * 2.0 ** (-step / 50), "epoch": step // 10}
            noisy = {tag: value * (1 + 0.05 * random.normal() * (tag != "epoch")) for tag, value in values.items()}
            builders.append(path, b"".join(scalar(tag, step, value, second) for tag, value in noisy.items()))
            if step % 13 == 0:
                live, once = (one.refresh(second + 1.0) for one in (watch, RunWatch(tmp_path, sampler=sampler)))
                assert {**status_json(live), "resources": None} == {**status_json(once), "resources": None}
                assert (live.health_history, live.trend) == (once.health_history, once.trend)
    assert [session.first_step for session in live.scalars.sessions] == [0, 60, 40]


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


def test_health_can_be_left_open_until_somebody_asks_for_it(tmp_path: Path) -> None:
    write_run(tmp_path)
    watch = RunWatch(tmp_path)
    first = watch.refresh(NOW, begin_judging=False)
    assert (first.health.score, is_judged(first)) == (None, False)
    assert first.loss == watch.refresh(NOW).loss
    assert watch.refresh(NOW, begin_judging=False).health.score == RunWatch(tmp_path).refresh(NOW).health.score


def test_looking_once_starts_nothing_that_goes_on(logs: Path) -> None:
    before = set(threading.enumerate())
    LogWatch([logs]).status("first", NOW)
    assert set(threading.enumerate()) <= before


def test_watches_that_share_a_sampler_share_its_readings(logs: Path) -> None:
    sampler = ResourceSampler(interval_seconds=1e9)
    first, second = LogWatch([logs], sampler=sampler), LogWatch([logs], sampler=sampler)
    first.status("first", NOW)
    second.status("second", NOW)
    assert len(first.samples()) == len(second.samples()) == 1


def test_readings_recorded_by_the_page_are_there_for_the_terminal(logs: Path, tmp_path: Path) -> None:
    settings = Settings(refresh=RefreshSettings(resources_file=str(tmp_path / "record.jsonl")))
    page = start_sampler(settings)
    page.sample(time.time())
    page.stop()
    page.take(time.time())  # waits for the reading that may be under way
    terminal = LogWatch([logs], settings)
    terminal.status("first", time.time())
    recorded = [round(sample.wall_time, 2) for sample in page.history()]
    assert [round(sample.wall_time, 2) for sample in terminal.samples()][: len(recorded)] == recorded


def test_a_disk_that_is_full_but_not_that_of_the_run_is_no_finding(tmp_path: Path) -> None:
    now = START_SECOND + 900.0

    class SharedMachine(ResourceSampler):
        """The readings nobody asked for tell of the disk of another run."""

        def sample(self, now: float, directory: Path | None = None) -> Sample:
            return Sample(now, disk_free_bytes=900 * 10**9, disk_total_bytes=10**12)

        def history(self) -> tuple[Sample, ...]:
            times = np.arange(now - 900, now + 1, 2)
            return tuple(Sample(float(time), disk_free_bytes=10**6, disk_total_bytes=10**11) for time in times)

    write_run(tmp_path, 900)
    status = RunWatch(tmp_path, sampler=SharedMachine()).refresh(now)
    assert status.state.state == "running"
    assert "disk_full" not in {finding.kind for finding in status.health.findings}


# --- the list of all runs ------------------------------------------------------------------------------------------


def write_several(path: Path) -> Path:
    """Write ``<path>/a`` and ``<path>/b``, a thousand steps of a loss and of a score each, one a second."""
    for name in ("a", "b"):
        points = [row for step in range(1000) for row in (("train/loss", step, 1 / (step + 1)), ("score", step, step))]
        builders.write_scalars(path / name / event_file_name(), points)
    return path


def test_the_list_tells_where_runs_long_over_stand_without_reading_them_whole(tmp_path: Path) -> None:
    watch, later = LogWatch([write_several(tmp_path)]), START_SECOND + 1e7
    glances = {glance.run.name: glance for glance in watch.overview(later)}
    assert {name: glance.state.state for name, glance in glances.items()} == {"a": "finished", "b": "finished"}
    assert glances["a"].step == 999
    assert dict(glances["a"].last) == {"train/loss": pytest.approx(1e-3), "score": 999.0}
    assert glances["a"].last_event == watch.scalars("a", later).last_event
    assert glances["a"].first_event == watch.scalars("a", later).first_event


@pytest.mark.parametrize("silence", [1.0, 40.0, 3600.0, 50_000.0, 90_000.0, 1e7])
def test_the_list_tells_the_state_that_the_status_tells(tmp_path: Path, silence: float) -> None:
    write_several(tmp_path)
    (tmp_path / "b" / "config.yaml").write_text("max_steps: 999\n")
    now = START_SECOND + 1000 + silence
    listed = {glance.run.name: glance.state.state for glance in LogWatch([tmp_path]).overview(now)}
    watch = LogWatch([tmp_path])
    assert listed == {name: watch.status(name, now).state.state for name in ("a", "b")}


def test_how_every_run_is_configured_is_told_without_reading_its_points(tmp_path: Path) -> None:
    write_several(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name / "config.yaml").write_text(f"name: {name}\n")
    watch = LogWatch([tmp_path])
    told = watch.configurations(START_SECOND).configurations
    assert {name: dict(one.values) for name, one in told.items()} == {"a": {"name": "a"}, "b": {"name": "b"}}
    assert watch.configurations(START_SECOND + 1).configurations is told


def test_the_configurations_have_another_version_when_a_file_changes(tmp_path: Path) -> None:
    write_several(tmp_path)
    watch = LogWatch([tmp_path])
    versions = [watch.configurations(START_SECOND).version]
    versions.append(watch.configurations(START_SECOND + CONFIGURATION_SECONDS).version)
    (tmp_path / "a" / "config.yaml").write_text("lr: 0.1\n")
    versions.append(watch.configurations(START_SECOND + 2 * CONFIGURATION_SECONDS).version)
    assert versions[0] == versions[1] != versions[2]


def test_a_run_that_leads_out_has_no_configuration(tmp_path: Path) -> None:
    outside = write_several(tmp_path / "outside")
    (outside / "a" / "config.yaml").write_text("password: x\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a").symlink_to(outside / "a")
    assert LogWatch([tmp_path / "logs"]).configurations(NOW).configurations.get("a", Configuration()).values == {}


def test_a_run_that_goes_on_moves_in_the_list(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    watch = LogWatch([tmp_path])
    watch.overview(START_SECOND + 51)
    builders.append(path, scalar("train/loss", 50, 0.125, START_SECOND + 50))
    (glance,) = watch.overview(START_SECOND + 51 + SEARCH_SECONDS)
    assert (glance.step, glance.last["train/loss"]) == (50, 0.125)


def test_a_run_that_falls_silent_changes_its_state_in_the_list(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    watch = LogWatch([tmp_path])
    states = [watch.overview(START_SECOND + 50 + silence)[0].state.state for silence in (1, 3600, 90_000)]
    assert states == ["running", "stalled", "finished"]


def test_the_state_of_a_run_that_has_not_changed_is_kept(tmp_path: Path) -> None:
    watch, later = LogWatch([write_several(tmp_path)]), START_SECOND + 1e7
    first = watch.overview(later)
    assert all(known is seen for known, seen in zip(first, watch.overview(later + 60), strict=True))


def test_the_list_of_a_named_run_tells_what_was_written_since(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    watch = LogWatch([], run_directory=tmp_path)
    assert watch.overview(START_SECOND + 1e7)[0].step == 49
    builders.append(path, scalar("train/loss", 50, 0.125, START_SECOND + 50))
    assert watch.overview(START_SECOND + 1e7)[0].step == 50


def test_a_run_whose_files_end_in_something_large_is_read_for_the_list(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    builders.append(path, builders.record(b"\x1a" + bytes([0x80, 0x80, 0x08]) + bytes(1 << 17)))
    (glance,) = LogWatch([tmp_path]).overview(START_SECOND + 1e7)
    assert glance.step == 49


def test_a_run_that_leads_out_of_the_log_directory_is_not_in_the_list(tmp_path: Path) -> None:
    write_run(tmp_path / "elsewhere" / "run")
    (tmp_path / "logs").mkdir()
    write_run(tmp_path / "logs" / "inside")
    (tmp_path / "logs" / "outside").symlink_to(tmp_path / "elsewhere" / "run", target_is_directory=True)
    names = [glance.run.name for glance in LogWatch([tmp_path / "logs"]).overview(NOW)]
    assert names == ["inside"]


def take_all_in_short(watch: LogWatch, now: float) -> None:
    for judged in (False, True):
        for name in watch.undigested(now, judged=judged):
            watch.digest(name, now, judged=judged)
    assert not watch.undigested(now)
    assert not watch.undigested(now, judged=True)


def test_the_list_takes_each_old_run_in_short_once(tmp_path: Path) -> None:
    watch, later = LogWatch([write_several(tmp_path)]), START_SECOND + 1e7
    assert watch.undigested(later) == [run.name for run in watch.find_runs(later).runs]
    take_all_in_short(watch, later)
    assert not watch.undigested(later + 1e6)
    for name, digest in watch.digests().items():
        status = watch.status(name, later)
        assert (digest.epoch, digest.health) == (status.progress.epoch, status.health.score)
        loss = digest.series["train/loss"]
        assert status.loss is not None
        assert (loss.best("min"), loss.last) == (status.loss.best, status.loss.value)


def test_every_run_is_read_for_the_list_before_one_is_judged(tmp_path: Path) -> None:
    watch, later = LogWatch([write_several(tmp_path)]), START_SECOND + 1e7
    names = watch.undigested(later)
    assert not watch.undigested(later, judged=True)
    for name in [*names, *names]:  # two readers that began together read each run once, and neither judges
        watch.digest(name, later)
    assert all(digest.series and not digest.is_judged for digest in watch.digests().values())
    take_all_in_short(watch, later)
    assert all(digest.is_judged for digest in watch.digests().values())


def test_a_run_without_a_point_is_taken_in_short_as_well(tmp_path: Path) -> None:
    builders.write_scalars(tmp_path / "run" / event_file_name(), [])
    watch = LogWatch([tmp_path])
    take_all_in_short(watch, NOW)
    assert watch.digests()["run"].health is None


def test_of_many_runs_the_newest_are_judged_for_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.watch.MOST_JUDGED", 1)
    watch, later = LogWatch([write_several(tmp_path)]), START_SECOND + 1e7
    take_all_in_short(watch, later)
    newest = watch.find_runs(later).runs[0].name
    assert [name for name, digest in watch.digests().items() if digest.is_judged] == [newest]


def test_a_run_that_goes_on_is_taken_in_short_again_after_a_while(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    watch, now = LogWatch([tmp_path]), START_SECOND + 51
    take_all_in_short(watch, now)
    builders.append(path, scalar("train/loss", 50, 0.125, now))
    assert not watch.undigested(now + DIGEST_SECONDS - 1)
    assert watch.undigested(now + DIGEST_SECONDS) == ["run"]
    watch.digest("run", now + DIGEST_SECONDS)
    assert watch.digests()["run"].series["train/loss"].last == 0.125


def test_nothing_is_told_in_short_of_a_run_that_leads_elsewhere_and_it_is_not_tried_again(tmp_path: Path) -> None:
    write_run(tmp_path / "elsewhere" / "run")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "outside").symlink_to(tmp_path / "elsewhere" / "run", target_is_directory=True)
    watch = LogWatch([tmp_path / "logs"])
    take_all_in_short(watch, NOW)
    assert not any(digest.series for digest in watch.digests().values())


def test_a_large_run_is_read_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.watch.LARGEST_DIGESTED", 1_000)
    write_run(tmp_path / "run")
    assert not LogWatch([tmp_path]).undigested(NOW)


def test_a_larger_run_is_read_for_the_list_but_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.watch.LARGEST_JUDGED", 1_000)
    write_run(tmp_path / "run")
    watch = LogWatch([tmp_path])
    take_all_in_short(watch, NOW)
    digest = watch.digests()["run"]
    assert digest.health is None
    assert digest.series["train/loss"].last == watch.scalars("run", NOW).points("train/loss").value[-1]


def test_a_run_that_is_gone_leaves_the_list(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    watch = LogWatch([tmp_path])
    watch.digest("run", NOW)
    path.unlink()
    watch.overview(NOW + SEARCH_SECONDS)
    assert not watch.digests()


def test_a_list_without_runs_is_empty(tmp_path: Path) -> None:
    assert LogWatch([tmp_path]).overview(NOW) == ()
