"""Pickle an object so that equal objects give equal bytes, in every process of one Python version.

What differs without this: the order of sets, which follows the hashes of one process; whether equal texts, numbers and
tuples are one object in memory, which decides whether the second is written out or referred to; and the bytes between
the fields of an array. Here the members of sets are written in a fixed order, and a value that is equal to an earlier
one of the same type is written as a reference to it. Which objects that can change are shared is kept, and counts: a
list twice is not two equal lists. So is the order of dicts, and of attributes.

Strategy: this is Python's own pickler and not CPython's in C, which offers no hook for the built-in types. `save` puts
the first equal value in the place of each value. It takes some ten times as long, and fails at a smaller depth.
"""

import copyreg
import enum
import pickle
import struct
import sys
from collections.abc import Callable, Iterable
from pickle import _Pickler as PythonPickler
from types import BuiltinFunctionType, FunctionType
from typing import Any, ClassVar

from ..errors import PackError
from .arrays import describe, zeros_like
from .explain import path_to
from .pickler import Pickled, Reductions, taking
from .values import is_value

# The types that the C pickler writes before it asks for a reduction.
_BUILT_IN = frozenset(
    map(
        id,
        (type(None), bool, int, float, str, bytes, bytearray, dict, list, tuple, set, frozenset, pickle.PickleBuffer),
    )
)
_ATOMS = frozenset(map(id, (type(None), bool, int, type(Ellipsis), type(NotImplemented))))
_GLOBALS = (type, FunctionType, BuiltinFunctionType)
_HINT = "store a sorted list or tuple instead, or pack without reproducible=True"


def pickle_reproducibly(obj: Any) -> Pickled:
    """Pickle an object so that equal objects give equal bytes.

    Runs the same methods of the object as `pickle_object`. The parts refer to the memory of the object's buffers.

    Raises:
        PackError: a set has members without an order. `where` is the path to the set.
        Exception: whatever the pickler or the object's own methods raise.
    """
    parts: list[Any] = []
    buffers: list[memoryview] = []
    pickler = _ReproduciblePickler(_Sink(parts), taking(buffers))
    try:
        pickler.dump(obj)
    except _NoOrderError as exc:
        reason = f"a set whose members have no order: an instance of {exc.name}"
        members = exc.members
        raise PackError(reason, None, None, _HINT, path_to(obj, lambda part: part is members)) from None
    classes, calls, doubts = pickler.classes, pickler.calls, pickler.doubts
    return Pickled([b"".join(parts)], sorted(pickler.found), classes, buffers, calls, doubts, pickler.seen)


class _Sink:
    """What the pickler takes for a file. A part may be a view of a frame that is written on, so it is copied."""

    def __init__(self, parts: list[Any]) -> None:
        self._parts = parts

    def write(self, part: Any) -> None:
        self._parts.append(bytes(part))


