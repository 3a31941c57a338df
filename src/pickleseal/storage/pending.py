"""The records of a batch that is not written yet (spec section 9.2)."""

from typing import Any, NamedTuple

from ..errors import PackError
from ..format.frame import Body
from ..payload.batch import LARGEST, Taker, merge
from ..payload.pickler import Pickled, pickle_one
from ..schema.record import Record
from ..writer import Writer, check_globals, check_name, encode_pickled, pickle_or_explain, root_of

__all__ = ["Pending"]

_LARGEST_BATCH = 1 << 22  # bytes of a batch: a reader loads it as a whole
_ANY = Record("builtins:object", 0, None, {})


class _TooLargeError(Exception):
    """A record that was copied can't be merged with others: its pickle is in several frames."""


class _Pickle(NamedTuple):
    """A record that was pickled when it was taken."""

    cls: type
    pickled: Pickled
    memo: int


class Pending:
    """Records that wait to be written as one frame. Each counts as it was when it was added.

    `take` is called without a lock, and runs the object's own pickling methods where it is not plain; what it returns
    is put into `items`. A dict of strings to `atoms` may be put there as a shallow copy, without `take`.
    """

    def __init__(self, name: str | None, members: dict[str, Any], writer: Writer) -> None:
        self._name = name
        self._members = members
        self._writer = writer
        self.items: list[Any] = []
        taker = Taker(self._check_class)
        self.atoms = taker.atoms
        self._copy = taker.take

    def take(self, obj: Any) -> Any:
        """Return what stands for a record: itself or a copy; or its pickle; or the frame that it needs for itself,
        because it is large.

        Raises:
            PackError: the object can't be packed.
        """
        item = self._copy(obj)
        return self._pickle(obj) if item is NotImplemented else item

    def _pickle(self, obj: Any) -> "_Pickle | Body":
        registry = self._writer.registry
        root = root_of(type(obj), registry)
        if self._name is None:
            check_name(root.name)
        pickled, memo = _pickle_one(obj)
        check_globals(pickled, registry)
        if len(pickled.parts) > 1 or len(pickled.parts[0]) > LARGEST or pickled.buffers:
            return encode_pickled(pickled, root, self._name, self._members, self._writer)
        return _Pickle(type(obj), pickled, memo)

    def _check_class(self, cls: type) -> None:
        """See, before a record is taken, that its class can be found, and warn where it will not be found elsewhere."""
        check_globals(_pickle_one(cls)[0], self._writer.registry)

    def _encode(self, items: list[Any]) -> Body:
        """Lay out records as one frame: a batch, or for a single record one like any other."""
        types = set(map(type, items))
        is_mixed = _Pickle in types
        if is_mixed:
            types = {item.cls if type(item) is _Pickle else type(item) for item in items}
        root = root_of(types.pop(), self._writer.registry) if len(types) == 1 else _ANY
        members = self._members if len(items) == 1 else {**self._members, "records": len(items)}
        plain = items[0] if len(items) == 1 else items
        pickled = self._merged(items) if is_mixed else pickle_or_explain(plain)
        return encode_pickled(pickled, root, self._name, members, self._writer)

    def encode_some(self, count: int) -> tuple[int, Body | PackError]:
        """Lay out the first records as one frame: so many, or as many as are not too much for one. A record that can't
        be packed comes alone, as the reason."""
        while True:
            body: Body | PackError | None = None
            try:
                body = self._encode(self.items[:count])
            except _TooLargeError:
                pass  # it goes with others that were copied, or alone
            except PackError as exc:
                text = f"a record that waited was dropped, others were written: {exc.reason}"
                body = PackError(text, exc.expected, exc.found, exc.hint, exc.where)
                body.__cause__ = exc
            if body is not None and (count == 1 or (isinstance(body, Body) and body.length <= _LARGEST_BATCH)):
                return count, body
            count = (count + 1) // 2

    @staticmethod
    def _merged(items: list[Any]) -> Pickled:
        """Join what was pickled one by one; what was only copied is pickled now."""
        names: set[str] = set()
        classes: dict[type, None] = {}
        pickles = []
        for item in items:
            pickled, memo = item[1:] if type(item) is _Pickle else _pickle_one(item)
            if len(pickled.parts) > 1 and len(items) > 1:
                raise _TooLargeError
            names.update(pickled.globals)
            classes.update(dict.fromkeys(pickled.classes))
            pickles.append((bytes(pickled.parts[0]), memo))
        data = pickles[0][0] if len(pickles) == 1 else merge(pickles)
        return Pickled([data], sorted(names), [*classes], [])


def _pickle_one(obj: Any) -> tuple[Pickled, int]:
    try:
        return pickle_one(obj, wants_memo=True)
    except (MemoryError, PackError):
        raise
    except Exception as exc:
        from ..payload.explain import explain

        raise explain(obj, exc) from exc
