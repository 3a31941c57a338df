"""Cut off the torn tail of a stream, which is what remains of an append that did not finish.

Everything before the tail stays as it is, including damage before the last frame. `repair` takes the lock that appends
take, so it does not touch what is being written. Nothing is unpickled. --dry-run only reports the tail.

    pickleseal repair events.pseal --dry-run
    pickleseal repair events.pseal
"""

import argparse
import os

from .._format.limits import MAX_INTEGER, Limits
from .._policy import Policy
from .._streams.scanner import Lost
from ..errors import ReadError, TornTailError
from ..maintenance import repair
from .inputs import Subject, local_files, quietly
from .inspect.frame import check_section
from .output import EXIT_FINDING, Output, path_text, plural

_ANY_SIZE = Policy(limits=Limits(max_decoded=MAX_INTEGER))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, folder or pattern")
    parser.add_argument("--dry-run", action="store_true", help="write nothing; the exit code is 1 if there is a tail")
    parser.add_argument(
        "--drop-corrupt",
        action="store_true",
        help="also cut off frames at the end that are corrupt, not torn; their appends may have been acknowledged, so"
        " copy the file first",
    )


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    for target in local_files(options.paths, "repaired"):
        try:
            if target.error is not None:
                raise target.error
            if options.dry_run:
                with quietly():
                    cut = _torn_bytes(target.path, options.drop_corrupt)
                end = os.stat(target.path).st_size - cut
            else:
                cut = repair(target.path, drop_corrupt=options.drop_corrupt)
                end = os.stat(target.path).st_size
        except (ReadError, OSError) as exc:
            if isinstance(exc, ReadError) and exc.offset and not isinstance(exc, TornTailError):
                exc.hint = "the end is corrupt, not torn; copy the file, then --drop-corrupt cuts the end off"
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


def _torn_bytes(path: str, drop_corrupt: bool) -> int:
    """Return how many bytes `repair` would cut off. Writes nothing.

    Raises:
        ReadError: the end is corrupt, and `drop_corrupt` is false.
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
