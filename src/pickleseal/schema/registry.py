"""Names that survive moves, schema versions, and the migrations between them.

A registry maps a registered name to the class that it means today, to the names that it had before, and to the
functions that bring an older state to the next version. Everything that can be known to be wrong is an error when it
is registered, not when an artifact is read.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, TypeVar

from ..errors import RegistryError, shown
from .entries import (
    Migration,
    Registered,
    State,
    check_name,
    check_renames,
    check_version,
    make_entry,
    same_source,
)
from .names import global_name

__all__ = [
    *("Registry", "artifact", "default_registry", "former_owner", "is_registered_elsewhere", "migration", "register"),
]

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[[State], State])


_registries: weakref.WeakSet[Any] = weakref.WeakSet()


class Registry:
    """A set of registered classes and migrations, given to `Writer(registry=...)` and `Policy(registry=...)`.

    The functions `artifact`, `register` and `migration` of this library work on `default_registry`, which writers and
    policies use where they are given none. A class that is registered is trusted by readers of that registry.
    Registering is safe from several threads.

    Raises:
        RegistryError: what is registered contradicts itself or what is there already; each method says when.

    >>> registry = Registry()
    >>> @registry.artifact("shop.Item", version=2)
    ... class Item:
    ...     name: str
    >>> @registry.migration("shop.Item", from_version=1)
    ... def name_was_title(state):
    ...     state["name"] = state.pop("title")
    ...     return state
    >>> registry
    <Registry of 1 class: shop.Item>
    """

    def __reduce__(self) -> str:
        if self is default_registry:
            return "default_registry"  # that of the process where it is loaded
        raise TypeError("a Registry can't be pickled, save the default one: make it where it is used")

    def __init__(self) -> None:
        self._lock = Lock()
        self._names: dict[str, Registered] = {}
        self._globals: dict[str, Registered] = {}  # by what the classes are called today, and were formerly
        self._migrations: dict[str, list[Migration]] = {}
        _registries.add(self)
        self._generation = 0  # counts what is registered: what was derived before is out of date
        self._records: dict[int, Any] = {}  # `record`'s memory

    def __repr__(self) -> str:
        names = sorted(self._names)
        listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return f"<Registry of {len(names)} class{'es' * (len(names) != 1)}{': ' * bool(names)}{listed}>"

    def artifact(
        self,
        name: str,
        *,
        version: int = 0,
        formerly: Iterable[str] = (),
        renames: Mapping[str, str] | None = None,
        validate: Callable[[Any], object] | None = None,
    ) -> Callable[[C], C]:
        """Return a class decorator that registers the class. Arguments as for `register`.

        Raises:
            RegistryError: as for `register`, when the class is decorated.

        >>> registry = Registry()
        >>> @registry.artifact("docs.Point", version=1)
        ... class Point:
        ...     x: int
        """
        if isinstance(name, type):
            raise RegistryError("a class needs a name", '@artifact("jobs.Task")', "@artifact")
        check_name(name)

        def decorate(cls: C) -> C:
            self.register(cls, name, version=version, formerly=formerly, renames=renames, validate=validate)
            return cls

        return decorate

    def register(
        self,
        cls: type,
        name: str,
        *,
        version: int = 0,
        formerly: Iterable[str] = (),
        renames: Mapping[str, str] | None = None,
        validate: Callable[[Any], object] | None = None,
    ) -> None:
        """Give a class a name that survives moves, a schema version, and what is to be done with older states.

        Args:
            cls: the class.
            name: 1 to 1023 bytes without `:` and control characters, for instance `"jobs.Task"`.
            version: the schema version, 0 for classes that declare none. Raise it when the meaning of a field changes.
            formerly: where the class was when it had no name yet, or another one: `"module:qualname"` or a name.
            renames: former field name -> name today, for fields that were renamed without a new version. For an enum:
                member names.
            validate: called with each loaded object, after everything was loaded. What it raises refuses the artifact,
                and so does `False`.

        Raises:
            RegistryError: an argument is not what it should be; another class has the name; the class has another
                name; the version went down; a former name is another class's; a migration starts at this version or
                beyond; `renames` leads from a field that is there, or to one that is not.

        >>> import fractions
        >>> registry = Registry()
        >>> registry.register(fractions.Fraction, "docs.Fraction", version=1)
        """
        entry = make_entry(cls, name, version, formerly, renames, validate)
        home = global_name(cls)
        with self._lock:
            self._check_entry(entry, home)
            known = self._names.get(name)
            homes = {key: value for key, value in self._globals.items() if value is not known}
            homes.update(dict.fromkeys((home, *entry.formerly), entry))
            # Readers take no lock: each dict is replaced as a whole, and never lacks what was there.
            self._globals, self._names = homes, {**self._names, name: entry}
            self._generation += 1

    def migration(self, name: str, *, from_version: int, renames: Mapping[str, str] | None = None) -> Callable[[F], F]:
        """Return a decorator that registers a function as the step from one version of a class to the next.

        The function gets the state as a dict by field names, whatever the pickled shape was, and returns the next
        version's. The dict is its own to change, the values are not: others may share them. An enum's state is
        `{"name": ..., "value": ...}`. Steps are registered in order. With `renames=` (former field name -> next name)
        no function is needed, and nothing is to be decorated.

        Args:
            name: the registered name of the class, which may be registered later.
            from_version: the version that the function takes; it returns that of `from_version + 1`.
            renames: the whole step, instead of a function.

        Raises:
            RegistryError: a step is there already, a step before this one is missing, or the class is not beyond
                `from_version`.

        >>> registry = Registry()
        >>> @registry.migration("docs.Line", from_version=0)
        ... def ends_were_points(state):
        ...     state["start"], state["end"] = state.pop("points")
        ...     return state
        """
        check_name(name)
        check_version("from_version", from_version)
        if renames is not None:
            self._add(name, Migration(from_version, None, check_renames(renames)))
            return _nothing_to_decorate

        def decorate(function: F) -> F:
            if not callable(function):
                raise RegistryError("a migration is a function", "a function", shown(function), where=name)
            self._add(name, Migration(from_version, function, {}))
            return function

        return decorate

    def check(self) -> None:
        """Check that migrations lead to the version of every class beyond version 1, for a test of your application.

        Raises:
            RegistryError: the step to the version of a class is missing, or migrations belong to no class.
        """
        for name in sorted(self._migrations.keys() - self._names.keys()):
            raise RegistryError("migrations of a class that is not registered", None, name)
        for name, entry in sorted(self._names.items()):
            steps = self._migrations.get(name, ())
            if entry.version > 1 or steps:
                reached = steps[-1].from_version + 1 if steps else 0
                if reached != entry.version:
                    hint = f'write @migration("{name}", from_version={reached})'
                    raise RegistryError("migrations end before the class's version", entry.version, reached, hint, name)

    def _validated(self) -> list[Registered]:
        """Return what is registered with a `validate`."""
        return [entry for entry in self._names.values() if entry.validate is not None]

    def _called(self, name: str) -> list[str]:
        """Return what is registered for classes of an unqualified name: `name (module:qualname)`."""
        return [
            f"{entry.name} ({global_name(entry.cls)})"
            for _, entry in sorted(self._names.items())
            if entry.cls.__name__ == name
        ]

    def _by_class(self, cls: type) -> Registered | None:
        """Find what is registered for a class, or for the class that it replaces under its global name."""
        if not self._names:
            return None
        home = global_name(cls)
        entry = self._globals.get(home)
        return entry if entry is not None and (entry.cls is cls or global_name(entry.cls) == home) else None

    def _by_name(self, name: str) -> Registered | None:
        """Find a class by its registered name, by its global, or by what it was called formerly."""
        return self._names.get(name) or self._globals.get(name)

    def _chain(self, name: str, version: int, target: int) -> tuple[Migration, ...] | None:
        """Return the steps from one version to another, or None where one is missing."""
        steps = self._migrations.get(name, [])
        first = steps[0].from_version if steps else target  # they follow on each other without gaps
        if version < first or target > first + len(steps):
            return None
        return tuple(steps[version - first : target - first])

    def _add(self, name: str, step: Migration) -> None:
        with self._lock:
            self._generation += 1
            steps = self._migrations.get(name, [])
            if any(known.from_version == step.from_version for known in steps):
                if not any(same_source(known, step) for known in steps if known.from_version == step.from_version):
                    raise RegistryError("two migrations from one version", None, step.from_version, where=name)
                self._migrations[name] = [step if s.from_version == step.from_version else s for s in steps]
                return
            if steps and step.from_version != steps[-1].from_version + 1:
                expected = steps[-1].from_version + 1
                hint = "migrations are registered in order, without gaps"
                raise RegistryError("a gap between migrations", expected, step.from_version, hint, name)
            entry = self._names.get(name)
            if entry is not None and step.from_version >= entry.version:
                raise RegistryError(
                    "a migration that leads beyond the class",
                    f"from a version below {entry.version}",
                    step.from_version,
                    f"raise the version of {name} to {step.from_version + 1}",
                    name,
                )
            self._migrations[name] = [*steps, step]

    def _check_entry(self, entry: Registered, home: str) -> None:
        known = self._names.get(entry.name)
        if known is not None and global_name(known.cls) != home:
            hint = "register one of them: a class that moved keeps its name and needs nothing else"
            if "__main__" in (home.partition(":")[0], known.cls.__module__):
                hint = "a script that is imported as well? Keep the class in a module that is only imported"
            raise RegistryError("two classes under one name", global_name(known.cls), home, hint, entry.name)
        if known is not None and entry.version < known.version:
            raise RegistryError("the version went down", f"at least {known.version}", entry.version, where=entry.name)
        for name in (home, *entry.formerly):
            other = self._globals.get(name) or self._names.get(name)
            if other is not None and other.name != entry.name:
                what = "the class has another name" if name == home else "a former name that is another class's"
                raise RegistryError(what, other.name, entry.name, where=name)
        if entry.name in self._globals and self._globals[entry.name].name != entry.name:
            raise RegistryError("the name is another class's former name", None, entry.name)
        steps = self._migrations.get(entry.name)
        if steps and steps[-1].from_version >= entry.version:
            raise RegistryError(
                "migrations lead beyond the class",
                f"version {steps[-1].from_version + 1}",
                entry.version,
                where=entry.name,
            )


def former_owner(cls: type, registry: Registry) -> str | None:
    """Return the name of another class that was formerly where a class is now."""
    entry = registry._globals.get(global_name(cls))
    return entry.name if entry is not None and global_name(entry.cls) != global_name(cls) else None


def is_registered_elsewhere(cls: type, registry: Registry) -> bool:
    """Tell whether another registry of this process knows a class that this one does not."""
    entries = [other._by_class(cls) for other in list(_registries) if other is not registry]
    return any(entry is not None and entry.cls is cls for entry in entries)


def _nothing_to_decorate(function: Any) -> Any:
    raise RegistryError("the migration is complete: renames= needs no function", None, shown(function))


default_registry = Registry()
artifact = default_registry.artifact
register = default_registry.register
migration = default_registry.migration
