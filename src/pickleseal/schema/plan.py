"""Decide, from the header alone, what has to be done with each class of a payload: nothing, a plan, or a refusal.

This is step 15's part of the reader algorithm that is about schemas (spec 6.3). It comes before any section is read,
and runs nothing of the classes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import SchemaDriftError, SchemaVersionError, SchemaWarning
from .compare import BY_NAME, REFUSED, RESOLVED, WARNED, Change, Ways, compare
from .defaults import Default, default_of
from .describe import Description, describe, is_library_class
from .migrate import Plan
from .names import global_name
from .registry import Registered, Registry

__all__ = ["make_plans"]

_UNDESCRIBED = Description("plain", [], "default", [])
# These kinds pickle their values in order, always or in some settings: another order has to be resolved by name.
_IN_ORDER = frozenset({"attrs", "dataclass", "msgspec", "namedtuple"})


def make_plans(
    types: Mapping[str, Any], classes: Mapping[str, Any], registry: Registry, drift: str, notes: list[Warning]
) -> dict[int, Plan]:
    """Compare every class that a header records with what it is today, and plan how its objects are restored.

    Args:
        types: the header's `types`.
        classes: what each of the header's `globals` resolved to.
        registry: registered names, versions and migrations.
        drift: `resolve`, `strict` or `ignore`.
        notes: takes what is worth a warning.

    Returns:
        The plans of the classes that need one, by the `id` of the class: a metaclass may make them unhashable.

    Raises:
        SchemaVersionError: a recorded version is newer than its class, or no chain of migrations leads from it.
        SchemaDriftError: a class changed in a way that can't be resolved, or at all where drift is `strict`.
    """
    plans: dict[int, Plan | None] = {}
    changes: list[Change] = []
    for name, was, cls in _recorded(types, classes, registry, drift):
        plan = _plan(name, was, cls, registry.by_class(cls), registry, drift, changes)
        other = plans.get(id(cls), plan)
        if not _agree(plan, other):
            fix = "read it with the classes apart, and merge them afterwards"
            changes.append(Change(name, "merged", None, other.name if other else None, None, REFUSED, fix))
        plans[id(cls)] = plan
    refused = [c for c in changes if c.level == REFUSED] if drift != "strict" else changes
    if refused:
        raise _refusal(refused, changes, drift)
    for change in changes:
        if change.level == WARNED:
            notes.append(SchemaWarning(f"{change}; it was loaded" + (f" ({change.fix})" if change.fix else "")))
    return {key: plan for key, plan in plans.items() if plan is not None}


def _agree(plan: Plan | None, other: Plan | None) -> bool:
    """Tell whether two names of one class mean the same work."""

    def shape(plan: Plan | None) -> object:
        if plan is None or plan.was is None:
            return None
        return {**plan.was, "global": None}

    return shape(plan) == shape(other)


def _recorded(
    types: Mapping[str, Any], classes: Mapping[str, Any], registry: Registry, drift: str
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
        entry = registry.by_class(cls)
        if entry is not None:
            yield entry.name, None, cls
        elif drift == "strict" and not is_library_class(cls) and describe(cls) is not None:
            yield name, None, cls


def _plan(
    name: str,
    was: Mapping[str, Any] | None,
    cls: type,
    entry: Registered | None,
    registry: Registry,
    drift: str,
    changes: list[Change],
) -> Plan | None:
    """Plan for one class, and note its changes."""
    now = describe(cls) or _UNDESCRIBED
    validate = entry.validate if entry is not None else None
    unchanged = None if validate is None else Plan(name, cls, None, now, validate=validate)
    if drift == "ignore":
        return unchanged
    recorded, version = (was["version"] if was is not None else 0), (entry.version if entry is not None else 0)
    if was is None and drift == "strict":
        changes.append(Change(name, "unrecorded", None, None, None, REFUSED, None))
    if recorded != version:
        return _older(name, was, cls, entry, registry, now, changes)
    if was is None or _is_same(was, now):
        return unchanged
    renames = entry.renames if entry is not None else {}
    defaults = _defaults(cls, now)
    found = compare(name, was, now, renames, lambda field: field in defaults, _ways(cls, entry))
    if drift != "strict" and "custom" in (was["state"], now.state):
        return unchanged  # its own business
    changes += found
    if now.kind == "enum" or not any(_needs_work(change, was["kind"]) for change in found):
        return unchanged
    return Plan(name, cls, was, now, (), renames, defaults, validate)


def _is_same(was: Mapping[str, Any], now: Description) -> bool:
    return bool(
        was["fields"] == now.fields
        and was["kind"] == now.kind
        and was["state"] == now.state
        and was.get("defaults", []) == now.defaults
    )


def _needs_work(change: Change, kind: str) -> bool:
    if change.what == "reordered":
        return kind in _IN_ORDER
    return change.what in ("added", "kind", "renamed")


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
    registry: Registry,
    now: Description,
    changes: list[Change],
) -> Plan:
    """Plan for a class whose recorded version is another than today's."""
    recorded, version = (was["version"] if was is not None else 0), (entry.version if entry is not None else 0)
    where = f"types.{name}"
    if recorded > version:
        hint = "deploy the code that knows it, or upgrade"
        if entry is None:
            hint = f'import the module that registers "{name}", or give its registry in Policy(registry=...)'
        raise SchemaVersionError("a version newer than the class", f"at most {version}", recorded, hint, where)
    steps = registry.chain(entry.name, recorded, version) if entry is not None else None
    if entry is None or steps is None:
        called = entry.name if entry is not None else name
        hint = f'write @migration("{called}", from_version={recorded}) and the steps up to version {version}'
        raise SchemaVersionError("no chain of migrations leads to the class", version, recorded, hint, where)
    if _reduces(cls, now):
        hint = "migrations work on the state that pickle stores: give it __getstate__ instead, or branch in __reduce__"
        raise SchemaVersionError(
            "the class has its own __reduce__, which no migration sees", version, recorded, hint, where
        )
    changes.append(Change(name, "version", None, str(recorded), str(version), RESOLVED, None))
    entry_was = was if was is not None else {"fields": [], "kind": now.kind, "state": now.state, "version": 0}
    kinds = str(entry_was["kind"]), now.kind
    if kinds[0] != kinds[1] and ("pydantic" in kinds or (kinds[0] in BY_NAME and now.kind not in BY_NAME)):
        fix = "objects are made before their values are known: read them as they were, and convert them afterwards"
        changes.append(Change(name, "kind", None, kinds[0], kinds[1], REFUSED, fix))
    return Plan(name, cls, entry_was, now, steps, entry.renames, _defaults(cls, now), entry.validate)


