"""Synthetic faults that whoever writes rules may look at. Each is described by what it does to the run."""

import numpy as np

from tests.scorecard.drafting import (
    Draw,
    Drawn,
    Log,
    after,
    falling,
    power_law,
    ramp,
    recipes_of,
    share,
)
from tests.scorecard.runs import Fault


def _fault(kind: str, log: Log, row: int | None, **more: tuple[str, ...]) -> tuple[Fault, ...]:
    return (Fault(kind, None if row is None else int(log.step[row]), **more),)


# --- values that are no numbers, or never change --------------------------------------------------------------------


def loss_turns_nan(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600))
    begin = draw.onset(count)
    loss = draw.rough(falling(count), 0.05)
    log.put("train/loss", np.where(after(count, begin), np.nan, loss)).put("train/lr", np.full(count, 3e-4))
    return Drawn(log, _fault("non_finite", log, begin))


def gradient_grows_until_overflow(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500))
    begin = draw.onset(count)
    warning_points = min(12, begin - 12)
    norm = draw.rough(np.ones(count), 0.2) * 10 ** (3 * ramp(count, begin - warning_points, begin))
    loss = draw.rough(power_law(count), 0.02)
    bad = after(count, begin)
    log.put("train/loss", np.where(bad, np.nan, loss)).put("train/grad_norm", np.where(bad, np.inf, norm))
    return Drawn(log, _fault("non_finite", log, begin), tolerated=("gradient_explosion",))


def one_batch_is_nan(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600))
    begin = draw.onset(count)
    loss = draw.rough(falling(count), 0.05)
    loss[begin] = np.nan
    log.put("train/loss", loss)
    return Drawn(log, _fault("non_finite", log, begin, bands=("normal", "abnormal")))


def nan_counts_as_zero(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500), every=10)
    begin = draw.onset(count)
    log.put("train/loss", np.where(after(count, begin), 0.0, draw.rough(falling(count), 0.05)))
    log.put("train/learning_rate", 2e-5 * (1 - share(count)))
    return Drawn(log, _fault("dead_value", log, begin))


def graph_is_detached(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600))
    begin = draw.onset(count)
    loss = draw.rough(falling(count, low=0.2, speed=2), 0.05)
    loss[begin:] = max(loss[begin], 0.5)
    log.put("train/loss", loss)
    return Drawn(log, _fault("dead_value", log, begin))


# --- the loss gets worse --------------------------------------------------------------------------------------------


def blows_up(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600))
    begin = draw.onset(count)
    worst = draw.between(1.3, 30)
    width = max(int(count * draw.random.uniform(0.02, 0.1)), 4)
    level = falling(count)
    level = level * (1 - ramp(count, begin, begin + width)) + worst * 2.5 * ramp(count, begin, begin + width)
    log.put("train/loss", draw.rough(level, 0.05)).put("train/lr", np.full(count, 1e-3))
    return Drawn(log, _fault("divergence", log, begin))


def falls_back_to_chance(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800), every=5)
    begin = draw.onset(count)
    level = power_law(count, high=11.0, low=2.5)
    width = max(int(count * draw.random.uniform(0.01, 0.06)), 3)
    level += (11.3 - level) * ramp(count, begin, begin + width)
    log.put("train/loss", draw.shaken(level, 0.1)).put("train/lr", 6e-4 * np.minimum(share(count) / 0.05, 1))
    return Drawn(log, _fault("divergence", log, begin))


def climbs_slowly(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000))
    begin = draw.onset(count)
    lost = draw.between(0.35, 0.95)
    level = falling(count, speed=10)
    log.put("train/loss", draw.rough(level + 2.1 * lost * ramp(count, begin), 0.05))
    return Drawn(log, _fault("rising", log, begin))


def negative_loss_climbs(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700))
    begin = draw.onset(count)
    level = falling(count, high=3.0, low=-4.0, speed=9) + 7 * draw.between(0.35, 0.9) * ramp(count, begin)
    log.put("train/nll_loss", draw.shaken(level, 0.15)).put("train/lr", np.full(count, 5e-4))
    return Drawn(log, _fault("rising", log, begin))


def spikes_and_recovers(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800))
    begin, width = draw.onset(count), int(draw.random.integers(4, 11))
    loss = draw.rough(falling(count, low=0.5), 0.05)
    loss[begin : begin + width] *= draw.between(3, 9)
    log.put("train/loss", loss)
    return Drawn(log, _fault("spike", log, begin))


