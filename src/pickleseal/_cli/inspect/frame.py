"""One frame, opened up: its regions drawn to scale, its bytes with their meaning, a section checked and decoded."""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from ..._format.checksum import checksum
from ..._format.codec import check_codec, decompressed_chunks
from ..._format.frame import SectionCheck, padding_of
from ..._format.frame import check_section as judge_stored
from ..._format.header import Header, fields_of
from ..._format.limits import Limits
from ..._format.preamble import MAGIC, PREAMBLE_SIZE, Preamble, decode_preamble
from ..._io.source import FileSource
from ...errors import ReadError
from .opcodes import Opcode, Take, opcodes

__all__ = ["Region", "Row", "dump", "read_at", "regions", "section_bytes", "taker"]

_UNLIMITED = Limits()
_CHUNK = 1 << 20


class Region(NamedTuple):
    """A part of a frame. Offsets from the start of the frame, in bytes."""

    name: str
    offset: int
    length: int
    note: str = ""


class Row(NamedTuple):
    """A row of a dump. `more` bytes of its region are not shown."""

    offset: int
    data: bytes
    note: str
    is_text: bool = False
    more: int = 0


def read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    """Read from an offset: `count` bytes, or fewer where the file ends."""
    file.seek(offset)
    parts, missing = [], count
    while missing > 0 and (part := file.read(min(missing, _CHUNK))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def taker(file: BinaryIO, start: int, length: int) -> Take:
    """Return what gives bytes of a part of a file by offset, read ahead: opcodes are short."""
    window: list[Any] = [0, b""]

    def take(offset: int, count: int) -> bytes:
        count = max(0, min(count, length - offset))
        begin = offset - window[0]
        if begin < 0 or begin + count > len(window[1]):
            window[:] = offset, read_at(file, start + offset, min(max(count, 1 << 14), length - offset))
            begin = 0
        data: bytes = window[1][begin : begin + count]
        return data

    return take


def regions(header: Header, text_len: int) -> list[Region]:
    """Return all parts of a frame, paddings too. `text_len` is the header's length without its padding."""
    preamble = header.preamble
    found = [Region("preamble", 0, PREAMBLE_SIZE), Region("header", PREAMBLE_SIZE, text_len)]
    if text_len < preamble.header_len:
        found.append(Region("padding", PREAMBLE_SIZE + text_len, preamble.header_len - text_len))
    if preamble.seal_len:
        found.append(Region("seal", PREAMBLE_SIZE + preamble.header_len, preamble.seal_len))
    offset = preamble.head_len
    for index, section in enumerate(header.sections):
        notes = [f"pickle, protocol {header.protocol}" if not index else "buffer"]
        if section.readonly:
            notes.append("read-only")
        if section.codec is not None:
            notes.append(f"{section.codec}, {section.raw_len:,} bytes decoded")
        found.append(Region(f"section {index}", offset, section.len, ", ".join(notes)))
        padding = padding_of(section.len)
        if padding:
            found.append(Region("padding", offset + section.len, padding))
        offset += section.len + padding
    return found


def section_bytes(file: BinaryIO, start: int, header: Header, index: int) -> Iterator[bytes]:
    """Give a section of the frame at `start`, decoded piece by piece, after its checksums were compared.

    Raises:
        ReadError: steps 14, 16 and 18 of spec section 11, for this section alone.
    """
    entry = fields_of(header)["sections"][index]
    offset = check_section(file, start, header, index)
    if "codec" in entry:
        check_codec(entry["codec"], f"sections[{index}]")
        stored = read_at(file, offset, entry["len"])
        judge_stored(index, entry, stored, b"")  # it may have changed since it was judged
        yield from decompressed_chunks(entry, stored, f"sections[{index}]")
        return
    again, left = SectionCheck(index, entry), entry["len"]
    while left:
        chunk = read_at(file, offset, min(left, _CHUNK))
        if not chunk:
            break
        again.update(chunk)
        yield chunk
        offset, left = offset + len(chunk), left - len(chunk)
    again.finish(b"")  # likewise


def check_section(file: BinaryIO, start: int, header: Header, index: int) -> int:
    """Check a section of the frame at `start`, and return its offset in the file.

    Raises:
        ReadError: step 16 of spec section 11, for this section alone.
    """
    entries = fields_of(header)["sections"]
    entry = entries[index]
    before = sum(one["len"] + padding_of(one["len"]) for one in entries[:index])
    offset: int = start + header.preamble.head_len + before
    file.seek(offset)
    FileSource(file, whole=False).section(index, entry, False)
    return offset


def dump(file: BinaryIO, start: int, header: Header | None, limit: int, width: int) -> Iterator[Row]:
    """Give the bytes of the frame at `start` with their meaning, as in appendix A of the spec.

    Args:
        header: None where it is refused: then bytes are shown as far as they can be told apart.
        limit: rows for each region; 0: all.
        width: bytes in a row.
    """
    first = read_at(file, start, PREAMBLE_SIZE)
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
        yield from _plain_rows(file, offset, "not interpreted: header refused", limit, width)
        return
    parts = [region for region in regions(header, 0) if region.offset >= preamble.head_len]
    for index, region in enumerate(parts):
        offset = start + region.offset
        if limit and index >= limit:
            yield Row(offset, b"", "", more=header.frame_len - region.offset)
            return
        if region.name == "section 0" and header.sections[0].codec is None:
            yield from _opcode_rows(file, offset, region, limit, width)
        elif region.name == "padding":
            is_zero = not read_at(file, offset, region.length).strip(b"\0")
            note = f"{region.length} {'zero bytes' if is_zero else 'bytes, NOT ZERO,'} of padding"
            yield from _rows(file, offset, region.length, note, limit, width)
        else:
            yield from _rows(file, offset, region.length, f"{region.name}: {region.note}", limit, width)


def _preamble_rows(start: int, data: bytes, refusal: str, width: int) -> Iterator[Row]:
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
        yield Row(start + begin, data[begin:end], note)


def _head_rows(
    file: BinaryIO, start: int, preamble: Preamble, header: Header | None, limit: int, width: int
) -> Iterator[Row]:
    offset = start + PREAMBLE_SIZE
    data = read_at(file, offset, preamble.header_len)
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
        seal = read_at(file, offset, preamble.seal_len)
        right = int.from_bytes(seal[:8], "little") == checksum(seal[8:])
        yield from _rows(file, offset, 8, "seal: checksum" + ("" if right else ": WRONG"), limit, width)
        text_len = len(seal[8:].rstrip(b" "))
        yield from _rows(file, offset + 8, text_len, "seal: signatures", limit, width, is_text=True)
        left = len(seal) - 8 - text_len
        if left > 0:
            yield from _rows(file, offset + 8 + text_len, left, f"{left} spaces of padding", 0, width)


def _opcode_rows(file: BinaryIO, offset: int, region: Region, limit: int, width: int) -> Iterator[Row]:
    rows = 0
    for opcode in opcodes(taker(file, offset, region.length), region.length):
        if not opcode.length:
            break
        if limit and rows >= limit:
            yield Row(offset + opcode.offset, b"", "", more=region.length - opcode.offset)
            return
        for row in _rows(
            file, offset + opcode.offset, opcode.length, f"pickle: {_said(opcode)}", 4 if limit else 0, width
        ):
            rows += 1
            yield row


def _said(opcode: Opcode) -> str:
    text = " ".join(part for part in (opcode.name, opcode.argument) if part)
    return text if opcode.problem is None else f"{text}: {opcode.problem}".lstrip(": ")


def _plain_rows(file: BinaryIO, offset: int, note: str, limit: int, width: int) -> Iterator[Row]:
    """Give the rows from an offset to the end of the file, where no length is known."""
    position = 0
    while data := read_at(file, offset + position, limit * width + 1 - position if limit else _CHUNK):
        for at in range(0, len(data), width):
            if limit and position + at >= limit * width:
                yield Row(offset + position + at, b"", "", more=-1)
                return
            yield Row(offset + position + at, data[at : at + width], "" if position + at else note, True)
        position += len(data)


def _rows(
    file: BinaryIO, offset: int, length: int, note: str, limit: int, width: int, is_text: bool = False
) -> Iterator[Row]:
    """Give the rows of a region of known length."""
    shown = min(length, limit * width) if limit else length
    for position in range(0, shown, _CHUNK):
        data = read_at(file, offset + position, min(_CHUNK, shown - position))
        for at in range(0, len(data), width):
            yield Row(offset + position + at, data[at : at + width], "" if position + at else note, is_text)
        if len(data) < min(_CHUNK, shown - position):
            yield Row(offset + position + len(data), b"", "the bytes end here")
            return
    if shown < length:
        yield Row(offset + shown, b"", "", more=length - shown)
