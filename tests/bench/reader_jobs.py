"""What `bench_reader` measures, one job per process: ``python -m tests.bench.reader_jobs JOB DIRECTORY [--core N]``.

A job imports what it needs, takes the time, works, and prints what it measured as one line of JSON. Processor seconds
are those of the process and of the children it waited for.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Figures = dict[str, float]
MESSAGE_BYTES = 1 << 30
EVERY_POINT = 1 << 30
APPENDS = 30


@dataclass
class Loaded:
    """What a loader got: the number of scalars, and the peak memory of a server that helped."""

    count: int
    server_bytes: float = 0.0


Loader = Callable[[str], Loaded]


def seconds_used() -> tuple[float, float]:
    """Return the processor and wall seconds so far; of children only those waited for count."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime, time.perf_counter()


def memory_bytes(field: str, process: int | str = "self") -> float:
    """Return ``VmRSS`` (memory in use) or ``VmHWM`` (its peak) of a process; NaN where the system does not tell.

    Not `ru_maxrss`: a new process inherits that of the one which started it. Source: proc(5), getrusage(2).
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith(field)), float("nan"))


def measure(load: Loader, directory: str) -> Figures:
    """Return the seconds and the memory of one load, imports left out."""
    before = memory_bytes("VmRSS")
    processor, wall = seconds_used()
    loaded = load(directory)
    processor_after, wall_after = seconds_used()
    peak = memory_bytes("VmHWM")
    return {
        "count": loaded.count,
        "processor": processor_after - processor,
        "wall": wall_after - wall,
        "peak": peak + loaded.server_bytes,
        "increase": peak - before + loaded.server_bytes,
    }


# --- one file, every reader ----------------------------------------------------------------------------------------


def ours() -> Loader:
    import pandas  # noqa: F401 (imported by the frame, when it is first asked for)

    from monitor import RunReader

    return lambda directory: Loaded(len(RunReader(directory).refresh().frame))


def ours_columns() -> Loader:
    from monitor import RunReader

    return lambda directory: Loaded(RunReader(directory).refresh().count)


def tbparse() -> Loader:
    from tbparse import SummaryReader

    return lambda directory: Loaded(len(SummaryReader(directory, event_types={"scalars"}).scalars))


def accumulator() -> Loader:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def load(directory: str) -> Loaded:
        accumulator = EventAccumulator(directory, size_guidance={"scalars": 0})
        accumulator.Reload()
        return Loaded(sum(len(accumulator.Scalars(tag)) for tag in accumulator.Tags()["scalars"]))

    return load


def server() -> Loader:
    import tensorboard_data_server  # noqa: F401

    def load(directory: str) -> Loaded:
        with data_server(directory) as (process, _):
            peak = memory_bytes("VmHWM", process.pid)
        return Loaded(-1, peak)

    return load


def delivered() -> Loader:
    import grpc
    from tensorboard import context
    from tensorboard.data import grpc_provider

    def load(directory: str) -> Loaded:
        with data_server(directory) as (process, port):
            limit = [("grpc.max_receive_message_length", MESSAGE_BYTES)]
            with grpc.insecure_channel(f"localhost:{port}", options=limit) as channel:
                provider = grpc_provider.GrpcDataProvider("", grpc_provider.make_stub(channel))
                runs = provider.read_scalars(
                    context.RequestContext(), experiment_id="", plugin_name="scalars", downsample=EVERY_POINT
                )
            peak = memory_bytes("VmHWM", process.pid)
        return Loaded(sum(len(series) for tags in runs.values() for series in tags.values()), peak)

    return load


@contextmanager
def data_server(directory: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """Start TensorBoard's data server, wait until it has loaded, and end it at last; yields process and port."""
    import tensorboard_data_server

    with tempfile.TemporaryDirectory() as name:
        port = Path(name) / "port"
        flags = ["--reload=once", "--samples-per-plugin=scalars=all", "--port=0", f"--port-file={port}", "-v"]
        command = [tensorboard_data_server.server_binary(), f"--logdir={directory}", *flags]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            if not any("Finished load cycle" in line for line in process.stderr):
                raise SystemExit("TensorBoard's data server ended before it had loaded.")
            yield process, int(port.read_text())
            process.kill()


