"""The paths on a command line, and opening what they stand for: files, folders, patterns, URLs, standard input.

Whether something is an artifact or a stream is decided by its contents, not by its name. Nothing is unpickled here.
"""

import errno
import glob
import io
import itertools
import os
import stat
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, BinaryIO, NamedTuple

from .._format.limits import Limits
from .._format.preamble import MAGIC, PREAMBLE_SIZE, Preamble, decode_preamble
from .._io.source import FileSource
from .._io.url import import_fsspec, is_url, local_path, masked, os_error
from .._policy import Policy
from .._streams.reader import StreamReader, frames_of_pipe
from .._streams.scanner import Frame, SkippedRange, wait_for_first_frame
from .._typing import T
from ..catalog import HeaderEntry, iter_headers, read_headers
from ..errors import ReadError, StreamWarning
from .output import UsageError

STDIN = "-"
_ENDINGS = (".pseal",)


class Target(NamedTuple):
    """One thing to read; or, with an error, a folder or pattern that can't be listed, or what can't be read."""

    path: str
    error: OSError | None = None
    info: Mapping[str, Any] | None = None  # from the listing of a store
    top: str | None = None  # the folder on the command line in which it was found

    @property
    def is_url(self) -> bool:
        """Return whether it is a URL."""
        return is_url(self.path)


def expand(
    paths: Sequence[str],
    options: dict[str, Any] | None = None,
    endings: Sequence[str] = _ENDINGS,
    allow_empty: bool = False,
) -> Iterator[Target]:
    """Yield what paths stand for, each once, in a fixed order.

    A folder (or a URL that ends with `/`) stands for all files in it and below with one of the endings. A file is taken
    whatever its ending is. A pattern (`*`, `?`, `[`) that is not the name of a file stands for what it matches, and
    `**` in it for any folders. Links to folders are not followed. What is found in a folder or by a pattern must be a
    regular file: a pipe or a device there gets an error, as it could be read without end.

    Args:
        options: `storage_options` for the stores of URLs.
        allow_empty: whether a folder or pattern may stand for nothing.

    Raises:
        UsageError: a folder or pattern stands for nothing. It is raised before the first target.
    """
    found = [_nonempty(path, options, endings, allow_empty) for path in paths]
    seen: set[str] = set()
    for targets in found:
        for target in targets:
            if target.path not in seen:
                seen.add(target.path)
                yield target


def _nonempty(path: str, options: dict[str, Any] | None, endings: Sequence[str], allow_empty: bool) -> Iterable[Target]:
    """Return what a path stands for. Of a folder or pattern, the first is looked for at once."""
    if path == STDIN or not (is_url(path) or _is_many(path)):
        return (Target(path),)
    targets = _expand_url(path, options, endings) if is_url(path) else _expand_path(path, endings)
    first = next(targets, None)
    if first is not None:
        return itertools.chain((first,), targets)
    if allow_empty:
        return ()
    if glob.has_magic(path) and not os.path.isdir(path):
        raise UsageError(f"{masked(path)}: nothing matches; --allow-empty accepts that")
    ends = " or ".join(endings) if len(endings) < 4 else f"{', '.join(endings[:3])} or another ending of pickles"
    raise UsageError(f"{masked(path)}: holds no file that ends with {ends}; --allow-empty accepts that")


def _is_many(path: str) -> bool:
    """Return whether a path stands for what is in a folder or matches a pattern."""
    return os.path.isdir(path) or (not os.path.lexists(path) and glob.has_magic(path))


def local_files(paths: Sequence[str], action: str, allow_empty: bool) -> Iterator[Target]:
    """Yield what paths stand for, for commands that change files in place. `action` says what they do: `signed`.

    Raises:
        UsageError: a path is a URL or standard input, or a folder or pattern stands for nothing.
    """
    for target in expand(paths, allow_empty=allow_empty):
        if target.is_url or target.path == STDIN:
            raise UsageError(f"{target.path}: only local files can be {action}")
        yield target


def _expand_path(path: str, endings: Sequence[str]) -> Iterator[Target]:
    if os.path.isdir(path):
        yield from (target._replace(top=path) for target in _walk(path, endings))
        return
    errors: list[OSError] = []
    found = sorted(set(_matches(path, errors)))
    yield from (Target(error.filename or path, error) for error in errors)
    for match in found:
        # a file with the name - is a file; only on the command line does - mean standard input
        name = os.path.join(".", match) if match == STDIN else match
        if os.path.isdir(name):
            yield from _walk(name, endings)
        else:
            yield _found(name)


