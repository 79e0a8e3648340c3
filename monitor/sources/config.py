"""The configuration beside a run: YAML and JSON files → one flat mapping of dotted keys to plain values.

Reading is safe and tolerant at once. YAML is taken as a stream of events, and plain lists, dictionaries and scalars
are built from them here: no tag ever constructs anything, so that ``!!python/object/apply:…`` is just a list with a
name on it, and a file full of such tags (most of those that trainers dump) is still read. An alias refers to what it
names without copying it, and every loop below is bounded, so that no small file grows in memory.
"""

import functools
import json
import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from monitor.schema import Configuration, ConfigValue, ReadProblem
from monitor.text import format_bytes

MAX_FILES = 20
MAX_FILE_BYTES = 1_000_000
MAX_STATE_BYTES = 16_000_000  # trainer_state.json carries the whole log of the training
MAX_EVENTS = 50_000  # of one YAML file
MAX_NODES = 20_000  # looked at while flattening one file, each use of an alias counted
MAX_DEPTH = 32  # shown; levels below are kept closed
MAX_OPEN = 200  # read; the YAML parser takes quadratic time in the depth of a file
MAX_KEYS = 2_000  # of one file
MAX_KEY_CHARACTERS = 200
MAX_LIST_ITEMS = 100
MAX_TEXT_CHARACTERS = 500
UNREADABLE = "<unreadable>"
_SETTLED_NS = 5 * 10**9

# In the order in which they win inside one directory.
STEMS = (
    "config",
    "configuration",
    "train_config",
    "training_config",
    "cfg",
    "args",
    "train_args",
    "training_args",
    "arguments",
    "opt",
    "options",
    "hparams",
    "hyperparameters",
    "hyp",
    "params",
    "settings",
    "trainer_state",
)
YAML_SUFFIXES = (".yaml", ".yml")
HYDRA_FILE = ".hydra/config.yaml"
STATE_FILE = "trainer_state.json"
STATE_KEYS = ("max_steps", "num_train_epochs", "epoch")

_STEP_DIRECTORY = re.compile(r"checkpoint-(\d+)$")
_MERGE_KEY = "<<"

_Stamp = tuple[str, int, int]  # path, modification time, size
Tree = Any  # None, bool, int, float, str, _Foreign, or a list or dict of trees


def read_configuration(run_directory: Path, log_directory: Path | None = None) -> Configuration:
    """Return the configuration beside a run, flattened: ``training.max_epoch`` → 300.

    Read are, in the run directory, every YAML file and the JSON files whose name is that of a configuration
    (``config.json``, ``training_args.json``, …); one level above, only files with such a name; ``.hydra/config.yaml``
    in both. Where the run directory is ``<output>/runs/<name>`` beside ``<output>/checkpoint-<step>/``, as the
    Hugging Face Trainer lays it out, ``<output>`` is read too. Of ``trainer_state.json``, also that of the newest
    ``checkpoint-<step>/``, only `STATE_KEYS` are taken. Nothing above the log directory is read, nor links that lead
    out of it.

    Lists of plain values become text, ``[64, 64]``; other lists give one key per item, ``layers.0.width``. Binary
    content becomes the text ``<unreadable>``. Long texts are cut.

    Args:
        run_directory: Directory of the run.
        log_directory: The directory that is never left upwards; None to allow one level above the run.

    Returns:
        Values and where they come from; a file that cannot be read, or only in part, is a problem of kind
        ``config_unreadable`` and does not keep the others from being read.
    """
    run, boundary = _resolved(run_directory, log_directory)
    return _read_files(run, boundary, _files_of(run, boundary))


