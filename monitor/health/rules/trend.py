"""The judged series getting worse: slowly (rising) or beyond where it started (divergence)."""

import math
from collections.abc import Callable, Mapping, Sequence

from monitor.health.episodes import HOLD, OFF, Episode, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.stats import mann_kendall_z, median
from monitor.health.track import Course, Track, both_tick_counts, recent_points
from monitor.schema import SEVERITIES, Floats
from monitor.settings import HealthSettings
from monitor.text import format_learning_rate, format_number, format_percent, format_step, plain

LEAST = 12
TREND_Z = 2.6
"""Mann–Kendall z of a rise: one-sided p of 0.5 %."""

CLEAR_Z, CLEAR_PROGRESS, CLEAR_SHARE = 3.2, 20.0, 0.8
"""A trend with a p of 0.07 %, in a series that has improved by so many deviations, is a rise at that part of the share
that is asked of others."""

STILL_DIVERGED, STILL_RISING, STILL_HIGHER = 0.7, 0.48, 0.5
"""Shares of what opens a finding, of the progress twice and of the level, from which on it is kept."""

GRAVE_DIVERGENCE, GRAVE_RISE = 1.2, 0.4
"""Shares of the progress, for a rise of the level as well, whose loss is critical and an error."""

LASTING_BLOCKS = 5
"""Blocks behind the best one before a rise is more than a passing one."""

FEW_BLOCKS = 40
"""Blocks below which their noise, estimated from so few, is taken for larger."""

CLIMB, NEAR_PEAK = 1.5, 0.7
"""A spike climbs on when its newest points are so much higher than its first ones, and so near its peak."""


def _tracks(scene: Scene) -> Sequence[Track]:
    return present(scene.judged)


def _on_both_scales(
    read: Callable[[Scene, Track, Course], Reading], kept: Callable[[HealthSettings], float]
) -> Callable[[Scene, Track, int], Reading]:
    """Return a reading of the whole series and, once it is long, of its newest points too: the graver of the two.

    In a long series the blocks are long as well, and a rise drowns in them for a while. It is measured in the progress
    of the whole series on both scales; the newest points are not judged where there is none.

    Args:
        read: The reading of one scale.
        kept: Gives the share of the progress that is still lost when a rise behind the newest points is not over.
    """

    def read_both(scene: Scene, track: Track, count: int) -> Reading:
        course, recent = track.course(count), track.recent_course(count)
        whole = read(scene, track, course)
        if recent is None or recent.progress < 8 * recent.noise:
            return whole
        graver = max(whole, read(scene, track, recent), key=_gravity)
        is_lost = course.lost >= kept(scene.settings.health) and course.rise > 4 * course.noise
        return HOLD if graver.level == "off" and is_lost else graver

    return read_both


def _gravity(reading: Reading) -> tuple[int, int]:
    return ("off", "hold", "on").index(reading.level), SEVERITIES.index(reading.severity)


def _read_divergence(scene: Scene, track: Track, course: Course) -> Reading:
    if course.points_after_best < max(4, min(20, 0.02 * course.length)) or course.rise <= 4 * course.noise:
        return OFF
    lost = scene.settings.health.divergence_lost_percent / 100
    if course.rise <= 8 * _cautious_noise(course) or course.lost < lost or not _matters(course):
        return HOLD if course.lost >= _still_diverged(scene.settings.health) else OFF
    if _may_come_back(scene, track, course):
        return HOLD
    grave = course.lost >= GRAVE_DIVERGENCE or course.progress < 8 * course.noise
    return Reading(
        "on",
        "critical" if grave else "error",
        scene.place(track, course.best_end - 1),
        track.shown(course.level(course.current)),
        track.shown(course.level(course.best)),
        _facts(scene, track, course, math.nan),
    )


def _still_diverged(health: HealthSettings) -> float:
    """Return the share of the progress that is still lost when a divergence is not over."""
    return STILL_DIVERGED * health.divergence_lost_percent / 100


