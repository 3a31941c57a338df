"""The rules that trust more than one name: the classes of a package, the subclasses of a class, and presets.

A rule for classes looks only into modules that are imported already: nothing is imported because a payload names it.
It gives a class only under the name by which the class was defined, and never a function, a metaclass, a class of
another package, or what is on the deny list. Payloads may make objects of such a class, and may not call it. A preset
is a table of exact names, each with what payloads may do with it (`presets`).
"""

import enum
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._schema.names import global_name, imported_class, imported_value, type_name, usual_name
from .allow_list import CALL, ITEMS, MAKE, VALUE, Entry, Rule, is_dangerous, is_of_numpy, makes_classes
from .presets import ENTRIES

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
OF_CLASS, OF_CONTAINER = frozenset((VALUE, MAKE)), frozenset((VALUE, MAKE, ITEMS))
OF_ENUM = frozenset((VALUE, CALL))


def verbs_of(cls: type) -> frozenset[str]:
    """Return what payloads may do with a class that nobody named: make objects, or find a member of an enum."""
    if issubclass(cls, enum.Enum):
        return OF_ENUM
    return OF_CONTAINER if issubclass(cls, list | dict) else OF_CLASS


def unfit(cls: type) -> str | None:
    """Return why no rule gives a class, or None."""
    if makes_classes(cls):
        return "it is a metaclass"
    if is_dangerous(global_name(cls)):
        return "it runs what its arguments say"
    if is_of_numpy(cls):
        return "numpy's arrays need no trust, and its other classes need exact names"
    if issubclass(cls, enum.Enum) and not cls._member_map_:
        return "it is an enum without members, of which calls make classes"
    if any("__del__" in base.__dict__ for base in cls.__mro__):
        return "it defines __del__, which runs whatever state a payload chose; give its exact name"
    return None


class _OfClasses(Rule):
    """A rule that gives classes."""

    __slots__ = ()

    def is_about(self, name: str) -> bool:
        """Return whether a global could be one that the rule gives."""
        raise NotImplementedError

    def covers(self, cls: type) -> bool:
        """Return whether the rule gives a class, if nothing else is against it."""
        raise NotImplementedError

    def answer(self, name: str) -> Entry | str | None:
        if not self.is_about(name):
            return None
        cls = imported_class(name)
        if cls is None:
            return self._why_no_class(name)
        if not self.covers(cls):
            return None
        if type_name(cls) != usual_name(name):
            return f"{self} gives {name} only by the name of its definition, which is {type_name(cls)}"
        reason = "it runs what its arguments say" if is_dangerous(name) else unfit(cls)
        if reason is not None:
            return f"{self} does not give {name}: {reason}"
        return Entry(cls, verbs_of(cls), (), repr(self))

    def is_open(self, name: str) -> bool:
        module = name.partition(":")[0]
        return module not in sys.modules and self.is_about(name)

    def _why_no_class(self, name: str) -> str | None:
        return None


@dataclass(frozen=True, slots=True, repr=False)
class ClassesIn(_OfClasses):
    """The rule that `classes_in` makes."""

    package: str

    def __post_init__(self) -> None:
        package: object = self.package
        if not isinstance(package, str):
            raise TypeError(f"classes_in: expected the name of a package or module, found {package!r}")
        if _MODULE.fullmatch(package) is None:
            raise ValueError(f"classes_in: expected the name of a package or module, found {package!r}")
        if is_dangerous(f"{package}:x") or package.partition(".")[0] in ("builtins", "numpy"):
            raise ValueError(f"classes_in: expected a package of yours, found {package!r}: give exact names of it")

    def __repr__(self) -> str:
        return f"classes_in({self.package!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return classes_in, (self.package,)

    def is_about(self, name: str) -> bool:
        module = usual_name(name).partition(":")[0]
        return module == self.package or module.startswith(f"{self.package}.")

    def covers(self, cls: type) -> bool:
        return True  # the name by which it was defined is in the package

    def _why_no_class(self, name: str) -> str | None:
        value = imported_value(name)
        if value is not None:
            return f"{self} gives classes, and {name} is a {type(value).__name__}"
        module = name.partition(":")[0]
        return f"{self} gives classes of imported modules, and has no {name} there: import {module} first"


