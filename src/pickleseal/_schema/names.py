"""Names of classes and functions: `module:qualname`, in one spelling on every Python version (spec section 6).

Only `resolve` imports anything.
"""

import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

# Other names of a module, and the usual one. Only CPython 3.13 says `pathlib._local`. A worker that multiprocessing
# starts by spawn or forkserver imports the script of its parent as `__mp_main__`; there, `__main__` is the same module.
_MAIN, _MAIN_IN_WORKER = "__main__", "__mp_main__"
_MOVED = {"pathlib._local": "pathlib", _MAIN_IN_WORKER: _MAIN}
# numpy 2 renamed its core. Both names lead to what old pickles need in every numpy; numpy 2 warns of the old one.
_NUMPY_CORE, _NUMPY_OLD_CORE = "numpy._core", "numpy.core"


def global_name(obj: type | Callable[..., Any]) -> str:
    """Return `module:qualname` of a class or function, as pickle writes it."""
    if isinstance(obj, type):  # past what a metaclass answers
        return f"{type.__getattribute__(obj, '__module__')}:{type.__getattribute__(obj, '__qualname__')}"
    return f"{obj.__module__}:{getattr(obj, '__qualname__', obj.__name__)}"


def name_of(value: object) -> str | None:
    """Return `module:qualname` of what may be a class or a function; None for other values."""
    try:
        return global_name(value)  # type: ignore[arg-type]
    except Exception:  # it is no class or function, or one that answers as it likes
        return None


def type_name(cls: type) -> str:
    """Return the name under which the header records a class: its global, with the usual name of a moved module."""
    module = type.__getattribute__(cls, "__module__")
    if not isinstance(module, str):  # somebody set it
        module = "?"
    return f"{_MOVED.get(module, module)}:{type.__getattribute__(cls, '__qualname__')}"


def usual_name(name: str) -> str:
    """Return the name of a global, with the usual name of a moved module.

    >>> usual_name("__mp_main__:Job")
    '__main__:Job'
    """
    module, _, qualname = name.partition(":")
    return f"{_MOVED[module]}:{qualname}" if module in _MOVED else name


def is_script(module: str) -> bool:
    """Return whether a module is the script that runs now, in its first process or in a worker of it."""
    return _MOVED.get(module, module) == _MAIN


def spellings(name: str) -> tuple[str, ...]:
    """Return all names of a global in the releases of CPython and numpy, and in workers. Try the first one first.

    >>> spellings("numpy.core.multiarray:scalar")
    ('numpy._core.multiarray:scalar', 'numpy.core.multiarray:scalar')
    """
    module, _, qualname = name.partition(":")
    if module in _MOVED:
        return (f"{_MOVED[module]}:{qualname}", name)
    if module == _MAIN:
        return (name, f"{_MAIN_IN_WORKER}:{qualname}")
    for core in (_NUMPY_CORE, _NUMPY_OLD_CORE):
        if module == core or module.startswith(f"{core}."):
            rest = f"{module[len(core) :]}:{qualname}"
            return (_NUMPY_CORE + rest, _NUMPY_OLD_CORE + rest)
    return (name,)


def is_standard(module: str) -> bool:
    """Return whether a top-level module is the standard library's."""
    return module in sys.stdlib_module_names and not is_script(module)


def imported_class(name: str) -> type | None:
    """Return the class that `module:qualname` names, if its module is imported already. Imports and runs nothing.

    >>> imported_class("collections:OrderedDict")
    <class 'collections.OrderedDict'>
    """
    found = imported_value(name)
    return found if issubclass(type(found), type) else None


def imported_value(name: str) -> Any:
    """Return what `module:qualname` names, if its module is imported already; else None. Imports and runs nothing."""
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        space: Any = None
        if isinstance(found, ModuleType):
            space = ModuleType.__getattribute__(found, "__dict__")  # a module's own __getattr__ may import
        elif issubclass(type(found), type):
            space = type.__getattribute__(found, "__dict__")
        found = None if space is None else space.get(part)
    return found


def makes_empty_model(function: object) -> bool:
    """Return whether this is Django's function that makes an object from the name of its model."""
    if not isinstance(function, FunctionType) or function.__name__ != "model_unpickle":
        return False
    return function.__module__ == "django.db.models.base"


def resolve(name: str) -> Any:
    """Import what `module:qualname` names. This runs the module's code, so it is only for names that the caller wrote.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such attribute.
    """
    from importlib import import_module

    module, _, qualname = name.partition(":")
    value: Any = sys.modules.get(module)
    if "." not in qualname and (found := getattr(value, "__dict__", _NOTHING).get(qualname)) is not None:
        return found  # fast path: it is there already
    value = import_module(module)
    for part in qualname.split("."):
        value = getattr(value, part)
    return value


_NOTHING: dict[str, Any] = {}
