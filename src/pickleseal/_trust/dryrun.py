"""The dry run: the same pickle in the same unpickler, with stand-ins for all that it imports.

It shows what a payload would do to the objects that it gets, and refuses whatever no honest pickle does, before any
code of a class runs. It cannot show what that code does.

A class is stood for by a factory, a class itself: REDUCE comes to its `__call__`, NEWOBJ to its `__new__`. What it
makes is a node, which keeps its arguments, items and state. A function is stood for by a function node. Each step is
compared with the shape of the global (`shapes`, `traits`). The order is part of the shape: an object is made, then it
may get items, then at most one state, then nothing. A shape is compared after its price is paid (`meter`). This module
must not run code of a payload's classes.
"""

import importlib
import math
import struct
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from .._payload.unpickler import Resolved, load_watching_keys, load_with_rest, state_is_no_dict
from ..errors import ForbiddenOperationError, Hint, ReadError, UnpickleError, text_of
from . import shapes
from .allow_list import Entry, gives_methods, is_listed, limits_of
from .meter import MOST_COLLISIONS, Meter, check_depth, too_deep
from .safe_functions import SAFE_FUNCTIONS, no_such_method
from .shapes import ROWS, StandIn
from .traits import Traits, kind_of, limited, traits_of

in_this_thread = threading.local()  # .meter: that of the dry run in work
_OWN = "builtins:getattr"


