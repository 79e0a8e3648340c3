"""Sudden rises of the training loss: spikes that recover, and shifts to a new level that do not.

The screen compares every point with the points before it alone. Its thresholds are computed for aligned stretches of
points at once, so a million points cost a fraction of a second and a continued screen sees the same as a new one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from monitor.growing import GrowingArray
from monitor.health.episodes import Change, Episode, Place
from monitor.health.rules.rule import Rule, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.stats import MAD_TO_SIGMA, median, robust_sigma, row_medians
from monitor.health.track import Track
from monitor.schema import Floats, Severity
from monitor.settings import HealthSettings
from monitor.text import format_number, format_step, plain

STRETCH = 16
"""Points that share one baseline."""

WINDOW = 64
"""Points before a stretch that make its baseline."""

SPREAD_STRETCHES = 4
SPREAD_WINDOW = 512
"""Residuals that make the spread, which adapts to heavy tails; renewed every `SPREAD_STRETCHES` stretches."""

SPREAD_FROM = 8
"""Stretches from which on a percentile of the residuals is trusted; before, twice their maximum counts."""

SPREADS = 5.0
LEVEL_FLOOR = 2e-3
LEAST = 2 * STRETCH
STRETCHES_AT_ONCE = 4096
"""Bounds the memory of the screen on a long series; it sees the same whatever this is."""

REPEATS = 3

BACK_SHARE, BACK_PROGRESS, BACK_LEVEL = 0.1, 0.25, 0.1
"""A spike is over within a tenth of its height, unless that is more than a quarter of the progress and a tenth of the
level: a loss that falls from a peak to a level of its own has not come back."""

TOWERING, TOWERING_LEVEL = 4.0, 2.0
"""One or two points this many times as high as what stands out there, twice the level and all of the progress above the
baseline, are worth a warning where the gradient stood out too; without that, the noise has heavy tails."""

GRADIENT_SIGMAS = 6.0
GRADIENT_POINTS = 3
"""The gradient stands out near a spike when its logarithm is by so many deviations above that of the points before."""

Marks = npt.NDArray[np.intp]


# --- the screen ----------------------------------------------------------------------------------------------------


class _Screen:
    """Baseline, noise and candidates of a series, found stretch by stretch as it grows.

    Attributes:
        baseline: Level before each stretch, shape ``(n_stretches,)``; NaN for the first.
        sigma: Noise there.
        height: How far above the baseline a point stands out there.
        candidates: Positions of the points that stand out, ascending.
    """

    def __init__(self) -> None:
        self._baseline, self._sigma = GrowingArray(np.float64), GrowingArray(np.float64)
        self._height, self._spread = GrowingArray(np.float64), 0.0
        self._candidates = GrowingArray(np.intp)
        self._seen = 0

    @property
    def baseline(self) -> Floats:
        return self._baseline.view

    @property
    def sigma(self) -> Floats:
        return self._sigma.view

    @property
    def height(self) -> Floats:
        return self._height.view

    @property
    def candidates(self) -> Marks:
        return self._candidates.view

    def extend(self, values: Floats, sigmas: float) -> None:
        """Take in the values, of which those behind the known ones are new; candidates are so many sigmas high."""
        while self._seen < len(values):
            end = min((self._seen // STRETCH + STRETCHES_AT_ONCE) * STRETCH, len(values))
            self._begin_stretches(values, -(-end // STRETCH), sigmas)
            rows = np.arange(self._seen, end)
            residual = values[rows] - self.baseline[rows // STRETCH]
            self._candidates.append(rows[residual > self.height[rows // STRETCH]])
            self._seen = end

    def _begin_stretches(self, values: Floats, stretches: int, sigmas: float) -> None:
        """Find what the points of the stretches up to, not including, number `stretches` are compared with."""
        known = len(self._baseline)
        if known == stretches:
            return
        baseline, sigma = _levels_and_noises(values, known, stretches)
        self._baseline.append(baseline)
        self._sigma.append(sigma)
        spreads = np.array([self._spread_before(values, stretch, sigmas) for stretch in range(known, stretches)])
        self._height.append(np.maximum(sigmas * sigma, spreads))

    def _spread_before(self, values: Floats, stretch: int, sigmas: float) -> float:
        """Return how far points usually stand above the baseline: five times their upper tail so far.

        The tail is the 97.5th percentile of signed residuals, which for symmetric noise is the 95th of their size;
        points below the baseline, as while the loss falls quickly, make no rise look usual. Nor do points of a rise
        that lasts: single points far out are the tail of the noise, three in a row are none.
        """
        end = stretch * STRETCH
        if 2 <= stretch < SPREAD_FROM:
            self._spread = 2 * float(self._usual(values, STRETCH, end, sigmas).max(initial=0.0))
        elif stretch >= SPREAD_FROM and (stretch - SPREAD_FROM) % SPREAD_STRETCHES == 0:
            before = self._usual(values, max(end - SPREAD_WINDOW, STRETCH), end, sigmas)
            rank = int(0.975 * len(before))
            before.partition(rank)
            self._spread = SPREADS * float(before[rank]) if len(before) else self._spread
        return self._spread

    def _usual(self, values: Floats, first: int, end: int, sigmas: float) -> Floats:
        """Return the values of whole stretches less their baselines, those left out that stand out for long."""
        stretches = slice(first // STRETCH, end // STRETCH)
        residual = values[first:end].reshape(-1, STRETCH) - self.baseline[stretches, None]
        high = (residual > sigmas * self.sigma[stretches, None]).reshape(-1)
        usual: Floats = residual.reshape(-1)[~_in_threes(high)]
        return usual


def _in_threes(high: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell of each place whether it is one of three true ones in a row."""
    three = high[:-2] & high[1:-1] & high[2:]
    found = np.zeros_like(high)
    for shift in range(3):
        found[shift : len(three) + shift] |= three
    return found


