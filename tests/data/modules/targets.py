"""Classes and functions that hostile payloads get, trusted as a user's own would be, and that notice what is done."""

from __future__ import annotations

import enum
from collections import UserDict
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

T = TypeVar("T")
fired: list[str] = []


def fire(*args: Any, **kwargs: Any) -> str:
    """Never to be reached by a payload: no test trusts it."""
    fired.append("fire")
    return "fired"


def harmless(*args: Any) -> int:
    return 7


@dataclass
class Point:
    x: int = 0
    y: int = 0


@dataclass(frozen=True)
class Frozen:
    x: int = 0


@dataclass
class Slotted:
    __slots__ = ("x", "y")
    x: int
    y: int


class Pair(NamedTuple):
    left: int
    right: int


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Word(str, enum.Enum):
    YES = "yes"
    NO = "no"


class Callable:
    """Its objects can be called."""

    def __call__(self, *args: Any) -> None:
        fired.append("Callable")


class OwnState:
    def __setstate__(self, state: Any) -> None:
        self.state = state


class Meta(type):
    def __call__(cls, *args: Any) -> Any:
        return super().__call__(*args)


class WithMeta(metaclass=Meta):
    limits: ClassVar[dict[str, int]] = {}


class Text(str):
    """A text with attributes of its own."""


class Int(int):
    pass


class Items(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


class Group(set):  # type: ignore[type-arg]
    pass


class Row(tuple):  # type: ignore[type-arg]
    pass


class Own(UserDict):  # type: ignore[type-arg]
    pass


class Box(Generic[T]):
    pass


class ErrorA(Exception):
    pass


class ErrorB(Exception):
    def __str__(self) -> str:
        fired.append("ErrorB")
        return "b"


class Reads:
    """What `getattr` must not reach."""

    shared: ClassVar[list[int]] = [1, 2]

    @property
    def value(self) -> int:
        fired.append("property")
        return 1

    def __getattr__(self, name: str) -> Any:
        fired.append(f"__getattr__ {name}")
        return fire

    def method(self) -> int:
        return 1

    @classmethod
    def make(cls) -> Reads:
        return cls()

    def __private(self) -> None:
        fired.append("private")


TABLE: dict[str, int] = {"limit": 1}
ITEMS: list[int] = [1]
POINT = Point(1, 2)
