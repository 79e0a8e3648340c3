"""The terminal: ``python -m monitor status | watch | compare | report | export | demo``.

Results go to stdout, messages for people to stderr. Colours and the live dashboard appear on a terminal only; pipes and
``NO_COLOR`` get plain text. Exit codes: 0 fine; 1 an open finding at or above ``--fail-on``; 2 wrong usage, or a
directory that does not exist or cannot be read; 3 no scalar yet. `main` is the only place that catches.
"""

import argparse
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.analysis.compare import By, Comparison, compare_runs, config_difference
from monitor.analysis.roles import direction_of
from monitor.errors import MonitorError, ReportNotWritten, UsageInvalid
from monitor.figures import (
    Figure,
    Section,
    checkpoint_figures,
    comparison_cells,
    finding_figures,
    health_figures,
    metric_figures,
    problem_figures,
    progress_figures,
    resource_figures,
    status_sections,
    trend_figures,
)
from monitor.report import render_comparison_report, render_report, write_bytes, write_report
from monitor.schema import (
    SEVERITIES,
    Checkpoints,
    Configuration,
    ConfigValue,
    Direction,
    Health,
    Progress,
    ReadProblem,
    Roles,
    Run,
    RunState,
    Sample,
    Scalars,
)
from monitor.settings import Settings, log_directories, read_settings
from monitor.status import SCHEMA_VERSION, RunStatus, status_json, strict_json
from monitor.text import UNKNOWN, format_time, plain, shorten_middle
from monitor.watch import LogWatch, RunWatch

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, RenderableType
    from rich.panel import Panel
    from rich.table import Table

FINE, FINDING_OPEN, USAGE_WRONG, NO_SCALAR, INTERRUPTED = 0, 1, 2, 3, 130
WIDE_COLUMNS: Final = 76  # from this width on the dashboard has two columns
MOST_CHARACTERS: Final = 24  # of one configuration value in a comparison
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")
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

