"""What a pickle leaves out, and what can be packed and never read: packing says so, and accuses nothing else."""

from __future__ import annotations

import builtins
import json
import pickle
import sys
import types
import warnings
from typing import Any

import pytest

from pickleseal import PackOptions, pack, unpack
from pickleseal.errors import PackError, PackWarning, UnpickleError


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    return module


def define(module: types.ModuleType, source: str) -> None:
    exec(source, module.__dict__)


def round_trip(obj: Any) -> Any:
    """Pack and read an object. Any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = pack(obj)
    return unpack(data, level="unchecked")


BASES: dict[str, Any] = {
    "array.array": ("i", [1]),
    "collections.Counter": ("aab",),
    "collections.OrderedDict": ([("a", 1)],),
    "collections.UserDict": ({"a": 1},),
    "collections.UserList": ([1],),
    "collections.UserString": ("a",),
    "collections.ChainMap": ({"a": 1},),
    "collections.defaultdict": (list, {"a": [1]}),
    "collections.deque": ([1, 2], 5),
    "datetime.date": (2026, 1, 2),
    "datetime.datetime": (2026, 1, 2, 3, 4),
    "datetime.time": (3, 4),
    "datetime.timedelta": (1, 2),
    "decimal.Decimal": ("1.5",),
    "fractions.Fraction": (1, 3),
    "functools.partial": (len,),
    "pathlib.PurePosixPath": ("a/b",),
    "types.SimpleNamespace": (),
    "uuid.UUID": ("12345678123456781234567812345678",),
    "xml.etree.ElementTree.Element": ("tag",),
    "json.JSONDecodeError": ("message", "text", 0),
    "builtins.Exception": ("a", 1),
    "builtins.KeyError": ("a",),
    "builtins.OSError": (2, "missing"),
    "builtins.ImportError": ("a",),
    "builtins.SyntaxError": ("a", ("file", 1, 2, "text")),
    "builtins.bytearray": (b"ab",),
    "builtins.bytes": (b"ab",),
    "builtins.dict": ({"a": 1},),
    "builtins.float": (1.5,),
    "builtins.frozenset": ([1, 2],),
    "builtins.int": (3,),
    "builtins.list": ([1],),
    "builtins.set": ([1, 2],),
    "builtins.str": ("a",),
    "builtins.tuple": ((1, 2),),
    "builtins.object": (),
}

NO_ROOM_FOR_SLOTS = {"builtins.int", "builtins.tuple", "builtins.bytes"}


def subclass(base: str, how: str, method: str = "") -> str:
    """Return the source of a subclass of a class."""
    module, _, name = base.rpartition(".")
    slots = '__slots__ = ("extra",)' if how == "slot" else "pass"
    return f"import {module}\nclass Sub({module}.{name}):\n    {slots}\n    {method}\n"


@pytest.mark.parametrize(
    ("base", "how"),
    [(base, how) for base in BASES for how in ("attribute", "slot") if how != "slot" or base not in NO_ROOM_FOR_SLOTS],
)
def test_packing_refuses_exactly_what_pickle_drops(shop: types.ModuleType, base: str, how: str) -> None:
    define(shop, subclass(base, how))
    obj = shop.Sub(*BASES[base])
    assert type(round_trip(obj)) is shop.Sub, "without the attribute, nothing is lost"
    object.__setattr__(obj, "extra", ["kept"])
    if getattr(pickle.loads(pickle.dumps(obj, 5)), "extra", None) == ["kept"]:
        assert round_trip(obj).extra == ["kept"]
        return
    with pytest.raises(PackError, match="'extra' of shop:Sub would be lost") as refused:
        pack({"rows": [1, obj]})
    assert refused.value.where == "$['rows'][1]"
    with pytest.raises(PackError, match="'extra' of shop:Sub would be lost"):
        pack(obj, options=PackOptions(reproducible=True))
    hint = refused.value.hint or ""
    if "a method: " not in hint:
        assert "__setstate__" in hint
        return
    # The help works as it is pasted.
    define(shop, subclass(base, how, hint.partition("a method: ")[2]))
    again = shop.Sub(*BASES[base])
    object.__setattr__(again, "extra", ["kept"])
    assert round_trip(again).extra == ["kept"]


STRUCT = """
import functools, msgspec
class Sub(msgspec.Struct, dict=True):
    size: int
    @functools.cached_property
    def double(self): return self.size * 2
