"""Synthetic healthy runs that look odd, open to whoever writes rules."""

import numpy as np

from tests.scorecard.drafting import Draw, Drawn, Log, after, falling, power_law, ramp, recipes_of, share, two_phases


def plain(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700))
    norm = draw.rough(0.3 + 2 * np.exp(-3 * share(count)), 0.2)
    log.put("train/loss", draw.rough(falling(count), 0.05)).put("train/lr", np.full(count, 3e-4))
    return Drawn(log.put("train/grad_norm", norm))


def language_model(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1500), every=10)
    rate = 3e-4 * np.minimum(share(count) / 0.02, 1) * (0.1 + 0.9 * (1 + np.cos(np.pi * share(count))) / 2)
    log.put("train/loss", draw.shaken(power_law(count), 0.06)).put("train/lr", rate)
    log.put("train/grad_norm", draw.rough(np.full(count, 0.7), 0.25))
    return Drawn(log.evaluate("eval/loss", draw.shaken(power_law(25) + 0.05, 0.01)))


def cosine_restarts(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1200))
    phase = (share(count) * draw.random.integers(3, 6)) % 1
    rate = 1e-6 + 1e-3 * (1 + np.cos(np.pi * phase)) / 2
    level = falling(count, speed=3) + draw.between(0.2, 0.6) * rate / 1e-3
    return Drawn(log.put("train/loss", draw.rough(level, 0.04)).put("train/lr", rate))


def one_cycle(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(800))
    rate = 1e-3 * np.interp(share(count), [0, 0.3, 1], [0.04, 1, 0.0001])
    level = falling(count, speed=4) + draw.between(0.1, 0.3) * rate / 1e-3
    return Drawn(log.put("train/loss", draw.rough(level, 0.04)).put("train/lr", rate))


def warm_up(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900))
    rate = 2e-3 * np.minimum(share(count) / draw.random.uniform(0.05, 0.2), 1) + 1e-7
    return Drawn(log.put("train/loss", draw.rough(two_phases(count), 0.05)).put("train/lr", rate))


def tiny_batches(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1500))
    return Drawn(log.put("train/loss", draw.rough(falling(count, low=0.8), 0.35)).put("lr", np.full(count, 1e-2)))


def heavy_tails(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000))
    tail = draw.noise(0.08) * np.abs(draw.random.standard_t(3, count))
    return Drawn(log.put("train/loss", falling(count, low=1.0) + tail))


def near_zero(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000))
    decades = np.interp(share(count), [0, 0.7, 1], [0, -6, -6.2])
    return Drawn(log.put("train/loss", draw.rough(10.0**decades, 0.35)))


def physics_informed(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(2000), every=100)
    log.put("train/loss", draw.rough(10.0 ** (2 - 6 * share(count) ** 0.7), 0.25))
    return Drawn(log.put("train/lr", 1e-3 * 0.9 ** np.floor(20 * share(count))))


def negative_likelihood(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(700))
    log.put("train/nll_loss", draw.shaken(falling(count, 3.0, -4.0), 0.2))
    return Drawn(log.evaluate("val/nll_loss", draw.shaken(falling(30, 3.0, -3.9), 0.05)))


def epochs(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(50), seconds=600)
    log.put("train/loss", draw.rough(falling(count, speed=4), 0.04))
    log.put("val/loss", draw.rough(falling(count, low=0.5, speed=4), 0.04))
    log.put("val/accuracy", draw.shaken(0.92 - 0.8 * np.exp(-5 * share(count)), 0.006))
    return Drawn(log.put("train/epoch_duration_minutes", np.diff(log.wall, prepend=log.wall[0] - 600) / 60))


def very_short(draw: Draw) -> Drawn:
    log = Log(draw, count := int(draw.random.integers(3, 12)), seconds=900)
    log.put("train/loss", draw.rough(falling(count, speed=3), 0.04))
    return Drawn(log.put("val/loss", draw.rough(falling(count, low=0.5, speed=3), 0.04)))


def resumed(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(600))
    begin, back = draw.onset(count), int(draw.random.integers(1, 30))
    place = np.arange(count) - np.where(after(count, begin), min(back, begin), 0)
    log.put("train/loss", draw.rough(falling(count)[place], 0.05))
    return Drawn(log.restart(begin, min(back, begin), seconds=draw.between(30, 40_000)))


def accumulated_gradients(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500), every=16, seconds=30)
    log.put("train/loss", draw.wandering(falling(count, speed=4), 0.05, memory=0.8))
    return Drawn(log.put("train/learning_rate", np.maximum(1e-4 * (1 - share(count)), 0)))


def noisy_validation(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(2000))
    log.put("train/loss", draw.rough(falling(count), 0.06))
    return Drawn(log.evaluate("val/loss", draw.rough(falling(60, low=0.6), 0.09)))


