"""Object -> frame (spec section 12), in one direction: describe the root's class, pickle, compute checksums, encode the
header, put preamble and seal before it.

`PackOptions` says how artifacts are written. The parts of a frame are bytes and views of the object's own memory; this
module joins nothing and writes nowhere. It reads the environment once for each `PackOptions`, and the clock.
"""

import builtins
import functools
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import time_ns
from typing import Any

from ._format.canonical import encode
from ._format.frame import DeferredFrame, EncodedFrame, Part, encode_frame, frame_parts
from ._format.header import check_labels, is_global, is_name
from ._format.limits import MAX_HEADER
from ._format.seal import Sign
from ._format.timestamps import timestamp, timestamp_of
from ._io.compression import Compression, check_compression, compress_sections
from ._io.hashing import sha256_of_all
from ._keys import KeyRing, check_keys, keys_for, signer
from ._payload.pickler import Pickled, not_portable, pickle_object
from ._schema.distributions import normal, packages_of, versions_to_record
from ._schema.header_entries import ClassInHeader, in_header
from ._schema.libraries import check_libraries
from ._schema.names import global_name, name_of
from ._schema.registry import Registry, default_registry, index_of
from ._trust.allow_list import is_dangerous, why_not_loaded
from ._version import __version__
from .errors import MOST_WARNINGS, PackError, PackWarning, warn_of, warn_of_each

_MOST_PARTS = 100_000  # that are looked at for the path in a warning
_DEFER_FROM = 1 << 22  # bytes of buffers; fewer are in the processor's cache when they are written
_IMPLEMENTATIONS = {"pypy": "PyPy", "graalpy": "GraalVM"}  # `platform` says so too, 3 ms later
# Short, as most artifacts are small and a header takes a multiple of 64 bytes (spec section 6).
_BUILD = {"pickleseal": f"{__version__} {sys.platform}", "python": sys.version.partition(" ")[0]}
if sys.implementation.name != "cpython":
    _BUILD["implementation"] = _IMPLEMENTATIONS.get(sys.implementation.name, sys.implementation.name)


# What is called with each frame that is made of an object: the frame, and the object. Raises PackError.
Check = Callable[[EncodedFrame, Any], None]


