"""Numbers written anew in a finished text, and what is none of ours left alone."""

import io
import re
import zipfile

import numpy as np
import pytest

from monitor.document import Course, Document, Facts, Items, Listing, Note, Paragraph, Section, Table, foreign
from monitor.figures import Figure
from monitor.html import render_html
from monitor.markdown import render_markdown
from monitor.number_style import SEPARATORS, NumberStyle, example_of, number_writer
from monitor.pictures import render_svg
from monitor.report_files import SCALARS_NAME, make_report
from monitor.text import format_bytes, format_change, format_duration, format_number, format_step
from tests.report_cases import CASES, GOLD, healthy_run, one_report

GERMAN = number_writer("de")
STYLES: tuple[NumberStyle, ...] = ("en", "de", "fr")


def document_of(*blocks) -> Document:
    return Document("Report", (), (Section("part", "Part", blocks),))


# --- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "german", "french"),
    [
        ("0.31416", "0,31416", "0,31416"),
        ("−0.5", "−0,5", "−0,5"),
        ("12,340", "12.340", "12\u00a0340"),
        ("1,234,567", "1.234.567", "1\u00a0234\u00a0567"),
        ("1,234.5", "1.234,5", "1\u00a0234,5"),
        ("1.200e-07", "1,200e-07", "1,200e-07"),
        ("1.2e+10", "1,2e+10", "1,2e+10"),
        ("−5.2 %", "−5,2 %", "−5,2 %"),
        ("> +9,999 %", "> +9.999 %", "> +9\u00a0999 %"),
        ("1.3 GB", "1,3 GB", "1,3 GB"),
        ("9.5 s", "9,5 s", "9,5 s"),
        ("The loss rose to 0.7.", "The loss rose to 0,7.", "The loss rose to 0,7."),
        ("(0.0387 to 0.0466, 2 seeds)", "(0,0387 to 0,0466, 2 seeds)", "(0,0387 to 0,0466, 2 seeds)"),
        ("steps 1,000, 2,000, 3,000", "steps 1.000, 2.000, 3.000", "steps 1\u00a0000, 2\u00a0000, 3\u00a0000"),
        ("steps 1,200–2,400", "steps 1.200–2.400", "steps 1\u00a0200–2\u00a0400"),
    ],
)
def test_a_number_is_written_in_each_style(ours: str, german: str, french: str) -> None:
    assert [number_writer(style)(ours) for style in STYLES] == [ours, german, french]


@pytest.mark.parametrize(
    "text",
    [
        "42 of 100",
        "epochs 10, 20, 30",
        "5e-04",
        "2023-11-14 22:13:20 UTC",
        "Written by the training monitor, version 0.1.0.",
        "version 1.2",
        "v1.2",
        "lr=0.5",
        "checkpoint_0.123",
        "epoch-1.5",
        "runs/0.5/a",
        "host:1.5",
        "127.0.0.1",
        '"model 0.5 b" is gone',
        "under “Figure 1.2”",
        foreign("lr 0.5"),
        f'"{foreign("a")}" and "0.5"',
        "1,2,3",
        "12,34",
        "1234,567",
        "NaN and −∞",
        "2 h 05 min",
    ],
)
def test_what_is_no_number_of_ours_stays(text: str) -> None:
    assert GERMAN(text) == text


def test_a_number_beside_a_name_is_written_and_the_name_is_not() -> None:
    assert GERMAN(f'{foreign("run 0.5")} is at 0.5, "x 0.5" at 1,000.') == (
        f'{foreign("run 0.5")} is at 0,5, "x 0.5" at 1.000.'
    )


def test_a_name_told_beforehand_stays_also_without_marks() -> None:
    write = number_writer("de", ["0.01", "0.1"])
    assert (
        write("0.01 is better than 0.1 by 0.012, 0.10 and 10.1.") == "0.01 is better than 0.1 by 0,012, 0,10 and 10,1."
    )


