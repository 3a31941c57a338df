"""Compare a class as the header recorded it with the class as it is: what changed, what that means, how to mend it.

The rules are those of spec 6.3. Comparing looks at names and texts alone; it runs nothing of the class.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .describe import Description

__all__ = ["BY_NAME", "RESOLVED", "Change", "compare"]

RESOLVED, WARNED, REFUSED = "resolved", "warned", "refused"
# Kinds whose instances are made empty and get their state by field names afterwards: one can become another.
BY_NAME = frozenset({"attrs", "dataclass", "plain", "slots"})


class Change(NamedTuple):
    """One difference between a class as it was recorded and as it is.

    `what` is one of `added`, `annotation`, `default`, `kind`, `merged`, `removed`, `renamed`, `reordered`, `state`,
    `unrecorded`, `value` and `version`. `level` says what `drift="resolve"` does: `resolved`, `warned` or `refused`.
    """

    type: str
    what: str
    field: str | None
    was: str | None
    now: str | None
    level: str
    fix: str | None

    def __str__(self) -> str:
        text = _TEXTS[self.what].format(field=self.field, was=self.was, now=self.now)
        return f"{self.type}: {text}"


_TEXTS = {
    "added": "field {field!r} was added",
    "annotation": "field {field!r} was annotated {was} and is {now}",
    "default": "the default of {field!r}, which lives on the class, was {was} and is {now}",
    "merged": "it is one class with {was} today, and the artifact has both, in different shapes",
    "kind": "it was of kind {was} and is of kind {now}",
    "removed": "field {field!r} was removed or renamed",
    "renamed": "field {field!r} is {now!r} today",
    "reordered": "the order was {was} and is {now}",
    "state": "its state was {was} and is {now}",
    "unrecorded": "the artifact does not say what it looked like",
    "value": "the value of {field!r} was {was} and is {now}",
    "version": "it was at version {was} and is at version {now}",
}


def compare(
    name: str, was: Mapping[str, Any], now: Description, renames: Mapping[str, str], has_default: Callable[[str], bool]
) -> list[Change]:
    """List what changed in a class between a recorded schema (spec 6.2) and today's.

    Args:
        name: what the class is called in messages.
        was: its entry in the header's `types`.
        now: its description.
        renames: former field name -> name today, as registered.
        has_default: tells whether a field of the class as it is gets a value by itself.
    """
    changes = []
    if was["state"] != now.state:
        changes.append(Change(name, "state", None, was["state"], now.state, RESOLVED, None))
    if was["kind"] != now.kind:
        level = WARNED if {was["kind"], now.kind} <= BY_NAME else REFUSED
        fix = "keep the kind, or raise the version and write a migration"
        changes.append(Change(name, "kind", None, was["kind"], now.kind, level, fix))
    old, new = dict(was["fields"]), dict(now.fields)
    today = {field: _today(field, old, new, renames) for field in old}
    changes += [
        Change(name, "renamed", field, field, other, RESOLVED, None) for field, other in today.items() if field != other
    ]
    removed = [field for field, other in today.items() if other not in new]
    added = [field for field in new if field not in today.values()]
    changes += _removed(name, removed, added, old, new)
    changes += _added(name, added, now.kind, has_default)
    kept = {field: other for field, other in today.items() if other in new}
    order = [field for field in new if field in kept.values()]
    if list(kept.values()) != order:
        changes.append(Change(name, "reordered", None, ", ".join(kept.values()), ", ".join(order), RESOLVED, None))
    for field, other in kept.items():
        if old[field] and new[other] and old[field] != new[other]:
            changes.append(_text_changed(name, other, old[field], new[other], now.kind))
    changes += _defaults(name, dict(was.get("defaults", ())), dict(now.defaults), kept)
    return changes


def _today(field: str, old: Mapping[str, str], new: Mapping[str, str], renames: Mapping[str, str]) -> str:
    """Return what a recorded field is called today."""
    other = renames.get(field, field)
    return other if field not in new and other in new and other not in old else field


def _removed(
    name: str, removed: list[str], added: list[str], old: Mapping[str, str], new: Mapping[str, str]
) -> list[Change]:
    changes = []
    for field in removed:
        alike = [other for other in added if old[field] == new[other]]
        guess = alike[0] if len(alike) == 1 else added[0] if len(added) == 1 else "its_name_today"
        fix = f'if it was renamed: renames={{"{field}": "{guess}"}}; if it is gone: raise the version, and drop it in '
        fix += "a migration"
        changes.append(Change(name, "removed", field, old[field], None, REFUSED, fix))
    return changes


def _added(name: str, added: list[str], kind: str, has_default: Callable[[str], bool]) -> list[Change]:
    changes = []
    for field in added:
        if kind == "enum" or has_default(field):
            changes.append(Change(name, "added", field, None, field, RESOLVED, None))
        else:
            fix = f"give {field!r} a default, or raise the version and set it in a migration"
            changes.append(Change(name, "added", field, None, field, REFUSED, fix))
    return changes


def _text_changed(name: str, field: str, was: str, now: str, kind: str) -> Change:
    if kind == "enum":
        fix = f"give {field!r} back the value {was}, or raise the version and write a migration"
        return Change(name, "value", field, was, now, REFUSED, fix)
    fix = "if values have to be converted: raise the version and write a migration"
    return Change(name, "annotation", field, was, now, WARNED, fix)


def _defaults(name: str, was: Mapping[str, str], now: Mapping[str, str], kept: Mapping[str, str]) -> list[Change]:
    changes = []
    for field, text in was.items():
        other = kept.get(field)
        if other is not None and now.get(other) != text:
            fix = "objects that never set it show the new one: raise the version and set it in a migration"
            changes.append(Change(name, "default", other, text, now.get(other, "nothing"), WARNED, fix))
    return changes
