"""The rules that look beside the curves: restarts and steps, speed, the machine, checkpoints."""

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.health import Assessor, Evidence, assess
from monitor.schema import SEVERITIES, Checkpoint, Checkpoints, Finding, GpuSample, Health, Points, Progress, RunState
from monitor.settings import HealthSettings, Settings
from tests.health_series import ALARM, START, Fault, decay, evidence_of, gpu, of_kind, only, seeded
from tests.health_series_machine import (
    FAR,
    GIGABYTE,
    HEALTHY_MACHINE,
    MACHINE_FAULTS,
    Random,
    card,
    counter_set_back_each_epoch,
    counters_take_turns,
    fills_the_disk,
    folds_in_one_file,
    keeps_the_best,
    keeps_the_newest,
    leaks_memory,
    loses_itself_with_nothing_saved,
    much_slower,
    on_machine,
    paced,
    resumed_anew,
    resumed_half_forgotten,
    saved,
    saves_an_empty_file,
    saves_elsewhere,
    saves_regularly,
    saving,
    skips_steps,
    slow_from,
    slower,
    stops_saving,
    two_processes_write,
    validation_counts_its_batches,
    waits_for_the_processor,
    well_used,
    writes_each_step_twice,
)

SETTINGS = Settings()
NOW = START + FAR
KINDS = {fault.kind for fault in MACHINE_FAULTS} | {"gpu_underused"}


def judge(evidence: Evidence, settings: Settings = SETTINGS, now: float = NOW) -> Health:
    return assess(evidence, settings, now)


@functools.cache
def judged(build: Callable[[Random], Evidence], seed: int = 0) -> Health:
    """The judgement of a run, made once for all tests that look at it."""
    return judge(seeded(build, seed))


def is_alarm(finding: Finding) -> bool:
    return finding.kind in KINDS and SEVERITIES.index(finding.severity) >= ALARM


def until(evidence: Evidence, time: float) -> Evidence:
    """The evidence as somebody saw it at `time`."""
    series = {tag: one.take(one.wall_time <= time) for tag, one in evidence.series.items()}
    samples = tuple(sample for sample in evidence.samples if sample.wall_time <= time)
    return replace(evidence, series=series, samples=samples)


# --- every rule on its fault, no rule on healthy runs --------------------------------------------------------------


@pytest.mark.parametrize("fault", MACHINE_FAULTS, ids=lambda fault: f"{fault.kind}-{fault.build.__name__}")
def test_each_fault_raises_its_alarm_at_its_step_for_every_seed(fault: Fault) -> None:
    for seed in range(2):
        alarms = [one for one in of_kind(judged(fault.build, seed), fault.kind) if is_alarm(one)]
        assert len(alarms) == 1, f"seed {seed}: {[one.id for one in alarms]}"
        if fault.onset is not None:
            assert alarms[0].onset_step == pytest.approx(fault.onset, abs=fault.tolerance), f"seed {seed}"


@pytest.mark.parametrize("name", HEALTHY_MACHINE)
def test_a_healthy_run_raises_no_alarm_at_any_time(name: str) -> None:
    for seed in range(2):
        found = [one.id for one in judged(HEALTHY_MACHINE[name], seed).findings if is_alarm(one)]
        assert not found, f"seed {seed}"


@pytest.mark.parametrize("fault", MACHINE_FAULTS, ids=lambda fault: f"{fault.kind}-{fault.build.__name__}")
def test_texts_are_whole_sentences_without_placeholders(fault: Fault) -> None:
    for finding in judged(fault.build).findings:
        for text in (finding.evidence, finding.advice):
            assert text.endswith(".")
            assert text[0].isupper() or text[0] == '"'
            assert not {"{", "}", "!", "–"} & set(text)


@pytest.mark.parametrize(
    "build", [resumed_anew, counter_set_back_each_epoch, skips_steps, writes_each_step_twice, slower, much_slower]
)
def test_watching_live_gives_the_same_as_reading_later(build: Callable[[Random], Evidence]) -> None:
    evidence = seeded(build)
    assessor = Assessor()
    for time in np.linspace(START + 150, START + 2200, 5):
        live = assessor.assess(until(evidence, time), SETTINGS, NOW).health
        assert repr(live) == repr(judge(until(evidence, time)))  # NaN equals NaN in text


