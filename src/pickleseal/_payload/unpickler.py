"""Unpickle a payload that passed every check. Its globals come from a table that the caller gives, and nowhere else.

Three unpicklers do the work. CPython's own in C loads what needs no plan. For objects of classes that changed or are
validated there is the exact unpickler in Python, which sees each object while it is made. Where there are many such
objects, the one in C loads them as well, with stand-ins for the classes (`standin`). This module checks no structure,
imports no module, and decides nothing about trust.
"""

import io
import os
import pickle
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import (
    Hint,
    MigrationError,
    MissingExtraError,
    ReadError,
    UndeclaredGlobalError,
    UnpickleError,
    shown,
    text_of,
)
from .states import check_slots, check_state

if TYPE_CHECKING:
    from .._schema.plans import Plan

Look = Callable[[Iterable[Any]], None]
Resolved = Mapping[tuple[str, str], Any]  # module and qualified name -> the object that the payload gets


def undeclared(module: str, name: str) -> UndeclaredGlobalError:
    """Return the error for a name that the table lacks."""
    reason = "the payload imports a name that its header does not declare"
    return UndeclaredGlobalError(reason, None, f"{module}:{name}", None, "globals")


def state_is_no_dict() -> Exception:
    """Return the error that CPython's unpickler raises for a state of another type."""
    return pickle.UnpicklingError("state is not a dictionary")


class _Unpickler(pickle.Unpickler):
    """CPython's unpickler, with the table as the only source of globals (spec 8, Imports)."""

    __slots__ = ("resolved",)
    resolved: Resolved

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return self.resolved[module, name]
        except KeyError:
            raise undeclared(module, name) from None

    def persistent_load(self, pid: Any, /) -> Any:
        raise UndeclaredGlobalError(
            "the payload uses a persistent id", None, None
        )  # the structure check refuses these opcodes (E2)


def new_unpickler(payload: bytes, buffers: Sequence[Any], resolved: Resolved) -> pickle.Unpickler:
    """Return an unpickler for one payload, whose globals come from `resolved`."""
    unpickler = _Unpickler(io.BytesIO(payload), buffers=buffers)
    unpickler.resolved = resolved
    return unpickler


def load_with_rest(payload: bytes, buffers: Sequence[Any], resolved: Resolved) -> tuple[Any, bool]:
    """Unpickle a payload. Return the object, and whether STOP found anything else on the stack: a value or a mark.

    The unpickler in C does not show its stack. So the payload runs within two tuples: the outer one begins with a value
    that no payload can know, and the inner one has all that the payload leaves.
    """
    secret = os.urandom(16)
    opening = pickle.MARK + pickle.SHORT_BINBYTES + bytes((len(secret),)) + secret + pickle.MARK
    start = 2 if payload[:1] == pickle.PROTO else 0  # bare pickles of protocols 0 and 1 do not say their protocol
    wrapped = b"".join((payload[:start], opening, payload[start:-1], pickle.TUPLE + pickle.TUPLE + pickle.STOP))
    outer = new_unpickler(wrapped, buffers, resolved).load()
    is_alone = len(outer) == 2 and type(outer[0]) is bytes and outer[0] == secret and len(outer[1]) == 1
    return (outer[1][0], False) if is_alone else (None, True)


class _KeyWatcher(pickle._Unpickler):
    """Python's own unpickler, which shows what is hashed before it is."""

    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, payload: bytes, buffers: Sequence[Any], resolved: Resolved, note: Callable[[list[Any]], None]):
        super().__init__(io.BytesIO(payload), buffers=buffers)
        self.resolved = resolved
        self.note = note

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.resolved[module, name]
        except KeyError:
            raise undeclared(module, name) from None

    def _key(self) -> None:
        self.note(self.stack[-2:-1])
        self.load_setitem()  # type: ignore[attr-defined]

    def _keys(self) -> None:
        self.note(self.stack[::2])
        self.load_setitems()  # type: ignore[attr-defined]

    def _dict(self) -> None:
        self.note(self.stack[::2])
        self.load_dict()  # type: ignore[attr-defined]

    def _items(self) -> None:
        self.note(self.stack)
        self.load_additems()  # type: ignore[attr-defined]

    def _frozenset(self) -> None:
        self.note(self.stack)
        self.load_frozenset()  # type: ignore[attr-defined]

    dispatch |= {
        pickle.SETITEM[0]: _key,
        pickle.SETITEMS[0]: _keys,
        pickle.DICT[0]: _dict,
        pickle.ADDITEMS[0]: _items,
        pickle.FROZENSET[0]: _frozenset,
    }


