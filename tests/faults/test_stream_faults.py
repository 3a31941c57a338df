"""Real faults under streams: system calls that fail, appenders that are killed, full disks, torn tails.

The rounds run in child processes: `stream_rounds` (a fault at each system call) and `stream_crashes` (the rest). Longer
ones are in `soak`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers import stream_tails
from _helpers.cli_support import cli
from _helpers.crash_rounds import forked, joined
from _helpers.fault_kit import run, run_each

import pickleseal
from pickleseal import StreamReader, StreamWriter, append, iter_load
from pickleseal._cli import verify as verifying
from pickleseal.catalog import iter_headers
from pickleseal.errors import ReadError, TornTailError
from pickleseal.maintenance import repair

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the faults are made on Linux")

WAYS = ["append", "append-new", "writer", "batches", "batches-new", "repairing"]
if "PICKLESEAL_SHORT" in os.environ:
    WAYS = ["append-new", "batches", "repairing"]


class TestEachSystemCall:
    def test_that_fails_loses_no_record_that_was_acknowledged(self, tmp_path: Path) -> None:
        for counts in run_each("stream_rounds.failing", tmp_path, WAYS).values():
            assert counts.pop("full") >= 5, counts
            assert min(counts.values()) >= 30, counts

    def test_at_which_the_process_dies_leaves_a_whole_stream_or_a_torn_tail(self, tmp_path: Path) -> None:
        for counts in run_each("stream_rounds.killed", tmp_path, WAYS).values():
            assert counts["kills"] >= 30, counts
            assert counts["torn tails"] >= 3, counts

    def test_that_is_interrupted_writes_nothing_twice(self, tmp_path: Path) -> None:
        assert min(run_each("stream_rounds.interrupted", tmp_path, WAYS).values()) >= 30

    def test_that_fails_while_reading_raises_an_os_error_and_not_a_read_error(self, tmp_path: Path) -> None:
        counts = run("stream_rounds.reading", tmp_path)
        assert min(counts.values()) >= 20, counts


def test_a_record_is_synced_before_it_is_acknowledged(tmp_path: Path) -> None:
    calls = run("stream_rounds.order", tmp_path, "writer")
    mine = [call for call in calls if call in ("write stream.pseal", "fdatasync stream.pseal")]
    assert mine == ["write stream.pseal", "fdatasync stream.pseal"] * 5


def test_the_name_of_a_stream_is_synced_before_its_first_record(tmp_path: Path) -> None:
    calls = ["fsync .", "write stream.pseal", "fdatasync stream.pseal"]
    assert run("stream_rounds.name_is_synced", tmp_path) == calls


def test_a_sync_that_failed_is_not_forgotten(tmp_path: Path) -> None:
    seen = run("stream_rounds.replaced", tmp_path)
    assert seen[:2] == ["5 stream.pseal"] * 2
    assert seen[2].startswith("a sync failed before")


def test_appenders_that_are_killed_lose_no_record_that_was_acknowledged(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    for seed in range(1, 11):  # on a busy machine, few records are written between two kills
        folder = tmp_path / str(seed)
        folder.mkdir()
        counts.update(run("stream_crashes.kills", folder, 12, seed))
        if counts["acknowledged"] > 100 and counts["torn tails"] > 0:
            break
    assert counts["acknowledged"] > 100, counts
    assert counts["torn tails"] > 0, counts


def test_a_lock_dies_with_its_holder_although_children_live(tmp_path: Path) -> None:
    counts = run("stream_forks.kills", tmp_path, 24, 7)
    assert counts["children"] >= 24, counts
    assert counts["torn tails"] >= 6, counts


def test_readers_beside_writers_see_a_prefix_of_the_records(tmp_path: Path) -> None:
    counts = run("stream_crashes.beside_readers", tmp_path, 0.5, True)
    assert counts["read"] > 1, counts
    assert counts["followed"] > 10, counts


def test_followers_of_a_stream_that_is_rotated_get_every_record_once_and_in_order(tmp_path: Path) -> None:
    counts = run("stream_rotations.rotations", tmp_path, 2, 5, preload=False)
    assert counts["rotations"] == 40, counts
    assert counts["records"] > 50, counts


def test_a_file_that_may_not_grow_stays_as_it_is(tmp_path: Path) -> None:
    assert run("stream_crashes.largest_file", tmp_path, preload=False) > 50


def test_a_disk_that_is_full_or_read_only(tmp_path: Path) -> None:
    found = run("stream_crashes.full_disk", tmp_path, preload=False)
    if not found["mounted"]:
        pytest.skip("no file system can be mounted here; the other tests make their own ENOSPC")
    assert found["records"] > 100


class TestLock:
    def test_an_append_waits_for_it(self, tmp_path: Path) -> None:
        assert run("stream_crashes.waiting", tmp_path, preload=False) >= 0.1

    def test_without_locks_nothing_is_appended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "stream"
        append(path, "first")
        before = path.read_bytes()

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", refuse)
            with pytest.raises(OSError, match="no locks") as caught:
                append(path, "second")
            assert (caught.value.errno, caught.value.filename) == (errno.ENOLCK, str(path))
            assert list(iter_load(path)) == ["first"]  # reading needs none
        assert path.read_bytes() == before


class TestStoppedWriter:
    """A writer that holds the lock and goes no further: readers report the torn tail, and do not wait for it."""

    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """A stream whose third record is half written by a process that was stopped. At the end it goes on."""
        monkeypatch.setattr("pickleseal._streams.scanner.PATIENCE", 0.1)
        path = str(tmp_path / "stream.pseal")
        append(path, "first")
        append(path, "second")
        data = pickleseal.pack("third")

        def write() -> None:
            with open(path, "ab", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(data[:100])
                os.kill(os.getpid(), signal.SIGSTOP)
                file.write(data[100:])

        child = forked(write)
        os.waitpid(child, os.WUNTRACED)
        try:
            yield path
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "it is not stopped any more"
        finally:
            os.kill(child, signal.SIGCONT)
            joined(child)
        assert list(iter_load(path)) == ["first", "second", "third"]

    def test_whoever_reads_the_stream_once_gets_the_torn_tail(self, path: str) -> None:
        found: list[str] = []
        with pytest.raises(TornTailError):
            found.extend(iter_load(path))
        assert found == ["first", "second"]
        with StreamReader(path) as stream:
            assert (stream.count(), stream.seek(-1)) == (2, 1)
        with StreamReader(path) as stream, pytest.raises(TornTailError):
            list(stream.frames(verify=True))
        entries = list(iter_headers([path]))
        assert [entry.error is None for entry in entries] == [True, True, False]
        assert isinstance(entries[-1].error, TornTailError)
        assert repair(path, dry_run=True) == 100

    @pytest.mark.parametrize("timeout", [0, 0.05, 0.3])
    def test_a_follower_gets_it_at_its_timeout(self, path: str, timeout: float) -> None:
        with StreamReader(path, follow=True, timeout=timeout) as stream:
            assert [next(stream), next(stream)] == ["first", "second"]
            with pytest.raises(TornTailError):
                next(stream)

    @pytest.mark.parametrize("command", ["verify", "inspect", "scan", "repair"])
    def test_a_command_reports_it(self, path: str, command: str) -> None:
        options = {"scan": ["--catalog", path + ".sqlite"], "repair": ["--dry-run"]}.get(command, [])
        said = cli(command, path, *options)
        assert said.code in (1, 3)
        assert "torn" in said.out + said.err or "would cut off 100 bytes" in said.out

    def test_a_reader_waits_for_a_record_that_is_being_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pickleseal._streams.scanner.PATIENCE", 60)  # a busy machine is no stopped writer
        path, data = str(tmp_path / "slow.pseal"), pickleseal.pack("slow" * 20)
        append(path, "first")
        size = os.path.getsize(path)

        def write() -> None:
            with open(path, "ab", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                for at in range(0, len(data), 64):
                    file.write(data[at : at + 64])
                    time.sleep(0.02)

        child = forked(write)
        while os.path.getsize(path) == size:
            time.sleep(0.001)
        assert list(iter_load(path)) == ["first", "slow" * 20]  # it grows, so it is worth waiting for
        joined(child)


class TestBegun:
    """A stream without records, and one whose first record is being written."""

    COMMANDS = ("verify", "inspect", "check", "scan", "repair")

    @staticmethod
    def run(command: str, path: Path) -> Any:
        return cli(command, path, *(["--catalog", f"{path}.sqlite"] if command == "scan" else []), "--json")

    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr("pickleseal._streams.scanner.PATIENCE", 60)  # a busy machine is no stopped writer
        path = tmp_path / "stream.pseal"
        with StreamWriter(path):
            pass
        return path

    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_stream_without_records_is_fine_for_every_command(self, path: Path, command: str) -> None:
        assert self.run(command, path).code == 0
        assert list(iter_headers([path])) == []
        assert repair(path) == repair(path, dry_run=True) == 0
        for options in (["--hex"], ["--layout"], ["--pickle"], ["--as", "stream"]):
            assert cli("inspect", path, *options).code == 0
        append(path, 1)
        assert list(iter_load(path)) == [1]

    def test_an_empty_file_is_no_artifact_and_an_empty_pipe_neither(self, path: Path) -> None:
        for read in (pickleseal.load, pickleseal.peek, pickleseal.verify):
            with pytest.raises(pickleseal.errors.TruncatedError):
                read(path)
        assert cli("verify", path, "--as", "artifact").code == 3
        assert cli("verify", "-", stdin=b"").code == 3

    def test_a_catalog_forgets_the_records_of_a_stream_that_was_emptied(self, path: Path) -> None:
        append(path, 1)
        append(path, 2)
        assert self.run("scan", path).json["summary"]["artifacts"] == 2
        os.truncate(path, 0)
        summary = self.run("scan", path).json["summary"]
        assert (summary["files"], summary["read_again"], summary["artifacts"]) == (1, 1, 0)
        with contextlib.closing(sqlite3.connect(f"{path}.sqlite")) as catalog:
            assert catalog.execute("SELECT count(*) FROM artifacts").fetchall() == [(0,)]

    @pytest.mark.parametrize("first", [1, 63, 64, 300])
    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_first_record_that_is_being_written_is_waited_for(self, path: Path, command: str, first: int) -> None:
        self.write_slowly(path, first, lambda: self.check(self.run(command, path)))

    @staticmethod
    def check(said: Any) -> None:
        assert said.code == 0, said

    @pytest.mark.parametrize("first", [1, 63, 64, 300])
    def test_readers_wait_for_it_too(self, path: Path, first: int) -> None:
        self.write_slowly(path, first, lambda: self.check_read(list(iter_load(path))))
        self.write_slowly(path, first, lambda: self.check_read([e.error is None for e in iter_headers([path])]))

    @staticmethod
    def check_read(found: list[Any]) -> None:
        assert found in ([["x" * 500]], ["x" * 500], [True])

    @staticmethod
    def write_slowly(path: Path, first: int, look: Callable[[], None]) -> None:
        """Look at a stream of whose first record some bytes are there, while a process that holds the lock goes on."""
        path.unlink()
        append(path, "x" * 500)
        data = path.read_bytes()
        path.write_bytes(data[:first])
        reading, writing = os.pipe()

        def write() -> None:
            with open(path, "ab", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                os.write(writing, b"!")
                for at in range(first, len(data), 200):
                    time.sleep(0.03)
                    file.write(data[at : at + 200])

        child = forked(write)
        os.read(reading, 1)
        try:
            look()
        finally:
            joined(child)
            os.close(reading)
            os.close(writing)

    def test_a_file_that_grows_while_it_is_looked_at_is_looked_at_again(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One frame is an artifact, two are a stream: the second one comes between two looks."""
        real, calls = verifying.verify_intact, []

        def verify(*arguments: Any) -> Any:
            calls.append(1)
            if len(calls) == 1:
                path.write_bytes(data[:100])
            try:
                return real(*arguments)
            finally:
                if len(calls) == 1:
                    path.write_bytes(data)

        append(path, 1)
        data = path.read_bytes()
        monkeypatch.setattr(verifying, "verify_intact", verify)
        assert self.run("verify", path).result["kind"] == "artifact"
        assert len(calls) == 2


