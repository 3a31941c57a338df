"""Show what an artifact or stream says of itself. Nothing is imported, unpickled or run.

The header is checked, the rest is not: `pickleseal verify` does that. What is damaged is shown as far as it can be
trusted. --pickle and --extract check the section that they show first.

    pickleseal inspect model.pseal
    pickleseal inspect model.pseal --layout
    pickleseal inspect events.pseal --records=-10:
    pickleseal inspect model.pseal --extract 1 -o weights.bin
"""

import argparse
import os
import sys
from collections.abc import Iterator
from typing import Any

from ..._files import peek
from ..._format.header import Header
from ..._policy import Policy
from ..._streams.reader import Frame
from ..._streams.scanner import Lost
from ...errors import LayoutError, ReadError, TrailingBytesError, TruncatedError, printable
from ..inputs import FORMS, STDIN, Subject, Target, expand, opened, quietly, with_way_out
from ..options import add_key_arguments, ring_of
from ..output import Output, UsageError

__all__ = ["add_arguments", "run"]

_LIMIT = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, folder, pattern, URL, or -")
    view = parser.add_mutually_exclusive_group()
    view.add_argument("--layout", action="store_true", help="draw the frame to scale: regions, offsets, padding")
    view.add_argument("--hex", action="store_true", help="dump the bytes with their meaning")
    view.add_argument("--pickle", action="store_true", help="list the payload's opcodes, running none")
    view.add_argument("--extract", type=int, metavar="N", help="write section N, decoded: 0 is the pickle")
    parser.add_argument("-o", "--output", metavar="FILE", help="where --extract writes to; standard output if missing")
    parser.add_argument("--force", action="store_true", help="replace the file of -o")
    parser.add_argument("--records", metavar="A:B", help="of a stream: from record A to before B, as in Python; or one")
    parser.add_argument(
        "--limit",
        type=int,
        default=_LIMIT,
        metavar="N",
        help=f"regions, rows of each, opcodes, or frames; 0: all ({_LIMIT})",
    )
    parser.add_argument("--as", dest="form_of", choices=FORMS, default="auto", help="what each of them is")
    add_key_arguments(parser, "to verify the signatures of headers")


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    if options.limit < 0:
        raise UsageError("--limit: expected no negative number")
    if options.extract is None and (options.output is not None or options.force):
        raise UsageError("-o and --force: only with --extract")
    policy = Policy(keys=ring_of(options))
    targets = list(expand(options.paths))
    if options.extract is not None and len(targets) != 1:
        raise UsageError("--extract: expected one file")
    is_first = True
    for target in targets:
        if not is_first:
            out.text()
        is_first = False
        with quietly():
            _inspect(target, options, policy, out)


def _inspect(target: Target, options: argparse.Namespace, policy: Policy, out: Output) -> None:
    path = target.path
    try:
        with opened(target) as subject:
            path = subject.path
            is_stream = options.form_of == "stream" or (options.form_of == "auto" and subject.is_stream())
            if options.layout or options.hex or options.pickle or options.extract is not None:
                _open_up(subject, is_stream, options, policy, out)
            elif is_stream:
                from .stream import show_stream

                show_stream(subject, policy, _records(options), options.limit, out)
            else:
                _show_artifact(subject, policy, out)
    except (ReadError, OSError, ValueError) as exc:
        out.refuse(path, with_way_out(exc, path))


def _records(options: argparse.Namespace) -> slice | None:
    """Return which records are asked for.

    Raises:
        UsageError: it is no range.
    """
    if options.records is None:
        return None
    first, colon, last = options.records.partition(":")
    try:
        begin = int(first) if first else None
        end = int(last) if last else None
    except ValueError:
        raise UsageError(f"--records: expected A:B, or one number, found {options.records}") from None
    if not colon and begin is not None:
        return slice(begin, begin + 1 or None)
    return slice(begin, end)


# --- one artifact -----------------------------------------------------------------------------------------------------


