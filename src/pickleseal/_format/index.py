"""The index beside a stream (spec section 9.4): bytes <-> entries, pure.

An index is a cache: readers check that an entry is true of the stream before they use it.
"""

import struct
from typing import NamedTuple

from .checksum import checksum
from .limits import ALIGNMENT

ENTRY_SIZE = 32
EVERY_FRAMES = 64  # what an append or a seek goes through at most, some 50 KB of small records
EVERY_BYTES = 1 << 20
_ENTRY = struct.Struct("<QQQQ")


class Entry(NamedTuple):
    """Where a frame begins, the number of its first record, and the checksum in its preamble."""

    offset: int
    record: int
    preamble_xxh3: int


def encode_entry(entry: Entry) -> bytes:
    """Encode one entry."""
    fields = _ENTRY.pack(*entry, 0)[:24]
    return fields + checksum(fields).to_bytes(8, "little")


def is_index(start: bytes) -> bool:
    """Return whether a file that begins with these bytes is an index, or was left as zeros by a crash."""
    return not any(start) or len(decode_entries(start[:ENTRY_SIZE])) == 1


def decode_entries(data: bytes) -> list[Entry]:
    """Decode entries up to the first that is damaged, incomplete, or out of order. Never raises."""
    entries: list[Entry] = []
    last = (-1, -1)
    for position in range(0, len(data) - ENTRY_SIZE + 1, ENTRY_SIZE):
        offset, record, preamble_xxh3, found = _ENTRY.unpack_from(data, position)
        if checksum(data[position : position + 24]) != found or offset % ALIGNMENT:
            break
        if offset <= last[0] or record <= last[1]:
            break
        last = offset, record
        entries.append(Entry(offset, record, preamble_xxh3))
    return entries
