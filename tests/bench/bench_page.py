"""What a refresh of the live page costs: ``python tests/bench/bench_page.py [--scalars N] [--sessions N]``.

Starts the real server on a growing run and asks as the browser does, over a websocket of its own, so that no browser
takes part in the figures. One session first, on a run that writes once a minute and on one that writes every two
seconds: processor time of the server, bytes on the wire and time to the answer of a look without news, of a look after
a new logging step, and of a drawing of the curves. Then many sessions at once on the second run, each looking every two
seconds while it grows: the latency of their refreshes and the share of a core that the server takes.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from tests import builders  # noqa: E402
from tests.bench import event_writing  # noqa: E402
from tests.browser.conftest import start_server  # noqa: E402

TEMPLATES = [event_writing.plain(tag) for tag in event_writing.TAGS]
REFRESH_SECONDS = 2
REFRESHES = 15
CROWD_SECONDS = 40.0
CASES = (
    ("look, nothing new", False, "look"),
    ("look, new points", True, "look"),
    ("curves, new points", True, "curves"),
)


class Counting(ClientConnection):
    """A connection that counts the bytes that arrive on the wire."""

    arrived = 0

    def data_received(self, data: bytes) -> None:
        self.arrived += len(data)
        super().data_received(data)


@dataclass(frozen=True)
class Answer:
    """One run of the page's script, or of a part of it, as the browser meets it."""

    seconds: float
    wire_bytes: int


