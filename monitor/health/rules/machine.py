"""The machine the run trains on: GPUs little used, full or hot, memory and disk running out.

Judged from medians over five minutes of readings, while the run is running; figures of an idle machine mean nothing.
Only GPUs that do something are judged: the others belong to nobody or to somebody else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from monitor.health.episodes import HOLD, OFF, Episode, Lifecycle, Place, Reading
from monitor.health.rules.rule import AtOnce, Group, Rule, Text
from monitor.health.scene import Scene
from monitor.health.stats import median
from monitor.schema import Floats, GpuSample, Sample, Severity
from monitor.text import format_bytes, format_duration, format_percent

WINDOW_SECONDS = 300.0
LEAST_READINGS = 10
TICK_SECONDS = 30.0
WARM_UP_SECONDS = 120.0
"""Readings of the first two minutes of a run do not count: it loads its data."""

BUSY_PERCENT = 5.0
BUSY_BYTES = 2_000_000_000
"""A GPU takes part in the training when it is used this much or holds this much memory."""

SMALLEST_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """From which value on what is how bad, mildest first; between `keep` and the mildest the finding is held."""

    levels: tuple[tuple[float, Severity], ...]
    keep: float
    below: bool = False

    def read(self, value: float) -> Reading:
        """Return the reading of a value."""
        sign = -1 if self.below else 1
        beyond = [(limit, severity) for limit, severity in self.levels if sign * value >= sign * limit]
        if not beyond:
            return HOLD if sign * value >= sign * self.keep else OFF
        return Reading("on", beyond[-1][1], value=value, reference=self.levels[0][0])


@dataclass(frozen=True, slots=True)
class Gauge:
    """One measured part of the machine: a name, and what a reading says of it; NaN where it says nothing."""

    part: str
    values: Floats


def _gpu_gauges(scene: Scene, measure: Callable[[GpuSample], float | None]) -> Iterator[Gauge]:
    samples = _samples(scene)
    for index in sorted({gpu.index for sample in samples for gpu in sample.gpus}):
        gpus = [next((gpu for gpu in sample.gpus if gpu.index == index), None) for sample in samples]
        if _is_busy([gpu for gpu in gpus if gpu is not None]):
            measured = [measure(gpu) if gpu is not None else None for gpu in gpus]
            yield Gauge(f"GPU {index}", np.array([np.nan if value is None else value for value in measured]))


def _is_busy(gpus: list[GpuSample]) -> bool:
    used = np.median([gpu.utilization_percent or 0.0 for gpu in gpus])
    held = np.median([gpu.memory_used_bytes or 0 for gpu in gpus])
    return bool(used >= BUSY_PERCENT or held >= BUSY_BYTES)


def _memory_percent(gpu: GpuSample) -> float | None:
    if gpu.memory_used_bytes is None or not gpu.memory_total_bytes:
        return None
    return 100 * gpu.memory_used_bytes / gpu.memory_total_bytes


def _host_gauges(scene: Scene, measure: Callable[[Sample], float | None]) -> Iterator[Gauge]:
    measured = [measure(sample) for sample in _samples(scene)]
    yield Gauge("machine", np.array([np.nan if value is None else value for value in measured]))


def _host_memory_percent(sample: Sample) -> float | None:
    if sample.memory_used_bytes is None or not sample.memory_total_bytes:
        return None
    return 100 * sample.memory_used_bytes / sample.memory_total_bytes


def _samples(scene: Scene) -> tuple[Sample, ...]:
    """Return the readings that count: of a running run, after its first two minutes."""
    clock = scene.clock
    if scene.evidence.state.state != "running" or clock is None:
        return ()
    begin = float(clock.arrival[0]) + WARM_UP_SECONDS
    return tuple(sample for sample in scene.evidence.samples if sample.wall_time >= begin)


def _windows(scene: Scene) -> Iterator[tuple[float, slice]]:
    """Yield (time, rows) of every full window, one each 30 s of readings."""
    times = np.array([sample.wall_time for sample in _samples(scene)])
    slots = np.floor(times / TICK_SECONDS)
    for row in np.flatnonzero(np.diff(slots, prepend=-1)):
        first = int(np.searchsorted(times, times[row] - WINDOW_SECONDS))
        enough = row + 1 - first >= LEAST_READINGS
        if enough and times[row] - times[first] >= WINDOW_SECONDS - TICK_SECONDS:
            yield float(times[row]), slice(first, int(row) + 1)


def _episodes(scene: Scene, kind: str, gauges: Iterator[Gauge], limits: Limits) -> list[Episode]:
    windows = list(_windows(scene))
    found: list[Episode] = []
    for gauge in gauges:
        lifecycle = Lifecycle(kind, None, part=gauge.part)
        for time, rows in windows:
            known = gauge.values[rows][np.isfinite(gauge.values[rows])]
            if len(known) >= LEAST_READINGS:
                lifecycle.feed(limits.read(median(known)), Place(None, time))
        found.extend(lifecycle.episodes)
    return found


# --- the rules -----------------------------------------------------------------------------------------------------


def _find_underused(scene: Scene) -> list[Episode]:
    health = scene.settings.health
    low, aim = health.gpu_underused_percent, health.gpu_aim_low_percent
    limits = Limits(((aim, "notice"), (low, "warning"), (0.4 * low, "error")), keep=aim + 5, below=True)
    return _episodes(scene, "gpu_underused", _gpu_gauges(scene, lambda gpu: gpu.utilization_percent), limits)


def _find_full(scene: Scene) -> list[Episode]:
    warning = scene.settings.health.gpu_memory_warning_percent
    limits = Limits(((warning, "warning"), (max(97.0, warning), "error")), keep=warning - 2)
    return _episodes(scene, "gpu_memory", _gpu_gauges(scene, _memory_percent), limits)


def _find_hot(scene: Scene) -> list[Episode]:
    warning = scene.settings.health.gpu_hot_celsius
    limits = Limits(((warning, "warning"), (warning + 7, "error")), keep=warning - 3)
    return _episodes(scene, "gpu_hot", _gpu_gauges(scene, lambda gpu: gpu.temperature_celsius), limits)


def _find_memory(scene: Scene) -> list[Episode]:
    warning = scene.settings.health.host_memory_warning_percent
    limits = Limits(((warning, "warning"), (max(95.0, warning), "error")), keep=warning - 2)
    return _episodes(scene, "host_memory", _host_gauges(scene, _host_memory_percent), limits)


def _find_disk(scene: Scene) -> list[Episode]:
    """Return when the disk cannot take two more checkpoints; an error when not even one."""
    newest = scene.evidence.checkpoints.newest
    size = max(newest.size_bytes if newest else 0, SMALLEST_FREE_BYTES // 2)
    limits = Limits(((2.0 * size, "warning"), (1.0 * size, "error")), keep=2.4 * size, below=True)
    return _episodes(scene, "disk_full", _host_gauges(scene, lambda sample: sample.disk_free_bytes), limits)


def _underused_text(episode: Episode, scene: Scene) -> Text:
    health = scene.settings.health
    aim = f"{health.gpu_aim_low_percent:.0f} to {health.gpu_aim_high_percent:.0f} %"
    return Text(
        f"{episode.part} was used {format_percent(episode.value)} in the median of five minutes; {aim} is the aim.",
        "Mostly the data loading cannot keep up or the batch is small: more loader workers, prefetching, pinned memory "
        "or a larger batch.",
    )


def _full_text(episode: Episode, scene: Scene) -> Text:
    return Text(
        f"The memory of {episode.part} was {format_percent(episode.value)} full in the median of five minutes.",
        "It may run out at a longer sample or a validation: a smaller batch with gradient accumulation, checkpointing "
        "of activations or bf16 make room.",
    )


def _hot_text(episode: Episode, scene: Scene) -> Text:
    return Text(
        f"{episode.part} was at {episode.value:.0f} °C in the median of five minutes; the limit is "
        f"{episode.reference:.0f} °C.",
        "It will slow itself down: check the fans and the air flow, or lower its power limit.",
    )


def _memory_text(episode: Episode, scene: Scene) -> Text:
    return Text(
        f"The memory of the machine was {format_percent(episode.value)} full in the median of five minutes.",
        "The system may end the training: fewer loader workers, smaller caches, or look for what grows.",
    )


def _disk_text(episode: Episode, scene: Scene) -> Text:
    free = None if episode.value is None else int(episode.value)
    newest = scene.evidence.checkpoints.newest
    size = f"; the newest checkpoint takes {format_bytes(newest.size_bytes)}" if newest else ""
    return Text(
        f"The disk of the run has {format_bytes(free)} free{size}.",
        "Delete old checkpoints or save fewer; a checkpoint that does not fit is lost and may end the training.",
    )


def _host_coverage(scene: Scene) -> str | None:
    state = scene.evidence.state.state
    if state != "running":
        return f"Does not apply: the run is {state}."
    if not scene.evidence.samples:
        return "There are no readings of this machine."
    if next(_windows(scene), None) is not None:
        return None
    samples = _samples(scene)
    span = samples[-1].wall_time - samples[0].wall_time if samples else 0.0
    return f"Needs {format_duration(WINDOW_SECONDS)} of readings; there are {format_duration(span)}."


def _gpu_coverage(scene: Scene) -> str | None:
    samples = scene.evidence.samples
    if samples and not samples[-1].gpus:
        return samples[-1].gpu_note or "There is no GPU."
    waiting = _host_coverage(scene)
    if waiting is not None:
        return waiting
    busy = next(_gpu_gauges(scene, lambda gpu: gpu.utilization_percent), None)
    return None if busy is not None else "Does not apply: no GPU is in use."


def _rule(
    kind: str,
    group: Group,
    label: str,
    find: Callable[[Scene], list[Episode]],
    text: Callable[[Episode, Scene], Text],
    coverage: Callable[[Scene], str | None] = _gpu_coverage,
) -> Rule:
    return Rule(kind, group, label, coverage, text, lambda: AtOnce(find), of_series=False)


RULES = (
    _rule("gpu_underused", "efficiency", "GPU little used", _find_underused, _underused_text),
    _rule("gpu_memory", "capacity", "GPU memory nearly full", _find_full, _full_text),
    _rule("gpu_hot", "capacity", "GPU hot", _find_hot, _hot_text),
    _rule("host_memory", "capacity", "memory nearly full", _find_memory, _memory_text, _host_coverage),
    _rule("disk_full", "capacity", "disk nearly full", _find_disk, _disk_text, _host_coverage),
)