def _cautious_noise(course: Course) -> float:
    """Return the noise of a block median, taken for larger while few blocks tell of it."""
    return course.noise * max(math.sqrt(FEW_BLOCKS / len(course.blocks)), 1.0)


def _may_come_back(scene: Scene, track: Track, course: Course) -> bool:
    """Tell whether the present level is that of a spike, which has its time to recover unless it climbs on.

    Once recovered, it counts until half of the points that make the present level are behind it.
    """
    now = float(track.time[course.points - 1])
    known = (one for one in scene.episodes if one.kind == "spike" and one.tag == track.tag and one.at(now))
    spike = max(known, key=lambda one: one.onset.time, default=None)
    state = None if spike is None else spike.at(now)
    if spike is None or state is None or scene.was_open(("level_shift",), now):
        return False
    if not state.open:
        return track.known_at(state.time) > course.points - recent_points(course.points) // 2
    return not _climbs_on(track.value[track.known_at(spike.onset.time) - 1 : course.points], spike.reference or 0.0)


def _climbs_on(spike: Floats, baseline: float) -> bool:
    """Tell whether a spike that is not over, at least three points of it, goes on climbing."""
    height = spike - baseline
    newest = median(height[-3:])
    return newest >= CLIMB * float(height[:2].max()) and newest >= NEAR_PEAK * float(height.max())


def _matters(course: Course) -> bool:
    """Tell whether a rise is worth a word where there is no progress to compare it with.

    Then the present level must be worse than the start too, and by a tenth: leaving a lucky block is no divergence.
    """
    if course.progress >= 8 * course.noise:
        return True
    worse = course.current - course.start
    return worse > 6 * _cautious_noise(course) and worse >= (0.3 if course.log else 0.1 * abs(course.best))


def _read_rising(scene: Scene, track: Track, course: Course) -> Reading:
    blocks_after = len(course.blocks) - 1 - course.best_block
    if blocks_after < LASTING_BLOCKS or course.points_after_best < max(8, 0.12 * course.length):
        return OFF
    if course.rise <= 4 * course.noise:
        return OFF
    trend = mann_kendall_z(course.blocks[course.best_block :])
    best = scene.place(track, course.best_end - 1)
    if scene.raised_by_schedule(best.time, float(track.time[course.points - 1])):
        return HOLD
    health = scene.settings.health
    lost, level = health.rising_lost_percent / 100, health.rising_level_percent / 100
    worse = course.rise > 6 * _cautious_noise(course) and _matters(course) and _is_worse(course, lost, level)
    lasts = worse and (trend > TREND_Z or _stays_up(scene, track, course))
    if not lasts and not (trend > CLEAR_Z and _is_clear(course, lost)):
        return HOLD if _is_worse(course, _still_rising(health), STILL_HIGHER * level) else OFF
    grave = _is_worse(course, GRAVE_RISE, GRAVE_RISE) and scene.learning_rate is not None
    return Reading(
        "on",
        "error" if grave else "warning",
        best,
        track.shown(course.level(course.current)),
        track.shown(course.level(course.best)),
        _facts(scene, track, course, trend),
    )


def _is_clear(course: Course, lost: float) -> bool:
    """Tell whether a rise out of much progress has lost enough of it to be one where its trend is clear."""
    much = course.progress >= CLEAR_PROGRESS * course.noise
    return much and course.rise > 6 * course.noise and course.lost >= CLEAR_SHARE * lost


def _stays_up(scene: Scene, track: Track, course: Course) -> bool:
    """Tell whether the series came down from a spike to a level of its own, far above its best one."""
    newest = course.blocks[-LASTING_BLOCKS:]
    if course.lost < GRAVE_RISE or float(newest.min()) - course.best <= 6 * _cautious_noise(course):
        return False
    first = float(track.time[course.best_end - course.block_points])
    now = float(track.time[course.points - 1])
    since = [one for one in scene.episodes if one.kind == "spike" and one.tag == track.tag and one.onset.time >= first]
    return any(one.at(now) is not None for one in since)


