"""The reader against its alternatives: ``python tests/bench/bench_reader.py [--quick] [--rounds N]``.

Makes its files, runs every alternative as a whole process several times in turn, and prints median seconds, memory,
ratios and the machine as Markdown. Nothing is asserted: what falls short is said in the tables.

The alternatives are tbparse and TensorBoard: its `EventAccumulator`, its `EventMultiplexer` and its data server.
tb-like brings half a gigabyte of other packages, so it is measured only where an environment of its own has it, whose
interpreter ``--tb-like PYTHON`` names.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from tests import builders  # noqa: E402
from tests.bench import event_writing  # noqa: E402
from tests.bench.event_writing import TAGS, plain, tensor, together  # noqa: E402

Figures = dict[str, float]
MEGABYTE = 1e6
SLOW_ROUNDS = 2  # of readers that take half a minute
NAMES = {
    "ours": "this reader: `RunReader(path).refresh().frame`",
    "ours_columns": "this reader, columns without the frame",
    "server": "TensorBoard data server, load only",
    "delivered": "TensorBoard data server, load and deliver to Python",
    "accumulator": "TensorBoard `EventAccumulator`",
    "tb_like": "tb-like `convert_run`",
    "tbparse": "tbparse `SummaryReader(...).scalars`",
}


@dataclass(frozen=True)
class Sizes:
    """How much is written and measured."""

    steps: int = 100_000  # of ten series in the large file
    mix_scalars: int = 300_000
    live_runs: int = 300
    runs: int = 1_000
    steps_per_run: int = 100
    directories: int = 20_000
    many_files: int = 5_000
    many_tags: int = 10_000
    media_megabytes: int = 300
    rounds: int = 5


QUICK = Sizes(5_000, 20_000, 30, 40, 100, 800, 100, 1_000, 30, 1)


@dataclass
class Bench:
    """One benchmark: where its files lie, how much is measured, and what was found."""

    directory: Path
    sizes: Sizes
    tb_like: str | None
    core: int | None
    demands: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def job(self, name: str, directory: Path, *, pinned: bool = True) -> Figures:
        """Run one job in a process of its own and return its figures, with those of the whole process."""
        interpreter = self.tb_like if name == "tb_like" and self.tb_like else sys.executable
        command = [interpreter, "-m", "tests.bench.reader_jobs", name, str(directory)]
        if pinned and self.core is not None:
            command += ["--core", str(self.core)]
        before = time.perf_counter()
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            printed, errors = process.stdout.read(), process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{name} failed:\n{errors.decode(errors='replace')[-2000:]}")
        figures = json.loads(printed.splitlines()[-1])
        whole = {"process_processor": usage.ru_utime + usage.ru_stime, "process_wall": time.perf_counter() - before}
        return {**figures, **whole}

    def in_turn(self, jobs: Sequence[str], directory: Path, rounds: int, *, pinned: bool = True) -> dict[str, Figures]:
        """Run the jobs one after the other, round by round; return the median of each figure."""
        found: dict[str, list[Figures]] = defaultdict(list)
        for number in range(rounds):
            for name in jobs:
                if number < SLOW_ROUNDS or name not in ("tbparse", "tb_like", "accumulator"):
                    found[name].append(self.job(name, directory, pinned=pinned))
        return {name: medians(figures) for name, figures in found.items()}

    def demand(self, what: str, wanted: str, measured: str, met: bool) -> None:
        """Note a demand for the table at the end."""
        self.demands.append((what, wanted, measured, met))


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of every figure over the rounds, and how many there were."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]} | {
        "rounds": len(rounds)
    }


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> None:
    print(f"\n### {title}\n")
    if note:
        print(f"{note}\n")
    print(f"| {' | '.join(head)} |")
    print(f"|{'|'.join('---' if number == 0 else '--:' for number in range(len(head)))}|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    sys.stdout.flush()


def seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def milliseconds(value: float) -> str:
    return f"{value * 1e3:.3g} ms"


def megabytes(value: float) -> str:
    return f"{value / MEGABYTE:.0f} MB"


def times(value: float) -> str:
    return f"{value:.1f} ×" if value < 10 else f"{value:.0f} ×"


# --- files ---------------------------------------------------------------------------------------------------------


def event_file(directory: Path, number: int = 0) -> Path:
    return directory / builders.event_file_name(index=number)


def write_large(directory: Path, n_steps: int) -> Path:
    """Write one file with ten series."""
    return event_writing.write(event_file(directory), event_writing.steps([plain(tag) for tag in TAGS], n_steps))


def write_runs(directory: Path, count: int, n_steps: int) -> None:
    """Write runs of ten series, fifty in a group, each started a minute after the one before."""
    templates = [plain(tag) for tag in TAGS]
    for number in range(count):
        start = event_writing.START + 60 * number
        path = event_file(directory / f"group_{number // 50:02d}" / f"run_{number:04d}")
        event_writing.write(path, event_writing.steps(templates, n_steps, start=start), start)


def write_flat_runs(directory: Path, count: int) -> None:
    """Write runs of a thousand scalars side by side."""
    for number in range(count):
        write_large(directory / f"run_{number:04d}", 100)


def write_directories(directory: Path, count: int) -> None:
    """Make runs that hold a small event file and nineteen checkpoints, all untouched for an hour."""
    header = builders.file_header()
    for number in range(count // 20):
        run = directory / f"run_{number:04d}"
        run.mkdir(parents=True)
        event_file(run).write_bytes(header)
        for epoch in range(19):
            (run / f"epoch{epoch}").mkdir()
    settled = time.time() - 3600
    for path in [*directory.rglob("*"), directory]:
        os.utime(path, (settled, settled))


def mixes(sizes: Sizes) -> dict[str, list[Iterator[bytes]]]:
    """Return name → records of each file, all of about the same number of scalars."""
    count = sizes.mix_scalars
    ten = [plain(tag) for tag in TAGS]
    even = [plain(f"layer/{number:05d}/norm") for number in range(sizes.many_tags)]
    uneven = [plain(f"layer/{'x' * (number % 37)}{number}/norm") for number in range(sizes.many_tags)]
    wide = [together([f"metric/{number}" for number in range(100)])]
    validation = [plain(f"train/metric_{'x' * number}") for number in range(9)]
    alone = plain("validation/a_rare_one")
    rare = (
        record
        for start in range(0, count // 9, 37)
        for records in (
            event_writing.steps(validation, 37, first_step=start),
            event_writing.steps([alone], 1, first_step=start + 36),
        )
        for record in records
    )
    per_file = max(1, count // sizes.many_files // len(ten))
    return {
        "ten tags, in the same order at every step": [event_writing.steps(ten, count // 10)],
        "one tag": [event_writing.steps([plain("train/loss")], count)],
        "ten tags, order drawn by chance": [event_writing.shuffled(ten, count // 10)],
        "nine tags, and one more every 37 steps": [rare],
        "a hundred tags in each record": [event_writing.steps(wide, count // 100)],
        "tensors as TF2 writes them, ten tags": [event_writing.steps([tensor(tag) for tag in TAGS], count // 10)],
        f"{sizes.many_tags:,} tags of one length": [event_writing.steps(even, count // len(even))],
        f"{sizes.many_tags:,} tags of many lengths": [event_writing.steps(uneven, count // len(uneven))],
        f"{sizes.many_files:,} files in one directory": [
            event_writing.steps(ten, per_file, first_step=number * per_file) for number in range(sizes.many_files)
        ],
    }


# --- sections ------------------------------------------------------------------------------------------------------


def one_file(bench: Bench) -> None:
    path = write_large(bench.directory / "one", bench.sizes.steps)
    jobs = [name for name in NAMES if name != "tb_like" or bench.tb_like]
    found = bench.in_turn(jobs, path.parent, bench.sizes.rounds)
    for name, figures in found.items():
        if figures["count"] not in (-1, 10 * bench.sizes.steps):
            raise SystemExit(f"{name} found {figures['count']:,.0f} scalars.")
    reference = found["ours"]
    rows = [
        (
            NAMES[name],
            seconds(figures["processor"]),
            times(figures["processor"] / reference["processor"]),
            seconds(figures["wall"]),
            seconds(figures["process_processor"]),
            times(figures["process_processor"] / reference["process_processor"]),
            seconds(figures["process_wall"]),
            megabytes(figures["peak"]),
            megabytes(figures["increase"]),
            f"{figures['rounds']:.0f}",
        )
        for name, figures in found.items()
    ]
    head = ["reader", "load: processor", "to ours", "load: wall", "process: processor", "to ours", "process: wall"]
    title = f"One file: ten tags, {10 * bench.sizes.steps:,} scalars, {path.stat().st_size / MEGABYTE:.1f} MB"
    note = (
        "On one core; median of whole processes run in turn. Load leaves out imports. Memory counts server and client."
    )
    if not bench.tb_like:
        note += " tb-like is not installed here (--tb-like)."
    print_table(title, [*head, "peak memory", "above imports", "rounds"], rows, note)
    for name, factor in (("tbparse", 60), ("server", 2), ("delivered", 6)):
        ratio = found[name]["processor"] / reference["processor"]
        bench.demand(f"load of one file: {NAMES[name]}", f"≥ {factor} × ours", times(ratio), ratio >= factor)


def memory(bench: Bench) -> None:
    figures = bench.job("memory", bench.directory / "one")
    count, held, block = figures["count"], figures["held"], figures["block"]
    limit = 3 * held + block
    per_scalar = {name: figures[name] / count for name in ("held", "peak", "held_with_frame", "peak_with_frame")}
    rows = [
        ("columns", f"{per_scalar['held']:.1f} B", f"{per_scalar['peak']:.1f} B", megabytes(figures["peak"])),
        (
            "columns and frame",
            f"{per_scalar['held_with_frame']:.1f} B",
            f"{per_scalar['peak_with_frame']:.1f} B",
            megabytes(figures["peak_with_frame"]),
        ),
    ]
    head = ["held after loading", "per scalar", "peak on the way, per scalar", "peak"]
    note = f"{count:,.0f} scalars; allocations as tracemalloc counts them; a block has {block / MEGABYTE:.1f} MB."
    print_table("Memory", head, rows, note)
    bench.demand("memory held", "≤ 32 B per scalar", f"{per_scalar['held']:.1f} B", per_scalar["held"] <= 32)
    peak = figures["peak"]
    bench.demand("memory at peak", f"≤ 3 × held + a block = {megabytes(limit)}", megabytes(peak), peak <= limit)
    media(bench)


def media(bench: Bench) -> None:
    """A file that is large, but not by its scalars: memory must not follow its size."""
    directory = bench.directory / "media"
    image = builders.record(builders.event(event_writing.START, 1, [builders.text_value("image", "x" * 1_000_000)]))
    records = [image] * bench.sizes.media_megabytes
    path = event_writing.write(event_file(directory), iter([*event_writing.steps([plain("loss")], 1000), *records]))
    figures = bench.job("ours", directory)
    title = f"reading {path.stat().st_size / MEGABYTE:.0f} MB with 1,000 scalars: memory above imports"
    bench.demand(title, "≤ 4 blocks = 34 MB", megabytes(figures["increase"]), figures["increase"] <= 4 * (8 << 20))
    shutil.rmtree(directory)


def kinds(bench: Bench) -> None:
    rows = []
    for name, files in mixes(bench.sizes).items():
        directory = bench.directory / "mix"
        for number, records in enumerate(files):
            event_writing.write(event_file(directory, number), records)
        rounds = min(bench.sizes.rounds, 2)
        found = bench.in_turn(["ours", "server"], directory, rounds)
        mine, theirs = found["ours"]["processor"], found["server"]["processor"]
        count = found["ours"]["count"]
        per_million = mine / count * 1e6
        row = (name, f"{count:,.0f}", seconds(mine), seconds(per_million), seconds(theirs), times(theirs / mine))
        rows.append(row)
        shutil.rmtree(directory)
    head = ["file", "scalars", "ours", "per million", "data server, load only", "to ours"]
    print_table("Other kinds of files", head, rows, "Processor seconds of the load, on one core.")


def live(bench: Bench) -> None:
    directory = bench.directory / "live"
    (directory / "large").mkdir(parents=True)
    large = next((bench.directory / "one").iterdir())
    shutil.copy(large, directory / "large" / large.name)
    write_large(directory / "small", bench.sizes.steps // 10)
    write_flat_runs(directory / "runs", bench.sizes.live_runs)
    found = bench.job("live", directory)
    runs = f"{found['runs']:.0f} runs"
    size = f"{found['large_count']:,.0f}-scalar file"
    small = f"{found['small_count']:,.0f} scalars"
    rows = [
        ("nothing new, one run", milliseconds(found["idle_one"])),
        (f"nothing new, {runs}: readers", milliseconds(found["idle_many"])),
        (f"nothing new, {runs}: `LogWatch.scalars` of each", milliseconds(found["idle_watched"])),
        (f"100 new scalars in a {size}", milliseconds(found["large_new"])),
        (f"100 new scalars in a {size}, slowest of 30", milliseconds(found["large_new_slowest"])),
        (f"100 new scalars in a file with {small}", milliseconds(found["small_new"])),
        ("bytes read beyond the new ones", f"{max(found['large_excess'], found['small_excess']):.0f}"),
        (f"100 new scalars in a {size}: `RunWatch.refresh`, health included", milliseconds(found["status_new"])),
    ]
    print_table("Live refresh", ["what", "median wall"], rows)
    for what, wanted, key, limit in (
        ("refresh, nothing new, one run", "< 1 ms", "idle_one", 1e-3),
        (f"refresh, nothing new, {runs}", "< 50 ms", "idle_watched", 50e-3),
        (f"refresh, 100 new scalars in a {size}", "< 5 ms", "large_new", 5e-3),
    ):
        bench.demand(what, wanted, milliseconds(found[key]), found[key] < limit)
    excess = max(found["large_excess"], found["small_excess"])
    bench.demand("bytes read beyond the new ones", "0", f"{excess:.0f}", excess == 0)
    growth = found["large_new"] / found["small_new"]
    bench.demand("refresh in a file of ten times the history", "≤ 1.2 × as long", times(growth), growth <= 1.2)
    shutil.rmtree(directory)


def many_runs(bench: Bench) -> None:
    sizes, directory = bench.sizes, bench.directory / "many"
    write_runs(directory, sizes.runs, sizes.steps_per_run)
    found = bench.in_turn(
        ["many_ours", "many_whole", "many_whole_threads"], directory, min(sizes.rounds, 3), pinned=False
    )
    found |= bench.in_turn(["many_server", "many_multiplexer"], directory, 1, pinned=False)
    reference = found["many_ours"]
    names = {
        "many_ours": "this reader: the list of the comparison page",
        "many_whole": "this reader, everything read whole, one thread",
        "many_whole_threads": f"this reader, everything read whole, {os.cpu_count()} threads",
        "many_server": "TensorBoard data server, load only",
        "many_multiplexer": "TensorBoard `EventMultiplexer`",
    }
    rows = [
        (
            names[name],
            seconds(figures["processor"]),
            times(figures["processor"] / reference["processor"]),
            seconds(figures["wall"]),
            times(figures["wall"] / reference["wall"]),
            megabytes(figures["increase"]),
        )
        for name, figures in found.items()
    ]
    what = f"{sizes.runs:,} runs × {10 * sizes.steps_per_run:,} scalars"
    head = ["reader", "processor", "to ours", "wall", "to ours", "memory above imports"]
    print_table(f"Many runs: {what}", head, rows, "List with newest event, state and the last value of every series.")
    ratio = found["many_multiplexer"]["processor"] / reference["processor"]
    bench.demand(f"{what}: `EventMultiplexer`", "≥ 20 × ours", times(ratio), ratio >= 20)
    used = reference["processor"]
    bench.demand(f"{what}: processor seconds", "< 5 s", seconds(used), used < 5)
    shutil.rmtree(directory)


def discovery(bench: Bench) -> None:
    directory = bench.directory / "directories"
    write_directories(directory, bench.sizes.directories)
    found = bench.job("discovery", directory, pinned=False)
    what = f"search of {bench.sizes.directories:,} directories, {found['count']:,.0f} of them runs"
    bench.demand(f"{what}, first", "–", seconds(found["cold"]), True)
    bench.demand(f"{what}, repeated", "< 1 s", seconds(found["warm"]), found["warm"] < 1)
    shutil.rmtree(directory)


def machine(bench: Bench) -> str:
    """Return what it was measured on."""
    packages = ("numpy", "pandas", "google-crc32c", "tensorboard", "tensorboard-data-server", "tbparse", "protobuf")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    pinned = "pinned to one core" if bench.core is not None else "not pinned to a core"
    load = f"load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else "load unknown"
    return (
        f"{_processor_name()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {versions}; {pinned}; {load}."
    )


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small files, one round: does it run at all?")
    parser.add_argument("--rounds", type=int, help="processes per reader (default 5; slow readers 2)")
    parser.add_argument("--tb-like", metavar="PYTHON", help="interpreter of an environment with tb-like")
    parser.add_argument("--only", choices=[section.__name__ for section in SECTIONS], help="this section only")
    options = parser.parse_args()
    sizes = QUICK if options.quick else Sizes()
    if options.rounds:
        sizes = Sizes(**{**vars(sizes), "rounds": options.rounds})
    event_writing.check_writing()
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else None
    with tempfile.TemporaryDirectory(prefix="bench_reader_") as name:
        bench = Bench(Path(name), sizes, options.tb_like, core)
        print(machine(bench))
        for section in SECTIONS:
            if options.only in (None, section.__name__):
                section(bench)
        rows = [(what, wanted, measured, "ok" if met else "short") for what, wanted, measured, met in bench.demands]
        print_table("Demands", ["what", "wanted", "measured", ""], rows)


SECTIONS = (one_file, memory, kinds, live, many_runs, discovery)

if __name__ == "__main__":
    main()
