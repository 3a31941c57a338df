"""The Reader at an ingestion point: verdicts, quarantine, logs, events, threads and processes."""

from __future__ import annotations

import gc
import gzip
import hashlib
import io
import json
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers.support import ROOT, VECTORS, cases, child_environment, policy_of, read
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import Event, Limits, Policy, Quarantine, Reader, ReadResult, pack
from pickleseal.errors import PolicyError, ReadError, TypeMismatchError, UnpickleError

GOOD = pack({"id": 7}, meta={"team": "risk"})
OTHER = pack([7])
DICTS = Policy(types={"builtins:dict": "*"})


class Pipe:
    """A file that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self.read = io.BytesIO(data).read


class Raises:
    def __reduce__(self) -> Any:
        return Raises.now, ()

    @staticmethod
    def now() -> None:
        raise RuntimeError("boom")


def entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the reasons in a quarantine, by stem, after each was compared with its bytes."""
    found = {}
    for path in folder.glob("*.json"):
        reason = json.loads(path.read_text("ascii"))
        data = path.with_suffix(".pseal").read_bytes()
        assert hashlib.sha256(data).hexdigest() == reason["sha256"]
        assert len(data) == reason["size"]
        assert path.stem.endswith(f"-{reason['code']}-{reason['sha256'][:16]}")
        assert path.read_text("ascii") == json.dumps(reason, sort_keys=True, indent=2) + "\n"
        found[path.stem] = reason
    return found


def reject(reader: Reader, data: Any, how: str = "read") -> ReadError:
    with pytest.raises(ReadError) as caught:
        getattr(reader, how)(data)
    return caught.value


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", cases("invalid"))
def test_every_refused_vector_is_kept(entry: dict[str, Any], tmp_path: Path) -> None:
    told, events = policy_of(entry), list[Event]()
    reader = Reader(
        told["policy"], expect=told["expect"], trust=told["trust"], quarantine=tmp_path, on_event=events.append
    )
    data = read(entry)
    error = reject(reader, VECTORS / entry["file"])
    assert (error.code, error.step) == (entry["error"], entry["step"])
    assert error.path == str(VECTORS / entry["file"])
    assert error.quarantined is not None
    assert Path(error.quarantined).read_bytes() == data
    (reason,) = entries(tmp_path).values()
    assert (reason["code"], reason["step"], reason["complete"]) == (entry["error"], entry["step"], True)
    assert (reason["type"] is None) == (entry["step"] < 14)
    assert [(e.outcome, e.code, e.quarantined, e.name) for e in events] == [
        ("rejected", error.code, error.quarantined, error.path)
    ]
    try:
        reader.accepts(data)
        found = None
    except ReadError as refused:
        found = refused.code
    # What only running shows is no business of `check`; what a dry run shows is.
    assert found == entry["error"] or (found is None and entry["step"] == 20)
    if entry.get("policy", {}).get("level") == "strict":
        assert found == entry["error"]


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, io.BytesIO, Pipe])
def test_all_kinds_of_input_give_the_same(make: Any) -> None:
    events: list[Event] = []
    reader = Reader(DICTS, on_event=events.append)
    header, obj = artifact = reader.read(make(GOOD))
    assert isinstance(artifact, ReadResult)
    assert (header, obj) == (pickleseal.peek(GOOD), {"id": 7})
    assert reader.accepts(make(GOOD)) == header
    assert Reader.check is Reader.accepts  # its former name
    refusal = reject(reader, make(OTHER))
    assert refusal.code == "type-mismatch"
    assert [event.error for event in events] == [None, None, refusal]
    assert [(e.outcome, e.code, e.type, e.version, e.size, e.quarantined) for e in events] == [
        ("accepted", None, "builtins:dict", 0, len(GOOD), None),
        ("accepted", None, "builtins:dict", 0, len(GOOD), None),
        ("rejected", "type-mismatch", "builtins:list", 0, len(OTHER), None),
    ]
    assert all(0 <= event.seconds < 10 for event in events)


