"""What a refusal of a changed class says, and what wrong use of a registry gets."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from _helpers import lying
from _helpers.evolving import MODULE, REGISTER, installed, pack_old, task, unpack_new

import pickleseal
from pickleseal import PackOptions, Policy, Registry
from pickleseal.errors import (
    ClassMissingError,
    InvalidObjectError,
    RegistryError,
    SchemaDriftError,
    SchemaVersionError,
    SchemaWarning,
    TypeMismatchError,
    UntrustedGlobalError,
)

pytestmark = pytest.mark.usefixtures("engine")


def refusal(old: str, new: str, **arguments: Any) -> Any:
    make = arguments.pop("make", lambda m: m.Task(**dict.fromkeys(m.Task.__annotations__, 1)))
    data = pack_old(old, make)
    registry = Registry()
    with installed(MODULE, new, registry=registry) as module, pytest.raises(pickleseal.errors.ReadError) as caught:
        pickleseal.unpack(data, trust=[module.Task], policy=Policy(registry=registry), **arguments)
    return caught.value


def test_all_renames_of_a_class_are_one_fix() -> None:
    error = refusal(task("a: int; b: str; c: float"), task("x: float; y: int; z: str"))
    assert 'if renamed: register(Task, "evolving_jobs.Task", renames={"a": "y", "b": "z", "c": "x"})' in error.hint
    assert "default" not in error.hint
    assert [change.what for change in error.changes] == ["removed"] * 3 + ["added"] * 3
    text = task("x: float; y: int; z: str", "", "from pickleseal import *\n")
    text += 'registry.register(Task, "evolving_jobs.Task", renames={"a": "y", "b": "z", "c": "x"})\n'
    assert unpack_new(pack_old(task("a: int; b: str; c: float"), lambda m: m.Task(1, "b", 2.0)), text).z == "b"


def test_a_registered_class_is_named_as_it_is_registered() -> None:
    error = refusal(task("a: int"), task("a: int; b: int", "", REGISTER.format(0)))
    assert 'artifact("jobs.Task", version=1), and set \'b\' in @migration("jobs.Task", from_version=0)' in error.hint
    assert "if newer code wrote it (created 20" in error.hint


def test_the_refusal_of_several_classes_names_the_changes_of_each() -> None:
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


def test_the_refusal_of_an_unknown_registered_name_says_what_to_import() -> None:
    data = pack_old(task("a: int", "", REGISTER.format(1)), lambda m: m.Task(1))
    with pytest.raises(UntrustedGlobalError, match=r"import the module that registers jobs\.Task"):
        pickleseal.unpack(data)
    with pytest.raises(ClassMissingError, match=r"import the module that registers jobs\.Task"):
        pickleseal.unpack(data, trust=[f"{MODULE}:Task"])
    with installed(MODULE, task("a: int")) as module, pytest.raises(SchemaVersionError, match="import the module"):
        pickleseal.unpack(data, expect=module.Task)


def test_a_label_as_type_is_not_taken_for_a_registered_name() -> None:
    with installed(MODULE, task("a: int")) as module:
        data = pickleseal.pack(module.Task(1), type="report")
    with pytest.raises(UntrustedGlobalError) as caught:
        pickleseal.unpack(data)
    assert "registers" not in str(caught.value)


def test_a_reader_without_the_registration_may_expect_the_class() -> None:
    data = pack_old(task("a: int", "", REGISTER.format(0)), lambda m: m.Task(1))
    with installed(MODULE, task("a: int")) as module:
        assert pickleseal.unpack(data, expect=module.Task) == module.Task(1)
        with pytest.raises(TypeMismatchError, match=r'it is another class; to accept it, pass expect="jobs\.Task"'):
            pickleseal.unpack(data, expect=Path)
    with pytest.raises(TypeMismatchError, match=r'formerly=\["jobs.Task"\]'):
        pickleseal.unpack(data, expect=Path)


def test_a_missing_migration_names_the_old_and_new_fields() -> None:
    error = refusal(task("a: int"), task("b: int", "", REGISTER.format(1)))
    assert error.hint.startswith('write @migration("jobs.Task", from_version=0); the class had a and has b')


def test_the_fix_says_which_kind_a_class_can_not_become() -> None:
    pytest.importorskip("pydantic")
    error = refusal(task("a: int"), "import pydantic\nclass Task(pydantic.BaseModel):\n    a: int\n")
    assert "can't become pydantic in place" in error.hint


def test_the_fix_for_an_enum_speaks_of_members() -> None:
    text = "import enum\nclass Task(enum.Enum):\n    A = 1\n    B = 2\n"
    error = refusal(text, text.replace("    B = 2\n", ""), make=lambda m: m.Task.B)
    assert "return another member's name" in error.hint


def test_a_writer_that_does_not_know_the_registration_warns() -> None:
    registry = Registry()
    with installed(MODULE, task("a: int", "", REGISTER.format(1)), registry=registry) as module:
        with pytest.warns(pickleseal.errors.PackWarning, match="registry of these options"):
            pickleseal.pack(module.Task(1))
        pickleseal.pack(module.Task(1), options=PackOptions(registry=registry))


def test_warnings_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "old.pseal"
    path.write_bytes(pack_old(task("a: int"), lambda m: m.Task(1)))
    with installed(MODULE, task("a: float")) as module, pytest.warns(SchemaWarning) as caught:
        pickleseal.load(path, trust=[module.Task])
    assert str(caught[0].message).startswith(f"{path}: {MODULE}:Task: 'a' was annotated int and is float")


def test_invalid_objects_are_shown() -> None:
    text = task("a: int", "", "registry.register(Task, 'jobs.Task', validate=lambda t: False)\n")
    with pytest.raises(InvalidObjectError) as caught:
        unpack_new(pack_old(task("a: int"), lambda m: m.Task(1)), text)
    assert caught.value.found == "Task(a=1)"


@pytest.mark.parametrize("renames", [{"a": "b"}, {"x": "a"}, {"x": "nope"}])
def test_renames_that_contradict_the_fields_are_refused(renames: dict[str, str]) -> None:
    registry = Registry()
    with installed(MODULE, task("a: int; b: int")) as module:
        if renames == {"x": "a"}:
            registry.register(module.Task, "t", renames=renames)
            return
        with pytest.raises(RegistryError, match="renames"):
            registry.register(module.Task, "t", renames=renames)


def test_wrong_use() -> None:
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
    with pytest.raises(TypeError, match="expected a PackOptions"):
        pickleseal.pack(1, options="x")  # type: ignore[arg-type]


def test_check_wants_the_last_step_of_every_class_beyond_version_one() -> None:
    registry = Registry()
    registry.register(Path, "born-at-one", version=1)
    registry.check()
    registry.register(Policy, "p", version=3)
    with pytest.raises(RegistryError, match="end before"):
        registry.check()
    registry.migration("p", from_version=2, renames={"a": "b"})
    registry.check()


def test_foreign_text_is_escaped_in_warnings() -> None:
    data = pack_old(task("a: int"), lambda m: m.Task(1))
    header, payload = lying.parts(data)
    header["types"][f"{MODULE}:Task"]["fields"] = [["a", "evil\n\x1b[2J" + "z" * 5000]]
    del header["sections"]
    from frames import Frame

    with installed(MODULE, task("a: int")) as module, pytest.warns(SchemaWarning) as caught:
        pickleseal.unpack(Frame(payload, **header).data, trust=[module.Task])
    assert str(caught[0].message).isprintable()
    assert len(str(caught[0].message)) < 1000


def test_registry_errors_about_any_value_survive_pickling() -> None:
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


def test_texts_do_not_depend_on_the_unicode_tables() -> None:
    text = "import enum\nclass T(enum.Enum):\n SHAKE = '\\U0001FAE8'\n"
    header = pickleseal.peek(pack_old(text, lambda m: m.T.SHAKE))
    assert header.types[f"{MODULE}:T"].fields == (("SHAKE", "'\\U0001fae8'"),)
