"""Differential tests of the code that reads opcodes: against `pickletools`, CPython's unpickler, and each other.

Soups of opcodes, valid, nearly valid, and honest pickles with something changed.
"""

# ruff: noqa: SIM905 - names of opcodes are read best as text
from __future__ import annotations

import collections
import io
import pickle
import pickletools
import struct
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pickleseal._payload.opcodes import BELOW, BY_CODE, ITEMS, NOTHING, OPCODES
from pickleseal._payload.structure import check_envelope
from pickleseal._trust.allow_list import AllowList, resolve_globals
from pickleseal._trust.dryrun import check_operations
from pickleseal._trust.hash_cost import HashCost, check_hashes, is_suspect
from pickleseal._trust.levels import Level, load_at
from pickleseal.errors import LimitExceededError, PickleEnvelopeError, ReadError, UnpickleError

# -- what bytes are made of -------------------------------------------------------------------------------------------

GLOBALS = ["builtins:complex", "builtins:frozenset", "builtins:list", "collections:OrderedDict", "collections:deque",
           "datetime:date", "datetime:timedelta", "decimal:Decimal", "fractions:Fraction", "types:SimpleNamespace",
           "uuid:UUID"]  # fmt: skip
RESOLVED = resolve_globals(GLOBALS, AllowList())
GUARDED, STRICT = Level("guarded", True, 2000, 2**30, None), Level("strict", True, 2000, 2**30, None)

leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.binary(max_size=8) | st.dates() | st.timedeltas() | st.uuids()
    | st.decimals(allow_nan=False) | st.fractions(max_denominator=99) | st.complex_numbers(allow_nan=False)
)  # fmt: skip
keys = st.integers(-9, 9) | st.text(max_size=3) | st.tuples(st.integers(0, 3), st.text(max_size=2))
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=4)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict)
        | inner.map(lambda value: [value, value])
    ),
    max_leaves=12,
)
protocols = st.sampled_from([2, 3, 4, 5])

_ARGUMENTS: dict[str, st.SearchStrategy[bytes]] = {
    "uint1": st.binary(min_size=1, max_size=1),
    "uint2": st.binary(min_size=2, max_size=2),
    "int4": st.binary(min_size=4, max_size=4),
    "uint4": st.integers(0, 30).map(lambda n: struct.pack("<I", n)),
    "uint8": st.integers(0, 30).map(lambda n: struct.pack("<Q", n)),
    "float8": st.binary(min_size=8, max_size=8),
    "stringnl_noescape_pair": st.sampled_from([b"uuid\nUUID\n", b"os\nsystem\n", b"\nx\n", b"x\n\n", b"x\n"]),
}


def _sized(width: int) -> st.SearchStrategy[bytes]:
    lengths = st.sampled_from([0, 1, 3, 255, 2**31, 2 ** (8 * width) - 1]) | st.integers(0, 8)
    return st.binary(max_size=6).flatmap(
        lambda raw: (st.just(len(raw)) | lengths).map(
            lambda length: min(length, 2 ** (8 * width) - 1).to_bytes(width, "little") + raw
        )
    )


for _name in ("string1", "bytes1", "long1", "unicodestring1"):
    _ARGUMENTS[_name] = _sized(1)
for _name in ("string4", "bytes4", "long4", "unicodestring4"):
    _ARGUMENTS[_name] = _sized(4)
for _name in ("bytes8", "unicodestring8", "bytearray8"):
    _ARGUMENTS[_name] = _sized(8)


def _opcode(info: Any) -> st.SearchStrategy[bytes]:
    code = info.code.encode("latin-1")
    if info.arg is None:
        return st.just(code)
    return _ARGUMENTS.get(info.arg.name, st.just(b"1\n")).map(lambda argument: code + argument)


# Those of protocol 2 and later three times as often as the text opcodes, which no payload may have.
_WORDS = [_opcode(info) for info in pickletools.opcodes for _ in range(3 if info.proto or info.arg is None else 1)]
words = st.lists(st.one_of(_WORDS), max_size=12)


@st.composite
def soups(draw: st.DrawFn) -> tuple[bytes, int]:
    """Whole opcodes in any order, mostly with PROTO in front, some within frames, and STOP at the end."""
    protocol = draw(protocols)
    body = b"".join(draw(words))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(body)))
        length = draw(st.integers(0, 12) | st.just(len(body) - at + 1))
        body = body[:at] + b"\x95" + struct.pack("<Q", length) + body[at:]
    head = draw(st.sampled_from([bytes((0x80, protocol))] * 9 + [b""]))
    return head + body + draw(st.sampled_from([b"."] * 9 + [b""])), protocol


