"""Sign artifact files in place, or remove signatures. Nothing is unpickled.

Everything that `verify` checks is checked first. Who wrote a file is not checked, so sign only files whose origin you
know. Signatures of other keys stay. Anyone can remove a signature, so a missing one proves nothing. Each file is
replaced as a whole or not at all.

    pickleseal seal model.pseal --key release.keys --purpose models
    pickleseal seal models/ --remove release-2025
"""

import argparse

from .._files import peek
from ..errors import PackError, ReadError, TrailingBytesError
from ..maintenance import remove_signatures, seal
from .inputs import local_files
from .options import add_key_arguments, add_path_arguments, ring_of
from .output import Output, UsageError, path_text, plural, signatures_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser, "a file, folder or pattern")
    parser.add_argument(
        "--remove", action="append", default=[], metavar="ID", help="remove the signatures of this key; may be repeated"
    )
    add_key_arguments(parser, "The first key that can sign is used.")


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    ring = ring_of(options)
    if (ring is None) != bool(options.remove):
        raise UsageError("expected --key or --key-env to sign, or --remove to remove signatures")
    if ring is not None and not any(key.can_sign for key in ring.keys):
        raise UsageError("--key: none of the keys can sign, because all of them are public")
    written = 0
    for target in local_files(options.paths, "signed", options.allow_empty):
        try:
            if target.error is not None:
                raise target.error
            if ring is not None:
                header, count = seal(target.path, ring), 1
            else:
                count = remove_signatures(target.path, options.remove)
                header = peek(target.path)
        except (ReadError, OSError, PackError, ValueError) as exc:
            if isinstance(exc, TrailingBytesError):
                exc.hint = "a stream can't be signed in place; its frames are signed when they are written"
            out.refuse(target.path, exc)
            continue
        written += bool(count)
        found = {
            "path": target.path,
            "ok": True,
            "code": None,
            "written": bool(count),
            "signatures": [list(pair) for pair in header.signatures],
            "verified": [list(pair) for pair in header.verified],
        }
        names = signatures_text(header.signatures)
        text = f"signed by {names}" if names else "not signed"
        if options.remove:
            text = f"{plural(count, 'signature')} removed; {text}"
        out.result(found, f"{path_text(target.path)}: {text}", path=target.path)
    out.summary = {"written": written}
