"""The one cache of validated headers, shared by all readers of the process.

Caches and queues are full of artifacts whose headers differ only in time stamp, payload length and checksum. Parsing
and validating such a header costs more than loading a small object. So the cache has, for headers that passed every
check, the text with these three values cut out, and the fields. For a header with the same rest, only the three values
are checked again. The verdict is the one of the whole validation by construction: the rest is equal byte by byte, and
the three values are checked to be a time stamp, an integer and a checksum.

Only headers of the minor versions that the reader knows take part, and only with one section and without a seal. The
key is made of bytes alone, so an entry never becomes wrong; the cache is emptied when it is full. Who finds a header
compares its `format` with the preamble.
"""

from typing import Any

from .limits import MAX_INTEGER
from .timestamps import is_timestamp

_CREATED = b'"created":"'
_SECTION = b'"sections":[{"len":'
_XXH3 = b',"xxh3":"'
_HEX = b"0123456789abcdef"
_LARGEST = 4096  # bytes of a header that is cached
_MOST = 256  # headers: 1 MiB in all


class HeaderCache:
    """A bounded cache from the text of a header, without the three values that vary, to its validated fields."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[tuple[bytes, bytes, bytes], dict[str, Any]] = {}

    def find(self, text: bytes) -> dict[str, Any] | None:
        """Return the fields of a header that is valid by what is cached, else None."""
        cut = text.find(_CREATED) + 11
        middle = text.find(_SECTION, cut) + 19
        end = text.find(b"}", middle)
        fields = self._fields.get((text[:cut], text[cut + 27 : middle], text[end:]))
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
        return {**fields, "created": created, "sections": [{"len": number, "xxh3": checksum[:16].decode()}]}

    def add(self, text: bytes, fields: dict[str, Any]) -> None:
        """Cache a header that passed every check, if it is of the kind that is cached."""
        if len(text) > _LARGEST or text.count(_CREATED) != 1 or text.count(_SECTION) != 1:
            return
        if len(fields["sections"]) != 1 or len(fields["sections"][0]) != 2 or "ext" in fields:
            return
        cut = text.find(_CREATED) + 11
        middle = text.find(_SECTION, cut) + 19
        if len(self._fields) >= _MOST:
            self._fields.clear()
        self._fields[text[:cut], text[cut + 27 : middle], text[text.find(b"}", middle) :]] = fields

    def clear(self) -> None:
        """Empty the cache."""
        self._fields.clear()


header_cache = HeaderCache()
