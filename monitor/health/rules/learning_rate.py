"""The learning rate outside the range in which anything is learned."""

from collections.abc import Sequence

import numpy as np

from monitor.health.episodes import OFF, Episode, Reading
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.track import Track
from monitor.schema import Severity
from monitor.text import format_learning_rate, format_percent, format_step, plain

LEAST = 10
DEAD_SHARE = 9.9e-4
"""Share of its peak below which a learning rate is dead; three decays by ten, exactly 1e-3, are not."""

DEAD_RUN = 0.05
DEAD_ERROR = 0.15


def _tracks(scene: Scene) -> Sequence[Track]:
    return present(scene.learning_rate)


def _read_low(scene: Scene, track: Track, count: int) -> Reading:
    rates = track.value[:count]
    peak, now = float(rates.max()), float(rates[-1])
    facts = {"peak": peak, "points": float(count)}
    if now < 0:
        return Reading("on", "error", scene.place(track, count - 1), now, 0.0, facts)
    if peak <= 0:
        return Reading("on", "critical", scene.place(track, 0), now, 0.0, facts)
    if peak < scene.settings.health.lr_low:
        warming_up = now > rates[count // 2]
        return OFF if warming_up else Reading("on", "warning", scene.place(track, 0), now, peak, facts)
    return _dead(scene, track, count, peak)


def _dead(scene: Scene, track: Track, count: int, peak: float) -> Reading:
    """Read a learning rate that has fallen to almost nothing while the run goes on."""
    longest = int(max(LEAST, DEAD_ERROR * count))
    alive = np.flatnonzero(track.value[max(count - longest, 0) : count] > DEAD_SHARE * peak)
    run = min(longest, count) - 1 - int(alive[-1]) if len(alive) else min(longest, count)
    if run < max(LEAST, DEAD_RUN * count):
        return OFF
    severity: Severity = "error" if run >= DEAD_ERROR * count - 1 and count > 100 else "warning"
    facts = {"peak": peak, "points": float(run)}
    return Reading("on", severity, scene.place(track, count - run), float(track.value[count - 1]), peak, facts)


def _low_text(episode: Episode, scene: Scene) -> Text:
    tag, where = plain(episode.tag or ""), scene.named(episode.onset.step)
    peak, now = episode.facts["peak"], episode.value
    if now is not None and now < 0:
        return Text(
            f'"{tag}" is negative: {format_learning_rate(now)} at {where}.', "Correct the schedule: it climbs the loss."
        )
    if peak <= 0:
        return Text(
            f'"{tag}" is 0 from the start.', "Nothing is learned: check how the schedule and the optimizer are set up."
        )
    if peak < scene.settings.health.lr_low:
        limit = format_learning_rate(scene.settings.health.lr_low)
        return Text(
            f'"{tag}" has never been above {format_learning_rate(peak)}; below {limit} hardly anything is learned.',
            "Raise the learning rate 10 to 100 times; 1e-5 to 1e-3 is usual.",
        )
    share = format_percent(100 * (now or 0.0) / peak, 3)
    return Text(
        f'"{tag}" has been at most {share} of its peak {format_learning_rate(peak)} for '
        f"{format_step(int(episode.facts['points']))} points, since {where}.",
        "The run goes on but learns no more: stop it, or restart the schedule with a length that fits the run.",
    )


def _read_high(scene: Scene, track: Track, count: int) -> Reading:
    now, limit = float(track.value[count - 1]), scene.settings.health.lr_high
    if now <= limit:
        return OFF
    above = track.value[:count] > limit
    below = np.flatnonzero(~above[-count:])
    first = int(below[-1]) + 1 if len(below) else 0
    return Reading("on", "notice", scene.place(track, first), now, limit)


def _high_text(episode: Episode, scene: Scene) -> Text:
    now, limit = format_learning_rate(episode.value), format_learning_rate(episode.reference)
    return Text(
        f'"{plain(episode.tag or "")}" is {now}, above {limit}, since {scene.named(episode.onset.step)}.',
        "Normal for plain SGD; with Adam and its kin 1e-5 to 1e-3 is usual. If the loss misbehaves, try a tenth.",
    )


def _coverage(scene: Scene) -> str | None:
    return covered(_tracks(scene), LEAST, "The run logs no learning rate.")


RULES = (
    Rule(
        kind="lr_low",
        group="schedule",
        label="learning rate too low",
        coverage=_coverage,
        text=_low_text,
        replay=lambda: SeriesReplay("lr_low", _tracks, LEAST, _read_low),
    ),
    Rule(
        kind="lr_high",
        group="schedule",
        label="learning rate high",
        coverage=_coverage,
        text=_high_text,
        replay=lambda: SeriesReplay("lr_high", _tracks, LEAST, _read_high),
    ),
)
