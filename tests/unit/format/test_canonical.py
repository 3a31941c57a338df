"""Canonical JSON: what is written, and which other spellings of the same value are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickleseal._format.canonical import check_values, decode, encode
from pickleseal._format.limits import MAX_DEPTH, MAX_INTEGER
from pickleseal.errors import HeaderEncodingError, SealError

keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


def refusal(text: bytes, **more: Any) -> HeaderEncodingError | SealError:
    with pytest.raises((HeaderEncodingError, SealError)) as caught:
        check_values(decode(text, **more), **more)
    return caught.value


@given(st.dictionaries(keys, values, max_size=4))
def test_an_object_comes_back(value: dict[str, Any]) -> None:
    data = encode(value)
    assert len(data) % 64 == 0
    assert decode(data) == value
    check_values(value)


def test_an_object_is_padded_with_the_fewest_spaces() -> None:
    for length in range(130):
        data = encode({"a": "x" * length})
        assert data == (b'{"a":"' + b"x" * length + b'"}').ljust(-(-(length + 8) // 64) * 64)
        assert refusal(data + b" " * 64).expected == "0 to 63 spaces"
    assert decode(b"{}") == {}
    assert decode(b"{}".ljust(65)) == {}


def test_a_lone_surrogate_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no UTF-8 form"):
        encode({"a": "\ud800"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b'{"a":1}{}', "not JSON"),
        (b"[]", "not a JSON object"),
        (b"1", "not a JSON object"),
        (b'{"b":1,"a":2}', "not canonical"),
        (b'{"a":1,"a":2}', "not canonical"),
        (b'{"a": 1}', "not canonical"),
        (b' {"a":1}', "not canonical"),
        (b'{"a":"\\u0041"}', "not canonical"),
        (b'{"a":-0}', "not canonical"),
        (b'{"a":1.0}', "a fraction or an exponent"),
        (b'{"a":1e3}', "a fraction or an exponent"),
        (b'{"a":9007199254740992}', "out of range"),
        (b'{"a":-9007199254740992}', "out of range"),
        (b'{"a":1e999}', "a fraction or an exponent|not JSON"),
        (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", "too deep"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "too deep"),
    ],
)
def test_any_other_form_is_refused(text: bytes, said: str) -> None:
    import re

    assert re.search(said, str(refusal(text)))
    assert isinstance(refusal(text, error=SealError), SealError)


def test_the_bounds_are_accepted() -> None:
    for value in (MAX_INTEGER, -MAX_INTEGER, 0):
        assert decode(encode({"a": value})) == {"a": value}
    deep: Any = {}
    for _ in range(MAX_DEPTH - 1):
        deep = {"a": deep}
    check_values(decode(encode(deep)))
    with pytest.raises(HeaderEncodingError) as caught:
        check_values({"a": deep})
    assert (caught.value.expected, caught.value.found) == (MAX_DEPTH, MAX_DEPTH + 1)
