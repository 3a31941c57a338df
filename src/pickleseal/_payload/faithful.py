"""Find what the pickle of an object leaves out, and objects that can be pickled and never unpickled.

Some classes of the standard library and numpy have a way of pickling that forgets the attributes of their subclasses
(`Decimal`, `Counter`, `datetime`), or that calls the subclass with arguments that it does not take (exceptions). The
pickler asks here about the classes that inherit from these, and about classes whose own methods run while they are
unpickled. It gives no answer about all other classes, and costs them nothing beyond one look per class.

A check looks at what the pickler was given. Only where the class has a constructor of its own, which unpickling will
call, the check calls it as well, with the same arguments, and compares what it makes. This module writes nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType
from typing import Any

from .._schema.names import global_name, is_standard
from ..errors import text_of
from .states import ERROR_ATTRIBUTES

_attribute = type.__getattribute__  # past a metaclass's own
_MISSING: Any = object()
_LIBRARIES = frozenset({"numpy"})  # beside the standard library
# A class that holds one of these brings an attribute back without a state: the value is computed when it is asked for.
_COMPUTED = frozenset({"cached_property"})
_STRUCT = "msgspec._core:_StructMixin"  # has the methods of msgspec.Struct
_VALUES = (str, int, float, complex, bytes, tuple)  # made of what `__getnewargs__` gives
_SHOWN = 6  # names in a message
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that is not built in
_IN_C = (MemberDescriptorType, GetSetDescriptorType)


NEEDED_FOR_ITSELF = "let its __reduce__ return what leads back to it as the state, and not as an argument"


class NotKeptError(Exception):
    """An object would not come back as it is. `culprit` is the object."""

    def __init__(self, culprit: Any, reason: str, hint: str) -> None:
        super().__init__(reason, hint)
        self.culprit = culprit
        self.reason = reason
        self.hint = hint

    def __reduce__(self) -> Any:
        return type(self), (self.culprit, self.reason, self.hint)


# Gets an object, its reduction, and a function that takes a warning. Returns whether it holds for the whole class.
Check = Callable[[Any, tuple[Any, ...], Callable[[Any, str], None]], bool]


def checks_of(cls: type) -> tuple[Check, ...]:
    """Return the checks of the objects of a class. Most classes have none."""
    try:
        return _checks_of(cls)
    except Exception:  # a class with unusual attributes: nothing is known of it
        return ()


def needed_for_itself(obj: Any) -> NotKeptError:
    """Return the error for an object that is among the arguments that make it."""
    reason = f"{global_name(type(obj))} is needed to make itself: it is among its own arguments"
    return NotKeptError(obj, reason, NEEDED_FOR_ITSELF)


def check_method(method: Any, owner: Any, name: Any) -> None:
    """Check that a bound method, which pickle stores as an owner and a name, is what the owner has under that name.

    Raises:
        NotKeptError: it is not, as for a `super().method`, or a private method.
    """
    if type(method) is not MethodType or not isinstance(name, str):
        return
    found = getattr(owner, name, None)
    if getattr(found, "__func__", found) is method.__func__:
        return
    cls = owner if isinstance(owner, type) else type(owner)
    called = getattr(method.__func__, "__qualname__", name)
    if found is None:
        reason = f"the bound method {called} can be packed and never read: {cls.__qualname__} has no attribute {name!r}"
    else:
        there = getattr(found, "__qualname__", name)
        reason = f"the bound method {called} would be read as {there}: pickle stores the object and the name {name!r}"
    raise NotKeptError(method, reason, "store the object, and what to do as a name or a function of a module")


def with_attributes_in_c(obj: BaseException, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the reduction of an exception with a state that has what the exception keeps in C and pickle leaves out.

    It is what was set after the exception was made, and what an interpreter sets itself: `NameError.name`. The `obj` of
    an AttributeError may be anything, and is left out like the traceback.

    Raises:
        NotKeptError: no state can bring a value back.
    """
    state = reduced[2] if len(reduced) > 2 else None
    if not (state is None or type(state) is dict):
        return reduced
    lost = {name: value for name, value in _lost_in_c(obj, reduced[1]).items() if name not in (state or ())}
    if not lost:
        return reduced
    cls = type(obj)
    known = {name for base in _attribute(cls, "__mro__") for name in ERROR_ATTRIBUTES.get(global_name(base), ())}
    names = [name for name in lost if name not in known or _owner(cls, "__setstate__") is not BaseException]
    if names:
        shown = ", ".join(map(repr, names))
        reason = f"{shown} of {global_name(cls)} would be lost: the exception is made without it"
        hint = "make the exception anew with it among the arguments"
        raise NotKeptError(obj, reason, hint if _is_library(cls) else _give_reduce(cls, _own(cls, "__init__")))
    return (*reduced[:2], {**(state or {}), **lost}, *reduced[3:])


