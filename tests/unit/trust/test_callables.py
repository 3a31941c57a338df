"""Callables that a payload stores: they load as values, and nothing in the payload calls them."""

from __future__ import annotations

import collections
import datetime
import decimal
import functools
import operator
import pathlib
import re
import types
import unittest.mock
import warnings
from typing import Any

import kinds
import pytest
from _helpers.levels import POLICIES, levels, round_trip

import pickleseal
from pickleseal._trust import dryrun
from pickleseal.errors import ForbiddenOperationError, LimitExceededError, PackWarning, ReadError, UntrustedGlobalError

CHECKED = [level for level in POLICIES if level not in ("signed", "unchecked", "guarded-with-keys")]
checked = pytest.mark.parametrize("level", CHECKED)


class By:
    """Is pickled as a call of what it is given."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


def read(obj: Any, level: str, *trust: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PackWarning)
        data = pickleseal.pack(obj)
    names = {name for name in pickleseal.peek(data).globals if name.startswith("kinds:")}
    return pickleseal.unpack(data, trust=[*names, *trust], policy=POLICIES[level])


class TestValues:
    @levels
    @pytest.mark.parametrize(
        ("stored", "args"),
        [
            (functools.partial(kinds.Plain, 3), ()),
            (functools.partial(kinds.Plain, items=[1]), (3,)),
            (functools.partial(int, base=2), ("11",)),
            (functools.partial(kinds.Calls(3)), (4,)),
            (functools.partial(functools.partial(kinds.Plain, 1), [2]), ()),
            (functools.partial(kinds.ByReduce.made, 4), ()),
            (functools.partial(str.split, sep=","), ("a,b",)),
            (functools.partial(operator.mul, 2), (4,)),
            (functools.partial(collections.defaultdict, int), ()),
            (operator.itemgetter(1), ("ab",)),
            (operator.itemgetter(0, slice(1)), ("ab",)),
            (operator.attrgetter("x"), (kinds.Plain(1),)),
            (operator.attrgetter("x.real", "items"), (kinds.Plain(1),)),
            (operator.attrgetter("__name__"), (kinds.Plain,)),
            (operator.methodcaller("upper"), ("a",)),
            (operator.methodcaller("split", ","), ("a,b",)),
            (operator.methodcaller("split", sep=",", maxsplit=1), ("a,b,c",)),
            (operator.neg, (1,)),
            (str.upper, ("a",)),
            (dict.fromkeys, ("ab",)),
            (int.from_bytes, (b"a", "big")),
            (datetime.date.fromisoformat, ("2026-01-02",)),
            (decimal.Decimal.sqrt, (decimal.Decimal(4),)),
            ("a,b".split, (",",)),
            ({"a": 1}.get, ("a",)),
            ([3, 1].index, (1,)),
            (collections.Counter("aab").most_common, (1,)),
            (re.compile("a+").fullmatch, ("b",)),
            (kinds.Calls(3).__call__, (4,)),
        ],
    )
    def test_they_do_when_called_what_the_stored_ones_do(self, stored: Any, args: Any, level: str) -> None:
        found = round_trip({"steps": [stored, (stored,)]}, level)["steps"]
        assert type(found[0]) is type(stored)
        assert found[0] is found[1][0] or isinstance(stored, types.BuiltinFunctionType | types.MethodType)
        assert found[0](*args) == stored(*args)

    @levels
    def test_a_partial_keeps_its_attributes(self, level: str) -> None:
        stored = functools.update_wrapper(functools.partial(kinds.function, 1, a=[2]), kinds.function)
        found = round_trip(stored, level)
        assert (found.func, found.args, found.keywords) == (kinds.function, (1,), {"a": [2]})
        assert found.__wrapped__ is kinds.function

    @levels
    def test_a_default_factory_runs_when_a_key_is_asked_for(self, level: str) -> None:
        found = round_trip(collections.defaultdict(functools.partial(collections.defaultdict, list)), level)
        assert found["a"]["b"] == []

    @levels
    def test_values_with_dotted_names(self, level: str) -> None:
        value = unittest.mock.sentinel.MISSING
        assert round_trip([value, {value: 1}], level) == [value, {value: 1}]


class TestNothingCallsThem:
    @checked
    @pytest.mark.parametrize(
        ("callee", "args"),
        [
            (functools.partial(kinds.ByReduce, 1), ()),
            (operator.itemgetter(0), ([1],)),
            (operator.attrgetter("x"), (kinds.Plain(),)),
            (operator.methodcaller("upper"), ("a",)),
            (operator.neg, (1,)),
            (str.upper, ("a",)),
            ("a".upper, ()),
            ([1].append, (2,)),
            (kinds.Calls(3), (4,)),
            (kinds.Calls(3).__call__, (4,)),
        ],
    )
    def test_a_payload_can_not(self, callee: Any, args: Any, level: str) -> None:
        with pytest.raises(ForbiddenOperationError) as caught:
            read(By(callee, args), level, "operator:methodcaller")
        assert "expected a class or a function" in str(caught.value) or "expected arguments" in str(caught.value)

    @checked
    def test_an_object_made_in_no_other_way_is_named_when_it_is_packed(self, level: str) -> None:
        with pytest.warns(PackWarning, match=r"functools:partial.*\(\$\['a'\]\)"):
            pickleseal.pack({"a": By(functools.partial(kinds.ByReduce, 1), ())})

    @checked
    @pytest.mark.parametrize(
        "state",
        [
            (getattr, (), None, None),
            (type, ("X", (), {}), None, None),
            (bytes, (10**10,), None, None),
            (list, (range(10**9),), None, None),
            (int, (), {"base": 10**9}, None),
            (kinds.Plain, [1], None, None),
            (kinds.Plain, (), {1: 2}, None),
            (kinds.Plain, (), None, [1]),
            (7, (), None, None),
        ],
    )
    def test_a_partial_has_one_shape(self, state: Any, level: str) -> None:
        with pytest.raises((ForbiddenOperationError, UntrustedGlobalError)):
            read(By(functools.partial, (kinds.Plain,), state), level)

    @checked
    def test_keywords_do_not_change_later(self, level: str) -> None:
        keywords: dict[Any, Any] = {}
        keywords[1] = stored = By(functools.partial, (kinds.Plain,), (kinds.Plain, (), keywords, None))
        assert stored
        with pytest.raises(ReadError):
            read([stored, keywords], level)

    @checked
    @pytest.mark.parametrize("name", ["a.__globals__", "__class__", "__dict__.x"])
    def test_names_that_lead_out_of_the_data(self, name: str, level: str) -> None:
        for made in (operator.attrgetter, operator.methodcaller):
            if made is operator.methodcaller and not name.startswith("__"):
                continue
            with pytest.raises(ForbiddenOperationError):
                read(By(made, (name,)), level, "operator:methodcaller")

    @checked
    def test_methods_of_paths_reach_the_disk(self, level: str) -> None:
        path = pathlib.PurePosixPath("a")
        for stored in (path.is_absolute, By(getattr, (pathlib.PurePosixPath, "cwd")), By(getattr, ("a", "__len__"))):
            with pytest.raises(UntrustedGlobalError, match="a method that no payload gets"):
                read(stored, level)

    @pytest.mark.parametrize("link", ["func", "item"])
    def test_chains_are_as_deep_as_the_limit(self, link: str) -> None:
        """They are freed by a recursion in C."""
        names: dict[tuple[str, str], Any] = {("functools", "partial"): functools.partial, ("builtins", "int"): int}
        names["operator", "itemgetter"] = operator.itemgetter
        payload = _chain(link, 3000)
        with pytest.raises(LimitExceededError, match="deep"):
            dryrun.check_operations(payload, (), names, 1000)
        dryrun.check_operations(_chain(link, 300), (), names, 1000)


def _chain(link: str, length: int) -> bytes:
    partial, integer, getter = b"cfunctools\npartial\n", b"cbuiltins\nint\n", b"coperator\nitemgetter\n"
    payload = b"\x80\x04" + integer
    for _ in range(length):
        if link == "item":  # itemgetter(below)
            payload += b"q\x010" + getter + b"h\x01\x85R"
        else:  # partial(int) with the state (below, (), None, None)
            payload += b"q\x010" + partial + integer + b"\x85R(h\x01)NNtb"
    return payload + b"."


class TestWarnings:
    @pytest.mark.parametrize(
        ("stored", "name"),
        [
            (pathlib.PurePosixPath("a").is_absolute, "PurePosixPath.is_absolute"),
            ("a".__len__, "builtins:str.__len__"),
            (object.__repr__, "builtins:object.__repr__"),
        ],
    )
    def test_a_method_that_no_reader_gives_is_named_with_its_path(self, stored: Any, name: str) -> None:
        with pytest.warns(PackWarning) as caught:
            data = pickleseal.pack({"steps": [{"tokenizer": stored}]})
        (text,) = [str(w.message) for w in caught]
        assert text.startswith('only readers at level "signed" or "unchecked" load this: ')
        assert "($['steps'][0]['tokenizer'])" in text
        assert name in text
        with pytest.raises(ReadError, match=re.escape(name)):
            pickleseal.unpack(data)

    def test_what_loads_is_packed_without_a_word(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pickleseal.pack([str.split, operator.methodcaller("split", sep=","), functools.partial(int, base=2)])

    def test_a_class_that_a_function_made_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import copyreg

        class Meta(type):
            pass

        def rebuild(cls: Any) -> Any:
            return _make_class, (cls.__name__,)

        monkeypatch.setitem(copyreg.dispatch_table, Meta, rebuild)
        made = Meta("Made", (), {})
        with pytest.warns(PackWarning, match="a class that a function made"):
            data = pickleseal.pack({"a": made()})
        with pytest.raises(ForbiddenOperationError, match="a class that the payload names"):
            pickleseal.unpack(data, trust=pickleseal.peek(data).globals)


def _make_class(name: str) -> Any:
    return type(name, (), {})
