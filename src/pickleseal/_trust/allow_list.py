"""The allow-list: which `module:qualname` a payload may import, which object it gets, and what it may do with it.

No prefixes, no wildcards. The built-in list holds value types of the standard library, which this module imports
itself, and the safe functions. Everything else has to be named by the caller: by an exact name in `trust=` or
`expect=`, or by a rule (`rules`, `presets`). No module is imported because a payload names it.

An allow-list decides what is imported. It does not stop what a payload does *with* allowed objects, nor what their own
code does (SECURITY.md).
"""

import builtins
import copyreg
import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple

from .._schema.names import global_name, imported_value, resolve, spellings
from ..errors import ClassMissingError, Hint, PolicyError, UntrustedGlobalError, join_hints, printable, text_of
from .safe_functions import SAFE_FUNCTIONS, method_of

VALUE, MAKE, CALL, STATE, ITEMS = "value", "make", "call", "state", "items"
# What may be done with a global: it may stand in the object; NEWOBJ makes objects of it, which get a state; REDUCE
# calls it; what a call returns gets a state; its objects get items.
VERBS = frozenset((VALUE, MAKE, CALL, STATE, ITEMS))


class Entry(NamedTuple):
    """What the allow-list says of one global.

    `value` is the object; None where it is still to be imported by its name. `verbs` are what a payload may do with it;
    None: what honest pickles of it need, which `traits` finds out. `methods` are its class methods that a payload may
    call. `by` is the rule that gives it, in words; "" where the caller named it.
    """

    value: Any = None
    verbs: frozenset[str] | None = None
    methods: tuple[str, ...] = ()
    by: str = ""


