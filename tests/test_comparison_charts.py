"""The charts of a comparison: over real trainings with a known truth, small enough to make them in the test."""

import time
from pathlib import Path

import numpy as np
import pytest

from monitor import charts
from monitor.cli import main
from monitor.comparison import RunComparison, compare_statuses
from monitor.comparison_charts import (
    BY_GROUP,
    OverlayView,
    at_equal_budget,
    color_keys,
    overlay_chart,
    ramp_color,
    run_looks,
)
from monitor.comparison_export import all_scalars, render_scalars_csv, render_scalars_parquet
from monitor.comparison_relations import parallel_of, scatter_of
from monitor.run_charts import ChartView
from monitor.status import RunStatus
from monitor.watch import LogWatch
from tests.sweeps import EPOCHS, RECIPES, SEEDS, write_sweep

TAG = "validation/loss"


@pytest.fixture(scope="module")
def log_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sweep")
    write_sweep(directory)
    return directory


@pytest.fixture(scope="module")
def statuses(log_directory: Path) -> list[RunStatus]:
    watch, now = LogWatch([log_directory]), time.time()
    return [watch.status(f"{name}/run_{seed}", now) for name in RECIPES for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def found(statuses: list[RunStatus]) -> RunComparison:
    return compare_statuses(statuses, [TAG] * len(statuses))


def own_styles(statuses: list[RunStatus]) -> dict[str, charts.Style]:
    return charts.StyleBook().styles([status.run.name for status in statuses])


# --- the verdict over real trainings ---------------------------------------------------------------------------------


def test_the_groups_are_found_without_help(found: RunComparison) -> None:
    groups = {row.group.runs for row in found.comparison.groups}
    assert groups == {tuple(f"{name}/run_{seed}" for seed in range(SEEDS)) for name in RECIPES}


def test_the_configuration_that_is_truly_better_is_told_from_both_others(found: RunComparison) -> None:
    assert found.comparison.ranking[0].endswith("momentum=0.9")
    assert [item.outcome for item in found.comparison.differences.each] == ["worse", "worse"]


def test_configurations_that_are_truly_equal_are_not_separable(statuses: list[RunStatus]) -> None:
    compared = compare_statuses(statuses, [TAG] * len(statuses), baseline="plain/run_0")
    outcomes = {item.group: item.outcome for item in compared.comparison.differences.each}
    assert outcomes == {"clip=1000, momentum=0.9": "better", "clip=10000, momentum=0": "not_separable"}


def test_the_interval_agrees_with_a_bootstrap_of_the_difference(found: RunComparison) -> None:
    results = {
        row.group.name: np.array([run.value for run in found.comparison.rows if run.run in row.group.runs])
        for row in found.comparison.groups
    }
    random = np.random.default_rng(1)
    for item in found.comparison.differences.each:
        draws = [
            random.choice(results[item.group], SEEDS).mean() - random.choice(results[item.baseline], SEEDS).mean()
            for _ in range(4000)
        ]
        low, high = np.percentile(draws, [2.5, 97.5])
        # A percentile bootstrap of five runs is too narrow: sqrt(4/5) of the spread, normal instead of t quantiles.
        assert item.low < low < item.difference < high < item.high
        assert 1.1 < (item.high - item.low) / (high - low) < 1.9


# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_group_is_one_line_with_its_band_and_its_number_of_runs(found: RunComparison) -> None:
    chart = overlay_chart(found, TAG, OverlayView(ChartView(), "groups"), {})
    assert len(chart.curves) == len(RECIPES)
    for curve, row in zip(chart.curves, found.comparison.groups, strict=True):
        assert curve.label == f"{row.group.name} ({SEEDS} runs)"
        values = [s.scalars.points(TAG).value for s in found.statuses if s.run.name in row.group.runs]
        assert np.allclose(curve.value, np.mean(values, axis=0))
        assert curve.high is not None
        assert np.allclose(curve.high - curve.value, np.std(values, axis=0, ddof=1))


def test_runs_keep_their_own_colours(found: RunComparison, statuses: list[RunStatus]) -> None:
    own = own_styles(statuses)
    looks = run_looks(found, "run", own)
    assert {name: look.color for name, look in looks.items()} == {name: style.color for name, style in own.items()}


def test_the_runs_of_the_baseline_are_drawn_thicker(found: RunComparison, statuses: list[RunStatus]) -> None:
    looks = run_looks(found, "run", own_styles(statuses))
    thick = {name for name, look in looks.items() if look.width > charts.palette_style(0).width}
    assert thick == {f"momentum/run_{seed}" for seed in range(SEEDS)}


def test_coloured_by_group_the_runs_of_a_group_share_a_colour(found: RunComparison) -> None:
    looks = run_looks(found, BY_GROUP, {})
    colors = {name: {looks[f"{name}/run_{seed}"].color for seed in range(SEEDS)} for name in RECIPES}
    assert all(len(shared) == 1 for shared in colors.values())
    assert len(set.union(*colors.values())) == len(RECIPES)


def test_coloured_by_a_key_runs_with_the_same_value_share_a_colour(found: RunComparison) -> None:
    assert color_keys(found) == ["optimizer.clip", "optimizer.momentum"]
    looks = run_looks(found, "optimizer.momentum", {})
    assert looks["plain/run_0"].color == looks["clipped/run_0"].color != looks["momentum/run_0"].color


def test_numbers_are_coloured_in_order_along_the_ramp() -> None:
    assert [ramp_color(share) for share in (0.0, 0.5, 1.0)] == ["#0072B2", "#7A7A7A", "#D55E00"]


def test_training_and_validation_of_a_run_share_its_colour_and_differ_by_dash(found: RunComparison) -> None:
    chart = overlay_chart(found, TAG, OverlayView(ChartView(), together=True), {})
    training, validation = chart.curves[:2]
    assert (training.label, validation.label) == ("plain/run_0 · training", "plain/run_0 · validation")
    assert training.style.color == validation.style.color
    assert (training.style.dash, bool(validation.style.dash)) == ((), True)


def test_runs_are_cut_where_the_shortest_ends_and_the_page_can_say_so(statuses: list[RunStatus]) -> None:
    (cut, note) = at_equal_budget(statuses, TAG, "time")
    assert "are cut at" in note
    assert all(status.scalars.points(TAG).step[-1] == EPOCHS - 1 for status in cut)
    assert at_equal_budget(statuses, TAG, "all") == (tuple(statuses), "")


# --- settings and results --------------------------------------------------------------------------------------------


def test_a_scatter_has_one_point_per_run_at_its_value_and_result(found: RunComparison) -> None:
    drawn = scatter_of(found, "optimizer.momentum")
    assert drawn is not None
    scatter, points = drawn
    assert (scatter.is_number, scatter.x_title) == (True, "optimizer.momentum")
    values = {row.run: row.value for row in found.comparison.rows}
    assert points.column("x").to_pylist() == [0.0] * 5 + [0.9] * 5 + [0.0] * 5
    assert points.column("y").to_pylist() == list(values.values())


def test_parallel_axes_end_in_the_result_and_run_from_its_lowest_to_its_highest(found: RunComparison) -> None:
    drawn = parallel_of(found)
    assert drawn is not None
    parallel, tables = drawn
    assert set(parallel.axes) == {"momentum", "clip", TAG}
    rows = [row for row in tables["lines"].to_pylist() if row["axis"] == TAG]
    places = {row["result"]: row["place"] for row in rows}
    assert places[min(places)] == 0.0
    assert places[max(places)] == 1.0


def test_the_charts_of_settings_are_valid_vega_lite(found: RunComparison) -> None:
    import altair as alt

    from monitor.relation_spec import build_parallel, build_scatter

    scatter, parallel = scatter_of(found, "optimizer.momentum"), parallel_of(found)
    assert scatter is not None
    assert parallel is not None
    alt.Chart.from_dict(build_scatter(scatter[0]))
    alt.LayerChart.from_dict(build_parallel(parallel[0]))


# --- taken away ------------------------------------------------------------------------------------------------------


def test_every_point_of_every_run_is_in_the_table_of_all_scalars(statuses: list[RunStatus]) -> None:
    frame = all_scalars(statuses)
    assert list(frame.columns) == ["run", "tag", "step", "wall_time", "value", "session"]
    assert len(frame) == len(statuses) * 2 * EPOCHS
    one = frame[(frame["run"] == "momentum/run_3") & (frame["tag"] == TAG)]
    assert one["value"].tolist() == statuses[8].scalars.points(TAG).value.tolist()


def test_the_files_of_all_scalars_hold_the_same(statuses: list[RunStatus], tmp_path: Path) -> None:
    import pandas as pd

    for name, content in (("a.csv", render_scalars_csv(statuses)), ("a.parquet", render_scalars_parquet(statuses))):
        (tmp_path / name).write_bytes(content)
    text, columns = pd.read_csv(tmp_path / "a.csv"), pd.read_parquet(tmp_path / "a.parquet")
    assert text["value"].tolist() == columns["value"].tolist() == all_scalars(statuses)["value"].tolist()


def test_compare_writes_the_curves_as_a_picture(log_directory: Path, tmp_path: Path, capsys) -> None:
    picture = tmp_path / "curves.png"
    assert (
        main(["compare", "plain/run_0", "momentum/run_0", "--logdir", str(log_directory), "--plot", str(picture)]) == 0
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "has the lowest" in capsys.readouterr().out


def test_compare_writes_over_nothing_but_a_picture(log_directory: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    model.write_bytes(b"weights")
    assert main(["compare", "plain/run_0", "plain/run_1", "--logdir", str(log_directory), "--plot", str(model)]) == 2
    assert model.read_bytes() == b"weights"
