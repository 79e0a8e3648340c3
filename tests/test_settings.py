"""The settings file: overlay over the defaults, mistakes named with their line, effects; the log directories."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from monitor.cli import main
from monitor.errors import LogDirectoryNotFound, NotReadable, SettingInvalid
from monitor.health import Assessor, Evidence, assess
from monitor.schema import Health
from monitor.settings import (
    LOGDIR_VARIABLE,
    HealthSettings,
    ProgressSettings,
    RefreshSettings,
    Settings,
    log_directories,
    read_settings,
)
from tests.builders import event_file_name, rows, write_scalars
from tests.health_series import (
    START,
    blows_up,
    decay,
    evidence_of,
    jumps_and_stays,
    machine_run,
    overfits,
    overfits_in_accuracy,
    plain_decay,
    readings,
    rises_slowly,
    spikes_and_recovers,
)
from tests.health_series_learning import flat_epochs, stops_in_the_middle, swings
from tests.health_series_machine import (
    FAR,
    resumed_half_forgotten,
    saves_half_a_file,
    skips_steps,
    slower,
    stops_saving,
    waits_for_the_processor,
)
from tests.health_series_optimiser import (
    norm_explodes,
    norm_vanishes,
    rate_jumps,
    schedule_ends_early,
    with_scale,
)

KINDS = ("lr_high", "plateau", "spike")
NOW = START + FAR
PROJECT = Path(__file__).parent.parent


@pytest.fixture
def settings_from(tmp_path):
    def read(source: str | bytes) -> Settings:
        path = tmp_path / "settings.toml"
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return read_settings(path, kinds=KINDS)

    return read


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    """Every test starts in a directory of its own, without the variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(LOGDIR_VARIABLE, raising=False)


# --- the file ------------------------------------------------------------------------------------------------------


def test_without_a_file_the_defaults_hold():
    assert read_settings(kinds=KINDS) == Settings()


def test_file_in_the_current_directory_is_found(tmp_path):
    (tmp_path / "monitor.toml").write_text("[refresh]\ninterval_seconds = 9\n")
    assert read_settings(kinds=KINDS).refresh.interval_seconds == 9.0


def test_keys_left_out_keep_their_defaults(settings_from):
    settings = settings_from("[health]\nlr_high = 0.05\n")
    assert (settings.health.lr_high, settings.health.lr_low) == (0.05, Settings().health.lr_low)


def test_whole_number_becomes_the_type_of_its_default(settings_from):
    assert isinstance(settings_from("[refresh]\ninterval_seconds = 9\n").refresh.interval_seconds, float)


def test_roles_are_taken(settings_from):
    assert settings_from('[roles]\nloss = "train/total"\n').roles == {"loss": "train/total"}


def test_totals_are_taken(settings_from):
    settings = settings_from("[run]\ntotal_epochs = 300\n")
    assert (settings.total_epochs, settings.total_steps) == (300, None)


def test_checks_that_are_switched_off_are_taken(settings_from):
    assert settings_from('[health]\nignore = ["plateau", "spike"]\n').health.ignore == ("plateau", "spike")


def test_file_of_the_readings_lies_beside_the_settings_file(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "mine.toml").write_text('[refresh]\nresources_file = "record.jsonl"\n')
    refresh = read_settings(Path("below/mine.toml"), kinds=KINDS).refresh
    assert refresh.resources_file == str(tmp_path / "below" / "record.jsonl")


def test_file_of_the_readings_may_lie_anywhere(settings_from):
    settings = settings_from('[refresh]\nresources_file = "/var/record.jsonl"\n')
    assert settings.refresh.resources_file == "/var/record.jsonl"


def test_every_check_may_be_switched_on_again(settings_from):
    assert settings_from("[health]\nignore = []\n") == Settings()


def test_bands_that_move_together_stay_in_order(settings_from):
    health = settings_from("[health]\nlr_high = 5e-4\nlr_recommended_high = 1e-4\n").health
    assert (health.lr_recommended_high, health.lr_high) == (1e-4, 5e-4)


