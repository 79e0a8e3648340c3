"""Thresholds, refresh interval, roles and directories: one TOML file over these defaults, validated.

The file is ``monitor.toml`` in the current directory or the one named by ``--settings``; every key is optional::

    [refresh]
    interval_seconds = 5

    [roles]
    loss = "train/total_loss"

    [health]
    lr_high = 0.05
"""

import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from monitor.errors import LogDirectoryNotFound, NotReadable, SettingInvalid
from monitor.schema import Role

SETTINGS_FILE = "monitor.toml"
LOGDIR_VARIABLE = "MONITOR_LOGDIR"
USUAL_LOG_DIRECTORIES = ("outputs/train", "outputs", "runs", "logs", "lightning_logs", "tb_logs")


@dataclass(frozen=True, slots=True)
class RefreshSettings:
    """How often the page and `watch` look for new points."""

    interval_seconds: float = 5.0
    resources_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class ProgressSettings:
    """When a silent run counts as stalled, and from when on its silence is just the past.

    A run is stalled once it is silent for more than ``max(stalled_seconds, stalled_gap_factor × its typical gap,
    3 × its long gaps)``; with fewer than five gaps known, `stalled_unknown_seconds` counts.
    """

    stalled_seconds: float = 60.0
    stalled_gap_factor: float = 10.0
    stalled_unknown_seconds: float = 1800.0
    inactive_seconds: float = 86_400.0
    recent_points: int = 20
    trend_epochs: int = 10


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """The user's bands for the learning rate, the GPU and the score."""

    lr_low: float = 1e-7
    lr_recommended_low: float = 1e-5
    lr_recommended_high: float = 1e-3
    lr_high: float = 1e-2
    gpu_aim_low_percent: float = 70.0
    gpu_aim_high_percent: float = 95.0
    gpu_underused_percent: float = 50.0
    gpu_memory_warning_percent: float = 92.0
    gpu_hot_celsius: float = 83.0
    host_memory_warning_percent: float = 90.0
    band_excellent: int = 90
    band_normal: int = 70
    band_problems: int = 50


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a user can set.

    Args:
        refresh: Section ``[refresh]``.
        progress: Section ``[progress]``.
        health: Section ``[health]``.
        roles: Section ``[roles]``: role → tag, where the automatic choice is wrong.
        total_steps: ``[run] total_steps``: planned steps, where no configuration tells.
        total_epochs: ``[run] total_epochs``.
    """

    refresh: RefreshSettings = field(default_factory=RefreshSettings)
    progress: ProgressSettings = field(default_factory=ProgressSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    roles: Mapping[str, str] = field(default_factory=dict)
    total_steps: int | None = None
    total_epochs: int | None = None


def read_settings(path: Path | None = None) -> Settings:
    """Return the defaults overlaid with the settings file.

    Args:
        path: The file; None for ``monitor.toml`` in the current directory, which need not exist.

    Raises:
        SettingInvalid: The file named is missing or no TOML, or a key or value in it is wrong.
    """
    chosen = path or Path(SETTINGS_FILE)
    if path is None and not chosen.is_file():
        return Settings()
    try:
        source = chosen.read_text(encoding="utf-8-sig")  # Windows editors write a byte order mark
        table = tomllib.loads(source)
    except OSError as error:
        raise SettingInvalid(
            f'The settings file "{chosen}" cannot be read: {error.strerror}.',
            hint="Name an existing file with --settings, or leave the option out for the defaults.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(
            f'The settings file "{chosen}" is not valid TOML: {error}.',
            hint="Write lines such as lr_high = 0.05 below a section such as [health].",
        ) from error
    return _Overlay(chosen, source).apply(table)


@dataclass(frozen=True, slots=True)
class _Overlay:
    """Lays a parsed settings file over the defaults; knows the file to name the line of a mistake."""

    path: Path
    source: str

    def apply(self, table: Mapping[str, Any]) -> Settings:
        defaults = Settings()
        sections: dict[str, Any] = {}
        for name, content in table.items():
            if name not in ("refresh", "progress", "health", "roles", "run"):
                raise self._wrong(name, f'There is no section "{name}"', "refresh, progress, health, roles or run")
            if not isinstance(content, dict):
                raise self._wrong(name, f'"{name}" is a section, not a value', f"a line [{name}] with keys below it")
            if name == "roles":
                sections["roles"] = self._roles(content)
            elif name == "run":
                sections.update(self._totals(content))
            else:
                sections[name] = self._numbers(getattr(defaults, name), content)
        return replace(defaults, **sections)

    def _numbers(self, section: Any, content: Mapping[str, Any]) -> Any:  # noqa: ANN401 (any section)
        known = {item.name: getattr(section, item.name) for item in fields(section)}
        for key, value in content.items():
            if key not in known:
                raise self._wrong(key, f'There is no setting "{key}"', ", ".join(known))
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise self._wrong(key, f'The value "{value}" of "{key}" is no positive number', "a number above 0")
            if isinstance(known[key], int) and value != int(value):
                raise self._wrong(key, f'The value "{value}" of "{key}" is no whole number', "a whole number above 0")
        return replace(section, **{key: type(known[key])(value) for key, value in content.items()})

    def _roles(self, content: Mapping[str, Any]) -> dict[str, str]:
        for key, value in content.items():
            if key not in {role.value for role in Role}:
                raise self._wrong(key, f'There is no role "{key}"', ", ".join(role.value for role in Role))
            if not isinstance(value, str):
                raise self._wrong(key, f'The tag of role "{key}" is no text', "a tag in quotes")
        return dict(content)

    def _totals(self, content: Mapping[str, Any]) -> dict[str, int]:
        for key, value in content.items():
            if key not in ("total_steps", "total_epochs"):
                raise self._wrong(key, f'There is no setting "{key}"', "total_steps, total_epochs")
            if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
                raise self._wrong(
                    key, f'The value "{value}" of "{key}" is no positive whole number', "a number above 0"
                )
        return dict(content)

    def _wrong(self, key: str, message: str, known: str) -> SettingInvalid:
        pattern = re.compile(rf"^\s*(\[\s*)?[\"']?{re.escape(key)}[\"']?\s*(=|\])")
        lines = self.source.splitlines()
        line = next((number for number, text in enumerate(lines, 1) if pattern.match(text)), 1)
        return SettingInvalid(f'{message} ("{self.path}", line {line}).', hint=f"Possible here: {known}.")


def log_directories(named: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the log directories to search, resolved: those named, else ``MONITOR_LOGDIR``, else a usual one.

    The variable may hold several, separated as in ``PATH``. Without either, the first that exists of the places
    where trainers usually write is taken, and else the current directory.

    Raises:
        LogDirectoryNotFound: A directory that was named does not exist or is a file.
        NotReadable: A directory that was named may not be listed.
    """
    given = list(named) or [part for part in os.environ.get(LOGDIR_VARIABLE, "").split(os.pathsep) if part]
    if given:
        return tuple(dict.fromkeys(_existing_directory(text) for text in given))
    usual = next((name for name in USUAL_LOG_DIRECTORIES if Path(name).is_dir()), ".")
    return (Path(usual).resolve(),)


def _existing_directory(text: str) -> Path:
    if "\0" in text:
        raise LogDirectoryNotFound("The name of the log directory holds a NUL.", hint="Name it without.")
    try:
        found = Path(text).expanduser().resolve()
        is_directory = found.is_dir()
    except (OSError, RuntimeError):  # a loop of links, a name too long, no such user
        is_directory = False
    if not is_directory:
        raise LogDirectoryNotFound(
            f'The log directory "{text}" does not exist or is not a directory.',
            hint="Name the directory your trainer writes to with --logdir DIR, or start the training first.",
        )
    if not os.access(found, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise NotReadable(
            f'The log directory "{text}" may not be read by this user.',
            hint=f'Allow it with: chmod u+rx "{found}" (as its owner), or start the monitor as a user who may.',
        )
    return found
