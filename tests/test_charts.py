"""Charts: what is sent to the browser, what is said about it, and that names stay data."""

import io
import json
from datetime import UTC
from itertools import pairwise
from zoneinfo import ZoneInfo

import altair as alt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from monitor.analysis.group_curves import group_curve
from monitor.chart_spec import build_spec
from monitor.charts import (
    MAX_POINTS_PER_CHART,
    MAX_POINTS_PER_SERIES,
    PALETTE,
    SEVERITY_COLORS,
    Curve,
    Mark,
    ReferenceBand,
    Style,
    StyleBook,
    beside,
    checkpoint_marks,
    curve_of,
    draw,
    emphasised,
    finding_marks,
    gpu_curves,
    group_line,
    health_points,
    host_curves,
    layout_of,
    palette_style,
    render_curves_csv,
    without_common_path,
)
from monitor.charts.lines import MAX_GAPS_PER_SERIES
from monitor.health import HealthPoint
from monitor.schema import Checkpoint, GpuSample, Points, Sample
from tests.statuses import finding

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
@pytest.mark.parametrize("color", [*PALETTE, *SEVERITY_COLORS.values()])
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
    assert_valid(spec)


@pytest.mark.parametrize("interactive", [False, True])
@pytest.mark.parametrize(
    "options",
    [{"log_x": True}, {"clip_outliers": True}, {"bands": [ReferenceBand(1.0, 2.0)]}, {"steps": True}],
    ids=lambda options: next(iter(options)),
)
def test_the_specification_of_every_option_is_valid_vega_lite(options, interactive):
    band = curve([1.0, 2.0], label="mean", low=np.array([0.5, 1.5]), high=np.array([1.5, 2.5]))
    thick = Curve("baseline", np.arange(2.0), np.ones(2), emphasised(SOLID))
    layout = layout_of([band, thick], "step", **options)
    assert_valid(json.loads(json.dumps(build_spec(layout, interactive=interactive))))


def assert_valid(spec):
    # Vega-Lite knows a null order and how a name in the legend looks, the canvas one more way to blend: the schema
    # knows none of them. In a browser they are tested with the comparison page.
    for layer in spec["layer"]:
        layer["encoding"].pop("order", None)
        assert layer["mark"].pop("blend", "destination-out") == "destination-out"
        for channel in layer["encoding"].values():
            if isinstance(channel, dict) and channel.get("legend"):
                channel["legend"].pop("encoding", None)
    assert alt.LayerChart.from_dict(spec).to_dict()["height"] == 230


def test_every_layer_finds_its_data_set():
    curves = [curve([1.0, 50.0], low=np.zeros(2), high=np.ones(2))]
    layout = layout_of(curves, "step", clip_outliers=True, bands=[ReferenceBand(1.0, 2.0)])
    names = {layer["data"]["name"] for layer in build_spec(layout)["layer"] if "name" in layer["data"]}
    assert names == set(draw(layout, curves).datasets)


def test_what_happens_in_a_run_does_not_change_its_specification():
    quiet = curve([1.0, 2.0])
    marks = (Mark(1.0, "finding", "error: spike", "error"), Mark(1.0, "checkpoint", "checkpoint a"))
    eventful = curve([1.0, 900.0, np.nan], marks=marks, restarts=np.array([1.0]))
    options = {"clip_outliers": True, "bands": [ReferenceBand(1.0, 2.0)]}
    assert layout_of([quiet], "step", **options) == layout_of([eventful], "step", **options)


def test_a_picture_has_nothing_to_point_at():
    spec = build_spec(layout_of([curve([1.0]), curve([2.0], label="b")], "step"), interactive=False)
    assert spec["params"] == []
    assert "param" not in json.dumps(spec["layer"])


def test_the_baseline_is_drawn_thicker():
    curves = [curve([1.0]), Curve("baseline", np.zeros(1), np.ones(1), emphasised(SOLID))]
    (lines,) = (layer for layer in build_spec(layout_of(curves, "step"))["layer"] if layer["name"] == "lines")
    usual, thick = lines["encoding"]["strokeWidth"]["scale"]["range"]
    assert thick > usual


def test_zoom_is_a_named_parameter_over_the_x_axis_at_the_top():
    spec = build_spec(layout_of([curve([1.0])], "step"))
    zoom = next(param for param in spec["params"] if param["name"] == "zoom")
    assert (zoom["bind"], zoom["select"]["encodings"], zoom["views"]) == ("scales", ["x"], ["lines"])


