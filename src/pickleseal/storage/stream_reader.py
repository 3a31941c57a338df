"""`StreamReader`: the records of a stream's file, one by one, each judged as an artifact is (spec section 9)."""

import errno
import io
import os
import stat
import time
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

from ..errors import ReadError, StreamWarning, TornTailError, TruncatedError
from ..format.header import Header
from ..format.index import EVERY_FRAMES, Entry
from ..payload.trust import build_trust
from ..policy import Policy, check_is_policy
from ..reader import BytesSource, Source, Trust, check_body, check_codecs, read_body, read_header, read_judged
from ..schema.names import frames_up
from .locks import locked
from .source import FileSource
from .tail import entry_of, is_true, read_index
from .walk import Lost, Place, State, Walk, torn_tail
from .window import Window

__all__ = ["Frame", "StreamReader"]

_SMALL = 1 << 18  # bytes of a frame that is taken from the window
_POLL = 0.05  # seconds
_NEVER_SKIPPED = (15, 20)  # steps: what `verify` leaves out, and is no damage


class Frame(NamedTuple):
    """A frame of a stream.

    Attributes:
        offset, length: where it is in the file, in bytes.
        stream_id, seq: which stream it belongs to, and its place there (spec section 9.1).
        record, records: the number of its first record, and how many it holds.
        header: its header.
    """

    offset: int
    length: int
    stream_id: int
    seq: int
    record: int
    records: int
    header: Header


