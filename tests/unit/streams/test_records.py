"""Records of a stream: each comes back as it was when it was appended, alone or in a batch (spec 9)."""

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
import stream_kinds
from _helpers.streams import FEW, Plain, frames_of, load, wait_until, write_numbers
from hypothesis import given
from hypothesis import strategies as st
from stream_kinds import KINDS, shape

import pickleseal
from pickleseal import StreamReader, StreamWriter, append, errors, iter_load
from pickleseal._payload.pickler import pickle_one
from pickleseal._streams.batches import LARGEST, merge
from pickleseal.errors import (
    PackError,
    PackWarning,
    TypeMismatchError,
)


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
    assert sum(frame.records for frame in frames_of(path)) == len(objects)


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
    assert len(frames_of(path)) == 1


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
    assert [frame.records for frame in frames_of(path)] == [2, 1, 1, 1, 1]


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
    frames = frames_of(path)
    assert all(frame.length < (4 << 20) + 4096 or frame.records == 1 for frame in frames)
    assert len(frames) < 20


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
    write_numbers(path, 5, batch=2)
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
        wait_until(lambda: not stream._pending.items)  # type: ignore[union-attr]
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
        assert sum(frame.records for frame in frames_of(path)) == 6000
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


def test_the_header_of_a_batch(path: str) -> None:
    with StreamWriter(path, batch=2) as stream:
        for record in (1, 2, "a", 3, stream_kinds.Data(1), stream_kinds.Data(2), 5):
            stream.append(record)
    frames = frames_of(path)
    assert [frame.header.type for frame in frames] == [
        "builtins:int", "builtins:object", "stream_kinds:Data", "builtins:int"
    ]  # fmt: skip
    assert [frame.header.records for frame in frames] == [2, 2, 2, None]
    assert "stream_kinds:Data" in frames[2].header.types
    with StreamWriter(path + "2", batch=2, type="event") as stream:
        for record in (1, "a", 2):
            stream.append(record)
    assert {frame.header.type for frame in frames_of(path + "2")} == {"event"}
    assert list(iter_load(path + "2", expect="event")) == [1, "a", 2]
    with pytest.raises(TypeMismatchError):
        list(iter_load(path, expect=int))


def test_compressed_batches(path: str) -> None:
    try:
        writer = pickleseal.PackOptions(compress="zstd")
    except pickleseal.MissingExtraError:
        pytest.skip("no Zstandard here")
    with StreamWriter(path, batch=500, options=writer) as stream:
        for n in range(1000):
            stream.append({"n": n, "text": "the same over and over"})
    assert [record["n"] for record in iter_load(path)] == list(range(1000))
    assert {frame.header.sections[0].codec for frame in frames_of(path)} == {"zstd"}


def test_an_append_that_cannot_pack_leaves_no_file(path: str) -> None:
    with pytest.raises(PackError):
        append(path, lambda: None)
    assert not os.path.exists(path)


def test_a_long_text_is_written_at_once(path: str) -> None:
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
