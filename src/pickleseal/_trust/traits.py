"""What a dry run has to know of classes and functions: plain values, as it may happen in another process."""

from typing import Any, NamedTuple

from .._schema.names import global_name
from . import calls

__all__ = ["TAKING", "Traits", "traits_of"]

TAKING = ("append", "extend", "__setitem__", "add")  # methods by which opcodes put items into objects


class Traits(NamedTuple):
    """What inert objects have to know of a global. Plain values: a dry run may happen in another process."""

    name: str
    kind: str  # "class", "enum", "function" or "value"
    check: str | None = None  # the value type whose calls are checked, if it is one
    is_deep: bool = False
    hash: str = "identity"  # or "none" or "own"
    items: tuple[str, ...] = ()  # methods by which it takes items
    makes: bool = False  # whether code of its own makes its objects
    is_text: bool = False  # whether it is equal to the text that it holds


def traits_of(name: str, value: Any) -> Traits:
    """Return the traits of a global that a payload calls `name`."""
    if not isinstance(value, type):
        return Traits(name, "function" if callable(value) else "value")
    own = global_name(value)
    kind = calls.kind_of(value)
    if kind.is_enum:
        return Traits(own, "enum", makes=True)
    hashed = type.__getattribute__(value, "__hash__")
    how = "none" if hashed is None else "identity" if hashed is object.__hash__ else "own"
    items = tuple(item for item in TAKING if any(item in base.__dict__ for base in value.__mro__))
    ways = ("__new__", "__getnewargs__", "__getnewargs_ex__")
    makes = any(way in base.__dict__ for base in value.__mro__[:-1] for way in ways)
    is_text = issubclass(value, str) or any(global_name(base) == "collections:UserString" for base in value.__mro__)
    return Traits(own, "class", calls.check_of(value), kind.is_deep, how, items, makes, is_text)
