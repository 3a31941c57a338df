"""A verdict follows from the bytes, the trust and the classes as they are now, whatever was read before."""

from __future__ import annotations

import copyreg
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _helpers.levels import POLICIES

import pickleseal
from pickleseal.errors import ReadError

CHECKED = ["guarded", "strict", *(["strict-isolated"] if "strict-isolated" in POLICIES else [])]
NAME = "shop_of_changes"


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    module = sys.modules[NAME] = types.ModuleType(NAME)
    yield module
    del sys.modules[NAME]
    for cls in [cls for cls in copyreg.dispatch_table if cls.__module__ == NAME]:
        del copyreg.dispatch_table[cls]


def make_class(module: types.ModuleType) -> Any:
    code = "class Base:\n    pass\nclass Job(Base):\n    def __init__(self): self.x = 1\n"
    code += "    def restore(self, state): self.x = state[0]\n"
    exec(code, module.__dict__)
    return module.Job


def reads(data: bytes) -> list[Any]:
    """Return the attributes of what is read at each level, or the code of the refusal."""
    found: list[Any] = []
    for level in CHECKED:
        try:
            found.append(vars(pickleseal.unpack(data, trust=[f"{NAME}:Job"], policy=POLICIES[level])))
        except ReadError as error:
            found.append(error.code)
    return found


def renames_a_method(cls: Any) -> None:
    """The values of the class's attributes stay the same, in the same order."""
    cls.__getstate__ = lambda self: [7]
    cls.__setstate__ = cls.restore
    del cls.restore


def is_made_of_arguments(cls: Any) -> None:
    cls.__new__ = lambda cls, *args: object.__new__(cls)
    cls.__getnewargs__ = lambda self: (5,)


def base_has_a_reduction(cls: Any) -> None:
    cls.__mro__[1].__reduce__ = lambda self: (type(self), ())


def has_another_base(cls: Any) -> None:
    cls.__bases__ = (type("Other", (), {"__reduce__": lambda self: (type(self), ())}),)


CHANGES: list[Callable[[Any], Any]] = [
    renames_a_method,
    is_made_of_arguments,
    base_has_a_reduction,
    has_another_base,
    lambda cls: setattr(cls, "__reduce__", lambda self: (type(self), ())),
    lambda cls: copyreg.pickle(cls, lambda obj: (type(obj), ())),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_known_of_a_class_goes_when_it_changes(change: Callable[[Any], Any], module: types.ModuleType) -> None:
    before = pickleseal.pack(make_class(module)())
    assert reads(before) == [{"x": 1}] * len(CHECKED)
    change(module.Job)
    found = reads(pickleseal.pack(module.Job()))
    assert found == [{"x": 7 if change is renames_a_method else 1}] * len(CHECKED)


def test_a_class_that_changes_back_is_refused_what_it_was(module: types.ModuleType) -> None:
    cls = make_class(module)
    cls.__reduce__ = lambda self: (type(self), ())
    data = pickleseal.pack(cls())
    assert reads(data) == [{"x": 1}] * len(CHECKED)
    del cls.__reduce__
    changed = reads(data)
    make_class(module)
    assert changed == reads(data)
    assert "forbidden-operation" in changed