class ConfigurationShelf:
    """The configurations beside many runs: files that have not changed are not read again.

    Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._held: dict[Path, tuple[tuple[_Stamp, ...], Configuration]] = {}

    def read(self, run_directory: Path, log_directory: Path | None = None) -> Configuration:
        """Return what `read_configuration` does; the same object as long as no file changes."""
        run, boundary = _resolved(run_directory, log_directory)
        files = _files_of(run, boundary)
        stamps = tuple(map(_stamp, files))
        held = self._held.get(run)
        if held is None or held[0] != stamps:
            held = self._held[run] = (stamps, _read_files(run, boundary, files))
        return held[1]


def _stamp(file: Path) -> _Stamp:
    """Return what changes when a file does; one that is gone or refused has neither time nor size."""
    try:
        found = file.stat()
    except OSError:
        return str(file), 0, 0
    return str(file), found.st_mtime_ns, found.st_size


def _resolved(run_directory: Path, log_directory: Path | None) -> tuple[Path, Path]:
    """Return the run directory and the directory that is never left upwards."""
    run = Path(os.path.realpath(run_directory))
    return run, run.parent if log_directory is None else Path(os.path.realpath(log_directory))


def _read_files(run: Path, boundary: Path, files: Sequence[Path]) -> Configuration:
    """Return what some files hold together; the first that has a key wins."""
    values: dict[str, ConfigValue] = {}
    sources: dict[str, str] = {}
    problems = [_too_many(run, len(files))] if len(files) > MAX_FILES else []
    for file in files[:MAX_FILES]:
        found, flaw = _read_file(file, boundary if run.is_relative_to(boundary) else run)
        name = Path(os.path.relpath(file, run)).as_posix()
        for key, value in found.items():
            if key not in values:
                values[key], sources[key] = value, name
        if flaw is not None:
            problems.append(ReadProblem(str(file), None, "config_unreadable", flaw))
    return Configuration(values, sources, tuple(problems))


# --- which files ---------------------------------------------------------------------------------------------------


def _files_of(run: Path, boundary: Path) -> list[Path]:
    """Return the configuration files of a run, the one that wins first."""
    return [file for place in _places(run, boundary) for file in _files_in(place, run)]


def _places(run: Path, boundary: Path) -> list[Path]:
    """Return the directories to search, the nearest first."""
    places = [run]
    if run != boundary and run.is_relative_to(boundary):
        places.append(run.parent)
        # Source: transformers' TrainingArguments.logging_dir, by default "<output_dir>/runs/<date>_<host>".
        if run.parent.name == "runs" and run.parent != boundary and _holds_steps(run.parent.parent):
            places.append(run.parent.parent)
    return places


def _names_in(place: Path) -> tuple[str, ...]:
    """Return the names in a directory, sorted; none where it cannot be listed."""
    try:
        modified_ns = place.stat().st_mtime_ns
        # A directory that changed just now may change again within the clock's grain.
        settled = time.time_ns() - modified_ns > _SETTLED_NS
        return _settled_names(str(place), modified_ns) if settled else _listed_names(str(place))
    except OSError:  # gone or not allowed: the reader of the events says so where it matters
        return ()


@functools.lru_cache(maxsize=64)  # a thousand runs ask for the directory above them
def _settled_names(place: str, modified_ns: int) -> tuple[str, ...]:
    return _listed_names(place)


def _listed_names(place: str) -> tuple[str, ...]:
    with os.scandir(place) as listing:
        return tuple(sorted(entry.name for entry in listing))


def _holds_steps(place: Path) -> bool:
    return any(_STEP_DIRECTORY.match(name) for name in _names_in(place))


def _files_in(place: Path, run: Path) -> list[Path]:
    """Return the configuration files of one directory, the one that wins first."""
    names = _names_in(place)
    chosen = _chosen_names(names, place == run)
    files = [place / name for name in chosen]
    if os.path.isfile(place / HYDRA_FILE):  # noqa: PTH113 (False, not an error, where the directory is refused)
        files.insert(0, place / HYDRA_FILE)
    if STATE_FILE not in chosen:
        files.extend(_newest_state(place, names))
    return files


@functools.lru_cache(maxsize=64)  # as above: without it a thousand runs would each sift a thousand names
def _chosen_names(names: tuple[str, ...], nearest: bool) -> tuple[str, ...]:
    """Return the names of configuration files among some names, the one that wins first."""
    return tuple(sorted((name for name in names if _is_configuration(name, nearest)), key=_rank))


def _is_configuration(name: str, nearest: bool) -> bool:
    stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122
    if suffix in YAML_SUFFIXES:
        return nearest or stem in STEMS
    return suffix == ".json" and stem in STEMS


def _rank(name: str) -> tuple[int, str]:
    stem = os.path.splitext(name.lower())[0]  # noqa: PTH122
    return (STEMS.index(stem) if stem in STEMS else len(STEMS), name)


def _newest_state(place: Path, names: tuple[str, ...]) -> Iterator[Path]:
    # Source: transformers' Trainer saves its state into each checkpoint, into the output directory only at the end.
    newest = _newest_step(names)
    if newest is not None:
        state = place / newest / STATE_FILE
        if os.path.isfile(state):  # noqa: PTH113 (as above)
            yield state


@functools.lru_cache(maxsize=64)
def _newest_step(names: tuple[str, ...]) -> str | None:
    steps = {int(match[1]): name for name in names if (match := _STEP_DIRECTORY.match(name))}
    return steps[max(steps)] if steps else None


def _too_many(run: Path, count: int) -> ReadProblem:
    detail = f"There are {count:,} configuration files beside the run; the first {MAX_FILES} were read."
    return ReadProblem(str(run), None, "config_unreadable", detail)


# --- one file ------------------------------------------------------------------------------------------------------


class _Unreadable(Exception):
    """A file cannot be read; the message is the sentence for a person."""


def _read_file(path: Path, boundary: Path) -> tuple[dict[str, ConfigValue], str | None]:
    """Return what one file holds, and a sentence if that is not everything."""
    is_state = path.name == STATE_FILE
    try:
        text = _read_text(path, boundary, MAX_STATE_BYTES if is_state else MAX_FILE_BYTES)
        tree, flaw = (_json_tree(text), None) if path.suffix.lower() == ".json" else _yaml_tree(text)
    except _Unreadable as error:
        return {}, str(error)
    tree = _plain(tree)
    if not isinstance(tree, dict):
        return {}, flaw or (None if tree is None else "The file holds no names with values, so nothing was taken.")
    if is_state:
        tree = {key: tree[key] for key in STATE_KEYS if key in tree}
    values, complete = flatten(tree)
    if not complete and flaw is None:
        flaw = f"The file holds more than a configuration does; {len(values):,} of its values were read."
    return values, flaw


def _read_text(path: Path, boundary: Path, limit_bytes: int) -> str:
    if not Path(os.path.realpath(path)).is_relative_to(boundary):
        raise _Unreadable("The file is a link that leads out of the log directory, so it was not followed.")
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise _Unreadable("This is not a regular file, so it was not read.")
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as error:
        raise _Unreadable(f"The file cannot be read: {error.strerror}.") from error
    if len(content) > limit_bytes:
        raise _Unreadable(
            f"The file is larger than {format_bytes(limit_bytes)}, too large for a configuration; it was not read."
        )
    return content.decode("utf-8-sig", "replace")


def _json_tree(text: str) -> Tree:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _Unreadable(f"The file is not valid JSON at line {error.lineno}: {error.msg}.") from error
    except ValueError as error:  # a number with thousands of digits
        raise _Unreadable("The file holds a number that is too long to read.") from error
    except RecursionError as error:
        raise _Unreadable("The file is nested too deeply to be a configuration; it was not read.") from error


# --- YAML ----------------------------------------------------------------------------------------------------------

# Scalars as PyYAML's safe loader reads them, because that is what trainers read them with, but for three traps:
# 1e-4 is a number (as in YAML 1.2), 20:31 is no number of base sixty, a date stays text.
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset(case for word in ("true", "yes", "on") for case in (word, word.title(), word.upper()))
_FALSE = frozenset(case for word in ("false", "no", "off") for case in (word, word.title(), word.upper()))
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][\d_]{0,39}|0x[\da-fA-F]{1,32}|0b[01]{1,64})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?", re.ASCII)
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({"!", f"{_TAG}str", f"{_TAG}python/str", f"{_TAG}python/unicode"})
_BLOB_TAGS = frozenset({f"{_TAG}binary", f"{_TAG}python/bytes"})
_NAME_TAGS = (f"{_TAG}python/name:", f"{_TAG}python/module:")
_OBJECT_TAG = f"{_TAG}python/object"


@dataclass(frozen=True, slots=True)
class _Foreign:
    """The description of an object in another program, as PyYAML dumps it; never made, only looked into."""

    content: list[Tree] | dict[str, Tree]

    def plain(self) -> Tree:
        """Return the settings inside: the pairs of an ordered dictionary, the items or the state of an object.

        Source: PyYAML's representer: ``!!python/object/apply:collections.OrderedDict [[[key, value], …]]`` and
        ``!!python/object/new:… {args, state, listitems, dictitems}``.
        """
        content = self.content
        if isinstance(content, list):
            pairs = content[0] if len(content) == 1 else None
            if isinstance(pairs, list) and pairs and all(_is_pair(item) for item in pairs):
                return dict(pairs)
            return UNREADABLE if UNREADABLE in content else content  # a NumPy scalar is a type and its bytes
        for inner in ("dictitems", "state", "listitems", "args"):
            if content.get(inner) and content.keys() <= {"args", "kwds", "state", "listitems", "dictitems"}:
                return content[inner]
        return content


def _plain(node: Tree) -> Tree:
    """Return a node with the descriptions of foreign objects around it taken off."""
    for _ in range(MAX_DEPTH):
        if not isinstance(node, _Foreign):
            return node
        node = node.plain()
    return UNREADABLE


def _is_pair(item: Tree) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)


@dataclass(slots=True)
class _Open:
    """A list or dictionary whose end has not been met; `key` waits for its value."""

    content: list[Tree] | dict[str, Tree]
    key: str | None = None


class _TreeBuilder:
    """Builds a tree from YAML events; what was built when the events break off is kept."""

    def __init__(self) -> None:
        self.root: Tree = None
        self._open: list[_Open] = []
        self._anchors: dict[str, Tree] = {}

    @property
    def depth(self) -> int:
        """Number of lists and dictionaries whose end has not been met."""
        return len(self._open)

    def take(self, event: yaml.Event) -> None:
        """Add what one event says."""
        match event:
            case yaml.ScalarEvent():
                self._add(_scalar(event), event.anchor, event.value)
            case yaml.AliasEvent():
                target = self._anchors.get(event.anchor or "", UNREADABLE)
                self._add(target, None, target if isinstance(target, str) else UNREADABLE)
            case yaml.SequenceStartEvent():
                self._start([], event)
            case yaml.MappingStartEvent():
                self._start({}, event)
            case yaml.CollectionEndEvent():
                self._open.pop()

    def _start(self, content: list[Tree] | dict[str, Tree], event: yaml.CollectionStartEvent) -> None:
        foreign = (event.tag or "").startswith(_OBJECT_TAG)
        self._add(_Foreign(content) if foreign else content, event.anchor, UNREADABLE)
        self._open.append(_Open(content))

    def _add(self, value: Tree, anchor: str | None, as_key: str) -> None:
        if anchor:
            self._anchors[anchor] = value
        parent = self._open[-1] if self._open else None
        if parent is None:
            self._add_root(value)
        elif isinstance(parent.content, list):
            parent.content.append(value)
        elif parent.key is None:
            parent.key = as_key
        else:
            parent.content[parent.key] = value
            parent.key = None

    def _add_root(self, value: Tree) -> None:
        # Of several documents in one file the first that holds settings counts.
        if not isinstance(self.root, dict | _Foreign):
            self.root = value


def _yaml_tree(text: str) -> tuple[Tree, str | None]:
    """Return what YAML text holds, and a sentence if it breaks off; what stands before the break is kept."""
    builder = _TreeBuilder()
    try:
        events = yaml.parse(text, Loader=_event_loader())
        for number, event in enumerate(events):
            builder.take(event)
            if number > MAX_EVENTS or builder.depth > MAX_OPEN:
                return (
                    builder.root,
                    "The file is too long or too deep for a configuration; only its beginning was read.",
                )
    except yaml.YAMLError as error:
        return builder.root, f"The file is not valid YAML{_where(error)}; only what stands before was read."
    return builder.root, None


def _event_loader() -> Any:  # noqa: ANN401 (two classes without a common base)
    """Return the parser written in C, which is ten times as fast, where PyYAML was built with it."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f" at line {mark.line + 1}"


