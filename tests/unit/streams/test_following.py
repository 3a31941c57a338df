"""Following a stream whose file is missing, rotated or emptied between two looks (spec 9, `StreamReader(follow=True)`).

Everything happens in one thread: what is done between two calls of `next` is what happens between two looks.
"""

import os
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _helpers.streams import append_all

import pickleseal
from pickleseal import SkippedRange, StreamReader, StreamWriter, append
from pickleseal.errors import StreamWarning, TornTailError, TruncatedError


def following(path: str, **options: Any) -> StreamReader[Any]:
    return StreamReader(path, follow=True, timeout=0, **options)


def write(path: str, *records: Any, batch: int | None = None) -> None:
    with StreamWriter(path, batch=batch, fsync=0) as stream:
        append_all(stream, *records)


def rename(path: str) -> None:
    """Rotate as logrotate does: NAME.1 becomes NAME.2, and NAME becomes NAME.1."""
    numbers = [number for number in range(1, 50) if os.path.exists(f"{path}.{number}")]
    for number in reversed(numbers):
        os.rename(f"{path}.{number}", f"{path}.{number + 1}")
    os.rename(path, f"{path}.1")


def rename_by_date(path: str) -> None:
    count = len(os.listdir(os.path.dirname(path)))
    os.rename(path, f"{path}-{20260101 + (count * 7919) % 1000}")  # names in no order


def copy_and_empty(path: str) -> None:
    """Rotate as logrotate does with copytruncate."""
    numbers = [number for number in range(1, 50) if os.path.exists(f"{path}.{number}")]
    for number in reversed(numbers):
        os.rename(f"{path}.{number}", f"{path}.{number + 1}")
    shutil.copy(path, f"{path}.1")
    os.truncate(path, 0)


ROTATIONS = [rename, rename_by_date, copy_and_empty]
rotations = pytest.mark.parametrize("rotate", ROTATIONS)


class TestMissingFile:
    def test_it_is_waited_for(self, path: str) -> None:
        with following(path) as reader:
            assert list(reader) == []
            assert (reader.count(), reader.seek(3), list(reader.frames())) == (0, 0, [])
            write(path, 1, 2)
            assert list(reader) == [1, 2]
            assert (reader.count(), reader.seek(-1), list(reader)) == (2, 1, [2])
        with StreamReader(path + "x", follow=True, timeout=20) as reader:
            thread = threading.Timer(0.1, write, [path + "x", "first"])
            thread.start()
            assert next(reader) == "first"
            thread.join()

    def test_without_follow_it_is_an_error(self, path: str) -> None:
        with pytest.raises(FileNotFoundError) as caught:
            StreamReader(path)
        assert caught.value.filename == path

    @rotations
    def test_it_may_be_rotated_before_it_is_seen(self, path: str, rotate: Callable[[str], None]) -> None:
        with following(path) as reader:
            assert list(reader) == []
            write(path, 1)
            rotate(path)
            write(path, 2)
            rotate(path)
            write(path, 3)
            assert list(reader) == [1, 2, 3]

    def test_its_folder_may_be_missing_too(self, tmp_path: Path) -> None:
        path = tmp_path / "later" / "stream.pseal"
        with following(str(path)) as reader:
            assert list(reader) == []
            path.parent.mkdir()
            write(str(path), 1)
            assert list(reader) == [1]
        with pytest.raises(ValueError, match="closed"):
            next(reader)

    def test_what_is_no_stream_is_refused_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match=r"[Dd]irectory|regular|Permission"):
            following(str(tmp_path))


