"""Two loads of the same bytes in one process, with a change of the class, the registry or the policy in between.

The reader caches that the classes of a header need no plan. The key is the header's `types`, the classes, the registry,
its state, and `drift`. Each test changes one of these, and the later load has to give what a new process gives.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers.evolving import MODULE, installed, pack_old, task

import pickleseal
from pickleseal import PackOptions, Policy, Registry
from pickleseal.errors import (
    InvalidObjectError,
    SchemaDriftError,
    SchemaVersionError,
    SchemaWarning,
    UntrustedGlobalError,
)

OLD = task("name: str; rank: int")
WITH_DEFAULT = task("name: str; rank: int; venue: str = 'X'")
WITHOUT_DEFAULT = task("name: str; rank: int; venue: str")
RENAMED = task("title: str; rank: int")
REORDERED = task("rank: int; name: str")
TRUST = [f"{MODULE}:Task"]

DEFAULT_REGISTRY = """
import pickleseal.errors
from dataclasses import dataclass
@dataclass
class Task:
    name: str
data = pickleseal.pack(Task("a"))
found = [pickleseal.unpack(data, expect=Task).name for _ in range(2)]
pickleseal.register(Task, "jobs.Task", version=2)
try:
    pickleseal.unpack(data, trust=[Task])
except pickleseal.errors.ReadError as exc:
    found.append(exc.code)
print(*found)
"""

Read = Callable[..., Any]


def _unpack(data: bytes, folder: Path, policy: Policy) -> Any:
    return pickleseal.unpack(data, trust=TRUST, policy=policy)


def _load(data: bytes, folder: Path, policy: Policy) -> Any:
    path = folder / "two-loads.pseal"
    path.write_bytes(data)
    return pickleseal.load(path, trust=TRUST, policy=policy)


@pytest.fixture(params=[_unpack, _load], ids=["unpack", "load"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Read:
    """Return a function of bytes and a policy's arguments that reads a `Task`."""

    def read(data: bytes, registry: Registry, **policy: Any) -> Any:
        return request.param(data, tmp_path, Policy(registry=registry, **policy))

    return read


@pytest.fixture
def old() -> Iterator[Any]:
    """Install the old class for the whole test."""
    with installed(MODULE, OLD) as module:
        yield module


def _packed(module: Any, registry: Registry | None = None) -> bytes:
    return pickleseal.pack(module.Task("a", 1), options=PackOptions(registry=registry or Registry()))


def _read_twice(read: Read, data: bytes, registry: Registry, **policy: Any) -> None:
    """Load until the outcome is cached: the first load caches the header, the second finds it."""
    for _ in range(2):
        assert read(data, registry, **policy).rank == 1


@contextlib.contextmanager
def _rebound(text: str) -> Iterator[Any]:
    """Rebind `Task` in its module to the class of another source, as a reload does."""
    with installed(MODULE, text) as other:
        new = other.Task
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[MODULE], "Task", new)
        yield new


class TestTheClassChanges:
    """A class that was rebound in its module is compared again."""

    def test_a_new_field_gets_its_default(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry)
        with _rebound(WITH_DEFAULT) as cls:
            found = read(data, registry)
            assert (type(found), vars(found)) == (cls, {"name": "a", "rank": 1, "venue": "X"})

    def test_a_new_field_without_a_default_is_refused(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry)
        with _rebound(WITHOUT_DEFAULT), pytest.raises(SchemaDriftError):
            read(data, registry)

    def test_a_new_order_of_fields_is_refused_by_strict(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry, drift="strict")
        with _rebound(REORDERED), pytest.raises(SchemaDriftError):
            read(data, registry, drift="strict")

    def test_the_class_comes_back(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry)
        with _rebound(WITHOUT_DEFAULT), pytest.raises(SchemaDriftError):
            read(data, registry)
        assert type(read(data, registry)) is old.Task

    def test_a_class_that_is_the_same_as_before_is_not_refused(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry)
        with _rebound(OLD) as cls:
            assert type(read(data, registry)) is cls

    def test_a_registered_class_is_rebound(self, read: Read, old: Any) -> None:
        registry = Registry()
        registry.register(old.Task, "jobs.Task")
        data = _packed(old, registry)
        _read_twice(read, data, registry)
        with _rebound(WITHOUT_DEFAULT), pytest.raises(SchemaDriftError):
            read(data, registry)

    def test_one_of_several_classes_is_rebound(self, read: Read, old: Any) -> None:
        old.Other = type("Other", (), {"__module__": MODULE, "__annotations__": {"x": int}})
        other = old.Other()
        other.x = 5
        data = pickleseal.pack([other, old.Task("a", 1)], options=PackOptions(registry=Registry()))
        policy = Policy(registry=Registry())
        trust = [*TRUST, f"{MODULE}:Other"]
        for _ in range(2):
            assert pickleseal.unpack(data, trust=trust, policy=policy)[1].rank == 1
        with _rebound(WITHOUT_DEFAULT), pytest.raises(SchemaDriftError):
            pickleseal.unpack(data, trust=trust, policy=policy)


