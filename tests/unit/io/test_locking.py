"""`maintenance.locked`: no change is lost between threads and processes, and a lock ends with its holder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from _helpers.support import child_environment

import pickleseal
from pickleseal.maintenance import locked

COUNT = """
import sys, pickleseal
from pickleseal.maintenance import locked
for _ in range(25):
    with locked(sys.argv[1]):
        pickleseal.dump(pickleseal.load(sys.argv[1]) + 1, sys.argv[1], durable=False)
"""
HOLD = """
import sys, time
from pickleseal.maintenance import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "count.pseal"
    pickleseal.dump(0, path)
    return path


def child(code: str, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, str(path)], env=child_environment(), stdout=subprocess.PIPE)


def test_processes_lose_no_change(path: Path) -> None:
    children = [child(COUNT, path) for _ in range(3)]
    for one in children:
        one.communicate(timeout=60)
        assert one.returncode == 0
    assert pickleseal.load(path) == 75
    assert sorted(os.listdir(path.parent)) == ["count.pseal", "count.pseal.lock"]


def test_threads_lose_no_change(path: Path) -> None:
    def count() -> None:
        for _ in range(25):
            with locked(path):
                pickleseal.dump(pickleseal.load(path) + 1, path, durable=False)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pickleseal.load(path) == 75


def test_a_timeout_says_what_was_waited_for(path: Path) -> None:
    with (
        locked(path),
        pytest.raises(TimeoutError, match=r"count\.pseal\.lock.* held the lock"),
        locked(path, timeout=0.05),
    ):
        raise AssertionError("it was locked twice")
    with locked(path, timeout=0):
        pass


def test_a_lock_dies_with_its_holder(path: Path) -> None:
    holder = child(HOLD, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(TimeoutError), locked(path, timeout=0):
        pass
    holder.kill()
    holder.communicate()
    with locked(path, timeout=10):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
def test_a_child_does_not_hold_the_lock_of_its_parent(path: Path) -> None:
    with locked(path):
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
    try:
        with locked(path, timeout=10):
            pass
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_link_has_the_lock_of_its_target(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    with locked(link), pytest.raises(TimeoutError), locked(path, timeout=0):
        pass


def test_a_path_that_is_not_there_yet(tmp_path: Path) -> None:
    with locked(tmp_path / "new.pseal"):
        pickleseal.dump(1, tmp_path / "new.pseal")
    with pytest.raises(FileNotFoundError) as caught, locked(tmp_path / "none" / "a.pseal"):
        pass
    assert caught.value.filename == str(tmp_path / "none" / "a.pseal.lock")
    with pytest.raises(ValueError, match="stores have no locks"), locked("s3://bucket/a"):
        pass