def _lost_in_c(obj: BaseException, args: Any) -> dict[str, Any]:
    """Return what an exception keeps in C, and what its builtin class does not make of the arguments."""
    cls, builtin, held = type(obj), None, dict[str, Any]()
    for base in _attribute(cls, "__mro__"):
        if base is BaseException:
            break
        if base.__flags__ & _HEAP_TYPE:
            continue
        builtin = builtin or base
        for name, value in _attribute(base, "__dict__").items():
            if type(value) in _IN_C and not name.startswith("__") and _static(cls, name) is value:
                with suppress(AttributeError):  # it is not set
                    held[name] = value.__get__(obj, cls)
    if builtin is None or not held or type(args) is not tuple:
        return {}
    try:
        made = builtin(*args)
    except Exception:  # it can't be read either, which another check says
        return {}
    if builtin is AttributeError:
        held.pop("obj", None)
    return {name: value for name, value in held.items() if not _is_same(value, _value_of(made, name))}


def _checks_of(cls: type) -> tuple[Check, ...]:
    owner, _ = _reducer_of(cls)
    if _is_library(cls):
        # Some exceptions forget their notes; and any may be among its own arguments.
        return (_check_attributes,) if issubclass(cls, BaseException) else ()
    if owner is object:
        return tuple(_checks_of_plain(cls))
    if global_name(owner) == _STRUCT and cls.__dictoffset__:  # with dict=True
        return (_check_instance_dict,)
    if not _is_library(owner):
        return ()  # the class says itself what is stored
    found: list[Check] = [] if issubclass(cls, BaseException) else [_check_call]
    if issubclass(cls, BaseException):
        if _owner(cls, "__setattr__") is not BaseException and _owner(cls, "__setstate__") is BaseException:
            found.append(_check_frozen if _own_setattr(cls) is None else _check_setattr)
        if _own(cls, "__init__") or _own(cls, "__new__"):
            found.append(_check_call)
    found.append(_check_attributes)
    return tuple(found)


def _checks_of_plain(cls: type) -> Iterator[Check]:
    """Yield the checks of a class that is pickled by the methods of `object`."""
    if issubclass(cls, type):
        return
    getter = _owner(cls, "__getstate__")
    if getter is not None and getter is not object and _is_library(getter):
        yield _check_attributes
    if _own(cls, "__new__"):
        yield _check_new
    setter = _owner(cls, "__setstate__")
    if setter is None:
        if _static(cls, "__getattr__") is not None:
            yield _check_getattr
        # With object's own __getstate__, pickle sets what is in slots, and nothing else.
        if getter is None or getter is object:
            if _refused_slots(cls):
                yield _check_frozen
            elif _own_setattr(cls) is not None and _has_slots(cls):
                yield _check_setattr
        if issubclass(cls, dict) and _own(cls, "__setitem__"):
            yield _check_items


# --- the checks -------------------------------------------------------------------------------------------------------


def _check_attributes(obj: Any, reduced: tuple[Any, ...], warn: Callable[[Any, str], None]) -> bool:
    """Check that the state holds every attribute, or that the class gives it back otherwise."""
    held = _attributes(obj)
    if not held:
        return False
    carried = _names_in(reduced[2]) if len(reduced) > 2 else frozenset()
    lost = {name: value for name, value in held.items() if name not in carried}
    if lost:
        _refuse_lost(obj, reduced, lost)
    return False


