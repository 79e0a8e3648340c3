"""The live page, opened without a browser over event files of every kind."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.builders import corrupt, event_file_name, healthy_loss, nan_at, rows, truncate, write_scalars
from tests.pages.conftest import OpenPage, assert_no_fault, words_of, write_run

HOSTILE = "![x](https://evil.example/x.png) `$a$` :red[b]"


def _metric(app, label):
    return next(metric for metric in app.metric if metric.label.startswith(label))


def test_a_missing_log_directory_is_named_with_what_to_do(tmp_path, monkeypatch, open_page: OpenPage):
    monkeypatch.setenv("MONITOR_LOGDIR", str(tmp_path / "nowhere"))
    app = open_page()
    assert_no_fault(app)
    assert "nowhere" in app.error[0].value
    assert "--logdir" in app.error[0].value


def test_a_log_directory_without_runs_is_shown_and_the_demo_offered(log_directory, open_page: OpenPage):
    app = open_page()
    assert_no_fault(app)
    assert str(log_directory) in words_of(app)
    assert app.button(key="demo").label == "Make demo runs"


def test_the_newest_run_is_shown_without_a_click(log_directory, open_page: OpenPage):
    write_run(log_directory, "older")
    newest = write_run(log_directory, "newer", start=1_700_100_000.0)
    os.utime(newest, (2_000_000_000, 2_000_000_000))
    app = open_page()
    assert_no_fault(app)
    assert "**`newer`**" in words_of(app)


def test_the_figures_of_a_healthy_run_stand_in_cards(log_directory, open_page: OpenPage):
    write_run(log_directory, "healthy")
    app = open_page()
    assert_no_fault(app)
    assert _metric(app, "Training loss").value.startswith("0.2")
    assert _metric(app, "Learning rate").value == "1.00e-04"
    assert _metric(app, "Validation").label == "Validation `task 1`"


def test_a_loss_that_became_nan_is_shown_as_such(log_directory, open_page: OpenPage):
    write_run(log_directory, "nan", nan_at(healthy_loss(40), 30))
    app = open_page()
    assert_no_fault(app)
    assert _metric(app, "Training loss").value == "NaN"
    assert "NaN or infinite, marked at the top" in words_of(app)


def test_a_run_of_nothing_but_nan_is_shown(log_directory, open_page: OpenPage):
    write_run(log_directory, "nan", np.full(40, np.nan))
    app = open_page()
    assert_no_fault(app)
    assert _metric(app, "Best loss").value == "–"


def test_a_run_with_one_point_is_shown(log_directory, open_page: OpenPage):
    write_scalars(log_directory / "one" / event_file_name(), rows("train/loss", [0.5]))
    app = open_page()
    assert_no_fault(app)
    assert _metric(app, "Training loss").value == "0.5"


def test_a_run_without_scalars_waits(log_directory, open_page: OpenPage):
    write_scalars(log_directory / "header" / event_file_name(), [])
    app = open_page()
    assert_no_fault(app)
    assert _metric(app, "Training loss").value == "–"


def test_a_damaged_record_is_listed_and_the_rest_still_shown(log_directory, open_page: OpenPage):
    path = write_run(log_directory, "damaged")
    corrupt(path, path.stat().st_size // 2)
    app = open_page()
    assert_no_fault(app)
    assert any(path.name in element.value and "at byte" in element.value for element in app.markdown)
    assert _metric(app, "Training loss").value != "–"


def test_a_truncated_file_is_shown_up_to_its_end(log_directory, open_page: OpenPage):
    truncate(write_run(log_directory, "cut"), -7)
    app = open_page()
    assert_no_fault(app)
    assert _metric(app, "Training loss").value.startswith("0.2")


def test_an_unknown_run_in_the_address_is_named_and_the_newest_shown(log_directory, open_page: OpenPage):
    write_run(log_directory, "there")
    app = open_page(run="gone/run_1")
    assert_no_fault(app)
    assert "`gone/run_1`" in app.warning[0].value
    assert "**`there`**" in words_of(app)


def test_the_run_of_the_address_is_shown(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    write_run(log_directory, "b")
    assert "**`a`**" in words_of(open_page(run="a"))


def test_names_from_files_are_never_markdown(log_directory, open_page: OpenPage):
    write_run(log_directory, HOSTILE.replace("/", "_"))
    write_scalars(log_directory / "tags" / event_file_name(), rows(HOSTILE, [1.0, 2.0]))
    for run in (HOSTILE.replace("/", "_"), "tags"):
        app = open_page(run=run)
        assert_no_fault(app)
        outside_code = words_of(app).replace("``" + HOSTILE.replace("/", "_") + "``", "")
        assert "evil.example" not in outside_code


def test_a_directory_without_permission_is_named(log_directory, as_ordinary_user, open_page: OpenPage):
    write_run(log_directory, "open")
    (log_directory / "open").chmod(0)
    app = open_page()
    (log_directory / "open").chmod(0o755)
    assert_no_fault(app)
    assert "open" in words_of(app)


def test_pausing_keeps_the_page_and_says_so(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    app = open_page(pause="true")
    assert_no_fault(app)
    assert "paused" in words_of(app)


def test_a_role_chosen_by_hand_is_used(log_directory: Path, open_page: OpenPage):
    write_scalars(
        log_directory / "a" / event_file_name(), rows("train/loss", [3.0, 2.0]) + rows("my/other", [9.0, 8.0])
    )
    app = open_page(roles="true")
    app.selectbox(key="role_loss").set_value("my/other").run()
    assert_no_fault(app)
    assert _metric(app, "Training loss").value == "8"


@pytest.mark.parametrize("axis", ["automatic", "step", "relative", "wall"])
def test_every_axis_can_be_chosen(log_directory, open_page: OpenPage, axis):
    write_run(log_directory, "a")
    app = open_page()
    app.selectbox(key="axis").set_value(axis).run()
    assert_no_fault(app)
    assert len(app.get("vega_lite_chart")) >= 3


def test_an_axis_that_the_run_does_not_tell_is_explained(log_directory, open_page: OpenPage):
    points = rows("train/loss", healthy_loss(40), first_step=1000)
    write_scalars(log_directory / "a" / event_file_name(), points, seconds_per_step=0.1)
    app = open_page()
    app.selectbox(key="axis").set_value("epoch").run()
    assert_no_fault(app)
    assert "the run does not tell its epochs" in words_of(app)
