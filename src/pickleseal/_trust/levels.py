"""The trust levels: what is checked of a payload before it runs, beyond its structure, and while it runs.

`strict` always makes a dry run. `guarded` makes one only where the payload has the means to do more than make objects.
At the two other levels the caller vouches for the payload, and it runs unchecked. A refusal at one level never leads to
an attempt at another. The levels take a payload whose structure was checked, and globals that were resolved.

The BUILD opcode sets attributes of whatever lies below it on the stack: of an object, but also of a class or a member
of an enum, for the whole process, and a load that fails leaves them set. So a snapshot of the classes is taken before
such a payload runs, compared afterwards, and restored where the payload changed something.
"""

import re
from collections.abc import Mapping, Sequence
from operator import is_
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from .._payload.opcodes import CODE
from .._payload.unpickler import load_object
from ..errors import ForbiddenOperationError, Hint, LimitExceededError, ReadError, UndeclaredGlobalError, UnpickleError
from .calls import kind_of, survey
from .safe_functions import SAFE_FUNCTIONS, attributes_of, object_arrays

if TYPE_CHECKING:
    from .._payload.unpickler import Resolved
    from .._schema.plans import Plan

LevelName = Literal["guarded", "strict", "signed", "unchecked"]
LEVELS: tuple[str, ...] = get_args(LevelName)
_EXTENSIONS = tuple(bytes((CODE[name],)) for name in ("EXT1", "EXT2", "EXT4"))
_BUILD, _EMPTY_SET = bytes((CODE["BUILD"],)), bytes((CODE["EMPTY_SET"],))
_GETATTR, _DTYPE = ("builtins", "getattr"), ("pickleseal", "rebuild_dtype")
_OBJECTS, _SCALAR = ("pickleseal", "rebuild_object_array"), ("pickleseal", "rebuild_scalar")
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
    needs_dry_run: bool | None = None,
) -> bool | None:
    """Make the checks of a level that come before the payload runs. Runs CPython's unpickler and this library only.

    Args:
        buffers: only their number matters.
        needs_dry_run: what a survey of `resolved` found, if one was made.

    Returns:
        None where there was no dry run. Else whether the payload sets the state of what a function returned.

    Raises:
        ForbiddenOperationError, LimitExceededError, IsolationError: a check of the level failed.
        UndeclaredGlobalError, UnpickleError: it would fail in the same way if it ran.
    """
    if level.is_checked:
        _check_size(payload, level.max_memory)
    if level.isolation is not None:
        from .sandbox import check_isolated

        check_isolated(payload, protocol, resolved, level.max_depth, *level.isolation)
        return survey(resolved)[2]
    if level.name == "strict":
        from .hash_cost import check_hashes

        check_hashes(payload, protocol, level.max_depth)
    elif level.name != "guarded" or not resolved or not _can_do_more(payload, resolved, needs_dry_run):
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
    """Unpickle a payload with the checks of a level. Its structure was checked, at the levels that ask for it.

    Raises:
        ReadError: as for `check_payload` and `load_object`.
    """
    if not level.is_checked:
        _check_extensions(payload)
    if not level.is_checked or not resolved:
        check_payload(level, payload, protocol, buffers, resolved)
        return load_object(payload, buffers, resolved, plans)
    needs_dry_run, changeable, _ = survey(resolved)
    sets_results = check_payload(level, payload, protocol, buffers, resolved, needs_dry_run)
    resolved = _bounded(payload, resolved)
    if not changeable or _BUILD not in payload:
        return load_object(payload, buffers, resolved, plans)
    snapshot = Snapshot(changeable)
    try:
        return load_object(payload, buffers, resolved, plans)
    finally:
        if snapshot.has_changed():
            _check_change(snapshot, payload, buffers, resolved, level, sets_results)


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


def _check_size(payload: bytes, most: int) -> None:
    """Refuse a payload of so many empty sets that they take more than `most`, and more than any other payload."""
    most = max(most, _USUAL * len(payload))
    if _SET_SIZE * len(payload) > most and (found := _SET_SIZE * payload.count(_EMPTY_SET)) > most:
        hint = Hint(
            "Policy(limits=Limits(max_memory=...)) allows more",
            "max_memory under [limits] in a --policy file allows more",
        )
        raise LimitExceededError("the payload makes too many sets", f"at most {most} bytes", found, hint, "payload").at(
            20
        )