def _found(path: str) -> Target:
    """Return a target that nobody named. Opening a pipe or a device could wait for ever."""
    with suppress(OSError):  # opening it says what is wrong
        if not stat.S_ISREG(os.stat(path).st_mode):
            return Target(path, OSError(errno.EINVAL, "not a regular file", path))
    return Target(path)


def _matches(pattern: str, errors: list[OSError]) -> Iterator[str]:
    """Yield what a pattern matches. `glob` follows links below `**`: with two links that lead up, it never ends."""
    parts = pattern.replace(os.altsep or os.sep, os.sep).split(os.sep)
    if "**" not in parts:
        yield from glob.glob(pattern)
        return
    place = parts.index("**")
    base, rest = os.path.join(os.sep.join(parts[:place]), ""), parts[place + 1 :]
    if place and parts[:place] == [""]:
        base = os.sep
    for top in glob.glob(base) if base else [""]:
        for here, folders, _ in os.walk(top or os.curdir, onerror=errors.append):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = here if top else os.path.relpath(here)
            start = "" if below == os.curdir else glob.escape(os.path.join(below, ""))
            yield from _matches(start + os.sep.join(rest or ["*"]), errors)


def _walk(folder: str, endings: Sequence[str]) -> Iterator[Target]:
    errors: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=errors.append):
        yield from (Target(error.filename or here, error) for error in errors)
        errors.clear()
        folders.sort()
        for name in sorted(files):
            if name.endswith(tuple(endings)):
                yield _found(os.path.join(here, name))
    yield from (Target(error.filename or folder, error) for error in errors)


def _expand_url(url: str, options: dict[str, Any] | None, endings: Sequence[str]) -> Iterator[Target]:
    is_folder, is_pattern = url.endswith("/"), glob.has_magic(url) and not url.startswith("http")
    if not is_folder and not is_pattern:
        yield Target(url)
        return
    fsspec = import_fsspec()
    try:
        system, path = fsspec.core.url_to_fs(url, **(options or {}))
        listed = system.find(path, detail=True) if is_folder else system.glob(path, detail=True)
        names = [name for name in sorted(listed) if not is_folder or name.endswith(tuple(endings))]
        targets = [Target(system.unstrip_protocol(name), None, listed[name]) for name in names]
    except Exception as exc:  # a store raises whatever its library raises
        yield Target(masked(url), os_error(exc, url))
        return
    yield from targets


def headers_of(
    targets: Iterable[Target], policy: Policy, refused: Callable[[str, Exception], None]
) -> Iterator[HeaderEntry]:
    """Yield the headers in what targets stand for, those of standard input last. What can't be listed is `refused`."""
    stdin: list[bytes] = []

    def paths() -> Iterator[str]:
        for target in targets:
            if target.error is not None:
                refused(target.path, target.error)
            elif target.path == STDIN:
                stdin.append(sys.stdin.buffer.read())
            else:
                yield target.path

    yield from iter_headers(paths(), policy=policy)
    for data in stdin:
        yield from read_headers(data, name=STDIN, policy=policy)


_UNLIMITED = Limits()
_CHUNK = 1 << 20
_LOOKS = 5  # at a file that changes while it is looked at


