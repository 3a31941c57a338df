"""The text of a value that is written on a class: the value of an enum's member, or a default (spec 6.2).

Values of one text are equal, so texts are compared in place of values. It calls no code of a value but the `repr` of a
few types of the standard library.
"""

import enum
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, SimpleNamespace
from typing import Any

from .._format.checksum import checksum_hex
from .names import global_name, usual_name

_LONGEST = 1000  # characters of a text that is kept as it is
_DEEPEST = 8
_MOST = 10_000  # values within one value: a payload may share a list so that it is met without end
# Types of the standard library whose repr says all of the value, on every Python version.
_WITH_FULL_REPR = frozenset(
    {
        *("datetime:date", "datetime:time", "datetime:timedelta", "datetime:timezone", "decimal:Decimal"),
        *("fractions:Fraction", "uuid:UUID", "builtins:complex", "builtins:range", "datetime:datetime"),
    }
)


_PATHS = frozenset(f"pathlib:{name}" for name in ("PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath"))


class _NoTextError(Exception):
    """No text says all of a value."""


def value_text(value: Any) -> str:
    """Return the text of a value that never changes, or "" if no text says all of it.

    The empty text takes no part in comparisons.
    """
    return _Texts(False).of(value)


def member_text(value: Any) -> str:
    """Return the text of the value of an enum's member. Lists, sets, dicts, dataclasses and names have one, too.

    For a default they have none: a list on a class may change while a program runs.
    """
    return _Texts(True).of(value)


class _Texts:
    """Makes the text of one value."""

    def __init__(self, of_members: bool) -> None:
        self._of_members = of_members
        self._left = _MOST

    def of(self, value: Any) -> str:
        try:
            return self._text(value, 0)
        except (_NoTextError, ValueError):  # ValueError: an integer of thousands of digits
            return ""

    def _text(self, value: Any, depth: int) -> str:
        cls = type(value)
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise _NoTextError
        if value is None or cls in (bool, int, float, str, bytes):
            return _short(ascii(value))  # repr differs with the Unicode tables of a Python
        if cls is tuple:
            return self._tuple(value, depth)
        if cls is frozenset:
            return _short(f"frozenset({{{self._sorted(value, depth)}}})" if value else "frozenset()")
        if global_name(cls) in _WITH_FULL_REPR:
            zone = getattr(value, "tzinfo", None)
            if zone is None or global_name(type(zone)) == "datetime:timezone":
                return _short(repr(value))
        if not self._of_members:
            raise _NoTextError
        return _short(self._of_member(value, cls, depth))

    def _of_member(self, value: Any, cls: Any, depth: int) -> str:
        if cls is list:
            return f"[{', '.join(self._text(item, depth + 1) for item in value)}]"
        if cls is set:
            return f"{{{self._sorted(value, depth)}}}" if value else "set()"
        if cls is dict:
            pairs = [(self._text(key, depth + 1), self._text(item, depth + 1)) for key, item in value.items()]
            return f"{{{', '.join(f'{key}: {item}' for key, item in sorted(pairs))}}}"
        if issubclass(cls, enum.Enum):
            name = _attribute(value, cls, "_name_")
            if type(name) is str:  # combined flags may have none
                return f"{cls.__qualname__}.{name}"
        if cls in (type, FunctionType, BuiltinFunctionType) and "<" not in value.__qualname__:
            return str(value.__qualname__)
        if usual_name(global_name(cls)) in _PATHS:
            return repr(value)
        if global_name(cls) == "re:Pattern":
            return f"re.compile({value.pattern!a}, {value.flags})"
        if cls is SimpleNamespace:
            pairs = sorted((name, self._text(item, depth + 1)) for name, item in vars(value).items())
            return f"namespace({', '.join(f'{name}={item}' for name, item in pairs)})"
        if issubclass(cls, tuple) and isinstance(vars(cls).get("_fields"), tuple):  # equal to the tuple of its items
            return self._tuple(tuple.__iter__(value), depth)
        if "__dataclass_fields__" in vars(cls):
            names = [name for name, field in vars(cls)["__dataclass_fields__"].items() if field.compare]
            pairs = [(name, self._text(_attribute(value, cls, name), depth + 1)) for name in names]
            return f"{cls.__qualname__}({', '.join(f'{name}={item}' for name, item in pairs)})"
        raise _NoTextError

    def _tuple(self, items: Any, depth: int) -> str:
        texts = [self._text(item, depth + 1) for item in items]
        return _short(f"({', '.join(texts)}{',' if len(texts) == 1 else ''})")

    def _sorted(self, items: Any, depth: int) -> str:
        return ", ".join(sorted(self._text(item, depth + 1) for item in items))


def _short(text: str) -> str:
    """Return a text, or its length and checksum if it is long."""
    if len(text) <= _LONGEST:
        return text
    return f"{len(text)} characters, {checksum_hex(text.encode('utf-8'))}"


def _attribute(obj: Any, cls: type, name: str) -> Any:
    """Return what an object keeps under a name, past all code of its class."""
    kept = object.__getattribute__(obj, "__dict__") if cls.__dictoffset__ else {}
    if name in kept:
        return kept[name]
    slot = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if type(slot) is not MemberDescriptorType:
        raise _NoTextError
    try:
        return slot.__get__(obj, cls)
    except AttributeError:
        raise _NoTextError from None
