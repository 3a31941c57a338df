"""`iter_headers`: the headers of many artifacts and streams, for catalogs and checks. Imports and unpickles nothing.

One read of 8,192 bytes (spec section 12) tells all of an artifact that is asked for here; for URLs so many range reads
are under way at once. What is longer than its first frame is walked through from frame to frame, as a stream. Nothing
but heads is looked at: that a header is intact says nothing of the sections, which are `verify`'s matter.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ._format.frame import decode_head
from ._format.header import Header, fields_of
from ._format.preamble import PREAMBLE_SIZE, decode_preamble
from ._format.seal import Verify
from ._format.timestamps import timestamp_of_file
from ._io.processes import locked
from ._io.stores import Store, open_store
from ._io.url import is_url, local_path, masked
from ._io.window import Window, read_at
from ._keys import verifier
from ._policy import Policy, check_is_policy
from ._streams.scanner import Place, Walk
from .errors import NotAnArtifactError, ReadError, TornTailError, TruncatedError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["COLUMNS", "HeaderEntry", "iter_headers", "read_headers", "scan_partition"]

_HEAD = 8192  # spec 12: what a reader asks for first
_BLOCK = 1 << 18  # bytes of a range, once frames follow on each other closely
_OPEN = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


class HeaderEntry(NamedTuple):
    """One artifact, or one frame of a stream, by its header alone; or a refusal. It can be pickled.

    Attributes:
        path: the file, or the URL without user, password and query.
        offset, record: where the frame begins, and the number of its first record; 0 and 0 for an artifact.
        header: the header, or None where there is an error.
        error: a `ReadError` or `OSError`, or None.
        file_size: bytes of the whole file or object, or None where that is not known.
        modified: when the file was last modified, in the form of `created`; None for URLs.
    """

    path: str
    offset: int
    record: int
    header: Header | None
    error: Exception | None
    file_size: int | None = None
    modified: str | None = None

    def as_row(self) -> dict[str, Any]:
        """Return the row of a catalog: plain values, the same names always, None for what is not known."""
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        row |= {"path": self.path, "offset": self.offset, "record": self.record}
        row |= {"modified": self.modified, "size": self.file_size}
        if self.error is not None:
            row["error"] = self.error.code if isinstance(self.error, ReadError) else "unreadable"
            row["reason"] = self.error.reason if isinstance(self.error, ReadError) else _text_of(self.error)
        if self.header is not None:
            header = self.header
            fields = fields_of(header)
            codecs = sorted({entry["codec"] for entry in fields["sections"] if "codec" in entry})
            row |= {
                "size": header.frame_len,
                "type": fields["type"],
                "version": fields["version"],
                "created": fields["created"],
                "records": header.records,
                "protocol": header.protocol,
                "sections": len(fields["sections"]),
                "codec": ",".join(codecs) or None,
                "build": dict(fields["build"]),
                "meta": dict(fields.get("meta", {})),
                "globals": list(fields["globals"]),
                "types": {name: was["version"] for name, was in fields.get("types", {}).items()},
                "packages": dict(fields.get("packages", {})),
                "signed": [key for _, key in header.signatures],
            }
        return row


COLUMNS = (
    *("path", "offset", "record", "records", "type", "version", "created", "size", "protocol", "sections", "codec"),
    *("build", "meta", "globals", "types", "packages", "signed", "modified", "etag", "error", "reason"),
)


def iter_headers(
    paths: Iterable[str | os.PathLike[str]],
    *,
    concurrency: int = 32,
    policy: Policy | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[HeaderEntry]:
    """Give the headers of artifacts and streams, in the order of the paths. Imports nothing and unpickles nothing.

    A file that holds one frame gives one entry, a stream one for each frame. What is refused or can't be read gives an
    entry with the error, and the next ones follow; behind damage in a local stream reading goes on with the next frame.
    Headers are claims: sections are not looked at, nor the seals verified without keys.

    Args:
        paths: of files, or URLs as fsspec knows them; no folders and no patterns.
        concurrency: how many range reads are under way at once, for URLs. Files are read one after the other.
        policy: only its limits and keys count.
        storage_options: for all URLs, as for `load`.

    Raises:
        MissingExtraError: a URL, and fsspec or its package for this scheme is not installed.
        TypeError, ValueError: the arguments are not what they should be.

    Spec sections 9, 11 (steps 1 to 13) and 12.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump([1, 2, 3], path)
    >>> [(entry.header.type, entry.error) for entry in iter_headers([path])]
    [('builtins:list', None)]
    """
    policy = check_is_policy(policy)
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(f"paths: expected a list of paths, found {type(paths).__name__}")
    if type(concurrency) is not int or concurrency < 1:
        raise ValueError(f"concurrency: expected an integer from 1, found {concurrency!r}")
    if storage_options is not None and not isinstance(storage_options, Mapping):
        raise TypeError(f"storage_options: expected a mapping, found {type(storage_options).__name__}")
    return _iterate(paths, concurrency, policy, storage_options or {})


def scan_partition(paths: list[str], storage_options: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the catalog's rows of some paths or URLs, for engines that map a function over partitions.

    Imports nothing and unpickles nothing of the artifacts. Function, arguments and result can be pickled.

    Raises:
        MissingExtraError, TypeError, ValueError: as for `iter_headers`. What is refused or can't be read is a row with
            `error`.

    Spec section 12.
    """
    return [entry.as_row() for entry in iter_headers(paths, storage_options=storage_options)]


