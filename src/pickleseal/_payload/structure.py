"""The structure check: a payload is one whole pickle of its declared protocol (spec section 8, E1 to E6).

Strategy: one compiled pattern passes over runs of plain opcodes and their arguments at the speed of C. Python looks
only at what the pattern leaves: frames, long texts, buffers, the end, and everything that is not permitted. The pattern
is matched with `endpos` at the end of the current FRAME, so no opcode can cross that end unseen. Nothing follows the
repetition in the pattern, so it never backtracks. The patterns are built from the table of opcodes. No opcode is run.
"""

import functools
import re
import sys
from collections.abc import Callable
from typing import Any

from ..errors import PickleEnvelopeError
from .opcodes import BY_CODE, CODE, OPCODES, Opcode, end_of

_LARGE = 1 << 17  # bytes
_POSSESSIVE = sys.version_info >= (3, 11)
# Without possessive repetition (3.10) the engine keeps a mark for each round: bounded, so that memory is bounded too.
_REPEAT = b"*+" if _POSSESSIVE else b"{0,4000}"
_STOP = CODE["STOP"]


def _class(codes: bytes) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % code for code in codes) + b"]"


def _counted(codes: bytes) -> bytes:
    """Match opcodes with a length of one byte. The engine tries alternatives in turn: short ones first, then groups."""
    items = [b"\\x%02x.{%d}" % (n, n) if n else b"\\x00" for n in range(256)]
    groups = items[:32]
    for low in range(32, 256, 32):
        groups.append(b"(?=[\\x%02x-\\x%02x])(?:%s)" % (low, low + 31, b"|".join(items[low : low + 32])))
    return _class(codes) + b"(?:" + b"|".join(groups) + b")"


def _plain(protocol: int, form: str, size: int, stop_at: bytes) -> bytes:
    """Return the codes of plain opcodes with arguments of one form and size: these need no check but their length."""
    return bytes(
        opcode.code
        for opcode in OPCODES
        if protocol in opcode.protocols
        and (opcode.argument.form, opcode.argument.size) == (form, size)
        and opcode.code not in stop_at
        and opcode.code not in _CHECKS
    )


@functools.cache  # compiled when first needed: that takes a millisecond each. Depends on its arguments only.
def plain_run(
    protocol: int, is_large: bool, stop_at: bytes = b"", also: bytes = b""
) -> Callable[[bytes, int, int], int]:
    """Return a function that finds the end of a run of plain opcodes: (bytes, start, limit) -> end of the run.

    Args:
        is_large: the payload is large. The pattern for it is faster, and takes longer to compile.
        stop_at: codes of opcodes that are to end a run, except where the pattern `also` matches.
    """
    plain = functools.partial(_plain, protocol, stop_at=stop_at)
    none = _class(plain("fixed", 0))
    then = none + (b"*+" if _POSSESSIVE else b"{0,4000}")
    some = b"++" if _POSSESSIVE else b"{1,4000}"
    one, two, four, eight = (_class(plain("fixed", size)) + b"." * size for size in (1, 2, 4, 8))
    alternatives = [one + then]
    if protocol >= 4:
        text = _counted(plain("counted", 1))
        get = bytes((CODE["BINGET"],))
        alternatives = [text + then, _class(plain("fixed", 1).replace(get, b"")) + b"." + then]
        if get not in stop_at:  # the most frequent of them
            pair = get + b"." + then
            if is_large:
                # It is often a key, or the name of a field: to take its value along, and one more pair, saves rounds.
                name = _counted(bytes((CODE["SHORT_BINUNICODE"],)))
                pair += b"(?:" + b"|".join(kind + then for kind in (one, name, eight, four, two)) + b"|)"
                pair += b"(?:" + pair + b"|)"
            alternatives = [pair, *alternatives]
    alternatives += [b"(?:" + eight + b")" + some + then, two + then, b"(?:" + four + b")" + some + then, none + then]
    if also:
        alternatives.append(also)
    match: Any = re.compile(b"(?s)(?:" + b"|".join(alternatives) + b")" + _REPEAT).match

    def end_of_run(data: bytes, start: int, limit: int) -> int:
        return match(data, start, limit).end()  # type: ignore[no-any-return]

    def end_of_bounded_run(data: bytes, start: int, limit: int) -> int:
        while (end := match(data, start, limit).end()) > start:
            start = end
        return start

    return end_of_run if _POSSESSIVE else end_of_bounded_run


