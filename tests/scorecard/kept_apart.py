"""Synthetic runs kept apart: other shapes, tags and rhythms than the open ones, looked at when the rules are done.

Whoever writes rules does not look at what is found in these, so that the figures on them tell how the rules do on
runs that nobody tuned them on.
"""

import numpy as np

from tests.scorecard.drafting import Draw, Drawn, Log, after, falling, power_law, ramp, recipes_of, share, two_phases
from tests.scorecard.runs import Fault


def _fault(kind: str, log: Log, row: int | None, **more: tuple[str, ...]) -> tuple[Fault, ...]:
    return (Fault(kind, None if row is None else int(log.step[row]), **more),)


# --- faults ---------------------------------------------------------------------------------------------------------


def loss_overflows(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500), every=50)
    begin = int(count * draw.random.uniform(0.3, 0.8))
    level = two_phases(count)
    level[begin:] = np.inf
    log.put("training_loss", draw.rough(level, 0.06))
    return Drawn(log, _fault("non_finite", log, begin))


def validation_turns_nan(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(60), seconds=200)
    begin = draw.onset(count)
    log.put("epoch_loss", draw.rough(two_phases(count), 0.03))
    log.put("epoch_val_loss", np.where(after(count, begin), np.nan, draw.rough(two_phases(count) + 0.1, 0.03)))
    return Drawn(log, _fault("non_finite", log, begin, bands=("normal", "problems", "abnormal")))


def every_label_is_masked(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(400), every=25)
    begin = draw.onset(count)
    log.put("loss", np.where(after(count, begin), 0.0, draw.shaken(power_law(count, 4.0, 1.2), 0.05)))
    return Drawn(log, _fault("dead_value", log, begin))


def reward_collapses(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500), every=1000, seconds=20)
    begin = int(count * draw.random.uniform(0.35, 0.8))
    width = max(int(count * 0.05), 4)
    level = 200 / (1 + np.exp(-(share(count) - 0.15) * 40))
    level *= 1 - draw.between(1.02, 1.3) * ramp(count, begin, begin + width)
    log.put("charts/episodic_return", draw.wandering(level, 6)).put("losses/policy_loss", draw.shaken(0 * level, 0.02))
    return Drawn(log, _fault("divergence", log, begin))


def perplexity_explodes(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500), every=100)
    begin = draw.onset(count)
    level = np.log(two_phases(count, 400, 20)) + draw.between(3.4, 5) * ramp(count, begin, begin + max(count // 15, 4))
    log.put("train/loss", draw.shaken(level, 0.05)).put("train/learning_rate", np.full(count, 1e-3))
    return Drawn(log, _fault("divergence", log, begin))


def epochs_get_worse(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(120), seconds=400)
    begin = int(count * draw.random.uniform(0.25, 0.75))
    level = falling(count, 1.2, 0.3, 5 * count / begin) + 0.9 * draw.between(0.4, 0.95) * ramp(count, begin)
    log.put("epoch_loss", draw.rough(level, 0.03))
    return Drawn(log, _fault("rising", log, begin))


def reward_fades(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800), every=4000, seconds=10)
    begin = int(count * draw.random.uniform(0.3, 0.7))
    level = -150 + 300 / (1 + np.exp(-(share(count) - 0.12) * 50)) - 300 * draw.between(0.4, 0.9) * ramp(count, begin)
    log.put("rollout/ep_rew_mean", draw.wandering(level, 10)).put("train/loss", draw.rough(1 + 0 * level, 0.4))
    return Drawn(log, _fault("rising", log, begin))


def spike_ebbs_away(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900), every=10)
    begin = draw.onset(count)
    ebb = np.where(after(count, begin), np.exp(-(np.arange(count) - begin) / draw.between(2, 5)), 0)
    log.put("train_loss", draw.shaken(power_law(count, 10, 2.4) + draw.between(2, 6) * ebb, 0.05))
    return Drawn(log, _fault("spike", log, begin))


def spike_of_a_negative_loss(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700))
    begin, width = draw.onset(count), int(draw.random.integers(4, 9))
    loss = draw.shaken(falling(count, 2.0, -6.0), 0.15)
    loss[begin : begin + width] += draw.between(4, 10)
    log.put("train/elbo_loss", loss)
    return Drawn(log, _fault("spike", log, begin))