def test_expect_and_trust_are_those_of_unpack(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    pickleseal.dump({"id": 7}, path)
    assert Reader(expect=dict).read(path).object == {"id": 7}
    assert reject(Reader(expect=list), path).code == "type-mismatch"
    assert reject(Reader(expect="jobs.Task"), path).path == str(path)
    lists = Reader(trust=iter([Raises.now]))
    assert lists.accepts(pack(Raises())).type.endswith(":Raises")
    error = reject(lists, pack(Raises()))
    assert type(error) is UnpickleError
    assert str(error.__cause__) == "boom"
    assert reject(Reader(), pack(Raises()), "check").code == "untrusted-global"


def test_frames_of_one_file_are_read_one_after_the_other(tmp_path: Path) -> None:
    file = io.BytesIO(GOOD + OTHER + GOOD)
    reader = Reader(DICTS, quarantine=tmp_path)
    assert reader.read(file).object == {"id": 7}
    error = reject(reader, file)
    assert Path(str(error.quarantined)).read_bytes() == OTHER  # its frame, and no more
    assert len(GOOD) < file.tell() <= len(GOOD + OTHER)  # where the reading stopped
    file.seek(len(GOOD + OTHER))
    assert reader.read(file).object == {"id": 7}
    assert reject(reader, file).code == "truncated"


def test_a_text_file_is_a_type_error(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"text")
    os.close(write_end)
    with open(read_end, encoding="ascii") as file, pytest.raises(TypeError, match="opened in text mode"):
        Reader(quarantine=tmp_path).read(file)  # type: ignore[arg-type]


def test_errors_that_are_not_refusals_are_not_reported_or_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def read(self, count: int) -> bytes:
            raise OSError("the cable")

    class Stopped:
        def read(self, count: int) -> bytes:
            raise KeyboardInterrupt

    events: list[Event] = []
    reader = Reader(quarantine=tmp_path, on_event=events.append)
    for data, error in (
        (tmp_path / "missing", FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (Broken(), OSError),
        (Stopped(), KeyboardInterrupt),
        (7, TypeError),
        (io.StringIO("text"), TypeError),
    ):
        with pytest.raises(error):
            reader.read(data)  # type: ignore[arg-type]
    assert not events
    assert not caplog.records
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"policy": {}}, TypeError),
        ({"expect": 7}, TypeError),
        ({"trust": "m:f"}, TypeError),
        ({"trust": ["os:system"]}, ValueError),
        ({"quarantine": 7}, TypeError),
        ({"quarantine": ""}, ValueError),
        ({"on_event": 7}, TypeError),
    ],
)
def test_arguments_are_checked_when_the_reader_is_made(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Reader(**arguments)
    for bounds in ({"max_count": -1}, {"max_bytes": -1}):
        with pytest.raises(ValueError):
            Quarantine("q", **bounds)
    with pytest.raises(TypeError):
        Quarantine("q", max_count=True)


def test_a_reader_is_immutable() -> None:
    reader = Reader(DICTS)
    with pytest.raises(AttributeError):
        reader.policy = None  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        reader.more = 1  # type: ignore[attr-defined]


# --- quarantine -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    data=st.lists(
        st.one_of(st.just(OTHER), st.binary(max_size=300), st.sampled_from([GOOD[:-1], GOOD[:70]])), max_size=8
    ),
    max_count=st.integers(0, 5),
    max_bytes=st.integers(0, 4000),
    kind=st.sampled_from(["bytes", "file", "pipe", "path"]),
)
def test_bounds_hold_and_what_is_kept_is_exact(
    tmp_path_factory: pytest.TempPathFactory, data: list[bytes], max_count: int, max_bytes: int, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("q") / "sub"
    reader = Reader(DICTS, quarantine=Quarantine(folder, max_count, max_bytes))
    kept: dict[tuple[str, bytes], str] = {}
    for item in data:
        given_: Any = item
        if kind == "path":
            given_ = folder.parent / "incoming"
            given_.write_bytes(item)
        elif kind != "bytes":
            given_ = io.BytesIO(item) if kind == "file" else Pipe(item)
        error = reject(reader, given_)
        key = error.code, item
        if error.quarantined is not None:
            bytes_kept = Path(error.quarantined).read_bytes()
            reason = json.loads(Path(error.quarantined).with_suffix(".json").read_text())
            assert bytes_kept == item if reason["complete"] else item.startswith(bytes_kept)
            assert kept.setdefault(key, error.quarantined) == error.quarantined
        else:
            assert key not in kept
    reasons = entries(folder) if folder.exists() else {}
    assert len(reasons) == len(set(kept.values())) <= max_count
    if folder.exists():
        assert sum(path.stat().st_size for path in folder.iterdir()) <= max_bytes
        assert not list(folder.glob(".incoming-*"))


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_modes_are_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        error = reject(Reader(DICTS, quarantine=str(tmp_path / "q")), OTHER)
    finally:
        os.umask(old)
    assert (tmp_path / "q").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "q").iterdir()} == {0o600}
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-type-mismatch-[0-9a-f]{16}\.pseal", Path(str(error.quarantined)).name)


