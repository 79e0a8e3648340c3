"""The keys of ``status --json`` and ``compare --json`` as others rely on them, and a reader that refuses non-JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

METRIC = ("tag", "step", "value", "previous", "change_percent", "best", "best_step")
CHECKPOINT = ("name", "kind", "epoch", "step", "bytes", "modified", "readable")
KEYS: Mapping[str, tuple[str, ...]] = {
    "": (
        *("schema_version", "run", "progress", "metrics", "loss_verdict", "health", "findings", "checkpoints"),
        *("resources", "problems"),
    ),
    "run": (
        *("name", "path", "state", "state_reason", "sessions", "first_event", "last_event", "scalars", "tags"),
        "framework",
    ),
    "progress": (
        *("step", "epoch", "total_steps", "total_epochs", "total_source", "steps_per_second", "epoch_seconds"),
        "eta_seconds",
    ),
    "metrics": ("loss", "learning_rate", "epoch_duration", "validation", "scores"),
    "metrics.loss": METRIC,
    "metrics.learning_rate": METRIC,
    "metrics.epoch_duration": METRIC,
    "metrics.validation": METRIC,
    "metrics.scores": (*METRIC, "direction"),
    "health": ("score", "band", "provisional", "checks", "deductions"),
    "health.checks": ("ran", "of", "not_checked"),
    "health.checks.not_checked": ("kind", "why"),
    "health.deductions": ("group", "points", "findings"),
    "findings": (
        *("id", "kind", "severity", "tag", "session", "onset_step", "detected_step", "open", "recovered_step"),
        *("value", "reference", "evidence", "advice", "explained_by"),
    ),
    "checkpoints": ("best", "newest", "saved"),
    "checkpoints.best": CHECKPOINT,
    "checkpoints.newest": CHECKPOINT,
    "checkpoints.saved": CHECKPOINT,
    "resources": ("cpu_percent", "memory_used_bytes", "memory_total_bytes", "disk_free_bytes", "gpus", "gpu_note"),
    "resources.gpus": (
        *("index", "name", "utilization_percent", "memory_used_bytes", "memory_total_bytes"),
        "temperature_celsius",
    ),
    "problems": ("path", "offset", "kind", "detail"),
}


COMPARE_KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("schema_version", "runs", "ranking", "difference", "verdict", "config_difference", "problems"),
    "runs": (
        *("name", "group", "tag", "best", "best_step", "last", "last_step", "n_points", "duration_seconds", "value"),
        *("value_step", "final", "area", "steps_to_target", "seconds_to_target", "health"),
    ),
    "difference": (
        *("compared", "by", "chosen_by", "direction", "baseline", "baseline_named", "confidence", "method"),
        *("correction", "n_tests", "groups", "pairs"),
    ),
    "difference.groups": (
        *("name", "runs", "seeded", "reason", "n", "mean", "std", "low", "high", "median", "iqm", "smallest"),
        *("largest", "best", "last", "final", "area", "duration_seconds", "n_reached", "steps_to_target"),
        *("seconds_to_target", "health"),
    ),
    "difference.pairs": (
        *("group", "baseline", "n", "n_baseline", "difference", "low", "high", "p_value", "p_corrected"),
        *("needed_runs", "outcome", "sentence"),
    ),
    "config_difference": ("settings", "seeds", "noise", "associations"),
    "config_difference.associations": ("keys", "n", "correlation", "strength", "levels", "sentence"),
    "config_difference.associations.levels": ("value", "n", "mean"),
    "problems": ("path", "offset", "kind", "detail"),
}
# Objects whose keys are those of somebody's configuration.
FREE = ("config_difference.settings", "config_difference.seeds", "config_difference.noise")


def strict_loads(text: str) -> Any:
    """Return the value of strict JSON.

    Raises:
        ValueError: It is no JSON, or holds ``NaN`` or ``Infinity`` as numbers.
    """
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def missing_keys(value: object, place: str = "", keys: Mapping[str, tuple[str, ...]] = KEYS) -> Iterator[str]:
    """Yield the keys that are missing or not known, in every object of the answer."""
    if isinstance(value, list):
        for item in value:
            yield from missing_keys(item, place, keys)
    elif isinstance(value, dict) and place not in FREE:
        if set(value) != set(keys[place]):
            yield f'keys of "{place or "the top"}": {sorted(set(value) ^ set(keys[place]))}'
        for key, item in value.items():
            yield from missing_keys(item, f"{place}.{key}" if place else key, keys)
