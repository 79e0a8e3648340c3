"""What is saved of a run: checkpoint files and directories, found by their names and never opened.

The names say everything: no loader runs here, because loading a checkpoint may run code that is stored in it.
A look costs one listing of the run directory and of each checkpoint directory, and one `stat` per file in them; the
content of no file is read: 1,000 checkpoint directories of five files take about 0.1 s, 1,000 files a third of that,
however large they are.

Conventions of names::

    epoch12/  epoch_12.pth            epoch as people count it          (the name is taken at its word)
    best/  epochbest/  best.pt        best                              (Ultralytics, Stable-Baselines3 best_model.zip)
    last.ckpt  latest.pth  final.pt   last
    epoch=11-step=4800.ckpt           epoch 12, step 4800               (Lightning counts epochs from 0)
    checkpoint-4800/                  step                              (Hugging Face Trainer)
    004800/ in checkpoints/           step                              (LeRobot)
    rl_model_10000_steps.zip          step                              (Stable-Baselines3)
    model.ckpt-4800.index             step                              (TensorFlow 1 and Estimator)
    model_0004799.pth                 step                              (detectron2)
    weights.12-0.31.h5                epoch                             (Keras counts epochs from 1 in names)
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from monitor.schema import Checkpoint, Checkpoints

Kind = Literal["best", "last", "epoch", "step", "other"]

MAX_ENTRIES = 20_000  # of one listing; a run directory full of images must not hold up a refresh
MAX_FILES_PER_CHECKPOINT = 2_000
MAX_DEPTH = 5  # of directories inside a checkpoint

FOLDERS = frozenset({"checkpoints", "checkpoint", "ckpt", "ckpts", "weights", "models", "saved_models"})
SUFFIXES = (".weights.h5", ".pth.tar", ".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5", ".keras", ".zip")
KERAS_SUFFIXES = frozenset({".weights.h5", ".h5", ".hdf5", ".keras"})
NOT_MODELS = frozenset({"optimizer", "scheduler", "scaler", "rng_state", "random_states"})

_BEST = re.compile(r"(?:^|epoch|model|[^a-z])best(?:model|[^a-z]|$)")
_LAST = re.compile(r"(?:^|[^a-z])(?:last|latest|final)(?:model|[^a-z]|$)")
# Source: Lightning's ModelCheckpoint.format_checkpoint_name, "{name}={value}" with `epoch` counted from 0.
_LIGHTNING_EPOCH = re.compile(r"(?:^|[^a-z])epoch=(\d+)")
# The word before the number is looked for first: in epoch_9-step_90 the 9 belongs to the epoch.
_EPOCH = (
    re.compile(r"(?:^|[^a-z])(?:epoch|ep)[_\-. ]?(\d+)"),
    re.compile(r"(?:^|[^\d.])(\d+)[_\-]?epochs?(?:[^a-z=]|$)"),
)
_STEP = (
    re.compile(r"(?:^|[^a-z])(?:global_?)?(?:steps?|iter|iteration)[_\-.= ]?(\d+)"),
    re.compile(r"(?:^|[^\d.])(\d+)[_\-]?(?:steps?|iters?|iterations?)(?:[^a-z=]|$)"),
)
# Source: TensorFlow 1's Saver, "{prefix}-{global_step}"; fvcore's PeriodicCheckpointer, "{prefix}_{iteration:07d}".
_NUMBERED_STEP = re.compile(r"(?:.+\.ckpt-(\d+)|model_(\d{7}))$")
# Source: Keras' ModelCheckpoint formats `epoch + 1`; "weights.{epoch:02d}-{val_loss:.2f}" is its documented example.
_KERAS_EPOCH = re.compile(r"(?:weights|model|cp|ckpt|checkpoint)(?:-improvement)?[._\-](\d{1,5})(?:-[\d.]+)?$")
_KERAS_GROUP_EPOCH = re.compile(r"cp-(\d+)(?:\.ckpt)?$")  # the file name of TensorFlow's guide to saving
_DIRECTORY_EPOCH = re.compile(r"(?:(?:checkpoint|ckpt|model)[_\-])?epoch[_\-]?(\d+)$")
_DIRECTORY_STEP = re.compile(r"(?:checkpoint|ckpt|(?:global_?)?step|iter)[_\-]?(\d+)$")
_DIRECTORY_WORD = re.compile(
    r"(?:(?:checkpoint|ckpt|model|epoch)[_\-]?)?(best|last|latest|final)(?:[_\-]?(?:model|checkpoint|ckpt))?$"
)
# Source: TensorFlow's checkpoint format: one index, data in shards, in TensorFlow 1 also the graph as .meta.
_TENSORFLOW_PART = re.compile(r"(.+)\.(index|meta|data-\d{5}-of-\d{5})$")
_SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})(\.safetensors|\.pt|\.pth|\.h5)$")


_TRAINER_STEP = re.compile(r"\.\./\.\./checkpoint-\d+$")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a name says."""

    kind: Kind
    epoch: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class _Content:
    """What the file system says of a file, or of all files of a group or directory together."""

    size_bytes: int
    modified: float
    readable: bool


