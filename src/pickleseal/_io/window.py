"""The bytes of a file by offset, read ahead in blocks: going from frame to frame costs a system call now and then."""

import os

__all__ = ["Window", "read_at"]

_BLOCK = 1 << 18


def read_at(descriptor: int, count: int, offset: int) -> bytes:
    """Read at an offset: `count` bytes, or fewer where the file ends. Where the descriptor stands does not matter."""
    parts: list[bytes] = []
    while count:
        if hasattr(os, "pread"):
            part = os.pread(descriptor, count, offset)
        else:  # Windows
            os.lseek(descriptor, offset, os.SEEK_SET)
            part = os.read(descriptor, count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Window:
    """Bytes of an open file. What was read once may be given again: `forget` where the file may have changed."""

    __slots__ = ("_data", "_is_short", "_start", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._start = 0
        self._data = b""
        self._is_short = False  # the file ended within what was asked for

    def take(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from an offset on, or fewer where the file ends."""
        begin = offset - self._start
        if begin < 0 or begin + count > len(self._data):
            self._start, begin = offset, 0
            count_ahead = max(count, _BLOCK)
            self._data = read_at(self.descriptor, count_ahead, offset)
            self._is_short = len(self._data) < count_ahead
        return self._data[begin : begin + count]

    def size(self) -> int:
        """Return how long the file is now."""
        return os.fstat(self.descriptor).st_size

    def is_cut(self, end: int) -> bool:
        """Tell whether the file ended in front of an offset when it was read: what is known may have been torn."""
        return self._is_short and end > self._start + len(self._data)

    def forget(self) -> None:
        """Read anew what is asked for next."""
        self._data = b""