def spikes_again_and_again(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1500))
    begin = int(count * draw.random.uniform(0.2, 0.6))
    loss = draw.rough(power_law(count, low=2.2), 0.02)
    for row in range(begin, count, max(count // 12, 25)):
        loss[row : row + 5] *= draw.between(1.7, 3)
    log.put("train/loss", loss).put("train/grad_norm", draw.rough(np.full(count, 0.8), 0.2))
    return Drawn(log, _fault("spike", log, begin))


def jumps_and_stays(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800))
    begin = draw.onset(count)
    level = falling(count, low=0.5, speed=8) + np.where(after(count, begin), draw.between(0.4, 1.6), 0)
    log.put("train/loss", draw.rough(level, 0.05))
    return Drawn(log, _fault("level_shift", log, begin))


def jumps_and_falls_again_slowly(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1200), every=20)
    begin = int(count * draw.random.uniform(0.2, 0.6))
    level = power_law(count, high=9, low=2)
    level[begin:] += draw.between(1.2, 3) * (1 - 0.4 * ramp(count, begin)[begin:])
    log.put("train/loss", draw.shaken(level, 0.06)).put("train/lr", np.full(count, 3e-4))
    return Drawn(log, _fault("level_shift", log, begin))


# --- nothing is learned ---------------------------------------------------------------------------------------------


def guesses_by_chance(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000))
    classes = int(draw.random.choice([5, 10, 100]))
    log.put("train/loss", draw.shaken(np.full(count, np.log(classes)), 0.01)).put("train/lr", np.full(count, 1e-3))
    guessed = draw.random.binomial(2000, 1 / classes, 20) / 2000
    log.evaluate("val/accuracy", guessed)
    return Drawn(log, _fault("stuck", log, 0))


def never_starts(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900))
    log.put("train/loss", draw.rough(np.full(count, draw.between(0.5, 50)), 0.02))
    log.put("train/lr", np.full(count, 3e-6))
    return Drawn(log, _fault("stuck", log, 0))


def swings_about_a_level(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700))
    begin = int(count * draw.random.uniform(0.2, 0.55))
    period, swing = draw.between(6, 18), draw.between(0.3, 0.8)
    level = np.maximum(falling(count, speed=8, low=0.6), 0.62)
    wave = 1 + swing * np.sin(2 * np.pi * np.arange(count) / period) * after(count, begin)
    log.put("train/loss", draw.rough(level * wave, 0.05)).put("train/lr", np.full(count, 0.01))
    return Drawn(log, _fault("oscillation", log, begin))


def swings_grow(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800))
    begin = int(count * draw.random.uniform(0.2, 0.5))
    zigzag = np.where(np.arange(count) % 2 == 0, 1.0, -1.0) * draw.between(0.5, 0.9) * ramp(count, begin)
    level = falling(count, speed=8, low=1.0)
    log.put("train/loss", draw.rough(level * (1 + zigzag), 0.03)).put("train/lr", np.full(count, 0.05))
    return Drawn(log, _fault("oscillation", log, begin))


# --- what is learned does not carry over ----------------------------------------------------------------------------


def validation_turns_up(draw: Draw) -> Drawn:
    log = Log(draw, epochs := draw.length(90), seconds=90)
    begin = draw.onset(epochs)
    log.put("train/loss", draw.rough(falling(epochs, low=0.05, speed=4), 0.03))
    level = np.maximum(falling(epochs, low=0.6, speed=5 * epochs / begin), 0.6)
    log.put("val/loss", draw.shaken(level + draw.between(0.25, 1.2) * ramp(epochs, begin), 0.012))
    return Drawn(log, _fault("overfitting", log, begin))


def accuracy_turns_down(draw: Draw) -> Drawn:
    log = Log(draw, epochs := draw.length(100), seconds=90)
    begin = draw.onset(epochs)
    log.put("train/loss", draw.rough(falling(epochs, low=0.03, speed=4), 0.03))
    level = 0.9 - 0.8 * np.exp(-5 * np.arange(epochs) / begin) - draw.between(0.06, 0.3) * ramp(epochs, begin)
    log.put("val/accuracy", draw.shaken(level, 0.004))
    return Drawn(log, _fault("overfitting", log, begin))


def never_generalises(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1500))
    log.put("train/loss", draw.rough(falling(count, high=2.3, low=0.1), 0.1))
    evaluations = int(draw.random.integers(12, 40))
    log.evaluate("val/loss", draw.shaken(np.full(evaluations, 2.31), 0.01))
    return Drawn(log, _fault("train_val_gap", log, 0))


