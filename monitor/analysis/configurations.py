"""What differs between the configurations of several runs, what of it is only noise, and what goes with the result."""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from monitor.schema import Configuration, ConfigValue, Floats
from monitor.text import format_number, plain

KeyKind = Literal["setting", "seed", "noise"]
Identity = tuple[str, str]
Difference = Mapping[str, Mapping[str, ConfigValue]]

LEAST_CONFIGURATIONS = 3
FEW_CONFIGURATIONS = 10  # below, a rank correlation of 0.6 comes about by chance more than once in twenty
MOST_LEVELS = 12

# --- what a key is about -------------------------------------------------------------------------------------------

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Source: the arguments of the trainers whose event files the reader knows (Lightning, Hugging Face, CleanRL,
# Stable-Baselines3 zoo, YOLO, MAE, detectron2, LeRobot) and of the trackers and launchers they run under.
_SEED = re.compile(r"(?!(?:n|num|number|total|max)_)(?:\w+_)?(?:seeds?|random_state)(?:_(?:value|everything|\d+))?")
_WRITTEN = (
    r"log|logs|logging|logger|output|outputs|out|save|saving|results?|runs?|exp|experiment|tb|tensorboard|work|job"
)
_NOISE = re.compile(
    rf"(?:(?:base|default|hydra|tensorboard|tb|trainer)_)?(?:{_WRITTEN})_?(?:dir|directory|path|folder|root|file|prefix)"
    r"|tensorboard_log|cwd|pwd|workdir|default_root_dir"
    r"|(?:run|job|trial|task_run|display|host|node|machine|user|gpu|device)_?(?:name|id|ids|uuid|number|index)"
    r"|uuid|uid|guid|(?:\w+_)?(?:timestamp|datetime|start_time|end_time|started_at|created_at|wall_time)|date"
    r"|host|hostname|nodename|machine|user|username|p?pid|process_id|port|master_(?:addr|address|port)|dist_url"
    r"|(?:local|global|node|group)_rank|device|gpu|cuda|cuda_device|(?:cuda_)?visible_devices"
)
_TRACKER = re.compile(r"_?wandb|mlflow|clearml|comet|neptune|aim|hydra|slurm|slurm_\w+")


@functools.lru_cache(maxsize=8192)  # the runs of a log directory have the same few keys
def kind_of(key: str) -> KeyKind:
    """Return what a dotted key is about: a seed, noise (where, when and under which name it ran), or a setting.

    Only where the run writes to is noise; where it reads its data or first weights from is a setting.
    """
    parts = [_spelled(part) for part in re.split(r"[./]", key)]
    if any(_SEED.fullmatch(part) for part in parts):
        return "seed"
    return "noise" if _NOISE.fullmatch(parts[-1]) or any(map(_TRACKER.fullmatch, parts)) else "setting"


def _spelled(part: str) -> str:
    return re.sub(r"\W+", "_", _HUMP.sub("_", part).lower()).strip("_")


# --- when two values are the same ----------------------------------------------------------------------------------

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}")
_MOMENT = re.compile(r"(?<!\d)(?:19|20)\d\d([-_.:]?)\d\d\1\d\d[-_T. ]?\d\d([-_.:hH]?)\d\d(?:\2\d\d)?(?:\.\d+)?(?!\d)")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
SEED_IN_TEXT = re.compile(r"(?<![A-Za-z])(?:seed|rng)[-_=:]?\d+(?!\d)", re.IGNORECASE)


