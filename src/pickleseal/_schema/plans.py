"""Plans: what has to be done with the objects of each class that changed or is validated, and how it is done.

`make_plans` decides from the header alone, before any section is read, and runs nothing of the classes (spec 6.3). It
gives each such class a `Plan`, or refuses the artifact. The unpickler uses the plan for each object of the class: it
reads the pickled state into a dict by field names, runs the migrations, and puts the values into the object. Objects
change in place, so that shared references and cycles keep their identity. Recorded names decide what a value is: no
value goes by position alone from a class as it was to a class as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, MappingProxyType, MemberDescriptorType
from typing import Any

from ..errors import Hint, InvalidObjectError, MigrationError, SchemaVersionError, SchemaWarning, shown, text_of
from .adapters import BY_KIND, can_migrate, has_foreign_setstate
from .adapters.base import Adapter, Default, Recorded, Target, slots_of, static
from .assigned import has_value
from .describe import Description, describe, describe_any, is_library_class
from .distributions import distribution_of
from .drift import (
    DEPLOY,
    DROP,
    REFUSED,
    RESOLVED,
    WARNED,
    Change,
    ChangedClass,
    Fixes,
    changed_base,
    compare,
    fixes_of,
    has_other_base,
    refusal,
    refuse_calls,
    where_to_find,
    without_foreign_slots,
)
from .drift_rules import DriftRules
from .libraries import is_from_outside, is_of_library
from .registry import Migration, Registered, RegistryIndex, State

_NO_FIELDS = frozenset({"__class__", "__dict__"})
_SHOWN = 120  # characters of an object that is no longer valid


class Plan:
    """What to do with each object of one class. If the class did not change, `was` is None: there is only a check.

    Args:
        name: what the class is called in messages.
        cls, now: the class and its description.
        was: its entry in the header's `types`.
        steps: the migrations, in order.
        renames: former field name -> name today.
        defaults: what gives a field its default, for fields that have one.
        validate: the check of a loaded object.
        newer: recorded fields that the class does not have, because newer code added them.
        keeps_newer: whether their values become attributes. Otherwise they are dropped.
    """

    __slots__ = (
        *("_fill", "_make", "before", "cls", "defaults", "fields", "is_complete_without_state", "keeps_newer"),
        *("made_of_arguments", "name", "newer", "now", "recorded", "renames", "slots", "steps", "validate", "was"),
    )

    def __init__(
        self,
        name: str,
        cls: type,
        was: Mapping[str, Any] | None,
        now: Description,
        steps: tuple[Migration, ...] = (),
        renames: Mapping[str, str] = MappingProxyType({}),
        defaults: Mapping[str, Default] = MappingProxyType({}),
        validate: Callable[[Any], object] | None = None,
        newer: tuple[str, ...] = (),
        keeps_newer: bool = False,
    ) -> None:
        self.name = name
        self.cls = cls
        self.was = was
        self.now = now
        self.steps = steps
        self.renames = renames
        self.defaults = defaults
        self.validate = validate
        self.newer = newer
        self.keeps_newer = keeps_newer
        self.fields = dict.fromkeys(field for field, _ in now.fields)  # ordered, and quick to look up
        self.before = now.adapter if was is None else _adapter_before(was, now)
        fields, shape = ({}, now.shape) if was is None else (dict(was["fields"]), was.get("shape", ""))
        self.recorded = Recorded(fields, shape)
        # Whether an object was made with its values when it was pickled, and not filled afterwards.
        self.made_of_arguments = was is not None and self.before.made_of_arguments
        # Whether pickle stored objects without a state because the class had no fields.
        self.is_complete_without_state = self.before.lists_values and not fields
        self.slots = frozenset(
            [name for base in cls.__mro__ for name, value in vars(base).items() if type(value) is MemberDescriptorType]
        )
        setstate = getattr(cls, "__setstate__", None) if now.state == "custom" else None
        target = Target(cls, self.fields, setstate, self.slots, renames, self.recorded)
        if self.made_of_arguments:
            self._make = now.adapter.maker(target)
        elif was is not None:
            self._fill = now.adapter.filler(target)

    def make(self, arguments: tuple[Any, ...], by_name: bool = False) -> Any:
        """Make an object from the arguments of its NEWOBJ or REDUCE: a named tuple, an enum member, a struct.

        `by_name` says that the one argument is a dict of all values.

        Raises:
            MigrationError: the values do not fit, a migration raised, or the class raised.
        """
        try:
            values = dict(arguments[0]) if by_name else self.before.read_arguments(arguments, self.recorded)
            values, missing = self._migrated(values, declared=True)
            if self.steps:
                self.before.check_migrated(values, arguments, self.recorded)
            try:
                return self._make(values, missing)
            except MigrationError:
                raise
            except Exception as exc:
                raise MigrationError(f"making it raised {type(exc).__name__}: {text_of(exc)}") from exc
        except MigrationError as exc:
            exc.where = exc.where or f"types.{self.name}"
            raise

    def restore(self, obj: Any, state: Any) -> None:
        """Put the migrated state into an object that was made empty.

        Raises:
            MigrationError: the state does not fit, a migration raised, or the class raised.
        """
        try:
            values, missing = self._migrated(self.before.read_state(state, self.recorded), declared=False)
            try:
                self._fill(obj, values, missing, state)
            except MigrationError:
                raise
            except Exception as exc:
                raise MigrationError(f"setting its state raised {type(exc).__name__}: {text_of(exc)}") from exc
        except MigrationError as exc:
            exc.where = exc.where or f"types.{self.name}"
            raise

    @property
    def may_make_equal(self) -> bool:
        """Return whether objects that were different may be equal now, so that two keys of a dict become one."""
        hash_of = getattr(self.cls, "__hash__", None)
        return self.was is not None and hash_of is not None and hash_of is not object.__hash__

    def check(self, obj: Any) -> None:
        """Run the class's `validate`.

        Raises:
            InvalidObjectError: it raised, or returned False.
        """
        if self.validate is None:
            return
        try:
            verdict = self.validate(obj)
            if hasattr(verdict, "__await__"):
                verdict.close() if hasattr(verdict, "close") else None
                raise TypeError("a validate function can't be asynchronous")
            is_valid = verdict is None or bool(verdict)
        except Exception as exc:
            reason = f"its validate raised {type(exc).__name__}: {text_of(exc)}"
            raise InvalidObjectError(reason, None, shown(obj, _SHOWN), None, f"types.{self.name}") from exc
        if not is_valid:
            reason = f"its validate returned {shown(verdict)}"
            raise InvalidObjectError(reason, None, shown(obj, _SHOWN), None, f"types.{self.name}")

    def _migrated(self, values: State, declared: bool) -> tuple[State, dict[str, Default]]:
        """Run the steps and renames. Return the values, and the fields to fill with their defaults.

        `declared` says that all values are fields. Otherwise there may be more, as in an instance's `__dict__`.
        """
        before, old, today = frozenset(values), self.recorded.fields, self.fields
        if not before.isdisjoint(_NO_FIELDS):
            raise MigrationError("the state sets what is not a field", None, ", ".join(before & _NO_FIELDS))
        for step in self.steps:
            values = self._step(step, values)
        if self.now.adapter.has_members:
            # A member that newer code added is not known by name. By value, as pickle finds members, it is refused.
            return ({"value": values["value"]} if self.newer else values), {}
        if not self.keeps_newer:
            for field in self.newer:
                values.pop(field, None)
        for former, new in self.renames.items():
            if former in values and former not in today and (new not in values or new not in old):
                values[new] = values.pop(former)
        if not declared and not self.cls.__dictoffset__:
            for field in before.difference(old, today):  # a filled cached_property, say
                if hasattr(static(self.cls, field), "__get__") and field not in self.slots:
                    values.pop(field, None)
        if today and not self.now.adapter.takes_any_field and not values.keys() <= today.keys():
            undeclared = frozenset(self.newer) if declared else before.difference(old).union(self.newer)
            unknown = [field for field in values if field not in today and field not in undeclared]
            if unknown:
                raise self._misfit(f"{', '.join(map(repr, unknown))} is no field of the class", "drop it, or rename it")
        if not declared and not self.cls.__dictoffset__ and self.now.state == "default":
            homeless = [field for field in values if field not in self.slots]
            if homeless and self.now.adapter.filled_by_name:
                text = f"the object has {', '.join(map(repr, homeless))}, and its class has slots alone"
                raise self._misfit(text, "give the class a __dict__, or raise its version and drop it in a migration")
        missing = {}
        if not today.keys() <= values.keys():
            for field in today:
                if field in values or (field in old and field not in before and not self._is_to_fill(field)):
                    continue
                if field not in self.defaults:
                    raise self._misfit(f"{field!r} has no value and no default", "set it, or give it a default")
                missing[field] = self.defaults[field]
        return values, missing

    def _is_to_fill(self, field: str) -> bool:
        """Return whether a recorded field that an object lacks has a default now that does not lie on the class."""
        on_class = static(self.cls, field)
        return field in self.defaults and (on_class is None or isinstance(on_class, MemberDescriptorType))

    def _misfit(self, text: str, hint: str) -> MigrationError:
        after = ""
        if self.steps:
            last = self.steps[-1].from_version
            after = f"after migration {last} -> {last + 1}: "
        return MigrationError(f"{after}{text}; the class has {', '.join(self.fields)}", hint=hint)

    def _step(self, step: Migration, values: State) -> State:
        """Run one migration."""
        name = f"migration {step.from_version} -> {step.from_version + 1}"
        if step.function is None:
            renamed = self.before.rename(values, step.renames)
            if len(renamed) != len(values):
                both = [f"{old} and {new}" for old, new in step.renames.items() if old in values and new in values]
                raise MigrationError(f"{name} gives two values to one field", None, ", ".join(both))
            return renamed
        try:
            result: object = step.function(values)
        except Exception as exc:
            raise MigrationError(f"{name} raised {type(exc).__name__}: {text_of(exc)}") from exc
        if not isinstance(result, dict) or not all(isinstance(field, str) for field in result):
            found = "nothing" if result is None else type(result).__name__
            raise MigrationError(f"{name} gave no state", "a dict by field names", found, "return the state")
        return result


def make_plans(
    types: Mapping[str, Any], classes: Mapping[str, Any], index: RegistryIndex, rules: DriftRules, notes: list[Warning]
) -> dict[int, Plan]:
    """Compare every class that a header records with what it is today, and plan how its objects are restored.

    Args:
        types: the header's `types`.
        classes: what each of the header's `globals` is in this process.
        index: registered names, versions and migrations.
        rules: the policy's `drift`.
        notes: takes the warnings to give.

    Returns:
        The plans of the classes that need one, by the `id` of the class: a metaclass may make classes unhashable.

    Raises:
        SchemaVersionError: a recorded version is newer than its class, or no chain of migrations leads from it.
        SchemaDriftError: a class changed in a way that can't be resolved, or at all if `drift` is `strict` for it.
    """
    plans: dict[int, Plan | None] = {}
    classes_changed: list[ChangedClass] = []
    for name, was, cls in _recorded(types, classes, index, rules):
        now, registered, drift = describe_any(cls), index.by_class(cls), rules.of(cls)
        changes: list[Change] = []
        if was is not None:
            was = without_foreign_slots(now.adapter.as_today(was, dict(now.fields), cls), cls, now)
        plan = _plan(name, was, cls, now, registered, index, rules, changes)
        other = plans.get(id(cls), plan)
        if not _agree(plan, other):
            fix = "read it with the classes apart, and merge them afterwards"
            changes.append(Change(name, "merged", None, other.name if other else None, None, REFUSED, fix))
        plans[id(cls)] = plan
        if changes:
            fixes = fixes_of(cls, registered, now.adapter.has_members)
            classes_changed.append(ChangedClass(name, changes, fixes, drift == "strict"))
    classes_changed += _no_classes(types, classes, rules)
    if any(changed.refused for changed in classes_changed):
        raise refusal(classes_changed)
    for change in [change for changed in classes_changed for change in changed.changes]:
        if change.level == WARNED:
            note = SchemaWarning(_warning(change))
            note.change = change
            notes.append(note)
    made = {key: plan for key, plan in plans.items() if plan is not None}
    if any(map(makes_others, classes.values())):
        for registered in index.with_validate():
            cls = registered.current()
            plan = Plan(registered.name, cls, None, describe_any(cls), validate=registered.validate)
            made.setdefault(id(cls), plan)
    return made


def _no_classes(types: Mapping[str, Any], classes: Mapping[str, Any], rules: DriftRules) -> Iterator[ChangedClass]:
    """Yield the recorded classes that are something else today: a function, say. It would make other objects."""
    for name, was in types.items():
        place = was["global"]
        if place not in classes or isinstance(classes[place], type) or was["state"] == "custom":
            continue  # how a class with its own methods is called is its own affair
        mode = rules.of_name(place)
        if mode != "ignore":
            fixes = Fixes(place.rpartition(":")[2], name, ":" not in name, was["version"], False)
            what = type(classes[place]).__name__
            change = Change(name, "kind", None, was["kind"], what, REFUSED, where_to_find(place), what)
            yield ChangedClass(name, [change], fixes, mode == "strict")


def _warning(change: Change) -> str:
    if change.what in ("newer", "uncompared"):  # to write the file anew would not help
        return f"{change}; {change.fix}"
    what_to_do = f"if that is wrong, {change.fix}; else write the file anew by pickleseal.maintenance.upgrade()"
    return f"{change}; its objects are loaded as they are; {what_to_do}"


def makes_others(value: Any) -> bool:
    """Return whether a global may make objects of classes that the payload does not name.

    A function may, and so may a class with its own `__new__`.
    """
    if isinstance(value, type):
        return isinstance(static(value, "__new__"), FunctionType) and not is_library_class(value)
    return not getattr(type(value), "is_safe_function", False)  # these make arrays and values of the library


def _agree(plan: Plan | None, other: Plan | None) -> bool:
    """Return whether the plans for two names of one class do the same."""

    def shape(plan: Plan | None) -> object:
        if plan is None or plan.was is None:
            return None
        return {**plan.was, "global": None}

    return shape(plan) == shape(other)


def _recorded(
    types: Mapping[str, Any], classes: Mapping[str, Any], index: RegistryIndex, rules: DriftRules
) -> Iterable[tuple[str, Mapping[str, Any] | None, type]]:
    """Yield the recorded classes, then those that should be recorded: registered ones, and for `strict` all others."""
    seen = set()
    for name, was in types.items():
        cls = classes.get(was["global"])
        if isinstance(cls, type):
            seen.add(was["global"])
            yield name, was, cls
    for name, cls in classes.items():
        if name in seen or not isinstance(cls, type):
            continue
        registered = index.by_class(cls)
        if registered is not None:
            yield registered.name, None, cls
        elif rules.has_strict and rules.of(cls) == "strict" and not is_library_class(cls):
            now = describe(cls)
            if now is not None and now.declares and not _is_of_library(cls, now):
                yield name, None, cls


def _plan(
    name: str,
    was: Mapping[str, Any] | None,
    cls: type,
    now: Description,
    registered: Registered | None,
    index: RegistryIndex,
    rules: DriftRules,
    changes: list[Change],
) -> Plan | None:
    """Return the plan for one class, or None if nothing is to be done. Its changes are added to `changes`."""
    drift = rules.of(cls)
    validate = registered.validate if registered is not None else None
    unchanged = None if validate is None else Plan(name, cls, None, now, validate=validate)
    if drift == "ignore":
        return unchanged
    recorded, version = (was["version"] if was is not None else 0), registered.version if registered is not None else 0
    if was is None and drift == "strict":
        changes.append(Change(name, "unrecorded", None, None, None, REFUSED, None))
    if recorded != version:
        return _plan_from_version(name, was, cls, now, registered, index, changes)
    has_members = now.adapter.has_members
    unknown = _uncompared(was, now) if was is not None and has_members else []
    if unknown:
        level = REFUSED if drift == "strict" else WARNED
        fix = "give the members values that have a text: numbers, strings, dates, tuples, lists and dicts of these"
        changes.append(Change(name, "uncompared", ", ".join(unknown), None, None, level, fix, now.kind))
    if drift == "strict" and now.is_unknown and not _is_of_library(cls, now) and not is_library_class(cls):
        changes.append(Change(name, "unknown", None, None, None, RESOLVED, None, now.kind))
    if was is None or _is_same(was, now, cls):
        return unchanged
    renames = registered.renames if registered is not None else {}
    defaults, before = _defaults(cls, now), _adapter_before(was, now)
    fixes = fixes_of(cls, registered, has_members)
    is_possible = can_migrate(before, now.adapter)
    found = compare(
        name, was, now, before, renames, defaults.__contains__, lambda field: has_value(cls, field), fixes, is_possible
    )
    if has_other_base(was, cls, now):
        changes += [changed_base(name, was, now, fixes), *found]
        return unchanged
    if now.is_called and "base" in was:
        changes += refuse_calls(found, now, before, _sees_arguments(cls), fixes)
        return unchanged
    if registered is None and drift != "strict" and not before.has_framework and _is_of_library(cls, now):
        # Annotations in the body of a library's class are no stored fields. pickle's own way restores the objects.
        fix = f"install the version of {distribution_of(cls)} that wrote it"
        if "custom" not in (was["state"], now.state):
            changes += [change._replace(level=WARNED, fix=fix) for change in found if change.level != RESOLVED]
        return unchanged
    if was["state"] != now.state and has_foreign_setstate(cls, now.adapter):
        fix = "keep the framework of the class and its bases, or raise the version and write a migration"
        changes.append(
            Change(name, "state", None, was["state"], "what another framework makes", REFUSED, fix, now.kind)
        )
    elif drift != "strict" and "custom" in (was["state"], now.state) and not _are_attributes_known(was, now):
        if now.state == "default" and not now.adapter.takes_state_of(was):
            changes += [change for change in found if change.what == "kind"]
        return unchanged  # the class handles its own changes
    newer = _newer(found, was, now) if rules.newer != "refuse" and drift == "resolve" else ()
    if newer:
        found = _without_newer(name, cls, now, found, newer, rules.newer)
        changes += found
        return Plan(name, cls, was, now, (), renames, defaults, validate, newer, rules.newer == "keep")
    changes += _eased(found, was, cls)
    if has_members:
        return unchanged
    if not any(_needs_work(change, before) for change in found) and not _may_differ(was, now):
        return unchanged
    return Plan(name, cls, was, now, (), renames, defaults, validate)


def _sees_arguments(cls: type) -> bool:
    """Return whether a class has slots of its own, or code that a framework's constructor runs."""
    if any(True for _ in slots_of(tuple(base for base in cls.__mro__ if not is_library_class(base)))):
        return True
    return any(static(cls, name) is not None for name in ("__post_init__", "__pydantic_fields__"))


