"""A comparison → its tables, with raw values for sorting and files, and the same as text: CSV, Markdown, LaTeX.

Pure: no files, no clock, no Streamlit. A column knows what kind of value stands in it; how that is written follows from
the kind, so that the page and the files show the same.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from monitor.analysis.compare import Comparison, GroupRow, RunRow
from monitor.analysis.configurations import config_text
from monitor.analysis.difference import Difference, Outcome
from monitor.comparison import Arrangement, RunComparison
from monitor.digest import RunDigest, course_of
from monitor.figures import sparkline
from monitor.schema import ConfigValue, Direction
from monitor.status import RunGlance, RunStatus
from monitor.text import (
    UNKNOWN,
    format_duration,
    format_number,
    format_step,
    format_time,
    plain,
    shorten_middle,
    table_cell,
)

Kind = Literal["text", "number", "count", "seconds", "time", "curve"]
Value = str | float | int | tuple[float, ...] | None

MOST_VALUE_CHARACTERS = 60
OUTCOME_WORDS: Final[Mapping[Outcome, str]] = {
    "better": "better",
    "worse": "worse",
    "not_separable": "not separable",
    "too_few": "too few runs",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        name: Its title; different for every column of a table.
        kind: What stands in it.
        help: What a computed figure means, as a whole sentence; "" where the title says it.
    """

    name: str
    kind: Kind = "number"
    help: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with raw values; text in it may come from files, as harmless single lines."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    def texts(self) -> list[list[str]]:
        """Return the cells as people read them, row by row."""
        kinds = [column.kind for column in self.columns]
        return [[cell_text(kind, value) for kind, value in zip(kinds, row, strict=True)] for row in self.rows]


_TEXTS: Final[Mapping[Kind, Callable[[float], str]]] = {
    "number": format_number,
    "count": lambda value: format_step(round(value)),
    "seconds": format_duration,
    "time": format_time,
}


