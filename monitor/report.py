"""RunStatus → the report of one run as a document: first what a busy person reads, then everything it rests on.

Pure: the same status and the same `made_at` give the same document. `report_files` makes a file of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from monitor.analysis.series import non_finite_rows, session_starts, visible
from monitor.document import (
    Block,
    Charts,
    Document,
    Facts,
    Items,
    Listing,
    Note,
    Paragraph,
    Section,
    Simple,
    Table,
    Text,
    foreign,
)
from monitor.figures import (
    Figure,
    checkpoint_figures,
    finding_name,
    finding_title,
    health_figures,
    moment,
    progress_figures,
    progress_note,
    resource_figures,
    run_figures,
    score_text,
    sum_text,
    time_left_text,
    trend_figures,
    verdict_figure,
)
from monitor.health import label_of_check
from monitor.live_figures import position_text
from monitor.report_charts import report_charts
from monitor.schema import (
    SEVERITIES,
    Checkpoint,
    ConfigValue,
    Finding,
    Metric,
    Points,
    Progress,
    ReadProblem,
    Roles,
    RoleTag,
    Sample,
)
from monitor.settings import HealthSettings
from monitor.status import RunStatus
from monitor.text import (
    UNKNOWN,
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
from monitor.version import VERSION

MAX_VALUE_WIDTH: Final = 200  # characters of one configuration value; some hold whole files
MOST_IN_SUMMARY: Final = 3  # open findings told there; the others are counted
BETTER: Final = {"min": "smaller", "max": "larger", None: UNKNOWN}
RUN_SECTIONS: Final[dict[str, str]] = {
    "summary": "Summary",
    "run": "What was run",
    "progress": "Progress",
    "validation": "Validation and scores",
    "health": "Health",
    "findings": "Findings",
    "charts": "Charts",
    "loss": "Loss curve",
    "guidance": "Guidance",
    "checkpoints": "Checkpoints",
    "resources": "Machine",
    "roles": "Which series was taken for what",
    "configuration": "Configuration",
    "problems": "Problems met while reading",
    "unchecked": "Not checked",
}


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What a report says besides the runs.

    Args:
        made_at: Moment of the report, seconds UTC.
        command: How to make it again; None to leave the line out.
        settings: The bands in force for learning rate, GPU and score.
        samples: The readings of the machine, oldest first.
    """

    made_at: float
    command: str | None = None
    settings: HealthSettings = field(default_factory=HealthSettings)
    samples: tuple[Sample, ...] = ()


def run_report(status: RunStatus, context: ReportContext) -> Document:
    """Return the report of one run."""
    bodies: dict[str, Sequence[Block]] = {
        "summary": _summary(status),
        "run": _run(status),
        "progress": _progress(status),
        "validation": [_metric_table(status)],
        "health": [Facts((*health_figures(status), verdict_figure(status)))],
        "findings": _findings(status),
        "charts": _charts(status, context),
        "loss": _loss_curve(status),
        "guidance": [_guidance(status.learning_rate, context.settings)],
        "checkpoints": _checkpoints(status),
        "resources": _resources(status, context.samples),
        "roles": [_roles(status.roles)],
        "configuration": [_configuration(status)],
        "problems": [problem_table(status.problems)],
        "unchecked": [_not_checked(status)],
    }
    return Document(
        title=f"Training report: {foreign(status.run.name)}",
        lead=(_lead(status.now, context.made_at),),
        sections=tuple(Section(key, title, tuple(bodies[key])) for key, title in RUN_SECTIONS.items()),
        close=closing(context),
    )


def _lead(now: float, made_at: float) -> Paragraph:
    words = f"Made at {format_time(made_at)} UTC from what was on disk at {format_time(now)} UTC."
    return Paragraph(words, quiet=True)


def closing(context: ReportContext) -> tuple[Block, ...]:
    """Return the end of every report: how to make it again, and with what it was made."""
    again = [Paragraph(f"Make it again with {foreign(context.command)}.")] if context.command else []
    return (*again, Paragraph(f"Written by the training monitor, version {VERSION}."))


# --- the summary ---------------------------------------------------------------------------------------------------


def _summary(status: RunStatus) -> list[Block]:
    health, loss = status.health, status.loss
    figures = [
        Figure("State", status.state.state, status.state.state),
        Figure("Progress", _position(status)),
        Figure("Health", score_text(health), health.band or ""),
        Figure("Loss", _loss_text(status), "critical" if loss and not np.isfinite(loss.value) else ""),
        *_best_figures(status),
    ]
    return [Facts(tuple(figures), prominent=True), Paragraph(_score_sentence(status)), *_most_urgent(status)]


