"""Cut off the torn tail of a stream: what an append left behind that did not finish. --dry-run only says what it is.

What is whole stays as it is, damage in front of the last frame too. Takes the lock that appends take, so nothing that
is being written is touched. Nothing is unpickled.

    pickleseal repair events.pseal --dry-run
    pickleseal repair events.pseal
"""

import argparse
import os

from .._format.limits import MAX_INTEGER, Limits
from .._policy import Policy
from .._streams.scanner import Lost
from ..errors import ReadError, TornTailError, printable
from ..maintenance import repair
from .inputs import STDIN, Subject, expand, quietly, with_way_out
from .inspect.frame import check_section
from .output import Output, UsageError, plural

__all__ = ["add_arguments", "run"]

_ANY_SIZE = Policy(limits=Limits(max_decoded=MAX_INTEGER))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, folder, or pattern")
    parser.add_argument("--dry-run", action="store_true", help="cut nothing off; exit code 1 where there is a tail")
    parser.add_argument(
        "--drop-corrupt",
        action="store_true",
        help="also cut off frames at the end that are corrupt, not torn, and may have been acknowledged: copy first",
    )


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    for target in expand(options.paths):
        if target.is_url or target.path == STDIN:
            raise UsageError(f"{target.path}: files alone are repaired")
        try:
            if target.error is not None:
                raise target.error
            if options.dry_run:
                with quietly():
                    cut = _would_cut(target.path, options.drop_corrupt)
                end = os.stat(target.path).st_size - cut
            else:
                cut = repair(target.path, drop_corrupt=options.drop_corrupt)
                end = os.stat(target.path).st_size
        except (ReadError, OSError) as exc:
            if isinstance(exc, ReadError) and exc.offset is not None and not isinstance(exc, TornTailError):
                exc.hint = exc.hint or "corrupt, not torn: --drop-corrupt cuts it off; copy the file first"
            out.refuse(target.path, with_way_out(exc, target.path))
            continue
        found = {"path": target.path, "ok": True, "code": None, "cut": cut, "end": end, "dry_run": options.dry_run}
        text = "whole, nothing to cut off"
        if cut:
            verb = "would cut off" if options.dry_run else "cut off"
            text = f"{verb} {plural(cut, 'byte')} behind the good end at byte {end:,}"
            if options.dry_run:
                out.worsen(1)
        out.result(found, f"{printable(target.path, 4096)}: {text}", path=target.path if cut else None)


def _would_cut(path: str, drop_corrupt: bool) -> int:
    """Return how many bytes a repair would cut off. Writes nothing.

    Raises:
        ReadError: the end is corrupt, and is not to be cut off.
        OSError: from the operating system.
    """
    subject, lost, last = Subject(path, path), list[Lost](), None
    for frame in subject.frames(_ANY_SIZE, False, lost):
        last = frame
    size = os.stat(path).st_size
    begin, error = size, None
    while lost and lost[-1].end == begin:
        begin, error = lost[-1].offset, lost.pop().error
    if error is None and last is not None and last.offset + last.length == size:
        with subject.open() as file:
            try:
                for index in range(len(last.header.sections)):
                    check_section(file, last.offset, last.header, index)
            except ReadError as exc:
                exc.offset, exc.record = last.offset, last.record
                begin, error = last.offset, exc
    if error is None:
        return 0
    if not isinstance(error, TornTailError) and not drop_corrupt:
        raise error
    return size - begin
