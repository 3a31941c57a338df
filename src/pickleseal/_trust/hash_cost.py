"""What hashing costs, told from the opcodes: towers of tuples, huge numbers, numbers that collide.

Sixty bytes of nested tuples as a dictionary's key take years of hashing, which no signal interrupts, and 300 kB of
them overflow the C stack. CPython's unpickler has no hook for it, so a payload that holds enough tuples to build
such a thing is followed opcode by opcode, with numbers in place of objects. Most payloads hold none but those
that an opcode takes right away (arguments, states): one pattern finds that out.
"""

from typing import Any

from .._payload.structure import SIZED, plain_run
from ..errors import LimitExceededError, UnpickleError
from .meter import MOST_COLLISIONS, too_deep

__all__ = ["check_hashes"]

_TUPLES = b"t\x85\x86\x87\x91"  # TUPLE TUPLE1 TUPLE2 TUPLE3, and FROZENSET
_FEW = 4  # so many tuples of three take 81 steps at most, each time that they are hashed
_TAKEN = rb"[t\x85\x86\x87](?:\x94|q.|)(?=[R\x81\x92b])"  # by a call or a state: the dry run sees these
_LONG1, _LONG4, _FRAME, _GLOBAL, _PROTO, _TUPLE = 0x8A, 0x8B, 0x95, 0x63, 0x80, 0x74
_PRIME = 2**61 - 1  # hashes of integers are remainders by it (sys.hash_info.modulus)
_ENOUGH = 2**62


def check_hashes(payload: bytes, protocol: int, max_depth: int) -> None:
    """Refuse a payload whose own opcodes hash for too long. It has passed `check_envelope`. Runs nothing.

    Raises:
        LimitExceededError: hashing its keys and set members takes more than 1,000,000 steps and 10 for each byte, or
            nests deeper than `max_depth`, or more than 1,000 of its integers collide.
        UnpickleError: its opcodes take what is not there, so that it would fail if it ran.
    """
    if not _is_suspect(payload, protocol):
        return
    try:
        _Walk(payload, 1_000_000 + 10 * len(payload), max_depth).run()
    except (IndexError, KeyError) as exc:
        raise UnpickleError("the payload takes something from its stack or memo that is not there") from exc


def _is_suspect(payload: bytes, protocol: int) -> bool:
    """Tell whether there are tuples enough to make a tower, or a number that takes long to hash."""
    end_of_run = plain_run(protocol, False, _TUPLES + bytes((_LONG1,)), _TAKEN)
    position, end, tuples = 2, len(payload), 0
    collisions: dict[int, set[int]] = {}
    while True:
        position = end_of_run(payload, position, end)
        if position >= end - 1:
            return False
        opcode = payload[position]
        if opcode in _TUPLES:
            tuples += 1
            if tuples > _FEW or opcode == _TUPLE:
                return True
        elif opcode == _LONG4 and _long4(payload, position) > 1024:
            return True
        elif opcode == _LONG4 or (opcode == _LONG1 and payload[position + 1] >= 8):
            _note(payload, position, collisions)
        position += _length(payload, position)


def _long4(payload: bytes, position: int) -> int:
    return int.from_bytes(payload[position + 1 : position + 5], "little")


def _note(payload: bytes, position: int, collisions: dict[int, set[int]]) -> None:
    """Note an integer by its hash."""
    start = position + (2 if payload[position] == _LONG1 else 5)
    end = position + _length(payload, position)
    number = int.from_bytes(payload[start:end], "little", signed=True)
    same = collisions.setdefault(number % _PRIME, set())
    same.add(number)
    if len(same) > MOST_COLLISIONS:
        expected = f"at most {MOST_COLLISIONS}"
        raise LimitExceededError("integers with the same hash", expected, None, None, f"payload[{position}]").at(20)


def _length(payload: bytes, position: int) -> int:
    """Return the length of the opcode at a position, with its argument."""
    opcode = payload[position]
    sized = SIZED.get(opcode)
    if sized is not None:
        return 1 + sized[0] + int.from_bytes(payload[position + 1 : position + 1 + sized[0]], "little")
    if opcode == _GLOBAL:
        return payload.index(b"\n", payload.index(b"\n", position) + 1) + 1 - position
    return _FIXED.get(opcode, 1)


# Opcodes with an argument of fixed length.
_FIXED = {0x68: 2, 0x4B: 2, 0x71: 2, 0x47: 9, 0x4D: 3, 0x4A: 5, 0x6A: 5, 0x72: 5, _FRAME: 9, _PROTO: 2}
Cost = Any  # 1 for what is hashed in one step, (steps, depth) for tuples and frozensets


