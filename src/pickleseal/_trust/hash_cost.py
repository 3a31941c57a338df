"""Find from the opcodes alone what hashing costs: of deeply nested tuples, huge numbers, numbers with the same hash.

Sixty bytes of nested tuples as a dictionary's key take years of hashing, which no signal interrupts, and 300 kB of
them overflow the C stack. CPython's unpickler has no hook for it, so a payload that holds enough tuples to build
such a thing is followed opcode by opcode, with numbers in place of objects. Most payloads hold no tuples but those
that an opcode takes right away (arguments, states): one pattern finds that out. No opcode is run.
"""

import struct
from collections.abc import Callable
from typing import Any

from .._payload.opcodes import BELOW, CODE, ITEMS, NOTHING, OPCODES, Opcode, end_of
from .._payload.structure import plain_run
from ..errors import UnpickleError
from .meter import BUDGET, BUDGET_PER_BYTE, Collisions, out_of_proportion, too_deep

_FEW = 4  # so many tuples of three take 81 steps at most, each time that they are hashed
_LONG1, _LONG4, _TUPLE = CODE["LONG1"], CODE["LONG4"], CODE["TUPLE"]
_TUPLES = bytes((_TUPLE, *(CODE[name] for name in ("TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"))))
# Tuples that a call or a state takes right away: the dry run sees these.
_TAKEN = b"[%s](?:%s|%s.|)(?=[%s])" % tuple(
    b"".join(b"\\x%02x" % CODE[name] for name in names.split())
    for names in ("TUPLE TUPLE1 TUPLE2 TUPLE3", "MEMOIZE", "BINPUT", "REDUCE NEWOBJ NEWOBJ_EX BUILD")
)
# Opcodes that hash something: keys, and members of sets.
_HASHING = bytes(CODE[name] for name in ("SETITEM", "SETITEMS", "DICT", "ADDITEMS", "FROZENSET"))
_ENOUGH = 2**62
_CONSTANTS = {CODE["NONE"]: None, CODE["NEWTRUE"]: True, CODE["NEWFALSE"]: False}
_FLOAT, _INT = struct.Struct(">d"), struct.Struct("<i")


def check_hashes(payload: bytes, protocol: int, max_depth: int) -> int:
    """Refuse a payload whose own opcodes hash for too long. It has passed `check_envelope`. Runs nothing.

    Returns:
        How many tuples and frozensets they hash, if these could be many.

    Raises:
        LimitExceededError: hashing its keys and set members takes more than 1,000,000 steps and 10 for each byte, or
            nests deeper than `max_depth`, or more than 1,000 of its integers, or keys of numbers, have the same hash.
        UnpickleError: its opcodes take what is not there, so that it would fail if it ran.
    """
    if not is_suspect(payload, protocol):
        return 0
    walk = HashCost(payload, BUDGET + BUDGET_PER_BYTE * len(payload), max_depth)
    try:
        walk.run()
    except (IndexError, KeyError) as exc:
        raise UnpickleError("the payload takes something from its stack or memo that is not there") from exc
    return walk.tuples


def is_suspect(payload: bytes, protocol: int) -> bool:
    """Return whether there are enough tuples to nest them deeply, or a number that takes long to hash."""
    if not _hashes_anything(payload, protocol):
        return False
    end_of_run = plain_run(protocol, False, _TUPLES + bytes((_LONG1,)), _TAKEN)
    position, end, tuples = 2, len(payload), 0
    collisions = Collisions()
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
        position = end_of(payload, position)


def _hashes_anything(payload: bytes, protocol: int) -> bool:
    """Return whether an opcode hashes something. What calls hash, the dry run sees."""
    end_of_run = plain_run(protocol, False, _HASHING)
    position, end = 2, len(payload) - 1
    while (position := end_of_run(payload, position, end)) < end:
        if payload[position] in _HASHING:
            return True
        position = end_of(payload, position)
    return False


def _long4(payload: bytes, position: int) -> int:
    return int.from_bytes(payload[position + 1 : position + 5], "little")


def _note(payload: bytes, position: int, collisions: Collisions) -> int:
    """Note an integer by its hash, and return it."""
    start = position + (2 if payload[position] == _LONG1 else 5)
    number = int.from_bytes(payload[start : end_of(payload, position)], "little", signed=True)
    collisions.note(hash(number), number, f"payload[{position}]")
    return number


# What stands for an object: a number or None for itself, (steps, depth, value) for tuples and frozensets, "" for all
# else. In such a value, "" is in place of each object whose hash nobody can choose, as that of a text; if at most one
# part is left, "" is the whole value.
Cost = Any
_UNKNOWN = ""


