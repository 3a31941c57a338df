"""What the children of `test_stream_faults` do: streams, with a fault at each system call. See `fault_kit`."""

from __future__ import annotations

import errno
import functools
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pickleseal
from _helpers.fault_kit import ROOM, Faults, Outcome, every_call, every_death
from pickleseal import StreamWriter
from pickleseal._streams import index
from pickleseal.errors import TornTailError

ERRORS = ["EIO", "ENOSPC", "EINTR"]
OLD = ["old", "older", "oldest"]
SOME = [f"{number} " + "x" * (70 * number) for number in range(5)]
WAITING: list[StreamWriter] = []  # writers whose `close` failed: they stay open, and what waits can be written
_COUNT = struct.Struct("<q")


@dataclass(frozen=True)
class Appending:
    """A way to append `SOME`. It calls its argument with the number of records that are acknowledged by then."""

    run: Callable[[Path, Callable[[int], None]], object]
    is_old: bool = True  # whether there are records before
    is_torn: bool = False  # whether the tail is torn, and is to be repaired


def _each(path: Path, acknowledge: Callable[[int], None]) -> None:
    for number, text in enumerate(SOME, 1):
        pickleseal.append(path, text)
        acknowledge(number)


def _writer(path: Path, acknowledge: Callable[[int], None]) -> None:
    with StreamWriter(path) as stream:
        for number, text in enumerate(SOME, 1):
            stream.append(text)
            acknowledge(number)


def _batches(path: Path, acknowledge: Callable[[int], None]) -> None:
    stream = StreamWriter(path, batch=2, fsync=0)
    WAITING[:] = [stream]
    for number, text in enumerate(SOME, 1):
        stream.append(text)
        if number == 3:
            stream.flush()
            acknowledge(number)
    stream.close()
    acknowledge(len(SOME))


def _repairing(path: Path, acknowledge: Callable[[int], None]) -> None:
    with StreamWriter(path, repair=True) as stream:
        for number, text in enumerate(SOME, 1):
            stream.append(text)
            acknowledge(number)


WAYS = {
    "append": Appending(_each),
    "append-new": Appending(_each, is_old=False),
    "writer": Appending(_writer),
    "batches": Appending(_batches),
    "batches-new": Appending(_batches, is_old=False),
    "repairing": Appending(_repairing, is_torn=True),
}


class Round:
    """A stream, made anew for each attempt, and the verdict on what is there afterwards."""

    def __init__(self, folder: Path, name: str) -> None:
        index.EVERY_FRAMES = 2  # so that the index is written often
        self.way = WAYS[name]
        self.path = folder / "stream.pseal"
        self.acknowledged = 0
        self.torn = 0  # tails that were
        self.old = OLD if self.way.is_old else []
        self.was: dict[str, bytes] = {}
        for text in self.old:
            pickleseal.append(self.path, text)
        if self.way.is_torn:
            with open(self.path, "ab") as file:
                file.write(pickleseal.pack("torn" * 100)[:-1])
        for entry in folder.iterdir():
            self.was[entry.name] = entry.read_bytes()

    def before(self) -> None:
        self.acknowledged = 0
        for name in os.listdir(self.path.parent):
            os.unlink(self.path.parent / name)
        for name, data in self.was.items():
            (self.path.parent / name).write_bytes(data)

    def acknowledge(self, number: int) -> None:
        self.acknowledged = number

    def attempt(self) -> None:
        self.way.run(self.path, self.acknowledge)

    def records(self) -> tuple[list[Any], bool]:
        """Return the records, and whether the tail is torn."""
        found: list[Any] = []
        try:
            if self.path.exists():
                found.extend(pickleseal.iter_load(self.path))  # keeps what came before an error
        except TornTailError:
            return found, True
        return found, False

    def check(self, torn: bool) -> None:
        """Every acknowledged record is there once, in its place; behind them at most some that were not."""
        while WAITING:
            with suppress(OSError):  # of a sync that failed before, which was told once
                WAITING.pop().close()
        found, is_torn = self.records()
        assert torn or not is_torn, "torn"
        if not self.path.exists():
            assert not self.acknowledged
        count = len(found) - len(self.old)
        assert found == [*self.old, *SOME[:count]], found
        assert count >= self.acknowledged, (count, self.acknowledged)
        if is_torn and not self.way.is_torn:
            try:
                pickleseal.append(self.path, "refused")
            except TornTailError:
                pass
            else:
                raise AssertionError("it was appended behind a torn tail")
        self.torn += is_torn
        if is_torn:
            assert pickleseal.maintenance.repair(self.path) > 0
        with StreamWriter(self.path) as stream:
            stream.append("next")
        assert self.records() == ([*found, "next"], False)
        with pickleseal.StreamReader(self.path) as reader:
            assert reader.seek(-1) == len(found)  # by the index, where there is one
            assert list(reader) == ["next"]

    def judge(self, _: int, outcome: Outcome, what: str) -> None:
        error = outcome.error
        if error is None:
            assert self.acknowledged == len(SOME)
        else:
            assert error.errno == getattr(errno, what), error
            assert error.filename == str(self.path), error
        # A torn tail was there before, or could not be cut off again.
        self.check(torn=self.way.is_torn)


