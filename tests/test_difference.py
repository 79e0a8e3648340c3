"""Whether groups differ: the interval against other ways to find it, its coverage, corrections, and the words."""

import numpy as np
import pytest

from monitor.analysis.difference import differences, holm, mean_interval, needed_runs, pair_probabilities, welch


def normal(mean, n=5, spread=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, spread, n)


def bootstrap_interval(a, b, rng):
    """Return the 95 % percentile interval of mean(a) − mean(b), drawn here and by no library."""
    gaps = [rng.choice(a, len(a)).mean() - rng.choice(b, len(b)).mean() for _ in range(4000)]
    return tuple(np.percentile(gaps, [2.5, 97.5]))


def told(values, baseline, direction="min", *, chosen_by_result=False, repetitions="seeds"):
    return differences(
        {name: np.array(found, np.float64) for name, found in values.items()},
        baseline,
        direction,
        dict.fromkeys(values, repetitions),
        chosen_by_result=chosen_by_result,
    )


# --- the interval --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_a", "n_b", "spread"), [(2, 2, 1.0), (5, 5, 1.0), (3, 9, 4.0), (30, 20, 0.1)])
def test_interval_and_probability_are_those_of_scipys_welch_test(n_a, n_b, spread):
    from scipy.stats import ttest_ind

    a, b = normal(1.0, n_a, seed=1), normal(0.0, n_b, spread, seed=2)
    found, other = welch(a, b), ttest_ind(a, b, equal_var=False)
    assert found.p_value == pytest.approx(other.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(other.confidence_interval()))


def test_with_many_runs_the_interval_is_that_of_a_bootstrap():
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.3, 0.1, 60), rng.normal(0.25, 0.2, 40)
    found, (low, high) = welch(a, b), bootstrap_interval(a, b, rng)
    assert found.low == pytest.approx(low, abs=0.08 * (high - low))
    assert found.high == pytest.approx(high, abs=0.08 * (high - low))


def test_with_five_runs_the_interval_holds_that_of_a_bootstrap_which_is_too_narrow_there():
    a, b = normal(1.0, seed=1), normal(0.0, seed=2)
    found, (low, high) = welch(a, b), bootstrap_interval(a, b, np.random.default_rng(0))
    assert found.low < low < found.difference < high < found.high


@pytest.mark.parametrize(("n_a", "n_b", "spread"), [(5, 5, 1.0), (3, 3, 1.0), (5, 5, 3.0), (3, 10, 2.0)])
def test_the_interval_covers_the_true_difference_in_95_of_100_repetitions(n_a, n_b, spread):
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1500):
        found = welch(rng.normal(1.0, 1.0, n_a), rng.normal(0.4, spread, n_b))
        covered += found.low <= 0.6 <= found.high
    assert 0.93 <= covered / 1500 <= 0.98


def test_skewed_results_are_covered_too():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(1500):
        found = welch(rng.lognormal(0, 0.5, 5), rng.lognormal(0, 0.5, 5))
        covered += found.low <= 0 <= found.high
    assert 0.90 <= covered / 1500 <= 0.98


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], [1.0, 2.0]), ([1.0, 1.0], [2.0, 2.0])])
def test_there_is_no_interval_without_two_runs_each_or_without_any_noise(a, b):
    assert welch(np.array(a), np.array(b)) is None


def test_the_probabilities_of_all_pairs_are_those_of_each_pair():
    groups = [normal(0.1 * n, n + 2, seed=n) for n in range(4)] + [np.array([1.0]), np.array([2.0, 2.0])]
    each = [welch(a, b) for place, a in enumerate(groups) for b in groups[place + 1 :]]
    assert pair_probabilities(groups) == pytest.approx([found.p_value for found in each if found is not None])


def test_the_interval_of_a_mean_is_students():
    from scipy.stats import t

    values = normal(0.0, 6)
    expected = t.interval(0.95, 5, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(6))
    assert mean_interval(values) == pytest.approx(expected)


# --- many comparisons ----------------------------------------------------------------------------------------------


def test_holms_correction_of_a_known_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holms_correction_never_passes_one_and_takes_nothing():
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_baseline_chosen_for_its_result_is_corrected_for_every_pair():
    values = {name: normal(0.0, seed=seed) for seed, name in enumerate("abcd")}
    assert told(values, "a").n_tests == 3
    assert told(values, "a", chosen_by_result=True).n_tests == 6


