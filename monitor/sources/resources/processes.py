"""Processes on a GPU: who they are, and which of them belong to a run, as far as that can be known.

The event files a process holds open say what it writes. Without any, its working directory or an argument of its
command line may name the run; and a rank of a distributed training, which writes nothing itself, was started by the
same parent with the same command line as the one that does. Everything else would be a guess.
"""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from monitor.schema import GpuProcess, GpuSample
from monitor.sources.layout import is_event_file, may_be_part
from monitor.sources.resources.gpus import within

LOOK_SECONDS = 30.0  # between two looks at a process: with hundreds of open files one takes some milliseconds
DEADLINE_SECONDS = 5.0  # a file on a server that is gone holds up whoever asks for it
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Look:
    """What the system tells of a process.

    Args:
        name: Of its program.
        origin: Its parent and its command line, numbers left out: equal for the ranks of one training.
        places: Its working directory and the paths in its command line, absolute.
        event_files: Those it holds open; None where this user may not know.
    """

    name: str
    origin: tuple[int, str]
    places: tuple[str, ...]
    event_files: tuple[str, ...] | None


class Processes:
    """Looks at the processes on the GPUs, at each once in a while."""

    def __init__(self) -> None:
        self._looks: dict[int, _Look | None] = {}
        self._looked_at: dict[int, float] = {}
        self._hangs = False

    def look_at(self, pids: Collection[int], now: float) -> None:
        """Look at the processes that are new or were looked at long ago, and forget the others.

        Args:
            pids: All processes on GPUs.
            now: Any clock, seconds.
        """
        kept = {pid: when for pid, when in self._looked_at.items() if pid in pids and 0 <= now - when < LOOK_SECONDS}
        due = [pid for pid in pids if pid not in kept]
        if due and not self._hangs:
            found = within(DEADLINE_SECONDS, lambda: {pid: _look(pid) for pid in due})
            self._hangs = found is None
            self._looks = {pid: self._looks[pid] for pid in kept} | (found or {})
            self._looked_at = kept | dict.fromkeys(found or (), now)

    def told_of_run(self, gpus: Sequence[GpuSample], directory: str) -> tuple[GpuSample, ...]:
        """Return the GPUs, their processes with names and whether they belong to a run.

        Args:
            gpus: As the driver tells them.
            directory: Of the run, absolute, without links.
        """
        looks = self._looks
        own = {pid for pid, look in looks.items() if look is not None and _writes_or_names(look, directory)}
        origins = {look.origin for pid in own if (look := looks[pid]) is not None}
        return tuple(
            replace(gpu, processes=tuple(_named(one, looks.get(one.pid), own, origins) for one in gpu.processes))
            for gpu in gpus
        )


def _named(
    process: GpuProcess, look: _Look | None, own: Collection[int], origins: Collection[tuple[int, str]]
) -> GpuProcess:
    if look is None:
        return process
    of_run = process.pid in own or (not look.event_files and look.origin in origins)
    known = of_run or look.event_files is not None
    return replace(process, name=look.name, of_run=of_run if known else None)


def _writes_or_names(look: _Look, directory: str) -> bool:
    if look.event_files:
        return any(_is_of_run(path, directory) for path in look.event_files)
    return any(place == directory or place.startswith(f"{directory}{os.sep}") for place in look.places)


def _is_of_run(event_file: str, directory: str) -> bool:
    """Return whether an event file lies in the directory of a run or in a part of it, such as ``train/``."""
    folder, run = Path(event_file).parent, Path(directory)
    # Behind a name with an underscore may well lie a run of its own.
    return folder == run or (folder.parent == run and may_be_part(folder.name) and "_" not in folder.name)


def _look(pid: int) -> _Look | None:
    """Return what the system tells of a process; None where it has ended, or lies outside of this container."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            command = process.cmdline()
            directory = _working_directory(process)
            return _Look(
                process.name(),
                (process.ppid(), _NUMBER.sub("0", "\0".join(command))),
                tuple(place for place in (directory, *_paths(command, directory)) if place),
                _event_files(process),
            )
    except psutil.Error:
        return None


def _working_directory(process: psutil.Process) -> str:
    try:
        return process.cwd() or ""
    except psutil.AccessDenied:  # a process of another user
        return ""


def _paths(command: Sequence[str], directory: str) -> list[str]:
    """Return the arguments behind the program as absolute paths: each as a whole, and what follows a ``=``."""
    parts = [part for argument in command[1:] for part in (argument, argument.partition("=")[2])]
    asked = [part for part in parts if os.sep in part and (directory or part.startswith(os.sep))]
    return [os.path.realpath(Path(directory) / part) for part in asked]


def _event_files(process: psutil.Process) -> tuple[str, ...] | None:
    try:
        return tuple(file.path for file in process.open_files() if is_event_file(Path(file.path).name))
    except psutil.AccessDenied:
        return None
