"""Members of enums that changed."""

from __future__ import annotations

import sys

import pytest
from _helpers.evolving import MODULE, REGISTER, STEP, evolved, pack_old, unpack_new

import pickleseal
from pickleseal._schema.values import value_text
from pickleseal.errors import (
    MigrationError,
    SchemaDriftError,
    SchemaWarning,
)

pytestmark = pytest.mark.usefixtures("engine")
D = "from dataclasses import *\nfrom typing import *\n"
R = "registry.register(T, 'x.T'{})\n"


def test_enum_values_without_a_text() -> None:
    text = "import enum\nfrom decimal import Decimal as D\nclass Task(enum.Enum):\n    LO = D({})\n    HI = D({})\n"
    with pytest.raises(SchemaDriftError, match="the value of 'LO'"):
        evolved(text.format(1, 2), text.format(2, 1), lambda m: m.Task.LO)
    text = "import enum\nclass Value:\n    def __eq__(self, other): return type(other) is Value\n"
    text += "class Task(enum.Enum):\n    LO = Value()\n    HI = 2\n"
    with pytest.warns(SchemaWarning, match="the values of LO have no text") as caught:
        assert evolved(text, text, lambda m: m.Task.LO).name == "LO"
    assert "numbers, strings" in str(caught[0].message)
    with pytest.raises(SchemaDriftError):
        evolved(text, text, lambda m: m.Task.LO, drift="strict")


VALUES = [
    *("{{'seats': {}}}", "[{}, 'a']", "{{'all': [{{'seats': {}}}, None]}}", "{{1, {}}}", "({}, [])", "[[{}]]"),
    *("Point({}, 5)", "Plan({})", "[Plan({})]", "Slots({})", "(Color({}), 1)", "{{Color({}): int}}", "[len, {}]"),
    *(
        "pathlib.PurePosixPath('a/{}')",
        "[re.compile('a{}')]",
        "types.SimpleNamespace(a=1, b=[{}])",
        "re.compile('a', 8 * {})",
    ),
    *("[plan, {}]", "{{'zzz': 1, 'a': {}}}", "['x' * 5000, {}]", "list(range({}, 3000))"),
]
HELPERS = """
import datetime, decimal, enum, dataclasses, pathlib, re, types, typing
def plan(): pass
class Color(enum.Enum):
    RED = 1
    BLUE = 2
class Point(typing.NamedTuple):
    x: int
    y: int
@dataclasses.dataclass
class Plan:
    seats: int
    cache: object = dataclasses.field(default_factory=object, compare=False)
@dataclasses.dataclass(slots=True)
class Slots:
    seats: int
class Task(enum.Enum):
"""


@pytest.mark.parametrize("value", VALUES)
def test_values_that_hold_values_are_compared(value: str) -> None:
    """Two members that swap their values are never loaded as each other; the same values never warn."""
    members = HELPERS + "    LO = {}\n    HI = {}\n"
    text = members.format(value.format(1), value.format(2))
    data = pack_old(text, lambda m: m.Task.LO)
    names = [name for name in pickleseal.peek(data).globals if name.startswith((MODULE, "builtins:len", "re:"))]
    assert unpack_new(data, text, trust=names).name == "LO"
    assert unpack_new(data, text, trust=names, drift="strict").name == "LO"
    with pytest.raises(SchemaDriftError, match="the value of 'LO'"):
        unpack_new(data, members.format(value.format(2), value.format(1)), trust=names)


MIXED = {
    "datetime.date": ("2020, 1, {}", "import datetime"),
    "decimal.Decimal": ("'1.{}'", "import decimal"),
    "datetime.timedelta": ("{}", "import datetime"),
    "Point": (
        "{}, 2",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Point:\n    x: int\n    y: int",
    ),
    "bytes": ("b'{}'", ""),
    "tuple": ("(1, {})", ""),
}


@pytest.mark.parametrize("base", MIXED)
def test_members_that_are_values_of_another_type_are_compared(base: str) -> None:
    value, head = MIXED[base]
    text = f"import enum\n{head}\nclass Task({base}, enum.Enum):\n    LO = {value}\n    HI = {value}\n"
    data = pack_old(text.format(1, 2), lambda m: m.Task.LO)
    trust = [name for name in pickleseal.peek(data).globals if name.startswith(MODULE)]
    assert unpack_new(data, text.format(1, 2), trust=trust).name == "LO"
    with pytest.raises(SchemaDriftError, match="the value of 'LO'"):
        unpack_new(data, text.format(2, 1), trust=trust)


def test_members_that_are_made_of_several_values_are_packed() -> None:
    text = (
        "import enum\nclass Task(enum.Enum):\n    LO = 1, 'x'\n    def __init__(self, number, text): self.text = text\n"
    )
    assert evolved(text, text, lambda m: m.Task.LO).text == "x"


def test_the_order_of_dicts_and_sets_is_no_part_of_a_value() -> None:
    text = "import enum\nclass Task(enum.Enum):\n    LO = {}\n"
    old, new = text.format("{'a': 1, 'b': {2, 3}}"), text.format("{'b': {3, 2}, 'a': 1}")
    assert evolved(old, new, lambda m: m.Task.LO).name == "LO"


def test_values_that_were_recorded_without_a_text_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import enum\nclass Task(enum.Enum):\n    LO = [1]\n    HI = 2\n"
    with monkeypatch.context() as patch:
        patch.setattr("pickleseal._schema.adapters.enum.member_text", value_text)  # as earlier releases wrote it
        data = pack_old(text, lambda m: m.Task.LO)
    with pytest.warns(SchemaWarning, match="the values of LO have no text"):
        assert unpack_new(data, text, trust=[f"{MODULE}:Task"]).name == "LO"


def test_members_renamed_by_a_migration() -> None:
    text = "import enum\nclass Task(enum.Flag):\n    {} = 1\n    B = 2\n"
    more = REGISTER.format(1) + "registry.migration('jobs.Task', from_version=0, renames={'A': 'X'})\n"
    obj = evolved(text.format("A"), text.format("X").replace("B = 2", "B = 8") + more, lambda m: m.Task.A | m.Task.B)
    assert str(obj).endswith(("X|B", "B|X"))


def test_a_value_that_belonged_to_no_member_is_refused() -> None:
    text = "import enum\nclass Task(enum.IntFlag):\n    R = {}\n    W = {}\n"
    more = REGISTER.format(1) + STEP.format(0, "pass")
    data = pack_old(text.format(1, 2), lambda m: [m.Task(1), m.Task(8 | 1)])
    with pytest.raises(MigrationError, match="no member"):
        unpack_new(data, text.format(2, 1) + more)


def test_a_class_within_an_enum_is_no_member() -> None:
    text = "import enum\nclass T(enum.Enum):\n a = 1\n class Inner: pass\n"
    if sys.version_info < (3, 13):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pack_old(text, lambda m: m.T.a)
    else:
        data = pack_old(text, lambda m: m.T.a)
    assert pickleseal.peek(data).types[f"{MODULE}:T"].fields == (("a", "1"),)
