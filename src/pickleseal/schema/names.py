"""Names of classes and functions: `module:qualname`, one spelling on every Python version (spec section 6)."""

from collections.abc import Callable
from typing import Any

__all__ = ["global_name", "resolve", "type_name"]

# CPython 3.13 alone says `pathlib._local` for what is `pathlib` before and after.
_MOVED = {"pathlib._local": "pathlib"}


def global_name(obj: type | Callable[..., Any]) -> str:
    """Return `module:qualname` of a class or function, as pickle would write it."""
    return f"{obj.__module__}:{getattr(obj, '__qualname__', obj.__name__)}"


def type_name(cls: type) -> str:
    """Return the name under which the header records a class: its global, with modules that CPython moved put back."""
    module = cls.__module__
    if not isinstance(module, str):  # somebody set it to something else
        module = "?"
    return f"{_MOVED.get(module, module)}:{cls.__qualname__}"


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
