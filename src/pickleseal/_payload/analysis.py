"""What a bare pickle imports and makes, told from its opcodes without running one (spec section 12, adopting).

Strategy: the stack, the marks and the memo of the pickle machine, with shadows in the place of objects. Text is kept,
because STACK_GLOBAL takes a name from it; of everything else a shadow knows the name of its type at most. An opcode
that takes what is not there is a refusal. All protocols are read, those that no artifact holds too.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from .._format.header import is_global
from ..errors import PickleEnvelopeError

__all__ = ["OF", "STEPS", "UNKNOWN", "Global", "Outline", "Shadow", "Tuple", "Walk", "outline", "todays_name"]

# The pickle machine with shadows in the place of objects: stack, marks, memo, and the opcodes' arguments.


LOAD = "--load --trust NAME... unpickles it under an allow-list and packs it anew"
_LONGEST = 1023  # bytes of a name (spec 6)


class Shadow:
    """An object of which the type's name is known, or nothing."""

    __slots__ = ("name",)

    def __init__(self, name: str | None = None) -> None:
        self.name = name


class Global(Shadow):
    """A class or a function, by its name."""

    __slots__ = ()


class Tuple(Shadow):
    """A tuple, and what comes first in it."""

    __slots__ = ("first",)

    def __init__(self, first: Any) -> None:
        self.name = "builtins:tuple"
        self.first = first


UNKNOWN = Shadow()
OF = {
    name: Shadow(f"builtins:{name}")
    for name in ("NoneType", "bool", "int", "float", "bytes", "bytearray", "list", "dict", "set", "frozenset")
}
TEXT = Shadow("builtins:str")  # too long for a name
_MAKERS = {  # functions whose first argument is the class of what they return
    "copyreg:_reconstructor",
    "copyreg:__newobj__",
    "copyreg:__newobj_ex__",
    "numpy.core.multiarray:_reconstruct",
    "numpy._core.multiarray:_reconstruct",
}
_RETURNS = {
    "pickleseal:rebuild_array": "numpy:ndarray",
    "pickleseal:rebuild_object_array": "numpy:ndarray",
    "pickleseal:rebuild_dtype": "numpy:dtype",
    "numpy._core.numeric:_frombuffer": "numpy:ndarray",
    "numpy.core.numeric:_frombuffer": "numpy:ndarray",
}
_ALSO_CLASSES = frozenset(("builtins", "collections", "datetime", "decimal", "fractions", "uuid", "array", "ipaddress"))


def todays_name(name: str, protocol: int) -> str:
    """Return what a global of Python 2, as protocols below 3 have it, is called now."""
    if protocol >= 3:
        return name
    from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

    module, _, qualname = name.partition(":")
    if (module, qualname) in NAME_MAPPING:
        module, qualname = NAME_MAPPING[module, qualname]
    return f"{IMPORT_MAPPING.get(module, module)}:{qualname}"


class Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0  # of the next byte
        self.opcode_at = 0
        self.protocol = 2 if data[:1] == b"\x80" else 1
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.names: set[str] = set()
        self.texts: list[tuple[int, int, bytes]] = []
        self.buffers: list[int] = []
        self.frames: list[int] = []

    def error(self, reason: str, hint: str | None = None) -> PickleEnvelopeError:
        return PickleEnvelopeError(reason, None, None, hint, f"payload[{self.opcode_at}]")

    # --- arguments ---------------------------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        start = self.position
        self.position = end = start + count
        if count < 0 or end > len(self.data):
            raise self.error("an opcode's argument reaches beyond the end")
        return self.data[start:end]

    def number(self, width: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(width), "little", signed=signed)

    def skip(self, count: int) -> None:
        self.position += count
        if count < 0 or self.position > len(self.data):
            raise self.error("an opcode's argument reaches beyond the end")

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise self.error("a line of text without its end")
        found = self.data[self.position : end]
        self.position = end + 1
        return found

    def index(self) -> int:
        text = self.line()
        if not text.isdigit() or len(text) > 18:
            raise self.error("not a number")
        return int(text)

    # --- the stack ---------------------------------------------------------------------------------------------------

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.error("takes more from the stack than there is")
        return self.stack.pop()

    def top(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.error("takes more from the stack than there is")
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise self.error("there is no MARK")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def push_text(self, raw: bytes) -> None:
        if len(raw) > _LONGEST:
            self.stack.append(TEXT)
            return
        try:
            self.stack.append(raw.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise self.error("text that is not UTF-8") from None

    def push_old_text(self, raw: bytes) -> None:
        self.texts.append((self.opcode_at, self.position, raw))
        self.stack.append(raw.decode("latin-1") if len(raw) <= _LONGEST else TEXT)

    # --- what is imported and made -----------------------------------------------------------------------------------

    def import_name(self, module: object, qualname: object) -> Global:
        if not isinstance(module, str) or not isinstance(qualname, str):
            raise self.error("the name of what it imports is made while it runs", LOAD)
        name = f"{module}:{qualname}"
        if not is_global(name):
            raise self.error("imports a name that no header can hold", LOAD)
        self.names.add(name)
        return Global(name)

    def make(self, function: Any, first: Any) -> Shadow:
        """Return the shadow of what a call makes: of the class that is called, or that a known function is given."""
        if type(function) is not Global or function.name is None:
            return UNKNOWN
        name = todays_name(function.name, self.protocol)
        if name in _MAKERS:
            known = type(first) is Global and first.name is not None
            return Shadow(todays_name(first.name, self.protocol)) if known else UNKNOWN
        if name in _RETURNS:
            return Shadow(_RETURNS[name])
        module, _, qualname = name.partition(":")
        if qualname.rpartition(".")[2][:1].isupper() or (module in _ALSO_CLASSES and qualname != "getattr"):
            return Shadow(name)
        return UNKNOWN


# What each opcode of a pickle does to a machine of shadows. None imports, calls or makes anything.


def _push(shadow: Any) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        walk.stack.append(shadow)

    return step


def _push_after(shadow: Any, width: int) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        walk.position += width
        if walk.position > len(walk.data):
            raise walk.error("an opcode's argument reaches beyond the end")
        walk.stack.append(shadow)

    return step


def _push_line(shadow: Any) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        walk.line()
        walk.stack.append(shadow)

    return step


def _push_counted(shadow: Any, width: int, signed: bool = False) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        walk.skip(walk.number(width, signed))
        walk.stack.append(shadow)

    return step


def _text(width: int) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        walk.push_text(walk.take(walk.number(width)))

    return step


def _old_text(width: int, signed: bool) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        walk.push_old_text(walk.take(walk.number(width, signed)))

    return step


def _string(walk: Walk) -> None:
    import codecs

    raw = walk.line().strip()
    if len(raw) < 2 or raw[:1] != raw[-1:] or raw[:1] not in b"\"'":
        raise walk.error("a string without its quotes")
    try:
        decoded = codecs.escape_decode(raw[1:-1])[0]
    except ValueError:
        raise walk.error("a string with a wrong escape") from None
    walk.push_old_text(decoded if isinstance(decoded, bytes) else raw)


def _unicode(walk: Walk) -> None:
    try:
        walk.push_text(walk.line().decode("raw-unicode-escape").encode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        raise walk.error("text with a wrong escape") from None


def _mark(walk: Walk) -> None:
    walk.marks.append(len(walk.stack))


def _pop_one(walk: Walk) -> None:
    if walk.marks and walk.marks[-1] == len(walk.stack):
        walk.marks.pop()
    else:
        walk.pop()


def _dup(walk: Walk) -> None:
    walk.stack.append(walk.top())


def _tuple(count: int) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        items = [walk.pop() for _ in range(count)]
        walk.stack.append(Tuple(items[-1]))

    return step


def _tuple_of_mark(walk: Walk) -> None:
    items = walk.pop_mark()
    walk.stack.append(Tuple(items[0] if items else None))


def _of_mark(shadow: Any) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        walk.pop_mark()
        walk.stack.append(shadow)

    return step


def _drop(count: int) -> Callable[[Walk], None]:
    """Take so many items into what is then on top."""

    def step(walk: Walk) -> None:
        for _ in range(count):
            walk.pop()
        walk.top()

    return step


def _drop_mark(walk: Walk) -> None:
    walk.pop_mark()
    walk.top()


def _pop_mark(walk: Walk) -> None:
    walk.pop_mark()


def _put(read: Callable[[Walk], int]) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        walk.memo[read(walk)] = walk.top()

    return step


def _get(read: Callable[[Walk], int]) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        try:
            walk.stack.append(walk.memo[read(walk)])
        except KeyError:
            raise walk.error("takes from the memo what is not in it") from None

    return step


def _memoize(walk: Walk) -> None:
    walk.memo[len(walk.memo)] = walk.top()


def _global(walk: Walk) -> None:
    try:
        module, qualname = walk.line().decode(), walk.line().decode()
    except UnicodeDecodeError:
        raise walk.error("a name that is not UTF-8") from None
    walk.stack.append(walk.import_name(module, qualname))


def _stack_global(walk: Walk) -> None:
    qualname, module = walk.pop(), walk.pop()
    walk.stack.append(walk.import_name(module, qualname))


def _inst(walk: Walk) -> None:
    _global(walk)
    cls = walk.stack.pop()
    walk.pop_mark()
    walk.stack.append(walk.make(cls, None))


def _obj(walk: Walk) -> None:
    items = walk.pop_mark()
    if not items:
        raise walk.error("takes more from the stack than there is")
    walk.stack.append(walk.make(items[0], None))


def _reduce(walk: Walk) -> None:
    arguments, function = walk.pop(), walk.pop()
    walk.stack.append(walk.make(function, arguments.first if type(arguments) is Tuple else None))


def _new(count: int) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        for _ in range(count):
            walk.pop()
        cls = walk.pop()
        named = type(cls) is Global and cls.name is not None
        walk.stack.append(Shadow(todays_name(cls.name, walk.protocol)) if named else UNKNOWN)

    return step


def _proto(walk: Walk) -> None:
    protocol = walk.number(1)
    if protocol > 5:
        raise walk.error(f"protocol {protocol} is not known")
    if walk.opcode_at == 0:
        walk.protocol = protocol


def _frame(walk: Walk) -> None:
    walk.frames.append(walk.opcode_at)
    if walk.number(8) > len(walk.data) - walk.position:
        raise walk.error("FRAME reaches beyond the end")


def _buffer(walk: Walk) -> None:
    walk.buffers.append(walk.opcode_at)
    walk.stack.append(UNKNOWN)


def _refuse(reason: str, hint: str | None = None) -> Callable[[Walk], None]:
    def step(walk: Walk) -> None:
        raise walk.error(reason, hint)

    return step


def _top_stays(walk: Walk) -> None:
    walk.top()


def _byte(walk: Walk) -> int:
    return walk.number(1)


def _four_bytes(walk: Walk) -> int:
    return walk.number(4)


_PERSISTENT = _refuse("uses a persistent id, which only the program that wrote it can look up", "load it there")
_EXTENSION = _refuse("uses the extension registry, whose codes mean something else in other processes", "load it there")
STEPS: list[Callable[[Walk], None] | None] = [None] * 256
for _code, _step in {
    b"N": _push(OF["NoneType"]), b"\x88": _push(OF["bool"]), b"\x89": _push(OF["bool"]),
    b"J": _push_after(OF["int"], 4), b"K": _push_after(OF["int"], 1), b"M": _push_after(OF["int"], 2),
    b"I": _push_line(OF["int"]), b"L": _push_line(OF["int"]), b"F": _push_line(OF["float"]),
    b"G": _push_after(OF["float"], 8), b"\x8a": _push_counted(OF["int"], 1),
    b"\x8b": _push_counted(OF["int"], 4, True), b"S": _string, b"T": _old_text(4, True), b"U": _old_text(1, False),
    b"V": _unicode, b"X": _text(4), b"\x8c": _text(1), b"\x8d": _text(8), b"B": _push_counted(OF["bytes"], 4),
    b"C": _push_counted(OF["bytes"], 1), b"\x8e": _push_counted(OF["bytes"], 8),
    b"\x96": _push_counted(OF["bytearray"], 8), b"]": _push(OF["list"]), b"}": _push(OF["dict"]),
    b")": _push(Tuple(None)), b"\x8f": _push(OF["set"]), b"(": _mark, b"t": _tuple_of_mark, b"\x85": _tuple(1),
    b"\x86": _tuple(2), b"\x87": _tuple(3), b"l": _of_mark(OF["list"]), b"d": _of_mark(OF["dict"]),
    b"\x91": _of_mark(OF["frozenset"]), b"a": _drop(1), b"s": _drop(2), b"e": _drop_mark, b"u": _drop_mark,
    b"\x90": _drop_mark, b"b": _drop(1), b"0": _pop_one, b"1": _pop_mark, b"2": _dup, b"p": _put(Walk.index),
    b"q": _put(_byte), b"r": _put(_four_bytes), b"g": _get(Walk.index), b"h": _get(_byte), b"j": _get(_four_bytes),
    b"\x94": _memoize, b"c": _global, b"i": _inst, b"o": _obj, b"\x93": _stack_global, b"\x81": _new(1),
    b"\x92": _new(2), b"R": _reduce, b"\x80": _proto, b"\x95": _frame, b"\x97": _buffer, b"\x98": _top_stays,
    b"P": _PERSISTENT, b"Q": _PERSISTENT, b"\x82": _EXTENSION, b"\x83": _EXTENSION, b"\x84": _EXTENSION,
}.items():  # fmt: skip
    STEPS[_code[0]] = _step


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
