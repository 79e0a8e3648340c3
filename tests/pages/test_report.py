"""The report page, opened without a browser."""

from tests.builders import healthy_loss, nan_at, truncate
from tests.pages.conftest import OpenPage, assert_no_fault, words_of, write_run


def test_a_log_directory_without_runs_is_shown(log_directory, open_page: OpenPage):
    app = open_page("report")
    assert_no_fault(app)
    assert str(log_directory) in words_of(app)


def test_the_report_of_the_newest_run_is_shown_and_offered(log_directory, open_page: OpenPage):
    write_run(log_directory, "task/run_1")
    app = open_page("report")
    assert_no_fault(app)
    assert "`task/run_1`" in words_of(app)
    assert app.get("download_button")[0].proto.label == "Download Markdown"


def test_several_runs_give_a_comparison_report(log_directory, open_page: OpenPage):
    write_run(log_directory, "a", healthy_loss(20))
    write_run(log_directory, "b", nan_at(healthy_loss(20), 5))
    app = open_page("report")
    app.multiselect(key="report").set_value(["a", "b"]).run()
    assert_no_fault(app)
    assert "# Comparison of 2 training runs" in words_of(app)


def test_an_unknown_run_in_the_address_is_named(log_directory, open_page: OpenPage):
    write_run(log_directory, "there")
    app = open_page("report", report="gone")
    assert_no_fault(app)
    assert "`there`" in words_of(app)


def test_a_truncated_file_gives_a_report(log_directory, open_page: OpenPage):
    truncate(write_run(log_directory, "cut"), -5)
    app = open_page("report")
    assert_no_fault(app)
    assert "`cut`" in words_of(app)
