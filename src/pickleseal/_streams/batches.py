"""Many records in one pickle (spec section 9.2): the pickle of a list, whose records are taken one by one.

A record is stored as it is when it is appended, even if it changes before the batch is written. No two records share an
object that can change. So each record is taken in one of two ways:

- A tree of plain containers, instances and immutable values is copied, as far as it can change. Such records are
  pickled together, which is cheap, and shares their keys and class names.
- Any other record is pickled at once. Such pickles are put one after the other into the pickle of a list. Their
  references to the memo are moved up by the number of entries that earlier records made.
"""

import copyreg
import enum
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, overload

from .._format.frame import EncodedFrame
from .._packing import PackOptions, check_globals, describe_root, encode_pickled, pickle_or_explain, warn_of_doubts
from .._payload.opcodes import CODE, end_of
from .._payload.pickler import Pickled, Seen, is_plain, pickle_one
from .._payload.structure import plain_run
from .._payload.unpickler import load_own
from .._schema.header_entries import ClassInHeader
from ..errors import PackError

LARGEST = 16_384  # bytes of a pickle: larger records gain nothing from a batch
LONGEST = 1024  # characters or bytes of a text that is copied along: a longer one may make its record large
_MOST = 64  # items of a container that is copied: for more, pickling is the faster copy
_MOST_CONTAINERS = 100  # so few that, all nested, they can be pickled even if the batch is written deep in calls
_ATOMS = {type(None), bool, int, float, complex}
# Immutable types of the standard library: `module.qualname`, as none of them is imported here.
_VALUES = frozenset(
    {"datetime.date", "datetime.time", "datetime.datetime", "datetime.timedelta", "decimal.Decimal", "uuid.UUID"}
)
_ATOM, _TUPLE, _FROZEN, _INSTANCE, _OTHER = range(1, 6)
_FRAME = b"\x80\x05\x95"
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class made in Python


class _NoCopyError(Exception):
    """The record has to be pickled at once."""


class Taker:
    """Takes records as they are now, and remembers for each class how its instances are taken.

    `check` is called once with each class whose instances can be copied. If it raises `PackError`, they are not copied.
    """

    def __init__(self, check: Callable[[type], None]) -> None:
        self._check = check
        self.atoms = set(_ATOMS)  # immutable types of bounded size; strings and bytes are checked one by one
        self._kinds: dict[type, int] = {tuple: _TUPLE}
        self._fields: dict[type, tuple[str, ...]] = {}  # of frozen dataclasses

    def take(self, obj: Any) -> Any:
        """Return the record itself if it can't change, or a copy. Return NotImplemented if it has to be pickled now.

        This runs no code of the object.
        """
        try:
            return self._copy(obj, set())
        except (_NoCopyError, RuntimeError):  # RecursionError; or another thread changes it now
            return NotImplemented

    def _copy(self, value: Any, seen: set[int]) -> Any:
        """Copy what can change. A value that was seen before is shared within the record, which a copy would lose."""
        cls = type(value)
        if cls in self.atoms:
            return value
        if cls is str or cls is bytes:
            if len(value) > LONGEST:
                raise _NoCopyError
            return value
        place = id(value)
        if place in seen or len(seen) == _MOST_CONTAINERS:
            raise _NoCopyError
        seen.add(place)
        if cls is dict:
            return self._copy_items(value, seen)
        atoms = self.atoms
        if cls is list:
            if len(value) > _MOST:
                raise _NoCopyError
            return [
                item
                if (kind := type(item)) in atoms or (kind is str and len(item) <= LONGEST)
                else self._copy(item, seen)
                for item in value
            ]
        way = self._kinds.get(cls) or self._learn(cls)
        if way == _ATOM:
            seen.discard(place)
            return value
        if way == _TUPLE:
            if self._are_atoms(value):
                return value
            if cls is tuple and len(value) <= _MOST:
                return tuple([item if type(item) in atoms else self._copy(item, seen) for item in value])
        elif way == _INSTANCE:
            copied = object.__new__(cls)
            copied.__dict__.update(self._copy_items(value.__dict__, seen))
            return copied
        elif way == _FROZEN:
            with suppress(AttributeError):  # never set
                if self._are_atoms([getattr(value, name) for name in self._fields[cls]]):
                    return value
        raise _NoCopyError

    def _copy_items(self, items: dict[Any, Any], seen: set[int]) -> dict[Any, Any]:
        if len(items) > _MOST:
            raise _NoCopyError
        atoms = self.atoms
        copied = {}
        for key, item in items.items():
            if type(key) is not str and type(key) not in atoms:
                raise _NoCopyError
            kind = type(item)
            is_atom = kind in atoms or (kind is str and len(item) <= LONGEST)
            copied[key] = item if is_atom else self._copy(item, seen)
        return copied

    def _are_atoms(self, values: Any) -> bool:
        atoms = self.atoms
        for value in values:
            cls = type(value)
            if cls is str or cls is bytes:
                if len(value) > LONGEST:
                    return False
            elif cls not in atoms and (self._kinds.get(cls) or self._learn(cls)) != _ATOM:
                return False
        return True

    def _learn(self, cls: type) -> int:
        kind = _kind_of(cls)
        if kind != _OTHER:
            try:
                self._check(cls)
            except PackError:
                kind = _OTHER
        if kind == _FROZEN:
            from .._schema.adapters.dataclass import declared_names

            self._fields[cls] = declared_names(cls)
        if kind == _ATOM:
            self.atoms.add(cls)
        self._kinds[cls] = kind
        return kind


