"""The machine on the live page: a card of bars per GPU, one for processor, memory and disk, and their history."""

from collections.abc import Sequence

import streamlit as st

from monitor.figures import celsius_text, disk_text, load_spark, power_text
from monitor.machine_charts import machine_history
from monitor.markdown import prose
from monitor.run_charts import ChartView
from monitor.schema import GpuProcess, GpuSample, Sample
from monitor.text import UNKNOWN, code_span, format_bytes, format_percent, plain, shorten_middle
from monitor.ui import cache
from monitor.ui.chart_panels import draw_chart
from monitor.watch import LogWatch

CARD_WIDTH = 260
NAME_CHARACTERS = 28
MOST_CORES_SHOWN = 16
MOST_PROCESSES_NAMED = 3
HISTORY_WIDTH = 320
USUAL_LIMIT_CELSIUS = 100.0
NOT_ELSEWHERE = (
    "These are the figures of the machine that this monitor runs on; a training on another machine is not in them."
)


def draw_resources(sample: Sample) -> None:
    """Draw what the machine is doing now: a column per GPU, and below them processor, memory and disk."""
    notes = ("" if sample.gpus else sample.gpu_note or "", NOT_ELSEWHERE, sample.record_note or "")
    with st.container(border=True, gap="xsmall", key="machine-now"):
        st.markdown(f"**Resources**  \n:small[:gray[{prose(' '.join(filter(None, notes)))}]]")
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
        if gpu.processes:
            _bar("Processes", processes_text(gpu.processes), None)


def processes_text(processes: Sequence[GpuProcess]) -> str:
    """Return whose processes compute on a GPU: ``1 of this run (python, pid 4242, 10.1 GB), 2 others``."""
    own = [one for one in processes if one.of_run]
    others = sum(one.of_run is False for one in processes)
    unknown = len(processes) - len(own) - others
    if unknown == len(processes):
        return f"{unknown}, and nothing tells whether of this run"
    parts = (
        f"{len(own)} of this run ({_named(own)})" if own else "none of this run",
        f"{others} other{'s' if others > 1 else ''}" if others else "",
        f"{unknown} of which nothing tells" if unknown else "",
    )
    return ", ".join(part for part in parts if part)


def _named(processes: Sequence[GpuProcess]) -> str:
    named = [
        f"{code_span(shorten_middle(plain(one.name or UNKNOWN), NAME_CHARACTERS))}, pid {one.pid}, "
        f"{format_bytes(one.memory_bytes)}"
        for one in processes[:MOST_PROCESSES_NAMED]
    ]
    more = len(processes) - len(named)
    return "; ".join([*named, *([f"{more} more"] if more else [])])


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


# --- history -------------------------------------------------------------------------------------------------------


def draw_history(watch: LogWatch, view: ChartView) -> None:
    """Draw, below a fold, what the machine has done; the charts are made when it is opened."""
    samples = watch.samples()
    fold = st.expander(
        "History of this machine", icon=":material/memory:", key="history", on_change="rerun", bind="query-params"
    )
    if not fold.open:
        return
    drawn = cache.drawn_charts(repr(("history", samples[-1:])), view.zone, lambda: machine_history(samples))
    with fold, st.grid("auto", min_column_width=HISTORY_WIDTH, gap="small", key="history-charts"):
        for one in drawn:
            draw_chart(one, f"history {one.chart.key}", view, file_name="machine")


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else min(max(part / whole, 0.0), 1.0)


def _bar(label: str, value: str, share: float | None) -> None:
    """Draw a figure with its bar; without a bar where its share is unknown."""
    text = f"{label} · {value}"
    if share is None:
        st.markdown(f":small[{text}]")
    else:
        st.progress(share, text=text)
