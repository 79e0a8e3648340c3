import csv
import io
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from monitor.cli import main
from tests.builders import append, event_file_name, rows, scalar, write_scalars
from tests.json_contract import missing_keys, strict_loads

PROJECT = Path(__file__).parent.parent
START_SECOND = 1_700_000_000
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory without runs, settings or variables of the person who runs the tests."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for name in ("MONITOR_LOGDIR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return directory


@pytest.fixture
def runs(empty_directory: Path) -> Path:
    # runs/
    #   a/events…   train/loss of 5 epochs, older
    #   b/events…   train/loss and lr of 3 epochs, newest
    directory = empty_directory / "runs"
    older = write_scalars(directory / "a" / event_file_name(), rows("train/loss", [1.0, 0.8, 0.6, 0.5, 0.25]))
    newest = write_scalars(
        directory / "b" / event_file_name(), [*rows("train/loss", [1.0, 0.75, 0.5]), *rows("train/lr", [1e-3] * 3)]
    )
    os.utime(older, (START_SECOND, START_SECOND))
    os.utime(newest, (START_SECOND + 100, START_SECOND + 100))
    return directory


@pytest.fixture
def nan_run(empty_directory: Path) -> Path:
    values = [1.0, 0.8, 0.7, 0.6, 0.55, 0.5, *[float("nan")] * 10]
    write_scalars(empty_directory / "runs" / "sick" / event_file_name(), rows("train/loss", values))
    return empty_directory / "runs" / "sick"


