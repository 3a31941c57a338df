"""`StreamWriter` and `append`: records at the end of a file to which others append as well (spec section 9.3)."""

import errno
import os
import threading
import warnings
import weakref
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

from .._format.frame import EncodedFrame
from .._io import processes
from .._io.atomic import name_file, naming
from .._io.url import refuse_url
from .._packing import (
    Writer,
    check_globals,
    check_members,
    check_writer,
    describe_root,
    encode_object,
    encode_pickled,
    pickle_or_explain,
    place_frame,
)
from .._payload.pickler import Pickled, pickle_one
from .._schema.header_entries import ClassInHeader
from ..errors import PackError, ReadError
from .batches import LARGEST, LONGEST, Taker, merge
from .tail import Tail

__all__ = ["Pending", "StreamWriter", "append"]

# The records of a batch that is not written yet (spec section 9.2).


_LARGEST_BATCH = 1 << 22  # bytes of a batch: a reader loads it as a whole
_ANY = ClassInHeader("builtins:object", 0, None, {})


class _TooLargeError(Exception):
    """A record that was copied can't be merged with others: its pickle is in several frames."""


class _Pickle(NamedTuple):
    """A record that was pickled when it was taken."""

    cls: type
    pickled: Pickled
    memo: int


class Pending:
    """Records that wait to be written as one frame. Each counts as it was when it was added.

    `take` is called without a lock, and runs the object's own pickling methods where it is not plain; what it returns
    is put into `items`. A dict of strings to `atoms` may be put there as a shallow copy, without `take`.
    """

    def __init__(self, name: str | None, members: dict[str, Any], writer: Writer) -> None:
        self._name = name
        self._members = members
        self._writer = writer
        self.items: list[Any] = []
        taker = Taker(self._check_class)
        self.atoms = taker.atoms
        self._copy = taker.take

    def take(self, obj: Any) -> Any:
        """Return what stands for a record: itself or a copy; or its pickle; or the frame that it needs for itself,
        because it is large.

        Raises:
            PackError: the object can't be packed.
        """
        item = self._copy(obj)
        return self._pickle(obj) if item is NotImplemented else item

    def _pickle(self, obj: Any) -> "_Pickle | EncodedFrame":
        registry = self._writer.registry
        root = describe_root(type(obj), self._name, registry)
        pickled, memo = _pickle_one(obj)
        check_globals(pickled, registry)
        if len(pickled.parts) > 1 or len(pickled.parts[0]) > LARGEST or pickled.buffers:
            return encode_pickled(pickled, root, self._name, self._members, self._writer)
        return _Pickle(type(obj), pickled, memo)

    def _check_class(self, cls: type) -> None:
        """See, before a record is taken, that its class can be found, and warn where it will not be found elsewhere."""
        check_globals(_pickle_one(cls)[0], self._writer.registry)

    def _encode(self, items: list[Any]) -> EncodedFrame:
        """Lay out records as one frame: a batch, or for a single record one like any other."""
        types = set(map(type, items))
        is_mixed = _Pickle in types
        if is_mixed:
            types = {item.cls if type(item) is _Pickle else type(item) for item in items}
        root = describe_root(types.pop(), self._name, self._writer.registry) if len(types) == 1 else _ANY
        members = self._members if len(items) == 1 else {**self._members, "records": len(items)}
        plain = items[0] if len(items) == 1 else items
        pickled = self._merged(items) if is_mixed else pickle_or_explain(plain)
        return encode_pickled(pickled, root, self._name, members, self._writer)

    def encode_some(self, count: int) -> tuple[int, EncodedFrame | PackError]:
        """Lay out the first records as one frame: so many, or as many as are not too much for one. A record that can't
        be packed comes alone, as the reason."""
        while True:
            body: EncodedFrame | PackError | None = None
            try:
                body = self._encode(self.items[:count])
            except _TooLargeError:
                pass  # it goes with others that were copied, or alone
            except PackError as exc:
                text = f"a record that waited was dropped, others were written: {exc.reason}"
                body = PackError(text, exc.expected, exc.found, exc.hint, exc.where)
                body.__cause__ = exc
            if body is not None and (count == 1 or (isinstance(body, EncodedFrame) and body.length <= _LARGEST_BATCH)):
                return count, body
            count = (count + 1) // 2

    @staticmethod
    def _merged(items: list[Any]) -> Pickled:
        """Join what was pickled one by one; what was only copied is pickled now."""
        names: set[str] = set()
        classes: dict[type, None] = {}
        pickles = []
        for item in items:
            pickled, memo = item[1:] if type(item) is _Pickle else _pickle_one(item)
            if len(pickled.parts) > 1 and len(items) > 1:
                raise _TooLargeError
            names.update(pickled.globals)
            classes.update(dict.fromkeys(pickled.classes))
            pickles.append((bytes(pickled.parts[0]), memo))
        data = pickles[0][0] if len(pickles) == 1 else merge(pickles)
        return Pickled([data], sorted(names), [*classes], [])