class TestTarget:
    def test_a_link_is_followed_and_may_lead_to_nothing(self, tmp_path: Path) -> None:
        link, target = tmp_path / "link", tmp_path / "other" / "stream"
        target.parent.mkdir()
        link.symlink_to(target)
        append(link, "first")
        append(target, "second")
        assert link.is_symlink()
        assert list(iter_load(link)) == list(iter_load(target)) == ["first", "second"]

    def test_a_cycle_of_links(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        one.symlink_to(two)
        two.symlink_to(one)
        with pytest.raises(OSError) as caught:
            append(one, "first")
        assert caught.value.errno == errno.ELOOP
        assert sorted(os.listdir(tmp_path)) == ["one", "two"]

    def test_only_a_regular_file_can_be_a_stream(self, tmp_path: Path) -> None:
        for path, error in ((tmp_path, errno.EISDIR), (Path("/dev/null"), errno.EINVAL), (Path("/dev/full"), 22)):
            with pytest.raises(OSError) as caught:
                append(path, "first")
            assert (caught.value.errno, caught.value.filename) == (error, str(path))

    def test_after_a_replacement_records_go_to_the_new_file(self, tmp_path: Path) -> None:
        path, old = tmp_path / "stream", tmp_path / "old"
        with StreamWriter(path, batch=10) as one, StreamWriter(path, extend=True) as two:
            two.append("first")
            one.append("waits")
            path.rename(old)
            two.append("second")
            pickleseal.dump("a frame of its own", path)  # replaces the file under both
            two.append("third")
        assert list(iter_load(old)) == ["first"]
        assert list(iter_load(path)) == ["a frame of its own", "third", "waits"]

    def test_after_a_removal_there_is_a_new_file(self, tmp_path: Path) -> None:
        path = tmp_path / "stream"
        with StreamWriter(path) as stream:
            stream.append("first")
            path.unlink()
            stream.append("second")
            assert list(iter_load(path)) == ["second"]
            path.unlink()
            os.rename(tmp_path, tmp_path.parent / "moved")
            with pytest.raises(FileNotFoundError) as caught:
                stream.append("third")
            assert caught.value.filename == str(path)
            os.rename(tmp_path.parent / "moved", tmp_path)
            stream.append("fourth")
        assert list(iter_load(path)) == ["fourth"]


def test_the_clock_may_go_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, created = tmp_path / "stream", []
    with StreamWriter(path) as one, StreamWriter(path, batch=2) as two:
        for number, seconds in enumerate([2_000_000_000, 1_000_000_000, 0, 1_500_000_000]):
            monkeypatch.setattr("pickleseal._packing.time_ns", lambda seconds=seconds: seconds * 10**9)
            one.append(number)
            two.append(number)
    with StreamReader(path) as stream:
        created = [frame.header.created for frame in stream.frames()]
    assert created != sorted(created)
    assert sorted(iter_load(path)) == [0, 0, 1, 1, 2, 2, 3, 3]


class TestDamagedFile:
    """What a crash of the machine may leave. All records before it are read, and the rest is reported."""

    RECORDS = ("first", ["second"], {"third": "x" * 100})

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "stream"
        for entry in self.RECORDS:
            append(path, entry)
        return path

    @staticmethod
    def ends(path: Path) -> list[int]:
        with StreamReader(path) as stream:
            return [frame.offset + frame.length for frame in stream.frames()]

    @staticmethod
    def read(path: Path) -> tuple[list[object], ReadError | None]:
        found: list[object] = []
        try:
            found.extend(iter_load(path))
        except ReadError as exc:
            return found, exc
        return found, None

    def check(self, path: Path, good: int, end: int) -> None:
        """The tail is torn after `good` records, which end at `end`. It is reported, not appended to, and repaired."""
        found, error = self.read(path)
        assert found == list(self.RECORDS[:good])
        assert isinstance(error, TornTailError)
        assert error.good_end == end
        size = path.stat().st_size
        with pytest.raises(TornTailError):
            append(path, "refused")
        assert path.stat().st_size == size
        assert repair(path) == size - end
        append(path, "next")
        assert self.read(path) == ([*self.RECORDS[:good], "next"], None)

    def test_cut_anywhere(self, path: Path) -> None:
        data, ends = path.read_bytes(), [0, *self.ends(path)]
        for size in range(len(data)):
            path.write_bytes(data[:size])
            good = max(number for number, end in enumerate(ends) if end <= size)
            if size in ends:
                assert self.read(path) == (list(self.RECORDS[:good]), None)
            elif size % 61 == 0 or size - ends[good] in (1, 63, 64, 65):
                self.check(path, good, ends[good])
            else:
                found, error = self.read(path)
                assert found == list(self.RECORDS[:good])
                assert isinstance(error, TornTailError)

    def test_zeros_after_the_end(self, path: Path) -> None:
        data, end = path.read_bytes(), self.ends(path)[-1]
        for more in (1, 63, 64, 65, 4096, 1 << 30):  # sparse: it takes no room
            path.write_bytes(data)
            os.truncate(path, end + more)
            self.check(path, 3, end)

    def test_zeros_from_within_a_frame_are_a_torn_tail_or_damage(self, path: Path) -> None:
        """A file that got its length and not its last blocks. Inside of a frame this is corruption (spec 9.1)."""
        data, ends = path.read_bytes(), self.ends(path)
        for begin in range(ends[1], len(data.rstrip(b"\0")), 3):
            path.write_bytes(data[:begin])
            os.truncate(path, len(data))
            found, error = self.read(path)
            assert found == list(self.RECORDS[:2])
            assert error is not None
            assert isinstance(error, TornTailError) == (begin == ends[1])
            assert error.offset == ends[1]
            with pytest.raises(ReadError):
                append(path, "refused")
            assert path.stat().st_size == len(data)
        with pytest.raises(ReadError):
            repair(path)
        assert repair(path, drop_corrupt=True) == len(data) - ends[1]
        assert self.read(path) == (list(self.RECORDS[:2]), None)


def test_one_call_of_repair_is_enough_whatever_a_crash_left(tmp_path: Path) -> None:
    counts = stream_tails.tails(tmp_path, 60, 1)
    assert min(counts[kind] for kind in stream_tails.KINDS) >= 3, counts


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("size", [1, 5000, 300_000])
@pytest.mark.parametrize("cut", [1, 64, 70, 1000, 20_000, 300_000])
def test_a_reader_that_saw_a_torn_tail_reads_the_records_that_replaced_it(
    tmp_path: Path, cut: int, size: int, follow: bool
) -> None:
    path = tmp_path / "stream"
    append(path, "first")
    with open(path, "ab") as file:
        file.write(pickleseal.pack("torn" * (5000 if cut < 10_000 else 80_000))[:cut])
    records = ["x" * size, "last", "y" * 30_000]
    with StreamReader(path, follow=follow, timeout=0 if follow else None) as stream:
        assert next(stream) == "first"  # what follows was read ahead
        assert repair(path) > 0
        for entry in records:
            append(path, entry)
        assert list(stream) == records
