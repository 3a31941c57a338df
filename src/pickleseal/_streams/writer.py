"""`StreamWriter` and `append`: records at the end of a file to which others append as well (spec section 9.3).

`Tail` is the end of the file: it locks, validates what others wrote, and writes one frame. `StreamWriter` lets records
wait for a batch, syncs, and takes care of threads and forks. This module runs no payload.
"""

import atexit
import errno
import io
import os
import stat
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, NamedTuple

from .._format.frame import EncodedFrame
from .._format.header import fields_of
from .._format.index import Entry
from .._format.limits import MAX_INTEGER, Limits
from .._format.preamble import PREAMBLE_SIZE
from .._io import processes
from .._io.atomic import name_file, naming, open_folder, sync_folder, write_all
from .._io.processes import OwnDescriptor
from .._io.source import open_at_once, read_at
from .._io.url import refuse_url
from .._io.window import FileWindow
from .._packing import PackOptions, check_members, encode_object, makes_batches, options_with, place_frame
from .._policy import Policy
from .._reading import read_header
from ..errors import Hint, NotAnArtifactError, PackError, ReadError, TornTailError
from .batches import LONGEST, Pending, Unwritten
from .index import IndexWriter, entry_of
from .scanner import FrameExtent, Scanner, SkippedRange

_ANY_SIZE = Policy(limits=Limits(max_decoded=MAX_INTEGER))
_OPEN = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_sync = getattr(os, "fdatasync", os.fsync)
_MOST_NUMBERS = 1 << 64  # of a u64
_MARK = 56  # where a preamble has its checksum
_MOST_WAITING = 10_000  # records that wait if only `linger` is given


