"""What an adapter answers about the classes that keep their fields in one way, and the usual answers.

To support another way, write one class here beside the others, and add it to the list in `adapters/__init__.py`. The
header's `kind` is a closed set (spec 6.2), so an adapter may use the `kind` of another one.

Answers about a class come from what is written on it and its bases: nothing of it is called, and no annotation is
evaluated. Code of a class runs only where an object is made or filled.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from types import MemberDescriptorType
from typing import Any, ClassVar, NamedTuple

from ...errors import MigrationError

Values = dict[str, Any]  # values by field name
Default = Callable[[Any], Any]  # from the object that lacks a field to the value of the field
Missing = Mapping[str, Default]  # the fields that an object lacks, and their defaults
Make = Callable[[Values, Missing], Any]
Fill = Callable[[Any, Values, Missing, Any], None]  # object, values, missing, the state as it was pickled


class Recorded(NamedTuple):
    """A class as the header recorded it."""

    fields: dict[str, str]  # name -> annotation; for an enum, member -> text of its value
    shape: str  # "" if the class decided, and in early artifacts

    def by_position(self, values: Any) -> Values:
        """Give values in order the names that were recorded."""
        if len(self.fields) != len(values):
            raise MigrationError("another number of values than recorded fields", len(self.fields), len(values))
        return dict(zip(self.fields, values, strict=True))


class Target(NamedTuple):
    """A class whose objects are restored, and what its adapter has to know to put values into them."""

    cls: Any
    fields: Mapping[str, Any]  # its field names, in order
    setstate: Callable[[Any, Any], None] | None  # its own `__setstate__`
    slots: frozenset[str]
    renames: Mapping[str, str]  # former field name -> name today
    recorded: Recorded


class Adapter:
    """How classes of one sort keep their fields. It has no state of its own: one object serves all classes."""

    kind: ClassVar[str]  # in the header (spec 6.2)
    generated: ClassVar[frozenset[tuple[str, str]]] = frozenset()  # (module, name) of methods that a framework adds
    # How pickle brings the values. At most one of the first two is true.
    made_of_arguments: ClassVar[bool] = False  # an object is made with its values, and not filled afterwards
    filled_by_name: ClassVar[bool] = False  # an object is made empty, and filled by field names
    lists_values: ClassVar[bool] = False  # in some settings, the state is a list of values in the order of the fields
    # What the fields are.
    has_members: ClassVar[bool] = False  # the fields are members of an enum, with the texts of their values
    takes_any_field: ClassVar[bool] = False  # objects may have more fields than the class declares
    defaults_lie_on_class: ClassVar[bool] = False  # an object may lack a field that has a default
    has_framework: ClassVar[bool] = True  # a decorator, a base or a metaclass says what the fields are

    def fits(self, cls: Any) -> bool:
        """Return whether a class keeps its fields in this way. The first adapter of the list that fits is used."""
        raise NotImplementedError

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        """Return the fields in order, each with the text of its annotation."""
        raise NotImplementedError

    def attributes(self, cls: Any) -> list[str] | None:
        """Return those of the fields that a header lists among `attributes`. None: it has no such list."""
        return None

    def is_standard(self, cls: Any, name: str, method: Any) -> bool:
        """Return whether a method that pickle calls is not the class's own: a framework gave it, or CPython."""
        if name in ("__getnewargs__", "__getnewargs_ex__"):
            return getattr(method, "__objclass__", None) is not None  # that of int, str, tuple, ...
        return (getattr(method, "__module__", None), getattr(method, "__name__", None)) in self.generated

    def shape(self, cls: Any) -> str:
        """Return how the state of an object is pickled (spec 6.2), if no method of the class decides."""
        getter = static(cls, "__getstate__")
        if getter is not None and getter is not vars(object).get("__getstate__"):
            return "dict"
        if not any(True for _ in slots_of(cls.__mro__)):
            return "dict"
        return "mixed" if cls.__dictoffset__ else "slots"

    def unstored(self, cls: Any, names: list[str]) -> list[str]:
        """Return the fields that an object may lack because their default lies on the class."""
        return []

    def default(self, cls: Any, field: str) -> Default | None:
        """Return what gives a field its default, or None if it has none. The usual default lies on the class."""
        for base in cls.__mro__:
            if field in base.__dict__:
                value = base.__dict__[field]
                if isinstance(value, MemberDescriptorType) or (
                    is_described(cls, field) and type(value) is not property
                ):
                    return None
                return constant(value)
        return None

    def runs_code_with_object(self, cls: Any) -> bool:
        """Return whether a default runs code of the class that sees the object."""
        return False

    def takes_state_of(self, was: Mapping[str, Any]) -> bool:
        """Return whether the framework's `__setstate__` takes the states of a class as an entry recorded it."""
        return True

    def as_today(self, was: Mapping[str, Any], fields: Mapping[str, str], cls: Any) -> Mapping[str, Any]:
        """Return an entry as today's version would have written it: early versions recorded some things otherwise.

        Args:
            was: the entry.
            fields: today's fields, with their annotations.
            cls: the class.
        """
        return was

    def has_place(self, cls: Any, field: str) -> bool:
        """Return whether an object may get an attribute that its class does not declare, without hiding what it has."""
        return bool(cls.__dictoffset__) and not self.made_of_arguments and not hasattr(static(cls, field), "__get__")

    # What was pickled: these are answers about a class as it was recorded.

    def read_state(self, state: Any, recorded: Recorded) -> Values:
        """Return the values of a pickled state by field name.

        Raises:
            MigrationError: the state has no such form. The caller adds the class.
        """
        if state is None:
            return {}
        is_pair = _is_pair(state, recorded.shape)
        is_list = isinstance(state, list) or (isinstance(state, tuple) and not is_pair)
        if is_list and self.lists_values and recorded.shape in ("", "list"):
            return recorded.by_position(state)
        if isinstance(state, dict):
            return dict(state)
        if is_pair:
            return {**(state[0] or {}), **(state[1] or {})}
        expected = "a dict, slots, or values in order"
        raise MigrationError("the state has no field names", expected, type(state).__name__)

    def read_arguments(self, arguments: tuple[Any, ...], recorded: Recorded) -> Values:
        """Return the values that an object was made of, by field name. Raises as `read_state` does."""
        return recorded.by_position(arguments)

    def rebuilt(self, function: Any, arguments: tuple[Any, ...]) -> tuple[Any, Any] | None:
        """Return the class and the values by field name, if this is a framework's function that makes an object."""
        return None

    def makes_empty(self, function: Any) -> bool:
        """Return whether this is a framework's function that makes an object, which gets its state afterwards."""
        return False

    def rename(self, values: Values, renames: Mapping[str, str]) -> Values:
        """Return the values with other field names."""
        return {renames.get(field, field): value for field, value in values.items()}

    def check_migrated(self, values: Values, arguments: tuple[Any, ...], recorded: Recorded) -> None:
        """Check the values after the migrations. Raises as `read_state` does."""

    # What is restored: these are answers about a class as it is now.

    def maker(self, target: Target) -> Make:
        """Return the function that makes an object of a class from values."""
        fill, cls = self.filler(target), target.cls

        def make(values: Values, missing: Missing) -> Any:
            obj = cls.__new__(cls)
            fill(obj, values, missing, None)
            return obj

        return make

    def filler(self, target: Target) -> Fill:
        """Return the function that puts values into an object that was made empty."""
        setstate, slots, cls = target.setstate, target.slots, target.cls
        names = () if self.defaults_lie_on_class else target.fields
        to_fill = frozenset(name for name in names if not is_described(cls, name))

        def fill(obj: Any, values: Values, missing: Missing, state: Any) -> None:
            if setstate is not None:
                for field, default in missing.items():
                    if field in to_fill:
                        values[field] = default(obj)
                setstate(obj, values)
                return
            _set(obj, values, slots)
            for field, default in missing.items():
                if field in to_fill:
                    _set(obj, {field: default(obj)}, slots)

        return fill


