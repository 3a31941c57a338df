"""Make a key and write it to a file that only you can read. The secret is never printed.

An HMAC key is shared by those who sign and those who verify. Of an Ed25519 key, only the private half can sign;
--public writes the public half, for readers. --rotate puts the new key before those that the file has. The first key
is used to sign, and all of them verify.

    pickleseal keygen rel-2026 -o rel.keys --alg ed25519 --public readers.keys
    pickleseal keygen rel-2027 -o rel.keys --rotate
"""

import argparse
import os

from .._keys import ED25519, HMAC, Key, KeyRing
from ..errors import text_of
from .output import Output, UsageError, path_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("id", metavar="ID", help="the name of the key in signatures, such as release-2026")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the key file to write, with mode 600")
    parser.add_argument("--alg", choices=(HMAC, ED25519), default=HMAC, help=f"the algorithm (default: {HMAC})")
    parser.add_argument("--public", metavar="FILE", help="also write the public halves of all keys to this file")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--rotate", action="store_true", help="put the new key before those in the file")
    way.add_argument("--force", action="store_true", help="replace existing files; the keys in them are lost")


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    if options.public is not None and _is_same(options.output, options.public):
        raise UsageError("--public names the file of -o, so the secret would be lost; name another file")
    for path in filter(None, (options.output, options.public)):
        if os.path.lexists(path) and not (options.force or options.rotate):
            raise UsageError(f"{path} exists already; --rotate adds a key to it, --force replaces it")
    try:
        key = Key.generate(options.id, options.alg)
        ring = KeyRing.from_file(options.output).rotated(key) if options.rotate else KeyRing([key])
        public = ring.public() if options.public is not None else None
        ring.to_file(options.output, overwrite=options.force or options.rotate)
        if public is not None:
            public.to_file(options.public, overwrite=options.force or options.rotate)
    except (OSError, ValueError) as exc:
        raise UsageError(text_of(exc)) from None
    text = key.public().to_text() if key.alg == ED25519 else None
    found = {"path": options.output, "id": key.id, "alg": key.alg, "public": text, "keys": len(ring.keys)}
    lines = [f"{path_text(options.output)}: {key.alg} key {key.id}; keep this file secret"]
    if options.public is not None:
        lines.append(f"{path_text(options.public)}: public keys, for readers, which can't sign with them")
    if text is not None:
        lines.append(text)
    out.result(found, *lines, path=options.output)


def _is_same(first: str, second: str) -> bool:
    """Return whether two paths name the same file, whether it exists or not."""
    return os.path.normcase(os.path.realpath(first)) == os.path.normcase(os.path.realpath(second))
