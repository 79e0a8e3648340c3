"""Which runs repeat one configuration: groups of seeds, found from configurations and names or by a pattern."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.analysis.configurations import (
    SEED_IN_TEXT,
    Identity,
    config_text,
    seed_of,
    settings_of,
    without_moment,
)
from monitor.errors import UsageInvalid
from monitor.schema import Configuration
from monitor.text import plain, shorten_middle

MOST_KEYS_IN_NAME = 4
MOST_VALUE_CHARACTERS = 32

# Source: CleanRL's run names, "<environment>__<script>__<seed>__<second>".
_CLEAN_RL = re.compile(r"__\d+__\d{9,10}(?=$|/)")
_SHORT_SEED = re.compile(r"[-_.]s\d+(?=$|/)")
_NUMBER = re.compile(r"(?:(?<=[^\d])[-_.]|(?<=/)|^)(\d{1,3})$")
_END_NUMBER = re.compile(r"[-_. ]*\d+$")
_COUNTED_BY_ITSELF = re.compile(r"(?:^|/)version$")  # Lightning counts every run of every configuration
_SAYS_NOTHING = re.compile(r"runs?|seeds?|version|train(?:ing)?|logs?|tb|tensorboard|\W*", re.IGNORECASE)
_TELLING = re.compile(  # of keys that tell equally much, those that people name a configuration by
    r"(?:.*[._/])?(?:method|model|policy|algo|algorithm|arch|architecture|backbone|env|env_id|environment|task|dataset|"
    r"schedule|optimizer|lr|learning_rate|batch_size|type|name)"
)


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that repeat one configuration; a run that nothing belongs to is a group of its own.

    Args:
        name: What distinguishes it from the other groups, ``env=Pendulum-v0, schedule=lin``; else the common part
            of the runs' names. Different for every group; may hold text from files.
        runs: Names of the runs, in the order given.
        seeded: Whether the runs are told to differ by their seeds.
        reason: Why these belong together, as a whole sentence.
    """

    name: str
    runs: tuple[str, ...]
    seeded: bool
    reason: str


def find_groups(
    runs: Sequence[str], configurations: Mapping[str, Configuration], pattern: str | None = None
) -> tuple[Group, ...]:
    """Return the groups of some runs, in the order of their first runs.

    Runs belong together when their configurations differ in nothing but seeds and noise. Where the seeds do not tell
    them apart, their names must agree too but for a number, a seed or a time: a configuration file need not hold all
    that was changed. Runs without a configuration of their own belong together when their names differ by a seed
    (``act_seed3``, ``act-s3``, ``act/seed_3``) or by consecutive numbers at the end (``act_1``, ``act_2``).

    Args:
        runs: Different names.
        configurations: Run → configuration, with the hyper-parameters of the events.
        pattern: Regular expression with one group that finds the group's name in a run's name; the automatic choice
            is then not made. Runs in which it finds nothing stay alone.

    Raises:
        UsageInvalid: The pattern is no regular expression or does not hold exactly one group.
    """
    if pattern is not None:
        return _named_uniquely(_by_pattern(runs, _compiled(pattern)))
    beside = Counter(_directory(run) for run in runs)
    settings = {
        run: _own_settings(run, configurations.get(run, Configuration()), beside[_directory(run)] > 1) for run in runs
    }
    told = [run for run in runs if settings[run]]
    groups = _by_configuration(told, settings, configurations)
    groups += _by_name([run for run in runs if not settings[run]])
    return _named_uniquely(_named(_in_order(groups, runs), settings, configurations))


def _in_order(groups: Iterable[Group], runs: Sequence[str]) -> list[Group]:
    place = {run: number for number, run in enumerate(runs)}
    return sorted(groups, key=lambda group: place[group.runs[0]])


# --- by a pattern --------------------------------------------------------------------------------------------------


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageInvalid(
            f'The group pattern "{pattern}" is no regular expression: {error}.',
            hint=r"Write for example (.*)_seed\d+ to group runs by what stands before the seed.",
        ) from error
    if compiled.groups != 1:
        raise UsageInvalid(
            f'The group pattern "{pattern}" must hold exactly one group in parentheses, not {compiled.groups}.',
            hint=r"Write for example (.*)_seed\d+ to group runs by what stands before the seed.",
        )
    return compiled


