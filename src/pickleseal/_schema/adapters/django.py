"""The adapter for models of Django. It looks at the table of fields in `_meta`, and never imports Django.

An object holds only the columns that were set or loaded. Django loads the others from the database when they are used,
so a missing value is never filled in.
"""

from typing import Any

from ..names import makes_empty_model
from .base import Adapter, Default, Fill, Missing, Recorded, Target, Values, constant, static

_MODULE = "django.db.models.base"
_BUFFERS = "_memoryview_attrs"  # where a state keeps values that are memoryviews: pairs of name and bytes


class DjangoAdapter(Adapter):
    """Models. A function of Django makes an object from the name of its model, and then the object gets its state."""

    kind = "plain"
    generated = frozenset((_MODULE, name) for name in ("__reduce__", "__getstate__", "__setstate__"))
    filled_by_name = True
    takes_any_field = True
    defaults_lie_on_class = True

    def fits(self, cls: Any) -> bool:
        return type(static(cls, "_meta")).__module__ == "django.db.models.options"

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        return [(field.attname, type(field).__name__) for field in cls._meta.concrete_fields]

    def shape(self, cls: Any) -> str:
        return "dict"

    def default(self, cls: Any, field: str) -> Default | None:
        found = next(other for other in cls._meta.concrete_fields if other.attname == field)
        has_db_default = getattr(found, "has_db_default", None)  # since Django 5
        given = found.null or found.primary_key or found.has_default() or (has_db_default and has_db_default())
        return constant(None) if given else None  # it is not used

    def makes_empty(self, function: Any) -> bool:
        return makes_empty_model(function)

    def read_state(self, state: Any, recorded: Recorded) -> Values:
        values = super().read_state(state, recorded)
        for name, value in values.pop(_BUFFERS, ()):
            values[name] = memoryview(value)
        return values

    def filler(self, target: Target) -> Fill:
        setstate = target.cls.__setstate__

        def fill(obj: Any, values: Values, missing: Missing, state: Any) -> None:
            setstate(obj, values)

        return fill