@st.composite
def mutants(draw: st.DrawFn) -> tuple[bytes, int]:
    """An honest pickle with a few bytes changed, taken out, put in or doubled; its frame is often set right again."""
    protocol = draw(protocols)
    data = bytearray(pickle.dumps(draw(values), protocol))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(2, len(data)))
        how = draw(st.sampled_from(["change", "remove", "insert", "double"]))
        if how == "change" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif how == "remove":
            del data[at : at + draw(st.integers(1, 3))]
        elif how == "insert":
            data[at:at] = draw(st.one_of(_WORDS))
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 6))]
    if protocol >= 4 and data[2:3] == b"\x95" and len(data) >= 11 and draw(st.booleans()):
        data[3:11] = struct.pack("<Q", len(data) - 11)
    return bytes(data), protocol


# -- E1 to E6, written with `pickletools` -----------------------------------------------------------------------------

_ALWAYS = """PROTO STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINUNICODE
EMPTY_LIST APPEND APPENDS LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS BINGET
LONG_BINGET BUILD REDUCE NEWOBJ""".split()
_PERMITTED = {
    **dict.fromkeys(_ALWAYS, (2, 3, 4, 5)),
    **dict.fromkeys("BINSTRING SHORT_BINSTRING".split(), (2,)),
    **dict.fromkeys("GLOBAL BINPUT LONG_BINPUT".split(), (2, 3)),
    **dict.fromkeys("BINBYTES SHORT_BINBYTES".split(), (3, 4, 5)),
    **dict.fromkeys(
        [
            *("SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES8", "EMPTY_SET", "ADDITEMS", "FROZENSET", "NEWOBJ_EX"),
            *("STACK_GLOBAL", "MEMOIZE", "FRAME"),
        ],
        (4, 5),
    ),
    **dict.fromkeys("BYTEARRAY8 NEXT_BUFFER READONLY_BUFFER".split(), (5,)),
}


def shapes_of(data: bytes) -> list[tuple[Any, int, int, bytes]] | None:
    """Split bytes into (opcode, start, end, argument) by the tables of `pickletools`, without decoding an argument."""
    codes = {info.code.encode("latin-1")[0]: info for info in pickletools.opcodes}
    found, position = [], 0
    while position < len(data):
        info = codes.get(data[position])
        if info is None:
            return None
        end = position + 1
        if info.arg is not None:
            kind = info.arg.n
            if kind >= 0:
                end += kind
            elif kind == pickletools.UP_TO_NEWLINE:
                for _ in range(2 if info.arg.name.endswith("pair") else 1):
                    line = data.find(b"\n", end)
                    if line < 0:
                        return None
                    end = line + 1
            else:
                width, signed = {
                    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
                    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
                    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
                    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
                }[kind]
                length = int.from_bytes(data[end : end + width], "little", signed=signed)
                if end + width > len(data) or length < 0:
                    return None
                end += width + length
        if end > len(data):
            return None
        found.append((info, position, end, data[position + 1 : end]))
        position = end
    return found


def keeps_the_envelope(data: bytes, protocol: int, readonly: list[bool]) -> bool:
    """E1 to E6 of spec section 8, rule by rule."""
    found = shapes_of(data)
    if not found or data[:2] != bytes((0x80, protocol)):
        return False
    names = [info.name for info, *_ in found]
    if names.count("PROTO") != 1 or names.count("STOP") != 1 or names[-1] != "STOP":  # E1, E3
        return False
    if any(protocol not in _PERMITTED.get(name, ()) for name in names):  # E2
        return False
    if any(info.name == "GLOBAL" and not all(raw.split(b"\n")[:2]) for info, _, _, raw in found):
        return False
    limit = 0  # E4: the end of the open span
    for info, start, end, raw in found:
        inside = start < limit
        if inside and (end > limit or info.name == "FRAME"):
            return False
        if info.name == "FRAME":
            limit = end + int.from_bytes(raw, "little")
            if limit > len(data):
                return False
    buffers = [index for index, name in enumerate(names) if name == "NEXT_BUFFER"]  # E5
    if [names[index + 1] == "READONLY_BUFFER" for index in buffers] != readonly:
        return False
    if names.count("READONLY_BUFFER") != sum(readonly):
        return False
    return all(  # E6
        int.from_bytes(raw, "little") < len(data) for info, _, _, raw in found if info.name == "LONG_BINPUT"
    )


def accepts(data: bytes, protocol: int, readonly: list[bool]) -> bool:
    try:
        check_envelope(data, protocol, readonly)
    except PickleEnvelopeError:
        return False
    return True


@given(soups() | mutants(), st.lists(st.booleans(), max_size=2) | st.just([]))
def test_the_structure_check_decides_as_the_spec_says(which: tuple[bytes, int], readonly: list[bool]) -> None:
    """A reader MUST check E1 to E6, opcode by opcode."""
    assert accepts(*which, readonly) == keeps_the_envelope(*which, readonly)


