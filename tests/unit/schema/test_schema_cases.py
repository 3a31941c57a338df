"""Schemas in hard cases: odd classes, lying headers, shapes of states, and what refusals say."""

from __future__ import annotations

import pickle
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from _helpers import lying
from _helpers.evolving import MODULE, REGISTER, STEP, evolved, installed, pack_old, task, unpack_new

import pickleseal
from pickleseal import Policy, Registry, Writer
from pickleseal.errors import (
    ClassMissingError,
    InvalidObjectError,
    MigrationError,
    RegistryError,
    SchemaDriftError,
    SchemaVersionError,
    SchemaWarning,
    TypeMismatchError,
    UntrustedGlobalError,
)

pytestmark = pytest.mark.usefixtures("engine")


@pytest.mark.parametrize("seed", range(0, 600, 100))
def test_headers_that_do_not_fit_their_payload_give_an_object_or_a_documented_error(seed: int) -> None:
    """Any such artifact gives an object or a documented error."""
    for package in ("attrs", "msgspec", "pydantic"):
        pytest.importorskip(package)
    outcomes = {lying.attempt(random.Random(seed + number)) for number in range(100)}
    assert {"loaded", "schema-drift", "unpickle-failed"} <= outcomes


class TestAdvice:
    """What refusals say, and what wrong use gets."""

    def refusal(self, old: str, new: str, **arguments: Any) -> Any:
        make = arguments.pop("make", lambda m: m.Task(**dict.fromkeys(m.Task.__annotations__, 1)))
        data = pack_old(old, make)
        registry = Registry()
        with installed(MODULE, new, registry=registry) as module, pytest.raises(pickleseal.errors.ReadError) as caught:
            pickleseal.unpack(data, trust=[module.Task], policy=Policy(registry=registry), **arguments)
        return caught.value

    def test_all_renames_of_a_class_are_one_fix(self) -> None:
        error = self.refusal(task("a: int; b: str; c: float"), task("x: float; y: int; z: str"))
        assert 'if renamed: register(Task, "evolving_jobs.Task", renames={"a": "y", "b": "z", "c": "x"})' in error.hint
        assert "default" not in error.hint
        assert [change.what for change in error.changes] == ["removed"] * 3 + ["added"] * 3
        text = task("x: float; y: int; z: str", "", "from pickleseal import *\n")
        text += 'registry.register(Task, "evolving_jobs.Task", renames={"a": "y", "b": "z", "c": "x"})\n'
        assert unpack_new(pack_old(task("a: int; b: str; c: float"), lambda m: m.Task(1, "b", 2.0)), text).z == "b"

    def test_a_registered_class_is_named_as_it_is_registered(self) -> None:
        error = self.refusal(task("a: int"), task("a: int; b: int", "", REGISTER.format(0)))
        assert (
            'artifact("jobs.Task", version=1), and set \'b\' in @migration("jobs.Task", from_version=0)' in error.hint
        )
        assert "if newer code wrote it (created 20" in error.hint

    def test_the_refusal_of_several_classes_names_the_changes_of_each(self) -> None:
        names = [f"C{n}" for n in range(9)]
        old = "".join(f"@dataclass\nclass {name}:\n    a: int\n" for name in names)
        data = pack_old(task("a: int", "", old), lambda m: [getattr(m, name)(1) for name in names])
        new = task("a: int", "", old.replace("a: int", "b: int"))
        with installed(MODULE, new) as module, pytest.raises(SchemaDriftError) as caught:
            pickleseal.unpack(data, trust=[getattr(module, name) for name in names])
        assert "9 classes changed" in str(caught.value)
        assert "and 3 more" in str(caught.value)
        assert "see error.changes" in str(caught.value)
        assert len(caught.value.changes) == 18

    def test_the_refusal_of_an_unknown_registered_name_says_what_to_import(self) -> None:
        data = pack_old(task("a: int", "", REGISTER.format(1)), lambda m: m.Task(1))
        with pytest.raises(UntrustedGlobalError, match=r"import the module that registers jobs\.Task"):
            pickleseal.unpack(data)
        with pytest.raises(ClassMissingError, match=r"import the module that registers jobs\.Task"):
            pickleseal.unpack(data, trust=[f"{MODULE}:Task"])
        with installed(MODULE, task("a: int")) as module, pytest.raises(SchemaVersionError, match="import the module"):
            pickleseal.unpack(data, expect=module.Task)

    def test_a_label_as_type_is_not_taken_for_a_registered_name(self) -> None:
        with installed(MODULE, task("a: int")) as module:
            data = pickleseal.pack(module.Task(1), type="report")
        with pytest.raises(UntrustedGlobalError) as caught:
            pickleseal.unpack(data)
        assert "registers" not in str(caught.value)

    def test_a_reader_without_the_registration_may_expect_the_class(self) -> None:
        data = pack_old(task("a: int", "", REGISTER.format(0)), lambda m: m.Task(1))
        with installed(MODULE, task("a: int")) as module:
            assert pickleseal.unpack(data, expect=module.Task) == module.Task(1)
            with pytest.raises(TypeMismatchError, match=r'formerly=\["jobs.Task"\]'):
                pickleseal.unpack(data, expect=Path)

    def test_a_missing_migration_names_the_old_and_new_fields(self) -> None:
        error = self.refusal(task("a: int"), task("b: int", "", REGISTER.format(1)))
        assert error.hint.startswith('write @migration("jobs.Task", from_version=0); the class had a and has b')

    def test_the_fix_says_which_kind_a_class_can_not_become(self) -> None:
        pytest.importorskip("pydantic")
        error = self.refusal(task("a: int"), "import pydantic\nclass Task(pydantic.BaseModel):\n    a: int\n")
        assert "can't become pydantic in place" in error.hint

    def test_the_fix_for_an_enum_speaks_of_members(self) -> None:
        text = "import enum\nclass Task(enum.Enum):\n    A = 1\n    B = 2\n"
        error = self.refusal(text, text.replace("    B = 2\n", ""), make=lambda m: m.Task.B)
        assert "return another member's name" in error.hint

    def test_a_writer_that_does_not_know_the_registration_warns(self) -> None:
        registry = Registry()
        with installed(MODULE, task("a: int", "", REGISTER.format(1)), registry=registry) as module:
            with pytest.warns(pickleseal.errors.PackWarning, match="registry of this writer"):
                pickleseal.pack(module.Task(1))
            pickleseal.pack(module.Task(1), writer=Writer(registry=registry))

    def test_an_upgrade_with_two_registries_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="one registry"):
            pickleseal.upgrade(tmp_path / "x", policy=Policy(registry=Registry()), writer=Writer())
        with pytest.raises(TypeError, match="expected a Policy"):
            pickleseal.upgrade(tmp_path / "x", policy="strict")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected a Writer"):
            pickleseal.upgrade(tmp_path / "x", writer="x")  # type: ignore[arg-type]

    def test_an_upgrade_takes_trust_from_a_generator(self, tmp_path: Path) -> None:
        path = tmp_path / "x.pseal"
        path.write_bytes(pack_old(task("a: int"), lambda m: m.Task(1)))
        with installed(MODULE, task("a: int; b: int = 2")) as module:
            assert pickleseal.upgrade(path, trust=(cls for cls in [module.Task]), durable=False) is True
            assert pickleseal.load(path, trust=[module.Task]).b == 2

    def test_warnings_name_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "old.pseal"
        path.write_bytes(pack_old(task("a: int"), lambda m: m.Task(1)))
        with installed(MODULE, task("a: float")) as module, pytest.warns(SchemaWarning) as caught:
            pickleseal.load(path, trust=[module.Task])
        assert str(caught[0].message).startswith(f"{path}: {MODULE}:Task: 'a' was annotated int and is float")

    def test_invalid_objects_are_shown(self) -> None:
        text = task("a: int", "", "registry.register(Task, 'jobs.Task', validate=lambda t: False)\n")
        with pytest.raises(InvalidObjectError) as caught:
            unpack_new(pack_old(task("a: int"), lambda m: m.Task(1)), text)
        assert caught.value.found == "Task(a=1)"

    @pytest.mark.parametrize("renames", [{"a": "b"}, {"x": "a"}, {"x": "nope"}])
    def test_renames_that_contradict_the_fields_are_refused(self, renames: dict[str, str]) -> None:
        registry = Registry()
        with installed(MODULE, task("a: int; b: int")) as module:
            if renames == {"x": "a"}:
                registry.register(module.Task, "t", renames=renames)
                return
            with pytest.raises(RegistryError, match="renames"):
                registry.register(module.Task, "t", renames=renames)

    def test_wrong_use(self) -> None:
        with pytest.raises(RegistryError, match="needs a name"):
            pickleseal.artifact(Path)  # type: ignore[arg-type]
        with pytest.raises(RegistryError, match="class comes first"):
            pickleseal.register("x", Path)  # type: ignore[arg-type]
        with pytest.raises(RegistryError, match="found '1'"):
            Registry().register(Path, "p", version="1")  # type: ignore[arg-type]
        with pytest.raises(RegistryError, match="place"):
            Registry().register(type("X", (), {"__qualname__": "f.<locals>.X"}), "p")
        with pytest.raises(TypeError, match="expected a Policy"):
            pickleseal.unpack(b"", policy="strict")  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="expected a Policy"):
            pickleseal.peek(b"", policy="strict")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected a Writer"):
            pickleseal.pack(1, writer="x")  # type: ignore[arg-type]

    def test_check_wants_the_last_step_of_every_class_beyond_version_one(self) -> None:
        registry = Registry()
        registry.register(Path, "born-at-one", version=1)
        registry.check()
        registry.register(Policy, "p", version=3)
        with pytest.raises(RegistryError, match="end before"):
            registry.check()
        registry.migration("p", from_version=2, renames={"a": "b"})
        registry.check()


