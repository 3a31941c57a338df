"""What a bare pickle imports and makes, told from its opcodes without running one (spec section 12, adopting).

Strategy: the stack, the marks and the memo of the pickle machine, with shadows in the place of objects. Text is kept,
because STACK_GLOBAL takes a name from it; of everything else a shadow knows the name of its type at most. An opcode
that takes what is not there is a refusal. All protocols are read, those that no artifact holds too.
"""

from typing import NamedTuple

from .machine import Global, Walk
from .opcodes import STEPS

__all__ = ["Outline", "outline"]

_STOP = 0x2E


class Outline(NamedTuple):
    """What opcodes say of a pickle.

    `protocol`: of PROTO, else 1. `names`: what it imports, as `module:qualname`, ordered. `root`: the type of the root
    object where that is known. `texts`: strings of Python 2, by where they begin and end. `buffers`: offsets of
    NEXT_BUFFER. `frames`: offsets of FRAME. `end`: behind STOP.
    """

    protocol: int
    names: list[str]
    root: str | None
    texts: list[tuple[int, int, bytes]]
    buffers: list[int]
    frames: list[int]
    end: int


def outline(data: bytes) -> Outline:
    """Go through a pickle of any protocol. Runs no opcode, imports nothing. Linear in its length.

    Raises:
        PickleEnvelopeError: it is no whole pickle, or what it imports is not in it as text, or it uses the extension
            registry or persistent ids. `where` is the offset.
    """
    walk = Walk(data)
    end = len(data)
    while walk.position < end:
        walk.opcode_at = walk.position
        opcode = data[walk.position]
        walk.position += 1
        if opcode == _STOP:
            return _outline_of(walk)
        step = STEPS[opcode]
        if step is None:
            raise walk.error(f"no opcode of a pickle: {opcode:#04x}")
        step(walk)
    raise walk.error("ends without STOP")


def _outline_of(walk: Walk) -> Outline:
    root = walk.pop()
    name = "builtins:str" if isinstance(root, str) else None if type(root) is Global else root.name
    names = sorted(walk.names, key=str.encode)
    return Outline(walk.protocol, names, name, walk.texts, walk.buffers, walk.frames, walk.position)
