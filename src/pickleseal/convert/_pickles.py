"""Turn bare pickles into artifacts and back. Only `repickle` runs a pickle, under an allow-list. No file is opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._files import Input, read_input
from .._format.frame import Part
from .._io.source import BytesSource, Source
from .._io.url import check_options as check_storage_options
from .._packing import PackOptions, check_members, encode_pickled, options_with, pack_parts, place_frame
from .._payload.analysis import LOAD, Outline, outline, todays_name
from .._payload.pickler import Pickled
from .._payload.rewrite import in_band, transcoded
from .._payload.structure import check_envelope
from .._policy import DEFAULT_POLICY, DEFAULT_REQUEST, Policy, Trust, request_of
from .._reading import decoded_sections, read_header
from .._schema.header_entries import ClassInHeader
from .._trust.allow_list import AllowList, Resolved, build_trust, is_dangerous, resolve_globals
from .._trust.learning import names_to_trust
from .._trust.levels import load_at
from .._trust.safe_functions import OLD_SAFE_FUNCTIONS
from .._typing import Data
from ..errors import Hint, NotAnArtifactError, PickleEnvelopeError, UnpickleError, UntrustedGlobalError
from ._foreign import bytes_in, compression_of, is_joblib, refuse_foreign

__all__ = ["Converted", "adopt", "extract", "extract_parts", "repickle"]

_UNKNOWN = "builtins:object"
_DECODE = Hint(
    'pickleseal.convert.repickle(data, trust=[...], encoding="latin-1") reads it under an allow-list and packs it anew',
    "--load --encoding latin-1 reads it under an allow-list and packs it anew",
)
_WRAPPER = "joblib.numpy_pickle:NumpyArrayWrapper"  # is followed by the bytes of an array


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What `adopt` and `repickle` return: an artifact that was made from a bare pickle, and what a reader has to know.

    Attributes:
        parts: the artifact, as a list of buffers to be written one after the other.
        data: the same in one piece.
        type: what the header says of the root object.
        is_type_known: whether the pickle or the caller named the type. If not, `type` is `builtins:object`.
        protocol: of the pickle in the artifact. A reader of 2 or 3 needs `Policy(protocols=(2, 3, 4, 5))`.
        globals: the names that the pickle imports.
        trust: those names that a reader has to give as `trust=`, as they are called today.
        renamed: names of Python 2 among `globals`, with today's names. A reader needs `Policy(renames=found.renamed)`.
        refused: those of `globals` that no reader takes, save one with `level="signed"` or `"unchecked"`.
    """

    parts: list[Part] = field(repr=False)
    type: str
    is_type_known: bool
    protocol: int
    globals: tuple[str, ...]
    trust: tuple[str, ...]
    renamed: Mapping[str, str]
    refused: tuple[str, ...]

    @property
    def data(self) -> bytes:
        """The artifact in one piece, made from `parts` each time."""
        return b"".join(self.parts)


def adopt(
    data: Data,
    *,
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    context: str | None = None,
    options: PackOptions | None = None,
) -> Converted:
    """Wrap a bare pickle of protocol 2 to 5 as it is. Runs no opcode of it and imports nothing.

    The header says nothing of classes and packages, as nobody knows what they were like when the pickle was written:
    `PackOptions(packages=...)` has no effect.
    Wrapping makes a pickle no safer: `globals` and `refused` of the result say what it would import.

    Args:
        data: the bytes of the pickle. `decompress` comes first if the file is compressed.
        type: the type of the root object. None: the type that the opcodes name, or else `builtins:object`.
        meta: labels for the header.
        context: the context in which it is signed, as for `pack`.
        options: build labels, time stamp, keys and compression, as for `pack`.

    Returns:
        The artifact, with the names that its reader has to trust.

    Raises:
        NotAnArtifactError: it is not a pickle; `found` says what it is.
        PickleEnvelopeError: it is not one whole pickle of these protocols (spec section 8), a name that it imports is
            made while it runs, or a string of Python 2 in it is not ASCII. `repickle` takes some of these.
        PackError: its header would break the format's limits.
        TypeError, ValueError: an argument is not what it should be.

    >>> import pickle
    >>> from argparse import Namespace
    >>> found = adopt(pickle.dumps(Namespace(id=7)))
    >>> found.type, found.trust
    ('argparse:Namespace', ('argparse:Namespace',))
    >>> unpack(found.data, trust=found.trust)
    Namespace(id=7)
    """
    data, options, members = bytes_in(data), options_with(options, None, None, context), check_members(type, meta)
    found = _outline(data)
    if found.protocol < 2:
        raise PickleEnvelopeError("can't be wrapped as it is", "protocol 2 to 5", "protocol 0 or 1", LOAD)
    if _WRAPPER in found.names:
        raise _is_mixed()
    for start, _, raw in found.texts:
        if not raw.isascii():  # every reader takes them for ASCII, so none could load it
            reason = "a string of Python 2 that is not ASCII can't be wrapped as it is"
            raise PickleEnvelopeError(reason, None, raw[:40], _DECODE, f"payload[{start}]")
    check_envelope(data, found.protocol, [])
    if options.packages:
        options = replace(options, packages=())  # they say what is installed today
    name = type or found.root or _UNKNOWN
    pickled = Pickled([data], [], [], [])
    members |= {"globals": found.names, "pickle": {"protocol": found.protocol}}
    body = encode_pickled(pickled, ClassInHeader(name, 0, None, {}), name, members, options)
    today = {name: todays_name(name, found.protocol) for name in found.names}
    return Converted(
        parts=place_frame(body, options),
        type=name,
        is_type_known=type is not None or found.root is not None,
        protocol=found.protocol,
        globals=tuple(found.names),
        trust=names_to_trust(today.values()),
        renamed={name: now for name, now in today.items() if name != now},
        refused=tuple(name for name, now in today.items() if is_dangerous(name) or is_dangerous(now)),
    )