def failing(folder: Path, name: str) -> dict[str, int]:
    """Each system call of appending, with each error; then the disk full from each call on; then short writes."""
    faults, round = Faults(), Round(folder, name)
    counts = {}
    for what in ERRORS:
        judge = functools.partial(round.judge, what=what)
        counts[what] = every_call(faults, folder, what, round.before, round.attempt, judge)
    judge = functools.partial(round.judge, what="ENOSPC")
    counts["full"] = every_call(faults, folder, "ENOSPC", round.before, round.attempt, judge, ROOM, True)
    judge = functools.partial(round.judge, what="short")
    counts["short"] = every_call(faults, folder, "short", round.before, round.attempt, judge)
    return counts


def killed(folder: Path, name: str) -> dict[str, int]:
    """A SIGKILL in front of each system call, and within each write. What was acknowledged comes through a pipe."""
    faults, round = Faults(), Round(folder, name)
    pipe: list[int] = []

    def before() -> None:
        round.before()
        for descriptor in pipe:
            os.close(descriptor)
        pipe[:] = os.pipe()

    def attempt() -> None:
        round.way.run(round.path, lambda number: os.write(pipe[1], _COUNT.pack(number)) and None)

    def judge(_: int) -> None:
        os.set_blocking(pipe[0], False)
        with suppress(BlockingIOError):
            for (number,) in _COUNT.iter_unpack(os.read(pipe[0], 1 << 16)):
                round.acknowledged = number
        round.check(torn=True)

    kills = every_death(faults, folder, before, attempt, judge)
    tears = every_death(faults, folder, before, attempt, judge, "tear", ("write", "writev"))
    return {"kills": kills, "tears": tears, "torn tails": round.torn}


def interrupted(folder: Path, name: str) -> int:
    """A SIGINT (Ctrl-C) in front of each system call."""
    faults, round, number = Faults(), Round(folder, name), 1
    while True:
        round.before()
        try:
            with faults.on(folder, "interrupt", number):
                round.attempt()
            assert not faults.fired, (number, faults.calls)
            return number - 1
        except KeyboardInterrupt:
            round.check(torn=round.way.is_torn)
        number += 1


def order(folder: Path, name: str) -> list[str]:
    """The calls of appending, in their order, however gathered they write."""
    faults, round = Faults(), Round(folder, name)
    with faults.on(folder):
        round.attempt()
    return [call.replace("writev", "write") for call in faults.calls]


def reading(folder: Path) -> dict[str, int]:
    """Each system call of iterating, with each error: the right records, and the error or the end."""
    faults, round = Faults(), Round(folder, "batches")
    round.attempt()
    expected = [*OLD, *SOME]

    def attempt() -> list[Any]:
        with pickleseal.StreamReader(round.path) as stream:
            assert stream.seek(4) == 4
            assert stream.count() == len(expected)
            stream.seek(0)
            return list(stream)

    def judge(_: int, outcome: Outcome, what: str) -> None:
        if outcome.error is None:
            assert outcome.value == expected
        else:
            assert outcome.error.errno == getattr(errno, what), outcome.error
            assert outcome.error.filename == str(round.path), outcome.error

    counts = {}
    for what in (*ERRORS, "short"):
        judged = functools.partial(judge, what=what)
        counts[what] = every_call(faults, folder, what, lambda: None, attempt, judged)
    return counts


def replaced(folder: Path) -> list[str]:
    """The file is moved away under a writer, and the sync of what is in it fails: the writer says so from then on."""
    faults, path = Faults(), folder / "stream.pseal"
    seen = []
    with suppress(OSError), StreamWriter(path, fsync=0) as stream:  # closing says it once more
        stream.append("first")
        path.rename(folder / "old.pseal")
        with faults.on(folder, "EIO", kinds=("fdatasync", "fsync")):
            for _ in range(2):
                try:
                    stream.append("second")
                except OSError as exc:
                    seen.append(f"{exc.errno} {Path(str(exc.filename)).name}")
            try:
                stream.flush()
            except OSError as exc:
                seen.append(str(exc.strerror))
        assert faults.fired == 1
    assert list(pickleseal.iter_load(folder / "old.pseal")) == ["first"]
    return seen


def name_is_synced(folder: Path) -> list[str]:
    """The sync of the folder fails when a stream is made: the next append does it again before it writes."""
    faults, path = Faults(), folder / "stream.pseal"
    with faults.on(folder, "EIO", kinds=("fsync",)):
        try:
            pickleseal.append(path, "first")
        except OSError as exc:
            assert exc.errno == errno.EIO
    assert path.stat().st_size == 0
    with faults.on(folder):
        pickleseal.append(path, "second")
    assert list(pickleseal.iter_load(path)) == ["second"]
    calls = [call.replace("writev", "write") for call in faults.calls]
    return [call for call in calls if call.split()[0] in ("fsync", "fdatasync", "write")]
