"""Frames from file objects: seekable or not, buffered or raw. The reader's view of a file is `FileSource`.

Nothing is allocated by a declared length that is not there (I6): a regular file's size is asked first; from a pipe,
memory grows with what arrives.
"""

import io
import mmap
import os
import stat
import sys
import threading
from functools import partial
from typing import Any, BinaryIO

from .._format.frame import SectionCheck, padding_of
from .._format.limits import ALIGNMENT
from ..errors import TruncatedError
from .hashing import THREAD_FROM, Crew, sha256_hex

__all__ = ["FileSource", "allocate"]

# Memory for sections that are read from files: private, cheap to fill, and aligned to 64 bytes where that matters.
#
# A `bytearray` is zeroed before it is filled. That is nothing for small buffers and half the time for large ones.
# numpy's
# allocator, if numpy is there already, reuses memory for middling sizes and asks for huge pages for large ones; without
# it, an anonymous private map does the latter.


_NUMPY_FROM = 1 << 16
_MAP_FROM = 1 << 25  # below, fresh pages cost more than zeroing memory that malloc has at hand


def allocate(length: int) -> memoryview:
    """Return writable memory of `length` bytes that nobody else sees. What is in it is arbitrary."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and length >= _NUMPY_FROM:
        block = numpy.empty(length + ALIGNMENT, numpy.uint8)
        skip = -block.__array_interface__["data"][0] % ALIGNMENT
        return memoryview(block)[skip : skip + length]
    if length >= _MAP_FROM and hasattr(mmap, "MAP_ANONYMOUS"):
        return memoryview(_map(length))
    return memoryview(bytearray(length))


def _map(length: int) -> mmap.mmap:
    block = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            block.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # a kernel without transparent huge pages: slower, and as correct
    return block


_CHUNK = 1 << 18  # hashed while it is in the cache
_MOST_PARTS = 1024  # that one call keeps in a list: a pipe gives 16 MiB in 256
_PARALLEL_FROM = 1 << 25  # two readers pay from here on: filling fresh pages is slower than hashing them


class FileSource:
    """One frame of a binary file, from its current position on.

    Args:
        file: an object with `read`, and `readinto` where it has it, opened in binary mode.
        whole: the frame must be all that is left in the file (an artifact file); otherwise the file is left right
            behind the frame.

    Raises:
        TypeError: the file gives text.
    """

    def __init__(self, file: BinaryIO, *, whole: bool) -> None:
        self._file = file
        name = getattr(file, "name", None)
        self.name = name if isinstance(name, str) else None  # for warnings
        self._whole = whole
        self.crew: Crew | None = None
        self._read_so_far = 0
        self._left = _bytes_left(file)

    def take(self, count: int) -> bytes:
        parts: list[bytes] = []
        dripped = bytearray()  # a list of tiny parts would take many times their size
        missing = count
        while missing:
            chunk: Any = self._file.read(missing if self._left is not None else min(missing, _CHUNK))  # I6
            if isinstance(chunk, str):
                raise TypeError("file: expected a binary file, found one opened in text mode")
            if chunk is None:
                raise BlockingIOError("file: non-blocking, and it has no data now")
            if not chunk:
                break
            parts.append(bytes(chunk))
            missing -= len(parts[-1])
            if len(parts) == _MOST_PARTS:
                dripped += b"".join(parts)
                parts.clear()
        data = parts[0] if len(parts) == 1 and not dripped else bytes(dripped) + b"".join(parts)
        self._advance(len(data))
        return data

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        length, where = entry["len"], f"sections[{index}]"
        end = self._check_there(index, length)
        crew = self.crew if length >= THREAD_FROM else None
        if crew is not None and not keep:
            if self._left is not None and isinstance(self._file, io.FileIO) and hasattr(os, "preadv"):
                self._skim_in_a_thread(index, entry, crew)
                return None
            crew = None
        check = SectionCheck(index, entry, with_sha256=crew is None)
        stored: bytes | memoryview | None = None
        if not keep:
            self._skim(length, check)
        elif index == 0:
            stored = self._collect(length)
            check.update(stored)
        else:
            stored = self._fill(length, check)
        padding = self.take(padding_of(length))
        if self._read_so_far < end:
            raise TruncatedError("the input ends within a section", end, self._read_so_far, None, where).at(16)
        check.finish_xxh3()
        if crew is not None:
            digest = crew.start(partial(sha256_hex, (stored,)))
            crew.judge_later(lambda: check.finish_rest(padding, digest()))
        else:
            check.finish_rest(padding)
        return stored

    def _check_there(self, index: int, length: int) -> int:
        """Refuse a section that a regular file is too short for; return where it ends, padding included."""
        end = self._read_so_far + length + padding_of(length)
        if self._left is not None and end - self._read_so_far > self._left:
            found, where = self._read_so_far + self._left, f"sections[{index}]"
            raise TruncatedError("the input ends within a section", end, found, None, where).at(16)
        return end

    def _skim_in_a_thread(self, index: int, entry: dict[str, Any], crew: Crew) -> None:
        """Have a section of a regular file read and hashed by a thread, and step over it."""
        start, length = self._file.tell(), entry["len"]
        end = self._read_so_far + length
        self._file.seek(start + length)
        self._advance(length)
        padding = self.take(padding_of(length))
        done = crew.start(partial(_hash_range, self._file.fileno(), start, index, entry, crew))

        def verdict() -> None:
            count, check = done()
            if count < length or len(padding) < padding_of(length):  # the file was cut off while it was read
                found, where = end - length + count, f"sections[{index}]"
                raise TruncatedError("the input ends within a section", end, found, None, where).at(16)
            check.finish(padding)

        crew.judge_later(verdict)

    def at_end(self) -> bool:
        return not self._whole or not self._file.read(1)

    def _advance(self, count: int) -> None:
        self._read_so_far += count
        if self._left is not None:
            self._left -= count

    def _skim(self, length: int, check: SectionCheck) -> None:
        """Hash, and keep nothing."""
        while length:
            chunk = self.take(min(length, _CHUNK))
            if not chunk:
                return
            check.update(chunk)
            length -= len(chunk)

    def _collect(self, length: int) -> bytes:
        """Read into one bytes object; from a pipe in steps, so that memory grows with what arrives."""
        if self._left is not None:
            return self.take(length)
        parts = []
        while length:
            part = self.take(min(length, 1 << 24))
            if not part:
                break
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _fill(self, length: int, check: SectionCheck) -> memoryview:
        """Read into memory that becomes the buffer's home, hashing on the way."""
        if self._left is None:
            data = bytearray()
            while len(data) < length:
                chunk = self.take(min(length - len(data), _CHUNK))
                if not chunk:
                    break
                check.update(chunk)
                data += chunk
            return memoryview(data)
        view = allocate(length)
        if length >= _PARALLEL_FROM and isinstance(self._file, io.FileIO) and hasattr(os, "preadv"):
            done = _fill_in_parallel(self._file, view, check)
        else:
            done = self._fill_in_order(view, check)
        self._advance(done)
        return view

    def _fill_in_order(self, view: memoryview, check: SectionCheck) -> int:
        done = 0
        readinto = getattr(self._file, "readinto", None)
        while done < len(view):
            target = view[done : done + _CHUNK]
            if readinto is None:
                chunk = self._file.read(len(target))
                count = len(chunk)
                target[:count] = chunk
            else:
                count = readinto(target) or 0
            if not count:
                break
            check.update(target[:count])
            done += count
        return done


