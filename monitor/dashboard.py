"""The terminal in colour: the dashboard of ``watch`` and the sections of ``status``. The only door to rich.

Imported late from there: a terminal without colours, a pipe and a page start without it. A screen is a list of lines
that are measured in the cells of a terminal, so that nothing is wider than it; what has no room is left out by rank,
and what is cut ends in ``…``.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.analysis.series import visible
from monitor.figures import (
    BAND_WORDS,
    VERDICT_WORDS,
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
    status_sections,
    traffic_text,
    used_text,
)
from monitor.plots import curve_lines, spark_of
from monitor.schema import SEVERITIES, Checkpoint, Finding, GpuSample, Metric, RoleTag, Sample, TrendBar
from monitor.screen import Size, open_screen
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
    format_time,
    plain,
    shorten_middle,
)

TWO_COLUMNS_FROM: Final = 76  # cells of a terminal; below, the panels stand one below the other
CURVES_FROM: Final = 140  # from this width on a column of curves stands between the panels
TICK_SECONDS: Final = 1.0  # the age of the last event is told anew this often
_LABEL_CELLS: Final = 13  # that the longest label of our own takes
_ENOUGH: Final = 1_000  # lines, more than any panel has
_CURVE_LINES: Final = 9  # a curve that is lower tells too little
# Joiners, variation selectors, skin tones and the letters of flags: terminals do not agree on how wide they make text.
_UNMEASURED: Final = {
    0x200D: None,
    **dict.fromkeys(range(0xFE00, 0xFE10)),
    **dict.fromkeys(range(0x1F3FB, 0x1F400)),
    **{0x1F1E6 + place: letter for place, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")},
}
_STYLES: Final = {
    "info": "dim",
    "notice": "blue",
    "warning": "yellow",
    "error": "red",
    "critical": "bold red",
    "excellent": "green",
    "normal": "blue",
    "problems": "yellow",
    "abnormal": "bold red",
    "better": "green",
    "worse": "yellow",
    "falling": "green",
    "converged": "green",
    "rising": "red",
    "oscillating": "yellow",
    "stuck": "yellow",
    "running": "green",
    "stalled": "yellow",
}


@contextmanager
def live_dashboard() -> Iterator[Callable[[RunStatus, float], None]]:
    """Yield the function that shows one status for that many seconds; the terminal is restored at the end.

    Meanwhile the screen follows the terminal's size, and the age of the last event ticks.
    """
    console = _console()
    with open_screen(sys.stdout) as screen:
        screen.draw(["Reading the event files. Ctrl+C leaves."], screen.size())

        def show(status: RunStatus, seconds: float) -> None:
            began = time.monotonic()
            size = screen.size()
            panels = _coloured(console, panel_lines(status, size))
            while True:
                elapsed = time.monotonic() - began
                screen.draw([*_coloured(console, head_lines(status, size, elapsed)), *panels], size)
                if elapsed >= seconds:
                    return
                screen.wait(min(TICK_SECONDS, seconds - elapsed))
                if screen.size() != size:
                    size = screen.size()
                    panels = _coloured(console, panel_lines(status, size))

        yield show


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _coloured(console: Console, lines: Sequence[Text]) -> list[str]:
    """Return the lines as the terminal understands them."""
    with console.capture() as capture:
        for line in lines:
            console.print(line, soft_wrap=True)
    return capture.get().split("\n")[:-1]


def print_coloured(status: RunStatus) -> None:
    """Print the sections of a status in colour."""
    console = _console()
    for section in status_sections(status):
        console.print(section.title, style="bold")
        console.print(_grid(section.figures))
        console.print()


def _grid(figures: Sequence[Figure]) -> Table:
    """Return the figures as two columns; a long value goes on below, between words where it can."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    labels = max((len(figure.label) for figure in figures), default=0)
    grid.add_column(style="dim", no_wrap=True, min_width=labels + 2)
    grid.add_column(overflow="fold")
    for figure in figures:
        grid.add_row(Text(f"  {figure.label}"), Text(figure.value, style=_STYLES.get(figure.tone, "")))
    return grid


# --- the screen ----------------------------------------------------------------------------------------------------

Panel = Callable[[RunStatus, int, int], list[Text]]
"""Status, width and lines at most → the lines of a panel."""


