"""The comparison page in a real browser: choosing by link and by row, hostile names, files, narrow screens."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlparse

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests import builders
from tests.browser.conftest import Server, Watched, settle
from tests.builders import event_file_name, rows, write_scalars
from tests.sweeps import write_sweep

pytestmark = pytest.mark.browser

Serve = Callable[..., Server]
Open = Callable[..., Watched]
HOSTILE = (
    "![x](http:evil.example) **b** $x$ :red[y] `q`",
    "<img src=x onerror=alert(1)>",
    "\"quotes\" & 'more' | a=b",
    "x" * 200,
    "مرحبا بالعالم",
    "🚀 emoji",
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Fifteen small real trainings: three configurations × five seeds."""
    directory = tmp_path_factory.mktemp("sweep")
    return directory, write_sweep(directory)


def address(server: Server, runs: list[str], **more: str) -> str:
    return f"{server.url}/run_comparison?{urlencode([*(('runs', run) for run in runs), *more.items()])}"


def chosen(page: Page) -> list[str]:
    """Return the runs in the address bar."""
    return parse_qs(urlparse(page.url).query).get("runs", [])


def has_no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_link_opens_exactly_its_view(sweep: tuple[Path, list[str]], serve: Serve, open_page: Open) -> None:
    directory, names = sweep
    link = {"tag": "train/loss", "by": "last", "baseline": "plain/run_0", "budget": "the same steps", "axis": "Step"}
    watched = open_page(address(serve("--logdir", str(directory)), names[:7], **link))
    page = watched.page
    expect(page.get_by_text("Compared: last").first).to_be_visible()
    expect(page.get_by_text("as you chose").first).to_be_visible()
    expect(page.locator(".st-key-chart-overlay canvas").first).to_be_visible()
    assert chosen(page) == names[:7]
    asked = parse_qs(urlparse(page.url).query)
    assert {key: asked[key] for key in ("tag", "by", "budget")} == {key: [link[key]] for key in ("tag", "by", "budget")}
    watched.assert_well()


def test_the_first_choice_stands_in_the_address(sweep: tuple[Path, list[str]], serve: Serve, open_page: Open) -> None:
    watched = open_page(f"{serve('--logdir', str(sweep[0])).url}/run_comparison")
    watched.page.wait_for_url("**runs=**")
    assert len(chosen(watched.page)) == 5
    watched.assert_well()


def test_a_row_that_is_marked_is_compared(sweep: tuple[Path, list[str]], serve: Serve, open_page: Open) -> None:
    directory, names = sweep
    watched = open_page(address(serve("--logdir", str(directory)), names[-2:], filter="momentum/run_[01]"))
    page = watched.page
    table = page.locator("[class*=st-key-rows] canvas").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 52)  # the box of the first row
    page.wait_for_function("new URL(location).searchParams.getAll('runs').length === 3")
    settle(page)
    assert set(chosen(page)) >= set(names[-2:])
    assert sum(name.startswith("momentum/") for name in chosen(page)) == 1
    expect(page.locator(".st-key-runs").get_by_text("momentum/run_").first).to_be_visible()
    watched.assert_well()


def test_the_verdict_is_right_for_both_pairs(sweep: tuple[Path, list[str]], serve: Serve, open_page: Open) -> None:
    directory, names = sweep
    watched = open_page(address(serve("--logdir", str(directory)), names, baseline="clip=1000, momentum=0"))
    said = watched.page.get_by_test_id("stAlert").first
    expect(said).to_contain_text("clip=1000, momentum=0.9 is better than clip=1000, momentum=0 by")
    expect(said).to_contain_text("No difference seen between clip=10000, momentum=0 and clip=1000, momentum=0")
    watched.assert_well()


# --- the overlay -----------------------------------------------------------------------------------------------------

BLUE, ORANGE, GREEN = "0072B2", "D55E00", "009E73"
COUNT_PIXELS = """(canvas, color) => {
    const wanted = [0, 2, 4].map(at => parseInt(color.slice(at, at + 2), 16));
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4)
        if (data[at + 3] > 240 && wanted.every((part, i) => Math.abs(data[at + i] - part) < 3)) count++;
    return count;
}"""
NAME_PIXELS = 60  # at most, of the stroke beside a name in the legend


