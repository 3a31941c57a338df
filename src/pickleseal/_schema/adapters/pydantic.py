"""The adapters for models of pydantic 2 and 1. They look at a model's table of fields, and never import pydantic."""

from collections.abc import Mapping
from typing import Any, ClassVar

from .base import Adapter, Default, Fill, Missing, Recorded, Target, Values, is_described, static, text_of_annotation

_EXTRA, _WERE_SET, _PRIVATE = "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__"


class PydanticAdapter(Adapter):
    """Subclasses of `BaseModel`. Their state has several parts, which pydantic's own `__setstate__` takes."""

    kind = "pydantic"
    generated = frozenset(
        (module, name)
        for module in ("pydantic.main", "pydantic.root_model")
        for name in ("__getstate__", "__setstate__")
    )
    takes_any_field = True
    # The parts of a state, beside `__dict__`: further values, the names of the fields that were given, private values.
    parts: ClassVar[tuple[str, ...]] = (_EXTRA, _WERE_SET, _PRIVATE)
    were_set: ClassVar[str] = _WERE_SET
    private: ClassVar[str] = _PRIVATE

    def fits(self, cls: Any) -> bool:
        return _fields_of(cls) is not None

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        declared = [(name, text_of_annotation(info.annotation)) for name, info in _table(cls).items()]
        return declared + [(name, "") for name in _private_of(cls)]

    def attributes(self, cls: Any) -> list[str] | None:
        return list(_private_of(cls))

    def default(self, cls: Any, field: str) -> Default | None:
        private = _private_of(cls)
        return _default_of_private(private[field]) if field in private else default_of_field(_table(cls)[field])

    def as_today(self, was: Mapping[str, Any], fields: Mapping[str, str], cls: Any) -> Mapping[str, Any]:
        if was["kind"] != self.kind:
            return was
        recorded = dict(was["fields"])
        if [*recorded] == ["root"] and was["state"] == "custom" and "shape" not in was:
            was = {**was, "state": "default", "shape": "dict"}  # early versions took a RootModel's methods for its own
        # Early versions do not say which private attributes there were: then they count as those of today.
        names = [name for name, _ in was["attributes"]] if "attributes" in was else _private_of(cls)
        private = [[name, ""] for name in names if name not in recorded]
        return {**was, "fields": [*was["fields"], *private]} if private else was

    def takes_state_of(self, was: Mapping[str, Any]) -> bool:
        # Early versions took the models of pydantic before 2.10 for classes with slots.
        return was["kind"] == self.kind or any(name == _WERE_SET for name, _ in was["fields"])

    def has_place(self, cls: Any, field: str) -> bool:
        # Only such models have a place for more fields, beside their attributes.
        return dict(static(cls, "model_config") or ()).get("extra") == "allow" and static(cls, field) is None

    def read_state(self, state: Any, recorded: Recorded) -> Values:
        if isinstance(state, dict) and "__dict__" in state:
            return {**(state.get(_EXTRA) or {}), **(state.get(self.private) or {}), **state["__dict__"]}
        return super().read_state(state, recorded)

    def filler(self, target: Target) -> Fill:
        renames, private = target.renames, _private_of(target.cls)
        fields = target.fields.keys() - private.keys()
        old = {renames.get(field, field) for field in target.recorded.fields}
        setstate = target.cls.__setstate__
        names, were_set, private_part, has_extra = self.parts, self.were_set, self.private, _EXTRA in self.parts

        def fill(obj: Any, values: Values, missing: Missing, state: Any) -> None:
            given = state if isinstance(state, dict) else {}
            parts = {key: given.get(key) for key in names}
            before = given.get(private_part)
            hidden = [name for name in values if name in private or (name not in fields and name in (before or ()))]
            own = {name: values.pop(name) for name in hidden}
            if own or private or before is not None:
                parts[private_part] = own
            if has_extra:
                extra = {name: values.pop(name) for name in [*values] if name not in fields}
                if parts[_EXTRA] is not None or extra:
                    parts[_EXTRA] = extra
            known = {renames.get(field, field) for field in parts[were_set] or ()}
            parts[were_set] = {field for field in values if field in known or field not in old}
            setstate(obj, {**parts, "__dict__": values})
            for field, default in missing.items():
                if field not in private and not is_described(target.cls, field):
                    obj.__dict__[field] = default(obj)
            for field, default in missing.items():
                if field in private:
                    self.set_private(obj, field, default(obj))

        return fill

    def set_private(self, obj: Any, field: str, value: Any) -> None:
        """Give an object that has its state a private attribute."""
        obj.__pydantic_private__[field] = value


class PydanticV1Adapter(PydanticAdapter):
    """Models of pydantic 1, and of `pydantic.v1`. Objects of one generation are none of the other: the kind differs."""

    kind = "slots"
    generated = frozenset(
        (module, name) for module in ("pydantic.main", "pydantic.v1.main") for name in ("__getstate__", "__setstate__")
    )
    parts = ("__fields_set__", "__private_attribute_values__")
    were_set = "__fields_set__"
    private = "__private_attribute_values__"

    def fits(self, cls: Any) -> bool:
        return isinstance(static(cls, "__fields__"), dict) and static(cls, "__fields_set__") is not None

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        declared = [(name, text_of_annotation(field.outer_type_)) for name, field in static(cls, "__fields__").items()]
        return declared + [(name, "") for name in _private_of(cls)]

    def shape(self, cls: Any) -> str:
        return "dict"

    def default(self, cls: Any, field: str) -> Default | None:
        private = _private_of(cls)
        if field in private:
            return _default_of_private(private[field])
        found = static(cls, "__fields__")[field]
        return None if found.required else lambda _: found.get_default()

    def takes_state_of(self, was: Mapping[str, Any]) -> bool:
        return bool(was["kind"] == self.kind)

    def set_private(self, obj: Any, field: str, value: Any) -> None:
        object.__setattr__(obj, field, value)


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


def _fields_of(cls: Any) -> dict[str, Any] | None:
    """Return a model's table of fields, or None if the class is no model."""
    found = static(cls, "__pydantic_fields__")
    if found is None and static(cls, "__pydantic_decorators__") is not None:
        found = static(cls, "model_fields")  # its name before 2.10
    return found if isinstance(found, dict) else None


def _table(cls: Any) -> dict[str, Any]:
    return _fields_of(cls) or {}


def _private_of(cls: Any) -> dict[str, Any]:
    """Return the private attributes of a model by name. Both generations keep them in one way."""
    found = static(cls, "__private_attributes__")
    return found if isinstance(found, dict) else {}


def _default_of_private(info: Any) -> Default | None:
    factory = info.default_factory
    if factory is None:
        is_undefined = type(info.default).__name__ in ("PydanticUndefinedType", "UndefinedType")
        return None if is_undefined else lambda _: info.get_default()
    if not getattr(info, "default_factory_takes_validated_data", False):
        return lambda _: factory()
    return lambda obj: factory({**obj.__dict__, **obj.__pydantic_private__})
