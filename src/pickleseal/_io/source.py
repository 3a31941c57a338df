"""Sources of frames: bytes in memory, files and pipes, and memory maps. The reader sees all of them as a `Source`.

A source gives bytes in order, and checks each section while its bytes go by (spec section 11, step 16). So bytes, files
and maps get the same verdict. (The source for a URL is `RangeSource` in `remote`.)

A declared length never decides alone how much memory is allocated (spec I6): the size of a regular file is asked first,
and for a pipe memory grows with what arrives.

This module knows sections and their checksums. It knows no header and no policy.
"""

import errno
import io
import mmap
import os
import stat
import sys
from functools import partial
from typing import Any, BinaryIO, NamedTuple, Protocol

from .._format.frame import SectionCheck, padding_of
from .._format.limits import ALIGNMENT
from ..errors import TruncatedError
from .hashing import check_in_memory, sha256_hex
from .threads import THREAD_FROM, ThreadPool, cores, pays

_SMALL_FILE = 1 << 16  # bytes of a file that is read at once
_CHUNK = 1 << 18  # bytes that are hashed while they are in the cache
_MOST_PARTS = 1024  # chunks that one call keeps in a list: a pipe gives 16 MiB in 256
_PARALLEL_FROM = 1 << 25  # bytes from which two readers pay: filling fresh pages is slower than hashing them


class Source(Protocol):
    """Where a frame's bytes come from, in order."""

    pool: ThreadPool | None  # for SHA-256, where there is enough to do; a check may then be made later
    name: str | None  # of the file, for warnings
    readonly: bool  # whether all buffers are read-only, however they were written

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, or fewer where the input ends."""

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        """Check the next section (step 16) and return its stored bytes: section 0 as bytes, others as memoryview.

        Writable memory belongs to the caller alone. If `keep` is false nothing is kept, and the result is None.
        """

    def at_end(self) -> bool:
        """Return whether no byte follows. A source that may hold more frames returns True."""


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


def open_at_once(path: str, flags: int) -> int:
    """Open a file to read it, as `opener` of `io.FileIO`. For a pipe, this does not wait for the other end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _cut_off(index: int, expected: int, found: int | None, text: str = "the input ends within a section") -> Exception:
    """Return the error for a section that is not there as a whole."""
    return TruncatedError(text, expected, found, None, f"sections[{index}]").at(16)


class BytesSource:
    """One artifact in memory. Mutable input is copied first, so that nothing changes between check and use."""

    __slots__ = ("_position", "data", "name", "pool")
    readonly = False

    def __init__(self, data: bytes | bytearray | memoryview, name: str | None = None) -> None:
        self.data: bytes = data if type(data) is bytes else _immutable(data)
        self.name = name
        self.pool: ThreadPool | None = None
        self._position = 0

    def take(self, count: int) -> bytes:
        start = self._position
        self._position = start + count
        return self.data[start : start + count]

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        start, length = self._position, entry["len"]
        self._position = end = start + length + -length % ALIGNMENT
        if end > len(self.data):
            raise _cut_off(index, end, len(self.data))
        stored = self.data[start : start + length] if index == 0 else memoryview(self.data)[start : start + length]
        check_in_memory(self.pool, index, entry, stored, self.data[start + length : end])
        return stored

    def at_end(self) -> bool:
        return self._position >= len(self.data)


def _immutable(data: object) -> bytes:
    try:
        return bytes(memoryview(data).cast("B"))  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        pass
    try:
        return memoryview(data).tobytes()  # type: ignore[arg-type]
    except TypeError:
        found = type(data).__name__
        raise TypeError(f"data: expected bytes-like, found {found}; load() takes paths and files") from None


