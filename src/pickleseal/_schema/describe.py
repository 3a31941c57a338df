"""Describe a class: its kind, its fields in order, and how pickle stores the state of its objects (spec 6.2).

`adapters/` knows how classes keep their fields; it is imported when the first class is described. Nothing of a class is
called, and no annotation is evaluated.
"""

import builtins
import copyreg
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .._format.header import is_name
from .class_cache import ClassCache
from .names import global_name, is_standard, type_name

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
    base: str = ""  # the class of the standard library that holds its values (spec 6.2); "" if none, or unknown
    # What the code of the class assigns beside its fields: each name with `required` or `optional`. None if that is not
    # known, and where the fields are all that an object holds.
    assigned: dict[str, str] | None = None
    may_hold_more: bool = False  # its objects hold attributes that neither the fields nor `assigned` name

    @property
    def is_unknown(self) -> bool:
        """Whether nothing of the class can be compared: it declares no fields, and what it assigns is not known."""
        return self.may_hold_more and not self.fields

    @property
    def kind(self) -> str:
        """The kind of class that the header says."""
        return self.adapter.kind

    @property
    def declares(self) -> bool:
        """Whether the class says what its fields are. It may have a base alone."""
        return bool(self.fields or not self.base)

    @property
    def is_called(self) -> bool:
        """Whether pickle makes the objects by a call, with a `__reduce__` that the class inherits from its base."""
        return bool(self.base) and self.state == "custom"


# Process-wide. A class is described once; what changes on it later is not seen. With each description: whether the
# class declares its fields.
descriptions: ClassCache[tuple[Description, bool]] = ClassCache()


def describe(cls: type) -> Description | None:
    """Describe a class, or return None if nothing on the class declares what its fields are."""
    description, is_declared = _found(cls)
    return description if is_declared else None


def describe_any(cls: type) -> Description:
    """Describe a class. One that does not declare fields has no fields and no shape."""
    return _found(cls)[0]


def required_attributes(cls: type) -> frozenset[str]:
    """Return the names that `__init__` of a class stores, without its fields."""
    from .libraries import is_of_library

    if is_library_class(cls) or is_of_library(cls):  # most headers do not record them
        return frozenset()
    return frozenset(name for name, word in (describe_any(cls).assigned or {}).items() if word == "required")


def _found(cls: type) -> tuple[Description, bool]:
    found = descriptions.find(cls)
    if found is None:
        description = _describe(cls)
        found = (_describe_undeclared(cls) if description is None else description), description is not None
        descriptions.keep(cls, found)
    return found


def _describe_undeclared(cls: type) -> Description:
    from .adapters import PLAIN, adapter_of

    try:
        adapter_of(cls)  # it raises for a class with unusual attributes
        found = Description(PLAIN, [], _state_of(cls, PLAIN), [], "", base=_base_of(cls, PLAIN))
        return _with_assigned(cls, found)
    except Exception:  # as in _describe
        return Description(PLAIN, [], "custom", [], "")


def _with_assigned(cls: type, description: Description) -> Description:
    """Add what the code of a class assigns, if its objects are restored by attributes and no framework names them all.

    Methods for pickling that a library wrote hand on the attributes of a subclass. The class's own may store
    anything.
    """
    if description.adapter.has_framework or not cls.__dictoffset__ or issubclass(cls, type):
        return description
    if description.state != "default" and not description.is_called and not _is_pickled_by_library(cls):
        return description
    from .assigned import assigned

    try:
        names = assigned(cls, frozenset(name for name, _ in description.fields))
    except Exception:  # a class with unusual attributes: its fields are known all the same
        names = None
    return description._replace(assigned=names, may_hold_more=names is None)


def _is_pickled_by_library(cls: type) -> bool:
    """Return whether the methods for pickling that a class has are those of a library's base for the state."""
    from .libraries import is_from_outside

    if any(known is cls for known in tuple(copyreg.dispatch_table)):
        return False
    for name in _METHODS:
        owner = next((base for base in type.__getattribute__(cls, "__mro__") if name in vars(base)), object)
        if owner is not object and not (name in ("__getstate__", "__setstate__") and is_from_outside(owner, cls)):
            return False
    return True


def field_names(cls: type) -> list[str]:
    """Return the names of the fields that a class declares now. A decorator above may still change it."""
    description = _describe(cls)
    return [] if description is None else [*(name for name, _ in description.fields), *(description.assigned or ())]


def is_library_class(cls: type) -> bool:
    """Return whether a class is the standard library's: its layout follows from `build.python`."""
    return is_standard(str(type.__getattribute__(cls, "__module__")).partition(".")[0])


