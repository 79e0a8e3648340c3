"""What is read of the configuration beside a run: files, tolerance, safety, bounds."""

import json
import math
import os
import time
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from monitor.schema import Configuration
from monitor.sources.config import MAX_KEYS, ConfigurationShelf, read_configuration, typed


def read(directory: Path, text: str, name: str = "config.yaml") -> Configuration:
    (directory / name).write_text(text, encoding="utf-8")
    return read_configuration(directory)


class Settings(dict):
    """A dictionary of a trainer's own class, as attribute-style configurations are."""


class Options:
    """A plain object."""

    def __init__(self) -> None:
        self.epochs = 30


# --- files ---------------------------------------------------------------------------------------------------------


def test_nested_keys_are_joined_by_dots(tmp_path):
    assert read(tmp_path, "training:\n  max_epoch: 300\n").values == {"training.max_epoch": 300}


def test_list_of_values_is_one_text(tmp_path):
    assert read(tmp_path, "hidden: [64, null, true, relu]").values == {"hidden": "[64, null, true, relu]"}


def test_list_of_mappings_gives_one_key_per_item(tmp_path):
    values = read(tmp_path, "layers:\n- width: 64\n- width: 32\n").values
    assert values == {"layers.0.width": 64, "layers.1.width": 32}


def test_empty_mappings_and_lists_are_shown(tmp_path):
    assert read(tmp_path, "a: {}\nb: []").values == {"a": "{}", "b": "[]"}


@pytest.mark.parametrize(
    "name", ["config.json", "params.json", "args.yaml", "hparams.yaml", "opt.yaml", "hyp.yml", "anything.yaml"]
)
def test_file_in_the_run_directory_is_read(tmp_path, name):
    found = read(tmp_path, '{"epochs": 3}', name)
    assert (found.values, found.sources, found.problems) == ({"epochs": 3}, {"epochs": name}, ())


@pytest.mark.parametrize("name", ["package.json", "tokenizer_config.json", "vocab.json", "config.txt"])
def test_file_that_is_no_configuration_is_left_alone(tmp_path, name):
    assert read(tmp_path, '{"epochs": 3}', name).values == {}


def test_hydra_directory_is_read(tmp_path):
    (tmp_path / ".hydra").mkdir()
    found = read(tmp_path, "epochs: 3", ".hydra/config.yaml")
    assert found.sources == {"epochs": ".hydra/config.yaml"}


def test_file_nearer_to_the_run_wins(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "config.yaml").write_text("epochs: 100\nseed: 1")
    (tmp_path / "run" / "config.yaml").write_text("epochs: 3")
    found = read_configuration(tmp_path / "run", tmp_path)
    assert found.values == {"epochs": 3, "seed": 1}
    assert found.sources == {"epochs": "config.yaml", "seed": "../config.yaml"}


def test_only_names_of_configurations_are_read_one_level_above(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "docker-compose.yaml").write_text("version: 3")
    assert read_configuration(tmp_path / "run", tmp_path).values == {}


def test_nothing_above_the_log_directory_is_read(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "config.yaml").write_text("secret: 1")
    assert read_configuration(tmp_path / "run", tmp_path / "run").values == {}


def test_two_levels_above_are_not_read(tmp_path):
    (tmp_path / "method" / "run").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text("epochs: 3")
    assert read_configuration(tmp_path / "method" / "run", tmp_path).values == {}


def test_run_outside_the_log_directory_reads_only_itself(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "config.yaml").write_text("secret: 1")
    (tmp_path / "run" / "config.yaml").write_text("epochs: 3")
    assert read_configuration(tmp_path / "run", tmp_path / "logs").values == {"epochs": 3}


def test_config_wins_over_args_in_one_directory(tmp_path):
    (tmp_path / "args.yml").write_text("n_timesteps: -1")
    assert read(tmp_path, "n_timesteps: 2000000.0", "config.yml").values == {"n_timesteps": 2e6}


def test_only_totals_are_taken_from_a_trainer_state(tmp_path):
    state = {"max_steps": 500, "num_train_epochs": 3, "epoch": 1.5, "log_history": [{"loss": 1.0}], "best_metric": 1}
    values = read(tmp_path, json.dumps(state), "trainer_state.json").values
    assert values == {"max_steps": 500, "num_train_epochs": 3, "epoch": 1.5}


