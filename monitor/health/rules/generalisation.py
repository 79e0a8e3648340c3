"""Validation getting worse while training gets better."""

import math
from collections.abc import Sequence

import numpy as np

from monitor.health.episodes import HOLD, OFF, Episode, Place, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered
from monitor.health.scene import Scene
from monitor.health.stats import MAD_TO_SIGMA, difference_sigma, mann_kendall_z, median, row_medians
from monitor.health.track import Track
from monitor.schema import Floats, Severity
from monitor.text import format_number, format_percent, format_step, plain

LEAST = 5
AFTER_BEST = 3
RISE_NOISE = 3.0
RISE_PROGRESS = 0.02
TREND_Z = 1.28
"""Mann–Kendall z since the best validation: one-sided p of 10 %; the rise itself is tested against the noise."""

SCORE_TREND_Z = 2.33
"""The same for task metrics, which move in coarse steps on small samples: one-sided p of 1 %."""

MANY_AFTER = 8
CLEAR_TREND_Z = 3.0
"""The same once so many evaluations came after the best one: p of 0.1 %. Among many, a lucky best and three high ones
in a row come about by noise alone; a validation that gets worse has a trend by then."""

FEW_EVALUATIONS = 4
"""Evaluations that add their share to the noise: half of it at eight of them, a tenth at forty."""

CLEAR = 8.0
"""Deviations of its noise from which on a validation has clearly improved, or become worse. A task metric can only be
lost once it was learned, and its best is none of the first `LEAST` evaluations, where the initialisation decides."""

METRIC_HOLDS = -2.0
"""A task metric has not suffered while it is at most this many deviations worse."""

UNEXPLAINED_SHARE = 0.5
"""Losing this share of the validation's progress is not explained by a rising learning rate any more."""

FALLING_SHARE = 0.01
"""Training still improves when it gained this share of its progress since the best validation."""


def _tracks(scene: Scene) -> Sequence[Track]:
    if scene.loss is None or scene.loss.direction is None:
        return ()
    return (*scene.validations, *scene.scores[:1])