# --- how artifacts are written ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackOptions:
    """How artifacts are written: what they say about build, time and classes, and who signs. Immutable, shared freely.

    Args:
        build: labels of the application (`{"app": "billing", "commit": "1f3c"}`), added to the versions of Python and
            of this library in the header's `build`. If it has no `app` or `commit`, `PICKLESEAL_APP` and
            `PICKLESEAL_COMMIT` in the environment give them. None: the header's `build` is empty.
        created: the time stamp of every artifact, a `datetime` with a time zone. None: the clock, or
            `SOURCE_DATE_EPOCH` (seconds) in the environment. With a fixed time, the same object gives the same bytes.
        registry: names and versions of classes.
        libraries: further distributions whose classes are a library's: their layout follows from the version of the
            distribution, which the header records. A class of theirs that is not registered, and whose fields no
            framework declares, has no schema in the header. The well-known libraries need not be listed.
        keys: the newest of these keys that can sign signs every artifact, for the ring's purpose. The header then has
            the SHA-256 of each section, which is most of what signing costs. None: no seal.
        compress: `"zstd"`: a section of 1 KiB or more is compressed if that saves at least an eighth of it. None: no
            section is compressed.
        compress_level: the level of Zstandard, from fast (negative numbers, 1) to small (19, at most 22). It is not
            recorded, and readers do not need it.
        read_back: whether each artifact is read back when it is made, with trust for just the names in its own header,
            and compared with the object: types, attributes, items, shared objects, and leaves bit by bit. Packing then
            raises PackError where the two differ, or where they can't be compared. It takes some ten times as long, and
            the memory of a second object and of the artifact. A `StreamWriter` makes no batches then.
        packages: distributions whose installed versions are recorded in addition to those that the classes and
            functions of the object come from: numpy and scipy under a model, for instance.
        reproducible: whether equal objects give equal bytes, in every process of one Python version on one platform:
            sets are written in a fixed order, equal values are written once, and `created` is 1970 unless the argument
            or the environment gives it. A set whose members have no order is a PackError. Dicts and attributes keep
            their order, which counts. It takes some ten times as long. A `StreamWriter` makes no batches then.

    The environment is read once, when the object is made. The default options are made when they are first used.

    Raises:
        TypeError, ValueError: a label is not a string under a key; `created` has no time zone; `SOURCE_DATE_EPOCH` is
            not a number; none of the keys can sign; the codec or its level is unknown; a distribution in `packages` is
            not installed.
        MissingExtraError: `compress` is given, and no Zstandard library is installed.

    >>> from datetime import datetime, timezone
    >>> fixed = PackOptions(created=datetime(2026, 1, 1, tzinfo=timezone.utc))
    >>> pack([1, 2], options=fixed) == pack([1, 2], options=fixed)
    True
    """

    build: Mapping[str, str] | None = field(default_factory=dict)
    created: datetime | None = None
    registry: Registry = default_registry
    libraries: Sequence[str] = ()
    keys: KeyRing | None = None
    compress: Compression | None = None
    compress_level: int = 3
    read_back: bool = False
    reproducible: bool = False
    packages: Sequence[str] = ()
    _build: dict[str, str] = field(init=False, repr=False, compare=False)
    _created: str | None = field(init=False, repr=False, compare=False)
    _packages: dict[str, str] = field(init=False, repr=False, compare=False)
    _sign: Sign | None = field(init=False, repr=False, compare=False)
    _checks: tuple[Check, ...] = field(init=False, repr=False, compare=False)
    _warns_of_trust: bool = field(init=False, repr=False, compare=False)
    _libraries: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.registry, Registry):
            raise TypeError(f"registry: expected a Registry, found {builtins.type(self.registry).__name__}")
        env = {"app": os.environ.get("PICKLESEAL_APP"), "commit": os.environ.get("PICKLESEAL_COMMIT")}
        given = {key: value for key, value in env.items() if value}
        labels = {} if self.build is None else {**_BUILD, **given, **_checked_labels("build", self.build)}
        object.__setattr__(self, "_build", labels)
        object.__setattr__(self, "_created", _fixed_time(self.created, self.reproducible))
        object.__setattr__(self, "_packages", versions_to_record(self.packages))
        object.__setattr__(self, "packages", tuple(self.packages))
        check_keys(self.keys, ())
        check_compression(self.compress, self.compress_level)
        for name in ("read_back", "reproducible"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}: expected a bool, found {getattr(self, name)!r}")
        object.__setattr__(self, "_libraries", check_libraries(self.libraries))
        object.__setattr__(self, "libraries", tuple(self.libraries))
        object.__setattr__(self, "_sign", None if self.keys is None else signer(self.keys))
        object.__setattr__(self, "_checks", (_read_back_of(self.registry),) if self.read_back else ())
        object.__setattr__(self, "_warns_of_trust", True)

    def __reduce__(self) -> tuple[Any, ...]:
        given = {name: getattr(self, name) for name, own in type(self).__dataclass_fields__.items() if own.init}
        return functools.partial(
            PackOptions, **{**given, "build": self.build and dict(self.build)}
        ), ()  # names no function, which may move


def _read_back_of(registry: Registry) -> Check:
    from ._written import ReadBack  # imports the reader

    return ReadBack(registry)


def with_check(options: PackOptions, check: Check) -> PackOptions:
    """Return a copy of some options with a check, which is called with each frame that is made of an object."""
    copied = _copy(options)
    object.__setattr__(copied, "_checks", (*options._checks, check))
    return copied


def for_unchecked_levels(options: PackOptions) -> PackOptions:
    """Return a copy of some options for readers that load any payload: what others refuse is no reason to warn."""
    copied = _copy(options)
    object.__setattr__(copied, "_warns_of_trust", False)
    return copied


def _copy(options: PackOptions) -> PackOptions:
    copied = object.__new__(PackOptions)
    for name in type(options).__dataclass_fields__:
        object.__setattr__(copied, name, getattr(options, name))
    return copied


def makes_batches(options: PackOptions) -> bool:
    """Return whether records may share a frame. They may not where each object is checked, or has bytes of its own."""
    return not (options._checks or options.reproducible)


def _fixed_time(created: datetime | None, is_reproducible: bool) -> str | None:
    """Return the fixed time stamp that argument or environment ask for, or None for the clock."""
    if created is not None:
        if not isinstance(created, datetime) or created.utcoffset() is None:
            raise ValueError(f"created: expected a datetime with a time zone, found {created!r}")
        return timestamp_of(created)
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return timestamp(0) if is_reproducible else None
    try:
        return timestamp(int(epoch) * 1_000_000_000)
    except ValueError:
        raise ValueError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {epoch!r}") from None