def library_slots(cls: type) -> frozenset[str]:
    """Return the slots that a class has from the standard library: others in each version of Python."""
    from .adapters.base import slots_of

    return frozenset(slots_of(tuple(filter(is_library_class, type.__getattribute__(cls, "__mro__")))))


def _describe(cls: type) -> Description | None:
    from .adapters import PLAIN, adapter_of
    from .adapters.base import static
    from .values import value_text

    try:
        adapter = adapter_of(cls)
        if adapter is None:
            base = _base_of(cls, PLAIN)
            found = Description(PLAIN, [], _state_of(cls, PLAIN), [], "", base=base)
            return _with_assigned(cls, found) if base else None
        fields: dict[str, str] = {}
        for name, text in adapter.fields(cls):
            if type(name) is str and is_name(name):  # the header can't hold others
                fields.setdefault(name, text)
        state, base = _state_of(cls, adapter), _base_of(cls, adapter)
        if base and state == "custom":
            for name in library_slots(cls):
                fields.pop(name, None)
        shape = adapter.shape(cls) if state == "default" else ""
        # An object that lacks such a field takes over a changed default without a sign.
        texts = ([name, value_text(static(cls, name, _MISSING))] for name in adapter.unstored(cls, list(fields)))
        defaults = [pair for pair in texts if pair[1]]
        private = adapter.attributes(cls)
        texts_of_fields = [list(pair) for pair in fields.items()]
        found = Description(adapter, texts_of_fields, state, defaults, shape, private, base)
        return _with_assigned(cls, found)
    except Exception:  # a class with unusual attributes: it is pickled without a schema
        return None


def _state_of(cls: type, adapter: "Adapter") -> str:
    """Return whether pickle stores the objects of a class in the standard way of its sort."""
    return "custom" if any(True for _ in _other_methods(cls, adapter)) else "default"


def _other_methods(cls: type, adapter: "Adapter") -> Iterator[type]:
    """Yield the classes with a method for pickling that is not the standard one of a sort of classes."""
    from .adapters.base import static

    if any(known is cls for known in tuple(copyreg.dispatch_table)):  # another thread may add to it
        yield cls
    for name in _METHODS:
        method = static(cls, name)
        is_inherited = method is None or method is vars(object).get(name)
        if not is_inherited and not adapter.is_standard(cls, name, method):
            yield next(base for base in type.__getattribute__(cls, "__mro__") if name in base.__dict__)


def _base_of(cls: type, adapter: "Adapter") -> str:
    """Return the name of the class of the standard library that holds the values of a class's objects (spec 6.2).

    Return "" if there is none, or if a method of the class's own, and not of that base, decides what is stored.
    """
    if adapter.kind not in _KINDS_WITH_BASE:
        return ""
    base = value_base(cls)
    if base is None or not all(map(is_library_class, _other_methods(cls, adapter))):
        return ""
    return _name_of_base(base)


# Python 3.11 made these one class with the builtin one.
_ALIASES = {
    f"{module}:TimeoutError": "builtins:TimeoutError" for module in ("asyncio.exceptions", "concurrent.futures._base")
}


def _name_of_base(base: type) -> str:
    name = type_name(base)
    return _ALIASES.get(name, name)


_KINDS_WITH_BASE = frozenset({"attrs", "dataclass", "plain", "slots"})


def value_base(cls: type) -> type | None:
    """Return the first base of the standard library whose objects hold values beside their attributes, or None."""
    for base in type.__getattribute__(cls, "__mro__"):
        if base is not object and is_library_class(base) and _holds_values(base):
            return base  # type: ignore[no-any-return]
    return None


def _holds_values(base: type) -> bool:
    """Return whether objects hold values beside their attributes: items, or what the base's own methods pickle."""
    if issubclass(base, dict | list):
        return True
    known = [known for known in base.__mro__ if known is not object]
    return any(name in known.__dict__ for known in known for name in _METHODS)


def is_same_base(recorded: str, cls: type) -> bool:
    """Return whether a recorded base holds values as the base of a class does today.

    All exceptions do that hold their arguments and nothing else.
    """
    base = value_base(cls)
    if base is None:
        return not recorded
    if recorded in (_name_of_base(base), global_name(base)):
        return True
    if not is_exception(recorded) or not issubclass(base, BaseException):
        return False
    return all(known.__basicsize__ == BaseException.__basicsize__ for known in (_builtin(recorded), base))


def is_exception(name: str) -> bool:
    """Return whether a base, by its name, is a builtin exception. Those hold their arguments."""
    return issubclass(_builtin(name), BaseException)


def _builtin(name: str) -> type:
    module, _, qualname = name.partition(":")
    found = vars(builtins).get(qualname) if module == "builtins" else None
    return found if isinstance(found, type) else object
