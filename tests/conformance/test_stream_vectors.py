"""Vectors of streams (spec 9 and 18), and any damage to them: the library and the independent reader agree."""

import io
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import independent_reader
import pytest
from _helpers.support import VECTORS, cases, manifest, policy_of, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal._io.window import FileWindow
from pickleseal._streams.index import is_true, read_index
from pickleseal._streams.reader import StreamReader
from pickleseal.errors import ReadError, StreamOrderError, StreamWarning, TornTailError

STREAMS = manifest()["streams"]
SMALL = [entry for entry in STREAMS if "policy" not in entry and entry.get("step") != 20]
QUICK = settings(
    max_examples=40 if os.environ.get("PICKLESEAL_SHORT") else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def _keys_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in entry.get("policy", {}).items()
        if key in ("keys", "purpose", "context", "signed_by", "limits")
    }


def _with(member: str) -> list[Any]:
    return [case for case in cases("streams") if member in case.values[0]]


def _load(items: Iterator[Any]) -> tuple[list[Any], ReadError | None]:
    """Take what comes, and the refusal that ends it."""
    taken = []
    try:
        for item in items:
            taken.append(item)
    except ReadError as exc:
        return taken, exc
    return taken, None


def _check_refusal(error: ReadError | None, entry: dict[str, Any]) -> None:
    if error is None:
        assert "error" not in entry
        return
    assert (error.code, error.step, error.offset) == (entry["error"], entry["step"], entry["at"])
    assert error.record == entry["records"]
    assert getattr(error, "good_end", None) == entry.get("good_end")


@pytest.mark.parametrize("entry", cases("streams"))
class TestStreams:
    def test_iter_load_gives_the_records_before_the_refusal(self, entry: dict[str, Any]) -> None:
        path = VECTORS / entry["file"]
        items, error = _load(pickleseal.iter_load(path, **policy_of(entry)))
        assert len(items) == entry["records"]
        _check_refusal(error, entry)
        if error is not None:
            assert error.path == str(path)

    def test_a_file_object_gives_the_same(self, entry: dict[str, Any]) -> None:
        items, error = _load(pickleseal.iter_load(io.BytesIO(read(entry)), **policy_of(entry)))
        if entry["file"].endswith("torn-header-damaged.pseal"):  # it can't know that the end is missing
            assert error is not None
            assert error.code == "header-checksum"
            return
        if "claims-more" in entry["file"] and "policy" not in entry:  # nor that it is claimed to be elsewhere
            assert error is not None
            assert error.code == "layout"
            return
        assert len(items) == entry["records"]
        if error is not None and error.code == "torn-tail":
            error.step = entry["step"]  # found where the bytes are missed
        _check_refusal(error, entry)

    def test_frames_verifies_and_unpickles_nothing(self, entry: dict[str, Any]) -> None:
        with StreamReader(VECTORS / entry["file"], policy=policy_of(entry)["policy"]) as reader:
            frames, error = _load(reader.frames(verify=True))
        if entry.get("step") == 20:
            assert error is None
            return
        assert len(frames) == entry["frames"]
        assert sum(frame.records for frame in frames) == entry["records"]
        _check_refusal(error, entry)

    def test_the_independent_reader_agrees(self, entry: dict[str, Any]) -> None:
        walked = independent_reader.walk(read(entry), **_keys_of(entry))
        if entry.get("step") == 20:
            assert walked.refused is None
            return
        assert (len(walked.frames), walked.records) == (entry["frames"], entry["records"])
        refused = walked.refused
        assert (refused and refused.error, refused and refused.step) == (entry.get("error"), entry.get("step"))
        if "skipped" in entry:
            assert walked.offset == entry["at"]
            walked = independent_reader.walk(read(entry), skip=True, **_keys_of(entry))
            assert sum(frame.records for frame in walked.frames) == entry["skipped"]["records"]
            assert [[lost.offset, lost.end] for lost in walked.lost] == entry["skipped"]["lost"]


@pytest.mark.parametrize("entry", _with("skipped"))
def test_a_reader_that_skips_damage_gets_the_other_records(entry: dict[str, Any]) -> None:
    with (
        StreamReader(VECTORS / entry["file"], on_error="skip", **policy_of(entry)) as reader,
        pytest.warns(StreamWarning),
    ):
        values = list(reader)
    wanted = entry["skipped"]
    assert values == wanted["values"]
    assert len(values) == wanted["records"]
    assert [[lost.offset, lost.end] for lost in reader.lost] == wanted["lost"]
    assert reader.lost[0].error.code == entry["error"]


