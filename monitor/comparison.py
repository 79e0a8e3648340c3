"""Several RunStatus → their comparison: which series, which groups, which configuration; for terminal and pages."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from monitor.analysis.compare import Comparison, GroupRow, Reading, compare_runs, is_test
from monitor.analysis.configurations import (
    Association,
    Difference,
    SortedDifference,
    associations,
    merged,
    sort_difference,
)
from monitor.analysis.difference import CONFIDENCE
from monitor.analysis.groups import find_groups
from monitor.analysis.roles import direction_of, spell
from monitor.analysis.run_figures import By, Selection
from monitor.errors import UsageInvalid
from monitor.schema import Configuration, ConfigValue, Direction, Roles, RoleTag
from monitor.status import SCHEMA_VERSION, RunStatus, strict_json

METHOD = "Welch's t interval of the difference of means"
CORRECTION = "Holm"
_TEST_WORD = re.compile(r"(?<=[/_])testing(?=[/_])|(?<=[/_])test(?=[/_])")
_VALIDATION_WORDS = ("val", "validation", "valid", "eval", "dev")


@dataclass(frozen=True)
class RunComparison:
    """Several runs compared in one metric, with what is configured differently.

    Args:
        statuses: The runs, in the order given.
        tags: The series of each run that was compared; None where it has none.
        comparison: Figures, groups, ranking and verdict.
        chosen_by: The series whose best value decides where the metric is read; None where the metric decides.
        configurations: Run → configuration with the hyper-parameters of its events.
        difference: The keys that differ.
        associations: Which settings go with the result, the strongest first; empty without a ranking.
    """

    statuses: tuple[RunStatus, ...]
    tags: tuple[str | None, ...]
    comparison: Comparison
    chosen_by: str | None
    configurations: Mapping[str, Configuration]
    difference: SortedDifference
    associations: tuple[Association, ...]


def compare_statuses(
    statuses: Sequence[RunStatus],
    tags: Sequence[str | None],
    by: By = "best",
    *,
    step: int | None = None,
    chosen_by: str | None = None,
    group_pattern: str | None = None,
    baseline: str | None = None,
    hparams: Mapping[str, Mapping[str, ConfigValue]] | None = None,
    direction: Direction | None = None,
) -> RunComparison:
    """Return the comparison of some runs.

    Args:
        statuses: Runs with different names.
        tags: The series of each run to compare, None for a run that has none.
        by: Which value of a run is compared.
        step: The step to compare at, with ``step``.
        chosen_by: With ``best``: read the metric where this series is best. None for the metric itself, but for a
            test series a validation series of the same metric where all runs have one.
        group_pattern: As `groups.find_groups` takes it.
        baseline: Name of a group or run; None for the best group.
        hparams: Run → hyper-parameters logged in its events.
        direction: Which way is better; None to go by the roles and the name of the series.

    Raises:
        UsageInvalid: The pattern cannot be used, there is no such baseline, or `chosen_by` has no direction.
    """
    configurations = {
        status.run.name: merged(status.configuration, (hparams or {}).get(status.run.name, {})) for status in statuses
    }
    tag = next((tag for tag in tags if tag is not None), None)
    groups = find_groups([status.run.name for status in statuses], configurations, group_pattern)
    names = [name for group in groups for name in (group.name, *group.runs)]
    if baseline is not None and baseline not in names:
        raise UsageInvalid(
            f'There is no group and no run "{baseline}" to compare with.',
            hint=f"There are: {', '.join(dict.fromkeys(group.name for group in groups))}.",
        )
    selection = _selection(statuses, tag, chosen_by) if by == "best" else None
    comparison = compare_runs(
        {status.run.name: status.scalars.points(tag) for status, tag in zip(statuses, tags, strict=True)},
        direction or _direction(statuses, tag),
        Reading(by, step, selection),
        tag or "loss",
        groups=groups,
        baseline=baseline,
        health={status.run.name: status.health.score for status in statuses},
    )
    difference = sort_difference(configurations)
    return RunComparison(
        tuple(statuses),
        tuple(tags),
        comparison,
        selection.tag if selection else None,
        configurations,
        difference,
        _associations(comparison, difference),
    )


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How all runs of a list belong together.

    Args:
        groups: Run → name of its group; without the runs that nothing repeats.
        settings: What is configured differently, key → run → value; the keys that most runs tell come first.
    """

    groups: Mapping[str, str]
    settings: Difference


def arrange(configurations: Mapping[str, Configuration], group_pattern: str | None = None) -> Arrangement:
    """Return which runs repeat one configuration, and what differs between them.

    Raises:
        UsageInvalid: The pattern cannot be used.
    """
    groups = find_groups(list(configurations), configurations, group_pattern)
    settings = sort_difference(configurations).settings
    told = {key: sum(value is not None for value in values.values()) for key, values in settings.items()}
    return Arrangement(
        {run: group.name for group in groups if len(group.runs) > 1 for run in group.runs},
        {key: settings[key] for key in sorted(settings, key=lambda key: (-told[key], key))},
    )


