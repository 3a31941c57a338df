"""The registry, migrations, validation, renames of modules, upgrades: through the public API, on real bytes."""

from __future__ import annotations

import dataclasses
import gc
import importlib.util
import pickle
import random
import weakref
from pathlib import Path
from typing import Any

import pytest
from _helpers.evolving import MODULE, REGISTER, STEP, installed, pack_old, task, unpack_new
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import PackOptions, Policy, Registry
from pickleseal._policy import compiled
from pickleseal._schema.registry import index_of
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


class TestObjectsKeepTheirPlace:
    """Shared references, cycles, sets, keys and nested objects migrate in place (spec 6.3)."""

    OLD = task("name: str; links: list = field(default_factory=list)", "(unsafe_hash=False, eq=False)")
    NEW = task(
        "title: str; links: list = field(default_factory=list); priority: int = 0",
        "(eq=False)",
        REGISTER.format(1) + STEP.format(0, "state['title'] = state.pop('name').upper()"),
    )

    def test_shared_references_and_cycles(self) -> None:
        def make(module: Any) -> Any:
            one, two = module.Task("one"), module.Task("two")
            one.links += [two, one]
            two.links.append(one)
            return {"all": [one, two, one], "set": {one, two}, "keys": {one: two}, "deep": [[[(one,)]]]}

        def check(obj: Any, module: Any) -> None:
            one, two, again = obj["all"]
            assert one is again
            assert (type(one), one.title, one.priority) == (module.Task, "ONE", 0)
            assert one.links == [two, one]
            assert two.links == [one]
            assert obj["set"] == {one, two}
            assert obj["keys"][one] is two
            assert obj["deep"][0][0][0][0] is one

        unpack_new(pack_old(self.OLD, make), self.NEW, check)

    def test_objects_that_hash_by_value_are_complete_before_they_are_hashed(self) -> None:
        old = task("name: str; size: int", "(frozen=True)")
        step = STEP.format(0, "state['size'] = str(state['size'])")
        new = task("size: str; name: str; tag: str = 't'", "(frozen=True)", REGISTER.format(1) + step)

        def check(obj: Any, module: Any) -> None:
            wanted = module.Task("1", "a", "t")
            assert obj == ({wanted, module.Task("2", "b")}, {wanted: 5}, frozenset([wanted]))
            assert wanted in obj[0]
            assert obj[1][wanted] == 5

        data = pack_old(
            old, lambda m: ({m.Task("a", 1), m.Task("b", 2)}, {m.Task("a", 1): 5}, frozenset([m.Task("a", 1)]))
        )
        unpack_new(data, new, check)

    def test_a_class_without_fields_that_gains_one_is_complete_before_it_is_hashed(self) -> None:
        data = pack_old(task("pass", "(frozen=True)"), lambda m: {m.Task()})
        new = task("size: int = 3", "(frozen=True)", "registry.register(Task, 'jobs.Task')\n")
        unpack_new(data, new, lambda obj, m: (obj == {m.Task(3)} and m.Task(3) in obj) or pytest.fail(str(obj)))

    def test_a_class_and_its_base_are_compared_each_with_its_own_schema(self) -> None:
        more = "@dataclass\nclass Timed(Task):\n    seconds: int = 0\n"
        data = pack_old(task("a: int; b: int", more=more), lambda m: [m.Task(1, 2), m.Timed(3, 4, 5)])
        more = "@dataclass\nclass Timed(Task):\n    seconds: int = 0\n    zone: str = 'UTC'\n"
        more += "for cls in (Task, Timed): registry.register(cls, cls.__name__)\n"

        def check(obj: Any, module: Any) -> None:
            assert obj == [module.Task(b=2, a=1), module.Timed(b=4, a=3, seconds=5, zone="UTC")]
            assert type(obj[0]) is module.Task

        unpack_new(data, task("b: int; a: int", more=more), check)

    def test_nested_classes_and_generics(self) -> None:
        text = "from dataclasses import dataclass\nfrom typing import *\nT = TypeVar('T')\n"
        old = text + "class Outer:\n    @dataclass\n    class Box(Generic[T]):\n        a: T\n        b: 'list[T]'\n"
        new = text + "class Outer:\n    @dataclass\n    class Box(Generic[T]):\n        b: List[T]\n        a: T\n"
        new += "registry.register(Outer.Box, 'Box')\n"
        data = pack_old(old, lambda m: m.Outer.Box(1, [2]))

        def check(obj: Any, m: Any) -> None:
            assert (obj.a, obj.b) == (1, [2])

        unpack_new(data, new, check)

    def test_a_class_as_a_value_stays_the_class(self) -> None:
        import collections

        data = pack_old(
            self.OLD, lambda m: {"cls": m.Task, "made": m.Task("x"), "dict": collections.defaultdict(m.Task)}
        )

        def check(obj: Any, module: Any) -> None:
            assert obj["cls"] is module.Task
            assert obj["made"].title == "X"
            assert obj["dict"].default_factory is module.Task

        unpack_new(data, self.NEW, check)

    def test_attributes_that_are_not_fields_are_kept(self) -> None:
        def make(module: Any) -> Any:
            made = module.Task(1, 2)
            made.cached = "kept"
            return made

        new = task("b: int; a: int", "", "registry.register(Task, 'jobs.Task')\n")
        unpack_new(
            pack_old(task("a: int; b: int"), make), new, lambda obj, m: obj.cached == "kept" or pytest.fail("lost")
        )

    def test_one_class_at_two_versions_in_one_stream(self) -> None:
        import io

        old = pack_old(task("a: int"), lambda m: m.Task(1))
        registry = Registry()
        text = task("b: int", "", REGISTER.format(1) + STEP.format(0, "state['b'] = state.pop('a') + 100"))
        with installed(MODULE, text, registry=registry) as module:
            stream = io.BytesIO(old + pickleseal.pack(module.Task(7), options=PackOptions(registry=registry)) + old)
            policy = Policy(registry=registry)
            assert [pickleseal.load(stream, policy=policy).b for _ in range(3)] == [101, 7, 101]

    def test_reading_an_old_artifact_leaves_the_class_alone(self) -> None:
        data = pack_old(self.OLD, lambda m: m.Task("x"))

        def check(obj: Any, module: Any) -> None:
            gc.collect()
            assert module.Task.__subclasses__() == []
            assert not hasattr(module.Task, "__setstate__")

        unpack_new(data, self.NEW, check)