def _checked_labels(what: str, labels: object) -> dict[str, str]:
    if not isinstance(labels, Mapping):
        raise TypeError(f"{what}: expected a mapping of strings, found {builtins.type(labels).__name__}")
    copied = dict(labels)
    problem = check_labels(copied)
    if problem is not None:
        raise TypeError(f"{what}: expected {problem}")
    return copied


def check_options(options: PackOptions | None) -> PackOptions:
    """Return the caller's options, or the default ones.

    Raises:
        TypeError: `options` is no PackOptions.
    """
    if options is None:
        return default_options()
    if not isinstance(options, PackOptions):
        raise TypeError(f"options: expected a PackOptions, found {type(options).__name__}")
    return options


def options_with(
    options: PackOptions | None, keys: KeyRing | None, compress: Compression | None, context: str | None = None
) -> PackOptions:
    """Return the options of a call that may give keys, compression and a context itself.

    Raises:
        TypeError: `options` is no PackOptions, or it has what the call gives as well.
        ValueError: as for `PackOptions`; there is a context, and no keys.
    """
    options = check_options(options)
    if context is not None and keys is None and options.keys is not None:
        options = _in_context(options, options.keys, context)
    else:
        keys = keys_for(keys, context)
    if keys is None and compress is None:
        return options
    given = {name: value for name, value in (("keys", keys), ("compress", compress)) if value is not None}
    for name in given:
        if getattr(options, name) is not None:
            raise TypeError(
                f"{name}: expected none beside options that have it; give it there: PackOptions({name}=...)"
            )
    return replace(options, **given)  # type: ignore[arg-type]  # a PackOptions checks them


def _in_context(options: PackOptions, keys: KeyRing, context: str) -> PackOptions:
    """Return a copy of some options, with their checks, whose keys sign in a context."""
    copied, bound = _copy(options), keys.in_context(context)
    object.__setattr__(copied, "keys", bound)
    object.__setattr__(copied, "_sign", signer(bound))
    return copied


@functools.cache  # for the life of the process: the environment is read once
def default_options() -> PackOptions:
    """Return the options of calls that give none."""
    return PackOptions()


def check_members(type: object, meta: Mapping[str, str] | None) -> dict[str, Any]:
    """Check what the caller wants in the header, and return it without the type.

    Raises:
        TypeError, ValueError: `type` or `meta` are not what the header takes.
    """
    if type is not None and not (isinstance(type, str) and is_name(type)):
        raise ValueError(f"type: expected a name of 1 to 1023 bytes without control characters, found {type!r}")
    return {} if meta is None else {"meta": _checked_labels("meta", meta)}


# --- pack -------------------------------------------------------------------------------------------------------------


def pack(
    obj: Any,
    *,
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    compress: Compression | None = None,
    keys: KeyRing | None = None,
    context: str | None = None,
    options: PackOptions | None = None,
) -> bytes:
    """Pack an object into the bytes of an artifact.

    Runs the object's own pickling methods, as pickle does, and no other code. Warns with `PackWarning` if something
    in the object will not load in another program.

    Args:
        obj: any picklable object.
        type: the name of the type in the header, instead of `module:qualname` of the object's class.
        meta: labels of yours in the header, texts by texts; `peek` shows them.
        compress: `"zstd"`: each part of 1 KiB or more is compressed if that saves an eighth of it.
        keys: the newest of these keys that can sign signs the artifact.
        context: where the artifact belongs, such as the key of a cache. The signature then verifies with this context
            alone, so that nobody can move a signed value to another place. It is stored nowhere, and needs keys.
        options: the other settings: build labels, time stamp, registry; None: the default `PackOptions()`. They have no
            keys if `keys` are given, and no compression if `compress` is given.

    Returns:
        The bytes of one artifact. `unpack` reads them; `pack_parts` gives them without joining them.

    Raises:
        PackError: the object cannot be pickled (`where` is the path to the part that cannot, `hint` what to store
            instead), or its header would break the format's limits.
        TypeError, ValueError: an argument is not what it should be, or two contradict each other.
        MissingExtraError: `compress` is given, and no Zstandard library is installed.

    >>> data = pack({"id": 1, "tags": ["a", "b"]}, meta={"team": "risk"})
    >>> peek(data).meta["team"]
    'risk'
    >>> unpack(data)
    {'id': 1, 'tags': ['a', 'b']}
    """
    return b"".join(
        pack_parts(obj, type=type, meta=meta, compress=compress, keys=keys, context=context, options=options)
    )


