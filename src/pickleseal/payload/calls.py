"""What is known of classes that payloads name: which calls are checked in a dry run, and which kinds need one.

A list of a range of a billion, bytes by a number, the text of a tower of tuples: none of these is what an honest pickle
asks for, and a few bytes are enough to ask. The checks see the arguments that the payload gave, inert objects among
them. Classes are known by their names, so that nothing is imported for it.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

from ..errors import ForbiddenOperationError
from ..schema.names import global_name
from .meter import Meter

__all__ = ["CLASSES", "FUNCTIONS", "Kind", "check_of", "kind_of", "needs_dry_run"]

Check = Callable[[Meter, tuple[Any, ...]], None]
_SIZED = (list, tuple, set, frozenset, dict, str, bytes, bytearray, memoryview)
_HEAP, _GC, _IMMUTABLE = 1 << 9, 1 << 14, 1 << 8  # CPython's Py_TPFLAGS_HEAPTYPE, _HAVE_GC, _IMMUTABLETYPE
_LAZY = frozenset({"builtins:range", "ipaddress:IPv4Network", "ipaddress:IPv6Network"})
# Types in C that hold objects and whose deallocation does not recurse without end, as tests show on each version.
_FLAT = frozenset({"builtins:object", "collections:OrderedDict", "types:SimpleNamespace", "types:GenericAlias"})


def _refuse(what: str, found: object) -> ForbiddenOperationError:
    return ForbiddenOperationError(f"the payload asks for {what}", None, type(found).__name__).at(20)


def _name(value: Any) -> str:
    """Return the global that an inert object stands for, or nothing for what is real."""
    name = getattr(type(value), "_global", "")
    return name if type(name) is str else ""


def _spend_for(meter: Meter, value: Any) -> None:
    """Spend what going through a value takes."""
    if type(value) in _SIZED:
        meter.spend(len(value))
    elif _name(value) == "builtins:range":
        numbers = value.parts
        if not 1 <= len(numbers) <= 3 or not all(type(n) is int for n in numbers):
            raise _refuse("a range of something else than numbers", value)
        size = range(*numbers)
        meter.spend((size[-1] - size[0]) // size.step + 1 if size else 0)  # len() is limited
    elif _name(value) in _LAZY:
        raise _refuse("all the addresses of a network", value)


def _copies(meter: Meter, args: tuple[Any, ...]) -> None:
    for arg in args:
        _spend_for(meter, arg)


def _bytes(meter: Meter, args: tuple[Any, ...]) -> None:
    if args and type(args[0]) is int:
        meter.spend(max(0, args[0]))
    _copies(meter, args)


def _text(meter: Meter, args: tuple[Any, ...]) -> None:
    """`str` and its like. Text made out of bytes would be names that nobody finds in the payload."""
    if args and type(args[0]) not in (str, int, float, bool, type(None)):
        raise _refuse("the text of an object", args[0])
    _copies(meter, args)


def _number(meter: Meter, args: tuple[Any, ...]) -> None:
    """`int` and `Fraction`, which write out all digits of `Decimal("1e999999999")`."""
    for arg in args:
        if _name(arg) == "decimal:Decimal" or (type(arg) in (str, bytes) and len(arg) > 10_000):
            raise _refuse("a number of a billion digits", arg)


def _fraction(meter: Meter, args: tuple[Any, ...]) -> None:
    if args and type(args[0]) is str and "e" in args[0].lower():
        raise _refuse("a fraction with an exponent", args[0])
    _number(meter, args)


def _object_array(meter: Meter, args: tuple[Any, ...]) -> None:
    if args and type(args[0]) is tuple:
        size = 1
        for length in args[0]:
            size = min(size * length, 2**63) if type(length) is int and length >= 0 else size
        meter.spend(size)


CLASSES: dict[str, Check] = {
    **{f"builtins:{name}": _copies for name in ("dict", "frozenset", "list", "set", "tuple")},
    **{f"collections:{name}": _copies for name in ("Counter", "OrderedDict", "UserDict", "UserList", "deque")},
    "array:array": _copies,
    "builtins:bytearray": _bytes,
    "builtins:bytes": _bytes,
    "builtins:int": _number,
    "builtins:str": _text,
    "collections:UserString": _text,
    "collections:defaultdict": _copies,
    "fractions:Fraction": _fraction,
}
FUNCTIONS: dict[str, Check] = {"builtins:bytearray": _bytes, "pickleseal:rebuild_object_array": _object_array}
# Those among them that do harm with what else is on the list, even where objects cannot be copied without end.
_HARMFUL = frozenset({"builtins:bytes", "builtins:str", "collections:UserString", "fractions:Fraction"})


def check_of(cls: type) -> str | None:
    """Return which of `CLASSES` a class is when it is called: itself, or the base that makes its objects."""
    for base in cls.__mro__:
        if (name := global_name(base)) in CLASSES:
            return name
        if "__new__" in base.__dict__ or "__init__" in base.__dict__:
            return None
    return None


class Kind:
    """What a class is, as far as trust levels are concerned. Computed once for each."""

    __slots__ = ("grows", "is_deep", "is_enum", "is_lazy", "is_mutable", "needs_dry_run")

    def __init__(self, cls: type) -> None:
        names = [global_name(base) for base in cls.__mro__]
        self.is_enum = issubclass(cls, enum.Enum)
        self.is_lazy = not _LAZY.isdisjoint(names)
        self.grows = check_of(cls) is not None
        # Its attributes can be set, by a state for the class itself.
        self.is_mutable = bool(cls.__flags__ & _HEAP) and not cls.__flags__ & _IMMUTABLE
        self.is_deep = not self.is_mutable and _is_deep(cls, names[0])
        # Its objects can be called, its members come into being while it is used, or its calls do harm.
        is_callable = any("__call__" in base.__dict__ for base in cls.__mro__)
        is_flag = issubclass(cls, enum.Flag)
        self.needs_dry_run = is_callable or is_flag or (self.grows and not _HARMFUL.isdisjoint(names))


def _is_deep(cls: type, name: str) -> bool:
    """Tell whether a chain of objects of a type in C may be too long for the stack when it is deallocated."""
    if not cls.__flags__ & _GC or issubclass(cls, BaseException) or name in _FLAT:
        return False
    return cls not in (list, tuple, dict, set, frozenset)


_kinds: dict[int, tuple[ref[type], Kind]] = {}  # by id: no code of a metaclass runs to hash a class


def kind_of(cls: type) -> Kind:
    """Return what a class is."""
    found = _kinds.get(id(cls))
    if found is None or found[0]() is not cls:
        key = id(cls)
        found = _kinds[key] = ref(cls, lambda _: _kinds.pop(key, None)), Kind(cls)
    return found[1]


# Functions that check their arguments themselves, and return nothing that can be called or is shared.
_ALONE = frozenset(("builtins:bytearray", "builtins:type", "re:_compile", "array:_array_reconstructor")) | frozenset(
    f"pickleseal:{name}"
    for name in ("fill_object_array", "rebuild_array", "rebuild_dtype", "rebuild_object_array", "rebuild_scalar")
)


def needs_dry_run(resolved: Mapping[tuple[str, str], Any]) -> bool:
    """Tell whether a payload with these globals can do more than make objects, so that what it does is to be seen.

    That is so where objects or what a function returned may be called, where names can be made out of bytes, and
    where something without bounds may be copied into memory.
    """
    grows = is_lazy = False
    for (module, name), value in resolved.items():
        if not isinstance(value, type):
            if f"{module}:{name}" not in _ALONE:
                return True
            continue
        kind = kind_of(value)
        if kind.needs_dry_run:
            return True
        grows = grows or kind.grows
        is_lazy = is_lazy or kind.is_lazy
    return grows and is_lazy