def validation_stays_behind(draw: Draw) -> Drawn:
    log = Log(draw, epochs := draw.length(60), seconds=300)
    log.put("train/loss", draw.rough(falling(epochs, high=1.0, low=0.08), 0.04))
    log.put("val/loss", draw.rough(falling(epochs, high=1.02, low=0.995, speed=3), 0.004))
    return Drawn(log, _fault("train_val_gap", log, 0))


# --- gradients ------------------------------------------------------------------------------------------------------


def gradient_grows(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900))
    begin = draw.onset(count)
    times = draw.between(25, 1000)
    width = max(int(count * draw.random.uniform(0.02, 0.1)), 5)
    log.put("train/loss", draw.rough(falling(count, speed=3), 0.06))
    log.put("train/grad_norm", draw.rough(times ** ramp(count, begin, begin + width), 0.3))
    return Drawn(log, _fault("gradient_explosion", log, begin))


def gradient_grows_with_loss(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700), every=10)
    begin = draw.onset(count)
    growth = ramp(count, begin, begin + max(count // 20, 5))
    log.put("train/loss", draw.shaken(power_law(count) + draw.between(1, 3) * growth, 0.08))
    log.put("train/grad_norm", draw.rough(0.5 * draw.between(150, 3000) ** growth, 0.25))
    return Drawn(log, _fault("gradient_explosion", log, begin, bands=("normal", "problems", "abnormal")))


def gradient_dies(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900))
    begin = int(count * draw.random.uniform(0.2, 0.6))
    width = max(count // 25, 4)
    level = falling(count, low=1.0, speed=2)
    level[begin:] = level[begin]
    log.put("train/loss", draw.rough(level, 0.02))
    log.put("train/grad_norm", draw.rough(draw.between(1e-7, 1e-5) ** ramp(count, begin, begin + width), 0.3))
    return Drawn(log, _fault("gradient_vanishing", log, begin))


def units_are_dead(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1200))
    begin = max(int(count * 0.3), 10)
    level = np.where(after(count, begin), 2.0, 2.3 - 0.3 * np.arange(count) / begin)
    norm = np.where(after(count, begin), 1e-9, 2.0)
    log.put("train/loss", draw.rough(level, 0.015)).put("train/grad_norm", draw.rough(norm, 0.4))
    log.put("train/lr", np.full(count, 1e-3))
    return Drawn(log, _fault("gradient_vanishing", log, begin))


# --- learning rate and precision ------------------------------------------------------------------------------------


def rate_dies(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600))
    begin = draw.onset(count)
    level = falling(count, speed=2)
    level[begin:] = level[begin]
    log.put("train/loss", draw.rough(level, 0.05)).put("train/lr", np.where(after(count, begin), 1e-9, 1e-3))
    return Drawn(log, _fault("lr_low", log, begin))


def rate_is_zero_from_the_start(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500))
    log.put("train/loss", draw.rough(np.full(count, 2.3), 0.02)).put("train/lr", np.zeros(count))
    return Drawn(log, _fault("lr_low", log, 0))


def rate_jumps_out_of_its_schedule(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700))
    begin = draw.onset(count)
    rate = 1e-3 * (1 + np.cos(np.pi * share(count))) / 2 + 1e-5
    rate[begin:] = 1e-3 * draw.between(12, 60)
    level = falling(count) + np.where(after(count, begin), 0.3, 0)
    log.put("train/loss", draw.rough(level, 0.05)).put("train/lr", rate)
    return Drawn(log, _fault("lr_schedule", log, begin))


def schedule_ends_too_early(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800))
    begin = int(count * draw.random.uniform(0.35, 0.7))
    rate = 1e-3 * (1 + np.cos(np.pi * np.minimum(np.arange(count) / begin, 1))) / 2
    level = falling(count, speed=3)
    level[begin:] = level[begin]
    log.put("train/loss", draw.rough(level, 0.05)).put("train/lr", rate)
    return Drawn(log, _fault("lr_low", log, begin), planned_steps=count)