def _position(status: RunStatus) -> str:
    share = status.progress.fraction
    parts = (
        position_text(status.progress),
        "" if share is None else format_percent(100 * share),
        time_left_text(status) if status.state.state == "running" else "",
    )
    return ", ".join(part for part in parts if part)


def _loss_text(status: RunStatus) -> str:
    if status.loss is None:
        return f"{UNKNOWN} (no series)"
    value = format_number(status.loss.value)
    return f"{value}, {verdict_figure(status).value}" if np.isfinite(status.loss.value) else value


def _best_figures(status: RunStatus) -> list[Figure]:
    """Return the best value of what the run is judged by, and where the model of that moment is."""
    metric = judged_by(status)
    if metric is None or metric.best is None:
        return []
    at = moment(metric.best_step, status.progress)
    return [
        Figure(f"Best {foreign(metric.tag)}", f"{format_number(metric.best)} at {at}"),
        Figure("Its checkpoint", _best_checkpoint(status, metric)),
    ]


def judged_by(status: RunStatus) -> Metric | None:
    """Return the series whose best value tells the best model: validation, else a score, else the loss."""
    candidates = (*status.validation, *status.scores, *([status.loss] if status.loss else []))
    return next((metric for metric in candidates if metric.best is not None), None)


def _best_checkpoint(status: RunStatus, metric: Metric) -> Text:
    """Return which checkpoint holds the best model: one saved at that very moment, else the one called best."""
    checkpoints = status.checkpoints
    if not checkpoints.saved and checkpoints.best is None:
        return "no checkpoint is saved"
    exact = next((item for item in checkpoints.saved if _is_saved_at(item, metric, status.progress)), None)
    if exact is not None:
        return foreign(exact.name)
    if checkpoints.best is not None:
        return f"{foreign(checkpoints.best.name)}, going by its name"
    return "none is saved there"


def _is_saved_at(item: Checkpoint, metric: Metric, progress: Progress) -> bool:
    if metric.best_step is None:
        return False
    if item.step is not None:
        return item.step == metric.best_step
    first = progress.first_epoch_step
    return first is not None and item.epoch is not None and item.epoch == metric.best_step - first + 1


def _score_sentence(status: RunStatus) -> Text:
    health = status.health
    if health.score is None:
        return "There is not enough data yet for a health score."
    return f"Health: {plain(sum_text(health, status.progress.first_epoch_step))}."


def _most_urgent(status: RunStatus) -> list[Block]:
    lasting = sorted((item for item in status.health.findings if item.open), key=_urgency)
    if not lasting:
        return [Paragraph("No finding is open.")]
    told = [f"{finding_title(item, status.progress, foreign)}. {plain(item.advice)}" for item in _causes(lasting)]
    more = len(lasting) - min(len(told), MOST_IN_SUMMARY)
    rest = [] if not more else [f"{format_step(more)} more, told under Findings."]
    return [Items((*told[:MOST_IN_SUMMARY], *rest))]


def _urgency(finding: Finding) -> int:
    return -SEVERITIES.index(finding.severity)


def _causes(lasting: Sequence[Finding]) -> list[Finding]:
    """Return the findings that no other open one explains: its advice is theirs too."""
    known = {item.id for item in lasting}
    return [item for item in lasting if item.explained_by not in known]


# --- what was run --------------------------------------------------------------------------------------------------


def _run(status: RunStatus) -> list[Block]:
    first, last = status.scalars.first_event, status.scalars.last_event
    duration = None if first is None or last is None else last - first
    figures = (*run_figures(status, foreign), Figure("Duration", format_duration(duration)))
    return [Facts(figures), Paragraph(plain(status.state.reason))]


def _progress(status: RunStatus) -> list[Block]:
    note = progress_note(status)
    return [Facts(progress_figures(status, foreign)), *([Paragraph(note, quiet=True)] if note else [])]


def _metric_table(status: RunStatus) -> Simple:
    metrics = (*status.validation, *status.scores)
    if not metrics:
        return Paragraph("The run has no validation series and no score.")
    header = ("series", "better", "newest", "at", "change", "best", "at")
    return Table(header, tuple(_metric_row(metric, status.progress) for metric in metrics), "llrrrrr")


