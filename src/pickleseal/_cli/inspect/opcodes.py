"""The opcodes of a pickle as text. Nothing is run, imported or unpickled.

Of a long argument, only the beginning is read, so the cost does not depend on the lengths that a pickle declares.
"""

import pickletools
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...errors import printable

__all__ = ["Opcode", "Take", "opcodes"]

Take = Callable[[int, int], bytes]  # offset and count -> these bytes, or fewer if the pickle ends
_SHOWN = 60  # characters of an argument
_LINE = 1 << 16  # bytes of the longest line
_SIZES = {
    pickletools.TAKEN_FROM_ARGUMENT1: "<B",
    pickletools.TAKEN_FROM_ARGUMENT4: "<i",
    pickletools.TAKEN_FROM_ARGUMENT4U: "<I",
    pickletools.TAKEN_FROM_ARGUMENT8U: "<Q",
}


_KNOWN: dict[str, Any] = {opcode.code: opcode for opcode in pickletools.opcodes}


class Opcode(NamedTuple):
    """One opcode: its offset, its length with the argument, the argument as text, and what is wrong with it."""

    offset: int
    length: int
    name: str
    argument: str | None
    depth: int
    """The number of open marks."""
    problem: str | None = None


def opcodes(take: Take, end: int) -> Iterator[Opcode]:
    """Yield the opcodes of a pickle of `end` bytes, up to STOP or to the first byte that is no opcode."""
    offset, depth = 0, 0
    while offset < end:
        byte = take(offset, 1)
        if not byte:
            yield Opcode(offset, 0, "", None, depth, "the bytes end here")
            return
        known = _KNOWN.get(byte.decode("latin-1"))
        if known is None:
            yield Opcode(offset, 1, f"0x{byte[0]:02x}", None, depth, "not an opcode, so the rest can't be read")
            return
        length, argument, problem = _argument(known.arg, take, offset + 1, end)
        if pickletools.markobject in known.stack_before:
            depth = max(depth - 1, 0)
        yield Opcode(offset, 1 + length, known.name, argument, depth, problem)
        if problem is not None:
            return
        if known.name == "MARK":
            depth += 1
        offset += 1 + length
        if known.name == "STOP":
            if offset < end:
                yield Opcode(offset, end - offset, "", None, depth, f"{end - offset:,} bytes after STOP")
            return
    yield Opcode(offset, 0, "", None, depth, "STOP is missing")


def _argument(kind: Any, take: Take, start: int, end: int) -> tuple[int, str | None, str | None]:
    """Return the length of an argument, its text, and what is wrong with it."""
    if kind is None:
        return 0, None, None
    if kind.n >= 0:
        data = take(start, kind.n)
        if len(data) < kind.n or start + kind.n > end:
            return end - start, None, "the bytes end within the argument"
        return kind.n, _fixed(kind.name, data), None
    if kind.n == pickletools.UP_TO_NEWLINE:
        return _lines(2 if kind.name.endswith("pair") else 1, take, start, end)
    return _sized(kind, take, start, end)


def _fixed(name: str, data: bytes) -> str:
    if name == "float8":
        return repr(struct.unpack(">d", data)[0])
    return str(int.from_bytes(data, "little", signed=name == "int4"))


def _lines(count: int, take: Take, start: int, end: int) -> tuple[int, str | None, str | None]:
    texts, position = [], start
    for _ in range(count):
        data = take(position, min(_LINE, end - position))
        at = data.find(b"\n")
        if at < 0:
            return end - start, None, "the line does not end"
        texts.append(_cut(data[:at][: 4 * _SHOWN].decode("utf-8", "backslashreplace"), at))
        position += at + 1
    return position - start, " ".join(texts), None


def _sized(kind: Any, take: Take, start: int, end: int) -> tuple[int, str | None, str | None]:
    form = _SIZES[kind.n]
    width = struct.calcsize(form)
    head = take(start, width)
    if len(head) < width:
        return end - start, None, "the bytes end within the argument"
    (length,) = struct.unpack(form, head)
    if length < 0 or start + width + length > end:
        return end - start, None, f"the argument has {length:,} bytes, but {max(end - start - width, 0):,} are left"
    data = take(start + width, min(length, 4 * _SHOWN))
    if kind.name.startswith("long"):
        text = str(int.from_bytes(data, "little", signed=True)) if length <= 16 else f"an integer of {length:,} bytes"
    elif "unicode" in kind.name:
        text = _cut(data.decode("utf-8", "backslashreplace" if length <= len(data) else "ignore"), length)
    else:
        text = _cut(data, length)
    return width + length, text, None


def _cut(value: str | bytes, length: int) -> str:
    """Return the `repr` of the beginning of an argument of so many bytes."""
    cut = value[:_SHOWN]
    text = printable(repr(cut), 5 * _SHOWN)
    return text if len(cut) == len(value) and length <= 4 * _SHOWN else f"{text}... ({length:,} bytes)"
