"""Charts: what is sent to the browser, what is said about it, and that names stay data."""

import json
from datetime import UTC
from zoneinfo import ZoneInfo

import altair as alt
import numpy as np
import pytest

from monitor.chart_spec import build_spec
from monitor.charts import (
    MAX_POINTS_PER_CHART,
    PALETTE,
    Curve,
    Style,
    StyleBook,
    beside,
    curve_of,
    draw,
    gpu_curves,
    health_points,
    host_curves,
    layout_of,
    palette_style,
    without_common_path,
)
from monitor.health import HealthPoint
from monitor.schema import GpuSample, Points, Sample

SOLID = Style(PALETTE[0])
HOSTILE = 'a"]) + event.view.location.href + ("\\'


def curve(values, x=None, label="loss", **more):
    value = np.asarray(values, np.float64)
    return Curve(label, np.arange(len(value), dtype=np.float64) if x is None else np.asarray(x), value, SOLID, **more)


def points(values, sessions=None):
    n_points = len(values)
    return Points(
        np.arange(n_points, dtype=np.int64),
        np.arange(n_points, dtype=np.float64),
        np.array(values, np.float64),
        np.array(sessions or [0] * n_points, np.int16),
    )


def drawn(*curves, kind="step", smoothing=0.0, zoom=None, zone=UTC, **layout):
    return draw(layout_of(curves, kind, **layout), curves, smoothing=smoothing, zoom=zoom, zone=zone)


def column(table, name):
    return table.column(name).to_pylist()


def contrast(first, second):
    """WCAG 2.2 contrast ratio of two colours."""
    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# --- colours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", ["#FFFFFF", "#0F141A"])
@pytest.mark.parametrize("color", PALETTE)
def test_every_line_is_seen_on_a_light_and_a_dark_page(color, background):
    assert contrast(color, background) >= 3


def test_colours_do_not_depend_on_the_order_of_the_runs():
    names = [f"run_{number}" for number in range(12)]
    assert StyleBook().styles(names) == StyleBook().styles(names[::-1])


def test_a_run_keeps_its_colour_when_another_one_begins():
    book = StyleBook()
    before = book.styles(["b", "d"])
    after = book.styles(["a", "b", "c", "d"])
    assert (after["b"], after["d"]) == (before["b"], before["d"])


def test_past_eight_runs_dashes_tell_equal_colours_apart():
    styles = [palette_style(number) for number in range(32)]
    assert len(set(styles)) == 32
    assert all(style.dash == () for style in styles[:8])
    assert all(style.dash for style in styles[8:])


def test_validation_is_dashed_and_never_in_the_colour_of_the_training():
    assert all(style.dash and style.color != SOLID.color for style in beside(SOLID, 7))


# --- the specification ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["step", "epoch", "relative", "wall"])
@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_the_specification_is_valid_vega_lite(kind, log_y, count):
    curves = [curve([1.0, 2.0], label=f"c{number}") for number in range(count)]
    spec = json.loads(json.dumps(build_spec(layout_of(curves, kind, log_y=log_y, y_kind="learning_rate"))))
    for layer in spec["layer"]:
        layer["encoding"].pop("order", None)  # Vega-Lite knows a null order, its schema does not
    assert alt.LayerChart.from_dict(spec).to_dict()["height"] == 230


def test_zoom_is_a_named_parameter_over_the_x_axis_at_the_top():
    spec = build_spec(layout_of([curve([1.0])], "step"))
    zoom = next(param for param in spec["params"] if param["name"] == "zoom")
    assert (zoom["bind"], zoom["select"]["encodings"], zoom["views"]) == ("scales", ["x"], ["lines"])


def test_no_data_set_is_parsed_and_no_line_has_a_tooltip():
    spec = build_spec(layout_of([curve([1.0])], "step"))
    assert all(layer["data"]["format"] == {"parse": None} for layer in spec["layer"])
    assert all(layer["mark"]["tooltip"] is None for layer in spec["layer"] if layer["name"] != "hover")


