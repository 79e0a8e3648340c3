"""The comparison page, opened without a browser."""

import numpy as np

from tests.builders import event_file_name, healthy_loss, nan_at, rows, truncate, write_scalars
from tests.pages.conftest import OpenPage, assert_no_fault, words_of, write_run


def test_a_log_directory_without_runs_is_shown(log_directory, open_page: OpenPage):
    app = open_page("run_comparison")
    assert_no_fault(app)
    assert str(log_directory) in words_of(app)


def test_the_newest_five_runs_are_compared_at_first(log_directory, open_page: OpenPage):
    for number in range(7):
        write_run(log_directory, f"run_{number}", healthy_loss(20, seed=number))
    app = open_page("run_comparison")
    assert_no_fault(app)
    assert len(app.multiselect(key="runs").value) == 5
    assert len(app.get("vega_lite_chart")) == 1


def test_the_table_tells_best_and_last_in_the_order_of_the_ranking(log_directory, open_page: OpenPage):
    write_run(log_directory, "worse", np.array([1.0, 0.8, 0.9]))
    write_run(log_directory, "better", np.array([1.0, 0.4, 0.6]))
    app = open_page("run_comparison")
    assert_no_fault(app)
    table = app.dataframe[0].value
    assert list(table["run"]) == ["better", "worse"]
    assert list(table["best"]) == ["0.4", "0.8"]
    assert list(table["last"]) == ["0.6", "0.9"]


def test_ranking_by_the_last_value_can_be_chosen(log_directory, open_page: OpenPage):
    write_run(log_directory, "best_first", np.array([1.0, 0.1, 0.9]))
    write_run(log_directory, "last_first", np.array([1.0, 0.5, 0.5]))
    app = open_page("run_comparison")
    app.radio(key="by").set_value("last").run()
    assert list(app.dataframe[0].value["run"]) == ["last_first", "best_first"]


def test_a_run_without_the_series_compared_is_named_and_left_out(log_directory, open_page: OpenPage):
    write_scalars(log_directory / "a" / event_file_name(), rows("loss", [1.0]))
    write_scalars(log_directory / "b" / event_file_name(), rows("reward", [1.0]))
    app = open_page("run_comparison")
    assert_no_fault(app)
    assert any("left out" in caption.value and "`a`" in caption.value for caption in app.caption)
    assert app.dataframe[0].value["run"].tolist() == ["b"]


def test_choosing_no_run_asks_for_one(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    app = open_page("run_comparison")
    app.multiselect(key="runs").set_value([]).run()
    assert_no_fault(app)
    assert "Choose" in app.info[0].value


def test_a_run_of_nan_and_a_truncated_one_can_be_compared(log_directory, open_page: OpenPage):
    write_run(log_directory, "nan", nan_at(healthy_loss(20), 5))
    truncate(write_run(log_directory, "cut"), -5)
    app = open_page("run_comparison")
    assert_no_fault(app)
    assert set(app.dataframe[0].value["run"]) == {"nan", "cut"}


def test_a_hostile_name_stays_data(log_directory, open_page: OpenPage):
    write_run(log_directory, "![x](https:evil.example)")
    write_run(log_directory, "b")
    app = open_page("run_comparison")
    assert_no_fault(app)
    assert "`![x](https:evil.example)`" in words_of(app) or "evil.example" not in words_of(app)


def test_what_differs_in_the_configuration_is_listed(log_directory, open_page: OpenPage):
    for name, rate in (("a", 0.1), ("b", 0.2)):
        write_run(log_directory, name)
        (log_directory / name / "config.yaml").write_text(f"lr: {rate}\nbatch: 8\n")
    app = open_page("run_comparison")
    assert_no_fault(app)
    assert list(app.dataframe[1].value["key"]) == ["lr"]
