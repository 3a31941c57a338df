"""Compare a class as the header recorded it with the class as it is: what changed, what follows, and how to fix it.

The rules are those of spec 6.3. Comparing looks at names and texts alone; it runs nothing of the class.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import Hint, SchemaDriftError, join_hints, printable
from .describe import Description, is_exception, is_same_base, library_slots
from .names import type_name
from .registry import Registered

if TYPE_CHECKING:
    from .adapters import Adapter

RESOLVED, WARNED, REFUSED = "resolved", "warned", "refused"
_SHOWN = 120  # characters of a name or text out of a header
RESOLVE = Hint('Policy(drift="resolve") loads it', 'drift = "resolve" in the --policy file loads it')
_NEWER = Hint(
    'if newer code added it: Policy(newer="drop") reads it without',
    'if newer code added it: newer = "drop" in the --policy file reads it without',
)
DROP = Hint('Policy(newer="drop") reads it without', 'newer = "drop" in the --policy file reads it without')
DEPLOY = "deploy the code that wrote it"
_CLASSES, _FIXES = 6, 4  # shown in full in a refusal


class Change(NamedTuple):
    """One difference between a class as it was recorded and as it is.

    `what` is one of `added`, `annotation`, `base`, `default`, `kind`, `merged`, `newer`, `removed`, `renamed`,
    `reordered`, `shape`, `state`, `stray`, `uncompared`, `unknown`, `unrecorded`, `value` and `version`. `was` and
    `now` are the two sides as texts; for `removed`, `now` is the name that the field may have today. `newer` is about
    all fields that newer code added, and `stray` about all that no definition knows: `field` has their names. `level`
    says what `drift="resolve"` does: `resolved`, `warned`, `refused`.
    """

    type: str
    what: str
    field: str | None
    was: str | None
    now: str | None
    level: str
    fix: str | None
    kind: str = ""  # of the class as it is

    def __str__(self) -> str:
        return f"{printable(self.type, _SHOWN)}: {self.text}"

    @property
    def text(self) -> str:
        """What changed, in one clause, without the class."""
        was, now = (side if side is None else printable(side, _SHOWN) for side in (self.was, self.now))
        field = None if self.field is None else printable(self.field, _SHOWN)
        return _TEXTS[self.what].format(field=field, was=was, now=now)


_TEXTS = {
    "added": "{field!r} was added",
    "annotation": "{field!r} was annotated {was} and is {now}",
    "base": "its objects held the values of {was} and hold those of {now}",
    "default": "the default of {field!r}, which lies on the class, was {was} and is {now}",
    "merged": "it is one class with {was} today, but the artifact recorded the two differently",
    "kind": "it was of kind {was} and is of kind {now}",
    "newer": "this code does not know {field}, which {now}",
    "removed": "{field!r} was removed or renamed",
    "renamed": "{field!r} is {now!r} today",
    "reordered": "the order was {was} and is {now}",
    "shape": "its state was pickled as {was} and is pickled as {now}",
    "state": "its state was {was} and is {now}",
    "stray": "its objects have {field}, which neither the class as it was nor as it is assigns",
    "uncompared": "the values of {field} have no text, so a change of these values can't be seen",
    "unknown": "what its code assigns can't be read, so it is not compared",
    "unrecorded": "the artifact does not record its fields",
    "value": "the value of {field!r} was {was} and is {now}",
    "version": "it was at version {was} and is at version {now}",
}


class Fixes(NamedTuple):
    """How to write down a fix for one class, ready to paste."""

    cls: str  # what the class is called in code
    name: str  # its registered name, or one to give it
    is_registered: bool
    version: int
    has_members: bool  # it is an enum

    def register(self, what: str) -> str:
        """Return how to register the class with a further argument."""
        if self.is_registered:
            return f'artifact("{self.name}", {what})'
        return f'register({self.cls}, "{self.name}", {what})'

    def migrate(self, what: str) -> str:
        """Return how to raise the version, and do something in a migration."""
        versions = self.register(f"version={self.version + 1}")
        return f'{versions}, and {what} in @migration("{self.name}", from_version={self.version})'

    def rename_or_drop(self, renames: Mapping[str, str]) -> str:
        """Return what to do about fields that are gone and may be called otherwise today."""
        pairs = ", ".join(f'"{old}": "{new}"' for old, new in renames.items())
        drop = "return another member's name" if self.has_members else f"drop {', '.join(map(repr, renames))}"
        return f"if renamed: {self.register(f'renames={{{pairs}}}')}; if gone: {self.migrate(drop)}"

    def change_kind(self, was: str, now: str, can_migrate: bool) -> str:
        """Return what to do about another kind of class."""
        if can_migrate:
            return f"keep the kind, or {self.migrate('convert it')}"
        return f"keep the kind, or read it with the old class and convert: {was} can't become {now} in place"

    def called(self) -> str:
        """Return what to do about objects that a call makes, which no migration sees."""
        return f"keep the fields, or read it with the old class and convert: no migration sees how {self.cls} is made"


def fixes_of(cls: type, registered: Registered | None, has_members: bool = False) -> Fixes:
    """Return how fixes for a class are written: with its registered name, or with one that it could have."""
    if registered is not None:
        return Fixes(cls.__name__, registered.name, True, registered.version, has_members)
    name = type_name(cls).replace(":", ".").removeprefix("__main__.")
    return Fixes(cls.__name__, name, False, 0, has_members)


def where_to_find(place: str) -> Hint:
    """Return what to do about a class in whose place there is something else. `place` is its global."""
    what = "make it a class again, or say where the class is"
    return Hint(
        f'{what}: Policy(renames={{"{place}": "its.module:Class"}})',
        f'{what}: "{place}" = "its.module:Class" under [renames] in the --policy file',
    )


def compare(
    name: str,
    was: Mapping[str, Any],
    now: Description,
    before: "Adapter",
    renames: Mapping[str, str],
    has_default: Callable[[str], bool],
    has_value: Callable[[str], bool],
    fixes: Fixes,
    can_migrate: bool,
) -> list[Change]:
    """List what changed in a class between a recorded schema (spec 6.2) and today's.

    Args:
        name: what the class is called in messages.
        was: its entry in the header's `types`.
        now: its description.
        before: the adapter for the recorded kind.
        renames: former field name -> name today, as registered.
        has_default: returns whether a field of the class as it is has a default.
        has_value: returns whether an object that lacks an attribute gets a value for it from its class.
        fixes: how a fix is written.
        can_migrate: whether a migration can turn objects of the recorded kind into objects of the class.
    """
    changes: list[Change] = []

    def note(what: str, field: str | None, before: str | None, today: str | None, level: str, fix: str | None) -> None:
        changes.append(Change(name, what, field, before, today, level, fix, now.kind))

    has_members = now.adapter.has_members
    if was.get("shape", now.shape) != now.shape and was["state"] == now.state:
        note("shape", None, was["shape"], now.shape or "its own methods say", RESOLVED, None)
    if was["state"] != now.state:
        note("state", None, was["state"], now.state, RESOLVED, None)
    if was["kind"] != now.kind:
        level = WARNED if before.filled_by_name and now.adapter.filled_by_name else REFUSED
        note("kind", None, was["kind"], now.kind, level, fixes.change_kind(was["kind"], now.kind, can_migrate))
    old, new = dict(was["fields"]), dict(now.fields)
    stored, stores = _assigned_before(was, before), now.assigned or {}
    known_before, known = {**dict.fromkeys(stored or (), ""), **old}, {**dict.fromkeys(stores, ""), **new}
    today = {field: _name_today(field, known_before, known, renames) for field in known_before}
    removed = [field for field in old if today[field] not in known]
    if not now.may_hold_more:
        gone = [field for field in stored or () if today[field] not in known and not has_value(today[field])]
        removed += [field for field in gone if stored and stored[field] == "required"]
        for field in gone:
            if field not in removed:
                note("removed", field, "", None, WARNED, fixes.rename_or_drop({field: "..."}))
    added = [field for field in new if field not in today.values()]
    if stored is not None:
        added += [name for name in stores if stores[name] == "required" and name not in today.values()]
    for field, other in today.items():
        if field != other:
            note("renamed", field, field, other, RESOLVED, None)
    for field, guess in _guesses(removed, added, known_before, known).items():
        note("removed", field, known_before[field], guess, REFUSED, fixes.rename_or_drop({field: guess or "..."}))
    for field in added:
        if has_members or (has_default(field) if field in new else has_value(field)):
            note("added", field, None, field, RESOLVED, None)
        else:
            fix = f"give {field!r} a default, or {fixes.migrate(f'set {field!r}')}"
            note("added", field, None, field, REFUSED, fix)
    kept = {field: other for field, other in today.items() if field in old and other in new}
    order = [field for field in new if field in kept.values()]
    if list(kept.values()) != order:
        note("reordered", None, ", ".join(kept.values()), ", ".join(order), RESOLVED, None)
    for field, other in kept.items():
        if not old[field] or not new[other] or old[field] == new[other]:
            continue
        if has_members:
            fix = f"give {other!r} back the value {old[field]}, or {fixes.migrate('return a member by name')}"
            note("value", other, old[field], new[other], REFUSED, fix)
        else:
            note("annotation", other, old[field], new[other], WARNED, fixes.migrate("convert the values"))
    on_class = dict(now.defaults)
    for field, text in was.get("defaults", ()):
        other = kept.get(field, "")
        if other and on_class.get(other) != text:
            fix = fixes.migrate("set the old one where it is missing")
            note("default", other, text, on_class.get(other, "nothing"), WARNED, fix)
    return changes


def has_other_base(was: Mapping[str, Any], cls: type, now: Description) -> bool:
    """Return whether the objects of a class held the values of another builtin base than they hold today.

    Nothing is known of the base if the entry is that of an early writer, or if the class has its own methods.
    """
    recorded = was.get("base", "")
    if not recorded and (was["state"] == "custom" or "attributes" not in was):
        return False
    if not now.base:
        return bool(recorded) and now.state == "default"
    return not recorded or not is_same_base(recorded, cls)


def changed_base(name: str, was: Mapping[str, Any], now: Description, fixes: Fixes) -> Change:
    """Return the change of a class whose objects held the values of another builtin base."""
    fix = f"keep the base, or read it with the old class and convert: its values have no place in {fixes.cls}"
    sides = was.get("base", "no builtin class"), now.base or "no builtin class"
    return Change(name, "base", None, *sides, REFUSED, fix, now.kind)


def without_foreign_slots(was: Mapping[str, Any], cls: type, now: Description) -> Mapping[str, Any]:
    """Return an entry without the slots of the standard library's classes, which early writers recorded as fields."""
    if not now.is_called or "base" in was:
        return was
    foreign = library_slots(cls)
    return {**was, "fields": [pair for pair in was["fields"] if pair[0] not in foreign]} if foreign else was


