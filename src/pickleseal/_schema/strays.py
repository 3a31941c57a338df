"""Attributes of loaded objects that neither the recorded nor today's definition of their class knows.

Definitions are compared before anything is unpickled, and they do not say which attributes other code sets. Under
`drift="strict"`, the objects of plain classes are looked at once they are there, and a reader warns of such attributes.
Looking runs no code of the objects.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import SchemaWarning
from .adapters.base import static
from .adapters.plain import is_dunder
from .assigned import names_in_all_code
from .describe import describe_any, is_library_class
from .drift import WARNED, Change
from .drift_rules import DriftRules
from .libraries import is_of_library

_ATTRIBUTES: Any = object.__getattribute__
_MISSING: Any = object()
_SHOWN = 6  # names in a warning
_FIX = "if that is right, assign them in a method of the class; if they were renamed, set the new ones in a migration"


class _Watched:
    """A class, and what its objects may have and were found to have."""

    __slots__ = ("cls", "found", "known", "name")

    def __init__(self, name: str, cls: type, known: frozenset[str]) -> None:
        self.name = name
        self.cls = cls
        self.known = known
        self.found: dict[str, None] = {}

    def note(self, names: Iterable[object]) -> None:
        """Note names, unless the class has something under them: then it says what they are."""
        for name in names:
            if isinstance(name, str) and not is_dunder(name) and static(self.cls, name, _MISSING) is _MISSING:
                self.found[name] = None


class Strays:
    """The classes of one artifact whose objects are looked at, and the unknown attributes that these have."""

    __slots__ = ("_watched",)

    def __init__(self, types: Mapping[str, Any], classes: Mapping[tuple[str, str], Any], rules: DriftRules) -> None:
        """Take the header's `types`, what each of its globals is here, and the policy's `drift`."""
        self._watched: dict[int, _Watched] = {}  # by the id of the class: a metaclass may make classes unhashable
        for name, was in types.items():
            module, _, qualname = was["global"].partition(":")
            cls = classes.get((module, qualname))
            if isinstance(cls, type) and "attributes" in was and rules.of(cls) == "strict":
                known = _known_names(was, cls)
                if known is not None:
                    self._watched[id(cls)] = _Watched(name, cls, known)

    def __bool__(self) -> bool:
        return bool(self._watched)

    def look(self, objects: Iterable[Any]) -> None:
        """Look at objects, among them those of the classes."""
        watched_of = self._watched
        for obj in objects:
            watched = watched_of.get(id(type(obj)))
            if watched is not None:
                held = _ATTRIBUTES(obj, "__dict__")
                if not held.keys() <= watched.known:
                    watched.note(held.keys() - watched.known)

    def warnings(self) -> Iterator[SchemaWarning]:
        """Yield a warning for each class whose objects have unknown attributes."""
        for watched in self._watched.values():
            if watched.found:
                names = sorted(watched.found)
                shown = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
                kind = describe_any(watched.cls).kind
                change = Change(watched.name, "stray", shown, None, None, WARNED, _FIX, kind)
                warning = SchemaWarning(f"{change}; {_FIX}")
                warning.change = change
                yield warning


def _known_names(was: Mapping[str, Any], cls: type) -> frozenset[str] | None:
    """Return the names that objects of a class may have; None if its definitions do not say."""
    now = describe_any(cls)
    if now.assigned is None or now.adapter.has_framework or is_library_class(cls) or is_of_library(cls):
        return None
    in_code = names_in_all_code(cls)
    if in_code is None:
        return None
    recorded = [name for part in ("fields", "attributes") for name, _ in was[part]]
    return in_code.union(recorded, now.assigned, (name for name, _ in now.fields))