def _read(scene: Scene, track: Track, count: int) -> Reading:
    values = track.value[:count]
    best, smooth_best = _best(track, count)
    after = count - 1 - best
    if after < AFTER_BEST:
        return OFF
    recent = values[-max(20, count // 2) :]
    noise = _noise(recent)
    progress = max(median(values[:3]) - float(values[best]), 0.0)
    rise = median(values[-3:]) - smooth_best
    needed = max(RISE_NOISE * noise, _smallest_rise(scene, track, best, count), RISE_PROGRESS * progress)
    if rise < needed / 2:
        return OFF
    onset, now = scene.place(track, best), scene.place(track, count - 1)
    scheduled = scene.raised_by_schedule(onset.time, now.time) and rise < UNEXPLAINED_SHARE * progress
    if rise < needed or scheduled or scene.was_open(("non_finite", "divergence", "rising"), now.time):
        return HOLD
    is_score = track in scene.scores
    clear = CLEAR_TREND_Z if after >= MANY_AFTER else SCORE_TREND_Z if is_score else TREND_Z
    if mann_kendall_z(_thinned(values[best:])) <= clear:
        return HOLD
    if is_score and (best < LEAST or progress < CLEAR * noise):
        return HOLD
    train = _training_levels(scene, onset.time, now.time)
    if train is None or train[1] > train[0] - FALLING_SHARE * train[2]:
        return HOLD
    large = rise >= 0.25 * float(values[best]) > 0 or rise >= max(0.3 * progress, CLEAR * noise) > 0
    severity = _severity(scene, track, onset, now, large, after)
    facts = {
        "points": float(after),
        "train_then": train[0],
        "train_now": train[1],
        "share": after / max(count, 1),
        "metric_improves": float(severity == "info"),
    }
    return Reading("on", severity, onset, track.shown(median(values[-3:])), track.shown(float(values[best])), facts)


def _best(track: Track, count: int) -> tuple[int, float]:
    """Return the position of the best validation and the smoothed best level.

    The best is the lowest value inside the lowest running median of three: one lucky evaluation is no best epoch.
    """
    smooth = track.medians_of_three[: count - 2]
    start = int(np.argmin(smooth))
    return start + int(np.argmin(track.value[start : start + 3])), float(smooth[start])


def _smallest_rise(scene: Scene, track: Track, best: int, count: int) -> float:
    """Return the smallest rise worth a word: a share of a loss, some hundredths of a metric between 0 and 1."""
    health = scene.settings.health
    if track in scene.scores and (np.abs(track.value[:count]) <= 1).all():
        return health.overfitting_metric_points / 100
    return health.overfitting_rise_percent / 100 * abs(float(track.value[best]))


def _noise(values: Floats) -> float:
    """Return the noise of evaluations, taken for larger the fewer they are.

    A metric that moves in steps is no quieter than its usual step.
    """
    differences = np.diff(values)
    steps = np.abs(differences[differences != 0])
    if not len(steps):
        return 0.0
    noise = max(difference_sigma(differences), MAD_TO_SIGMA / math.sqrt(2) * median(steps))
    return noise * (1 + FEW_EVALUATIONS / len(values))


def _thinned(values: Floats) -> Floats:
    """Return at most 40 values, for the trend test: medians of neighbours."""
    width = math.ceil(len(values) / 40)
    if width == 1:
        return values
    whole = len(values) // width * width
    return row_medians(values[len(values) - whole :].reshape(-1, width))


def _training_levels(scene: Scene, then: float, now: float) -> tuple[float, float, float] | None:
    """Return the training level then and now and the progress between start and now; None without points then."""
    loss = scene.loss
    before, after = (loss.known_at(then), loss.known_at(now)) if loss is not None else (0, 0)
    if loss is None or before < 3 or after <= before:
        return None
    first, last = loss.level_at(before), loss.level_at(after)
    return first, last, max(median(loss.value[:3]) - last, 0.0)


def _severity(scene: Scene, track: Track, onset: Place, now: Place, large: bool, after: int) -> Severity:
    """Return how bad it is; a validation loss that rises while the task metric does not suffer is over-confidence."""
    if track in scene.validations and scene.scores:
        changes = [_change(score, onset.time, now.time) for score in scene.scores]
        if max(changes) > 1:
            return "info"
        if changes[0] > METRIC_HOLDS:
            return "warning" if large else "notice"
    return "error" if large and after >= 5 else "warning"


def _change(score: Track, then: float, now: float) -> float:
    """Return by how many deviations of its noise a task metric is better now than around the best validation loss."""
    before, after = score.known_at(then), score.known_at(now)
    if before < 3 or after - before < 3:
        return 0.0
    noise = _noise(score.value[max(before - 20, 0) : after])
    gain = median(score.value[before - 3 : before]) - median(score.value[after - 3 : after])
    return gain / max(noise, np.finfo(np.float64).tiny)


def _text(episode: Episode, scene: Scene) -> Text:
    facts = episode.facts
    where = scene.named(episode.onset.step)
    evidence = (
        f'"{plain(episode.tag or "")}" was best at {where} with {format_number(episode.reference)} and is at '
        f"{format_number(episode.value)} now, {format_step(int(facts['points']))} evaluations later; the training loss "
        f"went from {format_number(facts['train_then'])} to {format_number(facts['train_now'])} meanwhile. "
        f"{format_percent(100 * facts['share'])} of all evaluations came after the best one."
    )
    if episode.now.severity == "info":
        return Text(
            evidence, "The task metric still improves: the model is over-confident, not worse. Choose it by the metric."
        )
    return Text(
        evidence,
        f"Use the checkpoint of {where}; stop, or stop early with a patience of 3 to 5 evaluations. More data or "
        f"augmentation, weight decay and dropout help the next run.",
    )


def _coverage(scene: Scene) -> str | None:
    if not scene.validations and not scene.scores:
        return "There is no validation series."
    return covered(_tracks(scene), LEAST, "Does not apply: there is no training loss to compare with.")


RULES = (
    Rule(
        kind="overfitting",
        group="generalisation",
        label="overfitting",
        coverage=_coverage,
        text=_text,
        replay=lambda: SeriesReplay("overfitting", _tracks, LEAST, _read),
        causes=("non_finite", "divergence"),
    ),
)
