"""An independent reader of the pickleseal container format, for conformance tests.

Written from the text of ``spec/format.md`` alone. It shares no code with the library, and so a disagreement between
the two points at a defect in the library, in this file, or in the text. It is plain rather than fast, and it never
runs a pickle opcode: it implements steps 1-19 of section 11.

    peek(data)    steps 1-13: the header; `data` may be a prefix of a frame
    verify(data)  steps 1-14 and 16-19: everything but policy
    check(data)   steps 1-19
    walk(data)    a stream (section 9): what `verify` does with each frame, the order of frames, and what can be skipped

Each but `walk` returns the parsed header, or raises `Refused` with the error class of section 15 and the step of
section 11. No bytes make it raise anything else. It understands no `crit` name. `verify` and `check` take keys as the
manifest of the vectors has them, a purpose, a context, and the identities of those that have to sign; without keys it
verifies no signature.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NoReturn

import xxhash

__all__ = ["Extent", "Frame", "Refused", "Walked", "check", "entries", "peek", "verify", "walk"]


class Refused(Exception):
    """The bytes were refused: `error` is the class of section 15, `step` the step of section 11."""

    def __init__(self, error: str, step: int, detail: str = "") -> None:
        super().__init__(f"step {step}: {error}" + (f": {detail}" if detail else ""))
        self.error = error
        self.step = step
        self.detail = detail


class _Defect(Exception):
    """What a check found; the step that made the check turns it into a `Refused`."""


# ---------------------------------------------------------------------------------------------------------------------
# The functions to call
# ---------------------------------------------------------------------------------------------------------------------


def peek(data: bytes, *, limits: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Steps 1-13: judge the head of a frame, of which `data` may be a prefix, and return its header."""
    return _read_head(memoryview(data), _limits(limits)).header


def verify(
    data: bytes,
    *,
    limits: Mapping[str, int] | None = None,
    keys: Collection[Mapping[str, str]] = (),
    purpose: str = "",
    context: str = "",
    signed_by: Collection[str] = (),
) -> dict[str, Any]:
    """Steps 1-14 and 16-19: judge a whole artifact, without policy, and return its header."""
    head = _read_head(memoryview(data), _limits(limits), _Keys(keys, purpose, context, signed_by))
    _check_codecs(head.header)
    _read_body(memoryview(data), head)
    return head.header


