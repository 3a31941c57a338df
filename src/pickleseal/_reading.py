"""Frame -> validated header -> object: the reader algorithm of spec section 11, over any source of bytes.

Strategy: a `Source` gives bytes in order and judges each section while it goes by (step 16); everything else is here,
once, so that bytes, files and pipes get the same verdict. No step looks back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from ._format.codec import check_codec
from ._format.frame import decode_head, decode_plain
from ._format.header import Header
from ._format.header_cache import SMALL_HEADER
from ._format.preamble import PREAMBLE_SIZE, decode_preamble
from ._io.compression import decompress_sections
from ._io.source import BytesSource, Source
from ._io.threads import ThreadPool, pays
from ._keys import verifier
from ._payload.structure import check_envelope
from ._policy import DEFAULT_POLICY, Policy, advice, check_is_policy, is_mixed, judge_protocol, origin, refuse_batch
from ._schema.distributions import check_packages
from ._schema.header_entries import in_header
from ._schema.names import type_name
from ._schema.registry import index_of
from ._trust.allow_list import Trusted, build_trust, resolve_all, resolve_globals
from ._trust.levels import Level, inspect, load_at
from .errors import (
    ClassMissingError,
    InvalidObjectError,
    MigrationError,
    SchemaDriftError,
    TrailingBytesError,
    TypeMismatchError,
    UnpickleError,
    UntrustedGlobalError,
    frames_up,
    printable,
)

if TYPE_CHECKING:
    from ._schema.migration import Plan

__all__ = [
    "Judged",
    "body_sections",
    "check_body",
    "check_codecs",
    "inspect_body",
    "read_body",
    "read_header",
    "read_judged",
    "read_object",
    "trusted_by",
    "unpack",
    "verify_source",
]

T = TypeVar("T")
Trust = Iterable[type | Callable[..., Any] | str]


def read_header(source: Source, policy: Policy) -> Header:
    """Steps 1 to 13: read and judge the header, by the limits and keys of a policy. Imports and unpickles nothing."""
    limits = policy.limits
    preamble = decode_preamble(source.take(PREAMBLE_SIZE), limits)
    verify = None if policy.keys is None else verifier(policy.keys, policy.signed_by)
    return decode_head(preamble, source.take(preamble.header_len + preamble.seal_len), limits, verify)


def check_codecs(header: Header) -> None:
    """Step 14: every codec is known and at hand."""
    for index, entry in enumerate(header._fields["sections"]):
        if "codec" in entry:
            check_codec(entry["codec"], f"sections[{index}]")


def _read_sections(
    source: Source, fields: dict[str, Any], frame_len: int, keep_buffers: bool, is_checked: bool = True
) -> list[Any]:
    """Steps 16 to 19: read, judge and decode the sections, then judge the pickle. Runs no opcode."""
    entries = fields["sections"]
    if "sha256" in entries[0] and pays(entry["len"] for entry in entries):
        with ThreadPool() as source.pool:
            stored = _take_sections(source, entries, keep_buffers)
        source.pool = None  # a source may go on to another frame
    else:
        stored = _take_sections(source, entries, keep_buffers)
    if not source.at_end():
        hint = "a stream? iter_load() reads it"
        raise TrailingBytesError("bytes follow the frame", f"{frame_len} bytes", "more", hint)
    if any("codec" in entry for entry in entries):
        decompress_sections(entries, stored, keep_buffers)
    if is_checked:
        check_envelope(stored[0], fields["pickle"]["protocol"], ["readonly" in entry for entry in entries[1:]])
    return stored


def _take_sections(source: Source, entries: list[dict[str, Any]], keep_buffers: bool) -> list[Any]:
    """Step 16: read and judge the sections."""
    stored, index = [], 0
    for entry in entries:
        stored.append(source.section(index, entry, keep_buffers or not index or "codec" in entry))
        index += 1
    return stored


def verify_source(source: Source, policy: Policy) -> Header:
    """Steps 1 to 14 and 16 to 19: all but step 15 and running. Buffers are not kept in memory."""
    header = read_header(source, policy)
    check_codecs(header)
    check_body(source, header)
    return header


def read_object(source: Source, expect: type[Any] | str | None, trust: Trust, policy: Policy | None) -> Any:
    """All steps: the object, or the first refusal. `unpack` says the rest."""
    policy = check_is_policy(policy)
    header, judged = read_judged(source, expect, trusted_by(trust, expect), policy)
    refuse_batch(header._fields, expect)
    return read_body(source, header, judged, expect, policy)


def read_judged(
    source: Source, expect: type[Any] | str | None, trusted: Trusted, policy: Policy
) -> tuple[Header, "Judged"]:
    """Steps 1 to 15: the header, and what is to be done with the payload. Unpickles nothing."""
    header = read_header(source, policy)
    check_codecs(header)
    is_small = header.preamble.header_len <= SMALL_HEADER
    return header, check_policy(header._fields, expect, trusted, policy, is_small)


def check_body(source: Source, header: Header) -> None:
    """Steps 16 to 19, after steps 1 to 15 of the same source. Runs no opcode, and keeps no buffer in memory."""
    _read_sections(source, header._fields, header.frame_len, keep_buffers=False)


def body_sections(source: Source, header: Header) -> list[Any]:
    """Do so, and return all sections, decoded: section 0 as bytes."""
    return _read_sections(source, header._fields, header.frame_len, keep_buffers=True)


def inspect_body(source: Source, header: Header, judged: "Judged", policy: Policy) -> None:
    """Steps 16 to 19, and of step 20 what the policy's level judges before the payload runs: the dry run."""
    fields, level = header._fields, policy._level
    sections = _read_sections(source, fields, header.frame_len, False, level.is_checked)
    buffers = [b""] * (len(sections) - 1)
    inspect(level, sections[0], fields["pickle"]["protocol"], buffers, judged.resolved)


