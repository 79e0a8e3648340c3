"""A comparison → its charts: the runs or the groups over each other, in colours that say what the reader asks.

Pure: no files, no clock, no Streamlit; one truth for the page and for ``compare --plot``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from monitor import charts
from monitor.analysis.budget import Budget, Limit, common_limit
from monitor.analysis.compare import Comparison
from monitor.analysis.configurations import config_text
from monitor.analysis.group_curves import Band, Centre, Curve, course_of, group_curve
from monitor.analysis.groups import Group
from monitor.charts import Style, XKind
from monitor.comparison import RunComparison
from monitor.run_charts import NO_EPOCHS, ChartView, RunChart, places_of, series_curve, x_kind_of
from monitor.schema import ConfigValue, RoleTag
from monitor.status import RunStatus
from monitor.text import format_duration, format_step, plain, shorten_middle

Show = Literal["runs", "groups"]
BY_RUN: Final = "run"
BY_GROUP: Final = "group"

OVERLAY_HEIGHT = 420
GRID_HEIGHT = 230
FEW_LINES = 8
NARROW_CHARACTERS, WIDE_CHARACTERS = 44, 140
SHORT_LABEL = 42  # characters of one of many lines
LEGEND_COLUMNS, LEGEND_ROW_HEIGHT = 3, 17
LEGEND_NAMES = 30  # that Vega writes; it counts the others
MOST_NAME_CHARACTERS = 28  # of a group or a value in front of the name of a run
VALIDATION_DASH: Final = (6, 4)
# Blue over grey to orange: an order that people who confuse red and green see too, each at 3 : 1 on both grounds.
RAMP: Final = ("#0072B2", "#7A7A7A", "#D55E00")
CENTRE_WORDS: Final[Mapping[Centre, str]] = {
    "mean": "mean",
    "median": "median",
    "iqm": "inter-quartile mean",
}
BAND_WORDS: Final[Mapping[Band, str]] = {
    "std": "one standard deviation to either side",
    "range": "smallest to largest value",
    "bootstrap": "95 % interval of the centre (bootstrap over runs)",
}


@dataclass(frozen=True, slots=True)
class OverlayView:
    """How several runs are laid over each other.

    Args:
        curves: Axis, smoothing and scales.
        show: The runs themselves, or one line per group.
        centre: The line of a group.
        band: The area around it.
        color_by: ``run``, ``group``, or a key of the configuration.
        together: True to draw training and validation of the metric together.
    """

    curves: ChartView
    show: Show = "runs"
    centre: Centre = "mean"
    band: Band = "std"
    color_by: str = BY_RUN
    together: bool = False


# --- the same budget -----------------------------------------------------------------------------------------------


def at_equal_budget(statuses: Sequence[RunStatus], tag: str, budget: Budget) -> tuple[tuple[RunStatus, ...], str]:
    """Return the runs with all their series cut where the shortest ends in one, and a sentence that says so.

    Args:
        statuses: The runs.
        tag: The series that tells where a run ends.
        budget: Steps, or time since the start of each run; ``all`` cuts nothing and says nothing.
    """
    starts = [status.scalars.first_event for status in statuses]
    limit = common_limit([status.scalars.points(tag) for status in statuses], starts, budget)
    if limit is None:
        return tuple(statuses), ""
    where = f"step {format_step(round(limit.limit))}" if budget == "steps" else f"{format_duration(limit.limit)} after"
    shortest = plain(statuses[limit.shortest].run.name)
    rest = "" if budget == "steps" else " their start"
    return tuple(
        _cut(status, limit) for status in statuses
    ), f"All runs are cut at {where}{rest}, where {shortest} ends."


def _cut(status: RunStatus, limit: Limit) -> RunStatus:
    scalars = status.scalars
    series = {tag: limit.cut(points, scalars.first_event) for tag, points in scalars.series.items()}
    return replace(status, scalars=replace(scalars, series=series))


# --- colours -------------------------------------------------------------------------------------------------------


def group_styles(groups: Sequence[Group]) -> dict[str, Style]:
    """Return the style of each group: by its place among the names, so that the same groups always look the same."""
    names = sorted(group.name for group in groups)
    return {name: charts.palette_style(number) for number, name in enumerate(names)}


def run_looks(found: RunComparison, color_by: str, own: Mapping[str, Style]) -> dict[str, Style]:
    """Return the style of each run compared; those that others are measured against are drawn thicker.

    Args:
        found: The comparison.
        color_by: ``run``, ``group``, or a key of the configuration; one that does not differ counts as ``run``.
        own: Run → its style on all pages.
    """
    names = [status.run.name for status in found.statuses]
    looks = {name: own.get(name, charts.palette_style(0)) for name in names}
    if color_by == BY_GROUP:
        looks = _by_group(found.comparison)
    elif color_by in _coloring(found):
        looks = _by_value(_coloring(found)[color_by], names)
    thick = _baseline_runs(found.comparison)
    return {name: charts.emphasised(look) if name in thick else look for name, look in looks.items()}


def color_keys(found: RunComparison) -> list[str]:
    """Return the keys of the configuration that runs can be coloured by."""
    return list(_coloring(found))


def _coloring(found: RunComparison) -> Mapping[str, Mapping[str, ConfigValue]]:
    return found.difference.settings


def _by_group(comparison: Comparison) -> dict[str, Style]:
    groups = [row.group for row in comparison.groups]
    styles = group_styles(groups)
    return {run: styles[group.name] for group in groups for run in group.runs}


def _by_value(values: Mapping[str, ConfigValue], names: Sequence[str]) -> dict[str, Style]:
    """Return a colour per value: in order along a ramp for numbers, different ones for words."""
    numbers = {name: number for name in names if (number := number_of(values.get(name))) is not None}
    ordered = sorted(set(numbers.values()))
    if len(ordered) > 2 and len(numbers) == len(names):
        return {name: Style(ramp_color(ordered.index(number) / (len(ordered) - 1))) for name, number in numbers.items()}
    texts = sorted({config_text(values.get(name)) for name in names})
    return {name: charts.palette_style(texts.index(config_text(values.get(name)))) for name in names}


def number_of(value: ConfigValue) -> float | None:
    """Return a configured value as a number; None for words, switches and what is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def ramp_color(share: float) -> str:
    """Return the colour at a place of the ramp, 0 to 1."""
    stops = [tuple(int(color[at : at + 2], 16) for at in (1, 3, 5)) for color in RAMP]
    place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    mixed = (round(a + (b - a) * (place - first)) for a, b in zip(stops[first], stops[first + 1], strict=True))
    return "#" + "".join(f"{part:02X}" for part in mixed)


