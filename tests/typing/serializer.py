"""A user's program: the types that a `Serializer` gives, for every checker."""

from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_type

from pickleseal import Serializer


@dataclass
class Report:
    title: str


data = b""

assert_type(Serializer(expect=Report).loads(data), Report)
assert_type(Serializer(expect=list[Report]).load("x"), list[Report])
assert_type(Serializer(expect=Report, on_refuse="miss").loads(data), Report | None)
assert_type(Serializer(expect=Report, on_refuse="miss", default=0).loads(data), Report | int)
assert_type(Serializer().loads(data), Any)


def with_bare_annotations(serializer: Serializer) -> None:
    """The bare name of a generic class is fine under strict rules."""
    assert_type(serializer.loads(data), Any)


# A mistake.
Serializer(expect=Report).dumps(1, fix_import=True)  # type: ignore[call-arg]
