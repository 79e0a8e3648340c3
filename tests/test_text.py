"""Numbers, durations, sizes and foreign text as people read them."""

import math
import re
from datetime import timedelta, timezone

import pytest

from monitor import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.31416, "0.31416"),
        (-0.25, "−0.25"),
        (12_340.0, "12,340"),
        (123_456.7, "123,457"),
        (0.0001, "0.0001"),
        (1.2e-7, "1.200e-07"),
        (-1.2e-7, "−1.200e-07"),
        (1e9, "1.000e+09"),
        (99_999.4, "99,999"),
        (99_999.6, "100,000"),
    ],
)
def test_number(value, shown):
    assert text.format_number(value) == shown


def test_number_with_few_digits_never_needs_an_exponent_below_a_billion():
    assert text.format_number(999.7, 3) == "1,000"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.25e-4, "1.25e-04"), (0.0, "0"), (None, "–"), (math.nan, "NaN"), (-1e-4, "−1.00e-04")],
)
def test_learning_rate(value, shown):
    assert text.format_learning_rate(value) == shown


@pytest.mark.parametrize(("step", "shown"), [(None, "–"), (0, "0"), (12_340, "12,340"), (-3, "−3")])
def test_step(step, shown):
    assert text.format_step(step) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (math.nan, "–"), (math.inf, "–"), (87.4, "87 %"), (0.0, "0 %"), (-0.3, "0 %"), (-5.0, "−5 %")],
)
def test_percent(value, shown):
    assert text.format_percent(value) == shown


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (None, "–"),
        (math.nan, "–"),
        (-5.23, "−5.2 %"),
        (0.31, "+0.3 %"),
        (-0.04, "0.0 %"),
        (1234.5, "+1,234.5 %"),
        (math.inf, "> +9,999 %"),
        (-20_000.0, "< −9,999 %"),
    ],
)
def test_change(change, shown):
    assert text.format_change(change) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (math.inf, "–"),
        (0.0, "0 s"),
        (0.32, "320 ms"),
        (0.9996, "1.0 s"),
        (4.04, "4.0 s"),
        (9.97, "10 s"),
        (45.4, "45 s"),
        (59.6, "1 min 00 s"),
        (61.0, "1 min 01 s"),
        (3599.7, "1 h 00 min"),
        (7500.0, "2 h 05 min"),
        (86_399.0, "1 d 00 h"),
        (273_600.0, "3 d 04 h"),
        (-45.0, "−45 s"),
    ],
)
def test_duration(seconds, shown):
    assert text.format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "–"), (math.nan, "–"), (12.0, "12 s ago"), (0.4, "just now"), (-30.0, "just now")]
)
def test_age(seconds, shown):
    assert text.format_age(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_400, "99.4 kB"),
        (99_600, "100 kB"),
        (999_500, "1.0 MB"),
        (1_300_000_000, "1.3 GB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_bytes(count, shown):
    assert text.format_bytes(count) == shown


def test_time_in_a_zone():
    assert text.format_time(0.0, timezone(timedelta(hours=8))) == "1970-01-01 08:00:00"


@pytest.mark.parametrize("wall_time", [None, math.nan, math.inf, 1e18])
def test_time_beyond_the_calendar_is_unknown(wall_time):
    assert (text.format_time(wall_time), text.iso_time(wall_time)) == ("–", None)


def test_iso_time_carries_its_offset():
    assert text.iso_time(0.5) == "1970-01-01T00:00:00.500+00:00"


@pytest.mark.parametrize("width", range(1, 12))
def test_shortened_name_fits_its_width(width):
    assert len(text.shorten_middle("abcdefghij", width)) <= width


def test_shortened_name_keeps_both_ends():
    assert text.shorten_middle("run_20261122_130509", 9) == "run_…0509"


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("train/loss", "train/loss"),
        ("two\nlines\tand\r\nmore", "two lines and more"),
        ("\x1b[31mred", "[31mred"),
        ("a\u202eb", "a b"),
        ("a\u2028b\u2029c", "a b c"),
        ("lone \udcff", "lone"),
        ("损失 👩\u200d🔬", "损失 👩\u200d🔬"),
    ],
)
def test_foreign_text_becomes_one_harmless_line(foreign, shown):
    assert text.plain(foreign) == shown


@pytest.mark.parametrize("foreign", ["loss", "a`b", "``", "`", "a``b`c", "", "<b>*x*</b>", "a\n\n# b"])
def test_code_span_holds_exactly_its_text(foreign):
    span = text.code_span(foreign)
    fence = re.match("`+", span)[0]
    inside = span[len(fence) : -len(fence)]
    assert fence not in re.findall("`+", inside)
    assert inside.strip(" ") == text.plain(foreign)


def test_table_cell_does_not_end_at_a_pipe():
    assert text.table_cell("a|b") == "`a\\|b`"


@pytest.mark.parametrize(
    ("foreign", "name"), [("a/b c", "a-b-c"), ("../..", "run"), ("", "run"), ("损失", "run"), ("x" * 200, "x" * 80)]
)
def test_file_name(foreign, name):
    assert text.file_name(foreign) == name
