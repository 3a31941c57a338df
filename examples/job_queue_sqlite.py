"""A job queue in SQLite, for many jobs. SQL can read the header of each job. Copy this module.

python examples/job_queue_sqlite.py

It has the same interface as `job_queue_stream.py`, and gives the same guarantees:

- **At least once.** When `put` has returned, the job is on the disk. A claim is a lease: a worker loses it if it dies,
  or if it takes longer than `lease` seconds without `renew`. Then another worker gets the job. So a job may run twice,
  and in rare cases twice at the same time. Leases use the system clock: if it is set forward, leases end early.
- When `done` has returned, the job is not handed out again.
- **One bad job does not stop the others, and none is lost.** A job is set aside if it is refused, if it fails `tries`
  times, or if its workers die that often. Its bytes, the code and the reason are kept until `retry` or `done`.

SQLite's own pages have no checksums: a damaged payload is found, a row that vanished is not. Each process and each
thread makes a queue of its own, and so does a child after a fork. WAL needs a local disk.

    SELECT json_extract(header, '$.type'), count(*) FROM headers GROUP BY 1;
"""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pickleseal
from pickleseal.errors import ReadError

# The length of the header is a little-endian number at offset 24, and the header begins at 64 (spec section 4). SQL can
# read a byte as a number only by its position in a string of all bytes.
_BYTE = f"(instr(x'{bytes(range(256)).hex()}', substr(payload, %d, 1)) - 1)"
_HEADER_LEN = " + ".join(f"{_BYTE % (25 + place)} * {256**place}" for place in range(3))
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    payload BLOB NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    deadline REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS by_deadline ON jobs (deadline);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY,
    payload BLOB NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE VIEW IF NOT EXISTS headers AS
    SELECT id, code, CAST(substr(payload, 65, HEADER_LEN) AS TEXT) AS header
    FROM (SELECT id, payload, NULL AS code FROM jobs UNION ALL SELECT id, payload, code FROM dead_letters);
