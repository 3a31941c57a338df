"""Locks and forks: a lock belongs to the process that took it, and to no child of that process."""

import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import pickleseal
from pickleseal._format.timestamps import timestamp
from pickleseal._ingestion import quarantine
from pickleseal._io import processes
from pickleseal._io.processes import OwnDescriptor, acquire, is_locked, release, try_acquire

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def in_child(check: Callable[[], bool]) -> bool:
    """Return what a function returns in the child of a fork."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
        child = os.fork()
    if not child:
        os._exit(0 if check() else 1)
    return os.waitpid(child, 0)[1] == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()
    return path


def opened(path: Path) -> OwnDescriptor:
    return OwnDescriptor(lambda: os.open(path, os.O_RDWR))


def test_a_lock_that_is_held_is_seen_and_not_waited_for(path: Path) -> None:
    one, two = opened(path), opened(path)
    assert not is_locked(two.number)
    acquire(one.number)
    assert is_locked(two.number)
    assert not try_acquire(two.number)
    release(one.number)
    assert not is_locked(two.number)
    assert try_acquire(two.number)  # looking took no lock that stays
    one.close()
    two.close()


def test_looking_at_a_lock_leaves_no_descriptor_and_works_for_a_file_that_was_removed(path: Path) -> None:
    one, two = opened(path), opened(path)
    acquire(one.number)
    path.unlink()
    before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
    assert is_locked(two.number)
    assert not before or sorted(os.listdir("/proc/self/fd")) == before
    one.close()
    two.close()


@needs_fork
def test_a_child_has_closed_the_file_and_the_parent_keeps_the_lock(path: Path) -> None:
    file, other = opened(path), opened(path)
    number = file.number
    acquire(number)

    def check() -> bool:
        try:
            os.fstat(number)
        except OSError:
            return file.number == -1
        return False

    assert in_child(check)
    assert file.number == number
    assert not try_acquire(other.number)
    file.close()
    assert try_acquire(other.number)
    other.close()


@needs_fork
def test_a_file_that_was_opened_while_another_thread_forked_is_opened_again(path: Path) -> None:
    """The child may have a copy of the open file from before it was known."""
    seen: list[tuple[int, int]] = []
    children: list[bool] = []

    def open_file() -> int:
        number = os.open(path, os.O_RDWR)
        if not seen:
            thread = threading.Thread(target=lambda: children.append(in_child(lambda: True)))
            thread.start()
            thread.join()
        seen.append((number, processes.started_forks))
        return number

    file = OwnDescriptor(open_file)
    assert children == [True]
    assert len(seen) == 2
    os.fstat(file.number)
    file.close()
    file.close()


@needs_fork
def test_a_child_keeps_neither_the_lock_of_a_stream_nor_that_of_a_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keeps_none() -> bool:
        return not any(
            os.readlink(f"/proc/self/fd/{name}").startswith(str(tmp_path))
            for name in os.listdir("/proc/self/fd")
            if os.path.islink(f"/proc/self/fd/{name}")
        )

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("nothing here shows which files are open")
    with pickleseal.StreamWriter(tmp_path / "stream.pseal") as stream:
        stream.append(1)
        assert in_child(keeps_none)
        stream.append(2)
    assert list(pickleseal.iter_load(tmp_path / "stream.pseal")) == [1, 2]

    found: list[bool] = []

    def forks(time: int) -> str:
        """Stand in for the clock, which the quarantine asks under its lock."""
        found.append(in_child(keeps_none))
        return timestamp(time)

    monkeypatch.setattr(quarantine, "timestamp", forks)
    reader = pickleseal.Reader(pickleseal.Policy(), quarantine=pickleseal.Quarantine(str(tmp_path / "kept")))
    with pytest.raises(pickleseal.errors.ReadError):
        reader.read(b"no artifact")
    assert found == [True]
    assert min(os.listdir(tmp_path / "kept")) == ".lock"
