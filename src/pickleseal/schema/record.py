"""What a writer says of a class: its name, its schema version, and its entry in the header's `types` (spec 6.2)."""

from typing import Any

from .describe import Description, describe, is_library_class
from .names import global_name, type_name
from .registry import Registry

__all__ = ["record", "recorded_name", "recorded_version"]

_EMPTY = Description("plain", [], "default", [])


def recorded_name(cls: type, registry: Registry) -> str:
    """Return the registered name of a class, or its global."""
    entry = registry.by_class(cls)
    return entry.name if entry is not None else type_name(cls)


def recorded_version(cls: type, registry: Registry) -> int:
    """Return the registered version of a class, or 0."""
    entry = registry.by_class(cls)
    return entry.version if entry is not None else 0


def record(cls: type, registry: Registry) -> tuple[str, dict[str, Any]] | None:
    """Return the name and entry of a class, or None where it has no schema.

    The standard library's classes are left out: their layout is a matter of `build.python`.
    """
    entry = registry.by_class(cls)
    if entry is None:
        if is_library_class(cls):
            return None
        name, version = type_name(cls), 0
    else:
        name, version = entry.name, entry.version
    description = describe(cls)
    if description is None:
        if entry is None:
            return None
        description = _EMPTY
    members: dict[str, Any] = {
        "fields": description.fields,
        "global": global_name(cls),
        "kind": description.kind,
        "state": description.state,
        "version": version,
    }
    if description.defaults:
        members["defaults"] = description.defaults
    return name, members
