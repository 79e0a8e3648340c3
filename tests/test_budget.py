"""Runs at the same budget: where the shortest ends, and what is left of the others."""

import numpy as np

from monitor.analysis.budget import common_limit
from monitor.schema import Points


def series(steps: list[int], seconds: float, start: float = 0.0) -> Points:
    step = np.array(steps, np.int64)
    return Points(
        step, start + seconds * np.arange(len(steps)), np.arange(len(steps)) * 1.0, np.zeros(len(steps), "i2")
    )


def test_the_same_steps_end_where_the_shortest_run_does() -> None:
    short, long = series([0, 10, 20], 1), series([0, 15, 20, 25], 1)
    limit = common_limit([long, short], [0.0, 0.0], "steps")
    assert limit is not None
    assert (limit.limit, limit.shortest) == (20, 1)
    assert limit.cut(long, 0.0).step.tolist() == [0, 15, 20]


def test_the_same_time_counts_from_the_start_of_each_run() -> None:
    slow, fast = series([0, 1, 2], 60, start=1e6), series(list(range(10)), 30, start=5e6)
    limit = common_limit([slow, fast], [1e6, 5e6], "time")
    assert limit is not None
    assert limit.limit == 120
    assert limit.cut(fast, 5e6).step.tolist() == [0, 1, 2, 3, 4]
    assert limit.cut(slow, 1e6).step.tolist() == [0, 1, 2]


def test_a_run_without_points_does_not_cut_the_others() -> None:
    limit = common_limit([Points.empty(), series([0, 5], 1)], [None, 0.0], "steps")
    assert limit is not None
    assert (limit.limit, limit.shortest) == (5, 1)


def test_nothing_is_cut_where_nobody_asks_or_nothing_is_there() -> None:
    assert common_limit([series([0, 5], 1)], [0.0], "all") is None
    assert common_limit([Points.empty()], [None], "steps") is None


def test_steps_written_again_after_a_restart_do_not_lengthen_a_run() -> None:
    restarted = Points(
        np.array([0, 1, 2, 9, 1, 2, 3]), np.arange(7.0), np.arange(7.0), np.array([0, 0, 0, 0, 1, 1, 1], "i2")
    )
    limit = common_limit([restarted, series([0, 4, 8], 1)], [0.0, 0.0], "steps")
    assert limit is not None
    assert limit.limit == 3
