"""The adapter for models of pydantic. It looks at `__pydantic_fields__`, and never imports pydantic."""

from typing import Any

from .base import Adapter, Default, Fill, Missing, Recorded, Target, Values, static, text_of_annotation

_EXTRA, _WERE_SET, _PRIVATE = "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__"


class PydanticAdapter(Adapter):
    """Subclasses of `BaseModel`. Their state has four parts, which pydantic's own `__setstate__` takes."""

    kind = "pydantic"
    generated = frozenset({("pydantic.main", "__getstate__"), ("pydantic.main", "__setstate__")})
    takes_any_field = True

    def fits(self, cls: Any) -> bool:
        return isinstance(static(cls, "__pydantic_fields__"), dict)

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        fields = static(cls, "__pydantic_fields__")
        return [(name, text_of_annotation(info.annotation)) for name, info in fields.items()]

    def default(self, cls: Any, field: str) -> Default | None:
        return default_of_field(cls.__pydantic_fields__[field])

    def read_state(self, state: Any, recorded: Recorded) -> Values:
        if isinstance(state, dict) and "__dict__" in state:
            return {**(state.get(_EXTRA) or {}), **state["__dict__"]}
        return super().read_state(state, recorded)

    def filler(self, target: Target) -> Fill:
        renames, fields = target.renames, target.fields
        old = {renames.get(field, field) for field in target.recorded.fields}
        setstate = target.cls.__setstate__

        def fill(obj: Any, values: Values, missing: Missing, state: Any) -> None:
            parts = {key: state.get(key) for key in (_EXTRA, _WERE_SET, _PRIVATE)}
            extra = {name: values.pop(name) for name in [*values] if name not in fields}
            if parts[_EXTRA] is not None or extra:
                parts[_EXTRA] = extra
            were_set = {renames.get(field, field) for field in parts[_WERE_SET] or ()}
            parts[_WERE_SET] = {field for field in values if field in were_set or field not in old}
            setstate(obj, {**parts, "__dict__": values})
            for field, default in missing.items():
                obj.__dict__[field] = default(obj)

        return fill


def default_of_field(info: Any) -> Default | None:
    """Return what gives a field of pydantic its default, or None if the field is required."""
    if info.is_required():
        return None
    takes_data = getattr(info, "default_factory_takes_validated_data", False)

    def fill(obj: Any) -> Any:
        if takes_data:
            return info.get_default(call_default_factory=True, validated_data=dict(obj.__dict__))
        return info.get_default(call_default_factory=True)

    return fill
