"""Files of every kind: read and written whole, replaced at once, and refused with a reason when misused."""

import datetime
import gzip
import io
import os
import pickle
import socket
import stat
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import independent_reader
import pytest
from _helpers.files import Unseekable

import pickleseal
from pickleseal import PackOptions, errors

FIXED = PackOptions(created=datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc))
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")
OBJECTS = {
    "small": {"a": [1, 2]},
    "bytes": [b"x" * 200_000, "text"],
    "buffers": [pickle.PickleBuffer(bytearray(b"y" * 3_000_000)), pickle.PickleBuffer(b"z" * 20_000)],
}


@pytest.mark.parametrize("name", OBJECTS)
class TestFiles:
    def test_a_path(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / "a.pseal"
        for target in (path, str(path)):
            pickleseal.dump(OBJECTS[name], target)
            assert plain(pickleseal.load(target)) == plain(OBJECTS[name])
            assert pickleseal.verify(target) == pickleseal.peek(target)
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.pseal"]

    def test_bytes_and_file_are_the_same(self, name: str, tmp_path: Path) -> None:
        pickleseal.dump(OBJECTS[name], tmp_path / "a", options=FIXED, durable=False)
        assert (tmp_path / "a").read_bytes() == pickleseal.pack(OBJECTS[name], options=FIXED)
        assert independent_reader.verify((tmp_path / "a").read_bytes())

    def test_one_after_the_other_in_a_file_object(self, name: str, tmp_path: Path) -> None:
        with open(tmp_path / "a", "w+b") as file:
            for n in range(3):
                pickleseal.dump([n, OBJECTS[name]], file)
            file.seek(0)
            assert [plain(pickleseal.load(file))[0] for _ in range(3)] == [0, 1, 2]
            with pytest.raises(errors.TruncatedError):
                pickleseal.load(file)

    @pytest.mark.parametrize("buffering", [0, -1])
    def test_raw_and_buffered_files_are_left_after_the_frame(self, name: str, tmp_path: Path, buffering: int) -> None:
        data = pickleseal.pack(OBJECTS[name])
        (tmp_path / "a").write_bytes(b"before" + data + b"behind")
        with open(tmp_path / "a", "rb", buffering=buffering) as file:
            file.seek(6)
            assert plain(pickleseal.load(file)) == plain(OBJECTS[name])
            assert file.read() == b"behind"
            file.seek(6)
            pickleseal.verify(file)
            assert file.read() == b"behind"

    def test_bytesio(self, name: str) -> None:
        file = io.BytesIO()
        pickleseal.dump(OBJECTS[name], file)
        file.seek(0)
        assert plain(pickleseal.load(file)) == plain(OBJECTS[name])

    @pytest.mark.parametrize("most", [1, 777, 1 << 30])
    def test_a_pipe_that_returns_pieces_of_any_size(self, name: str, most: int) -> None:
        data = pickleseal.pack(OBJECTS[name])
        if most == 1 and len(data) > 500_000:
            most = 4096
        assert plain(pickleseal.load(Unseekable(data, most))) == plain(OBJECTS[name])
        for cut in (0, 63, 100, len(data) // 2, len(data) - 1):
            with pytest.raises(errors.TruncatedError):
                pickleseal.load(Unseekable(data[:cut], most))

    def test_a_real_pipe_and_a_real_socket(self, name: str) -> None:
        left, right = socket.socketpair()
        with left, right, left.makefile("wb") as out, right.makefile("rb") as back:
            sender = threading.Thread(target=lambda: (pickleseal.dump(OBJECTS[name], out), out.flush()))
            sender.start()
            assert plain(pickleseal.load(back)) == plain(OBJECTS[name])
            sender.join()
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", 0) as back, os.fdopen(writing, "wb", 0) as out:
            sender = threading.Thread(target=lambda: pickleseal.dump(OBJECTS[name], out))
            sender.start()
            assert plain(pickleseal.load(back)) == plain(OBJECTS[name])
            sender.join()

    def test_a_file_inside_gzip(self, name: str, tmp_path: Path) -> None:
        with gzip.open(tmp_path / "a.gz", "wb") as file:
            pickleseal.dump(OBJECTS[name], file)
        with gzip.open(tmp_path / "a.gz", "rb") as file:
            assert plain(pickleseal.load(file)) == plain(OBJECTS[name])

    def test_a_buffer_around_gzip(self, name: str, tmp_path: Path) -> None:
        with gzip.open(tmp_path / "a.gz", "wb") as file:
            pickleseal.dump(OBJECTS[name], file)
        with gzip.open(tmp_path / "a.gz", "rb") as inner, io.BufferedReader(inner) as file:  # type: ignore[type-var]
            assert plain(pickleseal.load(file)) == plain(OBJECTS[name])

    def test_a_file_that_gives_bytearrays(self, name: str) -> None:
        class Odd:
            def __init__(self, data: bytes) -> None:
                self._inner = io.BytesIO(data)

            def read(self, count: int) -> Any:
                return bytearray(self._inner.read(count))

        assert plain(pickleseal.load(Odd(pickleseal.pack(OBJECTS[name])))) == plain(OBJECTS[name])  # type: ignore[arg-type]

    def test_a_temporary_file(self, name: str) -> None:
        with tempfile.NamedTemporaryFile() as file:
            pickleseal.dump(OBJECTS[name], file)
            file.seek(0)
            assert plain(pickleseal.load(file)) == plain(OBJECTS[name])

    def test_a_minimal_file_object(self, name: str) -> None:
        """Only `write` that returns nothing, only `read`: what the pickle module asks for."""
        parts: list[bytes] = []

        class Sink:
            def write(self, data: Any) -> None:
                parts.append(bytes(data))

        class Source:
            def __init__(self, data: bytes) -> None:
                self.read = io.BytesIO(data).read

        pickleseal.dump(OBJECTS[name], Sink())  # type: ignore[arg-type]
        assert plain(pickleseal.load(Source(b"".join(parts)))) == plain(OBJECTS[name])  # type: ignore[arg-type]


def plain(obj: Any) -> Any:
    """Turn buffers into bytes, to compare."""
    if isinstance(obj, list):
        return [plain(item) for item in obj]
    return bytes(obj) if isinstance(obj, memoryview | bytearray | pickle.PickleBuffer) else obj


class TestReplacing:
    @posix
    def test_a_new_file_has_the_usual_permissions_and_a_replaced_one_its_own(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        mask = os.umask(0o027)
        try:
            pickleseal.dump(1, path)
        finally:
            os.umask(mask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        pickleseal.dump(2, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604

    @posix
    def test_a_symbolic_link_stays_and_its_target_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        target, link = tmp_path / "real" / "a", tmp_path / "link"
        pickleseal.dump(1, target)
        link.symlink_to(target)
        pickleseal.dump(2, link)
        assert link.is_symlink()
        assert pickleseal.load(target) == 2
        assert [entry.name for entry in (tmp_path / "real").iterdir()] == ["a"]

    def test_a_name_as_long_as_the_file_system_takes(self, tmp_path: Path) -> None:
        path = tmp_path / ("n" * 250 + ".pseal")[:255]
        pickleseal.dump(1, path)
        assert pickleseal.load(path) == 1

    def test_an_object_that_cannot_be_packed_leaves_the_old_file(self, tmp_path: Path) -> None:
        pickleseal.dump("old", tmp_path / "a")
        with pytest.raises(errors.PackError):
            pickleseal.dump([lambda: 1], tmp_path / "a")
        assert pickleseal.load(tmp_path / "a") == "old"
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize(
        "call", ["fsync", "replace", "writev" if hasattr(os, "writev") else "write", "posix_fallocate"]
    )
    def test_a_failing_system_call_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        if not hasattr(os, call):
            pytest.skip(f"no os.{call} here")
        pickleseal.dump("old", tmp_path / "a")

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(OSError, match="No space left"):
                pickleseal.dump(bytes(3_000_000), tmp_path / "a")
        assert pickleseal.load(tmp_path / "a") == "old"
        assert len(list(tmp_path.iterdir())) == 1

    def test_a_file_is_written_without_reserving_space_if_it_must(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
        pickleseal.dump(bytes(3_000_000), tmp_path / "a")
        assert pickleseal.load(tmp_path / "a") == bytes(3_000_000)

    @pytest.mark.skipif(not hasattr(os, "writev"), reason="no os.writev here")
    def test_short_writes_are_continued(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.writev
        monkeypatch.setattr(os, "writev", lambda fd, views: real(fd, [views[0][:1000]]))
        obj = [pickle.PickleBuffer(bytearray(os.urandom(50_000))), "x" * 100]
        pickleseal.dump(obj, tmp_path / "a")
        assert plain(pickleseal.load(tmp_path / "a")) == plain(obj)

    def test_without_writev_the_parts_are_written_one_by_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "writev", raising=False)
        pickleseal.dump(OBJECTS["bytes"], tmp_path / "a")
        assert pickleseal.load(tmp_path / "a") == OBJECTS["bytes"]

    @pytest.mark.parametrize("name", ["日" * 80, "ö" * 120, "n" * 255])
    def test_long_names_of_any_script(self, tmp_path: Path, name: str) -> None:
        pickleseal.dump(1, tmp_path / name)
        assert pickleseal.load(tmp_path / name) == 1

    def test_a_name_that_ends_like_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(IsADirectoryError):
            pickleseal.dump(1, f"{tmp_path}/new/")
        assert list(tmp_path.iterdir()) == []

    @posix
    def test_a_pipe_in_the_file_system_is_written_to_and_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.append(pickleseal.load(open(path, "rb"))))  # noqa: SIM115
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            reader.start()
            pickleseal.dump({"a": 1}, path)
            reader.join()
        assert found == [{"a": 1}]
        assert stat.S_ISFIFO(path.stat().st_mode)

    @posix
    def test_the_temporary_file_is_never_more_readable_than_the_target(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "secret"
        pickleseal.dump(1, path)
        path.chmod(0o600)
        modes: list[int] = []
        real = os.open

        def spy(name: Any, flags: int, mode: int = 0o777) -> int:
            descriptor = real(name, flags, mode)
            if flags & os.O_CREAT:
                modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            return descriptor

        monkeypatch.setattr(os, "open", spy)
        pickleseal.dump(2, path)
        assert modes == [0o600]

    @posix
    def test_a_folder_that_cannot_be_synced_fails_before_the_rename(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pickleseal.dump("old", tmp_path / "a")
        real = os.open

        def refuse(name: Any, flags: int, mode: int = 0o777) -> int:
            if not flags & os.O_CREAT:
                raise PermissionError(13, "Permission denied", name)
            return real(name, flags, mode)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            with pytest.raises(PermissionError):
                pickleseal.dump("new", tmp_path / "a")
        assert pickleseal.load(tmp_path / "a") == "old"

    def test_a_folder_that_is_not_there_is_an_os_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError) as caught:
            pickleseal.dump(1, tmp_path / "none" / "a")
        assert Path(caught.value.filename) == tmp_path / "none" / "a"
        with pytest.raises(FileNotFoundError) as caught:
            pickleseal.dump(1, tmp_path / "none" / "a", durable=False)
        assert Path(caught.value.filename) == tmp_path / "none" / "a"
        with pytest.raises(FileNotFoundError):
            pickleseal.load(tmp_path / "none")
        with pytest.raises(IsADirectoryError if os.name == "posix" else PermissionError):
            pickleseal.load(tmp_path)
        with pytest.raises(OSError, match=r"\w"):
            pickleseal.dump(1, tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_readers_see_the_old_or_the_new_artifact_whole(self, tmp_path: Path) -> None:
        path, stop, seen = tmp_path / "a", threading.Event(), set()
        pickleseal.dump([0] * 1000, path, durable=False)

        def read() -> None:
            while not stop.is_set():
                obj = pickleseal.load(path)
                assert len(set(obj)) == 1
                seen.add(obj[0])

        reader = threading.Thread(target=read)
        reader.start()
        for n in range(1, 20_000):
            pickleseal.dump([n] * 1000, path, durable=False)
            if n >= 200 and len(seen) > 1:  # on a busy machine the reader may get its first turn late
                break
        stop.set()
        reader.join()
        assert len(seen) > 1


class TestMisuseOfFiles:
    def test_text_files_are_named(self, tmp_path: Path) -> None:
        with open(tmp_path / "a", "w") as file, pytest.raises(TypeError, match="text mode"):
            pickleseal.dump(1, file)  # type: ignore[arg-type]
        (tmp_path / "a").write_text("x" * 100)
        with open(tmp_path / "a") as file, pytest.raises(TypeError, match="text mode"):
            pickleseal.load(file)  # type: ignore[arg-type]

    @pytest.mark.parametrize("answer", [0, -1, 10**9])
    def test_a_writer_that_takes_nothing_or_too_much_is_an_error(self, answer: int) -> None:
        class Odd:
            def write(self, data: Any) -> int:
                return answer

        with pytest.raises(OSError, match="took"):
            pickleseal.dump(1, Odd())  # type: ignore[arg-type]

    def test_peek_of_files_whose_seekable_is_wrong(self) -> None:
        data = pickleseal.pack([1])

        class Liar(io.BytesIO):
            def seek(self, *_: Any) -> int:
                raise OSError("no")

        assert pickleseal.peek(Liar(data)).type == "builtins:list"
        with pytest.raises(errors.NotAnArtifactError):
            pickleseal.peek(Liar(b"garbage"))

    @pytest.mark.parametrize("number", [22, 95])
    def test_a_file_system_that_cannot_sync_folders_is_no_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        real = os.fsync

        def refuse(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(number, "not here")
            real(descriptor)

        monkeypatch.setattr(os, "fsync", refuse)
        pickleseal.dump(1, tmp_path / "a")
        assert pickleseal.load(tmp_path / "a") == 1

    def test_an_argument_that_is_not_a_file_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match="expected a path or a binary file"):
            pickleseal.dump(1, 7)  # type: ignore[arg-type]

    @posix
    def test_non_blocking_files_are_named(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        with os.fdopen(reading, "rb", 0) as back, os.fdopen(writing, "wb", 0) as out:
            with pytest.raises(BlockingIOError):
                pickleseal.load(back)
            with pytest.raises(BlockingIOError):
                pickleseal.dump(bytes(10_000_000), out)

    def test_a_file_that_shrinks_while_it_is_read_is_truncated(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        pickleseal.dump([pickle.PickleBuffer(bytearray(40_000_000))], path, durable=False)

        class Shrinks(io.FileIO):
            def tell(self) -> int:
                position = super().tell()
                os.truncate(path, 20_000_000)
                return position

        with Shrinks(path) as file, pytest.raises(errors.TruncatedError):
            pickleseal.load(file)

    @pytest.mark.skipif(not hasattr(os, "preadv"), reason="no os.preadv here")
    def test_an_io_error_in_the_second_thread_is_an_os_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a"
        pickleseal.dump([pickle.PickleBuffer(bytearray(40_000_000))], path, durable=False)
        real = os.preadv

        def fail(descriptor: int, buffers: Any, offset: int) -> int:
            if offset > 30_000_000:
                raise OSError(5, "Input/output error")
            return real(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", fail)
        with pytest.raises(OSError, match="Input/output error"):
            pickleseal.load(path)

    @pytest.mark.parametrize("size", [0, 1, 100_000, 1_000_000, 34_000_000])
    @pytest.mark.parametrize("numpy", [True, False])
    def test_memory_is_writable_and_of_the_right_size(
        self, size: int, numpy: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pickleseal._io.source import allocate

        if numpy:
            pytest.importorskip("numpy")
        else:
            monkeypatch.setitem(sys.modules, "numpy", None)
        view = allocate(size)
        assert (len(view), view.format, view.readonly) == (size, "B", False)
        view[:] = bytes(size)

    def test_a_large_file_is_read_in_parallel_and_checked(self, tmp_path: Path) -> None:
        path, blob = tmp_path / "a", bytearray(os.urandom(1 << 20) * 40)
        pickleseal.dump([pickle.PickleBuffer(blob), 7], path, durable=False)
        view, seven = pickleseal.load(path)
        assert view == blob
        assert seven == 7
        view[0] = 1
        size = path.stat().st_size
        for offset in (size // 4, size * 3 // 4):
            with open(path, "r+b") as file:
                file.seek(offset)
                byte = file.read(1)
                file.seek(offset)
                file.write(bytes((byte[0] ^ 1,)))
            with pytest.raises(errors.SectionChecksumError):
                pickleseal.load(path)
            with open(path, "r+b") as file:
                file.seek(offset)
                file.write(byte)
