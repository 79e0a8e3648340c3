"""Time left with its range, from how much recent intervals differ."""

import numpy as np
import pytest

from monitor.analysis.time_left import time_left
from monitor.schema import Points, Progress

LEFT = Progress(eta_seconds=1_000.0)


def points_with_pace(seconds: list[float], session: int = 0) -> Points:
    """Return one point per step, the given seconds apart."""
    times = 1_700_000_000.0 + np.cumsum([0.0, *seconds])
    count = len(times)
    return Points(np.arange(count, dtype=np.int64), times, np.ones(count), np.full(count, session, np.int16))


def test_without_a_known_end_there_is_no_time_left() -> None:
    assert time_left(Progress(eta_seconds=None), points_with_pace([10.0] * 9)) is None


def test_steps_of_equal_length_give_no_range() -> None:
    left = time_left(LEFT, points_with_pace([10.0] * 30))
    assert left is not None
    assert (left.low_seconds, left.seconds, left.high_seconds) == (1_000.0, 1_000.0, 1_000.0)


def test_the_range_is_that_of_the_quartiles_around_the_usual_length() -> None:
    left = time_left(LEFT, points_with_pace([8.0, 9.0, 10.0, 11.0, 12.0] * 4))
    assert left is not None
    assert left.low_seconds == pytest.approx(900.0)
    assert left.high_seconds == pytest.approx(1_100.0)
    assert left.n_intervals == 20


def test_too_few_intervals_give_the_time_alone() -> None:
    left = time_left(LEFT, points_with_pace([5.0, 50.0, 500.0]))
    assert left is not None
    assert (left.low_seconds, left.high_seconds, left.n_intervals) == (1_000.0, 1_000.0, 0)


def test_a_break_before_the_newest_session_does_not_count() -> None:
    before, after = points_with_pace([1.0, 100.0] * 10), points_with_pace([10.0] * 10, session=1)
    both = Points(
        np.concatenate([before.step, after.step + len(before)]),
        np.concatenate([before.wall_time, after.wall_time + 10_000.0]),
        np.concatenate([before.value, after.value]),
        np.concatenate([before.session, after.session]),
    )
    left = time_left(LEFT, both)
    assert left is not None
    assert left.low_seconds == left.high_seconds == pytest.approx(1_000.0)


def test_points_at_one_step_count_once() -> None:
    points = points_with_pace([0.0, 10.0] * 10)
    twice = Points(points.step // 2, points.wall_time, points.value, points.session)
    left = time_left(LEFT, twice)
    assert left is not None
    assert left.low_seconds == left.high_seconds
