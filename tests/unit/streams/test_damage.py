"""Damaged streams: the damage is named, and every record before and after it comes back (spec 9)."""

import functools
import io
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
import streams as vectors
from _helpers.streams import SHORT, frames_of, write_frames, write_numbers
from _helpers.support import manifest, read

import pickleseal
from pickleseal import StreamReader, StreamWriter, append, errors, iter_load
from pickleseal._streams.writer import bytes_to_cut
from pickleseal.errors import (
    HeaderChecksumError,
    NotAnArtifactError,
    PreambleChecksumError,
    ReadError,
    StreamWarning,
    TornTailError,
)
from pickleseal.maintenance import repair


def test_any_flipped_bit_is_named_and_the_rest_comes_back(path: str) -> None:
    with StreamWriter(path, batch=2) as stream:
        for n in range(6):
            stream.append(n)
    whole = Path(path).read_bytes()
    frames = frames_of(path)
    assert [frame.records for frame in frames] == [2, 2, 2]
    for offset in range(0, len(whole), 7 if SHORT else 3):
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << offset % 8
        Path(path).write_bytes(damaged)
        hit = next(place for place, frame in enumerate(frames) if offset < frame.offset + frame.length)
        got: list[int] = []
        with pytest.raises(ReadError) as caught:
            got.extend(iter_load(path))
        assert got == list(range(2 * hit))
        assert (caught.value.offset, caught.value.record) == (frames[hit].offset, 2 * hit)
        with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
            rest = list(reader)
        assert rest == [n for n in range(6) if n // 2 != hit]
        assert [(lost.offset, lost.end) for lost in reader.lost] == [
            (frames[hit].offset, frames[hit].offset + frames[hit].length)
        ]


def test_a_cut_anywhere_reports_the_end_of_the_last_whole_frame(path: str) -> None:
    write_numbers(path, 3)
    whole = Path(path).read_bytes()
    ends = [frame.offset for frame in frames_of(path)] + [len(whole)]
    for end in range(0, len(whole), 13 if SHORT else 5):
        Path(path).write_bytes(whole[:end])
        good = max(e for e in ends if e <= end)
        records = ends.index(good)
        if end == good:
            assert list(iter_load(path)) == list(range(records))
            continue
        for source in (path, io.BytesIO(whole[:end])):
            with pytest.raises(TornTailError) as caught:
                list(iter_load(source))  # type: ignore[arg-type]
            assert (caught.value.good_end, caught.value.offset, caught.value.record) == (good, good, records)
        with pytest.raises(TornTailError) as caught:
            append(path, "more")
        assert (caught.value.good_end, caught.value.path) == (good, path)
        assert Path(path).read_bytes() == whole[:end]
        if end % 2:
            assert repair(path) == end - good
            assert repair(path) == 0
            append(path, "more")
        else:
            with StreamWriter(path, repair=True, batch=4) as stream:
                stream.append("more")
        assert list(iter_load(path)) == [*range(records), "more"]


def test_a_corrupt_last_frame_is_cut_off_only_with_drop_corrupt(path: str) -> None:
    write_numbers(path, 3)
    damaged = bytearray(Path(path).read_bytes())
    damaged[-1] ^= 1
    Path(path).write_bytes(damaged)
    for refused in (lambda: append(path, 4), lambda: repair(path)):
        with pytest.raises(ReadError) as caught:
            refused()
        assert not isinstance(caught.value, TornTailError)
        assert caught.value.path == path
        assert caught.value.record == 2
    assert Path(path).read_bytes() == damaged
    assert repair(path, drop_corrupt=True) > 0
    append(path, 3)
    assert list(iter_load(path)) == [0, 1, 3]
    with pytest.raises(FileNotFoundError):
        repair(path + "x")
    assert not os.path.exists(path + "x")
    Path(path).write_text("a line of a log\n" * 20)
    for refused in (lambda: append(path, 4), lambda: repair(path), lambda: list(iter_load(path))):
        with pytest.raises(NotAnArtifactError):
            refused()


def test_damage_before_the_last_frame_does_not_prevent_appends(path: str) -> None:
    write_numbers(path, 4)
    frames = frames_of(path)
    for place, offset, error in ((2, 20, PreambleChecksumError), (1, 80, HeaderChecksumError)):
        damaged = bytearray(Path(path).read_bytes())
        damaged[frames[place].offset + offset] ^= 1
        Path(path).write_bytes(damaged)
        append(path, "more")
        with pytest.raises(error):
            list(iter_load(path))
    with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
        assert list(reader) == [0, 3, "more", "more"]
    with StreamReader(path, on_error="skip") as reader:
        assert (reader.seek(3), next(reader), reader.count()) == (3, 3, 6)


def test_reading_goes_on_after_a_refused_record(path: str) -> None:
    write_numbers(path, 3)
    frame = frames_of(path)[1]
    damaged = bytearray(Path(path).read_bytes())
    damaged[frame.offset + frame.length - 1] ^= 1
    Path(path).write_bytes(damaged)
    with StreamReader(path) as reader:
        assert next(reader) == 0
        with pytest.raises(ReadError):
            next(reader)
        assert (next(reader), reader.record) == (2, 3)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_refused_batch_does_not_drop_records_of_the_next_one(path: str, on_error: str) -> None:
    write_numbers(path, 9, batch=3)
    frame = frames_of(path)[1]
    damaged = bytearray(Path(path).read_bytes())
    damaged[frame.offset + frame.length - 1] ^= 1
    Path(path).write_bytes(damaged)
    with StreamReader(path, on_error=on_error) as reader:
        assert reader.seek(5) == 5
        if on_error == "raise":
            with pytest.raises(ReadError):
                next(reader)
            assert list(reader) == [6, 7, 8]
        else:
            with pytest.warns(StreamWarning):
                assert list(reader) == [6, 7, 8]


def test_the_number_of_lost_records_is_reported_only_if_it_is_known(path: str) -> None:
    """A frame that is missing may have been a batch."""
    batch = functools.partial(vectors._batch)
    damaged = bytearray(batch([1, 2, 3], 1).data)
    damaged[20] ^= 1
    for frames, wanted in (
        ([vectors.ZERO, batch([4, 5], 2)], [(1, None)]),
        ([vectors.ZERO, bytes(damaged), batch([4, 5], 2)], [(1, None)]),
        ([vectors.ZERO, b"x" * 64, vectors.FIRST], [(0, 0)]),
        ([vectors.ZERO, batch([1, 2, 3], 1).data[:-1] + b"x", vectors.SECOND], [(1, 3)]),
        ([bytes(damaged), batch([4, 5], 2)], [(None, None)]),
    ):
        write_frames(path, *frames)
        with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
            list(reader)
        assert [(lost.frames, lost.records) for lost in reader.lost] == wanted


def test_no_stale_bytes_of_a_torn_tail_are_used(path: str) -> None:
    for follow, torn, then in itertools.product((False, True), ("x" * 600, "x" * 10, None), (10, 2000)):
        Path(path).unlink(missing_ok=True)
        append(path, 1)
        size = os.path.getsize(path)
        if torn is None:
            os.truncate(path, size + 1000)
        else:
            append(path, torn)
            os.truncate(path, os.path.getsize(path) - 3)
        timing: dict[str, Any] = {"follow": True, "timeout": 0.01} if follow else {}
        with StreamReader(path, **timing) as reader, StreamReader(path) as other:
            assert next(reader) == 1
            assert next(other) == 1
            with StreamWriter(path, repair=True) as stream:
                stream.append("y" * then)
                stream.append("z")
            assert list(reader) == ["y" * then, "z"]
            assert other.count() == 3
            assert other.seek(-1) == 2


def test_a_function_gets_each_lost_part(path: str) -> None:
    for record in range(3):
        append(path, record)
    size = os.path.getsize(path)
    data = bytearray(Path(path).read_bytes())
    data[size // 3 + 100] ^= 1
    Path(path).write_bytes(data + b"\xf7PS")
    lost: list[pickleseal.SkippedRange] = []
    with StreamReader(path, on_error=lost.append) as stream:
        assert list(stream) == [0, 2]
        assert list(stream) == []  # the torn tail is reported once
        assert stream.lost == []
        append_repaired(path, 3)
        assert list(stream) == [3]
    assert [(item.offset, item.end) for item in lost] == [(size // 3, size // 3 * 2), (size, size + 3)]
    assert [type(item.error) for item in lost] == [errors.HeaderChecksumError, TornTailError]
    assert lost[0].error.end == size // 3 * 2


def append_repaired(path: str, record: object) -> None:
    with StreamWriter(path, repair=True) as stream:
        stream.append(record)


def test_what_the_caller_refuses_is_never_skipped(path: str) -> None:
    ring = pickleseal.KeyRing([pickleseal.Key.generate("k")])
    for writer in (pickleseal.PackOptions(keys=ring), None, pickleseal.PackOptions(keys=ring)):
        append(path, "x" * 100, options=writer)
    with StreamReader(path, policy=pickleseal.Policy(keys=ring), on_error="skip") as stream:
        assert next(stream) == "x" * 100
        with pytest.raises(errors.SignatureError) as info:
            next(stream)
        assert info.value.record == 1
        with StreamReader(path) as plain:
            assert info.value.end == [frame.offset for frame in plain.frames()][2]
        assert next(stream) == "x" * 100
    limits = pickleseal.Limits(max_frame=100)
    with StreamReader(path, policy=pickleseal.Policy(limits=limits), on_error="skip") as stream:
        for _ in range(3):
            with pytest.raises(errors.LimitExceededError):
                next(stream)
        assert list(stream) == []


@pytest.mark.parametrize("drop_corrupt", [False, True])
@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry["file"]) for entry in manifest()["streams"]])
def test_what_a_dry_run_would_cut_off_is_what_repair_cuts_off(
    path: str, entry: dict[str, Any], drop_corrupt: bool
) -> None:
    data = read(entry)
    Path(path).write_bytes(data)

    def outcome(run: Any) -> tuple[Any, ...]:
        try:
            return (run(path, drop_corrupt=drop_corrupt),)
        except ReadError as error:
            return type(error), error.offset, error.record

    told = outcome(bytes_to_cut)
    assert Path(path).read_bytes() == data
    assert outcome(repair) == told


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a FIFO")
def test_a_dry_run_refuses_a_pipe_and_does_not_wait_for_it(tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        bytes_to_cut(pipe, drop_corrupt=False)
