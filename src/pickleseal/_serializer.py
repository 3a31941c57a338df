"""One object for both directions: a policy and options for writing, under the names that hosts of pickle call.

A project makes one `Serializer` and gives it to every host: a cache, a queue, a session store, a column of a database.
Packing and reading are done by the functions of `_packing`, `_reading` and `_files`; nothing is decided here.
"""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Generic, Literal, TypeAlias, overload

from ._files import Input, dump, load, peek, verify_for
from ._format.header import Header
from ._ingestion.reader import Event, Quarantine, Reader
from ._io.source import BytesSource
from ._keys import KeyRing
from ._packing import PackOptions, for_unchecked_levels, options_with, pack, with_check
from ._policy import Policy, Request, Trust, as_tuple, check_is_policy, policy_with, request_of
from ._reading import read_bytes, read_object
from ._streams.reader import iter_load
from ._streams.writer import append
from ._trust.levels import LevelName
from ._typing import A, Data, File, T
from .errors import PackError, ReadError

if TYPE_CHECKING:
    from ._typing import B, C, D, E, TypeForm, Untyped

OnRefuse: TypeAlias = Literal["raise", "miss"] | Callable[[Any, ReadError], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Serializer(Generic[T]):
    """Packs and unpacks with one policy and one set of options, for hosts of pickle too. Immutable, shared freely.

    A project makes one, and gives it to every host that takes something like pickle. It has the names and the
    positional arguments that such hosts call: `dumps`, `loads`, `dump`, `load`, `Pickler`, `Unpickler`,
    `HIGHEST_PROTOCOL`, `DEFAULT_PROTOCOL`, `PickleError`, `PicklingError`, `UnpicklingError`; also `encode` and
    `decode`, `serialize` and `deserialize`. `as_class` makes a class of it, for hosts that take a dotted path. Pickle's
    own keywords are accepted and have no effect; a buffer argument other than None, and any other keyword, is a
    TypeError. It can be pickled if its parts can: functions without a name can't, nor key rings that were made of keys.

    Packing runs the pickling methods of the object. Reading makes every check that `unpack` makes, and then runs the
    code of the classes that are trusted. `peek` and `verify` run nothing.

    Args:
        policy: the rules for reading: limits, ages, labels and more; None: `Policy()`.
        options: how artifacts are written: build labels, compression, registry; None: `PackOptions()`.
        keys: sign what is written, and require a signature of what is read. What the payload may do does not change:
            for that, give `level="signed"` as well. Beside a policy or options with keys this is a TypeError: give the
            keys there.
        level: what a payload may do: `"guarded"` (the default: make objects of the trusted classes), `"strict"` (the
            same, after a dry run, for sources that are not yours), `"signed"` (anything, with a valid signature) or
            `"unchecked"` (anything). Beside a policy this is a TypeError: write `Policy(keys=..., level=...)`.
        trust: classes, functions, exact `"module:qualname"` strings that payloads may import and use, and rules of
            `pickleseal.trust`, in addition to those of the policy.
        expect: what each object has to be: a class, `A | B` or a tuple of classes, `X | None`, `list[X]`, `dict[K, V]`
            and so on, or a text, which must be the `type` in the header. Each class that it names is trusted, save
            numpy's, and to make objects those that annotations of its fields name. A call's own `expect` takes the
            place of this one.
        check_writes: whether packing refuses what this serializer could not read: a name that is not trusted, a type or
            label that the policy does not accept, a missing signature. Nothing is unpickled. So a mistake in the trust
            list is a PackError where the object is written, and no cache that never hits. Its `where` is the path to
            the object, its `hint` has what to add to the trust list. For a header like an earlier one this costs less
            than a microsecond.
        on_refuse: what a refusal is: `"raise"`, `"miss"` (the call returns `default`), or a function of the input and
            the error, whose result the call returns. It applies to `unpack`, `load` and their other names.
        default: what a miss returns.
        quarantine: a folder, or a `Quarantine`, in which refused bytes are kept with the reason. None: not kept.
        on_event: a function that gets an `Event` for each read, to count and log. With it, or with a quarantine, each
            read is also logged by the logger `pickleseal.reader`.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or two arguments contradict each other.

    With keys, its methods take `context=`: where one value belongs, such as the key of a cache. A value that was signed
    in one context can be read in it alone.

    The methods raise PackError when they pack, ReadError (see `unpack`) when they read, and OSError for files.

    >>> serializer = Serializer(check_writes=True)
    >>> serializer.loads(serializer.dumps({"id": 7}))
    {'id': 7}
    >>> Serializer(on_refuse="miss", default=0).loads(b"no artifact")
    0
    >>> from argparse import Namespace
    >>> serializer.dumps({"options": Namespace(verbose=True)})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    pickleseal.errors.PackError: pack-failed: this serializer could not read it; ... ($['options']), found ...
    help: to allow it, give the serializer trust=["argparse:Namespace"]
    """

    policy: Policy | None = None
    options: PackOptions | None = None
    _: KW_ONLY
    keys: KeyRing | None = None
    level: LevelName | None = None
    trust: Trust = ()
    expect: Any = None
    check_writes: bool = False
    on_refuse: OnRefuse = "raise"
    default: Any = None
    quarantine: Quarantine | str | os.PathLike[str] | None = None
    on_event: Callable[[Event], None] | None = None
    _policy: Policy = field(init=False, repr=False)
    _pack_options: PackOptions = field(init=False, repr=False)
    _request: Request = field(init=False, repr=False)
    _reader: Reader[Any] | None = field(init=False, repr=False)

    # The order of the overloads is that of `_typing`. With "miss" a read may return `default`.
    if TYPE_CHECKING:

        @overload
        def __init__(
            self: "Serializer[Any]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: None = None,
            check_writes: bool = False,
            on_refuse: OnRefuse = "raise",
            default: Any = None,
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[A]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: type[A],
            check_writes: bool = False,
            on_refuse: Literal["raise"] = "raise",
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[A | B]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: tuple[type[A], type[B]],
            check_writes: bool = False,
            on_refuse: Literal["raise"] = "raise",
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[A | B | C]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: tuple[type[A], type[B], type[C]],
            check_writes: bool = False,
            on_refuse: Literal["raise"] = "raise",
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[A | B | C | D]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: tuple[type[A], type[B], type[C], type[D]],
            check_writes: bool = False,
            on_refuse: Literal["raise"] = "raise",
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[A | None]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: type[A],
            check_writes: bool = False,
            on_refuse: Literal["miss"],
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[A | B]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: type[A],
            check_writes: bool = False,
            on_refuse: Literal["miss"],
            default: B,
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[Any]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: Untyped,
            check_writes: bool = False,
            on_refuse: OnRefuse = "raise",
            default: Any = None,
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[E]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: TypeForm[E],
            check_writes: bool = False,
            on_refuse: Literal["raise"] = "raise",
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Serializer[Any]",
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: Any,
            check_writes: bool = False,
            on_refuse: OnRefuse = "raise",
            default: Any = None,
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        def __init__(
            self,
            policy: Policy | None = None,
            options: PackOptions | None = None,
            *,
            keys: KeyRing | None = None,
            level: LevelName | None = None,
            trust: Trust = (),
            expect: Any = None,
            check_writes: bool = False,
            on_refuse: OnRefuse = "raise",
            default: Any = None,
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

    HIGHEST_PROTOCOL: ClassVar[int] = 5
    DEFAULT_PROTOCOL: ClassVar[int] = 5
    # Pickle's own errors, of which ours are subclasses.
    PicklingError: ClassVar[type[Exception]] = PackError.__bases__[1]
    UnpicklingError: ClassVar[type[Exception]] = ReadError.__bases__[1]
    PickleError: ClassVar[type[Exception]] = UnpicklingError.__bases__[0]
    encoding: ClassVar[None] = None  # what aiocache asks for: its servers shall return bytes

    def __post_init__(self) -> None:
        policy = check_is_policy(self.policy)
        if self.keys is not None or self.level is not None:
            policy = policy_with(self.policy, self.keys, self.level)
        if self.keys is not None and not any(key.can_sign for key in self.keys.keys):
            raise ValueError("keys: none can sign; for a serializer that only reads: Policy(keys=..., level=...)")
        options = options_with(self.options, self.keys, None)
        if self.on_refuse not in ("raise", "miss") and not callable(self.on_refuse):
            raise ValueError(f"on_refuse: expected 'raise', 'miss' or a function, found {self.on_refuse!r}")
        if self.default is not None and self.on_refuse != "miss":
            raise TypeError("default: expected none unless on_refuse='miss', as nothing else returns it")
        if not isinstance(self.check_writes, bool):
            raise TypeError(f"check_writes: expected a bool, found {self.check_writes!r}")
        set_field = object.__setattr__
        set_field(self, "trust", as_tuple(self.trust))
        request = request_of(self.expect, self.trust, policy)
        if not request.compiled.level.is_checked:
            options = for_unchecked_levels(options)
        set_field(self, "_policy", policy)
        set_field(self, "_pack_options", _checking(options, request) if self.check_writes else options)
        set_field(self, "_request", request)
        reader = None
        if self.quarantine is not None or self.on_event is not None:
            reader = Reader(
                policy, expect=self.expect, trust=self.trust, quarantine=self.quarantine, on_event=self.on_event
            )
        set_field(self, "_reader", reader)

    def __reduce__(self) -> tuple[Any, ...]:
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        return functools.partial(Serializer, **given), ()  # names no function, which may move

    # --- our own names ------------------------------------------------------------------------------------------------

    def pack(
        self, obj: Any, *, type: str | None = None, meta: Mapping[str, str] | None = None, context: str | None = None
    ) -> bytes:
        """Pack an object into the bytes of an artifact, as `pickleseal.pack` does.

        Raises:
            PackError: the object can't be packed, or with `check_writes`, this serializer could not read it.
        """
        return pack(obj, type=type, meta=meta, options=self._options_for(context))

    if TYPE_CHECKING:

        @overload
        def unpack(self, data: Data, *, expect: None = None, context: str | None = None) -> T: ...

        @overload
        def unpack(self, data: Data, *, expect: type[A], context: str | None = None) -> A: ...

        @overload
        def unpack(self, data: Data, *, expect: Any, context: str | None = None) -> Any: ...

    def unpack(self, data: Data, *, expect: Any = None, context: str | None = None) -> Any:
        """Unpack an object from the bytes of one artifact, as `pickleseal.unpack` does, or as `on_refuse` says."""
        try:
            if self._reader is not None:
                return self._read(self._reader, data if isinstance(data, bytes) else memoryview(data), expect, context)
            request = self._request_for(expect, context)
            return read_bytes(data, request) if type(data) is bytes else read_object(BytesSource(data), request)
        except ReadError as exc:
            return self._refused(data, exc)

    def peek(
        self, data: Input, *, context: str | None = None, storage_options: Mapping[str, Any] | None = None
    ) -> Header:
        """Return the header, as `pickleseal.peek` does. Runs nothing. A refusal is raised."""
        return peek(data, policy=self._policy, context=context, storage_options=storage_options)

    def verify(
        self, data: Input, *, context: str | None = None, storage_options: Mapping[str, Any] | None = None
    ) -> Header:
        """Check all checksums, and all of the policy that needs no import, as `pickleseal.verify` does. Runs nothing.

        A refusal is raised.
        """
        return verify_for(data, self._request_for(None, context), storage_options)

    def append(
        self,
        path: str | os.PathLike[str],
        obj: Any,
        *,
        type: str | None = None,
        meta: Mapping[str, str] | None = None,
        context: str | None = None,
    ) -> None:
        """Append a record to a stream, as `pickleseal.append` does."""
        append(path, obj, type=type, meta=meta, options=self._options_for(context))

    if TYPE_CHECKING:

        @overload
        def iter_load(self, file: File, *, expect: None = None, context: str | None = None) -> Iterator[T]: ...

        @overload
        def iter_load(self, file: File, *, expect: type[A], context: str | None = None) -> Iterator[A]: ...

        @overload
        def iter_load(self, file: File, *, expect: Any, context: str | None = None) -> Iterator[Any]: ...

    def iter_load(self, file: File, *, expect: Any = None, context: str | None = None) -> Iterator[Any]:
        """Iterate over the records of a stream, as `pickleseal.iter_load` does. A refusal is raised."""
        expect = self.expect if expect is None else expect
        return iter_load(file, expect=expect, trust=self.trust, policy=policy_with(self._policy, None, None, context))

    def _options_for(self, context: str | None) -> PackOptions:
        return self._pack_options if context is None else options_with(self._pack_options, None, None, context)

    def _request_for(self, expect: Any, context: str | None) -> Request:
        if expect is None and context is None:
            return self._request
        return request_of(self.expect if expect is None else expect, self.trust, self._policy, context=context)

    def _read(self, reader: Reader[Any], data: Any, expect: Any, context: str | None) -> Any:
        return (reader if expect is None else replace(reader, expect=expect)).read(data, context=context).object

    def _refused(self, data: Any, error: ReadError) -> Any:
        if self.on_refuse == "raise":
            raise error
        return self.default if isinstance(self.on_refuse, str) else self.on_refuse(data, error)

    # --- the names of hosts -------------------------------------------------------------------------------------------

    def dumps(
        self,
        obj: Any,
        protocol: object = None,
        *,
        type: str | None = None,
        meta: Mapping[str, str] | None = None,
        context: str | None = None,
        fix_imports: object = True,
        buffer_callback: None = None,
    ) -> bytes:
        """Pack an object, as `pickle.dumps` is called. The arguments of pickle have no effect."""
        _check_no_buffers("buffer_callback", buffer_callback)
        return pack(obj, type=type, meta=meta, options=self._options_for(context))

    if TYPE_CHECKING:

        @overload
        def loads(
            self,
            data: Any,
            /,
            *,
            expect: None = None,
            context: str | None = None,
            fix_imports: object = True,
            encoding: object = "ASCII",
            errors: object = "strict",
            buffers: None = None,
        ) -> T: ...

        @overload
        def loads(
            self,
            data: Any,
            /,
            *,
            expect: type[A],
            context: str | None = None,
            fix_imports: object = True,
            encoding: object = "ASCII",
            errors: object = "strict",
            buffers: None = None,
        ) -> A: ...

        @overload
        def loads(
            self,
            data: Any,
            /,
            *,
            expect: Any,
            context: str | None = None,
            fix_imports: object = True,
            encoding: object = "ASCII",
            errors: object = "strict",
            buffers: None = None,
        ) -> Any: ...

    def loads(
        self,
        data: Any,
        /,
        *,
        expect: Any = None,
        context: str | None = None,
        fix_imports: object = True,
        encoding: object = "ASCII",
        errors: object = "strict",
        buffers: None = None,
    ) -> Any:
        """Unpack an object, as `pickle.loads` is called, or as `on_refuse` says. Pickle's arguments have no effect.

        None, which some caches have in place of data that is not there, stays None.
        """
        _check_no_buffers("buffers", buffers)
        return None if data is None else self.unpack(data, expect=expect, context=context)

    def dump(
        self,
        obj: Any,
        file: File,
        protocol: object = None,
        *,
        type: str | None = None,
        meta: Mapping[str, str] | None = None,
        context: str | None = None,
        durable: bool = True,
        storage_options: Mapping[str, Any] | None = None,
        fix_imports: object = True,
        buffer_callback: None = None,
    ) -> None:
        """Pack an object into a path, URL or binary file, as `pickleseal.dump` does, or as `pickle.dump` is called."""
        _check_no_buffers("buffer_callback", buffer_callback)
        dump(
            obj,
            file,
            type=type,
            meta=meta,
            durable=durable,
            storage_options=storage_options,
            options=self._options_for(context),
        )

    if TYPE_CHECKING:

        @overload
        def load(
            self,
            file: File,
            *,
            expect: None = None,
            context: str | None = None,
            storage_options: Mapping[str, Any] | None = None,
            fix_imports: object = True,
            encoding: object = "ASCII",
            errors: object = "strict",
            buffers: None = None,
        ) -> T: ...

        @overload
        def load(
            self,
            file: File,
            *,
            expect: type[A],
            context: str | None = None,
            storage_options: Mapping[str, Any] | None = None,
            fix_imports: object = True,
            encoding: object = "ASCII",
            errors: object = "strict",
            buffers: None = None,
        ) -> A: ...

        @overload
        def load(
            self,
            file: File,
            *,
            expect: Any,
            context: str | None = None,
            storage_options: Mapping[str, Any] | None = None,
            fix_imports: object = True,
            encoding: object = "ASCII",
            errors: object = "strict",
            buffers: None = None,
        ) -> Any: ...

    def load(
        self,
        file: File,
        *,
        expect: Any = None,
        context: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        fix_imports: object = True,
        encoding: object = "ASCII",
        errors: object = "strict",
        buffers: None = None,
    ) -> Any:
        """Load an object from a path, URL or binary file, as `pickleseal.load` does, or as `on_refuse` says.

        With a quarantine or events, `storage_options` is a TypeError, as for a `Reader`: a URL's credentials are in the
        environment. A file that is not there is an OSError, whatever `on_refuse` says.
        """
        _check_no_buffers("buffers", buffers)
        if self._reader is not None and storage_options is not None:
            raise TypeError("storage_options: expected none beside a quarantine or on_event")
        expected = self.expect if expect is None else expect
        try:
            if self._reader is not None and not isinstance(file, bytes | bytearray | memoryview):
                return self._read(self._reader, file, expect, context)
            return load(
                file,
                expect=expected,
                trust=self.trust,
                policy=self._policy,
                context=context,
                storage_options=storage_options,
            )
        except ReadError as exc:
            return self._refused(file, exc)

    encode = dumps
    serialize = dumps
    decode = loads
    deserialize = loads

    def Pickler(  # noqa: N802
        self, file: BinaryIO, protocol: object = None, *, fix_imports: object = True, buffer_callback: None = None
    ) -> "_Pickler":
        """Return an object whose `dump` writes to a file, as `pickle.Pickler` is called."""
        _check_no_buffers("buffer_callback", buffer_callback)
        return _Pickler(self, file)

    def Unpickler(  # noqa: N802
        self,
        file: BinaryIO,
        *,
        fix_imports: object = True,
        encoding: object = "ASCII",
        errors: object = "strict",
        buffers: None = None,
    ) -> "_Unpickler":
        """Return an object whose `load` reads from a file, as `pickle.Unpickler` is called."""
        _check_no_buffers("buffers", buffers)
        return _Unpickler(self, file)

    def as_class(self) -> type:
        """Return a class for hosts that take one by its dotted path. The class and its objects are this serializer.

        Assign it to a name in a module, and give the host the path of that name. What the host calls the class with is
        ignored.

        >>> JobSerializer = Serializer().as_class()
        >>> JobSerializer.loads(JobSerializer().dumps(7))
        7
        """
        names = [name for name in dir(self) if not name.startswith("_")]
        space: dict[str, Any] = {name: getattr(self, name) for name in names}

        def __init__(self: object, *args: object, **options: object) -> None:  # noqa: N807  # hosts give their options
            pass

        doc = "A serializer as a class: what it and its objects do is what that serializer does."
        return type("Serializer", (), {**space, "__init__": __init__, "__slots__": (), "__doc__": doc})


class _Pickler:
    def __init__(self, serializer: Serializer[Any], file: BinaryIO) -> None:
        self._serializer = serializer
        self._file = file

    def dump(self, obj: Any) -> None:
        self._serializer.dump(obj, self._file)


class _Unpickler:
    def __init__(self, serializer: Serializer[Any], file: BinaryIO) -> None:
        self._serializer = serializer
        self._file = file

    def load(self) -> Any:
        return self._serializer.load(self._file)


def _checking(options: PackOptions, request: Request) -> PackOptions:
    from ._written import AcceptedWrites  # not needed to import the library

    return with_check(options, AcceptedWrites(request, options.keys, options.compress is not None))


def _check_no_buffers(name: str, value: object) -> None:
    if value is not None:
        raise TypeError(f"{name}: expected None, as an artifact holds its buffers itself, found {value!r}")
