"""Invalid vectors for the header's encoding (step 10) and fields (step 11)."""

from __future__ import annotations

from typing import Any

from frames import DROP, PAYLOAD, Frame, canonical, xxh3
from invalid_frame import Vector
from valid import VALID

__all__ = ["HEADER"]

HEADER: dict[str, Vector] = {}


def _add(name: str, about: str, error: str, step: int, data: bytes) -> None:
    assert name not in HEADER
    HEADER[name] = about, error, step, data, None


_value: Any

# --- step 10: encoding ------------------------------------------------------------------------------------------------
TEXT = canonical(Frame().header())


def _text(name: str, about: str, text: bytes) -> None:
    frame = Frame()
    frame.header_text = text
    _add(f"json-{name}", about, "header-encoding", 10, frame.data)


def _edit(name: str, about: str, old: bytes, new: bytes, **fields: Any) -> None:
    _add(f"json-{name}", about, "header-encoding", 10, Frame(**fields).edit(old, new).data)


def _padded(name: str, about: str, padded: bytes) -> None:
    frame = Frame()
    frame.header_padded = padded
    _add(f"json-{name}", about, "header-encoding", 10, frame.data)


_text("bom", "a byte order mark", b"\xef\xbb\xbf" + TEXT)
_text("utf-16-le", "UTF-16, little-endian", TEXT.decode().encode("utf-16-le"))
_text("utf-16-be", "UTF-16, big-endian, with a byte order mark", b"\xfe\xff" + TEXT.decode().encode("utf-16-be"))
_text("utf-32", "UTF-32", TEXT.decode().encode("utf-32-le"))
_padded("empty", "padding only", b" " * 64)
_text("null", "null instead of an object", b"null")
_text("array", "an array instead of an object", b"[" + TEXT + b"]")
_text("string", "a string instead of an object", b'"' + b"x" * 80 + b'"')
_text("cut", "the last brace is missing", TEXT[:-1])
_text("two-documents", "two objects", TEXT + TEXT)
_text("two-documents-empty", "an object and an empty one", TEXT + b"{}")
_text("comment-behind", "a comment after the object", TEXT + b"//x")
_text("comment-inside", "a comment inside", b"{/**/" + TEXT[1:])
_text("trailing-comma", "a comma after the last member", TEXT[:-1] + b",}")
_text("single-quotes", "single quotes", TEXT.replace(b'"', b"'"))
_text("unquoted-key", "a key without quotes", TEXT.replace(b'"version"', b"version"))
_text("space-first", "a space before the object", b" " + TEXT)
_text("newline-last", "a line feed at the end", TEXT + b"\n")
_text("tab-last", "a tab at the end", TEXT + b"\t")
_text("nul-last", "a zero byte at the end", TEXT + b"\0")
_text("pretty", "indented", TEXT.replace(b",", b",\n "))
_padded("padding-nul", "padded with zero bytes", TEXT + bytes(-len(TEXT) % 64))
_padded("padding-newline", "padding that ends with a line feed", TEXT + b" " * (-len(TEXT) % 64 - 1) + b"\n")
_padded("padding-64", "64 spaces of padding too many", TEXT + b" " * (-len(TEXT) % 64 + 64))
_whole_blocks = VALID["header-mod-0"][1].copy()
_whole_blocks.header_padded = _whole_blocks.header_bytes() + b" " * 64
_add("json-padding-64-for-0", "64 spaces of padding instead of none", "header-encoding", 10, _whole_blocks.data)
_padded("padding-front", "padding before the object", b" " * (-len(TEXT) % 64) + TEXT)
_edit("space-colon", "a space after a colon", b'"version":0', b'"version": 0')
_edit("space-comma", "a space after a comma", b',"version"', b', "version"')
_edit("newline-colon", "a line feed after a colon", b'"version":0', b'"version":\n0')
_edit("utf8-overlong", "an overlong form of /", b"@", b"\xc0\xaf", meta={"a": "@"})
_edit("utf8-overlong-nul", "an overlong form of U+0000", b"@", b"\xc0\x80", meta={"a": "@"})
_edit("utf8-surrogate", "a surrogate in UTF-8", b"@", b"\xed\xa0\x80", meta={"a": "@"})
_edit("utf8-cesu", "a surrogate pair in UTF-8 (CESU-8)", b"@", b"\xed\xa0\xbd\xed\xb4\x92", meta={"a": "@"})
_edit("utf8-lone-continuation", "a continuation byte alone", b"@", b"\x80", meta={"a": "@"})
_edit("utf8-cut", "a truncated sequence", b"@", b"\xe2\x82", meta={"a": "@"})
_edit("utf8-beyond", "a code point above U+10FFFF", b"@", b"\xf4\x90\x80\x80", meta={"a": "@"})
_edit("utf8-ff", "a byte that never occurs in UTF-8", b"@", b"\xff", meta={"a": "@"})
_edit("latin-1", "Latin-1", b"@", b"\xfc", meta={"a": "@"})
_edit("escape-lone-surrogate", "an escaped lone surrogate", b"@", b"\\ud800", meta={"a": "@"})
_edit("escape-low-surrogate", "an escaped low surrogate", b"@", b"\\udc00", meta={"a": "@"})
_edit("escape-pair", "an escaped surrogate pair, where no escape is needed", b"@", b"\\ud83d\\udd12", meta={"a": "@"})
_edit("escape-slash", "an escaped /", b"@", b"\\/", meta={"a": "@"})
_edit("escape-letter", "an escaped letter", b"@", b"\\u0041", meta={"a": "@"})
_edit("escape-del", "an escaped U+007F", b"@", b"\\u007f", meta={"a": "@"})
_edit("escape-non-ascii", "an escaped umlaut", b"@", b"\\u00fc", meta={"a": "@"})
_edit("escape-upper", "hexadecimal digits in capitals", b"@", b"\\u001F", meta={"a": "@"})
_edit("escape-newline-long", "a line feed as \\u000a", b"@", b"\\u000a", meta={"a": "@"})
_edit("escape-unknown", "an unknown escape", b"@", b"\\x41", meta={"a": "@"})
_edit("escape-short", "a short \\u escape", b"@", b"\\u41", meta={"a": "@"})
_edit("control-raw", "a control character that is not escaped", b"@", b"\x1f", meta={"a": "@"})
_edit("newline-raw", "a line feed inside a string", b"@", b"\n", meta={"a": "@"})
_edit("nul-raw", "a zero byte inside a string", b"@", b"\0", meta={"a": "@"})
_edit("duplicate", "a duplicate key", b'"version":0', b'"version":0,"version":0')
_edit("duplicate-differs", "a duplicate key with another value", b'"version":0', b'"version":1,"version":0')
_edit("duplicate-escaped", "a duplicate key, escaped", b'"version":0', b'"\\u0076ersion":1,"version":0')
_edit("duplicate-nested", "a duplicate key inside build", b'"python":', b'"python":"3.9","python":')
_edit("duplicate-in-section", "a duplicate key inside a section", b'"len":', b'"len":1,"len":')
_edit("key-escaped", "a key written with an escape", b'"version"', b'"\\u0076ersion"')
_edit("key-order", "keys out of order", b'"type":"builtins:dict","version":0', b'"version":0,"type":"builtins:dict"')
_edit(
    "key-order-nested",
    "keys out of order inside meta",
    b'"a":"1","b":"2"',
    b'"b":"2","a":"1"',
    meta={"a": "1", "b": "2"},
)
_edit(
    "key-order-case",
    "keys ordered without regard to case",
    b'"B":"2","a":"1"',
    b'"a":"1","B":"2"',
    meta={"a": "1", "B": "2"},
)
_edit(
    "key-order-utf-16",
    "names ordered by UTF-16 units",
    '"\uff5e":"1","\U00010000":"2"'.encode(),
    '"\U00010000":"2","\uff5e":"1"'.encode(),
    packages={"\uff5e": "1", "\U00010000": "2"},
)
for _name, _about, _number in (
    ("nan", "NaN", b"NaN"),
    ("infinity", "Infinity", b"Infinity"),
    ("infinity-negative", "-Infinity", b"-Infinity"),
    ("float", "a fraction", b"0.0"),
    ("float-one", "a fraction that is whole", b"1.0"),
    ("exponent", "an exponent", b"0e0"),
    ("exponent-large", "an exponent that makes an integer", b"1e3"),
    ("exponent-huge", "an exponent beyond any float", b"1e999"),
    ("minus-zero", "minus zero", b"-0"),
    ("minus-zero-float", "minus zero with a fraction", b"-0.0"),
    ("plus", "a plus sign", b"+0"),
    ("leading-zero", "a leading zero", b"00"),
    ("hex", "a hexadecimal number", b"0x0"),
    ("dot-first", "a fraction without a digit before the point", b".5"),
    ("dot-last", "a fraction without a digit after the point", b"0."),
    ("2-53", "2^53", b"9007199254740992"),
    ("2-53-plus-1", "2^53 + 1, which no float can hold", b"9007199254740993"),
    ("minus-2-53", "-2^53", b"-9007199254740992"),
    ("2-63", "2^63", b"9223372036854775808"),
    ("2-64", "2^64", b"18446744073709551616"),
    ("5000-digits", "5,000 digits", b"1" * 5000),
    ("true-upper", "Python's True", b"True"),
    ("none", "Python's None", b"None"),
    ("undefined", "undefined", b"undefined"),
    ("minus", "a minus sign alone", b"-"),
):
    _edit(f"number-{_name}", f"version: {_about}", b'"version":0', b'"version":' + _number)
