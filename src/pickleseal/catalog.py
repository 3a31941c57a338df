"""`iter_headers`: the headers of many artifacts and streams, for catalogs and checks. Imports and unpickles nothing.

One read of 8,192 bytes (spec section 12) holds the header of nearly every artifact. For URLs, several such range reads
are under way at once. An input that is longer than its first frame is read from frame to frame, as a stream. Sections
are not read: an intact header proves nothing about them. `verify` checks them.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from ._format.frame import decode_head
from ._format.header import Header, fields_of
from ._format.preamble import PREAMBLE_SIZE, decode_preamble
from ._format.seal import Verify
from ._format.timestamps import timestamp_of_file
from ._io.source import read_at
from ._io.stores import open_store
from ._io.threads import ThreadPool
from ._io.url import is_url, local_path, masked
from ._io.window import HEAD, BytesWindow, FileWindow, RangeWindow, Window
from ._policy import Policy, compiled, policy_with
from ._streams.scanner import FrameExtent, Scanner, wait_for_first_frame
from .errors import NotAnArtifactError, ReadError, TruncatedError

__all__ = ["COLUMNS", "HeaderEntry", "iter_headers", "read_headers", "scan_partition"]

_OPEN = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


class HeaderEntry(NamedTuple):
    """The header of one artifact or of one frame of a stream, or why it is refused. It can be pickled.

    Attributes:
        path: the file, or the URL without user, password and query.
        offset, record: where the frame begins, and the number of its first record; 0 and 0 for an artifact.
        header: the header, or None if there is an error.
        error: a `ReadError` or `OSError`, or None.
        file_size: bytes of the whole file or object, or None if that is not known.
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
        """Return the row of a catalog: plain values under the names in `COLUMNS`; None for what is not known."""
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
    context: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[HeaderEntry]:
    """Yield the headers of artifacts and streams, in the order of the paths. Imports nothing and unpickles nothing.

    A file that holds one frame gives one entry, a stream gives one for each frame, and an empty file, which is a stream
    without frames, gives none. A frame that is refused, or a file that can't be read, gives an entry with the error,
    and the next entries follow. In a local stream, reading goes on with the next frame after damage. Headers are
    claims: sections are not checked, and without keys no signature is verified.

    Args:
        paths: of files, or URLs as fsspec knows them; no folders and no patterns.
        concurrency: how many range reads are under way at once, for URLs. Files are read one after the other.
        policy: only its limits and keys are used.
        context: the context in which all of them were signed. It needs a policy with keys.
        storage_options: for all URLs, as for `load`.

    Raises:
        MissingExtraError: there is a URL, and fsspec or its package for this scheme is not installed.
        TypeError, ValueError: the arguments are not what they should be.

    Spec sections 9, 11 (steps 1 to 13) and 12.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump([1, 2, 3], path)
    >>> [(entry.header.type, entry.error) for entry in iter_headers([path])]
    [('builtins:list', None)]
    """
    policy = policy_with(policy, None, None, context)
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
        MissingExtraError, TypeError, ValueError: as for `iter_headers`. A refusal is a row with `error`.

    Spec section 12.
    """
    return [entry.as_row() for entry in iter_headers(paths, storage_options=storage_options)]


def _iterate(
    paths: Iterable[str | os.PathLike[str]], concurrency: int, policy: Policy, options: Mapping[str, Any]
) -> Iterator[HeaderEntry]:
    pool: ThreadPool | None = None
    opening: deque[_Opening] = deque()
    headers = _Headers(policy)
    try:
        for path in paths:
            name = os.fspath(path)
            local = local_path(name) if is_url(name) else name
            if local is not None and not opening:
                yield from headers.of_file(local)
                continue
            try:
                store = open_store(name, options) if local is None else None
            except ValueError as exc:  # an unknown scheme
                error = OSError(errno.EINVAL, masked(_text_of(exc)), masked(name))
                opening.append((HeaderEntry(masked(name), 0, 0, None, error), None))
                continue
            first_range: Callable[[], RangeWindow] | None = None
            if store is not None:
                first_range = partial(RangeWindow, store)
                if store.has_threads:
                    pool = pool or ThreadPool(concurrency)
                    first_range = pool.start(first_range)
            opening.append((HeaderEntry(local or masked(name), 0, 0, None, None), first_range))
            if len(opening) > 2 * concurrency:
                yield from headers.of_opened(*opening.popleft())
        while opening:
            yield from headers.of_opened(*opening.popleft())
    finally:
        if pool is not None:
            pool.close()


# A path whose turn comes later, and for an object in a store, the function that waits for its first range.
_Opening = tuple[HeaderEntry, Callable[[], RangeWindow] | None]


def read_headers(
    data: bytes | bytearray | memoryview,
    *,
    name: str = "<bytes>",
    policy: Policy | None = None,
    context: str | None = None,
) -> Iterator[HeaderEntry]:
    """Yield the headers of the artifact or the stream in some bytes, as `iter_headers` does for a file.

    Imports nothing and unpickles nothing.

    Args:
        data: the bytes.
        name: what the entries have as `path`.
        policy: only its limits and keys are used.
        context: the context in which it was signed. It needs a policy with keys.

    Raises:
        TypeError, ValueError: an argument is not what it should be. A refusal is an entry with `error`.

    >>> [entry.header.type for entry in read_headers(pack("first") + pack(2))]
    ['builtins:str', 'builtins:int']
    """
    policy = policy_with(policy, None, None, context)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data: expected bytes, a bytearray or a memoryview, found {type(data).__name__}")
    data = bytes(data)
    return _Headers(policy).of_window(HeaderEntry(name, 0, 0, None, None, len(data)), data[:HEAD], BytesWindow(data))


class _Headers:
    """How headers are read: within the limits of a policy, and with its keys if it has any."""

    def __init__(self, policy: Policy) -> None:
        self._limits = policy.limits
        self._verify: Verify | None = compiled(policy).verify

    def of_opened(self, entry: HeaderEntry, first_range: Callable[[], RangeWindow] | None) -> Iterator[HeaderEntry]:
        """Yield the entries of a path whose turn it is: a file, or an object whose first range is under way."""
        if entry.error is not None:
            yield entry
            return
        if first_range is None:
            yield from self.of_file(entry.path)
            return
        try:
            window = first_range()
        except OSError as exc:
            yield entry._replace(error=exc)
            return
        yield from self.of_window(entry._replace(file_size=window.known_size), window.head, window)

    def of_file(self, path: str) -> Iterator[HeaderEntry]:
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
                head = read_at(descriptor, HEAD, 0)
                if wait_for_first_frame(descriptor):
                    status, head = os.fstat(descriptor), read_at(descriptor, HEAD, 0)
            except OSError as exc:
                yield entry._replace(error=exc)
                return
            size, when = status.st_size, timestamp_of_file(status.st_mtime_ns)
            entry = entry._replace(file_size=size, modified=when)
            yield from self.of_window(entry, head, FileWindow(descriptor))
        finally:
            os.close(descriptor)

    def of_window(self, entry: HeaderEntry, head: bytes, window: Window) -> Iterator[HeaderEntry]:
        """Yield the entries of an input that begins with `head`: one for an artifact, or one for each frame."""
        size, is_one = window.size() if entry.file_size is None else entry.file_size, False
        try:
            if not head and not isinstance(window, BytesWindow):
                return  # a stream without frames; if no bytes arrived, something went wrong before
            preamble = decode_preamble(head[:PREAMBLE_SIZE], self._limits)
            if preamble.frame_len < size or (preamble.frame_len > size and preamble.stream_id):
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

    def _stream(self, entry: HeaderEntry, window: Window) -> Iterator[HeaderEntry]:
        scanner = Scanner(window, self._limits, is_shared=window.descriptor >= 0, verify=self._verify)
        while True:
            try:
                found = scanner.read_next(lambda extent: (self._header(window, extent), None))
            except ReadError as exc:
                yield _refused(entry, exc)
                if window.descriptor < 0 and scanner.refused_preamble() is None:
                    return  # to search an object for the next frame would need many requests
                scanner.skip(exc)
            except OSError as exc:
                yield entry._replace(offset=scanner.offset, record=scanner.record, error=exc)
                return
            else:
                if found is None:
                    return
                frame = found[0]
                yield entry._replace(offset=frame.offset, record=frame.record, header=frame.header)

    def _header(self, window: Window, extent: FrameExtent) -> Header:
        preamble = extent.preamble
        head = window.take(extent.offset, preamble.head_len)[PREAMBLE_SIZE:]
        return decode_head(preamble, head, self._limits, self._verify)


def _refused(entry: HeaderEntry, error: ReadError) -> HeaderEntry:
    error.path = entry.path
    return entry._replace(offset=error.offset or 0, record=error.record or 0, error=error)


def _text_of(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
