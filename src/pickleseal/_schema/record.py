"""What a writer says of a class: its name, its schema version, and its entry in the header's `types` (spec 6.2).

Made once for each class and state of a registry: small objects are packed by the thousand.
"""

import weakref
from typing import Any, NamedTuple

from .describe import describe, describe_any, is_library_class
from .distributions import pins_of_bases
from .names import global_name, type_name
from .registry import Registry, former_owner, is_registered_elsewhere

__all__ = ["Record", "record"]


_attribute = type.__getattribute__  # past a metaclass's own ways


class Record(NamedTuple):
    """What the header says of one class."""

    name: str  # registered, or its global
    version: int  # registered, or 0
    entry: dict[str, Any] | None  # for `types`; None where the class has no schema. Shared: not to be changed
    pins: dict[str, str]  # distributions of its bases
    trouble: str | None = None  # what to warn of


def record(cls: type, registry: Registry) -> Record:
    """Return what is to be said of a class.

    The standard library's classes have no entry: their layout is a matter of `build.python`.
    """
    known = registry._records.get(id(cls))
    if (
        known is not None
        and known[0]() is cls
        and known[1] == registry._generation
        and known[2] == _attribute(cls, "__qualname__")  # somebody may have set another
        and known[3] == _attribute(cls, "__module__")
    ):
        made: Record = known[4]
        return made
    generation, key = registry._generation, id(cls)
    made = _record(cls, registry)
    kept = weakref.ref(cls, lambda _: registry._records.pop(key, None))
    registry._records[key] = kept, generation, _attribute(cls, "__qualname__"), _attribute(cls, "__module__"), made
    return made


def _record(cls: type, registry: Registry) -> Record:
    registered = registry._by_class(cls)
    pins = pins_of_bases(cls)
    if registered is None:
        name, version = type_name(cls), 0
        description = None if is_library_class(cls) else describe(cls)
    else:
        name, version = registered.name, registered.version
        description = describe_any(cls)
    trouble = None if registered is not None else _trouble(cls, name, registry)
    if description is None:
        return Record(name, version, None, pins, trouble)
    entry: dict[str, Any] = {
        "fields": description.fields,
        "global": global_name(cls),
        "kind": description.kind,
        "state": description.state,
        "version": version,
    }
    if description.defaults:
        entry["defaults"] = description.defaults
    if description.shape:
        entry["shape"] = description.shape
    return Record(name, version, entry, pins, trouble)


def _trouble(cls: type, name: str, registry: Registry) -> str | None:
    """Say why readers would take an unregistered class for something else."""
    if is_registered_elsewhere(cls, registry):
        return f"{name} is registered, but not in the registry of this writer: give it in Writer(registry=...)"
    owner = former_owner(cls, registry)
    if owner is not None:
        return f"{name} is where {owner} was formerly, so readers take it for that: register it under a name of its own"
    return None
