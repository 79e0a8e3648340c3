from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.analysis.series import Visible
from monitor.health import RULES, Assessor, Evidence, assess, assess_history, score_sum
from monitor.health.episodes import OFF, Reading
from monitor.health.rules.rule import SeriesReplay, present
from monitor.health.scene import Scene
from monitor.health.stats import mann_kendall_z, median, run_lengths, theil_sen_slope
from monitor.health.track import Track, Tracks, both_tick_counts, last_tick, tick_counts
from monitor.schema import SEVERITIES, Checkpoint, Checkpoints, Direction, Health, Points, RunState, Session
from monitor.settings import HealthSettings, Settings
from tests import health_series_learning, health_series_optimiser
from tests.health_series import (
    ALARM,
    FAULTS,
    HEALTHY,
    START,
    Fault,
    blows_up,
    cosine_restarts,
    decay,
    evaluated,
    evidence_of,
    filtered_to_zero,
    flat_and_noisy,
    gpu,
    jumps_and_stays,
    machine_run,
    of_kind,
    only,
    outlier_batches,
    overfits,
    overfits_in_accuracy,
    plain_decay,
    points,
    readings,
    rises_slowly,
    seeded,
    spikes_and_recovers,
    turns_nan,
)
from tests.health_series_machine import MACHINE_FAULTS

SETTINGS = Settings()
NOW = START + 5000
SEEDS = 30


def judge(evidence: Evidence, settings: Settings = SETTINGS) -> Health:
    return assess(evidence, settings, NOW)


def alarms(health: Health) -> list[str]:
    return [finding.id for finding in health.findings if SEVERITIES.index(finding.severity) >= ALARM]


def until(evidence: Evidence, time: float) -> Evidence:
    """The evidence as somebody saw it at `time`."""
    series = {tag: one.take(one.wall_time <= time) for tag, one in evidence.series.items()}
    return replace(evidence, series=series)


# --- every rule on its fault, no rule on healthy runs --------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.build.__name__}")
def test_each_fault_is_found_at_its_step_for_every_seed(fault: Fault) -> None:
    for seed in range(5):
        found = of_kind(judge(seeded(fault.build, seed)), fault.kind)
        assert found, f"seed {seed}"
        if fault.onset is not None:
            nearest = min(abs((finding.onset_step or 0) - fault.onset) for finding in found)
            assert nearest <= fault.tolerance, f"seed {seed}: {[finding.onset_step for finding in found]}"


def test_every_rule_has_a_fault_in_these_tests() -> None:
    faults = (*FAULTS, *health_series_learning.FAULTS, *health_series_optimiser.FAULTS, *MACHINE_FAULTS)
    assert {rule.kind for rule in RULES} == {fault.kind for fault in faults}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_raises_no_alarm_at_any_time(name: str) -> None:
    for seed in range(SEEDS):
        found = alarms(judge(seeded(HEALTHY[name], seed)))  # closed findings included: what was raised live
        assert not found, f"seed {seed}: {found}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.build.__name__}")
def test_texts_are_whole_sentences_without_placeholders(fault: Fault) -> None:
    for finding in judge(seeded(fault.build)).findings:
        for text in (finding.evidence, finding.advice):
            assert text.endswith(".")
            assert text[0].isupper() or text[0] == '"'
            assert not {"{", "}", "!"} & set(text)
            assert "nan" not in text.split()
            assert "–" not in text


def test_every_rule_runs_or_says_why_not() -> None:
    for build in (plain_decay, overfits, cosine_restarts):
        checks = judge(seeded(build)).checks
        assert checks.of == len(RULES)
        assert checks.ran + len(checks.not_checked) == checks.of
        assert all(item.why.endswith(".") for item in checks.not_checked)


@pytest.mark.parametrize("factor, offset", [(1000.0, 0.0), (1.0, -5.0)], ids=["thousandfold", "shifted below zero"])
@pytest.mark.parametrize("build, kind", [(rises_slowly, "rising"), (overfits, "overfitting")])
def test_findings_do_not_depend_on_the_unit_of_the_loss(
    build: Callable[[np.random.Generator], Evidence], kind: str, factor: float, offset: float
) -> None:
    evidence = seeded(build)
    moved = {
        tag: Points(one.step, one.wall_time, one.value * factor + offset, one.session)
        for tag, one in evidence.series.items()
    }
    assert of_kind(judge(replace(evidence, series=moved)), kind)


