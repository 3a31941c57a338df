"""Rewrite artifacts at today's schema versions. This UNPICKLES them, so --load is required.

Objects are loaded as your program would load them: the code of the classes that you trust runs, and so do migrations.
An artifact is loaded only if its classes have changed. Each file is replaced as a whole or not at all; nothing else may
write to it at the same time.

    pickleseal upgrade data/ --import myapp.models --load
    pickleseal upgrade job.pseal --import myapp --trust myapp.jobs:Helper --load
"""

import argparse
import warnings
from typing import Any

from .._files import peek
from .._packing import PackOptions
from .._policy import Policy, compiled
from .._trust.allow_list import build_trust
from ..errors import PackError, ReadError, printable, text_of
from ..maintenance import upgrade
from .inputs import local_files
from .options import (
    add_import_arguments,
    add_path_arguments,
    add_policy_arguments,
    add_trust_arguments,
    import_all,
    policy_of,
)
from .output import Output, UsageError, path_text, plural, progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser, "a file, folder or pattern")
    parser.add_argument("--load", action="store_true", help="allow unpickling, which runs the code of trusted classes")
    add_import_arguments(parser, "a module that registers classes or migrations")
    add_trust_arguments(parser, "a class or function that payloads may import")
    add_policy_arguments(parser)


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    if not options.load:
        raise UsageError("upgrade unpickles the artifacts, which runs code; --load allows it")
    policy = policy_of(options)
    try:
        build_trust(options.trust)
    except (TypeError, ValueError) as exc:
        raise UsageError(f"--{text_of(exc)}") from None  # the text begins with `trust:`
    if policy.keys is not None and not any(key.can_sign for key in policy.keys.keys):
        raise UsageError("--key: none of the keys can sign, and the new files must be signed again")
    if compiled(policy).drift.has_ignore:
        raise UsageError('--policy: with drift = "ignore", old states would be written as today\'s')
    if policy.newer != "refuse":
        raise UsageError("--policy: with newer, upgraded files would lack what newer code wrote")
    import_all(options.imports)
    targets = list(local_files(options.paths, "upgraded", options.allow_empty))
    written = 0
    with progress(out, len(targets), "files") as bar:
        for target in targets:
            try:
                if target.error is not None:
                    raise target.error
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    found, text = _upgrade(target.path, options.trust, policy)
            except (ReadError, PackError, OSError, ValueError) as exc:
                bar.clear()
                out.refuse(target.path, exc)
                continue
            finally:
                bar.advance()
            bar.clear()
            for warning in caught:
                out.message(f"{target.path}: {warning.message}")
            written += found["written"]
            line = f"{path_text(target.path)}: {text}"
            out.result(found, line, path=target.path if found["written"] else None)
    out.summary = {"checked": len(targets), "written": written}
    if len(targets) != 1:
        out.text(f"{plural(len(targets), 'file')}: {written:,} written")


def _upgrade(path: str, trust: list[str], policy: Policy) -> tuple[dict[str, Any], str]:
    """Upgrade one file. Return what happened, for programs and for people."""
    before = peek(path, policy=policy)
    options = None
    if policy.keys is not None:
        is_compressed = any(section.codec for section in before.sections)
        options = PackOptions(registry=policy.registry, keys=policy.keys, compress="zstd" if is_compressed else None)
    is_new = upgrade(path, trust=trust, policy=policy, options=options)
    after = peek(path)
    found = {"path": path, "ok": True, "code": None, "written": is_new}
    found |= {"type": after.type, "version": after.version, "was": [before.type, before.version]}
    kind = f"{printable(after.type)} version {after.version}"
    if not is_new:
        return found, f"nothing to upgrade, {kind}"
    was = f"version {before.version}" if before.type == after.type else printable(before.type)
    return found, f"upgraded from {was} to {kind}"
