"""The opcodes of a pickle as text. Nothing is run, imported or unpickled.

Of a long argument, only the beginning is read, so the cost does not depend on the lengths that a pickle declares.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..._payload.opcodes import BY_CODE, ITEMS, MARK, Argument
from ...errors import printable

Take = Callable[[int, int], bytes]  # offset and count -> these bytes, or fewer if the pickle ends
_SHOWN = 60  # characters of an argument
_LINE = 1 << 16  # bytes of the longest line


class Instruction(NamedTuple):
    """One opcode in a pickle: its offset, its length with the argument, the argument as text, and what is wrong."""

    offset: int
    length: int
    name: str
    argument: str | None
    depth: int
    """The number of open marks."""
    problem: str | None = None


def instructions(take: Take, end: int) -> Iterator[Instruction]:
    """Yield the opcodes of a pickle of `end` bytes, up to STOP or to the first byte that is no opcode."""
    offset, depth = 0, 0
    while offset < end:
        byte = take(offset, 1)
        if not byte:
            yield Instruction(offset, 0, "", None, depth, "the bytes end here")
            return
        opcode = BY_CODE.get(byte[0])
        if opcode is None:
            yield Instruction(offset, 1, f"0x{byte[0]:02x}", None, depth, "not an opcode, so the rest can't be read")
            return
        length, argument, problem = _read(opcode.argument, take, offset + 1, end)
        if opcode.takes == ITEMS:
            depth = max(depth - 1, 0)
        yield Instruction(offset, 1 + length, opcode.name, argument, depth, problem)
        if problem is not None:
            return
        if opcode.gives == MARK:
            depth += 1
        offset += 1 + length
        if opcode.name == "STOP":
            if offset < end:
                yield Instruction(offset, end - offset, "", None, depth, f"{end - offset:,} bytes after STOP")
            return
    yield Instruction(offset, 0, "", None, depth, "STOP is missing")


def _read(argument: Argument, take: Take, start: int, end: int) -> tuple[int, str | None, str | None]:
    """Return the length of an argument, its text, and what is wrong with it."""
    if argument.form == "lines":
        return _lines(argument.size, take, start, end)
    size = argument.size
    if not size:
        return 0, None, None
    head = take(start, size)
    if len(head) < size or start + size > end:
        return end - start, None, "the bytes end within the argument"
    if argument.value == "float":
        return size, repr(struct.unpack(">d", head)[0]), None
    number = int.from_bytes(head, "little", signed=argument.is_signed)
    if argument.form == "fixed":
        return size, str(number), None
    left = end - start - size
    if not 0 <= number <= left:
        return end - start, None, f"the argument has {number:,} bytes, but {left:,} are left"
    return size + number, _text(argument.value, take(start + size, min(number, 4 * _SHOWN)), number), None


def _text(kind: str, data: bytes, length: int) -> str:
    """Return the beginning of an argument of so many bytes as text."""
    if kind == "long":
        return str(int.from_bytes(data, "little", signed=True)) if length <= 16 else f"an integer of {length:,} bytes"
    if kind == "text":
        return _cut(data.decode("utf-8", "backslashreplace" if length <= len(data) else "ignore"), length)
    return _cut(data, length)


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


def _cut(value: str | bytes, length: int) -> str:
    """Return the `repr` of the beginning of an argument of so many bytes."""
    cut = value[:_SHOWN]
    text = printable(repr(cut), 5 * _SHOWN)
    return text if len(cut) == len(value) and length <= 4 * _SHOWN else f"{text}... ({length:,} bytes)"