_edit("number-float-in-ext", "a fraction in a vendor's member", b'"a.b":1', b'"a.b":1.5', ext={"a.b": 1})
_edit(
    "number-large-in-ext",
    "an integer out of range in a vendor's member",
    b'"a.b":1',
    b'"a.b":9007199254740992',
    ext={"a.b": 1},
)
_edit(
    "number-float-in-len", "a section length with a fraction", b'"len":%d' % len(PAYLOAD), b'"len":%d.0' % len(PAYLOAD)
)
_edit("depth-17", "17 levels", b'"a.b":1', b'"a.b":' + b"[" * 15 + b"1" + b"]" * 15, ext={"a.b": 1})
_edit(
    "depth-17-objects", "17 levels of objects", b'"a.b":1', b'"a.b":' + b'{"a":' * 15 + b"1" + b"}" * 15, ext={"a.b": 1}
)
_edit("depth-300", "300 levels", b'"a.b":1', b'"a.b":' + b"[" * 300 + b"]" * 300, ext={"a.b": 1})
_edit("depth-100000", "100,000 levels", b'"a.b":1', b'"a.b":' + b"[" * 100_000 + b"]" * 100_000, ext={"a.b": 1})
_edit("depth-unclosed", "100,000 levels that are never closed", b'"a.b":1', b'"a.b":' + b"[" * 100_000, ext={"a.b": 1})
_edit("depth-in-build", "17 levels where a string belongs", b'"3.12.1"', b"[" * 15 + b"]" * 15)
_edit(
    "depth-unknown-member",
    "17 levels in an unknown member",
    b'"version":0',
    b'"version":0,"zzz":' + b"[" * 16 + b"]" * 16,
)

