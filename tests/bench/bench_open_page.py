"""What an open page costs for as long as it is open: ``python tests/bench/bench_open_page.py [--minutes N]``.

A run of 1,000,000 scalars grows by a logging step every second; the live page stands open in a real Chromium and looks
every second. Told now and then: the memory of the server, of the page (JavaScript heap after a collection, elements)
and of the browser's process for it, the processor time of the server and of the browser's main thread per second.
The first lines are from before everything was drawn once; a page that grows without end shows it in the last ones.
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import psutil
from playwright.sync_api import CDPSession, sync_playwright

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from tests.bench.bench_page import Growing, Processor  # noqa: E402
from tests.browser.conftest import CHROMIUM_FLAGS, browser_path, settle, start_server  # noqa: E402

CHART = ".st-key-chart-loss canvas"
REFRESH_SECONDS = 1.0
HEAD = "minute  server MB  page's process MB  JavaScript MB  elements  server ms/s  main thread ms/s"


def keep_growing(run: Growing, ended: threading.Event) -> None:
    """Add a logging step a second until the end."""
    while not ended.wait(REFRESH_SECONDS):
        run.grow()


class PageFigures:
    """What the browser tells of one page.

    Args:
        session: A session of the DevTools protocol with it.
    """

    def __init__(self, session: CDPSession) -> None:
        self._session = session
        self._session.send("Performance.enable")
        self._busy_seconds = self._metrics()["TaskDuration"]

    def take(self) -> tuple[float, int, float]:
        """Return the JavaScript heap in bytes, the number of elements, and busy seconds since the last question."""
        busy = self._metrics()["TaskDuration"]
        spent, self._busy_seconds = busy - self._busy_seconds, busy
        self._session.send("HeapProfiler.collectGarbage")
        metrics = self._metrics()
        self._busy_seconds = metrics["TaskDuration"]  # the collection is ours, not the page's
        return metrics["JSHeapUsedSize"], int(metrics["Nodes"]), spent

    def _metrics(self) -> dict[str, float]:
        told = self._session.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in told}


def renderers() -> set[psutil.Process]:
    """Return the processes of this one's browser that draw pages."""
    return {process for process in psutil.Process().children(recursive=True) if "--type=renderer" in process.cmdline()}


def watch(url: str, server: psutil.Process, minutes: float, every_seconds: float) -> None:
    """Open the page and print its figures until the time is over."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url)
        settle(page)
        page.locator(CHART).first.wait_for()
        figures, processor = PageFigures(page.context.new_cdp_session(page)), Processor(server.pid)
        print(HEAD, flush=True)
        start = last = time.monotonic()
        while time.monotonic() - start < 60 * minutes:
            page.wait_for_timeout(1000 * every_seconds)
            heap, elements, busy = figures.take()
            now = time.monotonic()
            drawing = max((process.memory_info().rss for process in renderers()), default=0)
            print(
                f"{(now - start) / 60:6.1f}  {server.memory_info().rss / 1e6:9.0f}  {drawing / 1e6:17.0f}"
                f"  {heap / 1e6:13.1f}  {elements:8d}  {1e3 * processor.take() / (now - last):11.0f}"
                f"  {1e3 * busy / (now - last):16.0f}",
                flush=True,
            )
            last = now
        browser.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--scalars", type=int, default=1_000_000)
    parser.add_argument("--every-seconds", type=float, default=60.0, help="between two lines")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        logs = Path(name) / "logs"
        run = Growing(logs / "run", options.scalars, REFRESH_SECONDS)
        server = start_server(Path(name) / "log", ("--logdir", str(logs)))
        ended = threading.Event()
        growing = threading.Thread(target=keep_growing, args=(run, ended), daemon=True)
        growing.start()
        try:
            address = f"{server.url}/?{urlencode({'refresh': int(REFRESH_SECONDS), 'run': 'run'})}"
            watch(address, psutil.Process(server.process.pid), options.minutes, options.every_seconds)
        finally:
            ended.set()
            growing.join()
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
