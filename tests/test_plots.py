import math

import numpy as np
import pytest

from monitor.plots import curve_lines, spark_of
from monitor.schema import Points, Progress
from tests.statuses import points

WIDTH, HEIGHT = 40, 10
BRAILLE = {chr(code) for code in range(0x2801, 0x2900)}


def plot(values: tuple[float, ...], width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """Return the lines of a curve without its axis and the span below it."""
    return list(curve_lines(points(values), Progress(), width, height))[:-2]


def dots(values: tuple[float, ...], width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return which dots of a curve are set, the top row first, read back from its characters."""
    cells = [line.split("│")[1] for line in plot(values, width, height)]
    codes = np.array([[ord(cell) - 0x2800 if cell in BRAILLE else 0 for cell in line] for line in cells])
    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    n_rows, n_columns = codes.shape
    return ((codes[:, None, :, None] & bits[None, :, None, :]) > 0).reshape(4 * n_rows, 2 * n_columns)


@pytest.mark.parametrize("values", [(1.0,), (0.5, 0.5), tuple(range(1000)), (1e308, -1e308), (1e-300, 1.0)], ids=str)
def test_a_curve_has_the_size_it_was_asked_for(values: tuple[float, ...]) -> None:
    lines = curve_lines(points(values), Progress(), WIDTH, HEIGHT)
    assert len(lines) == HEIGHT
    assert max(map(len, lines)) <= WIDTH


def test_a_falling_line_goes_from_corner_to_corner() -> None:
    drawn = dots((1.0, 0.0))
    assert drawn[0, 0]
    assert drawn[-1, -1]
    assert drawn.any(axis=0).all()


def test_a_single_extreme_among_many_points_is_drawn() -> None:
    values = np.zeros(100_000)
    values[54_321] = 1.0
    drawn = dots(tuple(values.tolist()))
    assert drawn[0].sum() == 1
    assert np.flatnonzero(drawn[0])[0] == round(54_321 / 99_999 * (drawn.shape[1] - 1))


def test_a_value_that_is_not_finite_interrupts_the_curve_and_is_marked() -> None:
    lines = curve_lines(points((1.0, 1.0, math.nan, 1.0, 1.0)), Progress(), WIDTH, HEIGHT)
    assert lines[-2] == f" └{'─' * 19}×{'─' * 18}"
    assert "× not finite" in lines[-1]
    assert not dots((1.0, 1.0, math.nan, 1.0, 1.0)).any(axis=0).all()


def test_nothing_finite_draws_nothing() -> None:
    assert curve_lines(points((math.nan, math.inf)), Progress(), WIDTH, HEIGHT) == ()


def test_two_decades_get_a_logarithmic_axis_that_is_named() -> None:
    assert "log axis" in curve_lines(points((100.0, 10.0, 1.0)), Progress(), WIDTH, HEIGHT)[-1]
    drawn = dots((100.0, 10.0, 1.0))
    assert abs(np.flatnonzero(drawn[:, drawn.shape[1] // 2]).mean() - drawn.shape[0] / 2) < 2


@pytest.mark.parametrize("values", [(10.0, 1.0), (100.0, 0.0), (100.0, -1.0)], ids=["one decade", "zero", "negative"])
def test_other_series_keep_a_linear_axis(values: tuple[float, ...]) -> None:
    assert "log axis" not in curve_lines(points(values), Progress(), WIDTH, HEIGHT)[-1]


def test_largest_and_smallest_value_stand_beside_the_axis() -> None:
    lines = plot((0.25, 1.5, 0.75))
    assert lines[0].startswith(" 1.5│")
    assert lines[-1].startswith("0.25│")


def test_epochs_are_named_below_the_axis() -> None:
    span = curve_lines(points((1.0, 0.5, 0.25)), Progress(first_epoch_step=0), WIDTH, HEIGHT)[-1]
    assert span.startswith("epoch 1 ")
    assert span.endswith(" epoch 3")


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ((3.0, 2.0, 1.0), 10, "█▅▁"),
        (tuple(float(n) for n in range(100)), 4, "▁▃▆█"),
        ((1.0, math.nan, 0.5, 0.0), 2, "×▁"),
    ],
    ids=["fewer points than room", "last of each share", "not finite"],
)
def test_a_spark_has_a_character_for_each_share(values: tuple[float, ...], width: int, expected: str) -> None:
    assert spark_of(points(values), width) == expected


def test_a_spark_of_nothing_is_empty() -> None:
    assert spark_of(Points.empty(), 10) == ""