class _Using:
    """Let the stand-ins of this thread use a meter."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def __enter__(self) -> None:
        self.before = getattr(in_this_thread, "meter", None)  # a finalizer may load something within a dry run
        in_this_thread.meter = self.meter

    def __exit__(self, *exc: object) -> None:
        in_this_thread.meter = self.before


def _described(value: Any) -> str:
    if isinstance(value, _Factory):
        return f"the class {value.stands_for}"
    if isinstance(value, StandIn):
        return str(value.stands_for)  # type: ignore[attr-defined]
    return type(value).__name__


def _refusal(what: str, expected: str | None, found: str, hint: str | None = None) -> ForbiddenOperationError:
    return ForbiddenOperationError(f"the payload {what}", expected, found, hint).at(20)


def _not_given(stand_in: Any, does: str) -> ForbiddenOperationError:
    """Return the refusal of what a rule or preset does not let payloads do."""
    name = stand_in.stands_for
    hint = Hint(
        f'if you know who wrote it, trust=["{name}"] allows what pickles of {name} need',
        f"if you know who wrote it, --trust {name} allows what pickles of {name} need",
        f'if you know who wrote it, trust = ["{name}"] in the --policy file allows what pickles of {name} need',
    )
    return _refusal(f"{does} {name}", None, f"only {stand_in.by} trusts it, and not for that", hint)


def _no_call(opcode: str, name: str, expected: str, args: Sequence[Any]) -> ForbiddenOperationError:
    does = "calls {} with unexpected arguments" if opcode == "REDUCE" else "makes an object of {} in an unexpected way"
    found = ", ".join(map(_described, args[:6])) + ", ..." * (len(args) > 6)
    return _refusal(does.format(name), expected, f"({found})")


def _no_state(name: str, expected: str, state: Any) -> ForbiddenOperationError:
    found = _described(state)
    if type(state) is dict:
        found = f"a dict with {', '.join(sorted(_described_key(key) for key in state)[:5])}"
    return _refusal(f"gives {name} an unexpected state", expected, found)


def _described_key(key: Any) -> str:
    return repr(key[:40]) if type(key) is str else _described(key)


def _on_a_class(self: Any) -> Any:
    raise _refusal("changes a class or a function", None, self.stands_for)


_empty: Any = object.__new__


class _Factory(type):
    """The class of factories, which stand for classes."""

    stands_for: str
    is_a = "class"
    like = ""

    def __call__(cls, *args: Any) -> Any:
        fits: Any = cls.fits_small  # type: ignore[attr-defined]  # each factory has it
        if fits is not None and fits(args):  # fast path: no price, no other rule
            node = _empty(cls)
            node.args = args
            return node
        return cls.on_call(cls, args)  # type: ignore[attr-defined]

    def __setitem__(cls, key: object, value: object) -> None:
        raise _refusal("changes a class or a function", None, cls.stands_for)

    # Properties of the metaclass come before what the class has for its instances.
    __setstate__ = append = extend = add = property(_on_a_class)


def _pay(meter: Meter, args: tuple[Any, ...], row: shapes.Row | None) -> None:
    """Spend what a call takes: the length of its arguments, and what lies in them, each time that they are given."""
    steps = 1 + len(args)
    nested = False
    for arg in args:
        kind = type(arg)
        if kind in _SIZED:
            nested = nested or kind in _CONTAINERS
            if row is not None and row.copies:
                steps += len(arg)
        elif kind is int:
            if row is not None:
                steps += abs(arg) if row.gives == "plain" else arg.bit_length() >> 6
        elif (
            isinstance(arg, StandIn) and arg.like == "builtins:range" and (length := _length_of_range(arg)) > meter.most
        ):
            meter.spend(length)
    if row is not None:
        steps += row.steps if type(row.steps) is int else row.steps(args)  # type: ignore[operator]
    meter.spend(steps)
    if nested:  # the memo keeps tuples of arguments, which may be keys later
        meter.walk(args, row is not None and row.hashes)


_SIZED = frozenset((tuple, list, dict, set, frozenset, str, bytes, bytearray, memoryview))
_CONTAINERS = frozenset((tuple, list, dict, set, frozenset))


def _length_of_range(node: Any) -> int:
    size = range(*node.args)
    return (size[-1] - size[0]) // size.step + 1 if size else 0  # len() is limited


def _call_by_row(cls: Any, args: tuple[Any, ...]) -> Any:
    meter: Meter = in_this_thread.meter
    row: shapes.Row = cls.row
    _pay(meter, args, row)
    for shape in row.calls:
        if shape.fit(args):
            break
    else:
        raise _no_call("REDUCE", cls.stands_for, row.expected("REDUCE"), args)
    if row.gives == "plain" and cls.has_row_of_its_own:
        return cls.plain(*args)
    node = object.__new__(cls)
    node.args = args
    if cls.is_deep:
        meter.deep.append(node)
    if row.hashes and args:
        _look_at_keys(meter, node, args)
    return node


def _look_at_keys(meter: Meter, node: Any, args: tuple[Any, ...]) -> None:
    """Hash what a call puts into a set or dict; count the types that an alias refers to."""
    if node.is_a == "alias":
        node.leaves = _leaves(args)
        meter.spend(node.leaves)
        with suppress(TypeError):  # what has no hash, in `Annotated`, is no key of a cache
            hash(tuple(args))
        return
    for key in args[0] if type(args[0]) is list else ():
        hashed = hash(key)
        if type(key) in (tuple, frozenset):
            meter.note_key(_content_of(key))
        elif type(key) in (int, float):
            meter.note(hashed, key)


def _leaves(parts: Any) -> int:
    found = 1
    for part in parts:
        if type(part) in (tuple, list):
            found += _leaves(part)  # at most three levels, by the shape
        elif isinstance(part, StandIn):
            found += part.leaves
    return min(found, 2**62)


def _call_any(cls: Any, args: tuple[Any, ...]) -> Any:
    """REDUCE of a class whose own pickling calls it."""
    meter: Meter = in_this_thread.meter
    _pay(meter, args, None)
    return _node(meter, cls, args)


def _call_no(cls: Any, args: tuple[Any, ...]) -> Any:
    if cls.by:
        raise _not_given(cls, "calls")
    expected = "NEWOBJ, as the class does not define how it is pickled"
    raise _no_call("REDUCE", cls.stands_for, expected, args)


def _call_enum(cls: Any, args: tuple[Any, ...]) -> Any:
    meter: Meter = in_this_thread.meter
    meter.spend(500 if cls.is_flag else 1)  # a new member of a flag stays for ever
    if len(args) != 1:
        raise _no_call("REDUCE", cls.stands_for, "one value", args)
    value = args[0]
    if type(value) in _CONTAINERS or isinstance(value, Node):
        _pay_for_text(meter, value)
    if cls.is_flag and type(value) is int and value.bit_length() > 64:
        raise _no_call("REDUCE", cls.stands_for, "an int of at most 64 bits", args)
    if type(value) in (tuple, frozenset) or isinstance(value, Node):
        with suppress(TypeError):  # a value that has no hash is compared with all the others
            hash(value)
    return _node(meter, cls, args)


def _pay_for_text(meter: Meter, value: Any) -> None:
    """Spend what printing a value takes: the error for a value that is no member shows it."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > meter.max_depth:
            raise too_deep(meter.max_depth)
        meter.spend(len(level))
        below: list[Any] = []
        for part in level:
            if type(part) in _CONTAINERS:
                below += part
                if type(part) is dict:
                    below += part.values()
            elif isinstance(part, Node):
                below += [*part.args, *part.items, *([] if part.state is StandIn else [part.state])]
        level = below


def _node(meter: Meter, cls: Any, args: Any) -> Any:
    node = cls.made(args)
    if cls.is_deep:
        meter.deep.append(node)
    return node


