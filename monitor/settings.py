"""Thresholds, refresh interval, roles and directories: one TOML file over these defaults, validated.

The file is ``monitor.toml`` in the current directory or the one named by ``--settings``; every key is optional::

    [refresh]
    interval_seconds = 5

    [roles]
    loss = "train/total_loss"

    [health]
    lr_high = 0.05
    ignore = ["plateau"]

Every field carries its sentence and its bounds (`setting`); the README lists them and a test compares the two. What is
a setting here is what a person can judge of a run: how far a loss may rise, how long a plateau lasts. How a rule looks
(blocks, confirmation, its estimate of the noise, where a finding closes again or becomes graver) stays a constant
beside the rule, tuned once for all runs.
"""

import math
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from monitor.errors import LogDirectoryNotFound, NotReadable, SettingInvalid
from monitor.schema import Role

SETTINGS_FILE = "monitor.toml"
LOGDIR_VARIABLE = "MONITOR_LOGDIR"
USUAL_LOG_DIRECTORIES = ("outputs/train", "outputs", "runs", "logs", "lightning_logs", "tb_logs")

LARGEST = 1e15
"""No setting is larger; Python knows whole numbers that no float can hold."""

Value = TypeVar("Value")


def setting(default: Value, sentence: str, *, least: float = 0.0, most: float = LARGEST) -> Value:
    """Return a field of a settings dataclass that says what it means.

    Args:
        default: Its value where the file does not name it; a value from the file gets the same type.
        sentence: What it means, with its unit, for the README.
        least: Smallest value possible; 0 itself never is.
        most: Largest value possible.
    """
    return field(default=default, metadata={"sentence": sentence, "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class RefreshSettings:
    """How often the page and `watch` look for new points."""

    interval_seconds: float = setting(5.0, "Seconds between two looks for new points.", most=86_400)
    resources_seconds: float = setting(2.0, "Seconds between two readings of the machine.", most=86_400)
    resources_file: str | None = setting(
        None, "File that the page records the readings in, for their history after a restart; here beside this file."
    )


@dataclass(frozen=True, slots=True)
class ProgressSettings:
    """When a silent run counts as stalled, and from when on its silence is just the past.

    A run is stalled once it is silent for more than ``max(stalled_seconds, stalled_gap_factor × its typical gap,
    3 × its long gaps)``; with fewer than five gaps known, `stalled_unknown_seconds` counts.
    """

    stalled_seconds: float = setting(60.0, "Seconds of silence before which no run counts as stalled.")
    stalled_gap_factor: float = setting(
        10.0, "How many of its own typical gaps a stalled run has been silent for.", least=1
    )
    stalled_unknown_seconds: float = setting(
        1800.0, "Seconds of silence after which a run with fewer than five gaps counts as stalled."
    )
    inactive_seconds: float = setting(
        86_400.0, "Seconds of silence after which a run that never said its end counts as finished."
    )
    recent_points: int = setting(20, "Newest points that the present speed is taken from.", least=2, most=100_000)
    trend_epochs: int = setting(10, "Newest epochs in the trend of the loss.", most=1000)


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """The user's bands for the learning rate, the GPU and the score, and what each check calls too much.

    Where a check has several severities its setting is the threshold from which it speaks, or from which it warns where
    the sentence says so; the others follow it or stay where they are.
    """

    ignore: tuple[str, ...] = setting((), "Checks that are switched off, by the names in the table of rules.")
    band_excellent: int = setting(90, "A score from this on is excellent.", most=100)
    band_normal: int = setting(70, "A score from this on is normal.", most=100)
    band_problems: int = setting(50, "A score from this on tells of problems; below it the run is abnormal.", most=100)

    dead_repeats: int = setting(20, "So many points with exactly the same loss are a dead value.", least=2)
    divergence_lost_percent: float = setting(
        100.0, "A loss that has lost this share of its progress, in percent, has diverged.", most=1000
    )
    rising_lost_percent: float = setting(
        25.0, "A loss that has lost this share of its progress, in percent, in a steady trend is rising.", most=1000
    )
    rising_level_percent: float = setting(
        30.0,
        "A loss this many percent above its best level is rising too; where it spans decades, hundredths of one.",
        most=1000,
    )
    spike_noise: float = setting(
        8.0, "A spike, or a jump to a new level, is this many times as high as the noise, or higher.", least=1
    )
    spike_height_percent: float = setting(
        20.0,
        "A spike is also this many percent of the level high; of a loss below 0, half as many of its progress.",
        most=1000,
    )
    oscillation_percent: float = setting(
        10.0,
        "Swings matter from this many percent of the level on, or twice as many of the progress.",
        most=1000,
    )
    stuck_points: int = setting(
        200,
        "A loss that learns nothing in so many points is stuck; where each takes long, in a quarter of them.",
        least=20,
    )
    stuck_epochs: int = setting(
        20, "A loss logged once per epoch that learns nothing in so many epochs is stuck.", least=5
    )
    plateau_share_percent: float = setting(
        25.0, "A plateau is this share of the run, in percent, without a new best.", most=100
    )
    overfitting_rise_percent: float = setting(
        3.0, "A validation loss this many percent above its best is overfitting, if training still improves.", most=1000
    )
    overfitting_metric_points: float = setting(
        1.0, "A metric between 0 and 1 this many hundredths worse than its best is overfitting as well.", most=100
    )
    gap_percent: float = setting(
        50.0,
        "A gap to training of this share of the validation loss, in percent, is wide.",
        most=100,
    )

    lr_low: float = setting(1e-7, "A learning rate that has never been above this is too low.")
    lr_recommended_low: float = setting(1e-5, "The recommended learning rates begin here.")
    lr_recommended_high: float = setting(1e-3, "The recommended learning rates end here.")
    lr_high: float = setting(1e-2, "A learning rate above this is high.")
    lr_jump_factor: float = setting(
        5.0, "A learning rate that grows by this factor from one point to the next jumps.", least=2
    )
    lr_early_end_percent: float = setting(
        80.0, "A schedule that ends before this share of the planned steps, in percent, ends too early.", most=100
    )
    gradient_explosion_factor: float = setting(
        10.0, "A gradient norm this many times as large as usual is an explosion.", least=1.5
    )
    gradient_clipped_percent: float = setting(
        80.0, "Clipping that cuts off this share of the gradient norms, in percent, is worth a notice.", most=100
    )
    gradient_vanishing_factor: float = setting(
        1000.0, "A gradient norm this many times smaller than usual has vanished, if the loss stands still.", least=1.5
    )
    loss_scale_fall_factor: float = setting(
        64.0, "A loss scale that has fallen by this factor and does not grow again has collapsed.", least=2
    )

    restart_lost_percent: float = setting(
        25.0, "A restart that loses this share of the progress, in percent, did not restore the state.", most=1000
    )
    step_gap_factor: float = setting(
        10.0, "A distance of two points this many times as wide as those around it, in steps, is a gap.", least=2
    )
    checkpoint_overdue_factor: float = setting(
        3.0, "A checkpoint is overdue after this many of the usual intervals.", least=1
    )
    checkpoint_small_percent: float = setting(
        50.0, "A checkpoint below this share of the usual size, in percent, is damaged.", most=100
    )

    slowdown_factor: float = setting(
        1.5,
        "Steps that take this many times as long as at the start are worth a warning, and a notice earlier.",
        least=1.1,
    )
    slowdown_reinforced_factor: float = setting(
        4.0, "The same factor in reinforcement learning, where an agent that lives longer takes longer.", least=2.5
    )
    cpu_saturated_percent: float = setting(95.0, "A processor used this much, in percent, is full.", most=100)
    gpu_aim_low_percent: float = setting(
        70.0, "The aim for the use of a GPU begins here, in percent; less is worth a notice.", most=100
    )
    gpu_aim_high_percent: float = setting(95.0, "The aim for the use of a GPU ends here, in percent.", most=100)
    gpu_underused_percent: float = setting(50.0, "A GPU used this little, in percent, is worth a warning.", most=100)
    gpu_imbalance_percent: float = setting(
        30.0, "GPUs of one run whose use differs by more than this, in percentage points, are used unequally.", most=100
    )
    gpu_memory_warning_percent: float = setting(
        92.0, "GPU memory used from this on, in percent, is worth a warning.", most=100
    )
    gpu_hot_celsius: float = setting(
        83.0, "A GPU from this temperature on, in °C, is hot; unless changed, the limit it tells itself counts."
    )
    host_memory_warning_percent: float = setting(
        90.0, "Memory of the machine used from this on, in percent, is worth a warning.", most=100
    )
    disk_free_warning_percent: float = setting(
        10.0,
        "A disk with less free than this share, in percent, and than the gigabytes below is nearly full.",
        most=100,
    )
    disk_free_warning_gigabytes: float = setting(
        20.0, "Gigabytes free from which on a disk is large enough, whatever its share."
    )


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
    total_steps: int | None = setting(None, "Planned steps, where no configuration beside the run tells.")
    total_epochs: int | None = setting(None, "Planned epochs, where no configuration beside the run tells.")


ASCENDING = (
    ("lr_low", "lr_recommended_low", "lr_recommended_high", "lr_high"),
    ("band_problems", "band_normal", "band_excellent"),
    ("gpu_underused_percent", "gpu_aim_low_percent", "gpu_aim_high_percent"),
)
"""Settings of the health section each of which is larger than the one before it."""


def read_settings(path: Path | None = None, *, kinds: Collection[str]) -> Settings:
    """Return the defaults overlaid with the settings file.

    Args:
        path: The file; None for ``monitor.toml`` in the current directory, which need not exist.
        kinds: The checks there are, of which some may be switched off.

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
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise SettingInvalid(
            f'The settings file "{chosen}" is not valid TOML: {error}.',
            hint="Write lines such as lr_high = 0.05 below a section such as [health].",
        ) from error
    return _Overlay(chosen, source, kinds).apply(table)


@dataclass(frozen=True, slots=True)
class _Overlay:
    """Lays a parsed settings file over the defaults; knows the file to name the line of a mistake.

    Where a mistake lies is told by words: the section, the key in it, a text in the value.
    """

    path: Path
    source: str
    kinds: Collection[str]

    def apply(self, table: Mapping[str, Any]) -> Settings:
        defaults = Settings()
        sections: dict[str, Any] = {}
        for name, content in table.items():
            if name not in ("refresh", "progress", "health", "roles", "run"):
                raise self._wrong((name,), f'There is no section "{name}"', "refresh, progress, health, roles or run")
            if not isinstance(content, dict):
                raise self._wrong((name,), f'"{name}" is a section, not a value', f"a line [{name}] with keys below it")
            if name == "roles":
                sections["roles"] = self._roles(content)
            elif name == "run":
                sections.update(self._totals(content))
            else:
                sections[name] = self._section(name, getattr(defaults, name), content)
        return replace(defaults, **sections)

    def _section(self, name: str, section: Any, content: Mapping[str, Any]) -> Any:  # noqa: ANN401 (any section)
        known = {item.name: item for item in fields(section)}
        for key in content:
            if key not in known:
                raise self._wrong((name, key), f'There is no setting "{key}"', ", ".join(known))
        values = {key: self._value(name, known[key], value) for key, value in content.items()}
        changed = replace(section, **values)
        if isinstance(changed, HealthSettings):
            self._require_ascending(name, changed, content)
        return changed

    def _value(self, section: str, item: Field[Any], value: Any) -> Any:  # noqa: ANN401 (any setting)
        if isinstance(item.default, tuple):
            return self._ignored(section, item.name, value)
        if item.default is None:
            return self._file(section, item.name, value)
        self._require_number(section, item, value)
        if isinstance(item.default, int) and value != int(value):
            raise self._wrong(
                (section, item.name),
                f'The value "{value}" of "{item.name}" is no whole number',
                _range(item, "a whole number"),
            )
        default: Any = item.default
        return type(default)(value)

    def _file(self, section: str, key: str, value: Any) -> str:  # noqa: ANN401 (any value)
        """Return the file named, absolute; a relative name begins at the directory of the settings file."""
        if not isinstance(value, str) or not value or "\0" in value:
            raise self._wrong((section, key), f'The value of "{key}" is no name of a file', '"resources.jsonl"')
        return str(Path.cwd() / self.path.parent / value)

    def _require_number(self, section: str, item: Field[Any], value: Any) -> None:  # noqa: ANN401 (any value)
        place, possible = (section, item.name), _range(item, "a number")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self._wrong(place, f'The value "{value}" of "{item.name}" is no positive number', possible)
        if not item.metadata["least"] <= value <= item.metadata["most"]:
            raise self._wrong(place, f'The value "{value}" of "{item.name}" is out of its range', possible)

    def _ignored(self, section: str, key: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401 (any value)
        if not isinstance(value, list) or not all(isinstance(kind, str) for kind in value):
            raise self._wrong((section, key), f'The value of "{key}" is no list of checks', '["lr_high", "plateau"]')
        for kind in value:
            if kind not in self.kinds:
                raise self._wrong((section, key, kind), f'There is no check "{kind}"', ", ".join(self.kinds))
        return tuple(value)

    def _require_ascending(self, section: str, health: HealthSettings, content: Mapping[str, Any]) -> None:
        """Raise where two bands overlap; the line is that of the upper one, where the file names it."""
        for low, high in _neighbours():
            lower, upper = getattr(health, low), getattr(health, high)
            if lower < upper:
                continue
            if high in content:
                message = f'The value "{upper}" of "{high}" is not above "{low}", which is {lower}'
                raise self._wrong((section, high), message, f"a number above {lower}")
            message = f'The value "{lower}" of "{low}" is not below "{high}", which is {upper}'
            raise self._wrong((section, low), message, f"a number below {upper}")

    def _roles(self, content: Mapping[str, Any]) -> dict[str, str]:
        for key, value in content.items():
            if key not in {role.value for role in Role}:
                raise self._wrong(("roles", key), f'There is no role "{key}"', ", ".join(role.value for role in Role))
            if not isinstance(value, str):
                raise self._wrong(("roles", key), f'The tag of role "{key}" is no text', "a tag in quotes")
        return dict(content)

    def _totals(self, content: Mapping[str, Any]) -> dict[str, int]:
        for key, value in content.items():
            if key not in ("total_steps", "total_epochs"):
                raise self._wrong(("run", key), f'There is no setting "{key}"', "total_steps, total_epochs")
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST:
                raise self._wrong(
                    ("run", key), f'The value "{value}" of "{key}" is no positive whole number', "a number above 0"
                )
        return dict(content)

    def _wrong(self, place: Sequence[str], message: str, possible: str) -> SettingInvalid:
        line = _line_of(self.source, place)
        return SettingInvalid(f'{message} ("{self.path}", line {line}).', hint=f"Possible here: {possible}.")


def _neighbours() -> Iterator[tuple[str, str]]:
    """Yield the pairs of health settings of which the second must be larger."""
    for names in ASCENDING:
        yield from pairwise(names)


def _range(item: Field[Any], number: str) -> str:
    """Return in words which numbers are possible: ``a number above 0, up to 100``."""
    least, most = item.metadata["least"], item.metadata["most"]
    begin = f"{number} from {least:g} on" if least else f"{number} above 0"
    return begin if most == LARGEST else f"{begin}, up to {most:g}"


_PLACES = (
    r"""^\s*\[*\s*["']?{word}["']?\s*[\].=]""",
    r"""(?:^|[.{{,\[])\s*["']?{word}["']?\s*[\].=]""",
    r"""["']{word}["']""",
)
"""How a section, a key and a text look in a line."""


def _line_of(source: str, place: Sequence[str]) -> int:
    """Return the line on which a section, a key in it, or a text in its value stands, as far as it can be told.

    Each is looked for from the line of the one before it on: keys may stand below ``[health]``, behind ``health.`` or
    inside ``health = { … }``, and the texts of a list on lines of their own.
    """
    lines = [text.partition("#")[0] for text in source.splitlines()]
    found = 0
    for word, pattern in zip(place, _PLACES, strict=False):
        wanted = re.compile(pattern.format(word=re.escape(word)))
        found = next((row for row in range(found, len(lines)) if wanted.search(lines[row])), found)
    return found + 1


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
