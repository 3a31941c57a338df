"""`pickleseal scan` over an S3 server, and the catalog as a Parquet file: what needs a server, pyarrow or duckdb."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers.catalogs import PACKED, query, scan, sql_blocks, write_artifacts, write_moved_classes
from _helpers.cli_runs import run
from _helpers.object_store import BUCKET, KEYS, Server, serve
from _helpers.support import need

from pickleseal._cli.main import main


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    for name in ("aiohttp", "fsspec", "moto.server", "s3fs", "werkzeug"):
        need(name)
    with serve() as server:
        yield server


def test_a_bucket_is_scanned_with_one_request_an_object(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    need("s3fs").S3FileSystem.clear_instance_cache()  # of servers that other tests started
    for number in range(40):
        server.put(f"runs/{number:02}.pseal", PACKED[number % 3])
    server.put("runs/note.txt", b"no artifact")
    catalog = str(tmp_path / "c.sqlite")

    def scan_bucket(*more: str) -> Any:
        server.asked.clear()
        code = main(["scan", f"s3://{BUCKET}/runs/", "--catalog", catalog, "--json", *more])
        said = json.loads(capsys.readouterr().out)
        assert said["exit_code"] == code
        return said

    first = scan_bucket("--concurrency", "8")
    assert first["summary"] | {"files": 40, "new": 40, "artifacts": 40} == first["summary"]
    reads = [asked for asked in server.asked if asked.path.endswith(".pseal")]
    assert [asked.range for asked in reads if asked.method == "GET"] == ["bytes=0-8191"] * 40
    rows = query(catalog, "SELECT path, size, etag IS NOT NULL FROM artifacts ORDER BY path")
    assert rows[1] == (f"s3://{BUCKET}/runs/01.pseal", len(PACKED[1]), 1)
    server.put("runs/05.pseal", PACKED[0] + PACKED[0])
    again = scan_bucket()
    assert again["summary"] | {"read_again": 1, "unchanged": 39, "removed": 0} == again["summary"]
    assert {asked.path for asked in server.asked if asked.path.endswith(".pseal")} == {f"/{BUCKET}/runs/05.pseal"}
    assert query(catalog, "SELECT count(*) FROM artifacts") == [(41,)]


def test_a_parquet_catalog_has_the_rows_of_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("pyarrow")
    import pyarrow.parquet

    folder = write_artifacts(tmp_path)
    scan(folder, capsys, "c.parquet")
    rows = pyarrow.parquet.read_table(folder / "c.parquet").to_pylist()
    scan(folder, capsys, "c.jsonl")
    lines = [json.loads(line) for line in (folder / "c.jsonl").read_text("ascii").splitlines()]
    for row in rows:
        for name in ("build", "meta", "packages", "types"):
            row[name] = None if row[name] is None else json.loads(row[name])
    assert rows == lines


def test_the_queries_for_duckdb_in_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pyarrow")
    duckdb = need("duckdb")
    folder = write_moved_classes(tmp_path)
    assert run(folder, "scan", ".", "--catalog", "artifacts.parquet").code == 3
    monkeypatch.chdir(folder)
    with duckdb.connect() as database:
        answers = [database.execute(sql).fetchall() for sql in sql_blocks("duckdb")]
    assert {os.path.basename(row[0]) for row in answers[0]} == {"a.pseal", "b.pseal"}
    assert all(answers)