def test_no_data_set_is_parsed_and_no_line_has_a_tooltip():
    spec = build_spec(layout_of([curve([1.0])], "step"))
    assert all(layer["data"]["format"] == {"parse": None} for layer in spec["layer"])
    assert all(layer["mark"]["tooltip"] is None for layer in spec["layer"] if layer["name"] != "hover")


def test_charts_with_the_same_axis_in_the_same_unit_share_the_place_under_the_pointer():
    def shared(kind, end):
        spec = build_spec(layout_of([curve([1.0, 2.0], x=[0.0, end])], kind))
        return next(param for param in spec["params"] if param["name"] == "place")["bind"]["x"]

    assert shared("step", 9.0) == shared("step", 5_000.0)
    assert shared("step", 9.0) != shared("wall", 9.0)
    assert shared("relative", 60.0) != shared("relative", 9_000.0)


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


def random_series(random):
    """Return a series of up to 50,000 points with gaps, and the rows of its planted extremes, one in each sixth."""
    values = random.normal(size=int(random.integers(600, 50_000))).cumsum() * 10.0 ** random.integers(-6, 6)
    values[random.random(len(values)) < 0.01] = np.nan
    sixths = np.linspace(0, len(values), 7).astype(int)
    planted = [int(random.integers(low, high)) for low, high in pairwise(sixths)]
    reach = float(np.nanmax(np.abs(values)))
    values[planted] = [sign * reach * random.uniform(1.5, 9.0) for sign in (1, -1) * 3]
    return values, planted


def test_every_planted_extreme_of_a_thousand_random_series_is_drawn():
    for seed in range(1_000):
        values, planted = random_series(np.random.default_rng(seed))
        drawing = drawn(curve(values, smoothed=np.zeros(len(values))), smoothing=0.6)
        drawn_points = dict(zip(*(column(drawing.datasets["lines"], name) for name in ("x", "raw")), strict=True))
        assert len(drawn_points) <= MAX_POINTS_PER_SERIES + MAX_GAPS_PER_SERIES
        for row in planted:
            assert drawn_points.get(row) == pytest.approx(values[row], rel=1e-6), (seed, row)


def test_all_lines_together_stay_within_the_budget_of_a_chart():
    curves = [curve(np.random.default_rng(number).random(5_000), label=str(number)) for number in range(10)]
    assert drawn(*curves).datasets["lines"].num_rows <= MAX_POINTS_PER_CHART


def test_a_zoomed_part_is_sent_in_full():
    drawing = drawn(curve(np.random.default_rng(0).random(100_000)), zoom=(50_000.0, 50_100.0))
    sent = column(drawing.datasets["lines"], "x")
    assert set(range(50_000, 50_101)) <= set(sent)
    assert {0.0, 99_999.0} <= set(sent)


@pytest.mark.parametrize("step", [2.0**31 - 1, 2.0**31, 2.0**52])
def test_a_huge_step_is_sent_exactly(step):
    assert column(drawn(curve([1.0], x=[step])).datasets["lines"], "x") == [step]


def test_many_series_keep_their_names():
    curves = [curve([1.0], label=f"run {number}") for number in range(200)]
    assert column(drawn(*curves).datasets["lines"], "series")[-1] == "run 199"


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


def test_values_that_fill_the_axis_travel_in_half_the_bytes():
    assert drawn(curve([0.1, 0.7])).datasets["lines"].schema.field("value").type == pa.float32()


@pytest.mark.parametrize("values", [[1e6, 1e6 + 1e-3], [1e300, 0.0], [1e-40, 2e-40], [0.1, 0.1]])
def test_values_that_half_the_bytes_would_change_keep_all_of_them(values):
    assert column(drawn(curve(values)).datasets["lines"], "value") == values


def test_a_curve_that_grows_is_thinned_to_the_same_rows_but_for_its_end():
    values = np.random.default_rng(3).normal(size=20_100)
    before, after = (column(drawn(curve(values[:end])).datasets["lines"], "x") for end in (20_000, 20_100))
    assert after[: len(before) - 3] == before[:-3]


def test_the_places_under_the_pointer_stay_while_a_curve_grows():
    values = np.random.default_rng(3).normal(size=20_100)
    before, after = (column(drawn(curve(values[:end])).datasets["hover"], "x") for end in (20_000, 20_100))
    assert after[: len(before) - 1] == before[:-1]


