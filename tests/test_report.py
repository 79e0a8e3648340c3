import re

import pytest

from monitor.comparison import compare_statuses
from monitor.comparison_report import comparison_report
from monitor.figures import bar, moment, saved_text, sparkline, sum_text
from monitor.markdown import prose, render_markdown
from monitor.report import ReportContext, run_report
from monitor.schema import Checkpoint, Checkpoints, Configuration, Health, Progress, Run, RunState, Scalars, State
from monitor.settings import HealthSettings
from monitor.status import RunStatus
from tests.statuses import NOW, example_status, finding, hostile_status, metric, points

HOSTILE = "a|b`c`<script>alert(1)</script>![x](https://evil/x.png)\n# heading\x1b[31m\u202e"


def report(**changes: object) -> str:
    return written(example_status(**changes), ReportContext(NOW))


def written(status: RunStatus, context: ReportContext) -> str:
    return render_markdown(run_report(status, context))


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
        "### warning: loss spike in `train/loss`, since epoch 4",
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
    text = written(example_status(), ReportContext(NOW, settings=HealthSettings(lr_high=0.05)))
    assert "above 5.00e-02 too large" in text


def test_the_command_is_quoted() -> None:
    text = written(example_status(), ReportContext(NOW, "python -m monitor report"))
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
    assert "### warning: loss spike in `train/loss`, since epoch 4, over at epoch 7" in text


def test_a_consequence_names_its_cause() -> None:
    cause = finding()
    consequence = finding(id="rising", kind="rising", explained_by=cause.id)
    text = report(health=Health(findings=(cause, consequence)))
    assert text.count("* Follows from: loss spike in `train/loss`.") == 1


def test_the_worst_open_finding_comes_first_and_those_that_are_over_last() -> None:
    findings = (
        finding(id="1", kind="restart", open=False, severity="critical"),
        finding(id="2", kind="spike", severity="notice"),
        finding(id="3", kind="stalled", severity="error"),
    )
    titles = re.findall(r"^### \w+: (.+?) in ", report(health=Health(findings=findings)), re.MULTILINE)
    assert titles == ["no new points", "loss spike", "restart"]


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ((), "no checkpoint is saved"),
        ((Checkpoint("epoch8", "epoch", 8, None, 1, 0.0, True),), "`epoch8`"),
        ((Checkpoint("step7", "step", None, 7, 1, 0.0, True),), "`step7`"),
        ((Checkpoint("epoch5", "epoch", 5, None, 1, 0.0, True),), "none is saved there"),
    ],
)
def test_the_summary_tells_where_the_best_model_is(saved: tuple[Checkpoint, ...], words: str) -> None:
    text = report(checkpoints=Checkpoints(None, None, saved))
    assert "| Best `validation/task1_loss` | 0.4 at epoch 8 |" in text
    assert f"| Its checkpoint | {words} |" in text


# --- text from files -----------------------------------------------------------------------------------------------


def outside_code_spans(text: str) -> str:
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


def hostile_report() -> str:
    return written(hostile_status(HOSTILE), ReportContext(NOW))


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


@pytest.mark.parametrize(
    ("sentence", "written"),
    [("It is (> +9,999 %) up.", "It is (> +9,999 %) up."), ("1 < 2", "1 < 2"), ("> said", "`>` said")],
)
def test_a_comparison_stays_where_it_cannot_begin_a_quotation(sentence: str, written: str) -> None:
    assert prose(sentence) == written


def test_a_change_too_large_to_tell_stays_plain_in_its_cell() -> None:
    assert "| > +9,999 % |" in report(scores=(metric("eval/x", "x", change_percent=1e9),))


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
    assert f"| Speed | {text} |" in report(progress=progress)


@pytest.mark.parametrize("state", ["finished", "stalled"])
def test_no_time_left_is_told_of_a_run_that_is_not_alive(state: State) -> None:
    assert f"| Time left | – (the run is {state}) |" in report(state=RunState(state, "It is over."))


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
def comparison_text() -> str:
    first = example_status()
    second = example_status(
        run=Run("run_2", "/runs/run_2", 0.0, 0), configuration=Configuration({"training.max_epoch": 100}, {})
    )
    found = compare_statuses([first, second], ["train/loss"] * 2)
    return render_markdown(comparison_report(found, ReportContext(NOW)))


@pytest.mark.parametrize(
    "words",
    [
        "# Comparison of 2 training runs",
        "| `pick/act/run_1` | 0.4 |",
        "| `run_2` | 0.4 |",
        "| `training.max_epoch` | `300` | `100` |",
        "## Run `run_2`",
        "* warning: loss spike in `train/loss`, since epoch 4",
    ],
)
def test_the_comparison_holds(words: str, comparison_text: str) -> None:
    assert words in comparison_text
