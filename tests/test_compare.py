"""Figures per run, their ranking and what the verdict dares to say."""

import math

import numpy as np
import pytest

from monitor.analysis.compare import compare_runs, config_difference
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


def test_only_keys_that_differ_are_shown_and_a_missing_one_is_unknown():
    first = Configuration({"lr": 0.1, "seed": 1, "optimizer": "adam"})
    second = Configuration({"lr": 0.2, "seed": 1})
    assert config_difference({"a": first, "b": second}) == {
        "lr": {"a": 0.1, "b": 0.2},
        "optimizer": {"a": "adam", "b": None},
    }


def test_a_run_without_configuration_makes_no_key_differ():
    told = Configuration({"lr": 0.1})
    assert config_difference({"a": told, "b": Configuration()}) == {}


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [(1, 1.0, False), (1, True, True), (1, "1", True), (math.nan, math.nan, False), (None, "None", True)],
)
def test_values_differ_by_what_they_mean(first, second, differ):
    runs = {"a": Configuration({"key": first, "x": 0}), "b": Configuration({"key": second, "x": 0})}
    assert ("key" in config_difference(runs)) is differ
