"""One annotation has one text: however it is written, whichever Python reads it (spec 6.2)."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import datetime
import enum
import typing
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickleseal._schema.annotations import annotation_text
from pickleseal._schema.describe import describe
from pickleseal._schema.values import value_text


class Color(enum.Enum):
    RED = 1


T = typing.TypeVar("T")


class Box(typing.Generic[T]):
    class Inner:
        pass


UserId = typing.NewType("UserId", int)
MEANINGS = {
    **vars(typing),
    "t": typing,
    "typing": typing,
    "abc": collections.abc,
    "contextlib": contextlib,
    "UserId": UserId,
}
MEANINGS |= {"Decimal": Decimal, "Color": Color, "Box": Box, "T": T}
SAME = [
    ("int", ["int", "builtins.int", " int", "ForwardRef('int')", "Annotated[int, 'm']", "Final[int]"]),
    ("None", ["None", "NoneType", "type(None)"]),
    ("int | None", ["Optional[int]", "int | None", "None | int", "typing.Union[None, 'int']", "Union[int, None, int]"]),
    ("bytes | int | str", ["Union[str, Union[int, bytes]]", "str | int | bytes | int", "Union[bytes, int] | str"]),
    ("list[dict[str, Any]]", ["list[dict[str, Any]]", "List[Dict[str, Any]]", "t.List[t.Dict[str, t.Any]]"]),
    ("tuple[int, ...]", ["tuple[int, ...]", "typing.Tuple[int, ...]"]),
    ("tuple[()]", ["tuple[()]"]),
    ("Callable[[int, str], None]", ["Callable[[int, str], None]", "abc.Callable[[int, str], None]"]),
    ("Callable[..., int]", ["Callable[..., int]", "abc.Callable[..., int]"]),
    ("Literal['a | b', 1, None]", ["Literal['a | b', 1, None]", "t.Literal[None, 'a | b', 1]"]),
    ("Literal[-1]", ["Literal[-1]"]),
    ("Literal[Color.RED]", ["Literal[Color.RED]"]),
    ("Literal['x'] | None", ["Optional[Literal['x']]", "Union[Literal['x'], None]"]),
    ("Literal['a | b'] | int", ["Union[Literal['a | b'], int]", "Union[int, Literal['a | b']]"]),
    ("Decimal", ["Decimal", "decimal.Decimal"]),
    ("T", ["T"]),
    ("Box[int]", ["Box[int]", "Box['int']"]),
    ("Inner", ["Box.Inner"]),
    ("type[int]", ["Type[int]", "type[int]"]),
    ("frozenset[str]", ["FrozenSet[str]", "frozenset[str]"]),
    ("Any", ["Any", "typing.Any"]),
    ("UserId", ["UserId"]),
    ("list", ["list", "List", "typing.List"]),
    ("Callable | None", ["Optional[Callable]", "abc.Callable | None"]),
    ("Sequence", ["Sequence", "abc.Sequence"]),
    ("AbstractSet", ["AbstractSet", "abc.Set"]),
    ("AbstractSet[int]", ["AbstractSet[int]", "abc.Set[int]"]),
    ("set[int]", ["Set[int]", "set[int]"]),
    ("ContextManager[int]", ["ContextManager[int]", "contextlib.AbstractContextManager[int]"]),
    ("list[X]", ["List['X']", "list[ForwardRef('X')]"]),
]
NONE = ["lambda: 1", "f(1)", "", "1 + 1", "a b", "x" * 2000, object(), 5, "Literal[f()]", "[" * 500, "\ud800", "\0"]


@pytest.mark.parametrize(("text", "spellings"), SAME, ids=[text for text, _ in SAME])
def test_all_spellings_of_an_annotation_have_one_text(text: str, spellings: list[str]) -> None:
    evaluated = 0
    for spelling in spellings:
        if "(" not in spelling or "[()]" in spelling:
            assert annotation_text(spelling) == text
        try:
            value = eval(spelling.strip(), dict(MEANINGS))
        except NameError:
            continue
        evaluated += 1
        assert annotation_text(value) == text, spelling
    assert evaluated


@pytest.mark.parametrize("annotation", NONE, ids=lambda value: ascii(value)[:20])
def test_an_annotation_without_a_normal_form_has_the_empty_text(annotation: Any) -> None:
    assert annotation_text(annotation) == ""


def test_an_annotation_that_is_nested_too_deep_has_the_empty_text() -> None:
    nested: Any = int
    for _ in range(50):
        nested = list[nested]
    assert annotation_text(nested) == ""
    assert annotation_text(str(nested)) == ""


def test_aliases_of_numpy_have_no_text_because_releases_differ() -> None:
    np = pytest.importorskip("numpy")
    import numpy.typing

    for alias in (numpy.typing.NDArray[np.float64], np.bool_, np.double, np.dtype[np.float64]):
        assert annotation_text(alias) == ""
    assert annotation_text(np.ndarray) == "ndarray"


NAMES = st.sampled_from(["int", "str", "None", "bytes", "Decimal", "Color", "Any"])
EXPRESSIONS = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        st.builds("{}[{}]".format, st.sampled_from(["list", "List", "Optional", "set", "FrozenSet"]), inner),
        st.builds("{}[{}, {}]".format, st.sampled_from(["Union", "dict", "Dict", "tuple"]), inner, inner),
        st.builds("Callable[[{}], {}]".format, inner, inner),
        st.lists(st.sampled_from(["'a | b'", "1", "None", "True"]), min_size=1, unique=True).map(
            lambda items: f"Literal[{', '.join(items)}]"
        ),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_an_annotation_and_its_string_have_one_text(expression: str) -> None:
    try:
        value = eval(expression, dict(MEANINGS))
    except TypeError:
        return
    text = annotation_text(expression)
    assert text
    assert annotation_text(value) == text
    assert annotation_text(text) == text


@given(st.text(max_size=40))
def test_any_string_gives_a_text_and_no_error(text: str) -> None:
    assert isinstance(annotation_text(text), str)


def test_values_have_texts() -> None:
    shown = [value_text(value) for value in (1, True, None, "a", b"b", 1.5, (1, ("x",)), ())]
    assert shown == ["1", "True", "None", "'a'", "b'b'", "1.5", "(1, ('x',))", "()"]
    nested: Any = 1
    for _ in range(3000):
        nested = (nested, nested)
    for value in (object(), [1], {1: 2}, (object(),), ([],), 10**5000, nested, tuple(range(10_001))):
        assert value_text(value) == ""
    long = [value_text(v) for v in ("x" * 2000, "x" * 1999 + "y", b"x" * 2000, ("x" * 900, "y" * 900), (*range(999),))]
    assert len(set(long)) == 5
    assert all("characters, " in text for text in long)
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    more = [Decimal("1.50"), when, when.date(), 1j, frozenset({"b", "a"}), range(3), datetime.timedelta(1)]
    assert [value_text(value) for value in more] == [
        *("Decimal('1.50')", "datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)"),
        *("datetime.date(2026, 1, 2)", "1j", "frozenset({'a', 'b'})", "range(0, 3)", "datetime.timedelta(days=1)"),
    ]


def test_string_annotations_and_evaluated_ones_give_one_description() -> None:
    real = dataclasses.make_dataclass("A", [("x", eval("Optional[int]", dict(MEANINGS))), ("y", list[str])])
    text = dataclasses.make_dataclass("A", [("x", "int | None"), ("y", "typing.List[str]")])
    assert describe(real) == describe(text)
