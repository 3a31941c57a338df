"""Names of classes and functions: `module:qualname`, one spelling on every Python version (spec section 6)."""

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["global_name", "is_standard", "resolve", "spellings", "type_name"]

# CPython 3.13 alone says `pathlib._local` for what is `pathlib` before and after.
_MOVED = {"pathlib._local": "pathlib"}
# numpy 2 renamed its core, and both have the other's name for what old pickles need, numpy 2 with a warning.
_NUMPY_CORE, _NUMPY_OLD_CORE = "numpy._core", "numpy.core"


def global_name(obj: type | Callable[..., Any]) -> str:
    """Return `module:qualname` of a class or function, as pickle would write it."""
    if isinstance(obj, type):  # past a metaclass's own ways
        return f"{type.__getattribute__(obj, '__module__')}:{type.__getattribute__(obj, '__qualname__')}"
    return f"{obj.__module__}:{getattr(obj, '__qualname__', obj.__name__)}"


def type_name(cls: type) -> str:
    """Return the name under which the header records a class: its global, with modules that CPython moved put back."""
    module = type.__getattribute__(cls, "__module__")
    if not isinstance(module, str):  # somebody set it to something else
        module = "?"
    return f"{_MOVED.get(module, module)}:{type.__getattribute__(cls, '__qualname__')}"


def spellings(name: str) -> tuple[str, ...]:
    """Return the names that a global has had in the releases of CPython and numpy, the one to import first in front.

    >>> spellings("numpy.core.multiarray:scalar")
    ('numpy._core.multiarray:scalar', 'numpy.core.multiarray:scalar')
    """
    module, _, qualname = name.partition(":")
    if module in _MOVED:
        return (f"{_MOVED[module]}:{qualname}", name)
    for core in (_NUMPY_CORE, _NUMPY_OLD_CORE):
        if module == core or module.startswith(f"{core}."):
            rest = f"{module[len(core) :]}:{qualname}"
            return (_NUMPY_CORE + rest, _NUMPY_OLD_CORE + rest)
    return (name,)


def is_standard(module: str) -> bool:
    """Tell whether a top-level module is the standard library's."""
    return module in sys.stdlib_module_names and module != "__main__"


def resolve(name: str) -> Any:
    """Import what `module:qualname` names. Runs the module's import code: only for names that the caller wrote.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such attribute.
    """
    from importlib import import_module

    module, _, qualname = name.partition(":")
    value = import_module(module)
    for part in qualname.split("."):
        value = getattr(value, part)
    return value
