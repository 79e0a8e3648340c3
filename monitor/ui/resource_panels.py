"""The machine on the live page: a card of bars per GPU, and one for processor, memory and disk."""

import streamlit as st

from monitor.figures import celsius_text, disk_text, load_spark, power_text
from monitor.markdown import prose
from monitor.schema import GpuSample, Sample
from monitor.text import UNKNOWN, code_span, format_bytes, format_percent, plain, shorten_middle

CARD_WIDTH = 260
NAME_CHARACTERS = 28
MOST_CORES_SHOWN = 16
USUAL_LIMIT_CELSIUS = 100.0
NOT_ELSEWHERE = (
    "These are the figures of the machine that this monitor runs on; a training on another machine is not in them."
)


def draw_resources(sample: Sample) -> None:
    """Draw what the machine is doing now: a column per GPU, and below them processor, memory and disk."""
    note = "" if sample.gpus else sample.gpu_note or ""
    with st.container(border=True, gap="xsmall", key="machine-now"):
        st.markdown(f"**Resources**  \n:small[:gray[{prose(f'{note} {NOT_ELSEWHERE}'.strip())}]]")
        if sample.gpus:
            with st.grid("auto", min_column_width=CARD_WIDTH, gap="medium"):
                for gpu in sample.gpus:
                    _draw_gpu(gpu)
        with st.grid("auto", min_column_width=CARD_WIDTH, gap="medium"):
            _draw_host(sample)


def _draw_gpu(gpu: GpuSample) -> None:
    with st.container(gap="xsmall"):
        name = plain(gpu.name)
        st.markdown(f"GPU {gpu.index} {code_span(shorten_middle(name, NAME_CHARACTERS))}", help=code_span(name))
        _bar("Utilisation", format_percent(gpu.utilization_percent), _share(gpu.utilization_percent, 100.0))
        memory = f"{format_bytes(gpu.memory_used_bytes)} of {format_bytes(gpu.memory_total_bytes)}"
        _bar("Memory", memory, _share(gpu.memory_used_bytes, gpu.memory_total_bytes))
        _bar("Temperature", _temperature(gpu), _share(gpu.temperature_celsius, _limit_celsius(gpu)))
        _bar("Power", power_text(gpu) or UNKNOWN, _share(gpu.power_watts, gpu.power_limit_watts))


def _temperature(gpu: GpuSample) -> str:
    if gpu.temperature_celsius is None or gpu.slowdown_celsius is None:
        return celsius_text(gpu)
    return f"{celsius_text(gpu)}, slows down at {gpu.slowdown_celsius:.0f} °C"


def _limit_celsius(gpu: GpuSample) -> float:
    return gpu.slowdown_celsius or USUAL_LIMIT_CELSIUS


def _draw_host(sample: Sample) -> None:
    _bar(_processor_label(sample.core_percents), format_percent(sample.cpu_percent), _share(sample.cpu_percent, 100.0))
    memory = f"{format_bytes(sample.memory_used_bytes)} of {format_bytes(sample.memory_total_bytes)}"
    swapped = f", {format_bytes(sample.swap_used_bytes)} swapped out" if sample.swap_used_bytes else ""
    _bar("Memory", f"{memory}{swapped}", _share(sample.memory_used_bytes, sample.memory_total_bytes))
    _bar("Disk free", disk_text(sample), _share(sample.disk_free_bytes, sample.disk_total_bytes))
    read, written = sample.disk_read_bytes_per_second, sample.disk_write_bytes_per_second
    if read is not None and written is not None:
        _bar("All disks", f"{format_bytes(round(read))}/s read, {format_bytes(round(written))}/s written", None)


def _processor_label(core_percents: tuple[float, ...]) -> str:
    """Return the name of the bar of the processor with the load of its cores, the highest of several to a character."""
    count = len(core_percents)
    if count < 2:
        return "CPU"
    return f"CPU, {count} cores {code_span(load_spark(core_percents, MOST_CORES_SHOWN))}"


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else min(max(part / whole, 0.0), 1.0)


def _bar(label: str, value: str, share: float | None) -> None:
    """Draw a figure with its bar; without a bar where its share is unknown."""
    text = f"{label} · {value}"
    if share is None:
        st.markdown(f":small[{text}]")
    else:
        st.progress(share, text=text)
