"""Which attributes the code of a class assigns to its objects, read from the code objects of its methods (spec 6.2).

Names that `__init__` stores, or `__new__` in what it returns, are required. Names that other methods store are
optional. Nothing is run, and control flow is not followed: a store counts wherever it stands. The rules look at what
all versions of Python compile alike, so that one class has one answer on each. The bases of the standard library and of
other libraries are not read: what they assign follows from their version.
"""

from collections.abc import Iterator
from functools import cached_property
from types import CodeType, FunctionType, MappingProxyType, MemberDescriptorType
from typing import Any, NamedTuple

from .._format.header import is_name
from .adapters.base import static
from .adapters.plain import is_dunder
from .class_cache import ClassCache
from .libraries import is_from_outside
from .names import global_name, is_standard

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class made in Python
# Classes of the standard library that assign what their caller says.
_TAKE_ANYTHING = frozenset({"types:SimpleNamespace", "argparse:Namespace"})
# Methods that hand on a name which other code chose: that the name is variable says nothing about the class.
_HAND_ON = frozenset({"__copy__", "__deepcopy__", "__delattr__", "__getattr__", "__getattribute__", "__replace__"})
_HAND_ON_STORES = _HAND_ON | {"__setattr__", "__setstate__"}
_MAKING = frozenset({"__init__", "__new__"})
_INLINED = frozenset({"<dictcomp>", "<listcomp>", "<setcomp>"})  # from Python 3.12 on they are part of their function
_SKIPPED = frozenset(
    {
        *("CACHE", "COPY_FREE_VARS", "EXTENDED_ARG", "KW_NAMES", "MAKE_CELL", "NOP", "NOT_TAKEN", "PRECALL"),
        *("PUSH_NULL", "RESUME"),
    }
)
_DICT_WRITES = frozenset({"__ior__", "__setitem__", "setdefault", "update"})
_MOST_WRAPPED = 100  # functions behind one name of a class

REQUIRED, OPTIONAL = "required", "optional"


def assigned(cls: type, fields: frozenset[str]) -> dict[str, str] | None:
    """Return the names that the code of a class assigns, each with `required` or `optional`; None if that is not known.

    Names of `fields` are left out. So are names that a property takes, for no value is stored under them.
    """
    found, is_told = _Found(), False
    for base in reversed(type.__getattribute__(cls, "__mro__")[:-1]):
        if is_standard(str(type.__getattribute__(base, "__module__")).partition(".")[0]):
            if base is cls:
                return None
            # With the base's own `__init__`, attributes are data, as the keys of a dict are, and no part of the class.
            takes_anything = global_name(base) in _TAKE_ANYTHING
            is_told |= takes_anything and static(cls, "__init__") is not static(base, "__init__")
        elif not is_from_outside(base, cls):
            if not base.__flags__ & _HEAP_TYPE:
                return None
            found.read_class(base)
    if found.is_open or (is_told and not found.required):
        return None
    words = dict.fromkeys(found.required, REQUIRED)
    for name in (*found.optional, *found.deleted):
        words[name] = OPTIONAL if name in found.deleted or name not in found.required else REQUIRED
    return {
        name: OPTIONAL if is_described(cls, name) else word
        for name, word in words.items()
        if name not in fields
        and is_name(name)
        and not is_dunder(name)
        and not issubclass(type(static(cls, name)), property)
    }


def names_in_all_code(cls: type) -> frozenset[str] | None:
    """Return the names that the code of a class and of all its bases assigns; None if some code does not say them.

    The bases of the standard library and of other libraries are read as well.
    """
    found = names_in_code.find(cls)
    if found is None:
        found = (_names_in_all_code(cls),)
        names_in_code.keep(cls, found)
    return found[0]


# Process-wide. A class is read once; what changes on it later is not seen.
names_in_code: ClassCache[tuple[frozenset[str] | None]] = ClassCache()


def _names_in_all_code(cls: type) -> frozenset[str] | None:
    found = _Found()
    for base in type.__getattribute__(cls, "__mro__")[:-1]:
        is_known = base.__flags__ & _HEAP_TYPE or is_standard(
            str(type.__getattribute__(base, "__module__")).partition(".")[0]
        )
        if not is_known or global_name(base) in _TAKE_ANYTHING:
            return None
        found.read_class(base)
    return None if found.is_open else frozenset((*found.required, *found.optional))