# --- causal and deterministic --------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [turns_nan, rises_slowly, spikes_and_recovers, jumps_and_stays, overfits, blows_up])
def test_watching_live_gives_the_same_as_reading_later(build: Callable[[np.random.Generator], Evidence]) -> None:
    evidence = seeded(build)
    assessor = Assessor()
    for time in np.linspace(START, START + 1000, 13):
        live = assessor.assess(until(evidence, time), SETTINGS, NOW)
        assert repr(live) == repr(Assessor().assess(until(evidence, time), SETTINGS, NOW))  # NaN equals NaN in text


@pytest.mark.parametrize("build", [turns_nan, rises_slowly, jumps_and_stays, overfits])
def test_the_past_of_the_score_does_not_depend_on_what_came_later(
    build: Callable[[np.random.Generator], Evidence],
) -> None:
    evidence = seeded(build)
    whole = assess_history(evidence, SETTINGS)
    for time in np.linspace(START + 20, START + 900, 7):
        seen = assess_history(until(evidence, time), SETTINGS)
        assert seen == tuple(point for point in whole if point.wall_time <= time)


def test_points_replaced_by_a_restart_start_the_judgement_anew() -> None:
    evidence = seeded(rises_slowly)
    assessor = Assessor()
    assert alarms(assessor.assess(evidence, SETTINGS, NOW).health)
    healthy = until(evidence, START + 300)
    assert not alarms(assessor.assess(healthy, SETTINGS, NOW).health)


def test_a_point_that_arrives_late_in_another_series_is_taken_into_account() -> None:
    evidence = seeded(overfits)
    without = replace(evidence, series={**evidence.series, "val/loss": evidence.series["val/loss"].take(slice(0, 30))})
    assessor = Assessor()
    assessor.assess(without, SETTINGS, NOW)
    assert assessor.assess(evidence, SETTINGS, NOW) == Assessor().assess(evidence, SETTINGS, NOW)


def messy(random: np.random.Generator, count: int = 900) -> Evidence:
    """Series with several faults each, logged twice here and there, of which some times run backwards."""

    def series(low: float) -> Points:
        values = decay(count, low=low) * np.exp(random.normal(0, random.uniform(0.01, 0.3), count))
        for _ in range(int(random.integers(1, 7))):
            first, length = int(random.integers(0, count)), int(random.integers(1, 70))
            part = slice(first, first + length)
            spoiled = (np.nan, np.inf, values[first], values[part] * random.uniform(2, 20), values[part] - 3)
            values[part] = spoiled[int(random.integers(len(spoiled)))]
        whole = points(values, late=random.uniform(0, 0.9))
        whole.wall_time[random.integers(0, count, 3)] -= random.choice([0, 3])
        return whole.take(np.sort(np.concatenate((np.arange(count), random.integers(0, count, 40)))))

    return evidence_of(
        series(0.3),
        validation=series(0.4),
        learning_rate=np.abs(np.nan_to_num(series(0.1).value[:count], posinf=0.0)),
        gradient_norm=np.abs(series(1.0).value[:count]),
        score=series(0.2),
        free_loss=bool(random.random() < 0.2),
    )


def grow_to(evidence: Evidence, share: float, *, copied: bool = False) -> Evidence:
    """The evidence when each series had this share of its points, as views of the same columns or as copies."""
    ends = {tag: round(share * len(one)) for tag, one in evidence.series.items()}
    series = {
        tag: one.take(np.arange(ends[tag]) if copied else slice(ends[tag])) for tag, one in evidence.series.items()
    }
    return replace(evidence, series=series)


@pytest.mark.parametrize("copied", [False, True], ids=["growing in place", "copied every time"])
@pytest.mark.parametrize("seed", range(6))
def test_a_run_judged_while_it_grows_is_judged_as_at_once(seed: int, copied: bool) -> None:
    evidence, assessor = seeded(messy, seed), Assessor()
    for share in (0.0, 0.01, 0.1, 0.11, 0.3, 0.6, 0.601, 0.602, 0.8, 1.0):
        seen = grow_to(evidence, share, copied=copied)
        assert repr(assessor.assess(seen, SETTINGS, NOW)) == repr(Assessor().assess(seen, SETTINGS, NOW))


def test_a_run_whose_restarts_replace_points_is_judged_as_at_once() -> None:
    evidence, assessor = seeded(messy, 1), Assessor()
    logged = evidence.series["train/loss"]
    again = logged.take(slice(300, None))
    step, wall = (np.concatenate(pair) for pair in ((logged.step, again.step), (logged.wall_time, NOW + again.step)))
    sessions = np.repeat(np.array([0, 1], np.int16), (len(logged), len(again)))
    whole = Points(step, wall, np.concatenate((logged.value, 1.1 * again.value)), sessions)
    growing = Visible()
    for end in range(700, len(whole) + 1, 160):
        growing.follow(whole.take(slice(end)))
        seen = replace(evidence, series={**evidence.series, "train/loss": growing.points})
        assert repr(assessor.assess(seen, SETTINGS, NOW)) == repr(Assessor().assess(seen, SETTINGS, NOW))


