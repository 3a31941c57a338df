"""`StreamReader` and `iter_load`: the records of a stream, one by one, each checked as an artifact is (spec section 9).

`Scanner` decides what comes next after damage. `StreamFile` is the open file: it waits for more, notices when the path
names another file, and goes to a record by its number. `StreamReader` reads records, and reports what is skipped.
"""

import errno
import io
import math
import operator
import os
import stat
import time
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Literal, NamedTuple, TypeAlias, overload

from .._format.header import Header
from .._format.index import EVERY_FRAMES, Entry
from .._format.limits import Limits
from .._format.seal import Verify
from .._io.atomic import name_file, naming
from .._io.remote import RangeFile
from .._io.source import Source, open_at_once
from .._io.url import check_options, is_url, local_path, refuse_url
from .._io.window import FileWindow, MissingFileWindow, PipeWindow
from .._policy import Policy, Request, Trust, request_of
from .._reading import accept, check_body, check_codecs, load_accepted, read_header
from .._typing import File, T
from ..errors import MOST_WARNINGS, ReadError, StreamWarning, TornTailError, TruncatedError, frames_up
from .index import entry_of, is_true, read_index
from .rotation import FirstFrame, Found, Siblings, first_frame, mark_of
from .scanner import Frame, FrameExtent, Read, Scanner, SkippedRange

if TYPE_CHECKING:
    from .._typing import A, B, C, D, E, TypeForm, Untyped

OnError: TypeAlias = Literal["raise", "skip"] | Callable[[SkippedRange], object]

_POLL = 0.05  # seconds


class _Place(NamedTuple):
    """A place in a file, as `Scanner.move` takes it."""

    offset: int
    record: int
    last: tuple[int, int] | None


class EmptiedError(Exception):
    """A followed file was emptied. It is read from its beginning, and `lost` is what may be missing."""

    def __init__(self, lost: SkippedRange) -> None:
        super().__init__(lost)
        self.lost = lost


