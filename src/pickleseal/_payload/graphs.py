"""Compare two graphs of objects: an object that was packed, and what was read back.

`first_difference` walks both graphs at once and returns the first place where they differ: types, attributes, items,
which places share one object, and the bits of the leaves. It runs the pickling methods of the objects, as the pickler
does, and no `__eq__`, `__hash__` or `__repr__` of theirs.

Strategy: what pickle stores of an object is what is compared, so an object is taken apart by its own `__reduce_ex__`,
and containers of the built-in types by their own iterators. The walk is depth first, with its own stack, and visits
each pair of objects once: it takes linear time and needs no recursion. Where no comparison is exact (members of a set
that look alike, an object that can't be reduced), the result says so.

Not compared, as pickle does not store it: what a class leaves out of its own state, the cause, context and traceback of
an exception, and whether two arrays are views of one memory.
"""

import copyreg
import enum
import struct
import sys
from collections.abc import Iterable, Iterator
from pickle import PickleBuffer
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

from ..errors import printable, shown, text_of
from .arrays import memory_order
from .values import is_value


class Difference(NamedTuple):
    """Where two graphs differ first.

    Attributes:
        path: the way from the root to the place: `$.lines[3]['key']`.
        reason: what differs, in one clause.
        expected, found: what the original and the copy have there, as text or number.
        is_certain: whether the two differ. False: they can't be compared there, for the given reason.
    """

    path: str
    reason: str
    expected: object
    found: object
    is_certain: bool = True


class _Differs(Exception):  # noqa: N818  # it is no error, it ends the walk
    def __init__(self, reason: str, expected: object = None, found: object = None, is_certain: bool = True) -> None:
        super().__init__(reason)
        self.difference = reason, expected, found, is_certain


class _NoKeyError(Exception):
    """A member of a set has no key by which it is found in another set."""


_Children = Iterator[tuple[Any, Any, Any]]  # the step of the path, and one object of each graph
_EXACT = frozenset(map(id, (int, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented))))  # by == alone
_MOST_STEPS = 40
_KEYED = 100  # parts of a member of a set, on average, that are looked at to find it in the other set


def first_difference(original: object, copy: object) -> Difference | None:
    """Return the first difference between an object and its copy, or None where there is none.

    Runs `__reduce_ex__` of the objects in both graphs. Takes linear time and no recursion.

    >>> first_difference({"a": [1, 2.0]}, {"a": [1, 2]})
    Difference(path="$['a'][1]", reason='another type', expected='float', found='int', is_certain=True)
    >>> first_difference([0.0], [-0.0])
    Difference(path='$[0]', reason='another value', expected='0.0', found='-0.0', is_certain=True)
    """
    walk = _Walk()
    stack: list[_Children] = [iter([("$", original, copy)])]
    steps: list[Any] = []
    step: Any = ""
    try:
        while stack:
            step = ""  # what is found while the parts of an object are listed is about the object itself
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
                if steps:
                    steps.pop()
                continue
            step, one, other = item
            if type(one) is type(other) and id(type(one)) in _EXACT and one == other:
                continue
            children = walk.compare(one, other)
            if children is not None:
                stack.append(children)
                steps.append(step)
    except _Differs as exc:
        reason, expected, found, is_certain = exc.difference
        return Difference(_path([*steps, step]), reason, expected, found, is_certain)
    return None


class _Key:
    """A step that names a key of a dict, or the place of the key itself. It is rendered only where it is needed."""

    __slots__ = ("key", "text")

    def __init__(self, text: str, key: Any) -> None:
        self.text = text
        self.key = key


def _path(steps: list[Any]) -> str:
    """Join the steps, without the middle of a very long way."""
    texts = [*steps]
    if len(texts) > _MOST_STEPS:
        half = _MOST_STEPS // 2
        texts = [*texts[:half], f"...{len(texts) - 2 * half} more...", *texts[-half:]]
    return "".join(map(_step_text, texts))


def _step_text(step: Any) -> str:
    if type(step) is int:
        return f"[{step}]"
    return step.text.format(_leaf_text(step.key)) if type(step) is _Key else str(step)


def _leaf_text(obj: Any) -> str:
    """Return the repr of a leaf, and the class of all else, whose repr could be the user's."""
    if id(type(obj)) in _EXACT or type(obj) in (float, complex):
        return printable(repr(obj), 60)
    return f"<{_class_name(type(obj))}>"


def _class_name(cls: type) -> str:
    module, name = type.__getattribute__(cls, "__module__"), type.__getattribute__(cls, "__qualname__")
    return name if module == "builtins" else f"{module}:{name}"


