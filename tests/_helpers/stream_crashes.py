"""What the children of `test_stream_faults` and `soak` do with streams and several processes. See `fault_kit`."""

from __future__ import annotations

import errno
import functools
import os
import random
import resource
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pickleseal
from _helpers.crash_rounds import Mounts, forked, joined
from _helpers.fault_kit import Faults
from pickleseal import StreamReader, StreamWriter
from pickleseal.errors import TornTailError

APPENDERS = 4
_SEVERAL = 25  # rounds in one file
_TOLD = struct.Struct("<qq")  # an appender, and how many records of it are acknowledged
Record = tuple[int, int, int, str]  # round, appender, number, and a text that follows from them


def record(round: int, appender: int, number: int) -> Record:
    """A record that shows whether any part of it is of another."""
    size = (round * 31 + appender * 17 + number * 7919) % 977
    if number % 10 == 9:
        size *= 250  # a write of some hundred kilobytes is not done at once, so a kill may tear it
    return round, appender, number, f"{round}.{appender}.{number} " * (size // 8)


def append_for_ever(path: Path, round: int, appender: int, repair: bool, tell: Callable[[int], None]) -> None:
    """Append records, one way or another, and tell how many are acknowledged. It is killed while it does."""
    way = (round + appender) % 5
    if way == 0:  # a call for each record, which opens and closes the file
        for number in range(10**9):
            pickleseal.append(path, record(round, appender, number))
            tell(number + 1)
    batch, linger = [(None, None), (7, None), (5, 0.001), (3, None)][way - 1]
    with StreamWriter(path, batch=batch, linger=linger, fsync=way % 3, repair=repair) as stream:
        for number in range(10**9):
            stream.append(record(round, appender, number))
            if batch is None and way % 3 == 1:
                tell(number + 1)  # synced, with fsync=1
            elif number % 11 == 10:
                stream.flush()
                tell(number + 1)


def append_and_die(faults: Faults | None, tear: int, path: Path, *arguments: Any) -> None:
    """Append until the process is killed, or until another one left a torn tail that is not to be repaired.

    `tear`: die within the write of that number, half done.
    """
    with suppress(TornTailError):
        if faults is None or not tear:
            append_for_ever(path, *arguments)
        else:
            with faults.on(path.parent, "tear", tear, ("write", "writev")):
                append_for_ever(path, *arguments)


def wait_for_end(child: int) -> None:
    """Wait until a child ended, for some seconds at most. Its status is left for another call."""
    end = time.monotonic() + 5
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and time.monotonic() < end:
        time.sleep(0.001)


def tell(descriptor: int, appender: int, count: int) -> None:
    os.write(descriptor, _TOLD.pack(appender, count))


def read_whole(path: Path) -> tuple[list[Record], bool]:
    """Return the records of a stream, and whether its tail is torn. Any other error is an error."""
    found: list[Record] = []
    if not path.exists():
        return found, False
    try:
        found.extend(pickleseal.iter_load(path))
    except TornTailError:
        return found, True
    return found, False


def by_appender(records: list[Record]) -> dict[tuple[int, int], list[int]]:
    """Return the numbers that each appender wrote, in their order, after each record was compared."""
    found: dict[tuple[int, int], list[int]] = {}
    for entry in records:
        assert entry == record(*entry[:3]), "altered"
        found.setdefault(entry[:2], []).append(entry[2])
    return found


def kills(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Rounds of processes that append to one file and are killed, all or one after the other, at random moments.

    After each round: every record that was acknowledged is there once, unaltered, in its appender's order, and behind
    them at most some that were not; no other record is. A torn tail is found, is not appended behind, and is repaired.
    Where the library for faults is loaded, one of the processes dies in the middle of a write.
    """
    rng, faults = random.Random(seed), Faults() if "LD_PRELOAD" in os.environ else None
    counts = {"rounds": rounds, "records": 0, "acknowledged": 0, "torn tails": 0, "repaired by writers": 0}
    path, kept, is_torn = folder / "unused", {}, False
    for round in range(rounds):
        if round % _SEVERAL == 0:
            path, kept, is_torn = folder / f"{round}.pseal", dict[tuple[int, int], list[int]](), False
        reading, writing = os.pipe()

        with_repair = is_torn  # of the round before: this round's writers have to repair it
        tears = rng.randrange(APPENDERS) if faults is not None else -1
        children, torn = [], 0
        for appender in range(APPENDERS):
            if with_repair and (round + appender) % 5 == 0:
                continue  # `append` repairs nothing
            tear = rng.randint(1, 40) if appender == tears else 0
            arguments = path, round, appender, with_repair, functools.partial(tell, writing, appender)
            children.append(forked(functools.partial(append_and_die, faults, tear, *arguments)))
            if tear:
                torn = children[-1]
        os.close(writing)
        if torn and round % 4 == 0:
            wait_for_end(torn)  # so that some writes are torn on a busy machine, too
        time.sleep(rng.random() * 0.03)
        rng.shuffle(children)
        for child in children:
            os.kill(child, signal.SIGKILL)
            if rng.random() < 0.5:
                time.sleep(rng.random() * 0.004)  # the others go on, behind what this one left
        for child in children:
            status = os.waitpid(child, 0)[1]
            assert os.WIFSIGNALED(status) or not status, "an appender failed: see above"
        told = dict.fromkeys(range(APPENDERS), 0)
        with os.fdopen(reading, "rb") as pipe:
            for appender, count in _TOLD.iter_unpack(pipe.read()):
                told[appender] = count
        records, is_torn = read_whole(path)
        found = by_appender(records)
        for key, numbers in found.items():
            assert numbers == list(range(len(numbers))), (key, numbers)
        for key, numbers in kept.items():
            assert found[key] == numbers, ("of an earlier round", key)
        for appender, count in told.items():
            assert len(found.get((round, appender), [])) >= count, ("lost", round, appender, count)
        assert set(found) - set(kept) <= {(round, appender) for appender in range(APPENDERS)}
        kept = found
        counts["acknowledged"] += sum(told.values())
        if with_repair and any(told.values()):
            counts["repaired by writers"] += 1
        if is_torn:
            counts["torn tails"] += 1
            try:
                pickleseal.append(path, "refused")
            except TornTailError:
                pass
            else:
                raise AssertionError("it was appended behind a torn tail")
            if rng.random() < 0.5:
                assert pickleseal.maintenance.repair(path) > 0
                assert read_whole(path) == (records, False)
                is_torn = False
        if (round + 1) % _SEVERAL == 0 or round + 1 == rounds:
            counts["records"] += len(records)
            check_index(path, records)
    return counts


def check_index(path: Path, records: list[Record]) -> None:
    """Records are found by number, through the index that the killed processes left."""
    if not records:
        return
    with StreamReader(path) as reader:
        for number in {0, len(records) // 2, len(records) - 1}:
            assert reader.seek(number) == number
            assert next(reader) == records[number]


def beside_readers(folder: Path, seconds: float, repairs: bool) -> dict[str, int]:
    """Two processes append, and now and then one of them is killed within a write and the tail repaired; two others
    read meanwhile, one again and again, one as it comes. Each sees a beginning of what is there at the end.
    """
    faults, path, end = Faults(), folder / "stream.pseal", time.monotonic() + seconds
    pickleseal.append(path, record(0, 9, 0))
    reading, writing = os.pipe()

    def again_and_again() -> None:
        before: list[Record] = []
        count = 0
        while time.monotonic() < end:
            found, _ = read_whole(path)
            by_appender(found)
            assert found[: len(before)] == before
            before, count = found, count + 1
        os.write(writing, struct.pack("<qq", 0, count))

    def as_it_comes() -> None:
        with StreamReader(path, follow=True, timeout=max(end - time.monotonic(), 0) + 0.5) as stream:
            found = []
            for entry in stream:
                found.append(entry)
                if time.monotonic() > end:
                    break
        by_appender(found)
        assert read_whole(path)[0][: len(found)] == found
        os.write(writing, struct.pack("<qq", 1, len(found)))

    readers = [forked(again_and_again), forked(as_it_comes)]
    deaths = 0
    while time.monotonic() < end - 0.1:
        deaths += 1
        writers = []
        for appender in (0, 1):
            tear = 25 if repairs and appender == deaths % 2 else 0
            arguments = path, deaths, appender, False, lambda _: None
            writers.append(forked(functools.partial(append_and_die, faults, tear, *arguments)))
        time.sleep(0.08)
        for child in writers:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        pickleseal.maintenance.repair(path)
    for child in readers:
        joined(child)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        counts = dict(struct.iter_unpack("<qq", pipe.read()))
    assert read_whole(path)[1] is False
    return {"read": counts[0], "followed": counts[1], "deaths": deaths, "records": len(read_whole(path)[0])}


def largest_file(folder: Path) -> int:
    """A limit on the size of files (RLIMIT_FSIZE) that cuts the write off at each multiple of 8 bytes: EFBIG."""
    path, new = folder / "stream.pseal", "new" * 20
    pickleseal.append(path, "old")
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    needed = len(pickleseal.pack(new))
    for limit in range(size, size + needed - 8, 8):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            pickleseal.append(path, new)
        except OSError as exc:
            assert (exc.errno, exc.filename) == (errno.EFBIG, str(path))
        else:
            raise AssertionError("it was not refused")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.stat().st_size == size
    pickleseal.append(path, new)
    assert list(pickleseal.iter_load(path)) == ["old", new]
    return needed // 8


def full_disk(folder: Path) -> dict[str, Any]:
    """A file system of 1 MiB: records are appended until it is full, then there is room again, then it is read-only."""
    mounts, size = Mounts(), 1 << 20
    if not mounts.begin() or not mounts.tmpfs(folder, size):
        return {"mounted": False}
    path, filler, count = folder / "stream.pseal", folder / "filler", 0
    filler.write_bytes(bytes(4096 * 20))
    with StreamWriter(path, fsync=0) as stream:
        try:
            while True:
                stream.append([count, "x" * 3000])
                count += 1
        except OSError as exc:
            assert (exc.errno, exc.filename) == (errno.ENOSPC, str(path))
        assert [number for number, _ in pickleseal.iter_load(path)] == list(range(count))
        filler.unlink()
        stream.append([count, "the same writer goes on"])
    assert [number for number, _ in pickleseal.iter_load(path)] == list(range(count + 1))
    assert pickleseal.maintenance.repair(path) == 0
    assert mounts.tmpfs(folder, size, read_only=True)
    try:
        pickleseal.append(path, "refused")
    except OSError as exc:
        assert (exc.errno, exc.filename) == (errno.EROFS, str(path))
    else:
        raise AssertionError("it was not refused")
    assert [number for number, _ in pickleseal.iter_load(path)] == list(range(count + 1))
    return {"mounted": True, "records": count}


def waiting(folder: Path) -> float:
    """Another process holds the lock for a while: an append waits, and goes on behind what was written meanwhile."""
    import fcntl

    path = folder / "stream.pseal"
    pickleseal.append(path, "first")
    reading, writing = os.pipe()

    def hold() -> None:
        with open(path, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(writing, b"!")
            time.sleep(0.2)
            file.write(pickleseal.pack("second"))

    child = forked(hold)
    os.read(reading, 1)
    start = time.monotonic()
    pickleseal.append(path, "third")
    seconds = time.monotonic() - start
    joined(child)
    assert list(pickleseal.iter_load(path)) == ["first", "second", "third"]
    return seconds
