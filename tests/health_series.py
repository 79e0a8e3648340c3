"""Labelled series for the tests of the health rules: healthy runs that look odd, and runs with one fault."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from monitor.health import Evidence
from monitor.schema import (
    SEVERITIES,
    Checkpoints,
    Finding,
    GpuSample,
    Health,
    Points,
    Progress,
    Roles,
    RoleTag,
    RunState,
    Sample,
    Session,
)

ALARM = SEVERITIES.index("warning")
START = 1_700_000_000.0
RUNNING = RunState("running", "The last event came 1 s ago; usually one comes every 1 s.")


def seeded(build: Callable[[np.random.Generator], Evidence], seed: int = 0) -> Evidence:
    return build(np.random.default_rng(seed))


def of_kind(health: Health, kind: str) -> list[Finding]:
    return [finding for finding in health.findings if finding.kind == kind]


def only(health: Health, kind: str) -> Finding:
    found = of_kind(health, kind)
    assert len(found) == 1, [finding.id for finding in health.findings]
    return found[0]


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
    first_epoch_step: int | None = None,
    total_steps: int | None = None,
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
        progress=Progress(first_epoch_step=first_epoch_step, total_steps=total_steps),
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
    return evidence_of(loss, validation=validation, first_epoch_step=0)


def mild_gap(random: np.random.Generator) -> Evidence:
    epochs = 80
    loss = decay(epochs, low=0.05) * np.exp(random.normal(0, 0.04, epochs))
    validation = decay(epochs, low=0.9) + random.normal(0, 0.04, epochs)
    return evidence_of(loss, validation=validation, first_epoch_step=0)


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
        constant_rate,
        slow_wander,
        reinforcement,
        noisy_validation,
        few_epochs,
        mild_gap,
        outlier_batches,
    )
}


# --- faults --------------------------------------------------------------------------------------------------------


def turns_nan(random: np.random.Generator) -> Evidence:
    loss = decay(400) * np.exp(random.normal(0, 0.05, 400))
    loss[250:] = np.nan
    return evidence_of(loss)


def filtered_to_zero(random: np.random.Generator) -> Evidence:
    loss = decay(400) * np.exp(random.normal(0, 0.05, 400))
    loss[250:] = 0.0
    return evidence_of(loss)


def blows_up(random: np.random.Generator) -> Evidence:
    loss = decay(600) * np.exp(random.normal(0, 0.05, 600))
    loss[250:] *= np.exp(np.minimum(np.arange(350) * 0.05, 6))
    return evidence_of(loss)


def rises_slowly(random: np.random.Generator) -> Evidence:
    loss = decay(1000, speed=10) * np.exp(random.normal(0, 0.05, 1000))
    loss[500:] += np.arange(500) * 1.5e-3
    return evidence_of(loss)


def reward_collapses(random: np.random.Generator) -> Evidence:
    reward = 300 * (1 - np.exp(-np.arange(600) / 60)) + random.normal(0, 10, 600)
    reward[300:] -= np.arange(300) * 0.5
    loss = np.exp(random.normal(0, 0.5, 600))
    return evidence_of(loss, free_loss=True, score=reward, score_tag="rollout/ep_rew_mean")


def spikes_and_recovers(random: np.random.Generator) -> Evidence:
    loss = decay(800, low=0.5) * np.exp(random.normal(0, 0.05, 800))
    loss[500:508] *= 4
    return evidence_of(loss)


def jumps_and_stays(random: np.random.Generator) -> Evidence:
    loss = decay(800, low=0.5) * np.exp(random.normal(0, 0.05, 800))
    loss[500:] += 0.6
    return evidence_of(loss)


def overfits(random: np.random.Generator) -> Evidence:
    epochs = 60
    loss = decay(epochs, low=0.05) * np.exp(random.normal(0, 0.03, epochs))
    validation = decay(epochs, low=0.6, speed=8) + random.normal(0, 0.02, epochs)
    validation[25:] += 0.02 * np.arange(epochs - 25)
    return evidence_of(loss, validation=validation, first_epoch_step=0)


def overfits_in_accuracy(random: np.random.Generator) -> Evidence:
    epochs = 60
    loss = decay(epochs, low=0.05) * np.exp(random.normal(0, 0.03, epochs))
    accuracy = 0.9 - decay(epochs, high=0.8, low=0.0, speed=8) + random.normal(0, 0.004, epochs)
    accuracy[25:] -= 0.003 * np.arange(epochs - 25)
    return evidence_of(loss, score=accuracy, first_epoch_step=0)


def rate_dies(random: np.random.Generator) -> Evidence:
    loss = decay(500) * np.exp(random.normal(0, 0.05, 500))
    return evidence_of(loss, learning_rate=np.where(np.arange(500) < 300, 1e-3, 1e-8))


def rate_is_large(random: np.random.Generator) -> Evidence:
    loss = decay(300) * np.exp(random.normal(0, 0.05, 300))
    return evidence_of(loss, learning_rate=np.full(300, 0.1))


def restarted(random: np.random.Generator) -> Evidence:
    loss = points(decay(300) * np.exp(random.normal(0, 0.05, 300)))
    session = (loss.step >= 200).astype(np.int16)
    sessions = (Session(0, "a.tfevents", START, 0), Session(1, "b.tfevents", START + 200, 200))
    return evidence_of(Points(loss.step, loss.wall_time, loss.value, session), sessions=sessions)


def silent(random: np.random.Generator) -> Evidence:
    state = RunState("stalled", "The last event came 10 min ago; usually one comes every 1 s.")
    return evidence_of(decay(300) * np.exp(random.normal(0, 0.05, 300)), state=state)


def readings(count: int = 200, gpus: tuple[GpuSample, ...] = (), **figures: float | int | None) -> tuple[Sample, ...]:
    """Return readings of a machine, one every 2 s from ten minutes after the start on."""
    return tuple(Sample(START + 600 + 2 * place, gpus=gpus, **figures) for place in range(count))


def gpu(utilization: float = 85.0, used: int = 40, celsius: float = 60.0) -> GpuSample:
    """Return a reading of a GPU with 80 GB, of which `used` are in use."""
    return GpuSample(0, "GPU", utilization, used * 10**9, 80 * 10**9, celsius)


def machine_run(samples: tuple[Sample, ...]) -> Evidence:
    """Return a healthy running run with these readings."""
    return evidence_of(points(decay(100), seconds=10.0), samples=samples)


@dataclass(frozen=True)
class Fault:
    """A kind of trouble, how to build it, and the step it begins at; None where no step tells."""

    kind: str
    build: Callable[[np.random.Generator], Evidence]
    onset: int | None
    tolerance: int = 0


FAULTS = (
    Fault("non_finite", turns_nan, 250),
    Fault("dead_value", filtered_to_zero, 250),
    Fault("divergence", blows_up, 250, 20),
    Fault("rising", rises_slowly, 500, 60),
    Fault("rising", reward_collapses, 300, 100),
    Fault("spike", spikes_and_recovers, 500),
    Fault("level_shift", jumps_and_stays, 500),
    Fault("overfitting", overfits, 25, 8),
    Fault("overfitting", overfits_in_accuracy, 25, 8),
    Fault("lr_low", rate_dies, 300),
    Fault("lr_high", rate_is_large, 0),
    Fault("restart", restarted, 200),
    Fault("stalled", silent, 299),
    Fault("gpu_underused", lambda random: machine_run(readings(gpus=(gpu(utilization=10),))), None),
    Fault("gpu_memory", lambda random: machine_run(readings(gpus=(gpu(used=79),))), None),
    Fault("gpu_hot", lambda random: machine_run(readings(gpus=(gpu(celsius=91),))), None),
    Fault(
        "host_memory",
        lambda random: machine_run(readings(memory_used_bytes=62 * 10**9, memory_total_bytes=64 * 10**9)),
        None,
    ),
    Fault("disk_full", lambda random: machine_run(readings(disk_free_bytes=300_000_000)), None),
)
