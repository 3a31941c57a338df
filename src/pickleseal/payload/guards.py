"""Guarded functions: what a payload gets for a global that honest pickles need and that would be dangerous as it is.

Each does the one harmless thing that it is needed for, and refuses the rest as `UntrustedGlobalError` at step 20.
They are handed out as objects without attributes, so that a payload can call them and change nothing about them.
"""

from collections.abc import Callable
from typing import Any

from ..errors import UnpickleError, UntrustedGlobalError
from . import arrays

__all__ = ["GUARDED"]


def _misused(what: str, expected: str, found: str) -> UntrustedGlobalError:
    hint = "bound methods and the like cannot be loaded; if this came from outside, it is an attempt to get more"
    return UntrustedGlobalError(f"the payload asks for {what}", f"{expected} only", found, hint).at(20)


def _getattr(owner: object, name: object) -> Any:
    """Stand in for `getattr`, which time zones need: `(ZoneInfo, "_unpickle")` and nothing else."""
    from zoneinfo import ZoneInfo

    if owner is ZoneInfo and type(name) is str and name == "_unpickle":
        return ZoneInfo._unpickle  # type: ignore[attr-defined]
    found = name if type(name) is str else type(name).__name__
    raise _misused("an attribute", "ZoneInfo._unpickle", found)


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


def _re_compile(pattern: Any, flags: Any = 0) -> Any:
    """Stand in for `re._compile`, which prints where its flags say DEBUG: a pattern and flags only."""
    import re

    if type(pattern) in (str, bytes) and isinstance(flags, int) and not int(flags) & re.DEBUG:
        return re.compile(pattern, flags)
    raise _misused("a pattern with odd arguments", "text and flags without DEBUG", type(pattern).__name__)


def refuse_class(slots: Any) -> None:
    """Refuse slots that BUILD would set one by one, if the class of the object is among them."""
    if type(slots) is not dict or "__class__" in slots or "__dict__" in slots:
        raise UnpickleError("the payload sets the class of an object, or may", "slots by name", type(slots).__name__)


def _fixed(name: str, function: Callable[..., Any]) -> Any:
    """Wrap a function in an object without attributes: a payload can call it and change nothing about it."""
    members = {
        "__slots__": (),
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
    "re:_compile": _fixed("_compile", _re_compile),
    **{f"pickleseal:{name}": _fixed(name, getattr(arrays, name)) for name in arrays.__all__},
}
