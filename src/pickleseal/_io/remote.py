"""Artifacts at a URL: the header comes in one range read, the body in further ones, and is checked as it arrives.

One range of 8,192 bytes holds the header of nearly every artifact (spec section 12), so `peek` is one request. The body
comes in ranges of a few MiB; while one is checked, the next ones are under way. Nothing is allocated by a declared
length before the store has given the object's size (spec I6).

An object may be replaced between two ranges. The chain of checksums that starts in the first range covers each byte
(spec I2), so a mixture of two objects is refused, never returned. After such a refusal the first range is read again.
If it has changed, the error is an `OSError` with the number ESTALE instead, which says nothing about the bytes.

This module knows ranges and sources; `stores` knows the client libraries.
"""

import errno
import io
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from .._format.frame import Part
from ..errors import ReadError
from .source import FileSource
from .stores import Store, open_store
from .threads import ThreadPool
from .url import masked

T = TypeVar("T")
_HEAD = 8192  # spec 12: what a reader asks for first
_CHUNK = 1 << 23  # bytes of a range in the body: large beside a round trip, small beside memory
_AHEAD = 2  # ranges that are under way while one is checked


class RangeFile(io.RawIOBase):
    """An object at a URL as a binary file that can seek. Sends no request before it is read, save as `open_store`.

    Raises:
        OSError, MissingExtraError, ValueError, TypeError: as `open_store`.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None) -> None:
        self.name = masked(url)
        self._position = 0
        self._head: bytes | None = None
        self._chunk = memoryview(b"")  # what is at the position and not read yet
        self._size: int | None = None
        self._is_streaming = False
        self._pool: ThreadPool | None = None
        self._ahead: deque[tuple[int, Callable[[], bytes | memoryview]]] = deque()  # ends of ranges, and their results
        self._asked = 0  # where the next range ahead begins
        self._store = open_store(url, options)  # last, as it may raise: `close` needs the attributes above

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can seek."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset from the start."""
        if whence != io.SEEK_SET or offset < 0:
            raise io.UnsupportedOperation("seek: from the start only")
        if offset != self._position:
            self._forget()
            self._position = offset
        return offset

    def read(self, count: int = -1) -> bytes:
        """Return at most `count` bytes, some at least where there are any."""
        if count < 0:
            raise io.UnsupportedOperation("read: a number of bytes is needed")
        taken = self._some(count)
        return bytes(taken)

    def readinto(self, target: Any) -> int:
        """Read into memory, as far as one range goes."""
        view = memoryview(target).cast("B")
        taken = self._some(len(view))
        view[: len(taken)] = taken
        return len(taken)

    def close(self) -> None:
        """Stop reading ahead."""
        self._forget()
        super().close()

    def left(self) -> int | None:
        """Return how many bytes there are from the position on, or None where the store does not give a size.

        From now on, ranges are read ahead.
        """
        self._is_streaming = True
        if self._size is None:
            self._size = self._store.size()
        return None if self._size is None else max(0, self._size - self._position)

    def was_replaced(self) -> bool:
        """Return whether the object begins with other bytes than when it was first read."""
        if self._head is None:
            return False
        try:
            return bytes(self._store.read(0, len(self._head))) != self._head
        except OSError as exc:
            return exc.errno in (errno.ENOENT, errno.ESTALE)

    def _some(self, count: int) -> memoryview:
        if not len(self._chunk) and count:
            self._chunk = memoryview(self._next(count))
        taken, self._chunk = self._chunk[:count], self._chunk[count:]
        self._position += len(taken)
        return taken

    def _next(self, count: int) -> bytes | memoryview:
        """Return the next bytes: a first range, the rest of a head, or a range of the body."""
        start = self._position
        if self._size is not None and start >= self._size:
            return b""
        if self._head is None:
            return self._first()
        if not self._is_streaming:
            return self._fetched(start, start + count, self._store.read(start, start + count))
        if self._size is None or not self._store.has_threads:
            end = start + _CHUNK if self._size is None else min(start + _CHUNK, self._size)
            return self._fetched(start, end, self._store.read(start, end))
        self._read_ahead(start)
        end, result = self._ahead.popleft()
        return self._fetched(start, end, result())

    def _first(self) -> bytes | memoryview:
        start = self._position
        data = self._store.read(0, _HEAD)
        self._head = bytes(data[:_HEAD])
        if len(data) != _HEAD:  # the whole object: it is small, or the server knows no ranges
            self._size = len(data)
        return data[start:]

    def _fetched(self, start: int, end: int, data: bytes | memoryview) -> bytes | memoryview:
        if len(data) > end - start:
            raise OSError(errno.EIO, "the server answered with more than the range it was asked for", self.name)
        if len(data) < end - start:  # the object ends here
            self._size = start + len(data)
            self._forget_ahead()
        return data

    def _read_ahead(self, start: int) -> None:
        if self._pool is None:
            self._pool = ThreadPool(_AHEAD + 1)
        if not self._ahead:
            self._asked = start
        while len(self._ahead) <= _AHEAD and self._size is not None and self._asked < self._size:
            end = min(self._asked + _CHUNK, self._size)
            self._ahead.append((end, self._pool.start(partial(self._store.read, self._asked, end))))
            self._asked = end

    def _forget(self) -> None:
        self._chunk = memoryview(b"")
        self._forget_ahead()

    def _forget_ahead(self) -> None:
        self._ahead.clear()
        self._asked = 0
        if self._pool is not None:
            self._pool.close()
            self._pool = None