class Tail:
    """The end of one stream's file: lock it, validate its tail, write one frame at the end. Not for threads at once.

    It remembers where the stream ended when it last looked. If the file is as long as then, nothing has to be read;
    what others appended is walked through once.

    Args:
        path: of the file. It is made when it is first locked, if it is missing. Which file the path names is looked up
            whenever it is opened, from the folder that is the current one now.
        create: whether the file may be made.

    Attributes:
        path: the same, links resolved.
        written: the number of records that this object wrote.
        sync_error: why a sync failed. Nothing that was written before is known to be on the disk.
    """

    def __init__(self, path: str, create: bool = True) -> None:
        self._given = os.path.join(os.getcwd(), path)
        self.path = os.path.realpath(self._given)
        self._create = create
        self._file: OwnDescriptor | None = None
        self._index = IndexWriter()
        self.written = 0
        self.sync_error: OSError | None = None
        self._forget()

    @property
    def _descriptor(self) -> int:
        return -1 if self._file is None else self._file.number

    def _forget(self) -> None:
        self._end: int | None = None  # None: not looked yet
        self._mark = 0, b""  # an offset in the last frame that was seen, and what stands there
        self._record = 0
        self._last: tuple[int, int] | None = None
        self._index.forget()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Open the file, if it is not open or the path names another one now, and hold its lock.

        Raises:
            OSError: it can't be opened, made or locked, or is no regular file.
        """
        while True:
            if self._descriptor < 0:
                self._open()
            processes.acquire(self._descriptor)
            try:
                if self._is_current():
                    yield
                    return
            finally:
                if self._descriptor >= 0:  # else this is the child of a fork, and the lock is the parent's
                    processes.release(self._descriptor)
            try:
                self.sync()  # nothing more is written to this file
            finally:
                self.close()

    def _open(self) -> None:
        self.path = os.path.realpath(self._given)
        try:
            self._file = OwnDescriptor(lambda: os.open(self.path, _OPEN))
        except FileNotFoundError:
            if not self._create:
                raise
            self._file = OwnDescriptor(lambda: os.open(self.path, _OPEN | os.O_CREAT, 0o666))
        try:
            status = _check_regular(self._descriptor, self.path)
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
        """Bring what was written to the disk. A failure is remembered, because the next sync would not report it.

        Raises:
            OSError: from the operating system.
        """
        try:
            _sync(self._descriptor)
        except OSError as exc:
            self.sync_error = exc
            raise

    def _is_current(self) -> bool:
        """Return whether the path still names the open file: it may have been replaced, moved away or removed."""
        try:
            there = os.stat(self._given)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def close(self) -> None:
        """Close what is open. The next lock opens it again."""
        self._index.close()
        self._forget()
        if self._file is not None:
            self._file.close()

    def append(
        self, body: EncodedFrame, options: PackOptions, records: int, repair: bool = False, extend: bool = False
    ) -> None:
        """Write one frame at the end, under the lock.

        Args:
            repair: cut off a torn tail.
            extend: also append to an artifact, which is no stream yet.

        Raises:
            ValueError: the file is an artifact, and `extend` is false.
            TornTailError: the tail is torn, and `repair` is false.
            ReadError: the last frame is corrupt, or the file is no stream. `path` names the file.
            OSError: from the operating system; `filename` names the file. Nothing of the frame stays.
        """
        try:
            with self.locked():
                self.validate(repair)
                if not extend and self._last == (0, 0) and self._mark[0] == _MARK:  # the last frame is the first one
                    raise ValueError(
                        f"{self.path}: one artifact that dump() wrote, and no stream; after an append, load() refuses"
                        " it. To make it a stream all the same, pass extend=True"
                    )
                self._write(body, options, records)
        except ReadError as exc:
            exc.path = self.path
            raise
        except OSError as exc:  # perhaps of a sync
            name_file(exc, self.path, over=True)
            raise

    # --- under the lock -----------------------------------------------------------------------------------------------

    def validate(self, repair: bool = False, drop_corrupt: bool = False) -> int:
        """Find the end, and check what was appended since the last time. Return how many bytes were cut off.

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
        window = FileWindow(self._descriptor)
        scanner = Scanner(window)
        if self._end is not None and self._end <= size:
            scanner.move(self._end, self._record, self._last)
        else:
            if self._end is not None:
                self._forget()
            entry = self._index.resume(self.path, window)
            if entry is not None:
                scanner.move(entry.offset, entry.record)
        end = _find_end(scanner, window, self._note)
        if end.lost is not None:  # look again from the start: then all sequences are known
            self._forget()
            self._index.resume(self.path, window)
            end = _find_end(Scanner(window), window)
        if end.lost is not None:
            _check_cut(end.lost, repair, drop_corrupt)
            os.ftruncate(self._descriptor, end.offset)
            os.fsync(self._descriptor)
            self._forget()
            self.validate()  # so that what is returned says that the next append is not refused
            return size - end.offset
        self._end, self._record, self._last = end.offset, end.record, end.last
        if end.mark:
            self._mark = end.mark
        return 0

    def _note(self, extent: FrameExtent, window: FileWindow) -> None:
        """Add a good frame to the index, if an entry is due."""
        if self._index.is_due(extent.offset):
            self._index.write(self.path, entry_of(extent, window))

    def _write(self, body: EncodedFrame, options: PackOptions, records: int) -> None:
        """Write a frame at the end. If that fails, nothing of it stays. Only after `validate`."""
        if self._last is None or not self._last[0] or self._last[1] + 1 == _MOST_NUMBERS:
            stream_id, seq = int.from_bytes(os.urandom(8), "little") or 1, 0
        else:
            stream_id, seq = self._last[0], self._last[1] + 1
        parts = place_frame(body, options, stream_id, seq)
        end, before = self._end or 0, self.written
        try:
            os.lseek(self._descriptor, end, os.SEEK_SET)
            write_all(self._descriptor, parts)
            self.written = before + records  # from now on it is there, whatever interrupts this
            self._mark = mark = _mark_of(end, bytes(parts[0]))
            if self._index.is_due(end):
                self._index.write(self.path, Entry(end, self._record, int.from_bytes(mark[1], "little")))
            self._end = end + sum(map(len, parts))
            self._record += records
            self._last = stream_id, seq
        except BaseException:
            if self.written == before:
                with suppress(OSError):  # what stays then is a torn tail, which is found
                    os.ftruncate(self._descriptor, end)
            self._forget()
            raise


