"""The blocks that pages are made of: each draws one part of a run's status, and says plainly what is missing."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import streamlit as st

from monitor import charts
from monitor.analysis.compare import Comparison, RunRow, compare_runs, config_difference
from monitor.analysis.roles import direction_of
from monitor.analysis.series import axis_values, visible
from monitor.charts import Curve, Style, XKind, YKind
from monitor.figures import BAND_WORDS, VERDICT_WORDS, comparison_cells, moment, saved_text, sum_text
from monitor.report import prose, render_comparison_report, render_report
from monitor.schema import (
    SEVERITIES,
    Band,
    Checkpoint,
    Configuration,
    ConfigValue,
    Finding,
    Floats,
    GpuSample,
    Health,
    Metric,
    Points,
    Progress,
    ReadProblem,
    Roles,
    RoleTag,
    Sample,
    Severity,
    State,
    TrendBar,
)
from monitor.status import RunStatus
from monitor.text import (
    MINUS,
    UNKNOWN,
    code_span,
    format_age,
    format_bytes,
    format_change,
    format_duration,
    format_learning_rate,
    format_number,
    format_percent,
    format_step,
    format_time,
    plain,
)
from monitor.ui import cache, frame
from monitor.ui.frame import ChartView, LiveView
from monitor.watch import LogWatch

Badge = Literal["red", "orange", "blue", "green", "gray"]

STATE_BADGES: Final[dict[State, tuple[str, Badge]]] = {
    "waiting": (":material/hourglass_empty:", "gray"),
    "running": (":material/play_circle:", "green"),
    "stalled": (":material/pause_circle:", "orange"),
    "finished": (":material/check_circle:", "blue"),
}
SEVERITY_BADGES: Final[dict[Severity, tuple[str, Badge]]] = {
    "info": (":material/info:", "gray"),
    "notice": (":material/info:", "blue"),
    "warning": (":material/warning:", "orange"),
    "error": (":material/error:", "red"),
    "critical": (":material/emergency_home:", "red"),
}
BAND_BADGES: Final[dict[Band, Badge]] = {
    "excellent": "green",
    "normal": "blue",
    "problems": "orange",
    "abnormal": "red",
}
CARD_WIDTH = 160
CHART_WIDTH = 400
FINDING_WIDTH = 320
MAX_METRIC_CARDS = 4
LOOK_FOR_RUNS_SECONDS = 3.0
ALARMING: Final = ("deleted", "replaced", "shrunk", "no_permission", "unreadable")
MOST_ALARMS = 3


# --- nothing to show yet -------------------------------------------------------------------------------------------


def draw_no_runs(watch: LogWatch) -> None:
    """Say which directories were searched, wait for the first run, and offer the demo."""
    st.subheader("No runs yet")
    st.write("No TensorBoard event file was found below this directory. The page goes on looking.")
    st.code("\n".join(plain(str(directory)) for directory in watch.directories), language=None)
    st.write("Start a training that writes event files there, or start the page with another directory:")
    st.code("streamlit run streamlit_app.py -- --logdir DIR", language=None)
    st.write("To look around first, let it make small demo runs: some finished ones, and one that trains on.")
    if st.button("Make demo runs", type="primary", icon=":material/science:", key="demo"):
        with frame.reporting_errors():
            frame.start_demo(watch.directories[0])
            st.info("The demo is being written; its runs appear here in some seconds.", icon=":material/hourglass_top:")
    st.fragment(_wait_for_runs, run_every=LOOK_FOR_RUNS_SECONDS)(watch)


def _wait_for_runs(watch: LogWatch) -> None:
    with frame.reporting_errors():
        found = watch.find_runs(time.time())
        draw_problems(found.problems)
        if found.runs:
            st.rerun()
        st.caption(f"Looked at {format_time(time.time(), frame.time_zone())}.")


def draw_alarms(problems: Sequence[ReadProblem]) -> None:
    """Say at once what happened to the files of the run while they were watched, or what bars the way to them."""
    for problem in [problem for problem in problems if problem.kind in ALARMING][:MOST_ALARMS]:
        st.warning(f"{code_span(problem.path)}: {prose(problem.detail)}", icon=":material/report:")


def draw_problems(problems: Sequence[ReadProblem]) -> None:
    """List what could not be read, with the place and what to do; nothing without problems."""
    if not problems:
        return
    count = len(problems)
    title = "One file could not be read in full" if count == 1 else f"{count} places could not be read in full"
    with st.expander(title, icon=":material/report:", key="problems"):
        for problem in problems[:50]:
            place = "" if problem.offset is None else f" at byte {format_step(problem.offset)}"
            st.markdown(f"{code_span(problem.path)}{place}: {prose(problem.detail)}")
        if count > 50:
            st.caption(f"And {format_step(count - 50)} more.")


# --- the state of a run --------------------------------------------------------------------------------------------


def draw_state(status: RunStatus, view: LiveView) -> None:
    """Draw the name of the run, its state with the evidence, and when the page looked last."""
    icon, color = STATE_BADGES[status.state.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="state"):
        st.badge(status.state.state, icon=icon, color=color)
        st.markdown(f"**{code_span(status.run.name)}**", width="content")
        st.caption(prose(status.state.reason), width="content")
        st.caption(_updated(status, view), width="content")


def _updated(status: RunStatus, view: LiveView) -> str:
    clock = format_time(status.now, view.chart.zone).split()[1]
    pace = "paused" if view.refresh_seconds is None else f"every {view.refresh_seconds:g} s"
    return f"updated {clock}, {pace}"


def draw_progress(status: RunStatus) -> None:
    """Draw how far the run is and how long it will take; without a known total only how far."""
    progress = status.progress
    if progress.fraction is None:
        st.caption(f"{_position(progress)} · {_speed(progress)}time left unknown: the planned total is not known.")
        return
    share = min(max(progress.fraction, 0.0), 1.0)
    source = f" · total from {code_span(progress.total_source)}" if progress.total_source else ""
    done = f"{_position(progress)} · {format_percent(100 * share)}"
    st.progress(share, text=f"{done} · {_speed(progress)}{_time_left(progress, share)}{source}")


def _time_left(progress: Progress, share: float) -> str:
    if share >= 1:
        return "done"
    return "time left unknown" if progress.eta_seconds is None else f"{format_duration(progress.eta_seconds)} left"


def _position(progress: Progress) -> str:
    if progress.epoch is not None:
        total = "" if progress.total_epochs is None else f" of {format_step(progress.total_epochs)}"
        return f"Epoch {format_step(progress.epoch)}{total}"
    total = "" if progress.total_steps is None else f" of {format_step(progress.total_steps)}"
    return f"Step {format_step(progress.step)}{total}"


def _speed(progress: Progress) -> str:
    if progress.epoch_seconds is not None:
        return f"{format_duration(progress.epoch_seconds)} per epoch · "
    if progress.steps_per_second:
        return f"{format_number(progress.steps_per_second, 3)} steps per second · "
    return ""


# --- cards ---------------------------------------------------------------------------------------------------------


def draw_cards(status: RunStatus) -> None:
    """Draw the figures of the run, a card each, of equal height."""
    judged = [("Validation", metric) for metric in status.validation] + [("Score", metric) for metric in status.scores]
    shown = judged[:MAX_METRIC_CARDS]
    count = 5 + len(shown)
    # Rows of equal length where there is room for more than one.
    columns = count if count <= 6 else math.ceil(count / 2)
    with st.grid(columns, min_column_width=CARD_WIDTH, gap="small"):
        _health_card(status.health, status.progress)
        _loss_card(status)
        _best_card(status)
        for word, metric in shown:
            _metric_card(f"{word} {code_span(metric.label)}", metric, status.progress)
        _learning_rate_card(status.learning_rate)
        _epoch_time_card(status)
    if len(judged) > len(shown):
        st.caption(
            f"{len(judged) - len(shown)} more validation series and scores can be drawn below, under all series."
        )


def _card(label: str, value: str, note: str, help_text: str, **change: Any) -> None:  # noqa: ANN401 (st.metric's)
    with st.container(border=True, height="stretch", gap="xxsmall"):
        st.metric(label, value, help=help_text, **change)
        st.caption(note or " ")


def _change(metric: Metric) -> dict[str, Any]:
    """Return the arguments that show a change, coloured by whether it is for the better."""
    if metric.change_percent is None:
        return {}
    colors = {"min": "inverse", "max": "normal"}
    # Streamlit takes the direction of the arrow from an ASCII minus.
    text = format_change(metric.change_percent).replace(MINUS, "-")
    if text == format_change(0.0) or metric.direction is None:
        return {"delta": text, "delta_color": "off", "delta_arrow": "off"}
    return {"delta": text, "delta_color": colors[metric.direction]}


CHANGE_HELP: Final = "Change: (newest − the one before) / |the one before|. Green is for the better."


def _loss_card(status: RunStatus) -> None:
    loss = status.loss
    if loss is None:
        why = "No series was recognised as training loss. Choose one below, under “Which series means what”."
        _card("Training loss", UNKNOWN, "no loss series", why)
        return
    note = f"{VERDICT_WORDS[status.health.verdict]} · {moment(loss.step, status.progress)}"
    _card(
        "Training loss",
        format_number(loss.value),
        note,
        f"Series {code_span(loss.tag)}. {CHANGE_HELP}",
        **_change(loss),
    )


def _best_card(status: RunStatus) -> None:
    loss = status.loss
    if loss is None or loss.best is None:
        free = loss is not None and loss.direction is None
        note = "neither smaller nor larger is better" if free else "no finite value"
        _card("Best loss", UNKNOWN, note, "The best finite value so far.")
        return
    note = f"at {moment(loss.best_step, status.progress)}"
    _card("Best loss", format_number(loss.best), note, "The smallest finite value so far, points overwritten left out.")


def _metric_card(label: str, metric: Metric, progress: Progress) -> None:
    best = "" if metric.best is None else f"best {format_number(metric.best)} at {moment(metric.best_step, progress)}"
    _card(label, format_number(metric.value), best, f"Series {code_span(metric.tag)}. {CHANGE_HELP}", **_change(metric))


def _learning_rate_card(metric: Metric | None) -> None:
    if metric is None:
        _card("Learning rate", UNKNOWN, "not logged", "No series was recognised as learning rate.")
        return
    help_text = f"Series {code_span(metric.tag)}. Usual for Adam: 1e-05 to 1e-03."
    _card("Learning rate", format_learning_rate(metric.value), "", help_text, **_change(metric))


def _epoch_time_card(status: RunStatus) -> None:
    metric, typical = status.epoch_duration, status.progress.epoch_seconds
    if metric is not None:
        note = "" if typical is None else f"typically {format_duration(typical)}"
        help_text = f"Series {code_span(metric.tag)}. {CHANGE_HELP}"
        _card("Epoch time", format_duration(metric.value), note, help_text, **_change(metric))
        return
    note = "from the times of the events" if typical is not None else "unknown"
    _card("Epoch time", format_duration(typical), note, "The typical time of the recent epochs.")


def _health_card(health: Health, progress: Progress) -> None:
    help_text = (
        "100 minus what the open findings take off: 90–100 excellent, 70–89 normal with small issues, "
        "50–69 clear problems, below 50 abnormal. A check that could not run neither helps nor hurts."
    )
    if health.score is None or health.band is None:
        _card("Health", UNKNOWN, "not enough data yet", help_text)
        return
    with st.container(border=True, height="stretch", gap="xxsmall"):
        st.metric("Health", f"{health.score} / 100", help=help_text)
        st.badge(BAND_WORDS[health.band], color=BAND_BADGES[health.band])
        provisional = ". Provisional: few points so far." if health.provisional else ""
        st.caption(prose(sum_text(health, progress.first_epoch_step)) + provisional)


# --- findings ------------------------------------------------------------------------------------------------------


def draw_findings(status: RunStatus) -> None:
    """Draw the open findings as cards, the worst first; closed ones and checks that did not run below a fold."""
    health = status.health
    still_open = sorted((item for item in health.findings if item.open), key=_urgency, reverse=True)
    if still_open:
        with st.grid(min(len(still_open), 3), min_column_width=FINDING_WIDTH, gap="small"):
            for finding in still_open:
                _finding_card(finding, status.progress)
    closed = [item for item in health.findings if not item.open]
    with st.expander(_checks_title(status, len(still_open), len(closed)), icon=":material/checklist:", key="checks"):
        for finding in closed:
            st.markdown(f"{_since(finding, status.progress)} {prose(finding.evidence)}")
        for check in health.checks.not_checked:
            st.caption(f"Not checked: {prose(check.kind.replace('_', ' '))} – {prose(check.why)}")
        if not closed and not health.checks.not_checked:
            st.caption("Nothing was left out.")


def _urgency(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _checks_title(status: RunStatus, still_open: int, closed: int) -> str:
    checks = status.health.checks
    opened = {0: "No open finding", 1: "One open finding"}.get(still_open, f"{still_open} open findings")
    return f"{opened} · {closed} recovered · {checks.ran} of {checks.of} checks ran"


def _finding_card(finding: Finding, progress: Progress) -> None:
    icon, color = SEVERITY_BADGES[finding.severity]
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.markdown(f":{color}-badge[{icon} {finding.severity}] {_since(finding, progress)}")
        st.markdown(prose(finding.evidence))
        # The advice for a consequence is that for its cause, which has a card of its own.
        st.caption(prose(finding.advice if finding.explained_by is None else "Another finding explains this one."))


def _since(finding: Finding, progress: Progress) -> str:
    what = f"**{prose(finding.kind.replace('_', ' ').capitalize())}**"
    where = f" in {code_span(finding.tag)}" if finding.tag else ""
    since = f", since {moment(finding.onset_step, progress)}" if finding.onset_step is not None else ""
    over = "" if finding.open else f", over at {moment(finding.recovered_step, progress)}."
    return f"{what}{where}{since}{over}"


# --- charts of one run ---------------------------------------------------------------------------------------------


def draw_run_charts(status: RunStatus, samples: Sequence[Sample], view: ChartView, style: Style) -> None:
    """Draw the six charts of a run: loss, learning rate, epoch time, machine, health, validation."""
    roles = status.roles
    with st.grid("auto", min_column_width=CHART_WIDTH, gap="small"):
        _loss_chart(status, view, style)
        _role_chart("learning-rate", "Learning rate", status, roles.learning_rate, view, style)
        _role_chart("epoch-time", "Epoch duration", status, roles.duration, view, style)
        _machine_chart(status, samples, view)
        _health_chart(status, view, style)
        _validation_chart(status, view, style)


def _loss_chart(status: RunStatus, view: ChartView, style: Style) -> None:
    roles = status.roles
    curves = [] if roles.loss is None else [_curve(status, roles.loss, "training", style, view)]
    dashed = charts.beside(style, len(roles.validation))
    curves += [
        _curve(status, role, role.label, look, view) for role, look in zip(roles.validation, dashed, strict=True)
    ]
    empty = "No series was recognised as training loss. Choose one under “Which series means what”."
    _draw_chart("loss", "Training loss", curves, status, view, empty, y_title="loss", log_y=view.log_y)


def _validation_chart(status: RunStatus, view: ChartView, style: Style) -> None:
    shown = status.roles.validation or status.roles.scores
    looks = charts.beside(style, len(shown))
    curves = [_curve(status, role, role.label, look, view) for role, look in zip(shown, looks, strict=True)]
    title = "Validation loss" if status.roles.validation or not shown else "Scores"
    _draw_chart("validation", title, curves, status, view, "This run logs no validation series.", log_y=view.log_y)


def _role_chart(key: str, title: str, status: RunStatus, role: RoleTag | None, view: ChartView, style: Style) -> None:
    is_rate = key == "learning-rate"
    curves = [] if role is None else [_curve(status, role, title, style, view, smooth=False)]
    y_kind: YKind = "learning_rate" if is_rate else "seconds"
    empty = f"This run logs no {title.lower()}."
    _draw_chart(
        key, title, curves, status, view, empty, y_title="" if is_rate else "seconds", y_kind=y_kind, log_y=is_rate
    )


def _machine_chart(status: RunStatus, samples: Sequence[Sample], view: ChartView) -> None:
    has_gpu = bool(status.sample.gpus)
    curves = charts.gpu_curves(samples) if has_gpu else charts.host_curves(samples)
    title = "GPU utilisation" if has_gpu else "CPU and memory"
    note = None if has_gpu else status.sample.gpu_note
    _draw_chart(
        "machine",
        title,
        curves,
        status,
        view,
        "No reading of the machine yet.",
        x_kind="wall",
        y_title="percent",
        y_kind="percent",
        y_domain=(0.0, 100.0),
        note=note,
    )


def _health_chart(status: RunStatus, view: ChartView, style: Style) -> None:
    points = charts.health_points(status.health_history)
    curves = [charts.curve_of(points, _places(status, points, view), "health", style)] if len(points) else []
    _draw_chart(
        "health",
        "Health",
        curves,
        status,
        view,
        "Not enough data yet for a score.",
        y_title="score",
        y_kind="score",
        y_domain=(0.0, 100.0),
        steps=True,
        note="from the series alone; the load of the machine is not in it",
    )


def draw_all_series(status: RunStatus, view: ChartView, style: Style) -> None:
    """Draw, below a fold, the series the reader chooses, side by side."""
    title = f"All {format_step(len(status.scalars.series))} series"
    with st.expander(title, icon=":material/show_chart:", key="all-series"):
        _series_charts(status, frame.pick_tags(status.scalars.tags), view, style)


def _series_charts(status: RunStatus, tags: Sequence[str], view: ChartView, style: Style) -> None:
    with st.grid("auto", min_column_width=CHART_WIDTH, gap="small"):
        for number, tag in enumerate(tags):
            curve = _curve(status, RoleTag(tag, tag, None), tag, style, view)
            _draw_chart(
                f"series-{number}",
                code_span(tag),
                [curve],
                status,
                view,
                "This run has no such series.",
                log_y=view.log_y,
            )


def _curve(
    status: RunStatus,
    role: RoleTag,
    label: str,
    style: Style,
    view: ChartView,
    *,
    smooth: bool = True,
    mark_findings: bool = True,
) -> Curve:
    points = visible(status.scalars.points(role.tag))
    marked = [item for item in status.health.findings if mark_findings and item.open and item.tag == role.tag]
    return charts.curve_of(
        points,
        _places(status, points, view),
        label,
        style,
        scale=role.scale,
        weight=view.smoothing if smooth else 0.0,
        onset_steps=[item.onset_step for item in marked if item.onset_step is not None],
    )


def _places(status: RunStatus, points: Points, view: ChartView) -> Floats:
    epoch = status.roles.epoch
    return axis_values(
        points,
        _x_kind([status], view),
        status.scalars.first_event,
        None if epoch is None else visible(status.scalars.points(epoch.tag)),
        status.progress.first_epoch_step,
    )


def _x_kind(statuses: Iterable[RunStatus], view: ChartView) -> XKind:
    if view.axis != "automatic":
        return view.axis
    return "epoch" if all(status.progress.steps_are_epochs for status in statuses) else "step"


def _draw_chart(
    key: str,
    title: str,
    curves: Sequence[Curve],
    status: RunStatus,
    view: ChartView,
    empty: str,
    *,
    x_kind: XKind | None = None,
    note: str | None = None,
    **layout: Any,  # noqa: ANN401 (those of charts.layout_of)
) -> None:
    with st.container(border=True, height="stretch", gap="xsmall", key=f"chart-{key}"):
        st.markdown(f"**{title}**")
        axis = x_kind or _x_kind([status], view)
        if not any(len(curve.x) for curve in curves):
            st.caption(_why_empty(curves, view, empty))
            return
        # Another run or axis is another chart: a zoom does not fit there.
        _draw_curves(f"{key} {axis} {status.run.name}", curves, axis, view, note, **layout)


def _why_empty(curves: Sequence[Curve], view: ChartView, empty: str) -> str:
    if curves and view.axis == "epoch":
        return "Nothing to place on this axis: the run does not tell its epochs. Choose another axis under “Charts”."
    return empty


def _draw_curves(
    key: str,
    curves: Sequence[Curve],
    axis: XKind,
    view: ChartView,
    note: str | None = None,
    **layout_options: Any,  # noqa: ANN401 (those of charts.layout_of)
) -> None:
    layout = charts.layout_of(curves, axis, **layout_options)
    is_smoothed = any(curve.smoothed is not None for curve in curves)
    drawing = charts.draw(
        layout, curves, smoothing=view.smoothing if is_smoothed else 0.0, zoom=frame.zoom_of(key), zone=view.zone
    )
    st.vega_lite_chart(
        {**cache.chart_spec(layout), "datasets": dict(drawing.datasets)},
        key=key,
        on_select="rerun",
        selection_mode="zoom",
    )
    st.caption(" · ".join(part for part in (drawing.caption, prose(note) if note else "") if part))


def draw_roles_and_configuration(status: RunStatus) -> None:
    """Draw, below folds, what each series was taken for and the configuration beside the run."""
    with st.expander("Which series means what", icon=":material/sell:", key="roles-fold"):
        draw_roles(status.roles)
        # What a popover holds is not built by the browser before it is opened: eight pickers take it a moment.
        with st.popover("Change", icon=":material/edit:"):
            frame.pick_roles(status.scalars.tags)
    with st.expander("Configuration", icon=":material/settings:", key="configuration-fold"):
        draw_configuration(status.configuration)


# --- tables of one run ---------------------------------------------------------------------------------------------


def draw_tables(status: RunStatus) -> None:
    """Draw the recent loss, the machine and the checkpoints side by side."""
    with st.grid("auto", min_column_width=CHART_WIDTH, gap="small"):
        with st.container(border=True, height="stretch", gap="xsmall", key="recent-loss"):
            draw_trend(status.trend, status.progress)
        with st.container(border=True, height="stretch", gap="xsmall", key="machine-now"):
            draw_resources(status.sample)
        with st.container(border=True, height="stretch", gap="xsmall", key="saved"):
            draw_checkpoints(status)


def draw_trend(trend: Sequence[TrendBar], progress: Progress) -> None:
    """Draw the last epochs of the loss: the value beside its bar, newest first."""
    st.markdown("**Recent loss**")
    if not trend:
        st.caption("No loss yet.")
        return
    rows = [
        {"at": moment(bar.step, progress), "loss": format_number(bar.value), "bar": bar.share}
        for bar in reversed(trend)
    ]
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "at": st.column_config.TextColumn("epoch" if progress.steps_are_epochs else "step", width="small"),
            "loss": st.column_config.TextColumn("loss", width="small"),
            "bar": st.column_config.ProgressColumn("", min_value=0.0, max_value=1.0, format=" ", color="primary"),
        },
        key="trend",
    )


def draw_resources(sample: Sample) -> None:
    """Draw what the machine is doing now: GPUs, processor, memory, disk."""
    st.markdown("**Resources**")
    rows = [_gpu_row(gpu) for gpu in sample.gpus]
    rows.append(_row("CPU", sample.cpu_percent, ""))
    rows.append(_row("Memory", _share(sample.memory_used_bytes, sample.memory_total_bytes), _memory(sample)))
    rows.append(_row("Disk", None, f"{format_bytes(sample.disk_free_bytes)} free"))
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "what": st.column_config.TextColumn("", width="small"),
            "use": st.column_config.ProgressColumn("in use", min_value=0.0, max_value=100.0, format="%.0f %%"),
            "more": st.column_config.TextColumn(""),
        },
        key="resources",
    )


def _row(what: str, use: float | None, more: str) -> dict[str, Any]:
    return {"what": what, "use": use, "more": more}


def _gpu_row(gpu: GpuSample) -> dict[str, Any]:
    celsius = UNKNOWN if gpu.temperature_celsius is None else f"{gpu.temperature_celsius:.0f} °C"
    memory = f"{format_bytes(gpu.memory_used_bytes)} of {format_bytes(gpu.memory_total_bytes)}"
    return _row(f"GPU {gpu.index}", gpu.utilization_percent, f"{memory} · {celsius} · {plain(gpu.name)}")


def _memory(sample: Sample) -> str:
    return f"{format_bytes(sample.memory_used_bytes)} of {format_bytes(sample.memory_total_bytes)}"


def _share(used: int | None, total: int | None) -> float | None:
    return None if used is None or not total else 100 * used / total


def draw_checkpoints(status: RunStatus) -> None:
    """Draw what is saved of the run: the best model first in words, then every checkpoint."""
    saved = status.checkpoints.saved
    st.markdown("**Checkpoints**")
    if not saved:
        st.caption("No checkpoint was found in the run directory.")
        return
    best = status.checkpoints.best
    spoken = "no best model is saved" if best is None else f"the best model is saved as {code_span(best.name)}"
    st.caption(f"{saved_text(saved)}; {spoken}.")
    st.dataframe(
        [_checkpoint_row(item, status.now) for item in saved],
        hide_index=True,
        height=min(38 + 35 * len(saved), 300),
        key="checkpoints",
    )


def _checkpoint_row(item: Checkpoint, now: float) -> dict[str, str]:
    place = f"step {format_step(item.step)}" if item.step is not None else UNKNOWN
    return {
        "name": plain(item.name),
        "at": f"epoch {format_step(item.epoch)}" if item.epoch is not None else place,
        "size": format_bytes(item.size_bytes) if item.readable else "cannot be read",
        "saved": format_age(now - item.modified),
    }


def draw_configuration(configuration: Configuration) -> None:
    """Draw the configuration beside the run, key by key."""
    if not configuration.values:
        st.caption("No configuration file (YAML or JSON) was found beside the run.")
        return
    rows = [
        {"key": plain(key), "value": plain(str(value)), "file": plain(configuration.sources.get(key, ""))}
        for key, value in configuration.values.items()
    ]
    st.dataframe(rows, hide_index=True, height=min(38 + 35 * len(rows), 420), key="configuration")


def draw_roles(roles: Roles) -> None:
    """List which series was taken for what."""
    single = {
        "training loss": roles.loss,
        "learning rate": roles.learning_rate,
        "epoch": roles.epoch,
        "epoch duration": roles.duration,
        "throughput": roles.throughput,
        "gradient norm": roles.gradient_norm,
    }
    several = [("validation", role) for role in roles.validation] + [("score", role) for role in roles.scores]
    chosen = [(name, role) for name, role in single.items() if role is not None] + several
    missing = [name for name, role in single.items() if role is None]
    rows = [
        {
            "role": name,
            "series": plain(role.tag),
            "better": {"min": "smaller", "max": "larger"}.get(role.direction or "", UNKNOWN),
        }
        for name, role in chosen
    ]
    if rows:
        st.dataframe(rows, hide_index=True, key="roles")
    if missing:
        st.caption(f"No series for: {', '.join(missing)}. That is normal; each can be chosen above.")


# --- several runs --------------------------------------------------------------------------------------------------


def shared_tags(statuses: Sequence[RunStatus]) -> list[str]:
    """Return the tags of some runs: those that most runs have first, then by name."""
    runs_with = Counter(tag for status in statuses for tag in status.scalars.series)
    return sorted(runs_with, key=lambda tag: (-runs_with[tag], tag))


def usual_tag(statuses: Sequence[RunStatus], tags: Sequence[str]) -> str:
    """Return the tag to compare by at first: of those that most runs have, a validation loss, a loss or a score."""
    runs_with = Counter(tag for status in statuses for tag in status.scalars.series)
    most = max(runs_with.values())
    wished = [role.tag for status in statuses for role in _compared_roles(status.roles)]
    return next((tag for tag in wished if runs_with[tag] == most), tags[0])


def _compared_roles(roles: Roles) -> tuple[RoleTag, ...]:
    return (*roles.validation[:1], *((roles.loss,) if roles.loss else ()), *roles.scores)


def compare(statuses: Sequence[RunStatus], tag: str, by: Literal["best", "last"]) -> Comparison:
    """Return the comparison of some runs by one series."""
    points = {status.run.name: status.scalars.points(tag) for status in statuses if tag in status.scalars.series}
    return compare_runs(points, direction_of(tag), by, tag)


def draw_lacking(statuses: Sequence[RunStatus], tag: str) -> list[RunStatus]:
    """Name the runs that lack a series, and return the others."""
    lacking = [code_span(status.run.name) for status in statuses if tag not in status.scalars.series]
    if lacking:
        st.caption(f"Without this series, and so left out: {', '.join(lacking)}.")
    return [status for status in statuses if tag in status.scalars.series]


def draw_overlay(statuses: Sequence[RunStatus], tag: str, view: ChartView, styles: dict[str, Style]) -> None:
    """Draw one series of several runs over each other."""
    axis = _x_kind(statuses, view)
    role = RoleTag(tag, tag)
    names = [status.run.name for status in statuses]
    labels = charts.without_common_path(names)
    looks = [styles.get(name, charts.palette_style(0)) for name in names]
    curves = [
        _curve(status, role, label, look, view, mark_findings=False)
        for status, label, look in zip(statuses, labels, looks, strict=True)
    ]
    with st.container(border=True, gap="xsmall", key="chart-overlay"):
        st.markdown(f"**{code_span(tag)}**")
        if not any(len(curve.x) for curve in curves):
            st.caption(_why_empty(curves, view, "None of the runs has a point in this series."))
            return
        _draw_curves(
            f"overlay {axis} {tag}",
            curves,
            axis,
            view,
            log_y=view.log_y,
            height=420,
            # One name per row still fits on a phone; more runs than a phone can show share the rows of a wide page.
            width_characters=44 if len(curves) <= 8 else 140,
            max_points=charts.MAX_POINTS_OVERLAY,
        )


def draw_comparison(comparison: Comparison) -> None:
    """Draw the verdict and, under it, the table of results in the order of the ranking."""
    st.info(prose(comparison.verdict), icon=":material/balance:")
    place = {name: number for number, name in enumerate(comparison.ranking)}
    rows = sorted(comparison.rows, key=lambda row: place.get(row.run, math.inf))
    st.dataframe([_comparison_row(row, place) for row in rows], hide_index=True, key="results")
    better = {"min": "Smaller is better", "max": "Larger is better"}
    st.caption(f"{better.get(comparison.direction or '', 'No direction is known')} for this series.")


def _comparison_row(row: RunRow, place: dict[str, int]) -> dict[str, Any]:
    return {
        "place": place[row.run] + 1 if row.run in place else None,
        "run": plain(row.run),
        # A table needs distinct names: the second step differs by a blank.
        **dict(zip(("best", "at step", "last", "at step ", "points", "duration"), comparison_cells(row), strict=True)),
    }


def draw_differences(statuses: Sequence[RunStatus]) -> None:
    """Draw the keys of the configuration in which the runs differ."""
    st.markdown("**What differs in the configuration**")
    configurations = {status.run.name: status.configuration for status in statuses}
    difference = config_difference(configurations)
    if not difference:
        st.caption("No key differs, or no configuration lies beside the runs.")
        return
    rows = [
        {"key": plain(key)} | {plain(run): _value_text(found[run]) for run in configurations}
        for key, found in difference.items()
    ]
    st.dataframe(rows, hide_index=True, key="differences")


def _value_text(value: ConfigValue) -> str:
    return UNKNOWN if value is None else plain(str(value))


# --- reports -------------------------------------------------------------------------------------------------------


def draw_preview(report: str) -> None:
    """Draw a Markdown report as it will look; a table wider than the screen scrolls by itself."""
    st.html("<style>.st-key-preview table { display: block; overflow-x: auto; }</style>")
    with st.container(border=True, key="preview"):
        st.markdown(report)


def build_report(watch: LogWatch, statuses: Sequence[RunStatus]) -> str:
    """Return the Markdown report of one run or, for several, of their comparison."""
    made_at = time.time()
    if len(statuses) == 1:
        return render_report(statuses[0], made_at=made_at, settings=watch.settings.health)
    tags = shared_tags(statuses)
    tag = usual_tag(statuses, tags) if tags else ""
    return render_comparison_report(statuses, compare(statuses, tag, "best"), made_at=made_at)
