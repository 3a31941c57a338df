"""Zero false alarms: what honest programs pack comes back equal, at every level.

What is beyond the built-in list is trusted by name, from the header's own `globals`.
"""

# ruff: noqa: UP006, UP007, UP045 - the old spellings of types are among the values

from __future__ import annotations

import array
import builtins
import collections
import datetime
import decimal
import functools
import http
import ipaddress
import os
import pathlib
import re
import sys
import time
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import kinds
import pytest
from _helpers.levels import POLICIES, RING, levels, round_trip
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import PackOptions

UTC, ZURICH = datetime.timezone.utc, zoneinfo.ZoneInfo("Europe/Zurich")
SHARED = [1, 2]
STRUCT = time.struct_time((2026, 1, 2, 3, 4, 5, 4, 2, 0))
RED = kinds.Color.RED
# One line for each class of the built-in list, in several shapes.
VALUES: dict[str, Any] = {
    "array": [array.array(code, [1, 2]) for code in "bBhHiIlLqQfd"] + [array.array("d")],
    "bool": [True, False, None],
    "bytes": [b"", b"x" * 300, bytearray(b"abc"), bytearray()],
    "complex": [1 + 2j, complex("inf")],
    "dict": [{}, {1: {2: {3: None}}}, {(1, "a"): 2, frozenset((1,)): 3, None: 4, 1.5: 5}],
    "float": [0.0, -1.5, 1e300, float("inf")],
    "frozenset": [frozenset(), frozenset((1, "a", (2, 3), frozenset((4,))))],
    "int": [0, -1, 255, 256, 2**31, -(2**63), 2**70, 2**4000],
    "list": [[], [[]], [[[1]], [2]]],
    "range": [range(5), range(1, 10**12, 3), range(0)],
    "set": [set(), {1, "a", (2,)}],
    "slice": [slice(1), slice(1, None, 2), slice("a", "b")],
    "str": ["", "ä€😀", "x" * 300, "\udc80", "__setstate__", "__class__", "a\0b"],
    "tuple": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((((),),),)],
    "singletons": [..., NotImplemented, type(None), type(...), type(NotImplemented)],
    "Counter": [collections.Counter("abracadabra"), collections.Counter()],
    "OrderedDict": [collections.OrderedDict([("b", 1), ("a", collections.OrderedDict())])],
    "ChainMap": [collections.ChainMap({"a": 1}, {"b": 2})],
    "UserDict": [collections.UserDict(a=1)],
    "UserList": [collections.UserList([1, collections.UserList()])],
    "UserString": [collections.UserString("x")],
    "defaultdict": [collections.defaultdict(list, a=[1]), collections.defaultdict(int),
                    collections.defaultdict(None, {1: 2}),
                    collections.defaultdict(collections.Counter, {"x": collections.Counter("ab")})],
    "deque": [collections.deque(), collections.deque([1, 2], maxlen=5), collections.deque([collections.deque()])],
    "date": [datetime.date(2026, 1, 2), datetime.date.min, datetime.date.max],
    "datetime": [datetime.datetime(2026, 1, 2, 3, 4, 5, 6), datetime.datetime(2026, 1, 2, tzinfo=UTC),
                 datetime.datetime(2026, 7, 2, tzinfo=ZURICH),
                 datetime.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZURICH)],
    "time": [datetime.time(1, 2, 3, 4), datetime.time(1, tzinfo=UTC)],
    "timedelta": [datetime.timedelta(1, 2, 3), datetime.timedelta.max],
    "timezone": [UTC, datetime.timezone(datetime.timedelta(hours=5, minutes=30), "IST")],
    "Decimal": [decimal.Decimal("1.10"), decimal.Decimal("-Infinity"),
                decimal.Decimal("1E+999999"), decimal.Decimal(0)],
    "Fraction": [Fraction(1, 3), Fraction(-7), Fraction(10**50, 3)],
    "HTTPStatus": [http.HTTPStatus.OK, http.HTTPStatus(404), {http.HTTPStatus.OK: 1}],
    "ipaddress": [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"),
                  ipaddress.ip_network("2001:db8::/32"), ipaddress.ip_interface("10.0.0.1/24"),
                  ipaddress.ip_interface("2001:db8::1/64")],
    "pathlib": [pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("c:\\x"),
                pathlib.Path("a") / "b", pathlib.PurePath(".")],
    "struct_time": [STRUCT, time.gmtime(0)],
    "GenericAlias": [list[int], dict[str, list[int]], tuple[int, ...]],
    "SimpleNamespace": [types.SimpleNamespace(), types.SimpleNamespace(a=1, b=types.SimpleNamespace(c=2))],
    "UUID": [uuid.UUID(int=7), uuid.uuid5(uuid.NAMESPACE_DNS, "x"), {uuid.UUID(int=1): 1}],
    "SafeUUID": [uuid.SafeUUID.safe, uuid.SafeUUID.unknown],
    "ZoneInfo": [ZURICH, zoneinfo.ZoneInfo("UTC")],
    "union": [int | None, int | str | None, list[int] | None, kinds.Plain | None],
    "typing": [typing.Optional[int], typing.Union[int, str, None], typing.List[int], typing.Dict[str, typing.Set[int]],
               typing.Tuple[int, ...], typing.Tuple[()], typing.Callable[[int], str], typing.Callable[..., typing.Any],
               typing.Literal["a", 1], typing.Literal[kinds.Color.RED], typing.Annotated[int, kinds.Frozen(1), (2, 3)],
               typing.Type[kinds.Plain], typing.ClassVar[int], typing.Union[typing.List[int], kinds.Plain], typing.List,
               typing.Iterable[kinds.T], typing.Union, typing.Any, typing.NoReturn, kinds.T, kinds.UserId],
    "abstract": [Mapping[str, int], Callable[[int], str], Callable[..., None], typing.Optional[Callable[[], None]]],
    "safe-types": [type[kinds.Plain], list[bytearray], bytearray | None, dict[str, type]],
    "pattern": [re.compile("a+b", re.IGNORECASE), re.compile(b"x"), re.compile("(?P<n>x)", re.VERBOSE | re.DOTALL)],
    "classes": [int, dict, uuid.UUID, kinds.Plain, kinds.Color, ValueError, collections.OrderedDict],
    "functions": [kinds.function, len, functools.wraps],
    "methods": [kinds.ByReduce.made, kinds.ByReduce(3)],
    "dataclasses": [kinds.Plain(1, [kinds.Plain()]), kinds.Frozen(1, (2,)), kinds.Slotted(2), kinds.FrozenSlotted(3),
                    kinds.Keyword(x=4), {kinds.Frozen(1): 1, kinds.FrozenSlotted(2): 2}],
    "namedtuple": [kinds.Point(1, 2), {kinds.Point(1): kinds.Point(2)}],
    "enums": [*kinds.Color, *kinds.Number, *kinds.Word, {kinds.Color.RED: 1}, {kinds.Number.ONE}],
    "flags": [*kinds.Right, kinds.Right.READ | kinds.Right.WRITE, kinds.Right(0),
              kinds.Bits.A | kinds.Bits.B, kinds.Bits(0),
              kinds.Bits(5), {kinds.Right.READ}],
    "generics": [kinds.Box(1), kinds.Box[int](2), [kinds.Box[int]], kinds.Box, kinds.Box[typing.Optional[int]](3),
                 kinds.Box[typing.List[kinds.T]]([]), kinds.Box[kinds.Box[int]](kinds.Box[int](4)),
                 kinds.Box[type](int)],
    "subclasses": [kinds.Items([1]), kinds.Table(a=1), kinds.Text("x"), kinds.Number2(7), kinds.Group([1])],
    "own-state": [kinds.OwnState([1]), kinds.OwnState(kinds.OwnState(None))],
    "attributes": [kinds.Samples("i", [1, 2]), kinds.named(kinds.Samples("d")),
                   kinds.named(kinds.Layers({"a": 1}, {}))],
    "calls": [kinds.Calls(3), [kinds.Calls(1)] * 2],
    "result": [os.stat_result(range(10)), sys.float_info.max],
}  # fmt: skip
if sys.version_info >= (3, 11):  # 3.10 leaves the scope out when it pickles
    VALUES["scoped"] = [ipaddress.ip_address("fe80::1%eth0")]
    VALUES["HTTPMethod"] = [http.HTTPMethod.GET]


