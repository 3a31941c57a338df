"""The trust levels: what is checked of a payload beyond its envelope before it runs, and while it does.

`guarded` and `strict` differ in whether there is always a dry run; the two others run what their caller vouches for. No
error leads from one to another.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from .._payload.unpickler import load_object
from ..errors import ForbiddenOperationError, LimitExceededError, ReadError
from .calls import survey
from .safe_functions import GUARDED, attributes_of, object_arrays
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .._payload.unpickler import Resolved
    from .._schema.plans import Plan

__all__ = ["LEVELS", "Isolation", "Level", "inspect", "load_at"]

LEVELS = ("guarded", "strict", "signed", "never-left-my-hands")
_BUILD, _EMPTY_SET = b"b", b"\x8f"
_GETATTR, _DTYPE = ("builtins", "getattr"), ("pickleseal", "rebuild_dtype")
_OBJECTS, _SCALAR = ("pickleseal", "rebuild_object_array"), ("pickleseal", "rebuild_scalar")
_NAMES = re.compile(rb"__(?:setstate|class|dict)__")  # that turn a state into something else


class Isolation(NamedTuple):
    """Limits of a dry run in a child: processor time in seconds, and memory in bytes beyond what it starts with."""

    seconds: int
    memory: int


class Level(NamedTuple):
    """One of `LEVELS`, and what goes with it."""

    name: str
    is_checked: bool  # whether payloads are judged by this library, and not only by who vouches for them
    max_depth: int
    max_memory: int
    isolation: Isolation | None


def inspect(
    level: Level,
    payload: bytes,
    protocol: int,
    buffers: Sequence[Any],
    resolved: "Resolved",
    needs_dry_run: bool | None = None,
) -> bool | None:
    """Judge a payload as far as a level does before it runs.

    Returns None where there was no dry run, else whether the payload sets the state of what a function returned.
    Runs no code but CPython's unpickler and this library. Only the number of `buffers` matters. `needs_dry_run` is what
    a survey of `resolved` said, where it was made.

    Raises:
        ForbiddenOperationError, LimitExceededError, IsolationError: the level's own checks.
        UndeclaredGlobalError, UnpickleError: it would fail in the same way if it ran.
    """
    if level.is_checked:
        _check_size(payload, level.max_memory)
    if level.isolation is not None:
        from .sandbox import check_isolated

        check_isolated(payload, protocol, resolved, level.max_depth, *level.isolation)
        return survey(resolved)[2]
    if level.name == "strict":
        _check_hashes(payload, protocol, level)
    elif level.name != "guarded" or not resolved or not _is_suspect(payload, resolved, needs_dry_run):
        return None
    return _check_operations(payload, buffers, resolved, level) if resolved else False


def load_at(
    level: Level,
    payload: bytes,
    protocol: int,
    buffers: Sequence[Any],
    resolved: "Resolved",
    plans: "Mapping[int, Plan]" = MappingProxyType({}),
) -> Any:
    """Unpickle a payload as a level says. It has passed the envelope's check, at the levels that have one.

    Raises:
        ReadError: as for `inspect` and `load_object`.
    """
    if not level.is_checked or not resolved:
        inspect(level, payload, protocol, buffers, resolved)
        return load_object(payload, buffers, resolved, plans)
    surveyed = survey(resolved)
    sets_results = inspect(level, payload, protocol, buffers, resolved, surveyed[0])
    changeable = surveyed[1]
    resolved = _bounded(payload, resolved)
    if not changeable or _BUILD not in payload:
        return load_object(payload, buffers, resolved, plans)
    snapshot = Snapshot(changeable)
    try:
        return load_object(payload, buffers, resolved, plans)
    finally:
        if snapshot.has_changed():
            _judge_change(snapshot, payload, buffers, resolved, level, sets_results)


_SET_SIZE, _USUAL = 232, 48  # bytes: an empty set with its places in stack and memo; what other opcodes take at most


def _check_size(payload: bytes, most: int) -> None:
    """Refuse a payload of so many empty sets that they take more than `most`, and more than any other payload."""
    most = max(most, _USUAL * len(payload))
    if _SET_SIZE * len(payload) > most and (found := _SET_SIZE * payload.count(_EMPTY_SET)) > most:
        hint = "Policy(limits=Limits(max_memory=...)) admits more"
        raise LimitExceededError("sets beyond all measure", f"at most {most} bytes", found, hint, "payload").at(20)


def _judge_change(
    snapshot: Snapshot,
    payload: bytes,
    buffers: Sequence[Any],
    resolved: "Resolved",
    level: Level,
    sets_results: bool | None,
) -> None:
    """Find out whether it was the payload that changed a class; if so, undo it and refuse.

    After a dry run it is known that the payload did not do it, so it was the code of a class, or a thread. What a
    function returned may have been a class, though, which no dry run shows.
    """
    try:
        if _check_operations(payload, buffers, resolved, level) if sets_results is None else sets_results:
            raise ForbiddenOperationError("the payload changes a class, by way of a function")
    except ReadError:
        snapshot.restore()
        raise


def _check_operations(payload: bytes, buffers: Sequence[Any], resolved: "Resolved", level: Level) -> bool:
    from .dryrun import check_operations

    return check_operations(payload, buffers, resolved, level.max_depth)


def _check_hashes(payload: bytes, protocol: int, level: Level) -> None:
    from .hash_cost import check_hashes

    check_hashes(payload, protocol, level.max_depth)


def _is_suspect(payload: bytes, resolved: "Resolved", needs_dry_run: bool | None) -> bool:
    """Tell whether a payload at level `guarded` has the means to do more than to make objects."""
    if survey(resolved)[0] if needs_dry_run is None else needs_dry_run:
        return True
    if _BUILD not in payload:
        return False
    return _DTYPE in resolved or _SCALAR in resolved or _NAMES.search(payload) is not None


def _bounded(payload: bytes, resolved: "Resolved") -> "Resolved":
    """Replace the guarded functions that have to know the payload's classes or its length."""
    if _OBJECTS not in resolved and _GETATTR not in resolved:
        return resolved
    from .allow_list import is_listed

    bounded = dict(resolved)
    if _OBJECTS in resolved:
        bounded[_OBJECTS] = object_arrays(len(payload))
    if _GETATTR in resolved and resolved[_GETATTR] is GUARDED["builtins:getattr"]:
        named = [
            value
            for (module, name), value in resolved.items()
            if isinstance(value, type) and not is_listed(f"{module}:{name}")
        ]
        bounded[_GETATTR] = attributes_of(named)
    return bounded