def test_a_name_stands_in_the_list_of_the_legend_only():
    curves = [curve([1.0], label=HOSTILE), curve([1.0], label="b")]
    spec = build_spec(layout_of(curves, "step"))
    for layer in spec["layer"]:
        for channel in ("color", "strokeDash"):
            layer["encoding"].get(channel, {}).get("scale", {}).pop("domain", None)
    assert "location" not in json.dumps(spec)


def test_the_layout_stays_while_a_run_grows():
    early, late = [curve(np.ones(10))], [curve(np.ones(10_000))]
    assert layout_of(early, "step", y_title="loss") == layout_of(late, "step", y_title="loss")


def test_equal_labels_are_told_apart():
    assert layout_of([curve([1.0], label="a"), curve([1.0], label="a")], "step").labels == ("a", "a (2)")


def test_a_label_of_200_characters_keeps_its_beginning_and_end():
    (label,) = layout_of([curve([1.0], label="begin" + "x" * 200 + "end")], "step").labels
    assert len(label) <= 60
    assert label.startswith("begin")
    assert label.endswith("end")


def test_relative_time_gets_the_unit_of_its_span():
    titles = [layout_of([curve([1.0, 2.0], x=[0.0, span])], "relative").x_title for span in (30.0, 600.0, 50_000.0)]
    assert [title.split("(")[1] for title in titles] == ["s)", "min)", "h)"]


def test_names_lose_the_directories_they_share():
    assert without_common_path(["t/a/r1", "t/b/r1"]) == ["a/r1", "b/r1"]
    assert without_common_path(["t/a"]) == ["a"]
    assert without_common_path(["."]) == ["."]


# --- the data ------------------------------------------------------------------------------------------------------


def test_few_points_are_all_sent_and_said():
    drawing = drawn(curve([3.0, 2.0, 1.0]))
    assert column(drawing.datasets["lines"], "value") == [3.0, 2.0, 1.0]
    assert drawing.caption == "3 points"


def test_many_points_are_thinned_and_every_extreme_is_kept():
    values = np.sin(np.arange(200_000) / 5_000)
    values[123_457] = 99.0
    drawing = drawn(curve(values))
    sent = column(drawing.datasets["lines"], "value")
    assert len(sent) <= 500
    assert max(sent) == 99.0
    assert f"{len(sent)} of 200,000 points" in drawing.caption


def test_all_lines_together_stay_within_the_budget_of_a_chart():
    curves = [curve(np.random.default_rng(number).random(5_000), label=str(number)) for number in range(10)]
    assert drawn(*curves).datasets["lines"].num_rows <= MAX_POINTS_PER_CHART


def test_a_zoomed_part_is_sent_in_full():
    drawing = drawn(curve(np.random.default_rng(0).random(100_000)), zoom=(50_000.0, 50_100.0))
    sent = column(drawing.datasets["lines"], "x")
    assert set(range(50_000, 50_101)) <= set(sent)
    assert {0.0, 99_999.0} <= set(sent)


def test_nan_breaks_the_line_and_is_marked_at_its_step():
    drawing = drawn(curve([1.0, np.nan, np.inf, 2.0]))
    assert column(drawing.datasets["lines"], "value") == [1.0, None, 2.0]
    assert column(drawing.datasets["alarms"], "x") == [1.0, 2.0]
    assert "2 NaN or infinite, marked at the top" in drawing.caption


def test_only_nan_is_a_chart_of_marks():
    drawing = drawn(curve([np.nan, np.nan]))
    assert column(drawing.datasets["alarms"], "x") == [0.0, 1.0]
    assert drawing.datasets["dots"].num_rows == 0


def test_one_point_is_a_dot():
    assert column(drawn(curve([0.5])).datasets["dots"], "value") == [0.5]


def test_no_point_is_an_empty_chart():
    assert drawn(curve([])).datasets["hover"].num_rows == 0


def test_a_logarithmic_axis_says_what_it_cannot_show():
    drawing = drawn(curve([1.0, 0.0, -1.0, 2.0]), log_y=True)
    assert column(drawing.datasets["lines"], "value") == [1.0, None, 2.0]
    assert "2 at or below 0" in drawing.caption