class TestShapes:
    """The same class may be pickled as a dict, as slots, as a list or by its arguments (spec 6.2, shape)."""

    FLAGS = ("", "(slots=True)", "(frozen=True)", "(frozen=True, slots=True)")

    @pytest.mark.parametrize("old", FLAGS)
    @pytest.mark.parametrize("new", FLAGS)
    def test_dataclasses_with_and_without_slots(self, old: str, new: str) -> None:
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
    def test_attrs_classes_of_every_shape_become_each_other(self, old: str, new: str) -> None:
        pytest.importorskip("attrs")
        text = "import attrs\n@attrs.{}\nclass Task:\n    {}: Any\n    {}: Any\n".replace(
            "attrs\n@", "attrs\nfrom typing import *\n@"
        )
        for order in (("a", "b"), ("b", "a")):
            obj = evolved(text.format(old, "a", "b"), text.format(new, *order), lambda m: m.Task(a=1, b={"x": 2}))
            assert (obj.a, obj.b) == (1, {"x": 2})

    def test_attrs_below_a_base_with_slots(self) -> None:
        pytest.importorskip("attrs")
        text = "import attrs\nclass Base:\n    __slots__ = ('x',)\n@attrs.define(slots=False)\nclass Task(Base):\n"
        text += "    {}: int\n    {}: int\n"

        def make(module: Any) -> Any:
            made = module.Task(1, 2)
            made.x = 9
            return made

        obj = evolved(text.format("a", "b"), text.format("b", "a"), make)
        assert (obj.a, obj.b, obj.x) == (1, 2, 9)

    def test_attrs_classes_that_cache_hashes(self) -> None:
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

    def test_namedtuples_with_their_own_getnewargs_are_not_compared(self) -> None:
        text = "from typing import NamedTuple\nclass B(NamedTuple):\n    {}: int\n    {}: int\nclass Task(B):\n"
        text += "    def __new__(cls, y, x): return super().__new__(cls, x=x, y=y)\n"
        text += "    def __getnewargs__(self): return (self.y, self.x)\n"
        obj = evolved(text.format("x", "y"), text.format("y", "x"), lambda m: m.Task(y=1, x=2))
        assert (obj.x, obj.y) == (2, 1)

    def test_msgspec_with_and_without_keywords(self) -> None:
        pytest.importorskip("msgspec")
        text = "import msgspec\nclass Task(msgspec.Struct{}):\n    {}: int\n    {}: int\n"
        for old, new in (("", ""), ("", ", frozen=True"), ("", ", kw_only=True")):
            obj = evolved(text.format(old, "a", "b"), text.format(new, "b", "a"), lambda m: m.Task(a=1, b=2))
            assert (obj.a, obj.b) == (1, 2)

    def test_undecorated_subclasses_add_fields(self) -> None:
        old = task("a: int", "", "class Sub(Task):\n    qty: int = 0\n")

        def make(module: Any) -> Any:
            made = module.Sub(1)
            made.qty = 5
            return made

        for drift in ("resolve", "strict"):
            with pytest.raises(SchemaDriftError, match="'qty' was removed"):
                evolved(old, old.replace("qty", "quantity"), make, drift=drift)
        assert evolved(old, old, make, drift="strict").qty == 5