def _still_rising(health: HealthSettings) -> float:
    """Return the share of the progress that is still lost when a rise is not over."""
    return STILL_RISING * health.rising_lost_percent / 100


def _is_worse(course: Course, lost: float, level: float) -> bool:
    """Tell whether enough progress was lost, or the level rose by a share of itself, in log mode of a decade."""
    if course.lost >= lost:
        return True
    return course.rise >= level if course.log else 0 < level * course.best <= course.rise


def _facts(scene: Scene, track: Track, course: Course, trend: float) -> Mapping[str, float]:
    best = scene.place(track, course.best_end - 1)
    then = scene.learning_rate_at(best.time)
    now = scene.learning_rate_at(float(track.time[course.points - 1]))
    return {
        "points": float(course.points_after_best),
        "among": float(course.length) if course.first else math.nan,
        "lost": course.lost if course.progress > 0 else math.nan,
        "trend": trend,
        "rate_then": math.nan if then is None else then,
        "rate_now": math.nan if now is None else now,
    }


def _text(episode: Episode, scene: Scene) -> Text:
    facts = episode.facts
    track = scene.judged
    direction = "below" if track is not None and track.direction == "max" else "above"
    evidence = (
        f'"{plain(episode.tag or "")}" is at {format_number(episode.value)}, {direction} {_best(facts)} '
        f"{format_number(episode.reference)} at {scene.named(episode.onset.step)}, "
        f"{format_step(int(facts['points']))} points later.{_lost(facts)}{_rates(facts)}"
    )
    return Text(evidence, _advice(episode, scene))


def _best(facts: Mapping[str, float]) -> str:
    if math.isnan(facts["among"]):
        return "its best level of"
    return f"the best level of its newest {format_step(int(facts['among']))} points,"


def _lost(facts: Mapping[str, float]) -> str:
    if math.isnan(facts["lost"]):
        return " It has not improved since the start."
    if facts["lost"] > 1:
        return " All its progress is lost, and more."
    return f" That is {format_percent(100 * facts['lost'])} of all its progress lost."


def _rates(facts: Mapping[str, float]) -> str:
    if math.isnan(facts["rate_now"]) or math.isnan(facts["rate_then"]):
        return ""
    then, now = format_learning_rate(facts["rate_then"]), format_learning_rate(facts["rate_now"])
    return f" The learning rate was {then} then and is {now} now."


def _advice(episode: Episode, scene: Scene) -> str:
    where = scene.named(episode.onset.step)
    rate = episode.facts["rate_now"]
    if rate > scene.settings.health.lr_high:
        return (
            f"Go back to the checkpoint of {where}; the learning rate of {format_learning_rate(rate)} is above the "
            f"usual range, so try {format_learning_rate(rate / 10)}, and clip gradients to 1.0."
        )
    return (
        f"Go back to the checkpoint of {where}, divide the learning rate by 3 to 10 and clip gradients to 1.0; "
        f"if the learning rate did not change there, look at the samples from that step on."
    )


def _coverage(scene: Scene) -> str | None:
    if scene.loss is not None and scene.judged is None:
        return "Does not apply: the level of this loss means nothing by itself, and there is no reward."
    return covered(_tracks(scene), LEAST, "There is no training loss.")


RULES = (
    Rule(
        kind="divergence",
        group="stability",
        label="divergence",
        coverage=_coverage,
        text=_text,
        replay=lambda: SeriesReplay(
            "divergence",
            _tracks,
            LEAST,
            _on_both_scales(_read_divergence, kept=_still_diverged),
            ticks=both_tick_counts,
        ),
        causes=("non_finite", "lr_schedule", "restart"),
    ),
    Rule(
        kind="rising",
        group="stability",
        label="loss rising",
        coverage=_coverage,
        text=_text,
        replay=lambda: SeriesReplay(
            "rising", _tracks, LEAST, _on_both_scales(_read_rising, kept=_still_rising), ticks=both_tick_counts
        ),
        causes=("non_finite", "divergence", "level_shift", "lr_schedule", "restart"),
    ),
)
