"""What a rule is, and the two ways to replay one: tick by tick along a series, or at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from monitor.health.episodes import Episode, Lifecycle, Reading
from monitor.health.scene import Scene
from monitor.health.track import Track, tick_counts

Group = Literal["stability", "learning", "generalisation", "schedule", "efficiency", "log", "capacity"]


@dataclass(frozen=True, slots=True)
class Text:
    """What a person reads of a finding, in whole sentences."""

    evidence: str
    advice: str


class Replay(Protocol):
    """The memory of a rule: it continues where it stopped as long as the earlier points are the same."""

    def advance(self, scene: Scene) -> Sequence[Episode]:
        """Judge the points that are new and return all episodes so far, oldest first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A named check.

    Args:
        kind: Its name in the catalogue, in pages, JSON and tests.
        group: Where its points are deducted.
        label: What it says in a few words: "loss rising".
        coverage: Why it cannot run on a scene; None when it ran.
        text: Evidence and advice of an episode.
        replay: Makes its memory; None where another rule of the family finds its episodes as well.
        causes: Kinds that explain it while both last.
        of_series: False for findings of the machine and of the clock, which a later reader of the files cannot see.
    """

    kind: str
    group: Group
    label: str
    coverage: Callable[[Scene], str | None]
    text: Callable[[Episode, Scene], Text]
    replay: Callable[[], Replay] | None
    causes: tuple[str, ...] = ()
    of_series: bool = True


@dataclass(slots=True)
class SeriesReplay:
    """Replays a rule along each of its series, tick by tick.

    Args:
        kind: The rule.
        subjects: The series to judge.
        least: Finite points a series needs.
        read: What the rule sees in the first `count` finite points.
        confirm: Readings needed to open a finding.
        ticks: Numbers of points at which to look, up to the first argument and above the second.
    """

    kind: str
    subjects: Callable[[Scene], Sequence[Track]]
    least: int
    read: Callable[[Scene, Track, int], Reading]
    confirm: int = 2
    ticks: Callable[[int, int], Sequence[int]] = tick_counts
    lifecycles: dict[str, Lifecycle] = field(default_factory=dict)
    judged: dict[str, int] = field(default_factory=dict)

    def advance(self, scene: Scene) -> Sequence[Episode]:
        """Judge the ticks that are new."""
        for track in self.subjects(scene):
            lifecycle = self.lifecycles.setdefault(track.tag, Lifecycle(self.kind, track.tag, self.confirm))
            done = max(self.judged.get(track.tag, 0), self.least - 1)
            for count in self.ticks(len(track), done):
                lifecycle.feed(self.read(scene, track, count), scene.place(track, count - 1))
            self.judged[track.tag] = len(track)
        return [episode for lifecycle in self.lifecycles.values() for episode in lifecycle.episodes]


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Replays a rule without memory: it finds all its episodes anew, from the evidence alone."""

    find: Callable[[Scene], Sequence[Episode]]

    def advance(self, scene: Scene) -> Sequence[Episode]:
        """Return all episodes."""
        return self.find(scene)


def covered(tracks: Sequence[Track], least: int, missing: str) -> str | None:
    """Return why no series is long enough to be judged; None when one is.

    Args:
        tracks: The series of the rule.
        least: Finite points a series needs.
        missing: The sentence for a run that logs none of them.
    """
    if not tracks:
        return missing
    lacking = least - max(len(track) for track in tracks)
    if lacking <= 0:
        return None
    return f"Needs {lacking} more {'point' if lacking == 1 else 'points'}."


def present(*tracks: Track | None) -> tuple[Track, ...]:
    """Return those of the series that exist."""
    return tuple(track for track in tracks if track is not None)