def _ids(name: str) -> Any:
    return pytest.param(name, id=name)


@levels
@pytest.mark.parametrize("name", [*map(_ids, VALUES)])
def test_values_of_every_kind(name: str, level: str) -> None:
    obj = VALUES[name]
    found = round_trip(obj, level)
    assert [type(value) for value in found] == [type(value) for value in obj]
    assert found == obj
    assert round_trip([obj, {"nested": [obj, (obj,)]}], level) == [obj, {"nested": [obj, (obj,)]}]


@levels
def test_all_of_them_at_once(level: str) -> None:
    assert round_trip(VALUES, level) == VALUES


@levels
def test_shared_objects_stay_shared(level: str) -> None:
    for value in (
        SHARED,
        {1: 2},
        kinds.Plain(1),
        collections.deque([1]),
        RED,
        collections.defaultdict(list),
        kinds.Items([1]),
    ):
        first, second, (third,) = round_trip([value, value, (value,)], level)
        assert first is second is third


def _cycles() -> dict[str, tuple[Any, Callable[[Any], Any]]]:
    """Objects that hold themselves, and the way from one to itself."""
    items: list[Any] = []
    items.append(items)
    table: dict[str, Any] = {}
    table["self"] = table
    held: tuple[list[Any]] = ([],)
    held[0].append(held)
    queue: collections.deque[Any] = collections.deque()
    queue.append(queue)
    default: collections.defaultdict[str, Any] = collections.defaultdict(list)
    default["self"] = default
    ordered: collections.OrderedDict[str, Any] = collections.OrderedDict()
    ordered["self"] = ordered
    node = kinds.Node("root")
    node.children.append(kinds.Node("child", node))
    space = types.SimpleNamespace()
    space.own = space
    error = ValueError("x")
    error.own = error  # type: ignore[attr-defined]
    own = kinds.Items()
    own.append(own)
    user: collections.UserList[Any] = collections.UserList()
    user.append(user)
    return {
        "list": (items, lambda value: value[0]),
        "dict": (table, lambda value: value["self"]),
        "tuple": (held, lambda value: value[0][0]),
        "deque": (queue, lambda value: value[0]),
        "defaultdict": (default, lambda value: value["self"]),
        "OrderedDict": (ordered, lambda value: value["self"]),
        "dataclass": (node, lambda value: value.children[0].parent),
        "namespace": (space, lambda value: value.own),
        "exception": (error, lambda value: value.own),
        "subclass": (own, lambda value: value[0]),
        "UserList": (user, lambda value: value[0]),
    }