def _new(cls: Any, /, *args: Any, **names: Any) -> Any:
    """`__new__` of factories of which the arguments matter: NEWOBJ comes here, a call does not."""
    meter: Meter = in_this_thread.meter
    make, row = cls.make, cls.row
    if not args and not names and make != "row" and not cls.value_base:
        return _node(meter, cls, args)
    if names:
        if not cls.by_name:
            raise _no_call("NEWOBJ_EX", cls.stands_for, "no arguments by name", (*args, names))
        meter.walk((names,), False)
        args = (*args, *names.values())
    elif make == "row":
        _pay(meter, args, row)
        if not any(shape.fit(args) for shape in row.makes):
            raise _no_call("NEWOBJ", cls.stands_for, row.expected("NEWOBJ"), args)
    elif cls.value_base:
        if [*map(type, args)] not in cls.value_base:
            name = cls.value_base[0][0].__name__
            raise _no_call("NEWOBJ", cls.stands_for, f"one {name}", args)
    elif make != "any":
        raise _no_call("NEWOBJ", cls.stands_for, "no arguments", args)
    _pay(meter, args, None)
    return _node(meter, cls, args)


class Node(StandIn, metaclass=_Factory):
    """An object of a factory, or what a function returned."""

    # Attributes of factories
    stands_for = "an object"
    by = ""
    row: shapes.Row | None = None
    on_call: Any = staticmethod(_call_no)
    fits_small: Any = None
    has_row_of_its_own = False
    make = ""
    value_base: tuple[list[type], ...] = ()
    by_name = False
    is_deep = is_flag = False
    state_rule = "default"
    is_dict = False
    methods: tuple[str, ...] = ()
    hashed_by = ""
    fields: tuple[str, ...] = ()
    defined: frozenset[str] = frozenset()
    # Attributes of nodes
    state: Any = StandIn  # none yet
    items: list[Any] | tuple[()] = ()
    taken = 0  # items

    def __setstate__(self, state: Any) -> None:
        if self.state is not StandIn:
            raise _refusal("sets the state of an object twice", "one state", self.stands_for)
        self.state = state
        meter: Meter = in_this_thread.meter
        if type(state) is dict and self.state_rule == "default":
            meter.left -= len(state)
            if (
                meter.left >= 0
                and {*map(type, state)} <= _TEXT
                and "__setstate__" not in state
                and "__class__" not in state
            ):
                return
        _check_state(self, state, meter)

    @classmethod
    def made(cls: Any, args: Any) -> Any:
        """Make a node."""
        node = _empty(cls)
        node.args = args
        return node

    def hashed(self) -> tuple[Any, ...]:
        """Return the parts that the hash of the real object hashes."""
        return ()

    def __call__(self, *args: Any) -> Any:
        if self.like == "functools:partial" and type(self.state) is tuple:
            function, first = self.state[:2]
            if getattr(function, "like", "") == "operator:methodcaller":  # keywords of one are pickled by a partial
                return _call_by_row(function, (*first, *args))
        raise _refusal(
            "calls an object that is neither a class nor a function", "a class or a function", self.stands_for
        )

    def _take_no_items(self, *items: Any) -> None:
        raise _refusal("adds items to an object whose pickles have none", "no items", self.stands_for)

    append: Any = _take_no_items
    extend: Any = _take_no_items
    add: Any = _take_no_items
    __setitem__: Any = _take_no_items

    def directly_below(self) -> list[Any]:
        """Return the parts that an object in C may hold without a container in between."""
        found = [*self.args, *self.items, *(self.state if type(self.state) is tuple else ())]
        if self.state_rule == "error" and type(self.state) is dict:
            found += self.state.values()
        return found


_TEXT = {str}
# Attributes of exceptions that are more than data.
_OF_ERRORS = frozenset({"__cause__", "__context__", "__traceback__", "__suppress_context__", "__dict__"})


def _check_state(node: Node, state: Any, meter: Meter) -> None:
    """Compare a state with the shape of its object."""
    name, rule, row = node.stands_for, node.state_rule, node.row
    if type(state) in (dict, tuple, list, str, bytes):
        meter.spend(len(state))
        if type(state) is tuple:
            meter.walk(state, False)
    if type(state) is dict and ("__setstate__" in state or "__class__" in state):
        gives = "gives an object a __setstate__" if "__setstate__" in state else "swaps the class of an object"
        raise _refusal(gives, None, name)
    if rule == "any" or (node.is_dict and state is node):
        return
    attributes, slots = state, None
    is_pair = type(state) is tuple and len(state) == 2
    if is_pair and (rule == "default" or (row is not None and not node.has_row_of_its_own)):
        attributes, slots = state
        _check_slots(node, slots)
    if rule == "row" and row is not None and (row.state is not None or node.has_row_of_its_own):
        if row.state is None or not (row.state.fit(attributes) or (slots is not None and attributes is None)):
            raise _no_state(name, row.expected("BUILD"), state)
        if row.state.is_kept:
            meter.kept.append((node, attributes))
        return
    if rule == "none":
        raise _no_state(name, "no state", state)
    if attributes is None:
        return
    if type(attributes) in (list, tuple, int, str, bytes, float, bool) and rule == "default":
        raise state_is_no_dict()  # as the unpickler does: the class may have changed
    if type(attributes) is not dict or not all(type(key) is str for key in attributes):
        raise _no_state(name, "a dict with names", attributes)
    if rule == "error":
        for key, value in attributes.items():
            if key == "args" and type(value) is tuple:
                continue
            if key in _OF_ERRORS or (key in node.defined and key != "__notes__"):
                raise _no_state(name, "attributes of its own", state)


