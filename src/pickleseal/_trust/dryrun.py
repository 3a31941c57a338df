"""The dry run: the same pickle in the same unpickler, with inert objects in place of all that it imports.

It shows what a payload would do to the objects that it gets, and refuses what only an attacker asks for, before any
code of a class runs. It cannot show what that code does.

An inert class makes inert objects. They take what opcodes do to real ones (a state, items, a hash) and do nothing else.
They refuse what no honest pickle does: a state for a class or a function, a second state, a class swapped by a state,
a call of an object. The `Meter` counts what a small payload can ask for to become large (copies, a `range` of a
billion, hashes of nested tuples), and refuses what is beyond its budget. Of the real classes only the name, the bases
and what they define are looked at. This module must not run code of theirs.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .._payload.unpickler import Resolved, new_unpickler
from .._schema.names import global_name
from ..errors import ForbiddenOperationError, ReadError, UnpickleError, text_of
from . import calls
from .allow_list import is_listed
from .calls import Meter, too_deep
from .safe_functions import SAFE_FUNCTIONS

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


in_this_thread = threading.local()  # .meter: that of the dry run in work


class _Using:
    """Let the inert objects of this thread use a meter."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def __enter__(self) -> None:
        self.before = getattr(in_this_thread, "meter", None)  # a finalizer may load something within a dry run
        in_this_thread.meter = self.meter

    def __exit__(self, *exc: object) -> None:
        in_this_thread.meter = self.before


def _meter() -> Meter:
    meter: Meter = in_this_thread.meter
    return meter


def _forbidden(what: str, found: str) -> ForbiddenOperationError:
    return ForbiddenOperationError(f"the payload {what}", None, found).at(20)


def _on_a_class(self: Any) -> Any:
    raise _forbidden("changes a class or a function", self.stands_for)


class _Inert(type):
    """The class of inert classes."""

    stands_for: str
    call_check: Callable[[Meter, tuple[Any, ...]], None] | None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _make(cls, *args, **kwargs)

    def __setitem__(cls, key: object, value: object) -> None:
        raise _forbidden("changes a class or a function", cls.stands_for)

    # Properties of the metaclass come before what the class has for its instances.
    __setstate__ = append = extend = add = property(_on_a_class)


def _new(cls: Any, /, *args: Any, **kwargs: Any) -> Any:
    """`__new__` of inert classes of which the arguments matter: NEWOBJ comes here, a call does not."""
    if (args or kwargs) and not cls._makes:
        raise _forbidden("makes an object with arguments that no pickler gives", cls.stands_for)
    return _make(cls, *args, **kwargs)


