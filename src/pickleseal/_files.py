"""`dump`, `load`, `peek` and `verify`, over bytes, paths, URLs and binary files; `dumps` and `loads`.

This module opens what the caller names, and puts the name into errors. Packing and checking are done in `_packing` and
`_reading`.
"""

import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, overload

from ._format.frame import DeferredFrame, Part
from ._format.header import Header
from ._format.preamble import PREAMBLE_SIZE
from ._io.atomic import is_replaceable, name_file, replace_file, replace_with, write_all, write_parts
from ._io.compression import Compression
from ._io.remote import read_url, write_url
from ._io.source import BytesSource, FileSource, Source, artifact_source
from ._io.threads import ThreadPool
from ._io.url import check_options, is_url, local_path
from ._keys import KeyRing
from ._mapped import MapMode, Mapped
from ._packing import PackOptions, check_members, defer_object, options_with, pack, pack_parts
from ._policy import DEFAULT_POLICY, Policy, Request, Trust, policy_with, request_of
from ._reading import read_header, read_object, unpack, verify_request, verify_source
from ._trust.levels import LevelName
from ._typing import File
from .errors import ReadError

if TYPE_CHECKING:
    from ._typing import A, B, C, D, E, TypeForm, Untyped

T = TypeVar("T")
Input = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO


def dump(
    obj: Any,
    file: str | os.PathLike[str] | BinaryIO,
    *,
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    compress: Compression | None = None,
    keys: KeyRing | None = None,
    context: str | None = None,
    durable: bool = True,
    storage_options: Mapping[str, Any] | None = None,
    options: PackOptions | None = None,
) -> None:
    """Pack an object into a file.

    Runs the object's own pickling methods, as pickle does, and no other code. Warns with `PackWarning` if something
    in the object will not load in another program.

    A path is replaced atomically: readers see either the whole old artifact or the whole new one. With `durable`, data
    and folder are synced before this returns. A binary file object is written at its current position, and is not
    flushed or synced. An object at a URL is replaced as a whole, if its store can do so.

    Args:
        obj: any picklable object.
        file: a path, a URL as fsspec knows it (`s3://bucket/key`), or a binary file object.
        type: the name of the type in the header, instead of `module:qualname` of the object's class.
        meta: labels of yours in the header, texts by texts; `peek` shows them.
        compress: `"zstd"`: each part of 1 KiB or more is compressed if that saves an eighth of it.
        keys: the newest of these keys that can sign signs the artifact.
        context: where the artifact belongs, such as the key of a cache. The signature then verifies with this context
            alone, so that nobody can move a signed value to another place. It is stored nowhere, and needs keys.
        durable: whether a path is synced to the disk (fsync of file and folder).
        storage_options: credentials, endpoint and other settings of a URL's store, by fsspec's names.
        options: the other settings: build labels, time stamp, registry; None: the default `PackOptions()`. They have no
            keys if `keys` are given, and no compression if `compress` is given.

    Returns:
        None.

    Raises:
        PackError: the object cannot be pickled (`where` is the path to the part that cannot, `hint` what to store
            instead), or its header would break the format's limits. Nothing was written.
        TypeError, ValueError: an argument is not what it should be, or two contradict each other. Nothing was written.
        OSError: from the operating system (`filename` is the path) or the store. An old file is left as it was. There
            is one exception: if only the last sync of the folder failed, the new file is there already.
        MissingExtraError: fsspec, or its package for this scheme, is not installed; or `compress` is given, and no
            Zstandard library is installed.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path)
    >>> load(path)
    {'rows': 3}
    """
    check_options(file, storage_options)
    options = options_with(options, keys, compress, context)
    if not isinstance(file, str | os.PathLike):
        write_parts(file, pack_parts(obj, type=type, meta=meta, options=options))
        return
    path = _path_of(file)
    if path is None:
        write_url(str(file), storage_options, pack_parts(obj, type=type, meta=meta, options=options))
    else:
        packed = defer_object(obj, type, check_members(type, meta), options)
        if not isinstance(packed, DeferredFrame):
            replace_file(path, packed, durable)
        elif is_replaceable(path):
            replace_with(path, packed.length, partial(_write_deferred, packed), durable=durable)
        else:
            replace_file(path, _deferred_parts(packed), durable)


def _deferred_parts(frame: DeferredFrame) -> list[Part]:
    """Hash the sections, and return the artifact for a pipe or a device, which is written in order."""
    body: list[Part] = []
    for index, parts in enumerate(frame.sections):
        frame.hash(index)
        body += [*parts, frame.padding(index)]
    return [frame.head(), *body]


