"""The check that a class is registered with: it sees complete objects, whoever makes them."""

from __future__ import annotations

import pytest
from _helpers.evolving import evolved, task

from pickleseal.errors import (
    InvalidObjectError,
)

pytestmark = pytest.mark.usefixtures("engine")
D = "from dataclasses import *\nfrom typing import *\n"
R = "registry.register(T, 'x.T'{})\n"


@pytest.mark.parametrize("verdict", ["0", "[]", "no()", "later()", "raises()"])
def test_validate_accepts_none_and_true_values(verdict: str) -> None:
    more = "class No:\n    def __bool__(self): return False\nno = No\nasync def later(): pass\n"
    more += "class Raises:\n    def __bool__(self): raise OSError\nraises = Raises\n"
    more += f"registry.register(Task, 'jobs.Task', validate=lambda t: {verdict})\n"
    with pytest.raises(InvalidObjectError):
        evolved(task("a: int"), task("a: int", "", more), lambda m: m.Task(1))
    for sound in ("None", "True", "1"):
        text = task("a: int", "", f"registry.register(Task, 'jobs.Task', validate=lambda t: {sound})\n")
        assert evolved(task("a: int"), text, lambda m: m.Task(1)).a == 1


def test_validate_sees_objects_that_a_function_made() -> None:
    text = "class Task:\n    def __init__(self, a): self.a = a\n    def __reduce__(self): return make, (self.a,)\n"
    text += "def make(a): return Task(a)\n"
    new = text + "registry.register(Task, 'jobs.Task', validate=lambda t: t.a > 0)\n"
    assert evolved(text, new, lambda m: m.Task(1)).a == 1
    with pytest.raises(InvalidObjectError):
        evolved(text, new, lambda m: [m.Task(-1)])


@pytest.mark.parametrize(
    "maker", ["@functools.lru_cache\ndef mk(x): return T(x)\n", "class mk:\n def __new__(cls, x): return T(x)\n"]
)
@pytest.mark.parametrize("beside", ["", ", T(1)"])
def test_validate_sees_what_any_callable_makes(maker: str, beside: str) -> None:
    text = D + "import functools\n@dataclass\nclass T:\n a: int\n" + maker
    text += "class By:\n def __init__(s, x): s.x = x\n def __reduce__(s): return mk, (s.x,)\n"
    new = text + R.format(", validate=lambda o: o.a > 0")
    with pytest.raises(InvalidObjectError):
        evolved(text, new, lambda m: eval(f"[By(-1){beside}]", vars(m)))
    assert evolved(text, new, lambda m: eval(f"[By(1){beside}]", vars(m)))[0].a == 1
