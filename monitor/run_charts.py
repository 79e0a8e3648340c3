"""RunStatus → the charts of a run: which lines, marks and bands each of them has. One truth for page and pictures.

Pure: no files, no clock, no Streamlit. A front end draws what `run_charts` returns: the page with
`chart_spec.build_spec` and the rows of `RunChart.draw`, a picture with `pictures.run_pictures`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any, Literal

import numpy as np

from monitor.analysis.series import axis_values, last_of_each_step, visible
from monitor.charts import (
    Curve,
    Drawing,
    Layout,
    ReferenceBand,
    Style,
    XKind,
    beside,
    checkpoint_marks,
    curve_of,
    draw,
    finding_marks,
    gpu_curves,
    health_points,
    host_curves,
    layout_of,
    palette_style,
)
from monitor.schema import Floats, Points, RoleTag, Sample
from monitor.settings import HealthSettings
from monitor.status import RunStatus

Axis = Literal["automatic", "step", "epoch", "relative", "wall"]

PERCENT_DOMAIN = (0.0, 102.0)  # a line at 100 is not cut in half
NO_EPOCHS = "Nothing to place on this axis: the run does not tell its epochs. Choose another axis under “Charts”."


@dataclass(frozen=True, slots=True)
class ChartView:
    """How the reader wants to see curves.

    Args:
        axis: The horizontal axis; ``automatic`` is the epoch where steps are epochs, else the step.
        smoothing: Weight of the mean drawn in front of the values; 0 for the values alone.
        log_y: True for logarithmic values.
        zone: Time zone of a time of day.
        log_x: True for a logarithmic horizontal axis.
        clip_outliers: True to have the vertical axis end where almost all values do.
    """

    axis: Axis = "automatic"
    smoothing: float = 0.0
    log_y: bool = False
    zone: tzinfo = UTC
    log_x: bool = False
    clip_outliers: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RunChart:
    """One chart of a run.

    Args:
        key: Names the chart; fixed.
        title: Says what is seen; the tag where it is the chart of a series.
        layout: For the specification.
        curves: Its lines.
        empty: The sentence to show where there is no point to draw.
        note: What else is to be said below it; "" for nothing.
        smoothing: Weight of the mean drawn in front, for the caption.
    """

    key: str
    title: str
    layout: Layout
    curves: tuple[Curve, ...]
    empty: str
    note: str = ""
    smoothing: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether none of the lines has a point."""
        return not any(len(curve.x) for curve in self.curves)

    def draw(self, zoom: tuple[float, float] | None = None, zone: tzinfo = UTC) -> Drawing:
        """Return the rows and the caption; arguments as those of `charts.draw`."""
        return draw(self.layout, self.curves, smoothing=self.smoothing, zoom=zoom, zone=zone)


def run_charts(
    status: RunStatus,
    samples: Sequence[Sample],
    settings: HealthSettings,
    view: ChartView | None = None,
    style: Style | None = None,
) -> tuple[RunChart, ...]:
    """Return the six charts of a run: loss, learning rate, epoch duration, machine, health, validation.

    Args:
        status: The run.
        samples: The readings of the machine, oldest first.
        settings: The bands of learning rate, GPU and score.
        view: How to show the curves.
        style: Colour of the run.
    """
    drafter = _Drafter(status, view or ChartView(), style or palette_style(0), settings)
    validation = drafter.curves_beside(status.roles.validation)
    return (
        drafter.loss(validation),
        drafter.learning_rate(),
        drafter.epoch_duration(),
        drafter.machine(samples),
        drafter.health(),
        drafter.validation(validation),
    )


def machine_chart(status: RunStatus, samples: Sequence[Sample], settings: HealthSettings, view: ChartView) -> RunChart:
    """Return the chart of the machine alone: it goes on while a run is silent."""
    return _Drafter(status, view, palette_style(0), settings).machine(samples)


