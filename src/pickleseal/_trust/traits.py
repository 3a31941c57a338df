"""What a dry run has to know of each global: whether it may be called, made, filled and given a state, and how.

Of a real class only the names, the bases and what they define are looked at. No code of a class or its metaclass runs.
`shapes` has the table of listed types. This module finds the row of a class, and says for all other classes what
honest pickles of them do. `survey` finds out whether a payload at level `guarded` needs a dry run at all.
"""

import copyreg
import enum
import types
from collections.abc import Mapping
from typing import Any, NamedTuple
from weakref import ref

from .._payload.states import ERROR_ATTRIBUTES
from .._schema.names import global_name
from .allow_list import CALL, ITEMS, MAKE, STATE, Entry, is_function, is_listed, limits_of
from .safe_functions import name_of_safe
from .shapes import ROWS

TAKING = {
    "append": ("append", "extend"),
    "setitem": ("__setitem__",),
}  # methods by which opcodes put items into objects
_METHODS = ("append", "extend", "__setitem__", "add")
_REDUCE = ("__reduce__", "__reduce_ex__")
_MAKING = ("__new__", "__getnewargs__", "__getnewargs_ex__")
# Bases whose value is the argument of NEWOBJ.
VALUE_BASES: dict[type, str] = {base: f"builtins:{base.__name__}" for base in (int, str, float, bytes, tuple, complex)}
_BUILTIN = (object, *VALUE_BASES, list, dict, set, frozenset, bytearray)
_HEAP, _GC, _IMMUTABLE = 1 << 9, 1 << 14, 1 << 8  # CPython's Py_TPFLAGS_HEAPTYPE, _HAVE_GC, _IMMUTABLETYPE
_CHANGEABLE = _HEAP | _IMMUTABLE  # of these, a class whose attributes can be set has the first alone
# Types in C that hold objects and whose deallocation does not recurse without end, as tests show on each version.
_FLAT = frozenset({"builtins:object", "collections:OrderedDict", "types:SimpleNamespace"})
# These do recurse; an alias does where an attribute is looked up.
_DEEP = frozenset(
    {
        *("collections:defaultdict", "collections:deque", "types:GenericAlias", "functools:partial"),
        *("operator:attrgetter", "operator:itemgetter", "operator:methodcaller"),
    }
)


class Traits(NamedTuple):
    """What stand-ins know of a global. Plain values, as a dry run may happen in another process."""

    name: str
    kind: str  # "class", "enum", "function" or "value"
    row: str = ""  # the row of the table that it has, or whose type it extends
    call: str = ""  # what REDUCE may give it: "row", "any" or "" (nothing)
    make: str = ""  # what NEWOBJ may give it: "row", "any", a value base, or "" (nothing)
    by_name: bool = False  # whether NEWOBJ_EX may give names
    state: str = "default"  # or "row", "any", "error" (an exception's), "none"
    items: tuple[str, ...] = ()  # methods by which it takes items
    hash: str = "identity"  # or "none", "own" (its own code answers), "args", "fields"
    fields: tuple[str, ...] = ()  # those of which a dataclass makes its hash
    is_deep: bool = False
    is_flag: bool = False
    is_dict: bool = False
    defined: tuple[str, ...] = ()  # names that are not slots, which a state of slots must not set
    methods: tuple[str, ...] = ()  # class methods and static methods that may be called
    has_row_of_its_own: bool = False
    by: str = ""  # the rule or preset that limits what may be done with it

    @property
    def verbs(self) -> frozenset[str]:
        """Return what a payload may do with it: `value`, `make`, `call`, `items`."""
        found = {"value"} | ({"items"} if self.items else set())
        if self.call or self.kind == "enum":
            found.add("call")
        if self.kind == "class" and self.make != "none":
            found.add("make")
        return frozenset(found)


def traits_of(name: str, value: Any) -> Traits:
    """Return the traits of a global that a payload calls `name`."""
    if not isinstance(value, type):
        if value is ... or value is NotImplemented:
            return Traits(f"builtins:{value!r}", "value", state="none")
        safe = name_of_safe(value)
        if safe is None and not is_function(value):
            return Traits(name, "value", state="none")
        own = safe or _name_of_function(name, value)
        if own not in ROWS and safe is None and is_listed(own):
            return Traits(name, "value", state="none")
        return Traits(own, "function", own if own in ROWS else "", "row" if own in ROWS else "any")
    kind = kind_of(value)
    if kind.traits is None:
        kind.traits = _traits_of_class(value, kind)
    return kind.traits


