"""The machine the run trains on: GPUs little used, full or hot, processor, memory and disk running out.

Judged from medians over five minutes of readings, while the run is running; figures of an idle machine mean nothing.
Only GPUs that do something are judged: the others belong to nobody or to somebody else. All rules are replayed in one
pass over the readings that are new, which are put into arrays once.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from monitor.health.episodes import HOLD, OFF, Episode, Lifecycle, Place, Reading
from monitor.health.rules.rule import Group, Rule, Text
from monitor.health.scene import Scene
from monitor.health.stats import block_medians, mann_kendall_z, theil_sen_slope
from monitor.schema import SEVERITIES, Floats, GpuSample, Sample, Severity
from monitor.settings import HealthSettings
from monitor.text import format_bytes, format_duration, format_percent

WINDOW_SECONDS = 300.0
LEAST_READINGS = 10
TICK_SECONDS = 30.0
READING_SECONDS = 6.0
"""Of readings that are nearer together than this one is judged: fifty make the median of a window."""

WARM_UP_SECONDS = 120.0
"""Readings of the first two minutes after a start do not count: the run loads its data."""

BUSY_PERCENT = 5.0
BUSY_BYTES = 2_000_000_000
"""A GPU takes part in the training when it is used this much or holds this much memory."""

BURST_HIGH_PERCENT, BURST_LOW_PERCENT = 70.0, 5.0

TREND_SECONDS = 1800.0
TREND_BLOCKS = 20
TREND_Z = 2.6
"""Mann–Kendall z of a rise: one-sided p of 0.5 %."""
TREND_LEAST_PERCENT = 75.0
HORIZON_SECONDS = 2 * TREND_SECONDS
"""A memory that fills up is judged above this level; half an hour of readings says nothing about later than an hour."""

SWAP_GROWTH_BYTES = 500_000_000
SWAP_LEAST_PERCENT = 80.0

SMALLEST_FREE_BYTES = 1_000_000_000
BYTES_PER_GIGABYTE = 1e9
GRAVE_FREE_SHARE, GRAVE_FREE_BYTES = 0.5, 0.25
"""Parts of the free share and of the free bytes of a warning below both of which it is an error."""


# --- readings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """Five minutes of readings.

    Args:
        time: Time of the newest.
        rows: Their places among those that count.
    """

    time: float
    rows: slice


class Readings:
    """The readings that count, as arrays, and the windows they are judged in.

    Args:
        samples: Oldest first.
        after: Windows up to this time are left out.
    """

    def __init__(self, samples: Sequence[Sample], after: float = 0.0) -> None:
        self._after = after
        slots = np.floor(np.array([sample.wall_time for sample in samples]) / READING_SECONDS)
        self.samples = [samples[row] for row in np.flatnonzero(np.diff(slots, prepend=-1)).tolist()]
        self.busy_gpus = _busy_gpus(self.samples)

    @cached_property
    def times(self) -> Floats:
        """Time of each reading, shape ``(n_readings,)``."""
        return np.array([sample.wall_time for sample in self.samples])

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """Every full window, one each 30 s of readings, oldest first."""
        times, found = self.times, []
        for row in np.flatnonzero(np.diff(np.floor(times / TICK_SECONDS), prepend=-1)).tolist():
            first = int(np.searchsorted(times, times[row] - WINDOW_SECONDS))
            lasts = times[row] - times[first] >= WINDOW_SECONDS - TICK_SECONDS
            if lasts and row + 1 - first >= LEAST_READINGS and times[row] > self._after:
                found.append(Window(float(times[row]), slice(first, row + 1)))
        return tuple(found)

    def host(self, measure: Callable[[Sample], float | None]) -> Floats:
        """Return a figure of the machine, shape ``(n_readings,)``, NaN where it is not told."""
        return _numbers([measure(sample) for sample in self.samples])

    def gpu(self, index: int, measure: Callable[[GpuSample], float | None]) -> Floats:
        """Return a figure of one GPU, shape ``(n_readings,)``, NaN where it is not told."""
        gpus = (_gpu(sample, index) for sample in self.samples)
        return _numbers([None if gpu is None else measure(gpu) for gpu in gpus])

    @cached_property
    def utilization(self) -> dict[int, Floats]:
        """Use of each GPU that takes part, in percent."""
        return {index: self.gpu(index, lambda gpu: gpu.utilization_percent) for index in self.busy_gpus}

    def quantiles(self, values: Floats, *shares: float) -> npt.NDArray[np.float64]:
        """Return quantiles of a figure in every window, shape ``(n_windows, n_shares)``; NaN with too few readings."""
        width = max((window.rows.stop - window.rows.start for window in self.windows), default=1)
        table = np.full((len(self.windows), width), np.nan)
        for place, window in enumerate(self.windows):
            part = values[window.rows]
            table[place, : len(part)] = part
        table.sort(axis=1)  # NaN goes to the end
        known = np.isfinite(table).sum(axis=1)
        columns = np.rint(np.outer(np.maximum(known - 1, 0), shares)).astype(np.intp)
        found: npt.NDArray[np.float64] = np.take_along_axis(table, columns, axis=1)
        found[known < LEAST_READINGS] = np.nan
        return found


def _gpu(sample: Sample, index: int) -> GpuSample | None:
    return next((gpu for gpu in sample.gpus if gpu.index == index), None)


def _numbers(figures: Sequence[float | None]) -> Floats:
    return np.array([np.nan if figure is None else figure for figure in figures], dtype=np.float64)


def _samples(scene: Scene) -> tuple[Sample, ...]:
    """Return the readings that count: of a running run, after the first two minutes since its start or restart.

    Where the clock was set back, those before count no more.
    """
    clock, sessions = scene.clock, scene.evidence.sessions
    if scene.evidence.state.state != "running" or clock is None:
        return ()
    start = max([float(clock.arrival[0]), *(session.wall_time for session in sessions[1:])])
    return _since(_in_order(scene.evidence.samples), start + WARM_UP_SECONDS)


def _in_order(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Return the newest readings whose times never run backwards."""
    backwards = np.flatnonzero(np.diff([sample.wall_time for sample in samples]) < 0)
    return samples[int(backwards[-1]) + 1 :] if len(backwards) else samples


