"""The machine: processor, memory, disk through psutil, GPUs through NVML or else GPUtil, with a short history.

The only module that knows these three libraries. No GPU and no driver is a state, told in one sentence
(`Sample.gpu_note`), never an error.
"""

import math
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import psutil
import pynvml

from monitor.schema import GpuSample, Sample

Answer = TypeVar("Answer")

HISTORY = 3_600  # readings kept: two hours at one every two seconds
GPU_DEADLINE_SECONDS = 10.0  # the first call wakes up the driver, several seconds on machines with many GPUs
MEBIBYTE = 1024**2
MILLIWATTS = 1000.0  # of a watt: NVML counts power in milliwatts
# Source: psutil's documentation of cpu_percent: figures from spans below 0.1 s are without meaning.
MIN_CPU_SPAN_SECONDS = 0.1

NO_GPU = "No NVIDIA GPU or driver was found on this machine; everything else works."
NO_DEVICE = "The NVIDIA driver is installed but shows no GPU; everything else works."
NO_ANSWER = "The NVIDIA driver does not answer ({reason}), so GPUs are not shown; everything else works."
TOO_SLOW = (
    "The NVIDIA driver did not answer within {seconds:.0f} s and is not asked again until the monitor is restarted; "
    "everything else works."
)


class ResourceSampler:
    """Readings of this machine, at most one per interval, with their history; safe to share between threads.

    Args:
        interval_seconds: Readings are at least this far apart; in between the last one is handed out.
        keep: Readings kept in the history.
        nvml: The module ``pynvml``, or one that behaves like it.
        load_gputil: Returns the module ``GPUtil``, None where it is missing; asked only where NVML shows no GPU.
        gpu_deadline_seconds: A GPU reading that takes longer is given up for good: the driver hangs.
    """

    def __init__(
        self,
        interval_seconds: float = 2.0,
        *,
        keep: int = HISTORY,
        nvml: ModuleType | None = pynvml,
        load_gputil: Callable[[], ModuleType | None] | None = None,
        gpu_deadline_seconds: float = GPU_DEADLINE_SECONDS,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._keep = keep
        self._gpus = _Gpus(nvml, load_gputil or _import_gputil, gpu_deadline_seconds)
        self._processor = _Processor()
        self._disks = _Disks()
        self._reading = threading.Lock()
        self._history: tuple[Sample, ...] = ()  # replaced, never changed: may be read without the lock

    def sample(self, now: float, disk: Path | None = None) -> Sample:
        """Return the newest reading; takes one when the last is older than the interval.

        While another thread is taking a reading, the last one is returned at once; only the very first is waited
        for. `disk_free_bytes` and `disk_total_bytes` always belong to the disk of this call.

        Args:
            now: Wall time, seconds UTC; the reading is stamped with it.
            disk: Any path on the disk whose space is wanted, None to leave it out.

        Returns:
            The reading; None in a field the system does not tell.
        """
        if self._reading.acquire(blocking=not self._history):
            try:
                if self._is_due(now):
                    reading = self._read(now, disk)
                    self._history = (*self._history, reading)[-self._keep :]
                    return reading
            finally:
                self._reading.release()
        free, size = _disk_bytes(disk)
        return replace(self._history[-1], disk_free_bytes=free, disk_total_bytes=size)

    def history(self) -> tuple[Sample, ...]:
        """Return the readings kept, oldest first."""
        return self._history

    def _is_due(self, now: float) -> bool:
        # The distance in both directions: a clock that was set back must not stop the readings.
        return not self._history or abs(now - self._history[-1].wall_time) >= self._interval_seconds

    def _read(self, now: float, disk: Path | None) -> Sample:
        used, total = _memory_bytes()
        free, size = _disk_bytes(disk)
        load = self._processor.load()
        read, write = self._disks.bytes_per_second()
        gpus, note = self._gpus.read()
        return Sample(
            wall_time=now,
            cpu_percent=load.percent,
            memory_used_bytes=used,
            memory_total_bytes=total,
            disk_free_bytes=free,
            disk_total_bytes=size,
            swap_used_bytes=_swap_bytes(),
            core_percents=load.core_percents,
            disk_read_bytes_per_second=read,
            disk_write_bytes_per_second=write,
            gpus=gpus,
            gpu_note=note,
        )


# --- processor, memory, disk ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Load:
    """Load of the machine and of each of its cores, in percent (0–100); None and empty where it is not told."""

    percent: float | None
    core_percents: tuple[float, ...]


class _Processor:
    """Load of all processors, and of each, since the last question, from their time counters.

    Not `psutil.cpu_percent`: it remembers the last question per thread and answers 0 to each new thread, and a page
    is drawn by a new thread every time. Source: the formula is that of psutil's ``cpu_percent``.
    """

    def __init__(self) -> None:
        self._asked = time.monotonic()
        self._cores = _core_seconds()

    def load(self) -> _Load:
        """Return the load since the last question, None where the system does not tell."""
        time.sleep(max(0.0, self._asked + MIN_CPU_SPAN_SECONDS - time.monotonic()))
        before, self._cores = self._cores, _core_seconds()
        self._asked = time.monotonic()
        if len(before) != len(self._cores):  # a processor was switched on or off: their sums cannot be compared
            return _Load(None, ())
        spans = [
            (busy - was_busy, total - was) for (busy, total), (was_busy, was) in zip(self._cores, before, strict=True)
        ]
        percent = _percent(sum(busy for busy, _ in spans), sum(span for _, span in spans))
        return _Load(percent, tuple(_percent(busy, span) or 0.0 for busy, span in spans))


def _percent(busy_seconds: float, span_seconds: float) -> float | None:
    return min(max(100.0 * busy_seconds / span_seconds, 0.0), 100.0) if span_seconds > 0 else None


def _core_seconds() -> list[tuple[float, float]]:
    """Return busy and total seconds of each core since the start of the machine; nothing where not told."""
    try:
        cores = psutil.cpu_times(percpu=True)
    except OSError:  # a container that hides /proc/stat
        return []
    return [_busy_seconds(times) for times in cores]


def _busy_seconds(times: Any) -> tuple[float, float]:  # noqa: ANN401 (its fields differ from system to system)
    # The time of guests is contained in that of user and nice.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    return total - idle, total


class _Disks:
    """What all disks of the machine read and write, since the last question."""

    def __init__(self) -> None:
        self._asked = 0.0
        self._bytes: tuple[int, int] | None = None

    def bytes_per_second(self) -> tuple[float | None, float | None]:
        """Return the rates of reading and writing; None at the first question and where the system does not tell."""
        span, self._asked = time.monotonic() - self._asked, time.monotonic()
        before, self._bytes = self._bytes, _moved_bytes()
        if before is None or self._bytes is None or span <= 0:
            return None, None
        read, written = self._bytes[0] - before[0], self._bytes[1] - before[1]
        # A disk that was taken out takes its counters with it.
        return (read / span if read >= 0 else None), (written / span if written >= 0 else None)


def _moved_bytes() -> tuple[int, int] | None:
    """Return the bytes read and written since the start of the machine, None without disks or permission."""
    try:
        counters = psutil.disk_io_counters()
    except (OSError, NotImplementedError):  # a container that hides /proc/diskstats and /sys/block
        return None
    return None if counters is None else (counters.read_bytes, counters.write_bytes)


def _memory_bytes() -> tuple[int | None, int | None]:
    """Return memory that programs cannot get any more, and all of it: what the system can give back is free."""
    try:
        memory = psutil.virtual_memory()
    except OSError:
        return None, None
    return memory.total - memory.available, memory.total


def _swap_bytes() -> int | None:
    try:
        return int(psutil.swap_memory().used)
    except OSError:
        return None


def _disk_bytes(disk: Path | None) -> tuple[int | None, int | None]:
    """Return what is free on the disk for this user, and its size."""
    if disk is None:
        return None, None
    try:
        usage = psutil.disk_usage(str(disk))
    except OSError:  # gone, or not allowed to look
        return None, None
    return int(usage.free), int(usage.total)


# --- GPUs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _GpuReading:
    """All GPUs at one moment; the note explains an empty tuple."""

    gpus: tuple[GpuSample, ...] = ()
    note: str | None = None


class _Gpus:
    """Reads all GPUs through the first library that knows one: NVML in this process, else GPUtil.

    Which library answers is found out at the first reading and kept. Every reading runs in a thread of its own, so
    that a driver that hangs costs one deadline and not the monitor.
    """

    def __init__(
        self, nvml: ModuleType | None, load_gputil: Callable[[], ModuleType | None], deadline_seconds: float
    ) -> None:
        self._nvml = nvml
        self._load_gputil = load_gputil
        self._deadline_seconds = deadline_seconds
        self._source: Callable[[], _GpuReading] = self._choose_source
        self._given_up: _GpuReading | None = None

    def read(self) -> tuple[tuple[GpuSample, ...], str | None]:
        """Return all GPUs, and the sentence that explains why there are none."""
        if self._given_up is None:
            reading = _within(self._deadline_seconds, self._source)
            if reading is not None:
                return reading.gpus, reading.note
            self._given_up = _GpuReading(note=TOO_SLOW.format(seconds=self._deadline_seconds))
        return self._given_up.gpus, self._given_up.note

    def _choose_source(self) -> _GpuReading:
        reading = self._start_nvml()
        if reading.gpus:
            self._source = self._read_nvml
            return reading
        gputil = self._load_gputil()
        if gputil is not None:
            fallback = _read_gputil(gputil)
            if fallback.gpus:
                self._source = lambda: _read_gputil(gputil)
                return fallback
        self._source = lambda: reading  # said once, not looked for again
        return reading

    def _start_nvml(self) -> _GpuReading:
        if self._nvml is None:
            return _GpuReading(note=NO_GPU)
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            absent = (self._nvml.NVML_ERROR_LIBRARY_NOT_FOUND, self._nvml.NVML_ERROR_DRIVER_NOT_LOADED)
            return _GpuReading(note=NO_GPU if error.value in absent else NO_ANSWER.format(reason=error))
        return self._read_nvml()

    def _read_nvml(self) -> _GpuReading:
        nvml = self._nvml
        if nvml is None:
            return _GpuReading(note=NO_GPU)
        try:
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            return _GpuReading(note=NO_ANSWER.format(reason=error))
        gpus = tuple(_nvml_gpu(nvml, index) for index in range(count))
        return _GpuReading(gpus, None if gpus else NO_DEVICE)


def _within(seconds: float, read: Callable[[], Answer]) -> Answer | None:
    """Return what `read` answers, None when it takes longer; its thread is then left behind."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(read()), name="gpu-reading", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive() and not answers:
        return None
    return answers[0]


def _import_gputil() -> ModuleType | None:
    """Return GPUtil, None where it would be of no use.

    It asks the program nvidia-smi; without that its import, a quarter of a second, is saved. It needs distutils, which
    left Python with 3.12.
    """
    if shutil.which("nvidia-smi") is None:
        return None
    try:
        import GPUtil
    except ImportError:
        return None
    module: ModuleType = GPUtil
    return module


def _nvml_gpu(nvml: ModuleType, index: int) -> GpuSample:
    """Return one GPU; what its driver does not tell is None (unified memory, partitions, a GPU that is lost)."""
    handle = _told(nvml, lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    if handle is None:
        return GpuSample(index, f"GPU {index}", None, None, None, None)
    name: str | None = _told(nvml, lambda: nvml.nvmlDeviceGetName(handle))
    utilization: float | None = _told(nvml, lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu))
    used, total = _told(nvml, lambda: _nvml_memory(nvml, handle)) or (None, None)
    celsius: float | None = _told(nvml, lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)))
    return GpuSample(
        index=index,
        name=name or f"GPU {index}",
        utilization_percent=utilization,
        memory_used_bytes=used,
        memory_total_bytes=total,
        temperature_celsius=celsius,
        power_watts=_told(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle) / MILLIWATTS),
        power_limit_watts=_told(nvml, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / MILLIWATTS),
        slowdown_celsius=_told(nvml, lambda: _slowdown_celsius(nvml, handle)),
    )


def _slowdown_celsius(nvml: ModuleType, handle: object) -> float | None:
    """Return the temperature at which the GPU slows itself down; 0, as some drivers answer, means unknown."""
    threshold = nvml.nvmlDeviceGetTemperatureThreshold(handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
    return float(threshold) or None


def _nvml_memory(nvml: ModuleType, handle: object) -> tuple[int, int]:
    """Return used and total bytes, without what the driver keeps for itself, as ``nvidia-smi`` shows them.

    Source: NVML's nvmlMemory_v2_t, which tells the reserved part apart; older drivers know version 1 only.
    """
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return int(memory.used), int(memory.total)


def _told(nvml: ModuleType, ask: Callable[[], Answer]) -> Answer | None:
    try:
        return ask()
    except nvml.NVMLError:
        return None
    except UnicodeDecodeError:  # a driver whose name of the GPU is no text
        return None


def _read_gputil(gputil: ModuleType) -> _GpuReading:
    try:
        gpus = gputil.getGPUs()
    except (ValueError, IndexError) as error:  # nvidia-smi printed a message where GPUtil expects figures
        return _GpuReading(note=NO_ANSWER.format(reason=error))
    return _GpuReading(tuple(_gputil_gpu(gpu) for gpu in gpus), None if gpus else NO_GPU)


def _gputil_gpu(gpu: Any) -> GpuSample:  # noqa: ANN401 (GPUtil has no types)
    """Return one GPU of GPUtil: load 0–1, memory in MiB, NaN for what is not told."""
    load, used, total = _finite(gpu.load), _finite(gpu.memoryUsed), _finite(gpu.memoryTotal)
    return GpuSample(
        index=int(gpu.id),
        name=str(gpu.name),
        utilization_percent=None if load is None else 100.0 * load,
        memory_used_bytes=None if used is None else round(used * MEBIBYTE),
        memory_total_bytes=None if total is None else round(total * MEBIBYTE),
        temperature_celsius=_finite(gpu.temperature),
    )


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None