def _check_slots(node: Node, slots: Any) -> None:
    """Compare the second part of a state: names of slots, or names that the class does not define."""
    if slots is None:
        return
    if type(slots) is not dict:
        raise _no_state(node.stands_for, "a dict of slots", slots)
    in_this_thread.meter.spend(len(slots))
    for key in slots:
        if type(key) is not str or key in node.defined or key in ("__dict__", "__class__", "__setstate__"):
            if key == "__class__":
                raise _refusal("swaps the class of an object", None, node.stands_for)
            raise _no_state(node.stands_for, "names of slots", slots)


# -- items ------------------------------------------------------------------------------------------------------------


def _takes(self: Any, count: int) -> None:
    if self.state is not StandIn:
        raise _refusal("adds items to an object that has its state already", "items before the state", self.stands_for)
    if type(self.items) is tuple:
        self.items = []


def _append(self: Any, item: Any) -> None:
    _takes(self, 1)
    self.items.append(item)


def _extend(self: Any, items: Any) -> None:
    _takes(self, len(items))
    self.items += items


def _set_item(self: Any, key: Any, value: Any) -> None:
    _takes(self, 1)
    hash(key)
    self.items.append(value)
    if isinstance(key, Node):
        self.items.append(key)


def _add(self: Any, item: Any) -> None:
    hash(item)
    _append(self, item)


_ITEMS: dict[str, Any] = {"append": _append, "extend": _extend, "__setitem__": _set_item, "add": _add}


# -- hashes -----------------------------------------------------------------------------------------------------------


def _hash(self: Any) -> int:
    """Spend what hashing the real object takes, and note its content. It is placed by its identity."""
    meter: Meter = in_this_thread.meter
    parts = self.hashed()
    level, depth = [*parts], 0
    while level:
        depth += 1
        if depth > meter.max_depth:
            raise too_deep(meter.max_depth)
        meter.spend(1 + len(level))
        below: list[Any] = []
        for part in level:
            kind = type(part)
            if kind is tuple or kind is frozenset:
                below += part
            elif isinstance(part, Node):
                below += part.hashed()
        level = below
    content = _content(self)
    if content is not None:
        meter.note(*content)
        meter.objects += 1
    return id(self) >> 4


def _content(node: Any) -> tuple[int, Any] | None:
    """Return the hash of the real object, and a value that equal objects have; None where nobody can choose it."""
    if "known" in node.__dict__:
        return node.known  # type: ignore[no-any-return]
    if node.like == "pickleseal:rebuild_scalar":
        found = _of_scalar(*node.args)
    elif node.row is not None and node.row.number:
        found = _number(node)
    else:
        found = _of_parts(node) if node.hashed_by else None
    if node.state is not StandIn or not (node.fields or node.like == "uuid:UUID"):
        node.known = found
    return found


def _of_scalar(dtype: Any, data: bytes) -> tuple[int, Any] | None:
    """Return the hash of a number of numpy where an attacker can choose it, and one for all that have fields."""
    if type(dtype) is tuple:
        return 0, data
    kind, is_little = dtype[1:2], dtype[0] == "<"
    if kind == "c" and len(data) in (8, 16):
        value = complex(*struct.unpack(("<" if is_little else ">") + ("ff" if len(data) == 8 else "dd"), data))
        return hash(value), value
    if (kind == "f" and len(data) > 8) or (kind == "c" and len(data) > 16):
        half = len(data) >> (kind == "c")
        return hash(tuple([_as_double(data[at : at + half], is_little) for at in range(0, len(data), half)])), data
    return None


def _as_double(data: bytes, is_little: bool) -> float:
    """Return a long double as numpy hashes it, rounded: 80 bits of x86 with padding, or 128 bits of IEEE 754."""
    number = int.from_bytes(data, "little" if is_little else "big")
    is_quad = number >> 80 != 0
    mantissa, exponent = (
        (number & ~(-1 << 112) | 1 << 112, number >> 112) if is_quad else (number & ~(-1 << 64), number >> 64)
    )
    try:
        value = math.ldexp(mantissa, (exponent & 0x7FFF) - 16383 - (112 if is_quad else 63))
    except OverflowError:
        value = math.inf
    return -value if exponent & 0x8000 else value


