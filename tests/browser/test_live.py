"""The live page in a real browser: what is written while somebody watches, zoom, findings on their curve, saving."""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from monitor.charts import PALETTE
from tests import builders
from tests.browser.conftest import Server, Watched, settle
from tests.builders import event_file_name, scalar

pytestmark = pytest.mark.browser

Serve = Callable[..., Server]
Open = Callable[..., Watched]
EPOCHS = 40
TRAINING, TASK = ((int(color[1:3], 16), int(color[3:5], 16), int(color[5:], 16)) for color in PALETTE[:2])
LEGEND_HEIGHT = 20  # pixels
SECONDS_PER_EPOCH = 30.0  # seldom enough that the page waits for news instead of drawing at every look


@pytest.fixture
def seldom(tmp_path: Path) -> Path:
    """``logs/run/events…``: forty epochs of half a minute, the last one just written."""
    start = time.time() - EPOCHS * SECONDS_PER_EPOCH
    losses = builders.healthy_loss(EPOCHS)
    points = builders.rows("train/loss", losses) + builders.rows("validation/task1_loss", losses * 1.1)
    path = tmp_path / "logs" / "run" / event_file_name(int(start))
    return builders.write_scalars(path, sorted(points, key=lambda row: row[1]), start=start, seconds_per_step=30.0)


def open_run(run: Path, serve: Serve, open_page: Open, query: str = "refresh=1") -> Watched:
    return open_page(f"{serve('--logdir', str(run.parents[1])).url}/?{query}")


def card(page: Page, chart: str) -> Locator:
    """Return the card of the chart of that key."""
    return page.locator(f".st-key-chart-{chart}")


def write_epoch(path: Path, epoch: int, loss: float) -> None:
    builders.append(path, scalar("train/loss", epoch, loss, time.time()))


def x_axis(canvas: Locator) -> bytes:
    """Return a picture of the lower edge of a chart, where the numbers of the x axis stand."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    clip = {"x": box["x"], "y": box["y"] + box["height"] * 0.8, "width": box["width"], "height": box["height"] * 0.2}
    return canvas.page.screenshot(clip=clip)


def zoom_in(canvas: Locator) -> None:
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page = canvas.page
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Control")
    for _ in range(4):
        page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.mouse.move(5, 5)
    page.wait_for_timeout(1500)


def point_at(canvas: Locator, across: float) -> None:
    """Move the pointer onto a chart, to a part of its width."""
    box = canvas.bounding_box()
    assert box is not None
    canvas.page.mouse.move(box["x"] + across * box["width"], box["y"] + box["height"] / 2)
    canvas.page.wait_for_timeout(500)


def changed_columns(before: bytes, after: bytes) -> list[int]:
    """Return the columns in which a tall part of two pictures of a chart differs."""
    first, second = (np.asarray(Image.open(io.BytesIO(shot)).convert("L")).astype(int) for shot in (before, after))
    return [int(column) for column in np.flatnonzero((np.abs(first - second) > 20).mean(axis=0) > 0.5)]


def test_the_place_under_the_pointer_is_marked_in_every_chart_with_the_same_axis(
    seldom: Path, serve: Serve, open_page: Open
) -> None:
    watched = open_run(seldom, serve, open_page, "refresh=60")
    page = watched.page
    pointed, other, machine = (card(page, key).locator("canvas").first for key in ("loss", "validation", "machine"))
    machine.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    before, clock = other.screenshot(), machine.screenshot()
    found = []
    for across in (0.4, 0.7):
        point_at(pointed, across)
        found.append(changed_columns(before, other.screenshot()))
    assert all(1 <= len(columns) <= 3 for columns in found)
    width = Image.open(io.BytesIO(before)).width
    assert found[1][0] - found[0][0] == pytest.approx(0.3 * width, abs=0.06 * width)
    assert not changed_columns(clock, machine.screenshot())
    page.mouse.move(5, 5)
    page.wait_for_timeout(500)
    assert not changed_columns(before, other.screenshot())
    watched.assert_well()


def test_a_zoom_survives_ten_drawings_of_the_whole_page(seldom: Path, serve: Serve, open_page: Open) -> None:
    watched = open_run(seldom, serve, open_page)
    page = watched.page
    canvas = card(page, "loss").locator("canvas").first
    expect(canvas).to_be_visible()
    whole = x_axis(canvas)
    zoom_in(canvas)
    zoomed = x_axis(canvas)
    assert zoomed != whole
    for number in range(10):
        loss = 0.02 + number / 10_000
        write_epoch(seldom, EPOCHS + number, loss)
        expect(page.get_by_text(f"{loss:.4g}", exact=True).first).to_be_attached(timeout=5000)
    page.wait_for_timeout(500)
    assert x_axis(canvas) == zoomed
    watched.assert_well()


def places_of_color(canvas: Locator, color: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Return the pixels of a chart, x and y, that have one of the colours of its lines in full."""
    canvas.scroll_into_view_if_needed()
    pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
    return [(int(x), int(y)) for y, x in np.argwhere(np.abs(pixels - color).max(axis=2) <= 6)]


