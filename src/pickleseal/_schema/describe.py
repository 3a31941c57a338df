"""Describe a class: what kind it is, its fields in order, and how pickle stores the state of its instances.

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

from .._format.checksum import checksum_hex
from .._format.header import is_name
from .names import global_name, is_standard

__all__ = [
    "Description",
    "describe",
    "describe_any",
    "field_names",
    "is_foreign",
    "is_library_class",
    "static",
    "value_text",
]

# The text of a value that stands on a class: of an enum's member, of a default (spec 6.2).


_LONGEST = 1000  # characters of a text that is kept as it is
_DEEPEST = 8
_ITEMS = 100  # of a tuple or frozenset
# Types of the standard library whose repr says all of the value, on every Python version.
_PLAIN = frozenset(
    {
        *("datetime:date", "datetime:time", "datetime:timedelta", "datetime:timezone", "decimal:Decimal"),
        *("fractions:Fraction", "uuid:UUID", "builtins:complex", "builtins:range", "datetime:datetime"),
    }
)


def value_text(value: Any, depth: int = 0) -> str:
    """Return the text of a value, or "", which takes no part in comparisons, where none says all of it."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str, bytes):
        return _literal(value)
    if kind in (tuple, frozenset):
        return _items(value, depth)
    if global_name(kind) in _PLAIN:
        zone = getattr(value, "tzinfo", None)
        if zone is None or global_name(type(zone)) == "datetime:timezone":
            return _short(repr(value))
    return ""


def _literal(value: Any) -> str:
    try:
        return _short(ascii(value))  # repr differs with the Unicode tables of a Python
    except ValueError:  # an integer of thousands of digits
        return ""


def _short(text: str) -> str:
    """Keep a text, or, where it is long, its length and checksum."""
    if len(text) <= _LONGEST:
        return text
    return f"{len(text)} characters, {checksum_hex(text.encode('utf-8'))}"


def _items(value: Any, depth: int) -> str:
    if len(value) > _ITEMS or depth >= _DEEPEST:
        return ""
    texts: list[str] = []
    for item in value:
        texts.append(value_text(item, depth + 1))
        if not texts[-1] or sum(map(len, texts)) > _LONGEST:
            return ""
    if type(value) is frozenset:
        return f"frozenset({{{', '.join(sorted(texts))}}})" if texts else "frozenset()"
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


_MISSING: Any = object()
# Methods that frameworks generate or inherit: (module, name). They store fields by name or position, nothing else.
_GENERATED = {
    "attrs": {("attr._make", "slots_getstate"), ("attr._make", "slots_setstate")},
    "dataclass": {("dataclasses", "_dataclass_getstate"), ("dataclasses", "_dataclass_setstate")},
    "pydantic": {("pydantic.main", "__getstate__"), ("pydantic.main", "__setstate__")},
}
_ENUM_REDUCERS = tuple(
    vars(cls)["__reduce_ex__"] for cls in (enum.Enum, enum.Flag) if "__reduce_ex__" in vars(cls)
)  # Flag had its own in 3.11.0 to 3.11.3


class Description(NamedTuple):
    """A class as it is now."""

    kind: str
    fields: list[list[str]]  # name and annotation text, in order; for an enum, member and value text
    state: str  # "default", or "custom": it has its own __getstate__, __setstate__, __reduce__ or __reduce_ex__
    defaults: list[list[str]]  # name and text of defaults that live on the class and not in its instances
    shape: str = ""  # how a state is pickled: arguments, dict, list, mixed, slots, value; "" where the class decides


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


def describe_any(cls: type) -> Description:
    """Describe a class; one without a schema has no fields, and no shape, for it may hold anything."""
    description = describe(cls)
    if description is not None:
        return description
    try:
        return Description("plain", [], _state_of(cls, "plain"), [])
    except Exception:  # as in _describe
        return Description("plain", [], "custom", [])


def field_names(cls: type) -> list[str]:
    """Return the names of a class's fields as far as it says them now. A decorator above may still change it."""
    description = _describe(cls)
    return [] if description is None else [name for name, _ in description.fields]


def is_library_class(cls: type) -> bool:
    """Tell whether a class is the standard library's: its layout is a matter of `build.python`."""
    return is_standard(str(static(cls, "__module__")).partition(".")[0])


