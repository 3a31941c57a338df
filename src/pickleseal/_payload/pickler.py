"""Pickle an object with protocol 5. Find the globals that the pickle imports, and keep large buffers out of it.

Strategy: CPython's pickler in C does the work. It calls `reducer_override` for every class, every function, and every
instance whose type is not a plain built-in one. There the globals are noted. NotImplemented leaves the object to the
pickler; `__reduce_ex__` is called only where a type has its own, because a string that it returns names a global as
well. The pickler writes frames and large bytes objects to a list, as they are, and nothing is joined. This module
decides nothing about trust: it notes which methods a pickle gets by `getattr`, and others say who can load them.
"""

import copyreg
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, MappingProxyType
from typing import Any

from .._schema.class_cache import ClassCache
from .._schema.describe import required_attributes
from .._schema.names import is_script, makes_empty_model, usual_name
from ..errors import PackError
from .arrays import reduce_numpy
from .faithful import Check, check_method, checks_of, needed_for_itself, with_attributes_in_c

# Bytes. A smaller buffer stays in the pickle: its entry in the header and its padding would cost about 100 bytes, and
# with at most some 130 buffers the header ends within the first 8 KiB of the file (spec 12, step 1).
OUT_OF_BAND_MIN = 16_384
# With so many sections the header comes near its limit: all further buffers stay in the pickle.
OUT_OF_BAND_MOST = 10_000

_REDUCE_EX: Any = object.__reduce_ex__
_REDUCE: Any = object.__reduce__
_GETATTRIBUTE: Any = object.__getattribute__
_SINGLETON_TYPES = frozenset({type(None), type(NotImplemented), type(Ellipsis)})
_PLATFORM_MODULES = frozenset({"posix", "nt", "winreg", "_winapi"})
_PLATFORM_PATHS = frozenset({"PosixPath", "WindowsPath"})


_MOST_SEEN = 64  # instances of a class, in one pickle


class Seen:
    """What is known of a class whose instances are pickled, and what its first ones lack (spec 6.2).

    One that has nothing left to see is shared by all pickles, and does not change.
    """

    __slots__ = ("checks", "lacking", "left", "required")

    def __init__(self, checks: tuple[Check, ...], required: frozenset[str], left: int) -> None:
        self.checks = checks
        self.required = required  # attributes that its `__init__` stores
        self.left = left  # instances to look at
        self.lacking: frozenset[str] = frozenset()  # those of them that one of the first instances lacks

    def see(self, obj: Any) -> None:
        """Note what an instance lacks."""
        self.left -= 1
        held = _GETATTRIBUTE(obj, "__dict__")
        if not self.required <= held.keys():
            self.lacking |= self.required.difference(held)

    def joined(self, other: "Seen | None") -> "Seen":
        """Return what is known of the class from two pickles."""
        if other is None:
            return self
        if other.lacking >= self.lacking:
            return other
        found = Seen((), self.required, 0)
        found.lacking = self.lacking | other.lacking
        return found


# Process-wide: what is known of a class before its instances are pickled.
known_classes: ClassCache[Seen] = ClassCache()


def _new_seen(cls: type) -> Seen:
    """Return what is known of a class, for one pickle."""
    known = known_classes.find(cls)
    if known is None:
        required = required_attributes(cls)
        known = Seen(checks_of(cls), required, _MOST_SEEN if required else 0)
        known_classes.keep(cls, known)
    return known if not known.left and not known.checks else Seen(known.checks, known.required, known.left)


_NOTHING: Mapping[type, Seen] = MappingProxyType({})


class Pickled:
    """A pickle in parts, its globals (ordered), the classes of its objects, its out-of-band buffers, and its calls.

    `calls` are those that readers may refuse, each with its object: of `getattr`, with its arguments, an owner and a
    name; and of what is neither a usual function nor a class with a name. `doubts` are objects that
    may be impossible to unpickle, each with a text that says why. `seen` has the classes of instances, each with the
    attributes that its `__init__` stores and that one of its first instances lacks.
    """

    __slots__ = ("buffers", "calls", "classes", "doubts", "globals", "parts", "seen")

    def __init__(
        self,
        parts: list[Any],
        names: list[str],
        classes: list[type],
        buffers: list[memoryview],
        calls: Sequence[tuple[Any, Any, tuple[Any, ...]]] = (),
        doubts: Sequence[tuple[Any, str]] = (),
        seen: Mapping[type, Seen] = _NOTHING,
    ) -> None:
        self.parts = parts
        self.globals = names
        self.classes = classes
        self.buffers = buffers
        self.calls = calls
        self.doubts = doubts
        self.seen = seen


class _Sink:
    """The file that the pickler writes to: it keeps the parts."""

    __slots__ = ("parts", "write")

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.write = self.parts.append


