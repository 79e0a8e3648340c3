"""A labelled run: what was logged, which faults it holds, and what counts as naming them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from monitor.schema import Band, Configuration, Scalars, Severity

Part = Literal["open", "apart"]
Layer = Literal["synthetic", "real"]
Delay = Literal["value", "spike", "restart", "divergence", "gradual", "none"]

WORSE = ("divergence", "rising", "level_shift", "spike", "oscillation", "lr_schedule")


@dataclass(frozen=True)
class Meaning:
    """What a fault of one kind does to a run, in the words of the health module.

    Args:
        named: Kinds that name the fault; one of them must be found.
        follows: Kinds that are right beside it, because the fault brings them about.
        bands: Where the lowest score after the onset belongs.
        delay: Which demand on the delay holds.
        least: Mildest severity at which the fault counts as found.
    """

    named: tuple[str, ...]
    follows: tuple[str, ...]
    bands: tuple[Band, ...]
    delay: Delay
    least: Severity = "warning"


# A loss that gets worse for good may be called by the way it happened or by how bad it is: a level reached in one
# jump that is as high as the start is a shift and a divergence. A spike that recovers is neither.
MEANINGS: Mapping[str, Meaning] = {
    "non_finite": Meaning(("non_finite",), (*WORSE, "gradient_explosion"), ("abnormal",), "value"),
    "dead_value": Meaning(
        ("dead_value",),
        ("stuck", "gradient_vanishing", "level_shift"),
        ("abnormal", "problems"),
        "gradual",
    ),
    "divergence": Meaning(
        ("divergence", "level_shift", "rising", "non_finite"),
        (*WORSE, "gradient_explosion", "stuck", "non_finite"),
        ("abnormal", "problems"),
        "divergence",
    ),
    "rising": Meaning(("rising", "divergence"), (*WORSE, "gradient_explosion"), ("normal", "problems"), "gradual"),
    "spike": Meaning(
        ("spike",), ("level_shift", "gradient_explosion", "rising"), ("excellent", "normal", "problems"), "spike"
    ),
    "level_shift": Meaning(
        ("level_shift", "divergence", "rising"),
        (*WORSE, "gradient_explosion"),
        ("problems", "normal", "abnormal"),
        "gradual",
    ),
    "stuck": Meaning(
        ("stuck",), ("gradient_vanishing", "train_val_gap", "lr_low", "dead_value"), ("normal", "problems"), "none"
    ),
    "oscillation": Meaning(("oscillation",), WORSE, ("normal", "problems"), "gradual"),
    "overfitting": Meaning(("overfitting",), ("train_val_gap",), ("normal", "problems"), "gradual"),
    "train_val_gap": Meaning(("train_val_gap", "overfitting"), ("stuck",), ("normal", "problems"), "none"),
    "gradient_explosion": Meaning(("gradient_explosion",), WORSE, ("normal", "problems"), "gradual"),
    "gradient_vanishing": Meaning(("gradient_vanishing",), ("stuck", "lr_low", "dead_value"), ("problems",), "gradual"),
    "lr_low": Meaning(
        ("lr_low", "lr_schedule"), ("stuck", "gradient_vanishing"), ("normal", "problems", "abnormal"), "gradual"
    ),
    "lr_schedule": Meaning(
        ("lr_schedule",),
        (*WORSE, "gradient_explosion", "lr_low", "restart"),
        ("normal", "problems", "abnormal"),
        "gradual",
    ),
    "loss_scale": Meaning(("loss_scale",), ("non_finite", "gradient_explosion"), ("normal", "problems"), "gradual"),
    "restart": Meaning(("restart", "level_shift"), (*WORSE, "lr_schedule"), ("normal", "problems"), "restart"),
    "step_integrity": Meaning(
        ("step_integrity",), ("restart",), ("normal", "problems", "excellent"), "none", least="notice"
    ),
    "stalled": Meaning(("stalled",), (), ("normal", "problems"), "none"),
    "slowdown": Meaning(("slowdown",), (), ("normal", "problems"), "gradual"),
}


@dataclass(frozen=True)
class Fault:
    """A fault, by its effect on the run.

    Args:
        kind: A key of `MEANINGS`.
        onset_step: First step that shows it; None where no step tells.
        bands: Where the lowest score belongs, when the effect is other than usual for the kind.
    """

    kind: str
    onset_step: int | None
    bands: tuple[Band, ...] = ()

    @property
    def meaning(self) -> Meaning:
        """What the fault does."""
        return MEANINGS[self.kind]

    @property
    def allowed_bands(self) -> tuple[Band, ...]:
        """Where the lowest score after the onset belongs."""
        return self.bands or self.meaning.bands


@dataclass(frozen=True, eq=False)
class LabelledRun:
    """One run and the truth about it.

    Args:
        recipe: What made it; runs of one recipe differ by seed only.
        seed: Which of them.
        layer: Drawn from formulas, or a real training.
        part: Open to whoever writes rules, or kept apart from them.
        scalars: What was logged, superseded points included.
        faults: Empty for a healthy run.
        tolerated: Kinds that are true of it for a while although it is healthy, so neither right nor wrong.
        silence_seconds: Time between the last event and the last look.
        configuration: What lies beside the run.
        path: Its directory, where it was recorded.
    """

    recipe: str
    seed: int
    layer: Layer
    part: Part
    scalars: Scalars
    faults: tuple[Fault, ...] = ()
    tolerated: tuple[str, ...] = ()
    silence_seconds: float = 1.0
    configuration: Configuration = field(default_factory=Configuration)
    path: Path | None = None

    @property
    def name(self) -> str:
        """The recipe with the seed."""
        return f"{self.recipe}#{self.seed}"

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.faults
