"""`dump`, `load`, `peek` and `verify`, over bytes, paths, URLs and binary files; `dumps` and `loads`.

This module opens what the caller names, and puts the name into errors. Packing and checking are done in `_packing` and
`_reading`.
"""

import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, TypeVar, overload

from ._format.frame import DeferredFrame, Part
from ._format.header import Header
from ._format.preamble import PREAMBLE_SIZE
from ._io.atomic import is_replaceable, name_file, replace_file, replace_with, write_all, write_parts
from ._io.remote import read_url, write_url
from ._io.source import BytesSource, FileSource, Source, artifact_source
from ._io.threads import ThreadPool
from ._io.url import check_options, is_url, local_path
from ._mapped import Mapped, check_verify
from ._packing import Writer, check_members, check_writer, defer_object, pack, pack_parts
from ._policy import Policy, Trust, check_is_policy, request_of
from ._reading import read_header, read_object, unpack, verify_source
from .errors import ReadError

__all__ = ["dump", "dumps", "load", "loads", "peek", "verify"]

T = TypeVar("T")
Input = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO


def dump(
    obj: Any,
    file: str | os.PathLike[str] | BinaryIO,
    *,
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    durable: bool = True,
    writer: Writer | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Pack an object into a file.

    A path is replaced atomically: whoever reads it sees the old artifact or the new one, whole. With `durable` the
    data and the folder are synced before this returns. A binary file object is written at its current position;
    nothing is flushed or synced there. An object at a URL is replaced as a whole where its store can do so.

    Args:
        obj, type, meta, writer: as for `pack`.
        file: a path, a URL as fsspec knows it (`s3://bucket/key`), or a binary file object.
        durable: whether a path is synced to the disk (fsync of file and folder).
        storage_options: credentials, endpoint and what else a URL's store takes, by fsspec's names.

    Raises:
        PackError, TypeError, ValueError: as for `pack`, before anything is written.
        OSError: from the operating system (`filename` is the path) or the store; a file that was there is left as it
            was, unless only the last sync of the folder failed, after the new one took its place.
        MissingExtraError: fsspec, or its package for this scheme, is not installed.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path)
    >>> load(path)
    {'rows': 3}
    """
    check_options(file, storage_options)
    if not isinstance(file, str | os.PathLike):
        write_parts(file, pack_parts(obj, type=type, meta=meta, writer=writer))
        return
    path = _path_of(file)
    if path is None:
        write_url(str(file), storage_options, pack_parts(obj, type=type, meta=meta, writer=writer))
    else:
        packed = defer_object(obj, type, check_members(type, meta), check_writer(writer))
        if not isinstance(packed, DeferredFrame):
            replace_file(path, packed, durable)
        elif is_replaceable(path):
            replace_with(path, packed.length, partial(_write_draft, packed), durable=durable)
        else:
            replace_file(path, _draft_parts(packed), durable)


def _draft_parts(draft: DeferredFrame) -> list[Part]:
    """Hash the sections, and return the artifact for a pipe or a device, which is written in order."""
    body: list[Part] = []
    for index, parts in enumerate(draft.sections):
        draft.hash(index)
        body += [*parts, draft.padding(index)]
    return [draft.head(), *body]


def _write_draft(draft: DeferredFrame, descriptor: int) -> None:
    """Write the sections while a thread hashes them, then the head before them."""
    os.lseek(descriptor, PREAMBLE_SIZE + draft.header_len, os.SEEK_SET)
    with ThreadPool(1) as pool:
        for index, parts in enumerate(draft.sections):
            hashed = pool.start(partial(draft.hash, index))
            write_all(descriptor, [*parts, draft.padding(index)])
            hashed()
    os.lseek(descriptor, 0, os.SEEK_SET)
    write_all(descriptor, [draft.head()])


@overload
def load(
    file: str | os.PathLike[str] | BinaryIO,
    *,
    expect: type[T],
    trust: Trust = (),
    policy: Policy | None = None,
    mmap: str | None = None,
    verify: str = "full",
    storage_options: Mapping[str, Any] | None = None,
) -> T: ...


@overload
def load(
    file: str | os.PathLike[str] | BinaryIO,
    *,
    expect: str | None = None,
    trust: Trust = (),
    policy: Policy | None = None,
    mmap: str | None = None,
    verify: str = "full",
    storage_options: Mapping[str, Any] | None = None,
) -> Any: ...


def load(
    file: str | os.PathLike[str] | BinaryIO,
    *,
    expect: type[Any] | str | None = None,
    trust: Trust = (),
    policy: Policy | None = None,
    mmap: str | None = None,
    verify: str = "full",
    storage_options: Mapping[str, Any] | None = None,
) -> Any:
    """Load an object from a file, after everything about it was checked. Arguments and guarantees as for `unpack`.

    A path or URL must hold exactly one artifact. From a binary file object one frame is read, and the file is left
    right behind it, so that several dumped one after the other load one after the other; it need not be seekable. At
    the end of the file that is a `TruncatedError` whose `found` is 0.

    Args:
        file: a path, a URL as fsspec knows it (`s3://bucket/key`), or a binary file.
        expect, trust, policy: as for `unpack`.
        storage_options: credentials, endpoint and what else a URL's store takes, by fsspec's names.
        mmap: `"r"` or `"c"`, for a path: arrays are views of a memory map, read-only or copy-on-write, as `Mapped` has
            it. The file must not be cut off while they are used. None: private memory.
        verify: `"header"`, with `mmap`: mapped buffers are not checked. `Mapped` can check them later.

    Raises:
        ReadError: as for `unpack`; `path` names the file, or the URL without user, password and query.
        OSError: from the operating system (`filename` names the file) or the store. ESTALE: the object was replaced
            while it was read.
        MissingExtraError: fsspec, or its package for this scheme, is not installed.
        TypeError, ValueError: as for `unpack`; with `mmap`, as for `Mapped`; `verify="header"` without it, as reading
            costs more than hashing; `storage_options` for what is no URL.

    >>> import io
    >>> file = io.BytesIO(pack("first") + pack("second"))
    >>> load(file), load(file)
    ('first', 'second')
    """
    if not isinstance(file, str | os.PathLike) and not hasattr(file, "read"):
        way = "makefile() gives one" if hasattr(file, "makefile") else "unpack() takes bytes"
        raise TypeError(f"file: expected a path or a binary file, found {type(file).__name__}; {way}")
    check_options(file, storage_options)
    if mmap is not None:
        return Mapped(file, mmap=mmap, verify=verify, expect=expect, trust=trust, policy=policy).object  # type: ignore[arg-type]  # it refuses
    request = request_of(expect, trust, policy)
    check_verify(verify)
    if verify == "header":
        raise ValueError('verify: "header" is for mmap="r" and "c": reading costs more than hashing')
    return _with(file, storage_options, lambda source: read_object(source, request))


def peek(data: Input, *, policy: Policy | None = None, storage_options: Mapping[str, Any] | None = None) -> Header:
    """Read and judge the header alone. Imports nothing, unpickles nothing, and does not look at the payload.

    Args:
        data: bytes (the beginning of an artifact is enough: 8 KiB normally holds the header), a path, a URL, of which
            8 KiB are read, and the rest of a larger header, or a binary file, which is left where it was if it is
            seekable, else behind the header.
        policy: only its limits and keys count. With keys the signatures are verified, and `Header.verified` names those
            that did; the payload they cover is `verify`'s matter.
        storage_options: for URLs, as for `load`.

    Raises:
        ReadError: steps 1 to 13 of spec section 11. On `TruncatedError`, `missing` says how many bytes more to bring.
        OSError, MissingExtraError, ValueError: as for `load`.

    >>> peek(pack([1, 2, 3], meta={"team": "risk"})).meta["team"]
    'risk'
    """
    policy = check_is_policy(policy)
    check_options(data, storage_options)
    start = _start_of(data)
    try:
        return _with(data, storage_options, lambda source: read_header(source, policy))
    finally:
        if start is not None:
            with suppress(OSError, ValueError):  # it said that it could; the header counts for more
                data.seek(start)  # type: ignore[union-attr]


def verify(data: Input, *, policy: Policy | None = None, storage_options: Mapping[str, Any] | None = None) -> Header:
    """Check everything that can be checked without running anything: header, all checksums, the pickle's structure.

    Imports nothing and unpickles nothing; trust is not judged. Buffers are hashed on the way and not kept. Intact is
    not authentic: whoever can write the bytes can write the checksums. Give keys to know who wrote them.

    Args:
        data: bytes of exactly one artifact, a path or URL of one, or a binary file, of which one frame is read.
        policy: only its limits and keys count. With keys the signatures are verified, and `Header.verified` names those
            that did.
        storage_options: for URLs, as for `load`.

    Raises:
        ReadError: steps 1 to 14 and 16 to 19 of spec section 11.
        OSError, MissingExtraError, ValueError: as for `load`.

    >>> verify(pack("report")).type
    'builtins:str'
    """
    policy = check_is_policy(policy)
    check_options(data, storage_options)
    return _with(data, storage_options, lambda source: verify_source(source, policy))


def _path_of(file: str | os.PathLike[str]) -> str | None:
    """Return the path of a local file, or None for a URL of another store."""
    return local_path(str(file)) if is_url(file) else os.fsdecode(file)


def _with(data: Any, options: Mapping[str, Any] | None, read: Callable[[Source], T]) -> T:
    """Open what the caller gave as a source, read from it, and name the file in a refusal."""
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
    return read(BytesSource(data))


def _start_of(file: Any) -> int | None:
    """Return where a seekable file stands, or None for bytes, paths, pipes and whatever can't tell."""
    try:
        return file.tell() if file.seekable() else None
    except (AttributeError, TypeError, OSError, ValueError):
        return None


def dumps(
    obj: Any,
    protocol: object = None,
    *,
    fix_imports: object = None,
    buffer_callback: object = None,
) -> bytes:
    """Pack an object: `pack` under the name and with the arguments that hosts of a pickle-like module use.

    `protocol`, `fix_imports` and `buffer_callback` are accepted and ignored: an artifact has protocol 5 and holds its
    buffers itself.

    >>> loads(dumps((1, 2)))
    (1, 2)
    """
    return pack(obj)


def loads(
    data: bytes | bytearray | memoryview,
    /,
    *,
    expect: type[Any] | str | None = None,
    trust: Trust = (),
    policy: Policy | None = None,
    fix_imports: object = None,
    encoding: object = None,
    errors: object = None,
    buffers: object = None,
) -> Any:
    """Unpack an object: `unpack` under the name and with the arguments that hosts of a pickle-like module use.

    `fix_imports`, `encoding`, `errors` and `buffers` are accepted and ignored.
    """
    return unpack(data, expect=expect, trust=trust, policy=policy)
