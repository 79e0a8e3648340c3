"""What stands in each panel of the dashboard: status, width and lines at most → lines.

The same figures as in ``status`` and its JSON, in the longest form that has room.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from monitor.analysis.series import visible
from monitor.dashboard.lines import (
    Block,
    Row,
    blocks_of,
    first_lines,
    fitting,
    gauge,
    gauge_row,
    harmless,
    naming,
    row,
    style_of,
    that_fit,
    without_middle,
    wrapped,
)
from monitor.figures import (
    BAND_WORDS,
    Figure,
    Foreign,
    bar,
    celsius_text,
    disk_text,
    finding_name,
    finding_title,
    health_figures,
    load_spark,
    metric_figure,
    moment,
    power_text,
    progress_figures,
    saved_text,
    score_text,
    time_left_forms,
    traffic_forms,
    unchecked_sentences,
    used_text,
    verdict_figure,
)
from monitor.plots import curve_lines, spark_of
from monitor.schema import SEVERITIES, Checkpoint, Finding, GpuSample, Metric, Roles, RoleTag, Sample, TrendBar
from monitor.status import RunStatus
from monitor.text import (
    UNKNOWN,
    format_age,
    format_bytes,
    format_change,
    format_learning_rate,
    format_number,
    format_percent,
    format_step,
)

ENOUGH: Final = 1_000  # lines, more than any panel has
FILLING_RANKS: Final = (50, 51)  # of lines of the health that are nice to have
CURVE_LINES: Final = 9  # a curve that is lower tells too little
FEWEST_REASONS: Final = 4  # lines; fewer would be cut in the middle of the first reason

# --- metrics -------------------------------------------------------------------------------------------------------


def metrics(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return progress, loss, learning rate, validation, scores, and the last epochs as bars."""
    if not status.scalars.count:
        reason = f"{harmless(status.state.reason)} The figures appear here by themselves."
        return [Text(line) for line in wrapped(reason, width)][:room]
    rows = [*_progress_rows(status), *_judged_rows(status, max(room // 3, 1)), *_trend_rows(status)]
    return that_fit([*_progress_bar(status, width), *blocks_of(rows, width)], room)


def metrics_and_curve(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the metrics, and the curve of the loss below them where enough room is left."""
    return _metrics_above(status.roles.loss, status, width, room)


def metrics_and_other_curve(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the metrics, and below them a curve that `curves` does not show where enough room is left."""
    shown = _main_curves(status.roles)
    others = (role for role in (*status.roles.scores, *status.roles.validation) if role not in shown)
    return _metrics_above(next(others, None), status, width, room)


def _metrics_above(role: RoleTag | None, status: RunStatus, width: int, room: int) -> list[Text]:
    lines = metrics(status, width, room)
    height = min(room - len(lines) - 1, width // 2)
    if room == ENOUGH or height < CURVE_LINES or role is None:
        return lines
    return [*lines, Text(), *_curve(status, role, width, height)]


def _progress_bar(status: RunStatus, width: int) -> list[Block]:
    fraction = status.progress.fraction
    if fraction is None:
        return []
    bar_text = gauge(fraction, max(width - 7, 1))
    return [Block(0, [Text.assemble(bar_text, f" {format_percent(math.floor(100 * fraction)):>6}")])]


def _progress_rows(status: RunStatus) -> list[Row]:
    figures = {figure.label: figure for figure in progress_figures(status, harmless)}
    learning_rate = figures["Learning rate"].value
    return [
        row(2, "Epoch", f"{figures['Epoch'].value}, step {figures['Step'].value}", figures["Epoch"].value)
        if status.progress.epoch is not None
        else row(2, "Step", figures["Step"].value),
        row(3, "Time left", *time_left_forms(status, harmless)),
        _loss_row(status),
        Row(5, "Trend", lambda room: _trend_text(status, room)),
        row(4, "Learning rate", learning_rate, learning_rate.partition(" (")[0]),
        row(9, "Epoch time", figures["Epoch duration"].value),
        row(11, "Speed", figures["Speed"].value),
    ]


def _loss_row(status: RunStatus) -> Row:
    if status.loss is None:
        return row(1, "Loss", f"{UNKNOWN} (no series)")
    full = metric_figure("Loss", status.loss, status.progress)
    value, change, best = _metric_parts(status.loss)
    return row(1, "Loss", full.value, f"{value} ({change}), best {best}", f"{value} ({change})", value, tone=full.tone)


def _metric_parts(metric: Metric) -> tuple[str, str, str]:
    return format_number(metric.value), format_change(metric.change_percent), format_number(metric.best)


def _trend_text(status: RunStatus, room: int) -> Text:
    """Return the verdict on the loss, and the loss itself in a line where it has room."""
    verdict = verdict_figure(status)
    words = fitting((verdict.value, status.health.verdict.replace("_", " ")), room)
    width = min(room - cell_len(words) - 2, 40)
    points = visible(status.scalars.points(status.roles.loss.tag if status.roles.loss else None))
    spark = f"{spark_of(points, width)}  " if width >= 4 and len(points) else ""
    return Text.assemble(spark, (words, style_of(verdict.tone)))


def _judged_rows(status: RunStatus, most: int) -> list[Row]:
    """Return the newest and the best value of each validation task and score; of many, `most`, and that more exist."""
    judged = (*status.validation, *status.scores)
    rows = [_judged_row(status, metric) for metric in judged[:most]]
    if len(judged) > most:
        more = f"and {len(judged) - most} more"
        rows.append(row(7, "", f"{more}, `status` lists them", more))
    return rows


def _judged_row(status: RunStatus, metric: Metric) -> Row:
    label = harmless(metric.label)
    full = metric_figure(label, metric, status.progress)
    value, change, best = _metric_parts(metric)
    if metric.best is None:
        return row(6, label, full.value, f"{value} ({change})", value, tone=full.tone)
    dated = f"{value} ({change}), best {best} at {moment(metric.best_step, status.progress)}"
    forms = (full.value, dated, f"{value} ({change}), best {best}", f"{value}, best {best}", value)
    return row(6, label, *forms, tone=full.tone)


def _trend_rows(status: RunStatus) -> list[Row]:
    """Return the last epochs of the loss, oldest first: the value beside a bar; the newest five outlast the others."""
    values = [format_number(item.value) for item in status.trend]
    column = max((len(value) for value in values), default=0)
    rows = [
        _trend_row(status, item, f"{value:>{column}}", rank=8 if place >= len(values) - 5 else 10)
        for place, (item, value) in enumerate(zip(status.trend, values, strict=True))
    ]
    return [row(12, "", ""), *rows] if rows else []


def _trend_row(status: RunStatus, item: TrendBar, value: str, rank: int) -> Row:
    def text(room: int) -> Text:
        return Text.assemble(f"{value}  ", (bar(item.share, min(max(room - len(value) - 2, 1), 40)), "cyan"))

    return Row(rank, moment(item.step, status.progress), text)


# --- health --------------------------------------------------------------------------------------------------------


def health(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the score with its sum, the open findings with evidence and advice, and the titles of those over."""
    return that_fit(_health_blocks(status, width, room), room)


def _health_blocks(status: RunStatus, width: int, room: int) -> list[Block]:
    if not status.scalars.count:
        return [Block(0, [Text(score_text(status.health))])]
    figures = {figure.label: figure for figure in health_figures(status, max(width - 24, 8))}
    findings = sorted(status.health.findings, key=_urgency)
    score, *others = blocks_of(_health_rows(status, figures, findings), width)
    total = _labelled_prose("Sum", figures["Sum"].value, width, label_width=10)
    blocks = [score, Block(3, first_lines(total, max(room // 4, 1))), *others]
    for place, finding in enumerate(findings):
        blocks.extend(_finding(status, finding, place, width, max(room // 4, 2)))
    return blocks


def health_and_checks(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the health, and below it what was not checked where room is left.

    Asked for all it has, it leaves out what only fills room that no other panel wants.
    """
    blocks = _health_blocks(status, width, room)
    if room == ENOUGH:
        return that_fit([block for block in blocks if block.rank not in FILLING_RANKS], room)
    lines = that_fit(blocks, room)
    rest = room - len(lines) - 2
    if rest < FEWEST_REASONS or not status.health.checks.not_checked:
        return lines
    reasons = [line for sentence in unchecked_sentences(status.health) for line in _indented(sentence, width)]
    return [*lines, Text(), Text("Not checked", "dim"), *first_lines(reasons, rest)]


def _health_rows(status: RunStatus, figures: Mapping[str, Figure], findings: Sequence[Finding]) -> list[Row]:
    score = figures["Score"]
    return [
        row(0, "Score", score.value, *_short_scores(status), tone=score.tone),
        row(FILLING_RANKS[1], "Course", figures["Course"].value),
        row(FILLING_RANKS[0], "Checks", figures["Checks"].value),
        row(2, "Findings", *_counts(findings)),
    ]


def _urgency(finding: Finding) -> tuple[bool, bool, int]:
    """Return what sorts open findings to the front, consequences of another one behind, the most severe first."""
    return not finding.open, finding.explained_by is not None, -SEVERITIES.index(finding.severity)


def _short_scores(status: RunStatus) -> tuple[str, ...]:
    health = status.health
    if health.score is None or health.band is None:
        return (UNKNOWN,)
    return f"{health.score} of 100, {BAND_WORDS[health.band]}", f"{health.score} of 100, {health.band}"


def _counts(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return how many findings are open, by severity, and how many are over; longest form first."""
    opened = [finding for finding in findings if finding.open]
    n_over = len(findings) - len(opened)
    if not opened:
        return (f"none open, {n_over} over" if n_over else "none",)
    numbers = {severity: sum(item.severity == severity for item in opened) for severity in reversed(SEVERITIES)}
    kinds = ", ".join(f"{number} {severity}" for severity, number in numbers.items() if number)
    return f"{len(opened)} open ({kinds}), {n_over} over", f"{len(opened)} open, {n_over} over"


def _finding(status: RunStatus, finding: Finding, place: int, width: int, most: int) -> list[Block]:
    """Return title, evidence in at most so many lines, and advice; only the title of one that is over.

    Evidence and advice of the first finding outlast the titles from the third on.
    """
    if not finding.open:
        return [Block(60, [_title_of(status, finding, width, "dim")])]
    advice = finding.advice if finding.explained_by is None else "Another finding explains this one."
    title, evidence, told = ((1, 5, 7), (4, 9, 10))[place] if place < 2 else (6 + 2 * place, 21 + place, 22 + place)
    return [
        Block(title, [_title_of(status, finding, width, style_of(finding.severity))]),
        Block(evidence, first_lines(_indented(finding.evidence, width), most)),
        Block(told, _indented(advice, width)),
    ]


def _title_of(status: RunStatus, finding: Finding, width: int, style: str) -> Text:
    """Return a finding in a line; where that is too long, without its place, with a shorter series, without series."""
    over = "" if finding.open else ", over"

    def in_short(foreign: Foreign) -> str:
        return f"{finding_name(finding, foreign)}{over}"

    alone = f"{finding_name(replace(finding, tag=None))}{over}"
    forms = (finding_title(finding, status.progress, harmless), in_short(harmless), naming(in_short, width), alone)
    return Text(fitting(forms, width), style)


def _indented(text: str, width: int) -> list[Text]:
    return [Text(f"  {line}") for line in wrapped(harmless(text), width - 2)]


def _labelled_prose(label: str, text: str, width: int, label_width: int) -> list[Text]:
    lines = wrapped(text, width - label_width)
    return [
        Text.assemble((f"{'' if place else label:<{label_width}}", "dim"), line) for place, line in enumerate(lines)
    ]


# --- resources -----------------------------------------------------------------------------------------------------


def resources(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return load, memory and disk of the machine and each of its GPUs."""
    sample = status.sample
    if sample == Sample(sample.wall_time):
        return [Text("not read yet")][:room]
    rows = [
        *(_processor_row(sample), _memory_row(sample)),
        *(_gpu_rows(sample.gpus, room - 2) or [_no_gpu_row(sample)]),
        *([_disk_row(sample)] if sample.disk_free_bytes is not None else []),
        *([row(9, "Disk I/O", *traffic_forms(sample))] if traffic_forms(sample) else []),
    ]
    return that_fit(blocks_of(rows, width), room)


def _no_gpu_row(sample: Sample) -> Row:
    return row(1, "GPU", *((sample.gpu_note, "none, `status` says why") if sample.gpu_note else (UNKNOWN,)))


def _processor_row(sample: Sample) -> Row:
    cores = sample.core_percents
    sparks = [load_spark(cores, most) for most in (64, 32, 16, 8, 4) if len(cores) > 1]
    return gauge_row(0, "CPU", sample.cpu_percent, *(f"{spark} {len(cores)} cores" for spark in sparks), *sparks, "")


def _memory_row(sample: Sample) -> Row:
    used, total = sample.memory_used_bytes, sample.memory_total_bytes
    swapped = f", {format_bytes(sample.swap_used_bytes)} swapped out" if sample.swap_used_bytes else ""
    text = f"{format_bytes(used)} of {format_bytes(total)}"
    return gauge_row(2, "Memory", _percent(used, total), f"{text}{swapped}", text, format_bytes(used), "")


def _disk_row(sample: Sample) -> Row:
    free, total = sample.disk_free_bytes, sample.disk_total_bytes
    used = None if free is None or total is None else total - free
    free_text = format_bytes(free)
    return gauge_row(3, "Disk", _percent(used, total), f"{disk_text(sample)} free", f"{free_text} free", free_text, "")


def _percent(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else 100 * part / whole


def _gpu_rows(gpus: Sequence[GpuSample], room: int) -> list[Row]:
    """Return two rows for each GPU, one where that is too much, and one for all where even that is."""
    if 2 * len(gpus) <= room:
        return [row for gpu in gpus for row in (_gpu_row(gpu), _gpu_memory_row(gpu))]
    if len(gpus) <= max(room, 1):
        return [_gpu_row(gpu, with_memory=True) for gpu in gpus]
    return [_all_gpus_row(gpus)]


def _gpu_row(gpu: GpuSample, *, with_memory: bool = False) -> Row:
    name, celsius = harmless(gpu.name), celsius_text(gpu)
    power = f"  {power_text(gpu)}" if gpu.power_watts is not None else ""
    memory = f"  {format_bytes(gpu.memory_used_bytes)}" if with_memory else ""
    long = f"  {used_text(gpu.memory_used_bytes, gpu.memory_total_bytes)}" if with_memory else ""
    forms = (f"{celsius}{long}{power}  {name}", f"{celsius}{long}{power}", f"{celsius}{long}", f"{celsius}{memory}")
    return gauge_row(1, f"GPU {gpu.index}", gpu.utilization_percent, *forms, celsius, "")


def _gpu_memory_row(gpu: GpuSample) -> Row:
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    forms = (f"{format_bytes(used)} of {format_bytes(total)}", format_bytes(used), "")
    return gauge_row(5, "  memory", _percent(used, total), *forms)


def _all_gpus_row(gpus: Sequence[GpuSample]) -> Row:
    """Return all GPUs in a row: the mean load as the bar, each load as a character, the hottest one."""
    loads = [gpu.utilization_percent for gpu in gpus if gpu.utilization_percent is not None]
    hottest = max((gpu.temperature_celsius for gpu in gpus if gpu.temperature_celsius is not None), default=None)
    spark = load_spark(loads, 16) if loads else ""
    celsius = "" if hottest is None else f", at most {hottest:.0f} °C"
    mean = sum(loads) / len(loads) if loads else None
    return gauge_row(1, f"{len(gpus)} GPUs", mean, f"{spark} on average{celsius}", f"{spark}{celsius}", spark, "")


# --- checkpoints ---------------------------------------------------------------------------------------------------


def checkpoints(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the best checkpoint, the newest one, and which epochs and steps are saved."""
    checkpoints = status.checkpoints
    if not checkpoints.saved and checkpoints.best is None:
        return [Text("none saved yet")][:room]
    rows = [
        _checkpoint_row(0, "Best", checkpoints.best, status.now),
        _checkpoint_row(1, "Newest", checkpoints.newest, status.now),
        row(2, "Saved", *(saved_text(checkpoints.saved, limit) for limit in range(12, 0, -1))),
    ]
    return that_fit(blocks_of(rows, width), room)


def _checkpoint_row(rank: int, label: str, checkpoint: Checkpoint | None, now: float) -> Row:
    if checkpoint is None:
        return row(rank, label, f"{UNKNOWN} (not saved)")
    age = format_age(now - checkpoint.modified)
    doubt = "" if checkpoint.readable else ", cannot be read"
    size = format_bytes(checkpoint.size_bytes)

    def value(room: int) -> Text:
        name = harmless(checkpoint.name)
        forms = (f"{name} ({size}, {age}{doubt})", f"{name} ({age}{doubt})")
        short = naming(lambda foreign: f"{foreign(checkpoint.name)} ({age}{doubt})", room)
        return Text(fitting((*forms, short), room), "" if checkpoint.readable else "yellow")

    return Row(rank, label, value)


# --- curves --------------------------------------------------------------------------------------------------------


def curves(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the loss, a validation task or score and the learning rate as curves, as many as have room."""
    chosen = _main_curves(status.roles)
    count = max(min(len(chosen), room // (CURVE_LINES + 1)), 1)
    height = min(room // count, width // 2)
    return [line for role in chosen[:count] for line in _curve(status, role, width, height)]


def _main_curves(roles: Roles) -> list[RoleTag]:
    return [role for role in (roles.loss, *(roles.validation or roles.scores)[:1], roles.learning_rate) if role]


def _curve(status: RunStatus, role: RoleTag, width: int, height: int) -> list[Text]:
    """Return one series: its tag with the newest value, and its curve below."""
    points = visible(status.scalars.points(role.tag))
    if not len(points) or height < 5 or width < 20:
        return []
    format_value = format_learning_rate if role == status.roles.learning_rate else format_number
    newest = f"  {format_value(float(points.value[-1]))}, {format_step(len(points))} points"
    title = Text.assemble((without_middle(harmless(role.tag), max(width - len(newest), 8)), "bold"), (newest, "dim"))
    return [title, *(Text(line) for line in curve_lines(points, status.progress, width, height - 1, format_value))]
