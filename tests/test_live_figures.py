"""What the live page says and compares, over complete statuses."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.health import RULES
from monitor.live_figures import (
    check_label,
    finding_label,
    is_busy,
    onset_window,
    position_text,
    since_text,
    speed_text,
    what_is_charted,
    what_is_framed,
    what_is_shown,
)
from monitor.run_charts import ChartView
from monitor.schema import Points, Progress, RoleTag, RunState, Scalars
from tests.statuses import START, example_status, finding

RUNNING = RunState("running", "It runs.")


def run_with_gap(seconds: float, count: int = 40):
    """Return the status of a run whose loss is written every so many seconds."""
    steps = np.arange(count, dtype=np.int64)
    loss = Points(steps, START + seconds * steps, 1.0 / (1.0 + steps), np.zeros(count, np.int16))
    return example_status(scalars=Scalars(series={"train/loss": loss}, first_event=START, version=1))


# --- findings in words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_every_rule_has_words_that_are_not_its_name(rule) -> None:
    assert "_" not in check_label(rule.kind)
    assert check_label(rule.kind)[0].isupper()


def test_a_loss_that_rises_and_a_reward_that_falls_are_told_apart() -> None:
    assert finding_label(finding(kind="rising")) == "Loss rising"
    assert finding_label(finding(kind="rising", tag="rollout/ep_rew_mean")) == "Reward falling"


def test_an_open_finding_says_since_when() -> None:
    assert since_text(finding(onset_step=3), Progress(first_epoch_step=0)) == "since epoch 4"


def test_a_finding_that_is_over_says_from_when_to_when() -> None:
    over = finding(onset_step=3, open=False, recovered_step=9)
    assert since_text(over, Progress()) == "from step 3 to step 9"


# --- progress in words -----------------------------------------------------------------------------------------------


def test_position_and_speed_are_told_in_what_the_run_counts() -> None:
    assert position_text(Progress(epoch=12, total_epochs=300)) == "Epoch 12 of 300"
    assert position_text(Progress(step=6200)) == "Step 6,200"
    assert speed_text(Progress(steps_per_second=3.14159)) == "3.14 steps per second"
    assert speed_text(Progress(steps_per_second=1.0001)) == "1 step per second"
    assert speed_text(Progress(steps_per_second=0.1)) == "10 s per step"


# --- when to draw anew -----------------------------------------------------------------------------------------------


def test_the_clock_alone_changes_nothing_that_is_shown() -> None:
    status = example_status()
    assert what_is_shown(replace(status, now=status.now + 60)) == what_is_shown(status)


@pytest.mark.parametrize(
    "change",
    [
        {"scalars": Scalars(version=5)},
        {"state": RunState("stalled", "Silent.")},
        {"problems": ()},
        {"roles": replace(example_status().roles, loss=RoleTag("other", "other"))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_new_is_noticed(change) -> None:
    status = example_status()
    assert what_is_shown(replace(status, **change)) != what_is_shown(status)


def test_a_new_finding_is_seen_in_the_slow_parts_at_once() -> None:
    status = example_status()
    more = replace(status.health, findings=(*status.health.findings, finding(id="other")))
    assert what_is_framed(replace(status, health=more)) != what_is_framed(status)


def test_new_points_alone_leave_the_slow_parts_as_they_are() -> None:
    status = example_status()
    grown = replace(status, scalars=replace(status.scalars, version=status.scalars.version + 1))
    assert what_is_framed(grown) == what_is_framed(status)
    assert what_is_charted(grown) != what_is_charted(status)


def test_a_run_that_writes_as_often_as_it_is_looked_at_is_busy() -> None:
    assert is_busy(replace(run_with_gap(2.0), state=RUNNING), 2.0)


def test_a_run_that_writes_seldom_is_not_busy() -> None:
    assert not is_busy(replace(run_with_gap(60.0), state=RUNNING), 2.0)


def test_a_run_that_is_over_is_not_busy() -> None:
    assert not is_busy(replace(run_with_gap(2.0), state=RunState("finished", "Done.")), 2.0)


def test_a_paused_page_is_not_busy() -> None:
    assert not is_busy(replace(run_with_gap(2.0), state=RUNNING), None)


# --- a finding on its curve ------------------------------------------------------------------------------------------


def test_the_window_lies_around_the_onset() -> None:
    window = onset_window(run_with_gap(10.0, 61), finding(onset_step=30), ChartView("step"))
    assert window is not None
    assert (window.tag, window.low, window.high) == ("train/loss", 20.0, 40.0)


def test_the_window_stays_on_the_curve() -> None:
    window = onset_window(run_with_gap(10.0, 61), finding(onset_step=0), ChartView("step"))
    assert window is not None
    assert (window.low, window.high) == (0.0, 10.0)


def test_a_finding_about_no_series_is_shown_along_the_loss() -> None:
    window = onset_window(run_with_gap(10.0, 61), finding(tag=None, onset_step=30), ChartView("step"))
    assert window is not None
    assert window.tag == "train/loss"


@pytest.mark.parametrize("changes", [{"onset_step": None}, {"onset_step": 10_000}, {"tag": "gone", "onset_step": 3}])
def test_a_finding_without_a_place_has_no_window(changes) -> None:
    assert onset_window(run_with_gap(10.0), finding(**changes), ChartView("step")) is None
