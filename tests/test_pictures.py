"""Pictures of charts without a browser: what stands in them, and that the same charts give the same bytes."""

import struct
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from monitor.charts import Curve, Style, draw, layout_of, palette_style
from monitor.pictures import Picture, render_png, render_svg, run_pictures
from monitor.run_charts import run_charts
from monitor.settings import HealthSettings
from tests.statuses import example_status

HOSTILE = '<script>alert(1)</script> & "loss"'
NOON_IN_TOKYO = 1_700_017_200.0  # 2023-11-15 03:00 UTC


def picture(label="loss", x=None, title="Training loss", note="", kind="step", n_points=50):
    places = np.arange(float(n_points)) if x is None else np.asarray(x, np.float64)
    curves = [
        Curve(label, places, np.linspace(2.0, 1.0, len(places)), palette_style(0)),
        Curve("second", places, np.linspace(1.0, 2.0, len(places)), Style("#D55E00", (6, 4))),
    ]
    layout = layout_of(curves, kind)
    return Picture(title, layout, draw(layout, curves), note)


def words(svg):
    """Return every text in an SVG, for looking something up in it."""
    return "\n".join(
        "".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("}text")
    )


def size(png):
    """Width and height of a PNG. Source: PNG specification, chunk IHDR."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


@pytest.fixture(scope="module")
def all_charts():
    status = example_status()
    return run_pictures(run_charts(status, (status.sample,), HealthSettings()))


def test_the_scale_multiplies_the_pixels():
    small, large = size(render_png([picture()], scale=1.0)), size(render_png([picture()], scale=2.0))
    assert large == pytest.approx([2 * side for side in small], abs=2)


def test_the_same_charts_give_the_same_bytes():
    assert render_png([picture()]) == render_png([picture()])


def test_the_title_the_caption_the_note_and_the_axes_are_in_the_picture():
    text = words(render_svg([picture(note="measured here")]))
    assert "Training loss" in text
    assert "100 points\u00a0· measured here" in text
    assert "step" in text
    assert "second" in text


def test_six_charts_stand_in_one_picture(all_charts):
    text = words(render_svg(all_charts))
    titles = ("Training loss", "Learning rate", "Epoch duration", "GPU utilisation", "Health", "Validation loss")
    assert [title for title in titles if title not in text] == []


def test_each_chart_has_a_legend_of_its_own():
    text = words(render_svg([picture("first one"), picture("another one")])).splitlines()
    assert text.count("second") == 2
    assert "first one" in text
    assert "another one" in text


def test_a_chart_without_points_is_the_sentence_that_says_why(all_charts):
    assert "This run logs no learning rate." in words(render_svg(all_charts))


@pytest.mark.parametrize(("dark", "background"), [(False, "#FFFFFF"), (True, "#0F141A")])
def test_the_ground_is_light_or_dark(dark, background):
    assert background in render_svg([picture()], dark=dark)


def test_names_are_text_and_never_markup():
    svg = render_svg([picture(label=HOSTILE, title=HOSTILE)])
    assert "<script" not in svg
    assert words(svg).count("alert(1)") == 2


def test_a_title_of_200_characters_keeps_its_beginning_and_end():
    text = words(render_svg([picture(title="begin" + "x" * 200 + "end")]))
    assert "begin" in text
    assert "…" in text
    assert "end" in text


def test_a_time_of_day_is_that_of_the_readers_zone():
    noon = picture(x=NOON_IN_TOKYO + 60.0 * np.arange(30), kind="wall")
    assert "12:10" in words(render_svg([noon], zone=ZoneInfo("Asia/Tokyo")))
    assert "03:10" in words(render_svg([noon]))


@pytest.mark.parametrize("clip_outliers", [False, True])
def test_a_clipped_axis_ends_before_the_outlier_also_beside_another_chart(clip_outliers):
    curves = [Curve("loss", np.arange(201.0), np.append(np.linspace(1.0, 2.0, 200), 900.0), palette_style(0))]
    layout = layout_of(curves, "step", clip_outliers=clip_outliers)
    labels = words(render_svg([picture(), Picture("clipped", layout, draw(layout, curves))])).splitlines()
    assert ("800" in labels) != clip_outliers


def test_no_chart_is_an_empty_picture():
    assert size(render_png([], scale=1.0)) > (0, 0)
