"""RunStatus: everything known of one run at one moment; what pages, terminal, JSON and report show."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from monitor.health.assessor import HealthPoint
from monitor.schema import (
    Checkpoint,
    Checkpoints,
    Configuration,
    Finding,
    Health,
    Metric,
    Progress,
    ReadProblem,
    Roles,
    Run,
    RunState,
    Sample,
    Scalars,
    TrendBar,
)
from monitor.text import iso_time

SCHEMA_VERSION = 1
GPU_KEYS = (
    "index",
    "name",
    "utilization_percent",
    "memory_used_bytes",
    "memory_total_bytes",
    "temperature_celsius",
)


@dataclass(frozen=True, eq=False)
class RunStatus:
    """One run at one moment.

    Args:
        run: Name and place.
        now: The moment, seconds UTC.
        scalars: Everything read.
        roles: Which tag means what.
        state: Waiting, running, stalled or finished, with the evidence.
        progress: Epoch, totals, speed, time left.
        loss: The training loss, None without one.
        learning_rate: The learning rate.
        epoch_duration: The epoch time, in seconds, where it is logged.
        validation: One per task.
        scores: Metrics with a direction: accuracies, rewards, mAP.
        trend: The last epochs of the loss, oldest first.
        health: Score, findings, verdict.
        checkpoints: What is saved.
        configuration: What lies beside the run.
        sample: The machine; a reading without figures where none was taken.
        problems: What could not be read, of all sources.
        health_history: The score over time, oldest first.
    """

    run: Run
    now: float
    scalars: Scalars
    roles: Roles
    state: RunState
    progress: Progress
    loss: Metric | None
    learning_rate: Metric | None
    epoch_duration: Metric | None
    validation: tuple[Metric, ...]
    scores: tuple[Metric, ...]
    trend: tuple[TrendBar, ...]
    health: Health
    checkpoints: Checkpoints
    configuration: Configuration
    sample: Sample
    problems: tuple[ReadProblem, ...]
    health_history: tuple[HealthPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class RunGlance:
    """One run in a list of many: where it stands, from the ends of its files alone where they tell.

    Args:
        run: Name and place.
        state: Waiting, running, stalled or finished, with the evidence.
        first_event: Time of its earliest event, None without one.
        last_event: Time of its latest event.
        step: Largest step among its newest points, as logged; None without a point.
        last: Tag → newest value; a series that was not written lately may be missing.
    """

    run: Run
    state: RunState
    first_event: float | None
    last_event: float | None
    step: int | None
    last: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class ConfiguredRuns:
    """How all runs below the log directories are configured.

    Args:
        version: Made of the configurations: equal ones have the same, others another one.
        configurations: Run → what lies beside it, with the hyper-parameters at the beginning of its event files.
    """

    version: int
    configurations: Mapping[str, Configuration]


def is_judged(status: RunStatus) -> bool:
    """Return whether the health of a run was looked at."""
    return status.health.checks.of > 0


def status_json(status: RunStatus) -> dict[str, Any]:
    """Return the status as strict JSON values; keys are never left out, unknown is None.

    A non-finite number becomes the text ``NaN``, ``Infinity`` or ``-Infinity`` (RFC 8259 has no numbers for them).
    """
    values = {
        "schema_version": SCHEMA_VERSION,
        "run": _run(status),
        "progress": _progress(status.progress),
        "metrics": {
            "loss": _metric(status.loss),
            "learning_rate": _metric(status.learning_rate),
            "epoch_duration": _metric(status.epoch_duration),
            "validation": [_metric(metric) for metric in status.validation],
            "scores": [_score(metric) for metric in status.scores],
        },
        "loss_verdict": status.health.verdict,
        "health": _health(status.health),
        "findings": [_finding(finding) for finding in status.health.findings],
        "checkpoints": _checkpoints(status.checkpoints),
        "resources": _resources(status.sample),
        "problems": [asdict(problem) for problem in status.problems],
    }
    strict: dict[str, Any] = strict_json(values)
    return strict


def strict_json(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return `value` with every non-finite number replaced by its name, so that the result is RFC 8259 JSON."""
    if isinstance(value, dict):
        return {key: strict_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _run(status: RunStatus) -> dict[str, Any]:
    scalars = status.scalars
    return {
        "name": status.run.name,
        "path": status.run.path,
        "state": status.state.state,
        "state_reason": status.state.reason,
        "sessions": len(scalars.sessions),
        "first_event": iso_time(scalars.first_event),
        "last_event": iso_time(scalars.last_event),
        "scalars": scalars.count,
        "tags": len(scalars.series),
        "framework": status.roles.framework,
    }


def _progress(progress: Progress) -> dict[str, Any]:
    keys = (
        "step",
        "epoch",
        "total_steps",
        "total_epochs",
        "total_source",
        "steps_per_second",
        "epoch_seconds",
        "eta_seconds",
    )
    return {key: getattr(progress, key) for key in keys}


def _metric(metric: Metric | None) -> dict[str, Any] | None:
    if metric is None:
        return None
    keys = ("tag", "step", "value", "previous", "change_percent", "best", "best_step")
    return {key: getattr(metric, key) for key in keys}


def _score(metric: Metric) -> dict[str, Any]:
    return {**(_metric(metric) or {}), "direction": metric.direction}


def _health(health: Health) -> dict[str, Any]:
    return {
        "score": health.score,
        "band": health.band,
        "provisional": health.provisional,
        "checks": {
            "ran": health.checks.ran,
            "of": health.checks.of,
            "not_checked": [asdict(item) for item in health.checks.not_checked],
        },
        "deductions": [asdict(deduction) for deduction in health.deductions],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return asdict(finding)


def _checkpoint(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    if checkpoint is None:
        return None
    return {
        "name": checkpoint.name,
        "kind": checkpoint.kind,
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "bytes": checkpoint.size_bytes,
        "modified": iso_time(checkpoint.modified),
        "readable": checkpoint.readable,
    }


def _checkpoints(checkpoints: Checkpoints) -> dict[str, Any]:
    return {
        "best": _checkpoint(checkpoints.best),
        "newest": _checkpoint(checkpoints.newest),
        "saved": [_checkpoint(checkpoint) for checkpoint in checkpoints.saved],
    }


def _resources(sample: Sample) -> dict[str, Any]:
    return {
        "cpu_percent": sample.cpu_percent,
        "memory_used_bytes": sample.memory_used_bytes,
        "memory_total_bytes": sample.memory_total_bytes,
        "disk_free_bytes": sample.disk_free_bytes,
        "gpus": [{key: getattr(gpu, key) for key in GPU_KEYS} for gpu in sample.gpus],
        "gpu_note": sample.gpu_note,
    }
