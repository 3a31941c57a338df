"""The comparison of two graphs finds each difference, names its place, and finds none where there is none."""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import pickle
import re
import struct
import time
import types
import uuid
import zoneinfo
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickleseal._payload.graphs import Difference, first_difference


class Plain:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a method of the user's class ran")

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        raise AssertionError("a method of the user's class ran")


class Slotted:
    __slots__ = ("a", "b")


class SlottedAndDict(Slotted):
    pass


class Row(NamedTuple):
    a: int
    b: Any


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Bits(enum.Flag):
    A = 1
    B = 2


class OwnList(list[Any]):
    pass


class OwnDict(dict[Any, Any]):
    pass


class OwnSet(set[Any]):
    pass


class OwnStr(str):
    pass


class OwnTuple(tuple[Any, ...]):
    pass


class Forgets:
    def __init__(self) -> None:
        self.kept, self.dropped = 1, 2

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.kept = state["kept"]


class ByCall:
    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return ByCall, (self.number,)


class Broken:
    def __reduce__(self) -> Any:
        raise RuntimeError("not today")


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any
    b: Any = None


def function() -> None:
    pass


def copied(obj: Any) -> Any:
    return pickle.loads(pickle.dumps(obj, 5))


def made(cls: Any, *args: Any, **attributes: Any) -> Any:
    obj = cls(*args)
    for name, value in attributes.items():
        setattr(obj, name, value)
    return obj


# --- graphs that are equal --------------------------------------------------------------------------------------------

NAN = struct.unpack("<d", b"\x01\x00\x00\x00\x00\x00\xf8\x7f")[0]
FLOATS = st.one_of(st.floats(), st.just(-0.0), st.just(NAN), st.just(-math.nan))
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    FLOATS,
    st.text(max_size=4),
    st.binary(max_size=4),
    st.complex_numbers(),
    st.datetimes(timezones=st.one_of(st.none(), st.just(dt.timezone.utc), st.just(zoneinfo.ZoneInfo("UTC")))),
    st.dates(),
    st.timedeltas(),
    st.times(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.sampled_from([Color.RED, Bits.A | Bits.B, function, Plain, len, Ellipsis, pathlib.PurePosixPath("/x")]),
    st.sampled_from([np.float32(1.5), np.datetime64("2026-01-01"), np.dtype("f4"), np.int8(3)]),
)
KEYS = st.one_of(st.integers(0, 9), st.text(max_size=2), st.none(), st.tuples(st.integers(0, 3), st.text(max_size=1)))


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(inner, max_size=4)
    attributes = st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    return st.one_of(
        items,
        items.map(tuple),
        items.map(OwnList),
        items.map(OwnTuple),
        items.map(collections.deque),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4).map(OwnDict),
        st.dictionaries(KEYS, inner, max_size=3).map(collections.OrderedDict),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        st.sets(KEYS, max_size=4).map(OwnSet),
        attributes.map(lambda fields: Plain(**fields)),
        inner.map(lambda x: made(Slotted, a=x)),
        inner.map(lambda x: made(SlottedAndDict, a=x, c=x)),
        st.tuples(st.integers(), inner).map(lambda pair: Row(*pair)),
        st.tuples(inner, inner).map(lambda pair: Frozen(*pair)),
        inner.map(lambda x: types.SimpleNamespace(x=x)),
        inner.map(lambda x: ValueError("text", x)),
        st.lists(st.integers(0, 9), max_size=3).map(lambda x: np.array(x, dtype="i4")),
        inner.map(lambda x: np.array([x, None], dtype=object) if not isinstance(x, list | tuple) else x),
        inner.map(lambda x: [x, x]),  # shared
    )


GRAPHS = st.recursive(LEAVES, containers, max_leaves=15)


@given(GRAPHS)
def test_a_copy_by_pickle_does_not_differ(obj: Any) -> None:
    assert first_difference(obj, copied(obj)) is None


@given(GRAPHS)
def test_an_object_does_not_differ_from_itself(obj: Any) -> None:
    assert first_difference(obj, obj) is None


@given(GRAPHS, GRAPHS)
def test_two_graphs_differ_where_their_pickles_do(one: Any, other: Any) -> None:
    """Different values give different pickles; the reverse does not hold, as equal ones may share parts or not."""
    if first_difference([one], [other]) is None:
        assert type(one) is type(other)
        assert first_difference(copied(one), other) is None


CHANGES: list[Any] = [
    lambda old: Plain(),
    lambda old: "another text",
    lambda old: -0.0,
    lambda old: [old],
    lambda old: (old,),
    lambda old: None,
]


