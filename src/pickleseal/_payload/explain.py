"""Explain why an object could not be packed: the path to the part that pickle refuses, and what to store instead.

This runs only after the pickler has failed. It walks the object as the pickler does: containers, then what
`__reduce_ex__` returns. It visits each object once, without recursion, and stops at the first part that pickle refuses.
"""

import copyreg
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pickle import PickleBuffer
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from ..errors import PackError, printable, text_of
from .faithful import NEEDED_FOR_ITSELF, NotKeptError

_ATOMS = frozenset({int, float, str, bytes, bytearray, type(None), complex, type(Ellipsis), type(NotImplemented)})
_MOST_OBJECTS = 2_000_000  # visited before the walk gives up, which takes a minute at most

# What to store instead, by the name of a class or of a base of it: nothing has to be imported to compare names.
_ADVICE = {
    "socket.socket": "store (host, port) and connect again after loading",
    "ssl.SSLSocket": "store (host, port) and connect again after loading",
    "_io._IOBase": "store the path and mode, or the file's content, and open it again after loading",
    "_thread.lock": "leave it out in __getstate__ and make a new one in __setstate__",
    "_thread.RLock": "leave it out in __getstate__ and make a new one in __setstate__",
    "threading.Thread": "store its arguments and start a new one after loading",
    "threading.Event": "store its arguments and make a new one after loading",
    "_thread._local": "leave it out in __getstate__: thread-local data belongs to one process",
    "sqlite3.Connection": "store the database's path and connect again after loading",
    "sqlite3.Cursor": "store the rows: cursor.fetchall()",
    "subprocess.Popen": "store its arguments and result, not the process",
    "builtins.generator": "store its items: list(...)",
    "builtins.coroutine": "store its arguments and call it again after loading",
    "builtins.async_generator": "store its items",
    "builtins.memoryview": "store bytes(view), or pickle.PickleBuffer(view) to keep it out of band",
    "builtins.module": "store its name and import it after loading",
    "builtins.frame": "store the text: traceback.format_stack(...)",
    "builtins.traceback": "store the text: traceback.format_exception(...)",
    "builtins.mappingproxy": "store dict(...)",
    "builtins.weakref": "store the object itself, or its key",
    "weakref.ReferenceType": "store the object itself, or its key",
    "builtins.code": "store the source text",
    "builtins.PyCapsule": "store what is needed to make it again",
    "select.epoll": "make a new one after loading",
    "contextvars.Context": "store the values that are needed",
    "contextvars.ContextVar": "store its value",
}
_ARGUMENT = ".__reduce__()[1]"  # the step to an argument of what makes an object
_DEFAULT_ADVICE = "leave it out in __getstate__, or store what is needed to make it again"


def explain(obj: object, cause: BaseException) -> PackError:
    """Find the part of `obj` that the pickler refused, and return an error that names it and its path.

    Calls the same `__reduce_ex__` methods that the pickler called. Never raises.
    """
    if isinstance(cause, NotKeptError):
        culprit = cause.culprit
        return PackError(cause.reason, None, None, cause.hint, path_to(obj, lambda part: is_part(part, culprit)))
    try:
        found = _find(obj, finds_cycles=isinstance(cause, RecursionError))
    except Exception:  # a method of the object raised what it did not raise before: the pickler's error is better
        found = None
    if found is not None:
        path, kind, hint = found
        return PackError(f"{kind} cannot be packed", None, None, hint, path)
    if isinstance(cause, RecursionError):
        hint = "flatten long chains (linked lists, parent pointers) into a list, or raise sys.setrecursionlimit"
        return PackError("nested too deep for the pickler", None, None, hint, "$")
    name = type.__getattribute__(type(obj), "__name__")
    changed = isinstance(cause, RuntimeError) and "during iteration" in text_of(cause)
    advice = "another thread or a __getstate__ changes it: pack a copy, or hold the lock" if changed else None
    return PackError(f"{type(cause).__name__}: {text_of(cause)}", None, name, advice, "$")


