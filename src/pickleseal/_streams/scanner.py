"""The one way from frame to frame through a stream (spec section 9.1), for files, pipes, objects in stores, and bytes.

A `Scanner` stands where a frame begins. `look` and `read_next` give that frame or raise; then the scanner stays.
`skip` goes on after a frame that was refused. All decisions about damage are here: whether frames follow on each other,
whether the end is torn, where the next frame begins after a damaged one, which frames and records are missing, and
whether something is read again because an append may have been under way.

This module looks at preambles and headers. It changes no file, unpickles nothing, and parses JSON of batches alone.
"""

import errno
import math
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from .._format.checksum import checksum
from .._format.frame import decode_head
from .._format.header import Header
from .._format.limits import ALIGNMENT, MAX_INTEGER, Limits
from .._format.preamble import MAGIC, PREAMBLE_SIZE, Preamble, check_limits, decode_preamble
from .._format.seal import Verify
from .._io.processes import is_locked
from .._io.source import read_at
from .._io.window import FileWindow, Window
from ..errors import (
    HeaderChecksumError,
    NotAnArtifactError,
    ReadError,
    SealError,
    SignatureError,
    StreamOrderError,
    TornTailError,
    TruncatedError,
)

_UNLIMITED = Limits()
_ANY_SIZE = Limits(max_decoded=MAX_INTEGER)
_NO_DAMAGE = frozenset({"limit-exceeded", "signature-invalid", "unsupported-codec"})
PATIENCE = 1.0  # seconds that a reader waits for an append which adds no byte: its process may have been stopped
_LEAST_PAUSE, _MOST_PAUSE = 0.001, 0.05  # seconds between two looks at a lock
_MOST_ZEROS = 1 << 20  # bytes that are compared with zero at once


class FrameExtent(NamedTuple):
    """A frame in a stream: where it is, and which records it holds."""

    offset: int
    end: int
    preamble: Preamble
    record: int  # number of its first record
    records: int  # 1, or those of a batch; also 1 if its header was not looked at


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


class SkippedRange(NamedTuple):
    """A part of a stream that was skipped.

    Attributes:
        offset, end: the extent in bytes, from the start of the file.
        error: the reason. `error.record` is the number of the first record that is lost.
        frames: how many frames were in this part, or None if that can't be known.
        records: how many records were in this part, or None if that can't be known.
    """

    offset: int
    end: int
    error: ReadError
    frames: int | None
    records: int | None


Read = Callable[[FrameExtent], tuple[Header, Any]]