""".replace("HEADER_LEN", _HEADER_LEN)


class Claim(NamedTuple):
    """A job that was handed out. `tries` counts how often, this time included."""

    id: str
    tries: int
    job: Any


class Aside(NamedTuple):
    """A job that is set aside, and why. `code` is `"failed"`, `"no-answer"`, or the code of an error of pickleseal."""

    id: str
    code: str
    reason: str
    data: bytes


class SqliteQueue:
    """A queue in the SQLite database `path`.

    Args:
        path: the path of the database, which is made if it is missing.
        reader, options: read and pack the jobs: types, trust, signatures.
        lease: how long a claim lasts, in seconds.
        tries: how often a job is handed out before it is set aside.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        reader: pickleseal.Reader | None = None,
        options: pickleseal.PackOptions | None = None,
        lease: float = 60.0,
        tries: int = 5,
    ) -> None:
        self._reader, self._options, self._lease, self._tries = reader or pickleseal.Reader(), options, lease, tries
        self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._begin_wal()
        self._database.execute("PRAGMA synchronous = FULL")  # each commit is synced
        with self._transaction():
            for statement in SCHEMA.split(";"):
                self._database.execute(statement)

    def close(self) -> None:
        self._database.close()

    def put(self, job: Any) -> str:
        """Add a job and return its id. PackError: the job can't be packed."""
        data = pickleseal.pack(job, options=self._options)
        return str(self._database.execute("INSERT INTO jobs (payload) VALUES (?)", (data,)).lastrowid)

    def claim(self) -> Claim | None:
        """Claim the job that has waited longest, and load it. The claim comes first, as loading may kill the worker."""
        while True:
            with self._transaction() as sql:
                query = "SELECT id, payload, tries + 1 FROM jobs WHERE deadline <= ? ORDER BY id LIMIT 1"
                row = sql.execute(query, (time.time(),)).fetchone()
                if row is None:
                    return None
                name, data, tries = str(row[0]), row[1], row[2]
                if tries > self._tries:
                    self._set_aside(name, "no-answer", f"claimed {self._tries} times, never done")
                    continue
                lease = time.time() + self._lease
                sql.execute("UPDATE jobs SET tries = ?, deadline = ? WHERE id = ?", (tries, lease, name))
            try:
                return Claim(name, tries, self._reader.read(data).object)
            except ReadError as error:
                with self._transaction():
                    self._set_aside(name, error.code, str(error))

    def renew(self, claim: Claim) -> None:
        """Start the lease again. If the claim was lost, this changes nothing."""
        self._lease_until(claim, time.time() + self._lease)

    def done(self, what: Claim | Aside) -> None:
        """Acknowledge a job, or delete one that is set aside. It is not handed out again, whoever has it now."""
        with self._transaction() as sql:
            sql.execute("DELETE FROM jobs WHERE id = ?", (what.id,))
            sql.execute("DELETE FROM dead_letters WHERE id = ?", (what.id,))

    def fail(self, claim: Claim, reason: str) -> None:
        """Give a job back, or set it aside if it had all its tries."""
        if claim.tries >= self._tries:
            with self._transaction():
                self._set_aside(claim.id, "failed", reason)
        else:
            self._lease_until(claim, 0.0)

    def retry(self, aside: Aside) -> None:
        """Let a job that is set aside wait again, for example after a fix was deployed."""
        with self._transaction() as sql:
            sql.execute("INSERT INTO jobs (id, payload) SELECT id, payload FROM dead_letters WHERE id = ?", (aside.id,))
            sql.execute("DELETE FROM dead_letters WHERE id = ?", (aside.id,))

    def asides(self) -> list[Aside]:
        rows = self._database.execute("SELECT id, code, reason, payload FROM dead_letters ORDER BY id")
        return [Aside(str(name), code, reason, data) for name, code, reason, data in rows]

    def counts(self) -> dict[str, int]:
        query = "SELECT count(*), total(deadline > ?), (SELECT count(*) FROM dead_letters) FROM jobs"
        jobs, claimed, aside = self._database.execute(query, (time.time(),)).fetchone()
        return {"waiting": jobs - int(claimed), "claimed": int(claimed), "aside": aside}

    def compact(self) -> None:
        """Give the space of finished jobs back to the file system."""
        self._database.execute("VACUUM")
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _begin_wal(self) -> None:
        """Turn the write-ahead log on. If several processes make the database at once, all but one fail at first."""
        for _ in range(200):
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(0.02)
            else:
                return

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Begin with the lock for writing, because a transaction that begins by reading may not get it later."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _lease_until(self, claim: Claim, deadline: float) -> None:
        query = "UPDATE jobs SET deadline = ? WHERE id = ? AND tries = ?"
        self._database.execute(query, (deadline, claim.id, claim.tries))

    def _set_aside(self, name: str, code: str, reason: str) -> None:
        query = "INSERT INTO dead_letters SELECT id, payload, ?, ? FROM jobs WHERE id = ?"
        self._database.execute(query, (code, reason, name))
        self._database.execute("DELETE FROM jobs WHERE id = ?", (name,))


def run(queue: SqliteQueue, handle: Callable[[Any], object], poll: float = 0.1, until_empty: bool = False) -> None:
    """Claim, handle and acknowledge jobs. If the handler raises, the job has failed."""
    while (claim := queue.claim()) is not None or not until_empty:
        if claim is None:
            time.sleep(poll)
            continue
        try:
            handle(claim.job)
        except Exception as error:
            queue.fail(claim, repr(error))
        else:
            queue.done(claim)


def main() -> None:
    logging.getLogger("pickleseal.reader").setLevel(logging.CRITICAL)  # the output below shows the same
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "jobs.sqlite")
        queue = SqliteQueue(path)
        for job in ({"mail": 1}, {"mail": 2}, {"mail": "nobody"}, ["no", "dict"]):
            queue.put(job)
        queue.close()

        queue = SqliteQueue(path, pickleseal.Reader(expect=dict), tries=2)  # another process, later
        print("waiting:", queue.counts()["waiting"])
        run(queue, lambda job: print("sent:", int(job["mail"])), until_empty=True)
        query = "SELECT code, json_extract(header, '$.type') FROM headers WHERE code IS NOT NULL ORDER BY id"
        with sqlite3.connect(path) as other:
            for code, kind in other.execute(query):
                print("set aside:", code, kind)
        other.close()
        queue.compact()
        print(queue.counts())
        queue.close()


if __name__ == "__main__":
    main()