def _show_artifact(subject: Subject, policy: Policy, out: Output) -> None:
    from .header import header_lines, preamble_lines

    size = subject.size()
    try:
        header = _peek(subject, policy)
    except ReadError as exc:
        preamble = subject.preamble() if exc.step >= 7 else None
        found: dict[str, Any] = {"kind": "artifact", "size": size}
        if preamble is not None:
            found["preamble"] = preamble._asdict()
        out.refuse(subject.path, with_way_out(exc, subject.path), **found)
        for line in preamble_lines(preamble, size, out) if preamble is not None else ():
            out.text(line)
        return
    lines = header_lines(subject.path, header, size, out)
    found = facts(header) | {"size": size}
    error = _wrong_size(header, size)
    if error is None:
        out.result({"path": subject.path, "ok": True, "code": None, **found}, *lines, path=subject.path)
    else:
        out.refuse(subject.path, error, **found)
        for line in lines:
            out.text(line)


def _peek(subject: Subject, policy: Policy) -> Header:
    return peek(subject.local if subject.local is not None else str(subject.url), policy=policy)


def _wrong_size(header: Header, size: int | None) -> ReadError | None:
    """Return what is wrong about the length of an artifact, if anything: what `verify` would say of an intact head."""
    if size is None or size == header.frame_len:
        return None
    if size < header.frame_len:
        return TruncatedError("the file ends within the frame", header.frame_len, size).at(16)
    return TrailingBytesError("bytes follow the frame", f"{header.frame_len} bytes", f"{size}").at(17)


def facts(header: Header) -> dict[str, Any]:
    """Return what a header says, for JSON."""
    return {
        "kind": "artifact",
        "preamble": header.preamble._asdict(),
        "header": header.as_dict(),
        "signatures": [list(pair) for pair in header.signatures],
        "verified": [list(pair) for pair in header.verified],
    }


# --- frames, opened up ------------------------------------------------------------------------------------------------


def _chosen(subject: Subject, is_stream: bool, options: argparse.Namespace, policy: Policy) -> Iterator[Frame]:
    """Give the frames that are asked for: those of --records, else the first one."""
    records = _records(options)
    if is_stream:
        from .stream import select

        lost: list[Lost] = []
        count = 0
        for frame in select(subject, policy, records or slice(0, 1), lost):
            count += 1
            yield frame
        if not count:
            if lost:
                raise lost[0].error
            raise UsageError("--records: there are none")
    else:
        if records is not None:
            raise UsageError("--records: this is no stream")
        header = _peek(subject, policy)
        length, stream_id, seq = header.frame_len, header.preamble.stream_id, header.preamble.seq
        yield Frame(0, length, stream_id, seq, 0, header.records or 1, header)


def _open_up(subject: Subject, is_stream: bool, options: argparse.Namespace, policy: Policy, out: Output) -> None:
    from . import views

    if options.hex and not is_stream:  # also of what is refused
        refusal: ReadError | None = None
        header = None
        try:
            header = _peek(subject, policy)
        except ReadError as exc:
            refusal = exc
        views.show_hex(subject, 0, header, options.limit, out, refusal)
        return
    for number, frame in enumerate(_chosen(subject, is_stream, options, policy)):
        if options.extract is not None:
            if number:
                raise UsageError("--extract: expected one frame; --records N names one")
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
                raise UsageError("--extract: to standard output, or JSON; -o FILE leaves room for both")
            if sys.stdout.isatty():
                raise UsageError("--extract: these bytes are not for a terminal; -o FILE, or redirect them")
            out.data(pieces)
            return
        _write_new(target, options.force, length, pieces)
    text = f"{printable(target, 4096)}: section {index}, {length:,} bytes"
    out.result(
        {"path": subject.path, "ok": True, "code": None, "section": index, "size": length, "output": target}, text
    )


def _write_new(target: str, is_forced: bool, length: int, pieces: Iterator[bytes]) -> None:
    """Write a file, atomically.

    Raises:
        UsageError: it is there already, and is not to be replaced; or it can't be written.
    """
    from ..._io.atomic import replace_with, write_all

    if os.path.lexists(target) and not is_forced:
        raise UsageError(f"{target}: is there already; --force replaces it")

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
