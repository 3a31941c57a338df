"""Invalid vectors for the trust levels (spec 8.2): payloads that no honest pickler writes, refused at step 20.

They name only value types of the standard library and rebuild functions of this library. A reader that runs one by
mistake may set an attribute of `ipaddress.IPv4Address` or `http.HTTPStatus.OK`, run out of memory or time, or crash.
"""

from __future__ import annotations

from typing import Any

from frames import Frame, framed, named, text
from invalid_frame import Vector

__all__ = ["LEVELS"]

LEVELS: dict[str, Vector] = {}
ADDRESS, STATUS = named("ipaddress", "IPv4Address"), named("http", "HTTPStatus")
UUID, DTYPE = named("uuid", "UUID"), named("pickleseal", "rebuild_dtype")
LIST, RANGE = named("builtins", "list"), named("builtins", "range")
HUGE = b"\x8a\x06" + (2**40).to_bytes(6, "little")  # LONG1


def _level(
    name: str, about: str, body: bytes, *names: str, error: str = "forbidden-operation", level: str = "", **limits: int
) -> None:
    policy: dict[str, Any] = {"level": level} if level else {}
    if limits:
        policy["limits"] = limits
    assert name not in LEVELS
    LEVELS[f"level-{name}"] = about, error, 20, Frame(framed(body), globals=sorted(names)).data, policy


def _slots(name: str, value: bytes = b"N") -> bytes:
    return b"N}" + text(name) + value + b"s\x86"


_level("class-slots", "BUILD sets an attribute of a class", ADDRESS + _slots("x") + b"b", "ipaddress:IPv4Address")
_level(
    "class-slots-then-fail",
    "BUILD sets an attribute of a class, then the payload fails",
    ADDRESS + _slots("x") + b"b0h\x63",
    "ipaddress:IPv4Address",
)
_level("class-items", "SETITEM on a class", UUID + b"NNs", "uuid:UUID", level="strict")
_level("class-append", "APPEND on a class", UUID + b"Na", "uuid:UUID", level="strict")
_level(
    "enum-state",
    "BUILD changes a member of an enum",
    STATUS + b"K\xc8\x85R}" + text("phrase") + b"Nsb",
    "http:HTTPStatus",
)
_level(
    "call-object",
    "REDUCE calls an object that is neither class nor function",
    UUID + b")\x81)R",
    "uuid:UUID",
    level="strict",
)
_level(
    "state-twice",
    "a second BUILD on one object",
    UUID + b")\x81}" + text("int") + b"K\x01sb}" + text("int") + b"K\x02sb",
    "uuid:UUID",
    level="strict",
)
_level(
    "setstate",
    "a state that gives an object a __setstate__ of its own",
    named("types", "SimpleNamespace") + b")R}" + text("__setstate__") + LIST + b"sb",
    "builtins:list",
    "types:SimpleNamespace",
)
_level(
    "swap-class",
    "a state that swaps the class of an object",
    UUID + b")\x81" + _slots("__class__", STATUS) + b"b",
    "http:HTTPStatus",
    "uuid:UUID",
)
_level(
    "dtype-state",
    "BUILD sets the state of a dtype",
    DTYPE + text("<f8") + b"\x85R(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
    "pickleseal:rebuild_dtype",
)
_level(
    "text-of-objects",
    "str called with a tuple: the text of nested tuples may be exponentially long",
    named("builtins", "str") + b"N\x85\x85R",
    "builtins:str",
)
_level(
    "text-of-name",
    "a name made from bytes, so that the payload does not contain it as text",
    UUID + b")\x81}" + named("builtins", "str") + b"C\x0f\\x5f_setstate__" + text("unicode_escape") + b"\x86RNsb",
    "builtins:str",
    "uuid:UUID",
)
_level(
    "addresses",
    "a list of all the addresses of a network",
    LIST + named("ipaddress", "IPv4Network") + text("0.0.0.0/0") + b"\x85R\x85R",
    "builtins:list",
    "ipaddress:IPv4Network",
)
_level(
    "fraction",
    "a fraction of a billion digits",
    named("fractions", "Fraction") + text("1e999999999") + b"\x85R",
    "fractions:Fraction",
)
_level(
    "list-of-range",
    "a list of a range of 2^40",
    LIST + RANGE + HUGE + b"\x85R\x85R",
    "builtins:list",
    "builtins:range",
    error="limit-exceeded",
)
_level(
    "bytes-by-size",
    "2^40 zero bytes, made from a number",
    named("builtins", "bytes") + HUGE + b"\x85R",
    "builtins:bytes",
    error="limit-exceeded",
)
_level(
    "object-array",
    "an array of 2^40 objects without any object",
    named("pickleseal", "rebuild_object_array") + HUGE + b"\x85" + text("C") + b"\x86R",
    "pickleseal:rebuild_object_array",
    error="limit-exceeded",
)
_level(
    "copies",
    "a list of 10,000 copied by 10,000 calls",
    LIST + b"](" + b"N" * 10_000 + b"e\x94" + b"h\x02h\x03\x85R0" * 10_000,
    "builtins:list",
    error="limit-exceeded",
    level="strict",
)
_level(
    "sets",
    "1,000 empty sets, more than max_memory has room for",
    b"](" + b"\x8f" * 1000 + b"e",
    error="limit-exceeded",
    max_memory=100_000,
)
_nested = b"N\x85" + b"".join(b"\x94h" + bytes((index,)) + b"\x86" for index in range(60))
_level(
    "tower",
    "nested tuples as a key, which take 2^60 steps to hash",
    b"}" + _nested + b"Ns",
    error="limit-exceeded",
    level="strict",
)
_level(
    "deep-key",
    "3,000 nested tuples as a key",
    b"}" + b"N" + b"\x85" * 3000 + b"Ns",
    error="limit-exceeded",
    level="strict",
)
_level(
    "integers",
    "1,002 integers with the same hash as members of a set",
    b"\x8f(" + b"".join(b"\x8a\x0a" + (7 + k * (2**61 - 1)).to_bytes(10, "little") for k in range(8, 1010)) + b"\x90",
    error="limit-exceeded",
    level="strict",
)
_get = [b"j" + index.to_bytes(4, "little") for index in range(3004)]  # LONG_BINGET
_level(
    "deep-deques",
    "3,000 nested deques, whose deallocation overflows the C stack",
    named("collections", "deque")
    + b")R\x94"
    + b"".join(b"h\x02)R\x94" + _get[index] + b"a" for index in range(3, 3003)),
    "collections:deque",
    error="limit-exceeded",
    level="strict",
)
_level(
    "alias-state",
    "BUILD on a generic alias, which hands the attribute on to a member of an enum",
    named("types", "GenericAlias") + STATUS + b"K\xc8\x85R)\x86R}" + text("phrase") + b"Nsb",
    "http:HTTPStatus",
    "types:GenericAlias",
)
_level(
    "state-by-call",
    "a state with __setstate__, made by a call",
    UUID + b")\x81" + named("builtins", "dict") + b"](" + text("__setstate__") + LIST + b"\x86e\x85Rb",
    "builtins:dict",
    "builtins:list",
    "uuid:UUID",
)
_level(
    "arguments-by-name",
    "NEWOBJ_EX with arguments by name, for a value type",
    named("fractions", "Fraction") + b")}" + text("numerator") + text("1e999999999") + b"s\x92",
    "fractions:Fraction",
)
_level(
    "arguments-of-newobj",
    "NEWOBJ with an argument, for a class that takes none",
    UUID + b"N\x85\x81",
    "uuid:UUID",
    level="strict",
)
_level(
    "range-in-a-call",
    "a time made from a range of 2^40",
    named("time", "struct_time") + RANGE + HUGE + b"\x85R\x85R",
    "builtins:range",
    "time:struct_time",
    error="limit-exceeded",
)
_level(
    "tower-in-a-call",
    "a call that makes a set of nested tuples, which take 2^60 steps to hash",
    named("builtins", "set")
    + b"0"
    + b"N\x85"
    + b"".join(b"\x94h" + bytes((n,)) + b"\x86" for n in range(3, 63))
    + b"\x85\x940h\x02h\x3f\x85R",
    "builtins:set",
    error="limit-exceeded",
    level="strict",
)
_level(
    "items-after-state",
    "APPEND on an object that has its state already, which hands the item on to what the state says",
    named("collections", "UserList") + b")\x81}" + text("data") + b"]sbNa",
    "collections:UserList",
    level="strict",
)
_level(
    "error-arguments",
    "a state that sets the arguments of an exception, which takes all items of a range of 2^40",
    named("builtins", "ValueError") + b")R}" + text("args") + RANGE + HUGE + b"\x85Rsb",
    "builtins:ValueError",
    "builtins:range",
)
_level(
    "number-for-text",
    "a Decimal made from a number, where pickles have text",
    named("decimal", "Decimal") + b"K\x07\x85R",
    "decimal:Decimal",
    level="strict",
)
_level(
    "state-of-a-result",
    "BUILD sets attributes of a type that a call returned",
    named("builtins", "type") + b"N\x85RN}" + text("x") + b"Ns\x86b",
    "builtins:type",
)
_array = named("array", "_array_reconstructor") + b"0(" + named("array", "array") + text("b") + b"K\x01"
_level(
    "array-copies",
    "1,000 arrays, each a copy of the same 10,000 bytes",
    _array + b"B" + (10_000).to_bytes(4, "little") + b"x" * 10_000 + b"t\x940" + b"h\x02h\x07R0" * 1000 + b"N",
    "array:_array_reconstructor",
    "array:array",
    error="limit-exceeded",
    level="strict",
)