def _by_pattern(runs: Sequence[str], pattern: re.Pattern[str]) -> list[Group]:
    found: dict[str, list[str]] = {}
    alone = []
    for run in runs:
        match = pattern.search(run)
        if match and match[1]:
            found.setdefault(match[1], []).append(run)
        else:
            alone.append(Group(run, (run,), False, "The pattern finds nothing in its name."))
    reason = "The pattern finds the same in their names."
    groups = [Group(name, tuple(members), False, reason) for name, members in found.items()] + alone
    return _in_order(groups, runs)


# --- by configuration ----------------------------------------------------------------------------------------------


def _directory(run: str) -> str:
    return run.rpartition("/")[0]


def _own_settings(run: str, configuration: Configuration, has_neighbour: bool) -> Mapping[str, Identity]:
    """Return the settings of a run; none where they come only from files that it shares with the runs beside it."""
    nearest = any(not configuration.sources.get(key, "").startswith("../") for key in configuration.values)
    return settings_of(run, configuration) if nearest or not has_neighbour else {}


def _by_configuration(
    runs: Sequence[str], settings: Mapping[str, Mapping[str, Identity]], configurations: Mapping[str, Configuration]
) -> list[Group]:
    alike: dict[frozenset[tuple[str, Identity]], list[str]] = {}
    for run in runs:
        alike.setdefault(frozenset(settings[run].items()), []).append(run)
    return [group for members in alike.values() for group in _repetitions(members, configurations)]


def _repetitions(runs: Sequence[str], configurations: Mapping[str, Configuration]) -> list[Group]:
    """Return the groups among runs that are configured alike: one where every seed is another, else one per stem."""
    seeds = [seed_of(configurations[run]) for run in runs]
    if None not in seeds and len(set(seeds)) == len(seeds):
        return [_group(runs, True, "Their configurations differ in nothing but the seed.")]
    reason = "Their configurations do not differ, and their names only by a number, a seed or a time."
    by_stem: dict[str, list[str]] = {}
    for run in runs:
        by_stem.setdefault(stem_of(run), []).append(run)
    return [_group(members, False, reason) for members in by_stem.values()]


def _group(runs: Sequence[str], seeded: bool, reason: str) -> Group:
    """Return a group that is named later; `reason` holds for more runs than one."""
    if len(runs) == 1:
        return Group(runs[0], (runs[0],), seeded, "Nothing tells that another run repeats it.")
    return Group("", tuple(runs), seeded, reason)


# --- by name -------------------------------------------------------------------------------------------------------


def stem_of(run: str) -> str:
    """Return a run's name without seed, time and the number at its end: ``act/run_seed3`` → ``act``.

    Path components of which nothing telling is left are dropped; a name without anything else stays as it is.
    """
    text = _NUMBER.sub("", _without_seed(without_moment(run)))
    parts = [part.rstrip("-_. ") for part in text.split("/")]
    return "/".join(part for part in parts if not _SAYS_NOTHING.fullmatch(part)) or run


def _without_seed(run: str) -> str:
    return _SHORT_SEED.sub("", SEED_IN_TEXT.sub("", _CLEAN_RL.sub("", run)))


def _by_name(runs: Sequence[str]) -> list[Group]:
    """Return the groups of runs without a configuration, by explicit seeds and by numbers at the end of the names."""
    seeded: dict[str, list[str]] = {}
    numbered: dict[str, dict[int, str]] = {}
    groups = []
    for run in runs:
        stem, number = _stem_and_number(run)
        if _without_seed(run) != run:
            seeded.setdefault(_without_seed(run), []).append(run)
        elif number is None or number in numbered.get(stem, {}):
            groups.append(_group([run], False, ""))
        else:
            numbered.setdefault(stem, {})[number] = run
    groups += [
        _group(members, True, "Their names differ only by the seed, and no configuration tells more.")
        for members in seeded.values()
    ]
    return groups + [group for members in numbered.values() for group in _numbered(members)]