class TestMigrations:
    def test_a_missing_migration_is_found_before_anything_runs(self) -> None:
        data = pack_old(task("a: int"), lambda m: m.Task(1))
        text = task("a: int", "", REGISTER.format(3) + STEP.format(1, "raise AssertionError") + STEP.format(2, "pass"))
        with pytest.raises(SchemaVersionError) as caught:
            unpack_new(data, text)
        assert (caught.value.expected, caught.value.found) == (3, 0)
        assert "from_version=0" in str(caught.value.hint)

    def test_a_version_newer_than_the_class_is_refused(self) -> None:
        data = pack_old(task("a: int", "", REGISTER.format(5)), lambda m: m.Task(1))
        assert pickleseal.peek(data).version == 5
        with pytest.raises(SchemaVersionError) as caught:
            unpack_new(data, task("a: int", "", REGISTER.format(4)))
        assert (caught.value.step, caught.value.found) == (15, 5)
        with pytest.raises(UntrustedGlobalError):
            unpack_new(data, task("a: int"))

    def test_the_error_names_type_step_artifact_and_cause(self, tmp_path: Path) -> None:
        path = tmp_path / "old.pseal"
        path.write_bytes(pack_old(task("a: int"), lambda m: m.Task(1)))
        registry = Registry()
        text = task(
            "a: int", "", REGISTER.format(2) + STEP.format(0, "pass") + STEP.format(1, "state['b'] = state['c']")
        )
        with installed(MODULE, text, registry=registry), pytest.raises(MigrationError) as caught:
            pickleseal.load(path, policy=Policy(registry=registry))
        error = caught.value
        assert isinstance(error.__cause__, KeyError)
        assert error.path == str(path)
        assert error.where == f"types.{MODULE}:Task"
        assert "migration 1 -> 2 raised KeyError: 'c'" in str(error)
        assert "version 0, created 20" in str(error)
        assert error.step == 20

    @pytest.mark.parametrize(
        ("step", "message"),
        [
            ("return None", "gave no state"),
            ("return [1]", "gave no state"),
            ("return {1: 2}", "gave no state"),
            ("del state['a']", "no value and no default"),
            ("state['c'] = 3", "is no field of the class"),
        ],
    )
    def test_a_migration_whose_result_does_not_fit_is_refused(self, step: str, message: str) -> None:
        data = pack_old(task("a: int", "(slots=True)"), lambda m: m.Task(1))
        with pytest.raises(MigrationError, match=message):
            unpack_new(data, task("a: int", "(slots=True)", REGISTER.format(1) + STEP.format(0, step)))

    def test_a_migration_that_changes_its_state_changes_no_other_object(self) -> None:
        shared = "{'x': 1}"
        old = task("a: Any", "", f"D = {shared}\n")
        data = pack_old(old, lambda m: [m.Task(m.D), m.Task(m.D), m.D])
        text = task("a: Any; n: int = 0", "", REGISTER.format(1) + STEP.format(0, "state['n'] = 1"))
        obj = unpack_new(data, text)
        assert obj[0].a is obj[1].a is obj[2]
        assert "n" not in obj[2]

    def test_own_state_methods_get_the_migrated_state(self) -> None:
        own = (
            "    def __getstate__(self): return {'a': self.a}\n"
            "    def __setstate__(self, state): self.__dict__.update(state, was_set=True)\n"
        )
        data = pack_old(task("a: int", more=own), lambda m: m.Task(1))
        assert pickleseal.peek(data).types[f"{MODULE}:Task"].state == "custom"
        more = own.replace("'a': self.a", "'b': self.b") + REGISTER.format(1)
        obj = unpack_new(data, task("b: int", "", more + STEP.format(0, "state['b'] = state.pop('a') + 1")))
        assert (obj.b, obj.was_set) == (2, True)

    def test_a_class_with_its_own_reduce_is_refused_by_name(self) -> None:
        own = "    def __reduce__(self): return Task, (self.a,)\n"
        data = pack_old(task("a: int", more=own), lambda m: m.Task(1))
        more = own + REGISTER.format(1) + STEP.format(0, "pass")
        with pytest.raises(SchemaVersionError, match="__reduce__"):
            unpack_new(data, task("a: int", "", more))
        assert unpack_new(data, task("a: int; b: int = 0", "", own + REGISTER.format(0))).a == 1

    def test_a_payload_that_calls_a_class_that_changed_is_refused(self) -> None:
        own = "    def __reduce__(self): return Task, (self.a, self.b)\n"
        data = pack_old(task("a: int; b: int", more=own), lambda m: m.Task(1, 2))
        more = REGISTER.format(1) + STEP.format(0, "pass")
        with pytest.raises(MigrationError, match="by a call"):
            unpack_new(data, task("b: int; a: int", "", more))

    def test_a_namedtuple_becomes_a_dataclass_but_not_the_reverse(self) -> None:
        tuple_text = "from typing import NamedTuple\nclass Task(NamedTuple):\n    a: int\n    b: int\n"
        migrated = REGISTER.format(1) + STEP.format(0, "pass")
        data = pack_old(tuple_text, lambda m: [m.Task(1, 2)] * 2)
        obj = unpack_new(data, task("b: int; a: int; c: int = 3", "", migrated))
        assert (obj[0].a, obj[0].b, obj[0].c) == (1, 2, 3)
        assert obj[0] is obj[1]
        data = pack_old(task("a: int; b: int"), lambda m: m.Task(1, 2))
        with pytest.raises(SchemaDriftError, match="kind"):
            unpack_new(data, tuple_text + migrated)

    def test_a_namedtuple_with_attributes_of_its_own(self) -> None:
        text = (
            "from typing import NamedTuple\nclass Base(NamedTuple):\n    {}: int\n    {}: int\nclass Task(Base): pass\n"
        )

        def make(module: Any) -> Any:
            made = module.Task(1, 2)
            made.note = "kept"
            return made

        data = pack_old(text.format("a", "b"), make)
        obj = unpack_new(data, text.format("b", "a") + "registry.register(Task, 'jobs.Task')\n")
        assert (obj.a, obj.b, obj.note) == (1, 2, "kept")

    def test_two_classes_that_became_one(self) -> None:
        both = task("a: int; b: int") + "@dataclass\nclass Other:\n    b: int\n    a: int\n"
        data = pack_old(both, lambda m: [m.Task(1, 2), m.Other(3, 4)])
        merged = task("a: int; b: int", "(slots=True)")
        merged += f"registry.register(Task, 'jobs.Task', formerly=['{MODULE}:Other'])\n"
        with pytest.raises(SchemaDriftError, match="one class"):
            unpack_new(data, merged)
        alone = pack_old(both, lambda m: [m.Other(3, 4)])
        obj = unpack_new(alone, merged)
        assert (obj[0].a, obj[0].b) == (4, 3)

    def test_a_default_factory_of_attrs_that_takes_the_object(self) -> None:
        pytest.importorskip("attrs")
        text = "import attrs\n@attrs.define\nclass Task:\n    a: int\n"
        data = pack_old(text, lambda m: m.Task(20))
        text += "    b: int = attrs.field(default=attrs.Factory(lambda self: self.a + 1, takes_self=True))\n"
        assert unpack_new(data, text + "registry.register(Task, 'jobs.Task')\n").b == 21

    def test_pydantic_keeps_what_was_set_and_private_attributes(self) -> None:
        pytest.importorskip("pydantic")
        text = "import pydantic\nclass Task(pydantic.BaseModel):\n    a: int\n    b: int = 2\n    _p: int = 5\n"

        def make(module: Any) -> Any:
            made = module.Task(a=1)
            made._p = 6
            return made

        data = pack_old(text, make)
        text = text.replace("    a: int\n", "    c: list = pydantic.Field(default_factory=list)\n    a: int\n")
        obj = unpack_new(data, text + "registry.register(Task, 'jobs.Task')\n")
        assert (obj.a, obj.b, obj.c, obj._p, obj.model_fields_set) == (1, 2, [], 6, {"a"})