def _write_deferred(frame: DeferredFrame, descriptor: int) -> None:
    """Write the sections while a thread hashes them, then the head before them."""
    os.lseek(descriptor, PREAMBLE_SIZE + frame.header_len, os.SEEK_SET)
    with ThreadPool(1) as pool:
        for index, parts in enumerate(frame.sections):
            hashed = pool.start(partial(frame.hash, index))
            write_all(descriptor, [*parts, frame.padding(index)])
            hashed()
    os.lseek(descriptor, 0, os.SEEK_SET)
    write_all(descriptor, [frame.head()])


if TYPE_CHECKING:

    @overload
    def load(
        file: File,
        *,
        expect: None = None,
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        mmap: MapMode | None = None,
        storage_options: Mapping[str, Any] | None = None,
        policy: Policy | None = None,
    ) -> Any: ...

    @overload
    def load(
        file: File,
        *,
        expect: type[A],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        mmap: MapMode | None = None,
        storage_options: Mapping[str, Any] | None = None,
        policy: Policy | None = None,
    ) -> A: ...

    @overload
    def load(
        file: File,
        *,
        expect: tuple[type[A], type[B]],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        mmap: MapMode | None = None,
        storage_options: Mapping[str, Any] | None = None,
        policy: Policy | None = None,
    ) -> A | B: ...

    @overload
    def load(
        file: File,
        *,
        expect: tuple[type[A], type[B], type[C]],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        mmap: MapMode | None = None,
        storage_options: Mapping[str, Any] | None = None,
        policy: Policy | None = None,
    ) -> A | B | C: ...

    @overload
    def load(
        file: File,
        *,
        expect: tuple[type[A], type[B], type[C], type[D]],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        mmap: MapMode | None = None,
        storage_options: Mapping[str, Any] | None = None,
        policy: Policy | None = None,
    ) -> A | B | C | D: ...

    @overload
    def load(
        file: File,
        *,
        expect: Untyped,
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        mmap: MapMode | None = None,
        storage_options: Mapping[str, Any] | None = None,
        policy: Policy | None = None,
    ) -> Any: ...

    @overload
    def load(
        file: File,
        *,
        expect: TypeForm[E],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        mmap: MapMode | None = None,
        storage_options: Mapping[str, Any] | None = None,
        policy: Policy | None = None,
    ) -> E: ...


