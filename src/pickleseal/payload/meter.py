"""The budget of a dry run."""

from typing import Any

from ..errors import LimitExceededError

__all__ = ["Meter"]


class Meter:
    """What one dry run may spend on copies and hashes, and what it has made that must not be nested too deep."""

    __slots__ = ("deep", "left")

    def __init__(self, budget: int) -> None:
        self.left = budget
        self.deep: list[Any] = []  # objects whose deallocation recurses in C

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            hint = "do not load this; if you know who wrote it, and why: let them sign it"
            reason = "the payload copies or hashes out of proportion to its length"
            raise LimitExceededError(reason, hint=hint, where="payload").at(20)