def _of_parts(node: Any) -> tuple[int, Any] | None:
    return _of_values(node.hashed(), frozenset if node.like == "builtins:frozenset" else tuple)


def _of_values(values: Any, kind: Callable[[list[Any]], Any]) -> tuple[int, Any] | None:
    """Return the hash of a tuple or frozenset, and its content: what has no known content counts by its identity."""
    parts = []
    for part in values:
        inner = _content_of(part)
        if inner is not None:
            parts.append(inner[1] if hash(inner[1]) == inner[0] else inner[0])
        elif isinstance(part, StandIn) or type(part) in (list, dict, set, bytearray):
            parts.append(id(part))
        else:
            parts.append(part)
    content = kind(parts)
    try:
        return hash(content), content
    except TypeError:  # it will be raised where the payload runs
        return None


def _content_of(value: Any) -> tuple[int, Any] | None:
    if isinstance(value, Node):
        return _content(value)
    return _of_values(value, type(value)) if type(value) in (tuple, frozenset) else None


def _number(node: Any) -> tuple[int, Any] | None:
    """Return the hash of a number, which is computed by the real type."""
    args = node.args
    if node.like == "uuid:UUID":
        state = node.state
        args = (state.get("int"),) if type(state) is dict else ()
        name = "builtins:int"
    else:
        name = node.row.number
    if name in ("builtins:tuple", "builtins:frozenset"):
        return _of_parts(node)
    module, _, qualname = name.partition(":")
    try:  # of the standard library, in the helper process as well
        value = getattr(importlib.import_module(module), qualname)(*args)
        return hash(value), value
    except (TypeError, ValueError, ArithmeticError, OverflowError):
        return None  # it will be raised where the payload runs


def _hashed_args(self: Any) -> tuple[Any, ...]:
    args: tuple[Any, ...] = self.args
    if len(args) == 1 and type(args[0]) is list:
        return tuple(args[0])  # of a frozenset
    return args


def _hashed_fields(self: Any) -> tuple[Any, ...]:
    state = self.state
    if type(state) is tuple and len(state) == 2:
        state = {**(state[0] or {}), **(state[1] or {})}
    if type(state) is dict:
        return tuple([state[name] for name in self.fields if name in state])
    return tuple(state) if type(state) is list else ()


def _hashed_nothing(self: Any) -> tuple[Any, ...]:
    return ()


# -- what functions give ----------------------------------------------------------------------------------------------


class Member(Node):
    """A member of an enum, or a value that is pickled by its name: there is one for all, so nothing may change it."""

    stands_for = "a member of an enum"
    is_a = "value"

    def __setstate__(self, state: Any) -> None:
        raise _refusal("sets the state of a member of an enum", "no state", self.stands_for)


class Value(Node):
    """What a payload can do nothing with: a method, a pattern, a type that a call returned."""

    stands_for = "a value"
    is_a = "value"

    def __setstate__(self, state: Any) -> None:
        raise _refusal("sets the state of what stands for another object", "no state", self.stands_for)


class TypeOfNone(Value):
    """`type(None)`, which attrs calls to get None."""

    def __call__(self, *args: Any) -> Any:
        if args:
            raise _no_call("REDUCE", "the type of None", "()", args)


class Alias(Value):
    """A generic alias or a union of types, which hands attributes on to them."""

    stands_for = "an alias or a union"
    is_a = "alias"
    __hash__: Any = _hash
    hashed = _hashed_args


class Array(Value):
    """An array, a scalar or a dtype of numpy, made by this library. A forged state of one reaches foreign memory."""

    stands_for = "an object of numpy"
    is_a = "object"
    __hash__: Any = _hash
    hashed = _hashed_args

    def __setstate__(self, state: Any) -> None:
        raise _refusal("sets the state of an object of numpy", "no state", self.stands_for)


class Result(Node):
    """What a function of the caller returned."""

    stands_for = "what a function returned"
    function = ""
    state_rule = "any"

    def __setstate__(self, state: Any) -> None:
        in_this_thread.meter.built.add(self.function)
        super().__setstate__(state)

    def _take(self, method: Callable[..., None], *args: Any) -> None:
        in_this_thread.meter.built.add(self.function)
        method(self, *args)

    def append(self, item: Any) -> None:
        self._take(_append, item)

    def extend(self, items: Any) -> None:
        self._take(_extend, items)

    def add(self, item: Any) -> None:
        self._take(_add, item)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._take(_set_item, key, value)


class NewResult(Node):
    """What a function of a preset returned that gives new objects, which get a state."""

    stands_for = "what a function returned"
    state_rule = "any"


_GIVEN: dict[str, type[Node]] = {"alias": Alias, "value": Value, "array": Array}
# Rows that are called for real: their arguments are exact and their results plain.
_PLAIN: dict[str, Callable[..., Any]] = {
    "builtins:bytes": bytes,
    "builtins:bytearray": bytearray,
    "_codecs:encode": lambda text, encoding: text.encode("latin-1"),
}


