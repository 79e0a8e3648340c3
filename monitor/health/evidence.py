"""What the rules judge: the visible points of one run and what is known beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.schema import Checkpoints, Points, Progress, Roles, RunState, Sample, Session


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Everything a judgement rests on; nothing else is looked at.

    Args:
        roles: Which tag means what.
        series: Tag → its visible points: superseded points are already hidden. Tags without a role are not read.
        sessions: The stretches of the run, in order.
        state: Whether the run is alive.
        samples: Readings of this machine, oldest first.
        checkpoints: What is saved.
        progress: How far the run is, and what is planned.
    """

    roles: Roles
    series: Mapping[str, Points]
    state: RunState
    sessions: tuple[Session, ...] = ()
    samples: tuple[Sample, ...] = ()
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    progress: Progress = field(default_factory=Progress)

    @property
    def first_epoch_step(self) -> int | None:
        """Step that stands for the first epoch, where one step is one epoch; None where steps are not epochs."""
        return self.progress.first_epoch_step