def find_checkpoints(run_directory: Path, log_directory: Path | None = None) -> Checkpoints:
    """Return the checkpoints of a run, newest first (by modification time, then by name).

    Looks into the run directory and into the folders directly below it that usually hold models. Where the run
    directory is ``<output>/runs/<name>``, as the Hugging Face Trainer lays it out, ``<output>/checkpoint-<step>/``
    are listed too, if they are not above the log directory. Links are followed only to places inside the directory
    searched. A directory larger than 2,000 files is measured by those that were looked at first. What vanishes
    during the look is left out, a directory that does not exist has no checkpoints.

    Args:
        run_directory: Directory of the run.
        log_directory: The directory that is never left upwards; None to stay in the run directory.

    Returns:
        All checkpoints; `best` is the newest of kind best, readable ones first, and None without one: which of
        several epochs is the best one is not guessed. `newest` is the newest of all. An empty checkpoint, and one
        that the system refuses to open, is listed with `readable` False.

    Source: the layouts of the trainers named in the docstring of this module.
    """
    run = Path(os.path.realpath(run_directory))
    saved = _in_directory(run, run, "")
    output = _trainer_output(run, log_directory)
    if output is not None:
        # Other models beside runs/ belong to no run in particular.
        saved += [item for item in _in_directory(output, output, "../../") if _TRAINER_STEP.match(item.name)]
    saved.sort(key=lambda checkpoint: (-checkpoint.modified, checkpoint.name))
    best = [checkpoint for checkpoint in saved if checkpoint.kind == "best"]
    readable = [checkpoint for checkpoint in best if checkpoint.readable]
    return Checkpoints(next(iter(readable or best), None), saved[0] if saved else None, tuple(saved))


def _trainer_output(run: Path, log_directory: Path | None) -> Path | None:
    # Source: transformers' TrainingArguments.logging_dir, by default "<output_dir>/runs/<date>_<host>".
    if log_directory is None or run.parent.name != "runs":
        return None
    output = run.parent.parent
    return output if output.is_relative_to(os.path.realpath(log_directory)) else None


def _in_directory(directory: Path, root: Path, prefix: str, folder: str = "") -> list[Checkpoint]:
    """Return the checkpoints in one directory and, at the top level, in its usual folders for models."""
    found: list[Checkpoint] = []
    files: list[os.DirEntry[str]] = []
    for entry in _entries(directory):
        if not _is_inside(entry, root):
            continue
        if not _is_directory(entry):
            files.append(entry)
            continue
        meaning = _directory_meaning(entry.name, folder)
        if meaning is not None:
            found.extend(_listed(prefix + entry.name, meaning, _directory_content(entry, root)))
        elif not folder and entry.name.lower() in FOLDERS:
            found.extend(_in_folder(entry, root, f"{prefix}{entry.name}/"))
    return found + _file_checkpoints(files, prefix, directory.name)


def _in_folder(entry: os.DirEntry[str], root: Path, prefix: str) -> list[Checkpoint]:
    if _may(entry, os.R_OK | os.X_OK):
        return _in_directory(Path(entry.path), root, prefix, entry.name)
    # A folder that may not be listed stands for what is in it, so that it is not taken for "nothing saved".
    return _listed(prefix.rstrip("/"), _Meaning("other"), _content(entry))


def _file_checkpoints(files: list[os.DirEntry[str]], prefix: str, parent: str) -> list[Checkpoint]:
    groups: dict[str, list[os.DirEntry[str]]] = {}
    for entry in files:
        name = _group_name(entry.name)
        if name is not None:
            groups.setdefault(name, []).append(entry)
    found: list[Checkpoint] = []
    for name, parts in groups.items():
        # TensorFlow writes the index last: without it the checkpoint is not there yet, and .meta may be a side file.
        if not all(_TENSORFLOW_PART.match(part.name) and not part.name.endswith(".index") for part in parts):
            content = _joined([_content(part) for part in parts])
            found.extend(_listed(prefix + name, _file_meaning(name, parent), content))
    return found


def _group_name(name: str) -> str | None:
    """Return the name under which a file counts as a checkpoint; its parts share one. None for other files."""
    part = _TENSORFLOW_PART.match(name)
    if part:
        return part[1]
    stem, suffix = _split(name)
    if not suffix or stem.lower() in NOT_MODELS:
        return None
    shard = _SHARD.match(name)
    return f"{shard[1]}-…-of-{shard[2]}{shard[3]}" if shard else name


def _split(name: str) -> tuple[str, str]:
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return (name[: -len(suffix)], suffix) if suffix else (name, "")


def _file_meaning(name: str, parent: str) -> _Meaning:
    stem, suffix = _split(name)
    text = stem.lower()
    epoch, step = _file_epoch(text, suffix), _file_step(text, parent.lower())
    if _BEST.search(text):
        return _Meaning("best", epoch, step)
    if _LAST.search(text):
        return _Meaning("last", epoch, step)
    return _Meaning("epoch" if epoch is not None else "step" if step is not None else "other", epoch, step)


