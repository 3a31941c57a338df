"""A whole frame (spec section 4). Reading it takes three steps: preamble, header, sections.

    preamble = decode_preamble(the first 64 bytes, limits)
    header   = decode_head(preamble, the next header_len + seal_len bytes, limits)
    for each section: SectionCheck(index, entry), update() with its bytes, finish() with its padding

Each step says how many bytes the next one needs. No step opens, waits or seeks: callers bring the bytes from memory,
files, maps and pipes, and all of them get the same verdict. `decode_plain` is a short way for the commonest artifacts.

Writing: `encode_frame` gives header and sections, `frame_parts` puts preamble and seal before them. A `DeferredFrame`
is hashed while it is written.
"""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import (
    HeaderChecksumError,
    HeaderSchemaError,
    LayoutError,
    LimitExceededError,
    SectionChecksumError,
    SectionPaddingError,
    TruncatedError,
    UnsupportedCriticalError,
)
from .canonical import check_values, decode, encode
from .checksum import checksum, checksum_hex, new_digest
from .header import Header, format_of, minor_of, validate
from .header_cache import header_cache
from .limits import ALIGNMENT, MAX_INTEGER, Limits
from .preamble import MAGIC, PREAMBLE_SIZE, VERSION_MINOR, Preamble, encode_preamble
from .seal import Sign, Verify, decode_seal, encode_seal, signed_body

Part = bytes | bytearray | memoryview

_ZEROS = bytes(ALIGNMENT)


def padding_of(length: int) -> int:
    """Return the number of zero bytes behind a section of this length (spec 7.1)."""
    return -length % ALIGNMENT


def decode_head(preamble: Preamble, data: bytes, limits: Limits, verify: Verify | None = None) -> Header:
    """Decode header and seal from the bytes behind the preamble (spec 11, steps 7 to 13).

    `data` is what the input had, at most header_len + seal_len bytes. `verify` verifies the signatures, before the JSON
    of the header is parsed; without it they are claims.

    Raises:
        TruncatedError, HeaderChecksumError, SealError, HeaderEncodingError, HeaderSchemaError, LayoutError,
        LimitExceededError, UnsupportedCriticalError: as spec section 11 says.
        SignatureError: from `verify`.
    """
    header_len = preamble.header_len
    if len(data) < header_len + preamble.seal_len:
        raise TruncatedError("the input ends within the header", preamble.head_len, PREAMBLE_SIZE + len(data))
    text = data[:header_len] if preamble.seal_len else data
    if checksum(text) != preamble.header_xxh3:
        raise HeaderChecksumError("the header is damaged")
    signatures = decode_seal(data[header_len:]) if preamble.seal_len else ()
    verified = verify(signed_body(preamble, text), signatures) if verify is not None else ()
    if preamble.seal_len or preamble.version_minor > VERSION_MINOR:
        fields = _decode_fields(text, preamble)
    else:
        known = header_cache.find(text)
        is_known = known is not None and known["format"] == format_of(preamble.version_minor)
        fields = known if known is not None and is_known else _decode_fields(text, preamble)
    _check_layout(fields["sections"], preamble, limits)
    if "crit" in fields:
        raise UnsupportedCriticalError("not understood", "none", ", ".join(fields["crit"]), "upgrade pickleseal")
    claims = tuple((alg, key) for alg, key, _ in signatures) if signatures else ()
    return Header(fields, preamble, claims, verified)


def _decode_fields(text: bytes, preamble: Preamble) -> dict[str, Any]:
    """Steps 10 and 11: the encoding, values that section 5 excludes, then the schema.

    A header that passes the schema has no such value in the members that the schema knows. So all values are looked at
    only if there are members with free content, or to find out which step a refused header failed.
    """
    fields = decode(text)
    if "ext" in fields or preamble.version_minor > VERSION_MINOR:
        check_values(fields)
    try:
        validate(fields, preamble)
    except HeaderSchemaError:
        check_values(fields)
        raise
    if not preamble.seal_len and preamble.version_minor <= VERSION_MINOR:
        header_cache.add(text, fields)
    return fields


