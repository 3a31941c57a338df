"""Reproducible pickles: equal objects give equal bytes, in every process, and read back as equal objects."""

import collections
import copy
import datetime as dt
import decimal
import enum
import os
import pathlib
import pickle
import subprocess
import sys
import types
import zoneinfo
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickleseal._payload.graphs import first_difference
from pickleseal._payload.pickler import pickle_object
from pickleseal._payload.reproducible import pickle_reproducibly
from pickleseal._payload.structure import check_envelope
from pickleseal.errors import PackError


class Plain:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Slotted:
    __slots__ = ("a",)


class Row(NamedTuple):
    a: Any
    b: Any


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Bits(enum.Flag):
    A = 1
    B = 2


class OwnSet(set[Any]):
    pass


class OwnFrozenset(frozenset[Any]):
    pass


class OwnStr(str):
    pass


def function() -> None:
    pass


def made(obj: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(obj, name, value)
    return obj


def bytes_of(obj: Any) -> bytes:
    pickled = pickle_reproducibly(obj)
    return b"".join([*map(bytes, pickled.parts), b"|", *map(bytes, pickled.buffers), repr(pickled.globals).encode()])


def read(obj: Any) -> Any:
    pickled = pickle_reproducibly(obj)
    payload = b"".join(pickled.parts)
    check_envelope(payload, 5, [view.readonly for view in pickled.buffers])
    buffers = [view if view.readonly else memoryview(bytearray(view)) for view in pickled.buffers]
    return pickle.loads(payload, buffers=buffers)


# --- the properties ---------------------------------------------------------------------------------------------------

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.binary(max_size=3),
)
VALUES = st.one_of(
    PLAIN,
    st.complex_numbers(allow_nan=False),
    st.datetimes(timezones=st.sampled_from([None, dt.timezone.utc, zoneinfo.ZoneInfo("UTC")])),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.timezones().map(lambda _: dt.timezone(dt.timedelta(hours=1), "x")),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.ip_addresses(),
    st.sampled_from([Color.RED, Bits.A | Bits.B, Bits.A, function, Plain, len, pathlib.PurePosixPath("a/b")]),
    st.integers(-9, 9).map(np.int16),
    st.integers(-9, 9).map(np.float64),
)
MEMBERS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.tuples(inner, inner).map(lambda pair: Row(*pair)),
    ),
    max_leaves=5,
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(inner, max_size=4)
    return st.one_of(
        items,
        items.map(tuple),
        items.map(collections.deque),
        st.dictionaries(MEMBERS, inner, max_size=3),
        st.sets(MEMBERS, max_size=5),
        st.frozensets(MEMBERS, max_size=5),
        st.sets(MEMBERS, max_size=3).map(OwnSet),
        st.sets(MEMBERS, max_size=3).map(OwnFrozenset),
        st.dictionaries(st.text(max_size=2), inner, max_size=3).map(lambda fields: Plain(**fields)),
        inner.map(lambda x: made(Slotted(), a=x)),
        inner.map(lambda x: types.SimpleNamespace(x=x)),
        st.tuples(inner, inner).map(lambda pair: Row(*pair)),
        inner.map(lambda x: [x, x]),
        st.binary(max_size=3).map(lambda data: np.frombuffer(bytearray(data), "u1")),
        st.binary(max_size=3).map(lambda data: np.frombuffer(data, "u1")),
    )


OBJECTS = st.recursive(MEMBERS, containers, max_leaves=12)