def is_described(cls: type, name: str) -> bool:
    """Return whether a descriptor of the class takes the values that are assigned to a name."""
    value = static(cls, name)
    return hasattr(type(value), "__set__") and not isinstance(value, MemberDescriptorType)


def has_value(cls: type, name: str) -> bool:
    """Return whether an object that lacks an attribute gets a value for it from its class."""
    value = static(cls, name, _MISSING)
    if value is _MISSING or issubclass(type(value), FunctionType | property):
        return False
    return issubclass(type(value), cached_property) or not hasattr(type(value), "__get__")


_MISSING: Any = object()


class _Function(NamedTuple):
    code: CodeType
    takes_object: bool  # its first argument is the object


def _functions(value: Any, name: str, seen: set[int]) -> Iterator[_Function]:
    """Yield the functions that a class keeps under a name: a method and what it wraps, or those in a descriptor."""
    kind: Any = type(value)  # isinstance would ask a proxy for its class
    if value is None or issubclass(kind, type) or id(value) in seen or len(seen) > _MOST_WRAPPED:
        return
    seen.add(id(value))
    if issubclass(kind, staticmethod | classmethod):
        for function in _functions(value.__func__, name, seen):
            yield function._replace(takes_object=False)
    elif issubclass(kind, property):
        for part in (value.fget, value.fset, value.fdel):
            yield from _functions(part, name, seen)
    elif kind is FunctionType:
        yield _Function(value.__code__, name != "__new__")
        inner = [value.__dict__.get("__wrapped__")]
        for cell in value.__closure__ or ():
            try:
                inner.append(cell.cell_contents)
            except ValueError:  # it is empty
                continue
        for other in inner:
            if type(other) is FunctionType and other.__name__ == name:
                yield from _functions(other, name, seen)
    else:
        inside = _inside(value)
        for part in (inside.get("__wrapped__"), inside.get("func")):
            yield from _functions(part, name, seen)
        registry = _inside(inside.get("dispatcher")).get("registry")  # of functools.singledispatchmethod
        for part in registry.values() if type(registry) is MappingProxyType else ():
            yield from _functions(part, name, seen)


def _inside(value: Any) -> dict[str, Any]:
    """Return the instance dictionary of an object, past what its class answers."""
    try:
        inside = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return inside if type(inside) is dict else {}


class _Found:
    """What was found in the code that was read."""

    def __init__(self) -> None:
        self.required: dict[str, None] = {}
        self.optional: dict[str, None] = {}
        self.deleted: set[str] = set()  # by `__init__`
        self.is_open = False  # some code assigns names that it does not say

    def read_class(self, cls: type) -> None:
        """Read all methods of a class, without those of its bases."""
        for name, value in [*type.__getattribute__(cls, "__dict__").items()]:
            for function in _functions(value, name, set()):
                self.read(function.code, name, function.takes_object)

    def read(self, code: CodeType, method: str, takes_object: bool) -> None:
        """Read a method. One that does not take the object may make one: `__new__`, or a class method."""
        arguments = code.co_varnames[: code.co_argcount]
        if takes_object and arguments:
            self._read(code, method, arguments[0], None)
            return
        made = _returned(code).difference(arguments[:1]) if method == "__new__" else ()
        for name in made:
            self._read(code, method, name, None)
        self._read(code, "" if method == "__new__" else method, None, frozenset([*arguments[:1], *made]))

    def _read(self, code: CodeType, method: str, target: str | None, not_made: frozenset[str] | None) -> None:
        """Read code in which the local variable `target` is the object; with `not_made`, each other local may be."""
        steps = _steps(code)
        for at, (step, name) in enumerate(steps):
            if step == "set":
                owner = _owner(steps, at)
                if owner is not None and (owner == target or (not_made is not None and owner not in not_made)):
                    self._store(name, method)
            elif step == "delete" and method == "__init__" and at and steps[at - 1] == ("load", target):
                self.deleted.add(name)
            elif target is not None and method not in _HAND_ON_STORES:
                self._read_call(steps, at, method, target)
        for inner in code.co_consts:
            if isinstance(inner, CodeType) and target in inner.co_freevars:
                self._read(inner, method if inner.co_name in _INLINED else "", target, None)

    def _store(self, name: Any, method: str) -> None:
        if not isinstance(name, str) or name == "__dict__":
            self.is_open = self.is_open or method not in _HAND_ON_STORES
        else:
            (self.required if method in _MAKING else self.optional)[name] = None

    def _read_call(self, steps: "list[_Step]", at: int, method: str, target: str) -> None:
        """Read a step that may assign an attribute without the statement for it."""
        step, name = steps[at]
        loads_object = ("load", target)
        if step == "global" and name == "setattr" and _at(steps, at + 1) == loads_object:
            self._store_as(_at(steps, at + 2), method)
        elif step == "attribute" and name == "__setattr__":
            before, after = _at(steps, at - 1), at + 1
            if before[0] == "global":  # object.__setattr__(self, ...)
                if _at(steps, after) != loads_object:
                    return
                after += 1
            elif before[0] in ("load", "attribute") and before != loads_object:
                return
            self._store_as(_at(steps, after), method)
        elif step == "attribute" and name == "__dict__" and _at(steps, at - 1) == loads_object:
            self._read_dict(steps, at + 1, method)
        elif step == "global" and name == "vars" and _at(steps, at + 1) == loads_object:
            self._read_dict(steps, at + 3, method)

    def _store_as(self, name: "_Step", method: str) -> None:
        """Note that a name is assigned which a constant says, or which is not known."""
        self._store(name[1] if name[0] == "constant" else None, method)

    def _read_dict(self, steps: "list[_Step]", at: int, method: str) -> None:
        """Read what is done with the instance dictionary, which was just loaded."""
        step, name = _at(steps, at)
        if (step == "attribute" and name in _DICT_WRITES) or step == "keep":
            self._store(None, method)
        elif _at(steps, at + 1)[0] == "set item":
            self._store_as((step, name), method)
        elif step != "attribute" and any(follows[0] == "set item" for follows in _key_steps(steps, at)):
            self._store(None, method)