def refuse_calls(
    changes: list[Change], now: Description, before: "Adapter", sees_arguments: bool, fixes: Fixes
) -> list[Change]:
    """Return the changes of a class whose objects a call makes: of its stored arguments, by position.

    What a state brings is set by name afterwards. So a change of names is refused. Fields that a framework's
    constructor takes by position have to keep their places, and nothing may come before or instead of them. Only the
    fields of a dataclass that is an exception may change places: its state has all of them. `sees_arguments` says
    whether something of the class depends on the arguments that no state brings: slots, or what its own code makes of
    them.
    """
    by_position = now.adapter.has_framework or before.has_framework or sees_arguments
    names = [change.field for change in changes if change.what == "added"]
    last = [field for field, _ in now.fields][len(now.fields) - len(names) :]
    holds_items = not is_exception(now.base)
    is_dataclass = now.kind == before.kind == "dataclass"
    in_order = sees_arguments or (by_position and (holds_items or not is_dataclass))
    found = []
    for change in changes:
        is_refused = change.level == REFUSED or change.what in ("renamed", "kind")
        is_refused |= change.what == "reordered" and in_order
        is_refused |= change.what == "added" and by_position and (holds_items or last != names)
        if is_refused:
            change = change._replace(level=REFUSED, fix=fixes.called())
        found.append(change if change.fix is None else change._replace(fix=fixes.called()))
    return found