@pytest.mark.parametrize("build", [waits_for_the_processor, leaks_memory, fills_the_disk])
def test_windows_judged_one_by_one_give_the_same_as_all_at_once(build: Callable[[Random], Evidence]) -> None:
    evidence = seeded(build)
    assessor = Assessor()
    for time in np.arange(START + 900, START + 5000, 170.0):
        live = assessor.assess(until(evidence, time), SETTINGS, NOW).health
    assert repr(live) == repr(judge(until(evidence, time)))


# --- restarts ------------------------------------------------------------------------------------------------------


def lost_state(evidence: Evidence) -> list[Finding]:
    return [one for one in of_kind(judge(evidence), "restart") if one.severity == "error"]


def test_a_restart_from_nothing_is_an_error_five_points_later() -> None:
    (finding,) = lost_state(seeded(resumed_anew))
    assert (finding.tag, finding.onset_step, finding.detected_step) == ("train/loss", 300, 304)


def test_a_loss_that_comes_back_closes_the_restart_that_had_lost_it() -> None:
    (finding,) = lost_state(seeded(resumed_half_forgotten))
    assert not finding.open
    assert finding.recovered_step is not None
    assert 320 < finding.recovered_step < 600


def test_the_restart_itself_stays_a_fact_beside_what_it_lost() -> None:
    severities = {one.id: one.severity for one in of_kind(judged(resumed_anew), "restart")}
    assert severities == {"restart:1:300": "info", "restart:train/loss:300": "error"}


def test_a_maximised_metric_is_compared_the_other_way_round() -> None:
    reward = 300 * (1 - np.exp(-np.arange(400) / 60)) + np.random.default_rng(0).normal(0, 5, 400)
    reward[200:] -= 250
    run = evidence_of(np.ones(400), free_loss=True, score=reward, score_tag="rollout/ep_rew_mean")
    shown = {tag: replace(one, session=(one.step >= 200).astype(np.int16)) for tag, one in run.series.items()}
    sessions = seeded(resumed_anew).sessions
    (finding,) = lost_state(replace(run, series=shown, sessions=sessions))
    assert finding.tag == "rollout/ep_rew_mean"
    assert finding.value is not None
    assert finding.value < 100


def test_a_spike_where_only_an_evaluation_began_anew_is_no_lost_state() -> None:
    run = seeded(validation_counts_its_batches)
    loss = run.series["train/loss"]
    value = np.where((loss.step >= 300) & (loss.step < 306), 5.0, loss.value)
    sessions = tuple(replace(one, wall_time=one.wall_time + 1, first_step=0) for one in run.sessions)
    series = {**run.series, "train/loss": replace(loss, value=value)}
    assert not lost_state(replace(run, series=series, sessions=sessions))


def test_of_very_many_restarts_the_newest_are_told() -> None:
    found = of_kind(judged(counters_take_turns), "restart")
    assert len(found) == 50
    assert "restart:199:398" in {one.id for one in found}


def test_four_points_after_a_restart_are_too_few_to_judge_it() -> None:
    evidence = seeded(resumed_anew)
    loss = evidence.series["train/loss"]
    assert not lost_state(replace(evidence, series={"train/loss": loss.take(loss.step < 304)}))


# --- the order of the steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build, count, opened",
    [(folds_in_one_file, 1, False), (writes_each_step_twice, 1, True), (skips_steps, 1, False)],
)
def test_disorder_that_may_be_meant_is_a_notice(build: Callable[[Random], Evidence], count: int, opened: bool) -> None:
    found = of_kind(judged(build), "step_integrity")
    assert [(one.severity, one.open) for one in found] == [("notice", opened)] * count


def test_evaluations_that_count_their_own_batches_are_no_disorder() -> None:
    assert not of_kind(judged(validation_counts_its_batches), "step_integrity")


def test_the_gap_is_named_with_both_its_ends() -> None:
    evidence = only(judged(skips_steps), "step_integrity").evidence
    assert "between step 199 and step 2,200" in evidence


