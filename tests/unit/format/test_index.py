"""The index beside a stream: entries come back up to the first that is damaged."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickleseal._format.index import ENTRY_SIZE, Entry, decode_entries, encode_entry, is_index

ENTRIES = [Entry(0, 0, 7), Entry(64, 1, 2**64 - 1), Entry(640, 9, 0)]


def data() -> bytes:
    return b"".join(map(encode_entry, ENTRIES))


def test_entries_come_back() -> None:
    assert len(data()) == 3 * ENTRY_SIZE
    assert decode_entries(data()) == ENTRIES
    assert decode_entries(b"") == []


@given(st.integers(0, len(ENTRIES) * ENTRY_SIZE))
def test_an_incomplete_entry_is_left_out(length: int) -> None:
    assert decode_entries(data()[:length]) == ENTRIES[: length // ENTRY_SIZE]


def test_decoding_ends_at_the_first_damage() -> None:
    for position in range(len(data())):
        damaged = bytearray(data())
        damaged[position] ^= 1
        assert decode_entries(bytes(damaged)) == ENTRIES[: position // ENTRY_SIZE]


@pytest.mark.parametrize(
    "second", [Entry(64, 1, 0), Entry(64, 2, 0), Entry(128, 1, 0), Entry(0, 2, 0), Entry(129, 2, 0)]
)
def test_decoding_ends_at_an_entry_out_of_order(second: Any) -> None:
    first = Entry(64, 1, 0)
    assert decode_entries(encode_entry(first) + encode_entry(second)) == [first]


def test_what_is_an_index() -> None:
    assert is_index(data())
    assert is_index(data()[:ENTRY_SIZE])
    assert is_index(b"")
    assert is_index(bytes(100))
    assert not is_index(data()[: ENTRY_SIZE - 1])
    assert not is_index(b"x" + data())
    assert not is_index(bytes(ENTRY_SIZE) + b"x")
