"""Which calls a dry run checks, what they may cost, and which classes and functions make a dry run necessary.

A list of a range of a billion, bytes made from a number, the text of deeply nested tuples: no honest pickle asks for
one of these, and a few bytes are enough to ask. The checks get the arguments that the payload gave, inert objects among
them. Classes are known by their names, so that nothing is imported, and no code of theirs runs.
"""

import enum
import importlib
from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

from .._schema.names import global_name
from ..errors import ForbiddenOperationError, Hint, LimitExceededError

MOST_COLLISIONS = 1000  # different numbers with the same hash: honest payloads have none


class Meter:
    """The budget of one dry run for copies and hashes, and the objects it made that must not be nested too deep."""

    __slots__ = ("_numbers", "deep", "has_set_results", "left", "max_depth")

    def __init__(self, budget: int, max_depth: int) -> None:
        self.left = budget
        self.max_depth = max_depth
        self.has_set_results = False  # whether a function's result got a state: it may have been a class
        self._numbers: dict[int, set[Any]] = {}
        self.deep: list[Any] = []  # objects whose deallocation recurses in C

    def spend(self, amount: int) -> None:
        """Spend steps, before the work that they pay for."""
        self.left -= amount
        if self.left < 0:
            raise out_of_proportion("copies or hashes")

    def note(self, number: Any) -> None:
        """Note a number that is hashed."""
        same = self._numbers.setdefault(hash(number), set())
        same.add(number)
        if len(same) > MOST_COLLISIONS:
            reason, expected = "numbers with the same hash", f"at most {MOST_COLLISIONS}"
            raise LimitExceededError(reason, expected, where="payload").at(20)


def out_of_proportion(what: str) -> LimitExceededError:
    """Return the error for a payload that does something for too long."""
    hint = "do not load this, unless you know who wrote it; a writer that you trust can sign it"
    return LimitExceededError(f"the payload {what} out of proportion to its length", hint=hint, where="payload").at(20)


def too_deep(max_depth: int) -> LimitExceededError:
    """Return the error for a payload that nests too deep."""
    hint = Hint(
        "Policy(limits=Limits(max_depth=...)) allows more, if the C stack has room for it",
        "max_depth under [limits] in a --policy file allows more, if the C stack has room for it",
    )
    return LimitExceededError("the payload nests too deep", f"at most {max_depth}", None, hint, "payload").at(20)


Check = Callable[[Meter, tuple[Any, ...]], None]
_SIZED = (list, tuple, set, frozenset, dict, str, bytes, bytearray, memoryview)
_HEAP, _GC, _IMMUTABLE = 1 << 9, 1 << 14, 1 << 8  # CPython's Py_TPFLAGS_HEAPTYPE, _HAVE_GC, _IMMUTABLETYPE
_NUMPY = "an object of numpy"  # what inert objects of `dryrun` stand for
_RESULTS = ("what a function returned", "what stands for another object")
NESTED = (tuple, list, dict, set, frozenset)
# Numbers whose hashes an attacker can choose, and whose calls do no more than make them.
NUMBERS = frozenset({"builtins:complex", "builtins:int", "decimal:Decimal", "fractions:Fraction", "uuid:UUID"})
_LAZY = frozenset({"builtins:range", "ipaddress:IPv4Network", "ipaddress:IPv6Network"})
# Types in C that hold objects and whose deallocation does not recurse without end, as tests show on each version.
_FLAT = frozenset({"builtins:object", "collections:OrderedDict", "types:SimpleNamespace"})
# These do recurse; an alias does where an attribute is looked up.
_DEEP = frozenset({"collections:defaultdict", "collections:deque", "types:GenericAlias"})


def _refuse(what: str, found: object) -> ForbiddenOperationError:
    return ForbiddenOperationError(f"the payload asks for {what}", None, type(found).__name__).at(20)


