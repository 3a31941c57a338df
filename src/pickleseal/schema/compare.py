"""Compare a class as the header recorded it with the class as it is: what changed, what that means, how to mend it.

The rules are those of spec 6.3. Comparing looks at names and texts alone; it runs nothing of the class.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .describe import Description

__all__ = ["BY_NAME", "REFUSED", "RESOLVED", "WARNED", "Change", "Ways", "compare"]

RESOLVED, WARNED, REFUSED = "resolved", "warned", "refused"
# Kinds whose instances are made empty and get their state by field names afterwards: one can become another.
BY_NAME = frozenset({"attrs", "dataclass", "plain", "slots"})


class Change(NamedTuple):
    """One difference between a class as it was recorded and as it is.

    `what` is one of `added`, `annotation`, `default`, `kind`, `merged`, `removed`, `renamed`, `reordered`, `state`,
    `unrecorded`, `value` and `version`. `was` and `now` are the two sides as texts; for `removed`, `now` is the name
    that the field may have today. `level` says what `drift="resolve"` does: `resolved`, `warned` or `refused`.
    """

    type: str
    what: str
    field: str | None
    was: str | None
    now: str | None
    level: str
    fix: str | None

    def __str__(self) -> str:
        return f"{self.type}: {self.text}"

    @property
    def text(self) -> str:
        """What changed, in one clause, without the class."""
        return _TEXTS[self.what].format(field=self.field, was=self.was, now=self.now)


_TEXTS = {
    "added": "{field!r} was added",
    "annotation": "{field!r} was annotated {was} and is {now}",
    "default": "the default of {field!r}, which lives on the class, was {was} and is {now}",
    "merged": "it is one class with {was} today, and the artifact has both, in different shapes",
    "kind": "it was of kind {was} and is of kind {now}",
    "removed": "{field!r} was removed or renamed",
    "renamed": "{field!r} is {now!r} today",
    "reordered": "the order was {was} and is {now}",
    "state": "its state was {was} and is {now}",
    "unrecorded": "the artifact does not say what it looked like",
    "value": "the value of {field!r} was {was} and is {now}",
    "version": "it was at version {was} and is at version {now}",
}


class Ways(NamedTuple):
    """How to write down a fix for one class, ready to paste."""

    cls: str  # what the class is called in code
    name: str  # its registered name, or one to give it
    is_registered: bool
    version: int

    def register(self, what: str) -> str:
        if self.is_registered:
            return f'artifact("{self.name}", {what})'
        return f'register({self.cls}, "{self.name}", {what})'

    def migrate(self, what: str) -> str:
        versions = self.register(f"version={self.version + 1}")
        return f'{versions}, and {what} in @migration("{self.name}", from_version={self.version})'


def compare(
    name: str,
    was: Mapping[str, Any],
    now: Description,
    renames: Mapping[str, str],
    has_default: Callable[[str], bool],
    ways: Ways,
) -> list[Change]:
    """List what changed in a class between a recorded schema (spec 6.2) and today's.

    Args:
        name: what the class is called in messages.
        was: its entry in the header's `types`.
        now: its description.
        renames: former field name -> name today, as registered.
        has_default: tells whether a field of the class as it is gets a value by itself.
        ways: how a fix is written.
    """
    changes = []
    if was["state"] != now.state:
        changes.append(Change(name, "state", None, was["state"], now.state, RESOLVED, None))
    if was["kind"] != now.kind:
        level = WARNED if {was["kind"], now.kind} <= BY_NAME else REFUSED
        fix = f"keep the kind, or {ways.migrate('convert it')}"
        changes.append(Change(name, "kind", None, was["kind"], now.kind, level, fix))
    old, new = dict(was["fields"]), dict(now.fields)
    today = {field: _today(field, old, new, renames) for field in old}
    changes += [
        Change(name, "renamed", field, field, other, RESOLVED, None) for field, other in today.items() if field != other
    ]
    removed = [field for field, other in today.items() if other not in new]
    added = [field for field in new if field not in today.values()]
    changes += [_removed(name, field, added, old, new, ways) for field in removed]
    changes += [_added(name, field, now.kind == "enum" or has_default(field), ways) for field in added]
    kept = {field: other for field, other in today.items() if other in new}
    order = [field for field in new if field in kept.values()]
    if list(kept.values()) != order:
        changes.append(Change(name, "reordered", None, ", ".join(kept.values()), ", ".join(order), RESOLVED, None))
    for field, other in kept.items():
        if old[field] and new[other] and old[field] != new[other]:
            changes.append(_text_changed(name, other, old[field], new[other], now.kind, ways))
    changes += _defaults(name, dict(was.get("defaults", ())), dict(now.defaults), kept, ways)
    return changes


def _today(field: str, old: Mapping[str, str], new: Mapping[str, str], renames: Mapping[str, str]) -> str:
    """Return what a recorded field is called today."""
    other = renames.get(field, field)
    return other if field not in new and other in new and other not in old else field


def _removed(
    name: str, field: str, added: list[str], old: Mapping[str, str], new: Mapping[str, str], ways: Ways
) -> Change:
    alike = [other for other in added if old[field] == new[other]]
    guess = alike[0] if len(alike) == 1 else added[0] if len(added) == 1 else None
    gone = f"if it is gone: {ways.migrate('drop it')}"
    renames = f'renames={{"{field}": "{guess or "..."}"}}'
    fix = f"if it was renamed: {ways.register(renames)}; {gone}"
    return Change(name, "removed", field, old[field], guess, REFUSED, fix)


def _added(name: str, field: str, has_default: bool, ways: Ways) -> Change:
    if has_default:
        return Change(name, "added", field, None, field, RESOLVED, None)
    fix = f"give {field!r} a default, or {ways.migrate('set it')}"
    return Change(name, "added", field, None, field, REFUSED, fix)


def _text_changed(name: str, field: str, was: str, now: str, kind: str, ways: Ways) -> Change:
    if kind == "enum":
        fix = f"give {field!r} back the value {was}, or {ways.migrate('return the new member')}"
        return Change(name, "value", field, was, now, REFUSED, fix)
    fix = f"if values have to be converted: {ways.migrate('convert them')}"
    return Change(name, "annotation", field, was, now, WARNED, fix)


def _defaults(
    name: str, was: Mapping[str, str], now: Mapping[str, str], kept: Mapping[str, str], ways: Ways
) -> list[Change]:
    changes = []
    for field, text in was.items():
        other = kept.get(field)
        if other is not None and now.get(other) != text:
            fix = f"objects that never set it show the new one: {ways.migrate('set the old one')}"
            changes.append(Change(name, "default", other, text, now.get(other, "nothing"), WARNED, fix))
    return changes
