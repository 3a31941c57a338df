"""Sign artifact files as they are, or take signatures off. Nothing is unpickled.

Everything that `verify` checks is checked first; who wrote a file is not: sign only what you know the origin of.
Signatures of other keys stay. Anyone can take a signature off, so that one is missing says nothing. Files are
replaced atomically.

    pickleseal seal model.pseal --key release.keys --purpose models
    pickleseal seal models/ --remove release-2025
"""

import argparse
from collections.abc import Callable

from .._format.header import Header
from ..errors import PackError, ReadError, printable
from ..maintenance import remove_signatures, seal
from .inputs import STDIN, expand, with_way_out
from .options import add_key_arguments, ring_of
from .output import Output, UsageError, plural, signatures_text

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, folder, or pattern")
    parser.add_argument(
        "--remove", action="append", default=[], metavar="ID", help="take this key's signatures off; may be repeated"
    )
    add_key_arguments(parser, "the first that can sign signs")


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    ring = ring_of(options)
    act: Callable[[str], tuple[Header, int]]
    if ring is not None and not options.remove:
        keys = ring
        if not any(key.can_sign for key in keys.keys):
            raise UsageError("--key: none of the keys can sign, all are public")

        def act(path: str) -> tuple[Header, int]:
            return seal(path, keys), 1
    elif options.remove and ring is None:

        def act(path: str) -> tuple[Header, int]:
            return remove_signatures(path, options.remove)
    else:
        raise UsageError("expected --key or --key-env, to sign, or else --remove")
    done = 0
    for target in expand(options.paths):
        if target.is_url or target.path == STDIN:
            raise UsageError(f"{target.path}: files alone are signed in place")
        try:
            if target.error is not None:
                raise target.error
            header, count = act(target.path)
        except (ReadError, OSError, PackError, ValueError) as exc:
            out.refuse(target.path, with_way_out(exc, target.path))
            continue
        done += bool(count)
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
            text = f"{plural(count, 'signature')} taken off; {text}"
        out.result(found, f"{printable(target.path, 4096)}: {text}", path=target.path)
    out.summary = {"written": done}
