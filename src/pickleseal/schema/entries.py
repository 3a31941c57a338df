"""What a registry holds, and the checks of what it is given."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import RegistryError, shown
from ..format.grammar import is_global, is_name
from ..format.limits import MAX_INTEGER
from .describe import field_names
from .names import global_name

__all__ = [
    *("Migration", "Registered", "State", "check_name", "check_renames", "check_version", "make_entry", "same_source"),
]

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