def _check_layout(sections: list[dict[str, Any]], preamble: Preamble, limits: Limits) -> None:
    """Compare the sections' lengths with the frame's, and sizes with the limits (spec 11, step 12)."""
    end, decoded = PREAMBLE_SIZE + preamble.header_len + preamble.seal_len, 0
    for entry in sections:
        length = entry["len"]
        end += length + -length % ALIGNMENT
        if "raw_len" in entry:
            decoded += entry["raw_len"]
    if end != preamble.frame_len:
        raise LayoutError("the sections do not add up to frame_len", preamble.frame_len, end)
    if len(sections) > limits.max_sections:
        raise LimitExceededError("too many sections", f"at most {limits.max_sections}", len(sections)).at(12)
    if decoded > limits.max_decoded:
        raise LimitExceededError("decompresses to too much", f"at most {limits.max_decoded} bytes", decoded).at(12)
    if limits.max_section < MAX_INTEGER:
        _check_largest(sections, limits.max_section)


def _check_largest(sections: list[dict[str, Any]], most: int) -> None:
    """Compare the size of each section, stored and decoded, with the caller's limit (spec 11, step 12)."""
    for index, entry in enumerate(sections):
        for member in ("len", "raw_len"):
            if entry.get(member, 0) > most:
                where = f"sections[{index}].{member}"
                found = entry[member]
                raise LimitExceededError("a section is too large", f"at most {most} bytes", found, None, where).at(12)


def check_section(
    index: int, entry: dict[str, Any], stored: bytes | memoryview, padding: bytes, sha256: str | None = None
) -> None:
    """Check one section that is in memory as a whole (spec 11, step 16). Raises as `SectionCheck.finish` does.

    `sha256` is that of the stored bytes, where the caller has computed it.
    """
    if "sha256" in entry or checksum_hex(stored) != entry["xxh3"] or padding.strip(b"\0"):
        check = SectionCheck(index, entry, with_sha256=sha256 is None)
        check.update(stored)
        check.finish_xxh3()
        check.finish_rest(padding, sha256)


