"""Hiding, smoothing, thinning and placing the points of one series, against plain loops and closed forms."""

import math
import time

import numpy as np
import pytest

from monitor.analysis.series import (
    Best,
    Visible,
    axis_values,
    loss_trend,
    metric_of,
    non_finite_rows,
    session_starts,
    smooth,
    smooth_sessions,
    thin,
    visible,
)
from monitor.schema import Points, RoleTag

NAN, INF = math.nan, math.inf


def series(steps, values=None, *, sessions=None, wall=None) -> Points:
    count = len(steps)
    return Points(
        np.array(steps, np.int64),
        np.arange(count, dtype=np.float64) if wall is None else np.array(wall, np.float64),
        np.arange(count, dtype=np.float64) if values is None else np.array(values, np.float64),
        np.zeros(count, np.int16) if sessions is None else np.array(sessions, np.int16),
    )


def loop_smooth(values, weight):
    """The recurrence as it is written down, one value after the other."""
    if all(value == values[0] for value in values):
        return list(values)
    mean, count, smoothed = 0.0, 0, []
    for value in values:
        if not math.isfinite(value):
            smoothed.append(value)
            continue
        count += 1
        mean = weight * mean + (1 - weight) * value
        smoothed.append(mean / (1 - weight**count))
    return smoothed


def loop_visible(points):
    kept = []
    for row in range(len(points)):
        later = points.step[points.session > points.session[row]]
        kept.append(not len(later) or points.step[row] < later.min())
    return np.array(kept, bool)


# --- visible


def test_points_before_a_resume_are_hidden_from_its_first_step_on():
    shown = visible(series([0, 1, 2, 3, 2, 3, 4], sessions=[0, 0, 0, 0, 1, 1, 1]))
    assert (shown.step.tolist(), shown.value.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 4, 5, 6])


def test_a_restart_from_the_beginning_hides_all_before_it():
    assert visible(series([0, 1, 2, 0, 1], sessions=[0, 0, 0, 1, 1])).value.tolist() == [3, 4]


def test_a_resume_behind_the_last_step_hides_nothing():
    points = series([0, 1, 5, 6], sessions=[0, 0, 1, 1])
    assert visible(points) is points


def test_steps_repeated_within_a_session_stay():
    assert len(visible(series([1, 1, 1, 2, 2]))) == 5


def test_hiding_equals_its_definition_for_many_restarts():
    random = np.random.default_rng(0)
    for _ in range(50):
        sessions = np.sort(random.integers(0, 5, 60))
        steps = random.integers(0, 40, 60)
        steps = steps[np.lexsort((steps, sessions))]
        points = series(steps, sessions=sessions)
        assert visible(points).value.tolist() == points.value[loop_visible(points)].tolist()


@pytest.mark.parametrize("copied", [False, True], ids=["growing in place", "copied every time"])
def test_a_growing_series_shows_what_it_would_at_once(copied):
    random = np.random.default_rng(0)
    for _ in range(20):
        sessions = np.sort(random.integers(0, 6, 80))
        steps = random.integers(0, 40, 80)
        whole = series(steps[np.lexsort((steps, sessions))], sessions=sessions)
        growing = Visible()
        for end in np.sort(random.integers(0, 81, 30)):
            points = whole.take(np.arange(end) if copied else slice(end))
            growing.follow(points)
            assert growing.points.value.tolist() == points.value[loop_visible(points)].tolist()


def test_points_shown_before_a_restart_stay_as_they_were():
    whole, growing = series([0, 1, 2, 3, 1, 2, 3, 4], sessions=[0, 0, 0, 0, 1, 1, 1, 1]), Visible()
    shown = []
    for end in range(9):
        growing.follow(whole.take(slice(end)))
        shown.append(growing.points)
    assert [len(points) for points in shown] == [0, 1, 2, 3, 4, 2, 3, 4, 5]
    assert [points.value[-1] for points in shown[1:]] == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_growing_series_of_which_nothing_is_hidden_is_not_copied():
    whole, growing = series(range(6), sessions=[0, 0, 0, 1, 1, 1]), Visible()
    for end in (2, 4, 6):
        points = whole.take(slice(end))
        growing.follow(points)
        assert growing.points is points