class StreamFile:
    """The open file of a stream, and a scanner in it.

    Args:
        path: of the file, looked up from the folder that is the current one now.
        limits: what is refused as too large.
        skips: whether damage on the way to a record is skipped.
        follow: whether to wait at the end for more.
        timeout: for so many seconds; None: for ever.
        verify: what verifies the signature of a header, before its number of records is used. The index beside the
            stream is then not used, because nobody signs it.
    """

    def __init__(
        self,
        path: str,
        limits: Limits,
        skips: bool,
        follow: bool,
        timeout: float | None,
        verify: Verify | None = None,
    ) -> None:
        self.path = path
        self._limits = limits
        self._skips = skips
        self._follow = follow
        self._timeout = timeout
        self._verify = verify
        self._where = os.path.join(os.getcwd(), path)
        self._file: io.FileIO | None = None
        self.is_closed = False
        self._siblings = Siblings(self._where) if follow else None
        with naming(path):
            try:
                file = self._open()
            except FileNotFoundError:
                if not follow:
                    raise
                self._begin(None)  # it is waited for
            else:
                self._begin(file, first_frame(file) if follow else None)

    def _open(self) -> io.FileIO:
        file = io.FileIO(self._where, opener=open_at_once)
        try:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file
            raise OSError(errno.EINVAL, "not a regular file: iter_load() reads pipes, opened as files", self.path)
        except OSError:
            file.close()
            raise

    def _begin(self, file: io.FileIO | None, first: FirstFrame | None = None, place: "_Place | None" = None) -> None:
        """Read a file from now on.

        Args:
            first: its first frame, if it has one.
            place: where to begin. None: at its beginning.
        """
        before, self._file = self._file, file
        if before is not None and before is not file:
            before.close()
        self.window = MissingFileWindow() if file is None else FileWindow(file.fileno(), file)
        self.scanner = Scanner(self.window, self._limits, is_shared=True, verify=self._verify)
        self._entries: list[Entry] | None = None  # of the index
        self._reads = self.window.reads  # when the mark was last compared
        self._known_end = 0  # of the file, before it was emptied
        self._first = first
        self._mark = None if first is None else first.mark  # in the frame that was read last, or in the first one
        self._stamp = (-1, -1)  # size and time of the file, as long as there is no first frame
        if place is not None:
            self.scanner.move(*place)
        if file is not None and self._siblings is not None:
            self._siblings.note_owner(file)

    def close(self) -> None:
        """Close the file."""
        self.is_closed = True
        with naming(self.path):
            if self._file is not None:
                self._file.close()

    def read_next(self, read: Read) -> tuple[Frame, Any] | None:
        """Read the next frame. At the end, wait for it if that is wanted. Raises as `Scanner.read_next`.

        Raises:
            EmptiedError: the file was emptied, and what was lost is reported. The next call goes on.
        """
        if not self._follow:
            return self.scanner.read_next(read)
        deadline = math.inf if self._timeout is None else time.monotonic() + self._timeout
        is_last_look = False
        while True:
            self.scanner.deadline = deadline
            place = _Place(self.scanner.offset, self.scanner.record, self.scanner.last)
            refusal: ReadError | None = None
            found = None
            try:
                found = self.scanner.read_next(read)
            except ReadError as exc:
                refusal = exc
            if self._first is None and self._file is not None and self._has_begun(self._file, found is not None):
                continue
            if self._is_emptied():
                self._go_on_after_emptying(place)
                continue
            if found is not None:
                self._set_mark(found[0])
                return found
            is_torn = refusal is not None and self.scanner.is_unfinished(refusal)
            if refusal is not None and (is_last_look or not is_torn):
                raise refusal
            if is_last_look:
                return None
            if self._is_replaced():
                is_free = self.scanner.wait_for_appends()  # after these, nobody writes to this file any more
                if is_free and self.scanner.offset >= self.window.size() and self._go_on(place):
                    continue
                is_last_look = is_torn
            wait = min(_POLL, deadline - time.monotonic())
            if wait > 0:
                time.sleep(wait)
            else:
                is_last_look = True
            self.window.forget()

    def _is_replaced(self) -> bool:
        """Return whether the path does not name the file any more that is read."""
        try:
            there = os.stat(self._where)
        except FileNotFoundError:
            return self._file is not None
        except OSError:
            return False
        return self._file is None or not os.path.samestat(there, os.fstat(self._file.fileno()))

    def leave_torn(self) -> bool:
        """Go on with the next file, if the one that is read was replaced and that is wanted. Return whether it is."""
        if not self._follow or not self._is_replaced():
            return False
        return self._go_on(_Place(self.scanner.offset, self.scanner.record, self.scanner.last))

    # --- following ----------------------------------------------------------------------------------------------------

    def _has_begun(self, file: io.FileIO, is_found: bool) -> bool:
        """Look where to begin, when a file that had no frame yet has changed. Return whether something was found.

        The file may have been filled, copied and emptied again since it was looked at last.
        """
        status = os.fstat(file.fileno())
        stamp = status.st_size, status.st_mtime_ns
        if self._siblings is None or (stamp == self._stamp and not is_found):
            return False
        self._stamp = stamp
        return self._go_on_with_unread()

    def _set_mark(self, frame: Frame) -> None:
        """Remember a frame that was read: another one is there if the file was emptied and has grown since."""
        self._mark = mark_of(frame.offset, frame.header.preamble)
        self._known_end = max(self._known_end, self.window.known_end)

    def _is_emptied(self) -> bool:
        """Return whether the file lacks what was read of it. Compared whenever something new was read."""
        if self._file is None or self.window.reads == self._reads:
            return False
        self._reads = self.window.reads
        if self._mark is None:
            return self.scanner.has_shrunk()
        if self._mark.is_in(self._file.fileno()):
            self._known_end = max(self._known_end, self.window.known_end)
            return False
        return True

    def _go_on_after_emptying(self, place: _Place) -> None:
        """Read the rest of what was there from a copy, if there is one, and then what was written since.

        Raises:
            EmptiedError: there is no copy.
        """
        if self._go_on_in_copy(place, place.offset):
            return
        end = max(self._known_end, place.offset)
        if self._first is not None and self._siblings is not None:
            self._siblings.note_read(self._first)  # as far as it could be read
        if not self._go_on_with_unread():
            self._begin(self._file)
        error = TruncatedError("the file was emptied before this was read").at(1)
        error.offset, error.record, error.end, error.path = place.offset, place.record, end, self.path
        error.hint = "a copy of the file beside it, as NAME.1, would have been read; or rotate by renaming"
        raise EmptiedError(SkippedRange(place.offset, end, error, None, None))

    def _go_on(self, place: _Place) -> bool:
        """Leave a file that was read to its end, and go on with what was written after it. Return whether there is any.

        A file with the same stream is another version of this one: a longer copy, or one that was signed since.
        """
        if self._go_on_in_copy(place, self.window.size() + 1):
            return True
        first, record = self._first, self.scanner.record
        if first is not None and self._siblings is not None:
            self._siblings.note_read(first)
        if self._go_on_with_unread():
            return True
        try:
            file = self._open()
        except OSError:
            return False
        now = first_frame(file)
        if now is not None and self._siblings is not None and not self._siblings.is_read(now):
            file.close()  # written since: other files may have been written before it
            return self._go_on_with_unread()
        self._begin(file, now)
        if first is not None and now is not None and first.identity == now.identity:
            self.go_to(record)
        return True

    def _go_on_in_copy(self, place: _Place, least: int) -> bool:
        """Go on in a copy of what was read that has at least so many bytes. Return whether there is one."""
        first, mark, file = self._first, self._mark, self._file
        if first is None or mark is None or file is None or self._siblings is None:
            return False
        chosen: Found | None = None
        for found in self._siblings.look():
            is_copy = found.first.identity == first.identity and found.size >= least
            if is_copy and mark.is_in(found.file.fileno()):
                chosen = found
            else:
                found.file.close()
        if chosen is None:
            return False
        self._begin(chosen.file, first, place)
        self._mark = mark
        return True

    def _go_on_with_unread(self) -> bool:
        """Go on with the first file that was not read yet. Return whether there is one."""
        chosen: Found | None = None
        for found in () if self._siblings is None else self._siblings.look():
            if chosen is None and self._siblings is not None and not self._siblings.is_read(found.first):
                chosen = found
            else:
                found.file.close()
        if chosen is None:
            return False
        self._begin(chosen.file, chosen.first)
        return True

    def go_to(self, record: int) -> int:
        """Go to the frame that holds a record. Return how many of its records come before that one.

        Raises:
            ReadError: damage on the way, where it is not to be skipped.
        """
        self.window.forget()
        scanner, entries = self.scanner, self._known_entries()
        while True:
            at = bisect_right(entries, record, key=lambda entry: entry.record) - 1
            if at < 0:
                scanner.move(0, 0)
            elif is_true(entries[at], self.window):
                scanner.move(entries[at].offset, entries[at].record)
            else:
                del entries[at]
                continue
            break
        while scanner.record < record:
            extent = self._look(scanner)
            if extent is None:
                break
            if extent.record + extent.records > record >= extent.record:
                return record - extent.record
            scanner.enter(extent)
        return 0

    def count(self) -> int:
        """Return the number of records up to the end. The position of the reader does not change.

        Raises:
            ReadError: as `go_to`.
        """
        self.window.forget()
        scanner, entries = (
            Scanner(self.window, self._limits, is_shared=True, verify=self._verify),
            self._known_entries(),
        )
        while entries and not is_true(entries[-1], self.window):
            entries.pop()
        if entries:
            scanner.move(entries[-1].offset, entries[-1].record)
        frames = 0
        while (extent := self._look(scanner)) is not None:
            scanner.enter(extent)
            frames += 1
            if frames % EVERY_FRAMES == 0:
                entries.append(entry_of(extent, self.window))
        return scanner.record

    def _known_entries(self) -> list[Entry]:
        if self._entries is None:
            self._entries = read_index(self._where) if self._verify is None else []
        return self._entries

    def _look(self, scanner: Scanner) -> FrameExtent | None:
        """Return the next frame that is not damaged, or None at the end and at a torn tail."""
        while True:
            try:
                with naming(self.path):
                    return scanner.look()
            except TornTailError:
                return None
            except ReadError as exc:
                if not self._skips or not scanner.is_skipped(exc):
                    exc.path = self.path
                    raise
                scanner.skip(exc)