class Rule:
    """What `trust=` may hold beside exact names. `pickleseal.trust.classes_in` and its siblings make rules.

    Rules are immutable, can be compared and pickled, and are shared freely.
    """

    __slots__ = ()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The exact names that it gives, if it is a table of them."""
        return {}

    def answer(self, name: str) -> Entry | str | None:
        """Return the entry of a global; or why it has none, if the rule is about it; or None. Imports nothing."""
        raise NotImplementedError

    def is_open(self, name: str) -> bool:
        """Return whether the answer may be an entry once the module of a global is imported."""
        return False


class AllowList:
    """What one policy or call trusts: exact names, and rules. The only thing that decides about a name."""

    __slots__ = ("entries", "rules")

    def __init__(self, entries: dict[str, Entry] | None = None, rules: tuple[Rule, ...] = ()) -> None:
        self.entries = {} if entries is None else entries
        self.rules = rules

    def __bool__(self) -> bool:
        return bool(self.entries or self.rules)

    def __or__(self, other: "AllowList") -> "AllowList":
        return AllowList({**self.entries, **other.entries}, self.rules + other.rules)

    def find(self, name: str) -> Entry | None:
        """Return the entry of a global, by its exact name, by a rule, or by another name of it. Imports nothing."""
        entry = self.entries.get(name)
        if entry is not None:
            return entry
        for rule in self.rules:
            answer = rule.answer(name)
            if isinstance(answer, Entry):
                return answer
        tables = [self.entries, *(rule.entries for rule in self.rules)]
        return next((entry for table in tables if table and (entry := by_another_name(table, name))), None)

    def is_open(self, name: str) -> bool:
        """Return whether a global that is not trusted may be once its module is imported."""
        return any(rule.is_open(name) for rule in self.rules) and not is_dangerous(name) and not is_trusted(name, self)

    def reasons(self, name: str) -> list[str]:
        """Return why rules that are about a global do not trust it."""
        return [answer for rule in self.rules if isinstance(answer := rule.answer(name), str)]


def by_another_name(entries: Mapping[str, Entry], name: str) -> Entry | None:
    """Return the entry of the class or function that a global is, where the entry has another name of it.

    Libraries move classes: pandas 2 says `pandas.core.frame:DataFrame`, pandas 3 says `pandas:DataFrame`, and both lead
    to one object. Both names are looked up in modules that are imported already, and nowhere else.
    """
    value = imported_value(name)
    if not _is_class_or_function(value) or is_dangerous(name):
        return None
    try:
        own = global_name(value)
    except Exception:  # a function without a module
        return None
    for other in (own,) if own in entries else entries:
        entry = entries[other]
        if value is (imported_value(other) if entry.value is None else entry.value):
            return entry._replace(value=value)
    return None


class Resolved(dict[tuple[str, str], Any]):
    """What each declared global is here. `limits` has the entries of those for which verbs were named."""

    limits: Mapping[tuple[str, str], Entry] = MappingProxyType({})

    def limit(self, limits: Mapping[tuple[str, str], Entry]) -> None:
        """Add entries."""
        if limits:
            self.limits = {**self.limits, **limits}

    def merged(self, other: Mapping[tuple[str, str], Any]) -> "Resolved":
        """Return the globals of both."""
        both = Resolved(self)
        both.update(other)
        both.limit(self.limits)
        both.limit(limits_of(other))
        return both


def limits_of(resolved: Mapping[tuple[str, str], Any]) -> Mapping[tuple[str, str], Entry]:
    """Return the entries of those globals for which verbs were named."""
    return getattr(resolved, "limits", _NO_LIMITS)


_NO_LIMITS: Mapping[tuple[str, str], Entry] = MappingProxyType({})

# Value types of the standard library that every reader hands out, by the module that a payload imports them from. A
# function without a row in `shapes` is a value: a payload does not call it.
VALUE_TYPES = {
    "_operator": (
        *("abs", "add", "and_", "concat", "contains", "eq", "floordiv", "ge", "gt", "index", "inv", "invert", "is_"),
        *("is_not", "le", "lshift", "lt", "matmul", "mod", "mul", "ne", "neg", "not_", "pos", "pow", "rshift", "sub"),
        *("truediv", "truth", "xor"),
    ),
    "array": ("_array_reconstructor", "array"),
    "builtins": (
        *("bool", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range", "set", "slice"),
        *("str", "tuple", "Ellipsis", "NotImplemented"),
    ),
    "collections": ("ChainMap", "Counter", "OrderedDict", "UserDict", "UserList", "UserString", "defaultdict", "deque"),
    "collections.abc": (
        *("AsyncGenerator", "AsyncIterable", "AsyncIterator", "Awaitable", "Buffer", "ByteString", "Callable"),
        *("Collection", "Container", "Coroutine", "Generator", "Hashable", "ItemsView", "Iterable", "Iterator"),
        *("KeysView", "Mapping", "MappingView", "MutableMapping", "MutableSequence", "MutableSet", "Reversible"),
        *("Sequence", "Set", "Sized", "ValuesView", "_CallableGenericAlias"),
    ),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "functools": ("partial",),
    "http": ("HTTPMethod", "HTTPStatus"),
    "ipaddress": (*("IPv4Address", "IPv4Interface", "IPv4Network", "IPv6Address", "IPv6Interface", "IPv6Network"),),
    "operator": ("attrgetter", "itemgetter"),
    "pathlib": ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "pathlib._local": ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "time": ("struct_time",),
    "types": ("GenericAlias", "SimpleNamespace"),
    "typing": (  # what is subscripted in annotations, which generic objects keep
        *("AbstractSet", "Annotated", "Any", "AnyStr", "AsyncContextManager", "AsyncGenerator", "AsyncIterable"),
        *("AsyncIterator", "Awaitable", "Callable", "ChainMap", "ClassVar", "Collection", "Concatenate", "Container"),
        *("ContextManager", "Coroutine", "Counter", "DefaultDict", "Deque", "Dict", "Final", "FrozenSet", "Generator"),
        *("Hashable", "ItemsView", "Iterable", "Iterator", "KeysView", "List", "Literal", "LiteralString", "Mapping"),
        *("MappingView", "Match", "MutableMapping", "MutableSequence", "MutableSet", "Never", "NoReturn"),
        *("NotRequired", "Optional", "OrderedDict", "Pattern", "ReadOnly", "Required", "Reversible", "Self"),
        *("Sequence", "Set", "Sized", "Tuple", "Type", "TypeAlias", "TypeGuard", "TypeIs", "Union", "Unpack"),
        "ValuesView",
    ),
    "uuid": ("SafeUUID", "UUID"),
    "zoneinfo": ("ZoneInfo",),
}
LISTED = frozenset(f"{module}:{name}" for module, names in VALUE_TYPES.items() for name in names) | frozenset(
    f"builtins:{name}"
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception) and value.__name__ == name
)

# Functions and classes that run what their arguments say: `trust=` never allows them.
_REFUSED = {
    module: frozenset(names.split())
    for module, names in {
        "builtins": "__build_class__ __import__ breakpoint code compile delattr eval exec exit function getattr "
        "filter globals hasattr help input locals map memoryview open property quit setattr super type vars",
        "_codecs": "encode decode",
        "codecs": "encode decode open",
        "functools": "partial partialmethod reduce",
        "_functools": "partial reduce",
        "types": "CodeType FunctionType LambdaType MethodType new_class",
        "importlib": "__import__ import_module reload",
        "io": "open open_code FileIO",
        "_io": "open open_code FileIO",
        "pickle": "load loads Unpickler _Unpickler _load _loads",
        "cloudpickle": "load loads",
        "dill": "load loads",
        "joblib": "load",
        "logging.config": "dictConfig fileConfig listen",
        "pandas": "eval read_pickle",
        "_pickle": "load loads Unpickler",
    }.items()
}
_REFUSED_MODULES = frozenset(
    name
    for line in (
        "_ctypes _frozen_importlib _frozen_importlib_external _imp _operator _posixsubprocess _socket bdb cProfile",
        "code ctypes",
        "marshal multiprocessing nt ntpath operator os pdb pkgutil posix posixpath pty runpy shutil socket subprocess",
        "doctest ensurepip idlelib pip profile pydoc sys timeit trace venv webbrowser",
    )
    for name in line.split()
)


# Modules whose functions make code and classes out of what a payload says, also where a package has a copy of them.
_OF_CODE = frozenset({"cloudpickle", "dill"})
# Values in modules of which nothing else is handed out.
_OS_VALUES = "stat_result statvfs_result terminal_size times_result uname_result sched_param"
_HARMLESS = frozenset(
    f"{module}:{name}"
    for module, names in {
        "operator": "methodcaller",
        "os": _OS_VALUES,
        "posix": _OS_VALUES,
        "nt": _OS_VALUES,
        "shutil": "Error ExecError ReadError RegistryError SameFileError SpecialFileError",
        "subprocess": "CalledProcessError CompletedProcess SubprocessError TimeoutExpired",
        "socket": "AddressFamily AddressInfo MsgFlag SocketKind gaierror herror",
    }.items()
    for name in names.split()
)
# Kinds of functions beside Python's and C's own, by the name of their type: isinstance would need an import.
_FUNCTION_KINDS = frozenset({"ufunc", "_ArrayFunctionDispatcher", "cython_function_or_method", "_lru_cache_wrapper"})


def is_function(value: object) -> bool:
    """Return whether a value is a function, in Python, C or Cython. An object that can be called is none."""
    return isinstance(value, FunctionType | BuiltinFunctionType) or type(value).__name__ in _FUNCTION_KINDS


def _is_class_or_function(value: object) -> bool:
    return isinstance(value, type) or is_function(value)


_OF_NUMPY = ("numpy.", "numpy:")


def is_of_numpy(cls: type) -> bool:
    """Return whether a class is numpy's: arrays are made by functions of this library, which check their arguments."""
    return global_name(cls).startswith(_OF_NUMPY)