def _newer(found: list[Change], was: Mapping[str, Any], now: Description) -> tuple[str, ...]:
    """Return the fields that newer code added: those that are gone, if no other change of names can be behind it."""
    if was["kind"] != now.kind or any(change.what in ("added", "renamed") for change in found):
        return ()
    return tuple(change.field for change in found if change.what == "removed" and change.field is not None)


def _without_newer(
    name: str, cls: type, now: Description, found: list[Change], newer: tuple[str, ...], mode: str
) -> list[Change]:
    """Return the changes of a class with one for all fields that newer code added, which are dropped or kept."""
    homeless = [field for field in newer if mode == "keep" and not now.adapter.has_place(cls, field)]
    names = ", ".join(map(repr, homeless or newer))
    level, does, fix = WARNED, "is kept as an attribute" if mode == "keep" else "is dropped", DEPLOY
    if now.adapter.has_members:
        does = "is refused where it occurs"
    elif homeless:
        level, does, fix = REFUSED, "has no place in its objects", DROP
    change = Change(name, "newer", names, None, does, level, fix, now.kind)
    return [change, *(other for other in found if other.what != "removed")]


def _are_attributes_known(was: Mapping[str, Any], now: Description) -> bool:
    """Return whether the attributes of a class are recorded and known, though a library's methods pickle them."""
    return "attributes" in was and now.assigned is not None