class HashCost:
    """One walk over one payload, with what each object costs to hash in place of the object."""

    def __init__(self, payload: bytes, budget: int, max_depth: int) -> None:
        self.left = budget
        self.tuples = 0  # that were hashed
        self._payload = payload
        self._max_depth = max_depth
        self._stack: list[Cost] = []
        self._marks: list[int] = []
        self._memo: list[Cost] = []
        self._puts: dict[int, Cost] = {}  # of protocols below 4, which name the places
        self._collisions = Collisions()

    def run(self) -> None:
        payload, stack, memo = self._payload, self._stack, self._memo
        memoize, get, text = CODE["MEMOIZE"], CODE["BINGET"], CODE["SHORT_BINUNICODE"]
        one, two, four, pair = (CODE[name] for name in ("BININT1", "BININT2", "BININT", "TUPLE2"))
        unpack = _INT.unpack_from
        position, end = 2, len(payload) - 1
        while position < end:
            code = payload[position]
            if code == memoize:
                memo.append(stack[-1])
                position += 1
            elif code == get:
                index = payload[position + 1]
                stack.append(memo[index] if memo else self._puts[index])
                position += 2
            elif code == text:
                stack.append(_UNKNOWN)
                position += 2 + payload[position + 1]
            elif code == pair:
                second, first = stack.pop(), stack.pop()
                if type(first) is tuple or type(second) is tuple:
                    self._push_tuple([first, second])
                else:
                    is_known = first is not _UNKNOWN and second is not _UNKNOWN
                    stack.append((3, 1, (first, second) if is_known else _UNKNOWN))
                position += 1
            elif code == one:
                stack.append(payload[position + 1])
                position += 2
            elif code == two:
                stack.append(payload[position + 1] | payload[position + 2] << 8)
                position += 3
            elif code == four:
                stack.append(unpack(payload, position + 1)[0])
                position += 5
            else:
                step = _STEPS[code]
                if step is None:
                    stack.append(_CONSTANTS.get(code, _UNKNOWN))
                else:
                    step(self, position)
                size = _FIXED.get(code)
                position = end_of(payload, position) if size is None else position + size

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
            if type(cost) is not tuple:
                self.left -= 1 + (cost.bit_length() >> 9 if type(cost) is int else 0)
                continue
            steps, depth, value = cost
            self.left -= steps
            self.tuples += 1
            if depth > self._max_depth:
                raise too_deep(self._max_depth)
            if self.left < 0:
                break
            if value is not _UNKNOWN:
                self._collisions.note(hash(value), value)
        if self.left < 0:
            raise out_of_proportion("hashes")

    def _push_tuple(self, parts: list[Cost], kind: Any = tuple) -> None:
        steps, depth, values = 1, 0, []
        for part in parts:
            if type(part) is tuple:
                steps += part[0]
                depth = max(depth, part[1])
                values.append(part[2])
            else:
                steps += 1
                values.append(part)
        # A value of so many parts is never hashed: that would take more than the budget.
        is_known = len(values) - values.count(_UNKNOWN) > 1 or kind is frozenset
        self._stack.append((min(steps, _ENOUGH), depth + 1, kind(values) if is_known else _UNKNOWN))

    def _argument(self, position: int) -> int:
        return int.from_bytes(self._payload[position + 1 : end_of(self._payload, position)], "little")

    # What single opcodes do. Those not among `_FUNCTIONS` take and give what the table of opcodes says.

    def mark(self, position: int) -> None:
        self._marks.append(len(self._stack))

    def tuple_of_items(self, position: int) -> None:
        self._push_tuple(self._since_mark())

    def tuple_of_few(self, position: int) -> None:
        self._push_tuple(self._pop(self._payload[position] - CODE["TUPLE1"] + 1))

    def frozenset(self, position: int) -> None:
        parts = self._since_mark()
        self._hash(parts)
        self._push_tuple(parts, frozenset)

    def dict(self, position: int) -> None:
        self._hash(self._since_mark()[::2])
        self._stack.append(_UNKNOWN)

    def set_item(self, position: int) -> None:
        self._hash(self._pop(2)[:1])

    def set_items(self, position: int) -> None:
        self._hash(self._since_mark()[::2])

    def add_items(self, position: int) -> None:
        self._hash(self._since_mark())

    def pop(self, position: int) -> None:
        """POP, which takes a mark where that is on top."""
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def put(self, position: int) -> None:
        self._puts[self._argument(position)] = self._stack[-1]

    def get(self, position: int) -> None:
        index = self._argument(position)
        self._stack.append(self._memo[index] if self._memo else self._puts[index])

    def float(self, position: int) -> None:
        self._stack.append(_FLOAT.unpack_from(self._payload, position + 1)[0])

    def long(self, position: int) -> None:
        """LONG1 and LONG4."""
        if self._payload[position] == _LONG4 or self._payload[position + 1] >= 8:
            self._stack.append(_note(self._payload, position, self._collisions))
        else:
            data = self._payload[position + 2 : end_of(self._payload, position)]
            self._stack.append(int.from_bytes(data, "little", signed=True))


_FUNCTIONS: dict[str, Callable[[HashCost, int], None]] = {
    "MARK": HashCost.mark,
    "TUPLE": HashCost.tuple_of_items,
    **dict.fromkeys(("TUPLE1", "TUPLE2", "TUPLE3"), HashCost.tuple_of_few),
    "FROZENSET": HashCost.frozenset,
    "DICT": HashCost.dict,
    "SETITEM": HashCost.set_item,
    "SETITEMS": HashCost.set_items,
    "ADDITEMS": HashCost.add_items,
    "POP": HashCost.pop,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), HashCost.put),
    "LONG_BINGET": HashCost.get,
    **dict.fromkeys(("LONG1", "LONG4"), HashCost.long),
    "BINFLOAT": HashCost.float,
}


def _step(opcode: Opcode) -> Callable[[HashCost, int], None] | None:
    """Return what an opcode does here; None: it puts an object on the stack that is hashed in one step."""
    function = _FUNCTIONS.get(opcode.name)
    if function is not None or (opcode.takes == 0 and opcode.gives not in (NOTHING, BELOW)):
        return function
    takes, gives = opcode.takes, opcode.gives

    def step(cost: HashCost, position: int) -> None:
        if takes == ITEMS:
            cost._since_mark()
        elif takes:
            cost._pop(takes)
        if gives == BELOW:
            cost._stack[-1]  # it has to be there; a state does not make a tuple cheaper
        elif gives != NOTHING:
            cost._stack.append(_UNKNOWN)  # what a call made is hashed by code of its own

    return step


_STEPS = {opcode.code: _step(opcode) for opcode in OPCODES}
_FIXED = {opcode.code: 1 + opcode.argument.size for opcode in OPCODES if opcode.argument.form == "fixed"}