def test_other_roles_start_the_judgement_anew() -> None:
    evidence, assessor = seeded(overfits), Assessor()
    assessor.assess(evidence, SETTINGS, NOW)
    other = replace(evidence, roles=replace(evidence.roles, loss=evidence.roles.validation[0], validation=()))
    assert repr(assessor.assess(other, SETTINGS, NOW)) == repr(Assessor().assess(other, SETTINGS, NOW))


def test_more_spells_that_are_no_numbers_than_are_told_apart_are_judged_as_at_once() -> None:
    loss = decay(800)
    loss[20::25] = np.nan
    loss[500:503] = np.inf
    evidence, assessor = evidence_of(loss, gradient_norm=loss), Assessor()
    for share in np.linspace(0.02, 1.0, 15):
        seen = grow_to(evidence, float(share))
        live = of_kind(assessor.assess(seen, SETTINGS, NOW).health, "non_finite")
        assert repr(live) == repr(of_kind(judge(seen), "non_finite"))
    assert len([finding for finding in live if finding.tag == "train/loss"]) == 20


def test_a_second_shift_is_told_whether_or_not_somebody_looked_when_the_first_one_ended() -> None:
    loss = 1.0 + np.random.default_rng(0).normal(0, 0.03, 900)
    loss[300:400] += 1.5
    loss[600:] += 15
    evidence, assessor = evidence_of(loss), Assessor()
    assessor.assess(until(evidence, START + 450), SETTINGS, NOW)
    live = of_kind(assessor.assess(evidence, SETTINGS, NOW).health, "level_shift")
    assert [finding.onset_step for finding in live] == [600, 300]
    assert live == of_kind(judge(evidence), "level_shift")


def test_a_change_that_lies_ahead_of_the_clock_series_leaves_no_gap_in_the_history() -> None:
    ahead = (Session(0, "a", START, 0), Session(1, "b", START + 300, 300))
    evidence, assessor = evidence_of(decay(500), sessions=ahead), Assessor()
    for time in (200, 250, 400):
        live = assessor.assess(until(evidence, START + time), SETTINGS, NOW).history
        assert live == assess_history(until(evidence, START + time), SETTINGS)


# --- tracks that grow ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["min", "max", None])
@pytest.mark.parametrize("seed", range(4))
def test_a_track_that_grew_is_the_track_made_at_once(seed: int, direction: Direction | None) -> None:
    evidence = seeded(messy, seed)
    whole = evidence.series["val/loss"]
    grown = Track("loss", Points.empty(), direction)
    for end in (0, 1, 2, 3, 30, 31, 400, len(whole)):
        grown.extend(whole.take(slice(end)))
        once = Track("loss", whole.take(slice(end)), direction)
        for name in ("arrival", "finite", "non_finite", "value", "step", "session", "time", "repeats"):
            assert getattr(grown, name).tolist() == getattr(once, name).tolist(), name
        assert grown.medians_of_three.tolist() == once.medians_of_three.tolist()
        assert grown.points.begins_with(once.points)
        if len(once) >= 4:
            assert repr(grown.course(len(once))) == repr(once.course(len(once)))


def test_a_long_track_that_grew_has_the_course_of_one_made_at_once() -> None:
    loss = points(10 ** np.linspace(3, -3, 30_000) * np.exp(np.random.default_rng(0).normal(0, 0.1, 30_000)))
    grown = Track("loss", loss.take(slice(10)))
    for end in (9_000, 20_000, 30_000):
        grown.course(len(grown))
        grown.extend(loss.take(slice(end)))
    once = Track("loss", loss)
    assert once.course(30_000).log
    assert repr(grown.course(30_000)) == repr(once.course(30_000))
    assert grown.is_positive(30_000)


def test_a_track_of_plain_numbers_shares_the_columns_of_its_series() -> None:
    loss = points(decay(1000))
    track = Track("loss", loss.take(slice(500)))
    track.extend(loss)
    pairs = ((track.value, loss.value), (track.step, loss.step), (track.time, loss.wall_time))
    assert all(np.shares_memory(one, other) for one, other in pairs)


def test_a_series_that_grew_keeps_its_track_and_one_that_was_replaced_gets_another() -> None:
    tracks, loss = Tracks(), points(decay(100))
    first = tracks.track("loss", "a", loss.take(slice(50)), "min")
    assert tracks.track("loss", "a", loss, "min") is first
    assert tracks.track("loss", "a", points(decay(100, low=0.5)), "min") is not first
    assert tracks.track("validation", "a", loss, "min") is not first


