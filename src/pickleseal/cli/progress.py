"""`progress`: how far long work is, on stderr: a bar with rate and time left. On a terminal only."""

import sys
import time
from types import TracebackType
from typing import Any

from .output import Output, size_text

__all__ = ["Progress", "progress"]

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