def usual_tag(statuses: Sequence[RunStatus]) -> str | None:
    """Return the series to compare by where nobody says: with a direction, and in more than half of the runs.

    Of those that most runs have, a validation loss goes before the loss and the loss before a score; a series of the
    test data is never chosen.

    Returns:
        None where the runs do not have enough in common.
    """
    runs_with = Counter(tag for status in statuses for tag in status.scalars.series)
    wished = [role.tag for status in statuses for role in _wished(status.roles)]
    most = max((runs_with[tag] for tag in wished), default=0)
    if 2 * most <= sum(bool(status.scalars.count) for status in statuses):
        return None
    return next(tag for tag in wished if runs_with[tag] == most)


def _wished(roles: Roles) -> list[RoleTag]:
    known: tuple[RoleTag, ...] = (*roles.validation[:1], *((roles.loss,) if roles.loss else ()), *roles.scores)
    return [role for role in known if role.direction is not None and not is_test(role.tag)]


def _direction(statuses: Sequence[RunStatus], tag: str | None) -> Direction | None:
    """Return which way a series is better: as the roles of the first run that uses it say, else by its name."""
    if tag is None:
        return None
    for status in statuses:
        roles = status.roles
        known: tuple[RoleTag, ...] = (*((roles.loss,) if roles.loss else ()), *roles.validation, *roles.scores)
        found = next((role for role in known if role.tag == tag), None)
        if found is not None:
            return found.direction
    return direction_of(tag)


def _selection(statuses: Sequence[RunStatus], tag: str | None, named: str | None) -> Selection | None:
    """Return the series that decides where the metric is read, None where the metric does itself."""
    chosen = named if named is not None else _validation_of(statuses, tag)
    if chosen is None or chosen == tag:
        return None
    direction = _direction(statuses, chosen)
    if direction is None:
        raise UsageInvalid(
            f'Neither a smaller nor a larger value of "{chosen}" is better, so nothing can be chosen by it.',
            hint="Name a validation loss or a score.",
        )
    return Selection(chosen, direction, {status.run.name: status.scalars.points(chosen) for status in statuses})


def _validation_of(statuses: Sequence[RunStatus], tag: str | None) -> str | None:
    """Return the validation series of the same metric as a test series, where all runs with scalars have one."""
    if tag is None or not is_test(tag):
        return None
    told = [status for status in statuses if status.scalars.count]
    shared = set.intersection(*(set(status.scalars.series) for status in told))
    spelled = f"/{spell(tag)}/"
    wanted = {_TEST_WORD.sub(word, spelled) for word in _VALIDATION_WORDS}
    return next((other for other in sorted(shared) if f"/{spell(other)}/" in wanted), None)


def _associations(comparison: Comparison, difference: SortedDifference) -> tuple[Association, ...]:
    """Return which settings go with the mean result of the groups."""
    if comparison.direction is None:
        return ()
    rows = comparison.groups
    configured = [{key: values[row.group.runs[0]] for key, values in difference.settings.items()} for row in rows]
    return associations(configured, [row.mean for row in rows], comparison.reading)


# --- for other programs --------------------------------------------------------------------------------------------


def comparison_json(found: RunComparison) -> dict[str, Any]:
    """Return the comparison as strict JSON values; keys are never left out, unknown is None."""
    comparison = found.comparison
    values = {
        "schema_version": SCHEMA_VERSION,
        "runs": [
            {"name": row.run, "group": comparison.label_of(row.run), "tag": tag, **_without(asdict(row), "run")}
            for row, tag in zip(comparison.rows, found.tags, strict=True)
        ],
        "ranking": list(comparison.ranking),
        "difference": _difference(found) if comparison.is_grouped or comparison.baseline_named else None,
        "verdict": comparison.verdict,
        "config_difference": {
            **{kind: _plainly(getattr(found.difference, kind)) for kind in ("settings", "seeds", "noise")},
            "associations": [asdict(item) for item in found.associations],
        },
        "problems": [asdict(problem) for status in found.statuses for problem in status.problems],
    }
    strict: dict[str, Any] = strict_json(values)
    return strict


def _without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def _plainly(difference: Mapping[str, Mapping[str, ConfigValue]]) -> dict[str, dict[str, ConfigValue]]:
    return {key: dict(values) for key, values in difference.items()}


def _difference(found: RunComparison) -> dict[str, Any]:
    comparison = found.comparison
    return {
        "compared": comparison.reading,
        "by": comparison.by,
        "chosen_by": found.chosen_by,
        "direction": comparison.direction,
        "baseline": comparison.baseline,
        "baseline_named": comparison.baseline_named,
        "confidence": CONFIDENCE,
        "method": METHOD,
        "correction": CORRECTION,
        "n_tests": comparison.differences.n_tests,
        "groups": [_group(row) for row in comparison.groups],
        "pairs": [asdict(pair) for pair in comparison.differences.each],
    }


def _group(row: GroupRow) -> dict[str, Any]:
    group = row.group
    named = {"name": group.name, "runs": list(group.runs), "seeded": group.seeded, "reason": group.reason}
    return {**named, **_without(asdict(row), "group")}