def load_watching_keys(
    payload: bytes, buffers: Sequence[Any], resolved: Resolved, note: Callable[[list[Any]], None]
) -> Any:
    """Unpickle a payload, and give `note` the keys and set members that its opcodes hash. Slow."""
    return _KeyWatcher(payload, buffers, resolved, note).load()


# Containers that take every key that they are given; others may drop some.
_KEYED = (dict, OrderedDict, defaultdict, Counter)
_SHOWN = 120  # characters of a key


def _makes_set(function: Any) -> bool:
    """Return whether a call makes a set of the items of its argument, and of nothing else."""
    if not isinstance(function, type) or not issubclass(function, (set, frozenset)):
        return False
    return function.__init__ in (set.__init__, object.__init__) and function.__new__ in (set.__new__, frozenset.__new__)


_IDENTITY: tuple[Any, ...] = (object.__hash__, None)  # hashes that no state changes


def _check_arguments(args: Any) -> None:
    """Refuse arguments that are no tuple, as CPython's unpickler does. Python's own takes whatever can be iterated."""
    if type(args) is not tuple:
        raise TypeError(f"the arguments of a call are not a tuple, but {type(args).__name__}")


class _ExactUnpickler(pickle._Unpickler):
    """Python's own unpickler, which gives objects of classes that changed or are validated their state by a `Plan`.

    The one in C has no hook at NEWOBJ, REDUCE and BUILD, so it can't see the objects.
    """

    stack: list[Any]
    metastack: list[list[Any]]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(
        self,
        payload: bytes,
        buffers: Sequence[Any],
        resolved: Resolved,
        plans: "Mapping[int, Plan]",
    ) -> None:
        from .._schema.adapters import rebuilt  # adapters are imported when a class is described

        super().__init__(io.BytesIO(payload), buffers=buffers)
        self._rebuilt = rebuilt
        self.resolved = resolved
        self._plans = plans
        self._merges = [plan.name for plan in plans.values() if plan.may_make_equal]
        # Objects that were made and have no state yet, by id: (object, plan, whether it was filled already).
        self._unfinished: dict[int, tuple[Any, Plan, bool]] = {}
        self._validated: list[tuple[Any, Plan]] = []

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.resolved[module, name]
        except KeyError:
            raise undeclared(module, name) from None

    def load(self) -> Any:
        obj = super().load()
        for made, plan, filled in self._unfinished.values():
            if not filled:
                self._finish(made, plan)
        for made, plan in self._validated:
            plan.check(made)
        return obj

    def _finish(self, obj: Any, plan: "Plan") -> None:
        """Give a state to an object that was pickled without one, as it had no attribute of its own."""
        if plan.steps and getattr(type(obj), "__hash__", None) not in _IDENTITY:
            where = f"types.{plan.name}"
            raise MigrationError(
                "an object without state, which may have been hashed before it is migrated", where=where
            )
        plan.restore(obj, None)

    def _new(self, cls: Any, args: Any, kwargs: Any) -> None:
        _check_arguments(args)
        plan = self._plans.get(id(cls))
        if plan is None:
            self.append(cls.__new__(cls, *args, **kwargs))
            return
        if plan.was is None:
            obj = cls.__new__(cls, *args, **kwargs)
        elif plan.made_of_arguments:
            obj = plan.make(args)
        else:
            obj = cls.__new__(cls, *args, **kwargs)
            # An object without fields is pickled without a state. It is complete now, unless a state follows after all.
            filled = plan.is_complete_without_state
            if filled:
                plan.restore(obj, None)
            self._unfinished[id(obj)] = obj, plan, filled
        self._note(obj, plan)
        self.append(obj)

    def _note(self, obj: Any, plan: "Plan") -> None:
        if plan.validate is not None:
            self._validated.append((obj, plan))

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self._new(self.stack.pop(), args, {})

    def load_newobj_ex(self) -> None:
        kwargs = self.stack.pop()
        args = self.stack.pop()
        self._new(self.stack.pop(), args, kwargs)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        func = self.stack.pop()
        _check_arguments(args)
        plan = self._plans.get(id(func))
        rebuilt = self._rebuilt(func, args)
        if rebuilt is not None:
            plan = self._plans.get(id(rebuilt[0]))
        if plan is None or plan.was is None:
            obj = func(*args)
        elif plan.made_of_arguments:
            obj = plan.make(args) if rebuilt is None else plan.make(rebuilt[1:], by_name=True)
        else:
            where = f"types.{plan.name}"
            raise MigrationError("the payload makes it by a call, so there is no state to migrate", where=where)
        if plan is None:
            plan = self._plans.get(id(type(obj)))
            if plan is not None and plan.was is not None and plan.now.adapter.makes_empty(func):
                self._unfinished[id(obj)] = obj, plan, False
        if plan is not None and type(obj) is plan.cls:
            self._note(obj, plan)
        if self._merges and type(args) is tuple and len(args) == 1 and type(args[0]) is list and _makes_set(func):
            self._check_keys(args[0], obj)
        self.append(obj)

    def load_setitem(self) -> None:
        keys, target = [self.stack[-2]], self.stack[-3]
        before = len(target) if type(target) in _KEYED else None
        super().load_setitem()  # type: ignore[misc]
        self._check_keys(keys, target, before)

    def load_setitems(self) -> None:
        keys, target = self.stack[::2], self.metastack[-1][-1]
        before = len(target) if type(target) in _KEYED else None
        super().load_setitems()  # type: ignore[misc]
        self._check_keys(keys, target, before)

    def load_additems(self) -> None:
        keys, target = self.stack, self.metastack[-1][-1]
        before = len(target) if type(target) is set else None
        super().load_additems()  # type: ignore[misc]
        self._check_keys(keys, target, before)

    def load_frozenset(self) -> None:
        keys = self.stack
        super().load_frozenset()  # type: ignore[misc]
        self._check_keys(keys, self.stack[-1])

    def load_dict(self) -> None:
        keys = self.stack[::2]
        super().load_dict()  # type: ignore[misc]
        self._check_keys(keys, self.stack[-1])

    def _check_keys(self, keys: list[Any], target: Any, before: int | None = 0) -> None:
        """Refuse keys of a dict, or members of a set, that were different when they were pickled and are equal now.

        `before` is how many the target had before it got these; None: it is of no type that takes every key.
        """
        if not self._merges or before is None or len(target) == before + len(keys):
            return
        kept = set(map(id, target))  # a key that is there already stays; an enum has one object for equal members
        key = next((key for key in keys if id(key) not in kept), keys[-1])
        names = ", ".join(self._merges)
        hint = f"keep what told objects of {names} apart, or merge them in a migration of the object that holds them"
        raise MigrationError("two keys of a dict or set are equal now", None, shown(key, _SHOWN), hint)

    def load_build(self) -> None:
        if len(self.stack) > 1:
            state, target = self.stack[-1], self.stack[-2]
            if isinstance(state, tuple) and len(state) == 2 and state[1]:
                check_slots(state[1])
            unfinished = self._unfinished.pop(id(target), None)
            if unfinished is not None:
                self.stack.pop()
                unfinished[1].restore(target, state)
                return
            plan = self._plans.get(id(type(target)))
            if plan is not None and plan.was is not None and not plan.made_of_arguments:
                raise UnpickleError("the payload sets the state of an object twice", None, plan.name)
            if getattr(target, "__setstate__", None) is None:
                check_state(state)
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.ADDITEMS[0]] = load_additems
    dispatch[pickle.FROZENSET[0]] = load_frozenset
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.BUILD[0]] = load_build


