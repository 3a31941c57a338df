"""The same class pickled as a dict, as slots, as a list or by its arguments (spec 6.2, shape)."""

from __future__ import annotations

from typing import Any

import pytest
from _helpers.evolving import MODULE, evolved, pack_old, task

import pickleseal
from pickleseal.errors import (
    SchemaDriftError,
    SchemaWarning,
)

pytestmark = pytest.mark.usefixtures("engine")
D = "from dataclasses import *\nfrom typing import *\n"
FLAGS = ("", "(slots=True)", "(frozen=True)", "(frozen=True, slots=True)")


@pytest.mark.parametrize("old", FLAGS)
@pytest.mark.parametrize("new", FLAGS)
def test_dataclasses_with_and_without_slots(old: str, new: str) -> None:
    obj = evolved(task("a: int; b: int", old), task("b: int; a: int", new), lambda m: m.Task(1, 2))
    assert (obj.a, obj.b) == (1, 2)
    obj = evolved(task("a: int; b: int", old), task("a: int; b: int", new), lambda m: m.Task(1, 2))
    assert (obj.a, obj.b) == (1, 2)
    if pickleseal.peek(pack_old(task("a: int", old), lambda m: m.Task(1))).types[f"{MODULE}:Task"].shape != "dict":
        return
    if "slots" in new:
        with pytest.raises(SchemaDriftError, match="pickled as"):
            evolved(task("a: int", old), task("a: int", new), lambda m: m.Task(1), drift="strict")


@pytest.mark.parametrize("old", ["define", "define(slots=False)", "define(getstate_setstate=False)", "frozen"])
@pytest.mark.parametrize("new", ["define", "define(slots=False)", "define(getstate_setstate=False)", "frozen"])
def test_attrs_classes_of_every_shape_become_each_other(old: str, new: str) -> None:
    pytest.importorskip("attrs")
    text = "import attrs\n@attrs.{}\nclass Task:\n    {}: Any\n    {}: Any\n".replace(
        "attrs\n@", "attrs\nfrom typing import *\n@"
    )
    for order in (("a", "b"), ("b", "a")):
        obj = evolved(text.format(old, "a", "b"), text.format(new, *order), lambda m: m.Task(a=1, b={"x": 2}))
        assert (obj.a, obj.b) == (1, {"x": 2})


def test_attrs_below_a_base_with_slots() -> None:
    pytest.importorskip("attrs")
    text = "import attrs\nclass Base:\n    __slots__ = ('x',)\n@attrs.define(slots=False)\nclass Task(Base):\n"
    text += "    {}: int\n    {}: int\n"

    def make(module: Any) -> Any:
        made = module.Task(1, 2)
        made.x = 9
        return made

    obj = evolved(text.format("a", "b"), text.format("b", "a"), make)
    assert (obj.a, obj.b, obj.x) == (1, 2, 9)


def test_attrs_classes_that_cache_hashes() -> None:
    pytest.importorskip("attrs")
    text = "import attrs\n@attrs.frozen(cache_hash=True, slots={})\nclass Task:\n    {}: int\n    {}: int\n"
    for slots in (True, False):
        for new_slots in (True, False):
            obj = evolved(
                text.format(slots, "a", "b"),
                text.format(new_slots, "b", "a"),
                lambda m: [m.Task(1, 2), {m.Task(1, 2)}],
            )
            assert {obj[0]} == obj[1]
            assert hash(obj[0]) == hash(next(iter(obj[1])))


def test_namedtuples_with_their_own_getnewargs_are_not_compared() -> None:
    text = "from typing import NamedTuple\nclass B(NamedTuple):\n    {}: int\n    {}: int\nclass Task(B):\n"
    text += "    def __new__(cls, y, x): return super().__new__(cls, x=x, y=y)\n"
    text += "    def __getnewargs__(self): return (self.y, self.x)\n"
    obj = evolved(text.format("x", "y"), text.format("y", "x"), lambda m: m.Task(y=1, x=2))
    assert (obj.x, obj.y) == (2, 1)


def test_msgspec_with_and_without_keywords() -> None:
    pytest.importorskip("msgspec")
    text = "import msgspec\nclass Task(msgspec.Struct{}):\n    {}: int\n    {}: int\n"
    for old, new in (("", ""), ("", ", frozen=True"), ("", ", kw_only=True")):
        obj = evolved(text.format(old, "a", "b"), text.format(new, "b", "a"), lambda m: m.Task(a=1, b=2))
        assert (obj.a, obj.b) == (1, 2)