def head_lines(status: RunStatus, size: Size, elapsed: float = 0.0) -> list[Text]:
    """Return the top of the screen: the run, its state, the age of its last event, and how its state is known.

    Args:
        status: The run.
        size: Columns and lines of the terminal.
        elapsed: Seconds since `RunStatus.now`, by which the last event has aged.
    """
    lines = [_title_line(status, size[0], elapsed), _reason_line(status, size[0])]
    return lines[: _head_height(size)]


def _head_height(size: Size) -> int:
    return 2 if size[1] >= 14 else 1


def _title_line(status: RunStatus, columns: int, elapsed: float) -> Text:
    last = status.scalars.last_event
    age = "no event yet" if last is None else f"last event {format_age(status.now + elapsed - last)}"
    leave = "Ctrl+C leaves"
    state = status.state.state
    name = _harmless(status.run.name if status.run.name != "." else status.run.path)
    room = columns - len(state) - len(age) - 4
    with_leave = cell_len(name) + len(leave) + 2 <= room
    name = _middle(name, max(room, 8))
    gap = " " * (room - cell_len(name) - len(leave)) if with_leave else ""
    return _clipped(
        Text.assemble(
            (name, "bold"), ("  "), (state, _tone(state)), (f"  {age}"), (f"{gap}{leave}" if with_leave else "", "dim")
        ),
        columns,
    )


def _reason_line(status: RunStatus, columns: int) -> Text:
    n_problems = len(status.problems)
    problems = f"{n_problems} problems met while reading, `status` lists them. " if n_problems else ""
    reason = f"At {format_time(status.now)[-8:]} UTC: {_harmless(status.state.reason)}"
    return _clipped(Text.assemble((problems, "yellow"), (reason, "dim")), columns)


