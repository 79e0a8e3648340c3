"""What the health module says of a run: at once from all that was logged, and live, look by look.

A look takes the points that had arrived, chooses roles, measures progress and judges, as a monitor does that watches
the run. Looks are taken at every tick of the clock series, at every evaluation, at every value that is no number, and
just before the event that ends one of the longest silences.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from monitor.analysis.progress import progress_of, state_of
from monitor.analysis.roles import choose_roles
from monitor.analysis.series import visible
from monitor.health import Assessment, Assessor, Evidence
from monitor.health.track import tick_counts
from monitor.schema import SEVERITIES, Checkpoint, Checkpoints, Finding, Points, Roles, Scalars
from monitor.settings import Settings
from tests.scorecard.runs import LabelledRun

SETTINGS = Settings()
ALARM = SEVERITIES.index("warning")
MOST_SPARSE = 100
"""A series with at most this many points is looked at with every one of them."""

LONGEST_SILENCES = 3
SAVES = 20


@dataclass(frozen=True)
class Look:
    """What somebody saw at one moment: the judgement, and how much was judged."""

    time: float
    assessment: Assessment

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of the moment, recovered ones included."""
        return self.assessment.health.findings


@dataclass(frozen=True)
class Replay:
    """A run as it was seen live, and as a reader of the files sees it afterwards."""

    run: LabelledRun
    looks: tuple[Look, ...]
    at_once: Look
    roles: Roles

    @property
    def total_steps(self) -> int:
        """Steps from the first to the last point of the clock series."""
        step = clock_of(self.run.scalars, self.roles).step
        return int(step.max() - step.min()) if len(step) else 0


def is_alarm(finding: Finding) -> bool:
    """Tell whether a finding disturbs somebody: a warning or worse."""
    return SEVERITIES.index(finding.severity) >= ALARM


def clock_of(scalars: Scalars, roles: Roles) -> Points:
    """Return the series whose points count as the length of a run: its loss, else its longest series."""
    if roles.loss is not None:
        return scalars.points(roles.loss.tag)
    return max(scalars.series.values(), key=len, default=Points.empty())


def judge_at_once(run: LabelledRun) -> Look:
    """Return what a reader of the whole files sees, `silence_seconds` after the last event."""
    return _Watcher(run).look(run.scalars, _end(run))


def replay_live(run: LabelledRun) -> Replay:
    """Return every look at a run while it grew, and the look at the whole afterwards."""
    roles = choose_roles(run.scalars.series)
    watcher = _Watcher(run)
    looks = [watcher.look(_until(run.scalars, time), time) for time in _moments(run.scalars, roles)]
    looks.append(watcher.look(run.scalars, _end(run)))
    return Replay(run, tuple(looks), judge_at_once(run), roles)


def replay_at_once(run: LabelledRun) -> Replay:
    """Return only the look at the whole: a fraction of the work, and the same findings, recovered ones included."""
    return Replay(run, (), judge_at_once(run), choose_roles(run.scalars.series))


class _Watcher:
    """Watches one run with the memory that a monitor has of it: one assessor per choice of roles."""

    def __init__(self, run: LabelledRun) -> None:
        self._run = run
        self._saved = _saves(run.scalars)
        self._assessors: dict[Roles, Assessor] = {}

    def look(self, scalars: Scalars, now: float) -> Look:
        roles = choose_roles(scalars.series)
        progress = progress_of(scalars, roles, self._run.configuration, SETTINGS, now)
        evidence = Evidence(
            roles=roles,
            series={tag: visible(points) for tag, points in scalars.series.items()},
            state=state_of(scalars, progress, SETTINGS, now),
            sessions=scalars.sessions,
            checkpoints=_saved_by(self._saved, now),
            progress=progress,
        )
        assessor = self._assessors.setdefault(roles, Assessor())
        return Look(now, assessor.assess(evidence, SETTINGS, now))


def _saves(scalars: Scalars) -> tuple[Checkpoint, ...]:
    """Return the checkpoints of a run, oldest first: it saves itself now and then, as trainings do."""
    clock = max(scalars.series.values(), key=len)
    rows = np.unique(np.arange(1, SAVES + 1) * len(clock) // SAVES - 1).clip(0)
    moments = [(int(clock.step[row]), float(clock.wall_time[row])) for row in rows]
    return tuple(Checkpoint(f"step_{step}.pt", "step", None, step, 10_000_000, time, True) for step, time in moments)


def _saved_by(saves: tuple[Checkpoint, ...], time: float) -> Checkpoints:
    saved = tuple(one for one in reversed(saves) if one.modified <= time)
    return Checkpoints(newest=saved[0] if saved else None, saved=saved)


def _end(run: LabelledRun) -> float:
    return (run.scalars.last_event or 0.0) + run.silence_seconds


def _until(scalars: Scalars, time: float) -> Scalars:
    """Return what had been logged at `time`; points of a tag arrive in the order of their times."""
    counts = {tag: int(np.searchsorted(one.wall_time, time, side="right")) for tag, one in scalars.series.items()}
    series = {tag: scalars.series[tag].take(slice(0, count)) for tag, count in counts.items() if count}
    sessions = tuple(session for session in scalars.sessions if session.wall_time <= time)
    return replace(scalars, series=series, sessions=sessions, last_event=time)


def _moments(scalars: Scalars, roles: Roles) -> list[float]:
    clock = clock_of(scalars, roles).wall_time
    end = max((float(one.wall_time[-1]) for one in scalars.series.values() if len(one)), default=0.0)
    return sorted({time for time in (*_wanted(scalars, clock), *_before_silence_ends(clock)) if time < end})


def _wanted(scalars: Scalars, clock: np.ndarray) -> Iterator[float]:
    yield from (float(clock[count - 1]) for count in tick_counts(len(clock)))
    for points in scalars.series.values():
        rows = np.arange(len(points)) if len(points) <= MOST_SPARSE else np.flatnonzero(~np.isfinite(points.value))[:20]
        yield from points.wall_time[rows].tolist()


def _before_silence_ends(clock: np.ndarray) -> Iterator[float]:
    gaps = np.diff(clock)
    for row in np.argsort(gaps)[::-1][:LONGEST_SILENCES]:
        yield float(clock[row] + 0.99 * gaps[row])
