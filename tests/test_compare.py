"""Figures per run, their ranking and what the verdict dares to say."""

import math

import numpy as np
import pytest

from monitor.analysis.compare import Reading, compare_runs
from monitor.analysis.groups import Group, find_groups
from monitor.analysis.run_figures import Selection
from monitor.schema import Configuration, Points


def series(values, *, steps=None, wall=None, sessions=None) -> Points:
    count = len(values)
    return Points(
        np.arange(count, dtype=np.int64) if steps is None else np.array(steps, np.int64),
        np.arange(count, dtype=np.float64) if wall is None else np.array(wall, np.float64),
        np.array(values, np.float64),
        np.zeros(count, np.int16) if sessions is None else np.array(sessions, np.int16),
    )


def test_a_row_holds_best_last_and_length():
    row = compare_runs({"a": series([3.0, 1.0, 2.0])}, "min", "best").rows[0]
    assert (row.best, row.best_step, row.last, row.last_step) == (1.0, 1, 2.0, 2)
    assert (row.n_points, row.duration_seconds) == (3, 2.0)


def test_superseded_points_do_not_count_but_their_time_does():
    points = series([3.0, 0.1, 2.0, 1.0], steps=[0, 1, 1, 2], wall=[0, 10, 1000, 1010], sessions=[0, 0, 1, 1])
    row = compare_runs({"a": points}, "min", "best").rows[0]
    assert (row.best, row.n_points, row.duration_seconds) == (1.0, 3, 20.0)


def test_a_run_without_points_is_unknown():
    row = compare_runs({"a": Points.empty()}, "min", "last").rows[0]
    assert (row.best, row.last, row.n_points, row.duration_seconds) == (None, None, 0, None)


@pytest.mark.parametrize(
    ("direction", "by", "ranking"),
    [
        ("min", "best", ("a", "b", "c")),
        ("max", "best", ("b", "a", "c")),
        ("min", "last", ("b", "a", "c")),
        (None, "last", ()),
    ],
)
def test_runs_are_ranked_in_the_direction_of_the_metric_and_unknown_ones_last(direction, by, ranking):
    runs = {"c": series([math.nan]), "a": series([1.0, 5.0]), "b": series([6.0, 2.0])}
    assert compare_runs(runs, direction, by).ranking == ranking


def test_the_verdict_names_the_distance_and_the_doubt():
    runs = {"A": series([0.0123]), "B": series([0.01283]), "C": series([1.0])}
    assert compare_runs(runs, "min", "best", "train/loss").verdict == (
        "A has the lowest best train/loss, 0.0123, 4.1 % below B; with one run each this may be noise."
    )


def test_a_distance_across_zero_is_no_percentage():
    verdict = compare_runs({"a": series([1.0]), "b": series([-0.5])}, "max", "last", "reward").verdict
    assert verdict == "a has the highest last reward, 1, 1.5 above b; with one run each this may be noise."


def test_equal_values_are_shared():
    verdict = compare_runs({"a": series([1.0]), "b": series([1.0])}, "min", "last", "loss").verdict
    assert verdict == "a and b share the lowest last loss, 1."


@pytest.mark.parametrize(
    ("runs", "direction", "words"),
    [
        ({}, "min", "No run has a finite best value"),
        ({"a": series([math.nan])}, "min", "No run has a finite best value"),
        ({"a": series([1.0]), "b": Points.empty()}, "min", "nothing to compare it with"),
        ({"a": series([1.0]), "b": series([2.0])}, None, "not ranked"),
    ],
)
def test_the_verdict_says_why_there_is_none(runs, direction, words):
    assert words in compare_runs(runs, direction, "best", "loss").verdict


# --- figures of a run ----------------------------------------------------------------------------------------------


def row_of(points, by="best", direction="min", **others):
    return compare_runs({"a": points}, direction, by, **others).rows[0]


def test_the_mean_of_the_last_steps_goes_by_steps_not_by_points():
    points = series([9.0, 9.0, 1.0, 2.0, 6.0], steps=[0, 50, 95, 96, 100])
    assert row_of(points, "final").value == pytest.approx(3.0)


def test_a_nan_among_the_last_steps_is_no_value():
    row = row_of(series([1.0, math.nan]), "final")
    assert row.value is None
    assert math.isnan(row.final)


def test_at_a_step_the_last_value_at_or_before_it_counts():
    row = row_of(series([3.0, 2.0, 1.0], steps=[0, 10, 20]), Reading("step", step=15))
    assert (row.value, row.value_step) == (2.0, 10)


