"""From frame to frame through the file of a stream, by their heads alone (spec section 9.1): order, tears, and where
the next frame begins behind a damaged one. Unpickles nothing and parses no JSON but that of batches.

A `Walk` stands at an offset. `step` gives the frame there and goes behind it, or raises and stays; `skip` goes on
behind what was refused. It changes nothing in the file.
"""

import errno
import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .._format.checksum import checksum
from .._format.frame import decode_head
from .._format.header import Header
from .._format.limits import ALIGNMENT, Limits
from .._format.preamble import MAGIC, PREAMBLE_SIZE, Preamble, check_limits, decode_preamble
from .._io.window import Window, read_at
from ..errors import HeaderChecksumError, NotAnArtifactError, ReadError, StreamOrderError, TornTailError, TruncatedError

__all__ = ["Frame", "Lost", "Place", "Search", "State", "Walk", "check_order", "is_damage", "torn_tail"]

# Where the next frame begins behind a damaged one (spec section 9.1, resynchronisation): a scan for the magic.
#
# A scan that meets no further frame of the stream that it looks for goes to the end. It keeps what it saw of the
# others,
# so that later ones know whether there is anything to look for: a file of many streams and much damage is gone through
# a few times, and not once more for each of them.


_UNLIMITED = Limits()
_FIRST, _CHUNK = 1 << 16, 1 << 20  # bytes that are searched at once: few at first, the next frame is near
_MOST_HASHED = 16  # bytes of headers for each that is searched: false ones may lie one in the other


class Search:
    """Searches of one walk, through the file behind its window."""

    __slots__ = ("_hashed", "_seen", "_size", "_window")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._hashed = 0  # bytes of headers, by all searches
        self._size = -1  # of the file, when it was last searched up to its end
        self._seen: dict[int, list[tuple[int, int]]] = {}

    def find(self, offset: int, last: tuple[int, int] | None) -> tuple[int, Preamble] | None:
        """Return the frame behind a damaged one, and where it begins, or None where there is none.

        Args:
            offset: where the damaged one begins.
            last: stream_id and seq of the last frame whose preamble was in order.
        """
        stream_id, seq = last or (0, 0)
        size = self._window.size()
        is_there = size != self._size or self._is_there(offset, stream_id, seq)
        other: tuple[int, Preamble] | None = None
        seen: dict[int, list[tuple[int, int]]] = {}
        for at, preamble in self._candidates(offset + ALIGNMENT, size):
            if not stream_id or (preamble.stream_id == stream_id and preamble.seq > seq):
                return at, preamble
            if other is None and preamble.stream_id != stream_id:
                other = at, preamble
                if not is_there:
                    return other
            steps = seen.setdefault(preamble.stream_id, [])
            while steps and steps[-1][1] <= preamble.seq:
                steps.pop()
            steps.append((at, preamble.seq))
        self._size, self._seen = size, seen
        return other

    def _is_there(self, offset: int, stream_id: int, seq: int) -> bool:
        """Tell whether a frame of a stream with a higher seq was seen behind an offset.

        Kept of each stream are the frames that none with a higher seq follows: the first of them behind the offset has
        the highest seq there.
        """
        steps = self._seen.get(stream_id, [])
        at = bisect_left(steps, (offset, 0))
        return not stream_id or (at < len(steps) and steps[at][1] > seq)

    def _candidates(self, offset: int, size: int) -> Iterator[tuple[int, Preamble]]:
        """Give the frames, by their heads, that begin from an offset on; those within others, too."""
        most = _MOST_HASHED * size + _CHUNK
        count = _FIRST
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
            count = min(2 * count, _CHUNK)

    def _head(self, offset: int, size: int) -> Preamble | None:
        """Return the preamble of what begins here, if preamble and header are in order and all of it is there."""
        try:
            preamble = decode_preamble(self._window.take(offset, PREAMBLE_SIZE), _UNLIMITED)
        except ReadError:
            return None
        if offset + preamble.frame_len > size:
            return None
        header = self._window.take(offset + PREAMBLE_SIZE, preamble.header_len)
        self._hashed += len(header)
        return preamble if checksum(header) == preamble.header_xxh3 else None


_FIRST, _CHUNK = 1 << 12, 1 << 20  # bytes that are compared with zero at once
_NO_DAMAGE = frozenset({"limit-exceeded", "signature-invalid", "unsupported-codec"})
_TAIL_ERRORS = (TruncatedError, NotAnArtifactError)


State = tuple[int, int, "tuple[int, int] | None", dict[int, int], bool]