class Function(StandIn):
    """A function. It can be called, and nothing else can be done to it."""

    __slots__ = ("by", "gives", "like", "may_call", "row", "stands_for")
    is_a = "function"

    def __init__(
        self, name: str, row: str, gives: type[Node] | None = None, by: str = "", may_call: bool = True
    ) -> None:
        self.stands_for = name
        self.gives = gives  # of a function that has no row; None: a result of which nothing is known
        self.by = by
        self.may_call = may_call
        self.like = row
        self.row = ROWS.get(row)

    def __call__(self, *args: Any) -> Any:
        meter: Meter = in_this_thread.meter
        if not self.may_call:
            raise _not_given(self, "calls")
        if self.stands_for == _OWN:
            return _attribute(meter, args)
        row = self.row
        if row is None:
            if self.like:
                return _BY_NAME[self.like](meter, args)
            _pay(meter, args, None)
            if self.gives is not None:
                return self.gives.made(args)
            made = Result.made(args)
            made.function = self.stands_for
            return made
        _pay(meter, args, row)
        if self.like in _OF_SHAPES and args and type(args[0]) is tuple:
            _pay_for_description(meter, self.like, args[0])
        if not any(shape.fit(args) for shape in row.calls):
            raise _no_call("REDUCE", self.stands_for, row.expected("REDUCE"), args)
        if row.gives == "plain":
            return _PLAIN[self.like](*args) if args else bytearray()
        if self.like == "array:_array_reconstructor":  # an object of its first argument, which may get attributes
            return _node(meter, args[0], args)
        if self.like == "pickleseal:fill_object_array":
            args[0].items = args[1]
            return None
        if row.gives == "value" and args[0] is None:  # of `builtins:type`
            return TypeOfNone.made(())
        made = _GIVEN.get(row.gives, Opaque).made(args)
        if row.gives == "alias":
            made.args = args[1:] if self.like == "_functools:reduce" else args
            _look_at_keys(meter, made, made.args)
        elif self.like == "pickleseal:rebuild_object_array":
            meter.deep.append(made)
        made.like = self.like
        return made

    __setstate__ = append = extend = add = property(_on_a_class)

    def __setitem__(self, key: object, value: object) -> None:
        raise _refusal("changes a class or a function", None, self.stands_for)


class Opaque(Node):
    """What a listed function returned: an object that gets no state."""

    stands_for = "what a function returned"
    state_rule = "none"
    __hash__: Any = _hash
    hashed = _hashed_args


_OF_SHAPES = {
    "pickleseal:rebuild_dtype",
    "pickleseal:rebuild_array",
    "pickleseal:rebuild_scalar",
    "pickleseal:rebuild_object_array",
}


def _pay_for_description(meter: Meter, row: str, described: tuple[Any, ...]) -> None:
    """Spend the parts of a dtype's description, or the elements of an array of objects."""
    if row == "pickleseal:rebuild_object_array":
        size = 1
        for length in described:
            size = min(size * length, 2**63) if type(length) is int and length >= 0 else size
        meter.spend(size)
        return
    left: list[Any] = [described]
    while left:
        part = left.pop()
        meter.spend(1)
        if type(part) is tuple:
            meter.spend(10)
            left += part


def _attribute(meter: Meter, args: tuple[Any, ...]) -> Any:
    """`getattr`: a class method of a class whose pickling is its own may be called; all other methods are values."""
    if len(args) != 2 or type(args[1]) is not str or not isinstance(args[0], _OWNERS):
        raise _no_call("REDUCE", _OWN, "an object or a class, and the name of a method", args)
    owner, name = args
    meter.spend(1)
    if isinstance(owner, _Factory) and owner.like == "zoneinfo:ZoneInfo" and name == "_unpickle":
        return Function(f"{owner.stands_for}._unpickle", "zoneinfo:ZoneInfo._unpickle")
    where = getattr(owner, "stands_for", f"builtins:{type(owner).__name__}")
    if (name.startswith("__") and name != "__call__") or (is_listed(where) and not gives_methods(where)):
        raise no_such_method(where, name)
    if isinstance(owner, _Factory):
        factory: Any = owner
        if issubclass(owner, Member):
            return owner.made((name,))
        if name in factory.methods:
            return Function(f"{factory.stands_for}.{name}", "", Opaque)
    return Value.made((owner,))


_OWNERS = (Node, _Factory, str, bytes, bytearray, int, float, list, tuple, dict, set, frozenset)