def test_a_share_beyond_all_is_possible_where_more_can_be_lost_than_was_won(settings_from):
    assert settings_from("[health]\ndivergence_lost_percent = 150\n").health.divergence_lost_percent == 150.0


def test_byte_order_mark_is_no_mistake(settings_from):
    assert settings_from(b"\xef\xbb\xbf[run]\ntotal_epochs = 3\n").total_epochs == 3


@pytest.mark.parametrize(
    ("source", "line", "named"),
    [
        ("[helth]\nlr_high = 1\n", 1, "helth"),
        ("\n\n[health]\nlr_hihg = 1\n", 4, "lr_hihg"),
        ("[health]\nlr_high = -1\n", 2, "lr_high"),
        ("[health]\nlr_high = true\n", 2, "lr_high"),
        ('[health]\nlr_high = "big"\n', 2, "lr_high"),
        ("[health]\nlr_high = inf\n", 2, "lr_high"),
        ("[refresh]\nresources_file = true\n", 2, "resources_file"),
        ('[refresh]\nresources_file = ""\n', 2, "resources_file"),
        ('[refresh]\nresources_file = "a\\u0000b"\n', 2, "resources_file"),
        ("[health]\nlr_high = nan\n", 2, "lr_high"),
        ("[health]\nband_normal = 70.5\n", 2, "band_normal"),
        ("[roles]\nlos = 'a'\n", 2, "los"),
        ("[roles]\nloss = 3\n", 2, "loss"),
        ("[run]\ntotal_epochs = 2.5\n", 2, "total_epochs"),
        ("[run]\ntotal_epochs = 0\n", 2, "total_epochs"),
        ("[run]\nepochs = 3\n", 2, "epochs"),
        (f"[run]\ntotal_steps = 1{'0' * 30}\n", 2, "total_steps"),
        (f"[health]\nlr_high = 1{'0' * 400}\n", 2, "lr_high"),
        ("[health]\ngap_percent = 101\n", 2, "gap_percent"),
        ("[health]\nlr_jump_factor = 1\n", 2, "lr_jump_factor"),
        ("[health]\nstuck_epochs = 4\n", 2, "stuck_epochs"),
        ("[refresh]\ninterval_seconds = 1e9\n", 2, "interval_seconds"),
        ("[health]\nignore = 'plateau'\n", 2, "ignore"),
        ("[health]\nignore = [1]\n", 2, "ignore"),
        ("[health]\nignore = ['spike', 'spikes']\n", 2, "spikes"),
        ("[health]\nignore = [\n  'spike',\n  'spikes',\n]\n", 4, "spikes"),
        ("[health]\nlr_low = 1e-4\n", 2, "lr_low"),
        ("[health]\nlr_high = 1e-3\n", 2, "lr_high"),
        ("[health]\nlr_recommended_high = 0.1\nlr_high = 0.05\n", 3, "lr_high"),
        ("[health]\nlr_high = 0.05\nlr_recommended_high = 0.1\n", 2, "lr_high"),
        ("[health]\nband_normal = 95\n", 2, "band_normal"),
        ("[health]\nband_problems = 70\n", 2, "band_problems"),
        ("[health]\ngpu_underused_percent = 80\n", 2, "gpu_underused_percent"),
        ("[refresh]\n# lr_hihg = 3\n[health]\nlr_hihg = 3\n", 4, "lr_hihg"),
        ("[progress]\ntrend_epochs = 5\n[run]\ntrend_epochs = 5\n", 4, "trend_epochs"),
        ("health.lr_low = 1e-8\nhealth.lr_hihg = 3\n", 2, "lr_hihg"),
        ("\nhealth = {lr_low = 1e-8, lr_hihg = 3}\n", 2, "lr_hihg"),
        ('[health]\n"lr_hihg" = 3\n', 2, "lr_hihg"),
        ("[refresh]\n\n[health.lr_high]\nvalue = 3\n", 3, "lr_high"),
    ],
)
def test_mistake_is_named_with_its_line(settings_from, source, line, named):
    with pytest.raises(SettingInvalid) as caught:
        settings_from(source)
    assert f'"{named}"' in caught.value.message
    assert f"line {line})" in caught.value.message


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("gap_percent = 101", "Possible here: a number above 0, up to 100."),
        ("lr_jump_factor = 1", "Possible here: a number from 2 on."),
        ("stuck_epochs = 5.5", "Possible here: a whole number from 5 on."),
        ("lr_low = 1e-4", "Possible here: a number below 1e-05."),
        ("band_excellent = 60", "Possible here: a number above 70."),
        ("ignore = ['spikes']", "Possible here: lr_high, plateau, spike."),
    ],
)
def test_what_is_possible_is_said(settings_from, source, hint):
    with pytest.raises(SettingInvalid) as caught:
        settings_from(f"[health]\n{source}\n")
    assert caught.value.hint == hint


