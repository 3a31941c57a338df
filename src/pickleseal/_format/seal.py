"""Seals (spec section 10): their form, and what a signature signs. Step 9 of the reader algorithm.

This module has no keys. Readers and writers bring functions that verify (`Verify`) and sign (`Sign`) from `_keys`.
"""

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..errors import PackError, SealError
from .canonical import check_values, decode, encode
from .checksum import checksum
from .header import is_key
from .limits import ALIGNMENT, MAX_SEAL, MAX_SIGNATURES
from .preamble import MAGIC, VERSION_MAJOR, Preamble

_ALG = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
SIGNATURE_LEN = {"hmac-sha256": 32, "ed25519": 64}
_TYPE = "application/vnd.pickleseal.head.v1"  # spec 10, as in DSSE
_PURPOSE = re.compile(r"[A-Za-z0-9._:/-]{0,255}", re.ASCII)
_SIGNED_FIELDS = struct.Struct("<8sHHIQQ")  # preamble bytes 0-15 and 40-55


class Signature(NamedTuple):
    """One signature of a seal, as it claims to be."""

    alg: str
    key: str
    raw: bytes


# What was signed, and the signatures -> (alg, key) of those that verify. Raises SignatureError.
Verify = Callable[[bytes, tuple[Signature, ...]], tuple[tuple[str, str], ...]]
Sign = Callable[[bytes], Signature]


def is_purpose(text: str) -> bool:
    """Return whether a string can be a purpose (spec 10)."""
    return _PURPOSE.fullmatch(text) is not None


def signed_body(preamble: Preamble, header: bytes) -> bytes:
    """Return what a signature covers: preamble bytes 0-15 and 40-55, and the header as stored (spec 10)."""
    minor, stream_id, seq = preamble.version_minor, preamble.stream_id, preamble.seq
    return _SIGNED_FIELDS.pack(MAGIC, VERSION_MAJOR, minor, 0, stream_id, seq) + header


def context_digest(context: str) -> str:
    """Return what stands for a context in the type: 64 hex digits of the SHA-256 of its UTF-8 form (spec 10).

    Raises:
        TypeError, ValueError: it is not text, is empty, or has no UTF-8 form.
    """
    import hashlib

    if not isinstance(context, str):
        raise TypeError(f"context: expected text, found {type(context).__name__}")
    if not context:
        raise ValueError("context: expected text of at least one character, found an empty one")
    try:
        return hashlib.sha256(context.encode("utf-8")).hexdigest()
    except UnicodeEncodeError:
        raise ValueError("context: expected text that has a UTF-8 form, found a lone surrogate") from None


def pre_authentication(body: bytes, purpose: str, context: str = "") -> bytes:
    """Return the bytes that are signed: the DSSE encoding of body, purpose and the digest of a context (spec 10)."""
    kind = f"{_TYPE};purpose={purpose}" if purpose else _TYPE
    if context:
        kind += f";context={context}"
    return f"DSSEv1 {len(kind)} {kind} {len(body)} ".encode("ascii") + body


def encode_seal(signatures: Iterable[Signature]) -> bytes:
    """Encode a seal, signatures in their order, one for each key and algorithm.

    Raises:
        PackError: a seal has no room for so many signatures.
    """
    ordered = sorted(signatures, key=lambda signature: (signature.key, signature.alg))
    entries = [{"alg": s.alg, "key": s.key, "sig": base64.b64encode(s.raw).decode("ascii")} for s in ordered]
    text = encode({"signatures": entries}).rstrip(b" ")
    body = text + b" " * (-(len(text) + 8) % ALIGNMENT)
    if len(entries) > MAX_SIGNATURES or len(body) + 8 > MAX_SEAL:
        room = f"{MAX_SIGNATURES} signatures in {MAX_SEAL} bytes"
        raise PackError("the seal is full", room, f"{len(entries)} in {len(body) + 8}")
    return checksum(body).to_bytes(8, "little") + body


def decode_seal(data: bytes) -> tuple[Signature, ...]:
    """Check the form of a non-empty seal and return what it claims.

    Raises:
        SealError: wrong checksum, encoding or form.
    """
    if int.from_bytes(data[:8], "little") != checksum(data[8:]):
        raise SealError("the seal is damaged", hint="restore the artifact from another copy")
    value = decode(data[8:], SealError)
    check_values(value, SealError)
    entries = value.get("signatures")
    if value.keys() != {"signatures"} or type(entries) is not list or not 1 <= len(entries) <= MAX_SIGNATURES:
        raise SealError("wrong form", f"one member, signatures, an array of 1 to {MAX_SIGNATURES}", ", ".join(value))
    signatures = tuple(_signature(entry, f"signatures[{index}]") for index, entry in enumerate(entries))
    order = [(key, alg) for alg, key, _ in signatures]
    if any(later <= earlier for earlier, later in zip(order, order[1:], strict=False)):
        raise SealError("signatures are out of order", "ordered by key, then alg, unique")
    return signatures


def _signature(entry: Any, where: str) -> Signature:
    if type(entry) is not dict or entry.keys() != {"alg", "key", "sig"}:
        raise SealError("wrong form", "an object with alg, key and sig", None, None, where)
    alg, key, sig = entry["alg"], entry["key"], entry["sig"]
    if type(alg) is not str or not _ALG.fullmatch(alg):
        raise SealError("wrong value", "the name of an algorithm", alg, None, f"{where}.alg")
    if type(key) is not str or not is_key(key):
        raise SealError("wrong value", "the identity of a key", key, None, f"{where}.key")
    raw = decode_base64(sig)
    if not raw or len(raw) != SIGNATURE_LEN.get(alg, len(raw)):
        raise SealError("wrong value", "canonical base64 of a signature of this algorithm", sig, None, f"{where}.sig")
    return Signature(alg, key, raw)


def decode_base64(text: Any) -> bytes | None:
    """Decode base64 in its one canonical form, or return None (RFC 4648, section 4)."""
    if type(text) is not str:
        return None
    try:
        raw = base64.b64decode(text)  # the comparison below refuses what this passes over
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
