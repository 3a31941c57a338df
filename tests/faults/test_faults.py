"""Real faults: system calls that fail, processes that are killed, disks that are full, files that were cut.

The rounds run in child processes: `fault_rounds` (a fault at each system call) and `crash_rounds` (the rest). Longer
ones are in `soak`.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _helpers.fault_kit import run, run_each
from _helpers.support import ROOT

import pickleseal
from pickleseal import Policy, Quarantine, Reader, errors

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the faults are made on Linux")

REPLACING = ["dump", "dump-new", "dump-fast", "dump-large", "dump-link", "seal", "upgrade", "keys"]
if "PICKLESEAL_SHORT" in os.environ:  # on other interpreters: those that differ in what they call
    REPLACING = ["dump-large", "dump-link", "seal"]
FEWEST = {"dump-fast": 8, "seal": 20, "upgrade": 20}


class TestEachSystemCall:
    def test_that_fails_leaves_the_old_file_or_the_new_one(self, tmp_path: Path) -> None:
        for name, counts in run_each("fault_rounds.replace", tmp_path, REPLACING).items():
            fewest = FEWEST.get(name, 11)
            assert all(counts[what] >= fewest for what in ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EACCES")), counts
            assert counts["ENOSPC from then on"] >= 2, counts
            assert counts["short"] >= 1, counts

    def test_at_which_the_process_dies_leaves_the_old_file_or_the_new_one(self, tmp_path: Path) -> None:
        counts = run_each("fault_rounds.killed", tmp_path, REPLACING)
        assert all(count >= FEWEST.get(name, 11) for name, count in counts.items()), counts

    def test_that_is_interrupted_leaves_the_old_file_or_the_new_one(self, tmp_path: Path) -> None:
        counts = run_each("fault_rounds.interrupted", tmp_path, ["dump", "dump-new", "dump-large", "seal"])
        assert min(counts.values()) >= 11, counts

    def test_after_which_the_folder_is_gone_raises_an_os_error(self, tmp_path: Path) -> None:
        counts = run_each("fault_rounds.deleted", tmp_path, ["dump", "dump-fast", "seal"])
        assert min(counts.values()) >= 5, counts

    def test_that_fails_while_reading_raises_an_os_error_and_not_a_read_error(self, tmp_path: Path) -> None:
        counts = run_each("fault_rounds.reading", tmp_path, ["load", "load mmap", "verify", "peek", "Reader.read"])
        assert min(count for found in counts.values() for count in found.values()) >= 6, counts

    @pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: no threads")
    def test_that_fails_in_one_of_several_threads_stops_them_all(self, tmp_path: Path) -> None:
        assert run("fault_rounds.threads", tmp_path) == 24

    def test_that_fails_in_a_quarantine_does_not_hide_the_refusal(self, tmp_path: Path) -> None:
        counts = run("fault_rounds.quarantine", tmp_path)
        assert min(counts.values()) >= 15, counts


def test_a_durable_file_is_synced_before_the_rename_and_its_folder_after(tmp_path: Path) -> None:
    first = ["create temporary", "write temporary", "fsync temporary", "rename temporary"]
    found = run_each("fault_rounds.order", tmp_path, ["dump", "dump-new", "dump-link", "seal", "keys"])
    assert found.pop("dump-link") == [*first, "fsync other"]
    assert all(calls == [*first, "fsync ."] for calls in found.values()), found


def test_without_durable_nothing_is_synced(tmp_path: Path) -> None:
    calls = ["create temporary", "write temporary", "rename temporary"]
    assert run("fault_rounds.order", tmp_path, "dump-fast") == calls


def test_a_process_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    counts = run("crash_rounds.dump_kills", tmp_path, 60, 1, preload=False)
    assert counts["dumps"] > 20, counts


def test_a_reader_beside_writers_sees_one_artifact_whole(tmp_path: Path) -> None:
    counts = run("crash_rounds.contention", tmp_path, 0.7, preload=False)
    assert counts["loads"] > 20, counts
    assert counts["different"] > 2, counts


def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path: Path) -> None:
    assert run("crash_rounds.largest_file", tmp_path, preload=False) > 50


def test_a_disk_that_is_full_or_read_only(tmp_path: Path) -> None:
    found = run("crash_rounds.full_disk", tmp_path, preload=False)
    if not found["mounted"]:
        pytest.skip("no file system can be mounted here; the other tests make their own ENOSPC")
    assert found["full"] == 8


def test_what_the_user_may_not_write_or_read(tmp_path: Path) -> None:
    assert run("crash_rounds.no_permission", tmp_path, preload=False)


class TestTarget:
    """What a path may lead to, other than a file or nothing."""

    @staticmethod
    def refused(path: Path | str, error: int) -> None:
        for durable in (True, False):
            with pytest.raises(OSError) as caught:
                pickleseal.dump("new", path, durable=durable)
            assert caught.value.errno == error
            assert caught.value.filename == str(path)
            assert str(path)[-30:] in str(caught.value)

    def test_a_link_to_nothing_gets_its_file(self, tmp_path: Path) -> None:
        link, target = tmp_path / "link", tmp_path / "other" / "a"
        target.parent.mkdir()
        link.symlink_to(target)
        with pytest.raises(FileNotFoundError):
            pickleseal.load(link)
        pickleseal.dump("new", link)
        assert link.is_symlink()
        assert pickleseal.load(target) == "new"
        assert os.listdir(target.parent) == ["a"]

    def test_a_link_into_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "none" / "a")
        self.refused(link, errno.ENOENT)
        assert link.is_symlink()

    def test_a_cycle_of_links(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        one.symlink_to(two)
        two.symlink_to(one)
        self.refused(one, errno.ELOOP)
        with pytest.raises(OSError, match=str(one)):
            pickleseal.load(one)
        assert sorted(os.listdir(tmp_path)) == ["one", "two"]
        assert one.is_symlink()
        assert two.is_symlink()

    def test_of_hard_links_one_is_replaced(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        pickleseal.dump("old", one)
        os.link(one, two)
        pickleseal.dump("new", one)
        assert (pickleseal.load(one), pickleseal.load(two)) == ("new", "old")

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        self.refused(tmp_path / "a", errno.EISDIR)
        assert os.listdir(tmp_path) == ["a"]

    def test_a_file_where_a_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        self.refused(tmp_path / "file" / "a", errno.ENOTDIR)

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        self.refused(tmp_path / ("n" * 256), errno.ENAMETOOLONG)
        self.refused("/".join([str(tmp_path), *["n" * 100] * 41]), errno.ENAMETOOLONG)
        assert os.listdir(tmp_path) == []

    def test_a_device_is_written_to(self) -> None:
        self.refused("/dev/full", errno.ENOSPC)
        pickleseal.dump("new", "/dev/null")
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


class TestClock:
    """Nothing is decided by the clock, save where a policy has `max_age` or `max_skew`."""

    def test_an_artifact_may_be_older_than_the_one_it_replaces(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, created = tmp_path / "a", []
        for number, seconds in enumerate([2_000_000_000, 1_000_000_000, 0, -1, 1_500_000_000]):
            monkeypatch.setattr("pickleseal._packing.time_ns", lambda seconds=seconds: seconds * 10**9)
            pickleseal.dump(number, path)
            assert pickleseal.load(path) == number
            created.append(pickleseal.verify(path).created)
        assert created[3] < created[2] < created[1] < created[4] < created[0]

    def test_a_fixed_time_works_as_well(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a"
        pickleseal.dump("old", path)
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
        pickleseal.dump("new", path, options=pickleseal.PackOptions())
        assert pickleseal.load(path) == "new"
        assert pickleseal.peek(path).created.startswith("1970-01-01T00:00:00")

    def test_a_quarantine_keeps_what_comes_when_the_clock_goes_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader = Reader(Policy(types={"no.Such": "*"}), quarantine=Quarantine(tmp_path))
        for number, seconds in enumerate([2_000_000_000, 1_000_000_000, 1_000_000_000]):
            monkeypatch.setattr("time.time_ns", lambda seconds=seconds: seconds * 10**9)
            with pytest.raises(errors.ReadError) as caught:
                reader.read(pickleseal.pack(number))
            assert caught.value.quarantined is not None
        assert len(list(tmp_path.glob("*.json"))) == 3


class TestDamagedFile:
    """What a crash of the machine or a bad copy may leave: a refusal, never an object."""

    READS: tuple[Callable[[Any], Any], ...] = (pickleseal.load, pickleseal.verify, Reader().read)

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "a.pseal"
        pickleseal.dump({"state": [1, "two", 3.0]}, path, durable=False)
        return path

    def verdicts(self, path: Path) -> set[str]:
        found = set()
        for read in self.READS:
            with pytest.raises(errors.ReadError) as caught:
                read(path)
            assert caught.value.path == str(path)
            found.add(caught.value.code)
        return found

    def test_cut_anywhere(self, path: Path) -> None:
        size = path.stat().st_size
        for length in range(size - 1, -1, -1):
            os.truncate(path, length)
            assert self.verdicts(path) == {"truncated"}

    def test_zeros_from_anywhere_on(self, path: Path) -> None:
        whole = path.read_bytes()
        end = len(whole.rstrip(b"\0"))
        seen: set[str] = set()
        for length in range(end):
            os.truncate(path, 0)
            path.write_bytes(whole[:length])
            os.truncate(path, len(whole))  # a hole, which reads as zeros
            seen |= self.verdicts(path)
        assert seen == {"not-an-artifact", "preamble-checksum", "header-checksum", "section-checksum"}

    def test_zeros_after_the_end(self, path: Path) -> None:
        size = path.stat().st_size
        for more in (1, 63, 64, 4096, 1 << 30):  # sparse: it takes no room
            os.truncate(path, size + more)
            assert self.verdicts(path) == {"trailing-bytes"}

    def test_nothing_but_zeros(self, path: Path) -> None:
        os.truncate(path, 0)
        for size in (1, 64, 1 << 30):
            os.truncate(path, size)
            assert self.verdicts(path) == {"not-an-artifact"}
        with pytest.raises(errors.NotAnArtifactError, match="zero bytes"):
            pickleseal.load(path)

    def test_a_hole_in_the_middle_of_a_large_file(self, tmp_path: Path) -> None:
        path = tmp_path / "large.pseal"
        pickleseal.dump(os.urandom(1 << 16) * 48, path, durable=False)
        data = path.read_bytes()
        with open(path, "r+b") as file:
            os.truncate(path, 1 << 20)
            file.seek(2 << 20)
            file.write(data[2 << 20 :])
        assert path.stat().st_size == len(data)
        assert self.verdicts(path) == {"section-checksum"}


SHOWN_BY = {  # the first words of each row of the tables of faults, and the tests that show what the row says
    "any system call of a write fails": "test_that_fails_leaves_the_old_file_or_the_new_one",
    "the disk is full from some call on; a write": "test_that_fails_leaves_the_old_file_or_the_new_one",
    "a file system is full, nearly": "test_a_disk_that_is_full_or_read_only",
    "a file may not grow": "test_a_file_that_may_not_grow_leaves_the_old_one",
    "the process is killed (`kill -9`) before any system call, or at any moment": (
        "test_at_which_the_process_dies_leaves_the_old_file_or_the_new_one "
        "test_a_process_that_is_killed_leaves_a_whole_file"
    ),
    "an interrupt": (
        "test_that_is_interrupted_leaves_the_old_file_or_the_new_one test_that_is_interrupted_writes_nothing_twice"
    ),
    "other processes load the path": "test_a_reader_beside_writers_sees_one_artifact_whole",
    "a system call of a read fails": (
        "test_that_fails_while_reading_raises_an_os_error_and_not_a_read_error "
        "test_that_fails_in_one_of_several_threads_stops_them_all"
    ),
    "any system call of a quarantine": "test_that_fails_in_a_quarantine_does_not_hide_the_refusal",
    "the folder is removed": "test_after_which_the_folder_is_gone_raises_an_os_error",
    "the user may not": "test_what_the_user_may_not_write_or_read test_a_file_that_may_not_be_written_is_refused",
    "the file has another owner": (
        "test_a_member_of_the_group_keeps_the_group test_another_group_gets_no_more_than_everybody "
        "test_root_takes_no_file_away test_they_are_kept test_an_acl_is_kept "
        "test_an_acl_that_cannot_be_kept_is_an_error"
    ),
    "the path is a link |": "test_a_link_to_nothing_gets_its_file test_a_cycle_of_links",
    "the path is one of several hard links": "test_of_hard_links_one_is_replaced",
    "the path is a folder": "test_a_folder test_a_name_that_is_too_long test_a_device_is_written_to",
    "the clock goes back": "test_an_artifact_may_be_older_than_the_one_it_replaces test_the_clock_may_go_back",
    "the file was cut off": "test_cut_anywhere test_zeros_after_the_end",
    "the file is zeros": (
        "test_zeros_from_anywhere_on test_nothing_but_zeros test_a_hole_in_the_middle_of_a_large_file"
    ),
    "there are zeros after the end": "test_zeros_after_the_end",
    "any system call of an append": "test_that_fails_loses_no_record_that_was_acknowledged",
    "a sync of the data": "test_a_sync_that_failed_is_not_forgotten",
    "the process is killed (`kill -9`) before any system call, or during a write": (
        "test_at_which_the_process_dies_leaves_a_whole_stream_or_a_torn_tail"
    ),
    "four processes": "test_appenders_that_are_killed_lose_no_record_that_was_acknowledged",
    "other processes read": (
        "test_readers_beside_writers_see_a_prefix_of_the_records "
        "test_a_reader_that_saw_a_torn_tail_reads_the_records_that_replaced_it"
    ),
    "a file system is full or": "test_a_disk_that_is_full_or_read_only test_a_file_that_may_not_grow_stays_as_it_is",
    "another process holds the lock": "test_an_append_waits_for_it test_without_locks_nothing_is_appended",
    "the file is replaced": (
        "test_after_a_replacement_records_go_to_the_new_file test_after_a_removal_there_is_a_new_file"
    ),
    "the path is a link, a circle": (
        "test_a_link_is_followed_and_may_lead_to_nothing test_a_cycle_of_links test_only_a_regular_file_can_be_a_stream"
    ),
    "`close` fails": (
        "test_what_the_timer_could_not_write_is_written_by_close "
        "test_a_writer_whose_close_failed_writes_nothing_when_the_program_ends"
    ),
    "somebody changed the length": (
        "test_intact_frames_behind_it_are_read_and_never_cut_off test_a_follower_goes_on_behind_it"
    ),
    "a process is killed in the middle": "test_a_lock_dies_with_its_holder_although_children_live",
    "a writer is stopped": (
        "test_whoever_reads_the_stream_once_gets_the_torn_tail test_a_follower_gets_it_at_its_timeout "
        "test_a_command_reports_it"
    ),
    "the file that a follower reads": (
        "test_followers_of_a_stream_that_is_rotated_get_every_record_once_and_in_order "
        "test_every_record_is_read_once_and_in_order"
    ),
    "the end of the file got its length": (
        "test_zeros_from_within_a_frame_are_a_torn_tail_or_damage "
        "test_one_call_of_repair_is_enough_whatever_a_crash_left"
    ),
}


def test_each_fault_in_the_docs_is_shown_by_tests() -> None:
    text = (ROOT / "docs" / "storage.md").read_text("utf-8").split("\n## Faults\n")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|---", "| fault |"))]
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    unused = set(SHOWN_BY)
    for row in rows:
        found = [words for words in SHOWN_BY if row.startswith(f"| {words}")]
        assert len(found) == 1, row
        unused -= set(found)
        for name in SHOWN_BY[found[0]].split():
            assert f"def {name}(" in tests, name
    assert not unused