def read_body(source: Source, header: Header, judged: "Judged", expect: type[Any] | str | None, policy: Policy) -> Any:
    """Steps 16 to 20: the object, after `read_judged` of the same source with the same policy."""
    fields, level = header._fields, policy._level
    sections = _read_sections(source, fields, header.frame_len, True, level.is_checked)
    buffers = [_bind(sections[i], fields["sections"][i], source.readonly) for i in range(1, len(sections))]
    return _run(fields, sections[0], buffers, judged, expect, level, source.name)


def trusted_by(trust: Trust, expect: object) -> Trusted:
    """Return what a call's own `trust` and `expect` let a payload import."""
    return {} if trust == () and expect is None else build_trust(trust, expect)


class Judged(NamedTuple):
    """What step 15 gives to step 20."""

    resolved: dict[tuple[str, str], Any]  # what each declared global is here
    plans: "Mapping[int, Plan]"  # what has to be done with objects of classes that changed or are validated
    notes: Sequence[Warning]  # what to warn of once the object is there


_NOTHING = Judged({}, {}, ())
_NO_TYPES: dict[str, Any] = {}


def check_policy(
    fields: dict[str, Any], expect: type[Any] | str | None, trusted: Trusted, policy: Policy, is_small: bool
) -> Judged:
    """Step 15: protocol, type, what else the policy asks of the header, trust, packages, schemas. Runs nothing.

    `is_small` says that the header is of a few kilobytes, so that the outcome may be kept.
    """
    try:
        return _judge(fields, expect, trusted, policy, is_small)
    except (UntrustedGlobalError, TypeMismatchError, ClassMissingError, SchemaDriftError) as exc:
        exc.hint = advice(exc, fields, policy)
        raise


def _judge(
    fields: dict[str, Any], expect: type[Any] | str | None, trusted: Trusted, policy: Policy, is_small: bool
) -> Judged:
    judge_protocol(fields["pickle"]["protocol"], policy.protocols)
    if expect is not None:
        _check_type(fields, expect, policy)
    policy._admit(fields)
    names = fields["globals"]
    if not names:
        return _NOTHING
    types = fields.get("types", _NO_TYPES)
    places = policy._places(names, types) if policy.renames or index_of(policy.registry).names else {}
    resolve = resolve_globals if policy._level.is_checked else resolve_all
    resolved = resolve(names, {**policy._trusted, **trusted} if policy._trusted else trusted, places)
    notes = check_packages(fields["packages"], policy.packages) if "packages" in fields else []
    index = index_of(policy.registry)  # as it is now: resolving may have imported modules that register classes
    if index.is_unchanged(types, resolved, policy.drift):
        return Judged(resolved, {}, notes)
    from ._schema.plans import make_plans

    before = len(notes)
    classes = {f"{module}:{qualname}": value for (module, qualname), value in resolved.items()}
    plans = make_plans(types, classes, index, policy.drift, notes)
    if not plans and len(notes) == before and is_small:
        index.note_unchanged(types, resolved, policy.drift)
    return Judged(resolved, plans, notes)