class StreamReader:
    """Iterate over the records of a stream. Each frame is judged as `load` judges an artifact.

    A record that is refused raises. Where it is known where its frame ends, iteration may go on with the next one. A
    tail that is torn raises `TornTailError` after all records before it. Appends may go on meanwhile: an end that looks
    torn is looked at again under the file's lock.

    Args:
        path: of the stream.
        expect, trust, policy: as for `load`, for every record.
        on_error: `"raise"`; or `"skip"`: go on behind what is damaged (what `verify` would refuse, a torn tail too),
            warn with `StreamWarning`, and keep a `Lost` in `lost`. What the policy, the trust or the schemas refuse,
            and what a payload raises, is never skipped.
        follow: wait for more at the end, as `tail -F` does: also where the path names a new file then, which is read
            from its beginning, its records numbered from 0.
        timeout: with `follow`, end the iteration after so many seconds without a new record. None: never.

    Not for several threads at once. Iteration runs what `load` runs; `frames` and `seek` run nothing.

    Raises:
        OSError: the file can't be opened, or is no regular file.
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

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        expect: type[Any] | str | None = None,
        trust: Trust = (),
        policy: Policy | None = None,
        on_error: str = "raise",
        follow: bool = False,
        timeout: float | None = None,
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error: expected 'raise' or 'skip', found {on_error!r}")
        if timeout is not None and not follow:
            raise ValueError("timeout: only with follow=True")
        self.lost: list[Lost] = []
        self.path = os.fsdecode(path)
        self._expect = expect
        self._trusted = build_trust(trust, expect)
        self._policy = check_is_policy(policy)
        self._is_skipping = on_error == "skip"
        self._follow = follow
        self._timeout = timeout
        self._frame: Frame | None = None
        self._where = os.path.join(os.getcwd(), self.path)
        self._begin(self._open())

    def _open(self) -> io.FileIO:
        file = io.FileIO(self._where, opener=_open_at_once)
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        raise OSError(errno.EINVAL, "not a regular file: iter_load() reads pipes, opened as files", self.path)

    def _begin(self, file: io.FileIO) -> None:
        self._file = file
        self._window = Window(self._file.fileno())
        self._walk = Walk(self._window, self._policy.limits)
        self._entries: list[Entry] | None = None
        self._records: list[Any] = []
        self._at = 0  # in these
        self._skip = 0  # records of the next frame that are not wanted

    def close(self) -> None:
        """Close the file. Records that were read stay valid."""
        self._file.close()

    def __enter__(self) -> "StreamReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> "StreamReader":
        return self

    @property
    def record(self) -> int:
        """Number of the record that comes next, from 0."""
        return self._walk.record + self._skip - (len(self._records) - self._at)

    @property
    def frame(self) -> Frame | None:
        """The frame of the record that was returned last, with its header; None before the first."""
        return self._frame

    def __next__(self) -> Any:
        """Return the next record.

        Raises:
            ReadError: it is refused, as `load` would; `offset` and `record` say where. Or `TornTailError`.
        """
        at = self._at
        if at >= len(self._records):
            if not self._load_frame():
                raise StopIteration
            at = self._at
        self._at = at + 1
        return self._records[at]

    def _load_frame(self) -> bool:
        """Load the records of the next frame, and tell whether there was one."""
        found = self._next(self._load)
        if found is None:
            return False
        self._frame, obj = found
        self._records = obj if self._frame.header.records is not None else [obj]
        self._at, self._skip = self._skip, 0
        return True

    def all_records(self) -> Iterator[Any]:
        """Iterate faster: the reader stands behind a batch while its records are given out. Closes it in the end."""
        with self:
            while self._load_frame():
                records = self._records[self._at :] if self._at else self._records
                self._records, self._at = [], 0
                yield from records

    def _load(self, source: Source) -> tuple[Header, Any]:
        header, judged = read_judged(source, self._expect, self._trusted, self._policy)
        return header, read_body(source, header, judged, self._expect, self._policy)

    def frames(self, verify: bool = False) -> Iterator[Frame]:
        """Iterate over the frames from here on, by their headers alone. Imports nothing and unpickles nothing.

        Args:
            verify: check all checksums of each, and the pickle's structure, as `verify` does for an artifact.

        Raises:
            ReadError: steps 1 to 13 of spec section 11, or with `verify` what `verify` raises; or `TornTailError`.
        """

        def read(source: Source) -> tuple[Header, Any]:
            header = read_header(source, self._policy)
            if verify:
                check_codecs(header)
                check_body(source, header)
            return header, None

        self._skip = 0
        while (found := self._next(read)) is not None:
            yield found[0]

    def _next(self, read: Callable[[Source], tuple[Header, Any]]) -> tuple[Frame, Any] | None:
        """Read the next frame that is not skipped, or return None at the end."""
        if self._file.closed:
            raise ValueError("the stream reader is closed")
        self._records, self._at = [], 0
        while True:
            place: Place | None = None
            try:
                place = self._step()
                if place is None:
                    return None
                header, obj = self._read(place, read)
            except ReadError as exc:
                exc.path, self._skip = self.path, 0
                lost = None if place is None else self._behind(place, exc)
                if not self._is_skipping or exc.step in _NEVER_SKIPPED:
                    raise
                lost = lost or self._walk.skip(exc)
                self.lost.append(lost)
                text = f"{lost.end - lost.offset} bytes of the stream were skipped: {exc}"
                warnings.warn(text, StreamWarning, stacklevel=frames_up())
                continue
            preamble, records = place.preamble, header.records or 1
            self._walk.record = place.record + records
            frame_len, stream_id, seq = preamble.frame_len, preamble.stream_id, preamble.seq
            return Frame(place.offset, frame_len, stream_id, seq, place.record, records, header), obj

    def _behind(self, place: Place, error: ReadError) -> Lost:
        """Count the records of a refused frame, behind which the walk stands already."""
        records = self._walk.known_records(place.offset, place.preamble)
        self._walk.record = place.record + (records or 1)
        return Lost(place.offset, place.end, error, 1, records)

    def _step(self) -> Place | None:
        """Step on to the next frame, waiting for it if that is wanted."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        is_last_look = not self._follow
        while True:
            trouble, place = self._look()
            if trouble is not None and (is_last_look or not isinstance(trouble, TornTailError)) and self._settle():
                trouble, place = self._look()
            if place is None and self._follow and not is_last_look and self._is_replaced():
                self._settle()  # nobody writes here any more
                trouble, place = self._look()
                if place is None and trouble is None:
                    with suppress(OSError):
                        replacement = self._open()
                        self._file.close()
                        self._begin(replacement)
                is_last_look = trouble is not None
            if place is not None:
                return place
            if is_last_look or not isinstance(trouble, TornTailError | None):
                if trouble is not None:
                    raise trouble
                return None
            wait = _POLL if deadline is None else min(_POLL, deadline - time.monotonic())
            if wait > 0:
                time.sleep(wait)
            else:
                is_last_look = True
            self._window.forget()

    def _look(self) -> tuple[ReadError | None, Place | None]:
        try:
            return None, self._walk.step(with_header=False)
        except ReadError as exc:
            return exc, None

    def _read(self, place: Place, read: Callable[[Source], tuple[Header, Any]]) -> tuple[Header, Any]:
        try:
            try:
                return read(self._source(place))
            except ReadError as exc:
                if exc.step in _NEVER_SKIPPED or place.end < self._window.size() or not self._settle():
                    raise
            return read(self._source(place))
        except ReadError as exc:
            if isinstance(exc, TruncatedError):  # it was cut off after it was looked at
                exc = torn_tail(self._window, place.offset, exc) or exc
            exc.offset, exc.record = place.offset, place.record
            raise exc

    def _source(self, place: Place) -> Source:
        length = place.preamble.frame_len
        if length <= _SMALL:
            return BytesSource(self._window.take(place.offset, length))
        self._file.seek(place.offset)
        return FileSource(self._file, whole=False)

    def _settle(self) -> bool:
        """Wait until nobody is in the middle of an append. Tell whether that could be known."""
        self._window.forget()
        with suppress(OSError), locked(self._file.fileno(), shared=True):
            return True
        return False

    def _is_replaced(self) -> bool:
        """Tell whether the path names another file now."""
        with suppress(OSError):
            there, mine = os.stat(self._where), os.fstat(self._file.fileno())
            return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)
        return False

    # --- where to begin -----------------------------------------------------------------------------------------------

    def seek(self, record: int) -> int:
        """Go to a record by its number; a negative one counts from the end. Return the number.

        Uses the index beside the stream where there is one (spec section 9.4), else goes over all headers once. Before
        the first record is the first; behind the last is the end. Damage on the way is skipped by its numbers, as
        `on_error` says; a torn tail is the end.

        Raises:
            ReadError: damage on the way, where it is not to be skipped.
        """
        self._records, self._at, self._skip = [], 0, 0
        self._window.forget()
        if record < 0:
            record = max(self.count() + record, 0)
        entries = self._known_entries()
        while True:
            at = bisect_right(entries, record, key=lambda entry: entry.record) - 1
            if at < 0:
                self._walk.move(0, 0)
            elif is_true(entries[at], self._window):
                self._walk.move(entries[at].offset, entries[at].record)
            else:
                del entries[at]
                continue
            break
        while self._walk.record < record:
            before, place = self._pass()
            if place is None:
                break
            if place.record + place.records > record >= place.record:
                self._walk.restore(before)
                self._skip = record - place.record
                break
        return self.record

    def count(self) -> int:
        """Return the number of records up to the end. Where the reader stands stays as it is.

        Raises:
            ReadError: as `seek`.
        """
        self._window.forget()
        walk, entries = self._walk, self._known_entries()
        self._walk = Walk(self._window, self._policy.limits)
        try:
            while entries and not is_true(entries[-1], self._window):
                entries.pop()
            if entries:
                self._walk.move(entries[-1].offset, entries[-1].record)
            frames = 0
            while (place := self._pass()[1]) is not None:
                frames += 1
                if frames % EVERY_FRAMES == 0:
                    entries.append(entry_of(place, self._window))
            return self._walk.record
        finally:
            self._walk = walk

    def _known_entries(self) -> list[Entry]:
        if self._entries is None:
            self._entries = read_index(self._where)
        return self._entries

    def _pass(self) -> tuple[State, Place | None]:
        """Step over a frame by its head. Return where it begins, and the frame, or None where nothing whole follows."""
        while True:
            before = self._walk.state()
            try:
                return before, self._walk.step()
            except TornTailError:
                return before, None
            except ReadError as exc:
                if not self._is_skipping:
                    exc.path = self.path
                    raise
                self._walk.skip(exc)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for the other end, if it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
