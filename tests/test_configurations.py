"""What differs between configurations, what of it is noise, and what goes with the result."""

import math

import numpy as np
import pytest

from monitor.analysis.configurations import (
    associations,
    config_difference,
    config_text,
    kind_of,
    merged,
    rank_correlation,
    sort_difference,
)
from monitor.schema import Configuration


def test_only_keys_that_differ_are_shown_and_a_missing_one_is_unknown():
    first = Configuration({"lr": 0.1, "seed": 1, "optimizer": "adam"})
    second = Configuration({"lr": 0.2, "seed": 1})
    assert config_difference({"a": first, "b": second}) == {
        "lr": {"a": 0.1, "b": 0.2},
        "optimizer": {"a": "adam", "b": None},
    }


def test_a_run_without_configuration_makes_no_key_differ():
    told = Configuration({"lr": 0.1})
    assert config_difference({"a": told, "b": Configuration()}) == {}


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        (1, 1.0, False),
        (1, True, True),
        (1, "1", True),
        (math.nan, math.nan, False),
        (None, "None", True),
        ("<Net object at 0x7f7e68a987c0>", "<Net object at 0x7f7e69a9a6d0>", False),
        ("<Net object at 0x7f7e68a987c0>", "<Other object at 0x7f7e68a987c0>", True),
    ],
)
def test_values_differ_by_what_they_mean(first, second, differ):
    runs = {"a": Configuration({"key": first, "x": 0}), "b": Configuration({"key": second, "x": 0})}
    assert ("key" in config_difference(runs)) is differ


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("training.seed", "seed"),
        ("seeds.numpy", "seed"),
        ("training.num_seeds", "setting"),
        ("hydra.run.dir", "noise"),
        ("save_dir", "noise"),
        ("saveDir", "noise"),
        ("tensorboard_log", "noise"),
        ("dataset.path", "setting"),
        ("model.name", "setting"),
        ("weights", "setting"),
        ("timeout", "setting"),
        ("lora.rank", "setting"),
        ("local_rank", "noise"),
        ("init_method", "setting"),
        ("device_batch_size", "setting"),
    ],
)
def test_a_key_is_a_seed_noise_or_a_setting(key, kind):
    assert kind_of(key) == kind


def test_seeds_and_noise_are_kept_apart_from_settings():
    runs = {
        "x/a": Configuration({"lr": 0.1, "seed": 1, "save_dir": "out/a", "weights": "runs/a/best.pt"}),
        "x/b": Configuration({"lr": 0.2, "seed": 2, "save_dir": "out/b", "weights": "runs/b/best.pt"}),
    }
    found = sort_difference(runs)
    assert (list(found.settings), list(found.seeds), list(found.noise)) == (["lr"], ["seed"], ["save_dir", "weights"])


def test_hyper_parameters_of_the_events_fill_in_what_no_file_tells():
    found = merged(Configuration({"lr": 0.1}, {"lr": "config.yaml"}), {"lr": 0.2, "layers": 4.0})
    assert found.values == {"lr": 0.1, "layers": 4.0}
    assert found.sources == {"lr": "config.yaml", "layers": "hparams"}


# --- what goes with the result -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_correlation_is_that_of_scipy_with_and_without_ties(seed):
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, 20).astype(float), rng.normal(size=20)
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)


def test_a_constant_has_no_rank_correlation():
    assert rank_correlation(np.ones(4), np.arange(4.0)) is None


def test_the_key_that_goes_with_the_result_comes_first():
    rng = np.random.default_rng(0)
    configurations = [{"lr": 10.0**-n, "width": int(rng.integers(1, 9)), "act": "ab"[n % 2]} for n in range(12)]
    found = associations(configurations, [float(n) for n in range(12)], "loss")
    assert found[0].keys == ("lr",)
    assert found[0].correlation == pytest.approx(-1)
    assert found[0].sentence == "A larger lr goes with a smaller loss (rank correlation −1 over 12 configurations)."


def test_few_configurations_come_with_a_warning():
    found = associations([{"lr": n} for n in range(4)], [1.0, 2.0, 3.0, 4.0], "loss")
    assert "with so few this may be chance" in found[0].sentence


def test_words_are_told_by_their_means():
    configurations = [{"opt": name} for name in ("sgd", "adam", "sgd", "adam")]
    found = associations(configurations, [4.0, 1.0, 6.0, 1.0], "loss")[0]
    assert [(level.value, level.n, level.mean) for level in found.levels] == [("adam", 2, 1.0), ("sgd", 2, 5.0)]
    assert found.correlation is None
    assert found.strength == pytest.approx(16 / 18)
    assert found.sentence.startswith("Mean loss by opt: adam: 1, sgd: 5 (over 4 configurations")


def test_a_value_of_its_own_in_every_configuration_says_nothing_and_comes_last():
    configurations = [{"name": name, "n": n % 2} for n, name in enumerate("abcd")]
    found = associations(configurations, [1.0, 2.0, 1.1, 2.1], "loss")
    assert [item.keys for item in found] == [("n",), ("name",)]
    assert found[1].strength is None


def test_keys_that_change_only_together_are_one_finding():
    found = associations([{"lr": n, "batch": 10 * n} for n in range(4)], [1.0, 2.0, 3.0, 4.0], "loss")
    assert [item.keys for item in found] == [("batch", "lr")]
    assert found[0].sentence.endswith("Changes only together with lr.")


def test_results_that_are_unknown_are_left_out():
    found = associations([{"lr": n} for n in range(5)], [1.0, None, math.nan, 3.0, 4.0], "loss")
    assert found[0].n == 3


def test_two_configurations_show_no_association():
    assert associations([{"lr": 1}, {"lr": 2}], [1.0, 2.0], "loss") == ()


@pytest.mark.parametrize(
    ("value", "text"), [(4.0, "4"), (None, "not set"), (1e-5, "1e-05"), (True, "True"), ("a\nb", "a b")]
)
def test_a_value_is_written_as_a_person_would(value, text):
    assert config_text(value) == text