def _mark_of(offset: int, preamble: bytes) -> tuple[int, bytes]:
    """Return where the checksum of a preamble lies, and the checksum: another frame there has another one."""
    return offset + _MARK, preamble[_MARK:64]


class _End(NamedTuple):
    """The end of a stream: where the next frame goes, the number of its first record, and what the last frame is."""

    offset: int
    record: int
    last: tuple[int, int] | None  # stream_id and seq of the last frame
    mark: tuple[int, bytes] | None  # of the last frame; None if none was walked over
    lost: SkippedRange | None  # what lies behind, and prevents an append


_RECENT = 4096  # frames and lost parts at the end that are remembered: damage may go back over several frames


def _find_end(
    scanner: Scanner,
    window: FileWindow,
    note: Callable[[FrameExtent, FileWindow], None] = lambda *_: None,
    behind: SkippedRange | None = None,
) -> _End:
    """Walk to the end of a stream, and then back to the last frame that passes steps 1 to 13 and 16.

    Damage that such a frame follows does not stand in the way of an append.

    Args:
        note: called with each frame that is walked over.
        behind: what is already known to be damaged, up to the end of the file. The walk ends there.
    """
    start = _End(scanner.offset, scanner.record, scanner.last, None, None)
    recent: deque[FrameExtent | SkippedRange] = deque(maxlen=_RECENT)
    count = 0
    while behind is None or scanner.offset < behind.offset:
        try:
            extent = scanner.look()
            if extent is None:
                break
        except ReadError as exc:
            recent.append(scanner.skip(exc))
        else:
            scanner.enter(extent)
            recent.append(extent)
            note(extent, window)
        count += 1
    end, lost = (scanner.offset, None) if behind is None else (behind.end, behind)
    while recent:
        part = recent.pop()
        count -= 1
        error: ReadError | None = part.error if isinstance(part, SkippedRange) else None
        if isinstance(part, FrameExtent):
            error = _refusal_of_last(part, window)
            if error is None:
                preamble = part.preamble
                mark = _mark_of(part.offset, window.take(part.offset, PREAMBLE_SIZE))
                last = preamble.stream_id, preamble.seq
                return _End(part.end, part.record + part.records, last, mark, lost)
        if error is not None:
            lost = SkippedRange(part.offset, end, error, None, None)
    if count:  # so many frames are damaged that the last good one is forgotten
        return _find_end(Scanner(window), window, behind=lost)
    return start._replace(lost=lost)


def _refusal_of_last(extent: FrameExtent, window: FileWindow) -> ReadError | None:
    """Check the last frame, which somebody else wrote: steps 1 to 13 and 16. Return what is wrong with it."""
    try:
        _check_last_frame(extent, window)
    except ReadError as exc:
        return exc
    return None


def _check_last_frame(extent: FrameExtent, window: FileWindow) -> None:
    """Check the last frame, which somebody else wrote: steps 1 to 13 and 16."""
    source = window.source(extent.offset, extent.preamble.frame_len)
    try:
        header = read_header(source, _ANY_SIZE)
        for index, entry in enumerate(fields_of(header)["sections"]):
            source.section(index, entry, False)
    except ReadError as exc:
        exc.offset, exc.record = extent.offset, extent.record
        raise


def _check_cut(lost: SkippedRange, repair: bool, drop_corrupt: bool) -> None:
    """Check that a damaged end may be cut off. Raises its error if not, and always if the file is no stream."""
    is_torn = isinstance(lost.error, TornTailError)
    may_cut = repair if is_torn else drop_corrupt
    if not may_cut or (not lost.offset and isinstance(lost.error, NotAnArtifactError)):
        if lost.offset and not is_torn:
            lost.error.hint = Hint(
                "the end is corrupt, not torn; copy the file, then"
                " pickleseal.maintenance.repair(path, drop_corrupt=True) cuts the end off",
                "the end is corrupt, not torn; copy the file, then `pickleseal repair FILE --drop-corrupt` cuts the end"
                " off",
            )
        raise lost.error


