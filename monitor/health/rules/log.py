"""What the log itself tells: the run was restarted, or it has gone silent."""

import numpy as np

from monitor.health.episodes import Change, Episode, Place
from monitor.health.rules.rule import AtOnce, Rule, Text
from monitor.health.scene import Scene
from monitor.text import format_time


def _find_restarts(scene: Scene) -> list[Episode]:
    found = []
    for session in scene.evidence.sessions[1:]:
        place = Place(session.first_step, session.wall_time, session.number)
        change = Change(place.time, "info", False)
        found.append(Episode("restart", None, place, place, [change], session.first_step, part=str(session.number)))
    return found


def _restart_text(episode: Episode, scene: Scene) -> Text:
    where = "without a step yet" if episode.onset.step is None else f"at {scene.named(episode.onset.step)}"
    return Text(
        f"The run was restarted {where} on {format_time(episode.onset.time)} UTC; points it wrote again replace the "
        f"earlier ones.",
        "Nothing to do if you meant it; otherwise look at the job's own log around that time.",
    )


def _find_stall(scene: Scene) -> list[Episode]:
    """Return the stall that lasts, as the run state has found it; a warning, an error after three times its limit."""
    if scene.evidence.state.state != "stalled":
        return []
    clock = max((track for track in scene.tracks), key=lambda track: len(track.points), default=None)
    if clock is None or not len(clock.points):
        return []
    last = Place(int(clock.points.step[-1]), float(clock.arrival[-1]), int(clock.points.session[-1]))
    silent, limit = scene.now - last.time, _silence_limit(scene, clock.arrival)
    change = Change(scene.now, "error" if silent > 3 * limit else "warning", True)
    here = Place(last.step, scene.now, last.session)
    return [Episode("stalled", None, last, here, [change], None, silent, limit, part="run")]


def _silence_limit(scene: Scene, arrival: np.ndarray) -> float:
    """Return the silence, in seconds, that no longer is a usual gap; the same limits as those of the run state."""
    limits = scene.settings.progress
    gaps = np.diff(arrival)[-200:]
    if len(gaps) < 5:
        return limits.stalled_unknown_seconds
    typical, long = np.percentile(gaps, (50, 99))
    return max(limits.stalled_seconds, limits.stalled_gap_factor * float(typical), 3 * float(long))


def _stall_text(episode: Episode, scene: Scene) -> Text:
    return Text(
        scene.evidence.state.reason,
        "Look whether the training process still lives and what it waits for: a full disk, a dead data loader worker, "
        "another process on the GPU, or a hanging collective operation.",
    )


def _stall_coverage(scene: Scene) -> str | None:
    if scene.evidence.state.state in ("running", "stalled"):
        return None
    return f"Does not apply: the run is {scene.evidence.state.state}."


RULES = (
    Rule(
        kind="restart",
        group="log",
        label="restart",
        coverage=lambda scene: None,
        text=_restart_text,
        replay=lambda: AtOnce(_find_restarts),
    ),
    Rule(
        kind="stalled",
        group="log",
        label="no new points",
        coverage=_stall_coverage,
        text=_stall_text,
        replay=lambda: AtOnce(_find_stall),
        of_series=False,
    ),
)
