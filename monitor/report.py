"""RunStatus or several → a Markdown report that stands alone; `write_report` puts it into a file.

Rendering is pure: the same status and the same `made_at` give the same bytes. Text that comes from files appears in
code spans only, so that no viewer takes it for markup.
"""

import errno
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from monitor.analysis.compare import Comparison, RunRow
from monitor.analysis.configurations import config_difference
from monitor.analysis.series import non_finite_rows, session_starts, thin, visible
from monitor.errors import ReportNotWritten
from monitor.figures import (
    VERDICT_WORDS,
    Figure,
    checkpoint_figures,
    comparison_cells,
    finding_title,
    group_cells,
    health_figures,
    moment,
    progress_figures,
    resource_figures,
    run_figures,
    score_text,
    sparkline,
    trend_figures,
)
from monitor.schema import ConfigValue, Finding, Metric, Points, Progress, ReadProblem, Roles, RoleTag
from monitor.settings import HealthSettings
from monitor.status import RunStatus
from monitor.text import (
    UNKNOWN,
    code_span,
    format_bytes,
    format_change,
    format_learning_rate,
    format_number,
    format_percent,
    format_step,
    format_time,
    plain,
    shorten_middle,
    table_cell,
)

SPARKLINE_POINTS: Final = 60
MAX_VALUE_WIDTH: Final = 200  # characters of one configuration value; some hold whole files
_HARMLESS = re.compile(r"[\w.,;%()'\"+/=≥≤×·?…–−-]+:?")
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # the only ones that CommonMark may take for emphasis

Lines = list[str]


# --- one run -------------------------------------------------------------------------------------------------------


def render_report(
    status: RunStatus,
    *,
    made_at: float,
    command: str | None = None,
    settings: HealthSettings | None = None,
) -> str:
    """Return the report of one run as Markdown.

    Args:
        status: The run.
        made_at: Moment of the report, seconds UTC.
        command: How to make it again, None to leave the line out.
        settings: The bands in force for learning rate and GPU; None for the defaults.
    """
    health_settings = HealthSettings() if settings is None else settings
    sections = (
        _head(status, made_at, command),
        _section("Progress", _figure_table(progress_figures(status, table_cell))),
        _section("Validation and scores", _metric_table(status)),
        _section("Health", _health(status)),
        _section("Findings", _findings(status)),
        _section("Loss curve", _loss_curve(status)),
        _section("Checkpoints", _checkpoints(status)),
        _section("Resources", _figure_table(resource_figures(status.sample, table_cell))),
        _section("Guidance", _guidance(status.learning_rate, health_settings)),
        _section("Which series was taken for what", _roles(status.roles)),
        _section("Configuration", _configuration(status)),
        _section("Problems met while reading", _problems(status.problems)),
        _section("Not checked", _not_checked(status)),
    )
    return _document(sections)


def _document(sections: Iterable[Lines]) -> str:
    return "\n".join(line for section in sections for line in section)


def _section(title: str, body: Lines) -> Lines:
    return [f"## {title}", "", *body, ""]


def _head(status: RunStatus, made_at: float, command: str | None) -> Lines:
    again = [f"Make it again with {code_span(command)}.", ""] if command else []
    return [
        f"# Training report: {code_span(status.run.name)}",
        "",
        f"Made at {format_time(made_at)} UTC from what was on disk at {format_time(status.now)} UTC.",
        "",
        *again,
        *_figure_table(run_figures(status, table_cell)),
        "",
        prose(status.state.reason),
        "",
    ]