def _check_regular(descriptor: int, path: str) -> os.stat_result:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file: a stream that is appended to must be one", path)
    return status


def bytes_to_cut(path: str, drop_corrupt: bool) -> int:
    """Return how many bytes `repair` would cut off. Takes no lock and writes nothing.

    Raises:
        ReadError: the last frame is corrupt, and `drop_corrupt` is false. Or the file is no stream.
        OSError: from the operating system.
    """
    with naming(path), io.FileIO(path, opener=open_at_once) as file:
        _check_regular(file.fileno(), path)
        window = FileWindow(file.fileno())
        end = _find_end(Scanner(window, is_shared=True), window)
        if end.lost is None:
            return 0
        _check_cut(end.lost, True, drop_corrupt)
        return window.size() - end.offset


class StreamWriter:
    """Append records to a stream: a file of frames to which several processes and threads may append at once.

    Each append takes the file's lock, checks what others appended since, writes one frame at the end, and syncs it.
    An acknowledged record survives if the process is killed, and also a power cut if the disk keeps what it has synced.
    With `fsync=1` and without `batch` and `linger`, a record is acknowledged when `append` returns. Otherwise it is
    acknowledged when `flush` or `close` returns.

    Close a writer, or use it in a `with` block. If closing fails, the error says which records were not written.
    Dropping a writer writes nothing. At the end of the program, writers that are still open are closed.

    Threads may share a writer. After a fork, the child has its own writer for the same file. The records that wait stay
    with the parent.

    Args:
        path: the stream's file. It is made if it is missing. A symbolic link is followed. If the path names another
            file later (because the old one was rotated or removed), records go to the new file.
        batch: how many records are written as one frame. Each then costs less than a tenth of the bytes and the time
            for a header. Records wait in memory until the batch is full, or until `flush`. A record is stored as it was
            when it was appended. Large records (16 KiB and more) do not wait; they are written at once, after those
            that wait. None: each record is a frame.
        linger: the longest time in seconds that a record waits. Then a thread writes it. Can be used without `batch`.
        fsync: sync after this number of written records; 0: only in `flush` and `close`.
        repair: cut off a torn tail, instead of refusing to append. A torn tail is an append that did not finish; it was
            never acknowledged.
        extend: also append to a file of one artifact, as `dump` writes it. That makes it a stream, and `load` refuses
            it then.
        type, meta, context, options: as for `pack`, for every frame. With keys, each frame is signed with its place in
            the stream. One context is that of the whole stream: its readers give the same one.

    Raises:
        TypeError, ValueError: the arguments are not what they should be.

    `append` runs the pickling methods of the object. Spec section 9.3.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "events.pseal")
    >>> with StreamWriter(path, batch=100) as stream:
    ...     for n in range(250):
    ...         stream.append({"n": n})
    >>> sum(event["n"] for event in iter_load(path))
    31125
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        batch: int | None = None,
        linger: float | None = None,
        fsync: int = 1,
        repair: bool = False,
        extend: bool = False,
        type: str | None = None,
        meta: Mapping[str, str] | None = None,
        context: str | None = None,
        options: PackOptions | None = None,
    ) -> None:
        self._closed = True  # until all is there
        self._can_retry = False  # whether closing failed, so that `close` tries again
        self._fork_count = -1
        self._is_untouched = True
        refuse_url(path, "path")
        self._batch = _checked_int("batch", batch, 1)
        self._most = self._batch or _MOST_WAITING
        self._fsync = _checked_int("fsync", fsync, 0) or 0
        if linger is not None and not (isinstance(linger, int | float) and 0 < linger <= threading.TIMEOUT_MAX):
            most = int(threading.TIMEOUT_MAX)
            raise ValueError(f"linger: expected a positive number of seconds, at most {most}, found {linger!r}")
        self._linger = linger
        self._repair = repair
        self._extend = extend
        self._type = type
        self._members = check_members(type, meta)
        self._options = options_with(options, None, None, context)
        self._tail = Tail(os.fsdecode(path))
        waits = (batch is not None or linger is not None) and makes_batches(self._options)
        self._pending = Pending(type, self._members, self._options) if waits else None
        self._start()
        processes.call_after_fork(self)
        self._closed = False
        open_writers.add(self)

    def _start(self) -> None:
        self._fork_count = processes.fork_count
        self._mutex = threading.Lock()
        self._timer: threading.Timer | None = None
        self._tail.sync_error = None
        self._delayed: Exception | None = None  # of the timer's thread; the next call raises it
        self._synced = self._tail.written
        self._is_ready = self._linger is None  # short way allowed: open, no fork, no pending error, no linger
        self._can_retry = False
        if self._pending is not None:
            self._pending.items = []

    def after_fork(self) -> None:
        """Note that this process is now the child of a fork. Called by the package alone."""
        self._is_ready = False

    @property
    def path(self) -> str:
        """Path of the file, symbolic links resolved."""
        return self._tail.path

    def append(self, obj: Any) -> None:
        """Append one record.

        Raises:
            PackError: the object can't be packed, and was not appended. Or a record that waited can't be packed any
                more, as the message says.
            TornTailError: the file's tail is torn, and `repair` is false.
            ReadError: the last frame of the file is corrupt, or the file is no stream.
            OSError: from the operating system. The record was not appended. Or a sync failed: then the record may be
                lost, and the writer accepts no further records.
            ValueError: the writer is closed. Or the file is an artifact that `dump` wrote, and `extend` is false.
        """
        pending = self._pending
        if pending is None:
            self._append_alone(obj)
            return
        item = None
        if type(obj) is dict:  # the commonest record takes the shortest way
            atoms, longest = pending.atoms, LONGEST
            try:
                for key, value in obj.items():
                    if type(key) is not str:
                        break
                    kind = type(value)
                    if kind is str:
                        if len(value) > longest:
                            break
                    elif kind not in atoms:
                        break
                else:
                    item = obj.copy()
            except RuntimeError:  # another thread is changing it
                pass
        if item is None:
            item = pending.take(obj)
            if type(item) is EncodedFrame:
                self._append_large(pending, item)
                return
        items = pending.items
        items.append(item)  # no lock is needed: this is atomic, and only written records are taken out
        if len(items) >= self._most or not self._is_ready:
            self._write_if_full(pending, item)

    def _append_alone(self, obj: Any) -> None:
        body = encode_object(obj, self._type, self._members, self._options)
        self._restart_after_fork()
        with self._mutex:
            self._check()
            self._put(body, 1)
            self._sync_if_due()

    def _append_large(self, pending: Pending, body: EncodedFrame) -> None:
        self._restart_after_fork()
        with self._mutex:
            self._check()
            refused = self._write_pending(pending)
            self._put(body, 1)
            self._sync_if_due()
            _raise(refused)

    def _write_if_full(self, pending: Pending, item: Any) -> None:
        """After a record was added, write a full batch, or start the timer. If that fails, take the record back."""
        if self._restart_after_fork():
            pending.items[:] = [item]
        with self._mutex:
            try:
                self._check()
                if len(pending.items) >= self._most:
                    _raise(self._write_pending(pending))
                elif self._linger is not None and self._timer is None and pending.items:
                    self._start_timer(self._linger)
            except BaseException:
                # The caller gets an error, so this record must not be written later. Those before it stay.
                for index in reversed(range(len(pending.items))):  # the last one: the record may be there twice
                    if pending.items[index] is item:
                        del pending.items[index]
                        raise
                if not self._closed or self._tail.sync_error is not None:  # else another thread wrote it in close
                    raise

    def flush(self) -> None:
        """Write what waits, as one frame, and sync everything that this writer wrote.

        Raises:
            As `append`. Records that were not written still wait, so `flush` may be called again. After `PackError`
                all records were written except the one that it names, which is dropped.
        """
        self._restart_after_fork()
        with self._mutex:
            self._check()
            _raise(self._flush())

    def close(self) -> None:
        """Call `flush`, and close the file. A second call does nothing.

        If this fails, the writer accepts no more records, and nothing is written any more, unless this is called again:
        then it tries again. `error.unwritten` is a sequence of the records that were not written, each as it was when
        it was appended. So either call `close` again, or give these records to another writer.

        Raises:
            As `flush`; every error has `unwritten`, except `PackError`. If a sync failed, now or before, what was
            written may be lost, and a second call does nothing.
        """
        if self._closed and not self._can_retry:
            return
        self._restart_after_fork()
        with self._mutex:
            if self._closed and not self._can_retry:  # by another thread, meanwhile
                return
            self._is_ready = False  # first: whoever appends from now on takes the lock and sees that this is closed
            delayed, self._delayed = self._delayed, None  # if it was not PackError, its records still wait
            try:
                if self._tail.sync_error is not None:
                    raise self._failed()
                refused = self._flush()
                if self._is_untouched:  # a stream without records is an empty file
                    with naming(self.path), self._tail.locked():
                        pass
                with naming(self.path):
                    self._tail.close()
            except BaseException as exc:
                exc.unwritten = self._unwritten()  # type: ignore[attr-defined]
                self._can_retry = self._tail.sync_error is None
                if not self._can_retry:
                    self._release()
                raise
            else:
                self._can_retry = False
            finally:
                self._closed = True
                if self._timer is not None:
                    self._timer.cancel()
            _raise(refused or (delayed if isinstance(delayed, PackError) else None))

    def _unwritten(self) -> Sequence[Any]:
        return Unwritten([] if self._pending is None else self._pending.items)

    def _release(self) -> None:
        """Let go of the file and of the records that wait."""
        if self._pending is not None:
            self._pending.items = []
        with suppress(OSError):
            self._tail.close()

    def __enter__(self) -> "StreamWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OSError as exc:
            if error is None or error is not self._tail.sync_error:  # else the caller gets it already
                raise
            error.unwritten = exc.unwritten  # type: ignore[attr-defined, union-attr]

    def __del__(self) -> None:
        """Close the file, and write nothing: whoever dropped this may have written the records in another way."""
        if getattr(self, "_fork_count", -1) != processes.fork_count:  # of the parent, or wrong arguments
            return
        if not self._closed:
            waiting = 0 if self._pending is None else len(self._pending.items)
            text = f"unclosed {self!r}, {waiting} records that waited are not written"
            with suppress(Exception):  # the interpreter may be exiting
                warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
            if self._timer is not None:
                self._timer.cancel()
        with suppress(Exception):
            self._tail.close()

    def is_open_here(self) -> bool:
        """Return whether it is open, and not a copy that a fork made of the parent's writer."""
        return not self._closed and self._fork_count == processes.fork_count

    def __repr__(self) -> str:
        return f"<StreamWriter {self.path!r}>"

    # --- used by the public methods -----------------------------------------------------------------------------------

    def _restart_after_fork(self) -> bool:
        """Begin anew in the child of a fork: locks, threads, descriptors and waiting records are the parent's."""
        if self._fork_count == processes.fork_count:
            return False
        self._tail.close()  # forget what it knew; the file is closed since the fork
        self._start()
        return True

    def _check(self) -> None:
        if self._closed:
            again = "; closing it failed, and close() tries again" if self._can_retry else ""
            raise ValueError(f"the stream writer is closed{again}")
        if self._tail.sync_error is not None:
            raise self._failed()
        self._is_ready = self._linger is None
        if self._delayed is not None:
            delayed, self._delayed = self._delayed, None
            raise delayed

    def _failed(self) -> OSError:
        error = self._tail.sync_error
        text = f"a sync failed before ({error}): verify the stream, and append with a new writer"
        return OSError((error and error.errno) or errno.EIO, text, self.path)

    def _flush(self) -> PackError | None:
        refused = None if self._pending is None else self._write_pending(self._pending)
        if self._tail.written > self._synced:
            self._sync()
        return refused

    def _write_pending(self, pending: Pending) -> PackError | None:
        """Write the records that wait: as one frame, or as several if one would be very large.

        A record that can't be packed any more is dropped, so that it does not block the others. Return its error.
        """
        refused = None
        count = self._most
        while pending.items:
            count, body = pending.encode_some(min(count, len(pending.items)))  # others may be added meanwhile
            before = self._tail.written
            try:
                if isinstance(body, PackError):
                    refused = body
                else:
                    self._put(body, count)
            finally:
                if isinstance(body, PackError) or self._tail.written != before:  # also if it was interrupted then
                    del pending.items[:count]
            count *= 2
        self._sync_if_due()
        return refused

    def _put(self, body: EncodedFrame, records: int) -> None:
        """Write one frame under the file's lock."""
        self._is_untouched = False
        try:
            self._tail.append(body, self._options, records, self._repair, self._extend)
        except OSError:  # perhaps of a sync
            self._is_ready = False
            raise

    def _sync_if_due(self) -> None:
        if self._fsync and self._tail.written - self._synced >= self._fsync:
            self._sync()

    def _sync(self) -> None:
        """Sync outside of the file's lock, so that others can append meanwhile."""
        written = self._tail.written
        try:
            with naming(self.path):
                self._tail.sync()
        except OSError:
            self._is_ready = False
            raise
        self._synced = written

    def _start_timer(self, seconds: float) -> None:
        """Start a thread that writes the waiting records after so many seconds."""
        timer = threading.Timer(seconds, _write_late, [weakref.ref(self)])  # weak: a dropped writer is closed at once
        timer.name, timer.daemon = "pickleseal-linger", True
        timer.start()
        self._timer = timer


