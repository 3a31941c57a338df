"""Write artifacts anew at today's schema versions, migrations and all. This UNPICKLES them: --load says that you know.

The objects are loaded as your program would load them, so the code of the classes that you trust runs. An artifact
whose classes are as today is not loaded. Files are replaced atomically; keep other writers away meanwhile.

    pickleseal upgrade data/ --import myapp.models --load
    pickleseal upgrade job.pseal --import myapp --trust myapp.jobs:Helper --load
"""

import argparse
import warnings

from .._files import peek
from .._packing import Writer
from .._trust.allow_list import build_trust
from ..errors import PackError, ReadError, UntrustedGlobalError, printable, text_of
from ..maintenance import upgrade
from .inputs import STDIN, expand, with_way_out
from .options import add_import_arguments, add_policy_arguments, import_all, policy_of
from .output import Output, UsageError, plural, progress

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, folder, or pattern")
    parser.add_argument("--load", action="store_true", help="yes, unpickle them: it runs the code of what is trusted")
    add_import_arguments(parser)
    parser.add_argument(
        "--trust", action="append", default=[], metavar="MODULE:NAME", help="a class that payloads may import"
    )
    add_policy_arguments(parser)


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    if not options.load:
        raise UsageError("upgrade unpickles what it finds, which runs code: --load says that this is wanted")
    policy = policy_of(options)
    try:
        build_trust(options.trust)
    except (TypeError, ValueError) as exc:
        raise UsageError(f"--trust: {text_of(exc)}") from None
    if policy.keys is not None and not any(key.can_sign for key in policy.keys.keys):
        raise UsageError("--key: none of the keys can sign, and what is written has to be signed anew")
    if policy.drift == "ignore":
        raise UsageError('--policy: drift = "ignore" would write old states as today\'s')
    import_all(options.imports)
    targets = list(expand(options.paths))
    written = 0
    with progress(out, len(targets), "files") as bar:
        for target in targets:
            if target.is_url or target.path == STDIN:
                raise UsageError(f"{target.path}: files alone are written in place")
            try:
                if target.error is not None:
                    raise target.error
                before = peek(target.path, policy=policy)
                writer = None
                if policy.keys is not None:
                    is_compressed = any(section.codec for section in before.sections)
                    compress = "zstd" if is_compressed else None
                    writer = Writer(registry=policy.registry, keys=policy.keys, compress=compress)
                with warnings.catch_warnings(record=True) as notes:
                    warnings.simplefilter("always")
                    is_new = upgrade(target.path, trust=options.trust, policy=policy, writer=writer)
                after = peek(target.path)
            except (ReadError, PackError, OSError, ValueError) as exc:
                bar.clear()
                if isinstance(exc, UntrustedGlobalError) and exc.missing and exc.hint is not None:
                    exc.hint += f"; here: {' '.join(f'--trust {name}' for name in exc.missing)}"
                out.refuse(target.path, with_way_out(exc, target.path))
                continue
            finally:
                bar.advance()
            for note in notes:
                bar.clear()
                out.complain(f"{target.path}: {note.message}")
            written += is_new
            found = {"path": target.path, "ok": True, "code": None, "written": is_new}
            found |= {"type": after.type, "version": after.version, "was": [before.type, before.version]}
            bar.clear()
            kind = f"{printable(after.type)} version {after.version}"
            if is_new:
                was = f"version {before.version}" if before.type == after.type else printable(before.type)
                text = f"upgraded from {was} to {kind}"
            else:
                text = f"current, {kind}"
            out.result(found, f"{printable(target.path, 4096)}: {text}", path=target.path if is_new else None)
    out.summary = {"checked": len(targets), "written": written}
    if len(targets) != 1:
        out.text(f"{plural(len(targets), 'file')}: {written:,} written")
