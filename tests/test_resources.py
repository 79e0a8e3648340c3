"""Readings of the machine: psutil as it is, NVIDIA's two libraries behind a stand-in where no GPU is."""

import os
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from monitor.schema import GpuSample
from monitor.sources.resources import NO_DEVICE, NO_GPU, ResourceSampler

MEBIBYTE = 1024**2
SLOWDOWN = pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN


def refuse(code: int) -> Callable[..., None]:
    def raises(*_args: object, **_options: object) -> None:
        raise pynvml.NVMLError(code)

    return raises


def nvml_with(count: int = 1, **functions: Callable[..., object]) -> SimpleNamespace:
    """NVML with that many GPUs, each at 87 %, 61 °C, 412 W and 3 of 8 GiB; `functions` replace its answers."""
    constants = {name: getattr(pynvml, name) for name in dir(pynvml) if name.startswith(("NVML_", "NVMLError"))}
    answers = {
        "nvmlMemory_v2": pynvml.nvmlMemory_v2,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: count,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: f"NVIDIA Model {handle}",
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=87, memory=10),
        "nvmlDeviceGetMemoryInfo": lambda _, version=None: SimpleNamespace(used=3 * 1024**3, total=8 * 1024**3),
        "nvmlDeviceGetTemperature": lambda _handle, _sensor: 61,
        "nvmlDeviceGetPowerUsage": lambda _: 412_000,
        "nvmlDeviceGetEnforcedPowerLimit": lambda _: 700_000,
        "nvmlDeviceGetTemperatureThreshold": lambda _handle, kind: 92 if kind == SLOWDOWN else 105,
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [],
    }
    return SimpleNamespace(**constants, **(answers | functions))


def no_nvml() -> SimpleNamespace:
    return nvml_with(nvmlInit=refuse(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))