def _scalar(event: yaml.ScalarEvent) -> ConfigValue:
    tag = event.tag or ""
    name = next((tag.removeprefix(prefix) for prefix in _NAME_TAGS if tag.startswith(prefix)), None)
    if name is not None:
        return name
    if tag in _BLOB_TAGS:
        return UNREADABLE
    is_plain = event.implicit[0] if not tag else tag not in _TEXT_TAGS
    return typed(event.value) if is_plain else str(event.value)


def typed(text: str) -> ConfigValue:
    """Return a plain YAML scalar as null, truth value, number or text.

    Source: YAML 1.1 as PyYAML's resolver reads it, floats with an exponent as in YAML 1.2's core schema.
    """
    if text in _NOTHING:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""), 0)
    special = _SPECIAL.fullmatch(text)
    if special:
        return float(special[1] + special[2])
    return float(text.replace("_", "")) if _is_float(text) else text


def _is_float(text: str) -> bool:
    # 007 and 12_000 without a point or an exponent are names, not measurements.
    return _FLOAT.fullmatch(text) is not None and any(sign in text for sign in ".eE")


# --- trees → dotted keys -------------------------------------------------------------------------------------------


def flatten(tree: Mapping[str, Tree]) -> tuple[dict[str, ConfigValue], bool]:
    """Return the values of a tree under dotted keys, level by level, so that the outer ones survive a cut.

    Returns:
        The values, at most `MAX_KEYS`; and whether that is everything.
    """
    values: dict[str, ConfigValue] = {}
    pending: deque[tuple[str, Tree, int]] = deque([("", tree, 0)])
    budget = MAX_NODES
    complete = True
    while pending and len(values) < MAX_KEYS:
        key, node, depth = pending.popleft()
        node = _plain(node)
        if depth == MAX_DEPTH or not _has_children(node):
            values.setdefault(key, _leaf(node))
            continue
        children = list(islice(_children(node), budget + 1)) if budget else []
        complete = complete and budget > 0 and len(children) <= budget
        pending.extend((_joined(key, name), child, depth + 1) for name, child in children[:budget])
        budget -= min(len(children), budget)
    return values, complete and not pending


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}"[:MAX_KEY_CHARACTERS] if key else name[:MAX_KEY_CHARACTERS]


