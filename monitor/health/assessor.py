"""From evidence to a judgement: replays the rules, scores, and keeps its place when the points only grow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.health.episodes import Episode, number_repeats
from monitor.health.evidence import Evidence
from monitor.health.rules import RULES
from monitor.health.rules.rule import Replay
from monitor.health.scene import Scene
from monitor.health.score import (
    LEAST_POINTS,
    RULE_OF,
    SETTLED_POINTS,
    Clock,
    band_of,
    deductions,
    explanations,
    score_of,
)
from monitor.health.track import Track, tick_counts
from monitor.health.verdict import loss_verdict
from monitor.schema import Checks, Finding, Health, NotChecked, Points
from monitor.settings import Settings


@dataclass(frozen=True, slots=True)
class HealthPoint:
    """The score of a run at one moment of its past, judged from its series alone.

    What only somebody at the machine sees (its load, a silence that lasts) is left out, so that watching live and
    reading the files later give the same history.
    """

    step: int
    wall_time: float
    score: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """The judgement of a run and the way to it.

    Args:
        health: Score, findings, verdict.
        history: The score over time, oldest first; empty below five points.
    """

    health: Health = field(default_factory=Health)
    history: tuple[HealthPoint, ...] = ()


class Assessor:
    """Judges one run again and again; costs what is new since the last time.

    The result never depends on earlier calls: when anything but the end of the series has changed (a restart has
    replaced points, a late file has filled a gap, other settings), it begins anew. Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._replays: dict[str, Replay] = {}
        self._last: tuple[Evidence, Settings] | None = None

    def assess(self, evidence: Evidence, settings: Settings, now: float) -> Assessment:
        """Return the judgement of a run.

        Args:
            evidence: What is known of the run.
            settings: The user's bands.
            now: The moment, seconds UTC; a lasting silence is measured by it.
        """
        if self._last is None or settings != self._last[1] or not _continues(self._last[0], evidence):
            self._replays = {rule.kind: rule.replay() for rule in RULES if rule.replay is not None}
        self._last = (evidence, settings)
        scene = Scene(evidence, settings, now)
        for replay in self._replays.values():
            scene.episodes.extend(replay.advance(scene))
        number_repeats(scene.episodes)
        return _Judgement(scene).assessment()


def assess(evidence: Evidence, settings: Settings, now: float) -> Health:
    """Return the judgement of a run: a pure function of its points, the settings and the moment."""
    return Assessor().assess(evidence, settings, now).health