def _run(
    fields: dict[str, Any],
    payload: bytes,
    buffers: list[memoryview],
    judged: Judged,
    expect: type[Any] | str | None,
    level: Level,
    name: str | None = None,
) -> Any:
    """Step 20."""
    try:
        obj = load_at(level, payload, fields["pickle"]["protocol"], buffers, judged.resolved, judged.plans)
    except (MigrationError, InvalidObjectError) as exc:
        if exc.hint is None:
            exc.hint = f"in the artifact of type {fields['type']}, version {fields['version']}, {origin(fields)}"
        raise
    if "records" in fields and (type(obj) is not list or len(obj) != fields["records"]):
        raise UnpickleError("a batch is a list of its records", f"{fields['records']} records", type(obj).__name__)
    if isinstance(expect, type):
        for item in obj if "records" in fields else (obj,):
            if not isinstance(item, expect):
                found = type_name(type(item))
                raise TypeMismatchError("the header lied about the type", type_name(expect), found).at(20)
    for note in judged.notes:
        import warnings

        text = f"{printable(name)}: {note}" if name is not None else str(note)
        warnings.warn(text, type(note), stacklevel=frames_up())
    return obj


def _check_type(fields: dict[str, Any], expect: type[Any] | str, policy: Policy) -> None:
    found = fields["type"]
    wanted = expect if isinstance(expect, str) else in_header(expect, policy.registry).name
    if found == wanted or policy._name_today(found) == wanted:
        return
    where = fields.get("types", _NO_TYPES).get(found, _NO_TYPES).get("global", found)  # who knows no registered name
    if isinstance(expect, type) and policy._name_today(where) == wanted:
        return
    hint = f'if that is right: expect="{found}"'
    if is_mixed(fields):
        hint = "a batch of records of several types: read it without expect, and trust each of them"
    elif isinstance(expect, type):
        hint = f'if it is the same class, moved or renamed: register it with formerly=["{found}"]; else: '
        hint += f'expect="{found}"'
    raise TypeMismatchError("another type", wanted, found, hint, "type")


def _bind(view: Any, entry: dict[str, Any], readonly: bool) -> memoryview:
    """Give a buffer to the unpickler as it was when written: read-only, or writable in memory of its own (spec 8).

    `readonly`: the caller asked for a map whose buffers are all read-only.
    """
    buffer = memoryview(view)
    if readonly or "readonly" in entry:
        return buffer.toreadonly()
    return memoryview(bytearray(buffer)) if buffer.readonly else buffer


@overload
def unpack(
    data: bytes | bytearray | memoryview, *, expect: type[T], trust: Trust = (), policy: Policy | None = None
) -> T: ...


@overload
def unpack(
    data: bytes | bytearray | memoryview, *, expect: str | None = None, trust: Trust = (), policy: Policy | None = None
) -> Any: ...


def unpack(
    data: bytes | bytearray | memoryview,
    *,
    expect: type[Any] | str | None = None,
    trust: Trust = (),
    policy: Policy | None = None,
) -> Any:
    """Unpack an object from the bytes of one artifact, after everything about it was checked.

    Header, checksums, type, imports and the pickle's structure are judged first; a refusal has run no opcode. Then the
    payload runs, and can import only what the header declares and the caller allows: value types of the standard
    library and numpy arrays, and what `trust` and `expect` name. The code of those classes runs. This does
    not make a stranger's pickle safe: see SECURITY.md.

    Args:
        data: exactly one artifact. Arrays come back writable, in memory of their own, unless they were read-only.
        expect: a class: the header must name it, the object must be one, and it is trusted. A string: the header's
            `type` must be that.
        trust: classes, functions, or exact `"module:qualname"` strings that the payload may import and call.
        policy: what is accepted; None: `Policy()`.

    Raises:
        ReadError: a subclass for each reason, as spec section 11 lists them; `code` and `step` name it.
        TypeError, ValueError: the arguments are not what they should be, or `trust` names something that runs what its
            arguments say (`eval`, `getattr`, ...).

    >>> unpack(pack({1, 2, 3}), expect=set)
    {1, 2, 3}
    """
    if policy is None and type(data) is bytes:
        plain = decode_plain(data)
        if plain is not None:
            fields, payload = plain
            judged = check_policy(fields, expect, trusted_by(trust, expect), DEFAULT_POLICY, True)
            refuse_batch(fields, expect)
            check_envelope(payload, fields["pickle"]["protocol"], [])
            return _run(fields, payload, [], judged, expect, DEFAULT_POLICY._level)
    return read_object(BytesSource(data), expect, trust, policy)