def artifact_source(file: io.FileIO) -> "BytesSource | FileSource":
    """Return the source for the one artifact of an open file. A small regular file is read at once."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size > _SMALL_FILE:
        return FileSource(file, whole=True)
    data = read_at(file.fileno(), status.st_size + 1, 0)  # one more, to see whether something follows the frame
    return BytesSource(data, file.name if isinstance(file.name, str) else None)


class FileSource:
    """One frame of a binary file, from its current position on.

    Args:
        file: an object with `read`, and `readinto` where it has it, opened in binary mode.
        whole: the frame must be all that is left in the file (an artifact file). Otherwise the file is left right
            after the frame.

    Raises:
        TypeError: the file gives text.
    """

    readonly = False

    def __init__(self, file: BinaryIO, *, whole: bool) -> None:
        self.file = file
        name = getattr(file, "name", None)
        self.name: str | None = name if isinstance(name, str) else None
        self.pool: ThreadPool | None = None
        self._whole = whole
        self._taken = 0  # bytes of the frame so far
        self.left = bytes_left(file)  # bytes to the end of a regular file; None: not known

    def take(self, count: int) -> bytes:
        parts: list[bytes] = []
        joined = bytearray()  # a list of many tiny parts would take many times their size
        missing = count
        while missing:
            chunk: Any = self.file.read(missing if self.left is not None else min(missing, _CHUNK))  # I6
            if isinstance(chunk, str):
                raise TypeError("file: expected a binary file, found one opened in text mode")
            if chunk is None:
                raise BlockingIOError("file: non-blocking, and it has no data now")
            if not chunk:
                break
            parts.append(bytes(chunk))
            missing -= len(parts[-1])
            if len(parts) == _MOST_PARTS:
                joined += b"".join(parts)
                parts.clear()
        data = parts[0] if len(parts) == 1 and not joined else bytes(joined) + b"".join(parts)
        self._advance(len(data))
        return data

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        length = entry["len"]
        end = self._end_of(index, length)
        pool = self.pool if length >= THREAD_FROM else None
        if pool is not None and not keep:
            if self._can_read_anywhere():
                self._skim_in_a_thread(index, entry, pool)
                return None
            pool = None
        check = SectionCheck(index, entry, with_sha256=pool is None)
        stored: bytes | memoryview | None = None
        if not keep:
            self._skim(length, check)
        elif index == 0:
            stored = self._collect(length)
            check.update(stored)
        else:
            stored = self._fill(length, check)
        padding = self.take(padding_of(length))
        if self._taken < end:
            raise _cut_off(index, end, self._taken)
        check.finish_xxh3()
        if pool is not None:
            digest = pool.start(partial(sha256_hex, (stored,)))
            pool.check_later(lambda: check.finish_rest(padding, digest()))
        else:
            check.finish_rest(padding)
        return stored

    def at_end(self) -> bool:
        return not self._whole or not self.file.read(1)

    def _end_of(self, index: int, length: int) -> int:
        """Return where a section ends, padding included. Refuse it if a regular file is too short for it."""
        end = self._taken + length + padding_of(length)
        if self.left is not None and end - self._taken > self.left:
            raise _cut_off(index, end, self._taken + self.left)
        return end

    def _advance(self, count: int) -> None:
        self._taken += count
        if self.left is not None:
            self.left -= count

    def _can_read_anywhere(self) -> bool:
        """Return whether a thread can read at an offset, while this one reads elsewhere."""
        return self.left is not None and isinstance(self.file, io.FileIO) and hasattr(os, "preadv")

    def _skim_in_a_thread(self, index: int, entry: dict[str, Any], pool: ThreadPool) -> None:
        """Start a thread that reads and hashes a section of a regular file, and step over the section."""
        start, length, end = self.file.tell(), entry["len"], self._taken + entry["len"]
        self.file.seek(start + length)
        self._advance(length)
        padding = self.take(padding_of(length))
        hashed = pool.start(partial(_hash_range, self.file.fileno(), start, index, entry, pool))

        def finish() -> None:
            count, check = hashed()
            if count < length or len(padding) < padding_of(length):  # the file was cut off while it was read
                raise _cut_off(index, end, end - length + count)
            check.finish(padding)

        pool.check_later(finish)

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
        if self.left is not None:
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
        """Read into memory that becomes the buffer's home, and hash on the way."""
        if self.left is None:
            data = bytearray()
            while len(data) < length:
                chunk = self.take(min(length - len(data), _CHUNK))
                if not chunk:
                    break
                check.update(chunk)
                data += chunk
            return memoryview(data)
        view = allocate(length)
        if length >= _PARALLEL_FROM and cores() > 1 and self._can_read_anywhere():
            done = _fill_in_parallel(self.file, view, check)
        else:
            done = self._fill_in_order(view, check)
        self._advance(done)
        return view

    def _fill_in_order(self, view: memoryview, check: SectionCheck) -> int:
        done = 0
        readinto = getattr(self.file, "readinto", None)
        while done < len(view):
            target = view[done : done + _CHUNK]
            if readinto is None:
                chunk = self.file.read(len(target))
                count = len(chunk)
                target[:count] = chunk
            else:
                count = readinto(target) or 0
            if not count:
                break
            check.update(target[:count])
            done += count
        return done


