"""The files of one run → one set of series with problems and sessions, kept up to date."""

import threading
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from monitor.schema import Points, ReadProblem, Scalars, Session
from monitor.sources.columns import Column
from monitor.sources.eventfile import EventFile
from monitor.sources.layout import Listing, Part, list_directory, parts_of
from monitor.sources.records import Kept
from monitor.sources.sessions import begins_session


class RunReader:
    """Everything the event files of one run hold; `refresh` reads what is new.

    Safe to share between threads: one refresh at a time, and what it returns never changes.

    Args:
        path: The run directory. It need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._files: dict[str, EventFile] = {}
        self._scalars = Scalars()

    def refresh(self) -> Scalars:
        """Read what is new and return everything read so far.

        Files that vanish keep what was read of them. With nothing new the same object is returned, but for
        `bytes_read`, which counts the bytes of this refresh.
        """
        with self._lock:
            trouble = self._find_files()
            read_before = sum(file.bytes_read for file in self._files.values())
            changed = [file for file in self._in_order() if file.refresh()]
            if changed or trouble != self._directory_trouble():
                self._scalars = self._join(trouble, sum(f.bytes_read for f in self._files.values()) - read_before)
            elif self._scalars.bytes_read:
                self._scalars = _unread(self._scalars)
            return self._scalars
