"""Writers of streams: several at once, when records are written and synced, and what closing does (spec 9)."""

import contextlib
import errno
import gc
import math
import multiprocessing
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from _helpers.streams import SHORT, append_all, fails, frames_of, needs_fork, wait_until

from pickleseal import StreamReader, StreamWriter, append, iter_load
from pickleseal._streams import writer as writing
from pickleseal.errors import TornTailError
from pickleseal.maintenance import repair


def test_threads_share_a_writer(path: str) -> None:
    for batch in (None, 7):
        Path(path).unlink(missing_ok=True)
        with StreamWriter(path, batch=batch, fsync=0) as stream:

            def work(worker: int, stream: StreamWriter = stream) -> None:
                for n in range(40):
                    stream.append((worker, n))
                    if n % 16 == 0:
                        stream.flush()

            threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        records = list(iter_load(path))
        assert sorted(records) == [(worker, n) for worker in range(4) for n in range(40)]
        for worker in range(4):
            assert [n for w, n in records if w == worker] == list(range(40))


def _append_many(path: str, worker: int, batch: int | None) -> None:
    with StreamWriter(path, batch=batch, fsync=0) as stream:
        for n in range(30):
            stream.append((worker, n))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_append_at_once(path: str, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    if method == "spawn" and SHORT:
        pytest.skip("slow, and on the first interpreter as well")
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, 3.12
        workers = [
            context.Process(target=_append_many, args=(path, worker, batch))
            for worker, batch in enumerate((None, 4, 100))
        ]
        for process in workers:
            process.start()
        for process in workers:
            process.join(60)
            assert process.exitcode == 0
    records = list(iter_load(path))
    assert sorted(records) == [(worker, n) for worker in range(3) for n in range(30)]
    for worker in range(3):
        assert [n for w, n in records if w == worker] == list(range(30))
    assert {frame.stream_id for frame in frames_of(path)} == {frames_of(path)[0].stream_id}


@needs_fork
@pytest.mark.parametrize("way", ["append", "flush", "nothing", "linger"])
def test_a_child_does_not_write_the_parents_waiting_records(path: str, way: str) -> None:
    with StreamWriter(path, batch=10, linger=60 if way == "linger" else None) as stream:
        stream.append("parent")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                if way in ("append", "linger"):
                    stream.append("child")
                if way != "nothing":
                    stream.flush()
                    stream.append("child again")
                    stream.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        stream.append("parent again")
    wanted = {"append": ["child", "child again"], "linger": ["child", "child again"], "flush": ["child again"]}
    assert list(iter_load(path)) == [*wanted.get(way, []), "parent", "parent again"]


@pytest.mark.parametrize("batch", [None, 100])
def test_lingering_records_are_written_in_time(path: str, batch: int | None) -> None:
    with StreamWriter(path, batch=batch, linger=0.05) as stream:
        for n in range(3):
            stream.append(n)
        wait_until(lambda: os.path.exists(path) and len(frames_of(path)) == 1)
        stream.append(3)
        assert list(iter_load(path))[:3] == [0, 1, 2]
        wait_until(lambda: len(frames_of(path)) == 2)
    assert list(iter_load(path)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "syncs"),
    [
        ({}, 10),
        ({"fsync": 3}, 4),  # the last by close
        ({"fsync": 0}, 1),
        ({"batch": 4}, 3),
        ({"batch": 4, "fsync": 0}, 1),
        ({"batch": 100}, 1),
        ({"batch": 4, "fsync": 6}, 2),
    ],
)
def test_the_number_of_syncs(path: str, settings: Any, syncs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(writing, "_sync", done.append)
    with StreamWriter(path, **settings) as stream:
        for n in range(10):
            stream.append(n)
    assert len(done) == syncs


@pytest.mark.parametrize("batch", [None, 2])
def test_a_sync_that_failed_is_never_forgotten(path: str, batch: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StreamWriter(path, batch=batch)
    for n in range(2):
        stream.append(n)
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_sync", fails)
        with pytest.raises(OSError, match="input/output"):
            append_all(stream, 2, 3)
    for again in (stream.flush, stream.close):
        with pytest.raises(OSError, match="a sync failed before"):
            again()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.append(9)
    assert list(iter_load(path))[:2] == [0, 1]


def test_close_reports_a_sync_that_failed_in_the_timers_thread(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_sync", fails)
    stream = StreamWriter(path, linger=0.01)
    stream.append(1)
    wait_until(lambda: stream._tail.sync_error is not None)
    with pytest.raises(OSError, match="a sync failed before"):
        stream.close()
    stream.close()


def test_close_does_not_replace_the_error_of_an_append(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_sync", fails)
    with pytest.raises(OSError, match=r"^\[Errno 5\] input/output error: "), StreamWriter(path) as stream:
        stream.append(1)


def test_a_sync_that_failed_while_the_file_was_rotated_is_not_forgotten(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = StreamWriter(path, fsync=0)
    stream.append(1)
    os.rename(path, path + ".1")
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_sync", fails)
        with pytest.raises(OSError, match="input/output"):
            stream.append(2)
    with pytest.raises(OSError, match="a sync failed before"):
        stream.append(3)
    with pytest.raises(OSError, match="a sync failed before"):
        stream.close()


def test_a_failed_write_leaves_nothing_and_removes_the_right_record(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pickleseal._streams import writer as writing

    def partly(descriptor: int, parts: Any) -> None:
        os.write(descriptor, b"".join(parts)[:100])
        raise OSError(errno.ENOSPC, "no space left on device")

    for batch in (None, 3):
        Path(path).unlink(missing_ok=True)
        append(path, "before")
        size = os.path.getsize(path)
        stream = StreamWriter(path, batch=batch)
        with monkeypatch.context() as patch:
            patch.setattr(writing, "write_all", partly)
            with pytest.raises(OSError, match="no space"):
                append_all(stream, None, 1, None)
            if batch:
                with pytest.raises(OSError, match="no space"):
                    stream.close()
        assert os.path.getsize(path) == size
        if not batch:
            stream.append("after")
        stream.close()
        assert list(iter_load(path)) == (["before", None, 1] if batch else ["before", "after"])


def test_closing(path: str) -> None:
    stream = StreamWriter(path, batch=10)
    with stream as same:
        assert same is stream
        stream.append(1)
    stream.close()
    for refused in (lambda: stream.append(2), stream.flush):
        with pytest.raises(ValueError, match="closed"):
            refused()
    with StreamReader(path) as reader:
        assert next(reader) == 1
    with pytest.raises(ValueError, match="closed"):
        next(reader)
    reader.close()
    stream = StreamWriter(path, batch=10)
    stream.append(2)
    with pytest.warns(ResourceWarning, match="1 records that waited are not written"):
        stream = None  # type: ignore[assignment]
    assert list(iter_load(path)) == [1]  # garbage collection writes nothing
    with contextlib.suppress(KeyError), StreamWriter(path, batch=10) as stream:
        stream.append(3)
        raise KeyError
    assert list(iter_load(path)) == [1, 3]


class Plain:
    """A record that is copied when it is added."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and other.n == self.n

    __hash__ = None  # type: ignore[assignment]


class Reduced(Plain):
    """A record that is pickled when it is added."""

    def __reduce__(self) -> Any:
        return Reduced, (self.n,)


class Full:
    """A disk that is full: half a frame is written, then the call fails. `is_full` may be changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = True
        real = writing.write_all

        def write(descriptor: int, parts: Any) -> None:
            if self.is_full:
                os.write(descriptor, b"".join(parts)[:100])
                raise OSError(errno.ENOSPC, "no space left on device")
            real(descriptor, parts)

        monkeypatch.setattr(writing, "write_all", write)


class TestFailedClose:
    """A close that fails says what was not written, and writes nothing later by itself."""

    RECORDS: tuple[Any, ...] = (1, "two", {"three": 3}, Plain(4), Reduced(5), Reduced(6), ("seven", [7]))

    @staticmethod
    def load(path: str) -> list[Any]:
        return list(iter_load(path, trust=[Plain, Reduced]))

    def failed(self, path: str, body: Exception | None = None) -> tuple[StreamWriter, Any]:
        with contextlib.ExitStack() as stack:
            caught = stack.enter_context(pytest.raises(OSError, match="no space"))
            stream = stack.enter_context(StreamWriter(path, batch=100, linger=60))
            append_all(stream, *self.RECORDS)
            if body is not None:
                raise body
        assert caught.value.__context__ is body
        return stream, caught.value

    @pytest.mark.parametrize("body", [None, KeyError])
    def test_a_retry_with_a_new_writer_doubles_nothing(
        self, path: str, body: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = Full(monkeypatch)
        stream, error = self.failed(path, body and body())
        disk.is_full = False
        with StreamWriter(path, batch=3) as retry:
            append_all(retry, *error.unwritten)
        assert len(error.unwritten) == len(self.RECORDS)
        assert list(error.unwritten[1:3]) == list(self.RECORDS[1:3])
        assert self.load(path) == list(self.RECORDS)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del stream, error, retry
            gc.collect()
        assert self.load(path) == list(self.RECORDS)

    def test_a_record_is_handed_back_as_it_was_when_it_was_appended(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Full(monkeypatch)
        records: list[Any] = [{"n": 1}, Plain(1), Reduced(1)]
        stream = StreamWriter(path, batch=100)
        append_all(stream, *records)
        records[0]["n"] = records[1].n = records[2].n = 2
        with pytest.raises(OSError, match="no space") as caught:
            stream.close()
        assert list(caught.value.unwritten) == [{"n": 1}, Plain(1), Reduced(1)]  # type: ignore[attr-defined]
        assert type(caught.value.unwritten[2]) is Reduced  # type: ignore[attr-defined]

    def test_closing_again_tries_again(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        disk = Full(monkeypatch)
        stream, _ = self.failed(path)
        for refused in (lambda: stream.append(8), stream.flush):
            with pytest.raises(ValueError, match=r"close\(\) tries again"):
                refused()
        with pytest.raises(OSError, match="no space") as caught:
            stream.close()
        assert len(caught.value.unwritten) == len(self.RECORDS)  # type: ignore[attr-defined]
        disk.is_full = False
        stream.close()
        stream.close()
        assert self.load(path) == list(self.RECORDS)
        with pytest.raises(ValueError, match=r"closed$"):
            stream.append(8)

    def test_only_what_was_not_written_is_handed_back(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with StreamWriter(path, batch=2) as retry:
            stream = StreamWriter(path, batch=2)
            append_all(stream, *self.RECORDS)  # the last one waits
            disk = Full(monkeypatch)
            with pytest.raises(OSError, match="no space") as caught:
                stream.close()
            disk.is_full = False
            append_all(retry, *caught.value.unwritten)  # type: ignore[attr-defined]
        assert self.load(path) == list(self.RECORDS)

    def test_the_timer_of_a_failed_writer_writes_nothing(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        disk = Full(monkeypatch)
        with pytest.raises(OSError, match="no space"), StreamWriter(path, linger=0.05) as stream:
            stream.append(1)
        disk.is_full = False
        timers = [thread for thread in threading.enumerate() if thread.name == "pickleseal-linger"]
        for timer in timers:
            timer.join(10)
        assert os.path.getsize(path) == 0
        assert stream.path == path  # it is alive until here

    def test_what_the_timer_could_not_write_is_written_by_close(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = Full(monkeypatch)
        stream = StreamWriter(path, linger=0.01)
        stream.append(1)
        wait_until(lambda: stream._delayed is not None)
        disk.is_full = False
        stream.close()
        assert list(iter_load(path)) == [1]

    def test_a_torn_tail_that_may_not_be_cut_off_fails_a_close_too(self, path: str) -> None:
        stream = StreamWriter(path, batch=10)
        stream.append(1)
        Path(path).write_bytes(b"\xf7PSL")
        with pytest.raises(TornTailError) as caught:
            stream.close()
        assert list(caught.value.unwritten) == [1]  # type: ignore[attr-defined]
        repair(path)
        stream.close()
        assert list(iter_load(path)) == [1]

    @pytest.mark.parametrize("where", ["body", "close"])
    def test_after_a_failed_sync_what_still_waited_is_handed_back(
        self, path: str, where: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writing, "_sync", fails)
        with pytest.raises(OSError, match="input/output") as caught, StreamWriter(path, batch=2) as stream:
            append_all(stream, 1, *([2] if where == "body" else []))
        assert list(caught.value.unwritten) == []  # type: ignore[attr-defined]
        assert list(iter_load(path)) == ([1, 2] if where == "body" else [1])

    @needs_fork
    def test_a_child_does_not_write_what_its_parent_could_not(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        disk = Full(monkeypatch)
        stream, _ = self.failed(path)
        disk.is_full = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            code = 1
            try:
                stream.close()
                code = os.path.getsize(path)
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        stream.close()
        assert self.load(path) == list(self.RECORDS)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (TypeError, {"batch": 1.5}),
        (TypeError, {"batch": True}),
        (ValueError, {"batch": 0}),
        (TypeError, {"fsync": None}),
        (ValueError, {"fsync": -1}),
        (ValueError, {"linger": 0}),
        (ValueError, {"linger": "1"}),
        (ValueError, {"linger": math.nan}),
        (ValueError, {"type": ""}),
        (TypeError, {"meta": {"a": 1}}),
        (TypeError, {"writer": 1}),
    ],
)
def test_wrong_arguments_of_a_writer(path: str, error: type[Exception], arguments: Any) -> None:
    with pytest.raises(error):
        StreamWriter(path, **arguments)
    assert not os.path.exists(path)


def test_links_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, link = tmp_path / "a.pseal", tmp_path / "b.pseal", tmp_path / "link.pseal"
    (tmp_path / "else").mkdir()
    try:
        link.symlink_to(first)
    except OSError:
        pytest.skip("no links here")
    monkeypatch.chdir(tmp_path)
    with StreamWriter("link.pseal") as stream:
        assert stream.path == str(first.resolve())
        monkeypatch.chdir(tmp_path / "else")
        stream.append(1)  # makes what the link names
        link.unlink()
        link.symlink_to(second)
        stream.append(2)
        assert stream.path == str(second.resolve())
    assert (list(iter_load(first)), list(iter_load(second))) == ([1], [2])
    assert link.is_symlink()
    monkeypatch.chdir(tmp_path)
    with StreamReader("link.pseal", follow=True, timeout=0.1) as reader:
        assert next(reader) == 2
        monkeypatch.chdir(tmp_path / "else")
        append("link.pseal", "another file of this name")
        append(second, 3)
        assert list(reader) == [3]


@pytest.mark.parametrize("way", ["moved", "removed", "replaced", "emptied"])
def test_rotation_under_a_writer(path: str, way: str) -> None:
    with StreamWriter(path) as stream:
        stream.append(1)
        stream.append(2)
        if way == "moved":
            os.rename(path, path + ".1")
        elif way == "removed":
            os.unlink(path)
        elif way == "replaced":
            append(path + ".new", "new")
            os.replace(path + ".new", path)
        else:
            os.truncate(path, 0)
        stream.append(3)
        stream.append(4)
    assert list(iter_load(path)) == (["new", 3, 4] if way == "replaced" else [3, 4])
    if way == "moved":
        assert list(iter_load(path + ".1")) == [1, 2]


def test_a_options_without_records_leaves_an_empty_stream(path: str) -> None:
    with StreamWriter(path):
        pass
    assert list(iter_load(path)) == []
