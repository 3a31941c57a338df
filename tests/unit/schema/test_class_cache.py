"""The cache of what was derived from classes: an entry lives as long as its class, and belongs to no other class."""

from __future__ import annotations

import gc
import weakref

import pytest

from pickleseal._schema.class_cache import ClassCache
from pickleseal._schema.describe import describe


class EqualToAll(type):
    """A metaclass whose classes have one hash, and equal everything."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(int)


class Unhashable(type):
    __hash__ = None  # type: ignore[assignment]


class EqualByName(type):
    """A metaclass with its own equality, and the usual hash."""

    def __eq__(cls, other: object) -> bool:
        return cls.__name__ == getattr(other, "__name__", None)

    __hash__ = type.__hash__


class Raising(type):
    def __hash__(cls) -> int:
        raise AssertionError("code of a metaclass ran")


def test_an_entry_is_found_until_its_class_is_gone() -> None:
    cache = ClassCache[str]()
    first, second = type("Same", (), {}), type("Same", (), {})
    cache.keep(first, "first")
    assert cache.find(first) == "first"
    assert cache.find(second) is None
    key = weakref.ref(first)
    del first
    gc.collect()
    assert key() is None
    assert not cache.values


def test_a_new_class_at_the_place_of_an_old_one_has_no_entry() -> None:
    cache, places = ClassCache[int](), set[int]()
    for number in range(50):
        cls = type("Temporary", (), {})
        places.add(id(cls))
        assert cache.find(cls) is None
        cache.keep(cls, number)
        del cls
        gc.collect()
    assert len(places) < 50


@pytest.mark.parametrize("metaclass", [EqualByName, EqualToAll, Raising, Unhashable])
def test_a_class_with_its_own_equality_or_hash_is_not_cached(metaclass: type[type]) -> None:
    cache = ClassCache[str]()
    cache.keep(int, "int")
    odd = metaclass("Odd", (), {"__annotations__": {"x": int}})
    cache.keep(odd, "odd")
    assert cache.find(odd) is None
    assert len(cache.values) == 1
    description = describe(odd)
    assert description is not None
    assert description.fields == [["x", "int"]]
