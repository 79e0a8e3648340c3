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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.sources.eventfile import first_tag

EVENT_MARK = "tfevents"
_SIDECAR = re.compile(r"\.(meta|tmp|swp|lock|json|txt|gz|zip|bak|part|crdownload)$|^\.")
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "eval", "evaluation", "test", "testing"})
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


def list_directory(path: str) -> Listing:
    """Return the event files and sub-directories of a directory.

    Raises:
        OSError: The directory cannot be listed.
    """
    events, directories = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            if is_event_file(entry.name):
                events.append(entry.name)
            elif not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
    return Listing(path, tuple(sorted(events)), tuple(sorted(directories)))


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
    names = {Path(child.path).name for child in with_events}
    if names and names <= _SPLITS and names & _TRAINING:
        return tuple(Part(child.path, f"{Path(child.path).name}/") for child in with_events)
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