class TestRotation:
    @rotations
    @pytest.mark.parametrize("times", [1, 2, 5])
    @pytest.mark.parametrize("unread", [0, 1, 3])
    @pytest.mark.parametrize("batch", [None, 2])
    def test_every_record_is_read_once_and_in_order(
        self, path: str, rotate: Callable[[str], None], times: int, unread: int, batch: int | None
    ) -> None:
        write(path, *range(4), batch=batch)
        with following(path) as reader:
            taken = [next(reader) for _ in range(4)]
            number = 4
            for _ in range(times):
                write(path, *range(number, number + unread), batch=batch)
                number += unread
                rotate(path)
                write(path, *range(number, number + 3), batch=batch)
                number += 3
            assert taken + list(reader) == list(range(number))
            write(path, "more")
            assert list(reader) == ["more"]

    @rotations
    @pytest.mark.parametrize("first", ROTATIONS)
    def test_ways_may_be_mixed(self, path: str, first: Callable[[str], None], rotate: Callable[[str], None]) -> None:
        write(path, 1, 2, 3)
        with following(path) as reader:
            assert next(reader) == 1
            first(path)
            write(path, 4)
            rotate(path)
            write(path, *range(5, 20))
            first(path)
            assert list(reader) == list(range(2, 20))
            write(path, 20)
            assert list(reader) == [20]

    @rotations
    def test_files_from_before_are_not_read(self, path: str, rotate: Callable[[str], None]) -> None:
        for number in range(3):
            write(path, f"old {number}")
            rotate(path)
        write(path, 1)
        with following(path) as reader:
            assert next(reader) == 1
            rotate(path)
            write(path, 2)
            rotate(path)
            write(path, 3)
            assert list(reader) == [2, 3]

    def test_copies_and_what_is_no_stream_are_not_read(self, path: str) -> None:
        write(path, 1, 2)
        with following(path) as reader:
            assert next(reader) == 1
            shutil.copy(path, path + ".bak")
            Path(path + ".txt").write_text("text " * 100)
            Path(path + ".empty").touch()
            os.mkdir(path + ".d")
            os.symlink(path, path + ".link")
            if hasattr(os, "mkfifo"):
                os.mkfifo(path + ".fifo")
            write(os.path.dirname(path) + "/other.pseal", "of another stream")
            rename(path)
            write(path, 3)
            shutil.copy(path, path + ".bak2")
            rename(path)
            write(path, 4)
            assert list(reader) == [2, 3, 4]

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
    def test_files_of_other_users_are_not_read(self, path: str) -> None:
        write(path, 1)
        with following(path) as reader:
            assert next(reader) == 1
            write(path + ".1", "forged")
            os.chown(path + ".1", 12345, -1)
            os.rename(path, path + ".2")
            write(path, 2)
            assert list(reader) == [2]

    def test_a_stream_that_was_rewritten_goes_on_where_it_was(self, path: str) -> None:
        """As signing does it: another file, other bytes, the same records."""
        write(path, *range(10), batch=3)
        with following(path) as reader:
            assert [next(reader) for _ in range(5)] == list(range(5))
            shutil.copy(path, path + "~")
            write(path + "~", 10, 11)
            os.replace(path + "~", path)
            assert list(reader) == list(range(5, 12))

    @pytest.mark.parametrize("on_error", ["raise", "skip"])
    @pytest.mark.parametrize("where", ["current", "missed"])
    def test_a_torn_tail_that_was_left_behind_is_reported_once(self, path: str, on_error: str, where: str) -> None:
        write(path, 1)
        with following(path, on_error=on_error) as reader:
            assert next(reader) == 1
            if where == "missed":
                rename(path)
                write(path, 2)
            with open(path, "ab") as file:
                file.write(pickleseal.pack("torn")[:100])
            rename(path)
            write(path, 3)
            wanted = [2, 3] if where == "missed" else [3]
            if on_error == "skip":
                with pytest.warns(StreamWarning, match="100 bytes"):
                    assert list(reader) == wanted
                assert len(reader.lost) == 1
            else:
                assert [next(reader) for _ in wanted[1:]] == wanted[:-1]
                with pytest.raises(TornTailError):
                    next(reader)
                assert list(reader) == [3]

    def test_a_reader_leaves_no_file_open(self, path: str) -> None:
        write(path, 1)
        with following(path) as reader:
            for number in range(5):
                rename(path)
                write(path, number)
            assert next(reader) == 1
            assert next(reader) == 0  # the others wait; the fixture looks at descriptors


