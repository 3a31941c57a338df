"""What the children of `test_stream_faults` and `soak` do with streams and several processes. See `fault_kit`."""

from __future__ import annotations

import os
import random
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crash_rounds import forked

import pickleseal
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
    """
    rng = random.Random(seed)
    counts = {"rounds": rounds, "records": 0, "acknowledged": 0, "torn tails": 0, "repaired by writers": 0}
    path, kept, is_torn = folder / "unused", {}, False
    for round in range(rounds):
        if round % _SEVERAL == 0:
            path, kept, is_torn = folder / f"{round}.pseal", dict[tuple[int, int], list[int]](), False
        reading, writing = os.pipe()

        def tell(appender: int, descriptor: int = writing) -> Callable[[int], None]:
            return lambda count: os.write(descriptor, _TOLD.pack(appender, count)) and None

        with_repair = is_torn  # of the round before: this round's writers have to repair it
        children = []
        for appender in range(APPENDERS):
            if with_repair and (round + appender) % 5 == 0:
                continue  # `append` repairs nothing

            def work(
                appender: int = appender, round: int = round, path: Path = path, repair: bool = with_repair
            ) -> None:
                with suppress(TornTailError):  # another one left it, and this one was not told to repair
                    append_for_ever(path, round, appender, repair, tell(appender))

            children.append(forked(work))
        os.close(writing)
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
                assert pickleseal.repair(path) > 0
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
