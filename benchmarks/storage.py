"""Measure a large array in a file: pickleseal beside other libraries.

`python benchmarks/storage.py [--quick] [--docs]`. `--docs` writes the tables and the plot of docs/benchmarks.md.

All ways take turns in each round, so a slow moment of the computer affects all. A figure is the median of the rounds.
Each way runs once before its time is taken. Otherwise its time would depend on the memory that it gets: memory that
another way has released is fast, and memory that a virtual machine has never used is slow. Files are new when they are
written, and in the page cache when they are read. Nothing is synced. Results are released after the time was taken.
Peak memory is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from peers import Peer, peers
from plot import draw

import pickleseal
from pickleseal._format.checksum import checksum_hex

DOCS = Path(__file__).resolve().parent.parent / "docs"
READS = ("load", "map", "map_verified", "header")
GOALS = "Goals: dump 1.05, load 0.50 of pickle; mapped and verified 1.30 of hashing; mapped below 1 ms."


def in_turns(work: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Run some functions in turns, and return the median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in work}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, function in work.items():
                function()
                start = time.perf_counter()
                result = function()
                times[name].append(time.perf_counter() - start)
                del result
    finally:
        gc.enable()
    return {name: statistics.median(found) for name, found in times.items()}


def dumps_in_turns(found: list[Peer], array: Any, folder: Path, rounds: int) -> dict[str, float]:
    """Return the median seconds of each way to write. The old file is removed before its time is taken."""
    times: dict[str, list[float]] = {peer.name: [] for peer in found}
    for _ in range(rounds):
        for peer in found:
            path = folder / peer.name
            for _ in range(2):
                path.unlink(missing_ok=True)
                start = time.perf_counter()
                peer.dump(array, path)
                seconds = time.perf_counter() - start
            times[peer.name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def measure(quick: bool, folder: Path) -> dict[str, Any] | None:
    """Return all figures as plain values, or None if numpy is missing."""
    try:
        import numpy as np
    except ImportError:
        return None
    megabytes, rounds = (20, 2) if quick else (200, 9)
    found, missing = peers()
    array = np.random.default_rng(0).random(megabytes * 125_000)
    rows: dict[str, dict[str, Any]] = {
        name: {"dump": seconds} for name, seconds in dumps_in_turns(found, array, folder, rounds).items()
    }
    for what in READS:
        work = {peer.name: _bound(peer, what, folder) for peer in found if getattr(peer, what) is not None}
        for name, seconds in in_turns(work, rounds).items():
            rows[name][what] = seconds
    ours = pickleseal.load(folder / "pickleseal")  # so that hashing uses the kind of memory that `load` returns
    raw = memoryview(ours).cast("B")
    base: dict[str, Callable[[], Any]] = {"hash": partial(checksum_hex, raw)}
    hashed = in_turns({**base, "map": _bound(found[2], "map_verified", folder)}, rounds)
    rows["pickleseal"]["map_verified"] = hashed["map"]
    for peer in found:
        rows[peer.name]["memory"] = [peak(peer.name, what, folder, megabytes) for what in ("dump", "load")]
        rows[peer.name]["notices"] = notices(peer, folder / peer.name)
    del array, ours, raw, base
    return {
        "megabytes": megabytes,
        "machine": machine(),
        "rows": rows,
        "missing": missing,
        "hash": hashed["hash"],
        "growth": growth([20, 22] if quick else [26, 28, 30, 31], folder, 1 if quick else 3),
    }


def _bound(peer: Peer, what: str, folder: Path) -> Callable[[], Any]:
    read, path = getattr(peer, what), folder / peer.name
    return lambda: read(path)


def notices(peer: Peer, path: Path) -> bool:
    """Return whether a way to load notices one flipped bit in the middle of the array."""
    with open(path, "r+b") as file:
        middle = file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))
    try:
        peer.load(path)
    except Exception:
        return True
    return False


def peak(name: str, what: str, folder: Path, megabytes: int) -> float:
    """Return the additional peak memory of a dump or load, in sizes of the array."""
    command = [sys.executable, __file__, "--child", name, what, str(folder), str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def child(name: str, what: str, folder: Path, megabytes: int) -> None:
    """Dump or load once in this process, and print what `peak` returns."""
    import numpy as np

    peer = next(peer for peer in peers()[0] if peer.name == name)
    path = folder / name
    array = np.random.default_rng(0).random(megabytes * 125_000) if what == "dump" else None
    before = _high_water()
    if array is not None:
        peer.dump(array, path.with_suffix(".memory"))
        path.with_suffix(".memory").unlink()
    else:
        array = peer.load(path)
    print((_high_water() - before) / (megabytes * 1_000_000))


def _high_water() -> int:
    """Return the peak memory of this process in bytes. (`ru_maxrss` of a child would begin at that of its parent.)"""
    try:
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def growth(sizes: list[int], folder: Path, rounds: int) -> list[dict[str, float]]:
    """Return the seconds of each operation of pickleseal, for arrays of several powers of two."""
    import numpy as np

    rows = []
    ours = peers()[0][2]
    path = folder / ours.name
    for power in sizes:
        array = np.random.default_rng(0).random((1 << power) // 8)
        row = {"size": float(1 << power), "dump": dumps_in_turns([ours], array, folder, rounds)[ours.name]}
        del array
        for what in READS[:3]:
            row[what] = in_turns({what: _bound(ours, what, folder)}, rounds)[what]
        path.unlink()
        rows.append(row)
    return rows


def machine() -> str:
    import numpy as np

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, numpy {np.__version__}, {platform.system()} {platform.machine()}, {cores} cores"


def array_table(figures: dict[str, Any]) -> str:
    """Return the table of all ways, in Markdown."""
    rows, hashed = figures["rows"], figures["hash"]
    base = rows["pickle"]
    lines = [
        "| | dump | load | a flipped bit | mapped, verified | mapped | header | peak memory: dump | load |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        cells = [
            f"{row[what] / base[what]:.2f}" + (f" ({base[what] * 1e3:.0f} ms)" if name == "pickle" else "")
            for what in ("dump", "load")
        ]
        cells.append("noticed" if row["notices"] else "not noticed")
        cells.append(f"{row['map_verified'] / hashed:.2f} of hashing" if "map_verified" in row else "")
        cells += [f"{row[what] * 1e3:.2f} ms" if what in row else "" for what in ("map", "header")]
        cells += [f"{peak:.1f}" for peak in row["memory"]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [f"| {name} | not installed here{' |' * 8}" for name in figures["missing"]]
    return "\n".join(lines)


def growth_table(figures: dict[str, Any]) -> str:
    """Return the table of sizes, in Markdown."""
    lines = ["| size | dump | load | mapped, verified | mapped |", "|---|---|---|---|---|"]
    for row in figures["growth"]:
        size = int(row["size"])
        cells = [f"{row[what] / size * 2**30:.2f} s/GiB" for what in ("dump", "load", "map_verified")]
        name = f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
        lines.append(f"| {name} | {' | '.join(cells)} | {row['map'] * 1e3:.2f} ms |")
    return "\n".join(lines)


def text(figures: dict[str, Any]) -> str:
    """Return both tables, with the computer and the goals."""
    return f"""{figures["machine"]}; a float64 array of {figures["megabytes"]} MB.
Ratios to pickle with protocol 5; hashing the array in memory took {figures["hash"] * 1e3:.1f} ms.
{GOALS}

{array_table(figures)}

pickleseal alone, by size:

{growth_table(figures)}"""


def write_docs(figures: dict[str, Any]) -> None:
    """Write the figures between their marks in docs/benchmarks.md, and draw the plot."""
    page, begin, end = DOCS / "benchmarks.md", "<!-- storage:begin -->\n", "<!-- storage:end -->"
    before, _, rest = page.read_text("utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}{text(figures)}\n{end}{after}", "utf-8")
    (DOCS / "benchmarks.svg").write_text(draw(figures), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs and few rounds, to see that it runs")
    parser.add_argument("--docs", action="store_true", help="write the figures to docs/benchmarks.md and its plot")
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file as well")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, what, folder, megabytes = options.child
        child(name, what, Path(folder), int(megabytes))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        figures = measure(options.quick, Path(folder))
    if figures is None:
        sys.exit("numpy is not installed: there is nothing to measure")
    print(text(figures))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    if options.docs:
        write_docs(figures)


if __name__ == "__main__":
    main()
