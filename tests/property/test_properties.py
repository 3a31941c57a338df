"""The strongest properties: damage anywhere is refused and nothing runs, and what was packed comes back."""

import array
import collections
import copy
import datetime
import decimal
import enum
import fractions
import io
import ipaddress
import pathlib
import pickle
import random
import uuid
import zoneinfo
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import canary
import independent_reader
import pytest
from _helpers import support
from _helpers.support import cases, flips, policy_of, read
from frames import Frame
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal._format.frame import decode_plain
from pickleseal.errors import ReadError, TruncatedError


@pytest.mark.parametrize("entry", cases("valid"))
class TestDamage:
    """spec 3, I1: every byte is either covered by a checksum or compared with a constant."""

    def test_every_bit_flip_is_refused_and_nothing_runs(self, entry: dict[str, Any]) -> None:
        data, arguments = read(entry), policy_of(entry)
        before = canary.tripped
        for offset, bit, damaged in flips(data):
            for judge in (pickleseal.verify, lambda data: pickleseal.unpack(data, **arguments)):
                try:
                    judge(damaged)
                except ReadError:
                    continue
                raise AssertionError(f"bit {bit} of byte {offset} was accepted")
        assert canary.tripped == before

    def test_every_truncation_is_refused_and_nothing_runs(self, entry: dict[str, Any]) -> None:
        data = read(entry)
        before = canary.tripped
        for length in range(len(data)):
            with pytest.raises(TruncatedError) as caught:
                pickleseal.verify(data[:length])
            assert length < length + caught.value.missing <= len(data)
            with pytest.raises(ReadError):
                pickleseal.unpack(data[:length], **policy_of(entry))
        assert canary.tripped == before

    def test_every_extension_is_refused(self, entry: dict[str, Any]) -> None:
        data = read(entry)
        for extra in (b"\0", b"\n", bytes(64), data):
            with pytest.raises(pickleseal.errors.TrailingBytesError):
                pickleseal.verify(data + extra)

    def test_a_frame_read_byte_by_byte_gives_the_same_result(self, entry: dict[str, Any]) -> None:
        data = read(entry)
        assert pickleseal.verify(OneByteAtATime(data)) == pickleseal.verify(data)


class TestThePlainWay:
    """format/plain.py accepts nothing that the long way would refuse, and changes no verdict."""

    PLAIN = ("minimal", "meta", "ext-depth-16", "canary", "globals", "records", "proto-4", "header-mod-0", "payload-64")

    @pytest.mark.parametrize("name", PLAIN)
    def test_every_bit_flip_takes_the_long_way(self, name: str) -> None:
        data = VALID[name]
        pickleseal.verify(data)  # now its header is in the cache
        assert (decode_plain(data) is not None) == (name != "ext-depth-16")
        for offset, bit, damaged in flips(data):
            assert decode_plain(damaged) is None, f"bit {bit} of byte {offset}"
        for length in range(len(data)):
            assert decode_plain(data[:length]) is None
        assert decode_plain(data + b"\0") is None
        assert decode_plain(data + bytes(64)) is None

    def test_an_empty_payload_takes_the_long_way(self) -> None:
        """Its frame is shorter than step 5 allows; the header cache must not hide that."""
        frame = Frame(b"\x80\x05N.")
        pickleseal.verify(frame.data)
        empty = Frame(b"")
        with pytest.raises(ReadError) as caught:
            pickleseal.unpack(empty.data)
        assert caught.value.code == judge_independently(empty.data)[0] == "preamble-field"

    def test_the_short_way_gives_what_the_long_way_gives(self) -> None:
        for name, data in VALID.items():
            header = pickleseal.verify(data)
            plain = decode_plain(data)
            if plain is not None:
                assert plain[0] == header.as_dict(), name
                start = header.preamble.head_len
                assert plain[1] == data[start : start + header.sections[0].len]

    @given(st.data())
    def test_a_change_under_right_checksums_gets_the_same_verdict_both_ways(self, data: st.DataObject) -> None:
        changed = remade(VALID["minimal"], data.draw(mutations(len(VALID["minimal"]))))
        if decode_plain(changed) is not None:
            assert independent_reader._read_head(memoryview(changed), independent_reader.DEFAULT_LIMITS).header