class Reductions:
    """What a pickler does with objects that are not of a built-in type, and what it learns of them."""

    found: set[str]  # globals, as `module:qualname`
    classes: list[type]  # those that are among them, and those that a function of a framework finds
    calls: list[tuple[Any, Any, tuple[Any, ...]]]  # an object, what its reduction calls, and arguments of `getattr`
    plain: set[type]  # classes seen whose pickling is object's own, and that need no check
    doubts: list[tuple[Any, str]]  # objects that may be impossible to unpickle, and why
    seen: dict[type, Seen]  # the classes of instances
    # Objects that were checked, by id. The pickler asks for no object twice, but for one among its own arguments.
    reduced: dict[int, Any]

    def start(self) -> None:
        """Begin without having seen anything."""
        self.found, self.classes, self.calls, self.plain = set(), [], [], set()
        self.doubts, self.reduced, self.seen = [], {}, {}

    def reducer_override(self, obj: Any, /) -> Any:
        cls = type(obj)
        if cls in self.plain:
            return NotImplemented
        if cls is type or cls is FunctionType:
            if cls is type and obj in _SINGLETON_TYPES:
                self.found.add("builtins:type")
            else:
                self._note(obj, obj.__qualname__)
                if cls is type:
                    self.classes.append(obj)
            return NotImplemented
        reducer = copyreg.dispatch_table.get(cls)
        if reducer is not None:
            return self._noted(obj, reducer(obj))
        if issubclass(cls, type):
            self._note(obj, obj.__qualname__)
            self.classes.append(obj)
            return NotImplemented
        if is_plain(cls):
            seen = self.seen.get(cls)
            if seen is None:
                seen = self.seen[cls] = _new_seen(cls)
                self._note_class(obj, cls)
            if seen.left:
                seen.see(obj)
            if seen.checks:
                return self._checked(obj, seen)
            if not seen.left:
                self.plain.add(cls)
            return NotImplemented
        if _is_numpy(cls):
            reduced = reduce_numpy(obj)
            if reduced is not NotImplemented:
                return reduced
        if _BY_NAME and _attribute(cls, "__reduce_ex__") in _BY_NAME:
            member = cls(obj._value_)
            if member is obj:
                return cls, (obj._value_,)
        seen = self.seen.get(cls)
        if seen is None:
            seen = self.seen[cls] = _new_seen(cls)
        if seen.left:
            seen.see(obj)
        return self._noted(obj, self._checked(obj, seen) if seen.checks else obj.__reduce_ex__(5))

    def _note_class(self, obj: Any, cls: type) -> None:
        """Note the class of an object, if it is not pickled by its name."""
        if type(cls) is not type and type(cls) in copyreg.dispatch_table:
            self.calls.append((obj, cls, ()))

    def _checked(self, obj: Any, seen: Seen) -> Any:
        """Reduce an object, and check that it can be made again. Raises NotKeptError."""
        if id(obj) in self.reduced:
            raise needed_for_itself(obj)
        self.reduced[id(obj)] = obj
        reduced = obj.__reduce_ex__(5)
        if type(reduced) is tuple and len(reduced) > 1:
            if issubclass(type(obj), BaseException):
                reduced = with_attributes_in_c(obj, reduced)
            holds = [check(obj, reduced, self._doubt) for check in seen.checks]
            if any(holds):  # those that hold for the whole class are not asked again
                seen.checks = tuple(check for check, held in zip(seen.checks, holds, strict=True) if not held)
        return reduced

    def _doubt(self, obj: Any, text: str) -> None:
        self.doubts.append((obj, text))

    def _noted(self, obj: Any, reduced: Any) -> Any:
        if isinstance(reduced, str):
            self._note(obj, reduced)
        elif type(reduced) is tuple and len(reduced) > 1:
            function = reduced[0]
            kind = type(function)
            if kind is FunctionType:
                if makes_empty_model(function):
                    self._note_rebuilt(type(obj))
                elif function.__name__ == "__newobj__":
                    self._note_class(obj, type(obj))
            elif function is getattr:
                arguments = reduced[1]
                if type(arguments) is tuple and len(arguments) > 1:  # else the pickler, or its reader, raises
                    check_method(obj, *arguments[:2])
                    self.calls.append((obj, function, arguments))
            elif kind is not type and (not issubclass(kind, type) or kind in copyreg.dispatch_table):
                self.calls.append((obj, function, ()))
        return reduced

    def _note_rebuilt(self, cls: type) -> None:
        """Note a class that the pickle does not import, because a function finds it."""
        if not any(known is cls for known in self.classes):
            self.classes.append(cls)

    def _note(self, obj: Any, qualname: str) -> None:
        module = getattr(obj, "__module__", None)
        if not isinstance(module, str):
            module = pickle.whichmodule(obj, qualname)  # type: ignore[attr-defined]
        if (module, qualname) in copyreg._extension_registry:  # type: ignore[attr-defined]
            raise PackError(
                "is registered with copyreg.add_extension, whose codes mean something else in other processes",
                found=f"{module}:{qualname}",
                hint="call copyreg.remove_extension for it before packing",
            )
        self.found.add(f"{module}:{qualname}")


