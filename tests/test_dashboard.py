import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from monitor.dashboard.layout import head_lines, panel_lines, shares
from monitor.dashboard.lines import clipped, harmless, without_middle, wrapped
from monitor.figures import load_spark, resource_figures
from monitor.schema import Checkpoints, GpuSample, RoleTag, RunState, Sample, Scalars, TrendBar
from monitor.status import RunStatus
from tests.builders import append, event_file_name, rows, scalar, write_scalars
from tests.statuses import NOW, example_status, finding, metric, points

PROJECT = Path(__file__).parent.parent
PANELS = ("metrics", "health", "resources", "checkpoints")
SIZES = [(1, 1), (20, 5), (40, 10), (60, 20), (75, 14), (76, 15), (80, 24), (100, 30), (140, 24), (140, 45), (200, 60)]
HOSTILE = "a\x1b[2J\x1b]0;title\x07\u202eשלום\t日本語\n" * 12 + "👨‍👩‍👧🇩🇪👍🏽❤️"


def screen(status: RunStatus, columns: int, lines: int) -> list[str]:
    size = (columns, lines)
    return [line.plain for line in (*head_lines(status, size), *panel_lines(status, size))]


def hostile_status() -> RunStatus:
    status = example_status()
    findings = tuple(finding(tag=HOSTILE, evidence=HOSTILE, advice=HOSTILE) for _ in range(4))
    best = replace(status.checkpoints.best, name=HOSTILE)
    return replace(
        status,
        run=replace(status.run, name=HOSTILE),
        state=RunState("running", HOSTILE),
        progress=replace(status.progress, total_source=HOSTILE),
        validation=tuple(metric(HOSTILE, HOSTILE) for _ in range(20)),
        health=replace(status.health, findings=findings),
        checkpoints=replace(status.checkpoints, best=best),
        sample=replace(status.sample, gpus=(gpu(0, name=HOSTILE),), gpu_note=HOSTILE),
    )


def gpu(index: int, **changes: object) -> GpuSample:
    known = GpuSample(index, "NVIDIA H200", 87.0, 70_000_000_000, 140_000_000_000, 61.0, 320.0, 700.0)
    return replace(known, **changes)


# --- what fits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("status", [example_status(), hostile_status()], ids=["usual", "hostile"])
def test_no_line_is_wider_and_no_screen_higher_than_the_terminal(status: RunStatus, size: tuple[int, int]) -> None:
    shown = screen(status, *size)
    assert len(shown) <= size[1]
    assert max(cell_len(line) for line in shown) <= size[0]


@pytest.mark.parametrize("size", [(80, 24), (140, 45), (200, 60)], ids=str)
def test_frames_fill_the_screen_to_the_last_cell(size: tuple[int, int]) -> None:
    framed = screen(example_status(), *size)[2:]
    assert len(framed) == size[1] - 2
    assert {cell_len(line) for line in framed} == {size[0]}


@pytest.mark.parametrize("size", [size for size in SIZES if size[0] >= 20 and size[1] >= 5], ids=str)
def test_every_size_names_all_four_panels(size: tuple[int, int]) -> None:
    shown = "\n".join(screen(example_status(), *size))
    assert all(title in shown for title in PANELS)


def test_nothing_hostile_reaches_the_terminal() -> None:
    shown = "".join(screen(hostile_status(), 200, 60))
    assert not {character for character in shown if ord(character) < 32 or character in "\x7f\u202e\u200d\ufe0f"}


def test_text_of_disputed_width_is_shown_by_its_parts() -> None:
    assert harmless("👨‍👩‍👧 🇩🇪 👍🏽") == "👨👩👧 DE 👍"


def test_a_name_of_wide_characters_is_shortened_by_cells() -> None:
    assert without_middle("日本語の長い名前", 9) == "日本…名前"


def test_prose_is_broken_between_words() -> None:
    assert wrapped("a few words and alongoneindeed", 12) == ["a few words", "and", "alongoneinde", "ed"]


@pytest.mark.parametrize(
    ("least", "wanted", "room", "expected"),
    [
        ([3, 2], [10, 10], 5, [3, 2]),
        ([3, 2], [10, 2], 9, [7, 2]),
        ([3, 2], [1, 1], 9, [1, 1]),
        ([3, 2], [10, 10], 0, [0, 0]),
        ([1, 1, 1], [5, 5, 5], 2, [1, 1, 0]),
    ],
    ids=["least first", "then what is wanted", "no more than wanted", "no room", "in order"],
)
def test_lines_are_shared(least: list[int], wanted: list[int], room: int, expected: list[int]) -> None:
    assert shares(least, wanted, room) == expected


