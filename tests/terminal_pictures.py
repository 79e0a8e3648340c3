"""Pictures of ``watch`` as a terminal shows it: ``python -m tests.terminal_pictures DIR``; needs tmux.

Starts a training that goes on and one that went wrong, watches each in a terminal of its own, and takes what stands on
its screen, colours included. Those of the README lie in .github/images.
"""

import argparse
import io
import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from monitor.demo import write_demo, write_live_demo
from monitor.sources.runs import RunFinder
from tests.browser.conftest import CHROMIUM_FLAGS, browser_path

EPOCHS, SECONDS_PER_EPOCH, EPOCHS_SEEN = 300, 0.4, 60
SECONDS_TO_DRAW = 6.0
# A line is as high as the boxes of the font, so that frames have no gaps. The dots of curves come from another font
# and get the width of a cell each.
DOTS = re.compile("[\u2800-\u28ff]")
PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; width: max-content; background: {background}; color: {foreground}; }}
pre {{ margin: 0; padding: 14px 18px; font: 15px/18px "DejaVu Sans Mono", monospace; }}
i {{ display: inline-block; width: 1ch; height: 18px; font-style: normal; vertical-align: top; }}
</style><pre>{code}</pre>"""


def train(directory: Path) -> None:
    """Train at a pace that gives a curve within the time the pictures take."""
    write_live_demo(directory, epochs=EPOCHS, seconds_per_epoch=SECONDS_PER_EPOCH)


@contextmanager
def open_terminal(socket: Path, columns: int, lines: int, *command: str) -> Iterator[list[str]]:
    """Yield the words that begin every order to a terminal of that size in which a command runs."""
    tmux = ["tmux", "-f", "/dev/null", "-S", str(socket)]
    size = ["-x", str(columns), "-y", str(lines)]
    subprocess.run([*tmux, "new-session", "-d", *size, *command], check=True)
    try:
        yield tmux
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


def screen_of(columns: int, lines: int, run: Path) -> str:
    """Return what ``watch`` shows of a run, with its colours as escape sequences."""
    command = (sys.executable, "-m", "monitor", "watch", "--run-dir", str(run), "--refresh", "1")
    with (
        tempfile.TemporaryDirectory() as directory,
        open_terminal(Path(directory) / "socket", columns, lines, *command) as tmux,
    ):
        time.sleep(SECONDS_TO_DRAW)
        return subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True).stdout


def page_of(screen: str, columns: int) -> str:
    """Return a screen as a page of HTML."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(
        Text.from_ansi(screen.rstrip("\n")), soft_wrap=True, highlight=False, end=""
    )  # at once: colours go on over the lines
    page = console.export_html(theme=SVG_EXPORT_THEME, code_format=PAGE, inline_styles=True)
    return DOTS.sub(r"<i>\g<0></i>", page)


def take(browser: Browser, page: str, path: Path, scale: float) -> None:
    """Write one picture."""
    context = browser.new_context(device_scale_factor=scale)
    drawn = context.new_page()
    drawn.set_content(page)
    drawn.locator("body").screenshot(path=path)
    context.close()


def main() -> None:
    """Take both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    target = parser.parse_args().directory
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        past, live = Path(name) / "past", Path(name) / "live"
        write_demo(past)
        sick = next(Path(run.path) for run in RunFinder([past]).find().runs if "nan" in run.name)
        training = multiprocessing.Process(target=train, args=(live,), daemon=True)
        training.start()
        time.sleep(EPOCHS_SEEN * SECONDS_PER_EPOCH)
        going_on = Path(RunFinder([live]).find().runs[0].path)
        screens = {"watch": (160, screen_of(160, 50, going_on), 1.0), "watch-small": (80, screen_of(80, 24, sick), 1.5)}
        training.terminate()
        training.join()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=CHROMIUM_FLAGS)
        for picture, (columns, screen, scale) in screens.items():
            take(browser, page_of(screen, columns), target / f"{picture}.png", scale)
        browser.close()


if __name__ == "__main__":
    main()