def _is_of_library(cls: type, now: Description) -> bool:
    """Return whether a class is a library's, and not of a kind whose fields a framework declares."""
    return not now.adapter.has_framework and is_of_library(cls)


def _eased(changes: list[Change], was: Mapping[str, Any], cls: type) -> list[Change]:
    """Warn only of removed names that had a default on the class, where a library may have declared and removed them.

    Where a name was added as well, the removed one may be the application's own, and renamed.
    """
    defaults = {name for name, _ in was.get("defaults", ())}
    if any(change.what == "added" for change in changes) or not any(is_from_outside(base, cls) for base in cls.__mro__):
        return changes
    return [
        change._replace(level=WARNED) if change.what == "removed" and change.field in defaults else change
        for change in changes
    ]


def _adapter_before(was: Mapping[str, Any], now: Description) -> Adapter:
    """Return the adapter for a class as it was recorded."""
    return now.adapter if was["kind"] == now.kind else BY_KIND[was["kind"]]


def _is_same(was: Mapping[str, Any], now: Description, cls: type) -> bool:
    return bool(
        was["fields"] == now.fields
        and was["kind"] == now.kind
        and was["state"] == now.state
        and was.get("defaults", []) == now.defaults
        and was.get("shape", "") == now.shape
        and not has_other_base(was, cls, now)
        and (now.assigned is None or "attributes" not in was or dict(was["attributes"]) == now.assigned)
    )


