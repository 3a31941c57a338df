"""What `expect=` may be, and what it asks of a header and of the loaded object.

`expectation(expect)` compiles the caller's argument once. The result answers three questions: which `type` of a header
passes (step 15), which classes the caller trusts by naming them, and whether a loaded object is what was expected
(step 20). Nothing here imports a module, and nothing here reads an artifact.

Strategy: a header names one class, so only the outermost class of an alias is compared with it (`list` of
`list[Report]`). The elements are checked when the object is there. The depth of an alias is bounded and each container
is visited once for each alias that applies to it, so the cost is linear in the size of the object, whatever it shares.
"""

import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ._schema.header_entries import name_in_header
from ._schema.names import imported_class, type_name
from ._schema.registry import Registry, index_of
from .errors import TypeMismatchError, printable, shown

ClassOf = Callable[[str], type | None]

_ACCEPTED = (
    "a class, a tuple of classes, A | B, X | None, list[X], dict[K, V], set[X], frozenset[X], tuple[X, Y], "
    "tuple[X, ...], or a name"
)
_NONE = type(None)
_DEEPEST = 20  # aliases within aliases; typing's own caches and every real annotation stay far below
_ATOMS = frozenset({str, bytes, int, float, bool, _NONE})  # their repr runs no code of the caller's
_SMALL = 16  # elements of a container without containers: checking it again is cheaper than remembering it
_NO_TYPES: dict[str, Any] = {}


class _Mismatch(NamedTuple):
    """One element that is not what was expected. The steps lead to it, the innermost first."""

    steps: list[str]
    expected: str
    found: str


_Memo = dict[tuple[int, int], _Mismatch | None]  # by node and object; both live as long as the check


class _Any:
    """Every object passes."""

    __slots__ = ()
    origin: type = object
    classes: tuple[type, ...] = ()

    def __str__(self) -> str:
        return "Any"

    def mismatch(self, obj: Any, memo: _Memo) -> _Mismatch | None:
        return None


class _Class:
    """An instance of a class, or of a subclass."""

    __slots__ = ("origin",)

    def __init__(self, cls: type) -> None:
        self.origin = cls

    @property
    def classes(self) -> tuple[type, ...]:
        return () if self.origin is _NONE else (self.origin,)

    def __str__(self) -> str:
        return _shown(self.origin)

    def mismatch(self, obj: Any, memo: _Memo) -> _Mismatch | None:
        return None if isinstance(obj, self.origin) else _Mismatch([], str(self), _shown(type(obj)))


class _Container:
    """A list, set, frozenset, tuple or dict, and what its elements have to be. A subclass passes, too."""

    __slots__ = ("_inner", "_is_fixed", "_is_flat", "_iterate", "_length", "classes", "origin")
    classes: tuple[type, ...]

    def __init__(self, origin: Any, inner: "list[_Node]", is_fixed: bool = False) -> None:
        self.origin: type = origin
        # The methods of the built-in types: a subclass may have others, which are not to run here.
        self._iterate, self._length = origin.__iter__, origin.__len__
        self.classes = (origin, *(cls for node in inner for cls in node.classes))
        self._inner = inner
        self._is_fixed = is_fixed  # a tuple with one alias for each element
        self._is_flat = all(isinstance(node, _Class | _Any) for node in inner)

    def __str__(self) -> str:
        inner = ", ".join(map(str, self._inner)) or "()"
        return f"{self.origin.__name__}[{inner}{', ...' if self.origin is tuple and not self._is_fixed else ''}]"

    def mismatch(self, obj: Any, memo: _Memo) -> _Mismatch | None:
        if not issubclass(type(obj), self.origin):
            return _Mismatch([], str(self), _shown(type(obj)))
        if self._is_flat and self._length(obj) <= _SMALL:
            return self._mismatch(obj, memo)
        key = id(self), id(obj)
        if key not in memo:
            memo[key] = self._mismatch(obj, memo)
        return memo[key]

    def _mismatch(self, obj: Any, memo: _Memo) -> _Mismatch | None:
        if self.origin is dict:
            key_node, value_node = self._inner
            return _first(key_node, _keys(obj), memo) or _first(value_node, _values(obj), memo)
        if self.origin in (set, frozenset):
            return _first(self._inner[0], (("{...}", item) for item in self._iterate(obj)), memo)
        if not self._is_fixed:
            return _first_indexed(self._inner[0], self._iterate(obj), memo)
        count, wanted = self._length(obj), len(self._inner)
        if count != wanted:
            return _Mismatch([], f"{self}, of {wanted} elements", f"a tuple of {count}")
        for index, (node, item) in enumerate(zip(self._inner, self._iterate(obj), strict=True)):
            found = node.mismatch(item, memo)
            if found is not None:
                return _within(f"[{index}]", found)
        return None