def test_a_rule_reads_each_tick_once_however_often_somebody_looks() -> None:
    read: list[int] = []

    def note(scene: Scene, track: Track, count: int) -> Reading:
        read.append(count)
        return OFF

    replay, tracks = SeriesReplay("rising", lambda scene: present(scene.loss), 12, note), Tracks()
    evidence = evidence_of(decay(5000))
    for share in np.linspace(0, 1, 50):
        replay.advance(Scene(grow_to(evidence, float(share)), SETTINGS, NOW, tracks))
    assert read == tick_counts(5000, 11)


def test_last_tick_is_the_last_of_the_ticks() -> None:
    assert all(last_tick(count) == tick_counts(count)[-1] for count in (1, 99, 100, 101, 102, 5_000, 1_000_000))


def test_ticks_are_dense_at_first_and_then_grow_by_two_percent() -> None:
    ticks = tick_counts(1_000_000)
    assert ticks[:100] == list(range(1, 101))
    assert 500 < len(ticks) < 600
    assert tick_counts(1_000_000, after=5000) == [count for count in ticks if count > 5000]


def test_a_long_series_keeps_its_course_when_it_is_condensed() -> None:
    count = 40_000
    loss = decay(count) + np.random.default_rng(0).normal(0, 0.1, count)
    course = Track("loss", points(loss)).course(count)
    assert len(course.blocks) == 40
    assert course.best == pytest.approx(0.315, abs=0.01)
    assert course.noise == pytest.approx(1.25 * 0.1 / np.sqrt(1000), rel=1.0)


# --- the second scale of long runs ---------------------------------------------------------------------------------


def long_loss(seed: int, rise_from: int | None = None, count: int = 400_000) -> np.ndarray:
    """A loss of many points that falls, and from some point on climbs within 15,000 points to four times its level."""
    loss = decay(count) * np.exp(np.random.default_rng(seed).normal(0, 0.05, count))
    climb = np.zeros(count) if rise_from is None else np.clip((np.arange(count) - rise_from) / 15_000, 0, 1)
    return loss * (1 + 3 * climb)


def test_a_rise_late_in_a_long_run_is_one_finding_made_before_it_is_over() -> None:
    finding = only(judge(evidence_of(long_loss(0, rise_from=350_000)[:365_000])), "rising")
    assert finding.open
    assert finding.onset_step == pytest.approx(350_000, abs=2500)
    assert finding.detected_step is not None and finding.detected_step < 362_000
    assert "above the best level of its newest 20,000 points, 0.3" in finding.evidence


@pytest.mark.parametrize("name", ["healthy", "wave"])
def test_a_long_healthy_run_raises_no_alarm_late(name: str) -> None:
    wave = 1 + 0.2 * np.sin(np.arange(400_000) / 6000) * (name == "wave")
    found = [one for one in judge(evidence_of(long_loss(1) * wave)).findings if one.kind in ("rising", "divergence")]
    assert all((one.onset_step or 0) < 100_000 for one in found)


def test_a_long_run_judged_while_it_grows_is_judged_as_at_once() -> None:
    evidence, assessor = evidence_of(long_loss(2, rise_from=102_000, count=125_000)), Assessor()
    for share in (0.79, 0.801, 0.95, 1.0):
        seen = grow_to(evidence, share)
        assert repr(assessor.assess(seen, SETTINGS, NOW)) == repr(Assessor().assess(seen, SETTINGS, NOW))


def test_ticks_on_both_scales_are_never_far_apart() -> None:
    ticks = both_tick_counts(1_000_000)
    assert ticks[: len(tick_counts(100_000))] == tick_counts(100_000)
    assert max(np.diff(ticks)) <= 2_000
    assert both_tick_counts(1_000_000, after=150_500) == [count for count in ticks if count > 150_500]


def test_the_recent_course_of_a_long_track_is_that_of_its_newest_points_measured_from_the_start() -> None:
    track = Track("loss", points(long_loss(3, count=120_000)))
    recent = track.recent_course(120_000)
    assert recent is not None
    assert (recent.length, recent.block_points, recent.start) == (20_000, 496, track.course(120_000).start)
    assert recent.best == pytest.approx(np.median(track.value[-recent.block_points :]), rel=0.02)
    assert track.recent_course(99_999) is None


# --- single rules --------------------------------------------------------------------------------------------------