def rebuilt(obj: Any, known: dict[int, Any]) -> Any:
    """Build an equal object in another way: no value is shared, members of sets come in another order."""
    cls = type(obj)
    if id(obj) in known:
        return known[id(obj)]
    if cls in (list, dict, set, collections.deque):
        new = known[id(obj)] = cls()
        if cls is dict:
            for key, value in obj.items():
                new[rebuilt(key, known)] = rebuilt(value, known)
        elif cls is set:
            for item in reversed(list(obj)):
                new.add(rebuilt(item, known))
        else:
            new.extend(rebuilt(item, known) for item in obj)
        return new
    if cls is Plain or cls is types.SimpleNamespace:
        new = known[id(obj)] = cls()
        for name, value in vars(obj).items():
            vars(new)["".join([*name])] = rebuilt(value, known)
        return new
    if cls is Row:
        return Row(*[rebuilt(item, known) for item in obj])
    if cls is tuple:
        return tuple([rebuilt(item, known) for item in obj])
    if cls is frozenset:
        return frozenset([rebuilt(item, known) for item in reversed(list(obj))])
    if cls is str:
        return "".join([*obj])
    if cls is bytes:
        return bytes(bytearray(obj))
    if isinstance(obj, type | enum.Enum | types.FunctionType | types.BuiltinFunctionType):
        return obj
    copied = pickle.loads(pickle.dumps(obj, 5))
    if cls not in (complex, dt.datetime, dt.date, dt.time, dt.timedelta, dt.timezone, decimal.Decimal):
        known[id(obj)] = copied
    return copied


@given(OBJECTS)
def test_objects_that_are_built_in_different_ways_give_equal_bytes(obj: Any) -> None:
    other = rebuilt(obj, {})
    assert first_difference(obj, other) is None
    assert bytes_of(obj) == bytes_of(other)


@given(OBJECTS)
def test_an_equal_object_is_read_back_and_gives_equal_bytes_again(obj: Any) -> None:
    again = read(obj)
    assert first_difference(obj, again) is None
    assert bytes_of(obj) == bytes_of(again)


@given(OBJECTS, OBJECTS)
def test_different_objects_give_different_bytes(one: Any, other: Any) -> None:
    if first_difference(one, other) is not None:
        assert bytes_of(one) != bytes_of(other)


@given(OBJECTS)
def test_globals_and_classes_are_those_of_the_other_pickler(obj: Any) -> None:
    ours, theirs = pickle_reproducibly(obj), pickle_object(obj)
    assert ours.globals == theirs.globals
    assert {*ours.classes} == {*theirs.classes}


PROGRAM = """
import sys, hashlib, datetime, decimal, uuid, enum, fractions
from pickleseal._payload.reproducible import pickle_reproducibly
names = [f"name {number}" for number in range(300)]
obj = {
    "names": set(names),
    "mixed": frozenset({None, True, 2, 2.5, "x", b"x", (1, "a"), frozenset(names[:40]), datetime.date(2026, 1, 1)}),
    "more": {decimal.Decimal("1.5"), uuid.UUID(int=5), fractions.Fraction(1, 3), int, len, datetime.timezone.utc},
    "nested": [set(names[i : i + 9]) for i in range(20)],
}
print(hashlib.sha256(b"".join(pickle_reproducibly(obj).parts)).hexdigest())
"""


def test_processes_with_different_hashes_give_equal_bytes() -> None:
    found = set()
    for seed in ("0", "1", "2", "77"):
        path = os.pathsep.join(entry for entry in sys.path if entry)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        found.add(
            subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True).stdout
        )
    assert len(found) == 1
    (digest,) = found
    assert len(digest.strip()) == 64


# --- single cases -----------------------------------------------------------------------------------------------------


def test_what_can_change_is_shared_as_before() -> None:
    shared: list[Any] = []
    assert bytes_of([shared, shared]) != bytes_of([[], []])
    one, other = read([shared, shared])
    assert one is other
    ring: list[Any] = []
    ring.append((ring, {"a": ring}))
    again = read(ring)
    assert again[0][0] is again
    assert again[0][1]["a"] is again


def test_types_and_bits_are_kept_apart() -> None:
    for one, other in [
        ((1,), (True,)),
        ((1,), (1.0,)),
        ((0.0,), (-0.0,)),
        ((decimal.Decimal("1.0"),), (decimal.Decimal("1.00"),)),
        (("a",), (OwnStr("a"),)),
        ((1, 2), Row(1, 2)),
        (complex(0, 0.0), complex(0, -0.0)),
        (dt.datetime(2026, 10, 25, 2, 30), dt.datetime(2026, 10, 25, 2, 30, fold=1)),
    ]:
        assert first_difference([one, other, one], read([one, other, one])) is None
        assert bytes_of(one) != bytes_of(other)