class TestValidate:
    OLD = task("qty: int")

    @pytest.mark.parametrize("validate", ["lambda t: t.qty > 0", "lambda t: {1: 0}[t.qty]"])
    def test_an_object_that_breaks_its_invariants_never_reaches_the_caller(self, validate: str) -> None:
        data = pack_old(self.OLD, lambda m: [m.Task(1), m.Task(-1)])
        text = task("qty: int", "", f"registry.register(Task, 'jobs.Task', validate={validate})\n")
        for drift in ("resolve", "strict", "ignore"):
            with pytest.raises(InvalidObjectError) as caught:
                unpack_new(data, text, drift=drift)
            assert (caught.value.step, caught.value.where) == (20, f"types.{MODULE}:Task")
            assert "created 20" in str(caught.value)

    def test_validate_gets_complete_objects_after_their_migration(self) -> None:
        old = task("qty: int; other: Any = None")

        def make(module: Any) -> Any:
            one = module.Task(1)
            one.other = module.Task(2, one)
            return one

        more = "seen = []\ndef check(t):\n    assert t.other.other is t and t.amount > 0\n    seen.append(t)\n"
        more += "registry.register(Task, 'jobs.Task', version=1, validate=check)\n"
        more += STEP.format(0, "state['amount'] = state.pop('qty') * 10")

        def check(obj: Any, module: Any) -> None:
            assert sorted(map(id, module.seen)) == sorted([id(obj), id(obj.other)])
            assert (obj.amount, obj.other.amount) == (10, 20)

        unpack_new(pack_old(old, make), task("amount: int; other: Any = None", "(eq=False)", more), check)