def grokking(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1500), every=10)
    log.put("train/loss", draw.rough(falling(count, high=4.6, low=0.02, speed=12), 0.1))
    late = 1 / (1 + np.exp(-(share(60) - 0.7) * 30))
    log.evaluate("val/loss", draw.rough(4.7 - 4.5 * late, 0.01)).evaluate("val/accuracy", 0.01 + 0.98 * late)
    return Drawn(log, tolerated=("train_val_gap", "overfitting"))


def high_rate_of_plain_descent(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900))
    rate = 0.1 * 0.1 ** np.floor(3 * share(count))
    level = 0.25 + 0.5 * rate / 0.1 + 1.6 * np.exp(-12 * share(count))
    log.put("train/loss", draw.rough(level, 0.12)).put("train/lr", rate)
    return Drawn(log.evaluate("val/accuracy", draw.shaken(0.94 - 0.15 * rate[log.rows_of(30)] / 0.1, 0.004)))


def reinforcement(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(400), every=2048, seconds=15)
    log.put("rollout/ep_rew_mean", draw.wandering(-200 + 350 * (1 - np.exp(-4 * share(count))), 15))
    log.put("train/value_loss", draw.rough(np.linspace(0.5, 40, count), 0.5))
    log.put("train/loss", draw.rough(np.linspace(0.3, 20, count), 0.5))
    return Drawn(log.put("train/learning_rate", np.full(count, 3e-4)))


def adversarial(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900), every=50)
    swing = 0.2 * np.sin(2 * np.pi * share(count) * draw.between(3, 9))
    log.put("train/g_loss", draw.wandering(1.0 + 1.2 * share(count) + swing, 0.25))
    return Drawn(log.put("train/d_loss", draw.wandering(1.2 - 0.4 * share(count) - swing, 0.1)))


def slow_wander(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000))
    return Drawn(log.put("train/loss", draw.wandering(falling(count, low=0.8), 0.045, memory=0.95)))


def outlier_batches(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000))
    loss = draw.rough(falling(count, low=0.5), 0.05)
    loss[draw.random.choice(np.arange(count // 10, count), 6, replace=False)] *= draw.between(1.3, 1.9)
    return Drawn(log.put("train/loss", loss))


def converged(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(1000))
    log.put("train/loss", draw.rough(falling(count, low=0.2, speed=20), 0.06))
    return Drawn(log.put("train/lr", 1e-3 * (1 + np.cos(np.pi * share(count))) / 2))


def saves_and_evaluates(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(500), seconds=3)
    for row in range(60, count, max(count // 8, 40)):
        log.pause(row, draw.between(25, 45))
    return Drawn(log.put("train/loss", draw.rough(falling(count), 0.05)))


def dropout_makes_training_harder(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(80), seconds=120)
    log.put("train/loss", draw.rough(falling(count, low=0.6, speed=4), 0.04))
    return Drawn(log.put("val/loss", draw.rough(falling(count, low=0.4, speed=4), 0.03)))


def validation_levels_off(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(90), seconds=120)
    log.put("train/loss", draw.rough(falling(count, low=0.1), 0.04))
    rise = draw.between(0.002, 0.008) * ramp(count, count // 2)
    return Drawn(log.put("val/loss", draw.shaken(falling(count, low=0.9, speed=6) + rise, 0.03)))


def hardly_rises(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900))
    begin = draw.onset(count)
    lost = draw.between(0.005, 0.03)
    return Drawn(log.put("train/loss", draw.shaken(falling(count, speed=8) + 2.1 * lost * ramp(count, begin), 0.08)))


def many_metrics(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(70), seconds=300)
    log.put("train/box_loss", draw.rough(falling(count, 1.8, 0.9), 0.02))
    log.put("val/box_loss", draw.rough(falling(count, 1.9, 1.1), 0.025))
    log.put("metrics/mAP50(B)", draw.shaken(0.7 - 0.65 * np.exp(-5 * share(count)), 0.01))
    log.put("metrics/precision(B)", draw.shaken(0.75 - 0.6 * np.exp(-4 * share(count)), 0.03))
    return Drawn(log.put("lr/pg0", 0.01 * (1 - 0.99 * share(count))))


def loss_scale_breathes(draw: Draw) -> Drawn:
    log = Log(draw, count := draw.length(900))
    scale = 2.0 ** (15 + draw.random.integers(-1, 2, count // 60 + 1).cumsum().clip(-2, 2))
    log.put("train/loss", draw.rough(falling(count), 0.05))
    return Drawn(log.put("train/loss_scale", np.repeat(scale, 60)[:count]))


CONTROLS = recipes_of(
    plain,
    language_model,
    cosine_restarts,
    one_cycle,
    warm_up,
    tiny_batches,
    heavy_tails,
    near_zero,
    physics_informed,
    negative_likelihood,
    epochs,
    very_short,
    resumed,
    accumulated_gradients,
    noisy_validation,
    grokking,
    high_rate_of_plain_descent,
    reinforcement,
    adversarial,
    slow_wander,
    outlier_batches,
    converged,
    saves_and_evaluates,
    dropout_makes_training_harder,
    validation_levels_off,
    hardly_rises,
    many_metrics,
    loss_scale_breathes,
)