def test_a_series_that_was_replaced_is_shown_anew():
    growing = Visible()
    growing.follow(series([0, 1, 2, 1, 2], sessions=[0, 0, 0, 1, 1]))
    growing.follow(series([5, 6, 7]))
    assert growing.points.step.tolist() == [5, 6, 7]


def test_session_starts_are_the_rows_at_which_the_session_changes():
    random = np.random.default_rng(0)
    for most in (1, 3, 32_767):
        sessions = np.sort(random.integers(0, most + 1, 200))
        expected = [row for row in range(200) if row == 0 or sessions[row] != sessions[row - 1]]
        assert session_starts(series(range(200), sessions=sessions)).tolist() == expected


def test_an_empty_series_stays_empty():
    assert len(visible(Points.empty())) == 0


# --- smooth


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.6, 0.9, 0.99, 0.999])
def test_smoothing_equals_the_recurrence(weight):
    values = np.random.default_rng(1).normal(size=700).cumsum()
    assert smooth(values, weight) == pytest.approx(loop_smooth(values, weight), rel=1e-9, abs=1e-9)


def test_values_that_are_not_finite_are_passed_through_and_do_not_enter_the_mean():
    values = np.array([NAN, 1.0, INF, 3.0, NAN, -INF, 2.0])
    assert smooth(values, 0.6) == pytest.approx(loop_smooth(values, 0.6), nan_ok=True)


def test_the_first_smoothed_value_is_the_value_itself():
    assert smooth(np.array([5.0, 1.0]), 0.99)[0] == pytest.approx(5.0)


def test_a_constant_series_is_unchanged():
    assert smooth(np.full(50, 0.1), 0.97).tolist() == [0.1] * 50


@pytest.mark.parametrize("values", [[], [NAN, NAN], [2.0]])
def test_nothing_to_smooth_is_returned_as_it_is(values):
    assert smooth(np.array(values), 0.6) == pytest.approx(values, nan_ok=True)


def test_smoothing_leaves_its_input_alone():
    values = np.array([1.0, 2.0, 3.0])
    smooth(values, 0.6)
    assert values.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("weight", [-0.1, 1.0, NAN])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(ValueError, match="weight"):
        smooth(np.array([1.0, 2.0]), weight)


def test_a_million_points_are_smoothed_quickly():
    values = np.random.default_rng(2).normal(size=1_000_000)
    begin = time.process_time()
    smooth(values, 0.999)
    assert time.process_time() - begin < 0.3


def test_smoothing_begins_anew_at_every_session():
    points = series([0, 1, 2, 0, 1], [4.0, 2.0, 1.0, 8.0, 6.0], sessions=[0, 0, 0, 1, 1])
    expected = loop_smooth([4.0, 2.0, 1.0], 0.6) + loop_smooth([8.0, 6.0], 0.6)
    assert smooth_sessions(points, 0.6) == pytest.approx(expected)


def test_an_empty_series_smooths_to_nothing():
    assert len(smooth_sessions(Points.empty(), 0.6)) == 0


# --- thin


@pytest.mark.parametrize("n", [4, 5, 10, 99, 100, 1000])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 11, 101, 5000])
def test_thinning_keeps_first_last_and_the_extremes_within_its_limit(n, count):
    values = np.random.default_rng(count).normal(size=count)
    rows = thin(np.arange(count), values, n)
    assert len(rows) <= n and (np.diff(rows) > 0).all()
    if count:
        assert {0, count - 1} <= set(rows.tolist())
        assert values[rows].min() == values.min() and values[rows].max() == values.max()


def test_a_short_series_is_not_thinned():
    assert thin(np.arange(4), np.array([1.0, NAN, 3.0, INF]), 4).tolist() == [0, 1, 2, 3]


