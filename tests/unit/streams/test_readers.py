"""Readers of streams: seeking, the index, following, pipes, and the policy of each record (spec 9)."""

import functools
import io
import itertools
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import streams as vectors
from _helpers.streams import Plain, frames_of, load, write_frames, write_numbers
from stream_kinds import KINDS, shape

import pickleseal
from pickleseal import StreamReader, StreamWriter, append, errors, iter_load, pack
from pickleseal.errors import (
    LimitExceededError,
    PolicyError,
    SignatureError,
    StreamOrderError,
    StreamWarning,
    TornTailError,
    TypeMismatchError,
    UntrustedGlobalError,
)


@pytest.mark.parametrize("batch", [None, 1, 3, 100])
def test_seek_finds_every_record(path: str, batch: int | None) -> None:
    write_numbers(path, 10, batch)
    for n in range(10, 13):
        append(path, n)
    for n in range(-15, 16):
        with StreamReader(path) as reader:
            wanted = min(n, 13) if n >= 0 else max(13 + n, 0)
            assert reader.seek(n) == reader.record == wanted
            assert reader.count() == 13
            assert list(reader) == list(range(wanted, 13))
            assert reader.seek(2) == 2  # and back
            assert next(reader) == 2
            assert reader.count() == 13
            assert next(reader) == 3


@pytest.mark.parametrize("index", ["right", "none", "cut", "junk", "zeros", "another's", "longer", "reversed"])
def test_the_index_never_changes_what_is_found(path: str, tmp_path: Path, index: str) -> None:
    write_numbers(path, 300)
    beside = Path(path + ".idx")
    right = beside.read_bytes()
    assert len(right) == 32 * 4
    other = str(tmp_path / "other.pseal")
    write_numbers(other, 300)
    if index == "none":
        beside.unlink()
    else:
        beside.write_bytes(
            {
                "right": right,
                "cut": right[:70],
                "junk": os.urandom(96),
                "zeros": bytes(96),
                "another's": Path(other + ".idx").read_bytes(),
                "longer": right + right[-32:] + os.urandom(32),
                "reversed": b"".join(right[n : n + 32] for n in (96, 64, 32, 0)),
            }[index]
        )
    with StreamReader(path) as reader:
        for n in (0, 1, 63, 64, 65, 200, 255, 256, 257, 299, 300, -1, -64, -300):
            assert reader.seek(n) == n % 300 if n != 300 else reader.seek(n) == 300
            assert list(itertools.islice(reader, 2)) == list(range(300))[n:][:2]
        assert reader.count() == 300
    with StreamWriter(path, batch=7) as stream:  # whoever appends mends it, or leaves it alone
        for n in range(300, 2000):
            stream.append(n)
    with StreamReader(path) as reader:
        assert reader.count() == 2000
        assert reader.seek(1500) == 1500
        assert list(reader) == list(range(1500, 2000))
    if index not in ("junk", "none", "reversed"):
        assert beside.read_bytes()[:128] == right