def test_an_irregular_stride_has_no_gaps() -> None:
    random = np.random.default_rng(0)
    step = np.cumsum(np.rint(np.exp(random.normal(3, 1.5, 2000))).astype(np.int64) + 1)
    run = evidence_of(Points(step, START + step, decay(2000), np.zeros(2000, dtype=np.int16)))
    assert not of_kind(judge(run), "step_integrity")


def test_a_process_that_evaluates_beside_the_training_is_no_second_writer() -> None:
    run = seeded(two_processes_write)
    series = {"train/loss": run.series["train/loss"], "optimizer/lr": run.series["train/lr"]}
    assert run.roles.learning_rate is not None
    roles = replace(run.roles, learning_rate=replace(run.roles.learning_rate, tag="optimizer/lr"))
    assert not of_kind(judge(replace(run, series=series, roles=roles)), "step_integrity")


# --- speed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor, severity", [(1.2, None), (1.4, "notice"), (1.7, "warning"), (3.5, "error")])
def test_the_severity_of_a_slowdown_follows_its_factor(factor: float, severity: str | None) -> None:
    evidence = paced(slow_from(400, factor, 800, 2.0), np.random.default_rng(0))
    assert [one.severity for one in of_kind(judge(evidence), "slowdown")] == ([severity] if severity else [])


def test_a_slowdown_ends_when_the_old_pace_returns() -> None:
    seconds = np.full(1200, 1.0)
    seconds[400:700] = 2.5
    finding = only(judge(paced(seconds, np.random.default_rng(0))), "slowdown")
    assert not finding.open
    assert finding.recovered_step == pytest.approx(760, abs=60)


def test_a_slowdown_says_both_paces() -> None:
    text = only(judged(slower), "slowdown").evidence
    assert text == "A step takes 3.9 s since step 402, 2 times as long as the 2.0 s at the start of the session."


def test_speed_is_not_judged_before_three_minutes() -> None:
    checks = judge(paced(np.full(100, 1.0), np.random.default_rng(0))).checks
    why = {item.kind: item.why for item in checks.not_checked}
    assert why["slowdown"] == "Needs 3 min 00 s of training since the last start."


# --- the machine ---------------------------------------------------------------------------------------------------


def test_a_full_processor_explains_the_gpu_that_waits_for_it() -> None:
    health = judged(waits_for_the_processor)
    cause = only(health, "cpu_saturated")
    assert only(health, "gpu_underused").explained_by == cause.id
    assert [one.findings for one in health.deductions if one.group == "efficiency"] == [(cause.id,)]


def use(levels: Callable[[float], float]) -> Evidence:
    random = np.random.default_rng(0)
    return on_machine(random, gpus=lambda share: (card(random, levels(share)),))


def test_a_gpu_that_is_used_better_closes_the_warning_above_55_percent() -> None:
    found = of_kind(judge(use(lambda share: 35 if share < 0.5 else 62)), "gpu_underused")
    assert [(one.severity, one.open) for one in found] == [("notice", True), ("warning", False)]


def test_a_gpu_between_its_limits_keeps_the_warning() -> None:
    found = of_kind(judge(use(lambda share: 46 if share < 0.5 else 52)), "gpu_underused")
    assert [(one.severity, one.open) for one in found] == [("warning", True)]


def test_findings_that_come_back_milder_have_identities_of_their_own() -> None:
    found = of_kind(judge(use(lambda share: 10 if share < 0.5 else 40)), "gpu_underused")
    assert [(one.severity, one.open) for one in found] == [("warning", True), ("error", False)]
    assert len({one.id for one in found}) == 2


def test_a_gpu_that_stands_still_again_and_again_is_a_notice() -> None:
    random = np.random.default_rng(0)
    used = iter(np.where(np.arange(10_000) % 10 < 2, 0.0, 95.0))
    run = on_machine(random, gpus=lambda _: (GpuSample(0, "GPU", next(used), 10**10, 8 * 10**10, 60.0),))
    finding = only(judge(run), "gpu_underused")
    assert finding.severity == "notice"
    assert finding.evidence == "GPU 0 went between 0 % and 95 % within five minutes."


def test_unequal_gpus_are_a_notice() -> None:
    random = np.random.default_rng(0)
    run = on_machine(random, gpus=lambda _: (card(random, 98), card(random, 60, index=1)))
    parts = {one.id for one in of_kind(judge(run), "gpu_underused")}
    assert parts == {"gpu_underused:GPU 1:", "gpu_underused:GPUs:"}