def test_a_line_hidden_in_the_legend_stays_hidden_over_ten_refreshes(
    seldom: Path, serve: Serve, open_page: Open
) -> None:
    watched = open_run(seldom, serve, open_page)
    page = watched.page
    canvas = card(page, "loss").locator("canvas").first
    expect(canvas).to_be_visible()
    page.wait_for_timeout(1000)
    shown = places_of_color(canvas, TASK)
    x, y = next(place for place in shown if place[1] < LEGEND_HEIGHT)
    canvas.click(position={"x": x + 4, "y": y})
    page.mouse.move(5, 5)
    page.wait_for_timeout(500)
    assert len(shown) > 100
    assert not places_of_color(canvas, TASK)
    for number in range(10):
        write_epoch(seldom, EPOCHS + number, 0.02 + number / 10_000)
        expect(page.get_by_text(f"{0.02 + number / 10_000:.4g}", exact=True).first).to_be_attached(timeout=5000)
    page.wait_for_timeout(500)
    assert not places_of_color(canvas, TASK)
    assert len(places_of_color(canvas, TRAINING)) > 100
    watched.assert_well()


def test_a_nan_written_while_watching_is_marked_and_found(seldom: Path, serve: Serve, open_page: Open) -> None:
    watched = open_run(seldom, serve, open_page)
    expect(card(watched.page, "loss").locator("canvas").first).to_be_visible()
    write_epoch(seldom, EPOCHS, float("nan"))
    expect(watched.page.get_by_text("Not a number").first).to_be_visible(timeout=4000)
    expect(card(watched.page, "loss").get_by_text("1 NaN or infinite, marked at the top")).to_be_visible()
    watched.assert_well()


def test_a_restart_written_while_watching_is_marked(seldom: Path, serve: Serve, open_page: Open) -> None:
    watched = open_run(seldom, serve, open_page)
    expect(card(watched.page, "loss").locator("canvas").first).to_be_visible()
    second = seldom.parent / event_file_name(int(time.time()), 1)
    points = builders.rows("train/loss", np.full(3, 0.25), first_step=30)
    builders.write_scalars(second, points, start=time.time() - 35)
    expect(card(watched.page, "loss").get_by_text("restarted at the grey line")).to_be_visible(timeout=4000)
    watched.assert_well()


def test_a_run_that_writes_at_every_look_is_followed(tmp_path: Path, serve: Serve, open_page: Open) -> None:
    start = time.time() - EPOCHS
    path = tmp_path / "logs" / "run" / event_file_name(int(start))
    builders.write_scalars(path, builders.rows("train/loss", builders.healthy_loss(EPOCHS)), start=start)
    watched = open_run(path, serve, open_page)
    for number in range(7):
        write_epoch(path, EPOCHS + number, 0.125 + number / 1000)
        expect(watched.page.get_by_text(f"{0.125 + number / 1000:.5g}", exact=True).first).to_be_attached(timeout=3000)
    expect(card(watched.page, "loss").get_by_text(re.compile(f"{EPOCHS + 7} points"))).to_be_visible(timeout=7000)
    watched.assert_well()