def _since(samples: tuple[Sample, ...], time: float) -> tuple[Sample, ...]:
    return samples[bisect_left(samples, time, key=lambda sample: sample.wall_time) :]


def _busy_gpus(samples: Sequence[Sample]) -> tuple[int, ...]:
    """Return the GPUs that take part in the training, as twenty of the readings tell."""
    looked_at = samples[:: max(len(samples) // 20, 1)]
    known = sorted({gpu.index for sample in looked_at for gpu in sample.gpus})
    return tuple(index for index in known if _is_busy([_gpu(sample, index) for sample in looked_at]))


def _is_busy(gpus: Sequence[GpuSample | None]) -> bool:
    used = np.median([gpu.utilization_percent or 0.0 for gpu in gpus if gpu is not None])
    held = np.median([gpu.memory_used_bytes or 0 for gpu in gpus if gpu is not None])
    return bool(used >= BUSY_PERCENT or held >= BUSY_BYTES)


# --- from figures to findings --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """From which value on what is how bad, mildest first.

    Args:
        levels: Value from which on it is so bad, value at which that ends, and how bad.
        below: True where small values are bad.
    """

    levels: tuple[tuple[float, float, Severity], ...]
    below: bool = False

    def read(self, value: float, standing: Severity | None) -> Reading:
        """Return the reading of a value, while a finding of severity `standing` is open, or None is."""
        if not np.isfinite(value):
            return HOLD
        beyond = [severity for level, _, severity in self.levels if self._is_beyond(value, level)]
        keep = next((end for _, end, severity in self.levels if severity == standing), self.levels[0][0])
        if beyond and (standing is None or self._is_beyond(value, keep)):
            return Reading("on", beyond[-1], value=value, reference=self.levels[0][0])
        return HOLD if self._is_beyond(value, keep) else OFF

    def _is_beyond(self, value: float, level: float) -> bool:
        return value <= level if self.below else value >= level


@dataclass(slots=True)
class Part:
    """One part of the machine under one rule.

    A finding ends where its own severity does; what is left of the trouble is a new one, and milder.

    Args:
        kind: The rule.
        name: The part.
        lifecycles: One for each time the trouble came back milder.
    """

    kind: str
    name: str
    lifecycles: list[Lifecycle] = field(default_factory=list)

    @property
    def standing(self) -> Severity | None:
        """Severity of the finding that is open, None without one."""
        episodes = self.lifecycles[-1].episodes if self.lifecycles else []
        return episodes[-1].now.severity if episodes and episodes[-1].now.open else None

    def feed(self, reading: Reading, time: float) -> None:
        """Take the reading of the next window."""
        if not self.lifecycles or self._is_milder(reading):
            self.lifecycles.append(Lifecycle(self.kind, None, part=self.name))
        self.lifecycles[-1].feed(reading, Place(None, time))

    @property
    def episodes(self) -> list[Episode]:
        """All findings, oldest first."""
        return [episode for lifecycle in self.lifecycles for episode in lifecycle.episodes]

    def _is_milder(self, reading: Reading) -> bool:
        episodes = self.lifecycles[-1].episodes
        if reading.level != "on" or not episodes or episodes[-1].now.open:
            return False
        return SEVERITIES.index(reading.severity) < SEVERITIES.index(episodes[-1].now.severity)


@dataclass(frozen=True, slots=True)
class Gauge:
    """What a rule says of one part in the windows that are judged now.

    Args:
        kind: The rule.
        name: The part.
        read: Reading of the window at a place, while a finding of a severity is open, or None is.
    """

    kind: str
    name: str
    read: Callable[[int, Severity | None], Reading]


def _median_gauge(kind: str, name: str, readings: Readings, values: Floats, limits: Limits) -> Gauge:
    medians = readings.quantiles(values, 0.5)[:, 0]
    return Gauge(kind, name, lambda place, standing: limits.read(float(medians[place]), standing))


@dataclass(slots=True)
class MachineReplay:
    """Judges all parts of the machine; every window once, when it is full.

    Args:
        parts: By rule and name.
        judged: Time of the newest window judged.
        begin: Readings before this time do not count: the run was not running.
    """

    parts: dict[tuple[str, str], Part] = field(default_factory=dict)
    judged: float = 0.0
    begin: float = 0.0

    def advance(self, scene: Scene) -> Sequence[Episode]:
        """Judge the windows that are new; nothing is found of a run that is not running."""
        samples = _samples(scene)
        if scene.evidence.state.state != "running":
            self.begin = max((sample.wall_time for sample in scene.evidence.samples[-1:]), default=self.begin)
            return []
        if samples and samples[-1].wall_time // TICK_SECONDS > self.judged // TICK_SECONDS:
            self._judge(scene, _since(samples, max(self.begin, self.judged - TREND_SECONDS - TICK_SECONDS)))
        return [episode for part in self.parts.values() for episode in part.episodes]

    def _judge(self, scene: Scene, samples: Sequence[Sample]) -> None:
        readings = Readings(samples, self.judged)
        if not readings.windows:
            return
        for gauge in (gauge for find in GAUGES for gauge in find(scene, readings)):
            part = self.parts.setdefault((gauge.kind, gauge.name), Part(gauge.kind, gauge.name))
            for place, window in enumerate(readings.windows):
                part.feed(gauge.read(place, part.standing), window.time)
        self.judged = readings.windows[-1].time


# --- GPUs ----------------------------------------------------------------------------------------------------------


def _underused(scene: Scene, readings: Readings) -> Iterator[Gauge]:
    health = scene.settings.health
    low, aim = health.gpu_underused_percent, health.gpu_aim_low_percent
    levels: tuple[tuple[float, float, Severity], ...] = (
        (aim, aim + 5, "notice"),
        (low, low + 5, "warning"),
        (0.4 * low, 0.4 * low + 5, "error"),
    )
    for index, values in readings.utilization.items():
        yield _median_gauge("gpu_underused", f"GPU {index}", readings, values, Limits(levels, below=True))
        yield _in_bursts(readings, index, aim)
    yield from _unbalanced(readings, health.gpu_imbalance_percent)


def _in_bursts(readings: Readings, index: int, aim: float) -> Gauge:
    """Return where a GPU that is used enough in the median stands still again and again."""
    quantiles = readings.quantiles(readings.utilization[index], 0.05, 0.5, 0.95)

    def read(place: int, standing: Severity | None) -> Reading:
        low, typical, high = quantiles[place].tolist()
        if not (low < BURST_LOW_PERCENT and typical >= aim and high >= BURST_HIGH_PERCENT):
            return OFF
        return Reading("on", "notice", value=low, reference=high, facts={"low": low, "high": high})

    return Gauge("gpu_underused", f"GPU {index} in bursts", read)


def _unbalanced(readings: Readings, most_apart: float) -> Iterator[Gauge]:
    """Return where the GPUs that take part are used unequally."""
    if len(readings.busy_gpus) < 2:
        return
    medians = np.column_stack([readings.quantiles(values, 0.5)[:, 0] for values in readings.utilization.values()])

    def read(place: int, standing: Severity | None) -> Reading:
        least, most = float(medians[place].min()), float(medians[place].max())
        if not most - least > most_apart:
            return OFF
        return Reading("on", "notice", value=least, reference=most, facts={"least": least, "most": most})

    yield Gauge("gpu_underused", "GPUs", read)


def _saturated(scene: Scene, readings: Readings) -> Iterator[Gauge]:
    """Yield where the processor has no time left and a GPU waits for it: that is why the GPU is little used."""
    if not readings.busy_gpus:
        return
    low, full = scene.settings.health.gpu_underused_percent, scene.settings.health.cpu_saturated_percent
    processor = readings.quantiles(readings.host(lambda sample: sample.cpu_percent), 0.5)[:, 0]
    gpus = np.column_stack([readings.quantiles(values, 0.5)[:, 0] for values in readings.utilization.values()])

    def read(place: int, standing: Severity | None) -> Reading:
        load, used = float(processor[place]), float(gpus[place].min())
        if not (np.isfinite(load) and np.isfinite(used)):
            return HOLD
        if load < full or used > low:
            return HOLD if load >= full - 5 and used <= low + 5 else OFF
        return Reading("on", "error" if used <= 0.4 * low else "warning", None, load, full, {"used": used})

    yield Gauge("cpu_saturated", "machine", read)


def _gpu_full(scene: Scene, readings: Readings) -> Iterator[Gauge]:
    warning = scene.settings.health.gpu_memory_warning_percent
    limits = Limits(((warning, warning - 2, "warning"), (max(97.0, warning), max(97.0, warning) - 2, "error")))
    for index in readings.busy_gpus:
        values = readings.gpu(index, _gpu_memory_percent)
        yield _filling("gpu_memory", f"GPU {index}", scene, readings, values, limits)


def _gpu_memory_percent(gpu: GpuSample) -> float | None:
    if gpu.memory_used_bytes is None or not gpu.memory_total_bytes:
        return None
    return 100 * gpu.memory_used_bytes / gpu.memory_total_bytes


def _gpu_hot(scene: Scene, readings: Readings) -> Iterator[Gauge]:
    for index in readings.busy_gpus:
        warning, error = _heat_limits(scene, readings, index)
        limits = Limits(((warning, warning - 3, "warning"), (error, error - 3, "error")))
        values = readings.gpu(index, lambda gpu: gpu.temperature_celsius)
        yield _median_gauge("gpu_hot", f"GPU {index}", readings, values, limits)


def _heat_limits(scene: Scene, readings: Readings, index: int) -> tuple[float, float]:
    """Return the temperatures of a warning and an error: the user's, else the GPU's own, else usual ones."""
    chosen = scene.settings.health.gpu_hot_celsius
    gpu = _gpu(readings.samples[-1], index) if readings.samples else None
    own = gpu.slowdown_celsius if gpu is not None else None
    if own is None or chosen != HealthSettings().gpu_hot_celsius:
        return chosen, chosen + 7
    return own - 3, own


# --- memory and disk -----------------------------------------------------------------------------------------------


def _filling(kind: str, name: str, scene: Scene, readings: Readings, values: Floats, limits: Limits) -> Gauge:
    """Return where a memory, in percent, is nearly full, or grows so steadily that it will be before the run ends."""
    medians = readings.quantiles(values, 0.5)[:, 0]
    time_left = _time_left_seconds(scene)

    def read(place: int, standing: Severity | None) -> Reading:
        value = float(medians[place])
        if value >= TREND_LEAST_PERCENT:
            full_in = _reached_in_seconds(readings, values, readings.windows[place], 100.0)
            if full_in is not None and full_in < time_left:
                return Reading("on", "error", None, value, 100.0, {"full_in": full_in})
        return limits.read(value, standing)

    return Gauge(kind, name, read)


def _time_left_seconds(scene: Scene) -> float:
    """Return how far ahead a growth is followed: to the end of the run, and no further than it can be told."""
    left = scene.evidence.progress.eta_seconds
    return HORIZON_SECONDS if left is None else min(left, HORIZON_SECONDS)


def _reached_in_seconds(readings: Readings, values: Floats, window: Window, level: float) -> float | None:
    """Return when a figure reaches `level` if it goes on as in the last half hour; None where it does not move there.

    Both halves must move at about the same pace: a cache that is being filled slows down.
    Source: Mann–Kendall test and Theil–Sen slope on the medians of twenty blocks.
    """
    end = window.rows.stop
    first = int(np.searchsorted(readings.times, window.time - TREND_SECONDS))
    if window.time - readings.times[first] < TREND_SECONDS - TICK_SECONDS:
        return None
    known = values[first:end][np.isfinite(values[first:end])]
    if len(known) < 5 * TREND_BLOCKS:
        return None
    blocks = block_medians(known, TREND_BLOCKS)
    ahead = float(np.sign(level - blocks[-1]))
    slope, newest = ahead * theil_sen_slope(blocks), ahead * theil_sen_slope(blocks[TREND_BLOCKS // 2 :])
    if slope <= 0 or newest < slope / 2 or ahead * mann_kendall_z(blocks) <= TREND_Z:
        return None
    return abs(level - float(blocks[-1])) / min(slope, newest) * TREND_SECONDS / TREND_BLOCKS


def _host_memory(scene: Scene, readings: Readings) -> Iterator[Gauge]:
    warning = scene.settings.health.host_memory_warning_percent
    limits = Limits(((warning, warning - 2, "warning"), (max(95.0, warning), max(95.0, warning) - 2, "error")))
    values = readings.host(_host_memory_percent)
    yield _filling("host_memory", "machine", scene, readings, values, limits)
    yield _swapping(readings, values)


def _host_memory_percent(sample: Sample) -> float | None:
    if sample.memory_used_bytes is None or not sample.memory_total_bytes:
        return None
    return 100 * sample.memory_used_bytes / sample.memory_total_bytes


def _swapping(readings: Readings, used_percent: Floats) -> Gauge:
    """Return where memory is short and the system moves more and more of it to the disk."""
    used = readings.quantiles(used_percent, 0.5)[:, 0]
    swap = readings.host(lambda sample: sample.swap_used_bytes)

    def read(place: int, standing: Severity | None) -> Reading:
        known = swap[readings.windows[place].rows]
        known = known[np.isfinite(known)]
        if len(known) < LEAST_READINGS or not used[place] >= SWAP_LEAST_PERCENT:
            return OFF
        growth = float(known[-1] - known[0])
        grows = mann_kendall_z(block_medians(known, LEAST_READINGS)) > TREND_Z
        if growth < SWAP_GROWTH_BYTES or not grows:
            return OFF
        return Reading("on", "warning", None, float(known[-1]), float(known[0]), {"growth": growth})

    return Gauge("host_memory", "swap", read)


def _disk(scene: Scene, readings: Readings) -> Iterator[Gauge]:
    """Return when the disk cannot take two more checkpoints, is nearly full, or will be before the run ends."""
    size = _disk_total(scene)
    free = readings.host(lambda sample: sample.disk_free_bytes if sample.disk_total_bytes == size else None)
    medians = readings.quantiles(free, 0.5)[:, 0]
    limits = _disk_limits(scene, size)
    time_left = _time_left_seconds(scene)

    def read(place: int, standing: Severity | None) -> Reading:
        reading = limits.read(float(medians[place]), standing)
        if reading.level == "on" or not np.isfinite(medians[place]):
            return reading
        full_in = _reached_in_seconds(readings, free, readings.windows[place], 0.0)
        if full_in is None or full_in >= time_left:
            return reading
        return Reading("on", "warning", None, float(medians[place]), 0.0, {"full_in": full_in})

    yield Gauge("disk_full", "machine", read)


def _disk_total(scene: Scene) -> int | None:
    """Return the size of the disk of the newest reading; readings of other disks say nothing about it."""
    samples = scene.evidence.samples
    return samples[-1].disk_total_bytes if samples else None


def _disk_limits(scene: Scene, total: int | None) -> Limits:
    """Return how many free bytes are too few: those of two checkpoints, or a share of the disk up to so many bytes.

    The share alone says little: a tenth of a disk of many terabytes is plenty.
    """
    newest = scene.evidence.checkpoints.newest
    checkpoint = max(newest.size_bytes if newest else 0, SMALLEST_FREE_BYTES // 2)
    health = scene.settings.health
    share, most = health.disk_free_warning_percent / 100 * (total or 0), health.disk_free_warning_gigabytes
    little = min(share, most * BYTES_PER_GIGABYTE)
    least = min(GRAVE_FREE_SHARE * share, GRAVE_FREE_BYTES * most * BYTES_PER_GIGABYTE)
    warning, error = max(2.0 * checkpoint, little), max(1.0 * checkpoint, least)
    return Limits(((warning, 1.2 * warning, "warning"), (error, 1.2 * error, "error")), below=True)


# --- the texts -----------------------------------------------------------------------------------------------------


def _underused_text(episode: Episode, scene: Scene) -> Text:
    facts, health = episode.facts, scene.settings.health
    aim = f"{health.gpu_aim_low_percent:.0f} to {health.gpu_aim_high_percent:.0f} %"
    if "low" in facts:
        return Text(
            f"{episode.part.removesuffix(' in bursts')} went between {format_percent(facts['low'])} and "
            f"{format_percent(facts['high'])} within five minutes.",
            "It waits again and again, mostly for data, a validation or a checkpoint: prefetch more samples, or save "
            "and validate less often.",
        )
    if "most" in facts:
        return Text(
            f"The GPUs were used unequally: {format_percent(facts['least'])} and {format_percent(facts['most'])} in "
            f"the median of five minutes.",
            "The busiest one sets the pace: give all the same share of samples, or move work off the first one.",
        )
    return Text(
        f"{episode.part} was used {format_percent(episode.value)} in the median of five minutes; {aim} is the aim.",
        "Mostly the data loading cannot keep up or the batch is small: more loader workers, prefetching, pinned memory "
        "or a larger batch.",
    )


def _saturated_text(episode: Episode, scene: Scene) -> Text:
    return Text(
        f"The processor was at {format_percent(episode.value)} in the median of five minutes, and a GPU at "
        f"{format_percent(episode.facts['used'])} waited for it.",
        "The data loading is the limit: prepare samples once beforehand, use faster decoding or augmentation on the "
        "GPU, and end other processes.",
    )


def _gpu_full_text(episode: Episode, scene: Scene) -> Text:
    return Text(
        f"The memory of {episode.part} was {format_percent(episode.value)} full in the median of five minutes"
        f"{_full_in(episode)}.",
        "It may run out at a longer sample or a validation: a smaller batch with gradient accumulation, checkpointing "
        "of activations or bf16 make room; where it grows, look for tensors that are kept with their graph.",
    )


def _full_in(episode: Episode) -> str:
    seconds = episode.facts.get("full_in")
    return "" if seconds is None else f" and grows steadily: full in about {format_duration(seconds)}"


def _hot_text(episode: Episode, scene: Scene) -> Text:
    return Text(
        f"{episode.part} was at {episode.value:.0f} °C in the median of five minutes; the limit is "
        f"{episode.reference:.0f} °C.",
        "It will slow itself down: check the fans and the air flow, or lower its power limit.",
    )


def _memory_text(episode: Episode, scene: Scene) -> Text:
    if "growth" in episode.facts:
        return Text(
            f"The system moved {format_bytes(round(episode.facts['growth']))} of memory to the disk within five "
            f"minutes, and memory is short.",
            "The training will slow down: fewer loader workers, smaller caches, or end other processes.",
        )
    return Text(
        f"The memory of the machine was {format_percent(episode.value)} full in the median of five minutes"
        f"{_full_in(episode)}.",
        "The system may end the training: fewer loader workers, smaller caches, or look for what grows.",
    )


def _disk_text(episode: Episode, scene: Scene) -> Text:
    free = None if episode.value is None else int(episode.value)
    newest = scene.evidence.checkpoints.newest
    size = f"; the newest checkpoint takes {format_bytes(newest.size_bytes)}" if newest else ""
    seconds = episode.facts.get("full_in")
    until = "" if seconds is None else f"; as it goes it is full in about {format_duration(seconds)}"
    return Text(
        f"The disk of the run has {format_bytes(free)} free{size}{until}.",
        "Delete old checkpoints or save fewer; a checkpoint that does not fit is lost and may end the training.",
    )


# --- the rules -----------------------------------------------------------------------------------------------------


GAUGES = (_underused, _saturated, _gpu_full, _gpu_hot, _host_memory, _disk)


def _host_coverage(scene: Scene) -> str | None:
    state = scene.evidence.state.state
    if state != "running":
        return f"Does not apply: the run is {state}."
    if not scene.evidence.samples:
        return "There are no readings of this machine."
    counting = _samples(scene)
    span = counting[-1].wall_time - counting[0].wall_time if counting else 0.0
    if span >= WINDOW_SECONDS - TICK_SECONDS:
        return None
    return f"Needs {format_duration(WINDOW_SECONDS)} of readings; there are {format_duration(span)}."


def _gpu_coverage(scene: Scene) -> str | None:
    samples = scene.evidence.samples
    if samples and not samples[-1].gpus:
        return samples[-1].gpu_note or "There is no GPU."
    waiting = _host_coverage(scene)
    if waiting is not None:
        return waiting
    return None if _busy_gpus(_samples(scene)) else "Does not apply: no GPU is in use."


def _rule(
    kind: str,
    group: Group,
    label: str,
    text: Callable[[Episode, Scene], Text],
    coverage: Callable[[Scene], str | None] = _gpu_coverage,
    causes: tuple[str, ...] = (),
) -> Rule:
    """Return a rule whose episodes the first rule of this file finds as well."""
    return Rule(kind, group, label, coverage, text, None, causes, of_series=False)


RULES = (
    Rule(
        "cpu_saturated",
        "efficiency",
        "GPU waits for the processor",
        _gpu_coverage,
        _saturated_text,
        MachineReplay,
        of_series=False,
    ),
    _rule("gpu_underused", "efficiency", "GPU little used", _underused_text, causes=("cpu_saturated",)),
    _rule("gpu_memory", "capacity", "GPU memory nearly full", _gpu_full_text),
    _rule("gpu_hot", "capacity", "GPU hot", _hot_text),
    _rule("host_memory", "capacity", "memory nearly full", _memory_text, _host_coverage),
    _rule("disk_full", "capacity", "disk nearly full", _disk_text, _host_coverage),
)
