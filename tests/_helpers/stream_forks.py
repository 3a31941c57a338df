"""What the children of `test_stream_faults` and `soak` do with streams in processes that fork. See `fault_kit`.

A lock belongs to an open file, which a forked child shares. A child that outlives its parent must not keep the lock.
"""

from __future__ import annotations

import fcntl
import functools
import multiprocessing
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pickleseal
from _helpers.crash_rounds import forked
from _helpers.fault_kit import Faults
from _helpers.stream_crashes import by_appender, read_whole, record, wait_for_end
from pickleseal import StreamWriter
from pickleseal.errors import TornTailError

_COUNT = struct.Struct("<q")
_LIVES = 30  # seconds, for children that nobody ends


class Places:
    """The files of one round: what is acknowledged, and which children there are."""

    def __init__(self, folder: Path, round: int) -> None:
        self.stream = folder / "streams" / f"{round}.pseal"
        self.told = folder / f"{round}.told"
        self.children = folder / f"{round}.children"
        self.told.write_bytes(_COUNT.pack(0))
        self.children.touch()

    def tell(self, count: int) -> None:
        with open(self.told, "r+b", buffering=0) as file:
            file.write(_COUNT.pack(count))

    def acknowledged(self) -> int:
        return int(_COUNT.unpack(self.told.read_bytes())[0])

    def note_child(self) -> None:
        with open(self.children, "ab", buffering=0) as file:
            file.write(_COUNT.pack(os.getpid()))

    def pids(self) -> list[int]:
        data = self.children.read_bytes()
        return [pid for (pid,) in _COUNT.iter_unpack(data[: len(data) // 8 * 8])]


def _sleep(places: Places) -> None:
    places.note_child()
    time.sleep(_LIVES)
    os._exit(0)


def _fork(places: Places) -> None:
    """A worker of a prefork server: it never touches the stream."""
    if not os.fork():
        _sleep(places)


def _pool(places: Places) -> None:
    multiprocessing.get_context("fork").Process(target=_sleep, args=(places,), daemon=True).start()


def _program(places: Places) -> None:
    """Another program, which gets all descriptors that can be inherited."""
    code = f"import os, struct, time; os.write(2, struct.pack('<q', os.getpid())); time.sleep({_LIVES})"
    with open(places.children, "ab") as file:
        subprocess.Popen([sys.executable, "-S", "-c", code], close_fds=False, stderr=file)


def _user(places: Places, stream: StreamWriter, faults: Faults) -> None:
    """A child that appends with the writer that it has from its parent."""
    if not os.fork():
        faults.disarm()
        places.note_child()
        with suppress(TornTailError):
            stream.append(record(0, 1, 0))
            stream.flush()
        time.sleep(_LIVES)
        os._exit(0)


def _work(places: Places, way: int, when: int, tear: int) -> None:
    """Append until the process is killed. Children begin before a record, between two, or while a thread writes.

    `tear`: once a child lives, die within the write of that number, half done and under the lock.
    """
    warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
    faults = Faults()
    stream = StreamWriter(places.stream, batch=[None, 5, None][way % 3], fsync=way % 2)
    stream.append(record(0, 0, 0))
    stream.flush()
    starts: list[Callable[[], None]] = [
        lambda: _fork(places),
        lambda: _pool(places),
        lambda: _program(places),
        lambda: _user(places, stream, faults),
    ]
    start = starts[way % 4]
    if when == 0:
        start()
    elif when == 1:
        threading.Timer(0.005, start).start()
    with ExitStack() as armed:
        for number in range(1, 10**9):
            if way % 5 == 4:
                pickleseal.append(places.stream, record(0, 0, number))
            else:
                stream.append(record(0, 0, number))
                if number % 3 == 0:
                    stream.flush()
            if number == 3 and when == 2:
                start()
            if way % 5 == 4 or number % 3 == 0:
                places.tell(number + 1)
            if tear and places.pids():
                armed.enter_context(faults.on(places.stream.parent, "tear", tear, ("write", "writev")))
                tear = 0


def _wait_for_lock(path: Path) -> None:
    """Take the lock of a stream, although children of the dead process live. A child may be at its very beginning."""
    end = time.monotonic() + 10
    with open(path, "r+b") as file:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            assert time.monotonic() < end, "a child kept the lock of its parent, which is dead"
            time.sleep(0.01)


def kills(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Rounds of a process that appends, forks in one way or another, and is killed while its children live.

    After each round, with the children alive: the lock is free, nothing acknowledged is lost, nothing is there twice,
    and after a repair the next append goes on.
    """
    rng = random.Random(seed)
    (folder / "streams").mkdir()
    counts = {"rounds": rounds, "children": 0, "acknowledged": 0, "torn tails": 0}
    for round in range(rounds):
        places, way = Places(folder, round), rng.randrange(60)
        tear = rng.randint(1, 40) if round % 2 else 0
        parent = forked(functools.partial(_work, places, way, round % 3, tear))
        end = time.monotonic() + 20
        while not places.pids() and time.monotonic() < end:
            time.sleep(0.001)
        if tear:
            wait_for_end(parent)
        time.sleep(rng.random() * 0.03)
        os.kill(parent, signal.SIGKILL)
        status = os.waitpid(parent, 0)[1]
        assert os.WIFSIGNALED(status), "the parent failed: see above"
        pids = places.pids()
        try:
            assert pids, "no child began"
            _wait_for_lock(places.stream)
            records, is_torn = read_whole(places.stream)
            if is_torn:
                assert pickleseal.maintenance.repair(places.stream) > 0
            pickleseal.append(places.stream, record(0, 9, 0))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        told, found = places.acknowledged(), by_appender(records)
        for numbers in found.values():
            assert numbers == list(range(len(numbers))), numbers
        assert len(found[0, 0]) >= told, ("lost", round, told)
        after, is_torn_after = read_whole(places.stream)
        assert not is_torn_after
        assert set(records) <= set(after)
        counts["children"] += len(pids)
        counts["acknowledged"] += told
        counts["torn tails"] += is_torn
    return counts