def _name(value: Any) -> str:
    """Return the global that an inert object stands for; an empty text for a real object."""
    name = getattr(type(value), "stands_for", "")
    return name if type(name) is str else ""


def _spend_for(meter: Meter, value: Any) -> None:
    """Spend what going through a value takes; of what was made by a call, what that call took."""
    name = _name(value)
    if type(value) in _SIZED:
        meter.spend(len(value))
    elif name == "builtins:range":
        numbers = value.parts
        if not 1 <= len(numbers) <= 3 or not all(type(n) is int for n in numbers):
            raise _refuse("a range of something else than numbers", value)
        size = range(*numbers)
        meter.spend((size[-1] - size[0]) // size.step + 1 if size else 0)  # len() is limited
    elif name in _LAZY:
        raise _refuse("all the addresses of a network", value)
    elif name == _NUMPY:
        _spend_for_array(meter, value.parts)
    elif name in _RESULTS or (name and getattr(type(value), "call_check", None) is not None):
        meter.spend(1 + len(value.parts) + value.size)


def _spend_for_array(meter: Meter, parts: Any) -> None:
    for part in parts:
        if type(part) is tuple:  # its shape, or a description
            _spend_for_shape(meter, part)


def _spend_for_shape(meter: Meter, shape: tuple[Any, ...]) -> None:
    size = 1
    for length in shape:
        size = min(size * length, 2**63) if type(length) is int and length >= 0 else size
    meter.spend(size)


def _copies(meter: Meter, args: tuple[Any, ...]) -> None:
    for arg in args:
        _spend_for(meter, arg)


def spend_for_nested(meter: Meter, args: tuple[Any, ...], kinds: tuple[type, ...] = NESTED) -> None:
    """Spend what hashing, comparing or printing arguments takes: 60 nested pairs of one object are 2^60 objects."""
    level, depth = [arg for arg in args if type(arg) in kinds], 0
    while level:
        depth += 1
        if depth > meter.max_depth:
            raise too_deep(meter.max_depth)
        below: list[Any] = []
        for part in level:
            meter.spend(1 + len(part) // 2)
            below += [item for item in part if type(item) in kinds]
            if type(part) is dict:
                below += [item for item in part.values() if type(item) in kinds]
        level = below


def note_number(meter: Meter, name: str, parts: Any) -> None:
    """Note a number that is hashed and was made by a call of plain values, as `check_hashes` notes plain integers."""
    if all(type(part) in (str, int, float) for part in parts):
        module, _, qualname = name.partition(":")
        try:  # one of NUMBERS: what is imported here is of the standard library, in the helper process as well
            number = getattr(importlib.import_module(module), qualname)(*parts)
        except (TypeError, ValueError, ArithmeticError):
            return  # it will be raised where the payload runs
        meter.note(number)


def _pairs(meter: Meter, args: tuple[Any, ...]) -> None:
    """`dict` and its like, which call the `keys` of what they get, an attribute of the object as well."""
    for arg in args:
        for part in getattr(arg, "parts", ()) if _name(arg) else ():
            for state in part if type(part) is tuple else (part,):
                if "keys" in (state if type(state) is dict else getattr(state, "parts", ())):
                    raise _refuse("a dict of what brings its own keys()", arg)
    _copies(meter, args)


def _bytes(meter: Meter, args: tuple[Any, ...]) -> None:
    if len(args) > 1 or (args and getattr(type(args[0]), "call_check", None) is _number):
        raise _refuse("bytes of a text in some encoding, or by an odd number", args[-1])
    if args and type(args[0]) is int:
        meter.spend(max(0, args[0]))
    _copies(meter, args)


def _text(meter: Meter, args: tuple[Any, ...]) -> None:
    """`str` and its like. Text made out of bytes would be names that nobody finds in the payload."""
    if args and type(args[0]) not in (str, int, float, bool, type(None)):
        raise _refuse("the text of an object", args[0])
    _copies(meter, args)


def _number(meter: Meter, args: tuple[Any, ...]) -> None:
    """`int` and `Fraction`, which write out all digits of `Decimal("1e999999999")`, or of a text that a call made."""
    for arg in args:
        if _name(arg) or (type(arg) in (str, bytes) and len(arg) > 10_000):
            raise _refuse("a number of a billion digits", arg)


def _fraction(meter: Meter, args: tuple[Any, ...]) -> None:
    if args and type(args[0]) is str and "e" in args[0].lower():
        raise _refuse("a fraction with an exponent", args[0])
    words = [arg.bit_length() // 64 for arg in args if type(arg) is int]
    meter.spend(min(words) * max(words) // 64 if len(words) > 1 else 0)  # the greatest common divisor
    _number(meter, args)


def _decimal(meter: Meter, args: tuple[Any, ...]) -> None:
    for arg in args:
        if type(arg) is int:
            meter.spend((arg.bit_length() // 64) ** 2 // 64)  # into digits
    _copies(meter, args)


def _object_array(meter: Meter, args: tuple[Any, ...]) -> None:
    if args and type(args[0]) is tuple:
        _spend_for_shape(meter, args[0])


def _described(meter: Meter, args: tuple[Any, ...]) -> None:
    """Our own rebuild functions: the parts of a dtype's description, bytes that are copied, items that are stored."""
    for arg in args[1:]:
        if type(arg) in (bytes, list):
            meter.spend(len(arg))
    _dtype_of(meter, args)


def _dtype_of(meter: Meter, args: tuple[Any, ...]) -> None:
    left = [*args[:1]]
    while left:
        part = left.pop()
        meter.spend(1)
        if type(part) is tuple:
            meter.spend(10)
            left += part


CLASSES: dict[str, Check] = {
    **{f"builtins:{name}": _copies for name in ("frozenset", "list", "set", "tuple")},
    **{f"collections:{name}": _copies for name in ("UserList", "deque")},
    **{f"collections:{name}": _pairs for name in ("Counter", "OrderedDict", "UserDict", "defaultdict")},
    "builtins:dict": _pairs,
    "array:array": _copies,
    "builtins:bytearray": _bytes,
    "builtins:bytes": _bytes,
    "builtins:int": _number,
    "builtins:str": _text,
    "collections:UserString": _text,
    "builtins:BaseExceptionGroup": _copies,
    "decimal:Decimal": _decimal,
    "fractions:Fraction": _fraction,
    "time:struct_time": _copies,
}


def _pattern(meter: Meter, args: tuple[Any, ...]) -> None:
    """Ranges of characters are gone through one by one, where case is ignored: 65,536 of them at most."""
    for pattern in args[:1]:
        if type(pattern) is str and not (pattern.isascii() and "\\u" not in pattern.lower()):
            meter.spend(4000 * pattern.count("-"))


def _union(meter: Meter, args: tuple[Any, ...]) -> None:
    """Each type of a union is compared with each, whenever one is added."""
    types, left = 0, [*args]
    while left:
        part = left.pop()
        meter.spend(1)
        if type(part) is tuple:
            left += part
        elif _name(part) in _RESULTS:
            left += part.parts
        else:
            types += 1
    meter.spend(types**2 // 16)


FUNCTIONS: dict[str, Check] = {
    "_functools:reduce": _union,
    "_operator:or_": _union,
    "builtins:bytearray": _bytes,
    "pickleseal:fill_object_array": _described,
    "pickleseal:rebuild_array": _dtype_of,
    "pickleseal:rebuild_dtype": _dtype_of,
    "pickleseal:rebuild_object_array": _object_array,
    "pickleseal:rebuild_scalar": _described,
    "re:_compile": _pattern,
}
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


_GROWS, _IS_LAZY, _IS_INT, _IS_DECIMAL, _NEEDS = 1, 2, 4, 8, 16
_TOGETHER = _GROWS | _IS_LAZY, _IS_INT | _IS_DECIMAL  # harmless each, and not together


class Kind:
    """What a class is, as far as trust levels are concerned. Computed once for each."""

    __slots__ = ("flags", "inert", "is_deep", "is_enum", "is_mutable")

    def __init__(self, cls: type) -> None:
        names = [global_name(base) for base in cls.__mro__]
        self.is_enum = issubclass(cls, enum.Enum)
        self.inert: Any = None  # what stands for it in a dry run, once there was one
        # Its attributes can be set, by a state for the class itself.
        self.is_mutable = bool(cls.__flags__ & _HEAP) and not cls.__flags__ & _IMMUTABLE
        in_c = not self.is_mutable or "n_sequence_fields" in cls.__dict__ or names[0] in _DEEP
        self.is_deep = in_c and _is_deep(cls, names[0])
        grows = check_of(cls) is not None
        self.flags = _GROWS * grows | _IS_LAZY * (not _LAZY.isdisjoint(names))
        self.flags |= _IS_INT * (cls is int) | _IS_DECIMAL * (names[0] == "decimal:Decimal")
        # Its objects can be called, its members come into being while it is used, or its calls do harm.
        is_callable = any("__call__" in base.__dict__ for base in cls.__mro__)
        is_flag = issubclass(cls, enum.Flag)
        # What a text of a class of its own is equal to, nobody finds in the payload.
        is_text = issubclass(cls, str) and cls is not str and not self.is_enum
        needs = is_callable or is_flag or is_text or (grows and not _HARMFUL.isdisjoint(names))
        self.flags |= _NEEDS * needs


def _is_deep(cls: type, name: str) -> bool:
    """Return whether a chain of objects of a type in C may be too long for the stack when it is deallocated."""
    if not cls.__flags__ & _GC or issubclass(cls, BaseException) or name in _FLAT:
        return False
    return cls not in (list, tuple, dict, set, frozenset)


# What is known of each class, by its id: no code of a metaclass runs to hash it. An entry is used only while its weak
# reference leads to that very class, and goes when the class does.
kinds: dict[int, tuple[ref[type], Kind]] = {}


def kind_of(cls: type) -> Kind:
    """Return what a class is."""
    found = kinds.get(id(cls))
    if found is None or found[0]() is not cls:
        key = id(cls)
        found = kinds[key] = ref(cls, lambda gone: _forget(key, gone)), Kind(cls)
    return found[1]


def _forget(key: int, gone: ref[type]) -> None:
    if (found := kinds.get(key)) is not None and found[0] is gone:
        kinds.pop(key, None)


# Functions that check their arguments themselves, and return nothing that can be called or is shared.
_ALONE = frozenset(("builtins:bytearray", "builtins:type", "re:_compile", "array:_array_reconstructor")) | frozenset(
    f"pickleseal:{name}"
    for name in ("fill_object_array", "rebuild_array", "rebuild_dtype", "rebuild_object_array", "rebuild_scalar")
)


def survey(resolved: Mapping[tuple[str, str], Any]) -> tuple[bool, list[type], bool]:
    """Say whether a payload with these globals can do more than make objects, so that what it does is to be seen.

    That is so where objects or what a function returned may be called, where names can be made out of bytes, and
    where something without bounds may be copied into memory. Beside it: the classes that a payload could change, and
    whether there are functions, whose results may be such classes.
    """
    flags, changeable, has_functions = 0, [], False
    for key, value in resolved.items():
        if isinstance(value, type):
            kind = kind_of(value)
            flags |= kind.flags
            if kind.is_mutable:
                changeable.append(value)
        elif f"{key[0]}:{key[1]}" not in _ALONE:
            has_functions = True
    needs = has_functions or bool(flags & _NEEDS) or any(flags & both == both for both in _TOGETHER)
    return needs, changeable, has_functions
