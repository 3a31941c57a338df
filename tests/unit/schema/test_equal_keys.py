"""Keys that were different when they were pickled and are equal after a migration: nothing is lost in silence."""

from __future__ import annotations

from typing import Any

import pytest
from _helpers.evolving import MODULE, REGISTER, STEP, installed, pack_old, task

import pickleseal
from pickleseal import Policy, Registry
from pickleseal.errors import MigrationError, SchemaWarning

pytestmark = pytest.mark.usefixtures("engine")

KEY, MIGRATION = REGISTER.format(0), REGISTER.format(1) + STEP.format(0, "state.pop('b', None)")
OLD = {
    "frozen": task("a: int; b: int", "(frozen=True)", KEY),
    "frozen slots": task("a: int; b: int", "(frozen=True, slots=True)", KEY),
    "named tuple": "from typing import NamedTuple\nclass Task(NamedTuple):\n    a: int\n    b: int\n" + KEY,
}
NEW = {
    "frozen": task("a: int", "(frozen=True)", MIGRATION),
    "frozen slots": task("a: int", "(frozen=True, slots=True)", MIGRATION),
    "named tuple": "from typing import NamedTuple\nclass Task(NamedTuple):\n    a: int\n" + MIGRATION,
}
CONTAINERS = {
    "dict": lambda one, other: {one: 1, other: 2},
    "a dict with other keys": lambda one, other: {**{str(n): n for n in range(2000)}, one: 1, other: 2},
    "set": lambda one, other: {one, other},
    "frozenset": lambda one, other: frozenset({one, other}),
    "tuples as keys": lambda one, other: {(one, 1): 1, (other, 1): 2},
    "ordered": lambda one, other: __import__("collections").OrderedDict([(one, 1), (other, 2)]),
    "counter": lambda one, other: __import__("collections").Counter([one, other]),
    "default": lambda one, other: __import__("collections").defaultdict(int, {one: 1, other: 2}),
    "nested": lambda one, other: [{"deep": {one: 1, other: 2}}],
}


def read(data: bytes, text: str, **policy: Any) -> Any:
    with installed(MODULE, text, registry=Registry()) as module:
        return pickleseal.unpack(data, policy=Policy(registry=module.registry, **policy))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", OLD)
def test_keys_that_a_migration_makes_equal_are_refused(kind: str, container: str) -> None:
    make = CONTAINERS[container]
    data = pack_old(OLD[kind], lambda m: make(m.Task(1, 2), m.Task(1, 3)))
    with pytest.raises(MigrationError, match="two keys of a dict or set are equal now") as caught:
        read(data, NEW[kind])
    assert "jobs.Task" in str(caught.value.hint)
    assert "Task(a=1)" in str(caught.value.found)
    data = pack_old(OLD[kind], lambda m: make(m.Task(1, 2), m.Task(2, 3)))
    assert "Task(a=1)" in repr(read(data, NEW[kind]))
    assert "Task(a=2)" in repr(read(data, NEW[kind]))


@pytest.mark.parametrize("kind", OLD)
def test_equal_objects_that_are_no_keys_are_loaded(kind: str) -> None:
    data = pack_old(OLD[kind], lambda m: [m.Task(1, 2), m.Task(1, 3), {"x": m.Task(1, 2)}, {m.Task(1, 2): 1}])
    first, second, third, fourth = read(data, NEW[kind])
    assert first == second == third["x"] == next(iter(fourth))


def test_members_of_an_enum_that_became_one() -> None:
    text = "import enum\nclass Task(enum.Enum):\n    RED = 1\n    CRIMSON = 2\n"
    body = "state['name'] = 'RED'"
    new = "import enum\nclass Task(enum.Enum):\n    RED = 1\n" + REGISTER.format(1) + STEP.format(0, body)
    data = pack_old(text + KEY, lambda m: {m.Task.RED: "a", m.Task.CRIMSON: "b"})
    with pytest.raises(MigrationError, match="two keys"):
        read(data, new)
    data = pack_old(text + KEY, lambda m: [m.Task.RED, m.Task.CRIMSON])
    assert len({id(member) for member in read(data, new)}) == 1


def test_keys_that_lose_a_newer_field() -> None:
    old, new = task("a: int", "(frozen=True)", KEY), task("a: int; b: int", "(frozen=True)", KEY)
    data = pack_old(new, lambda m: {m.Task(1, 2): 1, m.Task(1, 3): 2})
    with pytest.raises(MigrationError, match="two keys"):
        read(data, old, newer="drop")
    data = pack_old(new, lambda m: {m.Task(1, 2): 1, m.Task(2, 3): 2})
    with pytest.warns(SchemaWarning):
        assert len(read(data, old, newer="drop")) == 2


