"""Bare pickles into artifacts and back (spec section 12: adopting). Only `repickle` runs one, under an allow-list."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .._format.frame import Part
from .._format.header import Header
from .._io.source import BytesSource, Source
from .._packing import Writer, check_members, check_writer, encode_pickled, pack_parts, place_frame
from .._payload.analysis import LOAD, Outline, outline, todays_name
from .._payload.old import old_functions
from .._payload.pickler import Pickled
from .._payload.rewrite import in_band, transcoded
from .._payload.structure import check_envelope
from .._policy import DEFAULT_POLICY, DEFAULT_REQUEST, Policy
from .._reading import body_sections, check_codecs, read_header
from .._schema.header_entries import ClassInHeader
from .._trust.allow_list import Trusted, build_trust, is_dangerous, resolve_globals
from .._trust.levels import load_at
from ..errors import PickleEnvelopeError, UnpickleError
from .foreign import is_joblib, refuse_foreign

__all__ = ["Adopted", "adopt", "extract", "repickle"]

_UNKNOWN = "builtins:object"
_WRAPPER = "joblib.numpy_pickle:NumpyArrayWrapper"  # is followed by the bytes of an array


class Adopted(NamedTuple):
    """An artifact made of a bare pickle.

    `type` is what the header says of the root object, `is_known` whether that was seen in the pickle. `globals` are
    the names that it imports, `refused` those among them that no checked reader hands out, `renamed` modules of
    Python 2 among them with today's names.
    """

    parts: list[Part]
    type: str
    is_known: bool
    protocol: int
    globals: list[str]
    refused: list[str]
    renamed: dict[str, str]


def adopt(
    data: bytes, *, type: str | None = None, meta: Mapping[str, str] | None = None, writer: Writer | None = None
) -> Adopted:
    """Wrap a bare pickle of protocol 2 to 5 as it is. Runs no opcode of it and imports nothing.

    Args:
        data: the pickle, not compressed.
        type: the type of the root object; None: what the opcodes say, `builtins:object` where they do not.
        meta, writer: as for `pack`. The header says nothing of classes and packages: what they were like when the
            pickle was written is not known.

    Raises:
        NotAnArtifactError: it is something else than a pickle.
        PickleEnvelopeError: not one whole pickle of these protocols (spec section 8), or the name of what it imports
            is made while it runs.
        PackError: its header would break the format's limits.
        TypeError, ValueError: `type` or `meta` are not what the header takes.
    """
    writer, members = check_writer(writer), check_members(type, meta)
    found = _outline(data)
    if found.protocol < 2:
        raise PickleEnvelopeError("can't be wrapped as it is", "protocol 2 to 5", "protocol 0 or 1", LOAD)
    if _WRAPPER in found.names:
        raise _is_mixed()
    check_envelope(data, found.protocol, [])
    name = type or found.root or _UNKNOWN
    pickled = Pickled([data], [], [], [])
    members |= {"globals": found.names, "pickle": {"protocol": found.protocol}}
    body = encode_pickled(pickled, ClassInHeader(name, 0, None, {}), name, members, writer)
    today = {name: todays_name(name, found.protocol) for name in found.names}
    return Adopted(
        place_frame(body, writer),
        name,
        type is not None or found.root is not None,
        found.protocol,
        found.names,
        [name for name, now in today.items() if is_dangerous(name) or is_dangerous(now)],
        {name: now for name, now in today.items() if name != now},
    )


def _is_mixed() -> PickleEnvelopeError:
    return PickleEnvelopeError("joblib's own mixture of a pickle and arrays can't be wrapped as it is", hint=LOAD)


def _outline(data: bytes) -> Outline:
    refuse_foreign(data)
    try:
        found = outline(data)
        if found.end != len(data):
            where = f"payload[{found.end}]"
            reason = "something follows the pickle: another one?"
            raise PickleEnvelopeError(reason, found.end, len(data), "split the file, one pickle in each", where)
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
    writer: Writer | None = None,
) -> Adopted:
    """Unpickle a bare pickle of any protocol, and pack the object anew. Runs the code of what `trust` names.

    All names are known before an opcode runs, and those that are neither value types nor trusted are refused. What
    the pickle does with them is judged as at the level `guarded`. In a file of joblib a name is refused when it is
    met, and there is no dry run.

    Args:
        data: the pickle, not compressed, or a file as joblib writes it.
        trust: exact `module:qualname`, as for `unpack`; today's names, where those of Python 2 differ.
        encoding: what strings of Python 2 are; `bytes` leaves them bytes.
        type, meta, writer: as for `pack`.

    Raises:
        NotAnArtifactError, PickleEnvelopeError: as for `adopt`.
        UntrustedGlobalError: `missing` names all that is not trusted.
        ReadError: as from `unpack`, step 20.
        PackError: the object can't be packed.
        TypeError, ValueError, LookupError: an argument is wrong.
    """
    obj = _loaded(data, build_trust(tuple(trust)), encoding)
    writer = check_writer(writer)
    parts = pack_parts(obj, type=type, meta=meta, writer=writer)
    head = parts[:2] if writer.keys is None else parts[:3]
    header = read_header(BytesSource(b"".join(head)), DEFAULT_POLICY)
    if any(name.startswith("pickleseal._payload.") for name in header.globals):  # of `_payload.joblib_files`
        raise UnpickleError("holds numpy.ndarray itself, or what is of its format and no array")
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

        return load_mixed(data, trusted)
    if found.buffers:
        raise PickleEnvelopeError("its buffers were kept elsewhere", hint="pack it where it was made")
    today = {name: todays_name(name, found.protocol) for name in found.names}
    old = old_functions(today.values())
    values = old | resolve_globals(sorted(set(today.values()) - {":".join(pair) for pair in old}), trusted)
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
    """Return the parts of a bare pickle of what an artifact holds, and its header. Runs no opcode, imports nothing.

    Sections are put in-band, as bytes where they are read-only and as bytearrays where not; arrays still need
    pickleseal where they are loaded (spec section 8.1).

    Raises:
        ReadError: steps 1 to 14 and 16 to 19 of spec section 11.
    """
    header = read_header(source, policy)
    check_codecs(header)
    sections = body_sections(source, header)
    return list(in_band(sections[0], sections[1:])), header