class Scanner:
    """A place in a stream: where a frame begins, or the end.

    Args:
        window: the bytes of the stream.
        limits: what is refused as too large.
        is_shared: others may append meanwhile, and this scanner does not hold their lock. What is refused as damaged is
            then read a second time, and what looks torn is read again when no append is under way.

    Attributes:
        offset: where the frame begins.
        record: number of its first record.
        last: stream_id and seq of the frame before it, or None if they are not known.
        deadline: when waiting for an append ends at the latest, by the monotonic clock.
    """

    def __init__(
        self,
        window: Window,
        limits: Limits = _UNLIMITED,
        *,
        is_shared: bool = False,
        offset: int = 0,
        record: int = 0,
        verify: Verify | None = None,
    ) -> None:
        self.window = window
        self._limits = limits
        self._is_shared = is_shared
        self._verify = verify
        self._search: Search | None = None
        self.offset = offset
        self.record = record
        self.last: tuple[int, int] | None = None
        self.deadline = math.inf
        self._seqs: dict[int, int] = {}  # the last seq of each stream_id
        self._is_from_start = not offset  # else it is not known which frames came before

    def move(self, offset: int, record: int, last: tuple[int, int] | None = None) -> None:
        """Go to where a frame begins."""
        self.offset = offset
        self.record = record
        self.last = last
        self._seqs = {} if last is None else {last[0]: last[1]}
        self._is_from_start = not offset

    # --- the frame here -----------------------------------------------------------------------------------------------

    def look(self, *, counts: bool = True, again: bool = True) -> FrameExtent | None:
        """Return the frame here, or None at a clean end. `enter` goes on.

        Args:
            counts: look at the header, too, for the number of records.
            again: if others may append, look again at what is refused as damaged.

        Raises:
            TornTailError: the rest is torn.
            TruncatedError: the input is shorter than what was read of it before.
            ReadError: steps 1 to 8 of spec section 11, and `stream-order`. `offset` and `record` say where.
        """
        window, offset = self.window, self.offset
        try:
            start = window.take(offset, PREAMBLE_SIZE)
            if not start:
                size = window.size()
                if size < offset:
                    raise TruncatedError("the file became shorter than what was read of it", offset, size)
                return None
            preamble = decode_preamble(start, _UNLIMITED)
            end = offset + preamble.frame_len
            if end > window.known_end and window.is_cut(end):
                window.forget()  # a torn tail may have been cut off, and another frame written there
                preamble = decode_preamble(window.take(offset, PREAMBLE_SIZE), _UNLIMITED)
                end = offset + preamble.frame_len
            stream_id, seqs = preamble.stream_id, self._seqs
            if stream_id and (self._is_from_start or stream_id in seqs):
                wanted = seqs.get(stream_id, -1) + 1
                if preamble.seq != wanted:
                    hint = "frames were removed, repeated, or put in another order"
                    text = "the frame does not follow on the one before"
                    raise StreamOrderError(text, wanted, preamble.seq, hint, "seq")
            if self._limits is not _UNLIMITED:
                check_limits(preamble, self._limits)  # spec 11: limits are step 6, order is step 5
            if end > window.known_end:
                self._check_presence(preamble)
            return FrameExtent(offset, end, preamble, self.record, self._count(preamble) if counts else 1)
        except ReadError as exc:
            refusal: ReadError = exc
            if start and isinstance(exc, TruncatedError | NotAnArtifactError):
                refusal = self._torn(exc) or exc
            refusal.offset, refusal.record = offset, self.record
            if not again or not self._is_shared or not self.is_skipped(refusal):
                raise refusal from exc.__cause__
        self._prepare_to_read_again(refusal)
        return self.look(counts=counts, again=False)

    def read_next(self, read: Read) -> tuple[Frame, Any] | None:
        """Read the frame here and go on after it. Return the frame and what was read, or None at a clean end.

        Args:
            read: returns the frame's header, and anything else.

        Raises:
            As `look`, and what `read` raises.
        """
        try:
            return self._read_next(read)
        except ReadError as exc:
            if not self._is_shared or not self.is_skipped(exc):
                raise
            self._prepare_to_read_again(exc)
        return self._read_next(read)

    def _read_next(self, read: Read) -> tuple[Frame, Any] | None:
        extent = self.look(counts=False, again=False)
        if extent is None:
            return None
        offset, end, preamble, record, _ = extent
        try:
            header, value = read(extent)
        except ReadError as exc:
            refusal: ReadError = exc
            if isinstance(exc, TruncatedError):  # it was cut off after it was looked at, or the pipe ends
                refusal = self._torn(exc) or exc
            refusal.offset, refusal.record = offset, record
            raise refusal from exc.__cause__
        if header.preamble != preamble:  # the window had a torn tail, which was cut off and replaced meanwhile
            self.window.forget()
            return self._read_next(read)
        records = header.records or 1
        self.enter(FrameExtent(offset, end, preamble, record, records))
        return Frame(offset, end - offset, preamble.stream_id, preamble.seq, record, records, header), value

    def enter(self, extent: FrameExtent) -> None:
        """Go on after the frame here, which `look` gave."""
        self.offset, self.record = extent.end, extent.record + extent.records
        stream_id, seq = extent.preamble.stream_id, extent.preamble.seq
        self.last = stream_id, seq
        if stream_id:
            self._seqs[stream_id] = seq

    def _check_presence(self, preamble: Preamble) -> None:
        size = self.window.size()
        if self.offset + preamble.frame_len > size:
            raise TruncatedError("the input ends within a frame", preamble.frame_len, size - self.offset)

    def _count(self, preamble: Preamble) -> int:
        """Check the header of the frame here, and return how many records the frame holds.

        Raises:
            HeaderChecksumError: the header is damaged.
            SealError, SignatureError: there are keys, and the signature is not valid: nothing of the header is used.
        """
        header_len, seal_len = preamble.header_len, preamble.seal_len
        head = self.window.take(self.offset, PREAMBLE_SIZE + header_len + seal_len)[PREAMBLE_SIZE:]
        header = head[:header_len]
        if checksum(header) != preamble.header_xxh3:
            raise HeaderChecksumError("the header is damaged")
        if self._verify is None and b'"records":' not in header:
            return 1
        try:
            return decode_head(preamble, head, _UNLIMITED, self._verify).records or 1
        except ReadError as exc:
            if self._verify is not None and isinstance(exc, SealError | SignatureError):
                raise
            return 1  # refused when it is read

    # --- what is refused ----------------------------------------------------------------------------------------------

    def _prepare_to_read_again(self, refusal: ReadError) -> None:
        """Forget what was read: it may be from the middle of an append or a repair. Wait for the end of an append."""
        self.window.forget()
        if self.is_unfinished(refusal):
            self.wait_for_appends()
            self.window.forget()

    def has_shrunk(self) -> bool:
        """Return whether the input is shorter than what was read of it."""
        return self.window.size() < self.offset

    def is_unfinished(self, error: ReadError) -> bool:
        """Return whether an error is about a frame here that may still be written: it is torn, and the last one."""
        if error.code == "limit-exceeded" and error.step == 6:  # spec 11: a caller's limit comes before the torn tail
            return self.refused_preamble() is None and self._following() is None
        return isinstance(error, TornTailError)

    def is_skipped(self, error: ReadError) -> bool:
        """Return whether a reader that skips damage goes on after this error, with the frame here as lost."""
        return is_damage(error) or (
            error.code == "limit-exceeded" and error.step == 6 and self.refused_preamble() is None
        )

    def wait_for_appends(self) -> bool:
        """Wait until no append to the file is under way. Return whether there is none.

        This takes no lock. It ends at the deadline, and when the file has not grown for a second: whoever holds the
        lock was stopped, or waits for a disk.
        """
        if self.window.descriptor < 0:
            return True
        size, pause = -1, _LEAST_PAUSE
        end = math.inf
        with suppress(OSError):  # where there are no locks, nobody appends
            while is_locked(self.window.descriptor):
                now, size_now = time.monotonic(), self.window.size()
                if size_now != size:
                    size, end = size_now, now + PATIENCE
                left = min(end, self.deadline) - now
                if left <= 0:
                    return False
                time.sleep(min(pause, left))
                pause = min(2 * pause, _MOST_PAUSE)
        return True

    def skip(self, error: ReadError) -> SkippedRange:
        """Go on after the frame here, which was refused with this error (spec 9.1, resynchronisation).

        If nothing is there to go on with, the scanner goes to the end of the input.
        """
        begin, first = self.offset, self.record
        preamble = None if isinstance(error, TornTailError) else self.refused_preamble()
        if preamble is not None:
            missing = _missing(error, preamble)
            if missing:  # frames that are not there; the one here is whole, and reading goes on with it
                self.record += missing
                self._expect(preamble)
                return SkippedRange(begin, begin, error, missing, None)
            records = self._known_records(preamble)
            self.offset, self.record = begin + preamble.frame_len, first + (records or 1)
            if not isinstance(error, StreamOrderError):  # else it was read before, or belongs further up
                self.enter(FrameExtent(begin, self.offset, preamble, first, records or 1))
            return SkippedRange(begin, self.offset, error, 1, records)
        found = self._following() if isinstance(error, TruncatedError) else None
        claimed = None if found is None else decode_preamble(self.window.take(begin, PREAMBLE_SIZE), _UNLIMITED)
        if found is None and not isinstance(error, TornTailError) and self.window.descriptor >= 0:
            found = self._searching().find(begin, self.last)
        if found is None:
            self.offset = self.window.size()
            return SkippedRange(begin, self.offset, error, None, None)
        self.offset, preamble = found
        frames = None
        if claimed is not None and claimed.stream_id == preamble.stream_id and claimed.stream_id:
            frames = preamble.seq - claimed.seq
        elif self.last is not None and self.last[0] == preamble.stream_id and self.last[0]:
            frames = preamble.seq - self.last[1] - 1
        self.record = first + (1 if frames is None else frames)
        self._expect(preamble)
        return SkippedRange(begin, self.offset, error, frames, None if frames else frames)

    def _searching(self) -> "Search":
        if self._search is None:
            self._search = Search(self.window)
        return self._search

    def _following(self) -> tuple[int, Preamble] | None:
        """Return a frame of the stream within the extent that the frame here claims and that goes beyond the end.

        If there is one, the frame here is no torn tail (spec 9.1). An artifact within the frame's own content is none.
        """
        if self.window.descriptor < 0:  # a pipe, or an object in a store, in which nothing is searched for
            return None
        try:
            preamble = decode_preamble(self.window.take(self.offset, PREAMBLE_SIZE), _UNLIMITED)
        except ReadError:
            return None
        return self._searching().find_within(self.offset, preamble, self._seqs)

    def refused_preamble(self) -> Preamble | None:
        """Return the preamble of the refused frame here, if it is right, so that the frame's end is known."""
        try:
            preamble = decode_preamble(self.window.take(self.offset, PREAMBLE_SIZE), _UNLIMITED)
            self._check_presence(preamble)
        except ReadError:
            return None
        return preamble

    def _expect(self, preamble: Preamble) -> None:
        """Take a frame as the next one of its stream."""
        if preamble.stream_id:
            self._seqs[preamble.stream_id] = preamble.seq - 1

    def _known_records(self, preamble: Preamble) -> int | None:
        """Return how many records the frame here holds, or None if its header is refused at steps 1 to 13."""
        try:
            self._count(preamble)
            head = self.window.take(self.offset, preamble.head_len)[PREAMBLE_SIZE:]
            return decode_head(preamble, head, _ANY_SIZE, self._verify).records or 1
        except ReadError:
            return None

    def _torn(self, error: ReadError) -> TornTailError | None:
        """Return the torn tail that begins here, if this error means one."""
        if isinstance(error, TruncatedError):
            if self._following() is not None:
                error.hint = "frames of the stream follow, so this length is wrong: it was forged, or written in error"
                return None
            reason = "the stream ends within a frame"
        elif self._is_zero_to_end():
            reason = "the stream ends in zero bytes"
        else:
            return None
        torn = TornTailError(reason, error.expected, error.found).at(error.step)
        torn.good_end = self.offset
        return torn

    def _is_zero_to_end(self) -> bool:
        """Return whether only zero bytes follow. A hole in a sparse file is stepped over, where the system can."""
        offset, count = self.offset, PREAMBLE_SIZE  # few at first: a pipe may not have more yet
        while True:
            if hasattr(os, "SEEK_DATA") and self.window.descriptor >= 0:
                try:
                    offset = max(offset, os.lseek(self.window.descriptor, offset, os.SEEK_DATA))
                except OSError as exc:
                    if exc.errno == errno.ENXIO:  # no data follows
                        return True
            data = self.window.take(offset, count)
            if not data:
                return True
            if data.count(0) != len(data):
                return False
            offset += len(data)
            count = min(2 * count, _MOST_ZEROS)