def load_own(payload: bytes) -> Any:
    """Unpickle what this process has pickled and given to nobody: nothing is checked."""
    return pickle.loads(payload)


def load_object(
    payload: bytes,
    buffers: Sequence[Any],
    resolved: Resolved,
    plans: "Mapping[int, Plan]" = MappingProxyType({}),
    look: Look | None = None,
) -> Any:
    """Unpickle a checked payload. Runs the payload's opcodes and the code of the classes that `resolved` holds.

    `look` is called with the objects that were made, among other values. These are the objects of the memo: picklers
    put each object there that is no atom.

    Raises:
        UndeclaredGlobalError: the payload imports a name outside `resolved`.
        UntrustedGlobalError: the payload used a safe function for something else than it is for.
        MigrationError, InvalidObjectError: a step of `plans` failed.
        UnpickleError: something else was raised; the original exception is the `__cause__`.
    """
    try:
        if plans:
            return _load_with_plans(payload, buffers, resolved, plans, look)
        unpickler = new_unpickler(payload, buffers, resolved)
        obj = unpickler.load()
        if look is not None:
            look(unpickler.memo.copy().values())
        return obj
    except MissingExtraError as exc:
        raise UnpickleError(f"the payload is intact, and {exc.reason}: numpy is not installed", hint=exc.hint) from exc
    except Exception as exc:
        if isinstance(exc, ReadError) and exc.step == 20:  # this library refused the payload, or one inside it
            raise
        reason = f"the payload is intact and raised {type(exc).__name__} while it was loaded: {text_of(exc)}"
        raise UnpickleError(reason, hint=_of_another_system(exc, resolved) or _hint(exc)) from exc