def tb_like() -> Loader:
    from tblike.convert import convert_run

    def load(directory: str) -> Loaded:
        with tempfile.TemporaryDirectory() as cache:
            return Loaded(convert_run(directory, cache, "run").total_rows)

    return load


LOADERS = {
    "ours": ours,
    "ours_columns": ours_columns,
    "tbparse": tbparse,
    "accumulator": accumulator,
    "server": server,
    "delivered": delivered,
    "tb_like": tb_like,
}


# --- memory --------------------------------------------------------------------------------------------------------


def memory(directory: str) -> Figures:
    """Return what is held after loading and the peak on the way there, as Python's allocators counted it."""
    import pandas  # noqa: F401

    from monitor import RunReader
    from monitor.sources.eventfile import BLOCK_BYTES

    gc.collect()
    tracemalloc.start()
    reader = RunReader(directory)
    scalars = reader.refresh()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    frame = scalars.frame
    with_frame, frame_peak = tracemalloc.get_traced_memory()
    figures = {"held": held, "peak": peak, "held_with_frame": with_frame, "peak_with_frame": frame_peak}
    return {**figures, "count": len(frame), "block": BLOCK_BYTES}


# --- live ----------------------------------------------------------------------------------------------------------


def live(directory: str) -> Figures:
    """Return the seconds of refreshes: of one run, of all, without news and with a hundred new scalars."""
    return {
        **_nothing_new(f"{directory}/large", f"{directory}/runs"),
        **_new_scalars(f"{directory}/large", f"{directory}/small"),
        **_watched(f"{directory}/large", f"{directory}/runs"),
    }


def _nothing_new(large: str, runs: str) -> Figures:
    from monitor import RunReader

    one = RunReader(large)
    one.refresh()
    readers = [RunReader(path) for path in sorted(Path(runs).iterdir())]
    for reader in readers:
        reader.refresh()
    return {
        "idle_one": _median_seconds(one.refresh, 300),
        "idle_many": _median_seconds(lambda: [reader.refresh() for reader in readers], 30),
        "runs": len(readers),
    }


def _new_scalars(large: str, small: str) -> Figures:
    """Measure a large file and a small one: what depends on history shows in their difference."""
    from monitor import RunReader

    found: Figures = {}
    for name, directory in (("large", large), ("small", small)):
        reader = RunReader(directory)
        found[f"{name}_count"] = reader.refresh().count
        path = next(Path(directory).iterdir())
        seconds, excess = zip(*(_appended(reader, path, number) for number in range(APPENDS)), strict=True)
        found[f"{name}_new"] = statistics.median(seconds)
        found[f"{name}_new_slowest"] = max(seconds)
        found[f"{name}_excess"] = max(excess)
    return found


def _appended(reader, path: Path, number: int) -> tuple[float, int]:
    """Append a hundred scalars; return the seconds of the refresh and the bytes it read beyond the new ones."""
    new = _hundred_scalars(number)
    with path.open("ab") as file:
        file.write(new)
    before = time.perf_counter()
    scalars = reader.refresh()
    return time.perf_counter() - before, scalars.bytes_read - len(new)


def _hundred_scalars(number: int) -> bytes:
    from tests.bench import event_writing

    templates = [event_writing.plain(tag) for tag in event_writing.TAGS]
    return b"".join(event_writing.steps(templates, 10, first_step=1_000_000 + 10 * number))


