"""What one argument of a command line stands for, opened: a file, a URL, or standard input. And whether it is one
artifact or a stream, judged by what is there and not by its name.
"""

import glob
import io
import os
import stat
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, NamedTuple

from .._format.limits import Limits
from .._format.preamble import MAGIC, PREAMBLE_SIZE, Preamble, decode_preamble
from .._io.source import FileSource
from .._io.url import import_fsspec, is_url, local_path, masked, os_error
from .._policy import Policy
from .._streams.reader import Frame, StreamReader, frames_of_pipe
from .._streams.scanner import Lost
from ..errors import NotAnArtifactError, ReadError, StreamWarning, TornTailError, TruncatedError, printable
from .output import Output, exit_code_of

__all__ = ["FORMS", "STDIN", "Subject", "Target", "expand", "opened", "quietly", "refuse_more", "with_way_out"]

# What the paths on a command line stand for: files, folders, globs, URLs, and `-` for standard input.


STDIN = "-"
_ENDINGS = (".pseal",)


class Target(NamedTuple):
    """One thing to look at; or, with an error, a folder or pattern of which nothing can be said."""

    path: str
    error: OSError | None = None
    info: Mapping[str, Any] | None = None  # what a store's listing told of it

    @property
    def is_url(self) -> bool:
        """Tell whether it is a URL."""
        return is_url(self.path)


def expand(
    paths: Sequence[str], options: dict[str, Any] | None = None, endings: Sequence[str] = _ENDINGS
) -> Iterator[Target]:
    """Go through what paths stand for, each once, in a fixed order.

    A folder (or a URL that ends with `/`) stands for all files below it with one of the endings; symbolic links to
    folders are not followed there. A file that is named is taken whatever its ending. A pattern (`*`, `?`, `[`) that is
    no name of a file stands for what it matches; `**` goes down, and follows no links either.

    Args:
        options: for the stores of URLs, as `storage_options`.
    """
    seen: set[str] = set()
    for path in paths:
        for target in _expand_url(path, options, endings) if is_url(path) else _expand_path(path, endings):
            if target.path not in seen:
                seen.add(target.path)
                yield target


def _expand_path(path: str, endings: Sequence[str]) -> Iterator[Target]:
    if path == STDIN:
        yield Target(path)
    elif os.path.isdir(path):
        yield from _walk(path, endings)
    elif not os.path.lexists(path) and glob.has_magic(path):
        errors: list[OSError] = []
        found = sorted(set(_matches(path, errors)))
        yield from (Target(error.filename or path, error) for error in errors)
        if not found and not errors:
            yield Target(path, FileNotFoundError(2, "nothing matches", path))
        for match in found:
            # a file that is called - is a file: only the command line means standard input by it
            yield from _expand_path(os.path.join(".", match) if match == STDIN else match, endings)
    else:
        yield Target(path)


def _matches(pattern: str, errors: list[OSError]) -> Iterator[str]:
    """Give what a pattern matches. `glob` would follow links below `**`: two that lead up, and it never ends."""
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
                yield Target(os.path.join(here, name))
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
    except Exception as exc:  # stores raise what their libraries raise
        yield Target(masked(url), os_error(exc, url))
        return
    if not listed:
        yield Target(masked(url), FileNotFoundError(2, "nothing there", masked(url)))
    yield from targets


FORMS = ("auto", "artifact", "stream")
_UNLIMITED = Limits()
_CHUNK = 1 << 20


class Subject:
    """Something to look at. `path` is how it is called, `local` where it is as a file, or None for a URL."""

    def __init__(self, path: str, local: str | None, url: str | None = None) -> None:
        self.path = path
        self.local = local
        self.url = url

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

            with RangeFile(str(self.url), None) as far:
                yield far  # type: ignore[misc]

    def size(self) -> int | None:
        """Return its length in bytes, or None where a store does not tell."""
        if self.local is not None:
            return os.stat(self.local).st_size
        from .._io.remote import RangeFile

        with RangeFile(str(self.url), None) as far:
            return far.left()

    def preamble(self) -> Preamble | None:
        """Return the first frame's preamble, or None where it is refused."""
        with self.open() as file:
            try:
                return decode_preamble(FileSource(file, whole=False).take(PREAMBLE_SIZE), _UNLIMITED)
            except ReadError:
                return None

    def is_stream(self) -> bool:
        """Tell whether it is a stream of several frames, or of one that is not whole (spec section 9)."""
        preamble, size = self.preamble(), self.size()
        if preamble is None or size is None or preamble.frame_len == size:
            return False
        if preamble.stream_id or preamble.frame_len > size:
            return bool(preamble.stream_id)
        with self.open() as file:
            file.seek(preamble.frame_len)
            return file.read(len(MAGIC)) == MAGIC

    def frames(self, policy: Policy, verify: bool, lost: list[Lost], start: int = 0) -> Iterator[Frame]:
        """Go through the frames of a stream from a record on; what is damaged in a file is added to `lost`.

        At a URL the first damage ends it. Warns of damage, unless within `quietly`.

        Raises:
            ReadError: what is no damage; at a URL, damage too.
        """
        if self.local is None:
            yield from self._far_frames(policy, verify, start)
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

    def _far_frames(self, policy: Policy, verify: bool, start: int) -> Iterator[Frame]:
        with self.open() as file:
            for frame in frames_of_pipe(file, policy, verify):
                if frame.record + frame.records > start:
                    yield frame


@contextmanager
def quietly() -> Iterator[None]:
    """Keep streams from warning of what is reported anyway. For a whole command: filters are not for one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamWarning)
        yield


@contextmanager
def opened(target: Target) -> Iterator[Subject]:
    """Give what a target stands for. What comes through a pipe is copied to a temporary file, which is gone in the end.

    Raises:
        OSError: there is nothing, or it can't be read.
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
    """Copy all that comes to a temporary file, and give its path."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pickleseal-") as folder:
        copy = os.path.join(folder, "copy")
        with open(copy, "wb") as file:
            shutil.copyfileobj(pipe, file, _CHUNK)
        yield copy


def with_way_out(error: Exception, path: str) -> Exception:
    """Return a refusal with what to do about it on the command line, where that is known."""
    if isinstance(error, NotAnArtifactError) and error.hint is None and "pickle" in str(error.found):
        import shlex

        name = "OLD.pkl" if path == STDIN else shlex.quote(path)
        error.hint = f"pickleseal convert {name} NEW.pseal wraps it without running it"
    elif isinstance(error, TruncatedError) and error.found == 0:
        error.hint = "the file is empty: fetch or write it again"
    elif isinstance(error, TornTailError) and path != STDIN and not is_url(path):
        import shlex

        error.hint = f"what was appended last was never acknowledged: pickleseal repair {shlex.quote(path)} cuts it off"
    return error


def refuse_more(out: Output, path: str, errors: Iterable[Exception]) -> None:
    """Say what else is wrong with something that was refused already, a line each."""
    for error in errors:
        out.worsen(exit_code_of(error))
        if isinstance(error, ReadError):
            error.path = path
        else:
            out.is_complete = False
        said = str(with_way_out(error, path)) if isinstance(error, ReadError) else f"{path}: unreadable: {error}"
        out.text(out.style(printable(said, 1 << 16), "red"))
