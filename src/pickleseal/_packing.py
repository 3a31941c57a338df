"""Object -> frame: pickle it, describe the build, checksum, lay out (spec section 12)."""

import builtins
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from time import gmtime, strftime, time_ns
from typing import Any

from ._format.frame import Body, Draft, Part, encode_body, encode_frame
from ._format.header import check_created, check_labels, is_global, is_name
from ._format.limits import MAX_HEADER
from ._format.seal import Sign
from ._io.compression import check_compression, compress_sections
from ._io.hashing import sha256_of_all
from ._keys import KeyRing, check_keys, signer
from ._payload.pickler import Pickled, not_portable, pickle_object
from ._schema.distributions import packages_of
from ._schema.header_entries import ClassInHeader, in_header
from ._schema.registry import Registry, default_registry, index_of
from ._trust.allow_list import is_dangerous
from ._version import __version__
from .errors import PackError, PackWarning, frames_up

__all__ = [
    "Writer",
    "check_globals",
    "check_members",
    "check_name",
    "check_writer",
    "draft_object",
    "encode_object",
    "encode_one",
    "encode_pickled",
    "pack",
    "pack_parts",
    "pickle_or_explain",
    "root_of",
]


_DRAFT_FROM = 1 << 22  # bytes of buffers: below, they are in the cache anyway
# What most small objects are: nothing is to be looked up for them.
_PLAIN = {
    id(cls): ClassInHeader(f"builtins:{cls.__name__}", 0, None, {}) for cls in (dict, list, tuple, str, bytes, int, set)
}
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}  # as `platform` has it, 3 ms cheaper
_BUILD = {
    "implementation": _IMPLEMENTATIONS.get(sys.implementation.name, sys.implementation.name),
    "pickleseal": __version__,
    "platform": f"{sys.platform}-{os.uname().machine}" if hasattr(os, "uname") else sys.platform,
    "python": sys.version.partition(" ")[0],
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Writer:
    """How artifacts are written: what they say of build, time and classes, and who signs. Immutable, shared freely.

    Args:
        build: labels of the application, added to the header's `build` (`{"app": "billing", "commit": "1f3c"}`).
            `PICKLESEAL_APP` and `PICKLESEAL_COMMIT` in the environment give `app` and `commit` where this does not.
        created: the time stamp of every artifact, a `datetime` with a time zone. None: the clock, or
            `SOURCE_DATE_EPOCH` (seconds) in the environment. With a fixed time, the same object gives the same bytes.
        registry: names and versions of classes.
        keys: every artifact is signed by the newest of these keys that can sign, for the ring's purpose. It records the
            SHA-256 of its sections then, which is most of what signing costs. None: no seal.
        compress: `"zstd"`: sections of 1 KiB and more are compressed where that saves an eighth of them; whatever does
            not shrink so is stored as it is. None: no section is compressed.
        compress_level: as Zstandard has it, from fast (negative numbers, 1) to small (19, at most 22). The level is not
            recorded; readers need none.

    The environment is read once, when the Writer is made. The default writer is made when it is first used.

    Raises:
        TypeError, ValueError: a label is not a string under a key, or `created` has no time zone, or
            `SOURCE_DATE_EPOCH` is no number, or none of the keys can sign, or the codec or its level is unknown.
        MissingExtraError: it is to compress, and no Zstandard library is installed.

    >>> from datetime import datetime, timezone
    >>> fixed = Writer(created=datetime(2026, 1, 1, tzinfo=timezone.utc))
    >>> pack([1, 2], writer=fixed) == pack([1, 2], writer=fixed)
    True
    """

    build: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None
    registry: Registry = default_registry
    keys: KeyRing | None = None
    compress: str | None = None
    compress_level: int = 3
    _build: dict[str, str] = field(init=False, repr=False, compare=False)
    _created: str | None = field(init=False, repr=False, compare=False)
    _sign: Sign | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.registry, Registry):
            raise TypeError(f"registry: expected a Registry, found {builtins.type(self.registry).__name__}")
        env = {"app": os.environ.get("PICKLESEAL_APP"), "commit": os.environ.get("PICKLESEAL_COMMIT")}
        given = {key: value for key, value in env.items() if value}
        labels = {**_BUILD, **given, **_user_labels("build", self.build)}
        object.__setattr__(self, "_build", labels)
        object.__setattr__(self, "_created", _fixed_time(self.created))
        check_keys(self.keys, ())
        check_compression(self.compress, self.compress_level)
        object.__setattr__(self, "_sign", None if self.keys is None else signer(self.keys))


def _fixed_time(created: datetime | None) -> str | None:
    """Return the fixed time stamp that argument or environment ask for, or None for the clock."""
    if created is not None:
        if not isinstance(created, datetime) or created.utcoffset() is None:
            raise ValueError(f"created: expected a datetime with a time zone, found {created!r}")
        return created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    try:
        return _stamp(int(epoch) * 1_000_000_000)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {epoch!r}") from None