def makes_classes(value: object) -> bool:
    """Return whether a value is `type` or a metaclass, whose calls make classes with any methods and bases."""
    return isinstance(value, type) and issubclass(value, type)


def build_trust(trust: Iterable[type | Callable[..., Any] | str | Rule], expected: tuple[type, ...] = ()) -> AllowList:
    """Check what a caller trusts and index it by name. Imports nothing.

    Args:
        trust: classes, functions, exact `"module:qualname"` strings, or rules.
        expected: classes to trust as well, because the caller expects them.

    Raises:
        TypeError: `trust` is `True` or a single string; an element is neither a class nor a function nor a string.
        ValueError: an element names something that no value needs and that runs what its arguments say.
    """
    if trust != () and (isinstance(trust, str | bytes | bool | type | Rule) or not isinstance(trust, Iterable)):
        raise TypeError(f"trust: expected a list of classes, functions, 'module:qualname' or rules, found {trust!r}")
    entries: dict[str, Entry] = {}
    rules: list[Rule] = []
    for item in trust:
        if isinstance(item, Rule):
            rules.append(item)
            continue
        if not isinstance(item, str):
            _add(entries, _name_of(item), item)
            continue
        if "*" in item:
            package = item.partition(":")[0].removesuffix("*").removesuffix(".") or "shop"
            hint = f"pickleseal.trust.classes_in({package!r}) trusts the classes that a package defines"
            raise TypeError(f"trust: expected exact names, found {item!r}; {hint}")
        if item.count(":") != 1 or not all(item.split(":")):
            hint = f"; did you mean {':'.join(item.rsplit('.', 1))!r}?" if "." in item and ":" not in item else ""
            raise TypeError(f"trust: expected 'module:qualname', found {item!r}{hint}")
        _add(entries, item, None)
    for cls in expected:
        name = _name_of(cls)
        # Arrays are made by our own functions. `expect=numpy.ndarray` is about the type of the object, and must not
        # give the payload a constructor that reads any memory as objects.
        if not name.startswith(_OF_NUMPY):
            _add(entries, name, cls)
    return AllowList(entries, tuple(sorted(rules, key=_is_no_table)) if rules else ())


