"""The typed signatures of `Serializer`: the text from which they are copied into the module. `_typing` says why so."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, Generic, Literal, TypeAlias, TypeVar, overload

from typing_extensions import TypeVar as TypeVarWithDefault

from pickleseal import Policy, Quarantine

A = TypeVar("A")
B = TypeVar("B")
T = TypeVarWithDefault("T", default=Any, covariant=True)

Data: TypeAlias = bytes | bytearray | memoryview
File: TypeAlias = str | os.PathLike[str] | BinaryIO
Trust: TypeAlias = Iterable[type | Callable[..., Any] | str]

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
