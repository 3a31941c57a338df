"""A cache of what was derived from classes. An entry lives as long as its class.

Its keys are weak references: an `id()` would be given to another class once the first one is gone. It runs no code of a
metaclass.
"""

from typing import Any, Generic, TypeVar
from weakref import ref

T = TypeVar("T")
_HASH: Any = type.__hash__
_EQ: Any = type.__eq__


class ClassCache(Generic[T]):
    """Values by class, in `values`: the key of a class is `ref(cls)`. Classes that can't be keys are not kept.

    The second item of a value is another reference to the class, whose callback drops the entry.
    """

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[ref[type], tuple[T, ref[type]]] = {}

    def find(self, cls: type) -> T | None:
        """Return what is cached for a class, or None."""
        if type(cls) is not type and not _has_standard_hash(cls):
            return None
        found = self.values.get(ref(cls))
        return None if found is None else found[0]

    def keep(self, cls: type, value: T) -> None:
        """Cache a value, which must not refer to the class."""
        if type(cls) is type or _has_standard_hash(cls):
            key, values = ref(cls), self.values
            values[key] = value, ref(cls, lambda _: values.pop(key, None))

    def clear(self) -> None:
        """Empty the cache."""
        self.values.clear()


def _has_standard_hash(cls: type) -> bool:
    """Return whether the hash and equality of a class are those of `type`: a metaclass may have its own."""
    metaclass: Any = type(cls)
    return type(metaclass) is type and metaclass.__hash__ is _HASH and metaclass.__eq__ is _EQ
