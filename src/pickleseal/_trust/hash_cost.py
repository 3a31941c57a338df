"""Find from the opcodes alone what hashing costs: of deeply nested tuples, huge numbers, numbers with the same hash.

Sixty bytes of nested tuples as a dictionary's key take years of hashing, which no signal interrupts, and 300 kB of
them overflow the C stack. CPython's unpickler has no hook for it, so a payload that holds enough tuples to build
such a thing is followed opcode by opcode, with numbers in place of objects. Most payloads hold no tuples but those
that an opcode takes right away (arguments, states): one pattern finds that out. No opcode is run.
"""

from collections.abc import Callable
from typing import Any

from .._payload.opcodes import BELOW, CODE, ITEMS, NOTHING, OPCODES, Opcode, end_of
from .._payload.structure import plain_run
from ..errors import LimitExceededError, UnpickleError
from .calls import MOST_COLLISIONS, out_of_proportion, too_deep

_FEW = 4  # so many tuples of three take 81 steps at most, each time that they are hashed
_LONG1, _LONG4, _TUPLE = CODE["LONG1"], CODE["LONG4"], CODE["TUPLE"]
_TUPLES = bytes((_TUPLE, *(CODE[name] for name in ("TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"))))
# Tuples that a call or a state takes right away: the dry run sees these.
_TAKEN = b"[%s](?:%s|%s.|)(?=[%s])" % tuple(
    b"".join(b"\\x%02x" % CODE[name] for name in names.split())
    for names in ("TUPLE TUPLE1 TUPLE2 TUPLE3", "MEMOIZE", "BINPUT", "REDUCE NEWOBJ NEWOBJ_EX BUILD")
)
_PRIME = 2**61 - 1  # hashes of integers are remainders by it (sys.hash_info.modulus)
_ENOUGH = 2**62


def check_hashes(payload: bytes, protocol: int, max_depth: int) -> None:
    """Refuse a payload whose own opcodes hash for too long. It has passed `check_envelope`. Runs nothing.

    Raises:
        LimitExceededError: hashing its keys and set members takes more than 1,000,000 steps and 10 for each byte, or
            nests deeper than `max_depth`, or more than 1,000 of its integers collide.
        UnpickleError: its opcodes take what is not there, so that it would fail if it ran.
    """
    if not is_suspect(payload, protocol):
        return
    try:
        HashCost(payload, 1_000_000 + 10 * len(payload), max_depth).run()
    except (IndexError, KeyError) as exc:
        raise UnpickleError("the payload takes something from its stack or memo that is not there") from exc


def is_suspect(payload: bytes, protocol: int) -> bool:
    """Return whether there are enough tuples to nest them deeply, or a number that takes long to hash."""
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
        position = end_of(payload, position)


def _long4(payload: bytes, position: int) -> int:
    return int.from_bytes(payload[position + 1 : position + 5], "little")


def _note(payload: bytes, position: int, collisions: dict[int, set[int]]) -> None:
    """Note an integer by its hash."""
    start = position + (2 if payload[position] == _LONG1 else 5)
    number = int.from_bytes(payload[start : end_of(payload, position)], "little", signed=True)
    same = collisions.setdefault(number % _PRIME, set())
    same.add(number)
    if len(same) > MOST_COLLISIONS:
        expected = f"at most {MOST_COLLISIONS}"
        raise LimitExceededError("integers with the same hash", expected, None, None, f"payload[{position}]").at(20)


Cost = Any  # 1 for what is hashed in one step, (steps, depth) for tuples and frozensets


class HashCost:
    """One walk over one payload, with what each object costs to hash in place of the object."""

    def __init__(self, payload: bytes, budget: int, max_depth: int) -> None:
        self.left = budget
        self._payload = payload
        self._max_depth = max_depth
        self._stack: list[Cost] = []
        self._marks: list[int] = []
        self._memo: dict[int, Cost] = {}
        self._collisions: dict[int, set[int]] = {}

    def run(self) -> None:
        payload, stack, memo = self._payload, self._stack, self._memo
        memoize, get, text = CODE["MEMOIZE"], CODE["BINGET"], CODE["SHORT_BINUNICODE"]
        position, end = 2, len(payload) - 1
        while position < end:
            code = payload[position]
            if code == memoize:
                memo[len(memo)] = stack[-1]
                position += 1
            elif code == get:
                stack.append(memo[payload[position + 1]])
                position += 2
            elif code == text:
                stack.append(1)
                position += 2 + payload[position + 1]
            else:
                step = _STEPS[code]
                if step is None:
                    stack.append(1)
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
            steps, depth = cost if type(cost) is tuple else (cost, 0)
            self.left -= steps
            if depth > self._max_depth:
                raise too_deep(self._max_depth)
        if self.left < 0:
            raise out_of_proportion("hashes")

    def _push_tuple(self, parts: list[Cost]) -> None:
        steps, depth = 1, 0
        for part in parts:
            if type(part) is tuple:
                steps += part[0]
                depth = max(depth, part[1])
            else:
                steps += part
        self._stack.append((min(steps, _ENOUGH), depth + 1))

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
        self._push_tuple(parts)

    def dict(self, position: int) -> None:
        self._hash(self._since_mark()[::2])
        self._stack.append(1)

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
        self._memo[self._argument(position)] = self._stack[-1]

    def get(self, position: int) -> None:
        self._stack.append(self._memo[self._argument(position)])

    def long(self, position: int) -> None:
        """LONG1 and LONG4: a number of a thousand bits or more takes a while to hash."""
        if self._payload[position] == _LONG4 or self._payload[position + 1] >= 8:
            _note(self._payload, position, self._collisions)
        self._stack.append(1 + _long4(self._payload, position) // 64 if self._payload[position] == _LONG4 else 1)


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
            cost._stack.append(1)  # what a call made is hashed by code of its own

    return step


_STEPS = {opcode.code: _step(opcode) for opcode in OPCODES}
_FIXED = {opcode.code: 1 + opcode.argument.size for opcode in OPCODES if opcode.argument.form == "fixed"}
