"""Turn bare pickles into artifacts and back. Only `repickle` runs a pickle, under an allow-list. No file is opened."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .._format.frame import Part
from .._format.header import Header
from .._io.source import BytesSource, Source
from .._packing import PackOptions, check_members, check_options, encode_pickled, pack_parts, place_frame
from .._payload.analysis import LOAD, Outline, outline, todays_name
from .._payload.pickler import Pickled
from .._payload.rewrite import in_band, transcoded
from .._payload.structure import check_envelope
from .._policy import DEFAULT_POLICY, DEFAULT_REQUEST, Policy
from .._reading import body_sections, check_codecs, read_header
from .._schema.header_entries import ClassInHeader
from .._trust.allow_list import Trusted, build_trust, is_dangerous, resolve_globals
from .._trust.levels import load_at
from .._trust.safe_functions import OLD_SAFE_FUNCTIONS
from ..errors import PickleEnvelopeError, UnpickleError
from ._foreign import is_joblib, refuse_foreign

__all__ = ["Adopted", "adopt", "extract", "repickle"]

_UNKNOWN = "builtins:object"
_WRAPPER = "joblib.numpy_pickle:NumpyArrayWrapper"  # is followed by the bytes of an array


class Adopted(NamedTuple):
    """An artifact that was made from a bare pickle.

    `type` is what the header says of the root object, and `is_known` says whether the pickle or the caller named it.
    `globals` are the names that the pickle imports, and `refused` those among them that no checked reader hands out.
    `renamed` maps names of Python 2 among them to today's names.
    """

    parts: list[Part]
    type: str
    is_known: bool
    protocol: int
    globals: list[str]
    refused: list[str]
    renamed: dict[str, str]


def adopt(
    data: bytes, *, type: str | None = None, meta: Mapping[str, str] | None = None, options: PackOptions | None = None
) -> Adopted:
    """Wrap a bare pickle of protocol 2 to 5 as it is. Runs no opcode of it and imports nothing.

    Args:
        data: the pickle, not compressed.
        type: the type of the root object. None: the type that the opcodes name, or else `builtins:object`.
        meta, options: as for `pack`. The header says nothing of classes and packages, as nobody knows what they were
            like when the pickle was written.

    Raises:
        NotAnArtifactError: it is not a pickle.
        PickleEnvelopeError: it is not one whole pickle of these protocols (spec section 8), or a name that it imports
            is made while it runs.
        PackError: its header would break the format's limits.
        TypeError, ValueError: the header can't take `type` or `meta`.
    """
    options, members = check_options(options), check_members(type, meta)
    found = _outline(data)
    if found.protocol < 2:
        raise PickleEnvelopeError("can't be wrapped as it is", "protocol 2 to 5", "protocol 0 or 1", LOAD)
    if _WRAPPER in found.names:
        raise _is_mixed()
    check_envelope(data, found.protocol, [])
    name = type or found.root or _UNKNOWN
    pickled = Pickled([data], [], [], [])
    members |= {"globals": found.names, "pickle": {"protocol": found.protocol}}
    body = encode_pickled(pickled, ClassInHeader(name, 0, None, {}), name, members, options)
    today = {name: todays_name(name, found.protocol) for name in found.names}
    return Adopted(
        place_frame(body, options),
        name,
        type is not None or found.root is not None,
        found.protocol,
        found.names,
        [name for name, now in today.items() if is_dangerous(name) or is_dangerous(now)],
        {name: now for name, now in today.items() if name != now},
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
        raise


def repickle(
    data: bytes,
    *,
    trust: Iterable[str],
    encoding: str = "ascii",
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    options: PackOptions | None = None,
) -> Adopted:
    """Unpickle a bare pickle of any protocol, and pack the object anew. Runs the code of what `trust` names.

    Before an opcode runs, names that are neither value types nor trusted are refused. What the pickle does with its
    names is checked as at level `guarded`. Files of joblib are the exception: there a name is refused when the pickle
    asks for it, and there is no dry run.

    Args:
        data: the pickle, not compressed, or a file as joblib writes it.
        trust: exact `module:qualname`, as for `unpack`. Where a name of Python 2 has changed, today's name.
        encoding: of strings of Python 2; with `bytes` they become bytes.
        type, meta, options: as for `pack`.

    Raises:
        NotAnArtifactError, PickleEnvelopeError: as for `adopt`.
        UntrustedGlobalError: `missing` names all globals that are not trusted.
        ReadError: as from `unpack`, step 20.
        PackError: the object can't be packed.
        TypeError, ValueError, LookupError: an argument is wrong.
    """
    obj = _loaded(data, build_trust(tuple(trust)), encoding)
    options = check_options(options)
    parts = pack_parts(obj, type=type, meta=meta, options=options)
    head = parts[:2] if options.keys is None else parts[:3]
    header = read_header(BytesSource(b"".join(head)), DEFAULT_POLICY)
    if any(name.startswith("pickleseal._payload.") for name in header.globals):  # of `_payload.joblib_files`
        raise UnpickleError("it holds the class numpy.ndarray, or a part of joblib's format that is no array")
    return Adopted(parts, header.type, True, 5, list(header.globals), [], {})


def _loaded(data: bytes, trusted: Trusted, encoding: str) -> Any:
    try:
        found = _outline(data)
    except PickleEnvelopeError:
        if not is_joblib(data):
            raise
        found = None
    if found is None or _WRAPPER in found.names:
        from .._payload.joblib_files import load_mixed

        def find_global(module: str, name: str) -> Any:
            return resolve_globals([f"{module}:{name}"], trusted)[module, name]

        return load_mixed(data, find_global)
    if found.buffers:
        raise PickleEnvelopeError("its buffers are not in the pickle", hint="pack the object where it was pickled")
    today = {name: todays_name(name, found.protocol) for name in found.names}
    old = {_pair(name): function for name, function in OLD_SAFE_FUNCTIONS.items()}
    values = old | resolve_globals(sorted(set(today.values()) - OLD_SAFE_FUNCTIONS.keys()), trusted)
    resolved = {_pair(name): values[_pair(now)] for name, now in today.items()}
    payload = transcoded(data, found, encoding)
    try:
        return load_at(DEFAULT_REQUEST.compiled.level, payload, max(found.protocol, 2), (), resolved)
    except RecursionError:
        raise UnpickleError("nested too deeply") from None


def _pair(name: str) -> tuple[str, str]:
    module, _, qualname = name.partition(":")
    return module, qualname


def extract(source: Source, policy: Policy = DEFAULT_POLICY) -> tuple[list[Part], Header]:
    """Return an artifact's object as a bare pickle, in parts, and the header. Runs no opcode, imports nothing.

    Out-of-band buffers are put into the pickle: as bytes where they are read-only, else as bytearrays. Arrays still
    need pickleseal where the pickle is loaded (spec section 8.1).

    Raises:
        ReadError: steps 1 to 14 and 16 to 19 of spec section 11.
    """
    header = read_header(source, policy)
    check_codecs(header)
    sections = body_sections(source, header)
    return list(in_band(sections[0], sections[1:])), header
