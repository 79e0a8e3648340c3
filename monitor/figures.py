"""RunStatus → labelled figures as people read them: what the terminal and the report share.

Every function is pure. Text that comes from files passes through the `foreign` function of the caller: `text.plain`
for a terminal, `text.table_cell` for a Markdown table.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from monitor.analysis.compare import GroupRow, RunRow
from monitor.analysis.series import visible
from monitor.analysis.time_left import TimeLeft, time_left
from monitor.health import HealthPoint, label_of, label_of_check, score_sum
from monitor.schema import (
    Band,
    Checkpoint,
    Finding,
    GpuSample,
    Health,
    Metric,
    Progress,
    ReadProblem,
    Sample,
    Scalars,
    TrendBar,
    Verdict,
)
from monitor.status import RunStatus
from monitor.text import (
    UNKNOWN,
    format_age,
    format_bytes,
    format_change,
    format_duration,
    format_learning_rate,
    format_moment,
    format_number,
    format_percent,
    format_step,
    format_time,
    plain,
)

Foreign = Callable[[str], str]

_VERDICT_WORDS: Final[dict[Verdict, str]] = {
    "falling": "falling",
    "oscillating": "oscillating",
    "rising": "rising",
    "converged": "flat (converged)",
    "stuck": "flat (stuck)",
    "flat": "flat",
    "too_few_points": "too few points to tell",
    "no_loss": "no loss series found",
}
BAND_WORDS: Final[dict[Band, str]] = {
    "excellent": "excellent",
    "normal": "normal with small issues",
    "problems": "clear problems",
    "abnormal": "abnormal, look at once",
}
_SPARKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its name.

    Args:
        label: What it is; already made harmless where it comes from a file.
        value: Formatted, with its unit.
        tone: Word for its colour: a severity, a band, ``better``, ``worse`` or empty.
    """

    label: str
    value: str
    tone: str = ""


def moment(step: int | None, progress: Progress) -> str:
    """Return a step as people say it: ``epoch 12`` (counted from 1) where steps are epochs, else ``step 1,200``."""
    return format_moment(step, progress.first_epoch_step)


def run_figures(status: RunStatus, foreign: Foreign = plain) -> tuple[Figure, ...]:
    """Return what the run is, where it lies, whether it lives, and how much was read of it."""
    scalars = status.scalars
    events = f"first {format_time(scalars.first_event)} UTC, last {format_time(scalars.last_event)} UTC"
    return (
        Figure("Run", foreign(status.run.name)),
        Figure("Directory", foreign(status.run.path)),
        Figure("State", status.state.state, status.state.state),
        Figure("Sessions", _sessions(scalars)),
        Figure("Scalars", f"{format_step(scalars.count)} in {format_step(len(scalars.series))} series"),
        Figure("Events", events if scalars.first_event is not None else UNKNOWN),
        Figure("Framework", foreign(status.roles.framework) if status.roles.framework else UNKNOWN),
    )


def _sessions(scalars: Scalars) -> str:
    restarts = len(scalars.sessions) - 1
    if restarts < 1:
        return format_step(len(scalars.sessions))
    return f"{len(scalars.sessions)} (restarted {'once' if restarts == 1 else f'{restarts} times'})"


def progress_figures(status: RunStatus, foreign: Foreign = plain) -> tuple[Figure, ...]:
    """Return epoch, step, loss, verdict, learning rate, epoch duration, speed and time left."""
    progress = status.progress
    return (
        Figure("Epoch", _of_total(progress.epoch, progress.total_epochs)),
        Figure("Step", _of_total(progress.step, progress.total_steps)),
        metric_figure("Loss", status.loss, progress),
        verdict_figure(status),
        Figure("Learning rate", _learning_rate(status.learning_rate)),
        Figure("Epoch duration", _epoch_duration(status)),
        Figure("Speed", _speed(progress)),
        Figure("Time left", time_left_forms(status, foreign)[0]),
    )


def verdict_figure(status: RunStatus) -> Figure:
    """Return what the loss does, in words; of one that is no number any more, that."""
    if status.loss is not None and not math.isfinite(status.loss.value):
        return Figure("Loss verdict", "not a number", "critical")
    verdict = status.health.verdict
    return Figure("Loss verdict", _VERDICT_WORDS[verdict], verdict)


def _of_total(count: int | None, total: int | None) -> str:
    if count is None or total is None:
        return format_step(count)
    return f"{format_step(count)} of {format_step(total)}"


def _learning_rate(metric: Metric | None) -> str:
    if metric is None:
        return f"{UNKNOWN} (no series)"
    return f"{format_learning_rate(metric.value)} ({format_change(metric.change_percent)})"


