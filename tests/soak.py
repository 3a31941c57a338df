"""Long fuzzing, outside the suite: `make soak`.

Each round makes bytes in one of several ways and gives them to the library and to the independent reader. The outcome
must be a result or a documented error, the same from both, the same from memory and from a pipe; and no canary may run.
Before that, processes that write are killed, many times.
"""

from __future__ import annotations

import argparse
import gc
import io
import logging
import os
import pickle
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "conformance"))
sys.path.append(str(Path(__file__).resolve().parent / "data" / "modules"))
sys.path.append(str(Path(__file__).resolve().parent.parent / "spec"))

import canary
import independent_reader
from _helpers import fault_kit, hostile_runs, lying, mutations, operations, sized
from _helpers.support import manifest, read
from frames import Frame, canonical, framed

import pickleseal
from pickleseal._format.frame import decode_plain
from pickleseal.errors import ReadError

SEEDS = [read(entry) for kind in ("valid", "invalid") for entry in manifest()[kind] if len(read(entry)) < 20_000]
HEADERS = [entry["header"] for entry in manifest()["valid"]]
TOKENS = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"0",
    b"-1",
    b"1.5",
    b"1e5",
    b"null",
    b"true",
    b"\xff",
    b"\xc0\x80",
    b" ",
    b"\n",
    b"\\u0041",
]
OPCODES = [bytes((code,)) for code in range(256)]


def mutated(rng: random.Random) -> bytes:
    """A vector with a few bytes changed, cut, doubled or moved."""
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        choice = rng.randrange(5)
        if choice == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif choice == 1:
            del data[at : at + rng.randint(1, 64)]
        elif choice == 2:
            data[at:at] = data[at : at + rng.randint(1, 64)]
        elif choice == 3:
            data[at : at + 1] = rng.choice(TOKENS)
        else:
            data[at : at + 8] = rng.choice([bytes(8), b"\xff" * 8, rng.randbytes(8)])
    return bytes(data)


def header_text(rng: random.Random) -> bytes:
    """A frame whose header's text was changed, with right checksums."""
    frame = Frame()
    text = bytearray(canonical(rng.choice(HEADERS)))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        text[at : at + rng.randint(0, 2)] = rng.choice(TOKENS)
    frame.header_text = bytes(text)
    return frame.data


def header_value(rng: random.Random) -> bytes:
    """A frame whose header has one member replaced by any value."""
    values = [
        None,
        True,
        0,
        -1,
        2**53,
        1.5,
        "",
        "a:b",
        "x" * 1024,
        [],
        [1],
        ["a:b"],
        {},
        {"a": "b"},
        {"a": 1},
        {"a.b": [[]]},
        {"": 1},
    ]
    frame = Frame(**{key: value for key, value in rng.choice(HEADERS).items() if key != "sections"})
    frame.minor = int(str(frame.fields["format"]).rpartition(".")[2])
    key = rng.choice([*frame.fields, "meta", "ext", "crit", "types", "packages", "records", "sections", "zzz"])
    frame.fields[key] = rng.choice(values)
    return frame.data


def opcodes(rng: random.Random) -> bytes:
    """A frame around a soup of opcodes."""
    protocol = rng.choice([2, 3, 4, 5])
    body = b"".join(
        rng.choice(OPCODES) + (rng.randbytes(rng.choice([0, 0, 1, 2, 4])) if rng.random() < 0.4 else b"")
        for _ in range(rng.randint(0, 12))
    )
    payload = framed(body, protocol) if protocol >= 4 and rng.random() < 0.6 else bytes((0x80, protocol)) + body + b"."
    frame = Frame(
        payload,
        *[b"x" * rng.choice([0, 1, 64]) for _ in range(rng.choice([0, 0, 1, 2]))],
        pickle={"protocol": protocol},
        globals=["canary:trip"],
    )
    return frame.data


def real(rng: random.Random) -> bytes:
    """A real artifact, or its pickle with one byte changed behind right checksums."""
    obj = [
        rng.choice([1, "a", 2.5, None, b"x", {"k": [1]}, (1, 2), {3}, 10**30, "ö" * 300])
        for _ in range(rng.randint(0, 30))
    ]
    payload = bytearray(pickle.dumps(obj, rng.choice([4, 5])))
    if rng.random() < 0.9:
        payload[rng.randrange(2, len(payload))] = rng.randrange(256)
    return Frame(bytes(payload), pickle={"protocol": payload[1]}, type="builtins:list").data


MAKERS: list[Callable[[random.Random], bytes]] = [mutated, header_text, header_value, opcodes, real]


def ours(data: bytes) -> str:
    try:
        pickleseal.verify(data)
    except ReadError as error:
        assert all(line.isprintable() for line in str(error).split("\n"))
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        return error.code
    return "accepted"


def from_a_pipe(data: bytes) -> str:
    class Pipe:
        read = io.BytesIO(data).read

    try:
        pickleseal.verify(Pipe())  # type: ignore[arg-type]
    except ReadError as error:
        return error.code
    return "accepted"


def theirs(data: bytes) -> str:
    try:
        independent_reader.verify(data)
    except independent_reader.Refused as error:
        return error.error
    return "accepted"