# --- step 11: schema --------------------------------------------------------------------------------------------------


def _schema(name: str, about: str, frame: Frame) -> None:
    _add(f"schema-{name}", about, "header-schema", 11, frame.data)


def _field(name: str, about: str, **fields: Any) -> None:
    _schema(name, about, Frame(**fields))


def _section(name: str, about: str, **changes: Any) -> None:
    frame = Frame()
    entry = {"len": len(PAYLOAD), "xxh3": f"{xxh3(PAYLOAD):016x}", **changes}
    frame.fields["sections"] = [{key: value for key, value in entry.items() if value is not DROP}]
    _schema(f"section-{name}", f"sections[0]: {about}", frame)


for _name in ("build", "created", "format", "globals", "pickle", "type", "version"):
    _field(f"{_name}-missing", f"{_name} is missing", **{_name: DROP})
    _field(f"{_name}-null", f"{_name} is null", **{_name: None})
_field("sections-missing", "sections is missing", sections=DROP)
_field(
    "empty",
    "an empty object",
    sections=DROP,
    **dict.fromkeys(("build", "created", "format", "globals", "pickle", "type", "version"), DROP),
)
_field("unknown", "an unknown member", zzz=1)
_field("unknown-case", "a known member in capitals", Meta={"a": "b"})
_field("unknown-bad-key", "an unknown member whose name is no key", **{"a b": 1})
_field("format-minor", "format: a minor other than the preamble's", format="pickleseal/1.1")
_field("format-major", "format: a major other than the preamble's", format="pickleseal/2.0")
_field("format-name", "format: the name of another format", format="safetensors/1.0")
_field("format-number", "format: a number", format=1)
_frame = Frame(format="pickleseal/1.0")
_frame.minor = 1
_schema("format-minor-1", "format: minor 0, but minor 1 in the preamble", _frame)
_frame = Frame(format="pickleseal/1.01")
_frame.minor = 1
_schema("format-leading-zero", "format: a leading zero in the minor", _frame)
_frame = Frame(format="pickleseal/1.2", **{"b@d": 1})
_frame.minor = 2
_schema("minor-2-bad-key", "a newer minor: a name that is no key in an unknown member", _frame)
_frame = Frame(format="pickleseal/1.2", future=[{"": 1}])
_frame.minor = 2
_schema("minor-2-bad-key-nested", "a newer minor: an empty name deep in an unknown member", _frame)
_frame = Frame(format="pickleseal/1.2", version=-1)
_frame.minor = 2
_schema("minor-2-known-rule", "a newer minor: the rules for known members stay in force", _frame)
_frame = Frame(format="pickleseal/1.1", future=1)
_frame.minor = 1
_schema("minor-1-unknown", "format 1.1: an unknown member", _frame)

