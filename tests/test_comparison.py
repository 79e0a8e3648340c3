"""The comparison of runs on disk: which series, which groups, which words; through the command that prints it."""

from pathlib import Path

import numpy as np
import pytest

from monitor.cli import main
from tests.builders import event_file_name, rows, write_scalars
from tests.json_contract import COMPARE_KEYS, missing_keys, strict_loads

Capture = pytest.CaptureFixture[str]
MEANS = {"good": 0.20, "even": 0.30, "same": 0.30}


def write_run(directory: Path, configuration: str | None = None, **series: "np.ndarray | list[float]") -> None:
    points = [row for tag, values in series.items() for row in rows(tag.replace("__", "/"), values)]
    write_scalars(directory / event_file_name(), points)
    if configuration is not None:
        (directory / "config.yaml").write_text(configuration)


@pytest.fixture(autouse=True)
def log_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MONITOR_LOGDIR", raising=False)
    return tmp_path / "runs"


@pytest.fixture
def sweep(log_directory: Path) -> list[str]:
    # runs/<configuration>/run_<seed>/   config.yaml, train/loss of 30 epochs; good is better, even and same are equal
    names = []
    for place, (name, level) in enumerate(MEANS.items()):
        for seed in range(5):
            rng = np.random.default_rng(100 * place + seed)
            loss = level + np.exp(-np.arange(30) / 5) + rng.normal(0, 0.01)
            write_run(
                log_directory / name / f"run_{seed}",
                f"model: {{type: {name}}}\nseed: {seed}\noutput_dir: out/{name}_{seed}\n",
                train__loss=loss,
            )
            names.append(f"{name}/run_{seed}")
    return names


def compared(capsys: Capture, *words: str) -> dict:
    assert main(["compare", *words, "--json"]) == 0
    values = strict_loads(capsys.readouterr().out)
    assert not list(missing_keys(values, keys=COMPARE_KEYS))
    return values


def outcomes(values: dict) -> dict[str, str]:
    return {pair["group"]: pair["outcome"] for pair in values["difference"]["pairs"]}


def test_seeds_on_disk_are_grouped_and_the_verdict_is_right_for_both_pairs(sweep: list[str], capsys: Capture) -> None:
    values = compared(capsys, *sweep)
    assert [group["n"] for group in values["difference"]["groups"]] == [5, 5, 5]
    assert {run["group"] for run in values["runs"]} == {"type=good", "type=even", "type=same"}
    assert values["ranking"][0] == values["difference"]["baseline"] == "type=good"
    assert outcomes(values) == {"type=even": "worse", "type=same": "worse"}
    named = compared(capsys, *sweep, "--baseline", "type=even")
    assert outcomes(named) == {"type=good": "better", "type=same": "not_separable"}


def test_the_text_holds_groups_verdict_and_settings_without_seeds(sweep: list[str], capsys: Capture) -> None:
    assert main(["compare", *sweep]) == 0
    text = capsys.readouterr().out
    assert "type=even is worse than type=good by " in text
    assert "5 of 5" in text
    assert "Their configurations differ in nothing but the seed." in text
    assert "Also different, of no weight: seed, output_dir." in text


def test_only_settings_count_as_differences_of_the_configuration(sweep: list[str], capsys: Capture) -> None:
    found = compared(capsys, *sweep)["config_difference"]
    assert (list(found["settings"]), list(found["seeds"]), list(found["noise"])) == (
        ["model.type"],
        ["seed"],
        ["output_dir"],
    )


def test_a_pattern_groups_runs_by_their_names(sweep: list[str], capsys: Capture) -> None:
    values = compared(capsys, *sweep, "--group", "^(good|even)/")
    assert [group["name"] for group in values["difference"]["groups"]][:2] == ["good", "even"]
    assert len(values["difference"]["groups"]) == 7


def test_a_pattern_that_is_none_gives_2(sweep: list[str], capsys: Capture) -> None:
    assert main(["compare", *sweep, "--group", "("]) == 2
    assert "is no regular expression" in capsys.readouterr().err


def test_an_unknown_baseline_gives_2_and_names_the_groups(sweep: list[str], capsys: Capture) -> None:
    assert main(["compare", *sweep, "--baseline", "other"]) == 2
    assert "There are: type=good, type=even, type=same." in capsys.readouterr().err