@given(st.data(), GRAPHS, st.sampled_from(CHANGES))
def test_a_change_anywhere_in_the_copy_is_found(data: st.DataObject, obj: Any, change: Any) -> None:
    """Replace one item or attribute of a list, dict or instance by something of another type."""
    root, copy = [obj], copied([obj])
    places: list[tuple[Any, Any, str]] = []
    seen: set[int] = set()

    def visit(part: Any, path: str) -> None:
        if id(part) in seen:
            return
        seen.add(id(part))
        if type(part) in (list, OwnList, dict):
            for key, value in list(part.items() if type(part) is dict else enumerate(part)):
                places.append((part, key, path))
                visit(value, f"{path}[{key!r}]")
        elif type(part) is Plain:
            for key, value in vars(part).items():
                places.append((vars(part), key, path))
                visit(value, f"{path}.{key}")

    visit(copy, "$")
    owner, key, path = data.draw(st.sampled_from(places))
    old = owner[key]
    new = change(old)
    if first_difference([old], [new]) is None:
        return
    owner[key] = new
    found = first_difference(root, copy)
    assert found is not None
    assert found.is_certain
    assert found.path.startswith(path) or "places" in found.reason


# --- each kind of difference ------------------------------------------------------------------------------------------

SHARED: list[Any] = []
RING: list[Any] = []
RING.append(RING)
RINGS: list[Any] = [[]]
RINGS[0].append(RINGS)
FOLD = dt.datetime(2026, 10, 25, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))


def padded(gap: int) -> Any:
    raw = np.zeros(2, dtype="V8")
    raw.view("u1")[7] = gap
    return raw.view(np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "itemsize": 8}))


def readonly(items: Any) -> Any:
    made = np.array(items)
    made.flags.writeable = False
    return made