class Place(NamedTuple):
    """A frame in the file of a stream: where it is, and which records it holds."""

    offset: int
    preamble: Preamble
    record: int
    """Number of its first record."""
    records: int
    """How many it holds: 1, or those of a batch. 1 as well where its header was not looked at."""

    @property
    def end(self) -> int:
        """Offset behind the frame."""
        return self.offset + self.preamble.frame_len


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


class Lost(NamedTuple):
    """A part of a stream that was skipped.

    Attributes:
        offset, end: the extent in bytes, from the start of the file.
        error: why. `error.record` is the number of the first record that is lost.
        frames: how many frames were in there, or None where that can't be known.
        records: how many records were in there, or None where that can't be known.
    """

    offset: int
    end: int
    error: ReadError
    frames: int | None
    records: int | None


class Walk:
    """A walk through a stream's file, from an offset on where a frame begins."""

    def __init__(self, window: Window, limits: Limits = _UNLIMITED, offset: int = 0, record: int = 0) -> None:
        self.window = window
        self.limits = limits
        self._search = Search(window)
        self.move(offset, record)

    def move(self, offset: int, record: int, last: tuple[int, int] | None = None) -> None:
        """Go to where a frame begins. `last` is stream_id and seq of the frame before it, where they are known."""
        self.offset = offset
        self.record = record
        self.last = last
        self._seqs = {} if last is None else {last[0]: last[1]}  # the last seq of each stream_id
        self._is_from_start = not offset  # else it is not known which came before

    def state(self) -> State:
        """Return what `restore` goes back to."""
        return self.offset, self.record, self.last, dict(self._seqs), self._is_from_start

    def restore(self, state: State) -> None:
        """Go back to where the walk stood."""
        self.offset, self.record, self.last, self._seqs, self._is_from_start = state

    def step(self) -> Place | None:
        """Return the frame here and go behind it, or None at a clean end.

        Raises:
            As `look`.
        """
        place = self.look()
        if place is not None:
            self.enter(place)
        return place

    def look(self, with_header: bool = True) -> Place | None:
        """Return the frame here, or None at a clean end. Without the header it is not known how many records it holds.

        Raises:
            TornTailError: the rest is torn.
            ReadError: steps 1 to 8 of spec section 11, and `stream-order`; `offset` and `record` say where.
        """
        try:
            return self._look(with_header)
        except ReadError as exc:
            exc.offset, exc.record = self.offset, self.record
            raise

    def enter(self, place: Place) -> None:
        """Go behind a frame that begins here."""
        self.offset, self.record = place.end, place.record + place.records
        stream_id, seq = place.preamble.stream_id, place.preamble.seq
        self.last = stream_id, seq
        if stream_id:
            self._seqs[stream_id] = seq

    def _look(self, with_header: bool) -> Place | None:
        start = self.window.take(self.offset, PREAMBLE_SIZE)
        if not start:
            size = self.window.size()
            if size < self.offset:
                raise TruncatedError("the file became shorter than what was read of it", self.offset, size)
            return None
        try:
            preamble = decode_preamble(start, _UNLIMITED)
            if self.window.is_cut(self.offset + preamble.frame_len):
                self.window.forget()  # a torn tail may have been cut off, and another frame written there
                preamble = decode_preamble(self.window.take(self.offset, PREAMBLE_SIZE), _UNLIMITED)
            if self._is_from_start or preamble.stream_id in self._seqs:
                check_order(self._seqs, preamble)
            check_limits(preamble, self.limits)  # spec 11: limits are step 6, order is step 5
            self._check_presence(preamble)
            records = self.count(self.offset, preamble) if with_header else 1
        except _TAIL_ERRORS as exc:
            torn = torn_tail(self.window, self.offset, exc)
            raise (exc if torn is None else torn) from None
        return Place(self.offset, preamble, self.record, records)

    def _check_presence(self, preamble: Preamble) -> None:
        size = self.window.size()
        if self.offset + preamble.frame_len > size:
            raise TruncatedError("the input ends within a frame", preamble.frame_len, size - self.offset)

    def count(self, offset: int, preamble: Preamble) -> int:
        """Check the header of a frame that is there, and return how many records it holds.

        Raises:
            HeaderChecksumError: the header is damaged.
        """
        head = self.window.take(offset, preamble.head_len)[PREAMBLE_SIZE:]
        header = head[: preamble.header_len]
        if checksum(header) != preamble.header_xxh3:
            raise HeaderChecksumError("the header is damaged")
        if b'"records":' not in header:
            return 1
        try:
            return decode_head(preamble, head, _UNLIMITED).records or 1
        except ReadError:
            return 1  # refused when it is read

    def skip(self, error: ReadError) -> Lost:
        """Go on behind the frame here, which was refused with this error (spec 9.1, resynchronisation)."""
        begin, first = self.offset, self.record
        if isinstance(error, TornTailError):
            self.offset = self.window.size()
            return Lost(begin, self.offset, error, None, None)
        preamble = self._refused()
        if preamble is not None:
            missing = self._missing(error, preamble)
            if missing:  # frames that are not there; this one is whole, and reading goes on with it
                self.record += missing
                self._expect(preamble)
                return Lost(begin, begin, error, missing, None)
            records = self.known_records(begin, preamble)
            last, seqs = self.last, dict(self._seqs)
            self.enter(Place(begin, preamble, first, records or 1))
            if isinstance(error, StreamOrderError):  # a frame that was read before, or belongs further up
                self.last, self._seqs = last, seqs
            return Lost(begin, self.offset, error, 1, records)
        found = self._search.find(begin, self.last)
        if found is None:
            self.offset = self.window.size()
            return Lost(begin, self.offset, error, None, None)
        self.offset, preamble = found
        frames = None
        if self.last is not None and self.last[0] == preamble.stream_id and self.last[0]:
            frames = preamble.seq - self.last[1] - 1
        self.record = first + (1 if frames is None else frames)
        self._expect(preamble)
        return Lost(begin, self.offset, error, frames, None if frames else frames)

    @staticmethod
    def _missing(error: ReadError, preamble: Preamble) -> int:
        """Return how many frames a gap in seq shows to be missing."""
        if isinstance(error, StreamOrderError) and isinstance(error.expected, int):
            return max(preamble.seq - error.expected, 0)
        return 0

    def _expect(self, preamble: Preamble) -> None:
        """Take a frame as the next one of its stream."""
        if preamble.stream_id:
            self._seqs[preamble.stream_id] = preamble.seq - 1

    def known_records(self, offset: int, preamble: Preamble) -> int | None:
        """Return how many records a frame holds, or None where its header is damaged."""
        try:
            return self.count(offset, preamble)
        except ReadError:
            return None

    def knows_end(self) -> bool:
        """Tell whether the preamble of a refused frame here is right, so that it is known where the frame ends."""
        return self._refused() is not None

    def _refused(self) -> Preamble | None:
        """Return the preamble of the refused frame here, if it is right and says where the frame ends."""
        try:
            preamble = decode_preamble(self.window.take(self.offset, PREAMBLE_SIZE), _UNLIMITED)
            self._check_presence(preamble)
        except ReadError:
            return None
        return preamble


