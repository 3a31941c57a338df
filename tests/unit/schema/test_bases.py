"""Classes over builtins and over the standard library's classes, which change between packing and reading.

What is read is right, or it is refused before anything is unpickled; a class that did not change never raises. More of
plain classes over a base is in test_drift_matrix.py.
"""

from __future__ import annotations

import pickle
import sys
import types
import warnings
from typing import Any

import pytest

from pickleseal import PackOptions, Policy, Registry, pack, peek, unpack
from pickleseal._schema.describe import describe_any, library_slots
from pickleseal._schema.drift_rules import DriftRules
from pickleseal._schema.plans import make_plans
from pickleseal._schema.registry import index_of
from pickleseal.errors import PackError, PackWarning, SchemaDriftError, SchemaVersionError, SchemaWarning

HEAD = """
import array, collections, datetime, decimal, fractions, pathlib, uuid
from dataclasses import dataclass
try:
    from attrs import define
except ImportError:
    pass
"""
# For each base: what an object is made of.
BASES = {
    "array.array": "('i', [1, 2])",
    "bytearray": "(b'ab',)",
    "collections.ChainMap": "({'k': 1},)",
    "collections.OrderedDict": "([('k', 1)],)",
    "collections.UserDict": "({'k': 1},)",
    "collections.UserList": "([1, 2],)",
    "collections.UserString": "('text',)",
    "collections.deque": "([1, 2], 5)",
    "dict": "({'k': 1},)",
    "float": "(1.5,)",
    "frozenset": "([1, 2],)",
    "int": "(3,)",
    "list": "([1, 2],)",
    "set": "([1, 2],)",
    "str": "('text',)",
    "tuple": "((1, 2),)",
    "Exception": "('text', 7)",
    "KeyError": "('text',)",
    "OSError": "(2, 'text')",
    "ImportError": "('text',)",
}
# Those whose way of pickling drops the attributes of subclasses.
FORGETFUL = {
    "collections.Counter": "('aab',)",
    "collections.defaultdict": "(list, {'k': [1]})",
    "datetime.date": "(2026, 1, 2)",
    "datetime.datetime": "(2026, 1, 2, 3)",
    "datetime.time": "(3, 4)",
    "datetime.timedelta": "(1, 2)",
    "decimal.Decimal": "('1.5',)",
    "fractions.Fraction": "(1, 3)",
    "pathlib.PurePosixPath": "('a/b',)",
    "uuid.UUID": "('12345678123456781234567812345678',)",
}
FIELDS = "    path: str\n    line: int\n"
CHANGES = {
    "nothing": FIELDS,
    "rename": "    file: str\n    line: int\n",
    "remove": "    path: str\n",
    "add": FIELDS + "    code: int\n",
    "add with default": FIELDS + "    code: int = 5\n",
    "swap": "    line: int\n    path: str\n",
}
CONTAINERS = ("set", "dict", "list", "bytearray", "collections.deque", "collections.OrderedDict")
EXCEPTIONS = ("Exception", "KeyError", "ValueError")
HASH = "    __hash__ = object.__hash__\n"
STYLES = {
    "dataclass": "@dataclass(eq=False)\n",
    "dataclass with slots": "@dataclass(eq=False, slots=True)\n",
    "attrs": "@define(eq=False, weakref_slot=False)\n",
}


def decorated(style: str, base: str) -> str:
    """Return the source of a decorated class, with a place for its fields."""
    if style == "attrs":
        pytest.importorskip("attrs")
    return f"{STYLES[style]}class Sub({base}):\n{{}}" + (HASH if base in CONTAINERS else "")


def fill(obj: Any) -> None:
    """Put an item into a container."""
    if isinstance(obj, dict):
        obj["k"] = 1
    elif isinstance(obj, set):
        obj.add(1)
    else:
        obj.append(1)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    exec(HEAD, module.__dict__)
    return module