def static(cls: type, name: str, default: Any = None) -> Any:
    """Look an attribute up on a class and its bases, past descriptors and a metaclass's own ways."""
    for base in type.__getattribute__(cls, "__mro__"):
        found = type.__getattribute__(base, "__dict__")
        if name in found:
            value = found[name]
            return value.__func__ if isinstance(value, staticmethod | classmethod) else value
    return default


def _describe(cls: type) -> Description | None:
    try:
        kind, fields = _kind_and_fields(cls)
        if kind is None:
            return None
        names = [name for name, _ in fields]
        state = _state_of(cls, kind)
        shape = _shape_of(cls, kind) if state == "default" else ""
        return Description(kind, [list(pair) for pair in fields], state, _class_defaults(cls, kind, names), shape)
    except Exception:  # a class of a stranger may answer anything; without a schema it is plain pickle's business
        return None


def _kind_and_fields(cls: type) -> tuple[str | None, list[tuple[str, str]]]:
    kind, pairs = _declared(cls)
    if kind is None:
        return None, []
    fields: dict[str, str] = {}
    for name, text in pairs:
        if type(name) is str and is_name(name):  # the header could not hold others
            fields.setdefault(name, text)
    return kind, list(fields.items())


def _declared(cls: type) -> tuple[str | None, list[tuple[str, str]]]:
    if issubclass(cls, enum.Enum):
        members = [(name, member._value_) for name, member in cls.__members__.items()]
        # Before CPython 3.13 a class within an enum is a member.
        return "enum", [(name, value_text(value)) for name, value in members if not isinstance(value, type)]
    if static(cls, "__dataclass_fields__") is not None:
        from dataclasses import fields

        table: Any = cls
        pairs = [(f.name, _text(f.type)) for f in fields(table)]
        return "dataclass", pairs + _untaken(cls, "__dataclass_fields__")
    attributes = static(cls, "__attrs_attrs__")
    if attributes is not None:
        pairs = [(a.name, _text(a.type) if a.type is not None else "") for a in attributes]
        return "attrs", pairs + _untaken(cls, "__attrs_attrs__")
    pydantic_fields = static(cls, "__pydantic_fields__")
    if isinstance(pydantic_fields, dict):
        return "pydantic", [(name, _text(info.annotation)) for name, info in pydantic_fields.items()]
    struct_fields = type(cls).__name__ == "StructMeta" and type.__getattribute__(cls, "__struct_fields__")
    if isinstance(struct_fields, tuple):
        return "msgspec", _annotated(cls, struct_fields)
    if issubclass(cls, tuple) and isinstance(static(cls, "_fields"), tuple) and static(cls, "_make") is not None:
        return "namedtuple", _annotated(cls, static(cls, "_fields"))
    slots = list(_slots(cls.__mro__))
    names = [*slots, *(name for name in _instance_annotations(cls.__mro__) if name not in slots)]
    if not names:
        has_none = not cls.__dictoffset__ and "__slots__" in cls.__dict__  # and can't have any
        return ("slots" if has_none else None), []
    return ("slots" if slots else "plain"), _annotated(cls, tuple(names))


def _untaken(cls: type, marker: str) -> list[tuple[str, str]]:
    """Give what bases and subclasses declare that the framework never saw: slots, and annotated names."""
    if _is_listed(cls):
        return []  # only the framework's fields are pickled
    others = tuple(base for base in cls.__mro__ if marker not in base.__dict__)
    names = [*_slots(others), *_instance_annotations(others)]
    return _annotated(cls, tuple(dict.fromkeys(names)))


def _is_listed(cls: type) -> bool:
    """Tell whether states are pickled as a list of the framework's fields."""
    return getattr(static(cls, "__getstate__"), "__name__", "") == "_dataclass_getstate"


def _annotated(cls: type, names: tuple[str, ...]) -> list[tuple[str, str]]:
    annotations = _annotations(cls.__mro__)
    return [(name, _text(annotations[name]) if name in annotations else "") for name in names]


def _annotations(classes: tuple[type, ...]) -> dict[str, Any]:
    """Return the annotations of some classes in their resolution order, bases first."""
    found: dict[str, Any] = {}
    for base in reversed(classes):
        found.update(_own_annotations(base))
    return found


def _own_annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    annotations = cls.__dict__.get("__annotations__")  # noqa: RUF063 - the right way before 3.14
    return annotations if isinstance(annotations, dict) else {}


