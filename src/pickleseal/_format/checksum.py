"""XXH3-64, seed 0 (spec section 2.3). The one module that imports xxhash.

A checksum shows that bytes are intact. It never shows who wrote them.
"""

from typing import Protocol

from xxhash import xxh3_64, xxh3_64_hexdigest, xxh3_64_intdigest

checksum = xxh3_64_intdigest  # bytes-like -> int, as in binary structures
checksum_hex = xxh3_64_hexdigest  # bytes-like -> 16 lowercase hex digits, as in the header


class Digest(Protocol):
    """A running checksum over chunks."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


def new_digest() -> Digest:
    """Start a running checksum."""
    return xxh3_64()