def test_smoothed_values_stand_in_front_of_the_raw_ones():
    drawing = drawn(curve([1.0, 3.0], smoothed=np.array([1.0, 2.0])), smoothing=0.5)
    assert column(drawing.datasets["lines"], "value") == [1.0, 2.0]
    assert column(drawing.datasets["lines"], "raw") == [1.0, 3.0]
    assert drawing.caption == "smoothed 0.5 · 2 points"


def test_without_smoothing_nothing_stands_behind():
    assert column(drawn(curve([1.0, 3.0])).datasets["lines"], "raw") == [None, None]


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


# --- options of the axes -------------------------------------------------------------------------------------------


def test_clipped_outliers_are_counted_and_stay_in_the_data():
    values = np.append(np.linspace(1.0, 2.0, 200), [500.0, -300.0, 700.0])
    drawing = drawn(curve(values), clip_outliers=True)
    assert "outliers beyond the axis: 2 above, 1 below" in drawing.caption
    assert max(column(drawing.datasets["lines"], "value")) == 700.0
    assert column(drawing.datasets["limits"], "edge") == [
        column(drawing.datasets["limits"], "low")[0],
        column(drawing.datasets["limits"], "high")[0],
    ]


def test_the_clipped_axis_holds_all_other_values():
    values = np.append(np.linspace(1.0, 2.0, 200), 500.0)
    limits = drawn(curve(values), clip_outliers=True).datasets["limits"]
    assert column(limits, "low")[0] < 1.0
    assert 2.0 < column(limits, "high")[0] < 3.0


def test_without_outliers_a_clipped_axis_follows_the_data():
    drawing = drawn(curve(np.linspace(1.0, 2.0, 200)), clip_outliers=True)
    assert drawing.datasets["limits"].num_rows == 0
    assert "outliers" not in drawing.caption


def test_outliers_of_a_logarithmic_axis_are_measured_in_powers_of_ten():
    values = np.append(np.logspace(-4, 0, 500), [1e-12] * 3)
    drawing = drawn(curve(values), clip_outliers=True, log_y=True)
    assert "outliers beyond the axis: 3 below" in drawing.caption


def test_only_nan_has_no_outliers():
    assert drawn(curve([np.nan, np.nan]), clip_outliers=True).datasets["limits"].num_rows == 0


def test_fixed_limits_win_over_clipping():
    assert not layout_of([curve([1.0])], "step", clip_outliers=True, y_domain=(0.0, 1.0)).clip_outliers


def test_a_logarithmic_x_axis_begins_above_0_and_says_what_it_leaves_out():
    marks = (Mark(0.0, "finding", "warning: slow"), Mark(1.0, "checkpoint", "checkpoint a"))
    drawing = drawn(curve([5.0, 4.0, np.nan, 2.0], marks=marks, restarts=np.array([0.0])), log_x=True)
    assert column(drawing.datasets["lines"], "x") == [1.0, 2.0, 3.0]
    assert all(x > 0 for table in drawing.datasets.values() for x in column(table, "x"))
    assert "1 at or below 0 have no place on a logarithmic axis" in drawing.caption


def test_a_time_of_day_has_no_logarithm():
    assert not layout_of([curve([1.0])], "wall", log_x=True).log_x


def test_a_reference_band_is_drawn_behind_and_explained():
    drawing = drawn(curve([1.0]), bands=[ReferenceBand(1e-5, 1e-3, "grey: recommended")])
    assert drawing.datasets["bands"].to_pylist() == [{"low": 1e-5, "high": 1e-3}]
    assert drawing.caption == "1 point · grey: recommended"
    layers = [
        layer["name"] for layer in build_spec(layout_of([curve([1.0])], "step", bands=[ReferenceBand(0, 1)]))["layer"]
    ]
    assert layers[0] == "bands"


# --- areas ---------------------------------------------------------------------------------------------------------


def test_a_group_is_its_mean_with_its_interval_around_it():
    x = np.arange(3.0)
    group = group_curve([(x, np.array([1.0, 2.0, 3.0])), (x, np.array([3.0, 4.0, 5.0]))], band="range")
    drawing = drawn(group_line(group, "two seeds", SOLID))
    assert column(drawing.datasets["lines"], "value") == [2.0, 3.0, 4.0]
    assert column(drawing.datasets["areas"], "low") == [1.0, 2.0, 3.0]
    assert column(drawing.datasets["areas"], "high") == [3.0, 4.0, 5.0]
    assert column(drawing.datasets["hover"], "s0")[0] == "2 (1 to 3)  two seeds"