for _name, _about, _value in (
    ("offset", "an offset instead of Z", "2026-01-02T03:04:05.678901+00:00"),
    ("no-zone", "no zone", "2026-01-02T03:04:05.678901"),
    ("lower-t", "a lowercase t", "2026-01-02t03:04:05.678901Z"),
    ("lower-z", "a lowercase z", "2026-01-02T03:04:05.678901z"),
    ("space", "a space instead of T", "2026-01-02 03:04:05.678901Z"),
    ("leap-second", "a leap second", "2016-12-31T23:59:60.000000Z"),
    ("feb-30", "30 February", "2026-02-30T00:00:00.000000Z"),
    ("feb-29", "29 February of a common year", "2100-02-29T00:00:00.000000Z"),
    ("apr-31", "31 April", "2026-04-31T00:00:00.000000Z"),
    ("month-0", "month 00", "2026-00-02T03:04:05.678901Z"),
    ("month-13", "month 13", "2026-13-02T03:04:05.678901Z"),
    ("day-0", "day 00", "2026-01-00T03:04:05.678901Z"),
    ("hour-24", "hour 24", "2026-01-02T24:00:00.000000Z"),
    ("minute-60", "minute 60", "2026-01-02T03:60:05.678901Z"),
    ("year-0", "year 0000", "0000-01-02T03:04:05.678901Z"),
    ("year-5-digits", "a year of five digits", "12026-01-02T03:04:05.67890Z"),
    ("fraction-5", "five digits of fraction", "2026-01-02T03:04:05.67890Z"),
    ("fraction-7", "seven digits of fraction", "2026-01-02T03:04:05.6789012Z"),
    ("fraction-none", "no fraction", "2026-01-02T03:04:05Z"),
    ("fraction-comma", "a comma in the fraction", "2026-01-02T03:04:05,678901Z"),
    ("arabic-digits", "Arabic-Indic digits", "2026-01-02T03:04:05.67890\u0661Z"),
    ("fullwidth-digits", "full-width digits", "\uff12026-01-02T03:04:05.678901Z"),
    ("newline", "a line feed at the end", "2026-01-02T03:04:05.678901Z\n"),
    ("space-first", "a space before the date", " 2026-01-02T03:04:05.678901Z"),
    ("compact", "the compact form", "20260102T030405.678901Z"),
    ("week", "a week date", "2026-W01-5T03:04:05.678901Z"),
    ("empty", "an empty string", ""),
    ("number", "a number", 1767323045),
    ("negative", "a negative year", "-026-01-02T03:04:05.678901Z"),
):
    _field(f"created-{_name}", f"created: {_about}", created=_value)