def test_value_in_place_of_a_section_is_not_called_an_unknown_section(settings_from):
    with pytest.raises(SettingInvalid) as caught:
        settings_from("refresh = 5\n")
    assert "There is no section" not in caught.value.message


@pytest.mark.parametrize(
    "source",
    [b"[health\n", b"[health]\nlr_high = 0.05 0.06\n", b"\xff\xfe", b"[run]\ntotal_steps = " + 9000 * b"9"],
    ids=["section", "value", "encoding", "digits"],
)
def test_file_that_is_no_toml_is_said(settings_from, source):
    with pytest.raises(SettingInvalid, match="not valid TOML"):
        settings_from(source)


def test_named_file_that_is_missing_is_said(tmp_path):
    with pytest.raises(SettingInvalid, match="cannot be read"):
        read_settings(tmp_path / "none.toml", kinds=KINDS)


# --- what a setting means ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", [RefreshSettings, ProgressSettings, HealthSettings])
def test_every_setting_has_a_sentence_and_a_default_within_its_bounds(section):
    for item in fields(section):
        assert item.metadata["sentence"].endswith("."), item.name
        assert item.default in ((), None) or item.metadata["least"] <= item.default <= item.metadata["most"], item.name


@pytest.mark.parametrize("section", [RefreshSettings, ProgressSettings, HealthSettings])
def test_every_setting_is_asked_for_somewhere(section):
    modules = (path for path in PROJECT.glob("monitor/**/*.py") if path.name != "settings.py")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    assert not [item.name for item in fields(section) if not re.search(rf"\.{item.name}\b", sources)]


def freezes(random: np.random.Generator) -> Evidence:
    loss = decay(400) * np.exp(random.normal(0, 0.05, 400))
    loss[250:] = loss[250]
    return evidence_of(loss)


def loss_scale_falls(random: np.random.Generator) -> Evidence:
    """A scale that loses eight halvings in the middle and rests at what is left."""
    return with_scale(plain_decay(random), np.repeat(2.0**16 / np.array([1, 4, 16, 64, 256]), [500, 5, 5, 5, 485]))


def judged(build: Callable[[np.random.Generator], Evidence], **health: object) -> Health:
    return assess(build(np.random.default_rng(0)), Settings(health=HealthSettings(**health)), NOW)


def kinds_of(health: Health) -> set[str]:
    return {finding.kind for finding in health.findings}


def raised(health: Health) -> set[str]:
    """The kinds of findings above a mere remark, such as that of every restart."""
    return {finding.kind for finding in health.findings if finding.severity != "info"}


