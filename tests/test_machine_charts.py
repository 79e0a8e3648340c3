"""The history of the machine as charts: what is drawn, in which unit, and what is left out."""

import time
from dataclasses import replace

import pytest

from monitor.chart_spec import build_spec
from monitor.machine_charts import machine_history
from monitor.run_charts import RunChart
from monitor.schema import GpuSample, Sample

START = 1_700_000_000.0
GPU = GpuSample(0, "NVIDIA H200", 90.0, 35 * 10**9, 140 * 10**9, 61.0, 412.0, 700.0, 92.0)
DISKS = {"disk_read_bytes_per_second": 25e6, "disk_write_bytes_per_second": 0.5e6}


def history(*gpus: GpuSample, count: int = 3) -> tuple[Sample, ...]:
    return tuple(
        Sample(START + 2 * number, 40.0 + number, 10**9, 4 * 10**9, gpus=gpus, **DISKS) for number in range(count)
    )


def chart(key: str, samples: tuple[Sample, ...]) -> RunChart:
    return next(one for one in machine_history(samples) if one.key == key)


def last_values(one: RunChart) -> dict[str, float]:
    return {curve.label: float(curve.value[-1]) for curve in one.curves}


def test_each_figure_of_a_gpu_has_a_chart_beside_those_of_the_machine():
    titles = [one.title for one in machine_history(history(GPU))]
    assert titles == ["GPU memory", "GPU temperature", "GPU power", "CPU and memory", "All disks"]


def test_without_a_gpu_only_the_disks_are_left_to_show():
    assert [one.title for one in machine_history(history())] == ["All disks"]


def test_there_is_no_chart_without_a_reading():
    assert machine_history(()) == ()


def test_figure_that_no_reading_tells_has_no_chart():
    silent = replace(GPU, power_watts=None)
    assert "gpu-power" not in [one.key for one in machine_history(history(silent))]


@pytest.mark.parametrize(
    ("key", "unit", "values"),
    [
        ("gpu-memory", "percent", {"GPU 0": 25.0}),
        ("gpu-temperature", "°C", {"GPU 0": 61.0}),
        ("gpu-power", "watts", {"GPU 0": 412.0}),
        ("host", "percent", {"CPU": 42.0, "memory": 25.0}),
        ("disks", "MB/s", {"read": 25.0, "written": 0.5}),
    ],
)
def test_axis_says_the_unit_of_the_values(key, unit, values):
    one = chart(key, history(GPU))
    assert (one.layout.y_title, last_values(one)) == (unit, pytest.approx(values))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("gpu-memory", "25 %  GPU 0"),
        ("gpu-temperature", "61 °C  GPU 0"),
        ("gpu-power", "412 W  GPU 0"),
        ("disks", "25 MB/s  read"),
    ],
)
def test_text_under_the_pointer_has_the_unit(key, text):
    assert chart(key, history(GPU)).draw().datasets["hover"]["s0"][0].as_py() == text


def test_every_gpu_has_a_line():
    second = replace(GPU, index=3, temperature_celsius=75.0)
    assert last_values(chart("gpu-temperature", history(GPU, second))) == {"GPU 0": 61.0, "GPU 3": 75.0}


def test_limits_that_all_gpus_share_are_rules_that_the_caption_tells():
    samples = history(GPU, replace(GPU, index=1))
    assert "grey rule: slows down at 92 °C" in chart("gpu-temperature", samples).draw().caption
    assert "grey rule: limited to 700 W" in chart("gpu-power", samples).draw().caption


@pytest.mark.parametrize("other", [None, 350.0])
def test_limit_that_differs_or_is_not_told_of_all_is_no_rule(other):
    samples = history(GPU, replace(GPU, index=1, power_limit_watts=other))
    assert chart("gpu-power", samples).layout.bands == ()


def test_specification_stays_while_readings_come():
    sooner, later = (machine_history(history(GPU, count=count)) for count in (3, 30))
    assert [build_spec(one.layout) for one in sooner] == [build_spec(one.layout) for one in later]


def test_two_hours_of_readings_are_thinned_and_the_highest_is_kept():
    samples = list(history(GPU, count=3_600))
    samples[1_234] = replace(samples[1_234], gpus=(replace(GPU, temperature_celsius=97.0),))
    drawing = chart("gpu-temperature", tuple(samples)).draw()
    values = drawing.datasets["lines"]["value"].to_pylist()
    assert len(values) <= 600
    assert max(values) == 97.0
    assert "of 3,600 points" in drawing.caption


def test_readings_from_before_the_clock_was_set_back_stay_in_the_order_of_the_axis():
    samples = history(GPU, count=4)
    back = tuple(replace(one, wall_time=one.wall_time - 4.0) for one in samples[2:])
    (curve,) = chart("gpu-power", samples[:2] + back).curves
    assert list(curve.x) == sorted(curve.x)


def lines_of(one: RunChart) -> list[float | None]:
    return one.draw().datasets["lines"]["value"].to_pylist()


def test_line_is_interrupted_where_nothing_was_measured():
    before = history(GPU, count=4)
    after = tuple(replace(one, wall_time=one.wall_time + 600.0) for one in before)
    one = chart("gpu-power", before + after)
    assert lines_of(one) == [412.0] * 4 + [None] + [412.0] * 4
    assert "NaN" not in one.draw().caption


def test_line_is_not_interrupted_where_readings_are_seldom():
    seldom = tuple(replace(one, wall_time=START + 60.0 * number) for number, one in enumerate(history(GPU, count=5)))
    assert lines_of(chart("gpu-power", seldom)) == [412.0] * 5


def test_gap_is_seen_among_thinned_points_too():
    before = history(GPU, count=1_800)
    after = tuple(replace(one, wall_time=one.wall_time + 7_200.0) for one in before)
    assert lines_of(chart("gpu-power", before + after)).count(None) == 1


def test_two_hours_of_eight_gpus_are_made_ready_in_a_fraction_of_a_second():
    samples = history(*(replace(GPU, index=index) for index in range(8)), count=3_600)
    before = time.process_time()
    for one in machine_history(samples):
        one.draw()
    assert time.process_time() - before < 1.0