def test_one_nan_that_recovers_is_a_closed_warning() -> None:
    loss = decay(200)
    loss[100] = np.nan
    finding = only(judge(evidence_of(loss)), "non_finite")
    assert (finding.severity, finding.open, finding.recovered_step) == ("warning", False, 110)


def test_a_nan_is_critical_at_its_own_point() -> None:
    loss = decay(101)
    loss[100] = np.nan
    finding = only(judge(evidence_of(loss)), "non_finite")
    assert (finding.severity, finding.open, finding.detected_step) == ("critical", True, 100)


def test_a_validation_series_that_never_held_a_number_is_only_a_notice() -> None:
    health = judge(evidence_of(decay(50), validation=np.full(50, np.nan)))
    assert only(health, "non_finite").severity == "notice"


def test_the_advice_on_nan_names_the_newest_checkpoint_from_before_it() -> None:
    saved = tuple(Checkpoint(f"epoch{epoch}", "epoch", epoch, None, 10, START, True) for epoch in (300, 200, 100))
    loss = decay(400)
    loss[250:] = np.nan
    evidence = evidence_of(loss, checkpoints=Checkpoints(newest=saved[0], saved=saved), first_epoch_step=0)
    assert '"epoch200"' in only(judge(evidence), "non_finite").advice


def test_a_nan_explains_the_divergence_before_it() -> None:
    loss = decay(300) + np.random.default_rng(0).normal(0, 0.02, 300)
    loss[200:] *= np.exp(0.08 * np.arange(100))
    loss[285:] = np.inf
    health = judge(evidence_of(loss))
    assert only(health, "divergence").explained_by == only(health, "non_finite").id
    assert health.score == 30


def test_a_loss_that_reaches_zero_by_learning_is_no_alarm() -> None:
    loss = 10.0 ** -np.linspace(0, 6, 200)
    loss[150:] = 0.0
    health = judge(evidence_of(loss))
    assert only(health, "dead_value").severity == "notice"


def test_a_spike_at_a_warm_restart_is_explained_by_the_schedule() -> None:
    loss = decay(600) * np.exp(np.random.default_rng(1).normal(0, 0.03, 600))
    loss[400:440] *= 3
    rate = np.full(600, 1e-4)
    assert of_kind(judge(evidence_of(loss, learning_rate=rate)), "level_shift")
    rate[:50] = rate[400:] = 1e-3
    assert not alarms(judge(evidence_of(loss, learning_rate=rate)))


def test_a_loss_that_stays_at_chance_level_is_stuck_and_nothing_else() -> None:
    for seed in range(SEEDS):
        found = alarms(judge(seeded(flat_and_noisy, seed)))
        assert [name.partition(":")[0] for name in found] == ["stuck"], f"seed {seed}: {found}"


def test_a_shift_whose_old_level_returns_recovers() -> None:
    loss = 1.0 + np.random.default_rng(0).normal(0, 0.03, 600)
    loss[300:400] += 1.5
    finding = only(judge(evidence_of(loss)), "level_shift")
    assert (finding.open, finding.onset_step) == (False, 300)
    assert finding.recovered_step == pytest.approx(401, abs=2)


def test_a_spike_is_known_within_three_points() -> None:
    finding = only(judge(seeded(spikes_and_recovers)), "spike")
    assert (finding.detected_step or 0) - (finding.onset_step or 0) <= 3


def spiked(height: np.ndarray, *, at: int = 86, count: int = 366, seed: int = 2) -> np.ndarray:
    """A falling loss with noise that is, from one point on, higher by these multiples of its level."""
    loss = decay(count, low=0.5) * np.exp(np.random.default_rng(seed).normal(0, 0.05, count))
    loss[at : at + len(height)] *= 1 + height
    return loss


@pytest.mark.parametrize("points_up", [4, 7, 10, 18])
def test_a_spike_that_comes_back_in_time_is_no_divergence_however_high(points_up: int) -> None:
    health = judge(evidence_of(spiked(np.full(points_up, 4.0))))
    assert [name.partition(":")[0] for name in alarms(health)] == ["spike"]
    assert only(health, "spike").recovered_step is not None


def test_a_spike_that_falls_slowly_from_its_peak_is_no_divergence() -> None:
    health = judge(evidence_of(spiked(12 * np.exp(-np.arange(14) / 3))))
    assert [name.partition(":")[0] for name in alarms(health)] == ["spike"]


def test_a_loss_that_climbs_on_is_a_divergence_before_a_spike_would_have_had_to_recover() -> None:
    climbing = np.minimum(np.arange(1, 281) / 4, 2.0) * 3
    finding = only(judge(evidence_of(spiked(climbing))), "divergence")
    assert (finding.severity, finding.open) == ("critical", True)
    assert (finding.detected_step or 0) - 86 <= 0.05 * 366