def test_every_bucket_keeps_its_own_extremes():
    values = np.zeros(1000)
    values[[50, 450, 950]] = 9.0
    values[[60, 460, 960]] = -9.0
    assert {50, 60, 450, 460, 950, 960} <= set(thin(np.arange(1000), values, 22).tolist())


def test_values_that_are_not_finite_do_not_displace_the_extremes():
    values = np.linspace(0.0, 1.0, 1000)
    values[::2] = NAN
    values[501] = INF
    values[301] = 7.0
    rows = thin(np.arange(1000), values, 20)
    assert 301 in rows and 501 not in rows


def test_a_series_without_finite_values_keeps_its_ends():
    assert thin(np.arange(100), np.full(100, NAN), 10).tolist() == [0, 99]


def test_points_without_a_place_on_the_axis_are_left_out():
    x = np.arange(100.0)
    x[:50] = NAN
    assert thin(x, np.arange(100.0), 10)[0] == 50


def test_too_few_rows_to_keep_the_shape_are_refused():
    with pytest.raises(ValueError, match="n must be"):
        thin(np.arange(10), np.arange(10.0), 3)


def test_rows_that_are_not_finite_are_named():
    assert non_finite_rows(np.array([1.0, NAN, INF, 2.0, -INF])).tolist() == [1, 2, 4]


# --- axes


def test_the_step_and_the_wall_axis_are_the_columns():
    points = series([3, 4], wall=[100.0, 110.0])
    assert axis_values(points, "step").tolist() == [3.0, 4.0]
    assert axis_values(points, "wall").tolist() == [100.0, 110.0]


def test_relative_time_counts_from_the_begin_of_the_run():
    points = series([3, 4], wall=[100.0, 110.0])
    assert axis_values(points, "relative", 90.0).tolist() == [10.0, 20.0]
    assert axis_values(points, "relative").tolist() == [0.0, 10.0]


def test_epochs_are_counted_from_one_where_steps_are_epochs():
    assert axis_values(series([0, 4]), "epoch", first_epoch_step=0).tolist() == [1.0, 5.0]
    assert axis_values(series([1, 4]), "epoch", first_epoch_step=1).tolist() == [1.0, 4.0]


def test_epochs_are_interpolated_over_the_steps_of_the_epoch_series():
    epochs = series([0, 100, 100, 200], [0.0, 0.9, 1.0, 2.0])
    assert axis_values(series([50, 100, 150]), "epoch", epoch_points=epochs).tolist() == [0.5, 1.0, 1.5]


def test_the_epoch_axis_of_a_run_with_unknown_epochs_is_unknown():
    assert np.isnan(axis_values(series([1, 2]), "epoch")).all()
    assert np.isnan(axis_values(series([1, 2]), "epoch", epoch_points=series([0], [NAN]))).all()


@pytest.mark.parametrize("axis", ["step", "epoch", "relative", "wall"])
def test_no_points_have_no_places(axis):
    assert len(axis_values(Points.empty(), axis)) == 0


# --- summaries

LOSS = RoleTag("train/loss", "loss")


def test_a_metric_holds_newest_previous_change_and_best():
    metric = metric_of(series([0, 1, 2, 3], [4.0, 1.0, 2.0, 1.5]), LOSS)
    assert (metric.step, metric.value, metric.previous, metric.change_percent) == (3, 1.5, 2.0, -25.0)
    assert (metric.best, metric.best_step) == (1.0, 1)


def test_the_best_of_a_maximised_metric_is_its_largest():
    metric = metric_of(series([0, 1, 2], [0.1, 0.9, 0.5]), RoleTag("acc", "acc", "max"))
    assert (metric.best, metric.best_step) == (0.9, 1)


def test_a_quantity_without_direction_has_no_best():
    assert metric_of(series([0, 1]), RoleTag("lr", "learning rate", None)).best is None


