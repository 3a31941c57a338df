"""`remove_signatures`: take signatures off an artifact file, without unpickling it. Its header stays as it is."""

import io
from collections.abc import Collection

from ..atomic import replace_with
from ..errors import ReadError
from ..format.frame import decode_head
from ..format.header import Header
from ..format.limits import Limits
from ..format.preamble import PREAMBLE_SIZE, decode_preamble, encode_preamble
from ..format.seal import encode_seal
from ..policy import DEFAULT_POLICY
from ..reader import verify_source
from .sealing import copy_section, read_signatures
from .source import FileSource
from .url import refuse_url

__all__ = ["remove_signatures"]


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
                    for index, entry in enumerate(made[0]._fields["sections"]):
                        copy_section(file, out, index, entry)
                file.close()  # not every system replaces a file that is open

            replace_with(path, frame_len, write)
    except ReadError as exc:
        exc.path = path
        raise
    return made[0], len(signatures) - len(kept)
