"""What is found of a run's checkpoints, by layout, and what happens where files are missing, refused or led astray."""

import os
from pathlib import Path

import pytest

from monitor.schema import Checkpoint
from monitor.sources.checkpoints import find_checkpoints


def write(path: Path, size: int = 10, modified: float = 1_000.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (modified, modified))
    return path


def only(directory: Path) -> Checkpoint:
    saved = find_checkpoints(directory).saved
    assert len(saved) == 1, saved
    return saved[0]


@pytest.mark.parametrize(
    ("name", "kind", "epoch", "step"),
    [
        ("epoch12/model.pt", "epoch", 12, None),
        ("epoch_012/model.pt", "epoch", 12, None),
        ("best/model.pt", "best", None, None),
        ("epochbest/model.pt", "best", None, None),
        ("last/model.pt", "last", None, None),
        ("checkpoint-500/model.safetensors", "step", None, 500),
        ("checkpoints/005000/pretrained_model/model.safetensors", "step", None, 5000),
        ("global_step40/weights.pt", "step", None, 40),
    ],
)
def test_directory_is_a_checkpoint_by_its_name(tmp_path, name, kind, epoch, step):
    write(tmp_path / name)
    found = only(tmp_path)
    assert (found.kind, found.epoch, found.step) == (kind, epoch, step)


@pytest.mark.parametrize(
    ("name", "kind", "epoch", "step"),
    [
        ("checkpoints/epoch=0-step=100.ckpt", "epoch", 1, 100),
        ("checkpoints/epoch=11-step=4800-v1.ckpt", "epoch", 12, 4800),
        ("checkpoints/epoch=2-val_loss=0.31.ckpt", "epoch", 3, None),
        ("checkpoints/best-epoch=2.ckpt", "best", 3, None),
        ("checkpoints/last.ckpt", "last", None, None),
        ("weights/best.pt", "best", None, None),
        ("weights/last.pt", "last", None, None),
        ("weights/epoch10.pt", "epoch", 10, None),
        ("epoch_9-step_90.pt", "epoch", 9, 90),
        ("step_90-epoch_9.pt", "epoch", 9, 90),
        ("rl_model_10000_steps.zip", "step", None, 10_000),
        ("best_model.zip", "best", None, None),
        ("model_best.pth.tar", "best", None, None),
        ("checkpoint_epoch_80.pth", "epoch", 80, None),
        ("iter_5000.pth", "step", None, 5000),
        ("model_0004999.pth", "step", None, 4999),
        ("model_final.pth", "last", None, None),
        ("weights.12-0.31.h5", "epoch", 12, None),
        ("weights.03.weights.h5", "epoch", 3, None),
        ("weights-improvement-07-0.95.hdf5", "epoch", 7, None),
        ("model.05.keras", "epoch", 5, None),
        ("model_20240131.h5", "other", None, None),
        ("policy.pt", "other", None, None),
        ("bestiary.pt", "other", None, None),
        ("checkpoint-19.pth", "other", None, None),
    ],
)
def test_file_is_a_checkpoint_by_its_name(tmp_path, name, kind, epoch, step):
    write(tmp_path / name)
    found = only(tmp_path)
    assert (found.name, found.kind, found.epoch, found.step) == (name, kind, epoch, step)


@pytest.mark.parametrize(
    "name",
    ["events.out.tfevents.1.host.0", "events.out.tfevents.1.host.0.meta", "config.yaml", "results.csv", "optimizer.pt"],
)
def test_other_files_are_no_checkpoints(tmp_path, name):
    write(tmp_path / name)
    assert find_checkpoints(tmp_path).saved == ()


@pytest.mark.parametrize("name", ["train/events.out", "images/a.png", "epochs_seen/a", "2024/model.txt"])
def test_other_directories_are_no_checkpoints(tmp_path, name):
    write(tmp_path / name)
    assert find_checkpoints(tmp_path).saved == ()


def test_step_of_a_file_named_after_its_directory(tmp_path):
    write(tmp_path / "Walker" / "Walker-499976.pt")
    assert only(tmp_path / "Walker").step == 499_976


