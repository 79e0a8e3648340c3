"""Curves → the data of charts, fed as Arrow to a specification that stays.

`styles` gives lines their colours, `curves` makes lines of what was read, and a `Layout` says everything the
specification depends on; `chart_spec.build_spec` turns it into a dict. `draw` makes the data sets for it: at most
`MAX_POINTS_PER_CHART` points, every extreme kept, with the part the reader has zoomed into at full density. As long as
the layout stays, a refresh replaces rows only, and the browser keeps its view, its zoom and the highlighted series.

Names of runs and tags are data throughout: they stand in the rows and in the list of the legend, never inside an
expression of Vega. Colours are fit for a light and a dark page alike, and the background is left to the page.

Public names::

    layout_of(curves, x_kind, ...) -> Layout        # what build_spec needs
    draw(layout, curves, ...) -> Drawing            # data sets and caption
    curve_of(points, x, label, style, ...) -> Curve
    group_line(group, label, style) -> Curve        # a mean with its interval
    finding_marks(...), checkpoint_marks(...)       # what happened, placed on the axis
    render_curves_csv(curves, x_kind) -> bytes      # every point, for a download
"""

from monitor.charts.curves import (
    Curve,
    Mark,
    checkpoint_marks,
    curve_of,
    finding_marks,
    group_line,
    health_points,
    without_common_path,
)
from monitor.charts.drawing import Drawing, draw
from monitor.charts.export import render_curves_csv
from monitor.charts.layouts import (
    MAX_POINTS_OVERLAY,
    MAX_POINTS_PER_CHART,
    Layout,
    ReferenceBand,
    XKind,
    YKind,
    layout_of,
)
from monitor.charts.lines import MAX_POINTS_PER_SERIES
from monitor.charts.machine import disk_curves, gpu_curves, gpu_memory_percent, host_curves
from monitor.charts.styles import (
    MOST_STYLES,
    PALETTE,
    SEVERITY_COLORS,
    Style,
    StyleBook,
    beside,
    emphasised,
    palette_style,
)

__all__ = [
    "MAX_POINTS_OVERLAY",
    "MAX_POINTS_PER_CHART",
    "MAX_POINTS_PER_SERIES",
    "MOST_STYLES",
    "PALETTE",
    "SEVERITY_COLORS",
    "Curve",
    "Drawing",
    "Layout",
    "Mark",
    "ReferenceBand",
    "Style",
    "StyleBook",
    "XKind",
    "YKind",
    "beside",
    "checkpoint_marks",
    "curve_of",
    "disk_curves",
    "draw",
    "emphasised",
    "finding_marks",
    "gpu_curves",
    "gpu_memory_percent",
    "group_line",
    "health_points",
    "host_curves",
    "layout_of",
    "palette_style",
    "render_curves_csv",
    "without_common_path",
]
