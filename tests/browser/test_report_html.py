"""A report in HTML, opened as a file in a Chromium without a network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from monitor.html import render_html
from tests.report_cases import one_report, seeded_runs, several_report, sick_run

pytestmark = pytest.mark.browser


@dataclass
class Opened:
    """A page and what it asked for or complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("reports")
    made = {"run": one_report(sick_run(directory)), "several": several_report(seeded_runs(directory))}
    for name, document in made.items():
        (directory / f"{name}.html").write_text(render_html(document), encoding="utf-8")
    return {name: directory / f"{name}.html" for name in made}


@pytest.fixture
def open_file(chromium: Browser) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def open_one(path: Path, *, width: int = 1200, dark: bool = False) -> Opened:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", offline=True
        )
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.faults.append(message.text))
        opened.page.on("pageerror", lambda error: opened.faults.append(str(error)))
        opened.page.goto(path.as_uri())
        return opened

    yield open_one
    for context in contexts:
        context.close()


def shown_charts(page: Page) -> list[str]:
    """Return the ground of every chart that is seen, those without a drawn line left out."""
    charts = page.locator("figure svg:visible")
    drawn = [charts.nth(number) for number in range(charts.count())]
    return [chart.get_attribute("class") or "" for chart in drawn if chart.locator(".mark-line path").count()]


@pytest.mark.parametrize(("name", "n_charts"), [("run", 6), ("several", 2)])
@pytest.mark.parametrize("dark", [False, True])
def test_every_chart_is_there_without_a_network(name, n_charts, dark, reports, open_file):
    opened = open_file(reports[name], dark=dark)
    assert shown_charts(opened.page) == ["dark" if dark else "light"] * n_charts
    assert opened.requests == [reports[name].as_uri()]
    assert opened.faults == []


@pytest.mark.parametrize("name", ["run", "several"])
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_screen(name, width, reports, open_file):
    page = open_file(reports[name], width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_dark_where_the_reader_wants_it(reports, open_file):
    page = open_file(reports["run"], dark=True).page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 26)"


def test_the_policy_of_the_page_stops_a_script(reports, open_file):
    opened = open_file(reports["run"])
    ran = opened.page.evaluate(
        "() => { const script = document.createElement('script'); script.textContent = 'window.ran = true';"
        " document.head.append(script); return window.ran === true; }"
    )
    assert not ran


def test_it_prints_on_a_white_ground_whatever_the_screen(reports, open_file):
    page = open_file(reports["run"], dark=True).page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown_charts(page) == ["light"] * 6


def test_the_page_shows_the_report_and_saves_the_same(tmp_path, serve, open_page):
    sick_run(tmp_path / "runs")
    watched = open_page(f"{serve('--logdir', str(tmp_path / 'runs')).url}/report")
    preview = watched.page.frame_locator("iframe[title='Preview of the report']")
    preview.locator("h1").get_by_text("pick/act/sick").wait_for()
    with watched.page.expect_download() as download:
        watched.page.get_by_text("Download HTML").click()
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename == "pick-act-sick.html"
    assert preview.locator("header p").inner_text() in saved
    watched.assert_well()


def test_it_prints(reports, open_file):
    assert open_file(reports["run"]).page.pdf(format="A4").startswith(b"%PDF")
