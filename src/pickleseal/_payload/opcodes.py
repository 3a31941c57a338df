"""The opcodes of pickle in one table: what follows each one in the bytes, and what it does to the stack.

All code that knows opcodes takes them from here: the structure check, the static analysis, the rewriting of pickles,
the check of hash costs, the joining of records, and `pickleseal inspect --pickle`. A new opcode is one new row. If it
does more than take objects and put one in their place, it also needs a function where that matters: in `analysis`, and
in `_trust/hash_cost` if it hashes something. This module imports nothing.
"""


class Argument:
    """What follows the code of an opcode.

    `form` is `fixed` (`size` bytes), `counted` (a length of `size` bytes, then as many bytes as it says) or `lines`
    (`size` lines of text). All numbers are little-endian, except a float. `value` says what the bytes mean: `int`,
    `float`, `long` (an integer of any length), `text` (UTF-8) or `bytes`.
    """

    __slots__ = ("form", "is_signed", "size", "value")

    def __init__(self, form: str, size: int, value: str = "int", is_signed: bool = False) -> None:
        self.form = form
        self.size = size
        self.value = value
        self.is_signed = is_signed  # the number, or the length


_NONE = Argument("fixed", 0)
_ONE, _TWO, _FOUR, _EIGHT = (Argument("fixed", size) for size in (1, 2, 4, 8))
_SIGNED, _FLOAT = Argument("fixed", 4, "int", True), Argument("fixed", 8, "float")
_LINE, _TWO_LINES = Argument("lines", 1, "text"), Argument("lines", 2, "text")
_LONG1, _LONG4 = Argument("counted", 1, "long"), Argument("counted", 4, "long", True)
_TEXT1, _TEXT4, _TEXT8 = (Argument("counted", size, "text") for size in (1, 4, 8))
_BYTES1, _BYTES4, _BYTES8 = (Argument("counted", size, "bytes") for size in (1, 4, 8))
_OLD_BYTES4 = Argument("counted", 4, "bytes", True)


class Opcode:
    """One opcode.

    `protocols` are those in which an artifact may hold it (spec 8, E2). `takes` is how many objects it takes off the
    stack; ITEMS: all above the topmost mark, and the mark. `gives` is what it puts there: the name of a type, UNKNOWN,
    MARK or NOTHING; with BELOW it changes, or only looks at, the object that is on top after it took the others.
    """

    __slots__ = ("argument", "code", "gives", "name", "protocols", "takes")

    def __init__(
        self, code: int, name: str, protocols: tuple[int, ...], argument: Argument, takes: int, gives: str
    ) -> None:
        self.code = code
        self.name = name
        self.protocols = protocols
        self.argument = argument
        self.takes = takes
        self.gives = gives


ITEMS = -1
MARK, NOTHING, BELOW, UNKNOWN = "a mark", "nothing", "the object below", "an object"
_INT, _STR, _BYTES, _LIST, _TUPLE = "builtins:int", "builtins:str", "builtins:bytes", "builtins:list", "builtins:tuple"
_BOOL, _FLOATS, _DICT = "builtins:bool", "builtins:float", "builtins:dict"
_NO: tuple[int, ...] = ()
_ALL = (2, 3, 4, 5)