class _Walk:
    """One walk over one payload, with what each object costs to hash in place of the object."""

    def __init__(self, payload: bytes, budget: int, max_depth: int) -> None:
        self._payload = payload
        self._left = budget
        self._max_depth = max_depth
        self._stack: list[Cost] = []
        self._marks: list[int] = []
        self._memo: dict[int, Cost] = {}
        self._collisions: dict[int, set[int]] = {}

    def run(self) -> None:
        payload, stack, memo = self._payload, self._stack, self._memo
        position, end = 2, len(payload) - 1
        while position < end:
            opcode = payload[position]
            if opcode == 0x94:  # MEMOIZE
                memo[len(memo)] = stack[-1]
                position += 1
            elif opcode == 0x68:  # BINGET
                stack.append(memo[payload[position + 1]])
                position += 2
            elif opcode == 0x8C:  # SHORT_BINUNICODE
                stack.append(1)
                position += 2 + payload[position + 1]
            elif opcode == 0x28:  # MARK
                self._marks.append(len(stack))
                position += 1
            elif opcode in _ACTIONS:
                _ACTIONS[opcode](self, position)
                position += _FIXED.get(opcode, 1)
            else:
                if opcode == _LONG4 or (opcode == _LONG1 and payload[position + 1] >= 8):
                    _note(payload, position, self._collisions)
                if opcode not in _SILENT:
                    stack.append(1 + _long4(payload, position) // 64 if opcode == _LONG4 else 1)
                position += _length(payload, position)

    def _since_mark(self) -> list[Cost]:
        start = self._marks.pop()
        found = self._stack[start:]
        del self._stack[start:]
        return found

    def _pop(self, count: int) -> list[Cost]:
        found = self._stack[-count:]
        if len(found) < count:
            raise IndexError
        del self._stack[-count:]
        return found

    def _hash(self, costs: list[Cost]) -> None:
        for cost in costs:
            steps, depth = cost if type(cost) is tuple else (cost, 0)
            self._left -= steps
            if depth > self._max_depth:
                raise too_deep(self._max_depth)
        if self._left < 0:
            hint = "do not load this; if you know who wrote it, and why: let them sign it"
            reason = "the payload hashes out of proportion to its length"
            raise LimitExceededError(reason, hint=hint, where="payload").at(20)

    def _push_tuple(self, parts: list[Cost]) -> None:
        steps, depth = 1, 0
        for part in parts:
            if type(part) is tuple:
                steps += part[0]
                depth = max(depth, part[1])
            else:
                steps += part
        self._stack.append((min(steps, _ENOUGH), depth + 1))

    def _tuple(self, position: int) -> None:
        self._push_tuple(self._since_mark())

    def _tuple_of(self, position: int) -> None:
        self._push_tuple(self._pop(self._payload[position] - 0x84))

    def _frozenset(self, position: int) -> None:
        parts = self._since_mark()
        self._hash(parts)
        self._push_tuple(parts)

    def _take(self, position: int) -> None:
        """APPEND, BUILD, REDUCE, NEWOBJ, STACK_GLOBAL: two objects become one, which is hashed by its own code."""
        self._pop(2)
        self._stack.append(1)

    def _take_three(self, position: int) -> None:
        self._pop(3)
        self._stack.append(1)

    def _drop(self, position: int) -> None:
        self._since_mark()

    def _list(self, position: int) -> None:
        self._since_mark()
        self._stack.append(1)

    def _dict(self, position: int) -> None:
        self._hash(self._since_mark()[::2])
        self._stack.append(1)

    def _set_item(self, position: int) -> None:
        self._hash(self._pop(2)[:1])

    def _set_items(self, position: int) -> None:
        self._hash(self._since_mark()[::2])

    def _add_items(self, position: int) -> None:
        self._hash(self._since_mark())

    def _discard(self, position: int) -> None:
        """POP, which takes a mark where that is on top."""
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _put(self, position: int) -> None:
        width = 1 if self._payload[position] == 0x71 else 4
        self._memo[int.from_bytes(self._payload[position + 1 : position + 1 + width], "little")] = self._stack[-1]

    def _long_get(self, position: int) -> None:
        self._stack.append(self._memo[int.from_bytes(self._payload[position + 1 : position + 5], "little")])


_ACTIONS = {
    **dict.fromkeys(b"\x85\x86\x87", _Walk._tuple_of),
    **dict.fromkeys(b"abR\x81\x93", _Walk._take),
    **dict.fromkeys(b"qr", _Walk._put),
    **dict.fromkeys(b"e1", _Walk._drop),
    ord("0"): _Walk._discard,
    ord("d"): _Walk._dict,
    ord("j"): _Walk._long_get,
    ord("l"): _Walk._list,
    ord("s"): _Walk._set_item,
    ord("t"): _Walk._tuple,
    ord("u"): _Walk._set_items,
    0x90: _Walk._add_items,
    0x91: _Walk._frozenset,
    0x92: _Walk._take_three,
}
_SILENT = frozenset((_FRAME, _PROTO, 0x98))  # these leave the stack as it is; 0x98 is READONLY_BUFFER
