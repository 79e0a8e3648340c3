"""The training loss in a word.

Decided at the last tick of the loss, with the findings that are open. *Rising*: divergence, rising or a level shift is
open, or the loss is no number any more, or its last quarter trends upwards and loses progress. *Oscillating*: so it is
found. *Falling*: the last quarter has a downward trend or is lower than the quarter before. Else it is flat: *stuck*
when it is found to have learned nothing, *converged* when it has come its way, *flat* when neither can be told.
"""

import math
from collections.abc import Sequence

from monitor.health.episodes import Episode
from monitor.health.rules.learning import LOST, has_arrived
from monitor.health.scene import Scene
from monitor.health.stats import block_medians, mann_kendall_z, median
from monitor.health.track import MOST_BLOCKS, Course, Track, last_tick
from monitor.schema import Floats, Verdict

LEAST = 8
RISING_KINDS = ("divergence", "rising", "level_shift")
TREND_Z = 2.6


def loss_verdict(scene: Scene, episodes: Sequence[Episode]) -> Verdict:
    """Return the training loss in a word.

    A loss whose level means nothing by itself (reinforcement learning) is falling or flat, never rising.
    """
    loss = scene.loss
    if loss is None:
        return "no_loss"
    if len(loss) and not loss.finite[-1]:
        return "rising"
    if len(loss) < LEAST:
        return "too_few_points"
    open_kinds = {one.kind for one in episodes if one.now.open and one.tag == loss.tag}
    if open_kinds.intersection(RISING_KINDS) and loss.direction is not None:
        return "rising"
    if "oscillation" in open_kinds:
        return "oscillating"
    course = loss.course(last_tick(len(loss)))
    if loss.direction is not None and _rises(loss, course):
        return "rising"
    if _falls(loss, course):
        return "falling"
    if "stuck" in open_kinds:
        return "stuck"
    return "converged" if loss.direction is not None and has_arrived(scene, loss, course) else "flat"


def _rises(loss: Track, course: Course) -> bool:
    """Tell whether the last quarter trends upwards and progress is lost, for whatever reason, the schedule included."""
    count = course.points
    trend = mann_kendall_z(_blocks(loss.value[count - max(count // 4, LEAST) : count]))
    return trend > TREND_Z and course.rise > 6 * course.noise and course.lost >= LOST


def _falls(loss: Track, course: Course) -> bool:
    """Tell whether the last quarter trends downwards, or lies two deviations below the quarter before."""
    count = course.points
    width = max(count // 4, LEAST)
    recent = _blocks(loss.value[count - width : count])
    if mann_kendall_z(recent) < -TREND_Z:
        return True
    before = loss.value[max(count - 2 * width, 0) : count - width]
    if len(before) < LEAST:
        return count < 2 * LEAST and mann_kendall_z(loss.value[:count]) < -TREND_Z
    gain = _scaled(course, median(before)) - _scaled(course, median(loss.value[count - width : count]))
    return gain >= 2 * course.noise


def _scaled(course: Course, value: float) -> float:
    return math.log10(value) if course.log else value


def _blocks(values: Floats) -> Floats:
    return values if len(values) < 30 else block_medians(values, min(len(values) // 5, MOST_BLOCKS))