def test_parts_of_a_tensorflow_checkpoint_are_one(tmp_path):
    for part in ("index", "data-00000-of-00001", "meta"):
        write(tmp_path / f"model.ckpt-4800.{part}", size=5)
    found = only(tmp_path)
    assert (found.name, found.step, found.size_bytes) == ("model.ckpt-4800", 4800, 15)


def test_tensorflow_checkpoint_without_its_index_is_not_there_yet(tmp_path):
    write(tmp_path / "ckpt-3.data-00000-of-00001")
    assert find_checkpoints(tmp_path).saved == ()


def test_number_of_saves_of_tensorflow_2_is_taken_for_neither_epoch_nor_step(tmp_path):
    write(tmp_path / "ckpt-3.index")
    found = only(tmp_path)
    assert (found.kind, found.epoch, found.step) == ("other", None, None)


def test_shards_of_one_model_are_one(tmp_path):
    for shard in (1, 2, 3):
        write(tmp_path / f"model-0000{shard}-of-00003.safetensors", size=4)
    assert only(tmp_path).size_bytes == 12


def test_size_and_time_of_a_directory_are_those_of_its_files(tmp_path):
    write(tmp_path / "epoch5" / "model.pt", size=7, modified=100.0)
    write(tmp_path / "epoch5" / "deep" / "optimizer.pt", size=5, modified=200.0)
    found = only(tmp_path)
    assert (found.size_bytes, found.modified, found.readable) == (12, 200.0, True)


def test_newest_comes_first_then_name(tmp_path):
    write(tmp_path / "epoch2" / "m", modified=20.0)
    write(tmp_path / "epoch3" / "m", modified=30.0)
    write(tmp_path / "best" / "m", modified=30.0)
    assert [found.name for found in find_checkpoints(tmp_path).saved] == ["best", "epoch3", "epoch2"]


def test_newest_is_the_newest_of_all_kinds(tmp_path):
    write(tmp_path / "best" / "m", modified=20.0)
    write(tmp_path / "epoch3" / "m", modified=30.0)
    newest = find_checkpoints(tmp_path).newest
    assert newest is not None
    assert newest.name == "epoch3"


def test_best_is_the_newest_of_its_kind_that_can_be_read(tmp_path):
    write(tmp_path / "best.pt", size=0, modified=30.0)
    write(tmp_path / "best" / "m", modified=20.0)
    write(tmp_path / "epochbest" / "m", modified=10.0)
    best = find_checkpoints(tmp_path).best
    assert best is not None
    assert best.name == "best"


def test_best_is_not_guessed_from_epochs(tmp_path):
    write(tmp_path / "epoch3" / "m")
    assert find_checkpoints(tmp_path).best is None


def test_empty_file_is_not_readable(tmp_path):
    write(tmp_path / "last.ckpt", size=0)
    assert not only(tmp_path).readable


def test_empty_directory_is_not_readable(tmp_path):
    (tmp_path / "best").mkdir()
    assert not only(tmp_path).readable


def test_empty_marker_beside_the_model_does_not_matter(tmp_path):
    write(tmp_path / "best" / "model.pt")
    write(tmp_path / "best" / "done", size=0)
    assert only(tmp_path).readable


@pytest.mark.usefixtures("as_ordinary_user")
def test_refused_file_is_listed_as_not_readable(tmp_path):
    write(tmp_path / "best.pt").chmod(0)
    assert not only(tmp_path).readable


@pytest.mark.usefixtures("as_ordinary_user")
def test_refused_directory_is_listed_as_not_readable(tmp_path):
    write(tmp_path / "epoch5" / "model.pt")
    (tmp_path / "epoch5").chmod(0)
    found = only(tmp_path)
    assert (found.epoch, found.readable) == (5, False)


@pytest.mark.usefixtures("as_ordinary_user")
def test_refused_folder_stands_for_its_checkpoints(tmp_path):
    write(tmp_path / "checkpoints" / "last.ckpt")
    (tmp_path / "checkpoints").chmod(0)
    found = only(tmp_path)
    assert (found.name, found.readable) == ("checkpoints", False)