def test_the_reason_file_has_every_part_of_the_error(tmp_path: Path) -> None:
    path = tmp_path / "in\n.pseal"
    path.write_bytes(OTHER)
    error = reject(Reader(DICTS, quarantine=tmp_path / "q"), path)
    (reason,) = entries(tmp_path / "q").values()
    for name in ("code", "step", "reason", "expected", "found", "hint", "where"):
        assert reason[name] == getattr(error, name)
    assert (reason["type"], reason["version"], reason["source"]) == ("builtins:list", 0, str(path))
    assert reason["pickleseal"] == pickleseal.__version__
    assert abs(time.time() - os.stat(str(error.quarantined)).st_mtime) < 60
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert pickle.loads(pickle.dumps(error)).quarantined == error.quarantined


def test_lists_of_names_and_of_changes_are_lists_in_the_reason(tmp_path: Path) -> None:
    reject(Reader(quarantine=tmp_path), pack([Raises()]))
    entry = next(e.values[0] for e in cases("invalid") if e.values[0]["error"] == "schema-drift")
    reject(Reader(quarantine=tmp_path, trust=["http:HTTPStatus"]), read(entry))
    found = {reason["code"]: reason["found"] for reason in entries(tmp_path).values()}
    assert all(name.endswith("Raises.now") for name in found["untrusted-global"])
    assert all(text.startswith("http:HTTPStatus: ") for text in found["schema-drift"])


def test_an_entry_counts_as_kept_if_its_reason_names_just_these_bytes(tmp_path: Path) -> None:
    reader = Reader(DICTS, quarantine=tmp_path)
    found = [reject(reader, OTHER).quarantined]
    for change in (lambda text: "[]", lambda text: text.replace(hashlib.sha256(OTHER).hexdigest(), "0" * 64)):
        reason = Path(str(found[-1])).with_suffix(".json")
        reason.write_text(change(reason.read_text()))
        found.append(reject(reader, OTHER).quarantined)
    assert len({*found, reject(reader, OTHER).quarantined}) == 3


@pytest.mark.parametrize("extra", [0, 10_000])
def test_bytes_that_were_read_from_a_pipe_are_kept(tmp_path: Path, extra: int) -> None:
    large = pack([bytes(5000)])
    assert reject(Reader(DICTS, quarantine=tmp_path), Pipe(large + bytes(extra))).step == 15
    (reason,) = entries(tmp_path).values()
    assert (reason["complete"], reason["size"] < len(large)) == (False, True)
    damaged = bytearray(GOOD)
    damaged[-30] ^= 1
    error = reject(Reader(quarantine=tmp_path), Pipe(bytes(damaged) + bytes(extra)))
    assert Path(str(error.quarantined)).read_bytes() == bytes(damaged)
    assert json.loads(Path(str(error.quarantined)).with_suffix(".json").read_text())["complete"]


def test_bytes_that_were_read_from_a_compressed_file_are_kept(tmp_path: Path) -> None:
    data = gzip.compress(OTHER + b"more")
    with gzip.open(io.BytesIO(data)) as file:
        error = reject(Reader(DICTS, quarantine=tmp_path), file)
    assert Path(str(error.quarantined)).read_bytes() == OTHER  # its frame, decompressed
    small = Reader(DICTS, quarantine=Quarantine(tmp_path, max_bytes=len(OTHER) - 1))
    with gzip.open(io.BytesIO(data)) as file:
        assert reject(small, file).quarantined is None


