"""The registry: names of classes that survive moves, schema versions, and the migrations between versions.

A mistake is an error when something is registered, and not when an artifact is read. `RegistryIndex` is for this
package: what a registry holds at one moment. This module imports no class and reads no artifact.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter, is_
from threading import Lock
from typing import Any, Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from .._format.header import is_global, is_name
from .._format.limits import MAX_INTEGER
from ..errors import RegistryError, shown
from .class_cache import ClassCache
from .describe import field_names
from .drift_rules import DriftRules
from .names import global_name, imported_class, is_script, usual_name

State = dict[str, Any]  # what a migration takes and returns: values by field name
C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[[State], State])


class Migration(NamedTuple):
    """One step, from `from_version` to the next version: a function, or a map of renamed fields."""

    from_version: int
    function: Callable[[State], State] | None
    renames: Mapping[str, str]


class Registered(NamedTuple):
    """What a registry knows about one class."""

    name: str
    cls: type
    version: int
    formerly: tuple[str, ...]
    renames: Mapping[str, str]
    validate: Callable[[Any], object] | None

    def current(self) -> type:
        """Return the class, or the one that took its place: `dataclass(slots=True)` and a reload make a new class."""
        home = global_name(self.cls)
        found = imported_class(home)
        return found if found is not None and global_name(found) == home else self.cls

    def other_at(self, former: str) -> type | None:
        """Return another class that is at one of its former places now, if its module is imported; else None.

        The class itself may still be found there under its former name, and so may the one that took its place.
        """
        found = None if former == global_name(self.cls) or ":" not in former else imported_class(former)
        is_other = found is not None and found is not self.cls and global_name(found) == former
        return found if is_other else None


_Unchanged = tuple[Mapping[str, Any], tuple[Any, ...]]  # a header's `types`, and what its globals are
_MOST_UNCHANGED, _MOST_RULES = 256, 16


class RegistryIndex:
    """What a registry holds at one moment. A registry gets a new index whenever something is registered.

    Two caches lie in the index, because what they hold follows from it; a new index begins with empty caches.

    Attributes:
        names: what is registered, by name.
        globals: what is registered, by the global that the class has, and by each former name.
        migrations: the steps of each name, in order and without gaps.
        headers: what headers say of classes (`ClassInHeader`), by class.
        unchanged: headers that need no plan, by `DriftRules.key` and the names of their globals.
    """

    __slots__ = ("globals", "headers", "migrations", "names", "unchanged")

    def __init__(
        self,
        names: Mapping[str, Registered],
        globals: Mapping[str, Registered],
        migrations: Mapping[str, tuple[Migration, ...]],
    ) -> None:
        self.names = names
        self.globals = globals
        self.migrations = migrations
        self.headers: ClassCache[Any] = ClassCache()
        self.unchanged: dict[str, dict[tuple[Any, ...], _Unchanged]] = {}

    def by_name(self, name: str) -> Registered | None:
        """Find a class by its registered name, by its global, or by a former name where no other class is now."""
        found = self.recorded_for(name)
        return None if found is None or (found.formerly and found.other_at(name) is not None) else found

    def recorded_for(self, name: str) -> Registered | None:
        """Find a class by its registered name, by its global, or by a former name."""
        return self.names.get(name) or self.globals.get(name) or self.globals.get(usual_name(name))

    def by_class(self, cls: type) -> Registered | None:
        """Find what is registered for a class, or for the class that it replaces under its global name."""
        if not self.names:
            return None
        home = global_name(cls)
        found = self.globals.get(home)
        return found if found is not None and (found.cls is cls or global_name(found.cls) == home) else None

    def former_owner(self, cls: type) -> str | None:
        """Return the name of another class that was formerly where this class is now."""
        found = self.globals.get(global_name(cls))
        return found.name if found is not None and global_name(found.cls) != global_name(cls) else None

    def with_class_name(self, name: str) -> list[str]:
        """Return what is registered for classes with an unqualified name, each as `name (module:qualname)`."""
        return [
            f"{found.name} ({global_name(found.cls)})"
            for _, found in sorted(self.names.items())
            if found.cls.__name__ == name
        ]

    def with_validate(self) -> list[Registered]:
        """Return what is registered with a `validate`."""
        return [found for found in self.names.values() if found.validate is not None]

    def steps(self, name: str, version: int, target: int) -> tuple[Migration, ...] | None:
        """Return the migrations from one version to another, or None if one of them is missing."""
        steps = self.migrations.get(name, ())
        first = steps[0].from_version if steps else target
        if version < first or target > first + len(steps):
            return None
        return steps[version - first : target - first]

    def is_unchanged(self, types: Mapping[str, Any], resolved: Mapping[Any, Any], drift: DriftRules) -> bool:
        """Return whether it is known that the classes of a header need no plan.

        Args:
            types: the header's `types`.
            resolved: what each of the header's `globals` is in this process.
            drift: that of the policy.
        """
        if not types and not self.names and not drift.has_strict:
            return True
        unchanged = self.unchanged.get(drift.key)
        known = None if unchanged is None else unchanged.get(tuple(resolved))
        return known is not None and known[0] == types and all(map(is_, known[1], resolved.values()))

    def note_unchanged(self, types: Mapping[str, Any], resolved: Mapping[Any, Any], drift: DriftRules) -> None:
        """Cache that the classes of a header need no plan. It keeps `types` alive, so only small headers get here."""
        if types:
            if drift.key not in self.unchanged and len(self.unchanged) >= _MOST_RULES:
                self.unchanged = {}
            unchanged = self.unchanged.setdefault(drift.key, {})
            if len(unchanged) >= _MOST_UNCHANGED:
                unchanged.clear()
            unchanged[tuple(resolved)] = types, tuple(resolved.values())


# All registries of this process; each leaves when it is garbage. `keyrefs` makes its list in one step, so that other
# threads may make registries meanwhile. (To iterate over a WeakSet takes many steps, and fails then.)
registries: "WeakKeyDictionary[Registry, None]" = WeakKeyDictionary()


class Registry:
    """A set of registered classes and migrations, given to `PackOptions(registry=...)` and `Policy(registry=...)`.

    The functions `artifact`, `register` and `migration` of this library work on the default registry, which writers
    and policies use unless they get another one. Readers trust the classes that their registry has. Several threads
    may register at the same time.

    Raises:
        RegistryError: what is registered contradicts itself, or what is there already. Each method says when.

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

    def __init__(self) -> None:
        self._lock = Lock()
        self._index = RegistryIndex({}, {}, {})  # replaced as a whole, so reading it takes no lock
        registries[self] = None

    def __repr__(self) -> str:
        names = sorted(self._index.names)
        listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return f"<Registry of {len(names)} class{'es' * (len(names) != 1)}{': ' * bool(names)}{listed}>"

    def __reduce__(self) -> str:
        if self is default_registry:
            return "default_registry"  # the default registry of the process that loads it
        raise TypeError("a Registry can't be pickled, unless it is the default one: make it where it is used")

    def clear(self) -> None:
        """Forget every class and migration, so that a test begins with an empty registry. Raises nothing."""
        with self._lock:
            self._index = RegistryIndex({}, {}, {})

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
        _check_name(name)

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
        """Give a class a name that survives moves, a schema version, and rules for older states.

        Args:
            cls: the class.
            name: 1 to 1023 bytes without `:` and control characters, for instance `"jobs.Task"`.
            version: the schema version, 0 for classes that declare none. Raise it when the meaning of a field changes.
            formerly: the former places and names of the class: `"module:qualname"` where it was without a name, or the
                registered name that it had. No other class may be there now.
            renames: former field name -> name today, for fields that were renamed without a new version. For an enum:
                member names.
            validate: called with each loaded object, after everything was loaded. If it raises or returns `False`, the
                artifact is refused.

        Raises:
            RegistryError: an argument has the wrong type or form; another class has the name; the class has another
                name; the version went down; a former name belongs to another class, or another class is there now; a
                migration starts at this version or beyond; `renames` leads from a field that the class still has, or
                to one that it does not have.

        >>> import fractions
        >>> registry = Registry()
        >>> registry.register(fractions.Fraction, "docs.Fraction", version=1)
        """
        new = _registered(cls, name, version, formerly, renames, validate)
        home = global_name(cls)
        with self._lock:
            index = self._index
            _check_against(index, new, home)
            known = index.names.get(name)
            homes = {key: value for key, value in index.globals.items() if value is not known}
            homes.update(dict.fromkeys((home, *new.formerly), new))
            self._index = RegistryIndex({**index.names, name: new}, homes, index.migrations)

    def migration(self, name: str, *, from_version: int, renames: Mapping[str, str] | None = None) -> Callable[[F], F]:
        """Return a decorator that registers a function as the step from one version of a class to the next.

        The function gets the state as a dict by field names, whatever the pickled shape was, and returns the state of
        the next version. It may change the dict, but not the values: other objects may share them. The state of an
        enum is `{"name": ..., "value": ...}`. Steps are registered in order. With `renames=` (former field name ->
        next name) the step is complete, and there is no function to decorate.

        Args:
            name: the registered name of the class. The class may be registered later.
            from_version: the version whose state the function takes. It returns the state of `from_version + 1`.
            renames: the whole step, instead of a function.

        Raises:
            RegistryError: there is a step from this version already, the step before this one is missing, or the
                version of the class is not above `from_version`.

        >>> registry = Registry()
        >>> @registry.migration("docs.Line", from_version=0)
        ... def ends_were_points(state):
        ...     state["start"], state["end"] = state.pop("points")
        ...     return state
        """
        _check_name(name)
        _check_version("from_version", from_version)
        if renames is not None:
            self._add(name, Migration(from_version, None, _checked_renames(renames)))
            return _nothing_to_decorate

        def decorate(function: F) -> F:
            if not callable(function):
                raise RegistryError("a migration is a function", "a function", shown(function), where=name)
            self._add(name, Migration(from_version, function, {}))
            return function

        return decorate

    def check(self) -> None:
        """Check that migrations lead to the version of every class. Call it in a test of your application.

        Classes at version 0 or 1 need no migration.

        Raises:
            RegistryError: the step to the version of a class is missing, or migrations belong to no class.
        """
        index = self._index
        for name in sorted(index.migrations.keys() - index.names.keys()):
            raise RegistryError("migrations of a class that is not registered", None, name)
        for name, registered in sorted(index.names.items()):
            steps = index.migrations.get(name, ())
            if registered.version > 1 or steps:
                reached = steps[-1].from_version + 1 if steps else 0
                if reached != registered.version:
                    reason = "migrations end before the version of the class"
                    hint = f'write @migration("{name}", from_version={reached})'
                    raise RegistryError(reason, registered.version, reached, hint, name)

    def _add(self, name: str, step: Migration) -> None:
        with self._lock:
            index = self._index
            steps = list(index.migrations.get(name, ()))
            _check_step(index, name, step)
            if steps and step.from_version <= steps[-1].from_version:
                steps[step.from_version - steps[0].from_version] = step  # its module ran again
            else:
                steps.append(step)
            self._index = RegistryIndex(index.names, index.globals, {**index.migrations, name: tuple(steps)})