def series_chart(
    status: RunStatus, tag: str, settings: HealthSettings, view: ChartView, style: Style, key: str = "series"
) -> RunChart:
    """Return the chart of any one series of a run, with what was found about it."""
    drafter = _Drafter(status, view, style, settings)
    return drafter.chart(key, tag, [drafter.curve(RoleTag(tag, tag, None), tag)], "This run has no such series.")


def series_curve(status: RunStatus, role: RoleTag, label: str, style: Style, view: ChartView, x_kind: XKind) -> Curve:
    """Return one series of a run as a line on an axis shared with others: smoothed as the reader wants, unmarked."""
    points = visible(status.scalars.points(role.tag))
    x = places_of(status, points, x_kind)
    return curve_of(points, x, label, style, scale=role.scale, weight=view.smoothing)


def x_kind_of(statuses: Iterable[RunStatus], view: ChartView) -> XKind:
    """Return the axis that some runs are drawn on together."""
    if view.axis != "automatic":
        return view.axis
    return "epoch" if all(status.progress.steps_are_epochs for status in statuses) else "step"


def places_of(status: RunStatus, points: Points, x_kind: XKind) -> Floats:
    """Return the place of points of a run on an axis, shape ``(n_points,)``; NaN where it is unknown."""
    epoch = status.roles.epoch
    return axis_values(
        points,
        x_kind,
        status.scalars.first_event,
        None if epoch is None else visible(status.scalars.points(epoch.tag)),
        status.progress.first_epoch_step,
    )


def epoch_times(points: Points) -> Points:
    """Return the seconds per step of a series from the times of its events, shape ``(n_steps - n_sessions,)``.

    The first step of a session has none: what lies before it is a pause.
    """
    shown = last_of_each_step(points)
    rows = np.flatnonzero(np.diff(shown.session) == 0) + 1
    seconds = (shown.wall_time[rows] - shown.wall_time[rows - 1]) / (shown.step[rows] - shown.step[rows - 1])
    return replace(shown.take(rows), value=seconds)


