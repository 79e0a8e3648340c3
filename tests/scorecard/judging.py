"""Right and wrong: findings against the truth of a run, counted into the figures of the score card."""

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.schema import SEVERITIES, Finding
from monitor.settings import Settings
from tests.scorecard.replay import Replay, clock_of, is_alarm
from tests.scorecard.runs import Fault, LabelledRun

EARLY_SHARE = 0.01
"""A finding made before the fault cannot be right; this share of the run is allowed for averages around the onset."""

REPEATING = ("spike", "non_finite", "restart", "step_integrity")
"""Kinds of which a run can hold several at different places, so that a second one is no re-opened first one."""

HEALTHY_LOWEST = 70
HEALTHY_END = 90


@dataclass(frozen=True)
class Interval:
    """A share of successes with its 95 % interval.

    Source: Wilson (1927), "Probable inference", J. Am. Stat. Assoc. 22.
    """

    hits: int
    of: int

    @property
    def share(self) -> float:
        """The share itself; NaN of nothing."""
        return self.hits / self.of if self.of else math.nan

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of the interval, 0–1; the whole range of nothing."""
        if not self.of:
            return 0.0, 1.0
        z = 1.959964
        scale = 1 + z * z / self.of
        middle = (self.share + z * z / (2 * self.of)) / scale
        half = z / scale * math.sqrt(self.share * (1 - self.share) / self.of + z * z / (4 * self.of**2))
        return max(middle - half, 0.0), min(middle + half, 1.0)

    def __str__(self) -> str:
        """Return it as people read it: ``93 % (38 of 41; 81–98)``."""
        if not self.of:
            return "–"
        low, high = self.bounds
        return f"{100 * self.share:.0f} % ({self.hits} of {self.of}; {100 * low:.0f}–{100 * high:.0f})"


@dataclass(frozen=True)
class Delay:
    """How long a fault lasted before it was named.

    Args:
        kind: The fault.
        points: Points of its series from the onset to the finding, both counted.
        share: The same in shares of the run, 0–1.
    """

    kind: str
    points: int
    share: float


@dataclass(frozen=True)
class RunVerdict:
    """How one run was judged.

    Args:
        run: The run.
        found: Faults that were named.
        missed: Faults that were not.
        right: Alarms that name a fault or follow from it.
        wrong: Alarms that do neither, live or later.
        wrong_at_end: Those of them that last.
        delays: Of the faults found.
        reopened: Findings announced again while their fault lasted.
        announced: Alarms raised and made more severe, each once.
        repeated: Announcements beyond those.
        band_right: Whether the score lay where it belongs.
        lowest: Lowest score after the onset; None without a score.
        identical: Whether watching live and reading at once gave the same.
    """

    run: LabelledRun
    found: tuple[Fault, ...]
    missed: tuple[Fault, ...]
    right: tuple[Finding, ...]
    wrong: tuple[Finding, ...]
    wrong_at_end: tuple[Finding, ...]
    delays: tuple[Delay, ...]
    reopened: int
    announced: int
    repeated: int
    band_right: bool
    lowest: int | None
    identical: bool


def judge(replay: Replay) -> RunVerdict:
    """Return how a run was judged, live and afterwards."""
    run = replay.run
    alarms = _alarms(replay)
    wrong = tuple(finding for finding in alarms if not is_right(run, finding, replay.total_steps))
    named = {fault: naming(fault, replay) for fault in run.faults}
    lowest = _lowest_score(replay)
    return RunVerdict(
        run=run,
        found=tuple(fault for fault, finding in named.items() if finding is not None),
        missed=tuple(fault for fault, finding in named.items() if finding is None),
        right=tuple(finding for finding in alarms if finding not in wrong and finding.kind not in run.tolerated),
        wrong=tuple(finding for finding in wrong if finding.kind not in run.tolerated),
        wrong_at_end=tuple(one for one in wrong if one.kind not in run.tolerated and _lasts(replay, one)),
        delays=tuple(_delay(replay, fault, finding) for fault, finding in named.items() if finding is not None),
        reopened=_reopened(replay),
        announced=len(_announcements(replay)),
        repeated=_repeated_announcements(replay),
        band_right=_band_is_right(replay, lowest),
        lowest=lowest,
        identical=_is_identical(replay),
    )


def is_right(run: LabelledRun, finding: Finding, total_steps: int) -> bool:
    """Tell whether a finding names a fault of the run or follows from one, and was not made before it."""
    for fault in run.faults:
        known = finding.kind in (*fault.meaning.named, *fault.meaning.follows)
        if known and not _is_early(finding, fault, total_steps):
            return True
    return False


def names(fault: Fault, finding: Finding, total_steps: int) -> bool:
    """Tell whether a finding names a fault, gravely enough, and was not made before it."""
    grave = SEVERITIES.index(finding.severity) >= SEVERITIES.index(fault.meaning.least)
    return finding.kind in fault.meaning.named and grave and not _is_early(finding, fault, total_steps)


def naming(fault: Fault, replay: Replay) -> Finding | None:
    """Return the first finding that names a fault, None when it was missed."""
    found = [one for one in _all_findings(replay) if names(fault, one, replay.total_steps)]
    return min(found, key=lambda one: one.detected_step or 0, default=None)


def _is_early(finding: Finding, fault: Fault, total_steps: int) -> bool:
    """Tell whether a finding was made before the fault; a session that goes back in steps makes no finding early."""
    if fault.onset_step is None or finding.detected_step is None or (finding.session or 0) > 0:
        return False
    return finding.detected_step < fault.onset_step - EARLY_SHARE * total_steps


# --- what was seen --------------------------------------------------------------------------------------------------


def _all_findings(replay: Replay) -> list[Finding]:
    """Return every finding that was seen at any look, as it was seen last."""
    seen: dict[str, Finding] = {}
    for look in (*replay.looks, replay.at_once):
        seen.update({finding.id: finding for finding in look.findings})
    return list(seen.values())


def _alarms(replay: Replay) -> list[Finding]:
    return [finding for finding in _all_findings(replay) if is_alarm(finding)]


def _lasts(replay: Replay, finding: Finding) -> bool:
    return any(one.id == finding.id and one.open for one in replay.at_once.findings)


def _announcements(replay: Replay) -> set[tuple[str, str]]:
    seen = ((one.id, one.severity) for look in replay.looks for one in look.findings if is_alarm(one))
    return set(seen)


def _repeated_announcements(replay: Replay) -> int:
    """Count how often an alarm came up again that had been seen, and was gone, at an earlier look."""
    gone: set[str] = set()
    before: set[str] = set()
    repeated = 0
    for look in replay.looks:
        now = {one.id for one in look.findings if is_alarm(one)}
        repeated += len(now & gone)
        gone = (gone | (before - now)) - now
        before = now
    return repeated


def _reopened(replay: Replay) -> int:
    """Count alarms that closed and came back: the same finding, or another of its kind in a run with one fault."""
    again = sum(_times_reopened(replay, identity) for identity in {one.id for one in _alarms(replay)})
    lasting = [(one.kind, one.tag) for one in _alarms(replay) if one.kind not in REPEATING]
    return again + len(lasting) - len(set(lasting))


def _times_reopened(replay: Replay, identity: str) -> int:
    states = [one.open for look in replay.looks for one in look.findings if one.id == identity]
    return sum(later and not earlier for earlier, later in itertools.pairwise(states))


def _delay(replay: Replay, fault: Fault, finding: Finding) -> Delay:
    if fault.onset_step is None or finding.detected_step is None:
        return Delay(fault.kind, 0, 0.0)
    points = replay.run.scalars.series.get(finding.tag or "", clock_of(replay.run.scalars, replay.roles))
    same_session = points.session == (finding.session or 0)
    step = np.unique(points.step[same_session])
    between = int(((step >= fault.onset_step) & (step <= finding.detected_step)).sum())
    share = max(finding.detected_step - fault.onset_step, 0) / max(replay.total_steps, 1)
    return Delay(fault.kind, max(between, 1), share)


# --- score and identity ---------------------------------------------------------------------------------------------


def _lowest_score(replay: Replay) -> int | None:
    looks = (*replay.looks, replay.at_once)
    scores = [look.assessment.health.score for look in looks if look.assessment.health.score is not None]
    return min((*scores, *(point.score for point in replay.at_once.assessment.history)), default=None)


def _band_is_right(replay: Replay, lowest: int | None) -> bool:
    end = replay.at_once.assessment.health.score
    if replay.run.healthy or lowest is None or end is None:
        return lowest is None or end is None or (lowest >= HEALTHY_LOWEST and end >= HEALTHY_END)
    return _band(lowest) in {band for fault in replay.run.faults for band in fault.allowed_bands}


def _band(score: int) -> str:
    bands = Settings().health
    limits = (("excellent", bands.band_excellent), ("normal", bands.band_normal), ("problems", bands.band_problems))
    return next((name for name, limit in limits if score >= limit), "abnormal")


def _is_identical(replay: Replay) -> bool:
    """Tell whether the last live look equals the look at once, and every live score the history read afterwards."""
    # NaN is evidence too, and not equal to itself: the texts are compared.
    once = repr(replay.at_once.assessment)
    same = all(repr(look.assessment) == once for look in replay.looks[-1:])
    return same and (len(replay.run.scalars.sessions) > 1 or all(_scores_agree(replay)))


def _scores_agree(replay: Replay) -> Iterator[bool]:
    """Yield, for each look at a new point of the history, whether it told the score that the history tells later."""
    later = {point.wall_time: point.score for point in replay.at_once.assessment.history}
    for look in replay.looks[:-1]:
        history = look.assessment.history
        if history and history[-1].wall_time == look.time and look.time in later:
            yield history[-1].score == later[look.time]


# --- figures --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """The figures of a set of runs."""

    verdicts: Sequence[RunVerdict]

    @property
    def healthy(self) -> list[RunVerdict]:
        """The verdicts of healthy runs."""
        return [verdict for verdict in self.verdicts if verdict.run.healthy]

    @property
    def recall(self) -> Interval:
        """Share of the faults that were named."""
        return Interval(*self._found(self.verdicts))

    @property
    def false_alarms_live(self) -> Interval:
        """Share of the healthy runs with an alarm at any time."""
        return Interval(sum(bool(one.wrong) for one in self.healthy), len(self.healthy))

    @property
    def false_alarms_at_end(self) -> Interval:
        """Share of the healthy runs with an alarm that lasts."""
        return Interval(sum(bool(one.wrong_at_end) for one in self.healthy), len(self.healthy))

    @property
    def precision(self) -> Interval:
        """Share of the alarms that are right."""
        right, wrong = sum(len(one.right) for one in self.verdicts), sum(len(one.wrong) for one in self.verdicts)
        return Interval(right, right + wrong)

    @property
    def bands(self) -> Interval:
        """Share of the runs whose score lay where it belongs; a fault that was missed counts as wrong."""
        return Interval(sum(one.band_right for one in self.verdicts), len(self.verdicts))

    @property
    def reopened(self) -> int:
        """Findings announced again."""
        return sum(one.reopened for one in self.verdicts)

    @property
    def announced(self) -> int:
        """Alarms raised and escalated."""
        return sum(one.announced for one in self.verdicts)

    @property
    def repeated(self) -> int:
        """Alarms that had vanished without recovering and came up again."""
        return sum(one.repeated for one in self.verdicts)

    @property
    def identical(self) -> Interval:
        """Share of the runs that gave the same live and at once."""
        return Interval(sum(one.identical for one in self.verdicts), len(self.verdicts))

    @property
    def kinds(self) -> list[str]:
        """Kinds of faults in these runs, sorted."""
        return sorted({fault.kind for one in self.verdicts for fault in one.run.faults})

    def recall_of(self, kind: str) -> Interval:
        """Return the share of the faults of one kind that were named."""
        found = sum(fault.kind == kind for one in self.verdicts for fault in one.found)
        missed = sum(fault.kind == kind for one in self.verdicts for fault in one.missed)
        return Interval(found, found + missed)

    def precision_of(self, kind: str) -> Interval:
        """Return the share of the alarms of one kind that were right."""
        right = sum(finding.kind == kind for one in self.verdicts for finding in one.right)
        wrong = sum(finding.kind == kind for one in self.verdicts for finding in one.wrong)
        return Interval(right, right + wrong)

    def delays(self, wanted: str) -> list[Delay]:
        """Return the delays on which one demand holds, of faults that have an onset."""
        return [delay for delay in self._delays() if _demand_of(self.verdicts, delay.kind) == wanted]

    def delays_of(self, kind: str) -> list[Delay]:
        """Return the delays of one kind."""
        return [delay for delay in self._delays() if delay.kind == kind]

    def _delays(self) -> Iterator[Delay]:
        for one in self.verdicts:
            yield from (delay for delay in one.delays if delay.points)

    @staticmethod
    def _found(verdicts: Iterable[RunVerdict]) -> tuple[int, int]:
        found = missed = 0
        for one in verdicts:
            found, missed = found + len(one.found), missed + len(one.missed)
        return found, found + missed


def _demand_of(verdicts: Sequence[RunVerdict], kind: str) -> str:
    faults = (fault for one in verdicts for fault in one.run.faults if fault.kind == kind)
    return next(faults).meaning.delay


def median_points(delays: Sequence[Delay]) -> float:
    """Return the median delay in points; NaN of none."""
    return statistics.median(delay.points for delay in delays) if delays else math.nan


def median_share(delays: Sequence[Delay]) -> float:
    """Return the median delay in shares of the run; NaN of none."""
    return statistics.median(delay.share for delay in delays) if delays else math.nan
