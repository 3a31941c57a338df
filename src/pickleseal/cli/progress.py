"""How far a long command has come: a line on stderr, on a terminal only."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .output import Output

__all__ = ["Progress", "progress"]

_EVERY = 0.2  # seconds


class Progress:
    """Counts, and shows the count now and then."""

    def __init__(self, is_shown: bool, total: int | None, unit: str) -> None:
        self._is_shown, self._total, self._unit = is_shown, total, unit
        self._count, self._begin, self._next = 0, time.monotonic(), _EVERY

    def advance(self, count: int = 1) -> None:
        """Count some more."""
        self._count += count
        if self._is_shown and time.monotonic() - self._begin >= self._next:
            seconds = time.monotonic() - self._begin
            self._next = seconds + _EVERY
            done = f"{self._count:,}" + (f" of {self._total:,}" if self._total is not None else "")
            print(f"\r{done} {self._unit}, {self._count / seconds:,.0f}/s", end="\x1b[K", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown and self._next > _EVERY:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def progress(out: Output, total: int | None, unit: str) -> Iterator[Progress]:
    """Show how far a command has come while this context lasts, where the output shows such things."""
    shown = Progress(out.shows_progress, total, unit)
    try:
        yield shown
    finally:
        shown.clear()
