"""What the classes of a payload were before it ran, so that nothing that it does to them stays.

The BUILD opcode sets attributes of whatever lies below it on the stack, a class or a member of an enum as well, for
the whole process, and a failed load leaves them set. Attributes are compared by identity: no code of the classes runs.
"""

from operator import is_
from typing import Any

from .calls import kind_of

__all__ = ["Snapshot"]

_OF_CLASSES = ("__name__", "__qualname__", "__bases__")  # what `__dict__` lacks
_name, _qualname, _bases = (type.__dict__[name].__get__ for name in _OF_CLASSES)
_attributes: Any = type.__dict__["__dict__"].__get__
_get, _set, _delete = type.__getattribute__, type.__setattr__, type.__delattr__
Attributes = dict[str, Any]


class Snapshot:
    """The attributes of classes that can be changed, and of the members of those that are enums."""

    __slots__ = ("_classes", "_members")

    def __init__(self, classes: list[type]) -> None:
        self._classes = [(cls, _attributes(cls).copy(), (_name(cls), _qualname(cls), _bases(cls))) for cls in classes]
        self._members: list[tuple[Any, Attributes]] = []
        for cls in classes:
            if kind_of(cls).is_enum:
                members: dict[str, Any] = _get(cls, "_member_map_")
                self._members += [(member, member.__dict__.copy()) for member in members.values()]

    def has_changed(self) -> bool:
        """Tell whether any attribute is another than before."""
        for cls, before, (name, qualname, bases) in self._classes:
            if _bases(cls) is not bases or _name(cls) is not name or _qualname(cls) is not qualname:
                return True
            if not _are_same(before, _attributes(cls)):
                return True
        return any(not _are_same(before, member.__dict__) for member, before in self._members)

    def restore(self) -> None:
        """Make all attributes what they were."""
        for cls, before, others in self._classes:
            now = dict(_attributes(cls))
            for name in now.keys() - before.keys():
                _delete(cls, name)
            for name, value in before.items():
                if name not in now or now[name] is not value:
                    _set(cls, name, value)
            for name, value in zip(_OF_CLASSES, others, strict=True):
                if _get(cls, name) is not value:
                    _set(cls, name, value)
        for member, before in self._members:
            if not _are_same(before, member.__dict__):
                attributes = member.__dict__
                attributes.clear()
                attributes.update(before)


def _are_same(before: Attributes, now: Any) -> bool:
    """Compare values in order: a new name makes one more of them."""
    return len(before) == len(now) and all(map(is_, before.values(), now.values()))