class _Union:
    """One of several alternatives."""

    __slots__ = ("_nodes", "classes")
    classes: tuple[type, ...]

    def __init__(self, nodes: "list[_Node]") -> None:
        self._nodes = nodes
        self.classes = tuple(cls for node in nodes for cls in node.classes)

    def __str__(self) -> str:
        return " | ".join(map(str, self._nodes))

    def mismatch(self, obj: Any, memo: _Memo) -> _Mismatch | None:
        within = None
        for node in self._nodes:
            found = node.mismatch(obj, memo)
            if found is None:
                return None
            if found.steps or (isinstance(node, _Container) and issubclass(type(obj), node.origin)):
                if within is not None:  # two alternatives have the right container: name no element of one of them
                    return _Mismatch([], str(self), f"{_shown(type(obj))} of other elements")
                within = found
        return within or _Mismatch([], str(self), _shown(type(obj)))

    def alternatives(self) -> "Iterator[_Any | _Class | _Container]":
        for node in self._nodes:
            if isinstance(node, _Union):
                yield from node.alternatives()
            else:
                yield node


_Node = _Any | _Class | _Container | _Union


def _first(node: _Node, items: Iterable[tuple[str | tuple[str, Any], Any]], memo: _Memo) -> _Mismatch | None:
    """Return the first mismatch among the elements of a container, each given with its step of the path."""
    for step, item in items:
        found = node.mismatch(item, memo)
        if found is not None:
            return _within(step if isinstance(step, str) else step[0].format(_key_text(step[1])), found)
    return None


def _first_indexed(node: _Node, items: Iterable[Any], memo: _Memo) -> _Mismatch | None:
    if type(node) is _Class:  # by far the most frequent, so without a call for each element
        cls = node.origin
        for index, item in enumerate(items):
            if not isinstance(item, cls):
                return _Mismatch([f"[{index}]"], str(node), _shown(type(item)))
        return None
    for index, item in enumerate(items):
        found = node.mismatch(item, memo)
        if found is not None:
            return _within(f"[{index}]", found)
    return None


def _within(step: str, found: _Mismatch) -> _Mismatch:
    return _Mismatch([*found.steps, step], found.expected, found.found)


def _keys(obj: Any) -> Iterator[tuple[tuple[str, Any], Any]]:
    return (((".key({})", key), key) for key in dict.__iter__(obj))


def _values(obj: Any) -> Iterator[tuple[tuple[str, Any], Any]]:
    return ((("[{}]", key), value) for key, value in dict.items(obj))


def _key_text(key: Any) -> str:
    return printable(repr(key), 60) if type(key) in _ATOMS else f"<{_shown(type(key))}>"


def _shown(cls: type) -> str:
    """Return the name of a class as an alias is written: without the module where it is a built-in one."""
    return "None" if cls is _NONE else type_name(cls).removeprefix("builtins:")