def pack_parts(
    obj: Any,
    *,
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    compress: Compression | None = None,
    keys: KeyRing | None = None,
    context: str | None = None,
    options: PackOptions | None = None,
) -> list[Part]:
    """Pack an object into an artifact, as a list of buffers to be written one after the other.

    Nothing is joined. Large bytes objects, PickleBuffers and contiguous arrays are not copied unless they are
    compressed: the parts refer to the object's own memory, so write them before it changes.

    Arguments, errors and guarantees as for `pack`. Spec section 12.

    >>> sum(len(part) for part in pack_parts({"id": 1})) % 64
    0
    """
    options = (
        options_with(options, keys, compress, context)
        if keys is not None or compress is not None or context is not None
        else check_options(options)
    )
    members = {} if type is None and meta is None else check_members(type, meta)
    return frame_parts(encode_object(obj, type, members, options), options._sign)


def encode_object(
    obj: Any, name: str | None, members: Mapping[str, Any], options: PackOptions, created: str | None = None
) -> EncodedFrame:
    """Pack an object as a frame whose place is still open. Errors as for `pack`.

    Args:
        obj, options: as for `pack`.
        name: the header's `type`; None: the name of the object's class.
        members: further members of the header, as they are.
        created: the time stamp; None: as the options say.
    """
    root = describe_root(type(obj), name, options.registry)
    pickled = pickle_or_explain(obj, options.reproducible)
    if pickled.globals or pickled.calls:
        check_globals(obj, pickled, options)
    frame = encode_pickled(pickled, root, name, members, options, created)
    for check in options._checks:
        check(frame, obj)
    return frame


def defer_object(
    obj: Any, name: str | None, members: Mapping[str, Any], options: PackOptions
) -> DeferredFrame | list[Part]:
    """Pack an object so that its sections are hashed while they are written, if that pays; else return its parts."""
    root = describe_root(type(obj), name, options.registry)
    pickled = pickle_or_explain(obj, options.reproducible)
    check_globals(obj, pickled, options)
    is_large = sum(view.nbytes for view in pickled.buffers) >= _DEFER_FROM
    if is_large and options._sign is None and not options._checks:  # a check may need the whole frame
        deferred = DeferredFrame(*_header_and_sections(pickled, root, name, members, options, None))
        if deferred.header_len <= MAX_HEADER:
            return deferred
    frame = encode_pickled(pickled, root, name, members, options)
    for check in options._checks:
        check(frame, obj)
    return frame_parts(frame, options._sign)


def place_frame(frame: EncodedFrame, options: PackOptions, stream_id: int = 0, seq: int = 0) -> list[Part]:
    """Return a frame with preamble and seal, for a place in a stream or for none (spec 12, steps 3 and 4)."""
    return frame_parts(frame, options._sign, stream_id, seq)


# --- the steps --------------------------------------------------------------------------------------------------------

# What most small objects are: nothing has to be looked up for them. By id, as a metaclass may make a class unhashable;
# the classes live as long as the process.
_BUILTIN_ROOTS = {
    id(cls): ClassInHeader(f"builtins:{cls.__name__}", 0, None, {}) for cls in (dict, list, tuple, str, bytes, int, set)
}


def describe_root(cls: type, name: str | None, registry: Registry) -> ClassInHeader:
    """Return what the header says about the class of the root object. `name` is the type that the caller gives.

    Raises:
        PackError: the caller gives no type, and the name of the class has no place in a header.
    """
    found = _BUILTIN_ROOTS.get(id(cls))
    if found is not None and not index_of(registry).names:
        return found
    found = in_header(cls, registry)
    if name is None and not is_name(found.name):
        reason = "the name of the class has no place in a header"
        raise PackError(reason, "1 to 1023 bytes, no control characters", found.name)
    return found


def pickle_or_explain(obj: Any, is_reproducible: bool = False) -> Pickled:
    """Pickle an object, or say which part of it can't be.

    Raises:
        PackError: it can't; `where` is the path to the part that can't.
    """
    try:
        if is_reproducible:
            from ._payload.reproducible import pickle_reproducibly

            pickled = pickle_reproducibly(obj)
        else:
            pickled = pickle_object(obj)
    except (MemoryError, PackError):
        raise
    except Exception as exc:
        from ._payload.explain import explain

        raise explain(obj, exc) from exc
    if pickled.doubts:
        warn_of_doubts(obj, pickled)
    return pickled


