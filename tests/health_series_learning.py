"""Labelled series for the rules on learning and oscillation; length, noise and onset vary with the seed.

Each builder draws its length from a third to three times the usual one, its noise from half to double, and the place
where a fault begins from 20 to 80 % of the run.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from monitor.health import Evidence
from tests.health_series import Fault, decay, evaluated, evidence_of, points

Random = np.random.Generator
Build = Callable[[Random], Evidence]


def length(random: Random, usual: int) -> int:
    """Return a number of points between a third and three times the usual one, spread evenly over the decades."""
    return int(usual * 10 ** random.uniform(np.log10(0.3), np.log10(3)))


def noise_of(random: Random, usual: float) -> float:
    """Return a deviation between half and double of the usual one."""
    return float(usual * 2 ** random.uniform(-1, 1))


def multiplied(random: Random, loss: np.ndarray, sigma: float) -> np.ndarray:
    """Return a positive loss with noise in proportion to its level."""
    return loss * np.exp(random.normal(0, sigma, len(loss)))


def wander(random: Random, count: int, memory: float, sigma: float) -> np.ndarray:
    """Return noise of deviation `sigma` that remembers its last value by the share `memory`."""
    steps = random.normal(0, sigma * np.sqrt(1 - memory**2), count)
    noise = np.empty(count)
    noise[0] = random.normal(0, sigma)
    for place in range(1, count):
        noise[place] = memory * noise[place - 1] + steps[place]
    return noise


def of_reward(random: Random, reward: np.ndarray) -> Evidence:
    """Return a run that learns by its reward; its loss means nothing by itself."""
    loss = np.exp(random.normal(0, 0.5, len(reward)))
    return evidence_of(loss, free_loss=True, score=reward, score_tag="rollout/ep_rew_mean")


def swing(count: int, period: float, phase: float = 0.0) -> np.ndarray:
    """Return an oscillation between −1 and 1; one of period 2 alternates."""
    return np.cos(2 * np.pi * np.arange(count) / period + (0.0 if period == 2 else phase))


# --- healthy -------------------------------------------------------------------------------------------------------


def small_batches(random: Random) -> Evidence:
    low = float(random.uniform(0.3, 1.5))
    loss = decay(length(random, 1000), low=low, speed=float(random.uniform(2, 10)))
    return evidence_of(multiplied(random, loss, noise_of(random, 0.35)))


def triangular_rates(random: Random) -> Evidence:
    count, period = length(random, 1000), int(random.integers(20, 120))
    rate = 1e-5 + 1e-3 * np.abs((np.arange(count) % period) / period * 2 - 1)
    loss = decay(count, low=0.5, speed=6) * (1 + 0.4 * rate / 1e-3)
    return evidence_of(multiplied(random, loss, noise_of(random, 0.03)), learning_rate=rate)


def warm_restarts(random: Random) -> Evidence:
    count = length(random, 1200)
    cycle = max(count // int(random.integers(3, 13)), 4)
    rate = 1e-6 + 1e-3 * (1 + np.cos(np.pi * (np.arange(count) % cycle) / cycle)) / 2
    loss = decay(count, speed=float(random.uniform(2, 8))) + 0.4 * rate / 1e-3
    return evidence_of(multiplied(random, loss, noise_of(random, 0.03)), learning_rate=rate)


def one_cycle(random: Random) -> Evidence:
    count = length(random, 800)
    rate = 1e-3 * np.interp(np.arange(count) / count, [0, 0.3, 1], [0.04, 1, 0.0001])
    loss = decay(count, speed=4) + 0.15 * rate / 1e-3
    known = rate if random.random() < 0.5 else None
    return evidence_of(multiplied(random, loss, noise_of(random, 0.04)), learning_rate=known)


def heavy_tails(random: Random) -> Evidence:
    count = length(random, 1000)
    noise = noise_of(random, 0.08) * np.abs(random.standard_t(3, count))
    return evidence_of(decay(count, low=1.0, speed=float(random.uniform(3, 20))) + noise)


def near_zero(random: Random) -> Evidence:
    count = length(random, 1000)
    loss = 10.0 ** np.interp(np.arange(count) / count, [0, random.uniform(0.2, 0.9), 1], [0, -6, -6.1])
    return evidence_of(multiplied(random, loss, noise_of(random, 0.4)))


def early_convergence(random: Random) -> Evidence:
    count = length(random, 800)
    loss = decay(count, low=float(random.uniform(0.05, 1.2)), speed=float(random.uniform(15, 60)))
    return evidence_of(multiplied(random, loss, noise_of(random, 0.05)))


def drop_in_the_first_points(random: Random) -> Evidence:
    count = length(random, 600)
    loss = 0.5 + 1.8 * np.exp(-np.arange(count) / random.uniform(0.5, 3))
    return evidence_of(multiplied(random, loss, noise_of(random, 0.03)))


def decades(random: Random) -> Evidence:
    count = length(random, 2000)
    loss = 10.0 ** (2 - float(random.uniform(3, 8)) * (np.arange(count) / count) ** random.uniform(0.3, 1))
    return evidence_of(loss * 10 ** wander(random, count, 0.9, noise_of(random, 0.15)))


def rising_reward(random: Random) -> Evidence:
    count = length(random, 400)
    reward = -200 + 350 * (1 - np.exp(-random.uniform(3, 12) * np.arange(count) / count))
    return of_reward(random, reward + random.normal(0, noise_of(random, 25), count))


def reward_at_its_ceiling(random: Random) -> Evidence:
    count = length(random, 400)
    reward = 20 + 480 * np.clip(np.arange(count) / (count * random.uniform(0.1, 0.6)), 0, 1)
    reward = np.minimum(reward + wander(random, count, 0.8, noise_of(random, 30)), 500)
    return of_reward(random, reward)


def sparse_reward(random: Random) -> Evidence:
    count = length(random, 400)
    chance = 0.02 + 0.8 / (1 + np.exp(-12 * (np.arange(count) / count - random.uniform(0.3, 0.7))))
    reward = random.binomial(100, chance) / 100
    return of_reward(random, reward)


def grokking(random: Random) -> Evidence:
    count, evaluations = length(random, 2000), 60
    loss = multiplied(random, np.maximum(decay(count, high=4.6, low=0.0, speed=60), 1e-4), noise_of(random, 0.2))
    late = 1 / (1 + np.exp(-30 * (np.arange(evaluations) / evaluations - 0.7)))
    return evidence_of(loss, score=evaluated(0.01 + 0.98 * late, max(count, evaluations)))


def epochs(random: Random) -> Evidence:
    count = int(random.integers(12, 101))
    loss = multiplied(random, decay(count, speed=float(random.uniform(1.5, 8))), noise_of(random, 0.05))
    validation = multiplied(random, decay(count, low=0.6, speed=4), noise_of(random, 0.06))
    return evidence_of(loss, validation=validation, first_epoch_step=0)


def noisy_epochs(random: Random) -> Evidence:
    count = int(random.integers(12, 101))
    loss = multiplied(random, decay(count, low=0.8, speed=float(random.uniform(3, 20))), noise_of(random, 0.15))
    return evidence_of(points(loss, seconds=60.0), first_epoch_step=0)


def negative(random: Random) -> Evidence:
    count = length(random, 600)
    loss = decay(count, high=3.0, low=-4.0, speed=float(random.uniform(3, 20)))
    return evidence_of(loss + random.normal(0, noise_of(random, 0.15), count))


def around_zero(random: Random) -> Evidence:
    count = length(random, 600)
    loss = decay(count, high=3.0, low=0.0, speed=float(random.uniform(5, 20)))
    return evidence_of(loss + random.normal(0, noise_of(random, 0.1), count))


def wandering(random: Random) -> Evidence:
    count = length(random, 1000)
    noise = wander(random, count, float(random.uniform(0.5, 0.98)), noise_of(random, 0.08))
    return evidence_of(decay(count, low=0.9, speed=float(random.uniform(3, 15))) * np.exp(noise))


def batches_in_the_same_order(random: Random) -> Evidence:
    """The loss repeats with the epoch, because the samples are not shuffled."""
    epoch = int(random.integers(15, 60))
    count = max(length(random, 1000), 8 * epoch)
    difficulty = np.tile(wander(random, epoch, 0.8, 0.25), count // epoch + 1)[:count]
    loss = multiplied(random, decay(count, low=0.6, speed=8) * np.exp(difficulty), 0.03)
    validation = points(decay(count // epoch, low=0.7), every=epoch, late=0.5)
    shifted = replace(validation, step=validation.step + epoch - 1, wall_time=validation.wall_time + epoch - 1)
    return evidence_of(loss, validation=shifted)


def step_decay(random: Random) -> Evidence:
    count = length(random, 900)
    third = np.arange(count) * 3 // count
    level = np.array([1.2, 0.6, 0.45])[third] + 1.2 * np.exp(-40 * np.arange(count) / count)
    return evidence_of(
        multiplied(random, level, noise_of(random, 0.08)), learning_rate=0.1 * 0.1 ** third.astype(float) / 100
    )


def fine_tuning(random: Random) -> Evidence:
    count = length(random, 1000)
    loss = decay(count, high=1.3, low=float(random.uniform(1.0, 1.12)), speed=float(random.uniform(2, 8)))
    return evidence_of(multiplied(random, loss, noise_of(random, 0.1)))


def long_warm_up(random: Random) -> Evidence:
    count = length(random, 1500)
    rate = 1e-3 * np.minimum(np.arange(count) / (0.3 * count), 1.0)
    loss = 0.5 + 2.0 * np.exp(-8 * np.cumsum(rate) / rate.sum())
    return evidence_of(multiplied(random, loss, noise_of(random, 0.03)), learning_rate=rate)


def continued_from_elsewhere(random: Random) -> Evidence:
    loss = points(multiplied(random, np.full(length(random, 800), 0.8), noise_of(random, 0.03)), every=10)
    return evidence_of(replace(loss, step=loss.step + 50_000))


def edge_of_stability(random: Random) -> Evidence:
    """Full-batch descent alternates a little while it goes down."""
    count = length(random, 600)
    level = decay(count, low=0.02, speed=4)
    return evidence_of(multiplied(random, level * (1 + noise_of(random, 0.04) * swing(count, 2)), 0.01))


def solved_from_the_start(random: Random) -> Evidence:
    count = length(random, 600)
    accuracy = evaluated(np.clip(0.985 + random.normal(0, 0.003, 20), 0, 1), max(count, 20))
    return evidence_of(multiplied(random, np.full(count, 0.05), noise_of(random, 0.03)), score=accuracy)


HEALTHY: Mapping[str, Build] = {
    build.__name__: build
    for build in (
        small_batches,
        triangular_rates,
        warm_restarts,
        one_cycle,
        heavy_tails,
        near_zero,
        early_convergence,
        drop_in_the_first_points,
        decades,
        rising_reward,
        reward_at_its_ceiling,
        sparse_reward,
        grokking,
        epochs,
        noisy_epochs,
        negative,
        around_zero,
        wandering,
        batches_in_the_same_order,
        step_decay,
        fine_tuning,
        long_warm_up,
        continued_from_elsewhere,
        edge_of_stability,
        solved_from_the_start,
    )
}


# --- stuck ---------------------------------------------------------------------------------------------------------


def rate_of_zero(random: Random) -> Evidence:
    count = length(random, 800)
    return evidence_of(multiplied(random, np.full(count, 2.4), noise_of(random, 0.03)), learning_rate=np.zeros(count))


def tiny_rate(random: Random) -> Evidence:
    count = length(random, 800)
    loss = 2.4 * (1 - 0.01 * np.arange(count) / count)
    return evidence_of(multiplied(random, loss, noise_of(random, 0.03)), learning_rate=np.full(count, 1e-9))


def uniform_class(random: Random) -> Evidence:
    """A classifier falls from its initial loss to that of a uniform guess, and stays."""
    count, classes = length(random, 1000), int(random.choice([2, 10, 100]))
    loss = np.log(classes) * (1 + float(random.uniform(0.02, 0.6)) * np.exp(-np.arange(count) / 4))
    accuracy = np.clip(1 / classes * (1 + random.normal(0, 0.05, 30)), 0, 1)
    return evidence_of(multiplied(random, loss, noise_of(random, 0.02)), score=evaluated(accuracy, max(count, 30)))


def frozen_layers(random: Random) -> Evidence:
    count = length(random, 800)
    loss = multiplied(random, np.full(count, 1.4), noise_of(random, 0.03))
    return evidence_of(loss, gradient_norm=np.full(count, 1e-11) * np.exp(random.normal(0, 0.1, count)))


def flat_epochs(random: Random) -> Evidence:
    count = int(random.integers(26, 101))
    loss = multiplied(random, np.full(count, 0.69), noise_of(random, 0.01))
    return evidence_of(points(loss, seconds=120.0), first_epoch_step=0)


def flat_reward(random: Random) -> Evidence:
    count = length(random, 800)
    reward = -150 + random.normal(0, noise_of(random, 5), count)
    return of_reward(random, reward)


# --- plateau -------------------------------------------------------------------------------------------------------


def stops_in_the_middle(random: Random) -> Evidence:
    """A loss that falls steadily and then no longer, far from its end."""
    count = length(random, 900)
    onset = float(random.uniform(0.2, 0.6))
    loss = 2.5 - 1.2 * np.minimum(np.arange(count) / (onset * count), 1.0)
    return evidence_of(multiplied(random, loss, noise_of(random, 0.02)), learning_rate=np.full(count, 3e-4))


def converges_with_the_schedule(random: Random) -> Evidence:
    count = length(random, 900)
    rate = 3e-4 * np.where(np.arange(count) < count // 4, 1.0, 0.05)
    loss = 1.0 + 1.5 * np.maximum(1 - np.arange(count) / (count // 4 + 1), 0)
    return evidence_of(multiplied(random, loss, noise_of(random, 0.02)), learning_rate=rate)


# --- oscillation ---------------------------------------------------------------------------------------------------


def _swinging(random: Random, count: int, period: float, amplitude: float, sigma: float) -> np.ndarray:
    """Return a loss that swings by a share of its level from 20 to 80 % of the run on, and falls no further."""
    onset = int(count * random.uniform(0.2, 0.7))
    level = decay(count, low=0.4, speed=6)
    level[onset:] = level[onset]
    size = np.where(np.arange(count) >= onset, amplitude, 0.0)
    loss: np.ndarray = level * (1 + size * swing(count, period, float(random.uniform(0, 6))))
    return multiplied(random, loss, sigma)


def alternates(random: Random) -> Evidence:
    return evidence_of(
        _swinging(random, length(random, 600), 2, float(random.uniform(0.2, 0.6)), noise_of(random, 0.06))
    )


def swings(random: Random) -> Evidence:
    count = length(random, 900)
    period = float(random.uniform(3, min(30, count / 25)))
    return evidence_of(_swinging(random, count, period, float(random.uniform(0.25, 0.6)), noise_of(random, 0.06)))


def swings_from_the_start(random: Random) -> Evidence:
    count = length(random, 600)
    loss = 1.5 * (1 + float(random.uniform(0.25, 0.6)) * swing(count, float(random.uniform(2, 8))))
    return evidence_of(multiplied(random, loss, noise_of(random, 0.06)))


def swings_wider_and_wider(random: Random) -> Evidence:
    count = length(random, 900)
    onset = int(count * random.uniform(0.2, 0.5))
    since = np.maximum(np.arange(count) - onset, 0) / (count - onset)
    size = 0.02 * np.exp(since * float(random.uniform(3.2, 3.8))) * (since > 0)
    period = 2.0 if random.random() < 0.5 else float(random.uniform(3, min(20, count / 20)))
    loss = decay(count, low=0.5, speed=6) * (1 + size * swing(count, period))
    return evidence_of(multiplied(random, loss, noise_of(random, 0.02)))


def zigzag_epochs(random: Random) -> Evidence:
    count = int(random.integers(30, 90))
    loss = _swinging(random, count, 2, float(random.uniform(0.2, 0.5)), noise_of(random, 0.04))
    return evidence_of(points(loss, seconds=60.0), first_epoch_step=0)


def reward_swings(random: Random) -> Evidence:
    count = length(random, 600)
    reward = 300 * (1 - np.exp(-np.arange(count) / (0.1 * count)))
    size = np.where(np.arange(count) >= count * random.uniform(0.3, 0.6), 130.0, 0.0)
    reward = reward + size * swing(count, float(random.uniform(2, 10))) + random.normal(0, noise_of(random, 15), count)
    return of_reward(random, reward)


FAULTS = (
    Fault("stuck", rate_of_zero, 0),
    Fault("stuck", tiny_rate, 0),
    Fault("stuck", uniform_class, 0),
    Fault("stuck", frozen_layers, 0),
    Fault("stuck", flat_epochs, 0),
    Fault("stuck", flat_reward, 0),
    Fault("plateau", stops_in_the_middle, None),
    Fault("plateau", converges_with_the_schedule, None),
    Fault("oscillation", alternates, None),
    Fault("oscillation", swings, None),
    Fault("oscillation", swings_from_the_start, 0, 10),
    Fault("oscillation", swings_wider_and_wider, None),
    Fault("oscillation", zigzag_epochs, None),
    Fault("oscillation", reward_swings, None),
)