class TestEmptied:
    @pytest.mark.parametrize("more", [0, 1, 5, 20])
    def test_without_a_copy_it_is_read_from_its_beginning(self, path: str, more: int) -> None:
        write(path, *range(5))
        with following(path) as reader:
            assert [next(reader) for _ in range(5)] == list(range(5))
            os.truncate(path, 0)
            write(path, *range(100, 100 + more))
            assert list(reader) == list(range(100, 100 + more))
            write(path, "last")
            assert list(reader) == ["last"]
            assert reader.record == more + 1

    def test_what_was_there_and_not_read_is_reported(self, path: str) -> None:
        records = ["x" * 100_000, *range(3), "y" * 400_000, "z" * 400_000]
        for more in (0, 40):
            write(path, *records)
            lost: list[SkippedRange] = []
            with following(path) as reader, following(path, on_error=lost.append) as reporting:
                assert [next(reader), next(reporting)] == records[:1] * 2
                size = os.path.getsize(path)
                os.truncate(path, 0)
                write(path, *range(100, 100 + more))
                found: list[Any] = []
                with pytest.raises(TruncatedError, match="emptied") as caught:
                    found.extend(reader)
                assert found == records[1:4]  # they had been read ahead
                assert list(reader) == list(range(100, 100 + more))
                assert list(reporting) == [*records[1:4], *range(100, 100 + more)]
                assert [(one.offset, one.records) for one in lost] == [(caught.value.offset, None)]
                assert lost[0].offset < lost[0].end <= size
                assert caught.value.record == 4
            os.unlink(path)

    def test_whether_anything_is_lost_may_not_be_known(self, path: str) -> None:
        write(path, 1)
        lost: list[SkippedRange] = []
        with following(path, on_error=lost.append) as reader:
            assert next(reader) == 1
            write(path, "gone")
            os.truncate(path, 0)
            write(path, 2)
            assert list(reader) == [2]
        assert [(one.offset == one.end, one.records) for one in lost] == [(True, None)]

    def test_a_copy_that_is_too_short_or_of_another_stream_is_not_used(self, path: str) -> None:
        write(path, *range(5))
        write(path + ".other", *range(20))
        with following(path, on_error="skip") as reader, warnings.catch_warnings():
            warnings.simplefilter("ignore", StreamWarning)
            assert [next(reader) for _ in range(5)] == list(range(5))
            data = Path(path).read_bytes()
            Path(path + ".short").write_bytes(data[: len(data) // 2])
            os.truncate(path, 0)
            write(path, *range(50, 70))
            assert list(reader) == list(range(50, 70))
            assert len(reader.lost) == 1

    def test_it_may_be_removed_too(self, path: str) -> None:
        write(path, 1)
        lost: list[SkippedRange] = []
        with following(path, on_error=lost.append) as reader:
            assert next(reader) == 1
            os.truncate(path, 0)
            os.unlink(path)
            for _ in range(3):
                assert list(reader) == []
            assert len(lost) == 1
            write(path, 2)
            assert list(reader) == [2]

    def test_a_reader_that_does_not_follow_refuses_it(self, path: str) -> None:
        write(path, 1, "x" * 500_000)
        with StreamReader(path) as reader:
            assert next(reader) == 1
            os.truncate(path, 0)
            with pytest.raises(TruncatedError):
                next(reader)


def test_appending_again_after_a_file_was_emptied_by_hand_is_followed_for_ever(path: str) -> None:
    with following(path) as reader:
        for number in range(30):
            append(path, number)
            assert list(reader) == [number]
            if number % 3 == 0:
                os.truncate(path, 0)
            elif number % 7 == 0:
                os.unlink(path)