for _member in ("build", "meta"):
    for _name, _about, _labels in (
        ("array", "an array", []),
        ("string", "a string", "x"),
        ("number-value", "a number as a value", {"a": 1}),
        ("null-value", "null as a value", {"a": None}),
        ("object-value", "an object as a value", {"a": {}}),
        ("key-empty", "an empty key", {"": "x"}),
        ("key-digit", "a key that begins with a digit", {"1a": "x"}),
        ("key-space", "a key with a space", {"a b": "x"}),
        ("key-non-ascii", "a key with an umlaut", {"größe": "x"}),
        ("key-257", "a key of 257 characters", {"k" * 257: "x"}),
        ("key-newline", "a key with a line feed at the end", {"a\n": "x"}),
    ):
        _field(f"{_member}-{_name}", f"{_member}: {_about}", **{_member: _labels})
for _name, _about, _globals in (
    ("object", "an object", {}),
    ("string", "a string", "a:b"),
    ("number", "a number in it", [1]),
    ("no-colon", "no colon", ["os.system"]),
    ("two-colons", "two colons", ["a:b:c"]),
    ("no-module", "no module", [":b"]),
    ("no-name", "no name", ["a:"]),
    ("empty", "an empty string", [""]),
    ("newline", "a line feed", ["a:b\n"]),
    ("nul", "a zero byte", ["a:b\0"]),
    ("c1", "a C1 control character", ["a:b\x85"]),
    ("duplicate", "a name twice", ["a:b", "a:b"]),
    ("order", "out of order", ["b:a", "a:b"]),
    ("order-utf-16", "ordered by UTF-16 units", ["\U00010000:A", "\uff5e:A"]),
    ("long", "1,024 bytes", ["m:" + "q" * 1022]),
    ("long-bytes", "1,024 bytes in 512 characters", ["m:" + "ö" * 511]),
):
    _field(f"globals-{_name}", f"globals: {_about}", globals=_globals)
for _name, _about, _packages in (
    ("array", "an array", []),
    ("empty-name", "an empty name", {"": "1"}),
    ("control", "a control character in a name", {"a\x7f": "1"}),
    ("empty-version", "an empty version", {"a": ""}),
    ("number-version", "a number as a version", {"a": 1}),
    ("long-version", "a version of 256 bytes", {"a": "1" * 256}),
    ("long-name", "a name of 1,024 bytes", {"a" * 1024: "1"}),
):
    _field(f"packages-{_name}", f"packages: {_about}", packages=_packages)
for _name, _about, _pickle in (
    ("empty", "no protocol", {}),
    ("protocol-1", "protocol 1", {"protocol": 1}),
    ("protocol-6", "protocol 6", {"protocol": 6}),
    ("protocol-true", "true", {"protocol": True}),
    ("protocol-string", "a string", {"protocol": "5"}),
    ("extra", "an unknown member", {"protocol": 5, "x": 1}),
    ("number", "a number", 5),
):
    _field(f"pickle-{_name}", f"pickle: {_about}", pickle=_pickle)
for _name, _about, _value in (
    ("0", "0", 0),
    ("2-32", "2^32", 2**32),
    ("true", "true", True),
    ("string", "a string", "3"),
    ("null", "null", None),
):
    _field(f"records-{_name}", f"records: {_about}", records=_value)
for _name, _about, _value in (
    ("empty", "an empty string", ""),
    ("long", "1,024 bytes", "x" * 1024),
    ("control", "a control character", "a\x1b[31m"),
    ("number", "a number", 1),
    ("array", "an array", ["a:b"]),
):
    _field(f"type-{_name}", f"type: {_about}", type=_value)
for _name, _about, _value in (("negative", "-1", -1), ("true", "true", True), ("string", "a string", "1")):
    _field(f"version-{_name}", f"version: {_about}", version=_value)