def limited(traits: Traits, entry: Entry) -> Traits:
    """Return traits with which nothing is possible but what an entry of the allow-list permits."""
    verbs = entry.verbs
    if verbs is None or traits.kind in ("enum", "value"):
        return traits
    call = traits.call if CALL in verbs else ""
    if traits.kind == "function":
        return traits._replace(call=call, state="any" if STATE in verbs else "none", by=entry.by)
    make = traits.make if MAKE in verbs else "none"
    items = traits.items if ITEMS in verbs else ()
    return traits._replace(call=call, make=make, items=items, methods=entry.methods, by=entry.by)


def lacks_calls(resolved: Mapping[tuple[str, str], Any]) -> bool:
    """Return whether pickles of a class call it, and a rule or preset that gives the class does not permit that."""
    return any(
        isinstance(value := resolved[key], type) and CALL not in (entry.verbs or (CALL,)) and traits_of("", value).call
        for key, entry in limits_of(resolved).items()
    )


def _name_of_function(name: str, value: Any) -> str:
    try:
        own = global_name(value)
    except Exception:  # a function without a module
        return name
    return own if own in ROWS else name


def row_of(cls: type) -> tuple[str, int]:
    """Return the row of a class or its nearest base in the table, and the place of that base in the bases; "" if none.

    A class that replaces its pickling has none.
    """
    for place, base in enumerate(cls.__mro__):
        name = _row_name(base)
        if name in ROWS and (place == 0 or not ROWS[name].is_exact):
            return name, place
        if any(method in base.__dict__ for method in _REDUCE):
            break
    return "", 0


def _row_name(cls: type) -> str:
    module, _, qualname = global_name(cls).partition(":")
    return f"{'pathlib' if module == 'pathlib._local' else module}:{qualname}"


def _has_own_reduction(cls: type) -> bool:
    if any(key is cls for key in copyreg.dispatch_table):
        return True
    return any(method in base.__dict__ for base in cls.__mro__[:-1] for method in _REDUCE)


def _traits_of_class(cls: Any, kind: "Kind") -> Traits:
    own = global_name(cls)
    if kind.is_enum:
        return Traits(own, "enum", call="any", make="none", state="none", is_flag=issubclass(cls, enum.Flag))
    row, place = row_of(cls)
    before = cls.__mro__[: place if row else -1]  # what the class itself says, before its row or `object`
    before = tuple(base for base in before if base not in _BUILTIN)
    hashed, fields = _hash_of(cls)
    names = _defined(cls)
    traits = Traits(own, "class", row, hash=hashed, fields=fields, is_deep=kind.is_deep, defined=names)
    traits = traits._replace(is_dict=issubclass(cls, dict), has_row_of_its_own=bool(row) and place == 0)
    makes = any(way in base.__dict__ for base in before for way in _MAKING)
    has_setstate = any("__setstate__" in base.__dict__ for base in before)
    if row:
        is_error = issubclass(cls, BaseException)
        own_ways = [base.__dict__ for base in before if base.__flags__ & _HEAP]
        is_free = is_error and any(way in names for names in own_ways for way in ("__new__", "__init__"))
        items = TAKING.get(ROWS[row].items, ())
        state = "any" if has_setstate else "error" if is_error else "row"
        make = "any" if ROWS[row].makes and makes else "row"
        return traits._replace(call="any" if is_free else "row", make=make, state=state, items=items)
    state = "any" if has_setstate else "default"
    reduces = _has_own_reduction(cls)
    if reduces and "n_sequence_fields" in cls.__dict__:  # a struct sequence, as `os.stat_result`
        return traits._replace(row="time:struct_time", call="row", make="none", state="none", hash="args")
    items = ()
    if issubclass(cls, list | dict):
        items = TAKING["append" if issubclass(cls, list) else "setitem"]
    elif reduces:
        items = tuple(method for method in _METHODS if any(method in base.__dict__ for base in cls.__mro__))
    make = "any" if makes else next((VALUE_BASES[base] for base in cls.__mro__ if base in VALUE_BASES), "")
    by_name = any("__getnewargs_ex__" in base.__dict__ for base in before)
    call, methods = ("any", _class_methods(cls)) if reduces else ("", ())
    return traits._replace(call=call, make=make, by_name=by_name, state=state, items=items, methods=methods)


