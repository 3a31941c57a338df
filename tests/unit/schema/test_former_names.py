"""Former names are for classes that are gone: the help proposes them only then, and others are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from _helpers.evolving import MODULE, installed, task

import pickleseal
from pickleseal import Policy, Registry, errors

BOTH = task("a: int") + "class Derived(Task):\n    pass\nclass Other:\n    a: int\n"


def refused(data: bytes, **arguments: Any) -> str:
    with pytest.raises(errors.TypeMismatchError) as caught:
        pickleseal.unpack(data, **arguments)
    return str(caught.value.hint)


def test_a_subclass_is_to_be_trusted_and_not_renamed() -> None:
    with installed(MODULE, BOTH) as module:
        data = pickleseal.pack(module.Derived(1))
        hint = refused(data, expect=module.Task)
        assert "formerly" not in hint
        [trust] = re.findall(r"trust=(\[.*?\])", hint)
        assert type(pickleseal.unpack(data, expect=module.Task, trust=eval(trust))) is module.Derived


def test_a_class_that_still_exists_gets_no_former_name() -> None:
    with installed(MODULE, BOTH) as module:
        data = pickleseal.pack(module.Other())
        hint = refused(data, expect=module.Task)
        assert hint == f'it is another class; to accept it, pass expect="{MODULE}:Other"'
        registry = Registry()
        registry.register(module.Derived, "x.Derived")
        named = pickleseal.pack(module.Derived(1), options=pickleseal.PackOptions(registry=registry))
    with installed(MODULE, BOTH):  # another process, say, that registered the name for another class
        assert "formerly" not in refused(named, expect=int, policy=Policy(registry=registry))


@pytest.mark.parametrize("module_is_gone", [True, False])
def test_the_former_name_of_a_class_that_is_gone_can_be_pasted(module_is_gone: bool) -> None:
    with installed(MODULE, task("a: int")) as module:
        data = pickleseal.pack(module.Task(1))
    with installed("evolving_elsewhere" if module_is_gone else MODULE, task("a: int").replace("Task", "Job")) as module:
        hint = refused(data, expect=module.Job)
        assert ("and is gone" in hint) == module_is_gone
        [formerly] = re.findall(r"formerly=(\[.*?\])", hint)
        registry = Registry()
        registry.register(module.Job, "x.Job", formerly=eval(formerly))
        assert pickleseal.unpack(data, expect=module.Job, policy=Policy(registry=registry)) == module.Job(1)


def test_the_place_of_another_class_is_no_former_name() -> None:
    with installed(MODULE, BOTH) as module:
        for former in ("Derived", "Other"):
            registry = Registry()
            with pytest.raises(errors.RegistryError, match="another class, which still exists") as caught:
                registry.register(module.Task, "x.Task", formerly=["was:Gone", f"{MODULE}:{former}"])
            assert caught.value.found == f"{MODULE}:{former}"
            registry.register(module.Task, "x.Task", formerly=["was:Gone"])


MOVED = {
    "the class itself, imported at its old place": "",
    "one that dataclass(slots=True) made of it": "(slots=True)",
}


@pytest.mark.parametrize("flags", MOVED.values(), ids=MOVED.keys())
def test_a_class_that_is_imported_at_its_old_place_may_say_so(flags: str) -> None:
    with installed(MODULE, task("a: int")) as old:
        data = pickleseal.pack(old.Task(1))
    registry = Registry()
    register = f"@registry.artifact('x.Task', formerly=['{MODULE}:Task'])\nclass Task:"
    text = task("a: int", flags).replace("class Task:", register)
    with installed("evolving_b", text, registry=registry) as new, installed(MODULE, "from evolving_b import Task\n"):
        assert type(pickleseal.unpack(data, policy=Policy(registry=registry))) is new.Task
        registry.register(new.Task, "x.Task", formerly=[f"{MODULE}:Task"])  # and again, now that it is there
        assert type(pickleseal.unpack(data, policy=Policy(registry=registry))) is new.Task


def test_a_class_may_name_its_own_place() -> None:
    registry = Registry()
    with installed(MODULE, task("a: int")) as module:
        data = pickleseal.pack(module.Task(1))
        registry.register(module.Task, "x.Task", formerly=[f"{MODULE}:Task"])
        assert pickleseal.unpack(data, policy=Policy(registry=registry)) == module.Task(1)
