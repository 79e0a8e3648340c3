"""A loss that learns nothing, one that stays where it is, one that swings; and what only looks like it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.health import Assessor, Evidence, assess
from monitor.health.rules.oscillation import period_of
from monitor.schema import SEVERITIES, Health
from monitor.settings import Settings
from tests.health_series import START, Fault, decay, evaluated, evidence_of, of_kind, only, points, seeded
from tests.health_series_learning import (
    FAULTS,
    HEALTHY,
    alternates,
    flat_epochs,
    frozen_layers,
    rate_of_zero,
    reward_swings,
    stops_in_the_middle,
    swing,
    swings,
    uniform_class,
    wander,
)

SETTINGS = Settings()
NOW = START + 1e6
SEEDS = 2
KINDS = ("stuck", "plateau", "oscillation")

Build = Callable[[np.random.Generator], Evidence]


def judge(evidence: Evidence) -> Health:
    return assess(evidence, SETTINGS, NOW)


def noise(count: int, sigma: float = 0.02, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, count)


def flat(count: int = 600, level: float = 1.4) -> np.ndarray:
    return level * np.exp(noise(count))


def alternating(count: int = 600, onset: int = 300, amplitude: float = 0.2) -> np.ndarray:
    """Return a loss that falls until `onset` and then alternates by a share of its level."""
    level = decay(count, low=0.5, speed=8)
    level[onset:] = level[onset]
    return level * (1 + amplitude * swing(count, 2) * (np.arange(count) >= onset)) + noise(count)


def moved(evidence: Evidence, change: Callable[[np.ndarray], np.ndarray]) -> Evidence:
    """Return the evidence with other values of its loss."""
    loss = evidence.series["train/loss"]
    return replace(evidence, series={**evidence.series, "train/loss": replace(loss, value=change(loss.value))})


# --- found where it is, and nowhere else ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.build.__name__}")
def test_each_fault_is_found(fault: Fault) -> None:
    for seed in range(SEEDS):
        found = of_kind(judge(seeded(fault.build, seed)), fault.kind)
        assert found, f"seed {seed}"
        if fault.onset is not None:
            assert abs((found[-1].onset_step or 0) - fault.onset) <= fault.tolerance, f"seed {seed}"


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_neither_stuck_nor_swinging_at_any_time(name: str) -> None:
    for seed in range(SEEDS):
        health = judge(seeded(HEALTHY[name], seed))  # closed findings included: what was raised live
        assert not of_kind(health, "stuck") + of_kind(health, "oscillation"), f"seed {seed}"


@pytest.mark.parametrize("name", HEALTHY)
def test_a_plateau_is_never_worse_than_a_notice(name: str) -> None:
    for finding in of_kind(judge(seeded(HEALTHY[name])), "plateau"):
        assert SEVERITIES.index(finding.severity) <= SEVERITIES.index("notice")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.build.__name__}")
def test_texts_are_whole_sentences(fault: Fault) -> None:
    for finding in judge(seeded(fault.build)).findings:
        for text in (finding.evidence, finding.advice):
            assert text.endswith(".")
            assert text[0].isupper() or text[0] == '"'
            assert not {"{", "}", "!"} & set(text)
            assert "nan" not in text.lower().split()
            assert "  " not in text


@pytest.mark.parametrize(
    "change",
    [lambda loss: 1000 * loss, lambda loss: loss - 5, lambda loss: 1e-6 * loss],
    ids=["thousandfold", "shifted below zero", "a millionth"],
)
@pytest.mark.parametrize("kind, build", [("stuck", rate_of_zero), ("oscillation", alternates)])
def test_the_unit_of_the_loss_does_not_matter(kind: str, build: Build, change: Callable) -> None:
    assert of_kind(judge(moved(seeded(build), change)), kind)


@pytest.mark.parametrize("kind, build", [("stuck", rate_of_zero), ("oscillation", alternates), ("oscillation", swings)])
def test_losing_a_tenth_of_the_points_hides_nothing(kind: str, build: Build) -> None:
    evidence = seeded(build)
    loss = evidence.series["train/loss"]
    kept = loss.take(np.random.default_rng(1).random(len(loss)) > 0.1)
    assert of_kind(judge(replace(evidence, series={**evidence.series, "train/loss": kept})), kind)


@pytest.mark.parametrize("build", [uniform_class, stops_in_the_middle, alternates, reward_swings, flat_epochs])
def test_watching_live_gives_the_same_as_reading_later(build: Build) -> None:
    evidence, assessor = seeded(build), Assessor()
    last = max(float(one.wall_time[-1]) for one in evidence.series.values())
    for time in np.linspace(START, last, 5):
        series = {tag: one.take(one.wall_time <= time) for tag, one in evidence.series.items()}
        seen = replace(evidence, series=series)
        assert repr(assessor.assess(seen, SETTINGS, NOW)) == repr(Assessor().assess(seen, SETTINGS, NOW))


# --- stuck ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count, severity", [(300, "warning"), (600, "error")])
def test_stuck_is_a_warning_at_first_and_an_error_after_twice_the_points(count: int, severity: str) -> None:
    assert only(judge(evidence_of(flat(count))), "stuck").severity == severity


def test_fewer_than_200_points_are_not_called_stuck() -> None:
    health = judge(evidence_of(flat(150)))
    assert not of_kind(health, "stuck")
    assert {item.kind: item.why for item in health.checks.not_checked}["stuck"] == "Needs 50 more points."


def test_twenty_epochs_are_enough() -> None:
    assert only(judge(evidence_of(flat(25), first_epoch_step=0)), "stuck").severity == "warning"


def test_evaluations_at_every_point_make_epochs_of_them() -> None:
    assert only(judge(evidence_of(flat(25), validation=flat(25, level=1.5))), "stuck").severity == "warning"


def test_a_share_of_the_planned_steps_must_have_passed() -> None:
    assert not of_kind(judge(evidence_of(flat(600), total_steps=100_000)), "stuck")


def test_a_loss_too_noisy_to_tell_is_not_called_stuck() -> None:
    assert not of_kind(judge(evidence_of(1.4 * np.exp(noise(400, 0.5)))), "stuck")


def test_a_stuck_run_that_learns_after_all_recovers() -> None:
    loss = np.concatenate((flat(400), 1.4 * np.exp(-np.arange(400) / 100) + noise(400)))
    finding = only(judge(evidence_of(loss)), "stuck")
    assert not finding.open
    assert finding.recovered_step == pytest.approx(500, abs=60)


def test_nothing_is_expected_while_the_learning_rate_warms_up() -> None:
    rate = np.linspace(0, 1e-4, 500)
    assert not of_kind(judge(evidence_of(flat(500), learning_rate=rate)), "stuck")


def test_a_run_continued_from_elsewhere_is_not_called_stuck() -> None:
    loss = points(flat())
    assert not of_kind(judge(evidence_of(replace(loss, step=loss.step + 50_000))), "stuck")


def test_a_flat_loss_beside_an_improving_validation_is_not_called_stuck() -> None:
    validation = evaluated(decay(40) + noise(40), 600)
    assert not of_kind(judge(evidence_of(flat(), validation=validation)), "stuck")


def test_the_loss_of_a_uniform_guess_is_stuck_even_after_a_fall() -> None:
    loss = np.log(10) * (1 + np.exp(-np.arange(600) / 5)) * np.exp(noise(600))
    accuracy = evaluated(0.1 + noise(30, 0.003), 600)
    finding = only(judge(evidence_of(loss, score=accuracy)), "stuck")
    assert "uniform guess among 10 classes" in finding.evidence
    assert "uniform class" in finding.advice


def test_the_same_loss_with_a_good_accuracy_is_not_that_of_a_guess() -> None:
    loss = np.log(10) * (1 + np.exp(-np.arange(600) / 5)) * np.exp(noise(600))
    assert not of_kind(judge(evidence_of(loss, score=evaluated(0.6 + noise(30, 0.003), 600))), "stuck")


@pytest.mark.parametrize(
    "rate, words",
    [(0.0, "learning rate is 0"), (1e-9, "Raise the learning rate"), (1e-3, "overfit a single batch")],
)
def test_the_advice_on_stuck_follows_the_learning_rate(rate: float, words: str) -> None:
    assert words in only(judge(evidence_of(flat(), learning_rate=np.full(600, rate))), "stuck").advice


def test_the_advice_on_stuck_names_frozen_parameters_where_no_gradient_arrives() -> None:
    assert "frozen" in only(judge(seeded(frozen_layers)), "stuck").advice


def test_a_reward_that_never_rises_is_stuck() -> None:
    reward = -100 + noise(600, 2)
    evidence = evidence_of(np.exp(noise(600, 0.5)), free_loss=True, score=reward, score_tag="rollout/ep_rew_mean")
    assert only(judge(evidence), "stuck").tag == "rollout/ep_rew_mean"


def test_a_loss_whose_level_means_nothing_is_not_judged() -> None:
    health = judge(evidence_of(flat(), free_loss=True))
    assert not [finding for finding in health.findings if finding.kind in KINDS]
    why = {item.kind: item.why for item in health.checks.not_checked}
    assert all(why[kind].startswith("Does not apply") for kind in KINDS)


# --- plateau -------------------------------------------------------------------------------------------------------


def stopped(count: int = 600) -> np.ndarray:
    """Return a loss that falls steadily for a third of the run and then stops."""
    return 2.5 - 1.2 * np.minimum(np.arange(count) / (count / 3), 1) + noise(count)


def test_a_loss_that_stops_far_from_its_end_is_a_notice() -> None:
    finding = only(judge(evidence_of(stopped(), learning_rate=np.full(600, 3e-4))), "plateau")
    assert finding.severity == "notice"
    assert finding.onset_step == pytest.approx(200, abs=30)
    assert "100 % of its peak" in finding.evidence


def test_a_loss_that_stops_as_the_learning_rate_is_spent_has_converged() -> None:
    rate = np.where(np.arange(600) < 190, 3e-4, 1e-5)
    finding = only(judge(evidence_of(stopped(), learning_rate=rate)), "plateau")
    assert finding.severity == "info"
    assert "converged" in finding.advice


def test_a_loss_that_slowed_down_on_its_way_has_converged() -> None:
    health = judge(evidence_of(decay(900, low=0.8, speed=15) + noise(900)))
    assert only(health, "plateau").severity == "info"
    assert health.score == 100


def test_a_plateau_ends_with_a_new_best() -> None:
    loss = np.concatenate((stopped(), 1.3 - 0.8 * np.minimum(np.arange(300) / 100, 1) + noise(300)))
    first = of_kind(judge(evidence_of(loss)), "plateau")[-1]
    assert not first.open
    assert first.recovered_step == pytest.approx(650, abs=50)


def test_a_loss_that_still_falls_is_on_no_plateau() -> None:
    assert not of_kind(judge(evidence_of(decay(600, speed=3) + noise(600))), "plateau")


# --- oscillation ---------------------------------------------------------------------------------------------------


def test_an_oscillation_is_found_with_its_onset_and_its_period() -> None:
    finding = only(judge(evidence_of(alternating())), "oscillation")
    assert finding.onset_step == pytest.approx(300, abs=20)
    assert (finding.detected_step or 0) - 300 <= 150
    assert "It repeats every 2 points." in finding.evidence


@pytest.mark.parametrize("amplitude, severity", [(0.2, "warning"), (0.5, "error")])
def test_the_amplitude_decides_how_bad_an_oscillation_is(amplitude: float, severity: str) -> None:
    assert only(judge(evidence_of(alternating(amplitude=amplitude))), "oscillation").severity == severity


def test_an_oscillation_that_grows_is_an_error_before_it_is_wide() -> None:
    size = 0.01 * np.exp(3.0 * np.maximum(np.arange(900) - 300, 0) / 600)
    loss = 0.5 * (1 + size * swing(900, 2)) + noise(900, 0.003)
    finding = only(judge(evidence_of(loss)), "oscillation")
    assert finding.severity == "error"
    assert "times as wide" in finding.evidence


def test_an_oscillation_that_ends_recovers() -> None:
    loss = alternating(900)
    loss[600:] = 0.4 + noise(300)
    assert not only(judge(evidence_of(loss)), "oscillation").open


def test_a_small_swing_is_no_oscillation() -> None:
    assert not of_kind(judge(evidence_of(alternating(amplitude=0.04))), "oscillation")


def test_a_swing_on_the_way_down_is_no_oscillation() -> None:
    loss = decay(600, speed=3) * (1 + 0.15 * swing(600, 2))
    assert not of_kind(judge(evidence_of(loss)), "oscillation")


def test_swings_of_the_learning_rate_explain_those_of_the_loss() -> None:
    wave = swing(600, 20)
    loss = 0.5 * (1 + 0.4 * wave) + noise(600)
    assert of_kind(judge(evidence_of(loss, learning_rate=np.full(600, 1e-3))), "oscillation")
    assert not of_kind(judge(evidence_of(loss, learning_rate=1e-3 * (1.1 + wave))), "oscillation")


def test_a_loss_that_repeats_with_the_evaluations_shows_the_order_of_the_samples() -> None:
    loss = 0.5 * (1 + 0.4 * swing(900, 30)) + noise(900)
    assert of_kind(judge(evidence_of(loss)), "oscillation")
    assert not of_kind(judge(evidence_of(loss, validation=evaluated(decay(30), 900))), "oscillation")


def test_the_advice_names_a_third_of_the_learning_rate() -> None:
    finding = only(judge(evidence_of(alternating(), learning_rate=np.full(600, 3e-3))), "oscillation")
    assert "3.00e-03" in finding.advice
    assert "1.00e-03" in finding.advice


def test_epochs_that_go_up_and_down_in_turn_are_an_oscillation() -> None:
    loss = alternating(40, onset=12, amplitude=0.3)
    assert of_kind(judge(evidence_of(points(loss, seconds=60.0), first_epoch_step=0)), "oscillation")


def test_an_oscillating_loss_is_on_no_plateau() -> None:
    assert not of_kind(judge(evidence_of(alternating(onset=150, amplitude=0.4))), "plateau")


@pytest.mark.parametrize("count", [24, 60, 400])
def test_noise_has_no_period(count: int) -> None:
    random = np.random.default_rng(0)
    assert not any(period_of(random.normal(size=count)) for _ in range(300))


@pytest.mark.parametrize("memory", [0.9, 0.98])
def test_noise_that_wanders_has_no_period(memory: float) -> None:
    random = np.random.default_rng(0)
    found = [period_of(wander(random, 300, memory, 1.0)) for _ in range(100)]
    assert sum(period > 0 for period in found) <= 1


@pytest.mark.parametrize("period", [2, 3, 4, 7, 20])
def test_the_period_of_a_swing_in_noise_is_found(period: int) -> None:
    assert period_of(np.sqrt(2) * swing(300, period) + noise(300, 0.4)) == period


def test_outliers_have_no_period() -> None:
    values = noise(200, 1.0)
    values[[30, 70, 110]] = 100.0
    assert period_of(values) == 0


# --- the loss in a word --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word, kind, loss",
    [("oscillating", "oscillation", alternating()), ("stuck", "stuck", flat()), ("flat", "plateau", stopped())],
    ids=["oscillating", "stuck", "flat"],
)
def test_the_word_rests_on_an_open_finding(word: str, kind: str, loss: np.ndarray) -> None:
    health = judge(evidence_of(loss))
    assert health.verdict == word
    assert only(health, kind).open


def test_a_plateau_that_has_converged_is_called_so() -> None:
    health = judge(evidence_of(decay(900, low=0.8, speed=15) + noise(900)))
    assert health.verdict == "converged"


def test_a_noisy_loss_is_not_called_oscillating() -> None:
    assert judge(evidence_of(decay(600, low=0.8) * np.exp(noise(600, 0.35)))).verdict != "oscillating"


def test_a_loss_that_jumps_about_far_above_its_best_is_swinging_where_the_learning_rate_is_high() -> None:
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        jumps = np.concatenate([np.linspace(0.5, 0.11, 4), 0.5 * np.exp(random.normal(0, 0.9, 96))])
        high = judge(evidence_of(jumps, learning_rate=np.full(100, 0.12), first_epoch_step=0))
        usual = judge(evidence_of(jumps, learning_rate=np.full(100, 3e-4), first_epoch_step=0))
        assert of_kind(high, "oscillation"), f"seed {seed}"
        assert not of_kind(usual, "oscillation"), f"seed {seed}"


def test_noise_of_plain_gradient_descent_at_its_usual_high_rate_is_no_swing() -> None:
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        loss = decay(300, 2.0, 0.1) * np.exp(random.normal(0, 0.5, 300))
        health = judge(evidence_of(loss, learning_rate=np.full(300, 0.1)))
        assert not of_kind(health, "oscillation"), f"seed {seed}"