def _bytes_left(file: BinaryIO) -> int | None:
    """Return how many bytes a regular file has from its position on, or None for pipes and all that is unsure."""
    if isinstance(file, io.BytesIO):
        return len(file.getbuffer()) - file.tell()
    try:
        status = os.fstat(file.fileno())
        raw = file.raw if isinstance(file, io.BufferedReader | io.BufferedRandom) else file
        if not stat.S_ISREG(status.st_mode) or not isinstance(raw, io.FileIO):
            return None  # a wrapper (gzip, a temporary file's proxy) may show other bytes than its descriptor
        return max(0, status.st_size - file.tell())
    except (OSError, AttributeError, ValueError):
        return None


def _fill_in_parallel(file: io.FileIO, view: memoryview, check: SectionCheck) -> int:
    """Fill the second half in a thread, while this one fills and hashes the first."""
    start, half = file.tell(), len(view) // 2
    counts, failures = [0], list[BaseException]()

    def fill_rest() -> None:
        try:
            counts[0] = _pread(file.fileno(), view, half, len(view), start, None)
        except BaseException as exc:  # raised again below, in the thread that asked
            failures.append(exc)

    thread = threading.Thread(target=fill_rest)
    thread.start()
    try:
        first = _pread(file.fileno(), view, 0, half, start, check)
    finally:
        thread.join()  # in any case: whoever closes the file gives its descriptor to the next that is opened
    if failures:
        raise failures[0]
    if first < half:
        return first
    for position in range(half, half + counts[0], 1 << 24):
        check.update(view[position : min(position + (1 << 24), half + counts[0])])
    file.seek(start + half + counts[0])
    return half + counts[0]


def _pread(fd: int, view: memoryview, begin: int, end: int, start: int, check: SectionCheck | None) -> int:
    """Read view[begin:end] from file offset start + begin; return the number of bytes read."""
    position = begin
    while position < end:
        target = view[position : min(position + _CHUNK, end)]
        count = os.preadv(fd, [target], start + position)
        if not count:
            break
        if check is not None:
            check.update(target[:count])
        position += count
    return position - begin


def _hash_range(fd: int, start: int, index: int, entry: dict[str, Any], crew: Crew) -> tuple[int, SectionCheck]:
    """Hash a section where it lies in a file; return how many bytes there were, and the check."""
    check, buffer = SectionCheck(index, entry), memoryview(bytearray(_CHUNK))
    length, done = entry["len"], 0
    while done < length and not crew.stopped:
        count = os.preadv(fd, [buffer[: min(_CHUNK, length - done)]], start + done)
        if not count:
            break
        check.update(buffer[:count])
        done += count
    return done, check