def gputil_with(*gpus: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(getGPUs=lambda: list(gpus))


def gpu_of_gputil(**fields: float) -> SimpleNamespace:
    told = {"load": 0.87, "memoryUsed": 3072.0, "memoryTotal": 8192.0, "temperature": 61.0}
    return SimpleNamespace(id=0, name="NVIDIA Model 0", **(told | fields))


def sample_with(nvml: SimpleNamespace, gputil: SimpleNamespace | None = None, deadline: float = 10.0):
    sampler = ResourceSampler(nvml=nvml, load_gputil=lambda: gputil, gpu_deadline_seconds=deadline)
    return sampler.sample(1_000.0)


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Puts a program of that name in front of the path, which prints what is asked."""

    def prints(text: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return prints


# --- processor, memory, disk ---------------------------------------------------------------------------------------


def test_memory_is_that_of_the_machine():
    sample = sample_with(no_nvml())
    assert sample.memory_total_bytes == psutil.virtual_memory().total
    assert sample.memory_used_bytes is not None
    assert 0 < sample.memory_used_bytes < sample.memory_total_bytes


def test_processor_load_is_seen_from_a_thread_that_never_asked_before():
    sampler = ResourceSampler(nvml=no_nvml(), load_gputil=lambda: None)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        sum(range(1000))
    loads: list[float | None] = []
    thread = threading.Thread(target=lambda: loads.append(sampler.sample(1_000.0).cpu_percent))
    thread.start()
    thread.join()
    assert loads[0] is not None
    assert 5 < loads[0] <= 100


def test_free_space_is_that_of_the_disk_named(tmp_path):
    sampler = ResourceSampler(nvml=no_nvml(), load_gputil=lambda: None)
    free = sampler.sample(1_000.0, tmp_path).disk_free_bytes
    assert free is not None
    assert free == pytest.approx(psutil.disk_usage(str(tmp_path)).free, rel=0.1)


def test_free_space_is_told_for_each_caller_between_readings(tmp_path):
    sampler = ResourceSampler(nvml=no_nvml(), load_gputil=lambda: None)
    assert sampler.sample(1_000.0).disk_free_bytes is None
    assert sampler.sample(1_000.1, tmp_path).disk_free_bytes is not None


def test_free_space_of_a_disk_that_is_gone_is_unknown(tmp_path):
    sampler = ResourceSampler(nvml=no_nvml(), load_gputil=lambda: None)
    assert sampler.sample(1_000.0, tmp_path / "gone").disk_free_bytes is None


def test_size_of_the_disk_is_told_for_each_caller_between_readings(tmp_path):
    sampler = ResourceSampler(nvml=no_nvml(), load_gputil=lambda: None)
    assert sampler.sample(1_000.0).disk_total_bytes is None
    assert sampler.sample(1_000.1, tmp_path).disk_total_bytes == psutil.disk_usage(str(tmp_path)).total


def test_every_core_has_a_load_and_the_machine_their_mean():
    sample = sample_with(no_nvml())
    assert len(sample.core_percents) == psutil.cpu_count()
    assert all(0 <= percent <= 100 for percent in sample.core_percents)
    mean = sum(sample.core_percents) / len(sample.core_percents)
    assert sample.cpu_percent == pytest.approx(mean, abs=15)  # the spans of the cores differ by ticks of 10 ms


def test_swap_is_that_of_the_machine():
    assert sample_with(no_nvml()).swap_used_bytes == pytest.approx(psutil.swap_memory().used, abs=2**26)


@pytest.mark.skipif(psutil.disk_io_counters() is None, reason="this system does not count what its disks move")
def test_written_bytes_are_seen_as_a_rate_from_the_second_reading_on(tmp_path):
    sampler = ResourceSampler(0.0, nvml=no_nvml(), load_gputil=lambda: None)
    first = sampler.sample(1_000.0)
    with (tmp_path / "written").open("wb") as file:
        file.write(bytes(2**22))
        file.flush()
        os.fsync(file.fileno())
    second = sampler.sample(1_002.0)
    assert first.disk_write_bytes_per_second is None
    assert second.disk_write_bytes_per_second is not None
    assert second.disk_read_bytes_per_second is not None


@pytest.mark.parametrize(
    ("function", "fields"),
    [
        ("cpu_times", {"cpu_percent"}),
        ("virtual_memory", {"memory_used_bytes", "memory_total_bytes"}),
        ("swap_memory", {"swap_used_bytes"}),
        ("disk_usage", {"disk_free_bytes", "disk_total_bytes"}),
        ("disk_io_counters", {"disk_read_bytes_per_second", "disk_write_bytes_per_second"}),
    ],
)
def test_only_the_figures_that_the_system_refuses_are_unknown(function, fields, monkeypatch, tmp_path):
    def unknown() -> set[str]:
        sampler = ResourceSampler(0.0, nvml=nvml_with())
        sampler.sample(1_000.0, tmp_path)
        sample = sampler.sample(1_002.0, tmp_path)
        return {name for name in type(sample).__slots__ if getattr(sample, name) is None}

    before = unknown()

    def refuses(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "not allowed")

    monkeypatch.setattr(psutil, function, refuses)
    assert unknown() == before | fields


# --- interval and history ------------------------------------------------------------------------------------------


def test_reading_is_reused_within_the_interval():
    sampler = ResourceSampler(5.0, nvml=no_nvml(), load_gputil=lambda: None)
    first = sampler.sample(1_000.0)
    assert sampler.sample(1_004.9) == first


def test_reading_is_taken_anew_after_the_interval():
    sampler = ResourceSampler(5.0, nvml=no_nvml(), load_gputil=lambda: None)
    sampler.sample(1_000.0)
    assert sampler.sample(1_005.0).wall_time == 1_005.0


def test_clock_that_was_set_back_does_not_stop_the_readings():
    sampler = ResourceSampler(5.0, nvml=no_nvml(), load_gputil=lambda: None)
    sampler.sample(1_000.0)
    assert sampler.sample(500.0).wall_time == 500.0


def test_history_keeps_the_newest_readings_in_order():
    sampler = ResourceSampler(1.0, keep=3, nvml=no_nvml(), load_gputil=lambda: None)
    for now in (1.0, 2.0, 3.0, 4.0):
        sampler.sample(now)
    assert [sample.wall_time for sample in sampler.history()] == [2.0, 3.0, 4.0]


def test_history_is_empty_before_the_first_reading():
    assert ResourceSampler(nvml=no_nvml()).history() == ()


def test_threads_share_one_reading():
    calls: list[int] = []
    nvml = nvml_with(nvmlDeviceGetCount=lambda: calls.append(1) or 1)
    sampler = ResourceSampler(nvml=nvml)
    threads = [threading.Thread(target=sampler.sample, args=(1_000.0,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(calls), len(sampler.history())) == (1, 1)


def test_last_reading_is_handed_out_while_a_slow_one_is_taken():
    slow, asked, go_on = threading.Event(), threading.Event(), threading.Event()

    def count() -> int:
        if slow.is_set():
            asked.set()
            go_on.wait(10)
        return 1

    sampler = ResourceSampler(1.0, nvml=nvml_with(nvmlDeviceGetCount=count))
    first = sampler.sample(1_000.0)
    slow.set()
    thread = threading.Thread(target=sampler.sample, args=(1_010.0,))
    thread.start()
    assert asked.wait(10)
    assert sampler.sample(1_010.0) == first
    go_on.set()
    thread.join()
    assert sampler.sample(1_010.5).wall_time == 1_010.0


# --- GPUs ----------------------------------------------------------------------------------------------------------


def test_machine_as_it_is_has_gpus_or_says_why_not(tmp_path):
    sample = ResourceSampler().sample(time.time(), tmp_path)
    assert bool(sample.gpus) != bool(sample.gpu_note)


def test_gpus_are_read_through_nvml():
    sample = sample_with(nvml_with(2))
    assert sample.gpu_note is None
    assert sample.gpus[1] == GpuSample(1, "NVIDIA Model 1", 87.0, 3 * 1024**3, 8 * 1024**3, 61.0, 412.0, 700.0, 92.0)


def test_nvml_is_started_once():
    starts: list[int] = []
    sampler = ResourceSampler(1.0, nvml=nvml_with(nvmlInit=lambda: starts.append(1)))
    sampler.sample(1_000.0)
    sampler.sample(1_010.0)
    assert len(starts) == 1


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("nvmlDeviceGetUtilizationRates", "utilization_percent"),
        ("nvmlDeviceGetMemoryInfo", "memory_used_bytes"),
        ("nvmlDeviceGetTemperature", "temperature_celsius"),
        ("nvmlDeviceGetPowerUsage", "power_watts"),
        ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_watts"),
        ("nvmlDeviceGetTemperatureThreshold", "slowdown_celsius"),
    ],
)
def test_only_the_figure_that_the_driver_does_not_tell_is_unknown(function, field):
    sample = sample_with(nvml_with(**{function: refuse(pynvml.NVML_ERROR_NOT_SUPPORTED)}))
    unknown = {name for name in GpuSample.__slots__ if getattr(sample.gpus[0], name) is None}
    assert unknown == {field, "memory_total_bytes"} if "Memory" in function else unknown == {field}


def test_limit_that_a_driver_gives_as_zero_is_unknown():
    sample = sample_with(nvml_with(nvmlDeviceGetTemperatureThreshold=lambda _handle, _kind: 0))
    assert sample.gpus[0].slowdown_celsius is None


def test_older_driver_tells_its_memory_in_the_older_way():
    def memory(_handle: int, version: int | None = None) -> SimpleNamespace:
        if version is not None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return SimpleNamespace(used=5, total=9)

    assert sample_with(nvml_with(nvmlDeviceGetMemoryInfo=memory)).gpus[0].memory_used_bytes == 5


def test_gpu_that_is_lost_stays_in_the_list_beside_the_others():
    def handle(index: int) -> int:
        if index == 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return index

    gpus = sample_with(nvml_with(2, nvmlDeviceGetHandleByIndex=handle)).gpus
    assert [(gpu.name, gpu.utilization_percent) for gpu in gpus] == [("GPU 0", None), ("NVIDIA Model 1", 87.0)]


def test_no_library_and_no_tool_is_said_in_one_sentence():
    sample = sample_with(no_nvml(), gputil_with())
    assert (sample.gpus, sample.gpu_note) == ((), NO_GPU)


def test_gputil_that_cannot_be_imported_is_said_like_no_gpu():
    assert sample_with(no_nvml(), None).gpu_note == NO_GPU


def test_driver_without_a_gpu_is_said():
    assert sample_with(nvml_with(0)).gpu_note == NO_DEVICE


def test_driver_that_does_not_answer_is_said_with_its_reason():
    note = sample_with(nvml_with(nvmlInit=refuse(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH))).gpu_note
    assert note is not None
    assert "version mismatch" in note


def test_driver_that_stops_answering_is_said_and_asked_again():
    answers = iter([1, None, 1])

    def count() -> int:
        found = next(answers)
        if found is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
        return found

    sampler = ResourceSampler(1.0, nvml=nvml_with(nvmlDeviceGetCount=count))
    assert [len(sampler.sample(now).gpus) for now in (1.0, 3.0, 5.0)] == [1, 0, 1]


def test_gputil_is_asked_where_nvml_is_missing():
    sample = sample_with(no_nvml(), gputil_with(gpu_of_gputil()))
    assert sample.gpus == (GpuSample(0, "NVIDIA Model 0", 87.0, 3072 * MEBIBYTE, 8192 * MEBIBYTE, 61.0),)


def test_figure_that_gputil_does_not_know_is_unknown():
    sample = sample_with(no_nvml(), gputil_with(gpu_of_gputil(load=float("nan"))))
    assert sample.gpus[0].utilization_percent is None


def test_gputil_is_not_loaded_where_nvml_answers():
    loads: list[int] = []
    ResourceSampler(nvml=nvml_with(), load_gputil=lambda: loads.append(1)).sample(1_000.0)
    assert loads == []


def test_tool_is_not_started_again_where_there_was_no_gpu():
    calls: list[int] = []
    gputil = SimpleNamespace(getGPUs=lambda: calls.append(1) or [])
    sampler = ResourceSampler(1.0, nvml=no_nvml(), load_gputil=lambda: gputil)
    notes = [sampler.sample(now).gpu_note for now in (1.0, 3.0, 5.0)]
    assert (len(calls), notes) == (1, [NO_GPU] * 3)


def test_figures_of_nvidia_smi_arrive_through_gputil(nvidia_smi):
    nvidia_smi("0, GPU-1, 87, 8192, 3072, 5120, 550.1, NVIDIA Model 0, [N/A], Disabled, Disabled, [N/A]")
    sample = ResourceSampler(nvml=no_nvml()).sample(1_000.0)
    assert sample.gpus == (GpuSample(0, "NVIDIA Model 0", 87.0, 3072 * MEBIBYTE, 8192 * MEBIBYTE, None),)


@pytest.mark.parametrize("message", ["No devices were found", "NVIDIA-SMI has failed, because …", "0"])
def test_message_of_nvidia_smi_is_no_failure(nvidia_smi, message):
    nvidia_smi(message)
    sample = ResourceSampler(nvml=no_nvml()).sample(1_000.0)
    assert (sample.gpus, sample.gpu_note) == ((), NO_GPU)


def test_tool_that_hangs_is_given_up_for_good():
    calls: list[int] = []
    go_on = threading.Event()
    gputil = SimpleNamespace(getGPUs=lambda: calls.append(1) or (go_on.wait(30) and []))
    sampler = ResourceSampler(1.0, nvml=no_nvml(), load_gputil=lambda: gputil, gpu_deadline_seconds=0.05)
    notes = [sampler.sample(now).gpu_note for now in (1.0, 3.0)]
    go_on.set()
    assert len(calls) == 1
    assert notes[0] == notes[1]
    assert notes[0] is not None
    assert "did not answer" in notes[0]


def test_hanging_driver_leaves_the_rest_of_the_reading():
    go_on = threading.Event()
    sample = sample_with(nvml_with(nvmlInit=lambda: go_on.wait(30)), deadline=0.05)
    go_on.set()
    assert sample.memory_total_bytes == psutil.virtual_memory().total


def test_disk_of_a_relative_path_is_found():
    sampler = ResourceSampler(nvml=no_nvml(), load_gputil=lambda: None)
    assert sampler.sample(1_000.0, Path()).disk_free_bytes is not None


# --- readings that nobody asks for ---------------------------------------------------------------------------------


def wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return as soon as something is so; fails when it never is."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def sampler_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "resources"}


@pytest.fixture
def started():
    """Returns a function that starts a sampler without a GPU; it is stopped with the test."""
    samplers: list[ResourceSampler] = []

    def start(interval_seconds: float, **options: Path) -> ResourceSampler:
        samplers.append(ResourceSampler(interval_seconds, nvml=no_nvml(), load_gputil=lambda: None, **options))
        samplers[-1].start()
        return samplers[-1]

    yield start
    for sampler in samplers:
        sampler.stop()


def test_readings_are_taken_while_nobody_asks(started):
    sampler = started(0.15)
    wait_until(lambda: len(sampler.history()) >= 4)
    times = [sample.wall_time for sample in sampler.history()]
    assert min(later - sooner for sooner, later in pairwise(times)) > 0.1


def test_asking_takes_no_reading_where_they_are_taken_anyway(started):
    sampler = started(3_600.0)
    wait_until(lambda: bool(sampler.history()))
    now = sampler.history()[0].wall_time
    assert sampler.sample(now + 10_000).wall_time == now
    assert len(sampler.history()) == 1


def test_the_first_to_ask_waits_for_the_first_reading(started):
    assert started(3_600.0).sample(time.time()).memory_total_bytes == psutil.virtual_memory().total


def test_sampler_that_is_started_twice_takes_readings_once(started):
    before = sampler_threads()
    started(3_600.0).start()
    assert len(sampler_threads() - before) == 1


def test_sampler_that_is_stopped_takes_readings_only_when_asked(started):
    before = sampler_threads()
    sampler = started(0.1)
    wait_until(lambda: bool(sampler.history()))
    sampler.stop()
    wait_until(lambda: sampler_threads() <= before)
    count = len(sampler.history())
    sampler.sample(time.time() + 100)
    assert len(sampler.history()) == count + 1


def test_sampler_that_nobody_holds_any_more_ends():
    before = sampler_threads()
    ResourceSampler(3_600.0, nvml=no_nvml(), load_gputil=lambda: None).start()
    wait_until(lambda: sampler_threads() <= before)


def test_the_disk_asked_for_last_is_in_the_readings_nobody_asked_for(started, tmp_path):
    sampler = started(0.1)
    sampler.sample(time.time(), tmp_path)
    size = psutil.disk_usage(str(tmp_path)).total
    wait_until(lambda: sampler.history()[-1].disk_total_bytes == size)


def test_history_keeps_no_cores_and_no_processes():
    running = SimpleNamespace(pid=os.getpid(), usedGpuMemory=5)
    sampler = ResourceSampler(nvml=nvml_with(nvmlDeviceGetComputeRunningProcesses=lambda _: [running]))
    newest, (kept,) = sampler.sample(1_000.0), sampler.history()
    assert newest.core_percents
    assert newest.gpus[0].processes
    assert (kept.core_percents, kept.gpus[0].processes) == ((), ())


def test_a_reading_takes_less_than_a_hundredth_of_a_core_at_two_seconds():
    sampler = ResourceSampler(nvml=nvml_with(8), load_gputil=lambda: None)
    for second in range(3):
        sampler.take(float(second))
    before = time.process_time()
    for second in range(10):
        sampler.take(1_000.0 + second)
    assert (time.process_time() - before) / 10 < 0.01 * 2.0


def test_history_that_was_recorded_is_there_again_after_a_restart(started, tmp_path):
    first = started(0.1, record=tmp_path / "record.jsonl")
    wait_until(lambda: len(first.history()) >= 3)
    first.stop()
    second = ResourceSampler(0.1, nvml=no_nvml(), load_gputil=lambda: None, record=tmp_path / "record.jsonl")
    second.sample(time.time())
    times = [round(sample.wall_time, 2) for sample in second.history()]
    assert times[:3] == [round(sample.wall_time, 2) for sample in first.history()[:3]]


def test_reading_when_asked_leaves_the_record_as_it_is(tmp_path):
    sampler = ResourceSampler(nvml=no_nvml(), load_gputil=lambda: None, record=tmp_path / "record.jsonl")
    sampler.sample(1_000.0)
    assert not (tmp_path / "record.jsonl").exists()


def test_record_that_cannot_be_written_is_said_in_the_readings(started, tmp_path):
    sampler = started(0.1, record=tmp_path / "missing" / "record.jsonl")
    wait_until(lambda: bool(sampler.history()) and sampler.sample(time.time()).record_note is not None)
    assert "missing" in sampler.sample(time.time()).record_note
