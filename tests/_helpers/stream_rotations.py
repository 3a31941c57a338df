"""What the children of `test_stream_faults` and `soak` do with streams that are rotated while others follow them."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pickleseal
from _helpers.crash_rounds import forked, joined
from pickleseal import SkippedRange, StreamReader, StreamWriter

_LAST = -1


def _shift(path: Path) -> None:
    """Make room for NAME.1."""
    for number in range(40, 0, -1):
        if os.path.exists(f"{path}.{number}"):
            os.rename(f"{path}.{number}", f"{path}.{number + 1}")


def _rename(path: Path) -> None:
    _shift(path)
    os.rename(path, f"{path}.1")


def _copy_and_empty(path: Path) -> None:
    _shift(path)
    shutil.copy(path, f"{path}.1")
    os.truncate(path, 0)


def _rename_twice(path: Path) -> None:
    _rename(path)
    with StreamWriter(path):
        pass
    _rename(path)


_WAYS: list[Callable[[Path], None]] = [_rename, _copy_and_empty, _rename_twice]


def _write(rng: random.Random, path: Path, rotations: int) -> None:
    """Append numbers and rotate. One process does both, so nothing comes between a copy and the emptying."""
    number = 0
    for _ in range(rotations + 1):
        with StreamWriter(path, batch=rng.choice([None, 3]), fsync=0) as stream:
            for _ in range(rng.choice([0, 1, 1, 5, 50])):
                stream.append((number, "x" * rng.choice([0, 100, 100, 30_000])))
                number += 1
                if rng.random() < 0.05:
                    time.sleep(0.002)
        rng.choice(_WAYS)(path)
        time.sleep(rng.choice([0, 0, 0.001, 0.02, 0.1]))
    pickleseal.append(path, (_LAST, ""))
    (path.parent / "count").write_text(str(number))


def _follow(path: Path, ready: int) -> None:
    """Follow to the last record. Every number came once, in its order."""
    lost: list[SkippedRange] = []
    found: list[int] = []
    with StreamReader(path, follow=True, timeout=60, on_error=lost.append) as stream:
        os.write(ready, b"!")
        for number, text in stream:
            if number == _LAST:
                break
            assert set(text) <= {"x"}
            found.append(number)
        else:
            raise AssertionError(f"the last record did not come: {found[-3:]}")
    assert not lost, lost
    count = path.parent / "count"
    while not count.exists():
        time.sleep(0.01)
    gaps = [pair for pair in pairwise([-1, *found, int(count.read_text())]) if pair[1] != pair[0] + 1]
    assert not gaps, gaps


def rotations(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Rounds of a writer that rotates its file 20 times in some way, and of followers that began before it."""
    counts = {"rounds": rounds, "rotations": 0, "records": 0}
    for round in range(rounds):
        place = folder / str(round)
        place.mkdir()
        path, rng = place / "stream.pseal", random.Random(seed + round)
        reading, writing = os.pipe()
        followers = [forked(partial(_follow, path, writing)) for _ in range(2)]
        for _ in followers:
            os.read(reading, 1)
        os.close(reading)
        os.close(writing)
        writer = forked(partial(_write, rng, path, 20))
        for child in (writer, *followers):
            joined(child)
        counts["rotations"] += 20
        counts["records"] += int((place / "count").read_text())
    return counts
