"""The words of the product as data: what a point, a run, a finding and a sample are made of.

Layer 0: everybody may import this module, it imports nothing of ours. Unknown is ``None`` in a dataclass and NaN in
a frame. Units are part of the names: ``_seconds``, ``_bytes``, ``_percent`` (0–100), ``_celsius``; wall times are
float64 seconds since the epoch, UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

SCALAR_DTYPES: Mapping[str, str] = {
    "tag": "category",
    "step": "int64",
    "wall_time": "float64",
    "value": "float64",
    "session": "int16",
}
MAX_SESSION = int(np.iinfo(np.int16).max)

Steps = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Sessions = npt.NDArray[np.int16]

Direction = Literal["min", "max"]
State = Literal["waiting", "running", "stalled", "finished"]
Band = Literal["excellent", "normal", "problems", "abnormal"]
Verdict = Literal["falling", "oscillating", "rising", "converged", "stuck", "flat", "too_few_points", "no_loss"]


def empty_scalar_frame() -> "pd.DataFrame":
    """Return the scalar frame with its columns and no rows."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in SCALAR_DTYPES.items()})


# --- what was read -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadProblem:
    """Something that could not be read; everything else was.

    Args:
        path: The file or directory.
        offset: Byte at which the damage begins; None where the whole file is meant.
        kind: One of ``damaged_length``, ``damaged_record``, ``oversized_record``, ``incomplete_record``,
            ``not_event_file``, ``no_permission``, ``unreadable``, ``shrunk``, ``replaced``, ``deleted``,
            ``config_unreadable``.
        detail: A whole sentence for a person: what is there, what was done, what to do.
    """

    path: str
    offset: int | None
    kind: str
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """The points of one series, sorted by session, then step; all columns have shape ``(n_points,)``.

    Superseded points and repeated steps are included; `analysis.series` hides them. The arrays are read-only views.
    """

    step: Steps
    wall_time: Floats
    value: Floats
    session: Sessions

    def __len__(self) -> int:
        return len(self.step)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> "Points":
        """Return the chosen rows, in the order given."""
        return Points(self.step[rows], self.wall_time[rows], self.value[rows], self.session[rows])

    def begins_with(self, earlier: "Points") -> bool:
        """Tell whether these are the points of `earlier`, bit for bit, and perhaps more behind them.

        Columns that only grew are views of the same memory, which tells without a look at a single point; only what
        was copied meanwhile is compared.
        """
        if self is earlier:
            return True
        if len(self) < len(earlier):
            return False
        return (
            _begins_with(self.session, earlier.session)
            and _begins_with(self.step, earlier.step)
            and _begins_with(self.wall_time, earlier.wall_time)
            and _begins_with(self.value, earlier.value)
        )

    @staticmethod
    def empty() -> "Points":
        """Return a series without points."""
        return Points(np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.float64), np.empty(0, np.int16))


def _begins_with(array: npt.NDArray[np.generic], earlier: npt.NDArray[np.generic]) -> bool:
    """Tell whether an array of at least the same length and the same type begins with the bits of `earlier`."""
    if array.strides == earlier.strides and _address(array) == _address(earlier):
        return True
    if array.strides == earlier.strides == (0,):  # one item for all
        array, earlier = array[:1], earlier[:1]
    bits = f"i{array.itemsize}"  # so that NaN equals NaN
    return np.array_equal(array[: len(earlier)].view(bits), earlier.view(bits))


