"""How often this process was forked off: whoever holds locks, threads or descriptors asks whether it is a child now."""

import os
import weakref
from typing import Protocol

__all__ = ["count", "tell"]


class Told(Protocol):
    """What wants to be told at once: it is not ready to go on as before."""

    _is_ready: bool


count = 0  # of this process and those that it comes from, since the first of them imported this
_told: "weakref.WeakSet[Told]" = weakref.WeakSet()


def tell(told: Told) -> None:
    """Have an object told, for as long as it lives."""
    _told.add(told)


def _note_fork() -> None:
    global count
    count += 1
    for told in _told:
        told._is_ready = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