def test_the_users_temperature_goes_before_that_of_the_gpu() -> None:
    random = np.random.default_rng(0)
    run = on_machine(random, gpus=lambda _: (card(random, temperature_celsius=75.0, slowdown_celsius=90.0),))
    assert not of_kind(judge(run), "gpu_hot")
    assert of_kind(judge(run, Settings(health=HealthSettings(gpu_hot_celsius=70.0))), "gpu_hot")


def test_memory_that_is_full_only_after_the_end_of_the_run_is_no_alarm() -> None:
    run = seeded(leaks_memory)
    assert of_kind(judge(run), "host_memory")
    assert not of_kind(judge(replace(run, progress=Progress(eta_seconds=600.0))), "host_memory")


def test_readings_of_another_disk_say_nothing_about_this_one() -> None:
    random = np.random.default_rng(0)
    run = on_machine(random, disk_free_bytes=300 * GIGABYTE, disk_total_bytes=500 * GIGABYTE)
    other = tuple(replace(one, disk_free_bytes=10**8, disk_total_bytes=10**10) for one in run.samples[:-1])
    assert not of_kind(judge(replace(run, samples=(*other, run.samples[-1]))), "disk_full")


def test_readings_from_while_the_run_stood_still_do_not_count() -> None:
    run = seeded(well_used)
    idle = tuple(
        replace(one, gpus=(replace(one.gpus[0], utilization_percent=0.0),)) if place < 900 else one
        for place, one in enumerate(run.samples)
    )
    stalled = RunState("stalled", "The last event came 30 min ago; usually one comes every 10 s.")
    assessor = Assessor()
    assessor.assess(replace(run, samples=idle[:900], state=stalled), SETTINGS, NOW)
    health = assessor.assess(replace(run, samples=idle), SETTINGS, NOW).health
    assert not of_kind(health, "gpu_underused")


@pytest.mark.parametrize("seconds_back", [10.0, 900.0, 86_400.0])
def test_readings_from_before_the_clock_was_set_back_are_forgotten(seconds_back: float) -> None:
    run = on_machine(np.random.default_rng(0), minutes=40.0)
    half = len(run.samples) // 2
    idle = tuple(replace(one, gpus=(gpu(utilization=10.0),)) for one in run.samples[:half])
    used = tuple(
        replace(one, gpus=(gpu(utilization=90.0),), wall_time=one.wall_time - seconds_back)
        for one in run.samples[half:]
    )
    assert of_kind(judge(replace(run, samples=idle)), "gpu_underused")
    assert not of_kind(judge(replace(run, samples=(*idle, *used))), "gpu_underused")


def test_the_machine_is_judged_again_once_a_clock_that_was_set_back_has_caught_up() -> None:
    run = on_machine(np.random.default_rng(0), minutes=60.0)
    used = tuple(replace(one, gpus=(gpu(utilization=90.0),)) for one in run.samples[:600])
    idle = tuple(
        replace(one, gpus=(gpu(utilization=10.0),), wall_time=one.wall_time - 300) for one in run.samples[600:]
    )
    assessor = Assessor()
    for end in (600, 650, 800, 1800):
        seen = replace(run, samples=(*used, *idle)[:end])
        health = assessor.assess(seen, SETTINGS, NOW).health
    assert only(health, "gpu_underused").open


# --- checkpoints ---------------------------------------------------------------------------------------------------


def missing(evidence: Evidence, now: float = NOW) -> list[tuple[str, str]]:
    return [(one.id, one.severity) for one in of_kind(judge(evidence, now=now), "checkpoint_missing")]


def test_no_checkpoint_beside_a_healthy_run_is_a_notice() -> None:
    assert missing(seeded(saves_elsewhere)) == [("checkpoint_missing::", "notice")]


def test_no_checkpoint_is_an_error_once_the_loss_is_in_trouble() -> None:
    assert missing(seeded(loses_itself_with_nothing_saved)) == [("checkpoint_missing::", "error")]


