"""Windows: the bytes of a stream by offset, read ahead in blocks, so that going from frame to frame takes few reads.

There is one for a local file, for bytes in memory, for an object in a store, and for a pipe, which only goes forward.
The scanner of streams sees all of them as a `Window`. This module knows no frames.
"""

import io
import os
from typing import BinaryIO, Protocol

from .source import BytesSource, FileSource, Source, read_at
from .stores import Store

HEAD = 8192  # bytes that a reader asks for first (spec 12)
_BLOCK = 1 << 18  # bytes that are read ahead
_SMALL = 1 << 18  # bytes of a frame that is taken from the window
_UNKNOWN_SIZE = 1 << 62


class Window(Protocol):
    """Bytes by offset."""

    descriptor: int  # of a local file, to which others may append; -1 for all else
    known_end: int  # the bytes before this offset were there when they were read

    def take(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from an offset on, or fewer if the input ends."""

    def size(self) -> int:
        """Return the length of the input now; 2^62 if it is not known."""

    def is_cut(self, end: int) -> bool:
        """Return whether the input ended before an offset when it was read. It may be longer now."""

    def forget(self) -> None:
        """Read again whatever is asked for next."""


class FileWindow:
    """Bytes of an open file. Call `forget` when the file may have changed: bytes that were read are given again.

    Args:
        descriptor: of the file.
        file: the same as a file object, if there is one.

    Attributes:
        reads: how often the file was read.
    """

    __slots__ = ("_data", "_file", "_is_short", "_start", "descriptor", "known_end", "reads")

    def __init__(self, descriptor: int, file: io.FileIO | None = None) -> None:
        self.descriptor = descriptor
        self.known_end = 0
        self.reads = 0
        self._file = file
        self._start = 0
        self._data = b""
        self._is_short = False  # the file ended within the block that was read last

    def take(self, offset: int, count: int) -> bytes:
        begin = offset - self._start
        if begin < 0 or begin + count > len(self._data):
            self._start, begin = offset, 0
            count_ahead = max(count, _BLOCK)
            self._data = read_at(self.descriptor, count_ahead, offset)
            self.reads += 1
            self._is_short = len(self._data) < count_ahead
            self.known_end = offset + len(self._data)
        return self._data[begin : begin + count]

    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def is_cut(self, end: int) -> bool:
        return self._is_short and end > self.known_end

    def forget(self) -> None:
        self._data = b""
        self.known_end = 0

    def source(self, offset: int, length: int) -> Source:
        """Return the source for a frame."""
        if length <= _SMALL:
            return BytesSource(self.take(offset, length))
        if self._file is None:
            self._file = io.FileIO(self.descriptor, closefd=False)
        self._file.seek(offset)
        self.reads += 1
        return FileSource(self._file, whole=False)


class MissingFileWindow(FileWindow):
    """A file that is not there yet: it is empty."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(-1)

    def take(self, offset: int, count: int) -> bytes:
        return b""

    def size(self) -> int:
        return 0


class _Unchanging:
    """What the windows share whose bytes do not change."""

    descriptor = -1
    known_end = 0

    def is_cut(self, end: int) -> bool:
        return False

    def forget(self) -> None:
        pass  # bytes that were read stay right


class BytesWindow(_Unchanging):
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

    def size(self) -> int:
        return len(self._data)


class RangeWindow(_Unchanging):
    """An object in a store. Its first range is read at once; then one request serves some hundred small frames.

    Attributes:
        head: the first range.
        known_size: bytes of the object, or None if the store does not give its size.

    Raises:
        OSError: from the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.head = bytes(store.read(0, HEAD)[:HEAD])
        self._start, self._data = 0, self.head
        self.known_size = len(self.head) if len(self.head) < HEAD else store.size()

    def take(self, offset: int, count: int) -> bytes:
        begin = offset - self._start
        if begin < 0 or begin + count > len(self._data):
            is_near = 0 <= begin <= len(self._data)
            length = max(count, _BLOCK if is_near else HEAD)
            data = self._store.read(offset, offset + length)
            self._start, self._data, begin = offset, bytes(data[:length]), 0
        return self._data[begin : begin + count]

    def size(self) -> int:
        return self.known_size if self.known_size is not None else _UNKNOWN_SIZE


class PipeWindow(_Unchanging):
    """A binary file object from its position on, read once and in order. What follows is not known in advance.

    Args:
        file: a pipe, a socket's file, an object at a URL, or any other binary file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start, self._data = -1, b""
        self._source = _BegunSource(file, whole=False)

    def take(self, offset: int, count: int) -> bytes:
        """Return bytes from the offset that was asked for last, or else the next ones."""
        if offset != self._start:
            self._start, self._data = offset, b""
            self._source = _BegunSource(self._file, whole=False)
        if count > len(self._data):
            self._data += self._source.take(count - len(self._data))
        return self._data[:count]

    def size(self) -> int:
        return _UNKNOWN_SIZE

    def source(self) -> Source:
        """Return the source for the frame whose preamble was taken last."""
        self._source.begin = self._data
        return self._source


class _BegunSource(FileSource):
    """A frame whose preamble was taken before. It gives the preamble once more."""

    begin = b""

    def take(self, count: int) -> bytes:
        if self.begin:
            begin, self.begin = self.begin, b""
            return begin
        return super().take(count)