def test_a_finding_is_shown_where_it_begins_and_put_away_again(seldom: Path, serve: Serve, open_page: Open) -> None:
    write_epoch(seldom, EPOCHS, float("nan"))
    watched = open_run(seldom, serve, open_page)
    page = watched.page
    page.get_by_role("button", name="Show on chart").first.click()
    expect(card(page, "finding").locator("canvas").first).to_be_visible()
    assert "finding=" in page.url
    page.get_by_role("button", name="Close this chart").click()
    expect(card(page, "finding")).to_have_count(0)
    watched.assert_well()


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("PNG, a picture", b"\x89PNG"), ("SVG, a picture to scale", b"<svg"), ("CSV, every point", b"series,step,")],
)
def test_a_chart_is_saved(name: str, beginning: bytes, seldom: Path, serve: Serve, open_page: Open) -> None:
    watched = open_run(seldom, serve, open_page, "refresh=60")
    card(watched.page, "loss").get_by_role("button", name="Save").click()
    with watched.page.expect_download() as downloading:
        watched.page.get_by_role("button", name=name).click()
    content = Path(downloading.value.path()).read_bytes()
    assert content.startswith(beginning)
    assert downloading.value.suggested_filename.startswith("run-Training-loss.")
    watched.assert_well()


def test_a_search_among_three_hundred_series_stays_in_the_address(
    tmp_path: Path, serve: Serve, open_page: Open
) -> None:
    path = tmp_path / "logs" / "run" / event_file_name()
    points = [row for tag in range(300) for row in builders.rows(f"group{tag % 9}/metric_{tag:03d}", [3.0, 2.0, 1.0])]
    builders.write_scalars(path, points)
    watched = open_run(path, serve, open_page, "refresh=60")
    page = watched.page
    page.get_by_text("All 300 series").click()
    page.get_by_label("Search", exact=True).fill("metric_12[0-3]$")
    page.get_by_label("Search", exact=True).press("Enter")
    expect(page.get_by_text("group6/metric_123").first).to_be_visible()
    page.reload()
    settle(page)
    expect(page.get_by_text("group6/metric_123").first).to_be_visible()
    expect(page.get_by_text("group8/metric_125")).to_have_count(0)
    watched.assert_well()


def test_figures_are_set_in_digits_of_equal_width(seldom: Path, serve: Serve, open_page: Open) -> None:
    watched = open_run(seldom, serve, open_page, "refresh=60")
    figure = watched.page.locator("[data-testid=stMetricValue]").first
    expect(figure).to_be_visible()
    assert "tabular-nums" in figure.evaluate("element => getComputedStyle(element).fontVariantNumeric")


def test_the_answer_stands_on_the_first_screen(seldom: Path, serve: Serve, open_page: Open) -> None:
    watched = open_run(seldom, serve, open_page, "refresh=60")
    figures = watched.page.locator("[data-testid=stMetric]")
    expect(figures.first).to_be_visible()
    boxes = [box for box in (figure.bounding_box() for figure in figures.all()) if box is not None]
    assert len(boxes) >= 6
    assert all(box["y"] + box["height"] <= 900 for box in boxes)


def test_the_parts_of_the_page_are_reached_with_the_keyboard(seldom: Path, serve: Serve, open_page: Open) -> None:
    watched = open_run(seldom, serve, open_page, "refresh=60")
    expect(card(watched.page, "loss").locator("canvas").first).to_be_visible()
    reached = set()
    for _ in range(60):
        watched.page.keyboard.press("Tab")
        reached.add(watched.page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''"))
    spoken = "\n".join(reached)
    assert "Run comparison" in spoken
    assert "Save" in spoken