@pytest.mark.parametrize("step", [-1, 21])
def test_a_step_that_a_run_has_not_reached_has_no_value(step):
    assert row_of(series([3.0, 2.0, 1.0], steps=[0, 10, 20]), Reading("step", step=step)).value is None


def test_the_area_is_the_mean_over_the_steps_all_runs_share():
    runs = {"a": series([4.0, 0.0], steps=[0, 10]), "b": series([1.0, 1.0], steps=[5, 20])}
    rows = compare_runs(runs, "min", "best").rows
    assert [row.area for row in rows] == [pytest.approx(1.0), pytest.approx(1.0)]


def test_way_to_the_baselines_best_is_counted_in_steps_and_worked_time():
    slow = series([5.0, 4.0, 2.0, 1.0], steps=[0, 1, 2, 3], wall=[0, 10, 1000, 1010], sessions=[0, 0, 1, 1])
    runs = {"base": series([5.0, 2.0]), "slow": slow, "never": series([5.0, 4.0])}
    rows = {row.run: row for row in compare_runs(runs, "min", "best", baseline="base").rows}
    assert (rows["slow"].steps_to_target, rows["slow"].seconds_to_target) == (2, 10.0)
    assert rows["never"].steps_to_target is None
    assert rows["base"].steps_to_target == 1


def test_a_test_metric_is_read_where_validation_is_best():
    selection = Selection("val/acc", "max", {"a": series([0.5, 0.9, 0.8])})
    row = row_of(series([0.4, 0.7, 0.95]), Reading("best", selection=selection), "max")
    assert (row.value, row.value_step, row.best) == (0.7, 1, 0.95)


def test_a_test_metric_measured_once_after_the_training_is_that_of_the_chosen_model():
    selection = Selection("val/acc", "max", {"a": series([0.5, 0.9, 0.8])})
    row = row_of(series([0.7], steps=[99]), Reading("best", selection=selection), "max")
    assert row.value == 0.7


def test_a_run_without_the_series_to_choose_by_has_no_value():
    row = row_of(series([0.7]), Reading("best", selection=Selection("val/acc", "max", {})), "max")
    assert row.value is None


# --- groups --------------------------------------------------------------------------------------------------------

MEANS = {"good": 0.20, "even": 0.30, "same": 0.30}


def curve(level, seed):
    """Return a loss that falls to its level with noise, the last one the lowest of all seeds' noise."""
    rng = np.random.default_rng(seed)
    return series(level + np.exp(-np.arange(40) / 6) + rng.normal(0, 0.002, 40) + rng.normal(0, 0.01))


@pytest.fixture
def sweep():
    """Three configurations, five seeds: one is truly better, the other two are equal."""
    points, configurations = {}, {}
    for place, (name, level) in enumerate(MEANS.items()):
        for seed in range(5):
            run = f"{name}/run_{seed}"
            points[run] = curve(level, 100 * place + seed)
            configurations[run] = Configuration({"model.type": name, "seed": seed})
    return points, find_groups(list(points), configurations)


def compared(sweep, **others):
    points, groups = sweep
    return compare_runs(points, "min", "best", "val/loss", groups=groups, **others)


def test_the_verdict_is_right_for_the_better_and_for_the_equal_configurations(sweep):
    outcomes = {item.group: item.outcome for item in compared(sweep).differences.each}
    assert outcomes == {"type=even": "worse", "type=same": "worse"}
    against = compared(sweep, baseline="type=even").differences.each
    assert {item.group: item.outcome for item in against} == {"type=good": "better", "type=same": "not_separable"}


def test_the_interval_of_the_verdict_holds_the_true_difference_and_a_bootstrap_agrees(sweep):
    found = next(item for item in compared(sweep, baseline="type=even").differences.each if item.group == "type=good")
    points, groups = sweep
    good, even = (
        np.array([points[run].value.min() for group in groups if group.name == name for run in group.runs])
        for name in ("type=good", "type=even")
    )
    rng = np.random.default_rng(0)
    gaps = [rng.choice(good, 5).mean() - rng.choice(even, 5).mean() for _ in range(4000)]
    low, high = np.percentile(gaps, [2.5, 97.5])
    assert found.low < low < high < found.high < 0
    assert found.low < MEANS["good"] - MEANS["even"] < found.high
    assert found.difference == pytest.approx(np.mean(gaps), abs=0.001)


def test_groups_are_ranked_by_their_means_and_the_best_is_the_baseline(sweep):
    comparison = compared(sweep)
    assert comparison.ranking[0] == comparison.baseline == "type=good"
    assert not comparison.baseline_named


