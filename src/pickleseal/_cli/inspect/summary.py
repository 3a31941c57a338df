"""What `inspect` prints of an artifact or a stream as a whole, from headers alone. Sections are not read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..._files import peek
from ..._format.header import ClassSchema, Header
from ..._format.preamble import Preamble
from ..._policy import Policy
from ..._streams.scanner import Frame, SkippedRange
from ...errors import ReadError, TornTailError, TrailingBytesError, TruncatedError, printable
from ..inputs import Subject, lost_facts
from ..options import is_bound
from ..output import (
    Output,
    age_text,
    as_json,
    columns,
    cut_start,
    path_text,
    plural,
    progress,
    row,
    signatures_text,
    size_text,
)

_MOST_NAMES = 40  # globals, labels, packages or fields
_MOST_CLASSES = 20
_MOST_TYPES = 20
_MOST_EXT = 400  # characters


# --- artifacts --------------------------------------------------------------------------------------------------------


def show_artifact(subject: Subject, policy: Policy, out: Output) -> None:
    """Print the header of an artifact; if it is refused, what its preamble says."""
    size = subject.size()
    try:
        header = peek(subject.source, policy=policy)
    except ReadError as exc:
        preamble = subject.preamble() if exc.step >= 7 else None
        found: dict[str, Any] = {"kind": "artifact", "size": size}
        if preamble is not None:
            found["preamble"] = preamble._asdict()
        out.refuse(subject.path, exc, **found)
        if preamble is not None:
            out.text(*_preamble_lines(preamble, size, out))
        return
    lines = _header_lines(subject.path, header, is_bound(policy), out)
    found = {"kind": "artifact", "preamble": header.preamble._asdict(), **_header_facts(header), "size": size}
    found["in_context"] = is_bound(policy)
    error = _wrong_size(header, size)
    if error is None:
        out.result({"path": subject.path, "ok": True, "code": None, **found}, *lines, path=subject.path)
    else:
        out.refuse(subject.path, error, **found)
        out.text(*lines)


def _wrong_size(header: Header, size: int | None) -> ReadError | None:
    """Return the error of `verify` for a file whose length is wrong, or None."""
    if size is None or size == header.frame_len:
        return None
    if size < header.frame_len:
        return TruncatedError("the file ends within the frame", header.frame_len, size).at(16)
    return TrailingBytesError("bytes follow the frame", f"{header.frame_len} bytes", f"{size}").at(17)


def _header_facts(header: Header) -> dict[str, Any]:
    return {
        "header": header.as_dict(),
        "signatures": [list(pair) for pair in header.signatures],
        "verified": [list(pair) for pair in header.verified],
    }


def _header_lines(path: str, header: Header, in_context: bool, out: Output) -> list[str]:
    lines = [f"{out.style(path_text(path), 'bold')}: artifact, {size_text(header.frame_len)}"]
    version = f", version {header.version}" if header.version else ""
    lines += row(out, "type", f"{printable(header.type)}{version}")
    lines += row(out, "created", _created(header.created))
    lines += row(out, "build", _labels(header.build) or "(nothing)")
    if header.meta:
        lines += row(out, "meta", _labels(header.meta))
    lines += row(out, "payload", _payload(header))
    if header.records is not None:
        lines += row(out, "records", f"{header.records:,} in one batch")
    if header.preamble.stream_id:
        lines += row(out, "stream", f"{header.preamble.stream_id:016x}, frame {header.preamble.seq:,}")
    lines += row(out, "signed", _signed(header, in_context))
    imports = f"{len(header.globals)}: {_first_of(map(printable, header.globals), len(header.globals))}"
    lines += row(out, "imports", imports if header.globals else "nothing")
    if header.packages:
        lines += row(out, "packages", _labels(header.packages, " "))
    lines += _class_lines(header.types, out)
    for name, value in header.ext.items():
        lines += row(out, "ext", f"{printable(name)} {printable(as_json(value), _MOST_EXT)}")
    lines += row(out, "checked", "only the header; `pickleseal verify` checks the rest")
    return lines


def _preamble_lines(preamble: Preamble, size: int | None, out: Output) -> list[str]:
    lines = [out.style("  The preamble (its first 64 bytes) is whole:", "dim")]
    lengths = f"{preamble.frame_len:,} bytes; header {preamble.header_len:,}, seal {preamble.seal_len:,}"
    lines += row(out, "frame", lengths)
    if size is not None:
        lines += row(out, "file", f"{size:,} bytes")
    stream = f"{preamble.stream_id:016x}, frame {preamble.seq:,}" if preamble.stream_id else "none (standalone)"
    lines += row(out, "stream", stream)
    lines += row(out, "format", f"1.{preamble.version_minor}")
    return lines


def _created(created: str) -> str:
    return f"{created[:10]} {created[11:19]} UTC, {age_text(created)}"


def _signed(header: Header, in_context: bool) -> str:
    if header.verified:
        others = [pair for pair in header.signatures if pair not in header.verified]
        more = f"; not verified: {signatures_text(others)}" if others else ""
        return f"verified: {signatures_text(header.verified, in_context)}{more}"
    if header.signatures:
        return f"not verified: {signatures_text(header.signatures)}; --key verifies"
    return "no"


def _payload(header: Header) -> str:
    pickled, *buffers = header.sections
    text = f"pickle of protocol {header.protocol}, {size_text(pickled.len)}"
    if pickled.raw_len is not None:
        text += f" ({pickled.codec}, {size_text(pickled.raw_len)} decoded)"
    if buffers:
        text += f"; {plural(len(buffers), 'buffer')}, {size_text(sum(one.len for one in buffers))}"
        raw = sum(one.raw_len for one in buffers if one.raw_len is not None)
        if raw:
            text += f" ({size_text(raw + sum(one.len for one in buffers if one.raw_len is None))} decoded)"
    return text


def _labels(labels: Mapping[str, str], sign: str = "=") -> str:
    return _first_of((f"{printable(key)}{sign}{printable(value)}" for key, value in labels.items()), len(labels))


def _first_of(texts: Iterable[str], count: int) -> str:
    shown = [text for text, _ in zip(texts, range(_MOST_NAMES), strict=False)]
    if count > len(shown):
        shown.append(f"... and {count - len(shown):,} more (--json shows all)")
    return ", ".join(shown)


def _class_lines(types: Mapping[str, ClassSchema], out: Output) -> list[str]:
    lines: list[str] = []
    for name, schema in list(types.items())[:_MOST_CLASSES]:
        notes = [schema.kind]
        if schema.version:
            notes.append(f"version {schema.version}")
        if schema.state == "custom":
            notes.append("has pickling methods of its own")
        elif not schema.is_compared:
            notes.append("not compared")
        if schema.global_ != name:
            notes.append(f"was {printable(schema.global_)}")
        lines += row(out, "class", f"{printable(name)} ({', '.join(notes)})")
        defaults = dict(schema.defaults)
        sign = " = " if schema.kind == "enum" else ": "
        fields = (
            f"{printable(field)}{sign}{printable(text)}"
            + (f" = {printable(defaults[field])}" if field in defaults else "")
            for field, text in schema.fields
        )
        if schema.fields:
            lines += row(out, "", _first_of(fields, len(schema.fields)), 4)
        for verb, word in (("sets", "required"), ("may set", "optional")):
            names = [printable(attribute) for attribute, kind in schema.attributes or () if kind == word]
            if names:
                lines += row(out, "", f"{verb} {_first_of(names, len(names))}", 4)
    if len(types) > _MOST_CLASSES:
        lines += row(out, "", f"... and {len(types) - _MOST_CLASSES:,} more classes (--json shows all)")
    return lines


# --- streams ----------------------------------------------------------------------------------------------------------


def select(subject: Subject, policy: Policy, records: slice, lost: list[SkippedRange]) -> Iterator[Frame]:
    """Yield the frames that hold some records. Negative numbers count from the end. Damage is added to `lost`."""
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
    """Print a stream as a whole with its first frames, or the frames that hold some records."""
    if records is not None:
        _show_selected(subject, policy, records, limit, out)
        return
    lost: list[SkippedRange] = []
    shown: list[Frame] = []
    types: Counter[str] = Counter()
    streams: set[int] = set()
    frames = count = length = 0
    oldest = newest = ""
    claims: set[tuple[str, str]] = set()
    verified: set[tuple[str, str]] | None = None
    errors: list[ReadError] = []
    with progress(out, subject.size(), "bytes") as bar:
        try:
            for frame in subject.frames(policy, False, lost):
                frames, count, length = frames + 1, count + frame.records, length + frame.length
                types[frame.header.type] += frame.records
                streams.add(frame.stream_id)
                created = frame.header.created
                oldest, newest = min(oldest or created, created), max(newest, created)
                claims.update(frame.header.signatures)
                keys = set(frame.header.verified)
                verified = keys if verified is None else verified & keys
                if not limit or len(shown) < limit:
                    shown.append(frame)
                bar.advance(frame.length)
        except ReadError as exc:
            errors.append(exc)
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
        "in_context": is_bound(policy),
    }
    name = out.style(path_text(subject.path), "bold")
    lines = [f"{name}: stream, {size_text(length if size is None else size)}"]
    lines += row(out, "records", f"{count:,} in {plural(frames, 'frame')}")
    if frames:
        lines += row(out, "created", f"{oldest[:19].replace('T', ' ')} to {_created(newest)}")
    for kind, number in types.most_common(_MOST_TYPES):
        lines += row(out, "type", f"{printable(kind)}: {plural(number, 'record')}")
    if len(types) > _MOST_TYPES:
        lines += row(out, "", f"... and {len(types) - _MOST_TYPES:,} more types (--json shows all)")
    signed = f"not verified: {signatures_text(sorted(claims))}; --key verifies" if claims else "no"
    if verified:
        signed = f"headers verified: {signatures_text(sorted(verified), is_bound(policy))}"
    if frames or policy.keys is None:
        lines += row(out, "signed", signed)
    lines += row(out, "checked", "only the headers; `pickleseal verify` checks the rest")
    lines += _frame_lines(shown, frames, out)
    _print_stream(subject, errors, lost, shown, found, lines, out)


def _show_selected(subject: Subject, policy: Policy, records: slice, limit: int, out: Output) -> None:
    lost: list[SkippedRange] = []
    shown: list[Frame] = []
    is_cut = False
    for frame in select(subject, policy, records, lost):
        if limit and len(shown) >= limit:
            is_cut = True
            break
        shown.append(frame)
    lines = [f"{out.style(path_text(subject.path), 'bold')}: stream, selected frames"]
    lines += _frame_lines(shown, len(shown), out) or ["  no such records"]
    if is_cut:
        lines.append("  ... and more (--limit 0 shows all)")
    _print_stream(subject, [], lost, shown, {"kind": "stream"}, lines, out)


def _print_stream(
    subject: Subject,
    errors: list[ReadError],
    lost: list[SkippedRange],
    shown: list[Frame],
    found: dict[str, Any],
    lines: list[str],
    out: Output,
) -> None:
    found |= {"lost": lost_facts(lost), "shown": [_frame_facts(frame) for frame in shown]}
    errors = [*errors, *(one.error for one in lost)]
    if not errors:
        out.result({"path": subject.path, "ok": True, "code": None, **found}, *lines, path=subject.path)
        return
    if lines:
        out.text(*lines)
    out.refuse(subject.path, *errors, **found)
    for one in lost:
        if isinstance(one.error, TornTailError):
            out.text(
                f"  {plural(one.end - one.offset, 'byte')} torn, after the good end at byte {one.error.good_end:,}"
            )


def _frame_lines(frames: list[Frame], count: int, out: Output) -> list[str]:
    """Return a table of frames."""
    if not frames:
        return []
    rows = [("record", "offset", "bytes", f"{'created':<19}", "type")]
    for frame in frames:
        last = frame.record + frame.records - 1
        records = f"{frame.record:,}" if frame.records == 1 else f"{frame.record:,}-{last:,}"
        created = frame.header.created[:19].replace("T", " ")
        rows.append((records, f"{frame.offset:,}", f"{frame.length:,}", created, printable(frame.header.type)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    room = max(columns() - sum(widths) - 10, 16)
    lines = []
    for *cells, kind in rows:
        start = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append(f"  {start}  {cut_start(kind, room)}")
    lines[0] = out.style(lines[0], "dim")
    if count > len(frames):
        after = frames[-1].record + frames[-1].records
        lines.append(f"  ... and {plural(count - len(frames), 'more frame')}: --records {after}:")
    return lines


def _frame_facts(frame: Frame) -> dict[str, Any]:
    return {
        "offset": frame.offset,
        "length": frame.length,
        "stream_id": f"{frame.stream_id:016x}",
        "seq": frame.seq,
        "record": frame.record,
        "records": frame.records,
        **_header_facts(frame.header),
    }
