"""One curve for several runs: their centre and band wherever enough of them logged, without invented points."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from monitor.analysis.difference import CONFIDENCE
from monitor.analysis.series import last_of_each_step, smooth_sessions, visible
from monitor.schema import Floats, Points

Centre = Literal["mean", "median", "iqm"]
Band = Literal["std", "range", "bootstrap"]
Curve = tuple[Floats, Floats]

BOOTSTRAP_RESAMPLES = 1000
BOOTSTRAP_SEED = 0  # the same runs always give the same band
MOST_BOOTSTRAP_PLACES = 2000  # more than a chart shows; a thousand resamples of each take a while
_MOST_RESAMPLED = 2_000_000  # values held at once


@dataclass(frozen=True, slots=True, eq=False)
class GroupCurve:
    """The course of a group; all columns have shape ``(n_places,)``.

    Args:
        x: Places on the axis, ascending; each is one at which a run of the group logged a point.
        centre: Mean, median or inter-quartile mean of the runs' finite values there; NaN where no value is finite.
        low: Lower edge of the band; NaN where fewer than two values are finite.
        high: Upper edge.
        n: How many runs have a finite value there.
    """

    x: Floats
    centre: Floats
    low: Floats
    high: Floats
    n: npt.NDArray[np.int64]


def course_of(points: Points, smoothing: float = 0.0) -> Points:
    """Return what of a series makes its curve: the visible points, smoothed; of a repeated step the last value."""
    shown = visible(points)
    if smoothing > 0:
        shown = replace(shown, value=smooth_sessions(shown, smoothing))
    return last_of_each_step(shown)


def align(curves: Sequence[Curve], at_least: int | None = None) -> tuple[Floats, Floats]:
    """Return the values of several curves at common places.

    Places are those at which one of the curves has a point. A curve's value there is the last one it logged at or
    before the place; outside its own first and last point it has none. Nothing is interpolated or extrapolated.

    Args:
        curves: Places and values of each, shape ``(n_points,)``; places need not be sorted, NaN places are left out.
        at_least: Keep places that lie within this many of the curves; None for all of them. Curves without points
            count, so that "all" means all.

    Returns:
        The places, shape ``(n_places,)``, and the values, shape ``(n_curves, n_places)``, NaN outside a curve.
    """
    sorted_curves = [_sorted(x, y) for x, y in curves]
    needed = len(curves) if at_least is None else max(at_least, 1)
    x = np.unique(np.concatenate([x for x, _ in sorted_curves])) if curves else np.empty(0)
    values = np.full((len(curves), len(x)), np.nan)
    inside = np.zeros((len(curves), len(x)), np.bool_)
    for row, (places, y) in enumerate(sorted_curves):
        if len(places):
            inside[row] = (x >= places[0]) & (x <= places[-1])
            values[row, inside[row]] = y[np.searchsorted(places, x[inside[row]], side="right") - 1]
    kept = inside.sum(axis=0) >= needed
    return x[kept], values[:, kept]


def _sorted(x: Floats, y: Floats) -> Curve:
    known = np.flatnonzero(np.isfinite(x))
    order = known[np.argsort(x[known], kind="stable")]
    return x[order], y[order]


def group_curve(
    curves: Sequence[Curve], centre: Centre = "mean", band: Band = "std", at_least: int | None = None
) -> GroupCurve:
    """Return the centre and the band of several curves.

    Values that are not finite count as missing: `n` falls where a run diverges.

    Args:
        curves: As `align` takes them.
        centre: ``mean``, ``median``, or ``iqm``, the mean of the middle half.
        band: ``std``, one sample standard deviation to either side; ``range``, the smallest and largest value;
            ``bootstrap``, the 95 % percentile interval of the centre over resampled runs, each place by itself and at
            `MOST_BOOTSTRAP_PLACES` evenly chosen places at most.
        at_least: As `align` takes it.

    Source: inter-quartile mean and bootstrap over runs as in Agarwal et al., "Deep Reinforcement Learning at the Edge
    of the Statistical Precipice" (2021).
    """
    x, values = align(curves, at_least)
    if band == "bootstrap" and len(x) > MOST_BOOTSTRAP_PLACES:
        kept = np.linspace(0, len(x) - 1, MOST_BOOTSTRAP_PLACES).round().astype(np.intp)
        x, values = x[kept], values[:, kept]
    values = np.where(np.isfinite(values), values, np.nan)
    n = np.isfinite(values).sum(axis=0)
    middle = centre_of(values, centre)
    low, high = _band(values, middle, centre, band)
    single = n < 2
    return GroupCurve(x, middle, np.where(single, np.nan, low), np.where(single, np.nan, high), n)


def centre_of(values: Floats, centre: Centre) -> Floats:
    """Return the centre over the last axis but one, NaN left out; NaN where nothing is left.

    The inter-quartile mean leaves out ⌊n / 4⌋ values at either end.

    Args:
        values: Shape ``(…, n_curves, n_places)``.
        centre: Which centre.

    Source: `scipy.stats.trim_mean` with a quarter at either end.
    """
    ordered = np.sort(values, axis=-2)  # NaN go to the end
    n = np.isfinite(ordered).sum(axis=-2, keepdims=True)
    cut = {"mean": 0 * n, "median": np.maximum(n - 1, 0) // 2, "iqm": n // 4}[centre]
    place = np.arange(values.shape[-2])[:, None]
    kept = (place >= cut) & (place < n - cut)
    total = np.where(kept, ordered, 0.0).sum(axis=-2)
    count = kept.sum(axis=-2)
    result: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


def _band(values: Floats, middle: Floats, centre: Centre, band: Band) -> Curve:
    if band == "std":
        n = np.isfinite(values).sum(axis=0)
        squares = np.nansum((values - centre_of(values, "mean")) ** 2, axis=0)
        deviation = np.sqrt(squares / np.maximum(n - 1, 1))
        return middle - deviation, middle + deviation
    if band == "range":
        missing = np.isnan(values)
        low = np.where(missing, np.inf, values).min(axis=0, initial=np.inf)
        return low, np.where(missing, -np.inf, values).max(axis=0, initial=-np.inf)
    return _bootstrap_band(values, centre)


def _bootstrap_band(values: Floats, centre: Centre) -> Curve:
    """Return the percentile interval of the centre; whole runs are drawn, the same ones at every place.

    Source: Efron, "Bootstrap methods: another look at the jackknife" (1979).
    """
    n_curves, n_places = values.shape
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(n_curves, size=(BOOTSTRAP_RESAMPLES, n_curves))
    edges = np.full((2, n_places), np.nan)
    size = max(_MOST_RESAMPLED // draws.size, 1) if draws.size else 1
    for start in range(0, n_places, size):
        block = slice(start, start + size)
        centres = centre_of(values[:, block][draws], centre)
        edges[:, block] = _percentiles(centres)
    return edges[0], edges[1]


def _percentiles(centres: Floats) -> Floats:
    """Return the two edges over the first axis, NaN left out; NaN where every resample is."""
    edges = np.full((2, centres.shape[1]), np.nan)
    tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    n_known = np.isfinite(centres).sum(axis=0)
    whole = n_known == len(centres)
    part = (n_known > 0) & ~whole  # slow, and rare: a run has diverged
    edges[:, whole] = np.percentile(centres[:, whole], tails, axis=0)
    edges[:, part] = np.nanpercentile(centres[:, part], tails, axis=0)
    return edges