def warn_of_doubts(obj: Any, pickled: Pickled) -> None:
    """Warn of the first object of each class that may be impossible to unpickle."""
    first: dict[int, tuple[Any, str]] = {}
    for culprit, text in pickled.doubts:
        first.setdefault(id(type(culprit)), (culprit, text))
    texts = []
    for number, (culprit, text) in enumerate(first.values()):
        place = _path_to(obj, lambda part, culprit=culprit: part is culprit) if number < MOST_WARNINGS else "$..."  # type: ignore[misc]
        texts.append(f"{place}: {text}")
    warn_of_each(texts, PackWarning)


def _path_to(obj: Any, is_it: Callable[[Any], bool]) -> str:
    from ._payload.explain import path_to

    return path_to(obj, is_it, _MOST_PARTS)


def check_globals(obj: Any, pickled: Pickled, options: PackOptions) -> None:
    """Refuse globals that a header can't hold, and warn once of what will not load elsewhere.

    Raises:
        PackError: the name of a global has no place in a header.
    """
    texts, dangerous = list[str](), list[str]()
    for name in pickled.globals:
        text, is_refused = warning_about(name)
        # A registered class is found by its registered name, wherever it is.
        if text is not None and index_of(options.registry).by_name(name) is None:
            texts.append(text)
        if is_refused:
            dangerous.append(name)
    warn_of_each(texts, PackWarning)
    if not options._warns_of_trust:
        return
    metaclasses = [cls for cls in pickled.classes if issubclass(cls, type) and cls is not type]
    if dangerous or metaclasses or pickled.calls:
        _warn_of_unloadable(obj, pickled, dangerous, metaclasses)


@functools.lru_cache(4096)  # by name alone, which always gives the same
def warning_about(name: str) -> tuple[str | None, bool]:
    """Return why a global will not be found elsewhere, or None; and whether no reader below `signed` hands it out."""
    if not is_global(name):
        raise PackError("the name of a class or function has no place in a header", "module:qualname", name)
    is_refused = is_dangerous(name)
    return None if is_refused else not_portable(name), is_refused


def _warn_of_unloadable(obj: Any, pickled: Pickled, dangerous: list[str], metaclasses: list[type]) -> None:
    """Warn once of what only readers at the levels `signed` and `unchecked` load, with the path to the first of it."""
    refused: dict[str, Any] = {}  # why a call is refused, to the first object that it makes
    for culprit, function, args in pickled.calls:
        reason = why_not_loaded(function, args)
        if reason is not None:
            refused.setdefault(reason, culprit)
    names = {*dangerous, *map(global_name, metaclasses)}
    texts = [f"{name}, which runs what its arguments say" for name in dangerous]
    texts += [f"{name}, a metaclass" for name in sorted(names.difference(dangerous).intersection(pickled.globals))]
    texts += refused
    if not texts:
        return
    from ._payload.explain import is_part

    def is_it(part: Any) -> bool:
        if name_of(part) in names or name_of(type(part)) in names:
            return True
        return any(is_part(part, culprit) for culprit in refused.values())

    texts[0] += f" ({_path_to(obj, is_it)})"
    warn_of(texts, PackWarning, 'only readers at level "signed" or "unchecked" load this: ')


def encode_pickled(
    pickled: Pickled,
    root: ClassInHeader,
    name: str | None,
    members: Mapping[str, Any],
    options: PackOptions,
    created: str | None = None,
) -> EncodedFrame:
    """Encode what was pickled as a frame whose place is still open. The names of root and globals were checked.

    Raises:
        PackError: the header would break the format's limits.
    """
    fields, sections = _header_and_sections(pickled, root, name, members, options, created)
    frame = encode_frame(fields, sections)
    if len(frame.header) > MAX_HEADER and "types" in fields:
        _leave_out_largest(fields)
        frame = encode_frame(fields, sections)
    if len(frame.header) > MAX_HEADER:
        raise PackError("the header is too large", f"at most {MAX_HEADER} bytes", len(frame.header), "shorten meta")
    return frame


