"""The pickle envelope (spec section 8, E1 to E6), checked without running an opcode.

Strategy: one compiled pattern swallows runs of plain opcodes with their arguments at C speed, and Python looks only
at what is left: frames, long strings, buffers, the end, and anything that is not permitted. The pattern is matched
with `endpos` at the end of the current FRAME, so an opcode can't straddle it unseen. Nothing follows the repetition
in the pattern, so it never backtracks.
"""

import functools
import re
import sys
from collections.abc import Callable
from typing import Any

from ..errors import PickleEnvelopeError

__all__ = ["SIZED", "check_envelope", "plain_run"]

_NO_ARGUMENT = b"()]}NtdlaesubR0" + b"1\x81\x85\x86\x87\x88\x89"  # protocol 2: MARK .. NEWFALSE
_NO_ARGUMENT_4 = b"\x8f\x90\x91\x92\x93\x94"  # EMPTY_SET ADDITEMS FROZENSET NEWOBJ_EX STACK_GLOBAL MEMOIZE
_LARGE = 1 << 17  # bytes
_POSSESSIVE = sys.version_info >= (3, 11)
# Without possessive repetition (3.10) the engine keeps a mark for each round: bounded, so that memory is bounded too.
_REPEAT = b"*+" if _POSSESSIVE else b"{0,4000}"


def _class(members: bytes) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % byte for byte in members) + b"]"


def _counted(opcode: bytes) -> bytes:
    """An opcode with a one-byte length. The engine tries alternatives one by one: short ones first, then in groups."""
    items = [b"\\x%02x.{%d}" % (n, n) if n else b"\\x00" for n in range(256)]
    groups = items[:32]
    for low in range(32, 256, 32):
        groups.append(b"(?=[\\x%02x-\\x%02x])(?:%s)" % (low, low + 31, b"|".join(items[low : low + 32])))
    return opcode + b"(?:" + b"|".join(groups) + b")"


@functools.cache  # compiled when first needed: that takes a millisecond each
def plain_run(
    protocol: int, is_large: bool, stop_at: bytes = b"", but: bytes = b""
) -> Callable[[bytes, int, int], int]:
    """Return what tells where a run of plain opcodes ends: of bytes, from a position on, before another.

    Opcodes in `stop_at` are not plain, but where the pattern `but` matches. For large payloads the pattern is a larger
    one, which takes longer to compile.
    """
    members = _NO_ARGUMENT + (_NO_ARGUMENT_4 if protocol >= 4 else b"")
    one = _class(bytes(byte for byte in members if byte not in stop_at))
    then = one + (b"*+" if _POSSESSIVE else b"{0,4000}")
    some = b"++" if _POSSESSIVE else b"{1,4000}"
    if protocol >= 4:
        counted = bytes(byte for byte in b"\x8cC\x8a" if byte not in stop_at)  # SHORT_BINUNICODE SHORT_BINBYTES LONG1
        text = _counted(_class(counted)) + then
        alternatives = [text, b"K." + then] if b"h" in stop_at else [b"h." + then, text, b"K." + then]
    else:
        alternatives = [b"[hKq]." + then]
    if protocol >= 4 and is_large and b"h" not in stop_at:
        # A memo get is often a key, or the name of a field: to take its value along, and one more pair, saves rounds.
        kinds = b"[hK].", _counted(b"\\x8c"), b"G........", b"J....", b"M.."
        value = b"(?:" + b"|".join(kind + then for kind in kinds) + b"|)"
        pair = b"h." + then + value
        alternatives[0] = pair + b"(?:" + pair + b"|)"
    four = b"J" if b"j" in stop_at else b"[Jj]"
    alternatives += [b"(?:G........)" + some + then, b"M.." + then, b"(?:%s....)" % four + some + then, one + then]
    if but:
        alternatives.append(but)
    match: Any = re.compile(b"(?s)(?:" + b"|".join(alternatives) + b")" + _REPEAT).match

    def end_of_run(data: bytes, position: int, stop: int) -> int:
        return match(data, position, stop).end()  # type: ignore[no-any-return]

    def end_of_bounded_run(data: bytes, position: int, stop: int) -> int:
        while (end := match(data, position, stop).end()) > position:
            position = end
        return position

    return end_of_run if _POSSESSIVE else end_of_bounded_run


# What the pattern leaves over. Opcodes with a length: opcode -> (size of the length, signed, protocols that permit it).
SIZED = {
    0x54: (4, True, (2,)),  # BINSTRING
    0x55: (1, False, (2,)),  # SHORT_BINSTRING
    0x58: (4, False, (2, 3, 4, 5)),  # BINUNICODE
    0x42: (4, False, (3, 4, 5)),  # BINBYTES
    0x43: (1, False, (3, 4, 5)),  # SHORT_BINBYTES
    0x8A: (1, False, (2, 3, 4, 5)),  # LONG1
    0x8B: (4, True, (2, 3, 4, 5)),  # LONG4
    0x8C: (1, False, (4, 5)),  # SHORT_BINUNICODE
    0x8D: (8, False, (4, 5)),  # BINUNICODE8
    0x8E: (8, False, (4, 5)),  # BINBYTES8
    0x96: (8, False, (5,)),  # BYTEARRAY8
}
_STOP, _FRAME, _NEXT_BUFFER, _GLOBAL, _LONG_BINPUT = 0x2E, 0x95, 0x97, 0x63, 0x72
_READONLY_BUFFER = b"\x98"


