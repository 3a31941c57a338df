"""The end of a stream's file, for those who append (spec section 9.3): lock, validate the tail, one write. And the
index beside the file (spec section 9.4), as far as those who append keep it.

A `Tail` remembers where the stream ended when it last looked. If the file is as long as then, nothing has to be read;
what others appended is walked through once.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from .._format.frame import Part
from .._format.header import fields_of
from .._format.index import ENTRY_SIZE, EVERY_BYTES, EVERY_FRAMES, Entry, decode_entries, encode_entry, is_index
from .._format.limits import MAX_INTEGER, Limits
from .._format.preamble import PREAMBLE_SIZE
from .._io.atomic import open_folder, sync_folder, write_all
from .._io.processes import acquire, release
from .._io.source import BytesSource, FileSource, Source
from .._io.window import Window, read_at
from .._policy import Policy
from .._reading import read_header
from ..errors import NotAnArtifactError, ReadError, TornTailError
from .scanner import Lost, Place, Walk

__all__ = ["INDEX_ENDING", "Tail", "entry_of", "is_true", "read_index"]

INDEX_ENDING = ".idx"
_SMALL = 1 << 18  # bytes of a frame that is validated in one piece
_ANY_SIZE = Policy(limits=Limits(max_decoded=MAX_INTEGER))
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_sync = getattr(os, "fdatasync", os.fsync)
_NOT_BESIDE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no symbolic link, and no wait for a FIFO
_MOST_INDEXED = 1 << 26  # bytes of an index that are taken: two million entries
_NEWEST = 1 << 13  # bytes of an index that an append looks at: for one record, it would take longer to read it all
_MOST_NUMBERS = 1 << 64  # of a u64


class Tail:
    """The end of one file. Not for several threads at once.

    Args:
        path: of the file; it is made when it is first locked, if it is missing. Which one it names is looked up
            whenever it is opened, and from the folder that is the current one now.
        create: whether it may be made.
    """

    def __init__(self, path: str, create: bool = True) -> None:
        self._given = os.path.join(os.getcwd(), path)
        self.path = os.path.realpath(self._given)
        self._create = create
        self._descriptor = -1
        self._index = -1
        self.written = 0  # records, by this object
        self.trouble: OSError | None = None  # of a sync: what was not synced before can't be relied on
        self._forget()

    def _forget(self) -> None:
        self._end: int | None = None  # None: not looked yet
        self._mark = 0, b""  # what stands at an offset in the last frame that was seen
        self._record = 0
        self._last: tuple[int, int] | None = None
        self._entries = 0  # in the index
        self._due = Entry(0, 0, 0)  # the last entry, as if there were one for the first frame
        self._frames = 0  # since then

    @property
    def descriptor(self) -> int:
        """Of the open file."""
        return self._descriptor

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Open the file, if it is not open or the path names another one now, and hold its lock.

        Raises:
            OSError: it can't be opened, made or locked, or is no regular file.
        """
        while True:
            if self._descriptor < 0:
                self._open()
            acquire(self._descriptor)
            try:
                if self._is_current():
                    yield
                    return
            finally:
                release(self._descriptor)
            try:
                self.sync()  # what was written here is done with
            finally:
                self.close()

    def _open(self) -> None:
        self.path = os.path.realpath(self._given)
        try:
            self._descriptor = os.open(self.path, _FLAGS)
        except FileNotFoundError:
            if not self._create:
                raise
            self._descriptor = os.open(self.path, _FLAGS | os.O_CREAT, 0o666)
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file: a stream that is appended to must be one", self.path)
            if not status.st_size:  # whoever made it may have died before its name was on the disk
                self._sync_folder()
        except BaseException:
            self.close()
            raise

    def _sync_folder(self) -> None:
        folder = open_folder(os.path.dirname(self.path))
        if folder is not None:
            try:
                sync_folder(folder)
            finally:
                os.close(folder)

    def sync(self) -> None:
        """Have what was written on the disk. A failure is remembered: the next sync would not tell.

        Raises:
            OSError: as from the operating system.
        """
        try:
            _sync(self._descriptor)
        except OSError as exc:
            self.trouble = exc
            raise

    def _is_current(self) -> bool:
        """Tell whether the path still names the open file: it may have been replaced, moved away or removed."""
        try:
            there = os.stat(self._given)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def close(self) -> None:
        """Close what is open. The next lock opens it again."""
        index, self._index = self._index, -1
        if index >= 0:
            with suppress(OSError):
                os.close(index)
        descriptor, self._descriptor = self._descriptor, -1  # whatever close says: a second one could hit another file
        self._forget()
        if descriptor >= 0:
            os.close(descriptor)

    # --- under the lock -----------------------------------------------------------------------------------------------

    def validate(self, repair: bool = False, drop_corrupt: bool = False) -> int:
        """Find the end, and look at what was appended since the last time. Return how many bytes were cut off.

        Args:
            repair: cut off a torn tail.
            drop_corrupt: cut off a last frame that is corrupt, too.

        Raises:
            TornTailError: the tail is torn, and is not to be cut off.
            ReadError: the last frame is corrupt, or nothing in the file is a frame.
            OSError: from reading or cutting.
        """
        size = os.fstat(self._descriptor).st_size
        offset, mark = self._mark
        if mark and read_at(self._descriptor, len(mark), offset) != mark:
            self._forget()  # the file was emptied, and written anew
        if self._end == size:
            return 0
        window = Window(self._descriptor)
        if self._end is None or self._end > size:
            self._forget()
            self._start_from_index(window)
        walk = Walk(window)
        walk.move(self._end or 0, self._record, self._last)
        trouble, good = self._walk_to_end(walk)
        if trouble is not None:
            may_cut = repair if isinstance(trouble.error, TornTailError) else drop_corrupt
            is_foreign = not trouble.offset and isinstance(trouble.error, NotAnArtifactError)
            if is_foreign or not may_cut:
                raise trouble.error
            os.ftruncate(self._descriptor, trouble.offset)
            os.fsync(self._descriptor)
            walk.move(trouble.offset, trouble.error.record or 0, good)
        self._end, self._record, self._last = walk.offset, walk.record, walk.last
        return 0 if trouble is None else size - trouble.offset

    def _walk_to_end(self, walk: Walk) -> tuple[Lost | None, tuple[int, int] | None]:
        """Walk to the end. Return what is wrong with it, if anything, and stream_id and seq of the last good frame."""
        trouble: Lost | None = None
        good = walk.last
        while True:
            before = walk.offset, walk.record, walk.last
            try:
                place = walk.step()
                if place is None:
                    return trouble, good
                if place.end >= walk.window.size():
                    self._check_whole(walk.window, place)
            except ReadError as exc:
                if exc.offset is None:  # of the sections: the walk stands behind the frame
                    exc.offset, exc.record = before[:2]
                    lost = Lost(before[0], walk.offset, exc, 1, None)
                else:
                    lost = walk.skip(exc)
                trouble = lost if trouble is None or trouble.end < lost.offset else trouble._replace(end=lost.end)
                continue
            trouble, good = None, walk.last
            self._note(place.offset, place.record, walk.window.take(place.offset, PREAMBLE_SIZE))

    def _check_whole(self, window: Window, place: Place) -> None:
        """Steps 1 to 13 and 16 of the last frame, which somebody else wrote."""
        source: Source
        length = place.preamble.frame_len
        if length <= _SMALL:
            source = BytesSource(window.take(place.offset, length))
        else:
            os.lseek(self._descriptor, place.offset, os.SEEK_SET)
            source = FileSource(io.FileIO(self._descriptor, closefd=False), whole=False)
        header = read_header(source, _ANY_SIZE)
        for index, entry in enumerate(fields_of(header)["sections"]):
            source.section(index, entry, False)

    def next_place(self) -> tuple[int, int]:
        """Return stream_id and seq of the frame that comes next. Only after `validate`."""
        if self._last is None or not self._last[0] or self._last[1] + 1 == _MOST_NUMBERS:
            return int.from_bytes(os.urandom(8), "little") or 1, 0
        return self._last[0], self._last[1] + 1

    def write(self, parts: Sequence[Part], stream_id: int, seq: int, records: int) -> None:
        """Write a frame at the end. If that fails, nothing of it stays. Only after `validate`.

        Raises:
            OSError: as from the operating system.
        """
        end, before = self._end or 0, self.written
        try:
            os.lseek(self._descriptor, end, os.SEEK_SET)
            write_all(self._descriptor, parts)
            self.written = before + records  # from here on it is there, whatever interrupts this
            self._note(end, self._record, bytes(parts[0]))
            self._end = end + sum(map(len, parts))
            self._record += records
            self._last = stream_id, seq
        except BaseException:
            if self.written == before:
                with suppress(OSError):  # then it is a torn tail, which is found
                    os.ftruncate(self._descriptor, end)
            self._forget()
            raise

    # --- the index, under the lock too: a cache, so trouble with it is no trouble -------------------------------------

    def _note(self, offset: int, record: int, preamble: bytes) -> None:
        """Take note of a frame, and add an entry to the index where one is due."""
        self._mark = offset + 56, preamble[56:64]
        if self._frames < EVERY_FRAMES and offset - self._due.offset < EVERY_BYTES:
            self._frames += 1
            return
        self._due = Entry(offset, record, int.from_bytes(preamble[56:64], "little"))
        self._frames = 1
        if record >= _MOST_NUMBERS:
            return
        with suppress(OSError):
            if self._index < 0:
                self._index = _open_index(self.path, _FLAGS | os.O_CREAT)
            if not self._entries:
                os.ftruncate(self._index, 0)
            os.lseek(self._index, self._entries * ENTRY_SIZE, os.SEEK_SET)
            os.write(self._index, encode_entry(self._due))
            self._entries += 1

    def _start_from_index(self, window: Window) -> None:
        """Begin at the last entry that is true of the file, and cut off those that are not."""
        with suppress(OSError):
            self._index = _open_index(self.path, _FLAGS) if self._index < 0 else self._index
            size = os.fstat(self._index).st_size // ENTRY_SIZE * ENTRY_SIZE
            begin = max(size - _NEWEST, 0)
            entries = self._true_entries(begin, size, window)
            if begin and len(entries) * ENTRY_SIZE < size - begin:  # something is wrong: go by the rest
                begin, entries = 0, self._true_entries(0, min(size, _MOST_INDEXED), window)
            os.ftruncate(self._index, begin + len(entries) * ENTRY_SIZE)
            if entries:
                self._due, self._entries = entries[-1], begin // ENTRY_SIZE + len(entries)
                self._end, self._record = entries[-1].offset, entries[-1].record

    def _true_entries(self, begin: int, end: int, window: Window) -> list[Entry]:
        """Return the entries in a part of the index, up to the last that is true of the file."""
        entries = decode_entries(read_at(self._index, end - begin, begin))
        while entries and not is_true(entries[-1], window):
            entries.pop()
        return entries


