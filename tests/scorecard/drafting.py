"""The desk at which labelled series are drawn: what varies from seed to seed, and the log they are written into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from monitor.schema import Configuration, Points, Scalars, Session
from tests.scorecard.runs import Fault, LabelledRun, Part

Floats = npt.NDArray[np.float64]

START = 1_700_000_000.0
LENGTHS = (0.3, 3.0)
NOISES = (0.5, 2.0)
ONSETS = (0.2, 0.8)
SHORTEST = 40


class Draw:
    """What is left to chance in a recipe, all of it from one seed."""

    def __init__(self, recipe: str, seed: int) -> None:
        self.random = np.random.default_rng([*recipe.encode(), seed])

    def length(self, typical: int) -> int:
        """Return a number of points, ×0.3 to ×3 of the typical one."""
        return max(round(typical * self.between(*LENGTHS)), SHORTEST)

    def onset(self, count: int) -> int:
        """Return the point at which a fault begins, after 20–80 % of the run."""
        return int(count * self.random.uniform(*ONSETS))

    def noise(self, typical: float) -> float:
        """Return a deviation, ×0.5 to ×2 of the typical one."""
        return typical * self.between(*NOISES)

    def between(self, low: float, high: float) -> float:
        """Return a positive figure, each of its doublings as likely as the others."""
        return float(np.exp(self.random.uniform(np.log(low), np.log(high))))

    def rough(self, level: Floats, typical: float) -> Floats:
        """Return the level with noise in proportion to it."""
        return level * np.exp(self.random.normal(0, self.noise(typical), len(level)))

    def shaken(self, level: Floats, typical: float) -> Floats:
        """Return the level with noise of one deviation everywhere."""
        return level + self.random.normal(0, self.noise(typical), len(level))

    def wandering(self, level: Floats, typical: float, memory: float = 0.9) -> Floats:
        """Return the level with noise that forgets slowly, as a loss averaged over the last batches has it."""
        steps = self.random.normal(0, self.noise(typical) * np.sqrt(1 - memory**2), len(level))
        noise = np.zeros(len(level))
        for place in range(1, len(level)):
            noise[place] = memory * noise[place - 1] + steps[place]
        return level + noise


def share(count: int) -> Floats:
    """Return how much of the run is done at each of its points, 0 to 1."""
    return np.linspace(0.0, 1.0, count)


def falling(count: int, high: float = 2.5, low: float = 0.4, speed: float = 5.0) -> Floats:
    """Return a loss that approaches `low` ever more slowly."""
    return low + (high - low) * np.exp(-speed * share(count))


def power_law(count: int, high: float = 9.0, low: float = 2.0, exponent: float = 0.35) -> Floats:
    """Return the loss of a language model: fast at first, and never quite done."""
    return low + (high - low) * (1 + np.arange(count) * 1000 / count) ** -exponent


def two_phases(count: int, high: float = 2.3, low: float = 0.3, middle: float = 0.15) -> Floats:
    """Return a loss that waits, drops, and then goes on slowly."""
    return low * (1.3 - 0.3 * share(count)) + (high - low) / (1 + np.exp((share(count) - middle) * 40))


def ramp(count: int, begin: int, end: int | None = None) -> Floats:
    """Return 0 up to point `begin`, then a straight line to 1 at point `end` (the last by default)."""
    return np.clip((np.arange(count) - begin) / max((end or count - 1) - begin, 1), 0.0, 1.0)


def after(count: int, begin: int) -> npt.NDArray[np.bool_]:
    """Return which points come at `begin` or later."""
    return np.arange(count) >= begin


@dataclass
class Log:
    """What a trainer logs: one clock of steps, series on all of its points or on evaluations only.

    Args:
        draw: Chance.
        count: Points of the clock.
        every: Steps between two of them.
        seconds: Seconds one point takes, give or take a few percent.
        slower: Factors on that, shape ``(count,)``.
        first: Step of the first point.
    """

    draw: Draw
    count: int
    every: int = 1
    seconds: float = 4.0
    slower: Floats | None = None
    first: int = 0
    values: dict[str, tuple[npt.NDArray[np.intp], Floats]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw the times of the points."""
        gaps = self.seconds * np.exp(self.draw.random.normal(0, 0.04, self.count))
        self.wall: Floats = START + np.cumsum(gaps if self.slower is None else gaps * self.slower)
        self.step = self.first + np.arange(self.count, dtype=np.int64) * self.every
        self.session = np.zeros(self.count, dtype=np.int16)
        self.paths = ["events.out.tfevents.1700000000.host.1.0"]

    def put(self, tag: str, values: Floats) -> "Log":
        """Log a value at every point."""
        self.values[tag] = (np.arange(self.count), np.asarray(values, np.float64))
        return self

    def evaluate(self, tag: str, values: Floats) -> "Log":
        """Log values spread evenly over the run, the last one at its end."""
        self.values[tag] = (self.rows_of(len(values)), np.asarray(values, np.float64))
        return self

    def rows_of(self, evaluations: int) -> npt.NDArray[np.intp]:
        """Return the points of the clock at which so many evaluations lie."""
        return (np.arange(1, evaluations + 1) * self.count // evaluations - 1).astype(np.intp)

    def pause(self, row: int, seconds: float) -> "Log":
        """Let nothing happen for a while before a point."""
        self.wall[row:] += seconds
        return self

    def restart(self, row: int, back: int, seconds: float = 60.0, *, same_file: bool = False) -> "Log":
        """From point `row` on the steps go on `back` points further back, in a new session."""
        self.step[row:] -= back * self.every
        self.session[row:] += 1
        self.paths.append(self.paths[-1] if same_file else f"events.out.tfevents.{1700000001 + row}.host.2.0")
        return self.pause(row, seconds)

    def scalars(self) -> Scalars:
        """Return everything logged, as a reader delivers it."""
        series = {
            tag: self._points(rows, values, late) for late, (tag, (rows, values)) in enumerate(self._ordered().items())
        }
        ends = [float(one.wall_time[-1]) for one in series.values() if len(one)]
        return Scalars(
            series=series,
            sessions=self._sessions(),
            first_event=float(self.wall[0]),
            last_event=max(ends),
            version=1,
        )

    def _ordered(self) -> Mapping[str, tuple[npt.NDArray[np.intp], Floats]]:
        return dict(sorted(self.values.items()))

    def _points(self, rows: npt.NDArray[np.intp], values: Floats, late: int) -> Points:
        return Points(self.step[rows], self.wall[rows] + 0.001 * late, values, self.session[rows])

    def _sessions(self) -> tuple[Session, ...]:
        begins = [int(np.flatnonzero(self.session == number)[0]) for number in np.unique(self.session)]
        return tuple(
            Session(number, self.paths[number], float(self.wall[row]), int(self.step[row]))
            for number, row in enumerate(begins)
        )


@dataclass(frozen=True)
class Drawn:
    """A run as its recipe drew it: the log and the truth."""

    log: Log
    faults: tuple[Fault, ...] = ()
    tolerated: tuple[str, ...] = ()
    silence_seconds: float = 1.0
    planned_steps: int | None = None


Recipe = Callable[[Draw], Drawn]


def draw_run(name: str, recipe: Recipe, part: Part, seed: int) -> LabelledRun:
    """Return the run that a recipe draws for a seed; the same one every time."""
    drawn = recipe(Draw(name, seed))
    planned = {} if drawn.planned_steps is None else {"max_steps": drawn.planned_steps}
    return LabelledRun(
        recipe=name,
        seed=seed,
        layer="synthetic",
        part=part,
        scalars=drawn.log.scalars(),
        faults=drawn.faults,
        tolerated=drawn.tolerated,
        silence_seconds=drawn.silence_seconds,
        configuration=Configuration(planned),
    )


def recipes_of(*functions: Recipe) -> Mapping[str, Recipe]:
    """Return the recipes by name."""
    return {function.__name__: function for function in functions}
