"""The same run logged otherwise: what is right must not depend on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from monitor.analysis.roles import choose_roles
from monitor.schema import Points, Roles, Scalars
from tests.scorecard.judging import is_right, names
from tests.scorecard.replay import clock_of, is_alarm, judge_at_once
from tests.scorecard.runs import LabelledRun

KEEP_EVERY = 10
FEWEST_KEPT = 40
REWARD = "rollout/ep_rew_mean"

LASTING = ("divergence", "rising", "level_shift", "overfitting", "lr_low", "slowdown", "gradient_explosion", "stuck")
"""Faults that are still there when nine points of ten are left out; a spike or a zigzag is not."""

OF_LEVELS = ("divergence", "rising", "level_shift", "spike", "oscillation", "overfitting", "train_val_gap")
"""Faults that are seen in the levels of a loss; chance, zeros and the clock are not."""


@dataclass(frozen=True)
class Variation:
    """A way to log the same run otherwise.

    Args:
        name: What people call it.
        kinds: Faults that it leaves in the run; None for all.
        change: Returns the run as it would have been logged; None where it makes another run of it.
    """

    name: str
    kinds: tuple[str, ...] | None
    change: Callable[[LabelledRun, Roles], Scalars | None]

    def of(self, run: LabelledRun) -> LabelledRun | None:
        """Return the run logged otherwise, None where the variation says nothing about it."""
        known = self.kinds is None or all(fault.kind in self.kinds for fault in run.faults)
        scalars = self.change(run, choose_roles(run.scalars.series)) if known else None
        return None if scalars is None else replace(run, scalars=scalars)


def verdict_of(run: LabelledRun) -> tuple[bool, bool]:
    """Return whether the faults of a run were named, and whether there was a wrong alarm."""
    roles = choose_roles(run.scalars.series)
    step = clock_of(run.scalars, roles).step
    total = int(step.max() - step.min()) if len(step) else 0
    findings = judge_at_once(run).findings
    wrong = [
        one for one in filter(is_alarm, findings) if one.kind not in run.tolerated and not is_right(run, one, total)
    ]
    return all(any(names(fault, one, total) for one in findings) for fault in run.faults), bool(wrong)


def _drop_points(run: LabelledRun, roles: Roles) -> Scalars:
    """Leave out one point of ten of every series, but for the first bad value of each."""
    random = np.random.default_rng([*run.recipe.encode(), run.seed])

    def thin(points: Points) -> Points:
        kept = random.random(len(points)) > 0.1
        kept[np.flatnonzero(~np.isfinite(points.value))[:1]] = True
        kept[:1] = True
        return points.take(kept)

    return _changed(run.scalars, {tag: thin(points) for tag, points in run.scalars.series.items()})


def _log_every_tenth(run: LabelledRun, roles: Roles) -> Scalars | None:
    """Keep one point of ten of the series that are logged as often as the loss."""
    count = len(clock_of(run.scalars, roles))
    if count < KEEP_EVERY * FEWEST_KEPT or len(run.scalars.sessions) > 1:
        return None
    dense = {tag: one for tag, one in run.scalars.series.items() if len(one) == count}
    return _changed(run.scalars, {tag: one.take(slice(0, None, KEEP_EVERY)) for tag, one in dense.items()})


def _thousandfold(run: LabelledRun, roles: Roles) -> Scalars:
    return _map_losses(run.scalars, roles, lambda values: values * 1000)


def _shifted(run: LabelledRun, roles: Roles) -> Scalars | None:
    """Subtract 5 from losses of moderate span; of a loss of 1e-6 nothing would be left."""
    finite = [run.scalars.points(tag).value for tag in _losses(roles)]
    spans = [np.nanpercentile(np.abs(one[np.isfinite(one)]), (2, 98)) for one in finite if np.isfinite(one).any()]
    if not spans or any(high > 20 * low for low, high in spans):
        return None
    return _map_losses(run.scalars, roles, lambda values: values - 5)


def _flipped(run: LabelledRun, roles: Roles) -> Scalars | None:
    """Log the loss, turned around, as the reward of a run that has no loss."""
    if roles.loss is None or roles.loss.direction != "min" or roles.scores:
        return None
    if any(fault.kind not in ("divergence", "rising") for fault in run.faults):
        return None
    points = run.scalars.points(roles.loss.tag)
    if not np.isfinite(points.value).all():
        return None
    series = {REWARD: _with_values(points, -points.value)}
    if roles.learning_rate is not None:
        series[roles.learning_rate.tag] = run.scalars.points(roles.learning_rate.tag)
    return replace(run.scalars, series=series)


VARIATIONS = (
    Variation("one point of ten dropped", None, _drop_points),
    Variation("every tenth point logged", LASTING, _log_every_tenth),
    Variation("losses × 1000", (*OF_LEVELS, "non_finite", "restart", "lr_low", "slowdown"), _thousandfold),
    Variation("losses − 5", OF_LEVELS, _shifted),
    Variation("loss turned around, as a reward", ("divergence", "rising"), _flipped),
)


def _losses(roles: Roles) -> tuple[str, ...]:
    loss = (roles.loss.tag,) if roles.loss is not None and roles.loss.direction is not None else ()
    return (*loss, *(role.tag for role in roles.validation))


def _map_losses(scalars: Scalars, roles: Roles, change: Callable[[np.ndarray], np.ndarray]) -> Scalars:
    return _changed(
        scalars,
        {tag: _with_values(scalars.points(tag), change(scalars.points(tag).value)) for tag in _losses(roles)},
    )


def _with_values(points: Points, values: np.ndarray) -> Points:
    return Points(points.step, points.wall_time, values, points.session)


def _changed(scalars: Scalars, series: Mapping[str, Points]) -> Scalars:
    return replace(scalars, series={**scalars.series, **series})
