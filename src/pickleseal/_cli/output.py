"""What commands print: text for people, JSON for programs, progress, and the exit code.

Data goes to standard output, progress and messages go to standard error. Text that comes from a file is escaped before
it is printed. This module reads no artifact.
"""

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, TextIO

from .._format.timestamps import parse_timestamp
from .._io.url import is_url, masked
from .._version import __version__
from ..errors import (
    Hint,
    PackError,
    PicklesealError,
    ReadError,
    one_line,
    printable,
)

EXIT_OK, EXIT_FINDING, EXIT_USAGE, EXIT_UNREADABLE, EXIT_INTERNAL = range(5)
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_COMMAND_LINE = re.compile(r"`pickleseal [^`]*`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_REFUSALS = frozenset({"limit-exceeded", "signature-invalid"})  # before step 15, but a rule of the caller, not damage


class UsageError(Exception):
    """The command line asks for something impossible: exit code 2."""


class OutputError(Exception):
    """Standard output can't be written to. This is no `OSError`: those are counted for the file that is read."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.is_pipe = isinstance(error, BrokenPipeError)


def exit_code_of(error: Exception) -> int:
    """Return 1 for what a rule refuses and for what can't be packed, 3 for what is damaged or unreadable."""
    if isinstance(error, PackError) or (
        isinstance(error, ReadError) and (error.step in (15, 20) or error.code in _REFUSALS)
    ):
        return EXIT_FINDING
    return EXIT_UNREADABLE


def help_in_words(hint: str | None, options: Collection[str], path: str = "-") -> str | None:
    """Return a hint in words of the command line: the first text whose options the command has; None if there is none.

    Args:
        options: the options of the command, `--policy` and the like.
        path: the file that was read, to be named in command lines.
    """
    if not isinstance(hint, Hint):
        return hint
    for text in hint.commands:
        own = _COMMAND_LINE.sub("", text)  # other commands have options of their own
        if all(option in options for option in _OPTION.findall(own)):
            if path != "-" and not is_url(path):
                import shlex

                name = f" {shlex.quote(path)}"
                return _COMMAND_LINE.sub(partial(_with_file, name), text)
            return text
    return None


def _with_file(name: str, line: re.Match[str]) -> str:
    """Return a command line with the name of the file in it."""
    return line[0].replace(" FILE", name, 1)


def _refusal_lines(path: str, error: Exception) -> list[str]:
    """Return the text of an error: a line about what is wrong with the path, and often a line of help."""
    if not isinstance(error, PicklesealError):
        return [f"{path_text(path)}: unreadable: {printable(_reason(error))}"]
    error.path = path
    first, *help_lines = str(error).splitlines()
    return [first, *(f"  {line}" for line in help_lines)]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def path_text(path: str) -> str:
    """Return a path or URL as text for a terminal."""
    return printable(path, 4096)


def size_text(count: int) -> str:
    """Return a number of bytes for people: `1,234 bytes`, `12.3 MB`."""
    if count < 10_000:
        return plural(count, "byte")
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
    """Prints the results of one command. `form` is `text`, `json`, `jsonl` or `quiet`.

    A command calls `result` or `refuse` once for each thing that it was asked about, in an order that does not depend
    on timing, and may set `summary`. In the form `json`, all results are one object at the end:
    `{"command", "pickleseal", "results": [...], "summary": {...}, "complete": true, "exit_code": 0}`. In the form
    `jsonl`, each result is a line, and the object without `results` is the last line.
    """

    def __init__(
        self,
        command: str,
        form: str = "text",
        color: bool = True,
        progress: bool = True,
        options: Collection[str] = (),
    ) -> None:
        self.command = command
        self._options = options
        self.form = form
        self.exit_code = EXIT_OK
        self.is_complete = True
        self.summary: dict[str, Any] = {}
        self.comment = ""  # begins each line for people that is no result, where the results are the text of a file
        self.shows_progress = progress and form == "text" and sys.stderr.isatty()
        self._color = color and _has_color(sys.stdout)
        self._results: list[dict[str, Any]] = []

    @property
    def is_json(self) -> bool:
        """Return whether results are printed as JSON."""
        return self.form in ("json", "jsonl")

    def style(self, text: str, *names: str) -> str:
        """Return a text in colours, if colours are on. Escape text from files before."""
        if not self._color or not names:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[0m"

    def text(self, *lines: str) -> None:
        """Print lines for people (without arguments, an empty one); nothing in the other forms."""
        if self.form == "text":
            for line in lines or ("",):
                _print(line)

    def result(self, found: dict[str, Any], *lines: str, path: str | None = None) -> None:
        """Print one result: as an object for programs, as lines for people, or as the path alone for `quiet`."""
        if self.form == "text":
            for line in lines:
                _print(line)
        elif self.form == "jsonl":
            _print(as_json(found))
        elif self.form == "json":
            self._results.append(found)
        elif path is not None:
            _print(path_text(path))

    def data(self, pieces: Iterable[bytes]) -> None:
        """Write bytes to standard output."""
        for piece in pieces:
            try:
                sys.stdout.buffer.write(piece)
            except OSError as exc:
                raise OutputError(exc) from None

    def refuse(self, path: str, error: Exception, *others: Exception, **more: Any) -> None:
        """Print what is wrong with one path, and raise the exit code.

        Args:
            others: further errors of the same path.
            more: further members of the object for programs.
        """
        lines = list[str]()
        for one in (error, *others):
            if isinstance(one, PicklesealError):
                one.hint = help_in_words(one.hint, self._options, path)
        other_texts = [one_line(one) for one in others]  # without the path
        for one in (error, *others):
            code = exit_code_of(one)
            self.worsen(code)
            first, *rest = _refusal_lines(masked(path), one)
            lines += [self.style(first, "yellow" if code == EXIT_FINDING else "red"), *rest]
            if not isinstance(one, PicklesealError):
                self.is_complete = False
        found: dict[str, Any] = {"path": masked(path), "ok": False, "code": "unreadable", "reason": _reason(error)}
        found |= dict.fromkeys(("hint", "step", "where"))
        if others:
            found["others"] = other_texts
        if isinstance(error, PicklesealError):
            step = error.step if isinstance(error, ReadError) else None
            found |= {"code": error.code, "reason": error.reason, "hint": error.hint, "step": step}
            found["where"] = error.where
            if error.offset is not None:
                found |= {"offset": error.offset, "record": error.record}
            if isinstance(error, ReadError) and error.packages:
                found["packages"] = [package._asdict() for package in error.packages]
        self.result({**found, **more}, *(f"{self.comment}{line}" for line in lines), path=masked(path))

    def worsen(self, code: int) -> None:
        """Raise the exit code to this one, if it is lower."""
        self.exit_code = max(self.exit_code, code)

    def message(self, line: str) -> None:
        """Print a message on standard error, without the passwords of URLs."""
        print(f"pickleseal: {printable(masked(line), 2000)}", file=sys.stderr)

    def finish(self) -> int:
        """Print the end of the output, and return the exit code."""
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
            _print(self.style(f"{self.comment}incomplete: not everything could be read", "red"))
        try:
            sys.stdout.flush()
        except OSError as exc:
            raise OutputError(exc) from None
        return self.exit_code


def as_json(value: Any) -> str:
    """Return a value as one line of JSON in ASCII, so that no text of a file can change the terminal."""
    import json

    return json.dumps(value, ensure_ascii=True, default=str)


# --- text for people. It takes text that is escaped already. ----------------------------------------------------------

_LABEL = 11
_WIDEST = 160
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def columns() -> int:
    """Return the width of the terminal, from 40 to 160; 80 if there is no terminal."""
    return max(40, min(shutil.get_terminal_size().columns, _WIDEST))


def plural(count: int, one: str) -> str:
    """Return a count with its noun: `1 file`, `1,200 files`."""
    return f"{count:,} {one if count == 1 else one + 's'}"


def wrap(text: str, first: str = "", rest: str | None = None) -> list[str]:
    """Return a text as lines that fit the terminal. `first` and `rest` are put in front of its lines.

    Without `rest`, the further lines are indented by the length of `first`, which must have no colours then.
    """
    rest = " " * len(first) if rest is None else rest
    width = max(columns() - len(rest), 20)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{first}{lines[0]}".rstrip(), *(f"{rest}{line}" for line in lines[1:])]


def row(out: Output, label: str, text: str, indent: int = 2) -> list[str]:
    """Return a label and its text, wrapped; further lines stand below the text."""
    first = " " * indent + out.style(f"{label:<{_LABEL}}", "dim")
    return wrap(text, first, " " * (indent + _LABEL))


def bar(length: int, whole: int, width: int) -> str:
    """Return a bar for `length` out of `whole`, to scale. A length that is not 0 is always visible."""
    if not length or not whole:
        return ""
    eighths = max(1, round(8 * width * length / whole))
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        _EIGHTHS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "#" * max(1, eighths // 8)
    return _EIGHTHS[8] * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def cut(text: str, width: int) -> str:
    """Return a text with its end cut off, if it is too long."""
    return text if len(text) <= width else f"{text[: max(width, 4) - 3]}..."


def cut_start(text: str, width: int) -> str:
    """Return a text with its start cut off, if it is too long."""
    return text if len(text) <= width else f"...{text[3 - max(width, 4) :]}"


def signatures_text(signatures: Iterable[Sequence[str]], in_context: bool = False) -> str:
    """Return `id (algorithm), ...`, and whether they are bound to the context that the command line gives."""
    names = ", ".join(f"{key} ({alg})" for alg, key in signatures)
    return f"{names}, bound to the given context" if in_context else names


def age_text(created: str) -> str:
    """Return how old a time stamp of a header is, by the clock of this machine."""
    from datetime import datetime, timezone

    fixed = os.environ.get("SOURCE_DATE_EPOCH")  # for reproducible output, as the writer has it
    now = (
        datetime.fromtimestamp(int(fixed), timezone.utc) if fixed and fixed.isdecimal() else datetime.now(timezone.utc)
    )
    seconds = (now - parse_timestamp(created)).total_seconds()
    if seconds < 0:
        return "in the future by the clock of this machine"
    for size, unit in ((31_557_600, "year"), (2_629_800, "month"), (86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{plural(int(seconds // size), unit)} ago"
    return "less than a minute ago"


# --- progress of long work: a bar with rate and time left, only on a terminal -----------------------------------------

_EVERY = 0.2  # seconds between two updates
_AFTER = 0.5  # seconds before the first update, so that short work shows nothing


class Progress:
    """A context that shows how much work is done. Without rich, or if the total is not known, it is a line of text."""

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
        """Add to what is done."""
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            self._show(now)

    def clear(self) -> None:
        """Remove the bar, so that something else can be printed. The next update shows it again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._is_dirty:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_dirty = False

    def _show(self, now: float) -> None:
        if self._total is not None and self._has_updated_rich():
            return
        sys.stderr.write(f"\r\x1b[K{self.line(now - self._start)}")
        sys.stderr.flush()
        self._is_dirty = True

    def rate_text(self, seconds: float) -> str:
        """Return how much was done in some seconds, and how fast."""
        rate = self._done / max(seconds, 1e-9)
        if self._unit == "bytes":
            return f"{size_text(self._done)}, {size_text(int(rate))}/s"
        return f"{self._done:,} {self._unit}, {rate:,.0f}/s"

    def line(self, seconds: float) -> str:
        """Return the state after some seconds, in one line."""
        text = self.rate_text(seconds)
        if not self._total:
            return text
        rate = self._done / max(seconds, 1e-9)
        left = int((self._total - self._done) / rate) if rate else 0
        clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        return f"{text}, {min(100 * self._done // self._total, 100)}%, {clock} left"

    def _has_updated_rich(self) -> bool:
        if self._bar is None:
            try:
                from rich.console import Console
                from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
                from rich.progress import Progress as Bar
            except ImportError:
                return False
            parts = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            self._bar = Bar(*parts, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        text = self.rate_text(time.monotonic() - self._start)
        self._bar.update(self._task, completed=self._done, description=text)
        return True


def progress(out: Output, total: int | None, unit: str) -> Progress:
    """Return a context that shows progress, if a person looks at the terminal.

    Args:
        total: None if it is not known.
        unit: what is counted; `bytes` are shown as sizes.
    """
    return Progress(out.shows_progress, total, unit)
