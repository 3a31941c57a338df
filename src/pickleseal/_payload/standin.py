"""A fast way to load many objects of classes that changed or are validated: with CPython's unpickler in C.

Strategy: `find_class` returns a stand-in, a subclass without slots of its own. The unpickler makes objects of the
stand-in and calls its `__setstate__`. That puts the state into the object by a `Plan`, and gives the object its real
class. If something still refers to a stand-in at the end, its reference count shows it: an object that was pickled
without state, or the class itself as a value. Then the exact unpickler loads the payload again from the start.

Until the next garbage collection, a stand-in is among the `__subclasses__()` of its class. So classes that have other
subclasses are left to the exact unpickler, and so are classes whose own code would see a stand-in.

It is not for small payloads: making a class takes as long as loading a dozen objects.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from .._schema.plans import Plan, makes_others
from .states import check_slots

SMALLEST = 16_384  # bytes of payload; below, making classes costs more than it saves
_MARK = "__pickleseal_stand_in__"
_HEAP, _BASE = 1 << 9, 1 << 10  # CPython's Py_TPFLAGS_HEAPTYPE and Py_TPFLAGS_BASETYPE
_COUNTS = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()


class CanNotStandInError(Exception):
    """An object can't change its class in place, so the exact unpickler has to load the payload."""


def can_stand_in(payload: bytes, resolved: Mapping[Any, Any], plans: Mapping[int, Plan]) -> bool:
    """Return whether stand-ins can load a payload, without any code seeing them.

    If the payload calls a function, that may make objects of the real classes, which only the exact unpickler sees.
    """
    return (
        _COUNTS
        and len(payload) >= SMALLEST
        and all(map(_is_simple, plans.values()))
        and not any(map(makes_others, resolved.values()))
    )


def _is_simple(plan: Plan) -> bool:
    cls = plan.cls
    return (
        type(cls) is type
        and plan.now.adapter.filled_by_name
        and not plan.made_of_arguments
        and all(base.__flags__ & (_HEAP | _BASE) == _HEAP | _BASE for base in cls.__mro__[:-1])
        and not any(name in base.__dict__ for base in cls.__mro__[:-1] for name in ("__init_subclass__", "__new__"))
        and _has_no_other_subclass(cls)
        # Code of the class that runs while an object is restored must not see the stand-in.
        and (plan.was is None or plan.now.state == "default")
        and not plan.now.adapter.runs_code_with_object(cls)
    )


def _has_no_other_subclass(cls: type) -> bool:
    """Return whether all subclasses of a class are stand-ins. If there are others, some code may look at them."""
    below: list[type] = type.__subclasses__(cls)
    return all(_MARK in sub.__dict__ for sub in below)


class StandIns:
    """The stand-ins of one load. `table` is the source of `find_class`."""

    def __init__(self, resolved: Mapping[tuple[str, str], Any], plans: Mapping[int, Plan]) -> None:
        self.validated: list[tuple[Any, Plan]] = []
        self._hashable: list[Any] = []  # restored objects that may be keys, and equal to each other
        made = {key: _stand_in(plan, self.validated, self._hashable) for key, plan in plans.items()}
        self.table = {name: made.get(id(value), value) for name, value in resolved.items()}
        self._classes = list(made.values())
        del made
        self._counts = [sys.getrefcount(cls) for cls in self._classes]

    def are_gone(self) -> bool:
        """Return whether only this object refers to the stand-ins: no instance and no value does."""
        return [sys.getrefcount(cls) for cls in self._classes] == self._counts

    def may_have_merged(self) -> bool:
        """Return whether two objects are equal now, so that they may have become one key of a dict or set.

        Only the exact unpickler sees whether they were different.
        """
        once: set[Any] = set()
        try:
            for count, obj in enumerate(self._hashable, 1):
                try:
                    once.add(obj)
                except TypeError:  # what can't be hashed is no key
                    once.add(id(obj))
                if len(once) != count:
                    return True
        except Exception:  # of the class's own methods
            return True
        return False


def _stand_in(plan: Plan, validated: list[tuple[Any, Plan]], hashable: list[Any]) -> type:
    cls, changed, check = plan.cls, plan.was is not None, plan.validate is not None
    own: Callable[[Any, Any], None] | None = getattr(cls, "__setstate__", None)
    set_attribute, restore, may_make_equal = object.__setattr__, plan.restore, plan.may_make_equal

    def __setstate__(self: Any, state: Any) -> None:  # noqa: N807
        if changed:
            restore(self, state)
        try:
            set_attribute(self, "__class__", cls)
        except TypeError as exc:
            raise CanNotStandInError from exc
        if not changed:
            if own is not None:
                own(self, state)
            else:
                _build(self, state)
        if check:
            validated.append((self, plan))
        if may_make_equal:
            hashable.append(self)

    return _subclass(cls, {"__setstate__": __setstate__})


def _subclass(cls: type, members: dict[str, Any]) -> type:
    names = ("__module__", "__doc__", "__qualname__")
    as_before = {name: getattr(cls, name) for name in names}
    return type(cls.__name__, (cls,), {"__slots__": (), _MARK: True, **as_before, **members})


class Probes:
    """Classes for a load whose object is thrown away: it shows whether code looks for the hash of some objects.

    What has no hash asked for is no key of a dict and no member of a set. `table` is the source of `find_class`.
    """

    def __init__(self, resolved: Mapping[tuple[str, str], Any], plans: Mapping[int, Plan]) -> None:
        self._hashed: list[bool] = []
        made = {key: _probe(plan.cls, self._hashed) for key, plan in plans.items()}
        self.table = {name: made.get(id(value), value) for name, value in resolved.items()}

    @property
    def are_hashed(self) -> bool:
        """Return whether some code looked for the hash of an object."""
        return bool(self._hashed)


def _probe(cls: type, hashed: list[bool]) -> type:
    """Return a class for probes. It refers to no table, which would live until the next garbage collection."""

    def __setstate__(obj: Any, state: Any) -> None:  # noqa: N807
        """Take no state."""

    def __hash__(obj: Any) -> int:  # noqa: N807
        if not hashed:
            hashed.append(True)
        return id(obj)

    return _subclass(cls, {"__setstate__": __setstate__, "__hash__": __hash__})


def _build(obj: Any, state: Any) -> None:
    """Do what BUILD does for a class without `__setstate__`."""
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        obj.__dict__.update(state)
    if slots:
        check_slots(slots)
        for name, value in slots.items():
            setattr(obj, name, value)
