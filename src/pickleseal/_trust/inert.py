"""Inert objects: what a payload gets in a dry run in place of everything that it imports.

An inert class makes inert objects, which take what opcodes do to real ones (state, items, a hash) and do nothing else.
What no honest pickle does is refused: state for a class or a function, a second state, a class swapped by a
state, a call of an object. What small payloads do to be large (copies, `range` by the billion, hashes of towers) is
counted by the `Meter`, and refused beyond its budget.

No code of the real classes runs. Only what they are is looked at: their name, their bases, what they define.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import ForbiddenOperationError
from . import calls
from .allow_list import is_listed
from .meter import Meter
from .safe_functions import GUARDED
from .traits import TAKING, Traits, traits_of

__all__ = ["InertObject", "inert", "stand_in", "using"]

_OURS = threading.local()  # .meter: that of the dry run in this thread


class using:  # noqa: N801
    """Let the inert objects of this thread use a meter."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def __enter__(self) -> None:
        self.before = getattr(_OURS, "meter", None)  # a finalizer may load something within a dry run
        _OURS.meter = self.meter

    def __exit__(self, *exc: object) -> None:
        _OURS.meter = self.before


def _meter() -> Meter:
    meter: Meter = _OURS.meter
    return meter


def forbidden(what: str, found: str) -> ForbiddenOperationError:
    return ForbiddenOperationError(f"the payload {what}", None, found).at(20)


def _on_a_class(self: Any) -> Any:
    raise forbidden("changes a class or a function", self._global)


class _Inert(type):
    """The class of inert classes."""

    _global: str
    _check: Callable[[Meter, tuple[Any, ...]], None] | None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _make(cls, *args, **kwargs)

    def __setitem__(cls, key: object, value: object) -> None:
        raise forbidden("changes a class or a function", cls._global)

    # Properties of the metaclass come before what the class has for its instances.
    __setstate__ = append = extend = add = property(_on_a_class)


def _new(cls: Any, /, *args: Any, **kwargs: Any) -> Any:
    """`__new__` of inert classes of which the arguments matter: NEWOBJ comes here, a call does not."""
    if (args or kwargs) and not cls._makes:
        raise forbidden("makes an object with arguments that no pickler gives", cls._global)
    return _make(cls, *args, **kwargs)