def check_envelope(payload: bytes, protocol: int, readonly: list[bool]) -> None:
    """Check that a payload is one whole pickle of the declared protocol, with the declared buffers (E1 to E6).

    Runs nothing and allocates nothing whose size the payload decides. Linear in the length of the payload.

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
    ):  # fast path: one FRAME around all of it, as in every small pickle, and plain opcodes up to STOP
        position = plain_run(protocol, end > _LARGE)(payload, 11, end)
        if position == end - 1 and payload[position] == _STOP:
            return
    _Check(payload, protocol, readonly).run()


def has_other_states(payload: bytes, protocol: int) -> bool:
    """Return whether a state that BUILD takes is something else than a dict that the opcodes right before have filled.

    Such a payload can change a class. Only a dict of slots, the second part of a pair, does that.
    """
    end_of_run = plain_run(protocol, len(payload) > _LARGE, _STATES, _FILLED)
    position, end = _first(payload), len(payload) - 1
    while (position := end_of_run(payload, position, end)) < end:
        if payload[position] == CODE["BUILD"]:
            return True
        position = end_of(payload, position)
    return False


def calls_something(payload: bytes, protocol: int) -> bool:
    """Return whether a payload has a REDUCE."""
    if _REDUCE not in payload:
        return False
    end_of_run = plain_run(protocol, len(payload) > _LARGE, _REDUCE)
    position, end = _first(payload), len(payload) - 1
    while (position := end_of_run(payload, position, end)) < end:
        if payload[position] == _REDUCE[0]:
            return True
        position = end_of(payload, position)
    return False


def _first(payload: bytes) -> int:
    """Return where the opcodes begin, behind PROTO. Bare pickles of protocols 0 and 1 have none."""
    return 2 if payload[0] == CODE["PROTO"] else 0


_REDUCE = bytes((CODE["REDUCE"],))


def count_of(payload: bytes, protocol: int, code: int) -> int:
    """Count an opcode without an argument in a payload that passed the structure check."""
    end_of_run = plain_run(protocol, len(payload) > _LARGE, bytes((code,)))
    found, position, end = 0, 2, len(payload) - 1
    while (position := end_of_run(payload, position, end)) < end:
        found += payload[position] == code
        position = end_of(payload, position)
    return found


# A dict takes items, and then is a state. Whatever else takes items this way is no pair.
_STATES = bytes(CODE[name] for name in ("BUILD", "SETITEM", "SETITEMS"))
_FILLED = b"[%s]\\x%02x?" % (b"".join(b"\\x%02x" % code for code in _STATES[1:]), CODE["BUILD"])


class _Check:
    """The check of one payload."""

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
            raise self.error("does not begin with PROTO", 0, f"80 {protocol:02x}", data[:2].hex(" "))
        end_of_run = plain_run(protocol, end > _LARGE)
        position = 2
        while True:
            limit = self.frame_end or end
            position = end_of_run(data, position, limit)
            if position < limit:
                code = data[position]
                if code == _STOP:
                    self.finish(position)
                    return
                size, is_signed, protocols = _COUNTED.get(code, _OTHER)
                if protocol in protocols:
                    position = self.check_counted(position, size, is_signed)
                else:
                    position = self.check_other(BY_CODE.get(code), position)
            elif not self.frame_end:
                raise self.error("ends without STOP", position)
            if position == self.frame_end:
                self.frame_end = 0  # also for an empty span, right away

    def finish(self, position: int) -> None:
        if position != self.end - 1:
            raise self.error("STOP is not the last byte", position, self.end - 1, position)
        if self.buffers != len(self.readonly):
            raise self.error("wrong number of out-of-band buffers", position, len(self.readonly), self.buffers)

    def check_counted(self, position: int, size: int, is_signed: bool) -> int:
        """Check an opcode with a length before its argument, and return the offset of the next opcode."""
        start = self.within(position + 1 + size, position)
        length = int.from_bytes(self.data[position + 1 : start], "little", signed=is_signed)
        if length < 0:
            raise self.error("negative length", position, None, length)
        return self.within(start + length, position)

    def check_other(self, opcode: Opcode | None, position: int) -> int:
        """Check any other opcode that the pattern left, and return the offset of the next opcode."""
        if opcode is None or self.protocol not in opcode.protocols:
            raise self.not_permitted(position)
        check = _CHECKS.get(opcode.code)
        if check is None:  # a plain one: the pattern would have taken it with its whole argument
            raise self.error("ends within an opcode's argument", position)
        return check(self, position)

    def check_frame(self, position: int) -> int:
        if self.frame_end:
            raise self.error("FRAME within a FRAME", position)
        start = position + 9
        length = int.from_bytes(self.data[position + 1 : start], "little")
        if start + length > self.end:
            raise self.error("FRAME reaches beyond the payload", position, self.end - start, length)
        self.frame_end = start + length
        return start

    def check_buffer(self, position: int) -> int:
        if self.buffers >= len(self.readonly):
            raise self.error("takes more out-of-band buffers than there are", position, len(self.readonly))
        readonly = self.readonly[self.buffers]
        self.buffers += 1
        follows = self.data[position + 1 : position + 2] == bytes((CODE["READONLY_BUFFER"],))
        if follows != readonly:
            where = f"sections[{self.buffers}].readonly"
            raise self.error(f"READONLY_BUFFER and {where} disagree", position, readonly, follows)
        if follows and position + 1 == self.frame_end:
            self.frame_end = 0  # the pair may stand on both sides of a span's end
        return position + 1 + follows

    def check_global(self, position: int) -> int:
        for _ in range(2):
            start = position + 1
            position = self.data.find(b"\n", start)
            if position <= start:
                raise self.error("GLOBAL needs two lines of at least one byte", start)
        return position + 1

    def check_memo_index(self, position: int) -> int:
        index = int.from_bytes(self.data[position + 1 : self.within(position + 5, position)], "little")
        if index >= self.end:
            raise self.error("memo index out of range", position, f"less than {self.end}", index)
        return position + 5

    def not_permitted(self, position: int) -> PickleEnvelopeError:
        code = self.data[position]
        return self.error(f"opcode is not permitted in protocol {self.protocol}", position, None, f"{code:#04x}")

    def refuse(self, position: int) -> int:
        raise self.not_permitted(position)

    def within(self, end: int, position: int) -> int:
        if end > (self.frame_end or self.end):
            raise self.error("an opcode's argument reaches beyond its frame or the payload", position)
        return end

    def error(self, reason: str, position: int, expected: object = None, found: object = None) -> PickleEnvelopeError:
        return PickleEnvelopeError(reason, expected, found, None, f"payload[{position}]")


_COUNTED = {
    opcode.code: (opcode.argument.size, opcode.argument.is_signed, opcode.protocols)
    for opcode in OPCODES
    if opcode.argument.form == "counted"
}
_OTHER: tuple[int, bool, tuple[int, ...]] = (0, False, ())
# Opcodes that need more than a check of their length.
_CHECKS: dict[int, Callable[[_Check, int], int]] = {
    CODE["FRAME"]: _Check.check_frame,
    CODE["GLOBAL"]: _Check.check_global,
    CODE["LONG_BINPUT"]: _Check.check_memo_index,
    CODE["NEXT_BUFFER"]: _Check.check_buffer,
    CODE["PROTO"]: _Check.refuse,  # it stands at the beginning only, and was checked there
    CODE["READONLY_BUFFER"]: _Check.refuse,  # it stands right after NEXT_BUFFER only
    _STOP: _Check.refuse,
}