def _hint(exc: Exception) -> str | None:
    """Return what to do about what a class raised while its objects were made. The class may be as it always was."""
    trace = exc.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        first = trace.tb_frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if code.co_name in _RAN_TOO_EARLY and first is not None and not isinstance(first, pickle._Unpickler):
            name = (first if isinstance(first, type) else type(first)).__qualname__
            return _RAN_TOO_EARLY[code.co_name].format(name=name)
        trace = trace.tb_next
    text = text_of(exc)
    if type(exc).__name__ == "FrozenInstanceError":
        return "give the frozen class a __reduce__, or a __setstate__ that uses object.__setattr__"
    if isinstance(exc, TypeError) and any(f"{name}()" in text for name in ("__init__", "__new__")):
        what = "a __reduce__ (for an exception) or a __getnewargs__ (for a __new__)"
        return f"its arguments are stored by position: give the class {what} that returns what it needs"
    changed = isinstance(exc, AttributeError | ImportError | TypeError)
    return "check whether its classes changed since it was written" if changed else None


# Methods that unpickling runs before an object has its attributes.
_RAN_TOO_EARLY = {
    "__hash__": "{name}.__hash__ needs attributes, and pickle puts the object into a set or dict before it sets them: "
    "store the set as a list in __getstate__, and make it again in __setstate__",
    "__eq__": "{name}.__eq__ needs attributes, and pickle puts the object into a set or dict before it sets them: "
    "store the set as a list in __getstate__, and make it again in __setstate__",
    "__getattr__": "let {name}.__getattr__ raise AttributeError for names that begin with two underscores",
    "__setitem__": "{name}.__setitem__ runs before the attributes are set: give them defaults in the class body",
    "__setattr__": "give {name} a __setstate__ that uses object.__setattr__",
    "append": "{name}.append runs before the attributes are set: give them defaults in the class body, or a __reduce__",
    "extend": "{name}.extend runs before the attributes are set: give them defaults in the class body, or a __reduce__",
    "__setstate__": "let {name}.__setstate__ take what __getstate__ stored, in older versions of the class too",
    "__init__": "{name} is made of stored arguments: give it a __reduce__ that returns those that its __init__ takes",
    "__new__": "{name} is made of stored arguments: give it a __getnewargs__ that returns those that its __new__ takes",
}


def _of_another_system(exc: Exception, resolved: Resolved) -> str | None:
    """Return what to do if an object can't be made because it belongs to another kind of system, else None."""
    if isinstance(exc, NotImplementedError):
        other = "PosixPath" if os.name == "nt" else "WindowsPath"
        is_named = ("pathlib", other) in resolved or ("pathlib._local", other) in resolved
        if is_named and other in text_of(exc):
            old, new = f"pathlib:{other}", f"pathlib:Pure{other}"
            return Hint(
                f'Policy(renames={{"{old}": "{new}"}}) reads paths of another system',
                f'"{old}" = "{new}" under [renames] in the --policy file reads paths of another system',
            )
    if type(exc).__name__ == "ZoneInfoNotFoundError":  # zoneinfo is imported by payloads alone
        return "install or update the database of time zones: pip install --upgrade tzdata"
    return None


def _may_be_keys(payload: bytes, buffers: Sequence[Any], resolved: Resolved, plans: "Mapping[int, Plan]") -> bool:
    """Return whether objects that need a plan may be keys of a dict, or members of a set. Loads the payload once more.

    Code of other classes that changes its buffers in place would change those of the object that was loaded, so a
    payload with buffers is not loaded.
    """
    from .standin import Probes

    if buffers:
        return True
    probes = Probes(resolved, plans)
    try:
        new_unpickler(payload, buffers, probes.table).load()
    except Exception:  # of code that needs what these objects hold
        return True
    return probes.are_hashed


def _load_with_plans(
    payload: bytes, buffers: Sequence[Any], resolved: Resolved, plans: "Mapping[int, Plan]", look: Look | None
) -> Any:
    """Load a payload with objects that need a plan."""
    from .standin import CanNotStandInError, StandIns, can_stand_in

    if can_stand_in(payload, resolved, plans):
        stand_ins = StandIns(resolved, plans)
        with suppress(CanNotStandInError):
            unpickler = new_unpickler(payload, buffers, stand_ins.table)
            obj = unpickler.load()
            if look is not None:
                look(unpickler.memo.copy().values())
            del unpickler  # it refers to what it made
            if stand_ins.are_gone() and not (
                stand_ins.may_have_merged() and _may_be_keys(payload, buffers, resolved, plans)
            ):
                for made, plan in stand_ins.validated:
                    plan.check(made)
                return obj
    exact = _ExactUnpickler(payload, buffers, resolved, plans)
    obj = exact.load()
    if look is not None:
        look(exact.memo.values())
    return obj
