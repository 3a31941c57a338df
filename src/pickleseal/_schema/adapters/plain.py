"""The adapters for classes without a framework: with `__slots__`, or with annotated names in an instance dictionary."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..libraries import is_from_outside
from .base import Adapter, annotated, instance_annotations, slots_of


class PlainAdapter(Adapter):
    """Plain classes with annotations. They may hold anything beside."""

    kind = "plain"
    filled_by_name = True
    takes_any_field = True
    defaults_lie_on_class = True
    has_framework = False

    def fits(self, cls: Any) -> bool:
        return any(True for _ in _annotated_fields(cls))

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        return annotated(cls, dict.fromkeys([*slots_of(cls.__mro__), *_annotated_fields(cls)]))

    def as_today(self, was: Mapping[str, Any], fields: Mapping[str, str], cls: Any) -> Mapping[str, Any]:
        if was["kind"] not in ("plain", "slots"):
            return was
        missing = [(name, text) for name, text in was["fields"] if name not in fields]
        others = uncounted(cls) if missing else ()
        gone = {name for name, text in missing if (is_dunder(name) and text) or name in others}
        if not gone:
            return was
        counted = {part: [pair for pair in was.get(part, ()) if pair[0] not in gone] for part in ("fields", "defaults")}
        return {**was, **counted}

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


def _annotated_fields(cls: Any) -> Iterator[str]:
    """Yield the annotated names that may be stored: not those with two underscores around, or of a library's bases."""
    own = tuple(base for base in cls.__mro__ if not is_from_outside(base, cls))
    return (name for name in instance_annotations(own) if not is_dunder(name))


def is_dunder(name: object) -> bool:
    """Return whether a name has two underscores on either side: annotated, it belongs to a protocol of the language."""
    return isinstance(name, str) and len(name) > 4 and name.startswith("__") and name.endswith("__")


def uncounted(cls: Any) -> frozenset[str]:
    """Return the annotated names that are no fields, because a library wrote them."""
    return frozenset(instance_annotations(tuple(base for base in cls.__mro__ if is_from_outside(base, cls))))
