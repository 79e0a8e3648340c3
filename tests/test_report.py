import os
import re
import stat
from pathlib import Path

import pytest

from monitor.analysis.compare import compare_runs
from monitor.errors import ReportNotWritten
from monitor.figures import bar, moment, saved_text, sparkline, sum_text
from monitor.report import prose, render_comparison_report, render_report, write_report
from monitor.schema import Checkpoint, Configuration, Health, Progress, Run, RunState, Scalars, State
from monitor.settings import HealthSettings
from tests.statuses import NOW, example_status, finding, metric, points

HOSTILE = "a|b`c`<script>alert(1)</script>![x](https://evil/x.png)\n# heading\x1b[31m\u202e"


def report(**changes: object) -> str:
    return render_report(example_status(**changes), made_at=NOW)


# --- what stands in it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "# Training report: `pick/act/run_1`",
        "| Epoch | 8 of 300 |",
        "0.4 (−11.1 %) at epoch 8, best 0.4 at epoch 8",
        "1.25e-04 (−5.2 %)",
        "| Loss verdict | falling |",
        "48 min 40 s (total from `config.yaml: training.max_epoch`)",
        "| `validation/task1_loss` | smaller | 0.5 |",
        "| `eval/success` | larger | 0.75 |",
        "85 of 100, normal with small issues (provisional: few points so far)",
        "100 − 15 (loss spike since epoch 4) = 85",
        "### warning: spike in `train/loss`, since epoch 4",
        "* What was seen: The loss rose from 0.6 to 0.7 at epoch 4.",
        "* What to try: Lower the learning rate by 30 %.",
        "epochs 5 (2 in all)",
        "87 % busy, 70.0 GB of 140 GB (50 %), 61 °C, `NVIDIA H200`",
        "| Memory | 8.0 GB of 32.0 GB (25 %) |",
        "1.00e-05 to 1.00e-03 is recommended",
        "| loss | `train/loss` | smaller |",
        "| `training.max_epoch` | `300` | `config.yaml` |",
        "| 120 | damaged_record | A record is damaged. |",
        "| gradient norm | no gradient norm series |",
    ],
)
def test_the_report_holds(words: str) -> None:
    assert words in report()


@pytest.mark.parametrize(
    "row",
    [
        "| first, worst | epoch 1 | 1 |",
        "| restart | epoch 5 | 0.5 |",
        "| three quarters, first of 1 not finite | epoch 6 | NaN |",
        "| best, last | epoch 8 | 0.4 |",
    ],
)
def test_the_landmarks_of_the_curve_are_a_table(row: str) -> None:
    assert row in report()


def test_the_largest_value_is_best_where_larger_is_better() -> None:
    assert "| first, best | epoch 1 | 1 |" in report(loss=metric("train/loss", "loss", direction="max"))


def test_the_same_input_gives_the_same_bytes() -> None:
    assert report() == report()


def test_bands_follow_the_settings() -> None:
    text = render_report(example_status(), made_at=NOW, settings=HealthSettings(lr_high=0.05))
    assert "above 5.00e-02 too large" in text


def test_the_command_is_quoted() -> None:
    text = render_report(example_status(), made_at=NOW, command="python -m monitor report")
    assert "Make it again with `python -m monitor report`." in text


def test_a_run_without_anything_gets_a_report_that_says_so() -> None:
    text = report(
        scalars=Scalars(),
        loss=None,
        learning_rate=None,
        validation=(),
        scores=(),
        trend=(),
        health=Health(),
        configuration=Configuration(),
        problems=(),
    )
    for sentence in (
        "The run has no loss series.",
        "The run has no validation series and no score.",
        "– (not enough data yet)",
        "No configuration file was found beside the run.",
        "Nothing could be checked yet.",
    ):
        assert sentence in text


def test_a_loss_of_nothing_but_nan_has_no_best() -> None:
    spoiled = Scalars(series={"train/loss": points((float("nan"), float("nan")))})
    text = report(scalars=spoiled)
    assert "best, " not in text.split("## Loss curve")[1].split("## Checkpoints")[0]


def test_a_finding_that_is_over_says_when() -> None:
    text = report(health=Health(findings=(finding(open=False, recovered_step=6),)))
    assert "### warning: spike in `train/loss`, since epoch 4, over at epoch 7" in text


# --- text from files -----------------------------------------------------------------------------------------------


def outside_code_spans(text: str) -> str:
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


def hostile_report() -> str:
    return report(
        run=Run(HOSTILE, HOSTILE, 0.0, 0),
        scalars=Scalars(series={HOSTILE: points((1.0, 0.5))}),
        loss=metric(HOSTILE, HOSTILE),
        validation=(metric(HOSTILE, HOSTILE),),
        health=Health(findings=(finding(tag=HOSTILE, evidence=f"Look at {HOSTILE}.", advice=HOSTILE),)),
        configuration=Configuration({HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}),
    )


def test_hostile_names_stay_in_code_spans() -> None:
    assert not re.search(r"script>|!\[|evil", outside_code_spans(hostile_report()))


def test_hostile_names_begin_no_line() -> None:
    assert "\n# heading" not in hostile_report()


def test_hostile_names_bring_no_control_characters() -> None:
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", hostile_report())