class _Walk:
    """What the comparison remembers of the objects that it has seen."""

    def __init__(self) -> None:
        self._copy_of: dict[int, int] = {}  # id in the original -> id in the copy, of objects that can change
        self._original_of: dict[int, int] = {}
        self._equal: set[tuple[int, int]] = set()  # ids of values that are compared, or being compared
        self._kept: list[Any] = []  # reductions make new objects: ids stay unique only while they live
        self._are_values: dict[int, bool] = {}  # by the id of a class, whose instance is at hand

    def compare(self, one: Any, other: Any) -> _Children | None:
        """Compare two objects by themselves. Return the pairs of their parts, or None where there are none to compare.

        Raises:
            _Differs: they differ, or can't be compared.
        """
        cls = type(one)
        if one is other:
            if not self._is_value(cls):
                self._pair(one, other)
            return None
        if cls is PickleBuffer:
            _compare_buffers(one, other)
            return None
        if cls is not type(other):
            raise _Differs("another type", _class_name(cls), _class_name(type(other)))
        if id(cls) in _EXACT:
            if one == other:
                return None
            raise _another_value(one, other)
        if cls is float:
            _compare_floats(one, other)
            return None
        if _is_global(cls, one) or issubclass(cls, ModuleType):
            raise _Differs("another object of that name, or another name", _global_text(one), _global_text(other))
        if self._is_value(cls):
            if (id(one), id(other)) in self._equal:
                return None
            self._equal.add((id(one), id(other)))
            self._kept += one, other
        elif not self._pair(one, other):
            return None
        return self._parts(cls, one, other)

    def _is_value(self, cls: type) -> bool:
        known = self._are_values.get(id(cls))
        if known is None:
            known = self._are_values[id(cls)] = is_value(cls)
        return known

    def _pair(self, one: Any, other: Any) -> bool:
        """Note that an object is the copy of another. Return whether they meet for the first time."""
        known = self._copy_of.get(id(one))
        if known == id(other):
            return False
        if known is not None:
            raise _Differs(
                "the original has one object in several places, the copy has several", _class_name(type(one))
            )
        if id(other) in self._original_of:
            raise _Differs(
                "the copy has one object in several places, the original has several", _class_name(type(one))
            )
        self._copy_of[id(one)], self._original_of[id(other)] = id(other), id(one)
        self._kept += one, other
        return True

    def _parts(self, cls: type, one: Any, other: Any) -> _Children | None:
        if cls is list or cls is tuple:
            return _items(one, other)
        if cls is dict:
            return _pairs(list(one.items()), list(other.items()))
        if cls is set or cls is frozenset:
            return self._members(list(one), list(other))
        if cls is bytearray:
            if one != other:
                raise _another_value(bytes(one), bytes(other))
            return None
        if cls is complex:
            return iter([(".real", one.real, other.real), (".imag", one.imag, other.imag)])
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None and hasattr(numpy, "ndarray"):
            if cls is numpy.ndarray:
                return self._arrays(one, other)
            if issubclass(cls, numpy.dtype):
                return _dtypes(one, other)
            if issubclass(cls, numpy.generic) and cls.__module__ == "numpy":
                return iter([("[()]", numpy.asarray(one), numpy.asarray(other))])
        return self._reduced(cls, one, other)

    # --- objects ------------------------------------------------------------------------------------------------------

    def _reduced(self, cls: Any, one: Any, other: Any) -> _Children:
        """Compare two objects by what pickle makes of them."""
        first, second = self._reduce(one), self._reduce(other)
        if isinstance(first, str) or isinstance(second, str):
            raise _Differs("another object of that name, or another name", shown(first), shown(second))
        if issubclass(cls, set | frozenset) and cls.__reduce__ in (set.__reduce__, frozenset.__reduce__):
            base: Any = set if issubclass(cls, set) else frozenset
            yield from self._members(list(base.__iter__(one)), list(base.__iter__(other)))
            yield from self._states(first[2], second[2])
            return
        function, arguments, state, items, pairs, setter = (*first, *[None] * 4)[:6]
        other_function, other_arguments, other_state, other_items, other_pairs, other_setter = (*second, *[None] * 4)[
            :6
        ]
        yield ".__reduce__()[0]", function, other_function
        yield ".__reduce__()[5]", setter, other_setter
        if len(arguments) != len(other_arguments):
            raise _Differs("another number of arguments", len(arguments), len(other_arguments))
        for index, pair in enumerate(zip(arguments, other_arguments, strict=True)):
            yield f".__reduce__()[1][{index}]", *pair
        yield from self._states(state, other_state)
        if items is not None or other_items is not None:
            yield from _items(self._listed(items), self._listed(other_items))
        if pairs is not None or other_pairs is not None:
            yield from _pairs(self._listed(pairs), self._listed(other_pairs))

    def _reduce(self, obj: Any) -> Any:
        reducer = copyreg.dispatch_table.get(type(obj))
        try:
            reduced = obj.__reduce_ex__(5) if reducer is None else reducer(obj)
        except Exception as exc:
            reason = f"can't be compared, as its __reduce_ex__ raises {type(exc).__name__}: {text_of(exc)}"
            raise _Differs(reason, _class_name(type(obj)), None, False) from None
        if not isinstance(reduced, str) and not (isinstance(reduced, tuple) and 2 <= len(reduced) <= 6):
            raise _Differs("can't be compared: its __reduce_ex__ returns no reduction", None, None, False)
        self._kept.append(reduced)
        return reduced

    def _listed(self, items: Any) -> list[Any]:
        listed = [] if items is None else list(items)
        self._kept.append(listed)
        return listed

    def _states(self, one: Any, other: Any) -> _Children:
        """Compare two states: attributes by name, whatever their order; all else as it is."""
        if _is_pair_of_dicts(one) and _is_pair_of_dicts(other):
            yield from self._states(one[0] or None, other[0] or None)
            yield from self._states(one[1] or None, other[1] or None)
            return
        if (one is None and type(other) is dict) or (other is None and type(one) is dict):
            one, other = one or {}, other or {}
            self._kept += one, other
        if type(one) is not dict or type(other) is not dict or not all(type(name) is str for name in (*one, *other)):
            yield ".__getstate__()", one, other
            return
        if not self._pair(one, other):  # a part of the object may be its own __dict__
            return
        for name in one:
            if name not in other:
                raise _Differs("an attribute is missing", name, None)
        for name in other:
            if name not in one:
                raise _Differs("an attribute is new", None, name)
        for name, value in one.items():
            yield f".{name}", value, other[name]

    # --- sets ---------------------------------------------------------------------------------------------------------

    def _members(self, one: list[Any], other: list[Any]) -> _Children:
        """Find each member of a set in the other one, by a key that is made of all of its parts."""
        if len(one) != len(other):
            raise _Differs("another number of members", len(one), len(other))
        if len(one) == 1:
            return iter([("{...}", *one, *other)])
        keys = _Keys(_KEYED * len(one) + 1000)
        try:
            found = _by_key(keys, one), _by_key(keys, other)
        except (_NoKeyError, RecursionError, RuntimeError):
            raise _Differs("can't be compared: members of a set that have no order", None, None, False) from None
        pairs = []
        for key, members in found[0].items():
            others = found[1].get(key, [])
            if len(members) > len(others):
                expected = _leaf_text(members[0])
                raise _Differs("a member is missing", expected, None)
            if len(members) > 1 and not all(self._is_value(type(member)) for member in members):
                reason = "can't be compared: members of a set that look alike"
                raise _Differs(reason, _class_name(type(members[0])), None, False)
            pairs += [("{...}", *pair) for pair in zip(members, others, strict=True)]
        self._kept.append(keys)
        return iter(pairs)

    # --- numpy --------------------------------------------------------------------------------------------------------

    def _arrays(self, one: Any, other: Any) -> _Children:
        import numpy as np

        if one.dtype != other.dtype:
            raise _Differs("another dtype", str(one.dtype), str(other.dtype))
        yield ".dtype", one.dtype, other.dtype
        if one.shape != other.shape:
            raise _Differs("another shape", str(one.shape), str(other.shape))
        if one.flags.writeable != other.flags.writeable:
            raise _Differs("another flag writeable", one.flags.writeable, other.flags.writeable)
        order = memory_order(one)
        if order is not None and not (other.flags.c_contiguous if order == "C" else memory_order(other) == order):
            raise _Differs("another order in memory", order, "another one")
        yield from self._elements(np, one, other)

    def _elements(self, np: Any, one: Any, other: Any) -> _Children:
        dtype = one.dtype
        if dtype.names is not None:  # field by field: what lies between the fields is no value
            for name in dtype.names:
                yield from self._elements(np, one[name], other[name])
        elif dtype.char == "O" or dtype.kind == "T":
            items, others = self._listed(one.ravel().tolist()), self._listed(other.ravel().tolist())
            for index, pair in enumerate(zip(items, others, strict=True)):
                yield _Key(".flat[{}]", index), *pair
        elif dtype.hasobject or type(dtype).__module__ not in ("numpy", "numpy.dtypes"):
            raise _Differs("can't be compared: an array of a type that is not numpy's own", str(dtype), None, False)
        elif one.nbytes:
            first, second = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (one, other))
            differing = np.flatnonzero(first != second)
            if differing.size:
                index = np.unravel_index(int(differing[0]) // dtype.itemsize, one.shape)
                where = ", ".join(str(int(number)) for number in index)
                raise _Differs(f"another element [{where}]", shown(one[index]), shown(other[index]))


def _is_pair_of_dicts(state: Any) -> bool:
    return type(state) is tuple and len(state) == 2 and all(type(part) is dict or part is None for part in state)


def _items(one: Any, other: Any) -> _Children:
    if len(one) != len(other):
        raise _Differs("another number of items", len(one), len(other))
    return zip(range(len(one)), one, other, strict=False)


def _pairs(one: list[tuple[Any, Any]], other: list[tuple[Any, Any]]) -> _Children:
    """Compare two dicts in the order of their keys, which pickle keeps."""
    if len(one) != len(other):
        raise _Differs("another number of keys", len(one), len(other))

    def children() -> _Children:
        for (key, value), (other_key, other_value) in zip(one, other, strict=True):
            yield _Key(".key({})", key), key, other_key
            yield _Key("[{}]", key), value, other_value

    return children()


def _another_value(one: Any, other: Any) -> _Differs:
    return _Differs("another value", _leaf_text(one), _leaf_text(other))


def _compare_floats(one: float, other: float) -> None:
    if struct.pack("<d", one) == struct.pack("<d", other):
        return
    expected, found = repr(one), repr(other)
    if expected == found:  # two that are not a number
        expected, found = struct.pack(">d", one).hex(), struct.pack(">d", other).hex()
    raise _Differs("another value", expected, found)


def _compare_buffers(one: PickleBuffer, other: Any) -> None:
    """A PickleBuffer is read back as bytes, a bytearray or a memoryview."""
    try:
        view, other_view = one.raw(), memoryview(other).cast("B")
    except (TypeError, ValueError, BufferError):
        raise _Differs("another type", "a buffer", _class_name(type(other))) from None
    if view.readonly != other_view.readonly:
        kinds = ["read-only" if each.readonly else "writable" for each in (view, other_view)]
        raise _Differs("a buffer of another kind", kinds[0], kinds[1])
    if view != other_view:
        raise _Differs("another content of a buffer", f"{view.nbytes} bytes", f"{other_view.nbytes} bytes")


def _dtypes(one: Any, other: Any) -> _Children:
    if one != other or one.isalignedstruct != other.isalignedstruct:
        raise _Differs("another dtype", str(one), str(other))
    return iter([(".metadata", dict(one.metadata or {}), dict(other.metadata or {}))])


def _is_global(cls: type, obj: Any) -> bool:
    """Return whether there is one object of that name in a process: a class, a function, or a member of an enum."""
    if cls is BuiltinFunctionType:  # or a method in C, which is another object each time that it is looked up
        return isinstance(obj.__self__, ModuleType | None)
    return cls is FunctionType or issubclass(cls, type | enum.Enum)


def _global_text(obj: Any) -> str:
    if isinstance(obj, type):
        return _class_name(obj)
    if isinstance(obj, enum.Enum):
        return f"{_class_name(type(obj))}.{obj._name_}"
    return f"{getattr(obj, '__module__', None)}:{getattr(obj, '__qualname__', '?')}"


def _by_key(keys: "_Keys", members: Iterable[Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for member in members:
        found.setdefault(keys.of(member), []).append(member)
    return found


class _Keys:
    """Makes keys of members of sets: plain tuples that are equal where two members have the same parts."""

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._open: set[int] = set()
        self._kept: list[Any] = []

    def of(self, obj: Any) -> Any:
        """Return the key of an object.

        Raises:
            _NoKeyError: it has parts without a key, leads back to itself, or is too large.
        """
        self._left -= 1
        if self._left < 0:
            raise _NoKeyError
        cls = type(obj)
        if id(cls) in _EXACT:
            return id(cls), obj
        if cls is float:
            return id(cls), struct.pack("<d", obj)
        if _is_global(cls, obj):
            return id(cls), id(obj)
        if id(obj) in self._open:
            raise _NoKeyError
        self._open.add(id(obj))
        try:
            return id(cls), self._parts(cls, obj)
        finally:
            self._open.discard(id(obj))

    def _parts(self, cls: Any, obj: Any) -> Any:
        if cls is tuple or cls is list:
            return tuple([self.of(item) for item in obj])
        if cls is frozenset or cls is set:
            return frozenset([self.of(item) for item in obj])
        if cls is dict:
            return tuple([(self.of(key), self.of(value)) for key, value in obj.items()])
        if issubclass(cls, set | frozenset):
            raise _NoKeyError
        reducer = copyreg.dispatch_table.get(cls)
        try:
            reduced = obj.__reduce_ex__(5) if reducer is None else reducer(obj)
        except Exception:
            raise _NoKeyError from None
        if isinstance(reduced, str):
            return id(obj)
        self._kept.append(reduced)
        head, tail = reduced[:3], reduced[3:]
        return tuple([self.of(part) for part in (*head, *(None if part is None else list(part) for part in tail[:2]))])