def _metric_row(metric: Metric, progress: Progress) -> tuple[Text, ...]:
    return (
        foreign(metric.tag),
        BETTER[metric.direction],
        format_number(metric.value),
        moment(metric.step, progress),
        format_change(metric.change_percent),
        format_number(metric.best),
        moment(metric.best_step, progress),
    )


# --- findings ------------------------------------------------------------------------------------------------------


def _findings(status: RunStatus) -> list[Block]:
    if not status.health.findings:
        return [Paragraph("None.")]
    # The open ones first, the worst on top; of equals the newest.
    ordered = sorted(status.health.findings, key=lambda item: (not item.open, _urgency(item) if item.open else 0))
    causes = {item.id: _without_severity(item, finding_name(item, foreign)) for item in ordered}
    return [_finding(item, status.progress, causes.get(item.explained_by or "")) for item in ordered]


def _without_severity(finding: Finding, title: Text) -> Text:
    return title.removeprefix(f"{finding.severity}: ")


def _finding(finding: Finding, progress: Progress, cause: Text | None) -> Note:
    lines = [f"What was seen: {plain(finding.evidence)}", f"What to try: {plain(finding.advice)}"]
    if finding.detected_step is not None:
        lines.append(f"Certain since {moment(finding.detected_step, progress)}.")
    if cause is not None:
        lines.append(f"Follows from: {cause}.")
    title = _without_severity(finding, finding_title(finding, progress, foreign))
    return Note(finding.severity, title, (Items(tuple(lines)),))


# --- charts and the loss curve -------------------------------------------------------------------------------------


def _charts(status: RunStatus, context: ReportContext) -> list[Block]:
    charts, absent = report_charts(status, context.samples, context.settings)
    drawn = [Charts(charts)] if charts else []
    return [*drawn, *([Items(absent)] if absent else [])]


def _loss_curve(status: RunStatus) -> list[Block]:
    points = visible(status.scalars.points(status.loss.tag if status.loss else None))
    if status.loss is None or not len(points):
        return [Paragraph("The run has no loss series.")]
    header = ("landmark", "at", "value", "time (UTC)")
    return [
        Paragraph(f"{foreign(status.loss.tag)}, {format_step(len(points))} points."),
        Table(header, tuple(_landmarks(points, status)), "lrrr"),
        *_trend(status),
    ]


