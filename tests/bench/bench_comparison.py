"""How fast many long runs are laid over each other: ``python tests/bench/bench_comparison.py [--runs N] [--points N]``.

Makes 100 runs of 100,000 points, opens the comparison of all of them in a real Chromium on a server that has read
nothing yet, and measures until the overlay stands; then the same in a second window, when everything has been read.
After that one control is moved, the chart is zoomed by the wheel and the pointer is led over it: there the processor
time of the page's one thread counts. Bytes are those of the websocket to the browser.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from playwright.sync_api import Browser, CDPSession, FloatRect, Page, sync_playwright

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from tests.bench import event_writing  # noqa: E402
from tests.browser.conftest import CHROMIUM_FLAGS, browser_path, start_server  # noqa: E402

SIGHT = ".st-key-chart-overlay canvas"
LIMIT_MILLISECONDS = 600_000
TAG = "train/loss"
MOVES = 5
POINTINGS = 30
NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"


@dataclass
class Window:
    """A page of the browser and the bytes it was sent."""

    page: Page
    received: list[int] = field(default_factory=list)


def make_runs(directory: Path, count: int, points: int) -> int:
    """Write runs of one series each; return their bytes."""
    template = event_writing.plain(TAG)
    for number in range(count):
        path = directory / f"run_{number:03d}" / f"events.out.tfevents.{1_700_000_000 + number}.host"
        path.parent.mkdir(parents=True)
        # The values repeat every few thousand steps; what is drawn depends on how many there are, not on what they are.
        event_writing.write(path, event_writing.steps([template], points, start=1_700_000_000.0 + number))
    return sum(path.stat().st_size for path in directory.rglob("*tfevents*"))


def open_window(browser: Browser) -> Window:
    """Open a window that counts what it is sent."""
    window = Window(browser.new_context(viewport={"width": 1440, "height": 900}).new_page())

    def count(payload: str | bytes) -> None:
        window.received.append(len(payload))

    window.page.on("websocket", lambda socket: socket.on("framereceived", count))
    return window


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def stand_still(page: Page) -> None:
    """Wait until the script of the page has run."""
    page.locator('[data-testid=stApp][data-test-script-state="notRunning"]').wait_for(timeout=LIMIT_MILLISECONDS)


def first_sight(window: Window, url: str) -> float:
    """Return the seconds until the overlay stands on the page."""

    def look() -> None:
        window.page.goto(url)
        window.page.locator(SIGHT).first.wait_for(timeout=LIMIT_MILLISECONDS)

    return seconds(look)


def move_control(window: Window) -> float:
    """Return the seconds from the change of the smoothing until the page has followed."""
    window.page.get_by_role("button", name="Curves").click()
    slider = window.page.locator(".st-key-smoothing input")
    slider.focus()

    def move() -> None:
        window.page.keyboard.press("ArrowRight")
        window.page.locator('[data-testid=stApp][data-test-script-state="running"]').wait_for(
            timeout=LIMIT_MILLISECONDS
        )
        stand_still(window.page)

    taken = seconds(move)
    window.page.keyboard.press("Escape")
    return taken


def place_of_overlay(window: Window) -> FloatRect:
    """Return where the overlay stands on the page, once it is in sight."""
    canvas = window.page.locator(SIGHT).first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    if box is None:
        raise SystemExit("The overlay has no place on the page.")
    return box


def point_at_lines(window: Window) -> float:
    """Return the usual processor time of one frame while the pointer is led over the overlay, in seconds."""
    box = place_of_overlay(window)
    session = window.page.context.new_cdp_session(window.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    random = np.random.default_rng(0)
    frames = []
    for across, down in zip(np.linspace(0.1, 0.9, POINTINGS), random.uniform(0.5, 0.9, POINTINGS), strict=True):
        before = _busy_seconds(session)
        window.page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        window.page.evaluate(NEXT_FRAME)
        frames.append(_busy_seconds(session) - before)
    return float(np.median(frames))


def _busy_seconds(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


def zoom_by_wheel(window: Window) -> float:
    """Return the longest time the page could not answer during some turns of the wheel over the overlay, in seconds."""
    box = place_of_overlay(window)
    window.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 80)
    window.page.keyboard.down("Control")
    longest = max(seconds(lambda: _turn(window.page)) for _ in range(MOVES))
    window.page.keyboard.up("Control")
    return longest


def _turn(page: Page) -> None:
    page.mouse.wheel(0, -120)
    page.evaluate(NEXT_FRAME)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--points", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        directory = Path(name) / "logs"
        total = make_runs(directory, options.runs, options.points)
        runs = [("runs", f"run_{number:03d}") for number in range(options.runs)]
        address = urlencode([*runs, ("show", "every run")])
        server = start_server(Path(name) / "server.log", ["--logdir", str(directory)])
        browser = playwright.chromium.launch(executable_path=browser_path(), args=CHROMIUM_FLAGS)
        try:
            print(f"{options.runs} runs × {options.points:,} points, {total / 1e6:,.0f} MB")
            for words in ("nothing read yet", "everything read"):
                window = open_window(browser)
                taken = first_sight(window, f"{server.url}/run_comparison?{address}")
                judged = taken + seconds(partial(stand_still, window.page))
                sent = sum(window.received) / 1e6
                print(f"{words}: overlay after {taken:.1f} s, health of all after {judged:.1f} s, {sent:.2f} MB sent")
            print(f"smoothing moved: {np.median([move_control(window) for _ in range(3)]):.2f} s until all is drawn")
            print(f"the nearest line in front: {1000 * point_at_lines(window):.0f} ms a frame")
            print(f"one turn of the wheel: {1000 * zoom_by_wheel(window):.0f} ms at most")
        finally:
            browser.close()
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
