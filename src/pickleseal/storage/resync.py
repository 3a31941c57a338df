"""Where the next frame begins behind a damaged one (spec section 9.1, resynchronisation): a scan for the magic.

A scan that meets no further frame of the stream that it looks for goes to the end. It keeps what it saw of the others,
so that later ones know whether there is anything to look for: a file of many streams and much damage is gone through
a few times, and not once more for each of them.
"""

from bisect import bisect_left
from collections.abc import Iterator

from ..errors import ReadError
from ..format.checksum import checksum
from ..format.limits import ALIGNMENT, Limits
from ..format.preamble import MAGIC, PREAMBLE_SIZE, Preamble, decode_preamble
from .window import Window, read_at

__all__ = ["Search"]

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
