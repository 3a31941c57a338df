"""Decide, from the header alone, what has to be done with each class of a payload: nothing, a plan, or a refusal.

This is step 15's part of the reader algorithm that is about schemas (spec 6.3). It comes before any section is read,
and runs nothing of the classes.
"""

from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any

from ..errors import SchemaVersionError, SchemaWarning
from .change import REFUSED, RESOLVED, WARNED, Change
from .defaults import Default, default_of
from .describe import Description, describe, describe_any, is_foreign, is_library_class, static
from .drift import BY_NAME, Refused, can_migrate, compare, refusal, ways_of
from .migration import Plan
from .registry import Registered, RegistryIndex

__all__ = ["make_plans", "makes_others"]

_GUARDS = "pickleseal._trust.safe_functions"  # whose functions make values of the standard library and arrays
# These kinds pickle their values in order, always or in some settings: another order has to be resolved by name.
_IN_ORDER = frozenset({"attrs", "dataclass", "msgspec", "namedtuple"})


def make_plans(
    types: Mapping[str, Any], classes: Mapping[str, Any], index: RegistryIndex, drift: str, notes: list[Warning]
) -> dict[int, Plan]:
    """Compare every class that a header records with what it is today, and plan how its objects are restored.

    Args:
        types: the header's `types`.
        classes: what each of the header's `globals` resolved to.
        index: registered names, versions and migrations.
        drift: `resolve`, `strict` or `ignore`.
        notes: takes what is worth a warning.

    Returns:
        The plans of the classes that need one, by the `id` of the class: a metaclass may make them unhashable.

    Raises:
        SchemaVersionError: a recorded version is newer than its class, or no chain of migrations leads from it.
        SchemaDriftError: a class changed in a way that can't be resolved, or at all where drift is `strict`.
    """
    plans: dict[int, Plan | None] = {}
    classes_changed: list[Refused] = []
    for name, was, cls in _recorded(types, classes, index, drift):
        entry = index.by_class(cls)
        changes: list[Change] = []
        plan = _plan(name, was, cls, entry, index, drift, changes)
        other = plans.get(id(cls), plan)
        if not _agree(plan, other):
            fix = "read it with the classes apart, and merge them afterwards"
            changes.append(Change(name, "merged", None, other.name if other else None, None, REFUSED, fix))
        plans[id(cls)] = plan
        if changes:
            classes_changed.append(Refused(name, changes, ways_of(cls, entry)))
    found = [change for _, changes, _ in classes_changed for change in changes]
    if any(change.level == REFUSED or drift == "strict" for change in found):
        raise refusal(classes_changed, drift)
    for change in found:
        if change.level == WARNED:
            fix = f": loaded as it is; if that is wrong: {change.fix}; else upgrade() the file"
            note = SchemaWarning(str(change) + fix)
            note.change = change
            notes.append(note)
    made = {key: plan for key, plan in plans.items() if plan is not None}
    if any(map(makes_others, classes.values())):
        for entry in index.with_validate():
            cls = entry.current()
            made.setdefault(id(cls), Plan(entry.name, cls, None, describe_any(cls), validate=entry.validate))
    return made


def makes_others(value: Any) -> bool:
    """Tell whether a global may make objects of classes that the payload does not name: a function, or a `__new__`."""
    if isinstance(value, type):
        return isinstance(static(value, "__new__"), FunctionType) and not is_library_class(value)
    return type(value).__module__ != _GUARDS


def _agree(plan: Plan | None, other: Plan | None) -> bool:
    """Tell whether two names of one class mean the same work."""

    def shape(plan: Plan | None) -> object:
        if plan is None or plan.was is None:
            return None
        return {**plan.was, "global": None}

    return shape(plan) == shape(other)


def _recorded(
    types: Mapping[str, Any], classes: Mapping[str, Any], index: RegistryIndex, drift: str
) -> Iterable[tuple[str, Mapping[str, Any] | None, type]]:
    """Give the classes that are recorded, then those that should be: registered, or for strict, described."""
    seen = set()
    for name, was in types.items():
        cls = classes.get(was["global"])
        if isinstance(cls, type):
            seen.add(was["global"])
            yield name, was, cls
    for name, cls in classes.items():
        if name in seen or not isinstance(cls, type):
            continue
        entry = index.by_class(cls)
        if entry is not None:
            yield entry.name, None, cls
        elif drift == "strict" and not is_library_class(cls) and describe(cls) is not None:
            yield name, None, cls