def test_asserts_of_tests_and_helpers_are_checked_under_python_o() -> None:
    """pytest rewrites them, so that `python -O` does not turn this suite into one that can't fail."""
    with pytest.raises(AssertionError):
        assert list(VALID) == []
    with pytest.raises(AssertionError):
        support.ensure(False)


class OneByteAtATime(io.RawIOBase):
    """A pipe that gives one byte for each call, whatever was asked for."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._inner.read(1)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def test_the_canary_runs_if_it_is_trusted_and_intact() -> None:
    """The control: without it, the tests above would pass for a payload that never runs."""
    entry = next(case.values[0] for case in cases("valid") if case.id == "canary")
    before = canary.tripped
    assert pickleseal.unpack(read(entry), trust=[canary.trip]) == "tripped"
    assert canary.tripped == before + 1


@pytest.mark.parametrize("kind", ["record", "array"])
def test_400_seeded_bit_flips_are_all_refused(kind: str) -> None:
    """Plain pickle loads many such flips silently (the tour counts them)."""
    np = pytest.importorskip("numpy")
    obj = {"id": 7, "price": 99.5, "tags": ["a", "b"]} if kind == "record" else np.arange(5000.0)
    data = pickleseal.pack(obj)
    rng = random.Random(2026)
    for _ in range(400):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with pytest.raises(ReadError):
            pickleseal.unpack(bytes(damaged))


# --- any bytes whatever -----------------------------------------------------------------------------------------------

VALID = {case.id: read(case.values[0]) for case in cases("valid")}


def judge(data: bytes) -> tuple[str, Any]:
    try:
        return "accepted", pickleseal.verify(data).as_dict()
    except ReadError as error:
        assert all(line.isprintable() for line in str(error).split("\n"))
        assert pickle.loads(pickle.dumps(error)).args == error.args
        return error.code, None


def judge_independently(data: bytes) -> tuple[str, Any]:
    try:
        return "accepted", independent_reader.verify(data)
    except independent_reader.Refused as error:
        return error.error, None


@given(st.binary(max_size=300))
def test_any_bytes_give_a_documented_error(data: bytes) -> None:
    assert judge(data) == judge_independently(data)


@given(st.sampled_from(sorted(VALID)), st.data())
def test_a_mutation_with_right_checksums_gets_the_verdict_of_the_spec(name: str, data: st.DataObject) -> None:
    """Behind right checksums every later step is reached; both readers must name the same class."""
    mutated = remade(VALID[name], data.draw(mutations(len(VALID[name]))))
    assert judge(mutated) == judge_independently(mutated)


@st.composite
def mutations(draw: st.DrawFn, length: int) -> list[tuple[int, bytes]]:
    """Replacements of a few bytes at a few places, the header's text most of all."""
    interesting = st.sampled_from(
        [b" ", b'"', b"0", b"-", b".", b"}", b"{", b",", b":", b"\\", b"\xff", b"\0", b"1", b"a", b"N", b"."]
    )
    one = st.tuples(st.integers(0, length - 1), interesting | st.binary(min_size=1, max_size=3))
    changes: list[tuple[int, bytes]] = draw(st.lists(one, min_size=1, max_size=3))
    return changes


