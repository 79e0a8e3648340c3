"""What a fault did to a training, as its healthy twin with the same seed tells: the truth the labels rest on.

Nothing here knows how the health module measures: an effect is a difference between two trainings that a person who
saw both would call clear.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Figures = Mapping[str, Sequence[tuple[int, float]]]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A fault that showed: from which step on, and how."""

    onset_step: int
    words: str


def steps_of(figures: Figures, name: str) -> npt.NDArray[np.int64]:
    """Return the steps of a series, in the order of logging."""
    return np.array([step for step, _ in figures.get(name, [])], dtype=np.int64)


def values_of(figures: Figures, name: str) -> Floats:
    """Return the values of a series, in the order of logging."""
    return np.array([value for _, value in figures.get(name, [])], dtype=np.float64)


def smoothed(values: Floats) -> Floats:
    """Return running medians of five; shorter series as they are."""
    if len(values) < 5:
        return values
    return np.median(np.lib.stride_tricks.sliding_window_view(values, 5), axis=1)


def learned_well(figures: Figures) -> bool:
    """Tell whether a training that was left alone improved, and kept what it had learned and what it had validated."""
    if "reward" in figures:
        reward = smoothed(values_of(figures, "reward"))
        return bool(reward[-10:].mean() > reward[:5].mean() + 0.8 * (reward.max() - reward[:5].mean()))
    if "g_loss" in figures:
        return bool(np.isfinite(values_of(figures, "g_loss")).all())
    loss, held_out = smoothed(values_of(figures, "loss")), smoothed(values_of(figures, "val_loss"))
    if not np.isfinite(loss).all():
        return False
    progress = loss[:3].mean() - loss.min()
    kept = loss[-5:].mean() < loss.min() + 0.1 * progress
    validated = not len(held_out) or held_out[-1] < held_out.min() + 0.02 * (held_out[0] - held_out.min())
    return bool(kept and validated)


def _split(figures: Figures, name: str, onset: int) -> tuple[Floats, Floats]:
    """Return the values before and after the onset."""
    steps, values = steps_of(figures, name), values_of(figures, name)
    return values[steps <= onset], values[steps > onset]


def _progress(twin: Figures, name: str = "loss") -> float:
    level = smoothed(values_of(twin, name))
    return float(abs(level[:3].mean() - level[-5:].mean()))


def _worse_by(figures: Figures, twin: Figures, name: str = "loss") -> float:
    """Return how much worse the end is than the twin's, in shares of the twin's progress; infinite for no number."""
    sign = -1 if name == "reward" else 1
    end, twin_end = (np.median(values_of(one, name)[-10:]) for one in (figures, twin))
    return float(np.nan_to_num(sign * (end - twin_end) / _progress(twin, name), nan=np.inf))


