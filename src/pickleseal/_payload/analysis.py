"""The static analysis: what a bare pickle imports and makes, read from its opcodes (spec section 12, adopting).

Strategy: an abstract pickle machine with a stack, marks and a memo, whose values are shadows in place of objects. Text
is kept, because STACK_GLOBAL takes a name from it. Of everything else a shadow knows the name of its type at most.
The machine refuses an opcode that takes what is not there. It reads all protocols, also those that no artifact may
hold. No opcode is run, and nothing is imported or made.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from .._format.header import is_global
from ..errors import Hint, PickleEnvelopeError
from .opcodes import BELOW, CODE, ITEMS, NOTHING, OPCODES, Opcode

LOAD = Hint(
    "pickleseal.convert.repickle(data, trust=[...]) unpickles it under an allow-list and packs it anew",
    "--load --trust NAME... unpickles it under an allow-list and packs it anew",
)
_LONGEST = 1023  # bytes of a name (spec 6)


class _Shadow:
    """An object of which the type's name is known, or nothing."""

    __slots__ = ("name",)

    def __init__(self, name: str | None = None) -> None:
        self.name = name


class _Global(_Shadow):
    """A class or a function, by its name."""

    __slots__ = ()


class _Tuple(_Shadow):
    """A tuple, and what comes first in it."""

    __slots__ = ("first",)

    def __init__(self, first: Any) -> None:
        self.name = "builtins:tuple"
        self.first = first


_UNKNOWN = _Shadow()
_TEXT = _Shadow("builtins:str")  # too long for a name

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


