"""Classes of all the kinds that honest programs pack."""

from __future__ import annotations

import array
import collections
import enum
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, NewType, TypeVar

T = TypeVar("T")
K = TypeVar("K")
UserId = NewType("UserId", int)
WITH_SLOTS: dict[str, Any] = {"slots": True} if sys.version_info >= (3, 10) else {}


@dataclass
class Plain:
    x: int = 0
    items: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Frozen:
    x: int = 0
    y: tuple[int, ...] = ()


@dataclass(slots=True)
class Slotted:
    x: int = 0


@dataclass(frozen=True, slots=True)
class FrozenSlotted:
    x: int = 0


@dataclass(kw_only=True, order=True)
class Keyword:
    x: int = 0


@dataclass
class Node:
    name: str
    parent: Any = None
    children: list[Any] = field(default_factory=list)


class Point(NamedTuple):
    x: int
    y: int = 0


class Color(enum.Enum):
    RED = 1
    BLUE = "b"
    PAIR = (1, 2)


class Number(enum.IntEnum):
    ONE = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2
    ALL = 3


class Bits(enum.IntFlag):
    A = 1
    B = 4


class Word(str, enum.Enum):
    YES = "yes"


class Box(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


class Failed(Exception):
    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(code, text)
        self.code = code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Failed) and (self.args, self.__dict__) == (other.args, other.__dict__)

    __hash__ = None  # type: ignore[assignment]


class Items(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


class Text(str):
    pass


class Number2(int):
    pass


class Group(set):  # type: ignore[type-arg]
    pass


class Samples(array.array):  # type: ignore[type-arg]
    pass


class Layers(collections.ChainMap):  # type: ignore[type-arg]
    __slots__ = ("name",)


def named(obj: Any) -> Any:
    """Give an object a name."""
    obj.name = "a"
    return obj


class OwnState:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __getstate__(self) -> Mapping[str, Any]:
        return {"v": self.value}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.value = state["v"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnState) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


class ByReduce:
    """Is made by a class method."""

    def __init__(self, value: int) -> None:
        self.value = value

    @classmethod
    def made(cls, value: int) -> ByReduce:
        return cls(value)

    def method(self) -> int:
        return self.value

    def __reduce__(self) -> tuple[Any, ...]:
        return ByReduce.made, (self.value,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByReduce) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


class Calls:
    """Has objects that can be called, and have parts."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, value: int) -> int:
        return self.factor * value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calls) and self.factor == other.factor

    __hash__ = None  # type: ignore[assignment]


def function() -> int:
    return 1
