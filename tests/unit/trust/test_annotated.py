"""Classes that the annotations of an expected class name."""

from __future__ import annotations

import abc
import dataclasses
import enum
import gc
import sys
import threading
import typing
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, NewType, Protocol, TypeVar

import pytest
from frames import Frame, framed, named

import pickleseal
from pickleseal import Policy, Reader, Serializer, errors
from pickleseal._policy import request_of
from pickleseal._trust.annotated import annotated

if typing.TYPE_CHECKING:
    from nowhere import Missing

T = TypeVar("T")
marks: list[str] = []


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.IntEnum):
    S = 1


class Point(NamedTuple):
    x: int
    at: Colour


@dataclass
class Part:
    name: str
    colour: Colour = Colour.RED
    whole: Report | None = None


@dataclass
class Line:
    text: str
    parts: list[Part] = field(default_factory=list)


@dataclass
class Box(Generic[T]):
    inside: T


class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self) -> None: ...


class Concrete(Abstract):
    def method(self) -> None: ...


class Shape(Protocol):
    area: int


class Deleted:
    def __del__(self) -> None:
        marks.append("del")


class Meta(type):
    pass


class Calls:
    def __init__(self, x: int = 0) -> None:
        marks.append("init")

    def __reduce__(self) -> Any:
        return Calls, (1,)


class Hidden:
    pass


Number = NewType("Number", Part)


@dataclass
class Base:
    first: Line | None = None


@dataclass
class Report(Base):
    lines: list[Line] = field(default_factory=list)
    by_name: dict[str, Box[int] | None] = field(default_factory=dict)
    noted: Annotated[Point, "a note"] | None = None
    size: Literal[Size.S, "none"] = "none"
    number: Number | None = None
    kind: type[Hidden] | None = None
    make: Callable[[Hidden], Hidden] | None = None
    shared: ClassVar[Hidden | None] = None
    abstract: Abstract | None = None
    shape: Shape | None = None
    missing: Missing | None = None
    deleted: Deleted | None = None
    meta: Meta | None = None
    lock: threading.Lock | None = None
    calls: Calls | None = None
    more: Iterable[Part] = ()


def report() -> Report:
    return Report(
        first=Line("first", [Part("a")]),
        lines=[Line("x", [Part("b", Colour.BLUE)])],
        by_name={"box": Box(1), "none": None},
        noted=Point(1, Colour.RED),
        size=Size.S,
        number=Number(Part("c")),
    )


def hostile(body: bytes, *names: str) -> bytes:
    return Frame(framed(body), globals=sorted(names), type=f"{__name__}:Report").data


@pytest.mark.parametrize("level", ["guarded", "strict"])
def test_expect_is_enough_for_a_record_and_its_parts(level: Any) -> None:
    data = pickleseal.pack(report())
    policy = Policy(level=level)
    assert pickleseal.unpack(data, expect=Report, policy=policy) == report()
    assert pickleseal.unpack(pickleseal.pack([report()]), expect=list[Report], policy=policy) == [report()]
    assert Serializer(policy, expect=Report, check_writes=True).loads(data) == report()
    assert Reader(policy, expect=Report).read(data).object == report()


def test_it_takes_no_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from pickleseal._trust import dryrun

    line = Line("x")

    def fail(*args: Any) -> Any:
        raise AssertionError("a dry run")

    monkeypatch.setattr(dryrun, "check_operations", fail)
    assert pickleseal.unpack(pickleseal.pack(Base(line)), expect=Base).first == line


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (Hidden, None),
        (Abstract, "is abstract"),
        (Shape, "is abstract"),
        (Deleted, "defines __del__"),
        (Meta, "is a metaclass"),
        (Concrete, None),
    ],
)
def test_what_is_no_value_of_a_field_gives_nothing(cls: type, reason: str | None) -> None:
    data = hostile(named(__name__, cls.__qualname__) + b")\x81", f"{__name__}:{cls.__qualname__}")
    with pytest.raises(errors.UntrustedGlobalError) as caught:
        pickleseal.unpack(data, expect=Report)
    assert (reason is None) == ("annotation" not in str(caught.value))
    assert reason is None or reason in str(caught.value)
    assert marks == []


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    data = hostile(named("nowhere", "Missing") + b")\x81", "nowhere:Missing")
    with pytest.raises(errors.UntrustedGlobalError, match=r"'Missing \| None' of .*Report.missing can't be resolved"):
        pickleseal.unpack(data, expect=Report)


def test_what_is_found_is_made_and_not_called() -> None:
    for name, args in (("Line", b"(\x8c\x01xt"), ("Calls", b")")):
        data = hostile(named(__name__, name) + args + b"R", f"{__name__}:{name}")
        with pytest.raises(errors.ForbiddenOperationError, match=r"the annotation of .*Report"):
            pickleseal.unpack(data, expect=Report)
    assert marks == []
    calls = pickleseal.pack(Report(calls=object.__new__(Calls)))
    with pytest.raises(errors.ForbiddenOperationError):
        pickleseal.unpack(calls, expect=Report)
    assert pickleseal.unpack(calls, expect=Report, trust=[Calls]).calls is not None
    marks.clear()


def test_what_is_named_by_the_caller_comes_first() -> None:
    data = pickleseal.pack(Report(calls=object.__new__(Calls)))
    assert pickleseal.unpack(data, expect=Report, policy=Policy(trust=[Calls])).calls is not None
    marks.clear()


def test_a_class_that_is_defined_later_is_found_later(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = type("Early", (), {"__annotations__": {"late": "Late"}, "__module__": __name__})
    late = type("Late", (), {"__module__": __name__})
    monkeypatch.setattr(sys.modules[__name__], "Early", cls, raising=False)
    obj = cls()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[__name__], "Late", late, raising=False)
        obj.late = late()
        data = pickleseal.pack(obj)
    with pytest.raises(errors.UntrustedGlobalError, match="can't be resolved"):
        pickleseal.unpack(data, expect=cls)
    monkeypatch.setattr(sys.modules[__name__], "Late", late, raising=False)
    assert type(pickleseal.unpack(data, expect=cls).late) is late


def test_classes_are_kept_alive_by_nothing() -> None:
    def make() -> Any:
        ours = {"__module__": __name__}
        one = dataclasses.make_dataclass("One", [("other", "Two")], namespace=ours)
        two = dataclasses.make_dataclass("Two", [("one", one)], namespace=ours)
        one.__annotations__["other"] = two
        for cls in (one, two):
            assert len(request_of(cls).trusted.rules) == 1
        return weakref.ref(one), weakref.ref(two)

    gc.collect()  # what other tests left goes now
    before = len(annotated.values)
    refs = make()
    gc.collect()
    assert [one() for one in refs] == [None, None]
    assert len(annotated.values) == before
