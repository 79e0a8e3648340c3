"""A real server on a real log directory, and a real Chromium on it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

PROJECT = Path(__file__).resolve().parents[2]
START_LIMIT_SECONDS = 60
# On a deep link Streamlit's frontend first asks below the page's own path where its server is; it is answered 404.
STREAMLITS_OWN_PROBE = re.compile(r"/(run_comparison|report)/_stcore/(health|host-config)$")
# Without these Chromium looks up its maker's hosts at every start.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Server:
    """A running `streamlit run streamlit_app.py`.

    Args:
        url: Its address without a trailing slash.
        process: The process.
        log: File with what it printed.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@dataclass
class Watched:
    """A page of the browser and what went wrong on it.

    Args:
        page: The page.
        faults: Errors on the console and exceptions of scripts.
        foreign_requests: Requests to anything but the server.
    """

    page: Page
    faults: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)

    def assert_well(self) -> None:
        """Fail on an exception box, a console error, or a request that left the machine."""
        assert self.page.locator("[data-testid=stException]").count() == 0
        assert not self.faults
        assert not self.foreign_requests


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers on free ports; they end with the test."""
    servers: list[Server] = []

    def start(*arguments: str) -> Server:
        server = start_server(tmp_path / f"server-{len(servers)}.log", arguments)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.process.terminate()
        server.process.wait(timeout=20)


def start_server(log: Path, arguments: Sequence[str], script: Path = PROJECT / "streamlit_app.py") -> Server:
    """Start the page, or another script, on a free port and return when it answers."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--", *arguments],
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MONITOR_LOGDIR": ""},
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not _answers(f"{server.url}/_stcore/health"):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return server


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def browser_path() -> str | None:
    """Return the system's Chromium, None for the one Playwright brings."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests: the system's, else the one Playwright brings."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Watched]]:
    """Open pages in windows of their own; they close with the test."""
    contexts = []

    def open_one(url: str, *, width: int = 1440, height: int = 900, dark: bool = False) -> Watched:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        watched = Watched(context.new_page())
        _listen(watched, url)
        watched.page.goto(url)
        settle(watched.page)
        return watched

    yield open_one
    for context in contexts:
        context.close()


def _listen(watched: Watched, url: str) -> None:
    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error" and not STREAMLITS_OWN_PROBE.search(message.location["url"]):
            watched.faults.append(message.text)

    def note_request(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            watched.foreign_requests.append(request.url)

    watched.page.on("console", note_message)
    watched.page.on("pageerror", lambda error: watched.faults.append(str(error)))
    watched.page.on("request", note_request)


def settle(page: Page) -> None:
    """Wait until the script of the page has run."""
    page.locator('[data-testid=stApp][data-test-script-state="notRunning"]').wait_for(timeout=60_000)