class StreamReader(Generic[T]):
    """Iterate over the records of a stream. Each frame is checked as `load` checks an artifact.

    A record that is refused raises an error. Its `offset` and `end` say which part of the file is left out, and the
    next call of `next()` goes on after that part. A torn tail raises `TornTailError` after all records before it.
    Others may append meanwhile. So an end that looks torn is read again when no append is under way, and `next()` may
    be called again after the end. A reader takes no lock. It waits for an append for one second in which the file does
    not grow, and with `follow` no longer than `timeout`; then the tail is torn.

    Args:
        path: the stream's file.
        expect, trust, policy, context: as for `load`, for every record. One context is that of the whole stream.
        on_error: `"raise"`, `"skip"` or a function. `"skip"` goes on after a part that is damaged or of a newer format,
            warns with `StreamWarning`, and adds a `SkippedRange` to `lost`. A function is called with each
            `SkippedRange` instead. A torn tail is reported once, and is the end. Other refusals are never skipped:
            those by limits, keys, policy, trust or schemas, a codec that is not installed, and whatever a payload
            raises.
        follow: wait for more at the end, as `tail -F` does, and for the file if it is not there yet. If the path then
            names a new file, or the file was emptied, reading goes on at its beginning, and its records are numbered
            from 0. Before that, it reads what it has missed, as far as the files beside the path still have it: those
            that were rotated away between two looks, and the rest of a copy that was made before the file was emptied.
        timeout: with `follow`, end the iteration after this number of seconds without a new record. None: never.

    Use a reader in one thread at a time. Iteration runs what `load` runs; `frames` and `seek` run nothing.

    Raises:
        OSError: the file can't be opened, or is not a regular file.
        TypeError, ValueError: the arguments are not what they should be.

    Spec section 9.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "events.pseal")
    >>> with StreamWriter(path, batch=10) as stream:
    ...     for n in range(25):
    ...         stream.append(n)
    >>> with StreamReader(path) as stream:
    ...     stream.seek(-3), list(stream)
    (22, [22, 23, 24])
    """

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: "StreamReader[Any]",
            path: str | os.PathLike[str],
            *,
            expect: None = None,
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
            on_error: OnError = "raise",
            follow: bool = False,
            timeout: float | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "StreamReader[A]",
            path: str | os.PathLike[str],
            *,
            expect: type[A],
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
            on_error: OnError = "raise",
            follow: bool = False,
            timeout: float | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "StreamReader[A | B]",
            path: str | os.PathLike[str],
            *,
            expect: tuple[type[A], type[B]],
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
            on_error: OnError = "raise",
            follow: bool = False,
            timeout: float | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "StreamReader[A | B | C]",
            path: str | os.PathLike[str],
            *,
            expect: tuple[type[A], type[B], type[C]],
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
            on_error: OnError = "raise",
            follow: bool = False,
            timeout: float | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "StreamReader[A | B | C | D]",
            path: str | os.PathLike[str],
            *,
            expect: tuple[type[A], type[B], type[C], type[D]],
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
            on_error: OnError = "raise",
            follow: bool = False,
            timeout: float | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "StreamReader[Any]",
            path: str | os.PathLike[str],
            *,
            expect: Untyped,
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
            on_error: OnError = "raise",
            follow: bool = False,
            timeout: float | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "StreamReader[E]",
            path: str | os.PathLike[str],
            *,
            expect: TypeForm[E],
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
            on_error: OnError = "raise",
            follow: bool = False,
            timeout: float | None = None,
        ) -> None: ...

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        expect: Any = None,
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
        on_error: OnError = "raise",
        follow: bool = False,
        timeout: float | None = None,
    ) -> None:
        refuse_url(path, "path", "iter_load() reads it")
        if on_error not in ("raise", "skip") and not callable(on_error):
            raise ValueError(f"on_error: expected 'raise', 'skip' or a function, found {on_error!r}")
        if timeout is not None and not follow:
            raise ValueError("timeout: only with follow=True")
        if timeout is not None and not (isinstance(timeout, int | float) and timeout >= 0):
            raise ValueError(f"timeout: expected a number of seconds, found {timeout!r}")
        self.lost: list[SkippedRange] = []
        self.path: str = os.fsdecode(path)
        self._request = request_of(expect, trust, policy, context=context, takes_batches=True)
        self._report = on_error if callable(on_error) else {"raise": None, "skip": self._keep}[on_error]
        self._torn_at: int | None = None
        self._frame: Frame | None = None
        self._records: list[Any] = []
        self._at = 0  # index in these of the record that comes next
        self._skip = 0  # records of the next frame that are not wanted
        limits, verify = self._request.policy.limits, self._request.compiled.verify
        self._file = StreamFile(self.path, limits, self._report is not None, follow, timeout, verify)

    def close(self) -> None:
        """Close the file. Records that were read stay valid."""
        self._file.close()

    def __enter__(self) -> "StreamReader[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> "StreamReader[T]":
        return self

    @property
    def record(self) -> int:
        """Number of the record that comes next, from 0."""
        return self._file.scanner.record + self._skip - (len(self._records) - self._at)

    @property
    def frame(self) -> Frame | None:
        """The frame of the record that was returned last, with its header; None before the first."""
        return self._frame

    def __next__(self) -> T:
        """Return the next record.

        Raises:
            ReadError: the record is refused, as by `load`; `offset` and `record` say where.
            TornTailError: the stream ends within a frame.
        """
        at = self._at
        if at >= len(self._records):
            if not self._load_frame():
                raise StopIteration
            at = self._at
        self._at = at + 1
        record: T = self._records[at]
        return record

    def _load_frame(self) -> bool:
        """Load the records of the next frame. Return whether there was one."""
        found = self._next(self._load)
        if found is None:
            return False
        self._frame, obj = found
        self._records = obj if self._frame.header.records is not None else [obj]
        self._at, self._skip = self._skip, 0
        return True

    def all_records(self) -> Iterator[T]:
        """Iterate faster: the reader moves on by batches, not by records. It is closed at the end."""
        records = self._all_records()
        next(records)
        return records

    def _all_records(self) -> Iterator[Any]:
        with self:
            yield None  # begun, so that dropping the iterator closes the file, even if no record was taken
            while self._load_frame():
                records = self._records[self._at :] if self._at else self._records
                self._records, self._at = [], 0
                yield from records

    def _load(self, extent: FrameExtent) -> tuple[Header, Any]:
        accepted = accept(self._file.window.source(extent.offset, extent.preamble.frame_len), self._request)
        return accepted.header, load_accepted(accepted)

    def frames(self, verify: bool = False) -> Iterator[Frame]:
        """Iterate over the frames from here on, by their headers alone. Imports nothing and unpickles nothing.

        Args:
            verify: check all checksums of each frame, and the pickle's structure, as `verify` does for an artifact.

        Raises:
            ReadError: steps 1 to 13 of spec section 11; with `verify`, also what `verify` raises.
            TornTailError: the stream ends within a frame.
        """

        def read(extent: FrameExtent) -> tuple[Header, Any]:
            source = self._file.window.source(extent.offset, extent.preamble.frame_len)
            return _read_frame(source, self._request.policy, verify), None

        self._skip = 0
        while (found := self._next(read)) is not None:
            yield found[0]

    def _next(self, read: Read) -> tuple[Frame, Any] | None:
        """Read the next frame that is not skipped, or return None at the end."""
        self._check_open()
        self._records, self._at = [], 0
        while True:
            try:
                return self._file.read_next(read)
            except EmptiedError as exc:
                self._report_emptied(exc.lost)
                continue
            except ReadError as exc:
                refusal = exc
            except OSError as exc:
                name_file(exc, self.path)
                raise
            refusal.path, self._skip = self.path, 0
            scanner = self._file.scanner
            if scanner.is_unfinished(refusal):
                good_end, refusal.end = scanner.offset, self._file.window.size()
                is_left = self._file.leave_torn()
                self._end_at_torn_tail(refusal, good_end, refusal.end)
                if is_left:
                    self._torn_at = None
                    continue
                return None
            if scanner.has_shrunk():
                raise refusal
            is_skipped = scanner.is_skipped(refusal)
            lost = scanner.skip(refusal)
            refusal.end = lost.end
            if self._report is None or not is_skipped:
                raise refusal
            self._report(lost)

    def _end_at_torn_tail(self, refusal: ReadError, good_end: int, end: int) -> None:
        """Raise the error, or report the torn tail once. The reader stays before it: a record may follow later."""
        if self._report is None:
            raise refusal
        if self._torn_at != good_end:
            self._torn_at = good_end
            self._report(SkippedRange(good_end, end, refusal, None, None))

    def _report_emptied(self, lost: SkippedRange) -> None:
        """Report what was in a file that was emptied. Whether anything was, is not known if the extent is empty."""
        if self._report is not None:
            self._report(lost)
        elif lost.offset < lost.end:
            raise lost.error

    def _keep(self, lost: SkippedRange) -> None:
        self.lost.append(lost)
        text = f"{lost.end - lost.offset} bytes of the stream were skipped: {lost.error}"
        if len(self.lost) == MOST_WARNINGS:
            text += "; `lost` of the reader has what is skipped from here on, without a warning"
        if len(self.lost) <= MOST_WARNINGS:
            warnings.warn(text, StreamWarning, stacklevel=frames_up())

    def seek(self, record: int) -> int:
        """Go to a record by its number; a negative number counts from the end. Return the number.

        If there is an index beside the stream (spec section 9.4), it is used, unless the policy has keys: nobody signs
        the index. Otherwise all headers are read once, and with keys, the signature of each is verified. A
        number before the first record means the first record, one after the last record means the end. Damage on the
        way is skipped if `on_error` says so. A torn tail counts as the end.

        Raises:
            ReadError: damage on the way that is not to be skipped, or with keys, a header without a valid signature.
            TypeError: the number is not an integer.
            ValueError: the reader is closed.
        """
        self._check_open()
        record = operator.index(record)
        self._records, self._at, self._skip = [], 0, 0
        if record < 0:
            record = max(self.count() + record, 0)
        self._skip = self._file.go_to(record)
        return self.record

    def count(self) -> int:
        """Return the number of records up to the end. The reader's position does not change.

        Raises:
            ReadError, ValueError: as `seek`.
        """
        self._check_open()
        return self._file.count()

    def _check_open(self) -> None:
        if self._file.is_closed:  # the system may have given its descriptor to another file
            raise ValueError("the stream reader is closed")


