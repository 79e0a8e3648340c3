"""What is drawn: lines of a series or of a group, and the marks of what happened along them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from monitor.analysis.group_curves import GroupCurve
from monitor.analysis.series import session_starts, smooth_sessions
from monitor.charts.styles import Style
from monitor.health import HealthPoint, label_of
from monitor.schema import Checkpoint, Finding, Floats, Points, Severity
from monitor.text import plain

MarkKind = Literal["finding", "checkpoint"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a place on the axis.

    Args:
        x: The place, as in `Curve.x`.
        kind: What it is.
        words: What the text under the pointer calls it.
        severity: Of a finding.
        is_open: False for a finding that is over; it is drawn faintly.
    """

    x: float
    kind: MarkKind
    words: str
    severity: Severity = "info"
    is_open: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One line to draw; the arrays have shape ``(n_points,)`` and are sorted by `x`.

    Args:
        label: Name in the legend; text from a file may be given as it is.
        x: Position on the axis; wall times in seconds UTC, relative times in seconds.
        value: Values as logged, NaN and infinities included.
        style: How it is drawn.
        smoothed: Smoothed values, drawn in front of the faint raw ones; None to draw the values themselves.
        restarts: Positions at which the run was started again.
        marks: What happened along the line.
        low: Lower edge of an area around the line, NaN where there is none; None for a line without an area.
        high: Upper edge, likewise.
        source: All points behind the line with their steps and times, in the unit of the axis, for a download.
        gaps: Positions between two points where nothing was measured for long: the line is interrupted there.
    """

    label: str
    x: Floats
    value: Floats
    style: Style
    smoothed: Floats | None = None
    restarts: Floats | None = None
    marks: tuple[Mark, ...] = ()
    low: Floats | None = None
    high: Floats | None = None
    source: Points | None = None
    gaps: Floats | None = None


def curve_of(
    points: Points,
    x: Floats,
    label: str,
    style: Style,
    *,
    scale: float = 1.0,
    weight: float = 0.0,
    marks: Sequence[Mark] = (),
) -> Curve:
    """Return the curve of one series; points without a place on the axis are left out.

    Args:
        points: Visible points.
        x: Their places on the axis, shape ``(n_points,)``.
        label: Name in the legend.
        style: How it is drawn.
        scale: Factor to the unit of the y axis.
        weight: Smoothing, begun anew at every session; 0 draws the values themselves.
        marks: What happened along the line.
    """
    value = points.value if scale == 1 else points.value * scale
    smoothed = smooth_sessions(points, weight) * scale if weight > 0 else None
    restarts = x[session_starts(points)[1:]]
    rows = _drawing_order(x)
    return Curve(
        label,
        x[rows],
        value[rows],
        style,
        None if smoothed is None else smoothed[rows],
        restarts[np.isfinite(restarts)],
        tuple(marks),
        source=replace(points, value=value),
    )


def _drawing_order(x: Floats) -> slice | np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the rows with a place, in the order of the axis: clocks may jump back. Nothing is copied where all fit."""
    if bool(np.isfinite(x).all()) and bool((x[1:] >= x[:-1]).all()):
        return slice(None)
    rows = np.flatnonzero(np.isfinite(x))
    return rows[np.argsort(x[rows], kind="stable")]


def _places(points: Points, x: Floats, steps: Sequence[int]) -> list[float]:
    """Return the places of some steps: of the first point at or behind each; those behind the last are left out."""
    rows = np.searchsorted(points.step, np.asarray(steps, np.int64))
    found = x[rows[rows < len(points)]]
    return [float(place) for place in found[np.isfinite(found)]]


# --- what happened -------------------------------------------------------------------------------------------------


def finding_marks(findings: Sequence[Finding], tag: str, points: Points, x: Floats) -> tuple[Mark, ...]:
    """Return where the findings about one series begin; mere information marks nothing.

    Args:
        findings: Of the run, those that are over included.
        tag: The series.
        points: Its visible points.
        x: Their places on the axis, shape ``(n_points,)``.
    """
    about = [item for item in findings if item.tag == tag and item.severity != "info"]
    return tuple(
        Mark(place, "finding", _finding_words(item), item.severity, item.open)
        for item in about
        if item.onset_step is not None
        for place in _places(points, x, [item.onset_step])
    )


def _finding_words(finding: Finding) -> str:
    over = "" if finding.open else ", over"
    return f"{finding.severity}: {label_of(finding)}{over}"


def checkpoint_marks(saved: Sequence[Checkpoint], points: Points, x: Floats, epochs: Floats) -> tuple[Mark, ...]:
    """Return where the checkpoints were saved: by their step, else their epoch, else the time of the file.

    A file copied later tells nothing by its time: one that lies before the first or behind the last point of the
    series, and an epoch or step that has not been logged, has no place.

    Args:
        saved: The checkpoints.
        points: The series they are placed along.
        x: Its places on the axis, shape ``(n_points,)``.
        epochs: The epochs of its points, counted from 1; NaN where unknown.
    """
    placed = [(item, _checkpoint_row(item, points, epochs)) for item in saved]
    marks = [
        Mark(float(x[row]), "checkpoint", f"checkpoint {plain(item.name)}")
        for item, row in placed
        if row is not None and np.isfinite(x[row])
    ]
    return tuple(sorted(marks, key=lambda mark: mark.x))


def _checkpoint_row(item: Checkpoint, points: Points, epochs: Floats) -> int | None:
    if item.step is not None:
        return _row_within(points.step.astype(np.float64), float(item.step))
    if item.epoch is not None:
        return _row_within(epochs, float(item.epoch))
    return _row_within(points.wall_time, item.modified)


def _row_within(ascending: Floats, wanted: float) -> int | None:
    """Return the last row at or below `wanted`, None outside the first and last row or where there is no order."""
    if not len(ascending) or not ascending[0] <= wanted <= ascending[-1]:
        return None
    return int(np.searchsorted(ascending, wanted, side="right")) - 1


# --- other lines ---------------------------------------------------------------------------------------------------


def group_line(group: GroupCurve, label: str, style: Style) -> Curve:
    """Return the centre of a group of runs with its interval as an area in the colour of the line."""
    return Curve(label, group.x, group.centre, style, low=group.low, high=group.high)


def health_points(history: Sequence[HealthPoint]) -> Points:
    """Return the score over time as the points of a series."""
    return Points(
        np.array([point.step for point in history], np.int64),
        np.array([point.wall_time for point in history], np.float64),
        np.array([point.score for point in history], np.float64),
        np.zeros(len(history), np.int16),
    )


def without_common_path(names: Sequence[str]) -> list[str]:
    """Return the names of runs without the directories that all of them share."""
    parts = [name.split("/") for name in names]
    depth = 0
    while all(len(path) > depth + 1 and path[depth] == parts[0][depth] for path in parts):
        depth += 1
    return ["/".join(path[depth:]) for path in parts]
