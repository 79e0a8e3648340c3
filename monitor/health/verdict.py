"""The training loss in a word.

Decided at the last tick of the loss. *Rising*: divergence, rising or a level shift is open, or the loss is no number
any more, or its last quarter trends upwards and loses progress. *Oscillating*: it swings around its own trend without
getting lower. *Falling*: the last quarter has a downward trend or is lower than the quarter before. Else it is flat:
*stuck* when it never got anywhere, *converged* when it has come most of its way or the learning rate is spent, *flat*
when neither can be told. Oscillating, stuck, converged and flat are words only: they deduct nothing.
"""

import math
from collections.abc import Sequence

import numpy as np

from monitor.health.episodes import Episode
from monitor.health.scene import Scene
from monitor.health.stats import block_medians, mann_kendall_z, median, theil_sen_slope
from monitor.health.track import MOST_BLOCKS, Course, Track, last_tick
from monitor.schema import Floats, Verdict

LEAST = 8
RISING_KINDS = ("divergence", "rising", "level_shift")
TREND_Z = 2.6
OSCILLATION_POINTS = 90
SPENT_RATE = 0.1
LOW_LEVEL = 0.1
LOST = 0.12
"""Share of its progress that a converged loss has not lost, and a rising one has."""


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
    count = last_tick(len(loss))
    if loss.direction is not None and _oscillates(loss, count):
        return "oscillating"
    if loss.direction is not None and _rises(loss, count):
        return "rising"
    if _falls(loss, count):
        return "falling"
    return "flat" if loss.direction is None else _flat_word(scene, loss, loss.course(count))


def _rises(loss: Track, count: int) -> bool:
    """Tell whether the last quarter trends upwards and progress is lost, for whatever reason, the schedule included."""
    course = loss.course(count)
    trend = mann_kendall_z(_blocks(loss.value[count - max(count // 4, LEAST) : count]))
    return trend > TREND_Z and course.rise > 6 * course.noise and course.lost >= LOST


def _falls(loss: Track, count: int) -> bool:
    """Tell whether the last quarter trends downwards, or lies two deviations below the quarter before."""
    width = max(count // 4, LEAST)
    recent = _blocks(loss.value[count - width : count])
    if mann_kendall_z(recent) < -TREND_Z:
        return True
    before = loss.value[max(count - 2 * width, 0) : count - width]
    if len(before) < LEAST:
        return count < 2 * LEAST and mann_kendall_z(loss.value[:count]) < -TREND_Z
    course = loss.course(count)
    gain = _scaled(course, median(before)) - _scaled(course, median(loss.value[count - width : count]))
    return gain >= 2 * course.noise


def _scaled(course: Course, value: float) -> float:
    return math.log10(value) if course.log else value


def _blocks(values: Floats) -> Floats:
    return values if len(values) < 30 else block_medians(values, min(len(values) // 5, MOST_BLOCKS))


# --- oscillating ---------------------------------------------------------------------------------------------------


def _oscillates(loss: Track, count: int) -> bool:
    if count < OSCILLATION_POINTS:
        return _zigzags(loss.value[:count])
    width = int(np.clip(count // 3, 60, 400))
    window = loss.value[count - width : count]
    slope = _slope(window)
    residual = window - slope * np.arange(width)
    amplitude = median(np.abs(residual - median(residual)))
    gain, level = -slope * width, abs(median(window))
    progress = loss.course(count).linear_progress
    if amplitude >= 0.4 * level and amplitude >= 0.3 * progress and gain < amplitude / 4:
        return True
    matters = amplitude >= 0.1 * level or (amplitude >= 0.2 * progress and amplitude >= 0.05 * level)
    return matters and gain < amplitude / 2 and _is_periodic(residual)


def _slope(window: Floats) -> float:
    """Return the trend per point, from block medians."""
    blocks = _blocks(window)
    return theil_sen_slope(blocks) * len(blocks) / len(window)


def _is_periodic(residual: Floats) -> bool:
    """Tell whether one frequency of at least five cycles holds a share of the power that noise cannot.

    The largest of M ordinates of white noise exceeds (ln M + 9) / M of the power with a probability of about e⁻⁹.
    Source: Fisher (1929), "Tests of significance in harmonic analysis".
    """
    spread = float(np.abs(residual).max())
    if spread <= 0:
        return False
    centred = residual / spread
    power = np.abs(np.fft.rfft(centred - centred.mean())[3:]) ** 2
    total = float(power.sum())
    if total <= 0:
        return False
    share = np.convolve(power, np.ones(3), mode="same")[2:].max() / total
    return bool(share >= max(0.25, (math.log(len(power)) + 9) / len(power)))


def _zigzags(values: Floats) -> bool:
    """Tell whether a short series turns nearly every time, by more than 5 % of its level, and gets nowhere."""
    recent = values[-max(10, len(values) // 3) :]
    if len(recent) < 10:
        return False
    steps = np.diff(recent)
    turns = np.mean(np.sign(steps[1:]) != np.sign(steps[:-1]))
    half = len(recent) // 2
    gain = median(recent[:half]) - median(recent[-half:])
    size = median(np.abs(steps))
    return bool(turns >= 0.8 and size >= 0.1 * abs(median(recent)) and gain < size / 4)


# --- flat ----------------------------------------------------------------------------------------------------------


def _flat_word(scene: Scene, loss: Track, course: Course) -> Verdict:
    first = median(loss.value[: max(course.points // 20, 3)])
    gained = first - median(loss.value[course.points - max(course.points // 4, 3) : course.points])
    noise = course.noise * (math.log(10) * abs(first) if course.log else 1.0)
    needed = 200 if scene.evidence.first_epoch_step is None else 20
    if course.points >= needed and gained < max(0.03 * abs(first), 3 * noise):
        return "stuck" if 3 * noise <= 0.1 * abs(first) else "flat"
    return "converged" if _has_arrived(scene, loss, course) else "flat"


def _has_arrived(scene: Scene, loss: Track, course: Course) -> bool:
    """Tell whether the way is done: the learning rate is spent, the level is low, or the progress dwarfs the noise."""
    if course.lost >= LOST:
        return False
    rates = scene.learning_rate
    known = rates.known_at(float(loss.time[course.points - 1])) if rates is not None else 0
    if rates is not None and known and rates.value[known - 1] <= SPENT_RATE * rates.value[:known].max():
        return True
    start, now = course.level(course.start), course.level(course.current)
    return 0 < now <= LOW_LEVEL * start or course.progress >= 20 * course.noise