def _address(array: npt.NDArray[np.generic]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


@dataclass(frozen=True, slots=True)
class Session:
    """One uninterrupted stretch of a run.

    Args:
        number: Counted from 0.
        path: Event file in which it begins.
        wall_time: Time of its first event.
        first_step: Smallest step written in it, None while it holds no scalar.
    """

    number: int
    path: str
    wall_time: float
    first_step: int | None


@dataclass(frozen=True)
class Scalars:
    """All scalars of one run at one moment: an immutable snapshot that shares its columns with the reader.

    Args:
        series: tag → points.
        problems: What could not be read.
        sessions: The stretches of the run, in order; empty without scalars.
        first_event: Time of the earliest event (scalars or not), None without one.
        last_event: Time of the latest event.
        bytes_read: Bytes that the refresh which made this snapshot read from disk.
        size_bytes: Size of all event files of the run.
        version: Grows by one whenever anything above but `bytes_read` changes.
    """

    series: Mapping[str, Points] = field(default_factory=dict)
    problems: tuple[ReadProblem, ...] = ()
    sessions: tuple[Session, ...] = ()
    first_event: float | None = None
    last_event: float | None = None
    bytes_read: int = 0
    size_bytes: int = 0
    version: int = 0

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of all series, sorted."""
        return tuple(sorted(self.series))

    @property
    def count(self) -> int:
        """Number of points, superseded ones included."""
        return sum(len(points) for points in self.series.values())

    def points(self, tag: str | None) -> Points:
        """Return one series; without points when there is no such tag."""
        found = self.series.get(tag) if tag is not None else None
        return Points.empty() if found is None else found

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """Every point as the scalar frame: sorted by tag, session, step. Built when first asked for."""
        import pandas as pd  # half a second to import, which a page or a terminal without tables need not wait for

        tags = self.tags
        if not tags:
            return empty_scalar_frame()
        parts = [self.series[tag] for tag in tags]
        codes = np.repeat(np.arange(len(tags), dtype=np.int32), [len(part) for part in parts])
        return pd.DataFrame(
            {
                "tag": pd.Categorical.from_codes(codes, categories=pd.Index(tags, dtype="str")),
                "step": np.concatenate([part.step for part in parts]),
                "wall_time": np.concatenate([part.wall_time for part in parts]),
                "value": np.concatenate([part.value for part in parts]),
                "session": np.concatenate([part.session for part in parts]),
            },
            copy=False,
        )


@dataclass(frozen=True, slots=True)
class RunFile:
    """An event file of a run.

    Args:
        path: Where it lies.
        prefix: Put in front of its tags: the sub-directory of the run it lies in, with a slash, or "".
    """

    path: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Run:
    """One training below a log directory, as discovery finds it: nothing of its events has been read.

    Args:
        name: Path relative to the log directory, with ``/``; ``"."`` for the log directory itself.
        path: The run directory, absolute.
        newest_event: Modification time of the newest event file, the order of the run list.
        size_bytes: Size of all its event files.
        event_files: Its event files, newest first; empty where nobody searched for them.
    """

    name: str
    path: str
    newest_event: float
    size_bytes: int
    event_files: tuple[RunFile, ...] = ()


@dataclass(frozen=True, slots=True)
class RunList:
    """The runs below the log directories.

    Args:
        runs: Newest event first; with equal times in name order.
        problems: Directories that could not be searched.
    """

    runs: tuple[Run, ...] = ()
    problems: tuple[ReadProblem, ...] = ()

    def find(self, name: str) -> Run | None:
        """Return the run of that name."""
        return next((run for run in self.runs if run.name == name), None)


# --- what tags mean ------------------------------------------------------------------------------------------------


class Role(StrEnum):
    """What a tag means."""

    LOSS = "loss"
    VALIDATION = "validation"
    LEARNING_RATE = "learning_rate"
    EPOCH = "epoch"
    DURATION = "duration"
    THROUGHPUT = "throughput"
    GRADIENT_NORM = "gradient_norm"
    LOSS_SCALE = "loss_scale"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class RoleTag:
    """A tag chosen for a role.

    Args:
        tag: The series.
        label: Short name for people, e.g. ``task 1`` for ``validation/task1_loss``.
        direction: ``min`` when smaller is better, ``max`` when larger is; None when neither (a free quantity).
        scale: Factor to the unit of the role: seconds for durations, 1 otherwise.
    """

    tag: str
    label: str
    direction: Direction | None = "min"
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Roles:
    """Which tag of one run means what; a role without a tag is None or empty, which is normal.

    `validation` holds validation losses (one per task), `scores` validation or reward metrics with a direction.
    `framework` is a guess from the tags and files, None when nothing speaks for one.
    """

    loss: RoleTag | None = None
    validation: tuple[RoleTag, ...] = ()
    learning_rate: RoleTag | None = None
    epoch: RoleTag | None = None
    duration: RoleTag | None = None
    throughput: RoleTag | None = None
    gradient_norm: RoleTag | None = None
    loss_scale: RoleTag | None = None
    scores: tuple[RoleTag, ...] = ()
    framework: str | None = None


# --- how far the run is --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunState:
    """Whether the run is alive, and how we know.

    Args:
        state: The word.
        reason: The evidence as a whole sentence: "The last event came 12 s ago; usually one comes every 4 s."
    """

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is and how fast it goes.

    Args:
        step: Largest step of the current session, as logged.
        epoch: Epoch in work, counted from 1.
        total_steps: Planned steps, from the configuration or the user; never guessed.
        total_epochs: Planned epochs, likewise.
        total_source: Where the totals come from, e.g. ``config.yaml: training.max_epoch``.
        steps_per_second: Recent speed inside the current session.
        epoch_seconds: Typical recent time of one epoch.
        eta_seconds: Time left, None when a total or the speed is unknown.
        first_epoch_step: Step that stands for the first epoch, 0 or 1; None where one step is not one epoch.
        fraction: Share done, 0–1, None when no total is known.
    """

    step: int | None = None
    epoch: int | None = None
    total_steps: int | None = None
    total_epochs: int | None = None
    total_source: str | None = None
    steps_per_second: float | None = None
    epoch_seconds: float | None = None
    eta_seconds: float | None = None
    first_epoch_step: int | None = None
    fraction: float | None = None

    @property
    def steps_are_epochs(self) -> bool:
        """Whether one step of the scalars is one epoch."""
        return self.first_epoch_step is not None


@dataclass(frozen=True, slots=True)
class Metric:
    """The figures of one series: newest, the one before, best.

    Args:
        tag: The series.
        label: Short name for people.
        direction: Which way is better; None for quantities without a better (the learning rate).
        step: Step of the newest point, as logged.
        value: Newest value, NaN and infinities included.
        previous: Value of the point before, None at the first point.
        change_percent: (value − previous) / |previous| × 100; None without a previous value or from 0 or non-finite.
        best: Best finite value in the metric's direction; None without a direction or a finite value.
        best_step: Step of `best`.
    """

    tag: str
    label: str
    direction: Direction | None
    step: int
    value: float
    previous: float | None = None
    change_percent: float | None = None
    best: float | None = None
    best_step: int | None = None


@dataclass(frozen=True, slots=True)
class TrendBar:
    """One epoch or step of the recent loss trend: its value and the length of its bar, 0–1 of the longest."""

    step: int
    value: float
    share: float


# --- health --------------------------------------------------------------------------------------------------------

SEVERITIES = ("info", "notice", "warning", "error", "critical")
Severity = Literal["info", "notice", "warning", "error", "critical"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a rule, with its evidence.

    Args:
        id: Identity: kind, tag and onset step; stable from refresh to refresh.
        kind: A name of the catalogue, e.g. ``non_finite``.
        severity: From info to critical.
        tag: The series it was found in; None for findings of the machine or the run.
        session: Session in which it began.
        onset_step: Step at which it began.
        detected_step: Step at which it was certain.
        open: True while it lasts.
        recovered_step: Step at which it ended, None while open.
        value: The measured figure.
        reference: What it was measured against.
        evidence: Whole sentences with the figures a person can check.
        advice: What to try, in one or two sentences.
        explained_by: id of the finding that causes this one.
    """

    id: str
    kind: str
    severity: Severity
    tag: str | None
    session: int | None
    onset_step: int | None
    detected_step: int | None
    open: bool
    recovered_step: int | None
    value: float | None
    reference: float | None
    evidence: str
    advice: str
    explained_by: str | None = None


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A check that did not run, and why: "needs 8 more points", "no validation series"."""

    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Checks:
    """How many checks ran, of how many, and which did not."""

    ran: int = 0
    of: int = 0
    not_checked: tuple[NotChecked, ...] = ()


@dataclass(frozen=True, slots=True)
class Deduction:
    """Points taken off the score for one group of findings."""

    group: str
    points: float
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """Score 0–100 with what was deducted; the score is None while there is not enough to judge.

    Args:
        score: 100 minus the deductions, rounded.
        band: excellent (90–100), normal (70–89), problems (50–69), abnormal (below 50).
        provisional: True while the series is too short for a settled judgement.
        checks: What was looked at.
        deductions: What was taken off, largest first.
        verdict: The loss in a word.
        findings: Newest first, closed ones included.
    """

    score: int | None = None
    band: Band | None = None
    provisional: bool = True
    checks: Checks = field(default_factory=Checks)
    deductions: tuple[Deduction, ...] = ()
    verdict: Verdict = "no_loss"
    findings: tuple[Finding, ...] = ()


# --- beside the events ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved model.

    Args:
        name: File or directory name relative to the run directory.
        kind: ``best``, ``last``, ``epoch``, ``step`` or ``other``.
        epoch: Epoch as people count it, from 1, where the name tells.
        step: Step, where the name tells.
        size_bytes: Size of the file or of all files in the directory.
        modified: Modification time of the newest file in it.
        readable: False when it is empty or the system refuses to open it.
    """

    name: str
    kind: Literal["best", "last", "epoch", "step", "other"]
    epoch: int | None
    step: int | None
    size_bytes: int
    modified: float
    readable: bool


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """What is saved of a run: the best model, the newest one, and all, newest first."""

    best: Checkpoint | None = None
    newest: Checkpoint | None = None
    saved: tuple[Checkpoint, ...] = ()


ConfigValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration beside a run, flattened: ``training.max_epoch`` → 300.

    Args:
        values: Key → value over all files; where two files hold a key, the one nearer to the run wins.
        sources: Key → name of the file it came from.
        problems: Files that could not be read or only in part.
    """

    values: Mapping[str, ConfigValue] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[ReadProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a GPU.

    `memory_bytes` is None where the driver does not tell, `name` where the process cannot be looked into, and `of_run`,
    whether it belongs to the run asked for, where nobody can know.
    """

    pid: int
    memory_bytes: int | None = None
    name: str | None = None
    of_run: bool | None = None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One reading of one GPU; None where the driver does not tell."""

    index: int
    name: str
    utilization_percent: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    temperature_celsius: float | None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    slowdown_celsius: float | None = None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of this machine.

    `gpu_note` is the sentence that explains an empty `gpus`; None when there are GPUs. The disk is that of the run;
    its rates are those since the reading before, over all disks of the machine. `record_note` says what is wrong with
    the record of the readings, None where nothing is or none is kept.
    """

    wall_time: float
    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    core_percents: tuple[float, ...] = ()
    disk_read_bytes_per_second: float | None = None
    disk_write_bytes_per_second: float | None = None
    gpus: tuple[GpuSample, ...] = ()
    gpu_note: str | None = None
    record_note: str | None = None
