"""Work on files that are there already: sign them, remove signatures, upgrade old artifacts, repair streams, lock them.

`seal`, `remove_signatures` and `repair` unpickle nothing. `upgrade` loads the artifact, as `load` does.
"""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

from ._format.canonical import encode
from ._format.checksum import checksum
from ._format.frame import SectionCheck, decode_head, padding_of
from ._format.header import Header, fields_of
from ._format.limits import MAX_HEADER, Limits
from ._format.preamble import PREAMBLE_SIZE, Preamble, decode_preamble, encode_preamble
from ._format.seal import Sign, Signature, Verify, decode_seal, encode_seal, signed_body
from ._io.atomic import naming, replace_file, replace_with
from ._io.leftovers import Leftover, clean
from ._io.locking import locked
from ._io.source import FileSource
from ._io.url import refuse_url
from ._keys import Key, KeyRing, signer, verifier
from ._packing import PackOptions, encode_object, entry_of, options_with, place_frame
from ._policy import DEFAULT_POLICY, Policy, Trust, compiled, request_of
from ._reading import Accepted, accept, load_accepted, verify_source
from ._schema.header_entries import in_header
from ._schema.names import global_name
from ._streams.writer import Tail, bytes_to_cut
from .errors import (
    HeaderChecksumError,
    Hint,
    PackError,
    PolicyError,
    ReadError,
    SignatureError,
    TrailingBytesError,
    TruncatedError,
)

__all__ = ["Leftover", "clean", "locked", "remove_signatures", "repair", "seal", "upgrade"]

_CHUNK = 1 << 20


def seal(path: str | os.PathLike[str], keys: KeyRing | Key, *, context: str | None = None) -> Header:
    """Add a signature to an artifact file, or renew it, without unpickling anything.

    Everything that `verify` checks is checked first. But nothing shows who wrote the artifact, or what it does when it
    is loaded: sign only artifacts whose origin you know. The newest key that can sign makes the signature. Signatures
    of other keys stay. If the artifact has no seal, its header gets the SHA-256 of each section. Compressed sections
    stay as they are. The file is replaced atomically and durably. If another program replaces it meanwhile, that
    version is lost.

    Args:
        path: a file of exactly one artifact. Buffers are copied in pieces; the pickle and compressed sections are read
            into memory as a whole.
        keys: a key ring, whose purpose is used, or one key without a purpose.
        context: where the artifact belongs; the new signature then verifies with this context alone.

    Returns:
        The new header, as `peek` reads it; `verified` names the signatures by the given keys.

    Raises:
        ReadError: as for `verify`; the file is left as it is.
        SignatureError: the artifact has a signature under the id of this key, and it does not verify for this purpose
            and context. An artifact has one signature for each id and algorithm, so the new one would replace it.
        PackError: the header or the seal would be too large.
        TypeError, ValueError: `keys` is something else, or no key can sign, or the path is a URL.
        OSError: from the operating system. The file is left as it is, unless only the last sync of the folder failed.

    Runs no code of the artifact. Spec section 10.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path)
    >>> seal(path, Key.generate("audit")).verified
    (('hmac-sha256', 'audit'),)
    """
    refuse_url(path, "seal")
    ring = keys if isinstance(keys, KeyRing) else KeyRing([keys])
    ring = ring if context is None else ring.in_context(context)
    sign, name = signer(ring), os.fsdecode(path)
    try:
        with naming(name), io.FileIO(name) as file:
            old = verify_source(FileSource(file, whole=True), DEFAULT_POLICY)
            others = _read_signatures(file, old.preamble)
            _check_renewed(file, old.preamble, others, ring)

            def make_head(digests: list[str]) -> bytes:
                entries = [entry | {"sha256": digest} for entry, digest in zip(_sections(old), digests, strict=True)]
                return _signed_head({**fields_of(old), "sections": entries}, old, others, sign)

            head_len = len(make_head(["0" * 64] * len(_sections(old))))
            return _replace_head(name, file, old, head_len, make_head, verifier(ring))
    except ReadError as exc:
        exc.path = name
        raise