for _name, _about, _fields in (
    ("ext-array", "ext is an array", {"ext": []}),
    ("ext-no-dot", "a vendor key without a dot", {"ext": {"vendor": 1}}),
    ("ext-bad-key", "a vendor key that is no key", {"ext": {"a.b c": 1}}),
    ("ext-nested-key", "a name inside ext that is no key", {"ext": {"a.b": [{"": 1}]}}),
    ("crit-empty", "crit is empty", {"ext": {"a.b": 1}, "crit": []}),
    ("crit-string", "crit is a string", {"ext": {"a.b": 1}, "crit": "a.b"}),
    ("crit-not-in-ext", "crit names a member that ext lacks", {"ext": {"a.b": 1}, "crit": ["a.c"]}),
    ("crit-no-ext", "crit without ext", {"crit": ["a.b"]}),
    ("crit-known-member", "crit names a member of this format", {"crit": ["meta"], "meta": {}}),
    ("crit-duplicate", "crit names a member twice", {"ext": {"a.b": 1}, "crit": ["a.b", "a.b"]}),
    ("crit-order", "crit out of order", {"ext": {"a.b": 1, "a.c": 1}, "crit": ["a.c", "a.b"]}),
    ("crit-number", "a number in crit", {"ext": {"a.b": 1}, "crit": [1]}),
):
    _field(_name, _about, **_fields)
_field("sections-empty", "sections: an empty array", sections=[])
_field("sections-object", "sections: an object", sections={})
_field("sections-number", "sections: a number in it", sections=[1])
_section("len-missing", "len is missing", len=DROP)
_section("len-negative", "a negative length", len=-1)
_section("len-true", "true as a length", len=True)
_section("len-string", "a string as a length", len="70")
_section("xxh3-missing", "xxh3 is missing", xxh3=DROP)
_section("xxh3-upper", "hex digits in capitals", xxh3="ABCDEF0123456789")
_section("xxh3-15", "15 hex digits", xxh3="0" * 15)
_section("xxh3-17", "17 hex digits", xxh3="0" * 17)
_section("xxh3-number", "a number as xxh3", xxh3=0)
_section("xxh3-newline", "15 digits and a line feed", xxh3="0" * 15 + "\n")
_section("xxh3-non-ascii", "a full-width digit", xxh3="0" * 15 + "\uff10")
_section("codec-alone", "codec without raw_len", codec="zstd")
_section("raw-len-alone", "raw_len without codec", raw_len=1)
_section("codec-upper", "codec in capitals", codec="ZSTD", raw_len=1)
_section("codec-null", "codec null", codec=None, raw_len=1)
_section("codec-empty", "codec empty", codec="", raw_len=1)
_section("raw-len-negative", "a negative raw_len", codec="zstd", raw_len=-1)
_section("sha256-upper", "SHA-256 in capitals", sha256="A" * 64)
_section("sha256-63", "63 digits of SHA-256", sha256="a" * 63)
_section("readonly-0", "readonly, which only buffers may have", readonly=True)
_section("unknown", "an unknown member", offset=0)
_frame = VALID["buffer-1"][1].copy()
_frame.section_fields[1] = {"readonly": False}
_schema("section-readonly-false", "readonly false", _frame)
_frame = VALID["buffer-1"][1].copy()
_frame.section_fields[1] = {"readonly": 1}
_schema("section-readonly-1", "readonly 1", _frame)
_frame = Frame().sign()
_frame.section_fields = [{}]
_schema("sealed-without-sha256", "a seal, and a section without sha256", _frame)
_frame = VALID["buffers"][1].copy().sign()
del _frame.section_fields[5]["sha256"]
_schema("sealed-without-sha256-last", "a seal, and the last section without sha256", _frame)

_CLASS = {"fields": [["id", "int"]], "global": "jobs:Task", "kind": "dataclass", "state": "default", "version": 2}


def _types(name: str, about: str, entry: Any, key: str = "jobs.Task", **fields: Any) -> None:
    if isinstance(entry, dict):
        entry = {k: v for k, v in entry.items() if v is not DROP}
    _field(f"types-{name}", f"types: {about}", types={key: entry}, **fields)


_field("types-array", "types: an array", types=[])
_types("entry-array", "an entry that is an array", [])
_types("name-empty", "an empty name", _CLASS, "")
_types("name-control", "a control character in a name", _CLASS, "a\x00b")
for _name in _CLASS:
    _types(f"{_name}-missing", f"{_name} is missing", {**_CLASS, _name: DROP})
