"""The record: readings in a file, a line of JSON each, so that their history survives a restart.

A line is ``{"host": "name", "wall_time": 1700000000.0, "cpu_percent": 12.5, …, "gpus": [{"index": 0, …}]}`` with the
names of `Sample` and `GpuSample`; what is not told is left out. Readings of another host are passed over: the file may
lie in a home directory that several machines share.
"""

import json
import math
import os
import platform
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from monitor.schema import GpuSample, Sample
from monitor.text import plain

SAMPLE_FIGURES: Final = (
    *("wall_time", "cpu_percent", "memory_used_bytes", "memory_total_bytes", "disk_free_bytes", "disk_total_bytes"),
    *("swap_used_bytes", "disk_read_bytes_per_second", "disk_write_bytes_per_second"),
)
GPU_FIGURES: Final = (
    *("utilization_percent", "memory_used_bytes", "memory_total_bytes", "temperature_celsius", "power_watts"),
    *("power_limit_watts", "slowdown_celsius"),
)
LARGEST = 1e18  # no figure of a machine is larger; NaN and infinities, which JSON in Python knows, are not smaller
MOST_BYTES = 64 * 2**20  # read at a start: the record of two hours of a machine with eight GPUs has 10 MB

NOT_OURS = 'The file "{path}" holds no record of readings, so nothing is recorded; name another as resources_file.'
NOT_READ = 'The readings recorded in "{path}" cannot be read ({reason}), so the history begins now.'
NOT_WRITTEN = 'The readings are not recorded: the file "{path}" cannot be written ({reason}).'
DAMAGED = 'Of the readings recorded in "{path}", {count} cannot be read and are left out of the history.'


class Record:
    """The file of the readings of this machine; never an error, at most a sentence in `note`.

    Args:
        path: The file; its directory has to be there.
        keep: Readings it is cut back to; it never holds more than twice as many.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._read_note: str | None = None
        self._write_note: str | None = None
        self._path = path
        self._keep = keep
        self._host = platform.node()
        self._n_lines = 0
        self._may_write = True

    @property
    def note(self) -> str | None:
        """The sentence that says what is wrong with the record, None where nothing is."""
        return self._write_note or self._read_note

    def read(self, now: float, span_seconds: float) -> tuple[Sample, ...]:
        """Return the readings of this host in the last `span_seconds` before `now`, oldest first."""
        try:
            content = self._content()
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:  # a NUL in the name
            return self._give_up(NOT_READ.format(path=self._told_path, reason=_reason(error)))
        lines = content.splitlines()
        if lines and _sample(lines[0], self._host) is None:
            return self._give_up(NOT_OURS.format(path=self._told_path))
        self._n_lines = len(lines)
        found = [_sample(line, self._host) for line in lines[-self._keep :]]
        # The last line may well be torn: the monitor was ended while it wrote.
        damaged = sum(sample is None for sample in (found if content.endswith(b"\n") else found[:-1]))
        self._read_note = DAMAGED.format(path=self._told_path, count=damaged) if damaged else None
        return tuple(
            sample for sample in found if isinstance(sample, Sample) and 0 <= now - sample.wall_time <= span_seconds
        )

    def append(self, sample: Sample) -> None:
        """Add a reading; where that fails, `note` says why, and the next reading tries again."""
        if not self._may_write:
            return
        try:
            if self._n_lines >= 2 * self._keep:
                self._cut()
            with self._path.open("a+b") as file:
                file.write(b"\n" * _ends_torn(file) + _line(sample, self._host))
        except (OSError, ValueError) as error:
            self._write_note = NOT_WRITTEN.format(path=self._told_path, reason=_reason(error))
            return
        self._n_lines += 1
        self._write_note = None

    def _content(self) -> bytes:
        """Return the end of the file, from the beginning of a line on."""
        if self._path.exists() and not self._path.is_file():
            raise OSError(None, "it is no file")
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                file.seek(size - MOST_BYTES)
                file.readline()
            return file.read()

    def _cut(self) -> None:
        """Leave the newest lines only, in one step: a reader never sees half of them."""
        target = self._path.resolve()
        part = target.with_name(f".{target.name}-{secrets.token_hex(8)}.part")
        try:
            lines = self._content().splitlines(keepends=True)[-self._keep :]
            part.write_bytes(b"".join(lines))
            part.replace(target)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        self._n_lines = len(lines)

    def _give_up(self, note: str) -> tuple[Sample, ...]:
        """Leave a file alone that cannot be read or is another's."""
        self._read_note, self._may_write = note, False
        return ()

    @property
    def _told_path(self) -> str:
        return plain(str(self._path))


def _ends_torn(file: BinaryIO) -> bool:
    """Return whether a file ends within a line: the disk was full, or the monitor was ended while it wrote."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 1, 0))
    return file.read(1) not in (b"", b"\n")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# --- lines ---------------------------------------------------------------------------------------------------------


def _line(sample: Sample, host: str) -> bytes:
    content = {
        "host": host,
        **_told(sample, SAMPLE_FIGURES),
        "gpus": [{"index": gpu.index, "name": gpu.name, **_told(gpu, GPU_FIGURES)} for gpu in sample.gpus],
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _told(reading: Sample | GpuSample, names: tuple[str, ...]) -> dict[str, float]:
    figures = {name: getattr(reading, name) for name in names}
    return {
        name: round(figure, 2) if isinstance(figure, float) else figure
        for name, figure in figures.items()
        if figure is not None and math.isfinite(figure)
    }


def _sample(line: bytes, host: str) -> Sample | str | None:
    """Return the reading in a line, the name of its host where that is another, None where the line is damaged."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("host"), str):
        return None
    figures = _figures(content, SAMPLE_FIGURES)
    listed = content.get("gpus")
    gpus = [_gpu(gpu) for gpu in listed] if isinstance(listed, list) else [None]
    known = tuple(gpu for gpu in gpus if gpu is not None)
    if figures is None or "wall_time" not in figures or len(known) < len(gpus):
        return None
    return Sample(**figures, gpus=known) if content["host"] == host else str(content["host"])


def _gpu(content: object) -> GpuSample | None:
    if not isinstance(content, dict):
        return None
    index, name = content.get("index"), content.get("name")
    figures = _figures(content, GPU_FIGURES)
    if type(index) is not int or not isinstance(name, str) or figures is None:
        return None
    told: dict[str, Any] = {figure: figures.get(figure) for figure in GPU_FIGURES}
    return GpuSample(index, name, **told)


def _figures(content: Mapping[str, object], names: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the figures of those names that are told; None where one is no number or beyond all measure."""
    figures = {name: content[name] for name in names if name in content}
    return figures if all(map(_is_figure, figures.values())) else None


def _is_figure(content: object) -> bool:
    return isinstance(content, int | float) and not isinstance(content, bool) and abs(content) <= LARGEST