def _open_index(path: str, flags: int) -> int:
    """Open the file beside a stream, if it is an index: what is not is left alone.

    Raises:
        OSError: it can't be opened, or is none.
    """
    descriptor = os.open(path + INDEX_ENDING, flags | _NOT_BESIDE, 0o666)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and is_index(read_at(descriptor, ENTRY_SIZE, 0)):
            return descriptor
        raise OSError(errno.EEXIST, "not an index", path + INDEX_ENDING)
    except BaseException:
        os.close(descriptor)
        raise


def entry_of(place: Place, window: Window) -> Entry:
    """Return the entry that an index has for a frame."""
    preamble = window.take(place.offset, PREAMBLE_SIZE)
    return Entry(place.offset, place.record, int.from_bytes(preamble[56:], "little"))


def is_true(entry: Entry, window: Window) -> bool:
    """Tell whether a frame begins where an entry says."""
    try:
        place = Walk(window, offset=entry.offset).step()
    except (ReadError, OSError):  # what can't be read now is found out by who reads it next
        return False
    preamble = window.take(entry.offset, PREAMBLE_SIZE)
    return place is not None and int.from_bytes(preamble[56:64], "little") == entry.preamble_xxh3


def read_index(path: str) -> list[Entry]:
    """Return the entries of the index beside a stream, unverified; none where there is no index."""
    with suppress(OSError):
        descriptor = _open_index(os.path.realpath(path), _FLAGS & ~os.O_RDWR | os.O_RDONLY)
        try:
            return decode_entries(read_at(descriptor, min(os.fstat(descriptor).st_size, _MOST_INDEXED), 0))
        finally:
            os.close(descriptor)
    return []
