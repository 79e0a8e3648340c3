"""One complete RunStatus with every part filled, for the tests of what is shown of it."""

from dataclasses import replace
from typing import Any

import numpy as np

from monitor.health import HealthPoint
from monitor.schema import (
    Checkpoint,
    Checkpoints,
    Checks,
    Configuration,
    Deduction,
    Finding,
    GpuSample,
    Health,
    Metric,
    NotChecked,
    Points,
    Progress,
    ReadProblem,
    Roles,
    RoleTag,
    Run,
    RunState,
    Sample,
    Scalars,
    Session,
    TrendBar,
)
from monitor.status import RunStatus

NOW = 1_700_000_100.0
START = 1_700_000_000.0
LOSS = (1.0, 0.8, 0.6, 0.7, 0.5, float("nan"), 0.45, 0.4)


def points(values: tuple[float, ...], sessions: tuple[int, ...] | None = None) -> Points:
    """Return one point per epoch, ten seconds apart."""
    n_points = len(values)
    return Points(
        np.arange(n_points, dtype=np.int64),
        START + 10.0 * np.arange(n_points),
        np.array(values),
        np.array(sessions or [0] * n_points, np.int16),
    )


def metric(tag: str, label: str, **changes: Any) -> Metric:
    """Return the figures of a series that fell from 0.45 to 0.4 at the eighth epoch."""
    known = Metric(tag, label, "min", 7, 0.4, 0.45, -11.11, 0.4, 7)
    return replace(known, **changes)


def finding(**changes: Any) -> Finding:
    """Return an open warning about the loss."""
    known = Finding(
        id="spike:train/loss:3",
        kind="spike",
        severity="warning",
        tag="train/loss",
        session=0,
        onset_step=3,
        detected_step=4,
        open=True,
        recovered_step=None,
        value=0.7,
        reference=0.6,
        evidence="The loss rose from 0.6 to 0.7 at epoch 4.",
        advice="Lower the learning rate by 30 %.",
    )
    return replace(known, **changes)


def example_status(**changes: Any) -> RunStatus:
    """Return the status of a run with a loss, a validation task, findings, checkpoints, a GPU and one problem."""
    loss = points(LOSS, (0, 0, 0, 0, 1, 1, 1, 1))
    best = Checkpoint("best", "best", None, None, 1_300_000_000, NOW - 60, True)
    epoch = Checkpoint("epoch5", "epoch", 5, None, 1_300_000_000, NOW - 30, True)
    known = RunStatus(
        run=Run("pick/act/run_1", "/runs/pick/act/run_1", START, 4096),
        now=NOW,
        scalars=Scalars(
            series={"train/loss": loss, "validation/task1_loss": points((0.9, 0.5))},
            sessions=(Session(0, "a", START, 0), Session(1, "b", START + 40, 4)),
            first_event=START,
            last_event=START + 70,
        ),
        roles=Roles(
            loss=RoleTag("train/loss", "loss"),
            validation=(RoleTag("validation/task1_loss", "task 1"),),
            framework="users' trainer",
        ),
        state=RunState("running", "The last event came 30 s ago; usually one comes every 10 s."),
        progress=Progress(
            step=7,
            epoch=8,
            total_epochs=300,
            total_source="config.yaml: training.max_epoch",
            steps_per_second=0.1,
            epoch_seconds=10.0,
            eta_seconds=2920.0,
            first_epoch_step=0,
            fraction=8 / 300,
        ),
        loss=metric("train/loss", "loss"),
        learning_rate=metric("train/lr", "learning rate", direction=None, value=1.25e-4, change_percent=-5.2),
        epoch_duration=None,
        validation=(metric("validation/task1_loss", "task 1", value=0.5),),
        scores=(metric("eval/success", "success", direction="max", value=0.75),),
        trend=(TrendBar(6, 0.45, 1.0), TrendBar(7, 0.4, 0.9)),
        health=Health(
            score=85,
            band="normal",
            provisional=True,
            checks=Checks(3, 5, (NotChecked("gradient_norm", "no gradient norm series"),)),
            deductions=(Deduction("loss", 15.0, ("spike:train/loss:3",)),),
            verdict="falling",
            findings=(finding(),),
        ),
        health_history=(HealthPoint(5, START + 50, 100), HealthPoint(7, START + 70, 85)),
        checkpoints=Checkpoints(best, epoch, (epoch, best)),
        configuration=Configuration({"training.max_epoch": 300, "seed": None}, {"training.max_epoch": "config.yaml"}),
        sample=Sample(
            wall_time=NOW,
            cpu_percent=12.0,
            memory_used_bytes=8_000_000_000,
            memory_total_bytes=32_000_000_000,
            disk_free_bytes=500_000_000_000,
            gpus=(GpuSample(0, "NVIDIA H200", 87.0, 70_000_000_000, 140_000_000_000, 61.0),),
        ),
        problems=(ReadProblem("/runs/pick/act/run_1/events.x", 120, "damaged_record", "A record is damaged."),),
    )
    return replace(known, **changes)


def hostile_status(text: str) -> RunStatus:
    """Return the status of a run in which every name and text that came from a file is the one given."""
    return example_status(
        run=Run(text, text, 0.0, 0),
        scalars=Scalars(series={text: points((1.0, 0.5))}),
        loss=metric(text, text),
        validation=(metric(text, text),),
        health=Health(findings=(finding(tag=text, evidence=f"Look at {text}.", advice=text),)),
        configuration=Configuration({text: text}, {text: text}),
    )