def is_damage(error: ReadError) -> bool:
    """Tell whether an error is about bytes that are damaged, or newer than this library; not about what its caller
    admits, or what is installed."""
    return error.step not in (15, 20) and error.code not in _NO_DAMAGE


def check_order(seqs: Mapping[int, int], preamble: Preamble) -> None:
    """Check that a frame follows on the one before, given the last seq of each stream_id (spec 9.1).

    Raises:
        StreamOrderError: it does not.
    """
    if preamble.stream_id:
        wanted = seqs.get(preamble.stream_id, -1) + 1
        if preamble.seq != wanted:
            hint = "frames were removed, repeated, or put in another order"
            raise StreamOrderError("the frame does not follow on the one before", wanted, preamble.seq, hint, "seq")


def torn_tail(window: Window, offset: int, error: ReadError) -> TornTailError | None:
    """Return the torn tail that begins at an offset, where this error was met, or None where it is none."""
    if isinstance(error, TruncatedError):
        reason = "the stream ends within a frame"
    elif _is_zero(window, offset):
        reason = "the stream ends in zero bytes"
    else:
        return None
    torn = TornTailError(reason, error.expected, error.found).at(error.step)
    torn.offset = torn.good_end = offset
    return torn


def _is_zero(window: Window, offset: int) -> bool:
    """Tell whether nothing but zero bytes follows. A hole in a sparse file is stepped over, where the system can."""
    count = _FIRST
    while True:
        if hasattr(os, "SEEK_DATA"):
            try:
                offset = max(offset, os.lseek(window.descriptor, offset, os.SEEK_DATA))
            except OSError as exc:
                if exc.errno == errno.ENXIO:  # no data behind
                    return True
        data = window.take(offset, count)
        if not data:
            return True
        if data.count(0) != len(data):
            return False
        offset += len(data)
        count = min(2 * count, _CHUNK)
