"""What commands say: text for people, JSON for programs, and the exit code. Data goes to stdout, the rest to stderr.

Every text that comes from a file is escaped before it reaches a terminal.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from .._version import __version__
from ..errors import PackError, PicklesealError, ReadError, printable
from ..storage.url import masked

__all__ = [
    "EXIT_FINDING",
    "EXIT_INTERNAL",
    "EXIT_OK",
    "EXIT_UNREADABLE",
    "EXIT_USAGE",
    "Output",
    "OutputError",
    "UsageError",
    "exit_code_of",
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
