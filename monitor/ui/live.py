"""The blocks of the live page: state, progress, figures, findings, tables and what the series mean."""

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import pyarrow as pa
import streamlit as st

from monitor.figures import (
    BAND_WORDS,
    moment,
    saved_text,
    sum_text,
    time_left_basis,
    time_left_text,
    verdict_figure,
)
from monitor.live_figures import (
    check_label,
    finding_label,
    position_text,
    since_text,
    speed_text,
)
from monitor.markdown import prose
from monitor.schema import (
    SEVERITIES,
    Band,
    Checkpoint,
    Configuration,
    Finding,
    Health,
    Metric,
    Progress,
    ReadProblem,
    Roles,
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
    shorten_middle,
)
from monitor.ui import frame
from monitor.ui.frame import LiveView
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
NAME_CHARACTERS = 100
LABEL_CHARACTERS = 18
MOST_FINDINGS = 9
MOST_LISTED = 20
MOST_TEXTS = 20
MOST_TEXT_CHARACTERS = 4_000
NOT_CHECKED: Final = "What was not checked, and why. A check that cannot run neither helps nor hurts the score."
UPDATED_HELP: Final = (
    "How long ago the figures below were drawn. They are drawn anew as soon as there is something new in the files."
)
FINDING_WIDTH = 320
MAX_METRIC_CARDS = 4
ALARMING: Final = ("deleted", "replaced", "shrunk", "no_permission", "unreadable")
MOST_ALARMS = 3


def draw_alarms(problems: Sequence[ReadProblem]) -> None:
    """Say at once what happened to the files of the run while they were watched, or what bars the way to them."""
    for problem in [problem for problem in problems if problem.kind in ALARMING][:MOST_ALARMS]:
        st.warning(f"{code_span(problem.path)}: {prose(problem.detail)}", icon=":material/report:")


# --- the state of a run --------------------------------------------------------------------------------------------


def draw_state(status: RunStatus, view: LiveView) -> None:
    """Draw the name of the run, its state with the evidence, and how old the figures below are."""
    icon, color = STATE_BADGES[status.state.state]
    name = plain(status.run.name)
    badge = f":{color}-badge[{icon} {status.state.state}]"
    told = f":small[:gray[{prose(status.state.reason)} &nbsp; {_updated(status, view)}]]"
    whole = f"{code_span(name)}\n\n{UPDATED_HELP}" if len(name) > NAME_CHARACTERS else UPDATED_HELP
    st.markdown(f"{badge} **{_short(name)}** {told}", help=whole)


def _short(name: str) -> str:
    return code_span(shorten_middle(name, NAME_CHARACTERS))


def _updated(status: RunStatus, view: LiveView) -> str:
    if view.refresh_seconds is None:
        return f"The page is paused, as of {format_time(view.read_at, frame.time_zone()).split()[1]}"
    age = "just now" if view.is_busy else format_age(status.now - view.read_at)
    return f"Updated {age}, looks every {view.refresh_seconds:g} s"


def draw_progress(status: RunStatus) -> None:
    """Draw how far the run is and how long it will take; without a known total only how far."""
    progress = status.progress
    share = None if progress.fraction is None else min(max(progress.fraction, 0.0), 1.0)
    parts = (
        f"**{position_text(progress)}**",
        "" if share is None else format_percent(100 * share),
        time_left_text(status),
        speed_text(progress),
        f"total from {code_span(progress.total_source)}" if progress.total_source else "",
    )
    st.markdown(" · ".join(part for part in parts if part), help=time_left_basis(status))
    if share is not None:
        st.progress(share)


# --- cards ---------------------------------------------------------------------------------------------------------


def draw_cards(status: RunStatus) -> None:
    """Draw the figures of the run, a card each, of equal height."""
    judged = [("Validation", metric) for metric in status.validation] + [("Score", metric) for metric in status.scores]
    shown = judged[:MAX_METRIC_CARDS]
    count = 5 + len(shown)
    # Rows of equal length where there is room for more than one.
    columns = count if count <= 6 else math.ceil(count / 2)
    with st.grid(columns, min_column_width=CARD_WIDTH, gap="small"):
        _health_card(status.health)
        _loss_card(status)
        _best_card(status)
        for word, metric in shown:
            label = code_span(shorten_middle(plain(metric.label), LABEL_CHARACTERS))
            _metric_card(f"{word} {label}", metric, status.progress)
        _learning_rate_card(status.learning_rate)
        _epoch_time_card(status)
    if status.health.deductions:  # in a line of its own: a card would cut it
        st.caption(f"Health: {prose(sum_text(status.health, status.progress.first_epoch_step))}.")
    if len(judged) > len(shown):
        st.caption(
            f"{len(judged) - len(shown)} more validation series and scores can be drawn below, under all series."
        )


