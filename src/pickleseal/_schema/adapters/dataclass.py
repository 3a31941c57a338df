"""The adapter for dataclasses: those of the standard library, and those of pydantic."""

from typing import Any

from .base import Adapter, Default, annotated, constant, instance_annotations, slots_of, static, text_of_annotation
from .pydantic import default_of_field


class DataclassAdapter(Adapter):
    """Classes that `@dataclass` decorated."""

    kind = "dataclass"
    generated = frozenset({("dataclasses", "_dataclass_getstate"), ("dataclasses", "_dataclass_setstate")})
    filled_by_name = True
    lists_values = True

    def fits(self, cls: Any) -> bool:
        return static(cls, "__dataclass_fields__") is not None

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        from dataclasses import fields

        pairs = [(field.name, text_of_annotation(field.type)) for field in fields(cls)]
        return pairs + undecorated_fields(cls, "__dataclass_fields__")

    def shape(self, cls: Any) -> str:
        return "list" if _lists_state(cls) else super().shape(cls)

    def unstored(self, cls: Any, names: list[str]) -> list[str]:
        table, made = static(cls, "__dataclass_fields__"), static(cls, "__dataclass_params__")
        has_init = getattr(made, "init", True)  # it sets all fields with `init`
        return [name for name in names if name not in table or not table[name].init or not has_init]

    def default(self, cls: Any, field: str) -> Default | None:
        from dataclasses import MISSING

        found = cls.__dataclass_fields__.get(field)
        if found is None:  # of a subclass that is not decorated
            return super().default(cls, field)
        if field in (getattr(cls, "__pydantic_fields__", None) or ()):
            return default_of_field(cls.__pydantic_fields__[field])
        if found.default is not MISSING:
            return constant(found.default)
        factory = found.default_factory
        return None if factory is MISSING else lambda _: factory()


def undecorated_fields(cls: Any, marker: str) -> list[tuple[str, str]]:
    """Return the slots and annotated names of those bases and subclasses that a framework did not decorate.

    `marker` is the attribute that the framework leaves on a class.
    """
    if _lists_state(cls):
        return []  # only the framework's fields are pickled
    others = tuple(base for base in cls.__mro__ if marker not in base.__dict__)
    return annotated(cls, dict.fromkeys([*slots_of(others), *instance_annotations(others)]))


def _lists_state(cls: Any) -> bool:
    """Return whether the state is a list of the values of the fields, as for frozen dataclasses with slots."""
    return getattr(static(cls, "__getstate__"), "__name__", "") == "_dataclass_getstate"


def is_frozen(cls: Any) -> bool:
    """Return whether a class is itself a frozen dataclass."""
    return bool(getattr(vars(cls).get("__dataclass_params__"), "frozen", False))


def declared_names(cls: Any) -> tuple[str, ...]:
    """Return the names of a dataclass's fields, without those of classes that are not decorated."""
    from dataclasses import fields

    return tuple(field.name for field in fields(cls))
