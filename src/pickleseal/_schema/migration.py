"""Bring one pickled state to today's class: read it into a dict by field names, run the migrations, put it back.

A `Plan` is made before anything is unpickled (`plan`), and used by the unpickler for each object of its class. It works
on objects in place, so that shared references and cycles keep their identity. Recorded names decide what a value is:
no value ever goes by position alone from a class as it was to a class as it is.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType, MemberDescriptorType
from typing import Any

from ..errors import InvalidObjectError, MigrationError, shown, text_of
from .defaults import Default
from .describe import Description, static, value_text
from .registry import Migration, State

__all__ = ["Plan"]

_ATTRS_HASH = "_attrs_cached_hash"
_SHOWN = 120  # characters of an object that is no longer valid
_NEVER = frozenset({"__class__", "__dict__"})
_HELD = ("__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")


def _keeps_hash(cls: Any) -> bool:
    """Tell whether attrs keeps the hash of instances in an attribute."""
    if hasattr(cls, _ATTRS_HASH):
        return True
    code = getattr(getattr(cls, "__hash__", None), "__code__", None)
    return code is not None and _ATTRS_HASH in code.co_names


class Plan:
    """What to do with each object of one class: nothing but a check, where it did not change (`was` is None).

    Args:
        name: what the class is called in messages.
        cls, now: the class and its description.
        was: its entry in the header's `types`.
        steps: the migrations, in order.
        renames: former field name -> name today.
        defaults: what gives a value to a field that has none.
        validate: the check of a loaded object.
    """

    __slots__ = (
        *("before", "cls", "defaults", "in_slots", "keeps_hash", "made_of_arguments", "name", "now", "old"),
        *("renames", "shape", "steps", "takes_any", "today", "validate", "was"),
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
    ) -> None:
        self.name = name
        self.cls = cls
        self.was = was
        self.now = now
        self.steps = steps
        self.renames = renames
        self.defaults = defaults
        self.validate = validate
        # Whether its objects were made with their values when they were pickled, and not filled afterwards.
        self.made_of_arguments = was is not None and was["kind"] in ("enum", "msgspec", "namedtuple")
        self.before = was["kind"] if was is not None else now.kind
        self.shape = was.get("shape", "") if was is not None else now.shape
        self.old = [field for field, _ in was["fields"]] if was is not None else []
        self.today = dict.fromkeys(field for field, _ in now.fields)  # ordered, and quick to look up
        self.takes_any = now.kind == "plain" or not self.today
        self.keeps_hash = now.kind == "attrs" and _keeps_hash(cls)
        members = [pair for base in cls.__mro__ for pair in vars(base).items()]
        self.in_slots = frozenset(name for name, value in members if isinstance(value, MemberDescriptorType))

    def make(self, arguments: tuple[Any, ...], by_name: bool = False) -> Any:
        """Make an object from the arguments of its NEWOBJ or REDUCE: a namedtuple, an enum member, a struct.

        `by_name` says that the one argument is a dict of all values.

        Raises:
            MigrationError: the values do not fit, a migration raised, or the class refused them.
        """
        values = dict(arguments[0]) if by_name else self._values_of_arguments(arguments)
        unknown = self.before == "enum" and values["name"] is None and all(text for _, text in self._members())
        values, missing = self._migrated(values, declared=True)
        if unknown and values.get("name") is None and values.get("value") is arguments[0]:
            hint = "return a name or another value for it in a migration"
            raise self._error("a value that was no member when it was written", None, shown(arguments[0]), hint)
        try:
            return self._made(values, missing)
        except MigrationError:
            raise
        except Exception as exc:
            raise self._error(f"making it raised {type(exc).__name__}: {text_of(exc)}") from exc

    def restore(self, obj: Any, state: Any) -> None:
        """Put the migrated state into an object that was made empty.

        Raises:
            MigrationError: the state does not fit, a migration raised, or the class refused the result.
        """
        values, missing = self._migrated(self._values_of_state(state), declared=False)
        try:
            self._fill(obj, values, missing, state)
        except MigrationError:
            raise
        except Exception as exc:
            raise self._error(f"setting its state raised {type(exc).__name__}: {text_of(exc)}") from exc

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
            is_sound = verdict is None or bool(verdict)
        except Exception as exc:
            reason = f"its validate raised {type(exc).__name__}: {text_of(exc)}"
            raise InvalidObjectError(reason, None, shown(obj, _SHOWN), None, f"types.{self.name}") from exc
        if not is_sound:
            reason = f"its validate returned {shown(verdict)}"
            raise InvalidObjectError(reason, None, shown(obj, _SHOWN), None, f"types.{self.name}")

    # --- reading the pickled shape ------------------------------------------------------------------------------------

    def _values_of_state(self, state: Any) -> State:
        """Read a pickled state by the names that were recorded: a dict, slots, or values in order."""
        if state is None:
            return {}
        if self.before == "pydantic" and isinstance(state, dict) and "__dict__" in state:
            return {**(state.get("__pydantic_extra__") or {}), **state["__dict__"]}
        in_order = isinstance(state, list) or (isinstance(state, tuple) and not self._is_pair(state))
        if in_order and self.shape in ("", "list") and self.before in ("attrs", "dataclass"):
            return self._by_position(state)
        if isinstance(state, dict):
            return self._without_caches(state)
        if self._is_pair(state):
            return self._without_caches({**(state[0] or {}), **(state[1] or {})})
        raise self._error("its state has no field names", "a dict, slots, or values in order", type(state).__name__)

    def _is_pair(self, state: Any) -> bool:
        """Tell an instance dictionary with slots from two values in order."""
        if not (isinstance(state, tuple) and len(state) == 2 and all(isinstance(part, dict | None) for part in state)):
            return False
        return self.shape in ("mixed", "slots") or all(isinstance(key, str) for part in state for key in part or ())

    def _without_caches(self, values: Mapping[str, Any]) -> State:
        """Copy a state, without what attrs keeps there for itself."""
        return {field: value for field, value in values.items() if field != _ATTRS_HASH}

    def _values_of_arguments(self, arguments: tuple[Any, ...]) -> State:
        """Read the arguments that an object is made of by the names that were recorded."""
        if self.before == "enum":
            if len(arguments) != 1:
                raise self._error("an enum member is made of its value", 1, len(arguments))
            return {"name": self._member_name(arguments[0]), "value": arguments[0]}
        return self._by_position(arguments)

    def _by_position(self, values: Any) -> State:
        if len(self.old) != len(values):
            raise self._error("the number of values is not that of the recorded fields", len(self.old), len(values))
        return dict(zip(self.old, values, strict=True))

    def _members(self) -> list[list[str]]:
        fields: list[list[str]] = self.was["fields"] if self.was is not None else []
        return fields

    def _member_name(self, value: Any) -> str | None:
        """Return the recorded name of an enum value; for combined flags, the names of their bits with `|` between."""
        members: dict[str, str] = {}
        for name, text in self._members():
            members.setdefault(text, name)  # the first is the member, others are its aliases
        found = members.get(value_text(value)) if value_text(value) else None
        if found is not None or type(value) is not int or value <= 0:
            return found
        bits = [members.get(repr(1 << n)) for n in range(value.bit_length()) if value >> n & 1]
        return None if None in bits else "|".join(bit for bit in bits if bit is not None)

    # --- migrating ----------------------------------------------------------------------------------------------------

    def _migrated(self, values: State, declared: bool) -> tuple[State, list[str]]:
        """Run the steps and renames. Return the values and the fields that are to be filled from defaults.

        `declared` says that all values are fields; else there may be more, as an instance's `__dict__` has them.
        """
        before = frozenset(values)
        if not before.isdisjoint(_NEVER):
            raise self._error("its state sets what is no field", None, ", ".join(before & _NEVER))
        for step in self.steps:
            values = self._step(step, values)
        if self.now.kind == "enum":
            return values, []
        for old, new in self.renames.items():
            if old in values and old not in self.today and (new not in values or new not in self.old):
                values[new] = values.pop(old)
        if not declared and not self.cls.__dictoffset__:
            for field in before.difference(self.old, self.today):  # a filled cached_property, say
                if hasattr(static(self.cls, field), "__get__") and field not in self.in_slots:
                    values.pop(field, None)
        if not self.takes_any and self.now.kind != "pydantic" and not values.keys() <= self.today.keys():
            undeclared = frozenset() if declared else before.difference(self.old)
            unknown = [field for field in values if field not in self.today and field not in undeclared]
            if unknown:
                raise self._misfit(f"{', '.join(map(repr, unknown))} is no field of the class", "drop it, or rename it")
        missing = []
        if not self.today.keys() <= values.keys():
            for field in self.today:
                if field in values or (field in self.old and field not in before and not self._is_to_fill(field)):
                    continue
                if field not in self.defaults:
                    raise self._misfit(f"{field!r} has no value and no default", "set it, or give it a default")
                missing.append(field)
        return values, missing

    def _is_to_fill(self, field: str) -> bool:
        """Tell whether a recorded field that an object lacks has a default now that does not lie on the class."""
        on_class = static(self.cls, field)
        return field in self.defaults and (on_class is None or isinstance(on_class, MemberDescriptorType))

    def _misfit(self, text: str, fix: str) -> MigrationError:
        after = ""
        if self.steps:
            last = self.steps[-1].from_version
            after = f"after migration {last} -> {last + 1}: "
        return self._error(f"{after}{text}; the class has {', '.join(self.today)}", hint=fix)

    def _step(self, step: Migration, values: State) -> State:
        if step.function is None:
            return self._renamed(step, values)
        name = f"migration {step.from_version} -> {step.from_version + 1}"
        try:
            result: object = step.function(values)
        except Exception as exc:
            raise self._error(f"{name} raised {type(exc).__name__}: {text_of(exc)}") from exc
        if not isinstance(result, dict) or not all(isinstance(field, str) for field in result):
            found = "nothing" if result is None else type(result).__name__
            raise self._error(f"{name} gave no state", "a dict by field names", found, "return the state")
        return result

    def _renamed(self, step: Migration, values: State) -> State:
        if self.before == "enum" and isinstance(values.get("name"), str):
            parts = values["name"].split("|")
            return {**values, "name": "|".join(step.renames.get(part, part) for part in parts)}
        renamed = {step.renames.get(field, field): value for field, value in values.items()}
        if len(renamed) != len(values):
            both = ", ".join(f"{old} and {new}" for old, new in step.renames.items() if old in values and new in values)
            raise self._error(f"renames of migration {step.from_version}: two values for one field", None, both)
        return renamed

    # --- putting it back ----------------------------------------------------------------------------------------------

    def _made(self, values: State, missing: list[str]) -> Any:
        cls: Any = self.cls
        if self.now.kind == "enum":
            return self._member(values)
        if self.now.kind == "msgspec":
            return cls(**values)
        if self.now.kind == "namedtuple":
            for field in missing:
                values[field] = self.defaults[field](None)
            return tuple.__new__(cls, [values[field] for field in self.today])
        obj = cls.__new__(cls)
        self._fill(obj, values, missing, None)
        return obj

    def _member(self, values: State) -> Any:
        cls: Any = self.cls
        name = values.get("name")
        if name is None:
            return cls(values["value"])
        found = None
        for part in str(name).split("|"):
            member = cls.__members__.get(self.renames.get(part, part))
            if member is None:
                raise self._error("no such member", ", ".join(cls.__members__), part)
            found = member if found is None else found | member
        return found

    def _fill(self, obj: Any, values: State, missing: list[str], state: Any) -> None:
        setstate = getattr(self.cls, "__setstate__", None)
        if self.now.kind == "pydantic":
            self._fill_pydantic(obj, values, missing, state)
        elif self.now.state == "custom" and setstate is not None:
            if self.now.kind not in ("plain", "slots"):
                for field in missing:
                    values[field] = self.defaults[field](obj)
            setstate(obj, values)
        else:
            self._set(obj, values)
            if self.now.kind not in ("plain", "slots"):  # their defaults lie on the class
                for field in missing:
                    self._set(obj, {field: self.defaults[field](obj)})
            if self.keeps_hash:
                object.__setattr__(obj, _ATTRS_HASH, None)

    def _set(self, obj: Any, values: State) -> None:
        """Set attributes past the class's own `__setattr__`, as pickle does: a frozen dataclass is no exception."""
        inside = getattr(obj, "__dict__", None)
        if inside is not None and not self.in_slots:
            inside.update(values)
            return
        for field, value in values.items():
            if inside is None or field in self.in_slots:
                object.__setattr__(obj, field, value)
            else:
                inside[field] = value

    def _fill_pydantic(self, obj: Any, values: State, missing: list[str], state: Any) -> None:
        held = {key: state.get(key) for key in _HELD}
        extra = {name: values.pop(name) for name in [*values] if name not in self.today}
        if held["__pydantic_extra__"] is not None or extra:
            held["__pydantic_extra__"] = extra
        were_set = {self.renames.get(field, field) for field in held["__pydantic_fields_set__"] or ()}
        old = {self.renames.get(field, field) for field in self.old}
        held["__pydantic_fields_set__"] = {f for f in values if f in were_set or f not in old}
        setstate: Any = self.cls.__setstate__  # type: ignore[attr-defined]
        setstate(obj, {**held, "__dict__": values})
        for field in missing:
            obj.__dict__[field] = self.defaults[field](obj)

    def _error(
        self, reason: str, expected: object = None, found: object = None, hint: str | None = None
    ) -> MigrationError:
        return MigrationError(reason, expected, found, hint, f"types.{self.name}")