def _check_change(
    snapshot: "Snapshot",
    payload: bytes,
    buffers: Sequence[Any],
    resolved: "Resolved",
    level: Level,
    sets_results: bool | None,
) -> None:
    """Find out whether the payload changed a class. If so, undo the change and refuse.

    If a dry run found nothing, the change came from the code of a class, or from another thread. One way is left that
    no dry run shows: a function may return a class, and the payload may set the state of that.
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


def _can_do_more(payload: bytes, resolved: "Resolved", needs_dry_run: bool | None) -> bool:
    """Return whether a payload at level `guarded` has the means to do more than make objects."""
    if survey(resolved)[0] if needs_dry_run is None else needs_dry_run:
        return True
    if _BUILD not in payload:
        return False
    return _DTYPE in resolved or _SCALAR in resolved or _NAMES.search(payload) is not None


def _bounded(payload: bytes, resolved: "Resolved") -> "Resolved":
    """Replace the safe functions that have to know the payload's classes or its length."""
    if _OBJECTS not in resolved and _GETATTR not in resolved:
        return resolved
    from .allow_list import is_listed

    bounded = dict(resolved)
    if _OBJECTS in resolved:
        bounded[_OBJECTS] = object_arrays(len(payload))
    if _GETATTR in resolved and resolved[_GETATTR] is SAFE_FUNCTIONS["builtins:getattr"]:
        named = [
            value
            for (module, name), value in resolved.items()
            if isinstance(value, type) and not is_listed(f"{module}:{name}")
        ]
        bounded[_GETATTR] = attributes_of(named)
    return bounded


_OF_CLASSES = ("__name__", "__qualname__", "__bases__")  # what `__dict__` lacks
_name, _qualname, _bases = (type.__dict__[name].__get__ for name in _OF_CLASSES)
_attributes: Any = type.__dict__["__dict__"].__get__
_get, _set, _delete = type.__getattribute__, type.__setattr__, type.__delattr__
Attributes = dict[str, Any]


class Snapshot:
    """The attributes of classes that can be changed, and of the members of those that are enums."""

    __slots__ = ("_classes", "_members")

    def __init__(self, classes: list[type]) -> None:
        self._classes = [(cls, _attributes(cls).copy(), (_name(cls), _qualname(cls), _bases(cls))) for cls in classes]
        self._members: list[tuple[Any, Attributes]] = []
        for cls in classes:
            if kind_of(cls).is_enum:
                members: dict[str, Any] = _get(cls, "_member_map_")
                self._members += [(member, member.__dict__.copy()) for member in members.values()]

    def has_changed(self) -> bool:
        """Return whether any attribute is another than before. Runs no code of the classes: it compares identities."""
        for cls, before, (name, qualname, bases) in self._classes:
            if _bases(cls) is not bases or _name(cls) is not name or _qualname(cls) is not qualname:
                return True
            if not _are_same(before, _attributes(cls)):
                return True
        return any(not _are_same(before, member.__dict__) for member, before in self._members)

    def restore(self) -> None:
        """Set all attributes to what they were."""
        for cls, before, others in self._classes:
            now = dict(_attributes(cls))
            for name in now.keys() - before.keys():
                _delete(cls, name)
            for name, value in before.items():
                if name not in now or now[name] is not value:
                    _set(cls, name, value)
            for name, value in zip(_OF_CLASSES, others, strict=True):
                if _get(cls, name) is not value:
                    _set(cls, name, value)
        for member, before in self._members:
            if not _are_same(before, member.__dict__):
                attributes = member.__dict__
                attributes.clear()
                attributes.update(before)


def _are_same(before: Attributes, now: Any) -> bool:
    """Compare the values in order. Names need no look: a new name makes one more value."""
    return len(before) == len(now) and all(map(is_, before.values(), now.values()))
