"""What the README must name, so that a new command, page, rule, package or setting cannot be forgotten there."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.health import RULES
from monitor.schema import Role
from monitor.settings import (
    LOGDIR_VARIABLE,
    SETTINGS_FILE,
    HealthSettings,
    ProgressSettings,
    RefreshSettings,
    Settings,
    read_settings,
)
from monitor.watch import CHECK_KINDS

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def readme() -> str:
    return (PROJECT / "README.md").read_text(encoding="utf-8")


def test_both_commands_to_start_are_there(readme: str) -> None:
    assert "streamlit run streamlit_app.py" in readme
    assert "bash tests/run" in readme


def test_every_command_of_the_terminal_is_there(readme: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    commands = re.findall(r"^    ([a-z]+) {2,}", capsys.readouterr().out, re.MULTILINE)
    assert commands
    assert not [command for command in commands if f"monitor {command}" not in readme]


def test_every_page_is_there(readme: str) -> None:
    pages = [path.name for path in PROJECT.glob("pages/*.py")]
    assert pages
    assert not [page for page in pages if page not in readme]


def test_every_rule_is_there(readme: str) -> None:
    assert not [rule.kind for rule in RULES if f"`{rule.kind}`" not in readme]


def test_every_required_package_is_there(readme: str) -> None:
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    packages = [re.split(r"[<>=;~ ]", line)[0] for line in lines if line and not line.startswith("#")]
    assert packages
    assert not [package for package in packages if package.lower() not in readme.lower()]


def test_the_settings_file_its_sections_and_the_variable_are_there(readme: str) -> None:
    sections = {item.name for item in fields(Settings)} & {"refresh", "progress", "health", "roles"}
    wanted = [SETTINGS_FILE, LOGDIR_VARIABLE, "[run]", *(f"[{name}]" for name in sorted(sections))]
    assert not [words for words in wanted if words not in readme]


@pytest.mark.parametrize("section", [RefreshSettings, ProgressSettings, HealthSettings, Settings])
def test_every_setting_is_there_with_its_default_and_its_sentence(readme: str, section: type) -> None:
    described = [item for item in fields(section) if "sentence" in item.metadata]
    wanted = [f"| `{item.name}` | {as_toml(item.default)} | {item.metadata['sentence']} |" for item in described]
    assert wanted
    assert not [row for row in wanted if row not in readme.splitlines()]


def as_toml(default: object) -> str:
    """Return a default as a person writes it into the file; a dash where there is none."""
    if default is None:
        return "–"
    return "`[]`" if default == () else f"`{default:g}`".replace("e-0", "e-")


def test_every_role_a_tag_can_be_named_for_is_there(readme: str) -> None:
    line = next(line for line in readme.splitlines() if line.startswith("`[roles]`"))
    assert not [role.value for role in Role if f"`{role.value}`" not in line]


def test_the_example_of_a_settings_file_is_valid(readme: str, tmp_path: Path) -> None:
    example = tmp_path / SETTINGS_FILE
    example.write_text(readme.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    assert read_settings(example, kinds=CHECK_KINDS).health.ignore == ("plateau",)


def test_every_picture_and_file_it_links_to_is_there(readme: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)\s#]+)", readme) + re.findall(
        r'(?:src|srcset)="(?!https?:)([^"]+)"', readme
    )
    assert not [link for link in links if not (PROJECT / link).exists()]