class Expectation:
    """What one value of `expect=` asks for. Immutable, made by `expectation`, shared freely.

    Attributes:
        name: the type's name that the header has to have, where a name was given; else None.
        classes: the classes that the header may name, outermost ones only. Empty where a name was given.
        trusts: every class that the caller named, those of elements among them, save None's. None of them was checked:
            `build_trust` refuses what no payload may get.
        cls: the class, where nothing but one class was given, which is the usual case and has short ways; else None.
    """

    __slots__ = ("_node", "classes", "cls", "name", "trusts")

    def __init__(
        self,
        name: str | None,
        node: _Node | None,
        classes: tuple[type, ...] = (),
        trusts: tuple[type, ...] = (),
        cls: type | None = None,
    ) -> None:
        self.name = name
        self._node = node
        self.classes = classes
        self.trusts = trusts
        self.cls = cls

    def __str__(self) -> str:
        return self.name if self.name is not None else str(self._node_of())

    def _node_of(self) -> _Node | None:
        return self._node if self.cls is None else _Class(self.cls)

    def is_named(self, found: str, registry: Registry) -> bool:
        """Return whether a recorded type is the name of the one class that is expected: most headers need no more."""
        return self.cls is not None and name_in_header(self.cls, registry) == found

    def mismatch(
        self, fields: Mapping[str, Any], registry: Registry, name_today: Callable[[str], str], class_of: ClassOf
    ) -> TypeMismatchError | None:
        """Return the refusal of a header whose `type` is not expected (spec 11, step 15), or None where it is.

        A type passes under its recorded name, under the name that registry and renames give it today, and as a subclass
        of an expected class. The header of a batch of several types names none of them: it passes where several classes
        are expected, and each record is checked when it is loaded. Imports nothing and runs nothing of the artifact.

        Args:
            fields: the header.
            registry: the registry of the policy.
            name_today: what a recorded name is called today, by the policy's registry and renames.
            class_of: the class that a recorded global is today, if it is trusted and imported already; else None.
        """
        found = fields["type"]
        wanted = [self.name] if self.name is not None else [name_in_header(cls, registry) for cls in self.classes]
        if found in wanted or name_today(found) in wanted:
            return None
        is_mixed = "records" in fields and found == "builtins:object"  # a batch whose records have no type in common
        if self.name is None:
            where = fields.get("types", _NO_TYPES).get(found, _NO_TYPES).get("global", found)
            if name_today(where) in wanted or (is_mixed and len(wanted) > 1):
                return None
            cls = class_of(where)
            if cls is not None and any(_is_subclass(cls, expected) for expected in self.classes):
                return None
        hint = f'to accept it, pass expect="{found}"'
        if is_mixed:
            hint = "it is a batch of records of several types; read it without expect, and trust each type"
        elif self.name is None:
            hint = self._help_for_class(found, where, registry)
        return TypeMismatchError("not the expected type", " | ".join(wanted), found, hint, "type")

    def _help_for_class(self, found: str, where: str, registry: Registry) -> str:
        """Return what to do about a type that is not expected. `where` is its global, or its name.

        A former name is proposed only for a class that is gone: with it, objects of a class that still exists would be
        loaded as another one.
        """
        cls = imported_class(where)
        if cls is not None and any(_is_subclass(cls, expected) for expected in self.classes):
            return f'it is a subclass, which has to be trusted as well: trust=["{where}"]; or pass expect="{found}"'
        if cls is not None or index_of(registry).by_name(found) is not None:
            return f'it is another class; to accept it, pass expect="{found}"'
        moved = f'register it with formerly=["{found}"]'
        if where.partition(":")[0] in sys.modules:
            return f'if the class was moved or renamed, {moved}; else pass expect="{found}"'
        return f'if the class still exists, pass expect="{found}"; if it was moved or renamed and is gone, {moved}'

    def check(self, obj: Any) -> None:
        """Refuse a loaded object that is not what was expected, or an element that is not (spec 11, step 20).

        Runs no code of the object. The cost is linear in the number of elements that an alias speaks of.

        Raises:
            TypeMismatchError: it is not. `where` is the path to the element, None for the object itself.
        """
        cls = self.cls
        if cls is None or not isinstance(obj, cls):
            self._check(obj)

    def check_all(self, records: Iterable[Any]) -> None:
        """Check each record of a batch, as `check` does."""
        cls: Any = () if self.cls is None else self.cls
        for record in records:
            if not isinstance(record, cls):
                self._check(record)

    def _check(self, obj: Any) -> None:
        node = self._node_of()
        found = None if node is None else node.mismatch(obj, {})
        if found is None:
            return
        if not found.steps:
            raise TypeMismatchError(
                "the object is of another type than its header says", found.expected, found.found
            ).at(20)
        where = "$" + "".join(reversed(found.steps))
        raise TypeMismatchError("an element is of another type", found.expected, found.found, None, where).at(20)


