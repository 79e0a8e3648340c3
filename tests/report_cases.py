"""Three runs as inputs of a report, the same everywhere: files with fixed times and a machine that is recorded."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from monitor.comparison import compare_statuses
from monitor.comparison_report import comparison_report
from monitor.document import Document
from monitor.html import render_html
from monitor.markdown import render_markdown
from monitor.report import ReportContext, run_report
from monitor.schema import GpuSample, Sample
from monitor.settings import Settings
from monitor.sources.resources import ResourceSampler
from monitor.status import RunStatus
from monitor.watch import RunWatch
from tests.builders import (
    START_SECOND,
    Row,
    event_file_name,
    healthy_loss,
    nan_at,
    overfitting_losses,
    rows,
    write_scalars,
)

GOLD = Path(__file__).parent / "gold"
N_EPOCHS = 100
NOW = START_SECOND + N_EPOCHS * 10.0 + 600.0
N_SAMPLES = 30


class RecordedMachine(ResourceSampler):
    """The readings of a machine with one GPU; the machine that runs the test is not asked."""

    def sample(self, now: float, disk: Path | None = None) -> Sample:
        return self.history()[-1]

    def history(self) -> tuple[Sample, ...]:
        return tuple(_sample(number) for number in range(N_SAMPLES))


def _sample(number: int) -> Sample:
    return Sample(
        wall_time=NOW - 2.0 * (N_SAMPLES - 1 - number),
        cpu_percent=20.0 + number % 5,
        memory_used_bytes=8_000_000_000,
        memory_total_bytes=32_000_000_000,
        disk_free_bytes=500_000_000_000,
        disk_total_bytes=900_000_000_000,
        gpus=(GpuSample(0, "NVIDIA H200", 80.0 + number % 7, 70_000_000_000, 140_000_000_000, 61.0),),
    )


def make_run(directory: Path, name: str, points: list[Row], configuration: str, saved: tuple[str, ...]) -> RunStatus:
    """Write a run and return its status at `NOW`; nothing in it tells where it was written."""
    # directory/
    #   name/
    #     config.yaml   events.out.tfevents…   epoch40/model.pt …
    run = directory / name
    write_scalars(run / event_file_name(), points, seconds_per_step=10.0)
    (run / "config.yaml").write_text(configuration)
    for number, checkpoint in enumerate(saved, 1):
        file = run / checkpoint / "model.pt"
        file.parent.mkdir()
        file.write_bytes(bytes(1000 * number))
        os.utime(file, (START_SECOND + 100.0 * number, START_SECOND + 100.0 * number))
    status = RunWatch(run, Settings(), name=name, sampler=RecordedMachine()).refresh(NOW)
    return replace(status, run=replace(status.run, path=f"/runs/{name}"))


def healthy_run(directory: Path) -> RunStatus:
    """Return a run that reached its planned end."""
    loss = healthy_loss(N_EPOCHS)
    points = rows("train/loss", loss) + rows("validation/task1_loss", loss * 1.1)
    points += rows("train/learning_rate", [1e-4] * N_EPOCHS)
    return make_run(directory, "pick/act/healthy", points, "training:\n  max_epoch: 100\n", ("epoch50", "epoch100"))


def sick_run(directory: Path) -> RunStatus:
    """Return a run that overfits and whose loss then is NaN."""
    training, validation = overfitting_losses(N_EPOCHS, 30)
    n_points = 80
    points = rows("train/loss", nan_at(training, 70)[:n_points])
    points += rows("validation/task1_loss", validation[:n_points])
    points += rows("train/learning_rate", [5e-2] * n_points)
    return make_run(directory, "pick/act/sick", points, "training:\n  max_epoch: 100\n", ("best", "epoch50"))


def seeded_runs(directory: Path) -> list[RunStatus]:
    """Return two configurations with two seeds each."""
    return [
        make_run(
            directory,
            f"{schedule}_seed{seed}",
            rows("train/loss", healthy_loss(40, seed, noise=0.01) * factor),
            f"schedule: {schedule}\nseed: {seed}\nmax_epoch: 40\n",
            (),
        )
        for schedule, factor in (("cosine", 1.0), ("linear", 1.2))
        for seed in (1, 2)
    ]


def one_report(status: RunStatus) -> Document:
    """Return the report of one run, made at `NOW`."""
    context = ReportContext(NOW, "python -m monitor report", samples=RecordedMachine().history())
    return run_report(status, context)


def several_report(statuses: list[RunStatus]) -> Document:
    """Return the comparison report, made at `NOW`."""
    found = compare_statuses(statuses, ["train/loss"] * len(statuses))
    return comparison_report(found, ReportContext(NOW, "python -m monitor report"))


CASES: Mapping[str, Callable[[Path], Document]] = {
    "healthy": lambda directory: one_report(healthy_run(directory)),
    "sick": lambda directory: one_report(sick_run(directory)),
    "comparison": lambda directory: several_report(seeded_runs(directory)),
}


def gold_texts(name: str, directory: Path) -> dict[str, str]:
    """Return the gold files of a case as they are now: Markdown, and HTML without its style and the lines of charts.

    The curves of a chart are numbers that another version of the drawing library may round differently.
    """
    document = CASES[name](directory)
    page = re.sub(r"<style>.*?</style>", "<style></style>", render_html(document), flags=re.DOTALL)
    page = re.sub(r"(<svg [^>]*>).*?</svg>", r"\1</svg>", page, flags=re.DOTALL)
    page = re.sub(r' viewBox="[^"]*"', "", page)
    page = re.sub(r"'sha256-[^']*'", "'sha256-…'", page)
    return {f"{name}.md": render_markdown(document), f"{name}.html": page}
