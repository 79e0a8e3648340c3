"""The judged series getting worse: slowly (rising) or beyond where it started (divergence)."""

import math
from collections.abc import Callable, Mapping, Sequence

from monitor.health.episodes import HOLD, OFF, Episode, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.stats import mann_kendall_z
from monitor.health.track import Course, Track, both_tick_counts
from monitor.schema import SEVERITIES
from monitor.text import format_learning_rate, format_number, format_percent, format_step, plain

LEAST = 12
TREND_Z = 2.6
"""Mann–Kendall z of a rise: one-sided p of 0.5 %."""


def _tracks(scene: Scene) -> Sequence[Track]:
    return present(scene.judged)


def _on_both_scales(
    read: Callable[[Scene, Track, Course], Reading], kept: float
) -> Callable[[Scene, Track, int], Reading]:
    """Return a reading of the whole series and, once it is long, of its newest points too: the graver of the two.

    In a long series the blocks are long as well, and a rise drowns in them for a while. It is measured in the progress
    of the whole series on both scales; the newest points are not judged where there is none.

    Args:
        read: The reading of one scale.
        kept: Share of the progress that is still lost when a rise that lies behind the newest points is not over.
    """

    def read_both(scene: Scene, track: Track, count: int) -> Reading:
        course, recent = track.course(count), track.recent_course(count)
        whole = read(scene, track, course)
        if recent is None or recent.progress < 8 * recent.noise:
            return whole
        graver = max(whole, read(scene, track, recent), key=_gravity)
        is_lost = course.lost >= kept and course.rise > 4 * course.noise
        return HOLD if graver.level == "off" and is_lost else graver

    return read_both


def _gravity(reading: Reading) -> tuple[int, int]:
    return ("off", "hold", "on").index(reading.level), SEVERITIES.index(reading.severity)


def _read_divergence(scene: Scene, track: Track, course: Course) -> Reading:
    if course.points_after_best < max(4, min(20, 0.02 * course.length)) or course.rise <= 4 * course.noise:
        return OFF
    if course.rise <= 8 * course.noise or course.lost < 1 or not _matters(course):
        return HOLD if course.lost >= 0.7 else OFF
    grave = course.lost >= 1.2 or course.progress < 8 * course.noise
    return Reading(
        "on",
        "critical" if grave else "error",
        scene.place(track, course.best_end - 1),
        track.shown(course.level(course.current)),
        track.shown(course.level(course.best)),
        _facts(scene, track, course, math.nan),
    )


def _matters(course: Course) -> bool:
    """Tell whether a rise is worth a word where there is no progress to compare it with.

    Then the present level must be worse than the start too, and by a tenth: leaving a lucky block is no divergence.
    """
    if course.progress >= 8 * course.noise:
        return True
    worse = course.current - course.start
    return worse > 4 * course.noise and worse >= (0.3 if course.log else 0.1 * abs(course.best))


def _read_rising(scene: Scene, track: Track, course: Course) -> Reading:
    blocks_after = len(course.blocks) - 1 - course.best_block
    if blocks_after < 5 or course.points_after_best < max(8, 0.12 * course.length) or course.rise <= 4 * course.noise:
        return OFF
    trend = mann_kendall_z(course.blocks[course.best_block :])
    best = scene.place(track, course.best_end - 1)
    if scene.raised_by_schedule(best.time, float(track.time[course.points - 1])):
        return HOLD
    if course.rise <= 6 * course.noise or trend <= TREND_Z or not _is_worse(course, 0.25, 0.30, 0.3):
        return HOLD if _is_worse(course, 0.12, 0.15, 0.15) else OFF
    grave = _is_worse(course, 0.4, 0.4, 0.4) and scene.learning_rate is not None
    return Reading(
        "on",
        "error" if grave else "warning",
        best,
        track.shown(course.level(course.current)),
        track.shown(course.level(course.best)),
        _facts(scene, track, course, trend),
    )


def _is_worse(course: Course, lost: float, share: float, decades: float) -> bool:
    """Tell whether enough progress was lost, or the level rose by a share of itself, or by decades in log mode."""
    if course.lost >= lost:
        return True
    return course.rise >= decades if course.log else 0 < share * course.best <= course.rise


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
            "divergence", _tracks, LEAST, _on_both_scales(_read_divergence, kept=0.7), ticks=both_tick_counts
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
            "rising", _tracks, LEAST, _on_both_scales(_read_rising, kept=0.12), ticks=both_tick_counts
        ),
        causes=("non_finite", "divergence", "level_shift", "lr_schedule", "restart"),
    ),
)
