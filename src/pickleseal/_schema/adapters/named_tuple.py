"""The adapter for named tuples, of `collections.namedtuple` and of `typing.NamedTuple`."""

from typing import Any

from .base import Adapter, Default, Make, Missing, Recorded, Target, Values, annotated, constant, static


class NamedTupleAdapter(Adapter):
    """Named tuples and their subclasses. They are made of their values in order."""

    kind = "namedtuple"
    made_of_arguments = True

    def fits(self, cls: Any) -> bool:
        return issubclass(cls, tuple) and isinstance(static(cls, "_fields"), tuple) and static(cls, "_make") is not None

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        return annotated(cls, static(cls, "_fields"))

    def is_standard(self, cls: Any, name: str, method: Any) -> bool:
        # All named tuples share the code of this method.
        shared = getattr(method, "__code__", None) is vars(Recorded)["__getnewargs__"].__code__
        return shared or super().is_standard(cls, name, method)

    def shape(self, cls: Any) -> str:
        return "arguments"

    def default(self, cls: Any, field: str) -> Default | None:
        defaults = cls._field_defaults
        return constant(defaults[field]) if field in defaults else None

    def maker(self, target: Target) -> Make:
        cls, fields = target.cls, target.fields

        def make(values: Values, missing: Missing) -> Any:
            for field, default in missing.items():
                values[field] = default(None)
            return tuple.__new__(cls, [values[field] for field in fields])

        return make
