"""Make a catalog of artifacts from their headers: one row for each artifact, and one for each frame of a stream.

Of each file, 8 KiB are read; of each object in a store, one range of that size. Nothing is imported or unpickled, and
sections are not read. A refused file gets a row too, with the code of the error. An SQLite catalog is brought up to
date: files that have not changed since the last scan are not read, and files that are gone are removed. JSON lines and
Parquet are rewritten each time.

    pickleseal scan data/ --catalog artifacts.sqlite
    pickleseal scan s3://bucket/models/ --catalog artifacts.parquet
"""

import argparse
import errno
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from types import TracebackType
from typing import Any, NamedTuple

from .._format.timestamps import timestamp_of_file
from .._io.atomic import replace_with, write_all
from .._io.url import is_url, local_path, masked
from ..catalog import COLUMNS, HeaderEntry, iter_headers
from ..errors import MissingExtraError, printable
from .inputs import STDIN, Target, expand
from .options import add_path_arguments
from .output import EXIT_UNREADABLE, Output, UsageError, columns, cut, exit_code_of, plural, progress, size_text

_ENDINGS = (".sqlite", ".jsonl", ".parquet")
_SETTLE = 2.0  # seconds: on a coarse clock, a file that changed just now may change again with the same time
_SHOWN = 20  # types in the table for people
_INTEGERS = frozenset({"offset", "record", "records", "version", "size", "protocol", "sections"})
_LISTS = frozenset({"globals", "signed"})
_OBJECTS = frozenset({"build", "meta", "packages", "types"})  # in Parquet JSON text, as their keys differ between rows


# --- catalogs that are rewritten: JSON lines and Parquet. A new one replaces the old one as a whole. ---------------

_BATCH = 10_000  # rows in memory


def _write_jsonl(path: str, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSON, one a line, in ASCII.

    Raises:
        OSError: from the operating system. After any error, also one from `rows`, the old catalog is unchanged.
    """
    lines = (json.dumps(row).encode("ascii") + b"\n" for row in rows)

    def write(descriptor: int) -> None:
        for batch in _batches(lines):
            write_all(descriptor, [b"".join(batch)])

    replace_with(path, 0, write)


def _write_parquet(path: str, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as Parquet: lists as lists, objects as JSON text.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OSError: from the operating system. After any error, also one from `rows`, the old catalog is unchanged.
    """
    arrow, parquet = _import_parquet()
    kinds = {name: arrow.int64() for name in _INTEGERS} | {name: arrow.list_(arrow.string()) for name in _LISTS}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])

    def write(descriptor: int) -> None:
        with (
            os.fdopen(descriptor, "wb", closefd=False) as file,
            parquet.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for batch in _batches(rows):
                writer.write_table(arrow.Table.from_pylist([_flat(row) for row in batch], schema=schema))

    replace_with(path, 0, write)


def _import_parquet() -> tuple[Any, Any]:
    """Return pyarrow and its parquet module.

    Raises:
        MissingExtraError: they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet needs pyarrow", None, None, "pip install 'pickleseal[parquet]'") from None
    return pyarrow, pyarrow.parquet


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(v, ensure_ascii=False) if name in _OBJECTS and v is not None else v for name, v in row.items()
    }


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


# --- a catalog in SQLite, which is brought up to date in one transaction ----------------------------------------------

_APPLICATION = 0x70736561  # "psea", in the file's header
_VERSION = 1
# artifacts: a row for each artifact or frame; imports: which of them imports what; files: their state at the last scan
_TABLES = f"""
CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER, modified TEXT, etag TEXT) WITHOUT ROWID;
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY, {", ".join(f'"{name}" {"INTEGER" if name in _INTEGERS else "TEXT"}' for name in COLUMNS)}
);
CREATE INDEX artifacts_by_path ON artifacts (path);
CREATE INDEX artifacts_by_type ON artifacts (type, version);
CREATE TABLE imports (name TEXT, id INTEGER, PRIMARY KEY (name, id)) WITHOUT ROWID;
CREATE INDEX imports_by_id ON imports (id);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""
_INSERT = f"INSERT INTO artifacts ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - ours


_LONGEST_WAIT = 3_600_000  # milliseconds for another scan