@pytest.mark.parametrize(
    ("kind", "build", "lenient"),
    [
        ("dead_value", freezes, {"dead_repeats": 1000}),
        ("divergence", blows_up, {"divergence_lost_percent": 1000}),
        ("rising", rises_slowly, {"rising_lost_percent": 200, "rising_level_percent": 1000}),
        ("spike", spikes_and_recovers, {"spike_height_percent": 1000}),
        ("spike", spikes_and_recovers, {"spike_noise": 1000}),
        ("level_shift", jumps_and_stays, {"spike_noise": 1000}),
        ("oscillation", swings, {"oscillation_percent": 500}),
        ("stuck", flat_epochs, {"stuck_epochs": 1000}),
        ("plateau", stops_in_the_middle, {"plateau_share_percent": 90}),
        ("overfitting", overfits, {"overfitting_rise_percent": 1000}),
        ("overfitting", overfits_in_accuracy, {"overfitting_metric_points": 50}),
        ("lr_schedule", rate_jumps, {"lr_jump_factor": 1000}),
        ("lr_schedule", schedule_ends_early, {"lr_early_end_percent": 1}),
        ("gradient_explosion", norm_explodes, {"gradient_explosion_factor": 1e6}),
        ("gradient_vanishing", norm_vanishes, {"gradient_vanishing_factor": 1e9}),
        ("loss_scale", loss_scale_falls, {"loss_scale_fall_factor": 1e9}),
        ("step_integrity", skips_steps, {"step_gap_factor": 1e6}),
        ("checkpoint_missing", stops_saving, {"checkpoint_overdue_factor": 1000}),
        ("checkpoint_damaged", saves_half_a_file, {"checkpoint_small_percent": 1}),
        ("restart", resumed_half_forgotten, {"restart_lost_percent": 1000}),
        ("slowdown", slower, {"slowdown_factor": 20}),
        ("cpu_saturated", waits_for_the_processor, {"cpu_saturated_percent": 100}),
    ],
)
def test_a_threshold_decides_what_is_found(kind, build, lenient):
    assert (kind in raised(judged(build)), kind in raised(judged(build, **lenient))) == (True, False)


def test_a_stricter_threshold_finds_more():
    def fifteen_flat_epochs(random: np.random.Generator) -> Evidence:
        return evidence_of(2.3 + random.normal(0, 0.002, 15), first_epoch_step=0)

    assert "stuck" not in raised(judged(fifteen_flat_epochs))
    assert "stuck" in raised(judged(fifteen_flat_epochs, stuck_epochs=8))


def test_a_disk_is_nearly_full_only_below_the_gigabytes_as_well():
    def with_disk(random: np.random.Generator) -> Evidence:
        return machine_run(readings(disk_free_bytes=50 * 10**9, disk_total_bytes=10**12))

    assert "disk_full" not in raised(judged(with_disk))
    assert "disk_full" in raised(judged(with_disk, disk_free_warning_gigabytes=100))


def test_the_advice_names_the_users_range_of_learning_rates():
    health = judged(lambda _: evidence_of(decay(100), learning_rate=np.full(100, 0.05)), lr_recommended_high=2e-3)
    assert "1.00e-05 to 2.00e-03" in health.findings[0].advice


def test_changed_settings_judge_all_the_points_anew():
    assessor, evidence = Assessor(), spikes_and_recovers(np.random.default_rng(0))
    lenient = Settings(health=HealthSettings(spike_height_percent=1000))
    before = assessor.assess(evidence, Settings(), NOW)
    assert assessor.assess(evidence, lenient, NOW).health == assess(evidence, lenient, NOW) != before.health


# --- checks that are switched off ----------------------------------------------------------------------------------


def test_a_check_that_is_switched_off_finds_and_deducts_nothing():
    freezing, ignoring = judged(freezes), judged(freezes, ignore=("dead_value",))
    assert ("dead_value" in kinds_of(freezing), "dead_value" in kinds_of(ignoring)) == (True, False)
    assert (freezing.score or 0) < (ignoring.score or 0)


def test_a_check_that_is_switched_off_is_told_as_not_checked():
    checks = judged(overfits, ignore=("overfitting",)).checks
    assert {item.kind: item.why for item in checks.not_checked}["overfitting"] == "Switched off in the settings."