def _kind_of(cls: type) -> int:
    """Return how an instance of a class can be kept as it is now. Only what pickles by object's own methods can."""
    from .._schema.adapters.base import slots_of
    from .._schema.adapters.dataclass import declared_names, is_frozen

    where = f"{cls.__module__}.{cls.__qualname__}"
    if type(cls) is enum.EnumMeta or where in _VALUES:
        return _ATOM
    if type(cls) is not type or cls in copyreg.dispatch_table or not is_plain(cls) or hasattr(cls, "__del__"):
        return _OTHER
    slots = set(slots_of(cls.__mro__))
    if issubclass(cls, tuple):
        return _TUPLE if hasattr(cls, "_fields") and not cls.__dictoffset__ and not slots else _OTHER
    has_c_base = any(base is not object and not base.__flags__ & _HEAP_TYPE for base in cls.__mro__)
    if has_c_base or hasattr(cls, "__getnewargs__") or hasattr(cls, "__getnewargs_ex__"):
        return _OTHER
    getstate = getattr(cls, "__getstate__", None)
    is_default = getstate is getattr(object, "__getstate__", None)
    if (
        is_frozen(cls)
        and not cls.__dictoffset__
        and (is_default or getattr(getstate, "__module__", None) == "dataclasses")
    ):
        return _FROZEN if slots.issubset(declared_names(cls)) else _OTHER
    return _INSTANCE if is_default and cls.__dictoffset__ and not slots else _OTHER


def merge(pickles: Sequence[tuple[bytes, int]]) -> bytes:
    """Put pickles of protocol 5 into the pickle of one list. Each comes with the number of objects in its memo.

    This library made them, each in one part, without out-of-band buffers, and with one FRAME or none.
    """
    bodies = []
    base = 0
    for data, count in pickles:
        body = data[11:-1] if data.startswith(_FRAME) else data[2:-1]
        if base and (b"h" in body or b"j" in body):
            body = _move(body, base)
        bodies.append(body)
        base += count
    whole = b"](" + b"".join(bodies) + b"e."
    return _FRAME + len(whole).to_bytes(8, "little") + whole


def _move(body: bytes, base: int) -> bytes:
    """Add a number to every reference to the memo."""
    get, long_get = CODE["BINGET"], CODE["LONG_BINGET"]
    end_of_run = plain_run(5, False, stop_at=bytes((get, long_get)))
    moved, start, position, end = [], 0, 0, len(body)
    while True:
        position = end_of_run(body, position, end)
        if position == end:
            moved.append(body[start:])
            return b"".join(moved)
        code, follows = body[position], end_of(body, position)
        if code in (get, long_get):
            index = base + int.from_bytes(body[position + 1 : follows], "little")
            moved.append(body[start:position])
            moved.append(bytes((get, index)) if index < 256 else bytes((long_get,)) + index.to_bytes(4, "little"))
            start = follows
        position = follows


# --- the records that wait to be written ------------------------------------------------------------------------------

_LARGEST_BATCH = 1 << 22  # bytes of a batch: a reader loads it as a whole
_ANY = ClassInHeader("builtins:object", 0, None, {})


class _TooLargeError(Exception):
    """A record that was copied can't be merged with others: its pickle has several parts."""


class _Pickle(NamedTuple):
    """A record that was pickled when it was taken."""

    cls: type
    pickled: Pickled
    memo: int


