"""Series drawn with characters, for a terminal: a curve of Braille dots with its axes, and a curve of one line.

Every function is pure. Nothing is averaged: every drawn dot is a point of the series or lies on the straight line
between two neighbours.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from monitor.analysis.series import non_finite_rows, thin
from monitor.figures import moment, sparkline
from monitor.schema import Floats, Points, Progress
from monitor.text import format_number

LOG_RATIO = 100.0  # from this ratio of largest to smallest on, a linear axis would hide the small end
_DOT_COLUMNS, _DOT_ROWS = 2, 4  # of one Braille character
_DOT_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BLANK_BRAILLE = 0x2800
_POINTS_PER_CELL = 16  # as many tell what a character shows; the extremes are always among them

Dots = npt.NDArray[np.bool_]


def spark_of(points: Points, width: int) -> str:
    """Return a series in at most `width` characters: of every share of the points the last one, ``×`` if not finite.

    Args:
        points: Visible points of one series.
        width: At least 1.
    """
    shares = np.array_split(points.value, min(width, len(points))) if len(points) else []
    return sparkline([float(share[-1]) if np.isfinite(share).all() else math.nan for share in shares])


def curve_lines(
    points: Points,
    progress: Progress,
    width: int,
    height: int,
    format_value: Callable[[float], str] = format_number,
) -> tuple[str, ...]:
    """Return a series as `height` lines of at most `width` characters: its curve, the axis, what the axis spans.

    The scale is logarithmic, and says so, where all values are positive and the largest is `LOG_RATIO` times the
    smallest or more. A value that is not finite is a ``×`` on the axis and interrupts the curve.

    Args:
        points: Visible points of one series: their steps never decrease.
        progress: To name steps as epochs where they are.
        width: In characters, at least 20.
        height: In lines, at least 4.
        format_value: Writes the largest and the smallest value beside the curve.

    Returns:
        The lines; none without a finite value.
    """
    rows = thin(points.step, points.value, _POINTS_PER_CELL * width)
    points = points.take(np.union1d(rows, non_finite_rows(points.value)))
    finite = np.isfinite(points.value)
    if not finite.any():
        return ()
    low, high = float(points.value[finite].min()), float(points.value[finite].max())
    labels = [format_value(high), format_value(low)]
    gutter = max(map(len, labels))
    plot = _braille(_dots(points, width - gutter - 1, height - 2))
    names = [labels[0], *[""] * (len(plot) - 2), labels[1]]
    lines = [f"{name:>{gutter}}│{line}" for name, line in zip(names, plot, strict=True)]
    marked = _marked_cells(points, width - gutter - 1)
    axis = "".join("×" if cell in marked else "─" for cell in range(width - gutter - 1))
    return (*lines, f"{'':>{gutter}}└{axis}", _span(points, progress, width, remark=_remark(low, high, marked)))


def _remark(low: float, high: float, marked: set[int]) -> str:
    remarks = ["log axis" if _is_logarithmic(low, high) else "", "× not finite" if marked else ""]
    return ", ".join(filter(None, remarks))


def _span(points: Points, progress: Progress, width: int, remark: str) -> str:
    """Return the first step on the left, the last one on the right, the remark between them where it has room."""
    first, last = moment(int(points.step[0]), progress), moment(int(points.step[-1]), progress)
    room = width - len(first) - len(last) - 2
    if room < 0:
        return last.rjust(width)[:width]
    return f"{first} {remark if len(remark) <= room else '':^{room}} {last}"


def _is_logarithmic(low: float, high: float) -> bool:
    return low > 0 and high / low >= LOG_RATIO


def _shares_of_axis(steps: npt.NDArray[np.int64]) -> Floats:
    """Return where each step lies between the first (0) and the last one (1)."""
    places = steps.astype(np.float64)
    span = places[-1] - places[0]
    return (places - places[0]) / span if span > 0 else np.zeros(len(places))


def _marked_cells(points: Points, width: int) -> set[int]:
    """Return the characters of the axis below which a value is not finite."""
    places = _shares_of_axis(points.step)[~np.isfinite(points.value)]
    columns = np.rint(places * (width * _DOT_COLUMNS - 1)).astype(np.intp)
    return set((columns // _DOT_COLUMNS).tolist())


def _heights(values: Floats) -> Floats:
    """Return how high each value lies between the smallest (0) and the largest (1), on the scale of the axis."""
    low, high = float(values.min()), float(values.max())
    if _is_logarithmic(low, high):
        values, low, high = np.log10(values), math.log10(low), math.log10(high)
    # Halved before the subtraction: the span of two huge values of opposite sign would overflow.
    span = high / 2 - low / 2
    return (values / 2 - low / 2) / span if span > 0 else np.zeros(len(values))


def _dots(points: Points, width: int, height: int) -> Dots:
    """Return which dots are set, shape ``(4 · height, 2 · width)``, the top row first.

    A column shows all its points from the lowest to the highest and is joined with the column before.
    """
    finite = np.isfinite(points.value)
    n_rows, n_columns = height * _DOT_ROWS, width * _DOT_COLUMNS
    columns = np.rint(_shares_of_axis(points.step)[finite] * (n_columns - 1)).astype(np.intp)
    rows = np.rint((1 - _heights(points.value[finite])) * (n_rows - 1)).astype(np.intp)
    interruptions = np.cumsum(~finite)[finite]
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    ends = np.append(starts[1:], len(columns)) - 1
    dots = np.zeros((n_rows, n_columns), np.bool_)
    tops, bottoms = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts)
    for column, top, bottom in zip(columns[starts], tops, bottoms, strict=True):
        dots[top : bottom + 1, column] = True
    for end, start in zip(ends[:-1], starts[1:], strict=True):
        if interruptions[end] == interruptions[start]:
            _join(dots, columns[end], rows[end], columns[start], rows[start])
    return dots


def _join(dots: Dots, column: int, row: int, next_column: int, next_row: int) -> None:
    """Set the dots of a straight line from one point to a later one, without holes where it is steep."""
    line = np.rint(np.linspace(row, next_row, next_column - column + 1)).astype(np.intp)
    for place, (before, after) in enumerate(pairwise(line), column + 1):
        dots[min(before, after) : max(before, after) + 1, place] = True


def _braille(dots: Dots) -> list[str]:
    """Return one line of text per four rows of dots. Source: the Unicode block "Braille Patterns", U+2800."""
    n_rows, n_columns = dots.shape
    cells = dots.reshape(n_rows // _DOT_ROWS, _DOT_ROWS, n_columns // _DOT_COLUMNS, _DOT_COLUMNS)
    codes = np.einsum("yaxb,ab->yx", cells.astype(np.intp), _DOT_BITS)
    return ["".join(chr(_BLANK_BRAILLE + code) if code else " " for code in line) for line in codes.tolist()]