def test_no_checkpoint_is_only_a_notice_where_nothing_was_learned_that_could_be_lost() -> None:
    random = np.random.default_rng(0)
    run = saving(random, Checkpoints(), loss=2.3 + random.normal(0, 0.01, 900))
    assert only(judge(run), "stuck").severity == "error"
    assert missing(run) == [("checkpoint_missing::", "notice")]


def test_no_checkpoint_is_expected_before_a_tenth_of_the_plan() -> None:
    run = seeded(saves_elsewhere)
    early = replace(run, progress=replace(run.progress, fraction=0.09))
    assert missing(early) == []
    assert missing(replace(early, progress=replace(run.progress, fraction=0.5))) != []


def test_no_checkpoint_of_a_finished_run_is_not_judged() -> None:
    run = replace(seeded(saves_elsewhere), state=RunState("finished", "It has ended."))
    health = judge(run)
    why = {item.kind: item.why for item in health.checks.not_checked}
    assert not of_kind(health, "checkpoint_missing")
    assert why["checkpoint_missing"] == "Does not apply: the run is finished and there are no checkpoints beside it."


def test_checkpoints_that_stop_are_overdue_after_three_intervals() -> None:
    run = seeded(stops_saving)
    before = replace(run, progress=replace(run.progress, epoch=129))
    assert missing(before) == []
    assert missing(replace(run, progress=replace(run.progress, epoch=130))) == [
        ("checkpoint_missing:every epoch:99", "warning")
    ]


def test_checkpoints_that_stop_at_the_best_evaluation_are_a_notice() -> None:
    assert missing(seeded(keeps_the_best)) == [("checkpoint_missing:every epoch:52", "notice")]


def test_a_last_checkpoint_that_is_written_again_and_again_is_not_overdue() -> None:
    run = seeded(stops_saving)
    last = Checkpoint("last.pt", "last", None, None, GIGABYTE, START + 200 * 60, True)
    checkpoints = Checkpoints(newest=last, saved=(last, *run.checkpoints.saved))
    assert missing(replace(run, checkpoints=checkpoints)) == []


def test_a_best_evaluation_without_a_checkpoint_near_is_a_notice() -> None:
    validation = 0.5 + 0.004 * np.abs(np.arange(200) - 100.0)
    run = saving(np.random.default_rng(0), saved((180, 190, 200), seconds=60.0), validation=validation)
    assert missing(run) == [("checkpoint_missing:val/loss:100", "notice")]


def test_a_best_checkpoint_speaks_for_the_best_evaluation() -> None:
    run = seeded(keeps_the_newest)
    best = Checkpoint("best.pt", "best", None, None, GIGABYTE, START + 60 * 100, True)
    assert missing(replace(run, checkpoints=replace(run.checkpoints, saved=(*run.checkpoints.saved, best)))) == []


def damaged(evidence: Evidence, now: float = NOW) -> list[str]:
    return [one.evidence for one in of_kind(judge(evidence, now=now), "checkpoint_damaged")]


def test_an_empty_checkpoint_is_named() -> None:
    assert damaged(seeded(saves_an_empty_file)) == ['The checkpoint "epoch200.pt" holds 0 B, and does not grow.']


def test_a_checkpoint_that_may_still_be_being_written_is_not_judged() -> None:
    run = seeded(saves_an_empty_file)
    assert damaged(run, now=run.checkpoints.saved[0].modified + 599) == []


def test_a_directory_made_for_the_best_model_is_not_damaged() -> None:
    place = Checkpoint("best", "best", None, None, 0, START, False)
    run = saving(np.random.default_rng(0), Checkpoints(newest=place, saved=(place,)))
    assert damaged(run) == []


def test_several_damaged_checkpoints_are_one_finding() -> None:
    sizes = [GIGABYTE] * 10 + [0, GIGABYTE, 0, GIGABYTE, 0] + [GIGABYTE] * 5
    run = saving(np.random.default_rng(0), saved(range(10, 201, 10), seconds=60.0, sizes=sizes))
    (text,) = damaged(run)
    assert text == 'The checkpoint "epoch150.pt" holds 0 B, and does not grow. The same holds for 2 more.'


def test_checkpoints_beside_a_healthy_run_are_found_in_order() -> None:
    run = seeded(saves_regularly)
    assert missing(run) == []
    assert damaged(run) == []
