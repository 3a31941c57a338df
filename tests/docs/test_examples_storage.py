"""The queues and the cache in `examples/`: what they promise, shown with processes that are really killed."""

import importlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _helpers.support import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import PackOptions, Policy, Reader

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a sync takes no time there, and no power is cut here
MODULES = ["job_queue_stream", "job_queue_sqlite"]


def example(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


Make = Callable[..., Any]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> Any:
    return example(request.param)


@pytest.fixture
def make(module: Any, tmp_path: Path) -> Iterator[Make]:
    """Return a function that opens the queue anew, as another process would."""
    with ExitStack() as stack:

        def made(**options: Any) -> Any:
            queue = next(value for name, value in vars(module).items() if name.endswith("Queue"))(
                tmp_path / "jobs", **options
            )
            stack.callback(queue.close)
            return queue

        yield made


CHILDREN: set[int] = set()


@pytest.fixture(autouse=True)
def _no_child_stays() -> Iterator[None]:
    yield
    for child in list(CHILDREN):  # of a test that failed
        os.kill(child, signal.SIGKILL)
        finished(child)


def forked(function: Callable[[], object]) -> int:
    """Run a function in a child, and return the child's id. The child does nothing else, and not for long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other tests' threads
        child = os.fork()
    if child:
        CHILDREN.add(child)
        return child
    signal.alarm(30)  # which ends it
    code = 1
    try:
        function()
        code = 0
    finally:
        os._exit(code)


def finished(child: int) -> int:
    status = os.waitpid(child, 0)[1]
    CHILDREN.discard(child)
    return os.waitstatus_to_exitcode(status)


def killed(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    assert finished(child) == -signal.SIGKILL


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def note(path: Path, text: object) -> None:
    with open(path, "a") as file:
        file.write(f"{text}\n")


@dataclass
class Job:
    number: int


class Deadly:
    """Takes the process that loads it down."""

    def __setstate__(self, state: object) -> None:
        os._exit(9)

    def __getstate__(self) -> object:
        return {"a": 1}


# --- both queues ------------------------------------------------------------------------------------------------------


def test_jobs_come_in_order_and_survive_a_restart(make: Make) -> None:
    queue = make()
    for number in range(5):
        queue.put({"n": number})
    first = queue.claim()
    assert (first.job, first.tries) == ({"n": 0}, 1)
    queue.done(first)
    queue.close()
    queue = make()
    assert queue.counts() == {"waiting": 4, "claimed": 0, "aside": 0}
    assert [queue.claim().job["n"] for _ in range(4)] == [1, 2, 3, 4]
    assert queue.claim() is None
    assert queue.counts() == {"waiting": 0, "claimed": 4, "aside": 0}


def test_a_claim_is_handed_out_again_when_its_lease_ends(make: Make) -> None:
    queue, other = make(lease=0.05), make(lease=60)
    queue.put("job")
    lost = queue.claim()
    assert other.claim() is None
    time.sleep(0.06)
    again = other.claim()
    assert (again.id, again.tries) == (lost.id, 2)
    queue.renew(lost)  # what is lost stays lost
    queue.fail(lost, "late")
    time.sleep(0.06)
    assert queue.claim() is None
    assert queue.counts()["claimed"] == 1
    queue.done(lost)  # it was done, whoever did it
    assert other.counts() == {"waiting": 0, "claimed": 0, "aside": 0}


def test_a_lease_can_be_renewed(make: Make) -> None:
    queue, other = make(lease=0.3), make()
    queue.put("job")
    claim = queue.claim()
    for _ in range(3):
        time.sleep(0.15)
        queue.renew(claim)
    assert other.claim() is None


def test_what_is_refused_is_set_aside_and_can_be_retried(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    queue = make()
    queue.put(Job(1))
    queue.put({"n": 2})
    claim = queue.claim()
    assert claim.job == {"n": 2}
    [aside] = queue.asides()
    assert aside.code == "untrusted-global"
    assert f"{Job.__module__}:Job" in aside.reason
    assert queue.counts() == {"waiting": 0, "claimed": 1, "aside": 1}

    later = make(reader=Reader(trust=[Job]))
    assert later.asides() == [aside]
    later.retry(aside)
    assert later.claim().job == Job(1)
    assert later.asides() == []


def test_a_job_without_a_signature_is_set_aside(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    ring = pickleseal.KeyRing([pickleseal.Key.generate("jobs")], purpose="jobs")
    make().put("forged")
    queue = make(reader=Reader(Policy(keys=ring)), options=PackOptions(keys=ring))
    queue.put("signed")
    assert queue.claim().job == "signed"
    [aside] = queue.asides()
    assert (aside.code, pickleseal.unpack(aside.data)) == ("signature-invalid", "forged")
    queue.done(aside)
    assert queue.asides() == []


def test_a_handler_that_fails_is_tried_as_often_as_allowed(make: Make, module: Any) -> None:
    queue, seen = make(tries=3), []

    def handle(job: str) -> None:
        seen.append(job)
        if job == "bad":
            raise KeyError(job)

    for job in ("bad", "good"):
        queue.put(job)
    module.run(queue, handle, until_empty=True)
    assert Counter(seen) == {"bad": 3, "good": 1}
    [aside] = queue.asides()
    assert (aside.code, aside.reason) == ("failed", "KeyError('bad')")
    assert queue.counts() == {"waiting": 0, "claimed": 0, "aside": 1}


def test_a_job_that_takes_its_workers_down_is_set_aside(make: Make) -> None:
    queue = make()
    queue.put(Deadly())
    queue.put("good")
    reader = Reader(trust=[Deadly])
    for _ in range(2):
        assert finished(forked(lambda: make(reader=reader, lease=0.0, tries=2).claim())) == 9
    queue = make(reader=reader, tries=2)
    assert queue.claim().job == "good"
    assert [aside.code for aside in queue.asides()] == ["no-answer"]


def test_a_payload_that_was_damaged_is_set_aside_with_its_bytes(make: Make, tmp_path: Path) -> None:
    queue = make()
    for job in ("first", "x" * 300 + "damaged", "third"):
        queue.put(job)
    queue.close()
    data = (tmp_path / "jobs").read_bytes()
    assert data.count(b"xdamaged") == 1
    (tmp_path / "jobs").write_bytes(data.replace(b"xdamaged", b"xDamaged"))
    queue = make()
    assert [queue.claim().job, queue.claim().job, queue.claim()] == ["first", "third", None]
    [aside] = queue.asides()
    assert aside.code == "section-checksum"
    assert b"xDamaged" in aside.data
    assert make().asides() == [aside]


def test_compacting_keeps_what_is_open(make: Make, tmp_path: Path) -> None:
    queue, other = make(tries=1), make(tries=1)
    for number in range(120):
        queue.put({"n": number, "text": "x" * 100})
    for _ in range(80):
        queue.done(queue.claim())
    queue.fail(queue.claim(), "aside")
    claim = queue.claim()
    before, size = queue.counts(), size_of(tmp_path)
    queue.compact()
    assert size_of(tmp_path) < size / 2
    assert queue.counts() == other.counts() == make().counts() == before
    other.put("after")  # a writer that was open before
    other.done(claim)
    assert queue.counts() == {"waiting": 39, "claimed": 0, "aside": 1}
    assert queue.claim().job["n"] == 82
    assert {path.name for path in tmp_path.iterdir()} <= {"jobs", "jobs.lock", "jobs-wal", "jobs-shm", "jobs.idx"}


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.sampled_from(["put", "claim", "done", "fail", "restart", "compact", "retry"]), max_size=20))
@pytest.mark.parametrize("name", MODULES)
def test_any_history_leaves_the_state_that_a_model_has(name: str, steps: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        follow_a_model(name, steps, Path(folder, "jobs"))


def follow_a_model(name: str, steps: list[str], path: Path) -> None:
    cls = next(value for key, value in vars(example(name)).items() if key.endswith("Queue"))
    queue = cls(path, tries=2)
    model: dict[int, list[Any]] = {}  # number -> state, tries
    claims: list[Any] = []
    for number, step in enumerate(steps):
        if step == "put":
            queue.put(number)
            model[number] = ["waiting", 0]
        elif step == "claim":
            claim = queue.claim()
            expected = [key for key, (state, _) in model.items() if state == "waiting"]
            assert (None if claim is None else claim.job) == (expected[0] if expected else None)
            if claim is not None:
                model[claim.job] = ["claimed", model[claim.job][1] + 1]
                assert claim.tries == model[claim.job][1]
                claims.append(claim)
        elif step == "done" and claims:
            claim = claims.pop()
            queue.done(claim)
            del model[claim.job]
        elif step == "fail" and claims:
            claim = claims.pop()
            queue.fail(claim, "because")
            model[claim.job][0] = "aside" if claim.tries == 2 else "waiting"
        elif step == "restart":
            queue.close()
            queue = cls(path, tries=2)
        elif step == "compact":
            queue.compact()
        elif step == "retry":
            for aside in queue.asides():
                queue.retry(aside)
                job = pickleseal.unpack(aside.data)
                assert aside.code == "failed"
                model[job] = ["waiting", 0]
        states = Counter(state for state, _ in model.values())
        assert queue.counts() == {key: states[key] for key in ("waiting", "claimed", "aside")}
    queue.close()


# --- processes that are killed ----------------------------------------------------------------------------------------


def test_nothing_is_lost_when_workers_and_producers_are_killed(make: Make, module: Any, tmp_path: Path) -> None:
    make()  # warmed up
    put, begun, acknowledged = tmp_path / "put", tmp_path / "begun", tmp_path / "acknowledged"

    def produce(first: int, count: int) -> None:
        queue = make()
        for number in range(first, first + count):
            queue.put({"n": number, "text": "x" * (number % 700)})
            note(put, number)

    def produce_until_killed(first: int) -> None:
        produce(first, 400)
        signal.pause()

    def work() -> None:
        queue = make(lease=1.5, tries=50)
        while not (tmp_path / "stop").exists():
            known = lines(acknowledged)
            claim = queue.claim()
            if claim is None:
                time.sleep(0.005)
                continue
            if str(claim.job["n"]) in known:
                os._exit(3)
            note(begun, claim.job["n"])
            queue.done(claim)
            note(acknowledged, claim.job["n"])

    def compact() -> None:
        queue = make()
        while not (tmp_path / "stop").exists():
            queue.compact()
            time.sleep(0.03)

    others = [forked(compact)]
    workers = [forked(work), forked(work)]
    for turn in range(8):
        producers = [forked(lambda turn=turn: produce_until_killed(1000 * turn)), forked(lambda: produce(100_000, 0))]
        wait_for(lambda turn=turn: len(lines(put)) > 5 + 12 * turn)
        killed(workers.pop(0))
        workers.append(forked(work))
        killed(producers[0])
        assert finished(producers[1]) == 0
    assert finished(forked(lambda: produce(50_000, 20))) == 0
    queue = make()
    wait_for(lambda: not any(queue.counts().values()), 20)
    (tmp_path / "stop").touch()
    assert [finished(child) for child in (*workers, *others)] == [0, 0, 0]
    assert set(lines(put)) <= set(lines(begun))  # each at least once
    assert not queue.asides()
    repeated = [number for number, times in Counter(lines(begun)).items() if times > 1]
    assert len(repeated) <= 8  # those whose workers were killed


def test_what_is_acknowledged_never_runs_again(make: Make, tmp_path: Path) -> None:
    """Workers note what `done` returned for; whatever is claimed after that must be something else."""
    queue = make(lease=0.02, tries=1000)
    for number in range(30):
        queue.put(number)
    journal = tmp_path / "journal"

    def work() -> None:
        queue = make(lease=0.02, tries=1000)
        while any(queue.counts().values()):
            acknowledged = set(lines(journal))
            claim = queue.claim()
            if claim is None:
                time.sleep(0.005)
            elif str(claim.job) in acknowledged:
                os._exit(3)
            elif (claim.job + claim.tries) % 3:
                queue.done(claim)
                note(journal, claim.job)
            else:
                time.sleep(0.03)  # too slow: the claim is lost

    children = [forked(work) for _ in range(3)]
    assert [finished(child) for child in children] == [0, 0, 0]
    assert set(lines(journal)) == {str(number) for number in range(30)}


def test_each_job_goes_to_one_of_many_workers(make: Make, module: Any, tmp_path: Path) -> None:
    queue = make()
    for number in range(40):
        queue.put(number)
    children = [
        forked(lambda n=n: module.run(make(), lambda job: note(tmp_path / f"by{n}", job), until_empty=True))
        for n in range(3)
    ]
    assert [finished(child) for child in children] == [0, 0, 0]
    done = [number for n in range(3) for number in lines(tmp_path / f"by{n}")]
    assert sorted(done, key=int) == [str(number) for number in range(40)]


def test_many_may_begin_at_once(module: Any, tmp_path: Path) -> None:
    queue_of = next(value for name, value in vars(module).items() if name.endswith("Queue"))
    for turn in range(5):
        children = [forked(lambda turn=turn, n=n: queue_of(tmp_path / f"q{turn}").put(n)) for n in range(4)]
        assert [finished(child) for child in children] == [0] * 4
        queue = queue_of(tmp_path / f"q{turn}")
        assert sorted(queue.claim().job for _ in range(4)) == [0, 1, 2, 3]
        queue.close()


# --- the stream queue's log -------------------------------------------------------------------------------------------


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(**options: Any) -> Any:
            queue = example("job_queue_stream").StreamQueue(tmp_path / "jobs", **options)
            stack.callback(queue.close)
            return queue

        yield made


@pytest.mark.parametrize("tail", [b"\xf7PSL", b"\0" * 4096, "part"], ids=["magic", "zeros", "part of a frame"])
@pytest.mark.parametrize("first", ["claim", "put"])
def test_a_torn_tail_is_cut_off(stream: Make, tmp_path: Path, tail: Any, first: str) -> None:
    queue = stream()
    queue.put("a")
    open_before = stream()
    assert open_before.counts()["waiting"] == 1
    with open(tmp_path / "jobs", "ab") as file:
        file.write(pickleseal.pack("never acknowledged")[:-30] if tail == "part" else tail)
    if first == "put":
        queue.put("b")
    assert open_before.claim().job == "a"
    if first == "claim":
        queue.put("b")
    assert queue.claim().job == "b"
    assert queue.asides() == open_before.asides() == []
    assert list(pickleseal.iter_load(tmp_path / "jobs"))


@pytest.mark.parametrize("place", [0.1, 0.5, 0.98])
def test_a_log_that_is_damaged_anywhere_can_be_used(
    stream: Make, tmp_path: Path, place: float, caplog: pytest.LogCaptureFixture
) -> None:
    queue = stream()
    for number in range(9):
        queue.put(f"job {number} " * 30)
    queue.close()
    path = tmp_path / "jobs"
    data = bytearray(path.read_bytes())
    at = int(len(data) * place) // 64 * 64
    data[at : at + 300] = b"#" * min(300, len(data) - at)
    path.write_bytes(data)
    queue, found = stream(), []
    queue.put("new")  # also where the last frame is what was damaged
    while (claim := queue.claim()) is not None:
        found.append(claim.job.strip()[:5])
        queue.done(claim)
    assert found[-1] == "new"
    assert 9 <= len(found) + len(queue.asides()) <= 11  # a header holds no job, and two frames may be hit
    assert sum(aside.data.count(b"####") for aside in queue.asides()) == data.count(b"####") > 40
    assert all(f"job {number}" in found or "bytes " in caplog.text for number in range(9))
    assert len(list(pickleseal.iter_load(path))) > 0  # the log is whole again


def test_records_of_others_are_set_aside(stream: Make, tmp_path: Path) -> None:
    queue = stream()
    queue.put("a")
    for obj in (Job(7), {"no": "event"}, ("put",), ("claim", [], 1), ("later", "version", 1)):
        pickleseal.append(tmp_path / "jobs", obj)
    queue.put("b")
    assert [queue.claim().job, queue.claim().job, queue.claim()] == ["a", "b", None]
    [aside] = queue.asides()
    assert (aside.code, pickleseal.peek(aside.data).type) == ("untrusted-global", f"{Job.__module__}:Job")


def test_a_compaction_that_was_killed_leaves_the_log(stream: Make, tmp_path: Path) -> None:
    queue = stream()
    queue.put("a")
    with pickleseal.StreamWriter(tmp_path / "jobs.new") as half:
        half.append(("put", "other", pickleseal.pack("of an older state")))
    assert stream().counts()["waiting"] == 1
    queue.compact()
    assert [queue.claim().job, queue.claim()] == ["a", None]
    assert not (tmp_path / "jobs.new").exists()


def test_a_put_beside_a_slow_compaction_is_not_lost(stream: Make, tmp_path: Path) -> None:
    queue = stream()
    for number in range(12):
        queue.put(bytes([number]) * 600_000)
    replace = os.replace

    def slow_compaction() -> None:
        def replace_slowly(*names: str) -> None:
            (tmp_path / "now").touch()
            time.sleep(0.2)
            replace(*names)

        os.replace = replace_slowly  # type: ignore[assignment]
        stream().compact()

    child = forked(slow_compaction)
    wait_for((tmp_path / "now").exists)
    queue.put("beside")
    assert finished(child) == 0
    assert [queue.claim().job[0] for _ in range(13)] == [*range(12), "b"]
    queue.compact()
    assert {path.name for path in tmp_path.iterdir()} <= {"jobs", "jobs.lock", "jobs.idx", "now"}


def test_a_full_disk_loses_nothing_that_was_acknowledged(stream: Make, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    queue = stream()
    queue.put("a")

    def child() -> None:
        limit = (tmp_path / "jobs").stat().st_size + 1000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        full = stream()
        with pytest.raises(OSError, match="large"):
            full.put("x" * 10_000)
        claim = full.claim()
        assert claim.job == "a"

    assert finished(forked(child)) == 0
    assert stream().counts() == {"waiting": 0, "claimed": 1, "aside": 0}


def test_the_header_can_be_read_with_sql(tmp_path: Path) -> None:
    queue = example("job_queue_sqlite").SqliteQueue(tmp_path / "jobs")
    big = [f"field{number}" for number in range(3)]
    queue.put(big)
    queue.put(b"x" * 100_000)
    rows = queue._database.execute("SELECT json_extract(header, '$.type'), json_valid(header) FROM headers").fetchall()
    queue.close()
    assert rows == [("builtins:list", 1), ("builtins:bytes", 1)]


# --- the cache --------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk_cache() -> Any:
    return example("disk_cache")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "pickleseal.reader")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(entries=st.lists(st.tuples(PLAIN, st.integers()), max_size=6))
def test_a_value_that_was_set_is_found(entries: list[tuple[Any, int]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        compare_with_a_dict(entries, folder)


def compare_with_a_dict(entries: list[tuple[Any, int]], folder: str) -> None:
    cache = example("disk_cache").DiskCache(folder)
    wanted: dict[str, int] = {}
    for key, value in entries:
        assert cache.get(key) == wanted.get(repr(key))
        assert cache.set(key, value)
        wanted[repr(key)] = value
    assert [cache.get(key) for key, _ in entries] == [wanted[repr(key)] for key, _ in entries]
    for key, _ in entries:
        cache.delete(key)
        assert cache.get(key, "gone") == "gone"


def test_keys_that_are_equal_but_of_other_types(disk_cache: Any, tmp_path: Path) -> None:
    cache = disk_cache.DiskCache(tmp_path)
    for key in (1, 1.0, True, "1", b"1", (1,), ((1,),), 0.0, -0.0):
        assert cache.get(key) is None
        cache.set(key, repr(key))
    assert cache.get(1.0) == "1.0"
    assert cache.get(-0.0) == "-0.0"
    for key in ([1], {"a": 1}, object(), (1, [2])):
        with pytest.raises(TypeError, match="key: expected"):
            cache.get(key)


def test_every_refusal_is_a_miss_with_a_reason(disk_cache: Any, tmp_path: Path) -> None:
    old, new = pickleseal.Registry(), pickleseal.Registry()
    old.register(disk_cache.Report, "reports.Report")
    new.register(disk_cache.ReportToday, "reports.Report")
    ring = pickleseal.KeyRing([pickleseal.Key.generate("cache")])
    report = disk_cache.Report("May", 7)

    def damage(path: str) -> None:
        with open(path, "r+b") as file:
            file.seek(-64, os.SEEK_END)
            file.write(b"\xff")

    def nothing(path: str) -> None:
        pass

    table: list[tuple[str, Any, dict[str, Any], dict[str, Any], Callable[[str], None]]] = [
        (
            "schema-drift",
            report,
            {"options": PackOptions(registry=old)},
            {"reader": Reader(Policy(registry=new))},
            nothing,
        ),
        ("policy", 1, {"version": "1"}, {"version": "2"}, nothing),
        ("type-mismatch", [1], {}, {"reader": Reader(expect=dict)}, nothing),
        ("untrusted-global", Job(1), {}, {}, nothing),
        ("signature-invalid", 1, {}, {"reader": Reader(Policy(keys=ring))}, nothing),
        ("section-checksum", "text", {}, {}, damage),
        ("truncated", "text", {}, {}, lambda path: os.truncate(path, 200)),
        ("truncated", "text", {}, {}, lambda path: os.truncate(path, 0)),
        ("not-an-artifact", "text", {}, {}, lambda path: Path(path).write_text("<html>" * 20) and None),
        ("policy", "text", {}, {}, lambda path: pickleseal.dump(1, path)),
    ]
    for number, (code, value, writing, reading, change) in enumerate(table):
        cache = disk_cache.DiskCache(tmp_path / str(number), **writing)
        assert cache.set("key", value)
        change(cache.path("key"))
        told: list[tuple[Any, str, str]] = []
        cache = disk_cache.DiskCache(
            tmp_path / str(number), **reading, on_miss=lambda *what, told=told: told.append(what)
        )
        assert cache.get("key", "default") == "default", code
        assert [(key, found) for key, found, _ in told] == [("key", code)]
        assert code in told[0][2]
        assert cache.counts == {code: 1}
        assert os.listdir(tmp_path / str(number)) == []  # removed
        assert cache.get("key") is None
        assert cache.counts == {code: 1, "absent": 1}


def test_what_is_refused_can_be_kept(disk_cache: Any, tmp_path: Path) -> None:
    disk_cache.DiskCache(tmp_path / "c", version="1").set("key", 7)
    cache = disk_cache.DiskCache(tmp_path / "c", version="2", reader=Reader(quarantine=tmp_path / "kept"))
    assert cache.get("key") is None
    [kept] = (tmp_path / "kept").glob("*.pseal")
    assert pickleseal.unpack(kept.read_bytes()) == 7


def test_an_entry_of_another_key_is_a_miss(disk_cache: Any, tmp_path: Path) -> None:
    cache = disk_cache.DiskCache(tmp_path)
    cache.set("a", 1)
    os.rename(cache.path("a"), cache.path("b"))
    assert cache.get("b") is None
    assert cache.counts["policy"] == 1


def test_entries_expire(disk_cache: Any, tmp_path: Path) -> None:
    cache = disk_cache.DiskCache(tmp_path, max_age=0.1)
    cache.set("a", 1)
    assert cache.get("a") == 1
    time.sleep(0.11)
    assert cache.get("a") is None
    assert cache.counts == {"stored": 1, "hit": 1, "policy": 1}


def test_the_bound_holds_and_used_entries_stay(disk_cache: Any, tmp_path: Path) -> None:
    cache = disk_cache.DiskCache(tmp_path, max_bytes=200_000)
    for number in range(60):
        cache.set(number, bytes(9000))
        os.utime(cache.path(number), (number, number))
        if number:
            assert cache.get(0) is not None
        assert size_of(tmp_path) <= 200_000 * 17 / 16 + 10_000
    there = [number for number in range(60) if os.path.exists(cache.path(number))]
    assert there[0] == 0
    assert there[1:] == list(range(there[1], 60))
    assert len(there) > 15


def test_files_of_a_killed_process_are_removed(disk_cache: Any, tmp_path: Path) -> None:
    folder, ready = tmp_path / "cache", tmp_path / "ready"
    cache = disk_cache.DiskCache(folder)

    def child() -> None:
        from pickleseal._io import atomic

        def pause(*_: Any) -> None:
            ready.touch()
            time.sleep(60)

        atomic.write_all = pause
        cache.set("a", 1)

    process = forked(child)
    wait_for(ready.exists)
    killed(process)
    [left] = folder.iterdir()
    disk_cache.DiskCache(folder).set("b", 2)
    assert left.exists()  # it might be somebody's
    os.utime(left, (time.time() - 4000,) * 2)
    disk_cache.DiskCache(folder).set("b", 2)
    assert not left.exists()


def test_processes_share_a_cache(disk_cache: Any, tmp_path: Path) -> None:
    def child(seed: int) -> None:
        cache = disk_cache.DiskCache(tmp_path, max_bytes=100_000)
        for number in range(150):
            key = (number * seed) % 7
            value = cache.get(key)
            assert value is None or value == [key] * 2000
            assert cache.set(key, [key] * 2000)
            if number % 10 == seed:
                cache.delete(key)
        assert set(cache.counts) <= {"hit", "stored", "absent"}, cache.counts

    children = [forked(lambda seed=seed: child(seed)) for seed in (1, 2, 3)]
    assert [finished(process) for process in children] == [0, 0, 0]


def test_memoize(disk_cache: Any, tmp_path: Path) -> None:
    cache, called = disk_cache.DiskCache(tmp_path), []

    @cache.memoize
    def add(a: int, b: int = 0) -> int | None:
        called.append((a, b))
        return a + b or None

    assert [add(1), add(1), add(1, b=2), add(0), add(0)] == [1, 1, 3, None, None]
    assert called == [(1, 0), (1, 2), (0, 0)]
    with pytest.raises(TypeError, match="key: expected"):
        add([1])  # type: ignore[arg-type]


def test_a_value_that_cannot_be_stored_is_returned(disk_cache: Any, tmp_path: Path) -> None:
    cache = disk_cache.DiskCache(tmp_path)
    assert not cache.set("lock", (lambda: None))
    make = cache.memoize(lambda: lambda: 7)
    assert make()() == 7
    assert cache.counts == {"pack-failed": 2, "absent": 1}
    os.mkdir(cache.path("folder"))
    assert cache.get("folder") is None
    assert not cache.set("folder", 1)
    assert cache.counts["os-error"] == 2


def test_a_value_is_returned_although_the_disk_is_full(disk_cache: Any, tmp_path: Path) -> None:
    code = (
        "import disk_cache, sys\n"
        "cache = disk_cache.DiskCache(sys.argv[1])\n"
        "compute = cache.memoize(lambda n: 'x' * n)\n"
        "assert [len(compute(n)) for n in (3_000, 3_000, 500_000, 500_000)] == [3_000, 3_000, 500_000, 500_000]\n"
        "print(dict(cache.counts))\n"
    )
    script = f'mount -t tmpfs -o size=64k none "{tmp_path}" && exec "{sys.executable}" -W error -c "$0" "{tmp_path}"'
    paths = os.pathsep.join([str(ROOT / "examples"), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, code]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
        )
    except OSError:
        pytest.skip("no unshare here")
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no small file system here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{'absent': 3, 'stored': 1, 'hit': 1, 'os-error': 2}"


# --- all of them ------------------------------------------------------------------------------------------------------

SAYS = {
    "job_queue_stream": ["waiting: 4", "sent: 1", "sent: 2", "failed builtins:dict", "type-mismatch", "'aside': 2"],
    "job_queue_sqlite": ["waiting: 4", "sent: 1", "sent: 2", "failed builtins:dict", "type-mismatch", "'aside': 2"],
    "disk_cache": ["7 7 {'absent': 1, 'stored': 1, 'hit': 1}", "schema-drift", "section-checksum", "meta.version"],
}


@pytest.mark.parametrize("name", SAYS)
def test_the_example_runs(name: str) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for text in SAYS[name]:
        assert text in done.stdout
