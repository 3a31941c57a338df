"""The budget of a dry run: steps and memory, spent before the work that they pay for."""

from typing import Any

from ..errors import LimitExceededError

__all__ = ["MOST_COLLISIONS", "Meter", "too_deep"]

MOST_COLLISIONS = 1000  # different numbers of one hash


class Meter:
    """What one dry run may spend on copies and hashes, and what it has made that must not be nested too deep."""

    __slots__ = ("_numbers", "deep", "has_set_results", "left", "max_depth")

    def __init__(self, budget: int, max_depth: int) -> None:
        self.left = budget
        self.max_depth = max_depth
        self.has_set_results = False  # whether a function's result got a state: it may have been a class
        self._numbers: dict[int, set[Any]] = {}
        self.deep: list[Any] = []  # objects whose deallocation recurses in C

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            hint = "do not load this; if you know who wrote it, and why: let them sign it"
            reason = "the payload copies or hashes out of proportion to its length"
            raise LimitExceededError(reason, hint=hint, where="payload").at(20)

    def note(self, number: Any) -> None:
        """Note a number that is hashed."""
        same = self._numbers.setdefault(hash(number), set())
        same.add(number)
        if len(same) > MOST_COLLISIONS:
            reason, expected = "numbers with the same hash", f"at most {MOST_COLLISIONS}"
            raise LimitExceededError(reason, expected, where="payload").at(20)


def too_deep(max_depth: int) -> LimitExceededError:
    """Return the refusal of a payload that nests too deep."""
    hint = "Policy(limits=Limits(max_depth=...)), if the C stack has room for it"
    return LimitExceededError("the payload nests too deep", f"at most {max_depth}", None, hint, "payload").at(20)
