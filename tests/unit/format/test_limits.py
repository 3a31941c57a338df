"""`Limits`: whole numbers from 0 to what the format allows."""

from typing import Any

import pytest

from pickleseal import Limits
from pickleseal._format.limits import MAX_HEADER, MAX_INTEGER, MAX_SECTIONS

MOST = {
    "max_frame": MAX_INTEGER,
    "max_header": MAX_HEADER,
    "max_sections": MAX_SECTIONS,
    "max_decoded": MAX_INTEGER,
    "max_section": MAX_INTEGER,
    "max_depth": MAX_INTEGER,
    "max_memory": MAX_INTEGER,
    "max_seconds": MAX_INTEGER,
}


@pytest.mark.parametrize("name", MOST)
def test_the_bounds_are_accepted_and_no_more(name: str) -> None:
    for value in (0, MOST[name]):
        assert getattr(Limits(**{name: value}), name) == value
    for value in (-1, MOST[name] + 1):
        with pytest.raises(ValueError, match=f"{name}: expected 0 to {MOST[name]}, found {value}"):
            Limits(**{name: value})


@pytest.mark.parametrize("value", [True, 1.5, b"1", None])
def test_a_limit_is_an_int(value: Any) -> None:
    for name in MOST:
        with pytest.raises(TypeError, match=f"{name}: expected an int, found {type(value).__name__}"):
            Limits(**{name: value})


def test_a_text_without_a_unit_is_no_limit() -> None:
    for name in MOST:
        with pytest.raises((TypeError, ValueError), match=f"{name}: expected "):
            Limits(**{name: "1"})


def test_every_limit_is_tried() -> None:
    assert set(MOST) == set(Limits.__slots__)