def _read_frame(source: Source, policy: Policy, verify: bool) -> Header:
    """Return a frame's header; with `verify`, check all of the frame that can be checked without running it."""
    header = read_header(source, policy)
    if verify:
        check_codecs(header)
        check_body(source, header)
    return header


if TYPE_CHECKING:

    @overload
    def iter_load(
        file: File,
        *,
        expect: None = None,
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
        on_error: OnError = "raise",
        storage_options: Mapping[str, Any] | None = None,
    ) -> Iterator[Any]: ...

    @overload
    def iter_load(
        file: File,
        *,
        expect: type[A],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
        on_error: OnError = "raise",
        storage_options: Mapping[str, Any] | None = None,
    ) -> Iterator[A]: ...

    @overload
    def iter_load(
        file: File,
        *,
        expect: tuple[type[A], type[B]],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
        on_error: OnError = "raise",
        storage_options: Mapping[str, Any] | None = None,
    ) -> Iterator[A | B]: ...

    @overload
    def iter_load(
        file: File,
        *,
        expect: tuple[type[A], type[B], type[C]],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
        on_error: OnError = "raise",
        storage_options: Mapping[str, Any] | None = None,
    ) -> Iterator[A | B | C]: ...

    @overload
    def iter_load(
        file: File,
        *,
        expect: tuple[type[A], type[B], type[C], type[D]],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
        on_error: OnError = "raise",
        storage_options: Mapping[str, Any] | None = None,
    ) -> Iterator[A | B | C | D]: ...

    @overload
    def iter_load(
        file: File,
        *,
        expect: Untyped,
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
        on_error: OnError = "raise",
        storage_options: Mapping[str, Any] | None = None,
    ) -> Iterator[Any]: ...

    @overload
    def iter_load(
        file: File,
        *,
        expect: TypeForm[E],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
        on_error: OnError = "raise",
        storage_options: Mapping[str, Any] | None = None,
    ) -> Iterator[E]: ...