_second: tuple[int, str] = (-1, "")  # the last second's text: most of a time stamp stays the same


def _stamp(nanoseconds: int) -> str:
    """Format a time as the header wants it (spec 6, created)."""
    global _second
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    cached = _second
    if cached[0] != seconds:
        cached = seconds, strftime("%Y-%m-%dT%H:%M:%S.", gmtime(seconds))
        if check_created(f"{cached[1]}000000Z") is not None:
            raise ValueError("year out of range")
        _second = cached
    return f"{cached[1]}{rest // 1000:06d}Z"


def _user_labels(what: str, labels: object) -> dict[str, str]:
    if not isinstance(labels, Mapping):
        raise TypeError(f"{what}: expected a mapping of strings, found {builtins.type(labels).__name__}")
    copied = dict(labels)
    problem = check_labels(copied)
    if problem is not None:
        raise TypeError(f"{what}: expected {problem}")
    return copied


_default: Writer | None = None


def check_writer(writer: Writer | None) -> Writer:
    """Return the caller's writer, or the default one.

    Raises:
        TypeError: it is no Writer.
    """
    global _default
    if writer is None:
        if _default is None:
            _default = Writer()
        return _default
    if not isinstance(writer, Writer):
        raise TypeError(f"writer: expected a Writer, found {type(writer).__name__}")
    return writer


def pack_parts(
    obj: Any, *, type: str | None = None, meta: Mapping[str, str] | None = None, writer: Writer | None = None
) -> list[Part]:
    """Pack an object into an artifact, as a list of buffers to be written one after the other.

    Nothing is joined, and large bytes objects, PickleBuffers and contiguous arrays are not copied (save what is
    compressed): the parts refer to the object's own memory, so write them before it changes.

    Args:
        obj: any picklable object.
        type: name for the header instead of `module:qualname` of the object's class.
        meta: labels for the header.
        writer: build labels, time stamp, keys and compression; None: the default `Writer()`.

    Raises:
        PackError: the object cannot be pickled (`where` is the path to the part that cannot, `hint` what to store
            instead), or its header would break the format's limits.
        TypeError, ValueError: `type` or `meta` are not what the header takes.

    Runs the object's own pickling methods, as pickle does. Warns with `PackWarning` where a global will not load
    elsewhere. Spec section 12.

    >>> sum(len(part) for part in pack_parts({"id": 1})) % 64
    0
    """
    writer = check_writer(writer)
    return encode_object(obj, type, check_members(type, meta), writer)


def check_members(type: object, meta: Mapping[str, str] | None) -> dict[str, Any]:
    """Check what the caller wants in the header, and return it without the type.

    Raises:
        TypeError, ValueError: `type` or `meta` are not what the header takes.
    """
    if type is not None and not (isinstance(type, str) and is_name(type)):
        raise ValueError(f"type: expected a name of 1 to 1023 bytes without control characters, found {type!r}")
    return {} if meta is None else {"meta": _user_labels("meta", meta)}


def encode_object(
    obj: Any, name: str | None, members: Mapping[str, Any], writer: Writer, created: str | None = None
) -> list[Part]:
    """Pack an object with further header members as they are. Spec section 12; errors as for `pack_parts`."""
    return encode_frame(encode_one(obj, name, members, writer, created), writer._sign)


def encode_one(
    obj: Any, name: str | None, members: Mapping[str, Any], writer: Writer, created: str | None = None
) -> Body:
    """Do so up to where its place in a stream, or that it has none, makes a difference."""
    root, pickled = _pickle(obj, name, writer)
    return encode_pickled(pickled, root, name, members, writer, created)


def _pickle(obj: Any, name: str | None, writer: Writer) -> tuple[ClassInHeader, Pickled]:
    root = root_of(type(obj), writer.registry)
    if name is None:
        check_name(root.name)
    pickled = pickle_or_explain(obj)
    check_globals(pickled, writer.registry)
    return root, pickled


def root_of(cls: type, registry: Registry) -> ClassInHeader:
    """Return what the header says of the root object's class."""
    return (_PLAIN.get(id(cls)) if not index_of(registry).names else None) or in_header(cls, registry)


def check_name(name: str) -> None:
    """Check the name of a class.

    Raises:
        PackError: no header can hold it.
    """
    if not is_name(name):
        raise PackError(
            "the name of the class has no place in a header", "1 to 1023 bytes, no control characters", name
        )