@dataclass(frozen=True, slots=True, repr=False)
class SubclassesOf(_OfClasses):
    """The rule that `subclasses_of` makes."""

    base: type | str

    def __post_init__(self) -> None:
        base = self.base
        if isinstance(base, str):
            if base.count(":") != 1 or not all(base.split(":")):
                raise TypeError(f"subclasses_of: expected a class or 'module:qualname', found {base!r}")
        elif not isinstance(base, type):
            raise TypeError(f"subclasses_of: expected a class or 'module:qualname', found {base!r}")
        name = base if isinstance(base, str) else global_name(base)
        if name == "builtins:object" or is_dangerous(name) or makes_classes(base):
            raise ValueError(f"subclasses_of: expected a class of which you know the subclasses, found {name}")

    def __repr__(self) -> str:
        return f"subclasses_of({self.base if isinstance(self.base, str) else global_name(self.base)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return subclasses_of, (self.base,)

    def is_about(self, name: str) -> bool:
        return True

    def covers(self, cls: type) -> bool:
        base = imported_class(self.base) if isinstance(self.base, str) else self.base
        return any(one is base for one in cls.__mro__)


@dataclass(frozen=True, slots=True, repr=False)
class Preset(Rule):
    """The rule that `preset` makes."""

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"preset: expected one of {', '.join(ENTRIES)}, found {self.name!r}")
        if self.name not in ENTRIES:
            import difflib

            close = difflib.get_close_matches(self.name, ENTRIES, 1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"preset: expected one of {', '.join(ENTRIES)}, found {self.name!r}{meant}")

    def __repr__(self) -> str:
        return f"preset({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return preset, (self.name,)

    @property
    def entries(self) -> Mapping[str, Entry]:
        return ENTRIES[self.name]

    def answer(self, name: str) -> Entry | None:
        return ENTRIES[self.name].get(name)


def classes_in(package: str) -> Rule:
    """Trust the classes that a package or module defines, and those of the modules below it.

    A class is trusted under the name of its definition, in a module that is imported already: reading imports nothing
    for the rule. Functions, metaclasses, classes that the package imported from elsewhere, classes with a `__del__` and
    what is on the deny list are not trusted. A payload may make objects of these classes and set their state, which
    runs their `__new__` and `__setstate__`. It may not call a class: objects whose `__reduce__` calls it, exceptions
    among them, need the exact name. Enums may be called, with one value.

    Args:
        package: such as `"shop"` or `"shop.models"`.

    Raises:
        TypeError, ValueError: it is no name of a package, or of one whose classes run what their arguments say.

    >>> classes_in("shop")
    classes_in('shop')
    """
    return ClassesIn(package)


def subclasses_of(base: type | str) -> Rule:
    """Trust a class and its subclasses, on the conditions of `classes_in`, whatever module defines them.

    Args:
        base: the class, or its name as `"module:qualname"`, which is looked up in imported modules.

    Raises:
        TypeError, ValueError: it is no class, or one such as `object` that does not narrow anything.

    >>> import argparse
    >>> subclasses_of(argparse.Namespace)
    subclasses_of('argparse:Namespace')
    """
    return SubclassesOf(base)


def preset(name: str) -> Rule:
    """Trust the names that pickles of a library need, each for what honest pickles do with it and nothing else.

    Payloads may call the functions of a preset with any arguments. Libraries with types in C do not check the states
    that they get: a forged one can crash the process, or worse. So a preset is for artifacts of your own programs.

    Args:
        name: the distribution, such as `"pandas"` or `"scikit-learn"`; the error for a wrong name lists all. The
            library is imported when a payload needs it.

    Raises:
        TypeError, ValueError: there is no such preset.

    >>> preset("pandas")
    preset('pandas')
    """
    return Preset(name)
