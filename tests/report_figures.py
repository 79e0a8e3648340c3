"""The figures of a report held against those of ``status --json``: what differs between the two."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monitor.health import label_of, label_of_check
from monitor.schema import Finding
from monitor.text import UNKNOWN, code_span, format_bytes, format_change, format_moment, format_number, format_step

Rows = Sequence[Sequence[str]]
Metric = Mapping[str, Any]


def sections_of(markdown: str) -> dict[str, str]:
    """Return the sections of a report: title → text."""
    parts = re.split(r"^## (.*)$", markdown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows_of(section: str) -> list[list[str]]:
    """Return the cells of every table row of a section, headers and rules included."""
    lines = (line for line in section.splitlines() if line.startswith("| "))
    return [[cell.replace("\\|", "|") for cell in re.split(r" (?<!\\)\| ", line[2:-2])] for line in lines]


def differences(markdown: str, values: Mapping[str, Any], first_epoch_step: int | None) -> Iterator[str]:
    """Yield every figure of ``status --json`` that the report of the run tells otherwise or not at all.

    Args:
        markdown: The report.
        values: The JSON, read.
        first_epoch_step: Step that stands for the first epoch, to name moments as the report does.
    """
    sections = sections_of(markdown)
    yield from _facts(sections, values, first_epoch_step)
    yield from _tables(sections, values, first_epoch_step)
    yield from _findings(sections["Findings"], values, first_epoch_step)


def _facts(sections: Mapping[str, str], values: Mapping[str, Any], first: int | None) -> Iterator[str]:
    run, progress, health, metrics = values["run"], values["progress"], values["health"], values["metrics"]
    told = {
        **_pairs(sections["What was run"]),
        **_pairs(sections["Progress"]),
        **_pairs(sections["Health"]),
    }
    expected = {
        "State": run["state"],
        "Scalars": f"{run['scalars']:,} in {run['tags']:,} series",
        "Epoch": _of_total(progress["epoch"], progress["total_epochs"]),
        "Step": _of_total(progress["step"], progress["total_steps"]),
        "Checks": f"{health['checks']['ran']} of {health['checks']['of']} ran",
    }
    if metrics["loss"] is not None:
        expected["Loss"] = _loss(metrics["loss"], first)
    if health["score"] is not None:
        expected["Score"] = f"{health['score']} of 100"
    for name, words in expected.items():
        if not told.get(name, "").startswith(words):
            yield f"{name}: {words!r} in the JSON, {told.get(name)!r} in the report"


def _pairs(section: str) -> dict[str, str]:
    return {row[0]: row[1] for row in rows_of(section) if len(row) == 2}


def _of_total(count: int | None, total: int | None) -> str:
    return format_step(count) if total is None or count is None else f"{format_step(count)} of {format_step(total)}"


def _loss(metric: Metric, first: int | None) -> str:
    at = format_moment(metric["step"], first)
    words = f"{_number(metric['value'])} ({format_change(_float(metric['change_percent']))}) at {at}"
    if metric["best"] is None:
        return words
    return f"{words}, best {_number(metric['best'])} at {format_moment(metric['best_step'], first)}"


def _float(value: float | str | None) -> float | None:
    """Return a JSON number; non-finite ones are told as text."""
    return None if value is None else float(value)


def _number(value: float | str | None) -> str:
    return format_number(_float(value))


def _tables(sections: Mapping[str, str], values: Mapping[str, Any], first: int | None) -> Iterator[str]:
    metrics = (*values["metrics"]["validation"], *values["metrics"]["scores"])
    wanted = {
        "Validation and scores": [_metric(metric, first) for metric in metrics],
        "Checkpoints": [_checkpoint(item) for item in values["checkpoints"]["saved"]],
        "Problems met while reading": [_problem(item) for item in values["problems"]],
        "Not checked": [[label_of_check(item["kind"])] for item in values["health"]["checks"]["not_checked"]],
    }
    for title, expected in wanted.items():
        told = rows_of(sections[title])
        for cells in expected:
            if not any(all(cell in row for cell in cells) for row in told):
                yield f"{title}: no row with {cells}"


def _metric(metric: Metric, first: int | None) -> list[str]:
    return [
        code_span(metric["tag"]),
        _number(metric["value"]),
        format_moment(metric["step"], first),
        format_change(_float(metric["change_percent"])),
        _number(metric["best"]),
        UNKNOWN if metric["best_step"] is None else format_moment(metric["best_step"], first),
    ]


def _checkpoint(item: Mapping[str, Any]) -> list[str]:
    size = format_bytes(item["bytes"])
    return [code_span(item["name"]), item["kind"], size if item["readable"] else f"{size}, cannot be read"]


def _problem(item: Mapping[str, Any]) -> list[str]:
    return [code_span(item["path"]), format_step(item["offset"]), item["kind"]]


def _findings(section: str, values: Mapping[str, Any], first: int | None) -> Iterator[str]:
    titles = re.findall(r"^### (.*)$", section, re.MULTILINE)
    if len(titles) != len(values["findings"]):
        yield f"{len(values['findings'])} findings in the JSON, {len(titles)} in the report"
    for finding in values["findings"]:
        where = f" in {code_span(finding['tag'])}" if finding["tag"] else ""
        onset = finding["onset_step"]
        since = f", since {format_moment(onset, first)}" if onset is not None else ""
        title = f"{finding['severity']}: {label_of(Finding(**finding))}{where}{since}"
        if not any(told.startswith(title) for told in titles):
            yield f"no finding {title!r}"
