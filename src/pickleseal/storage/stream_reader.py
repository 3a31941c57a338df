"""`StreamReader`: the records of a stream's file, one by one, each judged as an artifact is (spec section 9)."""

import os
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from ..atomic import name_file
from ..errors import ReadError, StreamWarning, TornTailError, TruncatedError
from ..format.header import Header
from ..payload.trust import build_trust
from ..policy import Policy, check_is_policy
from ..reader import Source, Trust, check_body, check_codecs, read_body, read_header, read_judged
from ..schema.names import frames_up
from .cursor import Cursor
from .url import refuse_url
from .walk import Frame, Lost, is_damage, torn_tail

__all__ = ["Frame", "StreamReader"]

Read = Callable[[Source], tuple[Header, Any]]


class StreamReader:
    """Iterate over the records of a stream. Each frame is judged as `load` judges an artifact.

    A record that is refused raises; `offset` and `end` of the error are the extent that is left out, and the next
    `next()` goes on behind it. A tail that is torn raises `TornTailError` after all records before it. Appends may go
    on meanwhile: an end that looks torn is looked at again under the file's lock, and after the end `next()` may be
    called again.

    Args:
        path: of the stream.
        expect, trust, policy: as for `load`, for every record.
        on_error: `"raise"`; or `"skip"`: go on behind what is damaged, or of a newer format, warn with `StreamWarning`,
            and keep a `Lost` in `lost`; or a function that is called with each `Lost` instead. A torn tail is reported
            once, and is the end. Never skipped is what limits, keys, policy, trust or schemas refuse, a codec that is
            not installed, and what a payload raises.
        follow: wait for more at the end, as `tail -F` does: also where the path names a new file then, or the file was
            emptied, which is read from its beginning, its records numbered from 0.
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
        on_error: str | Callable[[Lost], object] = "raise",
        follow: bool = False,
        timeout: float | None = None,
    ) -> None:
        refuse_url(path, "path")
        if on_error not in ("raise", "skip") and not callable(on_error):
            raise ValueError(f"on_error: expected 'raise', 'skip' or a function, found {on_error!r}")
        if timeout is not None and not follow:
            raise ValueError("timeout: only with follow=True")
        self.lost: list[Lost] = []
        self.path = os.fsdecode(path)
        self._expect = expect
        self._trusted = build_trust(trust, expect)
        self._policy = check_is_policy(policy)
        self._skipping = on_error if callable(on_error) else {"raise": None, "skip": self._keep}[on_error]
        self._torn_at: int | None = None
        self._frame: Frame | None = None
        self._records: list[Any] = []
        self._at = 0  # in these
        self._skip = 0  # records of the next frame that are not wanted
        self._cursor = Cursor(self.path, self._policy.limits, self._skipping is not None, follow, timeout)

    def close(self) -> None:
        """Close the file. Records that were read stay valid."""
        self._cursor.close()

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
        return self._cursor.walk.record + self._skip - (len(self._records) - self._at)

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

    def _next(self, read: Read) -> tuple[Frame, Any] | None:
        """Read the next frame that is not skipped, or return None at the end."""
        if self._cursor.is_closed:
            raise ValueError("the stream reader is closed")
        self._records, self._at = [], 0
        while True:
            try:
                try:
                    return self._attempt(read)
                except ReadError as exc:
                    if not is_damage(exc):
                        raise
                    self._cursor.settle(exc)  # what was read may have been in the middle of an append or a repair
                    return self._attempt(read)
            except ReadError as exc:
                refusal = exc
            except OSError as exc:
                name_file(exc, self.path)
                raise
            refusal.path, self._skip = self.path, 0
            if isinstance(refusal, TornTailError):
                self._end_at_tear(refusal)
                if self._cursor.leave_torn():
                    continue
                return None
            if isinstance(refusal, TruncatedError):  # the file became shorter than what was read of it
                raise refusal
            lost = self._cursor.walk.skip(refusal)
            refusal.end = lost.end
            if self._skipping is None or not is_damage(refusal):
                raise refusal
            self._skipping(lost)

    def _end_at_tear(self, refusal: TornTailError) -> None:
        """Raise, or report the tear once. The reader stays in front of it: there may be a record one day."""
        refusal.end = self._cursor.window.size()
        if self._skipping is None:
            raise refusal
        if self._torn_at != refusal.good_end:
            self._torn_at = refusal.good_end
            self._skipping(Lost(refusal.good_end, refusal.end, refusal, None, None))

    def _keep(self, lost: Lost) -> None:
        self.lost.append(lost)
        text = f"{lost.end - lost.offset} bytes of the stream were skipped: {lost.error}"
        warnings.warn(text, StreamWarning, stacklevel=frames_up())

    def _attempt(self, read: Read) -> tuple[Frame, Any] | None:
        """Read the next frame, or return None at the end. Where it is refused, the walk stays in front of it."""
        place = self._cursor.step()
        if place is None:
            return None
        try:
            header, obj = read(self._cursor.source(place))
        except ReadError as exc:
            refusal: ReadError = exc
            if isinstance(exc, TruncatedError):  # it was cut off after it was looked at
                refusal = torn_tail(self._cursor.window, place.offset, exc) or exc
            refusal.offset, refusal.record = place.offset, place.record
            raise refusal from exc.__cause__
        if header.preamble != place.preamble:  # that was read ahead, of a torn tail which was cut off meanwhile
            self._cursor.window.forget()
            return self._attempt(read)
        preamble, records = place.preamble, header.records or 1
        self._cursor.walk.enter(place._replace(records=records))
        frame_len, stream_id, seq = preamble.frame_len, preamble.stream_id, preamble.seq
        return Frame(place.offset, frame_len, stream_id, seq, place.record, records, header), obj

    def seek(self, record: int) -> int:
        """Go to a record by its number; a negative one counts from the end. Return the number.

        Uses the index beside the stream where there is one (spec section 9.4), else goes over all headers once. Before
        the first record is the first; behind the last is the end. Damage on the way is skipped by its numbers, as
        `on_error` says; a torn tail is the end.

        Raises:
            ReadError: damage on the way, where it is not to be skipped.
        """
        self._records, self._at, self._skip = [], 0, 0
        if record < 0:
            record = max(self.count() + record, 0)
        self._skip = self._cursor.go_to(record)
        return self.record

    def count(self) -> int:
        """Return the number of records up to the end. Where the reader stands stays as it is.

        Raises:
            ReadError: as `seek`.
        """
        return self._cursor.count()
