"""Numbers, durations, sizes and steps as people of the field read them, and escaping of foreign text.

Every function is pure. Unknown (None or NaN where a number has no meaning) is shown as UNKNOWN, never as 0.
"""

import math
import re
import unicodedata
from datetime import UTC, datetime, tzinfo

UNKNOWN = "–"
MINUS = "−"


def format_number(value: float | None, digits: int = 5) -> str:
    """Return a measured value with `digits` significant digits: ``0.31416``, ``1.200e-07``, ``12,340``.

    NaN and infinities are signals and are shown as ``NaN``, ``∞`` and ``−∞``; only None is unknown.
    """
    if value is None:
        return UNKNOWN
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    magnitude = abs(value)
    if magnitude != 0 and (magnitude < 1e-4 or magnitude >= 10**9):
        text = f"{magnitude:.{max(digits - 2, 1)}e}"
    elif round(magnitude) >= 10**digits:  # rounded first: 99,999.6 has six digits
        text = f"{magnitude:,.0f}"
    else:
        text = f"{magnitude:,.{digits}g}"
    return f"{MINUS}{text}" if value < 0 else text


def format_learning_rate(value: float | None) -> str:
    """Return a learning rate in the field's notation, ``1.25e-04``; exactly 0 is ``0``."""
    if value is None or not math.isfinite(value) or value == 0:
        return format_number(value)
    return f"{value:.2e}".replace("-", MINUS if value < 0 else "-", 1)


def format_step(step: int | None) -> str:
    """Return a step or count with grouped thousands: ``12,340``."""
    return UNKNOWN if step is None else f"{step:,}".replace("-", MINUS)


def format_moment(step: int | None, first_epoch_step: int | None) -> str:
    """Return a step as people call it: ``epoch 18``, counted from 1, or ``step 6,200``.

    Args:
        step: As logged.
        first_epoch_step: Step that stands for the first epoch; None where steps are not epochs.
    """
    if step is None:
        return UNKNOWN
    if first_epoch_step is None:
        return f"step {format_step(step)}"
    return f"epoch {format_step(step - first_epoch_step + 1)}"


def format_percent(value: float | None, digits: int = 0) -> str:
    """Return a share of 0–100 with its unit: ``87 %``."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{round(value, digits) + 0.0:.{digits}f} %".replace("-", MINUS)  # + 0.0: no negative zero


def format_change(change_percent: float | None) -> str:
    """Return a change with its sign: ``−5.2 %``, ``+0.3 %``; a change of nothing is ``0.0 %``."""
    if change_percent is None or math.isnan(change_percent):
        return UNKNOWN
    if math.isinf(change_percent) or abs(change_percent) >= 10_000:
        return "> +9,999 %" if change_percent > 0 else f"< {MINUS}9,999 %"
    rounded = round(change_percent, 1)
    if rounded == 0:
        return "0.0 %"
    sign = "+" if rounded > 0 else MINUS
    return f"{sign}{abs(rounded):,.1f} %"


def format_duration(seconds: float | None) -> str:
    """Return a time span in its two largest units: ``2 h 05 min``, ``3 d 04 h``, ``45 s``, ``320 ms``."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0:
        return f"{MINUS}{format_duration(-seconds)}"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def format_age(seconds: float | None) -> str:
    """Return how long ago something was: ``12 s ago``; times in the future count as now."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    return "just now" if seconds < 1 else f"{format_duration(max(seconds, 0))} ago"


def format_bytes(count: int | None) -> str:
    """Return a size with decimal prefixes, as storage is sold: ``1.3 GB``, ``512 B``."""
    if count is None:
        return UNKNOWN
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"


def format_time(wall_time: float | None, zone: tzinfo = UTC) -> str:
    """Return a moment as ``2026-11-22 13:05:09`` in the given zone."""
    moment = _moment(wall_time, zone)
    return UNKNOWN if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def iso_time(wall_time: float | None) -> str | None:
    """Return a moment in ISO 8601 with offset for other programs, None when it is unknown or out of range."""
    moment = _moment(wall_time, UTC)
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _moment(wall_time: float | None, zone: tzinfo) -> datetime | None:
    if wall_time is None or not math.isfinite(wall_time):
        return None
    try:
        return datetime.fromtimestamp(wall_time, zone)
    except (OverflowError, ValueError, OSError):  # a damaged clock: beyond the calendar
        return None


def shorten_middle(name: str, width: int) -> str:
    """Return `name` with its middle replaced by ``…`` so that it has at most `width` characters."""
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :] if tail else ''}"


def plain(foreign: str) -> str:
    """Return text from a file as one harmless line: no control, bidirectional or unassigned characters.

    Names of runs and tags, configuration values and logged text pass through here before a person sees them.
    Source: categories C*, Zl and Zp of the Unicode standard; zero-width joiners stay, emoji need them.
    """
    kept = (
        character if character == "\u200d" or unicodedata.category(character)[0] != "C" else " "
        for character in foreign.replace("\u2028", " ").replace("\u2029", " ")
    )
    return " ".join("".join(kept).split())


def code_span(foreign: str) -> str:
    """Return text from a file as an inert Markdown code span.

    The fence is longer than any run of backticks inside. Source: CommonMark 0.31, section 6.1 (code spans).
    """
    text = plain(foreign)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if not text or text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def table_cell(foreign: str) -> str:
    """Return text from a file as an inert cell of a Markdown table.

    Source: GitHub-flavoured Markdown 0.29, section 4.10: a pipe needs a backslash even inside a code span.
    """
    return code_span(foreign).replace("|", "\\|")


def file_name(foreign: str, width: int = 80) -> str:
    """Return a safe file name made of ``A-Z a-z 0-9 . _ -`` from any text."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", foreign).strip(".-")[:width] or "run"
