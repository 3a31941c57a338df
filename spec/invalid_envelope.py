"""Invalid vectors for the pickle: its envelope (step 19), and failures while it runs (step 20)."""

from __future__ import annotations

import struct
from typing import Any

from frames import PAYLOAD, TRIP, Frame, framed, named, text
from invalid_frame import Vector

__all__ = ["ENVELOPE"]

ENVELOPE: dict[str, Vector] = {}


def _envelope(
    name: str, about: str, payload: bytes, *buffers: bytes, protocol: int = 5, readonly: tuple[int, ...] = ()
) -> None:
    frame = Frame(payload, *buffers, pickle={"protocol": protocol}, globals=["canary:trip"])
    for index in readonly:
        frame.section_fields[index] = {"readonly": True}
    policy: dict[str, Any] = {"trust": ["canary:trip"]}
    if protocol < 4:
        policy["protocols"] = [protocol]
    assert name not in ENVELOPE
    ENVELOPE[f"pickle-{name}"] = about, "pickle-envelope", 19, frame.data, policy


def _unframed(body: bytes, protocol: int = 5) -> bytes:
    return bytes((0x80, protocol)) + body + b"."


_envelope("empty-section", "a section 0 of length 0, followed by a buffer", b"", b"x")
_envelope("one-byte", "half a PROTO and nothing else", b"\x80")
_envelope("no-proto", "no PROTO", b"N.")
_envelope("protocol-0", "a pickle of protocol 0", b"(dp0\nVid\np1\nI7\ns.")
_envelope("protocol-1", "a pickle of protocol 1", b"}q\x00U\x02idq\x01K\x07s.")
_envelope("proto-differs", "protocol 4 where the header says 5", framed(b"N", 4))
_envelope("proto-differs-4", "protocol 5 where the header says 4", framed(b"N", 5), protocol=4)
_envelope("proto-twice", "a second PROTO", b"\x80\x05\x80\x05N.")
_envelope("proto-later", "PROTO after another opcode", b"N\x80\x05.")
_envelope("proto-behind-space", "a space before PROTO", b" \x80\x05N.")
_envelope("no-stop", "no STOP", b"\x80\x05N")
_envelope("no-stop-framed", "a FRAME that ends without STOP", b"\x80\x05\x95\x01" + bytes(7) + b"N")
_envelope("two-stops", "two STOPs", b"\x80\x05N..")
_envelope("byte-behind-stop", "a byte after STOP", b"\x80\x05N.N")
_envelope("pickle-behind-stop", "a second pickle after STOP", PAYLOAD + TRIP)
_envelope("stop-first", "STOP at once, then a call", b"\x80\x05." + TRIP[11:])
for _name, _code, _about in (
    ("ext1", b"\x82\x01", "EXT1"),
    ("ext2", b"\x83\x01\x00", "EXT2"),
    ("ext4", b"\x84\x01\x00\x00\x00", "EXT4"),
    ("persid", b"P1\n", "PERSID"),
    ("binpersid", b"NQ", "BINPERSID"),
    ("inst", b"(icanary\ntrip\n", "INST"),
    ("obj", b"(" + named("canary", "trip") + b"o", "OBJ"),
    ("dup", b"N20", "DUP"),
    ("int", b"I7\n", "INT"),
    ("long", b"L7L\n", "LONG"),
    ("float", b"F1.5\n", "FLOAT"),
    ("string", b"S'a'\n", "STRING"),
    ("unicode", b"Va\n", "UNICODE"),
    ("get", b"N\x94g0\n", "GET"),
    ("put", b"Np0\n", "PUT"),
    ("global-text", b"ccanary\ntrip\n)R", "GLOBAL in protocol 5"),
    ("binput", b"Nq\x00", "BINPUT in protocol 5"),
    ("long-binput", b"Nr\x00\x00\x00\x00", "LONG_BINPUT in protocol 5"),
    ("binstring", b"T\x01\x00\x00\x00a", "BINSTRING in protocol 5"),
    ("short-binstring", b"U\x01a", "SHORT_BINSTRING in protocol 5"),
    ("unknown-ff", b"\xffN", "an opcode that does not exist"),
    ("unknown-00", b"\x00N", "a zero byte as opcode"),
    ("newline", b"N\n", "a line feed as opcode"),
):
    _envelope(f"opcode-{_name}", _about, _unframed(_code))