def identity(value: ConfigValue) -> Identity:
    """Return what makes two values the same: 1 and 1.0 are, 1 and True or 1 and "1" are not, NaN is NaN.

    The address of a Python object that was printed into a text does not count.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return type(value).__name__, _ADDRESS.sub("", str(value))
    return "number", repr(float(value)) if abs(value) < 2**53 else str(value)


def settings_of(run: str, configuration: Configuration) -> Mapping[str, Identity]:
    """Return what a run is configured with, key → identity, without seeds and noise.

    In texts, moments, random identifiers, explicit seeds (``act_seed3``) and, as part of a path, the run's own name
    are noise too.
    """
    return {
        key: _neutral(identity(value), run)
        for key, value in configuration.values.items()
        if value is not None and kind_of(key) == "setting" and not _is_progress(key, configuration)
    }


def _is_progress(key: str, configuration: Configuration) -> bool:
    """Return whether a value comes from the state of a trainer and so tells how far the run is."""
    return configuration.sources.get(key, "").rsplit("/", 1)[-1] == "trainer_state.json"


def _neutral(value: Identity, run: str) -> Identity:
    kind, text = value
    if kind != "str":
        return value
    text = SEED_IN_TEXT.sub("", _UUID.sub("", without_moment(text)))
    own = without_moment(run.rsplit("/", 1)[-1])
    own = SEED_IN_TEXT.sub("", own)
    parts = re.split(r"[/\\]", text)
    return kind, "/".join("" if part == own else part for part in parts) if len(parts) > 1 else text


def without_moment(text: str) -> str:
    """Return a text without the dates with a time of day in it: ``run_20260102_030405`` → ``run_``."""
    return _MOMENT.sub("", text)


def seed_of(configuration: Configuration) -> tuple[Identity, ...] | None:
    """Return the seeds a configuration tells, None where it tells none."""
    seeds = tuple(
        identity(value)
        for key, value in sorted(configuration.values.items())
        if value is not None and kind_of(key) == "seed"
    )
    return seeds or None


def merged(configuration: Configuration, hparams: Mapping[str, ConfigValue]) -> Configuration:
    """Return the configuration beside a run, with the hyper-parameters logged in its events where no file has the key.

    The source of what comes from the events is ``hparams``.
    """
    added = {key: value for key, value in hparams.items() if key not in configuration.values}
    return Configuration(
        {**configuration.values, **added},
        {**configuration.sources, **dict.fromkeys(added, "hparams")},
        configuration.problems,
    )


# --- what differs --------------------------------------------------------------------------------------------------


def config_difference(configurations: Mapping[str, Configuration]) -> Difference:
    """Return the keys whose values differ between runs: key → run → value, sorted by key.

    A key that a run lacks is None there. Runs without any configuration are shown but cannot make a key differ.
    """
    told = {run: configuration for run, configuration in configurations.items() if configuration.values}
    keys = sorted({key for configuration in told.values() for key in configuration.values})
    return {
        key: {run: configuration.values.get(key) for run, configuration in configurations.items()}
        for key in keys
        if len({identity(configuration.values.get(key)) for configuration in told.values()}) > 1
    }


@dataclass(frozen=True, slots=True)
class SortedDifference:
    """The keys that differ, by what they are about; each a mapping key → run → value, sorted by key.

    Args:
        settings: What may change the result.
        seeds: What is meant to differ between repetitions.
        noise: Places, times, names and devices, to be folded away.
    """

    settings: Difference = field(default_factory=dict)
    seeds: Difference = field(default_factory=dict)
    noise: Difference = field(default_factory=dict)


def sort_difference(configurations: Mapping[str, Configuration]) -> SortedDifference:
    """Return the keys that differ between runs, settings apart from seeds and noise."""
    kinds: dict[KeyKind, dict[str, Mapping[str, ConfigValue]]] = {"setting": {}, "seed": {}, "noise": {}}
    told = [run for run, configuration in configurations.items() if configuration.values]
    for key, values in config_difference(configurations).items():
        kind = kind_of(key)
        settles = {_neutral(identity(values[run]), run) for run in told}
        if kind == "setting" and (len(settles) == 1 or any(_is_progress(key, configurations[run]) for run in told)):
            kind = "noise"
        kinds[kind][key] = values
    return SortedDifference(kinds["setting"], kinds["seed"], kinds["noise"])


# --- what goes with the result -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Level:
    """One value of a key: the value, in how many configurations it was met, and their mean result."""

    value: ConfigValue
    n: int
    mean: float


@dataclass(frozen=True, slots=True)
class Association:
    """How the result goes with a key of the configuration; nothing is said about cause.

    Args:
        keys: The key; with it those that change only together with it, which nothing can tell apart from it.
        n: Number of configurations that tell the key and have a result.
        correlation: Spearman's rank correlation with the result, −1 to 1; None for words and for fewer than three
            different numbers.
        strength: 0 to 1: the size of the correlation; for other keys the share of the results' variance that lies
            between the levels, None where every configuration has a level of its own.
        levels: The mean result per value, best known order: numbers ascending, words by name; at most `MOST_LEVELS`.
        sentence: The same in words, with the caution it deserves.
    """

    keys: tuple[str, ...]
    n: int
    correlation: float | None
    strength: float | None
    levels: tuple[Level, ...]
    sentence: str


def associations(
    configurations: Sequence[Mapping[str, ConfigValue]], results: Sequence[float | None], metric: str
) -> tuple[Association, ...]:
    """Return which keys go with the result, the strongest first; none with fewer than three configurations.

    Args:
        configurations: Key → value of the keys that differ, one mapping per configuration. Repetitions of one
            configuration must be merged before: they would count as evidence for its settings.
        results: The result of each; None and non-finite ones are left out.
        metric: What was measured, for the sentences.
    """
    known = [
        (values, result)
        for values, result in zip(configurations, results, strict=True)
        if result is not None and math.isfinite(result)
    ]
    if len(known) < LEAST_CONFIGURATIONS:
        return ()
    found = [
        _association(keys, [(values.get(keys[0]), result) for values, result in known], metric)
        for keys in _keys_together([values for values, _ in known])
    ]
    return tuple(sorted(found, key=lambda item: (item.strength is None, -(item.strength or 0.0), item.keys)))


def _keys_together(configurations: Sequence[Mapping[str, ConfigValue]]) -> list[tuple[str, ...]]:
    """Return the keys that differ; those that split the configurations in the same way are together."""
    together: dict[tuple[int, ...], list[str]] = {}
    for key in sorted({key for values in configurations for key in values}):
        numbers: dict[Identity, int] = {}
        split = tuple(numbers.setdefault(identity(values.get(key)), len(numbers)) for values in configurations)
        if len(numbers) > 1:
            together.setdefault(split, []).append(key)
    return [tuple(keys) for keys in together.values()]


def _association(keys: tuple[str, ...], pairs: list[tuple[ConfigValue, float]], metric: str) -> Association:
    numbers = [(value, result) for value, result in pairs if _is_number(value)]
    levels = _levels(pairs)
    if len(numbers) == len(pairs) and len(levels) > 2:
        correlation = rank_correlation(np.array(numbers)[:, 0], np.array(numbers)[:, 1])
        strength = None if correlation is None else abs(correlation)
    else:
        correlation, strength = None, _share_between(pairs, levels)
    sentence = _sentence(keys, len(pairs), correlation, levels, metric)
    return Association(keys, len(pairs), correlation, strength, levels[:MOST_LEVELS], sentence)


def _is_number(value: ConfigValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _levels(pairs: list[tuple[ConfigValue, float]]) -> tuple[Level, ...]:
    by_value: dict[Identity, list[tuple[ConfigValue, float]]] = {}
    for value, result in pairs:
        by_value.setdefault(identity(value), []).append((value, result))
    groups = sorted(by_value.values(), key=lambda group: _place(group[0][0]))
    return tuple(
        Level(group[0][0], len(group), float(np.mean([result for _, result in group], dtype=np.float64)))
        for group in groups
    )


def _place(value: ConfigValue) -> tuple[int, float, str]:
    """Return the place of a level: numbers ascending, then words, then what is not told."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return 0, float(value), ""
    return (2, 0.0, "") if value is None else (1, 0.0, str(value))


