"""The first look of level `guarded`: whether a payload calls and changes only what its rules and presets permit.

It runs the same pickle in the same unpickler, as a dry run does, with stand-ins that do next to nothing: most of it
happens in C. It sees two things: what REDUCE calls, and what BUILD gives a state. Whatever is not as in honest pickles,
also where it might be harmless, raises somewhere, and then a dry run decides (`dryrun`). Only classes, listed
functions and what presets vouch for may be among the globals: of another function nobody knows what it returns.
"""

from collections.abc import Sequence
from typing import Any

from .._payload.unpickler import Resolved, new_unpickler
from .allow_list import CALL, STATE, Entry, is_function, limits_of
from .traits import kind_of, limited, traits_of


class _NotPermittedError(Exception):
    """The payload does something of which a dry run has to find out whether it may."""


def _refuse(self: Any, *args: Any) -> Any:
    raise _NotPermittedError


def _accept(self: Any, *args: Any) -> None:
    pass


_empty: Any = object.__new__


class _Class(type):
    """The class of what stands for classes: REDUCE comes to `__call__`, and BUILD of a class finds `__setstate__`."""

    may_call = False

    def __call__(cls, *args: Any) -> Any:
        if cls.may_call:
            return _empty(cls)
        raise _NotPermittedError

    __setstate__ = append = extend = add = property(_refuse)
    __setitem__ = _refuse


class _Object(metaclass=_Class):
    """An object. NEWOBJ makes it in C, whatever the arguments are, and BUILD fills its `__dict__` in C."""

    __init__ = _accept


class _Shared(metaclass=_Class):
    """What other objects may refer to as well, and what no honest pickle changes: it gets no state and no items."""

    __setstate__ = _refuse


class _Function(_Shared):
    """A function that may be called, and what it returns."""

    made: type

    def __call__(self, *args: Any) -> Any:
        return _empty(self.made)


def _function(made: type) -> Any:
    function = _empty(_Function)
    function.made = made
    return function


_VALUE = _empty(_Shared)
_GIVES_SHARED, _GIVES_NEW = _function(_Shared), _function(type("_New", (_Shared,), {"__setstate__": _accept}))


def _stand_in_of_class(cls: Any, entry: Entry | None) -> Any:
    traits = traits_of("", cls)
    if entry is not None:
        traits = limited(traits, entry)
    if traits.kind == "enum":
        return _Class("Enum", (_Shared,), {"may_call": True, "__new__": _refuse})
    members: dict[str, Any] = {"may_call": bool(traits.call)}
    if traits.make == "none":
        members["__new__"] = _refuse
    if traits.state == "any":
        members["__setstate__"] = _accept
    members |= dict.fromkeys(traits.items, _accept)
    return _Class("Class", (_Object,), members)


def _stand_in(value: Any, entry: Entry | None) -> Any:
    if isinstance(value, type):
        found, key = kind_of(value).quick, None if entry is None else entry._replace(value=None)
        if key not in found:
            found[key] = _stand_in_of_class(value, entry)
        return found[key]
    if entry is None:
        return _GIVES_SHARED  # a function of this library, for arrays
    if not is_function(value) or entry.verbs is None or CALL not in entry.verbs:
        return _VALUE
    return _GIVES_NEW if STATE in entry.verbs else _GIVES_SHARED


def is_as_permitted(payload: bytes, buffers: Sequence[Any], resolved: Resolved) -> bool:
    """Return whether a payload calls only what it may, and changes only objects that it made. Runs no code of classes.

    No global is a function of which nothing is known (`traits.survey`).
    """
    limits = limits_of(resolved)
    table = {key: _stand_in(value, limits.get(key)) for key, value in resolved.items()}
    try:
        new_unpickler(payload, buffers, table).load()
    except Exception:  # whatever is unusual: a dry run says what it is
        return False
    return True
