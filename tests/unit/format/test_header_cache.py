"""The header cache: headers that differ only in time, length and checksum are parsed once, with the same verdict."""

import datetime
import json
from typing import Any

import independent_reader
import pytest
from frames import Frame

import pickleseal
from pickleseal import PackOptions, errors
from pickleseal._format.header_cache import HeaderCache, header_cache
from pickleseal._format.limits import MAX_INTEGER

FIXED = PackOptions(created=datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc))
HEX = "0123456789abcdef"


def text_of(length: object = 5, xxh3: str = HEX, created: str = "2026-01-02T03:04:05.678901Z", **fields: Any) -> bytes:
    """Return a header's text with some padding; how much does not matter to the cache."""
    frame = Frame(created="CREATED", sections=[{"len": "LENGTH", "xxh3": "XXH3"}], **fields)
    text = frame.header_bytes().decode().rstrip() + "   "
    return text.replace("CREATED", created).replace('"LENGTH"', str(length)).replace("XXH3", xxh3).encode()


def filled(text: bytes) -> HeaderCache:
    """Return a cache that holds one header."""
    cache = HeaderCache()
    cache.add(text, json.loads(text))
    return cache


class TestFind:
    @pytest.mark.parametrize(
        "values",
        [
            {},
            {"length": 0},
            {"length": 10},
            {"length": MAX_INTEGER},
            {"xxh3": "f" * 16},
            {"created": "9999-12-31T23:59:59.999999Z"},
        ],
    )
    def test_other_values_of_the_three_are_found(self, values: dict[str, Any]) -> None:
        text = text_of(**values)
        assert filled(text_of()).find(text) == json.loads(text)

    @pytest.mark.parametrize(
        "values",
        [
            *(
                {"length": value}
                for value in (
                    "",
                    "05",
                    "00",
                    "-5",
                    "+5",
                    "5.0",
                    "5 ",
                    "\u0665",
                    "5x",
                    MAX_INTEGER + 1,
                    "1" * 17,
                    "1" * 5000,
                )
            ),
            *({"xxh3": value} for value in ("", HEX[1:], HEX + "0", HEX.upper(), "g" * 16, HEX + '"', 'f" ' + HEX[3:])),
            *(
                {"created": value}
                for value in ("2026-02-30T03:04:05.678901Z", "2026-01-02T03:04:05.67890\u00b1", "x" * 27)
            ),
        ],
    )
    def test_a_wrong_value_of_the_three_is_not_found(self, values: dict[str, Any]) -> None:
        assert filled(text_of()).find(text_of(**values)) is None

    def test_any_other_text_is_not_found(self) -> None:
        cache = filled(text_of())
        assert cache.find(text_of(type="builtins:list")) is None
        assert cache.find(text_of(build={"python": "3.12.2"})) is None
        assert cache.find(text_of() + b" " * 64) is None
        assert cache.find(b"") is None
        cache.clear()
        assert cache.find(text_of()) is None


class TestAdd:
    @pytest.mark.parametrize(
        "fields",
        [
            {"meta": {"a": "x" * 4096}},
            {"ext": {"a.b": 1}},
            {"meta": {"created": "x"}},
            {"ext": {"a.b": {"sections": [{"len": 1}]}}},
        ],
    )
    def test_a_header_of_another_kind_is_not_cached(self, fields: dict[str, Any]) -> None:
        text = text_of(**fields)
        assert filled(text).find(text) is None

    @pytest.mark.parametrize("sections", [[{"len": 5, "xxh3": HEX}] * 2, [{"len": 5, "xxh3": HEX, "sha256": HEX * 4}]])
    def test_sections_of_another_kind_are_not_cached(self, sections: list[Any]) -> None:
        text = Frame(sections=sections).header_bytes()
        assert filled(text).find(text) is None

    def test_a_header_of_4096_bytes_is_cached_and_a_larger_one_is_not(self) -> None:
        for length, is_cached in ((4096, True), (4097, False)):
            text = text_of(meta={"a": ""}).rstrip()
            text = text.replace(b'{"a":""}', b'{"a":"' + b"x" * (length - len(text)) + b'"}')
            assert len(text) == length
            assert (filled(text).find(text) is not None) == is_cached

    def test_a_full_cache_is_emptied(self) -> None:
        cache = HeaderCache()
        texts = [text_of(meta={"a": str(n)}) for n in range(257)]
        for text in texts:
            cache.add(text, json.loads(text))
        assert [n for n, text in enumerate(texts) if cache.find(text) is not None] == [256]
        for text in texts[:255]:
            cache.add(text, json.loads(text))
        assert all(cache.find(text) is not None for n, text in enumerate(texts) if n != 255)


def test_the_cache_gives_what_parsing_gives() -> None:
    for n in range(300):
        obj = {"n": "x" * n}
        header = pickleseal.peek(pickleseal.pack(obj, meta={"k": str(n % 3)}))
        assert header.as_dict() == independent_reader.peek(pickleseal.pack(obj, meta={"k": str(n % 3)})) | {
            "created": header.created
        }
        assert header.meta["k"] == str(n % 3)


def test_the_cache_stays_bounded() -> None:
    for n in range(600):
        pickleseal.peek(pickleseal.pack(1, meta={"n": str(n)}))
    assert len(header_cache._fields) <= 256
    pickleseal.peek(pickleseal.pack(1, meta={"n": "x" * 5000}))
    assert max(sum(map(len, key)) for key in header_cache._fields) <= 4096


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"len":5,', b'"len":05,'),
        (b'"len":5,', b'"len":5.0,'),
        (b'"len":5,', b'"len":,'),
        (b'"len":5,', b'"len":-5,'),
        (b'"len":5,', b'"len":99999999999999999999,'),
        (b'"len":5,', b'"len":9007199254740992,'),
        (b'"len":5,', b'"len":\xc2\xb2,'),
        (b"2026-01-02T", b"2026-02-30T"),
        (b"2026-01-02T", b'2026-01-02"'),
        (b"05.678901Z", b"05.67890\xb1Z"),
    ],
)
def test_a_cached_header_with_wrong_values_gets_the_right_verdict(old: bytes, new: bytes) -> None:
    good = Frame(b"\x80\x05K\x01.")
    pickleseal.verify(good.data)
    damaged = good.copy().edit(old, new).data
    with pytest.raises(errors.ReadError) as ours:
        pickleseal.verify(damaged)
    with pytest.raises(independent_reader.Refused) as theirs:
        independent_reader.verify(damaged)
    assert ours.value.code == theirs.value.error


def test_a_label_that_looks_like_the_field_does_no_harm() -> None:
    data = pickleseal.pack(
        1, meta={"created": "2026-01-02T03:04:05.678901Z", "sections": '[{"len":1,"xxh3":"'}, options=FIXED
    )
    for _ in range(2):
        assert pickleseal.verify(data).meta["created"] == "2026-01-02T03:04:05.678901Z"