def test_a_jump_that_has_not_come_back_in_time_is_a_divergence() -> None:
    health = judge(evidence_of(spiked(np.full(280, 6.0))))
    shift, divergence = only(health, "level_shift"), only(health, "divergence")
    assert shift.detected_step == 86 + 20
    assert 0 <= (divergence.detected_step or 0) - 106 <= 4
    assert shift.explained_by == divergence.id


def test_a_loss_that_comes_down_from_a_peak_to_a_higher_level_has_not_recovered() -> None:
    loss = spiked(np.concatenate(([30.0, 12.0], np.full(78, 1.5))), at=300, count=380)
    assert only(judge(evidence_of(loss)), "level_shift").open


def test_a_loss_that_stays_up_after_a_spike_while_the_noise_was_large_is_called_rising() -> None:
    loss = np.concatenate((decay(60, high=0.17, low=0.03), [0.9, 0.36, 0.2, 0.15], np.full(56, 0.11)))
    loss *= np.exp(np.random.default_rng(0).normal(0, 0.05, len(loss)))
    finding = only(judge(evidence_of(loss)), "rising")
    assert (finding.open, finding.onset_step) == (True, pytest.approx(60, abs=8))


def test_a_second_spike_is_found_however_soon_it_comes_after_the_first() -> None:
    loss = np.full(400, 3.0) * np.exp(np.random.default_rng(0).normal(0, 0.03, 400))
    for first in (70, 110, 136):
        loss[first : first + 5] *= 2.5
    assert sorted(one.onset_step or 0 for one in of_kind(judge(evidence_of(loss)), "spike")) == [70, 110, 136]


@pytest.mark.parametrize("gradient, severity", [(8.0, "warning"), (1.0, "notice")], ids=["seen", "not seen"])
def test_one_point_far_above_all_is_a_warning_where_the_gradient_saw_it_too(gradient: float, severity: str) -> None:
    norm = np.exp(np.random.default_rng(1).normal(0, 0.1, 366))
    norm[200] *= gradient
    finding = only(judge(evidence_of(spiked(np.array([8.0]), at=200), gradient_norm=norm)), "spike")
    assert (finding.severity, finding.onset_step, finding.open) == (severity, 200, False)


def test_a_steady_rise_of_a_short_run_is_found_before_it_has_lost_a_quarter_of_the_progress() -> None:
    loss = 2.4 - 0.9 * np.minimum(np.arange(120) / 50, 1.0) + 0.22 * np.clip((np.arange(120) - 50) / 70, 0, 1)
    found = alarms(judge(evidence_of(loss + np.random.default_rng(0).normal(0, 0.03, 120))))
    assert [name.partition(":")[0] for name in found] == ["rising"]


def test_few_points_of_a_loss_that_wanders_are_no_rise() -> None:
    for seed in range(40):
        health = judge(until(seeded(health_series_learning.wandering, seed), START + 60))
        assert not of_kind(health, "rising") and not of_kind(health, "divergence"), f"seed {seed}"


def test_outlier_batches_cost_nothing_at_the_end() -> None:
    health = judge(seeded(outlier_batches, 3))
    assert of_kind(health, "spike")
    assert health.score == 100


def test_a_rising_validation_loss_with_a_rising_metric_is_no_alarm() -> None:
    evidence = seeded(overfits)
    improving = 0.9 - 0.5 * decay(60, high=1.0, low=0.0, speed=2)
    series = {**evidence.series, "val/accuracy": points(improving, late=0.02)}
    roles = replace(evidence.roles, scores=seeded(overfits_in_accuracy).roles.scores)
    health = judge(replace(evidence, series=series, roles=roles))
    assert only(health, "overfitting").severity == "info"


def test_a_validation_that_is_flat_and_noisy_once_learned_is_no_overfitting_error() -> None:
    for seed in range(40):
        health = judge(seeded(health_series_optimiser.learned_before_the_second_evaluation, seed))
        assert "error" not in {one.severity for one in of_kind(health, "overfitting")}, f"seed {seed}"


def test_validation_that_rises_with_the_training_loss_is_not_overfitting() -> None:
    loss = decay(60) + np.concatenate((np.zeros(30), 0.05 * np.arange(30)))
    health = judge(evidence_of(loss, validation=loss + 0.1, first_epoch_step=0))
    assert not of_kind(health, "overfitting")


def test_a_learning_rate_of_zero_from_the_start_is_critical() -> None:
    finding = only(judge(evidence_of(decay(50), learning_rate=np.zeros(50))), "lr_low")
    assert (finding.severity, finding.onset_step) == ("critical", 0)


