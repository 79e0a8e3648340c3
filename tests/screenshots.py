"""Pictures of every page: ``python -m tests.screenshots DIR``.

Makes demo runs and one that is training, starts a server and takes each page in light and dark, 1440 and 390 pixels
wide, and the states without runs, without scalars, with a damaged file, with hundreds of series, and of a sick run.
Those of the README lie in .github/images.
"""

import argparse
import itertools
import multiprocessing
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, sync_playwright

from monitor import RunWatch
from monitor.demo import write_demo, write_live_demo
from monitor.schema import Run
from monitor.sources.runs import RunFinder
from tests import builders
from tests.browser.conftest import CHROMIUM_FLAGS, browser_path, settle, start_server

SECONDS_TO_DRAW = 4.0


def train(directory: Path) -> None:
    """Train at a pace that gives a curve within the time the pictures take."""
    write_live_demo(directory, epochs=400, seconds_per_epoch=0.5)


def finding_of(run: Run) -> str:
    """Return the id of the first finding of a run that begins at a step."""
    findings = RunWatch(run.path).refresh(time.time()).health.findings
    return next(finding.id for finding in findings if finding.onset_step is not None)


def take(browser: Browser, url: str, path: Path, *, width: int, dark: bool, whole: bool = True) -> None:
    """Write one picture."""
    context = browser.new_context(
        viewport={"width": width, "height": 900 if width > 800 else 844},
        color_scheme="dark" if dark else "light",
        timezone_id="UTC",
    )
    page = context.new_page()
    page.goto(url)
    settle(page)
    page.wait_for_timeout(SECONDS_TO_DRAW * 1000)
    if whole:  # the page scrolls inside a box of its own: give it a window as high as its content
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": width, "height": min(int(height) + 20, 6000)})
        page.wait_for_timeout(1500)
    page.screenshot(path=path)
    context.close()


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--readme", action="store_true", help="only the four pictures of the README")
    options = parser.parse_args()
    target = options.directory
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        logs, empty = Path(name) / "outputs", Path(name) / "empty"
        empty.mkdir()
        write_demo(logs)
        runs = {run.name.split("/")[1]: run for run in RunFinder([logs]).find().runs}
        if not options.readme:
            healthy = builders.healthy_loss(50)
            losses = builders.rows("train/loss", healthy)
            damaged = builders.write_scalars(logs / "damaged" / builders.event_file_name(), losses)
            builders.corrupt(damaged, 700)
            builders.write_scalars(logs / "waiting" / builders.event_file_name(), [])
            rows = [row for tag in range(300) for row in builders.rows(f"group{tag % 9}/metric_{tag}", healthy)]
            builders.write_scalars(logs / "many" / builders.event_file_name(), rows)
        training = multiprocessing.Process(target=train, args=(logs,), daemon=True)
        training.start()
        time.sleep(25)
        server = start_server(Path(name) / "log", ("--logdir", str(logs)))
        nothing = start_server(Path(name) / "log2", ("--logdir", str(empty)))
        browser = playwright.chromium.launch(executable_path=browser_path(), args=CHROMIUM_FLAGS)
        pages = {
            "live": server.url,
            "sick": f"{server.url}/?run={quote(runs['nan'].name)}",
            "finding": f"{server.url}/?run={quote(runs['nan'].name)}&finding={quote(finding_of(runs['nan']))}",
            "damaged": f"{server.url}/?run=damaged",
            "waiting": f"{server.url}/?run=waiting",
            "many": f"{server.url}/?run=many&metrics=true&find=metric_1%5B0-9%5D%24",
            "comparison": f"{server.url}/run_comparison",
            "report": f"{server.url}/report?report={quote(runs['overfitting'].name)}",
            "empty": nothing.url,
        }
        for page, width, dark in [] if options.readme else itertools.product(pages, (1440, 390), (False, True)):
            picture = target / f"{page}-{'dark' if dark else 'light'}-{width}.png"
            take(browser, pages[page], picture, width=width, dark=dark)
        for page in ("live", "comparison", "report"):
            take(browser, pages[page], target / f"{page}-light.png", width=1440, dark=False, whole=False)
        take(browser, pages["sick"], target / "sick-dark.png", width=1440, dark=True, whole=False)
        browser.close()
        for each in (server, nothing):
            each.process.terminate()
            each.process.wait()
        training.terminate()
        training.join()


if __name__ == "__main__":
    main()