def remove_signatures(path: str | os.PathLike[str], ids: Iterable[str]) -> int:
    """Remove the signatures of some keys from an artifact file, all algorithms of each key.

    Everything that `verify` checks is checked first. The header and the other signatures stay as they are. The file is
    replaced atomically and durably, unless none of the keys has signed it. If another program replaces the file
    meanwhile, its version is lost. Anyone can remove a signature, so no key is needed, and a missing signature says
    nothing.

    Args:
        path: a file of exactly one artifact.
        ids: the ids of the keys. `peek(path).signatures` has the algorithm and the id of each signature.

    Returns:
        How many signatures were removed. 0: the file was not written.

    Raises:
        ReadError: as for `verify`; the file is left as it is.
        TypeError: `ids` is one text, or one of them is no text.
        ValueError: the path is a URL.
        OSError: from the operating system. The file is left as it is, unless only the last sync of the folder failed.

    Runs no code of the artifact. Spec section 10.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path, keys=KeyRing([Key.generate("audit")]))
    >>> remove_signatures(path, ["audit"])
    1
    >>> peek(path).signatures
    ()
    """
    refuse_url(path, "remove_signatures")
    if isinstance(ids, str):
        raise TypeError(f"ids: expected a list of ids of keys, found {ids!r}; give [{ids!r}]")
    removed, name = frozenset(ids), os.fsdecode(path)
    for one in removed:
        if not isinstance(one, str):
            raise TypeError(f"ids: expected ids of keys, which are texts, found {type(one).__name__}")
    try:
        with naming(name), io.FileIO(name) as file:
            old = verify_source(FileSource(file, whole=True), DEFAULT_POLICY)
            before = old.preamble
            signatures = _read_signatures(file, before)
            kept = [one for one in signatures if one.key not in removed]
            if len(kept) == len(signatures):
                return 0
            header = _read_header(file, before)
            seal = encode_seal(kept) if kept else b""
            frame_len = before.frame_len - before.seal_len + len(seal)
            place = before.version_minor, before.stream_id, before.seq
            head = encode_preamble(frame_len, header, len(seal), *place) + header + seal
            _replace_head(name, file, old, len(head), lambda _: head, None)
            return len(signatures) - len(kept)
    except ReadError as exc:
        exc.path = name
        raise


def _sections(header: Header) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = fields_of(header)["sections"]
    return entries


def _read_signatures(file: BinaryIO, preamble: Preamble) -> tuple[Signature, ...]:
    """Read the signatures of an artifact file."""
    if not preamble.seal_len:
        return ()
    file.seek(PREAMBLE_SIZE + preamble.header_len)
    return decode_seal(file.read(preamble.seal_len))


def _read_header(file: BinaryIO, preamble: Preamble) -> bytes:
    """Read the bytes of a header that was checked before."""
    file.seek(PREAMBLE_SIZE)
    header = file.read(preamble.header_len)
    if checksum(header) != preamble.header_xxh3:
        raise HeaderChecksumError("the header changed while the file was read")
    return header


def _check_renewed(file: BinaryIO, preamble: Preamble, signatures: tuple[Signature, ...], ring: KeyRing) -> None:
    """Refuse to replace a signature unless it is by the key that signs, for the same purpose and in the same context.

    Raises:
        SignatureError: the signature in the place of the new one does not verify.
    """
    key = next(key for key in ring.keys if key.can_sign)
    replaced = tuple(one for one in signatures if (one.key, one.alg) == (key.id, key.alg))
    if not replaced:
        return
    try:
        verifier(ring)(signed_body(preamble, _read_header(file, preamble)), replaced)
    except SignatureError as exc:
        hint = Hint(
            "give the purpose and context= of that signature, or sign with a key of another id; or remove it first, "
            f'with pickleseal.maintenance.remove_signatures(path, ["{key.id}"])',
            "give --purpose and --context of that signature, or sign with a key of another id; or remove it first, "
            f"with `pickleseal seal FILE --remove {key.id}`",
        )
        reason = f"the file has a signature by {key.id} ({key.alg}) that this one would replace, and it does not verify"
        raise SignatureError(
            f"{reason}: it has another purpose or context, or is by another key", None, None, hint
        ) from exc


def _signed_head(fields: Mapping[str, Any], old: Header, others: tuple[Signature, ...], sign: Sign) -> bytes:
    """Encode preamble, header and seal. Their length does not depend on the checksums and signatures in them."""
    header, before = encode(dict(fields)), old.preamble
    if len(header) > MAX_HEADER:
        raise PackError("the header is too large", f"at most {MAX_HEADER} bytes", len(header), "shorten meta")
    new = sign(signed_body(before, header))
    kept = [other for other in others if (other.key, other.alg) != (new.key, new.alg)]
    seal = encode_seal([*kept, new])
    frame_len = PREAMBLE_SIZE + len(header) + len(seal) + before.frame_len - before.head_len
    preamble = encode_preamble(frame_len, header, len(seal), before.version_minor, before.stream_id, before.seq)
    return preamble + header + seal


