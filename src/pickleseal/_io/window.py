"""Bytes of a file by offset, read ahead in blocks, so that going from frame to frame takes few system calls.

This module knows no frames.
"""

import os

__all__ = ["Window", "read_at"]

_BLOCK = 1 << 18


def read_at(descriptor: int, count: int, offset: int) -> bytes:
    """Read `count` bytes at an offset, or fewer if the file ends. The position of the descriptor does not matter."""
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
    """Bytes of an open file. Call `forget` when the file may have changed: bytes that were read are given again."""

    __slots__ = ("_data", "_is_short", "_start", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._start = 0
        self._data = b""
        self._is_short = False  # the file ended within the block that was read last

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
        """Return the length of the file now."""
        return os.fstat(self.descriptor).st_size

    def is_cut(self, end: int) -> bool:
        """Return whether the file ended before an offset when it was read. It may be longer now."""
        return self._is_short and end > self._start + len(self._data)

    def forget(self) -> None:
        """Read again whatever is asked for next."""
        self._data = b""
