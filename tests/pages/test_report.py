"""The report page, opened without a browser."""

import re

from streamlit.testing.v1 import AppTest

from tests.builders import event_file_name, healthy_loss, nan_at, truncate, write_scalars
from tests.pages.conftest import OpenPage, assert_no_fault, words_of, write_run


def preview_of(app: AppTest) -> str:
    """Return the page inside the frame that shows a report in HTML."""
    (frame,) = app.get("iframe")
    return frame.proto.srcdoc


def test_a_log_directory_without_runs_is_shown(log_directory, open_page: OpenPage):
    app = open_page("report")
    assert_no_fault(app)
    assert str(log_directory) in words_of(app)


def test_the_report_of_the_newest_run_is_shown_and_offered(log_directory, open_page: OpenPage):
    write_run(log_directory, "task/run_1")
    app = open_page("report")
    assert_no_fault(app)
    assert "<code>task/run_1</code>" in preview_of(app)
    assert app.get("download_button")[0].proto.label == "Download HTML"


def test_markdown_is_shown_as_it_will_look(log_directory, open_page: OpenPage):
    write_run(log_directory, "task/run_1")
    app = open_page("report", format="Markdown")
    assert_no_fault(app)
    assert "# Training report: `task/run_1`" in words_of(app)
    assert app.get("download_button")[0].proto.label == "Download Markdown"


def test_the_pictures_of_a_zip_are_shown_in_their_places(log_directory, open_page: OpenPage):
    write_run(log_directory, "task/run_1")
    app = open_page("report", format="ZIP", sections="Charts")
    assert_no_fault(app)
    assert len(app.get("image")) == 4
    assert "![" not in words_of(app)


def test_only_the_sections_chosen_are_in_the_report(log_directory, open_page: OpenPage):
    write_run(log_directory, "task/run_1")
    app = open_page("report", format="Markdown", sections=["Findings", "Guidance"])
    assert_no_fault(app)
    assert re.findall("^## (.*)$", words_of(app), re.MULTILINE) == ["Findings", "Guidance"]


def test_the_numbers_are_written_as_chosen_in_the_address(log_directory, open_page: OpenPage):
    write_run(log_directory, "task/run_1")
    app = open_page("report", format="Markdown", numbers="1.234,5", sections="Summary")
    assert_no_fault(app)
    assert re.search(r"\| Loss \| \d,\d+, ", words_of(app))
    assert "--sections summary --numbers de -o" in words_of(app)


def test_several_runs_give_a_comparison_report(log_directory, open_page: OpenPage):
    write_run(log_directory, "a", healthy_loss(20))
    write_run(log_directory, "b", nan_at(healthy_loss(20), 5))
    app = open_page("report", format="Markdown")
    app.multiselect(key="report").set_value(["a", "b"]).run()
    assert_no_fault(app)
    assert "# Comparison of 2 training runs" in words_of(app)


def test_an_unknown_run_in_the_address_is_named(log_directory, open_page: OpenPage):
    write_run(log_directory, "there")
    app = open_page("report", report="gone")
    assert_no_fault(app)
    assert "`gone`" in words_of(app)
    assert "<code>there</code>" in preview_of(app)


def test_a_truncated_file_gives_a_report(log_directory, open_page: OpenPage):
    truncate(write_run(log_directory, "cut"), -5)
    app = open_page("report")
    assert_no_fault(app)
    assert "<code>cut</code>" in preview_of(app)


def test_a_run_without_a_scalar_gives_a_report_that_says_so(log_directory, open_page: OpenPage):
    write_scalars(log_directory / "empty" / event_file_name(), [])
    app = open_page("report")
    assert_no_fault(app)
    assert "This run logs no learning rate." in preview_of(app)
