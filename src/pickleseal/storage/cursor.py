"""Where a `StreamReader` stands in its file: the next frame, waiting for it, and going to a record by its number.

It looks at preambles and headers, not at sections; what it makes of the file it makes through a `Walk`.
"""

import errno
import io
import os
import stat
import time
from bisect import bisect_right
from contextlib import suppress

from ..atomic import naming
from ..errors import ReadError, TornTailError, TruncatedError
from ..format.index import EVERY_FRAMES, Entry
from ..format.limits import Limits
from ..reader import BytesSource, Source
from .locks import locked
from .source import FileSource
from .tail import entry_of, is_true, read_index
from .walk import Place, State, Walk, is_damage
from .window import Window

__all__ = ["Cursor"]

_SMALL = 1 << 18  # bytes of a frame that is taken from the window
_POLL = 0.05  # seconds


class Cursor:
    """A place in the file of a stream.

    Args:
        path: of the file, looked up from the folder that is the current one now.
        limits: what is refused as too large.
        is_skipping: whether damage on the way to a record is skipped.
        follow: whether the end is waited at.
        timeout: for so many seconds; None: for ever.
    """

    def __init__(self, path: str, limits: Limits, is_skipping: bool, follow: bool, timeout: float | None) -> None:
        self.path = path
        self._limits = limits
        self._is_skipping = is_skipping
        self._follow = follow
        self._timeout = timeout
        self._where = os.path.join(os.getcwd(), path)
        with naming(path):
            self._begin(self._open())

    def _open(self) -> io.FileIO:
        file = io.FileIO(self._where, opener=_open_at_once)
        try:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file
            raise OSError(errno.EINVAL, "not a regular file: iter_load() reads pipes, opened as files", self.path)
        except OSError:
            file.close()
            raise

    def _begin(self, file: io.FileIO) -> None:
        self._file = file
        self.window = Window(file.fileno())
        self.walk = Walk(self.window, self._limits)
        self._entries: list[Entry] | None = None

    def close(self) -> None:
        """Close the file."""
        with naming(self.path):
            self._file.close()

    @property
    def is_closed(self) -> bool:
        """Tell whether `close` was called."""
        return self._file.closed

    def step(self) -> Place | None:
        """Look at the next frame, waiting for it if that is wanted."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        is_last_look = not self._follow
        while True:
            torn: TornTailError | None = None
            try:
                place = self.walk.look(with_header=False)
                if place is not None:
                    return place
            except TornTailError as exc:
                torn = exc
            except TruncatedError:  # shorter than what was read of it
                if is_last_look:
                    raise
            if is_last_look:
                if torn is not None:
                    raise torn
                return None
            if self._is_replaced():
                self._wait_for_appends()  # then nobody writes here any more
                if self.walk.offset >= self.window.size():
                    self._go_on_with_replacement()
                is_last_look = torn is not None
            elif self.window.size() < self.walk.offset:
                self._begin(self._file)  # it was emptied, and is written anew
            wait = _POLL if deadline is None else min(_POLL, deadline - time.monotonic())
            if wait > 0:
                time.sleep(wait)
            else:
                is_last_look = True
            self.window.forget()

    def source(self, place: Place) -> Source:
        length = place.preamble.frame_len
        if length <= _SMALL:
            return BytesSource(self.window.take(place.offset, length))
        self._file.seek(place.offset)
        return FileSource(self._file, whole=False)

    def settle(self, refusal: ReadError) -> None:
        """Have what was refused read anew; what looks torn, when nobody is in the middle of an append."""
        self.window.forget()
        if isinstance(refusal, TornTailError):
            self._wait_for_appends()

    def _wait_for_appends(self) -> None:
        with suppress(OSError), locked(self._file.fileno(), shared=True):
            pass

    def _is_replaced(self) -> bool:
        """Tell whether the path names another file now."""
        with suppress(OSError):
            there, mine = os.stat(self._where), os.fstat(self._file.fileno())
            return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)
        return False

    def leave_torn(self) -> bool:
        """Go on with the file that the path names now, if it is another one and that is wanted. Tell whether it is."""
        before = self._file
        if self._follow and self._is_replaced():
            self._go_on_with_replacement()
        return self._file is not before

    def _go_on_with_replacement(self) -> None:
        """Open the file that the path names now; there may be none yet."""
        with suppress(OSError):
            replacement = self._open()
            self._file.close()
            self._begin(replacement)

    def go_to(self, record: int) -> int:
        """Go to the frame that holds a record. Return how many of its records come before that one.

        Raises:
            ReadError: damage on the way, where it is not to be skipped.
        """
        self.window.forget()
        entries = self._known_entries()
        while True:
            at = bisect_right(entries, record, key=lambda entry: entry.record) - 1
            if at < 0:
                self.walk.move(0, 0)
            elif is_true(entries[at], self.window):
                self.walk.move(entries[at].offset, entries[at].record)
            else:
                del entries[at]
                continue
            break
        while self.walk.record < record:
            before, place = self._pass()
            if place is None:
                break
            if place.record + place.records > record >= place.record:
                self.walk.restore(before)
                return record - place.record
        return 0

    def count(self) -> int:
        """Return the number of records up to the end. Where the reader stands stays as it is.

        Raises:
            ReadError: as `go_to`.
        """
        self.window.forget()
        walk, entries = self.walk, self._known_entries()
        self.walk = Walk(self.window, self._limits)
        try:
            while entries and not is_true(entries[-1], self.window):
                entries.pop()
            if entries:
                self.walk.move(entries[-1].offset, entries[-1].record)
            frames = 0
            while (place := self._pass()[1]) is not None:
                frames += 1
                if frames % EVERY_FRAMES == 0:
                    entries.append(entry_of(place, self.window))
            return self.walk.record
        finally:
            self.walk = walk

    def _known_entries(self) -> list[Entry]:
        if self._entries is None:
            self._entries = read_index(self._where)
        return self._entries

    def _pass(self) -> tuple[State, Place | None]:
        """Step over a frame by its head. Return where it begins, and the frame, or None where nothing whole follows."""
        has_settled = False
        while True:
            before = self.walk.state()
            try:
                with naming(self.path):
                    return before, self.walk.step()
            except TornTailError:
                return before, None
            except ReadError as exc:
                if not has_settled:
                    self.settle(exc)
                    has_settled = True
                    continue
                if not self._is_skipping or not is_damage(exc):
                    exc.path = self.path
                    raise
                self.walk.skip(exc)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for the other end, if it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
