"""The shortest way through steps 1 to 17 for the plainest artifact: bytes in memory, one uncompressed section, no
seal, no stream, and a header whose skeleton was judged before. That is what caches and queues are full of.

It makes the same checks as the long way and answers only yes: whatever is not right, or not plain, is None, and the
long way finds the verdict. So no error class is decided here, and nothing is accepted that the long way would refuse.
"""

import struct
from typing import Any

from .checksum import checksum, checksum_hex
from .frame import skeletons
from .limits import ALIGNMENT
from .preamble import MAGIC, PREAMBLE_SIZE

__all__ = ["decode_plain"]

_START = MAGIC + struct.pack("<HHI", 1, 0, 0)  # version 1.0, no flags
_REST = struct.Struct("<QIIQQQQ")  # bytes 16-63


def decode_plain(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return the validated header fields and the payload of a plain artifact, or None."""
    if len(data) < 192 or data[:16] != _START:
        return None
    frame_len, header_len, seal_len, header_xxh3, stream_id, seq, preamble_xxh3 = _REST.unpack_from(data, 16)
    start = PREAMBLE_SIZE + header_len
    if (
        frame_len != len(data)
        or seal_len
        or stream_id
        or seq
        or header_len % ALIGNMENT
        or checksum(data[:56]) != preamble_xxh3
    ):
        return None
    text = data[PREAMBLE_SIZE:start]
    if checksum(text) != header_xxh3:
        return None
    fields = skeletons.find(text)
    if fields is None:
        return None
    section = fields["sections"][0]
    if not section["len"]:
        return None
    end = start + section["len"]
    payload = data[start:end]
    if end + -end % ALIGNMENT != frame_len or checksum_hex(payload) != section["xxh3"] or data[end:].strip(b"\0"):
        return None
    return fields, payload