def check(data: bytes) -> str:
    verdict = ours(data)
    other = theirs(data)
    if verdict != other:
        raise SystemExit(f"the library says {verdict}, the independent reader {other}: {data.hex()}")
    if decode_plain(data) is not None and verdict not in ("accepted", "pickle-envelope"):  # it does steps 1 to 17
        raise SystemExit(f"the plain way accepts what is {verdict}: {data.hex()}")
    piped = from_a_pipe(data)
    if piped != verdict and verdict != "trailing-bytes":
        raise SystemExit(f"from memory {verdict}, from a pipe {piped}: {data.hex()}")
    try:
        pickleseal.unpack(data)
    except ReadError:
        pass
    if canary.tripped:
        raise SystemExit(f"the canary ran: {data.hex()}")
    return verdict


def reject_many(count: int) -> None:
    """Refuse artifacts with one Reader: objects and memory stay as they were, and the quarantine is bounded."""
    logging.getLogger("pickleseal.reader").disabled = True
    told = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        quarantine = pickleseal.Quarantine(folder, max_count=100)
        policy = pickleseal.Policy(types={"no.Such": "*"})
        reader = pickleseal.Reader(policy, quarantine=quarantine, on_event=lambda event: told.update([event.outcome]))

        def rounds(first: int, last: int) -> None:
            for number in range(first, last):
                data = SEEDS[number % len(SEEDS)]
                try:
                    reader.read(io.BytesIO(data) if number % 3 else data)
                except ReadError:
                    pass

        rounds(0, 2000)
        gc.collect()
        objects, resident = len(gc.get_objects()), memory()
        rounds(2000, count)
        gc.collect()
        grown, more = len(gc.get_objects()) - objects, memory() - resident
        kept = len([name for name in os.listdir(folder) if name.endswith(".pseal")])
    if grown > 1000 or more > 20_000_000 or kept > 100 or told != {"rejected": count}:
        raise SystemExit(f"{count} rejections: {grown} more objects, {more} more bytes, {kept} kept, {told}")
    print(f"{count:,} rejections: {grown} more objects, {more / 1e6:.1f} MB more memory, {kept} kept")


def memory() -> int:
    """Return the resident memory in bytes, where the system says it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def kill_many(rounds: int, seconds: float, seed: int) -> None:
    """Kill processes that write or append, and read beside writers: nothing torn, nothing acknowledged and lost."""
    with tempfile.TemporaryDirectory() as folder:
        for name, preload, *arguments in (
            ("crash_rounds.dump_kills", False, rounds, seed),
            ("crash_rounds.contention", False, seconds),
            ("stream_crashes.kills", True, rounds, seed),
            ("stream_crashes.beside_readers", True, seconds, True),
            ("stream_forks.kills", True, max(rounds * 3 // 10, 1), seed),
            ("stream_tails.tails", False, max(rounds * 4 // 10, 1), seed),
            ("stream_rotations.rotations", False, max(rounds // 50, 1), seed),
        ):
            place = Path(folder, name)
            place.mkdir()
            found = fault_kit.run(name, place, *arguments, preload=preload, seconds=3600)
            print(f"{name}: {', '.join(f'{count:,} {what}' for what, count in found.items())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rejections", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=1000)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    warnings.simplefilter("ignore", pickleseal.errors.PackageWarning)
    if found := hostile_runs.soak():
        raise SystemExit("\n".join(found))
    reject_many(options.rejections)
    kill_many(options.kills, 10, seed)
    rng, verdicts, schemas, levels = random.Random(seed), Counter[str](), Counter[str](), Counter[str]()
    mutants = Counter[str]()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        for make in MAKERS:
            verdicts[check(make(rng))] += 1
        number = rng.randrange(2**53)
        try:
            schemas[lying.attempt(random.Random(number))] += 1
        except BaseException:
            print(f"lying.attempt(random.Random({number})) raised")
            raise
        try:
            isolated = sum(levels.values()) % 20 == 0
            levels[operations.attempt(random.Random(number), isolated, bool(number & 1))] += 1
        except BaseException:
            print(f"operations.attempt(random.Random({number})) raised")
            raise
        for mutant in range(number, number + 20):
            try:
                mutants[mutations.attempt(random.Random(mutant))] += 1
            except BaseException:
                print(f"mutations.attempt(random.Random({mutant})) raised")
                raise
    for level, isolated in sized.MODES:
        sizes, end = Counter[str](), time.monotonic() + options.seconds / 6
        while time.monotonic() < end:
            sizes += sized.measure(level, isolated, rng.randrange(2**53), 200)
        print(f"{sum(sizes.values()):,} payloads far too large at {level}, isolated={isolated}: {dict(sizes)}")
    print(f"seed {seed}: {sum(verdicts.values()):,} inputs, no disagreement, nothing ran")
    for verdict, count in verdicts.most_common():
        print(f"{count:>10,}  {verdict}")
    print(f"{sum(schemas.values()):,} artifacts that lie about classes: an object or a documented error, each")
    for verdict, count in schemas.most_common():
        print(f"{count:>10,}  {verdict}")
    print(f"{sum(mutants.values()):,} mutants of honest payloads at level strict: no victim was asked for anything")
    for verdict, count in mutants.most_common():
        print(f"{count:>10,}  {verdict}")
    print(f"{sum(levels.values()):,} programs at the levels guarded and strict: nothing changed, nothing was called")
    for verdict, count in levels.most_common(20):
        print(f"{count:>10,}  {verdict}")


if __name__ == "__main__":
    main()
