"""Write a catalog of artifacts from their headers alone: a row for each artifact, and for each frame of a stream.

Of each file 8 KiB are read, from object stores by range. Nothing is
unpickled, and sections are not looked at. What is refused is a row too, with
the code. An SQLite catalog is brought up to date: files whose size and time,
or etag, are those of the last scan are not read, and files that are gone are
removed. JSON lines and Parquet are written anew.

  pickleseal scan data/ --catalog artifacts.sqlite
  pickleseal scan s3://bucket/models/ --catalog artifacts.parquet --concurrency 64
"""

import argparse
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from ..errors import printable
from ..storage.headers import HeaderEntry, iter_headers, modified
from ..storage.url import is_url, local_path, masked
from .output import EXIT_UNREADABLE, Output, UsageError, exit_code_of, size_text
from .progress import progress
from .scan_files import import_parquet, write_jsonl, write_parquet
from .scan_sqlite import Mark, SqliteCatalog, plain_path
from .targets import STDIN, Target, expand

__all__ = ["add_arguments", "run"]

_ENDINGS = (".sqlite", ".jsonl", ".parquet")
_SETTLED = 2.0  # seconds: a file that changed just now may change again without a new time, on coarse file systems
_SHOWN = 20  # types in the table for people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, pattern, or URL; a URL/ is a folder")
    parser.add_argument("--catalog", required=True, metavar="FILE", help=f"what to write: {', '.join(_ENDINGS)}")
    parser.add_argument(
        "--concurrency", type=int, default=32, metavar="N", help="range reads under way at once, for URLs (32)"
    )


class _Group(NamedTuple):
    """All artifacts of one type."""

    versions: set[int]
    counts: list[int]  # artifacts, bytes
    created: list[str]  # first, last


class _Census:
    """What a catalog holds, by type."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def add(self, type: str | None, version: int | None, count: int, size: float, first: Any, last: Any) -> None:
        if type is None or version is None:
            return
        group = self._groups.setdefault(type, _Group(set(), [0, 0], [first, last]))
        group.versions.add(version)
        group.counts[0] += count
        group.counts[1] += int(size)
        group.created[:] = min(group.created[0], first), max(group.created[1], last)

    def add_row(self, row: Mapping[str, Any]) -> None:
        self.add(row["type"], row["version"], 1, row["size"] or 0, row["created"], row["created"])

    def results(self) -> list[dict[str, Any]]:
        found = [
            {
                "type": type,
                "versions": sorted(group.versions),
                "artifacts": group.counts[0],
                "bytes": group.counts[1],
                "oldest": group.created[0],
                "newest": group.created[1],
            }
            for type, group in self._groups.items()
        ]
        return sorted(found, key=lambda one: (-one["artifacts"], one["type"]))


class _Scan:
    """One run: goes through the files, counts, and says what can't be read."""

    def __init__(self, options: argparse.Namespace, out: Output, targets: Iterable[Target]) -> None:
        self._out = out
        self._targets = targets
        self._concurrency = options.concurrency
        self._marks: dict[str, tuple[Mark, bool]] = {}
        self._has_errors = False  # the file that is being read
        self.catalog: SqliteCatalog | None = None
        self.census = _Census()
        self.counts = dict.fromkeys(("files", "artifacts", "refused", "new", "read_again", "unchanged", "removed"), 0)
        self.unreadable: list[tuple[str, Exception]] = []
        self.is_listed = True  # all folders, so that what is not there is gone

    def files(self) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Give each file that has to be read, with its rows, which are to be taken before the next file."""
        total = None
        if self._out.shows_progress:
            self._targets = list(self._targets)
            total = len(self._targets)
        with progress(self._out, total, "files") as shown:
            entries = iter_headers(self._paths(shown), concurrency=self._concurrency)
            for path, found in groupby(entries, key=lambda entry: entry.path):
                self.counts["files"] += 1
                self._has_errors = False
                yield plain_path(path), map(self._row, found)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give all rows."""
        for _, rows in self.files():
            for row in rows:
                self.census.add_row(row)
                yield row
        if not self.counts["files"] and not self.is_listed:
            raise OSError("nothing could be listed")

    def update(self, catalog: SqliteCatalog) -> None:
        """Bring a catalog up to date."""
        self.catalog = catalog
        for path, rows in self.files():
            had_some = catalog.replace(path, rows)
            mark, is_settled = self._marks.pop(path, (None, False))
            if mark is not None and is_settled and not self._has_errors:
                catalog.settle(path, mark)
            self.counts["read_again" if had_some else "new"] += 1
        if self.is_listed:
            self.counts["removed"] = catalog.remove_others()
        for group in catalog.by_type():
            self.census.add(*group)

    def _paths(self, shown: Any) -> Iterator[str]:
        """Give the paths that have to be read."""
        for target in self._targets:
            shown.advance(1)
            if target.error is not None:
                self.is_listed = False
                self.unreadable.append((target.path, target.error))
            elif target.path == STDIN:
                raise UsageError("-: standard input has no place that a catalog could name")
            elif self.catalog is None:
                yield target.path
            else:
                local = local_path(target.path) if target.is_url else target.path
                name, (mark, is_settled) = plain_path(local or masked(target.path)), _mark_of(target, local)
                if self.catalog.is_current(name, mark):
                    self.counts["files"] += 1
                    self.counts["unchanged"] += 1
                else:
                    self._marks[name] = mark, is_settled
                    yield target.path

    def _row(self, entry: HeaderEntry) -> dict[str, Any]:
        row = entry.as_row()
        row["path"] = plain_path(entry.path)
        self.counts["artifacts"] += entry.error is None
        mark = self._marks.get(row["path"])
        if mark is not None:
            row["modified"], row["etag"] = row["modified"] or mark[0].modified, mark[0].etag
        if entry.error is not None:
            if isinstance(entry.error, FileNotFoundError):  # a slip of the pen must not empty the catalog
                self.is_listed = False
            self._has_errors = True
            self.counts["refused"] += 1
            self.unreadable.append((entry.path, entry.error))
        return row