def test_trainer_state_of_the_newest_checkpoint_is_found_from_runs(tmp_path):
    # output/checkpoint-900/trainer_state.json   output/checkpoint-1000/…   output/runs/Nov22_host/events…
    for step in (900, 1000):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps({"max_steps": step + 5000}))
    run = tmp_path / "runs" / "Nov22_host"
    run.mkdir(parents=True)
    found = read_configuration(run, tmp_path)
    assert found.values == {"max_steps": 6000}
    assert found.sources == {"max_steps": "../../checkpoint-1000/trainer_state.json"}


def test_project_around_runs_is_not_read(tmp_path):
    (tmp_path / "config.yaml").write_text("epochs: 3")
    run = tmp_path / "runs" / "Nov22_host"
    run.mkdir(parents=True)
    assert read_configuration(run, tmp_path).values == {}


def test_directory_that_does_not_exist_has_no_configuration(tmp_path):
    assert read_configuration(tmp_path / "none") == Configuration()


def test_empty_file_is_no_problem(tmp_path):
    assert read(tmp_path, "") == Configuration()


def test_empty_json_file_is_no_problem(tmp_path):
    assert read(tmp_path, "", "config.json") == Configuration()


# --- scalars -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "~",
        "null",
        "true",
        "False",
        "yes",
        "Off",
        "0",
        "-7",
        "300",
        "0x1F",
        "0b101",
        "0o17",
        "3.5",
        "-0.25",
        "1.5e-3",
        "2000000.0",
        ".5",
        ".inf",
        "-.INF",
        "1_000",
        "abc",
        "1.2.3",
        ".",
        "1e",
        "12:a",
    ],
)
def test_scalar_is_read_as_trainers_read_it(text):
    assert typed(text) == yaml.safe_load(text)


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("3E5", 3e5), ("-2e+3", -2000.0)])
def test_exponent_without_a_point_is_a_number(text, value):
    assert typed(text) == value


@pytest.mark.parametrize("text", ["20:31", "2024-01-31", "2024-13-45", "0b_", "007", "9" * 5000])
def test_what_only_looks_like_a_number_stays_text(text):
    assert typed(text) == text


def test_nan_is_kept(tmp_path):
    value = read(tmp_path, "loss: .nan").values["loss"]
    assert isinstance(value, float)
    assert math.isnan(value)


def test_nan_in_json_is_kept(tmp_path):
    value = read(tmp_path, '{"loss": NaN, "top": Infinity}', "config.json").values["loss"]
    assert isinstance(value, float)
    assert math.isnan(value)


def test_quoted_number_is_text(tmp_path):
    assert read(tmp_path, "device: '0'\nseed: !!str 7").values == {"device": "0", "seed": "7"}


# --- what trainers dump --------------------------------------------------------------------------------------------


def test_tuple_is_read_as_a_list(tmp_path):
    assert read(tmp_path, yaml.dump({"size": (64, 64)})).values == {"size": "[64, 64]"}


def test_ordered_dictionary_is_read_as_a_mapping(tmp_path):
    dumped = yaml.dump(OrderedDict([("n_steps", 2048), ("env_kwargs", None), ("net", [64, 64])]))
    assert read(tmp_path, dumped).values == {"n_steps": 2048, "env_kwargs": None, "net": "[64, 64]"}


def test_dictionary_of_an_own_class_is_read_as_a_mapping(tmp_path):
    assert read(tmp_path, yaml.dump({"train": Settings(epochs=30)})).values == {"train.epochs": 30}


def test_object_is_read_as_its_attributes(tmp_path):
    assert read(tmp_path, yaml.dump({"train": Options()})).values == {"train.epochs": 30}


def test_path_is_read_as_its_parts(tmp_path):
    # As Python dumped paths up to 3.12; later ones are of one part.
    dumped = "out: !!python/object/apply:pathlib.PurePosixPath\n- a\n- b\n"
    assert read(tmp_path, dumped).values == {"out": "[a, b]"}


def test_function_is_read_as_its_name(tmp_path):
    assert read(tmp_path, yaml.dump({"activation": math.tanh})).values == {"activation": "math.tanh"}


