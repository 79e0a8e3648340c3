"""The files of one run → one set of series with problems and sessions, kept up to date."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from monitor.growing import GrowingPoints
from monitor.schema import Points, ReadProblem, Scalars, Session
from monitor.sources.columns import Column
from monitor.sources.eventfile import EventFile
from monitor.sources.layout import Lister, Listing, directory_problem, may_be_part, parts_of
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
        self._lister = Lister()
        self._listings: tuple[Listing, ...] = ()
        self._parts: dict[str, _PartReader] = {}
        self._scalars = Scalars()
        self._trouble: tuple[ReadProblem, ...] = ()

    def refresh(self) -> Scalars:
        """Read what is new and return everything read so far.

        What was read of files that vanish is kept. `bytes_read` of the answer counts the bytes of this refresh; with
        nothing new everything else is as before.
        """
        with self._lock:
            trouble = self._find_files()
            before = self._bytes_read()
            changed = [part for part in self._parts.values() if part.refresh()]
            if changed or trouble != self._trouble:
                self._trouble = trouble
                self._scalars = self._join(changed)
            return replace(self._scalars, bytes_read=self._bytes_read() - before)

    def kept(self) -> tuple[tuple[str, str, tuple[Kept, ...]], ...]:
        """Return where text and hyper-parameters lie: file, prefix of its tags, records."""
        with self._lock:
            files = [file for part in self._parts.values() for file in part.files.values()]
            return tuple((file.path, file.prefix, tuple(file.kept)) for file in files if file.kept)

    def _bytes_read(self) -> int:
        return sum(file.bytes_read for part in self._parts.values() for file in part.files.values())

    def _find_files(self) -> tuple[ReadProblem, ...]:
        """Look for new event files; return what stands in the way."""
        problems: list[ReadProblem] = []
        own = self._list(str(self.path), problems, is_run=True)
        if own is None:
            return tuple(problems)
        children = (self._list(f"{own.path}/{name}", problems) for name in own.directories if may_be_part(name))
        listings = (own, *(child for child in children if child))
        if listings != self._listings:
            self._listings = listings
            by_path = {listing.path: listing for listing in listings}
            for part in parts_of(own, listings[1:]):
                self._parts.setdefault(part.path, _PartReader(part.prefix)).add_files(by_path[part.path])
        return tuple(problems)

    def _list(self, path: str, problems: list[ReadProblem], *, is_run: bool = False) -> Listing | None:
        """Return what is in a directory; None, and perhaps one more problem, when it cannot be listed."""
        try:
            return self._lister.list(path)
        except OSError as error:
            # Not there yet is a state; gone again is a problem, but only of the run directory itself.
            if not isinstance(error, FileNotFoundError) or (is_run and self._parts):
                problems.append(directory_problem(path, error))
            return None

    def _join(self, changed: list["_PartReader"]) -> Scalars:
        """Return the snapshot after `changed` parts were read."""
        series = dict(self._scalars.series)
        for part in changed:
            series.update(part.take_changed_series())
        parts = list(self._parts.values())
        files = [file for part in parts for file in part.files.values()]
        times = [time for file in files for time in (file.first_event, file.last_event) if time is not None]
        return Scalars(
            series=series,
            problems=self._trouble + tuple(problem for file in files for problem in file.problems),
            sessions=_sessions(parts),
            first_event=min(times, default=None),
            last_event=max(times, default=None),
            size_bytes=sum(file.size_bytes for file in files),
            version=self._scalars.version + 1,
        )


class _PartReader:
    """The event files of one directory of a run, in name order, with the sessions they form.

    Args:
        prefix: Put in front of every tag.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.files: dict[str, EventFile] = {}
        self._first_sessions: list[int] = []
        self._changed: set[str] = set()
        self._joined: dict[str, _Joined] = {}

    def add_files(self, listing: Listing) -> None:
        """Take in the event files that are new in the directory."""
        new = [name for name in listing.events if name not in self.files]
        for name in new:
            self.files[name] = EventFile(f"{listing.path}/{name}", self.prefix)
        if new:
            self.files = dict(sorted(self.files.items()))

    def refresh(self) -> bool:
        """Read what is new; return whether anything changed."""
        changed = [file for file in self.files.values() if file.refresh()]
        for file in changed:
            self._changed |= file.take_changed_tags()
        if changed:
            sessions = self._number_sessions()
            if sessions != self._first_sessions:
                self._changed |= {tag for file in self.files.values() for tag in file.columns}
            self._first_sessions = sessions
        return bool(changed)

    def take_changed_series(self) -> dict[str, Points]:
        """Return the series that changed since the last call."""
        changed, self._changed = self._changed, set()
        return {tag: self._points(tag) for tag in changed}

    def sessions(self) -> list[Session]:
        """Return the sessions of this directory, in order."""
        found: dict[int, Session] = {}
        for file, first in zip(self.files.values(), self._first_sessions, strict=True):
            if file.columns:
                start = min(file.first_steps.values())
                found.setdefault(first, Session(first, file.path, file.first_event or 0.0, start))
            for number, restart in enumerate(file.restarts, first + 1):
                found.setdefault(number, Session(number, file.path, restart.wall_time, restart.step))
        return list(found.values())

    def _number_sessions(self) -> list[int]:
        """Return the session in which each file begins."""
        numbers: list[int] = []
        newest: dict[str, int] = {}
        session = 0
        for file in self.files.values():
            session += begins_session(file.first_steps, newest)
            numbers.append(session)
            session += len(file.restarts)
            newest.update((tag, int(column.step[-1])) for tag, column in file.columns.items())
        return numbers

    def _points(self, tag: str) -> Points:
        """Return one series over all files; with one file the columns are views, with several they are copied once."""
        held = [
            (file.columns[tag], first)
            for file, first in zip(self.files.values(), self._first_sessions, strict=True)
            if tag in file.columns
        ]
        if len(held) == 1:
            ((column, first),) = held
            return Points(column.step, column.wall_time, column.value, column.sessions(first))
        if not held:
            return Points.empty()  # the file was replaced by one without this tag
        joined = self._joined.get(tag)
        if joined is None or not joined.goes_on(held):
            joined = self._joined[tag] = _Joined()
        return joined.take(held)


