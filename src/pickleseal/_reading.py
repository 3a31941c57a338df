"""Frame -> validated header -> object: the reader algorithm of spec section 11, over any source of bytes.

A `Source` gives bytes in order and checks each section while its bytes go by (step 16). Everything else is here, once,
so that bytes, files, maps and pipes get the same verdict: `read_header` is steps 1 to 13, `accept` goes on to step 15,
`load_accepted` from there to step 20. No step looks back, and this module opens nothing.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from ._format.codec import check_codec
from ._format.frame import decode_head, decode_plain
from ._format.header import Header, fields_of
from ._format.preamble import PREAMBLE_SIZE, decode_preamble
from ._io.compression import decompress_sections
from ._io.source import BytesSource, Source
from ._io.threads import ThreadPool, pays
from ._keys import KeyRing
from ._payload.structure import check_envelope
from ._policy import (
    Decision,
    Imports,
    NoImports,
    Policy,
    Request,
    Trust,
    TrustedImports,
    advice,
    compiled,
    evaluate,
    origin,
    request_of,
)
from ._schema.package_rules import differences
from ._trust.levels import LevelName, check_payload, load_at
from ._typing import Data
from .errors import (
    ClassMissingError,
    Hint,
    InvalidObjectError,
    MigrationError,
    PackageWarning,
    ReadError,
    SchemaDriftError,
    SchemaWarning,
    TrailingBytesError,
    TypeMismatchError,
    UnpickleError,
    UntrustedGlobalError,
    printable,
    warn_of,
    warn_of_each,
)

if TYPE_CHECKING:
    from ._schema.strays import Strays
    from ._typing import A, B, C, D, E, TypeForm, Untyped


_TRUSTED_IMPORTS, _NO_IMPORTS = TrustedImports(), NoImports()


class Accepted(NamedTuple):
    """An artifact that passed steps 1 to 15: what steps 16 to 20 need."""

    source: Source
    request: Request
    header: Header
    decision: Decision


def read_header(source: Source, policy: Policy) -> Header:
    """Steps 1 to 13: read and validate the header, by the limits and keys of a policy. Imports nothing."""
    limits = policy.limits
    preamble = decode_preamble(source.take(PREAMBLE_SIZE), limits)
    verify = compiled(policy).verify
    return decode_head(preamble, source.take(preamble.header_len + preamble.seal_len), limits, verify)


def check_codecs(header: Header) -> None:
    """Step 14: every codec is known and installed."""
    for index, entry in enumerate(fields_of(header)["sections"]):
        if "codec" in entry:
            check_codec(entry["codec"], f"sections[{index}]")


def accept(source: Source, request: Request) -> Accepted:
    """Steps 1 to 15: everything that is decided before a section is read. Unpickles nothing."""
    header = read_header(source, request.policy)
    check_codecs(header)
    return Accepted(source, request, header, decide(fields_of(header), request))


def decide(fields: dict[str, Any], request: Request, imports: Imports = _TRUSTED_IMPORTS) -> Decision:
    """Step 15: raise the first refusal that `evaluate` finds, or return the decision."""
    decision = Decision()
    for error, _, _ in evaluate(fields, request, imports, decision):
        if isinstance(error, ReadError):
            name_packages(error, fields)
            if isinstance(error, _ABOUT_CLASSES):
                error.hint = advice(error, fields, request.policy.registry)
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame
    return decision


def name_packages(error: ReadError, fields: Mapping[str, Any]) -> None:
    """Say in a refusal from step 15 on which recorded distributions are installed in another version."""
    if "packages" in fields and not error.packages:
        error.packages = differences(fields["packages"])


_ABOUT_CLASSES = (UntrustedGlobalError, TypeMismatchError, ClassMissingError, SchemaDriftError)


def check_body(source: Source, header: Header) -> None:
    """Steps 16 to 19, after the header was read from the same source. Runs no opcode, and keeps no buffer in memory."""
    _read_sections(source, header, keep_buffers=False)


def decoded_sections(source: Source, policy: Policy, request: Request | None) -> list[Any]:
    """Steps 1 to 19, of step 15 what a request asks and needs no import. Return all sections: section 0 as bytes."""
    header = read_header(source, policy)
    check_codecs(header)
    if request is not None:
        decide(fields_of(header), request, _NO_IMPORTS)
    return _read_sections(source, header, keep_buffers=True)


def verify_source(source: Source, policy: Policy) -> Header:
    """Steps 1 to 14 and 16 to 19: everything but step 15 and running. Buffers are not kept in memory."""
    header = read_header(source, policy)
    check_codecs(header)
    check_body(source, header)
    return header


def verify_request(source: Source, request: Request) -> Header:
    """Steps 1 to 19, of step 15 what needs no import. The header says what was left out."""
    header = read_header(source, request.policy)
    check_codecs(header)
    fields = fields_of(header)
    decide(fields, request, _NO_IMPORTS)
    check_body(source, header)
    left_out = _NO_IMPORTS.left_out(fields, request)
    return Header(fields, header.preamble, header.signatures, header.verified, left_out)


def _read_sections(source: Source, header: Header, keep_buffers: bool, is_checked: bool = True) -> list[Any]:
    """Steps 16 to 19: read, check and decode the sections, then check the pickle's structure. Runs no opcode."""
    try:
        return _checked_sections(source, header, keep_buffers, is_checked)
    except ReadError as exc:
        name_packages(exc, fields_of(header))
        raise