for _name, _about, _change in (
    ("unknown", "an unknown member", {"doc": "x"}),
    ("fields-object", "fields is an object", {"fields": {}}),
    ("fields-string", "a field that is a string", {"fields": ["id"]}),
    ("fields-three", "a field of three strings", {"fields": [["id", "int", "0"]]}),
    ("fields-one", "a field of one string", {"fields": [["id"]]}),
    ("fields-number", "a number as annotation", {"fields": [["id", 1]]}),
    ("fields-empty-name", "an empty field name", {"fields": [["", "int"]]}),
    ("fields-twice", "one field twice", {"fields": [["id", "int"], ["id", "str"]]}),
    ("global-no-colon", "a global without a colon", {"global": "jobs.Task"}),
    ("global-number", "a number as global", {"global": 1}),
    ("kind-unknown", "an unknown kind", {"kind": "struct"}),
    ("kind-array", "an array as kind", {"kind": []}),
    ("shape-unknown", "an unknown shape", {"shape": "tuple"}),
    ("shape-array", "an array as shape", {"shape": []}),
    ("state-unknown", "an unknown state", {"state": "own"}),
    ("state-array", "an array as state", {"state": []}),
    ("defaults-empty", "empty defaults", {"defaults": []}),
    ("defaults-object", "defaults is an object", {"defaults": {"id": "0"}}),
    ("defaults-number", "a number as default", {"defaults": [["id", 0]]}),
    ("defaults-three", "a default of three strings", {"defaults": [["id", "0", ""]]}),
    ("defaults-twice", "one default twice", {"defaults": [["id", "0"], ["id", "1"]]}),
    ("defaults-other", "a default of an unknown field", {"defaults": [["key", "0"]]}),
    ("version-true", "true as version", {"version": True}),
    ("version-negative", "a negative version", {"version": -1}),
):
    _types(_name, _about, {**_CLASS, **_change})
_types("version-differs", "a version other than the root's", _CLASS, type="jobs.Task", version=1)

_PLAIN = {**_CLASS, "attributes": [["name", "required"]], "base": "builtins:Exception", "kind": "plain"}


def _types_1_1(name: str, about: str, minor: int = 1, **change: Any) -> None:
    entry = {key: value for key, value in {**_PLAIN, **change}.items() if value is not DROP}
    frame = Frame(format=f"pickleseal/1.{minor}", types={"jobs.Task": entry})
    frame.minor = minor
    _schema(f"types-{name}", f"types: {about}", frame)


_types_1_1("attributes-in-1.0", "attributes, in a frame of format 1.0", 0, base=DROP)
_types_1_1("base-in-1.0", "base, in a frame of format 1.0", 0, attributes=DROP)
_types_1_1("unknown-in-1.1", "format 1.1: an unknown member", doc="x")
for _name, _about, _value in (
    ("object", "attributes is an object", {"name": "required"}),
    ("null", "attributes is null", None),
    ("string", "an attribute that is a string", ["name"]),
    ("one", "an attribute of one string", [["name"]]),
    ("three", "an attribute of three strings", [["name", "required", ""]]),
    ("number", "a number as word", [["name", 1]]),
    ("word", "another word than required and optional", [["name", "maybe"]]),
    ("word-empty", "an empty word", [["name", ""]]),
    ("word-case", "a word in capitals", [["name", "Required"]]),
    ("empty-name", "an empty name", [["", "required"]]),
    ("control", "a control character in a name", [["a\x00b", "required"]]),
    ("twice", "one attribute twice", [["name", "required"], ["name", "optional"]]),
    ("field", "an attribute that is a field", [["id", "required"]]),
):
    _types_1_1(f"attributes-{_name}", f"format 1.1: {_about}", attributes=_value)
for _name, _about, _value in (
    ("null", "base is null", None),
    ("number", "a number as base", 1),
    ("array", "an array as base", ["builtins:dict"]),
    ("no-colon", "a base without a colon", "dict"),
    ("empty", "an empty base", ""),
    ("control", "a control character in base", "builtins:a\x7f"),
):
    _types_1_1(f"base-{_name}", f"format 1.1: {_about}", base=_value)
_types_1_1(
    "minor-2-attributes-word", "a newer minor: the rules for attributes stay in force", 2, attributes=[["a", "b"]]
)
