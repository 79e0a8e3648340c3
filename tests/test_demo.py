"""The demo trains for real: its runs show what their names say, and lie on disk as the users' own do."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from monitor.demo import write_demo, write_live_demo
from monitor.errors import DemoNotStarted, UsageInvalid

NOW = 1_763_800_000.25
TAGS = {
    "train/loss",
    "train/learning_rate",
    "train/grad_norm",
    "train/epoch_duration_minutes",
    "validation/task1_loss",
    "validation/task2_loss",
    "validation/success_rate",
}
Series = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Demo:
    """The runs of one call, by recipe; run 6 is the healthy recipe again with another seed."""

    directory: Path
    runs: tuple[Path, ...]
    announced: tuple[Path, ...]
    contents: dict[Path, dict[str, bytes]]

    def run(self, recipe: str) -> Path:
        return next(run for run in self.runs if run.parent.name == recipe)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    announced: list[Path] = []
    directory = tmp_path_factory.mktemp("demo") / "outputs" / "train"
    runs = write_demo(directory, 6, clock=lambda: NOW, announce=announced.append)
    return Demo(directory, runs, tuple(announced), {run: contents(run) for run in runs})


@pytest.fixture(scope="module")
def second_demo(demo: Demo) -> tuple[Path, ...]:
    """The default runs, written into the same directory at the same moment."""
    return write_demo(demo.directory, clock=lambda: NOW)


def event_files(run: Path) -> list[Path]:
    return sorted(run.glob("events.out.tfevents.*"))


def read(path: Path) -> Series:
    """Tag → rows (step, value, wall time) of one event file, as TensorBoard reads it."""
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            rows.setdefault(value.tag, []).append((event.step, make_ndarray(value.tensor).item(), event.wall_time))
    return {tag: np.array(points) for tag, points in rows.items()}


def values(run: Path, tag: str) -> npt.NDArray[np.float64]:
    return np.concatenate([read(path)[tag][:, 1] for path in event_files(run)])


def epochs_saved(run: Path) -> set[int]:
    return {int(path.name.removeprefix("epoch")) for path in run.glob("epoch*")}


def contents(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


# --- what the curves show ------------------------------------------------------------------------------------------


def test_healthy_loss_falls_to_the_tremor_of_the_demonstrations(demo: Demo) -> None:
    losses = values(demo.run("healthy"), "train/loss")
    assert len(losses) == 80
    assert losses[-1] < losses[0] / 20
    assert losses[-1] == pytest.approx(0.15**2, rel=0.5)  # the deviation of the tremor is 0.15
    assert np.mean(np.diff(losses[:40]) < 0) > 0.9


def test_healthy_learning_rate_warms_up_and_follows_a_cosine_to_one_percent(demo: Demo) -> None:
    rates = values(demo.run("healthy"), "train/learning_rate")
    assert rates[:3] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert np.all(np.diff(rates[2:]) < 0)
    assert rates[-1] == pytest.approx(1e-5)


def test_healthy_network_learns_what_the_expert_meant(demo: Demo) -> None:
    rates = values(demo.run("healthy"), "validation/success_rate")
    assert rates[0] < 0.2
    assert rates[-1] > 0.8


def test_too_high_learning_rate_swings_without_getting_anywhere(demo: Demo) -> None:
    late = values(demo.run("learning_rate_too_high"), "train/loss")[20:]
    swings = np.diff(late)
    assert np.isfinite(late).all()
    assert late.max() > 4 * late.min()
    assert np.mean(swings[:-1] * swings[1:] < 0) > 0.3
    assert np.median(late[-20:]) > 0.8 * np.median(late[:20])


@pytest.mark.parametrize("tag", ["validation/task1_loss", "validation/task2_loss"])
def test_overfitting_validation_turns_while_training_goes_on_falling(demo: Demo, tag: str) -> None:
    training, validation = (values(demo.run("overfitting"), name) for name in ("train/loss", tag))
    turn = int(validation.argmin())
    assert 5 < turn < 60
    assert np.median(validation[-10:]) > 1.2 * validation[turn]
    assert np.median(training[-10:]) < 0.75 * training[turn]


def test_nan_run_learns_first_and_never_recovers(demo: Demo) -> None:
    losses = values(demo.run("nan"), "train/loss")
    first = int(np.isnan(losses).argmax())
    assert np.isnan(losses).any()
    assert losses[:10].min() < losses[0] / 3
    assert 10 < first < len(losses) - 3
    assert np.isnan(losses[first:]).all()


def test_nan_run_ends_before_its_planned_epochs(demo: Demo) -> None:
    run = demo.run("nan")
    planned = yaml.safe_load((run / "config.yaml").read_text())["training"]["max_epoch"]
    assert len(values(run, "train/loss")) < planned


def test_resumed_run_writes_the_epochs_after_its_checkpoint_again_in_a_second_file(demo: Demo) -> None:
    first, second = (read(path)["train/loss"][:, 0] for path in event_files(demo.run("resumed")))
    assert first.tolist() == list(range(37))
    assert second.tolist() == list(range(30, 80))


def test_resumed_run_continues_from_its_checkpoint_and_not_from_scratch(demo: Demo) -> None:
    first, second = (read(path) for path in event_files(demo.run("resumed")))
    repeated = first["train/loss"][30:37, 1]
    again = second["train/loss"][:7, 1]
    assert again == pytest.approx(repeated, rel=0.1)
    assert not np.array_equal(again, repeated)  # trained anew in another order, not copied
    assert second["train/learning_rate"][:7, 1] == pytest.approx(first["train/learning_rate"][30:37, 1])


def test_another_round_of_a_recipe_has_another_seed_and_other_curves(demo: Demo) -> None:
    one, other = demo.runs[0], demo.runs[5]
    assert one.parent == other.parent
    assert [yaml.safe_load((run / "config.yaml").read_text())["seed"] for run in (one, other)] == [0, 1]
    assert not np.array_equal(values(one, "train/loss"), values(other, "train/loss"))


# --- what lies on disk ---------------------------------------------------------------------------------------------


def test_one_run_per_recipe_by_default(demo: Demo, second_demo: tuple[Path, ...]) -> None:
    recipes = ["healthy", "learning_rate_too_high", "overfitting", "nan", "resumed"]
    assert [run.parent for run in second_demo] == [demo.directory / "arm_demo" / recipe for recipe in recipes]


def test_each_run_is_announced_when_complete(demo: Demo) -> None:
    assert demo.announced == demo.runs


def test_every_session_holds_every_series_at_every_epoch(demo: Demo) -> None:
    for path in (path for run in demo.runs for path in event_files(run)):
        series = read(path)
        assert set(series) == TAGS
        assert len({tuple(points[:, 0]) for points in series.values()}) == 1


def test_directory_is_named_after_the_start(demo: Demo) -> None:
    for run in demo.runs:
        start = int(event_files(run)[0].name.split(".")[3])
        assert run.name == f"run_{_local(start)}"


def _local(second: int) -> str:
    return datetime.fromtimestamp(second).strftime("%Y%m%d_%H%M%S")


def test_checkpoints_are_counted_from_one_and_reach_the_last_epoch(demo: Demo) -> None:
    assert epochs_saved(demo.run("healthy")) == set(range(10, 81, 10))


def test_stopped_run_has_checkpoints_only_up_to_where_it_came(demo: Demo) -> None:
    assert epochs_saved(demo.run("nan")) == {10, 20, 30, 40}


def test_best_weights_are_those_of_the_epoch_with_the_smallest_validation_loss(demo: Demo) -> None:
    run = demo.run("overfitting")
    points = read(event_files(run)[0])
    mean = points["validation/task1_loss"][:, 1] + points["validation/task2_loss"][:, 1]
    ended = points["train/loss"][mean.argmin(), 2]
    assert (run / "best" / "weights.npz").stat().st_mtime == pytest.approx(ended, abs=1e-3)


def test_weights_are_readable_numbers(demo: Demo) -> None:
    for path in (path for run in demo.runs for path in run.glob("*/weights.npz")):
        with np.load(path) as weights:
            shapes = {name: weights[name].shape for name in weights.files}
        units = shapes["hidden_biases"][0]
        assert shapes["hidden_weights"] == (8, units)
        assert shapes["output_weights"] == (units, 2)


def test_no_unfinished_file_is_left(demo: Demo) -> None:
    names = {path.name for run in demo.runs for path in run.rglob("*") if path.is_file()}
    expected = {"config.yaml", "weights.npz", "training_state.npz"}
    assert {name for name in names if not name.startswith("events.out.tfevents.")} == expected


def test_configuration_tells_what_was_trained(demo: Demo) -> None:
    configuration = yaml.safe_load((demo.run("overfitting") / "config.yaml").read_text())
    assert configuration["training"]["max_epoch"] == 100
    assert configuration["training"]["learning_rate"] == 8e-3
    assert configuration["dataset"]["training_samples"] == 128


# --- times ---------------------------------------------------------------------------------------------------------


def test_runs_end_hours_apart_the_first_a_minute_ago(demo: Demo) -> None:
    ends = np.array([read(event_files(run)[-1])["train/loss"][-1, 2] for run in demo.runs])
    assert ends[0] == pytest.approx(NOW - 60, abs=1)
    assert np.diff(ends) == pytest.approx(-2.5 * 3600, abs=1)


def test_files_are_as_old_as_their_last_event(demo: Demo) -> None:
    for path in (path for run in demo.runs for path in event_files(run)):
        assert path.stat().st_mtime == pytest.approx(read(path)["train/loss"][-1, 2], abs=1e-3)


def test_logged_duration_is_the_time_between_events(demo: Demo) -> None:
    points = read(event_files(demo.run("healthy"))[0])
    minutes = points["train/epoch_duration_minutes"]
    assert minutes[1:, 1] * 60 == pytest.approx(np.diff(minutes[:, 2]), rel=1e-4)
    assert np.median(minutes[:, 1]) * 60 == pytest.approx(24, rel=0.05)


def test_same_seed_and_clock_give_the_same_bytes(demo: Demo, second_demo: tuple[Path, ...]) -> None:
    assert [contents(run) for run in second_demo] == [demo.contents[run] for run in demo.runs[:5]]


# --- never over what is there --------------------------------------------------------------------------------------


def test_second_demo_at_the_same_moment_leaves_the_first_alone(demo: Demo, second_demo: tuple[Path, ...]) -> None:
    assert not set(second_demo) & set(demo.runs)
    assert {run: contents(run) for run in demo.runs} == demo.contents


def test_live_demo_takes_a_free_name(tmp_path: Path) -> None:
    names = {live(tmp_path, epochs=1).name for _ in range(3)}
    assert len(names) == 3


# --- live ----------------------------------------------------------------------------------------------------------


class SlowWorld:
    """A clock on which only sleeping takes time; `while_asleep` sees what is on disk then."""

    def __init__(self, while_asleep: Callable[[], object] = lambda: None) -> None:
        self.now = NOW
        self.naps: list[float] = []
        self._while_asleep = while_asleep

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self._while_asleep()
        self.now += seconds


def live(directory: Path, epochs: int, world: SlowWorld | None = None) -> Path:
    world = world or SlowWorld()
    return write_live_demo(directory, epochs=epochs, sleep=world.sleep, clock=lambda: world.now)


def test_live_demo_writes_one_point_per_epoch_at_its_pace(tmp_path: Path) -> None:
    world = SlowWorld()
    run = live(tmp_path, 12, world)
    points = read(event_files(run)[0])["train/loss"]
    assert world.naps == [2.0] * 12
    assert points[:, 0].tolist() == list(range(12))
    assert points[:, 2].tolist() == [NOW + 2 * epoch for epoch in range(1, 13)]


def test_live_points_are_on_disk_as_soon_as_the_epoch_ends(tmp_path: Path) -> None:
    seen: list[int] = []

    def look() -> None:
        (path,) = tmp_path.rglob("events.out.tfevents.*")
        seen.append(len(read(path).get("train/loss", ())))

    live(tmp_path, 4, SlowWorld(look))
    assert seen == [0, 1, 2, 3]


def test_live_demo_saves_checkpoints_as_it_goes(tmp_path: Path) -> None:
    seen: list[set[int]] = []
    live(tmp_path, 12, SlowWorld(lambda: seen.append(epochs_saved(next(tmp_path.glob("*/*/*"))))))
    assert seen[9] == set()
    assert seen[10] == {10}


def test_live_demo_plans_the_epochs_it_was_asked_for(tmp_path: Path) -> None:
    run = live(tmp_path, 12)
    assert yaml.safe_load((run / "config.yaml").read_text())["training"]["max_epoch"] == 12
    assert epochs_saved(run) == {10, 12}


def test_interrupted_live_demo_leaves_a_readable_run(tmp_path: Path) -> None:
    world = SlowWorld()

    def interrupt_in_fourth_epoch() -> None:
        if len(world.naps) == 4:
            raise KeyboardInterrupt

    world._while_asleep = interrupt_in_fourth_epoch
    run = live(tmp_path, 50, world)
    assert read(event_files(run)[0])["train/loss"][:, 0].tolist() == [0, 1, 2]
    assert (run / "best" / "weights.npz").is_file()


def test_live_run_is_announced_before_its_first_epoch(tmp_path: Path) -> None:
    order: list[object] = []
    world = SlowWorld(lambda: order.append("epoch"))
    run = write_live_demo(tmp_path, epochs=1, sleep=world.sleep, clock=lambda: world.now, announce=order.append)
    assert order == [run, "epoch"]


# --- what can be in the way ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_demo, write_live_demo])
def test_file_in_the_way_is_named(tmp_path: Path, write: Callable[[Path], object]) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(DemoNotStarted, match=r"notes.* is a file, not a directory") as caught:
        write(tmp_path / "notes")
    assert caught.value.hint == "Name a new or an empty directory."


def test_file_further_up_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(DemoNotStarted, match="is a file, not a directory"):
        write_demo(tmp_path / "notes" / "demo", 1)


@pytest.fixture
def closed_directory(tmp_path: Path) -> Iterator[Path]:
    """A directory without the right to write; the administrator, to whom none is closed, becomes nobody meanwhile."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield closed
    os.seteuid(user)


def test_directory_that_may_not_be_written_is_named(closed_directory: Path) -> None:
    with pytest.raises(DemoNotStarted, match="no permission for") as caught:
        write_demo(closed_directory, 1)
    assert f'chmod u+rwx "{closed_directory}"' in caught.value.hint


def test_full_disk_is_said_and_the_run_stays_readable(tmp_path: Path) -> None:
    world = SlowWorld()

    def disk_is_full_in_third_epoch() -> None:
        if len(world.naps) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world._while_asleep = disk_is_full_in_third_epoch
    with pytest.raises(DemoNotStarted, match="No space left on device") as caught:
        live(tmp_path, 5, world)
    (path,) = tmp_path.rglob("events.out.tfevents.*")
    assert "Free some space" in caught.value.hint
    assert len(read(path)["train/loss"]) == 2


@pytest.mark.parametrize("runs", [0, -3])
def test_number_of_runs_below_one_is_refused(tmp_path: Path, runs: int) -> None:
    with pytest.raises(UsageInvalid, match=f'"{runs}" runs'):
        write_demo(tmp_path, runs)