class Mark(NamedTuple):
    """The state of a file, by which the next scan finds out whether it changed: size and time, or the ETag."""

    size: int | None
    modified: str | None
    etag: str | None


class SqliteCatalog:
    """A catalog that is being brought up to date. At the end of the context, all changes take effect, or none."""

    def __init__(self, path: str, on_wait: Callable[[], object]) -> None:
        """Open or create the catalog, and begin a transaction. Waits while another scan has one.

        Args:
            path: the file.
            on_wait: called before the wait for another scan.

        Raises:
            UsageError: the file is not a catalog.
            sqlite3.Error: from SQLite: the folder does not exist, or another scan goes on for longer than an hour.
        """
        import sqlite3

        self._database = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            try:
                self._database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as exc:
                if "locked" not in str(exc):
                    raise
                on_wait()
                self._database.execute(f"PRAGMA busy_timeout = {_LONGEST_WAIT}")
                self._database.execute("BEGIN IMMEDIATE")
            self._begin(path)
        except BaseException as exc:
            self._database.close()
            if isinstance(exc, sqlite3.DatabaseError) and "not a database" in str(exc):
                raise UsageError(f"--catalog {path}: the file exists and is not an SQLite database") from None
            raise

    def _begin(self, path: str) -> None:
        run = self._database.execute
        application, version = run("PRAGMA application_id").fetchone()[0], run("PRAGMA user_version").fetchone()[0]
        if not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES.split(";"):
                run(statement)
        elif (application, version) != (_APPLICATION, _VERSION):
            raise UsageError(f"--catalog {path}: the database is not a catalog of this version")
        run("CREATE TEMP TABLE seen (path TEXT PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> "SqliteCatalog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._database.execute("COMMIT" if kind is None else "ROLLBACK")
        finally:
            self._database.close()

    def is_current(self, path: str, mark: Mark) -> bool:
        """Note that a file exists, and return whether it is unchanged since the last scan."""
        self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (path,))
        if mark.etag is None and (mark.modified is None or mark.size is None):
            return False
        found = self._database.execute("SELECT size, modified, etag FROM files WHERE path = ?", (path,)).fetchone()
        return found is not None and (found[2] == mark.etag if mark.etag is not None else found == tuple(mark))

    def replace(self, path: str, rows: Iterable[dict[str, Any]]) -> bool:
        """Replace the rows of a file, and return whether it had some. Unless `keep` follows, the next scan reads it."""
        had_rows = self._remove(path)
        run = self._database.execute
        for row in rows:
            number = run(_INSERT, [_value(row[name]) for name in COLUMNS]).lastrowid
            names = [(name, number) for name in row["globals"] or ()]
            self._database.executemany("INSERT INTO imports VALUES (?, ?)", names)
        run("INSERT INTO files (path) VALUES (?)", (path,))
        return had_rows

    def keep(self, path: str, mark: Mark) -> None:
        """Let later scans skip a file as long as it has this mark."""
        run = self._database.execute
        run("UPDATE files SET size = ?, modified = ?, etag = ? WHERE path = ?", (*mark, path))

    def remove_others(self) -> int:
        """Remove files that this scan did not see. Return how many."""
        gone = self._database.execute("SELECT path FROM files WHERE path NOT IN (SELECT path FROM seen)").fetchall()
        for (path,) in gone:
            self._remove(path)
        return len(gone)

    def _remove(self, path: str) -> bool:
        run = self._database.execute
        if not run("DELETE FROM files WHERE path = ?", (path,)).rowcount:
            return False
        run("DELETE FROM imports WHERE id IN (SELECT id FROM artifacts WHERE path = ?)", (path,))
        run("DELETE FROM artifacts WHERE path = ?", (path,))
        return True

    def by_type(self) -> Sequence[tuple[str | None, int | None, int, int, str | None, str | None]]:
        """Return the type, version, number, bytes, first and last `created` of all artifacts in the catalog."""
        return self._database.execute(
            "SELECT type, version, count(*), total(size), min(created), max(created) FROM artifacts "
            "GROUP BY type, version"
        ).fetchall()