def _check_instance_dict(obj: Any, reduced: tuple[Any, ...], warn: Callable[[Any, str], None]) -> bool:
    """Check that the instance dictionary is empty, for a class whose pickles have none of it."""
    if vars(obj):
        _refuse_lost(obj, reduced, vars(obj))
    return False


def _refuse_lost(obj: Any, reduced: tuple[Any, ...], lost: dict[str, Any]) -> None:
    """Refuse attributes that do not come back. Those that the library's own methods set are its own affair."""
    cls = type(obj)
    known = _names_of_libraries(cls)
    names = [name for name, value in lost.items() if name not in known and not _comes_back(cls, name, value)]
    if names and _calls_own_code(cls, reduced):
        made = _called(reduced)
        names = [name for name in names if made is _MISSING or not _is_same(lost[name], _value_of(made, name))]
    if not names:
        return
    owner, _ = _reducer_of(cls)
    shown = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    inherited = "__getstate__" if owner is object else _name_of_reducer(owner)
    source = (_owner(cls, "__getstate__") or owner) if owner is object else owner
    reason = f"{shown} of {global_name(cls)} would be lost: {inherited} of {_shown(source)} leaves attributes out"
    if source is cls:
        reason = f"{shown} of {global_name(cls)} would be lost: its {inherited} leaves attributes out"
    raise NotKeptError(obj, reason, _way_out(cls, owner, names, len(reduced) > 3))


def _check_call(obj: Any, reduced: tuple[Any, ...], warn: Callable[[Any, str], None]) -> bool:
    """Check that the class, called with the arguments of the reduction, gives back what the object is made of."""
    cls, args = type(obj), reduced[1] if len(reduced) > 1 else None
    if reduced[0] is not cls or type(args) is not tuple or not (_own(cls, "__new__") or _own(cls, "__init__")):
        return False
    if type(cls).__call__ is not type.__call__:  # of an enum, a call finds a member and makes none
        return False
    for name in ("__new__", "__init__"):
        own = _own(cls, name)
        problem = None if own is None else _misfit(own, len(args))
        if problem is not None:
            raise NotKeptError(obj, _never_read(cls, args, name, problem), _give_reduce(cls, own))
    try:
        made = cls(*_copies(args))
    except Exception as exc:
        what = f"{global_name(cls)} may be impossible to read: {cls.__qualname__} is called with {_count(args)}"
        warn(obj, f"{what}, which raises {type(exc).__name__} here: {text_of(exc)}; {_give_reduce(cls, None)}")
        return False
    if type(made) is not cls:
        return False
    problem = _difference(obj, made, args, reduced)
    if problem is not None:
        what = f"{global_name(cls)} will be read as something else: called with {_count(args)}, it {problem}"
        warn(obj, f"{what}; {_give_reduce(cls, None)}")
    return False


def _difference(obj: Any, made: Any, args: tuple[Any, ...], reduced: tuple[Any, ...]) -> str | None:
    """Return what is wrong with an object that a call made, before its state and items are set; None if nothing is."""
    items, pairs = (*reduced, None, None, None)[3:5] if len(reduced) < 6 else reduced[3:5]
    if isinstance(obj, set | frozenset):
        kind: Any = set if isinstance(obj, set) else frozenset
        return None if kind.__eq__(obj, made) is not False else "has other members"
    if isinstance(obj, deque) and items is not None and len(made):
        return "has items before the stored ones are added"
    if isinstance(obj, dict) and pairs is not None and not dict.keys(made) <= dict.keys(obj):
        return "has keys that are not stored"
    again = made.__reduce_ex__(5)
    if type(again) is not tuple or len(again) < 2 or type(again[1]) is not tuple:
        return None
    if len(again[1]) != len(args) or not all(map(_is_same, args, again[1])):
        return "has other arguments itself" if isinstance(obj, BaseException) else "has another value"
    return None


