"""Locks on an open file, between processes and threads; one that dies lets go of its locks (spec section 9.3).

POSIX has `flock`, which belongs to the open file: two descriptors of one process exclude each other too. Windows locks
a byte, here one that lies behind all content, because its locks keep others from reading.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["acquire", "locked", "release"]

fcntl: Any
msvcrt: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    try:
        import msvcrt
    except ImportError:
        msvcrt = None

_BYTE = 1 << 62
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@contextmanager
def locked(descriptor: int, shared: bool = False) -> Iterator[None]:
    """Hold the lock of an open file. Waits for it as long as it takes.

    Raises:
        OSError: the file system has no locks, or the platform has none that this library knows.
    """
    acquire(descriptor, shared)
    try:
        yield
    finally:
        release(descriptor)


def acquire(descriptor: int, shared: bool = False) -> None:
    """Take the lock of an open file. Waits and raises as `locked`."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError as exc:
            if exc.errno in _NO_LOCKS:
                raise OSError(exc.errno, "this file system has no locks, which appending needs") from None
            raise
    elif msvcrt is not None:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return
            except OSError as exc:
                if exc.errno not in (errno.EACCES, errno.EDEADLOCK):
                    raise
                time.sleep(0.005)
    else:
        raise OSError(errno.ENOSYS, "this platform has no file locks (fcntl or msvcrt), which appending needs")


def release(descriptor: int) -> None:
    """Let go of the lock."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    else:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