@levels
@pytest.mark.parametrize("name", _cycles())
def test_cycles(name: str, level: str) -> None:
    obj, back = _cycles()[name]
    found = round_trip(obj, level)
    assert type(found) is type(obj)
    assert back(found) is found


@levels
def test_exceptions_with_their_attributes(level: str) -> None:
    plain = ValueError("text", 7)
    plain.code = 3  # type: ignore[attr-defined]
    errors = [
        plain,
        KeyError("k"),
        OSError(2, "no such file", "name"),
        FileNotFoundError(2, "no such file", "name"),
        UnicodeDecodeError("ascii", b"\xff", 0, 1, "bad"),
        StopIteration(7),
        ImportError("x", name="n", path="p"),
        SyntaxError("x", ("f", 1, 2, "text")),
        Exception(),
        ValueError([ValueError({"a": 1})]),
    ]
    if sys.version_info >= (3, 11):
        plain.add_note("a note")
        errors.append(builtins.ExceptionGroup("several", [ValueError(1), TypeError("x")]))
    for error, found in zip(errors, round_trip(errors, level), strict=True):
        assert type(found) is type(error)
        assert repr(found.args) == repr(error.args)
        assert str(found) == str(error)
        assert found.__dict__ == error.__dict__
    failed = kinds.Failed(4, "text")
    failed.more = [1]  # type: ignore[attr-defined]
    assert round_trip(failed, level) == failed