def _card(label: str, value: str, note: str, help_text: str, **change: Any) -> None:  # noqa: ANN401 (st.metric's)
    st.metric(label, value, help=help_text, delta_description=note or None, border=True, height="stretch", **change)


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
    note = f"{verdict_figure(status).value} · {moment(loss.step, status.progress)}"
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


def _health_card(health: Health) -> None:
    help_text = (
        "100 minus what the open findings take off: 90–100 excellent, 70–89 normal with small issues, "
        "50–69 clear problems, below 50 abnormal. A check that could not run neither helps nor hurts."
    )
    if health.score is None or health.band is None:
        _card("Health", UNKNOWN, "not enough data yet", help_text)
        return
    taken = "" if health.deductions else "100, nothing deducted"
    _card(
        "Health",
        f"{health.score} / 100",
        "provisional: few points so far" if health.provisional else taken,
        help_text,
        delta=BAND_WORDS[health.band],
        delta_color=BAND_BADGES[health.band],
        delta_arrow="off",
    )


# --- findings ------------------------------------------------------------------------------------------------------


def draw_findings(status: RunStatus) -> None:
    """Draw the open findings as cards, the worst first; below folds what they explain, what is over, and the checks.

    A finding that another open one explains has no card of its own: the first thing to do is in that of its cause.
    """
    findings = status.health.findings
    still_open = sorted((item for item in findings if item.open), key=_urgency, reverse=True)
    ids = {item.id for item in still_open}
    causes = [item for item in still_open if item.explained_by not in ids]
    if causes:
        with st.grid(min(len(causes), 3), min_column_width=FINDING_WIDTH, gap="small", key="findings"):
            for finding in causes[:MOST_FINDINGS]:
                explained = sum(item.explained_by == finding.id for item in still_open)
                _finding_card(finding, explained, status.progress)
    rest = causes[MOST_FINDINGS:]
    _draw_list("{count} more open findings", "One more open finding", rest, status.progress, "findings-rest")
    explained_ones = [item for item in still_open if item.explained_by in ids]
    _draw_list(
        "{count} findings that others explain",
        "One finding that another explains",
        explained_ones,
        status.progress,
        "findings-explained",
    )
    over = [item for item in findings if not item.open]
    _draw_list("{count} findings are over", "One finding is over", over, status.progress, "findings-over")
    _draw_checks(status)


