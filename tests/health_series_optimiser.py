"""Labelled series for the rules of optimiser, gradient, loss scale and train/validation gap.

The length, the noise and the place of the trouble are drawn too: lengths from 0.3 to 3 times the usual, noise from
half to twice, onsets from 20 to 80 % of the run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from monitor.health import Evidence
from monitor.schema import Points, RoleTag, Session
from tests.health_series import START, Fault, decay, evaluated, evidence_of, points

Build = Callable[[np.random.Generator], Evidence]


@dataclass(frozen=True)
class Draw:
    """What is drawn for one run: its length, its noise, and where the trouble begins."""

    random: np.random.Generator
    count: int
    noise: float
    onset: int

    def wobble(self, sigma: float, count: int | None = None) -> np.ndarray:
        """Return factors around 1 with deviation `sigma`, times the noise that was drawn."""
        return np.exp(self.random.normal(0, sigma * self.noise, count or self.count))

    def loss(self, **form: float) -> np.ndarray:
        return decay(self.count, **form) * self.wobble(0.05)


def draw(random: np.random.Generator, usual: int = 1000) -> Draw:
    count = int(usual * np.exp(random.uniform(np.log(0.3), np.log(3))))
    onset = int(count * random.uniform(0.2, 0.8))
    return Draw(random, count, float(np.exp(random.uniform(np.log(0.5), np.log(2)))), onset)


def with_scale(evidence: Evidence, scale: np.ndarray) -> Evidence:
    """Return the evidence with a loss scale."""
    series = {**evidence.series, "train/loss_scale": points(scale, late=0.004)}
    return replace(
        evidence, series=series, roles=replace(evidence.roles, loss_scale=RoleTag("train/loss_scale", "", None))
    )


def resumed(evidence: Evidence, step: int) -> Evidence:
    """Return the evidence as of a run that was started again at `step`."""
    series = {
        tag: Points(one.step, one.wall_time, one.value, (one.step >= step).astype(np.int16))
        for tag, one in evidence.series.items()
    }
    return replace(evidence, series=series, sessions=(Session(0, "a", START, 0), Session(1, "b", START + step, step)))


def cosine(count: int, peak: float = 1e-3, low: float = 0.0, warm_up: float = 0.05) -> np.ndarray:
    """Return a linear warm-up and a cosine decay."""
    rising = max(int(warm_up * count), 1)
    phase = np.clip((np.arange(count) - rising) / max(count - rising - 1, 1), 0, 1)
    rate = low + (peak - low) * (1 + np.cos(np.pi * phase)) / 2
    return np.where(np.arange(count) < rising, peak * (np.arange(count) + 1) / rising, rate)


def linear(count: int, peak: float = 1e-3) -> np.ndarray:
    return peak * (1 - np.arange(count) / (count - 1))


# --- healthy -------------------------------------------------------------------------------------------------------


def warm_restarts(random: np.random.Generator) -> Evidence:
    run = draw(random)
    cycles = int(random.integers(2, 7))
    phase = (np.arange(run.count) * cycles / run.count) % 1
    rate = 1e-3 * random.choice([0.0, 1e-3, 0.05]) + 1e-3 * (1 + np.cos(np.pi * phase)) / 2
    norm = run.wobble(0.3) * (0.5 + rate / 1e-3)
    return evidence_of(run.loss(speed=3) + 0.3 * rate / 1e-3, learning_rate=rate, gradient_norm=norm)


def one_cycle_schedule(random: np.random.Generator) -> Evidence:
    run = draw(random)
    rate = 1e-2 * np.interp(np.arange(run.count) / run.count, [0, 0.3, 1], [0.04, 1, 4e-6])
    return evidence_of(run.loss(speed=4), learning_rate=rate, gradient_norm=run.wobble(0.4))


def step_decay(random: np.random.Generator) -> Evidence:
    run = draw(random)
    rate = 0.1 * 0.1 ** (np.arange(run.count) * 4 // run.count)
    loss = run.loss(speed=3) * (0.6 + 0.4 * (rate / 0.1) ** 0.2)
    return evidence_of(loss, learning_rate=rate, gradient_norm=run.wobble(0.3), total_steps=run.count)


def planned_cosine(random: np.random.Generator) -> Evidence:
    run = draw(random)
    rate = cosine(run.count, low=random.choice([0.0, 1e-6, 1e-4]))
    return evidence_of(run.loss(), learning_rate=rate, gradient_norm=run.wobble(0.4), total_steps=run.count)


def linear_to_zero(random: np.random.Generator) -> Evidence:
    run = draw(random)
    return evidence_of(run.loss(), learning_rate=linear(run.count), total_steps=run.count)


def power_to_zero(random: np.random.Generator) -> Evidence:
    run = draw(random)
    return evidence_of(run.loss(), learning_rate=linear(run.count) ** 2, total_steps=run.count)


def resumed_schedule(random: np.random.Generator) -> Evidence:
    run = draw(random)
    return resumed(evidence_of(run.loss(), learning_rate=cosine(run.count), total_steps=run.count), run.onset)


def resumed_in_the_warm_up(random: np.random.Generator) -> Evidence:
    run = draw(random)
    rate = cosine(run.count, warm_up=0.3)
    return resumed(evidence_of(run.loss(), learning_rate=rate), int(random.uniform(0.05, 0.28) * run.count))


def on_plateau(random: np.random.Generator) -> Evidence:
    run = draw(random)
    rate = 1e-3 * 0.5 ** np.minimum(np.cumsum(random.random(run.count) < 6 / run.count), 9)
    return evidence_of(run.loss(), learning_rate=rate, gradient_norm=run.wobble(0.4))


def norms_fall_with_the_loss(random: np.random.Generator) -> Evidence:
    run = draw(random)
    loss = 10.0 ** np.linspace(0, -6, run.count) * run.wobble(0.3)
    return evidence_of(loss, gradient_norm=np.sqrt(loss) * run.wobble(0.4))


def converges_to_a_floor(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = 3 * 10.0 ** np.linspace(0, -5, run.count) * run.wobble(0.2)
    return evidence_of(decay(run.count, speed=12) + random.normal(0, 0.002, run.count), gradient_norm=norm)


def norms_grow_slowly(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = np.linspace(0.3, 6, run.count) * run.wobble(0.4)
    return evidence_of(run.loss(), gradient_norm=norm)


def norms_grow_in_rl(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = 10.0 ** np.linspace(-1, 1.5, run.count) * run.wobble(0.5)
    reward = 300 * (1 - np.exp(-3 * np.arange(run.count) / run.count)) + random.normal(0, 20, run.count)
    loss = np.exp(random.normal(0, 0.5, run.count))
    return evidence_of(loss, free_loss=True, score=reward, score_tag="rollout/ep_rew_mean", gradient_norm=norm)


def clipped_norms(random: np.random.Generator) -> Evidence:
    run = draw(random)
    exact = random.random() < 0.5
    norm = np.minimum(2 * run.wobble(0.4), 1.0) - (0 if exact else 1e-6 * random.random(run.count))
    return evidence_of(run.loss(), gradient_norm=norm)


def always_clipped(random: np.random.Generator) -> Evidence:
    run = draw(random)
    return evidence_of(run.loss(), gradient_norm=np.ones(run.count))


def heavy_tailed_norms(random: np.random.Generator) -> Evidence:
    run = draw(random)
    return evidence_of(run.loss(), gradient_norm=np.exp(0.5 * run.noise * random.standard_t(2.5, run.count)))


def wandering_norms(random: np.random.Generator) -> Evidence:
    run = draw(random)
    wander = np.cumsum(random.normal(0, 1, run.count)) / np.sqrt(run.count)
    return evidence_of(run.loss(), gradient_norm=np.exp(0.8 * wander) * run.wobble(0.4))


def learns_after_a_plateau(random: np.random.Generator) -> Evidence:
    run = draw(random)
    place = np.arange(run.count)
    learning = 1 / (1 + np.exp(-(place - run.onset) / (0.02 * run.count)))
    norm = (0.05 + 2 * 4 * learning * (1 - learning) + 0.2 * learning) * run.wobble(0.3)
    return evidence_of((2.3 - 2 * learning) * run.wobble(0.02), gradient_norm=norm)


def early_transient_norms(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = (0.5 + 200 * np.exp(-np.arange(run.count) / 8)) * run.wobble(0.4)
    return evidence_of(run.loss(), gradient_norm=norm)


def accumulated_gradients(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = run.wobble(0.4)
    norm[np.arange(run.count) % 4 != 3] = 0.0
    return evidence_of(run.loss(), gradient_norm=norm)


def dropout_gap(random: np.random.Generator) -> Evidence:
    run = draw(random, 200)
    validation = decay(run.count, low=0.2) * run.wobble(0.05)
    return evidence_of(decay(run.count, low=0.5) * run.wobble(0.05), validation=validation, first_epoch_step=0)


def widening_gap(random: np.random.Generator) -> Evidence:
    run = draw(random, 100)
    validation = decay(run.count, low=0.8, speed=6) * run.wobble(0.02)
    return evidence_of(decay(run.count, low=0.02) * run.wobble(0.05), validation=validation, first_epoch_step=0)


def first_evaluated_when_trained(random: np.random.Generator) -> Evidence:
    run = draw(random)
    evaluations = int(random.integers(10, 50))
    validation = evaluated(0.4 * run.wobble(0.02, evaluations) * np.linspace(1, 0.98, evaluations), run.count)
    return evidence_of(decay(run.count, speed=60) * run.wobble(0.05), validation=validation)


def learned_before_the_second_evaluation(random: np.random.Generator) -> Evidence:
    run = draw(random, 60)
    validation = 0.5 * run.wobble(0.03)
    validation[0] = 2.4
    return evidence_of(decay(run.count, speed=8) * run.wobble(0.04), validation=validation, first_epoch_step=0)


def validation_follows_late(random: np.random.Generator) -> Evidence:
    run = draw(random, 100)
    validation = decay(run.count, low=1.2, speed=2) * run.wobble(0.05)
    return evidence_of(decay(run.count, speed=8) * run.wobble(0.04), validation=validation, first_epoch_step=0)


def _scaler(count: int, interval: int, hold: float, random: np.random.Generator) -> np.ndarray:
    scale, value, since = np.empty(count), 65536.0, 0
    for place in range(count):
        overflow = value > hold or random.random() < 0.1 / interval
        value, since = (value / 2, 0) if overflow else (value, since + 1)
        if since >= interval:
            value, since = value * 2, 0
        scale[place] = value
    return scale


def scaler_at_work(random: np.random.Generator) -> Evidence:
    run = draw(random)
    hold = 2.0 ** random.integers(7, 18)
    interval = int(random.choice([40, 200, 2000]))
    return with_scale(evidence_of(run.loss()), _scaler(run.count, interval, hold, random))


def scaler_switched_off(random: np.random.Generator) -> Evidence:
    run = draw(random)
    return with_scale(evidence_of(run.loss()), np.ones(run.count))


def scaler_overflows_at_first(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = run.wobble(0.4)
    norm[:7] = np.inf
    scale = np.full(run.count, 512.0)
    scale[:7] = 65536.0 / 2.0 ** np.arange(7)
    return with_scale(evidence_of(run.loss(), gradient_norm=norm), scale)


HEALTHY: Mapping[str, Build] = {
    build.__name__: build
    for build in (
        warm_restarts,
        one_cycle_schedule,
        step_decay,
        planned_cosine,
        linear_to_zero,
        power_to_zero,
        resumed_schedule,
        resumed_in_the_warm_up,
        on_plateau,
        norms_fall_with_the_loss,
        converges_to_a_floor,
        norms_grow_slowly,
        norms_grow_in_rl,
        clipped_norms,
        always_clipped,
        heavy_tailed_norms,
        wandering_norms,
        learns_after_a_plateau,
        early_transient_norms,
        accumulated_gradients,
        dropout_gap,
        widening_gap,
        first_evaluated_when_trained,
        learned_before_the_second_evaluation,
        validation_follows_late,
        scaler_at_work,
        scaler_switched_off,
        scaler_overflows_at_first,
    )
}


# --- faults --------------------------------------------------------------------------------------------------------


def rate_jumps(random: np.random.Generator) -> Evidence:
    run = draw(random)
    rate = random.choice([1, 0]) * linear(run.count, 5e-4) + 1e-4
    rate[run.onset :] *= random.uniform(5, 100) * rate.max() / rate[run.onset]
    return evidence_of(run.loss(), learning_rate=rate)


def rate_jumps_and_the_loss_diverges(random: np.random.Generator) -> Evidence:
    run = draw(random)
    rate = np.full(run.count, 1e-3)
    rate[run.onset :] *= 50
    loss = run.loss()
    loss[run.onset :] *= np.exp(np.minimum(np.arange(run.count - run.onset) * 40 / run.count, 4))
    return evidence_of(loss, learning_rate=rate)


def schedule_ends_early(random: np.random.Generator) -> Evidence:
    run = draw(random)
    low = float(random.choice([0.0, 1e-6, 5e-6]))
    rate = np.concatenate((cosine(run.onset, low=low), np.full(run.count - run.onset, low)))
    return evidence_of(run.loss(), learning_rate=rate, total_steps=run.count)


def scheduler_starts_over(random: np.random.Generator) -> Evidence:
    run = draw(random)
    onset = max(run.onset, int(0.4 * run.count))  # before, the rate is within a fifth of its peak
    rate = cosine(run.count, warm_up=0.02)
    rate[onset:] = cosine(run.count, warm_up=float(random.choice([0.001, 0.05])))[: run.count - onset]
    return resumed(evidence_of(run.loss(), learning_rate=rate), onset)


def norm_explodes(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = run.wobble(0.35)
    ramp = max(int(random.uniform(0, 0.1) * run.count), 1)
    grown = np.minimum((np.arange(run.count - run.onset) + 1) / ramp, 1) * np.log(random.choice([15, 100, 300]))
    norm[run.onset :] *= np.exp(grown)
    return evidence_of(run.loss(), gradient_norm=norm)


def norm_vanishes(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = run.wobble(0.35)
    norm[run.onset :] *= 10.0 ** -random.uniform(4, 8)
    loss = run.loss()
    loss[run.onset :] = decay(run.count)[run.onset] * run.wobble(0.05)[run.onset :]
    return evidence_of(loss, gradient_norm=norm, learning_rate=np.full(run.count, 1e-3))


def norm_vanishes_at_the_start(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = 10.0 ** -np.minimum(np.arange(run.count) / (0.1 * run.count), 6) * run.wobble(0.35)
    return evidence_of(2.3 * run.wobble(0.02), gradient_norm=norm)


def norms_are_zero(random: np.random.Generator) -> Evidence:
    run = draw(random)
    norm = run.wobble(0.35)
    norm[run.onset :][random.random(run.count - run.onset) < 0.4] = 0.0
    return evidence_of(run.loss(), gradient_norm=norm)


def validation_never_follows(random: np.random.Generator) -> Evidence:
    run = draw(random, 60)
    validation = 2.45 * run.wobble(0.02) * np.linspace(1, random.uniform(0.99, 1.0), run.count)
    return evidence_of(decay(run.count, low=0.1) * run.wobble(0.04), validation=validation, first_epoch_step=0)


def scale_collapses(random: np.random.Generator) -> Evidence:
    run = draw(random)
    scale = _scaler(run.count, 200, 2.0**16, random)
    left = np.arange(run.count - run.onset)
    scale[run.onset :] = np.maximum(scale[run.onset] / 2.0 ** (left // max(int(0.004 * run.count), 1)), 2.0**-8)
    return with_scale(evidence_of(run.loss()), scale)


FAULTS = (
    Fault("lr_schedule", rate_jumps, None),
    Fault("lr_schedule", rate_jumps_and_the_loss_diverges, None),
    Fault("lr_schedule", schedule_ends_early, None),
    Fault("lr_schedule", scheduler_starts_over, None),
    Fault("gradient_explosion", norm_explodes, None),
    Fault("gradient_vanishing", norm_vanishes, None),
    Fault("gradient_vanishing", norm_vanishes_at_the_start, None),
    Fault("gradient_vanishing", norms_are_zero, None),
    Fault("train_val_gap", validation_never_follows, None),
    Fault("loss_scale", scale_collapses, None),
)
