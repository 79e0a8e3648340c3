"""Several RunStatus → their report as a document: the verdict first, then what it rests on. Pure.

`report_of` is what a front end asks, for one run or several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from monitor.analysis.compare import Comparison, RunRow
from monitor.analysis.configurations import config_text, merged
from monitor.analysis.difference import Difference
from monitor.charts import Style
from monitor.comparison import CORRECTION, METHOD, RunComparison, compare_statuses, usual_tag
from monitor.document import Block, Charts, Document, Facts, Items, Paragraph, Section, Simple, Table, Text, foreign
from monitor.figures import (
    Figure,
    comparison_cells,
    finding_title,
    further_cells,
    group_cells,
    progress_figures,
    score_text,
)
from monitor.health import label_of_check
from monitor.report import ReportContext, closing, problem_table, run_report, value_text
from monitor.report_charts import comparison_charts
from monitor.schema import ConfigValue
from monitor.status import RunStatus
from monitor.text import UNKNOWN, format_number, format_time, plain

MOST_ASSOCIATIONS: Final = 5
COMPARISON_SECTIONS: Final[dict[str, str]] = {
    "summary": "Summary",
    "charts": "Charts",
    "results": "Results",
    "groups": "Groups",
    "ranking": "Ranking",
    "differences": "Configuration differences",
    "runs": "Each run in short",
    "problems": "Problems met while reading",
    "unchecked": "Not checked",
}


def report_of(
    statuses: Sequence[RunStatus],
    hparams: Mapping[str, Mapping[str, ConfigValue]],
    context: ReportContext,
    styles: Mapping[str, Style] | None = None,
) -> Document:
    """Return the report of one run or, for several, of their comparison.

    Args:
        statuses: At least one.
        hparams: Run → hyper-parameters logged in its events; they stand beside its configuration.
        context: What else is said.
        styles: Run → its colour on the other pages.
    """
    if len(statuses) > 1:
        found = compare_statuses(statuses, _tags_to_compare(statuses), hparams=hparams)
        return comparison_report(found, context, styles)
    (status,) = statuses
    configuration = merged(status.configuration, hparams.get(status.run.name, {}))
    return run_report(replace(status, configuration=configuration), context)


def _tags_to_compare(statuses: Sequence[RunStatus]) -> list[str | None]:
    """Return the series of each run: the one that most have, else the loss of each; None where a run has neither."""
    usual = usual_tag(statuses)
    losses = [None if status.roles.loss is None else status.roles.loss.tag for status in statuses]
    wanted = losses if usual is None else [usual] * len(statuses)
    return [tag if tag in status.scalars.series else None for tag, status in zip(wanted, statuses, strict=True)]


def comparison_report(
    found: RunComparison, context: ReportContext, styles: Mapping[str, Style] | None = None
) -> Document:
    """Return the report of several runs.

    Args:
        found: The comparison.
        context: What else is said; its samples of the machine are not shown.
        styles: Run → its colour on the other pages.
    """
    charts = comparison_charts(found, styles)
    bodies: dict[str, Sequence[Block]] = {
        "summary": _summary(found.comparison),
        "charts": [Charts(charts)] if charts else [Paragraph("No run has a point to draw.")],
        "results": _results(found),
        "groups": _groups(found.comparison),
        "ranking": _ranking(found.comparison),
        "differences": _differences(found),
        "problems": [problem_table([problem for status in found.statuses for problem in status.problems])],
        "unchecked": [_not_checked(found.statuses)],
    }
    return Document(
        title=f"Comparison of {len(found.statuses)} training runs",
        lead=(Paragraph(f"Made at {format_time(context.made_at)} UTC.", quiet=True),),
        sections=tuple(section for key in COMPARISON_SECTIONS for section in _sections(key, found, bodies)),
        close=closing(context),
    )


def _sections(key: str, found: RunComparison, bodies: Mapping[str, Sequence[Block]]) -> list[Section]:
    if key == "groups" and not found.comparison.is_grouped:
        return []
    if key == "runs":
        return [_run(number, status) for number, status in enumerate(found.statuses, 1)]
    return [Section(key, COMPARISON_SECTIONS[key], tuple(bodies[key]))]


# --- the result ----------------------------------------------------------------------------------------------------


def _summary(comparison: Comparison) -> list[Block]:
    first, *others = comparison.sentences or ("Nothing can be said: no run has a value to compare.",)
    more = [Items(tuple(plain(sentence) for sentence in others))] if others else []
    return [Facts(_highlights(comparison), prominent=True), Paragraph(plain(first)), *more]


def _highlights(comparison: Comparison) -> tuple[Figure, ...]:
    better = {"min": "smaller is better", "max": "larger is better", None: "no direction is known"}
    best = foreign(comparison.ranking[0]) if comparison.ranking else UNKNOWN
    told = sum(row.value is not None for row in comparison.rows)
    return (
        Figure("Compared", f"{foreign(comparison.tag)}, {better[comparison.direction]}"),
        Figure("Best group" if comparison.is_grouped else "Best run", best),
        Figure("Runs with a value", f"{told} of {len(comparison.rows)}"),
    )


def _results(found: RunComparison) -> list[Block]:
    comparison = found.comparison
    labels = [comparison.label_of(row.run) or "" for row in comparison.rows]
    grouped = comparison.is_grouped
    header = ("best", "at step", "last", "at step", "points", "duration")
    further = ("last 5 %", "steps to baseline", "time to baseline", "health")
    rows = tuple(_result(row, label if grouped else None) for row, label in zip(comparison.rows, labels, strict=True))
    words = ("run", "group") if grouped else ("run",)
    align = "l" * len(words) + "r" * (len(header) + len(further))
    notes = [Paragraph(f"Compared is {plain(comparison.reading)}.", quiet=True)] if comparison.reading else []
    if found.chosen_by is not None:
        notes.append(Paragraph(f"Each run is read where its {foreign(found.chosen_by)} is best.", quiet=True))
    return [Table((*words, *header, *further), rows, align), *notes, *_series(found)]


def _result(row: RunRow, group: str | None) -> tuple[Text, ...]:
    words = (foreign(row.run),) if group is None else (foreign(row.run), foreign(group))
    return (*words, *comparison_cells(row), *further_cells(row))


def _series(found: RunComparison) -> list[Block]:
    """Return which series of each run was compared, where it is not the same in all."""
    if len(set(found.tags)) < 2:
        return []
    pairs = zip(found.statuses, found.tags, strict=True)
    rows = tuple((foreign(status.run.name), UNKNOWN if tag is None else foreign(tag)) for status, tag in pairs)
    return [Table(("run", "series"), rows, "ll")]


def _ranking(comparison: Comparison) -> list[Block]:
    if not comparison.ranking:
        return [Paragraph("No run has a value to rank by.")]
    return [Items(tuple(foreign(name) for name in comparison.ranking), numbered=True)]


# --- groups --------------------------------------------------------------------------------------------------------


def _groups(comparison: Comparison) -> list[Block]:
    header = ("group", "runs", "mean", "deviation", "95 % of the mean", "median", "range")
    rows = tuple((foreign(row.group.name), *group_cells(row)) for row in comparison.groups)
    reasons = tuple(dict.fromkeys(plain(row.group.reason) for row in comparison.groups if len(row.group.runs) > 1))
    return [Table(header, rows, "lrrrrrr"), Items(reasons), *_intervals(comparison)]


def _intervals(comparison: Comparison) -> list[Block]:
    pairs = comparison.differences.each
    if not pairs or comparison.baseline is None:
        return []
    header = ("group", "difference", "95 % interval", "p, corrected", "outcome")
    method = (
        f"Against {foreign(comparison.baseline)}: {METHOD}, 95 %; p values corrected by the method of {CORRECTION},"
        f" comparisons made: {comparison.differences.n_tests}."
    )
    return [Table(header, tuple(_interval(pair) for pair in pairs), "lrrrl"), Paragraph(method, quiet=True)]


def _interval(pair: Difference) -> tuple[Text, ...]:
    span = UNKNOWN if pair.low is None else f"{format_number(pair.low, 4)} to {format_number(pair.high, 4)}"
    return (
        foreign(pair.group),
        format_number(pair.difference),
        span,
        format_number(pair.p_corrected, 3),
        pair.outcome.replace("_", " "),
    )


# --- the configuration ---------------------------------------------------------------------------------------------


def _differences(found: RunComparison) -> list[Block]:
    """Return the keys that differ: settings first, between groups where there are any; of the noise only the names."""
    difference = found.difference
    told = dict(difference.settings) if found.comparison.is_grouped else {**difference.settings, **difference.seeds}
    folded = {**difference.seeds, **difference.noise} if found.comparison.is_grouped else dict(difference.noise)
    blocks: list[Block] = [_difference_table(found, told)] if told else []
    if folded:
        blocks.append(Paragraph(f"Also different, of no weight: {', '.join(map(foreign, folded))}.", quiet=True))
    if not blocks:
        return [Paragraph("No key differs, or no configuration lies beside the runs.")]
    return [*blocks, *_associations(found)]


def _difference_table(found: RunComparison, told: Mapping[str, Mapping[str, ConfigValue]]) -> Simple:
    groups = found.comparison.groups if found.comparison.is_grouped else ()
    columns = {row.group.runs[0]: row.group.name for row in groups} or {
        status.run.name: status.run.name for status in found.statuses
    }
    rows = tuple((foreign(key), *(_configured(values[run]) for run in columns)) for key, values in sorted(told.items()))
    return Table(("key", *(foreign(name) for name in columns.values())), rows, "l" * (len(columns) + 1))


def _configured(value: ConfigValue) -> Text:
    return UNKNOWN if value is None else value_text(config_text(value))


def _associations(found: RunComparison) -> list[Block]:
    if not found.associations:
        return []
    told = tuple(plain(item.sentence) for item in found.associations[:MOST_ASSOCIATIONS])
    words = "Settings that go with the result, the strongest first; nothing is said about cause."
    return [Paragraph(words), Items(told)]


# --- each run ------------------------------------------------------------------------------------------------------


def _run(number: int, status: RunStatus) -> Section:
    health = Figure("Health", score_text(status.health), status.health.band or "")
    state = Figure("State", status.state.state, status.state.state)
    lasting = tuple(finding_title(item, status.progress, foreign) for item in status.health.findings if item.open)
    facts = Facts((state, *progress_figures(status, foreign), health))
    findings = Items(lasting) if lasting else Paragraph("No open finding.")
    return Section(f"runs-{number}", f"Run {foreign(status.run.name)}", (facts, findings))


def _not_checked(statuses: Sequence[RunStatus]) -> Simple:
    """Return what was not checked and why, each once with the runs it is true of."""
    runs: dict[tuple[str, str], list[str]] = {}
    for status in statuses:
        for item in status.health.checks.not_checked:
            runs.setdefault((item.kind, item.why), []).append(status.run.name)
    if not runs:
        checked = any(status.health.checks.ran for status in statuses)
        return Paragraph("Every check ran." if checked else "Nothing could be checked yet.")
    rows = tuple(
        (label_of_check(kind), plain(why), _listed(names, len(statuses))) for (kind, why), names in runs.items()
    )
    return Table(("check", "why not", "runs"), rows, "lll")


def _listed(names: Sequence[str], n_runs: int) -> Text:
    return "every run" if len(names) == n_runs else ", ".join(map(foreign, names))
