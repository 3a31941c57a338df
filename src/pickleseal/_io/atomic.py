"""Write files. `replace_file` replaces one as a whole: readers see the old content or the new one, never a part of it.

The steps are: temporary file in the same folder, write, fsync, rename, fsync of the folder (spec section 12). A
symbolic link is followed: its target is replaced, and the link stays. This module knows parts of bytes, not artifacts.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from .._format.frame import Part
from .permissions import check_writable, inherit
from .processes import mark_in_use

TEMPORARY = ".pickleseal-{}.tmp"  # the name of a temporary file
_MOST_PARTS = 512  # a system call takes at most IOV_MAX (1024) buffers
_PREALLOCATE_FROM = 1 << 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_JOIN_TO = 1 << 14  # bytes that are joined in less time than a gathering write takes
_GATHER = 1 << 16  # smaller parts are written together: a socket may wait between writes (RFC 896, RFC 1122 4.2.3.2)


def replace_file(path: str, parts: Sequence[Part], durable: bool) -> None:
    """Write parts to a path, atomically, and durably if asked.

    A new file gets the usual permissions (0o666 less the umask); a replaced one keeps its own (`permissions.inherit`),
    and one that the user may not write is not replaced. If anything fails, the old file stays as it was, and the
    temporary file is removed. There is one exception: if only the sync of the folder
    fails, after the rename, then the new content is there and may not survive a power cut. A pipe or a device (such as
    /dev/stdout) can't be replaced, so it is written to.

    Raises:
        OSError: from the operating system, also for a full disk; `filename` is the path.
    """
    try:
        target = os.path.realpath(path)
        status = _status_of(target)
        if status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            with open(target, "wb", buffering=0) as file:
                write_parts(file, parts)
        else:
            _replace(path, target, status, sum(map(len, parts)), lambda fd: write_all(fd, parts), durable)
    except OSError as exc:
        name_file(exc, path, over=True)
        raise


def is_replaceable(path: str) -> bool:
    """Return whether a path names a regular file, or nothing yet; not a pipe, device or folder."""
    with naming(path, over=True):
        status = _status_of(os.path.realpath(path))
    return status is None or stat.S_ISREG(status.st_mode)


def replace_with(
    path: str,
    length: int,
    write: Callable[[int], None],
    mode: int | None = None,
    durable: bool = True,
    overwrite: bool = True,
) -> None:
    """Replace a regular file by one of `length` bytes, as `replace_file` does. `write` writes them to a descriptor.

    Args:
        mode: the permissions of the new file; None: those of the old one.
        overwrite: whether there may be an old one.

    Raises:
        FileExistsError: there is something, also a link that leads nowhere, and it may not be replaced.
        OSError: from the operating system; `filename` is the path. And whatever else `write` raises.
    """
    with naming(path, over=True):
        target = os.path.realpath(path) if overwrite else os.path.abspath(path)
        status = _status_of(target) if overwrite else None
        _replace(path, target, status, length, write, durable, mode, overwrite)


@contextmanager
def naming(path: str | None, *, over: bool = False) -> Iterator[None]:
    """Put the file's name into an error of the operating system, as `name_file` does."""
    try:
        yield
    except OSError as exc:
        if path is not None:
            name_file(exc, path, over=over)
        raise


def name_file(error: OSError, path: str, *, over: bool = False) -> None:
    """Put the file's name that the caller knows into an error of the operating system that names no file.

    Args:
        over: also if the error names another file, such as a temporary one.
    """
    if (over or error.filename is None) and error.errno is not None:  # without a number it is no system call's error
        error.filename = path
        del error.filename2


def _replace(
    path: str,
    target: str,
    old: os.stat_result | None,
    length: int,
    write: Callable[[int], None],
    durable: bool,
    mode: int | None = None,
    overwrite: bool = True,
) -> None:
    """Write a temporary file beside the target and rename it. It is never more readable than the target."""
    if path.endswith(("/", os.sep)) or (old is not None and stat.S_ISDIR(old.st_mode)):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if old is not None:
        check_writable(target)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, TEMPORARY.format(os.urandom(8).hex()))
    folder_descriptor = open_folder(folder) if durable else None  # first: no failure may follow the rename
    try:
        descriptor = os.open(temporary, _NEW_FILE, 0o600 if old is not None else 0o666 if mode is None else mode)
        try:
            mark_in_use(descriptor)
            if old is not None:
                inherit(descriptor, target, old, mode)
            elif mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            if length >= _PREALLOCATE_FROM:
                _preallocate(descriptor, length)
            write(descriptor)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if overwrite:
            os.replace(temporary, target)
        else:
            _rename_new(temporary, target)
        if folder_descriptor is not None:
            sync_folder(folder_descriptor)
    except BaseException:  # an interrupt may come as soon as the file is there
        with suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        if folder_descriptor is not None:
            os.close(folder_descriptor)


def _rename_new(temporary: str, target: str) -> None:
    """Rename a file to a name that nothing has yet.

    Raises:
        FileExistsError: something has that name.
    """
    if os.name == "nt":
        os.rename(temporary, target)  # which replaces nothing there
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: there is a moment in which another can make the file
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.replace(temporary, target)
    else:
        os.unlink(temporary)


def sync_folder(descriptor: int) -> None:
    """Make a rename in the folder durable, where the file system supports that."""
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def _status_of(target: str) -> os.stat_result | None:
    """Return the status of what is at the target now, or None if nothing is there.

    Raises:
        OSError: it is a symbolic link that could not be followed. A file must not replace it.
    """
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), target)
    return status


def open_folder(folder: str) -> int | None:
    """Open a folder for `sync_folder`. Windows can't open folders, and needs no such step."""
    return os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)) if os.name == "posix" else None


def _preallocate(descriptor: int, length: int) -> None:
    """Reserve the space first: this is faster, and shows a full disk before the first byte is written."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, length)
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            # else the file system cannot reserve; the write itself raises if there is no space


def write_all(descriptor: int, parts: Sequence[Part]) -> None:
    """Write all parts in as few calls as possible, and go on after short writes."""
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
    """Yield the bytes of all parts in order: small parts joined, large ones without a copy."""
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
    """Write parts to a binary file object, and go on after short writes.

    Raises:
        TypeError: it has no `write`, or is opened in text mode.
        BlockingIOError: it is non-blocking, and took nothing.
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
                break  # an object made for the pickle module: it takes all and returns nothing
            if not 0 < written <= len(view):
                raise OSError(errno.EIO, f"write() of {type(file).__name__} took {written} of {len(view)} bytes")
            view = view[written:]
