"""Invalid vectors for the frame: preamble, limits, checksums, seals, layout, policy, sections, codecs.

`FRAME` maps a name to (what is wrong, error class, reader step, bytes, policy). Each vector has one defect, and every
check before that one passes; those named `policy-order-...` have two, to show which check comes first.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import Any

from frames import PAYLOAD, Frame, canonical, framed, make_seal, named, xxh3, zstd_raw, zstd_repeated
from valid import VALID

__all__ = ["FRAME", "Vector"]

Vector = tuple[str, str, int, bytes, "dict[str, Any] | None"]
FRAME: dict[str, Vector] = {}


def _add(name: str, about: str, error: str, step: int, data: bytes, policy: dict[str, Any] | None = None) -> None:
    assert name not in FRAME
    FRAME[name] = about, error, step, data, policy


GOOD = Frame().data
BUFFERS = VALID["buffers"][1]

# --- step 1 -----------------------------------------------------------------------------------------------------------
for _name, _about, _data in (
    ("newline-crlf-to-lf", "CR LF became LF", GOOD.replace(b"\r\n", b"\n")),
    ("newline-lf-to-crlf", "LF became CR LF", GOOD.replace(b"\n", b"\r\n")),
    ("newline-lf-to-cr", "LF became CR", GOOD.replace(b"\n", b"\r")),
    ("bit-7-cleared", "bit 7 of every byte was cleared", bytes(byte & 0x7F for byte in GOOD)),
    ("latin-1-to-utf-8", "decoded as Latin-1, encoded as UTF-8", GOOD.decode("latin-1").encode()),
    ("utf-8-replaced", "decoded as UTF-8 with replacement characters", GOOD.decode(errors="replace").encode()),
    (
        "ctrl-z-stripped",
        "cut at the first 0x1A, as a DOS text reader does, and written with an end of line",
        b"\xf7PSL\r\n\r\n",
    ),
    ("magic-first-bit", "one bit of the magic flipped", b"\xf6" + GOOD[1:]),
    ("magic-last-byte", "the last byte of the magic is wrong", GOOD[:7] + b"\x0b" + GOOD[8:]),
    ("bom-in-front", "a UTF-8 byte order mark before the magic", b"\xef\xbb\xbf" + GOOD),
    ("byte-in-front", "the magic at offset 1", b"\0" + GOOD),
    ("block-in-front", "the magic at offset 64", bytes(64) + GOOD),
    ("polyglot-pickle-in-front", "a pickle before the artifact", PAYLOAD + GOOD),
    ("polyglot-script-in-front", "a script before the artifact", b"#!/bin/sh\nexit 0\n" + GOOD),
    ("foreign-pickle", "a bare pickle", PAYLOAD),
    ("foreign-gzip", "gzip data", bytes.fromhex("1f8b0800000000000003") + bytes(60)),
    ("foreign-zip", "a zip archive", b"PK\x03\x04" + bytes(60)),
    ("foreign-zstd", "Zstandard data", zstd_raw(PAYLOAD)),
    ("foreign-html", "an HTML page", b"<!DOCTYPE html>\n<html><body>503 Service Unavailable</body></html>\n"),
    ("foreign-git-lfs", "a git-lfs pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
    ("foreign-json", "JSON text", b'{"format": "pickleseal/1.0"}'),
    ("foreign-zeros", "zero bytes", bytes(384)),
    ("foreign-text-short", "three bytes of text", b"abc"),
):
    _add(_name, _about, "not-an-artifact", 1, _data)
for _n in (0, 1, 7, 8, 63):
    _add(f"cut-at-{_n}", f"only the first {_n} bytes", "truncated", 1, GOOD[:_n])

# --- step 2 -----------------------------------------------------------------------------------------------------------
for _name, _offset in (
    ("major", 8),
    ("minor", 10),
    ("flags", 12),
    ("frame-len", 16),
    ("header-len", 24),
    ("seal-len", 28),
    ("header-xxh3", 32),
    ("stream-id", 40),
    ("seq", 48),
    ("checksum", 63),
):
    _flipped = bytearray(GOOD)
    _flipped[_offset] ^= 1
    _add(f"preamble-flip-{_name}", f"one bit of {_name} flipped", "preamble-checksum", 2, bytes(_flipped))


def _preamble(**overrides: int) -> bytes:
    frame = Frame()
    frame.preamble = overrides
    return frame.data


_sum = xxh3(GOOD[:56])
_add(
    "preamble-checksum-big-endian",
    "the checksum in big-endian order",
    "preamble-checksum",
    2,
    _preamble(preamble_xxh3=int.from_bytes(_sum.to_bytes(8, "big"), "little")),
)
_add("preamble-checksum-zero", "a checksum of zero bytes", "preamble-checksum", 2, _preamble(preamble_xxh3=0))
_add(
    "preamble-checksum-without-magic",
    "a checksum over bytes 8-55",
    "preamble-checksum",
    2,
    _preamble(preamble_xxh3=xxh3(GOOD[8:56])),
)
_add(
    "preamble-lf-in-length",
    "a length byte changed by newline conversion, with the checksum from before",
    "preamble-checksum",
    2,
    GOOD[:16] + b"\x0a" + GOOD[17:],
)

# --- steps 3 to 7 -----------------------------------------------------------------------------------------------------
for _n in (0, 2, 256, 65535):
    _add(f"major-{_n}", f"version_major {_n}", "unsupported-version", 3, _preamble(major=_n))
_add(
    "major-2-and-flags",
    "version_major 2 with flags: the version comes first",
    "unsupported-version",
    3,
    _preamble(major=2, flags=1),
)
for _n in (0, 1, 31):
    _add(f"flag-{_n}", f"incompat_flags bit {_n}", "unsupported-flags", 4, _preamble(flags=1 << _n))
_len = len(Frame().header_bytes())
for _name, _about, _fields in (
    ("header-len-0", "header_len 0", {"header_len": 0}),
    ("header-len-32", "header_len below 64", {"header_len": 32}),
    ("header-len-odd", "header_len is not a multiple of 64", {"header_len": _len + 1}),
    ("header-len-too-large", "header_len above 1 MiB", {"header_len": 1_048_640, "frame_len": 2_000_000_000}),
    ("header-len-largest", "header_len 2^32 - 64", {"header_len": 2**32 - 64, "frame_len": 2**40}),
    ("seal-len-1", "seal_len is not a multiple of 64", {"seal_len": 1}),
    ("seal-len-too-large", "seal_len above 65,536", {"seal_len": 65_600, "frame_len": 2_000_000}),
    ("frame-len-0", "frame_len 0", {"frame_len": 0}),
    ("frame-len-odd", "frame_len is not a multiple of 64", {"frame_len": len(GOOD) + 1}),
    ("frame-len-no-section", "frame_len without room for a section", {"frame_len": 64 + _len}),
    ("frame-len-2-53", "frame_len 2^53", {"frame_len": 2**53}),
    ("frame-len-largest", "frame_len 2^64 - 64", {"frame_len": 2**64 - 64}),
    ("seq-without-stream", "seq in a standalone frame", {"seq": 1}),
):
    _add(_name, _about, "preamble-field", 5, _preamble(**_fields))
_add("limit-frame", "a frame above the caller's limit", "limit-exceeded", 6, GOOD, {"limits": {"max_frame": 320}})
_add("limit-header", "a header above the caller's limit", "limit-exceeded", 6, GOOD, {"limits": {"max_header": 128}})
for _n, _about in (
    (64, "nothing after the preamble"),
    (65, "one byte of the header"),
    (64 + _len - 1, "the header without its last byte"),
):
    _add(f"cut-at-{_n}", _about, "truncated", 7, GOOD[:_n])
_sealed = VALID["sealed"][1]
_add(
    "cut-in-seal",
    "the seal without its last byte",
    "truncated",
    7,
    _sealed.data[: 64 + len(_sealed.header_bytes()) + 63],
)
_add(
    "header-len-too-long",
    "header_len reaches beyond the input",
    "truncated",
    7,
    _preamble(header_len=1_048_576, frame_len=2**30),
)

# --- step 8 -----------------------------------------------------------------------------------------------------------


def _header_damage(name: str, about: str, change: Callable[[bytes], bytes]) -> None:
    header = Frame().header_bytes()
    data = GOOD[:64] + change(header) + GOOD[64 + len(header) :]
    _add(name, about, "header-checksum", 8, data)


_header_damage("header-flip-first", "one bit of the header's first byte", lambda h: bytes((h[0] ^ 1,)) + h[1:])
_header_damage("header-flip-last", "one bit of the header's last byte, padding", lambda h: h[:-1] + bytes((h[-1] ^ 1,)))
_header_damage("header-digit", "another version number", lambda h: h.replace(b'"version":0', b'"version":1'))
_header_damage("header-zeroed", "the header is zero bytes", lambda h: bytes(len(h)))
_frame = Frame()
_frame.preamble = {"header_xxh3": xxh3(canonical(_frame.header()))}
_add("header-checksum-unpadded", "a checksum over the text without its padding", "header-checksum", 8, _frame.data)
_frame.preamble = {"header_xxh3": int.from_bytes(xxh3(_frame.header_bytes()).to_bytes(8, "big"), "little")}
_add("header-checksum-big-endian", "the checksum in big-endian order", "header-checksum", 8, _frame.data)

# --- step 9 -----------------------------------------------------------------------------------------------------------


def _seal(name: str, about: str, seal: bytes) -> None:
    frame = Frame().sign()
    frame.seal = seal
    _add(f"seal-{name}", about, "seal-invalid", 9, frame.data)


_signature = Frame().sign().signature()
_ok = {"signatures": [_signature]}


def _with(**changes: Any) -> dict[str, Any]:
    return {"signatures": [{key: value for key, value in {**_signature, **changes}.items() if value is not None}]}


_raw = make_seal(_ok)
_seal("flip", "one bit of the seal flipped", _raw[:20] + bytes((_raw[20] ^ 1,)) + _raw[21:])
_seal("checksum-zero", "a checksum of zero bytes", bytes(8) + _raw[8:])
_seal("checksum-all", "a checksum over the whole seal", struct.pack("<Q", xxh3(bytes(8) + _raw[8:])) + _raw[8:])
_seal("zeros", "a seal of zero bytes", bytes(128))
_seal("not-json", "not JSON", make_seal(None, b"hello"))
_seal("array", "an array", make_seal([_signature]))
_seal("space", "white space", make_seal(None, canonical(_ok).replace(b":", b": ", 1)))
_seal("duplicate", "a duplicate member", make_seal(None, b'{"signatures":[],' + canonical(_ok)[1:]))
_seal(
    "padding-64",
    "64 spaces of padding too many",
    make_seal(None, canonical(_ok) + b" " * (-(len(canonical(_ok)) + 8) % 64 + 64)),
)
_whole_blocks = VALID["sealed-padding-0"][1].seal[8:] + b" " * 64
_seal(
    "padding-64-for-0",
    "64 spaces of padding instead of none",
    struct.pack("<Q", xxh3(_whole_blocks)) + _whole_blocks,
)
_seal("empty-object", "no signatures member", make_seal({}))
_seal("no-signatures", "an empty array", make_seal({"signatures": []}))
_seal("not-array", "signatures is an object", make_seal({"signatures": {}}))
_seal(
    "65",
    "65 signatures",
    make_seal({"signatures": [{"alg": "x", "key": f"k{n:02}", "sig": "AA=="} for n in range(65)]}),
)
_seal("extra-member", "an unknown member", make_seal({**_ok, "note": "x"}))
_seal("extra-in-signature", "an unknown member of a signature", make_seal(_with(note="x")))
_seal("missing-key", "a signature without key", make_seal(_with(key=None)))
_seal("signature-string", "a signature that is a string", make_seal({"signatures": ["x"]}))
_seal("alg-upper", "an algorithm in capitals", make_seal(_with(alg="HMAC-SHA256")))
_seal("alg-number", "an algorithm that is a number", make_seal(_with(alg=1)))
_seal("key-empty", "an empty key identity", make_seal(_with(key="")))
_seal("key-space", "a key identity with a space", make_seal(_with(key="a b")))
_seal("sig-empty", "an empty signature", make_seal(_with(alg="future-1", sig="")))
_seal("sig-short", "an HMAC of 31 bytes", make_seal(_with(sig=base64.b64encode(bytes(31)).decode())))
_seal("sig-ed25519-32", "an Ed25519 signature of 32 bytes", make_seal(_with(alg="ed25519")))
_seal("sig-url-safe", "base64 of the URL-safe alphabet", make_seal(_with(alg="future-1", sig="-_8=")))
_seal("sig-no-padding", "base64 without padding", make_seal(_with(alg="future-1", sig="AAA")))
_seal("sig-unused-bits", "base64 with unused bits set", make_seal(_with(alg="future-1", sig="AB==")))
_seal("sig-newline", "base64 with a line break", make_seal(_with(alg="future-1", sig="AA==\n")))
_two = [{**_signature, "key": "b"}, {**_signature, "key": "a"}]
_seal("order", "signatures out of order", make_seal({"signatures": _two}))
_seal("twice", "one key and algorithm twice", make_seal({"signatures": [_signature, _signature]}))
_seal("number", "a fraction", make_seal(None, b'{"signatures":1.5}'))

# --- steps 12 to 17 ---------------------------------------------------------------------------------------------------
_frame = Frame()
_frame.preamble = {"frame_len": len(GOOD) + 64}
_add(
    "layout-frame-longer",
    "frame_len counts one block more than the sections have",
    "layout",
    12,
    _frame.data + bytes(64),
)
_frame = BUFFERS.copy()
_frame.preamble = {"frame_len": len(BUFFERS.data) - 64}
_add("layout-frame-shorter", "frame_len counts one block less than the sections have", "layout", 12, _frame.data[:-64])
_frame = Frame()
_frame.section_fields = [{"len": 0}]
_add("layout-len-0", "a section of length 0, but a block of 64 bytes in the frame", "layout", 12, _frame.data)
_frame = Frame()
_frame.section_fields = [{"len": 2**53 - 1}]
_add("layout-len-largest", "a section of 2^53 - 1 bytes", "layout", 12, _frame.data)
_frame = BUFFERS.copy()
for _extra in _frame.section_fields:
    _extra["len"] = 2**53 - 1
_add("layout-sum-overflow", "lengths whose sum exceeds 2^53", "layout", 12, _frame.data)
_add(
    "limit-sections",
    "more sections than the caller allows",
    "limit-exceeded",
    12,
    BUFFERS.data,
    {"limits": {"max_sections": 5}},
)
_add(
    "limit-decoded",
    "decodes to more than the caller allows",
    "limit-exceeded",
    12,
    VALID["zstd-payload"][1].data,
    {"limits": {"max_decoded": len(PAYLOAD) - 1}},
)
_frame = VALID["zstd-payload"][1].copy()
_frame.section_fields = [{"codec": "zstd", "raw_len": 2**40}]
_add("limit-decoded-default", "a raw_len of 1 TiB", "limit-exceeded", 12, _frame.data)
_frame = Frame(ext={"a.b": 1}, crit=["a.b"])
_add(
    "crit-unknown", "a critical extension that no reader of this version knows", "unsupported-critical", 13, _frame.data
)
_frame = Frame(ext={"a.b": 1, "c.d": 2}, crit=["a.b", "c.d"])
_add("crit-two", "two critical extensions", "unsupported-critical", 13, _frame.data)
_frame = Frame()
_frame.section_fields = [{"codec": "lz4", "raw_len": 10}]
_add("codec-unknown", "an unknown codec", "unsupported-codec", 14, _frame.data)
_add("policy-protocol-3", "a protocol that the default policy does not accept", "policy", 15, VALID["proto-3"][1].data)
_add("policy-protocol-2", "a protocol that the default policy does not accept", "policy", 15, VALID["proto-2"][1].data)
_add("policy-protocol-5", "a protocol that the caller does not accept", "policy", 15, GOOD, {"protocols": [4]})
_add("policy-type", "another type than expected", "type-mismatch", 15, GOOD, {"expect": "jobs.Task"})
_add("policy-global", "a global that is not trusted", "untrusted-global", 15, VALID["canary"][1].data, {"trust": []})
_add(
    "policy-global-dotted",
    "a dotted name below a trusted global",
    "untrusted-global",
    15,
    Frame(globals=["canary:Trip.x"]).data,
    {"trust": ["canary:Trip"]},
)
_missing = "no_such_module_anywhere:Task"
_add(
    "policy-class-missing",
    "a trusted class whose module does not exist",
    "class-missing",
    15,
    Frame(framed(named(*_missing.split(":")) + b")\x81"), globals=[_missing]).data,
    {"trust": [_missing]},
)
_packages = VALID["packages-class"][1].data  # records orjson 0.0.1
_add(
    "policy-package",
    "written with a major version other than the installed one, which the policy refuses",
    "package-version",
    15,
    _packages,
    {"packages": {"*": "refuse"}},
)
for _name, _about, _rules in (
    ("exact", "another version than the installed one", {"orjson": "exact"}),
    ("minor", "another minor version than the installed one", {"ORJSON": "minor"}),
    ("major", "another major version than the installed one", {"*": "major"}),
    ("word", "the word for this distribution counts, not that for all others", {"*": "ignore", "orjson": "refuse"}),
    ("range", "a version below the range", {"orjson": ">=1"}),
    ("range-others", "a version below the range for all others", {"*": ">=0.0.2,<9"}),
    ("not-recorded", "a range for a distribution that the header does not record", {"numpy": ">=1", "*": "ignore"}),
):
    _add(f"policy-package-{_name}", _about, "package-version", 15, _packages, {"packages": _rules})
_add(
    "policy-package-none",
    "a range for a distribution, and a header that records none",
    "package-version",
    15,
    GOOD,
    {"packages": {"numpy": ">=1"}},
)
_frame = Frame(framed(named(*_missing.split(":")) + b")\x81"), globals=[_missing], packages={"orjson": "0.0.1"})
_add(
    "policy-order-package",
    "two defects: a version that the policy refuses comes before a class whose module does not exist",
    "package-version",
    15,
    _frame.data,
    {"trust": [_missing], "packages": {"*": "refuse"}},
)
_add(
    "policy-order-untrusted",
    "two defects: a global that is not trusted comes before a version that the policy refuses",
    "untrusted-global",
    15,
    _frame.data,
    {"trust": ["canary:Trip"], "packages": {"*": "refuse"}},
)
_add(
    "policy-class-missing-packages",
    "a class whose module does not exist; a version differs, which the policy only warns of",
    "class-missing",
    15,
    _frame.data,
    {"trust": [_missing], "packages": {"*": "warn"}},
)
_status = VALID["types-class"][1].fields["types"]["http:HTTPStatus"]
for _name, _about, _error, _entry in (
    ("drift-value", "an enum member whose value differs from the class's", "schema-drift", {"fields": [["OK", "201"]]}),
    ("drift-removed", "an enum member that the class lacks", "schema-drift", {"fields": [["OKAY", "200"]]}),
    ("drift-kind", "a class that was a dataclass and is an enum", "schema-drift", {"kind": "dataclass"}),
    ("version-newer", "a schema version above the class's", "schema-version", {"version": 1}),
):
    _frame = VALID["types-class"][1].copy()
    _frame.fields["types"] = {"http:HTTPStatus": {**_status, **_entry}}
    _frame.fields["version"] = _frame.fields["types"]["http:HTTPStatus"]["version"]
    _add(f"policy-{_name}", _about, _error, 15, _frame.data)

_start = len(BUFFERS.data) - len(BUFFERS.body())
for _name, _about, _n in (
    ("payload", "cut within the payload", _start + 10),
    ("payload-padding", "cut within the padding of the payload", _start + 60),
    ("no-sections", "cut after the header", _start),
    ("buffer", "cut within the last buffer", len(BUFFERS.data) - 100),
    ("last-byte", "the last byte of padding is missing", len(BUFFERS.data) - 1),
    ("last-block", "the last block is missing", len(BUFFERS.data) - 64),
):
    _add(f"cut-{_name}", _about, "truncated", 16, BUFFERS.data[:_n])


def _flip(name: str, about: str, frame: Frame, offset: int, error: str) -> None:
    data = bytearray(frame.data)
    data[offset] ^= 0x10
    _add(name, about, error, 16, bytes(data))


_pickle_len = len(BUFFERS.sections[0])
_flip("section-0-first", "one bit of the payload's first byte", BUFFERS, _start, "section-checksum")
_flip("section-0-last", "one bit of the payload's last byte", BUFFERS, _start + _pickle_len - 1, "section-checksum")
_flip(
    "section-0-padding-first", "the first padding byte of the payload", BUFFERS, _start + _pickle_len, "section-padding"
)
_flip("section-0-padding-last", "the last padding byte of the payload", BUFFERS, _start + 63, "section-padding")
_flip("section-5-first", "one bit of the last buffer", BUFFERS, len(BUFFERS.data) - 128, "section-checksum")
_flip("section-5-padding-last", "the last byte of the frame", BUFFERS, len(BUFFERS.data) - 1, "section-padding")
_frame = Frame()
_frame.padding = b" "
_add("section-padding-spaces", "sections padded with spaces", "section-padding", 16, _frame.data)
_frame = BUFFERS.copy()
_body = [xxh3(raw) for raw in _frame.sections]
_frame.section_fields[3]["xxh3"], _frame.section_fields[4]["xxh3"] = f"{_body[4]:016x}", f"{_body[3]:016x}"
_add("section-checksums-swapped", "the checksums of two buffers swapped", "section-checksum", 16, _frame.data)
_frame = Frame()
_frame.section_fields = [{"xxh3": f"{xxh3(_frame.body()):016x}"}]
_add("section-checksum-padded", "a checksum over section and padding", "section-checksum", 16, _frame.data)
_frame = Frame()
_frame.section_fields = [{"xxh3": xxh3(PAYLOAD).to_bytes(8, "little").hex()}]
_add(
    "section-checksum-little-endian",
    "the digits of the checksum in little-endian order",
    "section-checksum",
    16,
    _frame.data,
)
_frame = Frame()
_frame.section_fields = [{"sha256": hashlib.sha256(b"other").hexdigest()}]
_add("section-sha256", "a wrong SHA-256 with a right checksum", "section-checksum", 16, _frame.data)
_frame = Frame().sign()
_frame.section_fields[0]["sha256"] = "0" * 64
_add("section-sha256-sealed", "a wrong SHA-256 in a sealed artifact", "section-checksum", 16, _frame.data)

for _name, _about, _data in (
    ("byte", "one byte after the frame", b"\0"),
    ("newline", "a line feed after the frame", b"\n"),
    ("block", "64 zero bytes after the frame", bytes(64)),
    ("frame", "a second frame", GOOD),
    ("zip", "a zip archive after the frame", b"PK\x05\x06" + bytes(18)),
    ("pickle", "a pickle after the frame", PAYLOAD),
):
    _add(f"trailing-{_name}", _about, "trailing-bytes", 17, GOOD + _data)

# --- step 18 ----------------------------------------------------------------------------------------------------------


def _zstd(name: str, about: str, stored: bytes, raw_len: int = len(PAYLOAD)) -> None:
    frame = Frame(stored)
    frame.section_fields = [{"codec": "zstd", "raw_len": raw_len}]
    _add(f"zstd-{name}", about, "codec-data", 18, frame.data)


_z = zstd_raw(PAYLOAD)
_zstd("not", "not Zstandard data", PAYLOAD)
_zstd("magic-only", "only the magic number", _z[:4])
_zstd("cut", "a truncated Zstandard frame", _z[:-1])
_zstd("raw-len-small", "raw_len less than the content size", _z, len(PAYLOAD) - 1)
_zstd("raw-len-large", "raw_len more than the content size", _z, len(PAYLOAD) + 1)
_zstd("no-size", "no content size", zstd_raw(PAYLOAD, size=b"", descriptor=0x00, before_size=b"\x50"))
_zstd(
    "size-lies",
    "a content size larger than what the blocks hold",
    zstd_raw(PAYLOAD, size=bytes((len(PAYLOAD) + 1,))),
    len(PAYLOAD) + 1,
)
_zstd(
    "size-lies-less",
    "a content size smaller than what the blocks hold",
    zstd_raw(PAYLOAD, size=bytes((len(PAYLOAD) - 1,))),
    len(PAYLOAD) - 1,
)
_zstd(
    "size-gigabyte",
    "a content size and raw_len of 1 GiB, and blocks for 300,000 bytes",
    zstd_repeated(b"x", 300_000).replace(struct.pack("<I", 300_000), struct.pack("<I", 2**30)),
    2**30,
)
_zstd(
    "blocks-go-on",
    "one byte declared, and blocks for 300,000",
    zstd_repeated(b"x", 300_000).replace(struct.pack("<I", 300_000), struct.pack("<I", 1)),
    1,
)
_zstd("trailing-byte", "a byte after the Zstandard frame", _z + b"\0")
_zstd("two-frames", "two Zstandard frames", _z + _z)
_zstd("skippable-behind", "a skippable frame after the Zstandard frame", _z + b"\x50\x2a\x4d\x18" + bytes(4))
_zstd("skippable-in-front", "a skippable frame before the Zstandard frame", b"\x50\x2a\x4d\x18" + bytes(4) + _z)
_zstd("dictionary", "a dictionary ID", zstd_raw(PAYLOAD, descriptor=0x21, before_size=b"\x07"))
_zstd(
    "window",
    "a window larger than 8 MiB",
    zstd_raw(PAYLOAD, descriptor=0x80, before_size=bytes((13 << 3 | 1,)), size=struct.pack("<I", len(PAYLOAD))),
)
_big = 8_388_609
_zstd(
    "window-single-segment",
    "a single segment larger than 8 MiB",
    zstd_raw(PAYLOAD, descriptor=0xA0, size=struct.pack("<I", _big)),
    _big,
)
_zstd("block-type", "a reserved block type", _z[:6] + bytes((_z[6] | 6,)) + _z[7:])
_zstd("checksum", "a wrong content checksum", zstd_raw(PAYLOAD, descriptor=0x24) + bytes(4))
_frame = VALID["buffer-0"][1].copy()
_frame.section_fields[1] = {"codec": "zstd", "raw_len": 0}
_add("zstd-empty", "no stored bytes", "codec-data", 18, _frame.data)