def check_envelope(payload: bytes, protocol: int, readonly: list[bool]) -> None:
    """Check that a payload is one whole pickle of the declared protocol, with the declared buffers (E1 to E6).

    Runs nothing and allocates nothing that the payload sizes. Linear in the length of the payload.

    Args:
        payload: section 0, decoded.
        protocol: what the header declares, 2 to 5.
        readonly: for each buffer section, in order, whether the header calls it read-only.

    Raises:
        PickleEnvelopeError: a rule of spec section 8 is broken; `where` is the offset in the payload.
    """
    end = len(payload)
    if (
        protocol >= 4
        and not readonly
        and payload[2:3] == b"\x95"
        and payload[1] == protocol
        and payload[0] == 0x80
        and int.from_bytes(payload[3:11], "little") == end - 11
    ):  # one FRAME around all of it, as every small pickle has: plain opcodes up to STOP, or the long way
        position = plain_run(protocol, end > _LARGE)(payload, 11, end)
        if position == end - 1 and payload[position] == _STOP:
            return
    _Scan(payload, protocol, readonly).run()


class _Scan:
    """One walk over one payload."""

    __slots__ = ("buffers", "data", "end", "frame_end", "protocol", "readonly")

    def __init__(self, data: bytes, protocol: int, readonly: list[bool]) -> None:
        self.data = data
        self.end = len(data)
        self.protocol = protocol
        self.readonly = readonly
        self.buffers = 0
        self.frame_end = 0  # end of the current FRAME's span; 0: outside any

    def run(self) -> None:
        data, end, protocol = self.data, self.end, self.protocol
        if data[:2] != bytes((0x80, protocol)):
            raise self._error("does not begin with PROTO", 0, f"80 {protocol:02x}", data[:2].hex(" "))
        end_of_run = plain_run(protocol, end > _LARGE)
        position = 2
        while True:
            stop = self.frame_end or end
            position = end_of_run(data, position, stop)
            if position < stop:
                opcode = data[position]
                if opcode == _STOP:
                    self._finish(position)
                    return
                if opcode == _FRAME and protocol >= 4:
                    position = self._frame(position)
                else:
                    position = self._opcode(opcode, position)
            elif not self.frame_end:
                raise self._error("ends without STOP", position)
            if position == self.frame_end:
                self.frame_end = 0  # also for an empty span, right away

    def _finish(self, position: int) -> None:
        if position != self.end - 1:
            raise self._error("STOP is not the last byte", position, self.end - 1, position)
        if self.buffers != len(self.readonly):
            raise self._error("wrong number of out-of-band buffers", position, len(self.readonly), self.buffers)

    def _opcode(self, opcode: int, position: int) -> int:
        """Check one opcode that the pattern left over and return the offset of the next."""
        sized = SIZED.get(opcode)
        if sized is not None:
            width, signed, protocols = sized
            if self.protocol in protocols:
                length = self._integer(position + 1, width, signed)
                if length < 0:
                    raise self._error("negative length", position, None, length)
                return self._within(position + 1 + width + length, position)
        elif opcode == _NEXT_BUFFER and self.protocol == 5:
            return self._buffer(position)
        elif opcode == _GLOBAL and self.protocol < 4:
            return self._global(position)
        elif opcode == _LONG_BINPUT and self.protocol < 4:
            index = self._integer(position + 1, 4, False)
            if index >= self.end:
                raise self._error("memo index out of range", position, f"less than {self.end}", index)
            return position + 5
        if opcode in _PLAIN_ARGUMENTS and (opcode != 0x71 or self.protocol < 4):
            raise self._error("ends within an opcode's argument", position)
        raise self._error(f"opcode is not permitted in protocol {self.protocol}", position, None, f"{opcode:#04x}")

    def _frame(self, position: int) -> int:
        if self.frame_end:
            raise self._error("FRAME within a FRAME", position)
        start = position + 9
        length = int.from_bytes(self.data[position + 1 : start], "little")
        if start + length > self.end:
            raise self._error("FRAME reaches beyond the payload", position, self.end - start, length)
        self.frame_end = start + length
        return start

    def _buffer(self, position: int) -> int:
        if self.buffers >= len(self.readonly):
            raise self._error("takes more out-of-band buffers than there are", position, len(self.readonly))
        readonly = self.readonly[self.buffers]
        self.buffers += 1
        follows = self.data[position + 1 : position + 2] == _READONLY_BUFFER
        if follows != readonly:
            where = f"sections[{self.buffers}].readonly"
            raise self._error(f"READONLY_BUFFER and {where} disagree", position, readonly, follows)
        if follows and position + 1 == self.frame_end:
            self.frame_end = 0  # the pair may stand on both sides of a span's end
        return position + 1 + follows

    def _global(self, position: int) -> int:
        for _ in range(2):
            start = position + 1
            position = self.data.find(b"\n", start)
            if position <= start:
                raise self._error("GLOBAL needs two lines of at least one byte", start)
        return position + 1

    def _integer(self, start: int, width: int, signed: bool) -> int:
        end = self._within(start + width, start - 1)
        return int.from_bytes(self.data[start:end], "little", signed=signed)

    def _within(self, end: int, position: int) -> int:
        if end > (self.frame_end or self.end):
            raise self._error("an opcode's argument reaches beyond its frame or the payload", position)
        return end

    def _error(self, reason: str, position: int, expected: object = None, found: object = None) -> PickleEnvelopeError:
        return PickleEnvelopeError(reason, expected, found, None, f"payload[{position}]")


_PLAIN_ARGUMENTS = frozenset(b"hKqGMJj")