Options = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The words after ``python -m monitor``; None for those of this process.
    """
    _prepare_streams()
    leaves_with = INTERRUPTED
    try:
        options = _parser().parse_args(arguments)
        leaves_with = options.leaves_with
        code: int = options.run(options)
        sys.stdout.flush()
    except MonitorError as error:
        _tell(f"{error.message}\n{error.hint}")
        return USAGE_WRONG
    except BrokenPipeError:  # the reader of the pipe has seen enough
        _discard_output()
        return FINE
    except KeyboardInterrupt:
        return leaves_with
    except SystemExit as leaving:  # argparse has printed the help or what is wrong
        return int(leaving.code or FINE)
    return code


# --- commands ------------------------------------------------------------------------------------------------------


def _status(options: Options) -> int:
    source = _Source.of(options)
    status = source.newest(time.time())
    if options.json:
        _emit_json(status_json(status))
    elif _is_live_terminal():
        _print_coloured(status)
    else:
        _emit(_plain_text(status_sections(status)))
    return _exit_code(status, options.fail_on)


def _watch(options: Options) -> int:
    source = _Source.of(options)
    interval_seconds = options.refresh or source.settings.refresh.interval_seconds
    with _display(options.json) as show:
        while True:
            status = source.newest(time.time())
            show(status)
            if options.fail_on and _has_open_finding(status, options.fail_on):
                return FINDING_OPEN
            time.sleep(interval_seconds)


def _compare(options: Options) -> int:
    names = tuple(dict.fromkeys(options.runs))
    if len(names) < 2:
        raise UsageInvalid(
            "A comparison needs at least two different runs.",
            hint="Name them as `status` shows them, e.g. python -m monitor compare run_a run_b --logdir runs",
        )
    source, now = _Source.of(options), time.time()
    statuses = [source.named(name, now) for name in names]
    tags = [_tag_to_compare(status, options.tag) for status in statuses]
    comparison = _comparison(statuses, tags, options.by)
    if options.json:
        _emit_json(_comparison_json(statuses, tags, comparison))
    else:
        _emit(_comparison_text(statuses, tags, comparison))
    return FINE if any(row.n_points for row in comparison.rows) else _nothing_to_show("None of the runs has a point.")


def _report(options: Options) -> int:
    source, now = _Source.of(options), time.time()
    names = tuple(dict.fromkeys(options.runs))
    if names and options.run_dir:
        raise UsageInvalid("Runs were named and --run-dir was given.", hint="Leave one of the two out.")
    statuses = [source.named(name, now) for name in names] if names else [source.newest(now)]
    if not any(status.scalars.count for status in statuses):
        return _nothing_to_show(statuses[0].state.reason)
    _deliver(_render(statuses, now), options.output)
    return FINE


def _render(statuses: Sequence[RunStatus], now: float) -> str:
    if len(statuses) == 1:
        return render_report(statuses[0], made_at=now)
    tags = [_tag_to_compare(status, None) for status in statuses]
    return render_comparison_report(statuses, _comparison(statuses, tags, "best"), made_at=now)


def _export(options: Options) -> int:
    if options.format == "parquet" and options.output is None:
        raise UsageInvalid("Parquet is not text.", hint="Name the file to write with -o, e.g. -o points.parquet.")
    status = _Source.of(options).named(options.run_name, time.time())
    frame = _export_frame(status, options.tag)
    if frame.empty:
        return _nothing_to_show(status.state.reason)
    if options.format == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        write_bytes(buffer.getvalue(), options.output)
        _tell(f"Wrote {options.output}.")
    else:
        _deliver(_csv(frame) if options.format == "csv" else _json_rows(frame), options.output)
    return FINE


def _demo(options: Options) -> int:
    from monitor.demo import write_demo, write_live_demo  # pulls in TensorBoard's writer

    if options.live:
        write_live_demo(options.directory, announce=_announce_live)
        return FINE
    write_demo(options.directory, options.runs, announce=_announce)
    _tell(f'Look at them with: python -m monitor status --logdir "{options.directory}"')
    return FINE


def _announce(run: Path) -> None:
    _emit(f"{plain(str(run))}\n")


def _announce_live(run: Path) -> None:
    _announce(run)
    _tell(f'Watch it from another terminal: python -m monitor watch --run-dir "{run}". Ctrl+C ends the training.')


# --- the runs a command was pointed at -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """The runs below the log directories, or the one run named by ``--run-dir``."""

    settings: Settings
    directories: tuple[Path, ...]
    runs: LogWatch

    @staticmethod
    def of(options: Options) -> "_Source":
        settings = read_settings(options.settings)
        run_directory: Path | None = getattr(options, "run_dir", None)
        # A run that is named directly needs no log directory, so a missing one is no error then.
        directories = () if run_directory and not options.logdir else log_directories(options.logdir)
        return _Source(settings, directories, LogWatch(directories, settings, run_directory=run_directory))

    def newest(self, now: float) -> RunStatus:
        """Return the run named by ``--run-dir``, else the newest; a waiting one while there is none."""
        found = self.runs.find_runs(now)
        if not found.runs:
            return _waiting(self.directories, found.problems, now)
        return self.runs.status(found.runs[0].name, now)

    def named(self, name: str, now: float) -> RunStatus:
        """Return the run of that name; a path to a directory is as good as a name."""
        if self.runs.find_runs(now).find(name) is None and _is_directory(name):
            return RunWatch(Path(name), self.settings, name=name).refresh(now)
        return self.runs.status(name, now)


def _is_directory(name: str) -> bool:
    return "\0" not in name and os.path.isdir(name)  # noqa: PTH112 (Path.is_dir raises where a parent is closed)


def _waiting(directories: Sequence[Path], problems: tuple[ReadProblem, ...], now: float) -> RunStatus:
    """Return the state of nothing yet: no run below the log directories."""
    places = ", ".join(f'"{directory}"' for directory in directories)
    reason = f"No event file was found below {places}. Name another directory with --logdir, or start the training."
    return RunStatus(
        run=Run(name=".", path=str(directories[0]), newest_event=0.0, size_bytes=0),
        now=now,
        scalars=Scalars(),
        roles=Roles(),
        state=RunState("waiting", reason),
        progress=Progress(),
        loss=None,
        learning_rate=None,
        epoch_duration=None,
        validation=(),
        scores=(),
        trend=(),
        health=Health(),
        health_history=(),
        checkpoints=Checkpoints(),
        configuration=Configuration(),
        sample=Sample(wall_time=now),
        problems=problems,
    )


def _exit_code(status: RunStatus, fail_on: str) -> int:
    if not status.scalars.count:
        return _nothing_to_show(status.state.reason)
    return FINDING_OPEN if _has_open_finding(status, fail_on) else FINE


def _has_open_finding(status: RunStatus, fail_on: str) -> bool:
    least = SEVERITIES.index(fail_on)
    return any(item.open and SEVERITIES.index(item.severity) >= least for item in status.health.findings)


def _nothing_to_show(reason: str) -> int:
    _tell(f"No scalar yet. {reason}")
    return NO_SCALAR


# --- comparing -----------------------------------------------------------------------------------------------------


def _tag_to_compare(status: RunStatus, wanted: str | None) -> str | None:
    """Return the series that stands for a run: the one wanted, else its loss; None while it has no scalar."""
    if not status.scalars.count:
        return None
    if wanted is not None:
        if wanted not in status.scalars.series:
            raise _no_tag(status, wanted)
        return wanted
    if status.roles.loss is None:
        raise UsageInvalid(
            f'No loss was recognised in the run "{status.run.name}".',
            hint=f"Name the series to compare with --tag. {_known_tags(status)}",
        )
    return status.roles.loss.tag


def _no_tag(status: RunStatus, wanted: str) -> UsageInvalid:
    return UsageInvalid(f'The run "{status.run.name}" has no series "{wanted}".', hint=_known_tags(status, wanted))


def _known_tags(status: RunStatus, wanted: str = "", limit: int = 8) -> str:
    tags = status.scalars.tags
    shown = get_close_matches(wanted, tags, limit, cutoff=0.5) or tags[:limit]
    more = ", …" if len(shown) < len(tags) else "."
    return f"It has: {', '.join(shown)}{more}"


def _comparison(statuses: Sequence[RunStatus], tags: Sequence[str | None], by: By) -> Comparison:
    pairs = list(zip(statuses, tags, strict=True))
    points = {status.run.name: status.scalars.points(tag) for status, tag in pairs}
    status, tag = next(((status, tag) for status, tag in pairs if tag is not None), pairs[0])
    return compare_runs(points, _direction(status, tag or ""), by, tag or "loss")


def _direction(status: RunStatus, tag: str) -> Direction | None:
    loss = status.roles.loss
    return loss.direction if loss and loss.tag == tag else direction_of(tag)


def _comparison_json(
    statuses: Sequence[RunStatus], tags: Sequence[str | None], comparison: Comparison
) -> dict[str, Any]:
    rows = zip(comparison.rows, tags, strict=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [{"name": row.run, "group": None, "tag": tag, **_values(asdict(row))} for row, tag in rows],
        "ranking": list(comparison.ranking),
        "difference": None,
        "verdict": comparison.verdict,
        "config_difference": config_difference(_configurations(statuses)),
        "problems": [asdict(problem) for status in statuses for problem in status.problems],
    }


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "run"}


def _configurations(statuses: Sequence[RunStatus]) -> dict[str, Configuration]:
    return {status.run.name: status.configuration for status in statuses}


def _comparison_text(statuses: Sequence[RunStatus], tags: Sequence[str | None], comparison: Comparison) -> str:
    header = ("", "run", "series", "best", "at step", "last", "at step", "points", "duration")
    rows = [
        (
            f"{number}",
            plain(row.run),
            UNKNOWN if tag is None else plain(tag),
            *comparison_cells(row),
        )
        for number, (row, tag) in enumerate(zip(comparison.rows, tags, strict=True), 1)
    ]
    ranking = tuple(Figure(f"{place}.", plain(run)) for place, run in enumerate(comparison.ranking, 1))
    sections = (
        Section("Ranking", ranking),
        Section("Problems met while reading", problem_figures([item for one in statuses for item in one.problems])),
    )
    parts = [
        _aligned([header, *rows], n_left=3),
        f"{plain(comparison.verdict)}\n",
        _difference_text(statuses),
        _plain_text([section for section in sections if section.figures]),
    ]
    return "\n".join(part for part in parts if part)


def _difference_text(statuses: Sequence[RunStatus]) -> str:
    """Return the keys that differ as a table whose columns carry the numbers of the runs; empty when none differs."""
    difference = config_difference(_configurations(statuses))
    if not difference:
        return ""
    header = ("key", *(f"{number}" for number in range(1, len(statuses) + 1)))
    rows = [
        (plain(key), *(_configured(values.get(status.run.name)) for status in statuses))
        for key, values in difference.items()
    ]
    return f"Configuration differences\n{_aligned([header, *rows], n_left=1)}"


def _configured(value: ConfigValue) -> str:
    return UNKNOWN if value is None else shorten_middle(plain(str(value)), MOST_CHARACTERS)


# --- exporting -----------------------------------------------------------------------------------------------------


def _export_frame(status: RunStatus, tags: Sequence[str]) -> "pd.DataFrame":
    """Return every point of the chosen series, columns ``run, tag, step, wall_time, value, session``."""
    import pandas as pd  # slow to import; the other commands do without

    missing = next((tag for tag in tags if tag not in status.scalars.series), None)
    if missing is not None and status.scalars.count:
        raise _no_tag(status, missing)
    frame = status.scalars.frame
    if tags:
        frame = frame[frame["tag"].isin(tags)]
    run = pd.Categorical([status.run.name]).repeat(len(frame))
    return pd.DataFrame({"run": run, **{name: frame[name].array for name in frame.columns}})


def _csv(frame: "pd.DataFrame") -> str:
    return frame.to_csv(index=False, na_rep="NaN", lineterminator="\n")


def _json_rows(frame: "pd.DataFrame") -> str:
    """Return the rows as a JSON array, one object a line."""
    columns = [frame[name].tolist() for name in frame.columns]
    rows = (
        json.dumps(strict_json(dict(zip(frame.columns, row, strict=True))), allow_nan=False, ensure_ascii=False)
        for row in zip(*columns, strict=True)
    )
    lines = ",\n".join(rows)
    return f"[\n{lines}\n]\n"


# --- writing -------------------------------------------------------------------------------------------------------


def _prepare_streams() -> None:
    """Make the streams take every character: a file name need not be valid text, nor a terminal speak UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _emit(text: str) -> None:
    """Write a result to stdout at once; on a terminal nothing in it can move the cursor or hide text."""
    harmless = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text) if sys.stdout.isatty() else text
    try:
        sys.stdout.write(harmless)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise ReportNotWritten(
            f"The output could not be written: {error.strerror}.", hint="Send it somewhere else, or free some space."
        ) from error