def test_an_area_breaks_where_its_edges_are_unknown():
    drawing = drawn(curve([1.0, 2.0], low=np.array([0.5, np.nan]), high=np.array([1.5, np.nan])))
    assert column(drawing.datasets["areas"], "low") == [0.5, None]


def test_a_thinned_area_keeps_the_extremes_of_its_edges():
    n_points = 50_000
    low, high = np.zeros(n_points), np.full(n_points, 2.0)
    low[31_234], high[777] = -9.0, 9.0
    areas = drawn(curve(np.ones(n_points), low=low, high=high)).datasets["areas"]
    assert min(column(areas, "low")) == -9.0
    assert max(column(areas, "high")) == 9.0
    assert areas.num_rows <= 500


def test_an_area_that_reaches_below_0_ends_at_the_smallest_value_of_a_logarithmic_axis():
    drawing = drawn(curve([1.0, 0.5], low=np.array([0.75, -0.1]), high=np.array([1.2, 1.1])), log_y=True)
    assert column(drawing.datasets["areas"], "low") == [0.75, 0.5]


# --- marks ---------------------------------------------------------------------------------------------------------


def found(**changes):
    return finding(tag="loss", **changes)


def test_a_finding_has_the_colour_of_its_severity_and_fades_when_it_is_over():
    series, x = points([1.0] * 10), np.arange(10.0)
    findings = [found(severity="error", onset_step=3), found(severity="notice", onset_step=7, open=False)]
    drawing = drawn(curve_of(series, x, "loss", SOLID, marks=finding_marks(findings, "loss", series, x)))
    assert column(drawing.datasets["onsets"], "x") == [3.0, 7.0]
    assert column(drawing.datasets["onsets"], "color") == [SEVERITY_COLORS["error"], SEVERITY_COLORS["notice"]]
    still_open, over = column(drawing.datasets["onsets"], "opacity")
    assert still_open > over
    assert "2 findings begin at the coloured lines" in drawing.caption


@pytest.mark.parametrize("changes", [{"severity": "info"}, {"onset_step": None}, {"onset_step": 99}])
def test_what_is_no_fault_or_has_no_place_is_not_marked(changes):
    series = points([1.0] * 10)
    assert finding_marks([found(**changes)], "loss", series, np.arange(10.0)) == ()


def test_a_finding_about_another_series_is_not_marked():
    series = points([1.0] * 10)
    assert finding_marks([found(onset_step=3)], "accuracy", series, np.arange(10.0)) == ()


def test_the_pointer_tells_what_happened_and_need_not_hit_it_exactly():
    marks = (Mark(500.0, "finding", "error: spike", "error"), Mark(500.0, "checkpoint", "checkpoint epoch5"))
    hover = drawn(curve(np.ones(1_000), marks=marks, restarts=np.array([500.0]))).datasets["hover"]
    x = np.array(column(hover, "x"))
    (row,) = np.flatnonzero(x == 500.0)
    assert column(hover, "position")[row] == "step 500 · restarted · error: spike · checkpoint epoch5"
    assert np.abs(np.delete(x, row) - 500.0).min() > 1_000 / 120


def test_many_things_at_one_place_are_counted():
    marks = tuple(Mark(0.0, "checkpoint", f"checkpoint {number}") for number in range(5))
    (text,) = column(drawn(curve([1.0], marks=marks)).datasets["hover"], "position")
    assert text == "step 0 · checkpoint 0 · checkpoint 1 · checkpoint 2 · 2 more"


def checkpoint(name="best", step=None, epoch=None, modified=0.0):
    return Checkpoint(name, "other", epoch, step, 1, modified, True)


@pytest.mark.parametrize(
    ("saved", "place"),
    [
        (checkpoint(step=4), 40.0),
        (checkpoint(epoch=3), 20.0),
        (checkpoint(modified=6.5), 60.0),
    ],
    ids=["step", "epoch", "time"],
)
def test_a_checkpoint_stands_where_it_was_saved(saved, place):
    series = points([1.0] * 10)  # steps and seconds 0 to 9
    (mark,) = checkpoint_marks([saved], series, 10.0 * np.arange(10), np.arange(1.0, 11.0))
    assert (mark.x, mark.words) == (place, "checkpoint best")


@pytest.mark.parametrize(
    "saved",
    [checkpoint(step=40), checkpoint(epoch=40), checkpoint(modified=9e9), checkpoint(modified=-1.0)],
    ids=["step", "epoch", "copied later", "older than the run"],
)
def test_a_checkpoint_from_outside_the_series_has_no_place(saved):
    series = points([1.0] * 10)
    assert checkpoint_marks([saved], series, np.arange(10.0), np.arange(1.0, 11.0)) == ()