def test_what_is_not_a_number_stays_apart_in_sets() -> None:
    for members in (
        {decimal.Decimal("NaN"), decimal.Decimal("NaN")},
        {float("nan"), float("nan")},
        {(float("nan"),), (float("nan"),)},
        {complex("nan"), complex("nan")},
        {np.float64("nan"), np.float64("nan")},
        {(np.datetime64("NaT", "s"),), (np.datetime64("NaT", "s"),)},
    ):
        assert len(members) == 2
        assert len(read(members)) == 2


def test_a_set_without_order_is_refused_with_its_path() -> None:
    for members in ({Plain()}, {(1, Plain())}, frozenset({1, Plain()}), OwnSet({Plain()}), {frozenset({Plain()})}):
        obj = Plain(rows=[1, {"key": members}])
        with pytest.raises(PackError) as caught:
            pickle_reproducibly(obj)
        assert caught.value.where in ("$.rows[1]['key']", "$.rows[1]['key']{...}")
        assert caught.value.reason == f"a set whose members have no order: an instance of {__name__}:Plain"
        assert "reproducible=True" in str(caught.value.hint)


def test_gaps_between_the_fields_of_arrays_are_zeros() -> None:
    inner = np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "itemsize": 8})
    outer = np.dtype({"names": ["x", "y"], "formats": ["i1", (inner, (2,))], "offsets": [0, 4], "itemsize": 24})
    for dtype in (inner, outer):
        for shape in ((), (3,), (2, 3)):
            clean, dirty = np.zeros(shape, dtype), np.zeros(shape, dtype)
            dirty.reshape(-1).view("u1")[:] = 255
            for name in dtype.names or ():
                if dirty[name].dtype.names is None:
                    dirty[name] = 0
                else:
                    dirty[name]["a"] = dirty[name]["b"] = 0
            assert bytes_of(clean) == bytes_of(dirty)
            assert first_difference(dirty, read(dirty)) is None
            assert bytes_of(clean.reshape(-1)[0]) == bytes_of(dirty.reshape(-1)[0])
    fortran = np.zeros((2, 3), inner, order="F")
    assert read(fortran).flags.f_contiguous
    packed = np.zeros(3, "i4,i2")
    assert first_difference(packed, read(packed)) is None


def test_large_buffers_and_texts_stay_out_of_the_way() -> None:
    array = np.arange(10_000)
    pickled = pickle_reproducibly([array, "x" * 100_000, b"y" * 100_000, bytearray(b"z" * 100_000)])
    assert len(pickled.buffers) == 1
    obj = [array, "x" * 100_000, b"y" * 100_000, bytearray(b"z" * 100_000), array[::2]]
    assert first_difference(obj, read(obj)) is None


def test_values_of_numpy_are_written_once() -> None:
    for value in (
        np.float32(1.5),
        np.datetime64("2026-01-01"),
        np.dtype("i4,f2"),
        np.str_("a"),
    ):
        other = copy.deepcopy(value)
        assert bytes_of([value, value]) == bytes_of([value, other])
        assert first_difference([value, value], read([value, other])) is None


def test_values_of_one_kind_are_written_once() -> None:
    rows = [{"a long name": index, "day": dt.date(2026, 1, 1)} for index in range(100)]
    separate = [rebuilt(row, {}) for row in rows]
    assert bytes_of(rows) == bytes_of(separate)
    assert len(bytes_of(separate)) < len(b"".join(pickle_object(separate).parts))


def test_what_fails_fails_as_before() -> None:
    with pytest.raises(Exception, match="pickle"):
        pickle_reproducibly([lambda: 0])


def test_the_object_is_left_as_it_was() -> None:
    obj = {"a": {1, 2}, "b": [OwnSet({3})]}
    before = copy.deepcopy(obj)
    pickle_reproducibly(obj)
    assert first_difference(before, obj) is None