_Step = tuple[str, Any]


def _at(steps: list[_Step], at: int) -> _Step:
    return steps[at] if 0 <= at < len(steps) else ("", None)


def _key_steps(steps: list[_Step], at: int) -> Iterator[_Step]:
    """Yield the steps that may still belong to the key of an item, and the one after them."""
    for step in steps[at : at + 12]:
        yield step
        if step[0] not in ("load", "constant", "global", "attribute", "format"):
            return


def _owner(steps: list[_Step], at: int) -> Any:
    """Return the local variable to whose attribute a step assigns, or None."""
    step, name = _at(steps, at - 1)
    if step == "load":
        return name
    if step == "swap":  # an augmented assignment
        wanted = ("attribute", steps[at][1])
        for back in range(at - 2, 1, -1):
            if steps[back] == wanted and steps[back - 1][0] == "copy" and steps[back - 2][0] == "load":
                return steps[back - 2][1]
    return None


def _returned(code: CodeType) -> set[str]:
    """Return the local variables that code returns."""
    steps = _steps(code)
    return {
        name for (step, name), after in zip(steps, steps[1:], strict=False) if (step, after[0]) == ("load", "return")
    }


def _steps(code: CodeType) -> list[_Step]:
    """Return the instructions that matter, in the words of no particular Python version."""
    from dis import get_instructions  # it takes time to import

    steps: list[_Step] = []
    for instruction in get_instructions(code):
        name, value = instruction.opname, instruction.argval
        if name in _SKIPPED:
            continue
        if "_FAST" in name or "_DEREF" in name:  # several at once from Python 3.13 on: LOAD_FAST_LOAD_FAST
            parts = [part for part in name.split("_") if part in ("LOAD", "STORE", "DELETE")]
            values = value if isinstance(value, tuple) else (value,)
            steps += [("load" if part == "LOAD" else "keep", one) for part, one in zip(parts, values, strict=False)]
        else:
            steps.append((_WORDS.get(name, "other"), value))
    return steps


_WORDS = {
    "BUILD_STRING": "format",
    "COPY": "copy",
    "CONVERT_VALUE": "format",
    "DELETE_ATTR": "delete",
    "DUP_TOP": "copy",
    "FORMAT_SIMPLE": "format",
    "FORMAT_VALUE": "format",
    "FORMAT_WITH_SPEC": "format",
    "LOAD_ATTR": "attribute",
    "LOAD_CONST": "constant",
    "LOAD_GLOBAL": "global",
    "LOAD_METHOD": "attribute",
    "LOAD_NAME": "global",
    "LOAD_SUPER_ATTR": "attribute",
    "RETURN_VALUE": "return",
    "ROT_TWO": "swap",
    "STORE_ATTR": "set",
    "STORE_SUBSCR": "set item",
    "SWAP": "swap",
}