class TestNames:
    def test_a_registered_name_survives_a_move(self) -> None:
        registry = Registry()
        with installed("evolving_a", task("a: int", "", REGISTER.format(1)), registry=registry) as module:
            data = pickleseal.pack(module.Task(1), options=PackOptions(registry=registry))
        header = pickleseal.peek(data)
        assert (header.type, header.version, header.types["jobs.Task"].global_) == ("jobs.Task", 1, "evolving_a:Task")
        registry = Registry()
        with installed("evolving_b", task("a: int", "", REGISTER.format(1)), registry=registry) as module:
            obj = pickleseal.unpack(data, expect=module.Task, policy=Policy(registry=registry))
            assert obj == module.Task(1)
            assert pickleseal.unpack(data, expect="jobs.Task", policy=Policy(registry=registry)) == obj

    def test_a_former_name_is_found_and_expected(self) -> None:
        data = pack_old(task("a: int"), lambda m: m.Task(1))
        registry = Registry()
        text = task("a: int", "", f"registry.register(Task, 'jobs.Task', formerly=['{MODULE}:Task'])\n")
        with installed("evolving_b", text, registry=registry) as module:
            policy = Policy(registry=registry)
            for expect in (module.Task, "jobs.Task", f"{MODULE}:Task"):
                assert type(pickleseal.unpack(data, expect=expect, policy=policy)) is module.Task
            with pytest.raises(TypeMismatchError):
                pickleseal.unpack(data, expect="evolving_b:Task", policy=policy)
            with pytest.raises(UntrustedGlobalError):
                pickleseal.unpack(data)

    @pytest.mark.parametrize(
        "renames",
        [
            {MODULE: "evolving_b"},
            {f"{MODULE}:Task": "evolving_b:Job"},
            {MODULE: "nowhere", f"{MODULE}:Task": "evolving_b:Job"},
        ],
    )
    def test_renames_and_trust_work_together(self, renames: dict[str, str]) -> None:
        data = pack_old(task("a: int; b: int"), lambda m: m.Task(1, 2))
        policy = Policy(renames=renames, registry=Registry())
        new = renames.get(f"{MODULE}:Task", "evolving_b:Task")
        with installed("evolving_b", task("b: int; a: int", "", "Job = Task\nJob.__qualname__ = 'Job'\n")) as module:
            if new.endswith("Task"):
                module.Task.__qualname__ = "Task"
            for trust in ([module.Task], [new], [f"{MODULE}:Task"]):
                obj = pickleseal.unpack(data, trust=trust, policy=policy)
                assert (type(obj), obj.a, obj.b) == (module.Task, 1, 2)
            assert pickleseal.unpack(data, expect=module.Task, policy=policy).a == 1
            with pytest.raises(UntrustedGlobalError) as caught:
                pickleseal.unpack(data, policy=policy)
            assert caught.value.missing == (new,)

    def test_renames_of_a_package_apply_to_its_modules(self) -> None:
        policy = Policy(renames={"old": "new", "old.sub": "other", "old:C": "new:D"})
        assert compiled(policy).renamed("old.x.y:C") == "new.x.y:C"
        assert compiled(policy).renamed("old.sub.z:C") == "other.z:C"
        assert compiled(policy).renamed("older:C") == "older:C"
        assert compiled(policy).renamed("old:C") == "new:D"

    @pytest.mark.parametrize(
        "renames", [{"a": "os"}, {"a:b": "builtins:eval"}, {"a": "subprocess"}, {"a:b": "shutil:rmtree"}]
    )
    def test_renames_never_lead_to_functions_that_run_their_arguments(self, renames: dict[str, str]) -> None:
        with pytest.raises(ValueError, match="runs what"):
            Policy(renames=renames)

    @pytest.mark.parametrize("renames", [{"a": "b:c"}, {"a:b": "c"}, {"a:b:c": "d:e"}])
    def test_renames_of_the_wrong_form_are_refused(self, renames: dict[str, str]) -> None:
        with pytest.raises(ValueError, match="renames"):
            Policy(renames=renames)

    def test_renames_must_be_a_mapping_of_strings(self) -> None:
        for wrong in ({"a": 1}, ["a"], {"": "a"}):
            with pytest.raises(TypeError, match="renames"):
                Policy(renames=wrong)  # type: ignore[arg-type]

    def test_a_renamed_global_still_needs_trust(self) -> None:
        data = pickleseal.pack(Path, type="x")  # any class
        with pytest.raises(UntrustedGlobalError):
            pickleseal.unpack(data, policy=Policy(renames={"pathlib": "evolving_b"}))

    def test_the_refusal_of_a_missing_class_says_how_to_fix_it(self) -> None:
        data = pack_old(task("a: int"), lambda m: m.Task(1))
        registry = Registry()
        with installed("evolving_b", task("a: int", "", REGISTER.format(0)), registry=registry):
            for trust in ([f"{MODULE}:Task"],):
                with pytest.raises(ClassMissingError) as caught:
                    pickleseal.unpack(data, trust=trust, policy=Policy(registry=registry))
        text = str(caught.value)
        assert caught.value.step == 15
        for way in (f'formerly=["{MODULE}:Task"]', "Policy(renames=", "jobs.Task (evolving_b:Task)"):
            assert way in text
        with installed(MODULE, "other = 1\n"), pytest.raises(ClassMissingError):
            pickleseal.unpack(data, trust=[f"{MODULE}:Task"])
        with installed(MODULE, "other = 1\n") as module:
            module.__getattr__ = lambda name: 1 // 0
            with pytest.raises(ClassMissingError, match="division"):
                pickleseal.unpack(data, trust=[f"{MODULE}:Task"])

    def test_numpy_cores_have_two_names(self) -> None:
        pytest.importorskip("numpy")
        import numpy as np

        payload = pickle.dumps(np.float64(1.5), 5)
        assert b"multiarray" in payload
        for core in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
            for name in ("numpy.core.multiarray:scalar", "numpy._core.multiarray:scalar"):
                found = adopted(payload, core)
                assert pickleseal.unpack(found, trust=[name, "numpy:dtype"]) == 1.5

    def test_pathlib_has_two_names(self) -> None:
        from pathlib import PurePosixPath

        data = pickleseal.pack(PurePosixPath("/a"))
        for policy in (None, Policy(registry=Registry())):
            assert pickleseal.unpack(data, expect=PurePosixPath, policy=policy) == PurePosixPath("/a")


