"""Memory maps: what is mapped equals what is loaded, is where it lies in the file, and gets the same verdicts."""

import gc
import io
import mmap
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _helpers.support import VECTORS, cases, flips, policy_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import Key, KeyRing, Mapped, PackOptions, Policy
from pickleseal.errors import ReadError, SectionChecksumError, SectionPaddingError, TruncatedError

LARGE = 1 << 14  # bytes from which an array has a section of its own
MODES = ["r", "c"]
DTYPES = ["<f8", ">i4", "|u1", "<M8[ns]", "<c16", "|S3", "<U2", [("a", "<i2"), ("b", ">f8")]]
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, or counts on SIGBUS")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "it.pseal"


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def is_mapped(array: Any, path: Path) -> bool:
    """Tell whether an array lies in a map of a file, and not in memory."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        begin, end = (int(n, 16) for n in span.split("-"))
        if begin <= address(array) < end:
            return name == str(path)
    raise AssertionError("no such memory")


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    count = draw(st.sampled_from([0, 1, 7, LARGE // dtype.itemsize + 1, 3 * LARGE // dtype.itemsize]))
    raw = np.frombuffer(draw(st.integers(0, 2**32)).to_bytes(8, "little") * (count * dtype.itemsize // 8 + 1), "u1")
    if dtype.kind == "U":
        raw = np.zeros_like(raw)
    array = raw[: count * dtype.itemsize].copy().view(dtype)
    if count % 3 == 0 and draw(st.booleans()):
        array = array.reshape((3, -1), order=draw(st.sampled_from("CF")))
    array.flags.writeable = draw(st.booleans())
    return array


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(objects=st.lists(arrays(), max_size=4), mode=st.sampled_from(MODES), verify=st.sampled_from(["full", "header"]))
@example(objects=[], mode="r", verify="header")
def test_a_mapped_object_equals_the_loaded_one(path: Path, objects: list[Any], mode: str, verify: str) -> None:
    pickleseal.dump(objects, path, durable=False)
    loaded = pickleseal.load(path)
    with Mapped(path, mmap=mode, verify=verify) as mapped:
        assert mapped.verify() == mapped.header == pickleseal.peek(path)
        found = mapped.object
        assert len(found) == len(objects)
        for was, plain, array in zip(objects, loaded, found, strict=True):
            assert array.dtype == was.dtype
            assert array.shape == was.shape
            assert array.tobytes() == plain.tobytes() == was.tobytes()
            assert array.flags.f_contiguous == was.flags.f_contiguous
            lies_in_map = was.nbytes >= LARGE
            assert array.flags.writeable == (was.flags.writeable and not (lies_in_map and mode == "r"))
            if lies_in_map:
                assert address(array) % 64 == 0
                if sys.platform == "linux":
                    assert is_mapped(array, path)


def small_file(path: Path) -> bytes:
    """Write an artifact of a pickle, a buffer with padding, an empty one, and a read-only one; return its bytes."""
    data = pickleseal.pack([pickle.PickleBuffer(bytearray(b"ab" * LARGE)), np.arange(LARGE // 8 + 1), b"x"])
    path.write_bytes(data)
    return data


def outcome(call: Any) -> Any:
    try:
        return type(call())
    except ReadError as exc:
        return exc.code, exc.step, exc.where, str(exc.found)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), mode=st.sampled_from(MODES))
def test_flips_and_cuts_get_the_same_verdict_with_and_without_a_map(path: Path, data: Any, mode: str) -> None:
    whole = small_file(path)
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        changed = bytearray(whole)
        at = data.draw(st.one_of(st.integers(0, len(whole) - 1), st.integers(0, 1200), st.just(len(whole) - 1)))
        changed[at] ^= 1 << data.draw(st.integers(0, 7))
        damaged = bytes(changed)
    path.write_bytes(damaged)
    said = outcome(lambda: pickleseal.load(path))
    assert isinstance(said, tuple)
    assert outcome(lambda: pickleseal.load(path, mmap=mode)) == said

    def later() -> None:
        with Mapped(path, mmap=mode, verify="header") as mapped:
            mapped.verify()

    assert outcome(later) == said


def test_every_flip_of_a_header_and_pickle_is_refused_before_anything_is_mapped(path: Path) -> None:
    whole = small_file(path)
    head = pickleseal.peek(whole)
    assert len(head.sections) == 3
    for offset, bit, changed in flips(whole[: head.preamble.head_len + head.sections[0].len]):
        if bit == offset % 8:
            path.write_bytes(changed + whole[len(changed) :])
            with pytest.raises(ReadError):
                Mapped(path, verify="header")


@pytest.mark.filterwarnings("ignore::pickleseal.errors.PackageWarning")
@pytest.mark.parametrize("entry", cases("valid") + cases("invalid"))
def test_vectors_get_the_same_verdict_from_bytes_files_and_maps(entry: dict[str, Any]) -> None:
    path = VECTORS / entry["file"]

    def say(**how: Any) -> Any:
        return outcome(lambda: pickleseal.load(path, **policy_of(entry), **how))

    said = say()
    assert [say(mmap=mode) for mode in MODES] == [said, said]


@pytest.mark.parametrize("mode", MODES)
def test_damage_in_a_buffer_is_found_before_loading_or_by_verify(path: Path, mode: str) -> None:
    whole = bytearray(small_file(path))
    whole[-LARGE // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(SectionChecksumError) as first:
        pickleseal.load(path, mmap=mode)
    assert first.value.path == str(path)
    Mapped(path, mmap=mode, verify="header").close()
    with Mapped(path, mmap=mode, verify="header") as mapped, pytest.raises(SectionChecksumError) as later:
        mapped.verify()
    assert (later.value.where, later.value.step, later.value.path) == ("sections[2]", 16, str(path))
    whole[-LARGE // 2] ^= 1
    whole[-1] ^= 1
    path.write_bytes(whole)
    with Mapped(path, mmap=mode, verify="header") as mapped, pytest.raises(SectionPaddingError):
        mapped.verify()


def test_changes_of_a_copy_on_write_map_do_not_reach_the_file(path: Path) -> None:
    pickleseal.dump(np.zeros(LARGE), path)
    before = path.read_bytes()
    with Mapped(path, mmap="c") as mapped:
        mapped.object[:] = 1
        assert path.read_bytes() == before
        with pytest.raises(SectionChecksumError):
            mapped.verify()
    array = pickleseal.load(path, mmap="r")
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_arrays_stay_valid_after_close(path: Path) -> None:
    pickleseal.dump(np.arange(LARGE), path)
    with Mapped(path) as mapped:
        array = mapped.object
        part = array[10:20]
    assert mapped.header.type == "numpy:ndarray"
    assert repr(mapped).endswith("closed>")
    with pytest.raises(ValueError, match="closed"):
        mapped.verify()
    with pytest.raises(ValueError, match="closed"):
        _ = mapped.object
    mapped.close()
    del array, mapped
    gc.collect()
    assert part.tolist() == list(range(10, 20))


@linux
def test_the_map_is_released_with_the_last_array(path: Path) -> None:
    pickleseal.dump([np.arange(LARGE), np.ones(LARGE)], path)
    open_files = len(os.listdir("/proc/self/fd"))
    first, second = pickleseal.load(path, mmap="r")
    del second
    assert str(path) in Path("/proc/self/maps").read_text()
    del first
    assert str(path) not in Path("/proc/self/maps").read_text()
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_a_dump_to_a_mapped_path_leaves_the_map_as_it_was(path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows does not replace what is mapped")
    pickleseal.dump(np.zeros(LARGE), path)
    with Mapped(path) as mapped:
        pickleseal.dump(np.ones(LARGE), path)
        assert not mapped.object.any()
        mapped.verify()
    assert pickleseal.load(path, mmap="r").all()


RING = KeyRing([Key.hmac("k", bytes(range(32)))])
PRIVATE = [
    Policy(level="strict"),
    Policy(keys=RING),
    Policy(keys=RING, level="signed"),
    *([Policy(isolated=True)] if sys.platform != "win32" else []),
]


@linux
@pytest.mark.parametrize("policy", PRIVATE, ids=["strict", "keys", "signed", "isolated"])
@pytest.mark.parametrize("verify", ["full", "header"])
def test_buffers_are_private_where_the_policy_does_not_trust_the_source(
    path: Path, policy: Policy, verify: str
) -> None:
    pickleseal.dump([np.arange(LARGE), np.ones(LARGE)], path, options=PackOptions(keys=RING))
    for mode in MODES:
        with Mapped(path, mmap=mode, verify=verify, policy=policy) as mapped:
            array = mapped.object[0]
            assert not is_mapped(array, path)
            assert array.flags.writeable == (mode == "c")
            assert (array == np.arange(LARGE)).all()
            mapped.verify()
    with open(path, "r+b") as file:  # the same length, another bit
        file.seek(-9, os.SEEK_END)
        file.write(b"\1")
    for mode in MODES:
        with pytest.raises(SectionChecksumError):
            Mapped(path, mmap=mode, verify=verify, policy=policy)


@linux
def test_mapped_buffers_are_not_copied(path: Path) -> None:
    pickleseal.dump(np.arange(LARGE), path, options=PackOptions(keys=RING))
    for policy in (Policy(), Policy(level="unchecked")):
        assert is_mapped(pickleseal.load(path, mmap="r", policy=policy), path)


def test_sha256_is_checked_with_threads_and_without(path: Path) -> None:
    pickleseal.dump([np.zeros(1 << 17), np.ones(1 << 17)], path, options=PackOptions(keys=RING))
    pickleseal.load(path, mmap="r")
    with Mapped(path, verify="header") as mapped:
        mapped.verify()
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(SectionChecksumError):
        pickleseal.load(path, mmap="r")
    with Mapped(path, verify="header") as mapped, pytest.raises(SectionChecksumError):
        mapped.verify()


def as_bytes(obj: Any) -> Any:
    if isinstance(obj, list | tuple):
        return [as_bytes(item) for item in obj]
    return obj if isinstance(obj, str | int) else bytes(obj)


@pytest.mark.parametrize("mode", MODES)
def test_compressed_buffers_are_decoded_and_private(mode: str) -> None:
    entries = [entry for entry in cases("valid") if "zstd" in str(entry.values[0]["header"]["sections"][1:])]
    assert entries
    for entry in entries:
        path, how = VECTORS / entry.values[0]["file"], policy_of(entry.values[0])
        with Mapped(path, mmap=mode, verify="header", **how) as mapped:
            assert as_bytes(mapped.object) == as_bytes(pickleseal.load(path, **how))
            mapped.verify()


def test_bytes_like_buffers_become_memoryviews(path: Path) -> None:
    pickleseal.dump([pickle.PickleBuffer(bytearray(LARGE)), pickle.PickleBuffer(bytes(LARGE))], path)
    for mode in MODES:
        views = pickleseal.load(path, mmap=mode)
        assert [type(view) for view in views] == [memoryview, memoryview]
        assert [view.readonly for view in views] == [mode == "r", True]
        assert views[0] == bytes(LARGE)


def test_arrays_of_objects_lie_in_the_pickle(path: Path) -> None:
    pickleseal.dump([np.array([1, None, "x"] * LARGE, dtype=object), np.arange(LARGE)], path)
    for mode in MODES:
        with Mapped(path, mmap=mode, verify="header") as mapped:
            assert len(mapped.header.sections) == 2
            assert mapped.object[0].flags.writeable
            assert mapped.object[0].tolist() == [1, None, "x"] * LARGE


def test_an_object_with_many_buffers_is_mapped(path: Path) -> None:
    many = [np.full(LARGE, i % 256, "u1") for i in range(500)]
    pickleseal.dump(many, path, durable=False)
    with Mapped(path, verify="header") as mapped:
        assert [int(array[-1]) for array in mapped.object] == [i % 256 for i in range(500)]
        mapped.verify()


def test_pipes_devices_and_urls_cannot_be_mapped(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"")
    for verify in ("full", "header"):
        with pytest.raises(TruncatedError) as info:
            Mapped(path, verify=verify)
        assert info.value.found == 0
    with pytest.raises(FileNotFoundError):
        pickleseal.load(tmp_path / "none", mmap="r")
    with pytest.raises(OSError, match=r"denied|directory"):
        pickleseal.load(tmp_path, mmap="r")
    for url in ("s3://bucket/it.pseal", "memory://x", "simplecache::s3://bucket/it.pseal", "file:///it"):
        with pytest.raises(ValueError, match="without mmap"):
            pickleseal.load(url, mmap="r")
    with pytest.raises(TypeError, match="without mmap"):
        pickleseal.load(io.BytesIO(pickleseal.pack(1)), mmap="r")
    with pytest.raises(TypeError, match="a path or a binary file"):
        pickleseal.load(0, mmap="r")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unpack"):
        pickleseal.load(b"", mmap="r")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mmap"):
        pickleseal.load(path, mmap="w")
    with pytest.raises(ValueError, match="verify"):
        Mapped(path, verify="none")
    with pytest.raises(TypeError, match="verify"):
        pickleseal.load(path, mmap="r", verify="header")  # `Mapped` has it
    if sys.platform != "win32":
        with pytest.raises(ValueError, match="without mmap"):
            pickleseal.load("/dev/null", mmap="r")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="without mmap"):
            pickleseal.load(tmp_path / "pipe", mmap="r")


def test_a_file_that_is_cut_off_while_it_is_opened_is_truncated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickleseal.dump([np.arange(LARGE)], path)
    real = mmap.mmap

    def cut(*args: Any, **how: Any) -> Any:
        os.truncate(path, 8192)
        return real(*args, **how)

    monkeypatch.setattr("pickleseal._io.source.mmap.mmap", cut)
    with pytest.raises(TruncatedError) as info:
        pickleseal.load(path, mmap="r")
    assert (info.value.where, info.value.found) == ("sections[1]", 8192)


CHILD = """
import os, sys
import pickleseal
from pickleseal.errors import TruncatedError
how, path = sys.argv[1], sys.argv[2]
if how == "load":
    import pickleseal._io.source as source
    check = source.SectionCheck
    class Cutting(check):
        def update(self, chunk):
            os.truncate(path, 100_000)  # while the buffer is read
            super().update(chunk)
    source.SectionCheck = Cutting
    try:
        pickleseal.load(path)
    except TruncatedError as error:
        print(error.code, error.where)