def _checked_sections(source: Source, header: Header, keep_buffers: bool, is_checked: bool) -> list[Any]:
    fields = fields_of(header)
    entries = fields["sections"]
    if "sha256" in entries[0] and pays(entry["len"] for entry in entries):
        with ThreadPool() as source.pool:
            stored, is_compressed, readonly = _take_sections(source, entries, keep_buffers)
        source.pool = None  # a source may go on to another frame
    else:
        stored, is_compressed, readonly = _take_sections(source, entries, keep_buffers)
    if not source.at_end():
        hint = Hint("if it is a stream, iter_load() reads it", "if it is a stream, --as stream reads it")
        raise TrailingBytesError("bytes follow the frame", f"{header.frame_len} bytes", "more", hint)
    if is_compressed:
        decompress_sections(entries, stored, keep_buffers)
    if is_checked:
        check_envelope(stored[0], fields["pickle"]["protocol"], readonly)
    return stored


def _take_sections(
    source: Source, entries: list[dict[str, Any]], keep_buffers: bool
) -> tuple[list[Any], bool, list[bool]]:
    """Step 16: read and check the sections. Return them, whether one is compressed, and which buffers are read-only."""
    stored, is_compressed, readonly, index = [], False, [], 0
    for entry in entries:
        has_codec = "codec" in entry
        stored.append(source.section(index, entry, keep_buffers or not index or has_codec))
        is_compressed |= has_codec
        if index:
            readonly.append("readonly" in entry)
        index += 1
    return stored, is_compressed, readonly


def dry_run(accepted: Accepted) -> None:
    """Steps 16 to 19, and of step 20 what the policy's level checks before the payload runs."""
    source, request, header, decision = accepted
    fields, level = fields_of(header), request.compiled.level
    sections = _read_sections(source, header, False, level.is_checked)
    buffers = [b""] * (len(sections) - 1)
    try:
        check_payload(level, sections[0], fields["pickle"]["protocol"], buffers, decision.resolved, decision.plans)
    except ReadError as exc:
        name_packages(exc, fields)
        raise


def load_accepted(accepted: Accepted) -> Any:
    """Steps 16 to 20: the object."""
    source, request, header, decision = accepted
    fields = fields_of(header)
    sections = _read_sections(source, header, True, request.compiled.level.is_checked)
    buffers = []
    for index in range(1, len(sections)):
        buffers.append(_bind(sections[index], fields["sections"][index], source.readonly))
    return _run(fields, sections[0], buffers, request, decision, source.name)


def read_object(source: Source, request: Request) -> Any:
    """All steps: the object, or the first refusal. `unpack` describes it."""
    if type(source) is BytesSource:
        return read_bytes(source.data, request, source.name)
    return load_accepted(accept(source, request))


def read_bytes(data: bytes, request: Request, name: str | None = None) -> Any:
    """All steps for bytes, by the short way if it is open. `name` is that of the file they come from."""
    plain = decode_plain(data) if request.compiled.is_plain else None
    if plain is None:
        return load_accepted(accept(BytesSource(data, name), request))
    fields, payload = plain
    decision = decide(fields, request)
    if request.compiled.level.is_checked:
        try:
            check_envelope(payload, fields["pickle"]["protocol"], [])
        except ReadError as exc:
            name_packages(exc, fields)
            raise
    return _run(fields, payload, [], request, decision, name)