def test_a_refusal_that_the_file_raises_has_no_header(tmp_path: Path) -> None:
    class Guarded:
        def read(self, count: int) -> bytes:
            raise PolicyError("not signed by the gateway")

    events: list[Event] = []
    error = reject(Reader(quarantine=tmp_path, on_event=events.append), Guarded())
    assert (error.step, events[0].type, events[0].size) == (15, None, None)
    assert entries(tmp_path).popitem()[1]["complete"] is False


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_path_may_be_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(OTHER))
    writer.start()
    error = reject(Reader(expect=dict, quarantine=tmp_path / "q"), path)
    writer.join()
    assert OTHER.startswith(Path(str(error.quarantined)).read_bytes())


def test_a_full_quarantine_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    for bounds in ({"max_count": 1}, {"max_bytes": 1500}, {"max_bytes": len(OTHER) - 1}):
        caplog.clear()
        folder = tmp_path / str(bounds)
        reader = Reader(DICTS, quarantine=Quarantine(folder, **bounds), on_event=events.append)
        first = reject(reader, OTHER).quarantined
        error = reject(reader, pack([8]))
        assert error.quarantined is None
        assert type(error) is TypeMismatchError
        assert events[-1].quarantined is None
        full = [record for record in caplog.records if "no room in the quarantine" in record.getMessage()]
        assert {record.levelno for record in full} == {logging.ERROR}
        assert full[-1].code == "type-mismatch"  # type: ignore[attr-defined]
        assert reject(reader, OTHER).quarantined == first  # what is there already is found there


@pytest.mark.parametrize("failure", ["a file", "a full disk", "a held lock", "no locks"])
def test_a_failing_quarantine_does_not_hide_the_refusal(
    tmp_path: Path, failure: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from pickleseal._ingestion import quarantine

    folder = tmp_path / "q"
    if failure == "a file":
        folder.write_text("in the way")
    elif failure == "a full disk":

        def fsync(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fsync)
    elif failure == "a held lock":
        monkeypatch.setattr(quarantine, "_WAIT", 0.01)
        monkeypatch.setattr(quarantine, "try_acquire", lambda descriptor: False)
    else:

        def none(descriptor: int) -> bool:
            raise OSError(38, "this platform has no file locks")

        monkeypatch.setattr(quarantine, "try_acquire", none)
    events: list[Event] = []
    error = reject(Reader(DICTS, quarantine=folder, on_event=events.append), OTHER)
    assert (type(error), error.quarantined) == (TypeMismatchError, None)
    assert (events[0].outcome, events[0].quarantined) == ("rejected", None)
    assert any("the quarantine did not keep it" in record.getMessage() for record in caplog.records)
    if sys.version_info >= (3, 11):
        assert "the quarantine did not keep it" in error.__notes__[0]
    if folder.is_dir():
        assert [path.name for path in folder.iterdir()] == [".lock"]


DIES = """
import os, signal, sys
from pickleseal import Policy, Reader, pack

folder, call, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
real, calls = getattr(os, call), 0

def die(*args, **kwargs):
    global calls
    calls += 1
    if calls == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)

reader = Reader(Policy(types={"builtins:dict": "*"}), quarantine=folder)
setattr(os, call, die)
reader.read(pack([7]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.parametrize(
    ("call", "number", "orphans"),
    [("open", 2, 0), ("fsync", 1, 0), ("fsync", 2, 0), ("replace", 1, 0), ("replace", 2, 1), ("fsync", 3, 0)],
)
def test_a_killed_process_leaves_no_incomplete_entry(tmp_path: Path, call: str, number: int, orphans: int) -> None:
    environment = child_environment()
    command = [sys.executable, "-c", DIES, str(tmp_path), call, str(number)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    complete = entries(tmp_path)
    assert len(list(tmp_path.glob("*.pseal"))) - len(complete) == orphans
    error = reject(Reader(DICTS, quarantine=tmp_path), OTHER)  # goes on: the lock went with its holder
    assert Path(str(error.quarantined)).read_bytes() == OTHER
    assert len(entries(tmp_path)) == len(complete) + 1
    assert not list(tmp_path.glob(".incoming-*"))


FILLS = """
import sys
from pickleseal import Policy, Quarantine, Reader, pack
from pickleseal.errors import ReadError

reader = Reader(Policy(types={"builtins:dict": "*"}), quarantine=Quarantine(sys.argv[1], max_count=12))
for number in range(10):
    try:
        reader.read(pack([sys.argv[2], number]))
    except ReadError:
        pass
"""


def test_processes_share_the_bounds(tmp_path: Path) -> None:
    environment = child_environment()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", FILLS, str(tmp_path), str(i)], env=environment, stderr=subprocess.DEVNULL
        )
        for i in range(3)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len(entries(tmp_path)) == len(list(tmp_path.glob("*.pseal"))) == 12


FORKS = """
import os, sys, threading, time
from pickleseal import Reader
from pickleseal.errors import ReadError
from pickleseal._ingestion import quarantine

reader, put = Reader(quarantine=sys.argv[1]), quarantine.QuarantineFolder._put

def fork_and_put(*args):
    if not os.fork():  # as another thread of the program may, at any time
        time.sleep(60)
        os._exit(0)
    return put(*args)

quarantine.QuarantineFolder._put = fork_and_put
for data in (b"one", b"two"):
    try:
        reader.read(data)
    except ReadError as error:
        print(error.quarantined is not None, flush=True)
    quarantine.QuarantineFolder._put = put
os.killpg(0, 9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_that_was_forked_meanwhile_does_not_hold_the_lock(tmp_path: Path) -> None:
    environment = child_environment()
    command = [sys.executable, "-W", "ignore", "-c", FORKS, str(tmp_path)]
    began = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False, start_new_session=True)
    assert done.stdout.split() == [b"True", b"True"]
    assert time.monotonic() - began < 9  # the lock is waited for 10 seconds


# --- logs and events --------------------------------------------------------------------------------------------------


def test_log_records_are_structured_and_escaped(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG, "pickleseal.reader")
    path = tmp_path / "evil\x1b[31m\n.pseal"
    path.write_bytes(pack(7, type="a\u202eb"))
    reader = Reader(DICTS)
    reject(reader, path)
    reader.read(GOOD)
    rejected, accepted = caplog.records
    assert (rejected.name, rejected.levelno, accepted.levelno) == ("pickleseal.reader", logging.WARNING, logging.DEBUG)
    assert (rejected.code, rejected.step, rejected.type) == ("type-mismatch", 15, "a\\u202eb")  # type: ignore[attr-defined]
    assert rejected.path == str(path).replace("\x1b", "\\x1b").replace("\n", "\\n")  # type: ignore[attr-defined]
    assert (accepted.code, accepted.step, accepted.type) == (None, None, "builtins:dict")  # type: ignore[attr-defined]
    for record in caplog.records:
        assert record.getMessage().isprintable()


def test_what_a_hook_raises_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def hook(event: Event) -> None:
        raise RuntimeError("no metrics today")

    reader = Reader(DICTS, on_event=hook)
    assert reader.read(GOOD).object == {"id": 7}
    assert reject(reader, OTHER).code == "type-mismatch"
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage() for record in logged] == ["on_event raised"] * 2


