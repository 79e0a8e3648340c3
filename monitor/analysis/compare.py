"""Several runs side by side: figures of one metric per run, their ranking, and what differs in the configurations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from monitor.analysis.series import best_row, session_starts, visible
from monitor.schema import Configuration, ConfigValue, Direction, Points
from monitor.text import format_number, format_percent, plain

By = Literal["best", "last"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """The figures of one metric in one run; unknown is None.

    Args:
        run: Name of the run.
        best: Best finite value of the visible points.
        best_step: Its step.
        last: Newest value, NaN and infinities included.
        last_step: Its step.
        n_points: Number of visible points.
        duration_seconds: Time between the first and the last point, summed over the sessions: pauses between two
            sessions do not count, work that was done again does.
    """

    run: str
    best: float | None
    best_step: int | None
    last: float | None
    last_step: int | None
    n_points: int
    duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs compared in one metric.

    Args:
        tag: Name of the metric.
        direction: Which way is better, None when neither.
        by: Whether best or last values were compared.
        rows: One per run, in the order given.
        ranking: Names of the runs, best first, those without a finite value last; empty without a direction.
        verdict: What can be said, as a whole sentence.
    """

    tag: str
    direction: Direction | None
    by: By
    rows: tuple[RunRow, ...]
    ranking: tuple[str, ...]
    verdict: str


def compare_runs(
    points_by_run: Mapping[str, Points], direction: Direction | None, by: By, tag: str = "metric"
) -> Comparison:
    """Return the figures, the ranking and the verdict over several runs.

    Args:
        points_by_run: Name of the run → points of the metric, without points where the run lacks it.
        direction: Which way is better.
        by: Compare the best or the newest values.
        tag: Name of the metric, for the verdict.
    """
    rows = tuple(_row(run, points, direction) for run, points in points_by_run.items())
    ranked = _ranked(rows, direction, by)
    known = [(row.run, value) for row in ranked if (value := _value(row, by)) is not None]
    verdict = _verdict(known, direction, by, plain(tag))
    return Comparison(tag, direction, by, rows, tuple(row.run for row in ranked), verdict)


def _row(run: str, points: Points, direction: Direction | None) -> RunRow:
    shown = visible(points)
    best = best_row(shown.value, direction)
    newest = len(shown) - 1 if len(shown) else None
    return RunRow(
        run=run,
        best=None if best is None else float(shown.value[best]),
        best_step=None if best is None else int(shown.step[best]),
        last=None if newest is None else float(shown.value[newest]),
        last_step=None if newest is None else int(shown.step[newest]),
        n_points=len(shown),
        duration_seconds=_duration_seconds(points),
    )


def _duration_seconds(points: Points) -> float | None:
    if not len(points):
        return None
    starts = session_starts(points)
    return float((np.maximum.reduceat(points.wall_time, starts) - np.minimum.reduceat(points.wall_time, starts)).sum())


def _value(row: RunRow, by: By) -> float | None:
    value = row.best if by == "best" else row.last
    return value if value is not None and math.isfinite(value) else None


def _ranked(rows: tuple[RunRow, ...], direction: Direction | None, by: By) -> list[RunRow]:
    if direction is None:
        return []

    def place(row: RunRow) -> tuple[bool, float]:
        value = _value(row, by)
        return (True, 0.0) if value is None else (False, value if direction == "min" else -value)

    return sorted(rows, key=place)


def _verdict(known: list[tuple[str, float]], direction: Direction | None, by: By, tag: str) -> str:
    """Return what the first two of the ranking say, and that one run each says little."""
    if direction is None:
        return f"Neither a smaller nor a larger {tag} is better, so the runs are not ranked."
    if not known:
        return f"No run has a finite {by} value of {tag} yet."
    (first, value), *others = known
    if not others:
        return f"Only {plain(first)} has a finite {by} value of {tag}, so there is nothing to compare it with."
    second, other = others[0]
    superlative = "lowest" if direction == "min" else "highest"
    if value == other:
        return f"{plain(first)} and {plain(second)} share the {superlative} {by} {tag}, {format_number(value)}."
    return (
        f"{plain(first)} has the {superlative} {by} {tag}, {format_number(value)}, {_distance(value, other)} "
        f"{'below' if direction == 'min' else 'above'} {plain(second)}; with one run each this may be noise."
    )


def _distance(value: float, other: float) -> str:
    """Return how far two values lie apart: in percent of the second, or as a number where percent says nothing."""
    difference = abs(value - other)
    percent = 100 * difference / abs(other) if other and value * other > 0 else math.inf
    if percent >= 1000:
        return format_number(difference, digits=3)
    return format_percent(percent, digits=1) if percent >= 0.05 else "less than 0.1 %"


def config_difference(configurations: Mapping[str, Configuration]) -> Mapping[str, Mapping[str, ConfigValue]]:
    """Return the keys whose values differ between runs: key → run → value, sorted by key.

    A key that a run lacks is None there. Runs without any configuration are shown but cannot make a key differ.
    """
    told = {run: configuration for run, configuration in configurations.items() if configuration.values}
    keys = sorted({key for configuration in told.values() for key in configuration.values})
    return {
        key: {run: configuration.values.get(key) for run, configuration in configurations.items()}
        for key in keys
        if len({_identity(configuration.values.get(key)) for configuration in told.values()}) > 1
    }


def _identity(value: ConfigValue) -> tuple[str, str]:
    """Return what makes two values the same: 1 and 1.0 are, 1 and True or 1 and "1" are not, NaN is NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return type(value).__name__, str(value)
    return "number", repr(float(value)) if abs(value) < 2**53 else str(value)
