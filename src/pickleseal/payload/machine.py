"""The pickle machine with shadows in the place of objects: stack, marks, memo, and the opcodes' arguments."""

from typing import Any

from ..errors import PickleEnvelopeError
from ..format.grammar import is_global

__all__ = ["OF", "UNKNOWN", "Global", "Shadow", "Tuple", "Walk", "todays_name"]

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
