"""What is drawn for people: rows that wrap, tables, bars, rows of bytes. It takes text that is escaped already."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from .output import Output

__all__ = ["age_text", "bar", "columns", "cut", "hex_row", "hex_width", "plural", "row", "signatures_text"]

_LABEL = 11
_WIDEST = 160
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def columns() -> int:
    """Return how wide the terminal is, 80 where there is none."""
    return max(40, min(shutil.get_terminal_size().columns, _WIDEST))


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def row(out: Output, label: str, text: str, indent: int = 2) -> list[str]:
    """Return a label and its text, wrapped to the terminal; lines after the first stand below the text."""
    width = max(columns() - indent - _LABEL, 20)
    lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    first = " " * indent + out.style(f"{label:<{_LABEL}}", "dim") + lines[0]
    return [first.rstrip(), *(" " * (indent + _LABEL) + line for line in lines[1:])]


def bar(length: int, whole: int, width: int) -> str:
    """Return a bar of `length` out of `whole`, to scale; what is less than a cell is a sliver."""
    if not length or not whole:
        return ""
    eighths = max(1, round(8 * width * length / whole))
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        _EIGHTHS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "#" * max(1, eighths // 8)
    return _EIGHTHS[8] * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def hex_width() -> int:
    """Return how many bytes a row of a dump has: 16, or 8 where their meaning would not fit beside them."""
    return 16 if columns() >= 100 else 8


def hex_row(offset: str, data: bytes, note: str, with_text: bool = False) -> str:
    """Return one row of a dump, as in appendix A of the spec; cut at the edge of the terminal."""
    width = hex_width()
    if with_text:
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
        note = f"{text:<{width + 2}}{note}"
    return cut(f"{offset:<6}  {data.hex(' '):<{3 * width - 1}}  {note}".rstrip())


def cut(line: str) -> str:
    """Cut a line at the edge of the terminal."""
    width = max(columns(), 80)
    return line if len(line) <= width else f"{line[: width - 3]}..."


def signatures_text(signatures: Iterable[Sequence[str]]) -> str:
    """Return `id (algorithm), ...`."""
    return ", ".join(f"{key} ({alg})" for alg, key in signatures)


def age_text(created: str) -> str:
    """Return how long ago a time stamp of a header was, by this machine's clock."""
    from datetime import datetime, timezone

    fixed = os.environ.get("SOURCE_DATE_EPOCH")  # for reproducible output, as for the writer
    now = (
        datetime.fromtimestamp(int(fixed), timezone.utc) if fixed and fixed.isdecimal() else datetime.now(timezone.utc)
    )
    then = datetime.strptime(created, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    seconds = (now - then).total_seconds()
    if seconds < 0:
        return "in the future, by this machine's clock"
    for size, unit in ((31_557_600, "year"), (2_629_800, "month"), (86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{plural(int(seconds // size), unit)} ago"
    return "less than a minute ago"