def test_a_metric_is_scaled_to_the_unit_of_its_role():
    metric = metric_of(series([0, 1], [2.0, 1.0]), RoleTag("epoch_minutes", "epoch duration", "min", 60.0))
    assert (metric.value, metric.previous, metric.best) == (60.0, 120.0, 60.0)


def test_a_superseded_best_does_not_count():
    metric = metric_of(series([0, 1, 2, 1, 2], [5.0, 4.0, 0.1, 3.0, 2.0], sessions=[0, 0, 0, 1, 1]), LOSS)
    assert (metric.best, metric.best_step, metric.previous) == (2.0, 2, 3.0)


def test_a_value_written_twice_is_compared_with_the_step_before():
    assert metric_of(series([0, 0, 1, 1], [4.0, 4.0, 2.0, 2.0]), LOSS).change_percent == -50.0


def test_points_of_one_step_are_compared_with_the_point_before():
    assert metric_of(series([7, 7, 7], [4.0, 3.0, 6.0]), LOSS).previous == 3.0


@pytest.mark.parametrize("values", [[0.0, 1.0], [NAN, 1.0], [1.0, NAN], [INF, 1.0], [1.0]])
def test_a_change_from_nothing_is_unknown(values):
    assert metric_of(series(range(len(values)), values), LOSS).change_percent is None


def test_a_newest_nan_is_shown_and_the_best_finite_value_kept():
    metric = metric_of(series([0, 1, 2], [1.0, -INF, NAN]), LOSS)
    assert math.isnan(metric.value) and (metric.best, metric.best_step) == (1.0, 0)


def test_the_change_of_a_negative_value_has_the_sign_of_the_movement():
    assert metric_of(series([0, 1], [-2.0, -1.0]), LOSS).change_percent == 50.0


def test_a_series_without_points_has_no_metric():
    assert metric_of(Points.empty(), LOSS) is None


@pytest.mark.parametrize("direction", ["min", "max", None])
def test_the_best_of_a_growing_series_is_the_best_at_once(direction):
    random = np.random.default_rng(0)
    values = np.where(random.random(300) < 0.2, random.choice([NAN, INF, -INF], 300), random.integers(0, 50, 300))
    steps = np.concatenate((np.arange(150), 100 + np.arange(150)))
    whole, role = series(steps, values, sessions=np.repeat([0, 1], 150)), RoleTag("a", "a", direction, 0.1)
    growing, best = Visible(), Best(role)
    for end in range(0, 301, 7):
        growing.follow(whole.take(slice(end)))
        assert repr(metric_of(growing.points, role, best)) == repr(metric_of(whole.take(slice(end)), role))


def test_the_trend_holds_the_last_steps_relative_to_the_largest():
    bars = loss_trend(series(range(5), [9.0, 8.0, 4.0, 2.0, 1.0]), 3)
    assert [(bar.step, bar.value, bar.share) for bar in bars] == [(2, 4.0, 1.0), (3, 2.0, 0.5), (4, 1.0, 0.25)]


def test_the_trend_shows_one_bar_per_step_and_no_superseded_point():
    bars = loss_trend(series([0, 1, 2, 1, 1], [8.0, 8.0, 8.0, 4.0, 2.0], sessions=[0, 0, 0, 1, 1]), 10)
    assert [(bar.step, bar.value) for bar in bars] == [(0, 8.0), (1, 2.0)]


@pytest.mark.parametrize(
    ("values", "shares"),
    [
        ([2.0, NAN, 1.0], [1.0, 0.0, 0.5]),
        ([2.0, INF, -INF], [1.0, 1.0, 0.0]),
        ([-1.0, 0.0, 1.0], [0.0, 0.5, 1.0]),
        ([-2.0, -2.0], [0.0, 0.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([NAN, INF], [0.0, 1.0]),
        ([], []),
    ],
)
def test_bars_are_defined_for_every_value(values, shares):
    assert [bar.share for bar in loss_trend(series(range(len(values)), values), 10)] == pytest.approx(shares)
