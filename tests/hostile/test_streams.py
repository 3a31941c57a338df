"""Streams that somebody made to take long, and files that are none: time and memory stay in proportion, and what is
not a stream is left alone."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickleseal import StreamReader, append, iter_load, pack
from pickleseal._format.frame import EncodedFrame, frame_parts
from pickleseal._format.preamble import decode_preamble
from pickleseal._io.window import FileWindow
from pickleseal._packing import PackOptions, encode_object
from pickleseal._streams import index as index_file
from pickleseal._streams import scanner
from pickleseal.errors import NotAnArtifactError, ReadError, StreamWarning
from pickleseal.maintenance import repair

GARBAGE = b"\xff" * 64
BODY: EncodedFrame = encode_object(1, None, {}, PackOptions())


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "events.pseal")


def _frame(stream_id: int, seq: int) -> bytes:
    return b"".join(bytes(part) for part in frame_parts(BODY, None, stream_id, seq))


LENGTH = len(_frame(1, 0))


def _by_the_spec(frames: list[tuple[int, int, int]], offset: int, last: tuple[int, int] | None) -> int | None:
    """Section 9.1, resynchronisation, point 2, word by word."""
    behind = [frame for frame in frames if frame[0] > offset]
    if last is None or last[0] == 0:
        return behind[0][0] if behind else None
    for at, stream_id, seq in behind:
        if stream_id == last[0] and seq > last[1]:
            return at
    return next((at for at, stream_id, _ in behind if stream_id != last[0]), None)


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=12),
    searches=st.lists(
        st.tuples(st.integers(0, 12), st.none() | st.tuples(st.integers(0, 4), st.integers(0, 6))), max_size=8
    ),
)
def test_the_memory_of_a_search_does_not_change_its_result(
    places: list[tuple[int, int]], searches: list[tuple[int, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("search") / "events.pseal"
    places = [(stream_id, seq if stream_id else 0) for stream_id, seq in places]
    path.write_bytes(b"".join(GARBAGE + _frame(*place) for place in places))
    frames = [(index * (LENGTH + 64) + 64, *place) for index, place in enumerate(places)]
    descriptor = os.open(path, os.O_RDONLY)
    try:
        search = scanner.Search(FileWindow(descriptor))
        for index, last in sorted(searches, key=lambda search: search[0]):
            offset = index * (LENGTH + 64)
            found = search.find(offset, last)
            assert (found and found[0]) == _by_the_spec(frames, offset, last)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", ["a stream for each frame", "two streams backwards"])
def test_a_damaged_file_of_many_streams_is_read_a_few_times_only(
    path: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 300
    places = [(1000 + n, 0) if kind.startswith("a") else (5 + n % 2, count - n) for n in range(count)]
    Path(path).write_bytes(b"".join(_frame(*place) + GARBAGE for place in places))
    looks = 0

    def counting(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return decode_preamble(*args)

    monkeypatch.setattr(scanner, "decode_preamble", counting)
    with pytest.warns(StreamWarning):
        assert len(list(iter_load(path, on_error="skip"))) == count
    assert looks < 7 * count  # walking itself takes up to three looks a frame
    looks = 0
    with pytest.raises(NotAnArtifactError):
        append(path, "behind garbage")
    assert looks < 12 * count  # the end is looked for from two sides


@pytest.mark.parametrize("data", [b"a,b,c\n" * 100, b"a", b"PK\x03\x04" + bytes(100), b"\x80\x05" + bytes(4000)])
def test_repair_never_truncates_a_file_that_is_no_stream(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)
    for drop_corrupt in (False, True):
        with pytest.raises(NotAnArtifactError):
            repair(path, drop_corrupt=drop_corrupt)
    assert Path(path).read_bytes() == data


def test_a_stream_whose_only_frame_is_corrupt_can_be_emptied(path: str) -> None:
    data = bytearray(pack("damaged"))
    data[-100] ^= 1
    Path(path).write_bytes(data)
    with pytest.raises(ReadError):
        repair(path)
    assert repair(path, drop_corrupt=True) == len(data)


def test_a_large_index_of_zeros_is_made_again(path: str) -> None:
    append(path, 1)
    with open(path + ".idx", "wb") as file:
        file.truncate(1 << 40)
    append(path, 2)
    assert os.path.getsize(path + ".idx") < 1000
    with StreamReader(path) as stream:
        assert stream.count() == 2


def test_a_single_append_does_not_read_the_whole_index(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, "EVERY_FRAMES", 1)
    Path(path).write_bytes(b"".join(_frame(7, seq) for seq in range(600)))
    append(path, "makes the index")
    index = Path(path + ".idx").read_bytes()
    assert len(index) > 2 * index_file._NEWEST_BYTES
    sizes = []
    decode = index_file.decode_entries

    def counting(data: bytes) -> Any:
        sizes.append(len(data))
        return decode(data)

    monkeypatch.setattr(index_file, "decode_entries", counting)
    append(path, "goes by its end")
    assert max(sizes) <= index_file._NEWEST_BYTES
    assert Path(path + ".idx").read_bytes()[: len(index)] == index
    with StreamReader(path) as stream:
        assert (stream.count(), stream.seek(-1), list(stream)) == (602, 601, ["goes by its end"])


@pytest.mark.parametrize("where", [0, 1, -1, -2])
def test_a_damaged_index_is_right_again_after_an_append(path: str, where: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, "EVERY_FRAMES", 1)
    Path(path).write_bytes(b"".join(_frame(7, seq) for seq in range(600)))
    append(path, "makes the index")
    index = bytearray(Path(path + ".idx").read_bytes())
    index[where * 32 % len(index) + 5] ^= 1
    Path(path + ".idx").write_bytes(index)
    append(path, "more")
    with StreamReader(path) as stream:
        assert (stream.count(), stream.seek(300)) == (602, 300)
    assert list(iter_load(path)) == [1] * 600 + ["makes the index", "more"]
