"""Streams whose end a crash of the machine damaged: zeros over several frames, lost blocks, frames half written.

`attempt` makes one, and checks what readers, `repair` and the next append make of it.
"""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path
from typing import Any

import pickleseal
from pickleseal import StreamReader, StreamWriter
from pickleseal.errors import ReadError, StreamWarning, TornTailError
from pickleseal.maintenance import repair

KINDS = ("zeros to the end", "more zeros", "lost blocks", "half written", "several")
Extent = tuple[int, int, list[Any]]  # where a frame begins and ends, and its records


def _make(rng: random.Random, path: Path) -> list[Extent]:
    """Write a stream of a few frames, with an index in some rounds. Return the extents of its frames."""
    path.unlink(missing_ok=True)
    Path(f"{path}.idx").unlink(missing_ok=True)
    count = 0
    for _ in range(rng.randint(1, 3)):
        batch = rng.choice([None, None, 2, 5])
        with StreamWriter(path, batch=batch, fsync=0) as stream:
            for _ in range(rng.choice([1, 3, 8, 70 if rng.random() < 0.1 else 4])):
                stream.append((count, "x" * rng.choice([0, 10, 500, 5000, 20_000])))
                count += 1
    frames: dict[tuple[int, int], list[Any]] = {}
    with StreamReader(path) as stream:
        for found in stream:
            assert stream.frame is not None
            begin = stream.frame.offset
            frames.setdefault((begin, begin + stream.frame.length), []).append(found)
    return [(*extent, records) for extent, records in frames.items()]


def _damage(rng: random.Random, data: bytearray, kind: str, frames: list[Extent]) -> None:
    first = frames[rng.randrange(len(frames))][0]
    at = rng.randrange(first, len(data))
    if kind in ("zeros to the end", "more zeros"):
        data[at:] = bytes(len(data) - at)
        if kind == "more zeros":
            data += bytes(rng.choice([1, 64, 100, 4096, 100_000]))
    elif kind == "lost blocks":
        size = rng.choice([512, 4096])
        for block in range(at // size * size, len(data), size):
            if rng.random() < 0.5:
                data[block : block + size] = bytes(len(data[block : block + size]))
    elif kind == "half written":
        del data[at:]
        if rng.random() < 0.5:
            data += bytes(rng.randrange(1, 5000))
    else:
        for _ in range(rng.randint(2, 3)):
            _damage(
                rng, data, rng.choice(KINDS[:4]), [frame for frame in frames if frame[1] <= len(data)] or frames[:1]
            )
            if len(data) <= frames[0][0] + 1:
                return


def _read(path: Path) -> tuple[list[Any], ReadError | None]:
    found: list[Any] = []
    try:
        found.extend(pickleseal.iter_load(path))
    except ReadError as exc:
        return found, exc
    return found, None


def _skipping(path: Path) -> list[Any]:
    with warnings.catch_warnings(), StreamReader(path, on_error="skip") as stream:
        warnings.simplefilter("ignore", StreamWarning)
        return list(stream)


def attempt(rng: random.Random, path: Path) -> str:
    """Damage the end of a stream, and check each verdict. Return what kind of damage it was."""
    frames, kind = _make(rng, path), rng.choice(KINDS)
    before = path.read_bytes()
    damaged = bytearray(before)
    _damage(rng, damaged, kind, frames)
    path.write_bytes(damaged)
    whole = [frame for frame in frames if damaged[frame[0] : frame[1]] == before[frame[0] : frame[1]]]
    good = 0  # frames before the first that is damaged
    while good < len(whole) and whole[good] == frames[good]:
        good += 1
    end = frames[good - 1][1] if good else 0

    found, error = _read(path)
    assert found == [record for frame in frames[:good] for record in frame[2]]
    assert (error is None) == (len(damaged) == end)
    if isinstance(error, TornTailError):
        assert error.good_end == end
        assert len(whole) == good, "frames of the stream follow, and it was called torn"
    kept = [record for frame in whole for record in frame[2]]
    assert _skipping(path) == kept

    least = whole[-1][1] if whole else 0
    for drop_corrupt in (False, True):
        told: int | ReadError
        try:
            told = repair(path, drop_corrupt=drop_corrupt, dry_run=True)
        except ReadError as exc:
            told = exc
        assert path.read_bytes() == damaged
        try:
            cut = repair(path, drop_corrupt=drop_corrupt)
        except ReadError as exc:
            assert isinstance(told, ReadError)
            assert type(exc) is type(told)
            assert path.read_bytes() == damaged
            assert not drop_corrupt or not end, "one call was not enough"
            continue
        assert told == cut
        size = os.path.getsize(path)
        assert size == len(damaged) - cut
        assert size >= least, "a frame that was whole was cut off"
        assert repair(path) == 0
        pickleseal.append(path, "next")
        assert _skipping(path) == [*kept, "next"]
        return kind
    assert not end, "nothing repaired it"
    return kind + ", not repaired"


def tails(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Rounds of `attempt`, counted by the kind of damage."""
    counts: dict[str, int] = dict.fromkeys(KINDS, 0)
    for round in range(rounds):
        try:
            kind = attempt(random.Random(seed + round), folder / "stream.pseal")
        except BaseException:
            print(f"attempt(random.Random({seed + round}), ...) raised")
            raise
        counts[kind] = counts.get(kind, 0) + 1
    return counts