"""


def test_attributes_of_structs_that_are_no_fields_are_refused(shop: types.ModuleType) -> None:
    pytest.importorskip("msgspec")
    define(shop, STRUCT)
    obj = shop.Sub(3)
    assert obj.double == 6
    assert round_trip(obj).double == 6, "a value that is computed again is not lost"
    obj.unit = "V"
    assert not hasattr(pickle.loads(pickle.dumps(obj, 5)), "unit"), "so it is with pickle"
    with pytest.raises(
        PackError, match=r"'unit' of shop:Sub would be lost: __reduce__ of msgspec\.Struct leaves"
    ) as refused:
        pack({"rows": [1, obj]})
    assert refused.value.where == "$['rows'][1]"
    hint = (refused.value.hint or "").partition("a method: ")[2]
    define(shop, f"{STRUCT}    {hint}\n")
    again = shop.Sub(3)
    again.unit = "V"
    assert round_trip(again).unit == "V"


def test_attributes_of_arrays_are_refused(shop: types.ModuleType) -> None:
    numpy = pytest.importorskip("numpy")
    define(
        shop,
        "import numpy\n"
        "class Signal(numpy.ndarray):\n"
        "    def __array_finalize__(self, obj):\n"
        "        self.unit = getattr(obj, 'unit', None)\n",
    )
    signal = numpy.arange(3.0).view(shop.Signal)
    assert round_trip(signal).unit is None, "what its own method sets is not lost"
    signal.unit = "V"
    with pytest.raises(PackError, match="'unit' of shop:Signal would be lost"):
        pack(signal)


@pytest.mark.parametrize(
    "source",
    [
        "class Sub(Decimal):\n    def __new__(cls, v):\n"
        "        o = super().__new__(cls, v); o.extra = 'EUR'; return o\n",
        "class Sub(Counter):\n    def __init__(self, *a):\n        super().__init__(*a); self.extra = []\n",
        "class Sub(Counter):\n    def __init__(self, *a):\n        super().__init__(*a); self.extra = Lock()\n",
        "class Sub(datetime):\n    extra = None\n    @cached_property\n    def label(self): return 'x'\n",
        "class Sub(Decimal):\n    extra = 'EUR'\n",
        "class Sub(Path):\n    def __reduce__(self): return (Sub, (str(self),), self.__dict__)\n",
    ],
)
def test_attributes_that_come_back_without_a_state_are_fine(shop: types.ModuleType, source: str) -> None:
    head = "from collections import Counter\nfrom datetime import datetime\nfrom decimal import Decimal\n"
    head += (
        "from functools import cached_property\nfrom threading import Lock\nfrom pathlib import PurePosixPath as Path\n"
    )
    define(shop, head + source)
    base = shop.Sub.__mro__[1].__name__
    obj = shop.Sub(*{"Decimal": ("1",), "Counter": ("aab",), "datetime": (2026, 1, 2), "PurePosixPath": ("a",)}[base])
    if base == "datetime":
        assert obj.label == "x"
        obj.extra = None  # what the class has as well
    if base == "PurePosixPath":
        obj.extra = "x"
    loaded = round_trip(obj)
    assert loaded == obj
    assert type(loaded.extra) is type(obj.extra)


def test_notes_of_an_exception_stay_and_where_it_was_raised_does_not(shop: types.ModuleType) -> None:
    define(shop, "class Failed(ValueError):\n    pass\n")
    try:
        try:
            raise KeyError("k")
        except KeyError as cause:
            raise shop.Failed("bad", 7) from cause
    except ValueError as exc:
        failed = exc
    failed.__notes__ = ["in row 3"]  # type: ignore[attr-defined]  # add_note is newer
    loaded = round_trip(failed)
    assert (type(loaded), loaded.args, loaded.__notes__) == (shop.Failed, ("bad", 7), ["in row 3"])
    assert loaded.__traceback__ is loaded.__cause__ is loaded.__context__ is None


IN_C = {
    "NameError": ("name",),
    "UnboundLocalError": ("name",),
    "AttributeError": ("name",),
    "ImportError": ("msg", "name", "path"),
    "ModuleNotFoundError": ("msg", "name", "path"),
    "OSError": ("errno", "strerror", "filename", "filename2"),
    "FileNotFoundError": ("errno", "strerror", "filename", "filename2"),
    "SyntaxError": ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset", "print_file_and_line"),
    "TabError": ("msg", "filename", "lineno", "text"),
    "StopIteration": ("value",),
    "SystemExit": ("code",),
}


OWN = {
    "built in": "",
    "below": "class E({}):\n    pass\n",
    "with a constructor": "class E({}):\n    def __init__(self, *a):\n        super().__init__(*a); self.mine = 1\n",
}
NATURAL = (
    "nope",
    "import nosuch",
    "from os import nosuch",
    "(1).nope",
    "x = (",
    "open('/no/such')",
    "b'\\xff'.decode()",
)


@pytest.mark.parametrize("level", ["guarded", "strict"])
@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("base", IN_C)
def test_what_an_exception_keeps_in_c_comes_back(shop: types.ModuleType, base: str, own: str, level: Any) -> None:
    define(shop, OWN[own].format(base))
    cls = getattr(builtins, base) if own == "built in" else shop.E
    for count in range(len(IN_C[base]) + 1):
        obj = cls("a")
        for name in IN_C[base][:count]:
            setattr(obj, name, ("set", name))
        found = unpack(pack([obj]), trust=[cls], level=level)[0]
        assert type(found) is cls
        assert found.args == ("a",)
        assert vars(found) == vars(obj)
        for name in IN_C[base]:
            assert getattr(found, name) == getattr(obj, name)


def test_what_python_itself_sets_in_exceptions_comes_back() -> None:
    for source in NATURAL:
        with pytest.raises((AttributeError, ImportError, NameError, OSError, SyntaxError, UnicodeError)) as caught:
            exec(source, {})
        found = unpack(pack(caught.value), trust=[caught.type])
        assert (str(found), found.args) == (str(caught.value), caught.value.args)
        for name in ("name", "path", "msg", "filename", "lineno", "errno", "start", "object"):
            assert getattr(found, name, None) == getattr(caught.value, name, None)
        assert getattr(found, "obj", None) is None  # it may be anything


def test_what_no_state_can_set_in_an_exception_is_refused(shop: types.ModuleType) -> None:
    for name, value in {"start": 2, "end": 2, "object": b"xyz", "encoding": "ascii", "reason": "because"}.items():
        obj = UnicodeDecodeError("utf8", b"abc", 0, 1, "why")
        setattr(obj, name, value)
        with pytest.raises(PackError, match=f"'{name}' of builtins:UnicodeDecodeError would be lost") as caught:
            pack({"e": obj})
        assert caught.value.where == "$['e']"
    partial = BlockingIOError("a")
    partial.characters_written = 7
    with pytest.raises(PackError, match="'characters_written'"):
        pack(partial)
    define(shop, "class E(OSError):\n    def __setstate__(self, state): self.__dict__.update(state)\n")
    own = shop.E("a")
    assert unpack(pack(own), trust=[shop.E]).args == ("a",)
    own.filename = "x"
    with pytest.raises(PackError, match="'filename' of shop:E would be lost"):
        pack(own)


def test_notes_that_pickle_drops_are_refused() -> None:
    failed = json.JSONDecodeError("message", "text", 0)
    assert round_trip(failed).pos == 0
    failed.__notes__ = ["in row 3"]  # type: ignore[attr-defined]
    with pytest.raises(PackError, match=r"'__notes__' of json\.decoder:JSONDecodeError would be lost"):
        pack(failed)


class Base:
    def run(self) -> str:
        return "base"


class Derived(Base):
    def run(self) -> str:
        return "derived"

    def runs(self) -> Any:
        return super().run

    def __hidden(self) -> None:
        pass

    def hides(self) -> Any:
        return self.__hidden


def test_a_method_of_super_or_a_private_one_is_refused() -> None:
    assert Derived().run is not None
    with pytest.raises(PackError, match=r"Base\.run would be read as Derived\.run") as refused:
        pack([Derived().runs()])
    assert refused.value.where == "$[0]"
    with pytest.raises(PackError, match="can be packed and never read: Derived has no attribute '__hidden'"):
        pack(Derived().hides())


# --- what can never be read -------------------------------------------------------------------------------------------

FROZEN = "    def __setattr__(self, name, value):\n        raise AttributeError('no')\n"
NEVER_READ = {
    "exception": (
        "class Sub(Exception):\n"
        "    def __init__(self, text, line):\n"
        "        super().__init__(text); self.line = line; self.text = text\n",
        "Sub('bad', 7)",
        "its __init__ also needs 'line'",
        "def __reduce__(self): return type(self), (self.text, self.line)",
    ),
    "keyword": (
        "class Sub(Exception):\n"
        "    def __init__(self, *, code):\n        super().__init__('failed'); self.code = code\n",
        "Sub(code=1)",
        "its __init__ takes 0",
        "def __reduce__(self)",
    ),
    "dataclass": (
        "@dataclass\nclass Sub(Exception):\n    path: str\n",
        "Sub(path='a')",
        "its __init__ also needs 'path'",
        "def __reduce__(self): return type(self), (self.path,)",
    ),
    "no arguments": (
        "class Sub(ValueError):\n    def __init__(self):\n        super().__init__('always this')\n",
        "Sub()",
        "reading calls it with 1 argument, and its __init__ takes 0",
        "def __reduce__(self)",
    ),
    "text": (
        "class Sub(str):\n    def __new__(cls, text, code):\n        return super().__new__(cls, text)\n",
        "Sub('hallo', 'de')",
        "its __new__ also needs 'code'",
        "def __getnewargs__(self): return (self.text, self.code)",
    ),
    "object": (
        "class Sub:\n    def __new__(cls, key):\n        return super().__new__(cls)\n",
        "Sub('k')",
        "reading calls it with no arguments, and its __new__ also needs 'key'",
        "def __getnewargs__(self): return (self.key,)",
    ),
    "default dict": (
        "class Sub(collections.defaultdict):\n    def __init__(self):\n        super().__init__(list)\n",
        "Sub()",
        "reading calls it with 1 argument, and its __init__ takes 0",
        "def __reduce__(self)",
    ),
    "deque": (
        "class Sub(collections.deque):\n    def __init__(self):\n        super().__init__(maxlen=9)\n",
        "Sub()",
        "reading calls it with 2 arguments, and its __init__ takes 0",
        "def __reduce__(self)",
    ),
    "getattr": (
        "class Sub:\n    def __init__(self):\n        self.inner = [1]\n"
        "    def __getattr__(self, name):\n        return getattr(self.inner, name)\n",
        "Sub()",
        "its __getattr__ raises RecursionError when it is asked for __setstate__",
        "raise AttributeError for names that begin with two underscores",
    ),
    "attributes of a dict": (
        "class Sub(dict):\n    __getattr__ = dict.get\n",
        "with_attribute(Sub())",
        "its __getattr__ returns NoneType when it is asked for __setstate__",
        "raise AttributeError",
    ),
    "items": (
        "class Sub(dict):\n    def __init__(self):\n        self.log = []\n"
        "    def __setitem__(self, key, value):\n        self.log.append(key); super().__setitem__(key, value)\n",
        "filled(Sub())",
        "its __setitem__ needs 'log', which comes later",
        "defaults for them in the class body",
    ),
    "frozen over slots": (
        "class Base:\n    __slots__ = ('a',)\n@dataclass(frozen=True)\nclass Sub(Base):\n    b: int\n",
        "with_slot(Sub(1))",
        "it is frozen, and pickle sets 'a' of slots of a base",
        "give Sub slots=True, or a __setstate__",
    ),
    "frozen slots by hand": (
        "class Sub:\n    __slots__ = ('a',)\n    def __init__(self):\n        object.__setattr__(self, 'a', 1)\n"
        + FROZEN,
        "Sub()",
        "pickle sets 'a' of slots by its __setattr__, which raises AttributeError: no",
        "give Sub a __setstate__ that uses object.__setattr__",
    ),
    "frozen slots of a base, by hand": (
        "class Base:\n    __slots__ = ('a',)\nclass Sub(Base):\n    def __init__(self):\n"
        "        self.__dict__['b'] = 1\n        object.__setattr__(self, 'a', 1)\n" + FROZEN,
        "Sub()",
        "pickle sets 'a' of slots by its __setattr__, which raises AttributeError: no",
        "give Sub a __setstate__ that uses object.__setattr__",
    ),
    "frozen exception by hand": (
        "class Sub(Exception):\n    def __init__(self, a):\n        super().__init__(a)\n"
        "        object.__setattr__(self, 'a', a)\n" + FROZEN,
        "Sub(1)",
        "pickle sets 'a' of an exception by its __setattr__, which raises AttributeError: no",
        "give Sub a __setstate__ that uses object.__setattr__",
    ),
    "frozen exception": (
        "@dataclass(frozen=True)\nclass Sub(Exception):\n    code: int\n",
        "Sub(1)",
        "it is frozen, and pickle sets 'code' of an exception",
        "def __reduce__(self): return type(self), (self.code,)",
    ),
}
HEAD = """
import collections
from dataclasses import dataclass
def with_attribute(obj):
    obj.__dict__["x"] = 1
    return obj