def _assigned_before(was: Mapping[str, Any], before: "Adapter") -> Mapping[str, str] | None:
    """Return what the code of a class assigned beside its fields, or None if that is not recorded."""
    if before.has_framework or was.get("shape") == "slots":
        return {}
    return dict(was["attributes"]) if "attributes" in was else None


def _name_today(field: str, old: Mapping[str, str], new: Mapping[str, str], renames: Mapping[str, str]) -> str:
    """Return what a recorded field is called today."""
    other = renames.get(field, field)
    return other if field not in new and other in new and other not in old else field


def _guesses(
    removed: list[str], added: list[str], old: Mapping[str, str], new: Mapping[str, str]
) -> dict[str, str | None]:
    """Guess what removed fields are called today.

    A guess goes by annotation. Several fields with one annotation are matched in order, if as many were added.
    """
    guesses: dict[str, str | None] = {}
    for field in removed:
        gone = [other for other in removed if old[other] == old[field]]
        come = [other for other in added if new[other] == old[field]]
        guesses[field] = come[gone.index(field)] if len(gone) == len(come) else None
    if len(removed) == len(added) == 1:
        guesses[removed[0]] = added[0]
    return guesses


class ChangedClass(NamedTuple):
    """The changes of one class, and how its fixes are written."""

    name: str
    changes: list[Change]
    fixes: Fixes
    is_strict: bool  # every change is refused

    @property
    def refused(self) -> list[Change]:
        """The changes that are refused."""
        return [change for change in self.changes if self.is_strict or change.level == REFUSED]

    @property
    def may_be_newer(self) -> bool:
        """Return whether newer code that added fields explains all that is refused."""
        kinds = {change.what for change in self.changes}
        is_other = self.is_strict or not kinds.isdisjoint(("added", "kind", "renamed"))
        return not is_other and {change.what for change in self.refused} == {"removed"}