for _name, _code, _protocol in (
    ("short-binunicode-3", b"\x8c\x01a", 3),
    ("memoize-3", b"N\x94", 3),
    ("frame-3", b"\x95\x01" + bytes(7) + b"N", 3),
    ("stack-global-3", b"X\x01\x00\x00\x00aX\x01\x00\x00\x00b\x93", 3),
    ("binstring-3", b"T\x01\x00\x00\x00a", 3),
    ("binbytes-2", b"C\x01a", 2),
    ("empty-set-3", b"\x8f", 3),
    ("bytearray8-4", b"\x96" + bytes(8), 4),
    ("next-buffer-4", b"\x97", 4),
    ("global-4", b"ccanary\ntrip\n", 4),
):
    _envelope(
        f"opcode-{_name}",
        f"an opcode that its protocol does not have, protocol {_protocol}",
        _unframed(_code, _protocol),
        protocol=_protocol,
    )
for _name, _about, _body in (
    ("binunicode", "BINUNICODE longer than the payload", b"X\xff\xff\xff\x7fa"),
    ("short-binunicode", "SHORT_BINUNICODE longer than the payload", b"\x8c\x05a"),
    ("binunicode8", "BINUNICODE8 of 2^64 - 1 bytes", b"\x8d" + b"\xff" * 8 + b"a"),
    ("binbytes8", "BINBYTES8 of 2^63 bytes", b"\x8e" + bytes(7) + b"\x80a"),
    ("bytearray8", "BYTEARRAY8 of 1 TiB", b"\x96" + struct.pack("<Q", 2**40)),
    ("short-binbytes", "SHORT_BINBYTES whose last byte would be STOP", b"C\x02a"),
    ("long1", "LONG1 longer than the payload", b"\x8a\xff\x01"),
    ("long4", "LONG4 of 2 GiB", b"\x8b\xff\xff\xff\x7f"),
    ("long4-negative", "LONG4 of a negative length", b"\x8b\xff\xff\xff\xff"),
    ("binfloat", "BINFLOAT that ends early", b"G\x00"),
    ("binint", "BININT that ends early", b"J\x00\x00"),
    ("binint1", "BININT1 without its byte", b"K"),
    ("binint2", "BININT2 whose last byte would be STOP", b"M\x00"),
    ("binget", "BINGET without its byte", b"h"),
    ("long-binget", "LONG_BINGET that ends early", b"j\x00"),
    ("length-cut", "BINBYTES without its length", b"B\x01"),
    ("frame-cut", "FRAME without its length", b"\x95\x01"),
):
    _envelope(f"length-{_name}", _about, _unframed(_body))
_envelope("length-binstring-negative", "BINSTRING of a negative length", b"\x80\x02T\xff\xff\xff\xff.", protocol=2)
_envelope("long-binput-large", "LONG_BINPUT with an index of 2^26", b"\x80\x02]r\x00\x00\x00\x04.", protocol=2)
_envelope(
    "long-binput-length", "LONG_BINPUT with the payload's length as index", b"\x80\x02]r\x09\x00\x00\x00.", protocol=2
)
_envelope("global-one-line", "GLOBAL with one line", b"\x80\x02ccanary\n.", protocol=2)
_envelope("global-no-line", "GLOBAL without a line feed", b"\x80\x02ccanary.", protocol=2)
_envelope("global-empty-module", "GLOBAL with an empty module", b"\x80\x02c\ntrip\n.", protocol=2)
_envelope("global-empty-name", "GLOBAL with an empty name", b"\x80\x02ccanary\n\n.", protocol=2)
_length = struct.pack("<Q", 3)
_envelope("frame-beyond", "a FRAME that reaches beyond the payload", b"\x80\x05\x95" + _length + b"N.")
_envelope("frame-largest", "a FRAME of 2^64 - 1 bytes", b"\x80\x05\x95" + b"\xff" * 8 + b"N.")
_envelope(
    "frame-nested", "a FRAME within a FRAME", b"\x80\x05\x95" + struct.pack("<Q", 11) + b"\x95\x01" + bytes(7) + b"N."
)
_envelope(
    "frame-straddle",
    "an opcode that straddles the end of a FRAME",
    b"\x80\x05\x95" + _length + b"NK" + b"\x8c" + b"\x01a0.",
)
_envelope(
    "frame-straddle-argument",
    "an argument that straddles the end of a FRAME",
    b"\x80\x05\x95" + _length + b"\x8c\x04abcd.",
)
_envelope(
    "frame-straddle-length",
    "a length that straddles the end of a FRAME",
    b"\x80\x05\x95\x02" + bytes(7) + b"X\x01" + b"\x00\x00\x00a.",
)
_envelope(
    "frame-straddle-plain",
    "BININT that straddles the end of a FRAME",
    b"\x80\x05\x95" + _length + b"J\x01\x02\x03\x04.",
)
_envelope(
    "frame-in-argument",
    "a FRAME whose end lies within a string, so that two parsers would differ",
    b"\x80\x05\x95\x04" + bytes(7) + b"\x8c\x10" + TRIP[2:18] + b".",
)
_envelope("buffer-unused", "a declared buffer that the pickle never takes", framed(b"N"), b"x")
_envelope("buffer-one-unused", "one of two declared buffers is never taken", framed(b"\x97"), b"x", b"y")
_envelope("buffer-missing", "more buffers taken than declared", framed(b"]\x94(\x97\x97e"), b"x")
_envelope("buffer-none-declared", "a buffer taken where none is declared", framed(b"\x97"))
_envelope("buffer-readonly-opcode", "READONLY_BUFFER on a section that is not read-only", framed(b"\x97\x98"), b"x")
_envelope("buffer-readonly-flag", "a read-only section without READONLY_BUFFER", framed(b"\x97"), b"x", readonly=(1,))
_envelope(
    "buffer-readonly-swapped",
    "READONLY_BUFFER on the wrong one of two",
    framed(b"]\x94(\x97\x98\x97e"),
    b"x",
    b"y",
    readonly=(2,),
)
_envelope("buffer-readonly-twice", "READONLY_BUFFER twice", framed(b"\x97\x98\x98"), b"x", readonly=(1,))
_envelope(
    "buffer-readonly-later",
    "READONLY_BUFFER that does not follow NEXT_BUFFER immediately",
    framed(b"\x97N0\x98"),
    b"x",
    readonly=(1,),
)
_envelope("buffer-readonly-alone", "READONLY_BUFFER without a buffer", framed(b"C\x01a\x98"))


