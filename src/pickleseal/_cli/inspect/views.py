"""What `inspect` prints of an opened frame: its layout to scale, its bytes, its opcodes."""

from typing import Any

from ..._format.codec import check_codec, decompressed_chunks
from ..._format.header import Header, fields_of
from ..._format.preamble import PREAMBLE_SIZE
from ..._streams.reader import Frame
from ...errors import ReadError, printable
from ..inputs import Subject, with_way_out
from ..output import Output, bar, columns, cut, hex_row, hex_width, plural, size_text
from .frame import Region, check_section, dump, read_at, regions, taker
from .opcodes import Take, opcodes

__all__ = ["show_hex", "show_layout", "show_pickle"]

_MOST_DECODED = 1 << 26  # bytes of a compressed pickle that are decoded to be listed
_COLORS = {"preamble": "cyan", "header": "blue", "seal": "yellow", "padding": "dim"}
_INDENT = 2
_DEEPEST = 20  # marks that are shown by indentation


def show_layout(subject: Subject, frame: Frame, limit: int, out: Output) -> None:
    """Draw a frame to scale, one line for each region; programs get all of them."""
    header = frame.header
    with subject.open() as file:
        text = read_at(file, frame.offset + PREAMBLE_SIZE, header.preamble.header_len)
    parts = regions(header, len(text.rstrip(b" ")))
    found = {
        "path": subject.path,
        "ok": True,
        "code": None,
        "offset": frame.offset,
        "frame_len": header.frame_len,
        "regions": [region._asdict() for region in parts],
    }
    out.result(found, *_layout_lines(subject, frame, parts, limit, out), path=subject.path)


def _layout_lines(subject: Subject, frame: Frame, parts: list[Region], limit: int, out: Output) -> list[str]:
    whole = frame.header.frame_len
    labels = [f"{part.name}: {part.note}" if part.note else part.name for part in parts]
    number = max(len(f"{whole:,}"), 6)
    label = min(max(map(len, labels)), 48)
    width = columns() - 2 * number - label - 8
    if width < 8:
        label, width = label - (8 - width), 8
    padding = sum(part.length for part in parts if part.name == "padding")
    lines = [f"{printable(subject.path, 4096)}: {size_text(whole)}, of which {plural(padding, 'byte')} of padding"]
    lines.append(out.style(f"  {'offset':>{number}}  {'bytes':>{number}}  region", "dim"))
    for index, (part, said) in enumerate(zip(parts, labels, strict=True)):
        if limit and index >= limit:
            lines.append(
                f"  {frame.offset + part.offset:>{number},}  ... {len(parts) - index:,} more: --limit 0 shows all"
            )
            break
        style = _COLORS.get(part.name, "green")
        drawn = bar(part.length, whole, width)
        shown = said if len(said) <= label else f"{said[: label - 3]}..."
        line = f"  {frame.offset + part.offset:>{number},}  {part.length:>{number},}  {shown:<{label}}"
        is_drawn = drawn and part.name != "padding"
        lines.append(f"{line}  {out.style(drawn, style)}" if is_drawn else line.rstrip())
    lines.append(f"  {frame.offset + whole:>{number},}  {'':>{number}}  end")
    return lines


def show_hex(
    subject: Subject, start: int, header: Header | None, limit: int, out: Output, refusal: ReadError | None
) -> None:
    """Dump a frame with the meaning of its bytes; where its header is refused, as far as that goes."""
    rows: list[dict[str, Any]] = []
    if refusal is not None and out.form == "text":
        out.refuse(subject.path, with_way_out(refusal, subject.path))
    out.text(out.style(f"offset  {'bytes':<{3 * hex_width() - 1}}  meaning", "dim"))
    with subject.open() as file:
        for row in dump(file, start, header, limit, hex_width()):
            if row.more:
                count = plural(row.more, "byte") if row.more > 0 else "bytes"
                out.text(out.style(f"{row.offset:06x}  ... {count} more: --limit 0 shows all", "dim"))
            elif out.form == "text":
                out.text(hex_row(f"{row.offset:06x}", row.data, printable(row.note), row.is_text))
            if out.form in ("json", "jsonl"):
                rows.append({"offset": row.offset, "bytes": row.data.hex(), "meaning": row.note, "more": row.more})
    if refusal is not None and out.form != "text":
        out.refuse(subject.path, with_way_out(refusal, subject.path), rows=rows)
    elif refusal is None and out.form != "text":
        out.result({"path": subject.path, "ok": True, "code": None, "rows": rows}, path=subject.path)


def show_pickle(subject: Subject, frame: Frame, limit: int, out: Output) -> None:
    """List the opcodes of the payload, after its checksums were compared. Runs none of them."""
    header = frame.header
    entry = fields_of(header)["sections"][0]
    with subject.open() as file:
        offset = check_section(file, frame.offset, header, 0)
        is_whole = True
        if "codec" in entry:
            check_codec(entry["codec"], "sections[0]")
            data, is_whole = _decoded(entry, read_at(file, offset, entry["len"]))
            take, length = _from_bytes(data), len(data)
        else:
            take, length = taker(file, offset, entry["len"]), entry["len"]
        rows: list[dict[str, Any]] = []
        title = f"{printable(subject.path, 4096)}: pickle of protocol {header.protocol}, {size_text(length)}: not run"
        out.text(title + ("" if is_whole else f", the first of {size_text(entry['raw_len'])}"))
        count = 0
        for opcode in opcodes(take, length):
            if limit and count >= limit:
                left = length - opcode.offset
                rows.append({"offset": opcode.offset, "more": left})
                out.text(out.style(f"{opcode.offset:>8}  ... {plural(left, 'byte')} more: --limit 0 shows all", "dim"))
                break
            count += 1
            if out.form == "text":
                indent = " " * (_INDENT * min(opcode.depth, _DEEPEST))
                said = " ".join(part for part in (opcode.name, opcode.argument) if part)
                line = cut(f"{opcode.offset:>8}  {indent}{said}")
                problem = f": {opcode.problem}" if opcode.problem is not None else ""
                out.text(line + out.style(problem, "red") if problem else line)
            if out.form in ("json", "jsonl"):
                rows.append({name: value for name, value in opcode._asdict().items() if name != "depth"})
    found = {"path": subject.path, "ok": True, "code": None, "protocol": header.protocol, "size": length}
    out.result({**found, "opcodes": rows}, path=subject.path)


def _decoded(entry: dict[str, Any], stored: bytes) -> tuple[bytes, bool]:
    """Return the beginning of a compressed section, and whether that is all of it."""
    parts, size = [], 0
    for chunk in decompressed_chunks(entry, stored, "sections[0]"):
        parts.append(chunk)
        size += len(chunk)
        if size >= _MOST_DECODED:
            return b"".join(parts), size == entry["raw_len"]
    return b"".join(parts), True


def _from_bytes(data: bytes) -> Take:
    return lambda offset, count: data[offset : offset + count]