def _is_mixed() -> PickleEnvelopeError:
    return PickleEnvelopeError(
        "a file of joblib, with arrays between its opcodes, can't be wrapped as it is", hint=LOAD
    )


def _outline(data: bytes) -> Outline:
    refuse_foreign(data)
    try:
        found = outline(data)
        if found.end != len(data):
            where = f"payload[{found.end}]"
            reason = "something follows the pickle"
            hint = "if it is another pickle, split the file: one pickle in each"
            raise PickleEnvelopeError(reason, found.end, len(data), hint, where)
        return found
    except PickleEnvelopeError:
        if is_joblib(data):
            raise _is_mixed() from None
        name = compression_of(data)
        if name is not None:
            raise NotAnArtifactError(
                "no bare pickle", None, f"{name} data", "pickleseal.convert.decompress(data) comes first"
            ) from None
        raise


def repickle(
    data: Data,
    *,
    trust: Trust = (),
    encoding: str = "ascii",
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    context: str | None = None,
    options: PackOptions | None = None,
) -> Converted:
    """Unpickle a bare pickle of any protocol, and pack the object anew. Runs the code of what `trust` names.

    Before an opcode runs, names that are neither value types nor trusted are refused. What the pickle does with its
    names is checked as at level `guarded`. Files of joblib are the exception: there a name is refused when the pickle
    asks for it, and there is no dry run. The pickling methods of the object run as well, as with `pack`.

    Args:
        data: the bytes of the pickle, or of a file as joblib writes it. `decompress` comes first if it is compressed.
        trust: classes, functions, exact `"module:qualname"` strings that the pickle may import and use, and rules.
            Where a name of Python 2 has changed, today's name.
        encoding: of strings of Python 2; with `"bytes"` they become bytes.
        type: name for the header instead of `module:qualname` of the object's class.
        meta: labels for the header.
        context: the context in which it is signed, as for `pack`.
        options: build labels, time stamp, keys and compression, as for `pack`.

    Returns:
        The artifact, with the names that its reader has to trust.

    Raises:
        NotAnArtifactError: it is not a pickle; `found` says what it is.
        PickleEnvelopeError: it is not one whole pickle, or its buffers were stored elsewhere.
        UntrustedGlobalError: `missing` names all globals that are not trusted.
        ReadError: the pickle did what it may not do, or code that it ran failed, as from `unpack`.
        PackError: the object can't be packed.
        TypeError, ValueError, LookupError: an argument is wrong; LookupError: there is no such encoding.

    >>> import pickle
    >>> unpack(repickle(pickle.dumps({"id": 7}, protocol=0)).data)
    {'id': 7}
    """
    data = bytes_in(data)
    obj = _loaded(data, build_trust(trust), encoding)
    options = options_with(options, None, None, context)
    parts = pack_parts(obj, type=type, meta=meta, options=options)
    head = parts[:2] if options.keys is None else parts[:3]
    header = read_header(BytesSource(b"".join(head)), DEFAULT_POLICY)
    names = header.globals
    if any(name.startswith("pickleseal._payload.") for name in names):  # of `_payload.joblib_files`
        raise UnpickleError("it holds the class numpy.ndarray, or a part of joblib's format that is no array")
    return Converted(
        parts=parts,
        type=header.type,
        is_type_known=True,
        protocol=header.protocol,
        globals=names,
        trust=names_to_trust(names),
        renamed={},
        refused=tuple(filter(is_dangerous, names)),
    )


