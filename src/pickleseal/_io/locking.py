"""A lock for one path, so that a program can read an artifact, change it and write it back without losing a change.

Writers replace a file by another one, so a lock on the file itself would end with the replacement. The lock is on a
file beside it, which stays. Only programs that take the lock wait for each other.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import processes
from .atomic import naming
from .url import refuse_url

_ENDING = ".lock"
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_PAUSE = 0.01  # seconds between two looks at a lock


@contextmanager
def locked(path: str | os.PathLike[str], *, timeout: float | None = None) -> Iterator[None]:
    """Hold the lock of a path within a `with` block, to read an artifact, change it, and write it back.

    Other threads and processes that take the lock of the same path wait. Who does not take it does not wait: `load`
    needs no lock, as it reads the old artifact or the new one, whole. The lock ends with the process that holds it.
    It is not taken twice: a second `locked` of the same path within the block waits for the first.

    The lock is `flock` on the file `NAME.lock` beside the path, which is made if it is missing and stays. On a network
    file system it is as reliable as the locks of that file system.

    Args:
        path: the artifact's path, which need not exist yet. Links are followed.
        timeout: seconds to wait; None: as long as it takes.

    Raises:
        TimeoutError: the lock was not free in time.
        OSError: from the operating system, also where the file system has no locks. `filename` is the lock's file.
        ValueError: the path is a URL.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "visits.pseal")
    >>> dump(1, path)
    >>> with locked(path):
    ...     dump(load(path) + 1, path)
    >>> load(path)
    2
    """
    refuse_url(path, "locked", "stores have no locks")
    name = os.path.realpath(os.fsdecode(path)) + _ENDING
    with naming(name):
        file = processes.OwnDescriptor(lambda: os.open(name, _FLAGS, 0o666))
    try:
        with naming(name):
            _wait(file.number, timeout, name)
        yield
    finally:
        file.close()  # which lets go of the lock


def _wait(descriptor: int, timeout: float | None, name: str) -> None:
    if timeout is None:
        processes.acquire(descriptor)
        return
    end = time.monotonic() + timeout
    while not processes.try_acquire(descriptor):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{name}: another process or thread held the lock for {timeout} seconds")
        time.sleep(min(_PAUSE, left))