def test_the_other_finding_of_a_shared_replay_stays():
    assert kinds_of(judged(jumps_and_stays, ignore=("spike",))) == {"level_shift"}


def test_nothing_is_explained_by_a_check_that_is_switched_off():
    causes = [finding.explained_by or "" for finding in judged(blows_up).findings]
    others = [finding.explained_by or "" for finding in judged(blows_up, ignore=("divergence",)).findings]
    assert any("divergence" in cause for cause in causes)
    assert not any("divergence" in cause for cause in others)


# --- in the terminal -----------------------------------------------------------------------------------------------


@pytest.fixture
def spiking_run(tmp_path: Path) -> Path:
    loss = spikes_and_recovers(np.random.default_rng(0)).series["train/loss"].value
    write_scalars(tmp_path / "logs" / "run" / event_file_name(), rows("train/loss", loss))
    return tmp_path / "logs"


def status_with(settings: str, logs: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    (logs.parent / "mine.toml").write_text(settings)
    main(["status", "--json", "--logdir", str(logs), "--settings", str(logs.parent / "mine.toml")])
    return json.loads(capsys.readouterr().out)


def test_the_terminal_judges_with_the_file_named(spiking_run, capsys):
    usual = status_with("", spiking_run, capsys)
    lenient = status_with("[health]\nspike_height_percent = 1000\n", spiking_run, capsys)
    assert [len(found["findings"]) for found in (usual, lenient)] == [1, 0]


def test_the_terminal_tells_what_is_switched_off(spiking_run, capsys):
    health = status_with("[health]\nignore = ['spike']\n", spiking_run, capsys)["health"]
    assert {"kind": "spike", "why": "Switched off in the settings."} in health["checks"]["not_checked"]


def test_a_check_that_does_not_exist_gives_2_and_its_line(tmp_path, capsys):
    (tmp_path / "monitor.toml").write_text("[health]\nignore = ['spikes']\n")
    assert main(["status"]) == 2
    output = capsys.readouterr().err
    assert 'There is no check "spikes" ("monitor.toml", line 2).' in output
    assert "spike, level_shift" in output


# --- log directories -----------------------------------------------------------------------------------------------


def test_named_directories_are_taken_resolved_and_once(tmp_path):
    (tmp_path / "a").mkdir()
    assert log_directories(["a", str(tmp_path / "a"), "a/../a"]) == (tmp_path / "a",)


def test_variable_may_name_several(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name).mkdir()
    monkeypatch.setenv(LOGDIR_VARIABLE, os.pathsep.join("ab"))
    assert log_directories() == (tmp_path / "a", tmp_path / "b")


def test_named_directory_goes_before_the_variable(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name).mkdir()
    monkeypatch.setenv(LOGDIR_VARIABLE, "a")
    assert log_directories(["b"]) == (tmp_path / "b",)


def test_usual_directory_is_found_in_order(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "outputs" / "train").mkdir(parents=True)
    assert log_directories() == (tmp_path / "outputs" / "train",)


def test_current_directory_is_the_last_resort(tmp_path):
    assert log_directories() == (tmp_path,)


@pytest.mark.parametrize("name", ["none", "a\0b", "x" * 5000, "~no-such-user/logs"])
def test_directory_that_does_not_exist_is_said(name):
    with pytest.raises(LogDirectoryNotFound):
        log_directories([name])


def test_file_is_no_log_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LogDirectoryNotFound):
        log_directories(["file"])


def test_circle_of_links_is_no_log_directory(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(LogDirectoryNotFound):
        log_directories(["circle"])


@pytest.mark.usefixtures("as_ordinary_user")
def test_refused_directory_is_said_with_the_way_out(tmp_path):
    (tmp_path / "logs").mkdir(mode=0)
    with pytest.raises(NotReadable) as caught:
        log_directories(["logs"])
    assert "chmod" in caught.value.hint
