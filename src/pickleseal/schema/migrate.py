"""Bring one pickled state to today's class: read it into a dict by field names, run the migrations, put it back.

A `Plan` is made before anything is unpickled (`plan`), and used by the unpickler for each object of its class. It works
on objects in place, so that shared references and cycles keep their identity. Recorded names decide what a value is:
no value ever goes by position alone from a class as it was to a class as it is.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType, MemberDescriptorType
from typing import Any

from ..errors import InvalidObjectError, MigrationError, printable, text_of
from .defaults import Default
from .describe import Description
from .registry import Migration, State

__all__ = ["Plan"]

_POSITIONAL = frozenset({"attrs", "dataclass"})  # kinds whose generated __getstate__ gives values in order
_HELD = ("__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")


def _shown(obj: Any) -> str:
    try:
        return printable(repr(obj), 120)
    except Exception:
        return type(obj).__name__


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
        *("before", "cls", "defaults", "in_slots", "made_of_arguments", "name", "now", "old", "renames", "steps"),
        *("takes_any", "today", "validate", "was"),
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
        self.old = [field for field, _ in was["fields"]] if was is not None else []
        self.today = dict.fromkeys(field for field, _ in now.fields)  # ordered, and quick to look up
        self.takes_any = now.kind == "plain" or not self.today
        self.in_slots = frozenset(f for f in self.today if isinstance(getattr(cls, f, None), MemberDescriptorType))

    def make(self, arguments: tuple[Any, ...]) -> Any:
        """Make an object from the arguments of its NEWOBJ or REDUCE: a namedtuple, an enum member, a struct.

        Raises:
            MigrationError: the values do not fit, a migration raised, or the class refused them.
        """
        values, missing = self._migrated(self._values_of_arguments(arguments), declared=True)
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
        except Exception as exc:
            reason = f"its validate raised {type(exc).__name__}: {text_of(exc)}"
            raise InvalidObjectError(reason, None, _shown(obj), None, f"types.{self.name}") from exc
        if verdict is False:
            raise InvalidObjectError("its validate returned False", None, _shown(obj), None, f"types.{self.name}")

    # --- reading the pickled shape ------------------------------------------------------------------------------------

    def _values_of_state(self, state: Any) -> State:
        """Read a pickled state by the names that were recorded: a dict, slots, or values in order."""
        if isinstance(state, dict):
            if self.before == "pydantic" and "__dict__" in state:
                return dict(state["__dict__"])
            return dict(state)
        if state is None:
            return {}
        if isinstance(state, list) or (isinstance(state, tuple) and self.before == "attrs"):
            if self.before in _POSITIONAL:
                return self._by_position(state)
        elif isinstance(state, tuple) and len(state) == 2 and all(isinstance(part, dict | None) for part in state):
            return {**(state[0] or {}), **(state[1] or {})}
        raise self._error("its state has no field names", "a dict, slots, or values in order", type(state).__name__)

    def _values_of_arguments(self, arguments: tuple[Any, ...]) -> State:
        """Read the arguments that an object is made of by the names that were recorded."""
        if self.before == "enum":
            if len(arguments) != 1:
                raise self._error("an enum member is made of its value", 1, len(arguments))
            return {"name": self._member_name(arguments[0]), "value": arguments[0]}
        if self.before == "msgspec" and len(arguments) == 1 and isinstance(arguments[0], dict):
            return dict(arguments[0])
        return self._by_position(arguments)

    def _by_position(self, values: Any) -> State:
        if len(self.old) != len(values):
            raise self._error("the number of values is not that of the recorded fields", len(self.old), len(values))
        return dict(zip(self.old, values, strict=True))

    def _member_name(self, value: Any) -> str | None:
        """Return the recorded name of an enum value; for combined flags, the names of their bits with `|` between."""
        from .describe import value_text

        members: dict[str, str] = {}
        for name, text in self.was["fields"] if self.was is not None else ():
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
        for step in self.steps:
            values = self._step(step, values)
        if self.now.kind == "enum":
            return values, []
        for old, new in self.renames.items():
            if old in values and new not in values and old not in self.today:
                values[new] = values.pop(old)
        if not self.takes_any and not values.keys() <= self.today.keys():
            undeclared = frozenset() if declared else before.difference(self.old)
            unknown = [field for field in values if field not in self.today and field not in undeclared]
            if unknown:
                raise self._misfit(f"{', '.join(map(repr, unknown))} is no field of the class", "drop it, or rename it")
        missing = []
        if not self.today.keys() <= values.keys():
            for field in self.today:
                if field in values or (field in self.old and field not in before):
                    continue
                if field not in self.defaults:
                    raise self._misfit(f"{field!r} has no value and no default", "set it, or give it a default")
                missing.append(field)
        return values, missing

    def _misfit(self, text: str, fix: str) -> MigrationError:
        after = ""
        if self.steps:
            last = self.steps[-1].from_version
            after = f"after migration {last} -> {last + 1}: "
        return self._error(f"{after}{text}; the class has {', '.join(self.today)}", hint=fix)

    def _step(self, step: Migration, values: State) -> State:
        if step.function is None:
            return {step.renames.get(field, field): value for field, value in values.items()}
        name = f"migration {step.from_version} -> {step.from_version + 1}"
        try:
            result: object = step.function(values)
        except Exception as exc:
            raise self._error(f"{name} raised {type(exc).__name__}: {text_of(exc)}") from exc
        if not isinstance(result, dict) or not all(isinstance(field, str) for field in result):
            found = "nothing" if result is None else type(result).__name__
            raise self._error(f"{name} gave no state", "a dict by field names", found, "return the state")
        return result

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
            return cls.__new__(cls, *[values[field] for field, _ in self.now.fields])
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
            for field in missing:
                values[field] = self.defaults[field](obj)
            setstate(obj, values)
        else:
            self._set(obj, values)
            if self.now.kind not in ("plain", "slots"):  # their defaults lie on the class
                for field in missing:
                    self._set(obj, {field: self.defaults[field](obj)})

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