def _landmarks(points: Points, status: RunStatus) -> list[tuple[Text, ...]]:
    """Return the rows of the curve's landmarks in the order of the run; those of one point share a row."""
    last = len(points) - 1
    named = [(0, "first"), (last // 4, "a quarter"), (last // 2, "half"), (3 * last // 4, "three quarters")]
    named += [*_extremes(points, status), *_non_finite(points), *_restarts(points), (last, "last")]
    names: dict[int, list[str]] = {}
    for row, name in named:
        names.setdefault(row, []).append(name)
    return [_landmark(points, row, ", ".join(names[row]), status.progress) for row in sorted(names)]


def _extremes(points: Points, status: RunStatus) -> list[tuple[int, str]]:
    finite = np.flatnonzero(np.isfinite(points.value))
    if not len(finite):
        return []
    values = points.value[finite]
    maximised = status.loss is not None and status.loss.direction == "max"
    smallest, largest = ("worst", "best") if maximised else ("best", "worst")
    return [(int(finite[values.argmin()]), smallest), (int(finite[values.argmax()]), largest)]


def _non_finite(points: Points) -> list[tuple[int, str]]:
    rows = non_finite_rows(points.value)
    return [(int(rows[0]), f"first of {format_step(len(rows))} not finite")] if len(rows) else []


def _restarts(points: Points) -> list[tuple[int, str]]:
    return [(int(row), "restart") for row in session_starts(points)[1:]]


def _landmark(points: Points, row: int, name: str, progress: Progress) -> tuple[Text, ...]:
    return (
        name,
        moment(int(points.step[row]), progress),
        format_number(float(points.value[row])),
        format_time(float(points.wall_time[row])),
    )


def _trend(status: RunStatus) -> list[Block]:
    if not status.trend:
        return []
    figures = trend_figures(status.trend, status.progress)
    width = max(len(figure.label) for figure in figures)
    lines = tuple(f"{figure.label:<{width}}  {figure.value}" for figure in figures)
    return [Paragraph("The newest values:"), Listing(lines)]


# --- guidance, checkpoints, machine --------------------------------------------------------------------------------


def _guidance(learning_rate: Metric | None, settings: HealthSettings) -> Items:
    newest = "" if learning_rate is None else f" The newest value is {format_learning_rate(learning_rate.value)}."
    return Items(
        (
            f"Learning rate: {format_learning_rate(settings.lr_recommended_low)} to"
            f" {format_learning_rate(settings.lr_recommended_high)} is recommended; below"
            f" {format_learning_rate(settings.lr_low)} is too small, above"
            f" {format_learning_rate(settings.lr_high)} too large for most optimisers.{newest}",
            f"GPU: aim for {format_percent(settings.gpu_aim_low_percent)} to"
            f" {format_percent(settings.gpu_aim_high_percent)}. Below {format_percent(settings.gpu_underused_percent)}"
            " hints at data loading or a small batch; above"
            f" {format_percent(settings.gpu_aim_high_percent)} is near saturation, where memory may run out.",
        )
    )


def _checkpoints(status: RunStatus) -> list[Block]:
    facts = Facts(checkpoint_figures(status, foreign))
    saved = status.checkpoints.saved
    if not saved:
        return [facts]
    header = ("name", "kind", "size", "age", "written (UTC)")
    return [facts, Table(header, tuple(_checkpoint_row(item, status.now) for item in saved), "llrrr")]


def _checkpoint_row(item: Checkpoint, now: float) -> tuple[Text, ...]:
    size = format_bytes(item.size_bytes)
    return (
        foreign(item.name),
        item.kind,
        size if item.readable else f"{size}, cannot be read",
        format_age(now - item.modified),
        format_time(item.modified),
    )


def _resources(status: RunStatus, samples: Sequence[Sample]) -> list[Block]:
    """Return the load of this machine; it is that of the run only while the run trains here."""
    taken = f"Measured on the machine that wrote this report, at {format_time(status.sample.wall_time)} UTC"
    first = samples[0].wall_time if samples else status.sample.wall_time
    span = status.sample.wall_time - first
    course = f"; the chart holds the {format_duration(span)} before." if len(samples) > 1 else "."
    return [Facts(resource_figures(status.sample, foreign)), Paragraph(f"{taken}{course}", quiet=True)]


# --- what it rests on ----------------------------------------------------------------------------------------------


def _roles(roles: Roles) -> Simple:
    single = ("loss", "learning_rate", "epoch", "duration", "throughput", "gradient_norm", "loss_scale")
    chosen = [(role.replace("_", " "), tag) for role in single if (tag := getattr(roles, role)) is not None]
    chosen += [("validation", tag) for tag in roles.validation]
    chosen += [("score", tag) for tag in roles.scores]
    if not chosen:
        return Paragraph("No series was recognised. Name one under [roles] in monitor.toml.")
    return Table(("role", "series", "better"), tuple(_role_row(role, tag) for role, tag in chosen), "lll")


def _role_row(role: str, role_tag: RoleTag) -> tuple[Text, ...]:
    return role, foreign(role_tag.tag), BETTER[role_tag.direction]


def _configuration(status: RunStatus) -> Simple:
    values, sources = status.configuration.values, status.configuration.sources
    if not values:
        return Paragraph("No configuration file was found beside the run.")
    rows = tuple((foreign(key), value_text(values[key]), foreign(sources.get(key, ""))) for key in sorted(values))
    return Table(("key", "value", "file"), rows, "lll")


def value_text(value: ConfigValue) -> Text:
    """Return a configured value; the middle of a very long one is left out."""
    return UNKNOWN if value is None else foreign(shorten_middle(str(value), MAX_VALUE_WIDTH))


def problem_table(problems: Sequence[ReadProblem]) -> Simple:
    """Return what could not be read, or that everything could."""
    if not problems:
        return Paragraph("None: everything could be read.")
    rows = tuple((foreign(item.path), format_step(item.offset), item.kind, plain(item.detail)) for item in problems)
    return Table(("file", "byte", "kind", "what"), rows, "lrll")


def _not_checked(status: RunStatus) -> Simple:
    checks = status.health.checks
    if not checks.not_checked:
        return Paragraph("Every check ran." if checks.ran else "Nothing could be checked yet.")
    rows = tuple((label_of_check(item.kind), plain(item.why)) for item in checks.not_checked)
    return Table(("check", "why not"), rows, "ll")
