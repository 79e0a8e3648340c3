"""Which runs repeat one configuration, what their group is called, and the curve of a group."""

import math

import numpy as np
import pytest

from monitor.analysis.group_curves import MOST_BOOTSTRAP_PLACES, align, centre_of, course_of, group_curve
from monitor.analysis.groups import distinguishing_keys, find_groups, stem_of
from monitor.errors import UsageInvalid
from monitor.schema import Configuration, Points


def configured(**runs):
    return {name: Configuration(values) for name, values in runs.items()}


def members(groups):
    return {group.name: group.runs for group in groups}


# --- by configuration ----------------------------------------------------------------------------------------------


def test_three_configurations_of_five_seeds_are_found_without_help():
    configurations = {
        f"sweep/run_{rate}_{seed}": Configuration({"optimizer.lr": rate, "seed": seed, "model": "act"})
        for rate in (0.1, 0.01, 0.001)
        for seed in range(5)
    }
    groups = find_groups(list(configurations), configurations)
    assert [(group.name, len(group.runs)) for group in groups] == [("lr=0.1", 5), ("lr=0.01", 5), ("lr=0.001", 5)]


@pytest.mark.parametrize("key", ["seed", "random_seed", "globalSeed", "env.seed", "training/seed", "random_state"])
def test_a_key_like_a_seed_does_not_part_runs(key):
    runs = configured(a={"lr": 0.1, key: 1}, b={"lr": 0.1, key: 2})
    assert [group.runs for group in find_groups(["a", "b"], runs)] == [("a", "b")]


@pytest.mark.parametrize("key", ["n_seeds", "fold", "split", "data_path", "commit", "seed_length", "n_gpus"])
def test_a_key_that_may_change_the_result_parts_runs(key):
    runs = configured(a={"lr": 0.1, key: 1, "seed": 1}, b={"lr": 0.1, key: 2, "seed": 2})
    assert len(find_groups(["a", "b"], runs)) == 2


@pytest.mark.parametrize(
    ("key", "first", "second"),
    [
        ("output_dir", "/out/x", "/out/y"),
        ("logging.log_dir", "x", "y"),
        ("timestamp", 1, 2),
        ("run_name", "x", "y"),
        ("hostname", "x", "y"),
        ("pid", 1, 2),
        ("device", "cuda:0", "cuda:1"),
        ("wandb.group", "x", "y"),
        ("notes", "made 2026-01-02 10:11:12", "made 2026-01-03 20:21:22"),
        ("network", "<Network object at 0x7f7e68a987c0>", "<Network object at 0x7f7e69a9a6d0>"),
        ("label", "act_seed1", "act_seed2"),
        ("weights", "runs/a/last.pt", "runs/b/last.pt"),
    ],
)
def test_noise_does_not_part_runs(key, first, second):
    runs = configured(a={"lr": 0.1, "seed": 1, key: first}, b={"lr": 0.1, "seed": 2, key: second})
    assert [group.runs for group in find_groups(["a", "b"], runs)] == [("a", "b")]


def test_an_hparam_of_one_run_and_a_file_of_another_agree_on_whole_numbers():
    runs = configured(a={"layers": 4.0, "seed": 1}, b={"layers": 4, "seed": 2})
    assert len(find_groups(["a", "b"], runs)) == 1


def test_repeated_seeds_part_runs_whose_names_say_something_else():
    runs = {
        f"{method}/run_{seed}": Configuration({"epochs": 5, "seed": seed})
        for method in ("adam", "sgd")
        for seed in (0, 1)
    }
    assert members(find_groups(list(runs), runs)) == {
        "adam": ("adam/run_0", "adam/run_1"),
        "sgd": ("sgd/run_0", "sgd/run_1"),
    }


def test_runs_configured_alike_belong_together_when_their_names_differ_by_a_time():
    names = ["act/run_20260102_101112", "act/run_20260103_101112"]
    groups = find_groups(names, {name: Configuration({"lr": 0.1}) for name in names})
    assert members(groups) == {"act": tuple(names)}
    assert not groups[0].seeded


def test_a_file_above_several_runs_tells_nothing_about_one_of_them():
    shared = Configuration({"lr": 0.1}, {"lr": "../config.yaml"})
    assert len(find_groups(["x/adam", "x/sgd"], {"x/adam": shared, "x/sgd": shared})) == 2