def _run(
    fields: dict[str, Any],
    payload: bytes,
    buffers: list[memoryview],
    request: Request,
    decision: Decision,
    name: str | None = None,
) -> Any:
    """Step 20."""
    protocol, expect = fields["pickle"]["protocol"], request.expect
    strays = _strays(fields, request, decision) if request.compiled.drift.has_strict and "types" in fields else None
    look = strays.look if strays else None
    try:
        obj = load_at(request.compiled.level, payload, protocol, buffers, decision.resolved, decision.plans, look)
        if "records" in fields and (type(obj) is not list or len(obj) != fields["records"]):
            raise UnpickleError("a batch is a list of its records", f"{fields['records']} records", type(obj).__name__)
        if expect is not None:
            if "records" in fields:
                expect.check_all(obj)
            else:
                expect.check(obj)
    except ReadError as exc:
        if isinstance(exc, MigrationError | InvalidObjectError) and exc.hint is None:
            exc.hint = f"the artifact has type {fields['type']}, version {fields['version']}, {origin(fields)}"
        name_packages(exc, fields)
        raise
    warnings = [*decision.warnings, *strays.warnings()] if strays else decision.warnings
    if warnings:
        of = f"{printable(name)}: " if name is not None else ""
        packages = [str(one) for one in warnings if isinstance(one, PackageWarning)]
        warn_of(packages, PackageWarning, of)
        warn_of_each([str(one) for one in warnings if isinstance(one, SchemaWarning)], SchemaWarning, of)
    return obj


def _strays(fields: dict[str, Any], request: Request, decision: Decision) -> "Strays":
    from ._schema.strays import Strays

    return Strays(fields["types"], {**decision.resolved, **decision.rebuilt}, request.compiled.drift)


def _bind(view: Any, entry: dict[str, Any], readonly: bool) -> memoryview:
    """Return a buffer as it was when it was written: read-only, or writable in memory of its own (spec 8).

    `readonly`: the caller asked for a map in which all buffers are read-only.
    """
    buffer = memoryview(view)
    if readonly or "readonly" in entry:
        return buffer.toreadonly()
    return memoryview(bytearray(buffer)) if buffer.readonly else buffer


if TYPE_CHECKING:

    @overload
    def unpack(
        data: Data,
        *,
        expect: None = None,
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        policy: Policy | None = None,
    ) -> Any: ...

    @overload
    def unpack(
        data: Data,
        *,
        expect: type[A],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        policy: Policy | None = None,
    ) -> A: ...

    @overload
    def unpack(
        data: Data,
        *,
        expect: tuple[type[A], type[B]],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        policy: Policy | None = None,
    ) -> A | B: ...

    @overload
    def unpack(
        data: Data,
        *,
        expect: tuple[type[A], type[B], type[C]],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        policy: Policy | None = None,
    ) -> A | B | C: ...

    @overload
    def unpack(
        data: Data,
        *,
        expect: tuple[type[A], type[B], type[C], type[D]],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        policy: Policy | None = None,
    ) -> A | B | C | D: ...

    @overload
    def unpack(
        data: Data,
        *,
        expect: Untyped,
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        policy: Policy | None = None,
    ) -> Any: ...

    @overload
    def unpack(
        data: Data,
        *,
        expect: TypeForm[E],
        trust: Trust = (),
        keys: KeyRing | None = None,
        level: LevelName | None = None,
        context: str | None = None,
        policy: Policy | None = None,
    ) -> E: ...


def unpack(
    data: Data,
    *,
    expect: Any = None,
    trust: Trust = (),
    keys: KeyRing | None = None,
    level: LevelName | None = None,
    context: str | None = None,
    policy: Policy | None = None,
) -> Any:
    """Unpack an object from the bytes of one artifact, after everything about it was checked.

    Header, checksums, type, imports and the pickle's structure are checked first; a refusal has run no opcode. Then the
    payload runs. It can import only what the header declares and the caller allows: value types of the standard
    library, numpy arrays, and what `trust` and `expect` name. The code of those classes runs. This does not make a
    pickle from an unknown source safe: see SECURITY.md.

    Args:
        data: exactly one artifact. Arrays come back writable, in memory of their own, unless they were read-only.
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
        TypeError, ValueError: an argument is not what it should be, or `trust` names something that runs what its
            arguments say (`eval`, `getattr`, ...), or two arguments contradict each other.

    The reader's steps are those of spec section 11.

    >>> unpack(pack({1, 2, 3}), expect=set)
    {1, 2, 3}
    >>> from argparse import Namespace
    >>> unpack(pack(Namespace(id=7)), trust=[Namespace])
    Namespace(id=7)
    """
    request = request_of(expect, trust, policy, keys, level, context)
    return read_bytes(data, request) if type(data) is bytes else read_object(BytesSource(data), request)