class _NoOrderError(Exception):
    """The members of a set have no order of their own."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.members: Any = None


class _ReproduciblePickler(Reductions, PythonPickler):
    write: Callable[[bytes], Any]
    memoize: Callable[[Any], None]
    dispatch: ClassVar[dict[type, Callable[..., None]]] = dict(PythonPickler.dispatch)

    def __init__(self, file: Any, take: Callable[[pickle.PickleBuffer], bool]) -> None:
        super().__init__(file, 5, buffer_callback=take)
        self._take = take  # returns whether a buffer stays in the pickle
        self.start()
        self._values = _Values()

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        super().save(self._values.first_equal(obj), save_persistent_id)  # type: ignore[misc]  # not in typeshed

    def reducer_override(self, obj: Any, /) -> Any:
        cls = type(obj)
        if id(cls) in _BUILT_IN:
            return NotImplemented
        numpy: Any = sys.modules.get("numpy")
        if hasattr(numpy, "void") and (cls is numpy.ndarray or issubclass(cls, numpy.void)):
            obj = _without_gaps(obj)
        reduced = super().reducer_override(obj)
        if _is_reduced_as_a_set(cls):
            members = self._ordered(obj, reduced[1][0])
            return (reduced[0], (members,), *reduced[2:])
        return reduced

    def _ordered(self, owner: Any, members: Iterable[Any]) -> list[Any]:
        try:
            return sorted(members, key=_order)
        except _NoOrderError as exc:
            exc.members = owner
            raise

    def save_set(self, obj: set[Any]) -> None:
        members = self._ordered(obj, obj)
        self.write(pickle.EMPTY_SET)
        self.memoize(obj)
        if members:
            self._save_run(members, pickle.ADDITEMS)

    def save_frozenset(self, obj: frozenset[Any]) -> None:
        self._save_run(self._ordered(obj, obj), pickle.FROZENSET)
        self.memoize(obj)  # not before: what has an order can't lead back to the set

    def _save_run(self, members: list[Any], opcode: bytes) -> None:
        self.write(pickle.MARK)
        for member in members:
            self.save(member)
        self.write(opcode)

    def save_picklebuffer(self, obj: pickle.PickleBuffer) -> None:
        """Save a buffer. Before Python 3.13 the method of the base fails for one byte or none, as these are shared."""
        if self._take(obj):
            view = obj.raw()
            self.save(bytes(view) if view.readonly else bytearray(view))
        else:
            self.write(pickle.NEXT_BUFFER)
            if obj.raw().readonly:
                self.write(pickle.READONLY_BUFFER)

    dispatch[pickle.PickleBuffer] = save_picklebuffer
    dispatch[set] = save_set
    dispatch[frozenset] = save_frozenset


def _is_reduced_as_a_set(cls: Any) -> bool:
    """Return whether a class is pickled by set's own method, which lists the members in the order of their hashes."""
    return any(cls.__reduce__ is base.__reduce__ for base in (set, frozenset))


class _Values:
    """Finds the first value that is equal to a value and of the same type, bit by bit and part by part."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._bytes: dict[bytes, bytes] = {}
        self._by_key: dict[Any, Any] = {}
        self._first: dict[int, Any] = {}  # id of a value -> the first equal one
        self._kept: list[Any] = []  # what ids in keys belong to
        self._are_values: dict[int, bool] = {}  # by the id of a class

    def first_equal(self, obj: Any) -> Any:
        cls = type(obj)
        if cls is str:
            return self._texts.setdefault(obj, obj)
        if cls is bytes:
            return self._bytes.setdefault(obj, obj)
        if id(cls) in _ATOMS or cls is float:
            return obj
        known = self._are_values.get(id(cls))
        if known is None:
            self._kept.append(cls)
            known = self._are_values[id(cls)] = is_value(cls)
        if not known:
            return obj
        first = self._first.get(id(obj))
        if first is None:
            first = self._first[id(obj)] = self._by_key.setdefault(self._key(cls, obj), obj)
            self._kept.append(obj)
        return first

    def _key(self, cls: Any, obj: Any) -> Any:
        """Return a key that is equal for equal values. It runs no `__eq__` or `__hash__` of a user's class."""
        if issubclass(cls, tuple):
            return id(cls), *map(self._part, tuple.__iter__(obj))
        if cls is frozenset:
            return id(cls), frozenset(map(self._part, obj))
        if cls is complex:
            return id(cls), struct.pack("<dd", obj.real, obj.imag) if obj == obj else id(obj)
        if not _equals_itself(obj):  # two of these in a set are two members, and stay two
            return id(cls), id(obj)
        if str(cls.__module__).partition(".")[0] == "numpy":
            return id(cls), self._numpy_key(obj)
        reducer = copyreg.dispatch_table.get(cls)
        reduced = obj.__reduce_ex__(5) if reducer is None else reducer(obj)
        if type(reduced) is not tuple:
            return id(cls), id(obj)
        self._kept.append(reduced)
        return id(cls), *map(self._part_of_state, reduced)

    def _numpy_key(self, obj: Any) -> Any:
        dtype = getattr(obj, "dtype", obj)
        described = describe(dtype)
        if described is None:
            return id(obj)
        return self._part(described), b"" if dtype is obj else obj.tobytes()

    def _part(self, obj: Any) -> tuple[Any, Any]:
        """Return what stands for one part of a value in its key: the bits of a leaf, or which object it is."""
        cls = type(obj)
        if id(cls) in _ATOMS or cls is str or cls is bytes:
            return id(cls), obj
        if cls is float:
            return id(cls), struct.pack("<d", obj) if obj == obj else id(obj)  # as tuples compare what is no number
        first = self.first_equal(obj)
        return 0, id(first)

    def _part_of_state(self, obj: Any) -> Any:
        """A state is a new dict at each call, and so is a method in C: what counts is what is in it."""
        if type(obj) is BuiltinFunctionType:
            return id(obj.__self__), obj.__name__
        if type(obj) is dict:
            return tuple([(self._part(name), self._part(value)) for name, value in obj.items()])
        return self._part(obj)


