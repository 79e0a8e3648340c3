"""Arrays, selections and summaries that grow at their end, against what they are when made at once."""

import numpy as np
import pytest

from monitor.growing import GrowingArray, GrowingPoints, Sifted, Tally
from monitor.schema import Points

LENGTHS = (0, 1, 1, 3, 40, 0, 200)


def points(count: int, seed: int = 0) -> Points:
    random = np.random.default_rng(seed)
    value = np.where(random.random(count) < 0.1, np.nan, random.normal(size=count))
    return Points(np.arange(count), 1000.0 + np.arange(count), value, np.repeat(np.int16(3), count))


def same(one: Points, other: Points) -> bool:
    return len(one) == len(other) and one.begins_with(other)


class Count(Tally):
    """Counts points, and how many of them it looked at."""

    looked = 0

    def clear(self) -> None:
        self.count = 0

    def add(self, points: Points, seen: int) -> None:
        self.count += len(points) - seen
        self.looked += len(points) - seen


# --- the same beginning


def test_points_begin_with_their_own_first_points():
    whole = points(50)
    assert all(whole.begins_with(whole.take(slice(count))) for count in range(51))


def test_copied_points_begin_with_the_same_points_nan_included():
    assert points(50).begins_with(points(50).take(np.arange(50) < 30))


def test_fewer_points_do_not_begin_with_more():
    assert not points(50).take(slice(49)).begins_with(points(50))


@pytest.mark.parametrize("column", ["step", "wall_time", "value", "session"])
def test_a_change_in_any_column_is_another_beginning(column: str):
    changed = points(50).take(np.arange(50))
    getattr(changed, column)[0] += 1
    assert not changed.begins_with(points(50))


def test_other_rows_of_the_same_columns_are_another_beginning():
    whole = points(50)
    assert not whole.take(slice(10, None)).begins_with(whole.take(slice(20)))


def test_a_session_written_once_for_all_points_is_compared_as_such():
    one, other = points(20), points(20)
    first = Points(one.step, one.wall_time, one.value, np.broadcast_to(np.int16(0), 20))
    second = Points(other.step, other.wall_time, other.value, np.broadcast_to(np.int16(1), 20))
    again = Points(other.step, other.wall_time, other.value, np.broadcast_to(np.int16(0), 20))
    assert (second.begins_with(first), again.begins_with(first)) == (False, True)


# --- arrays and series


def test_an_array_holds_everything_in_order():
    grown, parts = GrowingArray(np.float64), [np.random.default_rng(n).normal(size=n) for n in LENGTHS]
    for part in parts:
        grown.append(part)
    assert grown.view.tolist() == np.concatenate(parts).tolist()


def test_views_of_an_array_stay_as_they_are():
    grown = GrowingArray(np.int64)
    views = []
    for number in range(100):
        grown.append(np.full(number, number))
        views.append((grown.view, grown.view.tolist()))
    assert all(view.tolist() == content for view, content in views)


def test_an_array_moves_seldom():
    grown, moves, before = GrowingArray(np.float64), 0, np.empty(0)
    for _ in range(5000):
        grown.append(np.zeros(1))
        moves += not np.shares_memory(before, grown.view)
        before = grown.view
    assert moves < 60


def test_growing_points_hold_everything_in_order():
    grown, whole, end = GrowingPoints(), points(245), 0
    for length in LENGTHS:
        grown.append(whole.take(slice(end, end + length)))
        end += length
    assert same(grown.view, whole)


# --- sifted


@pytest.mark.parametrize("first_left_out", [0, 3, 100, 244])
def test_sifted_points_are_those_that_pass(first_left_out: int):
    whole, sifted, end = points(245), Sifted(), 0
    passes = (np.arange(245) < first_left_out) | (np.arange(245) % 3 > 0)
    for length in LENGTHS:
        end += length
        sifted.extend(whole.take(slice(end)), passes[end - length : end])
        assert same(sifted.points, whole.take(slice(end)).take(passes[:end]))


def test_nothing_is_copied_while_all_points_pass():
    whole, sifted = points(50), Sifted()
    sifted.extend(whole, np.ones(50, bool))
    assert sifted.points is whole


# --- tallies


def test_a_tally_looks_at_every_point_once():
    whole, tally = points(1000), Count()
    for end in range(0, 1001, 10):
        tally.follow(whole.take(slice(end)))
    assert (tally.count, tally.looked) == (1000, 1000)


def test_a_tally_goes_on_when_the_columns_have_moved():
    tally = Count()
    tally.follow(points(10))
    tally.follow(points(10).take(np.arange(10)))
    assert tally.looked == 10


@pytest.mark.parametrize("other", [points(10).take(slice(9)), points(12, seed=1)], ids=["fewer", "different"])
def test_a_tally_starts_anew_for_a_series_that_did_not_only_grow(other: Points):
    tally = Count()
    tally.follow(points(10))
    tally.follow(other)
    assert tally.count == len(other)