def _baseline_runs(comparison: Comparison) -> frozenset[str]:
    if comparison.baseline is None:
        return frozenset()
    return frozenset(
        run
        for row in comparison.groups
        if comparison.baseline in (row.group.name, *row.group.runs)
        for run in row.group.runs
    )


# --- charts --------------------------------------------------------------------------------------------------------


def overlay_chart(
    found: RunComparison,
    tag: str | None,
    view: OverlayView,
    own: Mapping[str, Style],
    *,
    key: str = "overlay",
    height: int = OVERLAY_HEIGHT,
) -> RunChart:
    """Return one series of several runs over each other.

    Args:
        found: The comparison; its runs are drawn, cut if they are.
        tag: The series; None for the one that was compared in each run.
        view: How to show it.
        own: Run → its style on all pages.
        key: Names the chart.
        height: In pixels.
    """
    drafter = _Drafter(found, tag, view, own)
    grouped = view.show == "groups"
    curves = drafter.group_curves() if grouped else drafter.run_curves()
    return RunChart(
        key,
        tag or found.comparison.tag,
        _layout(curves, drafter.axis, view.curves, height),
        tuple(curves),
        drafter.empty,
        drafter.group_note() if grouped else "",
        view.curves.smoothing,
    )


def _layout(curves: Sequence[charts.Curve], axis: XKind, view: ChartView, height: int) -> charts.Layout:
    """Return the layout of an overlay: the names of many lines are short and share the rows of the legend."""
    many = len(curves) > FEW_LINES
    shown = [replace(curve, label=_short(curve.label)) for curve in curves] if many else curves
    if len(curves) > charts.MOST_STYLES:
        shown = [replace(curve, style=_without_palette_dash(curve.style)) for curve in shown]
    legend_rows = min(len(curves), LEGEND_NAMES) // LEGEND_COLUMNS if many else 0
    layout = charts.layout_of(
        shown,
        axis,
        log_y=view.log_y,
        log_x=view.log_x,
        clip_outliers=view.clip_outliers,
        max_points=charts.MAX_POINTS_OVERLAY,
        height=height + LEGEND_ROW_HEIGHT * legend_rows,
        # One name per row still fits on a phone; more lines than a phone can show share the rows of a wide page.
        width_characters=WIDE_CHARACTERS if many and height == OVERLAY_HEIGHT else NARROW_CHARACTERS,
    )
    return replace(layout, picks_out=len(curves) > 1)


def _without_palette_dash(style: Style) -> Style:
    """Return a style drawn solid, but for a validation: among so many lines a dash tells no run from another.

    To draw a hundred lines stroke by stroke takes the browser three times as long.
    """
    return style if style.dash == VALIDATION_DASH else replace(style, dash=())


def _short(label: str) -> str:
    return shorten_middle(plain(label), SHORT_LABEL)