def run(options: argparse.Namespace, out: Output) -> None:
    """Scan, and say what there is."""
    path = options.catalog
    ending = os.path.splitext(path)[1]
    if ending not in _ENDINGS or is_url(path):
        raise UsageError(f"--catalog {path}: expected a file that ends with {', '.join(_ENDINGS)}")
    if options.concurrency < 1:
        raise UsageError(f"--concurrency {options.concurrency}: expected a number from 1")
    if ending == ".parquet":
        import_parquet()
    scan = _Scan(options, out, expand(options.paths))
    try:
        if ending == ".sqlite":
            _update(path, scan)
        else:
            (write_jsonl if ending == ".jsonl" else write_parquet)(path, scan.rows())
    except OSError as exc:
        out.is_complete = False
        out.complain(f"{path}: {exc.strerror or exc}: the catalog is as it was")
    for name, error in scan.unreadable:
        out.refuse(name, error)
        if exit_code_of(error) == EXIT_UNREADABLE:
            out.is_complete = False
    for line in _table(scan, out):
        out.text(line)
    out.summary = dict(scan.counts)


def _update(path: str, scan: _Scan) -> None:
    import sqlite3

    try:
        with SqliteCatalog(path) as catalog:
            scan.update(catalog)
    except sqlite3.Error as exc:
        raise OSError(str(exc)) from None


def _mark_of(target: Target, path: str | None) -> tuple[Mark, bool]:
    """Return what tells whether a file changed, and whether that can be relied upon the next time."""
    nothing = Mark(None, None, None), False
    if path is not None:
        try:
            status = os.stat(path)
        except OSError:
            return nothing
        if not stat.S_ISREG(status.st_mode):
            return nothing
        return Mark(status.st_size, modified(status.st_mtime_ns), None), time.time() - status.st_mtime > _SETTLED
    info = target.info or {}
    when = next((info[name] for name in ("LastModified", "mtime", "updated", "last_modified") if info.get(name)), None)
    etag, size = info.get("ETag") or info.get("etag"), info.get("size")
    when = None if when is None else when.isoformat() if hasattr(when, "isoformat") else str(when)
    return Mark(size if isinstance(size, int) else None, when, None if etag is None else str(etag).strip('"')), True


def _table(scan: _Scan, out: Output) -> list[str]:
    """Show what the catalog holds, by type, and what this run did."""
    found = scan.census.results()
    for one in found:
        out.result(one)
    width = shutil.get_terminal_size().columns
    rows = [("artifacts", "size", "oldest", "newest", "type")]
    rows += [
        (f"{one['artifacts']:,}", size_text(one["bytes"]), one["oldest"][:10], one["newest"][:10], _type_text(one))
        for one in found[:_SHOWN]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for number, row in enumerate(rows if found else ()):
        start = "  ".join(text.rjust(size) for text, size in zip(row, widths, strict=False))
        room = max(width - len(start) - 2, 12)
        last = row[4] if len(row[4]) <= room else row[4][: room - 3] + "..."
        lines.append(out.style(f"{start}  {last}", "dim") if not number else f"{start}  {last}")
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN:,} more types")
    counts = scan.counts
    said = [f"{counts['files']:,} {'file' if counts['files'] == 1 else 'files'}"]
    names = ("new", "read_again", "unchanged", "removed")
    said += [f"{counts[name]:,} {name.replace('_', ' ')}" for name in names if counts[name]]
    if counts["refused"]:
        said.append(out.style(f"{counts['refused']:,} refused", "red"))
    return [*lines, *[""] * bool(lines), ", ".join(said)]


def _type_text(one: Mapping[str, Any]) -> str:
    versions = one["versions"]
    name = printable(one["type"], 200)
    if versions == [0]:
        return name
    return f"{name}, version {versions[0]}" + (f" to {versions[-1]}" if len(versions) > 1 else "")