def wait_for_first_frame(descriptor: int) -> bool:
    """Wait until the first frame of a stream is written, if it is being written. Return whether to look again.

    Waits no longer than `Scanner.wait_for_appends`.
    """
    window = FileWindow(descriptor)
    start = window.take(0, PREAMBLE_SIZE)
    try:
        preamble = decode_preamble(start, _UNLIMITED)
    except TruncatedError:
        is_begun = bool(start)
    except ReadError:
        return False
    else:
        is_begun = preamble.stream_id != 0 and preamble.frame_len > window.size()
    return is_begun and Scanner(window, is_shared=True).wait_for_appends()


def is_damage(error: ReadError) -> bool:
    """Return whether an error means that bytes are damaged, or newer than this library.

    Else it is about what the caller allows, what is installed, or what a payload does.
    """
    return error.step not in (15, 20) and error.code not in _NO_DAMAGE


def _missing(error: ReadError, preamble: Preamble) -> int:
    """Return how many frames are missing, as a gap in seq shows."""
    if isinstance(error, StreamOrderError) and isinstance(error.expected, int):
        return max(preamble.seq - error.expected, 0)
    return 0


# --- the search for the next frame after a damaged one (spec section 9.1, resynchronisation) --------------------------

_FIRST_SEARCHED, _MOST_SEARCHED = 1 << 16, 1 << 20  # bytes searched at once: few at first, the next frame is near
_MOST_HASHED = 16  # bytes of headers that are hashed, for each byte that is searched: false frames may overlap


