"""The hyper-parameters at the beginning of event files, for a list of many runs.

`extras` finds them wherever they stand, but for that a run must have been read as a whole, and tbparse takes as long
for one run as this for hundreds. Trainers write them when a training starts: a look at the first kilobytes is enough.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from monitor.schema import ConfigValue
from monitor.sources.framing import FRAME_BYTES, HEADER_BYTES, payload_is_right
from monitor.sources.wire import BYTES, FIXED64, VARINT, WireError, read_fields, read_varint

BEGIN_BYTES = 16_384
MOST_FILES = 8  # of one run
TAG = b"_hparams_/session_start_info"


def read_first_hparams(files: Iterable[str]) -> dict[str, ConfigValue]:
    """Return the hyper-parameters at the beginning of some event files; of a name written twice the last value.

    Files that cannot be read, records that are damaged and what stands behind `BEGIN_BYTES` are left out.

    Args:
        files: The event files of one run, the oldest first; no more than `MOST_FILES` are looked at.
    """
    found: dict[str, ConfigValue] = {}
    for path, _ in zip(files, range(MOST_FILES), strict=False):
        begin = _begin_of(path)
        if TAG in begin:
            for payload in _payloads(begin):
                found.update(_hparams_in(payload))
    return found


def _begin_of(path: str) -> bytes:
    try:
        with Path(path).open("rb", buffering=0) as file:
            return file.read(BEGIN_BYTES) or b""
    except OSError:  # gone or not allowed: who opens the run is told
        return b""


def _payloads(content: bytes) -> Iterator[bytes]:
    """Yield the records with the tag, up to the first that is damaged or cut off."""
    at, view = 0, memoryview(content)
    while at + HEADER_BYTES <= len(content):
        size = int.from_bytes(content[at : at + 8], "little")
        end = at + FRAME_BYTES + size
        if end > len(content) or not payload_is_right(view, at, size):
            return
        payload = content[at + HEADER_BYTES : at + HEADER_BYTES + size]
        if TAG in payload:
            yield payload
        at = end


def _hparams_in(payload: bytes) -> dict[str, ConfigValue]:
    """Return the hyper-parameters of one event.

    Source: tensorboard/plugins/hparams/plugin_data.proto: ``Event.summary.value.metadata.plugin_data.content`` holds
    ``HParamsPluginData.session_start_info.hparams``, a map of ``google.protobuf.Value``.
    """
    try:
        return dict(
            _entry(payload, *entry)
            for value in _inside(payload, (0, len(payload)), 5, 1)
            for content in _inside(payload, value, 9, 1, 2)
            for entry in _inside(payload, content, 3, 1)
        )
    except WireError:
        return {}


def _inside(payload: bytes, place: tuple[int, int], *path: int) -> Iterator[tuple[int, int]]:
    """Yield where the messages lie to which a path of field numbers leads."""
    if not path:
        yield place
        return
    for number, kind, start, stop in read_fields(payload, *place):
        if number == path[0] and kind == BYTES:
            yield from _inside(payload, (start, stop), *path[1:])


def _entry(payload: bytes, at: int, end: int) -> tuple[str, ConfigValue]:
    """Return one name with its value."""
    name, value = "", None
    for number, kind, start, stop in read_fields(payload, at, end):
        if number == 1 and kind == BYTES:
            name = payload[start:stop].decode("utf-8", "replace")
        elif number == 2 and kind == BYTES:
            value = _value(payload, start, stop)
    return name, value


def _value(payload: bytes, at: int, end: int) -> ConfigValue:
    """Return a ``google.protobuf.Value``: null, number, text or truth value; a list or a mapping is unknown."""
    for number, kind, start, stop in read_fields(payload, at, end):
        if number == 2 and kind == FIXED64:
            return float(struct.unpack_from("<d", payload, start)[0])
        if number == 3 and kind == BYTES:
            return payload[start:stop].decode("utf-8", "replace")
        if number == 4 and kind == VARINT:
            return bool(read_varint(payload, start)[0])
    return None
