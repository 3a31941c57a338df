"""SHA-256 of several sections at once: `hashlib` lets go of the interpreter while it hashes, so threads use all cores.

One section can't be divided, and small ones are not worth a thread. Verdicts are given in the order of the sections,
whichever thread is done first (spec section 11, step 16).
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .._format.frame import Part, SectionCheck, check_section
from ..errors import ReadError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["THREAD_FROM", "Crew", "judge_section", "pays", "sha256_hex", "sha256_of_all"]

T = TypeVar("T")
THREAD_FROM = 1 << 16  # bytes of a section that gets a thread: some 40 us, a few times what handing over costs
_CREW_FROM = 1 << 20  # bytes of all such sections, from which starting threads pays


def pays(lengths: Iterable[int]) -> bool:
    """Tell whether sections of these lengths are hashed faster by several threads."""
    large = [length for length in lengths if length >= THREAD_FROM]
    return len(large) > 1 and sum(large) >= _CREW_FROM and _cores() > 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew:
    """Threads, and verdicts that wait for them. As a context it gives the first verdict when it is left.

    `stopped` tells long work that nobody waits for it any more.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        try:
            import concurrent.futures

            self._pool = concurrent.futures.ThreadPoolExecutor(_cores())
        except RuntimeError:  # the interpreter exits, and the module can't be loaded any more
            pass
        self._verdicts: list[Callable[[], None]] = []
        self.stopped = False

    def start(self, work: Callable[[], T]) -> Callable[[], T]:
        """Start some work and return what waits for its result. Work that no thread takes is done at once."""
        if self._pool is not None:
            try:
                return self._pool.submit(work).result
            except RuntimeError:  # no thread to be had; what was handed over before is done by those that there are
                pass
        result = work()
        return lambda: result

    def judge_later(self, verdict: Callable[[], None]) -> None:
        """Keep a check that waits for work, for when the context is left. It raises where it refuses."""
        self._verdicts.append(verdict)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None or isinstance(error, ReadError):  # an earlier section's verdict comes first
                for verdict in self._verdicts:
                    verdict()
        except ReadError as first:
            raise first from None
        finally:
            self.stopped = True
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)


def judge_section(
    crew: Crew | None, index: int, entry: dict[str, Any], stored: bytes | memoryview, padding: bytes
) -> None:
    """Check a section that is in memory as a whole; with a crew and enough to do, a thread computes its SHA-256."""
    if crew is None or len(stored) < THREAD_FROM:
        check_section(index, entry, stored, padding)
        return
    check = SectionCheck(index, entry, with_sha256=False)
    check.update(stored)
    check.finish_xxh3()
    digest = crew.start(partial(sha256_hex, (stored,)))
    crew.judge_later(lambda: check.finish_rest(padding, digest()))


def sha256_hex(parts: Iterable[Any]) -> str:
    """Return the SHA-256 of consecutive bytes-like parts, in hexadecimal digits."""
    import hashlib  # loads OpenSSL: only where a seal asks for it

    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def sha256_of_all(sections: Sequence[Sequence[Part]]) -> list[str]:
    """Return the SHA-256 of each section, given as its parts."""
    if not pays(sum(map(len, parts)) for parts in sections):
        return [sha256_hex(parts) for parts in sections]
    with Crew() as crew:
        waiting = [crew.start(partial(sha256_hex, parts)) for parts in sections]
        return [wait() for wait in waiting]