def remade(data: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    """Apply changes behind the preamble's magic, then make all checksums right that can be."""
    from pickleseal._format.checksum import checksum

    out = bytearray(data)
    for offset, replacement in changes:
        out[offset : offset + len(replacement)] = replacement
    out = out[: len(data)]
    header_len = int.from_bytes(out[24:28], "little")
    seal_len = int.from_bytes(out[28:32], "little")
    start = 64 + header_len + seal_len
    if start <= len(out):
        section = bytes(out[start:])
        length = int.from_bytes(data[24:28], "little") and _first_len(data)
        old = f"{checksum(data[start : start + length]):016x}".encode()
        new = f"{checksum(section[:length]):016x}".encode()
        out[64 : 64 + header_len] = bytes(out[64 : 64 + header_len]).replace(old, new)
        if seal_len:
            seal = 64 + header_len
            out[seal : seal + 8] = checksum(bytes(out[seal + 8 : start])).to_bytes(8, "little")
        out[32:40] = checksum(bytes(out[64 : 64 + header_len])).to_bytes(8, "little")
    out[56:64] = checksum(bytes(out[:56])).to_bytes(8, "little")
    return bytes(out)


def _first_len(data: bytes) -> int:
    return pickleseal.peek(data).sections[0].len


@given(st.binary(max_size=60), st.sampled_from([4, 5]))
def test_any_payload_gets_the_verdict_of_the_spec(body: bytes, protocol: int) -> None:
    """Opcode soups: the lexical pass agrees with a reader that goes opcode by opcode."""
    from pickleseal._payload.structure import check_envelope
    from pickleseal.errors import PickleEnvelopeError

    payload = bytes((0x80, protocol)) + body + b"."
    try:
        check_envelope(payload, protocol, [])
        ours = True
    except PickleEnvelopeError:
        ours = False
    try:
        independent_reader._check_envelope(payload, protocol, [])
        theirs = True
    except independent_reader._Defect:
        theirs = False
    assert ours == theirs


OPCODES = st.sampled_from(
    [bytes((code,)) for code in b"()]}NtdlaesubR01.\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98"]
    + [
        b"K\x07",
        b"M\x01\x02",
        b"J\x01\x02\x03\x04",
        b"G" + bytes(8),
        b"h\x00",
        b"j" + bytes(4),
        b"\x8c\x01a",
        b"X\x01\0\0\0a",
    ]
    + [
        b"\x8a\x01\x07",
        b"\x8b\x01\0\0\0\x07",
        b"C\x01a",
        b"\x95\x02" + bytes(7),
        b"\x95\x00" + bytes(7),
        b"\x95\x0a" + bytes(7),
    ]
    + [
        b"\x8d\x01" + bytes(7) + b"a",
        b"\x96\x01" + bytes(7) + b"a",
        b"ca\nb\n",
        b"q\x00",
        b"r\x03\0\0\0",
        b"\x82\x01",
        b"2",
        b"U\x01a",
    ]
)


@given(st.lists(OPCODES, max_size=25).map(b"".join), st.sampled_from([2, 3, 4, 5]), st.lists(st.booleans(), max_size=2))
@settings(max_examples=500)
def test_random_opcodes_get_the_verdict_of_the_spec(body: bytes, protocol: int, readonly: list[bool]) -> None:
    from pickleseal._payload.structure import check_envelope
    from pickleseal.errors import PickleEnvelopeError

    payload = bytes((0x80, protocol)) + body + b"."
    try:
        check_envelope(payload, protocol, readonly)
        ours = True
    except PickleEnvelopeError:
        ours = False
    try:
        independent_reader._check_envelope(payload, protocol, readonly)
        theirs = True
    except independent_reader._Defect:
        theirs = False
    assert ours == theirs


# --- round trips ------------------------------------------------------------------------------------------------------


@dataclass
class Job:
    id: int
    name: str
    tags: list[str] = field(default_factory=list)
    parent: Any = None


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class Pair(NamedTuple):
    left: Any
    right: Any


class Color(enum.Enum):
    RED = 1
    BLUE = "b"


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and (self.a, self.b) == (other.a, other.b)

    def __hash__(self) -> int:
        return 0


OWN = [Job, Point, Pair, Color, Slotted]

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.binary().map(bytearray)
    | st.complex_numbers(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
    | st.times()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
    | st.ip_addresses()
    | st.sampled_from(Color)
    | st.builds(Point, st.integers(), st.integers())
    | st.sampled_from(
        [
            ...,
            NotImplemented,
            type(None),
            int,
            dict,
            range(3),
            slice(1, 2),
            datetime.timezone.utc,
            pathlib.PurePosixPath("/a/b"),
        ]
    )
    | st.builds(Slotted, st.integers(), st.text())
)
HASHABLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.sampled_from(Color)
    | st.builds(Point, st.integers(), st.integers())
)
GRAPHS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
        | st.frozensets(HASHABLE, max_size=4)
        | st.builds(Pair, inner, inner)
        | st.builds(Job, st.integers(), st.text(), st.lists(st.text(), max_size=2), inner)
        | st.dictionaries(HASHABLE, inner, max_size=3).map(collections.OrderedDict)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.dictionaries(HASHABLE, inner, max_size=3).map(lambda d: collections.defaultdict(list, d))
    ),
    max_leaves=20,
)