def test_of_equal_groups_the_best_seems_better_in_fewer_than_one_in_twenty_repetitions():
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        values = {name: rng.normal(0, 1, 5) for name in "abcdef"}
        best = min(values, key=lambda name: values[name].mean())
        found = told(values, best, chosen_by_result=True)
        alarms += any(item.outcome != "not_separable" for item in found.each)
    assert alarms / 300 <= 0.06


# --- how many runs it would take -----------------------------------------------------------------------------------


def test_the_estimate_is_that_of_the_textbook():
    # Cohen's d = 0.8, 80 % power, two-sided 5 %: 26 in each group; scaled to give exactly that d.
    standard = np.array([-1.0, 1.0]) / np.sqrt(2)
    assert needed_runs(standard + 0.8, standard) == 26


def test_that_many_runs_find_the_difference_four_times_out_of_five():
    rng = np.random.default_rng(4)
    unit = np.array([-1.0, 1.0]) / np.sqrt(2)
    n = needed_runs(unit + 1.5, unit)
    found = sum(welch(rng.normal(1.5, 1, n), rng.normal(0, 1, n)).p_value < 0.05 for _ in range(1000))
    assert 0.75 <= found / 1000 <= 0.88


def test_a_tiny_difference_has_no_estimate():
    assert needed_runs(normal(0.001), normal(0.0)) is None


# --- the words -----------------------------------------------------------------------------------------------------

CLOSE = [0.30, 0.31, 0.32, 0.33, 0.34]


def test_a_worse_group_is_told_with_interval_and_seeds():
    found = told({"A": CLOSE, "B": [value + 0.1 for value in CLOSE]}, "A").each[0]
    assert found.outcome == "worse"
    assert found.sentence == "B is worse than A by 0.1 (95 % interval 0.0769 to 0.123, 5 and 5 seeds)."


@pytest.mark.parametrize(("direction", "outcome"), [("min", "worse"), ("max", "better")])
def test_better_goes_by_the_direction(direction, outcome):
    found = told({"A": CLOSE, "B": [value + 0.1 for value in CLOSE]}, "A", direction).each[0]
    assert found.outcome == outcome
    assert f"B is {outcome} than A by 0.1 (95 % interval 0.0769 to 0.123" in found.sentence


def test_the_difference_keeps_its_sign_in_figures():
    found = told({"A": CLOSE, "B": [value - 0.1 for value in CLOSE]}, "A").each[0]
    assert found.difference == pytest.approx(-0.1)
    assert found.low < found.difference < found.high < 0


def test_no_difference_seen_comes_with_an_estimate():
    found = told({"A": CLOSE, "B": [value + 0.02 for value in CLOSE]}, "A").each[0]
    assert found.outcome == "not_separable"
    assert found.sentence.startswith(
        "No difference seen between B and A: 0.02 (95 % interval −0.00306 to 0.0431, 5 and 5"
    )
    assert found.needed_runs == 11  # Cohen: d = 1.26
    assert found.sentence.endswith("if it is real, about 6 more runs of each would show it (an estimate).")


def test_what_many_comparisons_take_away_is_said():
    values = {"A": CLOSE, "B": [value + 0.027 for value in CLOSE]}
    alone = told(values, "A").each[0]
    others = {name: normal(0.32, 5, 0.015, seed) for seed, name in enumerate("CDEF")}
    among = told({**values, **others}, "A", chosen_by_result=True).each[0]
    assert alone.outcome == "worse"
    assert among.outcome == "not_separable"
    assert "but among 15 comparisons that may be chance" in among.sentence


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1.0], [2.0], "B and A are not separable with 1 run each."),
        ([1.0, 2.0], [2.0], "B and A are not separable with 1 and 2 runs; it takes two of each at least."),
        ([1.0, 2.0], [], "B has no finite value, so there is nothing to compare with A."),
        ([500.0] * 3, [500.0] * 3, "No difference seen between B and A: all runs of both gave 500."),
        ([1.0, 1.0], [2.0, 2.0], "B and A are not separable: the runs of a group do not differ at all, so their noise"),
    ],
)
def test_the_sentence_says_why_there_is_no_interval(a, b, words):
    assert told({"A": a, "B": b}, "A").each[0].sentence.startswith(words)


def test_runs_that_are_not_told_to_be_seeds_are_called_runs():
    found = told({"A": CLOSE, "B": [value + 0.1 for value in CLOSE]}, "A", repetitions="runs").each[0]
    assert "5 and 5 runs" in found.sentence
