"""RunStatus → what the live page says beside the figures: names of findings, pace, and what a refresh compares.

Pure: no clock, no files, no Streamlit.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from monitor.analysis.series import visible
from monitor.figures import moment
from monitor.health import label_of, label_of_check
from monitor.run_charts import ChartView, places_of, x_kind_of
from monitor.schema import Finding, Progress
from monitor.status import RunStatus
from monitor.text import format_duration, format_step

ONSET_REACH = 1 / 6  # of the curve, to either side of the onset
RECENT_POINTS = 20
BUSY_FACTOR = 2.0  # a look in two finds something new


def finding_label(finding: Finding) -> str:
    """Return what a finding says in a few words: ``Loss rising``."""
    return _capital(label_of(finding))


def check_label(kind: str) -> str:
    """Return what a check looks for in a few words: ``Loss rising``."""
    return _capital(label_of_check(kind))


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]


def since_text(finding: Finding, progress: Progress) -> str:
    """Return since when a finding lasts, or from when to when it did; empty where nobody can say."""
    if finding.onset_step is None:
        return "" if finding.open else "over"
    since = moment(finding.onset_step, progress)
    if finding.open:
        return f"since {since}"
    if finding.recovered_step is None:
        return f"from {since}, over"
    return f"from {since} to {moment(finding.recovered_step, progress)}"


def position_text(progress: Progress) -> str:
    """Return how far the run is: ``Epoch 12 of 300``, ``Step 6,200``."""
    if progress.epoch is not None:
        return f"Epoch {_of(progress.epoch, progress.total_epochs)}"
    return "No step yet" if progress.step is None else f"Step {_of(progress.step, progress.total_steps)}"


def _of(count: int | None, total: int | None) -> str:
    return format_step(count) if total is None or count is None else f"{format_step(count)} of {format_step(total)}"


def speed_text(progress: Progress) -> str:
    """Return how fast the run goes: ``24 s per epoch``, ``3.1 steps per second``; empty where it is unknown."""
    if progress.epoch_seconds is not None:
        return f"{format_duration(progress.epoch_seconds)} per epoch"
    speed = progress.steps_per_second
    if not speed:
        return ""
    if f"{speed:.3g}" == "1":
        return "1 step per second"
    return f"{speed:,.3g} steps per second" if speed >= 1 else f"{format_duration(1 / speed)} per step"


def is_busy(status: RunStatus, refresh_seconds: float | None) -> bool:
    """Return whether nearly every look at a run finds something new: its points come about as often as the looks."""
    loss = status.roles.loss
    times = status.scalars.points(loss.tag if loss else None).wall_time[-RECENT_POINTS:]
    if refresh_seconds is None or status.state.state != "running" or len(times) < RECENT_POINTS:
        return False
    return float(times[-1] - times[0]) / (RECENT_POINTS - 1) <= BUSY_FACTOR * refresh_seconds


def what_is_framed(status: RunStatus) -> tuple[Hashable, ...]:
    """Return what the slow parts of the page are drawn from: a new finding or checkpoint is seen at once."""
    return (
        status.run.path,
        status.roles,
        status.state.state,
        status.problems,
        len(status.scalars.series),
        tuple(status.configuration.values.items()),
        *_marked(status),
    )


def what_is_shown(status: RunStatus) -> tuple[Hashable, ...]:
    """Return what the page is drawn from; as long as it stays equal there is nothing to draw anew.

    Left out is what moves by itself: the clock, the load of the machine, and the words that quote them.
    """
    return (*what_is_framed(status), *what_is_charted(status), status.health.checks.ran, status.progress.total_source)


def what_is_charted(status: RunStatus) -> tuple[Hashable, ...]:
    """Return what the curves and the marks along them are drawn from."""
    scalars = status.scalars
    return (
        status.run.path,
        scalars.version,
        scalars.count,
        scalars.last_event,
        status.roles,
        status.health.score,
        *_marked(status),
    )


def _marked(status: RunStatus) -> tuple[Hashable, ...]:
    return (
        tuple((item.id, item.severity, item.open) for item in status.health.findings),
        tuple((item.name, item.modified, item.readable) for item in status.checkpoints.saved),
    )


# --- a finding on its curve ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the horizontal axis of one series, in the unit of its curve."""

    tag: str
    low: float
    high: float


def onset_window(status: RunStatus, finding: Finding, view: ChartView) -> Window | None:
    """Return where a finding begins, with up to a sixth of the curve to either side; None where it has no place.

    A finding about no series is shown along the loss.
    """
    loss = status.roles.loss
    tag = finding.tag or (loss.tag if loss else None)
    if tag is None or finding.onset_step is None:
        return None
    points = visible(status.scalars.points(tag))
    places = places_of(status, points, x_kind_of([status], view))
    known = np.isfinite(places)
    rows = np.flatnonzero(known & (points.step >= finding.onset_step))
    if not len(rows):
        return None
    first, last = float(places[known].min()), float(places[known].max())
    middle, reach = float(places[rows[0]]), (last - first) * ONSET_REACH
    return Window(tag, max(middle - reach, first), min(middle + reach, last)) if reach > 0 else None