class TestTheRegistryChanges:
    """What is registered after the first load counts for the second."""

    def test_a_newer_version_without_a_migration(self, read: Read, old: Any) -> None:
        registry = Registry()
        registry.register(old.Task, "jobs.Task")
        registry.register(old.Task, "jobs.Task", version=1)
        data = _packed(old, registry)
        _read_twice(read, data, registry)
        registry.register(old.Task, "jobs.Task", version=2)
        with pytest.raises(SchemaVersionError):
            read(data, registry)

    def test_a_newer_version_of_a_class_that_had_no_name(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry)
        registry.register(old.Task, "jobs.Task", version=2)
        with pytest.raises(SchemaVersionError):
            read(data, registry)

    def test_a_newer_version_and_its_migration(self, read: Read, old: Any) -> None:
        registry = Registry()
        registry.register(old.Task, "jobs.Task")
        data = _packed(old, registry)
        _read_twice(read, data, registry)
        registry.register(old.Task, "jobs.Task", version=1)

        @registry.migration("jobs.Task", from_version=0)
        def rank_counts_from_one(state: dict[str, Any]) -> dict[str, Any]:
            return {**state, "rank": state["rank"] + 1}

        assert read(data, registry).rank == 2

    def test_a_migration_that_is_registered_again(self, read: Read, old: Any) -> None:
        registry = Registry()
        registry.register(old.Task, "jobs.Task", version=1)
        data = pack_old(OLD + "registry.register(Task, 'jobs.Task')\n", lambda module: module.Task("a", 1))

        def register(step: int) -> None:
            @registry.migration("jobs.Task", from_version=0)
            def add(state: dict[str, Any]) -> dict[str, Any]:
                return {**state, "rank": state["rank"] + step}

        for step in (1, 2):
            register(step)
            assert [read(data, registry).rank for _ in range(2)] == [1 + step, 1 + step]

    def test_a_validate_of_the_same_class(self, read: Read, old: Any) -> None:
        registry = Registry()
        registry.register(old.Task, "jobs.Task")
        data = _packed(old, registry)
        _read_twice(read, data, registry)
        registry.register(old.Task, "jobs.Task", validate=lambda found: found.rank > 1)
        with pytest.raises(InvalidObjectError):
            read(data, registry)

    def test_a_validate_that_is_taken_back(self, read: Read, old: Any) -> None:
        registry = Registry()
        registry.register(old.Task, "jobs.Task", validate=lambda found: found.rank > 1)
        data = _packed(old, registry)
        with pytest.raises(InvalidObjectError):
            read(data, registry)
        registry.register(old.Task, "jobs.Task")
        _read_twice(read, data, registry)

    def test_renames_of_a_field(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry)
        with _rebound(RENAMED) as cls:
            with pytest.raises(SchemaDriftError):
                read(data, registry)
            registry.register(cls, "jobs.Task", renames={"name": "title"})
            assert vars(read(data, registry)) == {"title": "a", "rank": 1}

    def test_another_class_is_registered(self, read: Read, old: Any) -> None:
        registry = Registry()
        registry.register(old.Task, "jobs.Task")
        data = _packed(old, registry)
        _read_twice(read, data, registry)
        registry.register(Registry, "jobs.Other", version=7)
        _read_twice(read, data, registry)