def _set(obj: Any, values: Values, slots: frozenset[str]) -> None:
    """Set attributes as pickle does, past the class's own `__setattr__`: that of a frozen dataclass refuses."""
    inside = getattr(obj, "__dict__", None)
    if inside is not None and not slots:
        inside.update(values)
        return
    for field, value in values.items():
        if inside is None or field in slots:
            object.__setattr__(obj, field, value)
        else:
            inside[field] = value


def _is_pair(state: Any, shape: str) -> bool:
    """Return whether a state is an instance dictionary with slots, and not two values in order."""
    if not (isinstance(state, tuple) and len(state) == 2 and all(isinstance(part, dict | None) for part in state)):
        return False
    return shape in ("mixed", "slots") or all(isinstance(key, str) for part in state for key in part or ())


def constant(value: Any) -> Default:
    """Return a default that is always the same value."""
    return lambda _: value


# --- what is written on a class: no descriptor and no metaclass is asked ----------------------------------------------


def static(cls: type, name: str, default: Any = None) -> Any:
    """Look up an attribute on a class and its bases, without calling a descriptor."""
    for base in type.__getattribute__(cls, "__mro__"):
        found = type.__getattribute__(base, "__dict__")
        if name in found:
            value = found[name]
            return value.__func__ if isinstance(value, staticmethod | classmethod) else value
    return default


def is_described(cls: type, field: str) -> bool:
    """Return whether a descriptor on the class, other than a slot, decides what an object without a value gives."""
    value = static(cls, field)
    return hasattr(type(value), "__set__") and not isinstance(value, MemberDescriptorType)


def slots_of(classes: tuple[type, ...]) -> Iterator[str]:
    """Yield the slots of classes in resolution order, bases first, as pickle stores them: private names mangled."""
    for base in reversed(classes):
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name in ("__dict__", "__weakref__"):
                continue
            private = name.startswith("__") and not name.endswith("__") and base.__name__.strip("_")
            yield f"_{base.__name__.lstrip('_')}{name}" if private else name


def annotated(cls: Any, names: Any) -> list[tuple[str, str]]:
    """Return names with the texts of their annotations, "" where there is none."""
    annotations = _annotations(cls.__mro__)
    return [(name, text_of_annotation(annotations[name]) if name in annotations else "") for name in names]


def instance_annotations(classes: tuple[type, ...]) -> Iterator[str]:
    """Yield the annotated names that belong to instances: those that are not annotated `ClassVar`."""
    for name, annotation in _annotations(classes).items():
        text = text_of_annotation(annotation)
        if text != "ClassVar" and not text.startswith("ClassVar["):
            yield name


def text_of_annotation(annotation: Any) -> str:
    """Return the text of an annotation (spec 6.2)."""
    from ..annotations import annotation_text  # it needs ast, which takes time to import

    return annotation_text(annotation)


def _annotations(classes: tuple[type, ...]) -> dict[str, Any]:
    """Return the annotations of classes in resolution order, bases first."""
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