@pytest.mark.parametrize("entry", _with("index"))
def test_an_index_gives_the_same_records(entry: dict[str, Any]) -> None:
    index = (VECTORS / (entry["file"] + ".idx")).read_bytes()
    assert independent_reader.entries(index, read(entry)) == [tuple(pair) for pair in entry["index"]]
    with StreamReader(VECTORS / entry["file"]) as reader:
        if "nested" in entry["file"]:  # a lying index is believed; the stream read from its start is right
            assert len(list(reader)) == entry["records"]
            with pytest.raises(StreamOrderError):
                reader.count()
            return
        assert reader.count() == entry["records"]
        for n in range(entry["records"] + 1):
            assert reader.seek(n) == n
            assert list(reader) == list(range(n, entry["records"]))


def test_there_are_enough() -> None:
    assert len(STREAMS) >= 75
    assert sum("index" in entry for entry in STREAMS) >= 8
    listed = {entry["file"] + ".idx" for entry in STREAMS if "index" in entry}
    assert listed == {path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*.idx")}


def _compare(path: Path, data: bytes) -> None:
    """Have both readers read these bytes, once up to the refusal and once to the end."""
    path.write_bytes(data)
    walked = independent_reader.walk(data)
    with StreamReader(path) as reader:
        frames, error = _load(reader.frames(verify=True))
    wanted = [(frame.offset, frame.record, frame.records) for frame in walked.frames]
    assert [(frame.offset, frame.record, frame.records) for frame in frames] == wanted
    assert (error and error.code) == (walked.refused and walked.refused.error)
    if error is not None:
        assert (error.offset, error.record) == (walked.offset, walked.records)
        if isinstance(error, TornTailError):
            assert error.good_end == walked.offset
    walked = independent_reader.walk(data, skip=True)
    with warnings.catch_warnings(), StreamReader(path, on_error="skip") as reader:
        warnings.simplefilter("ignore", StreamWarning)
        frames = list(reader.frames(verify=True))
    wanted = [(frame.offset, frame.record, frame.records) for frame in walked.frames]
    assert [(frame.offset, frame.record, frame.records) for frame in frames] == wanted
    extents = [(lost.offset, lost.end, lost.error.code, lost.frames) for lost in reader.lost]
    assert extents == [(lost.offset, lost.end, lost.error, lost.frames) for lost in walked.lost]
    last = -1
    for frame in frames:  # numbers rise, whatever is lost
        assert frame.record > last
        last = frame.record


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """Pieces of vectors one behind the other, some of them damaged."""
    data = b""
    for _ in range(draw(st.integers(1, 3))):
        piece = read(draw(st.sampled_from(SMALL)))
        if draw(st.booleans()):
            start = 64 * draw(st.integers(0, len(piece) // 64))
            piece = piece[start:] if draw(st.booleans()) else piece[:start]
        data += piece
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 3))):
        if changed:
            at = draw(st.integers(0, len(changed) - 1))
            if draw(st.booleans()):  # a preamble, rather
                at = at // 64 * 64 + draw(st.integers(0, 63))
            changed[min(at, len(changed) - 1)] ^= 1 << draw(st.integers(0, 7))
    data = bytes(changed)
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@QUICK
@given(data=_damaged())
def test_both_readers_agree_on_random_damage(data: bytes, tmp_path: Path) -> None:
    _compare(tmp_path / "stream.pseal", data)


@pytest.mark.parametrize("name", ["batches", "nested-whole", "interleaved"])
def test_both_readers_agree_wherever_it_is_cut(name: str, tmp_path: Path) -> None:
    data = (VECTORS / "streams" / f"{name}.pseal").read_bytes()
    step = math.ceil(len(data) / (60 if os.environ.get("PICKLESEAL_SHORT") else 250))
    for end in {*range(0, len(data), step), *range(0, len(data), 64)}:
        _compare(tmp_path / "stream.pseal", data[:end])


@QUICK
@given(data=st.data())
def test_both_readers_agree_on_any_index(data: st.DataObject, tmp_path: Path) -> None:
    entry = data.draw(st.sampled_from([entry for entry in STREAMS if "index" in entry]))
    index = bytearray((VECTORS / (entry["file"] + ".idx")).read_bytes())
    for _ in range(data.draw(st.integers(0, 2))):
        if index:
            index[data.draw(st.integers(0, len(index) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = bytes(index)[: data.draw(st.integers(0, len(index)))] if data.draw(st.booleans()) else bytes(index)
    path = tmp_path / "stream.pseal"
    path.write_bytes(read(entry))
    (tmp_path / "stream.pseal.idx").write_bytes(damaged)
    with open(path, "rb") as file:
        found = [(e.offset, e.record) for e in read_index(str(path)) if is_true(e, FileWindow(file.fileno()))]
    assert found == independent_reader.entries(damaged, read(entry))