# --- what is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "pick/act/run_1  running  last event 30 s ago",
        "8 of 300",
        "0.4 (−11.1 %)",
        "falling",
        "1.25e-04",
        "task 1         0.5, best 0.4",
        "epoch 8         0.4  █",
        "85 of 100, normal",
        "100 − 15 (loss spike since",
        "1 open",
        "warning: loss spike in train/loss",
        "The loss rose from 0.6 to 0.7 at",
        "12 %",
        "8.0 GB",
        "GPU 0     ━━━━━─  87 %  61 °C",
        "memory  ━━━───  50 %  70.0 GB",
        "500 GB free",
        "Best    best (1 min 00 s ago)",
        "Newest  epoch5 (1.3 GB, 30 s ago)",
        "Problems met while reading: 1",
    ],
)
def test_80_by_24_shows_what_matters(words: str) -> None:
    assert words in "\n".join(screen(example_status(), 80, 24))


def test_a_wide_terminal_draws_the_curves() -> None:
    shown = "\n".join(screen(example_status(), 140, 45))
    assert "curves" in shown
    assert "validation/task1_loss  0.5, 2 points" in shown
    assert any("⠁" <= character <= "⣿" for character in shown)


def test_a_tall_terminal_draws_the_loss_below_the_figures() -> None:
    assert "train/loss  0.4, 8 points" in "\n".join(screen(example_status(), 80, 50))


def test_with_little_room_the_most_severe_finding_stays() -> None:
    findings = (finding(kind="lr_high", severity="notice"), finding(kind="divergence", severity="critical"))
    status = example_status()
    shown = "\n".join(screen(replace(status, health=replace(status.health, findings=findings)), 60, 20))
    assert "critical: divergence" in shown
    assert "2 open (1 critical, 1 notice), 0 over" in shown


def test_findings_that_are_over_are_counted() -> None:
    status = example_status()
    over = finding(open=False, recovered_step=6)
    shown = "\n".join(screen(replace(status, health=replace(status.health, findings=(over,))), 80, 24))
    assert "none open, 1 over" in shown


def test_more_tasks_than_room_are_counted() -> None:
    tasks = tuple(metric(f"validation/task{n}_loss", f"task {n}") for n in range(1, 21))
    shown = "\n".join(screen(example_status(validation=tasks), 100, 24))
    assert "and 15 more" in shown


def test_ten_epochs_have_a_bar_each_at_80_by_24() -> None:
    trend = tuple(TrendBar(step, 1.0 / (step + 1), 1.0 / (step + 1)) for step in range(10))
    shown = screen(example_status(trend=trend), 80, 24)
    assert sum("█" in line and "epoch" in line for line in shown) == 10


def test_many_gpus_share_a_row_where_there_is_no_room_for_each() -> None:
    gpus = tuple(gpu(index, temperature_celsius=60.0 + index) for index in range(8))
    status = example_status()
    shown = "\n".join(screen(replace(status, sample=replace(status.sample, gpus=gpus)), 130, 24))
    assert "8 GPUs" in shown
    assert "at most 67 °C" in shown


def test_power_is_shown_where_it_has_room() -> None:
    status = example_status()
    shown = "\n".join(screen(replace(status, sample=replace(status.sample, gpus=(gpu(0),))), 120, 30))
    assert "61 °C  320 W of 700 W" in shown


def test_the_age_of_the_last_event_goes_on() -> None:
    assert "last event 33 s ago" in head_lines(example_status(), (80, 24), elapsed=3.0)[0].plain


def test_waiting_says_where_was_looked_and_that_it_goes_on() -> None:
    status = example_status(
        scalars=Scalars(),
        state=RunState("waiting", 'No event file was found below "/runs".'),
        checkpoints=Checkpoints(),
    )
    shown = " ".join(" ".join(line.split("│")[1:2]).strip() for line in screen(status, 80, 24))
    assert 'No event file was found below "/runs". The figures appear here by themselves.' in shown


def test_without_any_checkpoint_that_is_said() -> None:
    assert "none saved yet" in "\n".join(screen(example_status(checkpoints=Checkpoints()), 80, 24))