def panel_lines(status: RunStatus, size: Size) -> list[Text]:
    """Return the screen below the head: the four panels as the size allows, each line at most as wide as the terminal.

    Args:
        status: The run.
        size: Columns and lines of the terminal.
    """
    columns, lines = size[0], size[1] - _head_height(size)
    if columns < TWO_COLUMNS_FROM:
        return _stacked(status, columns, lines)
    if columns < CURVES_FROM:
        left = columns // 2
        return _beside(
            _boxes(status, {"metrics": _metrics_and_curve}, left, lines),
            _boxes(
                status, {"health": _health, "resources": _resources, "checkpoints": _checkpoints}, columns - left, lines
            ),
        )
    side = min(columns // 3, 64)
    return _beside(
        _boxes(status, {"metrics": _metrics, "resources": _resources}, side, lines),
        _boxes(status, {"curves": _curves}, columns - 2 * side, lines),
        _boxes(status, {"health": _health, "checkpoints": _checkpoints}, side, lines),
    )


PANELS: Final[dict[str, int]] = {"metrics": 4, "health": 3, "resources": 2, "checkpoints": 1, "curves": 4}
"""Lines a panel gets before another one gets more."""


def _stacked(status: RunStatus, columns: int, lines: int) -> list[Text]:
    """Return the panels one below the other, each under a line with its title."""
    panels = {"metrics": _metrics, "health": _health, "resources": _resources, "checkpoints": _checkpoints}
    heights = _heights(status, panels, columns, lines - len(panels))
    screen = []
    for (title, panel), height in zip(panels.items(), heights, strict=True):
        screen.append(_clipped(Text(f"── {title} {'─' * columns}", "dim"), columns, mark=""))
        screen.extend(_fit(panel(status, columns, height), columns, height))
    return screen[: max(lines, 0)]


def _boxes(status: RunStatus, panels: Mapping[str, Panel], columns: int, lines: int) -> list[Text]:
    """Return the panels one below the other in frames that fill the column."""
    heights = _heights(status, panels, columns - 4, lines - 2 * len(panels))
    heights[0] += max(lines - 2 * len(panels) - sum(heights), 0)
    boxes = zip(panels.items(), heights, strict=True)
    return [
        line
        for (title, panel), height in boxes
        for line in _box(title, _fit(panel(status, columns - 4, height), columns - 4, height), columns)
    ]


def _box(title: str, lines: Sequence[Text], columns: int) -> list[Text]:
    top = Text.assemble(("╭─ ", "dim"), (title, "bold"), (f" {'─' * (columns - len(title) - 5)}╮", "dim"))
    inner = [Text.assemble(("│ ", "dim"), line, (" │", "dim")) for line in lines]
    return [top, *inner, Text.assemble((f"╰{'─' * (columns - 2)}╯", "dim"))]


def _beside(*columns: Sequence[Text]) -> list[Text]:
    return [Text.assemble(*parts) for parts in zip(*columns, strict=True)]


def _heights(status: RunStatus, panels: Mapping[str, Panel], width: int, lines: int) -> list[int]:
    wanted = [len(panel(status, width, _ENOUGH)) for panel in panels.values()]
    return shares([PANELS[title] for title in panels], wanted, lines)


def shares(least: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """Return how many lines each panel gets: first its least, in order, then one after the other up to what it wants.

    Args:
        least: Lines of each panel that come before more lines of another one.
        wanted: Lines each panel has to show.
        room: Lines for all of them.
    """
    heights = [0] * len(wanted)
    for limits in (least, wanted):
        growing = True
        while growing and sum(heights) < room:
            growing = False
            for place, limit in enumerate(limits):
                if heights[place] < min(limit, wanted[place]) and sum(heights) < room:
                    heights[place] += 1
                    growing = True
    return heights


# --- what fits in a panel ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines of a panel; where there is no room for all, blocks of the smallest rank stay."""

    rank: int
    lines: list[Text]


def _that_fit(blocks: Sequence[_Block], room: int) -> list[Text]:
    """Return the lines of the blocks that have room, in the order given; the last one may be cut."""
    kept: dict[int, list[Text]] = {}
    for place in sorted(range(len(blocks)), key=lambda place: blocks[place].rank):
        kept[place] = _first(blocks[place].lines, room)
        room -= len(kept[place])
    return [line for place in sorted(kept) for line in kept[place]]


def _first(lines: list[Text], room: int) -> list[Text]:
    """Return as many of the lines as have room; when some have not, the last one ends in ``…``."""
    if len(lines) <= room:
        return lines
    kept = lines[:room]
    return [*kept[:-1], Text.assemble(kept[-1], " …")] if kept else []


def _fit(lines: Sequence[Text], width: int, height: int) -> list[Text]:
    """Return exactly `height` lines of exactly `width` cells."""
    filled = [*lines[:height], *[Text()] * (height - len(lines))]
    return [_clipped(line, width, pad=True) for line in filled]


def _clipped(line: Text, width: int, *, pad: bool = False, mark: str = "…") -> Text:
    """Return the line in at most `width` cells; what is cut off is replaced by the mark."""
    fitting = line.copy()
    fitting.truncate(max(width, 0), overflow="ellipsis" if mark else "crop", pad=pad)
    return fitting


def _harmless(foreign: str) -> str:
    """Return text from a file as a line that every terminal takes for equally wide."""
    return plain(foreign).translate(_UNMEASURED)


def _middle(name: str, width: int) -> str:
    """Return a name without its middle, so that it has at most `width` cells."""
    sizes = range(max(width, 1), 0, -1)
    return next((short for size in sizes if cell_len(short := shorten_middle(name, size)) <= width), "…")


def _naming(build: Callable[[Foreign], str], width: int) -> str:
    """Return a text about something with a foreign name; the name loses its middle where the text is too long."""
    text = build(_harmless)
    too_much = cell_len(text) - width
    if too_much <= 0:
        return text
    return build(lambda name: _middle(_harmless(name), max(cell_len(_harmless(name)) - too_much, 8)))


def _fitting(forms: Sequence[str], width: int) -> str:
    """Return the first form that has room, else the last one."""
    return next((form for form in forms if cell_len(form) <= width), forms[-1])


def _wrapped(text: str, width: int) -> list[str]:
    """Return the text as lines of at most `width` cells, broken between words where they are not too long."""
    lines = [""]
    for word in text.split():
        for part in chop_cells(word, max(width, 2)):
            joined = f"{lines[-1]} {part}" if lines[-1] else part
            if cell_len(joined) <= width or not lines[-1]:
                lines[-1] = joined
            else:
                lines.append(part)
    return lines


def _tone(word: str) -> str:
    return _STYLES.get(word, "")


# --- lines with a label --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """A labelled value.

    Args:
        rank: As that of a block.
        label: What it is; harmless.
        value: Room in cells → the value.
    """

    rank: int
    label: str
    value: Callable[[int], Text]


def _row(rank: int, label: str, *forms: str, tone: str = "") -> _Row:
    """Return a row that shows the longest of its forms that has room, longest first."""
    return _Row(rank, label, lambda room: Text(_fitting(forms, room), _tone(tone)))


def _blocks_of(rows: Sequence[_Row], width: int) -> list[_Block]:
    """Return the rows with their values in one column."""
    longest = max((cell_len(row.label) for row in rows), default=0)
    labels = min(longest, max(_LABEL_CELLS, width // 3))
    blocks = []
    for row in rows:
        label = _middle(row.label, labels)
        start = f"{label}{' ' * (labels - cell_len(label) + 2)}"
        blocks.append(_Block(row.rank, [Text.assemble((start, "dim"), row.value(width - labels - 2))]))
    return blocks


def _gauge(share: float | None, width: int) -> Text:
    """Return a bar with its track: how much of it is filled is seen without colours too."""
    filled = round(min(max(share, 0.0), 1.0) * width) if share is not None and math.isfinite(share) else 0
    return Text.assemble(("━" * filled, "cyan"), ("─" * (width - filled), "dim"))


def _gauge_row(rank: int, label: str, percent: float | None, *forms: str) -> _Row:
    """Return a row with a bar, the percentage beside it, and the longest form that has room behind."""

    def value(room: int) -> Text:
        width = min(max(room // 4, 4), 24)
        text = _fitting(forms, room - width - 8)
        share = None if percent is None else percent / 100
        return Text.assemble(_gauge(share, width), f" {format_percent(percent):>5}", f"  {text}" if text else "")

    return _Row(rank, label, value)


# --- metrics -------------------------------------------------------------------------------------------------------


def _metrics(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return progress, loss, learning rate, validation, scores, and the last epochs as bars."""
    if not status.scalars.count:
        reason = f"{_harmless(status.state.reason)} The figures appear here by themselves."
        return [Text(line) for line in _wrapped(reason, width)][:room]
    rows = [*_progress_rows(status), *_judged_rows(status, max(room // 3, 1)), *_trend_rows(status)]
    return _that_fit([*_progress_bar(status, width), *_blocks_of(rows, width)], room)


def _metrics_and_curve(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the metrics, and the curve of the loss below them where enough room is left."""
    lines = _metrics(status, width, room)
    height = min(room - len(lines) - 1, width // 2)
    if room == _ENOUGH or height < _CURVE_LINES or status.roles.loss is None:
        return lines
    return [*lines, Text(), *_curve(status, status.roles.loss, width, height)]


def _progress_bar(status: RunStatus, width: int) -> list[_Block]:
    fraction = status.progress.fraction
    if fraction is None:
        return []
    bar_text = _gauge(fraction, max(width - 7, 1))
    return [_Block(0, [Text.assemble(bar_text, f" {format_percent(math.floor(100 * fraction)):>6}")])]


def _progress_rows(status: RunStatus) -> list[_Row]:
    figures = {figure.label: figure for figure in progress_figures(status, _harmless)}
    time_left = figures["Time left"].value
    learning_rate = figures["Learning rate"].value
    return [
        _row(2, "Epoch", f"{figures['Epoch'].value}, step {figures['Step'].value}", figures["Epoch"].value)
        if status.progress.epoch is not None
        else _row(2, "Step", figures["Step"].value),
        _row(3, "Time left", time_left, time_left.partition(" (")[0]),
        _loss_row(status),
        _Row(5, "Trend", lambda room: _trend_text(status, room)),
        _row(4, "Learning rate", learning_rate, learning_rate.partition(" (")[0]),
        _row(9, "Epoch time", figures["Epoch duration"].value),
        _row(11, "Speed", figures["Speed"].value),
    ]


def _loss_row(status: RunStatus) -> _Row:
    if status.loss is None:
        return _row(1, "Loss", f"{UNKNOWN} (no series)")
    full = metric_figure("Loss", status.loss, status.progress)
    value, change, best = _metric_parts(status.loss)
    return _row(1, "Loss", full.value, f"{value} ({change}), best {best}", f"{value} ({change})", value, tone=full.tone)


def _metric_parts(metric: Metric) -> tuple[str, str, str]:
    return format_number(metric.value), format_change(metric.change_percent), format_number(metric.best)


def _trend_text(status: RunStatus, room: int) -> Text:
    """Return the verdict on the loss, and the loss itself in a line where it has room."""
    words = VERDICT_WORDS[status.health.verdict]
    width = min(room - cell_len(words) - 2, 40)
    points = visible(status.scalars.points(status.roles.loss.tag if status.roles.loss else None))
    spark = f"{spark_of(points, width)}  " if width >= 4 and len(points) else ""
    return Text.assemble(spark, (words, _tone(status.health.verdict)))


def _judged_rows(status: RunStatus, most: int) -> list[_Row]:
    """Return the newest and the best value of each validation task and score; of many, `most`, and that more exist."""
    judged = (*status.validation, *status.scores)
    rows = [_judged_row(status, metric) for metric in judged[:most]]
    if len(judged) > most:
        rows.append(_row(7, "", f"and {len(judged) - most} more, `status` lists them"))
    return rows


def _judged_row(status: RunStatus, metric: Metric) -> _Row:
    label = _harmless(metric.label)
    full = metric_figure(label, metric, status.progress)
    value, change, best = _metric_parts(metric)
    if metric.best is None:
        return _row(6, label, full.value, f"{value} ({change})", value, tone=full.tone)
    return _row(
        *(6, label, full.value),
        *(f"{value} ({change}), best {best} at {moment(metric.best_step, status.progress)}",),
        *(f"{value} ({change}), best {best}", f"{value}, best {best}", value),
        tone=full.tone,
    )


def _trend_rows(status: RunStatus) -> list[_Row]:
    """Return the last epochs of the loss, oldest first: the value beside a bar; the newest five outlast the others."""
    values = [format_number(item.value) for item in status.trend]
    column = max((len(value) for value in values), default=0)
    rows = [
        _trend_row(status, item, f"{value:>{column}}", rank=8 if place >= len(values) - 5 else 10)
        for place, (item, value) in enumerate(zip(status.trend, values, strict=True))
    ]
    return [_row(12, "", ""), *rows] if rows else []


def _trend_row(status: RunStatus, item: TrendBar, value: str, rank: int) -> _Row:
    def text(room: int) -> Text:
        return Text.assemble(f"{value}  ", (bar(item.share, min(max(room - len(value) - 2, 1), 40)), "cyan"))

    return _Row(rank, moment(item.step, status.progress), text)


# --- health --------------------------------------------------------------------------------------------------------


def _health(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the score with its sum, the open findings with evidence and advice, and the titles of those over."""
    figures = {figure.label: figure for figure in health_figures(status, max(width - 24, 8))}
    findings = sorted(status.health.findings, key=_urgency)
    opened = [finding for finding in findings if finding.open]
    score = figures["Score"]
    rows = [
        _row(0, "Score", score.value, *_short_scores(status), tone=score.tone),
        _row(51, "Course", figures["Course"].value),
        _row(50, "Checks", figures["Checks"].value),
        _row(2, "Findings", *_counts(opened, len(findings) - len(opened))),
    ]
    blocks = _blocks_of(rows, width)
    blocks.insert(1, _Block(3, _labelled_prose("Sum", figures["Sum"].value, width, label_width=10)))
    for place, finding in enumerate(opened):
        blocks.extend(_open_finding(status, finding, place, width))
    closed = [finding for finding in findings if not finding.open]
    blocks.extend(_Block(60, [_title_of(status, finding, width, "dim")]) for finding in closed)
    return _that_fit(blocks, room)


def _urgency(finding: Finding) -> tuple[bool, bool, int]:
    """Return what sorts open findings to the front, consequences of another one behind, the most severe first."""
    return not finding.open, finding.explained_by is not None, -SEVERITIES.index(finding.severity)


def _short_scores(status: RunStatus) -> tuple[str, ...]:
    health = status.health
    if health.score is None or health.band is None:
        return (UNKNOWN,)
    return f"{health.score} of 100, {BAND_WORDS[health.band]}", f"{health.score} of 100, {health.band}"


def _counts(opened: Sequence[Finding], n_over: int) -> tuple[str, ...]:
    """Return how many findings are open, by severity, and how many are over; longest form first."""
    if not opened:
        return (f"none open, {n_over} over" if n_over else "none",)
    numbers = {severity: sum(item.severity == severity for item in opened) for severity in reversed(SEVERITIES)}
    kinds = ", ".join(f"{number} {severity}" for severity, number in numbers.items() if number)
    return f"{len(opened)} open ({kinds}), {n_over} over", f"{len(opened)} open, {n_over} over"


def _open_finding(status: RunStatus, finding: Finding, place: int, width: int) -> list[_Block]:
    """Return title, evidence and advice; those of the first finding outlast the title of the third."""
    advice = finding.advice if finding.explained_by is None else "Another finding explains this one."
    title, evidence, told = ((1, 5, 7), (4, 9, 10))[place] if place < 2 else (6 + 2 * place, 21 + place, 22 + place)
    return [
        _Block(title, [_title_of(status, finding, width, _tone(finding.severity))]),
        _Block(evidence, _indented(finding.evidence, width)),
        _Block(told, _indented(advice, width)),
    ]


def _title_of(status: RunStatus, finding: Finding, width: int, style: str) -> Text:
    """Return a finding in a line; where that is too long, it is without the place of its beginning."""
    whole = finding_title(finding, status.progress, _harmless)
    if cell_len(whole) <= width:
        return Text(whole, style)
    long = _naming(lambda foreign: finding_title(finding, status.progress, foreign), width)
    return Text(_fitting((long, _naming(lambda foreign: finding_name(finding, foreign), width)), width), style)


def _indented(text: str, width: int) -> list[Text]:
    return [Text(f"  {line}") for line in _wrapped(_harmless(text), width - 2)]


def _labelled_prose(label: str, text: str, width: int, label_width: int) -> list[Text]:
    lines = _wrapped(text, width - label_width)
    return [
        Text.assemble((f"{'' if place else label:<{label_width}}", "dim"), line) for place, line in enumerate(lines)
    ]


# --- resources -----------------------------------------------------------------------------------------------------


def _resources(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return load, memory and disk of the machine and each of its GPUs."""
    sample = status.sample
    rows = [
        _processor_row(sample),
        _memory_row(sample),
        *_gpu_rows(sample.gpus, width, room - 3),
        _disk_row(sample),
    ]
    if not sample.gpus:
        rows.append(_row(1, "GPU", sample.gpu_note or UNKNOWN))
    traffic = traffic_text(sample)
    if traffic:
        rows.append(_row(9, "Traffic", traffic))
    return _that_fit(_blocks_of(rows, width), room)


def _processor_row(sample: Sample) -> _Row:
    cores = sample.core_percents
    sparks = [load_spark(cores, most) for most in (64, 32, 16, 8, 4) if len(cores) > 1]
    return _gauge_row(0, "CPU", sample.cpu_percent, *(f"{spark} {len(cores)} cores" for spark in sparks), *sparks, "")


def _memory_row(sample: Sample) -> _Row:
    used, total = sample.memory_used_bytes, sample.memory_total_bytes
    swapped = f", {format_bytes(sample.swap_used_bytes)} swapped out" if sample.swap_used_bytes else ""
    text = f"{format_bytes(used)} of {format_bytes(total)}"
    return _gauge_row(2, "Memory", _percent(used, total), f"{text}{swapped}", text, format_bytes(used), "")


def _disk_row(sample: Sample) -> _Row:
    free, total = sample.disk_free_bytes, sample.disk_total_bytes
    used = None if free is None or total is None else total - free
    free_text = format_bytes(free)
    return _gauge_row(3, "Disk", _percent(used, total), f"{disk_text(sample)} free", f"{free_text} free", free_text, "")


def _percent(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else 100 * part / whole


def _gpu_rows(gpus: Sequence[GpuSample], width: int, room: int) -> list[_Row]:
    """Return two rows for each GPU, one where that is too much, and one for all where even that is."""
    if 2 * len(gpus) <= room:
        return [row for gpu in gpus for row in (_gpu_row(gpu), _gpu_memory_row(gpu))]
    if len(gpus) <= room or len(gpus) == 1:
        return [_gpu_row(gpu, with_memory=True) for gpu in gpus]
    return [_all_gpus_row(gpus)]


def _gpu_row(gpu: GpuSample, *, with_memory: bool = False) -> _Row:
    name, celsius = _harmless(gpu.name), celsius_text(gpu)
    power = f"  {power_text(gpu)}" if gpu.power_watts is not None else ""
    memory = f"  {format_bytes(gpu.memory_used_bytes)}" if with_memory else ""
    long = f"  {used_text(gpu.memory_used_bytes, gpu.memory_total_bytes)}" if with_memory else ""
    forms = (f"{celsius}{long}{power}  {name}", f"{celsius}{long}{power}", f"{celsius}{long}", f"{celsius}{memory}")
    return _gauge_row(1, f"GPU {gpu.index}", gpu.utilization_percent, *forms, celsius, "")


def _gpu_memory_row(gpu: GpuSample) -> _Row:
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    forms = (f"{format_bytes(used)} of {format_bytes(total)}", format_bytes(used), "")
    return _gauge_row(5, "  memory", _percent(used, total), *forms)


def _all_gpus_row(gpus: Sequence[GpuSample]) -> _Row:
    """Return all GPUs in a row: the mean load as the bar, each load as a character, the hottest one."""
    loads = [gpu.utilization_percent for gpu in gpus if gpu.utilization_percent is not None]
    hottest = max((gpu.temperature_celsius for gpu in gpus if gpu.temperature_celsius is not None), default=None)
    spark = load_spark(loads, 16) if loads else ""
    celsius = "" if hottest is None else f", at most {hottest:.0f} °C"
    mean = sum(loads) / len(loads) if loads else None
    return _gauge_row(1, f"{len(gpus)} GPUs", mean, f"{spark} on average{celsius}", f"{spark}{celsius}", spark, "")


# --- checkpoints ---------------------------------------------------------------------------------------------------


def _checkpoints(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the best checkpoint, the newest one, and which epochs and steps are saved."""
    checkpoints = status.checkpoints
    if not checkpoints.saved and checkpoints.best is None:
        return [Text("none saved yet")][:room]
    rows = [
        _checkpoint_row(0, "Best", checkpoints.best, status.now),
        _checkpoint_row(1, "Newest", checkpoints.newest, status.now),
        _row(2, "Saved", *(saved_text(checkpoints.saved, limit) for limit in range(12, 0, -1))),
    ]
    return _that_fit(_blocks_of(rows, width), room)


def _checkpoint_row(rank: int, label: str, checkpoint: Checkpoint | None, now: float) -> _Row:
    if checkpoint is None:
        return _row(rank, label, f"{UNKNOWN} (not saved)")
    age = format_age(now - checkpoint.modified)
    doubt = "" if checkpoint.readable else ", cannot be read"
    size = format_bytes(checkpoint.size_bytes)

    def value(room: int) -> Text:
        name = _harmless(checkpoint.name)
        forms = (f"{name} ({size}, {age}{doubt})", f"{name} ({age}{doubt})")
        short = _naming(lambda foreign: f"{foreign(checkpoint.name)} ({age}{doubt})", room)
        return Text(_fitting((*forms, short), room), "" if checkpoint.readable else "yellow")

    return _Row(rank, label, value)


# --- curves --------------------------------------------------------------------------------------------------------


def _curves(status: RunStatus, width: int, room: int) -> list[Text]:
    """Return the loss, a validation task or score and the learning rate as curves, as many as have room."""
    roles = status.roles
    chosen = [role for role in (roles.loss, *(roles.validation or roles.scores)[:1], roles.learning_rate) if role]
    count = max(min(len(chosen), room // (_CURVE_LINES + 1)), 1)
    height = min(room // count, width // 2)
    return [line for role in chosen[:count] for line in _curve(status, role, width, height)]


def _curve(status: RunStatus, role: RoleTag, width: int, height: int) -> list[Text]:
    """Return one series: its tag with the newest value, and its curve below."""
    points = visible(status.scalars.points(role.tag))
    if not len(points) or height < 5 or width < 20:
        return []
    format_value = format_learning_rate if role == status.roles.learning_rate else format_number
    newest = f"  {format_value(float(points.value[-1]))}, {format_step(len(points))} points"
    title = Text.assemble((_middle(_harmless(role.tag), max(width - len(newest), 8)), "bold"), (newest, "dim"))
    return [title, *(Text(line) for line in curve_lines(points, status.progress, width, height - 1, format_value))]