def _levels_and_noises(values: Floats, first: int, end: int) -> tuple[Floats, Floats]:
    """Return baseline and noise of the stretches from `first` to `end`; NaN for stretch 0, which nothing precedes."""
    baseline, sigma = np.full(end - first, np.nan), np.full(end - first, np.nan)
    full = WINDOW // STRETCH
    for stretch in range(max(first, 1), min(full, end)):
        window = values[None, : stretch * STRETCH]
        baseline[stretch - first], sigma[stretch - first] = (part[0] for part in _level_and_noise(window))
    whole = max(first, full)
    if end > whole:
        before = values[whole * STRETCH - WINDOW : (end - 1) * STRETCH]
        windows = np.lib.stride_tricks.sliding_window_view(before, WINDOW)[::STRETCH]
        baseline[whole - first :], sigma[whole - first :] = _level_and_noise(windows)
    return baseline, sigma


def _level_and_noise(windows: Floats) -> tuple[Floats, Floats]:
    """Return median and noise of each row: the larger of its deviation, that of its differences, and a floor."""
    level = row_medians(windows)
    deviation = MAD_TO_SIGMA * row_medians(np.abs(windows - level[:, None]))
    stepwise = MAD_TO_SIGMA / np.sqrt(2) * row_medians(np.abs(np.diff(windows, axis=1)))
    return level, np.maximum(np.maximum(deviation, stepwise), LEVEL_FLOOR * np.abs(level))