def data_changes(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800), every=20)
    begin = draw.onset(count)
    level = two_phases(count, 2.3, 0.5) + np.where(after(count, begin), draw.between(0.5, 1.3), 0)
    log.put("loss/train", draw.rough(level, 0.07))
    return Drawn(log, _fault("level_shift", log, begin))


def regression_predicts_the_mean(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1100), every=10)
    log.put("train/mse_loss", draw.rough(np.full(count, 1.0), 0.03)).put("lr-Adam", np.full(count, 1e-3))
    log.evaluate("val/mse_loss", draw.rough(np.full(25, 1.01), 0.005))
    return Drawn(log, _fault("stuck", log, 0))


def jumps_to_and_fro(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600), every=5)
    begin = int(count * draw.random.uniform(0.2, 0.5))
    square = np.where(np.arange(count) % 4 < 2, 1.0, -1.0) * after(count, begin)
    log.put("train/loss", draw.rough(two_phases(count, 2.3, 0.8) * (1 + draw.between(0.35, 0.7) * square), 0.05))
    return Drawn(log, _fault("oscillation", log, begin))


def epochs_zigzag(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(70), seconds=200)
    begin = int(count * draw.random.uniform(0.2, 0.5))
    zigzag = np.where(np.arange(count) % 2 == 0, 1.0, -1.0) * after(count, begin)
    log.put("epoch_loss", draw.rough(falling(count, 2.0, 0.6, 10) * (1 + draw.between(0.3, 0.6) * zigzag), 0.03))
    return Drawn(log, _fault("oscillation", log, begin))


def one_of_two_tasks_overfits(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1600), every=10)
    log.put("train/loss", draw.rough(two_phases(count, 3.0, 0.08), 0.06))
    evaluations = int(draw.random.integers(25, 60))
    begin = int(evaluations * draw.random.uniform(0.3, 0.7))
    worse = draw.between(0.2, 0.7) * ramp(evaluations, begin)
    log.evaluate("validation/task1_loss", draw.shaken(falling(evaluations, 3, 0.7, 6), 0.015))
    log.evaluate("validation/task2_loss", draw.shaken(falling(evaluations, 3, 0.7, 12) + worse, 0.015))
    return Drawn(log, _fault("overfitting", log, int(log.rows_of(evaluations)[begin])))


def perplexity_of_validation_turns_up(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(70), seconds=900)
    begin = draw.onset(count)
    log.put("epoch_loss", draw.rough(falling(count, 6, 1.5, 3), 0.015))
    level = falling(count, 6, 3.9, 6 * count / begin) + draw.between(0.35, 1.2) * ramp(count, begin)
    log.put("epoch_val_loss", draw.shaken(level, 0.02))
    return Drawn(log, _fault("overfitting", log, begin))


def labels_of_validation_are_shuffled(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(50), seconds=500)
    log.put("epoch_loss", draw.rough(two_phases(count, 4.6, 0.4), 0.04))
    log.put("epoch_val_loss", draw.shaken(np.full(count, 4.62), 0.015))
    return Drawn(log, _fault("train_val_gap", log, 0))


def recurrent_gradient_explodes(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000), every=5)
    begin = draw.onset(count)
    log.put("loss", draw.rough(two_phases(count, 3.3, 1.5), 0.05))
    log.put("grad_norm", draw.rough(2.0 * np.where(after(count, begin), draw.between(30, 400), 1.0), 0.35))
    return Drawn(log, _fault("gradient_explosion", log, begin))