def adopted(payload: bytes, core: bytes) -> bytes:
    """Put numpy's own pickle into an artifact, under either name of its core."""
    import numpy as np
    from frames import Frame, framed, named, text

    module = core.decode()
    dtype = named("numpy", "dtype") + text("f8") + b"\x89\x88\x87\x94R\x94"
    state = b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b"
    body = named(module, "scalar") + dtype + state + b"C\x08" + np.float64(1.5).tobytes() + b"\x94\x86\x94R\x94"
    frame = Frame(framed(body), globals=sorted(["numpy:dtype", f"{module}:scalar"]), type="numpy:float64")
    data: bytes = frame.data
    return data


@pytest.mark.parametrize("way", ["registered", "renames"])
def test_an_enum_class_that_was_renamed(way: str) -> None:
    data = pack_old("import enum\nclass Color(enum.Enum):\n    RED = 1\n", lambda m: m.Color.RED)
    text = "import enum\nclass Paint(enum.Enum):\n    RED = 1\n"
    registry = Registry()
    with installed(MODULE, text, registry=registry) as module:
        if way == "registered":
            registry.register(module.Paint, "Paint", formerly=[f"{MODULE}:Color"])
            policy = Policy(registry=registry)
        else:
            policy = Policy(registry=registry, renames={f"{MODULE}:Color": f"{MODULE}:Paint"})
        assert pickleseal.unpack(data, trust=[module.Paint], policy=policy) is module.Paint.RED