def _emit_json(values: dict[str, Any], indent: int | None = 2) -> None:
    _emit(f"{json.dumps(strict_json(values), allow_nan=False, ensure_ascii=False, indent=indent)}\n")


def _deliver(text: str, path: Path | None) -> None:
    if path is None:
        _emit(text)
        return
    write_report(text, path)
    _tell(f"Wrote {path}.")


def _tell(message: str) -> None:
    """Write a message for the person to stderr, line by line and harmless."""
    for line in message.splitlines():
        sys.stderr.write(f"{plain(line)}\n")


def _discard_output() -> None:
    """Send what is left in stdout's buffer nowhere, so that closing it at the end cannot fail again."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _plain_text(sections: Sequence[Section]) -> str:
    return "\n".join(f"{section.title}\n{_indented(section.figures)}" for section in sections)


def _indented(figures: Sequence[Figure]) -> str:
    """Return the figures one below the other, values in one column."""
    column = max(len(figure.label) for figure in figures)
    lines = []
    for figure in figures:
        first, *others = figure.value.split("\n")
        lines.append(f"  {figure.label:<{column}}  {first}".rstrip())
        lines.extend(f"  {'':<{column}}  {line}" for line in others)
    return "".join(f"{line}\n" for line in lines)


def _aligned(rows: Sequence[Sequence[str]], n_left: int) -> str:
    """Return rows of cells as a table: the first `n_left` columns to the left, figures to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.ljust(width) if place < n_left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


