"""Compare a class as the header recorded it with the class as it is: what changed, what that means, how to mend it.

The rules are those of spec 6.3. Comparing looks at names and texts alone; it runs nothing of the class.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import SchemaDriftError
from .change import REFUSED, RESOLVED, WARNED, Change
from .describe import Description
from .names import global_name
from .registry import Registered

__all__ = ["BY_NAME", "Refused", "Ways", "can_migrate", "compare", "refusal", "ways_of"]

# Kinds whose instances are made empty and get their state by field names afterwards: one can become another.
BY_NAME = frozenset({"attrs", "dataclass", "plain", "slots"})


def can_migrate(was: str, now: str) -> bool:
    """Tell whether a migration can turn objects of one kind into another.

    Where objects are made empty and filled afterwards, they can't become what has to be made with its values.
    """
    return was == now or ("pydantic" not in (was, now) and (was not in BY_NAME or now in BY_NAME))


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

    def remove(self, field: str, guess: str | None, kind: str) -> str:
        renames = f'renames={{"{field}": "{guess or "..."}"}}'
        gone = "return another member's name" if kind == "enum" else f"drop {field!r}"
        return f"if renamed: {self.register(renames)}; if gone: {self.migrate(gone)}"

    def change_kind(self, was: str, now: str) -> str:
        if can_migrate(was, now):
            return f"keep the kind, or {self.migrate('convert it')}"
        return f"keep the kind, or read it with the old class and convert: {was} can't become {now} in place"


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
    changes: list[Change] = []

    def note(what: str, field: str | None, before: str | None, today: str | None, level: str, fix: str | None) -> None:
        changes.append(Change(name, what, field, before, today, level, fix, now.kind))

    if was.get("shape", now.shape) != now.shape and was["state"] == now.state:
        note("shape", None, was["shape"], now.shape or "its own business", RESOLVED, None)
    if was["state"] != now.state:
        note("state", None, was["state"], now.state, RESOLVED, None)
    if was["kind"] != now.kind:
        level = WARNED if {was["kind"], now.kind} <= BY_NAME else REFUSED
        note("kind", None, was["kind"], now.kind, level, ways.change_kind(was["kind"], now.kind))
    old, new = dict(was["fields"]), dict(now.fields)
    today = {field: _today(field, old, new, renames) for field in old}
    removed = [field for field, other in today.items() if other not in new]
    added = [field for field in new if field not in today.values()]
    for field, other in today.items():
        if field != other:
            note("renamed", field, field, other, RESOLVED, None)
    for field, guess in _guesses(removed, added, old, new).items():
        note("removed", field, old[field], guess, REFUSED, ways.remove(field, guess, now.kind))
    for field in added:
        if now.kind == "enum" or has_default(field):
            note("added", field, None, field, RESOLVED, None)
        else:
            fix = f"give {field!r} a default, or {ways.migrate(f'set {field!r}')}"
            note("added", field, None, field, REFUSED, fix)
    kept = {field: other for field, other in today.items() if other in new}
    order = [field for field in new if field in kept.values()]
    if list(kept.values()) != order:
        note("reordered", None, ", ".join(kept.values()), ", ".join(order), RESOLVED, None)
    for field, other in kept.items():
        if not old[field] or not new[other] or old[field] == new[other]:
            continue
        if now.kind == "enum":
            fix = f"give {other!r} back the value {old[field]}, or {ways.migrate('return a member by name')}"
            note("value", other, old[field], new[other], REFUSED, fix)
        else:
            note("annotation", other, old[field], new[other], WARNED, ways.migrate("convert the values"))
    on_class = dict(now.defaults)
    for field, text in was.get("defaults", ()):
        other = kept.get(field, "")
        if other and on_class.get(other) != text:
            fix = ways.migrate("set the old one where it is missing")
            note("default", other, text, on_class.get(other, "nothing"), WARNED, fix)
    return changes


def _guesses(
    removed: list[str], added: list[str], old: Mapping[str, str], new: Mapping[str, str]
) -> dict[str, str | None]:
    """Guess what removed fields are called today: by annotation, and by position where these are equally many."""
    guesses: dict[str, str | None] = {}
    for field in removed:
        gone = [other for other in removed if old[other] == old[field]]
        come = [other for other in added if new[other] == old[field]]
        guesses[field] = come[gone.index(field)] if len(gone) == len(come) else None
    if len(removed) == len(added) == 1:
        guesses[removed[0]] = added[0]
    return guesses


def _today(field: str, old: Mapping[str, str], new: Mapping[str, str], renames: Mapping[str, str]) -> str:
    """Return what a recorded field is called today."""
    other = renames.get(field, field)
    return other if field not in new and other in new and other not in old else field


# What a refusal of changed classes says: each class with its changes, and the fixes ready to paste.


_CLASSES, _FIXES = 6, 4  # shown in full


class Refused(NamedTuple):
    """The changes of one class, and how its fixes are written."""

    name: str
    changes: list[Change]
    ways: Ways


def ways_of(cls: type, entry: Registered | None) -> Ways:
    """Return how fixes for a class are written: by its registered name, or by one that it could have."""
    if entry is not None:
        return Ways(cls.__name__, entry.name, True, entry.version)
    return Ways(cls.__name__, global_name(cls).replace(":", ".").removeprefix("__main__."), False, 0)


def refusal(classes: list[Refused], drift: str) -> SchemaDriftError:
    """Compose the refusal. With `drift="strict"` every change is one."""
    chosen = []
    for name, changes, ways in classes:
        refused = [change for change in changes if drift == "strict" or change.level == REFUSED]
        if refused:
            chosen.append(Refused(name, refused, ways))
    shown = [f"{name}: {', '.join(c.text for c in changes)}" for name, changes, _ in chosen[:_CLASSES]]
    if len(chosen) == 1:
        reason, where = "changed since it was written: " + shown[0].removeprefix(f"{chosen[0].name}: "), chosen[0].name
    else:
        reason, where = f"{len(chosen)} classes changed since it was written: {'; '.join(shown)}", None
    if len(chosen) > _CLASSES:
        reason += f"; and {len(chosen) - _CLASSES} more"
    fixes = [fix for _, changes, ways in chosen for fix in _fixes(changes, ways)]
    hint = "; ".join(fixes[:_FIXES]) + ("; and more: see error.changes" if len(fixes) > _FIXES else "")
    if drift == "strict":
        resolvable = all(change.level != REFUSED for _, changes, _ in chosen for change in changes)
        hint = 'Policy(drift="resolve") loads it' if resolvable else hint
    first = [change for _, changes, _ in chosen for change in changes]
    rest = [change for _, changes, _ in classes for change in changes if change not in first]
    return SchemaDriftError(reason, None, (*first, *rest), hint or None, f"types.{where}" if where else "types")


def _fixes(changes: list[Change], ways: Ways) -> list[str]:
    """Return the fixes for one class, all its renames in one."""
    renames = {c.field: c.now for c in changes if c.what == "removed" and c.now is not None}
    fixes = []
    if renames:
        pairs = ", ".join(f'"{old}": "{new}"' for old, new in renames.items())
        gone = "return another member's name" if changes[0].kind == "enum" else f"drop {', '.join(map(repr, renames))}"
        fixes.append(f"if renamed: {ways.register(f'renames={{{pairs}}}')}; if gone: {ways.migrate(gone)}")
    for change in changes:
        explained = change.field in renames or (change.what == "added" and change.field in renames.values())
        if change.fix is not None and not explained:
            fixes.append(change.fix)
    return list(dict.fromkeys(fixes))