@pytest.mark.usefixtures("as_ordinary_user")
def test_refused_run_directory_has_no_checkpoints(tmp_path):
    write(tmp_path / "run" / "last.ckpt")
    (tmp_path / "run").chmod(0)
    assert find_checkpoints(tmp_path / "run").saved == ()


def test_link_out_of_the_run_is_not_followed(tmp_path):
    write(tmp_path / "elsewhere" / "model.pt")
    run = tmp_path / "run"
    run.mkdir()
    (run / "best").symlink_to(tmp_path / "elsewhere")
    (run / "best.pt").symlink_to(tmp_path / "elsewhere" / "model.pt")
    assert find_checkpoints(run).saved == ()


def test_file_linked_from_outside_does_not_count_in_a_directory(tmp_path):
    write(tmp_path / "elsewhere.pt", size=1000)
    run = tmp_path / "run"
    write(run / "best" / "model.pt", size=10)
    (run / "best" / "more.pt").symlink_to(tmp_path / "elsewhere.pt")
    assert only(run).size_bytes == 10


def test_link_inside_the_run_is_followed(tmp_path):
    write(tmp_path / "epoch5" / "model.pt", size=10)
    (tmp_path / "best").symlink_to("epoch5")
    best = find_checkpoints(tmp_path).best
    assert best is not None
    assert (best.size_bytes, best.readable) == (10, True)


def test_links_in_a_circle_end(tmp_path):
    write(tmp_path / "best" / "model.pt", size=10)
    (tmp_path / "best" / "again").symlink_to(tmp_path / "best")
    (tmp_path / "last.pt").symlink_to("last.pt")
    assert only(tmp_path).size_bytes == 10


def test_dangling_link_is_left_out(tmp_path):
    (tmp_path / "last.ckpt").symlink_to("gone.ckpt")
    assert find_checkpoints(tmp_path).saved == ()


def test_pipe_named_like_a_checkpoint_is_left_out(tmp_path):
    os.mkfifo(tmp_path / "model.pt")
    assert find_checkpoints(tmp_path).saved == ()


def test_directory_that_does_not_exist_has_no_checkpoints(tmp_path):
    found = find_checkpoints(tmp_path / "none")
    assert (found.best, found.newest, found.saved) == (None, None, ())


def test_output_directory_of_a_trainer_that_logs_into_runs(tmp_path):
    # output/checkpoint-500/   output/runs/Nov22_host/events…
    write(tmp_path / "output" / "checkpoint-500" / "model.safetensors")
    run = tmp_path / "output" / "runs" / "Nov22_host"
    run.mkdir(parents=True)
    assert [found.name for found in find_checkpoints(run, tmp_path).saved] == ["../../checkpoint-500"]


def test_other_models_beside_runs_belong_to_no_run(tmp_path):
    write(tmp_path / "best.pt")
    write(tmp_path / "models" / "old.pt")
    run = tmp_path / "runs" / "Nov22_host"
    run.mkdir(parents=True)
    assert find_checkpoints(run, tmp_path).saved == ()


def test_nothing_above_the_log_directory_is_searched(tmp_path):
    write(tmp_path / "output" / "checkpoint-500" / "model.safetensors")
    run = tmp_path / "output" / "runs" / "Nov22_host"
    run.mkdir(parents=True)
    assert find_checkpoints(run, tmp_path / "output" / "runs").saved == ()


def test_name_that_is_no_text_can_be_shown(tmp_path):
    path = os.fsencode(tmp_path) + b"/model_\xff.pt"
    try:
        Path(os.fsdecode(path)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system allows only names that are text")
    assert only(tmp_path).name == "model_\ufffd.pt"


def test_content_is_never_read(tmp_path, monkeypatch):
    write(tmp_path / "best" / "model.pt")
    write(tmp_path / "last.ckpt")
    monkeypatch.setattr("builtins.open", None)
    monkeypatch.setattr(os, "open", None)
    assert len(find_checkpoints(tmp_path).saved) == 2
