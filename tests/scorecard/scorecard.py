"""The score card of the health module: ``python tests/scorecard/scorecard.py [--part open|apart|all] [--seeds N]``.

Draws the synthetic runs (layer A), reads the recorded trainings (layer B), replays each as somebody saw it live, and
prints as Markdown how often the health module is right, beside losslint on the same runs. Of the open part it lists
what was missed and what was wrong, for whoever writes rules; of the part kept apart it prints figures only.
"""

import argparse
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from monitor.health import Assessor, Evidence, assess  # noqa: E402
from monitor.schema import Health, Points, Roles, RoleTag, RunState  # noqa: E402
from tests.scorecard import judging  # noqa: E402
from tests.scorecard.judging import Delay, Figures, Interval, RunVerdict  # noqa: E402
from tests.scorecard.peer import PeerVerdict, judge_by_peer  # noqa: E402
from tests.scorecard.recorded import read_runs, watched_health  # noqa: E402
from tests.scorecard.replay import SETTINGS, replay_live  # noqa: E402
from tests.scorecard.runs import Layer, Part  # noqa: E402
from tests.scorecard.synthetic import draw_runs  # noqa: E402
from tests.scorecard.variations import VARIATIONS, verdict_of  # noqa: E402

SEEDS = 2
LONG = 1_000_000
LAYERS: tuple[tuple[Layer, str], ...] = (("synthetic", "synthetic"), ("real", "real"))


@dataclass(frozen=True)
class Judged:
    """The verdicts of both judges on the same runs.

    Args:
        ours: Of the health module.
        peers: Of losslint, in the same order.
        watched: Recorded runs of which the product itself said what the replay said, of how many.
        robust: Variation → runs with the same verdict.
    """

    ours: tuple[RunVerdict, ...]
    peers: tuple[PeerVerdict, ...]
    watched: Interval
    robust: dict[str, Interval]

    def of_layer(self, layer: Layer) -> "Judged":
        """Return the verdicts on one layer."""
        pairs = [pair for pair in zip(self.ours, self.peers, strict=True) if pair[0].run.layer == layer]
        return replace(self, ours=tuple(one for one, _ in pairs), peers=tuple(one for _, one in pairs))


def judge_part(part: Part, seeds: int) -> Judged:
    """Judge every run of a part."""
    ours, peers, same = [], [], []
    for run in (*draw_runs(part, range(seeds)), *read_runs(part)):
        replay = replay_live(run)
        ours.append(judging.judge(replay))
        peers.append(judge_by_peer(run))
        if run.path is not None:
            same.append(_without_saves(watched_health(run)) == _without_saves(replay.at_once.assessment.health))
    return Judged(tuple(ours), tuple(peers), Interval(sum(same), len(same)), _robustness(ours))


def _without_saves(health: Health) -> tuple[str, ...]:
    """Return the findings as text, but for those about checkpoints, which only the replay has."""
    kept = [replace(one, advice="") for one in health.findings if not one.kind.startswith("checkpoint")]
    return tuple(map(repr, kept))


def _robustness(verdicts: Sequence[RunVerdict]) -> dict[str, Interval]:
    """Return how often a run that is logged otherwise gets the verdict it had; of synthetic runs one seed counts."""
    chosen = [one for one in verdicts if one.run.layer == "real" or one.run.seed == 0]
    found: dict[str, list[bool]] = {variation.name: [] for variation in VARIATIONS}
    for verdict in chosen:
        before = (not verdict.missed, bool(verdict.wrong))
        for variation in VARIATIONS:
            run = variation.of(verdict.run)
            if run is not None:
                found[variation.name].append(verdict_of(run) == before)
    return {name: Interval(sum(same), len(same)) for name, same in found.items()}


# --- tables ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Demand:
    """One line of the table of demands.

    Args:
        name: What is demanded.
        bound: The demand in words.
        figure: The figure as text.
        met: Whether it is reached; None where there is nothing to measure.
        peer: The figure of losslint.
    """

    name: str
    bound: str
    figure: str
    met: bool | None
    peer: str = "–"

    def row(self) -> str:
        """Return the line of the table."""
        met = {True: "yes", False: "**no**", None: "–"}[self.met]
        return f"| {self.name} | {self.bound} | {self.figure} | {met} | {self.peer} |"