def _reduces(cls: type, now: Description) -> bool:
    """Tell whether instances are rebuilt by a function of the class's own choice."""
    if now.state == "default":
        return False
    return any(getattr(cls, name) is not getattr(object, name) for name in ("__reduce__", "__reduce_ex__"))


def _ways(cls: type, entry: Registered | None) -> Ways:
    if entry is not None:
        return Ways(cls.__name__, entry.name, True, entry.version)
    return Ways(cls.__name__, global_name(cls).replace(":", ".").removeprefix("__main__."), False, 0)


def _refusal(refused: list[Change], changes: list[Change], drift: str) -> SchemaDriftError:
    types = sorted({change.type for change in refused})
    single = len(types) == 1
    texts = [change.text if single else str(change) for change in refused]
    what = "; ".join(texts[:8]) + ("; ..." if len(texts) > 8 else "")
    guessed = {change.now for change in refused if change.what == "removed"}
    fixes = [c.fix for c in refused if c.fix and not (c.what == "added" and c.field in guessed)]
    hint = "; ".join(list(dict.fromkeys(fixes))[:3]) or None
    if drift == "strict":
        hint = 'drift="resolve" loads what can be resolved by name'
    reason = f"{'changed' if single else f'{len(types)} classes changed'} since it was written: {what}"
    changes = [*refused, *(change for change in changes if change not in refused)]
    where = f"types.{types[0]}" if single else "types"
    return SchemaDriftError(reason, None, tuple(changes), hint, where)
