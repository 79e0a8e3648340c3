"""Totals, speed, time left and the state of a run, for the ways trainers count."""

import math

import numpy as np
import pytest

from monitor.analysis.progress import SeriesMemory, progress_of, state_of
from monitor.analysis.roles import choose_roles
from monitor.schema import Configuration, Points, Progress, Roles, RunState, Scalars
from monitor.settings import ProgressSettings, Settings

DAY = 86_400.0
BEGIN = 1_700_000_000.0


def series(steps, wall, values=None, *, sessions=None) -> Points:
    steps = np.asarray(steps, np.int64)
    return Points(
        steps,
        BEGIN + np.asarray(wall, np.float64),
        np.linspace(1.0, 0.5, len(steps)) if values is None else np.asarray(values, np.float64),
        np.zeros(len(steps), np.int16) if sessions is None else np.asarray(sessions, np.int16),
    )


def regular(count, seconds=10.0, stride=1, first=0, values=None) -> Points:
    """`count` points every `stride` steps and `seconds` seconds."""
    return series(first + stride * np.arange(count), seconds * np.arange(count), values)


def run(**columns: Points) -> Scalars:
    """A run whose tags are the names given, with ``__`` for ``/``."""
    tags = {name.replace("__", "/"): points for name, points in columns.items()}
    moments = [float(points.wall_time.max()) for points in tags.values() if len(points)]
    return Scalars(series=tags, first_event=BEGIN, last_event=max(moments, default=None))


def progress(scalars: Scalars, settings: Settings | None = None, after: float = 0.0, **values) -> Progress:
    configuration = Configuration(values, dict.fromkeys(values, "config.yaml"))
    now = (scalars.last_event or BEGIN) + after
    return progress_of(scalars, choose_roles(scalars.series), configuration, settings or Settings(), now)


def state(scalars: Scalars, after: float, settings: Settings | None = None, **values) -> RunState:
    chosen = settings or Settings()
    now = (scalars.last_event or BEGIN) + after
    return state_of(scalars, progress(scalars, chosen, after, **values), chosen, now)


def counts_epochs(scalars: Scalars, **values) -> bool:
    return progress(scalars, **values).steps_are_epochs


# --- totals


def totals_of(configuration, settings=None):
    """The planned steps, the planned epochs and where they come from, of a run without a point yet."""
    progress = progress_of(Scalars(), Roles(), configuration, settings or Settings(), 0.0)
    return progress.total_steps, progress.total_epochs, progress.total_source


@pytest.mark.parametrize(
    ("key", "value", "steps", "epochs"),
    [
        ("training.max_epoch", 300, None, 300),
        ("num_train_epochs", 3.0, None, 3),
        ("epochs", "300", None, 300),
        ("OPTIMIZATION.NUM_EPOCHS", 80, None, 80),
        ("trainer.max_epochs", 12, None, 12),
        ("n_epochs", 5, None, 5),
        ("max_steps", 1000, 1000, None),
        ("total_timesteps", "1e6", 1_000_000, None),
        ("n_timesteps", 2000000.0, 2_000_000, None),
        ("SOLVER.MAX_ITER", 90000, 90000, None),
        ("total_iters", 7, 7, None),
        ("steps", 100000, 100000, None),
        ("behaviors.Player Behaviour.max_steps", 500000, 500000, None),
        ("max_steps", -1, None, None),
        ("max_epochs", 0, None, None),
        ("max_epochs", True, None, None),
        ("max_epochs", "auto", None, None),
        ("max_epochs", None, None, None),
        ("max_epochs", math.inf, None, None),
        ("max_epochs", "nan", None, None),
        ("max_steps", 10**400, None, None),
        ("scheduler.max_epochs", 50, None, None),
        ("warmup.epochs", 5, None, None),
        ("n_steps", 512, None, None),
    ],
)
def test_a_total_is_found_under_the_keys_of_the_trainers(key, value, steps, epochs):
    assert totals_of(Configuration({key: value}))[:2] == (steps, epochs)


def test_the_source_of_a_total_is_file_and_key():
    configuration = Configuration({"training.max_epoch": 300}, {"training.max_epoch": "config.yaml"})
    assert totals_of(configuration)[2] == "config.yaml: training.max_epoch"


