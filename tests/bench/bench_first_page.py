"""How long until the first page stands with many runs: ``python tests/bench/bench_first_page.py``.

Makes 300 runs of 1,000 scalars, starts a server, opens the live page in a real Chromium and measures until its figures
are there; then picks another run and counts what was read for it. Prints seconds and bytes; nothing is asserted.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from monitor.watch import LogWatch  # noqa: E402
from tests import builders  # noqa: E402

PORT = 8599
STREAMLIT = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py"]


def make_runs(directory: Path, count: int) -> None:
    """Write runs of ten series with a hundred steps each."""
    start = time.time() - 1000
    for number in range(count):
        losses = builders.healthy_loss(100, seed=number)
        rows = [(f"train/metric_{n}", step, float(losses[step]) + n) for step in range(100) for n in range(9)]
        rows += [("train/loss", step, float(losses[step])) for step in range(100)]
        path = directory / f"run_{number:04d}" / builders.event_file_name(int(start) + number)
        builders.write_scalars(path, rows, start=start + number)


def seconds_to_first_page(directory: Path) -> list[float]:
    """Return the seconds from opening the live page to its figures, for a cold server and for a warm one."""
    server = subprocess.Popen(
        [*STREAMLIT, "--server.port", str(PORT), "--", "--logdir", str(directory)],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers():
            time.sleep(0.05)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            found = [_seconds_to_figures(browser.new_page()) for _ in range(3)]
            browser.close()
        return found
    finally:
        server.terminate()
        server.wait()


def _answers() -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health", timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def _seconds_to_figures(page) -> float:
    before = time.perf_counter()
    page.goto(f"http://127.0.0.1:{PORT}")
    page.get_by_text("Training loss").first.wait_for()
    return time.perf_counter() - before


def bytes_of_choosing(directory: Path) -> tuple[int, int]:
    """Return the bytes read for the newest run and, then, for another one."""
    watch = LogWatch([directory])
    runs = watch.find_runs(time.time()).runs
    return tuple(watch.status(run.name, time.time()).scalars.bytes_read for run in (runs[0], runs[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        make_runs(directory, options.runs)
        total = sum(path.stat().st_size for path in directory.rglob("*tfevents*"))
        cold, *warm = seconds_to_first_page(directory)
        first, other = bytes_of_choosing(directory)
        print(f"{options.runs} runs, {total:,} bytes in all")
        print(f"first page: {cold:.2f} s on a cold server, {np.median(warm):.2f} s on a warm one")
        print(f"read: {first:,} bytes for the newest run, {other:,} bytes for another one")


if __name__ == "__main__":
    main()