class TestRegistry:
    def test_two_classes_under_one_name(self) -> None:
        registry = Registry()
        registry.register(Path, "p")
        with pytest.raises(RegistryError, match="two classes"):
            registry.register(Policy, "p")

    def test_two_names_for_one_class(self) -> None:
        registry = Registry()
        registry.register(Path, "p")
        with pytest.raises(RegistryError, match="another name"):
            registry.register(Path, "q")

    def test_a_version_that_goes_down(self) -> None:
        registry = Registry()
        registry.register(Path, "p", version=2)
        registry.register(Path, "p", version=2)
        with pytest.raises(RegistryError, match="went down"):
            registry.register(Path, "p", version=1)

    def test_former_names_belong_to_one_class(self) -> None:
        registry = Registry()
        registry.register(Path, "p", formerly=["old:P"])
        for formerly in (["old:P"], ["p"], [f"{Path.__module__}:Path"]):
            with pytest.raises(RegistryError):
                registry.register(Policy, "q", formerly=formerly)
        with pytest.raises(RegistryError):
            registry.register(Policy, "q", formerly="old:Q")
        registry.register(Policy, "q", formerly=["was-q"])
        with pytest.raises(RegistryError, match="former name"):
            registry.register(Registry, "was-q")

    def test_gaps_duplicates_and_steps_beyond_the_version_are_refused(self) -> None:
        registry = Registry()
        registry.migration("p", from_version=1)(lambda state: state)
        with pytest.raises(RegistryError, match="two migrations"):
            registry.migration("p", from_version=1)(lambda state: state)
        with pytest.raises(RegistryError, match="gap"):
            registry.migration("p", from_version=3)(lambda state: state)
        with pytest.raises(RegistryError, match="gap"):
            registry.migration("p", from_version=0, renames={"a": "b"})
        with pytest.raises(RegistryError, match="beyond"):
            registry.register(Path, "p", version=1)
        registry.register(Path, "p", version=2)
        with pytest.raises(RegistryError, match="beyond"):
            registry.migration("p", from_version=2)(lambda state: state)
        registry.check()

    def test_check_finds_what_is_missing_at_the_end(self) -> None:
        registry = Registry()
        registry.migration("p", from_version=1)(lambda state: state)
        with pytest.raises(RegistryError, match="not registered"):
            registry.check()
        registry.register(Path, "p", version=3)
        with pytest.raises(RegistryError, match="end before") as caught:
            registry.check()
        assert "from_version=2" in str(caught.value)

    def test_a_module_may_register_the_same_class_again(self) -> None:
        registry = Registry()
        text = task("a: int", "", REGISTER.format(1) + STEP.format(0, "pass"))
        for _ in range(2):
            with installed(MODULE, text, registry=registry) as module:
                assert index_of(registry).by_class(module.Task).current() is module.Task  # type: ignore[union-attr]

    def test_a_decorator_below_dataclass_registers_the_finished_class(self) -> None:
        registry = Registry()
        text = "from dataclasses import dataclass\n@dataclass(slots=True)\n@registry.artifact('T', version=1)\n"
        text += "class Task:\n    a: int\n"
        with installed(MODULE, text, registry=registry) as module:
            data = pickleseal.pack(module.Task(1), options=PackOptions(registry=registry))
            assert pickleseal.peek(data).type == "T"
            obj = pickleseal.unpack(data, policy=Policy(registry=registry))
            assert type(obj) is module.Task

    @pytest.mark.parametrize(
        "arguments",
        [
            {"name": ""},
            {"name": "a:b"},
            {"name": 5},
            {"name": "p", "version": -1},
            {"name": "p", "version": True},
            {"name": "p", "version": 1.0},
            {"name": "p", "renames": {"a": "b", "b": "c"}},
            {"name": "p", "renames": {"a": "c", "b": "c"}},
            {"name": "p", "renames": {"a": 1}},
            {"name": "p", "renames": ["a"]},
            {"name": "p", "formerly": [1]},
            {"name": "p", "validate": "method"},
        ],
    )
    def test_wrong_arguments(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(RegistryError) as caught:
            Registry().register(Path, **arguments)
        assert isinstance(caught.value, ValueError)

    def test_classes_are_registered_and_migrations_are_functions(self) -> None:
        with pytest.raises(RegistryError):
            Registry().register(5, "p")  # type: ignore[arg-type]
        with pytest.raises(RegistryError):
            Registry().migration("p", from_version=0)(5)  # type: ignore[type-var]
        with pytest.raises(RegistryError):
            Registry().migration("p", from_version=0, renames={"a": "b"})(lambda state: state)
        for wrong in ("5", None):
            with pytest.raises(RegistryError):
                Registry().migration("p", from_version=wrong)  # type: ignore[arg-type]

    def test_two_registries_share_nothing(self) -> None:
        registry = Registry()
        with installed(MODULE, task("a: int", "", REGISTER.format(1)), registry=registry) as module:
            data = pickleseal.pack(module.Task(1), options=PackOptions(registry=registry))
            assert pickleseal.unpack(data, policy=Policy(registry=registry)).a == 1
            with pytest.raises(UntrustedGlobalError):
                pickleseal.unpack(data, policy=Policy(registry=Registry()))
            with pytest.raises(UntrustedGlobalError):
                pickleseal.unpack(data)
            with pytest.raises(SchemaVersionError, match="newer"):
                pickleseal.unpack(data, trust=[module.Task])

    def test_wrong_registries(self) -> None:
        with pytest.raises(TypeError, match="registry"):
            Policy(registry=None)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="registry"):
            PackOptions(registry={})  # type: ignore[arg-type]

    def test_wrong_drift(self) -> None:
        with pytest.raises(ValueError, match="drift"):
            Policy(drift="loose")

    def test_repr(self) -> None:
        registry = Registry()
        assert repr(registry) == "<Registry of 0 classes>"
        for n, cls in enumerate((Path, Policy, PackOptions, Registry, MigrationError, RegistryError)):
            registry.register(cls, f"c{n}")
        assert repr(registry) == "<Registry of 6 classes: c0, c1, c2, c3, c4, ...>"


class TestUpgrade:
    NEW = task("title: str; n: int = 1", "", REGISTER.format(1) + STEP.format(0, "state['title'] = state.pop('name')"))

    def test_an_upgrade_writes_the_file_once(self, tmp_path: Path) -> None:
        path = tmp_path / "task.pseal"
        with installed(MODULE, task("name: str")) as module:
            pickleseal.dump([module.Task("x")] * 2, path, meta={"k": "v"}, durable=False)
        before = pickleseal.peek(path)
        registry = Registry()
        with installed(MODULE, self.NEW, registry=registry) as module:
            policy = Policy(registry=registry)
            assert pickleseal.maintenance.upgrade(path, policy=policy, durable=False) is True
            after = pickleseal.verify(path)
            assert (after.created, dict(after.meta)) == (before.created, {"k": "v"})
            assert after.types["jobs.Task"].version == 1
            assert after.ext["pickleseal.history"] == [
                {
                    "build": dict(before.build),
                    "type": "builtins:list",
                    "version": 0,
                    "xxh3": f"{before.preamble.header_xxh3:016x}",
                }
            ]
            obj = pickleseal.load(path, policy=policy)
            assert obj[0] is obj[1]
            assert (obj[0].title, obj[0].n) == ("x", 1)
            bytes_now = path.read_bytes()
            assert pickleseal.maintenance.upgrade(path, policy=policy) is False
            assert path.read_bytes() == bytes_now
            assert list(tmp_path.iterdir()) == [path]
        registry = Registry()
        changed = self.NEW.replace("n: int = 1", "m: int = 1")
        with installed(MODULE, changed, registry=registry), pytest.raises(SchemaDriftError):
            pickleseal.maintenance.upgrade(path, policy=Policy(registry=registry))
        assert path.read_bytes() == bytes_now
        with installed(MODULE, self.NEW.replace("n: int = 1", "m: int = 0; n: int = 1"), registry=Registry()) as module:
            policy = Policy(registry=module.registry)
            assert pickleseal.maintenance.upgrade(path, policy=policy, durable=False) is True
            assert [entry["type"] for entry in pickleseal.peek(path).ext["pickleseal.history"]] == ["builtins:list"] * 2

    def test_a_failed_migration_leaves_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "task.pseal"
        with installed(MODULE, task("name: str")) as module:
            pickleseal.dump(module.Task("x"), path, durable=False)
        before = path.read_bytes()
        registry = Registry()
        failing = self.NEW.replace("'name'", "'nope'")
        with installed(MODULE, failing, registry=registry), pytest.raises(MigrationError) as caught:
            pickleseal.maintenance.upgrade(path, policy=Policy(registry=registry))
        assert caught.value.path == str(path)
        assert path.read_bytes() == before

    def test_a_moved_class_gets_its_new_name(self, tmp_path: Path) -> None:
        path = tmp_path / "task.pseal"
        with installed(MODULE, task("name: str")) as module:
            pickleseal.dump(module.Task("x"), path, durable=False)
        with installed("evolving_b", task("name: str")) as module:
            policy = Policy(renames={MODULE: "evolving_b"})
            assert pickleseal.maintenance.upgrade(path, trust=[module.Task], policy=policy, durable=False) is True
            assert pickleseal.maintenance.upgrade(path, trust=[module.Task], policy=policy) is False
            header = pickleseal.peek(path)
            assert (header.type, header.globals) == ("evolving_b:Task", ("evolving_b:Task",))
            assert pickleseal.load(path, expect=module.Task) == module.Task("x")

    def test_a_batch_stays_a_batch_and_plain_values_are_current(self, tmp_path: Path) -> None:
        from _helpers.support import VECTORS

        path = tmp_path / "batch.pseal"
        path.write_bytes((VECTORS / "valid" / "records.pseal").read_bytes())
        assert pickleseal.maintenance.upgrade(path) is False

    def test_a_sealed_artifact_is_left_alone(self, tmp_path: Path) -> None:
        from _helpers.support import VECTORS

        path = tmp_path / "sealed.pseal"
        sealed = min((VECTORS / "valid").glob("seal*.pseal"))
        path.write_bytes(sealed.read_bytes())
        with pytest.raises(pickleseal.errors.PolicyError, match="seal"):
            pickleseal.maintenance.upgrade(path)


