"""Several runs side by side: what is compared, the figures of groups of seeds, the ranking, and the verdict."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from monitor.analysis.difference import Difference, Differences, differences, mean_interval
from monitor.analysis.group_curves import Centre, centre_of
from monitor.analysis.groups import Group
from monitor.analysis.roles import spell
from monitor.analysis.run_figures import By, Reading, RunRow, run_row, shared_steps, with_target
from monitor.analysis.series import visible
from monitor.schema import Direction, Floats, Points
from monitor.text import format_number, format_percent, format_step, plain

__all__ = ["By", "Comparison", "GroupRow", "Reading", "RunRow", "compare_runs", "is_test"]

UNEQUAL_LENGTHS = 1.05  # last step of the longest run over that of the shortest, from which on a word is said
MOST_SENTENCES = 5  # of the verdict about differences; the others are counted

_TEST = re.compile(r"(?:^|[/_])test(?:ing)?(?=$|[/_])")


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The figures of one group; unknown is None, and means are over the runs that have the figure.

    Args:
        group: Its name, its runs, and why they belong together.
        n: Runs with a finite value to compare.
        mean: Mean of their values.
        std: Sample standard deviation; None with fewer than two.
        low: Lower end of Student's 95 % interval of the mean; None with fewer than two.
        high: Upper end.
        median: Of the values.
        iqm: Inter-quartile mean.
        smallest: Of the values.
        largest: Of the values.
        best: Mean of the best values.
        last: Mean of the finite last values.
        final: Mean of the finite means over the last 5 %.
        area: Mean area under the curve.
        duration_seconds: Mean duration.
        n_reached: Runs that have become as good as the baseline's best.
        steps_to_target: Their mean step.
        seconds_to_target: Their mean time.
        health: Lowest score of the runs.
    """

    group: Group
    n: int
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    median: float | None
    iqm: float | None
    smallest: float | None
    largest: float | None
    best: float | None
    last: float | None
    final: float | None
    area: float | None
    duration_seconds: float | None
    n_reached: int
    steps_to_target: float | None
    seconds_to_target: float | None
    health: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs compared in one metric.

    Args:
        tag: Name of the metric.
        direction: Which way is better, None when neither.
        by: Which value was compared.
        rows: One per run, in the order given.
        ranking: Names of the groups, best mean first, those without a finite value last; names of the runs where no
            group has more than one. Empty without a direction.
        sentences: What can be said: the verdict, then what a reader must know to trust it.
        groups: One per group, in the order of the first runs.
        baseline: Name of the group that the others are compared with; None without a direction or a value.
        baseline_named: Whether a person chose it; else it is the best one.
        differences: The other groups against the baseline, in the order of the ranking.
        reading: What was compared, in words.
    """

    tag: str
    direction: Direction | None
    by: By
    rows: tuple[RunRow, ...]
    ranking: tuple[str, ...]
    sentences: tuple[str, ...]
    groups: tuple[GroupRow, ...] = ()
    baseline: str | None = None
    baseline_named: bool = False
    differences: Differences = field(default_factory=Differences)
    reading: str = ""

    @property
    def verdict(self) -> str:
        """What can be said, in one paragraph."""
        return " ".join(self.sentences)

    @property
    def is_grouped(self) -> bool:
        """Whether a group has more than one run."""
        return any(len(row.group.runs) > 1 for row in self.groups)

    def label_of(self, run: str) -> str | None:
        """Return the name of the group of a run; where every run is alone this is what tells it from the others."""
        return next((row.group.name for row in self.groups if run in row.group.runs), None)


def compare_runs(
    points_by_run: Mapping[str, Points],
    direction: Direction | None,
    by: By | Reading,
    tag: str = "metric",
    *,
    groups: Sequence[Group] = (),
    baseline: str | None = None,
    health: Mapping[str, int | None] | None = None,
) -> Comparison:
    """Return the figures, the ranking and the verdict over several runs.

    Args:
        points_by_run: Name of the run → points of the metric, without points where the run lacks it.
        direction: Which way is better.
        by: Which value of a run is compared.
        tag: Name of the metric, for the verdict.
        groups: As `groups.find_groups` returns them; every run in exactly one. None: each run by itself.
        baseline: Name of the group, or of a run of the group, to compare the others with; None for the best one.
        health: Run → score.

    Raises:
        ValueError: There is no group and no run called `baseline`.
    """
    reading = Reading(by) if isinstance(by, str) else by
    rows = _rows(points_by_run, direction, reading, health or {})
    chosen = _called(groups or [Group(run, (run,), False, "") for run in points_by_run])
    values = {name: _values(rows[run] for run in group.runs) for name, group in chosen.items()}
    ranking = _ranking(values, direction)
    base = _baseline(chosen, values, ranking, baseline) if direction is not None else None
    if base is not None:
        rows = with_target(rows, points_by_run, chosen[base].runs, direction)
    found = _differences(values, base, direction, ranking, chosen, chosen_by_result=baseline is None)
    partial = Comparison(
        tag=tag,
        direction=direction,
        by=reading.by,
        rows=tuple(rows.values()),
        ranking=ranking,
        sentences=(),
        groups=tuple(
            _group_row(group, values[name], [rows[run] for run in group.runs]) for name, group in chosen.items()
        ),
        baseline=base,
        baseline_named=baseline is not None,
        differences=found,
        reading=reading.phrase(tag),
    )
    return replace(partial, sentences=tuple(_verdict(partial, reading, values)))


def is_test(tag: str) -> bool:
    """Return whether a series was measured on the test data, by whose best value nothing may be chosen."""
    return _TEST.search(spell(tag)) is not None


# --- runs and groups -----------------------------------------------------------------------------------------------


def _rows(
    points_by_run: Mapping[str, Points], direction: Direction | None, reading: Reading, health: Mapping[str, int | None]
) -> dict[str, RunRow]:
    shown = {run: visible(points) for run, points in points_by_run.items()}
    shared = shared_steps(shown.values())
    return {
        run: run_row(run, points, shown[run], direction, reading, shared, health.get(run))
        for run, points in points_by_run.items()
    }


def _called(groups: Sequence[Group]) -> dict[str, Group]:
    """Return the groups by what they are called: by their runs where every run is alone."""
    grouped = any(len(group.runs) > 1 for group in groups)
    return {group.name if grouped else group.runs[0]: group for group in groups}


def _values(rows: Iterable[RunRow]) -> Floats:
    return np.array([row.value for row in rows if row.value is not None], np.float64)


def _ranking(values: Mapping[str, Floats], direction: Direction | None) -> tuple[str, ...]:
    if direction is None:
        return ()

    def place(name: str) -> tuple[bool, float]:
        if not len(values[name]):
            return True, 0.0
        mean = float(values[name].mean())
        return False, mean if direction == "min" else -mean

    return tuple(sorted(values, key=place))


def _baseline(
    groups: Mapping[str, Group], values: Mapping[str, Floats], ranking: Sequence[str], named: str | None
) -> str | None:
    """Return the group named, else the best one; one with several runs is preferred, for it can be compared."""
    if named is not None:
        found = [name for name, group in groups.items() if named in (name, group.name, *group.runs)]
        if not found:
            raise ValueError(f'there is no group and no run called "{named}"')
        return named if named in groups else found[0]
    known = [name for name in ranking if len(values[name])]
    repeated = [name for name in known if len(values[name]) > 1]
    return next(iter(repeated or known), None)


def _group_row(group: Group, values: Floats, rows: Sequence[RunRow]) -> GroupRow:
    interval = mean_interval(values)
    scores = [row.health for row in rows if row.health is not None]
    reached = [row for row in rows if row.steps_to_target is not None]
    return GroupRow(
        group=group,
        n=len(values),
        mean=_centre(values, "mean"),
        std=float(values.std(ddof=1)) if len(values) > 1 else None,
        low=None if interval is None else interval[0],
        high=None if interval is None else interval[1],
        median=_centre(values, "median"),
        iqm=_centre(values, "iqm"),
        smallest=float(values.min()) if len(values) else None,
        largest=float(values.max()) if len(values) else None,
        best=_mean(row.best for row in rows),
        last=_mean(row.last for row in rows),
        final=_mean(row.final for row in rows),
        area=_mean(row.area for row in rows),
        duration_seconds=_mean(row.duration_seconds for row in rows),
        n_reached=len(reached),
        steps_to_target=_mean(row.steps_to_target for row in reached),
        seconds_to_target=_mean(row.seconds_to_target for row in reached),
        health=min(scores, default=None),
    )


def _centre(values: Floats, centre: Centre) -> float | None:
    return float(centre_of(values[:, None], centre)[0]) if len(values) else None


def _mean(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None and math.isfinite(figure)]
    return float(np.mean(known)) if known else None


def _differences(
    values: Mapping[str, Floats],
    baseline: str | None,
    direction: Direction | None,
    ranking: Sequence[str],
    groups: Mapping[str, Group],
    *,
    chosen_by_result: bool,
) -> Differences:
    if baseline is None or direction is None:
        return Differences()
    ordered = {name: values[name] for name in ranking}
    kinds = {name: "seeds" if group.seeded else "runs" for name, group in groups.items()}
    return differences(ordered, baseline, direction, kinds, chosen_by_result=chosen_by_result)


# --- the verdict ---------------------------------------------------------------------------------------------------


def _verdict(comparison: Comparison, reading: Reading, values: Mapping[str, Floats]) -> list[str]:
    if comparison.direction is None:
        return [f"Neither a smaller nor a larger {plain(comparison.tag)} is better, so the runs are not ranked."]
    known = [(name, values[name]) for name in comparison.ranking if len(values[name])]
    if not known:
        return [f"No run has a finite {reading.value_phrase(comparison.tag)} yet."]
    if comparison.is_grouped or comparison.baseline_named:
        sentences = [_headline(comparison, *known[0]), *_difference_sentences(comparison.differences)]
    else:
        sentences = [_verdict_on_runs([(name, float(found[0])) for name, found in known], comparison, reading)]
    return [*sentences, *_notes(comparison, reading)]


def _headline(comparison: Comparison, name: str, values: Floats) -> str:
    superlative = "lowest" if comparison.direction == "min" else "highest"
    figure = format_number(float(values.mean()))
    if len(comparison.groups) == 1:
        spread = f", standard deviation {format_number(float(values.std(ddof=1)), 3)}" if len(values) > 1 else ""
        return f"All runs repeat one configuration: mean {comparison.reading} {figure}{spread} ({len(values)} runs)."
    if len(values) == 1:
        return f"{plain(name)} has the {superlative} {comparison.reading}, {figure}, from 1 run."
    return f"{plain(name)} has the {superlative} mean {comparison.reading}, {figure} over {len(values)} runs."


def _difference_sentences(found: Differences) -> list[str]:
    """Return the first differences in words, how many more there are, and for how many the chance was corrected."""
    sentences = [item.sentence for item in found.each[:MOST_SENTENCES]]
    if rest := found.each[MOST_SENTENCES:]:
        sentences.append(_counted(rest))
    if found.n_tests > 1:
        sentences.append(
            f"Chance is corrected for {found.n_tests} comparisons (Holm); each interval stands for itself."
        )
    return sentences


def _counted(rest: Sequence[Difference]) -> str:
    counts = Counter[str](item.outcome for item in rest)
    words = {"better": "better", "worse": "worse", "not_separable": "not separable", "too_few": "of too few runs"}
    listed = ", ".join(f"{counts[outcome]} {word}" for outcome, word in words.items() if counts[outcome])
    return f"Of {len(rest)} more groups against {plain(rest[0].baseline)}: {listed}."


def _verdict_on_runs(known: Sequence[tuple[str, float]], comparison: Comparison, reading: Reading) -> str:
    """Return what the first two of the ranking say, and that one run each says little."""
    (first, value), *others = known
    if not others:
        lacking = f"a finite {reading.value_phrase(comparison.tag)}"
        return f"Only {plain(first)} has {lacking}, so there is nothing to compare it with."
    second, other = others[0]
    superlative = "lowest" if comparison.direction == "min" else "highest"
    best = f"the {superlative} {comparison.reading}"
    if value == other:
        return f"{plain(first)} and {plain(second)} share {best}, {format_number(value)}."
    side = "below" if comparison.direction == "min" else "above"
    return (
        f"{plain(first)} has {best}, {format_number(value)}, {_distance(value, other)} {side} {plain(second)}; "
        "with one run each this may be noise."
    )


def _distance(value: float, other: float) -> str:
    """Return how far two values lie apart: in percent of the second, or as a number where percent says nothing."""
    difference = abs(value - other)
    percent = 100 * difference / abs(other) if other and value * other > 0 else math.inf
    if percent >= 1000:
        return format_number(difference, digits=3)
    return format_percent(percent, digits=1) if percent >= 0.05 else "less than 0.1 %"


def _notes(comparison: Comparison, reading: Reading) -> list[str]:
    """Return what a reader must know to trust the verdict: what is missing, unequal, or chosen by itself."""
    notes = []
    missing = [plain(row.run) for row in comparison.rows if row.value is None]
    if comparison.is_grouped and missing:
        listed = ", ".join(missing[:MOST_SENTENCES]) + (", …" if len(missing) > MOST_SENTENCES else "")
        notes.append(f"Without a finite {reading.value_phrase(comparison.tag)}, and so left out: {listed}.")
    ends = [row.last_step for row in comparison.rows if row.last_step is not None]
    if reading.by != "step" and max(ends, default=0) > UNEQUAL_LENGTHS * max(min(ends, default=0), 1):
        span = f"{format_step(min(ends))} to {format_step(max(ends))}"
        notes.append(f"The runs end at different steps ({span}); compared at the same step the result may be another.")
    if reading.by == "best" and reading.selection is None and is_test(comparison.tag):
        notes.append("The best value was chosen on the test data itself, which flatters it.")
    return notes
