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
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.analysis.configurations import config_text
from monitor.comparison import RunComparison, compare_statuses, comparison_json, usual_tag
from monitor.errors import MonitorError, ReportNotWritten, UsageInvalid
from monitor.figures import (
    Figure,
    Section,
    comparison_cells,
    further_cells,
    group_cells,
    problem_figures,
    status_sections,
)
from monitor.files import write_bytes
from monitor.number_style import SEPARATORS, example_of
from monitor.schema import (
    SEVERITIES,
    Checkpoints,
    Configuration,
    ConfigValue,
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
from monitor.status import RunStatus, status_json, strict_json
from monitor.text import UNKNOWN, format_time, plain, shorten_middle
from monitor.watch import CHECK_KINDS, LogWatch, RunWatch

if TYPE_CHECKING:
    import pandas as pd

    from monitor.document import Document
    from monitor.report_files import Format

FINE, FINDING_OPEN, USAGE_WRONG, NO_SCALAR, INTERRUPTED = 0, 1, 2, 3, 130
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"  # Source: PNG specification, third edition, section 5.2
NO_POINT: Final = "None of the runs has a point."
MOST_CHARACTERS: Final = 24  # of one configuration value in a comparison
MOST_ASSOCIATIONS: Final = 5  # told in a comparison; the strongest
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")

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
    if options.plot is not None and status.scalars.count:
        _plot(status, source, options.plot)
    if options.json:
        _emit_json(status_json(status))
    elif _is_live_terminal():
        from monitor.dashboard import print_coloured

        print_coloured(status)
    else:
        _emit(_plain_text(status_sections(status)))
    return _exit_code(status, options.fail_on)


def _plot(status: RunStatus, source: "_Source", path: Path) -> None:
    """Write the six charts of a run as one picture; over an older picture, never over anything else."""
    from monitor.pictures import render_png, run_pictures  # a third of a second that only pictures need
    from monitor.report_charts import VIEW
    from monitor.run_charts import run_charts

    charts = run_charts(status, source.runs.samples(), source.settings.health, VIEW)
    _write_picture(render_png(run_pictures(charts)), path)


def _plot_comparison(found: RunComparison, path: Path) -> None:
    """Write the series compared as one picture: a line and its band per group, or a line per run."""
    from monitor.charts import StyleBook
    from monitor.comparison_charts import OverlayView, overlay_chart
    from monitor.pictures import render_png, run_pictures
    from monitor.report_charts import VIEW

    view = OverlayView(VIEW, "groups" if found.comparison.is_grouped else "runs")
    styles = StyleBook().styles([status.run.name for status in found.statuses])
    _write_picture(render_png(run_pictures([overlay_chart(found, None, view, styles)])), path)


def _write_picture(png: bytes, path: Path) -> None:
    write_bytes(png, path, may_replace=lambda edges: edges.startswith(PNG_SIGNATURE))
    _tell(f"Wrote {path}.")


def _watch(options: Options) -> int:
    source = _Source.of(options)
    interval_seconds = options.refresh or source.settings.refresh.interval_seconds
    with _display(options.json) as show:
        while True:
            status = source.newest(time.time())
            ends = bool(options.fail_on) and _has_open_finding(status, options.fail_on)
            show(status, 0.0 if ends else interval_seconds)
            if ends:
                return FINDING_OPEN


def _compare(options: Options) -> int:
    names = tuple(dict.fromkeys(options.runs))
    if len(names) < 2:
        raise UsageInvalid(
            "A comparison needs at least two different runs.",
            hint="Name them as `status` shows them, e.g. python -m monitor compare run_a run_b --logdir runs",
        )
    source, now = _Source.of(options), time.time()
    looks = [source.with_hparams(name, now) for name in names]
    statuses = [status for status, _ in looks]
    found = compare_statuses(
        statuses,
        _tags_to_compare(statuses, options.tag),
        "step" if options.step is not None else options.by,
        step=options.step,
        chosen_by=_tag_to_choose_by(statuses, options.chosen_by),
        group_pattern=options.group,
        baseline=options.baseline,
        hparams={status.run.name: hparams for status, hparams in looks},
    )
    if options.plot is not None and any(row.n_points for row in found.comparison.rows):
        _plot_comparison(found, options.plot)
    if options.json:
        _emit_json(comparison_json(found))
    else:
        _emit(_comparison_text(found))
    return FINE if any(row.n_points for row in found.comparison.rows) else _nothing_to_show(NO_POINT)


def _report(options: Options) -> int:
    from monitor.comparison_report import report_of
    from monitor.report import ReportContext
    from monitor.report_files import is_report, make_report  # with pyarrow: the other commands start without

    source, now, form = _Source.of(options), time.time(), _report_format(options)
    names = tuple(dict.fromkeys(options.runs))
    if names and options.run_dir:
        raise UsageInvalid("Runs were named and --run-dir was given.", hint="Leave one of the two out.")
    statuses, hparams = _runs_to_report(source, names, now)
    if not any(status.scalars.count for status in statuses):
        return _nothing_to_show(statuses[0].state.reason)
    command = _report_command(options, source, statuses)
    context = ReportContext(now, command, source.settings.health, source.runs.samples())
    document = _with_sections(report_of(statuses, hparams, context), options.sections)
    file = make_report(document.with_numbers(options.numbers), form, statuses)
    if options.output is None:
        _emit(file.text)
    else:
        write_bytes(file.content, options.output, may_replace=is_report)
        _tell(f"Wrote {options.output}.")
    return FINE


def _report_format(options: Options) -> "Format":
    """Return the format asked for, else that of the name of the file, else Markdown."""
    from monitor.report_files import SUFFIXES

    suffix = "" if options.output is None else options.output.suffix.lower()
    form: Format = options.format or SUFFIXES.get(suffix, "md")
    if form == "zip" and options.output is None:
        raise UsageInvalid("A ZIP is not text.", hint="Name the file to write with -o, e.g. -o report.zip.")
    return form


def _runs_to_report(
    source: "_Source", names: Sequence[str], now: float
) -> tuple[list[RunStatus], dict[str, Mapping[str, ConfigValue]]]:
    """Return the runs named, else the newest, with the hyper-parameters logged in their events."""
    found = source.runs.find_runs(now).runs
    if not names and not found:
        return [source.newest(now)], {}
    looks = [source.with_hparams(name, now) for name in names or (found[0].name,)]
    return [status for status, _ in looks], {status.run.name: hparams for status, hparams in looks}


def _with_sections(document: "Document", named: str | None) -> "Document":
    """Return the document with the sections named, comma-separated; all of it where none is."""
    if named is None:
        return document
    keys, known = frozenset(named.split(",")), document.keys
    unknown = sorted(keys - set(known))
    if unknown:
        raise UsageInvalid(
            f'This report has no section "{unknown[0]}".', hint=f"It has, from the top: {', '.join(known)}."
        )
    return document.only(keys)


def _report_command(options: Options, source: "_Source", statuses: Sequence[RunStatus]) -> str:
    """Return the command that makes the same report again, from anywhere the paths named lead to the same."""
    directories = [] if options.run_dir and not options.logdir else options.logdir or source.directories
    words = [
        *("python", "-m", "monitor", "report"),
        *(() if options.run_dir else (status.run.name for status in statuses)),
        *(word for directory in directories for word in ("--logdir", str(directory))),
        *(("--run-dir", str(options.run_dir)) if options.run_dir else ()),
        *(("--settings", str(options.settings)) if options.settings else ()),
        *(("--sections", options.sections) if options.sections is not None else ()),
        *(("--numbers", options.numbers) if options.numbers != "en" else ()),
        *(("--format", options.format) if options.format else ()),
        *(("-o", str(options.output)) if options.output else ()),
    ]
    return shlex.join(words)


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
        settings = read_settings(options.settings, kinds=CHECK_KINDS)
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

    def with_hparams(self, name: str, now: float) -> tuple[RunStatus, Mapping[str, ConfigValue]]:
        """Return the run of that name, as `named` does, and the hyper-parameters logged in its events."""
        if self.runs.find_runs(now).find(name) is None and _is_directory(name):
            watch = RunWatch(Path(name), self.settings, name=name)
            return watch.refresh(now), watch.extras().hparams
        return self.runs.status(name, now), self.runs.extras(name, now).hparams


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


def _tags_to_compare(statuses: Sequence[RunStatus], wanted: str | None) -> list[str | None]:
    """Return the series of each run: the one wanted, else the one that most have, else the loss of each."""
    usual = usual_tag(statuses) if wanted is None else None
    if usual is not None:
        return [usual if usual in status.scalars.series else None for status in statuses]
    return [_tag_to_compare(status, wanted) for status in statuses]


def _tag_to_choose_by(statuses: Sequence[RunStatus], wanted: str | None) -> str | None:
    """Return the series that decides where the metric is read; every run with scalars must have it."""
    if wanted is not None:
        _tags_to_compare(statuses, wanted)
    return wanted


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


def _comparison_text(found: RunComparison) -> str:
    comparison = found.comparison
    ranking = tuple(Figure(f"{place}.", plain(name)) for place, name in enumerate(comparison.ranking, 1))
    told = tuple(Figure("*", item.sentence) for item in found.associations[:MOST_ASSOCIATIONS])
    problems = problem_figures([problem for status in found.statuses for problem in status.problems])
    sections = (
        Section("Settings that go with the result, the strongest first; nothing is said about cause", told),
        Section("Ranking", ranking),
        Section("Problems met while reading", problems),
    )
    parts = [
        _run_table(found),
        "".join(f"{sentence}\n" for sentence in comparison.sentences),
        _group_table(found) if comparison.is_grouped else "",
        _difference_text(found),
        _plain_text([section for section in sections if section.figures]),
    ]
    return "\n".join(part for part in parts if part)


def _run_table(found: RunComparison) -> str:
    """Return one row per run; with its group where several runs share one."""
    comparison = found.comparison
    header = ("", "run", "group", "series", "best", "at step", "last", "at step", "points", "duration")
    further = ("last 5 %", "steps to baseline", "time to baseline", "health")
    rows = [
        (
            f"{number}",
            plain(row.run),
            plain(comparison.label_of(row.run) or ""),
            UNKNOWN if tag is None else plain(tag),
            *comparison_cells(row),
            *further_cells(row),
        )
        for number, (row, tag) in enumerate(zip(comparison.rows, found.tags, strict=True), 1)
    ]
    table = [(*header, *further), *rows]
    labelled = any(row.group.name != row.group.runs[0] for row in comparison.groups)
    return _aligned(table, n_left=4) if labelled else _aligned([(*row[:2], *row[3:]) for row in table], n_left=3)


def _group_table(found: RunComparison) -> str:
    header = ("", "group", "runs", "mean", "deviation", "95 % of the mean", "median", "range")
    rows = [
        (f"{number}", plain(row.group.name), *group_cells(row)) for number, row in enumerate(found.comparison.groups, 1)
    ]
    reasons = dict.fromkeys(row.group.reason for row in found.comparison.groups if len(row.group.runs) > 1)
    return f"Groups: {found.comparison.reading}\n{_aligned([header, *rows], n_left=2)}{' '.join(reasons)}\n"


def _difference_text(found: RunComparison) -> str:
    """Return the keys that differ as a table whose columns carry the numbers of the groups, else of the runs."""
    difference, groups = found.difference, found.comparison.groups
    if found.comparison.is_grouped:
        told, folded = dict(difference.settings), {**difference.seeds, **difference.noise}
        columns = [row.group.runs[0] for row in groups]
        title = "Configuration differences between the groups"
    else:
        told, folded = {**difference.settings, **difference.seeds}, dict(difference.noise)
        columns = [status.run.name for status in found.statuses]
        title = "Configuration differences"
    header = ("key", *(f"{number}" for number in range(1, len(columns) + 1)))
    rows = [(plain(key), *(_configured(values[run]) for run in columns)) for key, values in told.items()]
    table = _aligned([header, *rows], n_left=1) if rows else ""
    other = f"Also different, of no weight: {', '.join(map(plain, folded))}.\n" if folded else ""
    return f"{title}\n{table}{other}" if table or other else ""


def _configured(value: ConfigValue) -> str:
    return UNKNOWN if value is None else shorten_middle(config_text(value), MOST_CHARACTERS)


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
    write_bytes(text.encode("utf-8", errors="replace"), path)
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
def _display(as_json: bool) -> Iterator[Callable[[RunStatus, float], None]]:
    """Yield the function that shows one status for so many seconds.

    A dashboard on a terminal, else plain text or a line of JSON.
    """
    if _is_live_terminal() and not as_json:
        from monitor.dashboard import live_dashboard

        with live_dashboard() as show:
            yield show
    else:
        yield lambda status, seconds: _emit_and_wait(status, seconds, as_json)


def _emit_and_wait(status: RunStatus, seconds: float, as_json: bool) -> None:
    if as_json:
        _emit_json(status_json(status), indent=None)
    else:
        _emit(f"{format_time(status.now)} UTC\n{_plain_text(status_sections(status))}\n")
    time.sleep(seconds)


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
    command.add_argument("--plot", type=Path, metavar="FILE.png", help="write the six charts of the run as a picture")
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
    example = "compare run_a run_b --logdir runs --tag validation/loss --baseline run_a"
    command = _add_command(commands, "compare", _compare, "Several runs beside each other", example)
    command.add_argument("runs", nargs="+", metavar="RUN", help="name of a run below the log directory, or its path")
    _add_source(command)
    command.add_argument(
        "--tag", help="the series to compare (default: the validation loss, loss or score that most have)"
    )
    command.add_argument(
        "--by",
        choices=("best", "last", "final"),
        default="best",
        help="the value that ranks; final: the mean over the last 5 %% of the steps (default: best)",
    )
    command.add_argument("--step", type=int, metavar="N", help="rank by the value at this step instead")
    command.add_argument(
        "--chosen-by", metavar="TAG", help="read the series where this one is best, e.g. test where validation is best"
    )
    command.add_argument(
        "--group",
        metavar="PATTERN",
        help=r"regular expression that finds a group's name in a run's, e.g. '(.*)_seed\d+' (default: runs that differ "
        "only by their seed)",
    )
    command.add_argument("--baseline", metavar="NAME", help="group or run to compare with (default: the best group)")
    command.add_argument("--plot", type=Path, metavar="FILE.png", help="write the curves over each other as a picture")
    command.add_argument("--json", action="store_true", help="strict JSON for other programs")


def _add_report(commands: Commands) -> None:
    example = "report --logdir outputs/train -o report.html"
    command = _add_command(commands, "report", _report, "Report of a run, or of several as a comparison", example)
    command.add_argument("runs", nargs="*", metavar="RUN", help="name or path of a run (default: the newest)")
    _add_source(command)
    _add_run_directory(command)
    _add_output(command)
    command.add_argument(
        "--format",
        choices=("md", "html", "zip"),
        help="md: Markdown; html: one page with its charts, to open in a browser; zip: Markdown with its charts and "
        "every scalar as CSV (default: by the name of the file, else md)",
    )
    command.add_argument(
        "--sections", metavar="NAMES", help="only these, e.g. summary,findings,charts (default: the whole report)"
    )
    styles = ", ".join(f"{style}: {example_of(style)}" for style in SEPARATORS)
    command.add_argument(
        "--numbers", choices=tuple(SEPARATORS), default="en", help=f"how numbers are written; {styles} (default: en)"
    )


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