def test_a_warm_up_from_nothing_is_not_too_low() -> None:
    assert not alarms(judge(evidence_of(decay(50), learning_rate=np.linspace(0, 9e-8, 50))))


def test_a_cosine_to_zero_is_not_too_low() -> None:
    rate = 5e-4 * (1 + np.cos(np.pi * np.arange(1000) / 999))
    assert not alarms(judge(evidence_of(decay(1000), learning_rate=rate)))


def test_the_users_bands_decide_what_a_high_learning_rate_is() -> None:
    evidence = evidence_of(decay(100), learning_rate=np.full(100, 0.05))
    assert of_kind(judge(evidence), "lr_high")
    assert not of_kind(judge(evidence, Settings(health=HealthSettings(lr_high=0.1))), "lr_high")


def test_an_idle_gpu_beside_the_training_is_not_judged() -> None:
    checks = judge(machine_run(readings(gpus=(gpu(utilization=0, used=0),)))).checks
    assert {item.kind: item.why for item in checks.not_checked}["gpu_underused"] == "Does not apply: no GPU is in use."


def test_resources_of_a_finished_run_are_not_judged() -> None:
    evidence = replace(machine_run(readings(gpus=(gpu(utilization=10),))), state=RunState("finished", "It has ended."))
    assert not judge(evidence).findings


def test_readings_of_less_than_five_minutes_are_not_judged() -> None:
    health = judge(machine_run(readings(count=20, gpus=(gpu(utilization=10),))))
    assert not health.findings
    why = {item.kind: item.why for item in health.checks.not_checked}["gpu_underused"]
    assert why == "Needs 5 min 00 s of readings; there are 38 s."


# --- score ---------------------------------------------------------------------------------------------------------


def test_fewer_than_five_points_have_no_score() -> None:
    health = judge(evidence_of(decay(4)))
    assert (health.score, health.band, health.verdict) == (None, None, "too_few_points")
    assert score_sum(health) == ""


def test_a_run_without_series_has_no_score() -> None:
    health = judge(evidence_of())
    assert (health.score, health.verdict, health.findings) == (None, "no_loss", ())


@pytest.mark.parametrize("count, provisional", [(19, True), (20, False)])
def test_the_score_is_provisional_below_twenty_points(count: int, provisional: bool) -> None:
    assert judge(evidence_of(decay(count))).provisional is provisional


def test_the_sum_names_the_findings_and_their_epochs() -> None:
    evidence = seeded(overfits)
    health = judge(evidence)
    epoch = (only(health, "overfitting").onset_step or 0) + 1
    assert score_sum(health, first_epoch_step=0) == f"100 − 38 (overfitting since epoch {epoch}) = 62"


def test_findings_in_different_groups_weigh_less_and_less() -> None:
    evidence = seeded(rises_slowly)
    health = judge(evidence_of(evidence.series["train/loss"], learning_rate=np.full(1000, 1e-9)))
    assert [deduction.points for deduction in health.deductions] == [38, 9]
    assert health.score == 53


def test_a_high_learning_rate_deducts_nothing_while_the_loss_it_spoils_does() -> None:
    evidence = seeded(rises_slowly)
    health = judge(evidence_of(evidence.series["train/loss"], learning_rate=np.full(1000, 0.05)))
    assert {finding.kind for finding in health.findings} == {"rising", "lr_high"}
    assert [deduction.group for deduction in health.deductions] == ["stability"]
    assert "5.00e-03" in only(health, "rising").advice


def restarted(later: np.ndarray) -> Evidence:
    """A loss of 300 points, then a restart that went on like this."""
    loss = points(np.concatenate((decay(300) * np.exp(np.random.default_rng(0).normal(0, 0.05, 300)), later)))
    session = (loss.step >= 300).astype(np.int16)
    sessions = (Session(0, "events.0", START, 0), Session(1, "events.1", START + 300, 300))
    return evidence_of(replace(loss, session=session), sessions=sessions)


def test_a_restart_that_lost_the_state_is_deducted_once() -> None:
    health = judge(restarted(2.4 * np.exp(np.random.default_rng(1).normal(0, 0.02, 200))))
    (lost,) = [one for one in of_kind(health, "restart") if one.severity == "error"]
    later = [one for one in health.findings if one.open and SEVERITIES.index(one.severity) >= ALARM and one != lost]
    assert later and all(one.explained_by is not None for one in later)
    assert health.score == 62


