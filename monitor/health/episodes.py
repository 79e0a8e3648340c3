"""From readings to findings that do not flap: two thresholds, confirmation, quiet closing, one identity."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from monitor.schema import SEVERITIES, Severity

QUIET_TICKS = 4
"""Consecutive ticks below both thresholds after which a finding closes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point of a series: where and when it was logged."""

    step: int | None
    time: float
    session: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule sees at one tick.

    Args:
        level: ``on`` above the opening threshold, ``off`` below the closing one, ``hold`` between them or explained.
        severity: How bad, while on.
        onset: Where the trouble began, while on.
        value: The measured figure.
        reference: What it was measured against.
        facts: Figures for the texts, by name; NaN where unknown.
    """

    level: Literal["on", "hold", "off"]
    severity: Severity = "info"
    onset: Place | None = None
    value: float | None = None
    reference: float | None = None
    facts: Mapping[str, float] = field(default_factory=dict)


OFF = Reading("off")
HOLD = Reading("hold")


@dataclass(frozen=True, slots=True)
class Change:
    """From `time` on the finding has this severity and is open or not."""

    time: float
    severity: Severity
    open: bool


@dataclass(slots=True)
class Episode:
    """One finding through time; changes are only ever appended, so its past does not depend on what came later."""

    kind: str
    tag: str | None
    onset: Place
    detected: Place
    changes: list[Change]
    recovered_step: int | None = None
    value: float | None = None
    reference: float | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    part: str = ""
    number: int = 1

    @property
    def id(self) -> str:
        """Identity: kind, tag or part of the machine, onset step; numbered where a step was logged several times."""
        begin = "" if self.onset.step is None else str(self.onset.step)
        repeat = "" if self.number == 1 else f"#{self.number}"
        return f"{self.kind}:{self.tag or self.part}:{begin}{repeat}"

    @property
    def now(self) -> Change:
        """The newest state."""
        return self.changes[-1]

    def at(self, time: float) -> Change | None:
        """Return the state at `time`, None before the finding was made."""
        return next((change for change in reversed(self.changes) if change.time <= time), None)

    def escalate(self, time: float, severity: Severity) -> None:
        """Raise the severity; a lower one changes nothing."""
        if SEVERITIES.index(severity) > SEVERITIES.index(self.now.severity):
            self.changes.append(Change(time, severity, self.now.open))

    def close(self, place: Place) -> None:
        """End the finding at `place`."""
        self.changes.append(Change(place.time, self.now.severity, False))
        self.recovered_step = place.step

    def reopen(self, place: Place) -> None:
        """Go on with a finding that came back with the same onset."""
        self.changes.append(Change(place.time, self.now.severity, True))
        self.recovered_step = None


class Lifecycle:
    """The state machine of one rule on one series.

    Opens after `confirm` consecutive readings that are on, closes after `QUIET_TICKS` that are off; hold freezes it.
    Severity only grows while open. A finding that comes back with the onset it had is the same finding.

    Args:
        kind: The rule.
        tag: The series, None for the machine.
        confirm: Readings needed to open.
        part: Name of the part of the machine, where there is no tag.
    """

    def __init__(self, kind: str, tag: str | None, confirm: int = 2, part: str = "") -> None:
        self.kind = kind
        self.tag = tag
        self.confirm = confirm
        self.part = part
        self.episodes: list[Episode] = []
        self._seen = 0
        self._quiet = 0

    def feed(self, reading: Reading, place: Place) -> None:
        """Take the reading of the next tick, which happened at `place`."""
        if reading.level == "on":
            self._quiet = 0
            self._seen += 1
            self._on(reading, place)
        elif reading.level == "off":
            self._seen = 0
            self._quiet += 1
            if self._is_open and self._quiet >= QUIET_TICKS:
                self.episodes[-1].close(place)

    @property
    def _is_open(self) -> bool:
        return bool(self.episodes) and self.episodes[-1].now.open

    def _on(self, reading: Reading, place: Place) -> None:
        if not self._is_open:
            if self._seen < self.confirm:
                return
            self._open(reading, place)
        episode = self.episodes[-1]
        episode.escalate(place.time, reading.severity)
        episode.value, episode.reference, episode.facts = reading.value, reading.reference, reading.facts

    def _open(self, reading: Reading, place: Place) -> None:
        onset = reading.onset or place
        if self.episodes and _goes_on(self.episodes[-1], onset):
            self.episodes[-1].reopen(place)
            return
        first = Change(place.time, reading.severity, True)
        self.episodes.append(Episode(self.kind, self.tag, onset, place, [first], part=self.part))


def _goes_on(last: Episode, onset: Place) -> bool:
    """Tell whether a trouble that began at `onset` is the last one again: it began before that one had ended."""
    if onset.step is None or last.recovered_step is None:
        return onset.step is None
    return onset.step < last.recovered_step


def number_repeats(episodes: Sequence[Episode]) -> None:
    """Number the episodes that would share an identity, in their order, so that every identity is unique."""
    seen: Counter[tuple[str, str | None, str, int | None]] = Counter()
    for episode in episodes:
        key = (episode.kind, episode.tag, episode.part, episode.onset.step)
        seen[key] += 1
        episode.number = seen[key]
