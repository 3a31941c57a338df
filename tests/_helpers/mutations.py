"""Mutants of honest payloads for level `strict`: each is refused, or does nothing that an honest payload would not do.

A mutant replaces, moves, repeats or drops opcodes of an honest pickle, swaps a class for another, and puts a victim in
the place of a value. A victim is an object of a trusted class that marks each method by which code of Python or C may
ask an object for something. `attempt` reads one mutant and raises where a victim was marked, or the error is not a
documented one.
"""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import http
import importlib
import ipaddress
import pathlib
import pickle
import pickletools
import random
import re
import time
import types
import uuid
import warnings
import zoneinfo
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from frames import Frame, framed, named, text

import pickleseal
from pickleseal import Limits, Policy
from pickleseal.errors import ReadError

marked: list[str] = []


class Victim:
    """Marks whatever asks it for something. Honest payloads do no more than make it and give it a state."""

    def __call__(self, *args: Any) -> Any:
        marked.append("__call__")

    def __index__(self) -> int:
        marked.append("__index__")
        return 1

    def __iter__(self) -> Any:
        marked.append("__iter__")
        return iter(())

    def __len__(self) -> int:
        marked.append("__len__")
        return 0

    def keys(self) -> Any:
        marked.append("keys")
        return ()

    def extend(self, items: Any) -> None:
        marked.append("extend")

    append = add = update = extend

    def __setitem__(self, key: Any, value: Any) -> None:
        marked.append("__setitem__")

    def __fspath__(self) -> str:
        marked.append("__fspath__")
        return "x"

    def __getattr__(self, name: str) -> Any:
        if name not in ("__setstate__", "__array_struct__"):
            marked.append(f"__getattr__ {name}")
        raise AttributeError(name)


@dataclass
class Plain:
    a: Any = None
    b: Any = None


@dataclass(frozen=True)
class Frozen:
    a: Any = None


@dataclass(slots=True)
class Slotted:
    a: Any = None


class Row(NamedTuple):
    a: Any
    b: Any


class Color(enum.Enum):
    RED = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class OwnError(Exception):
    pass


class Items(list[Any]):
    pass


class Text(str):
    pass


HERE = __name__
TRUSTED: list[type] = [Victim, Plain, Frozen, Slotted, Row, Color, Right, OwnError, Items, Text]
UTC = datetime.timezone.utc
SEEDS: list[Any] = [
    *([1, "a", (2.5, None)], {"k": [1], (1, "x"): {2}}, frozenset((1, 2)), bytearray(b"ab"), 1 + 2j, range(1, 9, 2)),
    *(slice(1, 2), array.array("d", [1.0]), decimal.Decimal("1.5"), Fraction(1, 3), uuid.UUID(int=5)),
    *(datetime.datetime(2026, 1, 2, tzinfo=UTC), datetime.date(2026, 1, 2), datetime.timedelta(1)),
    *(zoneinfo.ZoneInfo("UTC"), time.gmtime(0), pathlib.PurePosixPath("a/b"), ipaddress.ip_address("::1")),
    *(ipaddress.ip_network("10.0.0.0/8"), re.compile("a+"), http.HTTPStatus.OK, int | None, list[int]),
    *(collections.OrderedDict(a=1), collections.defaultdict(list, a=[1]), collections.Counter("ab")),
    *(collections.deque([1, 2], 5), collections.ChainMap({"a": 1}), collections.UserDict(a=1)),
    *(collections.UserList([1]), collections.UserString("x"), types.SimpleNamespace(a=1)),
    *(ValueError("x"), OSError(2, "no", "f"), KeyError(1), UnicodeDecodeError("ascii", b"x", 0, 1, "bad")),
    *(SyntaxError("x", ("f", 1, 2, "t")), StopIteration(3), ImportError("x", name="n")),
    *(Plain(1, [Plain()]), Frozen((1, 2)), {Frozen(1): Row(1, 2)}, Slotted(1), Color.RED, Right.READ | Right.WRITE),
    *(OwnError("x"), Items([1]), Text("x"), {Row(1, 2): 1}),
]  # fmt: skip


class Op(NamedTuple):
    code: bytes
    name: str