def _hash_of(cls: Any) -> tuple[str, tuple[str, ...]]:
    hashed = type.__getattribute__(cls, "__hash__")
    if hashed is None:
        return "none", ()
    if hashed is object.__hash__:
        return "identity", ()
    if any(hashed is base.__hash__ for base in VALUE_BASES):
        return "args", ()
    code = getattr(hashed, "__code__", None) if type(hashed) is types.FunctionType else None
    if code is not None and code.co_filename == "<string>":  # `dataclasses` wrote it
        for base in cls.__mro__:
            if type(fields := base.__dict__.get("__dataclass_fields__")) is dict:
                return "fields", tuple(name for name, field in fields.items() if _is_hashed(field))
    return "own", ()


def _is_hashed(field: Any) -> bool:
    return bool(field.compare if field.hash is None else field.hash)


def _defined(cls: type) -> tuple[str, ...]:
    """Return the names that a state of slots must not set: all that a class and its bases define, without its slots.

    Of an exception: the names that its own `__setstate__` must not set, which are those of descriptors.
    """
    is_error = issubclass(cls, BaseException)
    may: dict[str, bool] = {}
    for base in cls.__mro__:
        for name, value in base.__dict__.items():
            is_slot = type(value) is types.MemberDescriptorType and bool(base.__flags__ & _HEAP)
            is_descriptor = any("__set__" in kind.__dict__ for kind in type(value).__mro__)
            may.setdefault(name, is_slot or (is_error and not is_descriptor))
        if is_error:
            may.update(dict.fromkeys(ERROR_ATTRIBUTES.get(global_name(base), ()), True))
    return tuple(name for name, allowed in may.items() if not allowed)


def _class_methods(cls: Any) -> tuple[str, ...]:
    kinds = (classmethod, staticmethod, types.ClassMethodDescriptorType)
    found: dict[str, bool] = {}
    for base in cls.__mro__[:-1]:
        for name, value in base.__dict__.items():
            found.setdefault(name, type(value) in kinds and not name.startswith("__"))
    return tuple(name for name, is_method in found.items() if is_method)


class Kind:
    """What is known of a class, as far as trust is concerned. Computed anew when the class changes."""

    __slots__ = ("factory", "flags", "is_deep", "is_enum", "is_mutable", "limited", "made_of", "quick", "traits")

    def __init__(self, cls: type) -> None:
        names = {global_name(base) for base in cls.__mro__}
        own = global_name(cls)
        self.made_of = _made_of(cls)
        self.is_enum = issubclass(cls, enum.Enum)
        self.traits: Traits | None = None
        self.factory: Any = None  # what stands for it in a dry run, once there was one
        self.quick: dict[Entry | None, Any] = {}  # what stands for it in a first look, likewise
        self.limited: dict[Entry, Any] = {}  # the same, where a rule or preset limits it; without the object
        # Its attributes can be set, by a state for the class itself.
        self.is_mutable = bool(cls.__flags__ & _HEAP) and not cls.__flags__ & _IMMUTABLE
        in_c = not self.is_mutable or "n_sequence_fields" in cls.__dict__ or own in _DEEP
        # Whether a chain of objects of a type in C may be too long for the stack when it is deallocated.
        is_plain = own in _FLAT or cls in (list, tuple, dict, set, frozenset, BaseException)
        self.is_deep = (in_c and bool(cls.__flags__ & _GC) and not is_plain) or issubclass(cls, BaseException)
        self.flags = _COPIES * (not _COPYING.isdisjoint(names)) | _IS_LAZY * (not _LAZY.isdisjoint(names))
        self.flags |= _IS_INT * (cls is int) | _IS_DECIMAL * ("decimal:Decimal" in names)
        # Its objects can be called, its members come into being while it is used, or its calls do harm. A call of an
        # enum without members makes a class.
        is_callable = any("__call__" in base.__dict__ for base in cls.__mro__)
        is_flag = issubclass(cls, enum.Flag) or (issubclass(cls, enum.Enum) and not cls._member_map_)
        # What a text of a class of its own is equal to, nobody finds in the payload.
        is_text = issubclass(cls, str) and cls is not str and not self.is_enum
        self.flags |= _NEEDS * (is_flag or is_text or not _HARMFUL.isdisjoint(names)) | _IS_CALLABLE * is_callable


