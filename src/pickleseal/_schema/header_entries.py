"""What a writer says about a class in the header: its name, its version, its entry in `types`, its packages (spec 6.2).

It looks at classes and at a registry, and calls nothing of a class.
"""

from typing import Any, NamedTuple

from .describe import Description, describe, describe_any, is_library_class
from .distributions import distribution_of, packages_of_bases
from .libraries import is_of_library
from .names import global_name, type_name
from .registry import Registry, RegistryIndex, index_of, is_registered_elsewhere

_attribute = type.__getattribute__  # past a metaclass's own


class ClassInHeader(NamedTuple):
    """What the header says about one class."""

    name: str  # registered, or its global
    version: int  # registered, or 0
    entry: dict[str, Any] | None  # in `types`; None if the class has no schema. It is shared: do not change it
    packages: dict[str, str]  # the distributions of its bases
    warning: str | None = None  # readers would take it for another class
    module: str = ""  # what `__module__` and `__qualname__` of the class were: somebody may change them
    qualname: str = ""
    only_of_objects: bool = False  # the entry is for headers of objects of the class: it declares no fields
    may_be_library: str = ""  # the distribution that the entry depends on: a library's classes have none


def in_header(cls: type, registry: Registry) -> ClassInHeader:
    """Return what the header says about a class.

    Classes of the standard library have no entry, because their layout follows from `build.python`. Neither have those
    of a library (`libraries`), where nothing but annotations or slots says what their fields are.
    """
    index = index_of(registry)
    found = index.headers.find(cls)
    module, qualname = _attribute(cls, "__module__"), _attribute(cls, "__qualname__")
    if found is None or found.qualname != qualname or found.module != module:
        found = _in_header(cls, index)._replace(module=module, qualname=qualname)
        index.headers.keep(cls, found)
    return found


def name_in_header(cls: type, registry: Registry) -> str:
    """Return the name of a class in a header: its registered name, or its global."""
    registered = index_of(registry).by_class(cls)
    return type_name(cls) if registered is None else registered.name


def _in_header(cls: type, index: RegistryIndex) -> ClassInHeader:
    registered = index.by_class(cls)
    packages = packages_of_bases(cls)
    only_of_objects = False
    if registered is None:
        name, version = type_name(cls), 0
        description = None if is_library_class(cls) or _is_of_library(cls) else _to_record(cls)
        only_of_objects = description is not None and describe(cls) is None
        warning = _warning(cls, name, index)
    else:
        name, version = registered.name, registered.version
        description = describe_any(cls)
        warning = None
    if description is None:
        return ClassInHeader(name, version, None, packages, warning)
    entry: dict[str, Any] = {
        "fields": description.fields,
        "global": global_name(cls),
        "kind": description.kind,
        "state": description.state,
        "version": version,
    }
    private = description.private
    if private is not None:
        entry["fields"] = [pair for pair in description.fields if pair[0] not in private]
        entry["attributes"] = [[name, "required"] for name in private]
    elif description.assigned is not None:
        entry["attributes"] = [list(pair) for pair in description.assigned.items()]
    if description.base:
        entry["base"] = description.base
    if description.defaults:
        entry["defaults"] = description.defaults
    if description.shape:
        entry["shape"] = description.shape
    may_be_library = "" if registered is not None or description.adapter.has_framework else distribution_of(cls)
    return ClassInHeader(
        name, version, entry, packages, warning, only_of_objects=only_of_objects, may_be_library=may_be_library
    )


def _to_record(cls: type) -> Description | None:
    """Return the description of a class that is not registered, or None if nothing is known of it.

    One with attributes that can't be known is recorded as well: the header then shows that it is not compared.
    """
    description = describe_any(cls)
    is_known = description.assigned is not None or description.may_hold_more
    return description if is_known else describe(cls)


def _is_of_library(cls: type) -> bool:
    """Return whether a class is a library's, and no framework says what its fields are."""
    if not is_of_library(cls):
        return False
    from .adapters import adapter_of

    try:
        adapter = adapter_of(cls)
    except Exception:  # a class with unusual attributes
        return True
    return adapter is None or not adapter.has_framework


def _warning(cls: type, name: str, index: RegistryIndex) -> str | None:
    """Return why readers would take an unregistered class for another one, or None."""
    if is_registered_elsewhere(cls, index):
        return f"{name} is registered, but not in the registry of these options: give it in PackOptions(registry=...)"
    owner = index.former_owner(cls)
    if owner is not None:
        return f"{name} is where {owner} was formerly, so readers take it for {owner}: register it under its own name"
    return None