def _text(annotation: Any) -> str:
    from .annotations import annotation_text  # it needs ast, which takes time to import

    return annotation_text(annotation)


def _instance_annotations(classes: tuple[type, ...]) -> Iterator[str]:
    """Give the annotated names that belong to instances: no ClassVar."""
    for name, annotation in _annotations(classes).items():
        text = _text(annotation)
        if text != "ClassVar" and not text.startswith("ClassVar["):
            yield name


def _slots(classes: tuple[type, ...]) -> Iterator[str]:
    """Give the slots of classes, in resolution order, bases first, as pickle stores them: private names mangled."""
    for base in reversed(classes):
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name in ("__dict__", "__weakref__"):
                continue
            private = name.startswith("__") and not name.endswith("__") and base.__name__.strip("_")
            yield f"_{base.__name__.lstrip('_')}{name}" if private else name


def _class_defaults(cls: type, kind: str, names: list[str]) -> list[list[str]]:
    """Return texts of defaults that instances may lack: a change of such a default changes old objects in silence."""
    if kind == "dataclass":
        table, made = static(cls, "__dataclass_fields__"), static(cls, "__dataclass_params__")
        # The others are set by the __init__ that dataclass makes.
        names = [name for name in names if name not in table or not table[name].init or not getattr(made, "init", True)]
    elif kind not in ("plain", "slots"):
        return []
    texts = [[name, value_text(static(cls, name, _MISSING))] for name in names]
    return [pair for pair in texts if pair[1]]


def _state_of(cls: type, kind: str) -> str:
    """Tell whether pickle stores instances in the standard way of their kind."""
    if any(known is cls for known in copyreg.dispatch_table):
        return "custom"
    standard = _GENERATED.get(kind, set())
    for name in ("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__"):
        method = static(cls, name)
        if method is None or method is vars(object).get(name):
            continue
        if name == "__reduce_ex__" and kind == "enum" and method in _ENUM_REDUCERS:
            continue
        if kind == "msgspec" and name == "__reduce__" and getattr(method, "__objclass__", None) is not None:
            continue
        if (getattr(method, "__module__", None), getattr(method, "__name__", None)) not in standard:
            return "custom"
        if kind == "attrs" and _is_partial(cls, name):
            return "custom"
    for name in ("__getnewargs__", "__getnewargs_ex__"):
        method = static(cls, name)
        if method is None or (kind == "namedtuple" and _is_made_by_namedtuple(method)):
            continue
        if not (kind == "enum" or getattr(method, "__objclass__", None) is not None):  # those of int, str, tuple, ...
            return "custom"
    return "default"


def is_foreign(cls: type, kind: str) -> bool:
    """Tell whether the state is set by what was generated for another framework, or for a base with fewer fields."""
    method = static(cls, "__setstate__")
    name = getattr(method, "__module__", None), getattr(method, "__name__", None)
    if name in _GENERATED["attrs"] and kind == "attrs":
        return _is_partial(cls, "__setstate__")
    return any(name in generated for other, generated in _GENERATED.items() if other != kind)


def _is_partial(cls: type, name: str) -> bool:
    """Tell whether a method that attrs generated is a base's, which knows the fields of the base alone."""
    owner = next(base for base in cls.__mro__ if name in base.__dict__)
    known, needed = static(owner, "__attrs_attrs__", ()), static(cls, "__attrs_attrs__", ())
    return [a.name for a in known] != [a.name for a in needed]


def _is_made_by_namedtuple(method: Any) -> bool:
    return getattr(method, "__code__", None) is vars(Description)["__getnewargs__"].__code__


def _shape_of(cls: type, kind: str) -> str:
    """Tell how a state is pickled (spec 6.2, shape)."""
    if kind == "enum":
        return "value"
    if kind == "msgspec":
        positional = type.__getattribute__(cls, "__match_args__")  # the others are keyword-only
        return "arguments" if positional == type.__getattribute__(cls, "__struct_fields__") else "dict"
    if kind == "namedtuple":
        return "arguments"
    getter = static(cls, "__getstate__")
    if getter is not None and getter is not vars(object).get("__getstate__"):
        return "list" if getattr(getter, "__name__", "") == "_dataclass_getstate" else "dict"
    if not any(True for _ in _slots(cls.__mro__)):
        return "dict"
    return "mixed" if cls.__dictoffset__ else "slots"
