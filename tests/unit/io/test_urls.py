"""Artifacts at URLs, over fsspec's own file systems: what is asked of a store, and what any answer of it leads to."""

import errno
import importlib
import io
import os
import pickle
import stat
import sys
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers.support import manifest, need, policy_of, read
from hypothesis import example, given
from hypothesis import strategies as st

import pickleseal
from pickleseal import errors
from pickleseal._io import remote, stores
from pickleseal._io.url import is_url, local_path, masked, os_error

need("fsspec")

URL = "memory://folder/a.pseal"
SECRET = "hunter2"


class Shelf:
    """What fsspec's memory file system is asked, and a way to act in between."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        self.asked: list[tuple[Any, ...]] = []
        self.before: Callable[[int], None] = lambda count: None
        self.fs = MemoryFileSystem()
        shelf, cat_file, info = self, MemoryFileSystem.cat_file, MemoryFileSystem.info

        def recorded_cat(fs: Any, path: str, start: int, end: int) -> Any:
            shelf.before(len(shelf.asked))
            shelf.asked.append((start, end))
            return cat_file(fs, path, start=start, end=end)

        def recorded_info(fs: Any, path: str, **more: Any) -> Any:
            shelf.before(len(shelf.asked))
            shelf.asked.append(("info",))
            return info(fs, path, **more)

        patch.setattr(MemoryFileSystem, "cat_file", recorded_cat)
        patch.setattr(MemoryFileSystem, "info", recorded_info)

    def put(self, data: bytes, url: str = URL) -> None:
        self.fs.pipe_file(url, data)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    found = Shelf(monkeypatch)
    yield found
    found.fs.store.clear()
    found.fs.pseudo_dirs[:] = [""]


@pytest.fixture(params=["one by one", "ahead"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read small ranges, each when it is needed, or some ahead in threads."""
    monkeypatch.setattr(remote, "_CHUNK", 20_000)
    if request.param == "ahead":
        monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.async_impl", True)


def large(number: int, size: int = 100_000) -> bytes:
    """Pack a buffer beside a pickle of a few kilobytes."""
    buffer = bytes([number]) * size
    return pickleseal.pack([number, "x" * 5000, pickle.PickleBuffer(buffer), pickle.PickleBuffer(bytearray(buffer))])


def content(obj: Any) -> list[Any]:
    return [bytes(item) if isinstance(item, memoryview) else item for item in obj]


class TestWhatComesBack:
    @pytest.mark.parametrize("obj", [None, {"a": [1, 2]}, "x" * 100_000, list(range(10_000))], ids=range(4))
    def test_what_was_dumped(self, shelf: Shelf, threads: None, obj: Any) -> None:
        pickleseal.dump(obj, URL, meta={"team": "risk"})
        assert pickleseal.load(URL) == obj
        assert pickleseal.peek(URL) == pickleseal.verify(URL)
        assert pickleseal.peek(URL).meta == {"team": "risk"}

    def test_buffers_as_they_were(self, shelf: Shelf, threads: None) -> None:
        shelf.put(large(7))
        number, text, readonly, writable = pickleseal.load(URL)
        assert (number, text) == (7, "x" * 5000)
        assert (readonly.readonly, writable.readonly) == (True, False)
        assert readonly == writable == bytes([7]) * 100_000

    @pytest.mark.parametrize("kind", ["valid", "invalid"])
    def test_every_vector_gets_the_verdict_that_its_bytes_get(self, shelf: Shelf, threads: None, kind: str) -> None:
        for entry in manifest()[kind]:
            data = read(entry)
            if any(key["alg"] == "ed25519" for key in entry.get("policy", {}).get("keys", ())) or len(data) > 1 << 20:
                continue
            shelf.put(data)
            policy = policy_of(entry)["policy"]
            for function in (pickleseal.peek, pickleseal.verify):
                assert verdict(function, URL, policy) == verdict(function, data, policy), entry["file"]

    def test_every_cut_is_refused_as_it_is_in_memory(self, shelf: Shelf, threads: None) -> None:
        data = large(3, 20_000)
        for size in (0, 1, 63, 64, 1000, 8191, 8192, 8193, 20_000, 28_192, len(data) - 64, len(data) - 1):
            shelf.put(data[:size])
            assert verdict(pickleseal.load, URL, None) == verdict(pickleseal.unpack, data[:size], None), size

    def test_bytes_after_the_frame_are_refused(self, shelf: Shelf, threads: None) -> None:
        shelf.put(large(3) + b"more")
        with pytest.raises(errors.TrailingBytesError) as caught:
            pickleseal.load(URL)
        assert caught.value.path == URL

    def test_a_reader_reads_and_keeps_what_it_refuses(self, shelf: Shelf, threads: None, tmp_path: Path) -> None:
        seen: list[Any] = []
        reader = pickleseal.Reader(quarantine=tmp_path, on_event=seen.append)
        data = bytearray(large(3))
        shelf.put(bytes(data))
        assert content(reader.read(URL).object) == content(pickleseal.unpack(data))
        assert reader.accepts(URL).frame_len == len(data)
        data[-50_000] ^= 1
        shelf.put(bytes(data))
        with pytest.raises(errors.SectionChecksumError) as caught:
            reader.read(URL)
        assert Path(str(caught.value.quarantined)).read_bytes() == data
        assert (caught.value.path, seen[-1].name, seen[-1].code) == (URL, URL, "section-checksum")


