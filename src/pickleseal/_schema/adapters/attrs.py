"""The adapter for classes of attrs. It looks at `__attrs_attrs__`, and imports attrs only for defaults."""

from typing import Any

from .base import Adapter, Default, Fill, Missing, Recorded, Target, Values, constant, static, text_of_annotation
from .dataclass import undecorated_fields

_HASH = "_attrs_cached_hash"  # where attrs caches the hash of an object


class AttrsAdapter(Adapter):
    """Classes that attrs decorated."""

    kind = "attrs"
    generated = frozenset({("attr._make", "slots_getstate"), ("attr._make", "slots_setstate")})
    filled_by_name = True
    lists_values = True

    def fits(self, cls: Any) -> bool:
        return static(cls, "__attrs_attrs__") is not None

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        attributes = static(cls, "__attrs_attrs__")
        pairs = [(a.name, text_of_annotation(a.type) if a.type is not None else "") for a in attributes]
        return pairs + undecorated_fields(cls, "__attrs_attrs__")

    def is_standard(self, cls: Any, name: str, method: Any) -> bool:
        if not super().is_standard(cls, name, method):
            return False
        # What attrs generated for a base knows the fields of the base alone.
        if name not in ("__getstate__", "__setstate__"):
            return True
        owner = next(base for base in cls.__mro__ if name in base.__dict__)
        known, needed = static(owner, "__attrs_attrs__", ()), static(cls, "__attrs_attrs__", ())
        return [a.name for a in known] == [a.name for a in needed]

    def default(self, cls: Any, field: str) -> Default | None:
        import attr

        attribute = next((a for a in cls.__attrs_attrs__ if a.name == field), None)
        if attribute is None:  # of a subclass that is not decorated
            return super().default(cls, field)
        default = attribute.default
        if default is attr.NOTHING:
            return None
        make = constant(default)
        if type(default).__name__ == "Factory":
            factory: Any = default
            make = factory.factory if factory.takes_self else lambda _: factory.factory()
        converter: Any = attribute.converter
        if converter is None:
            return make
        if type(converter).__name__ != "Converter":
            return lambda obj: converter(make(obj))

        def convert(obj: Any) -> Any:
            more = ([obj] if converter.takes_self else []) + ([attribute] if converter.takes_field else [])
            return converter.converter(make(obj), *more)

        return convert

    def runs_code_with_object(self, cls: Any) -> bool:
        return any(getattr(a.default, "takes_self", False) for a in cls.__attrs_attrs__)

    def read_state(self, state: Any, recorded: Recorded) -> Values:
        values = super().read_state(state, recorded)
        values.pop(_HASH, None)
        return values

    def filler(self, target: Target) -> Fill:
        fill = super().filler(target)
        if target.setstate is not None or not _caches_hash(target.cls):
            return fill

        def fill_without_hash(obj: Any, values: Values, missing: Missing, state: Any) -> None:
            fill(obj, values, missing, state)
            object.__setattr__(obj, _HASH, None)

        return fill_without_hash


def _caches_hash(cls: Any) -> bool:
    if hasattr(cls, _HASH):
        return True
    code = getattr(getattr(cls, "__hash__", None), "__code__", None)
    return code is not None and _HASH in code.co_names