def cell_text(kind: Kind, value: Value) -> str:
    """Return one value as people read it; unknown is “–”."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return sparkline(value)
    return format_number(value) if not math.isfinite(value) else _TEXTS[kind](value)


# --- results -------------------------------------------------------------------------------------------------------


def results(found: RunComparison) -> Table:
    """Return the table of results: one row per group where runs share one, else one per run; the best first."""
    return group_results(found.comparison) if found.comparison.is_grouped else run_results(found.comparison)


def run_results(comparison: Comparison) -> Table:
    """Return one row per run, in the order of the ranking of their groups and then of their values."""
    grouped = comparison.is_grouped
    target = _target(comparison)
    columns = (
        Column("place", "count", "Place in the ranking; of a group, where the runs are grouped."),
        Column("run", "text"),
        *([Column("group", "text")] if grouped else []),
        Column("compared", help=f"What the runs are ranked by: {plain(comparison.reading)}."),
        Column("at step", "count", "The step at which the compared value was read."),
        Column("best", help="Best finite value."),
        Column("best at step", "count"),
        Column("last", help="Newest value, NaN and infinities included."),
        Column("last at step", "count"),
        Column("last 5 %", help="Mean over the last 5 % of the steps."),
        Column("area", help="Mean value over the steps that all runs share: the area under the curve by their number."),
        Column("steps to baseline", "count", f"First step at which the run is as good as {target}."),
        Column("time to baseline", "seconds", f"Training time until the run is as good as {target}."),
        Column("health", "count", "Score of the run, 0 to 100."),
        Column("duration", "seconds", "Time between first and last point, summed over the sessions of the run."),
        Column("points", "count"),
    )
    place = {name: number for number, name in enumerate(comparison.ranking, 1)}
    rows = sorted(comparison.rows, key=lambda row: _order(comparison, row, place))
    return Table(columns, tuple(_run_cells(comparison, row, place, grouped) for row in rows))


def _order(comparison: Comparison, row: RunRow, place: Mapping[str, int]) -> tuple[float, float]:
    value = math.inf if row.value is None else row.value if comparison.direction == "min" else -row.value
    return place.get(_ranked_name(comparison, row.run), math.inf), value


def _ranked_name(comparison: Comparison, run: str) -> str:
    return (comparison.label_of(run) or run) if comparison.is_grouped else run


def _run_cells(comparison: Comparison, row: RunRow, place: Mapping[str, int], grouped: bool) -> tuple[Value, ...]:
    return (
        place.get(_ranked_name(comparison, row.run)),
        plain(row.run),
        *([plain(comparison.label_of(row.run) or "")] if grouped else []),
        *(row.value, row.value_step, row.best, row.best_step, row.last, row.last_step, row.final, row.area),
        *(row.steps_to_target, row.seconds_to_target, row.health, row.duration_seconds, row.n_points),
    )


def _target(comparison: Comparison) -> str:
    return f"the best of {plain(comparison.baseline)}" if comparison.baseline else "the best of the baseline"


def group_results(comparison: Comparison) -> Table:
    """Return one row per group, in the order of the ranking, each with its difference to the baseline."""
    target = _target(comparison)
    columns = (
        Column("place", "count"),
        Column("group", "text"),
        Column("runs", "text", "Runs with a finite value to compare, of all runs of the group."),
        Column("mean", help=f"Mean over the runs of what is compared: {plain(comparison.reading)}."),
        Column("deviation", help="Sample standard deviation over the runs."),
        Column("mean from", help="Lower end of Student's 95 % interval of the mean."),
        Column("mean to", help="Upper end of Student's 95 % interval of the mean."),
        Column("difference", help="Mean of the group minus mean of the baseline."),
        Column("from", help="Lower end of the 95 % interval of the difference (Welch's t)."),
        Column("to", help="Upper end of the 95 % interval of the difference (Welch's t)."),
        Column("against the baseline", "text", "After Holm's correction for all comparisons made."),
        Column("median"),
        Column("inter-quartile mean", help="Mean of the middle half of the runs."),
        Column("best", help="Mean of the best values of the runs."),
        Column("last", help="Mean of the finite last values."),
        Column("last 5 %", help="Mean of the means over the last 5 % of the steps."),
        Column("area", help="Mean value over the steps that all runs share."),
        Column("reached", "text", f"Runs that became as good as {target}."),
        Column("steps to baseline", "count", f"Mean first step at which they were as good as {target}."),
        Column("time to baseline", "seconds", f"Mean training time until then: as good as {target}."),
        Column("health", "count", "Lowest score of the runs, 0 to 100."),
        Column("duration", "seconds", "Mean duration of the runs."),
    )
    place = {name: number for number, name in enumerate(comparison.ranking, 1)}
    against = {difference.group: difference for difference in comparison.differences.each}
    rows = sorted(comparison.groups, key=lambda row: place.get(row.group.name, math.inf))
    return Table(columns, tuple(_group_cells(row, place, against, comparison.baseline) for row in rows))


def _group_cells(
    row: GroupRow, place: Mapping[str, int], against: Mapping[str, Difference], baseline: str | None
) -> tuple[Value, ...]:
    count = len(row.group.runs)
    return (
        place.get(row.group.name),
        plain(row.group.name),
        f"{row.n} of {count}",
        *(row.mean, row.std, row.low, row.high),
        *_difference_cells(against.get(row.group.name), row.group.name == baseline),
        *(row.median, row.iqm, row.best, row.last, row.final, row.area),
        f"{row.n_reached} of {count}",
        *(row.steps_to_target, row.seconds_to_target, row.health, row.duration_seconds),
    )


def _difference_cells(difference: Difference | None, is_baseline: bool) -> tuple[Value, ...]:
    if difference is None:
        return (None, None, None, "baseline" if is_baseline else UNKNOWN)
    return difference.difference, difference.low, difference.high, OUTCOME_WORDS[difference.outcome]


def diverged_note(comparison: Comparison) -> str:
    """Return which runs ended at a value that is no finite number, as a sentence; "" where none did.

    A table that can be sorted by numbers has no place for NaN.
    """
    ended = [row for row in comparison.rows if row.last is not None and not math.isfinite(row.last)]
    if not ended:
        return ""
    listed = ", ".join(f"{plain(row.run)} ({format_number(row.last)})" for row in ended)
    return f"Ended at no finite value: {listed}."


# --- the list of all runs ------------------------------------------------------------------------------------------

MOST_SETTINGS_LISTED = 6


def run_list(
    glances: Sequence[RunGlance],
    tag: str | None,
    found: RunComparison | None,
    arranged: Arrangement,
    digests: Mapping[str, RunDigest],
) -> Table:
    """Return one row per run of a log directory, in the order given.

    Args:
        glances: The runs.
        tag: The series whose values are told; None for none.
        found: The comparison of some of them; None while nothing is compared.
        arranged: Groups and settings of all of them.
        digests: Those of the others, as far as they have been read.
    """
    metric = plain(tag or "metric")
    settings = _settings_listed(found, arranged)
    columns = (
        Column("run", "text"),
        Column("group", "text", "Runs that repeat one configuration, among all runs; “–” where nothing repeats one."),
        Column("state", "text"),
        Column("start", "time", "Time of the first event."),
        Column("duration", "seconds", "Time between first and last event, pauses included."),
        Column("step", "count", "Largest step among the newest points, as logged."),
        Column("epoch", "count", "The epoch in work."),
        Column("last", help=f"Newest {metric}."),
        Column("best", help=f"Best finite {metric}."),
        Column("curve", "curve", f"Course of {metric}."),
        Column(
            "health", "count", "Score of the run, 0 to 100: of those chosen, and of the newest unless they are large."
        ),
        *(Column(title, "text", "Configured differently from run to run.") for title in _setting_titles(settings)),
    )
    direction = found.comparison.direction if found else None
    rows_by_run = {row.run: row for row in found.comparison.rows} if found else {}
    statuses = {status.run.name: status for status in found.statuses} if found else {}

    def read_cells(glance: RunGlance) -> tuple[Value, ...]:
        name = glance.run.name
        if name in statuses:
            return _compared_cells(glance, statuses[name], rows_by_run.get(name), tag)
        return _digested_cells(glance, digests.get(name), tag, direction)

    rows = [
        (
            plain(glance.run.name),
            plain(arranged.groups.get(glance.run.name, UNKNOWN)),
            glance.state.state,
            glance.first_event,
            _lasted(glance),
            glance.step,
            *read_cells(glance),
            *(configured(arranged.settings[key].get(glance.run.name)) for key in settings),
        )
        for glance in glances
    ]
    return Table(columns, tuple(rows))


def _settings_listed(found: RunComparison | None, arranged: Arrangement) -> list[str]:
    """Return the keys to list: those that differ between the runs compared come first."""
    chosen = [key for key in found.difference.settings if key in arranged.settings] if found else []
    return list(dict.fromkeys([*chosen, *arranged.settings]))[:MOST_SETTINGS_LISTED]


def _setting_titles(keys: Sequence[str]) -> list[str]:
    """Return the keys as titles that no other column has."""
    fixed = {"run", "group", "state", "start", "duration", "step", "epoch", "last", "best", "curve", "health"}
    return [f"{title} (setting)" if title in fixed else title for title in map(plain, keys)]


def _lasted(glance: RunGlance) -> float | None:
    if glance.first_event is None or glance.last_event is None:
        return None
    return glance.last_event - glance.first_event


def _compared_cells(glance: RunGlance, status: RunStatus, row: RunRow | None, tag: str | None) -> tuple[Value, ...]:
    """Return epoch, last and best value, course and health of a run that is compared: the values that are compared."""
    last = row.last if row else None
    return (
        status.progress.epoch,
        glance.last.get(tag or "") if last is None else last,
        row.best if row else None,
        course_of(status.scalars.points(tag)) or None,
        status.health.score,
    )


def _digested_cells(
    glance: RunGlance, digest: RunDigest | None, tag: str | None, direction: Direction | None
) -> tuple[Value, ...]:
    """Return the same of another run, as far as it has been read."""
    last = glance.last.get(tag or "")
    if digest is None:
        return None, last, None, None, None
    series = digest.series.get(tag or "")
    if series is None:
        return digest.epoch, last, None, None, digest.health
    newest = series.last if last is None else last
    return digest.epoch, newest, series.best(direction), series.course or None, digest.health


# --- configuration -------------------------------------------------------------------------------------------------


def configuration_table(found: RunComparison, difference: Mapping[str, Mapping[str, ConfigValue]]) -> Table:
    """Return what differs in the configuration: one row per key, one column per group, else per run.

    Args:
        found: The comparison.
        difference: Key → run → value, a part of `RunComparison.difference`.
    """
    groups = found.comparison.groups if found.comparison.is_grouped else ()
    columns = {row.group.name: row.group.runs[0] for row in groups} or {
        status.run.name: status.run.name for status in found.statuses
    }
    rows = [
        (plain(key), *(configured(values.get(run)) for run in columns.values())) for key, values in difference.items()
    ]
    return Table((Column("key", "text"), *(Column(name, "text") for name in _distinct(columns))), tuple(rows))


def seed_table(found: RunComparison) -> Table:
    """Return the seeds and the other keys without weight, one column per run."""
    difference = {**found.difference.seeds, **found.difference.noise}
    names = [status.run.name for status in found.statuses]
    rows = [(plain(key), *(configured(values.get(name)) for name in names)) for key, values in difference.items()]
    return Table((Column("key", "text"), *(Column(name, "text") for name in _distinct(names))), tuple(rows))


def configured(value: ConfigValue) -> str:
    """Return a configured value for a cell; “–” where it is not set."""
    return UNKNOWN if value is None else shorten_middle(config_text(value), MOST_VALUE_CHARACTERS)


def _distinct(names: Sequence[str] | Mapping[str, str]) -> list[str]:
    """Return titles of columns, harmless and all different; “key” is taken."""
    taken = {"key"}
    titles = []
    for name in names:
        title, number = plain(name), 2
        while title in taken:
            title, number = f"{plain(name)} ({number})", number + 1
        taken.add(title)
        titles.append(title)
    return titles


# --- files ---------------------------------------------------------------------------------------------------------


def render_csv(table: Table) -> str:
    """Return the raw values as CSV: numbers in full, seconds as seconds, unknown empty, NaN and infinities by name.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.

    Source: RFC 4180, lines end with LF; OWASP, "CSV Injection".
    """
    into = io.StringIO()
    writer = csv.writer(into, lineterminator="\n")
    writer.writerow([_csv_title(column) for column in table.columns])
    writer.writerows([[_csv_cell(value) for value in row] for row in table.rows])
    return into.getvalue()


def _csv_title(column: Column) -> str:
    unit = " (s)" if column.kind == "seconds" else ""
    return _csv_text(f"{plain(column.name)}{unit}")


def _csv_cell(value: Value) -> str:
    if value is None or value == UNKNOWN:
        return ""
    if isinstance(value, tuple):
        return " ".join(map(repr, value))
    return _csv_text(value) if isinstance(value, str) else "NaN" if math.isnan(value) else repr(value)


def _csv_text(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def render_markdown(table: Table) -> str:
    """Return the table in Markdown; what may come from files stands in code spans, figures to the right."""
    titles = [_markdown_title(column) for column in table.columns]
    rule = [":--" if column.kind == "text" else "--:" for column in table.columns]
    rows = [
        [table_cell(text) if column.kind == "text" else text for column, text in zip(table.columns, row, strict=True)]
        for row in table.texts()
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (titles, rule, *rows))


def _markdown_title(column: Column) -> str:
    known = re.fullmatch(r"[\w %-]+", column.name)
    return column.name if known and "_" not in column.name else table_cell(column.name)


def render_latex(table: Table) -> str:
    """Return the table as LaTeX ``tabular`` with the rules of booktabs; every special character is escaped."""
    alignment = "".join("l" if column.kind == "text" else "r" for column in table.columns)
    rows = [" & ".join(map(latex_text, row)) for row in ([column.name for column in table.columns], *table.texts())]
    head, *body = [f"{row} \\\\" for row in rows]
    lines = ["% \\usepackage{booktabs}", f"\\begin{{tabular}}{{{alignment}}}", "\\toprule", head, "\\midrule"]
    return "\n".join([*lines, *body, "\\bottomrule", "\\end{tabular}", ""])


_LATEX: Final[Mapping[str, str]] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "∞": r"$\infty$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex_text(foreign: str) -> str:
    """Return text as LaTeX sets it, character by character."""
    return "".join(_LATEX.get(character, character) for character in plain(foreign))