def _iterate(
    paths: Iterable[str | os.PathLike[str]], concurrency: int, policy: Policy, options: Mapping[str, Any]
) -> Iterator[HeaderEntry]:
    pool: ThreadPoolExecutor | None = None
    opening: deque[tuple[HeaderEntry, Store | None, Future[_Ranges] | None]] = deque()
    read = _Reading(policy)
    try:
        for path in paths:
            name = os.fspath(path)
            local = local_path(name) if is_url(name) else name
            if local is not None and not opening:
                yield from read.file(local)
                continue
            try:
                store = open_store(name, options) if local is None else None
            except ValueError as exc:  # a scheme that nobody knows
                error = OSError(errno.EINVAL, masked(_text_of(exc)), masked(name))
                opening.append((HeaderEntry(masked(name), 0, 0, None, error), None, None))
                continue
            coming = None
            if store is not None and store.has_threads:
                pool = pool or _pool(concurrency)
                coming = pool.submit(_Ranges, store)
            opening.append((HeaderEntry(local or masked(name), 0, 0, None, None), store, coming))
            if len(opening) > 2 * concurrency:
                yield from read.opened(*opening.popleft())
        while opening:
            yield from read.opened(*opening.popleft())
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _pool(size: int) -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(size)


def read_headers(name: str, data: bytes, policy: Policy) -> Iterator[HeaderEntry]:
    """Give the headers of what some bytes hold, as `iter_headers` does for a file."""
    return _Reading(policy).window(HeaderEntry(name, 0, 0, None, None, len(data)), data[:_HEAD], _Bytes(data))


