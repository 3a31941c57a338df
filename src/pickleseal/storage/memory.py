"""Memory for sections that are read from files: private, cheap to fill, and aligned to 64 bytes where that matters.

A `bytearray` is zeroed before it is filled. That is nothing for small buffers and half the time for large ones. numpy's
allocator, if numpy is there already, reuses memory for middling sizes and asks for huge pages for large ones; without
it, an anonymous private map does the latter.
"""

import mmap
import sys

from ..format.limits import ALIGNMENT

__all__ = ["allocate"]

_NUMPY_FROM = 1 << 16
_MAP_FROM = 1 << 25  # below, fresh pages cost more than zeroing memory that malloc has at hand


def allocate(length: int) -> memoryview:
    """Return writable memory of `length` bytes that nobody else sees. What is in it is arbitrary."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and length >= _NUMPY_FROM:
        block = numpy.empty(length + ALIGNMENT, numpy.uint8)
        skip = -block.__array_interface__["data"][0] % ALIGNMENT
        return memoryview(block)[skip : skip + length]
    if length >= _MAP_FROM and hasattr(mmap, "MAP_ANONYMOUS"):
        return memoryview(_map(length))
    return memoryview(bytearray(length))


def _map(length: int) -> mmap.mmap:
    block = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            block.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # a kernel without transparent huge pages: slower, and as correct
    return block