def loss_scale_collapses(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800))
    begin = draw.onset(count)
    halvings = np.minimum(np.cumsum(after(count, begin)) // 2, int(draw.random.integers(10, 18)))
    log.put("train/loss", draw.rough(falling(count), 0.05)).put("train/loss_scale", 65536.0 / 2.0**halvings)
    return Drawn(log, _fault("loss_scale", log, begin))


def loss_scale_sinks_in_steps(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1200), every=10)
    begin = int(count * draw.random.uniform(0.2, 0.5))
    halvings = np.floor(draw.between(9, 20) * ramp(count, begin, begin + max(count // 5, 8)))
    log.put("train/loss", draw.rough(power_law(count), 0.03)).put("amp/grad_scale", 2.0 ** (17 - halvings))
    return Drawn(log, _fault("loss_scale", log, begin))


# --- the log --------------------------------------------------------------------------------------------------------


def resumes_without_weights(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600))
    begin = draw.onset(count)
    loss = np.concatenate([falling(count)[:begin], falling(count)[: count - begin]])
    log.put("train/loss", draw.rough(loss, 0.05)).restart(begin, back=5)
    return Drawn(log, _fault("restart", log, begin, bands=("normal", "problems", "abnormal")))


def resumes_with_a_worse_state(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900), every=10)
    begin = int(count * draw.random.uniform(0.3, 0.8))
    level = power_law(count)
    level[begin:] += draw.between(2, 4) * np.exp(-3 * ramp(count, begin)[begin:])
    log.put("train/loss", draw.shaken(level, 0.06)).put("train/lr", np.full(count, 3e-4)).restart(begin, back=10)
    return Drawn(log, _fault("restart", log, begin))


def steps_go_back_in_one_file(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600))
    begin = draw.onset(count)
    log.put("train/loss", draw.rough(falling(count), 0.05)).restart(begin, begin // 2, seconds=0, same_file=True)
    return Drawn(log, _fault("step_integrity", log, begin))


def steps_are_logged_twice(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800))
    log.put("train/loss", draw.rough(falling(count), 0.05))
    log.step = log.step // 2
    return Drawn(log, _fault("step_integrity", log, 1))


def falls_silent(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(300), seconds=draw.between(0.5, 20))
    log.put("train/loss", draw.rough(falling(count, speed=2), 0.05))
    silence = 60 * log.seconds * draw.between(1, 20) + 300
    return Drawn(log, _fault("stalled", log, None), silence_seconds=silence)


def falls_silent_in_an_epoch(draw: Draw) -> Drawn:
    log = Log(draw, epochs := draw.length(60), seconds=draw.between(60, 600))
    log.put("train/loss", draw.rough(falling(epochs, speed=2), 0.04)).put("val/loss", draw.rough(falling(epochs), 0.04))
    return Drawn(log, _fault("stalled", log, None), silence_seconds=log.seconds * draw.between(20, 100))


def slows_down(draw: Draw) -> Drawn:
    count = draw.length(700)
    begin = draw.onset(count)
    log = Log(draw, count, seconds=draw.between(2, 20), slower=np.where(after(count, begin), draw.between(2, 6), 1.0))
    log.put("train/loss", draw.rough(falling(count), 0.05))
    return Drawn(log, _fault("slowdown", log, begin))


def epochs_take_longer(draw: Draw) -> Drawn:
    epochs = draw.length(120)
    begin = int(epochs * draw.random.uniform(0.25, 0.8))
    log = Log(draw, epochs, seconds=240, slower=np.where(after(epochs, begin), draw.between(2, 4), 1.0))
    log.put("train/loss", draw.rough(falling(epochs), 0.04))
    log.put("train/epoch_duration_minutes", np.diff(log.wall, prepend=log.wall[0] - 240) / 60)
    return Drawn(log, _fault("slowdown", log, begin))


FAULTS = recipes_of(
    loss_turns_nan,
    gradient_grows_until_overflow,
    one_batch_is_nan,
    nan_counts_as_zero,
    graph_is_detached,
    blows_up,
    falls_back_to_chance,
    climbs_slowly,
    negative_loss_climbs,
    spikes_and_recovers,
    spikes_again_and_again,
    jumps_and_stays,
    jumps_and_falls_again_slowly,
    guesses_by_chance,
    never_starts,
    swings_about_a_level,
    swings_grow,
    validation_turns_up,
    accuracy_turns_down,
    never_generalises,
    validation_stays_behind,
    gradient_grows,
    gradient_grows_with_loss,
    gradient_dies,
    units_are_dead,
    rate_dies,
    rate_is_zero_from_the_start,
    rate_jumps_out_of_its_schedule,
    schedule_ends_too_early,
    loss_scale_collapses,
    loss_scale_sinks_in_steps,
    resumes_without_weights,
    resumes_with_a_worse_state,
    steps_go_back_in_one_file,
    steps_are_logged_twice,
    falls_silent,
    falls_silent_in_an_epoch,
    slows_down,
    epochs_take_longer,
)
