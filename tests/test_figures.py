"""What terminal, report and page call a finding and how they tell the time left."""

import numpy as np
import pytest

from monitor.figures import (
    finding_name,
    progress_figures,
    progress_note,
    status_sections,
    time_left_basis,
    time_left_forms,
    time_left_text,
)
from monitor.health import RULES, label_of, label_of_check
from monitor.schema import Points, Progress, RunState, Scalars
from monitor.status import RunStatus, status_json
from tests.statuses import START, example_status, finding

RUNNING = RunState("running", "It runs.")
FINISHED = RunState("finished", "Old.")


def uneven_run(**changes) -> RunStatus:
    """Return a run that needs 8 and 12 seconds per step by turns and has an hour left of a plan of its file."""
    steps = np.arange(21, dtype=np.int64)
    times = START + np.cumsum([0.0, *([8.0, 12.0] * 10)])
    loss = Points(steps, times, np.ones(21), np.zeros(21, np.int16))
    progress = Progress(eta_seconds=3600.0, total_steps=380, total_source="config.yaml: steps")
    return example_status(**{"scalars": Scalars(series={"train/loss": loss}), "progress": progress, **changes})


# --- findings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_a_finding_is_called_by_the_label_of_its_rule(rule) -> None:
    assert label_of(finding(kind=rule.kind)) == rule.label
    assert finding_name(finding(kind=rule.kind)) == f"warning: {rule.label} in train/loss"


def test_a_reward_that_falls_is_not_called_a_rising_loss() -> None:
    assert finding_name(finding(kind="rising", tag="rollout/ep_rew_mean")) == (
        "warning: reward falling in rollout/ep_rew_mean"
    )


def test_a_kind_that_no_rule_has_is_told_by_its_name() -> None:
    assert label_of_check("of_another_version") == "of another version"


def test_json_keeps_the_kind() -> None:
    assert status_json(example_status())["findings"][0]["kind"] == "spike"


# --- the time left -------------------------------------------------------------------------------------------------


def test_the_time_left_is_a_range_where_steps_differ() -> None:
    assert time_left_text(uneven_run()) == "48 min 00 s to 1 h 12 min left"
    assert "last 20 intervals" in time_left_basis(uneven_run())


def test_even_steps_give_no_range_and_that_is_said() -> None:
    steps = np.arange(21, dtype=np.int64)
    loss = Points(steps, START + 10.0 * steps, np.ones(21), np.zeros(21, np.int16))
    status = uneven_run(scalars=Scalars(series={"train/loss": loss}))
    assert time_left_text(status) == "1 h 00 min left"
    assert time_left_basis(status).endswith("The last 20 intervals between points differ too little for a range.")


def test_the_figure_tells_the_same_range_with_the_source_of_the_total() -> None:
    figures = {figure.label: figure.value for figure in progress_figures(uneven_run())}
    assert figures["Time left"] == "48 min 00 s to 1 h 12 min (total from config.yaml: steps)"


def test_where_room_is_short_the_source_is_left_out_then_the_range() -> None:
    assert time_left_forms(uneven_run())[1:] == ("48 min 00 s to 1 h 12 min", "about 1 h 00 min")


def test_without_a_range_the_time_left_stands_alone() -> None:
    status = example_status(progress=Progress(eta_seconds=90.0), scalars=Scalars())
    assert time_left_text(status) == "1 min 30 s left"
    assert time_left_forms(status) == ("1 min 30 s",)


def test_without_a_total_the_time_left_is_unknown_and_says_why() -> None:
    status = example_status(progress=Progress(step=9), state=RUNNING)
    assert time_left_text(status) == "time left unknown"
    assert time_left_forms(status)[0] == "– (the planned total is not known)"
    assert "monitor.toml" in time_left_basis(status)


def test_without_a_pace_the_time_left_is_unknown_and_says_why() -> None:
    status = example_status(progress=Progress(step=0, total_steps=9), state=RUNNING)
    assert time_left_forms(status)[0] == "– (too few points to tell the pace)"


def test_a_run_that_fulfilled_its_plan_is_done() -> None:
    status = example_status(progress=Progress(fraction=1.0), state=FINISHED)
    assert time_left_text(status) == "done"
    assert time_left_forms(status) == ("done",)


def test_a_run_that_ended_early_has_no_time_left_to_speak_of() -> None:
    status = example_status(progress=Progress(), state=FINISHED)
    assert time_left_text(status) == ""
    assert time_left_forms(status)[0] == "– (the run is finished)"
    assert progress_note(status) == ""


def test_the_status_says_below_the_progress_what_the_time_left_rests_on() -> None:
    sections = {section.title: section.figures for section in status_sections(uneven_run())}
    assert sections["Progress"][-1].value == time_left_basis(uneven_run())


def test_json_keeps_the_time_left_as_one_number() -> None:
    assert status_json(uneven_run())["progress"]["eta_seconds"] == 3600.0