def test_before_the_first_reading_of_the_machine_that_is_said() -> None:
    assert "not read yet" in "\n".join(screen(example_status(sample=Sample(NOW)), 80, 24))


def test_a_finding_too_long_for_a_line_loses_the_middle_of_its_series() -> None:
    status = example_status()
    long = finding(tag="validation/a_rather_long_name_of_a_task_loss")
    shown = "\n".join(screen(replace(status, health=replace(status.health, findings=(long,))), 80, 24))
    assert "warning: loss spike in valida…k_loss │" in shown


def test_a_title_without_room_for_its_series_goes_without() -> None:
    status = example_status()
    long = finding(kind="lr_high", tag="train/learning_rate")
    shown = "\n".join(screen(replace(status, health=replace(status.health, findings=(long,))), 80, 24))
    assert "│ warning: learning rate high          │" in shown


def test_a_sick_run_tells_at_80_by_24_what_to_do_however_long_the_evidence() -> None:
    first = finding(severity="critical", evidence="It has been going on for long. " * 9, advice="Stop it now.")
    status = example_status()
    findings = (first, *(finding(id=f"{number}") for number in range(2, 9)))
    shown = "\n".join(screen(replace(status, health=replace(status.health, findings=findings)), 80, 24))
    assert "Stop it now." in shown


def test_what_has_no_room_is_cut_between_words() -> None:
    assert clipped(Text("some words that go on …"), 18).plain == "some words that …"
    assert clipped(Text("some words that go on"), 18).plain == "some words that g…"


def test_a_line_of_wide_characters_is_cut_between_words_too() -> None:
    assert clipped(Text("日本語 日本語 …"), 12).plain == "日本語 …"


def test_a_tall_terminal_says_what_was_not_checked() -> None:
    shown = " ".join(" ".join(line.split("│")[3:4]).strip() for line in screen(example_status(), 80, 50))
    assert "Not checked no gradient norm series: gradient norm." in shown


def test_a_wide_terminal_draws_a_score_below_the_figures() -> None:
    status = example_status()
    scored = replace(status.roles, scores=(RoleTag("eval/success", "success"),))
    series = {**status.scalars.series, "eval/success": points((0.1, 0.2, 0.75))}
    shown = "\n".join(screen(replace(status, roles=scored, scalars=replace(status.scalars, series=series)), 160, 50))
    assert "eval/success  0.75, 3 points" in shown
    assert "train/loss  0.4, 8 points" in shown


def test_a_reason_to_have_no_gpu_is_told_whole_or_not_at_all() -> None:
    status = example_status()
    none = replace(status.sample, gpus=(), gpu_note="No NVIDIA GPU or driver was found on this machine.")
    assert "none, `status` says why" in "\n".join(screen(replace(status, sample=none), 80, 24))
    assert none.gpu_note in "\n".join(screen(replace(status, sample=none), 139, 24))


def test_the_state_is_told_without_the_time_where_both_have_no_room() -> None:
    state = RunState("running", "The last event came 7 h 32 min ago; usually one comes every 21 s.")
    assert head_lines(example_status(state=state, problems=()), (80, 24))[1].plain == state.reason
    assert head_lines(example_status(state=state, problems=()), (90, 24))[1].plain.startswith("At 22:15:00 UTC: ")


def test_the_figures_of_the_machine_hold_cores_swap_traffic_and_power() -> None:
    sample = replace(
        example_status().sample,
        core_percents=(2.0, 22.0),
        swap_used_bytes=1_500_000_000,
        disk_total_bytes=1_000_000_000_000,
        disk_read_bytes_per_second=0.0,
        disk_write_bytes_per_second=1_200_000.4,
        gpus=(gpu(0),),
    )
    assert [figure.value for figure in resource_figures(sample)] == [
        "12 %, the busiest of 2 cores 22 %",
        "8.0 GB of 32.0 GB (25 %), 1.5 GB swapped out",
        "500 GB of 1.0 TB, reading 0 B/s, writing 1.2 MB/s",
        "87 % busy, 70.0 GB of 140 GB (50 %), 61 °C, 320 W of 700 W, NVIDIA H200",
    ]


def test_loads_are_drawn_between_0_and_100_and_the_highest_of_each_share_counts() -> None:
    assert load_spark((0.0, 50.0, 100.0), 3) == "▁▅█"
    assert load_spark((0.0, 100.0, 0.0, 0.0), 2) == "█▁"