def test_a_file_above_a_single_run_is_its_own():
    own = Configuration({"lr": 0.1, "seed": 1}, {"lr": "../config.yaml", "seed": "../config.yaml"})
    other = Configuration({"lr": 0.1, "seed": 2}, {"lr": "../config.yaml", "seed": "../config.yaml"})
    assert len(find_groups(["x/PPO_1", "y/PPO_1"], {"x/PPO_1": own, "y/PPO_1": other})) == 1


def test_how_far_a_trainer_came_does_not_part_runs():
    runs = {
        name: Configuration({"lr": 0.1, "seed": seed, "epoch": epoch}, {"epoch": "checkpoint-9/trainer_state.json"})
        for name, seed, epoch in (("a", 1, 2.0), ("b", 2, 3.0))
    }
    assert len(find_groups(["a", "b"], runs)) == 1


# --- by name -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("act_seed1", "act_seed2"),
        ("act-s1", "act-s2"),
        ("act/seed_1", "act/seed_2"),
        ("act_seed=1/tb", "act_seed=2/tb"),
        ("CartPole__ppo__1__1700000001", "CartPole__ppo__2__1700000009"),
    ],
)
def test_names_that_differ_only_by_a_seed_form_a_group(names):
    groups = find_groups(names, {})
    assert [group.runs for group in groups] == [names]
    assert groups[0].seeded


def test_names_that_differ_by_consecutive_numbers_form_a_group_where_no_configuration_tells():
    assert members(find_groups(["act_1", "act_2", "sgd_1"], {})) == {"act": ("act_1", "act_2"), "sgd_1": ("sgd_1",)}


@pytest.mark.parametrize(
    "names", [("hidden_64", "hidden_128"), ("version_1", "version_2"), ("exp1", "exp2"), ("a", "b")]
)
def test_other_numbers_form_no_group(names):
    assert len(find_groups(names, {})) == 2


def test_numbers_form_no_group_where_a_configuration_tells():
    runs = configured(act_1={"lr": 0.1}, act_2={"lr": 0.2})
    assert members(find_groups(["act_1", "act_2"], runs)) == {"lr=0.1": ("act_1",), "lr=0.2": ("act_2",)}


@pytest.mark.parametrize(
    ("run", "stem"),
    [
        ("act/run_20260102_101112", "act"),
        ("act/seed_3", "act"),
        ("pick/act_seed3/tb", "pick/act"),
        ("run_1", "run_1"),
        (".", "."),
        ("模型_seed1", "模型"),
    ],
)
def test_a_stem_is_what_is_left_without_seed_time_and_number(run, stem):
    assert stem_of(run) == stem


# --- by a pattern --------------------------------------------------------------------------------------------------


def test_a_pattern_overrules_the_configuration():
    runs = configured(act_x={"lr": 0.1}, act_y={"lr": 0.2}, other={"lr": 0.3})
    groups = find_groups(["act_x", "act_y", "other"], runs, r"^(act)_")
    assert members(groups) == {"act": ("act_x", "act_y"), "other": ("other",)}


@pytest.mark.parametrize("pattern", ["(", "act", "(a)(b)"])
def test_a_pattern_without_exactly_one_group_is_refused(pattern):
    with pytest.raises(UsageInvalid):
        find_groups(["a"], {}, pattern)


def test_groups_that_would_share_a_name_are_counted():
    groups = find_groups(["x_1", "y"], {}, r"^x_1|(none)")
    assert len({group.name for group in groups}) == 2
    assert [group.name for group in find_groups(["a", "ab_1", "ab_2"], {}, r"(a)b")] == ["a", "a (2)"]


# --- names ---------------------------------------------------------------------------------------------------------


def test_a_group_is_named_by_the_fewest_keys_and_those_that_people_name_configurations_by():
    runs = {
        f"{env}{schedule}": Configuration({"env": env, "gamma": gamma, "schedule": schedule, "seed": 1, "same": 3})
        for env, gamma in (("Hopper", 0.9), ("Walker", 0.99))
        for schedule in ("const", "lin", "exp")
    }
    names = [group.name for group in find_groups(list(runs), runs)]
    assert names[0] in ("schedule=const, env=Hopper", "env=Hopper, schedule=const")
    assert len(set(names)) == 6


def test_equal_last_parts_of_two_keys_are_written_in_full():
    settings = [{"a.lr": ("number", "1"), "b.lr": ("number", str(n))} for n in (1, 2)]
    settings.append({"a.lr": ("number", "2"), "b.lr": ("number", "1")})
    assert set(distinguishing_keys(settings)) == {"a.lr", "b.lr"}
    runs = configured(x={"a.lr": 1, "b.lr": 1}, y={"a.lr": 1, "b.lr": 2}, z={"a.lr": 2, "b.lr": 1})
    assert find_groups(list(runs), runs)[0].name == "a.lr=1, b.lr=1"