def test_the_figures_of_a_group_are_those_of_its_runs(sweep):
    points, groups = sweep
    row = compared(sweep, health={run: 90 - number for number, run in enumerate(points)}).groups[0]
    bests = [points[run].value.min() for run in groups[0].runs]
    assert (row.n, row.health) == (5, 86)
    assert (row.mean, row.std) == pytest.approx((np.mean(bests), np.std(bests, ddof=1)))
    assert (row.smallest, row.largest, row.median) == (min(bests), max(bests), np.median(bests))
    assert row.low < row.mean < row.high


def test_the_verdict_names_the_best_group_the_differences_and_the_correction(sweep):
    verdict = compared(sweep).verdict
    assert verdict.startswith("type=good has the lowest mean best val/loss, 0.")
    assert " is worse than type=good by 0." in verdict
    assert "5 and 5 seeds)" in verdict
    assert "Chance is corrected for 3 comparisons (Holm)" in verdict


def test_a_run_of_a_group_may_be_named_as_the_baseline(sweep):
    assert compared(sweep, baseline="even/run_3").baseline == "type=even"


def test_a_baseline_that_is_not_there_is_refused(sweep):
    with pytest.raises(ValueError, match="nothing"):
        compared(sweep, baseline="nothing")


def test_a_diverged_run_is_left_out_of_its_group_and_named(sweep):
    points, groups = sweep
    points = {**points, "even/run_0": series([math.nan, math.nan])}
    comparison = compare_runs(points, "min", "best", "val/loss", groups=groups)
    assert next(row.n for row in comparison.groups if row.group.name == "type=even") == 4
    assert "Without a finite best value of val/loss, and so left out: even/run_0." in comparison.verdict


def test_a_single_run_on_top_is_not_the_baseline_where_groups_can_be_compared(sweep):
    points, groups = sweep
    points = {**points, "lucky": series([0.01])}
    comparison = compare_runs(points, "min", "best", "x", groups=[*groups, Group("lucky", ("lucky",), False, "")])
    assert comparison.ranking[0] == "lucky"
    assert comparison.baseline == "type=good"
    assert "lucky has the lowest best x, 0.01, from 1 run." in comparison.verdict


def test_many_groups_are_counted_after_the_first():
    rng = np.random.default_rng(0)
    points, groups = {}, []
    for number in range(9):
        runs = [f"{number}/{seed}" for seed in range(3)]
        points |= {run: series([number + rng.normal(0, 0.01)]) for run in runs}
        groups.append(Group(f"g{number}", tuple(runs), True, ""))
    verdict = compare_runs(points, "min", "best", "x", groups=groups).verdict
    assert "Of 3 more groups against g0: 3 worse." in verdict


def test_one_configuration_alone_is_described():
    points = {"a": series([1.0]), "b": series([3.0])}
    verdict = compare_runs(points, "min", "last", "x", groups=[Group("g", ("a", "b"), True, "")]).verdict
    assert verdict == "All runs repeat one configuration: mean last x 2, standard deviation 1.41 (2 runs)."


def test_single_runs_against_a_named_baseline_are_not_separable():
    verdict = compare_runs({"A": series([1.0]), "B": series([2.0])}, "min", "best", "x", baseline="B").verdict
    assert "A and B are not separable with 1 run each." in verdict


# --- what a reader must know ---------------------------------------------------------------------------------------


def test_runs_of_unequal_length_are_told():
    verdict = compare_runs({"a": series([1.0] * 50), "b": series([2.0] * 300)}, "min", "best", "x").verdict
    assert "The runs end at different steps (49 to 299)" in verdict


def test_the_same_step_needs_no_word_about_lengths():
    runs = {"a": series([1.0] * 50), "b": series([2.0] * 300)}
    assert "different steps" not in compare_runs(runs, "min", Reading("step", step=20), "x").verdict


@pytest.mark.parametrize(
    ("tag", "told"), [("test/acc", True), ("acc_test", True), ("val/acc", False), ("latest", False)]
)
def test_the_best_of_the_test_data_is_told_to_flatter(tag, told):
    verdict = compare_runs({"a": series([1.0]), "b": series([2.0])}, "max", "best", tag).verdict
    assert ("chosen on the test data itself" in verdict) is told


def test_what_was_chosen_by_what_is_said():
    selection = Selection("val/acc", "max", {run: series([0.5, 0.9]) for run in "ab"})
    runs = {"a": series([0.4, 0.6]), "b": series([0.4, 0.7])}
    verdict = compare_runs(runs, "max", Reading("best", selection=selection), "test/acc").verdict
    assert verdict.startswith("b has the highest test/acc where val/acc is best, 0.7")
    assert "flatters" not in verdict
