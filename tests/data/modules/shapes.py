"""Classes and functions that the tests pack: importable, as a user's own would be."""

from __future__ import annotations

import functools
import os
import zoneinfo
from dataclasses import dataclass
from typing import Any


@dataclass
class Job:
    id: int
    name: str


class Outer:
    class Inner:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Outer.Inner)

        def __hash__(self) -> int:
            return 1


def function() -> str:
    return "called"


class Singleton:
    """Pickled by name: `__reduce__` returns a string, which names a global too."""

    def __reduce__(self) -> str:
        return "SINGLETON"


SINGLETON = Singleton()


class Meta(type):
    pass


class WithMeta(metaclass=Meta):
    pass


class Holder:
    """Holds anything."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)


class Slots:
    __slots__ = ("conn",)

    def __init__(self, conn: Any) -> None:
        self.conn = conn


class Proxy:
    """Rebuilds as something else."""

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return int, (7,)


class Raises:
    """Its own pickling fails."""

    def __getstate__(self) -> Any:
        raise RuntimeError("no state today\x1b[31m")


class RaisesOnLoad:
    def __setstate__(self, state: Any) -> None:
        raise KeyError("gone")

    def __getstate__(self) -> Any:
        return {"a": 1}


class NewArgs:
    """Uses __getnewargs_ex__."""

    def __new__(cls, *, size: int) -> NewArgs:
        self = super().__new__(cls)
        self.size = size  # type: ignore[attr-defined]
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, int]]:
        return (), {"size": self.size}  # type: ignore[attr-defined]


class Nested:
    """Packs something while it is packed."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self.data = b""

    def __getstate__(self) -> dict[str, Any]:
        import datetime

        import pickleseal

        created = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)
        return {"data": pickleseal.pack(self.obj, options=pickleseal.PackOptions(created=created))}


@functools.lru_cache
def cached(n: int) -> int:
    return n


class ByName:
    """Answers for `__reduce_ex__` itself."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__reduce_ex__":
            return lambda protocol: "BY_NAME"
        return object.__getattribute__(self, name)


BY_NAME = ByName()


class ShyMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__reduce_ex__":
            raise RuntimeError("shy")
        return super().__getattribute__(name)


class Shy(metaclass=ShyMeta):
    pass


class BadText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class RaisesBadText:
    """Raises, when it is loaded, an exception that can't be shown."""

    def __getstate__(self) -> Any:
        return {"a": 1}

    def __setstate__(self, state: Any) -> None:
        raise BadText


alias = os.system


class LoadsGarbage:
    """Unpacks something else while it is unpacked."""

    def __getstate__(self) -> Any:
        return {"a": 1}

    def __setstate__(self, state: Any) -> None:
        import pickleseal

        pickleseal.unpack(b"garbage")


class Empty:
    __slots__ = ()


class OwnZone(zoneinfo.ZoneInfo):
    pass