def test_undecorated_subclasses_add_fields() -> None:
    old = task("a: int", "", "class Sub(Task):\n    qty: int = 0\n")

    def make(module: Any) -> Any:
        made = module.Sub(1)
        made.qty = 5
        return made

    for drift in ("resolve", "strict"):
        with pytest.raises(SchemaDriftError, match="'qty' was removed"):
            evolved(old, old.replace("qty", "quantity"), make, drift=drift)
    assert evolved(old, old, make, drift="strict").qty == 5


def test_a_struct_with_one_dict() -> None:
    pytest.importorskip("msgspec")
    old = "import msgspec\nclass T(msgspec.Struct):\n data: dict\n"
    for value in ({"data": 5}, {"q": 5}):
        obj = evolved(old, old + " x: int = 0\n", lambda m, value=value: m.T(value))
        assert (obj.data, obj.x) == (value, 0)


def test_structs_that_become_keyword_only() -> None:
    pytest.importorskip("msgspec")
    old = "import msgspec\nclass T(msgspec.Struct):\n a: int\n"
    new = old.replace("Struct)", "Struct, kw_only=True)")
    assert evolved(old, new, lambda m: m.T(1)).a == 1
    with pytest.raises(SchemaDriftError):
        evolved(old, new, lambda m: m.T(1), drift="strict")


def test_bases_of_another_framework() -> None:
    pytest.importorskip("attrs")
    tail = "class B:\n a: int = 0\n b: int = 0\n@dataclass\nclass T(B):\n z: int = 0\n"

    def make(module: Any) -> Any:
        made = module.T(3)
        made.a, made.b = 1, 2
        return made

    head = D + "import attrs\n"
    old, new = head + "@attrs.define(getstate_setstate=False)\n" + tail, head + "@attrs.define\n" + tail
    with pytest.raises(SchemaDriftError, match="another framework"):
        evolved(old, new, make)
    obj = evolved(old, old.replace("a: int = 0\n b: int = 0", "b: int = 0\n a: int = 0"), make)
    assert (obj.a, obj.b, obj.z) == (1, 2, 3)


@pytest.mark.parametrize(
    "base",
    [
        "class B:\n __slots__ = ('{}',)\n",
        "class B:\n {}: int\n",
        "@attrs.define(slots=False)\nclass B:\n {}: int = 0\n",
    ],
)
def test_fields_of_bases_of_another_kind_are_compared(base: str) -> None:
    pytest.importorskip("attrs")
    text = D + "import attrs\n" + base + "@dataclass\nclass T(B):\n a: int\n"

    def make(module: Any) -> Any:
        made = module.T(1)
        made.x = 9
        return made

    for drift in ("resolve", "strict"):
        with pytest.raises(SchemaDriftError, match="'x' was removed or renamed"):
            evolved(text.format("x"), text.format("y"), make, drift=drift)
    assert evolved(text.format("x"), text.format("x"), make, drift="strict").x == 9
    assert evolved(text.format("x"), text.format("x") + " b: int = 0\n", make).x == 9


def test_slots_that_appear_below_a_base_with_slots() -> None:
    old = D + "@dataclass(slots=True)\nclass B:\n a: int\n@dataclass\nclass T(B):\n b: int\n"
    new = old.replace("@dataclass\n", "@dataclass(slots=True)\n")
    obj = evolved(old, new, lambda m: m.T(1, 2))
    assert (obj.a, obj.b) == (1, 2)
    assert evolved(new, old, lambda m: m.T(1, 2)).b == 2
    with pytest.raises(SchemaDriftError):
        evolved(old, new, lambda m: m.T(1, 2), drift="strict")


def test_a_class_with_empty_slots_gains_a_field() -> None:
    old = "class T:\n __slots__ = ()\n"
    with pytest.raises(SchemaDriftError, match="'a' was added"):
        evolved(old, "class T:\n __slots__ = ('a',)\n", lambda m: m.T())
    assert evolved(old, D + "@dataclass(frozen=True)\nclass T:\n a: int = 3\n", lambda m: m.T(), drift="ignore")
    with pytest.warns(SchemaWarning):
        assert evolved(old, D + "@dataclass(slots=True)\nclass T:\n a: int = 3\n", lambda m: m.T()).a == 3


def test_a_cached_property_without_a_dict_is_computed_again() -> None:
    text = D + "import functools\n@dataclass\nclass T:\n a: int\n"
    text += " @functools.cached_property\n def c(s): return s.a + 1\n"

    def make(module: Any) -> Any:
        made = module.T(1)
        assert made.c == 2
        return made

    new = text.replace("dataclass\n", "dataclass(slots=True)\n").replace("functools.cached_property", "property")
    obj = evolved(text, new, make)
    assert (obj.a, obj.c) == (1, 2)
    assert evolved(text, text + " b: int = 0\n", make).__dict__ == {"a": 1, "c": 2, "b": 0}
