"""A loss that swings around its own trend without getting lower."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.health.episodes import HOLD, OFF, Episode, Reading
from monitor.health.rules.learning import WORSE, judged_coverage, judged_tracks
from monitor.health.rules.rule import Rule, SeriesReplay, Text
from monitor.health.scene import SCHEDULE_RATIO, Scene
from monitor.health.stats import MAD_TO_SIGMA, block_medians, median, theil_sen_slope
from monitor.health.track import MOST_BLOCKS, SHORT, Track
from monitor.schema import Floats
from monitor.text import format_learning_rate, format_number, format_step, plain

LEAST = 16
LONG = 90
"""Points from which on a third of the series is looked at; before, half of it, at least `SHORTEST` points."""

SHORTEST = 24
SMALLEST_WINDOW, LARGEST_WINDOW = 60, 400

COHERENCE = 0.45
COHERENCE_SIGMAS = 4.0
MOST_PERIODS = 5
"""A period counts when the window holds it this many times."""

LEAST_PART = 0.5
"""Part of the share of the level from which on an amplitude matters, below which it never does."""

NEGLIGIBLE_PROGRESS = 0.01
"""Share of the progress below which an amplitude never matters: a loss that has fallen by decades may wobble."""

LEARNED = 8.0
"""There is progress to compare with when it is this many times the noise."""

MOST_GAIN = 0.5
"""A series that gains less than this share of its amplitude over the window gets nowhere."""

GRAVE_SHARE, GRAVE_PROGRESS = 0.3, 0.5
GROWTH, QUARTERS = 2.0, 4
STEADY_GROWTH, SMALLEST_STEP, LARGEST_STEP = 1.25, 0.05, 0.6
"""Swings keep growing when the last quarter of the window is this many times as wide as the first, and each step from
quarter to quarter makes a share of it, in logarithms, that is neither nothing nor nearly all."""

NOISY_SHARE, NOISY_PROGRESS, NOISY_GAIN = 0.4, 0.3, 0.25
NOISY_GROWTH = 1.5
"""Moves without a period count only when they have grown: noise of that size from the start is that of the samples."""

UNSETTLED_LEVEL = 2.5
"""A loss that jumps about at this many times the best level it has had was settled once, and no longer is. That alone
is how small samples look, too; it counts where the learning rate is above the usual range, which explains it."""

SHORTEST_EPOCH = 8
DATA_ORDER = 0.15
"""A period this close to that of the evaluations, or to half of it, is the order of the samples, not the learning rate;
evaluations less than `SHORTEST_EPOCH` points apart tell nothing."""


@dataclass(frozen=True, slots=True)
class Swing:
    """How the newest points of a series move around their own trend.

    Args:
        points: Number of points looked at.
        level: Their median.
        gain: How much lower the trend ends than it began.
        amplitude: Median distance from the trend.
        share: Amplitude over the level; None for a series that is not positive, whose level is no measure.
        lost: Amplitude over the progress of the series; None while it has made none.
        period: Points from crest to crest; 0 where nothing repeats.
        widths: How wide the swings are two windows earlier and in each quarter of this one; NaN without these.
        relevant_share: Share of a positive level from which on an amplitude matters, or of the progress where the level
            is no measure; of the progress beside a level it is twice as much.
    """

    points: int
    level: float
    gain: float
    amplitude: float
    share: float | None
    lost: float | None
    period: int
    widths: tuple[float, ...]
    relevant_share: float

    @property
    def growth(self) -> float:
        """How many times as wide the swings are as two windows earlier; NaN where unknown."""
        earlier, *now = self.widths
        return sum(now) / QUARTERS / earlier if earlier > 0 else math.nan

    @property
    def keeps_growing(self) -> bool:
        """Whether the swings grow all along the window; those that begin in it grow in one step."""
        quarters = np.array(self.widths[1:])
        if not (quarters > 0).all():
            return False
        steps = np.diff(np.log(quarters))
        whole = float(steps.sum())
        return whole >= math.log(STEADY_GROWTH) and bool(
            ((steps >= SMALLEST_STEP * whole) & (steps <= LARGEST_STEP * whole)).all()
        )

    @property
    def relevance(self) -> float:
        """How much the amplitude matters: 1 and above when it does."""
        small = self.share is not None and self.share < LEAST_PART * self.relevant_share
        if small or (self.lost is not None and self.lost < NEGLIGIBLE_PROGRESS):
            return 0.0
        if self.share is None:
            return (self.lost or 0.0) / self.relevant_share
        return max(self.share / self.relevant_share, (self.lost or 0.0) / (2 * self.relevant_share))

    @property
    def is_growing(self) -> bool:
        """Whether it repeats and swings wider than before."""
        return self.period > 0 and self.growth >= GROWTH and self.relevance >= 0.5 and self.gain < 2 * self.amplitude

    @property
    def is_idle(self) -> bool:
        """Whether it repeats, matters, and the series gets nowhere."""
        return self.period > 0 and self.relevance >= 1 and self.gain < MOST_GAIN * self.amplitude

    @property
    def is_noisy(self) -> bool:
        """Whether it jumps about without a period, wider than before, and the series gets nowhere."""
        wide = (self.share or 0.0) >= max(NOISY_SHARE, self.relevant_share) and (self.lost or 0.0) >= NOISY_PROGRESS
        return wide and self.growth >= NOISY_GROWTH and self.gain < NOISY_GAIN * self.amplitude

    @property
    def is_grave(self) -> bool:
        """Whether the amplitude is large, or keeps growing."""
        if self.is_growing and self.keeps_growing:
            return True
        if self.share is not None:
            return self.share >= GRAVE_SHARE
        return (self.lost or 0.0) >= GRAVE_PROGRESS


def swing_of(track: Track, count: int, relevant_share: float) -> Swing:
    """Return how the newest of the first `count` finite points move around their own trend; at least `LEAST`."""
    values, course, width = track.value[:count], track.course(count), _width(count)
    window = values[count - width :]
    residual, gain = _detrended(window)
    level, amplitude, period = median(window), median(np.abs(residual)), period_of(residual)
    progress = course.linear_progress if course.progress >= LEARNED * course.noise else 0.0
    return Swing(
        points=width,
        level=level,
        gain=gain,
        amplitude=amplitude,
        share=amplitude / level if track.is_positive(count) else None,
        lost=amplitude / progress if progress > 0 else None,
        period=period,
        widths=_widths(values, width, period),
        relevant_share=relevant_share,
    )


def _width(count: int) -> int:
    if count < LONG:
        return min(max(SHORTEST, count // 2), count)
    return int(np.clip(count // 3, SMALLEST_WINDOW, LARGEST_WINDOW))


def _detrended(window: Floats) -> tuple[Floats, float]:
    """Return the distance of each point from the trend, and how much lower the trend ends than it began.

    Blocks of even length, so that a series that alternates has the same median in each.
    """
    width = len(window)
    length = 2 if width < SHORT else max(2 * math.ceil(width / MOST_BLOCKS / 2), 6)
    blocks = block_medians(window[width % length :], width // length)
    slope = theil_sen_slope(blocks) / length
    residual = window - slope * np.arange(width)
    return residual - median(residual), -slope * width


def period_of(residual: Floats) -> int:
    """Return the number of points after which a series without trend repeats itself, 0 where it does not.

    A repetition shows as a crest of the autocorrelation with troughs before and behind it and a second crest at twice
    the distance. White noise stays below `COHERENCE_SIGMAS` / √n; noise that wanders has the first trough, not the
    crests; both at once are demanded, so neither passes. Outliers are clipped before.

    Source: autocorrelation of white noise has a deviation of 1 / √n, Bartlett (1946), "On the theoretical
    specification and sampling properties of autocorrelated time-series".
    """
    needed = max(COHERENCE, COHERENCE_SIGMAS / math.sqrt(len(residual)))
    similar = autocorrelation(residual)
    lowest = np.minimum.accumulate(similar)
    most = len(residual) // MOST_PERIODS
    crests = 2 + np.flatnonzero((similar[2 : most + 1] >= needed) & (-1.5 * lowest[1:most] >= needed))
    coherences = [_coherence(similar, int(lag)) for lag in crests]
    clearest = max(coherences, default=0.0)
    if clearest < needed:
        return 0
    first = next(int(lag) for lag, one in zip(crests, coherences, strict=True) if one >= 0.9 * clearest)
    return first + int(similar[first : first + first // 2 + 1].argmax())


def _coherence(similar: Floats, lag: int) -> float:
    """Return how clearly a series repeats after `lag` points: the least of two crests and the trough between them.

    The second crest and trough count double: a period that drifts a little blurs them.
    """
    crests = min(float(similar[lag]), 2 * float(similar[2 * lag - 1 : 2 * lag + 2].max()))
    return min(crests, -2 * float(similar[lag + 1 : 2 * lag].min()))


def autocorrelation(residual: Floats) -> Floats:
    """Return the autocorrelation at distances 0 to half the length, outliers clipped; zeros for a constant."""
    width = len(residual)
    bound = 3 * MAD_TO_SIGMA * median(np.abs(residual))
    if bound <= 0:
        return np.zeros(width // 2 + 1)
    limited = np.clip(residual / bound, -1.0, 1.0)
    size = 1 << (2 * width - 1).bit_length()
    power = np.abs(np.fft.rfft(limited - limited.mean(), size)) ** 2
    products = np.fft.irfft(power, size)[: width // 2 + 1]
    similar: Floats = products / products[0] * width / (width - np.arange(len(products)))
    return similar


def _widths(values: Floats, width: int, period: int) -> tuple[float, ...]:
    """Return how wide the swings are two windows earlier, and in each quarter of the newest window.

    The median distance of a point from the middle of its neighbours half a period before and behind, which carries no
    trend. NaN where there are not as many points.
    """
    if len(values) < 3 * width:
        return (math.nan,) * (1 + QUARTERS)
    half = max(period // 2, 1)
    windows = values[-3 * width :].reshape(3, width)
    distances = np.abs(windows[:, half:-half] - (windows[:, : -2 * half] + windows[:, 2 * half :]) / 2)
    return median(distances[0]), *block_medians(distances[2], QUARTERS).tolist()


# --- reading -------------------------------------------------------------------------------------------------------


def _read(scene: Scene, track: Track, count: int) -> Reading:
    """Read whether the newest points repeat a swing that matters and get nowhere, or swing wider than before.

    Source: the idea of turns without gain as in AUTOTRAINER (Zhang et al., 2021), with a size and a test for a period.
    """
    swing = swing_of(track, count, scene.settings.health.oscillation_percent / 100)
    unsettled = _unsettledness(scene, track, count, swing)
    swings = swing.is_growing or swing.is_idle or swing.is_noisy or unsettled >= 1
    fading = unsettled >= 0.5 or (swing.period > 0 and swing.relevance >= 0.5 and swing.gain <= 2 * swing.amplitude)
    if not swings and not fading:
        return OFF
    now = scene.place(track, count - 1)
    if not swings or _is_explained(scene, track, count, swing) or scene.was_open(WORSE, now.time):
        return HOLD
    return Reading(
        "on",
        "error" if swing.is_grave else "warning",
        scene.place(track, _onset(track.value[:count], swing)),
        swing.amplitude,
        track.shown(swing.level),
        _facts(scene, track, count, swing),
    )


def _unsettledness(scene: Scene, track: Track, count: int, swing: Swing) -> float:
    """Return how far a positive loss jumps about above its best level while the learning rate is high: 1 is too far."""
    rate = scene.learning_rate_at(float(track.time[count - 1]))
    if rate is None or rate <= scene.settings.health.lr_high or swing.share is None:
        return 0.0
    best = float(track.medians_of_three[: count - 2].min())
    far = min(swing.share / NOISY_SHARE, swing.level / (UNSETTLED_LEVEL * best))
    return min(far, 0.5) if swing.gain >= NOISY_GAIN * swing.amplitude else far


def _is_explained(scene: Scene, track: Track, count: int, swing: Swing) -> bool:
    """Tell whether a restart, a learning rate that goes up and down, or the order of the samples explains it."""
    first = count - swing.points
    if track.session[first] != track.session[count - 1]:
        return True
    begin, now = float(track.time[first]), float(track.time[count - 1])
    return _rate_swings(scene, begin, now) or _repeats_with_evaluations(scene, track, count, swing.period)


def _rate_swings(scene: Scene, begin: float, now: float) -> bool:
    """Tell whether the learning rate rises in both halves of a stretch of time, as it does in a cyclic schedule."""
    rates = scene.learning_rate
    if rates is None:
        return False
    window = rates.value[max(rates.known_at(begin) - 1, 0) : rates.known_at(now)]
    half = len(window) // 2
    return half > 0 and all(bool(_rises(part)) for part in (window[:half], window[half:]))


def _rises(rates: Floats) -> bool:
    lowest = np.minimum.accumulate(rates)
    return bool(((rates >= SCHEDULE_RATIO * lowest) & (rates > lowest)).any())


def _repeats_with_evaluations(scene: Scene, track: Track, count: int, period: int) -> bool:
    """Tell whether a series repeats from evaluation to evaluation: samples that are not shuffled."""
    steps, now = float(track.step[count - 1] - track.step[0]), float(track.time[count - 1])
    if not period or steps <= 0:
        return False
    gaps = (
        _usual_gap(other, other.known_at(now)) / steps * (count - 1) for other in (*scene.validations, *scene.scores)
    )
    return any(gap >= SHORTEST_EPOCH and _is_near(gap / period) for gap in gaps)


def _usual_gap(track: Track, count: int) -> float:
    """Return the median distance in steps of the last of the first `count` points; 0 for fewer than two."""
    return median(np.diff(track.step[max(count - 6, 0) : count]).astype(np.float64)) if count > 1 else 0.0


def _is_near(periods: float) -> bool:
    return abs(periods - 1) <= DATA_ORDER or abs(periods / 2 - 1) <= DATA_ORDER


def _onset(values: Floats, swing: Swing) -> int:
    """Return the position from which on the moves over half a period are as large as they are now, or half as large.

    Looked for in the last three windows, in pieces of a period or of eight points.
    """
    half, piece = max(swing.period // 2, 1), max(swing.period, 8)
    recent = values[max(len(values) - 3 * swing.points, 0) :]
    moves = np.abs(recent[half:] - recent[:-half])
    sizes = block_medians(moves, len(moves) // piece)
    calm = np.flatnonzero(sizes < median(sizes[-max(swing.points // piece // 2, 1) :]) / 2)
    lasting = (len(sizes) - 1 - int(calm[-1])) * piece if len(calm) else len(recent)
    return len(values) - max(lasting, 1)


def _facts(scene: Scene, track: Track, count: int, swing: Swing) -> Mapping[str, float]:
    rate = scene.learning_rate_at(float(track.time[count - 1]))
    return {
        "points": float(swing.points),
        "period": float(swing.period),
        "gain": swing.gain,
        "growth": swing.growth if swing.is_growing else math.nan,
        "rate": math.nan if rate is None else rate,
    }


def _text(episode: Episode, scene: Scene) -> Text:
    facts = episode.facts
    evidence = (
        f'"{plain(episode.tag or "")}" swings by {format_number(episode.value, 3)} around '
        f"{format_number(episode.reference)} since {scene.named(episode.onset.step)}.{_period_text(facts)} "
        f"{_gain_text(facts)}"
    )
    return Text(evidence, _advice(facts))


def _period_text(facts: Mapping[str, float]) -> str:
    growth = facts["growth"]
    grows = (
        "" if math.isnan(growth) else f" The swings are {format_number(growth, 2)} times as wide as they were before."
    )
    period = int(facts["period"])
    return f" It repeats every {format_step(period)} points.{grows}" if period else " The swings have no period."


def _gain_text(facts: Mapping[str, float]) -> str:
    points, gain = format_step(int(facts["points"])), facts["gain"]
    if gain > 0:
        return f"Over the last {points} points it got better by only {format_number(gain, 3)}."
    return f"Over the last {points} points it got no better."


def _advice(facts: Mapping[str, float]) -> str:
    rest = "A larger batch and clipped gradients calm it as well."
    if math.isnan(facts["rate"]) or facts["rate"] <= 0:
        return f"The learning rate is too high for this phase: divide it by 3, or let it decay. {rest}"
    now, less = format_learning_rate(facts["rate"]), format_learning_rate(facts["rate"] / 3)
    return f"The learning rate of {now} is too high for this phase: try {less}, or let it decay. {rest}"


RULES = (
    Rule(
        kind="oscillation",
        group="stability",
        label="loss oscillating",
        coverage=lambda scene: judged_coverage(scene, LEAST),
        text=_text,
        replay=lambda: SeriesReplay("oscillation", judged_tracks, LEAST, _read, confirm=3),
        causes=("non_finite", "divergence", "level_shift"),
    ),
)
