"""Log directories → runs, newest first. Nothing of the events is read."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from monitor.schema import ReadProblem, Run, RunFile, RunList
from monitor.sources.layout import Lister, Listing, Part, directory_problem, parts_of

MOST_DIRECTORIES = 100_000
MOST_LEVELS = 16
_NEVER_RUNS = frozenset({"node_modules", "__pycache__", "site-packages", "wandb", "mlruns"})


class RunFinder:
    """Searches log directories for runs; a repeated search lists only directories that changed.

    Links are not followed: what a run is named by lies below its log directory. Not safe to share between threads.

    Args:
        directories: The log directories, resolved.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._names = _directory_names(directories)
        self._lister = Lister()
        self._parts: dict[str, tuple[tuple[Listing, ...], tuple[Part, ...]]] = {}

    def find(self) -> RunList:
        """Return the runs that are there now."""
        problems: list[ReadProblem] = []
        runs: dict[str, Run] = {}
        for root, name in self._names.items():
            listings = self._list_all(root, problems)
            for path, parts in self._runs_among(listings):
                run = _run(_run_name(path, root, name), path, [(part, listings[part.path]) for part in parts])
                if run is not None:
                    runs.setdefault(path, run)
        newest_first = sorted(runs.values(), key=lambda run: (-run.newest_event, run.name))
        return RunList(tuple(newest_first), tuple(problems))

    def _list_all(self, root: str, problems: list[ReadProblem]) -> dict[str, Listing]:
        """Return path → listing of every directory from `root` down, parents before their children."""
        listings: dict[str, Listing] = {}
        waiting = deque([(root, 0)])
        while waiting:
            path, level = waiting.popleft()
            if len(listings) == MOST_DIRECTORIES:
                detail = f"Only the first {MOST_DIRECTORIES:,} directories were searched; name a deeper log directory."
                problems.append(ReadProblem(root, None, "too_many", detail))
                break
            try:
                listings[path] = listing = self._lister.list(path)
            except FileNotFoundError:
                continue  # gone since its parent was listed; a missing log directory is told by an empty list
            except OSError as error:
                problems.append(directory_problem(path, error))
                continue
            if level < MOST_LEVELS:
                below = (name for name in listing.directories if name not in _NEVER_RUNS)
                waiting.extend((f"{path}/{name}", level + 1) for name in below)
        return listings

    def _runs_among(self, listings: Mapping[str, Listing]) -> Iterator[tuple[str, tuple[Part, ...]]]:
        """Yield each run directory with its parts."""
        taken: set[str] = set()
        for path, own in listings.items():
            if path in taken:
                continue
            below = (listings.get(f"{path}/{name}") for name in own.directories)
            parts = self._parts_of(own, tuple(child for child in below if child and child.events))
            taken.update(part.path for part in parts)
            if parts:
                yield path, parts

    def _parts_of(self, own: Listing, children: tuple[Listing, ...]) -> tuple[Part, ...]:
        """Return what `layout.parts_of` says; asked again only when a listing changed, since it may open files."""
        if not own.events and not children:
            return ()
        seen = (own, *children)
        known = self._parts.get(own.path)
        if known is None or known[0] != seen:
            known = self._parts[own.path] = (seen, parts_of(own, children))
        return known[1]


def _run(name: str, path: str, parts: Sequence[tuple[Part, Listing]]) -> Run | None:
    """Return the run in a directory, None when its event files are gone again or cannot be looked at."""
    found: list[tuple[float, RunFile]] = []
    size = 0
    for part, listing in parts:
        for event_file in listing.events:
            file = f"{listing.path}/{event_file}"
            try:
                status = os.stat(file)  # noqa: PTH116 (10,000 of these: no Path in between)
            except OSError:
                continue
            found.append((status.st_mtime, RunFile(file, part.prefix)))
            size += status.st_size
    if not found:
        return None
    found.sort(key=lambda one: (one[0], one[1].path), reverse=True)
    return Run(name, path, found[0][0], size, tuple(file for _, file in found))


def _directory_names(directories: Sequence[Path]) -> dict[str, str]:
    """Return log directory → what stands in front of its runs' names.

    Nothing with one log directory; with several their last parts, or the whole paths where those are alike.
    """
    if len(directories) == 1:
        return {str(directories[0]): ""}
    last_parts = Counter(directory.name for directory in directories)
    return {
        str(directory): directory.name if last_parts[directory.name] == 1 else str(directory)
        for directory in directories
    }


def _run_name(path: str, root: str, directory_name: str) -> str:
    """Return the name of a run: its path below the log directory, ``"."`` for the log directory itself."""
    relative = path[len(root) :].strip("/")
    return "/".join(part for part in (directory_name, relative) if part) or "."
