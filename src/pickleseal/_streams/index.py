"""The index beside a stream's file (spec section 9.4): which offset has which record, so that a seek reads little.

The index is a cache. Nothing relies on an entry before `is_true` has compared it with the stream, and an index that
can't be read or written is no error. The bytes of its entries are the matter of `_format.index`.
"""

import errno
import os
import stat
from contextlib import suppress

from .._format.index import ENTRY_SIZE, EVERY_BYTES, EVERY_FRAMES, Entry, decode_entries, encode_entry, is_index
from .._format.preamble import PREAMBLE_SIZE
from .._io.source import read_at
from .._io.window import Window
from ..errors import ReadError
from .scanner import FrameExtent, Scanner

INDEX_ENDING = ".idx"
_MOST_BYTES = 1 << 26  # bytes of an index that are read: two million entries
_NEWEST_BYTES = 1 << 13  # bytes of an index that an append reads: to read all would take longer than one append
_MOST_NUMBERS = 1 << 64  # of a u64
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_OWN_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no symbolic link, and no waiting for a FIFO


class IndexWriter:
    """The index beside a stream, for those who append to the stream and hold its lock."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._entries = 0
        self._last = Entry(0, 0, 0)  # the last entry, as if there were one for the first frame
        self._frames = 0  # since then

    def forget(self) -> None:
        """Forget where the index ends: the stream is looked at anew."""
        self._entries, self._last, self._frames = 0, Entry(0, 0, 0), 0

    def close(self) -> None:
        """Close the file. It is opened again when it is needed."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def resume(self, path: str, window: Window) -> Entry | None:
        """Return the last entry that is true of the stream, and cut off those after it."""
        with suppress(OSError):
            if self._descriptor < 0:
                self._descriptor = _open_index(path, os.O_RDWR)
            size = os.fstat(self._descriptor).st_size // ENTRY_SIZE * ENTRY_SIZE
            begin = max(size - _NEWEST_BYTES, 0)
            entries = self._true_entries(begin, size, window)
            if begin and len(entries) * ENTRY_SIZE < size - begin:  # something is wrong: read the rest too
                begin, entries = 0, self._true_entries(0, min(size, _MOST_BYTES), window)
            os.ftruncate(self._descriptor, begin + len(entries) * ENTRY_SIZE)
            if entries:
                self._last, self._entries = entries[-1], begin // ENTRY_SIZE + len(entries)
                return entries[-1]
        return None

    def _true_entries(self, begin: int, end: int, window: Window) -> list[Entry]:
        """Return the entries in a part of the index, up to the last that is true of the stream."""
        entries = decode_entries(read_at(self._descriptor, end - begin, begin))
        while entries and not is_true(entries[-1], window):
            entries.pop()
        return entries

    def is_due(self, offset: int) -> bool:
        """Count a frame of the stream, and return whether it gets an entry. Then `write` has to be called."""
        if self._frames < EVERY_FRAMES and offset - self._last.offset < EVERY_BYTES:
            self._frames += 1
            return False
        return True

    def write(self, path: str, entry: Entry) -> None:
        """Write an entry at the end of the index beside a stream."""
        self._last = entry
        self._frames = 1
        if entry.record >= _MOST_NUMBERS:
            return
        with suppress(OSError):
            if self._descriptor < 0:
                self._descriptor = _open_index(path, os.O_RDWR | os.O_CREAT)
            if not self._entries:
                os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, self._entries * ENTRY_SIZE, os.SEEK_SET)
            os.write(self._descriptor, encode_entry(entry))
            self._entries += 1


def read_index(path: str) -> list[Entry]:
    """Return the entries of the index beside a stream, not yet compared with it; none if there is no index."""
    with suppress(OSError):
        descriptor = _open_index(os.path.realpath(path), os.O_RDONLY)
        try:
            return decode_entries(read_at(descriptor, min(os.fstat(descriptor).st_size, _MOST_BYTES), 0))
        finally:
            os.close(descriptor)
    return []


def entry_of(extent: FrameExtent, window: Window) -> Entry:
    """Return the entry that an index has for a frame."""
    preamble = window.take(extent.offset, PREAMBLE_SIZE)
    return Entry(extent.offset, extent.record, int.from_bytes(preamble[56:], "little"))


def is_true(entry: Entry, window: Window) -> bool:
    """Return whether a frame begins where an entry says."""
    try:
        extent = Scanner(window, offset=entry.offset).look(counts=False)
    except (ReadError, OSError):  # whoever reads there next gets the error
        return False
    return extent is not None and entry_of(extent, window).preamble_xxh3 == entry.preamble_xxh3


def _open_index(path: str, flags: int) -> int:
    """Open the file beside a stream, if it is an index. Any other file is left alone.

    Raises:
        OSError: it can't be opened, or is no index.
    """
    descriptor = os.open(path + INDEX_ENDING, flags | _FLAGS | _OWN_FILE, 0o666)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and is_index(read_at(descriptor, ENTRY_SIZE, 0)):
            return descriptor
        raise OSError(errno.EEXIST, "not an index", path + INDEX_ENDING)
    except BaseException:
        os.close(descriptor)
        raise
