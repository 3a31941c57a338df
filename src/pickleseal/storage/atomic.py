"""Replace a file as a whole: readers see the old content or the new, never a mixture, never a part (spec section 12).

Temporary file in the same folder, write, fsync, rename, fsync of the folder. A symbolic link is followed: its target is
replaced, the link stays.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from ..format.frame import Part

__all__ = ["replace_file", "write_parts"]

_MOST_PARTS = 512  # a system call takes at most IOV_MAX (1024) buffers
_PREALLOCATE_FROM = 1 << 20


def replace_file(path: str, parts: Sequence[Part], durable: bool) -> None:
    """Write parts to a path, atomically, and durably if asked.

    A new file gets the usual permissions (0o666 less the umask); a replaced one keeps its own. If anything fails, the
    old file is as it was and the temporary file is gone.

    Raises:
        OSError: as from the operating system, a full disk among them.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    # File systems take names up to 255 bytes: the temporary name must not be longer than the final one may be.
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        try:
            _keep_mode(target, descriptor)
            _preallocate(descriptor, sum(map(len, parts)))
            _write_all(descriptor, parts)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_folder(folder)


def _keep_mode(target: str, descriptor: int) -> None:
    """Give the new file the permissions of the one that it replaces, where the platform can."""
    if hasattr(os, "fchmod"):
        with suppress(FileNotFoundError):
            os.fchmod(descriptor, stat.S_IMODE(os.stat(target).st_mode))


def _preallocate(descriptor: int, length: int) -> None:
    """Reserve the space first: faster, and a full disk is known before the first byte."""
    if length >= _PREALLOCATE_FROM and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, length)
        except OSError as exc:
            import errno

            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            # a file system that cannot reserve: the write itself will tell


def _write_all(descriptor: int, parts: Sequence[Part]) -> None:
    """Write all parts, gathered, however short the single writes turn out."""
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


def _sync_folder(folder: str) -> None:
    """Make the rename durable. Windows can't open folders and needs no such step."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
    for part in parts:
        view = memoryview(part)
        while view:
            written = write(view)
            if written is None:
                if isinstance(file, io.RawIOBase):
                    raise BlockingIOError("file: non-blocking, and it took nothing")
                break  # a writer in the style of the pickle module, which returns nothing and takes all
            view = view[written:]
