"""Measure pickleseal beside bare pickle in one process, as medians and ratios.

`python benchmarks/run.py [--quick] [--json FILE]`.

Each pair is measured in turns (pickle, pickleseal, pickle, ...), so a slow moment of the computer affects both. A
figure is the median of the rounds. Small objects are timed in loops of a thousand. All files are in one folder. Before
each write the old file is removed, and before each read the file is in the page cache.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import pickle
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drift
import records
import storage
from compressing import compressing
from levels import hashing, levels, small_levels
from workload import Changed, Job

import pickleseal
from pickleseal import _packing as packing


@dataclass
class Result:
    """One row: the seconds of pickle and of pickleseal, and the ratio that is the goal, if there is one."""

    name: str
    pickle: float
    pickleseal: float
    goal: float | None = None

    @property
    def ratio(self) -> float:
        return self.pickleseal / self.pickle


def compare(
    name: str, base: Callable[[], Any], ours: Callable[[], Any], rounds: int, number: int = 1, goal: float | None = None
) -> Result:
    """Time two functions in turns, and return the medians in seconds for one call."""
    times: tuple[list[float], list[float]] = ([], [])
    base(), ours()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for function, into in ((base, times[0]), (ours, times[1])):
                start = time.perf_counter()
                for _ in range(number):
                    function()
                into.append((time.perf_counter() - start) / number)
    finally:
        gc.enable()
    return Result(name, statistics.median(times[0]), statistics.median(times[1]), goal)


def small(quick: bool) -> list[Result]:
    obj = {"id": 12345, "name": "report", "total": 99.5, "ok": True}
    bare, sealed = pickle.dumps(obj, 5), pickleseal.pack(obj)
    rounds = 5 if quick else 50
    return [
        compare("4-key dict, pack", lambda: pickle.dumps(obj, 5), lambda: pickleseal.pack(obj), rounds, 1000),
        compare("4-key dict, unpack", lambda: pickle.loads(bare), lambda: pickleseal.unpack(sealed), rounds, 1000),
        compare(
            "4-key dict, pack + unpack",
            lambda: pickle.loads(pickle.dumps(obj, 5)),
            lambda: pickleseal.unpack(pickleseal.pack(obj)),
            rounds,
            1000,
        ),
    ]


def medium(quick: bool) -> list[Result]:
    count = 20_000 if quick else 400_000
    dicts = [{"id": i, "name": f"job-{i}", "score": i / 7, "tags": ["a", "b"]} for i in range(count)]
    jobs = [Job(i, f"job-{i}", i / 7, ["a", "b"]) for i in range(count)]
    rounds = 3 if quick else 7
    results = []
    for name, obj in (("dicts", dicts), ("dataclasses", jobs)):
        results += one_medium(name, obj, rounds)
    return results


def one_medium(name: str, obj: Any, rounds: int) -> list[Result]:
    bare, sealed = pickle.dumps(obj, 5), pickleseal.pack(obj)
    size, loads = f"{len(bare) / 1e6:.0f} MB of {name}", lambda: pickle.loads(bare)
    return [
        compare(f"{size}, pack", lambda: pickle.dumps(obj, 5), lambda: pickleseal.pack(obj), rounds, 1, 1.1),
        compare(f"{size}, unpack", loads, lambda: pickleseal.unpack(sealed, trust=[Job]), rounds),
        compare(f"{size}, verify (beside loads)", loads, lambda: pickleseal.verify(sealed), rounds),
    ]


def schemas(quick: bool) -> list[Result]:
    """Measure what schemas cost: the same objects with and without them, and objects of a class that changed."""
    count = 10_000 if quick else 100_000
    rounds = 5 if quick else 15
    job, jobs = Job(1, "job-1", 0.5, ["a"]), [Job(i, f"job-{i}", i / 7, ["a", "b"]) for i in range(count)]
    add_schemas = packing.add_schemas

    def without_schemas(obj: Any) -> bytes:
        packing.add_schemas = lambda *_: None
        try:
            return pickleseal.pack(obj)
        finally:
            packing.add_schemas = add_schemas

    results = []
    for name, obj, number in ((f"{count // 1000}k dataclasses", jobs, 1), ("one dataclass", job, 1000)):
        bare, sealed = without_schemas(obj), pickleseal.pack(obj)

        def both(obj: Any, pack: Callable[[Any], bytes]) -> Callable[[], Any]:
            return lambda: pickleseal.unpack(pack(obj), trust=[Job])

        def unpack(data: bytes) -> Callable[[], Any]:
            return lambda: pickleseal.unpack(data, trust=[Job])

        goal = 1.1 if number == 1 else None
        results += [
            compare(
                f"{name}, both ways, schemas",
                both(obj, without_schemas),
                both(obj, pickleseal.pack),
                rounds,
                number,
                goal,
            ),
            compare(f"{name}, unpack, schemas", unpack(bare), unpack(sealed), rounds, number, goal),
        ]
    moved = pickleseal.Policy(renames={"workload:Job": "workload:Changed"})
    sealed = pickleseal.pack(jobs)
    results.append(
        compare(
            f"{count // 1000}k dataclasses, changed class",
            lambda: pickleseal.unpack(sealed, trust=[Job]),
            lambda: pickleseal.unpack(sealed, trust=[Changed], policy=moved),
            min(rounds, 7),
        )
    )
    return results


def large(quick: bool, folder: Path) -> list[Result]:
    try:
        import numpy as np
    except ImportError:
        print("numpy is not installed: the array rows are left out", file=sys.stderr)
        return []
    megabytes = 20 if quick else 200
    array = np.random.default_rng(0).random(megabytes * 125_000)
    bare, sealed = folder / "array.pickle", folder / "array.pseal"

    def pickle_dump(sync: bool = False) -> None:
        bare.unlink(missing_ok=True)
        with open(bare, "wb") as file:
            pickle.dump(array, file)
            if sync:
                file.flush()
                os.fsync(file.fileno())

    def our_dump(durable: bool = False) -> None:
        sealed.unlink(missing_ok=True)
        pickleseal.dump(array, sealed, durable=durable)

    def pickle_load() -> Any:
        with open(bare, "rb") as file:
            return pickle.load(file)

    rounds = 3 if quick else 7
    size = f"{megabytes} MB float64 array"
    return [
        compare(f"{size}, dump, not durable", pickle_dump, our_dump, rounds, 1, 1.1),
        compare(f"{size}, dump, durable", lambda: pickle_dump(True), lambda: our_dump(True), rounds),
        compare(f"{size}, verified load", pickle_load, lambda: pickleseal.load(sealed), rounds, 1, 0.6),
    ]


MEMORY = """
import pickle, resource, sys, pickleseal
import numpy as np
what, path = sys.argv[1], sys.argv[2]
def peak():
    try:  # ru_maxrss of a child begins at its parent's
        return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
