"""Writing a file so that it holds all of its content or is left as it was, and refusing to write over another's."""

import errno
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from monitor.errors import ReportNotWritten
from monitor.text import plain

EDGE_BYTES = 65_536  # read from either end of a file to tell what it is


def write_bytes(content: bytes, path: Path, *, may_replace: Callable[[bytes], bool] | None = None) -> None:
    """Write a file so that it holds all of `content` or is left as it was.

    Args:
        content: All of it.
        path: Where to; a link stays a link, a pipe or device is written to and never replaced.
        may_replace: Told the first and the last `EDGE_BYTES` of a file that is there, says whether it may be written
            over; None where any may. An empty file always may.

    Raises:
        ReportNotWritten: The file may not be replaced, or the system refuses; the message says why.
    """
    try:
        target = path.resolve()
        if target.is_file() and may_replace is not None:
            _refuse_another(target, path, may_replace)
        if target.exists() and not (target.is_file() or target.is_dir()):
            target.write_bytes(content)
        else:
            _replace(target, content)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        raise _not_written(path, error) from error


def _refuse_another(target: Path, path: Path, may_replace: Callable[[bytes], bool]) -> None:
    edges = _edges(target)
    if edges and not may_replace(edges):
        raise ReportNotWritten(
            f'The file "{plain(str(path))}" is there already and was not written by this command.',
            hint="Name another file with -o, or remove that one first.",
        )


def _edges(target: Path) -> bytes:
    """Return the first and the last bytes of a file; all of a short one."""
    with target.open("rb") as file:
        first = file.read(EDGE_BYTES)
        size = target.stat().st_size
        file.seek(max(size - EDGE_BYTES, len(first)))
        return first + file.read(EDGE_BYTES)


def _replace(target: Path, content: bytes) -> None:
    """Write to a new file beside `target`, then put it in its place in one step."""
    part = target.with_name(f".report-{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
        if target.is_file():
            part.chmod(target.stat().st_mode & 0o777)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)  # gone already when all went well


def _not_written(path: Path, error: Exception) -> ReportNotWritten:
    why, hint = _reason(error)
    return ReportNotWritten(f'The file "{plain(str(path))}" could not be written: {why}.', hint=hint)


def _reason(error: Exception) -> tuple[str, str]:
    """Return (why, what to do) for a refusal of the operating system."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full", "Free some space, or name a file on another disk with -o."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "this user may not write there", "Name a file in a directory you may write to with -o."
    if number in (errno.ENOENT, errno.ENOTDIR):
        return "its directory does not exist", "Make the directory first, or name another file with -o."
    if number == errno.EISDIR:
        return "a directory of that name is in the way", "Name a file with -o, e.g. -o report.md."
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason, "Name another file with -o."