# --- any sequence of changes equals the same changes made by hand -----------------------------------------------------

FRAMEWORKS = {"attrs", "msgspec", "pydantic"}
NAMES = [f"f{n}" for n in range(8)]
KINDS = {
    "dataclass": "@d.dataclass\nclass T:\n",
    "frozen slots": "@d.dataclass(frozen=True, slots=True)\nclass T:\n",
    "attrs": "import attrs\n@attrs.define\nclass T:\n",
    "msgspec": "import msgspec\nclass T(msgspec.Struct):\n",
    "pydantic": "import pydantic\nclass T(pydantic.BaseModel):\n",
    "namedtuple": "class T(NamedTuple):\n",
    "slots": "class T:\n    def __init__(self, **kw):\n        for k, v in kw.items(): setattr(self, k, v)\n",
    "plain": "class T:\n    def __init__(self, **kw):\n        for k, v in kw.items(): setattr(self, k, v)\n",
}


KINDS = {kind: head for kind, head in KINDS.items() if kind not in FRAMEWORKS or importlib.util.find_spec(kind)}


def text_of_class(kind: str, names: list[str], version: int, steps: list[str]) -> str:
    head = "import dataclasses as d\nfrom typing import *\n" + KINDS[kind]
    if kind == "slots":
        head += f"    __slots__ = {tuple(names)!r}\n"
    body = "".join(f"    {name}: int\n" for name in names) if kind != "slots" else ""
    more = f"registry.register(T, 'T', version={version})\n"
    for number, step in enumerate(steps):
        more += f"@registry.migration('T', from_version={number})\ndef step_{number}(s):\n    {step}\n    return s\n"
    return head + body + more


def evolve(random_: random.Random, names: list[str]) -> tuple[list[str], str]:
    """Change a list of fields at random; return the new one and the source of the step that does it to a state."""
    change = random_.choice(["rename", "reorder", "add", "remove"])
    free = [name for name in NAMES if name not in names]
    names = list(names)
    if change == "rename" and free:
        index, new = random_.randrange(len(names)), random_.choice(free)
        step, names[index] = f"s[{new!r}] = s.pop({names[index]!r})", new
    elif change == "add" and free:
        new = random_.choice(free)
        names.insert(random_.randint(0, len(names)), new)
        step = f"s[{new!r}] = sum(s.values())"
    elif change == "remove" and len(names) > 1:
        step = f"del s[{names.pop(random_.randrange(len(names)))!r}]"
    else:
        random_.shuffle(names)
        step = "pass"
    return names, step


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    seed=st.integers(0, 2**32),
    count=st.integers(1, 5),
    values=st.lists(st.integers(), min_size=8, max_size=8),
)
def test_loading_any_version_equals_migrating_by_hand(kind: str, seed: int, count: int, values: list[int]) -> None:
    """Loading an artifact of any version gives what the same steps give on the plain values."""
    random_ = random.Random(seed)
    histories, steps = [random_.sample(NAMES, random_.randint(1, 5))], []
    for _ in range(count):
        names, step = evolve(random_, histories[-1])
        histories.append(names)
        steps.append(step)
    artifacts = []
    for version, names in enumerate(histories):
        registry = Registry()
        with installed(MODULE, text_of_class(kind, names, version, steps[:version]), registry=registry) as module:
            state = dict(zip(names, values, strict=False))
            obj = module.T(**state)
            data = pickleseal.pack({"one": obj, "two": [obj]}, options=PackOptions(registry=registry))
            artifacts.append((version, state, data))
    registry = Registry()
    with installed(MODULE, text_of_class(kind, histories[-1], count, steps), registry=registry) as module:
        for version, state, data in artifacts:
            wanted = dict(state)
            for step in steps[version:]:
                exec(step, {"s": wanted})
            loaded = pickleseal.unpack(data, policy=Policy(registry=registry))
            assert loaded["one"] is loaded["two"][0]
            assert {name: getattr(loaded["one"], name) for name in histories[-1]} == wanted
            assert type(loaded["one"]) is module.T


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)), order=st.permutations(NAMES[:5]), values=st.lists(st.integers(), min_size=5)
)
def test_any_order_of_fields_is_resolved_by_name(kind: str, order: list[str], values: list[int]) -> None:
    """A value never reaches a field by position where the order differs."""
    registry = Registry()
    with installed(MODULE, text_of_class(kind, NAMES[:5], 0, []), registry=registry) as module:
        state = dict(zip(NAMES[:5], values, strict=False))
        data = pickleseal.pack(module.T(**state), options=PackOptions(registry=registry))
    registry = Registry()
    with installed(MODULE, text_of_class(kind, list(order), 0, []), registry=registry):
        loaded = pickleseal.unpack(data, policy=Policy(registry=registry))
        assert {name: getattr(loaded, name) for name in state} == state