def gradient_fades(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800), every=10)
    begin = int(count * draw.random.uniform(0.2, 0.5))
    level = power_law(count, 6, 3)
    level[begin:] = level[begin]
    log.put("train/loss", draw.shaken(level, 0.04))
    log.put("gradients/norm", draw.rough(3.0 * 10.0 ** (-draw.between(5, 8) * ramp(count, begin, count * 3 // 4)), 0.3))
    return Drawn(log, _fault("gradient_vanishing", log, begin))


def rate_decays_to_nothing(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800), every=10)
    rate = 2e-4 * 0.5 ** np.floor(share(count) * draw.between(25, 40))
    level = power_law(count, 6, 2)
    gone = int(np.argmax(rate < 2e-4 * 1e-3))
    level[gone:] = level[gone]
    log.put("train/loss", draw.shaken(level, 0.03)).put("train/learning_rate", rate)
    return Drawn(log, _fault("lr_low", log, gone))


def schedule_is_not_restored(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700), every=10)
    begin = int(count * draw.random.uniform(0.4, 0.8))
    rate = 1e-3 * (1 + np.cos(np.pi * share(count))) / 2 + 1e-6
    rate[begin:] = rate[: count - begin]
    log.put("train/loss", draw.rough(falling(count, speed=4), 0.05)).put("train/lr", rate).restart(begin, back=3)
    return Drawn(log, _fault("lr_schedule", log, begin))


def rate_is_a_hundred_times_too_high(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600), every=20)
    begin = draw.onset(count)
    rate = np.where(after(count, begin), 1e-4 * draw.between(30, 200), 1e-4)
    log.put("train/loss", draw.rough(two_phases(count) + 0.5 * after(count, begin), 0.05)).put("train/lr", rate)
    return Drawn(log, _fault("lr_schedule", log, begin))


def scaler_gives_up(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600), every=10)
    begin = draw.onset(count)
    scale = 2.0 ** np.maximum(16 - np.cumsum(after(count, begin)), -3)
    log.put("train/loss", draw.rough(two_phases(count), 0.05)).put("scaler/scale", scale)
    return Drawn(log, _fault("loss_scale", log, begin))


def resumes_from_an_old_model(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500), every=50)
    begin = int(count * draw.random.uniform(0.4, 0.8))
    level = two_phases(count, 4.0, 0.5)
    level[begin:] = two_phases(count, 4.0, 0.5)[: count - begin]
    log.put("loss", draw.rough(level, 0.05)).restart(begin, back=2, seconds=7200)
    return Drawn(log, _fault("restart", log, begin, bands=("normal", "problems", "abnormal")))


def steps_are_lost(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700))
    begin = draw.onset(count)
    log.step[begin:] += int(draw.between(60, 400))
    log.put("train/loss", draw.rough(falling(count), 0.05))
    return Drawn(log, _fault("step_integrity", log, begin))


def hangs_after_an_evaluation(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(250), every=10, seconds=6)
    for row in range(20, count, 25):
        log.pause(row, 40)
    log.put("train/loss", draw.rough(power_law(count), 0.04))
    return Drawn(log, _fault("stalled", log, None), silence_seconds=draw.between(1200, 20_000))


def loader_gets_slower(draw: Draw) -> Drawn:
    count = draw.length(900)
    begin = int(count * draw.random.uniform(0.2, 0.6))
    slower = 1 + draw.between(2, 5) * ramp(count, begin, begin + (count - begin) // 3)
    log = Log(draw, count, every=10, seconds=8, slower=slower)
    log.put("train/loss", draw.shaken(power_law(count), 0.06))
    return Drawn(log, _fault("slowdown", log, begin))


# --- healthy --------------------------------------------------------------------------------------------------------


def cycle_without_a_logged_rate(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900), every=10)
    hump = np.interp(share(count), [0, 0.25, 1], [0.1, 1, 0])
    return Drawn(log.put("train_loss", draw.rough(falling(count, speed=5) + draw.between(0.05, 0.15) * hump, 0.05)))


def growing_restarts(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1400), every=5)
    place = np.log2(1 + 7 * share(count) * 0.999)
    rate = 1e-5 + 5e-4 * (1 + np.cos(np.pi * (2 ** (place % 1) - 1))) / 2
    level = power_law(count, 7, 1.8) + draw.between(0.2, 0.5) * rate / 5e-4
    return Drawn(log.put("train/loss", draw.shaken(level, 0.05)).put("train/learning_rate", rate))


def decays_in_steps(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(100), seconds=150)
    rate = 0.1 * 0.1 ** np.digitize(share(count), [0.3, 0.6, 0.8])
    log.put("epoch_loss", draw.rough(0.1 + 0.35 * (rate / 0.1) ** 0.4 + 1.5 * np.exp(-15 * share(count)), 0.05))
    log.put("epoch_lr", rate)
    return Drawn(log.put("epoch_val_acc", draw.shaken(0.93 - 0.12 * (rate / 0.1) ** 0.4, 0.006)))