def check(
    data: bytes,
    *,
    protocols: Iterable[int] = (4, 5),
    expect: str | None = None,
    trust: Collection[str] | None = None,
    limits: Mapping[str, int] | None = None,
    keys: Collection[Mapping[str, str]] = (),
    purpose: str = "",
    context: str = "",
    signed_by: Collection[str] = (),
    types: Mapping[str, str] | None = None,
    python: str | None = None,
    build: Mapping[str, str] | None = None,
    meta: Mapping[str, str] | None = None,
    codecs: Collection[str] | None = None,
    packages: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Steps 1-19. `trust` holds globals (`module:qualname`); None leaves `untrusted-global` and `class-missing` out.

    `types`, `python`, `build`, `meta`, `codecs` and `packages` are as section 18 has them; None leaves each out.
    `created` is not judged. A class is missing if its top-level module is: nothing is imported.
    """
    head = _read_head(memoryview(data), _limits(limits), _Keys(keys, purpose, context, signed_by))
    header = head.header
    _check_codecs(header)
    if header["pickle"]["protocol"] not in tuple(protocols):
        raise Refused("policy", 15, f"pickle protocol {header['pickle']['protocol']}")
    if expect is not None and header["type"] != expect:
        raise Refused("type-mismatch", 15, repr(header["type"]))
    if types is not None:
        if header["type"] not in types:
            raise Refused("type-mismatch", 15, repr(header["type"]))
        if not _is_accepted(header["version"], types[header["type"]]):
            raise Refused("policy", 15, f"version {header['version']}")
    if python is not None and not _meets(header["build"].get("python", "").rstrip("+"), python):
        raise Refused("policy", 15, "build.python")
    for member, wanted in (("build", build), ("meta", meta)):
        labels = header.get(member, {})
        for key, value in (wanted or {}).items():
            if key not in labels or value not in ("*", labels[key]):
                raise Refused("policy", 15, f"{member}.{key}")
    if codecs is not None and any(section.get("codec", None) not in (None, *codecs) for section in header["sections"]):
        raise Refused("policy", 15, "codec")
    if trust is not None:
        for name in header["globals"]:
            if name not in trust:
                raise Refused("untrusted-global", 15, repr(name))
    if packages is not None:
        _check_packages(header.get("packages", {}), packages)
    for name in header["globals"] if trust is not None else ():
        if importlib.util.find_spec(name.partition(":")[0].partition(".")[0]) is None:
            raise Refused("class-missing", 15, repr(name))
    _read_body(memoryview(data), head)
    return header


def _is_accepted(version: int, rule: str) -> bool:
    """Judge a version by a rule of section 18."""
    if rule == "*":
        return True
    for part in rule.split(","):
        part = part.strip(" ")
        number = part.lstrip("=!<>")
        operator, wanted = part[: len(part) - len(number)], int(number)
        accepted = {
            "": version == wanted,
            "==": version == wanted,
            "!=": version != wanted,
            ">=": version >= wanted,
            "<=": version <= wanted,
            ">": version > wanted,
            "<": version < wanted,
        }
        if not accepted[operator]:
            return False
    return True


_WORDS = ("ignore", "warn", "refuse", "exact", "minor", "major")
_BY_MINOR = ("scikit-learn", "scipy", "statsmodels", "pandas", "torch", "xgboost", "lightgbm")


def _check_packages(recorded: Mapping[str, str], rules: Mapping[str, str]) -> None:
    """Judge the recorded versions by the rules of section 18."""
    rules = {_normal(name): rule for name, rule in rules.items()}
    for name, version in recorded.items():
        rule = rules.get(_normal(name), rules.get("*", "warn"))
        if rule not in _WORDS:
            if not _meets(version, rule):
                raise Refused("package-version", 15, f"{name} {version}")
        elif rule not in ("ignore", "warn"):
            try:
                here = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                raise Refused("package-version", 15, f"{name} is not installed") from None
            if _compared(name, version, rule) != _compared(name, here, rule):
                raise Refused("package-version", 15, f"{name} {version}, and {here} is installed")
    for name, rule in rules.items():
        if name != "*" and rule not in _WORDS and name not in map(_normal, recorded):
            raise Refused("package-version", 15, f"{name} is not recorded")


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _compared(name: str, version: str, rule: str) -> Any:
    """Return what a word compares of a version."""
    if rule == "exact":
        return version
    major, minor = (*version.split("."), "0")[:2]
    by_minor = rule == "minor" or (rule == "refuse" and (major == "0" or _normal(name) in _BY_MINOR))
    return (major, minor) if by_minor else major


def _meets(version: str, specifier: str) -> bool:
    """Whether a version meets a specifier, as far as the vectors use them: releases, compared number by number."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    if match is None:
        return False
    release = _release(match[0])
    operators = {"==": release.__eq__, ">=": release.__ge__, "<=": release.__le__, ">": release.__gt__}
    operators |= {"<": release.__lt__}
    return all(operators[part.rstrip("0123456789.")](_release(part.lstrip("<>="))) for part in specifier.split(","))


def _release(version: str) -> tuple[int, ...]:
    numbers = tuple(map(int, version.split(".")))
    return numbers + (0,) * (6 - len(numbers))


def _check_codecs(header: dict[str, Any]) -> None:
    for section in header["sections"]:
        if "codec" in section and (section["codec"] != "zstd" or _zstd_module() is None):
            raise Refused("unsupported-codec", 14, repr(section["codec"]))


# ---------------------------------------------------------------------------------------------------------------------
# Sections 2 and 14: numbers
# ---------------------------------------------------------------------------------------------------------------------

MAX_INT = 2**53 - 1
VERSION_MAJOR = 1
VERSION_MINOR = 1  # the highest minor whose members this reader knows

MAX_HEADER_LEN = 1_048_576
MAX_SEAL_LEN = 65_536
MAX_SECTIONS = 65_535
MAX_DEPTH = 16
MAX_NAME = 1_023
MAX_SIGNATURES = 64
MAX_WINDOW = 8_388_608

DEFAULT_LIMITS: dict[str, int] = {
    "max_frame": MAX_INT,
    "max_header": MAX_HEADER_LEN,
    "max_sections": MAX_SECTIONS,
    "max_decoded": 1 << 30,
    "max_section": MAX_INT,
}


_LATER = {"max_depth", "max_memory", "max_seconds"}  # of step 20, which this reader leaves to others


def _limits(given: Mapping[str, int] | None) -> dict[str, int]:
    limits = dict(DEFAULT_LIMITS)
    for name, value in (given or {}).items():
        if name in _LATER:
            continue
        if name not in limits:
            raise ValueError(f"no such limit: {name}")
        limits[name] = value
    return limits


def _pad64(n: int) -> int:
    return (n + 63) // 64 * 64


def _xxh3(data: bytes | memoryview) -> int:
    return xxhash.xxh3_64_intdigest(data, 0)


# ---------------------------------------------------------------------------------------------------------------------
# Steps 1-13: preamble, seal, header
# ---------------------------------------------------------------------------------------------------------------------

MAGIC = bytes.fromhex("F7 50 53 4C 0D 0A 1A 0A")
PREAMBLE = struct.Struct("<8sHHIQIIQQQQ")


@dataclass
class _Keys:
    """What the reader was told: keys as in the manifest, none if no signature is required."""

    keys: Collection[Mapping[str, str]] = ()
    purpose: str = ""
    context: str = ""
    signed_by: Collection[str] = ()


@dataclass
class _Head:
    header: dict[str, Any]
    frame_len: int
    sections_start: int
    stream_id: int
    seq: int


def _read_head(
    data: memoryview, limits: Mapping[str, int], keys: _Keys | None = None, seqs: Mapping[int, int] | None = None
) -> _Head:
    """Steps 1-13. `seqs`, in a stream: the seq that each stream_id goes on with."""
    available = len(data)

    if bytes(data[:8]) != MAGIC[:available]:
        raise Refused("not-an-artifact", 1)
    if available < 64:
        raise Refused("truncated", 1)

    (
        _magic,
        version_major,
        version_minor,
        incompat_flags,
        frame_len,
        header_len,
        seal_len,
        header_xxh3,
        stream_id,
        seq,
        preamble_xxh3,
    ) = PREAMBLE.unpack(data[:64])

    if _xxh3(data[:56]) != preamble_xxh3:
        raise Refused("preamble-checksum", 2)
    if version_major != VERSION_MAJOR:
        raise Refused("unsupported-version", 3, str(version_major))
    if incompat_flags != 0:
        raise Refused("unsupported-flags", 4, hex(incompat_flags))

    if header_len % 64 or not 64 <= header_len <= MAX_HEADER_LEN:
        raise Refused("preamble-field", 5, "header_len")
    if seal_len % 64 or seal_len > MAX_SEAL_LEN:
        raise Refused("preamble-field", 5, "seal_len")
    if frame_len % 64 or not 128 + header_len + seal_len <= frame_len <= MAX_INT:
        raise Refused("preamble-field", 5, "frame_len")
    if stream_id == 0 and seq != 0:
        raise Refused("preamble-field", 5, "seq")
    if seqs is not None and stream_id and seq != seqs.get(stream_id, 0):
        raise Refused("stream-order", 5)

    if frame_len > limits["max_frame"]:
        raise Refused("limit-exceeded", 6, "frame_len")
    if header_len > limits["max_header"]:
        raise Refused("limit-exceeded", 6, "header_len")

    seal_start = 64 + header_len
    sections_start = seal_start + seal_len
    if available < (sections_start if seqs is None else frame_len):
        raise Refused("truncated", 7)
    header_bytes = bytes(data[64:seal_start])
    if _xxh3(header_bytes) != header_xxh3:
        raise Refused("header-checksum", 8)

    signatures: list[dict[str, str]] = []
    if seal_len > 0:
        try:
            signatures = _check_seal(bytes(data[seal_start:sections_start]))
        except _Defect as defect:
            raise Refused("seal-invalid", 9, str(defect)) from None
    if keys is not None and keys.keys:
        body = bytes(data[0:16]) + bytes(data[40:56]) + header_bytes
        good = {signature["key"] for signature in signatures if _is_signed(signature, keys, body)}
        if not good or not good.issuperset(keys.signed_by):
            raise Refused("signature-invalid", 9)

    try:
        header = _decode_header(header_bytes)
    except _Defect as defect:
        raise Refused("header-encoding", 10, str(defect)) from None

    try:
        _check_schema(header, version_major, version_minor, sealed=seal_len > 0)
    except _Defect as defect:
        raise Refused("header-schema", 11, str(defect)) from None

    sections = header["sections"]
    if sections_start + sum(_pad64(section["len"]) for section in sections) != frame_len:
        raise Refused("layout", 12)
    if len(sections) > limits["max_sections"]:
        raise Refused("limit-exceeded", 12, "sections")
    if sum(section.get("raw_len", 0) for section in sections) > limits["max_decoded"]:
        raise Refused("limit-exceeded", 12, "raw_len")
    if any(max(section["len"], section.get("raw_len", 0)) > limits["max_section"] for section in sections):
        raise Refused("limit-exceeded", 12, "a section")

    if "crit" in header:
        raise Refused("unsupported-critical", 13, repr(header["crit"][0]))
    return _Head(header, frame_len, sections_start, stream_id, seq)


# ---------------------------------------------------------------------------------------------------------------------
# Section 5: canonical JSON
# ---------------------------------------------------------------------------------------------------------------------


def _decode_header(raw: bytes) -> dict[str, Any]:
    text = raw.rstrip(b" ")
    if _pad64(len(text)) != len(raw):
        raise _Defect("padding")
    return _decode_canonical(text)


def _decode_canonical(raw: bytes) -> dict[str, Any]:
    """Points 2 to 8 of section 5, in the plain way that it describes."""
    try:
        text = raw.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise _Defect("not UTF-8") from None
    if _nesting(text) > MAX_DEPTH:
        raise _Defect("nesting")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_of_pairs,
            parse_int=_parse_integer,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except (ValueError, RecursionError):
        raise _Defect("not JSON") from None
    if not isinstance(value, dict):
        raise _Defect("not an object")
    try:
        again = _canonical(value).encode("utf-8", "strict")
    except UnicodeEncodeError:
        raise _Defect("lone surrogate") from None
    if again != raw:
        raise _Defect("not canonical")
    return value


# A string, or one bracket. The closing quote is optional: an unterminated string then runs to the end of the text, and
# the scan stays linear whatever it is given.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


def _nesting(text: str) -> int:
    """How deep brackets nest, found before any recursive parser sees them."""
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        token = match.group()
        if token in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in ("]", "}"):
            depth -= 1
    return deepest


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Defect("duplicate member")
    return result


def _parse_integer(text: str) -> int:
    if len(text) > 17:  # "-9007199254740991"
        raise _Defect("number out of range")
    number = int(text)
    if abs(number) > MAX_INT:
        raise _Defect("number out of range")
    return number


def _refuse_number(text: str) -> NoReturn:
    raise _Defect("not an integer")


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f]')