# --- following a candidate -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Onset:
    """A point that stands out, with the baseline it is measured against from now on.

    Args:
        position: Its place among the finite points.
        baseline: Level before it.
        sigma: Noise there.
        least: Height above the baseline from which on points stand out there.
    """

    position: int
    baseline: float
    sigma: float
    least: float

    @property
    def certain(self) -> int:
        """Position from which on a rise that lasts is more than an outlier."""
        return self.position + 2

    @property
    def deadline(self) -> int:
        """Position by which a spike has recovered: 5 % of the run, at least 20 and at most 2,000 points later."""
        return self.position + int(np.clip(0.05 * self.position, 20, 2000))

    def peak(self, track: Track, end: int) -> float:
        """Return the highest value before position `end`."""
        return float(track.value[self.position : end].max())

    def recovery(self, track: Track, first: int, end: int, peak: float) -> int | None:
        """Return the first position from `first` up to, not including, `end` where the loss is back; None if nowhere.

        Back means that the median of the last three points is within three deviations of the baseline, or within a
        tenth of the height of the spike so far where that is little.

        Args:
            track: The loss.
            first: Behind the onset.
            end: Where to stop.
            peak: Highest value since the onset and before `first`.
        """
        if end <= first:
            return None
        back = np.flatnonzero(track.medians_of_three[first - 2 : end - 2] <= self._limits(track, first, end, peak))
        return first + int(back[0]) if len(back) else None

    def confirmation(self, track: Track, end: int) -> int | None:
        """Return the first position before `end` where three points in a row stand out; None if nowhere."""
        above = track.value[self.position : end] > self._limits(track, self.position, end, -np.inf)
        three = np.flatnonzero(above[:-2] & above[1:-1] & above[2:])
        return self.certain + int(three[0]) if len(three) else None

    def _limits(self, track: Track, first: int, end: int, peak: float) -> Floats:
        peaks = np.maximum(np.maximum.accumulate(track.value[first:end]), peak)
        little = max(BACK_PROGRESS * track.progress_at(self.position), BACK_LEVEL * abs(self.baseline))
        near = np.minimum(BACK_SHARE * (peaks - self.baseline), little)
        return self.baseline + np.maximum(3 * self.sigma, near)


@dataclass(slots=True)
class _Shift:
    """A new level that may turn out to be a spike after all.

    Args:
        onset: Where it began.
        episode: Its finding.
        checked: Position up to which the old level has not come back.
        peak: Highest value before that.
    """

    onset: _Onset
    episode: Episode
    checked: int
    peak: float

    def recovery(self, track: Track, end: int) -> int | None:
        """Return where the old level came back among the points not checked yet, before position `end`; or None."""
        back = self.onset.recovery(track, self.checked, end, self.peak)
        self.peak = float(track.value[self.checked : end].max(initial=self.peak))
        self.checked = max(end, self.checked)
        return back


