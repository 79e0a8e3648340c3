"""Hold the monitor against a directory of real runs: ``python tests/check_corpus.py DIR``.

For every directory below DIR that holds event files, `status --json` must be strict JSON with every key, end with a
known exit code and show no traceback. For every event file, the scalars must be those of TensorBoard's own loader:
count, step, value bit for bit, and wall time. Prints what was compared and every difference; exits 1 on any.
"""

import contextlib
import io
import os
import struct
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tbparse import SummaryReader
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from monitor.cli import main as monitor_main  # noqa: E402
from monitor.schema import Points  # noqa: E402
from monitor.sources.eventfile import read_scalars  # noqa: E402
from tests.json_contract import missing_keys, strict_loads  # noqa: E402

SUBPROCESSES = 5  # as many directories are asked through a real process too
EXIT_CODES = (0, 1, 2, 3)
Scalar = tuple[int, bytes, float]  # step, the bits of the value, wall time


# --- status --json -------------------------------------------------------------------------------------------------


def status_in_process(directory: Path) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of one `status`."""
    results, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(results), contextlib.redirect_stderr(messages):
        code = monitor_main(["status", "--run-dir", str(directory), "--json"])
    return code, results.getvalue(), messages.getvalue()


def status_in_subprocess(directory: Path) -> tuple[int, str, str]:
    """Return the same of a process of its own."""
    command = [sys.executable, "-m", "monitor", "status", "--run-dir", str(directory.resolve()), "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def status_faults(code: int, results: str, messages: str) -> Iterator[str]:
    """Yield what is wrong with the answer of one `status --json`."""
    if code not in EXIT_CODES:
        yield f"exit code {code}"
    if "Traceback" in messages:
        yield f"traceback: {messages.strip().splitlines()[-1]}"
    if code == 2:
        return
    try:
        values = strict_loads(results)
    except ValueError as error:
        yield f"no strict JSON: {error}"
        return
    yield from missing_keys(values)
    if (code == 3) != (values["run"]["scalars"] == 0):
        yield f"exit code {code} with {values['run']['scalars']} scalars"


# --- scalars -------------------------------------------------------------------------------------------------------


def tensorboard_scalars(path: Path) -> dict[str, list[Scalar]]:
    """Return the scalars of one event file as TensorBoard sees them: its loader turns every form into tensors.

    A tensor of rank 0 is a scalar when the first metadata of its tag names the plugin "scalars".
    Source: tensorflow/tensorboard ``backend/event_processing/event_file_loader.py`` and ``plugins/scalar/metadata.py``.
    """
    scalars: dict[str, list[Scalar]] = defaultdict(list)
    plugins: dict[str, str] = {}
    for event in EventFileLoader(str(path)).Load():  # ends quietly at a damaged or incomplete record
        for value in event.summary.value:
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            if plugin == "scalars" and value.HasField("tensor") and not value.tensor.tensor_shape.dim:
                number = float(tensor_util.make_ndarray(value.tensor).item())
                scalars[value.tag].append((event.step, struct.pack("<d", number), event.wall_time))
    return dict(scalars)


def our_scalars(points: Points) -> list[Scalar]:
    """Return one series of the monitor in the same form."""
    bits = points.value.astype("<f8").view(np.uint64)
    rows = zip(points.step.tolist(), bits.tolist(), points.wall_time.tolist(), strict=True)
    return [(step, struct.pack("<Q", value), wall_time) for step, value, wall_time in rows]


def scalar_faults(path: Path) -> tuple[int, list[str]]:
    """Return how many scalars of one file were compared, and every difference."""
    expected = tensorboard_scalars(path)
    found = {tag: our_scalars(points) for tag, points in read_scalars(str(path)).items() if len(points)}
    faults = [f'series "{tag}" only in one of the two' for tag in sorted(set(expected) ^ set(found))]
    for tag in sorted(set(expected) & set(found)):
        # Ours are sorted by session and step, theirs are in the order of the file.
        theirs, ours = sorted(expected[tag], key=_order), sorted(found[tag], key=_order)
        if theirs != ours:
            faults.append(
                f'series "{tag}": {len(theirs)} there, {len(ours)} here, first difference {_first(theirs, ours)}'
            )
    return sum(len(series) for series in expected.values()), faults


def tbparse_faults(path: Path) -> tuple[int, list[str]]:
    """Return how many scalars of one file tbparse knows, and those of its series in which ours differ.

    tbparse counts scalars written as tensors among the tensors, so its series are a part of ours.
    """
    parsed = SummaryReader(str(path), event_types={"scalars"}, extra_columns={"wall_time"}).scalars
    if not len(parsed):
        return 0, []
    ours = read_scalars(str(path))
    faults = []
    for tag, rows in parsed.groupby("tag", sort=True):
        bits = rows["value"].to_numpy("<f8").view("<u8").tolist()
        theirs = Counter(zip(rows["step"].tolist(), bits, rows["wall_time"].tolist(), strict=True))
        mine = Counter(
            (step, int.from_bytes(value, "little"), wall_time) for step, value, wall_time in our_scalars(ours[tag])
        )
        if theirs != mine:
            faults.append(f'series "{tag}": tbparse has {theirs.total()}, {(theirs - mine).total()} of them not here')
    return len(parsed), faults


def _order(scalar: Scalar) -> tuple[int, float, bytes]:
    step, bits, wall_time = scalar
    return step, wall_time, bits


def _first(theirs: list[Scalar], ours: list[Scalar]) -> str:
    pairs = zip(theirs, ours, strict=False)
    return next((f"{one} / {other}" for one, other in pairs if one != other), "behind the end of one")


# --- all of it -----------------------------------------------------------------------------------------------------


def check(root: Path) -> int:
    """Check everything below `root`, print the result, and return the exit code."""
    files = [Path(place) / name for place, _, names in os.walk(root) for name in sorted(names) if "tfevents" in name]
    directories = sorted({path.parent for path in files})
    faults: list[str] = []
    codes: dict[int, int] = defaultdict(int)
    for directory in directories:
        answer = status_in_process(directory)
        codes[answer[0]] += 1
        faults += [f"{directory}: {fault}" for fault in status_faults(*answer)]
    for directory in directories[:: max(len(directories) // SUBPROCESSES, 1)][:SUBPROCESSES]:
        faults += [f"{directory} (process): {fault}" for fault in status_faults(*status_in_subprocess(directory))]
    n_scalars = n_with_scalars = n_tbparse = 0
    for path in files:
        count, differences = scalar_faults(path)
        n_scalars += count
        n_with_scalars += count > 0
        known, more = tbparse_faults(path)
        n_tbparse += known
        faults += [f"{path}: {difference}" for difference in differences + more]
    lines = [
        f"{len(directories):,} directories asked for their status; exit codes {dict(sorted(codes.items()))}",
        f"{len(files):,} event files read, {n_with_scalars:,} of them with scalars; {n_scalars:,} scalars compared",
        f"{n_tbparse:,} of them known to tbparse as scalars and compared with it too",
        f"{len(faults):,} differences",
        *faults,
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if faults or not files else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python tests/check_corpus.py DIR")
    sys.exit(check(Path(sys.argv[1])))