def load(
    file: File,
    *,
    expect: Any = None,
    trust: Trust = (),
    keys: KeyRing | None = None,
    level: LevelName | None = None,
    context: str | None = None,
    mmap: MapMode | None = None,
    storage_options: Mapping[str, Any] | None = None,
    policy: Policy | None = None,
) -> Any:
    """Load an object from a file, after everything about it was checked.

    Header, checksums, type, imports and the pickle's structure are checked first; a refusal has run no opcode. Then the
    payload runs. It can import only what the header declares and the caller allows, and the code of those classes runs.
    This does not make a pickle from an unknown source safe: see SECURITY.md.

    A path or URL must hold exactly one artifact. From a binary file object one frame is read, and the file is left
    right after it. So several objects that were dumped into one file can be loaded one after the other. The file need
    not be seekable. At the end of the file, a `TruncatedError` is raised whose `found` is 0.

    Args:
        file: a path, a URL as fsspec knows it (`s3://bucket/key`), or a binary file.
        expect: what the object has to be: a class, `A | B` or a tuple of classes, `X | None`, `list[X]`,
            `dict[K, V]`, `set[X]`, `frozenset[X]`, `tuple[...]`. The header must name that class, or a subclass that is
            trusted; elements are checked once the object is there. Each class that it names is trusted, save numpy's,
            and to make objects those classes that the annotations of its fields name.
            A text: the `type` in the header must be that.
        trust: classes, functions, exact `"module:qualname"` strings that the payload may import and use, and rules of
            `pickleseal.trust`, in addition to those of the policy.
        keys: at least one of these keys must have signed the artifact. What the payload may do does not change: for
            that, give `level="signed"` as well. Then whoever holds a key is trusted, and can run any code here.
        level: what the payload may do: `"guarded"` (the default: make objects of the trusted classes), `"strict"` (the
            same, after a dry run, for sources that are not yours), `"signed"` (anything, with a valid signature by
            `keys`) or `"unchecked"` (anything). Beside a policy it is a TypeError: the policy has the level.
        context: the context in which the artifact was signed. It needs keys, here or in the policy.
        mmap: `"r"` or `"c"`, for a path: arrays are views of a memory map, read-only or copy-on-write, as `Mapped` has
            it. The file must not be cut off while the arrays are used. None: arrays have private memory.
        storage_options: credentials, endpoint and other settings of a URL's store, by fsspec's names.
        policy: the other rules; None: `Policy()`. Make a policy once for settings that many calls share. It has no keys
            if `keys` are given.

    Returns:
        The object.

    Raises:
        ReadError: the artifact is refused, and `code` names the reason. There are five families: `CorruptError`
            (damaged or cut off), `ForeignError` (not an artifact), `UnsupportedError` (needs a newer pickleseal, or a
            codec that is not installed), `RefusedError` (policy, trust, keys, limits or changed classes) and
            `PayloadError` (the payload failed, or did what it may not do). If `step` is below 20, nothing of the
            payload has run.
            `path` is the file, or the URL without user, password and query.
        OSError: from the operating system (`filename` names the file) or the store. ESTALE: the object was replaced
            while it was read.
        MissingExtraError: fsspec, or its package for this scheme, is not installed.
        TypeError, ValueError: an argument is not what it should be, or `trust` names something that runs what its
            arguments say (`eval`, `getattr`, ...), or two arguments contradict each other. `storage_options` are given,
            but not a URL. `mmap` is given, but not the path of a local file.

    The reader's steps are those of spec section 11.

    >>> import io, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path)
    >>> load(path, expect=dict[str, int])
    {'rows': 3}
    >>> file = io.BytesIO(pack("first") + pack("second"))
    >>> load(file), load(file)
    ('first', 'second')
    """
    if not isinstance(file, str | os.PathLike) and not hasattr(file, "read"):
        way = "makefile() gives one" if hasattr(file, "makefile") else "unpack() takes bytes"
        raise TypeError(f"file: expected a path or a binary file, found {type(file).__name__}; {way}")
    check_options(file, storage_options)
    if mmap is not None:
        if keys is not None or level is not None or context is not None:
            policy = policy_with(policy, keys, level, context)
        return Mapped(file, mmap=mmap, expect=expect, trust=trust, policy=policy).object  # type: ignore[arg-type]  # Mapped checks it
    request = request_of(expect, trust, policy, keys, level, context)
    return read_input(file, storage_options, lambda source: read_object(source, request))