def verdict(function: Callable[..., Any], data: Any, policy: Any) -> Any:
    try:
        return function(data, policy=policy)
    except errors.ReadError as error:
        return error.code, error.step, error.where, error.expected, error.found


class TestWhatIsAsked:
    def test_one_range_for_the_header(self, shelf: Shelf) -> None:
        for data in (pickleseal.pack(1), large(3)):
            shelf.put(data)
            shelf.asked.clear()
            pickleseal.peek(URL)
            assert shelf.asked == [(0, 8192)]

    def test_one_for_a_small_artifact(self, shelf: Shelf) -> None:
        shelf.put(pickleseal.pack(list(range(1000))))
        pickleseal.load(URL)
        pickleseal.verify(URL)
        assert shelf.asked == [(0, 8192)] * 2

    def test_two_for_a_large_header(self, shelf: Shelf) -> None:
        shelf.put(pickleseal.pack(1, meta={"a": "x" * 20_000}))
        head = pickleseal.peek(URL).preamble.head_len
        assert shelf.asked == [(0, 8192), (8192, head)]

    def test_the_body_once_and_no_byte_more(self, shelf: Shelf, threads: None) -> None:
        data = large(3)
        shelf.put(data)
        pickleseal.load(URL)
        assert shelf.asked.count(("info",)) == 1
        ranges = sorted(asked for asked in shelf.asked if asked != ("info",))
        assert ranges[0] == (0, 8192)
        assert [start for start, _ in ranges[1:]] == [end for _, end in ranges[:-1]]
        assert ranges[-1][1] == len(data)

    def test_nothing_of_the_body_where_the_header_is_refused(self, shelf: Shelf) -> None:
        shelf.put(large(3))
        with pytest.raises(errors.TypeMismatchError):
            pickleseal.load(URL, expect=dict)
        assert shelf.asked == [(0, 8192)]

    @pytest.mark.parametrize("function", [pickleseal.load, pickleseal.verify])
    def test_a_declared_length_allocates_nothing(
        self, shelf: Shelf, function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(length: int) -> memoryview:
            raise AssertionError(f"{length} bytes asked for")

        monkeypatch.setattr("pickleseal._io.source.allocate", refuse)
        shelf.put(large(3, 2_000_000)[:30_000])
        with pytest.raises(errors.TruncatedError) as caught:
            function(URL)
        assert caught.value.found == 30_000


class TestAnObjectThatChanges:
    """The result is one whole object, or a refusal; ESTALE if the replacement is noticed."""

    @given(st.integers(0, 12), st.sampled_from([100_000, 60_000, 140_000, 0]), st.booleans())
    @example(1, 100_000, False)
    @example(2, 100_000, False)
    @example(1, 60_000, True)
    @example(3, 0, True)
    def test_at_any_moment(self, when: int, size: int, is_ahead: bool) -> None:
        with pytest.MonkeyPatch.context() as patch:
            shelf = Shelf(patch)
            patch.setattr(remote, "_CHUNK", 20_000)
            patch.setattr("fsspec.implementations.memory.MemoryFileSystem.async_impl", is_ahead)
            old, new = large(1), large(2, size)
            shelf.put(old)
            shelf.before = lambda count: shelf.put(new) if count == when else None
            try:
                found = content(pickleseal.load(URL))
            except OSError as exc:
                assert (exc.errno, exc.filename) == (errno.ESTALE, URL)
            else:
                assert found in (content(pickleseal.unpack(old)), content(pickleseal.unpack(new)))

    def test_it_is_deleted(self, shelf: Shelf, threads: None) -> None:
        for when in (1, 2, 3):
            shelf.put(large(1))
            shelf.asked.clear()
            shelf.before = lambda count, when=when: shelf.fs.store.clear() if count == when else None  # type: ignore[misc]
            with pytest.raises(FileNotFoundError):
                pickleseal.load(URL)

    def test_damage_is_not_taken_for_a_change(self, shelf: Shelf, threads: None) -> None:
        data = bytearray(large(1))
        data[60_000] ^= 1
        shelf.put(bytes(data))
        with pytest.raises(errors.SectionChecksumError) as caught:
            pickleseal.load(URL)
        assert caught.value.path == URL


class TestOddStores:
    def test_a_store_without_sizes(self, shelf: Shelf, threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.info", lambda fs, path: {"size": None})
        for obj in (large(1), large(1)[:50_000], large(1) + b"x"):
            shelf.put(obj)
            try:
                found = content(pickleseal.load(URL))
            except errors.ReadError as exc:
                assert len(obj) != len(large(1))
                assert exc.code == ("truncated" if len(obj) < len(large(1)) else "trailing-bytes")
            else:
                assert found == content(pickleseal.unpack(large(1)))

    def test_a_store_without_ranges(self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
        data = large(1)
        monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.cat_file", lambda *_, **__: data)
        assert content(pickleseal.load(URL)) == content(pickleseal.unpack(data))
        assert pickleseal.peek(URL).frame_len == len(data)

    def test_a_store_that_no_longer_serves_ranges(
        self, shelf: Shelf, threads: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = large(1)
        shelf.put(data)
        answer: Any = lambda fs, path, start, end: data if start else data[:end]  # noqa: E731
        monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.cat_file", answer)
        with pytest.raises(OSError, match="more than the range"):
            pickleseal.load(URL)

    def test_a_store_that_cuts_ranges_short(self, shelf: Shelf, threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
        data = large(1)
        shelf.put(data)
        answer: Any = lambda fs, path, start, end: data[start : end - (100 if start else 0)]  # noqa: E731
        monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.cat_file", answer)
        with pytest.raises(errors.TruncatedError):
            pickleseal.load(URL)

    @pytest.mark.parametrize(
        ("raised", "number"),
        [(RuntimeError("boom"), errno.EIO), (PermissionError("no"), errno.EACCES), (OSError(28, "full"), errno.ENOSPC)],
    )
    def test_errors_of_a_store_become_os_errors(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, raised: Exception, number: int
    ) -> None:
        def fail(*_: Any, **__: Any) -> Any:
            raise raised

        for name in ("cat_file", "pipe_file"):
            monkeypatch.setattr(f"fsspec.implementations.memory.MemoryFileSystem.{name}", fail)
        for act in (lambda: pickleseal.load(URL), lambda: pickleseal.dump(1, URL)):
            with pytest.raises(OSError) as caught:
                act()
            assert (caught.value.errno, caught.value.filename) == (number, URL)

    def test_an_error_in_the_middle(self, shelf: Shelf, threads: None) -> None:
        def fail(count: int) -> None:
            if count > 2:
                raise ConnectionResetError(errno.ECONNRESET, "gone")

        shelf.put(large(1))
        shelf.before = fail
        with pytest.raises(ConnectionResetError):
            pickleseal.load(URL)

    def test_no_object(self, shelf: Shelf) -> None:
        for act in (pickleseal.load, pickleseal.peek, pickleseal.verify, pickleseal.Reader().read):
            with pytest.raises(FileNotFoundError) as caught:
                act("memory://none")
            assert caught.value.filename == "memory://none"


class TestWriting:
    def test_parts_are_cut_and_not_copied(self) -> None:
        parts: list[Any] = [b"a" * 10, bytearray(b"b" * 25), b"", memoryview(b"c" * 7)]
        chunks = list(stores._chunks(parts, 10))
        assert b"".join(chunks) == b"".join(parts)
        assert [len(chunk) for chunk in chunks] == [10, 10, 10, 5, 7]
        assert chunks[1].obj is parts[1]

    @given(st.integers(1, 1 << 46))
    def test_there_are_never_too_many_parts(self, total: int) -> None:
        size = stores._part_size(total)
        assert size >= 8 << 20
        assert -(-total // size) <= 9000

    def test_what_cannot_be_packed_writes_nothing(self, shelf: Shelf) -> None:
        with pytest.raises(errors.PackError):
            pickleseal.dump(sys, "memory://new")
        assert not shelf.fs.store

    def test_into_and_out_of_chains(self, shelf: Shelf, tmp_path: Path) -> None:
        shelf.put(large(1))
        assert content(pickleseal.load(f"simplecache::{URL}")) == content(pickleseal.unpack(large(1)))
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a.pseal", large(2))
        shelf.put(packed.getvalue(), "memory://b.zip")
        assert content(pickleseal.load("zip://a.pseal::memory://b.zip")) == content(pickleseal.unpack(large(2)))
        assert pickleseal.peek("zip://a.pseal::memory://b.zip").frame_len == len(large(2))


class TestLocal:
    @pytest.mark.parametrize("scheme", ["file", "local"])
    def test_it_is_the_file_itself(self, tmp_path: Path, scheme: str) -> None:
        path = tmp_path / "a b%20c.pseal"
        pickleseal.dump("old", path)
        os.chmod(path, 0o640)
        url = f"{scheme}://{path.as_posix()}"
        pickleseal.dump("new", url)
        assert os.listdir(tmp_path) == [path.name]
        assert stat.S_IMODE(path.stat().st_mode) == (0o640 if os.name == "posix" else 0o666)
        assert pickleseal.load(url) == pickleseal.load(path) == "new"
        assert pickleseal.peek(url) == pickleseal.verify(url) == pickleseal.Reader().accepts(url)
        path.write_bytes(b"x" * 100)
        with pytest.raises(errors.NotAnArtifactError) as caught:
            pickleseal.load(url)
        assert caught.value.path == path.as_posix()

    def test_a_failed_write_leaves_the_old_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a"
        pickleseal.dump("old", f"file://{path}")

        def fail(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pickleseal._io.atomic.write_all", fail)
        with pytest.raises(OSError, match="No space"):
            pickleseal.dump("new", f"file://{path}")
        monkeypatch.undo()
        assert pickleseal.load(path) == "old"


class TestMisuse:
    def test_what_is_a_url(self) -> None:
        for text in (
            "s3://a/b",
            "memory://x",
            "simplecache::s3://a",
            "zip://a::s3://b/c.zip",
            "git+ssh://x",
            "file:///x",
        ):
            assert is_url(text), text
        for data in ("a", "/a/b://c", "C://a", "a::b", "./s3://a", "s3:/a", "", b"s3://a", Path("s3://a"), 7, None):
            assert not is_url(data), data

    def test_a_path_with_colons_is_a_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        if os.name == "posix":
            pickleseal.dump(1, "a::b")
            assert pickleseal.load("a::b") == 1

    def test_options_are_for_urls(self, tmp_path: Path) -> None:
        data = pickleseal.pack(1)
        path = str(tmp_path / "a")
        pickleseal.dump(1, path)
        for file in (path, Path(path), io.BytesIO(data), f"file://{path}"):
            for act in (pickleseal.load, pickleseal.peek, pickleseal.verify):
                with pytest.raises(ValueError, match="storage_options") as caught:
                    act(file, storage_options={"key": SECRET})
                assert SECRET not in str(caught.value)
            with pytest.raises(ValueError, match="storage_options"):
                pickleseal.dump(2, file, storage_options={"key": SECRET})
        with pytest.raises(ValueError, match="storage_options"):
            pickleseal.peek(data, storage_options={})
        with pytest.raises(TypeError, match="storage_options: expected a mapping, found str"):
            pickleseal.load(URL, storage_options=SECRET)  # type: ignore[call-overload]
        assert pickleseal.load(path) == 1

    def test_no_options_are_fine(self, shelf: Shelf) -> None:
        pickleseal.dump(1, URL, storage_options={})
        assert pickleseal.load(URL, storage_options={}) == 1

    def test_files_are_sealed_and_upgraded_in_place_and_urls_are_not(self, shelf: Shelf) -> None:
        shelf.put(pickleseal.pack(1))
        with pytest.raises(ValueError, match="upgrade: expected a path, found a URL"):
            pickleseal.maintenance.upgrade(URL)
        with pytest.raises(ValueError, match=r"seal: expected a path, found a URL \(ftp://\*\*\*@host/a\)"):
            pickleseal.maintenance.seal(f"ftp://me:{SECRET}@host/a", pickleseal.Key.generate("a"))

    def test_an_unknown_scheme(self) -> None:
        with pytest.raises(ValueError, match="nosuch"):
            pickleseal.load("nosuch://a/b")

    def test_fsspec_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "fsspec", None)
        for url in (URL, "file:///a"):
            with pytest.raises(errors.MissingExtraError) as caught:
                pickleseal.load(url)
            assert caught.value.hint == "pip install 'pickleseal[fsspec]'"

    def test_the_package_of_a_scheme_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = {"class": "nosuchmodule.FileSystem", "err": "Install nosuchmodule to access shelves"}
        monkeypatch.setitem(importlib.import_module("fsspec.registry").known_implementations, "shelf", entry)
        with pytest.raises(errors.MissingExtraError, match=r"(?s)shelf://.*Install nosuchmodule to access shelves"):
            pickleseal.load("shelf://a")


class TestSecrets:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("s3://bucket/a b.pseal", "s3://bucket/a b.pseal"),
            (f"ftp://me:{SECRET}@host/a", "ftp://***@host/a"),
            (f"ftp://me:p@{SECRET}@host/a@b", "ftp://***@host/a@b"),
            (f"https://{SECRET}@host/a", "https://***@host/a"),
            (f"https://host/a?sig={SECRET}", "https://host/a?***"),
            (f"zip://a::https://me:{SECRET}@host/b?sig={SECRET}", "zip://a::https://***@host/b?***"),
            (f"simplecache::https://host/b?sig={SECRET}", "simplecache::https://host/b?***"),
            ("s3://bucket/a?versionId=1", "s3://bucket/a?versionId=1"),
            (f"ftp://me:x/{SECRET}@host/a", "ftp://***@host/a"),
            (f"zip://a::ftp://me:x/{SECRET}@host/a", "zip://a::ftp://***@host/a"),
            ("https://host:8080/@scope/a", "https://host:8080/@scope/a"),
        ],
    )
    def test_they_are_masked(self, url: str, shown: str) -> None:
        assert masked(url) == shown
        error = os_error(RuntimeError(f"cannot get {url} now"), url)
        assert error.filename == shown
        assert SECRET not in str(error)
        assert shown in error.strerror

    @pytest.mark.parametrize(
        "part", ["://a:", "http://", "http://a?", "://a/", "a@", "://a:1/", "http://a?b::", ": "], ids=repr
    )
    @pytest.mark.parametrize("around", ["{}", "x@{}", "{}@", "http://a?b::{}"])
    def test_long_texts_take_linear_time(self, part: str, around: str) -> None:
        """Texts of a store can be long. If each "://" searched all of the rest, this would take minutes."""
        text = around.format(part * 200_000)
        assert SECRET not in masked(f"{text} http://me:{SECRET}@host/?key={SECRET}")

    def test_in_refusals(self, shelf: Shelf) -> None:
        url = f"memory://me:{SECRET}@host/a"
        shelf.put(b"x" * 100, url)
        with pytest.raises(errors.NotAnArtifactError) as caught:
            pickleseal.load(url)
        assert caught.value.path == "memory://***@host/a"
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("use", [pickleseal.load, pickleseal.iter_load, lambda url: pickleseal.dump(1, url)])
    def test_in_what_fails_while_a_chain_is_opened(self, use: Any) -> None:
        need("fsspec")
        with pytest.raises(FileNotFoundError) as caught:
            use(f"zip://a::memory://me:{SECRET}@host/missing.zip")
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        assert caught.value.filename == "zip://a::memory://***@host/missing.zip"

    def test_an_error_whose_number_is_none(self) -> None:
        error = os_error(FileNotFoundError(f"%s not found {SECRET}", "a"), f"https://{SECRET}@host/a")
        assert error.errno == errno.ENOENT
        assert SECRET not in str(error)

    def test_local_paths_are_found_by_fsspecs_rules(self) -> None:
        assert local_path("memory://a") is None
        assert local_path("simplecache::file:///a") is None
        assert str(local_path("file:///a%20b")).endswith("/a%20b")


def test_a_stream_is_read_from_a_url(tmp_path: Path) -> None:
    fsspec = need("fsspec")
    path = tmp_path / "events"
    with pickleseal.StreamWriter(path, batch=7, fsync=0) as stream:
        for number in range(100):
            stream.append({"number": number})
    fsspec.filesystem("memory").pipe_file("/streams/events", path.read_bytes())
    for url in ("memory://streams/events", path.as_uri()):
        assert [event["number"] for event in pickleseal.iter_load(url)] == list(range(100))
    fsspec.filesystem("memory").pipe_file("/streams/events", path.read_bytes()[:-1])
    records = pickleseal.iter_load("memory://streams/events")
    with pytest.raises(pickleseal.errors.TornTailError) as info:
        list(records)
    assert info.value.record == 98
    assert info.value.path == "memory://streams/events"


def test_streams_are_not_appended_to_at_a_url() -> None:
    for refused in (
        lambda url: pickleseal.append(url, 1),
        pickleseal.StreamReader,
        pickleseal.maintenance.repair,
        lambda url: pickleseal.iter_load(url, on_error="skip"),
    ):
        with pytest.raises(ValueError, match="path"):
            refused("memory://streams/events")
