"""The score: 100 minus listed deductions, each of which names its findings.

``score = clamp(round(100 − Σ 0.6^i · D_(i)), 0, 100)`` over the groups, largest first. A group deducts its largest
finding and a quarter of the others. One notice keeps 90 and above, warnings alone never fall below 62, one error lands
in 50–69, any critical finding below 50.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from monitor.health.episodes import Change, Episode
from monitor.health.labels import label_of
from monitor.health.rules import RULES
from monitor.health.rules.rule import Rule
from monitor.schema import SEVERITIES, Band, Deduction, Finding, Health, Severity
from monitor.settings import HealthSettings
from monitor.text import MINUS, format_moment

BASE_POINTS: Mapping[Severity, float] = {"info": 0, "notice": 4, "warning": 15, "error": 38, "critical": 70}
GROUP_WEIGHT = 0.6
OTHERS_WEIGHT = 0.25
RECOVERED_WEIGHT = 0.5
MOST_EFFICIENCY = 25.0
"""A slow run is not a bad one: speed and GPU use deduct at most this."""

FADING_POINTS = 50
FADING_SHARE = 0.1
LEAST_POINTS = 5
SETTLED_POINTS = 20

ABSORBED_BY: Mapping[str, tuple[str, ...]] = {
    "lr_high": ("divergence", "rising", "level_shift", "spike", "oscillation")
}
"""Findings without points of their own while one of these is open, whose advice names them."""

RUN_WIDE = ("lr_schedule",)
"""Causes that act on every series of the run, whatever series they are found in; never on what is graver than they are,
so that explaining a finding does not make the score better."""

RULE_OF: Mapping[str, Rule] = {rule.kind: rule for rule in RULES}


Clock = Callable[[float], int]
"""Time → points that the clock series of the run had by then."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """An episode as it stood at a moment."""

    episode: Episode
    state: Change

    @property
    def rule(self) -> Rule:
        return RULE_OF[self.episode.kind]

    def overlaps(self, other: "_Standing") -> bool:
        """Tell whether both lasted at the same time."""
        return self.episode.onset.time <= other.end and other.episode.onset.time <= self.end

    @property
    def end(self) -> float:
        return math.inf if self.state.open else self.state.time


def explanations(episodes: Sequence[Episode], time: float, loss_tag: str | None) -> dict[str, str]:
    """Return id → id of the finding that causes it, among those known at a moment.

    A cause lies in the same series or in the loss, overlaps in time, and has not ended before its effect has.
    """
    return _explained(_standing(episodes, time), loss_tag)


def deductions(episodes: Sequence[Episode], time: float, clock: Clock, loss_tag: str | None) -> tuple[Deduction, ...]:
    """Return what is taken off at a moment, largest first.

    Args:
        episodes: All findings.
        time: The moment.
        clock: Gives the length of the run, by which recovered findings fade.
        loss_tag: The training loss: what is found there may explain what is found elsewhere.
    """
    standing = _standing(episodes, time)
    explained = _explained(standing, loss_tag)
    absorbed = {kind for kind, kinds in ABSORBED_BY.items() if any(_is_open(one, kinds) for one in standing)}
    groups: dict[str, list[tuple[float, str]]] = {}
    for one in standing:
        points = _points(one, clock(time), clock)
        if points > 0 and one.episode.id not in explained and one.episode.kind not in absorbed:
            groups.setdefault(one.rule.group, []).append((points, one.episode.id))
    ranked = sorted(groups.items(), key=lambda group: (-_group_points(*group), group[0]))
    return tuple(
        Deduction(name, GROUP_WEIGHT**rank * _group_points(name, members), tuple(one for _, one in _ordered(members)))
        for rank, (name, members) in enumerate(ranked)
    )


def score_of(taken: Sequence[Deduction]) -> int:
    """Return 100 minus the deductions, rounded, from 0 to 100."""
    return min(max(round(100 - sum(deduction.points for deduction in taken)), 0), 100)


def band_of(score: int, settings: HealthSettings) -> Band:
    """Return the band of a score, with the user's limits."""
    if score >= settings.band_excellent:
        return "excellent"
    if score >= settings.band_normal:
        return "normal"
    return "problems" if score >= settings.band_problems else "abnormal"


def score_sum(health: Health, first_epoch_step: int | None = None) -> str:
    """Return the score as a sum a person can check: ``100 − 38 (loss rising since step 6,200) = 62``.

    Args:
        health: The judgement.
        first_epoch_step: Step of the first epoch, to name steps as epochs; None to name steps.

    Returns:
        An empty text while there is no score.
    """
    if health.score is None:
        return ""
    findings = {finding.id: finding for finding in health.findings}
    sums = ["100"]
    for deduction in health.deductions:
        reasons = _reasons([findings[one] for one in deduction.findings], first_epoch_step)
        sums.append(f"{MINUS} {_shown(deduction.points)} ({reasons})")
    return f"{' '.join(sums)} = {health.score}"


def _shown(points: float) -> str:
    return f"{points:.1f}".removesuffix(".0")


def _reasons(findings: Sequence[Finding], first_epoch_step: int | None) -> str:
    first = findings[0]
    since = "" if first.onset_step is None else f" since {format_moment(first.onset_step, first_epoch_step)}"
    if not first.open:
        since = since.replace(" since ", " at ", 1) + ", recovered"
    more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"{label_of(first)}{since}{more}"


def _standing(episodes: Sequence[Episode], time: float) -> list[_Standing]:
    states = ((episode, episode.at(time)) for episode in episodes)
    return [_Standing(episode, state) for episode, state in states if state is not None]


def _is_open(one: _Standing, kinds: Sequence[str]) -> bool:
    return one.state.open and one.episode.kind in kinds


def _explained(standing: Sequence[_Standing], loss_tag: str | None) -> dict[str, str]:
    by_kind: dict[str, list[_Standing]] = {}
    for one in standing:
        by_kind.setdefault(one.episode.kind, []).append(one)
    causes = ((effect, next(_causes(effect, by_kind, loss_tag), None)) for effect in standing)
    return {effect.episode.id: cause.episode.id for effect, cause in causes if cause is not None}


def _causes(effect: _Standing, by_kind: Mapping[str, Sequence[_Standing]], loss_tag: str | None) -> Iterator[_Standing]:
    tags = {effect.episode.tag, effect.episode.tag if loss_tag is None else loss_tag}
    for kind in effect.rule.causes:
        for cause in by_kind.get(kind, ()):
            lasts = cause.state.open or not effect.state.open
            related = cause.episode.tag in tags or (kind in RUN_WIDE and _is_as_grave(cause, effect))
            if cause is not effect and related and lasts and cause.overlaps(effect):
                yield cause


def _is_as_grave(cause: _Standing, effect: _Standing) -> bool:
    return SEVERITIES.index(cause.state.severity) >= SEVERITIES.index(effect.state.severity)


def _points(one: _Standing, now: int, clock: Clock) -> float:
    """Return the points of one finding: its severity's while open, then half of them, fading to nothing."""
    base = BASE_POINTS[one.state.severity]
    if one.state.open or not base:
        return base
    since = now - clock(one.state.time)
    return RECOVERED_WEIGHT * base * max(1 - since / max(FADING_POINTS, FADING_SHARE * now), 0.0)


def _group_points(name: str, members: Sequence[tuple[float, str]]) -> float:
    points = [value for value, _ in members]
    taken = max(points) + OTHERS_WEIGHT * (sum(points) - max(points))
    return min(taken, MOST_EFFICIENCY) if name == "efficiency" else taken


def _ordered(members: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    return sorted(members, key=lambda member: (-member[0], member[1]))
