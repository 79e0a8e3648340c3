"""A run in short: what the list of many runs tells of one."""

import numpy as np
import pytest

from monitor.digest import COURSE_POINTS, digest_series
from monitor.schema import Points


def series(values: list[float], session: list[int] | None = None, step: list[int] | None = None) -> Points:
    count = len(values)
    return Points(
        np.array(range(count) if step is None else step, np.int64),
        np.arange(count, dtype=np.float64),
        np.array(values, np.float64),
        np.array([0] * count if session is None else session, np.int16),
    )


def test_best_and_last_and_course_are_those_of_the_points():
    digest = digest_series(series([3.0, 1.0, 2.0]))
    assert digest is not None
    assert (digest.best("min"), digest.best("max"), digest.best(None)) == (1.0, 3.0, None)
    assert (digest.last, digest.course) == (2.0, (3.0, 1.0, 2.0))


def test_what_is_no_number_is_the_last_value_but_never_the_best():
    digest = digest_series(series([2.0, np.nan, -np.inf, np.inf]))
    assert digest is not None
    assert (digest.best("min"), digest.best("max")) == (2.0, 2.0)
    assert (digest.last, digest.course) == (np.inf, (2.0,))


def test_a_series_of_nan_has_no_best():
    digest = digest_series(series([np.nan]))
    assert digest is not None
    assert (digest.best("min"), digest.course) == (None, ())


def test_points_that_a_later_session_overwrote_do_not_count():
    digest = digest_series(series([3.0, 0.1, 2.0, 1.0], session=[0, 0, 1, 1], step=[0, 1, 1, 2]))
    assert digest is not None
    assert (digest.best("min"), digest.course) == (1.0, (3.0, 2.0, 1.0))


def test_the_course_of_a_long_series_is_short_and_keeps_its_extremes():
    values = np.sin(np.arange(10_000) / 500)
    values[4_321] = 9.0
    digest = digest_series(series(values.tolist()))
    assert digest is not None
    assert len(digest.course) <= COURSE_POINTS
    assert max(digest.course) == pytest.approx(9.0)


def test_a_series_without_points_has_no_digest():
    assert digest_series(Points.empty()) is None
