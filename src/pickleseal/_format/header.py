"""The header (spec section 6): the checks of its members, and the read-only view that callers get.

`validate` checks the dict that JSON gave: one table has a check for each member, and `HeaderSchemaError.where` names
the member that is wrong. `Header` shows the same dict without building a second structure. Pure: values in, values out.
"""

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import HeaderSchemaError
from .limits import MAX_INTEGER, MAX_NAME, MAX_RECORDS, MAX_SECTIONS
from .preamble import VERSION_MAJOR, VERSION_MINOR, Preamble
from .timestamps import check_timestamp

# --- words of spec section 6 ------------------------------------------------------------------------------------------

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,255}", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CACHED = 2048


def is_key(value: str) -> bool:
    """Return whether a member name is a key."""
    return len(value) <= 256 and matches_key(value)


def is_name(value: str) -> bool:
    """Return whether a string is a name: 1 to 1,023 bytes of UTF-8, no control characters, no lone surrogates."""
    return 0 < len(value) <= MAX_NAME and matches_name(value)


def is_global(value: str) -> bool:
    """Return whether a string is a global, `module:qualname`."""
    module, colon, qualname = value.partition(":")
    return bool(module and colon and qualname) and ":" not in qualname and is_name(value)


# The caches of these two depend on the string alone. Only short strings reach them, so that long ones are not kept.


@lru_cache(_CACHED)
def matches_key(value: str) -> bool:
    return _KEY.fullmatch(value) is not None


@lru_cache(_CACHED)
def matches_name(value: str) -> bool:
    if _CONTROL.search(value):
        return False
    try:
        return len(value.encode()) <= MAX_NAME
    except UnicodeEncodeError:
        return False


def check_labels(value: object) -> str | None:
    """Check an object of strings under keys. Return None if it is one, else what was expected."""
    if type(value) is not dict:
        return "an object of strings"
    for key, item in value.items():
        if type(item) is not str or type(key) is not str or not is_key(key):
            return f"an object of strings under keys (letters, digits, _ . : -), not {key!r}: {item!r}"
    return None


# --- step 11 of the reader algorithm ----------------------------------------------------------------------------------

_HEX = "0123456789abcdef"
_CODEC = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_KINDS = frozenset({"attrs", "dataclass", "enum", "msgspec", "namedtuple", "plain", "pydantic", "slots"})
_TYPE_REQUIRED = frozenset({"fields", "global", "kind", "state", "version"})
_TYPE_MEMBERS_1_0 = _TYPE_REQUIRED | {"defaults", "shape"}
_OF_MINOR_1 = frozenset({"attributes", "base"})
_TYPE_MEMBERS = _TYPE_MEMBERS_1_0 | _OF_MINOR_1
_WORDS = ("required", "optional")  # of an attribute
_SHAPES = frozenset({"arguments", "dict", "list", "mixed", "slots", "value"})


def validate(fields: dict[str, Any], preamble: Preamble) -> None:
    """Check every member of a decoded header against spec section 6.

    Raises:
        HeaderSchemaError: a member is missing, unknown, mistyped or out of range; `where` names it.
    """
    wanted = format_of(preamble.version_minor)
    if fields.get("format") != wanted:
        raise _wrong("format", wanted, fields.get("format"))
    minor = preamble.version_minor
    for key, value in fields.items():
        check = _MEMBERS.get(key)
        if check is not None:
            check(value, minor)
        elif not is_key(key):
            raise _wrong(key, "a key (letters, digits, _ . : -)", key)
        elif minor <= VERSION_MINOR:
            raise HeaderSchemaError("unknown member", None, key, "written by a newer pickleseal, or by hand", key)
        else:
            _check_keys(value, key)
    for key in _REQUIRED:
        if key not in fields:
            raise HeaderSchemaError("required member is missing", key, None, None, key)
    if preamble.seal_len:
        for index, entry in enumerate(fields["sections"]):
            if "sha256" not in entry:
                raise _wrong(f"sections[{index}].sha256", "present, because there is a seal", None)
    if "crit" in fields:
        _check_crit(fields["crit"], fields.get("ext", {}))
    if "types" in fields and fields["type"] in fields["types"]:
        version = fields["types"][fields["type"]]["version"]
        if fields["version"] != version:
            raise _wrong("version", f"equal to types[type].version, {version}", fields["version"])


