"""GPUs through NVML, or else GPUtil; the processes that compute on them are told by NVML only."""

import math
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from monitor.schema import GpuProcess, GpuSample

Answer = TypeVar("Answer")

MEBIBYTE = 1024**2
MILLIWATTS = 1000.0  # of a watt: NVML counts power in milliwatts

NO_GPU = "No NVIDIA GPU or driver was found on this machine; everything else works."
NO_DEVICE = "The NVIDIA driver is installed but shows no GPU; everything else works."
NO_ANSWER = "The NVIDIA driver does not answer ({reason}), so GPUs are not shown; everything else works."
TOO_SLOW = (
    "The NVIDIA driver did not answer within {seconds:.0f} s and is not asked again until the monitor is restarted; "
    "everything else works."
)


@dataclass(frozen=True, slots=True)
class GpuReading:
    """All GPUs at one moment; the note explains an empty tuple."""

    gpus: tuple[GpuSample, ...] = ()
    note: str | None = None


class Gpus:
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
        self._source: Callable[[], GpuReading] = self._choose_source
        self._given_up: GpuReading | None = None

    def read(self) -> tuple[tuple[GpuSample, ...], str | None]:
        """Return all GPUs, and the sentence that explains why there are none."""
        if self._given_up is None:
            reading = within(self._deadline_seconds, self._source)
            if reading is not None:
                return reading.gpus, reading.note
            self._given_up = GpuReading(note=TOO_SLOW.format(seconds=self._deadline_seconds))
        return self._given_up.gpus, self._given_up.note

    def _choose_source(self) -> GpuReading:
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

    def _start_nvml(self) -> GpuReading:
        if self._nvml is None:
            return GpuReading(note=NO_GPU)
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            absent = (self._nvml.NVML_ERROR_LIBRARY_NOT_FOUND, self._nvml.NVML_ERROR_DRIVER_NOT_LOADED)
            return GpuReading(note=NO_GPU if error.value in absent else NO_ANSWER.format(reason=error))
        return self._read_nvml()

    def _read_nvml(self) -> GpuReading:
        nvml = self._nvml
        if nvml is None:
            return GpuReading(note=NO_GPU)
        try:
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            return GpuReading(note=NO_ANSWER.format(reason=error))
        gpus = tuple(_nvml_gpu(nvml, index) for index in range(count))
        return GpuReading(gpus, None if gpus else NO_DEVICE)


def within(seconds: float, read: Callable[[], Answer]) -> Answer | None:
    """Return what `read` answers, None when it takes longer; its thread is then left behind."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(read()), name="gpu-reading", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive() and not answers:
        return None
    return answers[0]


def import_gputil() -> ModuleType | None:
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
        processes=_told(nvml, lambda: _nvml_processes(nvml, handle)) or (),
    )


def _slowdown_celsius(nvml: ModuleType, handle: object) -> float | None:
    """Return the temperature at which the GPU slows itself down; 0, as some drivers answer, means unknown."""
    threshold = nvml.nvmlDeviceGetTemperatureThreshold(handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
    return float(threshold) or None


def _nvml_processes(nvml: ModuleType, handle: object) -> tuple[GpuProcess, ...]:
    """Return the processes that compute on a GPU; in a container the driver may tell none, or those of the host."""
    running = {process.pid: process for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    return tuple(GpuProcess(int(pid), process.usedGpuMemory) for pid, process in running.items())


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


def _read_gputil(gputil: ModuleType) -> GpuReading:
    try:
        gpus = gputil.getGPUs()
    except (ValueError, IndexError) as error:  # nvidia-smi printed a message where GPUtil expects figures
        return GpuReading(note=NO_ANSWER.format(reason=error))
    return GpuReading(tuple(_gputil_gpu(gpu) for gpu in gpus), None if gpus else NO_GPU)


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
