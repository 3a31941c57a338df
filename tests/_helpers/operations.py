"""Programs of pickle opcodes that do things to objects, classes, functions and enums: often well-formed.

`attempt` runs one at the levels `guarded` and `strict` and says what came of it. Whatever a program does, no class,
function or enum may be another afterwards, and nothing may be called that is neither class nor function.
"""

from __future__ import annotations

import collections
import enum
import random
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

from frames import Frame, framed, named, text

import pickleseal
from pickleseal import Limits, Policy
from pickleseal.errors import ReadError
from pickleseal.trust import classes_in

called: list[str] = []


@dataclass
class Record:
    a: Any = None
    b: Any = None


@dataclass(frozen=True)
class Frozen:
    a: Any = None


class Caller:
    def __call__(self, *args: Any) -> None:
        called.append("Caller")

    def method(self) -> None:
        called.append("method")

    @classmethod
    def made(cls, *args: Any) -> Caller:
        return cls()

    @property
    def shown(self) -> None:
        called.append("shown")


class Own:
    def __setstate__(self, state: Any) -> None:
        self.state = state


class Slots:
    __slots__ = ("a", "b")


class Name(str):
    pass


class Items(list[Any]):
    pass


class Table(dict[Any, Any]):
    pass


class Members(set[Any]):
    pass


class Pair(NamedTuple):
    left: Any
    right: Any


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Mode(enum.Flag):
    A = 1
    B = 2


def function(*args: Any) -> Any:
    return Record(*args[:2])


class Started:
    """Trusted by a rule alone, so that nothing may call it."""

    def __init__(self, *args: Any) -> None:
        called.append("Started")

    def __reduce__(self) -> Any:
        return Started, ()


CLASSES: list[type] = [Record, Frozen, Caller, Own, Slots, Name, Items, Table, Members, Pair, Color, Mode]
TRUSTED = [*CLASSES, function]
OTHERS = [
    *(
        f"builtins:{name}"
        for name in ("list", "set", "range", "str", "bytes", "bytearray", "getattr", "type", "object")
    ),
    *(f"collections:{name}" for name in ("OrderedDict", "UserString", "defaultdict", "deque", "Counter", "UserDict")),
    *(
        "uuid:UUID",
        "http:HTTPStatus",
        "fractions:Fraction",
        "types:SimpleNamespace",
        "_functools:reduce",
        "_operator:or_",
    ),
    *("ipaddress:IPv4Address", "datetime:date", "decimal:Decimal", "types:GenericAlias", "_operator:getitem"),
]
NAMES = ["a", "b", "x", "__setstate__", "__class__", "__dict__", "__call__", "_value_", "method", "made", "shown"]
GLOBALS = [f"{item.__module__}:{item.__qualname__}" for item in TRUSTED] + OTHERS
# The same by a rule, which does not trust functions.
BY_RULE = [f"{item.__module__}:{item.__qualname__}" for item in [*CLASSES, Started]] + OTHERS