class _Walk:
    """One walk of the machine over one pickle."""

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
        start = self.position
        self.position = end = start + width
        if end > len(self.data):
            raise self.error("an opcode's argument reaches beyond the end")
        return int.from_bytes(self.data[start:end], "little", signed=signed)

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
            self.stack.append(_TEXT)
            return
        try:
            self.stack.append(raw.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise self.error("text that is not UTF-8") from None

    def push_old_text(self, raw: bytes) -> None:
        self.texts.append((self.opcode_at, self.position, raw))
        self.stack.append(raw.decode("latin-1") if len(raw) <= _LONGEST else _TEXT)

    def import_name(self, module: object, qualname: object) -> _Global:
        if not isinstance(module, str) or not isinstance(qualname, str):
            raise self.error("the name of what it imports is made while it runs", LOAD)
        name = f"{module}:{qualname}"
        if not is_global(name):
            raise self.error("imports a name that no header can hold", LOAD)
        self.names.add(name)
        return _Global(name)

    def make(self, function: Any, first: Any) -> _Shadow:
        """Return the shadow of what a call makes: of the class that is called, or that a known function gets."""
        if type(function) is not _Global or function.name is None:
            return _UNKNOWN
        name = todays_name(function.name, self.protocol)
        if name in _MAKERS:
            known = type(first) is _Global and first.name is not None
            return _Shadow(todays_name(first.name, self.protocol)) if known else _UNKNOWN
        if name in _RETURNS:
            return _Shadow(_RETURNS[name])
        module, _, qualname = name.partition(":")
        if qualname.rpartition(".")[2][:1].isupper() or (module in _ALSO_CLASSES and qualname != "getattr"):
            return _Shadow(name)
        return _UNKNOWN


# What single opcodes do beyond taking and giving objects.


def _string(walk: _Walk) -> None:
    import codecs

    raw = walk.line().strip()
    if len(raw) < 2 or raw[:1] != raw[-1:] or raw[:1] not in b"\"'":
        raise walk.error("a string without its quotes")
    try:
        decoded = codecs.escape_decode(raw[1:-1])[0]
    except ValueError:
        raise walk.error("a string with a wrong escape") from None
    walk.push_old_text(decoded if isinstance(decoded, bytes) else raw)


def _old_text(opcode: Opcode) -> Callable[[_Walk], None]:
    size, is_signed = opcode.argument.size, opcode.argument.is_signed

    def step(walk: _Walk) -> None:
        walk.push_old_text(walk.take(walk.number(size, is_signed)))

    return step


def _unicode(walk: _Walk) -> None:
    try:
        walk.push_text(walk.line().decode("raw-unicode-escape").encode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        raise walk.error("text with a wrong escape") from None


def _text(opcode: Opcode) -> Callable[[_Walk], None]:
    size = opcode.argument.size

    def step(walk: _Walk) -> None:
        walk.push_text(walk.take(walk.number(size)))

    return step


def _mark(walk: _Walk) -> None:
    walk.marks.append(len(walk.stack))


def _pop(walk: _Walk) -> None:
    if walk.marks and walk.marks[-1] == len(walk.stack):
        walk.marks.pop()
    else:
        walk.pop()


def _dup(walk: _Walk) -> None:
    walk.stack.append(walk.top())


def _tuple(opcode: Opcode) -> Callable[[_Walk], None]:
    takes = opcode.takes

    def step(walk: _Walk) -> None:
        if takes == ITEMS:
            items = walk.pop_mark()
            walk.stack.append(_Tuple(items[0] if items else None))
        else:
            first = None
            for _ in range(takes):
                first = walk.pop()
            walk.stack.append(_Tuple(first))

    return step


def _memo_index(opcode: Opcode) -> Callable[[_Walk], int]:
    """Return what reads the index of a place in the memo: the argument of PUT, GET and their binary forms."""
    size = opcode.argument.size
    return _Walk.index if opcode.argument.form == "lines" else lambda walk: walk.number(size)


def _put(opcode: Opcode) -> Callable[[_Walk], None]:
    index = _memo_index(opcode)

    def step(walk: _Walk) -> None:
        walk.memo[index(walk)] = walk.top()

    return step


def _get(opcode: Opcode) -> Callable[[_Walk], None]:
    index = _memo_index(opcode)

    def step(walk: _Walk) -> None:
        try:
            walk.stack.append(walk.memo[index(walk)])
        except KeyError:
            raise walk.error("takes from the memo what is not in it") from None

    return step


def _memoize(walk: _Walk) -> None:
    walk.memo[len(walk.memo)] = walk.top()


def _global(walk: _Walk) -> None:
    try:
        module, qualname = walk.line().decode(), walk.line().decode()
    except UnicodeDecodeError:
        raise walk.error("a name that is not UTF-8") from None
    walk.stack.append(walk.import_name(module, qualname))


def _stack_global(walk: _Walk) -> None:
    qualname, module = walk.pop(), walk.pop()
    walk.stack.append(walk.import_name(module, qualname))


def _inst(walk: _Walk) -> None:
    _global(walk)
    cls = walk.stack.pop()
    walk.pop_mark()
    walk.stack.append(walk.make(cls, None))


def _obj(walk: _Walk) -> None:
    items = walk.pop_mark()
    if not items:
        raise walk.error("takes more from the stack than there is")
    walk.stack.append(walk.make(items[0], None))


def _reduce(walk: _Walk) -> None:
    arguments, function = walk.pop(), walk.pop()
    walk.stack.append(walk.make(function, arguments.first if type(arguments) is _Tuple else None))


def _new(opcode: Opcode) -> Callable[[_Walk], None]:
    takes = opcode.takes

    def step(walk: _Walk) -> None:
        cls: Any = None
        for _ in range(takes):
            cls = walk.pop()
        named = type(cls) is _Global and cls.name is not None
        walk.stack.append(_Shadow(todays_name(cls.name, walk.protocol)) if named else _UNKNOWN)

    return step


def _proto(walk: _Walk) -> None:
    protocol = walk.number(1)
    if protocol > 5:
        raise walk.error(f"protocol {protocol} is not known")
    if walk.opcode_at == 0:
        walk.protocol = protocol


def _frame(walk: _Walk) -> None:
    walk.frames.append(walk.opcode_at)
    if walk.number(8) > len(walk.data) - walk.position:
        raise walk.error("FRAME reaches beyond the end")


def _buffer(walk: _Walk) -> None:
    walk.buffers.append(walk.opcode_at)
    walk.stack.append(_UNKNOWN)


def _persistent(walk: _Walk) -> None:
    raise walk.error("uses a persistent id, which only the program that wrote it can look up", "load it there")


def _extension(walk: _Walk) -> None:
    reason = "uses the extension registry, whose codes mean something else in other processes"
    raise walk.error(reason, "load it there")


_FUNCTIONS: dict[str, Callable[[_Walk], None]] = {
    "STRING": _string,
    "UNICODE": _unicode,
    "MARK": _mark,
    "POP": _pop,
    "DUP": _dup,
    "MEMOIZE": _memoize,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "INST": _inst,
    "OBJ": _obj,
    "REDUCE": _reduce,
    "PROTO": _proto,
    "FRAME": _frame,
    "NEXT_BUFFER": _buffer,
    **dict.fromkeys(("PERSID", "BINPERSID"), _persistent),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
}
# Functions that make such a function for an opcode.
_FUNCTIONS_OF: dict[str, Callable[[Opcode], Callable[[_Walk], None]]] = {
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING"), _old_text),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _text),
    **dict.fromkeys(("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"), _tuple),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("NEWOBJ", "NEWOBJ_EX"), _new),
}


def _step(opcode: Opcode) -> Callable[[_Walk], None]:
    """Return what an opcode does to the machine: a function for it, or what the table of opcodes says."""
    if opcode.name in _FUNCTIONS:
        return _FUNCTIONS[opcode.name]
    if opcode.name in _FUNCTIONS_OF:
        return _FUNCTIONS_OF[opcode.name](opcode)
    takes, gives, form, size = opcode.takes, opcode.gives, opcode.argument.form, opcode.argument.size
    is_signed, shadow = opcode.argument.is_signed, _Shadow(gives) if ":" in gives else _UNKNOWN

    def push(walk: _Walk) -> None:
        walk.skip(size)
        walk.stack.append(shadow)

    def change(walk: _Walk) -> None:
        if takes == ITEMS:
            walk.pop_mark()
        for _ in range(takes):
            walk.pop()
        walk.top()

    def step(walk: _Walk) -> None:
        if form == "counted":
            walk.skip(walk.number(size, is_signed))
        elif form == "lines":
            for _ in range(size):
                walk.line()
        elif size:
            walk.skip(size)
        if takes == ITEMS:
            walk.pop_mark()
        for _ in range(takes):
            walk.pop()
        if gives == BELOW:
            walk.top()
        elif gives != NOTHING:
            walk.stack.append(shadow)

    if form == "fixed" and not takes and gives not in (NOTHING, BELOW):  # a shorter way for the most frequent
        return push if size else lambda walk: walk.stack.append(shadow)
    if form == "fixed" and not size and gives == BELOW:
        return change
    return step


_STEPS = {opcode.code: _step(opcode) for opcode in OPCODES}
_STOP = CODE["STOP"]


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
        PickleEnvelopeError: it is not a whole pickle, or what it imports is not in it as text, or it uses the extension
            registry or persistent ids. `where` is the offset.
    """
    walk = _Walk(data)
    end = len(data)
    while walk.position < end:
        walk.opcode_at = walk.position
        code = data[walk.position]
        walk.position += 1
        if code == _STOP:
            root = walk.pop()
            name = "builtins:str" if isinstance(root, str) else None if type(root) is _Global else root.name
            names = sorted(walk.names, key=str.encode)
            return Outline(walk.protocol, names, name, walk.texts, walk.buffers, walk.frames, walk.position)
        step = _STEPS.get(code)
        if step is None:
            raise walk.error(f"no opcode of a pickle: {code:#04x}")
        step(walk)
    raise walk.error("ends without STOP")