def _check_new(obj: Any, reduced: tuple[Any, ...], warn: Callable[[Any, str], None]) -> bool:
    """Check that `__new__` takes what `__getnewargs__` gives it, and that a value stays the same by it."""
    cls: Any = type(obj)
    if getattr(reduced[0], "__name__", "") != "__newobj__":
        return True
    args = reduced[1][1:]
    own = _own(cls, "__new__")
    problem = _misfit(own, len(args))
    if problem is not None:
        raise NotKeptError(obj, _never_read(cls, args, "__new__", problem), _give_new_arguments(cls, own))
    if not issubclass(cls, _VALUES) or type(_static(cls, "__getnewargs__")) is FunctionType:
        return True
    try:
        made = cls.__new__(cls, *args)
    except Exception as exc:
        what = f"{global_name(cls)} may be impossible to read: its __new__ gets {_count(args)}"
        warn(obj, f"{what}, and raises {type(exc).__name__} here: {text_of(exc)}; give it a __getnewargs__")
        return False
    again = made.__reduce_ex__(5)[1][1:] if type(made) is cls else args
    if len(again) != len(args) or not all(map(_is_same, args, again)):
        what = f"{global_name(cls)} will be read as another value, because its __new__ changes what it is given"
        warn(obj, f"{what}; {_give_new_arguments(cls, own)}")
    return False


def _check_getattr(obj: Any, reduced: tuple[Any, ...], warn: Callable[[Any, str], None]) -> bool:
    """Check that an object without attributes can be asked whether it has a `__setstate__`, as unpickling does."""
    cls = type(obj)
    if len(reduced) < 3 or reduced[2] is None:
        return False
    empty = _empty(cls, reduced)
    if empty is _MISSING:
        return True
    try:
        found = getattr(empty, "__setstate__", _MISSING)
    except Exception as exc:
        problem = f"raises {type(exc).__name__} when it is asked for __setstate__ of an object without attributes"
    else:
        if found is _MISSING or callable(found):
            return True
        problem = f"returns {type(found).__name__} when it is asked for __setstate__"
    reason = f"{global_name(cls)} can be packed and never read: its __getattr__ {problem}"
    hint = "let it raise AttributeError for names that begin with two underscores"
    raise NotKeptError(obj, reason, hint)


def _check_frozen(obj: Any, reduced: tuple[Any, ...], warn: Callable[[Any, str], None]) -> bool:
    """Check that a frozen class is not given attributes by `setattr`, as exceptions and slots are."""
    cls = type(obj)
    owner = _owner(cls, "__setattr__") or object
    state = reduced[2] if len(reduced) > 2 else None
    if not issubclass(cls, BaseException):
        state = state[1] if type(state) is tuple and len(state) == 2 else None
    names = list(state) if type(state) is dict else []
    names = [name for name in names if _refuses_to_set(cls, owner, name)]
    if not names:
        return False
    what = "an exception" if issubclass(cls, BaseException) else "slots of a base"
    reason = f"{global_name(cls)} can be packed and never read: it is frozen, and pickle sets {names[0]!r} of {what}"
    if issubclass(cls, BaseException):
        raise NotKeptError(obj, reason, _give_reduce(cls, _own(cls, "__init__")))
    hint = f"give {cls.__qualname__} slots=True, or a __setstate__ that uses object.__setattr__"
    raise NotKeptError(obj, reason, hint)


def _check_setattr(obj: Any, reduced: tuple[Any, ...], warn: Callable[[Any, str], None]) -> bool:
    """Check that a `__setattr__` that somebody wrote takes what unpickling sets by it in an object without state."""
    cls, is_exception = type(obj), issubclass(type(obj), BaseException)
    state = reduced[2] if len(reduced) > 2 else None
    inside, by_setattr = (None, state) if is_exception or type(state) is not tuple else state
    if type(by_setattr) is not dict or not by_setattr or (type(state) is not tuple and not is_exception):
        return False
    made = _called(reduced) if is_exception else _empty(cls, reduced)
    if made is _MISSING or type(made) is not cls:
        return True
    if type(inside) is dict:
        made.__dict__.update(inside)
    try:
        for name, value in by_setattr.items():
            setattr(made, name, value)
    except Exception as exc:
        what = "an exception" if is_exception else "slots"
        problem = f"by its __setattr__, which raises {type(exc).__name__}: {text_of(exc)}"
        reason = f"{global_name(cls)} can be packed and never read: pickle sets {name!r} of {what} {problem}"
        hint = f"give {cls.__qualname__} a __setstate__ that uses object.__setattr__"
        raise NotKeptError(obj, reason, hint) from None
    return True