def _reconstructor(meter: Meter, args: tuple[Any, ...]) -> Any:
    """`copyreg._reconstructor`: an object of a class, with the value of a base."""
    _pay(meter, args, None)
    if len(args) == 3 and isinstance(args[0], _Factory) and isinstance(args[1], _Factory):
        cls: Any = args[0]
        base, value = args[1:]
        base_name = base.stands_for
        is_value = type(value).__name__ == base.stands_for.partition(":")[2] and not isinstance(value, StandIn)
        if not issubclass(cls, Member) and (is_value or (value is None and base_name == "builtins:object")):
            return _node(meter, cls, args[2:])
    raise _no_call("REDUCE", "copyreg:_reconstructor", "(a class, a base, a value)", args)


_BY_NAME = {"copyreg:_reconstructor": _reconstructor}


def stand_in_of(traits: Traits) -> Any:
    """Make what stands for a global in a dry run."""
    if traits.kind == "function":
        gives = None if not traits.by else NewResult if traits.state == "any" else Opaque
        like = traits.name if traits.name in _BY_NAME else traits.row
        return Function(traits.name, like, gives, traits.by, bool(traits.call))
    if traits.kind == "value":
        if traits.name in _SINGLETONS:
            return _SINGLETONS[traits.name]
        shared: Any = _Factory("Shared", (Member,), {"stands_for": traits.name})
        return object.__new__(shared)
    members: dict[str, Any] = {"stands_for": traits.name, "like": traits.row, "methods": traits.methods}
    members["by"] = traits.by
    if traits.kind == "enum":
        members |= {"on_call": staticmethod(_call_enum), "is_flag": traits.is_flag, "__new__": _no_new}
        return _Factory("Enum", (Member,), members)
    row = ROWS.get(traits.row)
    calls = {"row": _call_by_row, "any": _call_any}.get(traits.call, _call_no)
    members |= {"on_call": staticmethod(calls), "row": row, "make": traits.make, "state_rule": traits.state}
    members |= {"by_name": traits.by_name, "is_deep": traits.is_deep, "is_dict": traits.is_dict}
    members |= {"fields": traits.fields, "defined": frozenset(traits.defined) if traits.defined else frozenset()}
    members |= {"has_row_of_its_own": traits.has_row_of_its_own, "plain": _PLAIN.get(traits.row)}
    members |= {item: _ITEMS[item] for item in traits.items}
    if row is not None and traits.call == "row" and not traits.is_deep and row.fits_small is not None:
        members["fits_small"] = staticmethod(row.fits_small)
    if traits.make in _BASES:
        members["value_base"] = _BASES[traits.make]
    if traits.hash == "none":
        members["__hash__"] = None
    elif traits.hash != "identity":
        hashed = {"args": _hashed_args, "fields": _hashed_fields}.get(traits.hash, _hashed_nothing)
        if row is not None and traits.hash == "own":
            hashed = _hashed_args
        members |= {"__hash__": _hash, "hashed": hashed, "hashed_by": traits.hash if traits.hash != "own" else ""}
    else:
        members["hashed"] = _hashed_nothing
        members["hashed_by"] = ""
    if traits.make == "none":
        members["__new__"] = _no_new
    elif traits.make or traits.is_deep or traits.by_name or traits.call:
        members["__new__"] = _new
    given = _GIVEN.get(row.gives) if row is not None and traits.has_row_of_its_own else None
    return _Factory("Factory", (given or Node,), members)


_SINGLETONS = {"builtins:Ellipsis": ..., "builtins:NotImplemented": NotImplemented}
_BASES: dict[str, tuple[list[type], ...]] = {
    "builtins:int": ([int],),
    "builtins:str": ([str],),
    "builtins:float": ([float],),
    "builtins:bytes": ([bytes],),
    "builtins:tuple": ([tuple],),
    "builtins:complex": ([float, float], [complex]),
}


def _no_new(cls: Any, /, *args: Any, **names: Any) -> Any:
    if cls.by:
        raise _not_given(cls, "makes an object of")
    raise _no_call("NEWOBJ", cls.stands_for, "REDUCE", args)


def stand_in(name: str, value: Any, entry: Entry | None = None) -> Any:
    """Return what stands for a global in a dry run in this process. Made once for each class and what limits it."""
    if not isinstance(value, type):
        return stand_in_of(traits_within(name, value, entry))
    kind = kind_of(value)
    if entry is None or entry.verbs is None:
        if kind.factory is None:
            kind.factory = stand_in_of(traits_of(name, value))
        return kind.factory
    key = entry._replace(value=None)  # an entry must not keep its class alive
    if key not in kind.limited:
        kind.limited[key] = stand_in_of(traits_within(name, value, entry))
    return kind.limited[key]


def traits_within(name: str, value: Any, entry: Entry | None, is_migrated: bool = False) -> Traits:
    """Return the traits of a global, as its class was once, within what its entry in the allow-list permits."""
    traits = traits_of(name, value)
    if is_migrated:
        traits = as_it_was(traits)
    return traits if entry is None else limited(traits, entry)


