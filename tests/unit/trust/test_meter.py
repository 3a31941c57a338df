"""The meter of dry runs: what is nested counts as often as it is met, in linear time, and cycles are no obstacle."""

from __future__ import annotations

from typing import Any

import pytest

import pickleseal
from pickleseal._trust.meter import Meter
from pickleseal.errors import LimitExceededError


class Slots:
    __slots__ = ("a",)


class Taker:
    """A class whose own pickling hands over one argument."""

    def __init__(self, a: Any) -> None:
        self.a = a

    def __reduce__(self) -> Any:
        return Taker, (self.a,)


def cycles() -> dict[str, Any]:
    itself: list[Any] = [None]
    itself.append(itself)
    twice: list[Any] = []
    twice += [[twice], [twice, twice]]
    mapping: dict[str, Any] = {}
    mapping["x"] = [mapping]
    through: list[Any] = []
    through.append((through, {"a": through}))
    return {"itself": itself, "twice": twice, "mapping": mapping, "through": through}


@pytest.mark.parametrize("level", ["guarded", "strict"])
@pytest.mark.parametrize("name", cycles())
def test_containers_in_themselves_load_within_states_and_arguments(name: str, level: Any) -> None:
    slots = Slots()
    slots.a = cycles()[name]
    for obj in (slots, Taker(cycles()[name])):
        loaded = pickleseal.unpack(pickleseal.pack(obj), trust=[Slots, Taker], level=level)
        assert repr(loaded.a) == repr(obj.a)


def steps_of(args: tuple[Any, ...], leaves: bool = True) -> int:
    meter = Meter(10**12, 2000)
    before = meter.left
    meter.walk(args, leaves)
    return before - meter.left


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("depth", [2, 8, 9, 20])
def test_what_is_shared_counts_as_often_as_it_is_met(kind: Any, depth: int) -> None:
    pair = kind((1, 2))
    for _ in range(depth):
        pair = kind((pair, pair))
    assert steps_of((pair,)) == 3 * (2 ** (depth + 1) - 1)  # a pair is a step, and so is each of its items


def test_nested_pairs_are_refused_without_going_through_them() -> None:
    pair: Any = (1, 2)
    for _ in range(500):
        pair = (pair, pair)  # 2^500 steps would never end
    with pytest.raises(LimitExceededError, match="out of proportion"):
        Meter(1000, 2000).walk((pair,), True)


@pytest.mark.parametrize(("depth", "is_refused"), [(1999, False), (2000, False), (2001, True), (100_000, True)])
def test_depth_has_a_cap(depth: int, is_refused: bool) -> None:
    nested: Any = []
    for _ in range(depth - 1):
        nested = [nested]
    if is_refused:
        with pytest.raises(LimitExceededError, match="nests too deep"):
            steps_of((nested,))
    else:
        steps_of((nested,))