def _check_items(obj: Any, reduced: tuple[Any, ...], warn: Callable[[Any, str], None]) -> bool:
    """Check that the `__setitem__` of a dict does not need attributes, which come back after the items."""
    cls, setter = type(obj), _own(type(obj), "__setitem__")
    names = set(setter.__code__.co_names) & _attributes(obj).keys()
    names = {name for name in names if _static(cls, name, _MISSING) is _MISSING}
    if not names or not dict.__len__(obj):
        return False
    empty = _empty(cls, reduced)
    if empty is _MISSING:
        return True
    key = next(iter(dict.keys(obj)))
    try:
        setter(empty, key, dict.__getitem__(obj, key))
    except AttributeError:
        shown = ", ".join(map(repr, sorted(names)[:_SHOWN]))
        reason = f"{global_name(cls)} can be packed and never read: its __setitem__ needs {shown}, which comes later"
        hint = f"give {cls.__qualname__} defaults for them in the class body, or a __reduce__"
        raise NotKeptError(obj, reason, hint) from None
    except Exception:  # it may want another key or value: nothing is known
        return True
    return True


# --- what is said -----------------------------------------------------------------------------------------------------


def _never_read(cls: type, args: tuple[Any, ...], method: str, problem: str) -> str:
    what = f"{global_name(cls)} can be packed and never read: reading calls it with {_count(args)}"
    return f"{what}, and its {method} {problem}"


def _count(args: tuple[Any, ...]) -> str:
    return "no arguments" if not args else "1 argument" if len(args) == 1 else f"{len(args)} arguments"


def _parameters(function: Any) -> list[str]:
    code = function.__code__
    return list(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])


def _give_reduce(cls: type, function: Any) -> str:
    names = _parameters(function) if type(function) is FunctionType else []
    values = ", ".join(f"self.{name}" for name in names) + ("," if len(names) == 1 else "") if names else "..."
    return f"give {cls.__qualname__} a method: def __reduce__(self): return type(self), ({values})"


def _give_new_arguments(cls: type, function: Any) -> str:
    names = _parameters(function)
    values = ", ".join(f"self.{name}" for name in names) + ("," if len(names) == 1 else "")
    return f"give {cls.__qualname__} a method: def __getnewargs__(self): return ({values})"


def _way_out(cls: type, owner: type, names: list[str], has_items: bool) -> str:
    """Return the method to write, so that the attributes are stored."""
    name = cls.__qualname__
    if owner is object:
        return f"give {name} a __getstate__ and a __setstate__ that store {names[0]!r} as well"
    is_exception = issubclass(cls, BaseException)
    setter = _owner(cls, "__setstate__")
    if setter is not None and not is_exception:
        return f"give {name} a __reduce__ and a __setstate__ that store {names[0]!r} as well"
    state = "self.__dict__"
    slots = [slot for slot, _ in _slots(cls) if slot in names]
    if slots:
        listed = ", ".join(f'"{slot}": self.{slot}' for slot in slots)
        inside = "self.__dict__" if cls.__dictoffset__ else "None"
        state = f"{{**self.__dict__, {listed}}}" if is_exception else f"({inside}, {{{listed}}})"
    method = _name_of_reducer(owner)
    given, taken = ("self, protocol", "protocol") if method == "__reduce_ex__" else ("self", "")
    base = f"super().{method}({taken})"
    body = f"return (*{base}[:2], {state})"
    if has_items:
        body = f"made = {base}; return (*made[:2], {state}, *made[3:])"
    return f"give {name} a method: def {method}({given}): {body}"


