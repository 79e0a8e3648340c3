"""The learning rate outside the range in which anything is learned."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.health.episodes import OFF, Episode, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.track import Track
from monitor.schema import Severity
from monitor.text import format_learning_rate, format_percent, format_step, plain

LEAST = 10
DEAD_SHARE = 9.9e-4
"""Share of its peak below which a learning rate is dead; three decays by ten, exactly 1e-3, are not."""

DEAD_RUN = 0.05
DEAD_ERROR = 0.15

NEAR_END = 0.9
"""A learning rate that dies after this share of the planned steps has come to the end of its schedule."""

ROBUST_OPTIMIZER = re.compile(r"(^|[^a-z])(sgd|momentum|nesterov|lars|muon)([^a-z]|$)", re.IGNORECASE)
"""Optimizers that are at home above 1e-2, as tags such as ``lr-SGD`` name them."""


@dataclass(slots=True)
class Peak:
    """The largest learning rate so far, and since when it has been dead; every point is looked at once.

    Args:
        value: The largest so far.
        dead_since: Position of the first point of the stretch at the end that is dead; one past the end when none is.
        seen: Points looked at.
    """

    value: float = -math.inf
    dead_since: int = 0
    seen: int = 0

    def advance(self, track: Track, count: int) -> None:
        """Look at the points up to `count`."""
        new = track.value[self.seen : count]
        self.value = max(self.value, float(new.max(initial=-math.inf)))
        alive = np.flatnonzero(new > DEAD_SHARE * self.value)
        if len(alive):
            self.dead_since = self.seen + int(alive[-1]) + 1
        self.seen = count


def learning_rates(scene: Scene) -> Sequence[Track]:
    """Return the learning rate as the series of a rule; empty where none is logged."""
    return present(scene.learning_rate)


def usual_rates(scene: Scene) -> str:
    """Return the recommended range in words: the user's."""
    health = scene.settings.health
    return f"{format_learning_rate(health.lr_recommended_low)} to {format_learning_rate(health.lr_recommended_high)}"


def dead_severity(run: int, count: int) -> Severity | None:
    """Return how bad `run` points without learning are in a run of `count`; None while they are few."""
    if run < max(LEAST, DEAD_RUN * count):
        return None
    return "error" if run >= DEAD_ERROR * count - 1 and count > 100 else "warning"


def planned_end(scene: Scene) -> int | None:
    """Return the last step that is planned, on the axis of the series; None where no plan is known."""
    progress = scene.evidence.progress
    if progress.total_steps is not None:
        return progress.total_steps
    if progress.total_epochs is None or progress.first_epoch_step is None:
        return None
    return progress.first_epoch_step + progress.total_epochs - 1


# --- lr_low --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Low:
    peak: Peak = field(default_factory=Peak)

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        self.peak.advance(track, count)
        peak, now = self.peak.value, float(track.value[count - 1])
        facts = {"peak": peak, "points": float(count)}
        if now < 0:
            return Reading("on", "error", scene.place(track, count - 1), now, 0.0, facts)
        if peak <= 0:
            return Reading("on", "critical", scene.place(track, 0), now, 0.0, facts)
        if peak < scene.settings.health.lr_low:
            warming_up = now > track.value[count // 2]
            return OFF if warming_up else Reading("on", "warning", scene.place(track, 0), now, peak, facts)
        return _read_dead(scene, track, count, self.peak)


def _read_dead(scene: Scene, track: Track, count: int, peak: Peak) -> Reading:
    """Read a learning rate that has fallen to almost nothing while the run goes on."""
    run = count - peak.dead_since
    severity = dead_severity(run, count)
    if severity is None:
        return OFF
    onset, end = scene.place(track, peak.dead_since), planned_end(scene)
    if _is_the_end(onset.step, int(track.step[count - 1]), end):
        return OFF
    facts = {"peak": peak.value, "points": float(run)}
    return Reading("on", severity, onset, float(track.value[count - 1]), peak.value, facts)


def _is_the_end(onset: int | None, now: int, end: int | None) -> bool:
    """Tell whether a schedule that died at `onset` had come to the planned end, which is not passed yet."""
    return onset is not None and end is not None and onset >= NEAR_END * end and now <= end


def _low_text(episode: Episode, scene: Scene) -> Text:
    tag, where = plain(episode.tag or ""), scene.named(episode.onset.step)
    peak, now = episode.facts["peak"], episode.value
    if now is not None and now < 0:
        return Text(
            f'"{tag}" is negative: {format_learning_rate(now)} at {where}.', "Correct the schedule: it climbs the loss."
        )
    if peak <= 0:
        return Text(
            f'"{tag}" is 0 from the start.', "Nothing is learned: check how the schedule and the optimizer are set up."
        )
    if peak < scene.settings.health.lr_low:
        limit = format_learning_rate(scene.settings.health.lr_low)
        return Text(
            f'"{tag}" has never been above {format_learning_rate(peak)}; below {limit} hardly anything is learned.',
            f"Raise the learning rate 10 to 100 times; {usual_rates(scene)} is usual.",
        )
    share = format_percent(100 * (now or 0.0) / peak, 3)
    return Text(
        f'"{tag}" has been at most {share} of its peak {format_learning_rate(peak)} for '
        f"{format_step(int(episode.facts['points']))} points, since {where}.",
        "The run goes on but learns no more: stop it, or restart the schedule with a length that fits the run.",
    )


# --- lr_high -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _High:
    seen: int = 0
    since: int = 0
    """First point of the stretch above the limit."""

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        limit, now = scene.settings.health.lr_high, float(track.value[count - 1])
        below = np.flatnonzero(track.value[self.seen : count] <= limit)
        if len(below):
            self.since = self.seen + int(below[-1]) + 1
        self.seen = count
        if now <= limit:
            return OFF
        severity: Severity = "info" if ROBUST_OPTIMIZER.search(track.tag) else "notice"
        return Reading("on", severity, scene.place(track, self.since), now, limit)


def _high_text(episode: Episode, scene: Scene) -> Text:
    now, limit = format_learning_rate(episode.value), format_learning_rate(episode.reference)
    return Text(
        f'"{plain(episode.tag or "")}" is {now}, above {limit}, since {scene.named(episode.onset.step)}.',
        f"Normal for plain SGD; with Adam and its kin {usual_rates(scene)} is usual. If the loss misbehaves, try a "
        f"tenth.",
    )


def lr_coverage(scene: Scene) -> str | None:
    """Return why the learning rate cannot be judged; None when it can."""
    return covered(learning_rates(scene), LEAST, "The run logs no learning rate.")


RULES = (
    Rule(
        kind="lr_low",
        group="schedule",
        label="learning rate too low",
        coverage=lr_coverage,
        text=_low_text,
        replay=lambda: SeriesReplay("lr_low", learning_rates, LEAST, _Low().read),
        causes=("lr_schedule",),
    ),
    Rule(
        kind="lr_high",
        group="schedule",
        label="learning rate high",
        coverage=lr_coverage,
        text=_high_text,
        replay=lambda: SeriesReplay("lr_high", learning_rates, LEAST, _High().read),
    ),
)