class TestHardCases:
    def test_enum_values_without_a_text(self) -> None:
        text = "import enum\nfrom decimal import Decimal as D\nclass Task(enum.Enum):\n    LO = D({})\n    HI = D({})\n"
        with pytest.raises(SchemaDriftError, match="the value of 'LO'"):
            evolved(text.format(1, 2), text.format(2, 1), lambda m: m.Task.LO)
        text = "import enum\nclass Task(enum.Enum):\n    LO = [1]\n"
        assert evolved(text, text, lambda m: m.Task.LO).name == "LO"
        with pytest.raises(SchemaDriftError):
            evolved(text, text, lambda m: m.Task.LO, drift="strict")

    @pytest.mark.parametrize("verdict", ["0", "[]", "no()", "later()", "raises()"])
    def test_validate_accepts_none_and_true_values(self, verdict: str) -> None:
        more = "class No:\n    def __bool__(self): return False\nno = No\nasync def later(): pass\n"
        more += "class Raises:\n    def __bool__(self): raise OSError\nraises = Raises\n"
        more += f"registry.register(Task, 'jobs.Task', validate=lambda t: {verdict})\n"
        with pytest.raises(InvalidObjectError):
            evolved(task("a: int"), task("a: int", "", more), lambda m: m.Task(1))
        for sound in ("None", "True", "1"):
            text = task("a: int", "", f"registry.register(Task, 'jobs.Task', validate=lambda t: {sound})\n")
            assert evolved(task("a: int"), text, lambda m: m.Task(1)).a == 1

    def test_validate_sees_objects_that_a_function_made(self) -> None:
        text = "class Task:\n    def __init__(self, a): self.a = a\n    def __reduce__(self): return make, (self.a,)\n"
        text += "def make(a): return Task(a)\n"
        new = text + "registry.register(Task, 'jobs.Task', validate=lambda t: t.a > 0)\n"
        assert evolved(text, new, lambda m: m.Task(1)).a == 1
        with pytest.raises(InvalidObjectError):
            evolved(text, new, lambda m: [m.Task(-1)])

    def test_a_registered_class_that_is_dangerous_is_refused(self) -> None:
        import functools
        import subprocess

        from frames import Frame, framed, named

        for cls, name in ((subprocess.Popen, "subprocess:Popen"), (functools.partial, "functools:partial")):
            registry = Registry()
            registry.register(cls, "p")
            data = Frame(framed(named(*name.split(":")) + b")R"), globals=[name], type="builtins:object").data
            with pytest.raises(pickleseal.errors.PolicyError, match="no payload gets"):
                pickleseal.unpack(data, policy=Policy(registry=registry))

    def test_two_values_for_one_renamed_field(self) -> None:
        more = REGISTER.format(1) + "registry.migration('jobs.Task', from_version=0, renames={'a': 'b'})\n"
        with pytest.raises(MigrationError, match="two values"):
            evolved(task("a: int; b: int"), task("b: int", "", more), lambda m: m.Task(1, 2))

    def test_members_renamed_by_a_migration(self) -> None:
        text = "import enum\nclass Task(enum.Flag):\n    {} = 1\n    B = 2\n"
        more = REGISTER.format(1) + "registry.migration('jobs.Task', from_version=0, renames={'A': 'X'})\n"
        obj = evolved(
            text.format("A"), text.format("X").replace("B = 2", "B = 8") + more, lambda m: m.Task.A | m.Task.B
        )
        assert str(obj).endswith(("X|B", "B|X"))

    def test_a_value_that_belonged_to_no_member_is_refused(self) -> None:
        text = "import enum\nclass Task(enum.IntFlag):\n    R = {}\n    W = {}\n"
        more = REGISTER.format(1) + STEP.format(0, "pass")
        data = pack_old(text.format(1, 2), lambda m: [m.Task(1), m.Task(8 | 1)])
        with pytest.raises(MigrationError, match="no member"):
            unpack_new(data, text.format(2, 1) + more)

    def test_extra_values_of_pydantic_that_became_fields(self) -> None:
        pytest.importorskip("pydantic")
        text = "import pydantic\nclass Task(pydantic.BaseModel):\n    model_config = {'extra': 'allow'}\n    a: int\n"
        obj = evolved(text, text + "    venue: str = 'X'\n", lambda m: m.Task(a=1, venue="Y", other="Z"))
        assert (obj.venue, obj.other, obj.__pydantic_extra__) == ("Y", "Z", {"other": "Z"})

    def test_a_function_of_the_users_that_is_called_rebuild(self) -> None:
        text = "from typing import NamedTuple\nclass Row(NamedTuple):\n    a: int\n    {}\nclass C:\n"
        text += "    def __init__(self, x): self.x = x\n"
        text += "    def __reduce__(self): return rebuild, (Row, self.x)\ndef rebuild(row, x): return C(x)\n"
        assert evolved(text.format(""), text.format("b: int = 0"), lambda m: m.C((5,))).x == (5,)

    def test_reading_while_another_thread_registers_again(self) -> None:
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
    def test_unusual_classes_pack_and_load(self, body: str) -> None:
        data = pack_old(body, lambda m: m.Task())
        with installed(MODULE, body) as module:
            assert type(pickleseal.unpack(data, trust=[module.Task])) is module.Task
        header = pickleseal.peek(data)
        assert "a" in [name for name, _ in header.types[f"{MODULE}:Task"].fields]

    def test_a_class_whose_name_changed_is_recorded_by_its_new_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
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

    def test_schemas_too_large_for_a_header_are_left_out_with_a_warning(self) -> None:
        text = "class Task:\n    __annotations__ = {f'f{i}' + 'x' * 900: int for i in range(1300)}\n"
        with installed(MODULE, text) as module:
            with pytest.warns(pickleseal.errors.PackWarning, match="left out"):
                data = pickleseal.pack(module.Task())
            assert type(pickleseal.unpack(data, trust=[module.Task])) is module.Task

    def test_foreign_text_is_escaped_in_warnings(self) -> None:
        data = pack_old(task("a: int"), lambda m: m.Task(1))
        header, payload = lying.parts(data)
        header["types"][f"{MODULE}:Task"]["fields"] = [["a", "evil\n\x1b[2J" + "z" * 5000]]
        del header["sections"]
        from frames import Frame

        with installed(MODULE, task("a: int")) as module, pytest.warns(SchemaWarning) as caught:
            pickleseal.unpack(Frame(payload, **header).data, trust=[module.Task])
        assert str(caught[0].message).isprintable()
        assert len(str(caught[0].message)) < 1000

    def test_registry_errors_survive_pickling_whatever_was_given(self) -> None:
        import threading

        class Odd:
            def __repr__(self) -> str:
                raise RuntimeError

        for wrong in (
            lambda: Registry().register(lambda: 0, "x"),  # type: ignore[arg-type]
            lambda: Registry().register(Path, "x", validate=threading.Lock()),  # type: ignore[arg-type]
            lambda: Registry().register(Path, Odd()),  # type: ignore[arg-type]
            lambda: Registry().register(Path, "x", formerly=5),  # type: ignore[arg-type]
            lambda: Registry().register(Path, "x", formerly=["a:b:c"]),
        ):
            with pytest.raises(RegistryError) as caught:
                wrong()
            assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    def test_a_new_class_where_another_was_formerly(self) -> None:
        registry = Registry()
        text = task("a: int")
        with installed("evolving_b", text) as new, installed(MODULE, text, registry=registry) as module:
            registry.register(new.Task, "jobs.Task", formerly=[f"{MODULE}:Task"])
            with pytest.warns(pickleseal.errors.PackWarning, match="formerly"):
                data = pickleseal.pack(module.Task(1), writer=Writer(registry=registry))
            policy = Policy(registry=registry)
            assert type(pickleseal.unpack(data, policy=policy)) is new.Task
            assert type(pickleseal.unpack(data, trust=[module.Task], policy=policy)) is module.Task

    def test_an_upgrade_does_not_ignore_drift(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="ignore"):
            pickleseal.upgrade(tmp_path / "x", policy=Policy(drift="ignore"))

    def test_an_upgrade_with_labels_is_done_once(self, tmp_path: Path) -> None:
        path = tmp_path / "x.pseal"
        path.write_bytes(pack_old(task("t: int"), lambda m: m.Task(1)))
        registry = Registry()
        text = task("t: int", "", REGISTER.format(1) + STEP.format(0, "state['t'] *= 1000"))
        with installed(MODULE, text, registry=registry):
            policy, writer = Policy(registry=registry), Writer(build={"app": "x"}, registry=registry)
            assert pickleseal.upgrade(path, policy=policy, writer=writer, durable=False) is True
            assert pickleseal.upgrade(path, policy=policy, writer=writer) is False
            assert pickleseal.load(path, policy=policy).t == 1000