def _file_epoch(text: str, suffix: str) -> int | None:
    lightning = _number(_LIGHTNING_EPOCH.search(text))
    if lightning is not None:
        return lightning + 1
    keras = _KERAS_EPOCH.match(text) if suffix in KERAS_SUFFIXES else _KERAS_GROUP_EPOCH.match(text)
    return _number(*(pattern.search(text) for pattern in _EPOCH), keras)


def _file_step(text: str, parent: str) -> int | None:
    # Source: ML-Agents' ModelCheckpointManager names the files of behaviour X "X/X-<step>.pt".
    own = re.fullmatch(re.escape(parent) + r"-(\d+)", text)
    return _number(own, _NUMBERED_STEP.match(text), *(pattern.search(text) for pattern in _STEP))


def _directory_meaning(name: str, folder: str) -> _Meaning | None:
    """Return what the name of a directory says; None when it is no checkpoint."""
    text = name.lower()
    if text.endswith(".ckpt"):  # Lightning writes sharded checkpoints as directories
        return _file_meaning(name, folder)
    word = _DIRECTORY_WORD.match(text)
    if word:
        return _Meaning("best" if word[1] == "best" else "last")
    epoch = _number(_DIRECTORY_EPOCH.match(text))
    if epoch is not None:
        return _Meaning("epoch", epoch=epoch)
    step = _number(_DIRECTORY_STEP.match(text))
    if step is None and folder and text.isascii() and text.isdigit():
        step = int(text)
    return None if step is None else _Meaning("step", step=step)


def _number(*matches: re.Match[str] | None) -> int | None:
    """Return the number of the first match there is."""
    return next((int(next(filter(None, match.groups()))) for match in matches if match is not None), None)


def _listed(name: str, meaning: _Meaning, content: _Content | None) -> list[Checkpoint]:
    """Return the checkpoint, or nothing when it vanished during the look."""
    if content is None:
        return []
    shown = os.fsencode(name).decode("utf-8", "replace")
    figures = (content.size_bytes, content.modified, content.readable)
    return [Checkpoint(shown, meaning.kind, meaning.epoch, meaning.step, *figures)]


# --- the file system -----------------------------------------------------------------------------------------------


def _entries(directory: str | Path) -> list[os.DirEntry[str]]:
    """Return what a directory lists, at most `MAX_ENTRIES`; nothing when it is gone or may not be listed."""
    try:
        with os.scandir(directory) as listing:
            return list(islice(listing, MAX_ENTRIES))
    except OSError:
        return []


def _is_inside(entry: os.DirEntry[str], root: Path) -> bool:
    """Return whether an entry leads to a place inside `root`; only links can lead elsewhere."""
    return not entry.is_symlink() or Path(os.path.realpath(entry.path)).is_relative_to(root)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _content(entry: os.DirEntry[str]) -> _Content | None:
    """Return what is known of one file without opening it; None when it is gone or no regular file."""
    try:
        status = entry.stat()
        regular = entry.is_file()
    except OSError:
        return None
    if not regular:
        return _Content(0, status.st_mtime, False) if _is_directory(entry) else None
    return _Content(status.st_size, status.st_mtime, status.st_size > 0 and _may(entry, os.R_OK))


def _may(entry: os.DirEntry[str], mode: int) -> bool:
    return os.access(entry.path, mode, effective_ids=os.access in os.supports_effective_ids)


def _joined(parts: list[_Content | None]) -> _Content | None:
    there = [part for part in parts if part is not None]
    if not there:
        return None
    size = sum(part.size_bytes for part in there)
    return _Content(size, max(part.modified for part in there), all(part.readable for part in there))


def _directory_content(entry: os.DirEntry[str], root: Path) -> _Content | None:
    """Return the size of all files in a checkpoint directory and the time of the newest.

    Empty files in it are normal (markers, lock files): it is readable when it holds anything at all and nothing
    that is refused.
    """
    itself = _content(entry)
    if itself is None:
        return None
    if not _may(entry, os.R_OK | os.X_OK):
        return itself
    files = list(islice(_files_below(entry.path, root, MAX_DEPTH), MAX_FILES_PER_CHECKPOINT))
    if not files:
        return itself
    size = sum(part.size_bytes for part in files)
    refused = any(part.size_bytes and not part.readable for part in files)
    return _Content(size, max(part.modified for part in files), size > 0 and not refused)


def _files_below(directory: str, root: Path, depth: int) -> Iterator[_Content]:
    for entry in _entries(directory):
        if not _is_inside(entry, root):
            continue
        if not _is_directory(entry):
            content = _content(entry)
            if content is not None:
                yield content
        elif depth and not entry.is_symlink():  # a link to a directory may lead in a circle
            yield from _files_below(entry.path, root, depth - 1)