def bytes_left(file: BinaryIO) -> int | None:
    """Return how many bytes a regular file has from its position on, or None for pipes and wherever it is not sure."""
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


def _fill_in_parallel(file: BinaryIO, view: memoryview, check: SectionCheck) -> int:
    """Fill the second half in a thread, while this thread fills and hashes the first."""
    start, half = file.tell(), len(view) // 2
    with ThreadPool(1) as pool:  # left after both are done: whoever closes the file frees its descriptor for others
        second = pool.start(partial(_pread, file.fileno(), view, half, len(view), start, None))
        first = _pread(file.fileno(), view, 0, half, start, check)
        count = second()
    if first < half:
        return first
    for position in range(half, half + count, 1 << 24):
        check.update(view[position : min(position + (1 << 24), half + count)])
    file.seek(start + half + count)
    return half + count


def _pread(fd: int, view: memoryview, begin: int, end: int, start: int, check: SectionCheck | None) -> int:
    """Read view[begin:end] from file offset start + begin. Return the number of bytes read."""
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


def _hash_range(fd: int, start: int, index: int, entry: dict[str, Any], pool: ThreadPool) -> tuple[int, SectionCheck]:
    """Hash a section where it lies in a file. Return how many bytes there were, and the check."""
    check, buffer = SectionCheck(index, entry), memoryview(bytearray(_CHUNK))
    length, done = entry["len"], 0
    while done < length and not pool.is_stopped:
        count = os.preadv(fd, [buffer[: min(_CHUNK, length - done)]], start + done)
        if not count:
            break
        check.update(buffer[:count])
        done += count
    return done, check


# --- memory for sections that are read from files ---------------------------------------------------------------------
#
# It is private, cheap to fill, and aligned to 64 bytes where that matters. A `bytearray` is zeroed before it is filled:
# that is nothing for small buffers, and half the time for large ones. numpy's allocator, if numpy is imported already,
# reuses memory of middling sizes and asks for huge pages for large ones. Without numpy, an anonymous private map does
# the latter.

_NUMPY_FROM = 1 << 16
_MAP_FROM = 1 << 25  # below, fresh pages cost more than zeroing memory that malloc has at hand


def allocate(length: int) -> memoryview:
    """Return writable memory of `length` bytes that nobody else sees. Its content is arbitrary."""
    empty = getattr(sys.modules.get("numpy"), "empty", None)  # another thread may be importing numpy
    if empty is not None and length >= _NUMPY_FROM:
        block = empty(length + ALIGNMENT, "u1")
        skip = -block.__array_interface__["data"][0] % ALIGNMENT
        return memoryview(block)[skip : skip + length]
    if length >= _MAP_FROM and hasattr(mmap, "MAP_ANONYMOUS"):
        return memoryview(_anonymous_map(length))
    return memoryview(bytearray(length))


def _anonymous_map(length: int) -> mmap.mmap:
    block = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            block.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # a kernel without transparent huge pages: slower, and as correct
    return block


# --- memory maps ------------------------------------------------------------------------------------------------------

_ACCESS = {"r": mmap.ACCESS_READ, "c": mmap.ACCESS_COPY}
_POPULATE_FROM = 1 << 20
_PIECE = 1 << 26  # so that of a file larger than memory, what is hashed next is there
_MADV_POPULATE_READ = 22  # Linux 5.14; the module `mmap` lacks it
_MAP_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) and os.name == "posix" else {}


