"""A source whose bytes are given to it, in chunks of any size. It never waits: the other sources ask for their bytes.

Strategy: `head` grows until the header is complete. `begin` then says which sections follow. Every chunk is hashed and
stored as it comes, and a section is checked when its last byte is there (spec section 11, step 16). Afterwards the
reader algorithm asks for the sections, as it does of every source, and gets what was checked.

Memory grows with what arrives, not with a declared length (spec I6). This module knows no header and no policy.
"""

import io
from typing import Any

from .._format.frame import SectionCheck, padding_of
from ..errors import TruncatedError
from .threads import ThreadPool

__all__ = ["FedSource"]


class FedSource:
    """The bytes of one frame that have come so far.

    Args:
        keep_buffers: whether sections after the first are stored. Compressed ones always are, until they are decoded.
    """

    readonly = False

    def __init__(self, keep_buffers: bool) -> None:
        self.pool: ThreadPool | None = None
        self.name: str | None = None
        self.head = bytearray()  # preamble, header and seal
        self.is_followed = False  # whether bytes follow the frame
        self._keep_buffers = keep_buffers
        self._position = 0  # in `head`
        self._fed = 0  # bytes of the frame so far; only counted for sections
        self._entries: list[dict[str, Any]] = []
        self._checked: list[Any] = []  # what `section` returns
        self._open: _OpenSection | None = None

    def begin(self, entries: list[dict[str, Any]]) -> None:
        """Take all further bytes as those of the sections that a header has."""
        self._entries = entries
        self._fed = len(self.head)
        self._open_next()

    def feed(self, data: memoryview) -> None:
        """Take the next bytes of the sections, which must be immutable. No byte may be one after the frame.

        Raises:
            SectionChecksumError, SectionPaddingError: as `SectionCheck.finish`, once a section is complete.
        """
        self._fed += len(data)
        while data and self._open is not None:
            data = self._open.feed(data)
            if self._open.is_complete():
                self._open_next()

    def _open_next(self) -> None:
        """Finish the open section, if there is one, and open the next that has bytes to come."""
        while self._open is None or self._open.is_complete():
            if self._open is not None:
                self._checked.append(self._open.finish())
                self._open = None
            index = len(self._checked)
            if index == len(self._entries):
                return
            entry = self._entries[index]
            self._open = _OpenSection(index, entry, self._keep_buffers or not index or "codec" in entry)

    def take(self, count: int) -> bytes:
        start = self._position
        self._position = start + count
        return bytes(self.head[start : start + count])

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        if index < len(self._checked):
            return self._checked[index]
        lengths = [each["len"] for each in self._entries[: index + 1]]
        end = len(self.head) + sum(length + padding_of(length) for length in lengths)
        reason = "the input ends within a section"
        raise TruncatedError(reason, end, self._fed, None, f"sections[{index}]").at(16)

    def at_end(self) -> bool:
        return not self.is_followed


class _OpenSection:
    """A section whose bytes come in."""

    def __init__(self, index: int, entry: dict[str, Any], keep: bool) -> None:
        self._check = SectionCheck(index, entry)
        self._left: int = entry["len"]
        self._padding_len = padding_of(self._left)
        self._padding = b""
        # Section 0 becomes bytes: BytesIO gives away what it has without a copy. The others become writable memory.
        self._payload = io.BytesIO() if keep and index == 0 else None
        self._buffer = bytearray() if keep and index else None

    def feed(self, data: memoryview) -> memoryview:
        """Take what belongs to this section, and return the rest."""
        part, rest = data[: self._left], data[self._left :]
        if part:
            self._check.update(part)
            if self._payload is not None:
                self._payload.write(part)
            elif self._buffer is not None:
                self._buffer += part
            self._left -= len(part)
        missing = 0 if self._left else self._padding_len - len(self._padding)
        self._padding += rest[:missing]
        return rest[missing:]

    def is_complete(self) -> bool:
        return not self._left and len(self._padding) == self._padding_len

    def finish(self) -> Any:
        """Check the section, and return it as `Source.section` does."""
        self._check.finish(self._padding)
        if self._payload is not None:
            return self._payload.getvalue()
        return None if self._buffer is None else memoryview(self._buffer)
