"""The adapters for classes that SQLAlchemy maps, in all its styles. They look at a class's mapper, and import nothing.

An object holds only the columns that were set or loaded. SQLAlchemy itself says what an object gives for the others: it
loads them from the database, or takes a default when the object is inserted. So a missing value is never filled in.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from .base import Adapter, Default, constant, static
from .dataclass import DataclassAdapter
from .plain import PlainAdapter

_PREFIX = "Mapped["


class _Mapped(Adapter):
    """What the adapters for mapped classes have in common."""

    has_framework = True
    takes_any_field = True

    def fits(self, cls: Any) -> bool:
        return _mapper_of(cls) is not None and super().fits(cls)

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        found = dict(super().fields(cls))
        for name, _ in _stored(cls):
            found.setdefault(name, "")
        return list(found.items())

    def default(self, cls: Any, field: str) -> Default | None:
        for name, columns in _stored(cls):
            if name == field and all(map(_may_be_missing, columns)):
                return constant(None)  # it is not used, for the class has a descriptor
            if name == field:
                return super().default(cls, field) if self.kind == "dataclass" else None
        return super().default(cls, field)

    def as_today(self, was: Mapping[str, Any], fields: Mapping[str, str], cls: Any) -> Mapping[str, Any]:
        # What a mapped dataclass says of its own annotations depends on the release of SQLAlchemy.
        entry = super().as_today(was, fields, cls)
        pairs = [[name, _same(text, fields.get(name, ""))] for name, text in entry["fields"]]
        return {**entry, "fields": pairs}


class MappedAdapter(_Mapped, PlainAdapter):
    """Mapped classes with `Column`s or with `Mapped[]` annotations, and classes that were mapped imperatively."""

    def fits(self, cls: Any) -> bool:
        return _mapper_of(cls) is not None


class MappedDataclassAdapter(_Mapped, DataclassAdapter):
    """Mapped classes that are dataclasses as well."""


def _mapper_of(cls: Any) -> Any:
    """Return the mapper of a class, or None if it is not mapped. A model of pydantic is left to pydantic's adapter."""
    manager = static(cls, "_sa_class_manager")
    is_model = static(cls, "__pydantic_decorators__") is not None  # of SQLModel
    if manager is None or is_model or getattr(manager, "class_", None) is not cls:
        return None
    return vars(manager).get("mapper")


def _stored(cls: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the columns and relationships that the class itself declares, each with its columns.

    Those that another class adds when the mappers are configured are left out: it would depend on the moment.
    """
    table = getattr(_mapper_of(cls), "_props", {})
    for name, declared in tuple(table.items()):
        kinds = {base.__name__ for base in type(declared).__mro__}
        if "ColumnProperty" in kinds:
            yield name, tuple(declared.columns)
        elif "RelationshipProperty" in kinds and not _is_backref(name, declared):
            yield name, ()


def _is_backref(name: str, declared: Any) -> bool:
    """Return whether the `backref=` of another class's relationship made this one: a name, or a name and more."""
    given = [getattr(other, "backref", None) for other in tuple(getattr(declared, "_reverse_property", ()))]
    return any(name == (backref[0] if isinstance(backref, tuple) else backref) for backref in given)


def _may_be_missing(column: Any) -> bool:
    """Return whether an object without a value for a column can be inserted."""
    if getattr(column, "primary_key", False) or getattr(column, "nullable", True):
        return True
    given = ("default", "server_default", "computed", "identity")
    return any(getattr(column, name, None) is not None for name in given)


def _same(was: str, now: str) -> str:
    """Return the text of today if two texts differ in SQLAlchemy's own wrapper alone."""
    return now if _unwrapped(was) == _unwrapped(now) else was


def _unwrapped(text: str) -> str:
    return text[len(_PREFIX) : -1] if text.startswith(_PREFIX) and text.endswith("]") else text
