"""Guarded functions: what a payload gets for a global that honest pickles need and that would be dangerous as it is.

Each does the one harmless thing that it is needed for, and refuses the rest as `UntrustedGlobalError` at step 20.
They are handed out as objects without attributes, so that a payload can call them and change nothing about them.
"""

import enum
import functools
import operator
import types
from collections.abc import Callable, Collection
from typing import Any

from .._payload import arrays
from ..errors import LimitExceededError, UnpickleError, UntrustedGlobalError

__all__ = ["GUARDED", "attributes_of", "method_of", "object_arrays", "refuse_class"]


def _misused(what: str, expected: str, found: str) -> UntrustedGlobalError:
    hint = "if this came from outside, it is an attempt to get more"
    return UntrustedGlobalError(f"the payload asks for {what}", f"{expected} only", found, hint).at(20)


def _getattr(owner: object, name: object) -> Any:
    """Stand in for `getattr`, which time zones need: `(ZoneInfo, "_unpickle")` and nothing else."""
    from zoneinfo import ZoneInfo

    if owner is ZoneInfo and type(name) is str and name == "_unpickle":
        return ZoneInfo._unpickle  # type: ignore[attr-defined]
    found = name if type(name) is str else type(name).__name__
    raise _misused("an attribute", "a method of a class that you trust", found)


def method_of(owner: Any, name: Any) -> Any:
    """Return a bound method of an object, or what is bound to a class itself (`classmethod`, `staticmethod`, a member
    of an enum), or None.

    No names with two underscores in front, no properties, nothing of an object's own attributes: it runs no code.
    """
    if type(name) is not str or name.startswith("__"):
        return None
    is_class = isinstance(owner, type)
    cls = owner if is_class else type(owner)
    if is_class and issubclass(cls, enum.Enum) and name in cls.__members__:
        return cls.__members__[name]
    kinds = (classmethod, staticmethod) if is_class else (types.FunctionType, classmethod, staticmethod)
    for base in cls.__mro__:
        if name in base.__dict__:
            method = base.__dict__[name]
            return method.__get__(None if is_class else owner, cls) if type(method) in kinds else None
    return None


def attributes_of(classes: Collection[type]) -> Any:
    """Return what stands in for `getattr` where a payload's classes are known: bound methods of these classes."""

    def find(owner: Any, name: Any) -> Any:
        cls = owner if isinstance(owner, type) else type(owner)
        method = method_of(owner, name) if any(cls is one for one in classes) else None
        return _getattr(owner, name) if method is None else method

    return _fixed("getattr", find)


def _type(value: object) -> type:
    """Stand in for `type`, which `type(None)` and its like need: the type of a singleton and nothing else."""
    if value is None or value is Ellipsis or value is NotImplemented:
        return type(value)
    raise _misused("the type of an object", "None, ... or NotImplemented", type(value).__name__)


def _bytearray(data: Any = b"") -> bytearray:
    """Stand in for `bytearray`, which makes a gigabyte out of a number: bytes only."""
    if type(data) in (bytes, bytearray):
        return bytearray(data)
    raise _misused("a bytearray by size", "bytes", type(data).__name__)


def _or(left: Any, right: Any) -> Any:
    """Stand in for `operator.or_`, which unions need: of types only."""
    if isinstance(left, _TYPES) and isinstance(right, _TYPES):
        return operator.or_(left, right)
    raise _misused("the union of objects", "types", f"{type(left).__name__}, {type(right).__name__}")


_TYPES = (type, types.GenericAlias, types.UnionType, types.NoneType)


def _reduce(function: Any, items: Any) -> Any:
    """Stand in for `functools.reduce`, by which `int | None` is pickled: `(or_, a tuple of types)` only."""
    if function is GUARDED["_operator:or_"] and type(items) is tuple and 1 < len(items) < 1000:
        return functools.reduce(_or, items)
    raise _misused("the reduction of something", "a union of types", type(function).__name__)


def _getitem(owner: Any, key: Any) -> Any:
    """Stand in for `operator.getitem`, by which `Box[int]` is pickled: the parameters of a generic class only."""
    if isinstance(owner, type) and hasattr(owner, "__class_getitem__"):
        return owner[key]  # type: ignore[index]
    raise _misused("an item of an object", "a generic class", type(owner).__name__)


_LONGEST_PATTERN = 16_384  # characters


def _re_compile(pattern: Any, flags: Any = 0) -> Any:
    """Stand in for `re._compile`, which prints where its flags say DEBUG: a pattern and flags only."""
    import re

    is_pattern = type(pattern) in (str, bytes) and len(pattern) <= _LONGEST_PATTERN
    if is_pattern and isinstance(flags, int) and not int(flags) & re.DEBUG:
        return re.compile(pattern, flags)
    raise _misused("a pattern with odd arguments", "text and flags without DEBUG", type(pattern).__name__)


def object_arrays(most: int) -> Any:
    """Return what makes arrays of objects where a payload is known: of `most` elements in all."""
    left = most

    def rebuild(shape: object, order: object) -> Any:
        nonlocal left
        left -= arrays.size_of(shape)
        if left < 0:
            reason = "the payload makes arrays of more objects than it can hold"
            raise LimitExceededError(reason, f"at most {most}", None, None, "payload").at(20)
        return arrays.rebuild_object_array(shape, order)

    return _fixed("rebuild_object_array", rebuild)


def refuse_class(slots: Any) -> None:
    """Refuse slots that BUILD would set one by one, if the class of the object is among them."""
    if type(slots) is not dict or "__class__" in slots or "__dict__" in slots:
        raise UnpickleError("the payload sets the class of an object, or may", "slots by name", type(slots).__name__)


def _fixed(name: str, function: Callable[..., Any]) -> Any:
    """Wrap a function in an object without attributes: a payload can call it and change nothing about it."""
    members = {
        "__slots__": (),
        "is_guarded": True,  # for `makes_others` of _schema/plans.py
        "__call__": staticmethod(function),
        "__doc__": function.__doc__,
        "__setattr__": _keep,  # `__class__` is an attribute, too
        "__delattr__": _keep,
    }
    return type(name, (), members)()


def _keep(self: object, *_: object) -> None:
    raise AttributeError("a guarded function has no attributes to set")


# Global as the payload names it -> what it gets.
GUARDED: dict[str, Any] = {
    "builtins:bytearray": _fixed("bytearray", _bytearray),
    "builtins:getattr": _fixed("getattr", _getattr),
    "builtins:type": _fixed("type", _type),
    "_functools:reduce": _fixed("reduce", _reduce),
    "_operator:getitem": _fixed("getitem", _getitem),
    "_operator:or_": _fixed("or_", _or),
    "re:_compile": _fixed("_compile", _re_compile),
    **{f"pickleseal:{name}": _fixed(name, getattr(arrays, name)) for name in arrays.__all__},
}