def _epoch_duration(status: RunStatus) -> str:
    metric = status.epoch_duration
    if metric is not None:
        return f"{format_duration(metric.value)} ({format_change(metric.change_percent)})"
    return format_duration(status.progress.epoch_seconds)


def _speed(progress: Progress) -> str:
    speed = progress.steps_per_second
    if speed is None:
        return UNKNOWN
    unit = "epoch" if progress.steps_are_epochs else "step"
    if speed < 1:
        return f"{format_duration(1 / speed if speed > 0 else None)} per {unit}"
    count = format_number(speed, 3)
    return f"{count} {unit if count == '1' else f'{unit}s'} per second"


# --- the time left -------------------------------------------------------------------------------------------------


def time_left_of(status: RunStatus) -> TimeLeft | None:
    """Return the time left of a run with its range, None where it is unknown or the run goes on no more."""
    if _is_over(status):
        return None
    loss = status.roles.loss
    return time_left(status.progress, visible(status.scalars.points(loss.tag if loss else None)))


def time_left_text(status: RunStatus) -> str:
    """Return the time left as people say it: ``1 h 50 min to 2 h 10 min left``, ``done``, ``time left unknown``.

    Empty for a run that ended before its total.
    """
    left = time_left_of(status)
    if left is not None:
        return f"{_span(left)} left"
    if status.progress.fraction == 1.0:
        return "done"
    return "" if status.state.state == "finished" else "time left unknown"


def time_left_forms(status: RunStatus, foreign: Foreign = plain) -> tuple[str, ...]:
    """Return the time left as a figure, longest form first: with where the total comes from, alone, without range."""
    left, source = time_left_of(status), status.progress.total_source
    if left is None:
        return ("done",) if status.progress.fraction == 1.0 else (f"{UNKNOWN} ({_why_in_short(status)})", UNKNOWN)
    span, usual = _span(left), format_duration(left.seconds)
    sourced = f"{span} (total from {foreign(source)})" if source else span
    return tuple(dict.fromkeys((sourced, span, usual if usual == span else f"about {usual}")))


def _span(left: TimeLeft) -> str:
    low, high = format_duration(left.low_seconds), format_duration(left.high_seconds)
    return low if low == high else f"{low} to {high}"


def _why_in_short(status: RunStatus) -> str:
    if _is_over(status):
        return f"the run is {status.state.state}"
    return "too few points to tell the pace" if _has_total(status.progress) else "the planned total is not known"


def time_left_basis(status: RunStatus) -> str:
    """Return in a sentence where the time left comes from, or why it is unknown."""
    progress, left = status.progress, time_left_of(status)
    if left is None:
        return _why_unknown(status)
    # The total and its source are told beside the bar.
    unit = "epoch" if progress.steps_are_epochs or progress.total_steps is None else "step"
    basis = f"What is left of the planned {unit}s at the usual recent pace takes {format_duration(left.seconds)}."
    if not left.n_intervals:
        return f"{basis} Too few points for a range."
    if _span(left) == format_duration(left.seconds):
        return f"{basis} The last {left.n_intervals} intervals between points differ too little for a range."
    return f"{basis} The range is that of the middle half of the last {left.n_intervals} intervals between points."


def _why_unknown(status: RunStatus) -> str:
    if status.progress.fraction == 1.0:
        return "All that was planned is done."
    if _is_over(status):
        return f"The run is {status.state.state}: nothing tells how long it would still take."
    if not _has_total(status.progress):
        return (
            "The planned total is not known: no configuration beside the run tells it. It can be set in monitor.toml, "
            "as total_epochs or total_steps under [run]."
        )
    return "There are too few points to tell the pace."


def progress_note(status: RunStatus) -> str:
    """Return what the time left rests on; empty for a run that goes on no more, whose figure says all."""
    return "" if _is_over(status) else time_left_basis(status)


def _is_over(status: RunStatus) -> bool:
    return status.state.state in ("finished", "stalled")


def _has_total(progress: Progress) -> bool:
    return progress.total_steps is not None or progress.total_epochs is not None


# --- series, health, checkpoints, machine --------------------------------------------------------------------------


def metric_figure(label: str, metric: Metric | None, progress: Progress) -> Figure:
    """Return the newest value of a series with its change and its best value."""
    if metric is None:
        return Figure(label, f"{UNKNOWN} (no series)")
    text = f"{format_number(metric.value)} ({format_change(metric.change_percent)}) at {moment(metric.step, progress)}"
    if metric.best is not None:
        text = f"{text}, best {format_number(metric.best)} at {moment(metric.best_step, progress)}"
    return Figure(label, text, _tone(metric))