def demands(judged: Judged) -> Iterator[Demand]:
    """Yield the demands on a set of runs, each with its figure."""
    figures = Figures(judged.ours)
    weakest = min(figures.kinds, key=lambda kind: figures.recall_of(kind).share, default="–")
    yield Demand("recall over all faults", "≥ 90 %", *_at_least(figures.recall, 0.9), _peer_recall(judged))
    yield Demand(f"recall of the weakest kind ({weakest})", "≥ 75 %", *_at_least(figures.recall_of(weakest), 0.75))
    live, peer_live = figures.false_alarms_live, _peer_alarms(judged, lambda one: one.wrong)
    yield Demand("healthy runs with a live alarm", "≤ 5 %", *_at_most(live, 0.05), peer_live)
    end, peer_end = figures.false_alarms_at_end, _peer_alarms(judged, lambda one: one.wrong_at_end)
    yield Demand("healthy runs with an alarm at the end", "≤ 5 %", *_at_most(end, 0.05), peer_end)
    yield Demand("precision of alarms", "≥ 92 %", *_at_least(figures.precision, 0.92), _peer_precision(judged))
    yield from _delay_demands(figures)
    runs = len(judged.ours)
    yield Demand(
        "findings opened again", "≤ 1 per 50 runs", f"{figures.reopened} in {runs}", figures.reopened * 50 <= runs
    )
    announced = f"{figures.announced} in {runs} runs, {figures.repeated} repeated"
    peer_announced = str(sum(one.announced for one in judged.peers))
    yield Demand("announcements", "one per finding and escalation", announced, figures.repeated == 0, peer_announced)
    yield Demand("score in the right band", "≥ 95 %", *_at_least(figures.bands, 0.95))
    yield Demand("live = read at once", "always", *_at_least(figures.identical, 1.0))


def _delay_demands(figures: Figures) -> Iterator[Demand]:
    for wanted, name, most in (
        ("value", "delay of values that are no numbers", 1),
        ("spike", "delay of spikes", 3),
        ("restart", "delay of restarts", 5),
    ):
        delays = figures.delays(wanted)
        worst = max((delay.points for delay in delays), default=0)
        text = f"median {judging.median_points(delays):.0f}, worst {worst} points" if delays else "–"
        met = worst <= most if delays else None
        yield Demand(name, f"≤ {most} points", text, met)
    divergence, gradual = figures.delays("divergence"), figures.delays("gradual")
    worst_share = max((delay.share for delay in divergence), default=math.nan)
    met = worst_share <= 0.05 if divergence else None
    yield Demand("delay of divergence", "≤ 5 % of the run", _shares(divergence), met)
    met = judging.median_share(gradual) <= 0.1 if gradual else None
    yield Demand("delay of gradual faults", "median ≤ 10 % of the run", _shares(gradual), met)


def _shares(delays: Sequence[Delay]) -> str:
    worst = max((delay.share for delay in delays), default=math.nan)
    return f"median {judging.median_share(delays):.1%}, worst {worst:.0%} of the run" if delays else "–"


def _at_least(interval: Interval, bound: float) -> tuple[str, bool | None]:
    return str(interval), interval.share >= bound if interval.of else None


def _at_most(interval: Interval, bound: float) -> tuple[str, bool | None]:
    return str(interval), interval.share <= bound if interval.of else None


def _peer_recall(judged: Judged) -> str:
    faulty = [one for one in judged.peers if not one.run.healthy]
    return str(Interval(sum(one.found for one in faulty), len(faulty)))


def _peer_alarms(judged: Judged, wrong: Callable[[PeerVerdict], Sequence[str]]) -> str:
    healthy = [one for one in judged.peers if one.run.healthy]
    return str(Interval(sum(bool(wrong(one)) for one in healthy), len(healthy)))


def _peer_precision(judged: Judged) -> str:
    right, wrong = sum(one.right for one in judged.peers), sum(len(one.wrong) for one in judged.peers)
    return str(Interval(right, right + wrong))


def demand_table(judged: Judged) -> str:
    """Return the demands with their figures."""
    rows = [demand.row() for demand in demands(judged)]
    return "\n".join(["| | demand | health | reached | losslint |", "|---|---|---|---|---|", *rows])


def kind_table(judged: Judged) -> str:
    """Return recall, precision and delay of every kind, beside the recall of losslint."""
    figures = Figures(judged.ours)
    rows = [_kind_row(figures, judged, kind) for kind in figures.kinds]
    head = "| fault | recall | precision | delay, points | delay, run | losslint finds |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _kind_row(figures: Figures, judged: Judged, kind: str) -> str:
    peers = [one for one in judged.peers if any(fault.kind == kind for fault in one.run.faults)]
    delays = figures.delays_of(kind)
    points = f"{judging.median_points(delays):.0f}" if delays else "–"
    share = f"{judging.median_share(delays):.1%}" if delays else "–"
    cells = [f"`{kind}`", str(figures.recall_of(kind)), str(figures.precision_of(kind)), points, share]
    return f"| {' | '.join([*cells, str(Interval(sum(one.found for one in peers), len(peers)))])} |"


