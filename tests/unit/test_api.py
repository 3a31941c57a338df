"""What users call: pack, unpack, peek, verify, dump, load and their arguments, over bytes, paths, files and pipes."""

import builtins
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
import shapes
from _helpers.support import VECTORS

import pickleseal
from pickleseal import Limits, Policy, Writer, errors

FIXED = Writer(created=datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc))
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


class TestPack:
    def test_the_header_says_what_it_is(self) -> None:
        header = pickleseal.peek(pickleseal.pack({"a": 1}, meta={"team": "risk"}, writer=FIXED))
        assert header.type == "builtins:dict"
        assert header.created == "2026-01-02T03:04:05.678901Z"
        assert header.version == 0
        assert header.protocol == 5
        assert header.globals == ()
        assert dict(header.meta) == {"team": "risk"}
        assert header.build["python"] == sys.version.split()[0]
        assert header.build["pickleseal"] == pickleseal.__version__
        assert set(header.build) >= {"implementation", "platform", "python", "pickleseal"}
        assert repr(header).startswith("<Header type='builtins:dict'")

    def test_the_clock_is_used_where_no_time_is_given(self) -> None:
        before = datetime.datetime.now(datetime.timezone.utc)
        created = pickleseal.peek(pickleseal.pack(1)).created
        after = datetime.datetime.now(datetime.timezone.utc)
        assert before <= datetime.datetime.fromisoformat(created.replace("Z", "+00:00")) <= after

    def test_a_type_can_be_named(self) -> None:
        assert pickleseal.peek(pickleseal.pack({}, type="jobs.Snapshot")).type == "jobs.Snapshot"

    @pytest.mark.parametrize("name", ["", "x" * 1024, "a\nb", "\ud800", 7])
    def test_a_wrong_type_name_is_misuse(self, name: Any) -> None:
        with pytest.raises(ValueError, match="type: expected"):
            pickleseal.pack({}, type=name)

    @pytest.mark.parametrize("meta", [{"a": 1}, {"": "x"}, {"a b": "x"}, {1: "x"}, 5, ["a"]])
    def test_wrong_labels_are_misuse(self, meta: Any) -> None:
        with pytest.raises(TypeError, match="meta: expected"):
            pickleseal.pack({}, meta=meta)
        with pytest.raises(TypeError, match="build: expected"):
            Writer(build=meta)

    def test_labels_without_utf8_are_misuse(self) -> None:
        with pytest.raises(ValueError, match="UTF-8"):
            pickleseal.pack({}, meta={"a": "\ud800"})

    def test_a_header_that_is_too_large_is_refused(self) -> None:
        with pytest.raises(errors.PackError, match="header is too large"):
            pickleseal.pack({}, meta={"a": "x" * 2_000_000})

    def test_build_labels_come_from_writer_and_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PICKLESEAL_APP", "billing")
        monkeypatch.setenv("PICKLESEAL_COMMIT", "1f3c")
        build = pickleseal.peek(pickleseal.pack(1, writer=Writer(build={"commit": "2222", "stage": "prod"}))).build
        assert (build["app"], build["commit"], build["stage"]) == ("billing", "2222", "prod")

    def test_source_date_epoch_fixes_the_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        writer = Writer()
        assert pickleseal.pack({"a": [1]}, writer=writer) == pickleseal.pack({"a": [1]}, writer=Writer())
        assert pickleseal.peek(pickleseal.pack(1, writer=writer)).created == "2023-11-14T22:13:20.000000Z"

    @pytest.mark.parametrize("epoch", ["yesterday", "1e9", "-99999999999999", "9" * 30, "253402300800"])
    def test_a_wrong_source_date_epoch_is_named(self, monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        for _ in range(2):  # also where the text of that second is at hand
            with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH"):
                Writer()

    @pytest.mark.parametrize("created", [datetime.datetime(2026, 1, 1), "2026-01-01"])
    def test_a_time_without_a_zone_is_misuse(self, created: Any) -> None:
        with pytest.raises(ValueError, match="time zone"):
            Writer(created=created)

    def test_a_time_of_another_zone_is_written_in_utc(self) -> None:
        zone = datetime.timezone(datetime.timedelta(hours=2))
        writer = Writer(created=datetime.datetime(987, 1, 1, 1, tzinfo=zone))
        assert pickleseal.peek(pickleseal.pack(1, writer=writer)).created == "0986-12-31T23:00:00.000000Z"

    def test_parts_refer_to_the_object_s_memory(self) -> None:
        blob, buffer = b"x" * 100_000, bytearray(100_000)
        parts = pickleseal.pack_parts([blob, pickle.PickleBuffer(buffer)])
        assert any(part is blob for part in parts)
        assert any(isinstance(part, memoryview) and part.obj is buffer for part in parts)
        assert pickleseal.unpack(b"".join(parts)) == [blob, buffer]

    def test_small_buffers_stay_in_the_pickle(self) -> None:
        data = pickleseal.pack([pickle.PickleBuffer(bytes(1000)), pickle.PickleBuffer(bytearray(20_000))])
        assert [section.readonly for section in pickleseal.peek(data).sections] == [False, False]
        small, large = pickleseal.unpack(data)
        assert small == bytes(1000)
        assert large == bytes(20_000)

    def test_the_header_of_many_buffers_stays_within_its_limit(self) -> None:
        buffers = [pickle.PickleBuffer(bytearray(16_384)) for _ in range(10_050)]
        header = pickleseal.peek(pickleseal.pack(buffers))
        assert len(header.sections) == 10_001
        assert header.preamble.header_len < 1_048_576

    def test_read_only_buffers_stay_read_only(self) -> None:
        data = pickleseal.pack([pickle.PickleBuffer(bytes(20_000)), pickle.PickleBuffer(bytearray(20_000))])
        header = pickleseal.peek(data)
        assert [section.readonly for section in header.sections] == [False, True, False]
        frozen, free = pickleseal.unpack(data)
        assert frozen.readonly
        free[0] = 1

    def test_main_classes_and_platform_paths_are_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shapes.Job, "__module__", "__main__")
        monkeypatch.setattr(sys.modules["__main__"], "Job", shapes.Job, raising=False)
        with pytest.warns(errors.PackWarning, match="script that runs now") as caught:
            pickleseal.pack(shapes.Job(1, "a"))
        assert caught[0].filename == __file__
        with pytest.warns(errors.PackWarning, match="platform only"):
            pickleseal.pack(Path("/x"))

    def test_a_copyreg_extension_is_refused(self) -> None:
        import copyreg

        copyreg.add_extension("shapes", "Job", 240)
        try:
            with pytest.raises(errors.PackError, match="add_extension"):
                pickleseal.pack(shapes.Job(1, "a"))
        finally:
            copyreg.remove_extension("shapes", "Job", 240)

    def test_dumps_and_loads_take_what_hosts_pass(self) -> None:
        data = pickleseal.dumps([1], 4, fix_imports=True, buffer_callback=None)
        assert pickleseal.loads(data, fix_imports=True, encoding="ASCII", errors="strict", buffers=None) == [1]
        assert pickleseal.loads(memoryview(data)) == [1]

    def test_the_writer_is_immutable(self) -> None:
        with pytest.raises(AttributeError):
            FIXED.created = None  # type: ignore[misc]

    def test_threads_share_a_writer(self) -> None:
        found: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: found.extend(pickleseal.pack({"a": 1}, writer=FIXED) for _ in range(200)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 800
        assert len(set(found)) == 1


class TestUnpack:
    def test_expect_checks_and_trusts_a_class(self) -> None:
        data = pickleseal.pack(shapes.Job(1, "a"))
        assert pickleseal.unpack(data, expect=shapes.Job) == shapes.Job(1, "a")
        with pytest.raises(errors.TypeMismatchError) as caught:
            pickleseal.unpack(data, expect=dict)
        assert (caught.value.expected, caught.value.found) == ("builtins:dict", "shapes:Job")

    def test_expect_takes_a_name(self) -> None:
        data = pickleseal.pack({"a": 1}, type="jobs.Snapshot")
        assert pickleseal.unpack(data, expect="jobs.Snapshot") == {"a": 1}
        with pytest.raises(errors.TypeMismatchError):
            pickleseal.unpack(data, expect="jobs.Other")

    def test_a_header_that_lies_about_its_type_is_found_out(self) -> None:
        data = pickleseal.pack([1], type="builtins:dict")
        with pytest.raises(errors.TypeMismatchError, match="than its header says"):
            pickleseal.unpack(data, expect=dict)

    @pytest.mark.parametrize("expect", [7, ["a"], b"x"])
    def test_a_wrong_expect_is_misuse(self, expect: Any) -> None:
        for data in (pickleseal.pack(1), b"junk"):
            with pytest.raises(TypeError, match="expect: expected"):
                pickleseal.unpack(data, expect=expect)

    @pytest.mark.parametrize("data", ["text", None, 7, [1]])
    def test_wrong_data_is_misuse(self, data: Any) -> None:
        with pytest.raises(TypeError, match=r"data: expected bytes-like.*load"):
            pickleseal.unpack(data)
        with pytest.raises(TypeError, match=r"file: expected a path.*unpack"):
            pickleseal.load(b"bytes")  # type: ignore[call-overload]

    def test_every_kind_of_bytes_is_taken(self) -> None:
        import array

        data = pickleseal.pack([1])
        views = [
            bytearray(data),
            memoryview(data),
            memoryview(bytearray(data)),
            array.array("B", data),
            memoryview(data).cast("B", (len(data) // 64, 64)),
        ]
        doubled = bytearray(2 * len(data))
        doubled[::2] = data
        for view in [*views, memoryview(doubled)[::2]]:
            assert pickleseal.unpack(view) == [1]

    def test_a_nested_pickle_of_protocol_4_is_taken_and_2_asks_for_a_policy(self) -> None:
        data = (VECTORS / "valid" / "proto-2.pseal").read_bytes()
        with pytest.raises(errors.PolicyError, match="protocol is not accepted"):
            pickleseal.unpack(data)
        assert pickleseal.unpack(data, policy=Policy(protocols=(2,))) == {"id": 7, "s": "done"}
        assert pickleseal.verify(data).protocol == 2

    def test_a_batch_is_a_list(self) -> None:
        assert pickleseal.unpack((VECTORS / "valid" / "records.pseal").read_bytes()) == [1, 2, 3]

    def test_errors_of_the_payload_are_wrapped_with_their_cause(self) -> None:
        data = pickleseal.pack(shapes.RaisesOnLoad())
        with pytest.raises(errors.UnpickleError, match="raised KeyError") as caught:
            pickleseal.unpack(data, expect=shapes.RaisesOnLoad)
        assert isinstance(caught.value.__cause__, KeyError)

    @pytest.mark.parametrize("fields", [{"limits": 7}, {"limits": None}])
    def test_wrong_limits_are_misuse(self, fields: Any) -> None:
        with pytest.raises(TypeError):
            Policy(**fields)

    @pytest.mark.parametrize("protocols", [(), (1,), (6,), [5], 5])
    def test_wrong_protocols_are_misuse(self, protocols: Any) -> None:
        with pytest.raises(ValueError, match="protocols: expected"):
            Policy(protocols=protocols)

    @pytest.mark.parametrize(
        "fields", [{"max_frame": -1}, {"max_header": 2**20 + 1}, {"max_sections": 70_000}, {"max_decoded": 2**53}]
    )
    def test_limits_beyond_the_format_are_misuse(self, fields: Any) -> None:
        with pytest.raises(ValueError, match="expected 0 to"):
            Limits(**fields)

    @pytest.mark.parametrize("value", [True, 1.5, "1", None])
    def test_limits_are_integers(self, value: Any) -> None:
        with pytest.raises(TypeError):
            Limits(max_frame=value)

    def test_a_declared_length_allocates_nothing(self) -> None:
        """spec 3, I6: a small input that declares terabytes is refused as truncated, not by running out of memory."""
        from frames import Frame

        frame = Frame()
        frame.section_fields = [{"len": 2**52}]
        frame.preamble = {"frame_len": 64 + len(frame.header_bytes()) + 2**52}
        data = frame.data
        for source in (data, io.BytesIO(data), Unseekable(data)):
            with pytest.raises(errors.TruncatedError):
                pickleseal.verify(source)
        frame.sections += [b"x"]
        frame.section_fields = [{}, {"len": 2**52}]
        frame.preamble = {"frame_len": 0}
        frame.preamble = {"frame_len": 64 + len(frame.header_bytes()) + 128 + 2**52 - 64}
        for source in (frame.data, io.BytesIO(frame.data), Unseekable(frame.data)):
            with pytest.raises(errors.TruncatedError):
                (pickleseal.unpack if isinstance(source, bytes) else pickleseal.load)(source)


class Unseekable(io.RawIOBase):
    """A pipe: it can be read, in pieces of its own choice, and nothing else."""

    def __init__(self, data: bytes, most: int = 1 << 30) -> None:
        self._inner, self._most = io.BytesIO(data), most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._inner.read(min(len(buffer), self._most))
        buffer[: len(chunk)] = chunk
        return len(chunk)


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
        pickleseal.dump(OBJECTS[name], tmp_path / "a", writer=FIXED, durable=False)
        assert (tmp_path / "a").read_bytes() == pickleseal.pack(OBJECTS[name], writer=FIXED)
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
    def test_raw_and_buffered_files_are_left_behind_the_frame(self, name: str, tmp_path: Path, buffering: int) -> None:
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
    def test_a_pipe_of_any_temper(self, name: str, most: int) -> None:
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

    def test_a_file_system_that_cannot_reserve_is_written_all_the_same(
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
        for n in range(1, 200):
            pickleseal.dump([n] * 1000, path, durable=False)
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

    def test_peek_of_files_that_lie_about_seeking(self) -> None:
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

    def test_what_is_no_file_is_named(self) -> None:
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


class TestPeekAndVerify:
    def test_peek_takes_a_prefix_and_says_how_much_is_missing(self) -> None:
        data = pickleseal.pack({"a": "x" * 10_000}, meta={"k": "v" * 5000})
        have = data[:64]
        while True:
            try:
                header = pickleseal.peek(have)
                break
            except errors.TruncatedError as error:
                assert error.missing > 0
                have = data[: len(have) + error.missing]
        assert len(have) == header.preamble.head_len < len(data)

    def test_peek_leaves_a_seekable_file_where_it_was(self, tmp_path: Path) -> None:
        pickleseal.dump([1], tmp_path / "a")
        with open(tmp_path / "a", "rb") as file:
            assert pickleseal.peek(file).type == "builtins:list"
            assert pickleseal.load(file) == [1]
            with pytest.raises(errors.TruncatedError, match="empty, or at its end"):
                pickleseal.load(file)

    def test_unknown_members_of_a_newer_minor_cost_linear_time(self) -> None:
        """Counted, not timed: each member is looked at once."""
        from pickleseal._format import header as fields

        seen = 0
        real = fields._check_keys

        def count(value: Any, where: str) -> None:
            nonlocal seen
            seen += 1
            real(value, where)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fields, "_check_keys", count)
            entry = {"len": 1, "xxh3": "0" * 16, **{f"x{n}": 1 for n in range(2000)}}
            fields._sections([entry], True)
        assert seen <= 3 * 2000

    def test_long_names_of_strangers_are_not_kept(self) -> None:
        from pickleseal._format.header import is_key, is_name, matches_key, matches_name

        before = matches_key.cache_info().currsize, matches_name.cache_info().currsize
        for n in range(50):
            assert not is_key(f"k{n}" + "x" * 100_000)
            assert not is_name(f"k{n}" + "x" * 100_000)
        assert (matches_key.cache_info().currsize, matches_name.cache_info().currsize) == before

    def test_limits_of_a_policy_count(self) -> None:
        data = pickleseal.pack(1)
        for call in (pickleseal.peek, pickleseal.verify, pickleseal.unpack):
            with pytest.raises(errors.LimitExceededError):
                call(data, policy=Policy(limits=Limits(max_frame=64)))

    def test_nothing_is_imported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = pickleseal.pack(shapes.Job(1, "a"))
        monkeypatch.delitem(sys.modules, "shapes")
        called: list[str] = []
        real = builtins.__import__
        monkeypatch.setattr(builtins, "__import__", lambda name, *a, **k: called.append(name) or real(name, *a, **k))
        pickleseal.peek(data)
        pickleseal.verify(data)
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(data)
        monkeypatch.undo()
        assert not {"shapes", "pickle"} & set(called)

    def test_a_header_can_be_compared_pickled_and_not_changed(self) -> None:
        data = pickleseal.pack([1], meta={"a": "b"}, writer=FIXED)
        header = pickleseal.peek(data)
        assert header == pickleseal.peek(data) == pickle.loads(pickle.dumps(header))
        assert hash(header) == hash(pickleseal.peek(data))
        assert header != pickleseal.peek(pickleseal.pack([1], writer=FIXED))
        assert header != 7
        with pytest.raises(AttributeError):
            header.type = "x"  # type: ignore[misc]
        with pytest.raises(TypeError):
            header.meta["a"] = "x"  # type: ignore[index]
        header.as_dict()["meta"]["a"] = "changed"
        vendor = (VECTORS / "valid" / "ext.pseal").read_bytes()
        pickleseal.peek(vendor).ext["com.example.lineage"]["parents"].append("changed")
        assert pickleseal.peek(vendor).ext["com.example.lineage"]["parents"] == ["a", "b"]
        assert header.meta["a"] == "b"

    def test_a_seal_is_shown_as_a_claim(self) -> None:
        assert pickleseal.peek(VECTORS / "valid" / "sealed.pseal").signatures == (("hmac-sha256", "test-2026"),)


def test_the_suite_has_no_silent_warnings() -> None:
    assert any(action == "error" for action, *_ in warnings.filters)


class TestIdlePicklers:
    """Small objects reuse picklers (payload/pickler.py): nothing of one object may show in the next."""

    def test_a_pack_inside_a_pack(self) -> None:
        inner = pickleseal.pack(shapes.Nested([1, shapes.Job(1, "a")]), writer=FIXED)
        assert pickleseal.unpack(inner, trust=[shapes.Nested]).data == pickleseal.pack(
            [1, shapes.Job(1, "a")], writer=FIXED
        )

    def test_globals_and_memo_do_not_leak(self) -> None:
        shared = shapes.Job(1, "a")
        first = pickleseal.pack([shared, shared], writer=FIXED)
        assert pickleseal.peek(pickleseal.pack([1])).globals == ()
        for _ in range(20):
            assert pickleseal.pack([shared, shared], writer=FIXED) == first
            with pytest.raises(errors.PackError):
                pickleseal.pack([shapes.Job(2, "b"), lambda: 1])

    def test_a_pickler_with_a_large_memo_is_not_kept(self) -> None:
        from pickleseal._payload import pickler

        pickler.idle_picklers.clear()
        pickleseal.pack([[] for _ in range(30_000)])
        assert pickler.idle_picklers == []
        pickleseal.pack([1])
        assert len(pickler.idle_picklers) == 1

    def test_packed_objects_are_not_kept_alive(self) -> None:
        import gc
        import weakref

        job = shapes.Job(1, "a")
        gone = weakref.ref(job)
        pickleseal.pack([job])
        del job
        gc.collect()
        assert gone() is None

    def test_threads_do_not_share_one(self) -> None:
        results: list[bool] = []

        def work(n: int) -> None:
            obj = {"n": n, "jobs": [shapes.Job(n, str(n))] * 3}
            for _ in range(300):
                results.append(pickleseal.unpack(pickleseal.pack(obj), trust=[shapes.Job]) == obj)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 1800
