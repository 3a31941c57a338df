"""The one thread pool, for work during which other threads can run: hashing, compressing, reading, asking stores.

One policy holds for all who use it:

- How many: one thread for each core that this process may use. Requests to a store mostly wait, so there the caller
  gives the number.
- When it pays: `pays` decides by the sizes of the pieces.
- How long: a pool belongs to one operation or to one open object, and ends with it.
- Results: `ThreadPool.start` returns a function that waits for the result. It also raises what the work raised. So the
  first error is the one of the piece that is asked for first, whichever thread ends first.
- Without threads: where none can be started (the interpreter exits, or the system has none left), and in the child of
  a fork, the function that waits does the work itself.

This module knows nothing of what the work is about.
"""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from ..errors import ReadError
from . import processes

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
THREAD_FROM = 1 << 16  # bytes of a piece that gets a thread: some 40 us of hashing, a few times what handing over costs
_POOL_FROM = 1 << 20  # bytes of all such pieces, from which starting threads pays


def pays(lengths: Iterable[int]) -> bool:
    """Return whether pieces of these lengths are done faster by several threads."""
    large = [length for length in lengths if length >= THREAD_FROM]
    return len(large) > 1 and sum(large) >= _POOL_FROM and cores() > 1


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ThreadPool:
    """Threads for one operation. As a context manager it runs the delayed checks when it is left.

    Args:
        size: the number of threads; None: one for each core.

    Attributes:
        is_stopped: nobody waits for results any more. Long work looks at it now and then, and gives up.
    """

    def __init__(self, size: int | None = None) -> None:
        self._executor: ThreadPoolExecutor | None = None
        try:
            import concurrent.futures

            self._executor = concurrent.futures.ThreadPoolExecutor(size or cores())
        except RuntimeError:  # the interpreter exits, and the module can't be imported any more
            pass
        self._fork_count = processes.fork_count
        self._checks: list[Callable[[], None]] = []
        self.is_stopped: bool = False

    def start(self, work: Callable[[], T]) -> Callable[[], T]:
        """Start some work, and return the function that waits for its result."""
        if self._executor is None or self._is_inherited():
            return work
        try:
            future = self._executor.submit(work)
        except RuntimeError:  # no further thread can be started
            return work
        return lambda: work() if self._is_inherited() else future.result()

    def check_later(self, check: Callable[[], None]) -> None:
        """Keep a check that waits for work, and run it when the context is left."""
        self._checks.append(check)

    def close(self) -> None:
        """End the threads. Work that has not begun is dropped; work that has begun is waited for."""
        self.is_stopped = True
        if self._executor is not None and not self._is_inherited():
            self._executor.shutdown(cancel_futures=True)

    def __enter__(self) -> "ThreadPool":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None or isinstance(error, ReadError):  # a check of an earlier section comes before this error
                for check in self._checks:
                    check()
        except ReadError as first:
            raise first from None
        finally:
            self.close()

    def _is_inherited(self) -> bool:
        """Return whether this process was forked from the one that has the threads."""
        return self._fork_count != processes.fork_count
