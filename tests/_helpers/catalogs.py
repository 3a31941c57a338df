"""Folders of artifacts for the tests of `pickleseal scan`, and what those tests ask of a catalog."""

import json
import os
import re
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import pickleseal
from _helpers.cli_runs import python
from _helpers.support import ROOT
from pickleseal._cli.main import main

PACKED = [pickleseal.pack(obj) for obj in (1, [2] * 50, {"a": "x" * 9000})]


def stream_of(folder: Path, count: int, name: str = "s.pseal", **options: Any) -> Path:
    path = folder / name
    with pickleseal.StreamWriter(path, fsync=0, **options) as stream:
        for number in range(count):
            stream.append({"n": number})
    return path


def settle(folder: Path) -> None:
    """Let files be older than they are: what changed just now is read again."""
    for path in folder.glob("*.pseal"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def write_artifacts(folder: Path) -> Path:
    writer = pickleseal.PackOptions(created=datetime(2026, 1, 2, tzinfo=timezone.utc), build={"app": "billing"})
    code = pickleseal.pack(datetime(2020, 1, 1), meta={"team": "risk"}, options=writer)
    (folder / "a.pseal").write_bytes(code)
    (folder / "b.pseal").write_bytes(PACKED[0])
    (folder / "bad.pseal").write_bytes(b"<html>")
    stream_of(folder, 5)
    settle(folder)
    return folder


def query(catalog: Path | str, sql: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(catalog)) as database:
        return database.execute(sql, values).fetchall()


def scan(folder: Path, capsys: pytest.CaptureFixture[str], name: str = "c.sqlite") -> Any:
    code = main(["scan", str(folder), "--catalog", str(folder / name), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == code
    return said


def sql_blocks(kind: str) -> list[str]:
    """Return the queries that docs/cli.md shows for a database."""
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    shown = text.split(f"<!-- {kind}:begin -->")[1].split(f"<!-- {kind}:end -->")[0]
    found = re.findall(r"^```sql\n(.*?)^```", shown, re.MULTILINE | re.DOTALL)
    assert found
    return found


MOVED = """
import pickleseal, sys, types
sys.modules["old"] = types.ModuleType("old")
module = sys.modules["old.module"] = types.ModuleType("old.module")
module.Class = type("Class", (), {"__module__": "old.module"})
pickleseal.dump([module.Class()], "a.pseal")
pickleseal.dump(module.Class(), "b.pseal")
pickleseal.dump(1, "c.pseal")
open("d.pseal", "w").write("<html>")
"""


def write_moved_classes(folder: Path) -> Path:
    """Write artifacts of classes in a module that no longer exists."""
    python(folder, MOVED)
    return folder