def refusal(classes: list[ChangedClass]) -> SchemaDriftError:
    """Return the refusal of changed classes: each class with its changes, and the fixes ready to paste."""
    chosen = [found._replace(changes=found.refused) for found in classes if found.refused]
    shown = [f"{found.name}: {', '.join(c.text for c in found.changes)}" for found in chosen[:_CLASSES]]
    if len(chosen) == 1:
        reason, where = "changed since it was written: " + shown[0].removeprefix(f"{chosen[0].name}: "), chosen[0].name
    else:
        reason, where = f"{len(chosen)} classes changed since it was written: {'; '.join(shown)}", None
    if len(chosen) > _CLASSES:
        reason += f"; and {len(chosen) - _CLASSES} more"
    texts = [text for found in chosen for text in _fix_texts(found.changes, found.fixes)]
    more = Hint("and more: see error.changes", "and more: `pickleseal check` lists them")
    hint = join_hints("; ", [*texts[:_FIXES], *([more] if len(texts) > _FIXES else [])])
    if all(found.may_be_newer for found in classes if found.refused):
        hint = join_hints("; ", [hint, _NEWER])
    first = [change for found in chosen for change in found.changes]
    if any(found.is_strict for found in chosen) and all(change.level != REFUSED for change in first):
        hint = RESOLVE
    rest = [change for found in classes for change in found.changes if change not in first]
    return SchemaDriftError(reason, None, (*first, *rest), hint or None, f"types.{where}" if where else "types")


def _fix_texts(changes: list[Change], fixes: Fixes) -> list[str]:
    """Return the fixes for one class, with all renames in one fix."""
    renames = {c.field: c.now for c in changes if c.what == "removed" and c.field is not None and c.now is not None}
    texts = [fixes.rename_or_drop(renames)] if renames else []
    for change in changes:
        is_renamed = change.field in renames or (change.what == "added" and change.field in renames.values())
        if change.fix is not None and not is_renamed:
            texts.append(change.fix)
    return list(dict.fromkeys(texts))
