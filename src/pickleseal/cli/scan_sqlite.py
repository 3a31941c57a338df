"""A catalog in SQLite that is brought up to date: what did not change stays, in one transaction.

Tables: `artifacts`, a row for each artifact or frame; `imports`, which of them import what; `files`, by which the next
scan knows what changed since.
"""

import json
import os
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from ..storage.headers import COLUMNS
from .output import UsageError

__all__ = ["Mark", "SqliteCatalog", "plain_path"]

_APPLICATION = 0x70736561  # "psea", in the file's header
_VERSION = 1
_INTEGERS = frozenset({"offset", "record", "records", "version", "size", "protocol", "sections"})
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


class Mark(NamedTuple):
    """What tells whether a file changed since: size and time, or what the store calls its content."""

    size: int | None
    modified: str | None
    etag: str | None


class SqliteCatalog:
    """A catalog while it is brought up to date. A context: at its end everything counts at once, or nothing does."""

    def __init__(self, path: str) -> None:
        """Open or make the catalog, and begin.

        Raises:
            UsageError: the file is something else than a catalog.
            sqlite3.Error: from SQLite: the folder is not there, another scan is under way.
        """
        import sqlite3

        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            self._begin(path)
        except BaseException as exc:
            self._database.close()
            if isinstance(exc, sqlite3.DatabaseError) and "not a database" in str(exc):
                raise UsageError(f"--catalog {path}: there is another file, and no SQLite database") from None
            raise

    def _begin(self, path: str) -> None:
        run = self._database.execute
        run("BEGIN IMMEDIATE")
        application, version = run("PRAGMA application_id").fetchone()[0], run("PRAGMA user_version").fetchone()[0]
        if not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES.split(";"):
                run(statement)
        elif (application, version) != (_APPLICATION, _VERSION):
            raise UsageError(f"--catalog {path}: there is a database that is no catalog of this version")
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
        """Note that a file is there, and tell whether it is the one that is known already."""
        self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (path,))
        if mark.etag is None and (mark.modified is None or mark.size is None):
            return False
        found = self._database.execute("SELECT size, modified, etag FROM files WHERE path = ?", (path,)).fetchone()
        return found is not None and (found[2] == mark.etag if mark.etag is not None else found == tuple(mark))

    def replace(self, path: str, rows: Iterable[dict[str, Any]]) -> bool:
        """Put the rows of a file in the place of its old ones, and tell whether there were some.

        The next scan reads it again, unless it is settled.
        """
        had_some = self._remove(path)
        run = self._database.execute
        for row in rows:
            number = run(_INSERT, [_value(row[name]) for name in COLUMNS]).lastrowid
            names = [(name, number) for name in row["globals"] or ()]
            self._database.executemany("INSERT INTO imports VALUES (?, ?)", names)
        run("INSERT INTO files (path) VALUES (?)", (path,))
        return had_some

    def settle(self, path: str, mark: Mark) -> None:
        """Note by which mark the next scan knows that a file has not changed."""
        run = self._database.execute
        run("UPDATE files SET size = ?, modified = ?, etag = ? WHERE path = ?", (*mark, path))

    def remove_others(self) -> int:
        """Remove files that were not seen this time. Return how many."""
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
        """Return type, version, how many, bytes, and the first and last `created`, of all that is there."""
        return self._database.execute(
            "SELECT type, version, count(*), total(size), min(created), max(created) FROM artifacts "
            "GROUP BY type, version"
        ).fetchall()


def _value(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value


def plain_path(path: str) -> str:
    """Return a path as text that has a UTF-8 form: bytes of a name that are none are written as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace") if not path.isascii() else path
