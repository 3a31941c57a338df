"""The adapters: one for each way in which classes keep their fields. `base.py` says what an adapter answers."""

from typing import Any

from .attrs import AttrsAdapter
from .base import Adapter, static
from .dataclass import DataclassAdapter
from .django import DjangoAdapter
from .enum import EnumAdapter
from .msgspec import MsgspecAdapter
from .named_tuple import NamedTupleAdapter
from .plain import PlainAdapter, SlotsAdapter
from .pydantic import PydanticAdapter, PydanticV1Adapter
from .sqlalchemy import MappedAdapter, MappedDataclassAdapter

__all__ = ["BY_KIND", "PLAIN", "Adapter", "adapter_of", "can_migrate", "has_foreign_setstate", "rebuilt"]

PLAIN = PlainAdapter()
# The first that fits a class is used.
_ADAPTERS: tuple[Adapter, ...] = (
    EnumAdapter(),
    DataclassAdapter(),
    AttrsAdapter(),
    PydanticAdapter(),
    MsgspecAdapter(),
    NamedTupleAdapter(),
    SlotsAdapter(),
    PLAIN,
)
# Those whose kind is that of another adapter: what a header records of a kind is read by the other one.
_WITH_FOREIGN_KIND: tuple[Adapter, ...] = (
    PydanticV1Adapter(),
    MappedDataclassAdapter(),
    MappedAdapter(),
    DjangoAdapter(),
)
_REBUILDERS = [adapter for adapter in _ADAPTERS if type(adapter).rebuilt is not Adapter.rebuilt]
BY_KIND = {adapter.kind: adapter for adapter in reversed(_ADAPTERS)}  # for classes as a header recorded them


def adapter_of(cls: type) -> Adapter | None:
    """Return the adapter of a class, or None if nothing on the class says what its fields are."""
    return next((adapter for adapter in (*_WITH_FOREIGN_KIND, *_ADAPTERS) if adapter.fits(cls)), None)


def rebuilt(function: Any, arguments: tuple[Any, ...]) -> tuple[Any, Any] | None:
    """Return what a framework's function makes an object of: the class, and the values by field name. Else None."""
    return next(filter(None, (adapter.rebuilt(function, arguments) for adapter in _REBUILDERS)), None)


def can_migrate(was: Adapter, now: Adapter) -> bool:
    """Return whether a migration can turn objects of one sort into objects of another.

    An object that was made empty can't become one that has to be made with its values.
    """
    if was.kind == now.kind or (was.filled_by_name and now.filled_by_name):
        return True
    return was.made_of_arguments and (now.made_of_arguments or now.filled_by_name)


def has_foreign_setstate(cls: Any, adapter: Adapter) -> bool:
    """Return whether the `__setstate__` of a class is another framework's, or one for a base with fewer fields."""
    method = static(cls, "__setstate__")
    name = getattr(method, "__module__", None), getattr(method, "__name__", None)
    if name in adapter.generated:
        return not adapter.is_standard(cls, "__setstate__", method)
    return any(name in other.generated for other in (*_WITH_FOREIGN_KIND, *_ADAPTERS))
