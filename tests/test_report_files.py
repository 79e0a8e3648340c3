"""Reports as files: the gold ones, the same bytes twice, the figures of `status --json`, and what a renderer sees."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
import numpy as np
import pytest

from monitor.html import render_html
from monitor.markdown import render_markdown
from monitor.report import ReportContext, run_report
from monitor.report_files import FORMATS, ReportFile, ReportShelf, is_report, make_report, render_scalars_csv
from monitor.schema import Health, Run, Scalars
from monitor.status import RunStatus, status_json
from monitor.text import plain
from monitor.watch import RunWatch
from tests.builders import (
    corrupt,
    diverging_loss,
    event_file_name,
    healthy_loss,
    nan_at,
    oscillating_loss,
    overfitting_losses,
    rows,
    write_scalars,
)
from tests.report_cases import CASES, GOLD, N_EPOCHS, NOW, gold_texts, healthy_run, make_run, one_report, sick_run
from tests.report_figures import differences
from tests.statuses import example_status, finding, hostile_status, points

HOSTILE = (
    "a|b``c`<script>alert(1)</script>![x](https://evil/x.png)](http://evil) www.evil.com \n# heading\x1b[31m\u202e"
)
CONFIGURATION = "training:\n  max_epoch: 100\n"


# --- gold ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_report_is_the_gold_one(name: str, tmp_path: Path) -> None:
    for file, text in gold_texts(name, tmp_path).items():
        accepted = (GOLD / file).read_text(encoding="utf-8")
        assert text == accepted, f"{file} differs; if that is right: python -m tests.accept_reports"


@pytest.mark.parametrize("form", FORMATS)
def test_two_makings_give_the_same_bytes(form: str, tmp_path: Path) -> None:
    first, second = (healthy_run(tmp_path / name) for name in ("one", "two"))
    made = [make_report(one_report(status), form, [status]) for status in (first, second)]
    assert made[0].content == made[1].content


# --- the figures are those of status --json ------------------------------------------------------------------------


def shape(name: str, seed: int) -> np.ndarray:
    makers: dict[str, Callable[[int], np.ndarray]] = {
        "healthy": lambda seed: healthy_loss(N_EPOCHS, seed),
        "diverging": lambda seed: diverging_loss(N_EPOCHS, 60, seed),
        "nan": lambda seed: nan_at(healthy_loss(N_EPOCHS, seed), 70),
        "oscillating": lambda seed: oscillating_loss(N_EPOCHS, 40, seed=seed),
        "overfitting": lambda seed: overfitting_losses(N_EPOCHS, seed=seed)[1],
        "negative": lambda seed: -1e9 * healthy_loss(N_EPOCHS, seed),
        "tiny": lambda seed: 1e-12 * healthy_loss(N_EPOCHS, seed),
        "infinite": lambda seed: np.where(np.arange(N_EPOCHS) == 50, np.inf, healthy_loss(N_EPOCHS, seed)),
        "one point": lambda seed: healthy_loss(N_EPOCHS, seed)[:1],
    }
    return makers[name](seed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "name",
    ["healthy", "diverging", "nan", "oscillating", "overfitting", "negative", "tiny", "infinite", "one point"],
)
def test_the_figures_are_those_of_status_json(name: str, seed: int, tmp_path: Path) -> None:
    values = shape(name, seed)
    series = rows("train/loss", healthy_loss(len(values), seed)) + rows("validation/a|b_loss", values)
    series += rows("eval/success_rate", np.clip(values, 0, 1)) + rows("train/learning_rate", [1e-3] * len(values))
    status = make_run(tmp_path, f"run {seed}", series, CONFIGURATION, ("epoch10", "epoch20", "best"))
    told = json.loads(json.dumps(status_json(status)))
    first = status.progress.first_epoch_step
    assert list(differences(render_markdown(one_report(status)), told, first)) == []


def test_a_damaged_file_is_told_as_in_status_json(tmp_path: Path) -> None:
    path = write_scalars(tmp_path / "run" / event_file_name(), rows("train/loss", healthy_loss(50)))
    corrupt(path, 700)
    status = make_run_of(tmp_path / "run")
    assert status.problems
    told = json.loads(json.dumps(status_json(status)))
    assert list(differences(render_markdown(one_report(status)), told, status.progress.first_epoch_step)) == []


def make_run_of(run: Path) -> RunStatus:
    return RunWatch(run).refresh(NOW)


def test_a_figure_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    status = healthy_run(tmp_path)
    told = json.loads(json.dumps(status_json(status)))
    told["metrics"]["validation"][0]["best"] = 0.123
    assert list(differences(render_markdown(one_report(status)), told, status.progress.first_epoch_step))


# --- hostile names -------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Counts the elements of a page and gathers the rows of its tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)


def rendered(status: RunStatus) -> Elements:
    """Return the report as GitHub's renderer shows it."""
    text = render_markdown(run_report(status, ReportContext(NOW)))
    return Elements(cmarkgfm.github_flavored_markdown_to_html(text))


