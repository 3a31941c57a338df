"""SHA-256 of sections, several at once: `hashlib` lets other threads run while it hashes (spec section 11, step 16).

One section can't be divided among threads. This module reads no file; the sections are in memory.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from .._format.frame import Part, SectionCheck, check_section
from .threads import THREAD_FROM, ThreadPool, pays


def check_in_memory(
    pool: ThreadPool | None, index: int, entry: dict[str, Any], stored: bytes | memoryview, padding: bytes
) -> None:
    """Check a section that is in memory as a whole. With a pool, a thread computes the SHA-256 of a large one."""
    if pool is None or len(stored) < THREAD_FROM:
        check_section(index, entry, stored, padding)
        return
    check = SectionCheck(index, entry, with_sha256=False)
    check.update(stored)
    check.finish_xxh3()
    digest = pool.start(partial(sha256_hex, (stored,)))
    pool.check_later(lambda: check.finish_rest(padding, digest()))


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
    with ThreadPool() as pool:
        results = [pool.start(partial(sha256_hex, parts)) for parts in sections]
        return [result() for result in results]