def is_part(part: object, culprit: object) -> bool:
    """Return whether a part is the culprit. Bound methods are made anew whenever they are asked for."""
    return part is culprit or (type(part) is type(culprit) and type(part) in _BOUND and part == culprit)


_BOUND = (MethodType, BuiltinFunctionType)


def path_to(root: object, is_it: Callable[[object], bool], most: int = _MOST_OBJECTS) -> str:
    """Return the path to the first part of an object that a function picks, or `$`. Calls `__reduce_ex__`.

    It looks at `most` parts: fewer where a path is no more than a help, and packing goes on.
    """
    try:
        found = _find(root, is_it, most=most)
    except Exception:  # of the object's own methods; the error that wants the path counts for more
        found = None
    return "$" if found is None else found[0]


def _find(
    root: object,
    is_it: Callable[[object], bool] | None = None,
    finds_cycles: bool = False,
    most: int = _MOST_OBJECTS,
) -> tuple[str, str, str] | None:
    """Walk depth-first. Return (path, what it is, advice) for what pickle refuses first, or what `is_it` picks.

    With `finds_cycles`, pickle refuses an object that is needed to make itself.
    """
    seen: dict[int, object] = {}  # keeps temporary objects alive, so that ids stay unique
    stack: list[Iterator[tuple[str, Any]]] = [iter([("", root)])]
    steps = ["$"]
    above: dict[int, int] = {}  # ids of the objects whose parts are on the stack, to their place in `steps`
    while stack:
        item = next(stack[-1], None)
        if item is None:
            stack.pop()
            steps.pop()
            if above:
                above.popitem()
            continue
        step, obj = item
        if finds_cycles and id(obj) in above:
            way = [*steps[above[id(obj)] + 1 :], step]
            if any(part.startswith(_ARGUMENT) for part in way):
                return _path([*steps, step]), f"{_kind(obj)}, which is needed to make itself,", NEEDED_FOR_ITSELF
        if type(obj) in _ATOMS or id(obj) in seen:
            continue
        seen[id(obj)] = obj
        if len(seen) > most:
            return None
        picked = is_it is not None and is_it(obj)
        children, problem = ([], ("", "")) if picked else _children(obj)
        if problem is not None:
            return _path([*steps, step]), *problem
        stack.append(iter(children))
        steps.append(step)
        above[id(obj)] = len(steps) - 1
    return None


def _path(steps: list[str]) -> str:
    """Join the steps. Leave out the middle of a very long path."""
    if len(steps) > 40:
        steps = [*steps[:20], f"...{len(steps) - 40} more...", *steps[-20:]]
    return "".join(steps)


def _children(obj: Any) -> tuple[Iterable[tuple[str, Any]], tuple[str, str] | None]:
    """Return the parts of an object with the steps that lead to them, or what is wrong with it, and advice."""
    cls = type(obj)
    if cls is dict:
        return _pairs(list(obj.items())), None
    if cls in (list, tuple):
        return [(f"[{index}]", item) for index, item in enumerate(obj)], None
    if cls in (set, frozenset):
        return [("{...}", item) for item in obj], None
    if issubclass(cls, type) or cls in (FunctionType, BuiltinFunctionType):
        return _global_children(obj)
    if issubclass(cls, ModuleType):
        return [], ("a module", _ADVICE["builtins.module"])
    if cls is PickleBuffer:
        return [], None if _is_contiguous(obj) else (
            "a PickleBuffer with gaps in its memory",
            "store a copy: bytes(...)",
        )
    if cls.__module__ == "numpy" and cls.__name__ == "ndarray":
        return _array_children(obj), None
    try:
        reduced = _reducer(cls)(obj)
    except Exception as exc:
        own = (
            "" if _refused_by_pickle(exc) else f" ({type(exc).__name__} in its own pickling: {printable(text_of(exc))})"
        )
        return [], (_kind(obj) + own, _advice(cls))
    if isinstance(reduced, str):
        return [], None
    if not isinstance(reduced, tuple) or not 2 <= len(reduced) <= 6:
        what = f"{_kind(obj)}, whose __reduce__ returns neither a string nor a tuple of 2 to 6,"
        return [], (what, "let it return (callable, arguments), or leave the object out")
    return _reduced_children(reduced), None