def test_a_restart_that_is_only_told_explains_nothing() -> None:
    reward = np.concatenate((np.linspace(0, 100, 300), np.linspace(100, -80, 100), np.linspace(-80, 100, 200)))
    logged = points(reward + np.random.default_rng(0).normal(0, 1, 600))
    sessions = (Session(0, "events.0", START, 0), Session(1, "events.1", START + 350, 350))
    later = (logged.step >= 350).astype(np.int16)
    health = judge(
        evidence_of(score=replace(logged, session=later), score_tag="rollout/ep_rew_mean", sessions=sessions)
    )
    assert only(health, "divergence").explained_by is None


def test_efficiency_alone_leaves_a_run_normal() -> None:
    health = judge(machine_run(readings(gpus=(gpu(utilization=10),))))
    assert (health.score, health.band) == (75, "normal")


def test_the_score_recovers_after_a_spike() -> None:
    history = assess_history(seeded(spikes_and_recovers), SETTINGS)
    assert min(point.score for point in history) == 85
    assert history[-1].score == 100


def test_the_history_leaves_out_what_only_the_machine_knows() -> None:
    evidence = machine_run(readings(gpus=(gpu(utilization=10),)))
    assert {point.score for point in assess_history(evidence, SETTINGS)} == {100}


def test_bands_are_the_users() -> None:
    evidence = seeded(rises_slowly)
    strict = Settings(health=HealthSettings(band_normal=90, band_excellent=95))
    assert (judge(evidence).band, judge(evidence, strict).band) == ("normal", "problems")


# --- the loss in a word --------------------------------------------------------------------------------------------


def test_verdict_words() -> None:
    random = np.random.default_rng(0)
    count = 600
    waves = 1 + 0.5 * np.sin(np.arange(count) / 3) + random.normal(0, 0.02, count)
    arrived = np.maximum(decay(count, speed=40), 0.31) + random.normal(0, 0.002, count)
    words = {
        "falling": decay(count, speed=2) + random.normal(0, 0.02, count),
        "rising": decay(count, speed=20) + 0.002 * np.arange(count) + random.normal(0, 0.02, count),
        "oscillating": waves,
        "converged": arrived,
        "stuck": 2.3 + random.normal(0, 0.01, count),
        "too_few_points": decay(7),
    }
    assert {word: judge(evidence_of(loss)).verdict for word, loss in words.items()} == {word: word for word in words}


def test_a_loss_that_is_no_number_any_more_is_not_called_falling() -> None:
    assert judge(seeded(turns_nan)).verdict == "rising"


def test_a_loss_without_direction_is_never_called_rising() -> None:
    rising = np.linspace(1, 50, 300)
    assert judge(evidence_of(rising, free_loss=True, score=rising, score_tag="rollout/ep_rew_mean")).verdict == "flat"


# --- statistics ----------------------------------------------------------------------------------------------------


def test_mann_kendall_agrees_with_its_closed_form() -> None:
    values = np.arange(10.0)
    assert mann_kendall_z(values) == pytest.approx(44 / np.sqrt(10 * 9 * 25 / 18))
    assert mann_kendall_z(-values) == -mann_kendall_z(values)
    assert mann_kendall_z(np.ones(10)) == 0


def test_theil_sen_ignores_an_outlier() -> None:
    values = 3.0 * np.arange(20)
    values[7] = 1e6
    assert theil_sen_slope(values) == pytest.approx(3.0)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_median_equals_numpys(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    assert median(values) == np.median(values)


def test_run_lengths_count_identical_values() -> None:
    assert run_lengths(np.array([7.0, 7, 8, 8, 8])).tolist() == [1, 2, 1, 2, 3]


def test_evaluations_may_be_rarer_than_training_points() -> None:
    random = np.random.default_rng(0)
    validation = decay(40, low=0.6, speed=8) + random.normal(0, 0.02, 40)
    validation[20:] += 0.03 * np.arange(20)
    evidence = evidence_of(decay(2000, low=0.05), validation=evaluated(validation, 2000))
    assert only(judge(evidence), "overfitting").onset_step == pytest.approx(1049, abs=250)


def test_an_exact_zero_is_found_soon() -> None:
    finding = only(judge(seeded(filtered_to_zero)), "dead_value")
    assert (finding.detected_step or 0) - 250 <= 8


def test_findings_at_a_step_logged_several_times_have_identities_of_their_own() -> None:
    loss = points(1 + np.random.default_rng(0).normal(0, 0.02, 400))
    loss.value[[200, 204]] = 6.0
    same = Points(loss.step // 50, loss.wall_time, loss.value, loss.session)
    found = of_kind(judge(evidence_of(same)), "spike")
    assert sorted(finding.id for finding in found) == ["spike:train/loss:4", "spike:train/loss:4#2"]
