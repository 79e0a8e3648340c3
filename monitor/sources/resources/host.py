"""Processor, memory and disks of this machine, through psutil; what the system does not tell is None."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

# Source: psutil's documentation of cpu_percent: figures from spans below 0.1 s are without meaning.
MIN_CPU_SPAN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Load:
    """Load of the machine and of each of its cores, in percent (0–100); None and empty where it is not told."""

    percent: float | None
    core_percents: tuple[float, ...]


class Processor:
    """Load of all processors, and of each, since the last question, from their time counters.

    Not `psutil.cpu_percent`: it remembers the last question per thread and answers 0 to each new thread, and a page
    is drawn by a new thread every time. Source: the formula is that of psutil's ``cpu_percent``.
    """

    def __init__(self) -> None:
        self._asked = time.monotonic()
        self._cores = _core_seconds()

    def load(self) -> Load:
        """Return the load since the last question, None where the system does not tell."""
        time.sleep(max(0.0, self._asked + MIN_CPU_SPAN_SECONDS - time.monotonic()))
        before, self._cores = self._cores, _core_seconds()
        self._asked = time.monotonic()
        if len(before) != len(self._cores):  # a processor was switched on or off: their sums cannot be compared
            return Load(None, ())
        spans = [
            (busy - was_busy, total - was) for (busy, total), (was_busy, was) in zip(self._cores, before, strict=True)
        ]
        percent = _percent(sum(busy for busy, _ in spans), sum(span for _, span in spans))
        return Load(percent, tuple(_percent(busy, span) or 0.0 for busy, span in spans))


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


class Disks:
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


def memory_bytes() -> tuple[int | None, int | None]:
    """Return memory that programs cannot get any more, and all of it: what the system can give back is free."""
    try:
        memory = psutil.virtual_memory()
    except OSError:
        return None, None
    return memory.total - memory.available, memory.total


def swap_bytes() -> int | None:
    """Return the memory that was moved to the disk."""
    try:
        return int(psutil.swap_memory().used)
    except OSError:
        return None


def disk_bytes(disk: Path | None) -> tuple[int | None, int | None]:
    """Return what is free on the disk for this user, and its size."""
    if disk is None:
        return None, None
    try:
        usage = psutil.disk_usage(str(disk))
    except OSError:  # gone, or not allowed to look
        return None, None
    return int(usage.free), int(usage.total)
