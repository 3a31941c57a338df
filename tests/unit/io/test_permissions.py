"""A file that is replaced keeps its owner, group, mode, ACL and attributes, and one that may not be written stays.

Most of it needs two users, so these tests run as root, with the work of another user in a child process.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import pickleseal
from pickleseal import Key, KeyRing, PackOptions, Policy, Registry
from pickleseal.maintenance import seal, upgrade

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="plays several users")

USER, OTHER, GROUP = 54321, 54322, 54400
ACL = "system.posix_acl_access"
KEY = Key.hmac("k", b"0" * 32)
WAS, IS = Registry(), Registry()


@WAS.artifact("task", version=1)
@dataclass
class Old:
    name: str


@IS.artifact("task", version=2)
@dataclass
class New:
    name: str


@IS.migration("task", from_version=1)
def _upper(state: dict[str, object]) -> dict[str, object]:
    return {"name": str(state["name"]).upper()}


def _upgrade(path: Path) -> None:
    assert upgrade(path, policy=Policy(registry=IS))


WRITERS: dict[str, Callable[[Path], object]] = {
    "dump": lambda path: pickleseal.dump([2], path),
    "dump of a large one": lambda path: pickleseal.dump(bytes(3 << 20), path),
    "seal": lambda path: seal(path, KEY),
    "upgrade": _upgrade,
}


def as_user(user: int, groups: list[int], work: Callable[[], object]) -> str:
    """Do something as another user. Return the name of the error, or nothing."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = ""
        try:
            os.setgroups(groups)
            os.setgid(user)
            os.setuid(user)
            work()
        except BaseException as error:
            said = f"{type(error).__name__} {getattr(error, 'errno', '')}".strip()
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user can write, and reach."""
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and "pytest" in str(path):
            path.chmod(0o777)
    return tmp_path


def made(path: Path, writer: str) -> Path:
    pickleseal.dump(Old("a"), path, options=PackOptions(registry=WAS))
    pickleseal.load(path, policy=Policy(registry=WAS))
    probe = path.with_name("probe.pseal")
    path.replace(probe)
    WRITERS[writer](probe)  # everything is imported, and the writer works
    probe.unlink()
    pickleseal.dump(Old("a"), path, options=PackOptions(registry=WAS))
    return path


@needs_root
@pytest.mark.parametrize("writer", WRITERS)
class TestUsers:
    def test_a_member_of_the_group_keeps_the_group(self, folder: Path, writer: str) -> None:
        path = made(folder / "a.pseal", writer)
        os.chown(path, OTHER, GROUP)
        path.chmod(0o660)
        before = path.read_bytes()
        assert as_user(USER, [GROUP], lambda: WRITERS[writer](path)) == ""
        status = path.stat()
        assert path.read_bytes() != before
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (USER, GROUP, 0o660)

    def test_another_group_gets_no_more_than_everybody(self, folder: Path, writer: str) -> None:
        path = made(folder / "a.pseal", writer)
        os.chown(path, USER, GROUP)  # his own file, of a group that he has left
        path.chmod(0o664)
        assert as_user(USER, [], lambda: WRITERS[writer](path)) == ""
        status = path.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (USER, USER, 0o644)

    def test_root_takes_no_file_away(self, folder: Path, writer: str) -> None:
        path = made(folder / "a.pseal", writer)
        os.chown(path, USER, GROUP)
        path.chmod(0o600)
        WRITERS[writer](path)
        status = path.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (USER, GROUP, 0o600)

    @pytest.mark.parametrize(("owner", "mode"), [(USER, 0o444), (OTHER, 0o644), (OTHER, 0o600), (0, 0o600)])
    def test_a_file_that_may_not_be_written_is_refused(self, folder: Path, writer: str, owner: int, mode: int) -> None:
        path = made(folder / "a.pseal", writer)
        os.chown(path, owner, owner)
        path.chmod(mode)
        before = path.read_bytes()
        assert as_user(USER, [], lambda: WRITERS[writer](path)) == f"PermissionError {errno.EACCES}"
        assert path.read_bytes() == before
        assert os.listdir(folder) == ["a.pseal"]


@needs_root
def test_a_key_file_keeps_its_owner_and_becomes_private(folder: Path) -> None:
    path = folder / "keys"
    KeyRing([KEY]).to_file(path)
    os.chown(path, USER, GROUP)
    path.chmod(0o640)
    KeyRing([KEY]).to_file(path, overwrite=True)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (USER, GROUP, 0o600)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Linux only")
class TestAttributes:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "a.pseal"
        pickleseal.dump([1], path)
        try:
            os.setxattr(path, "user.origin", b"upload")
        except OSError:
            pytest.skip("the file system has no extended attributes")
        return path

    def test_they_are_kept(self, path: Path) -> None:
        pickleseal.dump([2], path)
        assert os.getxattr(path, "user.origin") == b"upload"

    def test_an_acl_is_kept(self, path: Path) -> None:
        entries = [(1, 6, -1), (2, 4, USER), (4, 0, -1), (16, 4, -1), (32, 0, -1)]  # u::rw u:USER:r g::- m::r o::-
        acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
        try:
            os.setxattr(path, ACL, acl)
        except OSError:
            pytest.skip("the file system has no ACLs")
        mode = path.stat().st_mode
        pickleseal.dump([2], path)
        assert os.getxattr(path, ACL) == acl
        assert path.stat().st_mode == mode

    def test_an_acl_that_cannot_be_kept_is_an_error(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(target: int, name: str, value: bytes) -> None:
            raise OSError(errno.ENOTSUP, "not supported")

        monkeypatch.setattr(os, "setxattr", denied)
        pickleseal.dump([2], path)  # other attributes may go
        monkeypatch.setattr(os, "listxattr", lambda path: ["user.origin", ACL])
        monkeypatch.setattr(os, "getxattr", lambda path, name: b"")
        with pytest.raises(OSError, match="not supported") as caught:
            pickleseal.dump([3], path)
        assert caught.value.filename == str(path)
        assert pickleseal.load(path) == [2]
        assert os.listdir(path.parent) == ["a.pseal"]
