"""Streams and maps in the hands of people: wrong arguments, closed readers, iterators that are dropped."""

import datetime
import gc
import io
import mmap
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from pickleseal import Limits, Mapped, Policy, StreamReader, StreamWriter, append, dump, errors, iter_load, load, pack
from pickleseal._format.frame import frame_parts
from pickleseal._io import source
from pickleseal._packing import PackOptions, encode_object


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "events.pseal")
    append(path, "first")
    return path


@pytest.mark.parametrize("what", [b"bytes", 3, None, ["path"], object()])
def test_iter_load_takes_paths_and_binary_files(what: Any) -> None:
    with pytest.raises(TypeError, match="expected a path, a URL or a binary file"):
        iter_load(what)


@pytest.mark.parametrize("linger", [0, -1, float("inf"), float("nan"), 1e12, "1"])
def test_linger_is_a_finite_time(path: str, linger: Any) -> None:
    with pytest.raises(ValueError, match="linger"):
        StreamWriter(path, linger=linger)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1"])
def test_a_timeout_is_a_time(path: str, timeout: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        StreamReader(path, follow=True, timeout=timeout)


def test_a_reader_that_was_closed_looks_at_no_other_file(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.pseal")
    for n in range(3):
        append(other, n)
    reader = StreamReader(path)
    reader.close()
    descriptor = os.open(other, os.O_RDONLY)  # may get the number that the reader had
    try:
        for use in (reader.count, lambda: reader.seek(-1), lambda: next(reader), lambda: list(reader.frames())):
            with pytest.raises(ValueError, match="closed"):
                use()
    finally:
        os.close(descriptor)


def test_records_are_numbered_by_integers(path: str) -> None:
    with StreamReader(path) as stream:
        for number in (1.0, "1", None):
            with pytest.raises(TypeError):
                stream.seek(number)  # type: ignore[arg-type]
        assert (stream.record, list(stream)) == (0, ["first"])


@pytest.mark.parametrize("close", [False, True])
def test_an_iterator_that_is_dropped_before_it_began_leaves_no_file_open(path: str, close: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records: Any = iter_load(path)
        if close:
            records.close()
        del records
        gc.collect()


def test_a_reader_of_streams_names_iter_load_for_urls() -> None:
    with pytest.raises(ValueError, match="iter_load"):
        StreamReader("s3://bucket/events.pseal")


def test_a_frame_out_of_order_and_too_large_gets_the_same_verdict_everywhere(tmp_path: Path) -> None:
    """Step 5 comes before step 6, in a file object too."""
    frames = [encode_object("x" * 5000 * n, None, {}, PackOptions()) for n in range(2)]
    data = b"".join(bytes(part) for n, seq in ((0, 0), (1, 7)) for part in frame_parts(frames[n], None, 5, seq))
    path = tmp_path / "events.pseal"
    path.write_bytes(data)
    policy = Policy(limits=Limits(max_frame=1000))
    for file in (path, io.BytesIO(data)):
        with pytest.raises(errors.StreamOrderError):
            list(iter_load(file, policy=policy))


def test_a_map_that_is_closed_while_it_is_verified_is_verified_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pseal"
    dump([pickle.PickleBuffer(bytes([n]) * 20_000) for n in range(3)], path)
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    check_view, seen = source.check_view, []

    def closing(*args: Any) -> None:
        seen.append(args)
        opened.close()  # as another thread may
        check_view(*args)

    monkeypatch.setattr(source, "check_view", closing)
    opened = Mapped(path, verify="header")
    with pytest.raises(errors.SectionChecksumError):
        opened.verify()
    assert len(seen) == 3


class TestArtifactOfDump:
    """`load` reads a file of one artifact, and refuses it after an append. So that is done only if it is asked for."""

    @pytest.mark.parametrize("batch", [None, 3])
    def test_an_append_is_refused_and_changes_nothing(self, tmp_path: Path, batch: int | None) -> None:
        path = tmp_path / "model.pseal"
        dump({"n": 1}, path)
        data = path.read_bytes()
        with pytest.raises(ValueError, match="extend=True"):
            append(path, {"n": 2})
        with pytest.raises(ValueError, match="extend=True"), StreamWriter(path, batch=batch) as stream:
            stream.append({"n": 2})
        assert path.read_bytes() == data
        assert load(path) == {"n": 1}

    def test_it_becomes_a_stream_if_that_is_asked_for(self, tmp_path: Path) -> None:
        path = tmp_path / "one.pseal"
        dump({"n": 1}, path)
        append(path, {"n": 2}, extend=True)
        append(path, {"n": 3})  # now it is a stream
        with StreamWriter(path) as stream:
            stream.append({"n": 4})
        assert list(iter_load(path)) == [{"n": n} for n in range(1, 5)]
        dump({"n": 1}, path)
        with StreamWriter(path, extend=True, batch=2) as stream:
            for n in range(2, 6):
                stream.append({"n": n})
        assert list(iter_load(path)) == [{"n": n} for n in range(1, 6)]

    def test_several_artifacts_end_to_end_are_a_stream(self, tmp_path: Path) -> None:
        path = tmp_path / "joined.pseal"
        path.write_bytes(pack(1) + pack(2))
        append(path, 3)
        assert list(iter_load(path)) == [1, 2, 3]


@pytest.mark.parametrize("options", ["batch=100", "linger=60", "batch=100, linger=60", "fsync=0"])
def test_a_writer_that_was_not_closed_writes_waiting_records_when_the_program_ends(
    tmp_path: Path, options: str
) -> None:
    path = tmp_path / "forgotten.pseal"
    script = f"""
import sys
from pickleseal import StreamWriter
stream = StreamWriter(sys.argv[1], {options})
for n in range(5):
    stream.append(n)
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert list(iter_load(path)) == [0, 1, 2, 3, 4]


def test_a_writer_whose_close_failed_writes_nothing_when_the_program_ends(tmp_path: Path) -> None:
    path = tmp_path / "failed.pseal"
    script = """
import sys
from pickleseal import StreamWriter
from pickleseal._streams import writer
stream = StreamWriter(sys.argv[1], batch=100)
stream.append(1)
real = writer.write_all
def fails(descriptor, parts):
    raise OSError(28, "no space left on device")
writer.write_all = fails
try:
    stream.close()
except OSError as error:
    print(list(error.unwritten))
writer.write_all = real
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["[1]"]
    assert list(iter_load(path)) == []


def test_a_dropped_writer_warns_at_once_although_its_records_linger(tmp_path: Path) -> None:
    path = tmp_path / "dropped.pseal"
    held = [StreamWriter(path, linger=60)]
    held[0].append(1)
    with pytest.warns(ResourceWarning, match="1 records that waited are not written"):
        held.clear()
    assert not path.exists()


def test_a_batch_of_several_types_is_refused_with_help(tmp_path: Path) -> None:
    path = tmp_path / "mixed.pseal"
    with StreamWriter(path, batch=10) as stream:
        stream.append(datetime.date(2026, 1, 2))
        stream.append("text")
    with pytest.raises(errors.TypeMismatchError) as caught:
        list(iter_load(path, expect=datetime.date))
    assert "a batch of records of several types" in str(caught.value)
    assert "formerly" not in str(caught.value)
    with pytest.raises(errors.TypeMismatchError, match="with it every batch"):
        list(iter_load(path, policy=Policy(types={"datetime:date": "*", "builtins:str": "*"})))
    assert len(list(iter_load(path, policy=Policy(types={"builtins:object": "*"})))) == 2


def _can_check_pages() -> bool:
    try:
        mmap.mmap(-1, mmap.PAGESIZE).madvise(22)  # MADV_POPULATE_READ
    except (OSError, ValueError, AttributeError):
        return False
    return sys.platform == "linux"


@pytest.mark.skipif(not _can_check_pages(), reason="the system cannot check mapped pages before they are used")
def test_a_file_that_is_cut_off_before_it_is_hashed_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "model.pseal"
    dump(pickle.PickleBuffer(bytes(2_000_000)), path)
    script = """
import os, sys
from pickleseal import errors, load
from pickleseal._io import source
check_view = source.check_view
def cutting(*args):
    os.truncate(sys.argv[1], 4096)
    check_view(*args)
source.check_view = cutting
try:
    load(sys.argv[1], mmap="r")
except errors.TruncatedError as error:
    print(error.code, error.step, error.where)
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["truncated", "16", "sections[1]"]