def _run(name: str, about: str, error: str, frame: Frame, *trust: str) -> None:
    ENVELOPE[f"run-{name}"] = about, error, 20, frame.data, {"trust": list(trust)}


_run("global-undeclared", "an import that globals lacks", "undeclared-global", Frame(TRIP), "canary:trip")
_run(
    "global-other",
    "another name than declared, of the same module",
    "undeclared-global",
    Frame(TRIP, globals=["canary:quiet"]),
    "canary:quiet",
    "canary:trip",
)
_run(
    "global-dotted",
    "a dotted name below a declared one",
    "undeclared-global",
    Frame(framed(named("canary", "trip.__globals__")), globals=["canary:trip"]),
    "canary:trip",
)
_run(
    "global-colon",
    "a module that itself reads like a declared global",
    "undeclared-global",
    Frame(framed(named("canary:trip", "x")), globals=["canary:trip"]),
    "canary:trip",
)
_run(
    "global-undeclared-value",
    "a value type that every reader trusts, which globals lacks",
    "undeclared-global",
    Frame(framed(named("datetime", "date") + b"C\x04\x07\xea\x01\x02\x94\x85\x94R\x94"), type="datetime:date"),
)
_run(
    "global-proto-4",
    "an import that globals lacks, protocol 4",
    "undeclared-global",
    Frame(framed(TRIP[11:-1], 4), pickle={"protocol": 4}),
    "canary:trip",
)
_run("stack-underflow", "a call on an empty stack", "unpickle-failed", Frame(framed(b"R")))
_run("memo-missing", "a memo index that was never stored", "unpickle-failed", Frame(framed(b"h\x07")))
_run("mark-missing", "TUPLE without MARK", "unpickle-failed", Frame(framed(b"Nt")))
_run("bad-utf-8", "a string that is not UTF-8", "unpickle-failed", Frame(framed(b"\x8c\x01\xff")))
_run("unhashable", "a list as a dictionary key", "unpickle-failed", Frame(framed(b"}]Ns")))
_run("nothing-left", "STOP on an empty stack", "unpickle-failed", Frame(framed(b"N0")))
_run(
    "raises",
    "a trusted class that raises",
    "unpickle-failed",
    Frame(framed(named("decimal", "Decimal") + text("x") + b"\x85R"), globals=["decimal:Decimal"]),
)
_run(
    "records-count",
    "a batch whose length is not that of records",
    "unpickle-failed",
    Frame(framed(b"]\x94(K\x01K\x02e"), records=3),
)
_run("records-tuple", "a batch that is a tuple", "unpickle-failed", Frame(framed(b"K\x01K\x02\x86"), records=2))