def contents(obj: Any) -> Any:
    """Return what an object holds beside its attributes, as its base shows it."""
    if isinstance(obj, BaseException):
        return obj.args
    if isinstance(obj, set | frozenset):
        return set(obj)
    if hasattr(obj, "items"):
        return dict(obj.items())
    if isinstance(obj, list | tuple) or hasattr(obj, "append"):
        return list(obj)
    return str(obj) if hasattr(obj, "as_posix") else obj


def read(stored: bytes, **policy: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SchemaWarning)
        return unpack(stored, policy=Policy(level="unchecked", **policy))["value"]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("base", FORGETFUL)
def test_plain_classes_over_a_base_that_drops_attributes(shop: types.ModuleType, base: str, change: str) -> None:
    exec(f"class Sub({base}):\n{FIELDS}", shop.__dict__)
    obj = eval(f"Sub(*{FORGETFUL[base]})", shop.__dict__)
    stored, was = pack({"value": obj}), contents(obj)
    if contents(obj) is obj:
        was = None
    exec(f"class Sub({base}):\n{CHANGES[change]}", shop.__dict__)
    try:
        loaded = read(stored)
    except SchemaDriftError:
        assert change in ("rename", "remove", "add")
        return
    assert change not in ("rename", "remove", "add")
    assert repr(loaded).partition("(")[2] == repr(obj).partition("(")[2]
    assert was is None or contents(loaded) == was


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("base", EXCEPTIONS)
def test_decorated_exceptions(shop: types.ModuleType, base: str, style: str, change: str) -> None:
    """Their arguments are the fields by position. With slots, no state brings the fields by name.

    Those of attrs may validate and convert what they are given.
    """
    source = decorated(style, base)
    exec(source.format(FIELDS), shop.__dict__)
    stored = pack({"value": shop.Sub("a.txt", 7)})
    exec(source.format(CHANGES[change]), shop.__dict__)
    loads = ("nothing", "add with default", *(["swap"] if style == "dataclass" else []))
    try:
        loaded = read(stored)
    except SchemaDriftError:
        assert change not in loads
        return
    assert change in loads
    assert (loaded.path, loaded.line, *loaded.args[:2]) == ("a.txt", 7, "a.txt", 7)
    if change == "add with default":
        assert loaded.code == 5


def test_fields_that_changed_places_and_code_that_sees_the_arguments(shop: types.ModuleType) -> None:
    """What a `__post_init__` makes of arguments in other places would be wrong, and no state would mend it."""
    source = decorated("dataclass", "Exception")
    exec(source.format(FIELDS), shop.__dict__)
    stored = pack({"value": [shop.Sub("a.txt", 7), shop.Sub("b.txt", 8)]})
    swapped = source.format(CHANGES["swap"] + "    code: int = 5\n")
    exec(swapped, shop.__dict__)
    assert [(one.path, one.line, one.code) for one in read(stored)] == [("a.txt", 7, 5), ("b.txt", 8, 5)]
    exec(swapped + "    def __post_init__(self): self.text = self.path\n", shop.__dict__)
    with pytest.raises(SchemaDriftError, match="the order was path, line and is line, path"):
        read(stored)


# A call of the class without arguments, or with the items, has to make an object: so the field has a default.
ONE_FIELD = {
    "nothing": "    path: str = ''\n",
    "rename": "    file: str = ''\n",
    "remove": "    pass\n",
    "add": "    code: int\n    path: str = ''\n",
    "add with default": "    path: str = ''\n    code: int = 5\n",
    "add in front": "    code: int = 5\n    path: str = ''\n",
}