def _loaded(data: bytes, trusted: AllowList, encoding: str) -> Any:
    try:
        found = _outline(data)
    except PickleEnvelopeError:
        if not is_joblib(data):
            raise
        found = None
    if found is None or _WRAPPER in found.names:
        from .._payload.joblib_files import load_mixed

        def find_global(module: str, name: str) -> Any:
            resolved = resolve_globals([f"{module}:{name}"], trusted)
            if resolved.limits:  # nothing checks what such a pickle does
                hint = Hint(
                    f'give exact names for pickles of joblib: trust=["{module}:{name}"]',
                    f"give exact names for pickles of joblib: --trust {module}:{name}",
                )
                reason = "a rule trusts a name for a part of what it can do"
                raise UntrustedGlobalError(reason, None, (f"{module}:{name}",), hint, "globals")
            return resolved[module, name]

        return load_mixed(data, find_global)
    if found.buffers:
        raise PickleEnvelopeError("its buffers are not in the pickle", hint="pack the object where it was pickled")
    today = {name: todays_name(name, found.protocol) for name in found.names}
    old = {_pair(name): function for name, function in OLD_SAFE_FUNCTIONS.items()}
    values = Resolved(old).merged(resolve_globals(sorted(set(today.values()) - OLD_SAFE_FUNCTIONS.keys()), trusted))
    resolved = Resolved({_pair(name): values[_pair(now)] for name, now in today.items()})
    limits = {_pair(name): values.limits.get(_pair(now)) for name, now in today.items()}
    resolved.limit({key: entry for key, entry in limits.items() if entry is not None})
    payload = transcoded(data, found, encoding)
    try:
        return load_at(DEFAULT_REQUEST.compiled.level, payload, max(found.protocol, 2), (), resolved)
    except RecursionError:
        raise UnpickleError("nested too deeply") from None


def _pair(name: str) -> tuple[str, str]:
    module, _, qualname = name.partition(":")
    return module, qualname


def extract(
    data: Input,
    *,
    policy: Policy | None = None,
    context: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the object of an artifact as a bare pickle. Runs no opcode and imports nothing.

    Everything that `verify` checks is checked first. Out-of-band buffers are put into the pickle: as bytes where they
    are read-only, else as bytearrays. If the object has numpy arrays, pickleseal must be installed where the pickle is
    loaded (spec section 8.1). Nothing protects who loads a bare pickle.

    Args:
        data: bytes of exactly one artifact, a path or URL of one, or a binary file, of which one frame is read.
        policy: what is accepted, as for `verify`: all of it that needs no import is checked. None: the artifact is
            checked alone, by the limits of the format.
        context: the context in which it was signed. It needs a policy with keys.
        storage_options: for URLs, as for `load`.

    Returns:
        The pickle. Its protocol is the one that `peek(data).protocol` names.

    Raises:
        ReadError: as for `verify`: the artifact is damaged or not supported, or the policy refuses it.
        OSError, MissingExtraError, ValueError: as for `load`.

    >>> import pickle
    >>> pickle.loads(extract(pack({"id": 7})))
    {'id': 7}
    """
    return b"".join(extract_parts(data, policy=policy, context=context, storage_options=storage_options))


def extract_parts(
    data: Input,
    *,
    policy: Policy | None = None,
    context: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> list[Part]:
    """Return the same pickle as `extract`, as a list of buffers that are not joined. Large buffers are not copied.

    Arguments and errors are those of `extract`.

    >>> import pickle
    >>> parts = extract_parts(pack({"id": 7}))
    >>> pickle.loads(b"".join(parts))
    {'id': 7}
    """
    request = None if policy is None and context is None else request_of(policy=policy, context=context)
    check_storage_options(data, storage_options)

    def read(source: Source) -> list[Part]:
        sections = decoded_sections(source, DEFAULT_POLICY if request is None else request.policy, request)
        return list(in_band(sections[0], sections[1:]))

    return read_input(data, storage_options, read)
