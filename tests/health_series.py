"""Labelled series for the tests of the health rules: healthy runs that look odd, and runs with one fault."""

from collections.abc import Callable, Mapping

import numpy as np

from monitor.health import Evidence
from monitor.schema import Checkpoints, Points, Roles, RoleTag, RunState, Sample, Session

START = 1_700_000_000.0
RUNNING = RunState("running", "The last event came 1 s ago; usually one comes every 1 s.")

Series = Mapping[str, np.ndarray]


def points(values: np.ndarray, *, every: int = 1, seconds: float = 1.0, late: float = 0.0) -> Points:
    """Return a series with one point every `every` steps; a step takes `seconds`."""
    step = np.arange(len(values), dtype=np.int64) * every
    wall = START + late + step * seconds
    return Points(step, wall, np.asarray(values, dtype=np.float64), np.zeros(len(values), dtype=np.int16))


def evidence_of(
    loss: np.ndarray | Points | None = None,
    *,
    validation: np.ndarray | Points | None = None,
    learning_rate: np.ndarray | Points | None = None,
    gradient_norm: np.ndarray | None = None,
    score: np.ndarray | Points | None = None,
    score_tag: str = "val/accuracy",
    free_loss: bool = False,
    state: RunState = RUNNING,
    sessions: tuple[Session, ...] = (),
    samples: tuple[Sample, ...] = (),
    checkpoints: Checkpoints | None = None,
    steps_are_epochs: bool = False,
) -> Evidence:
    """Return evidence with the series given; those left out are not logged."""
    given = {
        "train/loss": loss,
        "val/loss": validation,
        "train/lr": learning_rate,
        "train/grad_norm": gradient_norm,
        score_tag: score,
    }
    series = {
        tag: value if isinstance(value, Points) else points(value, late=0.001 * place)
        for place, (tag, value) in enumerate(given.items())
        if value is not None
    }
    roles = Roles(
        loss=RoleTag("train/loss", "loss", None if free_loss else "min") if loss is not None else None,
        validation=(RoleTag("val/loss", "validation"),) if validation is not None else (),
        learning_rate=RoleTag("train/lr", "learning rate", None) if learning_rate is not None else None,
        gradient_norm=RoleTag("train/grad_norm", "gradient norm", None) if gradient_norm is not None else None,
        scores=(RoleTag(score_tag, "score", "max"),) if score is not None else (),
    )
    return Evidence(
        roles=roles,
        series=series,
        state=state,
        sessions=sessions,
        samples=samples,
        checkpoints=checkpoints or Checkpoints(),
        steps_are_epochs=steps_are_epochs,
    )


def evaluated(values: np.ndarray, steps: int) -> Points:
    """Return a validation series spread evenly over a run of `steps` steps."""
    every = steps // len(values)
    shifted = points(values, every=every, late=0.01)
    return Points(shifted.step + every - 1, shifted.wall_time + every - 1, shifted.value, shifted.session)


def decay(count: int, high: float = 2.5, low: float = 0.3, speed: float = 5.0) -> np.ndarray:
    """Return an exponential approach from `high` to `low`."""
    return low + (high - low) * np.exp(-speed * np.arange(count) / count)


# --- healthy -------------------------------------------------------------------------------------------------------


def plain_decay(random: np.random.Generator) -> Evidence:
    count = int(random.integers(30, 1500))
    return evidence_of(decay(count) * np.exp(random.normal(0, 0.05, count)))


def power_law(random: np.random.Generator) -> Evidence:
    loss = 1.8 + 8 * (1 + np.arange(1000)) ** -0.4
    return evidence_of(loss + random.normal(0, 0.08, 1000), learning_rate=np.linspace(3e-4, 3e-5, 1000))


def cosine_restarts(random: np.random.Generator) -> Evidence:
    count, cycle = 1200, 300
    phase = (np.arange(count) % cycle) / cycle
    rate = 1e-6 + 1e-3 * (1 + np.cos(np.pi * phase)) / 2
    loss = decay(count, speed=3) + 0.4 * rate / 1e-3
    return evidence_of(loss * np.exp(random.normal(0, 0.03, count)), learning_rate=rate)