class _Reading:
    """How headers are read: within limits, and with keys where there are some."""

    def __init__(self, policy: Policy) -> None:
        self._limits = policy.limits
        self._verify: Verify | None = None if policy.keys is None else verifier(policy.keys, policy.signed_by)

    def opened(
        self, entry: HeaderEntry, store: Store | None, coming: "Future[_Ranges] | None"
    ) -> Iterator[HeaderEntry]:
        """Give the entries of a path whose turn it is: a file, or an object whose first range is under way."""
        if entry.error is not None:
            yield entry
            return
        if store is None:
            yield from self.file(entry.path)
            return
        try:
            ranges = _Ranges(store) if coming is None else coming.result()
        except OSError as exc:
            yield entry._replace(error=exc)
            return
        yield from self.window(entry._replace(file_size=ranges.known_size), ranges.head, ranges)

    def file(self, path: str) -> Iterator[HeaderEntry]:
        entry = HeaderEntry(path, 0, 0, None, None)
        try:
            descriptor = os.open(path, _OPEN)
        except OSError as exc:
            yield entry._replace(error=exc)
            return
        try:
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "not a regular file", path)
                head = read_at(descriptor, _HEAD, 0)
            except OSError as exc:
                yield entry._replace(error=exc)
                return
            size, when = status.st_size, timestamp_of_file(status.st_mtime_ns)
            yield from self.window(HeaderEntry(path, 0, 0, None, None, size, when), head, Window(descriptor))
        finally:
            os.close(descriptor)

    def window(self, entry: HeaderEntry, head: bytes, window: Any) -> Iterator[HeaderEntry]:
        """Give the entries of what begins with these bytes: that of one artifact, or those of a stream's frames."""
        size, is_one = window.size() if entry.file_size is None else entry.file_size, False
        try:
            if not head:
                raise TruncatedError("the file is empty", PREAMBLE_SIZE, 0).at(1)
            preamble = decode_preamble(head[:PREAMBLE_SIZE], self._limits)
            if preamble.frame_len < size:
                yield from self._stream(entry, window)
                return
            is_one = True
            if preamble.head_len > len(head):
                head = window.take(0, preamble.head_len)
            header = decode_head(preamble, head[PREAMBLE_SIZE : preamble.head_len], self._limits, self._verify)
            if preamble.frame_len > size:
                raise TruncatedError("the input ends within the frame", preamble.frame_len, size).at(16)
        except ReadError as exc:
            if is_one or isinstance(exc, NotAnArtifactError | TruncatedError):
                yield _refused(entry, exc)
            else:  # the first frame is damaged; others may follow
                yield from self._stream(entry, window)
        except OSError as exc:
            yield entry._replace(error=exc)
        else:
            yield entry._replace(header=header)

    def _stream(self, entry: HeaderEntry, window: Any) -> Iterator[HeaderEntry]:
        walk = Walk(window, self._limits)
        while True:
            try:
                place = self._look(walk)
                if place is None:
                    return
                head = window.take(place.offset, place.preamble.head_len)[PREAMBLE_SIZE:]
                header = decode_head(place.preamble, head, self._limits, self._verify)
            except ReadError as exc:
                exc.offset, exc.record = walk.offset, walk.record
                yield _refused(entry, exc)
                if not self._skip(walk, exc):
                    return
            except OSError as exc:
                yield entry._replace(offset=walk.offset, record=walk.record, error=exc)
                return
            else:
                yield entry._replace(offset=place.offset, record=place.record, header=header)
                walk.enter(place._replace(records=header.records or 1))

    @staticmethod
    def _look(walk: Walk) -> Place | None:
        """Look at the next frame. An end that looks torn may be an append that goes on: then wait for it."""
        try:
            return walk.look(with_header=False)
        except TornTailError:
            if walk.window.descriptor < 0:
                raise
            walk.window.forget()
            with suppress(OSError), locked(walk.window.descriptor, shared=True):
                pass
            return walk.look(with_header=False)

    @staticmethod
    def _skip(walk: Walk, error: ReadError) -> bool:
        """Go on behind what was refused, if that takes no search through an object's bytes."""
        if walk.window.descriptor < 0 and not walk.knows_end():
            return False
        walk.skip(error)
        return True


def _refused(entry: HeaderEntry, error: ReadError) -> HeaderEntry:
    error.path = entry.path
    return entry._replace(offset=error.offset or 0, record=error.record or 0, error=error)


def _text_of(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class _Still:
    """What a window over no file has: nobody appends to what it shows."""

    descriptor = -1

    def is_cut(self, end: int) -> bool:
        return False

    def forget(self) -> None:
        pass  # it stays as it was read


class _Bytes(_Still):
    """Bytes in memory as a window."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

    def size(self) -> int:
        return len(self._data)


class _Ranges(_Still):
    """An object in a store as a window, its first range read. A stream costs a request for some hundred frames."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.head = bytes(store.read(0, _HEAD)[:_HEAD])
        self._start, self._data = 0, self.head
        self.known_size = len(self.head) if len(self.head) < _HEAD else store.size()

    def take(self, offset: int, count: int) -> bytes:
        begin = offset - self._start
        if begin < 0 or begin + count > len(self._data):
            is_near = 0 <= begin <= len(self._data)
            length = max(count, _BLOCK if is_near else _HEAD)
            data = self._store.read(offset, offset + length)
            self._start, self._data, begin = offset, bytes(data[:length]), 0
        return self._data[begin : begin + count]

    def size(self) -> int:
        return self.known_size if self.known_size is not None else 1 << 62