def rank_correlation(x: Floats, y: Floats) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None where one of the two does not vary.

    Source: Spearman, "The proof and measurement of association between two things" (1904): Pearson's correlation of
    the ranks.
    """
    ranks = [_ranks(values) - (len(values) + 1) / 2 for values in (x, y)]
    scale = math.sqrt(float((ranks[0] ** 2).sum()) * float((ranks[1] ** 2).sum()))
    return float(ranks[0] @ ranks[1]) / scale if scale else None


def _ranks(values: Floats) -> Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[places]
    return ranks


def _share_between(pairs: list[tuple[ConfigValue, float]], levels: tuple[Level, ...]) -> float | None:
    """Return the share of the variance that lies between the levels. Source: eta squared, Fisher (1925)."""
    results = np.array([result for _, result in pairs])
    total = float(((results - results.mean()) ** 2).sum())
    if len(levels) == len(pairs) or not total:
        return None
    between = sum(level.n * (level.mean - float(results.mean())) ** 2 for level in levels)
    return min(between / total, 1.0)


def _sentence(keys: tuple[str, ...], n: int, correlation: float | None, levels: tuple[Level, ...], metric: str) -> str:
    name, result = plain(keys[0]), plain(metric)
    caution = "; with so few this may be chance" if n < FEW_CONFIGURATIONS else ""
    if correlation is not None:
        side = "a larger" if correlation > 0 else "a smaller"
        figure = f"rank correlation {format_number(correlation, 2)} over {n} configurations{caution}"
        said = f"A larger {name} goes with {side} {result} ({figure})."
        if abs(correlation) < 0.1:
            said = f"{name} does not go with {result} ({figure})."
    else:
        means = ", ".join(f"{config_text(level.value)}: {format_number(level.mean)}" for level in levels[:4])
        more = ", …" if len(levels) > 4 else ""
        said = f"Mean {result} by {name}: {means}{more} (over {n} configurations{caution})."
    if len(keys) == 1:
        return said
    others = ", ".join(plain(key) for key in keys[1:4]) + (", …" if len(keys) > 4 else "")
    return f"{said} Changes only together with {others}."


def config_text(value: ConfigValue) -> str:
    """Return a configured value as a person would write it: 4.0 as ``4``, a missing one as ``not set``."""
    if value is None:
        return "not set"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return plain(str(value))
