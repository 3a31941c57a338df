"""What `inspect` shows of one frame: its layout to scale, its bytes with their meaning, its opcodes, one section.

Bytes are read and drawn here. Nothing is unpickled. `tour` uses it too.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from ..._format.checksum import checksum
from ..._format.codec import check_codec, decompressed_chunks
from ..._format.frame import SectionCheck, check_section, padding_of
from ..._format.header import Header, fields_of
from ..._format.limits import Limits
from ..._format.preamble import MAGIC, PREAMBLE_SIZE, Preamble, decode_preamble
from ..._io.source import FileSource
from ..._streams.scanner import Frame
from ...errors import ReadError, printable
from ..inputs import Subject
from ..output import Output, bar, columns, cut, path_text, plural, size_text
from .opcodes import Instruction, Take, instructions

_UNLIMITED = Limits()
_CHUNK = 1 << 20
_READ_AHEAD = 1 << 14
_MOST_DECODED = 1 << 26  # bytes of a compressed pickle that are decoded for a list of its opcodes
_COLORS = {"preamble": "cyan", "header": "blue", "seal": "yellow", "padding": "dim"}
_INDENT = 2
_DEEPEST = 20  # open marks that are shown by indentation


# --- reading ----------------------------------------------------------------------------------------------------------


def _read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    """Return `count` bytes from an offset, or fewer if the file ends."""
    file.seek(offset)
    parts, missing = [], count
    while missing > 0 and (part := file.read(min(missing, _CHUNK))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _reader(file: BinaryIO, start: int, length: int) -> Take:
    """Return a function that reads from a part of a file, by offset. It reads ahead, because opcodes are short."""
    window: list[Any] = [0, b""]

    def take(offset: int, count: int) -> bytes:
        count = max(0, min(count, length - offset))
        begin = offset - window[0]
        if begin < 0 or begin + count > len(window[1]):
            window[:] = offset, _read_at(file, start + offset, min(max(count, _READ_AHEAD), length - offset))
            begin = 0
        data: bytes = window[1][begin : begin + count]
        return data

    return take


def section_bytes(file: BinaryIO, start: int, header: Header, index: int) -> Iterator[bytes]:
    """Yield a section of the frame at `start` in pieces, decoded. Its checksums are compared before.

    Raises:
        ReadError: steps 14, 16 and 18 of spec section 11, for this section.
    """
    entry = fields_of(header)["sections"][index]
    offset = _check_in_file(file, start, header, index)
    if "codec" in entry:
        check_codec(entry["codec"], f"sections[{index}]")
        stored = _read_at(file, offset, entry["len"])
        check_section(index, entry, stored, b"")  # the file may have changed after the first check
        yield from decompressed_chunks(entry, stored, f"sections[{index}]")
        return
    again, left = SectionCheck(index, entry), entry["len"]
    while left:
        chunk = _read_at(file, offset, min(left, _CHUNK))
        if not chunk:
            break
        again.update(chunk)
        yield chunk
        offset, left = offset + len(chunk), left - len(chunk)
    again.finish(b"")


def _check_in_file(file: BinaryIO, start: int, header: Header, index: int) -> int:
    """Check a section of the frame at `start`, and return its offset in the file.

    Raises:
        ReadError: step 16 of spec section 11, for this section.
    """
    entries = fields_of(header)["sections"]
    entry = entries[index]
    before = sum(one["len"] + padding_of(one["len"]) for one in entries[:index])
    offset: int = start + header.preamble.head_len + before
    file.seek(offset)
    FileSource(file, whole=False).section(index, entry, False)
    return offset


# --- layout -----------------------------------------------------------------------------------------------------------


class _Region(NamedTuple):
    """A part of a frame. The offset is counted from the start of the frame."""

    name: str
    offset: int
    length: int
    note: str = ""


def regions(header: Header, text_len: int) -> list[_Region]:
    """Return all parts of a frame, with padding. `text_len` is the length of the header without its padding."""
    preamble = header.preamble
    found = [_Region("preamble", 0, PREAMBLE_SIZE), _Region("header", PREAMBLE_SIZE, text_len)]
    if text_len < preamble.header_len:
        found.append(_Region("padding", PREAMBLE_SIZE + text_len, preamble.header_len - text_len))
    if preamble.seal_len:
        found.append(_Region("seal", PREAMBLE_SIZE + preamble.header_len, preamble.seal_len))
    offset = preamble.head_len
    for index, section in enumerate(header.sections):
        notes = [f"pickle, protocol {header.protocol}" if not index else "buffer"]
        if section.readonly:
            notes.append("read-only")
        if section.codec is not None:
            notes.append(f"{section.codec}, {section.raw_len:,} bytes decoded")
        found.append(_Region(f"section {index}", offset, section.len, ", ".join(notes)))
        padding = padding_of(section.len)
        if padding:
            found.append(_Region("padding", offset + section.len, padding))
        offset += section.len + padding
    return found


def show_layout(subject: Subject, frame: Frame, limit: int, out: Output) -> None:
    """Draw a frame to scale, with a line for each region."""
    header = frame.header
    with subject.open() as file:
        text = _read_at(file, frame.offset + PREAMBLE_SIZE, header.preamble.header_len)
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


def _layout_lines(subject: Subject, frame: Frame, parts: list[_Region], limit: int, out: Output) -> list[str]:
    whole = frame.header.frame_len
    labels = [f"{part.name}: {part.note}" if part.note else part.name for part in parts]
    number = max(len(f"{whole:,}"), 6)
    label = min(max(map(len, labels)), 48)
    width = columns() - 2 * number - label - 8
    if width < 8:
        label, width = label - (8 - width), 8
    padding = sum(part.length for part in parts if part.name == "padding")
    lines = [f"{path_text(subject.path)}: {size_text(whole)}, of which {plural(padding, 'byte')} are padding"]
    lines.append(out.style(f"  {'offset':>{number}}  {'bytes':>{number}}  region", "dim"))
    for index, (part, name) in enumerate(zip(parts, labels, strict=True)):
        if limit and index >= limit:
            lines.append(
                f"  {frame.offset + part.offset:>{number},}  ... and {len(parts) - index:,} more (--limit 0 shows all)"
            )
            break
        style = _COLORS.get(part.name, "green")
        drawn = bar(part.length, whole, width)
        line = f"  {frame.offset + part.offset:>{number},}  {part.length:>{number},}  {cut(name, label):<{label}}"
        is_drawn = drawn and part.name != "padding"
        lines.append(f"{line}  {out.style(drawn, style)}" if is_drawn else line.rstrip())
    lines.append(f"  {frame.offset + whole:>{number},}  {'':>{number}}  end")
    return lines


# --- bytes ------------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """A row of a dump; or, if `more` is not 0, the number of bytes that are left out there (-1: not known)."""

    offset: int
    data: bytes
    note: str
    is_text: bool = False
    more: int = 0


def show_hex(
    subject: Subject, start: int, header: Header | None, limit: int, out: Output, refusal: ReadError | None
) -> None:
    """Dump a frame with the meaning of its bytes, as far as it is known if the header is refused."""
    rows: list[dict[str, Any]] = []
    if refusal is not None and out.form == "text":
        out.refuse(subject.path, refusal)
    width = _bytes_in_row()
    out.text(out.style(f"offset  {'bytes':<{3 * width - 1}}  meaning", "dim"))
    with subject.open() as file:
        for row in _dump(file, start, header, limit, width):
            if row.more:
                more = plural(row.more, "more byte") if row.more > 0 else "more bytes"
                out.text(out.style(f"{row.offset:06x}  ... and {more} (--limit 0 shows all)", "dim"))
            elif out.form == "text":
                out.text(_row_text(row, width))
            if out.is_json:
                rows.append({"offset": row.offset, "bytes": row.data.hex(), "meaning": row.note, "more": row.more})
    if out.form == "text":
        return
    if refusal is not None:
        out.refuse(subject.path, refusal, rows=rows)
    else:
        out.result({"path": subject.path, "ok": True, "code": None, "rows": rows}, path=subject.path)


def _bytes_in_row() -> int:
    """Return how many bytes a row of a dump has: 16, or 8 if their meaning does not fit beside them."""
    return 16 if columns() >= 100 else 8


def _row_text(row: _Row, width: int) -> str:
    """Return one row of a dump, as in appendix A of the spec, cut at the edge of the terminal."""
    note = printable(row.note)
    if row.is_text:
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row.data)
        note = f"{text:<{width + 2}}{note}"
    return cut(f"{row.offset:06x}  {row.data.hex(' '):<{3 * width - 1}}  {note}".rstrip(), max(columns(), 80))


def _dump(file: BinaryIO, start: int, header: Header | None, limit: int, width: int) -> Iterator[_Row]:
    """Yield the bytes of the frame at `start` with their meaning, as in appendix A of the spec.

    Args:
        header: None if it is refused; then the sections have no meaning.
        limit: rows for each region; 0: all.
        width: bytes in a row.
    """
    first = _read_at(file, start, PREAMBLE_SIZE)
    if len(first) < PREAMBLE_SIZE or not first.startswith(MAGIC):
        yield from _plain_rows(file, start, "not an artifact", limit, width)
        return
    try:
        preamble = decode_preamble(first, _UNLIMITED)
    except ReadError as exc:
        yield from _preamble_rows(start, first, f"refused: {exc.code}", width)
        yield from _plain_rows(file, start + PREAMBLE_SIZE, "not interpreted", limit, width)
        return
    yield from _preamble_rows(start, first, "", width)
    yield from _head_rows(file, start, preamble, header, limit, width)
    if header is None:
        offset = start + preamble.head_len
        yield from _plain_rows(file, offset, "not interpreted, as the header is refused", limit, width)
        return
    parts = [region for region in regions(header, 0) if region.offset >= preamble.head_len]
    for index, region in enumerate(parts):
        offset = start + region.offset
        if limit and index >= limit:
            yield _Row(offset, b"", "", more=header.frame_len - region.offset)
            return
        if region.name == "section 0" and header.sections[0].codec is None:
            yield from _opcode_rows(file, offset, region, limit, width)
        elif region.name == "padding":
            is_zero = not _read_at(file, offset, region.length).strip(b"\0")
            note = f"{region.length} {'zero bytes' if is_zero else 'bytes, NOT ZERO,'} of padding"
            yield from _rows(file, offset, region.length, note, limit, width)
        else:
            yield from _rows(file, offset, region.length, f"{region.name}: {region.note}", limit, width)


def _preamble_rows(start: int, data: bytes, refusal: str, width: int) -> Iterator[_Row]:
    def number(begin: int, end: int) -> int:
        return int.from_bytes(data[begin:end], "little")

    header_len, seal_len, stream_id = number(24, 28), number(28, 32), number(40, 48)
    right, is_wide = checksum(data[:56]), width >= 16
    notes = [
        (0, 8, "magic"),
        (8, 10, f"version_major = {number(8, 10)}"),
        (10, 12, f"version_minor = {number(10, 12)}"),
        (12, 16, f"incompat_flags = {number(12, 16)}"),
        (16, 24, f"frame_len = {number(16, 24)}"),
        (24, 28, f"header_len = {header_len}"),
        (28, 32, f"seal_len = {seal_len}" + ("" if seal_len else ": no seal")),
        (32, 40, f"header_xxh3 = {number(32, 40):016x}" + (f", over bytes 64-{63 + header_len}" if is_wide else "")),
        (40, 48, f"stream_id = {stream_id:016x}" if stream_id else "stream_id = 0: standalone"),
        (48, 56, f"seq = {number(48, 56)}"),
        (56, 64, f"preamble_xxh3 = {number(56, 64):016x}" + (", over bytes 0-55" if is_wide else "")),
    ]
    for begin, end, note in notes:
        if begin == 56 and number(56, 64) != right:
            note += ": WRONG" + (f", they have {right:016x}" if is_wide else "")
        elif begin == 56 and refusal:
            note += f"; {refusal}"
        yield _Row(start + begin, data[begin:end], note)


def _head_rows(
    file: BinaryIO, start: int, preamble: Preamble, header: Header | None, limit: int, width: int
) -> Iterator[_Row]:
    offset = start + PREAMBLE_SIZE
    data = _read_at(file, offset, preamble.header_len)
    is_right = checksum(data) == preamble.header_xxh3
    text_len = len(data.rstrip(b" "))
    note = "header: canonical JSON" if is_right else "header: WRONG checksum"
    if is_right and header is None:
        note = "header: refused"
    yield from _rows(file, offset, text_len, note, limit, width, is_text=True)
    if text_len < len(data):
        yield from _rows(
            file, offset + text_len, len(data) - text_len, f"{len(data) - text_len} spaces of padding", 0, width
        )
    if preamble.seal_len:
        offset += preamble.header_len
        seal = _read_at(file, offset, preamble.seal_len)
        right = int.from_bytes(seal[:8], "little") == checksum(seal[8:])
        yield from _rows(file, offset, 8, "seal: checksum" + ("" if right else ": WRONG"), limit, width)
        text_len = len(seal[8:].rstrip(b" "))
        yield from _rows(file, offset + 8, text_len, "seal: signatures", limit, width, is_text=True)
        left = len(seal) - 8 - text_len
        if left > 0:
            yield from _rows(file, offset + 8 + text_len, left, f"{left} spaces of padding", 0, width)


def _opcode_rows(file: BinaryIO, offset: int, region: _Region, limit: int, width: int) -> Iterator[_Row]:
    rows = 0
    for opcode in instructions(_reader(file, offset, region.length), region.length):
        if not opcode.length:
            break
        if limit and rows >= limit:
            yield _Row(offset + opcode.offset, b"", "", more=region.length - opcode.offset)
            return
        for row in _rows(
            file, offset + opcode.offset, opcode.length, f"pickle: {_opcode_note(opcode)}", 4 if limit else 0, width
        ):
            rows += 1
            yield row


def _opcode_note(opcode: Instruction) -> str:
    text = " ".join(part for part in (opcode.name, opcode.argument) if part)
    return text if opcode.problem is None else f"{text}: {opcode.problem}".lstrip(": ")


def _plain_rows(file: BinaryIO, offset: int, note: str, limit: int, width: int) -> Iterator[_Row]:
    """Yield the rows from an offset to the end of the file, for a region of unknown length."""
    position = 0
    while data := _read_at(file, offset + position, limit * width + 1 - position if limit else _CHUNK):
        for at in range(0, len(data), width):
            if limit and position + at >= limit * width:
                yield _Row(offset + position + at, b"", "", more=-1)
                return
            yield _Row(offset + position + at, data[at : at + width], "" if position + at else note, True)
        position += len(data)


def _rows(
    file: BinaryIO, offset: int, length: int, note: str, limit: int, width: int, is_text: bool = False
) -> Iterator[_Row]:
    """Yield the rows of a region of known length."""
    shown = min(length, limit * width) if limit else length
    for position in range(0, shown, _CHUNK):
        data = _read_at(file, offset + position, min(_CHUNK, shown - position))
        for at in range(0, len(data), width):
            yield _Row(offset + position + at, data[at : at + width], "" if position + at else note, is_text)
        if len(data) < min(_CHUNK, shown - position):
            yield _Row(offset + position + len(data), b"", "the bytes end here")
            return
    if shown < length:
        yield _Row(offset + shown, b"", "", more=length - shown)


# --- opcodes ----------------------------------------------------------------------------------------------------------


def show_pickle(subject: Subject, frame: Frame, limit: int, out: Output) -> None:
    """List the opcodes of the payload, after its checksums are compared. None of them is run."""
    header = frame.header
    entry = fields_of(header)["sections"][0]
    with subject.open() as file:
        offset = _check_in_file(file, frame.offset, header, 0)
        is_whole = True
        if "codec" in entry:
            check_codec(entry["codec"], "sections[0]")
            data, is_whole = _decoded(entry, _read_at(file, offset, entry["len"]))
            take, length = _from_bytes(data), len(data)
        else:
            take, length = _reader(file, offset, entry["len"]), entry["len"]
        rows: list[dict[str, Any]] = []
        title = f"{path_text(subject.path)}: pickle of protocol {header.protocol}, {size_text(length)}"
        out.text(title + ("" if is_whole else f" of {size_text(entry['raw_len'])}") + ", not run")
        count = 0
        for opcode in instructions(take, length):
            if limit and count >= limit:
                left = length - opcode.offset
                rows.append({"offset": opcode.offset, "more": left})
                more = plural(left, "more byte")
                out.text(out.style(f"{opcode.offset:>8}  ... and {more} (--limit 0 shows all)", "dim"))
                break
            count += 1
            if out.form == "text":
                indent = " " * (_INDENT * min(opcode.depth, _DEEPEST))
                name = " ".join(part for part in (opcode.name, opcode.argument) if part)
                line = cut(f"{opcode.offset:>8}  {indent}{name}", max(columns(), 80))
                out.text(line + out.style(f": {opcode.problem}", "red") if opcode.problem is not None else line)
            if out.is_json:
                rows.append({name: value for name, value in opcode._asdict().items() if name != "depth"})
    found = {"path": subject.path, "ok": True, "code": None, "protocol": header.protocol, "size": length}
    out.result({**found, "opcodes": rows}, path=subject.path)


def _decoded(entry: dict[str, Any], stored: bytes) -> tuple[bytes, bool]:
    """Return the beginning of a compressed section, and whether that is the whole section."""
    parts, size = [], 0
    for chunk in decompressed_chunks(entry, stored, "sections[0]"):
        parts.append(chunk)
        size += len(chunk)
        if size >= _MOST_DECODED:
            return b"".join(parts), size == entry["raw_len"]
    return b"".join(parts), True


def _from_bytes(data: bytes) -> Take:
    return lambda offset, count: data[offset : offset + count]