class SectionCheck:
    """Check one section while its bytes go by (spec 11, step 16)."""

    __slots__ = ("_digest", "_entry", "_sha256", "_where")

    def __init__(self, index: int, entry: dict[str, Any], with_sha256: bool = True) -> None:
        """Begin. If `with_sha256` is false, the caller computes the SHA-256 and gives it to `finish_rest`."""
        self._entry = entry
        self._where = f"sections[{index}]"
        self._digest = new_digest()
        self._sha256 = None
        if with_sha256 and "sha256" in entry:
            import hashlib  # loads OpenSSL, so only for sections that have a SHA-256

            self._sha256 = hashlib.sha256()

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next stored bytes."""
        self._digest.update(chunk)
        if self._sha256 is not None:
            self._sha256.update(chunk)

    def finish(self, padding: bytes | memoryview) -> None:
        """Compare checksums and padding.

        Raises:
            SectionChecksumError: the stored bytes are not those that were written.
            SectionPaddingError: a padding byte is not zero.
        """
        self.finish_xxh3()
        self.finish_rest(padding)

    def finish_xxh3(self) -> None:
        """Compare the checksum, which comes first."""
        found = self._digest.hexdigest()
        if found != self._entry["xxh3"]:
            raise SectionChecksumError("the section is damaged", self._entry["xxh3"], found, None, self._where)

    def finish_rest(self, padding: bytes | memoryview, sha256: str | None = None) -> None:
        """Compare the SHA-256, which the caller may give, and the padding."""
        if sha256 is None and self._sha256 is not None:
            sha256 = self._sha256.hexdigest()
        if sha256 is not None and sha256 != self._entry["sha256"]:
            raise SectionChecksumError("SHA-256 differs", self._entry["sha256"], sha256, None, self._where)
        if padding != _ZEROS[: len(padding)]:
            raise SectionPaddingError("padding is not zero", "zero bytes", bytes(padding).hex(), None, self._where)


class EncodedFrame(NamedTuple):
    """A frame without preamble and seal, which depend on its place in a stream."""

    header: bytes
    parts: list[Part]  # the sections with their padding
    length: int  # of header and sections, in bytes
    minor: int = 0  # version_minor


def encode_frame(fields: dict[str, Any], sections: Sequence[Sequence[Part]]) -> EncodedFrame:
    """Compute the checksums of the sections and encode the header; nothing is joined or copied (spec 12, step 2).

    Args:
        fields: the header without `format`, and without the lengths and checksums of the sections: `fields["sections"]`
            has one dict for each section with its other members (`readonly`; `sha256` if there is to be a seal). It is
            completed here.
        sections: for each its stored bytes, as consecutive parts whose `len` is in bytes.

    Raises:
        ValueError: a string in the header has no UTF-8 form.
    """
    parts: list[Part] = []
    total = 0
    for entry, section in zip(fields["sections"], sections, strict=True):
        if len(section) == 1:
            length = len(section[0])
            entry["xxh3"] = checksum_hex(section[0])
        else:
            length, digest = 0, new_digest()
            for part in section:
                length += len(part)
                digest.update(part)
            entry["xxh3"] = digest.hexdigest()
        entry["len"] = length
        padding = -length % ALIGNMENT
        parts += section
        if padding:
            parts.append(_ZEROS[:padding])
        total += length + padding
    minor = minor_of(fields)
    fields["format"] = format_of(minor)
    header = encode(fields)
    return EncodedFrame(header, parts, total + len(header), minor)


def frame_parts(frame: EncodedFrame, sign: Sign | None = None, stream_id: int = 0, seq: int = 0) -> list[Part]:
    """Return a frame with preamble and seal, for a place in a stream or for none (spec 12, steps 3 and 4).

    `sign` makes the signature of the seal; None: no seal.
    """
    header, parts, length, minor = frame
    length += PREAMBLE_SIZE
    if sign is None:
        return [encode_preamble(length, header, 0, minor, stream_id, seq), header, *parts]
    place = Preamble(minor, 0, 0, 0, 0, stream_id, seq)  # a signature covers no length of the preamble
    seal = encode_seal([sign(signed_body(place, header))])
    return [encode_preamble(length + len(seal), header, len(seal), minor, stream_id, seq), header, seal, *parts]


class DeferredFrame:
    """A frame whose sections are hashed while they are written. Its head is written last, when they are known.

    Only without a seal. The bytes are those of `encode_frame` and `frame_parts`.
    """

    def __init__(self, fields: dict[str, Any], sections: Sequence[Sequence[Part]]) -> None:
        """Begin with the arguments of `encode_frame`."""
        self._minor = minor_of(fields)
        fields["format"] = format_of(self._minor)
        self._fields = fields
        self.sections = sections
        end = PREAMBLE_SIZE
        for entry, parts in zip(fields["sections"], sections, strict=True):
            entry["len"] = sum(map(len, parts))
            entry["xxh3"] = "0" * 16  # every checksum has this length
            end += entry["len"] + padding_of(entry["len"])
        self.header_len = len(encode(fields))
        self.length = end + self.header_len

    def padding(self, index: int) -> bytes:
        """Return the padding of a section. The first section begins where preamble and header end."""
        return _ZEROS[: padding_of(self._fields["sections"][index]["len"])]

    def hash(self, index: int) -> None:
        """Compute the checksum of a section."""
        digest = new_digest()
        for part in self.sections[index]:
            digest.update(part)
        self._fields["sections"][index]["xxh3"] = digest.hexdigest()

    def head(self) -> bytes:
        """Return preamble and header, after all sections were hashed."""
        header = encode(self._fields)
        return encode_preamble(self.length, header, 0, self._minor) + header


# The first 16 bytes of a frame of each version that is known, without flags, and the header's `format`.
_STARTS = {MAGIC + struct.pack("<HHI", 1, minor, 0): format_of(minor) for minor in range(VERSION_MINOR + 1)}
_REST = struct.Struct("<QIIQQQQ")  # bytes 16-63


def decode_plain(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Steps 1 to 14, 16 and 17 in one go, for the commonest artifact: the header's fields and the payload, or None.

    That is one in memory, with one uncompressed section, no seal, no stream, within the default limits, and with a
    header that is in the cache. The checks are the same as on the long way. For any artifact that is wrong or of
    another kind the result is None, and the long way finds the verdict: no error class is decided here.
    """
    format_name = _STARTS.get(data[:16])
    if format_name is None or len(data) < 192:
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
    fields = header_cache.find(text)
    if fields is None or fields["format"] != format_name:
        return None
    section = fields["sections"][0]
    if not section["len"]:
        return None
    end = start + section["len"]
    payload = data[start:end]
    if end + -end % ALIGNMENT != frame_len or checksum_hex(payload) != section["xxh3"] or data[end:].strip(b"\0"):
        return None
    return fields, payload
