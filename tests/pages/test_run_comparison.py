"""The comparison page, opened without a browser."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from monitor.ui import frame
from tests.builders import event_file_name, healthy_loss, nan_at, rows, truncate, write_scalars
from tests.pages.conftest import OpenPage, assert_no_fault, words_of, write_run
from tests.sweeps import RECIPES, SEEDS, write_sweep

HOSTILE = "![x](https:evil.example) <b> $a$ :red[b] `q` | \N{RIGHT-TO-LEFT OVERRIDE}z"


def table_with(app: AppTest, column: str) -> pd.DataFrame:
    """Return the first table that has a column."""
    found: pd.DataFrame = next(table.value for table in app.dataframe if column in table.value.columns)
    return found


def chart_rows(app: AppTest, number: int = 0, name: str = "lines") -> pd.DataFrame:
    """Return a data set of a chart as the browser gets it."""
    datasets = app.get("vega_lite_chart")[number].proto.datasets
    content = next(dataset.data.data for dataset in datasets if dataset.name == name)
    return pa.ipc.open_stream(content).read_pandas()


def legend_of(app: AppTest, number: int = 0) -> list[str]:
    """Return the names in the legend of a chart."""
    spec = json.loads(app.get("vega_lite_chart")[number].proto.spec)
    lines = next(layer for layer in spec["layer"] if layer["name"] == "lines")
    names: list[str] = lines["encoding"]["color"]["scale"]["domain"]
    return names


# --- choosing --------------------------------------------------------------------------------------------------------


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


def test_all_runs_are_listed_with_where_they_stand(log_directory, open_page: OpenPage):
    for number in range(7):
        write_run(log_directory, f"run_{number}", np.linspace(1, 0.1 * number, 20))
    app = open_page("run_comparison", runs=["run_1", "run_2"])
    listed = table_with(app, "state").set_index("run")
    assert len(listed) == 7
    assert set(listed["state"]) == {"finished"}
    assert set(listed["step"]) == {39.0}
    assert listed["last"]["run_6"] == pytest.approx(0.6)
    assert listed["best"]["run_1"] == pytest.approx(0.1)
    assert len(listed["curve"]["run_1"]) == 20


@pytest.mark.parametrize("seconds", [60.0, 0.0])
def test_runs_that_are_not_chosen_are_listed_with_what_the_chosen_ones_tell(
    log_directory, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, seconds: float
):
    monkeypatch.setattr(frame, "LISTING_SECONDS", seconds)
    monkeypatch.setattr(frame, "FURTHER_LISTING_SECONDS", seconds)
    for number in range(7):
        write_run(log_directory, f"run_{number}", [*np.linspace(1, 0.1 * number, 20), 0.9])
    app = open_page("run_comparison", runs=["run_1"])
    assert_no_fault(app)
    listed = table_with(app, "state").set_index("run")
    assert listed["best"].to_dict() == {f"run_{number}": pytest.approx(0.1 * number) for number in range(7)}
    assert set(listed["curve"].map(len)) == {21}
    assert listed["health"].notna().all()


def test_groups_and_settings_are_listed_for_runs_that_are_not_chosen_too(log_directory, open_page: OpenPage):
    write_sweep(log_directory)
    listed = table_with(open_page("run_comparison", runs=["plain/run_0"]), "state").set_index("run")
    assert listed["group"]["momentum/run_3"] == "clip=1000, momentum=0.9"
    assert listed["group"].nunique() == len(RECIPES)
    assert listed["optimizer.momentum"].value_counts().to_dict() == {"0": 2 * SEEDS, "0.9": SEEDS}


def test_a_run_that_nothing_repeats_is_listed_without_a_group(log_directory, open_page: OpenPage):
    for name in ("act_seed1", "act_seed2", "other"):
        write_run(log_directory, name, healthy_loss(20))
    listed = table_with(open_page("run_comparison"), "state").set_index("run")
    assert listed["group"].to_dict() == {"act_seed1": "act", "act_seed2": "act", "other": "–"}


def test_a_pattern_groups_the_runs_of_the_list_too(log_directory, open_page: OpenPage):
    for name in ("a_x_1", "a_y_2", "b_x_3"):
        write_run(log_directory, name, healthy_loss(20))
    listed = table_with(open_page("run_comparison", groups="_([xy])_"), "state").set_index("run")
    assert listed["group"].to_dict() == {"a_x_1": "x", "b_x_3": "x", "a_y_2": "–"}


@pytest.mark.parametrize(("wanted", "listed"), [("B_", ["b_1", "b_2"]), (r"^a.*2$", ["a_2"]), ("[", [])])
def test_the_list_is_searched_by_text_and_by_regular_expression(log_directory, open_page: OpenPage, wanted, listed):
    for name in ("a_1", "a_2", "b_1", "b_2"):
        write_run(log_directory, name, healthy_loss(20))
    app = open_page("run_comparison", filter=wanted)
    assert_no_fault(app)
    found = [table for table in app.dataframe if "state" in table.value.columns]
    assert sorted(found[0].value["run"] if found else []) == listed


def test_choosing_no_run_asks_for_one_and_still_lists_them(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    app = open_page("run_comparison")
    app.multiselect(key="runs").set_value([]).run()
    assert_no_fault(app)
    assert "Choose" in app.info[0].value
    assert table_with(app, "state")["run"].tolist() == ["a"]


def test_an_unknown_run_in_the_address_is_named_and_the_others_compared(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    write_run(log_directory, "b")
    app = open_page("run_comparison", runs=["a", "gone"])
    assert_no_fault(app)
    assert "`gone`" in app.warning[0].value
    assert app.multiselect(key="runs").value == ["a"]


def test_runs_without_a_scalar_are_told_to_have_none(log_directory, open_page: OpenPage):
    write_scalars(log_directory / "header" / event_file_name(), [])
    app = open_page("run_comparison")
    assert_no_fault(app)
    assert "hold no scalar" in app.info[0].value


# --- verdict and results ---------------------------------------------------------------------------------------------


def test_the_table_tells_best_and_last_in_the_order_of_the_ranking(log_directory, open_page: OpenPage):
    write_run(log_directory, "worse", np.array([1.0, 0.8, 0.9]))
    write_run(log_directory, "better", np.array([1.0, 0.4, 0.6]))
    table = table_with(open_page("run_comparison"), "compared")
    assert list(table["run"]) == ["better", "worse"]
    assert list(table["best"]) == pytest.approx([0.4, 0.8])
    assert list(table["last"]) == pytest.approx([0.6, 0.9])


@pytest.mark.parametrize(
    ("by", "first"), [("best", "best_first"), ("last", "last_first"), ("mean of the last 5 %", "last_first")]
)
def test_the_value_that_ranks_can_be_chosen(log_directory, open_page: OpenPage, by, first):
    write_run(log_directory, "best_first", np.array([1.0, 0.1, 0.9]))
    write_run(log_directory, "last_first", np.array([1.0, 0.5, 0.5]))
    table = table_with(open_page("run_comparison", by=by), "compared")
    assert table["run"][0] == first


def test_the_value_at_a_step_can_rank(log_directory, open_page: OpenPage):
    write_run(log_directory, "early", np.array([1.0, 0.1, 0.9]))
    write_run(log_directory, "late", np.array([1.0, 0.5, 0.2]))
    table = table_with(open_page("run_comparison", by="at a step", at="1"), "compared")
    assert list(table["run"]) == ["early", "late"]
    assert list(table["at step"]) == [1, 1]


def test_the_direction_can_be_changed_and_is_said(log_directory, open_page: OpenPage):
    write_run(log_directory, "low", np.array([1.0, 0.1]))
    write_run(log_directory, "high", np.array([1.0, 2.0]))
    app = open_page("run_comparison", better="larger is better")
    assert table_with(app, "compared")["run"][0] == "high"
    assert "larger is better" in words_of(app)


def test_groups_of_seeds_get_a_verdict_with_an_interval(log_directory, open_page: OpenPage):
    names = write_sweep(log_directory)
    app = open_page("run_comparison", runs=names)
    assert_no_fault(app)
    table = table_with(app, "against the baseline")
    assert list(table["against the baseline"]) == ["baseline", "worse", "worse"]
    assert set(table["runs"]) == {f"{SEEDS} of {SEEDS}"}
    assert "95 % interval" in app.info[0].value
    assert "differ in nothing but the seed" in words_of(app)


def test_equal_configurations_are_not_separable_from_a_named_baseline(log_directory, open_page: OpenPage):
    names = write_sweep(log_directory)
    app = open_page("run_comparison", runs=names, baseline="clip=1000, momentum=0")
    table = table_with(app, "against the baseline").set_index("group")
    assert table["against the baseline"]["clip=10000, momentum=0"] == "not separable"
    assert table["against the baseline"]["clip=1000, momentum=0.9"] == "better"
    assert "No difference seen" in words_of(app)


def test_a_pattern_that_cannot_be_used_is_explained(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    write_run(log_directory, "b")
    app = open_page("run_comparison", groups="(a")
    assert_no_fault(app)
    assert "no regular expression" in app.error[0].value


def test_runs_are_compared_at_the_same_steps(log_directory, open_page: OpenPage):
    write_run(log_directory, "short", np.array([1.0, 0.5]))
    write_run(log_directory, "long", np.array([1.0, 0.6, 0.1]))
    app = open_page("run_comparison", budget="the same steps")
    table = table_with(app, "compared")
    assert list(table["run"]) == ["short", "long"]
    assert "cut at step 1" in words_of(app)


def test_a_run_without_the_series_compared_is_named_and_left_out(log_directory, open_page: OpenPage):
    write_scalars(log_directory / "a" / event_file_name(), rows("loss", [1.0]))
    write_scalars(log_directory / "b" / event_file_name(), rows("reward", [1.0]))
    app = open_page("run_comparison", tag="reward")
    assert_no_fault(app)
    assert any("left out" in caption.value and "`a`" in caption.value for caption in app.caption)
    assert table_with(app, "compared")["best"].dropna().tolist() == [1.0]


def test_a_run_of_nan_and_a_truncated_one_can_be_compared(log_directory, open_page: OpenPage):
    write_run(log_directory, "nan", nan_at(healthy_loss(40), 39))
    truncate(write_run(log_directory, "cut"), -5)
    app = open_page("run_comparison")
    assert_no_fault(app)
    assert set(table_with(app, "compared")["run"]) == {"nan", "cut"}
    assert any("Ended at no finite value: nan (NaN)" in caption.value for caption in app.caption)


# --- curves ----------------------------------------------------------------------------------------------------------


def test_groups_are_drawn_as_a_line_with_a_band_each(log_directory, open_page: OpenPage):
    names = write_sweep(log_directory)
    app = open_page("run_comparison", runs=names)
    assert len(legend_of(app)) == len(RECIPES)
    assert all(name.endswith(f"({SEEDS} runs)") for name in legend_of(app))
    areas = chart_rows(app, name="areas")
    assert (areas["low"] < areas["high"]).all()


def test_every_run_can_be_drawn_instead_of_the_groups(log_directory, open_page: OpenPage):
    names = write_sweep(log_directory)
    app = open_page("run_comparison", runs=names, show="every run", color="optimizer.momentum")
    assert_no_fault(app)
    assert len(legend_of(app)) == len(names)
    assert {label.split(" · ")[0] for label in legend_of(app)} == {"0", "0.9"}


def test_training_and_validation_are_drawn_together(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    write_run(log_directory, "b")
    app = open_page("run_comparison", tag="train/loss", together="true")
    assert sorted(legend_of(app)) == ["a · training", "a · validation", "b · training", "b · validation"]


def test_further_series_are_drawn_in_a_grid(log_directory, open_page: OpenPage):
    write_run(log_directory, "a")
    write_run(log_directory, "b")
    app = open_page("run_comparison", also=["train/learning_rate", "train/loss"])
    assert_no_fault(app)
    assert len(app.get("vega_lite_chart")) == 3
    assert chart_rows(app, 1)["value"].tolist() == pytest.approx([1e-4] * 80)


@pytest.mark.parametrize("axis", ["Step", "Epoch", "Time since the start", "Time of day"])
@pytest.mark.parametrize("show", ["groups", "every run"])
def test_every_axis_can_be_chosen(log_directory, open_page: OpenPage, axis, show):
    for seed in range(2):
        write_run(log_directory, f"act_seed{seed}", healthy_loss(20, seed=seed))
    app = open_page("run_comparison", axis=axis, show=show)
    assert_no_fault(app)
    assert len(app.get("vega_lite_chart")) == 1


# --- configuration ---------------------------------------------------------------------------------------------------


def test_what_differs_in_the_configuration_is_listed_and_seeds_are_folded(log_directory, open_page: OpenPage):
    for number, rate in enumerate((0.1, 0.2)):
        write_run(log_directory, f"run{rate}")
        (log_directory / f"run{rate}" / "config.yaml").write_text(f"lr: {rate}\nbatch: 8\nseed: {number}\n")
    app = open_page("run_comparison")
    assert_no_fault(app)
    tables = [table.value for table in app.dataframe if "key" in table.value.columns]
    assert [list(table["key"]) for table in tables] == [["lr"], ["seed"]]


def test_which_settings_go_with_the_result_is_told_with_its_caution(log_directory, open_page: OpenPage):
    for rate in (1, 2, 3, 4):
        write_run(log_directory, f"run_{rate}", np.array([1.0, 0.1 * rate]))
        (log_directory / f"run_{rate}" / "config.yaml").write_text(f"lr: {rate / 1000}\n")
    app = open_page("run_comparison", relations="true")
    assert_no_fault(app)
    assert "A larger lr goes with a larger best" in words_of(app)
    assert "over 4 configurations; with so few this may be chance" in words_of(app)
    assert chart_rows(app, 1, "points")["x"].tolist() == [0.001, 0.002, 0.003, 0.004][::-1]
    assert len(app.get("vega_lite_chart")) == 3


# --- foreign text ----------------------------------------------------------------------------------------------------


def test_hostile_names_stay_data(log_directory, open_page: OpenPage):
    for number, name in enumerate((HOSTILE, "x" * 200, "مرحبا", "🚀", "key", "\"a\" & 'b'")):
        write_run(log_directory, name, healthy_loss(20, seed=number))
        (log_directory / name / "config.yaml").write_text(
            f'"{"key" if number else "<b>"}": "![x](https:evil{number})"\n'
        )
    app = open_page("run_comparison", relations="true", show="every run", color="key")
    app.multiselect(key="runs").set_value(app.multiselect(key="runs").options).run()
    assert_no_fault(app)
    inert = words_of(app).replace("``![x](https:evil.example)", "")
    assert "![x](https:evil.example)" not in inert
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in words_of(app)
