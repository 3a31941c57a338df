"""The budget of a dry run."""

from typing import Any

from ..errors import LimitExceededError

__all__ = ["MOST_COLLISIONS", "Meter"]

MOST_COLLISIONS = 1000  # different numbers of one hash


class Meter:
    """What one dry run may spend on copies and hashes, and what it has made that must not be nested too deep."""

    __slots__ = ("_numbers", "deep", "left")

    def __init__(self, budget: int) -> None:
        self.left = budget
        self._numbers: dict[int, set[Any]] = {}
        self.deep: list[Any] = []  # objects whose deallocation recurses in C

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            hint = (
                "a payload of this length has no honest use for it; if you trust its writer, use a level below strict"
            )
            raise LimitExceededError("the payload copies or hashes out of proportion", hint=hint, where="payload").at(
                20
            )

    def note(self, number: Any) -> None:
        """Note a number that is hashed."""
        same = self._numbers.setdefault(hash(number), set())
        same.add(number)
        if len(same) > MOST_COLLISIONS:
            reason, expected = "numbers with the same hash", f"at most {MOST_COLLISIONS}"
            raise LimitExceededError(reason, expected, where="payload").at(20)
