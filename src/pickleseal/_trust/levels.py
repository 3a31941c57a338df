"""The trust levels: what is checked of a payload before it runs, beyond its structure.

`strict` always makes a dry run. `guarded` makes one only where the payload has the means to do more than make objects.
At the two other levels the caller vouches for the payload, and it runs unchecked. A refusal at one level never leads to
an attempt at another. The levels take a payload whose structure was checked, and globals that were resolved.

The BUILD opcode sets attributes of whatever lies below it on the stack: of an object, but also of a class or a member
of an enum, for the whole process. A class changes only by a state that is no plain dict. So a payload of level
`guarded` needs a dry run where it has such a state, or names an enum.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from .._payload.opcodes import CODE
from .._payload.structure import calls_something, count_of, has_other_states
from .._payload.unpickler import load_object
from .._schema.names import global_name
from ..errors import Hint, LimitExceededError, UndeclaredGlobalError, UnpickleError, UntrustedGlobalError
from .allow_list import MAKE, gives_methods, is_listed, limits_of
from .safe_functions import NewResults, attributes_of, name_of_safe, object_arrays
from .shapes import NEW_RESULTS
from .traits import survey

if TYPE_CHECKING:
    from .._payload.unpickler import Look, Resolved
    from .._schema.plans import Plan
    from .dryrun import Found

LevelName = Literal["guarded", "strict", "signed", "unchecked"]
LEVELS: tuple[str, ...] = get_args(LevelName)
_EXTENSIONS = tuple(bytes((CODE[name],)) for name in ("EXT1", "EXT2", "EXT4"))
_BUILD, _EMPTY_SET = bytes((CODE["BUILD"],)), bytes((CODE["EMPTY_SET"],))
_DTYPE, _SCALAR = ("pickleseal", "rebuild_dtype"), ("pickleseal", "rebuild_scalar")
_NAMES = re.compile(rb"__(?:setstate|class|dict)__")  # names by which a state changes more than an object's fields
# Bytes of memory: an empty set with its places in stack and memo, and the most that any other opcode takes.
_SET_SIZE, _USUAL = 232, 48


class Isolation(NamedTuple):
    """Limits of a dry run in a child: processor time in seconds, and memory in bytes beyond what it starts with."""

    seconds: int
    memory: int


class Level(NamedTuple):
    """One of `LEVELS`, and what goes with it."""

    name: str
    is_checked: bool  # whether this library checks payloads; else the caller alone vouches for them
    max_depth: int
    max_memory: int
    isolation: Isolation | None


def check_payload(
    level: Level,
    payload: bytes,
    protocol: int,
    buffers: Sequence[Any],
    resolved: "Resolved",
    plans: "Mapping[int, Plan]" = MappingProxyType({}),
) -> "Found | None":
    """Make the checks of a level that come before the payload runs. Runs CPython's unpickler and this library only.

    Args:
        buffers: only their number matters.
        plans: how objects of classes that changed are made, by the ids of the classes.

    Returns:
        What a dry run found out; None where there was none.

    Raises:
        ForbiddenOperationError, LimitExceededError, IsolationError: a check of the level failed.
        UndeclaredGlobalError, UnpickleError: it would fail in the same way if it ran.
    """
    if level.is_checked:
        _check_size(payload, protocol, level.max_memory)
    migrated = [key for key, plan in plans.items() if plan.was is not None]
    if level.isolation is not None:
        from .sandbox import check_isolated

        return check_isolated(payload, protocol, resolved, level.max_depth, *level.isolation, migrated)
    tuples = 0
    if level.name == "strict":
        from .hash_cost import check_hashes

        tuples = check_hashes(payload, protocol, level.max_depth)
    elif level.name != "guarded" or not resolved or not _can_do_more(payload, protocol, buffers, resolved):
        return None
    if not resolved:
        return None
    from .dryrun import check_operations

    return check_operations(payload, buffers, resolved, level.max_depth, migrated, tuples)


def load_at(
    level: Level,
    payload: bytes,
    protocol: int,
    buffers: Sequence[Any],
    resolved: "Resolved",
    plans: "Mapping[int, Plan]" = MappingProxyType({}),
    look: "Look | None" = None,
) -> Any:
    """Unpickle a payload with the checks of a level. Its structure was checked, at the levels that ask for it.

    `look` is called with the objects that were made, among other values.

    Raises:
        ReadError: as for `check_payload` and `load_object`.
        UntrustedGlobalError: a safe function would become part of the object.
    """
    if not level.is_checked:
        _check_extensions(payload)
    found = check_payload(level, payload, protocol, buffers, resolved, plans)
    if not level.is_checked or not resolved or all(isinstance(value, type) for value in resolved.values()):
        return load_object(payload, buffers, resolved, plans, look)
    handed_out, safe = _handed_out(payload, resolved, found)
    obj = load_object(payload, buffers, handed_out, plans, look)
    for key, count in safe.items():
        if sys.getrefcount(handed_out[key]) > count:
            name = ":".join(key)
            hint = "store something else in its place, such as a name"
            raise UntrustedGlobalError("the payload keeps a function that no payload gets", None, name, hint).at(20)
    return obj


def _handed_out(
    payload: bytes, resolved: "Resolved", found: "Found | None"
) -> tuple[dict[tuple[str, str], Any], dict[tuple[str, str], int]]:
    """Return what a payload gets for its globals, and how many references there are to each safe function.

    Each load gets safe functions of its own, so that these show whether the object refers to one of them.
    """
    handed_out, safe = dict(resolved), []
    for (module, qualname), value in resolved.items():
        name = name_of_safe(value)
        if name is None:
            if (
                found is not None
                and f"{module}:{qualname}" in found.built
                and f"{module}:{qualname}" not in NEW_RESULTS
            ):
                handed_out[module, qualname] = NewResults(value)
        elif found is not None and name in found.kept and name in _KEPT:
            handed_out[module, qualname] = _KEPT[name]  # the dry run has seen all that the payload does with it
        else:
            if name == "builtins:getattr":
                value = attributes_of(_methods_within(resolved))
            elif name == "pickleseal:rebuild_object_array":
                value = object_arrays(len(payload))
            else:
                value = type(value)()
            handed_out[module, qualname] = value
            safe.append((module, qualname))
            del value
    return handed_out, {key: sys.getrefcount(handed_out[key]) for key in safe}


def _methods_within(resolved: "Resolved") -> Callable[[type], bool]:
    """Return a function that returns whether a payload may have methods of a class: a trusted one, or most listed."""
    trusted = [
        value
        for (module, name), value in resolved.items()
        if isinstance(value, type) and not is_listed(f"{module}:{name}")
    ]
    return lambda cls: gives_methods(global_name(cls)) or any(cls is one for one in trusted)


_KEPT = {"builtins:bytearray": bytearray, "builtins:type": type}


def _check_extensions(payload: bytes) -> None:
    """Refuse opcodes of the extension registry, where no check of the structure did (spec 11, step 20).

    CPython's unpickler takes what the process has in the registry's cache without asking for the import.
    """
    import copyreg

    if not copyreg._extension_cache or not any(code in bytes(payload) for code in _EXTENSIONS):  # type: ignore[attr-defined]
        return
    import pickletools

    try:
        found = any(opcode.code.encode("latin-1") in _EXTENSIONS for opcode, _, _ in pickletools.genops(payload))
    except ValueError as exc:
        raise UnpickleError("the payload is not a whole pickle") from exc
    if found:
        raise UndeclaredGlobalError("the payload imports by the extension registry, which no header declares")


def _check_size(payload: bytes, protocol: int, most: int) -> None:
    """Refuse a payload of so many empty sets that they take more than `most`, and more than any other payload."""
    most = max(most, _USUAL * len(payload))
    # The bytes of all arguments are counted first, which is fast. Opcodes are counted where there are enough of them.
    if _SET_SIZE * len(payload) <= most or _SET_SIZE * payload.count(_EMPTY_SET) <= most:
        return
    if (found := _SET_SIZE * count_of(payload, protocol, CODE["EMPTY_SET"])) > most:
        hint = Hint(
            "Policy(limits=Limits(max_memory=...)) allows more",
            "max_memory under [limits] in a --policy file allows more",
        )
        raise LimitExceededError("the payload makes too many sets", f"at most {most} bytes", found, hint, "payload").at(
            20
        )


def _can_do_more(payload: bytes, protocol: int, buffers: Sequence[Any], resolved: "Resolved") -> bool:
    """Return whether a payload at level `guarded` has the means to do more than make objects."""
    found, limits = survey(resolved), limits_of(resolved)
    if found.needs_dry_run or (found.has_callables and not limits):
        return True
    changes = False
    if _BUILD in payload:
        if _NAMES.search(payload) is not None:
            return True
        changes = found.has_values or _DTYPE in resolved or _SCALAR in resolved
        changes = changes or (found.is_changeable and has_other_states(payload, protocol))
    if not limits:
        return changes
    makes_all = all(entry.verbs is not None and MAKE in entry.verbs for entry in limits.values())
    if makes_all and not changes and not calls_something(payload, protocol):
        return False  # it has classes alone, and makes objects of them
    from .first_look import is_as_permitted

    return not is_as_permitted(payload, buffers, resolved)
