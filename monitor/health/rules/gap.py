"""Validation beside training: it never follows, it falls behind, it is lower, or it is too noisy to choose by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.health.episodes import HOLD, OFF, Episode, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered
from monitor.health.rules.several import Several
from monitor.health.scene import Scene
from monitor.health.stats import difference_sigma, mann_kendall_z, median, theil_sen_slope
from monitor.health.track import Track
from monitor.schema import Floats
from monitor.text import format_number, format_percent, plain

LEAST = 8
TRAINED = 12
"""Points the training loss needs before a validation is held against it."""

COMPARED = 20
"""Evaluations, spread evenly, at which validation and training are compared."""

FOLLOWED = 0.05
LEARNED = 0.5
"""Training has fallen to less than this share of its start, validation improved by less than that of its own."""

POWER = 4.0
"""An improvement by that share must stand out by so many standard errors, or the evaluations are too few to tell."""

UNTRAINED = 0.7
ALIKE = (0.9, 2.0)
"""The first evaluation shows an untrained model when training was still above the first, a share of its start; or when
the validation itself was within the second, shares of that start."""

IMPROVING_Z = -1.28
"""Mann–Kendall z of a validation that improves: one-sided p of 10 %."""

GROWING_Z = 1.6
LOWER = 0.9
MOSTLY = 0.7
NOISY_RANGE = 0.15
NOISY_LEVEL = 0.02
NOISY_LEAST = 12


def _tracks(scene: Scene) -> Sequence[Track]:
    """Return the validation losses that measure what the training loss measures."""
    loss = scene.loss
    if loss is None or loss.direction is None:
        return ()
    labels = {role.tag: role.label for role in scene.evidence.roles.validation}
    return [track for track in scene.validations if _is_comparable(scene, labels[track.tag])]


def _is_comparable(scene: Scene, label: str) -> bool:
    """Tell whether a validation loss is the training loss on other samples; a part of a sum is not the sum."""
    role = scene.evidence.roles.loss
    if role is None:
        return False
    name = role.label.removesuffix("loss").strip()
    return label.removesuffix("loss").strip() == name or (not name and label.startswith(("validation", "task ")))


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Validation and training levels at the same moments, both shape ``(n_moments,)``, oldest first."""

    validation: Floats
    training: Floats


def _pairs(scene: Scene, track: Track, count: int) -> _Pairs | None:
    """Return the levels at some evaluations; None where a level is not positive, so that no share can be told."""
    loss = scene.loss
    if loss is None or not track.is_positive(count):
        return None
    marks = np.unique(np.linspace(2, count - 1, COMPARED).astype(np.intp))
    known = [loss.known_at(float(track.time[mark])) for mark in marks]
    if known[0] < 3 or not loss.is_positive(known[-1]):
        return None
    training = np.array([loss.level_at(number) for number in known])
    return _Pairs(track.medians_of_three[marks - 2], training)


# --- never generalises ---------------------------------------------------------------------------------------------


def _read_never(scene: Scene, track: Track, count: int) -> Reading:
    loss, values = scene.loss, track.value[:count]
    known = loss.known_at(float(track.time[count - 1])) if loss is not None else 0
    if loss is None or known < TRAINED or not loss.is_positive(known) or not track.is_positive(count):
        return OFF
    start, level = median(loss.value[:3]), loss.level_at(known)
    first, best = float(values[0]), float(track.medians_of_three[: count - 2].min())
    noise = min(difference_sigma(np.diff(values[-200:])), 0.1 * first)
    if level >= LEARNED * start or first - best >= 2 * FOLLOWED * first + 2 * noise:
        return OFF
    improves = first - best >= FOLLOWED * first + 2 * noise or _may_still_follow(values, noise, FOLLOWED * first)
    blind = POWER * noise > FOLLOWED * first * math.sqrt(count)
    if improves or blind or not _began_untrained(track, loss, start, first):
        return HOLD
    facts = {"first": first, "train_start": start, "train_now": level}
    return Reading("on", "warning", scene.place(track, 0), best, first, facts)


def _may_still_follow(values: Floats, noise: float, least: float) -> bool:
    """Tell whether a validation improves, by no less than so much over all its evaluations as far as one can tell.

    Two standard errors of its slope are in its favour. Source: the variance 12 σ²/n³ of a least-squares slope.
    """
    thinned = _thinned(values)
    gained = -theil_sen_slope(thinned) * (len(thinned) - 1)
    error = noise * math.sqrt(12 / len(thinned))
    return mann_kendall_z(thinned) < IMPROVING_Z and gained + 2 * error >= least


def _thinned(values: Floats) -> Floats:
    return values[np.unique(np.linspace(0, len(values) - 1, 40).astype(np.intp))]