else:
    array = pickleseal.load(path, mmap="r")
    print(array.sum(), flush=True)
    os.truncate(path, 100_000)
    print(array.sum())
"""


@linux
@pytest.mark.parametrize(
    ("how", "code", "said"), [("load", 0, "truncated sections[1]\n"), ("map", -signal.SIGBUS, "0\n")]
)
def test_cutting_a_file_off_kills_a_process_that_maps_it_but_not_one_that_loads_it(
    path: Path, how: str, code: int, said: str
) -> None:
    pickleseal.dump(np.zeros(1 << 18, "i8"), path)
    done = subprocess.run([sys.executable, "-c", CHILD, how, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, said), done.stderr


@linux
def test_changes_of_the_file_show_in_a_map_and_verify_finds_them(path: Path) -> None:
    pickleseal.dump(np.zeros(LARGE, "u1"), path)
    with Mapped(path) as mapped:
        with open(path, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\7")
        assert mapped.object[-1] == 7
        with pytest.raises(SectionChecksumError):
            mapped.verify()


def test_expect_and_trust_are_as_for_load(path: Path) -> None:
    pickleseal.dump({"a": np.arange(LARGE)}, path)
    assert pickleseal.load(path, expect=dict, mmap="r")["a"][-1] == LARGE - 1
    with pytest.raises(pickleseal.errors.TypeMismatchError):
        pickleseal.load(path, expect=list, mmap="r")


def test_maps_work_without_numpy(path: Path) -> None:
    pickleseal.dump(pickle.PickleBuffer(bytearray(LARGE)), path)
    code = (
        "import sys; sys.modules['numpy'] = None; import pickleseal; "
        f"print(pickleseal.load({str(path)!r}, mmap='c').nbytes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{LARGE}\n"
