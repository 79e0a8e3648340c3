"""Whether groups of runs really differ: the difference of means with its interval, corrected for many looks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from monitor.schema import Direction, Floats
from monitor.text import format_number, plain

Outcome = Literal["better", "worse", "not_separable", "too_few"]

CONFIDENCE = 0.95
POWER = 0.8
MOST_NEEDED = 100  # runs of each; beyond, an estimate from a few runs says "very many" and no more


@dataclass(frozen=True, slots=True)
class Interval:
    """The difference of two means, a − b, with its 95 % interval.

    Args:
        difference: mean(a) − mean(b).
        low: Lower end.
        high: Upper end.
        p_value: Probability of a difference at least this large were the two the same, two-sided.
    """

    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One group against the baseline.

    Args:
        group: Name of the group.
        baseline: Name of the baseline.
        n: Runs of the group with a finite value.
        n_baseline: Runs of the baseline with a finite value.
        difference: mean(group) − mean(baseline) in the metric's own unit; None where one of them has no value.
        low: Lower end of the 95 % interval of `difference`; None with fewer than two runs in either, or where no
            run differs from its group.
        high: Upper end.
        p_value: Two-sided, of this comparison alone.
        p_corrected: After Holm's correction for all comparisons made.
        needed_runs: Runs of each group at which a difference of the size seen would be found four times out of five:
            an estimate from the spread of the few runs there are; None where separable, without an interval, or above
            `MOST_NEEDED`.
        outcome: ``better`` or ``worse`` than the baseline, ``not_separable``, or ``too_few`` runs to tell.
        sentence: The same in words.
    """

    group: str
    baseline: str
    n: int
    n_baseline: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_corrected: float | None
    needed_runs: int | None
    outcome: Outcome
    sentence: str


# --- two groups ----------------------------------------------------------------------------------------------------


def welch(a: Floats, b: Floats) -> Interval | None:
    """Return the difference of two means with Welch's t interval; the two may vary differently.

    Args:
        a: Results of one group, finite, shape ``(n_runs,)``.
        b: Results of the other.

    Returns:
        None with fewer than two results in either, or where neither varies.

    Source: Welch, "The generalization of 'Student's' problem when several different population variances are
    involved" (1947); for few seeds recommended by Colas et al., "A Hitchhiker's Guide to Statistical Comparisons of
    Reinforcement Learning Algorithms" (2019).
    """
    if min(len(a), len(b)) < 2:
        return None
    from scipy.special import stdtr, stdtrit  # Student's t distribution; late: it takes a third of a second

    parts = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    error = math.sqrt(sum(parts))
    if not _varies(a, b):
        return None
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    difference = float(a.mean() - b.mean())
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    return Interval(difference, difference - reach, difference + reach, p_value)


def _varies(a: Floats, b: Floats) -> bool:
    """Return whether the results of either group differ by more than rounding leaves of equal ones."""
    smallest = 1e-12 * max(float(np.abs(a).max()), float(np.abs(b).max()))
    return bool(np.ptp(a) > smallest or np.ptp(b) > smallest)


def pair_probabilities(groups: Sequence[Floats]) -> list[float]:
    """Return the two-sided probabilities of `welch` for every pair of groups that it can tell apart.

    All pairs are computed together: two hundred groups have twenty thousand.
    """
    known = [values for values in groups if len(values) > 1]
    if len(known) < 2:
        return []
    from scipy.special import stdtr

    first, second = np.triu_indices(len(known), 1)
    n = np.array([len(values) for values in known], np.float64)
    mean = np.array([values.mean() for values in known], np.float64)
    part = np.array([values.var(ddof=1) / len(values) for values in known], np.float64)
    varies = np.array([_varies(values, values) for values in known], np.bool_)
    kept = varies[first] | varies[second]
    first, second = first[kept], second[kept]
    variance = part[first] + part[second]
    freedom = variance**2 / (part[first] ** 2 / (n[first] - 1) + part[second] ** 2 / (n[second] - 1))
    return [float(p) for p in 2 * stdtr(freedom, -np.abs(mean[first] - mean[second]) / np.sqrt(variance))]


def mean_interval(values: Floats) -> tuple[float, float] | None:
    """Return Student's 95 % interval of a mean; None with fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    reach = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - reach, float(values.mean()) + reach


def holm(p_values: Sequence[float]) -> list[float]:
    """Return probabilities corrected for the number of tests made, in the order given.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    stepped = np.maximum.accumulate(np.minimum(np.asarray(p_values, np.float64)[order] * factors, 1.0))
    corrected = np.empty(len(order))
    corrected[order] = stepped
    return [float(value) for value in corrected]


def needed_runs(a: Floats, b: Floats, n_tests: int = 1) -> int | None:
    """Return how many runs of each group would show the difference seen with a power of 80 %: an estimate.

    The means and spreads of a few runs stand for the true ones, which they may miss by far.

    Args:
        a: Results of one group, finite, at least two.
        b: Results of the other.
        n_tests: Comparisons that are corrected for.

    Returns:
        The smallest number of at least two, None above `MOST_NEEDED`.

    Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), with t for normal quantiles as in
    Colas et al., "How Many Random Seeds?" (2018).
    """
    from scipy.special import stdtrit

    variance = float(a.var(ddof=1) + b.var(ddof=1))
    gap = float(a.mean() - b.mean())
    n = np.arange(2, MOST_NEEDED + 1)
    freedom = 2.0 * (n - 1)
    quantiles = stdtrit(freedom, 1 - (1 - CONFIDENCE) / (2 * n_tests)) + stdtrit(freedom, POWER)
    enough = np.flatnonzero(n * gap**2 >= quantiles**2 * variance)
    return int(n[enough[0]]) if len(enough) else None