# --- on a terminal -------------------------------------------------------------------------------------------------


def _is_live_terminal() -> bool:
    """Return whether stdout is a terminal that may be coloured. Source: no-color.org for the variable."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextmanager
def _display(as_json: bool) -> Iterator[Callable[[RunStatus], None]]:
    """Yield the function that shows one status: a dashboard on a terminal, else plain text or a line of JSON."""
    if as_json:
        yield lambda status: _emit_json(status_json(status), indent=None)
    elif _is_live_terminal():
        yield from _dashboard_display()
    else:
        yield lambda status: _emit(f"{format_time(status.now)} UTC\n{_plain_text(status_sections(status))}\n")


def _dashboard_display() -> Iterator[Callable[[RunStatus], None]]:
    from rich.live import Live

    console = _console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda status: live.update(_dashboard(status, console.width, console.height), refresh=True)


def _console() -> "Console":
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _print_coloured(status: RunStatus) -> None:
    console = _console()
    for section in status_sections(status):
        console.print(section.title, style="bold")
        console.print(_grid(section.figures))
        console.print()


def _grid(figures: Sequence[Figure], *, one_line: bool = False) -> "Table":
    """Return the figures as two columns; with `one_line` a long value ends in ``…`` instead of going on below."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    labels = max((len(figure.label) for figure in figures), default=0)
    grid.add_column(style="dim", no_wrap=True, min_width=labels + 2)
    grid.add_column(no_wrap=one_line, overflow="ellipsis" if one_line else "fold")
    for figure in figures:
        grid.add_row(Text(f"  {figure.label}"), Text(figure.value, style=_STYLES.get(figure.tone, "")))
    return grid


