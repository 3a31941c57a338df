"""A user's program: the types that `expect=` gives, for every checker."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_type

from pickleseal import Header, IncrementalReader, Mapped, Reader, StreamReader, iter_load, load, receive, unpack


@dataclass
class Report:
    title: str


@dataclass
class Invoice:
    total: int


@dataclass
class Order:
    number: int


@dataclass
class Refund:
    number: int


data = b""

assert_type(unpack(data), Any)
assert_type(unpack(data, expect=None), Any)
assert_type(unpack(data, expect=Report), Report)
assert_type(unpack(data, expect=list[Report]), list[Report])
assert_type(unpack(data, expect=dict[str, list[Report]]), dict[str, list[Report]])
assert_type(unpack(data, expect=tuple[int, str]), tuple[int, str])
assert_type(unpack(data, expect=(Report, Invoice)), Report | Invoice)
assert_type(unpack(data, expect=(Report, Invoice, Order)), Report | Invoice | Order)
assert_type(unpack(data, expect=(Report, Invoice, Order, Refund)), Report | Invoice | Order | Refund)
assert_type(unpack(data, expect=(Report, Invoice, Order, Refund, int)), Any)
assert_type(unpack(data, expect=(Report, type(None))), Report | None)
assert_type(unpack(data, expect="shop.Report"), Any)

assert_type(load("report.pseal", expect=Report), Report)
assert_type(load("report.pseal", expect=Report, level="signed"), Report)
assert_type(load("report.pseal", expect=(Report, Invoice)), Report | Invoice)
assert_type(iter_load("all.pseal", expect=Report), Iterator[Report])

reader = Reader(expect=Report)
assert_type(reader, Reader[Report])
assert_type(reader.read(data).object, Report)
assert_type(reader.read(data).header, Header)
header, report = reader.read(data)
assert_type(header, Header)
assert_type(report, Report)
assert_type(Reader(expect=(Report, Invoice)).read(data).object, Report | Invoice)
assert_type(Reader().read(data).object, Any)
assert_type(Reader(expect="shop.Report").read(data).object, Any)

assert_type(Mapped("report.pseal", expect=Report).object, Report)
assert_type(IncrementalReader(expect=Report).finish(), Report)


async def from_a_body(body: AsyncIterator[bytes]) -> None:
    assert_type(await receive(body, expect=Report), Report)


with StreamReader("all.pseal", expect=Report) as stream:
    for record in stream:
        assert_type(record, Report)


def with_bare_annotations(reader: Reader) -> None:
    """Bare names of generic classes are fine under strict rules."""
    assert_type(reader.read(data).object, Any)


def title_of(reader: Reader[Report]) -> str:
    return reader.read(data).object.title


def with_optional_expect(expect: type[Report] | None) -> Any:
    return unpack(data, expect=expect)


def with_types_of_unknown_number(expect: tuple[type[Any], ...]) -> Any:
    return unpack(data, expect=expect)


chosen: Report | Invoice = unpack(data, expect=Report | Invoice)
perhaps: Report | None = unpack(data, expect=Report | None)

# Mistakes.
unpack(data, expect=3)  # type: ignore[call-overload]
unpack(data, expect=[Report])  # type: ignore[call-overload]
unpack(data, expects=Report)  # type: ignore[call-overload]
load("x", level="strickt")  # type: ignore[call-overload]
wrong: Invoice = unpack(data, expect=Report)  # type: ignore[assignment]
