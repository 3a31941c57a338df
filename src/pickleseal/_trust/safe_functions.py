"""Safe functions: what a payload gets for a global that honest pickles need, and that would be dangerous as it is.

Each one does the single harmless thing that pickles need it for, and refuses the rest with `UntrustedGlobalError` at
step 20. A payload gets them as objects without attributes: it can call them and change nothing about them. They need
no trust. This module must not hand out the real function.
"""

import copyreg
import enum
import functools
import operator
import sys
import types
import typing
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._payload import arrays
from .._schema.names import global_name
from ..errors import ForbiddenOperationError, LimitExceededError, UntrustedGlobalError, printable
from .shapes import LONGEST_PATTERN

_TYPES = (type, types.GenericAlias, types.UnionType, types.NoneType)
# Classes whose values stand beside the state of an object.
_BASES = (object, int, float, str, bytes, tuple, list, dict, set, frozenset, complex)


_OTHERWISE = 'when packing, store something else in its place; signed artifacts may have it, at level "signed"'


def _misused(what: str, expected: str, found: str) -> UntrustedGlobalError:
    return UntrustedGlobalError(f"the payload asks for {what}", expected, found, _OTHERWISE).at(20)


def no_such_method(where: str, name: str) -> UntrustedGlobalError:
    """Return the error for a method of the class `where`, or for another attribute, that no payload gets."""
    expected = "a method of a class that you trust, whose name does not begin with two underscores"
    return _misused("a method that no payload gets", expected, f"{where}.{printable(name, 80)}")


def _getattr(owner: object, name: object) -> Any:
    """Stand in for `getattr`, which time zones need: `(ZoneInfo, "_unpickle")` and nothing else."""
    from zoneinfo import ZoneInfo

    if owner is ZoneInfo and type(name) is str and name == "_unpickle":
        return ZoneInfo._unpickle  # type: ignore[attr-defined]
    cls = owner if isinstance(owner, type) else type(owner)
    raise no_such_method(global_name(cls), name if type(name) is str else type(name).__name__)


def method_of(owner: Any, name: Any) -> Any:
    """Return a bound method of an object; of a class, what is bound to the class, or a member of an enum; else None.

    None for a name that begins with two underscores, for a property, and for an attribute of the object itself: the
    look-up runs no code. A method in C can be had of a class, too: `str.split`.
    """
    if type(name) is not str or (name.startswith("__") and name != "__call__"):
        return None
    is_class = isinstance(owner, type)
    cls = owner if is_class else type(owner)
    if is_class and issubclass(cls, enum.Enum) and name in cls.__members__:
        return cls.__members__[name]
    for base in cls.__mro__:
        if name in base.__dict__:
            method = base.__dict__[name]
            kind = type(method)
            is_method = kind in _METHODS or (kind is types.FunctionType and not is_class) or kind.__name__ == _CYTHON
            return method.__get__(None if is_class else owner, cls) if is_method else None
    return None


_METHODS = (classmethod, staticmethod, types.ClassMethodDescriptorType, types.MethodDescriptorType)
_CYTHON = "cython_function_or_method"


def attributes_of(has_methods: Callable[[type], bool]) -> Any:
    """Return what stands in for `getattr` in a payload: methods of the classes for which the function returns True."""

    def find(owner: Any, name: Any) -> Any:
        cls = owner if isinstance(owner, type) else type(owner)
        method = method_of(owner, name) if has_methods(cls) else None
        return _getattr(owner, name) if method is None else method

    return _safe("getattr", find)


def _type(value: object) -> type:
    """Stand in for `type`, which `type(None)` and the like need: the type of a singleton and nothing else."""
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


def _reduce(function: Any, items: Any) -> Any:
    """Stand in for `functools.reduce`, by which `int | None` is pickled: `(or_, a tuple of types)` only."""
    if type(function) is type(SAFE_FUNCTIONS["_operator:or_"]) and type(items) is tuple and 1 < len(items) < 1000:
        return functools.reduce(_or, items)
    raise _misused("the reduction of something", "a union of types", type(function).__name__)


def _getitem(owner: Any, key: Any) -> Any:
    """Stand in for `operator.getitem`, by which `Box[int]` and `Optional[int]` are pickled: parameters of a type only.

    A class may have lost its parameters since, or have others. What tells of them is an alias all the same.
    """
    if isinstance(owner, type):
        if hasattr(owner, "__class_getitem__"):
            with suppress(TypeError):
                return owner[key]  # type: ignore[index]
        return types.GenericAlias(owner, key)
    known = vars(typing).get(getattr(owner, "_name", ""))
    if known is not None and known is owner:
        return known[key]
    raise _misused("an item of an object", "a generic class or a name of typing", type(owner).__name__)