def _is_no_table(rule: Rule) -> bool:
    return not rule.entries  # tables come first: they may give more verbs


def _name_of(item: object) -> str:
    if isinstance(item, type) or _is_class_or_function(item):
        if isinstance(getattr(item, "__module__", None), str):
            return global_name(item)  # type: ignore[arg-type]  # a class or function
        hint = ", which does not know its module: give 'module:qualname'"
    else:
        hint = ""
    raise TypeError(f"trust: expected a class, a function, 'module:qualname' or a rule, found {item!r}{hint}")


def _add(entries: dict[str, Entry], name: str, value: Any) -> None:
    if name in SAFE_FUNCTIONS and (value is None or not _is_refused(name)):
        return  # a caller may pass on the header's own list: the payload still gets the safe function
    if value is getattr or makes_classes(value) or is_dangerous(name) or name in SAFE_FUNCTIONS:
        raise ValueError(f"trust: {name} runs what its arguments say, so it can't be trusted by name")
    entry = entries[name] = Entry(value)
    if name.startswith(("numpy.", "pathlib.", "__")):
        for spelling in spellings(name):
            entries.setdefault(spelling, entry)


@functools.lru_cache(4096)  # depends on the name alone
def is_dangerous(name: str) -> bool:
    """Return whether a global is one that no reader hands out, whatever the reader trusts."""
    return name not in SAFE_FUNCTIONS and _is_refused(name)


def _is_refused(name: str) -> bool:
    if name in _HARMLESS or name in LISTED:
        return False
    module, _, qualname = name.partition(":")
    if not _OF_CODE.isdisjoint(module.split(".")):
        return True
    parts = qualname.split(".")
    through = {module.partition(".")[0], *parts[:-1]}  # `logging:os.system` is os.system as well
    return not through.isdisjoint(_REFUSED_MODULES) or parts[0] in _REFUSED.get(module, ())


def is_listed(name: str) -> bool:
    """Return whether a global is a value type that every reader hands out."""
    return name in LISTED


def gives_methods(name: str) -> bool:
    """Return whether payloads may have methods of a listed class, as values. Those of paths and zones reach further."""
    return (name in LISTED and not name.startswith(("pathlib", "zoneinfo:"))) or name == "re:Pattern"


def why_not_loaded(function: Any, args: tuple[Any, ...]) -> str | None:
    """Return why readers below level `signed` refuse a call that a pickle makes, and what to do; None if they do not.

    Args:
        function: what a `__reduce__` returned to be called.
        args: its arguments, if it is `getattr`, by which pickles get methods.
    """
    if function is getattr:
        return None if _is_loadable(*args) else f"{_method_name(*args)} is no method that payloads get; {_METHOD}"
    if isinstance(function, type):
        reducer = copyreg.dispatch_table.get(type(function))
        if reducer is None or isinstance(reducer(function), str):  # it is pickled by its name
            return None
        return f"{global_name(function)} is a class that a function made; {_MADE_CLASS}"
    owner = getattr(function, "__self__", None)
    if isinstance(function, MethodType | BuiltinFunctionType):
        if owner is None or isinstance(owner, type | ModuleType):
            return None
        return f"it is made by {_method_name(owner, function.__name__)}, a method of an object; {_CALLEE}"
    if type(function) is functools.partial and function.func is operator.methodcaller:  # its keywords
        return None
    return None if is_function(function) else f"it is made by a call of a {global_name(type(function))}; {_CALLEE}"


_METHOD = "store the name of the method, or a function of a module"
_CALLEE = "let __reduce__ return a class or a function of a module to be called"
_MADE_CLASS = "store what the class and the object were made of"


def _method_name(owner: Any, name: Any, *default: Any) -> str:
    cls = owner if isinstance(owner, type) else type(owner)
    return f"{global_name(cls)}.{printable(str(name), 80)}"