def _tone(metric: Metric) -> str:
    if not math.isfinite(metric.value):
        return "critical"
    if metric.direction is None or not metric.change_percent:
        return ""
    return "better" if (metric.change_percent < 0) == (metric.direction == "min") else "worse"


def metric_figures(metrics: Sequence[Metric], progress: Progress, foreign: Foreign = plain) -> tuple[Figure, ...]:
    """Return one figure per series, in the order given."""
    return tuple(metric_figure(foreign(metric.label), metric, progress) for metric in metrics)


def health_figures(status: RunStatus, course_width: int = 30) -> tuple[Figure, ...]:
    """Return the score with its written-out sum, its course in at most `course_width` characters, how many checks ran.

    Args:
        status: The run.
        course_width: At least 1; the scores at its ends come on top.
    """
    health = status.health
    return (
        Figure("Score", score_text(health), health.band or ""),
        Figure("Sum", sum_text(health, status.progress.first_epoch_step)),
        Figure("Course", _course(status.health_history, course_width)),
        Figure("Checks", f"{health.checks.ran} of {health.checks.of} ran"),
    )


def _course(history: Sequence[HealthPoint], most: int) -> str:
    """Return the score over time, drawn between 0 and 100; every character is the lowest of its share of the points."""
    if not history:
        return UNKNOWN
    scores = [point.score for point in history]
    size = -(-len(scores) // most)
    lowest = (min(scores[start : start + size]) for start in range(0, len(scores), size))
    return f"{''.join(_SPARKS[_level(score / 100)] for score in lowest)} ({scores[0]} to {scores[-1]})"


def unchecked_sentences(health: Health) -> tuple[str, ...]:
    """Return why some checks could not run, each reason once with what it kept from being checked."""
    labels: dict[str, list[str]] = {}
    for item in health.checks.not_checked:
        labels.setdefault(item.why.removesuffix("."), []).append(label_of_check(item.kind))
    return tuple(f"{why}: {', '.join(found)}." for why, found in labels.items())


def score_text(health: Health) -> str:
    """Return the score with its band, or that there is not enough to judge."""
    if health.score is None or health.band is None:
        return f"{UNKNOWN} (not enough data yet)"
    provisional = " (provisional: few points so far)" if health.provisional else ""
    return f"{health.score} of 100, {BAND_WORDS[health.band]}{provisional}"


def sum_text(health: Health, first_epoch_step: int | None = None) -> str:
    """Return how the score comes about: ``100 − 38 (loss rising since step 6,200) = 62``."""
    if health.score is None:
        return UNKNOWN
    return score_sum(health, first_epoch_step) if health.deductions else "100, nothing deducted"


def finding_title(finding: Finding, progress: Progress, foreign: Foreign = plain) -> str:
    """Return a finding in a line: severity, what, in which series, since when, and whether it lasts."""
    since = f", since {moment(finding.onset_step, progress)}" if finding.onset_step is not None else ""
    if finding.open:
        state = ""
    elif finding.recovered_step is None:
        state = ", over"
    else:
        state = f", over at {moment(finding.recovered_step, progress)}"
    return f"{finding_name(finding, foreign)}{since}{state}"


def finding_name(finding: Finding, foreign: Foreign = plain) -> str:
    """Return severity, label and series of a finding: ``error: overfitting in validation/loss``."""
    where = f" in {foreign(finding.tag)}" if finding.tag else ""
    return f"{finding.severity}: {label_of(finding)}{where}"


def checkpoint_figures(status: RunStatus, foreign: Foreign = plain) -> tuple[Figure, ...]:
    """Return the best checkpoint, the newest one, and which epochs and steps are saved."""
    checkpoints = status.checkpoints
    if not checkpoints.saved and checkpoints.best is None:
        return (Figure("Saved", "none"),)
    return (
        Figure("Best", _checkpoint(checkpoints.best, status.now, foreign)),
        Figure("Newest", _checkpoint(checkpoints.newest, status.now, foreign)),
        Figure("Saved", saved_text(checkpoints.saved)),
    )


def _checkpoint(checkpoint: Checkpoint | None, now: float, foreign: Foreign) -> str:
    if checkpoint is None:
        return f"{UNKNOWN} (not saved)"
    age = format_age(now - checkpoint.modified)
    doubt = "" if checkpoint.readable else ", cannot be read"
    return f"{foreign(checkpoint.name)} ({format_bytes(checkpoint.size_bytes)}, {age}{doubt})"


def saved_text(saved: Sequence[Checkpoint], limit: int = 12) -> str:
    """Return which epochs and steps are saved, oldest first; the newest `limit` of them when there are more."""
    epochs = sorted({item.epoch for item in saved if item.kind == "epoch" and item.epoch is not None})
    steps = sorted({item.step for item in saved if item.kind == "step" and item.step is not None})
    parts = [
        _series_of("epochs", epochs, limit) if epochs else "",
        _series_of("steps", steps, limit) if steps else "",
    ]
    listed = "; ".join(part for part in parts if part)
    total = f"{len(saved)} in all"
    return f"{listed} ({total})" if listed else total


def _series_of(word: str, numbers: Sequence[int], limit: int) -> str:
    shown = ", ".join(format_step(number) for number in numbers[-limit:])
    return f"{word} … {shown}" if len(numbers) > limit else f"{word} {shown}"


def resource_figures(sample: Sample, foreign: Foreign = plain) -> tuple[Figure, ...]:
    """Return CPU, memory and disk of the machine and one figure per GPU, or why there is none."""
    figures = [
        Figure("CPU", _processor(sample)),
        Figure("Memory", f"{used_text(sample.memory_used_bytes, sample.memory_total_bytes)}{_swap(sample)}"),
        Figure("Disk free", f"{disk_text(sample)}{_disk_traffic(sample)}"),
    ]
    figures.extend(Figure(f"GPU {gpu.index}", _gpu(gpu, foreign)) for gpu in sample.gpus)
    if not sample.gpus:
        figures.append(Figure("GPU", sample.gpu_note or UNKNOWN))
    return tuple(figures)


def _processor(sample: Sample) -> str:
    text, cores = format_percent(sample.cpu_percent), sample.core_percents
    return f"{text}, the busiest of {len(cores)} cores {format_percent(max(cores))}" if len(cores) > 1 else text


def _swap(sample: Sample) -> str:
    return f", {format_bytes(sample.swap_used_bytes)} swapped out" if sample.swap_used_bytes else ""


def disk_text(sample: Sample) -> str:
    """Return what is free on the disk of the run: ``78.3 GB of 250 GB``."""
    free = format_bytes(sample.disk_free_bytes)
    return f"{free} of {format_bytes(sample.disk_total_bytes)}" if sample.disk_total_bytes else free


def _disk_traffic(sample: Sample) -> str:
    return "".join(f", {text}" for text in traffic_forms(sample)[:1])


def traffic_forms(sample: Sample) -> tuple[str, ...]:
    """Return what all disks read and write now, in words and in short; nothing where that is not known."""
    rates = (sample.disk_read_bytes_per_second, sample.disk_write_bytes_per_second)
    read, written = (f"{format_bytes(None if rate is None else round(rate))}/s" for rate in rates)
    return () if None in rates else (f"reading {read}, writing {written}", f"r {read}  w {written}")


def used_text(used: int | None, total: int | None) -> str:
    """Return a share of memory: ``8.0 GB of 32.0 GB (25 %)``."""
    if used is None or not total:
        return format_bytes(used)
    return f"{format_bytes(used)} of {format_bytes(total)} ({format_percent(100 * used / total)})"


def _gpu(gpu: GpuSample, foreign: Foreign) -> str:
    parts = (
        f"{format_percent(gpu.utilization_percent)} busy",
        used_text(gpu.memory_used_bytes, gpu.memory_total_bytes),
        celsius_text(gpu),
        power_text(gpu),
        foreign(gpu.name),
    )
    return ", ".join(part for part in parts if part)


def celsius_text(gpu: GpuSample) -> str:
    """Return the temperature of a GPU: ``61 °C``."""
    return UNKNOWN if gpu.temperature_celsius is None else f"{gpu.temperature_celsius:.0f} °C"


def power_text(gpu: GpuSample) -> str:
    """Return the power a GPU draws, ``320 W of 700 W``; empty where the driver does not tell."""
    if gpu.power_watts is None:
        return ""
    limit = "" if gpu.power_limit_watts is None else f" of {gpu.power_limit_watts:.0f} W"
    return f"{gpu.power_watts:.0f} W{limit}"


def load_spark(percents: Sequence[float], most: int) -> str:
    """Return loads of 0–100 % in at most `most` characters; each is the highest of its share of the loads."""
    size = max(-(-len(percents) // most), 1)
    highest = (max(percents[start : start + size]) for start in range(0, len(percents), size))
    return "".join(_SPARKS[_level(min(max(percent, 0.0), 100.0) / 100)] for percent in highest)


def trend_figures(trend: Sequence[TrendBar], progress: Progress, width: int = 30) -> tuple[Figure, ...]:
    """Return the recent loss, oldest first: the value beside a bar of at most `width` characters."""
    values = [format_number(item.value) for item in trend]
    column = max((len(value) for value in values), default=0)
    return tuple(
        Figure(moment(item.step, progress), f"{value:>{column}}  {bar(item.share, width)}".rstrip())
        for item, value in zip(trend, values, strict=True)
    )


def bar(share: float, width: int) -> str:
    """Return a bar of ``share × width`` characters, to an eighth of one; without length for an unknown share."""
    if not math.isfinite(share):
        return ""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


def sparkline(values: Sequence[float]) -> str:
    """Return one character per value, low to high; a non-finite value is ``×``, a constant series stays low."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "×" * len(values)
    low, high = min(finite), max(finite)
    # Halved before the subtraction: the span of two huge values of opposite sign would overflow.
    span = high / 2 - low / 2
    return "".join(
        "×" if not math.isfinite(value) else _SPARKS[_level((value / 2 - low / 2) / span if span else 0.0)]
        for value in values
    )


def _level(share: float) -> int:
    return min(int(share * len(_SPARKS)), len(_SPARKS) - 1)


@dataclass(frozen=True, slots=True)
class Section:
    """Figures under a heading."""

    title: str
    figures: tuple[Figure, ...]


def status_sections(status: RunStatus) -> tuple[Section, ...]:
    """Return everything a person wants at one look, for a terminal; sections without content are left out."""
    progress = status.progress
    sections = (
        Section("Run", (*run_figures(status), Figure("", plain(status.state.reason)))),
        Section("Progress", (*progress_figures(status), *_notes(progress_note(status)))),
        Section("Validation", metric_figures(status.validation, progress)),
        Section("Scores", metric_figures(status.scores, progress)),
        Section("Loss trend", trend_figures(status.trend, progress)),
        Section("Health", health_figures(status)),
        Section("Findings", finding_figures(status)),
        Section("Checkpoints", checkpoint_figures(status)),
        Section("Resources", resource_figures(status.sample)),
        Section("Problems met while reading", problem_figures(status.problems)),
    )
    return tuple(section for section in sections if section.figures)


def _notes(sentence: str) -> tuple[Figure, ...]:
    return (Figure("", sentence),) if sentence else ()


def finding_figures(status: RunStatus) -> tuple[Figure, ...]:
    """Return the findings, newest first: those that last with evidence and advice, those that are over in a line."""
    return tuple(_finding(finding, status.progress) for finding in status.health.findings)


def _finding(finding: Finding, progress: Progress) -> Figure:
    lines = [finding_title(finding, progress)]
    if finding.open:
        # The advice for a consequence is that for its cause, which is listed too.
        advice = finding.advice if finding.explained_by is None else "Another finding explains this one."
        lines += [plain(finding.evidence), plain(advice)]
    return Figure("*", "\n".join(lines), finding.severity if finding.open else "")


def problem_figures(problems: Sequence[ReadProblem]) -> tuple[Figure, ...]:
    """Return what could not be read: which file, at which byte, why."""
    return tuple(Figure("*", f"{_place(problem)}\n{plain(problem.detail)}", "warning") for problem in problems)


def _place(problem: ReadProblem) -> str:
    path = plain(problem.path)
    return path if problem.offset is None else f"{path}, byte {format_step(problem.offset)}"


def comparison_cells(row: RunRow) -> tuple[str, ...]:
    """Return what a table of results tells of a run: best, its step, last, its step, points, duration."""
    return (
        format_number(row.best),
        format_step(row.best_step),
        format_number(row.last),
        format_step(row.last_step),
        format_step(row.n_points),
        format_duration(row.duration_seconds),
    )


def further_cells(row: RunRow) -> tuple[str, ...]:
    """Return what else a table of results tells of a run: mean of the last 5 %, way to the baseline's best, health."""
    return (
        format_number(row.final),
        format_step(row.steps_to_target),
        format_duration(row.seconds_to_target),
        format_step(row.health),
    )


def group_cells(row: GroupRow) -> tuple[str, ...]:
    """Return what a table of groups tells: runs with a value, mean, deviation, interval of the mean, median, range."""
    interval = UNKNOWN if row.low is None else f"{format_number(row.low, 4)} to {format_number(row.high, 4)}"
    span = UNKNOWN if row.smallest is None else f"{format_number(row.smallest, 4)} to {format_number(row.largest, 4)}"
    return (
        f"{row.n} of {len(row.group.runs)}",
        format_number(row.mean),
        format_number(row.std, 3),
        interval,
        format_number(row.median),
        span,
    )