index_of: Callable[[Registry], RegistryIndex] = attrgetter("_index")


def is_registered_elsewhere(cls: type, index: RegistryIndex) -> bool:
    """Return whether another registry of this process knows a class."""
    for reference in registries.keyrefs():
        registry = reference()
        other = index if registry is None else index_of(registry)
        found = None if other is index else other.by_class(cls)
        if found is not None and found.cls is cls:
            return True
    return False


# Checks of what a registry is given.


def _registered(
    cls: object, name: str, version: int, formerly: Iterable[str], renames: object, validate: object
) -> Registered:
    if not isinstance(cls, type):
        hint = "the class comes first" if isinstance(name, type) else None
        raise RegistryError("only classes are registered", "a class", shown(cls), hint)
    if not is_global(global_name(cls)) or "<locals>" in cls.__qualname__:
        raise RegistryError("the class has no place where a reader could find it", "module:qualname", global_name(cls))
    _check_name(name)
    _check_version("version", version)
    if isinstance(formerly, str) or not isinstance(formerly, Iterable):
        raise RegistryError("formerly is not a list", "a list of former names", shown(formerly), where="formerly")
    names = tuple(formerly)
    for former in names:
        if not isinstance(former, str) or not is_name(former) or (":" in former and not is_global(former)):
            raise RegistryError("not a former name", "'module:qualname' or a name", shown(former), where="formerly")
    if validate is not None and not callable(validate):
        reason = "validate can't be called"
        raise RegistryError(reason, "a function that takes the loaded object", shown(validate), where="validate")
    checked: Any = validate
    return Registered(name, cls, version, names, _checked_targets(cls, _checked_renames(renames)), checked)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not is_name(name) or ":" in name:
        reason = "not a name to register"
        raise RegistryError(reason, "1 to 1023 bytes without ':' and control characters", shown(name))


