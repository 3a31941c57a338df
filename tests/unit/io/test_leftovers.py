"""`maintenance.clean`: what killed processes left is removed, and nothing that somebody is writing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _helpers.cli_support import cli
from _helpers.support import child_environment

import pickleseal
from pickleseal.maintenance import clean

NAME = ".pickleseal-0123456789abcdef.tmp"
# Writes until it is killed: the temporary file is there, and is made to look old.
WRITING = """
import os, sys, time
from pickleseal._io.atomic import replace_with

def write(descriptor):
    os.write(descriptor, b"half")
    os.utime(descriptor, (1, 1))
    print("writing", flush=True)
    time.sleep(60)

replace_with(sys.argv[1], 8, write)
"""


def old(path: Path, age: float = 3 * 86400) -> Path:
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_old_temporary_files_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    left = [old(tmp_path / NAME), old(tmp_path / "below" / NAME)]
    kept = [
        old(tmp_path / NAME.replace("0", "1"), 3600),
        *(old(tmp_path / name) for name in ("a.pseal", ".pickleseal-0123.tmp", f"{NAME}.bak", f"x{NAME}")),
    ]
    found = clean(tmp_path, dry_run=True)
    assert [one.path for one in found] == [str(path) for path in left]
    assert all(one.size == 4 and 2.9 * 86400 < one.age < 3.1 * 86400 for one in found)
    assert all(path.exists() for path in left)
    assert [one.path for one in clean(tmp_path)] == [str(path) for path in left]
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert clean(tmp_path) == []


@pytest.mark.parametrize(("older_than", "is_removed"), [("2h", False), ("30m", True), (7200, False), (0, True)])
def test_the_age_that_counts(tmp_path: Path, older_than: float | str, is_removed: bool) -> None:
    path = old(tmp_path / NAME, 3600)
    assert bool(clean(tmp_path, older_than=older_than)) == is_removed
    assert path.exists() != is_removed


def test_a_file_that_was_just_made_stays(tmp_path: Path) -> None:
    path = old(tmp_path / NAME, 5)
    assert clean(tmp_path, older_than=0) == []
    assert path.exists()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere, a file that is open can't be removed")
def test_a_file_stays_while_its_process_writes_and_goes_when_it_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITING, str(tmp_path / "a.pseal")]
    writer = subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        (name,) = os.listdir(tmp_path)
        assert clean(tmp_path) == []
        assert os.listdir(tmp_path) == [name]
    finally:
        writer.kill()
        writer.communicate()
    (found,) = clean(tmp_path)
    assert found.path == str(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_finished_write_holds_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    pickleseal.dump([1], path)
    path.rename(tmp_path / NAME)
    os.utime(tmp_path / NAME, (1, 1))
    assert len(clean(tmp_path)) == 1


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        clean(tmp_path / "none")
    with pytest.raises(ValueError, match="expected a folder or an s3:// URL, found gs://bucket"):
        clean("gs://bucket/a")
    with pytest.raises(ValueError, match="a duration such as"):
        clean(tmp_path, older_than="soon")


def test_the_command(tmp_path: Path) -> None:
    path = old(tmp_path / NAME)
    dry = cli("clean", tmp_path, "--dry-run")
    assert (dry.code, dry.out) == (1, f"{path}: would be removed: 4 bytes, 3 days old\n1 leftover, 4 bytes\n")
    done = cli("clean", tmp_path, "--json")
    assert (done.code, done.json["summary"]) == (0, {"found": 1, "bytes": 4})
    assert done.json["results"][0]["removed"] is True
    assert cli("clean", tmp_path).out == "0 leftovers, 0 bytes\n"
    assert cli("clean", tmp_path / "none").code == 3
    assert cli("clean", "gs://bucket").code == cli("clean", "-").code == 2