def test_a_pipe_in_a_name_ends_no_cell() -> None:
    row = next(line for line in hostile_report().splitlines() if line.startswith("| Run |"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


@pytest.mark.parametrize(
    "sentence", ["The loss rose 3.2× (from 0.1 to 0.32) since step 1,200; lr = 1e-4.", "train/loss fell."]
)
def test_plain_sentences_stay_as_they_are(sentence: str) -> None:
    assert prose(sentence) == sentence


@pytest.mark.parametrize(
    "word", ["http://evil", "www.evil.com", "a@b.c", "*x*", "_x_", "<b>", "[x](y)", "$x$", ":red[x]"]
)
def test_a_word_that_could_be_markup_becomes_a_code_span(word: str) -> None:
    assert prose(f"see {word} now") == f"see `{word}` now"


# --- figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((0.0, 1.0), "▁█"),
        ((2.0, 2.0), "▁▁"),
        ((0.0, float("nan"), 1.0), "▁×█"),
        ((float("nan"),), "×"),
        ((), ""),
        ((-1.7e308, 1.7e308), "▁█"),
    ],
)
def test_sparkline(values: tuple[float, ...], line: str) -> None:
    assert sparkline(values) == line


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, ""), (1.0, "████"), (0.5, "██"), (0.03125, "▏"), (7.0, "████"), (float("nan"), "")]
)
def test_bar_is_exact_to_an_eighth(share: float, text: str) -> None:
    assert bar(share, 4) == text


@pytest.mark.parametrize(
    ("first_epoch_step", "steps_per_second", "text"),
    [(0, 0.1, "10 s per epoch"), (None, 0.1, "10 s per step"), (None, 4.0, "4 steps per second")],
)
def test_speed_is_told_in_what_the_run_counts(first_epoch_step: int | None, steps_per_second: float, text: str) -> None:
    progress = Progress(first_epoch_step=first_epoch_step, steps_per_second=steps_per_second)
    assert f"| Speed | {text} |" in render_report(example_status(progress=progress), made_at=NOW)


@pytest.mark.parametrize("state", ["finished", "stalled"])
def test_no_time_left_is_told_of_a_run_that_is_not_alive(state: State) -> None:
    report = render_report(example_status(state=RunState(state, "It is over.")), made_at=NOW)
    assert f"| Time left | – (the run is {state}) |" in report


def test_steps_that_are_epochs_count_from_one() -> None:
    assert moment(0, Progress(first_epoch_step=0)) == "epoch 1"


def test_other_steps_are_shown_as_logged() -> None:
    assert moment(1200, Progress()) == "step 1,200"


def test_a_score_without_deductions_says_so() -> None:
    assert sum_text(Health(score=100, band="excellent")) == "100, nothing deducted"


def test_many_saved_epochs_are_cut_to_the_newest() -> None:
    saved = [Checkpoint(f"epoch{n}", "epoch", n, None, 1, 0.0, True) for n in range(1, 21)]
    assert saved_text(saved, limit=2) == "epochs … 19, 20 (20 in all)"


# --- several runs --------------------------------------------------------------------------------------------------


@pytest.fixture
def comparison_report() -> str:
    first = example_status()
    second = example_status(
        run=Run("run_2", "/runs/run_2", 0.0, 0), configuration=Configuration({"training.max_epoch": 100}, {})
    )
    statuses = (first, second)
    series = {status.run.name: status.scalars.points("train/loss") for status in statuses}
    return render_comparison_report(statuses, compare_runs(series, "min", "best"), made_at=NOW)


@pytest.mark.parametrize(
    "words",
    [
        "# Comparison of 2 training runs",
        "| `pick/act/run_1` | 0.4 |",
        "| `run_2` | 0.4 |",
        "| `training.max_epoch` | `300` | `100` |",
        "## Run `run_2`",
        "* warning: spike in `train/loss`, since epoch 4",
    ],
)
def test_the_comparison_holds(words: str, comparison_report: str) -> None:
    assert words in comparison_report


# --- the file ------------------------------------------------------------------------------------------------------


def test_the_report_is_written_whole(tmp_path: Path) -> None:
    write_report("all of it\n", tmp_path / "report.md")
    assert (tmp_path / "report.md").read_bytes() == b"all of it\n"


def test_nothing_else_is_left_beside_it(tmp_path: Path) -> None:
    write_report("text", tmp_path / "report.md")
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_an_older_report_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    path.chmod(0o640)
    write_report("new", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.md").symlink_to("real.md")
    write_report("text", tmp_path / "link.md")
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "real.md").read_text() == "text"


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_report("text", pipe)
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.md").symlink_to("/dev/full")
    with pytest.raises(ReportNotWritten, match="the disk is full"):
        write_report("text", tmp_path / "report.md")


def test_a_directory_in_the_way_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "report.md").mkdir()
    with pytest.raises(ReportNotWritten, match="a directory of that name is in the way"):
        write_report("text", tmp_path / "report.md")
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


@pytest.mark.parametrize("place", ["missing/report.md", "file/report.md"])
def test_a_missing_directory_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportNotWritten, match="its directory does not exist"):
        write_report("text", tmp_path / place)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportNotWritten):
        write_report("text", tmp_path / "nul\0.md")