class Program:
    """One random program. The stack is not followed: most steps bring along what they take."""

    def __init__(self, rng: random.Random, globals: list[str]) -> None:
        self.rng = rng
        self.choices = globals
        self.memos = 0
        self.names: set[str] = set()

    def make(self) -> bytes:
        rng = self.rng
        names = rng.sample(self.choices, rng.randint(1, 4))
        body = b"".join(self.named(name) + b"0" for name in names)
        self.globals = [2 + 3 * index for index in range(len(names))]
        body += self.made(2) if rng.random() < 0.7 else self.value(rng.randint(1, 4))
        for _ in range(rng.randint(1, 5)):
            body += self.step()
        return body

    def named(self, name: str) -> bytes:
        self.names.add(name)
        self.memos += 3
        return named(*name.split(":"))

    def memoized(self, code: bytes) -> bytes:
        self.memos += 1
        return code + b"\x94"

    def get(self) -> bytes:
        return b"h" + bytes((self.rng.randrange(min(self.memos, 250)),))

    def one_global(self) -> bytes:
        return b"h" + bytes((self.rng.choice(self.globals),))

    def text(self) -> bytes:
        self.memos += 1
        return text(self.rng.choice(NAMES))

    def value(self, depth: int = 2) -> bytes:
        rng = self.rng
        choice = rng.randrange(12 if depth else 5)
        if choice < 2:
            return rng.choice([b"N", b"K\x01", b"K\x02", b"\x88", b"C\x01a", b"J\xff\xff\xff\x7f", b")", b"]", b"}"])
        if choice == 2:
            return self.text()
        if choice == 3:
            return self.get()
        if choice == 4:
            return self.one_global()
        if choice == 5:
            return self.memoized(b"(" + b"".join(self.value(depth - 1) for _ in range(rng.randrange(3))) + b"t")
        if choice == 6:
            return self.state(depth - 1)
        if choice == 7:
            inner = b"".join(self.value(depth - 1) for _ in range(rng.randrange(3)))
            return self.memoized(rng.choice([b"]", b"\x8f"])) + b"(" + inner + rng.choice([b"e", b"\x90"])
        return self.made(depth)

    def made(self, depth: int) -> bytes:
        if self.rng.random() < 0.7:
            return self.memoized(self.one_global() + b")" + self.rng.choice([b"\x81", b"\x81", b"R"]))
        return self.memoized(self.one_global() + self.arguments(depth - 1) + self.rng.choice([b"\x81", b"R"]))

    def arguments(self, depth: int) -> bytes:
        count = self.rng.choice([0, 0, 1, 1, 2])
        return b")" if not count else b"".join(self.value(depth) for _ in range(count)) + (b"\x85", b"\x86")[count - 1]

    def state(self, depth: int) -> bytes:
        pairs = b"".join(self.text() + self.value(depth) for _ in range(self.rng.randrange(1, 3)))
        attributes = self.memoized(b"}") + b"(" + pairs + b"u"
        return attributes if self.rng.random() < 0.6 else self.memoized(b"N" + attributes + b"\x86")

    def step(self) -> bytes:
        """Do something to what is on top of the stack."""
        rng = self.rng
        return rng.choice(
            [
                lambda: self.state(1) + b"b",
                lambda: self.state(1) + b"b",
                lambda: self.value(1) + b"b",
                lambda: self.value(1) + b"a",
                lambda: self.text() + self.value(1) + b"s",
                lambda: b"(" + self.value(1) + b"\x90",
                lambda: self.arguments(1) + b"R",
                lambda: self.arguments(1) + b"\x81",
                lambda: b"\x94",
                lambda: b"0" + self.value(2),
                lambda: b"0" + self.get(),
                lambda: b"\x94" + self.value(1),
                lambda: b"0" + self.made(2),
                lambda: b"0" + self.made(2) + self.state(1) + b"b",
                lambda: bytes((rng.randrange(256),)) if rng.random() < 0.2 else b"",
            ]
        )()


def seen() -> list[Any]:
    """Return all that may not change."""
    classes = [(dict(vars(cls)), cls.__bases__, cls.__name__) for cls in [*CLASSES, *map(type, CLASSES)]]
    members = [dict(vars(member)) for cls in (Color, Mode) for member in cls]
    others = [dict(vars(cls)) for cls in (collections.UserDict, collections.Counter, collections.UserString)]
    return [classes, members, others, dict(vars(function)), function.__code__, function.__defaults__]


def attempt(rng: random.Random, isolated: bool = False, by_rule: bool = False) -> str:
    """Run one program at both levels. Raise where a promise is broken; return what came of it.

    `isolated` runs the strict one in a child as well, which has to say the same. `by_rule`: only a rule trusts the
    classes, so that none may be called.
    """
    program = Program(rng, BY_RULE if by_rule else GLOBALS)
    trust: Any = [classes_in(__name__)] if by_rule else TRUSTED
    body = program.make()
    data = Frame(framed(body), globals=sorted(program.names), type="x").data
    before = seen()
    outcomes = []
    for fields in ({"level": "guarded"}, {"level": "strict"}, {"level": "strict", "isolated": True}):
        if "isolated" in fields and not isolated:
            continue
        called.clear()
        policy = Policy(**fields, limits=Limits(max_depth=500), drift="ignore")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outcomes.append("object: " + type(pickleseal.unpack(data, trust=trust, policy=policy)).__name__)
            except ReadError as error:
                outcomes.append(error.code)
        if called:
            raise AssertionError(f"{fields}: {called} was called: {body.hex()}")
        if seen() != before:
            raise AssertionError(f"{fields}: something has changed: {body.hex()}")
    guarded, strict, *child = outcomes
    refused = {"forbidden-operation", "limit-exceeded", "untrusted-global"}
    if guarded != strict and strict not in refused and guarded not in refused:
        raise AssertionError(f"guarded: {guarded}, strict: {strict}: {body.hex()}")
    if child and child[0] != strict:
        raise AssertionError(f"strict: {strict}, isolated: {child[0]}: {body.hex()}")
    return strict if strict.startswith("object") or strict == guarded else f"{guarded} / {strict}"