def _is_contiguous(buffer: PickleBuffer) -> bool:
    try:
        buffer.raw()
    except BufferError:
        return False
    return True


def _array_children(array: Any) -> Iterator[tuple[str, Any]]:
    """Yield the objects in an array of numpy. One of numbers has none."""
    if array.dtype.hasobject and array.dtype.names is not None:
        for name in array.dtype.names:
            yield f"[{name!r}]", array[name]
    elif array.dtype.hasobject:
        import numpy as np

        for index, item in np.ndenumerate(array):
            yield f"[{', '.join(map(str, index))}]", item


def _reducer(cls: type) -> Callable[[Any], Any]:
    from_table = copyreg.dispatch_table.get(cls)
    return from_table if from_table is not None else lambda obj: obj.__reduce_ex__(5)


def _refused_by_pickle(exc: Exception) -> bool:
    return isinstance(exc, TypeError) and "pickle" in text_of(exc)


def _pairs(items: Any) -> Iterator[tuple[str, Any]]:
    for key, value in items:
        shown = printable(repr(key), 60) if type(key) in _ATOMS else f"<{type(key).__qualname__}>"
        yield f".key({shown})", key
        yield f"[{shown}]", value


def _reduced_children(reduced: tuple[Any, ...]) -> Iterable[tuple[str, Any]]:
    """Return the parts of a reduction: callable, arguments, state, list items, dict items, state setter."""
    func, args, state, items, pairs, setter = (*reduced, *[None] * 6)[:6]
    arguments = args if isinstance(args, tuple) else ()
    parts: list[tuple[str, Any]] = [(".__reduce__()", func), (".__reduce__()", setter)]
    if getattr(func, "__name__", "") in ("__newobj__", "__newobj_ex__"):
        parts.append((".__class__", arguments[0]))
        arguments = arguments[1:]
    parts += [(f".__reduce__()[1][{index}]", item) for index, item in enumerate(arguments)]
    dicts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    for part in dicts:
        if type(part) is dict:
            parts += [(f".{k}" if isinstance(k, str) else f".__dict__[{k!r}]", v) for k, v in part.items()]
        else:
            parts.append((".__getstate__()", part))
    listed = ((f"[{index}]", item) for index, item in enumerate(items or ()))  # lazily: it may be endless
    return chain(parts, listed, _pairs(pairs or ()))


def _global_children(obj: Any) -> tuple[Iterable[tuple[str, Any]], tuple[str, str] | None]:
    """Check that pickle finds a class or a function by its name."""
    if type(obj) is BuiltinFunctionType and not isinstance(obj.__self__, ModuleType | type(None)):
        return [(".__self__", obj.__self__)], None
    if obj in (type(None), type(NotImplemented), type(Ellipsis)):
        return [], None
    name, module = obj.__qualname__, obj.__module__
    what = "class" if isinstance(obj, type) else "function"
    if "<lambda>" in name:
        return [], (f"the lambda {module}:{name}", "define a function at the top of a module and use that")
    if "<locals>" in name:
        return [], (f"the local {what} {module}:{name}", f"define the {what} at the top of a module")
    import sys

    value: Any = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    if isinstance(value, type) and isinstance(obj, type) and value is not obj and value.__qualname__ == name:
        hint = "its module was loaded again, or its cell run again: make the object anew, with the class as it is now"
        return [], (f"an object of the class {module}:{name}, which another class has replaced,", hint)
    if value is not obj:
        hint = "put it in its module under this name, or give it the right __module__ and __qualname__"
        return [], (f"the {what} {module}:{name}, which is not found under that name,", hint)
    return [], None


def _kind(obj: object) -> str:
    cls = type(obj)
    return f"{cls.__module__}.{cls.__qualname__}" if cls.__module__ != "builtins" else cls.__qualname__


def _advice(cls: type) -> str:
    for base in cls.__mro__:
        advice = _ADVICE.get(f"{base.__module__}.{base.__qualname__}")
        if advice is not None:
            return advice
    return _DEFAULT_ADVICE