def opcodes(obj: Any, protocol: int) -> list[Op]:
    """Return the opcodes of an honest pickle, without PROTO, FRAME and STOP."""
    data = pickle.dumps(obj, protocol)
    found = [(opcode.name, position) for opcode, _, position in pickletools.genops(data)]
    ends = [position for _, position in found[1:]] + [len(data)]
    return [
        Op(data[start:end], name)
        for (name, start), end in zip(found, ends, strict=True)
        if name not in ("PROTO", "FRAME", "STOP")
    ]


def _names() -> list[str]:
    own = [f"{cls.__module__}:{cls.__qualname__}" for cls in TRUSTED]
    listed = [
        f"{module}:{name}"
        for module, names in pickleseal._trust.allow_list.VALUE_TYPES.items()
        for name in names
        if module != "pathlib._local" and hasattr(importlib.import_module(module), name)
    ]
    safe = ["builtins:getattr", "builtins:type", "builtins:bytearray", "_functools:reduce", "_operator:or_"]
    errors = ["ValueError", "OSError", "StopIteration", "UnicodeDecodeError", "SyntaxError", "ImportError", "KeyError"]
    return [*own, *listed, *safe, "_operator:getitem", "re:_compile", *(f"builtins:{name}" for name in errors)]


NAMES = _names()
VICTIM = named(HERE, "Victim").replace(b"\x94", b"") + b")\x81"
VALUES = [
    *(b"N", b"K\x01", b"\x88", b")", b"]", b"}", b"\x8f", b"C\x01a", b"G?\xf0\0\0\0\0\0\0", b"J\xff\xff\xff\x7f"),
    *(text(name).replace(b"\x94", b"") for name in ("a", "data", "maps", "args", "value", "keys", "__class__")),
    *(VICTIM, VICTIM + b"\x85", b"](" + VICTIM + b"e", VICTIM, b"}" + text("args")[:-1] + VICTIM + b"s"),
    *(b"\x8a\x06" + (2**40).to_bytes(6, "little"), b"h\x00", b"h\x01", b"h\x02", b"h\x05"),
]  # fmt: skip
STEPS = [
    b"R",
    b"\x81",
    b"b",
    b"a",
    b"s",
    b"\x85",
    b"\x86",
    b"0",
    b"\x94",
    b")R",
    b")\x81",
    b"}b",
    b"Na",
    b"NNs",
    b"(Ne",
]


def _named(name: str) -> bytes:
    return named(*name.split(":")).replace(b"\x94", b"")


def mutant(rng: random.Random) -> tuple[bytes, list[str]]:
    """Return the payload of one mutant, and the names that it may import."""
    protocol = 4 + (rng.random() < 0.7)
    ops = [op.code for op in opcodes(rng.choice(SEEDS), protocol)]
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 5])):
        at = rng.randrange(len(ops))
        choice = rng.randrange(9)
        if choice == 0:
            del ops[at]
        elif choice == 1:
            ops.insert(at, rng.choice(STEPS))
        elif choice == 2:
            ops.insert(at, rng.choice(VALUES))
        elif choice == 3:
            ops[at] = rng.choice(VALUES)
        elif choice == 4:
            ops[at] = rng.choice(STEPS)
        elif choice == 5:
            ops.insert(at, ops[rng.randrange(len(ops))])
        elif choice == 6:
            places = [index for index, code in enumerate(ops) if code == b"\x93"]
            if places:
                index = rng.choice(places)
                ops[index] = b"00" + _named(rng.choice(NAMES))
        elif choice == 7:
            ops[at] = _named(rng.choice(NAMES))
        else:
            other = [op.code for op in opcodes(rng.choice(SEEDS), protocol)]
            start = rng.randrange(len(other))
            ops[at:at] = other[start : start + rng.randint(1, 8)]
        if not ops:
            ops = [b"N"]
    return framed(b"".join(ops)), NAMES


def attempt(rng: random.Random, level: str = "strict") -> str:
    """Read one mutant. Raise where a victim was marked; return what came of it."""
    payload, names = mutant(rng)
    data = Frame(payload, globals=sorted(names), type="builtins:object").data
    marked.clear()
    policy = Policy(level=level, limits=Limits(max_depth=200), drift="ignore")  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            obj = pickleseal.unpack(data, trust=TRUSTED, policy=policy)
            found = "object"
            del obj
        except ReadError as error:
            found = error.code
            error.__traceback__ = None
    if marked:
        raise AssertionError(f"{marked} by {payload.hex()}")
    return found