def test_the_settings_win_over_the_configuration():
    found = totals_of(Configuration({"max_epoch": 300, "max_steps": 10}), Settings(total_epochs=5))
    assert found == (10, 5, "max_steps; settings: total_epochs")


def test_without_a_total_nothing_is_guessed():
    assert totals_of(Configuration({"lr": 0.1})) == (None, None, None)


def test_of_two_keys_the_shorter_path_wins():
    assert totals_of(Configuration({"a.b.max_epoch": 5, "training.max_epoch": 300}))[1] == 300


def test_the_inner_epochs_of_reinforcement_learning_are_no_total():
    assert totals_of(Configuration({"n_timesteps": 2e6, "n_epochs": 20}))[:2] == (2_000_000, None)


# --- what a step is


def test_steps_are_epochs_where_every_step_has_an_epoch_duration():
    assert counts_epochs(run(train__loss=regular(5), train__epoch_duration_minutes=regular(5)))


def test_steps_are_epochs_while_the_duration_of_the_newest_is_still_missing():
    assert counts_epochs(run(train__loss=regular(5), train__epoch_duration_minutes=regular(4)))


def test_steps_are_epochs_where_the_planned_epochs_reach_beyond_every_single_step():
    assert counts_epochs(run(train__loss=regular(5)), max_epoch=300)


def test_steps_are_epochs_for_keras_and_yolo():
    assert counts_epochs(run(train__epoch_loss=regular(3), validation__epoch_loss=regular(3)))
    assert counts_epochs(run(train__box_loss=regular(3), x__lr0=regular(3)))


def test_steps_are_epochs_where_the_epoch_series_says_so():
    assert counts_epochs(run(train__loss=regular(3), epoch=regular(3, values=[1, 2, 3])))


@pytest.mark.parametrize(
    ("points", "values"),
    [
        (regular(5), {}),
        (regular(5, stride=10), {"max_epoch": 300}),
        (regular(500), {"max_epoch": 300}),
        (regular(5), {"max_epoch": 300, "max_steps": 100_000}),
        (regular(1), {"max_epoch": 300}),
    ],
)
def test_steps_are_not_taken_for_epochs_without_evidence(points, values):
    assert not counts_epochs(run(train__loss=points), **values)


def test_steps_are_no_epochs_where_the_epoch_series_contradicts():
    epochs = series([0, 1, 2, 3], [0, 1, 2, 3], [0, 0, 1, 1])
    assert not counts_epochs(run(loss=regular(4), epoch=epochs), max_epoch=300)


def test_a_run_without_scalars_counts_nothing():
    assert not counts_epochs(run(), max_epoch=300)


def test_the_first_epoch_is_step_one_for_trainers_that_count_from_one():
    for first, expected in ((0, 0), (1, 1), (50, 0)):
        scalars = run(train__loss=regular(3, first=first))
        assert progress(scalars, max_epoch=300).first_epoch_step == expected


# --- progress


def test_progress_in_epochs_counts_from_one_and_ends_with_the_plan():
    found = progress(run(train__loss=regular(30, seconds=60.0)), max_epoch=300)
    assert (found.step, found.epoch, found.total_epochs, found.total_steps) == (29, 30, 300, None)
    assert (found.epoch_seconds, found.eta_seconds) == pytest.approx((60.0, 270 * 60.0))
    assert (found.fraction, found.total_source) == (0.1, "config.yaml: max_epoch")


def test_epochs_of_a_trainer_that_counts_from_one_are_not_shifted():
    scalars = run(train__box_loss=regular(10, first=1), lr__pg0=regular(10, first=1))
    assert progress(scalars, epochs=100).epoch == 10


def test_the_logged_epoch_duration_tells_the_time_left():
    minutes = regular(10, values=[2.0] * 10)
    found = progress(run(train__loss=regular(10), train__epoch_duration_minutes=minutes), max_epoch=20)
    assert (found.epoch_seconds, found.eta_seconds) == (120.0, pytest.approx(1200.0))


def test_progress_in_steps():
    found = progress(run(train__loss=regular(11, seconds=5.0, stride=50)), max_steps=1000)
    assert (found.step, found.epoch, found.steps_are_epochs) == (500, None, False)
    assert (found.steps_per_second, found.eta_seconds) == pytest.approx((10.0, 50.0))
    assert found.fraction == 0.5


