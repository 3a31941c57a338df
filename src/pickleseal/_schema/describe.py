"""Describe a class: its kind, its fields in order, and how pickle stores the state of its objects (spec 6.2).

`adapters/` knows how classes keep their fields; it is imported when the first class is described. Nothing of a class is
called, and no annotation is evaluated.
"""

import copyreg
from typing import TYPE_CHECKING, Any, NamedTuple

from .._format.header import is_name
from .class_cache import ClassCache
from .names import is_standard

if TYPE_CHECKING:
    from .adapters import Adapter

_METHODS = ("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
_MISSING: Any = object()


class Description(NamedTuple):
    """A class as it is now."""

    adapter: "Adapter"
    fields: list[list[str]]  # name and text of the annotation, in order; for an enum, member and text of its value
    state: str  # "custom": the class has its own method for pickling; else "default"
    defaults: list[list[str]]  # name and text of defaults that lie on the class and not in its objects
    shape: str  # how a state is pickled: arguments, dict, list, mixed, slots, value; "" if the class decides
    private: list[str] | None = None  # those of the fields that a header lists among `attributes`

    @property
    def kind(self) -> str:
        """The kind of class that the header says."""
        return self.adapter.kind


# Process-wide. A class is described once; what changes on it later is not seen.
descriptions: ClassCache[tuple[Description | None]] = ClassCache()


def describe(cls: type) -> Description | None:
    """Describe a class, or return None if nothing on the class says what its fields are."""
    found = descriptions.find(cls)
    if found is None:
        found = (_describe(cls),)
        descriptions.keep(cls, found)
    return found[0]


def describe_any(cls: type) -> Description:
    """Describe a class. One that does not declare fields has no fields and no shape, for it may hold anything."""
    description = describe(cls)
    if description is not None:
        return description
    from .adapters import PLAIN

    try:
        return Description(PLAIN, [], _state_of(cls, PLAIN), [], "")
    except Exception:  # as in _describe
        return Description(PLAIN, [], "custom", [], "")


def field_names(cls: type) -> list[str]:
    """Return the names of the fields that a class declares now. A decorator above may still change it."""
    description = _describe(cls)
    return [] if description is None else [name for name, _ in description.fields]


def is_library_class(cls: type) -> bool:
    """Return whether a class is the standard library's: its layout follows from `build.python`."""
    return is_standard(str(type.__getattribute__(cls, "__module__")).partition(".")[0])


def _describe(cls: type) -> Description | None:
    from .adapters import adapter_of
    from .adapters.base import static
    from .values import value_text

    try:
        adapter = adapter_of(cls)
        if adapter is None:
            return None
        fields: dict[str, str] = {}
        for name, text in adapter.fields(cls):
            if type(name) is str and is_name(name):  # the header can't hold others
                fields.setdefault(name, text)
        state = _state_of(cls, adapter)
        shape = adapter.shape(cls) if state == "default" else ""
        # An object that lacks such a field takes over a changed default without a sign.
        texts = ([name, value_text(static(cls, name, _MISSING))] for name in adapter.unstored(cls, list(fields)))
        defaults = [pair for pair in texts if pair[1]]
        private = adapter.attributes(cls)
        return Description(adapter, [list(pair) for pair in fields.items()], state, defaults, shape, private)
    except Exception:  # a class with unusual attributes: it is pickled without a schema
        return None


def _state_of(cls: type, adapter: "Adapter") -> str:
    """Return whether pickle stores the objects of a class in the standard way of its sort."""
    from .adapters.base import static

    if any(known is cls for known in tuple(copyreg.dispatch_table)):  # another thread may add to it
        return "custom"
    for name in _METHODS:
        method = static(cls, name)
        is_inherited = method is None or method is vars(object).get(name)
        if not is_inherited and not adapter.is_standard(cls, name, method):
            return "custom"
    return "default"