def with_slot(obj):
    object.__setattr__(obj, "a", 1)
    return obj
def filled(obj):
    obj["k"] = 1
    return obj
"""


@pytest.mark.parametrize("kind", NEVER_READ)
def test_what_can_never_be_read_is_refused(shop: types.ModuleType, kind: str) -> None:
    source, make, reason, hint = NEVER_READ[kind]
    define(shop, HEAD + source)
    obj = eval(make, shop.__dict__)
    with pytest.raises(Exception):  # noqa: B017 - this is true: pickle itself can't read it
        pickle.loads(pickle.dumps(obj, 5))
    with pytest.raises(PackError) as refused:
        pack({"rows": [1, obj]})
    assert refused.value.where == "$['rows'][1]"
    if kind == "attributes of a dict" and sys.version_info < (3, 11):
        return  # pickle asks the object for its __getstate__, and can't write it either
    assert refused.value.reason.startswith("shop:Sub can be packed and never read: ")
    assert reason in refused.value.reason
    assert hint in (refused.value.hint or "")


CAN_BE_READ = {
    "a __setattr__ that checks": (
        "class Sub:\n    __slots__ = ('a', 'done')\n"
        "    def __init__(self):\n        self.a = 1\n        self.done = True\n"
        "    def __setattr__(self, name, value):\n        if getattr(self, 'done', False): raise AttributeError('no')\n"
        "        object.__setattr__(self, name, value)\n",
        "Sub()",
    ),
    "a frozen class without slots": (
        "class Sub:\n    def __init__(self):\n        self.__dict__['a'] = 1\n" + FROZEN,
        "Sub()",
    ),
    "a frozen exception with a __setstate__": (
        "@dataclass(frozen=True)\nclass Sub(Exception):\n    code: int\n"
        "    def __setstate__(self, state):\n        self.__dict__.update(state)\n",
        "Sub(1)",
    ),
    "frozen slots with a __setstate__": (
        "class Sub:\n    __slots__ = ('a',)\n    def __init__(self):\n        object.__setattr__(self, 'a', 1)\n"
        "    def __setstate__(self, state):\n        object.__setattr__(self, 'a', state[1]['a'])\n" + FROZEN,
        "Sub()",
    ),
    "exception": (
        "class Sub(Exception):\n"
        "    def __init__(self, code, msg):\n        super().__init__(code, msg); self.code = code\n",
        "Sub(1, 'm')",
    ),
    "defaults": (
        "class Sub(Exception):\n"
        "    def __init__(self, text, line=0, *rest, more=None):\n        super().__init__(text); self.line = line\n",
        "Sub('bad', 7)",
    ),
    "dataclass": ("@dataclass\nclass Sub(Exception):\n    path: str\n    line: int\n", "Sub('a', 1)"),
    "slots": ("@dataclass(slots=True)\nclass Sub(Exception):\n    path: str\n    line: int\n", "Sub('a', 1)"),
    "error of the system": (
        "class Sub(OSError):\n"
        "    def __init__(self, errno, text):\n        super().__init__(errno, text); self.seen = True\n",
        "Sub(2, 'x')",
    ),
    "own reduce": (
        "class Sub(Exception):\n    def __init__(self, a, b):\n        super().__init__(a); self.b = b\n"
        "    def __reduce__(self): return type(self), (self.args[0], self.b)\n",
        "Sub(1, 2)",
    ),
    "text": (
        "class Sub(str):\n    def __new__(cls, text, code='en'):\n"
        "        o = super().__new__(cls, text); o.code = code; return o\n",
        "Sub('hallo', 'de')",
    ),
    "arguments": (
        "class Sub(str):\n    def __new__(cls, text, code):\n"
        "        o = super().__new__(cls, text); o.code = code; return o\n"
        "    def __getnewargs__(self): return (str(self), self.code)\n",
        "Sub('hallo', 'de')",
    ),
    "set": (
        "class Sub(set):\n    def __init__(self, items=(), owner=None):\n"
        "        super().__init__(items); self.owner = owner\n",
        "Sub([1, 2], 'ada')",
    ),
    "deque": (
        "class Sub(collections.deque):\n    def __init__(self, items=(), maxlen=3):\n"
        "        super().__init__(items, maxlen)\n",
        "Sub([1, 2])",
    ),
    "getattr": (
        "class Sub:\n    def __init__(self):\n        self.inner = [1]\n    def __getattr__(self, name):\n"
        "        if name.startswith('__'): raise AttributeError(name)\n        return getattr(self.inner, name)\n",
        "Sub()",
    ),
    "items": (
        "class Sub(dict):\n    log = None\n    def __setitem__(self, key, value):\n"
        "        if self.log is not None: self.log.append(key)\n        super().__setitem__(key, value)\n",
        "filled(Sub())",
    ),
    "frozen": (
        "class Base:\n    __slots__ = ('a',)\n@dataclass(frozen=True, slots=True)\nclass Sub(Base):\n    b: int\n",
        "Sub(1)",
    ),
    "generic": (
        "import typing\nT = typing.TypeVar('T')\nclass Sub(typing.Generic[T], Exception):\n"
        "    def __init__(self, a): super().__init__(a)\n",
        "Sub[int](1)",
    ),
}


@pytest.mark.parametrize("kind", CAN_BE_READ)
def test_what_can_be_read_is_packed_without_a_word(shop: types.ModuleType, kind: str) -> None:
    source, make = CAN_BE_READ[kind]
    define(shop, HEAD + source)
    obj = eval(make, shop.__dict__)
    loaded = round_trip([obj, obj])
    assert loaded[0] is loaded[1]
    assert type(loaded[0]) is shop.Sub
    assert getattr(loaded[0], "args", None) == getattr(obj, "args", None)
    assert {k: v for k, v in getattr(loaded[0], "__dict__", {}).items() if k != "__orig_class__"} == {
        k: v for k, v in getattr(obj, "__dict__", {}).items() if k != "__orig_class__"
    }


@pytest.mark.parametrize(
    ("source", "make", "text"),
    [
        (
            "class Sub(Exception):\n    def __init__(self, name):\n        super().__init__('unknown ' + name)\n",
            "Sub('x')",
            "called with 1 argument, it has other arguments itself",
        ),
        (
            "class Sub(set):\n    def __init__(self, owner, items=()):\n"
            "        super().__init__(items); self.owner = owner\n",
            "Sub('ada', [1, 2])",
            "called with 1 argument, it has other members",
        ),
        (
            "class Sub(str):\n    def __new__(cls, name):\n        return super().__new__(cls, 'x-' + name)\n",
            "Sub('a')",
            "its __new__ changes what it is given",
        ),
        (
            "class Sub(Exception):\n    seen = set()\n    def __init__(self, key):\n"
            "        super().__init__(key)\n        if key in self.seen: raise ValueError('twice')\n"
            "        self.seen.add(key)\n",
            "Sub('a')",
            "which raises ValueError here: twice",
        ),
    ],
)
def test_a_constructor_that_makes_something_else_is_warned_of(
    shop: types.ModuleType, source: str, make: str, text: str
) -> None:
    define(shop, HEAD + source)
    obj = eval(make, shop.__dict__)
    with pytest.warns(PackWarning) as caught:
        pack([obj, obj])
    assert len(caught) == 1, "once for a class"
    message = str(caught[0].message)
    assert message.startswith("$[0]: shop:Sub ")
    assert text in message
    assert "__reduce__" in message or "__getnewargs__" in message


def test_checking_changes_nothing_of_the_object(shop: types.ModuleType) -> None:
    define(
        shop,
        "class Sub(Exception):\n    def __init__(self, rows):\n        super().__init__(rows)\n"
        "        rows.append('seen')\n",
    )
    rows: list[str] = []
    obj = shop.Sub(rows)
    with pytest.warns(PackWarning, match="has other arguments itself"):
        pack(obj)
    assert rows == ["seen"]


class Node:
    def __init__(self, name: str) -> None:
        self.name = name
        self.peers = {self}

    def __hash__(self) -> int:
        return hash(self.name)


def test_reading_says_what_to_write_where_a_hash_comes_too_early() -> None:
    with pytest.raises(UnpickleError) as refused:
        unpack(pack([Node("a")]), trust=[Node])
    hint = refused.value.hint or ""
    assert hint.startswith("Node.__hash__ needs attributes")
    assert "__getstate__" in hint


def test_an_object_that_is_needed_to_make_itself_is_named() -> None:
    failed = ValueError()
    failed.args = ([failed],)
    with pytest.raises(PackError, match="ValueError is needed to make itself") as refused:
        pack({"e": failed})
    assert "as the state" in (refused.value.hint or "")


def test_a_class_that_was_loaded_again_is_named(shop: types.ModuleType) -> None:
    define(shop, "class Sub:\n    pass\n")
    old = shop.Sub()
    define(shop, "class Sub:\n    pass\n")
    with pytest.raises(PackError, match="the class shop:Sub, which another class has replaced") as refused:
        pack([old])
    assert "make the object anew" in (refused.value.hint or "")


class Growing:
    def __init__(self, items: dict[int, Any]) -> None:
        self.items = items

    def __getstate__(self) -> Any:
        self.items[len(self.items)] = None
        return {"done": True}


def test_a_dict_that_changes_while_it_is_packed_is_explained() -> None:
    items: dict[int, Any] = {}
    items[0] = Growing(items)
    items[1] = Growing(items)
    with pytest.raises(PackError, match="during iteration") as refused:
        pack(items)
    assert "pack a copy, or hold the lock" in (refused.value.hint or "")