def _check_version(what: str, version: object) -> None:
    if type(version) is not int or not 0 <= version <= MAX_INTEGER:
        raise RegistryError("not a schema version", f"an integer from 0 to {MAX_INTEGER}", shown(version), where=what)


def _checked_renames(renames: object) -> dict[str, str]:
    if renames is None:
        return {}
    expected = "a mapping from former to present field names"
    if not isinstance(renames, Mapping):
        raise RegistryError("renames is not a mapping", expected, shown(renames), where="renames")
    copied = dict(renames)
    for old, new in copied.items():
        if not isinstance(old, str) or not isinstance(new, str):
            raise RegistryError("a field name is not a string", expected, shown({old: new}), where="renames")
        if new in copied:
            reason = "a field is renamed twice"
            raise RegistryError(reason, None, f"{old} -> {new} -> {copied[new]}", where="renames")
    if len(set(copied.values())) != len(copied):
        raise RegistryError("two fields are renamed to one", None, shown(copied), where="renames")
    return copied


def _checked_targets(cls: type, renames: dict[str, str]) -> dict[str, str]:
    """Check renames against the fields of a class. If it declares none yet, there is nothing to check."""
    today = field_names(cls) if renames else []
    for old, new in renames.items() if today else ():
        if new not in today:
            reason = "a field is renamed to one that the class does not have"
            hint = f'is it the other way round? renames={{"{new}": "{old}"}}' if old in today else None
            raise RegistryError(reason, f"one of {', '.join(today)}", new, hint, "renames")
        if old in today:
            reason = "the class still has the field that is renamed"
            hint = "raise the version, and give renames= to a migration: the new field is another one with the old name"
            raise RegistryError(reason, None, old, hint, "renames")
    return renames