def _dashboard(status: RunStatus, columns: int, lines: int) -> "RenderableType":
    """Return the screen of `watch`: metrics beside health, resources and checkpoints; one below the other if narrow."""
    from rich.console import Group
    from rich.layout import Layout

    head = _headline(status)
    metrics = _panel("metrics", _metrics_that_fit(status, lines))
    health = _panel("health", (*health_figures(status), *finding_figures(status)), one_line=False)
    resources = _panel("resources", resource_figures(status.sample))
    checkpoints = _panel("checkpoints", checkpoint_figures(status))
    if columns < WIDE_COLUMNS:
        return Group(head, metrics, health, resources, checkpoints)
    right = Layout(ratio=1)
    right.split_column(
        Layout(health, ratio=1),
        Layout(resources, size=len(resource_figures(status.sample)) + 2),
        Layout(checkpoints, size=len(checkpoint_figures(status)) + 2),
    )
    body = Layout(ratio=1)
    body.split_row(Layout(metrics, ratio=1), right)
    screen = Layout()
    screen.split_column(Layout(head, size=2), body)
    return screen


def _metrics_that_fit(status: RunStatus, lines: int) -> tuple[Figure, ...]:
    """Return progress, validation and scores, and as many of the newest bars of the trend as have room below them."""
    figures = (
        *progress_figures(status),
        *metric_figures((*status.validation, *status.scores), status.progress)[:6],
        Figure("", ""),
    )
    room = lines - len(figures) - 4  # two lines of head, two of frame
    return figures + trend_figures(status.trend[-max(room, 3) :], status.progress, width=16)


def _panel(title: str, figures: Sequence[Figure], *, one_line: bool = True) -> "Panel":
    from rich.panel import Panel

    grid = _grid(figures, one_line=one_line)
    return Panel(grid, title=title, title_align="left", border_style="dim")


def _headline(status: RunStatus) -> "RenderableType":
    from rich.text import Text

    state = status.state
    problems = f" Problems met while reading: {len(status.problems)}; `status` lists them." if status.problems else ""
    return Text.assemble(
        (plain(status.run.name), "bold"),
        "  ",
        (state.state, _STYLES.get(state.state, "")),
        (f"  {plain(state.reason)}{problems}  {format_time(status.now)} UTC. Ctrl+C leaves.", "dim"),
    )


# --- the words of the command line ---------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitor",
        description="Watches trainings through the TensorBoard event files they write.",
        epilog="Exit codes: 0 fine; 1 an open finding at or above --fail-on; 2 wrong usage, or a directory that does "
        "not exist or cannot be read; 3 no scalar yet.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_status(commands)
    _add_watch(commands)
    _add_compare(commands)
    _add_report(commands)
    _add_export(commands)
    _add_demo(commands)
    return parser


Commands = Any  # argparse keeps the type of its sub-parsers to itself


def _add_command(
    commands: Commands, name: str, run: Callable[[Options], int], summary: str, example: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary}.",
        epilog=f"example:\n  python -m monitor {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(run=run, leaves_with=INTERRUPTED)
    return command