# --- what writers say -------------------------------------------------------------------------------------------------


class TestDescribing:
    def test_defaults_that_lie_on_the_class_are_recorded_and_compared(self) -> None:
        old = task("a: int; b: int = field(default=5, init=False)", "", "class Plain:\n    x: int = 3\n    y: str\n")
        data = pack_old(old, lambda m: [m.Task(1), m.Plain()])
        types = pickleseal.peek(data).types
        assert types[f"{MODULE}:Task"].defaults == (("b", "5"),)
        assert types[f"{MODULE}:Plain"].defaults == (("x", "3"),)
        new = old.replace("default=5", "default=6").replace("x: int = 3", "x: int = 4")
        with installed(MODULE, new) as module, pytest.warns(SchemaWarning) as caught:
            pickleseal.unpack(data, trust=[module.Task, module.Plain])
        assert len(caught) == 2
        with installed(MODULE, new) as module, pytest.raises(SchemaDriftError, match="default of 'b'"):
            pickleseal.unpack(data, trust=[module.Task, module.Plain], policy=Policy(drift="strict"))

    def test_the_standard_library_is_not_described_and_enums_have_their_aliases(self) -> None:
        import fractions
        import http

        assert pickleseal.peek(pickleseal.pack([http.HTTPStatus.OK, fractions.Fraction(1)])).types == {}
        text = "import enum\nclass E(enum.IntFlag):\n    A = 1\n    B = 2\n    C = 3\n    D = 1\n"
        data = pack_old(text, lambda m: m.E.A)
        assert pickleseal.peek(data).types[f"{MODULE}:E"].fields == (("A", "1"), ("B", "2"), ("C", "3"), ("D", "1"))

    def test_class_variables_are_not_fields(self) -> None:
        old = task(
            "a: int; b: ClassVar[int] = 1; c: InitVar[int] = 2; d: 'ClassVar[int]' = 3; e: int = 4", "(kw_only=True)"
        )
        data = pack_old("from dataclasses import InitVar\n" + old, lambda m: m.Task(a=1))
        assert [name for name, _ in pickleseal.peek(data).types[f"{MODULE}:Task"].fields] == ["a", "e"]
        text = "from typing import *\nclass P:\n    a: int\n    b: ClassVar[int] = 1\n    c: 'ClassVar'\n"
        text += "class Q(P):\n    z: str\n"
        data = pack_old(text, lambda m: m.Q())
        assert pickleseal.peek(data).types[f"{MODULE}:Q"].fields == (("a", "int"), ("z", "str"))

    def test_private_slots_are_named_as_pickle_names_them(self) -> None:
        text = "class _A:\n    __slots__ = ('__x', 'y')\n    def __init__(self): self.__x, self.y = 1, 2\n"
        text += "class B(_A):\n    __slots__ = ('z', '__weakref__')\n"
        data = pack_old(text, lambda m: m.B())
        assert pickleseal.peek(data).types[f"{MODULE}:B"].fields == (("_A__x", ""), ("y", ""), ("z", ""))

    def test_classes_with_unusual_attributes_are_packed_without_a_schema(self) -> None:
        text = "class M(type):\n    def __getattribute__(cls, name):\n        if name == '__mro__': raise OSError\n"
        text += "        return super().__getattribute__(name)\nclass Odd(metaclass=M):\n    a: int\n"
        assert pickleseal.peek(pack_old(text, lambda m: m.Odd())).types == {}
        text = "import enum\nE = enum.Enum('E', {'a\\nb': 1}, module=__name__)\n"
        assert pickleseal.peek(pack_old(text, lambda m: next(iter(m.E)))).types[f"{MODULE}:E"].fields == ()

    def test_a_schema_is_described_once_and_goes_with_its_class(self) -> None:
        from pickleseal._schema.describe import describe, descriptions

        cls = dataclasses.make_dataclass("Temporary", ["a"])
        assert describe(cls) is describe(cls)
        key = weakref.ref(cls)
        assert key in descriptions.values
        del cls
        gc.collect()
        assert key not in descriptions.values
