"""Which fields of a class get a value by themselves, and what value: for fields that older artifacts lack."""

from collections.abc import Callable
from typing import Any

__all__ = ["Default", "default_of"]

Default = Callable[[Any], Any]  # from the object that lacks the field to its value


def default_of(cls: type, kind: str, field: str) -> Default | None:
    """Return the function that gives the default of a field, or None where it has none. Runs nothing."""
    find = _FINDERS.get(kind)
    return None if find is None else find(cls, field)


def _dataclass(cls: Any, field: str) -> Default | None:
    from dataclasses import MISSING

    if field not in cls.__dataclass_fields__:  # of a subclass that is not decorated
        return _plain(cls, field)
    if field in (getattr(cls, "__pydantic_fields__", None) or ()):  # pydantic's dataclasses
        return _pydantic(cls, field)
    found = cls.__dataclass_fields__[field]
    if found.default is not MISSING:
        return _constant(found.default)
    if found.default_factory is not MISSING:
        factory = found.default_factory
        return lambda _: factory()
    return None


def _attrs(cls: Any, field: str) -> Default | None:
    import attr

    attribute = next((a for a in cls.__attrs_attrs__ if a.name == field), None)
    if attribute is None:
        return _plain(cls, field)
    default = attribute.default
    if default is attr.NOTHING:
        return None
    make = _constant(default)
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


def _pydantic(cls: Any, field: str) -> Default | None:
    info = cls.__pydantic_fields__[field]
    if info.is_required():
        return None
    takes_data = getattr(info, "default_factory_takes_validated_data", False)

    def fill(obj: Any) -> Any:
        if takes_data:
            return info.get_default(call_default_factory=True, validated_data=dict(obj.__dict__))
        return info.get_default(call_default_factory=True)

    return fill


def _msgspec(cls: Any, field: str) -> Default | None:
    import msgspec

    names, defaults = cls.__struct_fields__, cls.__struct_defaults__
    index = names.index(field) - (len(names) - len(defaults))
    if index < 0 or defaults[index] is msgspec.NODEFAULT:
        return None
    default = defaults[index]
    factory = getattr(default, "factory", None)
    return _constant(default) if factory is None else lambda _: factory()


def _namedtuple(cls: Any, field: str) -> Default | None:
    defaults = cls._field_defaults
    return _constant(defaults[field]) if field in defaults else None


def _plain(cls: type, field: str) -> Default | None:
    """Find what lies on the class under the name, save the descriptor of a slot."""
    from types import MemberDescriptorType

    for base in cls.__mro__:
        if field in base.__dict__:
            value = base.__dict__[field]
            return None if isinstance(value, MemberDescriptorType) else _constant(value)
    return None


def _constant(value: Any) -> Default:
    return lambda _: value


_FINDERS: dict[str, Callable[[Any, str], Default | None]] = {
    "attrs": _attrs,
    "dataclass": _dataclass,
    "msgspec": _msgspec,
    "namedtuple": _namedtuple,
    "plain": _plain,
    "pydantic": _pydantic,
    "slots": _plain,
}