def _replace_head(
    path: str,
    file: io.FileIO,
    old: Header,
    head_len: int,
    make_head: Callable[[list[str]], bytes],
    verify: Verify | None,
) -> Header:
    """Replace an artifact file by one with the same sections and another head. Return the new header.

    The sections are checked once more while they are copied, so what is signed is what was copied.

    Args:
        file: the old file, whose header is `old`.
        make_head: returns preamble, header and seal, `head_len` bytes in all, for the SHA-256 of each section.
    """
    made = list[Header]()

    def write(descriptor: int) -> None:
        with open(descriptor, "wb", closefd=False) as out:
            out.seek(head_len)
            file.seek(old.preamble.head_len)
            head = make_head([_copy_section(file, out, index, entry) for index, entry in enumerate(_sections(old))])
            limits = Limits()
            preamble = decode_preamble(head[:PREAMBLE_SIZE], limits)
            made.append(decode_head(preamble, head[PREAMBLE_SIZE:], limits, verify))
            out.seek(0)
            out.write(head)
        file.close()  # not every system replaces a file that is open

    replace_with(path, head_len + old.frame_len - old.preamble.head_len, write)
    return made[0]


def _copy_section(file: BinaryIO, out: BinaryIO, index: int, entry: dict[str, Any]) -> str:
    """Copy a section with its padding, check it on the way, and return its SHA-256."""
    import hashlib

    check, digest, left = SectionCheck(index, entry, with_sha256=False), hashlib.sha256(), entry["len"]
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            where = f"sections[{index}]"
            raise TruncatedError("the file was cut off while it was read", None, None, None, where).at(16)
        check.update(chunk)
        digest.update(chunk)
        out.write(chunk)
        left -= len(chunk)
    padding = bytes(padding_of(entry["len"]))
    check.finish_xxh3()
    check.finish_rest(padding, digest.hexdigest() if "sha256" in entry else None)
    file.seek(len(padding), os.SEEK_CUR)
    out.write(padding)
    return digest.hexdigest()


_HISTORY = "pickleseal.history"  # spec 6.4


def upgrade(
    path: str | os.PathLike[str],
    *,
    trust: Trust = (),
    policy: Policy | None = None,
    options: PackOptions | None = None,
    context: str | None = None,
    durable: bool = True,
) -> bool:
    """Write an artifact anew at the current schema versions, unless it has them already.

    The object is loaded as by `load`, with migrations, and the old file is replaced atomically. `created`, `meta` and
    `ext` are kept, and `ext["pickleseal.history"]` records the versions before. If another program replaces the file
    meanwhile, that version is lost, so keep writers away during an upgrade. The signature of a sealed artifact must be
    valid. The keys in `options` sign the new artifact; signatures by other keys are lost.

    Args:
        path: a file of exactly one artifact.
        trust, policy: as for `load`.
        options: build labels, keys and compression; its registry is the policy's. None: the default options, which
            compresses if the old artifact was compressed.
        context: the context in which the artifact was signed, and is signed again. Policy and options need keys.
        durable: whether the file is synced to the disk.

    Returns:
        Whether the file was written. If the recorded classes are as they are today, the artifact is not even loaded.

    Raises:
        ReadError: as for `load`; the file is left as it is.
        TrailingBytesError: the file is a stream of several frames, or bytes follow the artifact.
        PolicyError: the artifact has a seal, and not both of policy and options have keys.
        PackError, OSError: as for `dump`; the file is left as it is.
            A payload of bare `pickle.PickleBuffer`s can't be written anew.
        ValueError: options and policy have different registries, or keys of different contexts; the policy ignores
            drift or has `newer`; or the path is a URL.

    Runs the code that `load` and `dump` run. Spec section 6.4.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path)
    >>> upgrade(path)
    False
    """
    refuse_url(path, "upgrade")
    request, is_default = request_of(None, trust, policy, context=context), options is None
    policy = request.policy
    options = PackOptions(registry=policy.registry) if options is None else options
    if not isinstance(options, PackOptions):
        raise TypeError(f"options: expected a PackOptions, found {type(options).__name__}")
    if context is not None:
        options = options_with(options, None, None, context)
    if compiled(policy).drift.has_ignore:
        raise ValueError('upgrade: Policy(drift="ignore") would write old states as today\'s')
    if policy.newer != "refuse":
        raise ValueError("upgrade: Policy(newer=...) would write the file without what newer code wrote")
    if options.registry is not policy.registry:
        raise ValueError("upgrade: expected one registry in policy and options, else names and versions get lost")
    name = os.fsdecode(path)
    try:
        with naming(name), io.FileIO(name) as file:
            source = FileSource(file, whole=True)
            accepted = accept(source, request)
            header = accepted.header
            if header.preamble.seal_len and not (header.verified and options.keys is not None):
                hint = Hint(
                    "give Policy(keys=...) that verify it, and PackOptions(keys=...) that sign it anew",
                    "--key FILE verifies the seal and signs the new file",
                )
                raise PolicyError("the artifact has a seal, which an upgrade would lose", None, None, hint)
            if header.verified and policy.keys and options.keys and not options.keys.has_context_of(policy.keys):
                raise ValueError("upgrade: expected keys of one context in policy and options")
            _check_one_frame(file, header)
            if _is_current(accepted, options):
                return False
            obj = load_accepted(accepted)
    except ReadError as exc:
        exc.path = name
        raise
    if is_default and any("codec" in entry for entry in fields_of(header)["sections"]):
        options = PackOptions(registry=policy.registry, compress="zstd")
    frame = encode_object(obj, compiled(policy).name_today(header.type), _kept(header), options, header.created)
    parts = place_frame(frame, options)
    replace_file(name, parts, durable)
    return True


