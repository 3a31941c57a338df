"""Damaged streams: the damage is named, and every record before and after it comes back (spec 9)."""

import functools
import io
import itertools
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import streams as vectors
from _helpers.streams import SHORT, frames_of, write_frames, write_numbers
from _helpers.support import manifest, read

import pickleseal
from pickleseal import StreamReader, StreamWriter, append, errors, iter_load
from pickleseal._streams import writer as writing
from pickleseal._streams.writer import bytes_to_cut
from pickleseal.errors import (
    HeaderChecksumError,
    NotAnArtifactError,
    PreambleChecksumError,
    ReadError,
    SectionChecksumError,
    SectionPaddingError,
    StreamWarning,
    TornTailError,
    TruncatedError,
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


def test_a_stream_full_of_damage_gives_few_warnings(path: str) -> None:
    write_numbers(path, 40)
    damaged = bytearray(Path(path).read_bytes())
    for frame in frames_of(path)[::2]:
        damaged[frame.offset + frame.length - 1] ^= 1
    Path(path).write_bytes(damaged)
    with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning) as caught:
        assert list(reader) == list(range(1, 40, 2))
    assert (len(reader.lost), len(caught)) == (20, 5)
    assert "without a warning" in str(caught[-1].message)


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


class TestRepairIsOneCall:
    """What `repair` returns says that the next append is not refused."""

    @staticmethod
    def check(path: str, cut: int, kept: list[Any]) -> None:
        before = Path(path).read_bytes()
        assert repair(path, drop_corrupt=True, dry_run=True) == cut
        assert Path(path).read_bytes() == before
        assert repair(path, drop_corrupt=True) == cut
        assert os.path.getsize(path) == len(before) - cut
        assert repair(path) == 0
        append(path, "next")
        with warnings.catch_warnings(), StreamReader(path, on_error="skip") as reader:
            warnings.simplefilter("ignore", StreamWarning)
            assert list(reader) == [*kept, "next"]

    @pytest.mark.parametrize("zeros", range(1, 6))
    @pytest.mark.parametrize("more", [0, 1, 5000])
    def test_zeros_over_several_frames(self, path: str, zeros: int, more: int) -> None:
        """They begin in the middle of a frame's section. Without `drop_corrupt`, nothing is cut off."""
        write_numbers(path, 6)
        frames = frames_of(path)
        begin, end = frames[-zeros].offset, os.path.getsize(path)
        os.truncate(path, begin + frames[-zeros].length - 63)
        os.truncate(path, end + more)
        for refused in (lambda: append(path, 9), lambda: repair(path), lambda: repair(path, dry_run=True)):
            with pytest.raises(SectionChecksumError) as caught:
                refused()
            assert caught.value.offset == begin
        assert os.path.getsize(path) == end + more
        self.check(path, end + more - begin, [*range(6 - zeros)])

    @pytest.mark.parametrize("recent", [1, 2, 4096])
    def test_damage_in_many_frames_at_the_end(self, path: str, recent: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writing, "_RECENT", recent)
        write_numbers(path, 150)
        frames = frames_of(path)
        data = bytearray(Path(path).read_bytes())
        for place in (*range(20, 90, 3), *range(100, 150)):
            data[frames[place].offset + (20 if place % 7 == 0 else frames[place].length - 1)] ^= 1
        Path(path).write_bytes(data + b"\xf7PSL")
        kept = [n for n in range(100) if n not in range(20, 90, 3)]
        self.check(path, len(data) + 4 - frames[100].offset, kept)

    def test_a_writer_that_repairs_cuts_off_a_torn_tail_only_if_the_frame_before_it_is_right(self, path: str) -> None:
        write_numbers(path, 3)
        data = bytearray(Path(path).read_bytes())
        data[-1] ^= 1
        Path(path).write_bytes(data + b"\xf7PSL")
        with pytest.raises(SectionPaddingError), StreamWriter(path, repair=True) as stream:
            stream.append("refused")
        assert Path(path).read_bytes() == data + b"\xf7PSL"