def _not_finite(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    name = "g_loss" if "g_loss" in figures else "loss"
    steps, values = steps_of(figures, name), values_of(figures, name)
    bad = np.flatnonzero(~np.isfinite(values))
    if not len(bad) or not np.isfinite(values_of(twin, name)).all():
        return None
    return Effect(int(steps[bad[0]]), f"no number from step {steps[bad[0]]} on; the twin has none")


def _diverged(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    name = "reward" if "reward" in figures else "loss"
    worse = _worse_by(figures, twin, name)
    return Effect(_first_worse(figures, twin, name, onset), f"lost {worse:.1f} of its progress") if worse > 1 else None


def _worse_for_good(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    worse = _worse_by(figures, twin)
    if not 0.2 <= worse < np.inf:
        return None
    return Effect(_first_worse(figures, twin, "loss", onset), f"lost {worse:.2f} of the twin's progress")


def _lost_on_resume(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    """Accept a resume whose first points lie far above the last ones before it."""
    first = _first_after(figures, "loss", onset)
    steps, values = steps_of(figures, "loss"), values_of(figures, "loss")
    begin = int(np.flatnonzero(steps == first)[-1])
    lost = float((np.median(values[begin : begin + 5]) - np.median(values[begin - 10 : begin])) / _progress(twin))
    return Effect(first, f"came back {lost:.2f} of the twin's progress worse") if lost > 0.25 else None


def _rose(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    """Accept a loss that has been climbing over at least a tenth of the run, with less than all progress lost."""
    later = _split(figures, "loss", onset)[1]
    worse = _worse_by(figures, twin)
    halves = smoothed(later)
    climbing = halves[len(halves) // 2 :].mean() > halves[: len(halves) // 2].mean()
    if not 0.2 < worse < 3 or not climbing:
        return None
    return Effect(_first_worse(figures, twin, "loss", onset), f"lost {worse:.2f} of the twin's progress, ever more")


def _spiked(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    before, later = _split(figures, "loss", onset)
    around = np.median(before[-20:])
    spread = np.median(np.abs(before[-20:] - around)) * 1.5
    height = later[:10].max() - around
    if height < max(0.4 * abs(around), 12 * spread) or _worse_by(figures, twin) > 0.1:
        return None
    return Effect(_first_after(figures, "loss", onset), f"{height / around:.1f} of the level high, and recovered")


def _did_not_learn(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    loss = smoothed(values_of(figures, "loss"))
    gained = (loss[:3].mean() - loss[-5:].mean()) / _progress(twin)
    return Effect(0, f"gained {gained:.2f} of the twin's progress") if gained < 0.05 else None


def _stopped_learning(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    worse = _worse_by(figures, twin)
    if worse < 0.02:
        return None
    return Effect(_first_after(figures, "loss", onset), f"ended {worse:.2f} of the twin's progress behind it")


def _gradient(least: float, most: float) -> Callable[[Figures, Figures, int], Effect | None]:
    def compare(figures: Figures, twin: Figures, onset: int) -> Effect | None:
        ratio = float(
            np.median(_split(figures, "grad_norm", onset)[1]) / np.median(_split(twin, "grad_norm", onset)[1])
        )
        if not least <= ratio <= most:
            return None
        return Effect(_first_after(figures, "grad_norm", onset), f"gradients {ratio:.2g} times those of the twin")

    return compare


def _overfitted(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    steps, held_out, loss = steps_of(figures, "val_loss"), values_of(figures, "val_loss"), values_of(figures, "loss")
    best = int(held_out.argmin())
    rise = held_out[-3:].mean() - held_out[best]
    if rise < 0.1 * abs(held_out[best]) or len(held_out) - best < 4 or loss[-5:].mean() > 0.9 * loss[:5].mean():
        return None
    accuracy = smoothed(values_of(figures, "val_accuracy"))
    if len(accuracy) and accuracy[-1] > accuracy.max() - 0.01:
        return None  # only the confidence is wrong
    return Effect(int(steps[best]), f"validation rose by {rise / abs(held_out[best]):.0%} of its best")


def _did_not_generalise(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    held_out = values_of(figures, "val_loss")
    gained = (held_out[0] - held_out.min()) / _progress(twin, "val_loss")
    return Effect(0, f"validation gained {gained:.2f} of the twin's progress") if gained < 0.05 else None


def _oscillated(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    """Accept a loss that crosses its own level again and again, in swings that dwarf those of the twin."""
    later, twin_later = (_split(one, "loss", onset)[1] for one in (figures, twin))
    level = np.median(later)
    crossings = int((np.diff(np.sign(later - level)) != 0).sum())
    swing, twin_swing = (float(np.subtract(*np.percentile(one, (90, 10)))) for one in (later, twin_later))
    if crossings < 8 or swing < max(0.3 * level, 3 * twin_swing):
        return None
    return Effect(
        _first_after(figures, "loss", onset), f"swings of {swing / level:.1f} of the level, {crossings} times"
    )


def _froze(figures: Figures, twin: Figures, onset: int) -> Effect | None:
    later = _split(figures, "loss", onset)[1]
    same = len(later) >= 30 and bool((later == later[0]).all())
    return Effect(_first_after(figures, "loss", onset), "the same value ever after") if same else None


def _as_injected(name: str) -> Callable[[Figures, Figures, int], Effect | None]:
    """Accept an injection that is its own effect: a learning rate, a clock or a silence that was made up."""

    def accept(figures: Figures, twin: Figures, onset: int) -> Effect | None:
        reached = bool((steps_of(figures, name) > onset).any())
        return Effect(_first_after(figures, name, onset) if reached else onset, "as injected")

    return accept


def _first_worse(figures: Figures, twin: Figures, name: str, onset: int) -> int:
    """Return the first step after the onset that lags the twin by a tenth of its progress, as most later ones do.

    A learner whose reward was turned around goes on for a while before it shows; one that swings gets better at times.
    """
    sign = -1 if name == "reward" else 1
    steps, values = steps_of(figures, name), values_of(figures, name)
    count = min(len(values), len(values_of(twin, name)))
    fine = sign * (values[:count] - values_of(twin, name)[:count]) <= 0.1 * _progress(twin, name)
    worse_later = 1 - np.cumsum(fine[::-1])[::-1] / np.arange(count, 0, -1)
    begun = np.flatnonzero(~fine & (worse_later > 0.8) & (steps[:count] > onset))
    return int(steps[begun[0]]) if len(begun) else _first_after(figures, name, onset)


def _first_after(figures: Figures, name: str, onset: int) -> int:
    """Return the first step that was logged after the onset; of a resumed run the first of its last session."""
    steps = steps_of(figures, name)
    back = np.flatnonzero(np.diff(steps) <= 0)
    if len(back):
        return int(steps[back[-1] + 1])
    return int(steps[steps > onset][0])


EFFECTS: Mapping[str, Callable[[Figures, Figures, int], Effect | None]] = {
    "non_finite": _not_finite,
    "divergence": _diverged,
    "level_shift": _worse_for_good,
    "restart": _lost_on_resume,
    "rising": _rose,
    "spike": _spiked,
    "stuck": _did_not_learn,
    "dead_value": _froze,
    "oscillation": _oscillated,
    "overfitting": _overfitted,
    "train_val_gap": _did_not_generalise,
    "gradient_explosion": _gradient(10, np.inf),
    "gradient_vanishing": _gradient(0, 1e-3),
    "lr_low": _stopped_learning,
    "lr_schedule": _as_injected("rate"),
    "slowdown": _as_injected("loss"),
    "stalled": _as_injected("loss"),
}