def _equals_itself(obj: Any) -> bool:
    """Return whether a value of a library's type is equal to itself, which what is no number is not."""
    try:
        return bool(obj == obj)
    except Exception:  # a signaling NaN
        return False


def _order(obj: Any) -> Any:
    """Return what members of sets are sorted by: their types by name, then their values.

    Raises:
        _NoOrderError: it is no plain value.
    """
    cls: Any = type(obj)
    name = f"{cls.__module__}:{cls.__qualname__}"
    if cls is float:
        return name, struct.pack(">d", obj)
    if id(cls) in _ATOMS or cls is str or cls is bytes:
        return name, 0 if obj is None or obj is Ellipsis or obj is NotImplemented else obj
    if issubclass(cls, enum.Enum):
        return (name, _order(obj._value_)) if issubclass(cls, enum.Flag) else (name, obj._name_)
    if issubclass(cls, type) or cls in _GLOBALS:
        return name, f"{obj.__module__}:{obj.__qualname__}"
    if cls is frozenset:
        return name, sorted(map(_order, obj))
    if not is_value(cls):
        raise _NoOrderError(name)
    if issubclass(cls, tuple):
        return name, [_order(item) for item in tuple.__iter__(obj)]
    if cls.__module__ == "numpy":
        return name, obj.dtype.str, obj.tobytes()
    reducer = copyreg.dispatch_table.get(cls)
    reduced = obj.__reduce_ex__(5) if reducer is None else reducer(obj)
    return name, [_order(tuple(sorted(part.items())) if type(part) is dict else part) for part in reduced[1:]]


def _without_gaps(obj: Any) -> Any:
    """Return an array or structured scalar of numpy with zeros between its fields, where any bytes may be."""
    import numpy as np

    if obj.dtype.hasobject or not _has_gaps(obj.dtype):
        return obj
    array = np.asarray(obj)
    copied = zeros_like(array)
    _copy_fields(array, copied)
    if type(obj) is not np.ndarray:
        return copied[()]
    copied.flags.writeable = array.flags.writeable
    return copied


def _has_gaps(dtype: Any) -> bool:
    """Return whether there are bytes of an element that belong to no field."""
    if dtype.subdtype is not None:
        return _has_gaps(dtype.subdtype[0])
    if dtype.names is None:
        return False
    end = 0
    for member, offset in sorted(((field[0], field[1]) for field in dtype.fields.values()), key=lambda pair: pair[1]):
        if offset > end or _has_gaps(member):
            return True
        end = max(end, offset + member.itemsize)
    return bool(end < dtype.itemsize)


def _copy_fields(array: Any, copied: Any) -> None:
    for name in array.dtype.names:
        if array[name].dtype.names is None:
            copied[name] = array[name]
        else:
            _copy_fields(array[name], copied[name])