def test_the_time_left_shrinks_between_two_points_but_by_no_more_than_their_distance():
    scalars = run(train__loss=regular(11, seconds=5.0, stride=50))
    left = [progress(scalars, after=after, max_steps=1000).eta_seconds for after in (-100.0, 0.0, 2.0, 3600.0)]
    assert left == pytest.approx([50.0, 50.0, 48.0, 45.0])


def test_a_pause_of_hours_does_not_change_the_speed():
    wall = np.arange(20.0)
    wall[10:] += 8 * 3600
    assert progress(run(train__loss=series(range(20), wall))).steps_per_second == pytest.approx(1.0)


def test_the_speed_is_that_of_the_recent_points():
    wall = np.concatenate((np.arange(100.0) * 10, 1000 + np.arange(30.0)))
    assert progress(run(train__loss=series(range(130), wall))).steps_per_second == pytest.approx(1.0)


def test_the_speed_after_a_resume_is_that_of_the_new_session():
    points = series([0, 1, 2, 3, 2, 3, 4], [0, 1, 2, 3, 5000, 5010, 5020], sessions=[0, 0, 0, 0, 1, 1, 1])
    found = progress(run(train__loss=points), max_epoch=10)
    assert (found.epoch, found.steps_per_second) == (5, pytest.approx(0.1))
    assert found.eta_seconds == pytest.approx(50.0)


def test_one_point_has_no_speed_and_no_time_left():
    found = progress(run(train__loss=regular(1)), max_steps=10)
    assert (found.step, found.steps_per_second, found.eta_seconds) == (0, None, None)


def test_points_of_one_step_or_one_moment_have_no_speed():
    assert progress(run(loss=series([5, 5, 5], [0, 1, 2]))).steps_per_second is None
    assert progress(run(loss=series([5, 6, 7], [1, 1, 1]))).steps_per_second is None


def test_without_a_total_the_time_left_is_unknown():
    found = progress(run(train__loss=regular(10)))
    assert (found.eta_seconds, found.fraction, found.total_source) == (None, None, None)


@pytest.mark.parametrize("count", [300, 301])
def test_a_fulfilled_plan_has_no_time_left(count):
    found = progress(run(train__loss=regular(count), train__epoch_duration_minutes=regular(count)), max_epoch=300)
    assert (found.eta_seconds, found.fraction) == (None, 1.0)


def test_fractions_of_epochs_are_read_from_the_epoch_series():
    epochs = regular(11, seconds=10.0, stride=10, values=np.arange(11) * 0.15)
    found = progress(run(train__loss=regular(11, stride=10), train__epoch=epochs), num_train_epochs=3)
    assert (found.epoch, found.fraction) == (2, pytest.approx(0.5))
    assert (found.epoch_seconds, found.eta_seconds) == pytest.approx((10 / 0.15, 100.0))


def test_whole_epochs_name_the_epoch_in_work():
    epochs = series([9, 19, 29, 39], [0, 10, 20, 30], [0, 0, 1, 1])
    found = progress(run(loss=regular(4, stride=10, first=9), epoch=epochs), max_epochs=4)
    assert (found.epoch, found.epoch_seconds, found.fraction) == (2, 20.0, 0.25)


def test_iterations_in_the_configuration_say_nothing_where_steps_are_epochs():
    scalars = run(train__box_loss=regular(1), x__lr0=regular(1))
    found = progress(scalars, epochs=300, max_iter=1)
    assert (found.total_epochs, found.total_steps, found.total_source) == (300, None, "config.yaml: epochs")


def test_planned_steps_per_epoch_give_the_epoch_time():
    found = progress(run(train__loss=regular(5, stride=10)), max_steps=1000, num_train_epochs=10)
    assert found.epoch_seconds == pytest.approx(100.0)


def test_reinforcement_learning_counts_the_steps_of_its_reward():
    scalars = run(loss=regular(100), train__rew=regular(5, stride=1000))
    assert progress(scalars, n_timesteps=10_000).fraction == 0.4


def test_the_plan_is_known_before_the_first_scalar():
    found = progress(run(), max_epoch=300)
    assert (found.step, found.total_epochs, found.fraction) == (None, 300, None)


