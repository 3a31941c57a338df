"""`pickleseal scan`, and `iter_headers` below it: headers alone, whatever is in the files, and what changed since."""

from __future__ import annotations

import json
import os
import pickle
import re
import sqlite3
import sys
import threading
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from _helpers.catalogs import PACKED, query, scan, settle, sql_blocks, stream_of, write_artifacts, write_moved_classes
from _helpers.cli_runs import golden, python, run
from _helpers.support import need
from hypothesis import given
from hypothesis import strategies as st

import pickleseal
from pickleseal import catalog as headers
from pickleseal import errors
from pickleseal._cli.main import main


def found(*paths: Path | str, **options: Any) -> list[tuple[int, int, str | None]]:
    """Return offset, record, and code of each entry."""
    entries = list(pickleseal.catalog.iter_headers(paths, **options))
    for entry in entries:
        assert pickle.loads(pickle.dumps(entry)).header == entry.header
        assert (entry.header is None) != (entry.error is None)
        assert set(entry.as_row()) == set(headers.COLUMNS)
    return [(entry.offset, entry.record, code_of(entry.error)) for entry in entries]


def code_of(error: Exception | None) -> str | None:
    return None if error is None else getattr(error, "code", type(error).__name__)


class TestIterHeaders:
    def test_artifacts_in_the_order_of_the_paths(self, tmp_path: Path) -> None:
        paths = []
        for number, data in enumerate(PACKED * 20):
            paths.append(tmp_path / f"{number * 7 % 60}")
            paths[-1].write_bytes(data)
        entries = list(pickleseal.catalog.iter_headers(paths))
        assert [entry.path for entry in entries] == [str(path) for path in paths]
        assert [entry.header for entry in entries] == [pickleseal.peek(path) for path in paths]
        assert {entry.file_size for entry in entries} == set(map(len, PACKED))
        assert entries[0].modified == datetime.fromtimestamp(
            os.stat(paths[0]).st_mtime_ns // 1000 / 1_000_000, timezone.utc
        ).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def test_streams_frame_by_frame(self, tmp_path: Path) -> None:
        path = stream_of(tmp_path, 500, batch=7)
        with pickleseal.StreamReader(path) as reader:
            frames = list(reader.frames())
        entries = list(pickleseal.catalog.iter_headers([path]))
        assert [(entry.offset, entry.record, entry.header) for entry in entries] == [
            (frame.offset, frame.record, frame.header) for frame in frames
        ]

    def test_a_large_header(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        pickleseal.dump(1, path, meta={f"key{number}": "x" * 200 for number in range(100)})
        assert pickleseal.peek(path).preamble.header_len > 2 * 8192
        assert found(path) == [(0, 0, None)]

    def test_a_refused_file_is_an_entry_and_the_next_ones_follow(self, tmp_path: Path) -> None:
        cases = {
            "html": (b"<html>" * 5000, "not-an-artifact"),
            "cut": (PACKED[0][:-1], "truncated"),
            "stub": (PACKED[0][:70], "truncated"),
            "flipped": (PACKED[0][:100] + b"\xff" + PACKED[0][101:], "header-checksum"),
            "preamble": (PACKED[0][:20] + b"\xff" + PACKED[0][21:], "preamble-checksum"),
        }
        for name, (data, _) in cases.items():
            (tmp_path / name).write_bytes(data)
        (tmp_path / "folder").mkdir()
        (tmp_path / "empty").touch()  # a stream without frames
        (tmp_path / "good").write_bytes(PACKED[1])
        wanted = {name: code for name, (_, code) in cases.items()} | {"folder": None, "gone": None, "good": None}
        entries = list(pickleseal.catalog.iter_headers([tmp_path / name for name in ("empty", *wanted)]))
        codes = {os.path.basename(entry.path): code_of(entry.error) for entry in entries}
        assert codes == wanted | {"folder": "OSError", "gone": "FileNotFoundError"}
        assert entries[-1].header is not None

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert found(tmp_path / "pipe") == [(0, 0, "OSError")]

    def test_damage_in_a_stream(self, tmp_path: Path) -> None:
        path = stream_of(tmp_path, 10)
        whole = [offset for offset, _, _ in found(path)]
        data = bytearray(path.read_bytes())
        data[whole[3] + 100] ^= 1  # a header
        data[whole[6] + 20] ^= 1  # a preamble
        path.write_bytes(data[:-1])
        entries = found(path)
        assert [code for _, _, code in entries] == [
            *(None, None, None, "header-checksum", None, None, "preamble-checksum", None, None, "torn-tail")
        ]
        assert [record for _, record, _ in entries] == list(range(10))

    def test_keys_and_limits_of_a_policy(self, tmp_path: Path) -> None:
        ring = pickleseal.KeyRing([pickleseal.Key.hmac("k", b"s" * 32)])
        path = tmp_path / "a"
        pickleseal.dump(1, path, options=pickleseal.PackOptions(keys=ring))
        (entry,) = pickleseal.catalog.iter_headers([path], policy=pickleseal.Policy(keys=ring))
        assert entry.header is not None
        assert entry.header.verified == (("hmac-sha256", "k"),)
        assert entry.as_row()["signed"] == ["k"]
        other = pickleseal.KeyRing([pickleseal.Key.hmac("k", b"t" * 32)])
        assert found(path, policy=pickleseal.Policy(keys=other)) == [(0, 0, "signature-invalid")]
        small = pickleseal.Policy(limits=pickleseal.Limits(max_frame=100))
        assert found(path, policy=small) == [(0, 0, "limit-exceeded")]

    @given(
        st.lists(
            st.sampled_from([*PACKED, b"", b"junk" * 40, bytes(64), PACKED[0][:-64], PACKED[1][:64] + PACKED[0][64:]]),
            max_size=6,
        ),
        st.integers(0, 2000),
        st.integers(0, 255),
    )
    def test_any_bytes_give_entries(self, parts: list[bytes], at: int, flip: int) -> None:
        """Any bytes give entries with documented errors, in order, each at its offset. No exception is raised."""
        data = bytearray(b"".join(parts))
        if at < len(data):
            data[at] ^= flip
        policy = pickleseal.Policy()
        entries = list(headers.read_headers(data, name="-", policy=policy))
        offsets = [entry.offset for entry in entries]
        assert entries
        assert offsets == sorted(offsets)
        for entry in entries:
            assert entry.header is not None or isinstance(entry.error, errors.ReadError)
            if entry.header is not None:
                assert pickleseal.peek(bytes(data[entry.offset :])) == entry.header

    def test_arguments(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="paths"):
            pickleseal.catalog.iter_headers("a.pseal")
        with pytest.raises(ValueError, match="concurrency"):
            pickleseal.catalog.iter_headers([], concurrency=0)
        with pytest.raises(TypeError, match="storage_options"):
            pickleseal.catalog.iter_headers([], storage_options=3)  # type: ignore[arg-type]
        assert list(pickleseal.catalog.iter_headers(iter([]))) == []

    def test_a_partition(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pseal"
        pickleseal.dump([1], path, meta={"team": "risk"})
        function = pickle.loads(pickle.dumps(pickleseal.catalog.scan_partition))
        (good, bad) = pickle.loads(pickle.dumps(function([str(path), "gone"])))
        assert (good["path"], good["type"], good["meta"], good["error"]) == (
            *(str(path), "builtins:list"),
            *({"team": "risk"}, None),
        )
        assert (bad["type"], bad["error"], bad["reason"]) == (None, "unreadable", "No such file or directory")


class TestUrls:
    def test_any_store(self, tmp_path: Path) -> None:
        fsspec = need("fsspec")
        files = fsspec.filesystem("memory")
        path = stream_of(tmp_path, 300)
        files.pipe_file("/h/s.pseal", path.read_bytes())
        files.pipe_file("/h/a.pseal", PACKED[2])
        files.pipe_file("/h/cut.pseal", PACKED[2][:-1])
        files.pipe_file("/h/empty.pseal", b"")
        urls = [f"memory://h/{name}.pseal" for name in ("a", "s", "cut", "empty", "gone")]
        codes = [code for _, _, code in found(*urls, path, "nosuch://x")]
        assert codes == [None] * 301 + ["truncated", "FileNotFoundError"] + [None] * 300 + ["OSError"]
        assert found(urls[1]) == found(path)

    def test_a_damaged_object_is_not_searched_through(self, tmp_path: Path) -> None:
        fsspec = need("fsspec")
        path = stream_of(tmp_path, 9)
        data = bytearray(path.read_bytes())
        second = found(path)[1][0]
        data[second + 20] ^= 1
        fsspec.filesystem("memory").pipe_file("/d/s.pseal", bytes(data))
        assert [code for _, _, code in found("memory://d/s.pseal")] == [None, "preamble-checksum"]


class TestCatalog:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_artifacts(tmp_path)

    def test_rows(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        said = scan(folder, capsys)
        assert (said["exit_code"], said["complete"]) == (3, False)
        assert said["summary"] == {
            "files": 4,
            "artifacts": 7,
            "refused": 1,
            "new": 4,
            "read_again": 0,
            "unchanged": 0,
            "removed": 0,
        }
        names = "path, type, version, created, globals, meta, modified, error, json_extract(build, '$.app')"
        rows = query(folder / "c.sqlite", f"SELECT {names} FROM artifacts ORDER BY id")  # noqa: S608
        assert rows[0] == (
            *(str(folder / "a.pseal"), "datetime:datetime", 0, "2026-01-02T00:00:00.000000Z", '["datetime:datetime"]'),
            *('{"team": "risk"}', "2023-11-14T22:13:20.000000Z", None, "billing"),
        )
        assert rows[2][1:3] + rows[2][7:8] == (None, None, "not-an-artifact")
        assert [os.path.basename(row[0]) for row in rows[3:]] == ["s.pseal"] * 5
        types = {one["type"]: one["artifacts"] for one in said["results"] if "type" in one}
        assert types == {"builtins:dict": 5, "builtins:int": 1, "datetime:datetime": 1}

    def test_incremental(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scan(folder, capsys)
        read: list[str] = []
        monkeypatch.setattr(headers.os, "open", lambda p, *a, _open=os.open: read.append(str(p)) or _open(p, *a))

        def names() -> list[str]:
            seen = sorted({os.path.basename(path) for path in read if path.endswith(".pseal")})
            read.clear()
            return seen

        said = scan(folder, capsys)
        assert names() == ["bad.pseal"]  # what was refused is tried again, so that the run says incomplete
        assert (said["summary"]["unchanged"], said["summary"]["read_again"], said["exit_code"]) == (3, 1, 3)
        (folder / "bad.pseal").unlink()
        (folder / "new.pseal").write_bytes(PACKED[1])
        (folder / "b.pseal").write_bytes(PACKED[2])
        os.utime(folder / "a.pseal", (1_700_000_009, 1_700_000_009))
        said = scan(folder, capsys)
        assert names() == ["a.pseal", "b.pseal", "new.pseal"]
        assert said["summary"] | {"new": 1, "read_again": 2, "unchanged": 1, "removed": 1} == said["summary"]
        assert said["exit_code"] == 0
        settle(folder)
        scan(folder, capsys)
        fresh = folder / "fresh.sqlite"
        assert main(["scan", str(folder), "--catalog", str(fresh), "-q"]) == 0
        columns = ", ".join(name for name in headers.COLUMNS)
        everything = f"SELECT {columns} FROM artifacts ORDER BY path, offset"  # noqa: S608
        assert query(folder / "c.sqlite", everything) == query(fresh, everything)
        imports = "SELECT name, path FROM imports JOIN artifacts USING (id) ORDER BY 1, 2"
        assert query(folder / "c.sqlite", imports) == query(fresh, imports)

    def test_a_file_that_changed_just_now_is_read_again(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pickleseal.dump(1, tmp_path / "a.pseal")
        scan(tmp_path, capsys)
        assert scan(tmp_path, capsys)["summary"]["unchanged"] == 0

    def test_nothing_is_removed_for_a_misspelt_path(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pickleseal.dump(1, tmp_path / "a.pseal")
        catalog = str(tmp_path / "c.sqlite")
        assert main(["scan", str(tmp_path), "--catalog", catalog]) == 0
        assert main(["scan", str(tmp_path / "nope"), "--catalog", catalog]) == 3
        assert query(catalog, "SELECT count(*) FROM artifacts WHERE error IS NULL") == [(1,)]
        capsys.readouterr()

    def test_nothing_is_removed_if_a_pattern_matches_nothing(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        scan(folder, capsys)
        catalog = str(folder / "c.sqlite")
        assert main(["scan", str(folder / "nothing*"), "--catalog", catalog, "-q"]) == 2
        assert query(catalog, "SELECT count(*) FROM artifacts") == [(8,)]
        capsys.readouterr()
        scan(folder, capsys, "c.jsonl")
        lines = (folder / "c.jsonl").read_bytes()
        assert main(["scan", str(folder / "nothing*"), "--catalog", str(folder / "c.jsonl"), "-q"]) == 2
        assert (folder / "c.jsonl").read_bytes() == lines

    @pytest.mark.parametrize("name", ["c.sqlite", "c.jsonl"])
    def test_a_run_that_ends_early_changes_nothing(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        scan(folder, capsys, name)
        before = (folder / name).read_bytes()
        (folder / "new.pseal").write_bytes(PACKED[1])

        def stop(*arguments: Any) -> Any:
            raise KeyboardInterrupt

        monkeypatch.setattr(headers._Headers, "_stream", stop)
        os.utime(folder / "s.pseal")
        assert main(["scan", str(folder), "--catalog", str(folder / name), "--json"]) == 3
        assert "interrupted: incomplete" in capsys.readouterr().err
        assert (folder / name).read_bytes() == before
        assert not [path for path in folder.iterdir() if path.name.startswith((".pickleseal", "c.sqlite-"))]

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
    def test_a_scan_that_is_killed_changes_nothing(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        scan(folder, capsys)
        before = query(folder / "c.sqlite", "SELECT * FROM artifacts")
        stream_of(folder, 3000, "large.pseal")
        code = """
import os, signal
from pickleseal._cli import scan as scan_sqlite
from pickleseal._cli.main import main
scan_sqlite.SqliteCatalog.by_type = lambda self: os.kill(os.getpid(), signal.SIGKILL)
main(["scan", ".", "--catalog", "c.sqlite"])
"""
        with pytest.raises(AssertionError):
            python(folder, code)
        assert query(folder / "c.sqlite", "SELECT * FROM artifacts") == before
        scan(folder, capsys)
        assert query(folder / "c.sqlite", "SELECT count(*) FROM artifacts") == [(3008,)]

    def test_other_files_are_left_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pickleseal.dump(1, tmp_path / "a.pseal")
        other, text = tmp_path / "other.sqlite", tmp_path / "text.sqlite"
        with closing(sqlite3.connect(other)) as database:
            database.execute("CREATE TABLE artifacts (mine)")
        text.write_text("my notes, of which I have no copy" * 10)
        for path in (other, text):
            before = path.read_bytes()
            assert main(["scan", str(tmp_path), "--catalog", str(path)]) == 2
            assert path.read_bytes() == before
        assert main(["scan", str(tmp_path), "--catalog", str(tmp_path / "c.csv")]) == 2
        assert main(["scan", "-", "--catalog", str(tmp_path / "c.jsonl")]) == 2
        assert not (tmp_path / "c.jsonl").exists()
        capsys.readouterr()
        for name in ("c.sqlite", "c.jsonl"):
            assert main(["scan", str(tmp_path), "--catalog", str(tmp_path / "no" / name)]) == 3
            assert "the catalog is unchanged" in capsys.readouterr().err

    def test_a_scan_that_never_ends_is_not_waited_for(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scan(folder, capsys)
        monkeypatch.setattr("pickleseal._cli.scan._LONGEST_WAIT", 10)
        with closing(sqlite3.connect(folder / "c.sqlite", isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            assert main(["scan", str(folder), "--catalog", str(folder / "c.sqlite")]) == 3
        assert "locked" in capsys.readouterr().err

    def test_a_second_scan_waits_for_the_first(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        usual = scan(folder, capsys)["exit_code"]
        with closing(sqlite3.connect(folder / "c.sqlite", isolation_level=None, check_same_thread=False)) as database:
            database.execute("BEGIN IMMEDIATE")
            ending = threading.Timer(0.3, database.execute, ["COMMIT"])
            ending.start()
            assert main(["scan", str(folder), "--catalog", str(folder / "c.sqlite")]) == usual
            ending.join()
        assert "waiting for another scan of this catalog" in capsys.readouterr().err

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full is Linux's")
    def test_a_full_disk_is_named_as_such(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*arguments: object) -> None:
            with closing(sqlite3.connect(folder / "small.sqlite")) as database:
                database.execute("PRAGMA max_page_count = 1")  # SQLite's own SQLITE_FULL
                database.execute("CREATE TABLE t (x)")

        monkeypatch.setattr("pickleseal._cli.scan._Scan.update", full)
        assert main(["scan", str(folder), "--catalog", str(folder / "c.sqlite")]) == 3
        assert "No space left on device; the catalog is unchanged" in capsys.readouterr().err

    def test_file_names_that_are_not_text(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        try:
            (tmp_path / os.fsdecode(b"a\xff.pseal")).write_bytes(PACKED[0])
        except OSError:
            pytest.skip("the file system takes text only")
        for name in ("c.sqlite", "c.jsonl"):
            assert scan(tmp_path, capsys, name)["exit_code"] == 0
        assert query(tmp_path / "c.sqlite", "SELECT path FROM artifacts")[0][0].endswith("a\\xff.pseal")

    @pytest.mark.skipif(os.name == "nt", reason="names are text")
    def test_each_file_has_a_name_of_its_own(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        names = [
            b"\xff",
            b"\\xff",
            b"\\\xff",
            b"\\\\xff",
            b"\\x5cxff",
            b"\\x5c\xff",
            b"\xc3\xbf",
            b"\\xc3\xbf",
            b"\\xg",
        ]
        for name in names:
            try:
                (tmp_path / os.fsdecode(name + b".pseal")).write_bytes(PACKED[0])
            except OSError:
                pytest.skip("the file system takes text only")
        assert scan(tmp_path, capsys)["exit_code"] == 0
        found = {path for (path,) in query(tmp_path / "c.sqlite", "SELECT path FROM artifacts")}
        assert len(found) == len(names)
        text = re.compile(rb"\\x([0-9a-f]{2})")
        back = {text.sub(lambda match: bytes([int(match[1], 16)]), os.path.basename(path).encode()) for path in found}
        assert back == {name + b".pseal" for name in names}

    def test_a_stream_of_ten_thousand(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        stream_of(tmp_path, 10_000)
        assert scan(tmp_path, capsys)["summary"]["artifacts"] == 10_000
        assert query(tmp_path / "c.sqlite", "SELECT max(record), count(*) FROM artifacts") == [(9999, 10_000)]

    def test_json_lines(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        scan(folder, capsys, "c.jsonl")
        rows = [json.loads(line) for line in (folder / "c.jsonl").read_text("ascii").splitlines()]
        assert len(rows) == 8
        assert {tuple(row) for row in rows} == {headers.COLUMNS}
        assert rows[:2] == pickleseal.catalog.scan_partition([str(folder / "a.pseal"), str(folder / "b.pseal")])

    def test_parquet_without_its_extra(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        assert main(["scan", str(folder), "--catalog", str(folder / "c.parquet")]) == 2
        assert "pip install 'pickleseal[parquet]'" in capsys.readouterr().err
        assert not (folder / "c.parquet").exists()

    def test_golden(self, folder: Path) -> None:
        for columns, color in (("80", ""), ("200", ""), ("80", "1")):
            more = {"FORCE_COLOR": color} if color else {}
            (folder / "c.sqlite").unlink(missing_ok=True)
            ran = run(folder, "scan", ".", "--catalog", "c.sqlite", COLUMNS=columns, **more)
            said = re.sub(r" +[\d,.]+ (bytes|kB)|2\d{3}-\d\d-\d\d", lambda m: re.sub(r"\d", "0", m[0]), ran.out)
            golden(f"scan-{columns}{'-color' * bool(color)}.txt", said)


class TestQueries:
    """The queries of docs/cli.md, on a catalog of classes that have moved."""

    def test_sqlite(self, tmp_path: Path) -> None:
        folder = write_moved_classes(tmp_path)
        assert run(folder, "scan", ".", "--catalog", "artifacts.sqlite").code == 3
        answers = [query(folder / "artifacts.sqlite", sql) for sql in sql_blocks("sqlite")]
        assert {os.path.basename(row[0]) for row in answers[0]} == {"a.pseal", "b.pseal"}
        assert all(answers)
        plan = query(folder / "artifacts.sqlite", "EXPLAIN QUERY PLAN " + sql_blocks("sqlite")[0])
        assert "SEARCH" in plan[0][3]  # an index, no walk over all rows
        assert "imports" in plan[0][3] or "i USING" in plan[0][3]