def _re_compile(pattern: Any, flags: Any = 0) -> Any:
    """Stand in for `re._compile`, which prints where its flags say DEBUG: a pattern and flags only."""
    import re

    is_pattern = type(pattern) in (str, bytes) and len(pattern) <= LONGEST_PATTERN
    if is_pattern and isinstance(flags, int) and not int(flags) & re.DEBUG:
        return re.compile(pattern, flags)
    raise _misused("a pattern with odd arguments", "text and flags without DEBUG", type(pattern).__name__)


def object_arrays(most: int) -> Any:
    """Return what makes arrays of objects in a payload whose length is known: of at most `most` elements in all."""
    left = most

    def rebuild(shape: object, order: object) -> Any:
        nonlocal left
        left -= arrays.size_of(shape)
        if left < 0:
            reason = "the payload makes arrays of more objects than it can hold"
            raise LimitExceededError(reason, f"at most {most}", None, None, "payload").at(20)
        return arrays.rebuild_object_array(shape, order)

    return _safe("rebuild_object_array", rebuild)


def _encode(text: object, encoding: object = None) -> bytes:
    """Stand in for `codecs.encode`, by which protocols 0 to 2 make bytes: text to Latin-1, and nothing else."""
    if type(text) is str and encoding in ("latin1", "latin-1"):
        return text.encode("latin-1")
    raise _misused("the encoding of something", "text to latin1", str(encoding))


def _reconstructor(cls: object, base: object, state: object) -> Any:
    """Stand in for `copyreg._reconstructor`, by which protocols 0 and 1 make objects: of a class and a base of it."""
    if isinstance(cls, type) and not issubclass(cls, type) and base in _BASES and base in cls.__mro__:
        return copyreg._reconstructor(cls, base, state)  # type: ignore[attr-defined]
    raise _misused("an object that its class does not make", "a class and its base", type(cls).__name__)


def _keep(self: object, *_: object) -> None:
    raise AttributeError("a safe function has no attributes to set")


def _safe(name: str, function: Callable[..., Any]) -> Any:
    """Wrap a function in an object without attributes: a payload can call it and change nothing about it."""
    members = {
        "is_safe_function": True,  # plans ask for it
        "__slots__": (),
        "__call__": staticmethod(function),
        "__doc__": function.__doc__,
        "__setattr__": _keep,  # `__class__` is an attribute, too
        "__delattr__": _keep,
    }
    return type(name, (), members)()


# Global as the payload names it -> what the payload gets.
SAFE_FUNCTIONS: dict[str, Any] = {
    "builtins:bytearray": _safe("bytearray", _bytearray),
    "builtins:getattr": _safe("getattr", _getattr),
    "builtins:type": _safe("type", _type),
    "_functools:reduce": _safe("reduce", _reduce),
    "_operator:getitem": _safe("getitem", _getitem),
    "_operator:or_": _safe("or_", _or),
    "re:_compile": _safe("_compile", _re_compile),
    **{f"pickleseal:{function.__name__}": _safe(function.__name__, function) for function in arrays.REBUILD_FUNCTIONS},
}
# What pickles of protocols 0 to 2 call where later ones have opcodes. No artifact gets these; `convert` hands them out.
OLD_SAFE_FUNCTIONS: dict[str, Any] = {
    "_codecs:encode": _safe("encode", _encode),
    "copyreg:_reconstructor": _safe("_reconstructor", _reconstructor),
}
_NAMES = {id(function): name for name, function in (SAFE_FUNCTIONS | OLD_SAFE_FUNCTIONS).items()}  # they live for ever


def name_of_safe(value: object) -> str | None:
    """Return the global for which a safe function stands; None for any other value."""
    return _NAMES.get(id(value))


class NewResults:
    """Stands in for a function of the caller whose results the payload changes: these have to be new objects.

    A function may return a class, or an object that others have as well. Such an object must not get a state from a
    payload. It is new if nothing else refers to it.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        made = self._function(*args)
        if sys.getrefcount(made) > _UNSHARED:
            name = getattr(self._function, "__qualname__", "a function")
            reason = f"the payload changes what {name} returned"
            found = f"{type(made).__name__} that the program refers to as well"
            raise ForbiddenOperationError(reason, "a new object", found).at(20)
        return made


def _references_of_a_new_object() -> int:
    made = object()
    return sys.getrefcount(made)


_UNSHARED = _references_of_a_new_object()