def _shown(cls: type) -> str:
    if global_name(cls) == _STRUCT:
        return "msgspec.Struct"
    return global_name(cls).replace(":", ".").removeprefix("builtins.")


# --- what is known of classes and objects -----------------------------------------------------------------------------


def _is_library(cls: type) -> bool:
    top = str(_attribute(cls, "__module__")).partition(".")[0]
    return top in _LIBRARIES or is_standard(top)


def _owner(cls: type, name: str) -> type | None:
    """Return the class of the resolution order that defines a name, or None."""
    for base in _attribute(cls, "__mro__"):
        if name in _attribute(base, "__dict__"):
            return base  # type: ignore[no-any-return]
    return None


def _static(cls: type, name: str, default: Any = None) -> Any:
    owner = _owner(cls, name)
    if owner is None:
        return default
    value = _attribute(owner, "__dict__")[name]
    return value.__func__ if isinstance(value, staticmethod | classmethod) else value


def _own(cls: type, name: str) -> Any:
    """Return a method in Python that the class has from outside of the libraries, or None."""
    owner = _owner(cls, name)
    if owner is None or _is_library(owner):
        return None
    method = _static(cls, name)
    return method if type(method) is FunctionType else None


def _reducer_of(cls: type) -> tuple[type, Any]:
    """Return the class whose method reduces objects of a class, and the method."""
    for name in ("__reduce_ex__", "__reduce__"):
        owner = _owner(cls, name)
        if owner is not None and owner is not object:
            return owner, _attribute(owner, "__dict__")[name]
    return object, None


def _name_of_reducer(owner: type) -> str:
    return "__reduce_ex__" if "__reduce_ex__" in _attribute(owner, "__dict__") else "__reduce__"


