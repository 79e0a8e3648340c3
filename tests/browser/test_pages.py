"""The pages in a real browser: live refresh, zoom, deep links, hostile names, narrow screens."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from monitor.demo import write_demo
from tests import builders
from tests.browser.conftest import Server, Watched, settle
from tests.builders import event_file_name, scalar

pytestmark = pytest.mark.browser

Serve = Callable[..., Server]
Open = Callable[..., Watched]
REFRESH_SECONDS = 2
PAGES = {"": "Live run", "run_comparison": "Run comparison", "report": "Report"}
HOSTILE = "![x](http://evil.example/x.png) <img src=x onerror=alert(1)> **b** $x$ :red[y] | `q`"


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    """``logs/run/events…``: forty epochs of a training that was running a moment ago."""
    start = time.time() - 40
    rows = [
        row
        for step, loss in enumerate(builders.healthy_loss(40))
        for row in (
            ("train/loss", step, float(loss)),
            ("train/learning_rate", step, 1e-4),
            ("validation/task1_loss", step, float(loss) * 1.1),
        )
    ]
    return builders.write_scalars(tmp_path / "logs" / "run" / event_file_name(int(start)), rows, start=start)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five runs of the demo."""
    directory = tmp_path_factory.mktemp("demo")
    write_demo(directory)
    return directory


def chart(page: Page, title: str) -> Locator:
    """Return the drawing area of the chart of that title."""
    card = page.locator("[data-testid=stVerticalBlock]", has=page.get_by_text(title, exact=True)).last
    return card.locator("canvas").first


def x_axis(canvas: Locator) -> bytes:
    """Return a picture of the lower edge of a chart, where the numbers of the x axis stand."""
    box = canvas.bounding_box()
    assert box is not None
    clip = {"x": box["x"], "y": box["y"] + box["height"] * 0.8, "width": box["width"], "height": box["height"] * 0.2}
    return canvas.page.screenshot(clip=clip)


def end_demo(directory: Path) -> None:
    """End the demo that the page started: its live run would train on for minutes."""
    for process in psutil.process_iter(["cmdline"]):
        if str(directory) in (process.info["cmdline"] or ()):
            process.terminate()


def has_no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


# --- live ------------------------------------------------------------------------------------------------------------


def test_a_new_point_is_on_the_page_within_the_refresh_interval_and_a_second(
    growing: Path, serve: Serve, open_page: Open
) -> None:
    server = serve("--logdir", str(growing.parents[1]))
    watched = open_page(f"{server.url}/?refresh={REFRESH_SECONDS}")
    page = watched.page
    page.evaluate("window.neverReloaded = true")
    builders.append(growing, scalar("train/loss", 40, 0.015625, time.time()))
    expect(page.get_by_text("0.015625").first).to_be_visible(timeout=(REFRESH_SECONDS + 1) * 1000)
    assert page.evaluate("window.neverReloaded") is True
    watched.assert_well()


def test_a_zoom_survives_refreshes_with_new_points(growing: Path, serve: Serve, open_page: Open) -> None:
    server = serve("--logdir", str(growing.parents[1]))
    watched = open_page(f"{server.url}/?refresh=1")
    page = watched.page
    canvas = chart(page, "Training loss")
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    whole = x_axis(canvas)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Control")
    for _ in range(4):
        page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_timeout(1500)
    zoomed = x_axis(canvas)
    assert zoomed != whole
    for step in range(40, 44):
        builders.append(growing, scalar("train/loss", step, 0.02, time.time()))
        expect(page.get_by_text(f"epoch {step + 1}").or_(page.get_by_text(f"step {step}")).first).to_be_attached(
            timeout=5000
        )
        page.wait_for_timeout(300)
    assert x_axis(canvas) == zoomed
    watched.assert_well()


def test_a_nan_written_while_watching_appears_as_a_finding(growing: Path, serve: Serve, open_page: Open) -> None:
    server = serve("--logdir", str(growing.parents[1]))
    watched = open_page(f"{server.url}/?refresh=1")
    builders.append(growing, scalar("train/loss", 40, float("nan"), time.time()))
    expect(watched.page.get_by_text("critical").first).to_be_visible(timeout=5000)
    watched.assert_well()


