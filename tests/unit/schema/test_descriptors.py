"""Fields behind a descriptor of the class: it says what an object without a value gives, and nothing is filled in."""

from __future__ import annotations

from typing import Any

import pytest
from _helpers.evolving import installed

import pickleseal
from pickleseal.errors import SchemaDriftError

HEAD = """
import dataclasses, enum
class Missing(enum.Enum):
    MISSING = 1
class Field:  # keeps values in the instance dictionary, and gives 9 where there is none
    def __set_name__(self, owner, name): self.name = name
    def __get__(self, obj, owner=None):
        return self.given if obj is None else obj.__dict__.get(self.name, 9)
    def __set__(self, obj, value): obj.__dict__[self.name] = value
    given = Missing.MISSING
"""
KINDS = {"dataclass": "@dataclasses.dataclass\nclass Task:\n    name: str\n", "plain": "class Task:\n    name: str\n"}
kinds = pytest.mark.parametrize("kind", KINDS)


def read(kind: str, more: str, after: str = "") -> Any:
    """Return an object of a class that had one field, and that has more now."""
    with installed("shop", HEAD + KINDS[kind]) as module:
        task = object.__new__(module.Task)
        task.name = "a"
        data = pickleseal.pack(task)
    with installed("shop", HEAD + KINDS[kind] + more + after) as module:
        return pickleseal.unpack(data, trust=[module.Task])


def test_what_stands_for_no_default_is_not_filled_in() -> None:
    task = read("dataclass", "    rank: int = Field()\n")
    assert (task.rank, vars(task)) == (9, {"name": "a"})


def test_a_descriptor_of_a_plain_class_is_no_default() -> None:
    with pytest.raises(SchemaDriftError, match="'rank' was added"):
        read("plain", "    rank: int = Field()\n")


@kinds
def test_an_annotated_property_is_not_filled_in(kind: str) -> None:
    task = read(kind, "    rank: int = property(lambda self: 7, lambda self, value: None)\n")
    assert (task.rank, vars(task)) == (7, {"name": "a"})


@kinds
def test_a_default_on_the_class_is_a_default(kind: str) -> None:
    assert read(kind, "    rank: int = 5\n").rank == 5


def test_a_slot_is_filled_with_its_default() -> None:
    old, new = (
        f"@dataclasses.dataclass(slots=True)\nclass Task:\n    name: str\n{more}" for more in ("", "    r: int = 5\n")
    )
    with installed("shop", HEAD + old) as module:
        data = pickleseal.pack(module.Task("a"))
    with installed("shop", HEAD + new) as module:
        assert pickleseal.unpack(data, trust=[module.Task]) == module.Task("a", 5)


def test_a_model_of_pydantic_that_a_mapper_gave_descriptors_is_left_to_them() -> None:
    """SQLModel is such a combination."""
    old = "import pydantic\nclass Task(pydantic.BaseModel):\n    name: str\n"
    described = "field = Field()\nfield.name = 'rank'\ntype.__setattr__(Task, 'rank', field)\n"
    with installed("shop", HEAD + old) as module:
        data = pickleseal.pack(module.Task(name="a"))
    for more, expected in (("", {"name": "a", "rank": 5}), (described, {"name": "a"})):
        with installed("shop", HEAD + old + "    rank: int = 5\n" + more) as module:
            task = pickleseal.unpack(data, trust=[module.Task])
            assert vars(task) == expected
            assert task.rank == (9 if more else 5)
