"""What the event files of a run hold beside scalars, through tbparse: text and hyper-parameters.

tbparse reads whole files slowly, so it is fed a temporary file with nothing but the records that hold text or
hyper-parameters; `RunReader.kept` knows where they lie.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from monitor.schema import ConfigValue
from monitor.sources.framing import FRAME_BYTES
from monitor.sources.records import Kept

MOST_RECORDS = 500  # of one file; the newest are taken
MOST_BYTES = 16 << 20
_FILE_NAME = "events.out.tfevents.0.extras"


@dataclass(frozen=True, slots=True)
class Text:
    """One logged text.

    Args:
        tag: Its name.
        step: Step as logged.
        text: The text as written, Markdown or not; foreign.
    """

    tag: str
    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Extras:
    """Text and hyper-parameters of one run.

    Args:
        texts: In the order of their files and steps.
        hparams: Name → value, of the hyper-parameter plugin.
    """

    texts: tuple[Text, ...] = ()
    hparams: Mapping[str, ConfigValue] = field(default_factory=dict)


def read_extras(kept: Iterable[tuple[str, str, tuple[Kept, ...]]]) -> Extras:
    """Return the text and hyper-parameters of a run.

    Args:
        kept: File, prefix of its tags, and where its records lie, as `RunReader.kept` tells. Files that cannot be
            read any more are left out.
    """
    texts: list[Text] = []
    hparams: dict[str, ConfigValue] = {}
    for path, prefix, records in kept:
        content = _read_records(path, records)
        if content:
            file_texts, file_hparams = _parse(content)
            texts += [Text(prefix + text.tag, text.step, text.text) for text in file_texts]
            hparams.update(file_hparams)
    return Extras(tuple(texts), hparams)


def _read_records(path: str, records: tuple[Kept, ...]) -> bytes:
    """Return the newest of the records, as many as the limits allow; b"" when the file is gone."""
    chosen: list[Kept] = []
    room = MOST_BYTES
    for record in reversed(records[-MOST_RECORDS:]):
        room -= record.size_bytes
        if room < 0:
            break
        chosen.append(record)
    try:
        with Path(path).open("rb") as file:
            # The version in the first record keeps TensorBoard from dropping repeated steps.
            first = int.from_bytes(file.read(8), "little") + FRAME_BYTES
            wanted = [Kept(0, first, ""), *(record for record in reversed(chosen) if record.offset)]
            return b"".join(_read_record(file.fileno(), record) for record in wanted)
    except OSError:
        return b""


def _read_record(descriptor: int, record: Kept) -> bytes:
    content = os.pread(descriptor, record.size_bytes, record.offset)
    return content if len(content) == record.size_bytes else b""


def _parse(content: bytes) -> tuple[list[Text], dict[str, ConfigValue]]:
    from tbparse import SummaryReader  # it imports TensorBoard: only where there is something to read

    with tempfile.TemporaryDirectory(prefix="monitor-extras-") as directory:
        (Path(directory) / _FILE_NAME).write_bytes(content)
        # Without "tensors" tbparse lets TensorBoard keep one text of each tag only.
        parsed = SummaryReader(directory, event_types={"text", "hparams", "tensors"})
        texts = (
            [
                Text(str(tag), int(step), _plain_text(text))
                for step, tag, text in parsed.text[["step", "tag", "value"]].itertuples(index=False)
            ]
            if len(parsed.text)
            else []
        )
        hparams: dict[str, ConfigValue] = (
            {
                str(tag): value if isinstance(value, str | int | float | bool) else str(value)
                for tag, value in parsed.hparams[["tag", "value"]].itertuples(index=False)
            }
            if len(parsed.hparams)
            else {}
        )
    return texts, hparams


def _plain_text(text: object) -> str:
    """Return a logged text; a text tensor of several elements is joined by lines."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    return "\n".join(map(_plain_text, text)) if isinstance(text, list | tuple) else str(text)
