"""The typed signatures of everything that takes `expect=`: the text from which they are copied into the modules.

The order of the overloads is what makes both checkers take the right one:

1. no `expect`: Any.
2. one class or alias (`Report`, `list[Report]`): that type.
3. a tuple of two, three or four classes: their union.
4. a name, or a tuple of more classes or of unknown length: Any. This stands before 5, as a text may be read as a type.
5. a union (`A | B`, `X | None`): that union, by `TypeForm` (PEP 747). A checker that does not know it yet takes the
   whole for Any: a user of an old mypy gets Any for a union, and the union for a tuple.

A class with a type parameter repeats this in `__init__`, with the annotated `self` of each case. Its parameter has a
default (PEP 696), so that a bare `Reader` in a user's annotation means `Reader[Any]` under strict rules. At run time
the parameter is an ordinary TypeVar: `typing_extensions` is imported under TYPE_CHECKING alone, where every checker
brings its own copy.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Generic, Literal, TypeAlias, TypeVar, overload

from typing_extensions import TypeForm
from typing_extensions import TypeVar as TypeVarWithDefault

from pickleseal import Header, KeyRing, Policy, Quarantine

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVarWithDefault("E", default=Any)  # where a checker can't solve it: without a default that would be Never
T = TypeVarWithDefault("T", default=Any, covariant=True)

Data: TypeAlias = bytes | bytearray | memoryview
File: TypeAlias = str | os.PathLike[str] | BinaryIO
Trust: TypeAlias = Iterable[type | Callable[..., Any] | str]
Untyped: TypeAlias = str | tuple[type[Any], ...]
LevelName: TypeAlias = Literal["strict", "guarded", "signed", "unchecked"]

@overload
def unpack(
    data: Data, *, expect: None = None, trust: Trust = (), keys: KeyRing | None = None, policy: Policy | None = None
) -> Any: ...
@overload
def unpack(
    data: Data, *, expect: type[A], trust: Trust = (), keys: KeyRing | None = None, policy: Policy | None = None
) -> A: ...
@overload
def unpack(
    data: Data,
    *,
    expect: tuple[type[A], type[B]],
    trust: Trust = (),
    keys: KeyRing | None = None,
    policy: Policy | None = None,
) -> A | B: ...
@overload
def unpack(
    data: Data,
    *,
    expect: tuple[type[A], type[B], type[C]],
    trust: Trust = (),
    keys: KeyRing | None = None,
    policy: Policy | None = None,
) -> A | B | C: ...
@overload
def unpack(
    data: Data,
    *,
    expect: tuple[type[A], type[B], type[C], type[D]],
    trust: Trust = (),
    keys: KeyRing | None = None,
    policy: Policy | None = None,
) -> A | B | C | D: ...
@overload
def unpack(
    data: Data, *, expect: Untyped, trust: Trust = (), keys: KeyRing | None = None, policy: Policy | None = None
) -> Any: ...
@overload
def unpack(
    data: Data, *, expect: TypeForm[E], trust: Trust = (), keys: KeyRing | None = None, policy: Policy | None = None
) -> E: ...

# `load` has the same overloads; `iter_load` returns `Iterator[...]` of each.

@overload
def load(
    file: File, *, expect: None = None, trust: Trust = (), level: LevelName | None = None, policy: Policy | None = None
) -> Any: ...
@overload
def load(
    file: File, *, expect: type[A], trust: Trust = (), level: LevelName | None = None, policy: Policy | None = None
) -> A: ...
@overload
def load(
    file: File,
    *,
    expect: tuple[type[A], type[B]],
    trust: Trust = (),
    level: LevelName | None = None,
    policy: Policy | None = None,
) -> A | B: ...
@overload
def load(
    file: File, *, expect: Untyped, trust: Trust = (), level: LevelName | None = None, policy: Policy | None = None
) -> Any: ...
@overload
def load(
    file: File, *, expect: TypeForm[E], trust: Trust = (), level: LevelName | None = None, policy: Policy | None = None
) -> E: ...
@overload
def iter_load(file: File, *, expect: None = None, trust: Trust = ()) -> Iterator[Any]: ...
@overload
def iter_load(file: File, *, expect: type[A], trust: Trust = ()) -> Iterator[A]: ...
@overload
def iter_load(file: File, *, expect: tuple[type[A], type[B]], trust: Trust = ()) -> Iterator[A | B]: ...
@overload
def iter_load(file: File, *, expect: Untyped, trust: Trust = ()) -> Iterator[Any]: ...
@overload
def iter_load(file: File, *, expect: TypeForm[E], trust: Trust = ()) -> Iterator[E]: ...

class ReadResult(tuple[Header, T], Generic[T]):  # a NamedTuple with a type parameter, which Python has from 3.11 on
    @property
    def header(self) -> Header: ...
    @property
    def object(self) -> T: ...

class Reader(Generic[T]):
    @overload
    def __init__(
        self: Reader[Any], policy: Policy | None = None, *, expect: None = None, trust: Trust = ()
    ) -> None: ...
    @overload
    def __init__(self: Reader[A], policy: Policy | None = None, *, expect: type[A], trust: Trust = ()) -> None: ...
    @overload
    def __init__(
        self: Reader[A | B], policy: Policy | None = None, *, expect: tuple[type[A], type[B]], trust: Trust = ()
    ) -> None: ...
    @overload
    def __init__(
        self: Reader[A | B | C],
        policy: Policy | None = None,
        *,
        expect: tuple[type[A], type[B], type[C]],
        trust: Trust = (),
    ) -> None: ...
    @overload
    def __init__(
        self: Reader[A | B | C | D],
        policy: Policy | None = None,
        *,
        expect: tuple[type[A], type[B], type[C], type[D]],
        trust: Trust = (),
    ) -> None: ...
    @overload
    def __init__(self: Reader[Any], policy: Policy | None = None, *, expect: Untyped, trust: Trust = ()) -> None: ...
    @overload
    def __init__(self: Reader[E], policy: Policy | None = None, *, expect: TypeForm[E], trust: Trust = ()) -> None: ...
    def read(self, data: Data | File) -> ReadResult[T]: ...
    def accepts(self, data: Data | File) -> Header: ...

# `StreamReader` and `Mapped` are written the same way.

class StreamReader(Generic[T]):
    @overload
    def __init__(self: StreamReader[Any], file: File, *, expect: None = None, trust: Trust = ()) -> None: ...
    @overload
    def __init__(self: StreamReader[A], file: File, *, expect: type[A], trust: Trust = ()) -> None: ...
    @overload
    def __init__(
        self: StreamReader[A | B], file: File, *, expect: tuple[type[A], type[B]], trust: Trust = ()
    ) -> None: ...
    @overload
    def __init__(self: StreamReader[Any], file: File, *, expect: Untyped, trust: Trust = ()) -> None: ...
    @overload
    def __init__(self: StreamReader[E], file: File, *, expect: TypeForm[E], trust: Trust = ()) -> None: ...
    def __enter__(self: StreamReader[A]) -> StreamReader[A]: ...
    def __exit__(self, *details: object) -> None: ...
    def __iter__(self) -> Iterator[T]: ...

class Serializer(Generic[T]):
    @overload
    def __init__(
        self: Serializer[Any],
        policy: Policy | None = None,
        options: Any = None,
        *,
        expect: None = None,
        trust: Trust = (),
        on_refuse: Literal["raise", "miss"] | Callable[[bytes, Exception], Any] = "raise",
        quarantine: Quarantine | str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Serializer[A],
        policy: Policy | None = None,
        options: Any = None,
        *,
        expect: type[A],
        trust: Trust = (),
        on_refuse: Literal["raise"] = "raise",
        quarantine: Quarantine | str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Serializer[A | B],
        policy: Policy | None = None,
        options: Any = None,
        *,
        expect: tuple[type[A], type[B]],
        trust: Trust = (),
        on_refuse: Literal["raise"] = "raise",
        quarantine: Quarantine | str | None = None,
    ) -> None: ...
    # With "miss" a read may return `default`, which has a type of its own.
    @overload
    def __init__(
        self: Serializer[A | None],
        policy: Policy | None = None,
        options: Any = None,
        *,
        expect: type[A],
        trust: Trust = (),
        on_refuse: Literal["miss"],
        quarantine: Quarantine | str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Serializer[A | B],
        policy: Policy | None = None,
        options: Any = None,
        *,
        expect: type[A],
        trust: Trust = (),
        on_refuse: Literal["miss"],
        default: B,
        quarantine: Quarantine | str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Serializer[Any],
        policy: Policy | None = None,
        options: Any = None,
        *,
        expect: Any,
        trust: Trust = (),
        on_refuse: Literal["raise", "miss"] | Callable[[bytes, Exception], Any] = "raise",
        default: Any = None,
        quarantine: Quarantine | str | None = None,
    ) -> None: ...
    def pack(self, obj: object, *, type: str | None = None, meta: Mapping[str, str] | None = None) -> bytes: ...
    def unpack(self, data: Data) -> T: ...
    def dumps(self, obj: object, protocol: int | None = None) -> bytes: ...
    def loads(self, data: Data) -> T: ...
    def load(self, file: File) -> T: ...
