"""Robust statistics on short arrays: medians, deviations, trends. Everything here is a pure function of numbers."""

import math

import numpy as np
import numpy.typing as npt

from monitor.schema import Floats

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation. Source: 1 / Φ⁻¹(3/4)."""

MEDIAN_EFFICIENCY = 1.25
"""Standard error of a median over that of a mean, for normal noise. Source: √(π/2) ≈ 1.2533."""


def median(values: Floats) -> float:
    """Return the median of a one-dimensional array that holds at least one finite number and nothing else.

    Several times faster than `numpy.median` on short arrays, where that one's checks take most of the time.
    """
    half = len(values) // 2
    ordered = values.copy()
    ordered.partition(half)
    upper = float(ordered[half])
    return upper if len(values) % 2 else (float(ordered[:half].max()) + upper) / 2


def robust_sigma(values: Floats) -> float:
    """Return the standard deviation estimated from the median absolute deviation; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    return MAD_TO_SIGMA * median(np.abs(values - median(values)))


def difference_sigma(differences: Floats) -> float:
    """Return the noise of a series from its differences, which carry no trend; 0 for fewer than two.

    The variance of a difference is twice that of a point, hence √2. Source: von Neumann (1941), "Distribution of the
    ratio of the mean square successive difference to the variance", with the MAD in place of the mean square.
    """
    return robust_sigma(differences) / math.sqrt(2)


def curvature_sigma(values: Floats) -> float:
    """Return the noise of a series from its second differences, which carry no trend that changes slowly either.

    First differences of a curve that falls and then rises spread by its slopes alone. The variance of a second
    difference of white noise is 6 (1 + 4 + 1) times that of a point; of a random walk it is a third of that, so slow
    wander still counts.
    """
    return robust_sigma(np.diff(values, 2)) / math.sqrt(6)


def mann_kendall_z(values: Floats) -> float:
    """Return the z value of the Mann–Kendall trend test: positive for a rise; 0 for fewer than three values.

    Ties are taken out of the variance. Source: Mann (1945); Kendall, "Rank Correlation Methods" (1975), with the
    usual continuity correction.
    """
    count = len(values)
    if count < 3:
        return 0.0
    signs = np.sign(values[None, :] - values[:, None])
    balance = float(np.triu(signs, 1).sum())
    _, ties = np.unique(values, return_counts=True)
    variance = (count * (count - 1) * (2 * count + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if variance <= 0 or balance == 0:
        return 0.0
    return (balance - math.copysign(1, balance)) / math.sqrt(variance)


def theil_sen_slope(values: Floats) -> float:
    """Return the median slope per index over all pairs; 0 for fewer than two values.

    Source: Theil (1950), Sen (1968). Memory grows with the square of the length: meant for block medians.
    """
    count = len(values)
    if count < 2:
        return 0.0
    first, second = np.triu_indices(count, 1)
    return median((values[second] - values[first]) / (second - first))


def row_medians(rows: Floats) -> Floats:
    """Return the median of each row of a two-dimensional array of finite numbers, shape ``(n_rows,)``."""
    half = rows.shape[1] // 2
    if rows.shape[1] % 2:
        odd: Floats = np.partition(rows, half, axis=1)[:, half]
        return odd
    ordered = np.partition(rows, (half - 1, half), axis=1)
    even: Floats = (ordered[:, half - 1] + ordered[:, half]) / 2
    return even


def block_medians(values: Floats, blocks: int) -> Floats:
    """Return the medians of `blocks` blocks of equal length; the remainder at the front is left out.

    Returns:
        Shape ``(blocks,)``, in order. There must be at least as many values as blocks.
    """
    length = len(values) // blocks
    rows: Floats = values[len(values) - blocks * length :].reshape(blocks, length)
    return rows[:, 0] if length == 1 else row_medians(rows)


def run_lengths(values: Floats) -> npt.NDArray[np.int64]:
    """Return for each position how many identical values end there: ``[7, 7, 8]`` gives ``[1, 2, 1]``."""
    positions = np.arange(len(values), dtype=np.int64)
    begins = np.ones(len(values), dtype=bool)
    begins[1:] = values[1:] != values[:-1]
    starts = np.maximum.accumulate(np.where(begins, positions, 0))
    lengths: npt.NDArray[np.int64] = positions - starts + 1
    return lengths
