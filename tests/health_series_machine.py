"""Labelled runs for the rules of log, speed, machine and checkpoints: healthy ones that look odd, and faults."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from monitor.analysis.series import visible
from monitor.health import Evidence
from monitor.schema import Checkpoint, Checkpoints, GpuSample, Points, Progress, RoleTag, Sample, Session
from tests.health_series import START, Fault, decay, evidence_of, points

Random = np.random.Generator
FAR = 36_000.0
"""Seconds from the start by which all of these runs have ended."""


def noisy(count: int, random: Random, **shape: float) -> np.ndarray:
    """Return a falling loss with five percent of noise."""
    return decay(count, **shape) * np.exp(random.normal(0, 0.05, count))


# --- restarts and the order of steps -------------------------------------------------------------------------------


def written(
    *parts: tuple[Iterable[int], np.ndarray], seconds: float = 1.0, files: Sequence[str] = (), pause: float = 60.0
) -> tuple[Points, tuple[Session, ...]]:
    """Return all points of a series written in several sessions one after the other, and the sessions.

    Args:
        parts: Steps and values of each session.
        seconds: Time between two points.
        files: Event file of each session; a file of its own for each by default.
        pause: Time between two sessions.
    """
    steps = [np.array(list(part), dtype=np.int64) for part, _ in parts]
    starts = START + np.cumsum([0.0] + [len(step) * seconds + pause for step in steps[:-1]])
    times = [start + seconds * np.arange(len(step)) for start, step in zip(starts, steps, strict=True)]
    numbers = [np.full(len(step), number, dtype=np.int16) for number, step in enumerate(steps)]
    names = files or [f"events.{number}" for number in range(len(parts))]
    sessions = tuple(
        Session(number, name, float(time[0]), int(step[0]))
        for number, (name, time, step) in enumerate(zip(names, times, steps, strict=True))
    )
    joined = (np.concatenate(steps), np.concatenate(times), np.concatenate([value for _, value in parts]))
    return Points(*joined, np.concatenate(numbers)), sessions


def resumed(random: Random, later: Callable[[np.ndarray], np.ndarray], **more: Points) -> Evidence:
    """Return a run of 600 steps that went on from a checkpoint at 300 after it had come to 350."""
    loss = noisy(600, random)
    series, sessions = written((range(350), loss[:350]), (range(300, 600), later(loss[300:])))
    return evidence_of(visible(series), sessions=sessions, **more)


def resumed_where_it_was(random: Random) -> Evidence:
    return resumed(random, lambda loss: loss)


def resumed_with_noise_of_single_batches(random: Random) -> Evidence:
    return resumed(random, lambda loss: loss * np.exp(random.normal(0, 0.15, len(loss)) * (np.arange(len(loss)) < 20)))


def resumed_with_a_warm_restart(random: Random) -> Evidence:
    rate, _ = written((range(350), np.geomspace(1e-3, 1e-4, 350)), (range(300, 600), np.geomspace(1e-3, 1e-4, 300)))
    rate = visible(rate)
    return resumed(random, lambda loss: loss + 0.7 * np.exp(-np.arange(len(loss)) / 100), learning_rate=rate)


def resumed_anew(random: Random) -> Evidence:
    return resumed(random, lambda loss: noisy(len(loss), random))


def resumed_half_forgotten(random: Random) -> Evidence:
    return resumed(random, lambda loss: loss + 1.1 * np.exp(-np.arange(len(loss)) / 150))


def resumed_before_it_had_learnt(random: Random) -> Evidence:
    series, sessions = written(
        (range(30), 2.3 + random.normal(0, 0.02, 30)), (range(20, 400), noisy(380, random, high=2.3))
    )
    return evidence_of(visible(series), sessions=sessions)


def several_complete_runs(random: Random) -> Evidence:
    parts = [(range(1, 401), noisy(400, random)) for _ in range(4)]
    series, sessions = written(*parts)
    return evidence_of(visible(series), sessions=sessions)


def begun_anew_with_another_logging_interval(random: Random) -> Evidence:
    series, sessions = written((range(400), noisy(400, random)), (range(20, 2000, 20), noisy(99, random)))
    return evidence_of(visible(series), sessions=sessions)


def folds_in_one_file(random: Random) -> Evidence:
    parts = [(range(100), noisy(100, random)) for _ in range(5)]
    loss, sessions = written(*parts, files=["events.0"] * 5, pause=0.0)
    rate, _ = written(*[(range(100), np.linspace(1e-3, 1e-5, 100)) for _ in range(5)], pause=0.0)
    return evidence_of(visible(loss), learning_rate=visible(rate), sessions=sessions)


def rolls_back_by_itself(random: Random) -> Evidence:
    begins = range(0, 700, 100)
    parts = [(range(begin, begin + 130), begin) for begin in begins]
    loss, sessions = written(
        *[(steps, noisy(1000, random)[begin : begin + 130]) for steps, begin in parts],
        files=["events.0"] * len(parts),
        pause=0.0,
    )
    rate, _ = written(*[(steps, np.full(130, 1e-4)) for steps, _ in parts], pause=0.0)
    return evidence_of(visible(loss), learning_rate=visible(rate), sessions=sessions)


def validation_counts_its_batches(random: Random) -> Evidence:
    loss = points(noisy(500, random))
    number = (loss.step // 100).astype(np.int16)
    sessions = tuple(Session(one, "events.0", START + 100 * one, 0) for one in range(5))
    batches, _ = written(*[(range(20), 0.5 + random.normal(0, 0.02, 20)) for _ in range(5)], pause=80.0)
    shown = Points(loss.step, loss.wall_time, loss.value, number)
    return evidence_of(shown, validation=visible(batches), sessions=sessions)


def counter_set_back_each_epoch(random: Random) -> Evidence:
    loss = noisy(1000, random)
    series, sessions = written(
        *[(range(100), loss[100 * epoch : 100 * epoch + 100]) for epoch in range(10)],
        files=["events.0"] * 10,
        pause=0.0,
    )
    rate = points(np.linspace(1e-3, 1e-5, 1000))
    rate = Points(rate.step, rate.wall_time, rate.value, (rate.step // 100).astype(np.int16))
    return evidence_of(visible(series), learning_rate=rate, sessions=sessions)


def counters_take_turns(random: Random) -> Evidence:
    parts = [([one, one + 1, one + 500], random.normal(1, 0.05, 3)) for one in range(0, 400, 2)]
    series, sessions = written(*parts, files=["events.0"] * 200, pause=0.0)
    return evidence_of(visible(series), sessions=sessions)


def two_processes_write(random: Random) -> Evidence:
    loss = points(noisy(300, random))
    both = Points(loss.step, loss.wall_time + 2, loss.value, np.ones(300, dtype=np.int16))
    sessions = (Session(0, "events.0", START, 0), Session(1, "events.1", START + 2, 0))
    return evidence_of(both, learning_rate=np.full(300, 1e-4), sessions=sessions)


def writes_each_step_twice(random: Random) -> Evidence:
    loss = points(noisy(400, random))
    return evidence_of(Points(loss.step // 2, loss.wall_time, loss.value, loss.session))


def skips_steps(random: Random) -> Evidence:
    loss = points(noisy(400, random))
    return evidence_of(Points(loss.step + 2000 * (loss.step >= 200), loss.wall_time, loss.value, loss.session))


# --- speed ---------------------------------------------------------------------------------------------------------


def paced(seconds: np.ndarray, random: Random, pauses: np.ndarray | float = 0.0) -> Evidence:
    """Return a healthy loss whose steps take these times; pauses are added to single ones."""
    wall = START + np.cumsum(seconds * np.exp(random.normal(0, 0.05, len(seconds))) + pauses)
    step = np.arange(len(seconds), dtype=np.int64)
    return evidence_of(Points(step, wall, noisy(len(step), random), np.zeros(len(step), dtype=np.int16)))


def slow_from(begin: int, factor: float, count: int, seconds: float) -> np.ndarray:
    return np.where(np.arange(count) < begin, seconds, factor * seconds)


def slower(random: Random) -> Evidence:
    return paced(slow_from(400, 2.0, 800, 2.0), random)


def much_slower(random: Random) -> Evidence:
    return paced(slow_from(400, 5.0, 800, 1.0), random)


def slower_and_slower(random: Random) -> Evidence:
    return paced(np.interp(np.arange(1000), [0, 300, 999], [1.0, 1.0, 3.0]), random)


def slower_epochs(random: Random) -> Evidence:
    return paced(slow_from(30, 1.8, 60, 300.0), random)


def slower_by_its_own_clock(random: Random) -> Evidence:
    run = paced(slow_from(30, 1.8, 60, 300.0), random)
    shown = run.series["train/loss"]
    minutes = np.diff(shown.wall_time, prepend=START) / 60
    roles = replace(run.roles, duration=RoleTag("train/epoch_minutes", "epoch", None, 60.0))
    series = {**run.series, "train/epoch_minutes": Points(shown.step, shown.wall_time, minutes, shown.session)}
    return replace(run, roles=roles, series=series)


def asleep(random: Random) -> Evidence:
    return paced(np.full(800, 1.0), random, pauses=8 * 3600.0 * (np.arange(800) == 500))


def asleep_again_and_again(random: Random) -> Evidence:
    return paced(np.full(400, 20.0), random, pauses=1800.0 * (random.random(400) < 0.1))


def pauses_for_evaluation(random: Random) -> Evidence:
    return paced(np.full(1000, 0.5), random, pauses=40.0 * (np.arange(1000) % 100 == 99))


def evaluates_from_the_half_on(random: Random) -> Evidence:
    place = np.arange(1000)
    return paced(np.full(1000, 0.5), random, pauses=15.0 * ((place % 50 == 49) & (place > 500)))


def every_fourth_epoch_evaluates(random: Random) -> Evidence:
    return paced(np.full(60, 100.0), random, pauses=200.0 * (np.arange(60) % 4 == 3))


def compiles_first(random: Random) -> Evidence:
    return paced(np.where(np.arange(500) < 20, 8.0, 0.8), random)


def contended_for_a_moment(random: Random) -> Evidence:
    seconds = np.full(1500, 0.5)
    seconds[700:730] = 2.0
    return paced(seconds, random)


def writes_in_bursts(random: Random) -> Evidence:
    return paced(np.where(random.random(1500) < 0.5, 0.1, 0.9), random)


def too_short_to_tell(random: Random) -> Evidence:
    return paced(slow_from(500, 3.0, 1000, 0.01), random)


def whole_seconds(random: Random) -> Evidence:
    run = paced(np.full(1500, 0.3), random)
    one = run.series["train/loss"]
    return replace(run, series={"train/loss": Points(one.step, np.floor(one.wall_time), one.value, one.session)})


def resumed_on_a_slower_machine(random: Random) -> Evidence:
    first, second = (noisy(300, random) for _ in range(2))
    fast, sessions = written((range(300), first), (range(300, 600), 0.3 * second))
    slow = START + 400 + 3.0 * np.arange(300)
    wall = np.concatenate((fast.wall_time[:300], slow))
    return evidence_of(Points(fast.step, wall, np.sort(fast.value)[::-1].copy(), fast.session), sessions=sessions)


def agent_lives_longer(random: Random) -> Evidence:
    run = paced(slow_from(100, 1.6, 400, 10.0), random)
    reward = points(300 * (1 - np.exp(-np.arange(400) / 60)) + random.normal(0, 10, 400), seconds=10.0)
    return evidence_of(run.series["train/loss"], free_loss=True, score=reward, score_tag="rollout/ep_rew_mean")


# --- the machine ---------------------------------------------------------------------------------------------------

GIGABYTE = 10**9
BIG = 80 * GIGABYTE


def on_machine(
    random: Random, *, minutes: float = 60.0, every: float = 2.0, eta_seconds: float | None = None, **figures: object
) -> Evidence:
    """Return a healthy running run with readings; a figure is a value, or a function of the share of the time."""
    count = round(minutes * 60 / every)
    shares = np.arange(count) / count
    samples = tuple(
        Sample(
            START + 600 + every * place,
            **{name: value(share) if callable(value) else value for name, value in figures.items()},
        )
        for place, share in enumerate(shares.tolist())
    )
    run = evidence_of(points(noisy(500, random), seconds=10.0), samples=samples)
    return replace(run, progress=Progress(eta_seconds=eta_seconds))


def card(random: Random, used: float = 85.0, index: int = 0, **figures: float) -> GpuSample:
    """Return a reading of a GPU with noise in its use."""
    told = {"memory_used_bytes": BIG // 2, "memory_total_bytes": BIG, "temperature_celsius": 65.0} | figures
    return GpuSample(index, f"GPU {index}", float(np.clip(random.normal(used, 4), 0, 100)), **told)


def well_used(random: Random) -> Evidence:
    return on_machine(random, gpus=lambda _: (card(random),), cpu_percent=60.0)


def processor_and_gpu_full(random: Random) -> Evidence:
    return on_machine(random, gpus=lambda _: (card(random, 92),), cpu_percent=99.0)


def trains_on_the_processor(random: Random) -> Evidence:
    return on_machine(random, cpu_percent=100.0)


def fills_its_cache(random: Random) -> Evidence:
    def used(share: float) -> int:
        return int(64 * GIGABYTE * (0.3 + 0.5 * min(share * 4, 1)))

    return on_machine(random, memory_used_bytes=used, memory_total_bytes=64 * GIGABYTE, eta_seconds=7200.0)


def wandering_memory(random: Random) -> Evidence:
    levels = iter(0.8 + np.clip(np.cumsum(random.normal(0, 0.0004, 10_000)), -0.08, 0.08))
    figures = {"memory_used_bytes": lambda _: int(64 * GIGABYTE * next(levels)), "memory_total_bytes": 64 * GIGABYTE}
    return on_machine(random, **figures)


def large_disk_with_little_share_free(random: Random) -> Evidence:
    return on_machine(random, disk_free_bytes=400 * GIGABYTE, disk_total_bytes=8000 * GIGABYTE)


def disk_with_rotating_checkpoints(random: Random) -> Evidence:
    def free(share: float) -> int:
        return int(100 * GIGABYTE - 5 * GIGABYTE * (share * 12 % 1))

    return on_machine(random, disk_free_bytes=free, disk_total_bytes=500 * GIGABYTE, eta_seconds=9000.0)


def warm_but_far_from_its_limit(random: Random) -> Evidence:
    return on_machine(random, gpus=lambda _: (card(random, temperature_celsius=85.0, slowdown_celsius=98.0),))


def waits_for_the_processor(random: Random) -> Evidence:
    return on_machine(random, gpus=lambda _: (card(random, 30),), cpu_percent=99.0)


def leaks_memory(random: Random) -> Evidence:
    def used(share: float) -> int:
        return int(64 * GIGABYTE * (0.5 + 0.35 * share))

    return on_machine(random, memory_used_bytes=used, memory_total_bytes=64 * GIGABYTE, eta_seconds=20_000.0)


def leaks_memory_of_the_gpu(random: Random) -> Evidence:
    def gpus(share: float) -> tuple[GpuSample, ...]:
        return (card(random, memory_used_bytes=int(BIG * (0.6 + 0.28 * share))),)

    return on_machine(random, gpus=gpus, eta_seconds=20_000.0)


def fills_the_disk(random: Random) -> Evidence:
    def free(share: float) -> int:
        return int(200 * GIGABYTE * (1 - 0.7 * share))

    return on_machine(random, disk_free_bytes=free, disk_total_bytes=500 * GIGABYTE, eta_seconds=20_000.0)


def swaps(random: Random) -> Evidence:
    figures = {"memory_used_bytes": 54 * GIGABYTE, "memory_total_bytes": 64 * GIGABYTE}
    return on_machine(random, swap_used_bytes=lambda share: int(30 * GIGABYTE * share), **figures)


def hot_by_its_own_limit(random: Random) -> Evidence:
    return on_machine(random, gpus=lambda _: (card(random, temperature_celsius=79.0, slowdown_celsius=80.0),))


# --- checkpoints ---------------------------------------------------------------------------------------------------


def saved(
    numbers: Iterable[int], *, sizes: Sequence[int] | None = None, seconds: float = 10.0, kind: str = "epoch"
) -> Checkpoints:
    """Return checkpoints at these epochs, counted from 1, of a run whose epochs take `seconds`."""
    numbers = list(numbers)
    sizes = sizes or [GIGABYTE] * len(numbers)
    found = [
        Checkpoint(f"epoch{number}.pt", kind, number, None, size, START + seconds * number, size > 0)
        for number, size in zip(numbers, sizes, strict=True)
    ]
    found.reverse()
    return Checkpoints(newest=found[0], saved=tuple(found))


def saving(
    random: Random,
    checkpoints: Checkpoints,
    *,
    count: int = 200,
    seconds: float = 60.0,
    validation: np.ndarray | None = None,
    loss: np.ndarray | None = None,
) -> Evidence:
    """Return a running run of epochs with these checkpoints."""
    losses = points(noisy(count, random) if loss is None else loss, seconds=seconds)
    held_out = None if validation is None else points(validation, seconds=seconds, late=0.5)
    run = evidence_of(losses, validation=held_out, checkpoints=checkpoints, first_epoch_step=0)
    return replace(run, progress=replace(run.progress, step=count - 1, epoch=count))


def saves_regularly(random: Random) -> Evidence:
    return saving(random, saved(range(10, 201, 10), seconds=60.0), validation=noisy(200, random))


def keeps_the_newest(random: Random) -> Evidence:
    return saving(random, saved((180, 190, 200), seconds=60.0), validation=noisy(200, random))


def keeps_the_best(random: Random) -> Evidence:
    validation = decay(200, low=0.4, speed=40) + random.normal(0, 0.003, 200)
    validation[52] = 0.38
    return saving(random, saved((50, 51, 52, 53), seconds=60.0), validation=validation)


def saves_more_and_more(random: Random) -> Evidence:
    sizes = [GIGABYTE * one for one in range(1, 21)]
    return saving(random, saved(range(10, 201, 10), seconds=60.0, sizes=sizes))


def saves_less_from_the_half_on(random: Random) -> Evidence:
    sizes = [GIGABYTE] * 10 + [GIGABYTE // 3] * 10
    return saving(random, saved(range(10, 201, 10), seconds=60.0, sizes=sizes))


def saves_elsewhere(random: Random) -> Evidence:
    return saving(random, Checkpoints())


def stops_saving(random: Random) -> Evidence:
    return saving(random, saved(range(10, 101, 10), seconds=60.0))


def loses_itself_with_nothing_saved(random: Random) -> Evidence:
    return saving(random, Checkpoints(), loss=np.where(np.arange(200) < 150, noisy(200, random), np.nan))


def saves_an_empty_file(random: Random) -> Evidence:
    return saving(random, saved(range(10, 201, 10), seconds=60.0, sizes=[GIGABYTE] * 19 + [0]))


def saves_half_a_file(random: Random) -> Evidence:
    return saving(random, saved(range(10, 201, 10), seconds=60.0, sizes=[GIGABYTE] * 19 + [GIGABYTE // 3]))


HEALTHY_MACHINE: Mapping[str, Callable[[Random], Evidence]] = {
    build.__name__: build
    for build in (
        resumed_where_it_was,
        resumed_with_noise_of_single_batches,
        resumed_with_a_warm_restart,
        resumed_before_it_had_learnt,
        several_complete_runs,
        begun_anew_with_another_logging_interval,
        folds_in_one_file,
        rolls_back_by_itself,
        validation_counts_its_batches,
        writes_each_step_twice,
        skips_steps,
        asleep,
        asleep_again_and_again,
        pauses_for_evaluation,
        evaluates_from_the_half_on,
        every_fourth_epoch_evaluates,
        compiles_first,
        contended_for_a_moment,
        writes_in_bursts,
        too_short_to_tell,
        whole_seconds,
        resumed_on_a_slower_machine,
        agent_lives_longer,
        well_used,
        processor_and_gpu_full,
        trains_on_the_processor,
        fills_its_cache,
        wandering_memory,
        large_disk_with_little_share_free,
        disk_with_rotating_checkpoints,
        warm_but_far_from_its_limit,
        saves_regularly,
        keeps_the_newest,
        keeps_the_best,
        saves_more_and_more,
        saves_less_from_the_half_on,
        saves_elsewhere,
    )
}

MACHINE_FAULTS = (
    Fault("restart", resumed_anew, 300),
    Fault("restart", resumed_half_forgotten, 300),
    Fault("step_integrity", counter_set_back_each_epoch, 0),
    Fault("step_integrity", counters_take_turns, 2),
    Fault("step_integrity", two_processes_write, 0),
    Fault("slowdown", slower, 400, 40),
    Fault("slowdown", much_slower, 400, 40),
    Fault("slowdown", slower_and_slower, 300, 150),
    Fault("slowdown", slower_epochs, 30, 5),
    Fault("slowdown", slower_by_its_own_clock, 30, 5),
    Fault("cpu_saturated", waits_for_the_processor, None),
    Fault("host_memory", leaks_memory, None),
    Fault("host_memory", swaps, None),
    Fault("gpu_memory", leaks_memory_of_the_gpu, None),
    Fault("disk_full", fills_the_disk, None),
    Fault("gpu_hot", hot_by_its_own_limit, None),
    Fault("checkpoint_missing", stops_saving, 99),
    Fault("checkpoint_missing", loses_itself_with_nothing_saved, None),
    Fault("checkpoint_damaged", saves_an_empty_file, None),
    Fault("checkpoint_damaged", saves_half_a_file, None),
)