@given(GRAPHS)
@settings(deadline=None)
def test_what_was_packed_comes_back(obj: Any) -> None:
    again = pickleseal.unpack(pickleseal.pack(obj), trust=OWN)
    assert again == obj
    assert type(again) is type(obj)


@given(GRAPHS)
@settings(deadline=None)
def test_identity_is_kept(obj: Any) -> None:
    """Shared and recursive references come back shared and recursive, as from pickle."""
    shared = [obj]
    loop: list[Any] = [shared, shared]
    loop.append(loop)
    again = pickleseal.unpack(pickleseal.pack({"a": shared, "loop": loop, "b": shared}), trust=OWN)
    assert again["a"] is again["b"] is again["loop"][0] is again["loop"][1]
    assert again["loop"][2] is again["loop"]
    assert again["a"] == shared


@pytest.mark.parametrize("size", [4001, 30_000])
def test_large_objects_come_back(size: int) -> None:
    for obj in (
        list(range(size)),
        [n % 250 for n in range(size)],
        [1.5] * size,
        [str(n) for n in range(size)],
        [(n, n) for n in range(size)],
        {str(n): {"a": n, "b": None} for n in range(size)},
        {(n, str(n), (n,)): [(n, n)] * 2 for n in range(size // 4)},
        [Point(n, n) for n in range(size // 4)],
    ):
        data = pickleseal.pack(obj)
        for level in ("guarded", "strict"):
            again = pickleseal.unpack(data, trust=[Point], policy=pickleseal.Policy(level=level))
            assert again == obj


def test_recursion_through_an_object_is_kept() -> None:
    parent = Job(1, "parent")
    child = Job(2, "child", parent=parent)
    parent.parent = child
    again = pickleseal.unpack(pickleseal.pack(parent), trust=[Job])
    assert again.parent.parent is again


@given(GRAPHS)
@settings(deadline=None)
def test_section_0_is_an_ordinary_pickle(obj: Any) -> None:
    """spec 3, I7: cut it out, and pickle.loads works. Nobody is locked in."""
    data = pickleseal.pack(obj)
    header = pickleseal.peek(data)
    start = header.preamble.head_len
    assert pickle.loads(data[start : start + header.sections[0].len]) == obj


@given(GRAPHS)
@settings(deadline=None)
def test_the_same_object_gives_the_same_bytes(obj: Any) -> None:
    writer = pickleseal.PackOptions(created=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))
    assert pickleseal.pack(obj, options=writer) == pickleseal.pack(obj, options=writer)


@given(
    st.dictionaries(
        st.from_regex(r"\A[A-Za-z][A-Za-z0-9_.:-]{0,20}\Z"), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_meta_comes_back(meta: dict[str, str]) -> None:
    data = pickleseal.pack(None, meta=meta)
    assert dict(pickleseal.peek(data).meta) == meta
    assert independent_reader.verify(data)["meta"] == meta


def test_values_of_the_standard_library_need_no_trust() -> None:
    values = [
        array.array("d", [1, 2]),
        collections.Counter("abca"),
        collections.ChainMap({1: 2}),
        decimal.Decimal("1.5"),
        fractions.Fraction(1, 3),
        ipaddress.ip_network("10.0.0.0/8"),
        uuid.UUID(int=5),
        pathlib.PureWindowsPath("c:/x"),
        zoneinfo.ZoneInfo("UTC"),
        ValueError("x", 1),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        __import__("re").compile("a+", 2),
        type(...),
        {1, 2},
    ]
    again = pickleseal.unpack(pickleseal.pack(copy.copy(values)))
    assert [repr(value) for value in again] == [repr(value) for value in values]
