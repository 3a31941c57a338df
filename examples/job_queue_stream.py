"""A job queue in one file. Jobs survive restarts and workers that die. POSIX, one computer. Copy this module.

python examples/job_queue_stream.py

The file is a stream of events: put, claim, aside, retry, done. A job is an artifact of its own inside its `put` event,
so rebuilding the state from the log unpickles no job. The guarantees:

- **At least once.** When `put` has returned, the job is on the disk. A claim is a lease: a worker loses it if it dies,
  or if it takes longer than `lease` seconds without `renew`. Then another worker gets the job. So a job may run twice,
  and in rare cases twice at the same time. Leases use the system clock: if it is set forward, leases end early.
- When `done` has returned, the job is not handed out again.
- **One bad job does not stop the others, and none is lost.** A job is set aside if it is refused, if it fails `tries`
  times, or if its workers die that often. Its bytes, the code and the reason are kept until `retry` or `done`. A
  damaged part of the log is set aside, too; if it held a `done`, that job runs again.
- An append that a killed process did not finish is cut off. Its `put` never returned.

Each process and each thread makes a queue of its own. A queue holds all open jobs in memory: thousands, not millions.
Finished jobs stay in the file until `compact`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import pickleseal
from pickleseal.errors import ReadError, StreamWarning, TornTailError


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


@dataclass
class _Job:
    data: bytes
    tries: int = 0
    deadline: float = 0.0
    code: str = ""  # not empty: the job is set aside
    reason: str = ""


class StreamQueue:
    """A queue in the file `path`. Beside it are `path.lock`, and at times `path.new` and `path.idx`.

    Args:
        path: the path of the stream, which is made if it is missing.
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
        self.path = os.path.realpath(path)
        self._reader, self._options, self._lease, self._tries = reader or pickleseal.Reader(), options, lease, tries
        self._jobs: dict[str, _Job] = {}
        self._log: pickleseal.StreamReader | None = None
        self._inode = -1
        self._writer = pickleseal.StreamWriter(self.path, repair=True)
        with self._locked():
            open(self.path, "ab").close()

    def close(self) -> None:
        self._writer.close()
        if self._log is not None:
            self._log.close()

    def put(self, job: Any) -> str:
        """Add a job and return its id. PackError: the job can't be packed."""
        name, data = uuid.uuid4().hex, pickleseal.pack(job, options=self._options)
        self._append("put", name, data)
        return name

    def claim(self) -> Claim | None:
        """Claim the job that has waited longest, and load it. The claim comes first, as loading may kill the worker."""
        while True:
            with self._current() as jobs:
                now = time.time()
                name = next((name for name, job in jobs.items() if not job.code and job.deadline <= now), None)
                if name is None:
                    return None
                tries = jobs[name].tries + 1
                data = jobs[name].data
                if tries > self._tries:
                    self._writer.append(("aside", name, "no-answer", f"claimed {self._tries} times, never done"))
                    continue
                self._writer.append(("claim", name, tries, now + self._lease))
            try:
                return Claim(name, tries, self._reader.read(data).object)
            except ReadError as error:
                self._append("aside", name, error.code, str(error))

    def renew(self, claim: Claim) -> None:
        """Start the lease again. If the claim was lost, this changes nothing."""
        self._append("claim", claim.id, claim.tries, time.time() + self._lease)

    def done(self, what: Claim | Aside) -> None:
        """Acknowledge a job, or delete one that is set aside. It is not handed out again, whoever has it now."""
        self._append("done", what.id)

    def fail(self, claim: Claim, reason: str) -> None:
        """Give a job back, or set it aside if it had all its tries."""
        if claim.tries >= self._tries:
            self._append("aside", claim.id, "failed", reason)
        else:
            self._append("claim", claim.id, claim.tries, 0.0)

    def retry(self, aside: Aside) -> None:
        """Let a job that is set aside wait again, for example after a fix was deployed."""
        self._append("retry", aside.id)

    def asides(self) -> list[Aside]:
        with self._current() as jobs:
            return [Aside(name, job.code, job.reason, job.data) for name, job in jobs.items() if job.code]

    def counts(self) -> dict[str, int]:
        with self._current() as jobs:
            aside = sum(1 for job in jobs.values() if job.code)
            claimed = sum(1 for job in jobs.values() if not job.code and job.deadline > time.time())
            return {"waiting": len(jobs) - aside - claimed, "claimed": claimed, "aside": aside}

    def compact(self) -> None:
        """Rewrite the log without the finished jobs, atomically."""
        with self._current():
            self._rewrite()

    # --- the log ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, how: int = fcntl.LOCK_EX) -> Iterator[None]:
        """Hold the lock: shared to append, exclusive to read the log, so that what looks torn is really torn."""
        with open(self.path + ".lock", "ab") as file:  # opened each time, because the lock belongs to the open file
            fcntl.flock(file, how)
            yield

    @contextmanager
    def _current(self) -> Iterator[dict[str, _Job]]:
        with self._locked():
            self._refresh()
            yield self._jobs

    def _append(self, *event: Any) -> None:
        try:
            with self._locked(fcntl.LOCK_SH):
                self._writer.append(event)
        except ReadError:  # the end of the log is damaged, and `_current` sets it aside
            with self._current():
                self._writer.append(event)

    def _refresh(self) -> None:
        """Read what was appended since the last time. If a part is refused, set it aside and rewrite the log."""
        if self._log is None or os.stat(self.path).st_ino != self._inode:
            if self._log is not None:
                self._log.close()
            self._jobs, self._inode = {}, os.stat(self.path).st_ino
            self._log = pickleseal.StreamReader(self.path, on_error="skip")
        refused: list[tuple[int, int, ReadError]] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StreamWarning)
            while True:
                try:
                    for event in self._log:
                        self._apply(event)
                    break
                except ReadError as error:  # a whole frame that is refused; the reader continues after it
                    with open(self.path, "rb") as file:
                        begin = file.seek(error.offset or 0)
                        refused.append((begin, begin + pickleseal.peek(file).frame_len, error))
        refused += [(lost.offset, lost.end, lost.error) for lost in self._log.lost]
        for begin, end, reason in refused:
            logging.getLogger(__name__).error("bytes %d to %d: %s", begin, end, reason)
            if begin < end and not isinstance(reason, TornTailError):
                with open(self.path, "rb") as file:
                    file.seek(begin)
                    self._jobs[uuid.uuid4().hex] = _Job(file.read(end - begin), code=reason.code, reason=str(reason))
        if refused:
            self._rewrite()

    def _apply(self, event: Any) -> None:
        """Apply an event to the state. Events of unknown jobs or of unknown kinds change nothing."""
        match event:
            case ("put", str(name), bytes(data)):
                self._jobs[name] = _Job(data)
            case ("done", str(name)):
                self._jobs.pop(name, None)
            case (_, str(name), *details) if name in self._jobs:
                job = self._jobs[name]
                match event[0], details:
                    case "claim", [int(tries), float(deadline)] if tries >= job.tries:
                        job.tries, job.deadline = tries, deadline
                    case "aside", [str(code), str(reason)]:
                        job.code, job.reason = code, reason
                    case "retry", []:
                        job.code, job.tries, job.deadline = "", 0, 0.0

    def _rewrite(self) -> None:
        """Replace the log by one that holds only the state. Open writers notice that it is another file."""
        if self._log is not None:
            self._log.close()
        self._log = None  # also after an error, the log is read again
        new = self.path + ".new"
        open(new, "wb").close()  # a killed process may have left one: empty it
        shutil.copymode(self.path, new)
        with pickleseal.StreamWriter(new, batch=100) as stream:
            for name, job in self._jobs.items():
                stream.append(("put", name, job.data))
                stream.append(("claim", name, job.tries, job.deadline))
                if job.code:
                    stream.append(("aside", name, job.code, job.reason))
        os.replace(new, self.path)
        for ending in (".new.idx", ".idx"):  # indexes of files that no longer exist
            with suppress(FileNotFoundError):
                os.unlink(self.path + ending)
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def run(queue: StreamQueue, handle: Callable[[Any], object], poll: float = 0.1, until_empty: bool = False) -> None:
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
        path = os.path.join(folder, "jobs.pseal")
        queue = StreamQueue(path)
        for job in ({"mail": 1}, {"mail": 2}, {"mail": "nobody"}, ["no", "dict"]):
            queue.put(job)
        queue.close()

        queue = StreamQueue(path, pickleseal.Reader(expect=dict), tries=2)  # another process, later
        print("waiting:", queue.counts()["waiting"])
        run(queue, lambda job: print("sent:", int(job["mail"])), until_empty=True)
        for aside in queue.asides():
            print("set aside:", aside.code, pickleseal.peek(aside.data).type)
        queue.compact()
        print(queue.counts())
        queue.close()


if __name__ == "__main__":
    main()