@dataclass(frozen=True, slots=True)
class _Drafter:
    """Makes the charts of one run."""

    status: RunStatus
    view: ChartView
    style: Style
    settings: HealthSettings

    def loss(self, validation: Sequence[Curve]) -> RunChart:
        """Return training and validation together, with the checkpoints."""
        role = self.status.roles.loss
        curves = [] if role is None else [self.curve(role, "training", checkpoints=True)]
        empty = "No series was recognised as training loss. Choose one under “Which series means what”."
        return self.chart("loss", "Training loss", [*curves, *validation], empty, y_title="loss")

    def validation(self, validation: Sequence[Curve]) -> RunChart:
        """Return one line per task, or the scores of a run without validation losses."""
        scores = () if validation else self.curves_beside(self.status.roles.scores)
        title = "Scores" if scores else "Validation loss"
        return self.chart("validation", title, validation or scores, "This run logs no validation series.")

    def learning_rate(self) -> RunChart:
        """Return the learning rate on a logarithmic axis over the band that is recommended."""
        role, title = self.status.roles.learning_rate, "Learning rate"
        low, high = self.settings.lr_recommended_low, self.settings.lr_recommended_high
        return self.chart(
            "learning-rate",
            title,
            [] if role is None else [self.curve(role, title, weight=0.0)],
            "This run logs no learning rate.",
            y_kind="learning_rate",
            log_y=True,
            clip_outliers=False,
            bands=(ReferenceBand(low, high, f"grey: recommended, {low:.0e} to {high:.0e}"),),
        )

    def epoch_duration(self) -> RunChart:
        """Return the time of each epoch, from the times of the events where it is not logged."""
        role, title = self.status.roles.duration, "Epoch duration"
        curves = [] if role is None else [self.curve(role, title)]
        note = ""
        if not curves and self.status.roles.loss is not None and self.status.progress.steps_are_epochs:
            points = epoch_times(visible(self.status.scalars.points(self.status.roles.loss.tag)))
            curves = [curve_of(points, self._places(points), title, self.style, weight=self.view.smoothing)]
            note = "from the times of the events"
        empty = "This run logs no epoch duration."
        return self.chart(
            "epoch-time", title, curves, empty, y_title="seconds", y_kind="seconds", log_y=False, note=note
        )

    def machine(self, samples: Sequence[Sample]) -> RunChart:
        """Return the load of the GPUs over the band to aim for; of processor and memory where there is no GPU."""
        has_gpu = bool(self.status.sample.gpus)
        low, high = self.settings.gpu_aim_low_percent, self.settings.gpu_aim_high_percent
        band = ReferenceBand(low, high, f"grey: to aim for, {low:.0f} to {high:.0f} %")
        return self.chart(
            "machine",
            "GPU utilisation" if has_gpu else "CPU and memory",
            gpu_curves(samples) if has_gpu else host_curves(samples),
            "No reading of the machine yet.",
            x_kind="wall",
            y_title="percent",
            y_kind="percent",
            y_domain=PERCENT_DOMAIN,
            log_y=False,
            bands=(band,) if has_gpu else (),
            note="" if has_gpu else self.status.sample.gpu_note or "",
        )

    def health(self) -> RunChart:
        """Return the score over time with the limits of its bands."""
        points = health_points(self.status.health_history)
        curves = [curve_of(points, self._places(points), "health", self.style)] if len(points) else []
        return self.chart(
            "health",
            "Health",
            curves,
            "Not enough data yet for a score.",
            y_title="score",
            y_kind="score",
            y_domain=PERCENT_DOMAIN,
            log_y=False,
            steps=True,
            bands=self._score_limits(),
            note="from the series alone; the load of the machine is not in it",
        )

    def chart(
        self,
        key: str,
        title: str,
        curves: Sequence[Curve],
        empty: str,
        *,
        x_kind: XKind | None = None,
        note: str = "",
        **layout: Any,  # noqa: ANN401 (those of charts.layout_of)
    ) -> RunChart:
        """Return a chart of some curves; what the reader chose holds where the chart does not say otherwise."""
        view = self.view
        chosen = {"log_y": view.log_y, "log_x": view.log_x, "clip_outliers": view.clip_outliers} | layout
        is_smoothed = any(curve.smoothed is not None for curve in curves)
        return RunChart(
            key,
            title,
            layout_of(curves, x_kind or self._x_kind, **chosen),
            tuple(curves),
            NO_EPOCHS if curves and view.axis == "epoch" and x_kind is None else empty,
            note,
            view.smoothing if is_smoothed else 0.0,
        )

    def curve(
        self,
        role: RoleTag,
        label: str,
        style: Style | None = None,
        *,
        weight: float | None = None,
        checkpoints: bool = False,
    ) -> Curve:
        """Return the line of one series with what was found about it, and what was saved along it."""
        points = visible(self.status.scalars.points(role.tag))
        x = self._places(points)
        marks = finding_marks(self.status.health.findings, role.tag, points, x)
        if checkpoints:
            epochs = places_of(self.status, points, "epoch")
            marks += checkpoint_marks(self.status.checkpoints.saved, points, x, epochs)
        smoothing = self.view.smoothing if weight is None else weight
        return curve_of(points, x, label, style or self.style, scale=role.scale, weight=smoothing, marks=marks)

    def curves_beside(self, roles: Sequence[RoleTag]) -> tuple[Curve, ...]:
        """Return the dashed lines of some series, in the colours that follow that of the run."""
        looks = beside(self.style, len(roles))
        return tuple(self.curve(role, role.label, look) for role, look in zip(roles, looks, strict=True))

    def _score_limits(self) -> tuple[ReferenceBand, ...]:
        excellent, normal, problems = (
            self.settings.band_excellent,
            self.settings.band_normal,
            self.settings.band_problems,
        )
        words = f"grey rules: excellent from {excellent}, normal from {normal}, problems from {problems}"
        return (
            ReferenceBand(excellent, excellent, words),
            ReferenceBand(normal, normal),
            ReferenceBand(problems, problems),
        )

    @property
    def _x_kind(self) -> XKind:
        return x_kind_of([self.status], self.view)

    def _places(self, points: Points) -> Floats:
        return places_of(self.status, points, self._x_kind)