class TestFrameThatClaimsMore:
    """A frame whose length goes beyond the end, though its preamble is right: somebody made it so."""

    @staticmethod
    def claiming(frame: vectors.Frame) -> bytes:
        return vectors._claiming(frame)

    def test_intact_frames_behind_it_are_read_and_never_cut_off(self, path: str) -> None:
        data = write_frames(path, vectors.ZERO, self.claiming(vectors._one(1, 1)), vectors.SECOND, vectors.THIRD)
        with pytest.raises(TruncatedError) as caught:
            list(iter_load(path))
        assert not isinstance(caught.value, TornTailError)
        assert (caught.value.code, caught.value.offset) == ("truncated", len(vectors.ZERO))
        for drop_corrupt in (False, True):
            assert repair(path, drop_corrupt=drop_corrupt) == 0
        assert Path(path).read_bytes() == data
        append(path, 4)
        with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
            assert list(reader) == [0, 2, 3, 4]
        assert [(lost.frames, lost.records) for lost in reader.lost] == [(1, None)]
        with StreamReader(path) as reader:
            assert next(reader) == 0
            with pytest.raises(TruncatedError):
                next(reader)
            assert [next(reader), next(reader), next(reader)] == [2, 3, 4]

    def test_a_follower_goes_on_behind_it(self, path: str) -> None:
        write_frames(path, vectors.ZERO, self.claiming(vectors._one(1, 1)), vectors.SECOND)
        with StreamReader(path, follow=True, timeout=0.1, on_error="skip") as reader, pytest.warns(StreamWarning):
            assert list(reader) == [0, 2]

    def test_what_the_index_does_not_show_is_not_cut_off_either(self, path: str) -> None:
        """An append begins at the last entry of the index, behind the beginning of the other sequence."""
        pieces = [vectors._one(0, 0, vectors.B), *(vectors._one(n % 100, n) for n in range(130))]
        write_frames(path, *pieces)
        append(path, 1)  # which makes the index
        append(path, 2)
        assert os.path.getsize(path + ".idx")
        with open(path, "ab") as file:
            file.write(self.claiming(vectors._one(3, 132)) + vectors._one(4, 1, vectors.B).data)
        size = os.path.getsize(path)
        assert repair(path) == 0
        append(path, 5)
        assert os.path.getsize(path) > size
        with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
            assert list(reader)[-2:] == [4, 5]

    @pytest.mark.parametrize("on_error", ["raise", "skip"])
    def test_over_a_callers_limit_it_is_lost(self, path: str, on_error: str) -> None:
        policy = pickleseal.Policy(limits=pickleseal.Limits(max_frame=len(vectors.ZERO)))
        write_frames(path, vectors.ZERO, self.claiming(vectors._one(1, 1)), vectors.SECOND)
        with StreamReader(path, on_error=on_error, policy=policy) as reader:
            assert next(reader) == 0
            if on_error == "raise":
                with pytest.raises(errors.LimitExceededError):
                    next(reader)
                assert next(reader) == 2
            else:
                with pytest.warns(StreamWarning):
                    assert next(reader) == 2
            assert list(reader) == []

    @pytest.mark.parametrize("follow", [False, True])
    def test_an_append_over_a_callers_limit_is_not_lost_while_it_is_under_way(self, path: str, follow: bool) -> None:
        """It is no torn tail for this reader, as the limit comes first, but it is read again."""
        policy = pickleseal.Policy(limits=pickleseal.Limits(max_frame=2000))
        append(path, "first")
        whole = pickleseal.pack("x" * 5000)
        with open(path, "ab") as file:
            file.write(whole[:3000])
        timing: dict[str, Any] = {"follow": True, "timeout": 0.01} if follow else {}
        with StreamReader(path, policy=policy, on_error="skip", **timing) as reader:
            assert next(reader) == "first"
            with pytest.warns(StreamWarning):
                assert list(reader) == []
            with open(path, "ab") as file:
                file.write(whole[3000:])
            append(path, "last")
            with pytest.raises(errors.LimitExceededError):
                next(reader)
            assert list(reader) == ["last"]


def test_the_number_of_lost_records_is_not_known_if_the_header_is_refused(path: str) -> None:
    write_frames(path, vectors.ZERO, vectors._batch([1, 2, 3], 1, surprise=True), vectors._one(4, 2))
    with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
        assert list(reader) == [0, 4]
    assert reader.frame is not None
    assert reader.frame.record == 2  # the lost frame counts as one
    assert [(lost.frames, lost.records, lost.error.step) for lost in reader.lost] == [(1, None, 11)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a FIFO")
def test_a_dry_run_refuses_a_pipe_and_does_not_wait_for_it(tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        bytes_to_cut(pipe, drop_corrupt=False)
