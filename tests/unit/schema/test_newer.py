"""Rolling deploys: artifacts of newer code, whose classes have fields that this code does not know (`Policy.newer`)."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any, Literal

import pytest
from _helpers.evolving import (
    FIELDS,
    HEADS,
    MODULE,
    REGISTER,
    STEP,
    VALUES,
    installed,
    pack_old,
    source,
    task,
)

import pickleseal
from pickleseal import Policy, Registry
from pickleseal.errors import MigrationError, SchemaDriftError, SchemaVersionError, SchemaWarning

pytestmark = pytest.mark.usefixtures("engine")

NOTE = ("note", "str", "'n'")
# Where the new field may stand before others: elsewhere a field with a default comes last.
IN_THE_MIDDLE = ("dataclass_kw_only", "pydantic", "msgspec_kw_only", "slots", "plain")
HAS_DICT = ("dataclass", "dataclass_frozen", "dataclass_kw_only", "attrs_dict", "plain")
PACKAGES = {"attrs": "attrs", "pydantic": "pydantic", "msgspec": "msgspec"}
ENUM = "import enum\nclass Task(enum.{}):\n    LOW = 1\n    HIGH = 2\n"


def newer_source(kind: str) -> str:
    if kind not in IN_THE_MIDDLE:
        return source(kind, (*FIELDS, NOTE))
    return source(kind, (FIELDS[0], NOTE, *FIELDS[1:]))


def read(data: bytes, text: str, newer: Literal["refuse", "drop", "keep"], **policy: Any) -> Any:
    """Unpack with the classes of a source, and trust for all that the header names. Return the module as well."""
    with installed(MODULE, text, registry=Registry()) as module:
        registry = policy.setdefault("registry", module.registry)
        assert registry is module.registry
        return pickleseal.unpack(data, trust=pickleseal.peek(data).globals, policy=Policy(newer=newer, **policy))


@pytest.fixture(params=HEADS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    pytest.importorskip(PACKAGES.get(kind.partition("_")[0], "dataclasses"))
    return kind


def test_new_fields_are_dropped_from_objects_of_every_kind(kind: str) -> None:
    def make(module: Any) -> Any:
        first = module.Trade(**VALUES, note="hello")
        return [first, {"same": first}, module.Trade(account="B", qty=7, price=0.5, note="other")]

    data = pack_old(newer_source(kind), make)
    with pytest.raises(SchemaDriftError, match=r'Policy\(newer="drop"\) reads it without'):
        read(data, source(kind), "refuse")
    with pytest.warns(SchemaWarning, match="this code does not know 'note', which is dropped") as caught:
        first, shared, other = read(data, source(kind), "drop")
    assert len(caught) == 1  # for the class, not for each object
    assert shared["same"] is first
    assert [[getattr(obj, name) for name, _, _ in FIELDS] for obj in (first, other)] == [["A", 100, 2.5], ["B", 7, 0.5]]
    assert not hasattr(first, "note")
    with pytest.raises(SchemaDriftError):  # what one policy accepts, another does not
        read(data, source(kind), "refuse")


def test_new_fields_are_kept_where_objects_have_a_place_for_them(kind: str) -> None:
    data = pack_old(newer_source(kind), lambda m: [m.Trade(**VALUES, note="hello")])
    if kind not in HAS_DICT:
        with pytest.raises(SchemaDriftError, match="'note', which has no place in its objects") as caught:
            read(data, source(kind), "keep")
        assert 'Policy(newer="drop")' in str(caught.value.hint)
        return
    with installed(MODULE, source(kind), registry=Registry()) as module:
        with pytest.warns(SchemaWarning, match="'note', which is kept as an attribute"):
            [obj] = pickleseal.unpack(data, trust=[module.Trade], policy=Policy(newer="keep"))
        assert (obj.note, obj.qty) == ("hello", 100)
        again = pickleseal.pack([obj])
    with installed(MODULE, newer_source(kind)) as module:  # and the newer code gets it back
        assert pickleseal.unpack(again, trust=[module.Trade])[0].note == "hello"


def test_models_with_extra_fields_keep_them_as_such() -> None:
    pytest.importorskip("pydantic")
    text = "import pydantic\nclass Task(pydantic.BaseModel):\n    model_config = {'extra': 'allow'}\n    a: int\n"
    data = pack_old(text + "    b: int = 2\n", lambda m: m.Task(a=1, b=5, c=6))
    with pytest.warns(SchemaWarning, match="is kept"):
        obj = read(data, text, "keep")
    assert (obj.b, obj.model_extra, obj.model_fields_set) == (5, {"b": 5, "c": 6}, {"a"})
    with pytest.warns(SchemaWarning, match="is dropped"):
        obj = read(data, text, "drop")
    assert (obj.model_extra, obj.model_fields_set) == ({"c": 6}, {"a"})


@pytest.mark.parametrize("member", ["def note(self): return 1", "@property\n    def note(self): return 1"])
def test_a_kept_field_hides_no_method_of_the_class(member: str) -> None:
    data = pack_old(task("a: int; note: str"), lambda m: m.Task(1, "x"))
    text = task("a: int") + f"    {member}\n"
    with pytest.raises(SchemaDriftError, match="no place"):
        read(data, text, "keep")
    with pytest.warns(SchemaWarning, match="is dropped"):
        assert read(data, text, "drop").a == 1


@pytest.mark.parametrize(
    "now",
    [
        "a: int; title: str",  # a rename may be behind it
        "a: int; title: str = 'x'",
        "title: str; name: str = 'x'",
    ],
)
def test_a_class_with_a_field_that_is_not_recorded_is_refused_as_ever(now: str) -> None:
    data = pack_old(task("a: int; name: str"), lambda m: m.Task(1, "x"))
    for newer in ("drop", "keep"):
        with pytest.raises(SchemaDriftError, match="removed or renamed"):
            read(data, task(now), newer)


def test_registered_renames_are_no_new_fields() -> None:
    data = pack_old(task("pay: int; note: str"), lambda m: m.Task(1, "x"))
    text = task("salary: int", "", "registry.register(Task, 'x.Task', renames={'pay': 'salary'})\n")
    with pytest.raises(SchemaDriftError, match="'note' was removed or renamed"):
        read(data, text, "drop")


def test_another_change_of_the_class_is_still_refused() -> None:
    data = pack_old(task("a: int; note: str"), lambda m: m.Task(1, "x"))
    for now in ("from typing import NamedTuple\nclass Task(NamedTuple):\n    a: int\n", "class Task:\n    a: int\n"):
        with pytest.raises(SchemaDriftError):
            read(data, now, "drop")


def test_a_newer_version_is_never_read() -> None:
    data = pack_old(task("a: int; note: str", "", REGISTER.format(2)), lambda m: m.Task(1, "x"))
    for newer in ("drop", "keep"):
        with pytest.raises(SchemaVersionError):
            read(data, task("a: int", "", REGISTER.format(1)), newer)
    data = pack_old(task("a: int; note: str", "", REGISTER.format(1)), lambda m: m.Task(1, "x"))
    with pytest.warns(SchemaWarning, match="is dropped"):
        assert read(data, task("a: int", "", REGISTER.format(1)), "drop").a == 1
    more = REGISTER.format(2) + STEP.format(1, "del state['note']")  # an older version goes through its migration
    assert read(data, task("a: int", "", more), "drop").a == 1


def test_strict_and_ignore_come_first() -> None:
    data = pack_old(task("a: int; note: str"), lambda m: m.Task(1, "x"))
    with pytest.raises(SchemaDriftError) as caught:
        read(data, task("a: int"), "drop", drift="strict")
    assert "newer=" not in str(caught.value.hint)
    assert read(data, task("a: int"), "drop", drift="ignore").note == "x"
    with pytest.warns(SchemaWarning, match="is dropped"):
        read(data, task("a: int"), "drop", drift={"*": "resolve", "pandas": "strict"})


@pytest.mark.parametrize("base", ["Enum", "IntEnum", "StrEnum", "Flag"])
def test_an_enum_with_a_new_member(base: str) -> None:
    text = ENUM.format(base)
    if base == "StrEnum":
        text = "import enum\nclass Task(str, enum.Enum):\n    LOW = '1'\n    HIGH = '2'\n"
    more = text + ("    URGENT = '4'\n" if base == "StrEnum" else "    URGENT = 4\n")
    data = pack_old(more, lambda m: [m.Task.HIGH, m.Task.LOW])
    with pytest.raises(SchemaDriftError, match=r'Policy\(newer="drop"\)'):
        read(data, text, "refuse")
    unknown = pack_old(more, lambda m: [m.Task.HIGH, m.Task.URGENT])
    for newer in ("drop", "keep"):
        with pytest.warns(SchemaWarning, match="'URGENT', which is refused where it occurs"):
            assert [member.name for member in read(data, text, newer)] == ["HIGH", "LOW"]
        with pytest.raises(MigrationError, match="making it raised ValueError"):
            read(unknown, text, newer)
    swapped = text.replace("LOW", "X").replace("HIGH", "LOW").replace("X", "HIGH")
    with pytest.raises(SchemaDriftError, match="the value of"):
        read(data, swapped, "drop")


def test_aliases_that_newer_code_put_first() -> None:
    data = pack_old("import enum\nclass Task(enum.Enum):\n    MINOR = 1\n    LOW = 1\n", lambda m: m.Task.LOW)
    with pytest.warns(SchemaWarning, match="MINOR"):
        assert read(data, "import enum\nclass Task(enum.Enum):\n    LOW = 1\n", "drop").name == "LOW"


def test_nested_objects_of_several_classes(tmp_path: Path) -> None:
    text = task("a: object{}") + "@dataclass(frozen=True, slots=True)\nclass Line:\n    n: int\n{}"
    make = lambda m: m.Task([m.Line(1, 2), m.Line(3, 4)], "x")  # noqa: E731
    data = pack_old(text.format("; note: str", "    more: int\n"), make)
    with pytest.warns(SchemaWarning) as caught:
        obj = read(data, text.format("", ""), "drop")
    assert [line.n for line in obj.a] == [1, 3]
    assert len(caught) == 2


def test_validation_still_runs() -> None:
    data = pack_old(task("a: int; note: str"), lambda m: m.Task(1, "x"))
    text = task("a: int", "", "registry.register(Task, 'x.Task', validate=lambda t: t.a > 5)\n")
    with pytest.raises(pickleseal.errors.InvalidObjectError):
        read(data, text, "drop")


def test_what_a_policy_takes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="newer: expected one of refuse, drop, keep, found 'Drop'"):
        Policy(newer="Drop")  # type: ignore[arg-type]
    path = tmp_path / "policy.toml"
    path.write_text('newer = "keep"\n')
    policy = Policy.from_toml(path)
    assert policy.newer == "keep"
    assert pickle.loads(pickle.dumps(policy)) == policy == copy.copy(policy) != Policy()
    path.write_text('drift = "resolve"\nnewer = "drops"\n')
    with pytest.raises(ValueError, match=r"policy\.toml:2: newer: .* did you mean 'drop'\?"):
        Policy.from_toml(path)


def test_files_are_not_upgraded_without_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    pickleseal.dump([1], path)
    with pytest.raises(ValueError, match="newer"):
        pickleseal.maintenance.upgrade(path, policy=Policy(newer="drop"))
