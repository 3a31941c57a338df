"""The form of a seal (spec section 10): step 9 of the reader algorithm.

This module checks the seal's checksum, encoding and form. It verifies no signature: that takes keys.
"""

import base64
import binascii
import re
from typing import Any

from ..errors import SealError
from .canonical import check_values, decode
from .checksum import checksum
from .grammar import is_key
from .limits import MAX_SIGNATURES

__all__ = ["decode_seal"]

_ALG = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_SIGNATURE_LEN = {"hmac-sha256": 32, "ed25519": 64}


def decode_seal(data: bytes) -> tuple[tuple[str, str], ...]:
    """Check the form of a non-empty seal and return its claims, `(alg, key)` for each signature.

    Raises:
        SealError: wrong checksum, encoding or form.
    """
    if int.from_bytes(data[:8], "little") != checksum(data[8:]):
        raise SealError("the seal is damaged", hint="restore the artifact from another copy")
    value = decode(data[8:], SealError)
    check_values(value, SealError)
    signatures = value.get("signatures")
    if value.keys() != {"signatures"} or type(signatures) is not list or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise SealError("wrong form", f"one member, signatures, an array of 1 to {MAX_SIGNATURES}", ", ".join(value))
    claims = tuple(_claim(entry, f"signatures[{index}]") for index, entry in enumerate(signatures))
    order = [(key, alg) for alg, key in claims]
    if any(later <= earlier for earlier, later in zip(order, order[1:], strict=False)):
        raise SealError("signatures are out of order", "ordered by key, then alg, unique")
    return claims


def _claim(entry: Any, where: str) -> tuple[str, str]:
    if type(entry) is not dict or entry.keys() != {"alg", "key", "sig"}:
        raise SealError("wrong form", "an object with alg, key and sig", None, None, where)
    alg, key, sig = entry["alg"], entry["key"], entry["sig"]
    if type(alg) is not str or not _ALG.fullmatch(alg):
        raise SealError("wrong value", "the name of an algorithm", alg, None, f"{where}.alg")
    if type(key) is not str or not is_key(key):
        raise SealError("wrong value", "the identity of a key", key, None, f"{where}.key")
    raw = _base64(sig)
    if not raw or len(raw) != _SIGNATURE_LEN.get(alg, len(raw)):
        raise SealError("wrong value", "canonical base64 of a signature of this algorithm", sig, None, f"{where}.sig")
    return alg, key


def _base64(text: Any) -> bytes | None:
    """Decode base64 in its one canonical form, or return None (RFC 4648, section 4)."""
    if type(text) is not str:
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