# --- several groups ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Differences:
    """Every group against the baseline, and how many comparisons were corrected for."""

    each: tuple[Difference, ...] = ()
    n_tests: int = 0


def differences(
    values: Mapping[str, Floats],
    baseline: str,
    direction: Direction,
    repetitions: Mapping[str, str],
    *,
    chosen_by_result: bool,
) -> Differences:
    """Return every other group against the baseline, in the order given.

    Args:
        values: group → finite results of its runs, shape ``(n_runs,)``, empty where it has none.
        baseline: One of the groups.
        direction: Which way is better.
        repetitions: group → what its runs are called: ``seeds`` where they are told to differ by them, else ``runs``.
        chosen_by_result: Whether the baseline is the baseline because of its result. Then every pair of groups could
            have been the one looked at, and Holm's correction counts them all; else those with the baseline only.
    """
    others = [name for name in values if name != baseline]
    intervals = {name: welch(values[name], values[baseline]) for name in others}
    tested = [name for name, interval in intervals.items() if interval is not None]
    p_values = [interval.p_value for interval in intervals.values() if interval is not None]
    if chosen_by_result:
        p_values += pair_probabilities([values[name] for name in others])
    corrected = dict(zip(tested, holm(p_values), strict=False))  # those of the other pairs only count
    pairs = _Pairs(values, baseline, direction, repetitions, len(p_values))
    each = tuple(pairs.difference(name, intervals[name], corrected.get(name)) for name in others)
    return Differences(each, len(p_values))


@dataclass(frozen=True, slots=True)
class _Pairs:
    """What the comparisons with one baseline have in common."""

    values: Mapping[str, Floats]
    baseline: str
    direction: Direction
    repetitions: Mapping[str, str]
    n_tests: int

    def difference(self, group: str, interval: Interval | None, corrected: float | None) -> Difference:
        a, b = self.values[group], self.values[self.baseline]
        outcome = self._outcome(a, b, interval, corrected)
        needed = needed_runs(a, b, self.n_tests) if interval and outcome == "not_separable" else None
        return Difference(
            group=group,
            baseline=self.baseline,
            n=len(a),
            n_baseline=len(b),
            difference=float(a.mean() - b.mean()) if len(a) and len(b) else None,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            p_value=None if interval is None else interval.p_value,
            p_corrected=corrected,
            needed_runs=needed,
            outcome=outcome,
            sentence=self._sentence(group, interval, corrected, outcome, needed),
        )

    def _outcome(self, a: Floats, b: Floats, interval: Interval | None, corrected: float | None) -> Outcome:
        if interval is None or corrected is None:
            return "too_few" if min(len(a), len(b)) < 2 else "not_separable"
        if corrected >= 1 - CONFIDENCE:
            return "not_separable"
        return "better" if (interval.difference < 0) == (self.direction == "min") else "worse"

    def _sentence(
        self, group: str, interval: Interval | None, corrected: float | None, outcome: Outcome, needed: int | None
    ) -> str:
        if interval is None or corrected is None:
            return self._without_interval(group)
        gap = self._gap(group, interval)
        names = f"{plain(group)} is {self._comparative(interval)} than {plain(self.baseline)}"
        if outcome != "not_separable":
            return f"{names} by {gap}."
        estimate = self._estimate(group, needed)
        if interval.p_value < 1 - CONFIDENCE:
            probability = format_number(corrected, 2)
            return (
                f"{names} by {gap}, but among {self.n_tests} comparisons that may be chance "
                f"(p = {probability} after correction); {estimate}."
            )
        return f"No difference seen between {plain(group)} and {plain(self.baseline)}: {gap}; {estimate}."

    def _comparative(self, interval: Interval) -> str:
        return "better" if (interval.difference < 0) == (self.direction == "min") else "worse"

    def _gap(self, group: str, interval: Interval) -> str:
        """Return the difference as the amount by which the better one is better, with interval and numbers of runs."""
        sign = 1 if interval.difference >= 0 else -1
        low, high = sorted((sign * interval.low, sign * interval.high))
        size = format_number(abs(interval.difference), 3)
        return f"{size} (95 % interval {format_number(low, 3)} to {format_number(high, 3)}, {self._counts(group)})"

    def _counts(self, group: str) -> str:
        kinds = {self.repetitions[group], self.repetitions[self.baseline]}
        kind = kinds.pop() if len(kinds) == 1 else "runs"
        return f"{len(self.values[group])} and {len(self.values[self.baseline])} {kind}"

    def _estimate(self, group: str, needed: int | None) -> str:
        if needed is None:
            return f"a difference of this size would take more than {MOST_NEEDED} runs of each to show (an estimate)"
        more = max(needed - min(len(self.values[group]), len(self.values[self.baseline])), 1)
        runs = "one more run" if more == 1 else f"{more} more runs"
        return f"if it is real, about {runs} of each would show it (an estimate)"

    def _without_interval(self, group: str) -> str:
        a, b = self.values[group], self.values[self.baseline]
        names = f"{plain(group)} and {plain(self.baseline)}"
        lacking = [name for name in (group, self.baseline) if not len(self.values[name])]
        if lacking:
            return (
                f"{plain(lacking[0])} has no finite value, so there is nothing to compare with {plain(self.baseline)}."
            )
        if len(a) == len(b) == 1:
            return f"{names} are not separable with 1 run each."
        if min(len(a), len(b)) < 2:
            return f"{names} are not separable with {len(a)} and {len(b)} runs; it takes two of each at least."
        both = np.concatenate((a, b))
        if not _varies(both, both):
            return f"No difference seen between {names}: all runs of both gave {format_number(float(a[0]))}."
        return f"{names} are not separable: the runs of a group do not differ at all, so their noise is unknown."