def peek(
    data: Input,
    *,
    policy: Policy | None = None,
    context: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Header:
    """Read and validate the header alone. Imports nothing, unpickles nothing, and does not look at the payload.

    Args:
        data: bytes, a path, a URL or a binary file. Of bytes, the beginning of an artifact is enough; 8 KiB normally
            hold the header. From a URL, 8 KiB are read, and the rest of a larger header. A binary file is left where it
            was if it is seekable, and after the header if it is not.
        policy: only its limits and keys are used. With keys the signatures are verified, and `Header.verified` names
            the valid ones. The payload that they cover is not checked; `verify` does that.
        context: the context in which the artifact was signed. It needs a policy with keys.
        storage_options: for URLs, as for `load`.

    Raises:
        ReadError: steps 1 to 13 of spec section 11. `missing` of a `TruncatedError` is how many more bytes are needed.
        OSError, MissingExtraError, ValueError: as for `load`.

    >>> peek(pack([1, 2, 3], meta={"team": "risk"})).meta["team"]
    'risk'
    """
    policy = policy_with(policy, None, None, context)
    check_options(data, storage_options)
    start = _start_of(data)
    try:
        return read_input(data, storage_options, lambda source: read_header(source, policy))
    finally:
        if start is not None:
            with suppress(OSError, ValueError):  # the file said that it can seek; the header is returned nevertheless
                data.seek(start)  # type: ignore[union-attr]


def verify(
    data: Input,
    *,
    policy: Policy | None = None,
    context: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Header:
    """Check everything that can be checked without running anything: header, all checksums, the pickle's structure.

    Imports nothing and unpickles nothing. Buffers are hashed and not kept. Intact does not mean authentic: whoever can
    write the bytes can write the checksums. Give keys to know who wrote them.

    Args:
        data: bytes of exactly one artifact, a path or URL of one, or a binary file, of which one frame is read.
        policy: what is accepted. With keys the signatures are verified, and `Header.verified` names the valid ones. All
            that needs no import is checked: protocol, type, version, age, labels, codecs, packages, and the names that
            the payload imports, if the policy has `trust`. `Header.left_out` of the result has the codes of what was
            not checked. None: the artifact is checked alone, by the limits of the format.
        context: the context in which the artifact was signed. It needs a policy with keys.
        storage_options: for URLs, as for `load`.

    Raises:
        ReadError: steps 1 to 14 and 16 to 19 of spec section 11; with a policy, also what of step 15 needs no import.
        OSError, MissingExtraError, ValueError: as for `load`.

    >>> verify(pack("report")).type
    'builtins:str'
    >>> from argparse import Namespace
    >>> verify(pack(Namespace(id=7)), policy=Policy(max_age="1h")).left_out
    ('untrusted-global', 'class-missing', 'schema-version', 'schema-drift')
    """
    if policy is None and context is None:
        return verify_intact(data, DEFAULT_POLICY, storage_options)
    return verify_for(data, request_of(policy=policy, context=context), storage_options)


def verify_for(data: Input, request: Request, storage_options: Mapping[str, Any] | None = None) -> Header:
    """Verify an artifact, and of what a request asks, check all that needs no import."""
    check_options(data, storage_options)
    return read_input(data, storage_options, lambda source: verify_request(source, request))


def verify_intact(data: Input, policy: Policy, storage_options: Mapping[str, Any] | None = None) -> Header:
    """Verify an artifact by the limits and keys of a policy alone."""
    check_options(data, storage_options)
    return read_input(data, storage_options, lambda source: verify_source(source, policy))


def _path_of(file: str | os.PathLike[str]) -> str | None:
    """Return the path of a local file, or None for a URL of another store."""
    return local_path(str(file)) if is_url(file) else os.fsdecode(file)


def read_input(data: Any, options: Mapping[str, Any] | None, read: Callable[[Source], T]) -> T:
    """Open what the caller gave as a source, read from it, and put the file's name into errors."""
    if isinstance(data, str | os.PathLike):
        path = _path_of(data)
        if path is None:
            return read_url(str(data), options, read)
        try:
            with io.FileIO(path) as file:
                return read(artifact_source(file))
        except ReadError as exc:
            exc.path = path
            raise
        except OSError as exc:
            name_file(exc, path)
            raise
    if hasattr(data, "read"):
        try:
            return read(FileSource(data, whole=False))
        except ReadError as exc:
            name = getattr(data, "name", None)
            exc.path = name if isinstance(name, str) else None
            raise
    try:
        source = BytesSource(data)
    except TypeError:
        raise TypeError(f"data: expected bytes, a path, a URL or a binary file, found {type(data).__name__}") from None
    return read(source)


def _start_of(file: Any) -> int | None:
    """Return the position of a seekable file, or None for bytes, paths, pipes and other objects without a position."""
    try:
        return file.tell() if file.seekable() else None
    except (AttributeError, TypeError, OSError, ValueError):
        return None


def dumps(
    obj: Any,
    protocol: object = None,
    *,
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    compress: Compression | None = None,
    keys: KeyRing | None = None,
    context: str | None = None,
    options: PackOptions | None = None,
    fix_imports: object = None,
    buffer_callback: object = None,
) -> bytes:
    """Pack an object: `pack` under the name and with the arguments that hosts of a pickle-like module use.

    `protocol`, `fix_imports` and `buffer_callback` are accepted and ignored: an artifact has protocol 5 and holds its
    buffers itself. The other arguments and the errors are those of `pack`. A host that gives none of them can be given
    a `Serializer`.

    >>> loads(dumps((1, 2)))
    (1, 2)
    """
    return pack(obj, type=type, meta=meta, compress=compress, keys=keys, context=context, options=options)


def loads(
    data: bytes | bytearray | memoryview,
    /,
    *,
    expect: Any = None,
    trust: Trust = (),
    keys: KeyRing | None = None,
    level: LevelName | None = None,
    context: str | None = None,
    policy: Policy | None = None,
    fix_imports: object = None,
    encoding: object = None,
    errors: object = None,
    buffers: object = None,
) -> Any:
    """Unpack an object: `unpack` under the name and with the arguments that hosts of a pickle-like module use.

    `fix_imports`, `encoding`, `errors` and `buffers` are accepted and ignored. The other arguments and the errors are
    those of `unpack`, and so is what can run: the code of the classes that are trusted. A host that gives none of them
    can be given a `Serializer`.
    """
    return unpack(data, expect=expect, trust=trust, keys=keys, level=level, context=context, policy=policy)
