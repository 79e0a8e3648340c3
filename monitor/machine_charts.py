"""Readings of the machine → the charts of its history, beside the one of the six that a run has.

Pure: no files, no clock, no Streamlit; drawn as the charts of `run_charts` are.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from monitor.charts import (
    Curve,
    ReferenceBand,
    disk_curves,
    gpu_curves,
    gpu_memory_percent,
    host_curves,
    layout_of,
)
from monitor.run_charts import PERCENT_DOMAIN, RunChart
from monitor.schema import GpuSample, Sample

HEIGHT = 190
MAX_POINTS = 600  # of a chart: several of them are drawn at once


def machine_history(samples: Sequence[Sample]) -> tuple[RunChart, ...]:
    """Return the charts of what the machine has done; a chart without a single reading is left out.

    Memory, temperature and power of the GPUs, with processor and memory of the machine, where there is a GPU; what the
    disks read and write everywhere. What `run_charts.machine_chart` shows is not shown again.

    Args:
        samples: Readings, oldest first.
    """
    gpus = samples[-1].gpus if samples else ()
    charts = [*(_gpu_charts(samples, gpus) if gpus else ()), _disks(samples)]
    return tuple(chart for chart in charts if not chart.is_empty)


def _gpu_charts(samples: Sequence[Sample], gpus: Sequence[GpuSample]) -> list[RunChart]:
    slowdown = _limit("slows down at {limit:.0f} °C", (gpu.slowdown_celsius for gpu in gpus))
    power = _limit("limited to {limit:.0f} W", (gpu.power_limit_watts for gpu in gpus))
    return [
        _chart(
            "gpu-memory",
            "GPU memory",
            gpu_curves(samples, gpu_memory_percent),
            y_title="percent",
            y_kind="percent",
            y_domain=PERCENT_DOMAIN,
        ),
        _chart(
            "gpu-temperature",
            "GPU temperature",
            gpu_curves(samples, lambda gpu: gpu.temperature_celsius),
            y_title="°C",
            y_kind="celsius",
            bands=slowdown,
        ),
        _chart(
            "gpu-power",
            "GPU power",
            gpu_curves(samples, lambda gpu: gpu.power_watts),
            y_title="watts",
            y_kind="watts",
            bands=power,
        ),
        _chart(
            "host",
            "CPU and memory",
            host_curves(samples),
            y_title="percent",
            y_kind="percent",
            y_domain=PERCENT_DOMAIN,
        ),
    ]


def _disks(samples: Sequence[Sample]) -> RunChart:
    return _chart("disks", "All disks", disk_curves(samples), y_title="MB/s", y_kind="megabytes_per_second")


def _limit(words: str, limits: Iterable[float | None]) -> tuple[ReferenceBand, ...]:
    """Return the rule at a limit that all GPUs share; none where they differ or one does not tell."""
    limit, *others = set(limits)
    if limit is None or others:
        return ()
    return (ReferenceBand(limit, limit, f"grey rule: {words.format(limit=limit)}"),)


def _chart(key: str, title: str, curves: Sequence[Curve], **layout: Any) -> RunChart:  # noqa: ANN401 (of layout_of)
    drawn = layout_of(curves, "wall", height=HEIGHT, max_points=MAX_POINTS, **layout)
    return RunChart(key, title, drawn, tuple(curves), "No reading of the machine yet.")
