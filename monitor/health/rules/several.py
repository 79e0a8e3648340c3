"""One kind of finding with several cases, each with its own episodes: one may be open while another is."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.health.episodes import Episode
from monitor.health.rules.rule import Replay
from monitor.health.scene import Scene


@dataclass(frozen=True, slots=True)
class Several:
    """Replays the cases of a rule one after the other.

    Args:
        cases: One replay for each.
    """

    cases: tuple[Replay, ...]

    def advance(self, scene: Scene) -> Sequence[Episode]:
        """Judge the points that are new, and return the episodes of all cases."""
        return [episode for case in self.cases for episode in case.advance(scene)]