D = "from dataclasses import *\nfrom typing import *\n"
R = "registry.register(T, 'x.T'{})\n"


class TestMoreHardCases:
    @pytest.mark.parametrize(
        "text",
        [
            "class T(Exception): pass\n",
            "class T:\n def __init__(s, v): s.v = v\n def __getstate__(s): return s.v\n"
            " def __setstate__(s, v): s.v = v\n",
            "class T:\n def __init__(s, v): s.v = v\n def __reduce__(s): return T, (s.v,)\n",
            "class T:\n def __init__(s, v): s.v = v\n",
        ],
    )
    @pytest.mark.parametrize("drift", ["resolve", "strict"])
    def test_registered_classes_without_declarations_load_unchanged(
        self, text: str, drift: str, tmp_path: Path
    ) -> None:
        text += R.format("")
        assert type(evolved(text, text, lambda m: m.T(5), drift=drift)).__name__ == "T"
        registry, path = Registry(), tmp_path / "t.pseal"
        with installed(MODULE, text, registry=registry) as module:
            pickleseal.dump(module.T(5), path, durable=False, writer=Writer(registry=registry))
            assert pickleseal.upgrade(path, policy=Policy(registry=registry)) is False

    def test_a_struct_with_one_dict(self) -> None:
        pytest.importorskip("msgspec")
        old = "import msgspec\nclass T(msgspec.Struct):\n data: dict\n"
        for value in ({"data": 5}, {"q": 5}):
            obj = evolved(old, old + " x: int = 0\n", lambda m, value=value: m.T(value))
            assert (obj.data, obj.x) == (value, 0)

    def test_structs_that_become_keyword_only(self) -> None:
        pytest.importorskip("msgspec")
        old = "import msgspec\nclass T(msgspec.Struct):\n a: int\n"
        new = old.replace("Struct)", "Struct, kw_only=True)")
        assert evolved(old, new, lambda m: m.T(1)).a == 1
        with pytest.raises(SchemaDriftError):
            evolved(old, new, lambda m: m.T(1), drift="strict")

    def test_defaults_of_dataclasses_of_pydantic(self) -> None:
        pytest.importorskip("pydantic")
        text = "from pydantic.dataclasses import dataclass\nfrom pydantic import Field\n@dataclass\nclass T:\n a: int\n"
        assert evolved(text, text + " b: int = Field(default=3)\n", lambda m: m.T(1)).b == 3
        assert evolved(text, text + " b: list = Field(default_factory=list)\n", lambda m: m.T(1)).b == []
        with pytest.raises(SchemaDriftError):
            evolved(text, text + " b: int = Field()\n", lambda m: m.T(1))

    def test_bases_of_another_framework(self) -> None:
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
    def test_fields_of_bases_of_another_kind_are_compared(self, base: str) -> None:
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

    def test_defaults_of_attrs_are_converted(self) -> None:
        pytest.importorskip("attrs")
        text = "import attrs\n@attrs.define\nclass T:\n a: int\n"
        assert evolved(text, text + " b: int = attrs.field(default='5', converter=int)\n", lambda m: m.T(1)).b == 5
        more = " b: int = attrs.field(default=5, converter=attrs.Converter(lambda v, s: v + s.a, takes_self=True))\n"
        if hasattr(__import__("attrs"), "Converter"):
            assert evolved(text, text + more, lambda m: m.T(1)).b == 6

    def test_defaults_that_are_no_longer_on_the_class(self) -> None:
        old = D + "@dataclass\nclass T:\n a: int\n b: int = field(init=False, default=5)\n"
        with pytest.warns(SchemaWarning):
            assert evolved(old, old.replace("dataclass\n", "dataclass(slots=True)\n"), lambda m: m.T(1)).b == 5
        new = D + "@dataclass\nclass T:\n c: list = field(default_factory=list)\n"
        with pytest.warns(SchemaWarning):
            assert evolved("class T:\n c: list = []\n", new, lambda m: m.T()).c == []

    @pytest.mark.parametrize("slots", ["OrderedDict([('__class__', T)])", "{'__class__': T}", "[('__class__', T)]"])
    def test_no_state_sets_a_class(self, slots: str) -> None:
        text = D + "from collections import OrderedDict\n@dataclass\nclass T:\n a: int\n@dataclass\nclass U:\n a: int\n"
        text += f" def __reduce__(s): return U, (1,), ({{'a': -1}}, {slots})\n"
        refusals = pickleseal.errors.UnpickleError, pickleseal.errors.ForbiddenOperationError
        with pytest.raises(refusals, match=r"swaps the class|sets the class|slot state"):
            evolved(text, text + R.format(", validate=lambda o: o.a > 0"), lambda m: [m.U(1), m.T(1)])

    def test_no_state_of_a_changed_class_sets_a_class(self) -> None:
        from frames import Frame

        old = "class T: pass\nclass U:\n a: int\n"
        text = "from copyreg import __newobj__ as newobj\n" + old
        text += " def __reduce__(s): return newobj, (U,), {'a': -1, '__class__': T}\n"
        header, payload = lying.parts(pack_old(text, lambda m: m.U()))
        header["types"][f"{MODULE}:U"] |= {"state": "default", "shape": "dict"}
        del header["sections"]
        new = D + old.replace("class U:", "@dataclass(slots=True)\nclass U:") + " b: int = 0\n"
        with (
            installed(MODULE, new) as module,
            pytest.raises((MigrationError, pickleseal.errors.ForbiddenOperationError), match="class"),
        ):
            pickleseal.unpack(Frame(payload, **header).data, trust=[module.T, module.U])

    @pytest.mark.parametrize(
        "maker", ["@functools.lru_cache\ndef mk(x): return T(x)\n", "class mk:\n def __new__(cls, x): return T(x)\n"]
    )
    @pytest.mark.parametrize("beside", ["", ", T(1)"])
    def test_validate_sees_what_any_callable_makes(self, maker: str, beside: str) -> None:
        text = D + "import functools\n@dataclass\nclass T:\n a: int\n" + maker
        text += "class By:\n def __init__(s, x): s.x = x\n def __reduce__(s): return mk, (s.x,)\n"
        new = text + R.format(", validate=lambda o: o.a > 0")
        with pytest.raises(InvalidObjectError):
            evolved(text, new, lambda m: eval(f"[By(-1){beside}]", vars(m)))
        assert evolved(text, new, lambda m: eval(f"[By(1){beside}]", vars(m)))[0].a == 1

    def test_a_pool_of_the_class_gets_no_stand_in(self) -> None:
        text = "class T:\n a: int\n pool = {}\n def __new__(cls, k):\n  o = cls.pool.get(k)\n  if o is None:\n"
        text += "   o = cls.pool[k] = super().__new__(cls)\n   o.exact = cls is T\n  return o\n"
        text += " def __getnewargs__(self): return ('k',)\n def __getstate__(self): return None\n"
        data = pack_old(text, lambda m: m.T("k"))
        registry = Registry()
        with installed(MODULE, text + R.format(", validate=lambda o: True"), registry=registry) as module:
            obj = pickleseal.unpack(data, policy=Policy(registry=registry))
            assert type(obj) is module.T
            assert obj.exact

    def test_code_of_a_class_never_sees_a_stand_in(self) -> None:
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

    def test_texts_do_not_depend_on_the_unicode_tables(self) -> None:
        text = "import enum\nclass T(enum.Enum):\n SHAKE = '\\U0001FAE8'\n"
        header = pickleseal.peek(pack_old(text, lambda m: m.T.SHAKE))
        assert header.types[f"{MODULE}:T"].fields == (("SHAKE", "'\\U0001fae8'"),)

    def test_a_class_within_an_enum_is_no_member(self) -> None:
        text = "import enum\nclass T(enum.Enum):\n a = 1\n class Inner: pass\n"
        if sys.version_info < (3, 13):
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = pack_old(text, lambda m: m.T.a)
        else:
            data = pack_old(text, lambda m: m.T.a)
        assert pickleseal.peek(data).types[f"{MODULE}:T"].fields == (("a", "1"),)

    def test_slots_that_appear_below_a_base_with_slots(self) -> None:
        old = D + "@dataclass(slots=True)\nclass B:\n a: int\n@dataclass\nclass T(B):\n b: int\n"
        new = old.replace("@dataclass\n", "@dataclass(slots=True)\n")
        obj = evolved(old, new, lambda m: m.T(1, 2))
        assert (obj.a, obj.b) == (1, 2)
        assert evolved(new, old, lambda m: m.T(1, 2)).b == 2
        with pytest.raises(SchemaDriftError):
            evolved(old, new, lambda m: m.T(1, 2), drift="strict")

    def test_a_cached_property_without_a_dict_is_computed_again(self) -> None:
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

    def test_a_class_with_empty_slots_gains_a_field(self) -> None:
        old = "class T:\n __slots__ = ()\n"
        with pytest.raises(SchemaDriftError, match="'a' was added"):
            evolved(old, "class T:\n __slots__ = ('a',)\n", lambda m: m.T())
        assert evolved(old, D + "@dataclass(frozen=True)\nclass T:\n a: int = 3\n", lambda m: m.T(), drift="ignore")
        with pytest.warns(SchemaWarning):
            assert evolved(old, D + "@dataclass(slots=True)\nclass T:\n a: int = 3\n", lambda m: m.T()).a == 3

    def test_methods_that_attrs_generated_for_a_base_are_not_standard(self) -> None:
        pytest.importorskip("attrs")
        text = "import attrs\n@attrs.define\nclass B:\n a: int\n@attrs.define({})\nclass T(B):\n b: int\n"
        with pytest.raises(SchemaDriftError, match="another framework"):
            evolved(text.format(""), text.format("getstate_setstate=False"), lambda m: m.T(1, 2))
        assert evolved(text.format(""), text.format("eq=False"), lambda m: m.T(1, 2)).b == 2
