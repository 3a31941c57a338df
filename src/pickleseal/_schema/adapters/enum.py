"""The adapter for enums and flags. Their fields are their members, which pickle stores by value."""

import enum
from collections.abc import Mapping
from typing import Any

from ...errors import MigrationError, shown
from ..values import member_text
from .base import Adapter, Default, Make, Missing, Recorded, Target, Values, static

# Ways to pickle a member that CPython gives to enums: Flag had its own in 3.11.0 to 3.11.3.
REDUCERS = tuple(vars(cls)["__reduce_ex__"] for cls in (enum.Enum, enum.Flag) if "__reduce_ex__" in vars(cls))


class EnumAdapter(Adapter):
    """Subclasses of `Enum`. The state of a member is `{"name": ..., "value": ...}`.

    The name of combined flags is the names of their bits with `|` between. It is None for a value without a name.
    """

    kind = "enum"
    made_of_arguments = True
    has_members = True

    def fits(self, cls: Any) -> bool:
        return issubclass(cls, enum.Enum)

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        members = [(name, member._value_) for name, member in cls.__members__.items()]
        # Before CPython 3.13, a class within an enum is a member.
        return [(name, member_text(value)) for name, value in members if not isinstance(value, type)]

    def is_standard(self, cls: Any, name: str, method: Any) -> bool:
        if name in ("__getnewargs__", "__getnewargs_ex__"):
            return True
        # This method comes before all others: the member is pickled by its value, also where it is a date, say.
        if static(cls, "__reduce_ex__") in REDUCERS:
            return True
        return super().is_standard(cls, name, method)

    def shape(self, cls: Any) -> str:
        return "value"

    def default(self, cls: Any, field: str) -> Default | None:
        return None

    def has_place(self, cls: Any, field: str) -> bool:
        return True  # a new member takes no place in the others

    def read_arguments(self, arguments: tuple[Any, ...], recorded: Recorded) -> Values:
        if len(arguments) != 1:
            raise MigrationError("an enum member is made of its value alone", 1, len(arguments))
        return {"name": _name_of(arguments[0], recorded), "value": arguments[0]}

    def rename(self, values: Values, renames: Mapping[str, str]) -> Values:
        name = values.get("name")
        if not isinstance(name, str):
            return super().rename(values, renames)
        return {**values, "name": "|".join(renames.get(part, part) for part in name.split("|"))}

    def check_migrated(self, values: Values, arguments: tuple[Any, ...], recorded: Recorded) -> None:
        value = arguments[0]
        if values.get("name") is not None or values.get("value") is not value:
            return
        if all(recorded.fields.values()) and _name_of(value, recorded) is None:
            hint = "return a name or another value for it in a migration"
            raise MigrationError("a value that belonged to no member when it was written", None, shown(value), hint)

    def maker(self, target: Target) -> Make:
        cls, renames = target.cls, target.renames

        def make(values: Values, missing: Missing) -> Any:
            name = values.get("name")
            if name is None:
                return cls(values["value"])
            found = None
            for part in str(name).split("|"):
                member = cls.__members__.get(renames.get(part, part))
                if member is None:
                    raise MigrationError("no such member", f"one of {', '.join(cls.__members__)}", part)
                found = member if found is None else found | member
            return found

        return make


def _name_of(value: Any, recorded: Recorded) -> str | None:
    """Return the recorded name of a value, or None."""
    members: dict[str, str] = {}
    for name, text in recorded.fields.items():
        members.setdefault(text, name)  # the first is the member, others are its aliases
    text = member_text(value)
    found = members.get(text) if text else None
    if found is not None or type(value) is not int or value <= 0:
        return found
    bits = [members.get(repr(1 << n)) for n in range(value.bit_length()) if value >> n & 1]
    return None if None in bits else "|".join(bit for bit in bits if bit is not None)