class Shouts:
    """A trusted class whose error repeats what the payload says, as it is."""

    def __init__(self, text: str = "\x1b[31mevil\n2026-01-01 INFO all is well") -> None:
        self.text = text

    def __reduce__(self) -> Any:
        return Shouts.make, (self.text,)

    @staticmethod
    def make(text: str) -> None:
        raise ValueError(text)


def test_a_hook_that_raises_does_not_put_payload_text_into_the_log() -> None:
    def hook(event: Event) -> None:
        raise RuntimeError("no metrics today")

    logger, stream = logging.getLogger("pickleseal.reader"), io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        error = reject(Reader(trust=[Shouts.make], on_event=hook), pack(Shouts()))
    finally:
        logger.removeHandler(handler)
    assert "\x1b" in str(error.__cause__)
    assert "no metrics today" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert "\n2026-01-01" not in stream.getvalue()


def test_a_log_filter_that_raises_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = []

    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("no logs today")

    logger, reader = logging.getLogger("pickleseal.reader"), Reader(DICTS, quarantine=tmp_path, on_event=events.append)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addFilter(broken)
    try:
        error = reject(reader, OTHER)
        assert reader.read(GOOD).object == {"id": 7}
    finally:
        logger.removeFilter(broken)
        logger.setLevel(level)
    assert Path(str(error.quarantined)).read_bytes() == OTHER
    assert [event.outcome for event in events] == ["rejected", "accepted"]
    assert capsys.readouterr().err.count("no logs today\n") == 2