class Session:
    """A browser without a browser: sends what Streamlit's page sends and forgets what it is told to draw."""

    def __init__(self, connection: Counting, query: str) -> None:
        self._connection = connection
        self._query = query
        self._page = ""
        self._hashes: dict[str, None] = {}
        self.timers: dict[str, float] = {}

    async def run(self, fragment: str = "") -> Answer:
        """Ask for a run and wait for its end, and for that of the run of the whole page it may lead to."""
        before, since = self._connection.arrived, time.perf_counter()
        await self._connection.send(self._request(fragment))
        while True:
            message = ForwardMsg.FromString(await asyncio.wait_for(self._connection.recv(), 120))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self._page = message.new_session.page_script_hash
            elif kind == "auto_rerun":
                self.timers[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            elif kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                seconds = time.perf_counter() - since
                return Answer(seconds, self._connection.arrived - before)
            if message.metadata.cacheable and kind != "ref_hash":
                self._hashes[message.hash] = None

    def _request(self, fragment: str) -> bytes:
        request = BackMsg()
        request.rerun_script.query_string = self._query
        request.rerun_script.page_script_hash = self._page
        request.rerun_script.fragment_id = fragment
        request.rerun_script.is_auto_rerun = bool(fragment)
        request.rerun_script.cached_message_hashes.extend(self._hashes)
        request.rerun_script.context_info.timezone = "UTC"
        content: bytes = request.SerializeToString()
        return content

    @property
    def look(self) -> str:
        """The part of the page that looks for news: the one that is drawn most often."""
        return min(self.timers, key=lambda part: self.timers[part])

    @property
    def curves(self) -> str:
        """The part of the page that draws the curves."""
        return max(self.timers, key=lambda part: self.timers[part])


class Growing:
    """A run of ten tags that grows by one logging step at a time.

    Args:
        path: The run directory.
        scalars: How many it has at first.
        seconds_per_step: Between two logging steps, by its own clock.
    """

    def __init__(self, path: Path, scalars: int, seconds_per_step: float) -> None:
        self._steps = scalars // len(TEMPLATES)
        self._seconds_per_step = seconds_per_step
        self._start = time.time() - self._steps * seconds_per_step
        self._path = path / builders.event_file_name()
        event_writing.write(self._path, itertools.chain.from_iterable(map(self._records, range(self._steps))))

    def grow(self) -> None:
        builders.append(self._path, b"".join(self._records(self._steps)))
        self._steps += 1

    def _records(self, step: int) -> Iterator[bytes]:
        # The writer puts one second between steps by itself.
        start = self._start + (self._seconds_per_step - 1) * step
        return event_writing.steps(TEMPLATES, 1, first_step=step, start=start)


class Processor:
    """The processor time of a process since the last question."""

    def __init__(self, process: int) -> None:
        self._process = psutil.Process(process)
        self._seconds = self._now()

    def take(self) -> float:
        before, self._seconds = self._seconds, self._now()
        return self._seconds - before

    def _now(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def opened(url: str) -> Any:
    """Return a connection to the page."""
    address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    return connect(address, subprotocols=["streamlit"], max_size=None, create_connection=Counting)


async def one_session(url: str, name: str, run: Growing, processor: Processor) -> None:
    """Measure refreshes of a single session and print them."""
    async with opened(url) as connection:
        session = Session(connection, f"refresh={REFRESH_SECONDS}&run={name}")
        first = await session.run()
        print(f"run that writes {name}: first page {first.seconds:.1f} s, {first.wire_bytes / 1e3:.0f} kB")
        for case, grows, part in CASES:
            answers, seconds = [], []
            for _ in range(REFRESHES):
                if grows:
                    run.grow()
                await asyncio.sleep(REFRESH_SECONDS / 2 + 0.2)
                processor.take()
                answers.append(await session.run(session.look if part == "look" else session.curves))
                seconds.append(processor.take())
            print(f"{case:>20}: {_figures(answers)}, processor {1e3 * sum(seconds) / len(seconds):.0f} ms a refresh")


def _figures(answers: Sequence[Answer]) -> str:
    waits = sorted(answer.seconds for answer in answers)
    p95 = waits[min(int(0.95 * len(waits)), len(waits) - 1)]
    size = median(answer.wire_bytes for answer in answers) / 1e3
    return f"median {1e3 * median(waits):.0f} ms, p95 {1e3 * p95:.0f} ms, {size:.1f} kB"


async def many_sessions(url: str, run: Growing, processor: Processor, count: int) -> None:
    """Let many sessions refresh while the run grows, and print how they fare."""
    answers: list[Answer] = []
    done = asyncio.Event()

    async def grow() -> None:
        while not done.is_set():
            run.grow()
            await asyncio.sleep(REFRESH_SECONDS)

    async def live(number: int, started: asyncio.Barrier) -> None:
        async with opened(url) as connection:
            session = Session(connection, f"refresh={REFRESH_SECONDS}&run=often")
            await session.run()
            await started.wait()
            await asyncio.sleep(REFRESH_SECONDS * number / count)
            due = {part: time.monotonic() + pace for part, pace in session.timers.items()}
            while not done.is_set():
                part = min(due, key=lambda one: due[one])
                await asyncio.sleep(max(due[part] - time.monotonic(), 0))
                answers.append(await session.run(part))
                due[part] = max(due[part] + session.timers[part], time.monotonic())

    started = asyncio.Barrier(count + 1)
    tasks = [asyncio.create_task(live(number, started)) for number in range(count)]
    await started.wait()
    growing = asyncio.create_task(grow())
    await asyncio.sleep(2 * REFRESH_SECONDS)
    answers.clear()
    processor.take()
    await asyncio.sleep(CROWD_SECONDS)
    share = processor.take() / CROWD_SECONDS
    print(f"{count} sessions: {_figures(answers)}, {len(answers)} refreshes, server {100 * share:.0f} % of a core")
    done.set()
    await asyncio.gather(*tasks, growing)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scalars", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        logs = Path(name) / "logs"
        seldom = Growing(logs / "seldom", options.scalars, 60.0)
        server = start_server(Path(name) / "log", ("--logdir", str(logs)))
        try:
            processor = Processor(server.process.pid)
            asyncio.run(one_session(server.url, "seldom", seldom, processor))
            often = Growing(logs / "often", options.scalars, float(REFRESH_SECONDS))
            asyncio.run(one_session(server.url, "often", often, processor))
            if options.sessions:
                asyncio.run(many_sessions(server.url, often, processor, options.sessions))
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