def test_smoothed_values_stand_in_front_of_the_raw_ones():
    drawing = drawn(curve([1.0, 3.0], smoothed=np.array([1.0, 2.0])), smoothing=0.5)
    assert column(drawing.datasets["lines"], "value") == [1.0, 2.0]
    assert column(drawing.datasets["raw"], "value") == [1.0, 3.0]
    assert drawing.caption == "smoothed 0.5 · 2 points"


def test_without_smoothing_nothing_stands_behind():
    assert drawn(curve([1.0, 3.0])).datasets["raw"].num_rows == 0


def test_the_pointer_tells_values_as_logged_with_the_name_behind():
    hover = drawn(curve([0.25], label=HOSTILE)).datasets["hover"]
    assert column(hover, "position") == ["step 0"]
    assert column(hover, "s0") == [f"0.25  {HOSTILE}"]


def test_the_pointer_tells_unknown_where_a_series_has_no_point_near():
    dense, sparse = curve(np.ones(2_000), label="dense"), curve([1.0, 1.0], x=[0.0, 10.0], label="sparse")
    texts = column(drawn(dense, sparse).datasets["hover"], "s1")
    assert texts[0] == "1  sparse"
    assert texts[-1] == "–  sparse"


def test_wall_time_is_told_in_the_readers_zone():
    hover = drawn(curve([1.0], x=[1_700_000_000.0]), kind="wall", zone=ZoneInfo("Asia/Tokyo")).datasets["hover"]
    assert column(hover, "position") == ["2023-11-15 07:13:20"]
    assert column(hover, "x") == [1_700_000_000_000.0]


# --- curves --------------------------------------------------------------------------------------------------------


def test_a_restart_is_marked_where_the_new_session_begins():
    found = curve_of(points([3.0, 2.0, 2.0, 1.0], [0, 0, 1, 1]), np.array([0.0, 1.0, 2.0, 3.0]), "loss", SOLID)
    drawing = drawn(found)
    assert column(drawing.datasets["restarts"], "x") == [2.0]
    assert "restarted at the grey line" in drawing.caption


def test_a_finding_is_marked_where_it_begins():
    found = curve_of(points([3.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0]), "loss", SOLID, onset_steps=[2])
    assert column(drawn(found).datasets["onsets"], "x") == [3.0]


def test_smoothing_begins_anew_at_every_session():
    found = curve_of(points([9.0, 9.0, 1.0, 1.0], [0, 0, 1, 1]), np.arange(4.0), "loss", SOLID, weight=0.9)
    assert found.smoothed is not None
    assert found.smoothed[2] == pytest.approx(1.0)


def test_points_without_a_place_on_the_axis_are_left_out():
    found = curve_of(points([1.0, 2.0]), np.array([np.nan, 5.0]), "loss", SOLID)
    assert found.value.tolist() == [2.0]


def test_a_clock_that_jumped_back_is_drawn_in_the_order_of_the_axis():
    assert curve_of(points([1.0, 2.0]), np.array([9.0, 5.0]), "loss", SOLID).x.tolist() == [5.0, 9.0]


def test_machine_curves_are_percentages_over_time():
    gpus = (GpuSample(0, "H200", 80.0, None, None, None), GpuSample(1, "H200", None, None, None, None))
    samples = [Sample(10.0, 50.0, 4, 8, None, gpus), Sample(12.0, None, None, None, None, gpus)]
    first, second = gpu_curves(samples)
    processor, memory = host_curves(samples)
    assert (first.value.tolist(), second.value.tolist()) == ([80.0, 80.0], [])
    assert (processor.value.tolist(), memory.value.tolist()) == ([50.0], [50.0])


def test_the_score_over_time_becomes_a_series():
    found = health_points([HealthPoint(5, 10.0, 100), HealthPoint(9, 20.0, 60)])
    assert (found.step.tolist(), found.value.tolist()) == ([5, 9], [100.0, 60.0])
