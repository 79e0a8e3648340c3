"""Layer B: the recorded trainings with their labels, read on the road of the product."""

import json
from collections.abc import Iterator
from pathlib import Path

from monitor.schema import Health
from monitor.sources.reader import RunReader
from monitor.watch import RunWatch
from tests.scorecard.runs import Fault, LabelledRun, Part
from tests.scorecard.trainings import LABELS, RECORDINGS, SEED


def read_runs(part: Part, directory: Path = RECORDINGS) -> Iterator[LabelledRun]:
    """Yield the recorded runs of a part, in the order of their names."""
    labels = json.loads((directory / LABELS).read_text(encoding="utf-8"))
    for name, label in sorted(labels.items()):
        if label["part"] == part:
            yield LabelledRun(
                recipe=name.partition("/")[2],
                seed=SEED,
                layer="real",
                part=part,
                scalars=RunReader(directory / name).refresh(),
                faults=tuple(Fault(one["kind"], one["onset_step"]) for one in label["faults"]),
                silence_seconds=label["silence_seconds"],
                path=directory / name,
            )


def watched_health(run: LabelledRun) -> Health:
    """Return what the product itself says of a recorded run, `silence_seconds` after its last event.

    The checkpoints of the training were not recorded.

    Raises:
        ValueError: The run was drawn, not recorded.
    """
    if run.path is None:
        raise ValueError(f"the run {run.name} is no recording")
    now = (run.scalars.last_event or 0.0) + run.silence_seconds
    return RunWatch(run.path, log_directory=run.path).refresh(now).health