array = np.random.default_rng(0).random(int(sys.argv[3])) if what.endswith("dump") else None
before = peak()
if what == "pickle-dump": pickle.dump(array, open(path, "wb"))
if what == "pickle-load": array = pickle.load(open(path, "rb"))
if what == "pickleseal-dump": pickleseal.dump(array, path, durable=False)
if what == "pickleseal-load": array = pickleseal.load(path)
print((peak() - before) / array.nbytes)
"""


def memory(quick: bool, folder: Path) -> dict[str, float]:
    """Return the additional peak memory in sizes of the array, each measured in a process of its own."""
    items = str((20 if quick else 200) * 125_000)
    found = {}
    for what in ("pickle-dump", "pickle-load", "pickleseal-dump", "pickleseal-load"):
        path = folder / f"{what.partition('-')[0]}.memory"
        command = [sys.executable, "-c", MEMORY, what, str(path), items]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[what] = round(float(done.stdout), 2)
    return found


def table(results: list[Result]) -> str:
    lines = [f"{'':<38}{'pickle':>12}{'pickleseal':>12}{'ratio':>8}{'goal':>8}"]
    for result in results:
        unit, scale = ("us", 1e6) if result.pickle < 1e-3 else ("ms", 1e3)
        goal = "" if result.goal is None else f"<= {result.goal}"
        lines.append(
            f"{result.name:<38}{result.pickle * scale:>9.2f} {unit}{result.pickleseal * scale:>9.2f} {unit}"
            f"{result.ratio:>8.2f}{goal:>8}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs and few rounds, to see that it runs")
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as name:
        folder = Path(name)
        results = small(options.quick) + medium(options.quick) + large(options.quick, folder)
        print(
            f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}"
        )
        print(table(results))
        print(f"\n{'':<38}{'without':>12}{'with':>12}{'ratio':>8}{'goal':>8}")
        print(table(compared := schemas(options.quick)).partition("\n")[2])
        unpacked, tiny = levels(compare, options.quick), small_levels(compare, options.quick)
        print("\ntrust levels, unpack (signed*: beside pickle and hashlib's SHA-256)")
        print(table(unpacked))
        hashed = hashing(compare, options.quick)
        print(f"\n{'':<38}{'hashlib':>12}{'pickleseal':>12}{'ratio':>8}{'goal':>8}")
        print(table(hashed).partition("\n")[2])
        print(f"\n{'':<38}{'unchecked':>12}{'level':>12}{'ratio':>8}{'goal':>8}")
        print(table(tiny).partition("\n")[2])
        packed, sizes = compressing(compare, options.quick)
        print(f"\ncompressed with Zstandard at level 3, beside its compress() of a pickle\n{table(packed)}")
        print("size, in those of the compressed pickle: " + ", ".join(f"{k} {v}" for k, v in sizes.items()))
        peaks = {}
        if results[-1].name.endswith("load") and sys.platform != "win32":
            peaks = memory(options.quick, folder)
            print(
                "\npeak memory beyond the start, in sizes of the array: "
                + ", ".join(f"{k} {v}" for k, v in peaks.items())
            )
        folder.joinpath("storage").mkdir()
        stored = storage.measure(options.quick, folder / "storage")
        if stored is not None:
            print(f"\n{storage.text(stored)}")
        folder.joinpath("streams").mkdir()
        streamed = records.measure(options.quick, folder / "streams")
        print(f"\n{records.text(streamed)}")
    changed = drift.measure(options.quick)
    print(f"\nobjects of classes that changed: right / error / wrong without an error\n\n{drift.text(changed)}")
    if options.json:
        rows = [
            {**vars(result), "ratio": result.ratio}
            for result in [*results, *compared, *unpacked, *hashed, *tiny, *packed]
        ]
        found = {"results": rows, "memory": peaks, "sizes": sizes, "storage": stored, "streams": streamed}
        found["drift"] = changed
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