def _urgency(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _finding_card(finding: Finding, explained: int, progress: Progress) -> None:
    others = "" if not explained else f" It explains {'one other' if explained == 1 else f'{explained} others'}."
    parts = (
        f"{_finding_head(finding)} :small[:gray[{since_text(finding, progress)}]]",
        f"{prose(finding.evidence)}{others}",
        f":small[:gray[{prose(finding.advice)}]]",
    )
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.markdown("\n\n".join(parts))
        if finding.onset_step is not None:
            st.button(
                "Show on chart",
                icon=":material/search_insights:",
                type="tertiary",
                key=f"show {finding.id}",
                on_click=frame.show_finding,
                args=(finding.id,),
            )


def _finding_head(finding: Finding) -> str:
    icon, color = SEVERITY_BADGES[finding.severity]
    where = f" in {_short(plain(finding.tag))}" if finding.tag else ""
    return f":{color}-badge[{icon} {finding.severity}] **{finding_label(finding)}**{where}"


def _draw_list(several: str, one: str, findings: Sequence[Finding], progress: Progress, key: str) -> None:
    """Draw some findings, below a fold, a paragraph each; nothing without any."""
    if not findings:
        return
    title = one if len(findings) == 1 else several.format(count=len(findings))
    shown = [
        f"- {_finding_head(item)} {since_text(item, progress)}. {prose(item.evidence)}"
        for item in findings[:MOST_LISTED]
    ]
    if len(findings) > MOST_LISTED:
        shown.append(f"- And {len(findings) - MOST_LISTED} more.")
    with st.expander(title, icon=":material/history:", key=key):
        st.markdown("\n".join(shown))


def _draw_checks(status: RunStatus) -> None:
    checks = status.health.checks
    opened = sum(item.open for item in status.health.findings)
    words = {0: "No open finding", 1: "One open finding"}.get(opened, f"{opened} open findings")
    with st.expander(f"{words} · {checks.ran} of {checks.of} checks ran", icon=":material/checklist:", key="checks"):
        if not checks.not_checked:
            st.caption("Nothing was left out.")
            return
        lines = [f"- **{check_label(item.kind)}**: {prose(item.why)}" for item in checks.not_checked]
        st.markdown("\n".join([f":small[:gray[{NOT_CHECKED}]]\n", *lines]))


# --- what series mean, configuration, texts ------------------------------------------------------------------------


def draw_roles_and_configuration(status: RunStatus) -> None:
    """Draw, below folds, what each series was taken for and the configuration beside the run."""
    roles = st.expander(
        "Which series means what", icon=":material/sell:", key="roles", on_change="rerun", bind="query-params"
    )
    if roles.open or frame.has_chosen_roles():  # what was chosen by hand counts while its picker is there
        with roles:
            draw_roles(status.roles)
            with st.popover("Change", icon=":material/edit:"):
                frame.pick_roles(status.scalars.tags)
    configuration = st.expander(
        "Configuration", icon=":material/settings:", key="configuration", on_change="rerun", bind="query-params"
    )
    if configuration.open:
        with configuration:
            draw_configuration(status.configuration)


# --- tables of one run ---------------------------------------------------------------------------------------------


def draw_tables(status: RunStatus) -> None:
    """Draw the recent loss and the checkpoints side by side."""
    with st.grid(2, min_column_width=CHART_WIDTH, gap="small"):
        with st.container(border=True, height="stretch", gap="xsmall", key="recent-loss"):
            draw_trend(status.trend, status.progress)
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
        pa.Table.from_pylist(rows),
        hide_index=True,
        column_config={
            "at": st.column_config.TextColumn("epoch" if progress.steps_are_epochs else "step", width="small"),
            "loss": st.column_config.TextColumn("loss", width="small"),
            "bar": st.column_config.ProgressColumn("", min_value=0.0, max_value=1.0, format=" ", color="primary"),
        },
        key="trend",
    )


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
        pa.Table.from_pylist([_checkpoint_row(item, status.now) for item in saved]),
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
    st.dataframe(rows, hide_index=True, height=min(38 + 35 * len(rows), 420), key="configuration-table")


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
        st.dataframe(rows, hide_index=True, key="roles-table")
    if missing:
        st.caption(f"No series for: {', '.join(missing)}. That is normal; each can be chosen above.")


# --- what is logged beside scalars ---------------------------------------------------------------------------------


def draw_texts(watch: LogWatch, status: RunStatus) -> None:
    """Draw, below a fold, the texts and hyper-parameters in the event files; they are read when it is opened."""
    fold = st.expander(
        "Text and hyper-parameters in the event files",
        icon=":material/article:",
        key="texts",
        on_change="rerun",
        bind="query-params",
    )
    if not fold.open:
        return
    with fold, frame.reporting_errors():
        extras = watch.extras(status.run.name, status.now)
        if not extras.texts and not extras.hparams:
            st.caption("This run logs neither.")
        if extras.hparams:
            rows = [
                {"hyper-parameter": plain(key), "value": plain(str(value))} for key, value in extras.hparams.items()
            ]
            st.dataframe(rows, hide_index=True, key="hparams")
        for text in reversed(extras.texts[-MOST_TEXTS:]):
            st.caption(f"{_short(plain(text.tag))}, step {format_step(text.step)}")
            st.code(_harmless_lines(text.text[:MOST_TEXT_CHARACTERS]), language=None, wrap_lines=True)
        if len(extras.texts) > MOST_TEXTS:
            st.caption(f"The newest {MOST_TEXTS} of {format_step(len(extras.texts))} texts.")


def _harmless_lines(text: str) -> str:
    """Return a logged text line by line as `plain` does, with its indentation."""
    lines = text.splitlines()
    return "\n".join(" " * (len(line) - len(line.lstrip(" "))) + plain(line) for line in lines)