def _uncompared(was: Mapping[str, Any], now: Description) -> list[str]:
    """Return the members of an enum whose values have no text, now or as they were recorded."""
    before = dict(was["fields"])
    return [member for member, text in now.fields if member in before and not (text and before[member])]


def _may_differ(was: Mapping[str, Any], now: Description) -> bool:
    """Return whether the state may have another shape than the class takes: early artifacts do not record it."""
    return "shape" not in was and now.adapter.filled_by_name and bool(was["fields"] or now.fields)


def _needs_work(change: Change, before: Adapter) -> bool:
    """Return whether objects have to be restored by name because of a change."""
    if change.what == "reordered":
        return before.lists_values or before.made_of_arguments
    return change.what in ("added", "kind", "renamed", "shape")


def _defaults(cls: type, now: Description) -> dict[str, Default]:
    """Return what gives each field its default, for the fields that have one."""
    pairs = ((field, now.adapter.default(cls, field)) for field, _ in now.fields)
    return {field: default for field, default in pairs if default is not None}


def _plan_from_version(
    name: str,
    was: Mapping[str, Any] | None,
    cls: type,
    now: Description,
    registered: Registered | None,
    index: RegistryIndex,
    changes: list[Change],
) -> Plan:
    """Return the plan for a class whose recorded version is not today's."""
    recorded, version = (was["version"] if was is not None else 0), registered.version if registered is not None else 0
    where = f"types.{name}"
    if recorded > version:
        hint = "deploy the code that has this version"
        if registered is None:
            hint = Hint(
                f'import the module that registers "{name}", or give its registry in Policy(registry=...)',
                f'--import MODULE imports the module that registers "{name}"',
                f'import the module that registers "{name}"',
            )
        raise SchemaVersionError("a version newer than the class", f"at most {version}", recorded, hint, where)
    steps = index.steps(registered.name, recorded, version) if registered is not None else None
    if registered is None or steps is None:
        called = registered.name if registered is not None else name
        hint = f'write @migration("{called}", from_version={recorded})'
        hint += f", and the steps up to version {version}" if version > recorded + 1 else ""
        if was is not None and was["fields"] != now.fields:
            old, new = ([field for field, _ in side] for side in (was["fields"], now.fields))
            hint += f"; the class had {', '.join(old) or 'no fields'} and has {', '.join(new) or 'no fields'}"
        raise SchemaVersionError("no chain of migrations leads to the class", version, recorded, hint, where)
    if now.is_called:
        reason = f"the class inherits the __reduce__ of {now.base.partition(':')[2]}, which no migration sees"
        hint = "keep the version, or give it a __reduce__ that handles both"
        raise SchemaVersionError(reason, version, recorded, hint, where)
    if _reduces(cls, now):
        reason = "the class has its own __reduce__, which no migration sees"
        hint = "give it __getstate__ instead, whose state migrations take, or handle both versions in __reduce__"
        raise SchemaVersionError(reason, version, recorded, hint, where)
    changes.append(Change(name, "version", None, str(recorded), str(version), RESOLVED, None))
    entry = was if was is not None else {"fields": [], "kind": now.kind, "state": now.state, "version": 0}
    before = _adapter_before(entry, now)
    if has_other_base(entry, cls, now):
        changes.append(changed_base(name, entry, now, fixes_of(cls, registered)))
    if not can_migrate(before, now.adapter):
        fix = fixes_of(cls, registered, now.adapter.has_members).change_kind(before.kind, now.kind, False)
        changes.append(Change(name, "kind", None, before.kind, now.kind, REFUSED, fix, now.kind))
    return Plan(name, cls, entry, now, steps, registered.renames, _defaults(cls, now), registered.validate)


def _reduces(cls: type, now: Description) -> bool:
    """Return whether objects are rebuilt by a function that the class chooses."""
    if now.state == "default":
        return False
    return any(getattr(cls, name) is not getattr(object, name) for name in ("__reduce__", "__reduce_ex__"))
