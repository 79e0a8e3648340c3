"""What the tests of the pages share: a log directory, and a page opened over it without a browser."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.builders import event_file_name, healthy_loss, rows, write_scalars

ENTRY = Path(__file__).parents[2] / "streamlit_app.py"
OpenPage = Callable[..., AppTest]


@pytest.fixture
def log_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty log directory that the page is started with."""
    directory = tmp_path / "runs"
    directory.mkdir()
    monkeypatch.setenv("MONITOR_LOGDIR", str(directory))
    monkeypatch.setattr(sys, "argv", ["streamlit_app.py"])
    return directory


@pytest.fixture
def open_page() -> Iterator[OpenPage]:
    """Return a function that opens a page, with or without something in its address."""

    def open_it(page: str | None = None, **address: str | list[str]) -> AppTest:
        app = AppTest.from_file(str(ENTRY), default_timeout=60)
        for key, value in address.items():
            app.query_params[key] = value
        app.run()
        return app if page is None else app.switch_page(f"pages/{page}.py").run()

    st.cache_resource.clear()
    yield open_it
    st.cache_resource.clear()


def write_run(log_directory: Path, name: str, values: object = None, *, start: float = 1_700_000_000.0) -> Path:
    """Write a run with a training loss, a validation task and a learning rate; return its event file."""
    loss = healthy_loss(40) if values is None else values
    points = rows("train/loss", loss) + rows("validation/task1_loss", loss) + rows("train/learning_rate", [1e-4] * 40)
    return write_scalars(log_directory / name / event_file_name(), points, start=start, seconds_per_step=10.0)


def words_of(app: AppTest) -> str:
    """Return every text on the page, for looking something up in it."""
    kinds = (app.markdown, app.caption, app.code, app.error, app.warning, app.info, app.subheader)
    return "\n".join(element.value for kind in kinds for element in kind)


def assert_no_fault(app: AppTest) -> None:
    """Assert that the page ended without an exception box."""
    assert [element.message for element in app.exception] == []