class Subject:
    """Something to read: a local file (`local` is its path) or a URL. `path` is its name in the output."""

    def __init__(self, path: str, local: str | None, url: str | None = None) -> None:
        self.path = path
        self.local = local
        self.url = url

    @property
    def source(self) -> str:
        """Return the path or URL, as the functions of the library take it."""
        return self.local if self.local is not None else str(self.url)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it as a binary file that can seek.

        Raises:
            OSError, MissingExtraError, ValueError: it can't be opened.
        """
        if self.local is not None:
            with io.FileIO(self.local) as file:
                yield file
        else:
            from .._io.remote import RangeFile

            with RangeFile(str(self.url), None) as remote:
                yield remote  # type: ignore[misc]

    def size(self) -> int | None:
        """Return its length in bytes; None if a store does not say."""
        if self.local is not None:
            return os.stat(self.local).st_size
        from .._io.remote import RangeFile

        with RangeFile(str(self.url), None) as remote:
            return remote.left()

    def preamble(self) -> Preamble | None:
        """Return the preamble of the first frame, or None if it is refused."""
        with self.open() as file:
            try:
                return decode_preamble(FileSource(file, whole=False).take(PREAMBLE_SIZE), _UNLIMITED)
            except ReadError:
                return None

    def steady(self, look: Callable[[], T]) -> T:
        """Return what a look at it returns. If the look is refused and the file changed meanwhile, look again."""
        for _ in range(_LOOKS):
            before = self._mark()
            try:
                return look()
            except ReadError:
                self._wait_for_first_frame()
                if self._mark() == before:
                    raise
        return look()

    def _mark(self) -> tuple[int, int] | None:
        """Return size and time of a local file."""
        if self.local is None:
            return None
        status = os.stat(self.local)
        return status.st_size, status.st_mtime_ns

    def _wait_for_first_frame(self) -> None:
        if self.local is not None:
            with self.open() as file:
                wait_for_first_frame(file.fileno())

    def is_stream(self) -> bool:
        """Return whether it is to be read as a stream (spec section 11).

        It is one if it is an empty file, if it has several frames, or if its only frame was appended and is not whole.
        A pipe from which nothing came is none: something went wrong before.
        """
        self._wait_for_first_frame()
        preamble, size = self.preamble(), self.size()
        if size == 0:
            return self.local in (None, self.path)
        if preamble is None or size is None or preamble.frame_len == size:
            return False
        if preamble.stream_id or preamble.frame_len > size:
            return bool(preamble.stream_id)
        with self.open() as file:
            file.seek(preamble.frame_len)
            return file.read(len(MAGIC)) == MAGIC

    def frames(self, policy: Policy, verify: bool, lost: list[SkippedRange], start: int = 0) -> Iterator[Frame]:
        """Yield the frames of a stream, beginning with a record. In a file, damage is skipped and added to `lost`.

        Warns of damage, except within `quietly`.

        Raises:
            ReadError: a refusal that is not damage; at a URL, damage too.
        """
        if self.local is None:
            yield from self._remote_frames(policy, verify, start)
            return
        with StreamReader(self.local, policy=policy, on_error="skip") as stream:
            if start:
                stream.seek(start)
            frames = stream.frames(verify)
            while True:
                frame = next(frames, None)
                lost += stream.lost[len(lost) :]
                if frame is None:
                    return
                yield frame

    def _remote_frames(self, policy: Policy, verify: bool, start: int) -> Iterator[Frame]:
        with self.open() as file:
            for frame in frames_of_pipe(file, policy, verify):
                if frame.record + frame.records > start:
                    yield frame


@contextmanager
def quietly() -> Iterator[None]:
    """Switch off the warnings of streams, whose damage a command reports. For all threads, as filters are global."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamWarning)
        yield


@contextmanager
def opened(target: Target) -> Iterator[Subject]:
    """Return what a target stands for. The contents of a pipe are copied to a temporary file.

    Raises:
        OSError: it can't be read.
    """
    if target.error is not None:
        raise target.error
    if target.path == STDIN:
        with _copied(sys.stdin.buffer) as copy:
            yield Subject(STDIN, copy)
    elif is_url(target.path):
        local = local_path(target.path)
        yield Subject(masked(target.path) if local is None else local, local, target.path)
    elif stat.S_ISFIFO(os.stat(target.path).st_mode):  # `<(zcat old.gz)` of a shell
        with open(target.path, "rb") as pipe, _copied(pipe) as copy:
            yield Subject(target.path, copy)
    else:
        yield Subject(target.path, target.path)


@contextmanager
def _copied(pipe: IO[bytes]) -> Iterator[str]:
    """Copy everything from a pipe to a temporary file, and return its path."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pickleseal-") as folder:
        copy = os.path.join(folder, "copy")
        with open(copy, "wb") as file:
            shutil.copyfileobj(pipe, file, _CHUNK)
        yield copy


def lost_facts(lost: Sequence[SkippedRange]) -> list[dict[str, Any]]:
    """Return what was skipped in a stream, for programs."""
    return [{"offset": one.offset, "end": one.end, "code": one.error.code, "records": one.records} for one in lost]
