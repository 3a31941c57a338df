"""The first 64 bytes of a frame (spec section 4.1): steps 1 to 6 of the reader algorithm."""

import struct
from typing import NamedTuple

from ..errors import (
    Hint,
    LimitExceededError,
    NotAnArtifactError,
    PreambleChecksumError,
    PreambleFieldError,
    TruncatedError,
    UnsupportedFlagsError,
    UnsupportedVersionError,
)
from .checksum import checksum
from .foreign import identify
from .limits import ALIGNMENT, MAX_HEADER, MAX_INTEGER, MAX_SEAL, Limits

MAGIC = b"\xf7PSL\r\n\x1a\n"
PREAMBLE_SIZE = 64
VERSION_MAJOR = 1
VERSION_MINOR = 1  # the highest whose members this version knows; `header.minor_of` says what it writes
_FIELDS = struct.Struct("<8sHHIQIIQQQ")  # bytes 0-55
_ALL = struct.Struct("<8xHHIQIIQQQQ")  # without the magic, with the checksum


class Preamble(NamedTuple):
    """The preamble's fields that vary. Lengths in bytes."""

    version_minor: int
    frame_len: int
    header_len: int
    seal_len: int
    header_xxh3: int
    stream_id: int
    seq: int

    @property
    def head_len(self) -> int:
        """Bytes from the frame's start to section 0."""
        return PREAMBLE_SIZE + self.header_len + self.seal_len


def encode_preamble(
    frame_len: int, header: bytes, seal_len: int = 0, minor: int = 0, stream_id: int = 0, seq: int = 0
) -> bytes:
    """Encode the preamble of a frame (spec 4.1)."""
    lengths = frame_len, len(header), seal_len
    fields = _FIELDS.pack(MAGIC, VERSION_MAJOR, minor, 0, *lengths, checksum(header), stream_id, seq)
    return fields + checksum(fields).to_bytes(8, "little")


def decode_preamble(data: bytes, limits: Limits) -> Preamble:
    """Decode the preamble from the first bytes of a frame, as many of 64 as there are (spec 11, steps 1 to 6).

    Raises:
        NotAnArtifactError, TruncatedError, PreambleChecksumError, UnsupportedVersionError, UnsupportedFlagsError,
        PreambleFieldError, LimitExceededError: as spec section 11 says.
    """
    if data[:8] != MAGIC[: len(data)]:
        found, hint = identify(data[:64])
        raise NotAnArtifactError("not a pickleseal artifact", None, found, hint)
    if len(data) < PREAMBLE_SIZE:
        if not data:
            hint = Hint("a file that was just written is at its end: seek(0) first", "fetch it or write it again")
            raise TruncatedError("the input is empty, or at its end", PREAMBLE_SIZE, 0, hint).at(1)
        raise TruncatedError("the input ends within the preamble", PREAMBLE_SIZE, len(data)).at(1)
    major, minor, flags, frame_len, header_len, seal_len, header_xxh3, stream_id, seq, found = _ALL.unpack(data)
    if checksum(data[:56]) != found:
        raise PreambleChecksumError("the preamble is damaged")
    if major != VERSION_MAJOR:
        raise UnsupportedVersionError("unknown format version", VERSION_MAJOR, major)
    if flags:
        raise UnsupportedFlagsError("unknown incompatible features", "incompat_flags 0", hex(flags))
    if header_len % ALIGNMENT or not ALIGNMENT <= header_len <= MAX_HEADER:
        raise _wrong("header_len", f"a multiple of 64 from 64 to {MAX_HEADER}", header_len)
    if seal_len and (seal_len % ALIGNMENT or seal_len > MAX_SEAL):
        raise _wrong("seal_len", f"a multiple of 64, at most {MAX_SEAL}", seal_len)
    least = 128 + header_len + seal_len
    if frame_len % ALIGNMENT or not least <= frame_len <= MAX_INTEGER:
        raise _wrong("frame_len", f"a multiple of 64 from {least} to {MAX_INTEGER}", frame_len)
    if seq and not stream_id:
        raise _wrong("seq", "0, as the frame is standalone", seq)
    preamble = Preamble(minor, frame_len, header_len, seal_len, header_xxh3, stream_id, seq)
    if frame_len > limits.max_frame or header_len > limits.max_header:
        check_limits(preamble, limits)
    return preamble


def check_limits(preamble: Preamble, limits: Limits) -> None:
    """Compare the lengths with the caller's limits (spec 11, step 6).

    Raises:
        LimitExceededError: one is larger.
    """
    if preamble.frame_len > limits.max_frame:
        raise LimitExceededError("the frame is too large", f"at most {limits.max_frame} bytes", preamble.frame_len)
    if preamble.header_len > limits.max_header:
        raise LimitExceededError("the header is too large", f"at most {limits.max_header} bytes", preamble.header_len)


def _wrong(field: str, expected: str, found: int) -> PreambleFieldError:
    return PreambleFieldError("wrong value", expected, found, None, field)