def _value(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value


_ESCAPE = re.compile(r"\\(?=x[0-9a-f]{2})")


def _utf8_path(path: str) -> str:
    r"""Return a path as text that can be encoded in UTF-8, another text for each path.

    Bytes that are not UTF-8 are written as `\xNN`, and so is a backslash that could be taken for the start of one.
    """
    if os.sep != "\\":
        path = _ESCAPE.sub(r"\\x5c", path)
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


# --- the command ------------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser, "a file, folder, pattern or URL; URL/ is a folder")
    parser.add_argument("--catalog", required=True, metavar="FILE", help=f"the catalog: {', '.join(_ENDINGS)}")
    parser.add_argument(
        "--concurrency", type=int, default=32, metavar="N", help="URLs that are read at the same time (default: 32)"
    )


class _Group(NamedTuple):
    """All artifacts of one type."""

    versions: set[int]
    counts: list[int]  # artifacts, bytes
    created: list[str]  # first, last


class _Types:
    """The contents of a catalog by type."""

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
    """One run of the command: reads the files, counts, and collects errors."""

    def __init__(self, options: argparse.Namespace, out: Output, targets: Iterable[Target]) -> None:
        self._out = out
        self._targets = targets
        self._concurrency = options.concurrency
        self._marks: dict[str, tuple[Mark, bool]] = {}
        self._has_errors = False  # in the file that is being read
        self.catalog: SqliteCatalog | None = None
        self.types = _Types()
        self.counts = dict.fromkeys(("files", "artifacts", "refused", "new", "read_again", "unchanged", "removed"), 0)
        self.unreadable: list[tuple[str, Exception]] = []
        self.is_listed = True  # all folders, so that a file that was not seen is gone

    def files(self) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield each file that has to be read, with its rows, which the caller takes before the next file."""
        total = None
        if self._out.shows_progress:
            self._targets = list(self._targets)
            total = len(self._targets)
        with progress(self._out, total, "files") as shown:
            entries = iter_headers(self._paths(shown), concurrency=self._concurrency)
            for path, found in groupby(entries, key=lambda entry: entry.path):
                self._has_errors = False
                yield _utf8_path(path), map(self._row, found)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all rows."""
        for _, rows in self.files():
            for row in rows:
                self.types.add_row(row)
                yield row
        if not self.counts["files"] and not self.is_listed:
            raise OSError("nothing could be listed")

    def update(self, catalog: SqliteCatalog) -> None:
        """Bring a catalog up to date."""
        self.catalog = catalog
        for path, rows in self.files():
            had_rows = catalog.replace(path, rows)
            mark, is_reliable = self._marks.pop(path, (None, False))
            if mark is not None and is_reliable and not self._has_errors:
                catalog.keep(path, mark)
            self.counts["read_again" if had_rows else "new"] += 1
        for path, (mark, is_reliable) in self._marks.items():  # empty streams, which have no rows
            self.counts["read_again" if catalog.replace(path, []) else "new"] += 1
            if is_reliable:
                catalog.keep(path, mark)
        if self.is_listed:
            self.counts["removed"] = catalog.remove_others()
        for group in catalog.by_type():
            self.types.add(*group)

    def _paths(self, shown: Any) -> Iterator[str]:
        """Yield the paths that have to be read."""
        for target in self._targets:
            shown.advance(1)
            if target.error is not None:
                self.is_listed = False
                self.unreadable.append((target.path, target.error))
            elif target.path == STDIN:
                raise UsageError("-: standard input has no path for a catalog")
            elif self.catalog is None:
                self.counts["files"] += 1
                yield target.path
            else:
                self.counts["files"] += 1
                local = local_path(target.path) if target.is_url else target.path
                name, (mark, is_reliable) = _utf8_path(local or masked(target.path)), _mark_of(target, local)
                if self.catalog.is_current(name, mark):
                    self.counts["unchanged"] += 1
                else:
                    self._marks[name] = mark, is_reliable
                    yield target.path

    def _row(self, entry: HeaderEntry) -> dict[str, Any]:
        row = entry.as_row()
        row["path"] = _utf8_path(entry.path)
        self.counts["artifacts"] += entry.error is None
        mark = self._marks.get(row["path"])
        if mark is not None:
            row["modified"], row["etag"] = row["modified"] or mark[0].modified, mark[0].etag
        if entry.error is not None:
            if isinstance(entry.error, FileNotFoundError):  # a misspelt path must not empty the catalog
                self.is_listed = False
            self._has_errors = True
            self.counts["refused"] += 1
            self.unreadable.append((entry.path, entry.error))
        return row


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    path = options.catalog
    ending = os.path.splitext(path)[1]
    if ending not in _ENDINGS or is_url(path):
        raise UsageError(f"--catalog {path}: expected a local file that ends with one of {', '.join(_ENDINGS)}")
    if options.concurrency < 1:
        raise UsageError(f"--concurrency: expected 1 or more, found {options.concurrency}")
    if ending == ".parquet":
        _import_parquet()
    scan = _Scan(options, out, expand(options.paths, allow_empty=options.allow_empty))
    try:
        if ending == ".sqlite":
            _update(path, scan, out)
        else:
            (_write_jsonl if ending == ".jsonl" else _write_parquet)(path, scan.rows())
    except OSError as exc:
        out.is_complete = False
        out.message(f"{path}: {exc.strerror or exc}; the catalog is unchanged")
    for name, error in scan.unreadable:
        out.refuse(name, error)
        if exit_code_of(error) == EXIT_UNREADABLE:
            out.is_complete = False
    out.text(*_table(scan, out))
    out.summary = dict(scan.counts)


def _update(path: str, scan: _Scan, out: Output) -> None:
    import sqlite3

    try:
        with SqliteCatalog(path, lambda: out.message(f"{path}: waiting for another scan of this catalog")) as catalog:
            scan.update(catalog)
    except sqlite3.Error as exc:
        if "full" in str(exc):  # SQLITE_FULL, whose number Python has from 3.11 on
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        raise OSError(str(exc)) from None


def _mark_of(target: Target, path: str | None) -> tuple[Mark, bool]:
    """Return the mark of a file, and whether the next scan can rely on it."""
    nothing = Mark(None, None, None), False
    if path is not None:
        try:
            status = os.stat(path)
        except OSError:
            return nothing
        if not stat.S_ISREG(status.st_mode):
            return nothing
        mark = Mark(status.st_size, timestamp_of_file(status.st_mtime_ns), None)
        return mark, time.time() - status.st_mtime > _SETTLE
    info = target.info or {}
    when = next((info[name] for name in ("LastModified", "mtime", "updated", "last_modified") if info.get(name)), None)
    etag, size = info.get("ETag") or info.get("etag"), info.get("size")
    when = None if when is None else when.isoformat() if hasattr(when, "isoformat") else str(when)
    return Mark(size if isinstance(size, int) else None, when, None if etag is None else str(etag).strip('"')), True


def _table(scan: _Scan, out: Output) -> list[str]:
    """Return the contents of the catalog by type, and what this run did."""
    found = scan.types.results()
    for one in found:
        out.result(one)
    rows = [("artifacts", "size", "oldest", "newest", "type")]
    rows += [
        (f"{one['artifacts']:,}", size_text(one["bytes"]), one["oldest"][:10], one["newest"][:10], _type_text(one))
        for one in found[:_SHOWN]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for number, row in enumerate(rows if found else ()):
        start = "  ".join(text.rjust(size) for text, size in zip(row, widths, strict=False))
        line = f"{start}  {cut(row[4], max(columns() - len(start) - 2, 12))}"
        lines.append(line if number else out.style(line, "dim"))
    if len(found) > _SHOWN:
        lines.append(f"and {plural(len(found) - _SHOWN, 'more type')}")
    counts = scan.counts
    parts = [plural(counts["files"], "file")]
    names = ("new", "read_again", "unchanged", "removed")
    parts += [f"{counts[name]:,} {name.replace('_', ' ')}" for name in names if counts[name]]
    if counts["refused"]:
        parts.append(out.style(f"{counts['refused']:,} refused", "red"))
    return [*lines, *[""] * bool(lines), ", ".join(parts)]


def _type_text(one: Mapping[str, Any]) -> str:
    versions = one["versions"]
    name = printable(one["type"], 200)
    if versions == [0]:
        return name
    return f"{name}, version {versions[0]}" + (f" to {versions[-1]}" if len(versions) > 1 else "")