class RangeSource(FileSource):
    """The one artifact that an object holds. If the object was replaced meanwhile, a refusal becomes an `OSError`."""

    def __init__(self, file: RangeFile) -> None:
        super().__init__(file, whole=True)  # type: ignore[arg-type]
        self._ranges = file
        self.left = None  # the store is asked for it with the body, not for the header alone

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        if self.left is None:
            self.left = self._ranges.left()
        try:
            return super().section(index, entry, keep)
        except ReadError as exc:
            self._refuse_replaced(exc)
            raise

    def at_end(self) -> bool:
        is_at_end = super().at_end()
        if not is_at_end:
            self._refuse_replaced(None)
        return is_at_end

    def _refuse_replaced(self, cause: ReadError | None) -> None:
        if self._ranges.was_replaced():
            text = "the object was replaced while it was read"
            raise OSError(errno.ESTALE, text, self._ranges.name) from cause


def read_url(url: str, options: Mapping[str, Any] | None, read: Callable[[RangeSource], T]) -> T:
    """Read the artifact at a URL.

    Raises:
        ReadError: `path` is the URL without secrets.
        OSError: from the store; ESTALE where the object was replaced while it was read.
        MissingExtraError, ValueError, TypeError: as `open_store`.
    """
    with RangeFile(url, options) as file:
        try:
            return read(RangeSource(file))
        except ReadError as exc:
            exc.path = file.name
            raise


def write_url(url: str, options: Mapping[str, Any] | None, parts: Sequence[Part]) -> None:
    """Write parts to a URL: one PUT, or an upload in parts that counts only once it is complete.

    If the store fails, it is asked what is there: where the new object is there and only the answer was lost, the write
    has succeeded.

    Raises:
        OSError: from the store. The message says which object is there, if that could be found out. An upload in parts
            is abandoned.
        MissingExtraError, ValueError, TypeError: as `open_store`.
    """
    try:
        open_store(url, options).write(parts)
    except PermissionError:
        raise  # nothing was written
    except OSError as exc:
        if exc.errno == errno.EROFS:
            raise
        try:
            is_new = _holds(open_store(url, options), parts)  # another one, which remembers nothing of the old object
        except OSError as second:
            there = "no object is there" if second.errno == errno.ENOENT else "it can't be read which object is there"
        else:
            if is_new:
                return
            there = "the object that is there is not the new one"
        raise OSError(exc.errno, f"{exc.strerror}; {there}", exc.filename) from None


def _holds(store: Store, parts: Sequence[Part]) -> bool:
    """Return whether a store holds just these bytes, by their beginning, which has checksums of the rest, and end."""
    total = sum(map(len, parts))
    views = [memoryview(part).cast("B") for part in parts]
    start, end = _first(views, _HEAD), _first([view[::-1] for view in reversed(views)], _HEAD)[::-1]
    if bytes(store.read(0, len(start))[: len(start)]) != start:
        return False
    found = store.read(total - len(end), total + 1)  # one byte more than there should be
    return len(found) in (len(end), total) and bytes(found[-len(end) :]) == end


def _first(views: Iterable[memoryview], most: int) -> bytes:
    found = b""
    for view in views:
        found += bytes(view[: most - len(found)])
    return found
