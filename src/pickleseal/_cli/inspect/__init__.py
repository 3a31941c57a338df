"""Show what an artifact or stream says about itself. Nothing is imported, unpickled or run.

Only headers are checked; `pickleseal verify` checks the rest. --pickle and --extract check the section that they show.
Of a damaged file, the parts that can be trusted are shown.

    pickleseal inspect model.pseal
    pickleseal inspect model.pseal --layout
    pickleseal inspect events.pseal --records=-10:
    pickleseal inspect model.pseal --extract 1 -o weights.bin
"""

import argparse
import os
import sys
from collections.abc import Iterator

from ..._files import peek
from ..._policy import Policy
from ..._streams.scanner import Frame, SkippedRange
from ...errors import LayoutError, ReadError
from ..inputs import STDIN, Subject, Target, expand, opened, quietly
from ..options import FORMS, add_key_arguments, add_path_arguments, ring_of
from ..output import Output, UsageError, path_text

__all__ = ["add_arguments", "run"]

_LIMIT = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser)
    view = parser.add_mutually_exclusive_group()
    view.add_argument("--layout", action="store_true", help="draw the frame to scale: regions, offsets, padding")
    view.add_argument("--hex", action="store_true", help="dump the bytes with their meaning")
    view.add_argument("--pickle", action="store_true", help="list the opcodes of the payload; none is run")
    view.add_argument("--extract", type=int, metavar="N", help="write section N, decoded; section 0 is the pickle")
    parser.add_argument("-o", "--output", metavar="FILE", help="the file for --extract (default: standard output)")
    parser.add_argument("--force", action="store_true", help="replace the file of -o if it exists")
    parser.add_argument("--records", metavar="A:B", help="records of a stream, as a slice in Python, or one number")
    parser.add_argument(
        "--limit",
        type=int,
        default=_LIMIT,
        metavar="N",
        help=f"how many regions, rows of a region, opcodes or frames to show; 0: all (default: {_LIMIT})",
    )
    parser.add_argument(
        "--as", dest="form_of", choices=FORMS, default="auto", help="what the files are (default: auto)"
    )
    add_key_arguments(parser, "One of these keys must have signed the headers.")


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    if options.limit < 0:
        raise UsageError("--limit: expected 0 or more")
    if options.extract is None and (options.output is not None or options.force):
        raise UsageError("-o and --force need --extract")
    records = _slice(options.records)
    policy = Policy(keys=ring_of(options))
    targets = list(expand(options.paths, allow_empty=options.allow_empty))
    if options.extract is not None and len(targets) != 1:
        raise UsageError("--extract: expected one file")
    for number, target in enumerate(targets):
        if number:
            out.text()
        with quietly():
            _inspect(target, options, records, policy, out)


def _slice(text: str | None) -> slice | None:
    """Return the records that are asked for.

    Raises:
        UsageError: the text is no range.
    """
    if text is None:
        return None
    first, colon, last = text.partition(":")
    try:
        begin = int(first) if first else None
        end = int(last) if last else None
    except ValueError:
        raise UsageError(f"--records: expected A:B or one number, found {text}") from None
    if not colon and begin is not None:
        return slice(begin, begin + 1 or None)
    return slice(begin, end)


def _inspect(target: Target, options: argparse.Namespace, records: slice | None, policy: Policy, out: Output) -> None:
    from . import summary

    path = target.path
    try:
        with opened(target) as subject:
            path = subject.path
            is_stream = options.form_of == "stream" or (options.form_of == "auto" and subject.is_stream())
            if options.layout or options.hex or options.pickle or options.extract is not None:
                _show_frames(subject, is_stream, options, records, policy, out)
            elif is_stream:
                summary.show_stream(subject, policy, records, options.limit, out)
            else:
                summary.show_artifact(subject, policy, out)
    except (ReadError, OSError, ValueError) as exc:
        out.refuse(path, exc)


def _show_frames(
    subject: Subject, is_stream: bool, options: argparse.Namespace, records: slice | None, policy: Policy, out: Output
) -> None:
    from . import frame as views

    if options.hex and not is_stream:  # also if the header is refused
        header, refusal = None, None
        try:
            header = peek(subject.source, policy=policy)
        except ReadError as exc:
            refusal = exc
        views.show_hex(subject, 0, header, options.limit, out, refusal)
        return
    for number, frame in enumerate(_frames(subject, is_stream, records, policy)):
        if options.extract is not None:
            if number:
                raise UsageError("--extract: expected one frame; --records N selects one")
            _extract(subject, frame, options, out)
            continue
        if is_stream:
            out.text(out.style(f"frame at byte {frame.offset:,}, record {frame.record:,}", "bold"))
        if options.layout:
            views.show_layout(subject, frame, options.limit, out)
        elif options.hex:
            views.show_hex(subject, frame.offset, frame.header, options.limit, out, None)
        else:
            views.show_pickle(subject, frame, options.limit, out)


def _frames(subject: Subject, is_stream: bool, records: slice | None, policy: Policy) -> Iterator[Frame]:
    """Yield the frames that hold the records that are asked for, or else the first frame."""
    if is_stream:
        from .summary import select

        lost: list[SkippedRange] = []
        count = 0
        for frame in select(subject, policy, records or slice(0, 1), lost):
            count += 1
            yield frame
        if not count:
            if lost:
                raise lost[0].error
            if records is None:
                return  # a stream without frames
            raise UsageError("--records: the stream has no such records")
    else:
        if records is not None:
            raise UsageError("--records: this is an artifact, not a stream")
        header = peek(subject.source, policy=policy)
        length, stream_id, seq = header.frame_len, header.preamble.stream_id, header.preamble.seq
        yield Frame(0, length, stream_id, seq, 0, header.records or 1, header)


def _extract(subject: Subject, frame: Frame, options: argparse.Namespace, out: Output) -> None:
    """Write one section, decoded and checked, to a new file or to standard output."""
    from .frame import section_bytes

    index, entries = options.extract, frame.header.sections
    if not 0 <= index < len(entries):
        raise UsageError(f"--extract: expected 0 to {len(entries) - 1}, found {index}")
    entry = entries[index]
    length = entry.len if entry.raw_len is None else entry.raw_len
    target = options.output
    with subject.open() as file:
        pieces = section_bytes(file, frame.offset, frame.header, index)
        if target is None or target == STDIN:
            if out.form != "text":
                raise UsageError("--extract needs -o FILE with --json, --jsonl or --quiet")
            if sys.stdout.isatty():
                raise UsageError("--extract writes no bytes to a terminal; use -o FILE, or redirect the output")
            out.data(pieces)
            return
        _write_new(target, options.force, length, pieces)
    text = f"{path_text(target)}: section {index}, {length:,} bytes"
    out.result(
        {"path": subject.path, "ok": True, "code": None, "section": index, "size": length, "output": target}, text
    )


def _write_new(target: str, is_forced: bool, length: int, pieces: Iterator[bytes]) -> None:
    """Write a file, as a whole or not at all.

    Raises:
        UsageError: it exists and must not be replaced, or it can't be written.
    """
    from ..._io.atomic import replace_with, write_all

    if os.path.lexists(target) and not is_forced:
        raise UsageError(f"{target} exists already; --force replaces it")

    def write(descriptor: int) -> None:
        written = 0
        for piece in pieces:
            write_all(descriptor, [piece])
            written += len(piece)
        if written != length:
            raise LayoutError("the section has another length", length, written)

    try:
        replace_with(target, length, write)
    except OSError as exc:
        raise UsageError(f"-o {target}: {exc.strerror or exc}") from None
