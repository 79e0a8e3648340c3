"""The sampler: readings of this machine at a fixed rate or when asked, with their history."""

import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pynvml

from monitor.schema import GpuSample, Sample
from monitor.sources.resources.gpus import Gpus, import_gputil
from monitor.sources.resources.host import Disks, Processor, disk_bytes, memory_bytes, swap_bytes
from monitor.sources.resources.processes import Processes
from monitor.sources.resources.record import Record

HISTORY = 3_600  # readings kept: two hours at one every two seconds
GPU_DEADLINE_SECONDS = 10.0  # the first call wakes up the driver, several seconds on machines with many GPUs


class ResourceSampler:
    """Readings of this machine with their history; safe to share between threads.

    After `start` it takes them by itself, at its interval, until `stop` or until nobody holds it any more. Before, one
    is taken when somebody asks and the last is older than the interval.

    Args:
        interval_seconds: Readings are this far apart, or farther where nobody asks; in between the last one is
            handed out.
        keep: Readings kept in the history.
        nvml: The module ``pynvml``, or one that behaves like it.
        load_gputil: Returns the module ``GPUtil``, None where it is missing; asked only where NVML shows no GPU.
        gpu_deadline_seconds: A GPU reading that takes longer is given up for good: the driver hangs.
        record: File with the readings taken before; those taken after `start` are added. None for neither.
    """

    def __init__(
        self,
        interval_seconds: float = 2.0,
        *,
        keep: int = HISTORY,
        nvml: ModuleType | None = pynvml,
        load_gputil: Callable[[], ModuleType | None] | None = None,
        gpu_deadline_seconds: float = GPU_DEADLINE_SECONDS,
        record: Path | None = None,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._keep = keep
        self._gpus = Gpus(nvml, load_gputil or import_gputil, gpu_deadline_seconds)
        self._processes = Processes()
        self._processor = Processor()
        self._disks = Disks()
        self._record = None if record is None else Record(record, keep)
        self._reading = threading.Lock()
        self._newest: Sample | None = None
        self._history: tuple[Sample, ...] = ()  # replaced, never changed: may be read without the lock
        self._directory: Path | None = None  # of the run asked for last: the disk of the readings nobody asks for
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        weakref.finalize(self, self._ended.set)

    def start(self) -> None:
        """Take readings at the interval from now on, whether somebody asks or not; a second call changes nothing."""
        if self._thread is None:
            # The thread knows the sampler only weakly, so that one that was forgotten without `stop` ends as well.
            options = (weakref.ref(self), self._ended, self._interval_seconds)
            self._thread = threading.Thread(target=_take_readings, args=options, name="resources", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Take no more readings unasked."""
        self._ended.set()

    def sample(self, now: float, directory: Path | None = None) -> Sample:
        """Return the newest reading; takes one when none is taken unasked and the last is older than the interval.

        While another thread is taking a reading, the last one is returned at once; only the very first is waited
        for. `disk_free_bytes`, `disk_total_bytes` and the processes on the GPUs are told for the run of this call.

        Args:
            now: Wall time, seconds UTC; a reading that is taken is stamped with it.
            directory: Of the run whose disk and processes are wanted, None to leave them out.

        Returns:
            The reading; None in a field the system does not tell.
        """
        self._directory = directory or self._directory
        newest = self._newest
        if newest is None or not self._is_started:
            newest = self._read_if_due(now, newest)
        free, size = disk_bytes(directory)
        return replace(newest, disk_free_bytes=free, disk_total_bytes=size, gpus=self._gpus_for(newest, directory))

    def history(self) -> tuple[Sample, ...]:
        """Return the readings kept, oldest first; without cores and processes, which are told of now only."""
        return self._history

    def take(self, now: float) -> None:
        """Take a reading whether one is due or not, and record it."""
        with self._reading:
            self._read(now)
            if self._record is not None:
                self._record.append(self._history[-1])

    @property
    def _is_started(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._ended.is_set()

    def _gpus_for(self, newest: Sample, directory: Path | None) -> tuple[GpuSample, ...]:
        if directory is None or not any(gpu.processes for gpu in newest.gpus):
            return newest.gpus
        return self._processes.told_of_run(newest.gpus, os.path.realpath(directory))

    def _read_if_due(self, now: float, newest: Sample | None) -> Sample:
        if not self._reading.acquire(blocking=newest is None) and newest is not None:
            return newest
        try:
            newest = self._newest  # another thread may have taken one since
            # The distance in both directions: a clock that was set back must not stop the readings.
            if newest is not None and abs(now - newest.wall_time) < self._interval_seconds:
                return newest
            return self._read(now)
        finally:
            self._reading.release()

    def _read(self, now: float) -> Sample:
        if self._newest is None and self._record is not None:
            self._history = self._record.read(now, self._keep * self._interval_seconds)
        newest = self._newest = self._reading_at(now)
        lean = replace(newest, core_percents=(), gpus=tuple(replace(gpu, processes=()) for gpu in newest.gpus))
        self._history = (*self._history, lean)[-self._keep :]
        return newest

    def _reading_at(self, now: float) -> Sample:
        used, total = memory_bytes()
        free, size = disk_bytes(self._directory)
        load = self._processor.load()
        read, write = self._disks.bytes_per_second()
        gpus, note = self._gpus.read()
        self._processes.look_at({process.pid for gpu in gpus for process in gpu.processes}, now)
        return Sample(
            wall_time=now,
            cpu_percent=load.percent,
            memory_used_bytes=used,
            memory_total_bytes=total,
            disk_free_bytes=free,
            disk_total_bytes=size,
            swap_used_bytes=swap_bytes(),
            core_percents=load.core_percents,
            disk_read_bytes_per_second=read,
            disk_write_bytes_per_second=write,
            gpus=gpus,
            gpu_note=note,
            record_note=None if self._record is None else self._record.note,
        )


def _take_readings(known: "weakref.ref[ResourceSampler]", ended: threading.Event, interval_seconds: float) -> None:
    """Take a reading at every tick until the end; ticks that pass during a long reading are left out."""
    due = time.monotonic()
    while True:
        sampler = known()
        if sampler is None:
            return
        sampler.take(time.time())
        del sampler  # while it waits it must not keep the sampler alive
        late = time.monotonic() - due
        due += interval_seconds * max(math.ceil(late / interval_seconds), 1)
        if ended.wait(due - time.monotonic()):
            return
