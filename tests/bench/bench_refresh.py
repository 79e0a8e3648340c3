"""What a refresh costs when 100 scalars are new, by the history behind them: ``python tests/bench/bench_refresh.py``.

Makes runs of ten tags with 10³ to 10⁶ scalars, watches each while it grows, and prints the processor time of
`RunWatch.refresh`: median and slowest, split into the reader, the judgement of the health rules and the rest. Below it
the same for the judgement of one series alone, with one new point each time, and of its whole history at once. No
figure should grow with the history, but that of the whole.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from monitor import RunWatch  # noqa: E402
from monitor.health import Assessor  # noqa: E402
from monitor.settings import Settings  # noqa: E402
from monitor.sources.reader import RunReader  # noqa: E402
from tests import builders, health_series  # noqa: E402
from tests.bench import event_writing  # noqa: E402

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
REFRESHES = 40
NEW_STEPS = 10  # of ten tags
TEMPLATES = [event_writing.plain(tag) for tag in event_writing.TAGS]


class Clocked:
    """A method whose processor time is added up."""

    def __init__(self, owner: type, name: str) -> None:
        self.seconds = 0.0
        method: Callable[..., object] = getattr(owner, name)

        def clocked(*arguments: object, **named: object) -> object:
            before = time.process_time()
            try:
                return method(*arguments, **named)
            finally:
                self.seconds += time.process_time() - before

        setattr(owner, name, clocked)

    def take(self) -> float:
        """Return the milliseconds since the last call."""
        seconds, self.seconds = self.seconds, 0.0
        return 1e3 * seconds


def refreshes(directory: Path, count: int, reader: Clocked, judge: Clocked) -> list[tuple[float, float, float, float]]:
    """Return milliseconds of each refresh of a run of `count` scalars: whole, reader, judgement, rest."""
    steps = count // len(TEMPLATES)
    path = event_writing.write(
        directory / builders.event_file_name(), event_writing.steps(TEMPLATES, steps, start=event_writing.START)
    )
    watch, now = RunWatch(directory), event_writing.START + steps
    watch.refresh(now)
    found = []
    for number in range(REFRESHES):
        first = steps + number * NEW_STEPS
        builders.append(path, b"".join(event_writing.steps(TEMPLATES, NEW_STEPS, first_step=first)))
        reader.take(), judge.take()
        before = time.process_time()
        watch.refresh(now + 0.1 * number)
        whole, reading, judging = 1e3 * (time.process_time() - before), reader.take(), judge.take()
        found.append((whole, reading, judging, whole - reading - judging))
    return found


def judgements(count: int) -> tuple[float, float, float]:
    """Return milliseconds of judging a series of `count` points at once, and median and slowest of one more point."""
    random = np.random.default_rng(0)
    total = count + REFRESHES
    points = health_series.points(health_series.decay(total) * np.exp(random.normal(0, 0.05, total)))
    assessor, milliseconds = Assessor(), []
    for end in range(count, total):
        evidence = health_series.evidence_of(points.take(slice(end)))
        before = time.process_time()
        assessor.assess(evidence, Settings(), health_series.START + end)
        milliseconds.append(1e3 * (time.process_time() - before))
    return milliseconds[0], median(milliseconds[1:]), max(milliseconds[1:])


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    reader, judge = Clocked(RunReader, "refresh"), Clocked(Assessor, "assess")
    print("Refresh with 100 new scalars, ten tags, milliseconds of processor time")
    print(f"{'scalars':>10} {'median':>8} {'slowest':>8} {'reader':>8} {'judgement':>10} {'rest':>8}")
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as name:
            whole, reading, judging, rest = zip(*refreshes(Path(name), count, reader, judge), strict=True)
        shown = f"{median(reading):8.2f} {median(judging):10.2f} {median(rest):8.2f}"
        print(f"{count:10,} {median(whole):8.2f} {max(whole):8.2f} {shown}")
    print("\nJudgement of one series with one new point, milliseconds of processor time")
    print(f"{'points':>10} {'median':>8} {'slowest':>8} {'whole history':>14}")
    for count in COUNTS:
        first, usual, slowest = judgements(count)
        print(f"{count:10,} {usual:8.2f} {slowest:8.2f} {first:14.1f}")


if __name__ == "__main__":
    main()