@pytest.mark.parametrize("change", ONE_FIELD)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("base", CONTAINERS)
def test_decorated_containers(shop: types.ModuleType, base: str, style: str, change: str) -> None:
    source = decorated(style, base)
    exec(source.format(ONE_FIELD["nothing"]), shop.__dict__)
    obj = shop.Sub("a.txt")
    fill(obj)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PackWarning)  # the constructor of a set does not take the items: see below
        try:
            stored = pack({"value": obj})
        except PackError as refusal:
            assert "would be lost" in refusal.reason
            assert pickle.loads(pickle.dumps(obj, 5)).path != "a.txt"
            return
    was = contents(pickle.loads(pickle.dumps(obj, 5)))
    exec(source.format(ONE_FIELD[change]), shop.__dict__)
    try:
        loaded = read(stored)
    except SchemaDriftError:
        assert change != "nothing"
        return
    assert change not in ("rename", "remove", "add")
    assert contents(loaded) == was
    assert loaded.path == "a.txt"
    assert "code" not in ONE_FIELD[change] or loaded.code == 5


def test_items_that_a_constructor_does_not_take_are_warned_of(shop: types.ModuleType) -> None:
    exec(decorated("dataclass", "set").format("    path: str\n"), shop.__dict__)
    obj = shop.Sub("a.txt")
    obj.add(1)
    assert set(pickle.loads(pickle.dumps(obj, 5))) == set(), "so it is with pickle"
    with pytest.warns(PackWarning, match=r"called with 1 argument, it has other members"):
        pack(obj)


BASE_CHANGES = [
    ("collections.deque", "list"),
    ("collections.OrderedDict", "collections.Counter"),
    ("dict", "collections.OrderedDict"),
    ("list", "collections.UserList"),
    ("str", "int"),
    ("str", "object"),
    ("set", "frozenset"),
    ("datetime.date", "datetime.datetime"),
    ("decimal.Decimal", "float"),
    ("fractions.Fraction", "object"),
    ("pathlib.PurePosixPath", "str"),
    ("Exception", "OSError"),
    ("OSError", "Exception"),
    ("Exception", "dict"),
    ("bytearray", "bytes"),
]


@pytest.mark.parametrize(("before", "after"), BASE_CHANGES)
def test_another_base_is_refused(shop: types.ModuleType, before: str, after: str) -> None:
    exec(f"class Sub({before}):\n    pass\n", shop.__dict__)
    obj = eval(f"Sub(*{BASES.get(before) or FORGETFUL[before]})", shop.__dict__)
    stored = pack({"value": obj})
    read(stored)
    exec(f"class Sub({after}):\n    pass\n", shop.__dict__)
    with pytest.raises(SchemaDriftError) as refused:
        read(stored)
    assert "base" in {change.what for change in refused.value.changes}
    module, _, name = before.rpartition(".")
    assert f"its objects held the values of {module or 'builtins'}:{name}" in str(refused.value)
    assert "keep the base" in (refused.value.hint or "")


def test_a_text_that_became_a_dataclass_is_refused(shop: types.ModuleType) -> None:
    exec("class Sub(str):\n    pass\n", shop.__dict__)
    stored = pack({"value": shop.Sub("text")})
    exec("@dataclass\nclass Sub:\n    name: str = ''\n", shop.__dict__)
    with pytest.raises(SchemaDriftError, match="held the values of builtins:str and hold those of no builtin class"):
        read(stored)


def test_a_user_dict_that_became_a_dict_is_refused(shop: types.ModuleType) -> None:
    exec("class Sub(collections.UserDict):\n    pass\n", shop.__dict__)
    stored = pack({"value": shop.Sub(k=1)})
    exec("class Sub(dict):\n    pass\n", shop.__dict__)
    with pytest.raises(SchemaDriftError):
        read(stored)


def test_exceptions_that_hold_arguments_alone_may_take_another_base(shop: types.ModuleType) -> None:
    exec("class Sub(ValueError):\n    pass\n", shop.__dict__)
    stored = pack({"value": shop.Sub("text", 7)})
    exec("class Sub(KeyError):\n    pass\n", shop.__dict__)
    assert read(stored, drift="strict").args == ("text", 7)


