"""From evidence to a judgement: replays the rules, scores, and keeps its place when the points only grow."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.health.episodes import Change, Episode, number_repeats
from monitor.health.evidence import Evidence
from monitor.health.rules import RULES
from monitor.health.rules.rule import Replay, Rule
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
from monitor.health.track import Track, Tracks, last_tick, tick_counts
from monitor.health.verdict import loss_verdict
from monitor.schema import Checks, Finding, Floats, Health, NotChecked, Points, Verdict
from monitor.settings import Settings

SWITCHED_OFF = "Switched off in the settings."


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
        self._growth = _Growth()
        self._settings: Settings | None = None
        self._tracks = Tracks()
        self._past = _Past()

    def assess(self, evidence: Evidence, settings: Settings, now: float) -> Assessment:
        """Return the judgement of a run.

        Args:
            evidence: What is known of the run.
            settings: The user's thresholds, and the rules that are switched off.
            now: The moment, seconds UTC; a lasting silence is measured by it.
        """
        if not self._growth.continues(evidence) or settings != self._settings:
            self._past = _Past()
        self._settings = settings
        scene = Scene(evidence, settings, now, self._tracks)
        for replay in self._past.replays.values():
            scene.episodes.extend(one for one in replay.advance(scene) if one.kind not in settings.health.ignore)
        number_repeats(scene.episodes)
        return _Judgement(scene, self._past).assessment()


@dataclass(slots=True)
class _Past:
    """What has been judged of the points so far, for as long as they only grow."""

    replays: dict[str, Replay] = field(
        default_factory=lambda: {rule.kind: rule.replay() for rule in RULES if rule.replay is not None}
    )
    history: "_History" = field(default_factory=lambda: _History())
    word: tuple[Hashable, Verdict] = (None, "no_loss")


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
    past: _Past

    def assessment(self) -> Assessment:
        scene = self.scene
        clock = scene.clock
        points = len(clock.points) if clock is not None else 0
        findings = self._findings()
        checks, verdict = _checks(scene), self._verdict()
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
        episodes = [one for one in scene.episodes if RULE_OF[one.kind].of_series]
        return Assessment(health, self.past.history.points(clock, episodes, self._loss_tag))

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

    def _verdict(self) -> Verdict:
        """Return the loss in a word, looked for anew when its reasons may have changed.

        It is decided at the last tick of the loss, by the points up to it and by what is open now.
        """
        loss = self.scene.loss
        if loss is None or not len(loss):
            return loss_verdict(self.scene, self.scene.episodes)
        found = frozenset(one.kind for one in self.scene.episodes if one.now.open and one.tag == loss.tag)
        reasons = (last_tick(len(loss)), bool(loss.finite[-1]), found)
        if self.past.word[0] != reasons:
            self.past.word = (reasons, loss_verdict(self.scene, self.scene.episodes))
        return self.past.word[1]


class _History:
    """The score over time, continued while the past stays what it was."""

    def __init__(self) -> None:
        self._clock_tag: str | None = None
        self._end = -np.inf
        self._past: list[_PastEpisode] = []
        self._points: tuple[HealthPoint, ...] = ()

    def points(self, clock: Track, episodes: Sequence[Episode], loss_tag: str | None) -> tuple[HealthPoint, ...]:
        """Return the score at every tick of the clock series, and wherever a finding changed in between.

        Args:
            clock: The series whose points count as the length of the run, at least five of them.
            episodes: All findings in the series.
            loss_tag: The training loss.
        """
        if self._clock_tag != clock.tag or self._past != _until(episodes, self._end):
            self._end, self._points = -np.inf, ()
        points = self._points + tuple(_new_points(clock, episodes, loss_tag, self._end))
        self._clock_tag, self._end = clock.tag, float(clock.arrival[-1])
        self._points = tuple(point for point in points if point.wall_time <= self._end)
        self._past = _until(episodes, self._end)
        return points


def _new_points(clock: Track, episodes: Sequence[Episode], loss_tag: str | None, after: float) -> Iterator[HealthPoint]:
    """Yield the score at every moment later than `after`."""
    points_by = _clock(clock)
    for time in _times(clock, episodes, after):
        score = score_of(deductions(episodes, time, points_by, loss_tag))
        yield HealthPoint(int(clock.points.step[points_by(time) - 1]), time, score)


_PastEpisode = tuple[str, float, tuple[Change, ...]]
"""Identity, time of the onset, and changes of a finding."""


def _until(episodes: Sequence[Episode], end: float) -> list[_PastEpisode]:
    """Return the findings as they were known at a moment."""
    changes = ((one, tuple(change for change in one.changes if change.time <= end)) for one in episodes)
    return [(one.id, one.onset.time, known) for one, known in changes if known]


def _times(clock: Track, episodes: Sequence[Episode], after: float) -> list[float]:
    """Return when the score is looked at: at ticks of the clock series and at changes, later than `after`."""
    known = _clock(clock)(after)
    ticks = clock.arrival[np.array(tick_counts(len(clock.points), max(known, LEAST_POINTS - 1)), np.intp) - 1]
    since = float(clock.arrival[LEAST_POINTS - 1])
    changes = [change.time for one in episodes for change in one.changes if after < change.time >= since]
    times: list[float] = np.union1d(ticks, np.array(changes, np.float64)).tolist()
    return times


def _clock(track: Track) -> Clock:
    return lambda time: int(np.searchsorted(track.arrival, time, side="right"))


def _checks(scene: Scene) -> Checks:
    reasons = [(rule.kind, _why_not(rule, scene)) for rule in RULES]
    missing = tuple(NotChecked(kind, why) for kind, why in reasons if why is not None)
    return Checks(ran=len(RULES) - len(missing), of=len(RULES), not_checked=missing)


def _why_not(rule: Rule, scene: Scene) -> str | None:
    """Return why a rule does not judge a scene; None when it does."""
    return SWITCHED_OFF if rule.kind in scene.settings.health.ignore else rule.coverage(scene)


# --- does the evidence only grow? ----------------------------------------------------------------------------------


class _Growth:
    """Tells whether evidence is the evidence before with later points: then what was judged stays judged.

    A point that arrived late, with a time before what was already judged, would have been known to a rule that had to
    do without it; so it starts the judgement anew.
    """

    def __init__(self) -> None:
        self._last: Evidence | None = None
        self._horizon = -np.inf

    def continues(self, evidence: Evidence) -> bool:
        """Tell so, and remember this evidence for the next time."""
        before, self._last = self._last, evidence
        if before is None or before.roles != evidence.roles or _plan(before) != _plan(evidence):
            return self._begin(evidence)
        tags = _judged_tags(evidence)
        pairs = list(zip(_series(before, tags), _series(evidence, tags), strict=True))
        if not all(new.begins_with(old) for old, new in pairs):
            return self._begin(evidence)
        arrived = [new.wall_time[len(old) :] for old, new in pairs]
        if not all(bool((times > self._horizon).all()) for times in arrived):
            return self._begin(evidence)
        self._horizon = max([self._horizon, *map(_latest, arrived)])
        return True

    def _begin(self, evidence: Evidence) -> bool:
        series = _series(evidence, _judged_tags(evidence))
        self._horizon = max([-np.inf, *(_latest(points.wall_time) for points in series)])
        return False


def _latest(wall_time: Floats) -> float:
    """Return the latest time, NaN left out; −∞ without one."""
    return float(np.fmax.reduce(wall_time, initial=-np.inf))


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
