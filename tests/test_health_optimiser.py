"""Learning rate, gradient norm, loss scale and the gap to validation: what is trouble, and what only looks like it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.health import Assessor, Evidence, assess
from monitor.health.episodes import Episode
from monitor.health.rules import gap, gradient, learning_rate, numbers, precision, schedule
from monitor.health.scene import Scene
from monitor.schema import SEVERITIES, Finding, RoleTag
from monitor.settings import Settings
from tests.health_series import START, Fault, decay, evidence_of, points
from tests.health_series_optimiser import (
    FAULTS,
    HEALTHY,
    cosine,
    linear,
    norm_explodes,
    rate_jumps_and_the_loss_diverges,
    resumed,
    scale_collapses,
    schedule_ends_early,
    scheduler_starts_over,
    validation_never_follows,
    with_scale,
)

SETTINGS = Settings()
NOW = START + 1e6
RULES = (*numbers.RULES, *gap.RULES, *learning_rate.RULES, *schedule.RULES, *gradient.RULES, *precision.RULES)
COUNT = 600


def episodes(evidence: Evidence) -> list[Episode]:
    """What these rules alone find."""
    scene = Scene(evidence, SETTINGS, NOW)
    return [episode for rule in RULES if rule.replay is not None for episode in rule.replay().advance(scene)]


def found(evidence: Evidence, kind: str) -> list[tuple[str, bool]]:
    """Severity and openness of the findings of one kind."""
    return [(one.now.severity, one.now.open) for one in episodes(evidence) if one.kind == kind]


def finding(evidence: Evidence, kind: str) -> Finding:
    (only,) = [one for one in assess(evidence, SETTINGS, NOW).findings if one.kind == kind]
    return only


def is_alarm(severity: str) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index("warning")


def noisy(count: int = COUNT, sigma: float = 0.05, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(0, sigma, count))


def falling(count: int = COUNT) -> np.ndarray:
    return decay(count) * noisy(count)


# --- every fault, every healthy run --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.build.__name__)
def test_each_fault_raises_an_alarm_of_its_kind_for_nearly_every_seed(fault: Fault) -> None:
    hits = [
        any(is_alarm(severity) for severity, _ in found(fault.build(np.random.default_rng(seed)), fault.kind))
        for seed in range(8)
    ]
    assert sum(hits) >= 7


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_raises_no_alarm_at_any_time(name: str) -> None:
    for seed in range(3):
        raised = episodes(HEALTHY[name](np.random.default_rng(seed)))  # closed ones included: what was raised live
        assert not [one.id for one in raised if is_alarm(one.now.severity)], f"seed {seed}"


@pytest.mark.parametrize("build", [fault.build for fault in FAULTS] + list(HEALTHY.values()))
def test_texts_are_whole_sentences_without_placeholders(build: Callable[[np.random.Generator], Evidence]) -> None:
    evidence = build(np.random.default_rng(0))
    texts = {rule.kind: rule.text for rule in RULES}
    for episode in episodes(evidence):
        written = texts[episode.kind](episode, Scene(evidence, SETTINGS, NOW))
        for text in (written.evidence, written.advice):
            assert text.endswith(".")
            assert text[0].isupper() or text[0] in '"0123456789'
            assert not {"{", "}", "!", "–"} & set(text)
            assert "nan" not in text.split()


@pytest.mark.parametrize(
    "build",
    [
        rate_jumps_and_the_loss_diverges,
        scheduler_starts_over,
        schedule_ends_early,
        norm_explodes,
        validation_never_follows,
        scale_collapses,
    ],
)
def test_watching_live_gives_the_same_as_reading_later(build: Callable[[np.random.Generator], Evidence]) -> None:
    evidence = build(np.random.default_rng(3))
    assessor = Assessor()
    for share in (0.3, 0.7, 0.71, 1.0):
        end = START + share * max(float(one.wall_time[-1]) - START for one in evidence.series.values())
        seen = {tag: one.take(one.wall_time <= end) for tag, one in evidence.series.items()}
        live = assessor.assess(replace(evidence, series=seen), SETTINGS, NOW)
        assert repr(live) == repr(Assessor().assess(replace(evidence, series=seen), SETTINGS, NOW))


# --- learning rate -------------------------------------------------------------------------------------------------


def test_the_first_warm_restart_is_a_word_only() -> None:
    rate = np.concatenate((cosine(300, warm_up=0), cosine(300, warm_up=0)))
    assert found(evidence_of(falling(), learning_rate=rate), "lr_schedule") == [("info", False)]


@pytest.mark.parametrize("factor, severity", [(6, "warning"), (20, "error")])
def test_a_jump_above_every_earlier_peak_is_found_at_its_step(factor: float, severity: str) -> None:
    rate = np.where(np.arange(COUNT) < 400, 1e-4, factor * 1e-4)
    jump = finding(evidence_of(falling(), learning_rate=rate), "lr_schedule")
    assert (jump.severity, jump.onset_step, jump.open) == (severity, 400, True)


def test_a_jump_that_ends_is_over() -> None:
    rate = np.full(COUNT, 1e-4)
    rate[300:330] = 1e-2
    assert found(evidence_of(falling(), learning_rate=rate), "lr_schedule") == [("error", False)]


def test_a_jump_weighs_as_much_as_what_the_loss_has_lost_since() -> None:
    loss = falling()
    loss[400:] *= 20
    rate = np.where(np.arange(COUNT) < 400, 1e-4, 6e-4)
    assert found(evidence_of(loss, learning_rate=rate), "lr_schedule") == [("critical", True)]


def test_the_end_of_a_warm_up_at_a_constant_rate_is_no_jump() -> None:
    rate = np.where(np.arange(COUNT) < 20, 1e-6, 1e-3)
    assert not found(evidence_of(falling(), learning_rate=rate, total_steps=COUNT), "lr_schedule")


def test_a_sweep_of_learning_rates_is_no_jump() -> None:
    assert not found(evidence_of(falling(60), learning_rate=1e-7 * 6.0 ** (np.arange(60) / 6)), "lr_schedule")


def test_an_early_end_of_the_schedule_explains_the_dead_learning_rate() -> None:
    rate = np.concatenate((cosine(300), np.zeros(300)))
    evidence = evidence_of(falling(), learning_rate=rate, total_steps=COUNT)
    early = finding(evidence, "lr_schedule")
    assert early.onset_step == pytest.approx(295, abs=5)
    assert finding(evidence, "lr_low").explained_by == early.id


def test_a_schedule_that_rests_on_a_small_rate_has_ended() -> None:
    rate = np.concatenate((cosine(300, low=5e-6), np.full(300, 5e-6)))
    evidence = evidence_of(falling(), learning_rate=rate, total_steps=COUNT)
    assert found(evidence, "lr_schedule") == [("error", True)]


def test_a_decay_in_steps_has_not_ended() -> None:
    rate = np.where(np.arange(COUNT) < 300, 1e-3, 5e-6)
    assert not found(evidence_of(falling(), learning_rate=rate, total_steps=COUNT), "lr_schedule")


@pytest.mark.parametrize("planned, kinds", [(1000, {"lr_low"}), (1050, {"lr_low"}), (None, {"lr_low"})])
def test_a_schedule_that_ends_at_four_fifths_of_the_plan_has_not_ended_early(
    planned: int | None, kinds: set[str]
) -> None:
    rate = np.concatenate((linear(850), np.zeros(150)))
    evidence = evidence_of(falling(1000), learning_rate=rate, total_steps=planned)
    assert {one.kind for one in episodes(evidence)} == kinds


def test_a_learning_rate_that_dies_near_the_planned_end_is_normal() -> None:
    rate = np.concatenate((linear(915), np.zeros(85)))
    assert found(evidence_of(falling(1000), learning_rate=rate), "lr_low")
    assert not found(evidence_of(falling(1000), learning_rate=rate, total_steps=1000), "lr_low")


def test_a_plan_in_epochs_counts_where_steps_are_epochs() -> None:
    rate = np.concatenate((cosine(100), np.zeros(100)))
    evidence = evidence_of(falling(200), learning_rate=rate, first_epoch_step=1)
    assert not found(evidence, "lr_schedule")
    planned = replace(evidence, progress=replace(evidence.progress, total_epochs=300))
    assert found(planned, "lr_schedule") == [("error", True)]


def test_a_schedule_that_starts_over_after_a_restart_is_a_warning() -> None:
    rate = np.concatenate((cosine(COUNT)[:400], cosine(COUNT)[:200]))
    restarted = finding(resumed(evidence_of(falling(), learning_rate=rate), 400), "lr_schedule")
    assert (restarted.severity, restarted.onset_step) == ("warning", 400)


def test_a_lower_learning_rate_after_a_restart_may_be_meant() -> None:
    rate = np.where(np.arange(COUNT) < 400, 1e-3, 1e-4)
    evidence = evidence_of(falling(), learning_rate=rate)
    assert not found(evidence, "lr_schedule")
    assert found(resumed(evidence, 400), "lr_schedule") == [("notice", True)]


@pytest.mark.parametrize("tag, severity", [("lr-SGD", "info"), ("lr-Adam", "notice"), ("train/lr", "notice")])
def test_a_high_learning_rate_is_normal_for_sgd(tag: str, severity: str) -> None:
    evidence = evidence_of(falling())
    series = {**evidence.series, tag: points(np.full(COUNT, 0.1), late=0.002)}
    roles = replace(evidence.roles, learning_rate=RoleTag(tag, "learning rate", None))
    assert found(replace(evidence, series=series, roles=roles), "lr_high") == [(severity, True)]


# --- gradient norm -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor, severity", [(20, "warning"), (200, "error")])
def test_an_exploded_gradient_is_found_at_its_step(factor: float, severity: str) -> None:
    norm = noisy(sigma=0.3)
    norm[400:] *= factor
    exploded = finding(evidence_of(falling(), gradient_norm=norm), "gradient_explosion")
    assert (exploded.severity, exploded.open) == (severity, True)
    assert exploded.onset_step == pytest.approx(400, abs=3)


def test_a_gradient_that_comes_down_again_recovers() -> None:
    norm = noisy(sigma=0.3)
    norm[300:360] *= 50
    assert found(evidence_of(falling(), gradient_norm=norm), "gradient_explosion") == [("warning", False)]


def test_outliers_of_the_gradient_are_no_explosion() -> None:
    norm = noisy(sigma=0.3)
    norm[50::40] *= 1000
    assert not found(evidence_of(falling(), gradient_norm=norm), "gradient_explosion")


def test_an_explosion_counts_little_where_the_level_of_the_loss_means_nothing() -> None:
    norm = noisy(sigma=0.3)
    norm[400:] *= 200
    evidence = evidence_of(falling(), free_loss=True, gradient_norm=norm)
    assert found(evidence, "gradient_explosion") == [("notice", True)]


def test_a_gradient_that_grows_gradually_is_no_alarm() -> None:
    norm = noisy(sigma=0.2) * np.maximum(10.0 ** (3 * (np.arange(COUNT) / COUNT - 0.6)), 1)
    assert not [
        one for one in found(evidence_of(falling(), gradient_norm=norm), "gradient_explosion") if is_alarm(one[0])
    ]


def test_a_loss_that_is_not_a_number_explains_the_explosion() -> None:
    loss, norm = falling(), noisy(sigma=0.3)
    norm[400:] *= 200
    loss[420:] = np.nan
    evidence = evidence_of(loss, gradient_norm=norm)
    explosion = finding(evidence, "gradient_explosion")
    assert explosion.explained_by == finding(evidence, "non_finite").id


@pytest.mark.parametrize("limit", [np.ones(COUNT), 1 - 1e-4 * noisy()], ids=["exactly", "nearly"])
def test_gradients_clipped_at_one_value_are_a_notice_and_no_dead_value(limit: np.ndarray) -> None:
    evidence = evidence_of(falling(), gradient_norm=limit)
    assert found(evidence, "gradient_explosion") == [("notice", True)]
    assert not found(evidence, "dead_value")


def test_a_gradient_that_vanishes_while_the_loss_stands_still_is_an_error() -> None:
    loss, norm = falling(), noisy(sigma=0.3)
    loss[300:] = decay(COUNT)[300] * noisy()[300:]
    norm[300:] *= 1e-5
    vanished = finding(evidence_of(loss, gradient_norm=norm), "gradient_vanishing")
    assert (vanished.severity, vanished.onset_step, vanished.open) == ("error", 300, True)


def test_a_gradient_that_falls_while_the_loss_goes_on_falling_has_not_vanished() -> None:
    norm = noisy(sigma=0.3)
    norm[300:] *= 1e-5
    evidence = evidence_of(decay(COUNT, speed=2) * noisy(sigma=0.01), gradient_norm=norm)
    assert not found(evidence, "gradient_vanishing")


def test_a_gradient_that_falls_with_the_learning_rate_has_not_vanished() -> None:
    rate, norm = np.full(COUNT, 1e-3), noisy(sigma=0.3)
    norm[300:] *= 1e-5
    flat = 2.3 * noisy(sigma=0.01)
    assert found(evidence_of(flat, gradient_norm=norm, learning_rate=rate), "gradient_vanishing")
    rate[300:] = 1e-6
    assert not found(evidence_of(flat, gradient_norm=norm, learning_rate=rate), "gradient_vanishing")


def test_gradients_that_are_zero_now_and_then_are_a_warning() -> None:
    norm = noisy(sigma=0.3)
    norm[300:][np.random.default_rng(0).random(300) < 0.4] = 0
    assert ("warning", True) in found(evidence_of(falling(), gradient_norm=norm), "gradient_vanishing")


def test_zeros_between_accumulated_gradients_are_by_design() -> None:
    norm = np.where(np.arange(COUNT) % 3 == 2, noisy(sigma=0.3), 0.0)
    assert not found(evidence_of(falling(), gradient_norm=norm), "gradient_vanishing")


# --- loss scale ----------------------------------------------------------------------------------------------------


def test_a_scale_that_falls_by_six_halvings_and_stays_there_is_a_warning() -> None:
    scale = np.full(COUNT, 65536.0)
    scale[300:306] /= 2.0 ** np.arange(1, 7)
    scale[306:] = 1024.0
    evidence = with_scale(evidence_of(falling()), scale)
    assert found(evidence, "loss_scale") == [("warning", True)]
    assert finding(evidence, "loss_scale").onset_step == pytest.approx(300, abs=1)


def test_a_scale_that_grows_back_recovers() -> None:
    scale = np.full(COUNT, 65536.0)
    scale[300:400] = 512.0
    assert found(with_scale(evidence_of(falling()), scale), "loss_scale") == [("warning", False)]


def test_a_scale_of_one_is_an_error_where_it_was_higher_and_nothing_where_it_never_was() -> None:
    scale = np.maximum(65536.0 / 2.0 ** np.maximum(np.arange(COUNT) - 300, 0), 0.25)
    assert found(with_scale(evidence_of(falling()), scale), "loss_scale") == [("error", True)]
    assert not found(with_scale(evidence_of(falling()), np.ones(COUNT)), "loss_scale")


def test_a_scale_that_first_comes_down_to_its_level_is_normal() -> None:
    scale = np.maximum(2.0**32 / 2.0 ** np.arange(COUNT), 2.0**12)
    assert not found(with_scale(evidence_of(falling()), scale), "loss_scale")


def test_infinite_gradients_while_the_scale_seeks_its_level_are_a_word_only() -> None:
    norm = noisy(sigma=0.3)
    norm[:6] = np.inf
    evidence = evidence_of(falling(), gradient_norm=norm)
    assert found(evidence, "non_finite") == [("warning", False)]
    assert found(with_scale(evidence, np.full(COUNT, 1024.0)), "non_finite") == [("info", False)]


# --- validation beside training ------------------------------------------------------------------------------------


def test_a_validation_that_never_follows_training_is_a_warning() -> None:
    evidence = evidence_of(falling(60), validation=2.4 * noisy(60, 0.01), first_epoch_step=0)
    assert found(evidence, "train_val_gap")[0] == ("warning", True)


def test_a_validation_that_starts_to_follow_recovers() -> None:
    validation = 2.4 * noisy(120, 0.01)
    validation[60:] = 0.5 + 1.9 * np.exp(-np.arange(60) / 10)
    evidence = evidence_of(falling(120), validation=validation, first_epoch_step=0)
    assert ("warning", False) in found(evidence, "train_val_gap")


def test_a_gap_that_widens_is_a_notice() -> None:
    evidence = evidence_of(decay(80, low=0.02), validation=decay(80, low=0.9), first_epoch_step=0)
    assert found(evidence, "train_val_gap") == [("notice", True)]


def test_a_validation_below_training_is_a_word_only() -> None:
    evidence = evidence_of(decay(80, low=0.5), validation=decay(80, low=0.2, speed=9), first_epoch_step=0)
    assert found(evidence, "train_val_gap") == [("info", True)]


def test_a_validation_too_noisy_to_choose_by_is_a_word_only() -> None:
    validation = decay(80, high=0.6, low=0.4) * noisy(80, 0.2)
    evidence = evidence_of(decay(80, high=0.6, low=0.4), validation=validation, first_epoch_step=0)
    assert found(evidence, "train_val_gap") == [("info", True)]


def test_a_part_of_the_loss_is_not_compared_with_another() -> None:
    evidence = evidence_of(falling(60), validation=2.4 * noisy(60, 0.01), first_epoch_step=0)
    roles = replace(evidence.roles, loss=RoleTag("train/loss", "box loss"), validation=(RoleTag("val/loss", "obj"),))
    health = assess(replace(evidence, roles=roles), SETTINGS, NOW)
    why = {item.kind: item.why for item in health.checks.not_checked}["train_val_gap"]
    assert why == "Does not apply: no validation loss measures what the training loss measures."


def test_what_is_not_logged_is_not_checked() -> None:
    missing = {item.kind: item.why for item in assess(evidence_of(falling()), SETTINGS, NOW).checks.not_checked}
    assert missing["gradient_explosion"] == missing["gradient_vanishing"] == "The run logs no gradient norm."
    assert missing["loss_scale"] == "The run logs no loss scale."
    assert missing["lr_schedule"] == "The run logs no learning rate."
    assert missing["train_val_gap"] == "There is no validation loss."