@dataclass(slots=True)
class SpikeReplay:
    """Walks from one candidate to the next and follows each until it has recovered or is a new level."""

    cursor: int = 0
    onset: _Onset | None = None
    spike: Episode | None = None
    shifts: list[_Shift] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    screen: _Screen = field(default_factory=_Screen)

    def advance(self, scene: Scene) -> Sequence[Episode]:
        """Judge the points that are new."""
        track = scene.loss
        if track is None or len(track) < LEAST:
            return self.episodes
        self.screen.extend(track.value, scene.settings.health.spike_noise)
        while self._next_onset(scene, track) and self._follow(scene, track):
            pass
        self._end_shifts(scene, track, len(track))
        return self.episodes

    def _next_onset(self, scene: Scene, track: Track) -> bool:
        """Find the next relevant candidate, unless one is being followed; tell whether there is one."""
        screen = self.screen
        while self.onset is None and self.cursor < len(track):
            index = int(np.searchsorted(screen.candidates, self.cursor))
            if index == len(screen.candidates):
                self.cursor = len(track)
                break
            position = int(screen.candidates[index])
            stretch = position // STRETCH
            onset = _Onset(position, *(float(one[stretch]) for one in (screen.baseline, screen.sigma, screen.height)))
            if _is_relevant(scene.settings.health, track, onset):
                self.onset = onset
            self.cursor = position + 1
        return self.onset is not None

    def _follow(self, scene: Scene, track: Track) -> bool:
        """Follow the candidate as far as the points go; tell whether its fate is known."""
        onset = self.onset
        if onset is None:
            return False
        end = min(len(track), onset.deadline + 1)
        back = onset.recovery(track, onset.position + 1, end, float(track.value[onset.position]))
        decided = onset.certain if back is None else min(back, onset.certain)
        if decided >= len(track):
            return False
        if _is_explained(scene, track, onset, decided):
            return self._leave(onset.position + WINDOW)
        confirmed = onset.confirmation(track, end if back is None else back)
        if confirmed is not None:
            self._open(scene, track, onset, confirmed, end if back is None else back)
        if back is not None:
            self._recover(scene, track, onset, back)
            return self._leave(back)
        if onset.deadline < len(track):
            self._shift(scene, track, onset)
            return self._leave(onset.deadline + 1)
        return False

    def _leave(self, cursor: int) -> bool:
        self.cursor, self.onset, self.spike = cursor, None, None
        return True

    def _open(self, scene: Scene, track: Track, onset: _Onset, confirmed: int, end: int) -> None:
        if self.spike is None:
            self.spike = self._add(scene, track, onset, "spike", confirmed, _severity(scene, "warning"))
        self.spike.value = onset.peak(track, end)
        self.spike.facts = {"points": float(end - onset.position)}

    def _recover(self, scene: Scene, track: Track, onset: _Onset, back: int) -> None:
        place = _known(scene, track, back)
        if self.spike is None:
            self.spike = self._add(
                scene, track, onset, "spike", back, _severity(scene, _brief(scene, track, onset, back))
            )
        self.spike.value = onset.peak(track, back)
        self.spike.facts = {"points": float(back - onset.position)}
        self.spike.close(place)
        if self.spike.now.severity == "warning" and self._recent_spikes(track, back) >= REPEATS:
            self.spike.escalate(place.time, "error")

    def _recent_spikes(self, track: Track, position: int) -> int:
        """Return how many spikes worth a warning began within the last tenth of the run."""
        since = float(track.time[max(position - max(position // 10, WINDOW), 0)])
        return sum(
            one.kind == "spike" and one.now.severity in ("warning", "error") and one.onset.time >= since
            for one in self.episodes
        )

    def _shift(self, scene: Scene, track: Track, onset: _Onset) -> None:
        place = _known(scene, track, onset.deadline)
        if self.spike is not None:
            self.spike.close(place)
        self._end_shifts(scene, track, onset.deadline + 1)
        if any(earlier.episode.now.open for earlier in self.shifts):
            return  # still the same trouble: it goes on climbing
        shift = self._add(scene, track, onset, "level_shift", onset.deadline, _severity(scene, "error"))
        shift.value = float(np.median(track.value[onset.position : onset.deadline + 1]))
        shift.facts = {"points": float(onset.deadline - onset.position)}
        self.shifts.append(_Shift(onset, shift, onset.deadline + 1, onset.peak(track, onset.deadline + 1)))

    def _end_shifts(self, scene: Scene, track: Track, end: int) -> None:
        """Close the shifts whose old level came back before position `end` after all."""
        for shift in self.shifts:
            back = shift.recovery(track, end) if shift.episode.now.open else None
            if back is not None:
                shift.episode.close(_known(scene, track, back))

    def _add(self, scene: Scene, track: Track, onset: _Onset, kind: str, detected: int, severity: Severity) -> Episode:
        begin, place = scene.place(track, onset.position), _known(scene, track, detected)
        changes = [Change(place.time, severity, True)]
        episode = Episode(kind, track.tag, begin, place, changes, reference=onset.baseline)
        self.episodes.append(episode)
        return episode


def _is_relevant(health: HealthSettings, track: Track, onset: _Onset) -> bool:
    """Tell whether the height matters: a share of a positive level, else half of that share of the progress so far."""
    height, share = float(track.value[onset.position]) - onset.baseline, health.spike_height_percent / 100
    if track.is_positive(onset.position):
        return height >= share * onset.baseline
    return height >= max(share / 2 * track.progress_at(onset.position), 1.5 * health.spike_noise * onset.sigma)


def _brief(scene: Scene, track: Track, onset: _Onset, back: int) -> Severity:
    """Return how bad a rise is that never was three points in a row.

    One bad batch, lower than half of the progress and than twice the level, is a word only; a tower that the gradient
    shows as well is a warning.
    """
    height, progress = onset.peak(track, back) - onset.baseline, track.progress_at(onset.position)
    level = onset.baseline if track.is_positive(onset.position) else None
    low = level is None or height < TOWERING_LEVEL * level
    towers = height >= max(TOWERING * onset.least, progress) and (level is None or not low)
    if towers and _gradient_stands_out(scene, track, onset, back):
        return "warning"
    return "info" if back <= onset.certain and low and height < 0.5 * progress else "notice"


def _gradient_stands_out(scene: Scene, track: Track, onset: _Onset, back: int) -> bool:
    """Tell whether the norm of the gradient stood out near a spike that was over at position `back`."""
    norm = scene.gradient_norm
    if norm is None:
        return False
    first = norm.known_at(float(track.time[max(onset.position - GRADIENT_POINTS, 0)]))
    end = norm.known_at(float(track.time[back]))
    before, near = norm.value[max(first - WINDOW, 0) : first], norm.value[first:end]
    if len(before) < STRETCH or not len(near) or before.min() <= 0:
        return False
    usual = np.log(before)
    return math.log(max(near.max(), before.min())) - median(usual) > GRADIENT_SIGMAS * robust_sigma(usual)


def _known(scene: Scene, track: Track, position: int) -> Place:
    """Return where something at a point was first seen: never before there were points enough to judge."""
    return scene.place(track, max(position, LEAST - 1))


def _is_explained(scene: Scene, track: Track, onset: _Onset, decided: int) -> bool:
    before = float(track.time[max(onset.position - STRETCH, 0)])
    return scene.raised_by_schedule(before, float(track.time[decided]))


def _severity(scene: Scene, severity: Severity) -> Severity:
    """Return the severity, at most a notice for a loss whose level means nothing."""
    free = scene.loss is not None and scene.loss.direction is None
    return "notice" if free and severity != "info" else severity


# --- texts ---------------------------------------------------------------------------------------------------------


def _spike_text(episode: Episode, scene: Scene) -> Text:
    points = int(episode.facts["points"])
    lasted = "one point" if points == 1 else f"{format_step(points)} points"
    evidence = (
        f'"{plain(episode.tag or "")}" rose from {format_number(episode.reference)} to {format_number(episode.value)} '
        f"at {scene.named(episode.onset.step)} and stayed up for {lasted}."
    )
    if episode.now.severity == "info":
        return Text(evidence, "A single bad batch; nothing to do unless it repeats.")
    return Text(
        evidence,
        "Watch it; if it repeats, clip gradients lower, take 30 % off the learning rate and look at the batches there.",
    )


def _shift_text(episode: Episode, scene: Scene) -> Text:
    where = scene.named(episode.onset.step)
    evidence = (
        f'"{plain(episode.tag or "")}" jumped from {format_number(episode.reference)} to about '
        f"{format_number(episode.value)} at {where} and had not come back {format_step(int(episode.facts['points']))} "
        f"points later."
    )
    return Text(
        evidence,
        f"Go back to the last checkpoint before {where}, skip the batches there and lower the learning rate.",
    )


def _coverage(scene: Scene) -> str | None:
    return covered(present(scene.loss), LEAST, "There is no training loss.")


RULES = (
    Rule(
        kind="spike",
        group="stability",
        label="loss spike",
        coverage=_coverage,
        text=_spike_text,
        replay=SpikeReplay,
        causes=("non_finite", "divergence", "level_shift", "lr_schedule", "restart"),
    ),
    Rule(
        kind="level_shift",
        group="stability",
        label="loss on a higher level",
        coverage=_coverage,
        text=_shift_text,
        replay=None,
        causes=("non_finite", "divergence", "lr_schedule", "restart"),
    ),
)