@pytest.mark.parametrize("style", ["de", "fr"])
def test_whatever_our_functions_write_can_be_read_back(style: NumberStyle) -> None:
    """One style turned back is the other: nothing is lost, and nothing moves."""
    values = [*np.random.default_rng(0).normal(0, 1, 200) * 10.0 ** np.arange(-8, 12).repeat(10), 0.0, np.inf, np.nan]
    separators = SEPARATORS[style]
    back = str.maketrans({separators.thousands: ",", separators.decimal: "."})
    for value in map(float, values):
        whole = round(value) if np.isfinite(value) else 0
        for text in (
            format_number(value),
            format_step(whole),
            format_change(value),
            format_bytes(abs(whole)),
            format_duration(value),
        ):
            written = number_writer(style)(text)
            assert len(written) == len(text)
            assert written.translate(back) == text


@pytest.mark.parametrize("style", STYLES)
def test_the_example_says_how_a_style_looks(style: NumberStyle) -> None:
    assert example_of(style) == f"1{SEPARATORS[style].thousands}234{SEPARATORS[style].decimal}5"


# --- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        (Paragraph("At 0.5."), "At 0,5."),
        (Items(("At 0.5.",)), "* At 0,5."),
        (Facts((Figure("Limit 0.5", "1,000"),)), "| Limit 0,5 | 1.000 |"),
        (Table(("below 0.5",), (("1,000",),), "l"), "| below 0,5 |\n| --- |\n| 1.000 |"),
        (Listing(("0.5  ███",)), "```text\n0,5  ███\n```"),
        (Note("error", "above 0.5", (Paragraph("At 0.5."),)), "### error: above 0,5\n\nAt 0,5."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_block_is_written_in_the_style(block, shown: str) -> None:
    assert shown in render_markdown(document_of(block).with_numbers("de"))


def test_a_run_that_is_called_like_a_number_keeps_its_name() -> None:
    ranking, verdict = Items((foreign("0.1"), foreign("0.01"))), Paragraph("0.01 is better than 0.1 by 0.012.")
    results = Table(("run", "best"), ((foreign("0.1"), "0.1"),), "lr")
    text = render_markdown(document_of(ranking, verdict, results).with_numbers("de"))
    assert "0.01 is better than 0.1 by 0,012." in text
    assert "| `0.1` | 0,1 |" in text


@pytest.mark.parametrize("name", CASES)
def test_the_usual_style_changes_nothing(name: str, tmp_path) -> None:
    document = CASES[name](tmp_path)
    assert document.with_numbers("en") is document
    assert render_markdown(document.with_numbers("en")) == (GOLD / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_a_report_differs_from_the_usual_one_in_separators_only(name: str, tmp_path) -> None:
    document = CASES[name](tmp_path)
    usual, german = render_markdown(document), render_markdown(document.with_numbers("de"))
    changed = [(old, new) for old, new in zip(usual, german, strict=True) if old != new]
    assert set(changed) == {(".", ",")}
    assert re.findall(r"`[^`\n]+`", german) == re.findall(r"`[^`\n]+`", usual)
    assert re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", german) == re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", usual)


def test_the_courses_of_a_chart_are_written_in_the_style(tmp_path) -> None:
    document = one_report(healthy_run(tmp_path)).with_numbers("de")
    first: Course = document.charts[0].courses[0]
    assert (first.first, first.lowest) == ("2,0075", "0,2038")


def test_the_axes_and_the_caption_of_a_chart_are_written_in_the_style(tmp_path) -> None:
    (chart,) = [chart for chart in one_report(healthy_run(tmp_path)).with_numbers("de").charts if chart.key == "loss"]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", render_svg([chart.picture]))
    assert "1,5" in texts
    assert any(text.startswith("smoothed 0,6") for text in texts)
    assert not [text for text in texts if re.search(r"\d\.\d", text)]


def test_html_and_zip_are_written_in_the_style_and_the_scalars_are_not(tmp_path) -> None:
    status = healthy_run(tmp_path)
    document = one_report(status).with_numbers("fr").only(frozenset({"summary", "loss"}))
    assert "0,22419 at epoch 100" in render_html(document)
    with zipfile.ZipFile(io.BytesIO(make_report(document, "zip", [status]).content)) as archive:
        assert b"0,22419 at epoch 100" in archive.read("report.md")
        scalars = archive.read(SCALARS_NAME)
    usual = make_report(one_report(status).only(frozenset({"summary"})), "zip", [status])
    with zipfile.ZipFile(io.BytesIO(usual.content)) as archive:
        assert scalars == archive.read(SCALARS_NAME)
