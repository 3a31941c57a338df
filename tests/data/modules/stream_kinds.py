"""Objects of many kinds that become records of streams, and how two of them are compared."""

import dataclasses
import datetime
import decimal
import enum
import functools
import uuid
from typing import Any, NamedTuple

from hypothesis import strategies as st

__all__ = ["KINDS", "objects", "shape", "tied"]


class Plain:
    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a  # b is never set


class SlotsAndDict(Slots):
    pass


@dataclasses.dataclass
class Data:
    a: Any
    b: Any = None

    @property
    def computed(self) -> Any:
        raise RuntimeError("nobody asked for it")


@dataclasses.dataclass(slots=True)
class DataSlots:
    a: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any

    @functools.cached_property
    def cached(self) -> list[Any]:
        return [self.a]

    @functools.cached_property
    def unpicklable(self) -> Any:
        return lambda: self.a


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    a: Any
    b: Any = 1


class Pair(NamedTuple):
    a: Any
    b: Any = 2


class Stated:
    """Its state is not its dictionary."""

    def __init__(self, a: Any) -> None:
        self.a, self.other = a, 0

    def __getstate__(self) -> dict[str, Any]:
        return {"a": self.a, "other": 1}


class Reduced:
    def __init__(self, a: Any) -> None:
        self.a = a

    def __reduce__(self) -> Any:
        return Reduced, (self.a,)


class OwnDict(dict[Any, Any]):
    pass


class OwnList(list[Any]):
    pass


class OwnStr(str):
    pass


class Colour(enum.Enum):
    RED = "red"
    BLUE = ("blue", 2)


class Access(enum.Flag):
    READ = 1
    WRITE = 2


KINDS = [
    Plain, Slots, SlotsAndDict, Data, DataSlots, Frozen, FrozenSlots, Pair, Stated, Reduced, OwnDict, OwnList, OwnStr,
    Colour, Access,
]  # fmt: skip

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from([*Colour, *Access, Access.READ | Access.WRITE, (), "", b"", frozenset(), 2**80, -(2**4000)])
    | st.sampled_from([datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)])
    | st.sampled_from([decimal.Decimal("1.50"), uuid.UUID(int=7), OwnStr("own"), 1.5j])
    | st.builds(lambda text, n: text * n, st.text(max_size=3), st.sampled_from([400, 7_000, 30_000, 70_000]))
)
_KEYS = st.text(max_size=3) | st.integers(0, 3)


def _made(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    classes = st.sampled_from([Slots, SlotsAndDict, Data, DataSlots, Frozen, FrozenSlots, Pair, Stated, Reduced])
    return (
        st.lists(inner, max_size=4)
        | st.dictionaries(_KEYS, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(_KEYS, max_size=3)
        | st.builds(lambda cls, a: cls(a), classes, inner)
        | st.builds(lambda a: Plain(a=a, b=1), inner)
        | st.builds(lambda a: OwnDict(a=a), inner)
        | st.builds(lambda a: OwnList([a]), inner)
        | inner.map(lambda a: [a, a])  # shared
        | inner.map(lambda a: {"a": a, "b": Plain(c=a)})
        | inner.map(tied)
        | st.integers(60, 70).map(lambda n: list(range(n)))  # about as many as are copied
        | st.integers(250, 300).map(lambda n: {f"key {i}": str(i) for i in range(n)})  # beyond 256 in the memo
    )


def tied(inner: Any) -> Any:
    """A list that holds itself, and an object that does."""
    loop: list[Any] = [inner]
    loop.append(loop)
    loop.append(Plain(up=loop))
    return loop


objects = st.recursive(_LEAVES, _made, max_leaves=12)


def shape(value: Any) -> Any:
    """Return what is equal for two objects of the same types, contents and sharing."""
    return _shape(value, {}, [])


def _shape(value: Any, seen: dict[int, int], kept: list[Any]) -> Any:
    cls = type(value)
    is_value = cls.__module__ in ("builtins", "datetime", "decimal", "uuid") and cls not in (list, dict, tuple, set)
    if is_value or isinstance(value, enum.Enum):
        return cls, repr(value)
    if cls is not tuple:  # equal tuples may be one or two
        if id(value) in seen:
            return "again", seen[id(value)]
        seen[id(value)] = len(seen)
        kept.append(value)
    parts: list[Any] = []
    if isinstance(value, dict):
        parts.append([(_shape(key, seen, kept), _shape(item, seen, kept)) for key, item in value.items()])
    elif isinstance(value, set):
        parts.append(sorted(map(repr, value)))
    elif isinstance(value, list | tuple):
        parts.append([_shape(item, seen, kept) for item in value])
    elif isinstance(value, str):
        parts.append(str(value))
    parts.append([(name, _shape(item, seen, kept)) for name, item in getattr(value, "__dict__", {}).items()])
    slots = [name for base in cls.__mro__ for name in getattr(base, "__slots__", ()) if name != "__weakref__"]
    parts.append([(n, _shape(getattr(value, n), seen, kept)) for n in slots if hasattr(value, n)])
    return cls, parts