def overlay(page: Page) -> Locator:
    canvas = page.locator(".st-key-chart-overlay canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # until it is drawn
    return canvas


def pixels(page: Page, color: str) -> int:
    """Return how much of the overlay is in one colour, at full strength."""
    return count_pixels(overlay(page), color)


def count_pixels(canvas: Locator, color: str) -> int:
    return int(canvas.evaluate(COUNT_PIXELS, color))


def place_on(canvas: Locator, across: float, down: float) -> tuple[float, float]:
    """Return a place on a canvas, as parts of its width and height, in the coordinates of the page."""
    box = canvas.bounding_box()
    assert box is not None
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def click_first_name(page: Page) -> None:
    """Click the first name in the legend of the overlay."""
    box = overlay(page).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 100, box["y"] + 8)
    page.mouse.move(box["x"] + 100, box["y"] - 20)


def test_a_line_hidden_by_its_name_stays_hidden_over_ten_refreshes(
    sweep: tuple[Path, list[str]], serve: Serve, open_page: Open
) -> None:
    directory, names = sweep
    watched = open_page(address(serve("--logdir", str(directory)), names))
    page = watched.page
    assert pixels(page, GREEN) > 10 * NAME_PIXELS
    click_first_name(page)
    assert pixels(page, GREEN) < NAME_PIXELS
    page.get_by_role("button", name="Curves").click()
    slider = page.locator(".st-key-smoothing input")
    for _ in range(10):  # each draws all lines anew
        slider.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(300)
        settle(page)
    page.keyboard.press("Escape")
    expect(page.get_by_text("each run smoothed 0.7 before")).to_be_visible()
    assert pixels(page, GREEN) < NAME_PIXELS
    click_first_name(page)
    assert pixels(page, GREEN) > 10 * NAME_PIXELS
    watched.assert_well()


@pytest.mark.parametrize("dark", [False, True])
def test_the_line_nearest_to_the_pointer_comes_to_the_front_and_the_others_fade(
    sweep: tuple[Path, list[str]], serve: Serve, open_page: Open, dark: bool
) -> None:
    directory, names = sweep
    watched = open_page(address(serve("--logdir", str(directory)), names), dark=dark)
    page = watched.page
    before = pixels(page, BLUE)
    assert before > 10 * NAME_PIXELS
    page.mouse.move(*place_on(overlay(page), 0.5, 0.80))  # close above the lower axis: the best group
    expect(page.locator("#vg-tooltip-element")).to_contain_text("momentum=0.9")
    assert pixels(page, ORANGE) > 10 * NAME_PIXELS
    assert pixels(page, BLUE) < NAME_PIXELS
    page.mouse.move(5, 5)
    assert pixels(page, BLUE) == before
    watched.assert_well()


def test_a_line_comes_to_the_front_in_every_chart_of_the_grid(
    sweep: tuple[Path, list[str]], serve: Serve, open_page: Open
) -> None:
    directory, names = sweep
    link = {"tag": "validation/loss", "also": "train/loss"}
    watched = open_page(address(serve("--logdir", str(directory)), names, **link), height=1600)
    page = watched.page
    other = page.locator(".st-key-chart-overlay-0 canvas").first
    expect(other).to_be_visible()
    page.wait_for_timeout(1000)
    before = count_pixels(other, BLUE)
    page.mouse.move(*place_on(overlay(page), 0.5, 0.80))
    expect(page.locator("#vg-tooltip-element")).to_contain_text("momentum=0.9")
    assert count_pixels(other, ORANGE) > NAME_PIXELS
    assert count_pixels(other, BLUE) < NAME_PIXELS < before
    page.mouse.move(5, 5)
    page.wait_for_timeout(500)
    assert count_pixels(other, BLUE) == before
    watched.assert_well()


def test_lines_are_coloured_by_a_hyper_parameter(sweep: tuple[Path, list[str]], serve: Serve, open_page: Open) -> None:
    directory, names = sweep
    link = {"show": "every run", "color": "optimizer.momentum", "smoothing": "0"}
    watched = open_page(address(serve("--logdir", str(directory)), names, **link))
    assert pixels(watched.page, BLUE) > 10 * NAME_PIXELS
    assert pixels(watched.page, ORANGE) > 10 * NAME_PIXELS
    assert pixels(watched.page, GREEN) == 0
    watched.assert_well()