def test_a_checkpoint_of_an_epoch_has_no_place_where_epochs_are_unknown():
    series = points([1.0] * 10)
    assert checkpoint_marks([checkpoint(epoch=3)], series, np.arange(10.0), np.full(10, np.nan)) == ()


def test_checkpoints_are_counted_in_the_caption():
    drawing = drawn(curve([1.0, 2.0], marks=(Mark(1.0, "checkpoint", "checkpoint a"),)))
    assert column(drawing.datasets["checkpoints"], "x") == [1.0]
    assert "a checkpoint at the triangle" in drawing.caption


# --- CSV -----------------------------------------------------------------------------------------------------------


def test_a_csv_holds_every_point_with_step_and_time():
    series = points([0.5, np.nan, np.inf, -0.25])
    text = render_curves_csv([curve_of(series, np.arange(4.0), "loss", SOLID)], "epoch").decode()
    assert text == "series,step,wall_time,value\nloss,0,0,0.5\nloss,1,1,NaN\nloss,2,2,inf\nloss,3,3,-0.25\n"


def test_a_csv_is_neither_thinned_nor_smoothed():
    values = np.random.default_rng(0).random(20_000)
    text = render_curves_csv([curve_of(points(values), np.arange(20_000.0), "loss", SOLID, weight=0.9)], "step")
    read = pd.read_csv(io.BytesIO(text), float_precision="round_trip")
    assert np.array_equal(read["value"].to_numpy(), values)


def test_a_csv_is_in_the_unit_of_the_axis():
    text = render_curves_csv([curve_of(points([1_500.0]), np.zeros(1), "epoch", SOLID, scale=1e-3)], "step").decode()
    assert text.splitlines()[1] == "epoch,0,0,1.5"


def test_names_in_a_csv_are_cells():
    name = 'a,"b"'
    curves = [curve_of(points([1.0]), np.zeros(1), label, SOLID) for label in (name, "c")]
    read = pd.read_csv(io.BytesIO(render_curves_csv(curves, "step")))
    assert read["series"].tolist() == [name, "c"]


def test_a_csv_of_a_group_has_the_edges_of_its_interval():
    mean = curve([1.0, 2.0], label="mean", low=np.array([0.5, np.nan]), high=np.array([1.5, np.nan]))
    text = render_curves_csv([mean], "epoch").decode()
    assert text.splitlines() == [
        "series,epoch,step,wall_time,value,low,high",
        "mean,0,,,1,0.5,1.5",
        "mean,1,,,2,NaN,NaN",
    ]


def test_a_csv_of_the_machine_has_times_and_no_steps():
    text = render_curves_csv(host_curves([Sample(10.5, 50.0)])[:1], "wall").decode()
    assert text.splitlines()[1] == "CPU,,10.5,50"


def test_a_csv_of_nothing_has_its_header():
    assert render_curves_csv([], "step") == b"series,step,wall_time,value\n"


# --- curves --------------------------------------------------------------------------------------------------------


def test_a_restart_is_marked_where_the_new_session_begins():
    found = curve_of(points([3.0, 2.0, 2.0, 1.0], [0, 0, 1, 1]), np.array([0.0, 1.0, 2.0, 3.0]), "loss", SOLID)
    drawing = drawn(found)
    assert column(drawing.datasets["restarts"], "x") == [2.0]
    assert "restarted at the grey line" in drawing.caption


def test_a_finding_is_marked_where_it_begins():
    series, x = points([3.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0])
    marks = finding_marks([found(onset_step=2)], "loss", series, x)
    assert column(drawn(curve_of(series, x, "loss", SOLID, marks=marks)).datasets["onsets"], "x") == [3.0]


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
    samples = [Sample(10.0, 50.0, 4, 8, gpus=gpus), Sample(12.0, gpus=gpus)]
    first, second = gpu_curves(samples)
    processor, memory = host_curves(samples)
    assert (first.value.tolist(), second.value.tolist()) == ([80.0, 80.0], [])
    assert (processor.value.tolist(), memory.value.tolist()) == ([50.0], [50.0])


def test_the_score_over_time_becomes_a_series():
    found = health_points([HealthPoint(5, 10.0, 100), HealthPoint(9, 20.0, 60)])
    assert (found.step.tolist(), found.value.tolist()) == ([5, 9], [100.0, 60.0])