def _slots(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the slots that a class has from outside of the libraries, with their descriptors."""
    for base in _attribute(cls, "__mro__"):
        if _is_library(base):
            continue
        found = _attribute(base, "__dict__")
        slots = found.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            private = name.startswith("__") and not name.endswith("__") and base.__name__.strip("_")
            stored = f"_{base.__name__.lstrip('_')}{name}" if private else name
            if stored in found and hasattr(type(found[stored]), "__set__"):
                yield stored, found[stored]


def _attributes(obj: Any) -> dict[str, Any]:
    """Return what an object holds in its instance dictionary, and in slots that no library declared."""
    cls = type(obj)
    found: dict[str, Any] = {}
    if cls.__dictoffset__:
        inside = getattr(obj, "__dict__", None)
        if type(inside) is dict:
            found.update(inside)
    for name, descriptor in _slots(cls):
        try:
            found[name] = descriptor.__get__(obj, cls)
        except AttributeError:
            continue
    return found


def _value_of(obj: Any, name: str) -> Any:
    try:
        return getattr(obj, name, _MISSING)
    except Exception:  # of a property
        return _MISSING


def _names_in(state: Any) -> frozenset[str]:
    """Return the names that a state may set: those of its dicts."""
    parts = state if type(state) is tuple else (state,)
    return frozenset(key for part in parts if isinstance(part, dict) for key in part if isinstance(key, str))


def _comes_back(cls: type, name: str, value: Any) -> bool:
    """Return whether an object has an attribute without a state: one that is computed, or a default of the class."""
    on_class = _static(cls, name, _MISSING)
    if on_class is _MISSING or hasattr(type(on_class), "__set__"):
        return False
    return type(on_class).__name__ in _COMPUTED or hasattr(type(on_class), "__get__") or _is_same(value, on_class)


def _names_of_libraries(cls: type) -> frozenset[str]:
    """Return the names that occur in the methods of the library classes a class inherits from."""
    names: set[str] = set()
    for base in _attribute(cls, "__mro__"):
        if _is_library(base):
            for value in _attribute(base, "__dict__").values():
                function = getattr(value, "__func__", getattr(value, "fget", value))
                if type(function) is FunctionType:
                    names |= _names_of(function.__code__)
    return frozenset(names)


def _names_of(code: CodeType) -> set[str]:
    names = {*code.co_names}
    constants: list[Any] = [*code.co_consts]
    while constants:
        constant = constants.pop()
        if isinstance(constant, str):
            names.add(constant)
        elif isinstance(constant, tuple):
            constants += constant
        elif isinstance(constant, CodeType):
            names |= _names_of(constant)
    return names


def _misfit(function: Any, count: int) -> str | None:
    """Return why a method can't be called with so many positional arguments, or None."""
    code = function.__code__
    names = code.co_varnames
    most, least = code.co_argcount, code.co_argcount - len(function.__defaults__ or ())
    missing = [*names[count + 1 : least]]
    if missing or count + 1 < least:
        return f"also needs {', '.join(map(repr, missing))}"
    if count + 1 > most and not code.co_flags & 0x04:  # *args
        return f"takes {max(most - 1, 0)}"
    keywords = names[most : most + code.co_kwonlyargcount]
    missing = [name for name in keywords if name not in (function.__kwdefaults__ or {})]
    return f"also needs {', '.join(map(repr, missing))} by keyword" if missing else None


def _refuses_to_set(cls: type, owner: type, name: Any) -> bool:
    """Return whether the `__setattr__` that a frozen dataclass or attrs class has refuses a name."""
    setter = _attribute(owner, "__dict__")["__setattr__"]
    if getattr(setter, "__module__", None) == "attr._make":
        return "frozen" in getattr(setter, "__name__", "")
    parameters = _attribute(owner, "__dict__").get("__dataclass_params__")
    if not getattr(parameters, "frozen", False):
        return False
    return owner is cls or name in getattr(owner, "__dataclass_fields__", ())


def _refused_slots(cls: type) -> list[str]:
    """Return the slots of a class that its `__setattr__` refuses."""
    from .._schema.adapters.base import slots_of  # adapters are imported when a class is described

    owner = _owner(cls, "__setattr__") or object
    if owner is object:
        return []
    return [name for name in slots_of(_attribute(cls, "__mro__")) if _refuses_to_set(cls, owner, name)]


def _has_slots(cls: type) -> bool:
    from .._schema.adapters.base import slots_of

    return any(True for _ in slots_of(_attribute(cls, "__mro__")))


def _own_setattr(cls: type) -> Any:
    """Return the `__setattr__` that somebody wrote for a class, and no framework; None if there is none."""
    method, owner = _own(cls, "__setattr__"), _owner(cls, "__setattr__")
    if method is None or owner is None or method.__module__ == "attr._make":
        return None
    is_generated = getattr(_attribute(owner, "__dict__").get("__dataclass_params__"), "frozen", False)
    return None if is_generated else method


def _empty(cls: Any, reduced: tuple[Any, ...]) -> Any:
    """Make an object as unpickling makes it, before it has a state. _MISSING if that fails."""
    if getattr(reduced[0], "__name__", "") != "__newobj__":
        return _MISSING
    try:
        return cls.__new__(*reduced[1])
    except Exception:
        return _MISSING


def _calls_own_code(cls: type, reduced: tuple[Any, ...]) -> bool:
    """Return whether a class may set attributes while its object is made anew."""
    names = ("__new__", "__init__", "__array_finalize__")
    return any(_own(cls, name) for name in names) and type(reduced[1]) is tuple


def _called(reduced: tuple[Any, ...]) -> Any:
    try:
        return reduced[0](*_copies(reduced[1]))
    except Exception:
        return _MISSING


def _copies(args: Iterable[Any]) -> list[Any]:
    """Return arguments for a call that must not change those that are stored."""
    return [arg.copy() if type(arg) in (list, dict, set, bytearray) else arg for arg in args]


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two values are the same, as far as that can be known."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    from .graphs import first_difference  # imports what reading needs

    try:
        found = first_difference(one, other)
    except Exception:  # of their own methods
        return True
    return found is None or not found.is_certain