@pytest.mark.parametrize(("name", "beginning"), [("PNG, a picture", b"\x89PNG"), ("SVG, a picture to scale", b"<svg")])
def test_the_overlay_is_saved_as_a_picture(
    name: str, beginning: bytes, sweep: tuple[Path, list[str]], serve: Serve, open_page: Open
) -> None:
    directory, names = sweep
    watched = open_page(address(serve("--logdir", str(directory)), names))
    page = watched.page
    page.locator(".st-key-chart-overlay").get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    assert download.value.path().read_bytes().startswith(beginning)
    watched.assert_well()


# --- foreign text, files, many runs, narrow screens ------------------------------------------------------------------


def test_hostile_names_are_shown_as_text(tmp_path: Path, serve: Serve, open_page: Open) -> None:
    for number, name in enumerate(HOSTILE):
        write_scalars(tmp_path / name / event_file_name(), rows("loss", builders.healthy_loss(30, seed=number)))
        (tmp_path / name / "config.yaml").write_text(f'"<b>lr</b>": {0.1 * number}\n', encoding="utf-8")
    watched = open_page(address(serve("--logdir", str(tmp_path)), list(HOSTILE), relations="true", color="<b>lr</b>"))
    page = watched.page
    expect(page.get_by_text("Which settings go with the result").first).to_be_visible()
    expect(page.locator(".st-key-parallel canvas").first).to_be_visible()
    assert sorted(chosen(page)) == sorted(HOSTILE)
    assert page.locator("img[src*=evil], img[src=x]").count() == 0
    assert has_no_sideways_scroll(page)
    watched.assert_well()


def test_the_table_is_downloaded_with_raw_numbers(sweep: tuple[Path, list[str]], serve: Serve, open_page: Open) -> None:
    directory, names = sweep
    watched = open_page(address(serve("--logdir", str(directory)), names))
    page = watched.page
    page.locator(".st-key-take-away").get_by_role("button", name="Table").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV, raw numbers").click()
    head, *lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert head.startswith("place,group,runs,mean,deviation")
    assert len(lines) == 3
    watched.assert_well()


def test_the_report_page_opens_with_the_choice(sweep: tuple[Path, list[str]], serve: Serve, open_page: Open) -> None:
    directory, names = sweep
    watched = open_page(address(serve("--logdir", str(directory)), names[:3]))
    page = watched.page
    page.get_by_role("link", name="Make a report of this").click()
    page.wait_for_url("**/report?**")
    settle(page)
    for name in names[:3]:
        expect(page.locator(".st-key-report").get_by_text(name).first).to_be_visible()
    watched.assert_well()


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_everything_without_sideways_scrolling(
    sweep: tuple[Path, list[str]], serve: Serve, open_page: Open, dark: bool
) -> None:
    directory, names = sweep
    link = address(serve("--logdir", str(directory)), names, relations="true", also="train/loss")
    watched = open_page(link, width=390, dark=dark)
    expect(watched.page.locator(".st-key-chart-overlay canvas").first).to_be_visible()
    expect(watched.page.locator(".st-key-chart-overlay-0 canvas").first).to_be_visible()
    assert has_no_sideways_scroll(watched.page)
    watched.assert_well()


def test_a_thousand_runs_are_listed_and_searched(tmp_path: Path, serve: Serve, open_page: Open) -> None:
    for number in range(1000):
        points = rows("loss", np.linspace(1, 0.1, 20))
        write_scalars(tmp_path / f"run_{number:04d}" / event_file_name(), points)
    watched = open_page(address(serve("--logdir", str(tmp_path)), ["run_0007"]))
    page = watched.page
    expect(page.get_by_text("All 1,000 runs")).to_be_visible()
    expect(page.get_by_text("Listed: 1,000 finished")).to_be_visible(timeout=30_000)
    search = page.locator(".st-key-filter input")
    search.fill("run_012[34]")
    search.press("Enter")
    expect(page.get_by_text("Listed: 2 finished")).to_be_visible(timeout=5_000)
    watched.assert_well()
