"""What the children of `test_faults` and `soak` do with processes, full disks and permissions. See `fault_kit`."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import resource
import shutil
import signal
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pickleseal

_NUMBER = struct.Struct("<q")


def forked(work: Callable[[], object]) -> int:
    """Run something in a forked process, which ends with it: 0 if it returned."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def joined(child: int) -> None:
    assert os.waitpid(child, 0)[1] == 0, "a child failed: see above"


def value(number: int) -> Any:
    """An object that shows whether any part of it is of another."""
    return {"number": number, "text": str(number) * (number * 7919 % 30_000), "last": number}


def dump_kills(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill a process that dumps to one path, at random moments: what it was told is there, whole, or the next.

    This is about what the process leaves behind. The operating system lives on, so nothing is said about power cuts.
    """
    rng, path, told, left = random.Random(seed), folder / "a.pseal", 0, 0
    pickleseal.dump(value(0), path)
    start = time.monotonic()
    for _ in range(4):
        pickleseal.dump(value(0), path)
    seconds = max(0.01, time.monotonic() - start)  # so that a round makes some dumps, however slow the disk is
    for _ in range(rounds):
        reading, writing = os.pipe()

        def work(first: int = told + 1, acknowledge: int = writing) -> None:
            for number in range(first, first + 10**9):
                pickleseal.dump(value(number), path, durable=number % 2 == 0)
                os.write(acknowledge, _NUMBER.pack(number))

        child = forked(work)
        os.close(writing)
        time.sleep(rng.random() * seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
        if data:
            (told,) = _NUMBER.unpack(data[-8:])
        found = pickleseal.load(path)
        assert found == value(found["number"]), "not whole"
        assert found["number"] in (told, told + 1), (found["number"], told)
        told = found["number"]
        temporary = [name for name in os.listdir(folder) if name != "a.pseal"]
        assert len(temporary) <= 1
        assert all(name.startswith(".pickleseal-") and name.endswith(".tmp") for name in temporary)
        for name in temporary:
            os.unlink(folder / name)
        left += len(temporary)
    return {"rounds": rounds, "dumps": told, "temporary files left": left}


def contention(folder: Path, seconds: float) -> dict[str, int]:
    """Two processes dump to one path while two others load it: each load is of one dump, whole."""
    path, end = folder / "a.pseal", time.monotonic() + seconds
    pickleseal.dump(value(0), path)
    reading, writing = os.pipe()

    def write(first: int) -> None:
        number = first
        while time.monotonic() < end:
            pickleseal.dump(value(number), path, durable=number % 10 == first)
            number += 2

    def read() -> None:
        seen, count = set(), 0
        while time.monotonic() < end:
            found = pickleseal.load(path)
            assert found == value(found["number"])
            pickleseal.verify(path)
            seen.add(found["number"])
            count += 1
        os.write(writing, _NUMBER.pack(count) + _NUMBER.pack(len(seen)))

    children = [forked(lambda: write(1)), forked(lambda: write(2)), forked(read), forked(read)]
    for child in children:
        joined(child)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        counts = [number for (number,) in _NUMBER.iter_unpack(pipe.read())]
    assert os.listdir(folder) == ["a.pseal"]
    return {"loads": counts[0] + counts[2], "different": counts[1] + counts[3]}


def refused(path: Path, obj: Any, error: int) -> None:
    """A dump that fails as the operating system says, and leaves everything as it was."""
    before, names = path.read_bytes(), sorted(os.listdir(path.parent))
    for durable in (True, False):
        try:
            pickleseal.dump(obj, path, durable=durable)
        except OSError as exc:
            assert exc.errno == error, exc
            assert exc.filename == str(path), exc
        else:
            raise AssertionError("it was not refused")
        assert path.read_bytes() == before
        assert sorted(os.listdir(path.parent)) == names


def largest_file(folder: Path) -> int:
    """A limit on the size of files (RLIMIT_FSIZE) that cuts the write off at each multiple of 8 bytes: EFBIG."""
    path, new = folder / "a.pseal", {"state": "new" * 20}
    pickleseal.dump({"state": "old"}, path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    count = len(pickleseal.pack(new))
    for limit in range(0, count, 8):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            refused(path, new, errno.EFBIG)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    pickleseal.dump(new, path)
    assert pickleseal.load(path) == new
    return count // 8


class Mounts:
    """File systems of our own, which nobody else sees and which end with this process."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def begin(self) -> bool:
        """Take a mount namespace, with root's rights or with those of a user namespace. False: neither may be had."""
        new_mounts, new_user, private = 0x00020000, 0x10000000, 1 << 18 | 1 << 14  # MS_PRIVATE | MS_REC
        user, group = os.getuid(), os.getgid()
        if self._libc.unshare(new_mounts):
            if self._libc.unshare(new_mounts | new_user):
                return False
            try:
                for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
                    Path("/proc/self", name).write_text(text)
            except OSError:
                return False
        return not self._libc.mount(b"none", b"/", None, private, None)

    def tmpfs(self, folder: Path, size: int, read_only: bool = False) -> bool:
        flags = 32 | 1 if read_only else 0  # MS_REMOUNT | MS_RDONLY
        data = f"size={size}".encode()
        return not self._libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, data)