def _is_loadable(owner: Any, name: Any, *default: Any) -> bool:
    """Return whether readers allow a `getattr`: of a class that they can trust or that is listed, or of ZoneInfo."""
    cls = owner if isinstance(owner, type) else type(owner)
    where = global_name(cls)
    if where == "zoneinfo:ZoneInfo":
        return owner is cls and name == "_unpickle"
    if default or (is_listed(where) and not gives_methods(where)):
        return False
    return method_of(owner, name) is not None


def resolve_all(
    names: list[str], trusted: AllowList, places: Mapping[str, str | type] = MappingProxyType({})
) -> Resolved:
    """Map each declared global to what it is here, trusted or not. Imports every module that the header names.

    Args:
        names, trusted, places: as for `resolve_globals`. They say where to look; nothing is refused.

    Raises:
        ClassMissingError: a name can't be imported here.
    """
    resolved = Resolved()
    for name in names:
        module, _, qualname = name.partition(":")
        place = places.get(name, name)
        if type(place) is not str:
            value: Any = place
        elif (entry := trusted.entries.get(place)) is not None and entry.value is not None:
            value = entry.value
        else:
            value = SAFE_FUNCTIONS[place] if module == "pickleseal" and place in SAFE_FUNCTIONS else _import(place)
        resolved[module, qualname] = value
    return resolved


def resolve_globals(
    names: list[str], trusted: AllowList, places: Mapping[str, str | type] = MappingProxyType({})
) -> Resolved:
    """Map each declared global to the object that the payload will get. Refuse all that are not trusted, at once.

    Imports only modules of the standard library that the built-in list names, and what the caller's strings name.

    Args:
        names: the header's `globals`.
        trusted: what the caller allows.
        places: where some of the names are today: a registered class, which is trusted; or the name that the caller's
            policy gives, which is checked as any other.

    Raises:
        UntrustedGlobalError: `missing` names every global that is neither built in nor in `trusted`.
        ClassMissingError: a trusted name can't be imported here.
        PolicyError: a string in `trusted` names something other than a class, a function, or a value that is pickled
            by its name.
    """
    check_trusted(names, trusted, places)
    resolved, entries, limits = Resolved(), trusted.entries, {}
    for name in names:
        module, _, qualname = name.partition(":")
        found = places.get(name, name) if places else name
        if type(found) is not str:
            resolved[module, qualname] = _registered(name, found, trusted)
            continue
        entry = entries.get(found)
        if entry is None and found not in SAFE_FUNCTIONS and found not in LISTED:
            entry = trusted.find(found)
            if entry is None and (old := entries.get(name)) is not None:
                entry = old._replace(value=None)  # the name that the header has is trusted, and the object has another
        resolved[module, qualname] = _object_for(found, entry)
        if entry is not None and entry.verbs is not None:
            limits[module, qualname] = entry
    resolved.limit(limits)
    return resolved


def check_trusted(names: list[str], trusted: AllowList, places: Mapping[str, str | type]) -> None:
    """Refuse names that are not trusted, all at once, as `resolve_globals` does first. Imports nothing."""
    if not places:
        entries = trusted.entries
        missing = [name for name in names if name not in entries and not is_trusted(name, trusted)]
    else:
        missing = [place for name in names if (place := _untrusted_place(name, places, trusted)) is not None]
    if missing:
        raise _untrusted(sorted(set(missing)), trusted)


def check_decided(names: list[str], trusted: AllowList, places: Mapping[str, str | type]) -> None:
    """Refuse names that are not trusted, except for those that a rule may trust once their module is imported."""
    open_names = {name for name in names if type(place := places.get(name, name)) is str and trusted.is_open(place)}
    check_trusted([name for name in names if name not in open_names], trusted, places)


def untrusted_names(names: Iterable[str], trusted: AllowList, places: Mapping[str, str | type]) -> dict[str, str]:
    """Return the names that `check_trusted` refuses, each with why. Imports nothing."""
    found = {}
    for name in names:
        place = _untrusted_place(name, places, trusted)
        if place is not None:
            dangerous = is_dangerous(place) or is_dangerous(name)
            reason = "runs what its arguments say, and is never trusted" if dangerous else "is not trusted"
            said = f"it {reason}" if place == name else f"it is {place} today, which {reason}"
            found[name] = "; ".join([said, *([] if dangerous else trusted.reasons(place))])
    return found


def is_trusted(name: str, trusted: AllowList) -> bool:
    """Return whether a payload may import a global. Imports nothing."""
    return name in trusted.entries or name in SAFE_FUNCTIONS or name in LISTED or (trusted.find(name) is not None)