class TestTheHeaderRecordsNoTypes:
    """A class without annotations has no entry in `types`."""

    BARE = "class Task:\n    rank = 1\n"

    def test_its_class_is_registered(self, read: Read) -> None:
        registry = Registry()
        with installed(MODULE, self.BARE) as module:
            data = pickleseal.pack(module.Task(), options=PackOptions(registry=Registry()))
            _read_twice(read, data, registry)
            registry.register(module.Task, "jobs.Task", version=2)
            with pytest.raises(SchemaVersionError):
                read(data, registry)

    def test_strict_reads_what_resolve_read(self, read: Read) -> None:
        registry = Registry()
        with installed(MODULE, self.BARE) as module:
            data = pickleseal.pack(module.Task(), options=PackOptions(registry=Registry()))
        with installed(MODULE, "class Task:\n    rank: int = 1\n"):
            _read_twice(read, data, registry)
            with pytest.raises(SchemaDriftError):
                read(data, registry, drift="strict")


class TestThePolicyChanges:
    """Another registry, mode of drift, table of renames or trust is asked anew."""

    def test_another_registry_with_a_newer_version(self, read: Read, old: Any) -> None:
        first, second = Registry(), Registry()
        first.register(old.Task, "jobs.Task")
        second.register(old.Task, "jobs.Task", version=2)
        data = _packed(old, first)
        _read_twice(read, data, first)
        with pytest.raises(SchemaVersionError):
            read(data, second)
        _read_twice(read, data, first)

    def test_a_second_registry_with_a_validate(self, read: Read, old: Any) -> None:
        first, second = Registry(), Registry()
        first.register(old.Task, "jobs.Task")
        second.register(old.Task, "jobs.Task", validate=lambda found: found.rank > 1)
        data = _packed(old, first)
        _read_twice(read, data, first)
        with pytest.raises(InvalidObjectError):
            read(data, second)

    def test_ignore_first_and_resolve_second(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        with _rebound(WITHOUT_DEFAULT):
            _read_twice(read, data, registry, drift="ignore")
            with pytest.raises(SchemaDriftError):
                read(data, registry)

    def test_resolve_first_and_strict_second(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        with _rebound(REORDERED):
            _read_twice(read, data, registry)
            with pytest.raises(SchemaDriftError):
                read(data, registry, drift="strict")

    def test_renames_lead_to_another_class(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry)
        with installed("evolving_elsewhere", WITHOUT_DEFAULT.replace("class Task", "class Moved")) as module:
            policy = Policy(registry=registry, renames={f"{MODULE}:Task": "evolving_elsewhere:Moved"})
            with pytest.raises(SchemaDriftError):
                pickleseal.unpack(data, trust=[module.Moved], policy=policy)
        _read_twice(read, data, registry)

    def test_without_trust_it_is_refused_after_it_was_loaded(self, read: Read, old: Any) -> None:
        data, registry = _packed(old), Registry()
        _read_twice(read, data, registry)
        with pytest.raises(UntrustedGlobalError):
            pickleseal.unpack(data, policy=Policy(registry=registry))


def test_a_warning_is_given_by_each_load(old: Any) -> None:
    data, registry = _packed(old), Registry()
    with _rebound(task("name: str; rank: float")):
        for _ in range(3):
            with pytest.warns(SchemaWarning):
                pickleseal.unpack(data, trust=TRUST, policy=Policy(registry=registry))


def test_two_headers_that_differ_in_their_types_alone(old: Any) -> None:
    registry = Registry()
    data = _packed(old)
    with _rebound(WITH_DEFAULT) as cls:
        newer = pickleseal.pack(cls("a", 1), options=PackOptions(registry=Registry()))
    policy = Policy(registry=registry)
    for _ in range(2):
        assert pickleseal.unpack(data, trust=TRUST, policy=policy).rank == 1
        with pytest.raises(SchemaDriftError):
            pickleseal.unpack(newer, trust=TRUST, policy=policy)


def test_the_default_registry_changes(tmp_path: Path) -> None:
    """It runs in a child: what the default registry is given stays there for the life of a process."""
    (tmp_path / "two_loads.py").write_text(DEFAULT_REGISTRY)
    command = [sys.executable, "-c", "import two_loads"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "a a schema-version\n", "")