class _View(NamedTuple):
    """A buffer that lies in the map."""

    number: int
    entry: dict[str, Any]
    start: int


class MapSource(FileSource):
    """One artifact file, whose buffers are given as views of a map.

    Header and pickle are read, not mapped: they are copied before they are checked, so nothing changes between check
    and use, and a file that is cut off meanwhile is refused. Only buffers lie in the map, and are hashed there.

    Args:
        file: a regular file, at its beginning.
        mode: `"r"` or `"c"`, as for `Mapped`.
        copies: whether buffers are private copies nevertheless.
        unchecked: whether views are given unchecked. `check_views` checks them.

    Raises:
        ValueError: not a regular file.
    """

    def __init__(self, file: io.FileIO, mode: str, *, copies: bool, unchecked: bool) -> None:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("mmap: a pipe or a device can't be mapped: load it without mmap")
        super().__init__(file, whole=True)
        self.readonly = mode == "r"
        self._access = _ACCESS[mode]
        self._copies = copies
        self._unchecked = unchecked
        self._size = self.left or 0  # where it is empty, no map is made
        self._views: list[_View] = []
        self._map: mmap.mmap | None = None

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        if index == 0 or not keep or self._copies or "codec" in entry:
            return super().section(index, entry, keep)
        length = entry["len"]
        end = self._end_of(index, length)
        view = _View(index, entry, end - padding_of(length) - length)
        if self._map is None:
            self._map = self._open_map(index, end)
        self.file.seek(end)
        self._advance(end - view.start)
        self._views.append(view)
        if not self._unchecked:
            check_view(self._map, view, self.pool)
        return memoryview(self._map)[view.start : view.start + length]

    def _open_map(self, index: int, end: int) -> mmap.mmap:
        try:
            return mmap.mmap(self.file.fileno(), self._size, access=self._access, **_MAP_OPTIONS)
        except ValueError:  # cut off since it was opened
            raise _cut_off(index, end, os.fstat(self.file.fileno()).st_size) from None

    def check_views(self) -> None:
        """Check all views as step 16 does, as they are now."""
        mapped, views = self._map, self._views  # another thread may close this meanwhile
        if mapped is None:
            return
        entries = [view.entry for view in views]
        if "sha256" in entries[0] and pays(entry["len"] for entry in entries):
            with ThreadPool() as pool:
                for view in views:
                    check_view(mapped, view, pool)
        else:
            for view in views:
                check_view(mapped, view, None)

    def close(self) -> None:
        """Let go of the map. The system unmaps it when the last view is gone.

        `mmap.close` is never called: an array refers to its map without holding its buffer, so the map would be
        unmapped under the array.
        """
        self._map, self._views = None, []


def check_view(mapped: mmap.mmap, view: _View, pool: ThreadPool | None) -> None:
    """Check one buffer where it lies in the map."""
    index, entry, start = view
    length = entry["len"]
    end = start + length + padding_of(length)
    stored, padding = memoryview(mapped)[start : start + length], mapped[start + length : end]
    if length < _POPULATE_FROM or "sha256" in entry:
        check_in_memory(pool, index, entry, stored, padding)
        return
    check = SectionCheck(index, entry)
    for done in range(0, length, _PIECE):
        piece = stored[done : done + _PIECE]
        if not _populate(mapped, start + done, len(piece)):
            raise _cut_off(index, end, None, "the file was cut off under its map")
        check.update(piece)
    check.finish(padding)


def _populate(mapped: mmap.mmap, start: int, length: int) -> bool:
    """Ask Linux to map all pages at once, to save page faults. Return False only if the file lacks some of them."""
    if sys.platform == "linux":
        begin = start // mmap.PAGESIZE * mmap.PAGESIZE
        try:
            mapped.madvise(_MADV_POPULATE_READ, begin, start - begin + length)
        except OSError as exc:
            return exc.errno != errno.EFAULT  # it would be SIGBUS; EINVAL before Linux 5.14: slower, and as correct
    return True
