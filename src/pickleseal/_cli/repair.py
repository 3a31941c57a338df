"""Cut off the torn tail of a stream, which is what remains of an append that did not finish.

Everything up to the last good frame stays as it is, including damage before that frame. `repair` takes the lock that
appends take, so it does not touch what is being written. Nothing is unpickled. --dry-run only reports the tail.

    pickleseal repair events.pseal --dry-run
    pickleseal repair events.pseal
"""

import argparse
import os

from ..errors import ReadError
from ..maintenance import repair
from .inputs import local_files
from .options import add_path_arguments
from .output import EXIT_FINDING, Output, path_text, plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser, "a file, folder or pattern")
    parser.add_argument("--dry-run", action="store_true", help="write nothing; the exit code is 1 if there is a tail")
    parser.add_argument(
        "--drop-corrupt",
        action="store_true",
        help="also cut off frames at the end that are corrupt, not torn; their appends may have been acknowledged, so"
        " copy the file first",
    )


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    for target in local_files(options.paths, "repaired", options.allow_empty):
        try:
            if target.error is not None:
                raise target.error
            cut = repair(target.path, drop_corrupt=options.drop_corrupt, dry_run=options.dry_run)
            end = os.stat(target.path).st_size - (cut if options.dry_run else 0)
        except (ReadError, OSError) as exc:
            out.refuse(target.path, exc)
            continue
        found = {"path": target.path, "ok": True, "code": None, "cut": cut, "end": end, "dry_run": options.dry_run}
        text = "no torn tail"
        if cut:
            verb = "would cut off" if options.dry_run else "cut off"
            text = f"{verb} {plural(cut, 'byte')} after the last whole frame, which ends at byte {end:,}"
            if options.dry_run:
                out.worsen(EXIT_FINDING)
        out.result(found, f"{path_text(target.path)}: {text}", path=target.path if cut else None)
