"""`seal`: sign an artifact file as it is, without unpickling it.

Everything is verified first. Then the sections are copied, in chunks, into the file that takes the old one's place, and
judged again while they go by: what is signed is what was copied. Where the artifact had no seal, its header gets the
SHA-256 of each section, whose room in the header is known before they are.
"""

import io
import os
from collections.abc import Collection, Mapping
from typing import Any, BinaryIO

from ._format.canonical import encode
from ._format.frame import SectionCheck, decode_head, padding_of
from ._format.header import Header, fields_of
from ._format.limits import MAX_HEADER, Limits
from ._format.preamble import PREAMBLE_SIZE, Preamble, decode_preamble, encode_preamble
from ._format.seal import Sign, Signature, decode_seal, encode_seal, signed_body
from ._io.atomic import naming, replace_file, replace_with
from ._io.source import FileSource
from ._io.url import refuse_url
from ._keys import Key, KeyRing, signer, verifier
from ._packing import Writer, encode_object, place_frame
from ._policy import DEFAULT_POLICY, Policy, Trust, compiled, request_of
from ._reading import Accepted, accept, load_accepted, verify_source
from ._schema.header_entries import in_header
from ._schema.names import global_name
from ._streams.writer import Tail
from .errors import PackError, PolicyError, ReadError, TruncatedError

__all__ = ["copy_section", "read_signatures", "remove_signatures", "repair", "seal", "upgrade"]

_CHUNK = 1 << 20


def seal(path: str | os.PathLike[str], keys: KeyRing | Key) -> Header:
    """Add a signature to an artifact file, or renew it, without unpickling anything.

    Everything that `verify` checks is checked first. Who wrote the artifact, and what it would do when it is loaded,
    is not: sign only what you know the origin of. The newest key that can sign signs. Signatures of other keys stay. An
    artifact without a seal gets the SHA-256 of its sections into its header. Compressed sections stay as they are. The
    file is replaced atomically and durably; whoever replaces it in the meantime loses.

    Args:
        path: a file of exactly one artifact. Its buffers do not go through memory as a whole; the pickle does,
            and what is compressed.
        keys: a ring, for its purpose, or one key, for none.

    Returns:
        The header, as `peek` reads it now; `verified` names the signatures by the given keys.

    Raises:
        ReadError: as for `verify`; the file is left as it is.
        PackError: the header or the seal would be too large.
        TypeError, ValueError: `keys` is something else, or none of them can sign; the path is a URL.
        OSError: from the operating system; the file is left as it is, unless only the last sync of the folder failed.

    Runs no code of the artifact. Spec section 10.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path)
    >>> seal(path, Key.generate("audit")).verified
    (('hmac-sha256', 'audit'),)
    """
    refuse_url(path, "seal")
    ring = keys if isinstance(keys, KeyRing) else KeyRing([keys])
    sign, name, made = signer(ring), os.fsdecode(path), list[Header]()
    try:
        with naming(name), io.FileIO(name) as file:
            old = verify_source(FileSource(file, whole=True), DEFAULT_POLICY)
            others = read_signatures(file, old.preamble)
            body_len = old.frame_len - old.preamble.head_len
            entries = [{"sha256": "0" * 64, **entry} for entry in fields_of(old)["sections"]]
            head_len = len(_head({**fields_of(old), "sections": entries}, old.preamble, body_len, others, sign))

            def write(descriptor: int) -> None:
                with open(descriptor, "wb", closefd=False) as out:
                    out.seek(head_len)
                    file.seek(old.preamble.head_len)
                    for index, entry in enumerate(fields_of(old)["sections"]):
                        entries[index]["sha256"] = copy_section(file, out, index, entry)
                    head = _head({**fields_of(old), "sections": entries}, old.preamble, body_len, others, sign)
                    limits = Limits()
                    preamble = decode_preamble(head[:PREAMBLE_SIZE], limits)
                    made.append(decode_head(preamble, head[PREAMBLE_SIZE:], limits, verifier(ring)))
                    out.seek(0)
                    out.write(head)
                file.close()  # not every system replaces a file that is open

            replace_with(name, head_len + body_len, write)
    except ReadError as exc:
        exc.path = name
        raise
    return made[0]


def read_signatures(file: BinaryIO, preamble: Preamble) -> tuple[Signature, ...]:
    """Read the signatures that are there."""
    if not preamble.seal_len:
        return ()
    file.seek(PREAMBLE_SIZE + preamble.header_len)
    return decode_seal(file.read(preamble.seal_len))