def test_single_runs_have_no_difference_and_keep_their_names(log_directory: Path, capsys: Capture) -> None:
    for name, rate in (("a", 0.1), ("b", 0.2)):
        write_run(log_directory / name, f"lr: {rate}\n", train__loss=[1.0, rate])
    values = compared(capsys, "a", "b")
    assert values["difference"] is None
    assert values["ranking"] == ["a", "b"]
    assert [run["group"] for run in values["runs"]] == ["lr=0.1", "lr=0.2"]


def test_a_named_baseline_gives_a_difference_of_single_runs_too(log_directory: Path, capsys: Capture) -> None:
    for name in ("a", "b"):
        write_run(log_directory / name, train__loss=[1.0, 0.5])
    pairs = compared(capsys, "a", "b", "--baseline", "b")["difference"]["pairs"]
    assert [(pair["group"], pair["outcome"]) for pair in pairs] == [("a", "too_few")]


def test_a_validation_loss_goes_before_the_loss_and_a_reward_before_a_loss_without_direction(
    log_directory: Path, capsys: Capture
) -> None:
    for name in ("a", "b"):
        write_run(log_directory / name, train__loss=[1.0], val__loss=[2.0])
        write_run(log_directory / f"{name}_rl", train__loss=[1.0], rollout__ep_rew_mean=[2.0])
    assert [run["tag"] for run in compared(capsys, "a", "b")["runs"]] == ["val/loss"] * 2
    assert [run["tag"] for run in compared(capsys, "a_rl", "b_rl")["runs"]] == ["rollout/ep_rew_mean"] * 2


def test_a_run_without_the_series_most_have_is_listed_without_figures(log_directory: Path, capsys: Capture) -> None:
    for name in ("a", "b"):
        write_run(log_directory / name, train__loss=[1.0])
    write_run(log_directory / "c", some__thing=[1.0])
    assert [run["tag"] for run in compared(capsys, "a", "b", "c")["runs"]] == ["train/loss", "train/loss", None]


def test_a_test_metric_is_chosen_by_the_validation_series_of_the_same_metric(
    log_directory: Path, capsys: Capture
) -> None:
    for name in ("a", "b"):
        write_run(log_directory / name, val__acc=[0.5, 0.9, 0.8], test__acc=[0.4, 0.7, 0.95])
    values = compared(capsys, "a", "b", "--tag", "test/acc")
    assert [(run["value"], run["value_step"]) for run in values["runs"]] == [(pytest.approx(0.7), 1)] * 2
    assert "test/acc where val/acc is best" in values["verdict"]


def test_the_series_to_choose_by_can_be_named(log_directory: Path, capsys: Capture) -> None:
    for name in ("a", "b"):
        write_run(log_directory / name, val__loss=[0.5, 0.1, 0.8], test__acc=[0.4, 0.7, 0.95])
    values = compared(capsys, "a", "b", "--tag", "test/acc", "--chosen-by", "val/loss", "--baseline", "a")
    assert values["difference"]["chosen_by"] == "val/loss"
    assert values["runs"][0]["value_step"] == 1


def test_nothing_is_chosen_by_a_series_without_a_direction(log_directory: Path, capsys: Capture) -> None:
    for name in ("a", "b"):
        write_run(log_directory / name, train__loss=[0.5], lr=[0.4])
    assert main(["compare", "a", "b", "--chosen-by", "lr"]) == 2
    assert "nothing can be chosen by it" in capsys.readouterr().err


def test_runs_can_be_compared_at_a_step(log_directory: Path, capsys: Capture) -> None:
    write_run(log_directory / "a", train__loss=[1.0, 0.5, 0.1])
    write_run(log_directory / "b", train__loss=[1.0, 0.4])
    values = compared(capsys, "a", "b", "--step", "1")
    assert values["ranking"] == ["b", "a"]


def test_hostile_names_stay_text_in_one_line(log_directory: Path, capsys: Capture) -> None:
    for seed in (1, 2):
        write_run(log_directory / f"<b>|`\u202e{seed}", f"m: '<i>|\u202e`x'\nseed: {seed}\n", train__loss=[1.0, seed])
        write_run(log_directory / f"b{seed}", f"m: y\nseed: {seed}\n", train__loss=[1.0, seed])
    names = [path.name for path in sorted(log_directory.iterdir())]
    assert main(["compare", *names]) == 0
    text = capsys.readouterr().out
    assert "\u202e" not in text
    assert "m=<i>|" in text