def sparse_reward(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500), every=5000, seconds=12)
    chance = 0.95 / (1 + np.exp(-(share(count) - draw.random.uniform(0.3, 0.6)) * 20))
    log.put("rollout/ep_rew_mean", draw.random.binomial(100, chance) / 100)
    return Drawn(log.put("train/loss", draw.rough(0.01 + 0.1 * chance, 0.6)))


def game_of_two(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700), every=100)
    log.put("loss/generator", draw.wandering(np.linspace(0.5, 3, count), 0.4, memory=0.7))
    return Drawn(log.put("loss/discriminator", draw.wandering(np.full(count, 0.7), 0.12, memory=0.7)))


def short_fine_tuning(draw: Draw) -> Drawn:
    log = Log(draw, count := int(draw.random.integers(10, 60)), every=10, seconds=25)
    log.put("train/loss", draw.shaken(1.1 + 0.9 * np.exp(-4 * share(count)), 0.08))
    log.put("train/learning_rate", 2e-5 * (1 - share(count)))
    return Drawn(log.put("train/grad_norm", draw.rough(np.full(count, 1.5), 0.4)))


def contrastive(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1200), every=10)
    level = np.log(512) * (0.35 + 0.65 * np.exp(-4 * np.maximum(share(count) - 0.05, 0)))
    return Drawn(log.put("train/contrastive_loss", draw.rough(level, 0.03)).put("lr", np.full(count, 0.3)))


def two_tasks(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000), every=10)
    log.put("train/loss", draw.rough(two_phases(count, 3, 0.3), 0.07))
    log.evaluate("validation/task1_loss", draw.rough(falling(40, 3, 0.5, 6), 0.03))
    return Drawn(log.evaluate("validation/task2_loss", draw.rough(falling(40, 4, 1.5, 4), 0.06)))


def variational(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(80), seconds=60)
    log.put("epoch_loss", draw.shaken(falling(count, 250, 95, 6), 0.8))
    return Drawn(log.put("epoch_val_loss", draw.shaken(falling(count, 240, 98, 6), 0.8)))


def preempted_often(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900), every=10)
    for row in sorted(draw.random.choice(np.arange(30, count - 10), 4, replace=False)):
        log.restart(int(row), back=2, seconds=draw.between(60, 5000))
    return Drawn(log.put("train/loss", draw.shaken(power_law(count), 0.06)))


def skips_overflowing_batches(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000))
    norm = draw.rough(1 + 3 * np.exp(-5 * share(count)), 0.3)
    skipped = np.arange(count) % max(count // 6, 60) == 40
    log.put("train/loss", draw.rough(two_phases(count), 0.05)).put("train/grad_norm", np.where(skipped, np.inf, norm))
    return Drawn(log.put("amp/scale", 2.0 ** (16 - skipped.cumsum() % 2)))


def uneven_batches(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1500))
    epoch = max(count // 12, 25)
    last_batch = np.where(np.arange(count) % epoch == epoch - 1, draw.between(1.1, 1.5), 1.0)
    return Drawn(log.put("loss", draw.rough(power_law(count, 6, 1.5) * last_batch, 0.04)))


FAULTS = recipes_of(
    loss_overflows,
    validation_turns_nan,
    every_label_is_masked,
    reward_collapses,
    perplexity_explodes,
    epochs_get_worse,
    reward_fades,
    spike_ebbs_away,
    spike_of_a_negative_loss,
    data_changes,
    regression_predicts_the_mean,
    jumps_to_and_fro,
    epochs_zigzag,
    one_of_two_tasks_overfits,
    perplexity_of_validation_turns_up,
    labels_of_validation_are_shuffled,
    recurrent_gradient_explodes,
    gradient_fades,
    rate_decays_to_nothing,
    schedule_is_not_restored,
    rate_is_a_hundred_times_too_high,
    scaler_gives_up,
    resumes_from_an_old_model,
    steps_are_lost,
    hangs_after_an_evaluation,
    loader_gets_slower,
)
CONTROLS = recipes_of(
    cycle_without_a_logged_rate,
    growing_restarts,
    decays_in_steps,
    sparse_reward,
    game_of_two,
    short_fine_tuning,
    contrastive,
    two_tasks,
    variational,
    preempted_often,
    skips_overflowing_batches,
    uneven_batches,
)