def _head(fields: Mapping[str, Any], old: Preamble, body_len: int, others: tuple[Signature, ...], sign: Sign) -> bytes:
    """Encode preamble, header and seal. Their length does not depend on what the checksums and signatures are."""
    header = encode(dict(fields))
    if len(header) > MAX_HEADER:
        raise PackError("the header is too large", f"at most {MAX_HEADER} bytes", len(header), "shorten meta")
    new = sign(signed_body(old, header))
    kept = [other for other in others if (other.key, other.alg) != (new.key, new.alg)]
    sealed = encode_seal([*kept, new])
    frame_len = PREAMBLE_SIZE + len(header) + len(sealed) + body_len
    preamble = encode_preamble(frame_len, header, len(sealed), old.version_minor, old.stream_id, old.seq)
    return preamble + header + sealed


def copy_section(file: BinaryIO, out: BinaryIO, index: int, entry: dict[str, Any]) -> str:
    """Copy a section with its padding, judge it again, and return its SHA-256."""
    import hashlib

    check, digest, left = SectionCheck(index, entry, with_sha256=False), hashlib.sha256(), entry["len"]
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise TruncatedError("the file was cut off while it was read", None, None, None, f"sections[{index}]").at(
                16
            )
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


# `remove_signatures`: take signatures off an artifact file, without unpickling it. Its header stays as it is.


def remove_signatures(path: str, ids: Collection[str]) -> tuple[Header, int]:
    """Take the signatures of some keys off an artifact file, all algorithms of each.

    Everything that `verify` checks is checked first. Others stay, and verify as before. The file is replaced
    atomically and durably, unless none of the keys has signed; whoever replaces it in the meantime loses. Runs no code
    of the artifact. Spec section 10.

    Returns:
        The header as it is now, and how many signatures were taken off.

    Raises:
        ReadError: as for `verify`; the file is left as it is.
        ValueError: the path is a URL.
        OSError: from the operating system.
    """
    refuse_url(path, "path")
    made = list[Header]()
    try:
        with io.FileIO(path) as file:
            old = verify_source(FileSource(file, whole=True), DEFAULT_POLICY)
            before = old.preamble
            signatures = read_signatures(file, before)
            kept = [one for one in signatures if one.key not in ids]
            if len(kept) == len(signatures):
                return old, 0
            file.seek(PREAMBLE_SIZE)
            header = file.read(before.header_len)
            sealed = encode_seal(kept) if kept else b""
            frame_len = before.frame_len - before.seal_len + len(sealed)
            place = before.version_minor, before.stream_id, before.seq
            head = encode_preamble(frame_len, header, len(sealed), *place) + header + sealed

            def write(descriptor: int) -> None:
                limits = Limits()  # what is written is judged as well: the header was read a second time
                preamble = decode_preamble(head[:PREAMBLE_SIZE], limits)
                made.append(decode_head(preamble, head[PREAMBLE_SIZE:], limits))
                with open(descriptor, "wb", closefd=False) as out:
                    out.write(head)
                    file.seek(before.head_len)
                    for index, entry in enumerate(fields_of(made[0])["sections"]):
                        copy_section(file, out, index, entry)
                file.close()  # not every system replaces a file that is open

            replace_with(path, frame_len, write)
    except ReadError as exc:
        exc.path = path
        raise
    return made[0], len(signatures) - len(kept)


# `upgrade`: write an artifact anew, with today's classes.


_HISTORY = "pickleseal.history"  # spec 6.4


