"""Measure the command line on many small artifacts. `python benchmarks/cli.py [--quick]`.

A folder holds 10,000 artifacts of 1 KiB, which are in the page cache. Each command is a process of its own, timed from
start to end. A figure is the best of the rounds. The goals: 4,000 artifacts a second for verify, more for check and
scan.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pickleseal

MODULE = "from dataclasses import dataclass\n\n\n@dataclass\nclass Job:\n    id: int\n    text: str\n"
COMMANDS = {
    "verify": ["verify", "data", "-q"],
    "check": ["check", "data", "--import", "bench_jobs", "-q"],
    "scan, new, SQLite": ["scan", "data", "--catalog", "new.sqlite", "-q"],
    "scan, new, JSON lines": ["scan", "data", "--catalog", "new.jsonl", "-q"],
    "scan, unchanged, SQLite": ["scan", "data", "--catalog", "old.sqlite", "-q"],
}


def prepare(folder: Path, count: int) -> int:
    """Write the artifacts with an old modification time, and return the size of one."""
    import os

    (folder / "bench_jobs.py").write_text(MODULE, "utf-8")
    (folder / "data").mkdir()
    sys.path.insert(0, str(folder))
    jobs = importlib.import_module("bench_jobs")
    for number in range(count):
        path = folder / "data" / f"{number:06}.pseal"
        pickleseal.dump(jobs.Job(number, "x" * 320), path, durable=False)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return path.stat().st_size


def seconds(folder: Path, arguments: list[str], rounds: int) -> float:
    """Return how long a command takes, from start to end."""
    best = float("inf")
    for _ in range(rounds):
        for path in folder.glob("new.*"):
            path.unlink()
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pickleseal", *arguments], cwd=folder, check=True)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 artifacts and one round, to see that it runs")
    quick = parser.parse_args().quick
    count, rounds = (200, 1) if quick else (10_000, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = prepare(folder, count)
        print(f"{count:,} artifacts of {size:,} bytes")
        print("| command | artifacts per second | one artifact, ms |\n|---|---|---|")
        one = next((folder / "data").iterdir())
        for title, arguments in COMMANDS.items():
            if importlib.util.find_spec(f"pickleseal._cli.{arguments[0]}") is None:
                continue
            if "old.sqlite" in arguments:
                seconds(folder, arguments, 1)
            rate = count / seconds(folder, arguments, rounds)
            alone = [str(one) if part == "data" else part.replace("old.", "one.") for part in arguments]
            print(f"| {title} | {rate:,.0f} | {1000 * seconds(folder, alone, rounds):,.0f} |")


if __name__ == "__main__":
    main()