def _has_children(node: Tree) -> bool:
    """Return whether a node is shown as several keys; a list of values is shown as one."""
    if isinstance(node, list):
        return any(isinstance(item, list | dict | _Foreign) for item in islice(node, MAX_LIST_ITEMS))
    return isinstance(node, dict) and bool(node)


def _children(node: list[Tree] | dict[str, Tree]) -> Iterator[tuple[str, Tree]]:
    if isinstance(node, dict):
        yield from _merged(node).items()
    else:
        yield from ((str(index), item) for index, item in enumerate(node))


def _merged(mapping: dict[str, Tree]) -> dict[str, Tree]:
    """Return a mapping with those it names under ``<<`` laid below it. Source: YAML's merge key, tag merge."""
    if _MERGE_KEY not in mapping:
        return mapping
    merged: dict[str, Tree] = {}
    pending: deque[Tree] = deque([mapping])
    for _ in range(MAX_LIST_ITEMS):
        layer = pending.popleft() if pending else None
        if isinstance(layer, list):
            pending.extend(layer[:MAX_LIST_ITEMS])
        elif isinstance(layer, dict):
            for key, value in layer.items():
                if key == _MERGE_KEY:
                    pending.append(value)
                else:
                    merged.setdefault(key, value)
    return merged


def _leaf(node: Tree) -> ConfigValue:
    if isinstance(node, list | dict) and _has_children(node):
        return UNREADABLE  # nested more deeply than is shown
    if isinstance(node, list):
        shown = [_item_text(item) for item in node[:MAX_LIST_ITEMS]]
        return _cut(f"[{', '.join(shown if len(node) <= MAX_LIST_ITEMS else [*shown, '…'])}]")
    if node is None or isinstance(node, bool | int | float):
        return node
    return _cut(str(node))


def _item_text(item: Tree) -> str:
    if item is None:
        return "null"
    return str(item).lower() if isinstance(item, bool) else str(item)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[: MAX_TEXT_CHARACTERS - 1]}…"