class _Pickler(Reductions, pickle.Pickler):
    parts: list[Any]  # of the pickle, as the C pickler wrote them
    buffers: list[memoryview]  # that are kept out of it


_attribute = type.__getattribute__  # not the one of a metaclass, which could answer something else


def is_plain(cls: type) -> bool:
    """Return whether a class is pickled by the methods of `object`, which never return a string."""
    return (
        _attribute(cls, "__reduce_ex__") is _REDUCE_EX
        and _attribute(cls, "__reduce__") is _REDUCE
        and _attribute(cls, "__getattribute__") is _GETATTRIBUTE
    )


# Python 3.11.0 to 3.11.3 pickle members by a getattr of their name, and flags by operators.
_BY_NAME: tuple[Any, ...] = ()
if sys.version_info[:2] == (3, 11):
    from .._schema.adapters.enum import REDUCERS as _BY_NAME


def _is_numpy(cls: type) -> bool:
    """Return whether a class is numpy's own. A user's subclass of ndarray has another module, and its own pickling."""
    return str(_attribute(cls, "__module__")).partition(".")[0] == "numpy"


def taking(buffers: list[memoryview]) -> Callable[[pickle.PickleBuffer], bool]:
    """Return a callback for a pickler that keeps large buffers out of the pickle, and puts them into a list."""

    def keep(buffer: pickle.PickleBuffer) -> bool:
        """Return whether a buffer stays in the pickle."""
        try:
            view = buffer.raw()
        except BufferError:
            return True  # it is not contiguous: the pickler raises for it
        if view.nbytes < OUT_OF_BAND_MIN or len(buffers) >= OUT_OF_BAND_MOST:
            return True
        buffers.append(view)
        return False

    return keep


def _new_pickler() -> _Pickler:
    sink = _Sink()
    buffers: list[memoryview] = []
    pickler = _Pickler(sink, 5, buffer_callback=taking(buffers))
    pickler.parts, pickler.buffers = sink.parts, buffers
    pickler.start()
    return pickler


# Picklers to be used again, cleared: making one costs more than pickling a small object. `pop` and `append` are atomic,
# so threads share the list. A pack inside a `__reduce__` takes another pickler, and one that failed is dropped. They
# keep no object of a user; emptying the list costs a few microseconds at the next pack.
idle_picklers: list[_Pickler] = []
_MOST_IDLE = 8
_SMALL = 2048  # bytes of pickle; after a larger one the pickler is dropped, as its memo never shrinks


def pickle_object(obj: Any) -> Pickled:
    """Pickle an object. Runs the `__reduce_ex__`, `__getstate__` and `__getnewargs_ex__` of what it holds.

    The parts and buffers refer to the object's own memory: write them before it changes.

    Raises:
        Exception: whatever the pickler or the object's own methods raise.
    """
    return pickle_one(obj)[0]


def pickle_one(obj: Any, wants_memo: bool = False) -> tuple[Pickled, int]:
    """Pickle an object as `pickle_object` does. Return with it the number of objects in the memo, if that is wanted."""
    try:
        pickler = idle_picklers.pop()
    except IndexError:
        pickler = _new_pickler()
    pickler.dump(obj)
    count = len(pickler.memo.copy()) if wants_memo else 0
    parts, buffers, found = pickler.parts, pickler.buffers, pickler.found
    if (
        buffers
        or pickler.calls
        or pickler.doubts
        or len(parts) > 1
        or len(parts[0]) > _SMALL
        or len(idle_picklers) >= _MOST_IDLE
    ):
        plain = [part.raw() if type(part) is pickle.PickleBuffer else part for part in parts]
        calls, doubts = pickler.calls, pickler.doubts
        return Pickled(plain, sorted(found), pickler.classes, buffers, calls, doubts, pickler.seen), count
    pickled = Pickled(parts[:], sorted(found), pickler.classes[:], [])
    if pickler.seen:
        pickled.seen, pickler.seen = pickler.seen, {}
    parts.clear()
    found.clear()
    pickler.classes.clear()
    pickler.plain.clear()
    pickler.reduced.clear()
    pickler.clear_memo()
    idle_picklers.append(pickler)
    return pickled, count


def not_portable(name: str) -> str | None:
    """Return why a global will not be found elsewhere, and what to do; None if it will be found."""
    module, _, qualname = name.partition(":")
    if is_script(module):
        return f"{usual_name(name)} is defined in the script that runs now: move it to a module that readers can import"
    if module in _PLATFORM_MODULES:
        return f"{name} exists on this kind of platform only: readers elsewhere will not find it"
    if qualname in _PLATFORM_PATHS and module.startswith("pathlib"):
        rule = f'{{"{usual_name(name)}": "pathlib:Pure{qualname}"}}'
        return (
            f"{name} loads on this kind of platform only: store str(path) or a PurePath; "
            f"readers elsewhere need Policy(renames={rule})"
        )
    return None