def test_sets_with_a_class_of_their_own() -> None:
    text = "class Bag(set):\n    pass\nclass Odd(set):\n    def __init__(self, items=()): super().__init__([1])\n"
    more = "registry.register(Bag, 'x.Bag')\nregistry.register(Odd, 'x.Odd')\n"
    data = pack_old(OLD["frozen"] + text + more, lambda m: m.Bag([m.Task(1, 2), m.Task(1, 3)]))
    with pytest.raises(MigrationError, match="two keys"):
        read(data, NEW["frozen"] + text + more)
    data = pack_old(OLD["frozen"] + text + more, lambda m: [m.Odd(), m.Task(1, 2)])
    assert read(data, NEW["frozen"] + text + more)[0] == {1}


def test_unchanged_keys_are_not_looked_at() -> None:
    data = pack_old(OLD["frozen"], lambda m: {m.Task(1, 2): 1, m.Task(1, 3): 2})
    assert len(read(data, OLD["frozen"])) == 2
    validated = OLD["frozen"].replace(KEY, "registry.register(Task, 'jobs.Task', validate=lambda task: True)\n")
    assert len(read(data, validated)) == 2


def test_an_object_with_an_attribute_too_many_for_slots() -> None:
    def make(module: Any) -> Any:
        obj = module.Task(1)
        obj.extra = 5
        return [obj]

    data = pack_old(task("a: int"), make)
    for flags in ("(slots=True)", "(slots=True, frozen=True)"):
        text = "the object has 'extra', and its class has slots alone"
        with installed(MODULE, task("a: int", flags)) as module, pytest.raises(MigrationError, match=text) as caught:
            pickleseal.unpack(data, trust=[module.Task])
        assert "give the class a __dict__" in str(caught.value.hint)
    more = REGISTER.format(1) + STEP.format(0, "state.pop('extra', None)")
    data = pack_old(task("a: int", "", KEY), make)
    assert read(data, task("a: int", "(slots=True)", more))[0].a == 1


@pytest.mark.parametrize("now", ["def Task(a): return a\n", "import functools\nTask = functools.lru_cache(int)\n"])
@pytest.mark.parametrize("was", [task("a: int"), "import enum\nclass Task(enum.Enum):\n    A = 1\n"])
def test_a_class_that_became_a_function(was: str, now: str) -> None:
    data = pack_old(was, lambda m: m.Task(1))
    trust = [f"{MODULE}:Task"]
    with installed(MODULE, now), pytest.raises(pickleseal.errors.SchemaDriftError) as caught:
        pickleseal.unpack(data, trust=trust)
    [change] = caught.value.changes
    assert (change.what, change.level) == ("kind", "refused")
    assert f'Policy(renames={{"{MODULE}:Task": "its.module:Class"}})' in str(caught.value.hint)
    with installed(MODULE, now), installed("evolving_b", was) as there:
        policy = Policy(renames={f"{MODULE}:Task": "evolving_b:Task"})
        assert pickleseal.unpack(data, trust=[there.Task], policy=policy) == there.Task(1)


@pytest.mark.parametrize("kind", ["frozen", "frozen slots"])
def test_many_equal_objects_that_are_no_keys(kind: str) -> None:
    """Objects of classes beside them, whose code asks for hashes, or for what the objects hold, change nothing."""
    text = (
        "class Holder:\n"
        "    def __init__(self, task): self.task = task\n"
        "    def __getstate__(self): return {'task': self.task}\n"
        "    def __setstate__(self, state):\n"
        "        self.task = state['task']\n"
        "        self.found = {}\n"
        "registry.register(Holder, 'x.Holder')\n"
    )

    def make(m: Any) -> list[Any]:
        return [m.Holder(m.Task(1, 2)), *(m.Task(1, n % 3) for n in range(2000))]

    data = pack_old(OLD[kind] + text, make)
    for more in ("", "hash(state['task'])", "state['task'].a", "{}[state['task'].a] if False else None"):
        read_text = text.replace("self.found = {}", more or "pass")
        holder, *tasks = read(data, NEW[kind] + read_text)
        assert repr(holder.task) == "Task(a=1)"
        assert {repr(task) for task in tasks} == {"Task(a=1)"}
        assert all(type(task) is type(holder.task) for task in tasks)


def test_many_equal_keys_behind_a_tuple_or_in_another_frozen_object() -> None:
    outer = "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Outer:\n    task: object\n"
    outer += "registry.register(Outer, 'x.Outer')\n"

    def tasks(m: Any, *more: Any) -> list[Any]:
        return [*(m.Task(n, 1) for n in range(2000)), *more]

    for make in (
        lambda m, *more: {m.Outer(one): 1 for one in tasks(m, *more)},
        lambda m, *more: {(0, (one,)) for one in tasks(m, *more)},
    ):
        data = pack_old(OLD["frozen"] + outer, lambda m, make=make: make(m, m.Task(5, 2)))
        with pytest.raises(MigrationError, match="two keys"):
            read(data, NEW["frozen"] + outer)
        assert len(read(pack_old(OLD["frozen"] + outer, make), NEW["frozen"] + outer)) == 2000