def _stem_and_number(run: str) -> tuple[str, int | None]:
    match = _NUMBER.search(run)
    stem = run[: match.start()] if match else run
    return (run, None) if match is None or _COUNTED_BY_ITSELF.search(stem) else (stem, int(match[1]))


def _numbered(members: Mapping[int, str]) -> list[Group]:
    """Return one group where the numbers are consecutive; ``hidden_64`` and ``hidden_128`` are no repetitions."""
    numbers = sorted(members)
    if numbers[-1] - numbers[0] != len(numbers) - 1:
        return [_group([run], False, "") for run in members.values()]
    reason = "Their names differ only by a number, and no configuration tells more."
    return [_group(list(members.values()), False, reason)]


# --- what a group is called ----------------------------------------------------------------------------------------


def _named(
    groups: Sequence[Group],
    settings: Mapping[str, Mapping[str, Identity]],
    configurations: Mapping[str, Configuration],
) -> list[Group]:
    """Return the groups with names: by what is configured differently where that tells them apart, else by stems."""
    told = [group for group in groups if settings[group.runs[0]]]
    keys = distinguishing_keys([settings[group.runs[0]] for group in told])
    short = _short_keys(keys)
    named = []
    for group in groups:
        run = group.runs[0]
        if settings[run] and 0 < len(keys) <= MOST_KEYS_IN_NAME:
            texts = [_value_text(settings[run].get(key), configurations[run], key) for key in keys]
            name = ", ".join(f"{key}={text}" for key, text in zip(short, texts, strict=True))
        else:
            name = group.name or _common_name(group.runs)
        named.append(replace(group, name=name))
    return named


def _common_name(runs: Sequence[str]) -> str:
    """Return the common part of the names of a group; without a stem what stands before the number: ``run``."""
    stem = stem_of(runs[0])
    if len(runs) == 1 or stem != runs[0]:
        return stem
    return _END_NUMBER.sub("", stem) or stem


def distinguishing_keys(settings: Sequence[Mapping[str, Identity]]) -> tuple[str, ...]:
    """Return a small set of keys whose values tell configurations apart, as far as any keys do; most telling first.

    Greedy: each key is the one that splits what is still together into most parts; among equals a key that people name
    configurations by, then the least deep and the shortest.
    """
    candidates = sorted({key for values in settings for key in values})
    cells: list[tuple[object, ...]] = [()] * len(settings)
    chosen: list[str] = []
    while candidates:
        best = min(candidates, key=lambda key: _rank(key, _split(cells, settings, key)))
        split = _split(cells, settings, best)
        if len(set(split)) == len(set(cells)):
            break
        cells = split
        chosen.append(best)
        candidates.remove(best)
    return tuple(chosen)


def _split(
    cells: Sequence[tuple[object, ...]], settings: Sequence[Mapping[str, Identity]], key: str
) -> list[tuple[object, ...]]:
    return [(*cell, values.get(key)) for cell, values in zip(cells, settings, strict=True)]


def _rank(key: str, cells: Sequence[tuple[object, ...]]) -> tuple[int, bool, int, int, str]:
    return -len(set(cells)), not _TELLING.fullmatch(key.lower()), len(re.findall("[./]", key)), len(key), key


def _short_keys(keys: Sequence[str]) -> list[str]:
    """Return the last parts of dotted keys, and the whole key where two would be the same."""
    tails = [re.split(r"[./]", key)[-1] for key in keys]
    return [tail if tails.count(tail) == 1 else key for tail, key in zip(tails, keys, strict=True)]


def _value_text(value: Identity | None, configuration: Configuration, key: str) -> str:
    neutral = value is not None and value[0] == "str"
    text = value[1].strip("-_/. ") if value is not None and neutral else config_text(configuration.values.get(key))
    return shorten_middle(plain(text), MOST_VALUE_CHARACTERS)


def _named_uniquely(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Return the groups with names that differ: of several that would share one, the later ones are counted."""
    seen: Counter[str] = Counter()
    named = []
    for group in groups:
        seen[group.name] += 1
        name = group.name if seen[group.name] == 1 else f"{group.name} ({seen[group.name]})"
        named.append(replace(group, name=name))
    return tuple(named)
