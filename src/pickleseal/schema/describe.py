"""Describe a class: what kind it is, its fields in order, and whether pickle stores its state in the standard way.

A description is made once for each class and kept as long as the class lives. Nothing of the class is called and no
annotation is evaluated; `dataclasses`, attrs, pydantic and msgspec leave what is read here on the class itself. What
the header says of a class follows from its description (spec 6.2).
"""

import copyreg
import enum
import sys
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..format.grammar import is_name
from .names import is_standard

__all__ = ["Description", "describe", "field_names", "is_library_class"]

_MISSING: Any = object()
_LONGEST_VALUE = 1000  # characters of a member's or default's text
_ENUM_REDUCERS = tuple(
    vars(cls)["__reduce_ex__"] for cls in (enum.Enum, enum.Flag) if "__reduce_ex__" in vars(cls)
)  # Flag had its own in 3.11.0 to 3.11.3
# Methods that frameworks generate or inherit: (module, name). They store fields by name or position, nothing else.
_GENERATED = {
    "attrs": {("attr._make", "slots_getstate"), ("attr._make", "slots_setstate")},
    "dataclass": {("dataclasses", "_dataclass_getstate"), ("dataclasses", "_dataclass_setstate")},
    "pydantic": {("pydantic.main", "__getstate__"), ("pydantic.main", "__setstate__")},
}


class Description(NamedTuple):
    """A class as it is now."""

    kind: str
    fields: list[list[str]]  # name and annotation text, in order; for an enum, member and value text
    state: str  # "default", or "custom": it has its own __getstate__, __setstate__, __reduce__ or __reduce_ex__
    defaults: list[list[str]]  # name and text of defaults that live on the class and not in its instances


# id(class) -> (the class, weakly, its description): classes may have a metaclass whose instances can't be hashed
_known: dict[int, tuple[weakref.ref[type], Description | None]] = {}


def describe(cls: type) -> Description | None:
    """Describe a class, or return None where it has no schema: nothing on it says what its fields are."""
    found = _known.get(id(cls))
    if found is not None and found[0]() is cls:
        return found[1]
    description = _describe(cls)
    key = id(cls)
    _known[key] = (weakref.ref(cls, lambda _: _known.pop(key, None)), description)
    return description


def _text(annotation: Any) -> str:
    from .annotations import annotation_text  # it needs ast: not for who only loads plain values

    return annotation_text(annotation)


def field_names(cls: type) -> list[str]:
    """Return the names of a class's fields as far as it says them now. A decorator above may still change it."""
    description = _describe(cls)
    return [] if description is None else [name for name, _ in description.fields]


def is_library_class(cls: type) -> bool:
    """Tell whether a class is the standard library's: its layout is a matter of `build.python`."""
    return is_standard(str(_attribute(cls, "__module__", "")).partition(".")[0])


def _describe(cls: type) -> Description | None:
    try:
        kind, fields = _kind_and_fields(cls)
    except Exception:  # a class of a stranger may answer anything; without a schema it is plain pickle's business
        return None
    if kind is None:
        return None
    names = [name for name, _ in fields]
    if len(set(names)) != len(names) or not all(type(name) is str and is_name(name) for name in names):
        return None  # the header could not hold them
    return Description(kind, [list(pair) for pair in fields], _state_of(cls, kind), _class_defaults(cls, kind, names))


def _attribute(cls: type, name: str, default: Any = None) -> Any:
    """Look an attribute up past a metaclass's own `__getattribute__`."""
    try:
        return type.__getattribute__(cls, name)
    except AttributeError:
        return default