@dataclass(frozen=True, slots=True)
class _Drafter:
    """Makes the lines of one series of several runs."""

    found: RunComparison
    tag: str | None
    view: OverlayView
    own: Mapping[str, Style]

    def tag_of(self, status: RunStatus) -> str | None:
        """Return the series of a run to draw, None where it lacks it."""
        compared = {one.run.name: tag for one, tag in zip(self.found.statuses, self.found.tags, strict=True)}
        tag = compared[status.run.name] if self.tag is None else self.tag
        return tag if tag in status.scalars.series else None

    @property
    def axis(self) -> XKind:
        """The axis that all runs are drawn on."""
        return x_kind_of(self.found.statuses, self.view.curves)

    @property
    def empty(self) -> str:
        """What to say where there is nothing to draw."""
        if self.axis == "epoch":
            return NO_EPOCHS
        if self.view.show == "groups":
            return "No place on this axis lies within all runs of a group. Choose another axis, or show the runs."
        return "None of the runs has a point in this series."

    def run_curves(self) -> list[charts.Curve]:
        """Return one line per run that has the series, with its validation or training where both are asked for."""
        looks = run_looks(self.found, self.view.color_by, self.own)
        names = [status.run.name for status in self.found.statuses]
        labels = dict(zip(names, charts.without_common_path(names), strict=True))
        lines = []
        for status in self.found.statuses:
            name = status.run.name
            label = self._label(name, labels[name])
            lines += [
                series_curve(status, role, f"{label}{more}", look, self.view.curves, self.axis)
                for role, more, look in self._series_of(status, looks[name])
            ]
        return lines

    def _series_of(self, status: RunStatus, look: Style) -> list[tuple[RoleTag, str, Style]]:
        """Return which series of a run are drawn, what their labels add, and their looks."""
        tag = self.tag_of(status)
        if tag is None:
            return []
        if not self.view.together:
            return [(RoleTag(tag, tag), "", look)]
        training, validation = pair_of(status, tag)
        solid = [(training, " · training", replace(look, dash=()))] if training else []
        dashed = [(validation, " · validation", replace(look, dash=VALIDATION_DASH))] if validation else []
        return [(RoleTag(tag, tag), more, drawn) for tag, more, drawn in solid + dashed]

    def _label(self, run: str, label: str) -> str:
        """Return the name of a line: with what its colour says in front, where that is not the run itself."""
        if self.view.color_by == BY_GROUP:
            said = self.found.comparison.label_of(run) or ""
            return (
                label
                if not self.found.comparison.is_grouped
                else f"{shorten_middle(said, MOST_NAME_CHARACTERS)} · {label}"
            )
        values = _coloring(self.found).get(self.view.color_by)
        if values is None:
            return label
        return f"{shorten_middle(config_text(values.get(run)), MOST_NAME_CHARACTERS)} · {label}"

    def group_curves(self) -> list[charts.Curve]:
        """Return one line with its area per group; of a run alone its line."""
        comparison = self.found.comparison
        statuses = {status.run.name: status for status in self.found.statuses}
        styles = group_styles([row.group for row in comparison.groups])
        thick = _baseline_runs(comparison)
        lines = []
        for row in comparison.groups:
            members = [statuses[run] for run in row.group.runs if self.tag_of(statuses[run])]
            style = styles[row.group.name]
            look = charts.emphasised(style) if row.group.runs[0] in thick else style
            if members:
                curve = group_curve([self._course(status) for status in members], self.view.centre, self.view.band)
                lines.append(charts.group_line(curve, _group_label(row.group.name, len(members)), look))
        return lines

    def _course(self, status: RunStatus) -> Curve:
        """Return places and values of one run, smoothed as the reader wants."""
        points = course_of(status.scalars.points(self.tag_of(status)), self.view.curves.smoothing)
        return places_of(status, points, self.axis), points.value

    def group_note(self) -> str:
        """Return what the lines and areas of groups are."""
        smoothing = self.view.curves.smoothing
        smoothed = f"each run smoothed {smoothing:g} before" if smoothing > 0 else ""
        parts = (
            f"line: {CENTRE_WORDS[self.view.centre]} where all runs of a group have values",
            f"area: {BAND_WORDS[self.view.band]}",
            smoothed,
        )
        return " · ".join(part for part in parts if part)


def _group_label(name: str, count: int) -> str:
    return f"{name} ({count} {'run' if count == 1 else 'runs'})"


def pair_of(status: RunStatus, tag: str) -> tuple[str | None, str | None]:
    """Return the training and the validation series that belong together with a series of a run; None for none."""
    training = status.roles.loss.tag if status.roles.loss else None
    validation = [role.tag for role in status.roles.validation]
    if tag == training:
        return tag, next(iter(validation), None)
    return (training, tag) if tag in validation else (tag, None)


def what_is_compared(statuses: Sequence[RunStatus]) -> tuple[tuple[str, int, int | None, int], ...]:
    """Return what tells whether a comparison of some runs is still the same: names, scalars, health, configurations."""
    return tuple(
        (
            status.run.name,
            status.scalars.version,
            status.health.score,
            hash(frozenset(status.configuration.values.items())),
        )
        for status in statuses
    )