def test_a_file_beside_the_stream_that_is_no_index_is_left_alone(path: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious " * 20)
    for make in (lambda: os.symlink(precious, path + ".idx"), lambda: os.link(precious, path + ".idx")):
        try:
            make()
        except OSError:
            pytest.skip("no links here")
        write_numbers(path, 200)
        assert precious.read_text() == "precious " * 20
        with StreamReader(path) as reader:
            assert reader.seek(-1) == reader.count() - 1
        os.unlink(path + ".idx")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_is_never_waited_for(path: str) -> None:
    os.mkfifo(path + ".idx")
    write_numbers(path, 100)
    with StreamReader(path) as reader:
        assert reader.count() == 100
    os.mkfifo(path + "2")
    for opens in (lambda: StreamReader(path + "2"), lambda: append(path + "2", 1)):
        with pytest.raises(OSError, match="not a regular file"):
            opens()


def test_frames_and_records_can_be_read_in_turn(path: str) -> None:
    write_numbers(path, 12, batch=3)
    with StreamReader(path) as reader:
        frames = reader.frames()
        assert next(frames).record == 0
        assert (next(reader), next(reader), reader.record) == (3, 4, 5)
        assert (next(frames).record, reader.record) == (6, 9)  # from where the reader stands
        assert (next(reader), reader.record) == (9, 10)


def test_seeking_and_reading_agree_on_numbers_in_any_mixture_of_frames(path: str) -> None:
    batch = functools.partial(vectors._batch)
    standalone = vectors._one(1, 0, 0)
    for frames in (
        [vectors.ZERO, standalone, batch([2, 3], 1)],
        [vectors.ZERO, batch([1, 2], 0, vectors.B), batch([3, 4], 1), batch([5, 6], 1, vectors.B)],
    ):
        write_frames(path, *frames)
        count = len(list(iter_load(path)))
        for n in range(count):
            with StreamReader(path) as reader:
                assert reader.seek(n) == n
                assert list(reader) == list(range(n, count))


def test_the_largest_seq_is_the_last(path: str) -> None:
    write_frames(path, vectors._one(1, 2**64 - 1))
    append(path, 2)  # a new stream
    with pytest.raises(StreamOrderError):
        list(iter_load(path))
    with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
        assert (list(reader), reader.record) == ([1, 2], 2**64 + 1)
    write_numbers(path, 200)  # whose numbers no index holds


def test_misuse_of_readers(path: str, tmp_path: Path) -> None:
    append(path, 1)
    for error, arguments in (
        (ValueError, {"on_error": "ignore"}),
        (ValueError, {"timeout": 1}),
        (TypeError, {"policy": {}}),
        (TypeError, {"trust": True}),
    ):
        with pytest.raises(error):
            StreamReader(path, **arguments)  # type: ignore[arg-type]
    for opens in (lambda: StreamReader(tmp_path), lambda: iter_load(tmp_path), lambda: append(tmp_path, 1)):
        with pytest.raises(OSError):
            opens()
    for opens in (lambda: StreamReader(path + "x"), lambda: iter_load(path + "x")):
        with pytest.raises(FileNotFoundError):
            opens()
    with open(path, "rb") as file, pytest.raises(ValueError, match="path"):
        iter_load(file, on_error="skip")
    with pytest.raises(TypeError):
        list(iter_load(io.StringIO("text")))  # type: ignore[arg-type]


def test_a_file_that_may_only_be_read(path: str) -> None:
    write_numbers(path, 3)
    os.chmod(path, 0o444)
    assert list(iter_load(path)) == [0, 1, 2]
    Path(path).unlink()


@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_file_that_was_emptied_and_written_again(path: str, more: int) -> None:
    with StreamWriter(path) as stream:
        stream.append(1)
        stream.append(2)
        os.truncate(path, 0)
        with StreamWriter(path) as other:
            for n in range(2 + more):  # as long as it was, or longer
                other.append(n)
        stream.append("more")
    assert list(iter_load(path)) == [*range(2 + more), "more"]
    assert len({frame.stream_id for frame in frames_of(path)}) == 1


def test_follow_gets_what_is_appended_until_the_timeout(path: str) -> None:
    append(path, 0)
    got: list[int] = []

    def follow() -> None:
        with StreamReader(path, follow=True, timeout=0.4) as reader:
            got.extend(reader)

    thread = threading.Thread(target=follow)
    thread.start()
    with StreamWriter(path, batch=2) as stream:
        for n in range(1, 8):
            stream.append(n)
            time.sleep(0.01)
    os.rename(path, path + ".1")
    for n in range(8, 10):
        append(path, n)
        time.sleep(0.06)
    thread.join(10)
    assert not thread.is_alive()
    assert got == list(range(10))


def test_a_follower_loses_nothing_that_was_appended_just_before_a_rotation(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, 1)
    real = os.stat
    done = []
    with StreamReader(path, follow=True, timeout=0.2) as reader:
        assert next(reader) == 1

        def rotate(*args: Any, **kwargs: Any) -> Any:
            if not done:
                done.append(1)
                append(path, 2)
                append(path, 3)
                os.rename(path, path + ".1")
                append(path, 4)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, "stat", rotate)
        assert list(reader) == [2, 3, 4]
    assert done


def test_a_follower_does_not_wait_at_a_torn_tail_of_a_replaced_file(path: str) -> None:
    append(path, 1)
    with open(path, "ab") as file:
        file.write(pack(2)[:100])
    with (
        StreamReader(path, follow=True, timeout=20) as reader,
        StreamReader(path, follow=True, timeout=0.2, on_error="skip") as skipping,
    ):
        assert next(reader) == next(skipping) == 1
        os.rename(path, path + ".1")
        append(path, 3)
        with pytest.raises(TornTailError):
            next(reader)
        with pytest.warns(StreamWarning):
            assert list(skipping) == [3]