def full_disk(folder: Path) -> dict[str, Any]:
    """A file system of 1 MiB: it is full, then it has a little room, then it is read-only."""
    mounts, size = Mounts(), 1 << 20
    if not mounts.begin() or not mounts.tmpfs(folder, size):
        return {"mounted": False}
    path, filler = folder / "a.pseal", folder / "filler"
    pickleseal.dump({"state": "old"}, path)
    refused(path, bytes(2 * size), errno.ENOSPC)  # known before the first byte is written
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as exc:
            assert exc.errno == errno.ENOSPC
    refused(path, {"state": "new"}, errno.ENOSPC)
    room, full = os.path.getsize(filler) // 4096, 0
    for pages in range(1, 9):
        os.truncate(filler, (room - pages) * 4096)
        refused(path, bytes(4096 * pages), errno.ENOSPC)  # a part of it is written
        full += 1
        pickleseal.dump(pages, path)
        assert pickleseal.load(path) == pages
        pickleseal.dump({"state": "old"}, path)
    filler.unlink()
    assert mounts.tmpfs(folder, size, read_only=True)
    refused(path, {"state": "new"}, errno.EROFS)
    assert pickleseal.load(path) == {"state": "old"}
    return {"mounted": True, "full": full}


def no_permission(_: Path) -> bool:
    """Folders and files that the user may not write or read. Root may do anything, so it becomes somebody else."""
    home = Path(tempfile.mkdtemp())  # pytest's own are closed to others
    folder = home / "folder"
    folder.mkdir()
    path, secret, one_way = folder / "a.pseal", folder / "secret.pseal", home / "one-way"
    one_way.mkdir()
    pickleseal.dump({"state": "old"}, path)
    pickleseal.dump({"state": "old"}, secret)
    os.chmod(secret, 0)
    os.chmod(folder, 0o555)
    os.chmod(one_way, 0o333)
    os.chmod(home, 0o755)

    def work() -> None:
        if not os.getuid():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        refused(path, {"state": "new"}, errno.EACCES)
        assert pickleseal.load(path) == {"state": "old"}
        for call in (pickleseal.load, pickleseal.verify, pickleseal.peek, pickleseal.Reader().read):
            try:
                call(secret)  # type: ignore[operator]
            except PermissionError as exc:
                assert exc.filename == str(secret)
            else:
                raise AssertionError("it was read")
        pickleseal.dump(1, one_way / "b.pseal", durable=False)
        try:
            pickleseal.dump(2, one_way / "b.pseal")  # the folder can't be opened, so it can't be synced
        except PermissionError as exc:
            assert exc.filename == str(one_way / "b.pseal")
        else:
            raise AssertionError("it was synced")
        assert pickleseal.load(one_way / "b.pseal") == 1

    try:
        joined(forked(work))
        assert os.listdir(one_way) == ["b.pseal"]
    finally:
        for place in (folder, one_way):
            os.chmod(place, 0o755)
        shutil.rmtree(home)
    return True