_COPIES, _IS_LAZY, _IS_INT, _IS_DECIMAL, _NEEDS, _IS_CALLABLE = 1, 2, 4, 8, 16, 32
# Types whose calls or states copy what they get; types that stand for more objects than their pickle has bytes; and
# types that do harm with what else is listed. Arrays without elements can have any length.
_COPYING = frozenset(
    f"{module}:{name}"
    for module, names in {
        "builtins": "bytearray bytes dict frozenset int list set str tuple BaseException",
        "collections": "Counter OrderedDict UserDict UserList UserString defaultdict deque",
        "array": "array",
        "decimal": "Decimal",
        "fractions": "Fraction",
        "time": "struct_time",
    }.items()
    for name in names.split()
)
_LAZY = frozenset({"builtins:range", "ipaddress:IPv4Network", "ipaddress:IPv6Network"})
_LAZY_ARRAYS = frozenset({"pickleseal:rebuild_array", "pickleseal:rebuild_object_array"})
_HARMFUL = frozenset(
    {
        *("builtins:bytes", "fractions:Fraction", "collections:UserString", "collections:UserList"),
        *("collections:UserDict", "collections:ChainMap"),
    }
)
# Functions that check their arguments themselves, and return nothing that can be called or is shared.
_ALONE = frozenset(("array:_array_reconstructor",)) | frozenset(
    f"pickleseal:{name}"
    for name in ("fill_object_array", "rebuild_array", "rebuild_dtype", "rebuild_object_array", "rebuild_scalar")
)


class Survey(NamedTuple):
    """What a payload could do with its globals, as far as level `guarded` asks."""

    needs_dry_run: bool  # whatever its opcodes are
    has_callables: bool  # whether objects of one of its classes can be called
    is_changeable: bool  # whether a state could change one of its classes
    has_values: bool  # whether one of its globals may be changed by any state: an enum, a function, a constant


def survey(resolved: Mapping[tuple[str, str], Any]) -> Survey:
    """Find out whether a payload with these globals can do more than make objects.

    That is so where objects or results of functions may be called, where names can be made out of bytes, and where
    something without bounds may be copied into memory.
    """
    flags, is_changeable, has_values, needs = 0, False, False, False
    limits = limits_of(resolved)
    for (module, qualname), value in resolved.items():
        if isinstance(value, type):
            kind = kind_of(value)
            flags |= kind.flags | _NEEDS * (value is str)
            is_changeable |= kind.is_mutable
            has_values |= kind.is_enum
        else:
            name = f"{module}:{qualname}"
            if name not in _ALONE:
                has_values = True
                needs |= (module, qualname) not in limits  # a preset vouches for what is in it
            flags |= _IS_LAZY * (name in _LAZY_ARRAYS)
    needs |= bool(flags & _NEEDS) or (bool(flags & _IS_LAZY) and bool(flags & _COPIES))
    needs |= bool(flags & _IS_INT) and bool(flags & _IS_DECIMAL)
    return Survey(needs, bool(flags & _IS_CALLABLE), is_changeable, has_values)


# What is known of each class, by its id: no code of a metaclass runs to hash it. An entry is used only while its weak
# reference leads to that very class, which is as it was, and goes when the class does.
kinds: dict[int, tuple[ref[type], Kind]] = {}


def kind_of(cls: type) -> Kind:
    """Return what is known of a class, as it is now."""
    found = kinds.get(id(cls))
    if found is None or found[0]() is not cls or found[1].made_of != _made_of(cls):
        key = id(cls)
        found = kinds[key] = ref(cls, lambda gone: _forget(key, gone)), Kind(cls)
    return found[1]


_MRO: Any = type.__dict__["__mro__"].__get__
_DICT: Any = type.__dict__["__dict__"].__get__
_FLAGS: Any = type.__dict__["__flags__"].__get__


def _made_of(cls: type) -> list[Any]:
    """Return what changes when a class changes: the attributes of it and of its bases, and what `copyreg` knows.

    Values are known by their ids: a new one is there before the one that it replaces goes. They may refer to the class,
    and would keep it alive.
    """
    found: list[Any] = [len(copyreg.dispatch_table)]
    for base in _MRO(cls):
        if _FLAGS(base) & _CHANGEABLE == _HEAP:  # others keep the attributes that they began with
            attributes = _DICT(base)
            found.append((*attributes, *map(id, attributes.values())))
        else:
            found.append(id(base))
    return found


def _forget(key: int, gone: ref[type]) -> None:
    if (found := kinds.get(key)) is not None and found[0] is gone:
        kinds.pop(key, None)