def minor_of(fields: Mapping[str, Any]) -> int:
    """Return the version_minor that a writer gives a frame with this header (spec 12)."""
    return 1 if any(not _OF_MINOR_1.isdisjoint(entry) for entry in fields.get("types", {}).values()) else 0


def format_of(minor: int) -> str:
    """Return the header's `format` for a version_minor."""
    return f"pickleseal/{VERSION_MAJOR}.{minor}"


def _wrong(where: str, expected: object, found: object) -> HeaderSchemaError:
    shown = found if type(found) in (str, int, bool) else type(found).__name__
    return HeaderSchemaError("wrong value", expected, "nothing" if found is None else shown, None, where)


def _is_integer(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _check_keys(value: Any, where: str) -> None:
    """Check that every member name below is a key (spec 6). Depth is bounded by step 10."""
    if type(value) is dict:
        for key, item in value.items():
            if not is_key(key):
                raise _wrong(f"{where}.{key}", "a key (letters, digits, _ . : -)", key)
            _check_keys(item, f"{where}.{key}")
    elif type(value) is list:
        for index, item in enumerate(value):
            _check_keys(item, f"{where}[{index}]")


def _labels(where: str) -> Callable[[Any, int], None]:
    def check(value: Any, minor: int) -> None:
        problem = check_labels(value)
        if problem is not None:
            raise _wrong(where, problem, value)

    return check


def _created(value: Any, minor: int) -> None:
    problem = check_timestamp(value)
    if problem is not None:
        raise _wrong("created", problem, value)


def _globals(value: Any, minor: int) -> None:
    if type(value) is not list:
        raise _wrong("globals", "an array", value)
    previous = ""
    for index, item in enumerate(value):
        if type(item) is not str or not is_global(item):
            raise _wrong(f"globals[{index}]", "module:qualname", item)
        if item <= previous:  # str order is code point order, which is the order of the UTF-8 bytes
            raise _wrong(f"globals[{index}]", "ordered by bytes, unique", item)
        previous = item


def _packages(value: Any, minor: int) -> None:
    if type(value) is not dict:
        raise _wrong("packages", "an object", value)
    for name, version in value.items():
        if not is_name(name):
            raise _wrong("packages", "a name", name)
        if type(version) is not str or not 1 <= len(version.encode()) <= 255:
            raise _wrong(f"packages.{name}", "a version of 1 to 255 bytes", version)


def _pickle(value: Any, minor: int) -> None:
    if type(value) is not dict:
        raise _wrong("pickle", "an object", value)
    if not _is_integer(value.get("protocol"), 2, 5):
        raise _wrong("pickle.protocol", "an integer from 2 to 5", value.get("protocol"))
    if len(value) > 1:
        _check_members(value, {"protocol"}, "pickle", minor)


def _check_members(value: dict[str, Any], known: Any, where: str, minor: int) -> None:
    """Refuse unknown members, or for a newer minor check only that they are keys (spec 13)."""
    for key in value.keys() - known:
        if minor <= VERSION_MINOR:
            raise HeaderSchemaError("unknown member", None, key, None, f"{where}.{key}")
        _check_keys({key: value[key]}, where)


def _records(value: Any, minor: int) -> None:
    if not _is_integer(value, 1, MAX_RECORDS):
        raise _wrong("records", f"an integer from 1 to {MAX_RECORDS}", value)


def _type(value: Any, minor: int) -> None:
    if type(value) is not str or not is_name(value):
        raise _wrong("type", "a name of 1 to 1023 bytes without control characters", value)


def _version(value: Any, minor: int) -> None:
    if not _is_integer(value, 0, MAX_INTEGER):
        raise _wrong("version", f"an integer from 0 to {MAX_INTEGER}", value)


def _ext(value: Any, minor: int) -> None:
    if type(value) is not dict:
        raise _wrong("ext", "an object", value)
    for key in value:
        if "." not in key:
            raise _wrong(f"ext.{key}", "a key with a dot in it", key)
    _check_keys(value, "ext")


def _crit(value: Any, minor: int) -> None:
    if type(value) is not list or not value:
        raise _wrong("crit", "an array of at least one key", value)


def _check_crit(crit: list[Any], ext: dict[str, Any]) -> None:
    previous = ""
    for index, item in enumerate(crit):
        if type(item) is not str or not is_key(item) or item not in ext:
            raise _wrong(f"crit[{index}]", "the key of a member of ext", item)
        if item <= previous:
            raise _wrong(f"crit[{index}]", "ordered by bytes, unique", item)
        previous = item


def _is_hex(value: object, digits: int) -> bool:
    return type(value) is str and len(value) == digits and not value.strip(_HEX)


SECTION_MEMBERS: dict[str, Callable[[Any], bool]] = {
    "codec": lambda v: type(v) is str and _CODEC.fullmatch(v) is not None,
    "len": lambda v: _is_integer(v, 0, MAX_INTEGER),
    "raw_len": lambda v: _is_integer(v, 0, MAX_INTEGER),
    "readonly": lambda v: v is True,
    "sha256": lambda v: _is_hex(v, 64),
    "xxh3": lambda v: _is_hex(v, 16),
}


def _sections(value: Any, minor: int) -> None:
    if type(value) is not list or not 1 <= len(value) <= MAX_SECTIONS:
        raise _wrong("sections", f"an array of 1 to {MAX_SECTIONS} objects", value)
    for index, entry in enumerate(value):
        where = f"sections[{index}]"
        if type(entry) is not dict:
            raise _wrong(where, "an object", entry)
        unknown = False
        for key, item in entry.items():
            check = SECTION_MEMBERS.get(key)
            if check is None:
                unknown = True
            elif not check(item):
                raise _wrong(f"{where}.{key}", "as spec 6.1 says", item)
        if unknown:
            _check_members(entry, SECTION_MEMBERS.keys(), where, minor)
        if "len" not in entry or "xxh3" not in entry:
            raise _wrong(where, "len and xxh3", ", ".join(entry))
        if ("codec" in entry) != ("raw_len" in entry):
            raise _wrong(where, "codec and raw_len together", ", ".join(entry))
    if "readonly" in value[0]:
        raise _wrong("sections[0].readonly", "absent: section 0 is no buffer", True)


def _types(value: Any, minor: int) -> None:
    if type(value) is not dict:
        raise _wrong("types", "an object", value)
    for name, entry in value.items():
        where = f"types.{name}"
        if not is_name(name):
            raise _wrong(where, "a name", name)
        if type(entry) is not dict:
            raise _wrong(where, "an object", entry)
        if minor == 0 and not _OF_MINOR_1.isdisjoint(entry):
            _check_members(entry, _TYPE_MEMBERS_1_0, where, minor)
        _check_members(entry, _TYPE_MEMBERS, where, minor)
        _check_type(entry, where)


def _check_type(entry: dict[str, Any], where: str) -> None:
    missing = _TYPE_REQUIRED - entry.keys()
    if missing:
        raise _wrong(where, f"with {', '.join(sorted(missing))}", None)
    if type(entry["global"]) is not str or not is_global(entry["global"]):
        raise _wrong(f"{where}.global", "module:qualname", entry["global"])
    if type(entry["kind"]) is not str or entry["kind"] not in _KINDS:
        raise _wrong(f"{where}.kind", ", ".join(sorted(_KINDS)), entry["kind"])
    if entry["state"] not in ("custom", "default"):
        raise _wrong(f"{where}.state", "custom or default", entry["state"])
    if not _is_integer(entry["version"], 0, MAX_INTEGER):
        raise _wrong(f"{where}.version", f"an integer from 0 to {MAX_INTEGER}", entry["version"])
    if "shape" in entry and (type(entry["shape"]) is not str or entry["shape"] not in _SHAPES):
        raise _wrong(f"{where}.shape", ", ".join(sorted(_SHAPES)), entry["shape"])
    names = _check_pairs(entry["fields"], f"{where}.fields")
    if "defaults" in entry:
        if entry["defaults"] == []:
            raise _wrong(f"{where}.defaults", "absent, or not empty", "an empty array")
        for name in _check_pairs(entry["defaults"], f"{where}.defaults").difference(names):
            raise _wrong(f"{where}.defaults", "names that fields has", name)
    if "base" in entry and (type(entry["base"]) is not str or not is_global(entry["base"])):
        raise _wrong(f"{where}.base", "module:qualname", entry["base"])
    if "attributes" in entry:
        for name in _check_pairs(entry["attributes"], f"{where}.attributes", _WORDS) & names:
            raise _wrong(f"{where}.attributes", "names that fields does not have", name)


def _check_pairs(value: Any, where: str, words: Collection[str] | None = None) -> set[str]:
    """Check an array of `[name, text]`, where the text may have to be one of some words. Return the names."""
    if type(value) is not list:
        raise _wrong(where, "an array", value)
    seen: set[str] = set()
    for index, pair in enumerate(value):
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str or type(pair[1]) is not str:
            raise _wrong(f"{where}[{index}]", "[name, text]", pair)
        if not is_name(pair[0]) or pair[0] in seen:
            raise _wrong(f"{where}[{index}]", "a name that is unique in its class", pair[0])
        if words is not None and pair[1] not in words:
            raise _wrong(f"{where}[{index}]", " or ".join(words), pair[1])
        seen.add(pair[0])
    return seen


_MEMBERS: dict[str, Callable[[Any, int], None]] = {
    "build": _labels("build"),
    "created": _created,
    "crit": _crit,
    "ext": _ext,
    "format": lambda value, minor: None,  # checked first, in validate
    "globals": _globals,
    "meta": _labels("meta"),
    "packages": _packages,
    "pickle": _pickle,
    "records": _records,
    "sections": _sections,
    "type": _type,
    "types": _types,
    "version": _version,
}
_REQUIRED = ("build", "created", "globals", "pickle", "sections", "type", "version")


# --- what callers get -------------------------------------------------------------------------------------------------


class Section(NamedTuple):
    """One entry of `sections`: the pickle, or an out-of-band buffer (spec 6.1). Lengths in bytes."""

    len: int
    xxh3: str
    codec: str | None = None
    raw_len: int | None = None
    sha256: str | None = None
    readonly: bool = False


class ClassSchema(NamedTuple):
    """One entry of `types` (spec 6.2): a class as it was when the artifact was written."""

    fields: tuple[tuple[str, str], ...]
    global_: str
    kind: str
    state: str
    version: int
    defaults: tuple[tuple[str, str], ...] = ()
    shape: str | None = None
    attributes: tuple[tuple[str, str], ...] | None = None  # name, and "required" or "optional"; None: not known
    base: str | None = None

    @property
    def is_compared(self) -> bool:
        """Whether the entry says what objects of the class hold, so that a reader can compare it with today's class."""
        return self.kind != "plain" or bool(self.fields or self.base) or self.attributes is not None


class Header:
    """What an artifact says about itself: a read-only view of a validated header (spec section 6).

    Made by `peek`, `verify` and the readers, never by hand. A header is a claim: its checksum shows that it is intact,
    not that it is authentic.
    """

    __slots__ = ("_fields", "_left_out", "_preamble", "_signatures", "_verified")

    def __init__(
        self,
        fields: dict[str, Any],
        preamble: Preamble,
        signatures: tuple[tuple[str, str], ...] = (),
        verified: tuple[tuple[str, str], ...] = (),
        left_out: tuple[str, ...] | None = None,
    ) -> None:
        self._fields = fields
        self._left_out = left_out
        self._preamble = preamble
        self._signatures = signatures
        self._verified = verified

    def __reduce__(self) -> tuple[Any, ...]:  # without `verified`: a pickle can say anything
        return Header._restored, (self._fields, tuple(self._preamble), self._signatures)

    @classmethod
    def _restored(
        cls, fields: dict[str, Any], preamble: tuple[int, ...], signatures: tuple[tuple[str, str], ...]
    ) -> "Header":
        return cls(fields, Preamble(*preamble), signatures)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Header):
            return NotImplemented
        return self._fields == other._fields and self._preamble == other._preamble

    def __hash__(self) -> int:
        return hash(self._preamble)

    def __repr__(self) -> str:
        return f"<Header type={self.type!r} version={self.version} created={self.created!r} {self.frame_len} bytes>"

    @property
    def preamble(self) -> Preamble:
        """The fields of the 64 bytes in front: lengths, stream_id, seq (spec 4.1)."""
        return self._preamble

    @property
    def signatures(self) -> tuple[tuple[str, str], ...]:
        """What the seal claims: `(algorithm, key id)` of each signature, verified or not."""
        return self._signatures

    @property
    def verified(self) -> tuple[tuple[str, str], ...]:
        """The signatures that verified with the caller's keys; none without keys, and none in a copy by pickle.

        They cover the sections only if the sections were checked too, as `verify` and `load` do.
        """
        return self._verified

    @property
    def left_out(self) -> tuple[str, ...] | None:
        """Codes of the refusals that `verify` with a policy can't find, as it imports nothing, and `load` may find.

        None where no policy was compared: in what `peek`, and `verify` without a policy, return.
        """
        return self._left_out

    @property
    def type(self) -> str:
        """Name of the root object's type: its registered name, else `module:qualname`."""
        name: str = self._fields["type"]
        return name

    @property
    def version(self) -> int:
        """Schema version of the root type; 0 if it declares none."""
        version: int = self._fields["version"]
        return version

    @property
    def created(self) -> str:
        """When it was packed: UTC, `YYYY-MM-DDTHH:MM:SS.ffffffZ`."""
        created: str = self._fields["created"]
        return created

    @property
    def build(self) -> Mapping[str, str]:
        """How it was made: the versions of `python` and of `pickleseal`, and what the application set."""
        return MappingProxyType(self._fields["build"])

    @property
    def meta(self) -> Mapping[str, str]:
        """The user's labels."""
        return MappingProxyType(self._fields.get("meta", {}))

    @property
    def globals(self) -> tuple[str, ...]:
        """Every `module:qualname` that the payload may import."""
        return tuple(self._fields["globals"])

    @property
    def packages(self) -> Mapping[str, str]:
        """Distribution -> version at write time, for what the payload needs."""
        return MappingProxyType(self._fields.get("packages", {}))

    @property
    def protocol(self) -> int:
        """The pickle protocol, 2 to 5."""
        protocol: int = self._fields["pickle"]["protocol"]
        return protocol

    @property
    def records(self) -> int | None:
        """How many stream records the frame holds, or None for a single object."""
        return self._fields.get("records")

    @property
    def sections(self) -> tuple[Section, ...]:
        """The pickle, then its out-of-band buffers."""
        return tuple(Section(**entry) for entry in self._known_sections())

    @property
    def types(self) -> Mapping[str, ClassSchema]:
        """The classes in the payload as they were, by name."""
        return MappingProxyType({name: _class_schema(entry) for name, entry in self._fields.get("types", {}).items()})

    @property
    def ext(self) -> Mapping[str, Any]:
        """Vendor members, by dotted key."""
        return MappingProxyType(_copy(self._fields.get("ext", {})))

    @property
    def frame_len(self) -> int:
        """Length of the whole frame in bytes."""
        return self._preamble.frame_len

    def as_dict(self) -> dict[str, Any]:
        """Return the header as plain JSON values, a copy (spec section 6)."""
        copied: dict[str, Any] = _copy(self._fields)
        return copied

    def _known_sections(self) -> list[dict[str, Any]]:
        return [{k: v for k, v in entry.items() if k in SECTION_MEMBERS} for entry in self._fields["sections"]]


fields_of: Callable[[Header], dict[str, Any]] = attrgetter("_fields")  # for this package; not to be changed


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _class_schema(entry: dict[str, Any]) -> ClassSchema:
    fields = tuple((name, annotation) for name, annotation in entry["fields"])
    defaults = tuple((name, text) for name, text in entry.get("defaults", ()))
    attributes = tuple((name, word) for name, word in entry["attributes"]) if "attributes" in entry else None
    kind, state, version, shape = entry["kind"], entry["state"], entry["version"], entry.get("shape")
    return ClassSchema(fields, entry["global"], kind, state, version, defaults, shape, attributes, entry.get("base"))
