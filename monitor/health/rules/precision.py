"""The loss scale of mixed-precision training: it must stay where half precision can hold the gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.health.episodes import HOLD, OFF, Episode, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.track import Track
from monitor.text import format_number, plain

LEAST = 10
RESTING = 5
"""Points without a fall after which the scale has found its level; scalers start far too high and come down first."""

STILL_FALLEN = 0.25
"""A finding is kept down to this part of the factor that opened it: two halvings fewer."""

LEAST_SCALE = 16.0
SPENT = 1.0
GROWTH_SHARE = 0.05
GROWTH_POINTS = 20


def _tracks(scene: Scene) -> Sequence[Track]:
    return present(scene.loss_scale)


@dataclass(slots=True)
class _Scale:
    """The scale so far; every point is looked at once.

    Args:
        highest: Largest scale since it found its level; 0 before.
        grown: Position at which it last grew.
        fallen: Position at which it last fell from the highest, or from half of it.
        since: Position of its last change.
        seen: Points looked at.
    """

    highest: float = 0.0
    grown: int = 0
    fallen: int = 0
    since: int = 0
    seen: int = 0

    def advance(self, track: Track, count: int) -> None:
        values = track.value[:count]
        first = max(self.seen, 1)
        for position in (first + np.flatnonzero(values[first:] != values[first - 1 : -1])).tolist():
            self._rest(float(values[position - 1]), position)
            if values[position] > values[position - 1]:
                self.grown, self.highest = position, max(self.highest, float(values[position]))
            elif values[position - 1] >= self.highest / 2:
                self.fallen = position
            self.since = position
        self._rest(float(values[-1]), count)
        self.seen = count

    def _rest(self, scale: float, position: int) -> None:
        """Take the scale that lasted up to `position`; one that rested is a level it can hold."""
        if position - self.since >= RESTING:
            self.highest = max(self.highest, scale)


@dataclass(slots=True)
class _Collapse:
    """Sees a scale that fell far; by default by six halvings.

    Source: `torch.amp.GradScaler` halves at an overflow and doubles after 2,000 steps without one.
    """

    scale: _Scale

    def read(self, scene: Scene, track: Track, count: int) -> Reading:
        self.scale.advance(track, count)
        now, start = float(track.value[count - 1]), float(track.value[0])
        highest = self.scale.highest
        facts = {"points": float(count - self.scale.fallen)}
        if now <= SPENT and max(highest, start) >= LEAST_SCALE:
            place = scene.place(track, self.scale.fallen)
            return Reading("on", "error", place, now, max(highest, start), facts)
        factor = scene.settings.health.loss_scale_fall_factor
        if now * STILL_FALLEN * factor > highest:
            return OFF
        grows = self.scale.grown > max(self.scale.fallen, count - max(GROWTH_POINTS, int(GROWTH_SHARE * count)))
        if now * factor > highest or grows:
            return HOLD
        return Reading("on", "warning", scene.place(track, self.scale.fallen), now, highest, facts)


def _text(episode: Episode, scene: Scene) -> Text:
    where = scene.named(episode.onset.step)
    evidence = (
        f'"{plain(episode.tag or "")}" fell from {format_number(episode.reference)} to '
        f"{format_number(episode.value)} since {where} and does not recover."
    )
    if episode.now.severity == "error":
        return Text(
            evidence,
            "Gradients overflow half precision at any scale, and every such step is skipped: use bf16, or go back to "
            f"the checkpoint before {where} and look for values that are infinite or not a number.",
        )
    return Text(
        evidence,
        "Gradients overflow half precision again and again: use bf16, or find the layer whose values overflow and keep "
        "it in fp32; clipping gradients and a lower learning rate help as well.",
    )


RULES = (
    Rule(
        kind="loss_scale",
        group="stability",
        label="loss scale collapsed",
        coverage=lambda scene: covered(_tracks(scene), LEAST, "The run logs no loss scale."),
        text=_text,
        replay=lambda: SeriesReplay("loss_scale", _tracks, LEAST, _Collapse(_Scale()).read),
        causes=("non_finite",),
    ),
)
