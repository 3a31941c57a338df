"""Replace a file as a whole: readers see the old content or the new, never a mixture, never a part (spec section 12).

Temporary file in the same folder, write, fsync, rename, fsync of the folder. A symbolic link is followed: its target is
replaced, the link stays.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from .._format.frame import Part

__all__ = [
    "is_replaceable",
    "name_file",
    "naming",
    "open_folder",
    "replace_file",
    "replace_with",
    "sync_folder",
    "write_all",
    "write_parts",
]

_MOST_PARTS = 512  # a system call takes at most IOV_MAX (1024) buffers
_PREALLOCATE_FROM = 1 << 20
_JOIN_TO = 1 << 14  # bytes that are copied in less time than gathering takes
_GATHER = 1 << 16  # smaller parts are written together: a socket would wait between them (RFC 896, RFC 1122 4.2.3.2)


def replace_file(path: str, parts: Sequence[Part], durable: bool) -> None:
    """Write parts to a path, atomically, and durably if asked.

    A new file gets the usual permissions (0o666 less the umask); a replaced one keeps its own. If anything fails, the
    old file is as it was and the temporary file is gone; only if the folder's own sync fails, after the rename, the new
    content is there and may not survive a power cut. What is no regular file (a pipe, a device such as
    /dev/stdout) cannot be replaced: it is written to.

    Raises:
        OSError: as from the operating system, a full disk among them; `filename` is the path.
    """
    with naming(path, over=True):
        target = os.path.realpath(path)
        mode = _mode_of(target)
        if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            with open(target, "wb", buffering=0) as file:
                write_parts(file, parts)
            return
        _replace_target(path, target, mode, sum(map(len, parts)), lambda fd: write_all(fd, parts), durable)


def is_replaceable(path: str) -> bool:
    """Tell whether a path names a regular file, or nothing yet: no pipe, device or folder."""
    with naming(path, over=True):
        mode = _mode_of(os.path.realpath(path))
    return mode is None or stat.S_ISREG(mode)


def replace_with(
    path: str, length: int, write: Callable[[int], None], mode: int | None = None, durable: bool = True
) -> None:
    """Replace a regular file by one of `length` bytes, which `write` puts into a descriptor. Else as above.

    `mode` gives the new file's permissions; None: those of the old one.

    Raises:
        OSError: as from the operating system; `filename` is the path. Whatever else `write` raises.
    """
    with naming(path, over=True):
        target = os.path.realpath(path)
        _replace_target(path, target, _mode_of(target), length, write, durable, wanted=mode)


@contextmanager
def naming(path: str | None, *, over: bool = False) -> Iterator[None]:
    """Have an error of the operating system name the file that the caller knows, where it names none.

    `over`: or names another, such as a temporary one.
    """
    try:
        yield
    except OSError as exc:
        if path is not None:
            name_file(exc, path, over=over)
        raise


def name_file(error: OSError, path: str, *, over: bool = False) -> None:
    """Do so with one error."""
    if (over or error.filename is None) and error.errno is not None:  # else no system call's, with a text of its own
        error.filename = path
        del error.filename2


def _replace_target(
    path: str,
    target: str,
    mode: int | None,
    length: int,
    write: Callable[[int], None],
    durable: bool,
    wanted: int | None = None,
) -> None:
    """Replace what is no directory, and sync the folder if asked."""
    if path.endswith(("/", os.sep)) or (mode is not None and stat.S_ISDIR(mode)):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    folder = os.path.dirname(target)
    folder_descriptor = open_folder(folder) if durable else None  # first: no failure may follow the rename
    try:
        if wanted is None and mode is not None:
            wanted = stat.S_IMODE(mode)
        _replace(folder, target, length, write, durable, 0o666 if wanted is None else wanted, wanted is not None)
        if folder_descriptor is not None:
            sync_folder(folder_descriptor)
    finally:
        if folder_descriptor is not None:
            os.close(folder_descriptor)


def _replace(
    folder: str,
    target: str,
    length: int,
    write: Callable[[int], None],
    durable: bool,
    mode: int,
    exact_mode: bool,
) -> None:
    """Write a temporary file beside the target and rename it. It is never more readable than the target."""
    temporary = os.path.join(folder, f".pickleseal-{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, flags, mode & 0o777)
        try:
            if exact_mode and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            _preallocate(descriptor, length)
            write(descriptor)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:  # an interrupt may come as soon as the file is there
        with suppress(OSError):
            os.unlink(temporary)
        raise


def sync_folder(descriptor: int) -> None:
    """Make the rename durable, where the file system knows such a thing."""
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def _mode_of(target: str) -> int | None:
    """Return the mode of what is at the target now, or None for nothing.

    A target is no symbolic link: one that is left could not be followed, and must not be replaced by a file.
    """
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), target)
    return mode


def open_folder(folder: str) -> int | None:
    """Open a folder to sync it. Windows can't, and needs no such step."""
    return os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)) if os.name == "posix" else None


def _preallocate(descriptor: int, length: int) -> None:
    """Reserve the space first: faster, and a full disk is known before the first byte."""
    if length >= _PREALLOCATE_FROM and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, length)
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            # a file system that cannot reserve: the write itself will tell


def write_all(descriptor: int, parts: Sequence[Part]) -> None:
    """Write all parts, gathered, however short the single writes turn out."""
    if sum(map(len, parts)) <= _JOIN_TO:
        _write_one(descriptor, b"".join(parts))
        return
    if not hasattr(os, "writev"):
        for part in parts:
            _write_one(descriptor, part)
        return
    views = [memoryview(part).cast("B") for part in parts if len(part)]
    first = 0
    while first < len(views):
        written = os.writev(descriptor, views[first : first + _MOST_PARTS])
        while first < len(views) and written >= len(views[first]):
            written -= len(views[first])
            first += 1
        if written:
            views[first] = views[first][written:]


def _write_one(descriptor: int, part: Part) -> None:
    view = memoryview(part)
    while view:
        view = view[os.write(descriptor, view[: 1 << 30]) :]


def _gathered(parts: Sequence[Part]) -> Iterator[memoryview]:
    """Give the bytes of all parts in order, small ones joined, large ones from where they are."""
    small: list[Part] = []
    size = 0
    for part in parts:
        if size + len(part) < _GATHER:
            small.append(part)
            size += len(part)
            continue
        yield memoryview(b"".join(small))
        yield memoryview(part)
        small, size = [], 0
    yield memoryview(b"".join(small))


def write_parts(file: object, parts: Sequence[Part]) -> None:
    """Write parts to a binary file object, whatever short writes a raw one makes.

    Raises:
        TypeError: no `write`, or a file opened in text mode.
        BlockingIOError: a non-blocking file took nothing.
    """
    import io

    write = getattr(file, "write", None)
    if write is None:
        raise TypeError(f"file: expected a path or a binary file, found {type(file).__name__}")
    if isinstance(file, io.TextIOBase):
        raise TypeError("file: expected a binary file, found one opened in text mode")
    for view in _gathered(parts):
        while view:
            written = write(view)
            if written is None:
                if isinstance(file, io.RawIOBase):
                    raise BlockingIOError("file: non-blocking, and it took nothing")
                break  # a writer in the style of the pickle module, which returns nothing and takes all
            if not 0 < written <= len(view):
                raise OSError(errno.EIO, f"write() of {type(file).__name__} took {written} of {len(view)} bytes")
            view = view[written:]