def _make(cls: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Make an inert object as a call does."""
    meter = _meter()
    before = meter.left
    if cls.call_check is not None:
        if kwargs:
            raise _forbidden("makes a value by names of arguments", cls.stands_for)
        cls.call_check(meter, args)
    if args:
        # What is on the built-in list may hash or print them. Other classes answer for themselves; but the memo keeps
        # the tuples, so that later ones can hold them many times.
        calls.spend_for_nested(meter, args, calls.NESTED if cls._is_ours else (tuple,))
    made = object.__new__(cls)
    made.parts = [*args, *kwargs.values()] if kwargs else [*args]
    made.size = before - meter.left
    if cls._is_deep:
        meter.deep.append(made)
    return made


class InertObject(metaclass=_Inert):
    """An object of an inert class, or what an inert function returned."""

    stands_for = "an object"
    call_check = None
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
            raise _forbidden("sets the state of an object twice", self.stands_for)
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
            raise _forbidden(_GIVES.get(found[0], "gives an object a method"), self.stands_for)

    def _check_odd(self, keys: list[Any], names: tuple[str, ...], are_slots: bool) -> list[str]:
        """Return which names are, or may be, equal to keys that are no plain text."""
        calls.spend_for_nested(_meter(), tuple(keys))  # BUILD hashes them again
        objects = [key for key in keys if isinstance(key, InertObject)]
        if objects and are_slots:  # what such a text is equal to is its own class's business
            raise _forbidden("sets attributes by names that are no plain text", self.stands_for)
        return [name for name in names if any(key._may_be(name) for key in objects)]

    def __call__(self, *args: Any) -> Any:
        raise _forbidden("calls an object that is neither a class nor a function", self.stands_for)

    def _may_be(self, name: str) -> bool:
        """Return whether it is a text that is, or may be, equal to a name."""
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
    """Return whether a name is among some parts, or whether they hold no text at all, so that nobody knows."""
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
    if self.stands_for in calls.NUMBERS:
        calls.note_number(meter, self.stands_for, self.parts)
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

    stands_for = "a member of an enum"

    def __setstate__(self, state: Any) -> None:
        raise _forbidden("sets the state of a member of an enum", self.stands_for)


class InertResult(InertObject):
    """What a function returned: anything."""

    stands_for = "what a function returned"

    def __setstate__(self, state: Any) -> None:
        _meter().has_set_results = True
        super().__setstate__(state)

    __hash__ = _hash
    append, extend, add, __setitem__ = _append, _extend, _add, _set_item


class InertValue(InertObject):
    """What refers to an object that others have as well, and hands attributes on to it: an alias, a method, a union."""

    stands_for = "what stands for another object"
    __hash__ = _hash

    def __setstate__(self, state: Any) -> None:
        raise _forbidden("sets the state of what stands for another object", self.stands_for)


class InertArray(InertObject):
    """An array, a scalar or a dtype of numpy, made by this library. A forged state of one reaches foreign memory."""

    stands_for = "an object of numpy"
    is_scalar = False
    __hash__ = _hash

    def __setstate__(self, state: Any) -> None:
        raise _forbidden("sets the state of an object of numpy", self.stands_for)

    def _may_be(self, name: str) -> bool:
        """Return whether it may be that text: a scalar whose bytes spell the name, or whose dtype a call made."""
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

    __slots__ = ("call_check", "stands_for")

    def __init__(self, name: str) -> None:
        self.stands_for = name
        self.call_check = calls.FUNCTIONS.get(name)

    def __call__(self, *args: Any) -> Any:
        meter = _meter()
        before = meter.left
        if self.call_check is not None:
            self.call_check(meter, args)
        is_ours = self.stands_for in SAFE_FUNCTIONS or is_listed(self.stands_for)
        calls.spend_for_nested(meter, args, calls.NESTED if is_ours else (tuple,))
        if self.stands_for == "builtins:getattr":
            return _attribute(*args)
        made: InertObject = InertResult()
        if self.stands_for.startswith("pickleseal:"):
            made = array = InertArray()
            array.is_scalar = self.stands_for == "pickleseal:rebuild_scalar"
        elif self.stands_for in SAFE_FUNCTIONS:
            made = InertValue()
        made.parts = [*args]
        made.size = before - meter.left
        if self.stands_for == "pickleseal:rebuild_object_array":
            meter.deep.append(made)
        return made

    __setstate__ = append = extend = add = property(_on_a_class)

    def __setitem__(self, key: object, value: object) -> None:
        raise _forbidden("changes a class or a function", self.stands_for)


def _attribute(owner: Any = None, name: Any = None, *_: Any) -> Any:
    """`getattr`: the method of a class may be called, that of an object is a value."""
    if type(name) is not str or not isinstance(owner, InertObject | _Inert):
        raise _forbidden("asks for an attribute of something else than its classes and objects", "getattr")
    return InertFunction(name) if isinstance(owner, _Inert) else InertValue()


def inert(traits: Traits) -> Any:
    """Make what stands for a global in a dry run."""
    if traits.kind == "function":
        return InertFunction(traits.name)
    if traits.kind == "value":
        shared: Any = _Inert("InertMember", (InertMember,), {"stands_for": traits.name})
        return object.__new__(shared)
    if traits.kind == "enum":
        return _Inert(
            "InertEnum", (InertMember,), {"stands_for": traits.name, "_is_ours": True, "_makes": True, "__new__": _new}
        )
    check = calls.CLASSES.get(traits.check or "")
    members: dict[str, Any] = {item: _ITEMS[item] for item in traits.items}
    members["_takes"] = tuple(item for item in traits.items if item != "__setitem__")
    members |= {"stands_for": traits.name, "call_check": check, "_is_deep": traits.is_deep, "_is_text": traits.is_text}
    members["_is_ours"] = check is not None or is_listed(traits.name)
    if traits.hash == "none":
        members["__hash__"] = None
    elif traits.hash == "own":
        members["__hash__"] = _hash
    if check is not None or traits.is_deep or traits.makes or traits.hash == "own":
        members |= {"__new__": _new, "_makes": traits.makes}
    base = InertValue if traits.name == "types:GenericAlias" else InertObject
    return _Inert("Inert", (base,), members)


def stand_in(name: str, value: Any) -> Any:
    """Return what stands for a global in a dry run in this process. Made once for each class."""
    if not isinstance(value, type):
        return inert(traits_of(name, value))
    kind = calls.kind_of(value)
    if kind.inert is None:
        kind.inert = inert(traits_of(name, value))
    return kind.inert


# CPython deallocates most containers without recursion, and some (`deque`, `defaultdict`, arrays of objects) with it: a
# chain of a few ten thousand overflows the C stack. So the longest path through a graph is searched, depth-first and
# without recursion. Objects in a cycle count as a chain of all of them (Tarjan's strongly connected components).


def check_depth(roots: Iterable[Any], max_depth: int) -> None:
    """Refuse graphs of inert objects and containers with a path of more than `max_depth`.

    Raises:
        LimitExceededError: there is one.
    """
    search = _Search(max_depth)
    for root in roots:
        if type(root) in _CONTAINERS or isinstance(root, InertObject):
            search.visit(root)


class _Search:
    """One depth-first search. Nodes are known by their `id`; `_open` keeps alive those that are in work."""

    def __init__(self, max_depth: int) -> None:
        self._most = max_depth
        self._index: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._height: dict[int, int] = {}  # of nodes whose component is finished
        self._open: list[Any] = []
        self._path: list[tuple[Any, Iterator[Any]]] = []

    def visit(self, root: Any) -> None:
        if id(root) not in self._index:
            self._enter(root, _children(root))
        while self._path:
            node, children = self._path[-1]
            child = next(children, None)
            if child is None:
                self._leave(node)
            elif id(child) not in self._index:
                if below := _children(child):
                    self._enter(child, below)
                else:  # most are leaves
                    self._index[id(child)], self._height[id(child)] = len(self._index), 1
            elif id(child) not in self._height:  # it is above, or in a component with what is above
                self._low[id(node)] = min(self._low[id(node)], self._index[id(child)])

    def _enter(self, node: Any, children: list[Any]) -> None:
        self._index[id(node)] = self._low[id(node)] = len(self._index)
        self._open.append(node)
        self._path.append((node, iter(children)))
        if len(self._path) > self._most:
            raise too_deep(self._most)

    def _leave(self, node: Any) -> None:
        self._path.pop()
        low = self._low[id(node)]
        if self._path:
            above = id(self._path[-1][0])
            self._low[above] = min(self._low[above], low)
        if low == self._index[id(node)]:
            self._finish(node)

    def _finish(self, first: Any) -> None:
        """Close the component that was entered by `first`: its height is its size, and what is below it."""
        members: list[Any] = []
        while not members or members[-1] is not first:
            members.append(self._open.pop())
        own = {id(member) for member in members}
        below = [self._height[id(child)] for node in members for child in _children(node) if id(child) not in own]
        height = len(members) + max(below, default=0)
        if height > self._most:
            raise too_deep(self._most)
        self._height.update(dict.fromkeys(own, height))


_CONTAINERS = list, tuple, dict, set, frozenset


def _children(node: Any) -> list[Any]:
    """Return the containers and inert objects in a node."""
    found = node.parts if isinstance(node, InertObject) else node
    if type(node) is dict:
        found = (*node, *node.values())
    return [child for child in found if type(child) in _CONTAINERS or isinstance(child, InertObject)]


# What copies and hashes may cost: as many items as this, and so many for each byte. Honest payloads stay far below.
_BUDGET, _BUDGET_PER_BYTE = 1_000_000, 10


def check_operations(payload: bytes, buffers: Sequence[Any], resolved: Resolved, max_depth: int) -> bool:
    """Run a payload on inert objects. Runs no code but CPython's unpickler and this library.

    Returns whether it sets the state of what a function returned, of which nothing is known.

    Raises:
        ForbiddenOperationError: it changes a class, a function or a member of an enum, calls an object, sets a state
            twice, swaps a class, or makes something endless.
        LimitExceededError: it copies or hashes out of proportion, or nests too deep.
        UndeclaredGlobalError, UnpickleError: it would fail in the same way if it ran.
    """
    table = {(module, name): stand_in(f"{module}:{name}", value) for (module, name), value in resolved.items()}
    return run_inert(payload, buffers, table, max_depth)


def run_inert(payload: bytes, buffers: Sequence[Any], table: Resolved, max_depth: int) -> bool:
    """Run a payload on the inert objects of a table. Result and errors as for `check_operations`."""
    meter = Meter(_BUDGET + _BUDGET_PER_BYTE * len(payload), max_depth)
    with _Using(meter):
        try:
            obj = new_unpickler(payload, buffers, table).load()
        except RecursionError:
            raise too_deep(max_depth) from None
        except Exception as exc:
            if isinstance(exc, ReadError) and exc.step == 20:
                raise
            if isinstance(exc, TypeError) and "takes no arguments" in str(exc):
                raise ForbiddenOperationError(
                    "the payload makes an object with arguments that no pickler gives"
                ) from exc
            reason = f"the payload is intact and raised {type(exc).__name__} in its dry run: {text_of(exc)}"
            raise UnpickleError(reason) from exc
        if len(meter.deep) > max_depth:
            check_depth([obj, *meter.deep], max_depth)
    return meter.has_set_results