DIFFERENT: list[tuple[Any, Any, str, str]] = [
    (1, True, "$", "another type"),
    (1, 1.0, "$", "another type"),
    (0.0, -0.0, "$", "another value"),
    (math.nan, NAN, "$", "another value"),
    (complex(0, 0.0), complex(0, -0.0), "$.imag", "another value"),
    ("a", "b", "$", "another value"),
    (b"a", b"b", "$", "another value"),
    (bytearray(b"a"), bytearray(b"b"), "$", "another value"),
    ([1, 2], [1], "$", "another number of items"),
    ({"a": 1}, {"a": 1, "b": 2}, "$", "another number of keys"),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "$.key('a')", "another value"),
    ({"a": [1]}, {"a": [2]}, "$['a'][0]", "another value"),
    ({(1, 2): 1}, {(1, 3): 1}, "$.key(<tuple>)[1]", "another value"),
    ({1, 2}, {1, 3}, "$", "a member is missing"),
    ({1}, {1.0}, "${...}", "another type"),
    ({0.0, 1}, {-0.0, 1}, "$", "a member is missing"),
    (frozenset({(1, "a"), (2, "b")}), frozenset({(1, "a"), (2, "c")}), "$", "a member is missing"),
    (OwnSet({1, 2}), OwnSet({1, 3}), "$", "a member is missing"),
    (Plain(a=1), Plain(a=2), "$.a", "another value"),
    (Plain(a=1), Plain(), "$", "an attribute is missing"),
    (Plain(), Plain(a=1), "$", "an attribute is new"),
    (Plain(b=1), Plain(b=1, a=1), "$", "an attribute is new"),
    (made(Slotted, a=1), made(Slotted, a=2), "$.a", "another value"),
    (made(Slotted, a=1), made(Slotted, b=1), "$", "an attribute is missing"),
    (made(SlottedAndDict, a=1, c=1), made(SlottedAndDict, a=1, c=2), "$.c", "another value"),
    (made(OwnList, [1], x=1), made(OwnList, [1], x=2), "$.x", "another value"),
    (OwnList([1]), OwnList([2]), "$[0]", "another value"),
    (OwnList([1]), [1], "$", "another type"),
    (OwnDict(a=1), OwnDict(a=2), "$['a']", "another value"),
    (made(OwnSet, [1], x=1), made(OwnSet, [1], x=2), "$.x", "another value"),
    (OwnStr("a"), OwnStr("b"), "$.__reduce__()[1][1]", "another value"),
    (Row(1, [2]), Row(1, [3]), "$.__reduce__()[1][2][0]", "another value"),
    (Color.RED, Color.BLUE, "$", "another object of that name"),
    (Bits.A, Bits.A | Bits.B, "$", "another object of that name"),
    (Plain, Slotted, "$", "another object of that name"),
    (len, abs, "$", "another object of that name"),
    (function, made, "$", "another object of that name"),
    (dict.fromkeys, OwnDict.fromkeys, "$.__reduce__()[1][0]", "another object of that name"),
    (dict.fromkeys, bytes.fromhex, "$.__reduce__()[1][0]", "another object of that name"),
    (ByCall(1), ByCall(2), "$.__reduce__()[1][0]", "another value"),
    (ValueError(1), ValueError(2), "$.__reduce__()[1][0]", "another value"),
    (made(ValueError, 1, x=1), made(ValueError, 1, x=2), "$.x", "another value"),
    (FOLD, FOLD.replace(fold=1), "$.__reduce__()[1][0]", "another value"),
    (FOLD, FOLD.replace(tzinfo=dt.timezone.utc), "$.__reduce__()[1][1]", "another type"),
    (FOLD.replace(tzinfo=None), FOLD.replace(tzinfo=None, fold=1), "$.__reduce__()[1][0]", "another value"),
    (decimal.Decimal("1.0"), decimal.Decimal("1.00"), "$.__reduce__()[1][0]", "another value"),
    (fractions.Fraction(1, 2), fractions.Fraction(1, 3), "$.__reduce__()[1]", "another value"),
    (range(3), range(4), "$.__reduce__()[1][1]", "another value"),
    (slice(1, [2]), slice(1, [3]), "$.__reduce__()[1][1][0]", "another value"),
    (uuid.UUID(int=1), uuid.UUID(int=2), "$.int", "another value"),
    (pathlib.PurePosixPath("a"), pathlib.PurePosixPath("b"), "$.__reduce__()[1][0]", "another value"),
    (ipaddress.ip_address("1.1.1.1"), ipaddress.ip_address("1.1.1.2"), "$.__reduce__()[1][0]", "another value"),
    (collections.deque([1], 3), collections.deque([1], 4), "$.__reduce__()[1][1]", "another value"),
    (collections.defaultdict(list), collections.defaultdict(set), "$.__reduce__()[1][0]", "another object"),
    (array.array("d", [0.0]), array.array("d", [-0.0]), "$.__reduce__()[1][3]", "another value"),
    (re.compile("a"), re.compile("b"), "$.__reduce__()[1][0]", "another value"),
    (time.gmtime(0), time.gmtime(1), "$.__reduce__()[1][0][5]", "another value"),
    (np.array([1, 2]), np.array([1, 3]), "$", "another element [1]"),
    (np.array([[1, 2], [3, 4]]), np.array([[1, 2], [5, 4]]), "$", "another element [1, 0]"),
    (np.array([0.0]), np.array([-0.0]), "$", "another element [0]"),
    (np.array([1], "i4"), np.array([1], "i8"), "$", "another dtype"),
    (np.array([1], "<i4"), np.array([1], ">i4"), "$", "another dtype"),
    (np.dtype("i4", metadata={"a": 1}), np.dtype("i4", metadata={"a": 2}), "$.metadata['a']", "another value"),
    (np.zeros((2, 3)), np.zeros((3, 2)), "$", "another shape"),
    (np.zeros((2, 3)), np.zeros((2, 3), order="F"), "$", "another order in memory"),
    (np.array([1]), readonly([1]), "$", "another flag writeable"),
    (np.array([[1], 2], dtype=object), np.array([[3], 2], dtype=object), "$.flat[0][0]", "another value"),
    (np.float32(1), np.float32(2), "$[()]", "another element []"),
    (np.float64(0.0), 0.0, "$", "another type"),
    ([SHARED, SHARED], [[], []], "$[1]", "the original has one object in several places"),
    ([[], []], [SHARED, SHARED], "$[1]", "the copy has one object in several places"),
    (RING, [RING], "$[0]", "the original has one object in several places"),
    (RING, RINGS, "$[0]", "the original has one object in several places"),
    (Plain(a=SHARED, b=(1, SHARED)), Plain(a=[], b=(1, [])), "$.b[1]", "the original has one object in several places"),
    (pickle.PickleBuffer(b"a"), b"b", "$", "another content of a buffer"),
    (pickle.PickleBuffer(b"a"), bytearray(b"a"), "$", "a buffer of another kind"),
    (pickle.PickleBuffer(b"a"), "a", "$", "another type"),
]