def as_it_was(traits: Traits) -> Traits:
    """Return the traits of a class whose objects this library makes by a plan: the class may have been any."""
    if traits.kind != "class":
        return traits
    taking = tuple(_ITEMS) if not traits.items else traits.items
    return traits._replace(row="", call="any", make="any", by_name=True, state="any", items=taking)


class Found(NamedTuple):
    """What a dry run found out, beside that nothing is to be refused."""

    built: tuple[str, ...] = ()  # functions whose results get a state or items
    kept: tuple[str, ...] = ()  # safe functions that are part of the object


def check_operations(
    payload: bytes,
    buffers: Sequence[Any],
    resolved: Resolved,
    max_depth: int,
    migrated: Collection[int] = (),
    tuples: int = 0,
) -> Found:
    """Run a payload on stand-ins. Runs no code but CPython's unpickler and this library.

    Args:
        tuples: how many tuples and frozensets its opcodes hash, where that was counted.
        migrated: the ids of classes whose objects this library makes and fills by a plan. Their pickles have the shape
            that the class had once, so that any is accepted.

    Raises:
        ForbiddenOperationError: it does something that no honest pickle does.
        LimitExceededError: it copies or hashes out of proportion, or nests too deep.
        UndeclaredGlobalError, UnpickleError: it would fail in the same way if it ran.
    """
    table, limits = {}, limits_of(resolved)
    for key, value in resolved.items():
        name = ":".join(key)
        if id(value) in migrated:
            table[key] = stand_in_of(traits_within(name, value, limits.get(key), True))
        else:
            table[key] = stand_in(name, value, limits.get(key))
    return run_stand_ins(payload, buffers, table, max_depth, tuples)


_OF_CHANGES = (AttributeError, ImportError, TypeError)


def run_stand_ins(
    payload: bytes, buffers: Sequence[Any], table: dict[Any, Any], max_depth: int, tuples: int = 0
) -> Found:
    """Run a payload on the stand-ins of a table. Result and errors as for `check_operations`."""
    meter = Meter(len(payload), max_depth)
    with _Using(meter):
        try:
            obj, has_rest = load_with_rest(payload, buffers, table)
            if min(tuples, meter.objects) > MOST_COLLISIONS:
                _check_mixed_keys(payload, buffers, table, max_depth)
            if len(meter.deep) > max_depth:
                check_depth(meter.deep, max_depth)
            for node, attributes in meter.kept:
                if not node.row.state.fit(attributes):
                    raise _refusal("changes a state after its object got it", None, node.stands_for)
            if has_rest and table:
                raise _refusal("ends with more on its stack than its object", "one value and no mark", "more")
        except RecursionError:
            raise too_deep(max_depth) from None
        except Exception as exc:
            if isinstance(exc, ReadError) and exc.step == 20:
                raise
            if "NEWOBJ" in str(exc) and "class argument" in str(exc):
                expected = "a class that the payload names"
                raise _refusal("makes an object of something else", expected, "what a call returned") from exc
            if isinstance(exc, TypeError) and "takes no arguments" in str(exc):
                raise ForbiddenOperationError(
                    "the payload makes an object of a class that takes no arguments, with arguments"
                ) from exc
            reason = f"the payload is intact and raised {type(exc).__name__} in its dry run: {text_of(exc)}"
            hint = "check whether its classes changed since it was written" if isinstance(exc, _OF_CHANGES) else None
            raise UnpickleError(reason, hint=hint) from exc
        meter.deep.clear()
        kept = _kept(table)
        del obj
    return Found(tuple(sorted(meter.built)), kept)


def _check_mixed_keys(payload: bytes, buffers: Sequence[Any], table: dict[Any, Any], max_depth: int) -> None:
    """Note the content of tuples and frozensets that are keys, and hold objects whose hash an attacker can choose.

    The unpickler in C hashes such a key without showing it. This is slow, so it is done where there are many of both.
    """
    meter = Meter(len(payload), max_depth)

    def note(keys: Sequence[Any]) -> None:
        for key in keys:
            if type(key) in (tuple, frozenset):
                meter.note_key(_content_of(key))

    with _Using(meter):
        load_watching_keys(payload, buffers, table, note)


def _kept(table: dict[Any, Any]) -> tuple[str, ...]:
    """Return the safe functions to which the object refers: only it and the table can, now that the run is over."""
    unshared = {None: Function("", "")}
    counts = [(value.stands_for, sys.getrefcount(value)) for value in unshared.values()]
    counts += [(value.stands_for, sys.getrefcount(value)) for value in table.values() if type(value) is Function]
    return tuple(name for name, count in counts if count > counts[0][1] and name in SAFE_FUNCTIONS)