def _canonical_string(text: str) -> str:
    def escape(match: re.Match[str]) -> str:
        char = match.group()
        return _ESCAPES.get(char) or f"\\u{ord(char):04x}"

    return '"' + _TO_ESCAPE.sub(escape, text) + '"'


def _canonical(value: Any) -> str:
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _canonical_string(value)
    if isinstance(value, list):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    if isinstance(value, dict):
        # str compares by code point, which is the order of the UTF-8 bytes
        return "{" + ",".join(f"{_canonical_string(name)}:{_canonical(value[name])}" for name in sorted(value)) + "}"
    raise AssertionError(type(value))


# ---------------------------------------------------------------------------------------------------------------------
# Section 6: the header's members
# ---------------------------------------------------------------------------------------------------------------------

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,255}")
_CODEC = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CREATED = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.[0-9]{6}Z")
_HEX16 = re.compile(r"[0-9a-f]{16}")
_HEX64 = re.compile(r"[0-9a-f]{64}")

_KINDS = ("attrs", "dataclass", "enum", "msgspec", "namedtuple", "plain", "pydantic", "slots")
_STATES = ("custom", "default")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise _Defect(what)


def _is_integer(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high  # type(), because bool is a subclass of int


def _is_match(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_key(value: Any) -> bool:
    return _is_match(_KEY, value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value.encode()) <= MAX_NAME and _CONTROL.search(value) is None


def _is_global(value: Any) -> bool:
    if not isinstance(value, str) or not _is_name(value) or value.count(":") != 1:
        return False
    return not value.startswith(":") and not value.endswith(":")


def _is_ascending(values: list[Any]) -> bool:
    """Ordered by bytes, and unique."""
    return all(a < b for a, b in itertools.pairwise(values))


def _check_member_names(value: Any, where: str, names: Callable[[Any], bool] = _is_key) -> None:
    """Every member name at every depth; `names` is the rule for those directly inside `value`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _require(names(name), f"{where}: member name")
            _check_member_names(inner, where)
    elif isinstance(value, list):
        for inner in value:
            _check_member_names(inner, where)


def _check_members(
    value: Any, where: str, required: Collection[str], optional: Collection[str] = (), *, unknown: bool
) -> None:
    """`value` is an object with all required members, and (unless `unknown` ones are let pass) no unknown one."""
    _require(isinstance(value, dict), f"{where}: not an object")
    for name in required:
        _require(name in value, f"{where}.{name}: missing")
    if not unknown:
        for name in value:
            _require(name in required or name in optional, f"{where}: unknown member {name!r}")


_REQUIRED = ("build", "created", "format", "globals", "pickle", "sections", "type", "version")
_OPTIONAL = ("crit", "ext", "meta", "packages", "records", "types")


def _check_schema(header: dict[str, Any], major: int, minor: int, *, sealed: bool) -> None:
    _require(header.get("format") == f"pickleseal/{major}.{minor}", "format")

    newer = minor > VERSION_MINOR  # then unknown members are ignored (section 13)
    _check_members(header, "header", _REQUIRED, _OPTIONAL, unknown=newer)
    for name, value in header.items():
        _require(_is_key(name), "header: member name")
        _check_member_names(value, name, _is_name if name in ("types", "packages") else _is_key)

    _check_labels(header["build"], "build")
    _require(_is_created(header["created"]), "created")

    names = header["globals"]
    _require(isinstance(names, list) and all(map(_is_global, names)), "globals: not an array of globals")
    _require(_is_ascending(names), "globals: order")

    _check_members(header["pickle"], "pickle", ("protocol",), unknown=newer)
    _require(_is_integer(header["pickle"]["protocol"], 2, 5), "pickle.protocol")

    _check_sections(header["sections"], newer=newer, sealed=sealed)
    _require(_is_name(header["type"]), "type")
    _require(_is_integer(header["version"], 0, MAX_INT), "version")

    if "ext" in header:
        _require(isinstance(header["ext"], dict), "ext: not an object")
        _require(all("." in name for name in header["ext"]), "ext: a key without a dot")
    if "crit" in header:
        crit = header["crit"]
        _require(isinstance(crit, list) and len(crit) > 0 and all(map(_is_key, crit)), "crit: not an array of keys")
        _require(_is_ascending(crit), "crit: order")
        _require(all(name in header.get("ext", {}) for name in crit), "crit: not in ext")
    if "meta" in header:
        _check_labels(header["meta"], "meta")
    if "packages" in header:
        packages = header["packages"]
        _check_labels(packages, "packages")
        _require(all(1 <= len(version.encode()) <= 255 for version in packages.values()), "packages: version")
    if "records" in header:
        _require(_is_integer(header["records"], 1, 2**32 - 1), "records")
    if "types" in header:
        types = header["types"]
        _require(isinstance(types, dict), "types: not an object")
        for value in types.values():
            _check_type(value, minor)
        if header["type"] in types:
            _require(types[header["type"]]["version"] == header["version"], "version: not that of types[type]")


def _check_labels(value: Any, where: str) -> None:
    """An object whose values are strings; its member names are checked elsewhere."""
    _require(isinstance(value, dict) and all(isinstance(text, str) for text in value.values()), f"{where}: not labels")


def _is_created(value: Any) -> bool:
    match = _CREATED.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return False
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        datetime.datetime(year, month, day, hour, minute, second)  # years 1-9999, no leap second
    except ValueError:
        return False
    return True


def _check_sections(sections: Any, *, newer: bool, sealed: bool) -> None:
    _require(isinstance(sections, list) and 1 <= len(sections) <= MAX_SECTIONS, "sections")
    for k, section in enumerate(sections):
        where = f"sections[{k}]"
        _check_members(section, where, ("len", "xxh3"), ("codec", "raw_len", "readonly", "sha256"), unknown=newer)
        _require(_is_integer(section["len"], 0, MAX_INT), f"{where}.len")
        _require(_is_match(_HEX16, section["xxh3"]), f"{where}.xxh3")
        _require(("codec" in section) == ("raw_len" in section), f"{where}: codec and raw_len")
        if "codec" in section:
            _require(_is_match(_CODEC, section["codec"]), f"{where}.codec")
            _require(_is_integer(section["raw_len"], 0, MAX_INT), f"{where}.raw_len")
        if "readonly" in section:
            _require(section["readonly"] is True and k > 0, f"{where}.readonly")
        if "sha256" in section:
            _require(_is_match(_HEX64, section["sha256"]), f"{where}.sha256")
        else:
            _require(not sealed, f"{where}.sha256: missing under a seal")


def _check_type(value: Any, minor: int) -> None:
    optional = ("defaults", "shape") if minor == 0 else ("attributes", "base", "defaults", "shape")
    required = ("fields", "global", "kind", "state", "version")
    _check_members(value, "types", required, optional, unknown=minor > VERSION_MINOR)
    if "base" in value:
        _require(_is_global(value["base"]), "types: base")
    if "shape" in value:
        _require(value["shape"] in ("arguments", "dict", "list", "mixed", "slots", "value"), "types: shape")
    names = _check_pairs(value["fields"])
    if "defaults" in value:
        _require(value["defaults"] != [], "types: defaults: empty")
        _require(_check_pairs(value["defaults"]) <= names, "types: defaults: not a field")
    if "attributes" in value:
        _require(not _check_pairs(value["attributes"]) & names, "types: attributes: a field")
        words = {word for _, word in value["attributes"]}
        _require(words <= {"required", "optional"}, "types: attributes: word")
    _require(_is_global(value["global"]), "types: global")
    _require(value["kind"] in _KINDS, "types: kind")
    _require(value["state"] in _STATES, "types: state")
    _require(_is_integer(value["version"], 0, MAX_INT), "types: version")


def _check_pairs(pairs: Any) -> set[str]:
    _require(isinstance(pairs, list), "types: pairs")
    for pair in pairs:
        _require(isinstance(pair, list) and len(pair) == 2, "types: pairs")
        _require(_is_name(pair[0]) and isinstance(pair[1], str), "types: pairs")
    _require(len({pair[0] for pair in pairs}) == len(pairs), "types: pairs: a name twice")
    return {pair[0] for pair in pairs}


# ---------------------------------------------------------------------------------------------------------------------
# Section 10: the seal's checksum, encoding and form; its signatures
# ---------------------------------------------------------------------------------------------------------------------

_ALG = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SIG_LEN = {"hmac-sha256": 32, "ed25519": 64}


def _is_signed(signature: dict[str, str], keys: _Keys, body: bytes) -> bool:
    """Whether the key with the signature's identity and algorithm is at hand, and verifies it."""
    kind = b"application/vnd.pickleseal.head.v1"
    if keys.purpose:
        kind += b";purpose=" + keys.purpose.encode("ascii")
    if keys.context:
        kind += b";context=" + hashlib.sha256(keys.context.encode("utf-8")).hexdigest().encode("ascii")
    message = b" ".join((b"DSSEv1", str(len(kind)).encode(), kind, str(len(body)).encode(), body))
    raw = base64.b64decode(signature["sig"])
    for key in keys.keys:
        if (key["id"], key["alg"]) != (signature["key"], signature["alg"]):
            continue
        if key["alg"] == "hmac-sha256":
            return hmac.compare_digest(hmac.new(bytes.fromhex(key["secret"]), message, hashlib.sha256).digest(), raw)
        if key["alg"] == "ed25519":
            exceptions = importlib.import_module("cryptography.exceptions")
            ed25519 = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
            try:
                ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public"])).verify(raw, message)
            except exceptions.InvalidSignature:
                return False
            return True
    return False


def _check_seal(seal: bytes) -> list[dict[str, str]]:
    if _xxh3(seal[8:]) != int.from_bytes(seal[:8], "little"):
        raise _Defect("checksum")
    text = seal[8:].rstrip(b" ")
    if _pad64(8 + len(text)) != len(seal):
        raise _Defect("padding")
    value = _decode_canonical(text)
    _check_members(value, "seal", ("signatures",), unknown=False)
    signatures = value["signatures"]
    _require(isinstance(signatures, list) and 1 <= len(signatures) <= MAX_SIGNATURES, "signatures")
    for signature in signatures:
        _check_members(signature, "signature", ("alg", "key", "sig"), unknown=False)
        _require(_is_match(_ALG, signature["alg"]), "alg")
        _require(_is_key(signature["key"]), "key")
        raw = _decode_base64(signature["sig"])
        _require(len(raw) == _SIG_LEN.get(signature["alg"], max(1, len(raw))), "sig: length")
    _require(_is_ascending([(signature["key"], signature["alg"]) for signature in signatures]), "signatures: order")
    return signatures


def _decode_base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _Defect("sig: not a string")
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _Defect("sig: not base64") from None
    _require(base64.b64encode(raw).decode("ascii") == value, "sig: not the one base64 of its bytes")
    return raw


# ---------------------------------------------------------------------------------------------------------------------
# Steps 15-18: the sections
# ---------------------------------------------------------------------------------------------------------------------


def _read_body(data: memoryview, head: _Head) -> None:
    sections = head.header["sections"]
    stored: list[memoryview] = []
    start = head.sections_start
    for k, section in enumerate(sections):
        end = start + section["len"]
        padded_end = start + _pad64(section["len"])
        if len(data) < padded_end:
            raise Refused("truncated", 16, f"section {k}")
        content = data[start:end]
        if f"{_xxh3(content):016x}" != section["xxh3"]:
            raise Refused("section-checksum", 16, f"section {k}: xxh3")
        if "sha256" in section and hashlib.sha256(content).hexdigest() != section["sha256"]:
            raise Refused("section-checksum", 16, f"section {k}: sha256")
        if bytes(data[end:padded_end]) != bytes(padded_end - end):
            raise Refused("section-padding", 16, f"section {k}")
        stored.append(content)
        start = padded_end

    if len(data) > head.frame_len:
        raise Refused("trailing-bytes", 17)

    payload = stored[0]
    for k, section in enumerate(sections):
        if "codec" in section:
            try:
                decoded = _decode_zstd(stored[k], section["raw_len"], keep=k == 0)
            except _Defect as defect:
                raise Refused("codec-data", 18, f"section {k}: {defect}") from None
            if k == 0:
                payload = memoryview(decoded)

    try:
        _check_envelope(
            bytes(payload),
            head.header["pickle"]["protocol"],
            ["readonly" in section for section in sections[1:]],
        )
    except _Defect as defect:
        raise Refused("pickle-envelope", 19, str(defect)) from None


# ---------------------------------------------------------------------------------------------------------------------
# Section 7.2: zstd
# ---------------------------------------------------------------------------------------------------------------------

ZSTD_MAGIC = bytes.fromhex("28 B5 2F FD")
_CHUNK = 1 << 20


def _zstd_module() -> ModuleType | None:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            pass
    return None


def _check_zstd_header(stored: bytes, raw_len: int) -> None:
    """RFC 8878, section 3.1.1.1: the rules of this format on the frame header."""
    if stored[:4] != ZSTD_MAGIC or len(stored) < 5:
        raise _Defect("not a Zstandard frame")
    descriptor = stored[4]
    single_segment = bool(descriptor & 0x20)
    if descriptor & 0x08:
        raise _Defect("reserved bit")
    position = 5
    window_field = b""
    if not single_segment:
        window_field = stored[position : position + 1]
        position += 1
    dictionary_size = (0, 1, 2, 4)[descriptor & 3]
    dictionary_field = stored[position : position + dictionary_size]
    position += dictionary_size
    size_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    size_field = stored[position : position + size_size]
    position += size_size
    if len(stored) < position:
        raise _Defect("cut off in the frame header")

    if size_size == 0:
        raise _Defect("no content size")
    content_size = int.from_bytes(size_field, "little") + (256 if size_size == 2 else 0)
    if content_size != raw_len:
        raise _Defect("content size is not raw_len")
    if any(dictionary_field):
        raise _Defect("names a dictionary")
    if single_segment:
        window = content_size
    else:
        base = 1 << (10 + (window_field[0] >> 3))
        window = base + base // 8 * (window_field[0] & 7)
    if window > MAX_WINDOW:
        raise _Defect("window size")


def _decode_zstd(stored: memoryview, raw_len: int, *, keep: bool) -> bytes:
    """Decode one frame; return its content where `keep` is set, else only check it."""
    _check_zstd_header(bytes(stored[:32]), raw_len)
    zstd = _zstd_module()
    if zstd is None:
        raise AssertionError("step 14 looked for it")
    decoder = zstd.ZstdDecompressor()
    feed = stored
    kept = bytearray()
    length = 0
    try:
        while not decoder.eof:
            piece = decoder.decompress(feed, max_length=min(_CHUNK, raw_len - length + 1))
            feed = memoryview(b"")
            length += len(piece)
            if length > raw_len:
                raise _Defect("longer than raw_len")
            if not piece and not decoder.eof:
                raise _Defect("cut off")
            if keep:
                kept += piece
    except zstd.ZstdError as error:
        raise _Defect(str(error)) from None
    if length != raw_len:
        raise _Defect("shorter than raw_len")
    if decoder.unused_data:
        raise _Defect("bytes behind the frame")
    return bytes(kept)


# ---------------------------------------------------------------------------------------------------------------------
# Section 8: the pickle envelope
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Opcode:
    name: str
    protocols: frozenset[int]
    fixed: int = 0  # bytes of argument right behind the opcode
    counted: bool = False  # the fixed bytes are the length of more argument
    signed: bool = False  # ... and that length is signed
    lines: int = 0  # the argument is so many lines


def _opcode_table() -> dict[int, _Opcode]:
    table: dict[int, _Opcode] = {}

    def add(protocols: tuple[int, ...], code: int, name: str, fixed: int = 0, **form: Any) -> None:
        table[code] = _Opcode(name, frozenset(protocols), fixed, **form)

    every = (2, 3, 4, 5)
    add(every, 0x80, "PROTO", 1)
    add(every, 0x2E, "STOP")
    add(every, 0x28, "MARK")
    add(every, 0x30, "POP")
    add(every, 0x31, "POP_MARK")
    add(every, 0x4E, "NONE")
    add(every, 0x88, "NEWTRUE")
    add(every, 0x89, "NEWFALSE")
    add(every, 0x4A, "BININT", 4)
    add(every, 0x4B, "BININT1", 1)
    add(every, 0x4D, "BININT2", 2)
    add(every, 0x8A, "LONG1", 1, counted=True)
    add(every, 0x8B, "LONG4", 4, counted=True, signed=True)
    add(every, 0x47, "BINFLOAT", 8)
    add(every, 0x58, "BINUNICODE", 4, counted=True)
    add(every, 0x5D, "EMPTY_LIST")
    add(every, 0x61, "APPEND")
    add(every, 0x65, "APPENDS")
    add(every, 0x6C, "LIST")
    add(every, 0x29, "EMPTY_TUPLE")
    add(every, 0x74, "TUPLE")
    add(every, 0x85, "TUPLE1")
    add(every, 0x86, "TUPLE2")
    add(every, 0x87, "TUPLE3")
    add(every, 0x7D, "EMPTY_DICT")
    add(every, 0x64, "DICT")
    add(every, 0x73, "SETITEM")
    add(every, 0x75, "SETITEMS")
    add(every, 0x68, "BINGET", 1)
    add(every, 0x6A, "LONG_BINGET", 4)
    add(every, 0x62, "BUILD")
    add(every, 0x52, "REDUCE")
    add(every, 0x81, "NEWOBJ")
    add((2,), 0x54, "BINSTRING", 4, counted=True, signed=True)
    add((2,), 0x55, "SHORT_BINSTRING", 1, counted=True)
    add((2, 3), 0x63, "GLOBAL", lines=2)
    add((2, 3), 0x71, "BINPUT", 1)
    add((2, 3), 0x72, "LONG_BINPUT", 4)
    add((3, 4, 5), 0x42, "BINBYTES", 4, counted=True)
    add((3, 4, 5), 0x43, "SHORT_BINBYTES", 1, counted=True)
    add((4, 5), 0x8C, "SHORT_BINUNICODE", 1, counted=True)
    add((4, 5), 0x8D, "BINUNICODE8", 8, counted=True)
    add((4, 5), 0x8E, "BINBYTES8", 8, counted=True)
    add((4, 5), 0x8F, "EMPTY_SET")
    add((4, 5), 0x90, "ADDITEMS")
    add((4, 5), 0x91, "FROZENSET")
    add((4, 5), 0x92, "NEWOBJ_EX")
    add((4, 5), 0x93, "STACK_GLOBAL")
    add((4, 5), 0x94, "MEMOIZE")
    add((4, 5), 0x95, "FRAME", 8)
    add((5,), 0x96, "BYTEARRAY8", 8, counted=True)
    add((5,), 0x97, "NEXT_BUFFER")
    add((5,), 0x98, "READONLY_BUFFER")
    return table


_OPCODES = _opcode_table()


def _argument_end(payload: bytes, opcode: _Opcode, start: int) -> int:
    """Where the argument that begins at `start` ends (E2)."""
    end = start + opcode.fixed
    if end > len(payload):
        raise _Defect(f"E2: {opcode.name}: cut off")
    if opcode.counted:
        count = int.from_bytes(payload[start:end], "little", signed=opcode.signed)
        if count < 0:
            raise _Defect(f"E2: {opcode.name}: negative length")
        end += count
        if end > len(payload):
            raise _Defect(f"E2: {opcode.name}: cut off")
    for _ in range(opcode.lines):
        newline = payload.find(b"\n", end)
        if newline < 0:
            raise _Defect(f"E2: {opcode.name}: cut off")
        if newline == end:
            raise _Defect(f"E2: {opcode.name}: empty line")
        end = newline + 1
    return end


def _check_envelope(payload: bytes, protocol: int, readonly: list[bool]) -> None:
    """E1 to E6. `readonly` says of each out-of-band buffer whether its section is so marked."""
    if payload[:2] != bytes((0x80, protocol)):
        raise _Defect("E1: no PROTO of this protocol")
    position = 2
    frame_end = 2  # end of the latest FRAME's length
    buffers = 0  # NEXT_BUFFERs so far
    previous = "PROTO"
    while True:
        if position >= len(payload):
            raise _Defect("E3: no STOP")
        opcode = _OPCODES.get(payload[position])
        if opcode is None or protocol not in opcode.protocols:
            raise _Defect(f"E2: opcode 0x{payload[position]:02x}")
        end = _argument_end(payload, opcode, position + 1)
        if position < frame_end < end:
            raise _Defect(f"E4: {opcode.name} straddles the end of a FRAME")

        must_be_readonly = previous == "NEXT_BUFFER" and readonly[buffers - 1]
        if must_be_readonly != (opcode.name == "READONLY_BUFFER"):
            raise _Defect("E5: READONLY_BUFFER and readonly differ")

        if opcode.name == "PROTO":
            raise _Defect("E1: a second PROTO")
        if opcode.name == "STOP":
            if end != len(payload):
                raise _Defect("E3: bytes behind STOP")
            break
        if opcode.name == "FRAME":
            if position < frame_end:
                raise _Defect("E4: a FRAME within a FRAME")
            frame_end = end + int.from_bytes(payload[position + 1 : end], "little")
            if frame_end > len(payload):
                raise _Defect("E4: a FRAME beyond the payload")
        if opcode.name == "NEXT_BUFFER":
            buffers += 1
            if buffers > len(readonly):
                raise _Defect("E5: more NEXT_BUFFERs than buffers")
        if opcode.name == "LONG_BINPUT" and int.from_bytes(payload[position + 1 : end], "little") >= len(payload):
            raise _Defect("E6: LONG_BINPUT")

        previous = opcode.name
        position = end
    if buffers != len(readonly):
        raise _Defect("E5: fewer NEXT_BUFFERs than buffers")


# ---------------------------------------------------------------------------------------------------------------------
# Section 9: streams
# ---------------------------------------------------------------------------------------------------------------------

_EVERY_SIZE = {"max_frame": MAX_INT, "max_decoded": MAX_INT}


@dataclass
class Frame:
    """A frame that was read: where it is, the number of its first record, and how many it holds."""

    offset: int
    record: int
    records: int


@dataclass
class Extent:
    """What a reader that skips does not get."""

    offset: int
    end: int
    error: str
    frames: int | None


@dataclass
class Walked:
    """What a reader of a stream finds. Without `skip`, `refused` and `offset` say where it ended, if not at the end."""

    frames: list[Frame]
    lost: list[Extent]
    refused: Refused | None
    offset: int
    records: int


@dataclass
class _Preamble:
    frame_len: int
    header_len: int
    stream_id: int
    seq: int


def walk(data: bytes, *, skip: bool = False, limits: Mapping[str, int] | None = None, **told: Any) -> Walked:
    """Read a stream from its start. `told`: `keys`, `purpose`, `context` and `signed_by`, as for `verify`."""
    view, keys = memoryview(data), _Keys(**told)
    walked = Walked([], [], None, 0, 0)
    seqs: dict[int, int] = {}  # what each stream_id goes on with
    last: tuple[int, int] | None = None  # stream_id and seq of the last frame whose preamble was in order
    while walked.offset < len(data):
        offset, rest = walked.offset, view[walked.offset :]
        preamble = _whole_preamble(rest)
        claimed = None if preamble is not None else _preamble(rest, MAX_INT)
        within = None
        try:
            head = _judge(rest, keys, seqs, limits)
        except Refused as refused:
            if refused.error == "torn-tail" and claimed is not None:
                within = _frame_within(data, offset, claimed, seqs)
                if within is not None:
                    refused = Refused("truncated", 7)
            walked.refused = refused
            if not skip:
                return walked
            if refused.error == "torn-tail":
                walked.lost.append(Extent(offset, len(data), refused.error, None))
                walked.offset = len(data)
            elif preamble is None:
                found = within or _next_frame(data, offset, last)
                missing = None
                if found is None:
                    walked.offset = len(data)
                else:
                    walked.offset, other = found
                    if within is not None and claimed is not None and claimed.stream_id == other.stream_id != 0:
                        missing = other.seq - claimed.seq
                    elif last is not None and other.stream_id and other.stream_id == last[0]:
                        missing = other.seq - last[1] - 1
                    walked.records += 1 if missing is None else missing
                    seqs[other.stream_id] = other.seq
                walked.lost.append(Extent(offset, walked.offset, refused.error, missing))
            elif refused.error == "stream-order" and preamble.seq > seqs.get(preamble.stream_id, 0):
                missing = preamble.seq - seqs.get(preamble.stream_id, 0)
                seqs[preamble.stream_id] = preamble.seq
                walked.records += missing
                walked.lost.append(Extent(offset, offset, refused.error, missing))
            else:
                walked.offset += preamble.frame_len
                walked.records += _count(rest, keys)
                walked.lost.append(Extent(offset, walked.offset, refused.error, 1))
                if refused.error != "stream-order":
                    last = preamble.stream_id, preamble.seq
                    seqs[preamble.stream_id] = preamble.seq + 1
            continue
        records = head.header.get("records", 1)
        walked.frames.append(Frame(offset, walked.records, records))
        walked.records += records
        walked.offset += head.frame_len
        last = head.stream_id, head.seq
        seqs[head.stream_id] = head.seq + 1
    if not skip:
        walked.refused = None
    return walked


def entries(index: bytes, data: bytes) -> list[tuple[int, int]]:
    """The entries of an index that a reader of the stream may use, as offset and record (section 9.4)."""
    found: list[tuple[int, int, int]] = []
    for start in range(0, len(index) - 31, 32):
        offset, record, preamble_xxh3, entry_xxh3 = struct.unpack_from("<QQQQ", index, start)
        if _xxh3(index[start : start + 24]) != entry_xxh3 or offset % 64:
            break
        if found and not (offset > found[-1][0] and record > found[-1][1]):
            break
        found.append((offset, record, preamble_xxh3))
    return [
        (offset, record)
        for offset, record, preamble_xxh3 in found
        if _whole_preamble(memoryview(data)[offset:]) is not None
        and int.from_bytes(data[offset + 56 : offset + 64], "little") == preamble_xxh3
    ]


def _judge(rest: memoryview, keys: _Keys, seqs: Mapping[int, int], limits: Mapping[str, int] | None) -> _Head:
    """All but policy, of the frame that a stream goes on with."""
    if not any(rest):
        raise Refused("torn-tail", 1)
    try:
        head = _read_head(rest, _limits(limits), keys, seqs)
    except Refused as refused:
        if refused.error == "truncated":
            raise Refused("torn-tail", refused.step) from None
        raise
    _check_codecs(head.header)
    _read_body(rest[: head.frame_len], head)
    return head


def _whole_preamble(rest: memoryview) -> _Preamble | None:
    """The preamble here, where steps 1 to 6 pass without limits, and all of the frame is there."""
    return _preamble(rest, len(rest))


def _preamble(rest: memoryview, longest: int) -> _Preamble | None:
    """The preamble here, where steps 1 to 6 pass without limits, and the frame is not longer than that."""
    if len(rest) < 64 or _xxh3(rest[:56]) != int.from_bytes(rest[56:64], "little"):
        return None
    magic, major, _, flags, frame_len, header_len, seal_len, _, stream_id, seq, _ = PREAMBLE.unpack(rest[:64])
    if magic != MAGIC or major != VERSION_MAJOR or flags:
        return None
    if header_len % 64 or not 64 <= header_len <= MAX_HEADER_LEN or seal_len % 64 or seal_len > MAX_SEAL_LEN:
        return None
    if frame_len % 64 or not 128 + header_len + seal_len <= frame_len <= min(MAX_INT, longest):
        return None
    return None if stream_id == 0 and seq else _Preamble(frame_len, header_len, stream_id, seq)


def _next_frame(data: bytes, offset: int, last: tuple[int, int] | None) -> tuple[int, _Preamble] | None:
    """Resynchronisation, point 3: the next frame behind a preamble that says nothing."""
    others = []
    for start, preamble in _candidates(data, offset):
        if last is None or not last[0] or (preamble.stream_id == last[0] and preamble.seq > last[1]):
            return start, preamble
        if preamble.stream_id != last[0]:
            others.append((start, preamble))
    return others[0] if others else None


def _frame_within(
    data: bytes, offset: int, claimed: _Preamble, seqs: Mapping[int, int]
) -> tuple[int, _Preamble] | None:
    """A frame of the stream within the extent that a frame claims which is not whole: then that one is no torn tail."""
    for start, preamble in _candidates(data, offset):
        number = preamble.stream_id
        if not claimed.stream_id or (number and number == claimed.stream_id and preamble.seq > claimed.seq):
            return start, preamble
        if number and number != claimed.stream_id and number in seqs and preamble.seq >= seqs[number]:
            return start, preamble
    return None


def _candidates(data: bytes, offset: int) -> Iterator[tuple[int, _Preamble]]:
    """Whole frames behind an offset, as their preamble and the checksum of their header show."""
    view = memoryview(data)
    for start in range(offset + 64, len(data), 64):
        preamble = _whole_preamble(view[start:])
        if preamble is not None:
            header = view[start + 64 : start + 64 + preamble.header_len]
            if _xxh3(header) == int.from_bytes(view[start + 32 : start + 40], "little"):
                yield start, preamble


def _count(rest: memoryview, keys: _Keys) -> int:
    """How many records the refused frame here counts as: those that its header gives, if steps 1 to 13 pass."""
    try:
        records: int = _read_head(rest, {**_limits(None), **_EVERY_SIZE}, keys).header.get("records", 1)
    except Refused:
        return 1
    return records