def assess_history(evidence: Evidence, settings: Settings) -> tuple[HealthPoint, ...]:
    """Return the score over time, each point judged from the points before it alone."""
    return Assessor().assess(evidence, settings, 0.0).history


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Turns the replayed episodes of a scene into what people read."""

    scene: Scene

    def assessment(self) -> Assessment:
        scene = self.scene
        clock = scene.clock
        points = len(clock.points) if clock is not None else 0
        findings = self._findings()
        checks, verdict = _checks(scene), loss_verdict(scene, scene.episodes)
        if clock is None or points < LEAST_POINTS:
            return Assessment(Health(checks=checks, verdict=verdict, findings=findings))
        taken = deductions(scene.episodes, self._latest, _clock(clock), self._loss_tag)
        score = score_of(taken)
        health = Health(
            score=score,
            band=band_of(score, scene.settings.health),
            provisional=points < SETTLED_POINTS,
            checks=checks,
            deductions=taken,
            verdict=verdict,
            findings=findings,
        )
        return Assessment(health, tuple(self._history(clock)))

    @property
    def _loss_tag(self) -> str | None:
        return self.scene.loss.tag if self.scene.loss is not None else None

    @property
    def _latest(self) -> float:
        """Time of the newest judged point or reading; what was found later than any point is open now."""
        arrivals = [float(track.arrival[-1]) for track in self.scene.tracks]
        return max(arrivals + [episode.now.time for episode in self.scene.episodes])

    def _findings(self) -> tuple[Finding, ...]:
        episodes = self.scene.episodes
        explained = explanations(episodes, self._latest, self._loss_tag) if episodes else {}
        newest_first = sorted(episodes, key=lambda one: (-one.detected.time, one.id))
        return tuple(self._finding(episode, explained) for episode in newest_first)

    def _finding(self, episode: Episode, explained: Mapping[str, str]) -> Finding:
        text = RULE_OF[episode.kind].text(episode, self.scene)
        return Finding(
            id=episode.id,
            kind=episode.kind,
            severity=episode.now.severity,
            tag=episode.tag,
            session=episode.onset.session,
            onset_step=episode.onset.step,
            detected_step=episode.detected.step,
            open=episode.now.open,
            recovered_step=episode.recovered_step,
            value=episode.value,
            reference=episode.reference,
            evidence=text.evidence,
            advice=text.advice,
            explained_by=explained.get(episode.id),
        )

    def _history(self, clock: Track) -> Iterator[HealthPoint]:
        """Yield the score at every tick of the clock series, and wherever a finding changed in between."""
        episodes = [one for one in self.scene.episodes if RULE_OF[one.kind].of_series]
        changes = [change.time for episode in episodes for change in episode.changes]
        counts = [count for count in tick_counts(len(clock.points)) if count >= LEAST_POINTS]
        times = np.union1d(clock.arrival[np.array(counts) - 1], np.array(changes, dtype=np.float64))
        points_by = _clock(clock)
        for time in times[times >= clock.arrival[LEAST_POINTS - 1]]:
            taken = deductions(episodes, float(time), points_by, self._loss_tag)
            yield HealthPoint(int(clock.points.step[points_by(float(time)) - 1]), float(time), score_of(taken))


def _clock(track: Track) -> Clock:
    return lambda time: int(np.searchsorted(track.arrival, time, side="right"))


def _checks(scene: Scene) -> Checks:
    reasons = [(rule.kind, rule.coverage(scene)) for rule in RULES]
    missing = tuple(NotChecked(kind, why) for kind, why in reasons if why is not None)
    return Checks(ran=len(RULES) - len(missing), of=len(RULES), not_checked=missing)


# --- does the evidence only grow? ----------------------------------------------------------------------------------


def _continues(before: Evidence, after: Evidence) -> bool:
    """Tell whether `after` is `before` with later points: then what was judged stays judged.

    A point that arrived late, with a time before what was already judged, would have been known to a rule that had to
    do without it; so it starts the replay anew.
    """
    if before.roles != after.roles or _plan(before) != _plan(after):
        return False
    tags = _judged_tags(before)
    times = [float(np.nanmax(points.wall_time)) for points in _series(before, tags) if len(points)]
    horizon = max(times, default=-np.inf)
    pairs = zip(_series(before, tags), _series(after, tags), strict=True)
    return all(_extends(old, new, horizon) for old, new in pairs)


def _plan(evidence: Evidence) -> tuple[int | None, ...]:
    progress = evidence.progress
    return progress.first_epoch_step, progress.total_steps, progress.total_epochs


def _judged_tags(evidence: Evidence) -> tuple[str, ...]:
    roles = evidence.roles
    single = (roles.loss, roles.learning_rate, roles.gradient_norm, roles.loss_scale, roles.duration)
    chosen = (*(role for role in single if role is not None), *roles.validation, *roles.scores)
    return tuple(dict.fromkeys(role.tag for role in chosen))


def _series(evidence: Evidence, tags: Sequence[str]) -> list[Points]:
    return [evidence.series.get(tag, Points.empty()) for tag in tags]


def _extends(old: Points, new: Points, horizon: float) -> bool:
    count = len(old)
    if len(new) < count or not bool((new.wall_time[count:] > horizon).all()):
        return False
    same_place = np.array_equal(old.step, new.step[:count]) and np.array_equal(old.session, new.session[:count])
    same_time = np.array_equal(old.wall_time, new.wall_time[:count], equal_nan=True)
    values = np.array_equal(old.value, new.value[:count], equal_nan=True)
    return bool(same_place and same_time and values)
