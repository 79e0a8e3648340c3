"""What the README must name, so that a new command, page, rule, package or setting cannot be forgotten there."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.health import RULES
from monitor.settings import LOGDIR_VARIABLE, SETTINGS_FILE, Settings

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
    wanted = [SETTINGS_FILE, LOGDIR_VARIABLE, *(f"[{name}]" for name in sorted(sections))]
    assert not [words for words in wanted if words not in readme]


def test_every_picture_and_file_it_links_to_is_there(readme: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)\s#]+)", readme) + re.findall(
        r'(?:src|srcset)="(?!https?:)([^"]+)"', readme
    )
    assert not [link for link in links if not (PROJECT / link).exists()]
