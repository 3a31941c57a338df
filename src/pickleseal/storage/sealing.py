"""`seal`: sign an artifact file as it is, without unpickling it.

Everything is verified first. Then the sections are copied, in chunks, into the file that takes the old one's place, and
judged again while they go by: what is signed is what was copied. Where the artifact had no seal, its header gets the
SHA-256 of each section, whose room in the header is known before they are.
"""

import io
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

from ..atomic import naming, replace_with
from ..errors import PackError, ReadError, TruncatedError
from ..format.canonical import encode
from ..format.frame import SectionCheck, decode_head, padding_of
from ..format.header import Header
from ..format.limits import MAX_HEADER, Limits
from ..format.preamble import PREAMBLE_SIZE, Preamble, decode_preamble, encode_preamble
from ..format.seal import Sign, Signature, decode_seal, encode_seal, signed_body
from ..keys import Key, KeyRing
from ..policy import DEFAULT_POLICY
from ..reader import verify_source
from ..signing import signer, verifier
from .source import FileSource
from .url import refuse_url

__all__ = ["copy_section", "read_signatures", "seal"]

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
            entries = [{"sha256": "0" * 64, **entry} for entry in old._fields["sections"]]
            head_len = len(_head({**old._fields, "sections": entries}, old.preamble, body_len, others, sign))

            def write(descriptor: int) -> None:
                with open(descriptor, "wb", closefd=False) as out:
                    out.seek(head_len)
                    file.seek(old.preamble.head_len)
                    for index, entry in enumerate(old._fields["sections"]):
                        entries[index]["sha256"] = copy_section(file, out, index, entry)
                    head = _head({**old._fields, "sections": entries}, old.preamble, body_len, others, sign)
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
