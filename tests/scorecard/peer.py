"""losslint on the same runs, scored in its favour.

Its checks are called through its public API on the loss, validation loss, gradient norm and learning rate of a run, in
rows as a trainer's history has them. In its favour: a finding of any severity names a fault, while only a warning or
an error is a false alarm; one check stands for every kind of fault it could possibly mean; and losses of a
reinforcement or adversarial training, which it would take for ordinary ones, are kept from it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from losslint.checks import run_all_checks
from losslint.parsing import RunLog

from monitor.analysis.roles import choose_roles
from monitor.schema import Points, Roles, Scalars
from tests.scorecard.runs import LabelledRun

POLLS = 20
"""How often a growing run is shown to it; each poll costs it the whole run."""

MEANS: Mapping[str, tuple[str, ...]] = {
    "nan_inf": ("non_finite", "loss_scale", "divergence"),
    "divergence": (
        "divergence",
        "rising",
        "level_shift",
        "oscillation",
        "lr_schedule",
        "gradient_explosion",
        "restart",
    ),
    "loss_spike": (
        *("spike", "level_shift", "divergence", "rising", "oscillation", "lr_schedule"),
        *("gradient_explosion", "restart"),
    ),
    "step_backtrack": ("restart", "step_integrity", "lr_schedule"),
    "overfit_onset": ("overfitting", "train_val_gap"),
    "stagnation": ("stuck", "dead_value", "lr_low", "gradient_vanishing", "train_val_gap", "rising", "level_shift"),
}


@dataclass(frozen=True)
class PeerVerdict:
    """What losslint said of a run.

    Args:
        run: The run.
        found: Whether it named the fault, at the end of the run.
        right: Checks that fired and may mean the fault.
        wrong: Warnings and errors that mean nothing in this run, live or at the end.
        wrong_at_end: Those of them that the whole run shows.
        announced: Messages it would have printed at `POLLS` looks.
    """

    run: LabelledRun
    found: bool
    right: int
    wrong: tuple[str, ...]
    wrong_at_end: tuple[str, ...]
    announced: int


def judge_by_peer(run: LabelledRun) -> PeerVerdict:
    """Return what losslint says of a run, live and at its end."""
    meant = {fault.kind for fault in run.faults}
    polls = [run_all_checks(log) for log in _growing(run)]
    end = polls[-1]
    fitting = {finding.check for finding in end if meant & set(MEANS.get(finding.check, ()))}
    live = {one.check for poll in polls for one in poll if one.severity != "info"}
    at_end = {one.check for one in end if one.severity != "info"}
    fits = {check for check in live if meant & set(MEANS.get(check, ()))}
    return PeerVerdict(
        run=run,
        found=bool(fitting),
        right=len(fitting),
        wrong=tuple(sorted(live - fits)),
        wrong_at_end=tuple(sorted(at_end - fits)),
        announced=len({(one.check, one.message) for poll in polls for one in poll}),
    )


def _growing(run: LabelledRun) -> Iterator[RunLog]:
    steps, series = _rows(run.scalars)
    for poll in range(1, POLLS + 1):
        count = len(steps) * poll // POLLS
        shown = {name: values[:count] for name, values in series.items()}
        yield RunLog(steps=steps[:count], series=shown, source=Path(run.name))


def _rows(scalars: Scalars) -> tuple[list[int], dict[str, list[float | None]]]:
    """Return the history as rows in the order of logging: one row per session and step."""
    named = _named(scalars)
    keys = np.array(
        [(session, step) for one in named.values() for session, step in zip(one.session, one.step, strict=True)]
    ).reshape(-1, 2)
    rows, place = np.unique(keys, axis=0, return_inverse=True)
    places = np.split(place.ravel(), np.cumsum([len(one) for one in named.values()])[:-1])
    series: dict[str, list[float | None]] = {}
    for (name, points), mine in zip(named.items(), places, strict=True):
        series[name] = [None] * len(rows)
        for row, value in zip(mine.tolist(), points.value.tolist(), strict=True):
            series[name][row] = value
    return rows[:, 1].tolist(), series


def _named(scalars: Scalars) -> dict[str, Points]:
    """Return the series under the names it knows."""
    roles = choose_roles(scalars.series)
    chosen = {
        "loss": roles.loss.tag if roles.loss is not None and roles.loss.direction is not None else None,
        "eval_loss": roles.validation[0].tag if roles.validation else None,
        "grad_norm": roles.gradient_norm.tag if roles.gradient_norm is not None else None,
        "learning_rate": roles.learning_rate.tag if roles.learning_rate is not None else None,
        **_free(roles),
    }
    named = {name: scalars.points(tag) for name, tag in chosen.items() if tag is not None}
    return named or {"score": max(scalars.series.values(), key=len)}


def _free(roles: Roles) -> dict[str, str]:
    """Return a loss without a direction under a name that it only searches for values that are no numbers."""
    free = roles.loss is not None and roles.loss.direction is None
    return {"player": roles.loss.tag} if free and roles.loss is not None else {}
