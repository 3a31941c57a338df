"""A user's program: unions in `expect=`, by TypeForm. A checker that lacks TypeForm takes them for Any."""

from typing_extensions import assert_type

from pickleseal import Reader, iter_load, load, unpack


class Report:
    pass


class Invoice:
    pass


data = b""

assert_type(unpack(data, expect=Report | Invoice), Report | Invoice)
assert_type(unpack(data, expect=Report | None), Report | None)
assert_type(unpack(data, expect=list[Report] | None), list[Report] | None)
assert_type(load("x", expect=Report | Invoice), Report | Invoice)
assert_type(next(iter_load("x", expect=Report | Invoice)), Report | Invoice)
assert_type(Reader(expect=Report | Invoice).read(data).object, Report | Invoice)