@pytest.mark.parametrize(("one", "other", "path", "reason"), DIFFERENT, ids=[case[2] for case in DIFFERENT])
def test_each_kind_of_difference_has_a_path_and_a_reason(one: Any, other: Any, path: str, reason: str) -> None:
    found = first_difference(one, other)
    assert found is not None
    assert found.path.startswith(path), found
    assert found.reason.startswith(reason), found
    assert found.is_certain
    nested = first_difference({"k": [0, one]}, {"k": [0, other]})
    assert nested is not None
    assert nested[1:] == found[1:]
    assert nested.path == "$['k'][1]" + found.path[1:]


SAME: list[tuple[Any, Any]] = [
    ([(1, 2)] * 2, [(1, 2), (1, 2)]),  # a value may be shared or not
    ([Row(1, 2)] * 2, [Row(1, 2), Row(1, 2)]),
    (["ab"], ["".join(["a", "b"])]),
    (Plain(a=1, b=2), Plain(b=2, a=1)),  # attributes have no order
    ({1, 2, 1025}, {1025, 2, 1}),
    (padded(0), padded(7)),  # what lies between fields is no value
    (np.arange(6)[::2], np.array([0, 2, 4])),
    (np.arange(6).reshape(2, 3)[:, ::2], np.array([[0, 2], [3, 5]])),
    (zoneinfo.ZoneInfo.no_cache("UTC"), zoneinfo.ZoneInfo.no_cache("UTC")),
    (dict.fromkeys, dict.fromkeys),  # a new object each time
    ({dict.fromkeys, bytes.fromhex}, {bytes.fromhex, dict.fromkeys}),
    (pickle.PickleBuffer(b"a"), b"a"),
    (pickle.PickleBuffer(bytearray(b"a")), memoryview(bytearray(b"a"))),
    ({Frozen(1, "a"), Frozen(2, "b")}, {Frozen(2, "b"), Frozen(1, "a")}),
    (frozenset({Color.RED, Color.BLUE, len, int}), frozenset({int, len, Color.BLUE, Color.RED})),
    (np.array(["a", None], dtype=object), np.array(["a", None], dtype=object)),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_no_difference(one: Any, other: Any) -> None:
    assert first_difference(one, other) is None


def test_what_a_class_loses_in_its_own_state_is_found() -> None:
    found = first_difference([Forgets()], copied([Forgets()]))
    assert found == Difference("$[0]", "an attribute is missing", "dropped", None)


def test_a_part_that_is_the_dict_of_an_object_is_found() -> None:
    obj = Plain(x=1)
    found = first_difference([obj, vars(obj)], copied([obj, vars(obj)]))
    assert found is not None
    assert found.path == "$[1]"
    assert found.reason.startswith("the original has one object in several places")


def test_what_can_not_be_compared_is_said() -> None:
    found = first_difference({"a": Broken()}, {"a": Broken()})
    assert found is not None
    assert not found.is_certain
    assert found.path == "$['a']"
    assert found.reason == "can't be compared, as its __reduce_ex__ raises RuntimeError: not today"
    alike = {Plain(a=1), Plain(a=1)}
    found = first_difference([alike], [{Plain(a=1), Plain(a=1)}])
    assert found is not None
    assert not found.is_certain
    assert "look alike" in found.reason


def test_members_of_sets_are_told_apart_by_their_parts_and_paired() -> None:
    one, other = Plain(a=1, b=SHARED), Plain(a=2)
    graph = [{one, other}, one, other]
    assert first_difference(graph, copied(graph)) is None
    broken = copied(graph)
    broken[1] = Plain(a=1, b=[])
    found = first_difference(graph, broken)
    assert found is not None
    assert found.path == "$[1]"


def test_a_graph_may_be_deep_and_large() -> None:
    deep: list[Any] = []
    other_deep: list[Any] = []
    for _ in range(100_000):
        deep, other_deep = [deep], [other_deep]
    assert first_difference(deep, other_deep) is None
    shared, other_shared = (1,), (1,)  # type: tuple[Any, ...], tuple[Any, ...]
    for _ in range(200):  # 2 ** 200 paths
        shared, other_shared = (shared, shared), (other_shared, other_shared)
    assert first_difference(shared, other_shared) is None
    bottom: list[Any] = [1]
    for _ in range(1000):
        bottom = [bottom]
    top: list[Any] = [2]
    for _ in range(1000):
        top = [top]
    found = first_difference(bottom, top)
    assert found is not None
    assert found.path == "$" + "[0]" * 19 + "...962 more..." + "[0]" * 20