def _add_status(commands: Commands) -> None:
    example = "status --logdir outputs/train --fail-on warning"
    command = _add_command(commands, "status", _status, "One look at a run, the newest one by default", example)
    _add_source(command)
    _add_run_directory(command)
    command.add_argument("--json", action="store_true", help="strict JSON for other programs")
    command.add_argument(
        "--fail-on", choices=SEVERITIES, default="error", help="exit with 1 from this severity on (default: error)"
    )


def _add_watch(commands: Commands) -> None:
    example = "watch --run-dir outputs/train/pick/act/run_20260101_120000 --refresh 2"
    command = _add_command(commands, "watch", _watch, "Live dashboard of a run, the newest one by default", example)
    command.set_defaults(leaves_with=FINE)
    _add_source(command)
    _add_run_directory(command)
    command.add_argument("--json", action="store_true", help="one line of strict JSON per refresh")
    command.add_argument(
        "--fail-on", choices=SEVERITIES, help="end with exit code 1 as soon as such a finding is open (default: go on)"
    )
    command.add_argument(
        "--refresh", type=seconds, metavar="SECONDS", help="time between two looks (default: that of the settings)"
    )


def _add_compare(commands: Commands) -> None:
    example = "compare run_a run_b --logdir runs --tag validation/loss --by best"
    command = _add_command(commands, "compare", _compare, "Several runs beside each other", example)
    command.add_argument("runs", nargs="+", metavar="RUN", help="name of a run below the log directory, or its path")
    _add_source(command)
    command.add_argument("--tag", help="the series to compare (default: the loss of each run)")
    command.add_argument("--by", choices=("best", "last"), default="best", help="the value that ranks (default: best)")
    command.add_argument("--json", action="store_true", help="strict JSON for other programs")


def _add_report(commands: Commands) -> None:
    example = "report --logdir outputs/train -o report.md"
    command = _add_command(commands, "report", _report, "Report of a run, or of several as a comparison", example)
    command.add_argument("runs", nargs="*", metavar="RUN", help="name or path of a run (default: the newest)")
    _add_source(command)
    _add_run_directory(command)
    _add_output(command)
    command.add_argument("--format", choices=("md",), default="md", help="md: Markdown (default)")


def _add_export(commands: Commands) -> None:
    example = "export run_a --logdir runs --tag train/loss --format csv -o loss.csv"
    command = _add_command(commands, "export", _export, "Every scalar of a run at full resolution", example)
    command.add_argument("run_name", metavar="RUN", help="name of a run below the log directory, or its path")
    _add_source(command)
    _add_output(command)
    command.add_argument("--tag", action="append", default=[], help="only this series; may be repeated")
    command.add_argument(
        "--format", choices=("csv", "parquet", "json"), default="csv", help="form of the table (default: csv)"
    )


def _add_demo(commands: Commands) -> None:
    summary = "Make small real trainings, healthy and sick, to look at"
    command = _add_command(commands, "demo", _demo, summary, "demo demo_runs")
    command.set_defaults(leaves_with=FINE)
    command.add_argument("directory", metavar="DIR", type=Path, help="directory to write into")
    command.add_argument("--live", action="store_true", help="write one training at a human pace until it ends")
    command.add_argument("--runs", type=count, metavar="N", help="how many trainings (default: one of each kind)")


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--logdir",
        action="append",
        default=[],
        metavar="DIR",
        help="directory to search for runs; may be repeated (default: $MONITOR_LOGDIR, else outputs/train, outputs, "
        "runs, logs, lightning_logs or tb_logs, else the current directory)",
    )
    command.add_argument("--settings", type=Path, metavar="FILE", help="settings file (default: monitor.toml)")


def _add_run_directory(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run-dir", type=Path, metavar="DIR", help="the directory of one run")


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="file to write (default: stdout)")


def seconds(text: str) -> float:
    """Return a refresh interval; argparse turns a refusal into a usage error and names this function in it."""
    number = float(text)
    if not 0 < number <= 86_400:
        raise argparse.ArgumentTypeError(f'"{text}" is no time in seconds between 0 and 86,400')
    return number


def count(text: str) -> int:
    """Return a number above 0; argparse turns a refusal into a usage error and names this function in it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no number above 0')
    return number
