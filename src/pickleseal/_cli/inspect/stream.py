"""What `inspect` prints of a stream: what is in it as a whole, and its frames one by one, by their headers alone."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..._policy import Policy
from ..._streams.reader import Frame
from ..._streams.scanner import Lost
from ...errors import ReadError, TornTailError, printable
from ..inputs import Subject, refuse_more, with_way_out
from ..output import Output, columns, plural, progress, row, signatures_text, size_text
from .header import when

__all__ = ["select", "show_stream"]

_MOST_TYPES = 20


def select(subject: Subject, policy: Policy, records: slice, lost: list[Lost]) -> Iterator[Frame]:
    """Give the frames that hold some records. Numbers count from the end where they are negative."""
    begin, end = records.start or 0, records.stop
    if begin < 0 or (end is not None and end < 0):
        total = sum(frame.records for frame in subject.frames(policy, False, []))
        begin, end, _ = records.indices(total)
    for frame in subject.frames(policy, False, lost, begin):
        if end is not None and frame.record >= end:
            return
        if frame.record + frame.records > begin:
            yield frame


def show_stream(subject: Subject, policy: Policy, records: slice | None, limit: int, out: Output) -> None:
    """Print a stream: as a whole and its first frames, or the frames that hold some records."""
    if records is not None:
        _show_selected(subject, policy, records, limit, out)
        return
    lost: list[Lost] = []
    shown: list[Frame] = []
    types: Counter[str] = Counter()
    streams: set[int] = set()
    frames = count = length = 0
    oldest = newest = ""
    claims: set[tuple[str, str]] = set()
    verified: set[tuple[str, str]] | None = None
    error: ReadError | None = None
    with progress(out, subject.size(), "bytes") as bar:
        try:
            for frame in subject.frames(policy, False, lost):
                frames, count, length = frames + 1, count + frame.records, length + frame.length
                types[frame.header.type] += frame.records
                streams.add(frame.stream_id)
                stamp = frame.header.created
                oldest, newest = min(oldest or stamp, stamp), max(newest, stamp)
                claims.update(frame.header.signatures)
                keys = set(frame.header.verified)
                verified = keys if verified is None else verified & keys
                if not limit or len(shown) < limit:
                    shown.append(frame)
                bar.advance(frame.length)
        except ReadError as exc:
            error = exc
    errors = [*([error] if error is not None else []), *(one.error for one in lost)]
    size = subject.size()
    found: dict[str, Any] = {
        "kind": "stream",
        "size": size,
        "frames": frames,
        "records": count,
        "types": dict(types),
        "stream_ids": [f"{one:016x}" for one in sorted(streams)],
        "created": [oldest, newest] if frames else [],
        "signatures": sorted(map(list, claims)),
        "verified": sorted(map(list, verified or ())),
        "lost": [_lost(one) for one in lost],
        "shown": [_facts(frame) for frame in shown],
    }
    name = out.style(printable(subject.path, 4096), "bold")
    lines = [f"{name}: stream, {size_text(length if size is None else size)}"]
    lines += row(out, "records", f"{count:,} in {plural(frames, 'frame')}")
    if frames:
        lines += row(out, "created", f"{oldest[:19].replace('T', ' ')} to {when(newest)}")
    for kind, number in types.most_common(_MOST_TYPES):
        lines += row(out, "type", f"{printable(kind)}: {plural(number, 'record')}")
    if len(types) > _MOST_TYPES:
        lines += row(out, "", f"... and {len(types) - _MOST_TYPES:,} more types: --json has all")
    signed = f"not verified: {signatures_text(sorted(claims))}; --key verifies" if claims else "no"
    if verified:
        signed = f"headers verified: {signatures_text(sorted(verified))}"
    lines += row(out, "signed", signed)
    lines += row(out, "checked", "headers alone; `pickleseal verify` checks the rest")
    lines += _frame_lines(shown, frames, out)
    _give(subject, errors, lost, found, lines, out)


def _show_selected(subject: Subject, policy: Policy, records: slice, limit: int, out: Output) -> None:
    lost: list[Lost] = []
    shown: list[Frame] = []
    is_cut = False
    for frame in select(subject, policy, records, lost):
        if limit and len(shown) >= limit:
            is_cut = True
            break
        shown.append(frame)
    found = {"kind": "stream", "lost": [_lost(one) for one in lost], "shown": [_facts(frame) for frame in shown]}
    lines = [f"{out.style(printable(subject.path, 4096), 'bold')}: stream, some of its frames"]
    lines += _frame_lines(shown, len(shown), out)
    if is_cut:
        lines.append("  ... more: --limit 0 shows all")
    _give(subject, [one.error for one in lost], lost, found, lines, out)


def _give(
    subject: Subject, errors: list[ReadError], lost: list[Lost], found: dict[str, Any], lines: list[str], out: Output
) -> None:
    if not errors:
        out.result({"path": subject.path, "ok": True, "code": None, **found}, *lines, path=subject.path)
        return
    for line in lines:
        out.text(line)
    out.refuse(subject.path, with_way_out(errors[0], subject.path), **found)
    refuse_more(out, subject.path, errors[1:])
    for one in lost:
        if isinstance(one.error, TornTailError):
            out.text(f"  the good end is at byte {one.error.good_end:,}: {one.end - one.offset:,} bytes are torn")


def _frame_lines(frames: list[Frame], count: int, out: Output) -> list[str]:
    """Return a table of frames."""
    lines = [out.style(f"  {'record':>15}  {'offset':>13}  {'bytes':>11}  {'created':<19}  type", "dim")]
    room = columns() - 69
    for frame in frames:
        last = frame.record + frame.records - 1
        which = f"{frame.record:,}" if frame.records == 1 else f"{frame.record:,}-{last:,}"
        kind = printable(frame.header.type)
        if len(kind) > max(room, 16):
            kind = f"...{kind[3 - max(room, 16) :]}"
        stamp = frame.header.created[:19].replace("T", " ")
        lines.append(f"  {which:>15}  {frame.offset:>13,}  {frame.length:>11,}  {stamp}  {kind}")
    if count > len(frames):
        after = frames[-1].record + frames[-1].records if frames else 0
        lines.append(f"  ... {plural(count - len(frames), 'frame')} more: --records {after}:")
    return lines


def _lost(one: Lost) -> dict[str, Any]:
    return {"offset": one.offset, "end": one.end, "code": one.error.code, "records": one.records}


def _facts(frame: Frame) -> dict[str, Any]:
    return {
        "offset": frame.offset,
        "length": frame.length,
        "stream_id": f"{frame.stream_id:016x}",
        "seq": frame.seq,
        "record": frame.record,
        "records": frame.records,
        "header": frame.header.as_dict(),
        "signatures": [list(pair) for pair in frame.header.signatures],
        "verified": [list(pair) for pair in frame.header.verified],
    }
