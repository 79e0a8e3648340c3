"""The machine on the live page, drawn from given readings."""

from streamlit.testing.v1 import AppTest

from tests.pages.conftest import assert_no_fault


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