def _check_one_frame(file: io.FileIO, header: Header) -> None:
    """Refuse a file that goes on after its first frame: the rest would be lost, or be called current unseen."""
    size = os.fstat(file.fileno()).st_size
    if size > header.frame_len:
        hint = Hint(
            "read a stream with iter_load(), and append its records to a new one",
            "a stream can't be upgraded in place; read it in Python and append its records to a new one",
        )
        text = "bytes follow the artifact; a stream of several frames can't be upgraded in place"
        raise TrailingBytesError(text, header.frame_len, size, hint)


def _is_current(accepted: Accepted, options: PackOptions) -> bool:
    """Return whether an artifact would be written today with the same names, schemas and versions."""
    fields, request, decision = fields_of(accepted.header), accepted.request, accepted.decision
    if any(plan.was is not None for plan in decision.plans.values()):
        return False
    recorded = {}
    moved = request.compiled.places(fields["globals"], fields.get("types", {}))
    for (module, qualname), value in {**decision.resolved, **decision.rebuilt}.items():
        name = f"{module}:{qualname}"
        if isinstance(value, type):
            if name in moved and global_name(value) != name:
                return False
            now = in_header(value, request.policy.registry)
            entry = entry_of(now, options)
            if entry is not None and (now.name in fields.get("types", {}) or not now.only_of_objects):
                recorded[now.name] = entry
    written = {name: _as_defined(entry, recorded.get(name)) for name, entry in fields.get("types", {}).items()}
    return bool(recorded == written and request.compiled.name_today(fields["type"]) == fields["type"])


def _as_defined(entry: Mapping[str, Any], now: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return an entry as the class alone would give it: some of its objects may have lacked attributes."""
    if now is None or "attributes" not in entry or "attributes" not in now:
        return entry
    was, today = dict(entry["attributes"]), dict(now["attributes"])
    is_same = was.keys() == today.keys() and all(word in ("optional", today[name]) for name, word in was.items())
    return {**entry, "attributes": now["attributes"]} if is_same else entry


def _kept(header: Header) -> dict[str, Any]:
    """Return the members that the new header takes over from the old one."""
    before = {
        "build": dict(header.build),
        "type": header.type,
        "version": header.version,
        "xxh3": f"{header.preamble.header_xxh3:016x}",
    }
    ext = dict(header.ext)
    history = ext.get(_HISTORY)
    ext[_HISTORY] = [*history, before] if isinstance(history, list) else [before]
    kept: dict[str, Any] = {"ext": ext}
    if header.meta:
        kept["meta"] = dict(header.meta)
    if header.records is not None:
        kept["records"] = header.records
    return kept


def repair(path: str | os.PathLike[str], *, drop_corrupt: bool = False, dry_run: bool = False) -> int:
    """Cut off what a crash left at the end of a stream, and sync. After this the next append is not refused.

    A torn tail is what an unfinished append leaves (spec section 9.3). If a machine crashed, the frames before it may
    be damaged, too: those are cut off only with `drop_corrupt`. Everything up to the last frame that passes all checks
    stays as it is, damaged frames before that one too. The lock of appends is held, so an append that is under way is
    not touched. Unpickles nothing.

    Args:
        path: the file of the stream.
        drop_corrupt: also cut off corrupt frames at the end. They may have been acknowledged, and damaged later. Copy
            the file first.
        dry_run: write nothing, and take no lock. An append that is under way then looks like a torn tail.

    Returns:
        The number of bytes that were cut off, or with `dry_run` would be. 0: an append is not refused as it is.

    Raises:
        ReadError: frames at the end are corrupt, and `drop_corrupt` is false. Or the file is no stream, as nothing in
            it is a frame. Nothing is cut off.
        OSError: from the operating system, also if there is no such file.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "events.pseal")
    >>> append(path, "whole")
    >>> with open(path, "ab") as file:
    ...     _ = file.write(pack("torn")[:-1])
    >>> repair(path, dry_run=True) == repair(path) > 0
    True
    >>> list(iter_load(path))
    ['whole']
    """
    refuse_url(path, "repair")
    name = os.fsdecode(path)
    try:
        if dry_run:
            return bytes_to_cut(name, drop_corrupt)
        tail = Tail(name, create=False)
        try:
            with naming(tail.path, over=True), tail.locked():
                return tail.validate(repair=True, drop_corrupt=drop_corrupt)
        finally:
            tail.close()
    except ReadError as exc:
        exc.path = os.path.realpath(name)
        raise