def _is_subclass(cls: type, expected: type) -> bool:
    try:
        return issubclass(cls, expected)
    except TypeError:  # a protocol with attributes answers for objects alone
        return False


def expectation(expect: Any) -> Expectation:
    """Return what a value of `expect=` asks for.

    Raises:
        TypeError: it is nothing that can be expected. The text lists what can.

    >>> str(expectation(dict[str, list[int] | None]))
    'dict[str, list[int] | None]'
    >>> expectation(list[int]).check([1, "2"])
    Traceback (most recent call last):
    ...
    pickleseal.errors.TypeMismatchError: type-mismatch: an element is of another type ($[1]), expected int, found str
    """
    if isinstance(expect, str):
        return Expectation(expect, None)
    if issubclass(type(expect), type) and expect is not Any:  # compiled in no time, so that no cache keeps the class
        single = (_checked(expect),)
        return Expectation(None, None, single, single, expect)
    key = _key(expect)
    known = compiled_aliases.get(key)
    if known is None:
        known = _of_alias(expect)
        if len(compiled_aliases) >= _MOST_COMPILED:
            compiled_aliases.clear()
        compiled_aliases[key] = known
    return known


# Compiled aliases, by the shape of the alias and the ids of its classes. An entry keeps its classes alive itself, so
# that no id in its key can come to mean another class. It depends on nothing else, so that nothing invalidates it.
compiled_aliases: dict[object, Expectation] = {}
_MOST_COMPILED = 256


def _key(expect: Any) -> object:
    """Return a key that is equal for aliases of one meaning. Runs no `__eq__` or `__hash__` of the caller's classes."""
    arguments = expect if type(expect) is tuple else getattr(expect, "__args__", None)
    if type(arguments) is not tuple or issubclass(type(expect), type):
        return id(expect)
    origin = getattr(expect, "__origin__", None)
    return id(type(expect)), id(origin), *map(_key, arguments)


def _of_alias(expect: Any) -> Expectation:
    if type(expect) is tuple:
        if not expect:
            raise _refused("an empty tuple")
        for item in expect:
            if item is None or item is Any or isinstance(item, str | tuple):
                raise _refused(f"{_text(item)} in a tuple")
        node: _Node = _Union([_compile(item, 0) for item in expect])
    elif expect is Any or expect is None:
        raise _refused(f"{_text(expect)}, which expects nothing")
    else:
        node = _compile(expect, 0)
    alternatives = node.alternatives() if isinstance(node, _Union) else (node,)
    return Expectation(None, node, _once(each.origin for each in alternatives), _once(node.classes))


def _once(classes: Iterable[type]) -> tuple[type, ...]:
    return tuple({id(cls): cls for cls in classes}.values())  # a metaclass may refuse to hash its classes


def _compile(expect: Any, depth: int) -> _Node:
    if depth > _DEEPEST:
        raise _refused(f"aliases more than {_DEEPEST} deep")
    if expect is Any:
        return _Any()
    if issubclass(type(expect), type):  # not isinstance: in Python 3.10 it takes list[int] for a class
        return _Class(_checked(expect))
    origin, arguments = typing.get_origin(expect), typing.get_args(expect)
    if origin is typing.Union or origin is types.UnionType:
        return _Union([_compile(item, depth + 1) for item in arguments])
    if origin not in (list, set, frozenset, dict, tuple) or not hasattr(expect, "__args__"):
        raise _refused(_text(expect))
    if origin is not tuple:
        return _Container(origin, [_compile(item, depth + 1) for item in arguments])
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return _Container(tuple, [_compile(arguments[0], depth + 1)])
    if arguments == ((),):  # typing.Tuple[()] in Python 3.10
        arguments = ()
    return _Container(tuple, [_compile(item, depth + 1) for item in arguments], True)


def _checked(cls: type) -> type:
    """Return a class, if objects can be compared with it."""
    try:
        isinstance(None, cls)
    except TypeError:
        raise _refused(f"{_text(cls)}, which isinstance() can't check") from None
    return cls


def _refused(found: str) -> TypeError:
    return TypeError(f"expect: expected {_ACCEPTED}; found {found}")


def _text(value: object) -> str:
    return type_name(value) if issubclass(type(value), type) else shown(value)  # type: ignore[arg-type]
