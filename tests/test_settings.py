"""The settings file: overlay over the defaults, mistakes named with their line; the log directories."""

import os

import pytest

from monitor.errors import LogDirectoryNotFound, NotReadable, SettingInvalid
from monitor.settings import LOGDIR_VARIABLE, Settings, log_directories, read_settings


@pytest.fixture
def settings_from(tmp_path):
    def read(source: str | bytes) -> Settings:
        path = tmp_path / "settings.toml"
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return read_settings(path)

    return read


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    """Every test starts in a directory of its own, without the variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(LOGDIR_VARIABLE, raising=False)


# --- the file ------------------------------------------------------------------------------------------------------


def test_without_a_file_the_defaults_hold():
    assert read_settings() == Settings()


def test_file_in_the_current_directory_is_found(tmp_path):
    (tmp_path / "monitor.toml").write_text("[refresh]\ninterval_seconds = 9\n")
    assert read_settings().refresh.interval_seconds == 9.0


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
        ("[health]\nlr_high = nan\n", 2, "lr_high"),
        ("[health]\nband_normal = 70.5\n", 2, "band_normal"),
        ("[roles]\nlos = 'a'\n", 2, "los"),
        ("[roles]\nloss = 3\n", 2, "loss"),
        ("[run]\ntotal_epochs = 2.5\n", 2, "total_epochs"),
        ("[run]\ntotal_epochs = 0\n", 2, "total_epochs"),
        ("[run]\nepochs = 3\n", 2, "epochs"),
    ],
)
def test_mistake_is_named_with_its_line(settings_from, source, line, named):
    with pytest.raises(SettingInvalid) as caught:
        settings_from(source)
    assert f'"{named}"' in caught.value.message
    assert f"line {line})" in caught.value.message


def test_value_in_place_of_a_section_is_not_called_an_unknown_section(settings_from):
    with pytest.raises(SettingInvalid) as caught:
        settings_from("refresh = 5\n")
    assert "There is no section" not in caught.value.message


@pytest.mark.parametrize("source", [b"[health\n", b"[health]\nlr_high = 0.05 0.06\n", b"\xff\xfe"])
def test_file_that_is_no_toml_is_said(settings_from, source):
    with pytest.raises(SettingInvalid, match="not valid TOML"):
        settings_from(source)


def test_named_file_that_is_missing_is_said(tmp_path):
    with pytest.raises(SettingInvalid, match="cannot be read"):
        read_settings(tmp_path / "none.toml")


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
