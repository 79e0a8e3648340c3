"""The charts of a run: which lines, marks and bands stand in each of them, and what is said where there is nothing."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.charts import ReferenceBand, palette_style
from monitor.run_charts import NO_EPOCHS, ChartView, epoch_times, run_charts, series_chart, series_curve, x_kind_of
from monitor.schema import Checkpoint, Checkpoints, Health, Roles, RoleTag, Sample, Scalars
from monitor.settings import HealthSettings
from tests.statuses import NOW, START, example_status, finding, points

SETTINGS = HealthSettings()


def charts(status=None, samples=(), **view):
    """Return the charts of a run by their key."""
    made = run_charts(status or example_status(), samples, SETTINGS, ChartView(**view))
    return {chart.key: chart for chart in made}


def status_with(series, roles, **changes):
    known = example_status()
    return replace(known, scalars=replace(known.scalars, series=series), roles=roles, **changes)


def test_there_are_six_charts_in_the_order_of_the_page():
    assert list(charts()) == ["loss", "learning-rate", "epoch-time", "machine", "health", "validation"]


def test_training_is_solid_and_validation_dashed_beside_it():
    training, task = charts()["loss"].curves
    assert (training.label, training.style.dash) == ("training", ())
    assert task.label == "task 1"
    assert task.style.dash


def test_a_run_has_its_colour_on_its_charts():
    style = palette_style(3)
    made = run_charts(example_status(), (), SETTINGS, style=style)
    assert made[0].curves[0].style == style


def test_smoothed_values_stand_in_front_and_the_caption_says_so():
    chart = charts(smoothing=0.6)["loss"]
    assert chart.curves[0].smoothed is not None
    assert chart.draw().caption.startswith("smoothed 0.6")


def test_the_learning_rate_is_never_smoothed_and_on_a_logarithmic_axis_over_its_band():
    rates = points((1e-4, 2e-4))
    roles = Roles(learning_rate=RoleTag("lr", "learning rate"))
    chart = charts(status_with({"lr": rates}, roles), smoothing=0.6, clip_outliers=True)["learning-rate"]
    assert chart.curves[0].smoothed is None
    assert chart.layout.log_y
    assert not chart.layout.clip_outliers
    assert chart.layout.bands == (ReferenceBand(1e-5, 1e-3, "grey: recommended, 1e-05 to 1e-03"),)


def test_the_bands_are_those_of_the_settings():
    settings = HealthSettings(gpu_aim_low_percent=60.0, band_excellent=95, lr_recommended_high=1e-2)
    made = {chart.key: chart for chart in run_charts(example_status(), (), settings)}
    assert made["machine"].layout.bands[0].low == 60.0
    assert made["learning-rate"].layout.bands[0].high == 1e-2
    assert [band.low for band in made["health"].layout.bands] == [95, 70, 50]


def test_gpus_are_drawn_over_the_band_to_aim_for():
    status = example_status()
    chart = charts(status, (status.sample,))["machine"]
    assert chart.title == "GPU utilisation"
    assert [curve.label for curve in chart.curves] == ["GPU 0"]
    assert "to aim for, 70 to 95 %" in chart.draw().caption


def test_without_a_gpu_the_machine_is_its_processor_and_the_note_says_why():
    sample = Sample(NOW, cpu_percent=20.0, gpu_note="No NVIDIA GPU was found.")
    chart = charts(example_status(sample=sample), (sample,))["machine"]
    assert (chart.title, chart.layout.bands, chart.note) == ("CPU and memory", (), "No NVIDIA GPU was found.")


def test_the_machine_is_drawn_over_the_time_of_day_whatever_the_axis():
    assert charts(axis="step")["machine"].layout.x_kind == "wall"


def test_the_epoch_duration_is_measured_where_it_is_not_logged():
    chart = charts()["epoch-time"]
    assert chart.note == "from the times of the events"
    assert set(chart.curves[0].value.tolist()) == {10.0}


def test_the_first_epoch_of_a_session_has_no_measured_duration():
    series = points((1.0, 0.9, 0.8, 0.7), (0, 0, 1, 1))
    assert epoch_times(series).step.tolist() == [1, 3]


def test_steps_left_out_share_the_time_between_their_neighbours():
    series = points((1.0, 0.9, 0.8)).take(np.array([0, 2]))
    assert epoch_times(series).value.tolist() == [10.0]


def test_a_run_whose_steps_are_no_epochs_has_no_measured_duration():
    status = example_status()
    counted = replace(status, progress=replace(status.progress, first_epoch_step=None))
    chart = charts(counted)["epoch-time"]
    assert (chart.is_empty, chart.empty) == (True, "This run logs no epoch duration.")


def test_scores_stand_where_there_is_no_validation_loss():
    roles = Roles(scores=(RoleTag("acc", "accuracy", "max"),))
    chart = charts(status_with({"acc": points((0.5, 0.6))}, roles))["validation"]
    assert (chart.title, [curve.label for curve in chart.curves]) == ("Scores", ["accuracy"])


def test_a_run_without_anything_says_so_in_every_chart():
    empty = example_status(
        scalars=Scalars(), roles=Roles(), health=Health(), health_history=(), checkpoints=Checkpoints()
    )
    made = charts(empty)
    assert all(chart.is_empty and chart.empty.endswith(".") for chart in made.values())


def test_an_axis_that_the_run_does_not_tell_is_named_as_the_reason():
    status = example_status()
    counted = replace(status, progress=replace(status.progress, first_epoch_step=None))
    chart = charts(counted, axis="epoch")["loss"]
    assert (chart.is_empty, chart.empty) == (True, NO_EPOCHS)


@pytest.mark.parametrize(("first_epoch_step", "axis"), [(0, "epoch"), (None, "step")])
def test_the_automatic_axis_is_the_epoch_where_steps_are_epochs(first_epoch_step, axis):
    status = example_status()
    counted = replace(status, progress=replace(status.progress, first_epoch_step=first_epoch_step))
    assert charts(counted)["loss"].layout.x_kind == axis


def test_runs_that_count_differently_share_the_step_axis():
    status = example_status()
    counted = replace(status, progress=replace(status.progress, first_epoch_step=None))
    assert x_kind_of([status, counted], ChartView()) == "step"


def test_findings_and_checkpoints_are_marked_on_the_loss_at_their_epoch():
    saved = Checkpoint("epoch5", "epoch", 5, None, 1, NOW, True)
    chart = charts(example_status(checkpoints=Checkpoints(None, saved, (saved,))))["loss"]
    marks = [(mark.kind, mark.x, mark.words) for mark in chart.curves[0].marks]
    assert marks == [("finding", 4.0, "warning: loss spike"), ("checkpoint", 5.0, "checkpoint epoch5")]


def test_one_series_is_drawn_with_what_was_found_about_it():
    chart = series_chart(example_status(), "train/loss", SETTINGS, ChartView(axis="step"), palette_style(0))
    assert chart.title == "train/loss"
    assert [mark.x for mark in chart.curves[0].marks] == [3.0]


def test_a_series_that_is_gone_is_an_empty_chart():
    chart = series_chart(example_status(), "gone", SETTINGS, ChartView(), palette_style(0))
    assert (chart.is_empty, chart.empty) == (True, "This run has no such series.")


def test_a_line_beside_other_runs_is_smoothed_and_unmarked():
    status = example_status(health=replace(example_status().health, findings=(finding(),)))
    role = RoleTag("train/loss", "loss")
    line = series_curve(status, role, "run 1", palette_style(0), ChartView(smoothing=0.5), "relative")
    assert line.marks == ()
    assert line.smoothed is not None
    assert line.x[0] == points((0.0,)).wall_time[0] - START


def test_what_the_reader_chose_holds_for_the_loss():
    layout = charts(log_y=True, log_x=True, clip_outliers=True)["loss"].layout
    assert (layout.log_y, layout.log_x, layout.clip_outliers) == (True, True, True)