def test_githubs_renderer_keeps_every_table_with_hostile_names() -> None:
    tame, hostile = rendered(example_status()).tables, rendered(hostile_status(HOSTILE)).tables
    assert len(hostile) >= 8
    for table in (*tame, *hostile):
        assert {len(row) for row in table} == {len(table[0])}


def test_githubs_renderer_shows_a_hostile_name_whole() -> None:
    cells = [cell for table in rendered(hostile_status(HOSTILE)).tables for row in table for cell in row]
    assert cells.count(plain(HOSTILE)) >= 5


@pytest.mark.parametrize("element", ["script", "img", "a", "em", "del", "input"])
def test_githubs_renderer_finds_no_markup_in_hostile_names(element: str) -> None:
    assert element not in rendered(hostile_status(HOSTILE)).names


def test_html_of_hostile_names_has_the_same_elements_as_that_of_tame_ones() -> None:
    def outside_charts(status: RunStatus) -> list[str]:
        page = render_html(run_report(status, ReportContext(NOW)).only(frozenset({"run", "validation", "findings"})))
        return Elements(page).names

    tame = example_status(health=Health(findings=(finding(),)), scores=example_status().scores)
    assert outside_charts(hostile_status(HOSTILE)) == outside_charts(tame)


def test_html_of_hostile_names_holds_no_script_and_no_picture_in_its_charts_either() -> None:
    names = set(Elements(render_html(run_report(hostile_status(HOSTILE), ReportContext(NOW)))).names)
    assert "svg" in names
    assert not names & {"script", "img", "iframe", "object", "foreignobject", "image"}


# --- html ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_html(one_report(sick_run(tmp_path_factory.mktemp("html"))))


def test_html_holds_every_chart_light_and_dark(page: str) -> None:
    assert re.findall(r'<svg [^>]*class="(light|dark)"', page) == ["light", "dark"] * 6


def test_html_asks_for_nothing_outside_itself(page: str) -> None:
    links = re.findall(r'(?:href|src|srcset|action|data)="([^"]*)"|url\(([^)]*)\)|@import', page)
    assert [link for link in links if not "".join(link).startswith("#")] == []


def test_html_holds_no_script_and_no_style_of_an_element(page: str) -> None:
    assert re.findall(r"<script| style=| on[a-z]+=", page) == []


def test_names_of_clips_are_different_in_every_chart(page: str) -> None:
    names = re.findall(r'<clipPath id="([^"]*)"', page)
    assert names
    assert len(names) == len(set(names))
    assert set(re.findall(r'clip-path="url\(#([^)]*)\)"', page)) <= set(names)


def test_every_link_of_the_contents_leads_somewhere(page: str) -> None:
    targets = re.findall(r'href="#([^"]*)"', page)
    assert len(targets) == 15
    assert [target for target in targets if f'id="{target}"' not in page] == []


# --- zip -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> ReportFile:
    status = sick_run(tmp_path_factory.mktemp("zip"))
    return make_report(one_report(status), "zip", [status])


def test_every_picture_of_the_markdown_is_in_the_zip(archive: ReportFile) -> None:
    with zipfile.ZipFile(io.BytesIO(archive.content)) as files:
        text = files.read("report.md").decode()
        links = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
        assert len(links) == 6
        assert [link for link in links if not files.read(link).startswith(b"\x89PNG")] == []


def test_every_scalar_is_in_the_zip(archive: ReportFile) -> None:
    with zipfile.ZipFile(io.BytesIO(archive.content)) as files:
        lines = files.read("scalars.csv").decode().splitlines()
    assert lines[0] == "run,tag,step,wall_time,value,session"
    assert len(lines) == 1 + 240
    assert "pick/act/sick,train/loss,79,1700000790,NaN,0" in lines


def test_a_csv_keeps_every_bit_and_a_hostile_name_one_cell() -> None:
    values = (1 / 3, float("inf"), -0.0, 5e-324)
    status = example_status(run=Run('r,"1"', "/r", 0.0, 0), scalars=Scalars(series={"a,b": points(values)}))
    read = list(csv.reader(io.StringIO(render_scalars_csv([status]).decode())))
    assert [(row[0], row[1], float(row[4])) for row in read[1:]] == [('r,"1"', "a,b", value) for value in values]


# --- any format ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_knows_itself(form: str, tmp_path: Path) -> None:
    status = healthy_run(tmp_path)
    assert is_report(make_report(one_report(status).only(frozenset({"summary"})), form, [status]).content)


def test_making_tells_how_far_it_is(tmp_path: Path) -> None:
    status, told = healthy_run(tmp_path), []
    make_report(one_report(status), "zip", [status], lambda done, total, words: told.append((done, total)))
    assert told[0] == (0, 7)
    assert told[-1] == (6, 7)
    assert told == sorted(told)


def test_a_report_that_would_be_the_same_is_not_made_again() -> None:
    shelf, made = ReportShelf(most=2), []

    def make(name: str) -> ReportFile:
        made.append(name)
        return ReportFile("md", b"", name, {})

    for name in ("a", "a", "b", "c", "a"):
        assert shelf.take(name, lambda name=name: make(name)).text == name
    assert made == ["a", "b", "c", "a"]
