"""The live page, opened without a browser over event files of every kind."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from monitor.cli import main
from monitor.markdown import prose
from tests.builders import (
    append,
    corrupt,
    event,
    event_file_name,
    healthy_loss,
    nan_at,
    record,
    rows,
    text_value,
    truncate,
    write_scalars,
)
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


# --- the first glance ------------------------------------------------------------------------------------------------


def test_a_finding_is_named_in_words_with_advice(log_directory, open_page: OpenPage):
    write_run(log_directory, "nan", nan_at(healthy_loss(40), 30))
    words = words_of(open_page())
    assert "**Not a number**" in words
    assert "non_finite" not in words
    assert ":material/emergency_home: critical" in words


def test_what_was_not_checked_is_told_with_why(log_directory, open_page: OpenPage):
    write_run(log_directory, "healthy")
    assert "**Gradient norm high**: " in words_of(open_page())


def test_without_a_known_total_the_time_left_is_unknown_and_no_bar_is_drawn(log_directory, open_page: OpenPage):
    write_run(log_directory, "a", start=time.time() - 400)
    app = open_page()
    assert_no_fault(app)
    assert "time left unknown" in words_of(app)


def test_with_a_total_beside_the_run_its_source_is_named(log_directory, open_page: OpenPage):
    write_run(log_directory, "a", start=time.time() - 400)
    (log_directory / "a" / "config.yaml").write_text("max_epoch: 80\n")
    words = words_of(open_page())
    assert "**Epoch 40 of 80** · 50 % · " in words
    assert "total from `config.yaml: max_epoch`" in words


def test_the_state_says_how_old_the_last_event_is(log_directory, open_page: OpenPage):
    write_run(log_directory, "a", start=time.time() - 400)
    words = words_of(open_page())
    assert "The last event came" in words
    assert "looks every 5 s" in words


def test_a_long_name_is_cut_in_the_middle_and_whole_in_the_tooltip(log_directory, open_page: OpenPage):
    name = "begin_" + "x" * 180 + "_seed_12345"
    write_run(log_directory, name)
    app = open_page()
    assert_no_fault(app)
    state = next(element for element in app.markdown if "badge" in element.value)
    assert name not in state.value
    assert "begin_" in state.value
    assert "_seed_12345" in state.value
    assert name in state.proto.help


# --- curves ----------------------------------------------------------------------------------------------------------


def test_a_finding_of_the_address_is_drawn_around_its_onset(log_directory, open_page: OpenPage):
    write_run(log_directory, "nan", nan_at(healthy_loss(40), 30))
    app = open_page(finding="non_finite:train/loss:30", axis="step")
    assert_no_fault(app)
    assert any("**Not a number in `train/loss`**" in element.value for element in app.markdown)
    specs = [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]
    started = [param["value"]["x"] for spec in specs for param in spec["params"] if "value" in param]
    assert started == [[23.5, 36.5]]


def test_an_unknown_finding_of_the_address_changes_nothing(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    app = open_page(finding="made:up")
    assert_no_fault(app)
    assert not any(button.key == "close-finding" for button in app.button)


@pytest.mark.parametrize(("switch", "said"), [("clip", "outliers beyond the axis"), ("log", "at or below 0")])
def test_what_a_switch_hides_is_said(log_directory, open_page: OpenPage, switch, said):
    loss = healthy_loss(40)
    loss[20] = 1e6
    loss[30] = -1.0
    write_run(log_directory, "a", loss)
    app = open_page()
    app.toggle(key=switch).set_value(True).run()
    assert_no_fault(app)
    assert said in words_of(app)


# --- all series ------------------------------------------------------------------------------------------------------


def _many(log_directory):
    points = [row for tag in range(300) for row in rows(f"group{tag % 9}/metric_{tag:03d}", [3.0, 2.0, 1.0])]
    write_scalars(log_directory / "many" / event_file_name(), points)


def test_hundreds_of_series_come_page_by_page(log_directory, open_page: OpenPage):
    _many(log_directory)
    app = open_page(metrics="true")
    assert_no_fault(app)
    drawn = [element.value for element in app.markdown if "/metric_" in element.value]
    assert len(drawn) == 6


def test_a_search_draws_what_it_finds(log_directory, open_page: OpenPage):
    _many(log_directory)
    app = open_page(metrics="true", find="metric_12[0-3]$")
    assert_no_fault(app)
    assert sum("/metric_12" in element.value for element in app.markdown) == 4


def test_chosen_series_are_drawn_instead_of_the_found_ones(log_directory, open_page: OpenPage):
    _many(log_directory)
    app = open_page(metrics="true", find="metric_12", tags=["group0/metric_000", "group1/metric_001"])
    assert_no_fault(app)
    assert sum("/metric_" in element.value for element in app.markdown) == 2


def test_series_can_be_drawn_in_one_chart(log_directory, open_page: OpenPage):
    _many(log_directory)
    app = open_page(metrics="true", find="metric_12[0-3]$", together="true")
    assert_no_fault(app)
    specs = [chart.proto.spec for chart in app.get("vega_lite_chart")]
    assert sum("group4/metric_121" in spec for spec in specs) == 1


def test_a_search_that_finds_nothing_says_so(log_directory, open_page: OpenPage):
    _many(log_directory)
    assert "No series has such a name." in words_of(open_page(metrics="true", find="nothing like it"))


# --- what is logged beside scalars -----------------------------------------------------------------------------------


def test_logged_texts_are_shown_as_text(log_directory, open_page: OpenPage):
    path = write_run(log_directory, "a")
    text = record(event(1_700_000_500.0, 1, [text_value("note", "  ![x](https://evil.example/x.png)\x1b[31m")]))
    append(path, text)
    app = open_page(texts="true")
    assert_no_fault(app)
    assert any(code.value == "  ![x](https://evil.example/x.png) [31m" for code in app.code)


def test_a_thousand_runs_are_all_in_the_picker(log_directory, open_page: OpenPage):
    for number in range(1000):
        write_scalars(log_directory / f"run_{number:04d}" / event_file_name(), [("loss", 0, 1.0)])
    app = open_page(run="run_0007")
    assert_no_fault(app)
    assert len(app.selectbox(key="run").options) == 1001
    assert "**`run_0007`**" in words_of(app)


def test_the_page_tells_the_findings_and_the_score_that_the_terminal_tells(
    log_directory: Path, open_page: OpenPage, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(log_directory, "sick", nan_at(healthy_loss(40), 30))
    assert main(["status", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    app = open_page()
    words = words_of(app)
    causes = [finding for finding in told["findings"] if finding["open"] and finding["explained_by"] is None]
    assert causes
    assert all(prose(finding["evidence"]) in words for finding in causes)
    assert f"{told['health']['score']} / 100" in [metric.value for metric in app.metric]