def encode_pickled(
    pickled: Pickled,
    root: ClassInHeader,
    name: str | None,
    members: Mapping[str, Any],
    writer: Writer,
    created: str | None = None,
) -> Body:
    """Checksum a pickle and lay it out under its header, with further members. Spec section 12, steps 1 and 2.

    Names of root and globals were checked.

    Raises:
        PackError: the header would break the format's limits.
    """
    fields, sections = _lay_out(pickled, root, name, members, writer, created)
    body = encode_body(fields, sections)
    if len(body.header) > MAX_HEADER and "types" in fields:
        _warn("the schemas of its classes do not fit into the header and are left out: changes will not be noticed")
        del fields["types"]
        body = encode_body(fields, sections)
    if len(body.header) > MAX_HEADER:
        raise PackError("the header is too large", f"at most {MAX_HEADER} bytes", len(body.header), "shorten meta")
    return body


def draft_object(obj: Any, name: str | None, members: Mapping[str, Any], writer: Writer) -> Draft | list[Part]:
    """Pack an object so that its sections are hashed while they are written, where that pays and can be done."""
    root, pickled = _pickle(obj, name, writer)
    if writer._sign is None and sum(view.nbytes for view in pickled.buffers) >= _DRAFT_FROM:
        draft = Draft(*_lay_out(pickled, root, name, members, writer, None))
        if draft.header_len <= MAX_HEADER:
            return draft
    return encode_frame(encode_pickled(pickled, root, name, members, writer), writer._sign)


def _lay_out(
    pickled: Pickled,
    root: ClassInHeader,
    name: str | None,
    members: Mapping[str, Any],
    writer: Writer,
    created: str | None,
) -> tuple[dict[str, Any], list[Sequence[Part]]]:
    """Return the header without what `encode_body` fills in, and the sections as they are stored."""
    sections: list[Sequence[Part]] = [pickled.parts]
    entries: list[dict[str, Any]] = [{}]
    for view in pickled.buffers:
        sections.append((view,))
        entries.append({"readonly": True} if view.readonly else {})
    fields: dict[str, Any] = {
        "build": writer._build,
        "created": created or writer._created or _stamp(time_ns()),
        "format": "pickleseal/1.0",
        "globals": pickled.globals,
        "pickle": {"protocol": 5},
        "sections": entries,
        "type": root.name if name is None else name,
        "version": root.version,
        **members,
    }
    if pickled.globals:
        _describe(fields, pickled, writer.registry)
    if writer.compress is not None:
        sections = compress_sections(sections, entries, writer.compress_level)
    if writer._sign is not None:
        for entry, digest in zip(entries, sha256_of_all(sections), strict=True):
            entry["sha256"] = digest
    return fields, sections


def _describe(fields: dict[str, Any], pickled: Pickled, registry: Registry) -> None:
    """Add what the header says of classes and packages (spec 6.2)."""
    types, packages = {}, packages_of(pickled.globals)
    for cls in pickled.classes:
        found = in_header(cls, registry)
        if found.warning is not None:
            _warn(found.warning)
        if found.entry is not None:
            types[found.name] = found.entry
        if found.packages:
            packages.update(found.packages)
    if types:
        fields["types"] = types
        if fields["type"] in types:
            fields["version"] = types[fields["type"]]["version"]
    if packages:
        fields["packages"] = packages


def pack(
    obj: Any, *, type: str | None = None, meta: Mapping[str, str] | None = None, writer: Writer | None = None
) -> bytes:
    """Pack an object into the bytes of an artifact. Arguments, errors and guarantees as for `pack_parts`.

    >>> unpack(pack({"id": 1, "tags": ["a", "b"]}))
    {'id': 1, 'tags': ['a', 'b']}
    """
    return b"".join(pack_parts(obj, type=type, meta=meta, writer=writer))


def pickle_or_explain(obj: Any) -> Pickled:
    """Pickle an object, or say which part of it can't be.

    Raises:
        PackError: it can't; `where` is the path to the part that can't.
    """
    try:
        return pickle_object(obj)
    except (MemoryError, PackError):
        raise
    except Exception as exc:
        from ._payload.explain import explain

        raise explain(obj, exc) from exc


def check_globals(pickled: Pickled, registry: Registry) -> None:
    """Refuse names that the header can't hold, and warn of those that will not load elsewhere."""
    texts = []
    for name in pickled.globals:
        trouble = _trouble(name)
        # A registered class is found by its name, wherever it is.
        if trouble is not None and (trouble[0] or index_of(registry).by_name(name) is None):
            texts.append(trouble[1])
    texts += [
        f"the bound method {name} can be packed and not loaded: store the object" for name in sorted(pickled.bound)
    ]
    for text in texts:
        _warn(text)


def _warn(text: str) -> None:
    import warnings

    warnings.warn(text, PackWarning, stacklevel=frames_up())


@functools.lru_cache(4096)
def _trouble(name: str) -> tuple[bool, str] | None:
    """Return whether no reader at all will take a global, and the warning; None where all is well."""
    if not is_global(name):
        raise PackError("the name of a class or function has no place in a header", "module:qualname", name)
    if is_dangerous(name):
        return True, f"{name} runs what its arguments say: every reader will refuse it"
    text = not_portable(name)
    return None if text is None else (False, text)
