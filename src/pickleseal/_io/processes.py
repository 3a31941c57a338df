"""What several processes need from each other: locks on the files that they share, and notice of a fork.

A lock belongs to an open file. It excludes other processes and other threads, and a process that dies lets go of its
locks (spec section 9.3). POSIX has `flock`, where two descriptors of one process exclude each other too. Windows locks
one byte; it lies after all content, because Windows keeps others from reading what is locked.

The child of a fork has copies of the parent's objects, but none of its threads. Whoever holds threads, locks or
descriptors compares `fork_count`, or is called by `call_after_fork`.
"""

import errno
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

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

_LOCKED_BYTE = 1 << 62
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
        while not try_acquire(descriptor):
            time.sleep(0.005)
    else:
        raise OSError(errno.ENOSYS, "this platform has no file locks (fcntl or msvcrt), which appending needs")


def try_acquire(descriptor: int) -> bool:
    """Take the exclusive lock of an open file if it is free. Return whether it was. Raises as `locked`."""
    if fcntl is None and msvcrt is None:
        raise OSError(errno.ENOSYS, "this platform has no file locks (fcntl or msvcrt)")
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as exc:
        if exc.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLOCK):
            raise
        return False
    return True


def release(descriptor: int) -> None:
    """Let go of the lock."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    else:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)


class ForkAware(Protocol):
    """An object that has to know at once that it is now in the child of a fork."""

    def after_fork(self) -> None:
        """Note the fork. Called in the child, before anything else runs there."""


# State of the process. `fork_count` is how often this process and those that it comes from were forked since this
# module was imported; it only grows. `fork_aware` holds weak references, so its entries go with their objects.
fork_count = 0
fork_aware: "weakref.WeakSet[ForkAware]" = weakref.WeakSet()


def call_after_fork(obj: ForkAware) -> None:
    """Register an object: its `after_fork` is called in the child of every fork, while the object lives."""
    fork_aware.add(obj)


def _note_fork() -> None:
    global fork_count
    fork_count += 1
    for obj in fork_aware:
        obj.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