@given(st.lists(st.one_of(st.sampled_from([GOOD, OTHER]), st.binary(max_size=400)), max_size=10), st.booleans())
def test_each_artifact_makes_one_event(data: list[bytes], checked: bool) -> None:
    events: list[Event] = []
    reader = Reader(DICTS, on_event=events.append)
    for item in data:
        try:
            (reader.check if checked else reader.read)(item)
            expected = ("accepted", None)
        except ReadError as error:
            expected = ("rejected", error.code)
        assert (events[-1].outcome, events[-1].code) == expected
    assert len(events) == len(data)


def test_the_lines_for_metrics_in_the_guide_work() -> None:
    counted: Counter[Any] = Counter()

    def made(*_: object) -> Any:
        return types.SimpleNamespace(
            add=lambda count, labels: counted.update([tuple(labels.values())]),
            labels=lambda *labels: types.SimpleNamespace(inc=lambda: counted.update([labels])),
        )

    names = {
        "pickleseal": pickleseal,
        "prometheus_client": types.SimpleNamespace(Counter=made),
        "opentelemetry": types.SimpleNamespace(
            metrics=types.SimpleNamespace(get_meter=lambda name: types.SimpleNamespace(create_counter=made))
        ),
    }
    page = (ROOT / "docs" / "ingestion.md").read_text("utf-8")
    blocks = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        space = dict(names)
        exec(block, space)
        space["reader"].read(GOOD)  # type: ignore[attr-defined]
        reject(space["reader"], b"")  # type: ignore[arg-type]
    assert counted == {("accepted", ""): 2, ("rejected", "truncated"): 2}


# --- many -------------------------------------------------------------------------------------------------------------


def test_threads_share_one_reader(tmp_path: Path) -> None:
    events: list[Event] = []
    policy = Policy(types={"builtins:dict": "*"}, limits=Limits(max_frame=10**6), trust=["m:f"], build={"python": "*"})
    reader = Reader(policy, expect=dict, quarantine=Quarantine(tmp_path, max_count=10), on_event=events.append)
    refused = [pack([number]) for number in range(20)]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(30):
                good = {"thread": number, "step": step}
                assert reader.read(pack(good)).object == good
                error = reject(reader, refused[(number + step) % 20])
                assert error.found == "builtins:list"
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert Counter(event.outcome for event in events) == {"accepted": 240, "rejected": 240}
    assert len(entries(tmp_path)) == 10


@pytest.fixture
def quiet() -> Iterator[None]:
    logger = logging.getLogger("pickleseal.reader")
    logger.disabled = True
    yield
    logger.disabled = False


@pytest.mark.usefixtures("quiet")
def test_twenty_thousand_refusals_leak_nothing(tmp_path: Path) -> None:
    damaged = [bytearray(GOOD) for _ in range(3)]
    damaged[0][-30] ^= 1
    damaged[1][70] ^= 1
    damaged[2] = bytearray(OTHER)
    inputs = [*map(bytes, damaged), b"", b"\x80\x05N.", GOOD[:100]]
    told: Counter[str] = Counter()
    plain = Reader(DICTS, on_event=lambda event: told.update([event.outcome]))
    keeping = Reader(DICTS, quarantine=Quarantine(tmp_path, max_count=3), on_event=plain.on_event)

    def rounds(count: int) -> None:
        for number in range(count):
            reader = keeping if number % 50 == 0 else plain
            try:
                reader.read(inputs[number % len(inputs)])
            except ReadError:
                pass

    rounds(600)
    gc.collect()
    objects = len(gc.get_objects())
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    gc.disable()
    rounds(17_000)  # fills the interpreter's free lists, which would be counted as growth
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        rounds(3000)  # traced: slower
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    left = len(gc.get_objects()) - objects
    gc.enable()
    assert told == {"rejected": 20_600}
    assert grown < 20_000
    assert left < 200  # none of it waits for the cycle collector either
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors
    assert len(entries(tmp_path)) == 3


def test_the_example_runs() -> None:
    if sys.version_info < (3, 11):
        pytest.importorskip("tomli")
    command = [sys.executable, str(ROOT / "examples" / "ingest.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 accepted, 7 in quarantine" in done.stdout
