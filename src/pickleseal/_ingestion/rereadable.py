"""A source that can give its bytes once more after they were refused, so that a quarantine can keep them.

Bytes stay as they are. A file that can seek is read again from where reading began. What a pipe gives is recorded if
there is a quarantine. Nothing here decides what is refused.
"""

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from .._format.header import Header
from .._format.limits import Limits
from .._format.preamble import PREAMBLE_SIZE, decode_preamble
from .._io.remote import RangeFile, RangeSource
from .._io.source import BytesSource, FileSource, bytes_left
from .._io.threads import ThreadPool
from .._io.url import is_url, local_path
from .._policy import Policy
from .._reading import read_header
from ..errors import ReadError

_CHUNK = 1 << 20


class _Recorder:
    """A file that cannot seek, which keeps what is read from it, up to a number of bytes."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self.name = getattr(file, "name", None)
        self.parts: list[bytearray] = []
        self.size = 0
        self.ended = False

    def read(self, count: int) -> Any:
        chunk = self._file.read(count)
        if chunk and not isinstance(chunk, str):  # the source above refuses text
            self.size += len(chunk)
            if self.size <= self._most:
                if not self.parts or len(self.parts[-1]) >= _CHUNK:
                    self.parts.append(bytearray())  # not one for each chunk: they may be tiny
                self.parts[-1] += chunk
            else:
                self.parts.clear()  # too large to be kept, so there is no need to remember it
        self.ended = self.ended or chunk == b""
        return chunk


class RereadableSource:
    """A `Source` over bytes, a path, a URL or a file, and again the bytes that it gave. Use it as a context manager.

    Args:
        data: as for `Reader.read`.
        most: how many bytes of a file that cannot seek are recorded; None: nothing is.

    Raises:
        OSError: the path can't be opened.
        MissingExtraError, ValueError: no package for the store of the URL is installed, or known.
        TypeError: `data` is something else.
    """

    def __init__(self, data: Any, most: int | None) -> None:
        self.head = b""  # what was read in front of the sections
        self.name: str | None = None
        self._own: io.FileIO | RangeFile | None = None
        self._recorder: _Recorder | None = None
        self._start: int | None = None
        self._file: Any = None
        self._source: BytesSource | FileSource
        self.is_path = isinstance(data, str | os.PathLike)
        if not self.is_path and not hasattr(data, "read"):
            self._source = BytesSource(data)
            return
        if self.is_path:
            path = local_path(data) if is_url(data) else os.fsdecode(data)
            if path is None:
                self._own = self._file = file = RangeFile(data, None)
                self.name, self._start, self._source = file.name, 0, RangeSource(file)
                return
            self.name = path
            self._own = data = io.FileIO(path)
        else:
            name = getattr(data, "name", None)
            self.name = name if isinstance(name, str) else None
        self._file = data
        if most is not None:
            with suppress(AttributeError, TypeError, OSError, ValueError):  # such a file is treated as a pipe
                self._start = data.tell() if data.seekable() else None
            if self._start is None:
                data = self._recorder = _Recorder(data, most)
        self._source = FileSource(data, whole=self.is_path)

    def __enter__(self) -> "RereadableSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file if it was opened here."""
        if self._own is not None:
            self._own.close()

    # What every `Source` has.

    readonly = False

    @property
    def pool(self) -> ThreadPool | None:
        """The threads of the source below."""
        return self._source.pool

    @pool.setter
    def pool(self, pool: ThreadPool | None) -> None:
        self._source.pool = pool

    def take(self, count: int) -> bytes:
        data = self._source.take(count)
        self.head += data
        return data

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        return self._source.section(index, entry, keep)

    def at_end(self) -> bool:
        return self._source.at_end()

    # What is known once the artifact is refused.

    def frame_len(self) -> int | None:
        """Return the length of the frame in bytes, from its preamble, or None if the preamble is damaged."""
        try:
            return decode_preamble(self.head[:PREAMBLE_SIZE], Limits()).frame_len
        except ReadError:
            return None

    def header(self, step: int, policy: Policy) -> Header | None:
        """Return the header of an artifact that was refused at a step, if that comes after the header's own steps."""
        try:
            return read_header(BytesSource(self.head), policy) if step > 13 else None
        except ReadError:  # the file object itself raised the error, before the header was there
            return None

    def size(self) -> int | None:
        """Return how many bytes `chunks` gives, or None if that is not known yet."""
        if isinstance(self._source, BytesSource):
            return len(self._source.data)
        if self._recorder is not None:
            return self._recorder.size
        position = self._file.tell()
        try:
            self._file.seek(self._start)
            left, frame_len = bytes_left(self._file), self._wanted()
            return left if left is None or frame_len is None else min(left, frame_len)
        finally:
            self._file.seek(position)

    def is_complete(self) -> bool:
        """Return whether `chunks` gives everything that belongs to the artifact and was there."""
        if self._recorder is None:
            return True
        wanted = self._wanted()
        return self._recorder.ended or (wanted is not None and self._recorder.size >= wanted)

    def chunks(self) -> Iterator[bytes]:
        """Give the bytes: all of a path or of bytes in memory; of a file one frame, or all if its length is damaged.

        The position of a file that can seek stays the same.
        """
        if isinstance(self._source, BytesSource):
            yield self._source.data
        elif self._recorder is not None:
            yield from map(bytes, self._recorder.parts)
        else:
            position = self._file.tell()
            try:
                self._file.seek(self._start)
                left = self._wanted()
                while left is None or left > 0:
                    chunk = self._file.read(_CHUNK if left is None else min(_CHUNK, left))
                    if not chunk:
                        break
                    yield bytes(chunk)
                    left = None if left is None else left - len(chunk)
            finally:
                self._file.seek(position)

    def _wanted(self) -> int | None:
        return None if self.is_path else self.frame_len()