def test_a_tag_without_points_is_not_the_clock():
    assert progress(run(train__loss=Points.empty(), loss__other=regular(3))).step == 2


def test_roles_of_tags_that_are_gone_are_passed_over():
    roles = choose_roles({"train/loss": Points.empty(), "epoch": Points.empty()})
    scalars = run(other=regular(3))
    assert progress_of(scalars, roles, Configuration(), Settings(), BEGIN).step == 2


# --- state


def test_a_run_without_any_event_waits():
    assert state(run(), 0.0) == RunState("waiting", "No event has been written yet.")


def test_a_run_without_scalars_waits_and_says_since_when():
    found = state_of(Scalars(first_event=BEGIN, last_event=BEGIN), Progress(), Settings(), BEGIN + 12)
    assert found == RunState("waiting", "No scalar has been written yet; the last event came 12 s ago.")


def test_a_run_within_its_rhythm_runs():
    found = state(run(train__loss=regular(20, seconds=4.0)), 12.0)
    assert found == RunState("running", "The last event came 12 s ago; usually one comes every 4.0 s.")


def test_a_run_silent_for_ten_times_its_rhythm_is_stalled():
    scalars = run(train__loss=regular(20, seconds=30.0))
    assert [state(scalars, silence).state for silence in (299.0, 301.0)] == ["running", "stalled"]
    assert state(scalars, 301.0).reason == "The last event came 5 min 01 s ago; usually one comes every 30 s."


def test_a_fast_run_is_stalled_after_the_shortest_silence_that_counts():
    scalars = run(train__loss=regular(20, seconds=0.1))
    assert [state(scalars, silence).state for silence in (59.0, 61.0)] == ["running", "stalled"]


def test_regular_long_pauses_belong_to_the_rhythm():
    wall = np.cumsum(np.where(np.arange(200) % 20 == 0, 300.0, 4.0))
    assert state(run(train__loss=series(range(200), wall)), 600.0).state == "running"


def test_a_young_run_is_given_half_an_hour():
    scalars = run(train__loss=regular(3))
    assert [state(scalars, silence).state for silence in (1700.0, 1900.0)] == ["running", "stalled"]


def test_a_young_run_with_slow_epochs_is_given_three_of_them():
    scalars = run(train__loss=regular(2, seconds=3000.0))
    assert [state(scalars, silence).state for silence in (8000.0, 9100.0)] == ["running", "stalled"]


def test_the_logged_epoch_time_of_the_first_epoch_is_a_rhythm():
    minutes = regular(1, values=[50.0])
    assert state(run(train__loss=regular(1), train__epoch_duration_minutes=minutes), 8000.0).state == "running"


def test_the_rhythm_is_that_of_the_newest_session():
    wall = np.concatenate((np.arange(50.0), 9000 + 100 * np.arange(10.0)))
    points = series(range(60), wall, sessions=[0] * 50 + [1] * 10)
    assert state(run(train__loss=points), 900.0).state == "running"


def test_an_old_run_counts_as_finished_and_says_so():
    found = state(run(train__loss=regular(20)), 3 * DAY)
    assert found.state == "finished"
    assert found.reason == "The last event is 3 d 00 h old; nothing says the run ended, so it counts as finished."


def test_a_run_that_reached_its_plan_is_finished():
    found = state(run(train__loss=regular(300), train__epoch_duration_minutes=regular(300)), 5.0, max_epoch=300)
    assert found == RunState("finished", "Epoch 300 of 300 is done. The last event came 5.0 s ago.")


@pytest.mark.parametrize("last", [999, 1000])
def test_the_last_step_may_be_counted_from_zero_or_from_one(last):
    found = state(run(train__loss=regular(11, stride=100, first=last - 1000)), 5.0, max_steps=1000)
    assert found == RunState("finished", "Step 1,000 of 1,000 is done. The last event came 5.0 s ago.")


def test_a_run_silent_within_one_interval_of_its_end_is_finished():
    scalars = run(train__loss=regular(19, stride=50, first=49))
    assert [state(scalars, silence, max_steps=990).state for silence in (5.0, 500.0)] == ["running", "finished"]
    assert "at step 949 of 990" in state(scalars, 500.0, max_steps=990).reason


