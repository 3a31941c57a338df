"""What the children of `test_faults` do: operations on files, one round for each of their system calls."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import logging
import pickle
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pickleseal
from _helpers.fault_kit import ROOM, Faults, Outcome, every_call, every_death
from pickleseal import Key, KeyRing, PackOptions, Policy, Registry
from pickleseal.errors import TruncatedError

ERRORS = ["EIO", "ENOSPC", "EDQUOT", "EINTR", "EACCES"]
OLD, NEW = {"state": "old"}, {"state": "new"}
LARGE = 5 << 18  # enough to be reserved beforehand


@dataclass
class Task:
    name: str


_WAS, _IS = Registry(), Registry()
_WAS.register(Task, "task")
_IS.register(Task, "task", version=1)
_IS.migration("task", from_version=0)(lambda state: {"name": state["name"].upper()})
_KEY, _NEW_KEY = Key.hmac("k", bytes(range(32))), Key.hmac("new", bytes(32))


def large(obj: Any) -> Any:
    """The same with a buffer of its own section."""
    return [obj, pickle.PickleBuffer(bytearray(LARGE))]


@dataclass(frozen=True)
class Operation:
    """One that replaces a file: how the old one is written, what replaces it, and how the new one is known."""

    old: Callable[[Path], object] | None
    run: Callable[[Path], object]
    is_new: Callable[[Path], bool]
    path: str = "a.pseal"
    link: str | None = None  # a symbolic link of that name is what the operation is given


def _dump_old(path: Path) -> None:
    pickleseal.dump(OLD, path)


def _is(obj: Any) -> Callable[[Path], bool]:
    return lambda path: bool(pickleseal.load(path) == obj)


OPERATIONS = {
    "dump": Operation(_dump_old, lambda path: pickleseal.dump(NEW, path), _is(NEW)),
    "dump-new": Operation(None, lambda path: pickleseal.dump(NEW, path), _is(NEW)),
    "dump-fast": Operation(_dump_old, lambda path: pickleseal.dump(NEW, path, durable=False), _is(NEW)),
    "dump-large": Operation(
        lambda path: pickleseal.dump(large(OLD), path),
        lambda path: pickleseal.dump(large(NEW), path),
        lambda path: bool(pickleseal.load(path)[0] == NEW),
    ),
    "dump-link": Operation(_dump_old, lambda path: pickleseal.dump(NEW, path), _is(NEW), "other/a.pseal", "link.pseal"),
    "seal": Operation(
        _dump_old,
        lambda path: pickleseal.maintenance.seal(path, _KEY),
        lambda path: pickleseal.peek(path, policy=Policy(keys=KeyRing([_KEY]))).verified == (("hmac-sha256", "k"),),
    ),
    "upgrade": Operation(
        lambda path: pickleseal.dump(Task("x"), path, options=PackOptions(registry=_WAS)),
        lambda path: pickleseal.maintenance.upgrade(path, policy=Policy(registry=_IS)),
        lambda path: (
            pickleseal.load(path, policy=Policy(registry=_IS)) == Task("X") and pickleseal.peek(path).version == 1
        ),
    ),
    "keys": Operation(
        lambda path: KeyRing([_KEY]).to_file(path),
        lambda path: KeyRing([_NEW_KEY]).to_file(path, overwrite=True),
        lambda path: KeyRing.from_file(path).to_text() == KeyRing([_NEW_KEY]).to_text(),
        "keys",
    ),
}


class Round:
    """A folder with the old file in it, made anew for each attempt, and the verdict on what is there afterwards."""

    def __init__(self, folder: Path, name: str) -> None:
        self.operation = OPERATIONS[name]
        self.folder = folder
        self.path = folder / self.operation.path
        self.given = folder / (self.operation.link or self.operation.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.operation.link:
            self.given.symlink_to(self.path)
        self.was: bytes | None = None
        if self.operation.old is not None:
            self.operation.old(self.path)
            self.was = self.path.read_bytes()
        self.others = self.files()

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if not path.is_dir()}

    def before(self) -> None:
        if self.was is None:
            self.path.unlink(missing_ok=True)
        else:
            self.path.write_bytes(self.was)

    def attempt(self) -> object:
        return self.operation.run(self.given)

    def is_old(self) -> bool:
        """Tell whether the file is the old one, byte by byte; else it has to be the new one, whole."""
        now = self.path.read_bytes() if self.path.exists() else None
        if now == self.was:
            return True
        assert self.operation.is_new(self.path), "neither old nor new"
        return False

    def check_links(self) -> None:
        assert self.given.is_symlink() == (self.operation.link is not None)

    def again(self) -> None:
        """The next attempt finds nothing in its way."""
        if self.is_old():
            self.attempt()
        assert not self.is_old()
        self.check_links()

    def judge(self, _: int, outcome: Outcome, what: str) -> None:
        self.check_links()
        assert self.files() | {self.operation.path} == self.others | {self.operation.path}, self.files()
        failed = [line.removesuffix(" !").split() for line in outcome.calls if line.endswith(" !")]
        # A link that can't be followed is not replaced either. Python 3.13 hides why it could not be.
        is_link = any([call, self.operation.link] in failed for call in ("lstat", "readlink"))
        if outcome.error is None:
            assert not self.is_old()
            assert not is_link
            # What may fail and do no harm: a look at a folder or at an open file; reserving room, unless there is none.
            harmless = {"flock", "fstat", "lstat", "posix_fallocate"} - (
                {"posix_fallocate"} if what in ("ENOSPC", "EDQUOT") else set()
            )
            assert what in ("EINTR", "short") or {call for call, _ in failed} <= harmless
        else:
            error = outcome.error
            assert error.errno == getattr(errno, what) or (is_link and error.errno == errno.ELOOP), error
            assert (error.filename, error.filename2) == (str(self.given), None), error
            assert str(self.given) in str(error)
            assert self.is_old() == (not outcome.did("rename"))
        self.again()

    def judge_death(self, _: int) -> None:
        self.check_links()
        self.is_old()
        left = self.files() - self.others - {self.operation.path}
        assert len(left) <= 1
        for name in left:  # it is in nobody's way, and whoever owns the folder may remove it
            assert Path(name).name.startswith(".pickleseal-"), name
            assert name.endswith(".tmp")
        self.again()
        for name in left:
            (self.folder / name).unlink()


def replace(folder: Path, name: str, errors: list[str] = ERRORS) -> dict[str, int]:
    """Each system call of an operation, with each error; then the disk full from each call on; then short writes."""
    faults = Faults()
    round = Round(folder, name)
    counts = {}
    for what in errors:
        judge = functools.partial(round.judge, what=what)
        counts[what] = every_call(faults, folder, what, round.before, round.attempt, judge)
    for what in ("ENOSPC", "EDQUOT"):
        judge = functools.partial(round.judge, what=what)
        full = every_call(faults, folder, what, round.before, round.attempt, judge, ROOM, True)
        counts[f"{what} from then on"] = full
    writes = ("write", "writev", "pwrite", "pwritev")
    judge = functools.partial(round.judge, what="short")
    counts["short"] = every_call(faults, folder, "short", round.before, round.attempt, judge, writes)
    return counts


def killed(folder: Path, name: str) -> int:
    """A SIGKILL in front of each system call, and within each write."""
    faults = Faults()
    round = Round(folder, name)
    tears = every_death(faults, folder, round.before, round.attempt, round.judge_death, "tear", ("write", "writev"))
    assert tears
    return every_death(faults, folder, round.before, round.attempt, round.judge_death)


def interrupted(folder: Path, name: str) -> int:
    """A SIGINT (Ctrl-C) in front of each system call: the old file or the new one, and nothing beside it."""
    faults, round, number = Faults(), Round(folder, name), 1
    while True:
        round.before()
        try:
            with faults.on(folder, "interrupt", number):
                round.attempt()
            assert not faults.fired
            return number - 1
        except KeyboardInterrupt:
            round.check_links()
            assert round.files() | {round.operation.path} == round.others | {round.operation.path}, faults.calls
            round.again()
        number += 1


def order(folder: Path, name: str) -> list[str]:
    """The calls that write, sync and rename, in their order, each once where it is repeated."""
    faults = Faults()
    round = Round(folder, name)
    with faults.on(folder):
        round.attempt()
    found: list[str] = []
    for line in faults.calls:
        call, _, path = line.partition(" ")
        if call in ("create", "write", "writev", "fsync", "rename", "unlink"):
            kind = "temporary" if path.endswith(".tmp") else path
            what = f"{call.removesuffix('v')} {kind}"
            if found[-1:] != [what]:
                found.append(what)
    return found


def mapped(path: Path) -> Any:
    return pickleseal.load(path, mmap="r")


READS: dict[str, Callable[[Path], object]] = {
    "load": lambda path: pickleseal.load(path),
    "verify": lambda path: pickleseal.verify(path).type,
    "peek": lambda path: pickleseal.peek(path).type,
    "load mmap": lambda path: [bytes(part) if number else part for number, part in enumerate(mapped(path))],
    "Reader.read": lambda path: pickleseal.Reader().read(path).object,
}


def reading(folder: Path, name: str) -> dict[str, int]:
    """Each system call of reading, with each error: the right value or the error, never a verdict on the bytes."""
    faults = Faults()
    path, read = folder / "a.pseal", READS[name]
    pickleseal.dump([NEW, pickle.PickleBuffer(bytearray(range(200)) * 4000)], path)
    expected = read(path)

    def judge(_: int, outcome: Outcome, what: str) -> None:
        if outcome.error is None:
            assert outcome.value == expected
        else:
            assert outcome.error.errno == getattr(errno, what), outcome.error
            assert outcome.error.filename == str(path), outcome.error

    counts = {}
    for what in (*ERRORS, "short"):
        judged = functools.partial(judge, what=what)
        counts[what] = every_call(faults, folder, what, lambda: None, lambda: read(path), judged)
    with faults.on(folder, "short", for_ever=True, kinds=("read", "pread", "preadv")):
        small = folder / "small.pseal"
        pickleseal.dump(NEW, small)
        assert pickleseal.load(small) == NEW
    assert faults.fired > 100
    return counts


def threads(folder: Path) -> int:
    """Errors and short reads while several threads read a file: as above, and no thread goes on behind its back."""
    faults, large, sealed, count = Faults(), folder / "large.pseal", folder / "sealed.pseal", 0
    pickleseal.dump([NEW, pickle.PickleBuffer(bytearray(33 << 20))], large, durable=False)
    pickleseal.dump([NEW, *(pickle.PickleBuffer(bytearray(1 << 20)) for _ in range(2))], sealed, durable=False)
    pickleseal.maintenance.seal(sealed, _KEY)
    cases = [(pickleseal.load, large, at) for at in (1, 2, 60, 120)]
    cases += [(pickleseal.verify, sealed, at) for at in range(1, 9)]
    for read, path, at in cases:
        for what in ("EIO", "short"):
            error = None
            with faults.on(folder, what, at, ("preadv",)):
                try:
                    read(path)
                except OSError as exc:
                    error = exc
                assert threading.active_count() == 1
            assert faults.fired == 1
            assert (error is None) == (what == "short")
            assert error is None or (error.errno, error.filename) == (errno.EIO, str(path))
            count += 1
    return count


def deleted(folder: Path, name: str) -> int:
    """The folder goes away in front of each system call: an error that names the file, and nothing is left behind."""
    faults = Faults()
    home = folder / "home"
    number, failed = 1, 0
    while True:
        round = Round(home, name)
        error = None
        with faults.on(home, lambda: shutil.rmtree(home), number):
            try:
                round.attempt()
            except OSError as exc:
                error = exc
        if not faults.fired:
            assert error is None
            return failed
        if error is not None:
            failed += 1
            assert error.errno == errno.ENOENT, error
            assert error.filename == str(round.given), error
        if home.exists():
            assert not round.is_old()
            shutil.rmtree(home)
        number += 1


def quarantine(folder: Path) -> dict[str, int]:
    """Each system call of keeping refused bytes, with each error, and a SIGKILL in front of each.

    The refusal is raised whatever happens, what has a reason is complete, and the next refusal is kept.
    """
    faults, bad = Faults(), pickleseal.pack(NEW)[:-1]
    logging.getLogger("pickleseal.reader").disabled = True
    home = folder / "home"
    reader = pickleseal.Reader(quarantine=home)

    def attempt() -> str | None:
        try:
            reader.read(bad)
        except TruncatedError as exc:
            return exc.quarantined
        raise AssertionError("it was not refused")

    def judge(killed: bool = False) -> None:
        for reason in home.glob("*.json"):
            entry = reason.with_suffix(".pseal")
            assert hashlib.sha256(entry.read_bytes()).hexdigest() == json.loads(reason.read_text())["sha256"]
        assert killed or not list(home.glob(".incoming-*"))
        kept = attempt()
        assert kept is not None
        assert Path(kept).read_bytes() == bad
        assert not list(home.glob(".incoming-*"))

    def judged(_: int, outcome: Outcome) -> None:
        assert outcome.error is None
        assert outcome.value is None or Path(outcome.value).read_bytes() == bad
        judge()

    def before() -> None:
        shutil.rmtree(home, ignore_errors=True)

    counts = {what: every_call(faults, folder, what, before, attempt, judged) for what in ("EIO", "ENOSPC", "short")}
    counts["kill"] = every_death(faults, folder, before, attempt, lambda _: judge(killed=True))
    return counts