def _colliding(count: int) -> list[tuple[int, int]]:
    """Return pairs of integers of which CPython's tuples have the same hash (xxHash, in 64 bits)."""
    first, second, start, mask = 11400714785074694791, 14029467366897019727, 2870177450012600261, 2**64 - 1
    found: list[tuple[int, int]] = []
    number = 0
    while len(found) < count:
        number += 1
        turned = start + number * second & mask
        turned = (turned << 31 | turned >> 33) * first & mask
        other = (12_345 - turned) * pow(second, -1, 2**64) & mask
        other -= 2**64 * (other >= 2**63)
        if abs(other) < 2**61 - 1:
            found.append((number, other))
    return found


_pairs = [
    b"M" + a.to_bytes(2, "little") + b"\x8a\x08" + b.to_bytes(8, "little", signed=True) for a, b in _colliding(1100)
]
_level(
    "pairs-of-numbers",
    "1,100 pairs of integers with the same hash, as keys",
    b"}(" + b"".join(pair + b"\x86N" for pair in _pairs) + b"u",
    error="limit-exceeded",
    level="strict",
)
_level(
    "value-left",
    "STOP leaves a value below the object",
    UUID + b")\x81N",
    "uuid:UUID",
    level="strict",
)
_level("mark-left", "STOP leaves a mark", b"(" + UUID, "uuid:UUID", level="strict")
_level("mark-and-values-left", "STOP leaves values and a mark", b"N(" + UUID + b"N", "uuid:UUID", level="strict")
