"""Everything a specification depends on, so that equal layouts share one and a refresh never changes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from monitor.charts.curves import Curve
from monitor.charts.styles import Style
from monitor.text import UNKNOWN, plain, shorten_middle

XKind = Literal["step", "epoch", "relative", "wall"]
YKind = Literal["number", "learning_rate", "seconds", "percent", "score", "celsius", "watts", "megabytes_per_second"]

MAX_POINTS_PER_CHART = 1_000
MAX_POINTS_OVERLAY = 4_000
LABEL_WIDTH = 60


@dataclass(frozen=True, slots=True)
class ReferenceBand:
    """A stretch of the y axis drawn faintly behind the lines; a rule where both limits are equal.

    Args:
        low: Lower limit, in the unit of the axis.
        high: Upper limit.
        words: What the caption says of it, e.g. "grey: recommended, 1e-05 to 1e-03"; "" for nothing.
    """

    low: float
    high: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything a specification depends on; two equal layouts share one specification.

    Args:
        labels: Names of the lines, all different.
        styles: Colour, dash and width of each.
        x_kind: What the x axis shows.
        x_title: Its title, with the unit.
        x_scale: Factor from the values of a curve to those on the axis.
        y_title: Title of the y axis, with the unit.
        y_kind: What the y axis shows, for its number format and the texts under the pointer.
        log_y: True for a logarithmic y axis.
        y_domain: Fixed limits, None to follow the data.
        steps: True to hold each value until the next point instead of joining them.
        height: Of the chart, in pixels.
        width_characters: About how many characters fit beside each other; the legend is laid out by it.
        max_points: Upper limit for all lines together.
        log_x: True for a logarithmic x axis.
        clip_outliers: True to have the y axis end where almost all values do; `y_domain` wins over it.
        bands: Stretches of the y axis that mean something.
        has_areas: True where lines have an area around them.
        picks_out: True where the line nearest to the pointer comes to the front and the others fade.
    """

    labels: tuple[str, ...]
    styles: tuple[Style, ...]
    x_kind: XKind
    x_title: str
    x_scale: float = 1.0
    y_title: str = ""
    y_kind: YKind = "number"
    log_y: bool = False
    y_domain: tuple[float, float] | None = None
    steps: bool = False
    height: int = 230
    width_characters: int = 44
    max_points: int = MAX_POINTS_PER_CHART
    log_x: bool = False
    clip_outliers: bool = False
    bands: tuple[ReferenceBand, ...] = ()
    has_areas: bool = False
    picks_out: bool = False


def layout_of(
    curves: Sequence[Curve],
    x_kind: XKind,
    *,
    y_title: str = "",
    y_kind: YKind = "number",
    log_y: bool = False,
    y_domain: tuple[float, float] | None = None,
    steps: bool = False,
    height: int = 230,
    width_characters: int = 44,
    max_points: int = MAX_POINTS_PER_CHART,
    log_x: bool = False,
    clip_outliers: bool = False,
    bands: Sequence[ReferenceBand] = (),
) -> Layout:
    """Return the layout for some curves; relative time gets the unit that suits its span.

    A time of day has no logarithm: there `log_x` is without effect.
    """
    title, scale = _x_title(curves, x_kind)
    return Layout(
        labels=_distinct_labels([curve.label for curve in curves]),
        styles=tuple(curve.style for curve in curves),
        x_kind=x_kind,
        x_title=title,
        x_scale=scale,
        y_title=y_title,
        y_kind=y_kind,
        log_y=log_y,
        y_domain=y_domain,
        steps=steps,
        height=height,
        width_characters=width_characters,
        max_points=max_points,
        log_x=log_x and x_kind != "wall",
        clip_outliers=clip_outliers and y_domain is None,
        bands=tuple(bands),
        has_areas=any(curve.low is not None for curve in curves),
    )


def _x_title(curves: Sequence[Curve], x_kind: XKind) -> tuple[str, float]:
    if x_kind == "wall":
        return "time", 1000.0
    if x_kind != "relative":
        return x_kind, 1.0
    span = max((float(curve.x[-1]) for curve in curves if len(curve.x)), default=0.0)
    for unit, seconds in (("h", 3600.0), ("min", 60.0)):
        if span >= 2 * seconds:
            return f"time since the start ({unit})", 1 / seconds
    return "time since the start (s)", 1.0


def _distinct_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels as harmless single lines, those that would coincide numbered."""
    found: dict[str, None] = {}
    for label in labels:
        # The end of a path names the run, its beginning the task: the middle goes.
        text = shorten_middle(plain(label), LABEL_WIDTH) or UNKNOWN
        number = 2
        candidate = text
        while candidate in found:
            candidate = f"{text} ({number})"
            number += 1
        found[candidate] = None
    return tuple(found)
