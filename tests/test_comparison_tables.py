"""The tables of a comparison: what stands in them, in which order, and how they are written into files."""

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from monitor.analysis.compare import compare_runs
from monitor.analysis.groups import Group
from monitor.comparison_tables import (
    Column,
    Table,
    cell_text,
    diverged_note,
    group_results,
    latex_text,
    render_csv,
    render_latex,
    render_markdown,
    run_results,
)
from monitor.schema import Points

HOSTILE = "![x](http://evil.example) | `q` <b> & 50 % _a_ #1 {z} ~^\\"
TABLE = Table(
    (Column("run", "text"), Column("best"), Column("at step", "count"), Column("time", "seconds")),
    ((HOSTILE, 0.1234567891, 12_340, 7500.0), ("b", float("nan"), None, None)),
)


def series(values: Sequence[float]) -> Points:
    count = len(values)
    return Points(np.arange(count), np.arange(count) * 10.0, np.array(values, np.float64), np.zeros(count, np.int16))


def cells(table: Table, title: str) -> list[object]:
    place = [column.name for column in table.columns].index(title)
    return [row[place] for row in table.rows]


def compared(runs: Mapping[str, Sequence[float]], groups: Sequence[Group] = ()):
    return compare_runs({name: series(values) for name, values in runs.items()}, "min", "best", "loss", groups=groups)


def test_runs_stand_in_the_order_of_the_ranking() -> None:
    table = run_results(compared({"worse": [1.0, 0.8], "better": [1.0, 0.4], "none": []}))
    assert cells(table, "run") == ["better", "worse", "none"]
    assert cells(table, "place") == [1, 2, 3]
    assert cells(table, "best") == [0.4, 0.8, None]


def test_a_group_tells_its_difference_to_the_baseline_with_the_interval() -> None:
    runs = {"a0": [1.0, 0.50], "a1": [1.0, 0.52], "b0": [1.0, 0.20], "b1": [1.0, 0.22]}
    groups = [Group(name, (f"{name}0", f"{name}1"), True, "") for name in "ab"]
    comparison = compared(runs, groups)
    table = group_results(comparison)
    (difference,) = comparison.differences.each
    assert cells(table, "group") == ["b", "a"]
    assert cells(table, "difference") == [None, pytest.approx(0.3)]
    assert (cells(table, "from")[1], cells(table, "to")[1]) == (difference.low, difference.high)
    assert cells(table, "against the baseline") == ["baseline", "worse"]


def test_runs_of_a_group_stand_together_the_best_first() -> None:
    runs = {"a0": [0.6], "b0": [0.2], "a1": [0.5], "b1": [0.3]}
    groups = [Group(name, (f"{name}0", f"{name}1"), True, "") for name in "ab"]
    assert cells(run_results(compared(runs, groups)), "run") == ["b0", "b1", "a1", "a0"]


def test_runs_that_ended_at_nan_are_named() -> None:
    assert diverged_note(compared({"a": [1.0, np.nan], "b": [1.0, np.inf], "c": [1.0]})).endswith("a (NaN), b (∞).")
    assert diverged_note(compared({"a": [1.0]})) == ""


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("number", 0.1234567, "0.12346"),
        ("number", float("inf"), "∞"),
        ("count", 12_340.0, "12,340"),
        ("seconds", 7500.0, "2 h 05 min"),
        ("text", "a", "a"),
        ("number", None, "–"),
        ("curve", (1.0, 2.0), "▁█"),
    ],
)
def test_a_value_is_written_as_its_kind_asks(kind, value, text) -> None:
    assert cell_text(kind, value) == text


def test_csv_holds_numbers_in_full_and_leaves_unknown_empty() -> None:
    head, first, second = csv.reader(io.StringIO(render_csv(TABLE)))
    assert head == ["run", "best", "at step", "time (s)"]
    assert first == [HOSTILE, "0.1234567891", "12340", "7500.0"]
    assert second == ["b", "NaN", "", ""]


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x"])
def test_a_name_is_no_formula_in_a_spreadsheet(name: str) -> None:
    rows = list(csv.reader(io.StringIO(render_csv(Table((Column("run", "text"),), ((name,),))))))
    assert rows[1] == [f"'{name}"]


def test_markdown_has_one_cell_per_column_whatever_the_names_hold() -> None:
    head, rule, first, _ = render_markdown(TABLE).splitlines()
    assert (head, rule) == ("| run | best | at step | time |", "| :-- | --: | --: | --: |")
    assert first.replace("\\|", "").count("|") == 5
    assert "``![x]" in first
    assert first.endswith("| 0.12346 | 12,340 | 2 h 05 min |")


def test_latex_escapes_every_special_character() -> None:
    assert latex_text("a_b & 50 % #1 ${x}~^\\") == (
        r"a\_b \& 50 \% \#1 \$\{x\}\textasciitilde{}\textasciicircum{}\textbackslash{}"
    )


def test_latex_is_a_whole_tabular() -> None:
    lines = render_latex(TABLE).splitlines()
    assert lines[1] == r"\begin{tabular}{lrrr}"
    assert lines[3] == r"run & best & at step & time \\"
    assert lines[6] == r"b & NaN & -- & -- \\"
    assert lines[-1] == r"\end{tabular}"