@pytest.mark.parametrize("level", [level for level in POLICIES if level not in ("signed", "unchecked")])
def test_an_alias_tells_what_a_class_no_longer_takes(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Box[int](1)` keeps `Box[int]`, which is made again when it is loaded."""
    stored = pickleseal.pack([kinds.Box[int](1), kinds.Box[typing.List[int]]], options=PackOptions(keys=RING))

    class Box:
        __module__, __qualname__ = "kinds", "Box"

        def __init__(self, value: int) -> None:
            self.value = value

    class Pair(Box, typing.Generic[kinds.T, kinds.K]):
        __module__, __qualname__ = "kinds", "Box"

    for changed in (Box, Pair):
        monkeypatch.setattr(kinds, "Box", changed)
        found, alias = pickleseal.unpack(stored, trust=["kinds:Box"], policy=POLICIES[level])
        assert type(found) is changed
        assert found.value == 1
        assert (alias.__origin__, alias.__args__) == (changed, (typing.List[int],))
        assert found.__orig_class__ == types.GenericAlias(changed, (int,))


@levels
def test_bound_methods(level: str) -> None:
    """They are trusted with their class."""
    assert round_trip(kinds.ByReduce(4).method, level)() == 4
    assert round_trip([kinds.ByReduce(5).made], level)[0](6) == kinds.ByReduce(6)


# -- large and deep ---------------------------------------------------------------------------------------------------

MANY = 100_000
LARGE: dict[str, Callable[[], Any]] = {
    "list": lambda: list(range(MANY)),
    "lists": lambda: [[n] for n in range(MANY)],
    "dict": lambda: {n: str(n) for n in range(MANY)},
    "dict-of-tuples": lambda: {(n, n % 7): None for n in range(MANY)},
    "dict-of-texts": lambda: {f"key {n}": n for n in range(MANY)},
    "set": lambda: set(range(MANY)),
    "set-of-tuples": lambda: {(n, "x") for n in range(MANY)},
    "frozenset": lambda: frozenset(range(MANY)),
    "tuple": lambda: tuple(range(MANY)),
    "tuples": lambda: [(n, n + 1) for n in range(MANY)],
    "floats": lambda: [n / 7 for n in range(MANY)],
    "huge-ints": lambda: [2**64 + n for n in range(MANY)],
    "multiples": lambda: {n * (2**61 - 1) + n for n in range(5, MANY)},
    "bytes": lambda: [b"%d" % n for n in range(MANY)],
    "deque": lambda: collections.deque(range(MANY)),
    "Counter": lambda: collections.Counter(range(MANY)),
    "OrderedDict": lambda: collections.OrderedDict((n, n) for n in range(MANY)),
    "defaultdict": lambda: collections.defaultdict(list, {n: [n] for n in range(MANY)}),
    "UserList": lambda: collections.UserList(range(MANY)),
    "array": lambda: array.array("q", range(MANY)),
    "dates": lambda: [datetime.date.fromordinal(1 + n) for n in range(20_000)],
    "dict-of-dates": lambda: {datetime.date.fromordinal(1 + n): n for n in range(20_000)},
    "uuids": lambda: {uuid.UUID(int=n): n for n in range(5_000)},
    "Decimals": lambda: {decimal.Decimal(n) for n in range(20_000)},
    "dataclasses": lambda: [kinds.Plain(n) for n in range(20_000)],
    "frozen-keys": lambda: {kinds.Frozen(n): n for n in range(10_000)},
    "nested-keys": lambda: {((n, (n, (n,))), frozenset((n,))): n for n in range(20_000)},
    "sets": lambda: [set() for _ in range(MANY)],
    "enums": lambda: [RED, kinds.Number.ONE] * (MANY // 2),
    "named-tuples": lambda: {kinds.Point(n, n): kinds.Point(n) for n in range(20_000)},
    "deques": lambda: [collections.deque([n]) for n in range(10_000)],
    "text": lambda: "x" * 5_000_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_ones(name: str) -> None:
    obj = LARGE[name]()
    level = (
        "strict-isolated" if "strict-isolated" in POLICIES and name in ("tuples", "deque", "dataclasses") else "strict"
    )
    assert round_trip(obj, level) == obj
    if name in ("deque", "Counter", "dict-of-tuples", "dataclasses"):
        assert round_trip(obj, "guarded") == obj


def deepest(wrap: Callable[[Any], Any]) -> Any:
    """The deepest nesting that can be packed under the recursion limit of this process, or 900 levels of it."""
    most = 900
    while most > 10:
        obj: Any = None
        for _ in range(most):
            obj = wrap(obj)
        try:
            pickleseal.pack(obj)
        except (pickleseal.errors.PackError, RecursionError):
            most = most * 9 // 10
        else:
            return obj
    raise AssertionError("nothing can be packed")


DEEP: dict[str, Callable[[Any], Any]] = {
    "list": lambda below: [below],
    "dict": lambda below: {"k": below},
    "tuple": lambda below: (below,),
    "key": lambda below: (below, 1) if below is None or type(below) is tuple else below,
    "deque": lambda below: collections.deque([below]),
    "UserList": lambda below: collections.UserList([below]),
    "OrderedDict": lambda below: collections.OrderedDict(k=below),
    "defaultdict": lambda below: collections.defaultdict(list, k=below),
    "slice": lambda below: slice(below),
    "dataclass": lambda below: kinds.Node("n", below),
    "named-tuple": lambda below: kinds.Point(below),
    "exception": lambda below: ValueError(below),
    "namespace": lambda below: types.SimpleNamespace(k=below),
    "frozenset": lambda below: frozenset((below,)),
}


@pytest.mark.parametrize("level", ["guarded", "strict", "signed", *(["isolated"] if "isolated" in POLICIES else [])])
@pytest.mark.parametrize("name", DEEP)
def test_deep_ones(name: str, level: str) -> None:
    obj = deepest(DEEP[name])
    found = round_trip({obj: 1} if name in ("key", "frozenset", "tuple") else obj, level)
    assert type(found) is (dict if name in ("key", "frozenset", "tuple") else type(obj))


# -- any value --------------------------------------------------------------------------------------------------------

leaves = st.sampled_from([value for values in VALUES.values() for value in values])
hashable = st.sampled_from(
    [v for values in VALUES.values() for v in values if type(v).__hash__ and type(v) not in (tuple, slice)]
)


@settings(max_examples=25)
@given(
    st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(hashable, inner, max_size=3)
        ),
        max_leaves=20,
    )
)
def test_any_mix_of_them(obj: Any) -> None:
    for level in POLICIES:
        assert round_trip(obj, level) == obj


# -- numpy ------------------------------------------------------------------------------------------------------------

DTYPES = [
    *(
        "?",
        "i1",
        "u1",
        "<i2",
        ">i2",
        "<u2",
        "<i4",
        ">i4",
        "<u4",
        "<i8",
        ">i8",
        "<u8",
        "<f2",
        "<f4",
        ">f4",
        "<f8",
        ">f8",
    ),
    *("<c8", "<c16", "S5", "S1", "<U3", ">U3", "V4", "<M8[ns]", "<M8[D]", "<M8[25s]", ">M8[us]", "<m8[ms]", "<m8"),
]


def _like(left: Any, right: Any) -> bool:
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    return bool(left.dtype.hasobject and left.tolist() == right.tolist()) or left.tobytes("A") == right.tobytes("A")


@levels
def test_arrays_and_scalars_of_every_dtype(level: str) -> None:
    np = pytest.importorskip("numpy")
    arrays = []
    for name in DTYPES:
        flat = np.arange(24).astype("i8").astype(name) if name[-1:] != "4" or "V" not in name else np.zeros(24, name)
        arrays += [
            flat,
            flat.reshape(2, 3, 4),
            np.asfortranarray(flat.reshape(4, 6)),
            flat[:0],
            flat[0:1].reshape(()),
            flat[::3],
        ]
    fields = np.dtype([("a", "<i4"), ("b", "<f8", (2, 2)), ("c", "S3")])
    aligned = np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8], "itemsize": 24}, align=True)
    titled = np.dtype([(("title", "name"), "<i2"), ("nested", fields)])
    arrays += [np.zeros(3, dtype) for dtype in (fields, aligned, titled)]
    arrays += [np.array([1, "a", None, [2], {3: 4}], object), np.empty((2, 0), object), np.array(None, object)]
    arrays += [np.asfortranarray(np.array([[1, "a"], [None, 2.5]], object))]
    for array_, found in zip(arrays, round_trip(arrays, level), strict=True):
        assert _like(array_, found), array_.dtype
    frozen = np.arange(10.0)
    frozen.flags.writeable = False
    assert not round_trip(frozen, level).flags.writeable
    assert round_trip(np.arange(10.0), level).flags.writeable
    scalars = [
        flat.dtype.type(1) if flat.dtype.kind not in "VMm" else flat.ravel()[0] for flat in arrays if flat.size > 1
    ][:150]
    scalars += [
        np.float64("inf"),
        np.str_("x"),
        np.bytes_(b"x"),
        np.bool_(True),
        np.datetime64("2026-01-02"),
        np.timedelta64(3, "s"),
    ]
    for scalar, found in zip(scalars, round_trip(scalars, level), strict=True):
        assert type(found) is type(scalar)
        assert np.array(found).tobytes() == np.array(scalar).tobytes() or found == scalar
    dtypes = [np.dtype(name) for name in DTYPES] + [fields, aligned, titled, np.dtype(object)]
    assert round_trip(dtypes[:-1], level) == dtypes[:-1]
    mixed = {
        "a": np.arange(3),
        "b": [np.float64(1.5), {"c": np.zeros((2, 2), object)}],
        np.int64(3): 1,
        (np.str_("k"), 1): 2,
    }
    found = round_trip(mixed, level)
    assert list(found) == list(mixed)
    assert (found["a"] == mixed["a"]).all()
    large = np.arange(1_000_000.0)
    assert (round_trip([large, large], level)[1] == large).all()
