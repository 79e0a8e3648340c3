"""Which files and sub-directories make up one run.

Usually a run is one directory with event files. Some trainers spread it over sub-directories, whose tags are then
named with the sub-directory in front:

* Keras: ``train/`` and ``validation/``; Estimator: ``eval/`` below the directory that holds the training;
* ``SummaryWriter.add_scalars("loss", {"a": …})``: ``loss_a/``, in which the tag is ``loss`` again;
* ``SummaryWriter.add_hparams``: ``1712345678.123/``, named by the second; its tags keep their names.

Nothing here reads more than the names and, for `add_scalars`, the first tag of a file.
"""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.schema import ReadProblem
from monitor.sources.eventfile import first_tag

EVENT_MARK = "tfevents"
_SIDECAR = re.compile(r"\.(meta|tmp|swp|lock|json|txt|gz|zip|bak|part|crdownload)$|^\.")
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "eval", "evaluation", "test", "testing"})
_SETTLED_NS = 5 * 10**9
_TRAINING = frozenset({"train", "training"})
_SECOND = re.compile(r"^\d{10}(\.\d+)?$")


@dataclass(frozen=True, slots=True)
class Part:
    """One directory of a run.

    Args:
        path: The directory.
        prefix: Put in front of the tags of its files: "" or its name with a slash.
    """

    path: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One directory, listed once.

    Args:
        path: The directory.
        events: Names of its event files, in name order.
        directories: Names of its sub-directories, in name order; links are not followed.
    """

    path: str
    events: tuple[str, ...]
    directories: tuple[str, ...]


def is_event_file(name: str) -> bool:
    """Return whether a file of this name is taken for an event file; sidecars that only share the mark are not."""
    return EVENT_MARK in name and not _SIDECAR.search(name)


class Lister:
    """Lists directories, and remembers what it saw of those that have not changed since.

    A directory's modification time tells when a name was added or removed; it does not tell about changes within the
    clock's grain, so a directory that changed just now is listed again. Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Listing]] = {}

    def list(self, path: str) -> Listing:
        """Return the event files and sub-directories of a directory.

        Raises:
            OSError: The directory cannot be listed.
        """
        modified_ns = Path(path).stat().st_mtime_ns
        known = self._known.get(path)
        if known and known[0] == modified_ns:
            return known[1]
        listing = _list_directory(path)
        if time.time_ns() - modified_ns > _SETTLED_NS:
            self._known[path] = (modified_ns, listing)
        return listing


def _list_directory(path: str) -> Listing:
    events, directories = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            if is_event_file(entry.name):
                events.append(entry.name)
            elif not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
    return Listing(path, tuple(sorted(events)), tuple(sorted(directories)))


def directory_problem(path: str, error: OSError) -> ReadProblem:
    """Return what a person should know about a directory that cannot be listed."""
    if isinstance(error, PermissionError):
        detail = f'This user may not list the directory; allow it with: chmod u+rx "{path}" (as its owner).'
        return ReadProblem(path, None, "no_permission", detail)
    if isinstance(error, FileNotFoundError):
        detail = "The run directory was deleted or moved; what was read of it before is still shown."
        return ReadProblem(path, None, "deleted", detail)
    return ReadProblem(path, None, "unreadable", f"The system could not list the directory: {error.strerror}.")


def may_be_part(name: str) -> bool:
    """Return whether a sub-directory of this name may belong to the run above it; told without looking inside."""
    return name in _SPLITS or "_" in name or bool(_SECOND.match(name))


def parts_of(listing: Listing, children: Sequence[Listing]) -> tuple[Part, ...]:
    """Return the directories that make up the run in `listing`, its own first; none when there is no run.

    Args:
        listing: The run directory.
        children: Its sub-directories that can be listed.
    """
    own = (Part(listing.path, ""),) if listing.events else ()
    with_events = [child for child in children if child.events]
    if own:
        return own + tuple(part for child in with_events if (part := _part_of_parent(child)))
    splits = {name: child.path for child in with_events if (name := Path(child.path).name) in _SPLITS}
    if splits.keys() & _TRAINING and (splits.keys() - _TRAINING or len(splits) == len(with_events)):
        return tuple(Part(path, f"{name}/") for name, path in splits.items())
    return ()


def _part_of_parent(child: Listing) -> Part | None:
    """Return what a sub-directory is to the run in the directory above it, None when it is a run of its own."""
    name = Path(child.path).name
    if _SECOND.match(name):
        return Part(child.path, "")
    if name in _SPLITS or _is_of_add_scalars(child, name):
        return Part(child.path, f"{name}/")
    return None


def _is_of_add_scalars(child: Listing, name: str) -> bool:
    """Return whether `add_scalars` made a directory: its name begins with the tag in it, slashes made underscores."""
    if "_" not in name:
        return False
    tag = first_tag(f"{child.path}/{child.events[0]}")
    return tag is not None and name.startswith(f"{tag.replace('/', '_')}_")