def test_a_run_deleted_while_watched_is_told_without_an_exception(growing: Path, serve: Serve, open_page: Open) -> None:
    server = serve("--logdir", str(growing.parents[1]))
    watched = open_page(f"{server.url}/?refresh=1&run=run")
    shutil.rmtree(growing.parent)
    watched.page.wait_for_timeout(3000)
    expect(watched.page.get_by_text(re.compile("deleted or moved|No runs yet|is gone")).first).to_be_visible()
    watched.assert_well()


# --- every page ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_a_deep_link_works_on_a_cold_server(path: str, demo: Path, serve: Serve, open_page: Open) -> None:
    server = serve("--logdir", str(demo))
    watched = open_page(f"{server.url}/{path}")
    expect(watched.page).to_have_title(re.compile(PAGES[path]))
    expect(watched.page.get_by_text("run_").first).to_be_visible()
    watched.assert_well()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_scrolls_sideways(path: str, width: int, demo: Path, serve: Serve, open_page: Open) -> None:
    watched = open_page(f"{serve('--logdir', str(demo)).url}/{path}", width=width)
    watched.page.wait_for_timeout(1000)
    assert has_no_sideways_scroll(watched.page)
    watched.assert_well()


@pytest.mark.parametrize("path", PAGES)
def test_hostile_names_are_shown_as_text(path: str, tmp_path: Path, serve: Serve, open_page: Open) -> None:
    run = tmp_path / "logs" / HOSTILE.replace("/", "∕")
    rows = [(HOSTILE, step, 1.0) for step in range(9)] + [("train/loss", step, 1.0) for step in range(9)]
    builders.write_scalars(run / event_file_name(), rows)
    watched = open_page(f"{serve('--logdir', str(tmp_path / 'logs')).url}/{path}")
    expect(watched.page.get_by_text("onerror=alert").first).to_be_attached()
    assert watched.page.locator("img[src*=evil], img[src=x]").count() == 0
    watched.assert_well()


def test_without_runs_the_page_says_where_it_looked_and_the_demo_it_offers_appears(
    tmp_path: Path, serve: Serve, open_page: Open
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    watched = open_page(serve("--logdir", str(logs)).url)
    expect(watched.page.get_by_text(str(logs)).first).to_be_visible()
    watched.page.get_by_role("button", name="Make demo runs").click()
    try:
        expect(watched.page.get_by_text("arm_demo").first).to_be_visible(timeout=60_000)
        watched.assert_well()
    finally:
        end_demo(logs / "monitor-demo")


def test_the_report_that_is_downloaded_is_the_one_previewed(demo: Path, serve: Serve, open_page: Open) -> None:
    watched = open_page(f"{serve('--logdir', str(demo)).url}/report?format=Markdown")
    with watched.page.expect_download() as downloading:
        watched.page.get_by_role("button", name=re.compile("Download")).first.click()
    report = Path(downloading.value.path()).read_text(encoding="utf-8")
    assert report.startswith("# ")
    assert "train/loss" in report
    expect(watched.page.get_by_text("train/loss").first).to_be_attached()
    watched.assert_well()


def test_tables_of_the_report_stay_within_its_frame_on_a_phone(demo: Path, serve: Serve, open_page: Open) -> None:
    watched = open_page(f"{serve('--logdir', str(demo)).url}/report?format=Markdown", width=390)
    frame = watched.page.locator(".st-key-preview")
    expect(frame.locator("table").first).to_be_visible()
    box = frame.bounding_box()
    tables = [table.bounding_box() for table in frame.locator("table").all()]
    assert box is not None
    assert all(table is not None and table["x"] + table["width"] <= box["x"] + box["width"] for table in tables)


def test_the_comparison_draws_the_chosen_runs_and_names_a_winner(demo: Path, serve: Serve, open_page: Open) -> None:
    watched = open_page(f"{serve('--logdir', str(demo)).url}/run_comparison")
    expect(watched.page.locator("canvas").first).to_be_visible()
    expect(watched.page.get_by_text(re.compile("lowest best")).first).to_be_visible()
    settle(watched.page)
    watched.assert_well()
