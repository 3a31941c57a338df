"""Members of enums that changed."""

from __future__ import annotations

import sys

import pytest
from _helpers.evolving import MODULE, REGISTER, STEP, evolved, pack_old, unpack_new

import pickleseal
from pickleseal.errors import (
    MigrationError,
    SchemaDriftError,
)

pytestmark = pytest.mark.usefixtures("engine")
D = "from dataclasses import *\nfrom typing import *\n"
R = "registry.register(T, 'x.T'{})\n"


def test_enum_values_without_a_text() -> None:
    text = "import enum\nfrom decimal import Decimal as D\nclass Task(enum.Enum):\n    LO = D({})\n    HI = D({})\n"
    with pytest.raises(SchemaDriftError, match="the value of 'LO'"):
        evolved(text.format(1, 2), text.format(2, 1), lambda m: m.Task.LO)
    text = "import enum\nclass Task(enum.Enum):\n    LO = [1]\n"
    assert evolved(text, text, lambda m: m.Task.LO).name == "LO"
    with pytest.raises(SchemaDriftError):
        evolved(text, text, lambda m: m.Task.LO, drift="strict")


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