def _leave_out_largest(fields: dict[str, Any]) -> None:
    """Leave out the largest entries of `types` until the header has its place, and warn of each.

    Raises:
        PackError: a class with a version would be left out: readers would take its objects for version 0.
    """
    types = fields["types"]
    excess = len(encode(fields).rstrip(b" ")) - MAX_HEADER
    sizes = {name: len(encode({name: entry}).rstrip(b" ")) - 2 for name, entry in types.items()}
    names = sorted(sizes, key=sizes.__getitem__, reverse=True)
    without_version = [name for name in names if not types[name]["version"]]
    if sum(sizes.values()) < excess:
        return  # it is not the schemas
    if sum(sizes[name] for name in without_version) < excess:
        name = next(name for name in names if types[name]["version"])
        hint = "store something smaller in its place, or register the class without a version"
        expected = f"at most {MAX_HEADER} bytes in all"
        raise PackError(_does_not_fit(name, types), expected, sizes[name], hint, f"types.{name}")
    left_out = list[str]()
    for name in without_version:
        if excess <= 0:
            break
        left_out.append(f"{_does_not_fit(name, types)}, so it is left out: readers will not notice its changes")
        del types[name]
        excess -= sizes[name]
    if not types:
        del fields["types"]
    warn_of_each(left_out, PackWarning)


def _does_not_fit(name: str, types: Mapping[str, Any]) -> str:
    return f"the schema of {name} has {len(types[name]['fields'])} fields and does not fit into the header"


def _header_and_sections(
    pickled: Pickled,
    root: ClassInHeader,
    name: str | None,
    members: Mapping[str, Any],
    options: PackOptions,
    created: str | None,
) -> tuple[dict[str, Any], list[Sequence[Part]]]:
    """Return the header without what `encode_frame` fills in, and the sections as they are stored."""
    sections: list[Sequence[Part]] = [pickled.parts]
    entries: list[dict[str, Any]] = [{}]
    for view in pickled.buffers:
        sections.append((view,))
        entries.append({"readonly": True} if view.readonly else {})
    fields: dict[str, Any] = {
        "build": options._build,
        "created": created or options._created or timestamp(time_ns()),
        "globals": pickled.globals,
        "pickle": {"protocol": 5},
        "sections": entries,
        "type": root.name if name is None else name,
        "version": root.version,
        **members,
    }
    if pickled.globals:
        add_schemas(fields, pickled, options)
    if options._packages:
        add_packages(fields, options._packages)
    if options.compress is not None:
        sections = compress_sections(sections, entries, options.compress_level)
    if options._sign is not None:
        for entry, digest in zip(entries, sha256_of_all(sections), strict=True):
            entry["sha256"] = digest
    return fields, sections


def entry_of(found: ClassInHeader, options: PackOptions) -> dict[str, Any] | None:
    """Return the entry of a class in `types`, or None if it has none with these options."""
    return None if found.may_be_library in options._libraries else found.entry


def with_lacking(entry: dict[str, Any], lacking: Collection[str]) -> dict[str, Any]:
    """Return the entry of a class of which some objects lack attributes that its `__init__` stores (spec 6.2)."""
    if "attributes" not in entry:
        return entry
    pairs = [[name, "optional" if name in lacking else word] for name, word in entry["attributes"]]
    return {**entry, "attributes": pairs}


def add_schemas(fields: dict[str, Any], pickled: Pickled, options: PackOptions) -> None:
    """Add to a header what it says about classes and packages (spec 6.2)."""
    types, packages, warnings = {}, packages_of(pickled.globals), list[str]()
    for cls in pickled.classes:
        found = in_header(cls, options.registry)
        if found.warning is not None:
            warnings.append(found.warning)
        entry = entry_of(found, options)
        seen = pickled.seen.get(cls)
        if entry is not None and (seen is not None or not found.only_of_objects):
            types[found.name] = with_lacking(entry, seen.lacking) if seen is not None and seen.lacking else entry
        if found.packages:
            packages.update(found.packages)
    warn_of_each(warnings, PackWarning)
    if types:
        fields["types"] = types
        if fields["type"] in types:
            fields["version"] = types[fields["type"]]["version"]
    if packages:
        fields["packages"] = packages


def add_packages(fields: dict[str, Any], packages: Mapping[str, str]) -> None:
    """Add to a header the distributions that the options name, unless it has them under another spelling."""
    found = fields.get("packages", {})
    recorded = set(map(normal, found))
    more = {name: version for name, version in packages.items() if normal(name) not in recorded}
    fields["packages"] = {**found, **more}