def upgrade(
    path: str | os.PathLike[str],
    *,
    trust: Trust = (),
    policy: Policy | None = None,
    writer: Writer | None = None,
    durable: bool = True,
) -> bool:
    """Write an artifact anew at the current schema versions, if it is not there already.

    The object is loaded as `load` does it, migrations and all, and written in the place of the old file, atomically.
    `created`, `meta` and `ext` are kept; `ext["pickleseal.history"]` says what it was before. Whoever replaces the file
    in the meantime loses: keep writers away while old artifacts are upgraded. A sealed artifact, whose signature has to
    verify, is signed anew by the writer; signatures of others are lost.

    Args:
        path: a file of exactly one artifact.
        trust, policy: as for `load`.
        writer: build labels, keys and compression; its registry is the policy's. None: today's, and compressed if the
            old artifact was.
        durable: whether the file is synced to the disk.

    Returns:
        Whether the file was written. An artifact whose recorded classes are as today is not loaded.

    Raises:
        ReadError: as for `load`; the file is left as it is.
        PolicyError: the artifact has a seal, and policy and writer do not both have keys.
        PackError, OSError: as for `dump`; the file is left as it is.
            A payload of bare `pickle.PickleBuffer`s can't be written anew.
        ValueError: writer and policy have different registries, or the policy ignores drift, or the path is a URL.

    Runs the code that `load` and `dump` run. Spec section 6.4.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path)
    >>> upgrade(path)
    False
    """
    refuse_url(path, "upgrade")
    request, is_default = request_of(None, trust, policy), writer is None
    policy = request.policy
    writer = Writer(registry=policy.registry) if writer is None else writer
    if not isinstance(writer, Writer):
        raise TypeError(f"writer: expected a Writer, found {type(writer).__name__}")
    if policy.drift == "ignore":
        raise ValueError('upgrade: Policy(drift="ignore") would write old states as today\'s')
    if writer.registry is not policy.registry:
        raise ValueError("upgrade: expected one registry in policy and writer, else names and versions get lost")
    name = os.fsdecode(path)
    try:
        with naming(name), io.FileIO(name) as file:
            source = FileSource(file, whole=True)
            accepted = accept(source, request)
            header = accepted.header
            if header.preamble.seal_len and not (header.verified and writer.keys is not None):
                hint = "give Policy(keys=...) that verify it, and Writer(keys=...) that sign it anew"
                raise PolicyError("the artifact has a seal, which an upgrade would lose", None, None, hint)
            if _is_current(accepted):
                return False
            obj = load_accepted(accepted)
    except ReadError as exc:
        exc.path = name
        raise
    if is_default and any("codec" in entry for entry in fields_of(header)["sections"]):
        writer = Writer(registry=policy.registry, compress="zstd")
    frame = encode_object(obj, compiled(policy).name_today(header.type), _kept(header), writer, header.created)
    parts = place_frame(frame, writer)
    replace_file(name, parts, durable)
    return True


def _is_current(accepted: Accepted) -> bool:
    """Return whether an artifact would come out of the writer with the same names, schemas and versions."""
    fields, request, decision = fields_of(accepted.header), accepted.request, accepted.decision
    if any(plan.was is not None for plan in decision.plans.values()):
        return False
    recorded = {}
    moved = request.compiled.places(fields["globals"], fields.get("types", {}))
    for (module, qualname), value in decision.resolved.items():
        name = f"{module}:{qualname}"
        if isinstance(value, type):
            if name in moved and global_name(value) != name:
                return False
            now = in_header(value, request.policy.registry)
            if now.entry is not None:
                recorded[now.name] = now.entry
    return bool(recorded == fields.get("types", {}) and request.compiled.name_today(fields["type"]) == fields["type"])


def _kept(header: Header) -> dict[str, Any]:
    """Return the members of the old header that the new one takes over."""
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


# `repair`: cut off what an append left behind that did not finish (spec section 9.3).


def repair(path: str | os.PathLike[str], *, drop_corrupt: bool = False) -> int:
    """Cut off the torn tail of a stream, and sync. Return the number of bytes that were cut off; 0: it was whole.

    Takes the lock that appends take, so nothing that is being written is touched. What is whole stays as it is,
    damage in front of the last frame too. Unpickles nothing.

    Args:
        drop_corrupt: also cut off what is at the end and is corrupt, not torn: frames that may have been acknowledged
            and were damaged since. Copy the file first.

    Raises:
        ReadError: the last frame is corrupt, and `drop_corrupt` is false; or the file is no stream: nothing of it is
            a frame, and it does not begin as one, so nothing of it is cut off.
        OSError: from the operating system; there is no such file.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "events.pseal")
    >>> append(path, "whole")
    >>> with open(path, "ab") as file:
    ...     _ = file.write(pack("torn")[:-1])
    >>> repair(path) > 0, list(iter_load(path))
    (True, ['whole'])
    """
    refuse_url(path, "path")
    tail = Tail(os.fsdecode(path), create=False)
    try:
        with naming(tail.path, over=True), tail.locked():
            return tail.validate(repair=True, drop_corrupt=drop_corrupt)
    except ReadError as exc:
        exc.path = tail.path
        raise
    finally:
        tail.close()