def _kind_and_fields(cls: type) -> tuple[str | None, list[tuple[str, str]]]:
    if issubclass(cls, enum.Enum):
        return "enum", [(name, value_text(member._value_)) for name, member in cls.__members__.items()]
    dataclass_fields = _attribute(cls, "__dataclass_fields__")
    if dataclass_fields is not None:
        from dataclasses import fields

        table: Any = cls
        return "dataclass", [(f.name, _text(f.type)) for f in fields(table)]
    attributes = _attribute(cls, "__attrs_attrs__")
    if attributes is not None:
        return "attrs", [(a.name, _text(a.type) if a.type is not None else "") for a in attributes]
    pydantic_fields = _attribute(cls, "__pydantic_fields__")
    if isinstance(pydantic_fields, dict):
        return "pydantic", [(name, _text(info.annotation)) for name, info in pydantic_fields.items()]
    struct_fields = _attribute(cls, "__struct_fields__")
    if isinstance(struct_fields, tuple):
        return "msgspec", _annotated(cls, struct_fields)
    if issubclass(cls, tuple) and isinstance(_attribute(cls, "_fields"), tuple) and hasattr(cls, "_make"):
        return "namedtuple", _annotated(cls, _attribute(cls, "_fields"))
    slots = list(_slots(cls))
    names = [*slots, *(name for name in _instance_annotations(cls) if name not in slots)]
    if not names:
        return None, []
    return ("slots" if slots else "plain"), _annotated(cls, tuple(names))


def _annotated(cls: type, names: tuple[str, ...]) -> list[tuple[str, str]]:
    annotations = _annotations(cls)
    return [(name, _text(annotations[name]) if name in annotations else "") for name in names]


def _annotations(cls: type) -> dict[str, Any]:
    """Return the annotations of a class and its bases, bases first."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found.update(_own_annotations(base))
    return found


def _own_annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    annotations = cls.__dict__.get("__annotations__")  # noqa: RUF063 - the right way before 3.14
    return annotations if isinstance(annotations, dict) else {}


def _instance_annotations(cls: type) -> Iterator[str]:
    """Give the annotated names that belong to instances: no ClassVar."""
    for name, annotation in _annotations(cls).items():
        text = _text(annotation)
        if text != "ClassVar" and not text.startswith("ClassVar["):
            yield name


def _slots(cls: type) -> Iterator[str]:
    """Give the slots of a class and its bases, bases first, as pickle stores them: private names mangled."""
    for base in reversed(cls.__mro__):
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name in ("__dict__", "__weakref__"):
                continue
            private = name.startswith("__") and not name.endswith("__") and base.__name__.strip("_")
            yield f"_{base.__name__.lstrip('_')}{name}" if private else name


def value_text(value: object) -> str:
    """Return the text of a literal value, or "", which takes no part in comparisons, for any other."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        try:
            text = repr(value)
            text.encode("utf-8")
        except (ValueError, UnicodeEncodeError):  # an integer of thousands of digits; a lone surrogate
            return ""
        return text if len(text) <= _LONGEST_VALUE else ""
    if type(value) is tuple:
        items = [value_text(item) for item in value]
        if all(items) and sum(map(len, items)) < _LONGEST_VALUE:
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return ""


def _class_defaults(cls: type, kind: str, names: list[str]) -> list[list[str]]:
    """Return texts of defaults that instances may lack: a change of such a default changes old objects in silence."""
    if kind == "dataclass":
        table = _attribute(cls, "__dataclass_fields__")
        names = [name for name in names if not table[name].init]  # the others are set by __init__
    elif kind not in ("plain", "slots"):
        return []
    defaults = []
    for name in names:
        value = _attribute(cls, name, _MISSING)
        text = "" if value is _MISSING else value_text(value)
        if text:
            defaults.append([name, text])
    return defaults


def _state_of(cls: type, kind: str) -> str:
    """Tell whether pickle stores instances in the standard way of their kind."""
    if cls in copyreg.dispatch_table:
        return "custom"
    standard = _GENERATED.get(kind, set())
    for name in ("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__"):
        method = _attribute(cls, name)
        if method is None or method is getattr(object, name, None):
            continue
        if name == "__reduce_ex__" and kind == "enum" and method in _ENUM_REDUCERS:
            continue
        if kind == "msgspec" and getattr(method, "__objclass__", None) is not None and name == "__reduce__":
            continue
        if (getattr(method, "__module__", None), getattr(method, "__name__", None)) not in standard:
            return "custom"
    return "default"