def _registered(name: str, cls: Any, trusted: AllowList) -> Any:
    """Return a registered class, or what the caller trusts under that very name."""
    if makes_classes(cls) or is_dangerous(global_name(cls)) or is_of_numpy(cls):
        hint = "payloads get numpy's objects by functions of this library; register a class of your own"
        if not is_of_numpy(cls):
            hint = "it runs what its arguments say, so no payload gets it; register another class"
        raise PolicyError("a registered class that no payload gets", None, global_name(cls), hint, "globals")
    named = trusted.entries.get(name)
    return cls if named is None or named.value is None else named.value


def _untrusted_place(name: str, places: Mapping[str, str | type], trusted: AllowList) -> str | None:
    """Return where a global is today, if neither its name in the header nor its name today is trusted; else None."""
    place = places.get(name, name)
    if type(place) is not str or is_trusted(place, trusted) or name in trusted.entries:
        return None
    return place


_SIGNED = 'if you trust the writer, let the writer sign it, and read it at level "signed"'


def _untrusted(missing: list[str], trusted: AllowList) -> UntrustedGlobalError:
    dangerous = [name for name in missing if is_dangerous(name)]
    if dangerous:
        run = "runs what its arguments say" if len(dangerous) == 1 else "run what their arguments say"
        hint: str = f"{', '.join(dangerous)} {run}, and can't be trusted by name; {_SIGNED}"
    else:
        paste, them = ", ".join(f'"{name}"' for name in missing), "it" if len(missing) == 1 else "them"
        options = " ".join(f"--trust {name}" for name in missing)
        hint = Hint(
            f"if you know who wrote the file, you can allow {them} with trust=[{paste}]",
            f"{options} allows this; use it only if you know who wrote the file",
            f"if you know who wrote the file, you can allow {them} with trust = [{paste}] in the --policy file",
        )
    if not dangerous:
        reasons = [reason for name in missing for reason in trusted.reasons(name)]
        hint = join_hints("; ", [*reasons[:5], hint])
    names_are = "a name that is" if len(missing) == 1 else f"{len(missing)} names that are"
    return UntrustedGlobalError(f"the payload imports {names_are} not trusted", None, tuple(missing), hint, "globals")


def _object_for(name: str, entry: Entry | None) -> Any:
    if entry is not None and entry.value is not None:
        return entry.value
    if name in SAFE_FUNCTIONS:
        return SAFE_FUNCTIONS[name]
    value = _import(name)
    if name in LISTED:
        return value
    if not _is_class_or_function(value):
        if _is_pickled_by(name, value):
            return value
        expected = "a class, a function, or a value that is pickled by this name"
        hint = f"when packing, store something else in its place; {_SIGNED}"
        raise PolicyError("a value that can't be trusted", expected, name, hint, "globals")
    if isinstance(getattr(value, "__module__", None), str) and is_dangerous(global_name(value)):
        hint = f"it runs what its arguments say, so no payload gets it; {_SIGNED}"
        raise PolicyError(f"another name of {global_name(value)}", None, name, hint, "globals")
    if makes_classes(value):
        hint = f"it makes classes with any methods, so no payload gets it; {_SIGNED}"
        raise PolicyError("a metaclass", None, name, hint, "globals")
    return value


def _is_pickled_by(name: str, value: object) -> bool:
    """Return whether a value is pickled by its own name, as `pandas.NA` is. A dry run keeps it from being changed."""
    cls: Any = type(value)
    if cls.__reduce__ is object.__reduce__ and cls.__reduce_ex__ is object.__reduce_ex__:
        return False
    try:
        qualname = name.partition(":")[2]
        return value.__reduce_ex__(4) in (qualname, qualname.rpartition(".")[2])
    except Exception:  # it is no such value, whatever it raises
        return False


def _import(name: str) -> Any:
    """Import what a trusted name means, under the first of its spellings that exists."""
    problem: Exception | None = None
    for spelling in spellings(name):
        try:
            return resolve(spelling)
        except Exception as exc:  # a module may raise anything while it is imported
            problem = problem or exc
    if name in LISTED:
        hint = "it was written by another version or build of Python"
        raise ClassMissingError("a value type that this Python lacks", None, name, hint, "globals") from problem
    reason = f"trusted, and not importable here: {text_of(problem or ImportError())}"
    raise ClassMissingError(reason, None, name, None, "globals") from problem