@given(soups() | mutants())
def test_pickletools_reads_what_the_structure_check_accepts(which: tuple[bytes, int]) -> None:
    data, protocol = which
    assume(accepts(data, protocol, []))
    try:
        last = list(pickletools.genops(data))[-1]
    except (ValueError, UnicodeDecodeError):  # the structure check does not read what an argument holds
        return
    assert last[0].name == "STOP"
    assert last[2] == len(data) - 1


# -- what is accepted: the same from every engine ---------------------------------------------------------------------


class Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return RESOLVED[module, name]


class InPython(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return RESOLVED[module, name]


def outcome(load: Any) -> tuple[bool, Any]:
    try:
        return True, load()
    except ReadError as error:
        return False, error
    except Exception as error:
        return False, error


def same(left: Any, right: Any) -> bool:
    """Return whether two values are alike, with their cycles: a pickler writes the same bytes for them."""
    try:
        return pickle.dumps(left, 4) == pickle.dumps(right, 4) or left == right
    except (TypeError, pickle.PicklingError, RecursionError, AttributeError):
        return type(left) is type(right)


@given(soups() | mutants())
def test_every_unpickler_loads_the_same_object(which: tuple[bytes, int]) -> None:
    data, protocol = which
    assume(accepts(data, protocol, []))
    bare, value = outcome(lambda: Plain(io.BytesIO(data)).load())
    from_bytes, _ = outcome(lambda: InPython(io.BytesIO(data)).load())
    guarded, seen = outcome(lambda: load_at(GUARDED, data, protocol, (), RESOLVED))
    strict, checked = outcome(lambda: load_at(STRICT, data, protocol, (), RESOLVED))
    for level, loaded, result in (("guarded", guarded, seen), ("strict", strict, checked)):
        if loaded:
            assert bare, (level, value)
            assert same(result, value), level
        elif bare:  # only a refusal by the level's own rules: no other failure
            assert isinstance(result, ReadError), level
            assert result.code in ("forbidden-operation", "limit-exceeded", "unpickle-failed"), level
            if result.code == "unpickle-failed":  # the dry run, of a program that takes from an empty stack
                assert level == "strict", str(result)
                assert not from_bytes, str(result)
        else:
            assert isinstance(result, ReadError), (level, result)


@given(values, st.sampled_from([3, 4, 5]))
def test_every_check_accepts_honest_pickles(value: Any, protocol: int) -> None:
    written = pickle.dumps(value, protocol, fix_imports=False)
    for data in (written, in_python(value, protocol), pickletools.optimize(written)):
        check_envelope(data, protocol, [])
        names = {(module, name) for module, name in named(data)}
        resolved = resolve_globals([f"{module}:{name}" for module, name in names], AllowList())
        check_hashes(data, protocol, 2000)
        check_operations(data, (), resolved, 2000)
        for level in (GUARDED, STRICT):
            assert load_at(level, data, protocol, (), resolved) == value


def in_python(value: Any, protocol: int) -> bytes:
    file = io.BytesIO()
    pickle._Pickler(file, protocol, fix_imports=False).dump(value)
    return file.getvalue()


def named(data: bytes) -> set[tuple[str, str]]:
    """What CPython's unpickler asks for."""
    asked = set()

    class Spy(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found = super().find_class(module, name)
            asked.add((module, name))
            return found

    Spy(io.BytesIO(data), fix_imports=False).load()
    return asked


# -- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("info", pickletools.opcodes, ids=lambda info: info.name)
def test_the_table_says_what_pickletools_says(info: Any) -> None:
    opcode = BY_CODE[ord(info.code)]
    assert opcode.name == info.name
    kind = info.arg
    if kind is None or kind.n >= 0:
        assert (opcode.argument.form, opcode.argument.size) == ("fixed", 0 if kind is None else kind.n)
    elif kind.n == pickletools.UP_TO_NEWLINE:
        assert (opcode.argument.form, opcode.argument.size) == ("lines", 2 if kind.name.endswith("pair") else 1)
    else:
        assert opcode.argument.form == "counted"
        assert opcode.argument.size == int(kind.name[-1])
        assert opcode.argument.is_signed == (kind.n == pickletools.TAKEN_FROM_ARGUMENT4)
    takes, gives = [str(item) for item in info.stack_before], [str(item) for item in info.stack_after]
    if opcode.gives == BELOW:
        assert opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "READONLY_BUFFER") or gives == takes[:1]
        takes = takes[1:] if opcode.name not in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "READONLY_BUFFER") else []
    elif opcode.name != "DUP":
        assert len(gives) == (opcode.gives != NOTHING)
    if opcode.name != "DUP":
        assert opcode.takes == (ITEMS if "mark" in takes else len(takes))
    if ":" in opcode.gives and not gives[0].startswith(("bytes_or_str", "int_or_bool", "any")):
        assert opcode.gives.partition(":")[2] in {"None": "NoneType"}.get(gives[0], gives[0])


