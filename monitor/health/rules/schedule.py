"""The schedule of the learning rate: jumps, warm restarts, an end that comes too early, a state lost in a restart.

A jump explains what it does to the loss, and what is explained deducts nothing; so its own severity grows with what
the loss has lost since.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from monitor.health.episodes import OFF, Episode, Reading
from monitor.health.rules.learning_rate import LEAST, Peak, dead_severity, learning_rates, lr_coverage, planned_end
from monitor.health.rules.rule import Rule, SeriesReplay, Text
from monitor.health.rules.several import Several
from monitor.health.scene import Scene
from monitor.health.stats import median
from monitor.health.track import Track, last_tick
from monitor.schema import SEVERITIES, Severity
from monitor.text import format_learning_rate, format_number, format_percent, format_step, plain

GRAVE_JUMP = 10.0
NEW_PEAK = 1.1
"""A jump that stays within this factor of an earlier peak returns to it."""

TROUGH = 0.1
"""A return from below this share of the earlier peak is a warm restart."""

USUAL_GROWTH = 2.0
"""A learning rate that had already grown by this factor one point before sweeps geometrically: no jump."""

WARM_UP_SHARE = 0.05
"""Within this share of the planned steps a jump may be the end of a warm-up at a constant rate."""

OTHER_RATE = 1.2
"""After a restart the learning rate continues within this factor."""

STEEPEST = 3.0
"""A schedule may move on by this many of its latest, largest steps while a restart hides its points."""

STEEP_POINTS = 6
FIRST_POINTS = 3
LONGEST_GAP = 100
"""Usual distances between points beyond which nothing is known of where the schedule should be."""

FLOOR_SHARE = 0.01
"""A smooth decay that comes to rest below this share of its peak has ended."""

JUDGED_FROM = 12
HARM_NOISE = 8.0
GRAVE_LOSS = 0.4
TOTAL_LOSS = 1.2
"""Shares of the progress of the loss: an error from the first, critical from the second, as for a divergence."""


# --- jumps and warm restarts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Leap:
    """A point at which the learning rate is many times that of the point before.

    Args:
        position: The point.
        before: The rate before.
        to: The rate there.
        peak: The largest rate before.
    """

    position: int
    before: float
    to: float
    peak: float

    @property
    def is_return(self) -> bool:
        return self.to <= NEW_PEAK * self.peak


def _leaps(scene: Scene, track: Track, peak: Peak, count: int) -> Iterator[_Leap]:
    """Yield the leaps among the points that `peak` has not seen; those of a restart of the run are no leaps."""
    rates = track.value[:count]
    first = max(peak.seen, LEAST)
    now, before, earlier = rates[first:], rates[first - 1 : -1], rates[first - 2 : -2]
    factor = scene.settings.health.lr_jump_factor
    sudden = (now >= factor * before) & (now > 0) & (before <= USUAL_GROWTH * np.abs(earlier))
    for place in np.flatnonzero(sudden & (track.session[first:count] == track.session[first - 1 : count - 1])):
        position = first + int(place)
        known = max(peak.value, float(rates[peak.seen : position].max(initial=-np.inf)))
        yield _Leap(position, float(rates[position - 1]), float(rates[position]), known)


@dataclass(slots=True)
class _Jumps:
    """Follows the last jump above every earlier peak for as long as the learning rate stays there."""

    peak: Peak = field(default_factory=Peak)
    jump: _Leap | None = None

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        for leap in _leaps(scene, track, self.peak, count):
            if self.jump is None and _is_jump(scene, track, leap):
                self.jump = leap
        self.peak.advance(track, count)
        jump, now = self.jump, float(track.value[count - 1])
        if jump is None or now <= NEW_PEAK * jump.peak:
            self.jump = None
            return OFF
        facts = {"peak": jump.peak, "factor": jump.to / jump.peak}
        own: Severity = "error" if jump.to >= GRAVE_JUMP * jump.peak else "warning"
        severity = _graver(own, _harm(scene, float(track.time[jump.position]), float(track.time[count - 1])))
        return Reading("on", severity, scene.place(track, jump.position), jump.to, jump.before, facts)


def _is_jump(scene: Scene, track: Track, leap: _Leap) -> bool:
    """Tell whether a leap goes above every earlier rate that anything was learned with, after the warm-up."""
    end = planned_end(scene)
    warming_up = end is not None and int(track.step[leap.position]) < WARM_UP_SHARE * end
    return not leap.is_return and leap.peak >= scene.settings.health.lr_low and not warming_up


def _harm(scene: Scene, since: float, time: float) -> Severity:
    """Return how bad the loss has become since a change of the learning rate: as bad as a divergence would be."""
    track = scene.judged
    known = track.known_at(time) if track is not None else 0
    if track is None or known < JUDGED_FROM:
        return "info"
    course, before = track.course(last_tick(known)), track.known_at(since)
    was_lost = before >= JUDGED_FROM and track.course(last_tick(before)).lost >= GRAVE_LOSS
    if was_lost or course.rise <= HARM_NOISE * course.noise or course.lost < GRAVE_LOSS:
        return "info"
    return "critical" if course.lost >= TOTAL_LOSS else "error"


def _graver(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=SEVERITIES.index)


@dataclass(slots=True)
class _Restarts:
    """Sees returns to an earlier peak, as of cosine schedules with warm restarts, the first one included."""

    peak: Peak = field(default_factory=Peak)

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        leaps = [leap for leap in _leaps(scene, track, self.peak, count) if leap.is_return and _is_from_trough(leap)]
        self.peak.advance(track, count)
        if not leaps:
            return OFF
        last = leaps[-1]
        return Reading("on", "info", scene.place(track, last.position), last.to, last.before, {"return": last.peak})


def _is_from_trough(leap: _Leap) -> bool:
    return leap.before <= TROUGH * leap.peak


# --- after a restart of the run ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Resume:
    """A restart of the run at point `position`, with the learning rate before and how far it may have moved on."""

    position: int
    before: float
    leeway: float


@dataclass(slots=True)
class _Resumes:
    """Compares the learning rate after the last restart of the run with that before."""

    seen: int = 0
    resume: _Resume | None = None

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        first = max(self.seen, LEAST)
        for place in np.flatnonzero(track.session[first:count] != track.session[first - 1 : count - 1]):
            self.resume = _resume(track, first + int(place))
        self.seen = count
        resume = self.resume
        if resume is None or count < resume.position + FIRST_POINTS:
            return OFF
        then = median(track.value[resume.position : resume.position + FIRST_POINTS])
        return _read_resume(scene, track, count, resume, then)


def _read_resume(scene: Scene, track: Track, count: int, resume: _Resume, then: float) -> Reading:
    """Read whether a rate that went on elsewhere, at `then`, is above where it was, or still below, as may be meant."""
    now = float(track.value[count - 1])
    high, low = OTHER_RATE * resume.before + resume.leeway, (resume.before - resume.leeway) / OTHER_RATE
    above = now > high and not low <= then <= high
    if not above and not (now < low and then < low):
        return OFF
    since, time = float(track.time[resume.position]), float(track.time[count - 1])
    severity = _graver("warning", _harm(scene, since, time)) if above else "notice"
    return Reading("on", severity, scene.place(track, resume.position), then, resume.before, {"above": float(above)})


def _resume(track: Track, position: int) -> _Resume | None:
    """Return what is known of a restart; None where it skips too many points to tell."""
    rates = track.value[max(position - STEEP_POINTS, 0) : position]
    strides = np.diff(track.step[max(position - STEEP_POINTS, 0) : position])
    gap = int(track.step[position] - track.step[position - 1]) / max(float(np.median(strides)), 1.0)
    if gap > LONGEST_GAP:
        return None
    leeway = STEEPEST * float(np.abs(np.diff(rates)).max()) * max(gap, 1.0)
    return _Resume(position, float(rates[-1]), leeway)


# --- an early end --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _End:
    """Sees a schedule that has ended while many of the planned steps are left."""

    peak: Peak = field(default_factory=Peak)

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        self.peak.advance(track, count)
        end = planned_end(scene)
        if end is None or self.peak.value <= 0 or int(track.step[count - 1]) > end:
            return OFF
        run = max(count - self.peak.dead_since, _resting_points(track, count, self.peak.value))
        severity = dead_severity(run, count)
        if severity is None:
            return OFF
        onset = scene.place(track, count - run)
        if onset.step is None or onset.step >= scene.settings.health.lr_early_end_percent / 100 * end:
            return OFF
        facts = {"planned": float(end), "share": onset.step / end}
        return Reading("on", severity, onset, float(track.value[count - 1]), self.peak.value, facts)


def _resting_points(track: Track, count: int, peak: float) -> int:
    """Return for how many points a rate that fell smoothly has rested near nothing; 0 for one that falls in steps."""
    run = min(int(track.repeats[count - 1]), count)
    first = count - run
    descent = np.diff(track.value[max(first - STEEP_POINTS, 0) : first + 1])
    smooth = len(descent) == STEEP_POINTS and bool((descent < 0).all())
    return run if smooth and 0 <= track.value[count - 1] <= FLOOR_SHARE * peak else 0


# --- texts ---------------------------------------------------------------------------------------------------------


def _text(episode: Episode, scene: Scene) -> Text:
    if "planned" in episode.facts:
        return _end_text(episode, scene)
    if "above" in episode.facts:
        return _resume_text(episode, scene)
    return _return_text(episode, scene) if "return" in episode.facts else _jump_text(episode, scene)


def _jump_text(episode: Episode, scene: Scene) -> Text:
    where, facts = scene.named(episode.onset.step), episode.facts
    before, to = format_learning_rate(episode.reference), format_learning_rate(episode.value)
    return Text(
        f'"{plain(episode.tag or "")}" jumped from {before} to {to} at {where}, {format_number(facts["factor"], 3)} '
        f"times the {format_learning_rate(facts['peak'])} that was its peak until then.",
        f"If it was not meant, correct the schedule and go back to the checkpoint before {where}; if it was, raise the "
        f"rate over some hundred steps.",
    )


def _return_text(episode: Episode, scene: Scene) -> Text:
    before, to = format_learning_rate(episode.reference), format_learning_rate(episode.value)
    return Text(
        f'"{plain(episode.tag or "")}" returned from {before} to {to} at {scene.named(episode.onset.step)}, which it '
        f"had reached before: a warm restart.",
        "Nothing to do; the loss usually rises for a while and then falls below its best level.",
    )


def _resume_text(episode: Episode, scene: Scene) -> Text:
    where = scene.named(episode.onset.step)
    before, to = format_learning_rate(episode.reference), format_learning_rate(episode.value)
    evidence = f'"{plain(episode.tag or "")}" began with {to} after the restart at {where}; before, it was {before}.'
    if not episode.facts["above"]:
        return Text(evidence, "Nothing to do if you lowered it; else restore the state of the scheduler as well.")
    return Text(
        evidence,
        f"Restore the state of the scheduler together with the model: start again from the checkpoint at {where} so "
        f"that the rate continues near {before}.",
    )


def _end_text(episode: Episode, scene: Scene) -> Text:
    facts = episode.facts
    now, peak = format_learning_rate(episode.value), format_learning_rate(episode.reference)
    return Text(
        f'"{plain(episode.tag or "")}" came to its end at {scene.named(episode.onset.step)}, after '
        f"{format_percent(100 * facts['share'])} of the planned {format_step(int(facts['planned']))}; it is {now} now "
        f"and was {peak} at its peak.",
        "The rest of the run learns almost nothing: stop it, or give the schedule the length of the run and start "
        "again from a checkpoint before its end.",
    )


RULES = (
    Rule(
        kind="lr_schedule",
        group="schedule",
        label="learning rate schedule",
        coverage=lr_coverage,
        text=_text,
        replay=lambda: Several(
            (
                SeriesReplay("lr_schedule", learning_rates, LEAST, _Jumps().read),
                SeriesReplay("lr_schedule", learning_rates, LEAST, _Restarts().read, confirm=1),
                SeriesReplay("lr_schedule", learning_rates, LEAST, _Resumes().read),
                SeriesReplay("lr_schedule", learning_rates, LEAST, _End().read),
            )
        ),
    ),
)