def test_follow_waits_until_a_torn_tail_is_completed(path: str) -> None:
    append(path, 1)
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[:200])
    mend = threading.Timer(0.15, lambda: Path(path).write_bytes(whole))
    mend.start()
    with StreamReader(path, follow=True, timeout=0.5) as reader:
        assert list(reader) == [1]
    mend.join()
    Path(path).write_bytes(whole[:200])
    with StreamReader(path, follow=True, timeout=0.1) as reader, pytest.raises(TornTailError):
        list(reader)


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_records_come_out_of_a_pipe_as_they_arrive(path: str, piece: int) -> None:
    records = [{"n": n} for n in range(7)]
    with StreamWriter(path, batch=3) as stream:
        for record in records:
            stream.append(record)
    data = Path(path).read_bytes()
    for cut in (0, 10):
        readable, writable = os.pipe()

        def feed(writable: int = writable, cut: int = cut) -> None:
            with open(writable, "wb", buffering=0) as file:
                for start in range(0, len(data) - cut, piece):
                    os.write(file.fileno(), data[start : min(start + piece, len(data) - cut)])

        thread = threading.Thread(target=feed)
        thread.start()
        with open(readable, "rb", buffering=0) as file:
            got = []
            try:
                for record in iter_load(file):
                    got.append(record)
            except TornTailError as exc:
                assert cut
                assert (got, exc.record) == (records[:6], 6)
            else:
                assert (got, cut) == (records, 0)
        thread.join()


def test_policy_trust_expect_and_keys_apply_to_each_record(path: str) -> None:
    ring = pickleseal.KeyRing([pickleseal.Key.hmac("k", b"k" * 32)])
    writer = pickleseal.PackOptions(keys=ring)
    with StreamWriter(path, batch=2, options=writer, meta={"team": "risk"}) as stream:
        for record in ({"a": 1}, {"a": 2}, {"a": 3}):
            stream.append(record)
    signed = pickleseal.Policy(keys=ring)
    assert len(list(iter_load(path, policy=signed, expect=dict))) == 3
    assert {frame.header.type for frame in frames_of(path)} == {"builtins:dict"}
    assert {frame.header.meta["team"] for frame in frames_of(path)} == {"risk"}
    other = pickleseal.Policy(keys=pickleseal.KeyRing([pickleseal.Key.hmac("k", b"x" * 32)]))
    for error, arguments in (
        (SignatureError, {"policy": other}),
        (TypeMismatchError, {"expect": list}),
        (PolicyError, {"policy": pickleseal.Policy(meta={"team": "other"})}),
        (LimitExceededError, {"policy": pickleseal.Policy(limits=pickleseal.Limits(max_frame=128))}),
    ):
        with pytest.raises(error) as caught:
            list(iter_load(path, **arguments))  # type: ignore[arg-type]
        assert (caught.value.offset, caught.value.record, caught.value.path) == (0, 0, path)
    append(path, Plain(a=1))
    got = []
    with pytest.raises(UntrustedGlobalError) as caught, StreamReader(path, on_error="skip") as reader:
        got.extend(reader)  # never skipped
    assert caught.value.record == 3
    assert [shape(record) for record in load(path)][-1] == shape(Plain(a=1))
    with pytest.raises(SignatureError):
        list(iter_load(path, policy=signed, trust=KINDS))
    with pytest.raises(SignatureError):
        list(load(path, policy=signed))


def test_an_emptied_file_is_followed_from_its_beginning_and_otherwise_refused(path: str) -> None:
    for record in range(3):
        append(path, record)
    with (
        StreamReader(path, follow=True, timeout=0.3) as following,
        StreamReader(path, on_error="skip") as skipping,
    ):
        assert [next(following) for _ in range(3)] == [next(skipping) for _ in range(3)]
        os.truncate(path, 0)
        with pytest.raises(errors.TruncatedError, match="became shorter"):
            next(skipping)
        assert skipping.lost == []
        append(path, "new")
        assert list(following) == ["new"]
        assert following.record == 1
