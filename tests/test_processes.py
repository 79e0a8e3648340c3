"""Processes on a GPU and the runs they belong to: real processes, told by a stand-in for the driver."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from monitor.schema import GpuProcess
from monitor.sources.resources import ResourceSampler
from tests.test_resources import nvml_with, refuse

EVENT_FILE = "events.out.tfevents.1700000000.host"
# Opens the files named, says that it has, and waits until its input ends.
TRAINER = (
    "import sys; held = [open(name, 'ab') for name in sys.argv[1:] if 'tfevents' in name]; print(flush=True); input()"
)
GIGABYTE = 10**9


@pytest.fixture
def train(tmp_path):
    """Returns a function that starts a process and returns its number; all end with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object, cwd: Path = Path("/")) -> int:
        words = [sys.executable, "-c", TRAINER, *map(str, arguments)]
        process = subprocess.Popen(words, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield start
    for process in running:
        process.communicate()


@pytest.fixture
def run(tmp_path) -> Path:
    directory = tmp_path / "run"
    directory.mkdir()
    return directory


def sampler_with(*pids: int, gpus: int = 1) -> ResourceSampler:
    """Return a sampler of a machine whose GPUs run one process each, or the only one all of them."""
    told = [SimpleNamespace(pid=pid, usedGpuMemory=GIGABYTE) for pid in pids]
    running: Callable[[int], list[SimpleNamespace]] = lambda handle: told if gpus == 1 else [told[handle]]  # noqa: E731
    return ResourceSampler(30.0, nvml=nvml_with(gpus, nvmlDeviceGetComputeRunningProcesses=running))


def of_run(directory: Path, *pids: int) -> list[bool | None]:
    (gpu,) = sampler_with(*pids).sample(1_000.0, directory).gpus
    return [process.of_run for process in gpu.processes]


def test_process_is_told_with_its_name_and_its_memory(train, run):
    pid = train(run / EVENT_FILE)
    (gpu,) = sampler_with(pid).sample(1_000.0, run).gpus
    assert gpu.processes == (GpuProcess(pid, GIGABYTE, psutil.Process(pid).name(), True),)


def test_memory_that_the_driver_does_not_tell_is_unknown(train, run):
    told = [SimpleNamespace(pid=train(), usedGpuMemory=None)]
    sampler = ResourceSampler(nvml=nvml_with(nvmlDeviceGetComputeRunningProcesses=lambda _: told))
    assert sampler.sample(1_000.0, run).gpus[0].processes[0].memory_bytes is None


def test_driver_that_does_not_tell_processes_leaves_the_rest(run):
    refused = refuse(1)
    sampler = ResourceSampler(nvml=nvml_with(nvmlDeviceGetComputeRunningProcesses=refused))
    (gpu,) = sampler.sample(1_000.0, run).gpus
    assert (gpu.processes, gpu.utilization_percent) == ((), 87.0)


def test_process_that_holds_an_event_file_of_the_run_open_belongs_to_it(train, run):
    assert of_run(run, train(run / EVENT_FILE), train()) == [True, False]


def test_event_file_in_a_part_of_the_run_counts(train, run):
    (run / "train").mkdir()
    assert of_run(run, train(run / "train" / EVENT_FILE)) == [True]


def test_event_file_of_a_run_below_does_not_count_for_the_one_above(train, run):
    (run / "another_1").mkdir()
    assert of_run(run, train(run / "another_1" / EVENT_FILE)) == [False]


def test_process_that_works_in_the_directory_of_the_run_belongs_to_it(train, run):
    assert of_run(run, train(cwd=run)) == [True]


def test_process_that_works_above_the_run_may_belong_to_any(train, run):
    assert of_run(run, train(cwd=run.parent)) == [False]


@pytest.mark.parametrize("argument", ["{}", "--output_dir={}", "{}/checkpoints", "{}/../run"])
def test_process_whose_command_line_names_the_run_belongs_to_it(train, run, argument):
    assert of_run(run, train(argument.format(run))) == [True]


def test_relative_argument_is_taken_from_where_the_process_works(train, run):
    assert of_run(run, train("./run", cwd=run.parent)) == [True]


def test_name_that_only_begins_like_the_run_is_another(train, run):
    assert of_run(run, train(f"{run}-2")) == [False]


def test_open_event_file_of_another_run_counts_more_than_the_command_line(train, run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    assert of_run(run, train(run, other / EVENT_FILE)) == [False]


def test_run_is_found_through_a_link_to_its_directory(train, run, tmp_path):
    (tmp_path / "link").symlink_to(run)
    assert of_run(tmp_path / "link", train(run / EVENT_FILE)) == [True]


def test_rank_that_writes_nothing_belongs_to_the_run_of_the_one_that_does(tmp_path, run):
    # One command line but for its numbers, one parent: the first rank alone opens the event file, by a link.
    program = (
        "import sys; rank = int(sys.argv[1]); "
        f"held = open({str(run / EVENT_FILE)!r}, 'ab') if rank == 0 else None; print(flush=True); input()"
    )
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(rank)], cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for rank in range(2)
    ]
    for rank in ranks:
        assert rank.stdout is not None
        rank.stdout.readline()
    first, second = sampler_with(*(rank.pid for rank in ranks), gpus=2).sample(1_000.0, run).gpus
    for rank in ranks:
        rank.communicate()
    assert (first.processes[0].of_run, second.processes[0].of_run) == (True, True)


def test_process_that_has_ended_is_of_no_known_run(train, run):
    pid = train(run / EVENT_FILE)
    psutil.Process(pid).kill()
    psutil.Process(pid).wait(10)
    assert of_run(run, pid) == [None]


def test_process_that_may_not_be_looked_into_is_of_no_known_run(train, run, monkeypatch):
    def denied(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "open_files", denied)
    assert of_run(run, train(), train(run)) == [None, True]


def test_event_file_that_is_opened_later_is_found_at_a_later_look(run):
    program = f"input(); held = open({str(run / EVENT_FILE)!r}, 'ab'); print(flush=True); input()"
    trainer = subprocess.Popen([sys.executable, "-c", program], cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert trainer.stdin is not None
    assert trainer.stdout is not None
    sampler = sampler_with(trainer.pid)
    before = sampler.sample(1_000.0, run).gpus[0].processes[0].of_run
    trainer.stdin.write(b"\n")
    trainer.stdin.flush()
    trainer.stdout.readline()
    after = sampler.sample(1_031.0, run).gpus[0].processes[0].of_run
    trainer.communicate(b"\n")
    assert (before, after) == (False, True)


def test_one_reading_serves_several_runs(train, run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    sampler = sampler_with(train(run / EVENT_FILE), train(other / EVENT_FILE))
    told = [[one.of_run for one in sampler.sample(1_000.0, where).gpus[0].processes] for where in (run, other)]
    assert told == [[True, False], [False, True]]


def test_process_is_looked_at_once_in_a_while_only(train, run, monkeypatch):
    looks: list[int] = []
    real = psutil.Process.open_files
    monkeypatch.setattr(psutil.Process, "open_files", lambda process: looks.append(process.pid) or real(process))
    sampler = sampler_with(train())
    for now in (1_000.0, 1_010.0, 1_029.0, 1_031.0):
        sampler.take(now)
    assert len(looks) == 2