def _plan(
    name: str,
    was: Mapping[str, Any] | None,
    cls: type,
    entry: Registered | None,
    index: RegistryIndex,
    drift: str,
    changes: list[Change],
) -> Plan | None:
    """Plan for one class, and note its changes."""
    now = describe_any(cls)
    validate = entry.validate if entry is not None else None
    unchanged = None if validate is None else Plan(name, cls, None, now, validate=validate)
    if drift == "ignore":
        return unchanged
    recorded, version = (was["version"] if was is not None else 0), (entry.version if entry is not None else 0)
    if was is None and drift == "strict":
        changes.append(Change(name, "unrecorded", None, None, None, REFUSED, None))
    if recorded != version:
        return _older(name, was, cls, entry, index, now, changes)
    if was is None or _is_same(was, now):
        unknown = [field for field, text in now.fields if not text] if now.kind == "enum" else []
        if drift == "strict" and was is not None and unknown:
            changes.append(Change(name, "uncompared", ", ".join(unknown), None, None, REFUSED, None, now.kind))
        return unchanged
    renames = entry.renames if entry is not None else {}
    defaults = _defaults(cls, now)
    found = compare(name, was, now, renames, lambda field: field in defaults, ways_of(cls, entry))
    if was["state"] != now.state and is_foreign(cls, now.kind):
        fix = "keep the framework of the class and its bases, or raise the version and write a migration"
        changes.append(
            Change(name, "state", None, was["state"], "what another framework makes", REFUSED, fix, now.kind)
        )
    elif drift != "strict" and "custom" in (was["state"], now.state):
        return unchanged  # its own business
    changes += found
    if now.kind == "enum":
        return unchanged
    if not any(_needs_work(change, was["kind"]) for change in found) and not _may_differ(was, now):
        return unchanged
    return Plan(name, cls, was, now, (), renames, defaults, validate)


def _is_same(was: Mapping[str, Any], now: Description) -> bool:
    return bool(
        was["fields"] == now.fields
        and was["kind"] == now.kind
        and was["state"] == now.state
        and was.get("defaults", []) == now.defaults
        and was.get("shape", "") == now.shape
    )


def _may_differ(was: Mapping[str, Any], now: Description) -> bool:
    """Tell whether the state may be stored in another shape than the class takes: early artifacts do not say."""
    return "shape" not in was and now.kind in BY_NAME and bool(was["fields"] or now.fields)


def _needs_work(change: Change, kind: str) -> bool:
    if change.what == "reordered":
        return kind in _IN_ORDER
    return change.what in ("added", "kind", "renamed", "shape")


def _defaults(cls: type, now: Description) -> dict[str, Default]:
    found = {}
    for field, _ in now.fields:
        default = default_of(cls, now.kind, field)
        if default is not None:
            found[field] = default
    return found


def _older(
    name: str,
    was: Mapping[str, Any] | None,
    cls: type,
    entry: Registered | None,
    index: RegistryIndex,
    now: Description,
    changes: list[Change],
) -> Plan:
    """Plan for a class whose recorded version is another than today's."""
    recorded, version = (was["version"] if was is not None else 0), (entry.version if entry is not None else 0)
    where = f"types.{name}"
    if recorded > version:
        hint = "deploy the code that knows it"
        if entry is None:
            hint = f'import the module that registers "{name}", or give its registry in Policy(registry=...)'
        raise SchemaVersionError("a version newer than the class", f"at most {version}", recorded, hint, where)
    steps = index.steps(entry.name, recorded, version) if entry is not None else None
    if entry is None or steps is None:
        called = entry.name if entry is not None else name
        hint = f'write @migration("{called}", from_version={recorded})'
        hint += f", and the steps up to version {version}" if version > recorded + 1 else ""
        if was is not None and was["fields"] != now.fields:
            old, new = ([field for field, _ in side] for side in (was["fields"], now.fields))
            hint += f": it had {', '.join(old) or 'no fields'} and has {', '.join(new) or 'none'}"
        raise SchemaVersionError("no chain of migrations leads to the class", version, recorded, hint, where)
    if _reduces(cls, now):
        hint = "migrations work on the state that pickle stores: give it __getstate__ instead, or branch in __reduce__"
        raise SchemaVersionError(
            "the class has its own __reduce__, which no migration sees", version, recorded, hint, where
        )
    changes.append(Change(name, "version", None, str(recorded), str(version), RESOLVED, None))
    entry_was = was if was is not None else {"fields": [], "kind": now.kind, "state": now.state, "version": 0}
    kind = str(entry_was["kind"])
    if not can_migrate(kind, now.kind):
        fix = ways_of(cls, entry).change_kind(kind, now.kind)
        changes.append(Change(name, "kind", None, kind, now.kind, REFUSED, fix, now.kind))
    return Plan(name, cls, entry_was, now, steps, entry.renames, _defaults(cls, now), entry.validate)


def _reduces(cls: type, now: Description) -> bool:
    """Tell whether instances are rebuilt by a function of the class's own choice."""
    if now.state == "default":
        return False
    return any(getattr(cls, name) is not getattr(object, name) for name in ("__reduce__", "__reduce_ex__"))
