"""The adapters for classes without a framework: with `__slots__`, or with annotated names in an instance dictionary."""

from typing import Any

from .base import Adapter, annotated, instance_annotations, slots_of


class PlainAdapter(Adapter):
    """Plain classes with annotations. They may hold anything beside."""

    kind = "plain"
    filled_by_name = True
    takes_any_field = True
    defaults_lie_on_class = True

    def fits(self, cls: Any) -> bool:
        return any(True for _ in instance_annotations(cls.__mro__))

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        return annotated(cls, dict.fromkeys([*slots_of(cls.__mro__), *instance_annotations(cls.__mro__)]))

    def unstored(self, cls: Any, names: list[str]) -> list[str]:
        return names


class SlotsAdapter(PlainAdapter):
    """Classes with slots, their own or those of a base. One with empty slots has no field."""

    kind = "slots"
    takes_any_field = False

    def fits(self, cls: Any) -> bool:
        if any(True for _ in slots_of(cls.__mro__)):
            return True
        return "__slots__" in cls.__dict__ and not cls.__dictoffset__ and not super().fits(cls)
