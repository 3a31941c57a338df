"""Build frames for the vectors, right or deliberately wrong. This module shares no code with the library.

`Frame` builds the bytes of one frame from a header (a dict, or raw text) and sections. Every length and checksum can be
overridden. What is not overridden is computed and right.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import struct
from typing import Any

import xxhash

MAGIC = b"\xf7PSL\r\n\x1a\n"
CREATED = "2026-01-02T03:04:05.678901Z"
KEY = b"the key of the test vectors, 32B"
SIGNED_TYPE = b"application/vnd.pickleseal.head.v1"


def pad64(data: bytes, fill: bytes = b"\0") -> bytes:
    """Pad to a multiple of 64."""
    return data + fill * (-len(data) % 64)


def xxh3(data: bytes) -> int:
    """Return the checksum as an integer."""
    return xxhash.xxh3_64_intdigest(data)


def canonical(value: Any) -> bytes:
    """Encode a value as canonical JSON, with the standard library."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def framed(body: bytes, protocol: int = 5) -> bytes:
    """Return a pickle with one FRAME: PROTO, FRAME, body, STOP."""
    body += b"."
    return bytes((0x80, protocol, 0x95)) + struct.pack("<Q", len(body)) + body


def text(value: str) -> bytes:
    """Return SHORT_BINUNICODE and MEMOIZE."""
    raw = value.encode()
    return b"\x8c" + bytes((len(raw),)) + raw + b"\x94"


def named(module: str, qualname: str) -> bytes:
    """Return STACK_GLOBAL of two strings, memoized."""
    return text(module) + text(qualname) + b"\x93\x94"


PAYLOAD = framed(b"}\x94(" + text("id") + b"K\x07" + text("state") + text("done") + b"u")  # {"id": 7, "state": "done"}
TRIP = framed(named("canary", "trip") + b")R")  # calls canary.trip()


class Frame:
    """One frame. Change its attributes, then read `data`."""

    def __init__(self, *sections: bytes, **fields: Any) -> None:
        self.sections = list(sections) or [PAYLOAD]
        self.fields: dict[str, Any] = {
            "build": {"python": "3.12.1"},
            "created": CREATED,
            "format": "pickleseal/1.0",
            "globals": [],
            "pickle": {"protocol": 5},
            "type": "builtins:dict",
            "version": 0,
            **fields,
        }
        self.section_fields: list[dict[str, Any]] = [{} for _ in self.sections]
        self.stored_in_header = True  # whether `sections` is added to the header
        self.header_text: bytes | None = None  # overrides the whole header before padding
        self.header_padded: bytes | None = None  # overrides the header with its padding
        self.preamble: dict[str, int] = {}  # overrides, by field
        self.seal = b""
        self.padding = b"\0"
        self.minor = 0

    def copy(self) -> Frame:
        return copy.deepcopy(self)

    def header(self) -> dict[str, Any]:
        """Return the header as a value."""
        fields = dict(self.fields)
        if self.stored_in_header and "sections" not in fields:
            fields["sections"] = [
                {"len": len(raw), "xxh3": f"{xxh3(raw):016x}", **extra}
                for raw, extra in zip(self.sections, self.section_fields, strict=True)
            ]
        return {key: value for key, value in fields.items() if value is not DROP}

    def header_bytes(self) -> bytes:
        if self.header_padded is not None:
            return self.header_padded
        raw = canonical(self.header()) if self.header_text is None else self.header_text
        return pad64(raw, b" ")

    def edit(self, old: bytes, new: bytes) -> Frame:
        """Replace one occurrence of a text in the encoded header."""
        raw = canonical(self.header())
        assert raw.count(old) == 1, (old, raw)
        self.header_text = raw.replace(old, new)
        return self

    def sign(self, *signatures: dict[str, str]) -> Frame:
        """Add `sha256` to every section, and a seal to the frame."""
        for raw, extra in zip(self.sections, self.section_fields, strict=True):
            extra.setdefault("sha256", hashlib.sha256(raw).hexdigest())
        self.seal = make_seal({"signatures": list(signatures) or [self.signature()]})
        return self

    def signed_body(self) -> bytes:
        """Return the bytes that a signature covers, before the DSSE encoding (spec 10)."""
        return self.preamble_fields()[:16] + self.preamble_fields()[40:56] + self.header_bytes()

    def signature(
        self, key: str = "test-2026", secret: bytes = KEY, purpose: str = "", context: str = ""
    ) -> dict[str, str]:
        """Return a signature by HMAC-SHA256 over the DSSE pre-authentication encoding (spec 10)."""
        return mac(key, pae(self.signed_body(), purpose, context), secret)

    def body(self) -> bytes:
        return b"".join(pad64(raw, self.padding) for raw in self.sections)

    def preamble_fields(self) -> bytes:
        header = self.header_bytes()
        values = {
            "major": 1,
            "minor": self.minor,
            "flags": 0,
            "frame_len": 64 + len(header) + len(self.seal) + len(self.body()),
            "header_len": len(header),
            "seal_len": len(self.seal),
            "header_xxh3": xxh3(header),
            "stream_id": 0,
            "seq": 0,
            **{key: value for key, value in self.preamble.items() if key != "preamble_xxh3"},
        }
        return MAGIC + struct.pack("<HHIQIIQQQ", *values.values())

    @property
    def data(self) -> bytes:
        """The frame."""
        fields = self.preamble_fields()
        checksum = self.preamble.get("preamble_xxh3", xxh3(fields))
        return fields + struct.pack("<Q", checksum) + self.header_bytes() + self.seal + self.body()


def pae(body: bytes, purpose: str = "", context: str = "") -> bytes:
    """Return the DSSE pre-authentication encoding (spec 10)."""
    kind = SIGNED_TYPE + (b";purpose=" + purpose.encode() if purpose else b"")
    kind += b";context=" + hashlib.sha256(context.encode()).hexdigest().encode() if context else b""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def mac(key: str, message: bytes, secret: bytes = KEY) -> dict[str, str]:
    """Return a signature by HMAC-SHA256."""
    raw = hmac.new(secret, message, hashlib.sha256).digest()
    return {"alg": "hmac-sha256", "key": key, "sig": base64.b64encode(raw).decode()}


DROP = object()  # marks a header member that is left out


def make_seal(value: Any, raw: bytes | None = None) -> bytes:
    """Return a seal that holds a JSON value, or raw text in its place."""
    body = canonical(value) if raw is None else raw
    body += b" " * (-(len(body) + 8) % 64)
    return struct.pack("<Q", xxh3(body)) + body


def zstd_raw(data: bytes, *, size: bytes | None = None, descriptor: int = 0x20, before_size: bytes = b"") -> bytes:
    """Return a Zstandard frame of one raw block, built by hand (RFC 8878, 3.1.1)."""
    block = (len(data) << 3 | 1).to_bytes(3, "little")
    content_size = bytes((len(data),)) if size is None else size
    return b"\x28\xb5\x2f\xfd" + bytes((descriptor,)) + before_size + content_size + block + data


def zstd_repeated(byte: bytes, length: int) -> bytes:
    """Return a Zstandard frame of one repeated byte, in RLE blocks of 128 KiB, with a window of 8 MiB."""
    blocks, left = b"", length
    while left:
        size = min(left, 1 << 17)
        left -= size
        blocks += (size << 3 | 2 | (not left)).to_bytes(3, "little") + byte
    return b"\x28\xb5\x2f\xfd\x80" + bytes((13 << 3,)) + struct.pack("<I", length) + blocks