def test_a_run_silent_in_its_last_planned_epoch_is_finished():
    epochs = series([9, 19, 29, 39], [0, 10, 20, 30], [0, 0, 1, 1])
    scalars = run(loss=regular(10, stride=10, first=9), epoch=epochs)
    assert [state(scalars, silence, max_epochs=2).state for silence in (5.0, 500.0)] == ["running", "finished"]


def test_a_run_that_went_past_its_plan_runs_while_events_come():
    scalars = run(train__loss=regular(310), train__epoch_duration_minutes=regular(310))
    assert [state(scalars, silence, max_epoch=300).state for silence in (5.0, 500.0)] == ["running", "finished"]


def test_a_clock_ahead_is_said():
    found = state(run(train__loss=regular(20)), -300.0)
    assert found.state == "running" and "5 min 00 s in the future" in found.reason


def test_bursts_of_events_name_no_rhythm():
    scalars = run(train__loss=series(range(20), np.arange(20) * 1e-5))
    assert state(scalars, 5.0) == RunState("running", "The last event came 5.0 s ago.")


def test_thresholds_come_from_the_settings():
    strict = Settings(progress=ProgressSettings(stalled_seconds=1.0, stalled_gap_factor=2.0, inactive_seconds=100.0))
    scalars = run(train__loss=regular(20, seconds=1.0))
    assert [state(scalars, silence, strict).state for silence in (2.0, 4.0, 101.0)] == [
        "running",
        "stalled",
        "finished",
    ]


def test_a_state_needs_no_progress():
    assert state_of(run(loss=regular(20)), Progress(), Settings(), BEGIN + 195).state == "running"


def test_roles_may_be_empty():
    scalars = run(loss=regular(3))
    assert progress_of(scalars, Roles(), Configuration(), Settings(), BEGIN).step == 2


# --- a run that grows


def grown(kind: str, seed: int) -> dict[str, Points]:
    """The series of a run of 300 steps that was restarted at step 100, as some trainer logs them."""
    random = np.random.default_rng(seed)
    steps = np.concatenate((np.arange(200), 100 + np.arange(200)))
    wall = np.cumsum(random.uniform(0.5, 2.0, len(steps)))
    sessions = np.repeat([0, 1], 200)
    values = {
        "epochs": (steps + 1, random.uniform(5, 6, len(steps))),
        "names epochs": (steps // 40, random.uniform(5, 6, len(steps))),
        "fractions": (steps / 40, np.where(random.random(len(steps)) < 0.3, math.nan, 1.0)),
        "epochs without a tag": (None, np.ones(len(steps))),
    }
    epoch, duration = values[kind]
    rows = np.flatnonzero(random.random(len(steps)) < (0.9 if kind == "epochs without a tag" and seed else 1.0))
    return {
        "train/loss": series(steps, wall, sessions=sessions).take(rows),
        "train/epoch_duration": series(steps, wall + 0.1, duration, sessions=sessions).take(rows[seed:]),
        **({} if epoch is None else {"epoch": series(steps, wall + 0.2, epoch, sessions=sessions)}),
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", ["epochs", "names epochs", "fractions", "epochs without a tag"])
def test_progress_remembered_is_progress_looked_up_at_once(kind: str, seed: int):
    tags, memory = grown(kind, seed), SeriesMemory()
    for end in range(0, 401, 9):
        scalars = run(**{tag.replace("/", "__"): points.take(slice(end)) for tag, points in tags.items()})
        given = (scalars, choose_roles(scalars.series), Configuration({"max_epochs": 300}), Settings(), BEGIN + 900.0)
        assert progress_of(*given, memory) == progress_of(*given)


@pytest.mark.parametrize(
    "steps, same",
    [
        (range(20), True),
        (range(19), True),
        (range(1, 20), True),
        (range(21), True),
        (range(18), False),
        (range(22), False),
        (range(-1, 21), False),
        ([*range(9), *range(11, 20)], False),
        ([*range(19), 19, 19], True),
        ([*range(-9, 0), *range(20)], False),
        ([], False),
    ],
)
def test_durations_at_the_steps_of_the_loss_but_for_one_say_that_steps_are_epochs(steps, same: bool):
    durations = series(list(steps), [float(step) for step in steps], [60.0] * len(steps))
    assert counts_epochs(run(train__loss=regular(20), train__epoch_duration=durations)) is same