def process(*command: str, stdout: object = subprocess.PIPE, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in which ``python -m monitor`` finds the project."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **variables}
    return subprocess.run(
        command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )


# --- status --------------------------------------------------------------------------------------------------------


def test_status_shows_the_newest_run(runs: Path, capsys: Capture) -> None:
    assert main(["status"]) == 0
    assert re.search(r"^  Run +b$", capsys.readouterr().out, re.MULTILINE)


def test_status_of_a_named_directory(runs: Path, capsys: Capture) -> None:
    assert main(["status", "--run-dir", str(runs / "a")]) == 0
    assert re.search(r"^  Loss +0\.25 \(−50\.0 %\)", capsys.readouterr().out, re.MULTILINE)


def test_status_json_has_every_key(runs: Path, capsys: Capture) -> None:
    assert main(["status", "--json"]) == 0
    values = strict_loads(capsys.readouterr().out)
    assert values["run"]["name"] == "b"
    assert not list(missing_keys(values))


def test_status_json_is_strict_with_nan(nan_run: Path, capsys: Capture) -> None:
    main(["status", "--run-dir", str(nan_run), "--json"])
    assert strict_loads(capsys.readouterr().out)["metrics"]["loss"]["value"] == "NaN"


def test_an_open_finding_gives_1(nan_run: Path, capsys: Capture) -> None:
    assert main(["status", "--run-dir", str(nan_run)]) == 1
    assert "critical: not a number in train/loss" in capsys.readouterr().out


def test_no_run_yet_gives_3_and_says_where_was_looked(empty_directory: Path, capsys: Capture) -> None:
    assert main(["status"]) == 3
    assert f'No event file was found below "{empty_directory}"' in capsys.readouterr().err


def test_no_run_yet_is_strict_json_too(capsys: Capture) -> None:
    assert main(["status", "--json"]) == 3
    values = strict_loads(capsys.readouterr().out)
    assert values["run"]["state"] == "waiting"
    assert not list(missing_keys(values))


def test_a_run_without_scalars_gives_3(empty_directory: Path, capsys: Capture) -> None:
    write_scalars(empty_directory / "runs" / "new" / event_file_name(), [])
    assert main(["status"]) == 3
    assert "No scalar yet" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--logdir", "--run-dir", "--settings"])
def test_a_place_that_does_not_exist_gives_2_and_is_named(option: str, capsys: Capture) -> None:
    assert main(["status", option, "nowhere"]) == 2
    output = capsys.readouterr()
    assert "nowhere" in output.err
    assert not output.out


def test_a_wrong_setting_gives_2_and_its_line(empty_directory: Path, runs: Path, capsys: Capture) -> None:
    (empty_directory / "monitor.toml").write_text("[health]\nlr_hihg = 1\n")
    assert main(["status"]) == 2
    assert '"monitor.toml", line 2' in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["status", "--frobnicate"],
        ["status", "--fail-on", "awful"],
        ["watch", "--refresh", "0"],
        ["watch", "--refresh", "nan"],
        ["watch", "--refresh", "soon"],
        ["compare"],
        ["compare", "a"],
        ["report", "--numbers", "latin"],
        ["export"],
        ["demo", "there", "--runs", "0"],
    ],
)
def test_wrong_usage_gives_2(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.err
    assert not output.out


@pytest.mark.parametrize("command", ["status", "watch", "compare", "report", "export", "demo"])
def test_help_holds_an_example(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    assert f"example:\n  python -m monitor {command} " in capsys.readouterr().out


def test_hostile_names_reach_the_terminal_harmless(empty_directory: Path, capsys: Capture) -> None:
    tag = "train/loss\x1b[2J\u202e"
    write_scalars(empty_directory / "runs" / "x\x1b[31my" / event_file_name(), rows(tag, [1.0, 0.5]))
    main(["status"])
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", capsys.readouterr().out)


# --- watch ---------------------------------------------------------------------------------------------------------


def test_watch_in_a_pipe_repeats_plain_text_and_sees_new_points(runs: Path) -> None:
    with _watching(["watch", "--refresh", "0.1"], stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        _read_until(watch.stdout.fileno(), b"Loss            0.5 ")
        append(runs / "b" / event_file_name(), scalar("train/loss", 3, 0.125, START_SECOND + 3))
        output = _read_until(watch.stdout.fileno(), b"Loss            0.125 ")
        assert _interrupted(watch) == 0
    assert b"\x1b" not in output


def test_watch_json_is_one_line_a_refresh(runs: Path) -> None:
    with _watching(["watch", "--json", "--refresh", "0.1"], stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        lines = [watch.stdout.readline() for _ in range(2)]
        assert _interrupted(watch) == 0
    assert [strict_loads(line.decode())["run"]["name"] for line in lines] == ["b", "b"]


def test_watch_ends_with_1_at_a_finding_it_was_told_to_fail_on(nan_run: Path) -> None:
    assert main(["watch", "--run-dir", str(nan_run), "--fail-on", "critical"]) == 1


def test_watch_on_a_terminal_draws_four_panels_and_restores_it(runs: Path) -> None:
    control, terminal = pty.openpty()
    try:
        with _watching(
            ["watch", "--refresh", "0.2"], stdout=terminal, TERM="xterm", COLUMNS="120", LINES="40"
        ) as watch:
            screen = _read_until(control, b"checkpoints")
            assert _interrupted(watch) == 0
            screen += _read_until(control, b"\x1b[?1049l")
    finally:
        os.close(control)
        os.close(terminal)
    assert all(panel in screen for panel in (b"metrics", b"health", b"resources", b"checkpoints"))
    assert screen.rindex(b"\x1b[?25h") > screen.rindex(b"\x1b[?25l")  # the cursor is back


def test_no_color_on_a_terminal_gets_plain_text(runs: Path) -> None:
    control, terminal = pty.openpty()
    try:
        with _watching(["status"], stdout=terminal, TERM="xterm", NO_COLOR="1") as status:
            output = _read_until(control, b"Resources")
            assert status.wait(30) == 0
    finally:
        os.close(control)
        os.close(terminal)
    assert b"\x1b" not in output


def _watching(arguments: list[str], stdout: int, **variables: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **variables}
    command = [sys.executable, "-u", "-m", "monitor", *arguments]
    return subprocess.Popen(command, stdout=stdout, env=environment)


def _read_until(descriptor: int, wanted: bytes, seconds: float = 30.0) -> bytes:
    """Return what arrives up to and including `wanted`."""
    output, deadline = b"", time.monotonic() + seconds
    while wanted not in output:
        ready, _, _ = select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"{wanted!r} did not arrive in {output!r}"
        output += os.read(descriptor, 65536)
    return output


def _interrupted(watch: subprocess.Popen[bytes]) -> int:
    watch.send_signal(signal.SIGINT)
    return watch.wait(30)


# --- compare -------------------------------------------------------------------------------------------------------


def test_compare_ranks_by_the_best_loss(runs: Path, capsys: Capture) -> None:
    assert main(["compare", "b", "a", "--json"]) == 0
    values = strict_loads(capsys.readouterr().out)
    keys = ("schema_version", "runs", "ranking", "difference", "verdict", "config_difference", "problems")
    assert tuple(values) == keys
    assert values["ranking"] == ["a", "b"]


def test_compare_as_text_holds_table_ranking_and_verdict(runs: Path, capsys: Capture) -> None:
    (runs / "a" / "config.yaml").write_text("seed: 1\n")
    (runs / "b" / "config.yaml").write_text("seed: 2\n")
    assert main(["compare", "a", "b"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^1 +a +train/loss +0\.25 +4 +0\.25 +4 +5 ", output, re.MULTILINE)
    assert "a has the lowest best train/loss" in output
    assert re.search(r"^seed +1 +2$", output, re.MULTILINE)


def test_compare_takes_a_path_for_a_run(runs: Path, capsys: Capture) -> None:
    assert main(["compare", "runs/a", "b", "--json"]) == 0
    assert strict_loads(capsys.readouterr().out)["ranking"] == ["runs/a", "b"]


def test_compare_lists_a_run_without_scalars(runs: Path, capsys: Capture) -> None:
    write_scalars(runs / "new" / event_file_name(), [])
    assert main(["compare", "new", "a", "--json"]) == 0
    values = strict_loads(capsys.readouterr().out)
    assert [(run["name"], run["tag"], run["best"]) for run in values["runs"]] == [
        ("new", None, None),
        ("a", "train/loss", 0.25),
    ]


def test_compare_without_a_recognised_loss_asks_for_a_series(runs: Path, capsys: Capture) -> None:
    write_scalars(runs / "other" / event_file_name(), rows("some/thing", [1.0, 2.0]))
    assert main(["compare", "a", "other"]) == 2
    assert "--tag. It has: some/thing." in capsys.readouterr().err


def test_compare_names_the_series_a_run_has(runs: Path, capsys: Capture) -> None:
    assert main(["compare", "a", "b", "--tag", "train/lr"]) == 2
    assert capsys.readouterr().err == 'The run "a" has no series "train/lr".\nIt has: train/loss.\n'


def test_compare_with_an_unknown_run_gives_2(runs: Path, capsys: Capture) -> None:
    assert main(["compare", "a", "c"]) == 2
    assert 'There is no run "c"' in capsys.readouterr().err


# --- report --------------------------------------------------------------------------------------------------------


def test_report_goes_to_stdout(runs: Path, capsys: Capture) -> None:
    assert main(["report"]) == 0
    assert capsys.readouterr().out.startswith("# Training report: `b`\n")


def test_report_into_a_file_leaves_stdout_empty(runs: Path, capsys: Capture) -> None:
    assert main(["report", "a", "-o", "a.md"]) == 0
    assert not capsys.readouterr().out
    assert Path("a.md").read_text(encoding="utf-8").startswith("# Training report: `a`\n")


def test_report_of_several_runs_compares_them(runs: Path, capsys: Capture) -> None:
    assert main(["report", "a", "b"]) == 0
    assert capsys.readouterr().out.startswith("# Comparison of 2 training runs\n")


def test_report_into_a_missing_directory_gives_2_and_says_why(runs: Path, capsys: Capture) -> None:
    assert main(["report", "-o", "nowhere/a.md"]) == 2
    assert "its directory does not exist" in capsys.readouterr().err


def test_report_without_a_scalar_gives_3_and_writes_nothing(capsys: Capture) -> None:
    assert main(["report", "-o", "a.md"]) == 3
    assert not Path("a.md").exists()


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        (["-o", "a.html"], b"<!DOCTYPE html>"),
        (["-o", "a.htm"], b"<!DOCTYPE html>"),
        (["-o", "a.zip"], b"PK"),
        (["-o", "a.md"], b"# Training report"),
        (["-o", "a.txt"], b"# Training report"),
        (["-o", "a.txt", "--format", "html"], b"<!DOCTYPE html>"),
    ],
)
def test_the_format_is_that_asked_for_else_that_of_the_file(
    arguments: list[str], beginning: bytes, runs: Path, capsys: Capture
) -> None:
    assert main(["report", "a", "--sections", "summary", *arguments]) == 0
    assert Path(arguments[1]).read_bytes().startswith(beginning)


def test_a_comparison_with_a_run_that_has_no_loss_says_so_in_the_report(runs: Path, capsys: Capture) -> None:
    write_scalars(runs / "other" / event_file_name(), rows("some/thing", [1.0, 2.0]))
    assert main(["report", "a", "other", "--sections", "results"]) == 0
    assert "| `other` | – |" in capsys.readouterr().out


def test_a_zip_needs_a_file(runs: Path, capsys: Capture) -> None:
    assert main(["report", "--format", "zip"]) == 2
    assert "-o report.zip" in capsys.readouterr().err


def test_report_replaces_its_own_file(runs: Path, capsys: Capture) -> None:
    assert main(["report", "a", "-o", "a.md"]) == 0
    assert main(["report", "b", "-o", "a.md"]) == 0
    assert Path("a.md").read_text(encoding="utf-8").startswith("# Training report: `b`\n")


def test_report_never_replaces_a_file_of_somebody_else(runs: Path, capsys: Capture) -> None:
    Path("thesis.md").write_text("years of work")
    assert main(["report", "-o", "thesis.md"]) == 2
    assert 'The file "thesis.md" is there already' in capsys.readouterr().err
    assert Path("thesis.md").read_text() == "years of work"


def test_only_the_sections_named_are_in_the_report(runs: Path, capsys: Capture) -> None:
    assert main(["report", "--sections", "summary,findings"]) == 0
    assert re.findall("^## (.*)$", capsys.readouterr().out, re.MULTILINE) == ["Summary", "Findings"]


def test_the_numbers_of_the_report_are_written_as_asked(runs: Path, capsys: Capture) -> None:
    assert main(["report", "a", "--numbers", "de"]) == 0
    assert "| Loss | 0,25 (−50,0 %) at step 4, best 0,25 at step 4 |" in capsys.readouterr().out


def test_an_unknown_section_is_named(runs: Path, capsys: Capture) -> None:
    assert main(["report", "--sections", "summary,finding"]) == 2
    error = capsys.readouterr().err
    assert 'no section "finding"' in error
    assert "summary, run, progress" in error


@pytest.mark.parametrize(
    "arguments",
    [["a"], ["a", "b", "--format", "md"], ["--run-dir", "runs/a"], ["--sections", "run"], ["--numbers", "fr"]],
)
def test_the_command_at_the_end_makes_the_report_again(arguments: list[str], runs: Path, capsys: Capture) -> None:
    assert main(["report", *arguments]) == 0
    once = capsys.readouterr().out
    command = re.findall(r"^Make it again with `(python -m monitor .*)`\.$", once, re.MULTILINE)[0]
    assert main(shlex.split(command)[3:]) == 0
    assert _without_moments(capsys.readouterr().out) == _without_moments(once)


def _without_moments(report: str) -> str:
    """Return a report without what the moment of making it changes: times, ages, the load of the machine, itself."""
    kept = re.sub(r"## Machine.*?(?=\n## )", "", report, flags=re.DOTALL)
    lines = [line for line in kept.splitlines() if not re.search(r"Made at|Make it again| ago|Health", line)]
    return "\n".join(lines)


# --- a picture -----------------------------------------------------------------------------------------------------


def test_status_draws_the_six_charts_into_a_file(runs: Path, capsys: Capture) -> None:
    assert main(["status", "--plot", "run.png"]) == 0
    assert Path("run.png").read_bytes().startswith(b"\x89PNG")
    assert "Wrote run.png." in capsys.readouterr().err


def test_a_picture_replaces_a_picture_and_nothing_else(runs: Path, capsys: Capture) -> None:
    Path("model.pt").write_bytes(b"weights")
    assert main(["status", "--plot", "run.png"]) == 0
    assert main(["status", "--plot", "run.png"]) == 0
    assert main(["status", "--plot", "model.pt"]) == 2
    assert Path("model.pt").read_bytes() == b"weights"


# --- export --------------------------------------------------------------------------------------------------------

ROWS_OF_A = [
    ["run", "tag", "step", "wall_time", "value", "session"],
    *(
        ["a", "train/loss", str(step), f"{START_SECOND + step}.0", value, "0"]
        for step, value in enumerate(["1.0", "0.800000011920929", "0.6000000238418579", "0.5", "0.25"])
    ),
]


def test_export_as_csv_keeps_every_digit(runs: Path, capsys: Capture) -> None:
    assert main(["export", "a"]) == 0
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == ROWS_OF_A


def test_export_as_json_is_strict(nan_run: Path, capsys: Capture) -> None:
    assert main(["export", "sick", "--format", "json"]) == 0
    values = strict_loads(capsys.readouterr().out)
    assert len(values) == 16
    assert values[-1] == {
        "run": "sick",
        "tag": "train/loss",
        "step": 15,
        "wall_time": START_SECOND + 15.0,
        "value": "NaN",
        "session": 0,
    }


def test_export_as_parquet_reads_back(runs: Path) -> None:
    assert main(["export", "b", "--format", "parquet", "-o", "b.parquet"]) == 0
    frame = pd.read_parquet("b.parquet")
    assert list(frame.columns) == ["run", "tag", "step", "wall_time", "value", "session"]
    assert len(frame) == 6


def test_export_of_one_series(runs: Path, capsys: Capture) -> None:
    assert main(["export", "b", "--tag", "train/lr"]) == 0
    assert {row["tag"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))} == {"train/lr"}


def test_export_of_an_unknown_series_names_the_nearest(runs: Path, capsys: Capture) -> None:
    assert main(["export", "b", "--tag", "train/los"]) == 2
    assert "It has: train/loss" in capsys.readouterr().err


def test_parquet_needs_a_file(runs: Path, capsys: Capture) -> None:
    assert main(["export", "b", "--format", "parquet"]) == 2
    assert "-o" in capsys.readouterr().err


# --- demo ----------------------------------------------------------------------------------------------------------


def test_demo_writes_runs_that_status_reads(empty_directory: Path, capsys: Capture) -> None:
    assert main(["demo", "made", "--runs", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["status", "--logdir", "made", "--json"]) in (0, 1)
    assert strict_loads(capsys.readouterr().out)["run"]["scalars"] > 0


# --- the process ---------------------------------------------------------------------------------------------------


def test_status_runs_without_streamlit_rich_and_altair(runs: Path) -> None:
    source = (
        "import sys\nfrom monitor.cli import main\nmain(['status', '--json'])\n"
        "sys.exit(str(sorted({'streamlit', 'rich', 'altair', 'vl_convert'} & set(sys.modules))))"
    )
    assert process(sys.executable, "-c", source).stderr == "[]\n"


def test_a_reader_that_leaves_early_is_no_error(runs: Path) -> None:
    write_scalars(runs / "long" / event_file_name(), rows("train/loss", [0.5] * 20_000))
    done = process("bash", "-c", f"{sys.executable} -m monitor export long | head -n 1")
    assert done.stdout == "run,tag,step,wall_time,value,session\n"
    assert not done.stderr


def test_a_full_disk_behind_stdout_is_said(runs: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = process(sys.executable, "-m", "monitor", "status", stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("The output could not be written: No space left on device.\n")


def test_a_stream_that_speaks_only_ascii_gets_the_figures_all_the_same(runs: Path) -> None:
    done = process(sys.executable, "-m", "monitor", "status", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "0.5 (?33.3 %)" in done.stdout
