"""How long until the first page stands with many runs: ``python tests/bench/bench_first_page.py [--runs N]``.

Makes 300 runs of 1,000 scalars, opens the live page in a real Chromium and measures until its figures are there, on a
server nobody has asked before (cold) and on one that has been asked (warm). Beside it the same for a page of one line:
what Streamlit and the browser take by themselves. Then another run is chosen and the bytes read for it are counted.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from monitor.watch import LogWatch  # noqa: E402
from tests import builders  # noqa: E402
from tests.browser.conftest import CHROMIUM_FLAGS, browser_path, start_server  # noqa: E402

SIGHT = "Training loss"  # stands on the page once its figures do
ROUNDS = 5


def make_runs(directory: Path, count: int) -> int:
    """Write runs of ten series with a hundred steps each; return their bytes."""
    start = time.time() - 1000
    for number in range(count):
        losses = builders.healthy_loss(100, seed=number)
        rows = [(f"train/metric_{n}", step, float(losses[step]) + n) for step in range(100) for n in range(9)]
        rows += [("train/loss", step, float(losses[step])) for step in range(100)]
        path = directory / f"run_{number:04d}" / builders.event_file_name(int(start) + number)
        builders.write_scalars(path, rows, start=start + number)
    return sum(path.stat().st_size for path in directory.rglob("*tfevents*"))


@contextmanager
def serving(log: Path, script: Path, *arguments: str) -> Iterator[str]:
    """Run a server and give its address."""
    server = start_server(log, arguments, script)
    try:
        yield server.url
    finally:
        server.process.terminate()
        server.process.wait()


def seconds_to_sight(browser: Browser, url: str) -> float:
    """Return the seconds from opening a page in a fresh window to its figures."""
    context = browser.new_context()
    page = context.new_page()
    before = time.perf_counter()
    page.goto(url)
    page.get_by_text(SIGHT).first.wait_for()
    seconds = time.perf_counter() - before
    context.close()
    return seconds


def bytes_of_choosing(directory: Path) -> tuple[int, int]:
    """Return the bytes read for the newest run and, then, for another one."""
    watch = LogWatch([directory])
    runs = watch.find_runs(time.time()).runs
    first, other = (watch.status(run.name, time.time()).scalars.bytes_read for run in (runs[0], runs[-1]))
    return first, other


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        directory, line = Path(name) / "logs", Path(name) / "line.py"
        total = make_runs(directory, options.runs)
        line.write_text(f'import streamlit as st\nst.write("{SIGHT}")\n')
        browser = playwright.chromium.launch(executable_path=browser_path(), args=CHROMIUM_FLAGS)
        seconds_to_sight(browser, f"data:text/html,{SIGHT}")  # the browser's own start is not the page's
        found: dict[str, list[float]] = {"ours cold": [], "ours warm": [], "one line cold": [], "one line warm": []}
        for number in range(ROUNDS):
            servers = {"ours": (PROJECT / "streamlit_app.py", "--logdir", str(directory)), "one line": (line,)}
            for page, (script, *arguments) in servers.items():
                with serving(Path(name) / f"{page}-{number}.log", script, *arguments) as url:
                    found[f"{page} cold"].append(seconds_to_sight(browser, url))
                    found[f"{page} warm"].append(seconds_to_sight(browser, url))
        browser.close()
        first, other = bytes_of_choosing(directory)
    print(f"{options.runs} runs, {total:,} bytes in all; seconds to the figures, {ROUNDS} servers each")
    for page, seconds in found.items():
        print(f"{page:14} median {median(seconds):.2f} s, from {min(seconds):.2f} to {max(seconds):.2f}")
    print(f"read: {first:,} bytes for the newest run, {other:,} bytes for another one")


if __name__ == "__main__":
    main()