def _make(cls: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Make an inert object as a call does."""
    meter = _meter()
    before = meter.left
    if cls._check is not None:
        if kwargs:
            raise forbidden("makes a value by names of arguments", cls._global)
        cls._check(meter, args)
    if args:
        # What is on the built-in list may hash or print them. Other classes answer for themselves; but the memo keeps
        # the tuples, and so they can make a tower.
        calls.spend_for_nested(meter, args, calls.NESTED if cls._is_ours else (tuple,))
    made = object.__new__(cls)
    made.parts = [*args, *kwargs.values()] if kwargs else [*args]
    made.size = before - meter.left
    if cls._is_deep:
        meter.deep.append(made)
    return made


class InertObject(metaclass=_Inert):
    """An object of an inert class, or what an inert function returned."""

    _global = "an object"
    _check = None
    _is_deep = False
    _is_ours = False
    _is_text = False
    _makes = False
    _built = False
    _takes: tuple[str, ...] = ()  # methods by which it takes items, which an attribute of its own would replace
    parts: list[Any] | tuple[()] = ()  # what it was made of
    size = 0  # what it took to make it

    def __setstate__(self, state: Any) -> None:
        if self._built:
            raise forbidden("sets the state of an object twice", self._global)
        self._built = True
        if type(state) is tuple:
            calls.spend_for_nested(_meter(), state, (tuple,))
        if type(state) is tuple and len(state) == 2:
            self._check_state(state[0])
            self._check_state(state[1], are_slots=True)
        else:
            self._check_state(state)
        self.parts = [*self.parts, state]

    def _check_state(self, state: Any, are_slots: bool = False) -> None:
        names = (_REFUSED if type(state) is dict and not are_slots else _REFUSED_SLOTS) + self._takes
        if type(state) is dict:
            _meter().spend(len(state))
            found = [name for name in names if name in state]
            if {*map(type, state)} != _TEXT:  # most states have plain names alone
                found += self._check_odd([key for key in state if type(key) is not str], names, are_slots)
        else:
            found = _held(state, names) if isinstance(state, InertObject) else []
        if found:
            raise forbidden(_GIVES.get(found[0], "gives an object a method"), self._global)

    def _check_odd(self, keys: list[Any], names: tuple[str, ...], are_slots: bool) -> list[str]:
        """Return which names are, or may be, equal to keys that are no plain text."""
        calls.spend_for_nested(_meter(), tuple(keys))  # BUILD hashes them again
        objects = [key for key in keys if isinstance(key, InertObject)]
        if objects and are_slots:  # what such a text is equal to is its own class's business
            raise forbidden("sets attributes by names that are no plain text", self._global)
        return [name for name in names if any(key._may_be(name) for key in objects)]

    def __call__(self, *args: Any) -> Any:
        raise forbidden("calls an object that is neither a class nor a function", self._global)

    def _may_be(self, name: str) -> bool:
        """Tell whether it is a text that is, or may be, equal to a name."""
        return name in self.parts or (self._is_text and _may_hold(self.parts, name))


# What a state must not name. Exceptions set each name of a plain dict as if it were a slot; pydantic has a `__dict__`.
_REFUSED: tuple[str, ...] = ("__setstate__", "__class__")
_REFUSED_SLOTS: tuple[str, ...] = (*_REFUSED, "__dict__")
_TEXT = {str}
_GIVES = {
    "__setstate__": "gives an object a __setstate__",
    "__class__": "swaps the class of an object",
    "__dict__": "swaps the class of an object",
}


def _held(state: Any, names: tuple[str, ...]) -> list[str]:
    """Return which names a state holds that is no plain dict (it was made by a call), as a key or elsewhere."""
    meter, left, seen = _meter(), [state], set()
    while left:
        part = left.pop()
        if type(part) is str and part in names:
            return [part]
        if id(part) in seen:
            continue
        meter.spend(1)
        if isinstance(part, InertObject):
            if found := [name for name in names if part._may_be(name)]:
                return found
            left += part.parts
        elif type(part) in (tuple, list, set, frozenset, dict):
            left += part
            if type(part) is dict:
                left += part.values()
        seen.add(id(part))
    return []


def _may_hold(parts: Iterable[Any], name: str) -> bool:
    """Tell whether a name is among some parts, or no text at all that could be told from it."""
    meter, texts, left = _meter(), 0, list(parts)
    while left:
        part = left.pop()
        meter.spend(1)  # it may refer to itself
        if type(part) is str:
            texts += 1
            if part == name:
                return True
        elif type(part) is dict:
            left += part.values()
        elif type(part) in (tuple, list):
            left += part
    return not texts


def _hash(self: Any) -> int:
    """Spend what hashing the real object may cost, once for each time that it is hashed."""
    meter, left = _meter(), [*self.parts]
    if self._global in calls.NUMBERS:
        calls.note_number(meter, self._global, self.parts)
    while left:
        part = left.pop()
        meter.spend(1)
        kind = type(part)
        if kind is tuple or kind is list or kind is frozenset:
            left += part
        elif kind is dict:
            left += part.values()
        elif isinstance(part, InertObject):
            left += part.parts
    return id(self) >> 4


def _append(self: Any, item: Any) -> None:
    if type(self.parts) is tuple:
        self.parts = []
    self.parts.append(item)


def _extend(self: Any, items: Any) -> None:
    if type(self.parts) is tuple:
        self.parts = []
    self.parts += items


def _set_item(self: Any, key: Any, value: Any) -> None:
    hash(key)
    _append(self, value)
    self.parts.append(key)


def _add(self: Any, item: Any) -> None:
    hash(item)
    _append(self, item)


_ITEMS: dict[str, Any] = dict(zip(TAKING, (_append, _extend, _set_item, _add), strict=True))


class InertMember(InertObject):
    """A member of an enum: there is one for all, so nothing may change it."""

    _global = "a member of an enum"

    def __setstate__(self, state: Any) -> None:
        raise forbidden("sets the state of a member of an enum", self._global)


class InertResult(InertObject):
    """What a function returned: anything."""

    _global = "what a function returned"

    def __setstate__(self, state: Any) -> None:
        _meter().has_set_results = True
        super().__setstate__(state)

    __hash__ = _hash
    append, extend, add, __setitem__ = _append, _extend, _add, _set_item


class InertValue(InertObject):
    """What refers to an object that others have as well, and hands attributes on to it: an alias, a method, a union."""

    _global = "what stands for another object"
    __hash__ = _hash

    def __setstate__(self, state: Any) -> None:
        raise forbidden("sets the state of what stands for another object", self._global)


class InertArray(InertObject):
    """An array, a scalar or a dtype of numpy, made by this library. A forged state of one reaches foreign memory."""

    _global = "an object of numpy"
    is_scalar = False
    __hash__ = _hash

    def __setstate__(self, state: Any) -> None:
        raise forbidden("sets the state of an object of numpy", self._global)

    def _may_be(self, name: str) -> bool:
        """Tell whether it is a text: a scalar whose bytes say the name, or one of a dtype that a call made."""
        if not self.is_scalar or len(self.parts) != 2:
            return False
        dtype, data = self.parts
        if type(dtype) is not str or type(data) is not bytes:
            return isinstance(dtype, InertObject) or isinstance(data, InertObject)
        return (
            "U" in dtype and data.decode(f"utf-32-{'be' if dtype[0] == '>' else 'le'}", "replace").rstrip("\0") == name
        )


class InertFunction:
    """A function. It can be called, and nothing else can be done to it."""

    __slots__ = ("_check", "_global")

    def __init__(self, name: str) -> None:
        self._global = name
        self._check = calls.FUNCTIONS.get(name)

    def __call__(self, *args: Any) -> Any:
        meter = _meter()
        before = meter.left
        if self._check is not None:
            self._check(meter, args)
        is_ours = self._global in GUARDED or is_listed(self._global)
        calls.spend_for_nested(meter, args, calls.NESTED if is_ours else (tuple,))
        if self._global == "builtins:getattr":
            return _attribute(*args)
        made: InertObject = InertResult()
        if self._global.startswith("pickleseal:"):
            made = array = InertArray()
            array.is_scalar = self._global == "pickleseal:rebuild_scalar"
        elif self._global in GUARDED:
            made = InertValue()
        made.parts = [*args]
        made.size = before - meter.left
        if self._global == "pickleseal:rebuild_object_array":
            meter.deep.append(made)
        return made

    __setstate__ = append = extend = add = property(_on_a_class)

    def __setitem__(self, key: object, value: object) -> None:
        raise forbidden("changes a class or a function", self._global)


def _attribute(owner: Any = None, name: Any = None, *_: Any) -> Any:
    """`getattr`: the method of a class may be called, that of an object is a value."""
    if type(name) is not str or not isinstance(owner, InertObject | _Inert):
        raise forbidden("asks for an attribute of something else than its classes and objects", "getattr")
    return InertFunction(name) if isinstance(owner, _Inert) else InertValue()


def inert(traits: Traits) -> Any:
    """Make what stands for a global in a dry run."""
    if traits.kind == "function":
        return InertFunction(traits.name)
    if traits.kind == "value":
        shared: Any = _Inert("InertMember", (InertMember,), {"_global": traits.name})
        return object.__new__(shared)
    if traits.kind == "enum":
        return _Inert(
            "InertEnum", (InertMember,), {"_global": traits.name, "_is_ours": True, "_makes": True, "__new__": _new}
        )
    check = calls.CLASSES.get(traits.check or "")
    members: dict[str, Any] = {item: _ITEMS[item] for item in traits.items}
    members["_takes"] = tuple(item for item in traits.items if item != "__setitem__")
    members |= {"_global": traits.name, "_check": check, "_is_deep": traits.is_deep, "_is_text": traits.is_text}
    members["_is_ours"] = check is not None or is_listed(traits.name)
    if traits.hash == "none":
        members["__hash__"] = None
    elif traits.hash == "own":
        members["__hash__"] = _hash
    if check is not None or traits.is_deep or traits.makes or traits.hash == "own":
        members |= {"__new__": _new, "_makes": traits.makes}
    base = InertValue if traits.name == "types:GenericAlias" else InertObject
    return _Inert("Inert", (base,), members)


_made: WeakKeyDictionary[type, Any] = WeakKeyDictionary()


def stand_in(name: str, value: Any) -> Any:
    """Return what stands for a global in a dry run in this process. Made once for each class."""
    if not isinstance(value, type):
        return inert(traits_of(name, value))
    found = _made.get(value)
    if found is None:
        found = _made[value] = inert(traits_of(name, value))
    return found
