"""Streams: what is appended comes back, once and in order, whatever happens to the file in between (spec 9)."""

import contextlib
import copy
import errno
import functools
import gc
import io
import itertools
import math
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stream_kinds
import streams as vectors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stream_kinds import KINDS, shape

import pickleseal
from pickleseal import StreamReader, StreamWriter, append, errors, iter_load, pack, repair
from pickleseal._payload.pickler import pickle_one
from pickleseal._streams import writer as writing
from pickleseal._streams.batches import LARGEST, merge
from pickleseal.errors import (
    HeaderChecksumError,
    LimitExceededError,
    NotAnArtifactError,
    PackError,
    PackWarning,
    PolicyError,
    PreambleChecksumError,
    ReadError,
    SignatureError,
    StreamOrderError,
    StreamWarning,
    TornTailError,
    TypeMismatchError,
    UntrustedGlobalError,
)

SHORT = bool(os.environ.get("PICKLESEAL_SHORT"))
FEW = settings(
    max_examples=20 if SHORT else 60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HAS_FORK = hasattr(os, "fork")
needs_fork = pytest.mark.skipif(not HAS_FORK, reason="no fork here")
load = functools.partial(iter_load, trust=KINDS)
Plain = stream_kinds.Plain


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "events.pseal")


@pytest.fixture(autouse=True, scope="module")
def old_objects_are_left_alone() -> Iterator[None]:
    """Collecting garbage after each test takes long where thousands of tests ran before."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    """Whatever a test does, no descriptor of a stream stays open."""
    if not os.path.isdir("/proc/self/fd"):
        yield
        return
    before = _open_streams()
    yield
    gc.collect()
    assert _open_streams() <= before


def _open_streams() -> set[str]:
    names = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if ".pseal" in target:
            names.add(target)
    return names


def _numbers(path: str, count: int, batch: int | None = None) -> None:
    with StreamWriter(path, batch=batch, fsync=0) as stream:
        for n in range(count):
            stream.append(n)


def _frames(path: str) -> list[Any]:
    with StreamReader(path) as reader:
        return list(reader.frames(verify=True))


def _write(path: str, *frames: Any) -> bytes:
    data = b"".join(frame if isinstance(frame, bytes) else frame.data for frame in frames)
    Path(path).write_bytes(data)
    return data


# --- what is appended comes back --------------------------------------------------------------------------------------


@FEW
@given(data=st.data())
def test_any_objects_come_back_however_they_are_batched(data: st.DataObject, tmp_path: Path) -> None:
    path = str(tmp_path / f"{time.monotonic_ns()}.pseal")
    objects = data.draw(st.lists(stream_kinds.objects, max_size=12))
    batch = data.draw(st.none() | st.integers(1, 8))
    flushes = data.draw(st.sets(st.integers(0, 12)))
    with StreamWriter(path, batch=batch, fsync=data.draw(st.integers(0, 3))) as stream:
        for place, obj in enumerate(objects):
            stream.append(obj)
            if place in flushes:
                stream.flush()
    if not objects:
        assert os.path.getsize(path) == 0
        return
    wanted = [shape(pickle.loads(pickle.dumps(obj))) for obj in objects]
    loaded = list(load(path))
    assert [shape(obj) for obj in loaded] == wanted
    with open(path, "rb") as file:
        assert [shape(obj) for obj in load(file)] == wanted
    with StreamReader(path, trust=KINDS) as reader:
        numbers = []
        for obj in reader:
            numbers.append(reader.record - 1)
            assert shape(obj) == wanted[numbers[-1]]
            assert reader.frame is not None
            assert reader.frame.record <= numbers[-1] < reader.frame.record + reader.frame.records
    assert numbers == list(range(len(objects)))
    assert sum(frame.records for frame in _frames(path)) == len(objects)


@FEW
@given(objects=st.lists(stream_kinds.objects, min_size=1, max_size=10))
def test_merge_gives_what_each_pickle_gives_alone(objects: list[Any]) -> None:
    taken = []
    for obj in objects:
        pickled, memo = pickle_one(obj, wants_memo=True)
        if len(pickled.parts) == 1 and len(pickled.parts[0]) <= LARGEST:
            taken.append((bytes(pickled.parts[0]), memo))
    merged = pickle.loads(merge(taken))
    assert [shape(obj) for obj in merged] == [shape(pickle.loads(data)) for data, _ in taken]


def test_references_beyond_256_objects_are_moved(path: str) -> None:
    shared = [Plain() for _ in range(40)]
    records = [[shared, list(shared), {str(i): (shared[i], str(i)) for i in range(40)}] for _ in range(12)]
    with StreamWriter(path, batch=100) as stream:
        for record in records:
            stream.append(record)
    assert [shape(record) for record in load(path)] == [shape(record) for record in records]
    assert len(_frames(path)) == 1


@pytest.mark.parametrize("batch", [None, 1, 3, 100])
def test_seek_finds_every_record(path: str, batch: int | None) -> None:
    _numbers(path, 10, batch)
    for n in range(10, 13):
        append(path, n)
    for n in range(-15, 16):
        with StreamReader(path) as reader:
            wanted = min(n, 13) if n >= 0 else max(13 + n, 0)
            assert reader.seek(n) == reader.record == wanted
            assert reader.count() == 13
            assert list(reader) == list(range(wanted, 13))
            assert reader.seek(2) == 2  # and back
            assert next(reader) == 2
            assert reader.count() == 13
            assert next(reader) == 3


@pytest.mark.parametrize("index", ["right", "none", "cut", "junk", "zeros", "another's", "longer", "reversed"])
def test_the_index_never_changes_what_is_found(path: str, tmp_path: Path, index: str) -> None:
    _numbers(path, 300)
    beside = Path(path + ".idx")
    right = beside.read_bytes()
    assert len(right) == 32 * 4
    other = str(tmp_path / "other.pseal")
    _numbers(other, 300)
    if index == "none":
        beside.unlink()
    else:
        beside.write_bytes(
            {
                "right": right,
                "cut": right[:70],
                "junk": os.urandom(96),
                "zeros": bytes(96),
                "another's": Path(other + ".idx").read_bytes(),
                "longer": right + right[-32:] + os.urandom(32),
                "reversed": b"".join(right[n : n + 32] for n in (96, 64, 32, 0)),
            }[index]
        )
    with StreamReader(path) as reader:
        for n in (0, 1, 63, 64, 65, 200, 255, 256, 257, 299, 300, -1, -64, -300):
            assert reader.seek(n) == n % 300 if n != 300 else reader.seek(n) == 300
            assert list(itertools.islice(reader, 2)) == list(range(300))[n:][:2]
        assert reader.count() == 300
    with StreamWriter(path, batch=7) as stream:  # whoever appends mends it, or leaves it alone
        for n in range(300, 2000):
            stream.append(n)
    with StreamReader(path) as reader:
        assert reader.count() == 2000
        assert reader.seek(1500) == 1500
        assert list(reader) == list(range(1500, 2000))
    if index not in ("junk", "none", "reversed"):
        assert beside.read_bytes()[:128] == right


def test_a_file_beside_the_stream_that_is_no_index_is_left_alone(path: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious " * 20)
    for make in (lambda: os.symlink(precious, path + ".idx"), lambda: os.link(precious, path + ".idx")):
        try:
            make()
        except OSError:
            pytest.skip("no links here")
        _numbers(path, 200)
        assert precious.read_text() == "precious " * 20
        with StreamReader(path) as reader:
            assert reader.seek(-1) == reader.count() - 1
        os.unlink(path + ".idx")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_is_never_waited_for(path: str) -> None:
    os.mkfifo(path + ".idx")
    _numbers(path, 100)
    with StreamReader(path) as reader:
        assert reader.count() == 100
    os.mkfifo(path + "2")
    for opens in (lambda: StreamReader(path + "2"), lambda: append(path + "2", 1)):
        with pytest.raises(OSError, match="not a regular file"):
            opens()


# --- a record counts as it was when it was appended -------------------------------------------------------------------


def _mutables() -> list[Any]:
    k = stream_kinds
    return [
        {"a": [1], "b": {"c": 2}},
        [1, [2, [3]], {"x": {}}],
        ([1], {"a": 1}),
        {1, 2},
        bytearray(b"abc"),
        k.Plain(a=[1]),
        k.Data([1], k.Data({"b": 1})),
        k.DataSlots([1]),
        k.Frozen([1]),
        k.FrozenSlots([1]),
        k.Slots({"a": 1}),
        k.SlotsAndDict([1]),
        k.Pair([1], {}),
        k.Stated([1]),
        k.Reduced([1]),
        k.OwnDict(a=[1]),
        k.OwnList([[1]]),
        {"many": list(range(100))},
    ]


def _mutate(value: Any, depth: int = 0) -> None:
    """Change whatever can be changed."""
    if depth > 4:
        return
    inner = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list | tuple) else []
    inner += list(getattr(value, "__dict__", {}).values())
    inner += [getattr(value, name) for base in type(value).__mro__ for name in getattr(base, "__slots__", ())
              if hasattr(value, name)]  # fmt: skip
    for item in inner:
        _mutate(item, depth + 1)
    if isinstance(value, dict):
        value["changed"] = True
    elif isinstance(value, list):
        value.append("changed")
    elif isinstance(value, set):
        value.add("changed")
    elif isinstance(value, bytearray):
        value += b"changed"
    elif isinstance(value, stream_kinds.Frozen):
        assert value.cached
        assert value.unpicklable
    elif hasattr(value, "__dict__"):
        value.changed = True


def test_a_record_is_stored_as_it_was_when_it_was_appended(path: str) -> None:
    objects = _mutables()
    wanted = [shape(copy.deepcopy(obj)) for obj in objects]
    wanted_later = []
    with StreamWriter(path, batch=1000) as stream:
        for obj in objects:
            stream.append(obj)
            _mutate(obj)
        for obj in objects:
            if not isinstance(obj, stream_kinds.Frozen):  # it can't be pickled any more
                stream.append(obj)
                wanted_later.append(shape(pickle.loads(pickle.dumps(obj))))
    loaded = list(load(path))
    for found, expected in zip([shape(obj) for obj in loaded], wanted + wanted_later, strict=True):
        if expected[0] is stream_kinds.Stated:
            continue  # its state is its own business
        assert found == expected


@pytest.mark.parametrize("make", [lambda: [1], lambda: Plain(a=1), lambda: {"a": {}}, lambda: stream_kinds.Frozen([1])])
def test_records_share_nothing_that_can_change(path: str, make: Any) -> None:
    shared = make()
    with StreamWriter(path, batch=10) as stream:
        stream.append(shared)
        stream.append(shared)
        stream.append({"in": shared})
        stream.append([shared, shared])
    one, two, three, (four, five) = load(path)
    assert four is five
    assert len({id(one), id(two), id(three["in"]), id(four)}) == 4


def test_arrays_and_buffers(path: str) -> None:
    numpy = pytest.importorskip("numpy")
    small, large = numpy.arange(5), numpy.arange(100_000.0)
    with StreamWriter(path, batch=10) as stream:
        for record in (1, small, large, {"a": small, "b": large}, pickle.PickleBuffer(bytearray(b"x" * 50_000)), 2):
            stream.append(record)
        small += 1
        large += 1
    one, first, second, third, buffer, two = iter_load(path)
    assert (one, two, bytes(buffer)) == (1, 2, b"x" * 50_000)
    assert first.tolist() == third["a"].tolist() == [0, 1, 2, 3, 4]
    assert numpy.array_equal(second, large - 1)
    assert numpy.array_equal(third["b"], large - 1)
    assert [frame.records for frame in _frames(path)] == [2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "large",
    [
        "x" * (1 << 20),
        b"x" * 70_000,
        {str(n): str(n) * 1500 for n in range(60)},
        [str(n) * 3000 for n in range(60)],
        {"a": "x" * 200_000},
        Plain(a=["x" * 50_000, "y" * 50_000]),
        ["x" * 65_000],
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_records_between_those_that_are_not_copied(path: str, large: Any) -> None:
    """In a batch of several ways to take records, one whose pickle is in several frames."""
    records = [{1, 2}, "a", large, {3}, large, "b", {4}, {"c": 1}]
    with StreamWriter(path, batch=100) as stream:
        for record in records:
            stream.append(record)
    assert [shape(record) for record in load(path)] == [shape(record) for record in records]


def test_large_records_split_batches(path: str) -> None:
    records = ["x" * (1 << 20)] * 9 + list(range(50)) + ["y" * (5 << 20)] + list(range(50))
    with StreamWriter(path, batch=1000) as stream:
        for record in records:
            stream.append(record)
    assert list(iter_load(path)) == records
    frames = _frames(path)
    assert all(frame.length < (4 << 20) + 4096 or frame.records == 1 for frame in frames)
    assert len(frames) < 20


# --- what can't be packed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [None, 10])
def test_an_object_that_cannot_be_packed_raises_at_once_and_no_other_record_is_lost(
    path: str, batch: int | None
) -> None:
    class Local:
        pass

    with StreamWriter(path, batch=batch) as stream:
        stream.append(1)
        for bad in (Local(), Local, lambda: 1, [threading.Lock()], (x for x in ())):
            with pytest.raises(PackError):
                stream.append(bad)
        stream.append(2)
    assert list(iter_load(path)) == [1, 2]


def test_records_load_where_numpy_is_missing(path: str) -> None:
    _numbers(path, 5, batch=2)
    code = "import sys; sys.modules['numpy'] = None; import pickleseal; print(list(pickleseal.iter_load(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[0, 1, 2, 3, 4]\n"


@pytest.mark.parametrize("way", ["append", "flush", "close", "large", "linger"])
def test_a_record_that_can_no_longer_be_packed_does_not_block_the_others(path: str, way: str) -> None:
    bad = Plain()
    bad.__reduce_ex__ = 5  # which the pickler calls
    stream = StreamWriter(path, batch=5, linger=0.05 if way == "linger" else None)
    stream.append(1)
    stream.append(bad)
    stream.append(2)
    ways = {
        "append": lambda: [stream.append(n) for n in (3, 4)],
        "large": lambda: stream.append(list(range(100_000))),
        "linger": lambda: stream.append(3),
        "flush": stream.flush,
        "close": stream.close,
    }
    if way == "linger":
        _until(lambda: not stream._pending.items)  # type: ignore[union-attr]
    with pytest.raises(PackError, match="a record that waited was dropped"):
        ways[way]()
    stream.close()
    stream.close()
    more = {"append": [3, 4], "large": [list(range(100_000))]}
    assert list(iter_load(path)) == [1, 2, *more.get(way, [])]


@pytest.mark.parametrize("depth", [90, 110, 300, 450, 900])
def test_a_batch_can_be_written_from_deep_within_calls(path: str, depth: int) -> None:
    nested: Any = []
    for _ in range(depth):
        nested = [nested]
    stream = StreamWriter(path, batch=10)
    stream.append(1)
    taken = 2
    try:
        stream.append(nested)
    except PackError:  # Python before 3.12 can't pickle it
        taken = 1

    def close(calls: int) -> None:
        if calls:
            close(calls - 1)
        else:
            stream.close()

    close(300)
    with StreamReader(path) as reader:
        assert reader.count() == taken


def test_too_many_names_for_one_header_make_several_frames(path: str) -> None:
    module = types.ModuleType("module_of_many_" + "x" * 200)
    sys.modules[module.__name__] = module
    classes = [type(f"C{n}", (), {"__module__": module.__name__}) for n in range(6000)]
    for cls in classes:
        setattr(module, cls.__name__, cls)
    try:
        with StreamWriter(path, batch=10_000, fsync=0) as stream:
            for cls in classes:
                stream.append(cls)
        assert sum(frame.records for frame in _frames(path)) == 6000
    finally:
        del sys.modules[module.__name__]


def test_classes_are_warned_of_once(path: str) -> None:
    cls = type("Script", (), {"__module__": "__main__"})
    main = sys.modules["__main__"]
    main.Script = cls  # type: ignore[attr-defined]
    try:
        with StreamWriter(path, batch=100) as stream, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(5):
                stream.append(cls())
        assert [warning.category for warning in caught] == [PackWarning]
    finally:
        del main.Script  # type: ignore[attr-defined]


# --- damage -----------------------------------------------------------------------------------------------------------


def test_any_flipped_bit_is_named_and_the_rest_comes_back(path: str) -> None:
    with StreamWriter(path, batch=2) as stream:
        for n in range(6):
            stream.append(n)
    whole = Path(path).read_bytes()
    frames = _frames(path)
    assert [frame.records for frame in frames] == [2, 2, 2]
    for offset in range(0, len(whole), 7 if SHORT else 3):
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << offset % 8
        Path(path).write_bytes(damaged)
        hit = next(place for place, frame in enumerate(frames) if offset < frame.offset + frame.length)
        got: list[int] = []
        with pytest.raises(ReadError) as caught:
            got.extend(iter_load(path))
        assert got == list(range(2 * hit))
        assert (caught.value.offset, caught.value.record) == (frames[hit].offset, 2 * hit)
        with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
            rest = list(reader)
        assert rest == [n for n in range(6) if n // 2 != hit]
        assert [(lost.offset, lost.end) for lost in reader.lost] == [
            (frames[hit].offset, frames[hit].offset + frames[hit].length)
        ]


def test_a_cut_anywhere_reports_the_end_of_the_last_whole_frame(path: str) -> None:
    _numbers(path, 3)
    whole = Path(path).read_bytes()
    ends = [frame.offset for frame in _frames(path)] + [len(whole)]
    for end in range(0, len(whole), 13 if SHORT else 5):
        Path(path).write_bytes(whole[:end])
        good = max(e for e in ends if e <= end)
        records = ends.index(good)
        if end == good:
            assert list(iter_load(path)) == list(range(records))
            continue
        for source in (path, io.BytesIO(whole[:end])):
            with pytest.raises(TornTailError) as caught:
                list(iter_load(source))  # type: ignore[arg-type]
            assert (caught.value.good_end, caught.value.offset, caught.value.record) == (good, good, records)
        with pytest.raises(TornTailError) as caught:
            append(path, "more")
        assert (caught.value.good_end, caught.value.path) == (good, path)
        assert Path(path).read_bytes() == whole[:end]
        if end % 2:
            assert repair(path) == end - good
            assert repair(path) == 0
            append(path, "more")
        else:
            with StreamWriter(path, repair=True, batch=4) as stream:
                stream.append("more")
        assert list(iter_load(path)) == [*range(records), "more"]


def test_a_corrupt_last_frame_is_cut_off_only_with_drop_corrupt(path: str) -> None:
    _numbers(path, 3)
    damaged = bytearray(Path(path).read_bytes())
    damaged[-1] ^= 1
    Path(path).write_bytes(damaged)
    for refused in (lambda: append(path, 4), lambda: repair(path)):
        with pytest.raises(ReadError) as caught:
            refused()
        assert not isinstance(caught.value, TornTailError)
        assert caught.value.path == path
        assert caught.value.record == 2
    assert Path(path).read_bytes() == damaged
    assert repair(path, drop_corrupt=True) > 0
    append(path, 3)
    assert list(iter_load(path)) == [0, 1, 3]
    with pytest.raises(FileNotFoundError):
        repair(path + "x")
    assert not os.path.exists(path + "x")
    Path(path).write_text("a line of a log\n" * 20)
    for refused in (lambda: append(path, 4), lambda: repair(path), lambda: list(iter_load(path))):
        with pytest.raises(NotAnArtifactError):
            refused()


def test_damage_before_the_last_frame_does_not_prevent_appends(path: str) -> None:
    _numbers(path, 4)
    frames = _frames(path)
    for place, offset, error in ((2, 20, PreambleChecksumError), (1, 80, HeaderChecksumError)):
        damaged = bytearray(Path(path).read_bytes())
        damaged[frames[place].offset + offset] ^= 1
        Path(path).write_bytes(damaged)
        append(path, "more")
        with pytest.raises(error):
            list(iter_load(path))
    with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
        assert list(reader) == [0, 3, "more", "more"]
    with StreamReader(path, on_error="skip") as reader:
        assert (reader.seek(3), next(reader), reader.count()) == (3, 3, 6)


def test_reading_goes_on_after_a_refused_record(path: str) -> None:
    _numbers(path, 3)
    frame = _frames(path)[1]
    damaged = bytearray(Path(path).read_bytes())
    damaged[frame.offset + frame.length - 1] ^= 1
    Path(path).write_bytes(damaged)
    with StreamReader(path) as reader:
        assert next(reader) == 0
        with pytest.raises(ReadError):
            next(reader)
        assert (next(reader), reader.record) == (2, 3)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_refused_batch_does_not_drop_records_of_the_next_one(path: str, on_error: str) -> None:
    _numbers(path, 9, batch=3)
    frame = _frames(path)[1]
    damaged = bytearray(Path(path).read_bytes())
    damaged[frame.offset + frame.length - 1] ^= 1
    Path(path).write_bytes(damaged)
    with StreamReader(path, on_error=on_error) as reader:
        assert reader.seek(5) == 5
        if on_error == "raise":
            with pytest.raises(ReadError):
                next(reader)
            assert list(reader) == [6, 7, 8]
        else:
            with pytest.warns(StreamWarning):
                assert list(reader) == [6, 7, 8]


def test_the_number_of_lost_records_is_reported_only_if_it_is_known(path: str) -> None:
    """A frame that is missing may have been a batch."""
    batch = functools.partial(vectors._batch)
    damaged = bytearray(batch([1, 2, 3], 1).data)
    damaged[20] ^= 1
    for frames, wanted in (
        ([vectors.ZERO, batch([4, 5], 2)], [(1, None)]),
        ([vectors.ZERO, bytes(damaged), batch([4, 5], 2)], [(1, None)]),
        ([vectors.ZERO, b"x" * 64, vectors.FIRST], [(0, 0)]),
        ([vectors.ZERO, batch([1, 2, 3], 1).data[:-1] + b"x", vectors.SECOND], [(1, 3)]),
        ([bytes(damaged), batch([4, 5], 2)], [(None, None)]),
    ):
        _write(path, *frames)
        with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
            list(reader)
        assert [(lost.frames, lost.records) for lost in reader.lost] == wanted


def test_frames_and_records_in_turn(path: str) -> None:
    _numbers(path, 12, batch=3)
    with StreamReader(path) as reader:
        frames = reader.frames()
        assert next(frames).record == 0
        assert (next(reader), next(reader), reader.record) == (3, 4, 5)
        assert (next(frames).record, reader.record) == (6, 9)  # from where the reader stands
        assert (next(reader), reader.record) == (9, 10)


def test_no_stale_bytes_of_a_torn_tail_are_used(path: str) -> None:
    for follow, torn, then in itertools.product((False, True), ("x" * 600, "x" * 10, None), (10, 2000)):
        Path(path).unlink(missing_ok=True)
        append(path, 1)
        size = os.path.getsize(path)
        if torn is None:
            os.truncate(path, size + 1000)
        else:
            append(path, torn)
            os.truncate(path, os.path.getsize(path) - 3)
        timing: dict[str, Any] = {"follow": True, "timeout": 0.01} if follow else {}
        with StreamReader(path, **timing) as reader, StreamReader(path) as other:
            assert next(reader) == 1
            assert next(other) == 1
            with StreamWriter(path, repair=True) as stream:
                stream.append("y" * then)
                stream.append("z")
            assert list(reader) == ["y" * then, "z"]
            assert other.count() == 3
            assert other.seek(-1) == 2


def test_seeking_and_reading_agree_on_numbers_in_any_mixture_of_frames(path: str) -> None:
    batch = functools.partial(vectors._batch)
    standalone = vectors._one(1, 0, 0)
    for frames in (
        [vectors.ZERO, standalone, batch([2, 3], 1)],
        [vectors.ZERO, batch([1, 2], 0, vectors.B), batch([3, 4], 1), batch([5, 6], 1, vectors.B)],
    ):
        _write(path, *frames)
        count = len(list(iter_load(path)))
        for n in range(count):
            with StreamReader(path) as reader:
                assert reader.seek(n) == n
                assert list(reader) == list(range(n, count))


def test_the_last_seq_there_is(path: str) -> None:
    _write(path, vectors._one(1, 2**64 - 1))
    append(path, 2)  # a new stream
    with pytest.raises(StreamOrderError):
        list(iter_load(path))
    with StreamReader(path, on_error="skip") as reader, pytest.warns(StreamWarning):
        assert (list(reader), reader.record) == ([1, 2], 2**64 + 1)
    _numbers(path, 200)  # whose numbers no index holds


# --- several writers --------------------------------------------------------------------------------------------------


def test_threads_share_a_writer(path: str) -> None:
    for batch in (None, 7):
        Path(path).unlink(missing_ok=True)
        with StreamWriter(path, batch=batch, fsync=0) as stream:

            def work(worker: int, stream: StreamWriter = stream) -> None:
                for n in range(40):
                    stream.append((worker, n))
                    if n % 16 == 0:
                        stream.flush()

            threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        records = list(iter_load(path))
        assert sorted(records) == [(worker, n) for worker in range(4) for n in range(40)]
        for worker in range(4):
            assert [n for w, n in records if w == worker] == list(range(40))


def _append_many(path: str, worker: int, batch: int | None) -> None:
    with StreamWriter(path, batch=batch, fsync=0) as stream:
        for n in range(30):
            stream.append((worker, n))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_append_at_once(path: str, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    if method == "spawn" and SHORT:
        pytest.skip("slow, and on the first interpreter as well")
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, 3.12
        workers = [
            context.Process(target=_append_many, args=(path, worker, batch))
            for worker, batch in enumerate((None, 4, 100))
        ]
        for process in workers:
            process.start()
        for process in workers:
            process.join(60)
            assert process.exitcode == 0
    records = list(iter_load(path))
    assert sorted(records) == [(worker, n) for worker in range(3) for n in range(30)]
    for worker in range(3):
        assert [n for w, n in records if w == worker] == list(range(30))
    assert {frame.stream_id for frame in _frames(path)} == {_frames(path)[0].stream_id}


@needs_fork
@pytest.mark.parametrize("way", ["append", "flush", "nothing", "linger"])
def test_a_child_does_not_write_the_parents_waiting_records(path: str, way: str) -> None:
    with StreamWriter(path, batch=10, linger=60 if way == "linger" else None) as stream:
        stream.append("parent")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                if way in ("append", "linger"):
                    stream.append("child")
                if way != "nothing":
                    stream.flush()
                    stream.append("child again")
                    stream.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        stream.append("parent again")
    wanted = {"append": ["child", "child again"], "linger": ["child", "child again"], "flush": ["child again"]}
    assert list(iter_load(path)) == [*wanted.get(way, []), "parent", "parent again"]


# --- when records are written and synced ------------------------------------------------------------------------------


def _until(condition: Any, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("batch", [None, 100])
def test_lingering_records_are_written_in_time(path: str, batch: int | None) -> None:
    with StreamWriter(path, batch=batch, linger=0.05) as stream:
        for n in range(3):
            stream.append(n)
        _until(lambda: os.path.exists(path) and len(_frames(path)) == 1)
        stream.append(3)
        assert list(iter_load(path))[:3] == [0, 1, 2]
        _until(lambda: len(_frames(path)) == 2)
    assert list(iter_load(path)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "syncs"),
    [
        ({}, 10),
        ({"fsync": 3}, 4),  # the last by close
        ({"fsync": 0}, 1),
        ({"batch": 4}, 3),
        ({"batch": 4, "fsync": 0}, 1),
        ({"batch": 100}, 1),
        ({"batch": 4, "fsync": 6}, 2),
    ],
)
def test_the_number_of_syncs(path: str, settings: Any, syncs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(writing, "_sync", done.append)
    with StreamWriter(path, **settings) as stream:
        for n in range(10):
            stream.append(n)
    assert len(done) == syncs


def _append_all(stream: StreamWriter, *records: Any) -> None:
    for record in records:
        stream.append(record)


def _fails(*_: Any) -> None:
    raise OSError(errno.EIO, "input/output error")


@pytest.mark.parametrize("batch", [None, 2])
def test_a_sync_that_failed_is_never_forgotten(path: str, batch: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StreamWriter(path, batch=batch)
    for n in range(2):
        stream.append(n)
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_sync", _fails)
        with pytest.raises(OSError, match="input/output"):
            _append_all(stream, 2, 3)
    for again in (stream.flush, stream.close):
        with pytest.raises(OSError, match="a sync failed before"):
            again()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.append(9)
    assert list(iter_load(path))[:2] == [0, 1]


def test_close_reports_a_sync_that_failed_in_the_timers_thread(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_sync", _fails)
    stream = StreamWriter(path, linger=0.01)
    stream.append(1)
    _until(lambda: stream._tail.sync_error is not None)
    with pytest.raises(OSError, match="a sync failed before"):
        stream.close()
    stream.close()


def test_close_does_not_replace_the_error_of_an_append(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_sync", _fails)
    with pytest.raises(OSError, match=r"^\[Errno 5\] input/output error: "), StreamWriter(path) as stream:
        stream.append(1)


def test_a_sync_that_failed_while_the_file_was_rotated_is_not_forgotten(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = StreamWriter(path, fsync=0)
    stream.append(1)
    os.rename(path, path + ".1")
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_sync", _fails)
        with pytest.raises(OSError, match="input/output"):
            stream.append(2)
    with pytest.raises(OSError, match="a sync failed before"):
        stream.append(3)
    with pytest.raises(OSError, match="a sync failed before"):
        stream.close()


def test_a_failed_write_leaves_nothing_and_removes_the_right_record(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pickleseal._streams import writer as writing

    def partly(descriptor: int, parts: Any) -> None:
        os.write(descriptor, b"".join(parts)[:100])
        raise OSError(errno.ENOSPC, "no space left on device")

    for batch in (None, 3):
        Path(path).unlink(missing_ok=True)
        append(path, "before")
        size = os.path.getsize(path)
        stream = StreamWriter(path, batch=batch)
        with monkeypatch.context() as patch:
            patch.setattr(writing, "write_all", partly)
            with pytest.raises(OSError, match="no space"):
                _append_all(stream, None, 1, None)
            if batch:
                with pytest.raises(OSError, match="no space"):
                    stream.close()
        assert os.path.getsize(path) == size
        stream.append("after")
        stream.close()
        assert list(iter_load(path)) == (["before", None, 1, "after"] if batch else ["before", "after"])


# --- closing, and misuse ----------------------------------------------------------------------------------------------


def test_closing(path: str) -> None:
    stream = StreamWriter(path, batch=10)
    with stream as same:
        assert same is stream
        stream.append(1)
    stream.close()
    for refused in (lambda: stream.append(2), stream.flush):
        with pytest.raises(ValueError, match="closed"):
            refused()
    with StreamReader(path) as reader:
        assert next(reader) == 1
    with pytest.raises(ValueError, match="closed"):
        next(reader)
    reader.close()
    stream = StreamWriter(path, batch=10)
    stream.append(2)
    with pytest.warns(ResourceWarning, match="1 records waiting"):
        stream = None  # type: ignore[assignment]
    assert list(iter_load(path)) == [1, 2]
    with contextlib.suppress(KeyError), StreamWriter(path, batch=10) as stream:
        stream.append(3)
        raise KeyError
    assert list(iter_load(path)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (TypeError, {"batch": 1.5}),
        (TypeError, {"batch": True}),
        (ValueError, {"batch": 0}),
        (TypeError, {"fsync": None}),
        (ValueError, {"fsync": -1}),
        (ValueError, {"linger": 0}),
        (ValueError, {"linger": "1"}),
        (ValueError, {"linger": math.nan}),
        (ValueError, {"type": ""}),
        (TypeError, {"meta": {"a": 1}}),
        (TypeError, {"writer": 1}),
    ],
)
def test_wrong_arguments_of_a_writer(path: str, error: type[Exception], arguments: Any) -> None:
    with pytest.raises(error):
        StreamWriter(path, **arguments)
    assert not os.path.exists(path)


def test_misuse_of_readers(path: str, tmp_path: Path) -> None:
    append(path, 1)
    for error, arguments in (
        (ValueError, {"on_error": "ignore"}),
        (ValueError, {"timeout": 1}),
        (TypeError, {"policy": {}}),
        (TypeError, {"trust": True}),
    ):
        with pytest.raises(error):
            StreamReader(path, **arguments)  # type: ignore[arg-type]
    for opens in (lambda: StreamReader(tmp_path), lambda: iter_load(tmp_path), lambda: append(tmp_path, 1)):
        with pytest.raises(OSError):
            opens()
    for opens in (lambda: StreamReader(path + "x"), lambda: iter_load(path + "x")):
        with pytest.raises(FileNotFoundError):
            opens()
    with open(path, "rb") as file, pytest.raises(ValueError, match="path"):
        iter_load(file, on_error="skip")
    with pytest.raises(TypeError):
        list(iter_load(io.StringIO("text")))  # type: ignore[arg-type]


# --- the name of the file ---------------------------------------------------------------------------------------------


def test_links_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, link = tmp_path / "a.pseal", tmp_path / "b.pseal", tmp_path / "link.pseal"
    (tmp_path / "else").mkdir()
    try:
        link.symlink_to(first)
    except OSError:
        pytest.skip("no links here")
    monkeypatch.chdir(tmp_path)
    with StreamWriter("link.pseal") as stream:
        assert stream.path == str(first.resolve())
        monkeypatch.chdir(tmp_path / "else")
        stream.append(1)  # makes what the link names
        link.unlink()
        link.symlink_to(second)
        stream.append(2)
        assert stream.path == str(second.resolve())
    assert (list(iter_load(first)), list(iter_load(second))) == ([1], [2])
    assert link.is_symlink()
    monkeypatch.chdir(tmp_path)
    with StreamReader("link.pseal", follow=True, timeout=0.1) as reader:
        assert next(reader) == 2
        monkeypatch.chdir(tmp_path / "else")
        append("link.pseal", "another file of this name")
        append(second, 3)
        assert list(reader) == [3]


def test_a_file_that_may_only_be_read(path: str) -> None:
    _numbers(path, 3)
    os.chmod(path, 0o444)
    assert list(iter_load(path)) == [0, 1, 2]
    Path(path).unlink()


@pytest.mark.parametrize("way", ["moved", "removed", "replaced", "emptied"])
def test_rotation_under_a_writer(path: str, way: str) -> None:
    with StreamWriter(path) as stream:
        stream.append(1)
        stream.append(2)
        if way == "moved":
            os.rename(path, path + ".1")
        elif way == "removed":
            os.unlink(path)
        elif way == "replaced":
            append(path + ".new", "new")
            os.replace(path + ".new", path)
        else:
            os.truncate(path, 0)
        stream.append(3)
        stream.append(4)
    assert list(iter_load(path)) == (["new", 3, 4] if way == "replaced" else [3, 4])
    if way == "moved":
        assert list(iter_load(path + ".1")) == [1, 2]


@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_file_that_was_emptied_and_written_anew(path: str, more: int) -> None:
    with StreamWriter(path) as stream:
        stream.append(1)
        stream.append(2)
        os.truncate(path, 0)
        with StreamWriter(path) as other:
            for n in range(2 + more):  # as long as it was, or longer
                other.append(n)
        stream.append("more")
    assert list(iter_load(path)) == [*range(2 + more), "more"]
    assert len({frame.stream_id for frame in _frames(path)}) == 1


# --- following --------------------------------------------------------------------------------------------------------


def test_follow_gets_what_is_appended_until_the_timeout(path: str) -> None:
    append(path, 0)
    got: list[int] = []

    def follow() -> None:
        with StreamReader(path, follow=True, timeout=0.4) as reader:
            got.extend(reader)

    thread = threading.Thread(target=follow)
    thread.start()
    with StreamWriter(path, batch=2) as stream:
        for n in range(1, 8):
            stream.append(n)
            time.sleep(0.01)
    os.rename(path, path + ".1")
    for n in range(8, 10):
        append(path, n)
        time.sleep(0.06)
    thread.join(10)
    assert not thread.is_alive()
    assert got == list(range(10))


def test_a_follower_loses_nothing_that_was_appended_just_before_a_rotation(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, 1)
    real = os.stat
    done = []
    with StreamReader(path, follow=True, timeout=0.2) as reader:
        assert next(reader) == 1

        def rotate(*args: Any, **kwargs: Any) -> Any:
            if not done:
                done.append(1)
                append(path, 2)
                append(path, 3)
                os.rename(path, path + ".1")
                append(path, 4)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, "stat", rotate)
        assert list(reader) == [2, 3, 4]
    assert done


def test_a_follower_does_not_wait_at_a_torn_tail_of_a_replaced_file(path: str) -> None:
    append(path, 1)
    with open(path, "ab") as file:
        file.write(pack(2)[:100])
    with (
        StreamReader(path, follow=True, timeout=20) as reader,
        StreamReader(path, follow=True, timeout=0.2, on_error="skip") as skipping,
    ):
        assert next(reader) == next(skipping) == 1
        os.rename(path, path + ".1")
        append(path, 3)
        with pytest.raises(TornTailError):
            next(reader)
        with pytest.warns(StreamWarning):
            assert list(skipping) == [3]


def test_follow_waits_until_a_torn_tail_is_completed(path: str) -> None:
    append(path, 1)
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[:200])
    mend = threading.Timer(0.15, lambda: Path(path).write_bytes(whole))
    mend.start()
    with StreamReader(path, follow=True, timeout=0.5) as reader:
        assert list(reader) == [1]
    mend.join()
    Path(path).write_bytes(whole[:200])
    with StreamReader(path, follow=True, timeout=0.1) as reader, pytest.raises(TornTailError):
        list(reader)


# --- pipes, policies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_records_come_out_of_a_pipe_as_they_arrive(path: str, piece: int) -> None:
    records = [{"n": n} for n in range(7)]
    with StreamWriter(path, batch=3) as stream:
        for record in records:
            stream.append(record)
    data = Path(path).read_bytes()
    for cut in (0, 10):
        readable, writable = os.pipe()

        def feed(writable: int = writable, cut: int = cut) -> None:
            with open(writable, "wb", buffering=0) as file:
                for start in range(0, len(data) - cut, piece):
                    os.write(file.fileno(), data[start : min(start + piece, len(data) - cut)])

        thread = threading.Thread(target=feed)
        thread.start()
        with open(readable, "rb", buffering=0) as file:
            got = []
            try:
                for record in iter_load(file):
                    got.append(record)
            except TornTailError as exc:
                assert cut
                assert (got, exc.record) == (records[:6], 6)
            else:
                assert (got, cut) == (records, 0)
        thread.join()


def test_policy_trust_expect_and_keys_apply_to_each_record(path: str) -> None:
    ring = pickleseal.KeyRing([pickleseal.Key.hmac("k", b"k" * 32)])
    writer = pickleseal.Writer(keys=ring)
    with StreamWriter(path, batch=2, writer=writer, meta={"team": "risk"}) as stream:
        for record in ({"a": 1}, {"a": 2}, {"a": 3}):
            stream.append(record)
    signed = pickleseal.Policy(keys=ring)
    assert len(list(iter_load(path, policy=signed, expect=dict))) == 3
    assert {frame.header.type for frame in _frames(path)} == {"builtins:dict"}
    assert {frame.header.meta["team"] for frame in _frames(path)} == {"risk"}
    other = pickleseal.Policy(keys=pickleseal.KeyRing([pickleseal.Key.hmac("k", b"x" * 32)]))
    for error, arguments in (
        (SignatureError, {"policy": other}),
        (TypeMismatchError, {"expect": list}),
        (PolicyError, {"policy": pickleseal.Policy(meta={"team": "other"})}),
        (LimitExceededError, {"policy": pickleseal.Policy(limits=pickleseal.Limits(max_frame=128))}),
    ):
        with pytest.raises(error) as caught:
            list(iter_load(path, **arguments))  # type: ignore[arg-type]
        assert (caught.value.offset, caught.value.record, caught.value.path) == (0, 0, path)
    append(path, Plain(a=1))
    got = []
    with pytest.raises(UntrustedGlobalError) as caught, StreamReader(path, on_error="skip") as reader:
        got.extend(reader)  # never skipped
    assert caught.value.record == 3
    assert [shape(record) for record in load(path)][-1] == shape(Plain(a=1))
    with pytest.raises(SignatureError):
        list(iter_load(path, policy=signed, trust=KINDS))
    with pytest.raises(SignatureError):
        list(load(path, policy=signed))


def test_the_header_of_a_batch(path: str) -> None:
    with StreamWriter(path, batch=2) as stream:
        for record in (1, 2, "a", 3, stream_kinds.Data(1), stream_kinds.Data(2), 5):
            stream.append(record)
    frames = _frames(path)
    assert [frame.header.type for frame in frames] == [
        "builtins:int", "builtins:object", "stream_kinds:Data", "builtins:int"
    ]  # fmt: skip
    assert [frame.header.records for frame in frames] == [2, 2, 2, None]
    assert "stream_kinds:Data" in frames[2].header.types
    with StreamWriter(path + "2", batch=2, type="event") as stream:
        for record in (1, "a", 2):
            stream.append(record)
    assert {frame.header.type for frame in _frames(path + "2")} == {"event"}
    assert list(iter_load(path + "2", expect="event")) == [1, "a", 2]
    with pytest.raises(TypeMismatchError):
        list(iter_load(path, expect=int))


def test_compressed_batches(path: str) -> None:
    try:
        writer = pickleseal.Writer(compress="zstd")
    except pickleseal.MissingExtraError:
        pytest.skip("no Zstandard here")
    with StreamWriter(path, batch=500, writer=writer) as stream:
        for n in range(1000):
            stream.append({"n": n, "text": "the same over and over"})
    assert [record["n"] for record in iter_load(path)] == list(range(1000))
    assert {frame.header.sections[0].codec for frame in _frames(path)} == {"zstd"}


def test_a_file_that_was_emptied_is_followed_from_its_beginning_and_else_refused(path: str) -> None:
    for record in range(3):
        append(path, record)
    with (
        StreamReader(path, follow=True, timeout=0.3) as following,
        StreamReader(path, on_error="skip") as skipping,
    ):
        assert [next(following) for _ in range(3)] == [next(skipping) for _ in range(3)]
        os.truncate(path, 0)
        with pytest.raises(errors.TruncatedError, match="became shorter"):
            next(skipping)
        assert skipping.lost == []
        append(path, "new")
        assert list(following) == ["new"]
        assert following.record == 1


def test_a_function_gets_each_lost_part(path: str) -> None:
    for record in range(3):
        append(path, record)
    size = os.path.getsize(path)
    data = bytearray(Path(path).read_bytes())
    data[size // 3 + 100] ^= 1
    Path(path).write_bytes(data + b"\xf7PS")
    lost: list[pickleseal.Lost] = []
    with StreamReader(path, on_error=lost.append) as stream:
        assert list(stream) == [0, 2]
        assert list(stream) == []  # the torn tail is reported once
        assert stream.lost == []
        append_repaired(path, 3)
        assert list(stream) == [3]
    assert [(item.offset, item.end) for item in lost] == [(size // 3, size // 3 * 2), (size, size + 3)]
    assert [type(item.error) for item in lost] == [errors.HeaderChecksumError, TornTailError]
    assert lost[0].error.end == size // 3 * 2


def append_repaired(path: str, record: object) -> None:
    with StreamWriter(path, repair=True) as stream:
        stream.append(record)


def test_what_the_caller_refuses_is_never_skipped(path: str) -> None:
    ring = pickleseal.KeyRing([pickleseal.Key.generate("k")])
    for writer in (pickleseal.Writer(keys=ring), None, pickleseal.Writer(keys=ring)):
        append(path, "x" * 100, writer=writer)
    with StreamReader(path, policy=pickleseal.Policy(keys=ring), on_error="skip") as stream:
        assert next(stream) == "x" * 100
        with pytest.raises(errors.SignatureError) as info:
            next(stream)
        assert info.value.record == 1
        with StreamReader(path) as plain:
            assert info.value.end == [frame.offset for frame in plain.frames()][2]
        assert next(stream) == "x" * 100
    limits = pickleseal.Limits(max_frame=100)
    with StreamReader(path, policy=pickleseal.Policy(limits=limits), on_error="skip") as stream:
        for _ in range(3):
            with pytest.raises(errors.LimitExceededError):
                next(stream)
        assert list(stream) == []


def test_a_writer_without_records_leaves_an_empty_stream(path: str) -> None:
    with StreamWriter(path):
        pass
    assert list(iter_load(path)) == []


def test_an_append_that_cannot_pack_leaves_no_file(path: str) -> None:
    with pytest.raises(PackError):
        append(path, lambda: None)
    assert not os.path.exists(path)


def test_a_long_text_does_not_wait(path: str) -> None:
    with StreamWriter(path, batch=100, fsync=0) as stream:
        for record in ({"n": 1}, {"text": "x" * 50_000}, {"n": 2}, ["y" * 50_000]):
            stream.append(record)
            if "y" in str(record) or "x" in str(record):
                with StreamReader(path) as reader:
                    assert sum(frame.records for frame in reader.frames()) in (2, 4)
    with StreamReader(path) as reader:
        assert [frame.records for frame in reader.frames()] == [1, 1, 1, 1]


def test_a_batch_is_not_the_one_object_that_is_expected(path: str) -> None:
    with StreamWriter(path, batch=2) as stream:
        stream.append({"n": 1})
        stream.append({"n": 2})
    data = Path(path).read_bytes()
    assert pickleseal.unpack(data) == [{"n": 1}, {"n": 2}]
    standalone = b"".join(pickleseal.pack_parts([{"n": 1}]))
    assert pickleseal.unpack(standalone, expect=list) == [{"n": 1}]
    for read in (
        lambda: pickleseal.unpack(data, expect=dict),
        lambda: pickleseal.load(path, expect="builtins:dict"),
        lambda: pickleseal.load(path, expect=dict, mmap="r"),
        lambda: pickleseal.Reader(expect=dict).read(path),
        lambda: pickleseal.Reader(expect=dict).check(data),
    ):
        with pytest.raises(errors.TypeMismatchError, match="iter_load"):
            read()
    assert list(iter_load(path, expect=dict)) == [{"n": 1}, {"n": 2}]
