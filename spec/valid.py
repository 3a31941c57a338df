"""The valid vectors. `VALID` maps a name to (what it shows, frame, policy)."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import xxhash
from frames import KEY, PAYLOAD, TRIP, Frame, framed, named, text, zstd_raw, zstd_repeated

__all__ = ["KEY", "VALID"]

VALID: dict[str, tuple[str, Frame, dict[str, Any] | None]] = {}


def _add(name: str, about: str, frame: Frame, policy: dict[str, Any] | None = None) -> Frame:
    assert name not in VALID
    VALID[name] = about, frame, policy
    return frame


def _buffers(*lengths: int, readonly: bool = False) -> Frame:
    """A list of out-of-band buffers."""
    take = b"\x97\x98" if readonly else b"\x97"
    body = b"]\x94(" + take * len(lengths) + b"e"
    frame = Frame(framed(body), *(bytes(range(1, 256))[:n] for n in lengths), type="builtins:list")
    frame.section_fields = [{}] + [{"readonly": True} if readonly else {} for _ in lengths]
    return frame


def _meta_of_length(wanted: int) -> Frame:
    """A frame whose header text has a length that is `wanted` modulo 64."""
    for n in range(64):
        frame = Frame(meta={"fill": "x" * n})
        if -len(frame.header_bytes().rstrip(b" ")) % 64 == -wanted % 64:
            return frame
    raise AssertionError


def _key_for_padding(wanted: int) -> str:
    """Return a key identity with which a seal of one HMAC signature has `wanted` spaces of padding."""
    for n in range(1, 65):
        seal = Frame().sign(Frame().signature("k" * n)).seal
        if len(seal) - len(seal.rstrip(b" ")) == wanted:
            return "k" * n
    raise AssertionError


_add("minimal", "a dict of two items", Frame(PAYLOAD))
_add("none", "the smallest payload, None without a FRAME", Frame(b"\x80\x05N.", type="builtins:NoneType"))
for _n in (0, 1, 63, 64, 65):
    _add(f"buffer-{_n}", f"one out-of-band buffer of {_n} bytes", _buffers(_n))
_add("buffers", "five buffers of 0, 1, 63, 64 and 65 bytes", _buffers(0, 1, 63, 64, 65))
_add("buffers-readonly", "two read-only buffers", _buffers(10, 20, readonly=True))
for _n in (0, 1, 63):
    _add(f"header-mod-{_n}", f"header text with length {_n} modulo 64", _meta_of_length(_n))
for _n in (63, 64, 65):
    _add(f"payload-{_n}", f"a payload of {_n} bytes", Frame(framed(text("x" * (_n - 15))), type="builtins:str"))
_add("meta", "labels, an empty one among them", Frame(meta={"team": "risk", "note": ""}))
_add(
    "meta-escapes",
    "every escape of canonical JSON, and characters that are not escaped",
    Frame(meta={"all": "".join(map(chr, range(32))) + '"\\/\x7f\x80\xa0\u2028\ufeff\U0001f512'}),
)
_add(
    "names-non-ascii",
    "non-ASCII names in globals, type and packages",
    Frame(
        globals=["módulo:Größe", "モジュール:クラス"],
        type="módulo:Größe",
        packages={"größe": "1.0"},
    ),
)
_add(
    "keys-by-bytes",
    "names whose order by UTF-8 bytes differs from their order by UTF-16 units",
    Frame(
        packages={"\uff5e": "1", "\U00010000": "2"},
        globals=["\uff5e:A", "\U00010000:A"],
    ),
)
_add("name-longest", "names of 1023 bytes", Frame(type="m:" + "Q" * 1021, globals=["m:" + "q" * 1021]))
_add("globals-space", "a qualified name with a space", Frame(globals=["shop:Pair[int, str]"]))
_add("created-first", "the first instant", Frame(created="0001-01-01T00:00:00.000000Z"))
_add("created-last", "the last instant", Frame(created="9999-12-31T23:59:59.999999Z"))
_add("created-leap-day", "a leap day", Frame(created="2024-02-29T00:00:00.000000Z"))
_add("build-empty", "no build labels", Frame(build={}))
_add(
    "ext",
    "vendor members, ignored",
    Frame(ext={"com.example.lineage": {"parents": ["a", "b"], "n": -9007199254740991}}),
)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


_add("ext-depth-16", "arrays and objects nested 16 deep", Frame(ext={"a.b": _nested(14)}))
_add("version-largest", "the largest schema version", Frame(version=2**53 - 1))
_types = {
    "jobs.Task": {
        "fields": [["id", "int"], ["name", "str"], ["größe", "int | None"]],
        "global": "jobs:Task",
        "kind": "dataclass",
        "state": "default",
        "version": 2,
    },
    "jobs:Empty": {"fields": [], "global": "jobs:Empty", "kind": "plain", "state": "custom", "version": 0},
}
_add("types", "schemas of two classes, one of them the root's", Frame(type="jobs.Task", version=2, types=_types))
_timer = {
    "defaults": [["größe", "None"]],
    "fields": [["id", "int"], ["größe", "int | None"]],
    "global": "jobs:Timer",
    "kind": "plain",
    "shape": "dict",
    "state": "default",
    "version": 0,
}
_add("types-defaults", "a class schema with a default that lies on the class", Frame(types={"jobs:Timer": _timer}))
_status = framed(named("http", "HTTPStatus") + b"K\xc8\x85\x94R\x94")
_classes = {
    "http:HTTPStatus": {
        "fields": [["OK", "200"], ["NOT_FOUND", "404"]],
        "global": "http:HTTPStatus",
        "kind": "enum",
        "state": "default",
        "version": 0,
    }
}
_fields = {"globals": ["http:HTTPStatus"], "type": "http:HTTPStatus"}
_add(
    "types-class",
    "an enum of the standard library, described with fewer members than it has",
    Frame(_status, types=_classes, **_fields),
)
_add(
    "packages-class",
    "a distribution in a version that is not installed",
    Frame(_status, packages={"orjson": "0.0.1"}, **_fields),
)
_add("packages", "versions of distributions", Frame(packages={"numpy": "2.1.0", "my-app": "1.0.post1+local"}))
_add(
    "packages-words",
    "words for distributions that the header does not record",
    Frame(packages={"my-app": "1.0"}),
    {"packages": {"orjson": "exact", "xxhash": "refuse", "my-app": "ignore"}},
)
_add(
    "packages-range",
    "a range that the recorded version meets, under another spelling of its name",
    Frame(packages={"my-app": "1.0.post1+local"}),
    {"packages": {"My_App": ">=1,<2", "*": "refuse"}},
)
_add(
    "python-range",
    "a build of Python from a repository, which has a + after its version",
    Frame(build={"python": "3.13.0+"}),
    {"python": ">=3.11,<3.14"},
)
_batch = framed(b"]\x94(K\x01K\x02K\x03e")
_add("records", "a batch of three records", Frame(_batch, records=3, type="builtins:int"))
_stream = _add("stream-frame", "the third frame of a stream", Frame())
_stream.preamble = {"stream_id": 0x0123456789ABCDEF, "seq": 2}
_point = {
    "attributes": [["x", "required"], ["größe", "optional"]],
    "fields": [["y", "int"]],
    "global": "jobs:Point",
    "kind": "plain",
    "state": "default",
    "version": 0,
}
_add(
    "types-attributes",
    "format 1.1: the attributes that classes assign, none for one of them",
    Frame(
        format="pickleseal/1.1", types={"jobs:Point": _point, "jobs:Empty": {**_types["jobs:Empty"], "attributes": []}}
    ),
).minor = 1
_failed = {**_types["jobs:Empty"], "base": "builtins:ValueError", "global": "jobs:Failed"}
_add(
    "types-base",
    "format 1.1: an exception class with the class that it is made of, beside an entry without new members",
    Frame(format="pickleseal/1.1", types={"jobs:Failed": _failed, "jobs.Task": _types["jobs.Task"]}),
).minor = 1
_add("format-1.1", "format 1.1 without one of its members", Frame(format="pickleseal/1.1")).minor = 1
_add(
    "minor-2-attributes",
    "a newer minor: unknown members beside those of minor 1",
    Frame(format="pickleseal/1.2", types={"jobs:Point": {**_point, "base": "builtins:dict", "doc": "x"}}),
).minor = 2
_add(
    "minor-2",
    "a newer minor: unknown members are ignored, wherever they are",
    Frame(
        format="pickleseal/1.2",
        future={"a": [1]},
        pickle={"protocol": 5, "dialect": "x"},
        types={"a:B": {**_types["jobs:Empty"], "doc": "x"}},
    ),
).minor = 2
VALID["minor-2"][1].section_fields = [{"crc": "x"}]
_add("minor-65535", "the newest minor", Frame(format="pickleseal/1.65535")).minor = 65535
_add("sha256", "SHA-256 of a section without a seal", Frame()).section_fields = [
    {"sha256": hashlib.sha256(PAYLOAD).hexdigest()}
]
_add("sealed", "one HMAC signature, by the signing key of the vectors", Frame()).sign()
_two = _add("sealed-twice", "two signatures, one of an unknown algorithm", Frame())
_two.sign()
_two.sign({"alg": "future-1", "key": "a", "sig": "AA=="}, _two.signature())
_empty = _add("sealed-longest-key", "a key identity of 256 characters", Frame())
_empty.sign()
_empty.sign(_empty.signature("k" * 256))
for _n in (0, 63):
    _frame = _add(f"sealed-padding-{_n}", f"a seal with {_n} spaces of padding", Frame()).sign()
    _frame.sign(_frame.signature(_key_for_padding(_n)))


def _zstd(raw: bytes, stored: bytes, **fields: Any) -> Frame:
    frame = Frame(stored, **fields)
    frame.section_fields = [{"codec": "zstd", "raw_len": len(raw)}]
    return frame


_add("zstd-payload", "a compressed payload", _zstd(PAYLOAD, zstd_raw(PAYLOAD)))
_add(
    "zstd-dictionary-0",
    "a dictionary ID of 0, which means no dictionary",
    _zstd(PAYLOAD, zstd_raw(PAYLOAD, descriptor=0x21, before_size=b"\0")),
)
_add(
    "zstd-window-8m",
    "the largest window",
    _zstd(
        PAYLOAD,
        zstd_raw(
            PAYLOAD,
            descriptor=0x80,
            before_size=bytes((13 << 3,)),
            size=struct.pack("<I", len(PAYLOAD)),
        ),
    ),
)
_zbuffer = _buffers(50)
_zbuffer.sections[1] = zstd_raw(bytes(100))
_zbuffer.section_fields[1] = {"codec": "zstd", "raw_len": 100}
_add("zstd-buffer", "a compressed buffer", _zbuffer)
_add(
    "zstd-checksum",
    "a content checksum",
    _zstd(PAYLOAD, zstd_raw(PAYLOAD, descriptor=0x24) + struct.pack("<Q", xxhash.xxh64_intdigest(PAYLOAD))[:4]),
)
# Bytes as this library wrote them with libzstd 1.5.7. Another release may give other bytes for the same content.
_TEXT = b"a line of text, " * 75
_ZTEXT = "28b52ffd60c1032d0100e0800595b6040058b004000061206c696e65206f6620746578742c202e02003b99f999008a"
_LIST = framed(b"]\x94(X" + struct.pack("<I", len(_TEXT)) + _TEXT + b"\x97\x97e")
_ZLIST = (
    "28b52ffd60c7036d01002402800595bc04005d942858b004000061206c696e65206f6620746578742c209797652e02007432f30f01c001"
)
_DIGITS = b"0123456789abcdef" * 1024
_ZDIGITS = "28b52ffd60003fc5000080303132333435363738396162636465660100dafff07309"
_text = framed(b"X" + struct.pack("<I", len(_TEXT)) + _TEXT)
_add("zstd-block", "a payload in a compressed block", _zstd(_text, bytes.fromhex(_ZTEXT), type="builtins:str"))
_long = _buffers(1)
_long.sections[1] = zstd_repeated(b"x", 300_000)
_long.section_fields[1] = {"codec": "zstd", "raw_len": 300_000}
_add("zstd-blocks", "a buffer of three blocks, in a Zstandard frame that is not a single segment", _long)
_mixed = _buffers(1, 50)
_mixed.sections[:2] = bytes.fromhex(_ZLIST), bytes.fromhex(_ZDIGITS)
_mixed.section_fields[:2] = {"codec": "zstd", "raw_len": len(_LIST)}, {"codec": "zstd", "raw_len": len(_DIGITS)}
_add("zstd-mixed", "a compressed payload, a compressed buffer and an uncompressed buffer", _mixed)
_sealed_mixed = _add("zstd-sealed", "compressed sections with a seal: SHA-256 is over the stored bytes", _mixed.copy())
_sealed_mixed.sign()

_add("proto-4", "a payload of protocol 4", Frame(framed(b"K\x01", 4), pickle={"protocol": 4}, type="builtins:int"))
_add(
    "proto-3",
    "an adopted pickle of protocol 3",
    Frame(
        b"\x80\x03cdatetime\ndate\nq\x00C\x04\x07\xea\x01\x02q\x01\x85q\x02Rq\x03.",
        pickle={"protocol": 3},
        globals=["datetime:date"],
        type="datetime:date",
    ),
    {"protocols": [3]},
)
_add(
    "proto-2",
    "an adopted pickle of protocol 2, by Python 2",
    Frame(
        b"\x80\x02}q\x00(U\x02idq\x01K\x07U\x01sq\x02T\x04\x00\x00\x00doneq\x03u.",
        pickle={"protocol": 2},
    ),
    {"protocols": [2]},
)
_add(
    "proto-2-long-binput",
    "LONG_BINPUT with the largest index that E6 permits",
    Frame(
        b"\x80\x02]r\x08\x00\x00\x00.",
        pickle={"protocol": 2},
        type="builtins:list",
    ),
    {"protocols": [2]},
)
_add("frame-empty", "a FRAME of length 0", Frame(b"\x80\x05\x95" + bytes(8) + b"N.", type="builtins:NoneType"))
_add(
    "frames-and-between",
    "two FRAMEs, with opcodes between and after them",
    Frame(
        b"\x80\x05\x95\x01" + bytes(7) + b"]" + b"\x94(" + b"\x95\x02" + bytes(7) + b"K\x01" + b"e.",
        type="builtins:list",
    ),
)
_frame_buffer = _buffers(5, readonly=True)
_frame_buffer.sections[0] = b"\x80\x05\x95\x01" + bytes(7) + b"\x97" + b"\x98."
_frame_buffer.fields["type"] = "builtins:memoryview"
_add("frame-ends-before-readonly", "NEXT_BUFFER ends a FRAME, READONLY_BUFFER follows it", _frame_buffer)
_add(
    "opcodes",
    "every opcode that protocol 5 permits and that needs no global",
    Frame(
        framed(
            b"(N0"
            b"(NNN1"
            b"\x88\x89J\xff\xff\xff\xffK\xffM\xff\xff\x8a\x01\x80\x8b\x01\x00\x00\x00\x80G\x3f\xf0"
            + bytes(6)
            + b"X\x01\x00\x00\x00x"
            + text("y")
            + b"\x8d\x01"
            + bytes(7)
            + b"z"
            + b"B\x01\x00\x00\x00bC\x01b\x8e\x01"
            + bytes(7)
            + b"b\x96\x01"
            + bytes(7)
            + b"b"
            + b"]Na](NNe(Nl)(t\x85\x86\x87"
            + b"}NNs}(NNu(NNd"
            + b"\x8f(N\x90(N\x91\x94"
            + b"h\x00j\x00\x00\x00\x00t"
        ),
        type="builtins:tuple",
    ),
)
_add(
    "globals",
    "a value type of the standard library",
    Frame(
        framed(named("datetime", "date") + b"C\x04\x07\xea\x01\x02\x94\x85\x94R\x94"),
        globals=["datetime:date"],
        type="datetime:date",
    ),
)
_add(
    "canary",
    "a payload that calls canary.trip(), which the reader trusts",
    Frame(TRIP, globals=["canary:trip"], type="canary:Trip"),
    {"trust": ["canary:trip"]},
)
_canary = _buffers(64, 1)
_canary.sections[0] = framed(b"\x970\x970" + named("canary", "trip") + b")R")
_canary.fields.update(globals=["canary:trip"], type="canary:Trip", meta={"note": "größe"})
_add(
    "canary-buffers",
    "a payload with two buffers that calls canary.trip(), which the reader trusts",
    _canary,
    {"trust": ["canary:trip"]},
)
_array = Frame(
    framed(
        named("pickleseal", "rebuild_array")
        + b"("
        + text("<f8")
        + b"K\x02K\x03\x86\x94"
        + text("C")
        + b"\x97t\x94R\x94"
    ),
    struct.pack("<6d", *range(6)),
    globals=["pickleseal:rebuild_array"],
    type="numpy:ndarray",
)
_add("array", "a numpy array of float64, shape (2, 3), in a section", _array)
_transposed = _array.copy()
_transposed.sections[0] = framed(
    named("pickleseal", "rebuild_array")
    + b"("
    + text("<f8")
    + b"K\x03K\x01K\x02\x87\x94"
    + b"K\x01K\x02K\x00\x87\x94"
    + b"\x97t\x94R\x94"
)
_add("array-axes", "a numpy array of float64, shape (3, 1, 2), whose order in memory is by axes", _transposed)
