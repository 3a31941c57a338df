"""The dry run: the same bytes in the same engine, with inert objects for all that they import.

It shows what a payload would do, and refuses what only an attacker asks for, before any code of a class runs. What it
cannot show is what that code does.
"""

from collections.abc import Sequence
from typing import Any

from .._payload.unpickler import Resolved, new_unpickler
from ..errors import ForbiddenOperationError, ReadError, UnpickleError, text_of
from .depth import check_depth
from .inert import stand_in, using
from .meter import Meter, too_deep

__all__ = ["check_operations", "run_inert"]

# What copies and hashes may cost: as many items as this, and so many for each byte. Honest payloads stay far below.
_BUDGET, _BUDGET_PER_BYTE = 1_000_000, 10


def check_operations(payload: bytes, buffers: Sequence[Any], resolved: Resolved, max_depth: int) -> bool:
    """Run a payload on inert objects. Runs no code but CPython's unpickler and this library.

    Returns whether it sets the state of what a function returned, of which nothing is known.

    Raises:
        ForbiddenOperationError: it changes a class, a function or a member of an enum, calls an object, sets a state
            twice, swaps a class, or makes something endless.
        LimitExceededError: it copies or hashes out of proportion, or nests too deep.
        UndeclaredGlobalError, UnpickleError: it would fail in the same way if it ran.
    """
    table = {(module, name): stand_in(f"{module}:{name}", value) for (module, name), value in resolved.items()}
    return run_inert(payload, buffers, table, max_depth)


def run_inert(payload: bytes, buffers: Sequence[Any], table: Resolved, max_depth: int) -> bool:
    """Run a payload on the inert objects of a table. Result and errors as for `check_operations`."""
    meter = Meter(_BUDGET + _BUDGET_PER_BYTE * len(payload), max_depth)
    with using(meter):
        try:
            obj = new_unpickler(payload, buffers, table).load()
        except RecursionError:
            raise too_deep(max_depth) from None
        except Exception as exc:
            if isinstance(exc, ReadError) and exc.step == 20:
                raise
            if isinstance(exc, TypeError) and "takes no arguments" in str(exc):
                raise ForbiddenOperationError(
                    "the payload makes an object with arguments that no pickler gives"
                ) from exc
            reason = f"the payload is intact and raised {type(exc).__name__} in its dry run: {text_of(exc)}"
            raise UnpickleError(reason) from exc
        if len(meter.deep) > max_depth:
            check_depth([obj, *meter.deep], max_depth)
    return meter.has_set_results