def iter_load(
    file: File,
    *,
    expect: Any = None,
    trust: Trust = (),
    policy: Policy | None = None,
    context: str | None = None,
    on_error: OnError = "raise",
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[Any]:
    """Iterate over the records of a stream: of a file, or of frames end to end from a URL, a pipe or a socket.

    Arguments and guarantees are those of `StreamReader`, which can also read headers, seek and follow. A refused record
    ends the iteration. Only in a file that is named by a path can `on_error` skip damage.

    Args:
        file: a path, a URL, or a binary file object, which is read to its end.
        storage_options: as for `load`.

    Raises:
        ReadError: a record is refused, as by `load`; `offset` and `record` say where.
        TornTailError: the stream ends within a frame. Raised after all records before it.
        OSError, MissingExtraError, TypeError, ValueError: as for `load`.

    >>> import io
    >>> list(iter_load(io.BytesIO(pack("first") + pack("second"))))
    ['first', 'second']
    """
    if not isinstance(file, str | os.PathLike) and not hasattr(file, "read"):
        way = "makefile() gives one" if hasattr(file, "makefile") else "io.BytesIO() makes one of bytes"
        raise TypeError(f"file: expected a path, a URL or a binary file, found {type(file).__name__}; {way}")
    check_options(file, storage_options)
    if is_url(file):
        file = local_path(str(file)) or RangeFile(str(file), storage_options)  # type: ignore[assignment]
    if isinstance(file, str | os.PathLike):
        return StreamReader(
            file, expect=expect, trust=trust, policy=policy, context=context, on_error=on_error
        ).all_records()
    if on_error != "raise":
        raise ValueError("on_error: damage can be skipped only in a local file that is named by a path")
    records = _from_pipe(file, request_of(expect, trust, policy, context=context, takes_batches=True))
    return _closing(file, records) if isinstance(file, RangeFile) else records


def _closing(file: RangeFile, records: Iterator[Any]) -> Iterator[Any]:
    with file:
        file.left()  # from now on it is read ahead
        yield from records


def _from_pipe(file: BinaryIO, request: Request) -> Iterator[Any]:
    def read(source: Source) -> tuple[Header, Any]:
        accepted = accept(source, request)
        return accepted.header, load_accepted(accepted)

    for frame, obj in _scan_pipe(file, read):
        yield from obj if frame.header.records is not None else (obj,)


def frames_of_pipe(file: BinaryIO, policy: Policy, verify: bool) -> Iterator[Frame]:
    """Iterate over the frames of a binary file object that is only read forward, as `StreamReader.frames` does.

    Without `verify` the file must be able to seek, as the sections are stepped over.
    """

    def read(source: Source) -> tuple[Header, Any]:
        return _read_frame(source, policy, verify), None

    for frame, _ in _scan_pipe(file, read):
        yield frame
        if not verify:
            file.seek(frame.offset + frame.length)


def _scan_pipe(file: BinaryIO, read: Callable[[Source], tuple[Header, Any]]) -> Iterator[tuple[Frame, Any]]:
    """Read frame after frame. The first refusal is the end: what follows damage can't be searched for in a pipe."""
    window = PipeWindow(file)
    scanner = Scanner(window)
    while True:
        try:
            found = scanner.read_next(lambda _: read(window.source()))
        except ReadError as exc:
            name = getattr(file, "name", None)
            exc.path = name if isinstance(name, str) else None
            if isinstance(exc, TornTailError):
                exc.hint = "what was sent last did not arrive as a whole"
            raise
        if found is None:
            return
        yield found