def _began_untrained(track: Track, loss: Track, start: float, first: float) -> bool:
    """Tell whether the first evaluation shows a model that had learned next to nothing."""
    known = loss.known_at(float(track.time[0]))
    return loss.level_at(max(known, 1)) >= UNTRAINED * start or ALIKE[0] * start <= first <= ALIKE[1] * start


# --- gap, lower, noisy ---------------------------------------------------------------------------------------------


def _read_gap(scene: Scene, track: Track, count: int) -> Reading:
    pairs = _pairs(scene, track, count)
    if pairs is None:
        return OFF
    gap, wide = 1 - pairs.training / pairs.validation, scene.settings.health.gap_percent / 100
    if gap[-1] < wide / 2:
        return OFF
    if gap[-1] < wide or median(gap[:3]) >= wide or mann_kendall_z(gap) <= GROWING_Z:
        return HOLD
    first = int(np.argmax(gap >= wide / 2))
    mark = int(np.unique(np.linspace(2, count - 1, COMPARED).astype(np.intp))[first])
    place = scene.place(track, mark)
    return Reading("on", "notice", place, float(pairs.validation[-1]), float(pairs.training[-1]), {"gap": gap[-1]})


def _read_lower(scene: Scene, track: Track, count: int) -> Reading:
    pairs = _pairs(scene, track, count)
    if pairs is None:
        return OFF
    share = float((pairs.validation < LOWER * pairs.training).mean())
    if share < MOSTLY:
        return HOLD if share >= MOSTLY / 2 else OFF
    place = scene.place(track, 0)
    return Reading("on", "info", place, float(pairs.validation[-1]), float(pairs.training[-1]), {"lower": share})


def _read_noisy(scene: Scene, track: Track, count: int) -> Reading:
    recent = track.value[max(count - 200, 0) : count]
    step, width = median(np.abs(np.diff(recent))), float(np.ptp(recent))
    if step < max(NOISY_RANGE * width, NOISY_LEVEL * abs(median(recent))) / 2:
        return OFF
    if width == 0 or step < max(NOISY_RANGE * width, NOISY_LEVEL * abs(median(recent))):
        return HOLD
    return Reading("on", "info", scene.place(track, 0), step, width, {"noisy": step / width})


# --- texts ---------------------------------------------------------------------------------------------------------


def _text(episode: Episode, scene: Scene) -> Text:
    facts, tag = episode.facts, plain(episode.tag or "")
    value, reference = format_number(episode.value), format_number(episode.reference)
    if "first" in facts:
        return Text(
            f'"{tag}" began at {reference} and its best level is {value}, while the training loss fell from '
            f"{format_number(facts['train_start'])} to {format_number(facts['train_now'])}.",
            "The model learns its samples by heart: check that training and validation samples come from the same "
            "source and are prepared alike, then use more data or augmentation and a smaller model.",
        )
    if "gap" in facts:
        return Text(
            f'"{tag}" is at {value} and the training loss at {reference}: the gap is '
            f"{format_percent(100 * facts['gap'])} of the validation loss and grows since "
            f"{scene.named(episode.onset.step)}.",
            "No harm while validation still improves; more data, augmentation, weight decay and dropout narrow it.",
        )
    if "lower" in facts:
        return Text(
            f'"{tag}" is at {value}, below the training loss of {reference}, and was lower by a tenth or more at '
            f"{format_percent(100 * facts['lower'])} of the evaluations.",
            "Normal with dropout and augmentation, which only training has; otherwise look for samples that are in "
            "both sets.",
        )
    return Text(
        f'"{tag}" changes by {value} from one evaluation to the next, {format_percent(100 * facts["noisy"])} of its '
        f"range of {reference}.",
        "The best checkpoint is chosen by chance: evaluate on more samples, or average the weights of several.",
    )


def _coverage(scene: Scene) -> str | None:
    if not scene.validations:
        return "There is no validation loss."
    if scene.loss is None or scene.loss.direction is None:
        return "Does not apply: there is no training loss to compare with."
    missing = "Does not apply: no validation loss measures what the training loss measures."
    return covered(_tracks(scene), LEAST, missing)


RULES = (
    Rule(
        kind="train_val_gap",
        group="generalisation",
        label="validation apart from training",
        coverage=_coverage,
        text=_text,
        replay=lambda: Several(
            (
                SeriesReplay("train_val_gap", _tracks, LEAST, _read_never, confirm=3),
                SeriesReplay("train_val_gap", _tracks, LEAST, _read_gap, confirm=3),
                SeriesReplay("train_val_gap", _tracks, LEAST, _read_lower, confirm=3),
                SeriesReplay("train_val_gap", _tracks, NOISY_LEAST, _read_noisy, confirm=3),
            )
        ),
        causes=("non_finite", "divergence", "overfitting"),
    ),
)
