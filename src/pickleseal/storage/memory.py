"""Memory for sections that are read from files: aligned, private, and cheap to fill.

A `bytearray` of 200 MB is written once to be zeroed and again to be filled. An anonymous private map is zeroed page
by page as it is touched, in huge pages where the kernel has them, and starts at a page boundary, so buffers keep the
64-byte alignment that they have in the file.
"""

import mmap

__all__ = ["allocate"]

_MAP_FROM = 1 << 20  # below this a map's system calls cost more than they save


def allocate(length: int) -> memoryview:
    """Return writable memory of `length` bytes that nobody else sees."""
    if length < _MAP_FROM or not hasattr(mmap, "MAP_ANONYMOUS"):
        return memoryview(bytearray(length))
    block = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            block.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # a kernel without transparent huge pages: slower, and as correct
    return memoryview(block)