class _Joined:
    """One series over several files, copied into one: later points of the newest file, and later files, are added."""

    def __init__(self) -> None:
        self._points = GrowingPoints()
        self._taken: list[tuple[Column, int, int]] = []  # column, session its file begins in, points taken

    def goes_on(self, held: Sequence[tuple[Column, int]]) -> bool:
        """Tell whether columns, each with the session its file begins in, only grew where they can be added to."""
        if len(held) < len(self._taken):
            return False
        last = len(self._taken) - 1
        return all(
            column is known and first == session and (len(column) == count or place == last)
            for place, ((column, first), (known, session, count)) in enumerate(zip(held, self._taken, strict=False))
        )

    def take(self, held: Sequence[tuple[Column, int]]) -> Points:
        """Add what is new in columns that go on, and return the whole series."""
        before = self._taken.pop()[2] if self._taken else 0
        for column, first in held[len(self._taken) :]:
            whole = Points(column.step, column.wall_time, column.value, column.sessions(first))
            self._points.append(whole.take(slice(before, None)))
            self._taken.append((column, first, len(column)))
            before = 0
        return self._points.view


def _sessions(parts: Iterable[_PartReader]) -> tuple[Session, ...]:
    """Return the sessions of the run: those of equal number in its directories are one, told by its first event."""
    found: dict[int, Session] = {}
    for session in sorted((session for part in parts for session in part.sessions()), key=attrgetter("wall_time")):
        found.setdefault(session.number, session)
    return tuple(found[number] for number in sorted(found))
