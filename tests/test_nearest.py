"""The line nearest to the pointer: by which points it is found, what is told there, what the browser is asked."""

import json
from dataclasses import replace
from datetime import UTC

import numpy as np
import pytest

from monitor.chart_spec import build_spec
from monitor.charts import Curve, draw, layout_of, palette_style
from monitor.charts.nearest import MOST_LISTED, MOST_POINTS
from tests.test_charts import assert_valid


def lines(count, values=None, **more):
    values = np.linspace(1.0, 2.0, 50) if values is None else np.asarray(values, np.float64)
    return [
        Curve(f"run {number}", np.arange(float(len(values))), values + number, palette_style(number), **more)
        for number in range(count)
    ]


def layout(curves, **options):
    return replace(layout_of(curves, "step", **options), picks_out=True)


def under_pointer(curves, **options):
    return draw(layout(curves, **options), curves, zone=UTC).datasets["hover"].to_pandas()


def test_few_lines_list_the_values_of_all_at_each_point():
    row = under_pointer(lines(2, [1.0, 2.0, 3.0])).iloc[0]
    assert (row["position"], row["s0"], row["s1"]) == ("step 0", "1  run 0", "2  run 1")


def test_each_of_few_lines_can_be_found_at_its_own_value():
    found = under_pointer(lines(2, [1.0, 2.0, 3.0]))
    assert found[found["series"] == "run 1"][["x", "value"]].to_numpy().tolist() == [[0, 2], [1, 3], [2, 4]]


def test_of_many_lines_only_the_nearest_is_told():
    found = under_pointer(lines(MOST_LISTED + 1, [1.0, 2.0]))
    assert "s0" not in found.columns
    assert found[found["series"] == "run 3"]["own"].tolist() == ["4  run 3", "5  run 3"]


def test_a_hundred_lines_have_no_more_points_than_the_browser_can_divide_a_chart_among():
    found = under_pointer(lines(100, np.sin(np.arange(5000.0))))
    assert len(found) <= MOST_POINTS
    assert found["series"].nunique() == 100


@pytest.mark.parametrize("count", [2, MOST_LISTED + 1])
def test_a_value_that_is_no_number_is_found_at_the_upper_edge(count):
    found = under_pointer(lines(count, [1.0, np.nan, 3.0]))
    lost = found[(found["series"] == "run 0") & (found["x"] == 1)]
    assert lost["value"].tolist() == [3.0 + count - 1]
    assert "NaN" in lost["s0" if count == 2 else "own"].item()


def test_what_has_no_place_on_a_logarithmic_axis_is_not_found():
    found = under_pointer(lines(1, [-1.0, 1.0, 2.0]) + lines(1, [3.0, 4.0, 5.0]), log_y=True)
    assert found["value"].min() > 0


def test_a_line_is_found_where_it_is_drawn_and_told_as_it_was_logged():
    raw = np.array([1.0, 3.0])
    curve = Curve("a", np.arange(2.0), raw, palette_style(0), smoothed=np.array([1.5, 2.5]))
    found = under_pointer([curve, *lines(1, [9.0, 9.0])])
    assert found[found["series"] == "a"]["value"].tolist() == [1.5, 2.5]
    assert found[found["series"] == "a"]["s0"].tolist() == ["1  a", "3  a"]


def test_lines_without_a_point_can_be_drawn():
    assert under_pointer(lines(2, [])).empty


def test_a_gap_parts_the_line_in_front():
    curves = lines(1, [1.0, np.nan, 3.0, 4.0]) + lines(1, [5.0, 6.0])
    rows = draw(layout(curves), curves, zone=UTC).datasets["lines"].to_pandas()
    parts = rows[rows["series"] == "run 0"].dropna(subset=["value"]).groupby("part")["value"].apply(list).tolist()
    assert parts == [[1.0], [3.0, 4.0]]


# --- the specification -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["step", "wall"])
@pytest.mark.parametrize("options", [{}, {"steps": True}, {"log_y": True}, {"clip_outliers": True}])
def test_the_specification_is_valid_vega_lite(kind, options):
    curves = lines(2, low=np.zeros(50), high=np.ones(50))
    assert_valid(json.loads(json.dumps(build_spec(replace(layout_of(curves, kind, **options), picks_out=True)))))


def test_every_layer_finds_its_data_set():
    curves = lines(2, low=np.zeros(50), high=np.ones(50))
    asked = {layer["data"].get("name") for layer in build_spec(layout(curves))["layer"]}
    assert asked - {None} == set(draw(layout(curves), curves, zone=UTC).datasets)


def test_only_the_axes_of_all_lines_have_a_share_in_the_scales():
    # A line in front with a share in them would have the browser reckon everything anew at each movement.
    fronts = [layer for layer in build_spec(layout(lines(2)))["layer"] if layer["name"].startswith("front")]
    assert fronts
    assert all("field" not in layer["encoding"][channel] for layer in fronts for channel in ("x", "y", "color"))


def test_a_hidden_line_cannot_be_found():
    (points,) = (layer for layer in build_spec(layout(lines(2)))["layer"] if layer["name"] == "hover")
    assert points["transform"] == [{"filter": {"not": {"param": "hidden", "empty": False}}}]


def test_a_picture_neither_hides_nor_picks_out():
    words = json.dumps(build_spec(layout(lines(2)), interactive=False))
    assert "hidden" not in words
    assert '"near' not in words


def test_the_specification_of_a_hundred_lines_stays_small():
    assert len(json.dumps(build_spec(layout(lines(100))))) < 40_000
