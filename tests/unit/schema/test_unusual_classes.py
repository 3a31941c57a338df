"""Classes that are unusual, headers that lie about classes, and classes that change while they are read."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from _helpers import lying
from _helpers.evolving import MODULE, REGISTER, evolved, installed, pack_old, task

import pickleseal
from pickleseal import PackOptions, Policy, Registry
from pickleseal.errors import (
    InvalidObjectError,
    MigrationError,
    SchemaDriftError,
    SchemaWarning,
)

pytestmark = pytest.mark.usefixtures("engine")
D = "from dataclasses import *\nfrom typing import *\n"
R = "registry.register(T, 'x.T'{})\n"


@pytest.mark.parametrize("seed", range(0, 600, 100))
def test_headers_that_do_not_fit_their_payload_give_an_object_or_a_documented_error(seed: int) -> None:
    """Any such artifact gives an object or a documented error."""
    for package in ("attrs", "msgspec", "pydantic"):
        pytest.importorskip(package)
    outcomes = {lying.attempt(random.Random(seed + number)) for number in range(100)}
    assert {"loaded", "schema-drift", "unpickle-failed"} <= outcomes


def test_a_registered_class_that_is_dangerous_is_refused() -> None:
    import functools
    import subprocess

    from frames import Frame, framed, named

    for cls, name in ((subprocess.Popen, "subprocess:Popen"), (functools.partialmethod, "functools:partialmethod")):
        registry = Registry()
        registry.register(cls, "p")
        data = Frame(framed(named(*name.split(":")) + b")R"), globals=[name], type="builtins:object").data
        with pytest.raises(pickleseal.errors.PolicyError, match="no payload gets"):
            pickleseal.unpack(data, policy=Policy(registry=registry))


def test_two_values_for_one_renamed_field() -> None:
    more = REGISTER.format(1) + "registry.migration('jobs.Task', from_version=0, renames={'a': 'b'})\n"
    with pytest.raises(MigrationError, match="two values"):
        evolved(task("a: int; b: int"), task("b: int", "", more), lambda m: m.Task(1, 2))


def test_extra_values_of_pydantic_that_became_fields() -> None:
    pytest.importorskip("pydantic")
    text = "import pydantic\nclass Task(pydantic.BaseModel):\n    model_config = {'extra': 'allow'}\n    a: int\n"
    obj = evolved(text, text + "    venue: str = 'X'\n", lambda m: m.Task(a=1, venue="Y", other="Z"))
    assert (obj.venue, obj.other, obj.__pydantic_extra__) == ("Y", "Z", {"other": "Z"})


def test_a_function_of_the_user_named_rebuild() -> None:
    text = "from typing import NamedTuple\nclass Row(NamedTuple):\n    a: int\n    {}\nclass C:\n"
    text += "    def __init__(self, x): self.x = x\n"
    text += "    def __reduce__(self): return rebuild, (Row, self.x)\ndef rebuild(row, x): return C(x)\n"
    assert evolved(text.format(""), text.format("b: int = 0"), lambda m: m.C((5,))).x == (5,)


def test_reading_while_another_thread_registers_again() -> None:
    import threading

    text = task("a: int", "", "registry.register(Task, 'jobs.Task', formerly=['x:C'], validate=lambda t: False)\n")
    data = pack_old(task("a: int"), lambda m: m.Task(1))
    registry, done = Registry(), threading.Event()
    with installed(MODULE, text, registry=registry) as module:

        def again() -> None:
            while not done.is_set():
                registry.register(module.Task, "jobs.Task", formerly=["x:C"], validate=lambda t: False)

        thread = threading.Thread(target=again)
        thread.start()
        try:
            for _ in range(3000):
                with pytest.raises(InvalidObjectError):
                    pickleseal.unpack(data, policy=Policy(registry=registry))
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize(
    "body",
    [
        "class D:\n    def __get__(self, obj, cls=None): raise RuntimeError\nclass Task:\n    a: int = D()\n",
        "t = 1\nfor _ in range(3000): t = (t, t)\nclass Task:\n    a: tuple = t\n",
        "class Odd:\n    def __getattr__(self, name): raise RuntimeError\nclass Task:\n    a: Odd() = 1\n",
        "class Meta(type):\n    def __getattribute__(cls, name):\n        if name[:5] in ('__ann', '__dat'): "
        "raise OSError\n        return super().__getattribute__(name)\nclass Task(metaclass=Meta):\n    a: int\n",
        "class Task:\n    a: int = 1\nTask.__annotations__[5] = int\n",
        "class B:\n    __slots__ = ('a',)\nclass Task(B):\n    __slots__ = ('a', 'b')\n",
    ],
)
def test_unusual_classes_pack_and_load(body: str) -> None:
    data = pack_old(body, lambda m: m.Task())
    with installed(MODULE, body) as module:
        assert type(pickleseal.unpack(data, trust=[module.Task])) is module.Task
    header = pickleseal.peek(data)
    assert "a" in [name for name, _ in header.types[f"{MODULE}:Task"].fields]


def test_a_class_whose_name_changed_is_recorded_by_its_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with installed(MODULE, task("a: int", "", "class Other: pass\n")) as module:
        pickleseal.pack(module.Task(1))
        module.Task.__qualname__ = "Renamed"
        module.Renamed = module.Task
        header = pickleseal.peek(pickleseal.pack(module.Task(1)))
        assert header.globals == (f"{MODULE}:Renamed",)
        assert header.types[f"{MODULE}:Renamed"].global_ == f"{MODULE}:Renamed"
        monkeypatch.setitem(sys.modules, "evolving_elsewhere", module)
        module.Task.__module__ = "evolving_elsewhere"
        header = pickleseal.peek(pickleseal.pack(module.Task(1)))
        assert header.globals == tuple(header.types) == ("evolving_elsewhere:Renamed",)


def test_schemas_too_large_for_a_header_are_left_out_with_a_warning() -> None:
    text = "class Task:\n    __annotations__ = {f'f{i}' + 'x' * 900: int for i in range(1300)}\n"
    with installed(MODULE, text) as module:
        with pytest.warns(pickleseal.errors.PackWarning, match="left out"):
            data = pickleseal.pack(module.Task())
        assert type(pickleseal.unpack(data, trust=[module.Task])) is module.Task


def test_a_new_class_at_the_former_name_of_another() -> None:
    """The former name has no effect while another class is there: its objects are not loaded as the other one."""
    registry = Registry()
    text = task("a: int")
    with installed("evolving_b", text) as new:
        registry.register(new.Task, "jobs.Task", formerly=[f"{MODULE}:Task"])
        with installed(MODULE, text) as module:
            with pytest.warns(pickleseal.errors.PackWarning, match="formerly"):
                data = pickleseal.pack(module.Task(1), options=PackOptions(registry=registry))
            policy = Policy(registry=registry)
            with pytest.raises(pickleseal.errors.UntrustedGlobalError):
                pickleseal.unpack(data, policy=policy)
            with pytest.raises(pickleseal.errors.TypeMismatchError, match="it is another class"):
                pickleseal.unpack(data, policy=policy, expect=new.Task)
            assert type(pickleseal.unpack(data, trust=[module.Task], policy=policy)) is module.Task
        assert type(pickleseal.unpack(data, policy=policy)) is new.Task


@pytest.mark.parametrize(
    "text",
    [
        "class T(Exception): pass\n",
        "class T:\n def __init__(s, v): s.v = v\n def __getstate__(s): return s.v\n def __setstate__(s, v): s.v = v\n",
        "class T:\n def __init__(s, v): s.v = v\n def __reduce__(s): return T, (s.v,)\n",
        "class T:\n def __init__(s, v): s.v = v\n",
    ],
)
@pytest.mark.parametrize("drift", ["resolve", "strict"])
def test_registered_classes_without_declarations_load_unchanged(text: str, drift: str, tmp_path: Path) -> None:
    text += R.format("")
    assert type(evolved(text, text, lambda m: m.T(5), drift=drift)).__name__ == "T"
    registry, path = Registry(), tmp_path / "t.pseal"
    with installed(MODULE, text, registry=registry) as module:
        pickleseal.dump(module.T(5), path, durable=False, options=PackOptions(registry=registry))
        assert pickleseal.maintenance.upgrade(path, policy=Policy(registry=registry)) is False


def test_defaults_of_dataclasses_of_pydantic() -> None:
    pytest.importorskip("pydantic")
    text = "from pydantic.dataclasses import dataclass\nfrom pydantic import Field\n@dataclass\nclass T:\n a: int\n"
    assert evolved(text, text + " b: int = Field(default=3)\n", lambda m: m.T(1)).b == 3
    assert evolved(text, text + " b: list = Field(default_factory=list)\n", lambda m: m.T(1)).b == []
    with pytest.raises(SchemaDriftError):
        evolved(text, text + " b: int = Field()\n", lambda m: m.T(1))


def test_defaults_of_attrs_are_converted() -> None:
    pytest.importorskip("attrs")
    text = "import attrs\n@attrs.define\nclass T:\n a: int\n"
    assert evolved(text, text + " b: int = attrs.field(default='5', converter=int)\n", lambda m: m.T(1)).b == 5
    more = " b: int = attrs.field(default=5, converter=attrs.Converter(lambda v, s: v + s.a, takes_self=True))\n"
    if hasattr(__import__("attrs"), "Converter"):
        assert evolved(text, text + more, lambda m: m.T(1)).b == 6


def test_defaults_that_are_no_longer_on_the_class() -> None:
    old = D + "@dataclass\nclass T:\n a: int\n b: int = field(init=False, default=5)\n"
    with pytest.warns(SchemaWarning):
        assert evolved(old, old.replace("dataclass\n", "dataclass(slots=True)\n"), lambda m: m.T(1)).b == 5
    new = D + "@dataclass\nclass T:\n c: list = field(default_factory=list)\n"
    with pytest.warns(SchemaWarning):
        assert evolved("class T:\n c: list = []\n", new, lambda m: m.T()).c == []


@pytest.mark.parametrize("slots", ["OrderedDict([('__class__', T)])", "{'__class__': T}", "[('__class__', T)]"])
def test_a_state_cannot_set_a_class(slots: str) -> None:
    text = D + "from collections import OrderedDict\n@dataclass\nclass T:\n a: int\n@dataclass\nclass U:\n a: int\n"
    text += f" def __reduce__(s): return U, (1,), ({{'a': -1}}, {slots})\n"
    refusals = pickleseal.errors.UnpickleError, pickleseal.errors.ForbiddenOperationError
    with pytest.raises(refusals, match=r"swaps the class|set the class|slot state|expected a dict of slots"):
        evolved(text, text + R.format(", validate=lambda o: o.a > 0"), lambda m: [m.U(1), m.T(1)])


def test_a_state_of_a_changed_class_cannot_set_a_class() -> None:
    from frames import Frame

    old = "class T: pass\nclass U:\n a: int\n"
    text = "from copyreg import __newobj__ as newobj\n" + old
    text += " def __reduce__(s): return newobj, (U,), {'a': -1, '__class__': T}\n"
    header, payload = lying.parts(pack_old(text, lambda m: m.U()))
    header["types"][f"{MODULE}:U"] |= {"state": "default", "shape": "dict"}
    header["types"].pop(f"{MODULE}:T", None)
    header = {name: value for name, value in header.items() if name not in ("format", "sections")}
    new = D + old.replace("class U:", "@dataclass(slots=True)\nclass U:") + " b: int = 0\n"
    with (
        installed(MODULE, new) as module,
        pytest.raises((MigrationError, pickleseal.errors.ForbiddenOperationError), match="class"),
    ):
        pickleseal.unpack(Frame(payload, **header).data, trust=[module.T, module.U])


def test_a_class_that_reuses_objects_gets_no_stand_in() -> None:
    text = "class T:\n a: int\n pool = {}\n def __new__(cls, k):\n  o = cls.pool.get(k)\n  if o is None:\n"
    text += "   o = cls.pool[k] = super().__new__(cls)\n   o.exact = cls is T\n  return o\n"
    text += " def __getnewargs__(self): return ('k',)\n def __getstate__(self): return None\n"
    data = pack_old(text, lambda m: m.T("k"))
    registry = Registry()
    with installed(MODULE, text + R.format(", validate=lambda o: True"), registry=registry) as module:
        obj = pickleseal.unpack(data, policy=Policy(registry=registry))
        assert type(obj) is module.T
        assert obj.exact


def test_code_of_a_class_never_sees_a_stand_in() -> None:
    pytest.importorskip("attrs")
    text = D + "class T(dict):\n a: int\n def __setitem__(s, k, v):\n  super().__setitem__(k, type(s) is T)\n"

    def make(module: Any) -> Any:
        made = module.T()
        made.a = 1
        made["k"] = 0
        return made

    new = text + R.format(", validate=lambda o: o.a == 1")
    assert evolved(text, new, make)["k"] is True
    text = "import attrs\n@attrs.define\nclass T:\n a: int\n"
    factory = " b: bool = attrs.Factory(lambda s: s.__class__ is T, takes_self=True)\n"
    assert evolved(text, text + factory, lambda m: m.T(1)).b is True


def test_methods_that_attrs_generated_for_a_base_are_not_standard() -> None:
    pytest.importorskip("attrs")
    text = "import attrs\n@attrs.define\nclass B:\n a: int\n@attrs.define({})\nclass T(B):\n b: int\n"
    with pytest.raises(SchemaDriftError, match="another framework"):
        evolved(text.format(""), text.format("getstate_setstate=False"), lambda m: m.T(1, 2))
    assert evolved(text.format(""), text.format("eq=False"), lambda m: m.T(1, 2)).b == 2