def test_the_table_has_every_opcode_of_pickle() -> None:
    assert sorted(map(chr, BY_CODE)) == sorted(info.code for info in pickletools.opcodes)
    assert {opcode.name: opcode.protocols for opcode in OPCODES if opcode.protocols} == _PERMITTED


# -- nested tuples ----------------------------------------------------------------------------------------------------


def cost(value: Any) -> int:
    """The steps that hashing a value takes: one for each object in it, as often as it is met."""
    return 1 + sum(map(cost, value)) if type(value) in (tuple, frozenset) else 1


nested_tuples = st.recursive(
    st.none() | st.integers(0, 9),
    lambda inner: (
        st.tuples(inner)
        | st.tuples(inner, inner)
        | inner.map(lambda value: (value, value))
        | inner.map(lambda value: (value, value, value))
        | st.lists(inner, max_size=5).map(tuple)
    ),
    max_leaves=8,
)


@given(nested_tuples, st.sampled_from([2, 4, 5]))
def test_the_cost_of_a_key_is_that_of_its_tuples(value: Any, protocol: int) -> None:
    data = pickle.dumps({(value, 1): None}, protocol)
    walk = HashCost(data, 10**9, 2000)
    walk.run()
    assert 10**9 - walk.left == cost((value, 1))


@pytest.mark.parametrize("height", [3, 10, 17, 18, 19, 25, 40])
@pytest.mark.parametrize("join", [b"\x86", b"\x87"], ids=["two", "three"])
def test_nested_tuples_beyond_the_budget_are_refused(height: int, join: bytes) -> None:
    width = join[0] - 0x84
    body = b"N\x85" + b"".join(
        b"\x94" + b"h" + bytes((n,)) + (b"h" + bytes((n,))) * (width - 2) + join for n in range(height)
    )
    data = b"\x80\x04}" + body + b"Ns."
    steps = 2 * width**height + (width**height - 1) // (width - 1)
    budget = 1_000_000 + 20 * len(data)
    if is_suspect(data, 4) and steps > budget:
        with pytest.raises(LimitExceededError):
            check_hashes(data, 4, 2000)
    else:
        check_hashes(data, 4, 2000)
        # As few tuples as this are not followed: at most 3**16 steps, some tenths of a second.
        assert steps <= max(budget, 3**17)


def test_a_state_does_not_make_nested_tuples_cheaper() -> None:
    """BUILD with None changes nothing about a tuple: its hash takes as long as before."""
    levels = b"".join(b"\x94h" + bytes((n,)) + b"\x86Nb" for n in range(60))
    with pytest.raises(LimitExceededError):
        check_hashes(b"\x80\x04}N\x85" + levels + b"Ns.", 4, 2000)


@given(soups() | mutants())
def test_the_hash_cost_of_any_pickle_is_found(which: tuple[bytes, int]) -> None:
    data, protocol = which
    assume(accepts(data, protocol, []))
    try:
        HashCost(data, 10**6, 2000).run()
    except (LimitExceededError, UnpickleError, IndexError, KeyError):
        pass


@given(soups() | mutants())
def test_the_hash_cost_fails_only_if_the_unpickler_does(which: tuple[bytes, int]) -> None:
    data, protocol = which
    assume(accepts(data, protocol, []))
    bare, _ = outcome(lambda: InPython(io.BytesIO(data)).load())
    try:
        HashCost(data, 10**6, 2000).run()
    except (IndexError, KeyError):
        assert not bare


PIECES = st.sampled_from(
    [
        b"h\x01",
        b"h.",
        b"K\x05",
        b"\x8c\x02ab",
        b"\x8c\x00",
        b"\x94",
        b"}",
        b"(",
        b"u",
        b"G" + b"h" * 8,
        b"J\x01\x02\x03\x04",
        b"M\x01\x02",
        b"C\x01x",
        b"\x8a\x01\x05",
        b"]",
        b"e",
        b"\x81",
        b"R",
        b"b",
        b")",
        b"\x8c\x28" + b"x" * 40,
        b"X",
        b"\x95",
    ]
)


@given(st.binary(max_size=300) | st.lists(PIECES).map(b"".join), st.sampled_from([4, 5]))
def test_the_pattern_for_large_payloads_finds_the_same_end(body: bytes, protocol: int) -> None:
    from pickleseal._payload import structure as scan

    payload = bytes((0x80, protocol)) + body + b"."
    small, large = (_end_of(scan.plain_run(protocol, is_large), payload) for is_large in (False, True))
    assert small == large


def _end_of(run: Any, payload: bytes) -> int:
    """Return the end of all plain opcodes. One call may end early, so calls are repeated until nothing is left."""
    position = 2
    while (end := run(payload, position, len(payload))) > position:
        position = end
    return position