def robustness_table(judged: Judged) -> str:
    """Return how often a run that is logged otherwise keeps its verdict."""
    rows = [f"| {name} | {interval} |" for name, interval in judged.robust.items()]
    return "\n".join(["| logged otherwise | same verdict |", "|---|---|", *rows])


def mistakes(judged: Judged) -> Iterator[str]:
    """Yield a line for each run that was not judged right in everything."""
    for one in judged.ours:
        told = [f"missed {fault.kind}" for fault in one.missed]
        told += [f"wrong {finding.severity} {finding.id}" for finding in one.wrong]
        told += [] if one.band_right else [f"lowest score {one.lowest}"]
        told += [f"{one.reopened} opened again"] if one.reopened else []
        told += [] if one.identical else ["live and at once differ"]
        if told:
            yield f"- {one.run.layer} `{one.run.name}`: {'; '.join(told)}"


# --- speed ----------------------------------------------------------------------------------------------------------


def measure_speed(count: int = LONG) -> tuple[float, float]:
    """Return the seconds of a full judgement of a run with so many points, and of one tick with a new point."""
    random = np.random.default_rng(0)
    loss = (2 + 6 * (1 + np.arange(count + 1)) ** -0.3) * np.exp(random.normal(0, 0.05, count + 1))
    columns = {"train/loss": loss, "train/lr": np.full(count + 1, 3e-4), "train/grad_norm": np.abs(loss) ** 0.5}
    step, session = np.arange(count + 1, dtype=np.int64), np.zeros(count + 1, np.int16)
    wall = 1_700_000_000.0 + step * 0.5
    every = {tag: Points(step, wall, values, session) for tag, values in columns.items()}
    begun = {tag: one.take(slice(0, count)) for tag, one in every.items()}
    assessor, now = Assessor(), float(wall[-1])
    whole = _seconds(lambda: assessor.assess(_evidence(begun), SETTINGS, now))
    return whole, _seconds(lambda: assessor.assess(_evidence(every), SETTINGS, now))


def _evidence(series: dict[str, Points]) -> Evidence:
    roles = Roles(
        loss=RoleTag("train/loss", "loss"),
        learning_rate=RoleTag("train/lr", "learning rate", None),
        gradient_norm=RoleTag("train/grad_norm", "gradient norm", None),
    )
    return Evidence(roles, series, RunState("running", "The last event came 1 s ago; usually one comes every 0.5 s."))


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def speed_table() -> str:
    """Return the speed as a table."""
    assess(_evidence({}), SETTINGS, 0.0)  # what is imported late is not measured
    whole, tick = measure_speed()
    rows = [
        Demand("full replay of a million points in three series", "≤ 5 s", f"{whole:.2f} s", whole <= 5).row(),
        Demand("one tick at a million points", "≤ 50 ms", f"{1000 * tick:.0f} ms", tick <= 0.05).row(),
    ]
    return "\n".join(["| | demand | health | reached | losslint |", "|---|---|---|---|---|", *rows])


# --- the whole ------------------------------------------------------------------------------------------------------


def print_part(part: Part, seeds: int) -> None:
    """Judge a part and print its tables."""
    judged = judge_part(part, seeds)
    print(f"\n## The {'open part' if part == 'open' else 'part kept apart'}\n")
    for layer, name in LAYERS:
        of_layer = judged.of_layer(layer)
        healthy = sum(one.run.healthy for one in of_layer.ours)
        print(f"### {name.capitalize()} runs: {len(of_layer.ours) - healthy} with a fault, {healthy} healthy\n")
        print(demand_table(of_layer), "\n")
        print(kind_table(of_layer), "\n")
    print(robustness_table(judged), "\n")
    print(f"The product, reading the recorded files, says the same as the replay: {judged.watched}.")
    if part == "open":
        print("\n### What was not right\n", *mistakes(judged), sep="\n")


def main(arguments: Sequence[str]) -> None:
    """Print the score card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["open", "apart", "all"], default="open")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="synthetic runs of each recipe")
    chosen = parser.parse_args(arguments)
    parts: tuple[Part, ...] = ("open", "apart") if chosen.part == "all" else (chosen.part,)
    began = time.process_time()
    print("# Score card of the health module\n")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}. Intervals are of 95 %.\n")
    print(speed_table())
    for part in parts:
        print_part(part, chosen.seeds)
    print(f"\nMade in {time.process_time() - began:.0f} s of processor time.")


if __name__ == "__main__":
    main(sys.argv[1:])