OPCODES = [
    Opcode(*row)  # plain classes, as named tuples would make the import slower
    for row in (
        (0x28, "MARK", _ALL, _NONE, 0, MARK),
        (0x29, "EMPTY_TUPLE", _ALL, _NONE, 0, _TUPLE),
        (0x2E, "STOP", _ALL, _NONE, 1, NOTHING),
        (0x30, "POP", _ALL, _NONE, 1, NOTHING),
        (0x31, "POP_MARK", _ALL, _NONE, ITEMS, NOTHING),
        (0x32, "DUP", _NO, _NONE, 0, UNKNOWN),
        (0x42, "BINBYTES", (3, 4, 5), _BYTES4, 0, _BYTES),
        (0x43, "SHORT_BINBYTES", (3, 4, 5), _BYTES1, 0, _BYTES),
        (0x46, "FLOAT", _NO, _LINE, 0, _FLOATS),
        (0x47, "BINFLOAT", _ALL, _FLOAT, 0, _FLOATS),
        (0x49, "INT", _NO, _LINE, 0, _INT),
        (0x4A, "BININT", _ALL, _SIGNED, 0, _INT),
        (0x4B, "BININT1", _ALL, _ONE, 0, _INT),
        (0x4C, "LONG", _NO, _LINE, 0, _INT),
        (0x4D, "BININT2", _ALL, _TWO, 0, _INT),
        (0x4E, "NONE", _ALL, _NONE, 0, "builtins:NoneType"),
        (0x50, "PERSID", _NO, _LINE, 0, UNKNOWN),
        (0x51, "BINPERSID", _NO, _NONE, 1, UNKNOWN),
        (0x52, "REDUCE", _ALL, _NONE, 2, UNKNOWN),
        (0x53, "STRING", _NO, _LINE, 0, _STR),
        (0x54, "BINSTRING", (2,), _OLD_BYTES4, 0, _STR),
        (0x55, "SHORT_BINSTRING", (2,), _BYTES1, 0, _STR),
        (0x56, "UNICODE", _NO, _LINE, 0, _STR),
        (0x58, "BINUNICODE", _ALL, _TEXT4, 0, _STR),
        (0x5D, "EMPTY_LIST", _ALL, _NONE, 0, _LIST),
        (0x61, "APPEND", _ALL, _NONE, 1, BELOW),
        (0x62, "BUILD", _ALL, _NONE, 1, BELOW),
        (0x63, "GLOBAL", (2, 3), _TWO_LINES, 0, UNKNOWN),
        (0x64, "DICT", _ALL, _NONE, ITEMS, _DICT),
        (0x65, "APPENDS", _ALL, _NONE, ITEMS, BELOW),
        (0x67, "GET", _NO, _LINE, 0, UNKNOWN),
        (0x68, "BINGET", _ALL, _ONE, 0, UNKNOWN),
        (0x69, "INST", _NO, _TWO_LINES, ITEMS, UNKNOWN),
        (0x6A, "LONG_BINGET", _ALL, _FOUR, 0, UNKNOWN),
        (0x6C, "LIST", _ALL, _NONE, ITEMS, _LIST),
        (0x6F, "OBJ", _NO, _NONE, ITEMS, UNKNOWN),
        (0x70, "PUT", _NO, _LINE, 0, BELOW),
        (0x71, "BINPUT", (2, 3), _ONE, 0, BELOW),
        (0x72, "LONG_BINPUT", (2, 3), _FOUR, 0, BELOW),
        (0x73, "SETITEM", _ALL, _NONE, 2, BELOW),
        (0x74, "TUPLE", _ALL, _NONE, ITEMS, _TUPLE),
        (0x75, "SETITEMS", _ALL, _NONE, ITEMS, BELOW),
        (0x7D, "EMPTY_DICT", _ALL, _NONE, 0, _DICT),
        (0x80, "PROTO", _ALL, _ONE, 0, NOTHING),
        (0x81, "NEWOBJ", _ALL, _NONE, 2, UNKNOWN),
        (0x82, "EXT1", _NO, _ONE, 0, UNKNOWN),
        (0x83, "EXT2", _NO, _TWO, 0, UNKNOWN),
        (0x84, "EXT4", _NO, _SIGNED, 0, UNKNOWN),
        (0x85, "TUPLE1", _ALL, _NONE, 1, _TUPLE),
        (0x86, "TUPLE2", _ALL, _NONE, 2, _TUPLE),
        (0x87, "TUPLE3", _ALL, _NONE, 3, _TUPLE),
        (0x88, "NEWTRUE", _ALL, _NONE, 0, _BOOL),
        (0x89, "NEWFALSE", _ALL, _NONE, 0, _BOOL),
        (0x8A, "LONG1", _ALL, _LONG1, 0, _INT),
        (0x8B, "LONG4", _ALL, _LONG4, 0, _INT),
        (0x8C, "SHORT_BINUNICODE", (4, 5), _TEXT1, 0, _STR),
        (0x8D, "BINUNICODE8", (4, 5), _TEXT8, 0, _STR),
        (0x8E, "BINBYTES8", (4, 5), _BYTES8, 0, _BYTES),
        (0x8F, "EMPTY_SET", (4, 5), _NONE, 0, "builtins:set"),
        (0x90, "ADDITEMS", (4, 5), _NONE, ITEMS, BELOW),
        (0x91, "FROZENSET", (4, 5), _NONE, ITEMS, "builtins:frozenset"),
        (0x92, "NEWOBJ_EX", (4, 5), _NONE, 3, UNKNOWN),
        (0x93, "STACK_GLOBAL", (4, 5), _NONE, 2, UNKNOWN),
        (0x94, "MEMOIZE", (4, 5), _NONE, 0, BELOW),
        (0x95, "FRAME", (4, 5), _EIGHT, 0, NOTHING),
        (0x96, "BYTEARRAY8", (5,), _BYTES8, 0, "builtins:bytearray"),
        (0x97, "NEXT_BUFFER", (5,), _NONE, 0, UNKNOWN),
        (0x98, "READONLY_BUFFER", (5,), _NONE, 0, BELOW),
    )
]
BY_CODE = {opcode.code: opcode for opcode in OPCODES}
CODE = {opcode.name: opcode.code for opcode in OPCODES}


def end_of(data: bytes, position: int) -> int:
    """Return where the opcode at a position ends, in a pickle that passed the structure check."""
    argument = BY_CODE[data[position]].argument
    start = position + 1
    if argument.form == "counted":
        return start + argument.size + int.from_bytes(data[start : start + argument.size], "little")
    if argument.form == "lines":
        for _ in range(argument.size):
            start = data.index(b"\n", start) + 1
        return start
    return start + argument.size
