"""What commands say: text for people, JSON for programs, and the exit code. Data goes to stdout, the rest to stderr.

Every text that comes from a file is escaped before it reaches a terminal.
"""

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, TextIO

from .._format.timestamps import parse_timestamp
from .._io.url import masked
from .._version import __version__
from ..errors import PackError, PicklesealError, ReadError, printable

__all__ = [
    "EXIT_FINDING",
    "EXIT_INTERNAL",
    "EXIT_OK",
    "EXIT_UNREADABLE",
    "EXIT_USAGE",
    "Output",
    "OutputError",
    "Progress",
    "UsageError",
    "age_text",
    "bar",
    "columns",
    "cut",
    "exit_code_of",
    "hex_row",
    "hex_width",
    "plural",
    "progress",
    "row",
    "signatures_text",
    "size_text",
]

EXIT_OK, EXIT_FINDING, EXIT_USAGE, EXIT_UNREADABLE, EXIT_INTERNAL = range(5)
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_REFUSALS = frozenset({"limit-exceeded", "signature-invalid"})  # of steps before 15: no damage, but the caller's rules


class UsageError(Exception):
    """The command line asks for what can't be done: exit code 2."""


class OutputError(Exception):
    """Nothing more can be written to standard output. Not an `OSError`, which would count for the file looked at."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.is_pipe = isinstance(error, BrokenPipeError)


def exit_code_of(error: Exception) -> int:
    """Return 1 for what rules refuse and what can't be packed, 3 for what is damaged or can't be read."""
    if isinstance(error, PackError) or (
        isinstance(error, ReadError) and (error.step in (15, 20) or error.code in _REFUSALS)
    ):
        return EXIT_FINDING
    return EXIT_UNREADABLE


def size_text(count: int) -> str:
    """Return a number of bytes for people: `1,234 bytes`, `12.3 MB`."""
    if count < 10_000:
        return f"{count:,} bytes"
    value, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value >= 1000:
            value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"


def _print(line: str) -> None:
    try:
        print(line)
    except OSError as exc:
        raise OutputError(exc) from None


def _has_color(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


class Output:
    """Where a command writes to. `form` is `text`, `json`, `jsonl` or `quiet`.

    A command calls `result` once for each thing that it was asked about, in an order that does not depend on timing,
    and may set `summary`. In the form `json` all results are one object at the end:
    `{"command", "pickleseal", "results": [...], "summary": {...}, "complete": true, "exit_code": 0}`; in `jsonl` each
    result is a line, and the object without `results` the last one.
    """

    def __init__(self, command: str, form: str = "text", color: bool = True, progress: bool = True) -> None:
        self.command = command
        self.form = form
        self.exit_code = EXIT_OK
        self.is_complete = True
        self.summary: dict[str, Any] = {}
        self.shows_progress = progress and form == "text" and sys.stderr.isatty()
        self._color = color and _has_color(sys.stdout)
        self._results: list[dict[str, Any]] = []

    def style(self, text: str, *names: str) -> str:
        """Return a text in colours, if there are any. Escape what is foreign first."""
        if not self._color:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[0m"

    def text(self, line: str = "") -> None:
        """Print a line for people; nothing in the other forms."""
        if self.form == "text":
            _print(line)

    def result(self, found: dict[str, Any], *lines: str, path: str | None = None) -> None:
        """Give out one result: as an object, or as lines for people, or (quiet) as the path where there is one."""
        if self.form == "text":
            for line in lines:
                _print(line)
        elif self.form == "jsonl":
            _print(as_json(found))
        elif self.form == "json":
            self._results.append(found)
        elif path is not None:
            _print(printable(path, 4096))

    def data(self, pieces: Iterable[bytes]) -> None:
        """Write bytes that were asked for to standard output."""
        for piece in pieces:
            try:
                sys.stdout.buffer.write(piece)
            except OSError as exc:
                raise OutputError(exc) from None

    def refuse(self, path: str, error: Exception, **more: Any) -> None:
        """Give out a refusal, in one line: `path: CODE: reason: hint`. It counts for the exit code."""
        self.worsen(exit_code_of(error))
        path = masked(path)
        if isinstance(error, PicklesealError):
            error.path = path
            code, line = error.code, str(error)
            step = error.step if isinstance(error, ReadError) else None
            found = {"reason": error.reason, "hint": error.hint, "step": step, "where": error.where}
            if error.offset is not None:
                found |= {"offset": error.offset, "record": error.record}
        else:
            self.is_complete = False
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            code, line = "unreadable", f"{printable(path, 4096)}: unreadable: {printable(reason)}"
            found = {"reason": reason, "hint": None, "step": None, "where": None}
        color = "yellow" if exit_code_of(error) == EXIT_FINDING else "red"
        self.result({"path": path, "ok": False, "code": code, **found, **more}, self.style(line, color), path=path)

    def worsen(self, code: int) -> None:
        """Raise the exit code to this one, if it is lower."""
        self.exit_code = max(self.exit_code, code)

    def complain(self, line: str) -> None:
        """Say something beside the data: on stderr, without the passwords of URLs."""
        print(f"pickleseal: {printable(masked(line), 2000)}", file=sys.stderr)

    def finish(self) -> int:
        """Print what comes at the end, and return the exit code."""
        if not self.is_complete:
            self.worsen(EXIT_UNREADABLE)
        last = {
            "command": self.command,
            "pickleseal": __version__,
            "summary": self.summary,
            "complete": self.is_complete,
            "exit_code": self.exit_code,
        }
        if self.form == "json":
            _print(as_json({**last, "results": self._results}))
        elif self.form == "jsonl":
            _print(as_json(last))
        elif self.form == "text" and not self.is_complete:
            _print(self.style("incomplete: not everything could be read", "red"))
        try:
            sys.stdout.flush()
        except OSError as exc:
            raise OutputError(exc) from None
        return self.exit_code


def as_json(value: Any) -> str:
    """Return a value as JSON in one line of ASCII: no text of a file can play tricks on a terminal."""
    import json

    return json.dumps(value, ensure_ascii=True, default=str)


# What is drawn for people: rows that wrap, tables, bars, rows of bytes. It takes text that is escaped already.


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
    seconds = (now - parse_timestamp(created)).total_seconds()
    if seconds < 0:
        return "in the future, by this machine's clock"
    for size, unit in ((31_557_600, "year"), (2_629_800, "month"), (86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{plural(int(seconds // size), unit)} ago"
    return "less than a minute ago"


# `progress`: how far long work is, on stderr: a bar with rate and time left. On a terminal only.


_EVERY = 0.2  # seconds between two lines
_AFTER = 0.5  # seconds before the first: short work shows nothing


class Progress:
    """A context in which work advances. Without rich, or where its size is not known, one line that counts."""

    def __init__(self, is_shown: bool, total: int | None, unit: str) -> None:
        self._total = total
        self._unit = unit
        self._done = 0
        self._start = time.monotonic()
        self._next = self._start + _AFTER if is_shown else float("inf")
        self._bar: Any = None
        self._task: Any = None
        self._is_dirty = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def advance(self, count: int = 1) -> None:
        """Say that so much more is done."""
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            self._show(now)

    def clear(self) -> None:
        """Take what is shown off the terminal, so that something else can be printed. It comes back by itself."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._is_dirty:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_dirty = False

    def _show(self, now: float) -> None:
        if self._total is not None and self._shown_by_rich():
            return
        sys.stderr.write(f"\r\x1b[K{self.line(now - self._start)}")
        sys.stderr.flush()
        self._is_dirty = True

    def rate_text(self, seconds: float) -> str:
        """Return how much is done after so many seconds, and how fast."""
        rate = self._done / max(seconds, 1e-9)
        if self._unit == "bytes":
            return f"{size_text(self._done)}, {size_text(int(rate))}/s"
        return f"{self._done:,} {self._unit}, {rate:,.0f}/s"

    def line(self, seconds: float) -> str:
        """Return how far it is after so many seconds, in one line."""
        said = self.rate_text(seconds)
        if not self._total:
            return said
        rate = self._done / max(seconds, 1e-9)
        left = int((self._total - self._done) / rate) if rate else 0
        clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        return f"{said}, {min(100 * self._done // self._total, 100)}%, {clock} left"

    def _shown_by_rich(self) -> bool:
        if self._bar is None:
            try:
                from rich.console import Console
                from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
                from rich.progress import Progress as Bar
            except ImportError:
                return False
            columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        said = self.rate_text(time.monotonic() - self._start)
        self._bar.update(self._task, completed=self._done, description=said)
        return True


def progress(out: Output, total: int | None, unit: str) -> Progress:
    """Return a context that shows how far work is, if a person looks on. `total` None: not known.

    `unit` says what is counted; `bytes` are shown as sizes.
    """
    return Progress(out.shows_progress, total, unit)
