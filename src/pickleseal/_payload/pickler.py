"""Pickle an object with protocol 5, and learn on the way which globals it imports and which buffers it offers.

Strategy: CPython's C pickler does the work. `reducer_override` sees every class, function and instance that is not of
a plain built-in type, before the pickler does: it notes globals there, answers NotImplemented for all that pickles by
itself, and calls `__reduce_ex__` only where a type has its own, because a string that this returns names a global
too. The sink is a list's `append`: the pickler hands over frames and large bytes objects as they are, and nothing is
joined.
"""

import copyreg
import pickle
import sys
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from ..errors import PackError
from .arrays import reduce_numpy

__all__ = ["Pickled", "is_plain", "not_portable", "pickle_object", "pickle_one"]

# A buffer below this stays in the pickle: its entry in the header and its padding cost about 100 bytes, and headers
# stay within the first 8 KiB of the file up to some 130 buffers (spec 12, step 1).
OUT_OF_BAND_MIN = 16_384
# Beyond so many sections all buffers stay in the pickle, so that the header stays below its limit.
OUT_OF_BAND_MOST = 10_000

_REDUCE_EX: Any = object.__reduce_ex__
_REDUCE: Any = object.__reduce__
_GETATTRIBUTE: Any = object.__getattribute__
_SINGLETON_TYPES = frozenset({type(None), type(NotImplemented), type(Ellipsis)})
_PLATFORM_MODULES = frozenset({"posix", "nt", "winreg", "_winapi"})
_PLATFORM_PATHS = frozenset({"PosixPath", "WindowsPath"})


class Pickled:
    """A pickle in parts, its globals (ordered), the classes among them, its out-of-band buffers, and its methods.

    `methods` are the arguments of each `getattr` that the pickle calls: an owner and a name.
    """

    __slots__ = ("buffers", "classes", "globals", "methods", "parts")

    def __init__(
        self,
        parts: list[Any],
        names: list[str],
        classes: list[type],
        buffers: list[memoryview],
        methods: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        self.parts = parts
        self.globals = names
        self.classes = classes
        self.buffers = buffers
        self.methods = methods


class _Sink:
    """What the C pickler takes for a file."""

    __slots__ = ("parts", "write")

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.write = self.parts.append


class _Pickler(pickle.Pickler):
    parts: list[Any]  # of the pickle, as the C pickler wrote them
    buffers: list[memoryview]  # that are kept out of it
    found: set[str]  # globals, as `module:qualname`
    classes: list[type]  # those that are among them
    methods: list[tuple[Any, ...]]  # arguments of `getattr`
    plain: set[type]  # classes seen whose pickling is object's own

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
        return self._noted(obj, obj.__reduce_ex__(5))

    def _noted(self, obj: Any, reduced: Any) -> Any:
        if isinstance(reduced, str):
            self._note(obj, reduced)
        elif type(reduced) is tuple and len(reduced) > 1 and reduced[0] is getattr:
            arguments = reduced[1]
            if type(arguments) is tuple and len(arguments) > 1:  # else the pickler, or its reader, raises
                self.methods.append(arguments)
        return reduced

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


_attribute = type.__getattribute__  # past a metaclass's own, as the C pickler looks at the instance


def is_plain(cls: type) -> bool:
    """Tell whether a class is pickled by object's own methods, which never return a string."""
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
    """Tell whether numpy made the class (a user's subclass of ndarray has another module and its own way)."""
    return str(_attribute(cls, "__module__")).partition(".")[0] == "numpy"


def _new_pickler() -> _Pickler:
    sink = _Sink()
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        """Tell the pickler whether a buffer stays in the pickle."""
        try:
            view = buffer.raw()
        except BufferError:
            return True  # not contiguous: the pickler says so itself
        if view.nbytes < OUT_OF_BAND_MIN or len(buffers) >= OUT_OF_BAND_MOST:
            return True
        buffers.append(view)
        return False

    pickler = _Pickler(sink, 5, buffer_callback=keep)
    pickler.parts, pickler.buffers = sink.parts, buffers
    pickler.found, pickler.classes, pickler.methods, pickler.plain = set(), [], [], set()
    return pickler


# Picklers that small objects used, cleared: making one costs more than pickling such an object. pop and append are
# atomic, so threads share the list; a pack inside a `__reduce__` takes another pickler; one that failed is dropped.
idle_picklers: list[_Pickler] = []
_MOST_IDLE = 8
_SMALL = 2048  # bytes of pickle: a pickler keeps its memo as large as it once was


def pickle_object(obj: Any) -> Pickled:
    """Pickle an object. Runs the `__reduce_ex__`, `__getstate__` and `__getnewargs_ex__` of what it holds.

    The parts and buffers refer to the object's own memory: they are to be written before it changes.

    Raises:
        Exception: whatever the pickler or the object's own methods raise.
    """
    return pickle_one(obj)[0]


def pickle_one(obj: Any, wants_memo: bool = False) -> tuple[Pickled, int]:
    """Pickle an object as `pickle_object` does. Return the number of objects in its memo, too, where that is wanted."""
    try:
        pickler = idle_picklers.pop()
    except IndexError:
        pickler = _new_pickler()
    pickler.dump(obj)
    count = len(pickler.memo.copy()) if wants_memo else 0
    parts, buffers, found = pickler.parts, pickler.buffers, pickler.found
    if buffers or pickler.methods or len(parts) > 1 or len(parts[0]) > _SMALL or len(idle_picklers) >= _MOST_IDLE:
        plain = [part.raw() if type(part) is pickle.PickleBuffer else part for part in parts]
        return Pickled(plain, sorted(found), pickler.classes, buffers, pickler.methods), count
    pickled = Pickled(parts[:], sorted(found), pickler.classes[:], [])
    parts.clear()
    found.clear()
    pickler.classes.clear()
    pickler.plain.clear()
    pickler.clear_memo()
    idle_picklers.append(pickler)
    return pickled, count


def not_portable(name: str) -> str | None:
    """Say that a global will not be found elsewhere, and what to do, or return None."""
    module, _, qualname = name.partition(":")
    if module == "__main__":
        return f"{name} is defined in the script that runs now: move it to a module that readers can import"
    if module in _PLATFORM_MODULES:
        return f"{name} exists on this kind of platform only: readers elsewhere will not find it"
    if qualname in _PLATFORM_PATHS and module.startswith("pathlib"):
        return f"{name} loads on this kind of platform only: store str(path) or a PurePath"
    return None
