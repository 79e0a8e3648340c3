"""The machine on the live page, drawn from given readings."""

import threading
import time
from dataclasses import replace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from monitor.schema import GpuProcess
from monitor.ui.resource_panels import processes_text
from tests.pages.conftest import OpenPage, assert_no_fault, words_of, write_run

OWN = GpuProcess(4242, 10_100_000_000, "python", True)


def _two_gpus() -> None:
    from monitor.schema import GpuSample, Sample
    from monitor.ui.resource_panels import draw_resources

    known = GpuSample(0, "NVIDIA H200", 97.0, 40 * 10**9, 141 * 10**9, 78.0, 655.0, 700.0, 92.0)
    silent = GpuSample(1, "![x](https://evil.example/x.png)", None, None, None, None)
    cores = (100.0, 0.0, 50.0, 25.0)
    draw_resources(Sample(0.0, 43.8, 10**9, 4 * 10**9, 10**11, 4 * 10**11, core_percents=cores, gpus=(known, silent)))


def _no_gpu() -> None:
    from monitor.schema import Sample
    from monitor.ui.resource_panels import draw_resources

    draw_resources(Sample(0.0, gpu_note="No NVIDIA GPU or driver was found on this machine; everything else works."))


def _bars(app: AppTest) -> dict[str, int]:
    return {bar.proto.text: bar.proto.value for bar in app.get("progress")}


def test_each_figure_of_a_gpu_has_a_bar() -> None:
    app = AppTest.from_function(_two_gpus, default_timeout=60).run()
    assert_no_fault(app)
    bars = _bars(app)
    assert bars["Utilisation · 97 %"] == 97
    assert bars["Memory · 40.0 GB of 141 GB"] == 28
    assert bars["Temperature · 78 °C, slows down at 92 °C"] == 84
    assert bars["Power · 655 W of 700 W"] == 93


def test_what_a_driver_does_not_tell_is_unknown_and_has_no_bar() -> None:
    app = AppTest.from_function(_two_gpus, default_timeout=60).run()
    told = [element.value for element in app.markdown]
    assert ":small[Power · –]" in told
    assert not any(text.startswith("Power · –") for text in _bars(app))


def test_the_name_of_a_gpu_is_never_markdown() -> None:
    app = AppTest.from_function(_two_gpus, default_timeout=60).run()
    assert any("`![x](https" in element.value for element in app.markdown)


def test_every_core_has_its_mark() -> None:
    app = AppTest.from_function(_two_gpus, default_timeout=60).run()
    assert "CPU, 4 cores `█▁▅▃` · 44 %" in _bars(app)


def test_without_a_gpu_why_is_said_and_whose_figures_these_are() -> None:
    app = AppTest.from_function(_no_gpu, default_timeout=60).run()
    assert_no_fault(app)
    words = app.markdown[0].value
    assert "No NVIDIA GPU or driver was found" in words
    assert "the machine that this monitor runs on" in words


@pytest.mark.parametrize(
    ("processes", "text"),
    [
        (
            (OWN, GpuProcess(7, 10**9, "python", False), GpuProcess(8, None, "other", False)),
            "1 of this run (`python`, pid 4242, 10.1 GB), 2 others",
        ),
        ((GpuProcess(7, 10**9, "python", False),), "none of this run, 1 other"),
        ((GpuProcess(7, 10**9), GpuProcess(8, 10**9)), "2, and nothing tells whether of this run"),
        ((OWN, GpuProcess(8, 10**9)), "1 of this run (`python`, pid 4242, 10.1 GB), 1 of which nothing tells"),
        ((replace(OWN, memory_bytes=None),), "1 of this run (`python`, pid 4242, –)"),
    ],
)
def test_it_is_told_whose_processes_compute_on_a_gpu(processes: tuple[GpuProcess, ...], text: str) -> None:
    assert processes_text(processes) == text


def test_of_many_processes_of_a_run_some_are_named() -> None:
    text = processes_text([replace(OWN, pid=pid) for pid in range(5)])
    assert text.startswith("5 of this run (")
    assert text.endswith("pid 2, 10.1 GB; 2 more)")


def _with_processes() -> None:
    from monitor.schema import GpuProcess, GpuSample, Sample
    from monitor.ui.resource_panels import draw_resources

    own = GpuProcess(4242, 10_100_000_000, "![x](https://evil.example/x.png)", True)
    gpu = GpuSample(0, "NVIDIA H200", 97.0, 40 * 10**9, 141 * 10**9, 78.0, processes=(own,))
    draw_resources(Sample(0.0, gpus=(gpu,), record_note="The readings are not recorded."))


def test_the_name_of_a_process_is_never_markdown() -> None:
    app = AppTest.from_function(_with_processes, default_timeout=60).run()
    assert any("Processes · 1 of this run (`![x](https" in element.value for element in app.markdown)


def test_what_is_wrong_with_the_record_is_said() -> None:
    app = AppTest.from_function(_with_processes, default_timeout=60).run()
    assert "The readings are not recorded" in app.markdown[0].value


# --- on the page ---------------------------------------------------------------------------------------------------


def _sampler_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "resources"]


def _charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def test_one_sampler_begins_with_the_first_page_and_ends_with_the_caches(log_directory, open_page: OpenPage) -> None:
    write_run(log_directory, "healthy")
    before = len(_sampler_threads())
    open_page("report")
    open_page()
    assert len(_sampler_threads()) == before + 1
    st.cache_resource.clear()
    end = time.monotonic() + 10
    while len(_sampler_threads()) > before:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_history_of_the_machine_is_drawn_only_when_it_is_opened(
    log_directory, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(log_directory, "healthy")
    (log_directory / "monitor.toml").write_text("[refresh]\nresources_seconds = 0.2\n")
    monkeypatch.chdir(log_directory)
    closed = open_page()
    assert any(fold.label == "History of this machine" for fold in closed.expander)
    time.sleep(1.0)  # the rates of the disks are known from the second reading on
    opened = open_page(history="true")
    assert_no_fault(opened)
    assert "All disks" in words_of(opened)
    assert _charts(opened) == _charts(closed) + 1