def test_items_do_not_become_a_field_that_is_new(shop: types.ModuleType) -> None:
    exec("class Sub(set):\n    pass\n", shop.__dict__)
    stored = pack({"value": shop.Sub([1, 2])})
    exec(f"@dataclass\nclass Sub(set):\n    owner: str = 'nobody'\n{HASH}", shop.__dict__)
    with pytest.raises(SchemaDriftError) as refused:
        read(stored)
    assert "read it with the old class and convert" in (refused.value.hint or "")


def test_keys_of_a_dict_are_no_attributes(shop: types.ModuleType) -> None:
    exec("class Sub(dict):\n    host: str\n", shop.__dict__)
    stored = pack({"value": shop.Sub(host="a", port=1)})
    exec("class Sub(dict):\n    host: str\n    port: int = 5\n", shop.__dict__)
    loaded = read(stored)
    assert (dict(loaded), vars(loaded), loaded.port) == ({"host": "a", "port": 1}, {}, 5)


def test_the_base_is_recorded_where_the_class_has_no_methods_of_its_own(shop: types.ModuleType) -> None:
    exec(
        "class Sub(collections.deque):\n    pass\n"
        "class Own(Exception):\n    def __reduce__(self): return Own, self.args\n"
        "class Plain:\n    a: int\n",
        shop.__dict__,
    )
    types = peek(pack([shop.Sub(), shop.Own(), shop.Plain()])).types
    assert types["shop:Sub"].base == "collections:deque"
    assert types["shop:Sub"].kind == "plain"
    assert "shop:Own" not in types
    assert types["shop:Plain"].base is None


def test_a_class_that_gains_its_own_reduce_handles_its_changes(shop: types.ModuleType) -> None:
    exec("class Sub(Exception):\n    path: str\n", shop.__dict__)
    stored = pack({"value": shop.Sub("text")})
    exec(
        "class Sub(Exception):\n    file: str\n    def __reduce__(self): return Sub, self.args, self.__dict__\n",
        shop.__dict__,
    )
    assert read(stored).args == ("text",)


EARLY = ["set", "Exception", "dict", "str", "collections.UserDict", "fractions.Fraction", "pathlib.PurePosixPath"]


@pytest.mark.parametrize("drift", ["resolve", "strict"])
@pytest.mark.parametrize("base", EARLY)
def test_entries_of_early_writers_are_read_as_before(shop: types.ModuleType, base: str, drift: str) -> None:
    """They have no base, and list the slots of the standard library's classes among the fields."""
    exec(f"class Sub({base}):\n    path: str\n", shop.__dict__)
    now = describe_any(shop.Sub)
    slots = [[name, ""] for name in library_slots(shop.Sub)]
    early = {"fields": slots + now.fields, "kind": now.kind, "state": now.state, "version": 0, "global": "shop:Sub"}
    if now.shape:
        early["shape"] = now.shape
    notes: list[Warning] = []
    plans = make_plans({"shop:Sub": early}, {"shop:Sub": shop.Sub}, index_of(Registry()), DriftRules(drift), notes)
    assert not plans
    assert not notes
    if now.state == "custom":  # the class was taken to handle its own changes
        exec(f"class Sub({base}):\n    file: str\n", shop.__dict__)
        rules = DriftRules("resolve")
        assert not make_plans({"shop:Sub": early}, {"shop:Sub": shop.Sub}, index_of(Registry()), rules, notes)


def test_versions_are_refused_for_what_a_call_makes(shop: types.ModuleType) -> None:
    exec("class Sub(Exception):\n    path: str\n", shop.__dict__)
    before, after = Registry(), Registry()
    before.register(shop.Sub, "shop.Sub")
    stored = pack({"value": shop.Sub("text")}, options=PackOptions(registry=before))
    after.register(shop.Sub, "shop.Sub", version=1)
    after.migration("shop.Sub", from_version=0, renames={"path": "file"})
    with pytest.raises(SchemaVersionError, match="inherits the __reduce__ of Exception") as refused:
        read(stored, registry=after)
    assert "give it a __reduce__" in (refused.value.hint or "")