def one_cycle(random: np.random.Generator) -> Evidence:
    count = 800
    rate = 1e-3 * np.interp(np.arange(count), [0, 240, 799], [0.04, 1, 0.0001])
    loss = decay(count, speed=4) + 0.15 * rate / 1e-3
    return evidence_of(loss * np.exp(random.normal(0, 0.04, count)), learning_rate=rate)


def noisy_small_batch(random: np.random.Generator) -> Evidence:
    count = 1000
    return evidence_of(decay(count, low=0.8) * np.exp(random.normal(0, 0.35, count)))


def heavy_tails(random: np.random.Generator) -> Evidence:
    count = 1000
    return evidence_of(decay(count, low=1.0) + 0.08 * np.abs(random.standard_t(3, count)))


def negative_loss(random: np.random.Generator) -> Evidence:
    count = 600
    return evidence_of(decay(count, high=3.0, low=-4.0) + random.normal(0, 0.15, count))


def near_zero(random: np.random.Generator) -> Evidence:
    count = 1000
    loss = 10.0 ** np.interp(np.arange(count), [0, 700, 999], [0, -6, -6.2])
    return evidence_of(loss * np.exp(random.normal(0, 0.4, count)))


def flat_and_noisy(random: np.random.Generator) -> Evidence:
    return evidence_of(0.693 + random.normal(0, 0.02, 500))


def constant_rate(random: np.random.Generator) -> Evidence:
    count = 400
    return evidence_of(decay(count) + random.normal(0, 0.03, count), learning_rate=np.full(count, 3e-4))


def slow_wander(random: np.random.Generator) -> Evidence:
    count = 1000
    noise = np.zeros(count)
    for place in range(1, count):
        noise[place] = 0.95 * noise[place - 1] + random.normal(0, 0.015)
    return evidence_of(decay(count, low=0.8) + noise)


def reinforcement(random: np.random.Generator) -> Evidence:
    count = 400
    reward = -200 + 350 * (1 - np.exp(-4 * np.arange(count) / count)) + random.normal(0, 20, count)
    value_loss = np.linspace(0.5, 40, count) * np.exp(random.normal(0, 0.5, count))
    return evidence_of(value_loss, free_loss=True, score=reward, score_tag="rollout/ep_rew_mean")


def noisy_validation(random: np.random.Generator) -> Evidence:
    count, evaluations = 2000, 60
    validation = evaluated(decay(evaluations, low=0.6) * np.exp(random.normal(0, 0.08, evaluations)), count)
    return evidence_of(decay(count) * np.exp(random.normal(0, 0.05, count)), validation=validation)


def few_epochs(random: np.random.Generator) -> Evidence:
    count = int(random.integers(5, 40))
    loss = decay(count, speed=3) * np.exp(random.normal(0, 0.04, count))
    validation = decay(count, low=0.5, speed=3) * np.exp(random.normal(0, 0.05, count))
    return evidence_of(loss, validation=validation, steps_are_epochs=True)


def mild_gap(random: np.random.Generator) -> Evidence:
    epochs = 80
    loss = decay(epochs, low=0.05) * np.exp(random.normal(0, 0.04, epochs))
    validation = decay(epochs, low=0.9) + random.normal(0, 0.04, epochs)
    return evidence_of(loss, validation=validation, steps_are_epochs=True)


def outlier_batches(random: np.random.Generator) -> Evidence:
    loss = decay(1000, low=0.5) * np.exp(random.normal(0, 0.05, 1000))
    loss[random.choice(np.arange(100, 1000), 8, replace=False)] *= 1.8
    return evidence_of(loss)


HEALTHY: Mapping[str, Callable[[np.random.Generator], Evidence]] = {
    build.__name__: build
    for build in (
        plain_decay,
        power_law,
        cosine_restarts,
        one_cycle,
        noisy_small_batch,
        heavy_tails,
        negative_loss,
        near_zero,
        flat_and_noisy,
        constant_rate,
        slow_wander,
        reinforcement,
        noisy_validation,
        few_epochs,
        mild_gap,
        outlier_batches,
    )
}