def _check_against(index: RegistryIndex, new: Registered, home: str) -> None:
    """Check a class against what is registered. `home` is its global."""
    known = index.names.get(new.name)
    if known is not None and global_name(known.cls) != home:
        hint = "register one of them: a class that moved keeps its name and needs nothing else"
        if any(map(is_script, (home.partition(":")[0], known.cls.__module__))):
            hint = "is it a script that is imported as well? Keep the class in a module that is only imported"
        raise RegistryError("two classes under one name", global_name(known.cls), home, hint, new.name)
    if known is not None and new.version < known.version:
        raise RegistryError("the version went down", f"at least {known.version}", new.version, where=new.name)
    for name in (home, *new.formerly):
        other = index.recorded_for(name)
        if other is not None and other.name != new.name:
            reason = "the class has another name" if name == home else "a former name belongs to another class"
            raise RegistryError(reason, other.name, new.name, where=name)
    for former in new.formerly:
        if new.other_at(former) is not None:
            reason = "a former name is the place of another class, which still exists"
            hint = "remove that class if it is the old definition; else register each class under a name of its own"
            raise RegistryError(reason, None, former, hint, new.name)
    if new.name in index.globals and index.globals[new.name].name != new.name:
        raise RegistryError("the name is a former name of another class", None, new.name)
    steps = index.migrations.get(new.name)
    if steps and steps[-1].from_version >= new.version:
        reason = "migrations lead beyond the class"
        raise RegistryError(reason, f"version {steps[-1].from_version + 1}", new.version, where=new.name)


def _check_step(index: RegistryIndex, name: str, step: Migration) -> None:
    """Check a migration against what is registered."""
    steps, version = index.migrations.get(name, ()), step.from_version
    known = next((known for known in steps if known.from_version == version), None)
    if known is not None:
        if not _has_same_source(known, step):
            raise RegistryError("two migrations from one version", None, version, where=name)
        return
    if steps and version != steps[-1].from_version + 1:
        hint = "register migrations in order, without gaps"
        raise RegistryError("a gap between migrations", steps[-1].from_version + 1, version, hint, name)
    registered = index.names.get(name)
    if registered is not None and version >= registered.version:
        reason, expected = "a migration leads beyond the class", f"from a version below {registered.version}"
        raise RegistryError(reason, expected, version, f"raise the version of {name} to {version + 1}", name)


def _has_same_source(known: Migration, step: Migration) -> bool:
    """Return whether two steps are written in the same place: then their module ran again."""
    if known.function is None or step.function is None:
        return known == step
    if known.function.__module__ == step.function.__module__ == "__main__":  # a cell of a notebook, edited
        return known.function.__qualname__ == step.function.__qualname__
    return _place(known.function) == _place(step.function) is not None


def _place(function: Callable[..., Any]) -> tuple[str, int, str] | None:
    code = getattr(function, "__code__", None)
    return None if code is None else (code.co_filename, code.co_firstlineno, function.__qualname__)


def _nothing_to_decorate(function: Any) -> Any:
    raise RegistryError("the migration is complete: renames= needs no function", None, shown(function))


default_registry: Registry = Registry()  # of this process; it only grows
artifact: Final = default_registry.artifact
register: Final = default_registry.register
migration: Final = default_registry.migration
