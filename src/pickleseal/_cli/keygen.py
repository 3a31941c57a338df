"""Make a key and write it to a file that you alone can read. The secret is never printed.

An HMAC key is shared by those who sign and those who verify. Of an Ed25519 key only the private half signs: --public
writes the other half, for readers. A key in front of others (--rotate) signs from now on, and the others still verify.

    pickleseal keygen rel-2026 -o rel.keys --alg ed25519 --public readers.keys
    pickleseal keygen rel-2027 -o rel.keys --rotate
"""

import argparse
import os

from .._keys import ED25519, HMAC, Key, KeyRing
from ..errors import printable, text_of
from .output import Output, UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("id", metavar="ID", help="its identity, which seals name: `release-2026`")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the file of keys to write, of mode 600")
    parser.add_argument("--alg", choices=(HMAC, ED25519), default=HMAC, help=f"the algorithm ({HMAC})")
    parser.add_argument("--public", metavar="FILE", help="write the public halves of all keys of the file there, too")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--rotate", action="store_true", help="put the key in front of those in the file")
    way.add_argument("--force", action="store_true", help="replace the files: the keys in them are lost")


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    if options.public is not None and _is_same(options.output, options.public):
        raise UsageError("--public: that is the file of -o, and the secret would be lost: name another file")
    for path in filter(None, (options.output, options.public)):
        if os.path.lexists(path) and not (options.force or options.rotate):
            raise UsageError(f"{path}: is there already; --rotate adds to it, --force replaces it")
    try:
        key = Key.generate(options.id, options.alg)
        ring = KeyRing.from_file(options.output).rotated(key) if options.rotate else KeyRing([key])
        public = ring.public() if options.public is not None else None
        ring.to_file(options.output)
        if public is not None:
            public.to_file(options.public)
    except (OSError, ValueError) as exc:
        raise UsageError(text_of(exc)) from None
    text = key.public().to_text() if key.alg == ED25519 else None
    found = {"path": options.output, "id": key.id, "alg": key.alg, "public": text, "keys": len(ring.keys)}
    lines = [f"{printable(options.output, 4096)}: {key.alg} key {key.id}, secret: for its owner alone"]
    if options.public is not None:
        lines.append(f"{printable(options.public, 4096)}: for readers, who can't sign with it")
    if text is not None:
        lines.append(text)
    out.result(found, *lines, path=options.output)


def _is_same(first: str, second: str) -> bool:
    """Tell whether two paths are one file, whether it is there or not."""
    return os.path.normcase(os.path.realpath(first)) == os.path.normcase(os.path.realpath(second))
