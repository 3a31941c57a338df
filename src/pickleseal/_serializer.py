"""One object for both directions: a policy and options for writing, under the names that hosts of pickle call.

A project makes one `Serializer` and gives it to every host: a cache, a queue, a session store, a column of a database.
Packing and reading are done by the functions of `_packing`, `_reading` and `_files`; nothing is decided here.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, BinaryIO, ClassVar

from ._files import Input, dump, load, peek, verify
from ._format.header import Header
from ._ingestion.reader import Event, Quarantine, Reader
from ._keys import KeyRing
from ._packing import Writer, check_writer, pack
from ._policy import Policy, Request, Trust, as_tuple, check_is_policy, request_of
from ._reading import read_bytes
from ._streams.reader import iter_load
from ._streams.writer import append
from ._trust.levels import LevelName
from .errors import PackError, ReadError

_File = str | os.PathLike[str] | BinaryIO
_OnRefuse = str | Callable[[Any, ReadError], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Serializer:
    """Packs and unpacks with one policy and one set of options. Immutable; threads share one.

    It has the names and the positional arguments that hosts call on a module like pickle: `dumps`, `loads`, `dump`,
    `load`, `Pickler`, `Unpickler` and pickle's errors; also `encode` and `decode`, `serialize` and `deserialize`.
    Pickle's own keywords are accepted and have no effect. Any other keyword is a TypeError.

    Reading runs the code of the classes that are trusted, after every check that `unpack` makes.

    Args:
        policy: what is accepted; None: `Policy()`.
        options: how artifacts are written; None: `Writer()`.
        keys: sign what is written, and verify what is read. Give them here or in policy and options.
        level: the policy's level, if no policy is given.
        trust, expect: as for `unpack`, for every call.
        on_refuse: what a refusal is: `"raise"`, `"miss"` (the call returns `default`), or a function of the input and
            the error, whose result the call returns.
        default: what a miss returns.
        quarantine, on_event: as for `Reader`.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or two arguments contradict each other.

    >>> serializer = Serializer()
    >>> serializer.loads(serializer.dumps({"id": 7}))
    {'id': 7}
    >>> Serializer(on_refuse="miss", default=0).loads(b"no artifact")
    0
    """

    policy: Policy | None = None
    options: Writer | None = None
    _: KW_ONLY
    keys: KeyRing | None = None
    level: LevelName | None = None
    trust: Trust = ()
    expect: Any = None
    on_refuse: _OnRefuse = "raise"
    default: Any = None
    quarantine: Quarantine | str | os.PathLike[str] | None = None
    on_event: Callable[[Event], None] | None = None
    _request: Request = field(init=False, repr=False)
    _reader: Reader | None = field(init=False, repr=False)

    HIGHEST_PROTOCOL: ClassVar[int] = 5
    DEFAULT_PROTOCOL: ClassVar[int] = 5
    # Pickle's own errors, of which ours are subclasses.
    PicklingError: ClassVar[type] = PackError.__bases__[1]
    UnpicklingError: ClassVar[type] = ReadError.__bases__[1]
    PickleError: ClassVar[type] = UnpicklingError.__bases__[0]
    encoding: ClassVar[None] = None  # aiocache: its servers return bytes

    def __post_init__(self) -> None:
        policy, options = check_is_policy(self.policy), check_writer(self.options)
        if self.level is not None:
            if self.policy is not None:
                raise TypeError("level: expected none beside a policy; give it there: Policy(level=...)")
            policy = Policy(level=self.level, keys=self.keys)
        elif self.keys is not None:
            if policy.keys is not None or options.keys is not None:
                raise TypeError("keys: expected none beside a policy or options with keys")
            policy = replace(policy, keys=self.keys)
        if self.keys is not None:
            options = replace(options, keys=self.keys)
        if self.on_refuse not in ("raise", "miss") and not callable(self.on_refuse):
            raise ValueError(f"on_refuse: expected 'raise', 'miss' or a function, found {self.on_refuse!r}")
        set_field = object.__setattr__
        set_field(self, "policy", policy)
        set_field(self, "options", options)
        set_field(self, "trust", as_tuple(self.trust))
        set_field(self, "_request", request_of(self.expect, self.trust, policy))
        told = self.quarantine is not None or self.on_event is not None
        reader = Reader(
            policy, expect=self.expect, trust=self.trust, quarantine=self.quarantine, on_event=self.on_event
        )
        set_field(self, "_reader", reader if told else None)

    # --- our own names ------------------------------------------------------------------------------------------------

    def pack(self, obj: Any, *, type: str | None = None, meta: Mapping[str, str] | None = None) -> bytes:
        """Pack an object into the bytes of an artifact, as `pickleseal.pack` does."""
        return pack(obj, type=type, meta=meta, writer=self.options)

    def unpack(self, data: bytes | bytearray | memoryview) -> Any:
        """Unpack an object from the bytes of one artifact, as `pickleseal.unpack` does, or as `on_refuse` says."""
        try:
            if self._reader is not None:
                return self._reader.read(bytes(data)).object
            return read_bytes(data if isinstance(data, bytes) else bytes(data), self._request)
        except ReadError as exc:
            return self._refused(data, exc)

    def peek(self, data: Input) -> Header:
        """Return the header, as `pickleseal.peek` does. Runs nothing."""
        return peek(data, policy=self.policy)

    def verify(self, data: Input) -> Header:
        """Check all checksums, as `pickleseal.verify` does. Runs nothing."""
        return verify(data, policy=self.policy)

    def append(self, path: str | os.PathLike[str], obj: Any) -> None:
        """Append a record to a stream, as `pickleseal.append` does."""
        append(path, obj, writer=self.options)

    def iter_load(self, file: _File) -> Iterator[Any]:
        """Iterate over the records of a stream, as `pickleseal.iter_load` does. A refusal is raised."""
        return iter_load(file, expect=self.expect, trust=self.trust, policy=self.policy)

    def _refused(self, data: Any, error: ReadError) -> Any:
        if self.on_refuse == "raise":
            raise error
        return self.default if isinstance(self.on_refuse, str) else self.on_refuse(data, error)

    # --- the names of hosts -------------------------------------------------------------------------------------------

    def dumps(
        self, obj: Any, protocol: object = None, *, fix_imports: object = True, buffer_callback: None = None
    ) -> bytes:
        """Pack an object, as `pickle.dumps` is called. The arguments of pickle have no effect."""
        _check_no_buffers("buffer_callback", buffer_callback)
        return pack(obj, writer=self.options)

    def loads(
        self,
        data: Any,
        /,
        *,
        fix_imports: object = True,
        encoding: object = "ASCII",
        errors: object = "strict",
        buffers: None = None,
    ) -> Any:
        """Unpack an object, as `pickle.loads` is called. None, which some caches have for a miss, stays None."""
        _check_no_buffers("buffers", buffers)
        return None if data is None else self.unpack(data)

    def dump(
        self,
        obj: Any,
        file: _File,
        protocol: object = None,
        *,
        type: str | None = None,
        meta: Mapping[str, str] | None = None,
        durable: bool = True,
        storage_options: Mapping[str, Any] | None = None,
        fix_imports: object = True,
        buffer_callback: None = None,
    ) -> None:
        """Pack an object into a file, as `pickleseal.dump` does. It may be called as `pickle.dump` is."""
        _check_no_buffers("buffer_callback", buffer_callback)
        options = {"type": type, "meta": meta, "durable": durable, "storage_options": storage_options}
        dump(obj, file, writer=self.options, **options)  # type: ignore[arg-type]

    def load(
        self,
        file: _File,
        *,
        storage_options: Mapping[str, Any] | None = None,
        fix_imports: object = True,
        encoding: object = "ASCII",
        errors: object = "strict",
        buffers: None = None,
    ) -> Any:
        """Load an object from a file, as `pickleseal.load` does, or as `on_refuse` says."""
        _check_no_buffers("buffers", buffers)
        try:
            if self._reader is not None and storage_options is None:
                return self._reader.read(file).object
            return load(file, expect=self.expect, trust=self.trust, policy=self.policy, storage_options=storage_options)
        except ReadError as exc:
            return self._refused(file, exc)

    encode = serialize = dumps
    decode = deserialize = loads

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

        Assign it to a name in a module: `Serializer = serializer.as_class()`.
        """
        names = [name for name in dir(self) if not name.startswith("_")]
        space: dict[str, Any] = {name: getattr(self, name) for name in names}

        def __init__(self: object, *args: object, **options: object) -> None:  # noqa: N807  # hosts give their options
            pass

        return type("Serializer", (), {**space, "__init__": __init__, "__slots__": ()})


class _Pickler:
    def __init__(self, serializer: Serializer, file: BinaryIO) -> None:
        self._serializer = serializer
        self._file = file

    def dump(self, obj: Any) -> None:
        self._serializer.dump(obj, self._file)


class _Unpickler:
    def __init__(self, serializer: Serializer, file: BinaryIO) -> None:
        self._serializer = serializer
        self._file = file

    def load(self) -> Any:
        return self._serializer.load(self._file)


def _check_no_buffers(name: str, value: object) -> None:
    if value is not None:
        raise TypeError(f"{name}: expected None, as an artifact holds its buffers itself, found {value!r}")