class Unwritten(Sequence[Any]):
    """Records that waited and were not written, each as it was when it was added.

    A record that was pickled when it was added is unpickled when it is asked for.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = tuple(items)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Unwritten(self._items[index])
        item = self._items[index]
        return load_own(bytes(item.pickled.parts[0])) if type(item) is _Pickle else item

    def __repr__(self) -> str:
        return f"<{len(self)} records>"


class Pending:
    """Records that wait to be written as one frame. Each is stored as it was when it was added.

    The result of `take` is put into `items`. A dict of strings to `atoms` may be put there as a shallow copy, without
    `take`. `take` needs no lock. It runs the object's own pickling methods, unless the object is plain.
    """

    def __init__(self, name: str | None, members: dict[str, Any], options: PackOptions) -> None:
        self._name = name
        self._members = members
        self._options = options
        self.items: list[Any] = []
        taker = Taker(self._check_class)
        self.atoms = taker.atoms
        self._copy = taker.take

    def take(self, obj: Any) -> Any:
        """Return a record as it is now: itself, a copy, its pickle, or, if it is large, a frame of its own.

        Raises:
            PackError: the object can't be packed.
        """
        item = self._copy(obj)
        return self._pickle(obj) if item is NotImplemented else item

    def _pickle(self, obj: Any) -> "_Pickle | EncodedFrame":
        registry = self._options.registry
        root = describe_root(type(obj), self._name, registry)
        pickled, memo = _pickle_one(obj)
        check_globals(obj, pickled, self._options)
        if len(pickled.parts) > 1 or len(pickled.parts[0]) > LARGEST or pickled.buffers:
            return encode_pickled(pickled, root, self._name, self._members, self._options)
        return _Pickle(type(obj), pickled, memo)

    def _check_class(self, cls: type) -> None:
        """Check before a record is taken that its class can be found. Warn if other programs will not find it."""
        check_globals(cls, _pickle_one(cls)[0], self._options)

    def _encode(self, items: list[Any]) -> EncodedFrame:
        """Return records as one frame: a batch, or for a single record a plain frame."""
        types = set(map(type, items))
        is_mixed = _Pickle in types
        if is_mixed:
            types = {item.cls if type(item) is _Pickle else type(item) for item in items}
        root = describe_root(types.pop(), self._name, self._options.registry) if len(types) == 1 else _ANY
        members = self._members if len(items) == 1 else {**self._members, "records": len(items)}
        plain = items[0] if len(items) == 1 else items
        pickled = self._merged(items) if is_mixed else pickle_or_explain(plain)
        return encode_pickled(pickled, root, self._name, members, self._options)

    def encode_some(self, count: int) -> tuple[int, EncodedFrame | PackError]:
        """Return how many of the first records make one frame (`count`, or fewer if it would be too large), and it.

        For a record that can't be packed, return 1 and the error.
        """
        while True:
            body: EncodedFrame | PackError | None = None
            try:
                body = self._encode(self.items[:count])
            except _TooLargeError:
                pass  # try fewer records, in the end this one alone
            except PackError as exc:
                text = f"a record that waited was dropped, others were written: {exc.reason}"
                body = PackError(text, exc.expected, exc.found, exc.hint, exc.where)
                body.__cause__ = exc
            if body is not None and (count == 1 or (isinstance(body, EncodedFrame) and body.length <= _LARGEST_BATCH)):
                return count, body
            count = (count + 1) // 2

    @staticmethod
    def _merged(items: list[Any]) -> Pickled:
        """Join records that were pickled one by one. Those that were only copied are pickled now."""
        names: set[str] = set()
        classes: dict[type, None] = {}
        seen: dict[type, Seen] = {}
        pickles = []
        for item in items:
            pickled, memo = item[1:] if type(item) is _Pickle else _pickle_one(item)
            if len(pickled.parts) > 1 and len(items) > 1:
                raise _TooLargeError
            names.update(pickled.globals)
            classes.update(dict.fromkeys(pickled.classes))
            for cls, found in pickled.seen.items():
                seen[cls] = found.joined(seen.get(cls))
            pickles.append((bytes(pickled.parts[0]), memo))
        data = pickles[0][0] if len(pickles) == 1 else merge(pickles)
        return Pickled([data], sorted(names), [*classes], [], seen=seen)


def _pickle_one(obj: Any) -> tuple[Pickled, int]:
    try:
        pickled, memo = pickle_one(obj, wants_memo=True)
    except (MemoryError, PackError):
        raise
    except Exception as exc:
        from .._payload.explain import explain

        raise explain(obj, exc) from exc
    if pickled.doubts:
        warn_of_doubts(obj, pickled)
    return pickled, memo
