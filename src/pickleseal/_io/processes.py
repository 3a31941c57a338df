"""What several processes need from each other: locks on the files that they share, and notice of a fork.

A lock belongs to an open file. It excludes other processes and other threads, and a process that dies lets go of its
locks (spec section 9.3). POSIX has `flock`, where two descriptors of one process exclude each other too. Windows locks
one byte; it lies after all content, because Windows keeps others from reading what is locked.

The child of a fork has copies of the parent's objects, but none of its threads. Whoever holds threads, locks or
descriptors compares `fork_count`, or is called by `call_after_fork`. The child also shares the open files, and a lock
lasts as long as any process has the open file. So files that are locked are opened by `OwnDescriptor`, and each child
closes them first of all. Nobody locks a file that another part of the program opened.
"""

import errno
import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
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


def acquire(descriptor: int) -> None:
    """Take the exclusive lock of an open file. Waits for it as long as it takes.

    Raises:
        OSError: the file system has no locks, or the platform has none that this library knows.
    """
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as exc:
            if exc.errno in _NO_LOCKS:
                raise OSError(exc.errno, "this file system has no locks, which appending needs") from None
            raise
    elif msvcrt is not None:
        while not try_acquire(descriptor):
            time.sleep(0.005)
    else:
        raise OSError(errno.ENOSYS, "this platform has no file locks (fcntl or msvcrt), which appending needs")


def try_acquire(descriptor: int, shared: bool = False) -> bool:
    """Take the lock of an open file if it is free. Return whether it was. Raises as `acquire`."""
    if fcntl is None and msvcrt is None:
        raise OSError(errno.ENOSYS, "this platform has no file locks (fcntl or msvcrt)")
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as exc:
        if exc.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLOCK):
            raise
        return False
    return True


def mark_in_use(descriptor: int) -> None:
    """Lock an open file that nobody waits for, so that others see that it is in use. It is no error if that fails.

    On Windows nothing is done: there, a file that is open can't be removed.
    """
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def release(descriptor: int) -> None:
    """Let go of the lock."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    else:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)


def is_locked(descriptor: int) -> bool:
    """Return whether another process holds the exclusive lock of an open file. Never waits.

    The lock is tried on the same file, opened once more: the open file that is given may be shared with children.

    Raises:
        OSError: as `acquire`.
    """
    own: OwnDescriptor | None = None
    with suppress(OSError):
        own = OwnDescriptor(lambda: os.open(_path_of(descriptor), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    try:
        tried = descriptor if own is None else own.number
        if not try_acquire(tried, shared=True):
            return True
        release(tried)
        return False
    finally:
        if own is not None:
            own.close()


def _path_of(descriptor: int) -> str:
    """Return a path that opens the same file once more.

    Raises:
        OSError: this platform has none.
    """
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        path = os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):
            return path
    elif os.path.exists("/proc/self/fd"):
        return f"/proc/self/fd/{descriptor}"
    raise OSError(errno.ENOSYS, "no path opens an open file once more")


class ForkAware(Protocol):
    """An object that has to know at once that it is now in the child of a fork."""

    def after_fork(self) -> None:
        """Note the fork. Called in the child, before anything else runs there."""


# State of the process. `fork_count` is how often this process and those that it comes from were forked since this
# module was imported. `started_forks` also counts the forks that this process began. Both only grow. `fork_aware` holds
# weak references, so its entries go with their objects.
fork_count = 0
started_forks = 0
fork_aware: "weakref.WeakSet[ForkAware]" = weakref.WeakSet()


def call_after_fork(obj: ForkAware) -> None:
    """Register an object: its `after_fork` is called in the child of every fork, while the object lives."""
    fork_aware.add(obj)


class OwnDescriptor:
    """The descriptor of a file that no other process has open by the same open file: children close it.

    A child that kept it would keep the lock, too, after the process that took it has died. The descriptor does not
    survive `exec` either, as Python opens files.

    Args:
        open_file: opens the file. It is called again if the process was forked meanwhile.

    Attributes:
        number: the descriptor; -1 once it is closed.
    """

    __slots__ = ("__weakref__", "number")

    def __init__(self, open_file: Callable[[], int]) -> None:
        self.number = -1
        while True:
            before = started_forks
            self.number = open_file()
            call_after_fork(self)
            if started_forks == before:
                return
            self.close()  # a fork of another thread came between: its child may have the open file

    def close(self) -> None:
        """Close the file. A second call does nothing.

        Raises:
            OSError: from the operating system.
        """
        number, self.number = self.number, -1  # also if close raises: a second one could hit another file
        if number >= 0:
            os.close(number)

    def after_fork(self) -> None:
        """Close the file in the child of a fork. The lock of the parent stays."""
        with suppress(OSError):
            self.close()


def _note_start() -> None:
    global started_forks
    started_forks += 1


def _note_fork() -> None:
    global fork_count
    fork_count += 1
    for obj in fork_aware:
        obj.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_note_start, after_in_child=_note_fork)