def test_bytes_are_shown_as_unreadable(tmp_path):
    assert read(tmp_path, yaml.dump({"blob": b"\x80\x04"})).values == {"blob": "<unreadable>"}


def test_pickled_number_is_shown_as_unreadable(tmp_path):
    text = (
        "lr: !!python/object/apply:numpy._core.multiarray.scalar\n"
        "- !!python/object/apply:numpy.dtype\n  args: [f8, false, true]\n"
        "- !!binary |\n  AAAAAAAA8D8=\nepochs: 3\n"
    )
    assert read(tmp_path, text).values == {"lr": "<unreadable>", "epochs": 3}


def test_unknown_tags_are_read_as_what_they_mark(tmp_path):
    values = read(tmp_path, "a: !env HOME\nb: !join [x, y]\nc: !new:Adam {lr: 0.1}").values
    assert values == {"a": "HOME", "b": "[x, y]", "c.lr": 0.1}


def test_no_tag_runs_anything(tmp_path):
    target = tmp_path / "made"
    found = read(tmp_path, f'!!python/object/apply:os.mkdir ["{target}"]\n')
    assert not target.exists()
    assert found.values == {}


def test_aliases_and_merge_keys_are_followed(tmp_path):
    text = "base: &base {lr: 0.1, optim: {name: adam, wd: 1}}\nrun:\n  <<: *base\n  optim: {name: sgd}\n"
    values = read(tmp_path, text).values
    assert {key: value for key, value in values.items() if key.startswith("run.")} == {
        "run.lr": 0.1,
        "run.optim.name": "sgd",
    }


# --- damage --------------------------------------------------------------------------------------------------------


def test_damaged_file_is_a_problem_and_the_others_are_read(tmp_path):
    (tmp_path / "config.json").write_text('{"epochs": 3')
    found = read(tmp_path, "seed: 1", "args.yaml")
    assert found.values == {"seed": 1}
    assert [(Path(problem.path).name, problem.kind) for problem in found.problems] == [
        ("config.json", "config_unreadable")
    ]


def test_what_stands_before_the_damage_is_kept(tmp_path):
    found = read(tmp_path, "epochs: 3\nseed: 1\nbad: [1, 2\n}")
    assert found.values["epochs"] == 3
    assert "line 4" in found.problems[0].detail


def test_bytes_that_are_no_text_do_not_hide_the_rest(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"name: caf\xe9\nepochs: 3\n")
    assert read_configuration(tmp_path).values == {"name": "caf\ufffd", "epochs": 3}


def test_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xef\xbb\xbfepochs: 3\n")
    assert read_configuration(tmp_path).values == {"epochs": 3}


@pytest.mark.parametrize(("name", "text"), [("config.yaml", "- 1\n- 2\n"), ("config.json", "[1, 2]")])
def test_file_without_names_is_a_problem(tmp_path, name, text):
    assert read(tmp_path, text, name).problems[0].kind == "config_unreadable"


def test_large_file_is_a_problem(tmp_path):
    assert "1.0 MB" in read(tmp_path, "a: 1\n" + "#" * 1_000_000).problems[0].detail


def test_pipe_named_like_a_configuration_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "config.yaml")
    assert read_configuration(tmp_path).problems[0].kind == "config_unreadable"


@pytest.mark.usefixtures("as_ordinary_user")
def test_refused_file_is_a_problem_that_says_why(tmp_path):
    (tmp_path / "config.yaml").write_text("epochs: 3")
    (tmp_path / "config.yaml").chmod(0)
    assert "Permission denied" in read_configuration(tmp_path).problems[0].detail


def test_link_out_of_the_log_directory_is_not_followed(tmp_path):
    (tmp_path / "logs" / "run").mkdir(parents=True)
    (tmp_path / "secret.yaml").write_text("password: 1")
    (tmp_path / "logs" / "run" / "config.yaml").symlink_to(tmp_path / "secret.yaml")
    found = read_configuration(tmp_path / "logs" / "run", tmp_path / "logs")
    assert found.values == {}
    assert "link" in found.problems[0].detail


