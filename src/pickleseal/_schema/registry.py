"""Names that survive moves, schema versions, and the migrations between them.

A registry maps a registered name to the class that it means today, to the names that it had before, and to the
functions that bring an older state to the next version. Everything that can be known to be wrong is an error when it
is registered, not when an artifact is read.
"""

import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from .._format.header import is_global, is_name
from .._format.limits import MAX_INTEGER
from ..errors import RegistryError, shown
from .describe import field_names
from .names import global_name

__all__ = [
    "Migration",
    "Registered",
    "Registry",
    "State",
    "artifact",
    "check_name",
    "check_renames",
    "check_version",
    "default_registry",
    "former_owner",
    "is_registered_elsewhere",
    "make_entry",
    "migration",
    "register",
    "same_source",
]

# What a registry holds, and the checks of what it is given.


State = dict[str, Any]  # what a migration takes and returns: values by field name


class Migration(NamedTuple):
    """One step: from `from_version` to the next. Either a function or a map of renamed fields."""

    from_version: int
    function: Callable[[State], State] | None
    renames: Mapping[str, str]


class Registered(NamedTuple):
    """What a registry knows of one class."""

    name: str
    cls: type
    version: int
    formerly: tuple[str, ...]
    renames: Mapping[str, str]
    validate: Callable[[Any], object] | None

    def current(self) -> type:
        """Return the class, or the one that took its place: `dataclass(slots=True)` and a reload make a new one."""
        module, _, qualname = global_name(self.cls).partition(":")
        found: Any = sys.modules.get(module)
        for part in qualname.split("."):
            found = getattr(found, "__dict__", {}).get(part)  # a module's own __getattr__ may import
        same = isinstance(found, type) and found is not self.cls and global_name(found) == f"{module}:{qualname}"
        return found if same else self.cls


def make_entry(
    cls: object, name: str, version: int, formerly: Iterable[str], renames: object, validate: object
) -> Registered:
    if not isinstance(cls, type):
        hint = "the class comes first" if isinstance(name, type) else None
        raise RegistryError("only classes are registered", "a class", shown(cls), hint)
    if not is_global(global_name(cls)) or "<locals>" in cls.__qualname__:
        raise RegistryError("the class has no place where a reader could find it", "module:qualname", global_name(cls))
    check_name(name)
    check_version("version", version)
    if isinstance(formerly, str) or not isinstance(formerly, Iterable):
        raise RegistryError("a list of former names", "[...]", shown(formerly), where="formerly")
    names = tuple(formerly)
    for former in names:
        if not isinstance(former, str) or not is_name(former) or (":" in former and not is_global(former)):
            raise RegistryError("expected 'module:qualname' or a name", None, shown(former), where="formerly")
    if validate is not None and not callable(validate):
        raise RegistryError("expected a function of the loaded object", None, shown(validate), where="validate")
    checked: Any = validate
    return Registered(name, cls, version, names, _check_targets(cls, check_renames(renames)), checked)


def _check_targets(cls: type, renames: dict[str, str]) -> dict[str, str]:
    """Check renames against the fields that a class has, as far as it says so."""
    today = field_names(cls) if renames else []
    for old, new in renames.items() if today else ():
        if new not in today:
            hint = f'the other way round? renames={{"{new}": "{old}"}}' if old in today else None
            raise RegistryError("renamed to what is no field", f"one of {', '.join(today)}", new, hint, "renames")
        if old in today:
            hint = "raise the version, and give renames= to a migration: the new field is another one of the old name"
            raise RegistryError("a renamed field is there under its old name, too", None, old, hint, "renames")
    return renames


def check_name(name: object) -> None:
    if not isinstance(name, str) or not is_name(name) or ":" in name:
        raise RegistryError("not a name to register", "1 to 1023 bytes without ':'", shown(name))


def check_version(what: str, version: object) -> None:
    if type(version) is not int or not 0 <= version <= MAX_INTEGER:
        raise RegistryError("not a schema version", "an integer from 0", shown(version), where=what)


def check_renames(renames: object) -> dict[str, str]:
    if renames is None:
        return {}
    if not isinstance(renames, Mapping):
        raise RegistryError("expected a mapping of field names", "{old: new}", shown(renames), where="renames")
    copied = dict(renames)
    for old, new in copied.items():
        if not isinstance(old, str) or not isinstance(new, str):
            raise RegistryError("expected a mapping of field names", "{old: new}", shown({old: new}), where="renames")
        if new in copied:
            raise RegistryError(
                "renames in a row or a circle", None, f"{old} -> {new} -> {copied[new]}", where="renames"
            )
    if len(set(copied.values())) != len(copied):
        raise RegistryError("two fields renamed to one", None, shown(copied), where="renames")
    return copied


def same_source(known: Migration, step: Migration) -> bool:
    """Tell whether a step comes from the very place of one that is there: its module was run again."""
    if known.function is None or step.function is None:
        return known == step
    if known.function.__module__ == step.function.__module__ == "__main__":  # a cell of a notebook, edited
        return known.function.__qualname__ == step.function.__qualname__
    return _place(known.function) == _place(step.function) is not None


def _place(function: Callable[..., Any]) -> tuple[str, int, str] | None:
    code = getattr(function, "__code__", None)
    return None if code is None else (code.co_filename, code.co_firstlineno, function.__qualname__)


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