# State of the process: the writers that are open, as weak references.
open_writers: "weakref.WeakSet[StreamWriter]" = weakref.WeakSet()


def _close_at_exit() -> None:
    """Write what still waits when the program ends, as nobody else can any more.

    A writer whose `close` failed writes nothing.
    """
    failure: BaseException | None = None
    for stream in list(open_writers):
        if stream.is_open_here():
            with suppress(Exception):
                text = f"unclosed {stream!r} when the program ended"
                warnings.warn(text, ResourceWarning, stacklevel=2, source=stream)
            try:
                stream.close()
            except Exception as exc:
                failure = exc
    if failure is not None:
        raise failure


atexit.register(_close_at_exit)


def _write_late(this: weakref.ref[StreamWriter]) -> None:
    stream = this()
    if stream is not None:
        with stream._mutex:
            stream._timer = None
            if stream._pending is not None and not stream._closed and stream._tail.sync_error is None:
                try:
                    stream._delayed = stream._write_pending(stream._pending)
                except Exception as exc:  # raised by the next call
                    stream._delayed = exc


def _raise(failure: Exception | None) -> None:
    if failure is not None:
        raise failure


def _checked_int(name: str, value: object, least: int) -> int | None:
    if value is None and name == "batch":
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: expected an int, found {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, found {value}")
    return value


def append(
    path: str | os.PathLike[str],
    obj: Any,
    *,
    extend: bool = False,
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    context: str | None = None,
    options: PackOptions | None = None,
) -> None:
    """Append one record to a stream and sync it. For many records, one `StreamWriter` is faster.

    Runs the pickling methods of the object, as `pack` does.

    Args:
        path: the stream's file, which is made if it is missing.
        extend: also append to a file of one artifact, as `dump` writes it. That makes it a stream, and `load` refuses
            it then.
        obj, type, meta, context, options: as for `pack`. A stream has one context.

    Raises:
        PackError, ReadError, OSError: as `StreamWriter.append`. A torn tail is a `TornTailError`, and is not cut off:
            `maintenance.repair` does that.
        ValueError: the file is an artifact that `dump` wrote, and `extend` is false.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "events.pseal")
    >>> append(path, "first")
    >>> append(path, "second")
    >>> list(iter_load(path))
    ['first', 'second']
    """
    refuse_url(path, "path")
    members, options = check_members(type, meta), options_with(options, None, None, context)
    body = encode_object(obj, type, members, options)
    tail = Tail(os.fsdecode(path))
    try:
        try:
            tail.append(body, options, 1, extend=extend)
            tail.sync()
        finally:
            tail.close()
    except OSError as exc:
        name_file(exc, tail.path)
        raise