def test_link_inside_the_log_directory_is_followed(tmp_path):
    (tmp_path / "logs" / "run").mkdir(parents=True)
    (tmp_path / "logs" / "shared.yaml").write_text("epochs: 3")
    (tmp_path / "logs" / "run" / "config.yaml").symlink_to(tmp_path / "logs" / "shared.yaml")
    assert read_configuration(tmp_path / "logs" / "run", tmp_path / "logs").values == {"epochs": 3}


# --- bounds --------------------------------------------------------------------------------------------------------

LETTERS = "abcdefghijklmnop"
ALIAS_BOMB = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n" for before, after in pairwise(LETTERS)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n" for before, after in pairwise(LETTERS)
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ALIAS_BOMB, id="aliases of aliases"),
        pytest.param(MERGE_BOMB, id="merges of merges"),
        pytest.param("a: &a [*a, *a]\n", id="an alias of itself"),
        pytest.param("a: &a {<<: *a, b: 1}\n", id="a merge of itself"),
        pytest.param("a: " + "[" * 100_000, id="deep lists"),
        pytest.param("a: " + "{b: " * 20_000, id="deep mappings"),
        pytest.param("\n".join(f"key{number}: {number}" for number in range(40_000)), id="many keys"),
        pytest.param("? " + "k" * 400_000 + "\n: [" + "{a: 1}, " * 5_000 + "]", id="a long key"),
        pytest.param("a: !!python/object/apply:x " * 300 + "1", id="tags on tags"),
    ],
)
def test_hostile_yaml_is_cut(tmp_path, text):
    started = time.process_time()
    found = read(tmp_path, text)
    assert len(found.values) <= MAX_KEYS
    assert sum(len(key) + len(str(value)) for key, value in found.values.items()) < 1_500_000
    assert time.process_time() - started < 5


def test_deep_json_is_a_problem(tmp_path):
    assert read(tmp_path, "[" * 200_000, "config.json").problems[0].kind == "config_unreadable"


def test_endless_number_in_json_is_a_problem(tmp_path):
    assert read(tmp_path, f'{{"a": {"9" * 5000}}}', "config.json").problems[0].kind == "config_unreadable"


def test_outer_keys_survive_a_cut(tmp_path):
    text = "table:\n" + "".join(f"  k{number}: 1\n" for number in range(MAX_KEYS + 10)) + "epochs: 3\n"
    found = read(tmp_path, text)
    assert found.values["epochs"] == 3
    assert found.problems[0].kind == "config_unreadable"


def test_long_text_is_cut(tmp_path):
    value = read(tmp_path, f"notes: {'x' * 5000}").values["notes"]
    assert isinstance(value, str)
    assert len(value) == 500
    assert value.endswith("…")


def test_too_many_files_are_said(tmp_path):
    for number in range(25):
        (tmp_path / f"part{number:02}.yaml").write_text(f"key{number}: 1")
    found = read_configuration(tmp_path)
    assert len(found.values) == 20
    assert "25" in found.problems[0].detail


# --- many runs -------------------------------------------------------------------------------------------------------


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path):
    read(tmp_path, "lr: 0.1\n")
    shelf = ConfigurationShelf()
    first = shelf.read(tmp_path)
    assert first == read_configuration(tmp_path)
    assert shelf.read(tmp_path) is first


def test_a_file_that_has_changed_or_come_is_read_again(tmp_path):
    read(tmp_path, "lr: 0.1\n")
    shelf = ConfigurationShelf()
    shelf.read(tmp_path)
    read(tmp_path, "lr: 0.25\n")
    assert shelf.read(tmp_path).values["lr"] == 0.25
    read(tmp_path, "seed: 3\n", "more.yaml")
    assert shelf.read(tmp_path).values["seed"] == 3


def test_a_file_that_is_gone_is_forgotten(tmp_path):
    read(tmp_path, "lr: 0.1\n")
    shelf = ConfigurationShelf()
    shelf.read(tmp_path)
    (tmp_path / "config.yaml").unlink()
    assert shelf.read(tmp_path) == Configuration()


def test_a_link_that_leads_out_is_not_followed_by_the_shelf(tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: x\n")
    run = tmp_path / "logs" / "run"
    run.mkdir(parents=True)
    (run / "config.yaml").symlink_to(secret)
    assert "password" not in ConfigurationShelf().read(run, tmp_path / "logs").values