# --- on a terminal -------------------------------------------------------------------------------------------------


@dataclass
class Terminal:
    """A pseudo-terminal with ``python -m monitor watch`` in it, and everything it wrote."""

    control: int
    line: int
    process: subprocess.Popen[bytes]
    output: bytes = b""

    def read_until(self, *wanted: bytes, seconds: float = 30.0) -> None:
        """Read until all of it has come since the last call."""
        begin, deadline = len(self.output), time.monotonic() + seconds
        while not all(words in self.output[begin:] for words in wanted):
            ready, _, _ = select.select([self.control], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{wanted!r} did not arrive in {self.output[begin:]!r}"
            self.output += os.read(self.control, 65536)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.line, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)  # the kernel tells the session's own terminal only

    def wait_until_stopped(self, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while os.waitpid(self.process.pid, os.WNOHANG | os.WUNTRACED) == (0, 0):
            assert time.monotonic() < deadline, "the process was not stopped"
            time.sleep(0.01)

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.line)[3] & termios.ECHO)


@contextmanager
def watching(directory: Path, *arguments: str) -> Iterator[Terminal]:
    """Yield a terminal of 80 × 24 in which a watch with a refresh of an hour has begun, unless told otherwise."""
    control, line = pty.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [
        sys.executable,
        "-m",
        "monitor",
        "watch",
        "--logdir",
        str(directory),
        *(arguments or ("--refresh", "3600")),
    ]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    process = subprocess.Popen(command, stdin=line, stdout=line, stderr=line, env=environment, cwd=directory)
    try:
        yield Terminal(control, line, process)
    finally:
        process.kill()
        process.wait(30)
        os.close(control)
        os.close(line)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    # runs/
    #   a/events…   train/loss of 3 epochs
    write_scalars(tmp_path / "runs" / "a" / event_file_name(), rows("train/loss", [1.0, 0.75, 0.5]))
    return tmp_path / "runs"


@pytest.mark.parametrize(("ends_with", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)], ids=["Ctrl+C", "kill"])
def test_leaving_restores_the_terminal_at_once(runs: Path, ends_with: signal.Signals, code: int) -> None:
    with watching(runs) as terminal:
        terminal.read_until(*(title.encode() for title in PANELS))
        assert not terminal.echoes()
        began = time.monotonic()
        terminal.process.send_signal(ends_with)
        terminal.read_until(b"\x1b[?7h", b"\x1b[?25h", b"\x1b[?1049l")
        assert terminal.process.wait(30) == code
        assert time.monotonic() - began < 5
        assert terminal.echoes()
    assert terminal.output.endswith(b"\x1b[?1049l")  # no message, no traceback behind it


def test_a_resize_is_followed_at_once(runs: Path) -> None:
    with watching(runs) as terminal:
        terminal.read_until(b"checkpoints")
        terminal.resize(160, 45)
        terminal.read_until(b"curves", seconds=10)
        terminal.resize(40, 10)
        terminal.read_until("── checkpoints".encode(), seconds=10)


def test_the_age_ticks_without_a_new_look_and_nothing_else_is_written(runs: Path) -> None:
    write_scalars(runs / "now" / event_file_name(), [("train/loss", 0, 1.0, time.time())])
    with watching(runs) as terminal:
        terminal.read_until(b"checkpoints")
        terminal.read_until(b" s ago", seconds=10)
        before = len(terminal.output)
        terminal.read_until(b" s ago", seconds=10)
    assert b"metrics" not in terminal.output[before:]


def test_a_suspended_dashboard_gives_the_screen_back_and_returns(runs: Path) -> None:
    with watching(runs) as terminal:
        terminal.read_until(b"checkpoints")
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.read_until(b"\x1b[?1049l", seconds=10)
        terminal.wait_until_stopped()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.read_until(b"\x1b[?1049h", b"metrics", seconds=10)


def test_waiting_goes_on_when_a_run_appears(tmp_path: Path) -> None:
    with watching(tmp_path, "--refresh", "0.2") as terminal:
        terminal.read_until(b"waiting")
        path = write_scalars(tmp_path / "new" / event_file_name(), rows("train/loss", [1.0, 0.5]))
        terminal.read_until(b"0.5", seconds=10)
        append(path, scalar("train/loss", 2, 0.125, NOW))
        terminal.read_until(b"0.125", seconds=10)
