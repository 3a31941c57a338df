"""Make the hex dump of appendix A from the bytes of a frame."""

from __future__ import annotations

import struct

BEGIN, END = "<!-- worked-example:begin -->\n", "<!-- worked-example:end -->\n"


def insert(document: str, frame: bytes) -> str:
    """Return the document with a new listing between the two marks."""
    head, rest = document.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n```text\n{listing(frame)}\n```\n\n{END}{tail}"


def listing(frame: bytes) -> str:
    """Return a listing that explains every byte of a frame with one section."""
    header_len = struct.unpack_from("<I", frame, 24)[0]
    lines = ["offset  bytes                                            meaning"]
    for start, end, meaning in _preamble_rows(frame):
        lines += _rows(frame, start, end, meaning, 16)
    text = frame[64 : 64 + header_len].rstrip(b" ")
    lines += _rows(frame, 64, 64 + len(text), "header: canonical JSON", 16, ascii_text=True)
    if len(text) < header_len:
        lines += _rows(frame, 64 + len(text), 64 + header_len, f"{header_len - len(text)} spaces of padding", 16)
    start = 64 + header_len
    for length, meaning in _opcodes(frame, start):
        lines += _rows(frame, start, start + length, meaning, 16)
        start += length
    lines += _rows(frame, start, len(frame), f"{len(frame) - start} zero bytes of padding", 16)
    return "\n".join(lines)


def _preamble_rows(frame: bytes) -> list[tuple[int, int, str]]:
    major, minor, flags, frame_len, header_len, seal_len, header_xxh3, stream_id, seq, checksum = struct.unpack_from(
        "<8xHHIQIIQQQQ", frame
    )
    return [
        (0, 8, "magic"),
        (8, 10, f"version_major = {major}"),
        (10, 12, f"version_minor = {minor}"),
        (12, 16, f"incompat_flags = {flags}"),
        (16, 24, f"frame_len = {frame_len}"),
        (24, 28, f"header_len = {header_len}"),
        (28, 32, f"seal_len = {seal_len}: no seal"),
        (32, 40, f"header_xxh3 = {header_xxh3:016x}, over bytes 64-{63 + header_len}"),
        (40, 48, f"stream_id = {stream_id}: standalone"),
        (48, 56, f"seq = {seq}"),
        (56, 64, f"preamble_xxh3 = {checksum:016x}, over bytes 0-55"),
    ]


def _opcodes(frame: bytes, start: int) -> list[tuple[int, str]]:
    """Return length and meaning of each opcode of the payload, by the standard library's disassembler."""
    import pickletools

    items = [(position or 0, opcode.name, argument) for opcode, argument, position in pickletools.genops(frame[start:])]
    ends = [position for position, _, _ in items[1:]] + [items[-1][0] + 1]
    return [
        (end - position, f"pickle: {name}" + ("" if argument is None else f" {argument!r}"))
        for (position, name, argument), end in zip(items, ends, strict=True)
    ]


def _rows(frame: bytes, start: int, end: int, meaning: str, width: int, ascii_text: bool = False) -> list[str]:
    rows = []
    for row in range(start, end, width):
        chunk = frame[row : min(row + width, end)]
        note = meaning if row == start else ""
        if ascii_text:
            note = f"{chunk.decode('ascii')!s:<18}{note}"
        rows.append(f"{row:06x}  {chunk.hex(' '):<47}  {note}".rstrip())
    return rows
