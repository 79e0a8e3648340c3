"""A loss that never gets anywhere (stuck), and one that got somewhere and stays there (plateau)."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from monitor.health.episodes import HOLD, OFF, Episode, Reading
from monitor.health.rules.learning_rate import usual_rates
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.stats import block_medians, mann_kendall_z, median, theil_sen_slope
from monitor.health.track import Course, Track
from monitor.schema import Floats
from monitor.text import format_learning_rate, format_number, format_percent, format_step, plain

WORSE = ("divergence", "rising", "level_shift")
"""What a series that gets worse is called; it is neither stuck nor on a plateau meanwhile."""

CERTAIN_Z = 2.6
"""Mann–Kendall z of a trend that is certain: one-sided p of 0.5 %."""

LIKELY_Z = 1.64
"""Mann–Kendall z of a trend that is likely: one-sided p of 5 %; without one a series is flat."""

# stuck
LEAST = 5
"""Points before which nothing is judged, and before which another series tells nothing."""

SLOW_PART = 4
"""Points that are far apart in time stand for so many."""

EVALUATED_SHARE = 0.8
SLOW_SECONDS = 20.0

PLANNED_SHARE = 0.05
"""Share of the planned steps before which nobody expects a run to have learned something."""

GAIN_SHARE = 0.03
NOISE_SHARE = 0.033
"""Noise of a block, in shares of the level, above which a gain of `GAIN_SHARE` cannot be told from none."""

DROP_SHARE = 0.1
"""A series that fell by this share within its first points has learned quickly; it is not stuck."""

WARMED_UP = 0.1
WARM_UP_SHARE = 0.2
STILL_WARMING = 1.5
LATE_START = 20
"""Usual gaps between step 0 and the first point from which on the start of the training was logged elsewhere."""

CHANCE_SHARE, CHANCE_SHARE_ALONE = 0.05, 0.01
COMMON_CLASSES = (2, 10, 100, 1000)
CHANCE_FACTOR = 1.5
ACCURACY = re.compile(r"(^|[^a-z])(acc|accuracy|top_?1)([^a-z]|$)", re.IGNORECASE)
SOLVED_ACCURACY, HIGH_ACCURACY = 0.9, 0.95
VANISHED_GRADIENT = 1e-7

# plateau
LEARNED = 8.0
"""Something was learned when the progress is this many times the noise."""

BEST_NOISE, BEST_SHARE = 2.0, 0.005
"""A new best is lower by this many deviations and by this share of the progress."""

FLAT_POINTS, FLAT_EPOCHS = 50, 8
"""A plateau has at least so many points or epochs."""

LATE_SHARE = 0.25
"""A validation loss whose best lies within this share of its end still improves."""

FLAT_GAIN = 0.01
SPENT_RATE = 0.1
LOW_LEVEL = 0.1
CLEAR_PROGRESS = 20.0
LOST = 0.12
"""Share of its progress that a converged loss has not lost."""

WAY_PIECES, WAY_THIRDS = 12, (4, 8, 11)
"""Pieces of the way to the last best, and those that end its thirds."""


def judged_tracks(scene: Scene) -> Sequence[Track]:
    """Return the series whose level means something: the loss, or the reward where the loss is free."""
    return present(scene.judged)


def judged_coverage(scene: Scene, least: int) -> str | None:
    """Return why a rule on the judged series with at least so many points cannot run; None when it ran."""
    if scene.loss is not None and scene.judged is None:
        return "Does not apply: the level of this loss means nothing by itself, and there is no reward."
    return covered(judged_tracks(scene), least, "There is no training loss.")


# --- stuck ---------------------------------------------------------------------------------------------------------


def _read_stuck(scene: Scene, track: Track, count: int) -> Reading:
    """Read whether anything was learned since the warm-up: a gain of 3 % of the level, or a trend.

    Nothing is said while the noise of a block hides such a gain, and where a fall within the first points, another
    series or an accuracy tells that something was learned.
    """
    begin, needed = _warmed_up(scene, track, count), _points_needed(scene, track, count)
    if begin is None or count - begin < needed or _began_elsewhere(track, count):
        return OFF
    course = track.course(count)
    blocks = course.blocks[min(math.ceil(begin / course.block_points), len(course.blocks) - 4) :]
    first, last = _ends(course, blocks)
    classes = _chance_classes(scene, track, course, last)
    flatness = _chance_flatness(course, blocks, classes) if classes else _flatness(course, blocks, first, last)
    learned = (not classes and _dropped(track, course, begin, last)) or _learns_elsewhere(scene, track, count)
    if flatness == "off" or learned:
        return OFF
    now = scene.place(track, count - 1)
    if flatness == "hold" or scene.was_open(WORSE, now.time):
        return HOLD
    return Reading(
        "on",
        "error" if count - begin >= 2 * needed else "warning",
        scene.place(track, begin),
        track.shown(last),
        track.shown(first),
        _stuck_facts(scene, now.time, count - begin, classes),
    )


def _warmed_up(scene: Scene, track: Track, count: int) -> int | None:
    """Return the position from which on the learning rate is a tenth of its peak, at most a fifth of the run.

    Returns:
        None while the learning rate still grows: what was not learned yet may be learned soon.
    """
    rates = scene.learning_rate
    known = rates.known_at(float(track.time[count - 1])) if rates is not None else 0
    if rates is None or not known:
        return 0
    peak, now = float(rates.value[:known].max()), float(rates.value[known - 1])
    if now >= peak and now > STILL_WARMING * float(rates.value[known // 2]):
        return None
    warm = int(np.argmax(rates.value[:known] >= WARMED_UP * peak))
    return min(track.known_at(float(rates.time[warm])), int(WARM_UP_SHARE * count)) if warm else 0


def _points_needed(scene: Scene, track: Track, count: int) -> int:
    """Return the points in which something must have been learned: fewer epochs than steps, and a share of the plan."""
    if is_by_epoch(scene, track, count):
        return scene.settings.health.stuck_epochs
    usual = scene.settings.health.stuck_points
    least = usual // SLOW_PART if _is_slow(scene, track, count) else usual
    planned, steps = scene.evidence.progress.total_steps, int(track.step[count - 1] - track.step[0])
    return least if planned is None or steps <= 0 else max(least, int(PLANNED_SHARE * planned / steps * count))


def is_by_epoch(scene: Scene, track: Track, count: int) -> bool:
    """Tell whether the points are epochs: as the plan says, or because nearly each of them has its evaluation."""
    if track is scene.reward:
        return False
    now = float(track.time[count - 1])
    evaluations = max((other.known_at(now) for other in scene.validations), default=0)
    return scene.evidence.first_epoch_step is not None or evaluations >= EVALUATED_SHARE * count


def _is_slow(scene: Scene, track: Track, count: int) -> bool:
    """Tell whether each point of a loss stands for much work; rewards are slow by nature and often come late."""
    gaps = np.diff(track.time[max(count - 100, 0) : count])
    return track is not scene.reward and len(gaps) > 0 and median(gaps) >= SLOW_SECONDS


def _began_elsewhere(track: Track, count: int) -> bool:
    """Tell whether the training began long before its first point: what it learned then is not known."""
    steps = int(track.step[count - 1] - track.step[0])
    return int(track.step[0]) * (count - 1) > LATE_START * steps


def _ends(course: Course, blocks: Floats) -> tuple[float, float]:
    """Return the level of the first twentieth and of the last quarter."""
    least = math.ceil(3 / course.block_points)
    first = blocks[: max(math.ceil(0.05 * len(blocks)), least)]
    last = blocks[-max(math.ceil(0.25 * len(blocks)), least) :]
    return course.level(median(first)), course.level(median(last))


def _flatness(course: Course, blocks: Floats, first: float, last: float) -> str:
    """Tell whether the series gained next to nothing, as far as its noise lets us see that: on, hold or off."""
    if course.log or course.noise > NOISE_SHARE * abs(first):
        return "off"
    gained, trend = first - last, mann_kendall_z(blocks)
    most = max(2 * GAIN_SHARE * abs(first), 4 * course.noise)
    if gained >= 2 * GAIN_SHARE * abs(first) or first - course.level(float(blocks.min())) >= most:
        return "off"
    return "on" if gained < GAIN_SHARE * abs(first) and abs(trend) < LIKELY_Z else "hold"


def _chance_flatness(course: Course, blocks: Floats, classes: int) -> str:
    """Tell whether the last three quarters are flat, and nothing before was better than the guess: on or off.

    A loss that falls slowly passes the guess on its way; one that is stuck there arrives at once.
    """
    later, chance = blocks[len(blocks) // 4 :], math.log(classes)
    gained = -theil_sen_slope(later) * len(later)
    flat = gained < GAIN_SHARE * chance and abs(mann_kendall_z(later)) < LIKELY_Z
    best = (1 - CHANCE_SHARE) * chance - BEST_NOISE * course.noise
    tight = not course.log and course.noise <= NOISE_SHARE * chance
    return "on" if flat and tight and float(blocks.min()) >= best else "off"


def _dropped(track: Track, course: Course, begin: int, last: float) -> bool:
    """Tell whether the series fell within its first three points: some runs learn most before the second is logged."""
    opening = median(track.value[begin : begin + 3])
    point_noise = course.noise * math.sqrt(course.block_points)
    return opening - last > max(DROP_SHARE * abs(opening), 3 * point_noise)


def _chance_classes(scene: Scene, track: Track, course: Course, last: float) -> int:
    """Return the number K of classes when the loss is that of a uniform guess, ln K; 0 when it is not.

    An accuracy must agree; without one only common numbers of classes count, and they must fit closely.

    Source: cross-entropy of the uniform distribution over K classes is ln K, its accuracy 1 / K.
    """
    if track is not scene.loss or not 0.5 < last < 20:
        return 0
    accuracy = _accuracy(scene, float(track.time[course.points - 1]))
    classes = max(round(math.exp(last)), 2)
    if accuracy is not None:
        fits = abs(last - math.log(classes)) <= CHANCE_SHARE * math.log(classes)
        return classes if fits and accuracy <= CHANCE_FACTOR / classes else 0
    near = (common for common in COMMON_CLASSES if abs(last / math.log(common) - 1) <= CHANCE_SHARE_ALONE)
    return next(near, 0)


def _accuracy(scene: Scene, time: float) -> float | None:
    """Return the accuracy at a moment as a share, None where none is logged."""
    track = next((score for score in scene.scores if ACCURACY.search(score.tag) and score.direction == "max"), None)
    known = track.known_at(time) if track is not None else 0
    if track is None or not known:
        return None
    level = track.shown(track.level_at(known))
    return level / 100 if track.shown(float(track.value[:known].min())) > 1 else level


def _learns_elsewhere(scene: Scene, track: Track, count: int) -> bool:
    """Tell whether an accuracy is high or any other series with a direction has clearly improved."""
    now = float(track.time[count - 1])
    accuracy = _accuracy(scene, now)
    if accuracy is not None and accuracy >= SOLVED_ACCURACY:
        return True
    return any(_has_learned(other, other.known_at(now)) for other in (*scene.validations, *scene.scores))


def _has_learned(track: Track, count: int) -> bool:
    if count < LEAST:
        return False
    course = track.course(count)
    gained = course.start - course.current
    return gained >= LEARNED * course.noise and gained > GAIN_SHARE * abs(course.start)


def _stuck_facts(scene: Scene, time: float, points: int, classes: int) -> Mapping[str, float]:
    rate, norms = scene.learning_rate_at(time), scene.gradient_norm
    known = norms.known_at(time) if norms is not None else 0
    return {
        "points": float(points),
        "rate": math.nan if rate is None else rate,
        "gradient": norms.level_at(known) if norms is not None and known else math.nan,
        "classes": float(classes),
    }


def _stuck_text(episode: Episode, scene: Scene) -> Text:
    facts = episode.facts
    evidence = (
        f'"{plain(episode.tag or "")}" is at {format_number(episode.value)} after '
        f"{format_step(int(facts['points']))} points; it began at {format_number(episode.reference)} at "
        f"{scene.named(episode.onset.step)} and shows no trend.{_stuck_context(facts)}"
    )
    return Text(evidence, _stuck_advice(facts, scene))


def _stuck_context(facts: Mapping[str, float]) -> str:
    rate = "" if math.isnan(facts["rate"]) else f" The learning rate is {format_learning_rate(facts['rate'])}."
    if not facts["classes"]:
        return rate
    return f" This is the loss of a uniform guess among {format_step(int(facts['classes']))} classes.{rate}"


def _stuck_advice(facts: Mapping[str, float], scene: Scene) -> str:
    if facts["rate"] == 0:
        return "The learning rate is 0: check how the schedule and the optimizer are set up."
    if facts["rate"] < scene.settings.health.lr_low:
        return f"Raise the learning rate 10 to 100 times; {usual_rates(scene)} is usual."
    if facts["gradient"] < VANISHED_GRADIENT:
        return (
            "Hardly any gradient arrives: look for frozen or detached parameters and for units that are never active."
        )
    if facts["classes"]:
        return "The model predicts a uniform class: check the labels, the initialisation and the last layer."
    return "Try to overfit a single batch first; if that fails, check labels, loss and learning rate before going on."


def _stuck_coverage(scene: Scene) -> str | None:
    track = scene.judged
    usual = scene.settings.health.stuck_epochs
    needed = _points_needed(scene, track, len(track)) if track is not None and len(track) else usual
    return judged_coverage(scene, needed)


# --- plateau -------------------------------------------------------------------------------------------------------


def _read_plateau(scene: Scene, track: Track, count: int) -> Reading:
    """Read whether a series that has learned gains no more: no new best for a share of the run, no trend since."""
    course = track.course(count)
    last = _last_best(course)
    tail = course.blocks[last + 1 :]
    share = scene.settings.health.plateau_share_percent / 100
    needed = max(share * count, FLAT_EPOCHS if is_by_epoch(scene, track, count) else FLAT_POINTS)
    span = len(tail) * course.block_points
    if course.progress < LEARNED * course.noise or span < needed / 2:
        return OFF
    trend, gained = mann_kendall_z(tail), -theil_sen_slope(tail) * len(tail)
    if abs(trend) > CERTAIN_Z:
        return OFF
    now = scene.place(track, count - 1)
    small = gained < max(FLAT_GAIN * course.progress, course.noise)
    if span < needed or not small or abs(trend) >= LIKELY_Z or scene.was_open((*WORSE, "oscillation"), now.time):
        return HOLD
    arrived = has_arrived(scene, track, course)
    facts = {"points": float(span), "converged": float(arrived), **_rate_facts(scene, now.time)}
    onset = scene.place(track, count - span - 1)
    return Reading("on", "info" if arrived else "notice", onset, track.shown(course.level(median(tail))), None, facts)


def _last_best(course: Course) -> int:
    """Return the block of the last best that was lower than the one before by more than noise."""
    needed = max(BEST_NOISE * course.noise, BEST_SHARE * course.progress)
    best, last = math.inf, 0
    for place, level in enumerate(course.blocks.tolist()):
        if level < best - needed:
            best, last = level, place
    return last


def has_arrived(scene: Scene, track: Track, course: Course) -> bool:
    """Tell whether a flat series has come its way rather than been stopped on it.

    That is so when the learning rate is spent, the level is a tenth of the start, the task is solved or validation
    still improves, or the progress dwarfs the noise and came to its end gradually.
    """
    if course.lost >= LOST:
        return False
    now = float(track.time[course.points - 1])
    if _rate_facts(scene, now)["rate_share"] <= SPENT_RATE:
        return True
    if not course.log and 0 < course.current <= LOW_LEVEL * course.start:
        return True
    if course.log and course.start - course.current >= -math.log10(LOW_LEVEL):
        return True
    if (_accuracy(scene, now) or 0.0) >= HIGH_ACCURACY or _validation_improves(scene, now):
        return True
    return course.progress >= CLEAR_PROGRESS * course.noise and _slowed_down(track, course)


def _rate_facts(scene: Scene, time: float) -> Mapping[str, float]:
    """Return the learning rate at a moment and its share of its peak until then; NaN where unknown."""
    rates = scene.learning_rate
    known = rates.known_at(time) if rates is not None else 0
    if rates is None or not known or rates.value[:known].max() <= 0:
        return {"rate": math.nan, "rate_share": math.nan}
    now = float(rates.value[known - 1])
    return {"rate": now, "rate_share": now / float(rates.value[:known].max())}


def _validation_improves(scene: Scene, time: float) -> bool:
    """Tell whether the best of a validation loss lies in its last quarter, and is a clear gain."""
    for track in scene.validations:
        known = track.known_at(time)
        if known >= FLAT_EPOCHS and _has_learned(track, known):
            course = track.course(known)
            if course.points_after_best < LATE_SHARE * known:
                return True
    return False


def _slowed_down(track: Track, course: Course) -> bool:
    """Tell whether each third of the way to the last best gained at most half of the third before, or only noise."""
    way = track.value[: course.points - course.block_points * (len(course.blocks) - 1 - _last_best(course))]
    if len(way) < WAY_PIECES:
        return False
    levels = np.minimum.accumulate(block_medians(way, WAY_PIECES))
    levels[0] = max(levels[0], median(way[:3]))
    thirds = (np.log10(levels) if course.log else levels)[[0, *WAY_THIRDS]]
    gains = -np.diff(thirds)
    return bool((gains[1:] <= np.maximum(gains[:-1] / 2, BEST_NOISE * course.noise)).all())


def _plateau_text(episode: Episode, scene: Scene) -> Text:
    facts = episode.facts
    evidence = (
        f'"{plain(episode.tag or "")}" has stayed near {format_number(episode.value)} since '
        f"{scene.named(episode.onset.step)}, for {format_step(int(facts['points']))} points.{_rate_context(facts)}"
    )
    if facts["converged"]:
        return Text(evidence, "It has converged; more training changes little, so the run can end here.")
    return Text(
        evidence,
        "Decay the learning rate to a tenth, or stop; if a lower loss is known to be possible, raise the capacity of "
        "the model or the learning rate.",
    )


def _rate_context(facts: Mapping[str, float]) -> str:
    if math.isnan(facts["rate_share"]):
        return ""
    share = format_percent(100 * facts["rate_share"])
    return f" The learning rate is {format_learning_rate(facts['rate'])}, {share} of its peak."


LEAST_PLATEAU = 2 * FLAT_EPOCHS

RULES = (
    Rule(
        kind="stuck",
        group="learning",
        label="nothing learned",
        coverage=_stuck_coverage,
        text=_stuck_text,
        replay=lambda: SeriesReplay("stuck", judged_tracks, LEAST, _read_stuck, confirm=3),
        causes=("non_finite", "dead_value", "divergence", "oscillation"),
    ),
    Rule(
        kind="plateau",
        group="learning",
        label="loss on a plateau",
        coverage=lambda scene: judged_coverage(scene, LEAST_PLATEAU),
        text=_plateau_text,
        replay=lambda: SeriesReplay("plateau", judged_tracks, LEAST_PLATEAU, _read_plateau, confirm=3),
        causes=("non_finite", "dead_value", *WORSE, "oscillation", "stuck"),
    ),
)