def _figure_table(figures: Sequence[Figure]) -> Lines:
    return _table(("figure", "value"), [(figure.label, figure.value) for figure in figures])


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    return [
        f"| {' | '.join(header)} |",
        f"|{' --- |' * len(header)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _metric_table(status: RunStatus) -> Lines:
    metrics = (*status.validation, *status.scores)
    if not metrics:
        return ["The run has no validation series and no score."]
    header = ("series", "better", "newest", "at", "change", "best", "at")
    return _table(header, [_metric_row(metric, status.progress) for metric in metrics])


def _metric_row(metric: Metric, progress: Progress) -> Sequence[str]:
    return (
        table_cell(metric.tag),
        {"min": "smaller", "max": "larger", None: UNKNOWN}[metric.direction],
        format_number(metric.value),
        moment(metric.step, progress),
        format_change(metric.change_percent),
        format_number(metric.best),
        moment(metric.best_step, progress),
    )


def _health(status: RunStatus) -> Lines:
    verdict = Figure("Loss verdict", VERDICT_WORDS[status.health.verdict])
    return _figure_table((*health_figures(status), verdict))


def _findings(status: RunStatus) -> Lines:
    if not status.health.findings:
        return ["None."]
    return [line for finding in status.health.findings for line in (*_finding(finding, status.progress), "")][:-1]


def _finding(finding: Finding, progress: Progress) -> Lines:
    lines = [
        f"### {finding_title(finding, progress, code_span)}",
        "",
        f"* What was seen: {prose(finding.evidence)}",
        f"* What to try: {prose(finding.advice)}",
    ]
    if finding.detected_step is not None:
        lines.append(f"* Certain since {moment(finding.detected_step, progress)}.")
    if finding.explained_by is not None:
        lines.append(f"* Follows from {code_span(finding.explained_by)}.")
    return lines


def _checkpoints(status: RunStatus) -> Lines:
    lines = _figure_table(checkpoint_figures(status, table_cell))
    saved = status.checkpoints.saved
    if not saved:
        return lines
    rows = [
        (table_cell(item.name), item.kind, format_bytes(item.size_bytes), format_time(item.modified)) for item in saved
    ]
    return [*lines, "", *_table(("name", "kind", "size", "written (UTC)"), rows)]


def _guidance(learning_rate: Metric | None, settings: HealthSettings) -> Lines:
    newest = "" if learning_rate is None else f" The newest value is {format_learning_rate(learning_rate.value)}."
    return [
        f"* Learning rate: {format_learning_rate(settings.lr_recommended_low)} to"
        f" {format_learning_rate(settings.lr_recommended_high)} is recommended; below"
        f" {format_learning_rate(settings.lr_low)} is too small, above"
        f" {format_learning_rate(settings.lr_high)} too large for most optimisers.{newest}",
        f"* GPU: aim for {format_percent(settings.gpu_aim_low_percent)} to"
        f" {format_percent(settings.gpu_aim_high_percent)}. Below {format_percent(settings.gpu_underused_percent)}"
        " hints at data loading or a small batch; above"
        f" {format_percent(settings.gpu_aim_high_percent)} is near saturation, where memory may run out.",
    ]


def _roles(roles: Roles) -> Lines:
    chosen = [
        (role.replace("_", " "), role_tag)
        for role in ("loss", "learning_rate", "epoch", "duration", "throughput", "gradient_norm")
        if (role_tag := getattr(roles, role)) is not None
    ]
    chosen += [("validation", role_tag) for role_tag in roles.validation]
    chosen += [("score", role_tag) for role_tag in roles.scores]
    if not chosen:
        return ["No series was recognised. Name one under [roles] in monitor.toml."]
    return _table(("role", "series", "better"), [_role_row(role, role_tag) for role, role_tag in chosen])


def _role_row(role: str, role_tag: RoleTag) -> Sequence[str]:
    better = {"min": "smaller", "max": "larger", None: UNKNOWN}[role_tag.direction]
    return role, table_cell(role_tag.tag), better


def _configuration(status: RunStatus) -> Lines:
    values, sources = status.configuration.values, status.configuration.sources
    if not values:
        return ["No configuration file was found beside the run."]
    rows = [(table_cell(key), _value_cell(values[key]), table_cell(sources.get(key, ""))) for key in sorted(values)]
    return _table(("key", "value", "file"), rows)


def _value_cell(value: ConfigValue) -> str:
    return UNKNOWN if value is None else table_cell(shorten_middle(str(value), MAX_VALUE_WIDTH))


def _problems(problems: Sequence[ReadProblem]) -> Lines:
    if not problems:
        return ["None: everything could be read."]
    rows = [(table_cell(item.path), format_step(item.offset), item.kind, _cell(item.detail)) for item in problems]
    return _table(("file", "byte", "kind", "what"), rows)


def _not_checked(status: RunStatus) -> Lines:
    checks = status.health.checks
    items = checks.not_checked
    if not items:
        return ["Every check ran." if checks.ran else "Nothing could be checked yet."]
    return _table(("check", "why not"), [(item.kind.replace("_", " "), _cell(item.why)) for item in items])


# --- the loss curve ------------------------------------------------------------------------------------------------


def _loss_curve(status: RunStatus) -> Lines:
    points = visible(status.scalars.points(status.loss.tag if status.loss else None))
    if status.loss is None or not len(points):
        return ["The run has no loss series."]
    rows = np.union1d(thin(points.step, points.value, SPARKLINE_POINTS), non_finite_rows(points.value)[:1])
    return [
        f"{code_span(status.loss.tag)}, {format_step(len(points))} points: `{sparkline(points.value[rows].tolist())}`",
        "",
        *_table(("landmark", "at", "value", "time (UTC)"), _landmarks(points, status)),
        *_trend(status),
    ]


def _landmarks(points: Points, status: RunStatus) -> list[Sequence[str]]:
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


def _landmark(points: Points, row: int, name: str, progress: Progress) -> Sequence[str]:
    return (
        name,
        moment(int(points.step[row]), progress),
        format_number(float(points.value[row])),
        format_time(float(points.wall_time[row])),
    )


def _trend(status: RunStatus) -> Lines:
    if not status.trend:
        return []
    figures = trend_figures(status.trend, status.progress)
    width = max(len(figure.label) for figure in figures)
    bars = [f"{figure.label:<{width}}  {figure.value}" for figure in figures]
    return ["", "The newest values:", "", "```text", *bars, "```"]


# --- several runs --------------------------------------------------------------------------------------------------


def render_comparison_report(statuses: Sequence[RunStatus], comparison: Comparison, *, made_at: float) -> str:
    """Return the report of several runs as Markdown: table, ranking, verdict, differences, and each run in short.

    Args:
        statuses: The runs, in the order of the table.
        comparison: The result of `analysis.compare.compare_runs` over them.
        made_at: Moment of the report, seconds UTC.
    """
    sections = (
        _comparison_head(statuses, made_at),
        _section(
            f"Result for {code_span(comparison.tag)}", [prose(comparison.verdict), "", *_comparison_table(comparison)]
        ),
        *([_section("Groups", _group_table(comparison))] if comparison.is_grouped else []),
        _section("Ranking", _ranking(comparison.ranking)),
        _section("Configuration differences", _difference(statuses)),
        *(_section(f"Run {code_span(status.run.name)}", _in_short(status)) for status in statuses),
    )
    return _document(sections)


def _comparison_head(statuses: Sequence[RunStatus], made_at: float) -> Lines:
    title = f"# Comparison of {len(statuses)} training runs"
    return [title, "", f"Made at {format_time(made_at)} UTC.", ""]


def _comparison_table(comparison: Comparison) -> Lines:
    header = ("run", "best", "at step", "last", "at step", "points", "duration")
    return _table(header, [_comparison_row(row) for row in comparison.rows])


def _comparison_row(row: RunRow) -> Sequence[str]:
    return (table_cell(row.run), *comparison_cells(row))


def _group_table(comparison: Comparison) -> Lines:
    header = ("group", "runs", "mean", "deviation", "95 % of the mean", "median", "range")
    rows = [(table_cell(row.group.name), *group_cells(row)) for row in comparison.groups]
    return [f"Compared is {prose(comparison.reading)}.", "", *_table(header, rows)]


def _ranking(ranking: Sequence[str]) -> Lines:
    if not ranking:
        return ["No run has a value to rank by."]
    return [f"{place}. {code_span(run)}" for place, run in enumerate(ranking, 1)]


def _difference(statuses: Sequence[RunStatus]) -> Lines:
    difference = config_difference({status.run.name: status.configuration for status in statuses})
    if not difference:
        return ["No key differs, or no configuration lies beside the runs."]
    names = [status.run.name for status in statuses]
    header = ("key", *(table_cell(name) for name in names))
    rows = [(table_cell(key), *(_value_cell(values.get(name)) for name in names)) for key, values in difference.items()]
    return _table(header, rows)


def _in_short(status: RunStatus) -> Lines:
    findings = [f"* {finding_title(item, status.progress, code_span)}" for item in status.health.findings if item.open]
    lines = [
        *_figure_table((*progress_figures(status, table_cell), Figure("Health", score_text(status.health)))),
        "",
        *(findings or ["No open finding."]),
    ]
    return [*lines, "", *_problems(status.problems)] if status.problems else lines


# --- text ----------------------------------------------------------------------------------------------------------


def prose(sentences: str) -> str:
    """Return sentences that may quote text from files as inert Markdown: every word that is not plain is a code span.

    Escaping with backslashes does not suffice: viewers turn addresses into links after the escapes are resolved.
    Source: CommonMark 0.31, sections 2.4 and 6.1; GitHub-flavoured Markdown 0.29, section 6.9 (autolinks).
    """
    return " ".join(_word(word) for word in plain(sentences).split())


def _word(word: str) -> str:
    harmless = _HARMLESS.fullmatch(word) and not _EDGE_UNDERSCORE.search(word) and "www." not in word.lower()
    return word if harmless else code_span(word)


def _cell(sentences: str) -> str:
    return prose(sentences).replace("|", "\\|")


# --- the file ------------------------------------------------------------------------------------------------------


def write_report(text: str, path: Path) -> None:
    """Write the report so that the file holds all of it or is left as it was.

    Raises:
        ReportNotWritten: The system refuses; the message says why.
    """
    write_bytes(text.encode("utf-8", errors="replace"), path)


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file so that it holds all of `content` or is left as it was.

    Raises:
        ReportNotWritten: The system refuses; the message says why.
    """
    try:
        target = path.resolve()  # a link stays a link
        if target.exists() and not (target.is_file() or target.is_dir()):
            target.write_bytes(content)  # a pipe or device is written to, never replaced
        else:
            _replace(target, content)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        raise _not_written(path, error) from error


def _replace(target: Path, content: bytes) -> None:
    """Write to a new file beside `target`, then put it in its place in one step."""
    part = target.with_name(f".report-{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
        if target.is_file():
            part.chmod(target.stat().st_mode & 0o777)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)  # gone already when all went well


def _not_written(path: Path, error: Exception) -> ReportNotWritten:
    why, hint = _reason(error)
    return ReportNotWritten(f'The file "{plain(str(path))}" could not be written: {why}.', hint=hint)


def _reason(error: Exception) -> tuple[str, str]:
    """Return (why, what to do) for a refusal of the operating system."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full", "Free some space, or name a file on another disk with -o."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "this user may not write there", "Name a file in a directory you may write to with -o."
    if number in (errno.ENOENT, errno.ENOTDIR):
        return "its directory does not exist", "Make the directory first, or name another file with -o."
    if number == errno.EISDIR:
        return "a directory of that name is in the way", "Name a file with -o, e.g. -o report.md."
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason, "Name another file with -o."