def _watched(large: str, runs: str) -> Figures:
    """Measure what the pages call: everything the readers hand over to."""
    from monitor import RunWatch
    from monitor.watch import LogWatch

    watch, path = RunWatch(large), next(Path(large).iterdir())
    watch.refresh(time.time())
    seconds = []
    for number in range(APPENDS, 2 * APPENDS):
        with path.open("ab") as file:
            file.write(_hundred_scalars(number))
        before = time.perf_counter()
        watch.refresh(time.time())
        seconds.append(time.perf_counter() - before)
    logs = LogWatch([Path(runs)])
    names = [run.name for run in logs.find_runs(time.time()).runs]

    def ask() -> None:
        now = time.time()
        for name in names:
            logs.scalars(name, now)

    ask()
    return {"status_new": statistics.median(seconds), "idle_watched": _median_seconds(ask, 30)}


def _median_seconds(work: Callable[[], object], times: int) -> float:
    seconds = []
    for _ in range(times):
        before = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - before)
    return statistics.median(seconds)


# --- many runs -----------------------------------------------------------------------------------------------------


def many_ours() -> Loader:
    """List all runs as the comparison page does: newest event, state, last value of every series."""
    from monitor.watch import LogWatch

    held: list[LogWatch] = []  # as a page holds it, so that memory can be compared

    def load(directory: str) -> Loaded:
        watch = LogWatch([Path(directory)])
        held.append(watch)
        return Loaded(sum(len(glance.last) for glance in watch.overview(time.time())))

    return load


def many_whole(workers: int) -> Loader:
    """List the same with every run read whole."""
    from monitor import RunReader
    from monitor.analysis.progress import progress_of, state_of
    from monitor.analysis.roles import choose_roles
    from monitor.schema import Configuration
    from monitor.settings import Settings
    from monitor.sources.runs import RunFinder

    held: list[RunReader] = []  # as a page holds them, so that memory can be compared

    def row(path: str) -> tuple[float | None, str, dict[str, float]]:
        reader = RunReader(path)
        held.append(reader)
        scalars, now, settings = reader.refresh(), time.time(), Settings()
        roles = choose_roles(scalars.series)
        progress = progress_of(scalars, roles, Configuration(), settings, now)
        last = {tag: float(points.value[-1]) for tag, points in scalars.series.items()}
        return scalars.last_event, state_of(scalars, progress, settings, now).state, last

    def load(directory: str) -> Loaded:
        paths = [run.path for run in RunFinder([Path(directory)]).find().runs]
        if workers == 1:
            rows = [row(path) for path in paths]
        else:
            with ThreadPoolExecutor(workers) as pool:
                rows = list(pool.map(row, paths, chunksize=8))
        return Loaded(sum(len(last) for _, _, last in rows))

    return load


def multiplexer() -> Loader:
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    def load(directory: str) -> Loaded:
        runs = EventMultiplexer(size_guidance={"scalars": 0})
        runs.AddRunsFromDirectory(directory)
        runs.Reload()
        last = {
            (run, tag): runs.Scalars(run, tag)[-1].value for run, has in runs.Runs().items() for tag in has["scalars"]
        }
        return Loaded(len(last))

    return load


MANY = {
    "many_ours": many_ours,
    "many_whole": lambda: many_whole(1),
    "many_whole_threads": lambda: many_whole(os.cpu_count() or 1),
    "many_multiplexer": multiplexer,
    "many_server": server,
}


def discovery(directory: str) -> Figures:
    """Return the seconds of a first search and of a repeated one."""
    from monitor.sources.runs import RunFinder

    finder = RunFinder([Path(directory)])
    before = time.perf_counter()
    count = len(finder.find().runs)
    cold = time.perf_counter() - before
    return {"count": count, "cold": cold, "warm": _median_seconds(finder.find, 5)}


OTHERS = {"memory": memory, "live": live, "discovery": discovery}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=[*LOADERS, *MANY, *OTHERS])
    parser.add_argument("directory")
    parser.add_argument("--core", type=int, help="run on this core only")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.job in OTHERS:
        figures = OTHERS[options.job](options.directory)
    else:
        figures = measure({**LOADERS, **MANY}[options.job](), options.directory)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
