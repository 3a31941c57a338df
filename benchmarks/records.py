"""Measure many small records in one file: streams, plain pickles end to end, and SQLite.

`python benchmarks/records.py [--quick] [--docs]`. `--docs` writes the tables of docs/benchmarks.md.

All ways take turns in each round, and a figure is the median of the rounds. Nothing is synced, except by a call of
`append`, because every way would wait for the disk in the same way. Files are in the page cache when they are read.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage import DOCS, machine
from workload import Job

import pickleseal

GOAL = "Goal: batched by 100 at most 1.2 of plain pickles, in time and in bytes."


@dataclass
class Way:
    """One way to keep records: how it writes them to a path, and reads them from it."""

    name: str
    write: Callable[[list[Any], Path], None]
    read: Callable[[Path], Iterator[Any]]


def _write_pickles(records: list[Any], path: Path) -> None:
    with path.open("wb") as file:
        for record in records:
            pickle.dump(record, file, protocol=5)


def _read_pickles(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return


def _stream(batch: int | None) -> Callable[[list[Any], Path], None]:
    def write(records: list[Any], path: Path) -> None:
        with pickleseal.StreamWriter(path, batch=batch, fsync=0) as stream:
            for record in records:
                stream.append(record)

    return write


def _read_stream(path: Path) -> Iterator[Any]:
    return pickleseal.iter_load(path, trust=[Job])


def _write_sqlite(records: list[Any], path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    for start in range(0, len(records), 100):
        with database:
            rows = [(pickle.dumps(record, 5),) for record in records[start : start + 100]]
            database.executemany("INSERT INTO records (data) VALUES (?)", rows)
    database.close()


def _read_sqlite(path: Path) -> Iterator[Any]:
    database = sqlite3.connect(path)
    for (data,) in database.execute("SELECT data FROM records ORDER BY id"):
        yield pickle.loads(data)
    database.close()


WAYS = [
    Way("pickles end to end", _write_pickles, _read_pickles),
    Way("pickleseal, batch=100", _stream(100), _read_stream),
    Way("pickleseal, a frame each", _stream(None), _read_stream),
    Way("SQLite, 100 in a transaction", _write_sqlite, _read_sqlite),
]


def kinds(count: int) -> dict[str, list[Any]]:
    """Return `count` records of each kind, by the name of the kind."""
    return {
        "dicts of 4": [{"id": n, "state": "done", "name": f"job-{n}", "score": n / 7} for n in range(count)],
        "nested dicts": [{"id": n, "tags": ["a", "b"], "at": {"x": n / 7, "y": n}} for n in range(count)],
        "dataclasses": [Job(n, f"job-{n}", n / 7, ["a", "b"]) for n in range(count)],
    }


def measure(quick: bool, folder: Path) -> dict[str, Any]:
    """Return the seconds and bytes for a record, for each kind and way; and the seconds by the number of records."""
    count, rounds = (2_000, 2) if quick else (100_000, 7)
    found = {name: compare(records, folder, rounds) for name, records in kinds(count).items()}
    numbers = (2_000, 4_000) if quick else (10_000, 100_000, 1_000_000)
    growth = [{"records": number, **grown(number, folder)} for number in numbers]
    return {"machine": machine(), "count": count, "kinds": found, "growth": growth}


def compare(records: list[Any], folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Write and read the records in each way, in turns, and return the medians for one record."""
    times: dict[str, dict[str, list[float]]] = {way.name: {"write": [], "read": []} for way in WAYS}
    sizes: dict[str, int] = {}
    for turn in range(rounds + 1):
        for way in WAYS:
            path = folder / "records"
            seconds = {"write": timed(lambda way=way, path=path: way.write(records, path))}  # type: ignore[misc]
            seconds["read"] = timed(lambda way=way, path=path: check(way.read(path), records))  # type: ignore[misc]
            sizes[way.name] = path.stat().st_size
            for left in folder.glob("records*"):
                left.unlink()
            if turn:  # the first turn warms up
                for what, value in seconds.items():
                    times[way.name][what].append(value)
    return {
        name: {
            **{what: statistics.median(values) / len(records) for what, values in found.items()},
            "bytes": sizes[name] / len(records),
        }
        for name, found in times.items()
    }


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def check(found: Iterator[Any], records: list[Any]) -> None:
    """Go through the records that were read. Their number and the last one must be right."""
    kept = deque(zip(itertools.count(1), found, strict=False), maxlen=1)
    if list(kept) != [(len(records), records[-1])]:
        sys.exit("not all records came back as they were")


def grown(number: int, folder: Path) -> dict[str, float]:
    """Return the seconds for a record in a stream of this many records with a frame each, which is the harder case."""
    records = [{"id": n, "state": "done"} for n in range(number)]
    path = folder / "grown"
    row = {"append": timed(lambda: _stream(None)(records, path)) / number}
    row["iterate"] = timed(lambda: check(_read_stream(path), records)) / number
    with pickleseal.StreamReader(path) as stream:
        row["seek"] = timed(lambda: (stream.seek(number * 2 // 3), next(stream)))
    row["one more"] = timed(lambda: pickleseal.append(path, records[0]))
    path.with_name("grown.idx").unlink(missing_ok=True)
    with pickleseal.StreamReader(path) as stream:
        row["count"] = timed(stream.count) / number
    path.unlink()
    return row


def text(figures: dict[str, Any]) -> str:
    """Return the tables, in Markdown."""
    lines = [f"{figures['machine']}; {figures['count']:,} records. {GOAL}", ""]
    lines += ["| | | append | iterate | bytes a record |", "|---|---|---|---|---|"]
    for kind, ways in figures["kinds"].items():
        base = ways[WAYS[0].name]
        for name, row in ways.items():
            cells = [f"{row[what] / base[what]:.2f} ({1e-3 / row[what]:,.0f}k/s)" for what in ("write", "read")]
            lines.append(
                f"| {kind} | {name} | {' | '.join(cells)} | {row['bytes'] / base['bytes']:.2f} ({row['bytes']:.0f}) |"
            )
            kind = ""
    lines += ["", "A frame for each record, by the number of records; the last two columns are whole calls:", ""]
    lines += ["| records | append | iterate | count without an index | seek with one | one more `append` |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in figures["growth"]:
        cells = [f"{row[what] * 1e6:.1f} µs" for what in ("append", "iterate", "count")]
        cells += [f"{row[what] * 1e3:.2f} ms" for what in ("seek", "one more")]
        lines.append(f"| {row['records']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write_docs(figures: dict[str, Any]) -> None:
    """Write the figures between their marks in docs/benchmarks.md."""
    page, begin, end = DOCS / "benchmarks.md", "<!-- streams:begin -->\n", "<!-- streams:end -->"
    before, _, rest = page.read_text("utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}{text(figures)}\n{end}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs and few rounds, to see that it runs")
    parser.add_argument("--docs", action="store_true", help="write the figures to docs/benchmarks.md")
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        figures = measure(options.quick, Path(folder))
    print(text(figures))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    if options.docs:
        write_docs(figures)


if __name__ == "__main__":
    main()
