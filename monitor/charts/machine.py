"""Readings of the machine → curves over the time of day: each GPU, processor and memory, disks."""

from collections.abc import Callable, Sequence

import numpy as np

from monitor.charts.curves import Curve
from monitor.charts.styles import palette_style
from monitor.schema import Floats, GpuSample, Sample

MEGABYTE = 1e6
# Readings this far apart, and this many times as far as usual, are no line: nobody knows what was between them.
GAP_SECONDS = 30.0
GAP_FACTOR = 5.0

Figures = Sequence[float | None]


def gpu_utilization(gpu: GpuSample) -> float | None:
    """Return how busy a GPU is, in percent."""
    return gpu.utilization_percent


def gpu_memory_percent(gpu: GpuSample) -> float | None:
    """Return the share of its memory that is used, in percent."""
    if gpu.memory_used_bytes is None or not gpu.memory_total_bytes:
        return None
    return 100 * gpu.memory_used_bytes / gpu.memory_total_bytes


def gpu_curves(
    samples: Sequence[Sample], measure: Callable[[GpuSample], float | None] = gpu_utilization
) -> list[Curve]:
    """Return a figure of each GPU over time, its utilisation in percent by default.

    Args:
        samples: Readings, oldest first.
        measure: Returns the figure of one GPU, None where it is not told.
    """
    found: dict[int, tuple[list[float], list[float | None]]] = {}
    for sample in samples:
        for gpu in sample.gpus:
            times, figures = found.setdefault(gpu.index, ([], []))
            times.append(sample.wall_time)
            figures.append(measure(gpu))
    return [_curve(f"GPU {index}", *found[index], number) for number, index in enumerate(sorted(found))]


def host_curves(samples: Sequence[Sample]) -> list[Curve]:
    """Return processor and memory use over time, in percent."""
    times = [sample.wall_time for sample in samples]
    processor = [sample.cpu_percent for sample in samples]
    memory = [_memory_percent(sample) for sample in samples]
    return [_curve("CPU", times, processor, 0), _curve("memory", times, memory, 1)]


def disk_curves(samples: Sequence[Sample]) -> list[Curve]:
    """Return what all disks read and write over time, in megabytes per second."""
    times = [sample.wall_time for sample in samples]
    read = [_megabytes(sample.disk_read_bytes_per_second) for sample in samples]
    written = [_megabytes(sample.disk_write_bytes_per_second) for sample in samples]
    return [_curve("read", times, read, 0), _curve("written", times, written, 1)]


def _memory_percent(sample: Sample) -> float | None:
    if sample.memory_used_bytes is None or not sample.memory_total_bytes:
        return None
    return 100 * sample.memory_used_bytes / sample.memory_total_bytes


def _megabytes(count: float | None) -> float | None:
    return None if count is None else count / MEGABYTE


def _curve(label: str, times: Sequence[float], figures: Figures, number: int) -> Curve:
    x, value = np.array(times, np.float64), np.array(figures, np.float64)  # None becomes NaN
    rows = np.flatnonzero(np.isfinite(value))
    if bool((np.diff(x[rows]) < 0).any()):  # the clock was set back
        rows = rows[np.argsort(x[rows], kind="stable")]
    return Curve(label, x[rows], value[rows], palette_style(number), gaps=_gaps(x[rows]))


def _gaps(times: Floats) -> Floats | None:
    """Return the middle of each stretch without readings: the monitor did not run, or the machine slept."""
    if len(times) < 2:
        return None
    spans = np.diff(times)
    before = np.flatnonzero(spans > max(GAP_SECONDS, GAP_FACTOR * float(np.median(spans))))
    return times[before] + spans[before] / 2