class Search:
    """All searches of one scanner, through the file of its window, for the magic.

    A search that meets no later frame of the wanted stream goes on to the end of the file. It remembers the frames of
    other streams that it saw, so that later searches know whether there is anything to look for. So a file with many
    streams and much damage is read through a few times, and not once more for each stream.
    """

    __slots__ = ("_hashed", "_seen", "_size", "_window", "_within")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._hashed = 0  # bytes of headers, by all searches
        self._size = -1  # of the file, when it was last searched to its end
        self._seen: dict[int, list[tuple[int, int]]] = {}
        self._within: tuple[object, tuple[int, Preamble] | None] = None, None  # the newest question, and its answer

    def find_within(self, offset: int, claimed: Preamble, seqs: Mapping[int, int]) -> tuple[int, Preamble] | None:
        """Return the first frame of the stream that begins within the extent which another one claims, or None.

        Args:
            offset: where the frame begins that is not all there.
            claimed: its preamble.
            seqs: the last seq of each stream_id before it.
        """
        size = self._window.size()
        question = offset, claimed, size, dict(seqs)
        if self._within[0] != question:
            known = dict(seqs)
            if claimed.stream_id:
                known[claimed.stream_id] = claimed.seq
            found = (
                (at, preamble)
                for at, preamble in self._candidates(offset + ALIGNMENT, size)
                if not claimed.stream_id
                or (preamble.stream_id and preamble.seq > known.get(preamble.stream_id, math.inf))
            )
            self._within = question, next(found, None)
        return self._within[1]

    def find(self, offset: int, last: tuple[int, int] | None) -> tuple[int, Preamble] | None:
        """Return where the next frame after a damaged one begins, and its preamble, or None if there is none.

        Args:
            offset: where the damaged one begins.
            last: stream_id and seq of the last frame whose preamble was in order.
        """
        stream_id, seq = last or (0, 0)
        size = self._window.size()
        may_be_there = size != self._size or self._was_seen(offset, stream_id, seq)
        other: tuple[int, Preamble] | None = None
        seen: dict[int, list[tuple[int, int]]] = {}
        for at, preamble in self._candidates(offset + ALIGNMENT, size):
            if not stream_id or (preamble.stream_id == stream_id and preamble.seq > seq):
                return at, preamble
            if other is None and preamble.stream_id != stream_id:
                other = at, preamble
                if not may_be_there:
                    return other
            steps = seen.setdefault(preamble.stream_id, [])
            while steps and steps[-1][1] <= preamble.seq:
                steps.pop()
            steps.append((at, preamble.seq))
        self._size, self._seen = size, seen
        return other

    def _was_seen(self, offset: int, stream_id: int, seq: int) -> bool:
        """Return whether a frame of a stream with a higher seq was seen after an offset.

        Of each stream, those frames are remembered that no frame with a higher seq follows. So the first of them after
        the offset has the highest seq there.
        """
        steps = self._seen.get(stream_id, [])
        at = bisect_left(steps, (offset, 0))
        return not stream_id or (at < len(steps) and steps[at][1] > seq)

    def _candidates(self, offset: int, size: int) -> Iterator[tuple[int, Preamble]]:
        """Yield the frames that begin from an offset on, by their heads; also those within other frames."""
        most = _MOST_HASHED * size + _MOST_SEARCHED
        count = _FIRST_SEARCHED
        while offset < size:
            data = read_at(self._window.descriptor, count, offset)
            at = data.find(MAGIC)
            while at >= 0:
                if (offset + at) % ALIGNMENT == 0:
                    preamble = self._head(offset + at, size)
                    if preamble is not None:
                        yield offset + at, preamble
                    if self._hashed > most:
                        return
                at = data.find(MAGIC, at + 1)
            offset += max(len(data) // ALIGNMENT * ALIGNMENT, ALIGNMENT)
            count = min(2 * count, _MOST_SEARCHED)

    def _head(self, offset: int, size: int) -> Preamble | None:
        """Return the preamble of the frame that begins here, if both checksums are right and it is whole."""
        try:
            preamble = decode_preamble(self._window.take(offset, PREAMBLE_SIZE), _UNLIMITED)
        except ReadError:
            return None
        if offset + preamble.frame_len > size:
            return None
        header = self._window.take(offset + PREAMBLE_SIZE, preamble.header_len)
        self._hashed += len(header)
        return preamble if checksum(header) == preamble.header_xxh3 else None