def _pickle_one(obj: Any) -> tuple[Pickled, int]:
    try:
        return pickle_one(obj, wants_memo=True)
    except (MemoryError, PackError):
        raise
    except Exception as exc:
        from .._payload.explain import explain

        raise explain(obj, exc) from exc


_MOST = 10_000  # records that wait where only `linger` is given


class StreamWriter:
    """Append records to a stream: a file of frames to which several processes and threads may append at once.

    Each append takes the file's lock, looks at what others appended since, writes one frame at the end, and syncs it.
    What was acknowledged survives a killed process, and a power cut as far as the disk keeps its word. Acknowledged is:
    without `batch` and `linger` what `append` returned for, with `fsync=1`; else all that was appended before `flush`
    or `close` returned.

    Threads may share a writer. After a fork the child has a writer of its own for the same file, without the records
    that wait: those are the parent's.

    Args:
        path: of the stream; it is made if it is missing. A symbolic link is followed. If the path names another file
            later (it was rotated, or removed), records go to that one.
        batch: write so many records as one frame: less than a tenth of the header's bytes and time for each. They wait
            in memory until then, or until `flush`. A record counts as it was when it was appended. Large ones (16 KiB
            and more) do not wait, and make those before them be written. None: each record is a frame.
        linger: seconds that a record waits at most; a thread writes it then. With `batch` or without.
        fsync: sync after so many records that were written; 0: only in `flush` and `close`.
        repair: cut off a torn tail (an append that did not finish, and was never acknowledged) instead of refusing.
        type, meta, writer: as for `pack`, for every frame. With keys every frame is signed, its place in the stream
            too.

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
        type: str | None = None,
        meta: Mapping[str, str] | None = None,
        writer: Writer | None = None,
    ) -> None:
        self._closed = True  # until all is there
        self._is_untouched = True
        refuse_url(path, "path")
        self._batch = _whole("batch", batch, 1)
        self._most = self._batch or _MOST
        self._fsync = _whole("fsync", fsync, 0) or 0
        if linger is not None and not (isinstance(linger, int | float) and 0 < linger <= threading.TIMEOUT_MAX):
            most = int(threading.TIMEOUT_MAX)
            raise ValueError(f"linger: expected a positive number of seconds, at most {most}, found {linger!r}")
        self._linger = linger
        self._repair = repair
        self._type = type
        self._members = check_members(type, meta)
        self._writer = check_writer(writer)
        self._tail = Tail(os.fsdecode(path))
        waits = batch is not None or linger is not None
        self._pending = Pending(type, self._members, self._writer) if waits else None
        self._start()
        processes.call_after_fork(self)
        self._closed = False

    def _start(self) -> None:
        self._born = processes.fork_count
        self._mutex = threading.Lock()
        self._wakes: threading.Timer | None = None
        self._tail.trouble = None
        self._delayed: Exception | None = None  # of the thread that writes what waited long enough
        self._synced = self._tail.written
        self._is_ready = self._linger is None  # nothing of the above is in the way, it is open, nothing lingers
        if self._pending is not None:
            self._pending.items = []

    def after_fork(self) -> None:
        """Note that this is now the copy in the child of a fork. For the package."""
        self._is_ready = False

    @property
    def path(self) -> str:
        """Path of the file, symbolic links resolved."""
        return self._tail.path

    def append(self, obj: Any) -> None:
        """Append one record.

        Raises:
            PackError: the object can't be packed, and nothing was appended; or one that waited, as the message says.
            TornTailError: the file's tail is torn, and the writer was not told to repair.
            ReadError: the last frame of the file is corrupt, or the file is no stream.
            OSError: from the operating system. This record was not appended, or (a sync that failed) may not last; in
                the latter case the writer takes no more.
            ValueError: the writer is closed.
        """
        pending = self._pending
        if pending is None:
            self._append_alone(obj)
            return
        item = None
        if type(obj) is dict:  # the commonest record, taken in the shortest way
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
            except RuntimeError:  # another thread changes it now
                pass
        if item is None:
            item = pending.take(obj)
            if type(item) is EncodedFrame:
                self._append_large(pending, item)
                return
        items = pending.items
        items.append(item)  # without a lock: it is atomic, and only what was written is taken out
        if len(items) >= self._most or not self._is_ready:
            self._attend(pending, item)

    def _append_alone(self, obj: Any) -> None:
        body = encode_object(obj, self._type, self._members, self._writer)
        self._begin_anew_after_fork()
        with self._mutex:
            self._check()
            self._put(body, 1)
            self._sync_if_due()

    def _append_large(self, pending: Pending, body: EncodedFrame) -> None:
        self._begin_anew_after_fork()
        with self._mutex:
            self._check()
            refused = self._write_pending(pending)
            self._put(body, 1)
            self._sync_if_due()
            _raise(refused)

    def _attend(self, pending: Pending, item: Any) -> None:
        """Do what is due after a record was added: write a full batch, or take the record back and say why."""
        if self._begin_anew_after_fork():
            pending.items[:] = [item]
        with self._mutex:
            try:
                self._check()
                if len(pending.items) >= self._most:
                    _raise(self._write_pending(pending))
                elif self._linger is not None and self._wakes is None and pending.items:
                    self._wake_after(self._linger)
            except BaseException:
                # The caller is told that it failed, so it must not be written later. Those before it stay.
                for place in reversed(range(len(pending.items))):  # the last: it may be there more than once
                    if pending.items[place] is item:
                        del pending.items[place]
                        raise
                if not self._closed or self._tail.trouble is not None:  # else another thread wrote it while it closed
                    raise

    def flush(self) -> None:
        """Write what waits, as one frame, and sync everything that this writer wrote.

        Raises:
            As `append`. What was not written waits on: `flush` may be called again. After `PackError` all was written
                but for the record that it names, which is dropped.
        """
        self._begin_anew_after_fork()
        with self._mutex:
            self._check()
            _raise(self._flush())

    def close(self) -> None:
        """`flush`, and close the file. A second call does nothing.

        Raises:
            As `flush`. Where records could not be written, the writer stays open, and they wait on. Where a sync
            failed, now or before, it is closed.
        """
        if self._closed:
            return
        self._begin_anew_after_fork()
        with self._mutex:
            failure: Exception | None = self._tail.trouble and self._failed()
            if failure is None:
                self._check()
                self._is_ready = False  # first: who appends from now on looks whether it was written
                try:
                    failure = self._flush()
                except OSError as exc:
                    if self._tail.trouble is None:
                        raise
                    failure = exc
            if self._is_untouched:  # a stream of no records is a stream
                with naming(self.path), self._tail.locked():
                    pass
            self._closed = True
            if self._wakes is not None:
                self._wakes.cancel()
            with naming(self.path):
                self._tail.close()
            _raise(failure)

    def __enter__(self) -> "StreamWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OSError:
            if error is None or error is not self._tail.trouble:  # else it is on its way already
                raise

    def __del__(self) -> None:
        if getattr(self, "_closed", True) or self._born != processes.fork_count:
            return
        waiting = 0 if self._pending is None else len(self._pending.items)
        with suppress(Exception):  # the interpreter may be on its way out
            warnings.warn(f"unclosed {self!r}, {waiting} records waiting", ResourceWarning, stacklevel=2, source=self)
        with suppress(Exception):
            self.close()

    def __repr__(self) -> str:
        return f"<StreamWriter {self.path!r}>"

    # --- behind the public names --------------------------------------------------------------------------------------

    def _begin_anew_after_fork(self) -> bool:
        """In the child of a fork, where locks, threads, descriptors and what waits are the parent's, begin anew."""
        if self._born == processes.fork_count:
            return False
        self._tail.close()  # which leaves the parent's lock alone
        self._start()
        return True

    def _check(self) -> None:
        if self._closed:
            raise ValueError("the stream writer is closed")
        if self._tail.trouble is not None:
            raise self._failed()
        self._is_ready = self._linger is None
        if self._delayed is not None:
            delayed, self._delayed = self._delayed, None
            raise delayed

    def _failed(self) -> OSError:
        trouble = self._tail.trouble
        text = f"a sync failed before ({trouble}): verify the stream, and append with a new writer"
        return OSError((trouble and trouble.errno) or errno.EIO, text, self.path)

    def _flush(self) -> PackError | None:
        refused = None if self._pending is None else self._write_pending(self._pending)
        if self._tail.written > self._synced:
            self._sync()
        return refused

    def _write_pending(self, pending: Pending) -> PackError | None:
        """Write what waits: one frame, or several where one would be very large. A record that can't be packed any
        more is dropped, and the reason returned: it must not stand in the way of the others."""
        refused = None
        count = self._most
        while pending.items:
            count, body = pending.encode_some(min(count, len(pending.items)))  # more may be added meanwhile
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
        tail, self._is_untouched = self._tail, False
        try:
            with tail.locked():
                tail.validate(self._repair)
                stream_id, seq = tail.next_place()
                tail.write(place_frame(body, self._writer, stream_id, seq), stream_id, seq, records)
        except ReadError as exc:
            exc.path = tail.path
            raise
        except OSError as exc:  # perhaps of a sync
            self._is_ready = False
            name_file(exc, tail.path, over=True)
            raise

    def _sync_if_due(self) -> None:
        if self._fsync and self._tail.written - self._synced >= self._fsync:
            self._sync()

    def _sync(self) -> None:
        """Sync outside of the file's lock: others append meanwhile."""
        written = self._tail.written
        try:
            with naming(self.path):
                self._tail.sync()
        except OSError:
            self._is_ready = False
            raise
        self._synced = written

    def _wake_after(self, seconds: float) -> None:
        """Have what waits written after so many seconds, by a thread of its own."""
        timer = threading.Timer(seconds, _write_late, [weakref.ref(self)])  # it keeps nobody from noticing the end
        timer.name, timer.daemon = "pickleseal-linger", True
        timer.start()
        self._wakes = timer


def _write_late(this: weakref.ref[StreamWriter]) -> None:
    stream = this()
    if stream is not None:
        with stream._mutex:
            stream._wakes = None
            if stream._pending is not None and not stream._closed and stream._tail.trouble is None:
                try:
                    stream._delayed = stream._write_pending(stream._pending)
                except Exception as exc:  # told to whoever calls next
                    stream._delayed = exc


def _raise(failure: Exception | None) -> None:
    if failure is not None:
        raise failure


def _whole(name: str, value: object, least: int) -> int | None:
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
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    writer: Writer | None = None,
) -> None:
    """Append one record to a stream and sync it: `StreamWriter` for a single record. Many go faster through one writer.

    Raises:
        As `StreamWriter.append`. A torn tail is not repaired: `repair` does that.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "events.pseal")
    >>> append(path, "first")
    >>> append(path, "second")
    >>> list(iter_load(path))
    ['first', 'second']
    """
    with StreamWriter(path, type=type, meta=meta, writer=writer) as stream:
        stream.append(obj)
