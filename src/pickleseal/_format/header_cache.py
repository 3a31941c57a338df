"""A cache for headers that differ only in time stamp, payload length and checksum: the same object, packed again and
again.

Parsing and judging a header costs more than loading a small object. The text of such a header, with the three varying
values cut out, is its skeleton. Where a skeleton was judged before, only the three values are judged again; the
verdict is that of the whole way, by construction: what is outside the cuts is equal byte by byte, and what is inside
is checked to be a time stamp, an integer and a checksum. Only standalone headers of the reader's own minor take part,
and only with one section.
"""

from typing import Any

from .limits import MAX_INTEGER
from .timestamps import is_timestamp

__all__ = ["SMALL_HEADER", "Skeletons"]

_CREATED = b'"created":"'
_SECTION = b'"sections":[{"len":'
_XXH3 = b',"xxh3":"'
_HEX = b"0123456789abcdef"
SMALL_HEADER = 4096  # bytes of a header that is kept
_MOST = 256  # kept skeletons: 1 MiB in all


class Skeletons:
    """A bounded cache from skeleton to validated fields."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes, bytes], dict[str, Any]] = {}

    def find(self, text: bytes) -> dict[str, Any] | None:
        """Return the fields of a header whose skeleton is known and whose three values are right, else None."""
        cut = text.find(_CREATED) + 11
        middle = text.find(_SECTION, cut) + 19
        end = text.find(b"}", middle)
        fields = self._known.get((text[:cut], text[cut + 27 : middle], text[end:]))
        if fields is None:
            return None
        length, _, checksum = text[middle:end].partition(_XXH3)
        created = text[cut : cut + 27].decode("latin-1")
        if (
            not is_timestamp(created)
            or not length.isdigit()
            or (length[0] == 0x30 and length != b"0")
            or len(checksum) != 17
            or checksum[16] != 0x22
            or checksum[:16].strip(_HEX)
        ):
            return None
        number = int(length) if len(length) < 17 else MAX_INTEGER + 1
        if number > MAX_INTEGER:
            return None
        section = {"len": number, "xxh3": checksum[:16].decode()}
        return {**fields, "created": created, "sections": [section]}

    def remember(self, text: bytes, fields: dict[str, Any]) -> None:
        """Keep the skeleton of a header that passed every check, where it has one."""
        if len(text) > SMALL_HEADER or text.count(_CREATED) != 1 or text.count(_SECTION) != 1:
            return
        if len(fields["sections"]) != 1 or len(fields["sections"][0]) != 2 or "ext" in fields:
            return
        cut = text.find(_CREATED) + 11
        middle = text.find(_SECTION, cut) + 19
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[text[:cut], text[cut + 27 : middle], text[text.find(b"}", middle) :]] = fields