def test_a_hostile_value_is_one_harmless_line_in_a_name():
    runs = configured(a={"x": "one\ntwo\u202e" + "y" * 300}, b={"x": 2})
    name = find_groups(["a", "b"], runs)[0].name
    assert name.startswith("x=one two")
    assert len(name) < 40


# --- curves --------------------------------------------------------------------------------------------------------


def curve(steps, values):
    return np.array(steps, np.float64), np.array(values, np.float64)


def test_curves_are_read_at_existing_steps_inside_all_of_them():
    x, values = align([curve([0, 10, 20], [1, 2, 3]), curve([5, 15, 40], [10, 20, 30])])
    assert x.tolist() == [5, 10, 15, 20]
    assert values.tolist() == [[1, 2, 2, 3], [10, 10, 20, 20]]


def test_with_two_as_the_least_a_shorter_curve_ends_and_is_not_prolonged():
    x, values = align([curve([0, 1], [1, 1]), curve([0, 1, 2], [2, 2, 2]), curve([0, 1, 2, 3], [3, 3, 3, 3])], 2)
    assert x.tolist() == [0, 1, 2]
    assert math.isnan(values[0, 2])


def test_curves_that_do_not_overlap_have_no_common_place():
    assert not len(align([curve([0, 1], [1, 1]), curve([5, 6], [1, 1])])[0])


def test_a_curve_without_points_leaves_no_place():
    assert not len(align([curve([0, 1], [1, 1]), curve([], [])])[0])


def test_no_curves_give_an_empty_group():
    assert not len(group_curve([]).x)


def test_a_superseded_point_is_not_part_of_a_curve():
    points = Points(
        np.array([0, 1, 1, 2]), np.arange(4.0), np.array([1.0, 9.0, 2.0, 3.0]), np.array([0, 0, 1, 1], np.int16)
    )
    assert course_of(points).value.tolist() == [1, 2, 3]


def test_the_band_of_deviations_is_the_sample_standard_deviation():
    group = group_curve([curve([0], [1.0]), curve([0], [2.0]), curve([0], [6.0])])
    assert group.centre[0] == pytest.approx(3)
    assert group.high[0] - group.centre[0] == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert group.n.tolist() == [3]


def test_a_run_that_is_nan_is_missing_there_and_counted_as_such():
    group = group_curve([curve([0, 1], [1.0, math.nan]), curve([0, 1], [3.0, 5.0])], band="range")
    assert group.centre.tolist() == [2, 5]
    assert group.n.tolist() == [2, 1]
    assert (group.low[0], group.high[0]) == (1, 3)
    assert math.isnan(group.low[1])


@pytest.mark.parametrize("count", [2, 4, 5, 8, 11])
def test_centres_are_those_of_scipy_and_numpy(count):
    from scipy.stats import trim_mean

    values = np.random.default_rng(count).normal(size=(count, 7))
    assert centre_of(values, "iqm") == pytest.approx(trim_mean(values, 0.25, axis=0))
    assert centre_of(values, "median") == pytest.approx(np.median(values, axis=0))
    assert centre_of(values, "mean") == pytest.approx(values.mean(axis=0))


@pytest.mark.parametrize("centre", ["mean", "median", "iqm"])
def test_the_bootstrap_band_is_that_of_scipy(centre):
    from scipy.stats import bootstrap, trim_mean

    statistic = {"mean": np.mean, "median": np.median, "iqm": lambda sample, axis: trim_mean(sample, 0.25, axis=axis)}
    values = np.random.default_rng(0).normal(size=101)
    group = group_curve([curve([0], [value]) for value in values], centre, "bootstrap")
    other = bootstrap(
        (values,), statistic[centre], vectorized=True, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    width = other.high - other.low
    assert group.low[0] == pytest.approx(other.low, abs=0.08 * width)
    assert group.high[0] == pytest.approx(other.high, abs=0.08 * width)


def test_a_long_bootstrap_band_keeps_existing_places_only():
    steps = np.arange(0, 3 * MOST_BOOTSTRAP_PLACES, 3)
    group = group_curve([curve(steps, steps), curve(steps, steps + 1.0)], band="bootstrap")
    assert len(group.x) <= MOST_BOOTSTRAP_PLACES
    assert set(group.x) <= set(steps)
    assert (group.x[0], group.x[-1]) == (0, steps[-1])
